//! What has happened: the only place where the state changes. Cannot fail, sees no clock, no policy and nothing private, so old
//! histories replay alike.

mod course;
mod undo;
mod work;

use super::{End, Hold, Review, Side, Task};
use crate::board::Offer;
use crate::event::{AfterFailure, EndReason, EscalationReason, Event, Letter, SkipReason, Submitted};
use crate::planted::{self, Fault};
use crate::review::Question;
use crate::spec::ErrorClass;
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::Time;
use crate::timers::Timer;

impl Task {
    pub(super) fn evolve(&mut self, event: &Event, at: Time) {
        match event {
            Event::Submitted(facts) => self.born(facts, at),
            Event::Released => self.release(at),
            Event::RunMissed { due_at } => self.postpone(*due_at, at),
            Event::Planned(planned) => self.planned_anew(planned, at),
            Event::PlanAccepted => self.acceptance_owed = false,
            Event::PlanRequested { limit_at } => {
                self.plan_work = Some(Side::default());
                self.board.put_offer("plan", Offer::Plan);
                self.soft.set(Timer::Plan, *limit_at);
            }

            Event::Assigned(assigned) => self.assigned(assigned, at),
            Event::Started { work, timeout_at, .. } => self.started(work, *timeout_at, at),
            Event::AttemptSucceeded(done) => {
                self.note_unguarded(&done.work, done.attempt, &done.unguarded);
                self.settle_work(&done.work, done.used);
                self.succeeded(&done.work, done.attempt, at);
            }
            Event::AttemptFailed(failed) => {
                self.note_unguarded(&failed.work, failed.attempt, &failed.unguarded);
                self.settle_work(&failed.work, failed.used);
                self.attempt_failed(failed, at);
            }
            Event::BudgetCrossed(crossed) => self.budget_crossed(crossed, at),
            Event::ModelChanged(changed) => self.model_changed(changed),
            Event::QuestionRaised(told) => self.question_raised(told),
            Event::StepFailed { step, class } => self.with_step(step, |task, i| {
                task.stop_waiting(i);
                let cell = task.board.cell_mut(i);
                (cell.trouble, cell.troubled_at, cell.retry_after_ms) = (Some(*class), Some(at), None);
                task.fail_step(i, at);
            }),
            Event::StepSkipped { step, reason } => self.with_step(step, |task, i| {
                for part in task.board.with_parts(i) {
                    task.leave_out(part);
                }
                if *reason != SkipReason::ConditionFalse {
                    task.gaps.insert(step.clone());
                }
                task.board.cell_mut(i).overruled = *reason == SkipReason::Overridden;
                task.board.end(i, StepStatus::Skipped, at);
                task.queue_steps(at);
                if *reason == SkipReason::Overridden {
                    task.nothing_in_the_way();
                }
            }),
            Event::ConditionMet { step } => self.with_step(step, |task, i| {
                task.board.cell_mut(i).condition_met = true;
                if !task.board.is_unsettled(i) {
                    task.board.begin(i);
                    task.queue_steps(at);
                }
            }),
            Event::Reoffered { side: Some(work), .. } => self.offer_side(work),
            Event::Reoffered { undo: true, .. } => self.offer_undo(at),
            Event::Reoffered { step, undo: false, side: None } => self.with_step(step, |task, i| {
                task.soft.clear(Timer::StepRetry(i));
                task.board.offer(i);
                task.queue_steps(at);
            }),
            Event::Expanded { step, count } => self.with_step(step, |task, i| {
                task.board.expand(i, *count, at);
                task.queue_steps(at);
            }),
            Event::WaitStarted { step, until, signal } => self.with_step(step, |task, i| {
                task.begun(at);
                task.board.run(i, at);
                if let Some(until) = until {
                    task.soft.set(Timer::StepWait(i), *until);
                }
                if let Some(signal) = signal {
                    task.listeners.entry(signal.clone()).or_default().insert(i);
                    task.listening.insert(i, signal.clone());
                }
            }),
            Event::WaitEnded { step, signal } => self.with_step(step, |task, i| {
                task.stop_waiting(i);
                if let Some(signal) = signal
                    && let Some(count) = task.signals.get_mut(signal)
                {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        task.signals.remove(signal);
                    }
                }
                task.board.end(i, StepStatus::Completed, at);
                task.queue_steps(at);
            }),
            Event::ChildBorn { step, child, lent } => self.with_step(step, |task, i| {
                task.lent(*child, *lent);
                task.begun(at);
                task.board.run(i, at);
                *task.births.entry(step.clone()).or_default() += 1;
                task.spawned.insert(i, *child);
            }),
            Event::StepBlocked { step, reason, reassign_at, .. } => self.with_step(step, |task, i| {
                if let Some(by) = reassign_at {
                    task.offline.insert(i);
                    task.soft.set(Timer::Reassign(i), *by);
                }
                task.board.cell_mut(i).troubled_at = Some(at);
                // Whether its agent said so itself, or fell silent.
                task.board.cell_mut(i).reported = (*reason == BlockReason::External).then_some(false);
                if *reason == BlockReason::AgentOffline {
                    task.session_lost(i);
                }
                task.board.release(i);
                task.clear_attempt_timers(i);
                task.board.block(i, *reason);
                task.unsettled_effects(step);
            }),
            Event::Unblocked => {
                // Where an effect is unknown only a word about it helps.
                let freed: Vec<u32> =
                    self.board.blocked.iter().filter(|(_, why)| **why != BlockReason::HumanReview).map(|(i, _)| *i).collect();
                for i in freed {
                    self.board.unblock(i);
                }
                self.queue_steps(at);
            }

            Event::ApprovalAsked(asked) => self.approval_asked(asked, at),
            Event::ApprovalAnswered { step, digest, args_digest, answer, self_decided } => {
                self.approval_answered(step, (digest, args_digest), *answer, *self_decided, at);
            }
            Event::ParamsChanged { findings, .. } => self.doubt(findings),
            Event::JudgedAnew(anew) => self.was_judged_anew(anew),
            Event::ResultJudged { step, confirm, .. } => self.with_step(step, |task, i| {
                if *confirm {
                    task.board.steps[i as usize].confirm_by_person();
                }
            }),

            Event::GateOpened { step, gate, limit_at } => self.with_step(step, |task, i| {
                task.open_gate(i, *gate, *limit_at);
                task.gate_asks(i, at);
            }),
            Event::GateJudged(judged) => self.gate_judged(judged, at),

            Event::ReviewOpened(opened) => {
                // A vote on a proposal is not the review that is owed.
                self.review_owed &= opened.question == Question::Escalation;
                self.firm.set(Timer::Review, opened.deadline);
                self.review = Some(Review::opened(opened, &self.facts.rulings));
            }
            Event::VoteCast { judge, vote, confidence, marks, .. } => self.vote_cast(judge, *vote, *confidence, marks),
            Event::ReviewDecided { review, verdict, tally, self_decided } => {
                self.firm.clear(Timer::Review);
                self.review_decided(*review, *verdict, *tally, *self_decided);
            }

            Event::TaskAttemptFailed { step, then, .. } => {
                self.retrying = matches!(then, AfterFailure::Retry { .. } | AfterFailure::Analyse { .. });
                self.note_advice(at);
                self.close_analysis();
                match then {
                    AfterFailure::Retry { at } => self.soft.set(Timer::TaskRetry, *at),
                    AfterFailure::Analyse { limit_at } => {
                        self.analysis = Some(Side { step: Some(step.clone()), ..Side::default() });
                        self.board.put_offer("analyse", Offer::Analysis);
                        self.soft.set(Timer::Analysis, *limit_at);
                    }
                    AfterFailure::Escalate | AfterFailure::Fail => {}
                }
            }
            Event::RolledBack { steps, compensations, wait_ms, by_person, .. } => {
                if *by_person {
                    // Neither the wait for the next try nor a word of who analyses the failure counts any more.
                    self.stop_retrying();
                    self.undoing.by_person = true;
                } else {
                    self.healed.rollbacks += 1;
                }
                self.undo_all(compensations, *wait_ms, at);
                self.rolled_back(steps);
            }
            Event::Retried { retries } => {
                self.note_advice(at);
                self.retries = *retries;
                self.healed.times += u32::from(!std::mem::take(&mut self.undoing.by_person));
                self.try_again(at);
            }
            Event::Escalated { reason, priority, limit_at } => {
                self.escalated = Some(*reason);
                match limit_at {
                    Some(by) => self.firm.set(Timer::Escalation, *by),
                    None => self.firm.clear(Timer::Escalation),
                }
                match reason {
                    EscalationReason::ReviewUndecided => self.review_followed = true,
                    EscalationReason::RetriesSpent | EscalationReason::HumanIntervention | EscalationReason::HealingSpent => {
                        self.note_advice(at);
                        self.stop_retrying();
                    }
                    EscalationReason::CompensationFailed => self.undo_stopped(),
                    EscalationReason::Constitution => self.outlawed = false,
                    EscalationReason::Requested | EscalationReason::NoPlan => {}
                }
                if let Some(priority) = priority {
                    self.facts.priority = *priority;
                }
            }
            Event::EscalationDecided { decision, by, allocation, ends } => {
                self.allocate(allocation);
                self.escalation_decided(*decision, *by, *ends, at);
            }

            Event::Paused { stop_running } => self.paused = Some(Hold { stop_running: *stop_running }),
            Event::Resumed => {
                self.paused = None;
                if planted::is(Fault::HoldForgotten) {
                    self.settle_escalation();
                }
            }
            Event::CancelRequested { force_at } => {
                self.cancelling = true;
                self.firm.set(Timer::CancelForce, *force_at);
            }
            Event::Modified(change) => {
                self.request_version = change.request_version;
                if let Some(priority) = change.priority {
                    self.facts.priority = priority;
                }
                if let Some(mode) = change.mode {
                    self.change_mode(mode);
                }
                if let Some(autonomy) = change.autonomy {
                    self.facts.autonomy = autonomy;
                }
                if let Some(agent) = change.agent {
                    let before = self.facts.agent.replace(agent);
                    self.board.hand_over(before, Some(agent));
                }
                self.allocate(&change.allocation);
                if let Some(terms) = &change.budget {
                    self.budget_is(terms);
                }
                self.doubt(&change.findings);
                if change.text {
                    self.ask_again();
                }
                let models = !change.allocation.models_by_type.is_empty();
                if change.text || models || change.mode.is_some() || change.priority.is_some() {
                    self.unjudge();
                }
                if let Some(deadline) = change.deadline {
                    self.facts.deadline = Some(deadline);
                    self.firm.set(Timer::Deadline, deadline);
                }
                if change.due_at.is_some() || change.release_at.is_some() {
                    self.facts.due_at = change.due_at.or(self.facts.due_at);
                    self.facts.release_at = change.release_at;
                    self.await_release(at);
                }
            }
            Event::Overridden { decision, step } => self.overridden(*decision, step.as_deref(), at),
            Event::Guided => {}
            Event::SignalReceived { name } => {
                let count = self.signals.entry(name.clone()).or_default();
                *count = (*count + 1).min(crate::contents::SIGNALS_MAX as u32);
            }
            Event::Stalled => {
                self.stalled = true;
                self.stall_at = None;
            }
            Event::StallPutOff => self.stall_at = None,
            Event::StallNoted => {
                self.stall_told = true;
                self.stall_at = None;
            }
            Event::StallEscalated { task } => {
                self.stall_told = true;
                self.stall_at = None;
                self.investigation = Some(*task);
            }
            Event::Unstalled => self.stalled = false,
            Event::SessionEnded => self.board.keep_session(None),
            Event::Reassigned(what) => self.reassigned(what, at),

            Event::EffectGranted(granted) => self.effect_granted(granted),
            Event::EffectSettled { effect, outcome } => self.effect_settled(*effect, *outcome, at),

            Event::MailTaken { letters } => letters.iter().for_each(|letter| self.letter(letter, at)),

            Event::Completed { gaps } => {
                self.gaps.extend(gaps.iter().cloned());
                self.ended(Status::Completed, None, false, at);
            }
            Event::Failed { reason, recoverable } => self.ended(Status::Failed, Some(*reason), *recoverable, at),
            Event::Cancelled { reason } => self.ended(Status::Cancelled, Some(*reason), true, at),
            Event::Stopped { reason } => {
                if *reason == EndReason::Aborted {
                    self.note_advice(at);
                }
                self.ended(Status::Stopped, Some(*reason), false, at);
            }

            Event::LateReportKept { .. } => self.late += 1,
            Event::Archived => self.archived = true,
            Event::Erased => self.erased = true,
            Event::ReviewNoted => {}
        }
    }

    fn born(&mut self, facts: &Submitted, at: Time) {
        (*self.facts).clone_from(facts);
        self.born_at = Some(at);
        self.healed = facts.healed;
        self.purse = facts.budget.as_ref().map(|_| Box::default());
        self.acceptance_owed = facts.acceptance_owed;
        self.review_owed = facts.review_owed && !planted::is(Fault::ReviewSkipped);
        self.dependencies = facts.depends_on.iter().copied().collect();
        // A recurring task keeps its plan for the runs to come; the board has its own copy.
        let plan = if facts.recurrence.is_some() { self.facts.plan.clone() } else { self.facts.plan.take() };
        if let Some(plan) = plan {
            self.lay_plan(plan, 1, at);
        }
        if let Some(deadline) = facts.deadline {
            self.firm.set(Timer::Deadline, deadline);
        }
        if facts.released {
            self.release(at);
        } else {
            self.await_release(at);
        }
    }

    fn await_release(&mut self, at: Time) {
        if !self.released && (self.dependencies.is_empty() || planted::is(Fault::DependencyIgnored)) {
            self.soft.set(Timer::Due, self.facts.release_at.or(self.facts.due_at).unwrap_or(at));
        }
    }

    /// A run that came too late waits for its next time; a deadline keeps its distance from it.
    fn postpone(&mut self, due_at: Time, at: Time) {
        let late = self.facts.due_at.map_or(0, |due| due_at.since(due));
        self.facts.due_at = Some(due_at);
        self.facts.release_at = None;
        if let Some(deadline) = self.facts.deadline {
            self.facts.deadline = Some(deadline.plus(late));
            self.firm.set(Timer::Deadline, deadline.plus(late));
        }
        self.await_release(at);
    }

    fn release(&mut self, at: Time) {
        self.released = true;
        self.released_at = Some(at);
        self.soft.clear(Timer::Due);
        if let Some(ms) = self.facts.queue_ms {
            self.soft.set(Timer::Queue, at.plus(ms));
        }
        self.queue_steps(at);
    }

    fn letter(&mut self, letter: &Letter, at: Time) {
        match letter {
            Letter::ChildJoined { .. } if planted::is(Fault::ChildrenForgotten) => {}
            Letter::ChildJoined { child } => {
                self.children.insert(*child);
            }
            Letter::ChildEnded { child, step, status, used } => {
                self.children.remove(child);
                self.child_used(*child, *used);
                let done = *status == Status::Completed;
                match step {
                    Some(step) => self.with_step(step, |task, i| {
                        // A task that stands for nothing any more was told to end, and is no loss.
                        if task.spawned.get(&i) == Some(child) {
                            task.stop_waiting(i);
                            if done {
                                task.board.note_done(i);
                                task.board.end(i, StepStatus::Completed, at)
                            } else {
                                let cell = task.board.cell_mut(i);
                                (cell.trouble, cell.troubled_at) = (Some(ErrorClass::Other), Some(at));
                                task.fail_step(i, at)
                            }
                            task.queue_steps(at);
                        }
                    }),
                    None if !done => {
                        self.lost_children.insert(*child);
                    }
                    None => {}
                }
            }
            Letter::DependentJoined { dependent } => {
                self.dependents.insert(*dependent);
            }
            Letter::DependencyEnded { dependency, status } => {
                self.failed_dependency |= *status != Status::Completed && self.dependencies.contains(dependency);
                if self.dependencies.remove(dependency) {
                    self.await_release(at);
                }
            }
            Letter::ParentEnded { .. } => self.called_off = Some(EndReason::ParentEnded),
            Letter::GoesOn { task } if self.facts.related == Some(*task) => {
                self.called_off = self.called_off.or(Some(EndReason::Settled));
            }
            Letter::GoesOn { .. } => {}
            Letter::Replaced { .. } => self.called_off = self.called_off.or(Some(EndReason::Replaced)),
        }
    }

    fn ended(&mut self, status: Status, reason: Option<EndReason>, recoverable: bool, at: Time) {
        self.end = Some(End { status, reason, recoverable, at });
        self.stall_at = None;
        self.offline.clear();
        self.board.cancel_rest(at);
        self.firm = Default::default();
        self.soft = Default::default();
        self.plan_work = None;
        self.analysis = None;
        self.paused = None;
        self.escalated = None;
        self.council_says = None;
        self.undoing.lease = None;
        self.retrying = false;
        self.review = None;
        self.review_owed = false;
        self.outlawed = false;
        self.model_failed.clear();
        self.dangling.clear();
        self.listeners.clear();
        self.listening.clear();
    }

    pub(super) fn with_step(&mut self, path: &str, act: impl FnOnce(&mut Self, u32)) {
        if let Some(i) = self.board.find(path) {
            act(self, i);
        }
    }
}
