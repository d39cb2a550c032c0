// What people ask of one task: which of it is possible now, why not, and the dialog that asks for the rest.

import { ask as call, once } from './api.js';
import { ask } from './dialog.js';
import { FINAL, sentence } from './words.js';

const REASON = { name: 'reason', label: 'Reason', kind: 'long' };
const NEEDED = { ...REASON, required: true };
const PRIORITIES = ['', 'IDLE', 'LOW', 'NORMAL', 'HIGH', 'CRITICAL', 'SOVEREIGN'].map((word) => [word, word ? sentence(word) : 'As it is']);
const MODES = [['', 'As it is'], ['AUTO', 'Auto'], ['STRICT', 'Strict'], ['DRY_RUN', 'Dry run']];
const OVERRIDES = [
  ['COMPLETE', 'The task counts as done'],
  ['FAIL', 'The task ends without success'],
  ['APPROVE', 'The open review counts as passed'],
  ['SKIP_STEP', 'The step is left out'],
  ['RETRY_STEP', 'The step is tried again'],
  ['PASS_GATE', 'The open gate of the step counts as passed'],
  ['COMPENSATED', 'What the step did was undone by hand'],
  ['ROLLBACK', 'Go back to the step, as a checkpoint'],
];

const ended = (task) => (FINAL.includes(task.status) ? `it has ended: ${task.status.toLowerCase()}` : null);

/**
 * Everything that can be asked of a task. `needs` is a permission; `not` says why it makes no sense now. What is `main` stands beside the
 * title, the rest in a menu.
 */
export const ACTS = [
  {
    name: 'pause',
    label: 'Pause',
    picture: 'pause',
    needs: 'steer',
    main: true,
    not: (task) => ended(task) ?? (task.status === 'PAUSED' ? 'it is paused already' : null),
    words: 'It is held until somebody resumes it. Attempts under way may finish, unless they are told to stop.',
    fields: [REASON, { name: 'stop_running', label: 'Stop what runs', kind: 'check' }],
  },
  {
    name: 'resume',
    label: 'Resume',
    picture: 'play',
    needs: 'steer',
    main: true,
    not: (task) => ended(task) ?? (['PAUSED', 'STALLED', 'BLOCKED'].includes(task.status) ? null : 'it is not held'),
    words: 'It goes on where it was held.',
    fields: [REASON],
  },
  {
    name: 'escalate',
    label: 'Escalate…',
    picture: 'up',
    needs: 'steer',
    main: true,
    not: (task) => ended(task) ?? (task.status === 'ESCALATED' ? 'a decision is owed already' : null),
    words: 'The council or a person is asked for a decision; until then nothing new begins.',
    fields: [NEEDED, { name: 'priority', label: 'Priority', kind: 'choice', options: PRIORITIES }],
  },
  {
    name: 'cancel',
    label: 'Cancel…',
    picture: 'stop',
    needs: 'steer',
    main: true,
    danger: true,
    not: (task) => ended(task) ?? (task.cancelling ? 'its agents were told to end' : null),
    words: 'It ends without success. Agents at work are told first and have a moment to end.',
    fields: [NEEDED, { name: 'force', label: 'Without waiting for agents', kind: 'check' }],
  },
  {
    name: 'guide',
    label: 'Guide its agents…',
    needs: 'steer',
    not: ended,
    words: 'Every agent that works on it from now on is told.',
    fields: [{ name: 'text', label: 'What to keep in mind', kind: 'long', required: true }],
  },
  {
    name: 'modify',
    label: 'Modify…',
    needs: 'steer',
    not: ended,
    words: 'What is left empty stays as it is. What a review approved and this changes is reviewed again.',
    fields: [
      { name: 'title', label: 'Title' },
      { name: 'description', label: 'Description', kind: 'long' },
      { name: 'priority', label: 'Priority', kind: 'choice', options: PRIORITIES },
      { name: 'execution_mode', label: 'Mode', kind: 'choice', options: MODES },
      { name: 'deadline', label: 'Must have ended by', hint: 'for example 2026-12-31T17:00:00Z' },
      REASON,
    ],
  },
  {
    name: 'reassign',
    label: 'Reassign…',
    needs: 'steer',
    not: ended,
    words: 'Its work is taken from the agents it is with, and offered again.',
    fields: [{ name: 'agent', label: 'To this agent alone', hint: 'id or name; anybody who is able where it is empty' }, REASON],
  },
  {
    name: 'retry',
    label: 'Try a step again…',
    needs: 'steer',
    not: (task) => ended(task) ?? (task.steps?.retrying > 0 || task.steps?.failed > 0 || task.steps?.blocked > 0 || ['RETRYING', 'ESCALATED', 'BLOCKED'].includes(task.status) ? null : 'no step has failed or is held up'),
    words: 'The step that failed or is held up is tried again.',
    fields: [{ name: 'step', label: 'Step', hint: 'path or name; the one that failed where it is empty' }, REASON],
  },
  {
    name: 'override',
    label: 'Override…',
    needs: 'decide',
    danger: true,
    not: ended,
    words: 'A person’s word instead of a verdict, a gate or an attempt. It stands in the events with your name and reason.',
    fields: [{ name: 'decision', label: 'What is done', kind: 'choice', options: OVERRIDES }, { name: 'step', label: 'Step', hint: 'path or name, where it is about a step' }, NEEDED],
  },
  {
    name: 'rerun',
    label: 'Run again',
    needs: 'submit',
    not: (task) => (FINAL.includes(task.status) ? null : 'it has not ended'),
    words: 'A new task, the same as this one was asked for at last.',
    fields: [],
    opens: true,
  },
  {
    name: 'archive',
    label: 'Archive',
    needs: 'steer',
    not: (task) => (!FINAL.includes(task.status) ? 'it has not ended' : task.archived ? 'it is archived already' : null),
    words: 'It leaves the lists; everything about it is kept.',
    fields: [],
  },
  {
    name: 'note',
    label: 'Add a note…',
    needs: 'steer',
    not: () => null,
    words: 'It is kept with the events of the task.',
    fields: [{ name: 'text', label: 'Note', kind: 'long', required: true }],
  },
];

/** Why an act is not possible for whoever looks, or `null`. */
export function why(act, task, cx) {
  return cx.why(act.needs) ?? act.not(task);
}

/** Asks for what is needed, then does it; `step` fills in the step where one is selected. */
export async function carryOut(act, task, cx, given = {}) {
  const fields = act.fields.map((field) => ({ ...field, value: given[field.name] ?? field.value }));
  let opened = null;
  const done = await ask({
    title: `${act.label.replace('…', '')}: ${task.title}`,
    words: act.words,
    fields,
    yes: act.label.replace('…', ''),
    danger: act.danger,
    act: async (values) => {
      const said = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== '' && value !== false));
      const { data } = await call('POST', `/api/v1/tasks/${task.id}/${act.name}`, said, once());
      opened = data;
    },
  });
  if (done && act.opens && opened?.id) cx.go(`/tasks/${opened.id}`);
  else if (done) cx.look();
}
