// What waits for a person: the questions, and for each what it is about, why it is asked, and what answers it.

import { Source, get } from '../api.js';
import { acts, answer, isAgainst, kind, name } from '../asked.js';
import { told } from '../dialog.js';
import { card, empty, h, icon, link } from '../dom.js';
import { stepBar } from '../parts.js';
import { ago, pill, risk, sentence, short } from '../words.js';
import { review } from './tabs.js';

export function open(cx) {
  let shown = null;
  let about = null;
  cx.asked.load();

  const all = () => cx.asked.value ?? [];
  const selected = () => all().find((one) => name(one) === cx.query.get('on')) ?? (matchMedia('(min-width: 721px)').matches ? all()[0] : undefined);

  /** What is known of the task that asks, looked up once it is looked at. */
  function whole(one) {
    if (shown !== one.task_id) {
      about?.end();
      shown = one.task_id;
      about = new Source(async () => {
        const at = `/api/v1/tasks/${one.task_id}`;
        const [task, steps, reviews, outputs] = await Promise.all([get(at), get(`${at}/steps`), get(`${at}/reviews`), get(`${at}/outputs`)]);
        return { task, steps, reviews, outputs };
      }, cx.draw).load();
    }
    return about.value;
  }

  function move(by) {
    const now = all().findIndex((one) => one === selected());
    const next = all()[Math.max(0, Math.min(all().length - 1, now + by))];
    if (next) cx.narrow({ on: name(next) });
  }

  function first(against) {
    const one = selected();
    const act = one?.acts.find((each) => isAgainst(each) === against);
    if (act && !cx.why(one.may === 'STEER' ? 'steer' : 'decide')) answer(one, act).then((done) => done && cx.look());
  }

  return {
    title: 'Inbox',
    keys: { j: () => move(1), k: () => move(-1), a: () => first(false), r: () => first(true), Enter: () => selected() && cx.go(`/tasks/${selected().task_id}`) },
    reset: () => about?.load(),
    event: (event) => event.stream === shown && about?.load(),
    end: () => about?.end(),
    render() {
      const one = selected();
      const picked = cx.query.get('on');
      return [
        h('div.row', null, h('h1.grow', null, 'Inbox'), h('span.muted.sm', null, cx.asked.value && `${all().length} open`)),
        cx.asked.error && told(cx.asked.error),
        cx.asked.value && all().length === 0
          ? h('section.card', null, empty('Nothing waits for a person. Reviews, gates, escalations, plans in doubt and effects nobody knows of appear here.'))
          : h('div.inbox', { class: picked && one && 'one' }, list(all(), one), one ? article(one, whole(one), cx) : h('section.card.hide-n', null, h('div.body.muted', null, 'Choose a question.'))),
      ];
    },
  };
}

function list(all, selected) {
  return h(
    'section.card.q',
    { 'aria-label': 'Waiting' },
    h('header', null, h('h2.grow', null, 'Waiting for a person'), h('span.tag.block', null, all.length)),
    all.map((one) => {
      const { family, picture, word } = kind(one.reason);
      return h(
        'a',
        { key: name(one), href: `/inbox?on=${encodeURIComponent(name(one))}`, class: one === selected && 'sel', 'aria-current': one === selected && 'true' },
        icon(picture, family),
        h('span.b.trunc', null, one.title),
        h('span.sm.b.nowrap', { class: `c-${family}` }, ago(one.until ?? one.since)),
        h('span.sub.trunc', null, `${word}${one.step ? ` · step ${one.step}` : ''} · ${one.what}`),
      );
    }),
    h('div.body.row.wrap.sm.muted.hide-n', null, h('kbd', null, 'j'), h('kbd', null, 'k'), 'move', h('kbd', null, 'a'), 'first answer', h('kbd', null, 'r'), 'answer against'),
  );
}

function article(one, whole, cx) {
  const { family, picture, word } = kind(one.reason);
  const step = whole?.steps.find((each) => each.path === one.step);
  const output = whole?.outputs.find((each) => each.step === one.step);
  const open = (whole?.reviews ?? []).filter((each) => !each.verdict);
  const why = cx.why(one.may === 'STEER' ? 'steer' : 'decide');
  return h(
    'article.card',
    { key: name(one) },
    h(
      'div.sec',
      null,
      h('div.row.wrap', null, h('span.st', { class: family }, icon(picture), word), risk(one.risk_level), one.step && h('span.tag.outline', null, `Step ${one.step}`), h('span.grow'), one.until && h('span.sm.b', { class: `c-${family}` }, icon('clock'), ' until ', ago(one.until))),
      h('h2.big', null, one.title),
      h('p.muted.any', null, one.what),
      h('p.sm', null, link(`/tasks/${one.task_id}${one.step ? `?step=${one.step}` : ''}`, 'a.link', `Open the task ${short(one.task_id)}`), ' · ', link('/inbox', 'a.link.back', 'All questions')),
    ),
    step && h('div.sec', null, h('h2', null, 'What it is about'), h('dl.kv', null, h('dt', null, 'Step'), h('dd', null, `${step.path} ${step.title || step.key || ''}`), h('dt', null, 'Action'), h('dd', null, h('code', null, step.action)), step.agent && [h('dt', null, 'Agent'), h('dd', null, link(`/agents/${step.agent}`, 'a.link.mono', short(step.agent)))]), step.error && h('pre.code', null, step.error)),
    one.approval && exactly(one),
    output && h('div.sec', null, h('h2', null, 'Its result'), h('pre.code', { tabindex: 0 }, typeof output.output === 'string' ? output.output : JSON.stringify(output.output, null, 2))),
    !output && step?.output_summary && h('div.sec', null, h('h2', null, 'Its result'), h('pre.code', null, step.output_summary)),
    reasons(one, whole),
    open.map(review),
    whole && h('div.sec', null, h('h2', null, 'The task'), h('div.row', null, pill(whole.task), stepBar(whole.task, 'thin'), h('span.sm.muted', null, `${Math.round(whole.task.progress * 100)} %`))),
    h(
      'div.dec',
      null,
      h('div.row.wrap', null, acts(one, cx)),
      why && h('p.sm.c-block', null, sentence(why)),
      one.unanswered && h('p.sm.muted', null, h('b', null, 'If nobody answers: '), one.unanswered),
      one.raised && h('p.sm.muted', null, h('b', null, 'Told so far: '), one.raised.told.join(', ')),
      one.acts[0]?.command && h('code.sm.muted.any', null, one.acts[0].command),
    ),
  );
}

function reasons(one, whole) {
  const { task } = whole ?? {};
  const all = [
    (one.why ?? []).length > 0 && h('ul.plain.sm', null, one.why.map((text) => h('li.any', null, text))),
    ...(task?.rulings ?? []).filter((said) => said.ruling !== 'ALLOW').map((said) => h('div.note.gov', null, h('b', null, said.rule), ` ${said.message}`)),
    task?.reason && h('p.sm.muted.any', null, task.reason),
    ...(task?.risk_reasons ?? []).map((text) => h('p.sm.muted', null, text)),
    one.who?.length > 0 && h('p.sm', null, h('b', null, 'Asked: '), one.who.map(short).join(', ')),
  ].filter(Boolean);
  return all.length > 0 && h('div.sec', null, h('h2', null, 'Why a person is asked'), all);
}

/** What would be done, word for word: the answer counts for just that. */
function exactly({ action, approval }) {
  return h(
    'div.sec',
    null,
    h('div.row.wrap', null, h('h2.grow', null, 'What will happen'), approval.risk && risk(approval.risk)),
    h('pre.code', { tabindex: 0 }, `${action} ${JSON.stringify(approval.params, null, 2)}`),
    (approval.rulings ?? []).map((said) => h('div.note.gov', null, h('b', null, said.rule), ` ${said.message}`)),
    h('p.sm.muted.any', null, 'Your answer counts for just this, ', h('code', null, approval.digest.slice(0, 16)), ': if anything of it changes, you are asked again.'),
  );
}
