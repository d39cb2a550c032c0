// The plan as a graph. Where its nodes stand and how its lines run, the server says; here they are only drawn.

import { told } from '../dialog.js';
import { h } from '../dom.js';
import { inWords } from '../parts.js';
import { ofStep } from '../words.js';

/** More nodes than this are not drawn at once. */
const NODES_MAX = 2_000;
/** How many letters of a name fit into a node. */
const FITS = 19;

export function graph(source, steps, selected, select, cx) {
  const found = source.value;
  if (!found) return h('div.body.muted', null, source.error ? told(source.error) : 'Looking…');
  const { drawing, critical_path: critical } = found;
  const zoom = Number(cx.query.get('zoom') ?? 1) || 1;
  const groups = steps.some((step) => step.children > 0);
  const set = (to) => cx.narrow({ zoom: to === 1 ? null : String(to) });
  const bar = h(
    'div.tools',
    { key: 'tools' },
    h('span.muted.sm.grow', null, `${drawing.nodes.length} ${drawing.folded ? 'groups and steps' : 'steps'}, the critical path bold`),
    groups && h('button.chip', { type: 'button', 'aria-pressed': String(drawing.folded), on: { click: () => cx.narrow({ fold: drawing.folded ? 'no' : 'yes' }) } }, 'Groups folded'),
    h('button.btn.s', { type: 'button', 'aria-label': 'Smaller', on: { click: () => set(Math.max(0.25, zoom / 1.25)) } }, '−'),
    h('button.btn.s', { type: 'button', 'aria-label': 'As it is', on: { click: () => set(1) } }, `${Math.round(zoom * 100)} %`),
    h('button.btn.s', { type: 'button', 'aria-label': 'Larger', on: { click: () => set(Math.min(3, zoom * 1.25)) } }, '+'),
  );
  if (drawing.nodes.length > NODES_MAX) return [bar, h('div.body.muted', { key: 'many' }, `${drawing.nodes.length} steps are too many to see at once. Fold the groups, or look at the timeline with a filter.`)];
  const by = new Map(steps.map((step) => [step.path, step]));
  const top = (path) => (drawing.folded ? path.split('.')[0] : path);
  const onPath = new Set(critical.map(top));
  const follows = new Set(critical.map(top).map((path, i, all) => `${all[i - 1]}>${path}`));
  const lines = drawing.lines.map((line, i) => {
    const done = line.from && ['COMPLETED', 'SKIPPED'].includes(by.get(line.from)?.status);
    return h('path', { key: i, d: curve(line.points), class: ['edge', done && 'ok', follows.has(`${line.from}>${line.to}`) && 'cr'].filter(Boolean).join(' ') });
  });
  const nodes = drawing.nodes.map((node) => {
    const step = by.get(node.id);
    const { family, word } = ofStep(step?.status ?? 'PENDING');
    const name = step?.title || step?.key || step?.action || node.id;
    const counts = node.steps ? inWords(node.steps) : word;
    const open = () => select(node.id);
    return h(
      'g.node',
      { key: node.id, class: node.id === selected && 'sel', transform: `translate(${node.x} ${node.y})`, tabindex: 0, role: 'button', 'aria-label': `${node.id} ${name}: ${counts}`, on: { click: open, keydown: (event) => event.key === 'Enter' && open() } },
      h('rect', { class: 'bx', width: drawing.node_width, height: drawing.node_height, rx: 6 }),
      h('rect', { class: `f-${family}`, width: 4, height: drawing.node_height, rx: 2 }),
      h('text', { x: 12, y: 18, ...(onPath.has(node.id) ? { 'font-weight': 650 } : {}) }, name.length > FITS ? `${name.slice(0, FITS - 1)}…` : name, h('title:svg', null, `${node.id} ${name}`)),
      h('text', { x: 12, y: 34, class: 'm' }, `${node.id} ${node.steps ? `×${node.steps.total}` : word.toLowerCase()}`),
    );
  });
  const [wide, high] = [drawing.width + 4, drawing.height + 4];
  return [
    bar,
    h('div.graph', { key: 'graph', tabindex: 0, role: 'group', 'aria-label': 'The plan as a graph; the timeline tells the same as a list' }, h('svg', { width: wide * zoom, height: high * zoom, viewBox: `-2 -2 ${wide} ${high}` }, lines, nodes)),
  ];
}

/** A line through points, level where it passes each. */
function curve(points) {
  const [[x, y], ...rest] = points;
  let path = `M${x} ${y}`;
  let [fromX, fromY] = [x, y];
  for (const [toX, toY] of rest) {
    const half = (fromX + toX) / 2;
    path += ` C${half} ${fromY} ${half} ${toY} ${toX} ${toY}`;
    [fromX, fromY] = [toX, toY];
  }
  return path;
}
