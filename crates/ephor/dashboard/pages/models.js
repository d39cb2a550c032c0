// Models: what the house says of each, which rules name it, how attempts with it went, and whether it is left alone.

import { Source, get, query } from '../api.js';
import { told } from '../dialog.js';
import { card, empty, h, icon, link } from '../dom.js';
import { chosenWindow, table, windowSelect } from '../parts.js';
import { leftAlone } from '../trust.js';
import { ago, counted, dollars, many, percent, sentence, took } from '../words.js';

const STATES = { CLOSED: ['done', 'done', 'Trusted'], HALF_OPEN: ['block', 'retry', 'On trial'], OPEN: ['fail', 'stop', 'Left alone'] };
const HEADS = ['Model', 'State', 'Named as', 'Agents', 'Worked', 'Failed', 'Errors', 'Half within', '95 % within', 'Tokens', 'Cost'];

export function open(cx) {
  const found = new Source(() => get(query('/api/v1/models', { window: chosenWindow(cx) })), cx.draw).load();
  return {
    title: 'Models',
    reset: () => found.load(),
    narrowed: () => found.load(),
    event: (event) => /^BREAKER_/.test(event.type) && found.load(),
    tick: () => found.load(),
    end: () => found.end(),
    render() {
      const now = found.value;
      const all = now?.models ?? [];
      const selected = all.find((model) => model.name === cx.query.get('model'));
      return [
        h('div.row.wrap', null, h('h1.grow', null, 'Models'), windowSelect(cx)),
        found.error && told(found.error),
        !now && !found.error && h('p.muted', null, 'Looking…'),
        now?.behind > 0 && h('p.sm.muted', null, `${counted(now.behind, 'event')} not counted yet: the past is still being read.`),
        now && card('Models', h('span.tag', null, all.length), all.length === 0 ? empty('No model is known. Those of the section models in ephor.yaml, and those that agents say they have, appear here.') : table(HEADS, all.map((model) => row(model, selected)))),
        selected && details(selected, cx, found),
        now && h('p.sm.muted', null, 'Counted since ', ago(now.since), ', of steps that asked for a model. Durations are right to their class. Costs are those reported, else by the prices of the house.'),
      ];
    },
  };
}

function state(model) {
  const [family, picture, word] = STATES[model.state] ?? ['idle', 'wait', sentence(model.state)];
  return h('span.st', { class: family }, icon(picture), word);
}

/** As what rules name it, each once. */
function roles(model) {
  return [...new Set((model.named_by ?? []).map((by) => sentence(by.role).toLowerCase()))].join(', ');
}

function row(model, selected) {
  const { work } = model;
  const spent = (text) => (work.told > 0 ? text : '—');
  const about = [model.provider, model.tier].filter(Boolean).join(' · ');
  return h(
    'tr',
    { key: model.name, 'data-model': model.name, 'aria-current': model === selected && 'true' },
    h('td', null, link(`/models?model=${encodeURIComponent(model.name)}`, 'a.link.b', model.name), about && h('div.sm.muted', null, about)),
    h('td', null, state(model)),
    h('td.sm', null, roles(model) || '—'),
    h('td', null, model.agents),
    h('td', null, work.succeeded),
    h('td', null, work.failed > 0 ? h('span.tag.fail', null, work.failed) : 0),
    h('td', null, percent(work.error_rate)),
    h('td.nowrap', null, took(work.duration.p50)),
    h('td.nowrap', null, took(work.duration.p95)),
    h('td.nowrap', null, spent(many(work.tokens))),
    h('td.nowrap', null, spent(dollars(work.cost))),
  );
}

const pair = (name, value) => (value || value === 0 ? [h('dt', null, name), h('dd.any', null, value)] : null);

/** What is known of one. */
function details(model, cx, found) {
  const { work } = model;
  const classes = Object.entries(work.by_class ?? {}).sort((a, b) => b[1] - a[1]);
  const needs = Object.entries(model.resources ?? {}).map(([name, n]) => `${sentence(name)} ${many(n)}`).join(', ');
  const price = (micro) => typeof micro === 'number' && `${dollars(micro)} for 1,000 tokens`;
  return h(
    'div.grid2',
    { key: 'details' },
    h(
      'div.col.gap4',
      null,
      card(`How ${model.name} is chosen`, null, (model.named_by ?? []).length === 0 ? empty('No rule of the house names it: it is used where a plan, a request or a person asks for it by name.') : table(['Rule', 'Where', 'As', 'Then', 'Why'], model.named_by.map((by, i) => h('tr', { key: i }, h('td.nowrap', null, sentence(by.rule), by.advice && h('span.tag.pad', null, 'advice')), h('td.any', null, by.when), h('td', null, sentence(by.role), by.task_types && h('span.muted.sm', null, ` for ${by.task_types.join(', ')}`)), h('td.any', null, (by.fallbacks ?? []).join(' → ') || '—'), h('td.sm.any', null, by.reason ?? ''))))),
      model.breakers?.length > 0 && card('Left alone for now', h('span.tag.block', null, model.breakers.length), h('ul.agents', null, model.breakers.map((one) => leftAlone(one, cx, () => found.load())))),
    ),
    h(
      'div.col.gap4',
      null,
      card('What the house says', null, model.catalogued ? h('dl.kv.body', null, pair('Provider', model.provider), pair('Kind', model.tier), pair('Takes in', model.context && `${many(model.context)} tokens`), pair('Reading', price(model.cost_in)), pair('Writing', price(model.cost_out)), pair('Needs', needs)) : empty('Nothing: it does not stand in the catalogue of ephor.yaml.')),
      card('What went wrong', h('span.tag', { class: work.failed ? 'fail' : 'done' }, work.failed), classes.length === 0 ? empty('No attempt with it failed in this time.') : h('dl.kv.body', null, classes.map(([word, n]) => pair(sentence(word), n)))),
      work.told > 0 && card('What it used', null, h('dl.kv.body', null, pair('Tokens', many(work.tokens)), pair('Cost', dollars(work.cost)), pair('Calls of tools', many(work.tool_calls)), pair('As said by', counted(work.told, 'attempt')))),
    ),
  );
}
