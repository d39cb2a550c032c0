// Pieces that several pages show: how far a task is, and what an event says.

import { h } from './dom.js';
import { actor, counted, ofTask, sentence, short } from './words.js';

/** What a bar is made of: its parts, in order, with family, word and how many. */
export function shares(steps) {
  if (!steps) return [];
  return [
    ['done', 'done', steps.completed + steps.skipped],
    ['run', 'running', steps.running + steps.assigned],
    ['gov', 'being checked', steps.checking],
    ['retry', 'retrying', steps.retrying],
    ['block', 'blocked', steps.blocked],
    ['fail', 'failed', steps.failed],
    ['idle', 'to do', steps.pending + steps.ready + steps.rolled_back],
    ['idle', 'cancelled', steps.cancelled],
  ].filter(([, , n]) => n > 0);
}

export function inWords(steps) {
  return shares(steps).map(([, word, n]) => `${n} ${word}`).join(' · ');
}

const FILLS = { run: 'url(#stripe)', retry: 'url(#stripe)', block: 'url(#hatch)' };

/** How far a task is: a part for its steps in each state. */
export function stepBar(task, size) {
  const steps = task.steps;
  const total = steps?.total ?? 0;
  const words = total ? `${steps.completed + steps.skipped} of ${counted(total, 'step')} done${inWords(steps) ? `: ${inWords(steps)}` : ''}` : 'no plan yet';
  let at = 0;
  const parts = shares(steps).filter(([family]) => family !== 'idle').map(([family, , n]) => {
    const x = (at * 100) / total;
    at += n;
    const fill = FILLS[family];
    return [h('rect', { x: `${x}%`, width: `${(n * 100) / total}%`, height: '100%', ...(fill ? { fill } : { class: `f-${family}` }) }), h('rect', { x: `${(at * 100) / total}%`, width: 2, height: '100%', class: 'f-gap' })];
  });
  return h('svg.bar', { class: size, role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': Math.max(total, 1), 'aria-valuenow': total ? steps.completed + steps.skipped : 0, 'aria-label': words }, parts);
}

/** Of each word of an event: its family of colours and its picture. What is not here looks like where it left its task. */
const LOOKS = {
  SUBMITTED: ['idle', 'queue'],
  RELEASED: ['idle', 'queue'],
  PLANNED: ['idle', 'list'],
  ASSIGNED: ['run', 'run'],
  STARTED: ['run', 'run'],
  ATTEMPT_SUCCEEDED: ['done', 'done'],
  ATTEMPT_FAILED: ['fail', 'fail'],
  REOFFERED: ['run', 'retry'],
  RETRIED: ['run', 'retry'],
  STEP_SKIPPED: ['idle', 'skip'],
  GATE_JUDGED: ['gov', 'council'],
  GATE_OPENED: ['gov', 'council'],
  JUDGED_ANEW: ['gov', 'council'],
  REVIEW_OPENED: ['gov', 'council'],
  VOTE_CAST: ['gov', 'council'],
  REVIEW_DECIDED: ['gov', 'council'],
  ESCALATED: ['gov', 'up'],
  PAUSED: ['idle', 'pause'],
  RESUMED: ['run', 'play'],
  GUIDED: ['idle', 'text'],
  REVIEW_NOTED: ['idle', 'text'],
  SIGNAL_RECEIVED: ['idle', 'text'],
  OVERRIDDEN: ['gov', 'person'],
  MODIFIED: ['idle', 'text'],
  MODEL_CHANGED: ['block', 'retry'],
  BUDGET_CROSSED: ['block', 'block'],
  REASSIGNED: ['idle', 'agent'],
  WAIT_STARTED: ['idle', 'clock'],
  WAIT_ENDED: ['done', 'clock'],
  STEP_FAILED: ['fail', 'fail'],
  ROLLED_BACK: ['block', 'retry'],
  COMPLETED: ['done', 'done'],
  FAILED: ['fail', 'fail'],
  CANCELLED: ['idle', 'stop'],
  STOPPED: ['idle', 'stop'],
  STALLED: ['block', 'clock'],
  STEP_BLOCKED: ['block', 'block'],
};

/** The step an event is about, by its path. */
export function stepOf(event) {
  const data = event.data ?? {};
  if (typeof data.step === 'string') return data.step;
  const found = /^(?:step|gate|undo):([0-9.]+)/.exec(typeof data.work === 'string' ? data.work : '');
  return found ? found[1] : null;
}

/** What an event says, in a line. What people wrote stands in it as it was written. */
export function eventWords(event) {
  const data = event.data ?? {};
  const step = stepOf(event);
  const own = event.private ?? {};
  const said = [own.reason, own.message, own.text, own.error].find((text) => typeof text === 'string' && text !== '');
  const after = event.status_after && event.status_after !== event.status_before ? ofTask(event.status_after) : null;
  const [family, picture] = LOOKS[event.type] ?? (after ? [after.family, after.picture] : ['idle', 'wait']);
  const parts = [
    sentence(event.type).toLowerCase(),
    step && `step ${step}`,
    data.attempt > 1 && `attempt ${data.attempt}`,
    typeof data.vote === 'string' && data.vote.toLowerCase(),
    typeof data.verdict === 'string' && data.verdict.toLowerCase().replaceAll('_', ' '),
    typeof data.class === 'string' && data.class.toLowerCase(),
    typeof data.from === 'string' && typeof data.to === 'string' && `${data.from} → ${data.to}`,
    after && event.status_after !== event.type && `→ ${after.word.toLowerCase()}`,
    event.actor_type !== 'SYSTEM' && `by ${short(actor(event))}`,
  ].filter(Boolean);
  return { family, picture, step, words: `${parts.join(' · ')}${said ? `: ${said}` : ''}` };
}

/** The windows one may choose from. */
const WINDOWS = [['1h', 'Last hour'], ['1d', 'Last day'], ['7d', 'Last 7 days'], ['30d', 'Last 30 days']];

/** Over how long figures are told, as the address says it. */
export function chosenWindow(cx) {
  const said = cx.query.get('window');
  return WINDOWS.some(([word]) => word === said) ? said : '1d';
}

/** Chooses over how long. */
export function windowSelect(cx) {
  return h(
    'select.s',
    { name: 'window', 'aria-label': 'Over how long', on: { change: (event) => cx.narrow({ window: event.target.value }, true) } },
    WINDOWS.map(([word, label]) => h('option', { value: word, selected: word === chosenWindow(cx) }, label)),
  );
}

/** A table that scrolls within its card. */
export function table(heads, rows) {
  return h('div.scroll', null, h('table', null, h('thead', null, h('tr', null, heads.map((word) => h('th', { scope: 'col' }, word)))), h('tbody', null, rows)));
}
