// The first page: what needs a person, how much is where, what is under way, who works, what just happened.

import { Source, ask as call, get, once, query } from '../api.js';
import { kind, name } from '../asked.js';
import { card, empty, h, icon, link } from '../dom.js';
import { live } from '../live.js';
import { eventWords, stepBar } from '../parts.js';
import { LIVE, ago, instant, pill, risk, short, time, took } from '../words.js';

/** How many tasks that are under way are shown, and how many events. */
const SHOWN = 10;
const EVENTS = 10;
const CARDS = 4;
/** Every how many ticks how long tasks take is looked up. */
const FIGURES_EVERY = 6;
/** Ends of tasks that are looked through for the last day. */
const ENDS_MAX = 2_000;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** A job for the first visit: three looks side by side, a wait, a step that is left out, a person's look at the result. No call to the outside. */
const SAMPLE = {
  title: 'Sample: greet, wait, look at the result',
  description: 'Made by the dashboard. It calls nothing outside; a person looks at the last result.',
  payload: { name: 'world' },
  plan: {
    steps: [
      {
        id: 'prepare',
        title: 'Prepare',
        steps: [
          { id: 'greet', title: 'Write a greeting', action: 'template.render', params: { template: 'Hello, {{ name }}!', data: { name: '${task.payload.name}' } } },
          { id: 'numbers', title: 'Note some numbers', action: 'echo', params: { numbers: [1, 2, 3] } },
          { id: 'never', title: 'Only on Sundays that are Mondays', action: 'noop', when: '1 > 2' },
        ],
      },
      { id: 'pause', title: 'Wait for three seconds', action: 'wait.for', needs: ['prepare'], params: { duration: '3s' } },
      { id: 'result', title: 'Put it together', action: 'echo', needs: ['pause'], params: { text: '${steps.greet.output.text}' }, gates: [{ kind: 'MANUAL_REVIEW' }] },
    ],
  },
};

export function open(cx) {
  const active = new Source(actives, cx.draw).load();
  const events = new Source(() => get(query('/api/v1/events', { order: 'desc', limit: EVENTS })), cx.draw).load();
  const agents = new Source(() => get(query('/api/v1/agents', { limit: 100 })), cx.draw).load();
  const ends = new Source(lastDay, cx.draw).load();
  // Who may not see figures of all tasks sees the page without that one.
  const lasts = new Source(() => get(query('/api/v1/admin/metrics', { window: '1d' })).then((found) => found.tasks.execution, () => null), cx.draw).load();
  const all = [active, events, agents, ends, lasts];
  let seen = 0;

  return {
    title: 'Overview',
    reset: () => all.forEach((source) => source.load()),
    event(event) {
      if (event.stream.startsWith('agent_')) agents.load();
      if (event.stream.startsWith('task_')) active.load();
      if (ENDED.includes(event.type)) ends.load();
      if (events.value && event.position > (events.value[0]?.position ?? 0)) events.value = [event, ...events.value].slice(0, EVENTS);
    },
    tick() {
      agents.load();
      // What agents say of their progress is no event.
      seen += 1;
      if (seen % 2 === 0) active.load();
      if (seen % FIGURES_EVERY === 0) lasts.load();
    },
    end: () => all.forEach((source) => source.end()),
    render() {
      const counts = cx.counts.value;
      if (counts && counts.total === 0) return welcome(cx);
      return [
        h('div.row', null, h('h1.grow', null, 'Overview'), link('/new', 'a.btn.primary', icon('plus'), 'New task')),
        needs(cx),
        h('section.kpis', { 'aria-label': 'Key figures' }, figures(cx, ends.value, agents.value, lasts.value)),
        h(
          'div.grid2',
          null,
          h('div.col.gap4', null, activeTasks(active, counts), throughput(ends)),
          h('div.col.gap4', null, agentsCard(agents), waitingCard(active), recent(events)),
        ),
      ];
    },
  };
}

const ENDED = ['COMPLETED', 'FAILED', 'CANCELLED', 'STOPPED'];

/** The tasks under way, each as a whole: how far it is stands there. What is known already and has not changed is not asked again. */
async function actives(before) {
  const rows = await get(query('/api/v1/tasks', { status: LIVE.join(','), limit: SHOWN }));
  const known = new Map((before ?? []).map((task) => [task.id, task]));
  return Promise.all(
    rows.map((row) => {
      const task = known.get(row.id);
      const same = task && task.updated_at === row.updated_at && !['IN_PROGRESS', 'ASSIGNED'].includes(row.status);
      return same ? task : get(`/api/v1/tasks/${row.id}`);
    }),
  );
}

/** What ended within a day, the last first; `more` where there was more than is looked through. */
async function lastDay() {
  const from = Date.now() - DAY_MS;
  const found = [];
  let next = query('/api/v1/events', { type: ENDED.join(','), order: 'desc', limit: 500 });
  while (next && found.length < ENDS_MAX) {
    const page = await call('GET', next);
    found.push(...page.data.filter((event) => event.stream.startsWith('task_') && ENDED.includes(event.status_after)));
    const last = page.data.at(-1);
    next = last && Date.parse(last.at) >= from ? page.next : null;
  }
  return { ends: found.filter((event) => Date.parse(event.at) >= from), more: found.length >= ENDS_MAX };
}

function needs(cx) {
  const asked = cx.asked.value ?? [];
  if (asked.length === 0) return null;
  return h(
    'section',
    { 'aria-labelledby': 'needs' },
    h('h2.vh', { id: 'needs' }, 'Needs you'),
    h('ul.need', null, asked.slice(0, CARDS).map((one) => {
      const { family, picture, word } = kind(one.reason);
      return h(
        'li.card',
        { class: family, key: name(one) },
        h('div.row', null, icon(picture, family), h('span.b.grow.trunc', null, `${word}: ${one.title}`)),
        h('div.muted.sm.trunc', { title: one.what }, one.step ? `step ${one.step} · ` : '', one.what),
        h('div.row', null, h('span.sm.b', { class: `c-${family}` }, one.until ? ['expires ', ago(one.until)] : ['since ', ago(one.since)]), h('span.grow'), link(`/inbox?on=${encodeURIComponent(name(one))}`, 'a.btn.s', 'Decide')),
      );
    })),
    asked.length > CARDS && h('p.sm.muted.pad', null, link('/inbox', null, `and ${asked.length - CARDS} more in the inbox`)),
  );
}

function figures(cx, day, agents, lasts) {
  const by = cx.counts.value?.by_status ?? {};
  const sum = (...statuses) => statuses.reduce((all, status) => all + (by[status] ?? 0), 0);
  const slots = (agents ?? []).reduce((all, agent) => all + (agent.slots ?? 0), 0);
  const held = (agents ?? []).reduce((all, agent) => all + agent.leases.length, 0);
  const ends = day?.ends ?? [];
  const good = ends.filter((event) => event.status_after === 'COMPLETED');
  const bad = ends.filter((event) => event.status_after !== 'COMPLETED');
  const rate = ends.length ? `${Math.round((good.length / ends.length) * 1000) / 10} % of ${ends.length} today` : 'none in 24 h';
  const figure = (family, picture, label, value, below, to, spark) =>
    h('a.card.kpi', { href: to }, h('span.row.sm.muted', null, icon(picture, family), label), h('span.v', null, value), h('span.sm.muted', null, below), spark ?? null);
  return [
    figure('run', 'run', 'Running', sum('ASSIGNED', 'IN_PROGRESS', 'RETRYING', 'REVIEW'), slots ? `${held} of ${slots} slots` : `${held} pieces of work`, '/tasks?status=assigned,in_progress,retrying,review'),
    figure('block', 'block', 'Held up', sum('BLOCKED', 'STALLED', 'ESCALATED', 'DELIBERATING'), `${cx.asked.value?.length ?? 0} need a person`, '/tasks?status=blocked,stalled,escalated,deliberating'),
    figure('idle', 'queue', 'Queued', sum('PENDING', 'SCHEDULED'), `${by.PAUSED ?? 0} paused`, '/tasks?status=pending,scheduled'),
    figure('done', 'done', 'Completed', by.COMPLETED ?? 0, rate, '/tasks?status=completed', day && sparkline(hours(good), 'done')),
    figure('fail', 'fail', 'Failed or ended', sum('FAILED', 'CANCELLED', 'STOPPED'), bad.length ? `${bad.length} in 24 h` : 'none in 24 h', '/tasks?status=failed,cancelled,stopped', day && sparkline(hours(bad), 'fail')),
    lasts && figure('gov', 'clock', 'Half done within', took(lasts.p50), lasts.count ? `95 of 100 within ${took(lasts.p95)}` : 'none done in 24 h', '/figures'),
  ];
}

/** How many events fell into each of the last 24 hours, the oldest first. */
function hours(events) {
  const now = Date.now();
  const counts = new Array(24).fill(0);
  for (const event of events) {
    const ago = Math.floor((now - Date.parse(event.at)) / HOUR_MS);
    if (ago >= 0 && ago < 24) counts[23 - ago] += 1;
  }
  return counts;
}

function sparkline(values, family) {
  const most = Math.max(1, ...values);
  const points = values.map((value, i) => `${(i * 100) / (values.length - 1)} ${22 - (value / most) * 19}`);
  return h(
    'svg.spark',
    { viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    h('path', { d: `M${points.join(' L')} L100 24 L0 24Z`, class: `f-${family}`, opacity: '.14' }),
    h('path', { d: `M${points.join(' L')}`, class: `s-${family}`, fill: 'none', 'stroke-width': '1.6', 'vector-effect': 'non-scaling-stroke' }),
  );
}

function activeTasks(active, counts) {
  const by = counts?.by_status ?? {};
  const all = LIVE.reduce((sum, status) => sum + (by[status] ?? 0), 0);
  const tasks = active.value ?? [];
  const rows = tasks.map((task) =>
    h(
      'tr',
      { key: task.id },
      h('td.tcell', null, link(`/tasks/${task.id}`, 'a', h('span.b.trunc.block', null, task.title)), h('span.sm.muted.trunc.block', null, h('span.mono', null, short(task.id)), ` · ${task.task_type}`)),
      h('td', null, pill(task)),
      h('td.pcol', null, h('div.row', null, stepBar(task, 'thin'), h('span.sm.muted.nowrap', null, `${Math.round(task.progress * 100)} %`))),
      h('td', null, risk(task.risk_level)),
      h('td.sm.muted.nowrap', null, ago(task.updated_at ?? task.created_at)),
    ),
  );
  const head = [h('span.tag', null, all), h('span.grow'), link('/tasks?status=' + LIVE.join(',').toLowerCase(), 'a.link.sm', 'All of them')];
  if (active.value && tasks.length === 0) return card('Active tasks', head, empty('Nothing is under way. A task appears here the moment one is created, from the page, the command line or the interface.'));
  return card('Active tasks', head, h('div.scroll', null, h('table', null, h('thead', null, h('tr', null, ['Task', 'Status', 'Progress', 'Risk', 'Changed'].map((word) => h('th', { scope: 'col' }, word)))), h('tbody', null, rows))));
}

function throughput(source) {
  const day = source.value;
  if (!day) return null;
  const good = hours(day.ends.filter((event) => event.status_after === 'COMPLETED'));
  const bad = hours(day.ends.filter((event) => event.status_after !== 'COMPLETED'));
  const most = Math.max(4, ...good.map((n, i) => n + bad[i]));
  const now = Date.now();
  const step = 100 / 24;
  const bars = good.map((n, i) => {
    const [high, low] = [(n / most) * 118, (bad[i] / most) * 118];
    const x = `${i * step + 0.6}%`;
    const width = `${step - 1.2}%`;
    const from = now - (24 - i) * HOUR_MS;
    return [
      n > 0 && h('rect', { x, y: 124 - high, width, height: high, rx: 2, class: 'f-done' }, h('title:svg', null, `${n} completed from ${instant(from)}`)),
      bad[i] > 0 && h('rect', { x, y: 124 - high - low, width, height: low, rx: 2, class: 'f-fail' }, h('title:svg', null, `${bad[i]} ended without success from ${instant(from)}`)),
    ];
  });
  const labels = good.map((_, i) => i % 4 === 0 && h('text', { x: `${i * step + step / 2}%`, y: 142, 'text-anchor': 'middle', class: 'axis' }, time(now - (23 - i) * HOUR_MS, false).slice(0, 2)));
  const lines = [0, 0.5, 1].map((part) => [h('line', { x1: '0', x2: '100%', y1: 124 - part * 118, y2: 124 - part * 118, class: 's-line' }), part > 0 && h('text', { x: 2, y: 122 - part * 118 + 12, class: 'axis' }, Math.round(most * part))]);
  return card(
    'Ended, last 24 h',
    [h('span.grow'), h('span.legend', null, [['done', 'completed'], ['fail', 'without success']].map(([family, word]) => h('span', null, h('svg', { width: 14, height: 8 }, h('rect', { width: 14, height: 8, rx: 2, class: `f-${family}` })), word)))],
    h('div.body', null, h('svg.chart', { role: 'img', 'aria-label': `${good.reduce((a, b) => a + b, 0)} completed, ${bad.reduce((a, b) => a + b, 0)} ended without success` }, lines, bars, labels), day.more && h('p.sm.muted', null, `The last ${ENDS_MAX} ends are counted.`)),
  );
}

function agentsCard(source) {
  const agents = (source.value ?? []).filter((agent) => agent.status !== 'REVOKED');
  const silent = agents.filter((agent) => ['SILENT', 'DEAD'].includes(agent.liveness)).length;
  const heard = agents.filter((agent) => agent.liveness && !['SILENT', 'DEAD'].includes(agent.liveness)).length;
  const head = [heard > 0 && h('span.tag.done', null, `${heard} here`), silent > 0 && h('span.tag.block', null, `${silent} silent`), h('span.grow'), link('/agents', 'a.link.sm', 'All agents')];
  if (source.value && agents.length === 0) return card('Agents', head, empty('No agent is known. Any program that can call HTTP can be one.', link('/agents', 'a.link.sm', 'The three calls')));
  return card('Agents', head, h('ul.agents', null, agents.slice(0, 6).map((agent) => {
    const bad = ['SILENT', 'DEAD'].includes(agent.liveness) || agent.breaker !== 'CLOSED';
    return h(
      'li',
      { key: agent.id },
      icon(bad ? 'block' : agent.liveness ? 'done' : 'wait', bad ? 'block' : agent.liveness ? 'done' : 'idle', bad ? 'trouble' : agent.liveness ? 'here' : 'not heard of yet'),
      h('div.trunc', null, link(`/agents/${agent.id}`, 'a.b', agent.name), h('div.sm.muted.trunc', null, agent.capabilities.slice(0, 3).join(', '), ` · ${agent.leases.length}${agent.slots ? ` of ${agent.slots}` : ''} in work`)),
      h('span.sm.muted', null, agent.last_seen_at ? ago(agent.last_seen_at) : '—'),
    );
  })));
}

/** Why what is shown waits, those alike together. */
function waitingCard(active) {
  const groups = new Map();
  for (const task of active.value ?? []) {
    if (!task.waiting_reason || task.waiting_reason === 'RUNNING') continue;
    groups.set(task.waiting_reason, [...(groups.get(task.waiting_reason) ?? []), task]);
  }
  if (groups.size === 0) return null;
  return card('Why work waits', h('span.muted.sm', null, 'of the active tasks shown'), h('ul.agents', null, [...groups].map(([reason, tasks]) => {
    const { family, picture, word } = REASONS[reason] ?? kind(reason);
    return h('li', { key: reason }, icon(picture, family), h('span', null, h('b', null, tasks.length), ' ', word.toLowerCase()), link(tasks.length === 1 ? `/tasks/${tasks[0].id}` : `/tasks?status=${[...new Set(tasks.map((task) => task.status.toLowerCase()))].join(',')}`, 'a.link.sm', 'Show'));
  })));
}

const REASONS = {
  NO_AGENT: { family: 'idle', picture: 'queue', word: 'wait for an agent that is able' },
  PAUSED: { family: 'idle', picture: 'pause', word: 'are paused' },
  DUE: { family: 'idle', picture: 'clock', word: 'are not due yet' },
  TIMER: { family: 'idle', picture: 'clock', word: 'wait for a time' },
  RETRY: { family: 'run', picture: 'retry', word: 'wait for their next try' },
  DEPENDENCY: { family: 'idle', picture: 'wait', word: 'wait for another task' },
  CHILD: { family: 'idle', picture: 'wait', word: 'wait for a part of theirs' },
  GATE: { family: 'gov', picture: 'council', word: 'are being judged' },
  HOLD: { family: 'block', picture: 'flow', word: 'are kept back by a hold' },
  LIMIT: { family: 'block', picture: 'flow', word: 'are kept back by a limit' },
};

function recent(source) {
  const rows = (source.value ?? []).map((event) => {
    const { family, picture, words } = eventWords(event);
    const task = event.stream.startsWith('task_');
    return h('li', { key: event.position }, h('time', { datetime: event.at, title: instant(event.at) }, time(event.at)), icon(picture, family), h('span.trunc', { title: words }, task ? link(`/tasks/${event.stream}`, 'a.mono', short(event.stream)) : h('span.mono', null, short(event.stream)), ' ', words));
  });
  return card('Recent events', h('span.muted.sm', null, `last ${EVENTS} of ${live.position}`), h('ol.feed', { role: 'log', 'aria-label': 'Recent events', 'aria-live': 'off' }, rows));
}

function welcome(cx) {
  const why = cx.why('submit');
  const run = async () => {
    const { data } = await call('POST', '/api/v1/tasks', SAMPLE, once());
    cx.go(`/tasks/${data.id}`);
  };
  const step = (n, title, words, ...more) => h('section.card', null, h('header', null, h('span.num', null, n), h('h2', null, title)), h('div.body', null, h('p.muted', null, words), more));
  const origin = location.origin;
  return [
    h('div.row.wrap', null, h('h1.grow', null, 'Welcome'), h('span.muted.sm', null, 'Nothing has run yet.')),
    h(
      'div.hero',
      null,
      step(1, 'Watch a sample task', 'Five steps, some side by side, one left out, one whose result you look at. The built-in agents do it; nothing outside is called.', h('div', null, h('button.btn.primary', { type: 'button', disabled: Boolean(why), title: why, on: { click: run } }, icon('play'), 'Run the sample'))),
      step(2, 'Create your own', 'Say what is to be done and by which action, or give a whole plan. A dry run changes nothing outside.', h('div', null, link('/new', 'a.btn', icon('plus'), 'New task')), h('pre.code', null, 'ephor task create -d "…" --mode dry-run --watch')),
      step(3, 'Connect an agent', 'Any program that can call HTTP can work here: register, ask for work, report.', h('div', null, link('/agents', 'a.btn', 'Show the three calls')), h('pre.code', null, `POST ${origin}/api/v1/agents`)),
    ),
    card('Active tasks', h('span.tag', null, 0), empty('No tasks. They appear here the moment one is created, from the page, the command line or the interface.', h('a.link.sm', { href: '/api-docs', target: '_blank', rel: 'noopener' }, 'API reference'))),
  ];
}
