// Sides of a task: its events, what came of it, who decided what, what was asked for.

import { ask as call } from '../api.js';
import { told } from '../dialog.js';
import { empty, h, icon, link } from '../dom.js';
import { eventWords } from '../parts.js';
import { actor, ago, instant, millis, sentence, short, span, time } from '../words.js';
import { budget } from './budget.js';
import { merged } from './task.js';

const pretty = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

/** The events, the last first; more of them on demand. */
export function events(source, view, cx) {
  const found = source.value;
  if (!found) return h('div.body.muted', null, source.error ? told(source.error) : 'Looking…');
  const word = (cx.query.get('events') ?? '').toLowerCase();
  const rows = found.items.map((event) => [event, eventWords(event)]);
  const fits = ([event, { words, step }]) => !word || [event.type, words, step ?? '', actor(event)].some((text) => text.toLowerCase().includes(word));
  const newest = view.follow ? Infinity : (view.stopped ??= found.items.at(-1)?.position ?? 0);
  if (view.follow) view.stopped = undefined;
  const shown = rows.filter((row) => row[0].position <= newest && fits(row)).reverse();
  const behind = rows.filter((row) => row[0].position > newest).length;
  const older = async () => {
    const { data, next } = await call('GET', found.next);
    source.value = { items: merged(found.items, data), next };
    cx.draw();
  };
  const download = () => {
    const lines = found.items.map((event) => JSON.stringify(event)).join('\n');
    const to = URL.createObjectURL(new Blob([`${lines}\n`], { type: 'application/x-ndjson' }));
    const a = h('a', { href: to, download: 'events.ndjson' });
    a.click();
    URL.revokeObjectURL(to);
  };
  return [
    h(
      'div.tools',
      { key: 'tools' },
      h('label.search.box', null, icon('find'), h('span.vh', null, 'Filter events'), h('input', { type: 'search', placeholder: 'Type, step, who, words', value: cx.query.get('events') ?? '', on: { input: (event) => cx.narrow({ events: event.target.value.trim() }) } })),
      h('button.chip', { type: 'button', 'aria-pressed': String(view.follow), on: { click: () => { view.follow = !view.follow; cx.draw(); } } }, 'Follow'),
      behind > 0 && h('span.muted.sm', null, `${behind} newer`),
      h('span.grow'),
      h('button.btn.s', { type: 'button', on: { click: download } }, 'Download'),
    ),
    h('ol.evs', { key: 'events', role: 'log', 'aria-label': 'Events', 'aria-live': 'off' }, shown.map(([event, { family, picture, words }]) =>
      h(
        'li',
        { key: event.position },
        h('details', null, h('summary', null, h('time', { datetime: event.at, title: instant(event.at) }, time(event.at)), icon(picture, family), h('span.any', null, words), h('span.muted.sm.who', null, `#${event.version}`)), h('pre.code', null, pretty(event))),
      ),
    )),
    h('div.body.row', { key: 'more' }, h('span.muted.sm.grow', null, `${shown.length} shown`), found.next && h('button.btn.s', { type: 'button', on: { click: older } }, 'Older events')),
  ];
}

export function outputs(source, task) {
  const found = source.value;
  if (!found) return h('div.body.muted', null, source.error ? told(source.error) : 'Looking…');
  const whole = task.result !== undefined && task.result !== null && h('div.sec', { key: 'result' }, h('h2', null, 'Result of the task'), h('pre.code', { tabindex: 0 }, pretty(task.result)));
  if (found.length === 0) return whole || empty('Nothing came of it yet. Results of steps appear here as they are reported.');
  return [
    whole,
    found.map((one) =>
      h(
        'div.sec',
        { key: one.step },
        h('div.row', null, icon('done', 'done'), h('b', null, one.name), h('span.muted.mono', null, one.step), h('span.grow'), Object.entries(one.metrics ?? {}).slice(0, 4).map(([name, value]) => h('span.tag', null, `${name} ${pretty(value)}`))),
        h('pre.code', { tabindex: 0 }, pretty(one.output)),
      ),
    ),
  ];
}

const VOTES = { APPROVE: ['done', 'done'], CONDITIONAL: ['block', 'warn'], REJECT: ['fail', 'fail'], ABSTAIN: ['idle', 'skip'] };
const QUESTIONS = { ADMISSION: 'Whether it may start', RESULT: 'Whether its result is good', ESCALATION: 'What should become of it' };
const RULINGS = { ALLOW: ['done', 'done'], WARN: ['block', 'warn'], TRANSFORM: ['run', 'retry'], ESCALATE: ['gov', 'council'], DENY: ['fail', 'fail'] };

/** One review: what is asked, how the votes stand, who owes one. */
export function review(one) {
  const { tally, terms } = one;
  const family = one.verdict === undefined ? 'block' : /^APPROVED/.test(one.verdict) ? 'done' : one.verdict === 'REJECTED' ? 'fail' : 'gov';
  return h(
    'div.sec',
    { key: one.id },
    h('div.row.wrap', null, icon('council', 'gov'), h('b.grow', null, QUESTIONS[one.question] ?? sentence(one.question)), h('span.st', { class: family }, one.verdict ? sentence(one.verdict) : 'Open')),
    h('p.sm.muted', null, `${tally.approve} for, ${tally.reject} against, ${tally.voted} voted`, tally.conditional > 0 && `, ${tally.conditional} with conditions`, tally.vetoed && ', vetoed', terms && `; it takes ${terms.required} for, and ${terms.quorum} to vote`, one.self_decided && '; the operator decided alone'),
    terms && h('p.sm.muted', null, 'Decided by what is there ', ago(terms.deadline), terms.solo && ' · the operator may decide alone'),
    (terms?.judges ?? []).map((judge) => {
      const [tone, picture] = VOTES[judge.vote] ?? ['idle', 'wait'];
      return h('div.judge', { key: judge.id }, icon(picture, tone, judge.vote ?? 'no vote yet'), h('span', null, h('b', null, short(judge.id)), h('span.muted', null, judge.vote ? ` ${judge.vote.toLowerCase()}` : ' has not voted')), h('span.muted', null, judge.weight > 1 && `×${judge.weight}`, judge.veto && ' veto'));
    }),
    (one.judge_reviews ?? []).filter((said) => !said.advisory || said.evidence?.length > 0).map((said) => h('div.pad', { key: `said ${said.judge_id}` },
      h('p.sm.any', null, h('b', null, short(said.judge_id)), ` ${said.verdict.toLowerCase()}`, said.advisory && ' (advice)', said.reasoning && `: ${said.reasoning}`),
      [...(said.advisory ? [] : (said.evidence ?? [])).map((line) => `rests on: ${line}`), ...(said.recommendations ?? []).map((line) => `advises: ${line}`)].map((line) => h('p.sm.muted.any', { key: line }, line)))),
    (one.conditions ?? []).map(({ gate, met }) => h('p.sm.any', { key: JSON.stringify(gate) }, icon(met ? 'done' : 'wait', met ? 'done' : 'block', met ? 'met' : 'not met yet'), ` depends on ${gate.kind}`, gate.criteria?.length > 0 && `: ${gate.criteria.join('; ')}`)),
    (one.compliance_score ?? one.quality_score) !== undefined && h('p.sm.muted', null, [['compliance', one.compliance_score], ['quality', one.quality_score]].filter(([, score]) => score !== undefined).map(([of, score]) => `${of} ${score.toFixed(2)}`).join(', ')),
  );
}

export function governance(task, reviews, effects, done, cx) {
  const rulings = task.rulings ?? [];
  const findings = task.findings ?? [];
  const parts = [
    h(
      'div.sec',
      { key: 'risk' },
      h('h2', null, `Risk: ${task.risk_level.toLowerCase()}`),
      (task.risk_reasons ?? []).length > 0 ? h('ul.plain.sm', null, task.risk_reasons.map((text) => h('li', null, text))) : h('p.sm.muted', null, 'No rule found more than the request says.'),
      task.constitutional_basis && h('p.sm', null, h('b', null, 'Why it is allowed: '), task.constitutional_basis),
    ),
    h(
      'div.sec',
      { key: 'rulings' },
      h('div.row', null, h('h2.grow', null, 'Rulings of the constitution'), task.constitution && link('/constitution', 'a.tag.outline', `Constitution ${task.constitution.slice(0, 10)}`)),
      rulings.length === 0 && h('p.sm.muted', null, task.constitution ? 'No rule had anything to say.' : 'It was judged by no constitution.'),
      rulings.map((said) => {
        const [family, picture] = RULINGS[said.ruling] ?? ['idle', 'text'];
        return h('div.judge', null, icon(picture, family, said.ruling), h('span', null, h('b', null, link(`/constitution#${said.rule}`, 'a.link', said.rule)), h('span.muted', null, ` ${said.message}`)), h('span.tag', { class: family }, sentence(said.ruling)));
      }),
    ),
    findings.length > 0 && h('div.sec', { key: 'findings' }, h('h2', null, 'Findings at submission'), findings.map((one) => h('div.judge', null, icon(one.result === 'PASSED' ? 'done' : 'warn', one.result === 'PASSED' ? 'done' : 'block', one.result), h('span', null, h('b', null, sentence(one.check)), h('span.muted', null, ` ${one.reason}`)), h('span.tag', null, sentence(one.result))))),
    ...(reviews.value ?? []).map(review),
    reviews.value?.length === 0 && h('div.sec', { key: 'none' }, h('h2', null, 'Reviews'), h('p.sm.muted', null, 'None was asked for. From risk HIGH on, or in STRICT mode, the council looks before the start.')),
  ];
  const known = effects.value ?? [];
  if (known.length > 0) {
    parts.push(
      h('div.sec', { key: 'effects' }, h('h2', null, 'Effects on the outside'), known.map((one) => {
        const family = one.outcome === 'DONE' ? 'done' : one.outcome === 'NOT_DONE' ? 'idle' : 'block';
        return h('div.judge', { key: one.id }, icon(one.outcome === 'DONE' ? 'done' : 'warn', family), h('span', null, h('b', null, one.action), h('span.muted', null, ` ${one.work}, attempt ${one.attempt}`, !one.guarded && ' · unguarded'), one.description && h('span.sm.muted.block', null, one.description)), h('span.tag', { class: family }, one.outcome ? sentence(one.outcome) : 'open'));
      })),
    );
  }
  parts.push(
    h(
      'div.sec',
      { key: 'done' },
      h('h2', null, 'Interventions'),
      (done.value ?? []).length === 0 && h('p.sm.muted', null, 'Nobody has intervened.'),
      (done.value ?? []).map((event) => {
        const { family, picture, words } = eventWords(event);
        return h('div.judge', { key: event.position }, icon(picture, family), h('span', null, words), h('span.muted', null, ago(event.at)));
      }),
    ),
  );
  return parts;
}

export function plan(task, source, cx) {
  const found = source.value;
  const list = (name, items) => items?.length > 0 && h('div', null, h('h3', null, name), h('ul.plain.sm', null, items.map((text) => h('li', null, text))));
  const request = h(
    'div.sec',
    { key: 'request' },
    h('div.row', null, h('h2.grow', null, 'What was asked for'), h('span.tag.outline', null, `version ${task.request_version}`)),
    task.description && h('p.any', null, task.description),
    list('Requirements', task.requirements),
    list('Accepted when', task.acceptance_criteria),
    list('Stakeholders', task.stakeholders),
    task.payload !== undefined && task.payload !== null && [h('h3', null, 'Payload'), h('pre.code', { tabindex: 0 }, pretty(task.payload))],
    Object.keys(task.resource_limits ?? {}).length > 0 && [h('h3', null, 'What it may use'), h('pre.code', null, pretty(task.resource_limits))],
  );
  const account = budget(task, cx);
  if (!found) return [request, account, h('div.sec.muted', null, source.error ? told(source.error) : 'Looking…')];
  return [
    request,
    account,
    h(
      'div.sec',
      { key: 'plan' },
      h(
        'div.row.wrap',
        null,
        h('h2.grow', null, 'Plan'),
        h('span.tag.outline', null, `version ${found.plan_version}`),
        found.confidence !== undefined && h('span.tag', { class: found.confidence < 0.7 ? 'block' : 'done' }, `confidence ${Math.round(found.confidence * 100)} %`),
        found.estimated_duration && h('span.tag.outline', null, `≈ ${span(millis(found.estimated_duration))}`),
      ),
      found.acceptance_owed && h('div.note.block', null, 'It was read with too little confidence: a person has to accept or replace it.'),
      list('Why', found.confidence_reasons),
      h('p.sm.muted', null, `Critical path: ${found.critical_path.slice(0, 30).join(' → ') || 'none'}${found.critical_path.length > 30 ? ' …' : ''}`),
      h('div.scroll', null, h('table', null, h('thead', null, h('tr', null, ['Step', 'Action', 'Needs', 'When', 'Gates', 'Estimate'].map((word) => h('th', { scope: 'col' }, word)))), h('tbody', null, found.steps.slice(0, 500).map((step) => h('tr', { key: step.path }, h('td', null, h('span.mono.muted', null, step.path), ' ', h(step.children ? 'b' : 'span', null, step.title || step.key || step.action)), h('td.mono', null, step.action), h('td.mono.sm', null, (step.needs ?? []).slice(0, 6).join(', ')), h('td', null, step.when && h('code', null, step.when), step.for_each && h('code', null, `for each ${step.for_each}`)), h('td.sm', null, (step.gates ?? []).map(sentence).join(', ')), h('td.sm.nowrap', null, step.estimate ? span(millis(step.estimate)) : '—')))))),
      found.steps.length > 500 && h('p.sm.muted', null, `The first 500 of ${found.steps.length} are shown; the timeline has all of them.`),
    ),
    (found.changes ?? []).length > 0 && h('div.sec', { key: 'changes' }, h('h2', null, 'How versions differ'), h('pre.code', { tabindex: 0 }, pretty(found.changes))),
  ];
}
