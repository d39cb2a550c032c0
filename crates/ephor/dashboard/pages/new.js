// A new task: one action with its parameters, or a whole request as JSON.

import { Trouble, ask as call, once } from '../api.js';
import { told } from '../dialog.js';
import { h, icon } from '../dom.js';
import { sentence } from '../words.js';

const PRIORITIES = ['IDLE', 'LOW', 'NORMAL', 'HIGH', 'CRITICAL', 'SOVEREIGN'];
const MODES = [
  ['AUTO', 'Auto', 'Steps run as soon as they can; what the risk asks for is reviewed.'],
  ['STRICT', 'Strict', 'A review before the start, one step at a time, a person confirms each.'],
  ['DRY_RUN', 'Dry run', 'Nothing acts on the outside.'],
];
const EXAMPLE = JSON.stringify(
  {
    title: 'Hello in three steps',
    payload: { name: 'world' },
    plan: {
      steps: [
        { id: 'greet', action: 'template.render', params: { template: 'Hello, {{ name }}!', data: { name: '${task.payload.name}' } } },
        { id: 'pause', action: 'wait.for', needs: ['greet'], params: { duration: '2s' } },
        { id: 'keep', action: 'echo', needs: ['pause'], params: { text: '${steps.greet.output.text}' } },
      ],
    },
  },
  null,
  2,
);

export function open(cx) {
  let trouble = null;
  let busy = false;
  // The same form sent twice is one task.
  let again = once();

  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    const form = new FormData(event.target);
    busy = true;
    trouble = null;
    cx.draw();
    try {
      const { data } = await call('POST', '/api/v1/tasks', request(form), again);
      cx.go(`/tasks/${data.id}`, true);
    } catch (error) {
      if (!(error instanceof Trouble) && !(error instanceof SyntaxError)) throw error;
      trouble = error;
      // Refused, it may be changed and sent anew; unanswered, it may have been taken.
      if (error instanceof SyntaxError || error.status > 0) again = once();
    } finally {
      busy = false;
      cx.draw();
    }
  }

  return {
    title: 'New task',
    crumbs: () => [['Tasks', '/tasks'], 'New task'],
    render() {
      const whole = cx.query.get('form') === 'json';
      const why = cx.why('submit');
      const tab = (name, word) => h('button', { type: 'button', role: 'tab', 'aria-selected': String((name === 'json') === whole), on: { click: () => cx.narrow({ form: name }) } }, word);
      return [
        h('h1', null, 'New task'),
        h(
          'form.card.form',
          { key: 'form', on: { submit } },
          h('div.tabs', { role: 'tablist', 'aria-label': 'How it is written' }, tab('', 'One action'), tab('json', 'A whole request')),
          h('div.body.col.gap4', { key: whole ? 'json' : 'one' }, whole ? asJson() : asFields()),
          trouble && h('div.body', null, told(trouble)),
          h('div.body.row.end', null, h('a.btn', { href: '/tasks' }, 'Not now'), h('button.btn.primary', { type: 'submit', disabled: busy || Boolean(why), title: why }, icon('plus'), busy ? 'Asking…' : 'Create')),
        ),
      ];
    },
  };
}

function asFields() {
  const field = (label, box, hint) => h('label.field', null, h('span', null, label), box, hint && h('span.sm.muted', null, hint));
  return [
    field('Title', h('input', { name: 'title', type: 'text', required: true, maxlength: 200, autocomplete: 'off' })),
    field('Description', h('textarea', { name: 'description', rows: 3 })),
    h(
      'div.fields',
      null,
      field('Action', h('input', { name: 'action', type: 'text', value: 'echo', required: true, list: 'actions', autocomplete: 'off' }), 'a built-in action, or any word an agent is able to do'),
      field('Priority', h('select', { name: 'priority' }, PRIORITIES.map((word) => h('option', { value: word, selected: word === 'NORMAL' }, sentence(word))))),
      field('Type', h('input', { name: 'task_type', type: 'text', placeholder: 'general', autocomplete: 'off' })),
    ),
    h('datalist', { id: 'actions' }, ['echo', 'noop', 'shell.run', 'http.request', 'template.render', 'files.scan', 'files.read', 'files.write', 'links.check'].map((word) => h('option', { value: word }))),
    field('Parameters, as JSON', h('textarea.mono', { name: 'payload', rows: 5, spellcheck: 'false', placeholder: '{"text": "hello"}' }), 'the payload of the task; its action is given it'),
    h('fieldset.radios', null, h('legend', null, 'Mode'), MODES.map(([word, name, what], i) => h('label', null, h('input', { type: 'radio', name: 'execution_mode', value: word, checked: i === 0 }), h('span', null, h('b', null, name), h('span.sm.muted.block', null, what))))),
  ];
}

function asJson() {
  return [
    h('label.field', null, h('span', null, 'The request, as JSON'), h('textarea.mono', { name: 'json', rows: 22, spellcheck: 'false', required: true }, EXAMPLE)),
    h('p.sm.muted', null, 'Fields and plans are told in the reference at ', h('a.link', { href: '/api-docs', target: '_blank', rel: 'noopener' }, '/api-docs'), '. What is wrong is told with its place.'),
  ];
}

function request(form) {
  const text = (name) => String(form.get(name) ?? '').trim();
  if (form.has('json')) return read(text('json'), 'the request');
  const said = { title: text('title'), action: text('action'), priority: text('priority'), execution_mode: text('execution_mode') };
  for (const name of ['description', 'task_type']) if (text(name)) said[name] = text(name);
  if (text('payload')) said.payload = read(text('payload'), 'the parameters');
  return said;
}

function read(text, what) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`${what} cannot be read: ${error.message}`);
  }
}
