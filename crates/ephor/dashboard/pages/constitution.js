// The constitution in force: its articles, what of them is checked, and where; what was in force before; and what is to take its place.

import { Source, ask as call, get } from '../api.js';
import { ask, told } from '../dialog.js';
import { button, card, empty, h, icon } from '../dom.js';
import { ago, counted, sentence, short } from '../words.js';

const RULINGS = { ALLOW: ['done', 'done'], WARN: ['block', 'warn'], TRANSFORM: ['run', 'retry'], ESCALATE: ['gov', 'council'], DENY: ['fail', 'fail'] };

const STATES = { DEBATE: ['gov', 'council'], VOTING: ['gov', 'council'], ADOPTED: ['done', 'done'], REJECTED: ['fail', 'fail'], LAPSED: ['idle', 'wait'], WITHDRAWN: ['idle', 'wait'], OVERTAKEN: ['idle', 'wait'] };
const FOLLOWS = { NOTED: 'it is noted', REVIEW: 'the council looks at it first', REFUSED: 'it is refused: a decision is owed' };
const BASE = '/api/v1/constitution';

/** One amendment: why, how the votes stand, and what can be said to it. */
function amendment(one, cx, look) {
  const [family, picture] = STATES[one.state] ?? ['idle', 'wait'];
  const path = `${BASE}/amendments/${one.id}`;
  const judge = one.solo ? [] : [{ name: 'judge', label: 'In the name of', kind: 'choice', options: one.voters.map(({ id }) => [id, short(id)]) }];
  const vote = async (word, label) => {
    const done = await ask({
      title: `${label}: ${one.name}`,
      words: one.solo ? 'Too few could vote: your word decides, and that is recorded.' : 'The last word of each voter counts.',
      fields: [...judge, { name: 'reason', label: 'Reason', kind: 'long' }],
      yes: label,
      danger: word === 'REJECT',
      act: (values) => call('POST', `${path}/vote`, { vote: word, ...values }),
    });
    if (done) look();
  };
  const impact = async () => {
    const { text } = await get(path);
    const { data: told } = await call('POST', `${BASE}/impact`, { document: text });
    const lines = told.changes.map((one) => `${one.what}: ${one.before ?? 'nothing'} → ${one.after ?? 'nothing'}`);
    const tasks = told.tasks.map((one) => `${one.title} (${short(one.task_id)}): ${FOLLOWS[one.follows]}`);
    const sum = `${told.tasks.length} of ${counted(told.looked_at, 'live task')} would be judged otherwise${told.more ? ', and there are more' : ''}.`;
    await ask({ title: `What ${one.name} would change`, words: [...lines.slice(0, 50), sum, ...tasks.slice(0, 50)], yes: 'Close', act: async () => {} });
  };
  const sponsor = async () => {
    const done = await ask({ title: `Stand behind ${one.name}`, words: `${one.sponsors.length} of ${one.terms.sponsors} do so far.`, yes: 'Stand behind it', act: () => call('POST', `${path}/sponsor`, {}) });
    if (done) look();
  };
  const open = !one.decided_at;
  const why = cx.why('decide');
  return h(
    'article.article',
    { key: one.id },
    h('div.row.wrap', null, h('span.st', { class: family }, icon(picture), sentence(one.state)), h('h2.grow', null, one.name), h('code.muted', null, short(one.id))),
    h('p.any', null, one.reason),
    h('p.sm.muted', null, `${one.tally.approve} for, ${one.tally.reject} against, ${one.tally.open} open. It takes ${one.terms.quorum} of the votes, and ${one.terms.majority} of those for and against. Proposed by ${one.proposed_by} `, ago(one.proposed_at), '.'),
    one.votes.length > 0 && h('ul.plain', null, one.votes.map(({ voter, vote: word, reason }) => h('li', { key: voter }, `${short(voter)}: ${word.toLowerCase()}${reason ? `, ${reason}` : ''}`))),
    h(
      'div.row.wrap',
      null,
      open && button('.primary', { why, on: { click: () => vote('APPROVE', 'Approve') } }, 'Approve…'),
      open && button('.danger', { why, on: { click: () => vote('REJECT', 'Reject') } }, 'Reject…'),
      open && one.state === 'DEBATE' && button('', { why, on: { click: sponsor } }, 'Stand behind it…'),
      open && button('', { why, on: { click: impact } }, 'What it would change…'),
    ),
  );
}

export function open(cx) {
  const law = new Source(() => get(BASE), cx.draw).load();
  const amendments = new Source(() => get(`${BASE}/amendments`), cx.draw).load();
  const versions = new Source(() => get(`${BASE}/versions`), cx.draw).load();
  const all = [law, amendments, versions];
  const look = () => all.forEach((source) => source.load());
  let gone = false;

  async function propose() {
    const done = await ask({
      title: 'Propose another document',
      words: 'It is decided on the terms of the one in force. What is live is judged by it once it is adopted.',
      fields: [
        { name: 'document', label: 'Document', kind: 'yaml', value: law.value?.text ?? '', required: true },
        { name: 'reason', label: 'Why', kind: 'long', required: true },
      ],
      yes: 'Propose',
      act: (values) => call('POST', `${BASE}/amendments`, values),
    });
    if (done) look();
  }

  return {
    title: 'Constitution',
    reset: look,
    event(event) {
      if (/^(CONSTITUTION_|AMENDMENT_)/.test(event.type)) look();
    },
    end: () => all.forEach((source) => source.end()),
    after() {
      // A ruling of a task leads to its rule.
      if (gone || !law.value || !location.hash) return;
      gone = true;
      document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView({ block: 'center' });
    },
    render() {
      const { document: text, digest, version } = law.value ?? {};
      const open = (amendments.value ?? []).filter((one) => !one.decided_at);
      const past = (amendments.value ?? []).filter((one) => one.decided_at);
      if (!law.value) return [h('h1', null, 'Constitution'), law.error ? told(law.error) : h('p.muted', null, 'Looking…')];
      if (!text) return [h('h1', null, 'Constitution'), h('section.card', null, empty('None is in force here. `constitution` in ephor.yaml names a document.'))];
      const rules = text.articles.reduce((all, article) => all + (article.rules?.length ?? 0), 0);
      return [
        h('div.row.wrap', null, h('h1.grow', null, text.name), h('span.tag.outline', null, `${counted(text.articles.length, 'article')}, ${counted(rules, 'rule')}`), h('code.muted.sm.any', { title: digest }, digest.slice(0, 16))),
        text.preamble && h('p.muted.any', null, text.preamble),
        card('Amendments', [h('span.grow'), button('.s', { why: cx.why('decide'), on: { click: propose } }, 'Propose…')], open.length + past.length === 0 ? empty('Nobody wants another document. Propose one, and those who may judge vote on it.') : [...open, ...past.slice(0, 20)].map((one) => amendment(one, cx, look))),
        (versions.value ?? []).length > 0 && card('Versions', h('span.tag', null, versions.value.length), h('ol.feed', null, [...versions.value].reverse().map((one) => h('li', { key: one.number }, ago(one.at), icon(one.from === 'AMENDMENT' ? 'council' : 'text'), h('span.any', null, h('b', null, `${one.number} · ${one.name}`), ` ${sentence(one.from).toLowerCase()}, by ${one.by} `, h('code.muted', null, one.digest), one.number === version?.number && h('span.tag.outline', null, 'in force')))))),
        card('Articles', null, text.articles.map((article) =>
          h(
            'article.article',
            { key: article.id, id: article.id },
            h('div.row', null, h('code.muted', null, article.id), h('h2.grow', null, article.title)),
            article.text && h('p.any', null, article.text),
            (article.rules ?? []).map((rule) => {
              const [family, picture] = RULINGS[rule.verdict] ?? ['idle', 'text'];
              return h(
                'div.rule',
                { key: rule.id, id: rule.id, class: rule.verdict },
                h('div.row.wrap', null, h('span.st', { class: family }, icon(picture), sentence(rule.verdict)), h('code.muted', null, rule.id), rule.at.map((point) => h('span.tag.outline', null, `at ${point}`)), rule.risk && h('span.tag.block', null, `risk ${rule.risk.toLowerCase()}`)),
                h('p.any', null, rule.message),
                h('pre.code', { tabindex: 0 }, rule.when),
              );
            }),
          ),
        )),
        h('p.sm.muted', null, 'The same by ', h('code', null, 'ephor constitution show'), '; another document is tried with ', h('code', null, 'ephor constitution check'), ', ', h('code', null, 'test'), ', ', h('code', null, 'diff --impact'), ' and ', h('code', null, 'replay'), ' before it is proposed.'),
      ];
    },
  };
}
