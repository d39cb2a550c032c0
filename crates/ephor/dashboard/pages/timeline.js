// The steps of a task as a tree beside the time they took: one row for each, whatever their number.

import { h, icon, morph } from '../dom.js';
import { FINAL, clock, millis, ofStep, span, time } from '../words.js';
import { tries } from './task.js';

const ROW = 32;
const BESIDE = 12;
const WIDE = matchMedia('(min-width: 721px)');
const BAD = ['BLOCKED', 'FAILED', 'RETRYING'];
const TICKS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800];

export class Timeline {
  constructor({ select, view, draw }) {
    this.select = select;
    this.view = view;
    this.redraw = draw;
    this.rows = [];
    this.inner = h('div.tl-in', { role: 'presentation' });
    this.node = h('div.tl', { 'data-own': true, key: 'tl', role: 'treegrid', 'aria-label': 'Steps' }, this.inner);
    this.draw = this.draw.bind(this);
    addEventListener('scroll', this.draw, { passive: true });
    addEventListener('resize', this.draw, { passive: true });
  }

  end() {
    removeEventListener('scroll', this.draw);
    removeEventListener('resize', this.draw);
  }

  /** Selects the next row, or the one before. */
  move(by) {
    const now = this.rows.findIndex((row) => row.step.path === this.selected);
    const next = this.rows[Math.max(0, Math.min(this.rows.length - 1, now + by))];
    if (next) this.select(next.step.path);
  }

  render(task, steps, history, selected, cx) {
    this.selected = selected;
    const filter = (cx.query.get('steps') ?? '').toLowerCase();
    const bad = cx.query.get('problems') === 'yes';
    const known = new Map();
    for (const event of history) {
      const path = event.data?.step ?? /^(?:step|gate|undo):([0-9.]+)/.exec(event.data?.work ?? '')?.[1];
      if (path) known.set(path, [...(known.get(path) ?? []), event]);
    }
    const shut = (step) => {
      for (let at = step.parent; at; at = at.includes('.') ? at.slice(0, at.lastIndexOf('.')) : null) if (this.view.shut.has(at)) return true;
      return false;
    };
    // Large plans begin folded.
    if (!this.view.begun && steps.length > 0) {
      this.view.begun = true;
      if (steps.length > 300) for (const step of steps) if (step.children > 0) this.view.shut.add(step.path);
    }
    const isBad = (step) => BAD.includes(step.status) || step.failures > 0;
    const inside = (step) => (step.children ? steps.some((one) => one.path.startsWith(`${step.path}.`) && isBad(one)) : isBad(step));
    const shown = steps.filter((step) => !shut(step) && (!bad || inside(step)) && (!filter || `${step.path} ${step.title} ${step.key ?? ''} ${step.action}`.toLowerCase().includes(filter)));
    this.rows = shown.map((step) => ({ step, tries: step.children ? [] : tries(known.get(step.path) ?? [], step.path) }));
    const begun = Date.parse(task.started_at ?? task.created_at);
    const to = task.ended_at ? Date.parse(task.ended_at) : Date.now();
    const room = Math.max(to - begun, 1000);
    this.scale = { from: begun - room * 0.02, to: to + room * (task.ended_at ? 0.04 : 0.3), now: task.ended_at ? null : Date.now() };
    this.steps = steps;
    this.ended = FINAL.includes(task.status);
    this.draw();
    const press = (name, on) => ({ type: 'button', 'aria-pressed': String(on), on: { click: () => cx.narrow({ [name]: on ? null : 'yes' }) } });
    return [
      h(
        'div.tools',
        { key: 'tools' },
        h('label.search.box', null, icon('find'), h('span.vh', null, 'Filter steps'), h('input', { type: 'search', placeholder: 'Filter steps', value: cx.query.get('steps') ?? '', on: { input: (event) => cx.narrow({ steps: event.target.value.trim() }) } }), h('kbd', null, '/')),
        h('button.chip', press('problems', bad), icon('fail', 'fail'), 'Problems only'),
        steps.some((step) => step.children > 0) && h('button.chip', { type: 'button', on: { click: () => this.foldAll() } }, icon('fold'), this.view.shut.size > 0 ? 'Unfold all' : 'Fold all'),
        h('span.grow'),
        h('span.muted.sm.hide-n', null, clock.utc ? 'UTC' : `Local time, ${clock.zone}`),
      ),
      this.head(),
      this.node.isConnected ? h('div', { 'data-own': true, key: 'tl' }) : this.node,
      steps.length === 0 && h('div.body.muted', { key: 'none' }, 'There is no plan yet.'),
      legend(),
    ];
  }

  foldAll() {
    if (this.view.shut.size > 0) this.view.shut.clear();
    else for (const step of this.steps) if (step.children > 0) this.view.shut.add(step.path);
    this.redraw();
  }

  at(ms) {
    const { from, to } = this.scale;
    return Math.max(0, Math.min(100, ((ms - from) / (to - from)) * 100));
  }

  ticks() {
    const { from, to } = this.scale;
    const step = (TICKS_S.find((s) => (to - from) / (s * 1000) <= 7) ?? TICKS_S.at(-1)) * 1000;
    const found = [];
    for (let at = Math.ceil(from / step) * step; at < to; at += step) found.push(at);
    return [found, step];
  }

  head() {
    const [ticks, step] = this.ticks();
    const labels = ticks.filter((at) => this.at(at) < 94).map((at) => h('text', { x: `${this.at(at)}%`, y: 20, dx: 3, class: 'axis' }, time(at, step < 60_000)));
    return h('div.tlrow.head', { key: 'head' }, h('div.nm', null, 'Step', h('span.dur', null, 'Duration')), h('div.g', { 'aria-hidden': 'true' }, h('svg', null, labels)));
  }

  draw() {
    if (!this.scale) return;
    const height = WIDE.matches ? ROW : 40;
    const top = this.node.isConnected ? this.node.getBoundingClientRect().top : 0;
    const first = Math.max(0, Math.floor(-top / height) - BESIDE) & ~1;
    const last = Math.min(this.rows.length, Math.ceil((innerHeight - top) / height) + BESIDE);
    this.node.style.setProperty('height', `${this.rows.length * height}px`);
    const inner = h('div.tl-in', { role: 'presentation', style: { transform: `translateY(${first * height}px)` } });
    const [ticks] = this.ticks();
    for (const row of this.rows.slice(first, last)) inner.append(this.row(row, ticks));
    morph(this.inner, inner);
  }

  row({ step, tries }, ticks) {
    const { family, picture, word } = ofStep(step.status);
    const depth = step.path.split('.').length - 1;
    const group = step.children > 0;
    const shut = this.view.shut.has(step.path);
    const fold = (event) => {
      event.stopPropagation();
      if (!this.view.shut.delete(step.path)) this.view.shut.add(step.path);
      this.redraw();
    };
    const key = (event) => {
      if (group && ((event.key === 'ArrowLeft' && !shut) || (event.key === 'ArrowRight' && shut))) fold(event);
      else if (event.key === 'ArrowDown') event.currentTarget.closest('.tlrow').nextElementSibling?.querySelector('.nm')?.focus();
      else if (event.key === 'ArrowUp') event.currentTarget.closest('.tlrow').previousElementSibling?.querySelector('.nm')?.focus();
      else return;
      event.preventDefault();
    };
    const name = step.title || step.key || step.action || 'group';
    return h(
      'div.tlrow',
      { key: step.path, role: 'row', 'aria-level': depth + 1, 'aria-expanded': group ? String(!shut) : null, class: step.path === this.selected && 'sel', 'aria-selected': step.path === this.selected ? 'true' : null, 'data-step': step.path, 'data-step-status': step.status },
      h(
        'div.nm',
        { role: 'gridcell', tabindex: 0, style: { 'padding-left': `${14 + depth * 20}px` }, on: { click: () => this.select(step.path), keydown: (event) => (event.key === 'Enter' ? this.select(step.path) : key(event)) } },
        group && h('button.fold', { type: 'button', class: shut && 'shut', tabindex: '-1', 'aria-label': shut ? 'Unfold' : 'Fold', on: { click: fold } }, icon('fold')),
        icon(picture, family, word),
        h('span.no', null, step.path),
        h('span.trunc', { class: group && 'b', title: name }, name),
        h('span.dur', null, took(step)),
      ),
      h('div.g', { role: 'gridcell', 'aria-hidden': 'true' }, h('svg', null, ticks.map((at) => h('line', { x1: `${this.at(at)}%`, x2: `${this.at(at)}%`, y1: 0, y2: ROW, class: 's-line' })), group ? this.span(step) : this.bars(step, tries), this.scale.now && h('line', { x1: `${this.at(this.scale.now)}%`, x2: `${this.at(this.scale.now)}%`, y1: 0, y2: ROW, class: 's-accent', 'stroke-width': 1.5 }))),
    );
  }

  /** From where to where a group reaches. */
  span(step) {
    const parts = this.steps.filter((one) => !one.children && one.path.startsWith(`${step.path}.`) && one.started_at);
    if (parts.length === 0) return null;
    const from = Math.min(...parts.map((one) => Date.parse(one.started_at)));
    const open = parts.some((one) => !one.ended_at);
    const to = open ? (this.scale.now ?? this.scale.to) : Math.max(...parts.map((one) => Date.parse(one.ended_at)));
    const [x, end] = [this.at(from), this.at(to)];
    return [h('rect', { x: `${x}%`, y: 14, width: `${Math.max(end - x, 0.3)}%`, height: 4, rx: 2, class: 'f-idle' }), h('rect', { x: `${x}%`, y: 11, width: 2, height: 10, class: 'f-idle' }), !open && h('rect', { x: `${end}%`, y: 11, width: 2, height: 10, class: 'f-idle' })];
  }

  bars(step, tries) {
    const fills = { done: ['f-done'], fail: ['f-fail'], run: [null, 'url(#stripe)'], idle: ['f-idle'] };
    const now = this.scale.now ?? this.scale.to;
    const all = tries.length > 0 ? tries : step.started_at ? [{ from: Date.parse(step.started_at), to: step.ended_at && Date.parse(step.ended_at), family: step.status === 'FAILED' ? 'fail' : step.ended_at ? 'done' : 'run' }] : [];
    const drawn = all.map((one, i) => {
      const [from, to] = [this.at(one.from), this.at(one.to ?? now)];
      const stuck = !one.to && step.status === 'BLOCKED';
      const [name, fill] = stuck ? [null, 'url(#hatch)'] : fills[one.family];
      const next = all[i + 1];
      return [
        h('rect', { x: `${from}%`, y: 8, width: `${Math.max(to - from, 0.4)}%`, height: 16, rx: 3, class: name, fill }),
        one.family === 'fail' && to - from > 2 && h('text', { x: `${(from + to) / 2}%`, y: 20, 'text-anchor': 'middle', class: 'glabel x' }, '✕'),
        next && h('line', { x1: `${to}%`, x2: `${this.at(next.from)}%`, y1: 16, y2: 16, class: 'f-wait', 'stroke-width': 1.5 }),
      ];
    });
    const lasts = all.at(-1);
    const end = this.at(lasts?.to ?? now);
    if (step.status === 'RETRYING' && lasts?.to) drawn.push(h('line', { x1: `${end}%`, x2: `${this.at(now)}%`, y1: 16, y2: 16, class: 'f-wait', 'stroke-width': 1.5 }));
    if (step.status === 'CHECKING' && lasts?.to) drawn.push(h('rect', { x: `${end}%`, y: 8, width: `${Math.max(this.at(now) - end, 0.4)}%`, height: 16, rx: 3, fill: 'url(#hatch)' }));
    const says = {
      RUNNING: [step.attempt > 1 && `attempt ${step.attempt}`, step.progress !== undefined && `${Math.round(step.progress * 100)} %`, step.until && `until ${time(step.until)}`, step.signal && `waits for ${step.signal}`],
      RETRYING: [`${step.failures ?? 0} failed`, step.retry_at && `again at ${time(step.retry_at)}`],
      BLOCKED: [step.block_reason?.toLowerCase().replaceAll('_', ' ')],
      CHECKING: ['a gate is open'],
      READY: ['waits for an agent'],
    }[step.status];
    const label = !this.ended && says?.filter(Boolean).join(' · ');
    if (label) drawn.push(h('text', { x: `${this.at(now)}%`, y: 20, dx: 5, class: 'glabel' }, label));
    return drawn;
  }
}

function took(step) {
  if (step.started_at) return span((step.ended_at ? Date.parse(step.ended_at) : Date.now()) - Date.parse(step.started_at));
  return step.estimate ? `≈ ${span(millis(step.estimate))}` : '';
}

function legend() {
  const one = (word, drawn) => h('span', null, h('svg', { width: 18, height: 10 }, drawn), word);
  const box = (props) => h('rect', { width: 18, height: 10, rx: 2, ...props });
  return h('div.body.legend.hide-n', { key: 'legend' }, one('done', box({ class: 'f-done' })), one('running', box({ fill: 'url(#stripe)' })), one('blocked or waiting for a person', box({ fill: 'url(#hatch)' })), one('failed attempt', box({ class: 'f-fail' })), one('backoff', h('line', { x1: 0, x2: 18, y1: 5, y2: 5, class: 'f-wait', 'stroke-width': 1.5 })));
}
