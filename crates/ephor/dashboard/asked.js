// What tasks ask of people, with what answers it.

import { Trouble, ask as call, get, once, query } from './api.js';
import { ask } from './dialog.js';
import { h } from './dom.js';
import { sentence } from './words.js';

/** How many questions are looked up. */
const LOOKED_MAX = 200;

/** Of each kind of question: its family of colours and its picture. */
const KINDS = {
  REVIEW: ['gov', 'council', 'Council review'],
  ESCALATED: ['fail', 'up', 'Escalated'],
  DECOMPOSITION: ['block', 'person', 'Plan in doubt'],
  APPROVAL: ['block', 'person', 'Needs approval'],
  HUMAN_REVIEW: ['block', 'warn', 'Unknown effect'],
  AGENT_OFFLINE: ['block', 'block', 'Agent is silent'],
  EXTERNAL: ['block', 'block', 'Held up from outside'],
  BUDGET: ['block', 'block', 'Budget spent'],
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

/** Whether the server was found to have no inbox of its own. */
let missing = false;

/** Everything that is asked, what has waited longest first; of a server without an inbox, derived from what its tasks wait for. */
export async function everything() {
  if (missing) return derived();
  try {
    return await get(query('/api/v1/inbox', { limit: LOOKED_MAX }));
  } catch (error) {
    if (!(error instanceof Trouble) || error.status !== 404) throw error;
    missing = true;
    return derived();
  }
}

/** The statuses in which a task as a whole waits for a person, and those in which a step of it may. */
const OWED = 'ESCALATED,BLOCKED,DELIBERATING,STALLED,REVIEW,IN_PROGRESS,ASSIGNED';

async function derived() {
  const rows = await get(query('/api/v1/tasks', { status: OWED, limit: 100 }));
  const waits = await Promise.all(rows.map(async (row) => [row, await get(`/api/v1/tasks/${row.id}/waiting`)]));
  const all = waits.flatMap(([row, waiting]) => waiting.filter((w) => w.reason in KINDS).map((w) => [row, w]));
  return Promise.all(all.map(([row, w]) => question(row, w)));
}

async function question(row, waits) {
  const { id, title, namespace, task_type, priority, risk_level, updated_at } = row;
  const about = { task_id: id, title, namespace, task_type, priority, risk_level, since: updated_at ?? row.created_at };
  const may = ['AGENT_OFFLINE', 'EXTERNAL', 'BUDGET', 'STALLED', 'SIGNAL'].includes(waits.reason) ? 'STEER' : 'DECIDE';
  return { ...about, reason: waits.reason, step: waits.step, what: waits.what, why: [], until: waits.until, may, who: [], command: waits.act, acts: await answers(row.id, waits) };
}

async function answers(id, { reason, step, act }) {
  const at = `/api/v1/tasks/${id}`;
  const post = (label, path, body, fill = []) => ({ label, method: 'POST', path: `${at}/${path}`, body, fill });
  switch (reason) {
    case 'REVIEW':
      return [post('approve', 'vote', { vote: 'APPROVE' }), post('reject', 'vote', { vote: 'REJECT' }, ['reason']), post('abstain', 'vote', { vote: 'ABSTAIN' })];
    case 'ESCALATED':
      return [
        post('change the scope', 'council-decision', { decision: 'MODIFY_SCOPE' }, ['description', 'reason']),
        post('allocate resources', 'council-decision', { decision: 'ALLOCATE_RESOURCES' }, ['resource_limits', 'reason']),
        post('liquidate', 'council-decision', { decision: 'LIQUIDATE' }, ['reason']),
      ];
    case 'DECOMPOSITION':
      return [post('accept the plan', 'accept-plan', {})];
    case 'APPROVAL':
      return [post('pass', 'confirm', { step, passed: true }), post('fail', 'confirm', { step, passed: false }, ['reason'])];
    case 'HUMAN_REVIEW': {
      const effects = (await get(`${at}/effects`)).filter((e) => e.outcome === 'UNKNOWN' && String(e.work).endsWith(step ?? ''));
      return effects.flatMap((e) => [
        post('it happened', `effects/${e.id}/outcome`, { outcome: 'DONE' }),
        post('it did not', `effects/${e.id}/outcome`, { outcome: 'NOT_DONE' }),
      ]);
    }
    case 'AGENT_OFFLINE':
    case 'STALLED':
      return [post('offer to others', 'reassign', {}), post('go on', 'resume', {})];
    case 'SIGNAL': {
      // Its command names the signal: `ephor task signal TASK NAME`.
      const signal = /signal \S+ (\S+)$/.exec(act ?? '')?.[1];
      return signal ? [post('it has happened', `signals/${signal}`, {})] : [];
    }
    default:
      return [post('go on', 'resume', {})];
  }
}

/** Answers that end something, or say no. */
export function isAgainst(act) {
  return /reject|liquidat|fail|cancel|did not|not good/i.test(act.label);
}

const LONG = ['reason', 'description', 'text', 'changes.reason', 'changes.description'];

/** Asks what has to be filled in, then answers. */
export function answer(asked, act) {
  const fields = act.fill ?? [];
  const wanted = fields.map((name) => ({
    name,
    label: sentence(name.split('.').pop()),
    kind: LONG.includes(name) ? 'long' : /limits|payload|plan|resources|steps/.test(name) ? 'json' : 'text',
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
