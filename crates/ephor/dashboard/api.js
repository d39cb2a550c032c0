// Calls to the interface this page came from, in the name of whoever looks: the session's cookie, or a key that was shown in this tab.

const KEY = 'ephor.key';

/** A no, or no answer. `status` is 0 where nobody answered. */
export class Trouble extends Error {
  constructor(status, problem) {
    super(problem.title ?? 'the server did not answer');
    this.status = status;
    this.code = problem.code ?? '';
    this.detail = problem.detail ?? '';
    this.next = problem.next ?? [];
    this.errors = problem.errors ?? [];
  }
}

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

let key = stored();

export const shown = {
  get key() {
    return key;
  },
  /** Shows a key from now on, in this tab alone; nothing with `null`. */
  set key(text) {
    key = text;
    try {
      if (text) sessionStorage.setItem(KEY, text);
      else sessionStorage.removeItem(KEY);
    } catch {
      // Then it is forgotten with the page.
    }
  },
};

/** What every request carries: no page of another site can send it along unasked. */
export function headers(more) {
  const all = { accept: 'application/json', 'x-ephor-page': '1', ...more };
  if (key) all.authorization = `Bearer ${key}`;
  return all;
}

/** How long an answer may take. */
const PATIENCE_MS = 30_000;

/** Asks, and answers with `{data, next, tag}`: what came, the address of the next page, the version as an ETag. */
export async function ask(method, path, body, more) {
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), PATIENCE_MS);
  try {
    const said = body === undefined ? more : { 'content-type': 'application/json', ...more };
    const init = { method, headers: headers(said), signal: ending.signal, cache: 'no-store', credentials: 'same-origin' };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await fetch(path, init);
    const text = await response.text();
    const data = parsed(text);
    if (!response.ok) throw new Trouble(response.status, typeof data === 'object' && data ? data : { title: text.slice(0, 200) });
    const next = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1] ?? null;
    return { data, next, tag: response.headers.get('etag') };
  } catch (error) {
    if (error instanceof Trouble) throw error;
    throw new Trouble(0, { title: 'the server does not answer', code: 'UNREACHABLE' });
  } finally {
    clearTimeout(timer);
  }
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return text;
  }
}

export async function get(path) {
  return (await ask('GET', path)).data;
}

/** A query of what is there; what is empty is left out. */
export function query(path, params) {
  const pairs = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** A key under which a request is done once however often it is sent. */
export function once() {
  return { 'idempotency-key': crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
}

/** How often something is looked up again at most. */
const LOOK_MS = 250;

/**
 * Something that is looked up, and looked up again when it may have changed. Looks do not pile up: while one is under way, one more waits.
 * What was found stays while a new look is under way or fails.
 */
export class Source {
  constructor(look, changed) {
    this.look = look;
    this.changed = changed;
    this.value = undefined;
    this.error = null;
    this.at = 0;
    this.busy = false;
    this.again = false;
    this.timer = null;
    this.ended = false;
  }

  load() {
    if (this.ended) return this;
    if (this.busy) {
      this.again = true;
    } else if (this.timer === null) {
      const wait = Math.max(0, this.at + LOOK_MS - Date.now());
      this.timer = setTimeout(() => this.now(), wait);
    }
    return this;
  }

  async now() {
    clearTimeout(this.timer);
    this.timer = null;
    this.busy = true;
    try {
      this.value = await this.look(this.value);
      this.error = null;
    } catch (error) {
      if (!(error instanceof Trouble)) console.error(error);
      this.error = error;
    }
    this.at = Date.now();
    this.busy = false;
    if (this.ended) return;
    if (this.again) {
      this.again = false;
      this.load();
    }
    this.changed();
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
  }
}
