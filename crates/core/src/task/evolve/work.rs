//! What becomes of pieces of work: leases, attempts, waits, gates, effects.

use crate::board::{Lease, Offer, OpenGate};
use crate::event::{Assigned, EffectGranted, Failed, GateJudged};
use crate::id::EffectId;
use crate::planted::{self, Fault};
use crate::spec::{ErrorClass, GateKind, OnUnknown};
use crate::status::{BlockReason, StepStatus};
use crate::task::undo::Undoing;
use crate::task::{Effect, Task};
use crate::time::Time;
use crate::timers::Timer;
use crate::work::{EffectOutcome, WorkKey};

/// How many words about gates, plans and analyses are remembered, so that a repeated one is known.
const ANSWERED_MAX: usize = 1_000;

impl Task {
    pub(super) fn assigned(&mut self, assigned: &Assigned, at: Time) {
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
        match &assigned.work {
            WorkKey::Step(path) => self.with_step(path, |task, i| {
                task.reserved(path, assigned.reserved);
                task.soft.clear(Timer::StepQueue(i));
                task.executors.insert(lease.agent);
                if task.facts.session_ms.is_some() && task.board.session().is_none() {
                    task.board.keep_session(Some(lease.agent));
                }
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
                task.board.grant_gate(i, lease);
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
            WorkKey::Undo(_) => {
                self.side_attempts = assigned.attempt;
                self.undo_assigned(lease, assigned);
            }
        }
        if assigned.started {
            self.begun(at);
        }
    }

    /// The agent of a step fell silent. What it had in mind went with it: whoever comes next begins a session of its own.
    pub(super) fn session_lost(&mut self, i: u32) {
        let holder = self.board.cell(i).lease.as_ref().map(|lease| lease.agent);
        if holder.is_some() && self.board.session() == holder {
            self.board.keep_session(None);
        }
    }

    /// Counts how long the agent whose session it is has held nothing.
    pub(in crate::task) fn mind_the_session(&mut self, at: Time) {
        let Some(ms) = self.facts.session_ms else { return };
        match (self.board.session_rests(), self.soft.get(Timer::Session)) {
            (true, None) => self.soft.set(Timer::Session, at.plus(ms)),
            (false, Some(_)) => self.soft.clear(Timer::Session),
            (true, Some(_)) | (false, None) => {}
        }
    }

    pub(super) fn begun(&mut self, at: Time) {
        if self.started_at.is_none() {
            self.started_at = Some(at);
            self.soft.clear(Timer::Queue);
            self.mind_its_time();
            if let Some(ms) = self.facts.timeout_ms {
                self.firm.set(Timer::Total, at.plus(ms));
            }
        }
    }

    pub(super) fn started(&mut self, work: &WorkKey, timeout_at: Option<Time>, at: Time) {
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
            WorkKey::Undo(_) => self.undo_started(timeout_at),
        }
        self.begun(at);
    }

    pub(super) fn succeeded(&mut self, work: &WorkKey, attempt: u32, at: Time) {
        match work {
            WorkKey::Step(path) => self.with_step(path, |task, i| {
                // Who reports without having said so has begun all the same.
                task.begun(at);
                task.clear_attempt_timers(i);
                let cell = task.board.cell_mut(i);
                cell.started_at = cell.started_at.or(Some(at));
                cell.reported = Some(true);
                task.board.note_done(i);
                task.board.release(i);
                task.unsettled_effects(path);
                if task.board.steps[i as usize].gates.is_empty() || planted::is(Fault::GateSkipped) {
                    task.board.end(i, StepStatus::Completed, at);
                    task.queue_steps(at);
                } else {
                    task.board.cell_mut(i).gate = 0;
                    task.board.set(i, StepStatus::Checking);
                    task.board.to_check.insert(i);
                }
            }),
            // Gates, plans and analyses answer with events of their own.
            WorkKey::Gate(path, _) => {
                self.note_answer(work, attempt);
                self.with_step(path, |task, i| task.board.release_gate(i));
            }
            WorkKey::Plan => self.close_plan_work(),
            WorkKey::Analysis => self.close_analysis(),
            WorkKey::Undo(path) => {
                self.note_answer(work, attempt);
                self.undone(path, at);
            }
        }
    }

    pub(super) fn attempt_failed(&mut self, failed: &Failed, at: Time) {
        if !matches!(failed.work, WorkKey::Step(_) | WorkKey::Undo(_)) && failed.class != ErrorClass::AgentLost {
            self.note_answer(&failed.work, failed.attempt);
        }
        match &failed.work {
            WorkKey::Step(path) => self.with_step(path, |task, i| {
                if failed.class == ErrorClass::AgentLost {
                    task.session_lost(i);
                }
                // Its holder's own word, unless it fell silent or ran into a limit.
                let in_time = |timer: Timer| task.firm.get(timer).is_none_or(|by| at < by);
                let own_word = failed.class != ErrorClass::AgentLost
                    && task.board.cell(i).lease.is_some()
                    && in_time(Timer::StepStart(i))
                    && in_time(Timer::StepTimeout(i));
                task.clear_attempt_timers(i);
                task.board.release(i);
                task.unsettled_effects(path);
                let cell = task.board.cell_mut(i);
                cell.attempt = failed.attempt;
                cell.reported = own_word.then_some(false);
                (cell.trouble, cell.retry_after_ms) = (Some(failed.class), failed.retry_after_ms);
                cell.troubled_at = Some(at);
                let waits = failed.retry_at.is_none_or(|when| when > at);
                if failed.class == ErrorClass::Cancelled {
                    // Who was told to stop gives back at once what is then offered at once.
                    cell.given_back += u32::from(waits);
                } else if !planted::is(Fault::FailureUncounted) {
                    cell.count_failure(failed.class);
                }
                task.after_failure(i, failed.retry_at, at);
                task.note_model_failed(i, failed.class);
            }),
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => self.side_failed(failed, at),
            WorkKey::Undo(path) => self.undo_failed(path, failed, at),
        }
    }

    /// A gate, a plan or an analysis was given back: it is offered again, at once or after a wait.
    fn side_failed(&mut self, failed: &Failed, at: Time) {
        let later = failed.retry_at.filter(|when| *when > at);
        let timer = match &failed.work {
            WorkKey::Gate(path, _) => {
                let Some(i) = self.board.find(path) else { return };
                self.board.release_gate(i);
                let Some(gate) = self.board.gates.get_mut(&i) else { return };
                gate.failures += u32::from(later.is_some());
                Timer::GateRetry(i)
            }
            WorkKey::Plan => {
                let Some(side) = &mut self.plan_work else { return };
                side.lease = None;
                side.failures += u32::from(later.is_some());
                Timer::PlanRetry
            }
            WorkKey::Analysis => {
                let Some(side) = &mut self.analysis else { return };
                side.lease = None;
                side.failures += u32::from(later.is_some());
                Timer::AnalysisRetry
            }
            WorkKey::Step(_) | WorkKey::Undo(_) => return,
        };
        match later {
            Some(when) => self.soft.set(timer, when),
            None => self.offer_side(&failed.work),
        }
    }

    /// A gate, a plan or an analysis can be claimed, where nobody has it.
    pub(super) fn offer_side(&mut self, work: &WorkKey) {
        match work {
            WorkKey::Gate(path, _) => self.with_step(path, |task, i| {
                task.soft.clear(Timer::GateRetry(i));
                if task.board.gates.get(&i).is_some_and(|gate| gate.lease.is_none()) {
                    task.board.offer_gate(i);
                }
            }),
            WorkKey::Plan => {
                self.soft.clear(Timer::PlanRetry);
                if self.plan_work.as_ref().is_some_and(|side| side.lease.is_none()) {
                    self.board.put_offer("plan", Offer::Plan);
                }
            }
            WorkKey::Analysis => {
                self.soft.clear(Timer::AnalysisRetry);
                if self.analysis.as_ref().is_some_and(|side| side.lease.is_none()) {
                    self.board.put_offer("analyse", Offer::Analysis);
                }
            }
            WorkKey::Step(_) | WorkKey::Undo(_) => {}
        }
    }

    fn after_failure(&mut self, i: u32, retry_at: Option<Time>, at: Time) {
        match retry_at {
            Some(when) if when <= at => {
                self.board.offer(i);
                self.queue_steps(at);
            }
            Some(when) => {
                self.board.withdraw(i);
                self.board.set(i, StepStatus::Retrying);
                if !planted::is(Fault::TimerDropped) {
                    self.soft.set(Timer::StepRetry(i), when);
                }
            }
            None => self.fail_step(i, at),
        }
    }

    pub(in crate::task) fn fail_step(&mut self, i: u32, at: Time) {
        if self.board.has_ended(i) {
            return;
        }
        if self.board.steps[i as usize].optional {
            self.gaps.insert(self.board.steps[i as usize].path.clone());
        }
        self.soft.clear(Timer::StepQueue(i));
        self.board.fail(i, at);
        self.queue_steps(at);
    }

    /// A wait, a task of its own, a backoff or an offer of a step is over.
    pub(super) fn stop_waiting(&mut self, i: u32) {
        self.soft.clear(Timer::StepWait(i));
        self.soft.clear(Timer::StepRetry(i));
        self.soft.clear(Timer::StepQueue(i));
        self.soft.clear(Timer::Approval(i));
        self.spawned.remove(&i);
        if let Some(name) = self.listening.remove(&i)
            && let Some(steps) = self.listeners.get_mut(&name)
        {
            steps.remove(&i);
            if steps.is_empty() {
                self.listeners.remove(&name);
            }
        }
    }

    /// Nobody shall work on a step any more.
    pub(super) fn leave_out(&mut self, i: u32) {
        if let Some(child) = self.spawned.remove(&i) {
            self.let_go(child);
        }
        self.stop_waiting(i);
        self.board.release(i);
        self.clear_attempt_timers(i);
        self.close_gate(i);
        let path = self.board.steps[i as usize].path.clone();
        self.unsettled_effects(&path);
    }

    /// A task that stood for a step that is gone: it is told to end, and waited for.
    pub(super) fn let_go(&mut self, child: crate::id::TaskId) {
        self.children.insert(child);
        self.let_go.push(child);
    }

    pub(in crate::task) fn clear_attempt_timers(&mut self, i: u32) {
        self.firm.clear(Timer::StepStart(i));
        if !planted::is(Fault::TimerKept) {
            self.firm.clear(Timer::StepTimeout(i));
        }
        self.soft.clear(Timer::StepRetry(i));
        self.soft.clear(Timer::StepQueue(i));
    }

    pub(super) fn effect_granted(&mut self, granted: &EffectGranted) {
        self.dangling.remove(&granted.effect);
        if let Some(name) = effects_of(&granted.work) {
            self.open_effects.entry(name).or_default().insert(granted.effect);
        }
        let effect = Effect {
            work: granted.work.clone(),
            attempt: granted.attempt,
            action: granted.action.clone(),
            args_digest: granted.args_digest.clone(),
            outcome: None,
            on_unknown: granted.on_unknown,
            unguarded: None,
        };
        self.effects.insert(granted.effect, effect);
    }

    /// Effects of a step whose attempt has ended without a word about them, or of which its holder did not know either.
    pub(in crate::task) fn unsettled_effects(&mut self, path: &str) {
        let remembered = !planted::is(Fault::EffectForgotten);
        let Some(open) = self.open_effects.get(path).filter(|_| remembered) else { return };
        let unclear = open.iter().filter(|id| {
            let effect = &self.effects[id];
            effect.outcome.is_none() || effect.on_unknown == OnUnknown::Ask
        });
        self.dangling.extend(unclear);
    }

    /// Whether a person has to say first what became of an effect of this step.
    pub(super) fn effect_owed(&self, path: &str) -> bool {
        let asks = |id: &EffectId| {
            self.effects[id].outcome == Some(EffectOutcome::Unknown) && self.effects[id].on_unknown == OnUnknown::Ask
        };
        self.open_effects.get(path).is_some_and(|open| open.iter().any(asks))
    }

    pub(super) fn effect_settled(&mut self, id: EffectId, outcome: EffectOutcome, at: Time) {
        self.dangling.remove(&id);
        let Some(effect) = self.effects.get_mut(&id) else { return };
        effect.outcome = Some(outcome);
        let work = effect.work.clone();
        let Some(name) = effects_of(&work) else { return };
        if outcome != EffectOutcome::Unknown
            && let Some(open) = self.open_effects.get_mut(&name)
        {
            open.remove(&id);
            if open.is_empty() {
                self.open_effects.remove(&name);
            }
        }
        // Whoever undoes is refused what may have happened before, and so a person hears of it.
        let WorkKey::Step(path) = work else { return };
        let owed = self.effect_owed(&path);
        self.with_step(&path, |task, i| {
            if owed {
                task.hold_for_effects(i);
            } else if task.board.blocked.get(&i) == Some(&BlockReason::HumanReview) {
                task.board.unblock(i);
                task.queue_steps(at);
            }
        });
    }

    /// A step that would be tried again is held until a person has said what became of its effects. An attempt that is under way, and a
    /// result that is being judged, are not disturbed; nor is a group that took the step's place in another plan.
    pub(super) fn hold_for_effects(&mut self, i: u32) {
        if self.board.is_group(i) {
            return;
        }
        let held = match self.board.cell(i).status {
            StepStatus::Ready | StepStatus::Blocked | StepStatus::Retrying => true,
            StepStatus::Failed => !self.board.has_ended(i),
            StepStatus::Pending
            | StepStatus::Assigned
            | StepStatus::Running
            | StepStatus::Checking
            | StepStatus::Completed
            | StepStatus::Skipped
            | StepStatus::Cancelled
            | StepStatus::RolledBack => false,
        };
        if held {
            self.clear_attempt_timers(i);
            self.board.block(i, BlockReason::HumanReview);
        }
    }

    pub(super) fn open_gate(&mut self, i: u32, gate: u16, limit_at: Time) {
        // A gate that the step does not have can only come out of a damaged stream.
        let Some(spec) = self.board.steps[i as usize].gates.get(usize::from(gate)) else { return };
        let manual = spec.kind == GateKind::ManualReview;
        let doer = self.board.cell(i).doer;
        self.board.open_gate(i, OpenGate { gate, manual, attempt: 0, lease: None, doer, failures: 0 });
        self.soft.set(Timer::Gate(i), limit_at);
    }

    fn close_gate(&mut self, i: u32) {
        self.board.close_gate(i);
        self.soft.clear(Timer::Gate(i));
        self.soft.clear(Timer::GateRetry(i));
    }

    pub(super) fn gate_judged(&mut self, judged: &GateJudged, at: Time) {
        self.with_step(&judged.step, |task, i| {
            task.close_gate(i);
            if judged.passed {
                task.condition_met(i, judged.gate);
            }
            let gates = task.board.steps[i as usize].gates.len();
            if judged.passed || judged.advisory {
                if !judged.passed {
                    task.gaps.insert(judged.step.clone());
                }
                let cell = task.board.cell_mut(i);
                cell.gate = judged.gate.saturating_add(1);
                if usize::from(cell.gate) >= gates {
                    task.board.end(i, StepStatus::Completed, at);
                    task.queue_steps(at);
                } else {
                    task.board.to_check.insert(i);
                }
            } else {
                task.board.to_check.remove(&i);
                let cell = task.board.cell_mut(i);
                cell.count_failure(ErrorClass::GateFailed);
                (cell.trouble, cell.retry_after_ms) = (Some(ErrorClass::GateFailed), None);
                cell.troubled_at = Some(at);
                task.unsettled_effects(&judged.step);
                task.after_failure(i, judged.retry_at, at);
            }
        });
    }

    /// Remembers that the holder of a gate, a plan or an analysis has spoken.
    pub(super) fn note_answer(&mut self, work: &WorkKey, attempt: u32) {
        self.answered.insert(attempt, work.clone());
        if self.answered.len() > ANSWERED_MAX {
            self.answered.pop_first();
        }
    }
}

/// The name under which the open effects of a piece of work are kept; only steps, and what undoes them, act.
fn effects_of(work: &WorkKey) -> Option<Box<str>> {
    match work {
        WorkKey::Step(path) => Some(path.clone()),
        WorkKey::Undo(path) => Some(Undoing::name(path).into()),
        WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis => None,
    }
}
