// Questions in front of the page: what follows, what has to be said, and what went wrong.

import { h, morph } from './dom.js';
import { Trouble } from './api.js';

const place = document.getElementById('dialogs');

/**
 * Asks. `fields` are `{name, label, kind, value, required, options, hint}`; kinds are `text`, `long`, `json`, `yaml`, `choice`, `check`. `act` gets
 * what was filled in and does it; while it does, and when it fails, the dialog stays. Answers whether it was done.
 */
export function ask({ title, words, fields = [], yes = 'OK', danger = false, act, note }) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    let busy = false;
    let trouble = null;
    let done = false;
    const dialog = h('dialog.dialog', { 'aria-label': title });
    const close = () => dialog.close();
    dialog.addEventListener('close', () => {
      dialog.remove();
      before?.focus?.();
      resolve(done);
    });
    const submit = async (event) => {
      event.preventDefault();
      if (busy) return;
      busy = true;
      trouble = null;
      draw();
      try {
        await act(read(dialog, fields));
        done = true;
        close();
      } catch (error) {
        if (!(error instanceof Trouble) && !(error instanceof SyntaxError)) console.error(error);
        trouble = error;
        busy = false;
        draw();
      }
    };
    const draw = () => {
      const form = h(
        'form',
        { on: { submit } },
        h('h2', null, title),
        [words].flat().filter(Boolean).map((text) => h('p.muted', null, text)),
        kept(dialog, fields).map(field),
        note && h('p.sm.muted', null, note),
        trouble && told(trouble),
        h(
          'div.row.end',
          null,
          h('button.btn', { type: 'button', on: { click: close } }, 'Not now'),
          h(`button.btn.${danger ? 'danger' : 'primary'}`, { type: 'submit', disabled: busy }, busy ? 'Asking…' : yes),
        ),
      );
      if (dialog.firstChild) morph(dialog.firstChild, form);
      else dialog.append(form);
    };
    draw();
    place.append(dialog);
    dialog.showModal();
    (dialog.querySelector('input,textarea,select') ?? dialog.querySelector('button[type=submit]'))?.focus();
  });
}

/** The fields with what was filled in so far: to draw again must not empty them. What is long keeps its words by itself. */
function kept(dialog, fields) {
  return fields.map((field) => {
    const box = dialog.querySelector(`[name="${CSS.escape(field.name)}"]`);
    if (!box || box.nodeName === 'TEXTAREA') return field;
    return { ...field, value: box.type === 'checkbox' ? box.checked : box.value };
  });
}

function field(field) {
  const { name, label, kind = 'text', value = '', required = false, options = [], hint } = field;
  const own = { name, required, 'aria-describedby': hint && `hint-${name}` };
  const box = {
    text: () => h('input', { type: 'text', value, autocomplete: 'off', ...own }),
    secret: () => h('input', { type: 'password', autocomplete: 'off', ...own }),
    long: () => h('textarea', { rows: 3, ...own }, value),
    json: () => h('textarea.mono', { rows: 5, spellcheck: 'false', ...own }, value),
    yaml: () => h('textarea.mono', { rows: 16, spellcheck: 'false', ...own }, value),
    choice: () => h('select', own, options.map(([word, text]) => h('option', { value: word, selected: word === value }, text))),
    check: () => h('input', { type: 'checkbox', checked: Boolean(value), ...own }),
  }[kind]();
  return h(
    `label.field${kind === 'check' ? '.check' : ''}`,
    { key: name },
    kind === 'check' ? [box, label] : [h('span', null, label, required && h('span.muted', null, ' (needed)')), box],
    hint && h('span.sm.muted', { id: `hint-${name}` }, hint),
  );
}

function read(dialog, fields) {
  const values = {};
  for (const { name, label, kind } of fields) {
    const box = dialog.querySelector(`[name="${CSS.escape(name)}"]`);
    if (kind === 'check') values[name] = box.checked;
    else if (box.value.trim() !== '') values[name] = kind === 'json' ? json(box.value, label) : kind === 'yaml' ? box.value : box.value.trim();
  }
  return values;
}

function json(text, label) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`${label}: ${error.message}`);
  }
}

/** What went wrong, with what can be done about it. */
export function told(error) {
  return h(
    'div.note.fail',
    { role: 'alert' },
    h('b', null, error.message),
    error.detail && h('p', null, error.detail),
    error.errors?.length > 0 && h('ul.plain', null, error.errors.map((e) => h('li', null, h('code', null, e.field), ' ', e.message ?? e.problem ?? e.error ?? ''))),
    error.next?.length > 0 && h('p.sm', null, 'Next: ', error.next.map((text) => h('code.pad', null, text))),
  );
}
