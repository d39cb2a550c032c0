//! Undoing what was done before one went back: work like any other, one after the other, what was done last first. The steps are not
//! offered again before all of it is done; what cannot be undone goes to a person.

use super::{Draft, Task};
use crate::board::Lease;
use crate::command::Context;
use crate::event::{EscalationReason, Event, Failed};
use crate::expr;
use crate::plan::Compensation;
use crate::planted::{self, Fault};
use crate::policy::retry_wait_ms;
use crate::spec::{ErrorClass, OnUnknown};
use crate::time::Time;
use crate::timers::Timer;
use crate::work::WorkKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};

/// What is being undone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Undoing {
    /// What is left; the first is offered.
    pub(super) left: VecDeque<Undo>,
    pub(super) lease: Option<Box<Lease>>,
    /// Failures of the first, by class.
    pub(super) failures: Vec<(ErrorClass, u32)>,
    /// How often the first was given back although nobody had asked for that.
    #[serde(default)]
    pub(super) given_back: u32,
    /// Whether the first could not be undone: a person is asked.
    pub(super) spent: bool,
    /// How long each waits for an agent.
    pub(super) wait_ms: u64,
    /// How often each step was undone so far. What it does then is another act than the one that was undone.
    pub(super) rounds: BTreeMap<Box<str>, u32>,
    /// Whether a person had the first tried again after it could not be done by itself.
    #[serde(default)]
    pub(super) allowed: bool,
    /// Whether a person went back: then the task is tried again at once, and that counts as no retry.
    #[serde(default)]
    pub(super) by_person: bool,
}

/// One step whose work is to be undone, as it was when one went back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Undo {
    pub(super) path: Box<str>,
    pub(super) how: Box<Compensation>,
    pub(super) on_unknown: Option<OnUnknown>,
}

impl Undoing {
    /// What is undone now.
    pub(super) fn next(&self) -> Option<&Undo> {
        self.left.front()
    }

    /// The lease on undoing this step.
    pub(super) fn lease_on(&self, path: &str) -> Option<&Lease> {
        self.next().filter(|undo| *undo.path == *path).and(self.lease.as_deref())
    }

    /// The name under which effects of undoing a step are kept; no step has such a path.
    pub(super) fn name(path: &str) -> String {
        format!("undo:{path}")
    }

    /// How often this step was undone.
    pub(super) fn round(&self, path: &str) -> u32 {
        self.rounds.get(path).copied().unwrap_or(0)
    }
}

impl Task {
    /// What follows by itself while something is being undone, and once everything is.
    pub(super) fn undo_follows(&self, cx: &Context<'_>) -> Option<Draft> {
        if self.undoing.spent {
            let undo = self.undoing.next()?;
            let error = self.contents.errors.get(&WorkKey::Undo(undo.path.clone()).to_string());
            let why = format!("what step {} did could not be undone: {}", undo.path, error.map_or("no reason was given", |e| e));
            return Some(Draft::because(self.escalated(EscalationReason::CompensationFailed, cx), &why));
        }
        let all_undone =
            self.undoing.left.is_empty() || (planted::is(Fault::CompensationNotAwaited) && self.undoing.lease.is_none());
        // Then the task is tried again, after the wait that the policy asks for, or at once where a person said so.
        let owed = self.retrying && self.analysis.is_none() && self.soft.get(Timer::TaskRetry).is_none();
        let again = || match self.undoing.by_person {
            true => Event::Retried { retries: self.retries },
            false => self.after_task_failure(cx, None),
        };
        (owed && all_undone).then(|| Draft::new(again()))
    }

    /// When undoing is offered again after a failure of this class; `None` when its attempts are spent.
    pub(super) fn undo_retry_at(&self, class: ErrorClass, retryable: bool, at_least_ms: Option<u64>, now: Time) -> Option<Time> {
        let policy = self.retry_policy(self.undoing.next()?.how.retry.as_ref());
        let failures = crate::board::count(&self.undoing.failures, class);
        let total: u32 = failures.iter().map(|(_, n)| n).sum();
        let seed = (self.id.bits() as u64) ^ (u64::from(self.side_attempts) << 32) ^ u64::from(total);
        let wait = retry_wait_ms(&policy, class, &failures, seed).filter(|_| retryable)?;
        Some(now.plus(wait.max(at_least_ms.unwrap_or(0))))
    }

    /// No agent came in time.
    pub(super) fn nobody_undoes(&self, cx: &Context<'_>) -> Option<Draft> {
        let undo = self.undoing.next()?;
        let why = format!("no agent able to {} came in time to undo what step {} did", undo.how.capability_key(), undo.path);
        Some(Draft::because(self.escalated(EscalationReason::CompensationFailed, cx), &why))
    }

    /// An attempt to undo ran into its limit.
    pub(super) fn undo_over(&self, cx: &Context<'_>) -> Option<Draft> {
        let (undo, lease) = (self.undoing.next()?, self.undoing.lease.as_ref()?);
        let retry_at = self.undo_retry_at(ErrorClass::Timeout, true, None, cx.now);
        let (work, attempt) = (WorkKey::Undo(undo.path.clone()), lease.attempt);
        let failed = Failed {
            work,
            attempt,
            class: ErrorClass::Timeout,
            retry_at,
            retry_after_ms: None,
            used: None,
            unguarded: Vec::new(),
        };
        Some(Draft::because(Event::AttemptFailed(Box::new(failed)), "the attempt took longer than it may"))
    }

    /// The parameters of what is undone now, references resolved: they see the outputs that are being undone.
    pub(super) fn undo_params(&self) -> Result<Map<String, Value>, String> {
        let Some(undo) = self.undoing.next() else { return Ok(Map::new()) };
        match self.contents.undone.get(&undo.path) {
            Some(kept) if !kept.params.is_empty() => expr::resolve(&kept.params, &self.scope(&undo.path)),
            _ => Ok(Map::new()),
        }
    }

    /// The step whose work is undone now and could not be, where it has this path or key.
    pub(super) fn undo_stuck(&self, name: &str) -> Option<Box<str>> {
        let undo = self.undoing.next().filter(|_| self.undoing.lease.is_none())?;
        let key = self.contents.undone.get(&undo.path).map(|kept| &*kept.name);
        (*undo.path == *name || key == Some(name)).then(|| undo.path.clone())
    }
}
