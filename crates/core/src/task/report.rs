//! Words of agents about their attempts: begun, ended, fallen silent. Each names the attempt, and only the live one counts.

use super::approval::refused_result;
use super::decide::invalid;
use super::{Decided, Draft, Task};
use crate::budget::Amount;
use crate::command::{CheckedPlan, Context, Refusal};
use crate::constitution::Ruling;
use crate::event::{Actor, ActorKind, Event, Failed, Private, Succeeded};
use crate::gate::{self, Found};
use crate::id::AgentId;
use crate::planted::{self, Fault};
use crate::policy::backoff_ms;
use crate::spec::{ErrorClass, OnAgentLost, RetryPolicy};
use crate::status::BlockReason;
use crate::work::{Failure, Judgement, Outcome, Success, WorkKey};
use std::sync::Arc;

/// How often a piece of work may be given back although nobody asked for that, before it has failed: workers that are stopped and started
/// do so, and so does one that can do nothing.
pub(crate) const GIVEN_BACK_MAX: u32 = 10;
/// The largest output of a step, in bytes of JSON.
pub(crate) const OUTPUT_MAX: usize = 1024 * 1024;

impl Task {
    pub(super) fn start(&self, work: &WorkKey, attempt: u32, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let lease = self.lease(work).filter(|l| l.attempt == attempt && may_speak_for(cx.actor, l.agent));
        let lease = lease.ok_or_else(|| Refusal::StaleAttempt { work: work.clone(), attempt })?;
        if lease.started {
            return Ok(Vec::new().into());
        }
        let own = match work {
            WorkKey::Step(path) => self.board.find(path).and_then(|i| self.board.steps[i as usize].timeout_ms),
            WorkKey::Undo(_) => self.undoing.next().and_then(|undo| undo.how.timeout_ms),
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => None,
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
            (WorkKey::Step(_) | WorkKey::Undo(_), Outcome::Succeeded(success)) => {
                let unguarded = self.unguarded(work, attempt, &success.unguarded, true)?;
                let WorkKey::Step(path) = work else {
                    let used = success.usage.map(|usage| usage.amount(None));
                    return succeeded(work.clone(), attempt, success, unguarded, used);
                };
                let used = self.used(path, success.usage.as_ref());
                let doer = self.lease(work).map_or(AgentId::new(0, [0; 10]), |lease| lease.agent);
                let judged = self.judge_result(path, &success, doer, cx);
                if judged.ruling == Ruling::Deny {
                    return Ok(self.attempt_failed_with(work, attempt, &refused_result(&judged, success), cx));
                }
                let mut decided = succeeded(work.clone(), attempt, success, unguarded, used)?;
                if !judged.said.is_empty() {
                    let (step, confirm) = (path.clone(), judged.ruling == Ruling::Escalate);
                    decided.drafts.insert(0, Draft::new(Event::ResultJudged { step, attempt, rulings: judged.said, confirm }));
                }
                Ok(decided)
            }
            (_, Outcome::Failed(failure)) => {
                self.unguarded(work, attempt, &failure.unguarded, false)?;
                Ok(self.attempt_failed_with(work, attempt, &failure, cx))
            }
            (_, Outcome::Cancelled) => Ok(self.given_back(work, attempt, cx)),
            (WorkKey::Step(path), Outcome::Blocked { message }) => Ok(Draft::because(
                Event::StepBlocked { step: path.clone(), attempt, reason: BlockReason::External, reassign_at: None },
                &message,
            )
            .into()),
            (WorkKey::Gate(path, gate), Outcome::Judged(judgement)) => {
                Ok(self.gate_judged_by(path, *gate, attempt, &judgement, cx))
            }
            (WorkKey::Plan, Outcome::Proposed(_)) => {
                let plan = plan.ok_or_else(|| invalid("outcome.PROPOSED", "the plan was not checked"))?;
                let owed = plan.confidence.is_some_and(|c| c < cx.policy.confidence_min);
                Ok(self.planned_by(plan, Some(WorkKey::Plan), owed, cx)?.into())
            }
            (WorkKey::Analysis, Outcome::Advised(advice)) => self.advised(advice, plan, cx),
            // Nobody else may remove what stands in the way: a person hears of it.
            (WorkKey::Undo(_), Outcome::Blocked { message }) => {
                Ok(self.attempt_failed_with(work, attempt, &Failure::final_(ErrorClass::External, message), cx))
            }
            (WorkKey::Undo(_), _) => {
                Err(invalid("outcome", "a compensation is reported as SUCCEEDED, FAILED, BLOCKED or CANCELLED"))
            }
            (WorkKey::Step(_), _) => Err(invalid("outcome", "a step is reported as SUCCEEDED, FAILED, BLOCKED or CANCELLED")),
            (WorkKey::Gate(..), _) => Err(invalid("outcome", "a gate is reported as JUDGED, FAILED or CANCELLED")),
            (WorkKey::Plan, _) => Err(invalid("outcome", "a plan request is reported as PROPOSED, FAILED or CANCELLED")),
            (WorkKey::Analysis, _) => Err(invalid("outcome", "an analysis is reported as ADVISED, FAILED or CANCELLED")),
        }
    }

    fn attempt_failed_with(&self, work: &WorkKey, attempt: u32, failure: &Failure, cx: &Context<'_>) -> Decided {
        let retry_at = match work {
            WorkKey::Step(path) => self
                .board
                .find(path)
                .and_then(|i| self.retry_at(i, failure.class, failure.retryable, failure.retry_after_ms, cx.now)),
            WorkKey::Undo(_) => self.undo_retry_at(failure.class, failure.retryable, failure.retry_after_ms, cx.now),
            // Silence took its time already.
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis if failure.class == ErrorClass::AgentLost => Some(cx.now),
            // Other work is offered again until its limit ends it.
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => {
                Some(cx.now.plus(self.side_wait_ms(work).max(failure.retry_after_ms.unwrap_or(0))))
            }
        };
        let failed = Failed {
            work: work.clone(),
            attempt,
            class: failure.class,
            retry_at,
            retry_after_ms: failure.retry_after_ms,
            used: match work {
                WorkKey::Step(path) => self.used(path, failure.usage.as_ref()),
                WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis | WorkKey::Undo(_) => {
                    failure.usage.map(|usage| usage.amount(None))
                }
            },
            unguarded: failure.unguarded.iter().map(|act| act.action.as_str().into()).collect(),
        };
        Draft::because(Event::AttemptFailed(Box::new(failed)), &failure.told()).into()
    }

    /// Work that comes back undone. Where somebody asked for that, it counts for nothing and is offered again at once. Where nobody did, it
    /// waits as after a failure, and an agent that gives everything back ends what it is asked to do, rather than being asked forever.
    fn given_back(&self, work: &WorkKey, attempt: u32, cx: &Context<'_>) -> Decided {
        let class = ErrorClass::Cancelled;
        // Who gives it back says by that that nothing was used.
        let used = self.purse.is_some().then(Amount::default);
        let failed =
            |retry_at| Failed { work: work.clone(), attempt, class, retry_at, retry_after_ms: None, used, unguarded: Vec::new() };
        let back = |retry_at, why| Draft::because(Event::AttemptFailed(Box::new(failed(retry_at))), why).into();
        if cx.told_to_stop || self.should_stop(work, attempt) {
            return back(Some(cx.now), "it ended because it was told to");
        }
        let why = "it was given back, and nobody had asked for that";
        let times = match work {
            WorkKey::Step(path) => self.board.find(path).map_or(0, |i| self.board.cell(i).given_back),
            WorkKey::Undo(_) => self.undoing.given_back,
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => {
                return back(Some(cx.now.plus(self.side_wait_ms(work))), why);
            }
        };
        if times >= GIVEN_BACK_MAX {
            return back(None, "it was given back too often, and nobody had asked for that");
        }
        back(Some(cx.now.plus(backoff_ms(&RetryPolicy::default(), times + 1, self.chance(attempt)))), why)
    }

    /// How long a gate, a plan or an analysis waits before it is offered again, in milliseconds; as a step would.
    fn side_wait_ms(&self, work: &WorkKey) -> u64 {
        let failures = match work {
            WorkKey::Gate(path, _) => self.board.find(path).and_then(|i| self.board.gates.get(&i)).map_or(0, |g| g.failures),
            WorkKey::Plan => self.plan_work.as_ref().map_or(0, |side| side.failures),
            WorkKey::Analysis => self.analysis.as_ref().map_or(0, |side| side.failures),
            WorkKey::Step(_) | WorkKey::Undo(_) => 0,
        };
        backoff_ms(&RetryPolicy::default(), failures + 1, self.chance(failures))
    }

    /// What the jitter of a wait is taken from: deciding again decides the same.
    fn chance(&self, n: u32) -> u64 {
        self.id.bits() as u64 ^ u64::from(n)
    }

    pub(super) fn lease_lapsed(&self, work: &WorkKey, attempt: u32, counter: u64, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let moved = counter != cx.counter && !planted::is(Fault::LapseUnchecked);
        if !self.holds(work, attempt) || moved {
            return Err(Refusal::AlreadySettled { what: "the lease" });
        }
        let then = self.facts.on_agent_lost.unwrap_or(cx.policy.on_agent_lost);
        let who = self.lease(work).map(|lease| format!(": {} was given up at {}", lease.agent, cx.now)).unwrap_or_default();
        let why = format!("its agent fell silent{who}");
        if let (WorkKey::Step(path), OnAgentLost::Block) = (work, then) {
            let reassign_at = cx.policy.reassign_after.map(|wait| cx.now.plus(wait.ms));
            let blocked = Event::StepBlocked { step: path.clone(), attempt, reason: BlockReason::AgentOffline, reassign_at };
            return Ok(Draft::because(blocked, &why).into());
        }
        Ok(self.attempt_failed_with(work, attempt, &Failure::new(ErrorClass::AgentLost, why), cx))
    }

    fn gate_judged_by(&self, path: &str, gate: u16, attempt: u32, judgement: &Judgement, cx: &Context<'_>) -> Decided {
        let Some(i) = self.board.find(path) else { return Vec::new().into() };
        let spec = &self.board.steps[i as usize].gates[usize::from(gate)];
        let found = gate::weigh(spec, judgement);
        let work = WorkKey::Gate(path.into(), gate);
        let ended = Succeeded {
            work,
            attempt,
            metrics: Default::default(),
            used: None,
            evidence: vec![judgement.without_words()],
            unguarded: Vec::new(),
        };
        let success = Success { evidence: vec![judgement.clone()], ..Success::default() };
        vec![
            Draft::with(Event::AttemptSucceeded(Box::new(ended)), Private::Success(Arc::new(success))),
            self.judged(i, gate, Found { by: "agent", ..found }, cx),
        ]
        .into()
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
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis | WorkKey::Undo(_) => self.answered.get(&attempt) == Some(work),
        }
    }
}

/// A result, of bearable size.
fn succeeded(
    work: WorkKey,
    attempt: u32,
    success: Success,
    unguarded: Vec<Box<str>>,
    used: Option<Amount>,
) -> Result<Decided, Refusal> {
    let size = success.output.to_string().len();
    if size > OUTPUT_MAX {
        let why = format!("has {size} bytes; allowed are {OUTPUT_MAX}. Keep the rest in a file and name it");
        return Err(invalid("output", &why));
    }
    let evidence = success.evidence.iter().map(Judgement::without_words).collect();
    let mut metrics = success.metrics.clone();
    // Figures and receipts add up what metrics say.
    for (name, n) in used.iter().flat_map(|used| used.figures()) {
        metrics.entry(name).or_insert(n.into());
    }
    let succeeded = Succeeded { work, attempt, metrics, used, evidence, unguarded };
    Ok(Draft::with(Event::AttemptSucceeded(Box::new(succeeded)), Private::Success(Arc::new(success))).into())
}

/// Whether a word about an attempt may come from here: an agent speaks for nobody else.
pub(super) fn may_speak_for(actor: &Actor, holder: AgentId) -> bool {
    actor.kind != ActorKind::Ai || *actor.id == *holder.to_string() || planted::is(Fault::ForeignAgent)
}
