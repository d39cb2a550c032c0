// Agents: who works here, how they look, what they hold. One of them, or all.

import { Source, ask as call, get, once, query } from '../api.js';
import { ask, told } from '../dialog.js';
import { button, card, empty, h, icon, link } from '../dom.js';
import { leftAlone } from '../trust.js';
import { ago, sentence, short, span } from '../words.js';

const PAGE = 100;
const LIVENESS = { LIVE: ['done', 'done'], WAITING: ['done', 'done'], SLOW: ['block', 'clock'], SILENT: ['block', 'block'], DEAD: ['fail', 'fail'] };

export function open(cx) {
  const { id } = cx.params;
  return id ? one(cx, id) : all(cx);
}

/** How an agent looks, as a pill. */
function look(agent) {
  if (agent.status === 'REVOKED') return h('span.st.fail', null, icon('stop'), 'Revoked');
  if (agent.status === 'DRAINING') return h('span.st.block', null, icon('pause'), 'Draining');
  const [family, picture] = LIVENESS[agent.liveness] ?? ['idle', 'wait'];
  return h('span.st', { class: family }, icon(picture), agent.liveness ? sentence(agent.liveness) : 'Not heard of');
}

function breaker(agent) {
  const open = agent.breaker !== 'CLOSED';
  return h('span.tag', { class: open ? 'block' : 'idle' }, open ? `Breaker ${sentence(agent.breaker).toLowerCase()}` : 'Trusted');
}

function all(cx) {
  let next = null;
  const agents = new Source(async () => {
    const page = await call('GET', query('/api/v1/agents', { limit: PAGE, capability: cx.query.get('capability') }));
    next = page.next;
    return page.data;
  }, cx.draw).load();
  const breakers = new Source(() => get('/api/v1/breakers'), cx.draw).load();
  const more = async () => {
    const page = await call('GET', next);
    next = page.next;
    agents.value = [...agents.value, ...page.data];
    cx.draw();
  };
  return {
    title: 'Agents',
    reset: () => [agents, breakers].forEach((source) => source.load()),
    narrowed: () => agents.load(),
    event: (event) => event.stream.startsWith('agent_') && [agents, breakers].forEach((source) => source.load()),
    tick: () => agents.load(),
    end: () => [agents, breakers].forEach((source) => source.end()),
    render() {
      const capability = cx.query.get('capability');
      const found = agents.value;
      return [
        h('div.row.wrap', null, h('h1.grow', null, 'Agents'), capability && h('button.chip', { type: 'button', 'aria-pressed': 'true', on: { click: () => cx.narrow({ capability: null }, true) } }, `able to ${capability} ✕`)),
        agents.error && told(agents.error),
        card('Known agents', found && h('span.tag', null, `${found.length}${next ? '+' : ''}`), found?.length === 0 ? empty('No agent is known. It registers itself with the first of the three calls below.') : table(found ?? []), next && h('div.body', null, h('button.btn.s', { type: 'button', on: { click: more } }, 'More agents'))),
        (breakers.value ?? []).length > 0 && card('Left alone for now', h('span.tag.block', null, breakers.value.length), h('ul.agents', null, breakers.value.map((one) => leftAlone(one, cx, () => breakers.load())))),
        calls(),
      ];
    },
  };
}

function table(found) {
  return h('div.scroll', null, h('table', null, h('thead', null, h('tr', null, ['Agent', 'Looks', 'Able to', 'In work', 'Worked', 'Failed', 'Trust', 'Heard'].map((word) => h('th', { scope: 'col' }, word)))), h('tbody', null, found.map((agent) =>
    h(
      'tr',
      { key: agent.id },
      h('td', null, link(`/agents/${agent.id}`, 'a.b', agent.name), h('div.sm.muted', null, h('span.mono', null, short(agent.id)), agent.role && ` · ${agent.role}`, agent.in_process && ' · in this process')),
      h('td', null, look(agent)),
      h('td.sm', null, agent.capabilities.slice(0, 5).map((word) => link(`/agents?capability=${encodeURIComponent(word)}`, 'a.tag.outline.pad', word)), agent.capabilities.length > 5 && h('span.muted.pad', null, `+${agent.capabilities.length - 5}`)),
      h('td.nowrap', null, `${agent.leases.length}${agent.slots ? ` of ${agent.slots}` : ''}`),
      h('td', null, agent.succeeded),
      h('td', null, agent.failed),
      h('td', null, breaker(agent)),
      h('td.sm.muted.nowrap', null, agent.last_seen_at ? ago(agent.last_seen_at) : '—'),
    ),
  ))));
}

/** How any program becomes an agent. */
function calls() {
  const at = location.origin;
  const text = [
    '# once: who it is and what it is able to do',
    `curl -X POST ${at}/api/v1/agents -H 'content-type: application/json' \\`,
    `  -d '{"name": "Mine", "external_id": "mine", "capabilities": ["greet"]}'`,
    '# ask for work, waiting up to half a minute; the answer names it',
    `curl '${at}/api/v1/agents/mine/work?wait=30s'`,
    '# say what came of it',
    `curl -X POST ${at}/api/v1/work/WORK/report -H 'content-type: application/json' \\`,
    `  -d '{"agent_id": "mine", "outcome": {"SUCCEEDED": {"output": {"greeting": "hello"}}}}'`,
  ];
  return card('Connect an agent: three calls', null, h('div.body.col', null, h('p.muted', null, 'Any program that can call HTTP can work here. The bodies are told in the reference at ', h('a.link', { href: '/api-docs', target: '_blank', rel: 'noopener' }, '/api-docs'), '; the built-in agents of another machine work for this server with ', h('code', null, 'ephor agent run'), '.'), h('pre.code', { tabindex: 0 }, text.join('\n'))));
}

function one(cx, id) {
  const at = `/api/v1/agents/${encodeURIComponent(id)}`;
  const agent = new Source(() => get(at), cx.draw).load();
  const tasks = new Source(() => get(query('/api/v1/tasks', { agent: id, limit: 20 })), cx.draw).load();
  return {
    get title() {
      return agent.value?.name ?? short(id);
    },
    crumbs: () => [['Agents', '/agents'], agent.value?.name ?? short(id)],
    reset: () => [agent, tasks].forEach((source) => source.load()),
    event: (event) => (event.stream === agent.value?.id || event.type === 'ASSIGNED' || event.type.startsWith('ATTEMPT_')) && [agent, tasks].forEach((source) => source.load()),
    tick: () => agent.load(),
    end: () => [agent, tasks].forEach((source) => source.end()),
    render() {
      const a = agent.value;
      if (!a) return [h('h1', null, short(id)), agent.error ? told(agent.error) : h('p.muted', null, 'Looking…')];
      const pair = (name, value) => (value || value === 0 ? [h('dt', null, name), h('dd', null, value)] : null);
      return [
        h('div.thead2', null, h('div.grow', null, h('div.row.wrap', null, look(a), breaker(a), a.probation > 0 && h('span.tag.block', null, `On probation: ${a.probation} to do well`), a.hold && h('span.tag.block', null, 'Held back')), h('h1', null, a.name)), h('div.row.acts', null, steering(a, at, cx, agent))),
        h(
          'div.grid2',
          null,
          h(
            'div.col.gap4',
            null,
            card('In work', h('span.tag', null, `${a.leases.length}${a.slots ? ` of ${a.slots}` : ''}`), a.leases.length === 0 ? empty('It holds nothing now.') : h('ul.agents', null, a.leases.map((lease) => {
              const [family, picture] = LIVENESS[lease.liveness] ?? ['idle', 'wait'];
              return h('li', { key: lease.id }, icon(picture, family, lease.liveness), h('div.trunc', null, link(`/tasks/${lease.task_id}`, 'a.link.mono', short(lease.task_id)), ` ${lease.work} · attempt ${lease.attempt}`, h('div.sm.muted.trunc', null, lease.progress !== undefined && `${Math.round(lease.progress * 100)} % `, lease.message)), h('span.sm.muted.nowrap', null, `heard ${span(lease.silent_ms)} ago, lease ${span(lease.lease_ms)}`));
            }))),
            card('Tasks it holds work of', null, (tasks.value ?? []).length === 0 ? empty('None now.') : h('ul.agents', null, tasks.value.map((task) => h('li', { key: task.id }, icon('list', 'idle'), link(`/tasks/${task.id}`, 'a', task.title), h('span.sm.muted', null, sentence(task.status)))))),
          ),
          card('Facts', null, h('dl.kv.body', null, pair('Id', h('code.any', null, a.id)), pair('Own name', a.external_id), pair('Role', a.role), pair('Able to', a.capabilities.join(', ')), pair('Models', a.models?.join(', ')), pair('Resources', a.resources && Object.entries(a.resources).map(([name, n]) => `${name} ${n}`).join(', ')), pair('Tier', a.tier), pair('Slots', a.slots), pair('Namespace', a.namespace), pair('Worked', a.succeeded), pair('Failed', a.failed), pair('Lately failed', `${Math.round(a.lately_failed * 100)} %`), pair('Registered', ago(a.registered_at)), pair('Heard', a.last_seen_at && ago(a.last_seen_at)), pair('Watched at', a.monitoring_endpoints?.join(', ')))),
        ),
      ];
    },
  };
}

const STEERING = [
  ['drain', 'Drain…', 'It finishes what it has and gets nothing new.', (a) => a.status !== 'ACTIVE' && `it is ${a.status.toLowerCase()}`],
  ['resume', 'Resume', 'It gets work again.', (a) => a.status !== 'DRAINING' && 'it is not draining'],
  ['revoke', 'Revoke…', 'It may do nothing any more; what it holds is offered to others. This cannot be taken back.', (a) => a.status === 'REVOKED' && 'it is revoked already'],
];

function steering(agent, at, cx, source) {
  return STEERING.map(([name, label, words, not]) => {
    const danger = name === 'revoke';
    const act = async () => {
      const done = await ask({ title: `${label.replace('…', '')} ${agent.name}`, words, yes: label.replace('…', ''), danger, act: () => call('POST', `${at}/${name}`, {}, once()) });
      if (done) source.load();
    };
    return button(danger ? '.danger' : '', { why: cx.why('steer') ?? (not(agent) || null), on: { click: act } }, label);
  });
}
