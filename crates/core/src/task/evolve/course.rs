//! The course a task takes: its plan and new plans, what is asked of the council, tries and tries again, escalations, overrides.

use crate::board::{Board, Offer};
use crate::constitution::Ruling;
use crate::event::{Allocation, CheckResult, DecidedBy, DecisionWord, EscalationReason, Finding, Healed, OverrideWord, Planned};
use crate::plan::{Does, Plan};
use crate::planted::{self, Fault};
use crate::review::Question;
use crate::spec::{ExecutionMode, Risk};
use crate::status::StepStatus;
use crate::task::Task;
use crate::time::Time;
use crate::timers::Timer;
use crate::work::WorkKey;
use std::collections::BTreeSet;

impl Task {
    pub(super) fn planned_anew(&mut self, planned: &Planned, at: Time) {
        if planned.work == Some(WorkKey::Plan)
            && let Some(lease) = self.plan_work.as_ref().and_then(|side| side.lease.as_ref())
        {
            let attempt = lease.attempt;
            self.note_answer(&WorkKey::Plan, attempt);
        }
        self.close_plan_work();
        self.lay_plan(planned.plan.clone(), planned.plan_version, at);
        self.healed.plans += u32::from(planned.work == Some(WorkKey::Analysis));
        self.acceptance_owed = planned.acceptance_owed;
        self.doubts = planned.findings.clone();
        let wants = planned.rulings.iter().filter(|said| said.ruling == Ruling::Escalate);
        self.doubts.extend(wants.map(|said| Finding {
            check: format!("constitution {}", said.rule).into(),
            result: CheckResult::RequiresReview,
            reason: said.message.clone(),
        }));
        self.facts.confidence = planned.confidence;
        if planned.models.is_some() {
            self.facts.models.clone_from(&planned.models);
        }
        if planned.allocation.is_some() {
            self.facts.allocation.clone_from(&planned.allocation);
        }
        // The runs to come of a recurring task follow its last plan, unless each is to be planned anew.
        if self.facts.plan.is_some() {
            self.facts.plan = Some(planned.plan.clone());
        }
        self.stalled = false;
        for said in &planned.rulings {
            // What a rule sees in a later plan counts as what it sees in the first.
            if planned.risk > Risk::Low {
                self.risk_seen(said);
            }
            if !self.facts.rulings.contains(said) {
                self.facts.rulings.push(said.clone());
            }
        }
        self.facts.review_owed |= planned.review_owed && !planted::is(Fault::ReviewSkipped);
        if self.escalated == Some(EscalationReason::Constitution) {
            self.unjudge();
        }
        if matches!(self.escalated, Some(EscalationReason::NoPlan | EscalationReason::Constitution)) {
            self.settle_escalation();
        }
        self.ask_again();
        self.queue_steps(at);
    }

    /// Lays out a plan. What an earlier one finished stays finished, and a task that stands for a step goes on where the new plan
    /// has the same step at the same place; other such tasks are let go.
    pub(super) fn lay_plan(&mut self, plan: Plan, version: u32, at: Time) {
        let earlier = self.planned.then(|| std::mem::take(&mut self.board));
        self.model_failed.clear();
        self.replan_budget();
        self.board = Board::new(plan, earlier.as_ref());
        if let Some(agent) = self.facts.agent {
            self.board.hand_over(None, Some(agent));
        }
        self.board.allocate(&self.allocation);
        self.bind_conditions();
        self.board.keep_session(earlier.as_ref().and_then(Board::session));
        if let Some(old) = &earlier {
            self.listeners.clear();
            self.listening.clear();
            self.offline.clear();
            for i in 0..old.steps.len() as u32 {
                self.clear_attempt_timers(i);
                self.soft.clear(Timer::StepWait(i));
                self.soft.clear(Timer::Approval(i));
                self.soft.clear(Timer::Gate(i));
                self.soft.clear(Timer::GateRetry(i));
                self.soft.clear(Timer::Reassign(i));
                if !old.has_ended(i) {
                    self.unsettled_effects(&old.steps[i as usize].path);
                }
            }
            for (i, child) in std::mem::take(&mut self.spawned) {
                let was = &old.steps[i as usize];
                let same = |j: &u32| {
                    let step = &self.board.steps[*j as usize];
                    step.path == was.path && step.does() == Does::Task && !self.board.has_ended(*j)
                };
                match self.board.find(&was.path).filter(same) {
                    Some(j) => {
                        self.board.run(j, old.cell(i).started_at.unwrap_or(at));
                        self.spawned.insert(j, child);
                    }
                    None => self.let_go(child),
                }
            }
        }
        let waits = self.soft.get(Timer::AnalysisRetry).is_some();
        if self.analysis.as_ref().is_some_and(|side| side.lease.is_none()) && !waits {
            self.board.put_offer("analyse", Offer::Analysis);
        }
        self.put_undo_back();
        self.planned = true;
        self.plan_version = version;
    }

    pub(in crate::task) fn queue_steps(&mut self, at: Time) {
        if !self.released || !self.board.has_queue_limits() {
            return;
        }
        for i in self.board.unqueued() {
            if let Some(ms) = self.board.steps[i as usize].queue_ms
                && self.board.cell(i).status == StepStatus::Ready
            {
                self.soft.set(Timer::StepQueue(i), at.plus(ms));
            }
        }
    }

    pub(super) fn close_plan_work(&mut self) {
        self.plan_work = None;
        self.board.drop_offer("plan", Offer::Plan);
        self.soft.clear(Timer::Plan);
        self.soft.clear(Timer::PlanRetry);
    }

    pub(super) fn close_analysis(&mut self) {
        self.analysis = None;
        self.board.drop_offer("analyse", Offer::Analysis);
        self.soft.clear(Timer::Analysis);
        self.soft.clear(Timer::AnalysisRetry);
    }

    /// What follows from a failure of the task is, where it came in time, the word of who analysed it.
    pub(super) fn note_advice(&mut self, at: Time) {
        let in_time = self.soft.get(Timer::Analysis).is_some_and(|limit| at < limit);
        if let Some(lease) = self.analysis.as_ref().and_then(|side| side.lease.as_ref()).filter(|_| in_time) {
            let attempt = lease.attempt;
            self.note_answer(&WorkKey::Analysis, attempt);
        }
    }

    /// Failed steps, and those that were rolled back, are offered anew; what has to be undone first is undone first.
    pub(super) fn try_again(&mut self, at: Time) {
        if !planted::is(Fault::CompensationNotAwaited) && self.go_on_undoing(at) {
            return;
        }
        self.stop_retrying();
        self.board.revive_failed();
        for i in self.board.start_over() {
            let path = self.board.steps[i as usize].path.clone();
            self.unsettled_effects(&path);
        }
        self.queue_steps(at);
    }

    /// What was done is undone: nobody works on it any more, and it is no gap. A task that stands for such a step is let go, and another
    /// is born when its turn comes again.
    pub(super) fn rolled_back(&mut self, paths: &[Box<str>]) {
        let back: BTreeSet<u32> = paths.iter().filter_map(|path| self.board.find(path)).collect();
        for i in &back {
            self.leave_out(*i);
            self.gaps.remove(&self.board.steps[*i as usize].path);
        }
        // What is done again is asked about again, parts of lists too.
        let again = |path: &str| {
            paths.iter().any(|back| path.strip_prefix(&**back).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        self.approvals.retain(|path, _| !again(path));
        self.board.roll_back(&back);
    }

    pub(super) fn stop_retrying(&mut self) {
        self.retrying = false;
        self.soft.clear(Timer::TaskRetry);
        self.close_analysis();
    }

    /// What the council was last asked about the task itself.
    pub(super) fn asked_last(&self) -> Option<Question> {
        self.reviews.iter().rev().map(|r| r.question).find(|q| *q != Question::Escalation)
    }

    /// No decision is owed any more; a proposal to the council is void.
    pub(super) fn settle_escalation(&mut self) {
        self.escalated = None;
        self.council_says = None;
        self.firm.clear(Timer::Escalation);
        if self.review.as_ref().is_some_and(|r| r.question == Question::Escalation) {
            self.review = None;
            self.firm.clear(Timer::Review);
        }
    }

    /// The decision on an escalation. A person or the council looked at it: from now on everything is counted anew.
    pub(super) fn escalation_decided(&mut self, decision: DecisionWord, by: DecidedBy, ends: bool, at: Time) {
        let undecided = self.escalated == Some(EscalationReason::ReviewUndecided);
        if ends {
            self.liquidated = true;
            return;
        }
        self.settle_escalation();
        if decision == DecisionWord::Liquidate {
            self.liquidated = true;
            return;
        }
        self.retries = 0;
        self.house_gave = by == DecidedBy::Policy;
        if !self.house_gave {
            self.healed = Healed::default();
        }
        // A review that could not decide is asked again; a new scope is a new question.
        self.review_owed |= undecided && self.asked_last() == Some(Question::Admission);
        if decision == DecisionWord::ModifyScope {
            self.unjudge();
            self.ask_again();
        }
        if !self.planned {
            self.close_plan_work();
        }
        self.try_again(at);
    }

    /// What its work needs is more, or another model, from now on: who cannot give that is not asked.
    pub(super) fn allocate(&mut self, more: &Allocation) {
        if !more.is_empty() {
            self.allocation.add(more);
            self.board.allocate(&self.allocation);
        }
    }

    /// What was approved, or is being voted on, is no longer what would be done: the council is asked again.
    pub(in crate::task) fn ask_again(&mut self) {
        self.result_accepted = false;
        self.review_owed |= self.facts.review_owed;
        self.review = None;
        self.firm.clear(Timer::Review);
    }

    /// Words that came later and that somebody should look at: the task is reviewed before it goes on.
    pub(super) fn doubt(&mut self, findings: &[Finding]) {
        if crate::validation::doubtful(findings) {
            self.facts.review_owed = true;
            self.ask_again();
        }
        self.facts.findings.extend(findings.iter().cloned());
    }

    /// A task that becomes STRICT is reviewed before it goes on, and a person confirms each step that has not ended.
    pub(super) fn change_mode(&mut self, mode: ExecutionMode) {
        if mode == ExecutionMode::Strict && self.facts.mode != mode {
            self.facts.review_owed = true;
            self.ask_again();
            for i in 0..self.board.steps.len() as u32 {
                if !self.board.has_ended(i) {
                    self.board.steps[i as usize].confirm_by_person();
                }
            }
        }
        self.facts.mode = mode;
    }

    pub(super) fn overridden(&mut self, decision: OverrideWord, step: Option<&str>, at: Time) {
        match (decision, step) {
            (OverrideWord::Approve, _) => {
                let undecided = self.escalated == Some(EscalationReason::ReviewUndecided);
                let open = self.review.take_if(|r| r.question != Question::Escalation);
                let asked = open.map(|r| r.question).or_else(|| self.asked_last().filter(|_| undecided));
                self.result_accepted |= asked == Some(Question::Result);
                self.review_owed = false;
                self.review_followed = true;
                if self.review.is_none() {
                    self.firm.clear(Timer::Review);
                }
                if undecided || matches!(self.escalated, Some(EscalationReason::Requested | EscalationReason::Constitution)) {
                    self.settle_escalation();
                }
            }
            (OverrideWord::RetryStep, Some(path)) if self.undo_stuck(path).is_some() => {
                self.settle_stuck();
                self.undoing.allowed = true;
                self.go_on_undoing(at);
            }
            (OverrideWord::Compensated, Some(path)) => {
                self.settle_stuck();
                self.undone(path, at);
            }
            (OverrideWord::RetryStep, Some(path)) => self.with_step(path, |task, i| {
                task.soft.clear(Timer::StepRetry(i));
                // A no counts until somebody wants it tried again.
                let path = &task.board.steps[i as usize].path;
                task.approvals.remove(path);
                task.board.revive(i);
                task.queue_steps(at);
                task.nothing_in_the_way();
            }),
            (OverrideWord::Rollback, _) => {
                self.settle_escalation();
                self.retries = 0;
                self.healed = Healed::default();
                self.try_again(at);
                // What is undone first leads to a try of its own.
                self.undoing.by_person &= !self.undoing.left.is_empty();
            }
            // These are followed by the event that says what became of step or task.
            (
                OverrideWord::Complete
                | OverrideWord::Fail
                | OverrideWord::PassGate
                | OverrideWord::SkipStep
                | OverrideWord::RetryStep
                | OverrideWord::Compensated,
                _,
            ) => {}
        }
    }

    /// A step that was in the way is dealt with; where it was the last one the task goes on.
    pub(super) fn nothing_in_the_way(&mut self) {
        if !self.board.failed.is_empty() || !self.board.rolled_back.is_empty() || !self.undoing.left.is_empty() {
            return;
        }
        let about_steps = matches!(
            self.escalated,
            Some(EscalationReason::RetriesSpent | EscalationReason::HumanIntervention | EscalationReason::HealingSpent)
        );
        if about_steps {
            self.settle_escalation();
        }
        self.stop_retrying();
    }

    /// Somebody took care of what could not be undone.
    fn settle_stuck(&mut self) {
        if self.escalated == Some(EscalationReason::CompensationFailed) {
            self.settle_escalation();
        }
    }
}
