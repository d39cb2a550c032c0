// Elements from data. Text is always text: nothing here, or anywhere else, makes markup of what somebody wrote.

const SVG = document.querySelector('svg').namespaceURI;
const DRAWN = new Set(['svg', 'use', 'rect', 'path', 'line', 'circle', 'text', 'g', 'title:svg', 'polyline']);

function heard(event) {
  event.currentTarget.handlers?.[event.type]?.(event);
}

/**
 * An element. `name` is a tag with classes: `div.card.wide`. Of `props`, `on` holds handlers by event, `key` tells one child from another,
 * `style` sets properties of its style; everything else is an attribute, left out where it is null or false.
 */
export function h(name, props, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = DRAWN.has(tag) ? document.createElementNS(SVG, tag.split(':')[0]) : document.createElement(tag);
  if (classes.length) node.setAttribute('class', classes.join(' '));
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'on') listen(node, value);
    else if (key === 'key') node.key = String(value);
    else if (key === 'style') for (const [at, set] of Object.entries(value)) node.style.setProperty(at, set);
    else if (key === 'class') node.setAttribute('class', [...classes, ...[value].flat().filter(Boolean)].join(' '));
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(node, child);
    else if (child instanceof Node) node.append(child);
    else if (child !== null && child !== undefined && child !== false) node.append(String(child));
  }
}

function listen(node, handlers) {
  for (const type of Object.keys(handlers)) {
    if (!node.handlers?.[type]) node.addEventListener(type, heard);
  }
  node.handlers = handlers;
}

/** Makes `old` look like `fresh` with as few changes as it takes, so that focus, selection and scrolling stay where they are. */
export function morph(old, fresh) {
  // What looks after itself says so.
  if (fresh.hasAttribute?.('data-own')) return old;
  attributes(old, fresh);
  if (fresh.handlers) listen(old, fresh.handlers);
  else if (old.handlers) old.handlers = null;
  old.key = fresh.key;
  const keyed = new Map();
  for (const child of old.childNodes) if (child.key !== undefined) keyed.set(child.key, child);
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    let found = wanted.key !== undefined ? keyed.get(wanted.key) : at;
    if (wanted.key === undefined) while (found && found.key !== undefined) found = found.nextSibling;
    if (!found || !alike(found, wanted)) {
      old.insertBefore(wanted, at);
      continue;
    }
    if (found !== at) old.insertBefore(found, at);
    else at = at.nextSibling;
    if (found.nodeType === Node.TEXT_NODE) {
      if (found.data !== wanted.data) found.data = wanted.data;
    } else morph(found, wanted);
    keyed.delete(wanted.key);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
  return old;
}

function alike(a, b) {
  return a.nodeName === b.nodeName && a.nodeType === b.nodeType && a.key === b.key;
}

function attributes(old, fresh) {
  const kept = old.nodeName === 'DETAILS' || old.nodeName === 'DIALOG' ? 'open' : null;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== kept && !(name === 'style' && fresh.style?.length)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name === 'style') {
      if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
    } else if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  // What somebody is typing stays as they typed it.
  if ((old.nodeName === 'INPUT' || old.nodeName === 'SELECT') && old !== document.activeElement) {
    if (fresh.hasAttribute('value') && old.value !== fresh.getAttribute('value')) old.value = fresh.getAttribute('value');
    if (old.type === 'checkbox') old.checked = fresh.hasAttribute('checked');
  }
}

/** One of the small pictures of index.html; with words for those who do not see it, where it says something of its own. */
export function icon(name, family, words) {
  const hidden = words ? { role: 'img', 'aria-label': words } : { 'aria-hidden': 'true' };
  return h('svg.i', { class: family && `c-${family}`, ...hidden }, h('use', { href: `#i-${name}` }));
}

/** A link within the dashboard. */
export function link(to, name, ...children) {
  return h(name ?? 'a.link', { href: to }, children);
}

/** A button that changes something: it is off while there is no line to the server, and says why. */
export function button(name, props, ...children) {
  const why = props.why;
  const { why: _, ...rest } = props;
  return h(`button.btn${name}`, { type: 'button', ...rest, disabled: Boolean(why) || rest.disabled, title: why ?? rest.title }, children);
}

/** A card with a head. */
export function card(title, head, ...children) {
  return h('section.card', { 'aria-label': title }, h('header', null, h('h2', null, title), head ?? null), children);
}

/** What stands where there is nothing: what would be there, and how it comes. */
export function empty(words, ...more) {
  return h('div.body.row.wrap.muted', null, icon('wait', 'idle'), h('span.grow', null, words), more);
}
