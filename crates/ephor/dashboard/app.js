// The frame of every page: where one is, who looks, whether it is live. Pages are modules of their own, loaded when they are opened.

import { Source, Trouble, get, shown } from './api.js';
import { everything } from './asked.js';
import { ask, told } from './dialog.js';
import { h, icon, morph } from './dom.js';
import * as keys from './keys.js';
import { connect, isUp, listen, live } from './live.js';
import { FINAL, clock, span, time } from './words.js';

/** Addresses and the modules behind them. `nav` names the entry of the navigation, with its picture; what a bar at the bottom leaves out is `wide`. */
export const PAGES = [
  { path: '/', module: './pages/overview.js', nav: 'Overview', picture: 'home' },
  { path: '/tasks', module: './pages/tasks.js', nav: 'Tasks', picture: 'list' },
  { path: '/tasks/{id}', module: './pages/task.js', of: '/tasks' },
  { path: '/new', module: './pages/new.js', of: '/tasks' },
  { path: '/inbox', module: './pages/inbox.js', nav: 'Inbox', picture: 'inbox' },
  { path: '/agents', module: './pages/agents.js', nav: 'Agents', picture: 'agent' },
  { path: '/agents/{id}', module: './pages/agents.js', of: '/agents' },
  { path: '/council', module: './pages/council.js', nav: 'Council', picture: 'council', wide: true },
  { path: '/constitution', module: './pages/constitution.js', nav: 'Constitution', picture: 'book', wide: true },
  { path: '/automation', module: './pages/automation.js', nav: 'Automation', picture: 'again', wide: true },
  { path: '/models', module: './pages/models.js', nav: 'Models', picture: 'model', wide: true },
  { path: '/figures', module: './pages/figures.js', nav: 'Metrics', picture: 'flag', wide: true },
  { path: '/flow', module: './pages/flow.js', nav: 'Holds and limits', picture: 'flow', wide: true, below: true },
  { path: '/admin', module: './pages/admin.js', nav: 'Admin', picture: 'admin', wide: true, below: true },
];

/** What comes with a role. */
const ROLES = {
  viewer: ['read'],
  operator: ['read', 'submit', 'steer'],
  approver: ['read', 'decide'],
  agent: ['read', 'work'],
  admin: ['read', 'submit', 'steer', 'work', 'decide', 'keys', 'hooks'],
};

const app = document.getElementById('app');
const main = h('main', { id: 'main', tabindex: '-1' });
let page = null;
let opened = null;
let drawing = false;
let trouble = null;

const me = new Source(() => get('/api/v1/me'), draw);
const counts = new Source(() => get('/api/v1/tasks/counts'), draw);
const asked = new Source(everything, draw);

/** What pages are given. */
const cx = {
  draw,
  go,
  signOut,
  me,
  counts,
  asked,
  params: {},
  query: new URLSearchParams(location.search),
  /** Why whoever looks may not do something now; `null` where they may. */
  why(permission) {
    if (!isUp()) return 'not while there is no line to the server';
    const roles = (me.value?.roles ?? []).map((role) => String(role).toLowerCase());
    if (roles.some((role) => ROLES[role]?.includes(permission))) return null;
    return ['decide', 'keys', 'hooks'].includes(permission)
      ? 'this takes the operator’s session or a key: sign in first'
      : `${me.value?.name ?? 'whoever looks'} may not: it takes a key with the permission to ${permission}`;
  },
  /** Looks everything up again. */
  look() {
    counts.load();
    asked.load();
    page?.reset?.();
  },
  /** Changes what stands behind the `?`; `push` makes it a step one can go back from. */
  narrow(changes, push = false) {
    const query = new URLSearchParams(cx.query);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined || value === '') query.delete(name);
      else query.set(name, value);
    }
    const text = query.toString();
    history[push ? 'pushState' : 'replaceState'](null, '', `${location.pathname}${text ? `?${text}` : ''}`);
    cx.query = query;
    page?.narrowed?.();
    draw();
  },
};

function match(path) {
  for (const known of PAGES) {
    const pattern = new RegExp(`^${known.path.replace('{id}', '([^/]+)')}/?$`);
    const found = pattern.exec(path);
    if (found) return [known, found[1] === undefined ? {} : { id: decodeURIComponent(found[1]) }];
  }
  return [null, {}];
}

function go(address, replace = false) {
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  route();
}

async function route() {
  const address = location.pathname;
  cx.query = new URLSearchParams(location.search);
  if (opened === address && page) {
    page.narrowed?.();
    draw();
    return;
  }
  const [known, params] = match(address);
  page?.end?.();
  page = null;
  opened = address;
  trouble = null;
  keys.ofPage(null);
  draw();
  try {
    const module = known && (await import(known.module));
    if (opened !== address) return;
    cx.params = params;
    page = module ? module.open(cx) : nothing();
    page.known = known;
    keys.ofPage(page.keys);
    scrollTo(0, 0);
    if (document.activeElement === document.body || !document.activeElement) main.focus({ preventScroll: true });
  } catch (error) {
    console.error(error);
    trouble = error;
  }
  draw();
}

function nothing() {
  return { title: 'Not found', render: () => [h('h1', null, 'There is nothing here'), h('p.muted', null, 'No page has this address. ', h('a.link', { href: '/tasks' }, 'All tasks'))] };
}

/** Draws before the next frame; in a hidden page a moment later. */
function draw() {
  if (drawing) return;
  drawing = true;
  if (document.hidden) setTimeout(drawn, 50);
  else requestAnimationFrame(drawn);
}

function drawn() {
  drawing = false;
  const needs = asked.value?.length ?? 0;
  const title = page?.title ?? 'Ephor';
  document.title = `${needs ? `(${needs}) ` : ''}${title} · Ephor`;
  let inside;
  try {
    inside = body();
  } catch (error) {
    // A page that cannot be drawn must not take the frame with it.
    console.error(error);
    inside = [told(error)];
  }
  morph(main, h('main', { id: 'main', tabindex: '-1', 'data-page': page && opened }, banner(), inside));
  const frame = h('div.app', { id: 'app' }, nav(needs), h('div.side', null, top(), h('main', { id: 'main', 'data-own': true, key: 'main' })));
  main.key = 'main';
  if (app.firstChild) {
    morph(app, frame);
  } else {
    frame.querySelector('main').replaceWith(main);
    app.append(...frame.childNodes);
  }
  page?.after?.();
}

function body() {
  if (live.state === 'closed' || me.error?.status === 401) return signedOut();
  if (trouble) return [told(trouble)];
  return page ? page.render() : [h('p.muted', { key: 'opening' }, 'Opening…')];
}

function nav(needs) {
  const here = page?.known ?? match(location.pathname)[0];
  const at = here?.of ?? here?.path;
  const c = counts.value?.by_status ?? {};
  const open = Object.entries(c).reduce((all, [status, n]) => all + (FINAL.includes(status) ? 0 : n), 0);
  const badge = { Tasks: [open, ''], Inbox: [needs, 'hot'] };
  const entries = PAGES.filter((p) => p.nav).map((p) => {
    const [n, hot] = badge[p.nav] ?? [0, ''];
    const entry = h(
      'a',
      { href: p.path, class: p.wide && 'wide', 'aria-current': at === p.path && 'page', title: p.nav },
      icon(p.picture),
      h('span', null, p.nav),
      n > 0 && h('b.n', { class: hot }, n > 9999 ? '9999+' : n),
    );
    return p.below && p.path === '/flow' ? [h('hr.wide'), entry] : entry;
  });
  // What has no place in a bar at the bottom is behind its last entry.
  const close = (event) => event.target.closest('details').removeAttribute('open');
  const rest = PAGES.filter((p) => p.nav && p.wide);
  const more = h(
    'details.menu.more',
    { key: 'more' },
    h('summary', { 'aria-current': rest.some((p) => p.path === at) && 'true' }, icon('more'), h('span', null, 'More')),
    h('div', null, rest.map((p) => h('a', { href: p.path, 'aria-current': at === p.path && 'page', on: { click: close } }, icon(p.picture), h('span', null, p.nav)))),
  );
  return h(
    'nav.nav',
    { 'aria-label': 'Main' },
    h('a.brand', { href: '/' }, icon('logo'), h('span', null, 'Ephor')),
    entries,
    more,
    h('div.foot', null, health(), who()),
  );
}

function health() {
  if (isUp()) return h('div.row', null, icon('done', 'done'), 'Engine answers');
  return h('div.row', null, icon('block', 'block'), live.heard ? `Last heard ${time(live.heard)}` : 'Not heard yet');
}

function who() {
  const value = me.value;
  if (!value) return h('div', null);
  const signed = value.authenticated;
  return h(
    'div.row.wrap',
    null,
    h('span', { title: (value.roles ?? []).join(', ') }, signed ? value.name : 'not signed in'),
    signed && h('button.btn.s.ghost', { type: 'button', on: { click: signOut } }, 'Sign out'),
  );
}

async function signIn() {
  const done = await ask({
    title: 'Sign in',
    words: ['Open the link that ephor serve prints at its start, or show a key here. It is kept in this tab alone.'],
    fields: [{ name: 'key', label: 'Key, or the operator’s token', kind: 'secret', required: true }],
    yes: 'Sign in',
    act: async ({ key }) => {
      const before = shown.key;
      shown.key = key;
      try {
        await get('/api/v1/me');
      } catch (error) {
        shown.key = before;
        throw error;
      }
    },
  });
  if (done) begin();
}

async function signOut() {
  shown.key = null;
  try {
    await fetch('/logout', { method: 'POST', headers: { 'x-ephor-page': '1' }, credentials: 'same-origin' });
  } finally {
    begin();
  }
}

function signedOut() {
  return [
    h('h1', null, 'Sign in'),
    h(
      'section.card',
      null,
      h(
        'div.body.col',
        null,
        h('p', null, 'This server shows nothing to people it does not know.'),
        h('p.muted', null, 'Open the link that ', h('code', null, 'ephor serve'), ' prints at its start, once, in this browser; or show a key.'),
        h('div', null, h('button.btn.primary', { type: 'button', on: { click: signIn } }, 'Show a key…')),
      ),
    ),
  ];
}

const STATES = {
  connecting: ['off', 'Connecting'],
  live: ['', 'Live'],
  delayed: ['off', 'Delayed'],
  lost: ['off', 'Reconnecting'],
  polling: ['', 'Looking every 5 s'],
  asleep: ['off', 'Asleep'],
  closed: ['off', 'Signed out'],
};

function top() {
  const crumbs = page?.crumbs?.() ?? [page?.title ?? ''];
  const [off, word] = STATES[live.state];
  const at = live.state === 'live' ? `· event ${live.position.toLocaleString('en').replaceAll(',', ' ')}` : live.state === 'lost' ? `· ${span(Date.now() - live.heard)}` : '';
  return h(
    'header.top',
    null,
    h('div.crumbs.grow.trunc', null, crumbs.map((crumb, i) => (Array.isArray(crumb) ? [h('a.muted', { href: crumb[1] }, crumb[0]), h('span.muted', null, ' / ')] : h('span', { key: i }, crumb)))),
    h('button.search', { type: 'button', on: { click: jump } }, icon('find'), h('span', null, 'Search or jump to…'), h('kbd', null, 'Ctrl K')),
    h('span.live', { class: off, role: 'status', 'data-state': live.state }, h('span.dot'), word, h('span.hide-n', null, at)),
    me.value && !me.value.authenticated && h('button.btn.s', { type: 'button', on: { click: signIn } }, 'Sign in'),
    h('button.ib.zone.hide-n', { type: 'button', title: 'Local time or UTC', on: { click: () => { clock.utc = !clock.utc; draw(); } } }, clock.zone),
    h('button.ib.hide-n', { type: 'button', 'aria-label': 'Switch theme', title: 'Switch theme', on: { click: theme } }, icon('moon')),
    h('button.ib.hide-n', { type: 'button', 'aria-label': 'Keys', title: 'Keys', on: { click: keys.help } }, h('kbd', null, '?')),
  );
}

function theme() {
  const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem('ephor.theme', next);
  } catch {
    // Then it lasts as long as the page.
  }
}

function banner() {
  if (live.state !== 'lost' || !live.heard) return null;
  const wait = Math.max(0, Math.ceil((live.retry_at - Date.now()) / 1000));
  return h(
    'div.banner',
    { role: 'status', key: 'banner' },
    icon('retry'),
    h('span.grow', null, h('b', null, 'Connection lost. '), `Showing data from ${time(live.heard)}, ${span(Date.now() - live.heard)} old. `, wait ? `Next try in ${wait} s. ` : 'Trying… ', 'Buttons that change something are off until it is back.'),
    h('button.btn.s', { type: 'button', on: { click: connect } }, 'Try now'),
  );
}

/** Jumps to a page, a task by its id, an agent, or to a search. */
async function jump() {
  const places = PAGES.filter((p) => p.nav).map((p) => p.nav);
  let address = null;
  await ask({
    title: 'Jump to',
    fields: [{ name: 'to', label: 'An id, a page, or words of a task', required: true, hint: `pages: ${places.join(', ')}` }],
    yes: 'Go',
    act: async ({ to }) => {
      const named = PAGES.find((p) => p.nav && p.nav.toLowerCase().startsWith(to.toLowerCase()));
      if (/^agent_/.test(to)) address = `/agents/${encodeURIComponent(to)}`;
      else if (named) address = named.path;
      else address = (await exists(to)) ? `/tasks/${encodeURIComponent(to)}` : `/tasks?q=${encodeURIComponent(to)}`;
    },
  });
  if (address) go(address);
}

async function exists(id) {
  if (/\s/.test(id)) return false;
  try {
    await get(`/api/v1/tasks/${encodeURIComponent(id)}`);
    return true;
  } catch (error) {
    if (error instanceof Trouble && error.status > 0) return false;
    throw error;
  }
}

/** Looks again at what the frame shows when events say that it changed. */
function hear(kind, event) {
  if (kind === 'reset') {
    me.load();
    counts.load();
    asked.load();
    page?.reset?.();
  } else if (kind === 'event') {
    if (event.stream.startsWith('task_')) {
      if (event.status_before !== event.status_after || !event.status_before) counts.load();
      asked.load();
    }
    page?.event?.(event);
  } else if (kind === 'tick') page?.tick?.();
  draw();
}

function begin() {
  // The stream opens meanwhile, and what came before it did is looked up again then.
  me.load();
  counts.load();
  asked.load();
  connect();
  draw();
}

document.addEventListener('click', (event) => {
  const to = event.target.closest?.('a[href]');
  if (!to || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const address = to.getAttribute('href');
  if (!address.startsWith('/') || to.hasAttribute('download') || to.target || !match(address.split('?')[0])[0]) return;
  event.preventDefault();
  go(address);
});
addEventListener('popstate', route);
keys.begin({
  jump,
  '?': keys.help,
  n: () => go('/new'),
  'g o': () => go('/'),
  'g t': () => go('/tasks'),
  'g i': () => go('/inbox'),
  'g a': () => go('/agents'),
  'g c': () => go('/council'),
});
listen(hear);
// Ages go on although nothing happens.
setInterval(() => {
  if (!document.hidden) draw();
}, 5000);
setInterval(() => {
  if (!document.hidden && live.state === 'lost') draw();
}, 1000);
route();
begin();
