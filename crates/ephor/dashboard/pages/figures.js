// Figures: how tasks ended and how long they took, what waits, who works, what people owe, and what is beyond its threshold.

import { Source, get, query } from '../api.js';
import { told } from '../dialog.js';
import { card, empty, h, icon, link } from '../dom.js';
import { chosenWindow, table, windowSelect } from '../parts.js';
import { ago, counted, percent, sentence, short, took } from '../words.js';

/** How many types are shown. */
const TYPES = 12;

export function open(cx) {
  const figures = new Source(() => get(query('/api/v1/admin/metrics', { window: chosenWindow(cx) })), cx.draw).load();
  return {
    title: 'Metrics',
    reset: () => figures.load(),
    narrowed: () => figures.load(),
    tick: () => figures.load(),
    end: () => figures.end(),
    render() {
      const now = figures.value;
      return [
        h('div.row.wrap', null, h('h1.grow', null, 'Metrics'), windowSelect(cx)),
        figures.error && told(figures.error),
        !now && !figures.error && h('p.muted', null, 'Looking…'),
        now && now.behind > 0 && h('p.sm.muted', null, `${now.behind === 1 ? '1 event is' : `${now.behind} events are`} not counted yet: the past is still being read.`),
        now && alerts(now),
        now && h('section.kpis', { 'aria-label': 'Key figures' }, keys(now)),
        now && h('div.grid2', null, h('div.col.gap4', null, types(now), attempts(now), durations(now)), h('div.col.gap4', null, people(now), agents(now), engine(now))),
        now && h('p.sm.muted', null, 'Counted since ', ago(now.since), '. Durations are right to their class. ', now.engine && ['Programs read the same at ', h('code', null, '/metrics'), '.']),
      ];
    },
  };
}

function alerts(now) {
  const over = now.alerts.filter((alert) => alert.over);
  if (over.length === 0) return null;
  return h('ul.need', { 'aria-label': 'Beyond their thresholds' }, over.map((alert) => h('li.card.fail', { key: alert.name }, h('div.row', null, icon('warn', 'fail'), h('b.grow', null, sentence(alert.name.replace(/_warning$/, '')))), h('div.sm', null, `${alert.value}, beyond ${alert.threshold}`), alert.since && h('div.sm.muted', null, 'since ', ago(alert.since)))));
}

function keys(now) {
  const figure = (family, picture, label, value, below, to) => h('a.card.kpi', { href: to }, h('span.row.sm.muted', null, icon(picture, family), label), h('span.v', null, value), h('span.sm.muted', null, below));
  const { tasks, attempts: tries, queue, people: asked, council, approvals } = now;
  return [
    figure('done', 'done', 'Success rate', percent(tasks.success_rate), `${tasks.completed} completed, ${tasks.failed} failed`, '/tasks?status=completed'),
    figure('fail', 'fail', 'Error rate', percent(tries.error_rate), `${tries.failed} of ${counted(tries.failed + tries.succeeded, 'attempt')}`, '/tasks?status=failed'),
    figure('run', 'clock', 'Half done within', took(tasks.execution.p50), `95 of 100 within ${took(tasks.execution.p95)}`, '/tasks'),
    figure('idle', 'queue', 'Queued', queue.depth, queue.oldest ? `the oldest for ${took(queue.oldest)}` : 'nothing waits', '/tasks?status=scheduled'),
    figure('block', 'person', 'Ask a person', asked.tasks_asking, `${counted(council.open, 'review')}, ${counted(approvals.owed, 'approval')}`, '/inbox'),
  ];
}

function types(now) {
  const all = [...now.tasks.by_type].sort((a, b) => b.submitted - a.submitted);
  if (all.length === 0) return card('By type', null, empty('Nothing happened in this time.'));
  const rows = all.slice(0, TYPES).map((one) =>
    h('tr', { key: one.task_type }, h('td.b', null, one.task_type), h('td', null, one.submitted), h('td', null, one.completed), h('td', null, one.failed), h('td', null, percent(one.success_rate)), h('td', null, percent(one.error_rate)), h('td.nowrap', null, took(one.duration.p50)), h('td.nowrap', null, took(one.duration.p95))),
  );
  return card('By type', [h('span.tag', null, all.length)], table(['Type', 'Submitted', 'Completed', 'Failed', 'Success', 'Errors', 'Half within', '95 % within'], rows));
}

function attempts(now) {
  const classes = Object.entries(now.attempts.by_class).sort((a, b) => b[1] - a[1]);
  if (classes.length === 0) return card('What went wrong', [h('span.tag.done', null, 0)], empty('No attempt failed.'));
  const most = Math.max(...classes.map(([, n]) => n));
  const rows = classes.map(([word, n]) =>
    h('tr', { key: word }, h('td.b', null, sentence(word)), h('td.pcol', null, h('svg.bar.thin', { role: 'img', 'aria-label': `${n} of ${now.attempts.failed}` }, h('rect', { width: `${(n * 100) / most}%`, height: '100%', class: 'f-fail' }))), h('td', null, n)),
  );
  return card('What went wrong', [h('span.tag.fail', null, now.attempts.failed), h('span.muted.sm', null, 'attempts by the class of their error')], table(['Class', 'Share', 'Attempts'], rows));
}

function durations(now) {
  const { tasks, attempts: tries, council, approvals } = now;
  const all = [['Tasks, from submission', tasks.duration], ['Tasks, from the first start', tasks.execution], ['In the queue', tasks.queued], ['Attempts at steps', tries.duration], ['Reviews', council.time_to_decide], ['Answers about actions', approvals.time_to_answer]];
  const rows = all.map(([word, spread]) => h('tr', { key: word }, h('td.b', null, word), h('td', null, spread.count), h('td.nowrap', null, took(spread.mean)), h('td.nowrap', null, took(spread.p50)), h('td.nowrap', null, took(spread.p95))));
  return card('How long things took', null, table(['', 'Times', 'On average', 'Half within', '95 % within'], rows));
}

const pair = (name, value) => [h('dt', null, name), h('dd.any', null, value ?? '—')];
const each = (words) => Object.entries(words).map(([word, n]) => `${n} ${sentence(word).toLowerCase()}`).join(', ') || 'none';

function people(now) {
  const { council, gates, approvals, people: asked, tasks } = now;
  return card('Governance', link('/council', 'a.link.sm', 'Council'), h('dl.kv.body', null, pair('Reviews open', council.oldest ? `${council.open}, the oldest for ${took(council.oldest)}` : council.open), pair('Verdicts', each(council.by_verdict)), pair('Gates', `${gates.passed} passed, ${gates.failed} failed`), pair('Judged by', Object.entries(gates.by_kind).map(([kind, judged]) => `${kind} ${judged.passed}/${judged.passed + judged.failed}`).join(', ') || '—'), pair('Approvals owed', approvals.oldest ? `${approvals.owed}, the oldest for ${took(approvals.oldest)}` : approvals.owed), pair('Answers', each(approvals.by_answer)), pair('Ask people', asked.oldest ? `${counted(asked.tasks_asking, 'task')}, the oldest for ${took(asked.oldest)}` : asked.tasks_asking), pair('Escalated', tasks.escalated), pair('Tried again', tasks.retried)));
}

function agents(now) {
  const { agents: known, models, breakers } = now;
  return card('Agents and models', [link('/agents', 'a.link.sm', 'Agents'), link('/models', 'a.link.sm', 'Models')], h('dl.kv.body', null, pair('Known', known.total), pair('They look', each(known.by_liveness)), pair('In their hands', known.leases), pair('Models', models.map((model) => `${model.name}${model.left_alone ? ' (left alone)' : ''}`).join(', ') || '—'), pair('Left alone', breakers.map((one) => `${String(one.of).toLowerCase()} ${short(one.name)}`).join(', ') || 'none')));
}

function bytes(n) {
  if (typeof n !== 'number') return '—';
  return n < 1 << 20 ? `${Math.round(n / 1024)} KiB` : `${Math.round(n / (1 << 20))} MiB`;
}

function engine(now) {
  const found = now.engine;
  if (!found) return null;
  return card('Engine', link('/admin', 'a.link.sm', 'Admin'), h('dl.kv.body', null, pair('Commits', `${found.commits_per_second.toFixed(1)} in a second`), pair('Events', `${found.events_per_second.toFixed(1)} in a second`), pair('Requests that wait', found.waiting), pair('Agents that wait', found.parked), pair('Database', bytes(found.database_bytes)), pair('Log', bytes(found.log_bytes)), pair('Memory', `${bytes(found.memory_bytes)}, ${percent(found.memory_used)} of the machine in use`), pair('Up for', took(found.uptime))));
}
