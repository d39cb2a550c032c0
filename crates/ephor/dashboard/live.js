// One stream of everything that happens, from where the last one ended. What was looked up is looked up again when an event says that it
// changed; the stream begins before the first look, so nothing falls between.

import { Trouble, get, headers } from './api.js';

const DELAYED_MS = 10_000;
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15_000];
/** How long a page may be hidden before its stream is closed; another tab may need the connection. */
const HIDDEN_MS = 60_000;
/** How often everything is looked up where no stream is to be had. */
const POLL_MS = 5_000;

export const live = {
  /** `connecting`, `live`, `delayed`, `lost`, `polling`, `asleep`, `closed` (nobody has signed in). */
  state: 'connecting',
  position: 0,
  /** When something was last heard. */
  heard: 0,
  /** When the next try is. */
  retry_at: 0,
};

const listeners = new Set();
let ending = null;
let tries = 0;
let timer = null;
let hidden = null;
let begun = false;

/** Hears of `event`s, of a `tick`, of a change of `state`, and that everything has to be looked up again: `reset`. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(kind, event) {
  for (const listener of listeners) listener(kind, event);
}

function become(state) {
  if (live.state === state) return;
  live.state = state;
  tell('state');
}

/** Whether what changes something may be asked now. */
export function isUp() {
  return live.state === 'live' || live.state === 'delayed' || live.state === 'polling';
}

/** Opens the stream, now. */
export function connect() {
  clearTimeout(timer);
  ending?.abort();
  const own = new AbortController();
  ending = own;
  follow(own).catch((error) => lost(error, own));
}

async function follow(own) {
  const now = await get('/health/ready');
  if (own.signal.aborted) return;
  // Another database, or none yet: what was heard belongs to it no more.
  if (!begun || now.position < live.position) live.position = now.position;
  const response = await fetch(`/api/v1/events?after=${live.position}`, {
    headers: headers({ accept: 'text/event-stream', 'last-event-id': String(live.position) }),
    signal: own.signal,
    cache: 'no-store',
    credentials: 'same-origin',
  });
  if (!response.ok || !response.body) throw new Trouble(response.status, { title: 'the stream was refused' });
  begun = true;
  tries = 0;
  live.heard = Date.now();
  become('live');
  tell('reset');
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Trouble(0, { title: 'the stream ended' });
    rest += value;
    const parts = rest.split('\n\n');
    rest = parts.pop();
    live.heard = Date.now();
    if (live.state === 'delayed') become('live');
    for (const part of parts) take(part);
  }
}

function take(text) {
  const fields = {};
  for (const line of text.split('\n')) {
    const at = line.indexOf(':');
    if (at > 0) fields[line.slice(0, at)] = line.slice(at + 1).replace(/^ /, '');
  }
  if (fields.id) live.position = Math.max(live.position, Number(fields.id));
  if (fields.event === 'tick') tell('tick', JSON.parse(fields.data));
  else if (fields.data) tell('event', JSON.parse(fields.data));
}

function lost(error, own) {
  if (own.signal.aborted) return;
  if (error.status === 401) {
    become('closed');
    return;
  }
  if (error.status === 403 || error.status === 404) {
    // Who may not follow everything looks again from time to time.
    become('polling');
    tell('reset');
    timer = setTimeout(connect, POLL_MS);
    return;
  }
  const wait = WAITS_MS[Math.min(tries, WAITS_MS.length - 1)];
  const spread = wait * (0.8 + Math.random() * 0.4);
  tries += 1;
  live.retry_at = Date.now() + spread;
  become('lost');
  tell('state');
  timer = setTimeout(connect, spread);
}

setInterval(() => {
  if (live.state === 'live' && Date.now() - live.heard > DELAYED_MS) become('delayed');
  // A line that says nothing for so long is none.
  if (live.state === 'delayed' && Date.now() - live.heard > 3 * DELAYED_MS) connect();
}, 1000);

addEventListener('online', () => {
  if (live.state === 'lost') connect();
});

// A page that is left may be kept for going back to; its stream would hold one of the six lines that a browser has to a server.
addEventListener('pagehide', () => {
  clearTimeout(timer);
  ending?.abort();
  become('asleep');
});
addEventListener('pageshow', (event) => {
  if (event.persisted) connect();
});

document.addEventListener('visibilitychange', () => {
  clearTimeout(hidden);
  if (document.hidden) {
    hidden = setTimeout(() => {
      if (!isUp()) return;
      ending?.abort();
      clearTimeout(timer);
      become('asleep');
    }, HIDDEN_MS);
  } else if (live.state === 'asleep' || live.state === 'lost') connect();
});
