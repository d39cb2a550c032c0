//! What follows failures: a step's next attempt, the task's next try, the word of the failure analyst, going back to a checkpoint, and
//! the limits that make all of it end.

use super::decide::{bounded, invalid};
use super::{Decided, Draft, Task};
use crate::board::Board;
use crate::command::{CheckedPlan, Context, Refusal};
use crate::contents::Undone;
use crate::event::{AfterFailure, ApprovalWord, EndReason, EscalationReason, Event, OverrideWord, Planned, Private};
use crate::plan::difference::{Difference, KEPT_MAX, difference};
use crate::plan::{Plan, StepText, written::written};
use crate::planted::{self, Fault};
use crate::policy::{backoff_ms, retry_wait_ms};
use crate::spec::{ErrorClass, PlanSpec, RetryPolicy};
use crate::status::StepStatus;
use crate::time::Time;
use crate::work::{Advice, WorkKey};
use serde_json::{Map, Value, json};

/// How many completed steps are named to who asked to go back to one that is not.
const CHECKPOINTS_TOLD: usize = 20;
/// The largest plan that travels with an analysis; of a larger one only the step that failed is told.
const PLAN_TOLD_MAX: usize = 200;
/// The longest wait an analyst may ask for, in milliseconds: a day. Whoever needs longer asks for a person.
const DELAY_MAX_MS: u64 = 24 * 3_600_000;

/// Going back to a step that is done.
struct Back {
    /// Its path.
    to: Box<str>,
    /// Whether something is undone first.
    undoes: bool,
    event: Event,
}

impl Task {
    /// The retry policy a step is under.
    pub(super) fn retry_policy(&self, own: Option<&RetryPolicy>) -> RetryPolicy {
        let policy = own.or(self.facts.retry.as_ref()).cloned().unwrap_or_default();
        match planted::is(Fault::ClassIgnored) {
            true => RetryPolicy { never_on: Vec::new(), by_class: Default::default(), ..policy },
            false => policy,
        }
    }

    /// When a step is offered again after a failure of this class; `None` when its attempts are spent.
    pub(super) fn retry_at(
        &self,
        i: u32,
        class: ErrorClass,
        retryable: bool,
        at_least_ms: Option<u64>,
        now: Time,
    ) -> Option<Time> {
        let policy = self.retry_policy(self.board.steps[i as usize].retry.as_ref());
        let failures = self.board.cell(i).with_failure(class);
        let seed = (self.id.bits() as u64) ^ (u64::from(i) << 32) ^ u64::from(self.board.cell(i).failures + 1);
        let wait = retry_wait_ms(&policy, class, &failures, seed).filter(|_| retryable)?;
        Some(now.plus(wait.max(at_least_ms.unwrap_or(0))))
    }

    /// A step without which the task cannot go on has failed for good.
    pub(super) fn task_failed(&self, i: u32, cx: &Context<'_>) -> Draft {
        let step = self.board.steps[i as usize].path.clone();
        let then = self.then(cx, cx.analyst, 0);
        // Trying again would not change a person's no. Where nobody answered, somebody else may.
        let answer = self.approvals.get(&step).and_then(|approval| approval.answer);
        if answer == Some(ApprovalWord::Expired) && then != AfterFailure::Fail {
            let why = format!("nobody said in time whether step {step} may be done");
            return Draft::because(self.escalated(EscalationReason::HumanIntervention, cx), &why);
        }
        if then == AfterFailure::Fail || answer == Some(ApprovalWord::Denied) {
            return Draft::because(
                Event::Failed { reason: EndReason::StepFailed, recoverable: true },
                &format!(
                    "step {step} failed: {}",
                    self.contents.errors.get(&format!("step:{step}")).map_or("no reason was given", |e| e)
                ),
            );
        }
        if then == AfterFailure::Escalate {
            return self.nothing_left(&step, cx);
        }
        Draft::new(Event::TaskAttemptFailed { step, retries: self.retries, then })
    }

    /// Nothing is left to try without a person.
    fn nothing_left(&self, step: &str, cx: &Context<'_>) -> Draft {
        if self.retries >= self.facts.max_retries {
            let spent =
                if self.retries == 1 { "its one retry is spent".into() } else { format!("{} retries are spent", self.retries) };
            let why = format!("step {step} failed and {spent}");
            return Draft::because(self.escalated(EscalationReason::RetriesSpent, cx), &why);
        }
        let why = format!("step {step} failed; failures were dealt with {} times without a person", self.healed.times);
        Draft::because(self.escalated(EscalationReason::HealingSpent, cx), &why)
    }

    /// What follows a failure of the task: analysis where somebody can do it, else the retry policy.
    fn then(&self, cx: &Context<'_>, analyst: bool, delay_ms: u64) -> AfterFailure {
        if self.facts.max_retries == 0 {
            AfterFailure::Fail
        } else if self.retries >= self.facts.max_retries || self.healed.times >= cx.policy.healings_max {
            AfterFailure::Escalate
        } else if analyst {
            AfterFailure::Analyse { limit_at: cx.now.plus(cx.policy.analysis_wait.ms) }
        } else {
            let wait = backoff_ms(&cx.policy.task_retry, self.retries + 1, self.id.bits() as u64 ^ u64::from(self.retries));
            AfterFailure::Retry { at: cx.now.plus(wait.max(delay_ms)) }
        }
    }

    /// The task is tried again after the wait of the retry policy, or a longer one: the analyst said so, or did not answer.
    pub(super) fn after_task_failure(&self, cx: &Context<'_>, delay_ms: Option<u64>) -> Event {
        let step = self.analysis.as_ref().and_then(|a| a.step.clone()).unwrap_or_else(|| "".into());
        let then = self.then(cx, false, delay_ms.unwrap_or(0).min(DELAY_MAX_MS));
        Event::TaskAttemptFailed { step, retries: self.retries, then }
    }

    /// The word of the failure analyst.
    pub(super) fn advised(&self, advice: Advice, plan: Option<CheckedPlan>, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let often = |what: &str, n: u32| {
            let why = format!("the analyst advised {what}, but that was done {n} times without a person");
            Draft::because(self.escalated(EscalationReason::HealingSpent, cx), &why).into()
        };
        Ok(match advice {
            // As planned, and after the wait that the policy asks for.
            Advice::Retry => Draft::new(self.after_task_failure(cx, None)).into(),
            Advice::RetryAfter { delay_ms, reason } => {
                if delay_ms > DELAY_MAX_MS {
                    let why = format!("allowed are up to {DELAY_MAX_MS}; for longer advise HUMAN_INTERVENTION");
                    return Err(invalid("outcome.ADVISED.RETRY_AFTER.delay_ms", &why));
                }
                Draft::because(self.after_task_failure(cx, Some(delay_ms)), bounded(&reason)?).into()
            }
            Advice::AlternativePath(_) if self.healed.plans >= cx.policy.refined_plans_max => {
                often("another plan", self.healed.plans)
            }
            Advice::AlternativePath(_) => {
                let plan = plan.ok_or_else(|| invalid("outcome.ADVISED", "the plan was not checked"))?;
                let owed = plan.confidence.is_some_and(|c| c < cx.policy.confidence_min);
                let retries = self.retries + 1;
                vec![self.planned_by(plan, Some(WorkKey::Analysis), owed, cx)?, Draft::new(Event::Retried { retries })].into()
            }
            Advice::Rollback { .. } if self.healed.rollbacks >= cx.policy.rollbacks_max => {
                often("to go back", self.healed.rollbacks)
            }
            Advice::Rollback { checkpoint, reason } => {
                let back = self.back_to(&checkpoint, false, cx)?;
                let mut drafts = vec![Draft::because(back.event, bounded(&reason)?)];
                if !back.undoes {
                    drafts.push(Draft::new(self.after_task_failure(cx, None)));
                }
                drafts.into()
            }
            Advice::HumanIntervention { reason } => {
                Draft::because(self.escalated(EscalationReason::HumanIntervention, cx), bounded(&reason)?).into()
            }
            Advice::Abort { reason } => Draft::because(Event::Stopped { reason: EndReason::Aborted }, bounded(&reason)?).into(),
        })
    }

    /// A person goes back to a step that is done. What has to be undone is undone first; then the task is tried again, counted anew.
    pub(super) fn overrule_back(&self, checkpoint: Option<&str>, reason: &str, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let name = checkpoint
            .ok_or_else(|| invalid("checkpoint", "say to which checkpoint, by its name, or a step by its path or id"))?;
        let asked = self.escalated.map_or(self.retrying, may_go_back);
        if !self.undoing.left.is_empty() {
            return Err(self.not_now("go back in", "what was to be undone before is not undone yet"));
        }
        if !asked {
            let first = match self.escalated {
                Some(_) => "its review or its plan is to be decided first",
                None => "escalate it first, so that it is a decision",
            };
            return Err(self.not_now("go back in", first));
        }
        if self.leases() > u32::from(self.analysis.as_ref().is_some_and(|side| side.lease.is_some())) {
            return Err(self.not_now("go back in", "agents still work on it; wait until they have ended, or reassign it"));
        }
        let (back, reason) = (self.back_to(name, true, cx)?, bounded(reason)?);
        let decided = Event::Overridden { decision: OverrideWord::Rollback, step: Some(back.to) };
        Ok(vec![Draft::because(back.event, reason), Draft::because(decided, reason)].into())
    }

    /// That a person may go back instead, and to which checkpoints; nothing where there is none.
    pub(super) fn or_back(&self, reason: EscalationReason) -> String {
        match self.back_to_choose(reason).join("|") {
            names if names.is_empty() => String::new(),
            names => format!("; or ephor task override {} rollback --to {names} --reason …", self.id),
        }
    }

    /// The checkpoints a person may go back to, where a decision is owed for this reason.
    pub(super) fn back_to_choose(&self, reason: EscalationReason) -> Vec<Box<str>> {
        if may_go_back(reason) { self.checkpoints_done() } else { Vec::new() }
    }

    /// The names of checkpoints that are done.
    fn checkpoints_done(&self) -> Vec<Box<str>> {
        let done = self.board.all().filter(|i| self.board.cell(*i).status == StepStatus::Completed);
        done.filter_map(|i| self.board.steps[i as usize].checkpoint.clone()).take(CHECKPOINTS_TOLD).collect()
    }

    /// Going back to a step that is done: what needs it is to be done again, and of that what can be undone is undone first.
    fn back_to(&self, checkpoint: &str, by_person: bool, cx: &Context<'_>) -> Result<Back, Refusal> {
        let path = |i: u32| self.board.steps[i as usize].path.clone();
        let Some(found) = self.board.checkpoint(checkpoint) else {
            let field = if by_person { "checkpoint" } else { "outcome.ADVISED.ROLLBACK.checkpoint" };
            return Err(invalid(field, &self.no_checkpoint(checkpoint, by_person)));
        };
        let back = self.board.behind(found);
        let compensations: Vec<Box<str>> = self.board.to_undo(&back).into_iter().map(path).collect();
        let undoes = !compensations.is_empty();
        let event = Event::RolledBack {
            checkpoint: path(found),
            steps: back.into_iter().map(path).collect(),
            wait_ms: undoes.then_some(cx.policy.compensation_wait.ms),
            compensations,
            by_person,
        };
        Ok(Back { to: path(found), undoes, event })
    }

    /// Where one may go back to instead: checkpoints that are done, else the steps that are.
    fn no_checkpoint(&self, name: &str, by_person: bool) -> String {
        let done = |i: &u32| self.board.cell(*i).status == StepStatus::Completed;
        let points = self.checkpoints_done();
        if !points.is_empty() {
            return format!("{name:?} is no checkpoint that is done; done are {}", points.join(", "));
        }
        let steps: Vec<_> = self.board.all().filter(done).take(CHECKPOINTS_TOLD).map(|i| self.step_name(i)).collect();
        match steps.as_slice() {
            [] if by_person => {
                "no step is completed: there is nothing to go back to; retry a step, or decide the escalation".into()
            }
            [] => "no step is completed: there is nothing to go back to; advise RETRY".into(),
            some => format!("{name:?} is no completed step; completed are {}", some.join(", ")),
        }
    }

    /// The plan as it is followed now, written down: without the parts that came of lists.
    pub fn plan_spec(&self) -> PlanSpec {
        let (plan, texts) = self.plan_laid();
        written(&plan, &texts)
    }

    /// The plan as it was read, and its words.
    pub(super) fn plan_laid(&self) -> (Plan, Vec<StepText>) {
        // Parts of lists stand behind everything that was planned.
        let is_part = |parent: Option<u32>| parent.is_some_and(|p| self.board.steps[p as usize].for_each.is_some());
        let planned = self.board.steps.iter().take_while(|step| !is_part(step.parent)).cloned();
        let mut steps: Vec<_> = planned.collect();
        for step in steps.iter_mut().filter(|step| step.for_each.is_some()) {
            step.children = 0;
        }
        let mut texts: Vec<StepText> = self.contents.steps().iter().take(steps.len()).cloned().collect();
        // Whose parameters are the payload has them as its own where it is written down.
        for (i, text) in texts.iter_mut().enumerate().filter(|(_, text)| text.takes_payload) {
            text.params = self.contents.params(i as u32).cloned().unwrap_or_default();
            text.takes_payload = false;
        }
        (Plan { steps }, texts)
    }

    /// All that is known of a failure, for who analyses it.
    pub(super) fn failure_facts(&self) -> Value {
        let path = self.analysis.as_ref().and_then(|a| a.step.clone()).unwrap_or_default();
        let error = self.contents.errors.get(&format!("step:{path}")).cloned().unwrap_or_default();
        let mut facts = Map::new();
        let mut set = |name: &str, value: Value| drop(facts.insert(name.into(), value));
        set("step", json!(path));
        set("error", json!(error));
        set("retries", json!(self.retries));
        set("max_retries", json!(self.facts.max_retries));
        set("healed", json!(self.healed));
        let Some(i) = self.board.find(&path) else { return Value::Object(facts) };
        let (step, cell) = (&self.board.steps[i as usize], self.board.cell(i));
        let text = self.contents.steps().get(i as usize).cloned().unwrap_or_default();
        let names = |found: Vec<u32>| -> Vec<Value> {
            let name = |i: u32| self.board.steps[i as usize].checkpoint.as_deref().unwrap_or_default().to_owned();
            found.into_iter().map(|i| json!({"name": name(i), "step": self.board.steps[i as usize].path})).collect()
        };
        let failures: Map<String, Value> = cell.by_class.iter().map(|(c, n)| (c.word().into(), json!(n))).collect();
        set("id", json!(step.key));
        set("action", json!(step.action));
        set("capabilities", json!(step.capabilities));
        set("class", json!(cell.trouble.unwrap_or_default()));
        set("attempt", json!(cell.attempt));
        set("failures", Value::Object(failures));
        set("retry_after_ms", json!(cell.retry_after_ms));
        set("timeout_ms", json!(step.timeout_ms));
        set("resources", Value::Object(self.resources(&text)));
        set("alternatives", json!(text.alternatives));
        set("checkpoints", json!(names(self.board.checkpoints_before(i))));
        if self.board.size() <= PLAN_TOLD_MAX {
            set("plan", serde_json::to_value(self.plan_spec()).expect("a plan is plain data"));
        }
        Value::Object(facts)
    }

    /// What a step may use: what there is to the task, what the task may, the step's own numbers, and above all what was allocated since.
    pub(super) fn resources(&self, text: &StepText) -> Map<String, Value> {
        let binding = self.facts.allocation.as_ref().filter(|given| !given.advice);
        let sizes = binding.into_iter().flat_map(|given| given.sizes()).filter(|(_, size)| *size > 0);
        let mut all: Map<String, Value> = sizes.map(|(name, size)| (name.to_owned(), json!(size))).collect();
        all.extend(self.contents.text.resource_limits.clone());
        all.extend(text.resources.clone());
        all.extend(self.contents.allocated.clone());
        all
    }
}

/// Whether going back may be the answer to an escalation: not where votes, a plan or what has to be undone first are what is missing.
fn may_go_back(reason: EscalationReason) -> bool {
    match reason {
        EscalationReason::RetriesSpent
        | EscalationReason::HumanIntervention
        | EscalationReason::HealingSpent
        | EscalationReason::Requested => true,
        EscalationReason::ReviewUndecided
        | EscalationReason::NoPlan
        | EscalationReason::CompensationFailed
        | EscalationReason::Constitution => false,
    }
}

/// Words that are kept before an event changes what they are about.
impl Task {
    pub(super) fn keep_words_before(&mut self, event: &Event, private: Option<&Private>) {
        match event {
            Event::RolledBack { compensations, .. } => {
                for path in compensations {
                    let Some(i) = self.board.find(path) else { continue };
                    let name = self.step_name(i);
                    let output = self.contents.outputs.get(&name).cloned();
                    let params = self.contents.steps().get(i as usize).map(|t| t.undo_params.clone()).unwrap_or_default();
                    self.contents.undone.insert(path.clone(), Undone { name, params, output });
                }
            }
            Event::Planned(planned) if self.planned => self.note_difference(planned, private),
            _ => {}
        }
    }

    /// How a new plan differs from the one before it.
    fn note_difference(&mut self, planned: &Planned, private: Option<&Private>) {
        let (plan, texts) = self.plan_laid();
        let new: &[StepText] = if let Some(Private::Plan(texts)) = private { texts } else { &[] };
        // Without its words, which were erased, a plan is compared by its structure alone.
        let old = if new.is_empty() { Vec::new() } else { texts };
        let kept = Board::new(planned.plan.clone(), Some(&self.board));
        let finished = (0..planned.plan.steps.len() as u32).filter(|i| kept.cell(*i).status == StepStatus::Completed);
        let finished = finished.filter(|i| !kept.is_group(*i)).map(|i| planned.plan.steps[i as usize].path.to_string()).collect();
        let found = Difference {
            from: self.plan_version,
            to: planned.plan_version,
            by: planned.work.as_ref().map(ToString::to_string),
            ..difference((&plan, &old), (&planned.plan, new)).keeping(finished)
        };
        self.contents.differences.push_back(found);
        while self.contents.differences.len() > KEPT_MAX {
            self.contents.differences.pop_front();
        }
    }
}
