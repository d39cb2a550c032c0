// Long lists: only the rows that can be seen are in the page, so ten thousand cost what thirty do.

import { h, morph } from './dom.js';

/** How many rows above and below what is seen are drawn as well. */
const BESIDE = 2;

/**
 * A list of rows of one height, in pixels. `row(item, index)` makes one; `more` is called when the end comes near. The list scrolls with the
 * page. It looks after its own content: `update` says what stands in it now.
 */
export class Rows {
  constructor({ height, row, more, name, role = 'list' }) {
    this.height = height;
    this.row = row;
    this.more = more;
    this.items = [];
    this.inner = h('div.rows-in', { role: 'presentation' });
    this.node = h('div.rows', { 'data-own': true, role, 'aria-label': name, key: 'rows' }, this.inner);
    this.draw = this.draw.bind(this);
    addEventListener('scroll', this.draw, { passive: true });
    addEventListener('resize', this.draw, { passive: true });
  }

  /** What stands for it where a page is drawn. */
  place() {
    return this.node.isConnected ? h('div', { 'data-own': true, key: 'rows' }) : this.node;
  }

  update(items) {
    this.items = items;
    this.draw();
  }

  draw() {
    if (!this.node.isConnected && this.items.length === 0) return;
    const height = typeof this.height === 'function' ? this.height() : this.height;
    const top = this.node.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - BESIDE);
    const last = Math.min(this.items.length, Math.ceil((innerHeight - top) / height) + BESIDE);
    this.node.style.setProperty('height', `${this.items.length * height}px`);
    const rows = h('div.rows-in', { role: 'presentation', style: { transform: `translateY(${first * height}px)` } });
    for (let i = first; i < last; i += 1) rows.append(this.row(this.items[i], i));
    morph(this.inner, rows);
    if (last >= this.items.length - BESIDE) this.more?.();
  }

  /** Brings a row into view. */
  show(index) {
    const height = typeof this.height === 'function' ? this.height() : this.height;
    const at = this.node.getBoundingClientRect().top + index * height;
    if (at < 120) scrollBy(0, at - 120);
    else if (at + height > innerHeight - 80) scrollBy(0, at + height - innerHeight + 80);
    this.draw();
  }

  end() {
    removeEventListener('scroll', this.draw);
    removeEventListener('resize', this.draw);
  }
}
