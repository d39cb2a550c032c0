// The constitution in force: its articles, what of them is checked, and where.

import { Source, get } from '../api.js';
import { told } from '../dialog.js';
import { card, empty, h, icon } from '../dom.js';
import { sentence } from '../words.js';

const RULINGS = { ALLOW: ['done', 'done'], WARN: ['block', 'warn'], ESCALATE: ['gov', 'council'], DENY: ['fail', 'fail'] };

export function open(cx) {
  const law = new Source(() => get('/api/v1/constitution'), cx.draw).load();
  let gone = false;
  return {
    title: 'Constitution',
    reset: () => law.load(),
    end: () => law.end(),
    after() {
      // A ruling of a task leads to its rule.
      if (gone || !law.value || !location.hash) return;
      gone = true;
      document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView({ block: 'center' });
    },
    render() {
      const { document: text, digest } = law.value ?? {};
      if (!law.value) return [h('h1', null, 'Constitution'), law.error ? told(law.error) : h('p.muted', null, 'Looking…')];
      if (!text) return [h('h1', null, 'Constitution'), h('section.card', null, empty('None is in force here. `constitution` in ephor.yaml names a document.'))];
      const rules = text.articles.reduce((all, article) => all + (article.rules?.length ?? 0), 0);
      return [
        h('div.row.wrap', null, h('h1.grow', null, text.name), h('span.tag.outline', null, `${text.articles.length} articles, ${rules} rules`), h('code.muted.sm.any', { title: digest }, digest.slice(0, 16))),
        text.preamble && h('p.muted.any', null, text.preamble),
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
        h('p.sm.muted', null, 'The same by ', h('code', null, 'ephor constitution show'), '; another document is tried with ', h('code', null, 'ephor constitution check'), ' and ', h('code', null, 'test'), ' before it is put into force.'),
      ];
    },
  };
}
