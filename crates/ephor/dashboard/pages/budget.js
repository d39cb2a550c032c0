// What a task may use, what it has used and what is set aside, kind by kind.

import { ask as call, once } from '../api.js';
import { ask } from '../dialog.js';
import { button, h } from '../dom.js';
import { table } from '../parts.js';
import { FINAL, dollars, many, millis, span } from '../words.js';

const KINDS = [['tokens', 'Tokens', many], ['cost', 'Cost', dollars], ['tool_calls', 'Calls of tools', many]];
const THEN = { ask: 'a person is asked', stop: 'the task fails', degrade_model: 'a cheaper model takes its place, else a person is asked' };

/** The account of a task that has a budget, or used something without one. */
export function budget(task, cx) {
  const { budget: terms, usage = {} } = task;
  if (!terms) {
    const used = KINDS.filter(([kind]) => usage[kind] > 0);
    return used.length > 0 && h('div.sec', { key: 'budget' }, h('h2', null, 'What it used'), h('dl.kv', null, used.map(([kind, word, tell]) => [h('dt', null, word), h('dd', null, tell(usage[kind]))])), h('p.sm.muted', null, 'It has no budget: it may use as much as it takes.'));
  }
  const rows = KINDS.map(([kind, word, tell]) => line(kind, word, tell, terms.used[kind] ?? 0, terms.reserved?.[kind] ?? 0, terms.lent?.[kind] ?? 0, terms.cap[kind])).filter(Boolean);
  if (terms.cap.wall_time) {
    const until = FINAL.includes(task.status) && task.ended_at ? Date.parse(task.ended_at) : Date.now();
    const passed = task.started_at ? Math.max(0, until - Date.parse(task.started_at)) : 0;
    rows.push(line('wall_time', 'Time since its start', span, passed, 0, 0, millis(terms.cap.wall_time)));
  }
  const ended = FINAL.includes(task.status) ? 'it has ended' : terms.drawn ? 'it is a part of the budget of another task: raise that one' : null;
  return h(
    'div.sec',
    { key: 'budget', 'data-budget': true },
    h('div.row.wrap', null, h('h2.grow', null, 'Budget'), terms.drawn && h('span.tag.outline', null, 'lent by the task it is part of'), button('.s', { why: cx.why('decide') ?? ended, 'data-do': 'raise', on: { click: () => raise(task, cx) } }, 'Change limits…')),
    table(['Of what', 'So far', 'Used', 'Set aside', 'Lent', 'Limit', 'Left'], rows),
    h('p.sm.muted', null, `Where it does not suffice, ${THEN[terms.on_crossing] ?? terms.on_crossing}.`),
  );
}

function line(kind, word, tell, used, reserved, lent, cap) {
  if (cap === undefined && used + reserved + lent === 0) return null;
  const left = cap === undefined ? null : Math.max(0, cap - used - reserved - lent);
  const over = cap !== undefined && used > cap;
  return h(
    'tr',
    { key: kind, 'data-kind': kind },
    h('td.b', null, word),
    h('td.pcol', null, cap === undefined ? h('span.muted', null, 'no limit') : bar(word, cap, [[over ? 'f-fail' : 'f-done', used], ['url(#stripe)', reserved], ['url(#hatch)', lent]])),
    h('td.nowrap', null, over ? h('span.tag.fail', null, tell(used)) : tell(used)),
    h('td.nowrap', null, kind === 'wall_time' ? '—' : tell(reserved)),
    h('td.nowrap', null, kind === 'wall_time' ? '—' : tell(lent)),
    h('td.nowrap', null, cap === undefined ? '—' : tell(cap)),
    h('td.nowrap', null, left === null ? '—' : tell(left)),
  );
}

/** How much of a limit is gone: used, set aside, lent, one behind the other. */
function bar(word, cap, parts) {
  let at = 0;
  const drawn = parts.map(([fill, n]) => {
    const x = Math.min(100, (at * 100) / cap);
    at += n;
    const width = Math.min(100, (at * 100) / cap) - x;
    return width > 0 && h('rect', { x: `${x}%`, width: `${width}%`, height: '100%', ...(fill.startsWith('url') ? { fill } : { class: fill }) });
  });
  return h('svg.bar.thin', { role: 'img', 'aria-label': `${word}: ${Math.round((at * 100) / cap)} % of the limit` }, drawn);
}

async function raise(task, cx) {
  const { cap } = task.budget;
  const done = await ask({
    title: 'Change the limits of its budget',
    words: 'What waits for it goes on where it suffices then. Limits that are left empty stay as they are.',
    fields: [
      { name: 'tokens', label: 'Tokens', hint: cap.tokens ? `now ${many(cap.tokens)}` : 'no limit now' },
      { name: 'cost', label: 'Cost, in micro-dollars', hint: cap.cost ? `now ${many(cap.cost)}, which is ${dollars(cap.cost)}` : 'no limit now' },
      { name: 'tool_calls', label: 'Calls of tools', hint: cap.tool_calls ? `now ${many(cap.tool_calls)}` : 'no limit now' },
      { name: 'wall_time', label: 'Time since its start', hint: cap.wall_time ? `now ${cap.wall_time}` : 'for example 2h; no limit now' },
      { name: 'reason', label: 'Reason', kind: 'long' },
    ],
    yes: 'Change',
    act: ({ reason, wall_time: time, ...limits }) => {
      const said = Object.fromEntries(Object.entries(limits).map(([kind, text]) => [kind, Number(text)]));
      return call('POST', `/api/v1/tasks/${task.id}/modify`, { budget: { ...said, ...(time ? { wall_time: time } : {}) }, ...(reason ? { reason } : {}) }, once());
    },
  });
  if (done) cx.look();
}
