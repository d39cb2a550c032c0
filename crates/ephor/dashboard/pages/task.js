// One task: where it is, why it waits, what can be done, and its sides as tabs.

import { Source, ask as call, get } from '../api.js';
import { ACTS, carryOut, why } from '../acts.js';
import { acts as answers, kind, name } from '../asked.js';
import { told } from '../dialog.js';
import { button, card, h, icon, link } from '../dom.js';
import { inWords, stepBar, stepOf } from '../parts.js';
import { FINAL, ago, instant, millis, ofStep, pill, risk, sentence, short, span, time } from '../words.js';
import { graph } from './graph.js';
import { events, governance, outputs, plan } from './tabs.js';
import { Timeline } from './timeline.js';

const TABS = ['timeline', 'graph', 'events', 'outputs', 'governance', 'plan'];
const NAMES = { timeline: 'Timeline', graph: 'Graph', events: 'Events', outputs: 'Outputs', governance: 'Governance', plan: 'Input and plan' };
/** How many of the events about attempts are read to draw the past of a task. */
const HISTORY_MAX = 4_000;
const HISTORY = ['ASSIGNED', 'ATTEMPT_SUCCEEDED', 'ATTEMPT_FAILED', 'STEP_BLOCKED'];
/** Above so many steps, groups stand for what is in them until somebody looks into one. */
const FOLD_ABOVE = 300;
/** How many changes of status are told to those who listen: one in so many milliseconds. */
const TELL_MS = 5_000;

export function open(cx) {
  const { id } = cx.params;
  const at = `/api/v1/tasks/${encodeURIComponent(id)}`;
  const sources = {};
  const source = (name, look) => {
    sources[name] ??= new Source(look, cx.draw).load();
    return sources[name];
  };
  const task = source('task', () => get(at));
  const steps = source('steps', () => get(`${at}/steps`));
  const waits = source('waits', () => get(`${at}/waiting`));
  const pace = source('pace', () => get(`${at}/progress`));
  const history = source('history', (known) => past(at, known));
  const asked = source('asked', () => get(`${at}/inbox`));
  const view = { follow: true, selected: null, told: 0, shut: new Set(), begun: false };
  const timeline = new Timeline({ select, view, draw: cx.draw });
  let status = null;

  function tab() {
    const named = cx.query.get('tab');
    return TABS.includes(named) ? named : 'timeline';
  }

  function select(path) {
    cx.narrow({ step: path === cx.query.get('step') ? null : path });
  }

  function look() {
    for (const each of Object.values(sources)) each.load();
  }

  /** The step that is selected; of a failed task nobody has looked at, the first that failed. */
  function selected() {
    const said = cx.query.get('step');
    const all = steps.value ?? [];
    if (said) return all.find((step) => step.path === said) ?? null;
    if (task.value?.status === 'FAILED') return all.find((step) => step.status === 'FAILED' && !step.children) ?? null;
    return all.find((step) => !step.children && ['BLOCKED', 'FAILED', 'RETRYING', 'RUNNING', 'ASSIGNED', 'CHECKING'].includes(step.status)) ?? null;
  }

  function problem(by) {
    const bad = (steps.value ?? []).filter((step) => ['BLOCKED', 'FAILED', 'RETRYING'].includes(step.status) || step.failures > 0);
    if (bad.length === 0) return;
    const now = bad.findIndex((step) => step.path === cx.query.get('step'));
    cx.narrow({ step: bad[(now + by + bad.length) % bad.length].path });
  }

  function act(wanted) {
    const found = ACTS.find((one) => one.name === wanted);
    if (task.value && !why(found, task.value, cx)) carryOut(found, task.value, cx);
  }

  const keys = {
    '[': () => problem(-1),
    ']': () => problem(1),
    f: () => {
      view.follow = !view.follow;
      cx.draw();
    },
    p: () => act(task.value?.status === 'PAUSED' ? 'resume' : 'pause'),
    y: () => navigator.clipboard?.writeText(task.value?.id ?? id),
    '/': () => document.querySelector('.tools input')?.focus(),
    j: () => timeline.move(1, steps.value),
    k: () => timeline.move(-1, steps.value),
  };
  TABS.forEach((one, i) => {
    keys[i + 1] = () => cx.narrow({ tab: one === 'timeline' ? null : one }, true);
  });

  return {
    get title() {
      return task.value?.title ?? id;
    },
    crumbs: () => [['Tasks', '/tasks'], task.value ? short(task.value.id) : id],
    keys,
    reset: look,
    tick() {
      // How far agents say they are is no event.
      if (task.value && !FINAL.includes(task.value.status)) {
        steps.load();
        waits.load();
        pace.load();
      }
    },
    event(event) {
      if (event.stream !== task.value?.id) return;
      task.load();
      steps.load();
      waits.load();
      pace.load();
      asked.load();
      for (const name of ['outputs', 'reviews', 'plan', 'graph', 'effects', 'done']) sources[name]?.load();
      if (HISTORY.includes(event.type)) history.value = merged(history.value, [event]);
      if (sources.events?.value) sources.events.value = { ...sources.events.value, items: merged(sources.events.value.items, [event]) };
    },
    end() {
      for (const each of Object.values(sources)) each.end();
      timeline.end();
    },
    render() {
      const now = task.value;
      if (!now) return [h('h1', null, short(id)), task.error ? told(task.error) : h('p.muted', null, 'Looking…')];
      if (status !== now.status) {
        if (status && Date.now() - view.told > TELL_MS) {
          view.told = Date.now();
          document.getElementById('told').textContent = `${now.title}: ${sentence(now.status)}`;
        }
        status = now.status;
      }
      const open = asked.value ?? [];
      return [
        head(now, cx),
        phases(now),
        progress(now, pace.value),
        task.error && told(task.error),
        h(
          'div.grid2.task',
          null,
          h(
            'section.card.wide',
            { 'aria-label': NAMES[tab()] },
            tabs(cx, tab(), now, sources),
            h('div', { key: tab(), role: 'tabpanel' }, panel(now)),
          ),
          h('div.col.gap4.aside', null, blockers(now, waits, open, cx), inspector(now, selected(), history.value, cx), facts(now)),
        ),
      ];
    },
    after: () => timeline.draw(),
  };

  function panel(now) {
    const all = steps.value ?? [];
    switch (tab()) {
      case 'graph': {
        const fold = cx.query.get('fold') ? cx.query.get('fold') === 'yes' : all.length > FOLD_ABOVE && all.some((step) => step.children > 0);
        if (view.folded !== fold) {
          sources.graph?.end();
          delete sources.graph;
          view.folded = fold;
        }
        return graph(source('graph', () => get(`${at}/graph${fold ? '?fold=true' : ''}`)), all, selected()?.path, select, cx);
      }
      case 'events':
        return events(source('events', (known) => latest(at, known)), view, cx);
      case 'outputs':
        return outputs(source('outputs', () => get(`${at}/outputs`)), now);
      case 'governance':
        return governance(now, source('reviews', () => get(`${at}/reviews`)), source('effects', () => get(`${at}/effects`)), source('done', () => get(`${at}/interventions`)), cx);
      case 'plan':
        return plan(now, source('plan', () => get(`${at}/plan`)), cx);
      default:
        return timeline.render(now, all, history.value ?? [], selected()?.path, cx);
    }
  }
}

/** The events about attempts, in their order; what is known is not asked for again. */
async function past(at, known = []) {
  let found = known;
  for (;;) {
    const after = found.at(-1)?.position ?? 0;
    const page = await get(`${at}/events?type=${HISTORY.join(',')}&after=${after}&limit=500`);
    found = merged(found, page);
    if (page.length < 500 || found.length >= HISTORY_MAX) return found;
  }
}

/** The last events, the newest last. */
async function latest(at, known) {
  const { data, next } = await call('GET', `${at}/events?order=desc&limit=100`);
  const items = merged(known?.items, data);
  return { items, next: known?.next ?? next };
}

/** Events of two lists in their order, each once. */
export function merged(one = [], two = []) {
  const last = one.at(-1)?.position ?? 0;
  if (two.every((event) => event.position > last)) return [...one, ...two].sort((a, b) => a.position - b.position);
  return [...new Map([...one, ...two].map((event) => [event.position, event])).values()].sort((a, b) => a.position - b.position);
}

function head(task, cx) {
  const main = ACTS.filter((act) => act.main);
  const rest = ACTS.filter((act) => !act.main);
  const shown = (act) => {
    const not = why(act, task, cx);
    return button(act.danger ? '.danger' : '', { why: not, 'data-act': act.name, on: { click: (event) => { event.target.closest('details')?.removeAttribute('open'); carryOut(act, task, cx, { step: cx.query.get('step') ?? '' }); } } }, act.picture && icon(act.picture), act.label);
  };
  return h(
    'div.thead2',
    null,
    h(
      'div.grow',
      null,
      h(
        'div.row.wrap',
        null,
        h('span', { 'data-status': task.status }, pill(task)),
        risk(task.risk_level),
        task.priority !== 'NORMAL' && h('span.tag.outline', null, `Priority ${task.priority.toLowerCase()}`),
        task.execution_mode !== 'AUTO' && h('span.tag.outline', null, `${sentence(task.execution_mode)} mode`),
        task.due_at && h('span.tag.outline', { title: instant(task.due_at) }, `Due ${time(task.due_at, false)}`),
        task.deadline && h('span.tag.outline', null, 'Must end ', ago(task.deadline)),
        task.archived && h('span.tag', null, 'Archived'),
        (task.tags ?? []).slice(0, 6).map((tag) => h('span.tag.outline', null, tag)),
      ),
      h('h1', null, task.title),
    ),
    h('div.row.acts', { role: 'group', 'aria-label': 'Acts' }, main.map(shown), h('details.menu', { key: 'more' }, h('summary.btn', { 'aria-label': 'More acts' }, icon('more')), h('div', null, rest.map(shown)))),
  );
}

/** The way of a task: what is behind it, where it is. */
function phases(task) {
  const { status } = task;
  const begun = Boolean(task.started_at);
  const ended = FINAL.includes(status);
  const planned = task.plan_version > 0;
  const list = [
    ['Accepted', true, false],
    ['Reviewed', planned && status !== 'DELIBERATING', status === 'DELIBERATING'],
    ['Planned', planned, !planned && status !== 'DELIBERATING' && !ended],
    ['Executing', begun && (ended || status === 'REVIEW'), begun && !ended && status !== 'REVIEW'],
    ['Final checks', ended && status === 'COMPLETED', status === 'REVIEW'],
    [ended ? sentence(status) : 'Ended', status === 'COMPLETED', false],
  ];
  return h('ol.phases', { 'aria-label': 'Phases' }, list.map(([word, ok, on], i) => {
    const bad = i === list.length - 1 && ended && status !== 'COMPLETED';
    return h('li', { class: bad ? 'no' : on ? 'on' : ok ? 'ok' : null, 'aria-current': on && 'step' }, icon(bad ? 'fail' : on ? 'run' : ok ? 'done' : 'wait'), word);
  }));
}

function progress(task, pace) {
  const from = task.started_at ?? task.created_at;
  const to = task.ended_at ? Date.parse(task.ended_at) : Date.now();
  const done = !task.ended_at && pace?.estimated_completion;
  return h(
    'section.card.prog',
    { 'aria-label': 'Progress' },
    h(
      'div.row.wrap',
      null,
      h('b.nowrap', { 'data-progress': true }, `${Math.round(task.progress * 100)} %`),
      h('span.muted.sm', null, inWords(task.steps) || 'no plan yet'),
      h('span.grow'),
      h('span.muted.sm', null, from ? `${span(to - Date.parse(from))} ${task.started_at ? (task.ended_at ? 'from start to end' : 'since it began') : 'since it was made'}` : '', done && [' · done ≈ ', h('time', { datetime: done, title: instant(done) }, time(done, false))]),
    ),
    stepBar(task, 'big'),
  );
}

function tabs(cx, open, task) {
  const to = (one) => {
    const query = new URLSearchParams(cx.query);
    if (one === 'timeline') query.delete('tab');
    else query.set('tab', one);
    const text = query.toString();
    return `/tasks/${encodeURIComponent(cx.params.id)}${text ? `?${text}` : ''}`;
  };
  const count = { events: task.version };
  return h('div.tabs', { role: 'tablist', 'aria-label': 'Sides of the task' }, TABS.map((one) => h('a', { role: 'tab', href: to(one), 'aria-selected': String(one === open) }, NAMES[one], count[one] && h('span.tag', null, count[one]))));
}

/** What it waits for: a line of fact, a line of what follows, what can be done. */
function blockers(task, waits, asked, cx) {
  const list = (waits.value ?? []).filter((one) => !['RUNNING'].includes(one.reason));
  const last = task.last_error;
  if (list.length === 0 && asked.length === 0 && !last && !task.reason) return null;
  const known = new Set(asked.map((one) => `${one.reason}:${one.step ?? ''}`));
  return card('Why it waits', list.length > 0 && h('span.tag.block', null, list.length), h('ul.risk', null,
    asked.map((one) => {
      const { family, picture, word } = kind(one.reason);
      return h('li', { key: name(one) }, icon(picture, family), h('div.col', null, h('b', null, word, one.step && ` · step ${one.step}`), h('span.muted.sm', null, one.what), one.until && h('span.sm', { class: `c-${family}` }, 'until ', ago(one.until), one.unanswered && ` · then ${one.unanswered}`), h('div.row.wrap', null, answers(one, cx))));
    }),
    list.filter((one) => !known.has(`${one.reason}:${one.step ?? ''}`)).map((one, i) =>
      h('li', { key: `${one.reason}${one.step}${i}` }, icon('clock', 'idle'), h('div.col', null, h('b', null, sentence(one.reason), one.step && ` · step ${one.step}`), h('span.muted.sm', null, one.what, one.queue_position && ` · place ${one.queue_position} in the queue`), one.until && h('span.sm.muted', null, 'until ', ago(one.until)), one.act && h('code.sm.any', null, one.act))),
    ),
    last && h('li', { key: 'error' }, icon('fail', 'fail'), h('div.col', null, h('b', null, `Last error${last.step ? ` · step ${last.step}` : ''}`), h('span.muted.sm', null, last.message), h('span.sm.muted', null, sentence(last.class), last.attempt && ` · attempt ${last.attempt}`, last.at && [' · ', ago(last.at)]))),
    task.reason && !last && h('li', { key: 'reason' }, icon('text', 'idle'), h('div.col', null, h('b', null, 'Reason given'), h('span.muted.sm', null, task.reason))),
  ));
}

/** The step that is selected: what it is, its attempts, what came of it. */
function inspector(task, step, history, cx) {
  if (!step) return null;
  const { family, picture, word } = ofStep(step.status);
  const attempts = tries(history ?? [], step.path);
  const pair = (name, value) => (value ? [h('dt', null, name), h('dd', null, value)] : null);
  const wanted = (name) => ACTS.find((act) => act.name === name);
  const retry = why(wanted('retry'), task, cx);
  return card(
    `${step.path} ${step.title || step.key || step.action}`,
    [h('span.grow'), h('span.st', { class: family }, icon(picture), word)],
    h(
      'div.body.col',
      { key: step.path },
      step.description && h('p.sm.muted.any', null, step.description),
      h(
        'dl.kv',
        null,
        pair('Action', h('code', null, step.action || 'group')),
        pair('Agent', step.agent && link(`/agents/${step.agent}`, 'a.link.mono', short(step.agent))),
        pair('Needs', step.needs?.join(', ')),
        pair('When', step.when && h('code', null, step.when)),
        pair('Model', step.model),
        pair('Capabilities', step.capabilities?.join(', ')),
        pair('Attempt', step.attempt > 0 && `${step.attempt}${step.max_attempts ? ` · ${step.failures ?? 0} of ${step.max_attempts} failed` : ''}`),
        pair('Progress', step.progress !== undefined && `${Math.round(step.progress * 100)} %${step.message ? ` · ${step.message}` : ''}`),
        pair('Estimate', step.estimate && span(millis(step.estimate))),
        pair('Next try', step.retry_at && ago(step.retry_at)),
        pair('Waits until', step.until && ago(step.until)),
        pair('Signal', step.signal),
        pair('Child', step.child && link(`/tasks/${step.child}`, 'a.link.mono', short(step.child))),
        pair('Gates', step.gates?.map((gate) => `${sentence(gate.kind)}: ${gate.status.toLowerCase()}${gate.reviewer ? ` by ${gate.reviewer}` : ''}`).join(', ')),
      ),
      attempts.length > 0 && h('ul.att', null, attempts.slice(-6).reverse().map((one) => h('li', { key: one.n }, icon(one.picture, one.family, one.word), h('span', null, h('b', null, `Attempt ${one.n} `), h('span.muted', null, one.said ?? one.word.toLowerCase())), h('span.muted', null, span((one.to ?? Date.now()) - one.from))))),
      step.error && h('pre.code', null, step.error),
      step.output_summary && h('pre.code', null, step.output_summary),
      h(
        'div.row.wrap',
        null,
        step.output_summary && h('a.btn.s', { href: `/tasks/${task.id}?tab=outputs&step=${step.path}` }, 'Output'),
        ['FAILED', 'RETRYING', 'BLOCKED'].includes(step.status) && button('.s', { why: retry, on: { click: () => carryOut(wanted('retry'), task, cx, { step: step.path }) } }, 'Try again…'),
        !FINAL.includes(task.status) && !['COMPLETED', 'SKIPPED'].includes(step.status) && button('.s', { why: why(wanted('override'), task, cx), on: { click: () => carryOut(wanted('override'), task, cx, { step: step.path, decision: 'SKIP_STEP' }) } }, 'Override…'),
      ),
    ),
  );
}

/** The attempts at a step, as the events tell them. */
export function tries(history, path) {
  const found = new Map();
  let n = 0;
  for (const event of history) {
    if (stepOf(event) !== path) continue;
    const at = Date.parse(event.at);
    n = event.data?.attempt ?? n;
    if (event.type === 'ASSIGNED') found.set(n, { n, from: at, family: 'run', picture: 'run', word: 'Running' });
    const one = found.get(n);
    if (!one) continue;
    if (event.type === 'ATTEMPT_SUCCEEDED') Object.assign(one, { to: at, family: 'done', picture: 'done', word: 'Worked' });
    else if (event.type === 'ATTEMPT_FAILED') {
      const said = event.private?.message ?? event.private?.error ?? event.private?.text;
      Object.assign(one, { to: at, family: 'fail', picture: 'fail', word: sentence(event.data?.class ?? 'Failed'), said });
    } else if (event.type === 'STEP_BLOCKED' && !one.to) Object.assign(one, { to: at, family: 'idle', picture: 'stop', word: 'Given back' });
  }
  return [...found.values()];
}

function facts(task) {
  const pair = (name, value) => (value ? [h('dt', null, name), h('dd', null, value)] : null);
  return card(
    'Facts',
    null,
    h(
      'dl.kv.body',
      null,
      pair('Id', h('code.any', null, task.id)),
      pair('Own name', task.external_id),
      pair('Type', task.task_type),
      pair('Namespace', task.namespace),
      pair('Source', task.source),
      pair('Owner', task.owner_id),
      pair('Created', ago(task.created_at)),
      pair('Started', task.started_at && ago(task.started_at)),
      pair('Ended', task.ended_at && ago(task.ended_at)),
      pair('Tried as a whole', task.retry_count > 0 && `${task.retry_count} of ${task.max_retries} times again`),
      pair('Another try of', task.retry_of && link(`/tasks/${task.retry_of}`, 'a.link.mono', short(task.retry_of))),
      pair('Part of', task.parent_task_id && link(`/tasks/${task.parent_task_id}`, 'a.link.mono', short(task.parent_task_id))),
      pair('Waits for', task.dependencies?.length > 0 && task.dependencies.slice(0, 5).map((one) => link(`/tasks/${one}`, 'a.link.mono.pad', short(one)))),
      pair('Parts', task.children?.length > 0 && task.children.slice(0, 5).map((one) => link(`/tasks/${one}`, 'a.link.mono.pad', short(one)))),
      pair('Next runs', task.next_runs?.length > 0 && task.next_runs.slice(0, 3).map((one) => h('div', null, ago(one)))),
    ),
  );
}
