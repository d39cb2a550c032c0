// Whoever is left alone because it failed, and trusting it again.

import { ask as call } from './api.js';
import { ask } from './dialog.js';
import { button, h, icon } from './dom.js';
import { ago, counted, sentence, short } from './words.js';

/** A breaker that is not closed, as an item of a list; `done` is called once it is trusted again. */
export function leftAlone(one, cx, done) {
  const place = one.namespace ? ` · in ${one.namespace}` : '';
  return h('li', { key: `${one.of}${one.namespace ?? ''}${one.name}` }, icon('warn', 'block'), h('div.any', null, h('b', null, short(one.name)), h('span.muted.sm', null, ` ${sentence(one.of)} · ${sentence(one.state).toLowerCase()}${place}`, ' · until ', ago(one.until), ` · ${counted(one.failures, 'failure')}, the last ${sentence(one.class).toLowerCase()}`)), trust(one, cx, done));
}

function trust(one, cx, done) {
  const act = async () => {
    const body = { of: one.of, name: one.name, ...(one.namespace ? { namespace: one.namespace } : {}) };
    const yes = await ask({ title: `Trust ${one.name} again`, words: 'It gets work as before, whatever it did.', yes: 'Trust it', act: () => call('POST', '/api/v1/breakers/reset', body) });
    if (yes) done();
  };
  return button('.s', { why: cx.why('steer'), 'data-trust': one.name, on: { click: act } }, 'Trust again…');
}
