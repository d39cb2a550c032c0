// Keys, as the help tells them. A letter alone does nothing while somebody writes, and may be switched off.

import { h } from './dom.js';

const own = { page: {} };
let first = null;
let forget = null;

export const letters = {
  get on() {
    try {
      return localStorage.getItem('ephor.letters') !== 'off';
    } catch {
      return true;
    }
  },
  set on(on) {
    try {
      localStorage.setItem('ephor.letters', on ? 'on' : 'off');
    } catch {
      // Then they are on again with the next page.
    }
  },
};

const HELP = [
  ['?', 'This help'],
  ['Ctrl K', 'Jump to a task, an agent, a page'],
  ['/', 'Filter'],
  ['g o · g t · g i · g a · g c', 'Go to overview, tasks, inbox, agents, council'],
  ['n', 'New task'],
  ['j k', 'Next, previous row'],
  ['Enter', 'Open the row'],
  ['[ ]', 'Previous, next problem of a task'],
  ['1 … 6', 'Tabs of a task'],
  ['f', 'Follow its events'],
  ['p', 'Pause or resume it'],
  ['y', 'Copy its id'],
  ['a · r', 'Inbox: the first answer, the answer against'],
];

/** What keys do on the page that is open. */
export function ofPage(map) {
  own.page = map ?? {};
}

/** Begins to listen; `map` holds what keys do on every page. */
export function begin(map) {
  document.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      map.jump();
      return;
    }
    const at = event.target;
    const writes = at.closest?.('input,textarea,select,[contenteditable]');
    if (writes || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (!letters.on && event.key.length === 1) return;
    // A button or link that has the focus keeps its own keys.
    if ((event.key === 'Enter' || event.key === ' ') && at.closest?.('a,button,summary')) return;
    let name = event.key;
    if (first) {
      name = `${first} ${name}`;
      first = null;
    } else if (name === 'g') {
      first = 'g';
      clearTimeout(forget);
      forget = setTimeout(() => {
        first = null;
      }, 1500);
      return;
    }
    const act = own.page[name] ?? map[name];
    if (act) {
      event.preventDefault();
      act(event);
    }
  });
}

/** The help, as a dialog. */
export function help() {
  const close = () => dialog.close();
  const box = h('input', { type: 'checkbox', checked: letters.on, on: { change: (event) => { letters.on = event.target.checked; } } });
  const dialog = h(
    'dialog.dialog',
    { 'aria-label': 'Keys' },
    h('h2', null, 'Keys'),
    h('dl.kv.keys', null, HELP.map(([keys, what]) => [h('dt', null, keys.split(' · ').map((k, i) => [i > 0 && ' · ', h('kbd', null, k)])), h('dd', null, what)])),
    h('label.field.check', null, box, 'Single letters act'),
    h('div.row.end', null, h('button.btn.primary', { type: 'button', on: { click: close } }, 'Close')),
  );
  dialog.addEventListener('close', () => dialog.remove());
  document.getElementById('dialogs').append(dialog);
  dialog.showModal();
}
