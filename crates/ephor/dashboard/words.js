// The words of the engine for people: how each status looks, and how times and spans are told.

import { h, icon } from './dom.js';

/** Of each status of a task: its family of colours, its picture, its word. */
const TASK = {
  PENDING: ['idle', 'wait', 'Pending'],
  DELIBERATING: ['gov', 'council', 'In review'],
  SCHEDULED: ['idle', 'queue', 'Queued'],
  ASSIGNED: ['run', 'run', 'Assigned'],
  IN_PROGRESS: ['run', 'run', 'Running'],
  REVIEW: ['gov', 'council', 'Checking'],
  BLOCKED: ['block', 'block', 'Blocked'],
  PAUSED: ['idle', 'pause', 'Paused'],
  RETRYING: ['run', 'retry', 'Retrying'],
  ESCALATED: ['gov', 'up', 'Escalated'],
  STALLED: ['block', 'clock', 'Stalled'],
  COMPLETED: ['done', 'done', 'Completed'],
  FAILED: ['fail', 'fail', 'Failed'],
  CANCELLED: ['idle', 'stop', 'Cancelled'],
  STOPPED: ['idle', 'stop', 'Stopped'],
};

/** The same for steps. */
const STEP = {
  PENDING: ['idle', 'wait', 'Pending'],
  READY: ['idle', 'queue', 'Ready'],
  ASSIGNED: ['run', 'run', 'Assigned'],
  RUNNING: ['run', 'run', 'Running'],
  CHECKING: ['gov', 'council', 'Being checked'],
  BLOCKED: ['block', 'block', 'Blocked'],
  RETRYING: ['run', 'retry', 'Retrying'],
  COMPLETED: ['done', 'done', 'Done'],
  FAILED: ['fail', 'fail', 'Failed'],
  SKIPPED: ['idle', 'skip', 'Left out'],
  CANCELLED: ['idle', 'stop', 'Cancelled'],
  ROLLED_BACK: ['idle', 'retry', 'Undone'],
};

const UNKNOWN = ['idle', 'wait', ''];
export const STATUSES = Object.keys(TASK);
export const FINAL = ['COMPLETED', 'FAILED', 'CANCELLED', 'STOPPED'];
export const LIVE = STATUSES.filter((status) => !FINAL.includes(status));

/** Groups of statuses as people look for them. */
export const GROUPS = [
  ['run', 'Running', ['ASSIGNED', 'IN_PROGRESS', 'RETRYING', 'REVIEW']],
  ['block', 'Held up', ['BLOCKED', 'STALLED', 'ESCALATED', 'DELIBERATING']],
  ['queue', 'Queued', ['PENDING', 'SCHEDULED']],
  ['pause', 'Paused', ['PAUSED']],
  ['done', 'Completed', ['COMPLETED']],
  ['fail', 'Failed', ['FAILED', 'CANCELLED', 'STOPPED']],
];

export function ofTask(status) {
  const [family, picture, word] = TASK[status] ?? UNKNOWN;
  return { family, picture, word: word || status };
}

export function ofStep(status) {
  const [family, picture, word] = STEP[status] ?? UNKNOWN;
  return { family, picture, word: word || status };
}

/** A task's status as a pill; a completed one with gaps is told apart, and one that is being cancelled. */
export function pill(task) {
  const look = ofTask(task.status);
  const part = task.status === 'COMPLETED' && task.gaps?.length > 0;
  const word = task.cancelling ? 'Cancelling…' : part ? 'Partly completed' : look.word;
  return h('span.st', { class: look.family }, icon(part ? 'part' : look.picture), word);
}

const RISKS = { LOW: 'idle', MEDIUM: 'idle', HIGH: 'block', CRITICAL: 'fail' };

export function risk(level) {
  return h('span.tag', { class: RISKS[level] ?? 'idle' }, sentence(level));
}

/** `IN_PROGRESS` as `In progress`. */
export function sentence(word) {
  const text = String(word ?? '').toLowerCase().replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** So many of something: `1 task`, `2 tasks`. */
export function counted(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** A long id, short enough to be told apart by: its kind and its end. */
export function short(id) {
  const text = String(id);
  return /^[a-z]+_[0-9a-z]{26}$/.test(text) ? `${text.split('_')[0]}…${text.slice(-6)}` : text;
}

/** How somebody is named who did something. */
export function actor(event) {
  return event.actor_type === 'SYSTEM' ? 'engine' : event.actor_id;
}

let utc = false;
try {
  utc = localStorage.getItem('ephor.utc') === 'yes';
} catch {
  // Without storage the choice lasts as long as the page.
}

/** Whether times are told in UTC; else by the clock of this machine. */
export const clock = {
  get utc() {
    return utc;
  },
  set utc(on) {
    utc = on;
    try {
      localStorage.setItem('ephor.utc', on ? 'yes' : 'no');
    } catch {
      // See above.
    }
  },
  get zone() {
    if (utc) return 'UTC';
    const minutes = -new Date().getTimezoneOffset();
    const hours = Math.trunc(Math.abs(minutes) / 60);
    const rest = Math.abs(minutes) % 60;
    return minutes === 0 ? 'UTC' : `UTC${minutes < 0 ? '−' : '+'}${hours}${rest ? `:${rest}` : ''}`;
  },
};

const two = (n) => String(n).padStart(2, '0');

/** `14:38:28`. */
export function time(at, seconds = true) {
  const date = new Date(at);
  const [hours, minutes, rest] = utc
    ? [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
    : [date.getHours(), date.getMinutes(), date.getSeconds()];
  return `${two(hours)}:${two(minutes)}${seconds ? `:${two(rest)}` : ''}`;
}

/** `2026-11-29 14:38:28 UTC+1`. */
export function instant(at) {
  const date = new Date(at);
  const [year, month, day] = utc
    ? [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
    : [date.getFullYear(), date.getMonth(), date.getDate()];
  return `${year}-${two(month + 1)}-${two(day)} ${time(at)} ${clock.zone}`;
}

/** `2 m 52 s`. */
export function span(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.trunc(seconds / 60)} m ${two(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.trunc(seconds / 3600)} h ${two(Math.trunc((seconds % 3600) / 60))} m`;
  return `${Math.trunc(seconds / 86400)} d ${Math.trunc((seconds % 86400) / 3600)} h`;
}

/** A span of the engine, `1h30m` or `500ms`, in milliseconds. */
export function millis(text) {
  if (typeof text === 'number') return text;
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  let all = 0;
  for (const [, n, unit] of String(text ?? '').matchAll(/([0-9.]+)(ms|s|m|h|d)/g)) all += Number(n) * units[unit];
  return all;
}

/** A part of a whole, from 0 to 1. */
export function percent(part) {
  return typeof part === 'number' ? `${Math.round(part * 1000) / 10} %` : '—';
}

/** A span of the engine for people. */
export function took(length) {
  return length ? span(millis(length)) : '—';
}

/** Micro-dollars as dollars, with the digits it takes. */
export function dollars(micro) {
  return `$${(micro / 1_000_000).toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 6 })}`;
}

/** A number with its thousands apart. */
export function many(n) {
  return Number(n).toLocaleString('en').replaceAll(',', '\u202f');
}

/** How long ago, or how long to go. The exact time is told on hover and to readers. */
export function ago(at, now = Date.now()) {
  if (!at) return '—';
  const ms = now - Date.parse(at);
  const words = Math.abs(ms) < 5000 ? 'now' : ms > 0 ? `${coarse(ms)} ago` : `in ${coarse(-ms)}`;
  return h('time', { datetime: at, title: instant(at) }, words);
}

function coarse(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
