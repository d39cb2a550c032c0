// What may be handed out now: holds that keep work back, and limits.

import { Source, ask as call, get, once } from '../api.js';
import { ask, told } from '../dialog.js';
import { button, card, empty, h, icon } from '../dom.js';
import { ago, short } from '../words.js';

export function open(cx) {
  const holds = new Source(() => get('/api/v1/holds'), cx.draw).load();
  const limits = new Source(() => get('/api/v1/limits'), cx.draw).load();
  const all = [holds, limits];
  const look = () => all.forEach((source) => source.load());

  async function place() {
    const done = await ask({
      title: 'Keep work back',
      words: 'Nothing new of it is handed out until the hold is lifted.',
      fields: [
        { name: 'namespace', label: 'Of this namespace' },
        { name: 'task_type', label: 'Of this type' },
        { name: 'agent', label: 'Of this agent', hint: 'its id or name' },
        { name: 'everything', label: 'Everything', kind: 'check' },
        { name: 'running', label: 'What runs', kind: 'choice', options: [['finish', 'may finish'], ['stop', 'is told to stop']] },
        { name: 'reason', label: 'Reason', kind: 'long', required: true },
      ],
      yes: 'Hold',
      danger: true,
      act: (values) => call('POST', '/api/v1/holds', Object.fromEntries(Object.entries(values).filter(([, value]) => value)), once()),
    });
    if (done) look();
  }

  async function lift(hold) {
    const done = await ask({ title: 'Lift the hold', words: 'All it keeps back goes on.', yes: 'Lift it', act: () => call('DELETE', `/api/v1/holds/${hold.id}`) });
    if (done) look();
  }

  async function set() {
    const done = await ask({
      title: 'Set a limit',
      words: 'So many pieces of work at once, or begun in a time. A limit of that name is changed.',
      fields: [
        { name: 'name', label: 'Name', required: true },
        { name: 'namespace', label: 'Of this namespace' },
        { name: 'task_type', label: 'Of this type' },
        { name: 'max', label: 'At most', required: true, hint: 'a number' },
        { name: 'per', label: 'Begun within', hint: 'for example 1m; at once where it is empty' },
        { name: 'by', label: 'For each', hint: 'a value of the payload, for example payload.customer; all together where it is empty' },
      ],
      yes: 'Set',
      act: ({ name, max, ...rest }) => call('PUT', `/api/v1/limits/${encodeURIComponent(name)}`, { ...rest, max: Number(max) }),
    });
    if (done) look();
  }

  async function remove(limit) {
    const where = limit.namespace ? `?namespace=${encodeURIComponent(limit.namespace)}` : '';
    const done = await ask({ title: `Remove the limit ${limit.name}`, words: 'What waits for it may be handed out at once.', yes: 'Remove', act: () => call('DELETE', `/api/v1/limits/${encodeURIComponent(limit.name)}${where}`) });
    if (done) look();
  }

  const scope = (of) => [of.everything && 'everything', of.namespace && `namespace ${of.namespace}`, of.task_type && `type ${of.task_type}`, of.agent && `agent ${short(of.agent)}`, of.source && `source ${of.source}`].filter(Boolean).join(', ') || 'everything';

  return {
    title: 'Holds and limits',
    reset: look,
    event: (event) => event.stream.startsWith('namespace') && look(),
    tick: () => limits.load(),
    end: () => all.forEach((source) => source.end()),
    render() {
      const found = holds.value ?? [];
      const bounds = limits.value ?? [];
      return [
        h('h1', null, 'Holds and limits'),
        (holds.error ?? limits.error) && told(holds.error ?? limits.error),
        card('Holds', [h('span.tag', { class: found.length ? 'block' : 'idle' }, found.length), h('span.grow'), button('.s.danger', { why: cx.why('steer'), on: { click: place } }, 'Keep work back…')], found.length === 0 ? empty('Nothing is kept back. A hold stops handing out the work of a namespace, a type, an agent, or all.') : h('ul.agents', null, found.map((hold) => h('li', { key: hold.id }, icon('pause', 'block'), h('div', null, h('b', null, scope(hold.scope)), h('div.sm.muted.any', null, hold.reason, ` · by ${hold.by} · `, ago(hold.since), hold.running === 'stop' && ' · stops what runs')), button('.s', { why: cx.why('decide'), on: { click: () => lift(hold) } }, 'Lift…'))))),
        card('Limits', [h('span.tag', null, bounds.length), h('span.grow'), button('.s', { why: cx.why('steer'), on: { click: set } }, 'Set a limit…')], bounds.length === 0 ? empty('No limit is set. A limit bounds how much of a namespace or type is at work at once, or begins in a time.') : h('div.scroll', null, h('table', null, h('thead', null, h('tr', null, ['Limit', 'Of', 'At most', 'Now', ''].map((word) => h('th', { scope: 'col' }, word)))), h('tbody', null, bounds.map((limit) => h('tr', { key: `${limit.namespace}${limit.name}` }, h('td.b', null, limit.name), h('td', null, scope(limit)), h('td', null, limit.max, limit.per && ` in ${limit.per}`, limit.by && ` by ${limit.by}`), h('td.nowrap', null, limit.counted, limit.full > 0 && h('span.tag.block.pad', null, `${limit.full} full`)), h('td.right', null, button('.s', { why: cx.why('steer'), on: { click: () => remove(limit) } }, 'Remove…')))))))),
      ];
    },
  };
}
