// Looking after it: whether it is well, how the store is set, who has keys.

import { Source, ask as call, get } from '../api.js';
import { ask, told } from '../dialog.js';
import { button, card, empty, h, icon } from '../dom.js';
import { ago, instant, sentence, short } from '../words.js';

const ROLES = ['viewer', 'operator', 'approver', 'agent', 'admin'];

export function open(cx) {
  const ready = new Source(() => get('/health/ready'), cx.draw).load();
  const lifecycle = new Source(() => get('/api/v1/lifecycle'), cx.draw).load();
  const keys = new Source(async () => (cx.why('keys') ? null : get('/api/v1/keys')), cx.draw).load();
  const all = [ready, keys, lifecycle];
  let tried = false;

  async function make() {
    let made = null;
    const done = await ask({
      title: 'Make a key',
      words: 'It is shown once, and kept only as its digest.',
      fields: [
        { name: 'name', label: 'Name', required: true },
        { name: 'role', label: 'Role', kind: 'choice', value: 'viewer', options: ROLES.map((word) => [word, sentence(word)]) },
        { name: 'namespace', label: 'For this namespace alone' },
        { name: 'agent', label: 'For this agent alone', hint: 'its id or name' },
        { name: 'expires_in', label: 'Ends after', hint: 'for example 30d' },
      ],
      yes: 'Make it',
      act: async ({ role, ...values }) => {
        made = (await call('POST', '/api/v1/keys', { ...values, roles: [role] })).data;
      },
    });
    if (!done) return;
    keys.load();
    await ask({ title: `The key ${made.name}`, words: ['Copy it now: nobody sees it again.', made.key], yes: 'I have it', act: async () => {} });
  }

  async function revoke(key) {
    const done = await ask({ title: `Revoke the key ${key.name}`, words: 'Whoever shows it is refused from now on.', yes: 'Revoke', danger: true, act: () => call('DELETE', `/api/v1/keys/${key.id}`) });
    if (done) keys.load();
  }

  return {
    title: 'Admin',
    reset: () => all.forEach((source) => source.load()),
    tick: () => ready.load(),
    event: (event) => /^KEY_/.test(event.type) && keys.load(),
    end: () => all.forEach((source) => source.end()),
    render() {
      if (!tried && cx.me.value) {
        tried = true;
        keys.load();
      }
      const now = ready.value;
      const pair = (name, value) => [h('dt', null, name), h('dd', null, value ?? '—')];
      return [
        h('div.row.wrap', null, h('h1.grow', null, 'Admin'), h('a.btn', { href: '/api-docs', target: '_blank', rel: 'noopener' }, icon('book'), 'API reference')),
        h(
          'div.grid2',
          null,
          h(
            'div.col.gap4',
            null,
            keyCard(keys, cx, make, revoke),
            card('How long each status waits', null, lifecycle.value ? h('div.scroll', null, h('table', null, h('thead', null, h('tr', null, ['Status', 'Kind', 'Waits for', 'Then'].map((word) => h('th', { scope: 'col' }, word)))), h('tbody', null, lifecycle.value.map((stage) => h('tr', { key: stage.status }, h('td.b', null, stage.status), h('td', null, sentence(stage.kind)), h('td.sm.any', null, (stage.waits ?? []).map((wait) => h('div', null, wait.for, wait.limit && ` · ${wait.limit}`))), h('td.sm.any', null, (stage.waits ?? []).map((wait) => h('div', null, wait.then ?? ''))))))))  : h('div.body.muted', null, 'Looking…')),
          ),
          h(
            'div.col.gap4',
            null,
            card('Health', now ? h('span.st.done', null, icon('done'), 'Ready') : h('span.st.block', null, icon('block'), 'Not ready'), ready.error ? h('div.body', null, told(ready.error)) : now && h('dl.kv.body', null, pair('Events written', now.position), pair('Requests that wait', now.waiting), pair('Clock looked', now.checked_at && ago(now.checked_at)))),
            now && card('Store', null, h('dl.kv.body', null, Object.entries(now.store).map(([name, value]) => pair(sentence(name), h('code.any', null, value))))),
            card('You', null, h('dl.kv.body', null, pair('Name', cx.me.value?.name), pair('Roles', cx.me.value?.roles?.join(', ')), pair('Namespace', cx.me.value?.namespace ?? 'all'), pair('Signed in', cx.me.value?.authenticated ? h('button.btn.s', { type: 'button', on: { click: cx.signOut } }, 'Sign out') : 'no'))),
          ),
        ),
      ];
    },
  };
}

function keyCard(keys, cx, make, revoke) {
  const why = cx.why('keys');
  const list = keys.value;
  return card(
    'Keys',
    [list && h('span.tag', null, list.length), h('span.grow'), button('.s', { why, on: { click: make } }, icon('plus'), 'Make a key…')],
    why && !list ? empty(`They are shown to who may make them: ${why}.`) : keys.error ? h('div.body', null, told(keys.error)) : (list ?? []).length === 0 ? empty('There is no key. On this machine none is needed to look, submit and steer.') : h('div.scroll', null, h('table', null, h('thead', null, h('tr', null, ['Name', 'Roles', 'Reaches', 'Made', 'State', ''].map((word) => h('th', { scope: 'col' }, word)))), h('tbody', null, list.map((key) => {
      const over = key.revoked_at ?? (key.expires_at && Date.parse(key.expires_at) < Date.now() ? key.expires_at : null);
      return h('tr', { key: key.id }, h('td.b', null, key.name), h('td', null, (key.roles ?? []).join(', ')), h('td.sm', null, key.namespace ?? 'all', key.agent && ` · ${short(key.agent)}`), h('td.sm.muted', null, key.created_at && ago(key.created_at)), h('td', null, over ? h('span.tag.fail', { title: instant(over) }, key.revoked_at ? 'Revoked' : 'Ended') : h('span.tag.done', null, 'Good')), h('td.right', null, !over && button('.s.danger', { why, on: { click: () => revoke(key) } }, 'Revoke…')));
    }))),
  ));
}
