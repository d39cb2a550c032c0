//! A task's deadlines, ordered. Setting, clearing and looking at the first cost O(log n).

use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a deadline is about. The number is a step's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Timer {
    /// The task may start.
    Due,
    /// The task must have ended.
    Deadline,
    /// The task has taken too long since its first start.
    Total,
    /// The time of its budget is up.
    Budget,
    /// No agent came for the task.
    Queue,
    /// Agents had their time to end.
    CancelForce,
    /// The open review.
    Review,
    /// The plan request.
    Plan,
    /// The failure analysis.
    Analysis,
    /// The plan is asked for again.
    PlanRetry,
    /// The analysis is offered again.
    AnalysisRetry,
    /// The task is tried again.
    TaskRetry,
    /// Nobody decided about the escalated task.
    Escalation,
    /// No agent came for the compensation.
    UndoQueue,
    /// The attempt to undo is over time.
    UndoTimeout,
    /// The compensation is offered again.
    UndoRetry,
    /// The agent whose session it is did not come for more.
    Session,
    /// No agent came for the step.
    StepQueue(u32),
    /// The step was claimed and not started.
    StepStart(u32),
    /// The attempt is over time.
    StepTimeout(u32),
    /// The step is offered again.
    StepRetry(u32),
    /// The step's wait is over.
    StepWait(u32),
    /// Nobody said whether the step may be done.
    Approval(u32),
    /// Nobody judged the gate.
    Gate(u32),
    /// The gate is offered again.
    GateRetry(u32),
    /// The silent agent of the step was waited for long enough.
    Reassign(u32),
}

/// Deadlines by name and by time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timers {
    at: BTreeMap<Timer, Time>,
    order: BTreeSet<(Time, Timer)>,
}

impl Timers {
    /// Sets a deadline, in place of an earlier one of the same name.
    pub(crate) fn set(&mut self, timer: Timer, at: Time) {
        self.clear(timer);
        self.at.insert(timer, at);
        self.order.insert((at, timer));
    }

    /// Takes a deadline away, if it is there.
    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    /// The first deadline.
    pub(crate) fn first(&self) -> Option<(Time, Timer)> {
        self.order.first().copied()
    }

    /// When a deadline is, if it is there.
    pub(crate) fn get(&self, timer: Timer) -> Option<Time> {
        self.at.get(&timer).copied()
    }
}
