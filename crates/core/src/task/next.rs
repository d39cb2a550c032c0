//! What happens by itself. The only place that knows deadlines, tallies and the end. Each question costs O(log n) in the number of
//! steps: sets of what needs attention are kept as events come in.

use super::approval::Before;
use super::{Draft, Task};
use crate::command::{CheckedPlan, Context};
use crate::event::{Actor, EndReason, EscalationReason, Event, Failed, GateJudged, Private, ReviewOpened, SkipReason};
use crate::expr;
use crate::gate::{self, Found};
use crate::id::{ReviewId, TaskId};
use crate::plan::{Does, Plan, STEPS_MAX};
use crate::recurrence;
use crate::review::{Ballot, Electorate, Judge, QUORUM, Question, Verdict};
use crate::spec::{ErrorClass, GateKind, Request};
use crate::time::{Time, WireDuration};
use crate::timers::Timer;
use crate::work::{EffectOutcome, WorkKey};
use serde_json::Value;

/// How deep tasks may give birth to tasks.
pub(crate) const DEPTH_MAX: u16 = 16;

impl Task {
    /// The next thing that follows from time and logic alone, if there is one.
    pub(super) fn next(&self, cx: &Context<'_>) -> Option<Draft> {
        if self.end.is_some() || self.born_at.is_none() {
            return None;
        }
        // Whoever is told hears of what is asked once nothing else follows.
        self.course(cx).or_else(|| self.ladder_follows(cx))
    }

    fn course(&self, cx: &Context<'_>) -> Option<Draft> {
        if self.liquidated {
            return Some(Draft::new(Event::Stopped { reason: EndReason::Liquidated }));
        }
        if let Some((at, timer)) = self.firm.first()
            && at <= cx.now
        {
            return self.rang(timer, cx);
        }
        if let Some(reason) = self.called_off {
            return Some(Draft::new(Event::Cancelled { reason }));
        }
        if self.cancelling && self.leases() == 0 {
            return Some(Draft::new(Event::Cancelled { reason: EndReason::Requested }));
        }
        if let Some(effect) = self.dangling.first() {
            return Some(Draft::new(Event::EffectSettled { effect: *effect, outcome: EffectOutcome::Unknown }));
        }
        if self.escalated.is_some() && self.paused.is_none() {
            return self.council_follows(cx);
        }
        if self.is_held() {
            return None;
        }
        if let Some(draft) = self.judged_anew(cx).or_else(|| self.outlawed_follows(cx)) {
            return Some(draft);
        }
        if let Some(draft) = self.model_follows(cx) {
            return Some(draft);
        }
        if self.review_owed {
            return Some(self.open_review_of(Question::Admission, cx));
        }
        if let Some(review) = &self.review
            && let Some(draft) = self.decided(&review.ballot, review.id, cx.now)
        {
            return Some(draft);
        }
        if let Some(draft) = self.after_review(cx) {
            return Some(draft);
        }
        if self.is_deliberating() {
            return None;
        }
        if self.failed_dependency {
            return Some(Draft::new(Event::Failed { reason: EndReason::DependencyFailed, recoverable: true }));
        }
        if let Some((at, timer)) = self.soft.first()
            && at <= cx.now
            && let Some(draft) = self.rang(timer, cx)
        {
            return Some(draft);
        }
        if self.stall_at.is_some_and(|at| at <= cx.now) {
            return Some(self.stall_follows(cx));
        }
        if !self.planned && self.plan_work.is_none() && self.may_plan() {
            let limit_at = cx.now.plus(cx.policy.plan_wait.ms);
            return Some(Draft::new(Event::PlanRequested { limit_at }));
        }
        if let Some(draft) = self.undo_follows(cx) {
            return Some(draft);
        }
        if let Some(draft) = self.budget_follows(cx) {
            return Some(draft);
        }
        if !self.may_settle_steps() {
            return None;
        }
        if let Some(step) = self.board.failed.first() {
            return (self.leases() == 0).then(|| self.task_failed(*step, cx));
        }
        if let Some(step) = self.board.to_check.first() {
            return Some(self.check(*step, cx));
        }
        if let Some(step) = self.board.fresh.first() {
            return Some(self.settle_step(*step, cx));
        }
        if let Some(draft) = self.heard() {
            return Some(draft);
        }
        if self.board.is_done() && self.children.is_empty() {
            return self.finish(cx);
        }
        None
    }

    /// Whether somebody may be asked for a plan.
    fn may_plan(&self) -> bool {
        self.released && !self.cancelling && !self.stalled
    }

    /// A deadline has come.
    fn rang(&self, timer: Timer, cx: &Context<'_>) -> Option<Draft> {
        let failed = |reason, recoverable| Draft::new(Event::Failed { reason, recoverable });
        let draft = match timer {
            Timer::Due => {
                let event = self.missed(cx.now).map_or(Event::Released, |due_at| Event::RunMissed { due_at });
                Draft { actor: Some(Actor::clock()), ..Draft::new(event) }
            }
            Timer::Deadline => failed(EndReason::Deadline, true),
            Timer::Total => failed(EndReason::Timeout, true),
            Timer::Budget => return self.time_is_up(cx.now),
            Timer::Queue => failed(EndReason::QueueTimeout, true),
            Timer::Session => Draft::new(Event::SessionEnded),
            Timer::CancelForce => Draft::new(Event::Cancelled { reason: EndReason::Forced }),
            Timer::Review => {
                let review = self.review.as_ref()?;
                return self.decided(&review.ballot, review.id, cx.now);
            }
            Timer::Plan if cx.policy.one_step_plan => {
                let (plan, _) = Plan::one_step("work", &[], "");
                let texts = vec![crate::plan::StepText { title: self.contents.text.title.clone(), ..Default::default() }];
                let plan = CheckedPlan { plan, texts, confidence: None, findings: Vec::new() };
                match self.planned_by(plan, None, false, cx) {
                    Ok(planned) => planned,
                    Err(refusal) => Draft::because(self.escalated(EscalationReason::NoPlan, cx), &refusal.to_string()),
                }
            }
            Timer::Plan => Draft::new(self.escalated(EscalationReason::NoPlan, cx)),
            Timer::Analysis => Draft::new(self.after_task_failure(cx, None)),
            Timer::Escalation => return Some(self.house_decides(cx)),
            Timer::UndoQueue => return self.nobody_undoes(cx),
            Timer::UndoTimeout => return self.undo_over(cx),
            Timer::UndoRetry => {
                let step = self.undoing.next()?.path.clone();
                Draft::new(Event::Reoffered { step, undo: true, side: None })
            }
            Timer::PlanRetry => Draft::new(Event::Reoffered { step: "".into(), undo: false, side: Some(WorkKey::Plan) }),
            Timer::AnalysisRetry => Draft::new(Event::Reoffered { step: "".into(), undo: false, side: Some(WorkKey::Analysis) }),
            Timer::GateRetry(i) => {
                let (step, gate) = (self.board.steps[i as usize].path.clone(), self.board.gates.get(&i)?.gate);
                Draft::new(Event::Reoffered { step: step.clone(), undo: false, side: Some(WorkKey::Gate(step, gate)) })
            }
            Timer::TaskRetry => Draft::new(Event::Retried { retries: self.retries + 1 }),
            Timer::StepQueue(i) => self.step_failed(i, ErrorClass::MissingCapability, "no agent came in time"),
            Timer::StepStart(i) => self.attempt_over(i, "the agent did not start in time", cx),
            Timer::StepTimeout(i) => self.attempt_over(i, "the attempt took longer than it may", cx),
            Timer::StepRetry(i) => {
                Draft::new(Event::Reoffered { step: self.board.steps[i as usize].path.clone(), undo: false, side: None })
            }
            Timer::StepWait(i) => self.wait_over(i),
            Timer::Reassign(i) => self.offline_too_long(i),
            Timer::Approval(i) => return self.approval_over(i),
            Timer::Gate(i) => {
                let gate = self.board.gates.get(&i)?.gate;
                self.judged(i, gate, Found::no("limit", "nobody judged its result in time"), cx)
            }
        };
        Some(draft)
    }

    /// The next due time of a run that is too late to start.
    fn missed(&self, now: Time) -> Option<Time> {
        let recurrence = self.facts.recurrence.as_ref()?;
        recurrence::moved_to(recurrence, self.facts.due_at?, now)
    }

    /// The verdict of the open review, once there is one.
    pub(super) fn decided(&self, ballot: &Ballot, review: ReviewId, now: Time) -> Option<Draft> {
        let verdict = ballot.verdict(now)?;
        let event = Event::ReviewDecided { review, verdict, tally: ballot.tally(), self_decided: ballot.solo };
        Some(Draft::new(event))
    }

    /// What follows from the last verdict, unless it has followed already.
    fn after_review(&self, cx: &Context<'_>) -> Option<Draft> {
        if self.review.is_some() || self.review_owed || self.review_followed {
            return None;
        }
        // A no to a proposal leaves the escalation as it is; nothing else follows from it.
        let last = self.reviews.iter().rfind(|r| r.question != Question::Escalation)?;
        let refused = |reason| Some(Draft::new(Event::Cancelled { reason }));
        match (last.question, last.verdict) {
            (Question::Admission, Verdict::Rejected | Verdict::Revise) => refused(EndReason::Rejected),
            (Question::Result, Verdict::Rejected | Verdict::Revise) if !self.result_accepted => {
                Some(Draft::new(Event::Failed { reason: EndReason::ResultRejected, recoverable: true }))
            }
            (_, Verdict::Escalated) => Some(Draft::new(self.escalated(EscalationReason::ReviewUndecided, cx))),
            _ => None,
        }
    }

    /// Asks the council. Where fewer may vote than it takes, and the operator may not decide alone, the review is as good as
    /// undecided from the start: its deadline is now.
    fn open_review_of(&self, question: Question, cx: &Context<'_>) -> Draft {
        let eligible: Vec<Judge> = cx.judges.iter().filter(|j| !self.has_executed(&j.id)).cloned().collect();
        let electorate = Electorate::of(&eligible);
        let enough = electorate.is_able();
        let solo = !enough && cx.policy.solo;
        let judges = match solo {
            true => vec![Judge { id: OPERATOR.into(), weight: 1, veto: false }],
            false => eligible,
        };
        let quorum = if solo { 1 } else { QUORUM };
        let opened = ReviewOpened {
            review: ReviewId::derived(self.id, self.version, 0),
            question,
            required: if solo { 1 } else { electorate.required },
            quorum,
            solo,
            deadline: if enough || solo { cx.now.plus(cx.policy.review_wait.ms) } else { cx.now },
            judges,
            proposal: None,
        };
        let missing = format!("{}: register agents able to `judge`, or decide it yourself", electorate.missing());
        match enough || solo {
            true => Draft::new(Event::ReviewOpened(Box::new(opened))),
            false => Draft::because(Event::ReviewOpened(Box::new(opened)), &missing),
        }
    }

    /// A step that is free, but that something has to be settled about first.
    fn settle_step(&self, i: u32, cx: &Context<'_>) -> Draft {
        let step = &self.board.steps[i as usize];
        let path = step.path.clone();
        if let Some(when) = step.when.as_ref().filter(|_| !self.board.cell(i).condition_met) {
            return match expr::condition(when, &self.scope(&path)) {
                Ok(true) => Draft::new(Event::ConditionMet { step: path }),
                Ok(false) => Draft::new(Event::StepSkipped { step: path, reason: SkipReason::ConditionFalse }),
                Err(why) => self.step_failed(i, ErrorClass::BadInput, &why),
            };
        }
        if let Some(list) = step.for_each.as_ref().filter(|_| self.board.is_unsettled(i)) {
            return match expr::list(list, &self.scope(&path)) {
                Ok(items) if self.board.size() + items.len() > STEPS_MAX => {
                    self.step_failed(i, ErrorClass::BadInput, &format!("with it the plan would have more than {STEPS_MAX} steps"))
                }
                Ok(items) => Draft::with(Event::Expanded { step: path, count: items.len() as u32 }, Private::Items(items)),
                Err(why) => self.step_failed(i, ErrorClass::BadInput, &why),
            };
        }
        self.begin_pseudo_step(i, cx).unwrap_or_else(|why| self.step_failed(i, ErrorClass::BadInput, &why))
    }

    /// A step that no agent does: a wait or a task of its own.
    fn begin_pseudo_step(&self, i: u32, cx: &Context<'_>) -> Result<Draft, String> {
        let step = &self.board.steps[i as usize];
        let path = step.path.clone();
        let params = self.params(i)?;
        let text = |name: &str| params.get(name).and_then(Value::as_str).ok_or_else(|| format!("params.{name} is missing"));
        let limit = step.timeout_ms.map(|ms| cx.now.plus(ms));
        // Rules about actions hold for what no agent does, too.
        if let Before::Instead(draft, _) = self.before_step(i, &params, None, cx) {
            return Ok(draft);
        }
        Ok(match step.does() {
            Does::WaitFor => {
                let duration: WireDuration = serde_json::from_value(params.get("duration").cloned().unwrap_or(Value::Null))
                    .map_err(|e| format!("params.duration: {e}"))?;
                Draft::new(Event::WaitStarted { step: path, until: Some(cx.now.plus(duration.ms)), signal: None })
            }
            Does::WaitUntil => {
                Draft::new(Event::WaitStarted { step: path, until: Some(Time::parse(text("time")?)?), signal: None })
            }
            Does::WaitSignal => Draft::new(Event::WaitStarted { step: path, until: limit, signal: Some(text("name")?.into()) }),
            Does::Task => {
                let request = params.get("request").cloned().ok_or("params.request is missing")?;
                let mut request: Request = serde_json::from_value(request).map_err(|e| format!("params.request: {e}"))?;
                if self.facts.depth >= DEPTH_MAX {
                    return Err(format!("tasks give birth to tasks at most {DEPTH_MAX} deep"));
                }
                request.namespace = Some(self.facts.namespace.to_string());
                request.parent_task_id = Some(self.id);
                self.hand_down(&mut request);
                let lent = self.lend(i, request.budget, cx.now)?;
                if lent.is_some() && request.recurrence.is_some() {
                    return Err(
                        "params.request.recurrence: what comes again draws on no budget; submit it as a task of its own".into()
                    );
                }
                let mut submission = crate::request::check(&request, cx.now, cx.policy)
                    .map_err(|ps| ps.iter().map(|p| format!("params.request.{p}")).collect::<Vec<_>>().join("; "))?;
                submission.facts.depth = self.facts.depth + 1;
                submission.facts.healed = self.healed;
                if let Some((terms, _)) = &lent {
                    submission.facts.budget = Some(Box::new(*terms));
                }
                let again = self.births.get(&path).copied().unwrap_or(0);
                submission.facts.parent = Some(crate::event::Parent { task: self.id, step: Some(path.clone()), again });
                let child = TaskId::derived(self.id, self.version, 0);
                cx.births.admit(child, &submission.facts).map_err(|hindered| format!("params.request.{hindered}"))?;
                Draft {
                    birth: Some(Box::new(submission)),
                    ..Draft::new(Event::ChildBorn { step: path, child, lent: lent.map(|(_, amount)| amount) })
                }
            }
            Does::Group | Does::Work => Draft::new(Event::ConditionMet { step: path }),
        })
    }

    /// A wait is over: for a time that is its end, for a signal it came too late.
    fn wait_over(&self, i: u32) -> Draft {
        let step = &self.board.steps[i as usize];
        match step.does() {
            Does::WaitSignal => self.step_failed(i, ErrorClass::Timeout, "the signal did not come in time"),
            Does::WaitFor | Does::WaitUntil | Does::Task | Does::Group | Does::Work => {
                Draft::new(Event::WaitEnded { step: step.path.clone(), signal: None })
            }
        }
    }

    /// A signal that somebody waits for is there.
    pub(super) fn heard(&self) -> Option<Draft> {
        // Few signals are ever waited for at once, and only those that came are looked at.
        let (name, step) = self.signals.keys().find_map(|name| Some((name, self.listeners.get(name)?.first()?)))?;
        Some(Draft::new(Event::WaitEnded { step: self.board.steps[*step as usize].path.clone(), signal: Some(name.clone()) }))
    }

    /// The next gate of a step that says it is done.
    fn check(&self, i: u32, cx: &Context<'_>) -> Draft {
        let step = &self.board.steps[i as usize];
        let n = self.board.cell(i).gate;
        let Some(spec) = step.gates.get(usize::from(n)) else {
            return self.judged(i, n, Found::yes("evidence"), cx);
        };
        let success = self.contents.outputs.get(&self.step_name(i));
        // What the council's yes depends on is not for the doer to say.
        if let Some(found) = success.filter(|_| !self.is_condition(spec)).and_then(|s| gate::judge(spec, s)) {
            return self.judged(i, n, found, cx);
        }
        let wait = if spec.kind == GateKind::ManualReview { cx.policy.review_wait.ms } else { cx.policy.gate_wait.ms };
        Draft::new(Event::GateOpened { step: step.path.clone(), gate: n, limit_at: cx.now.plus(wait) })
    }

    /// A gate's judgement, and when the step is tried again where it was a no.
    pub(super) fn judged(&self, i: u32, gate: u16, found: Found, cx: &Context<'_>) -> Draft {
        let Found { passed, score, violations, by, why } = found;
        let step = &self.board.steps[i as usize];
        let advisory = step.gates.get(usize::from(gate)).is_some_and(|g| g.advisory);
        let retry_at = if passed || advisory { None } else { self.retry_at(i, ErrorClass::GateFailed, true, None, cx.now) };
        let judged = GateJudged { step: step.path.clone(), gate, passed, score, violations, by: by.into(), advisory, retry_at };
        Draft::because(Event::GateJudged(Box::new(judged)), &why)
    }

    /// An attempt that ran into a limit.
    fn attempt_over(&self, i: u32, why: &str, cx: &Context<'_>) -> Draft {
        let path = self.board.steps[i as usize].path.clone();
        let attempt = self.board.cell(i).attempt;
        let retry_at = self.retry_at(i, ErrorClass::Timeout, true, None, cx.now);
        let failed = Failed {
            work: WorkKey::Step(path),
            attempt,
            class: ErrorClass::Timeout,
            retry_at,
            retry_after_ms: None,
            used: None,
            unguarded: Vec::new(),
        };
        Draft::because(Event::AttemptFailed(Box::new(failed)), why)
    }

    pub(super) fn step_failed(&self, i: u32, class: ErrorClass, why: &str) -> Draft {
        Draft::because(Event::StepFailed { step: self.board.steps[i as usize].path.clone(), class }, why)
    }

    /// Everything is done but to say so.
    fn finish(&self, cx: &Context<'_>) -> Option<Draft> {
        // What the council's yes depends on and no step was left to show, the council sees in the result.
        if (self.facts.final_review || self.conditions_open()) && !self.result_accepted {
            return self.review.is_none().then(|| self.open_review_of(Question::Result, cx));
        }
        let lost = self.lost_children.iter().map(|c| c.to_string().into());
        let gaps = self.gaps.iter().cloned().chain(lost).collect();
        Some(Draft::new(Event::Completed { gaps }))
    }
}

/// The name under which the operator votes where the operator decides alone.
pub(crate) const OPERATOR: &str = "operator";
