//! Where a task is, as its facts say; what it offers; when to look at it again. Asked after every event, so each answer costs
//! O(log n) at most: what it takes is counted as events come in.

use super::{Side, Task};
use crate::board::Offer;
use crate::planted::{self, Fault};
use crate::review::Question;
use crate::spec::{Autonomy, ExecutionMode};
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::Time;

impl Task {
    /// Where the facts say the task is (DESIGN §3, in order of precedence).
    pub(super) fn derive(&self) -> Status {
        let begun = self.started_at.is_some();
        if let Some(end) = &self.end {
            end.status
        } else if self.paused.is_some() {
            Status::Paused
        } else if self.escalated.is_some() {
            Status::Escalated
        } else if self.is_deliberating() {
            Status::Deliberating
        } else if begun && (self.board.steps_move() || self.plan_runs() || self.steps_or_plan_wanted()) {
            Status::InProgress
        } else if self.board.count(StepStatus::Assigned) > 0 || self.plan_work.as_ref().is_some_and(|p| p.lease.is_some()) {
            Status::Assigned
        } else if self.retrying {
            Status::Retrying
        } else if self.block_reason().is_some() {
            Status::Blocked
        } else if self.is_under_review() {
            Status::Review
        } else if begun {
            // A failed step whose consequence is still to come, or free children.
            Status::InProgress
        } else if self.stalled {
            Status::Stalled
        } else if self.released {
            Status::Scheduled
        } else {
            Status::Pending
        }
    }

    /// Whether an agent works on the plan.
    fn plan_runs(&self) -> bool {
        self.plan_work.as_ref().is_some_and(|p| p.lease.as_ref().is_some_and(|l| l.started))
    }

    /// Whether a step or the plan can be claimed. Gates are part of REVIEW, an analysis of RETRYING.
    pub(super) fn steps_or_plan_wanted(&self) -> bool {
        let plan = self.plan_work.as_ref().is_some_and(|p| p.lease.is_none());
        self.may_hand_out() && (plan || (self.board.step_offers > 0 && self.steps_are_open()))
    }

    /// When the clock has to look at it again.
    pub fn wake_at(&self) -> Option<Time> {
        if self.end.is_some() {
            return None;
        }
        let more = self.has_more().then_some(self.touched_at);
        let firm = self.firm.first().map(|(at, _)| at);
        let soft = self.soft.first().map(|(at, _)| at).filter(|_| !self.is_held() && !self.is_deliberating());
        more.into_iter().chain(firm).chain(soft).chain(self.stall_at).chain(self.ladder_at()).min()
    }

    /// Whether there is more to settle at once than one command should: the only things a task can have any number of.
    pub(super) fn has_more(&self) -> bool {
        let steps = !self.board.fresh.is_empty() || !self.board.to_check.is_empty() || self.heard().is_some();
        !self.dangling.is_empty() || (steps && self.may_settle_steps() && self.board.failed.is_empty())
    }

    /// Whether what happens to steps by themselves may happen now.
    pub(super) fn may_settle_steps(&self) -> bool {
        self.end.is_none()
            && self.planned
            && self.released
            && !self.is_held()
            && !self.is_deliberating()
            && !self.acceptance_owed
            && !self.cancelling
            && !self.stalled
            && !self.retrying
            && !self.budget_asked()
            && !self.failed_dependency
            && self.called_off.is_none()
    }

    /// Whether only firm deadlines count: somebody put a hold on it, or a decision is owed.
    pub(super) fn is_held(&self) -> bool {
        self.paused.is_some() || self.escalated.is_some()
    }

    /// Whether a review that blocks the start is open or still has to be opened.
    pub(super) fn is_deliberating(&self) -> bool {
        self.review_owed || matches!(&self.review, Some(r) if r.question == Question::Admission)
    }

    /// Whether nothing is left but to look at results.
    fn is_under_review(&self) -> bool {
        let asked = self.review.as_ref().is_some_and(|r| r.question == Question::Result);
        let done = self.planned && self.started_at.is_some() && self.board.is_done() && self.children.is_empty();
        asked || done || self.board.count(StepStatus::Checking) > 0
    }

    /// Live leases of every kind.
    pub fn leases(&self) -> u32 {
        let undo = u32::from(self.undoing.lease.is_some());
        self.board.leases + undo + self.sides().filter(|s| s.lease.is_some()).count() as u32
    }

    fn sides(&self) -> impl Iterator<Item = &Side> {
        self.plan_work.iter().chain(&self.analysis)
    }

    /// Whether something is offered and may be handed out.
    pub fn can_be_claimed(&self) -> bool {
        self.may_hand_out() && (self.board.side_offers > 0 || (self.board.step_offers > 0 && self.steps_are_open()))
    }

    /// Whether steps are given out: not while a failure is being dealt with, and in STRICT mode not before the gates of the step
    /// before have been judged.
    pub(super) fn steps_are_open(&self) -> bool {
        let strict_wait = self.facts.mode == ExecutionMode::Strict && self.board.count(StepStatus::Checking) > 0;
        !self.retrying && self.board.failed.is_empty() && !strict_wait
    }

    /// Whether work may be handed out at all.
    pub(super) fn may_hand_out(&self) -> bool {
        let strict_and_busy = self.facts.mode == ExecutionMode::Strict
            && (self.board.leases > 0 || self.board.count(StepStatus::Running) > 0)
            && self.board.gates.is_empty();
        self.end.is_none()
            && self.released
            && (!self.is_held() || planted::is(Fault::PauseIgnored))
            && !self.is_deliberating()
            && !self.cancelling
            && !self.acceptance_owed
            && (!self.budget_asked() || planted::is(Fault::BudgetIgnored))
            && !strict_and_busy
    }

    /// The capability keys of what can be claimed, each ended by a line feed; `None` when nothing can.
    pub fn open_keys(&self) -> Option<String> {
        if !self.can_be_claimed() {
            return None;
        }
        let mut keys = String::new();
        for (key, offers) in &self.board.offers {
            // Sorted by kind: if neither the first nor the last is open, none is.
            if offers.first().into_iter().chain(offers.last()).any(|o| self.is_open(*o)) {
                keys.push_str(key);
                keys.push('\n');
            }
        }
        (!keys.is_empty()).then_some(keys)
    }

    /// Whether this offer stands now.
    pub(super) fn is_open(&self, offer: Offer) -> bool {
        !matches!(offer, Offer::Step(_)) || self.steps_are_open()
    }

    /// The autonomy that comes with another mode: it follows the mode as long as nobody has set one.
    pub(super) fn autonomy_under(&self, mode: ExecutionMode) -> Option<Autonomy> {
        let derived = !self.facts.autonomy_given && self.facts.autonomy == self.facts.mode.autonomy();
        Some(mode.autonomy()).filter(|next| derived && *next != self.facts.autonomy)
    }

    /// What stands in the way when nothing can move without something outside.
    pub fn block_reason(&self) -> Option<BlockReason> {
        if self.acceptance_owed {
            return Some(BlockReason::Decomposition);
        }
        if self.released && !self.dependencies.is_empty() {
            return Some(BlockReason::Dependency);
        }
        if self.budget_asked() {
            return Some(BlockReason::Budget);
        }
        if let Some(reason) = self.board.blocked.values().next() {
            return Some(*reason);
        }
        (self.board.approvals > 0 || !self.board.asked.is_empty()).then_some(BlockReason::Approval)
    }
}
