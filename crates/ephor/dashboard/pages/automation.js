// What goes on by itself: tasks that come again, with their next runs, and who is told over HTTP of what, with how that went.

import { Source, ask as call, get, once, query } from '../api.js';
import { ACTS, carryOut, why } from '../acts.js';
import { ask, told } from '../dialog.js';
import { button, card, empty, h, icon, link } from '../dom.js';
import { table } from '../parts.js';
import { ago, counted, instant, pill, sentence, short, span } from '../words.js';

/** How many tries of a webhook are looked up. */
const TRIES = 50;
/** How long what was looked up stands, whatever happens meanwhile. */
const SPARED_MS = 5_000;
const STATES = { ACTIVE: ['done', 'done', 'Told'], FAILING: ['block', 'retry', 'Failing'], PAUSED: ['idle', 'pause', 'Paused'], OFF: ['fail', 'stop', 'Off'] };
const TOPICS = ['task.completed', 'task.failed', 'task.cancelled', 'task.stopped', 'task.blocked', 'task.stalled', 'task.escalated', 'approval.owed', 'question.raised', 'review.opened'];

export function open(cx) {
  let next = null;
  let asked = false;
  let stale = false;
  const schedules = new Source(async () => {
    const page = await call('GET', '/api/v1/schedules');
    next = page.next;
    return page.data;
  }, cx.draw).load();
  // Addresses of others are shown to who may change them, and to nobody else.
  const hooks = new Source(async () => (cx.why('hooks') ? null : get('/api/v1/webhooks')), cx.draw);
  let tries = null;
  let of = null;

  /** The tries of the webhook that is selected. */
  function log() {
    const id = cx.query.get('webhook');
    if (id === of) return tries;
    tries?.end();
    of = id;
    tries = id && new Source(() => get(query(`/api/v1/webhooks/${encodeURIComponent(id)}/deliveries`, { limit: TRIES })), cx.draw).load();
    return tries;
  }

  function look() {
    schedules.load();
    hooks.load();
    log()?.load();
  }

  const own = { ...cx, look };
  const more = async () => {
    const page = await call('GET', next);
    next = page.next;
    schedules.value = [...schedules.value, ...page.data];
    cx.draw();
  };
  return {
    title: 'Automation',
    reset: look,
    tick: () => {
      hooks.load();
      log()?.load();
      if (stale) schedules.load();
      stale = false;
    },
    event(event) {
      if (!event.stream.startsWith('task_') || event.status_before === event.status_after) return;
      // They are looked for task by task: where much happens, once with each tick is often enough.
      if (Date.now() - schedules.at > SPARED_MS) schedules.load();
      else stale = true;
    },
    end: () => [schedules, hooks, tries].forEach((source) => source?.end()),
    render() {
      if (!asked && cx.me.value) {
        asked = true;
        hooks.load();
      }
      const found = schedules.value;
      return [
        h('h1', null, 'Automation'),
        schedules.error && told(schedules.error),
        card(
          'Schedules',
          [found && h('span.tag', null, `${found.length}${next ? '+' : ''}`), h('span.grow'), button('.s', { why: cx.why('submit'), 'data-do': 'schedule', on: { click: () => schedule(look) } }, icon('plus'), 'Make a schedule…')],
          !found ? h('div.body.muted', null, 'Looking…') : found.length === 0 && next ? empty('None of the newest tasks comes again; not all of them were looked at.') : found.length === 0 ? empty('No task comes again. One with a recurrence, by the calendar or at an interval, stands here with its next runs.') : table(['Task', 'Comes', 'Is', 'Run', 'Next runs', ''], found.map((one) => series(one, own))),
          next && h('div.body', null, h('button.btn.s', { type: 'button', on: { click: more } }, 'More schedules')),
        ),
        webhooks(hooks, cx, look),
        log() && deliveries(cx.query.get('webhook'), hooks, tries, cx, look),
      ];
    },
  };
}

/** When it comes, in words. */
function comes({ every, cron, time_zone: zone, times, overlap }) {
  return [
    every ? `every ${every}` : h('span', null, h('code', null, cron), h('span.muted.sm', null, ` ${zone ?? 'UTC'}`)),
    h('div.sm.muted', null, [times && `${times} times in all`, overlap && overlap !== 'SKIP' && `overlap: ${sentence(overlap).toLowerCase()}`].filter(Boolean).join(' · ')),
  ];
}

/** One that comes again. Holding its next run holds the series, cancelling that run ends it. */
function series(one, cx) {
  const task = { ...one, id: one.task_id };
  const act = (name, label) => {
    const found = ACTS.find((known) => known.name === name);
    return button(`.s${found.danger ? '.danger' : ''}`, { why: why(found, task, cx), 'data-act': name, on: { click: () => carryOut({ ...found, label }, task, cx) } }, label);
  };
  return h(
    'tr',
    { key: one.task_id, 'data-schedule': one.task_id },
    h('td', null, link(`/tasks/${one.task_id}`, 'a.link.b', one.title), h('div.sm.muted', null, one.task_type, one.namespace !== 'default' && ` · ${one.namespace}`)),
    h('td', null, comes(one.recurrence)),
    h('td', null, pill(one)),
    h('td.nowrap', null, one.run ?? 1, one.recurrence.times && h('span.muted', null, ` of ${one.recurrence.times}`)),
    h('td.sm.nowrap', null, h('ol', null, one.next_runs.map((at, i) => h('li', { key: at }, i === 0 ? h('b', null, ago(at)) : ago(at), h('span.muted', null, ` ${instant(at)}`))))),
    h('td.right', null, h('div.row.end', null, one.status === 'PAUSED' ? act('resume', 'Resume') : act('pause', 'Pause'), act('cancel', 'End the series…'))),
  );
}

/** Makes a task of one action that comes again. */
async function schedule(look) {
  const done = await ask({
    title: 'Make a schedule',
    words: 'A task of one action that comes again. Anything larger is written under New task, or with ephor task create.',
    fields: [
      { name: 'title', label: 'Title', required: true },
      { name: 'action', label: 'Action', required: true, hint: 'for example echo, shell.run, http.request' },
      { name: 'params', label: 'Parameters of the action', kind: 'json', value: '{}' },
      { name: 'cron', label: 'By the calendar', hint: 'minute, hour, day, month, day of the week: 0 9 * * 1-5' },
      { name: 'time_zone', label: 'Whose clock', hint: 'for example Europe/Berlin; UTC where it is empty' },
      { name: 'every', label: 'Or at an interval', hint: 'for example 2h' },
      { name: 'times', label: 'How many runs in all', hint: 'for ever where it is empty' },
    ],
    yes: 'Make it',
    act: ({ title, action, params, times, ...when }) => {
      const recurrence = { ...when, ...(times ? { times: Number(times) } : {}) };
      return call('POST', '/api/v1/tasks', { title, recurrence, plan: { steps: [{ action, params: params ?? {} }] } }, once());
    },
  });
  if (done) look();
}

function webhooks(hooks, cx, look) {
  const no = cx.why('hooks');
  const found = hooks.value;
  const head = [found && h('span.tag', null, found.length), h('span.grow'), button('.s', { why: no, 'data-do': 'webhook', on: { click: () => subscribe(look) } }, icon('plus'), 'Have somebody told…')];
  if (no && !found) return card('Webhooks', head, empty(`They are shown to who may change them: ${no}.`));
  if (hooks.error) return card('Webhooks', head, h('div.body', null, told(hooks.error)));
  if (!found) return card('Webhooks', head, h('div.body.muted', null, 'Looking…'));
  if (found.length === 0) return card('Webhooks', head, empty('Nobody is told over HTTP. Whoever is hears of tasks that end, fail, block or escalate, and of approvals that are owed.'));
  return card('Webhooks', head, table(['Webhook', 'State', 'Hears of', 'Behind', ''], found.map((one) => hook(one, cx, look))));
}

function hook(one, cx, look) {
  const at = `/api/v1/webhooks/${encodeURIComponent(one.id)}`;
  const [family, picture, word] = STATES[one.state] ?? ['idle', 'wait', sentence(one.state)];
  const chosen = cx.query.get('webhook') === one.id;
  const held = one.state !== 'ACTIVE';
  const steer = (verb) => answer(`${sentence(verb)} ${one.name}`, verb === 'pause' ? 'It is told nothing for now; what happens meanwhile is told once it goes on.' : 'It goes on where it ended, now.', sentence(verb), () => call('POST', `${at}/${verb}`), look);
  const remove = () => answer(`Delete ${one.name}`, 'It is told no more, and how that went is forgotten.', 'Delete', () => call('DELETE', at), () => { if (chosen) cx.narrow({ webhook: null }); look(); }, true);
  const why = cx.why('hooks');
  return h(
    'tr',
    { key: one.id, 'data-webhook': one.id, 'aria-current': chosen && 'true' },
    h('td', null, h('b', null, one.name), h('div.sm.muted.any', null, one.url)),
    h('td', null, h('span.st', { class: family, 'data-state': one.state }, icon(picture), word), one.why && h('div.sm.muted.any', null, one.why), one.next_try_at && h('div.sm.muted', null, 'next try ', ago(one.next_try_at))),
    h('td.sm.any', null, one.events.join(', '), h('div.muted', null, [one.task_types?.length > 0 && `types ${one.task_types.join(', ')}`, one.namespace && `namespace ${one.namespace}`].filter(Boolean).join(' · '))),
    h('td.nowrap', null, one.behind > 0 ? counted(one.behind, 'event') : 'nothing'),
    h(
      'td.right',
      null,
      h(
        'div.row.end',
        null,
        button('.s', { why, 'data-do': 'test', on: { click: () => tried(() => call('POST', `${at}/test`), one.name, look) } }, 'Test'),
        button('.s', { why, 'data-do': held ? 'resume' : 'pause', on: { click: () => steer(held ? 'resume' : 'pause') } }, held ? 'Resume' : 'Pause'),
        h('button.btn.s', { type: 'button', 'aria-pressed': String(chosen), 'data-do': 'log', on: { click: () => cx.narrow({ webhook: chosen ? null : one.id }, true) } }, chosen ? 'Hide tries' : 'Tries'),
        button('.s.danger', { why, 'data-do': 'delete', on: { click: remove } }, 'Delete…'),
      ),
    ),
  );
}

async function answer(title, words, yes, act, look, danger = false) {
  if (await ask({ title, words, yes, danger, act })) look();
}

/** Sends something now, and says how that went: a message that did not arrive is no failure of the request. */
async function tried(send, name, look) {
  let one = null;
  const done = await ask({
    title: `Send to ${name} now`,
    words: 'It goes out at once, and you are told whether it arrived.',
    yes: 'Send',
    act: async () => {
      one = (await send()).data;
    },
  });
  if (!done) return;
  look();
  const words = one.delivered ? `It arrived: ${one.status}, after ${span(one.took_ms)}.` : `It did not arrive: ${one.error ?? one.status ?? 'no answer'}.`;
  await ask({ title: one.delivered ? 'It arrived' : 'It did not arrive', words, yes: 'All right', act: async () => {} });
}

/** Subscribes somebody; the secret is shown this once. */
async function subscribe(look) {
  let made = null;
  const done = await ask({
    title: 'Have somebody told',
    words: 'Messages are signed; the secret that signs them is shown once.',
    fields: [
      { name: 'name', label: 'Name', required: true },
      { name: 'url', label: 'Address', required: true, hint: 'begins with https:' },
      { name: 'events', label: 'Of what', hint: `separated by commas, the usual where it is empty: ${TOPICS.join(', ')}` },
      { name: 'task_types', label: 'Only of tasks of these types', hint: 'separated by commas' },
      { name: 'namespace', label: 'Only of this namespace' },
      { name: 'format', label: 'Form', kind: 'choice', options: [['standard', 'Standard Webhooks'], ['cloudevents', 'CloudEvents']] },
    ],
    yes: 'Have it told',
    act: async ({ events, task_types: types, ...rest }) => {
      const list = (text) => (text ?? '').split(',').map((word) => word.trim()).filter(Boolean);
      made = (await call('POST', '/api/v1/webhooks', { ...rest, events: list(events), task_types: list(types) })).data;
    },
  });
  if (!done) return;
  look();
  await ask({ title: `The secret of ${made.name}`, words: ['Copy it now: nobody sees it again.', made.secret], yes: 'I have it', act: async () => {} });
}

function deliveries(id, hooks, tries, cx, look) {
  const one = (hooks.value ?? []).find((known) => known.id === id);
  const name = one?.name ?? short(id);
  const found = tries.value;
  if (tries.error) return card(`Tries of ${name}`, null, h('div.body', null, told(tries.error)));
  if (!found) return card(`Tries of ${name}`, null, h('div.body.muted', null, 'Looking…'));
  const again = (number) => tried(() => call('POST', `/api/v1/webhooks/${encodeURIComponent(id)}/deliveries/${number}/redeliver`), name, look);
  const rows = found.map((said) =>
    h(
      'tr',
      { key: said.id, 'data-try': said.id },
      h('td.nowrap', null, ago(said.at), h('div.sm.muted', null, `#${said.id}`)),
      h('td', null, said.event),
      h('td', null, h('span.st', { class: said.delivered ? 'done' : 'fail' }, icon(said.delivered ? 'done' : 'fail'), said.delivered ? 'Arrived' : 'Failed'), said.error && h('div.sm.muted.any', null, said.error)),
      h('td', null, said.status ?? '—'),
      h('td', null, said.attempt),
      h('td.nowrap', null, span(said.took_ms)),
      h('td', null, said.task_id ? link(`/tasks/${said.task_id}`, 'a.link.mono', short(said.task_id)) : '—'),
      h('td.right', null, button('.s', { why: cx.why('hooks'), 'data-do': 'redeliver', on: { click: () => again(said.id) } }, 'Send again…')),
    ),
  );
  return card(`Tries of ${name}`, h('span.tag', null, found.length), found.length === 0 ? empty('Nothing was sent yet. Each try to tell it something stands here.') : table(['When', 'Told', 'Result', 'Status', 'Attempt', 'Took', 'Task', ''], rows));
}
