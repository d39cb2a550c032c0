//! Which rare branches an event shows.

use crate::simulation::Counts;
use ephor_core::constitution::{AmendmentOutcome, ConstitutionEvent};
use ephor_core::event::{ApprovalWord, DecidedBy, EndReason, EscalationReason, Event, ModelCause, OverrideWord, SkipReason};
use ephor_core::review::{Question, Verdict};
use ephor_core::spec::ErrorClass;
use ephor_core::task::Task;
use ephor_core::work::{EffectOutcome, WorkKey};

pub(super) fn count(event: &Event, task: &Task, counts: &mut Counts) {
    let branch = match event {
        Event::RunMissed { .. } => "run missed",
        Event::Cancelled { reason: EndReason::Replaced } => "run replaced",
        Event::Submitted(facts) if facts.run.is_some_and(|run| run > 1) => "recurred",
        Event::AttemptFailed(failed) if failed.class == ErrorClass::AgentLost => "lease lapsed",
        Event::AttemptFailed(failed) if failed.class == ErrorClass::Timeout => "attempt timed out",
        Event::StepSkipped { reason: SkipReason::ConditionFalse, .. } => "condition false",
        Event::Expanded { .. } => "for_each expanded",
        Event::WaitEnded { signal: Some(_), .. } => "signal used",
        Event::WaitEnded { signal: None, .. } => "wait ended",
        Event::SignalReceived { .. } if task.started_at().is_none() => "signal early",
        Event::ChildBorn { .. } => "child born",
        Event::BudgetCrossed(_) => "budget crossed",
        Event::ModelChanged(changed) if changed.cause == ModelCause::BreakerOpen => "model left alone",
        Event::ModelChanged(_) => "model fell back",
        Event::QuestionRaised(raised) if !raised.to.is_empty() => "question raised",
        Event::StepBlocked { .. } => "step blocked",
        Event::ApprovalAnswered { answer: ApprovalWord::Approved, .. } => "action approved",
        Event::ApprovalAnswered { answer: ApprovalWord::Denied, .. } => "action denied",
        Event::ApprovalAnswered { answer: ApprovalWord::Expired, .. } => "approval expired",
        Event::ParamsChanged { .. } => "action changed",
        Event::ResultJudged { confirm: true, .. } => "result to be confirmed",
        Event::JudgedAnew(anew) if anew.review_owed => "reviewed because of an amendment",
        Event::GateJudged(judged) if !judged.passed => "gate failed",
        Event::GateJudged(judged) if &*judged.by == "agent" => "gate judged by agent",
        Event::GateJudged(judged) if &*judged.by == "person" => "gate judged by person",
        Event::ReviewOpened(opened) if opened.solo => "solo review",
        Event::ReviewDecided { verdict: Verdict::Escalated, .. } => "review undecided",
        Event::ReviewDecided { verdict: Verdict::Rejected, tally, .. } if tally.approve == tally.reject && tally.approve > 0 => {
            "tie vote"
        }
        Event::ReviewDecided { verdict: Verdict::Rejected, .. } => "review rejected",
        Event::ReviewDecided { .. } if task.reviews().last().is_some_and(|r| r.question == Question::Result) => "result reviewed",
        Event::AttemptSucceeded(done) if matches!(done.work, WorkKey::Undo(_)) => "step undone",
        Event::RolledBack { by_person: true, .. } => "rolled back by a person",
        Event::RolledBack { .. } => "rolled back",
        Event::Retried { .. } => "task retried",
        Event::Escalated { reason: EscalationReason::RetriesSpent, .. } => "retries spent",
        Event::Escalated { reason: EscalationReason::NoPlan, .. } => "plan escalated or replaced at its limit",
        Event::Escalated { reason: EscalationReason::CompensationFailed, .. } => "compensation failed",
        Event::Escalated { reason: EscalationReason::HealingSpent, .. } => "healing spent",
        Event::Escalated { reason: EscalationReason::Constitution, .. } => "refused by an amendment",
        Event::Escalated { .. } => "escalated",
        Event::EscalationDecided { by: DecidedBy::Council, .. } => "council decided",
        Event::EscalationDecided { by: DecidedBy::Policy, .. } => "house decided",
        Event::EscalationDecided { .. } => "escalation decided",
        Event::Planned(planned) if planned.work.is_some() => "plan proposed",
        Event::Overridden { decision: OverrideWord::Approve, .. } => "approved by override",
        Event::Stalled => "stalled",
        Event::SessionEnded => "session ended",
        Event::StallNoted => "stall noted",
        Event::StallPutOff => "stall put off",
        Event::StallEscalated { .. } => "stall escalated",
        Event::Reassigned(_) => "reassigned",
        Event::EffectGranted(_) => "effect granted",
        Event::EffectSettled { outcome: EffectOutcome::Unknown, .. } => "effect unknown",
        Event::Cancelled { reason: EndReason::Forced } => "cancel forced",
        Event::Cancelled { reason: EndReason::ParentEnded } => "parent ended",
        Event::Cancelled { reason: EndReason::Settled } => "investigation closed",
        Event::Failed { reason: EndReason::DependencyFailed, .. } => "dependency failed",
        Event::LateReportKept { .. } => "late report kept",
        Event::Erased => "erased",
        _ => return,
    };
    *counts.entry(branch).or_default() += 1;
}

/// The same for the constitution.
pub(super) fn of_constitution(event: &ConstitutionEvent, counts: &mut Counts) {
    let branch = match event {
        ConstitutionEvent::AmendmentDecided { outcome: AmendmentOutcome::Adopted, .. } => "amendment adopted",
        ConstitutionEvent::AmendmentDecided { outcome: AmendmentOutcome::Overtaken, .. } => "amendment overtaken",
        ConstitutionEvent::AmendmentDecided { outcome: AmendmentOutcome::Rejected, .. } => "amendment rejected",
        _ => return,
    };
    *counts.entry(branch).or_default() += 1;
}

/// The same for what happens to a breaker.
pub(super) fn of_breaker(kind: &str) -> Option<&'static str> {
    match kind {
        "BREAKER_OPENED" => Some("breaker opened"),
        "BREAKER_HALF_OPENED" => Some("breaker half-opened"),
        "BREAKER_CLOSED" => Some("breaker closed"),
        _ => None,
    }
}
