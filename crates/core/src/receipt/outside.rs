//! Which events are something that was done to a task rather than by it.

use super::derive::word_of;
use crate::event::Event;

/// Whether an event is something that was done to the task rather than by it: what was decided, and the step it is about.
pub(super) fn from_outside(event: &Event) -> Option<(Option<String>, Option<String>)> {
    Some(match event {
        Event::Overridden { decision, step } => (word_of(decision), step.as_deref().map(Into::into)),
        Event::EscalationDecided { decision, .. } => (word_of(decision), None),
        Event::RolledBack { checkpoint, .. } => (None, Some(checkpoint.to_string())),
        Event::Escalated { reason, .. } => (word_of(reason), None),
        Event::Reassigned(reassigned) => (word_of(&reassigned.cause), None),
        Event::ParamsChanged { step, .. } => (None, Some(step.to_string())),
        Event::PlanAccepted
        | Event::Paused { .. }
        | Event::Resumed
        | Event::CancelRequested { .. }
        | Event::Modified(_)
        | Event::Guided
        | Event::SignalReceived { .. }
        | Event::Unblocked
        | Event::Archived
        | Event::Erased
        | Event::ReviewNoted => (None, None),
        Event::Submitted(_)
        | Event::Released
        | Event::RunMissed { .. }
        | Event::Planned(_)
        | Event::PlanRequested { .. }
        | Event::Assigned(_)
        | Event::Started { .. }
        | Event::AttemptSucceeded(_)
        | Event::AttemptFailed(_)
        | Event::StepFailed { .. }
        | Event::StepSkipped { .. }
        | Event::ConditionMet { .. }
        | Event::Reoffered { .. }
        | Event::Expanded { .. }
        | Event::WaitStarted { .. }
        | Event::WaitEnded { .. }
        | Event::ChildBorn { .. }
        | Event::StepBlocked { .. }
        | Event::BudgetCrossed(_)
        | Event::ModelChanged(_)
        | Event::QuestionRaised(_)
        | Event::ApprovalAsked(_)
        | Event::ApprovalAnswered { .. }
        | Event::ResultJudged { .. }
        | Event::JudgedAnew(_)
        | Event::GateOpened { .. }
        | Event::GateJudged(_)
        | Event::ReviewOpened(_)
        | Event::VoteCast { .. }
        | Event::ReviewDecided { .. }
        | Event::TaskAttemptFailed { .. }
        | Event::Retried { .. }
        | Event::Stalled
        | Event::StallNoted
        | Event::StallPutOff
        | Event::StallEscalated { .. }
        | Event::Unstalled
        | Event::SessionEnded
        | Event::EffectGranted(_)
        | Event::EffectSettled { .. }
        | Event::MailTaken { .. }
        | Event::Completed { .. }
        | Event::Failed { .. }
        | Event::Cancelled { .. }
        | Event::Stopped { .. }
        | Event::LateReportKept { .. } => return None,
    })
}
