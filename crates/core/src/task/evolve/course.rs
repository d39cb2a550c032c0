//! The course a task takes: its plan and new plans, what is asked of the council, tries and tries again, escalations, overrides.

use crate::board::{Board, Offer};
use crate::event::{EscalationReason, OverrideWord, Planned};
use crate::plan::{Does, Plan};
use crate::review::Question;
use crate::spec::ExecutionMode;
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
        self.acceptance_owed = planned.acceptance_owed;
        self.facts.confidence = planned.confidence;
        // The runs to come of a recurring task follow its last plan, unless each is to be planned anew.
        if self.facts.plan.is_some() {
            self.facts.plan = Some(planned.plan.clone());
        }
        self.stalled = false;
        if self.escalated == Some(EscalationReason::NoPlan) {
            self.escalated = None;
        }
        self.ask_again();
        self.queue_steps(at);
    }

    /// Lays out a plan. What an earlier one finished stays finished, and a task that stands for a step goes on where the new plan
    /// has the same step at the same place; other such tasks are let go.
    pub(super) fn lay_plan(&mut self, plan: Plan, version: u32, at: Time) {
        let earlier = self.planned.then(|| std::mem::take(&mut self.board));
        self.board = Board::new(plan, earlier.as_ref());
        if let Some(agent) = self.facts.agent {
            self.board.hand_over(None, agent);
        }
        if let Some(old) = &earlier {
            self.listeners.clear();
            self.listening.clear();
            for i in 0..old.steps.len() as u32 {
                self.clear_attempt_timers(i);
                self.soft.clear(Timer::StepWait(i));
                self.soft.clear(Timer::Gate(i));
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
        if self.analysis.as_ref().is_some_and(|side| side.lease.is_none()) {
            self.board.put_offer("analyse", Offer::Analysis);
        }
        self.planned = true;
        self.plan_version = version;
    }

    pub(super) fn queue_steps(&mut self, at: Time) {
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
    }

    pub(super) fn close_analysis(&mut self) {
        self.analysis = None;
        self.board.drop_offer("analyse", Offer::Analysis);
        self.soft.clear(Timer::Analysis);
    }

    /// What follows from a failure of the task is, where it came in time, the word of who analysed it.
    pub(super) fn note_advice(&mut self, at: Time) {
        let in_time = self.soft.get(Timer::Analysis).is_some_and(|limit| at < limit);
        if let Some(lease) = self.analysis.as_ref().and_then(|side| side.lease.as_ref()).filter(|_| in_time) {
            let attempt = lease.attempt;
            self.note_answer(&WorkKey::Analysis, attempt);
        }
    }

    /// Failed steps, and those that were rolled back, are offered anew.
    pub(super) fn try_again(&mut self, at: Time) {
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
        self.board.roll_back(&back);
    }

    pub(super) fn stop_retrying(&mut self) {
        self.retrying = false;
        self.soft.clear(Timer::TaskRetry);
        self.close_analysis();
    }

    /// What the council was last asked.
    pub(super) fn asked_last(&self) -> Option<Question> {
        self.reviews.last().map(|r| r.question)
    }

    /// What was approved, or is being voted on, is no longer what would be done: the council is asked again.
    pub(super) fn ask_again(&mut self) {
        self.result_accepted = false;
        self.review_owed |= self.facts.review_owed;
        self.review = None;
        self.firm.clear(Timer::Review);
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
                let asked = self.review.take().map(|r| r.question).or_else(|| self.asked_last().filter(|_| undecided));
                self.result_accepted |= asked == Some(Question::Result);
                self.review_owed = false;
                self.review_followed = true;
                self.firm.clear(Timer::Review);
                if undecided || self.escalated == Some(EscalationReason::Requested) {
                    self.escalated = None;
                }
            }
            (OverrideWord::RetryStep, Some(path)) => self.with_step(path, |task, i| {
                task.soft.clear(Timer::StepRetry(i));
                task.board.revive(i);
                task.queue_steps(at);
                task.nothing_in_the_way();
            }),
            // These are followed by the event that says what became of step or task.
            (
                OverrideWord::Complete
                | OverrideWord::Fail
                | OverrideWord::PassGate
                | OverrideWord::SkipStep
                | OverrideWord::RetryStep,
                _,
            ) => {}
        }
    }

    /// A step that was in the way is dealt with; where it was the last one the task goes on.
    pub(super) fn nothing_in_the_way(&mut self) {
        if !self.board.failed.is_empty() || !self.board.rolled_back.is_empty() {
            return;
        }
        let about_steps = matches!(self.escalated, Some(EscalationReason::RetriesSpent | EscalationReason::HumanIntervention));
        if about_steps {
            self.escalated = None;
        }
        self.stop_retrying();
    }
}
