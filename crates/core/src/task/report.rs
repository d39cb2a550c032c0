//! Words of agents about their attempts: begun, ended, fallen silent, acting on the outside. Each names the attempt, and only the
//! live one counts.

use super::decide::{bounded, invalid};
use super::{Decided, Draft, Task};
use crate::board::Lease;
use crate::command::{Answer, CheckedPlan, Context, Refusal};
use crate::event::{Actor, ActorKind, EffectGranted, EndReason, EscalationReason, Event, Failed, Private, Succeeded};
use crate::gate;
use crate::id::{AgentId, EffectId, TaskId};
use crate::planted::{self, Fault};
use crate::spec::{ErrorClass, OnAgentLost, OnUnknown};
use crate::status::{BlockReason, StepStatus};
use crate::work::{Advice, EffectGrant, EffectOutcome, EffectRequest, Failure, Judgement, Outcome, Success, WorkKey};
use std::sync::Arc;

/// The most effects one task may have.
const EFFECTS_MAX: usize = 10_000;
/// How many completed steps are named to who asked to go back to one that is not.
const CHECKPOINTS_TOLD: usize = 20;
/// The largest output of a step, in bytes of JSON.
pub(crate) const OUTPUT_MAX: usize = 1024 * 1024;

impl Task {
    pub(super) fn start(&self, work: &WorkKey, attempt: u32, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let lease = self.lease(work).filter(|l| l.attempt == attempt && may_speak_for(cx.actor, l.agent));
        let lease = lease.ok_or_else(|| Refusal::StaleAttempt { work: work.clone(), attempt })?;
        if lease.started {
            return Ok(Vec::new().into());
        }
        let own = if let WorkKey::Step(path) = work {
            self.board.find(path).and_then(|i| self.board.steps[i as usize].timeout_ms)
        } else {
            None
        };
        let timeout_at = Some(cx.now.plus(own.unwrap_or(cx.policy.attempt_timeout.ms)));
        Ok(Draft::new(Event::Started { work: work.clone(), attempt, timeout_at }).into())
    }

    pub(super) fn report(
        &self,
        work: &WorkKey,
        attempt: u32,
        outcome: Outcome,
        plan: Option<CheckedPlan>,
        cx: &Context<'_>,
    ) -> Result<Decided, Refusal> {
        let unfenced = planted::is(Fault::UnfencedReport) && self.lease(work).is_some();
        let foreign = self.lease(work).is_some_and(|l| !may_speak_for(cx.actor, l.agent));
        if foreign || !(self.holds(work, attempt) || unfenced) {
            return match !foreign && self.said_before(work, attempt, &outcome) {
                true => Ok(Vec::new().into()),
                false => Ok(self.too_late(work, attempt, &outcome)),
            };
        }
        match (work, outcome) {
            (WorkKey::Step(path), Outcome::Succeeded(success)) => self.step_succeeded(path, attempt, success),
            (_, Outcome::Failed(failure)) => Ok(self.attempt_failed_with(work, attempt, &failure, cx)),
            (_, Outcome::Cancelled) => {
                let failed = Failed { work: work.clone(), attempt, class: ErrorClass::Cancelled, retry_at: Some(cx.now) };
                Ok(Draft::because(Event::AttemptFailed(Box::new(failed)), "it ended because it was told to").into())
            }
            (WorkKey::Step(path), Outcome::Blocked { message }) => {
                Ok(Draft::because(Event::StepBlocked { step: path.clone(), attempt, reason: BlockReason::External }, &message)
                    .into())
            }
            (WorkKey::Gate(path, gate), Outcome::Judged(judgement)) => {
                Ok(self.gate_judged_by(path, *gate, attempt, &judgement, cx))
            }
            (WorkKey::Plan, Outcome::Proposed(_)) => {
                let plan = plan.ok_or_else(|| invalid("outcome.PROPOSED", "the plan was not checked"))?;
                let owed = plan.confidence.is_some_and(|c| c < cx.policy.confidence_min);
                Ok(self.planned_by(plan, Some(WorkKey::Plan), owed).into())
            }
            (WorkKey::Analysis, Outcome::Advised(advice)) => self.advised(advice, plan, cx),
            (WorkKey::Step(_), _) => Err(invalid("outcome", "a step is reported as SUCCEEDED, FAILED, BLOCKED or CANCELLED")),
            (WorkKey::Gate(..), _) => Err(invalid("outcome", "a gate is reported as JUDGED, FAILED or CANCELLED")),
            (WorkKey::Plan, _) => Err(invalid("outcome", "a plan request is reported as PROPOSED, FAILED or CANCELLED")),
            (WorkKey::Analysis, _) => Err(invalid("outcome", "an analysis is reported as ADVISED, FAILED or CANCELLED")),
        }
    }

    fn step_succeeded(&self, path: &str, attempt: u32, success: Success) -> Result<Decided, Refusal> {
        let size = success.output.to_string().len();
        if size > OUTPUT_MAX {
            return Err(invalid(
                "output",
                &format!("has {size} bytes; allowed are {OUTPUT_MAX}. Keep the rest in a file and name it"),
            ));
        }
        let succeeded = Succeeded {
            work: WorkKey::Step(path.into()),
            attempt,
            metrics: success.metrics.clone(),
            evidence: success.evidence.iter().map(without_words).collect(),
        };
        Ok(Draft::with(Event::AttemptSucceeded(Box::new(succeeded)), Private::Success(Arc::new(success))).into())
    }

    fn attempt_failed_with(&self, work: &WorkKey, attempt: u32, failure: &Failure, cx: &Context<'_>) -> Decided {
        let retry_at = match work {
            WorkKey::Step(path) => self
                .board
                .find(path)
                .and_then(|i| self.retry_at(i, failure.class, failure.retryable, failure.retry_after_ms, cx.now)),
            // Other work is offered again at once, until its limit ends it.
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => Some(cx.now),
        };
        let failed = Failed { work: work.clone(), attempt, class: failure.class, retry_at };
        Draft::because(Event::AttemptFailed(Box::new(failed)), &failure.message).into()
    }

    pub(super) fn lease_lapsed(&self, work: &WorkKey, attempt: u32, counter: u64, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let moved = counter != cx.counter && !planted::is(Fault::LapseUnchecked);
        if !self.holds(work, attempt) || moved {
            return Err(Refusal::AlreadySettled { what: "the lease" });
        }
        let then = self.facts.on_agent_lost.unwrap_or(cx.policy.on_agent_lost);
        if let (WorkKey::Step(path), OnAgentLost::Block) = (work, then) {
            let blocked = Event::StepBlocked { step: path.clone(), attempt, reason: BlockReason::AgentOffline };
            return Ok(Draft::because(blocked, "its agent fell silent").into());
        }
        Ok(self.attempt_failed_with(work, attempt, &Failure::new(ErrorClass::AgentLost, "its agent fell silent"), cx))
    }

    fn gate_judged_by(&self, path: &str, gate: u16, attempt: u32, judgement: &Judgement, cx: &Context<'_>) -> Decided {
        let Some(i) = self.board.find(path) else { return Vec::new().into() };
        let spec = &self.board.steps[i as usize].gates[usize::from(gate)];
        let found = gate::weigh(spec, judgement);
        let work = WorkKey::Gate(path.into(), gate);
        let ended = Succeeded { work, attempt, metrics: Default::default(), evidence: vec![without_words(judgement)] };
        let success = Success { evidence: vec![judgement.clone()], ..Success::default() };
        vec![
            Draft::with(Event::AttemptSucceeded(Box::new(ended)), Private::Success(Arc::new(success))),
            self.judged(i, gate, found.passed, found.score, found.violations, "agent", cx),
        ]
        .into()
    }

    fn advised(&self, advice: Advice, plan: Option<CheckedPlan>, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let retries = self.retries + 1;
        Ok(match advice {
            // As planned, and after the wait that the policy asks for.
            Advice::Retry => Draft::new(self.after_task_failure(cx, false)).into(),
            Advice::AlternativePath(_) => {
                let plan = plan.ok_or_else(|| invalid("outcome.ADVISED", "the plan was not checked"))?;
                let owed = plan.confidence.is_some_and(|c| c < cx.policy.confidence_min);
                vec![self.planned_by(plan, Some(WorkKey::Analysis), owed), Draft::new(Event::Retried { retries })].into()
            }
            Advice::Rollback { checkpoint, reason } => {
                let event = self.rolled_back_to(&checkpoint)?;
                // Then again, after the wait that the policy asks for.
                vec![Draft::because(event, bounded(&reason)?), Draft::new(self.after_task_failure(cx, false))].into()
            }
            Advice::HumanIntervention { reason } => {
                Draft::because(Event::Escalated { reason: EscalationReason::HumanIntervention, priority: None }, &reason).into()
            }
            Advice::Abort { reason } => Draft::because(Event::Stopped { reason: EndReason::Aborted }, &reason).into(),
        })
    }

    /// Goes back to a step that is done.
    fn rolled_back_to(&self, checkpoint: &str) -> Result<Event, Refusal> {
        let done = |i: &u32| self.board.cell(*i).status == StepStatus::Completed;
        let path = |i: u32| self.board.steps[i as usize].path.clone();
        let Some(found) = self.board.find(checkpoint).filter(done) else {
            let names: Vec<_> = self.board.all().filter(done).take(CHECKPOINTS_TOLD).map(|i| self.step_name(i)).collect();
            let why = match names.as_slice() {
                [] => "no step is completed: there is nothing to go back to; advise RETRY".to_owned(),
                some => format!("{checkpoint:?} is no completed step; completed are {}", some.join(", ")),
            };
            return Err(invalid("outcome.ADVISED.ROLLBACK.checkpoint", &why));
        };
        let steps = self.board.behind(found).into_iter().map(path).collect();
        Ok(Event::RolledBack { checkpoint: path(found), steps })
    }

    /// Whether this is a repetition of the word that ended the attempt: its answer got lost, and it is answered again.
    pub(super) fn said_before(&self, work: &WorkKey, attempt: u32, outcome: &Outcome) -> bool {
        if planted::is(Fault::LostAnswerRefused) {
            return false;
        }
        match work {
            WorkKey::Step(path) => {
                self.board.find(path).map(|i| self.board.cell(i)).is_some_and(|cell| {
                    cell.attempt == attempt && cell.reported == Some(matches!(outcome, Outcome::Succeeded(_)))
                })
            }
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => self.answered.get(&attempt) == Some(work),
        }
    }

    /// Grants the right to act once. The same act asked for again has the same id and key, whatever attempt asks.
    pub(super) fn effect(&self, wish: &EffectRequest, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let stale = || Refusal::StaleAttempt { work: wish.work.clone(), attempt: wish.attempt };
        let live = |l: &&Lease| l.attempt == wish.attempt || planted::is(Fault::UnfencedEffect);
        let mine = |l: &&Lease| live(l) && may_speak_for(cx.actor, l.agent);
        let lease = self.lease(&wish.work).filter(mine).ok_or_else(stale)?;
        let WorkKey::Step(path) = &wish.work else {
            return Err(Refusal::NoEffect("only a step acts on the outside".into()));
        };
        if !lease.started {
            return Err(self.not_now("act for", "start the attempt first"));
        }
        if !self.may_act() {
            return Err(Refusal::NoEffect(
                format!("the task runs in {:?} with {:?}", self.facts.mode, self.facts.autonomy).to_uppercase(),
            ));
        }
        if self.cancelling || self.is_held() || self.is_deliberating() {
            return Err(Refusal::NoEffect("the task is held".into()));
        }
        if !crate::plan::is_word(&wish.action)
            || wish.args_digest.len() != 64
            || !wish.args_digest.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return Err(invalid(
                "args_digest",
                "the SHA-256 of the arguments in 64 hexadecimal digits, with the action as a word",
            ));
        }
        let id = effect_id(self.id, path, &wish.action, &wish.args_digest);
        let grant = |already_done| EffectGrant {
            effect_id: id,
            idempotency_key: id.to_string(),
            expires_in_ms: cx.policy.effect_ttl.ms,
            already_done,
        };
        if let Some(known) = self.effects.get(&id) {
            let decided = |drafts, answer| Ok(Decided { drafts, answer: Ok(Answer::Effect(answer)) });
            match known.outcome {
                Some(EffectOutcome::Done) => return decided(Vec::new(), grant(true)),
                None if known.attempt == wish.attempt => return decided(Vec::new(), grant(false)),
                Some(EffectOutcome::Unknown) if known.on_unknown == OnUnknown::Ask => {
                    return Err(Refusal::NoEffect("nobody knows whether it happened before; a person has to say".into()));
                }
                // Not done, or unknown and to be done again with the same key, or looked for: granted anew below.
                None | Some(EffectOutcome::NotDone | EffectOutcome::Unknown) => {}
            }
        } else if self.effects.len() >= EFFECTS_MAX {
            return Err(Refusal::LimitReached { key: "effects".into(), max: EFFECTS_MAX as i64 });
        }
        let on_unknown = self.board.find(path).and_then(|i| self.board.steps[i as usize].on_unknown).unwrap_or(OnUnknown::Ask);
        let granted = EffectGranted {
            effect: id,
            work: wish.work.clone(),
            attempt: wish.attempt,
            action: wish.action.as_str().into(),
            args_digest: wish.args_digest.as_str().into(),
            on_unknown,
        };
        Ok(Decided {
            drafts: vec![Draft::new(Event::EffectGranted(Box::new(granted)))],
            answer: Ok(Answer::Effect(grant(false))),
        })
    }

    pub(super) fn settle_effect(
        &self,
        effect: EffectId,
        holder: Option<(WorkKey, u32)>,
        outcome: EffectOutcome,
        cx: &Context<'_>,
    ) -> Result<Decided, Refusal> {
        let known = self.effects.get(&effect).ok_or_else(|| Refusal::NotFound { what: "effect", id: effect.to_string() })?;
        match &holder {
            Some((work, attempt)) => {
                let mine = self.lease(work).is_some_and(|l| l.attempt == *attempt && may_speak_for(cx.actor, l.agent));
                if !mine || known.work != *work || known.attempt != *attempt {
                    return Err(Refusal::StaleAttempt { work: work.clone(), attempt: *attempt });
                }
            }
            None if cx.actor.kind != ActorKind::Human => {
                return Err(Refusal::Forbidden("only its holder or a person may say what became of an effect".into()));
            }
            None => {}
        }
        match known.outcome {
            Some(settled) if settled == outcome => Ok(Vec::new().into()),
            Some(EffectOutcome::Done | EffectOutcome::NotDone) => Err(Refusal::AlreadySettled { what: "the effect" }),
            None | Some(EffectOutcome::Unknown) => Ok(Draft::new(Event::EffectSettled { effect, outcome }).into()),
        }
    }
}

/// Whether a word about an attempt may come from here: an agent speaks for nobody else.
fn may_speak_for(actor: &Actor, holder: AgentId) -> bool {
    actor.kind != ActorKind::Ai || *actor.id == *holder.to_string() || planted::is(Fault::ForeignAgent)
}

/// The id of what is done with what: the same act has the same one, whatever attempt asks. Made of 80 bits of a digest, so that two
/// acts of one task never share it in practice; one of them would count as done.
fn effect_id(task: TaskId, path: &str, action: &str, args: &str) -> EffectId {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{path}\n{action}\n{args}"));
    let (high, low) = (digest[..8].try_into(), digest[8..12].try_into());
    let whole = "a digest has 32 bytes";
    EffectId::derived(task, u64::from_be_bytes(high.expect(whole)), u32::from_be_bytes(low.expect(whole)))
}

/// A judgement without what was written: rules and messages are private, counts and severities are structure.
fn without_words(judgement: &Judgement) -> Judgement {
    Judgement {
        recommendations: Vec::new(),
        violations: judgement
            .violations
            .iter()
            .map(|v| crate::work::Violation { severity: v.severity, rule: String::new(), message: String::new() })
            .collect(),
        ..judgement.clone()
    }
}
