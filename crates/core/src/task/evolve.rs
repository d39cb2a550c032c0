//! What has happened: the only place where the state changes. Cannot fail, sees no clock, no policy and nothing private, so old
//! histories replay alike.

use super::{Effect, End, Hold, Review, Reviewed, Side, Task};
use crate::board::{Board, Lease, Offer, OpenGate};
use crate::event::{
    AfterFailure, Assigned, DecisionWord, EndReason, Event, Failed, GateJudged, Letter, OverrideWord, SkipReason, Submitted,
};
use crate::review::{Question, Verdict};
use crate::spec::{GateKind, OnUnknown};
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::Time;
use crate::timers::Timer;
use crate::work::{EffectOutcome, WorkKey};

impl Task {
    pub(super) fn evolve(&mut self, event: &Event, at: Time) {
        match event {
            Event::Submitted(facts) => self.born(facts, at),
            Event::Released => self.release(at),
            Event::Planned(planned) => {
                self.close_plan_work();
                self.lay_plan(&planned.plan, planned.plan_version);
                self.acceptance_owed = planned.acceptance_owed;
                self.queue_steps(at);
            }
            Event::PlanAccepted => self.acceptance_owed = false,
            Event::PlanRequested { limit_at } => {
                self.plan_work = Some(Side::default());
                self.board.put_offer("plan", Offer::Plan);
                self.soft.set(Timer::Plan, *limit_at);
            }

            Event::Assigned(assigned) => self.assigned(assigned, at),
            Event::Started { work, timeout_at, .. } => self.started(work, *timeout_at, at),
            Event::AttemptSucceeded(done) => self.succeeded(&done.work, at),
            Event::AttemptFailed(failed) => self.attempt_failed(failed, at),
            Event::StepFailed { step, .. } => self.with_step(step, |task, i| {
                task.stop_waiting(i);
                task.fail_step(i, at);
            }),
            Event::StepSkipped { step, reason } => self.with_step(step, |task, i| {
                task.stop_waiting(i);
                task.board.release(i);
                task.clear_attempt_timers(i);
                task.close_gate(i);
                if *reason != SkipReason::ConditionFalse {
                    task.gaps.insert(step.clone());
                }
                task.board.end(i, StepStatus::Skipped, at);
                task.queue_steps(at);
            }),
            Event::ConditionMet { step } => self.with_step(step, |task, i| {
                // What it does may still need settling: a list, a wait, a child.
                task.board.cell_mut(i).condition_met = true;
                let settled = task.board.steps[i as usize].for_each.is_none()
                    && matches!(task.board.steps[i as usize].does(), crate::plan::Does::Group | crate::plan::Does::Work);
                if settled {
                    task.board.begin(i);
                    task.queue_steps(at);
                }
            }),
            Event::Reoffered { step } => self.with_step(step, |task, i| {
                task.soft.clear(Timer::StepRetry(i));
                task.board.offer(i);
                task.queue_steps(at);
            }),
            Event::Expanded { step, count } => self.with_step(step, |task, i| {
                task.board.expand(i, *count, at);
                task.queue_steps(at);
            }),
            Event::WaitStarted { step, until, signal } => self.with_step(step, |task, i| {
                task.begin_pseudo(i, at);
                if let Some(until) = until {
                    task.soft.set(Timer::StepWait(i), *until);
                }
                if let Some(signal) = signal {
                    task.listeners.entry(signal.clone()).or_default().insert(i);
                }
            }),
            Event::WaitEnded { step, signal } => self.with_step(step, |task, i| {
                task.stop_waiting(i);
                if let Some(signal) = signal
                    && let Some(count) = task.signals.get_mut(signal)
                {
                    *count -= 1;
                    if *count == 0 {
                        task.signals.remove(signal);
                    }
                }
                task.board.end(i, StepStatus::Completed, at);
                task.queue_steps(at);
            }),
            Event::ChildBorn { step, child } => self.with_step(step, |task, i| {
                task.begin_pseudo(i, at);
                task.spawned.insert(i, *child);
            }),
            Event::StepBlocked { step, reason, .. } => self.with_step(step, |task, i| {
                task.board.release(i);
                task.clear_attempt_timers(i);
                task.board.block(i, *reason);
                task.unsettled_effects(step);
            }),
            Event::Unblocked => {
                for i in std::mem::take(&mut self.board.blocked).into_keys() {
                    self.board.offer(i);
                    self.queue_steps(at);
                }
            }

            Event::GateOpened { step, gate, limit_at } => self.with_step(step, |task, i| task.open_gate(i, *gate, *limit_at)),
            Event::GateJudged(judged) => self.gate_judged(judged, at),

            Event::ReviewOpened(opened) => {
                self.review_owed = false;
                self.review_followed = false;
                self.firm.set(Timer::Review, opened.deadline);
                self.review = Some(Review { id: opened.review, question: opened.question, ballot: Self::ballot(opened) });
            }
            Event::VoteCast { judge, vote, .. } => {
                if let Some(review) = &mut self.review {
                    review.ballot.votes.insert(judge.clone(), *vote);
                }
            }
            Event::ReviewDecided { review, verdict, tally, self_decided } => {
                self.firm.clear(Timer::Review);
                if let Some(open) = self.review.take() {
                    let passed = matches!(verdict, Verdict::Approved | Verdict::ApprovedWithConditions);
                    self.result_accepted |= passed && open.question == Question::Result;
                    self.reviews.push(Reviewed {
                        id: *review,
                        question: open.question,
                        verdict: *verdict,
                        tally: *tally,
                        self_decided: *self_decided,
                    });
                }
            }

            Event::TaskAttemptFailed { step, then, .. } => {
                self.retrying = matches!(then, AfterFailure::Retry { .. } | AfterFailure::Analyse { .. });
                self.close_analysis();
                match then {
                    AfterFailure::Retry { at } => self.soft.set(Timer::TaskRetry, *at),
                    AfterFailure::Analyse { limit_at } => {
                        self.analysis = Some(Side { lease: None, step: Some(step.clone()) });
                        self.board.put_offer("analyse", Offer::Analysis);
                        self.soft.set(Timer::Analysis, *limit_at);
                    }
                    AfterFailure::Escalate | AfterFailure::Fail => {}
                }
            }
            Event::Retried { retries } => {
                self.retries = *retries;
                self.try_again(at);
            }
            Event::Escalated { reason, priority } => {
                self.escalated = Some(*reason);
                self.review_followed |= *reason == crate::event::EscalationReason::ReviewUndecided;
                self.retrying = false;
                if let Some(priority) = priority {
                    self.facts.priority = *priority;
                }
            }
            Event::EscalationDecided { decision } => {
                let reason = self.escalated.take();
                if *decision != DecisionWord::Liquidate {
                    self.retries = 0;
                    // A review that could not decide is asked again.
                    let undecided = matches!(reason, Some(crate::event::EscalationReason::ReviewUndecided));
                    self.review_owed |= undecided && !self.released;
                    if !self.planned {
                        self.close_plan_work();
                    }
                    self.try_again(at);
                }
            }

            Event::Paused { stop_running } => self.paused = Some(Hold { stop_running: *stop_running }),
            Event::Resumed => self.paused = None,
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
                    self.facts.mode = mode;
                }
                if let Some(deadline) = change.deadline {
                    self.facts.deadline = Some(deadline);
                    self.firm.set(Timer::Deadline, deadline);
                }
                if let Some(due_at) = change.due_at {
                    self.facts.due_at = Some(due_at);
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
                self.soft.clear(Timer::Stall);
            }
            Event::Unstalled => {
                self.stalled = false;
                if let Some(ms) = self.facts.stall_ms {
                    self.soft.set(Timer::Stall, at.plus(ms));
                }
            }

            Event::EffectGranted(granted) => {
                self.dangling.remove(&granted.effect);
                self.effects.insert(
                    granted.effect,
                    Effect {
                        work: granted.work.clone(),
                        attempt: granted.attempt,
                        action: granted.action.clone(),
                        args_digest: granted.args_digest.clone(),
                        outcome: None,
                        on_unknown: granted.on_unknown,
                    },
                );
            }
            Event::EffectSettled { effect, outcome } => {
                self.dangling.remove(effect);
                if let Some(known) = self.effects.get_mut(effect) {
                    known.outcome = Some(*outcome);
                    let (work, ask) = (known.work.clone(), known.on_unknown == OnUnknown::Ask);
                    self.effect_settled(&work, *outcome, ask, at);
                }
            }

            Event::MailTaken { letters } => letters.iter().for_each(|letter| self.letter(letter, at)),

            Event::Completed { gaps } => {
                self.gaps.extend(gaps.iter().cloned());
                self.ended(Status::Completed, None, false, at);
            }
            Event::Failed { reason, recoverable } => self.ended(Status::Failed, Some(*reason), *recoverable, at),
            Event::Cancelled { reason } => self.ended(Status::Cancelled, Some(*reason), true, at),
            Event::Stopped { reason } => self.ended(Status::Stopped, Some(*reason), false, at),

            Event::LateReportKept { .. } => self.late += 1,
            Event::Archived => self.archived = true,
            Event::Erased => self.erased = true,
            Event::ReviewNoted => {}
        }
    }

    fn born(&mut self, facts: &Submitted, at: Time) {
        self.facts = Box::new(facts.clone());
        self.born_at = Some(at);
        self.acceptance_owed = facts.acceptance_owed;
        self.review_owed = facts.review_owed;
        self.dependencies = facts.depends_on.iter().copied().collect();
        // A recurring task keeps its plan for the runs to come; the board has its own copy.
        let plan = if facts.recurrence.is_some() { self.facts.plan.clone() } else { self.facts.plan.take() };
        if let Some(plan) = plan {
            self.lay_plan(&plan, 1);
        }
        if let Some(deadline) = facts.deadline {
            self.firm.set(Timer::Deadline, deadline);
        }
        if let Some(ms) = facts.stall_ms {
            self.soft.set(Timer::Stall, at.plus(ms));
        }
        if facts.released {
            self.release(at);
        } else {
            self.await_release(at);
        }
    }

    /// Sets when the clock releases the task, unless other tasks have to end first. Without a due time that is at once: an interface
    /// may ask to be answered before the release.
    fn await_release(&mut self, at: Time) {
        if !self.released && self.dependencies.is_empty() {
            self.soft.set(Timer::Due, self.facts.due_at.unwrap_or(at));
        }
    }

    fn release(&mut self, at: Time) {
        self.released = true;
        self.soft.clear(Timer::Due);
        if let Some(ms) = self.facts.queue_ms {
            self.soft.set(Timer::Queue, at.plus(ms));
        }
        self.queue_steps(at);
    }

    fn lay_plan(&mut self, plan: &crate::plan::Plan, version: u32) {
        let earlier = self.planned.then(|| std::mem::take(&mut self.board));
        if let Some(old) = &earlier {
            for i in 0..old.steps.len() as u32 {
                self.clear_attempt_timers(i);
                self.soft.clear(Timer::StepWait(i));
                self.soft.clear(Timer::Gate(i));
            }
            self.listeners.clear();
        }
        self.board = Board::new(plan, earlier.as_ref());
        if self.analysis.is_some() {
            self.board.put_offer("analyse", Offer::Analysis);
        }
        self.planned = true;
        self.plan_version = version;
    }

    /// Starts the clock of steps that may only be offered for so long.
    fn queue_steps(&mut self, at: Time) {
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

    fn assigned(&mut self, assigned: &Assigned, at: Time) {
        let lease = Lease {
            agent: assigned.agent,
            claim: assigned.claim,
            attempt: assigned.attempt,
            lease_ms: assigned.lease_ms,
            started: assigned.started,
            since: at,
            timeout_at: assigned.timeout_at,
        };
        self.soft.clear(Timer::Queue);
        self.soft.clear(Timer::Stall);
        match &assigned.work {
            WorkKey::Step(path) => self.with_step(path, |task, i| {
                task.soft.clear(Timer::StepQueue(i));
                task.board.grant(i, lease);
                if let Some(by) = assigned.start_by {
                    task.firm.set(Timer::StepStart(i), by);
                }
                if let Some(by) = assigned.timeout_at {
                    task.firm.set(Timer::StepTimeout(i), by);
                }
            }),
            WorkKey::Gate(path, _) => self.with_step(path, |task, i| {
                task.side_attempts = assigned.attempt;
                let key = task.gate_key(i);
                task.board.drop_offer(key, Offer::Gate(i));
                if let Some(open) = task.board.gates.get_mut(&i) {
                    open.attempt = assigned.attempt;
                    open.lease = Some(Box::new(lease));
                    task.board.leases += 1;
                    task.board.started += u32::from(assigned.started);
                }
            }),
            WorkKey::Plan => {
                self.side_attempts = assigned.attempt;
                self.board.drop_offer("plan", Offer::Plan);
                if let Some(side) = &mut self.plan_work {
                    side.lease = Some(Box::new(lease));
                }
            }
            WorkKey::Analysis => {
                self.side_attempts = assigned.attempt;
                self.board.drop_offer("analyse", Offer::Analysis);
                if let Some(side) = &mut self.analysis {
                    side.lease = Some(Box::new(lease));
                }
            }
        }
        if assigned.started {
            self.begun(at);
        }
    }

    /// The first start of the whole task.
    fn begun(&mut self, at: Time) {
        if self.started_at.is_none() {
            self.started_at = Some(at);
            if let Some(ms) = self.facts.timeout_ms {
                self.firm.set(Timer::Total, at.plus(ms));
            }
        }
    }

    fn started(&mut self, work: &WorkKey, timeout_at: Option<Time>, at: Time) {
        match work {
            WorkKey::Step(path) => self.with_step(path, |task, i| {
                task.firm.clear(Timer::StepStart(i));
                if let Some(by) = timeout_at {
                    task.firm.set(Timer::StepTimeout(i), by);
                }
                if let Some(lease) = &mut task.board.cell_mut(i).lease {
                    lease.started = true;
                    lease.timeout_at = timeout_at;
                    task.board.started += 1;
                    task.board.cell_mut(i).started_at = Some(at);
                    task.board.set(i, StepStatus::Running);
                }
            }),
            WorkKey::Gate(path, _) => self.with_step(path, |task, i| {
                if let Some(lease) = task.board.gates.get_mut(&i).and_then(|g| g.lease.as_mut()) {
                    lease.started = true;
                    task.board.started += 1;
                }
            }),
            WorkKey::Plan => {
                if let Some(lease) = self.plan_work.as_mut().and_then(|s| s.lease.as_mut()) {
                    lease.started = true;
                }
            }
            WorkKey::Analysis => {
                if let Some(lease) = self.analysis.as_mut().and_then(|s| s.lease.as_mut()) {
                    lease.started = true;
                }
            }
        }
        self.begun(at);
    }

    fn succeeded(&mut self, work: &WorkKey, at: Time) {
        match work {
            WorkKey::Step(path) => self.with_step(path, |task, i| {
                task.clear_attempt_timers(i);
                task.board.cell_mut(i).reported = true;
                task.board.release(i);
                task.unsettled_effects(path);
                if task.board.steps[i as usize].gates.is_empty() {
                    task.board.end(i, StepStatus::Completed, at);
                    task.queue_steps(at);
                } else {
                    task.board.cell_mut(i).gate = 0;
                    task.board.set(i, StepStatus::Checking);
                    task.board.to_check.insert(i);
                }
            }),
            // Gates, plans and analyses answer with events of their own.
            WorkKey::Gate(path, _) => self.with_step(path, |task, i| task.release_gate(i)),
            WorkKey::Plan => self.close_plan_work(),
            WorkKey::Analysis => self.close_analysis(),
        }
    }

    fn attempt_failed(&mut self, failed: &Failed, at: Time) {
        match &failed.work {
            WorkKey::Step(path) => self.with_step(path, |task, i| {
                task.clear_attempt_timers(i);
                task.board.release(i);
                task.unsettled_effects(path);
                let own_word = failed.class != crate::spec::ErrorClass::AgentLost;
                let cell = task.board.cell_mut(i);
                cell.attempt = failed.attempt;
                cell.reported = own_word;
                if failed.class != crate::spec::ErrorClass::Cancelled {
                    cell.failures += 1;
                }
                task.after_failure(i, failed.retry_at, at);
            }),
            WorkKey::Gate(path, _) => self.with_step(path, |task, i| {
                task.release_gate(i);
                task.offer_gate(i);
            }),
            WorkKey::Plan => {
                if let Some(side) = &mut self.plan_work {
                    side.lease = None;
                    self.board.put_offer("plan", Offer::Plan);
                }
            }
            WorkKey::Analysis => {
                if let Some(side) = &mut self.analysis {
                    side.lease = None;
                    self.board.put_offer("analyse", Offer::Analysis);
                }
            }
        }
    }

    /// What a step is after an attempt that did not work: offered again, now or later, or failed.
    fn after_failure(&mut self, i: u32, retry_at: Option<Time>, at: Time) {
        match retry_at {
            Some(when) if when <= at => {
                self.board.offer(i);
                self.queue_steps(at);
            }
            Some(when) => {
                self.board.withdraw(i);
                self.board.set(i, StepStatus::Retrying);
                self.soft.set(Timer::StepRetry(i), when);
            }
            None => self.fail_step(i, at),
        }
    }

    fn fail_step(&mut self, i: u32, at: Time) {
        if self.board.steps[i as usize].optional {
            self.gaps.insert(self.board.steps[i as usize].path.clone());
        }
        self.soft.clear(Timer::StepQueue(i));
        self.board.fail(i, at);
        self.queue_steps(at);
    }

    /// Failed steps are offered anew.
    fn try_again(&mut self, at: Time) {
        self.retrying = false;
        self.soft.clear(Timer::TaskRetry);
        self.close_analysis();
        self.board.revive();
        self.queue_steps(at);
    }

    /// A step that no agent does begins.
    fn begin_pseudo(&mut self, i: u32, at: Time) {
        self.begun(at);
        self.board.fresh.remove(&i);
        self.board.set(i, StepStatus::Running);
        self.board.cell_mut(i).started_at = Some(at);
    }

    fn stop_waiting(&mut self, i: u32) {
        self.soft.clear(Timer::StepWait(i));
        self.soft.clear(Timer::StepRetry(i));
        self.soft.clear(Timer::StepQueue(i));
        self.spawned.remove(&i);
        let signal = self.listeners.iter().find(|(_, steps)| steps.contains(&i)).map(|(name, _)| name.clone());
        if let Some(name) = signal {
            let steps = self.listeners.get_mut(&name).expect("it was found by this name");
            steps.remove(&i);
            if steps.is_empty() {
                self.listeners.remove(&name);
            }
        }
    }

    fn clear_attempt_timers(&mut self, i: u32) {
        self.firm.clear(Timer::StepStart(i));
        self.firm.clear(Timer::StepTimeout(i));
        self.soft.clear(Timer::StepRetry(i));
        self.soft.clear(Timer::StepQueue(i));
    }

    /// Effects of a step whose attempt has ended without a word about them.
    fn unsettled_effects(&mut self, path: &str) {
        if self.effects.is_empty() {
            return;
        }
        let of_step = |work: &WorkKey| matches!(work, WorkKey::Step(p) if **p == *path);
        let open = self.effects.iter().filter(|(_, e)| e.outcome.is_none() && of_step(&e.work)).map(|(id, _)| *id);
        self.dangling.extend(open);
    }

    fn effect_settled(&mut self, work: &WorkKey, outcome: EffectOutcome, ask: bool, at: Time) {
        let WorkKey::Step(path) = work else { return };
        self.with_step(path, |task, i| {
            let status = task.board.cell(i).status;
            match outcome {
                EffectOutcome::Unknown
                    if ask && !matches!(status, StepStatus::Completed | StepStatus::Checking | StepStatus::Running) =>
                {
                    task.clear_attempt_timers(i);
                    task.board.block(i, BlockReason::HumanReview);
                }
                EffectOutcome::Done | EffectOutcome::NotDone if task.board.blocked.get(&i) == Some(&BlockReason::HumanReview) => {
                    task.board.blocked.remove(&i);
                    task.board.offer(i);
                    task.queue_steps(at);
                }
                EffectOutcome::Unknown | EffectOutcome::Done | EffectOutcome::NotDone => {}
            }
        });
    }

    fn gate_key(&self, i: u32) -> &'static str {
        let step = &self.board.steps[i as usize];
        let open = self.board.gates.get(&i).map_or(0, |g| g.gate);
        step.gates.get(usize::from(open)).map_or("gate", |g| g.kind.capability())
    }

    fn open_gate(&mut self, i: u32, gate: u16, limit_at: Time) {
        let manual = self.board.steps[i as usize].gates.get(usize::from(gate)).is_some_and(|g| g.kind == GateKind::ManualReview);
        self.board.to_check.remove(&i);
        self.board.gates.insert(i, OpenGate { gate, manual, attempt: 0, lease: None, doer: self.board.cell(i).doer });
        self.soft.set(Timer::Gate(i), limit_at);
        self.offer_gate(i);
    }

    /// A person is asked through their inbox; everybody else through the list of offered work.
    fn offer_gate(&mut self, i: u32) {
        if self.board.gates.get(&i).is_some_and(|g| !g.manual) {
            let key = self.gate_key(i);
            self.board.put_offer(key, Offer::Gate(i));
        }
    }

    fn release_gate(&mut self, i: u32) {
        if let Some(lease) = self.board.gates.get_mut(&i).and_then(|g| g.lease.take()) {
            self.board.leases -= 1;
            self.board.started -= u32::from(lease.started);
        }
    }

    fn close_gate(&mut self, i: u32) {
        self.release_gate(i);
        let key = self.gate_key(i);
        self.board.drop_offer(key, Offer::Gate(i));
        self.board.gates.remove(&i);
        self.soft.clear(Timer::Gate(i));
    }

    fn gate_judged(&mut self, judged: &GateJudged, at: Time) {
        self.with_step(&judged.step, |task, i| {
            task.close_gate(i);
            let gates = task.board.steps[i as usize].gates.len();
            if judged.passed || judged.advisory {
                if !judged.passed {
                    task.gaps.insert(judged.step.clone());
                }
                let cell = task.board.cell_mut(i);
                cell.gate = judged.gate + 1;
                if usize::from(cell.gate) >= gates {
                    task.board.end(i, StepStatus::Completed, at);
                    task.queue_steps(at);
                } else {
                    task.board.to_check.insert(i);
                }
            } else {
                task.board.to_check.remove(&i);
                task.board.cell_mut(i).failures += 1;
                task.after_failure(i, judged.retry_at, at);
            }
        });
    }

    fn close_plan_work(&mut self) {
        self.plan_work = None;
        self.board.drop_offer("plan", Offer::Plan);
        self.soft.clear(Timer::Plan);
    }

    fn close_analysis(&mut self) {
        self.analysis = None;
        self.board.drop_offer("analyse", Offer::Analysis);
        self.soft.clear(Timer::Analysis);
    }

    fn overridden(&mut self, decision: OverrideWord, step: Option<&str>, at: Time) {
        match (decision, step) {
            (OverrideWord::Approve, _) => {
                self.review_owed = false;
                self.firm.clear(Timer::Review);
                if let Some(open) = self.review.take() {
                    self.result_accepted |= open.question == Question::Result;
                }
                self.escalated = None;
            }
            (OverrideWord::RetryStep, Some(path)) => self.with_step(path, |task, i| {
                task.soft.clear(Timer::StepRetry(i));
                task.board.blocked.remove(&i);
                task.board.failed.remove(&i);
                task.board.cell_mut(i).failures = 0;
                task.board.cell_mut(i).ended_at = None;
                task.board.offer(i);
                task.queue_steps(at);
                task.leave_escalation();
            }),
            (OverrideWord::SkipStep, _) => self.leave_escalation(),
            // These are followed by the event that says what became of step or task.
            (OverrideWord::Complete | OverrideWord::Fail | OverrideWord::PassGate | OverrideWord::RetryStep, _) => {}
        }
    }

    /// A step that was in the way is dealt with; where none is left the task goes on.
    fn leave_escalation(&mut self) {
        let about_steps = matches!(
            self.escalated,
            Some(crate::event::EscalationReason::RetriesSpent | crate::event::EscalationReason::HumanIntervention)
        );
        if about_steps {
            self.escalated = None;
        }
        self.retrying = false;
        self.soft.clear(Timer::TaskRetry);
        self.close_analysis();
    }

    fn letter(&mut self, letter: &Letter, at: Time) {
        match letter {
            Letter::ChildJoined { child } => {
                self.children.insert(*child);
            }
            Letter::ChildEnded { child, step, status } => {
                self.children.remove(child);
                let spawned = step.as_ref().and_then(|s| self.board.find(s)).filter(|i| self.spawned.get(i) == Some(child));
                match spawned {
                    Some(i) if *status == Status::Completed => {
                        self.stop_waiting(i);
                        self.board.end(i, StepStatus::Completed, at);
                        self.queue_steps(at);
                    }
                    Some(i) => {
                        self.stop_waiting(i);
                        self.fail_step(i, at);
                    }
                    None if *status != Status::Completed => {
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
            Letter::ParentEnded { .. } => self.parent_ended = true,
        }
    }

    fn ended(&mut self, status: Status, reason: Option<EndReason>, recoverable: bool, at: Time) {
        self.end = Some(End { status, reason, recoverable, at });
        self.firm = Default::default();
        self.soft = Default::default();
        self.paused = None;
        self.escalated = None;
        self.retrying = false;
        self.review = None;
        self.review_owed = false;
    }

    /// Does something with the step of this path; a path that is not on the board is no step of this plan any more.
    pub(super) fn with_step(&mut self, path: &str, act: impl FnOnce(&mut Self, u32)) {
        if let Some(i) = self.board.find(path) {
            act(self, i);
        }
    }
}
