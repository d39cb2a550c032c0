// All tasks: a list of any length, narrowed by what stands in the address, with acts on several at once.

import { Trouble, ask as call, once, query } from '../api.js';
import { ask, told } from '../dialog.js';
import { empty, h, icon, link } from '../dom.js';
import { Rows } from '../rows.js';
import { FINAL, GROUPS, ago, counted, ofTask, pill, risk, sentence, short } from '../words.js';

const PAGE = 200;
/** How many rows are looked up again one by one before the list is told to be out of date. */
const FRESHENED_MAX = 20;
const RISKS = ['LOW', 'MEDIUM', 'HIGH', 'CRITICAL'];
/** What may stand in the address, by the names the interface gives it. */
const NAMES = ['status', 'risk', 'agent', 'q', 'task_type', 'namespace', 'owner_id', 'source', 'order', 'archived'];
const WIDE = matchMedia('(min-width: 721px)');

export function open(cx) {
  let items = [];
  let next = null;
  let busy = false;
  let trouble = null;
  let waiting = 0;
  let asked = null;
  let at = -1;
  const picked = new Set();
  const stale = new Set();
  let freshen = null;
  const rows = new Rows({ height: () => (WIDE.matches ? 48 : 84), row, more: () => next && load(), name: 'Tasks', role: 'list' });

  const filter = () => Object.fromEntries(NAMES.map((name) => [name, cx.query.get(name)]).filter(([, value]) => value));

  async function load(fresh = false) {
    if (busy && !fresh) return;
    busy = true;
    const wanted = JSON.stringify(filter());
    asked = wanted;
    try {
      const page = await call('GET', fresh ? query('/api/v1/tasks', { ...filter(), limit: PAGE }) : next);
      if (asked !== wanted) return;
      items = fresh ? page.data : [...items, ...page.data];
      next = page.next;
      trouble = null;
      if (fresh) waiting = 0;
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      trouble = error;
      next = null;
    } finally {
      if (asked === wanted) busy = false;
    }
    rows.update(items);
    cx.draw();
  }

  /** Looks again at the rows that changed; they stay where they are. */
  function changed(id) {
    stale.add(id);
    freshen ??= setTimeout(async () => {
      freshen = null;
      const ids = [...stale].filter((known) => items.some((item) => item.id === known)).slice(0, FRESHENED_MAX);
      stale.clear();
      const found = await Promise.all(ids.map((known) => call('GET', `/api/v1/tasks/${known}`).then((got) => got.data, () => null)));
      const fresh = new Map(found.filter(Boolean).map((task) => [task.id, task]));
      items = items.map((item) => (fresh.has(item.id) ? { ...item, ...pick(fresh.get(item.id)) } : item));
      rows.update(items);
    }, 400);
  }

  const pick = ({ status, title, priority, risk_level, updated_at, claimed_by, ended_at, archived, gaps, cancelling, progress }) => ({ status, title, priority, risk_level, updated_at, claimed_by, ended_at, archived, gaps, cancelling, progress });

  function row(task, index) {
    const on = picked.has(task.id);
    return h(
      'div.trow',
      { key: task.id, role: 'listitem', class: [index === at && 'at', on && 'on'], 'data-task': task.id },
      h('input', { type: 'checkbox', checked: on, 'aria-label': `Select ${task.title}`, on: { change: () => { if (!picked.delete(task.id)) picked.add(task.id); rows.draw(); cx.draw(); } } }),
      h('a.tname', { href: `/tasks/${task.id}`, tabindex: index === at ? '0' : null }, h('span.b.trunc.block', null, task.title), h('span.sm.muted.trunc.block', null, `${short(task.id)} · ${task.task_type}`, task.namespace !== 'default' && ` · ${task.namespace}`)),
      pill(task),
      // What says nothing has no place of its own: ten thousand rows are drawn by a few elements each.
      placed('c-risk', risk(task.risk_level)),
      task.priority !== 'NORMAL' && h('span.cell.c-priority.sm.muted', null, sentence(task.priority)),
      task.claimed_by && link(`/agents/${task.claimed_by}`, 'a.cell.c-agent.sm.muted.trunc.mono', short(task.claimed_by)),
      placed('c-when sm muted nowrap', ago(task.updated_at ?? task.created_at)),
    );
  }

  function move(by) {
    at = Math.max(0, Math.min(items.length - 1, at + by));
    rows.show(at);
  }

  load(true);

  return {
    title: 'Tasks',
    keys: {
      j: () => move(1),
      k: () => move(-1),
      Enter: () => items[at] && cx.go(`/tasks/${items[at].id}`),
      x: () => {
        const id = items[at]?.id;
        if (id && !picked.delete(id)) picked.add(id);
        rows.draw();
        cx.draw();
      },
      '/': () => document.querySelector('.tools input')?.focus(),
    },
    reset: () => load(true),
    narrowed() {
      if (JSON.stringify(filter()) !== asked) {
        at = -1;
        load(true);
      }
    },
    event(event) {
      if (!event.stream.startsWith('task_')) return;
      if (event.version === 1) {
        if (!items.some((item) => item.id === event.stream)) waiting += 1;
      } else changed(event.stream);
    },
    end() {
      rows.end();
      clearTimeout(freshen);
    },
    render() {
      const known = filter();
      const total = cx.counts.value?.total;
      const narrowed = Object.keys(known).length > 0;
      return [
        h('div.row.wrap', null, h('h1.grow', null, 'Tasks'), link('/new', 'a.btn.primary', icon('plus'), 'New task')),
        h(
          'section.card',
          { 'aria-label': 'Tasks' },
          h('div.tools', null, search(cx), chips(cx), h('span.grow'), choices(cx)),
          picked.size > 0 && several(cx, picked, items),
          waiting > 0 && h('button.fresh', { type: 'button', on: { click: () => { scrollTo(0, 0); load(true); } } }, `${counted(waiting, 'new task')} · show`),
          trouble && told(trouble),
          h('div.trow.thead', { 'aria-hidden': 'true' }, h('span'), h('span', null, 'Task'), h('span', null, 'Status'), h('span.cell.c-risk', null, 'Risk'), h('span.cell.c-priority', null, 'Priority'), h('span.cell.c-agent', null, 'Agent'), h('span.cell.c-when', null, 'Changed')),
          rows.place(),
          !busy && items.length === 0 && !trouble && (narrowed ? empty('No task is like that.', link('/tasks', 'a.btn.s', 'Show all')) : empty('There is no task yet.', link('/new', 'a.btn.s', 'New task'))),
          h('div.body.sm.muted', { role: 'status' }, busy ? 'Looking…' : `${items.length}${next ? ' of more' : ''} shown${!narrowed && total ? `, ${total} in all` : ''}${next ? ' · scroll on for the next' : ''}`),
        ),
      ];
    },
    after: () => rows.draw(),
  };
}

/** Puts an element into its column. */
function placed(names, node) {
  node.classList.add('cell', ...names.split(' '));
  return node;
}

function search(cx) {
  let timer = null;
  const input = (event) => {
    clearTimeout(timer);
    const { value } = event.target;
    timer = setTimeout(() => cx.narrow({ q: value.trim() }), 250);
  };
  return h('label.search.box', null, icon('find'), h('span.vh', null, 'Filter by words'), h('input', { type: 'search', placeholder: 'Words in title, type, own name', value: cx.query.get('q') ?? '', on: { input } }), h('kbd', null, '/'));
}

function chips(cx) {
  const said = (cx.query.get('status') ?? '').toUpperCase().split(',').filter(Boolean);
  const by = cx.counts.value?.by_status ?? {};
  return h('div.chips', { role: 'group', 'aria-label': 'Status' }, GROUPS.map(([picture, word, statuses]) => {
    const on = statuses.every((status) => said.includes(status));
    const n = statuses.reduce((all, status) => all + (by[status] ?? 0), 0);
    const rest = said.filter((status) => !statuses.includes(status));
    const wanted = on ? rest : [...rest, ...statuses];
    return h('button.chip', { type: 'button', 'aria-pressed': String(on), on: { click: () => cx.narrow({ status: wanted.join(',').toLowerCase() }, true) } }, icon(picture, ofTask(statuses[0]).family), word, h('span.muted', null, n));
  }));
}

function choices(cx) {
  const set = (name) => ({ change: (event) => cx.narrow({ [name]: event.target.value }, true) });
  const option = (now) => ([value, text]) => h('option', { value, selected: value === now }, text);
  const [level, order] = [(cx.query.get('risk') ?? '').toUpperCase(), cx.query.get('order') ?? ''];
  return h(
    'div.row',
    null,
    h('select.s', { 'aria-label': 'Risk', value: level, on: set('risk') }, [['', 'Any risk'], ...RISKS.map((word) => [word, sentence(word)])].map(option(level))),
    h('select.s', { 'aria-label': 'Order', value: order, on: set('order') }, [['', 'Newest first'], ['asc', 'Oldest first']].map(option(order))),
  );
}

/** Acts on all that are selected, one after the other. What is refused is told; the rest is done. */
function several(cx, picked, items) {
  const chosen = items.filter((item) => picked.has(item.id));
  const live = chosen.filter((item) => !FINAL.includes(item.status));
  const act = (name, label, body, danger) => {
    const why = cx.why('steer') ?? (live.length === 0 ? 'all of them have ended' : null);
    const click = async () => {
      const failed = [];
      const done = await ask({
        title: `${label} ${counted(live.length, 'task')}`,
        words: live.slice(0, 5).map((item) => item.title).join(' · ') + (live.length > 5 ? ` and ${live.length - 5} more` : ''),
        fields: [{ name: 'reason', label: 'Reason', kind: 'long', required: danger }],
        yes: label,
        danger,
        act: async (values) => {
          for (const item of live) {
            try {
              await call('POST', `/api/v1/tasks/${item.id}/${name}`, { ...body, ...values }, once());
            } catch (error) {
              if (!(error instanceof Trouble)) throw error;
              failed.push(`${item.title}: ${error.message}`);
            }
          }
        },
      });
      if (!done) return;
      picked.clear();
      cx.look();
      if (failed.length) await ask({ title: `${failed.length} refused`, words: failed.slice(0, 20), yes: 'Good', act: async () => {} });
    };
    return h(`button.btn.s${danger ? '.danger' : ''}`, { type: 'button', disabled: Boolean(why), title: why, on: { click } }, `${label}…`);
  };
  return h('div.tools.several', null, h('b', null, `${picked.size} selected`), act('pause', 'Pause', {}), act('resume', 'Resume', {}), act('cancel', 'Cancel', {}, true), h('span.grow'), h('button.btn.s.ghost', { type: 'button', on: { click: () => { picked.clear(); cx.draw(); } } }, 'Select none'));
}
