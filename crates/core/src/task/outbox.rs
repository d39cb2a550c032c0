//! What other tasks hear of an event, and what is born from it. Derived from the event and the state alone, so that replay can check
//! that nothing was sent too much or too little.

use super::Task;
use crate::command::{Birth, Refusal, Submission};
use crate::event::{EndReason, Event, Letter, Submitted};
use crate::id::TaskId;
use crate::planted::{self, Fault};
use crate::recurrence;
use crate::spec::Overlap;
use crate::time::Time;
use serde_json::{Map, Value};

/// The largest result that travels with a letter, in bytes of JSON; a larger one stays with its task.
const OUTPUT_MAX: usize = 8 * 1024;

impl Task {
    /// Mail that follows from an event, after it was taken in. Public so that a replay can check what was sent.
    pub fn mail_after(&self, event: &Event) -> Vec<(TaskId, Letter, Value)> {
        let plain = |to: TaskId, letter: Letter| (to, letter, Value::Null);
        if !self.let_go.is_empty() {
            let end = |child: &TaskId| plain(*child, Letter::ParentEnded { parent: self.id });
            return self.let_go.iter().map(end).collect();
        }
        match event {
            Event::Submitted(facts) => {
                let joins_parent = facts.parent.iter().filter(|p| p.step.is_none());
                let to_parent = joins_parent.map(|p| plain(p.task, Letter::ChildJoined { child: self.id }));
                let to_others = facts.depends_on.iter().map(|on| plain(*on, Letter::DependentJoined { dependent: self.id }));
                to_parent.chain(to_others).collect()
            }
            Event::Released => {
                let replaces = self.facts.recurrence.as_ref().is_some_and(|r| r.overlap == Overlap::Replace);
                let before = self.facts.previous_run.filter(|_| replaces);
                before.map(|run| plain(run, Letter::Replaced { by: self.id })).into_iter().collect()
            }
            Event::Assigned(_) => self.to_the_investigation().collect(),
            Event::Completed { .. } | Event::Failed { .. } | Event::Cancelled { .. } | Event::Stopped { .. } => {
                self.last_words().into_iter().chain(self.to_the_investigation()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whoever looks into why it does not move hears that it does.
    fn to_the_investigation(&self) -> impl Iterator<Item = (TaskId, Letter, Value)> {
        self.looked_into.iter().map(|task| (*task, Letter::GoesOn { task: self.id }, Value::Null))
    }

    /// What is said at the end: to the parent, to those who wait, to children that should not go on alone.
    fn last_words(&self) -> Vec<(TaskId, Letter, Value)> {
        let status = self.status();
        let mut mail = Vec::new();
        if let Some(parent) = self.facts.parent.as_ref().filter(|_| !planted::is(Fault::ChildUntold)) {
            let used = (!self.spent.is_nothing() || self.facts.budget.is_some()).then_some(self.spent);
            let letter = Letter::ChildEnded { child: self.id, step: parent.step.clone(), status, used };
            mail.push((parent.task, letter, self.result_within(OUTPUT_MAX)));
        }
        for dependent in self.dependents.iter().filter(|_| !planted::is(Fault::DependentsUntold)) {
            mail.push((*dependent, Letter::DependencyEnded { dependency: self.id, status }, Value::Null));
        }
        // A task completes after its parts, unless a person says it is complete.
        for child in self.spawned.values().chain(&self.children) {
            mail.push((*child, Letter::ParentEnded { parent: self.id }, Value::Null));
        }
        mail
    }

    /// The result of the task: of one step its output, of several the output of each by name.
    pub fn result(&self) -> Value {
        let leaves: Vec<u32> = self.board.all().filter(|i| self.board.kids(*i).is_empty()).collect();
        match leaves.as_slice() {
            [only] => self.contents.output(&self.step_name(*only)).unwrap_or(Value::Null),
            several => {
                let named = several.iter().filter_map(|i| {
                    let name = self.step_name(*i);
                    Some((name.to_string(), self.contents.output(&name)?))
                });
                Value::Object(named.collect::<Map<_, _>>())
            }
        }
    }

    fn result_within(&self, bytes: usize) -> Value {
        let result = self.result();
        if result.to_string().len() <= bytes { result } else { Value::Null }
    }

    /// The task an event gives birth to.
    pub(super) fn birth(&self, event: &Event, submission: Submission) -> Birth {
        match event {
            Event::ChildBorn { child, .. } | Event::StallEscalated { task: child } => Birth { id: *child, submission },
            _ => Birth { id: TaskId::derived(self.id, self.version, 1), submission },
        }
    }

    /// The next run of a recurring task: born when this one ends, or is released where runs may stand beside each other. A task that was
    /// withdrawn or stopped before that does not come again.
    pub fn recurrence_after(&self, event: &Event, now: Time) -> Option<Birth> {
        let recurrence = self.facts.recurrence.as_ref()?;
        let beside = recurrence.overlap.is_side_by_side();
        let comes = match event {
            Event::Submitted(facts) => beside && facts.released,
            Event::Released => beside,
            Event::Completed { .. } => !(beside && self.released),
            Event::Failed { reason, .. } => *reason != EndReason::ParentEnded && !(beside && self.released),
            _ => false,
        };
        let run = self.facts.run.unwrap_or(1);
        if !comes || recurrence.times.is_some_and(|times| run >= times) {
            return None;
        }
        let from = self.facts.due_at.or(self.born_at)?;
        let due_at = recurrence::following(recurrence, from, self.released_at.unwrap_or(now), now)?;
        let mut facts = Submitted {
            due_at: Some(due_at),
            release_at: None,
            released: false,
            run: Some(run + 1),
            previous_run: Some(self.id),
            external_id: None,
            retry_of: None,
            related: None,
            depends_on: Vec::new(),
            // Coming again is no healing.
            healed: Default::default(),
            // What a person accepted once is accepted for the runs to come.
            acceptance_owed: self.acceptance_owed && self.facts.plan.is_some(),
            // A deadline keeps its distance from the due time.
            deadline: self.facts.deadline.map(|d| due_at.plus(d.since(from))),
            ..(*self.facts).clone()
        };
        if let Some(plan) = &mut facts.plan {
            crate::request::confirm_each_step(plan, facts.mode);
        }
        Some(Birth { id: TaskId::derived(self.id, self.version, 2), submission: self.asked_again(facts) })
    }

    /// The same task once more, where it has ended: as it was asked for at last, due now, and with every count at its beginning. Who runs
    /// it again says so by `retry_of`. Its place in another task, its name and its turn in a row of runs stay with the one that ended.
    pub fn rerun(&self, now: Time) -> Result<Submission, Refusal> {
        if self.end.is_none() {
            return Err(self.not_now("run again", "wait for its end, or cancel it first"));
        }
        if self.erased {
            return Err(self.not_now("run again", "its words were erased; submit it anew"));
        }
        let born = self.born_at.unwrap_or(now);
        let from = self.facts.due_at.map_or(born, |due| due.max(born));
        let facts = Submitted {
            retry_of: Some(self.id),
            due_at: None,
            release_at: None,
            released: true,
            external_id: None,
            parent: None,
            depth: 0,
            related: None,
            depends_on: Vec::new(),
            recurrence: None,
            run: None,
            previous_run: None,
            author: None,
            healed: Default::default(),
            acceptance_owed: self.acceptance_owed && self.planned,
            deadline: self.facts.deadline.map(|d| now.plus(d.since(from))),
            // As it was followed at last: a plan that was refined since is what is tried.
            plan: None,
            ..(*self.facts).clone()
        };
        if !self.planned {
            return Ok(Submission { facts, text: self.contents.text.clone() });
        }
        let (plan, steps) = self.plan_laid();
        let text = crate::event::RequestText { steps, ..(*self.contents.text).clone() };
        Ok(Submission { facts: Submitted { plan: Some(plan), ..facts }, text: text.into() })
    }

    /// These facts with the words of the plan as it is now. Parts of a list have words, but no place in a plan that is not expanded.
    fn asked_again(&self, facts: Submitted) -> Submission {
        let steps = self.contents.steps().iter().take(facts.plan.as_ref().map_or(0, |p| p.steps.len())).cloned().collect();
        let text = crate::event::RequestText { steps, ..(*self.contents.text).clone() };
        Submission { facts, text: text.into() }
    }
}
