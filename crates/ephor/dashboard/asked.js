// What tasks ask of people, with what answers it.

import { ask as call, once, query } from './api.js';
import { ask } from './dialog.js';
import { h } from './dom.js';
import { sentence } from './words.js';

/** The questions of how many tasks come at once, and how many questions are looked up. */
const PAGE = 200;
const LOOKED_MAX = 1_000;

/** Of each kind of question: its family of colours and its picture. */
const KINDS = {
  REVIEW: ['gov', 'council', 'Council review'],
  ESCALATED: ['fail', 'up', 'Escalated'],
  DECOMPOSITION: ['block', 'person', 'Plan in doubt'],
  ACTION_APPROVAL: ['block', 'person', 'Needs approval'],
  APPROVAL: ['block', 'person', 'A look at the result'],
  HUMAN_REVIEW: ['block', 'warn', 'Unknown effect'],
  AGENT_OFFLINE: ['block', 'block', 'Agent is silent'],
  BUDGET: ['block', 'block', 'Budget does not suffice'],
  EXTERNAL: ['block', 'block', 'Held up from outside'],
  SIGNAL: ['idle', 'clock', 'Waits for a signal'],
  STALLED: ['block', 'clock', 'Stalled'],
};

export function kind(reason) {
  const [family, picture, word] = KINDS[reason] ?? ['block', 'block', sentence(reason)];
  return { family, picture, word };
}

/** A question is named by its task, what is asked, and the step it is about. */
export function name(asked) {
  return [asked.task_id, asked.reason, asked.step ?? ''].join(':');
}

/** Everything that is asked, what has waited longest first. */
export async function everything() {
  const found = [];
  let next = query('/api/v1/inbox', { limit: PAGE });
  while (next && found.length < LOOKED_MAX) {
    const page = await call('GET', next);
    found.push(...page.data);
    next = page.next;
  }
  return found;
}

/** Answers that end something, or say no: by what they say to the server, not by their words. */
export function isAgainst({ body }) {
  const { vote, approved, passed, decision } = body ?? {};
  return vote === 'REJECT' || approved === false || passed === false || ['LIQUIDATE', 'FAIL'].includes(decision);
}

const LONG = ['reason', 'description', 'text', 'changes.reason', 'changes.description'];

/** Asks what has to be filled in, then answers. */
export function answer(asked, act) {
  const fields = act.fill ?? [];
  const wanted = fields.map((name) => ({
    name,
    label: sentence(name.split('.').pop()),
    kind: LONG.includes(name) ? 'long' : /limits|payload|params|plan|resources|steps|budget/.test(name) ? 'json' : 'text',
    required: true,
  }));
  const body = act.body;
  const takesReason = act.method === 'POST' && !fields.includes('reason') && (!body || !('reason' in body)) && !/effects|accept-plan|signals/.test(act.path);
  if (takesReason) wanted.push({ name: 'reason', label: 'Reason', kind: 'long' });
  return ask({
    title: `${sentence(act.label)}: ${asked.title}`,
    words: [asked.what, asked.unanswered && `If nobody answers: ${asked.unanswered}`],
    fields: wanted,
    yes: sentence(act.label),
    danger: isAgainst(act),
    note: asked.version ? `You answer what was asked at version ${asked.version}. If the task has changed since, you are asked again.` : null,
    act: async (values) => {
      const said = structuredClone(act.body ?? {});
      for (const [name, value] of Object.entries(values)) put(said, name.split('.'), value);
      const version = asked.version ? { 'if-match': `"${asked.version}"` } : {};
      await call(act.method, act.path, said, act.method === 'POST' ? { ...version, ...once() } : version);
    },
  });
}

function put(object, [first, ...rest], value) {
  if (rest.length === 0) object[first] = value;
  else put((object[first] ??= {}), rest, value);
}

/** The buttons that answer a question. */
export function acts(asked, cx) {
  const why = cx.why(asked.may === 'STEER' ? 'steer' : 'decide');
  return asked.acts.map((act) =>
    h(`button.btn${isAgainst(act) ? '.danger' : ''}`, { type: 'button', disabled: Boolean(why), title: why ?? act.command, 'data-answer': act.label, on: { click: () => answer(asked, act).then((done) => done && cx.look()) } }, sentence(act.label)),
  );
}
