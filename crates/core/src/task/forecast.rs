//! When a task is expected to be done: what is left of its critical path, by the durations its plan names and by how long its actions
//! usually take. A guess for people; nothing decides by it. Where something is not known, nothing is said (S1-53, S1-54).

use super::Task;
use crate::plan::{Does, remaining};
use crate::review::Question;
use crate::spec::GateKind;
use crate::status::StepStatus;
use crate::time::{Time, WireDuration};
use crate::timers::Timer;
use serde_json::Value;
use std::collections::BTreeMap;

/// How long attempts at an action that worked took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// Half of them took no longer, in milliseconds.
    pub median_ms: u64,
    /// 95 of 100 took no longer, in milliseconds; unknown where too few were seen.
    pub p95_ms: Option<u64>,
}

/// When a task and its steps are expected to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// The task; unknown where it hangs on a person, an agent or another task, or on a step of which nothing is known.
    pub completion: Option<Time>,
    /// The steps of which it is known, by path.
    pub steps: BTreeMap<String, Time>,
}

impl Task {
    /// When it is expected to be done.
    pub fn forecast(&self, now: Time, usual: &dyn Fn(&str) -> Option<Usual>) -> Forecast {
        if self.end.is_some() || !self.planned {
            return Forecast::default();
        }
        let begins = self.facts.due_at.filter(|_| !self.released).into_iter().chain(self.soft.get(Timer::TaskRetry)).max();
        let waits_ms = begins.map_or(0, |at| at.since(now));
        let mut left = vec![Some(0); self.board.steps.len()];
        for i in self.board.all().filter(|i| !self.board.is_group(*i)) {
            left[i as usize] = self.left_ms(i, now, usual);
        }
        let ends = remaining::ends(&self.board.steps, &left);
        let stuck = self.hangs_on_somebody();
        let mut forecast = Forecast::default();
        let mut last = Some(0);
        for i in self.board.all() {
            let end = ends[i as usize];
            last = last.zip(end).map(|(one, other): (u64, u64)| one.max(other));
            // What runs goes on, whatever holds up the rest.
            let runs = self.board.cell(i).status == StepStatus::Running;
            if let Some(ms) = end.filter(|_| !self.board.has_ended(i) && (runs || !stuck)) {
                let waits = if runs { 0 } else { waits_ms };
                forecast.steps.insert(self.board.steps[i as usize].path.to_string(), now.plus(ms.saturating_add(waits)));
            }
        }
        forecast.completion = last.filter(|_| !stuck).map(|ms| now.plus(ms.saturating_add(waits_ms)));
        forecast
    }

    /// Whether something that has no duration stands between it and its end.
    fn hangs_on_somebody(&self) -> bool {
        self.is_held()
            || self.is_deliberating()
            || self.cancelling
            || self.stalled
            || self.acceptance_owed
            || !self.dependencies.is_empty()
            || !self.children.is_empty()
            || self.analysis.is_some()
            || !self.undoing.left.is_empty()
            || (self.facts.final_review && !self.result_accepted)
            || self.review.as_ref().is_some_and(|review| review.question == Question::Result)
    }

    /// How long a step still takes once its turn has come, in milliseconds.
    fn left_ms(&self, i: u32, now: Time, usual: &dyn Fn(&str) -> Option<Usual>) -> Option<u64> {
        let (step, cell) = (&self.board.steps[i as usize], self.board.cell(i));
        if self.board.has_ended(i) {
            return Some(0);
        }
        let first_gate = if cell.status == StepStatus::Checking { usize::from(cell.gate) } else { 0 };
        if step.gates.iter().skip(first_gate).any(|gate| gate.kind == GateKind::ManualReview) {
            return None;
        }
        let known = if step.does() == Does::Work { usual(&step.action) } else { None };
        let whole = step.estimate_ms.or(known.map(|usual| usual.median_ms));
        match cell.status {
            StepStatus::Checking => return Some(0),
            StepStatus::Blocked => return None,
            StepStatus::Running | StepStatus::Assigned
                if cell.lease.is_none() && matches!(step.does(), Does::WaitFor | Does::WaitUntil) =>
            {
                return self.soft.get(Timer::StepWait(i)).map(|at| at.since(now));
            }
            StepStatus::Running => {
                let gone = cell.started_at.map_or(0, |at| now.since(at));
                // Who takes longer than usual is not expected at once.
                let late = || known.and_then(|usual| usual.p95_ms).filter(|ms| gone < *ms);
                return whole.filter(|ms| gone < *ms).or_else(late).map(|ms| ms - gone);
            }
            StepStatus::Retrying => {
                let waits = self.soft.get(Timer::StepRetry(i)).map_or(0, |at| at.since(now));
                return whole.map(|ms| ms.saturating_add(waits));
            }
            StepStatus::Pending
            | StepStatus::Ready
            | StepStatus::Assigned
            | StepStatus::Completed
            | StepStatus::Failed
            | StepStatus::Skipped
            | StepStatus::Cancelled
            | StepStatus::RolledBack => {}
        }
        match step.does() {
            // How many parts a list will have is not known before it is laid out.
            _ if step.for_each.is_some() => None,
            Does::Work | Does::Task => whole,
            Does::WaitFor => whole.or_else(|| {
                let said = self.contents.params(i)?.get("duration")?;
                said.as_str().filter(|text| !text.contains('$')).and_then(|text| WireDuration::parse(text).ok()).map(|d| d.ms)
            }),
            Does::WaitUntil | Does::WaitSignal => step.estimate_ms,
            Does::Group => Some(0),
        }
    }

    /// Figures its steps reported so far, by path.
    pub fn reported_metrics(&self) -> serde_json::Map<String, Value> {
        let views = self.output_views().into_iter().filter(|output| !output.metrics.is_empty());
        views.map(|output| (output.step, Value::Object(output.metrics))).collect()
    }
}
