// The council: which reviews are open, who owes a vote, and what was decided lately.

import { Source, get, query } from '../api.js';
import { acts, name } from '../asked.js';
import { told } from '../dialog.js';
import { card, empty, h, icon, link } from '../dom.js';
import { eventWords } from '../parts.js';
import { ago, risk, short } from '../words.js';
import { review } from './tabs.js';

/** How many decisions of the past are shown. */
const PAST = 50;

export function open(cx) {
  const open = new Source(async () => {
    const rows = await get(query('/api/v1/tasks', { status: 'DELIBERATING,REVIEW,ESCALATED', limit: 50 }));
    const all = await Promise.all(rows.map(async (row) => ({ row, reviews: await get(`/api/v1/tasks/${row.id}/reviews`) })));
    return all.map(({ row, reviews }) => ({ row, reviews: reviews.filter((one) => !one.verdict) })).filter(({ reviews }) => reviews.length > 0);
  }, cx.draw).load();
  const past = new Source(() => get(query('/api/v1/events', { type: 'REVIEW_DECIDED', order: 'desc', limit: PAST })), cx.draw).load();
  const judges = new Source(() => get(query('/api/v1/agents', { capability: 'judge', limit: 100 })), cx.draw).load();
  const all = [open, past, judges];
  return {
    title: 'Council',
    reset: () => all.forEach((source) => source.load()),
    event(event) {
      if (/^(REVIEW_|VOTE_)/.test(event.type) || event.status_after === 'DELIBERATING' || event.status_before === 'DELIBERATING') {
        open.load();
        past.load();
      }
      if (event.stream.startsWith('agent_')) judges.load();
    },
    end: () => all.forEach((source) => source.end()),
    render() {
      const found = open.value ?? [];
      return [
        h('h1', null, 'Council'),
        open.error && told(open.error),
        h(
          'div.grid2',
          null,
          card('Open reviews', h('span.tag', { class: found.length ? 'gov' : 'idle' }, found.length), found.length === 0 ? empty('No review is open. From risk HIGH on, in STRICT mode, or where a rule of the constitution says so, the council looks before a task starts.') : found.map(({ row, reviews }) => {
            const asked = (cx.asked.value ?? []).find((one) => one.task_id === row.id && one.reason === 'REVIEW');
            return h('div', { key: row.id }, h('div.body.row.wrap', null, link(`/tasks/${row.id}?tab=governance`, 'a.b', row.title), risk(row.risk_level), h('span.muted.mono', null, short(row.id))), reviews.map(review), asked && h('div.body.row.wrap', { key: name(asked) }, acts(asked, cx)));
          })),
          h(
            'div.col.gap4',
            null,
            card('Judges', h('span.tag', null, judges.value?.length ?? 0), (judges.value ?? []).length === 0 ? empty('No agent is able to judge. People decide: the operator alone where the house allows it.') : h('ul.agents', null, judges.value.map((one) => h('li', { key: one.id }, icon('council', 'gov'), link(`/agents/${one.id}`, 'a.b', one.name), h('span.sm.muted', null, one.last_seen_at ? ago(one.last_seen_at) : '—'))))),
            card('Decided lately', h('span.tag', null, past.value?.length ?? 0), (past.value ?? []).length === 0 ? empty('Nothing was decided yet.') : h('ol.feed', null, past.value.map((event) => {
              const { family, picture, words } = eventWords(event);
              return h('li', { key: event.position }, ago(event.at), icon(picture, family), h('span.any', null, link(`/tasks/${event.stream}?tab=governance`, 'a.link.mono', short(event.stream)), ' ', words));
            }))),
          ),
        ),
      ];
    },
  };
}
