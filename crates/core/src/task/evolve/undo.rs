//! What becomes of what has to be undone: it is offered one after the other, and kept until it is done.

use crate::board::{Lease, Offer, count};
use crate::event::{Assigned, Failed};
use crate::spec::ErrorClass;
use crate::task::Task;
use crate::task::undo::{Undo, Undoing};
use crate::time::Time;
use crate::timers::Timer;
use crate::work::WorkKey;

impl Task {
    /// One went back: what these did is undone before the task is tried again. Looks at the steps as they were before.
    pub(super) fn undo_all(&mut self, paths: &[Box<str>], wait_ms: Option<u64>, at: Time) {
        if paths.is_empty() {
            return;
        }
        self.note_advice(at);
        self.close_analysis();
        self.retrying = true;
        self.undoing.wait_ms = wait_ms.unwrap_or(u64::MAX);
        for path in paths {
            let Some(step) = self.board.find(path).map(|i| &self.board.steps[i as usize]) else { continue };
            let Some(how) = step.compensation.clone() else { continue };
            let how = Box::new(crate::plan::Compensation { retry: how.retry.clone().or_else(|| step.retry.clone()), ..*how });
            self.undoing.left.push_back(Undo { path: path.clone(), how, on_unknown: step.on_unknown });
        }
        self.offer_undo(at);
    }

    /// What is undone next can be claimed.
    pub(super) fn offer_undo(&mut self, at: Time) {
        self.soft.clear(Timer::UndoRetry);
        if let Some(undo) = self.undoing.next() {
            let key = undo.how.capability_key();
            self.board.put_offer(&key, Offer::Undo);
            self.soft.set(Timer::UndoQueue, at.plus(self.undoing.wait_ms));
        }
    }

    /// The offer stands, where a new plan has swept the board.
    pub(super) fn put_undo_back(&mut self) {
        if let Some(undo) = self.undoing.next()
            && self.soft.get(Timer::UndoQueue).is_some()
        {
            let key = undo.how.capability_key();
            self.board.put_offer(&key, Offer::Undo);
        }
    }

    fn withdraw_undo(&mut self) {
        self.soft.clear(Timer::UndoQueue);
        if let Some(undo) = self.undoing.next() {
            let key = undo.how.capability_key();
            self.board.drop_offer(&key, Offer::Undo);
        }
    }

    pub(super) fn undo_assigned(&mut self, lease: Lease, assigned: &Assigned) {
        self.withdraw_undo();
        self.executors.insert(lease.agent);
        if let Some(by) = assigned.timeout_at {
            self.firm.set(Timer::UndoTimeout, by);
        }
        self.undoing.lease = Some(Box::new(lease));
    }

    pub(super) fn undo_started(&mut self, timeout_at: Option<Time>) {
        if let Some(lease) = &mut self.undoing.lease {
            lease.started = true;
            lease.timeout_at = timeout_at;
            if let Some(by) = timeout_at {
                self.firm.set(Timer::UndoTimeout, by);
            }
        }
    }

    /// A step is undone, by an agent or by hand.
    pub(super) fn undone(&mut self, path: &str, at: Time) {
        let first = self.undoing.next().is_some_and(|undo| *undo.path == *path);
        if first {
            self.withdraw_undo();
            self.end_undo_lease(path);
            self.soft.clear(Timer::UndoRetry);
            self.undoing.failures.clear();
            self.undoing.given_back = 0;
            self.undoing.spent = false;
            self.undoing.allowed = false;
        }
        self.undoing.left.retain(|undo| *undo.path != *path);
        *self.undoing.rounds.entry(path.into()).or_default() += 1;
        if first {
            self.offer_undo(at);
        }
    }

    fn end_undo_lease(&mut self, path: &str) {
        self.undoing.lease = None;
        self.firm.clear(Timer::UndoTimeout);
        self.unsettled_effects(&Undoing::name(path));
    }

    pub(super) fn undo_failed(&mut self, path: &str, failed: &Failed, at: Time) {
        let in_time = self.firm.get(Timer::UndoTimeout).is_none_or(|by| at < by);
        if failed.class != ErrorClass::AgentLost && in_time && self.undoing.lease.is_some() {
            self.note_answer(&WorkKey::Undo(path.into()), failed.attempt);
        }
        self.side_attempts = self.side_attempts.max(failed.attempt);
        self.withdraw_undo();
        self.end_undo_lease(path);
        match failed.class {
            ErrorClass::Cancelled => self.undoing.given_back += u32::from(failed.retry_at.is_none_or(|when| when > at)),
            class => self.undoing.failures = count(&self.undoing.failures, class),
        }
        match failed.retry_at {
            Some(when) if when <= at => self.offer_undo(at),
            Some(when) => self.soft.set(Timer::UndoRetry, when),
            None => self.undoing.spent = true,
        }
    }

    /// It could not be undone; nothing more is tried before somebody says so.
    pub(super) fn undo_stopped(&mut self) {
        self.withdraw_undo();
        self.soft.clear(Timer::UndoRetry);
        self.undoing.spent = true;
    }

    /// Undoing goes on where it stopped, its attempts counted anew. Answers whether there is anything to undo.
    pub(super) fn go_on_undoing(&mut self, at: Time) -> bool {
        if self.undoing.left.is_empty() {
            return false;
        }
        self.retrying = true;
        if self.undoing.spent {
            self.undoing.spent = false;
            self.undoing.failures.clear();
            self.undoing.given_back = 0;
            self.offer_undo(at);
        }
        true
    }
}
