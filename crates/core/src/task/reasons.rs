//! Why a task is where it is, and what went wrong last, in words for people.

use super::Task;
use crate::spec::ErrorClass;
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::WireTime;
use crate::view::LastError;

impl Task {
    /// The reason for the hold it is under, for its escalation or its end; else the last one anybody gave.
    pub(super) fn reason(&self) -> Option<String> {
        let words = &self.contents;
        if let Some(end) = &self.end {
            return words.reason.clone().or_else(|| end.reason.map(|reason| reason.sentence().to_owned()));
        }
        let hold = self.paused.as_ref().and(words.hold.as_ref());
        let escalation = self.escalated.and(words.escalation.as_ref());
        hold.or(escalation).or(words.reason.as_ref()).cloned()
    }

    /// What went wrong last: where the task as a whole failed, that; else the error of the first step that failed for good, is tried
    /// again or is held up.
    pub(super) fn last_error(&self) -> Option<LastError> {
        let whole = self.end.as_ref().filter(|end| end.status == Status::Failed);
        if let Some((end, reason)) = whole.and_then(|end| Some((end, end.reason?)))
            && reason.explains_itself()
        {
            return Some(LastError {
                step: None,
                message: reason.sentence().into(),
                class: reason.class(),
                attempt: None,
                agent: None,
                at: Some(WireTime(end.at)),
                recoverable: end.recoverable,
            });
        }
        let of = |status| self.leaves().find(|(i, _)| self.board.cell(*i).status == status).and_then(|(i, _)| self.error_of(i));
        let step = [StepStatus::Failed, StepStatus::Retrying, StepStatus::Blocked].into_iter().find_map(of);
        step.or_else(|| {
            let end = whole?;
            let message = self.reason()?;
            let class = end.reason.map(|reason| reason.class()).unwrap_or_default();
            let at = Some(WireTime(end.at));
            Some(LastError { step: None, message, class, attempt: None, agent: None, at, recoverable: end.recoverable })
        })
    }

    /// What went wrong with a step last.
    fn error_of(&self, i: u32) -> Option<LastError> {
        let (step, cell) = (&self.board.steps[i as usize], self.board.cell(i));
        let class = match self.board.blocked.get(&i) {
            Some(BlockReason::AgentOffline) => ErrorClass::AgentLost,
            Some(BlockReason::External) => ErrorClass::External,
            Some(
                BlockReason::Approval
                | BlockReason::Dependency
                | BlockReason::HumanReview
                | BlockReason::Decomposition
                | BlockReason::CircuitOpen
                | BlockReason::Budget,
            )
            | None => cell.trouble.unwrap_or_default(),
        };
        let message = match self.contents.errors.get(&format!("step:{}", step.path)) {
            Some(message) => message.clone(),
            None if class == ErrorClass::GateFailed => "a gate did not let its result through".to_owned(),
            None => return None,
        };
        Some(LastError {
            step: Some(step.path.to_string()),
            message,
            class,
            attempt: (cell.attempt > 0).then_some(cell.attempt),
            agent: cell.doer,
            at: cell.troubled_at.map(WireTime),
            recoverable: match &self.end {
                Some(end) => end.recoverable,
                None => !matches!(class, ErrorClass::Refused | ErrorClass::BadInput),
            },
        })
    }
}
