//! Work that waits too long for an agent, and work that is taken from the agent it was kept for. What waits for a person, a signal, a
//! time, another task, behind a hold or between two attempts never counts as stalled.

use super::decide::{bounded, invalid};
use super::{Decided, Draft, Task};
use crate::command::{Context, Refusal, Submission};
use crate::event::{ActorKind, Event, ReassignCause, Reassigned};
use crate::id::{AgentId, TaskId};
use crate::planted::{self, Fault};
use crate::policy::StallStrategy;
use crate::spec::{Priority, Request};
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::Time;
use crate::timers::Timer;
use std::collections::BTreeSet;

/// What an investigation is called in its external id; behind it stand the stalled task and eight digits that tell one stall from another.
const INVESTIGATION: &str = "escalation_";

impl Task {
    /// Keeps the time to a stall, after every event. It counts anew whenever work becomes claimable, and only while nobody has touched it.
    pub(super) fn mind_the_stall(&mut self, at: Time) {
        match self.status {
            // A hold forgets nothing.
            Status::Pending | Status::Scheduled | Status::Paused | Status::Stalled => {}
            Status::Deliberating
            | Status::Assigned
            | Status::InProgress
            | Status::Review
            | Status::Blocked
            | Status::Retrying
            | Status::Escalated
            | Status::Completed
            | Status::Failed
            | Status::Cancelled
            | Status::Stopped => self.stalled = false,
        }
        let Some(ms) = self.facts.stall_ms else { return };
        if !self.waits_for_an_agent() {
            (self.stall_at, self.stall_told) = (None, false);
        } else if self.stall_at.is_none() && !self.stall_told {
            // Strictly more than the limit (S2-44).
            let ms = if planted::is(Fault::StallHasty) { ms / 2 } else { ms };
            self.stall_at = Some(at.plus(ms.saturating_add(1)));
        }
    }

    /// Whether nothing but an agent is missing: something can be claimed and nobody has, or who claimed it has not begun.
    fn waits_for_an_agent(&self) -> bool {
        if self.end.is_some() || self.stalled || !self.released || self.is_held() || self.cancelling {
            return false;
        }
        let claimable = self.leases() == 0 && !self.board.steps_move() && self.steps_or_plan_wanted();
        // Gates, analyses and compensations have limits of their own.
        let idle = self.status == Status::Assigned && self.leases() == self.board.count(StepStatus::Assigned) && !self.retrying;
        (claimable || idle) && self.dependencies.is_empty()
    }

    /// Whoever looks into why it does not move need not any more once an agent has come, or it has ended.
    pub(super) fn mind_the_investigation(&mut self, event: &Event) {
        self.looked_into = match self.investigation.is_some() && (self.end.is_some() || matches!(event, Event::Assigned(_))) {
            true => self.investigation.take(),
            false => None,
        };
    }

    /// What follows from work having waited too long.
    pub(super) fn stall_follows(&self, cx: &Context<'_>) -> Draft {
        if cx.held_back {
            return Draft::new(Event::StallPutOff);
        }
        let noted = || Draft::new(Event::StallNoted);
        match cx.policy.stall_strategy_of(&self.facts.task_type) {
            StallStrategy::LogOnly => noted(),
            // STALLED is what no agent came for; what has begun goes on by whatever is still open.
            StallStrategy::MarkStalled if self.status == Status::Scheduled => Draft::new(Event::Stalled),
            StallStrategy::MarkStalled => noted(),
            StallStrategy::Reassign => {
                let steps = self.held_by(|lease| !lease.started);
                let agents = self.kept_for(&steps);
                match steps.is_empty() && agents.is_empty() {
                    // It is anybody's already.
                    true => noted(),
                    false => {
                        let cause = ReassignCause::Stalled;
                        Draft::new(Event::Reassigned(Box::new(Reassigned { cause, agents, steps, agent: None })))
                    }
                }
            }
            StallStrategy::Escalate => self.investigation(cx).unwrap_or_else(noted),
        }
    }

    /// A task that looks into why this one does not move (S2-49…51). None is born for one that is an investigation itself, or where
    /// tasks are born too deep already.
    fn investigation(&self, cx: &Context<'_>) -> Option<Draft> {
        if self.facts.related.is_some() || self.facts.depth >= super::next::DEPTH_MAX {
            return None;
        }
        let task = TaskId::derived(self.id, self.version, 0);
        let request = Request {
            description: Some(format!("Investigate stalled task: {}", self.id)),
            priority: Priority::High,
            tags: vec!["escalation".into(), "stalled_task".into()],
            external_id: Some(format!("{INVESTIGATION}{}_{:08x}", self.id, task.bits() as u32)),
            namespace: Some(self.facts.namespace.to_string()),
            related_task_id: Some(self.id),
            ..Request::default()
        };
        let mut submission: Submission = crate::request::check(&request, cx.now, cx.policy).ok()?;
        submission.facts.depth = self.facts.depth + 1;
        cx.births.admit(task, &submission.facts).ok()?;
        Some(Draft { birth: Some(Box::new(submission)), ..Draft::new(Event::StallEscalated { task }) })
    }

    /// Offers what was kept for an agent, is with one, or was with one that fell silent, to another or to anybody.
    pub(super) fn reassign(&self, agent: Option<AgentId>, reason: &str, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if cx.actor.kind == ActorKind::Ai {
            return Err(Refusal::Forbidden("an agent takes no work from another".into()));
        }
        let mut steps = self.held_by(|_| true);
        let offline = self.board.blocked.iter().filter(|(_, why)| **why == BlockReason::AgentOffline);
        steps.extend(offline.map(|(i, _)| self.board.steps[*i as usize].path.clone()));
        let mut agents = self.kept_for(&steps);
        if steps.is_empty() && agents.iter().all(|kept| Some(*kept) == agent) && (agent.is_none() || !agents.is_empty()) {
            return Err(match agent {
                Some(agent) => invalid("agent", &format!("{agent}: its work is kept for that agent already")),
                None => self.not_now("reassign", "nothing of it is with an agent, kept for one, or held up because of one"),
            });
        }
        agents.retain(|kept| Some(*kept) != agent);
        let reassigned = Reassigned { cause: ReassignCause::Requested, agents, steps, agent };
        Ok(Draft::because(Event::Reassigned(Box::new(reassigned)), bounded(reason)?).into())
    }

    /// The agent of a step fell silent, and the house has waited for it long enough.
    pub(super) fn offline_too_long(&self, i: u32) -> Draft {
        let steps = vec![self.board.steps[i as usize].path.clone()];
        let agents = self.kept_for(&steps);
        Draft::new(Event::Reassigned(Box::new(Reassigned { cause: ReassignCause::AgentOffline, agents, steps, agent: None })))
    }

    /// Steps under such a lease.
    fn held_by(&self, which: impl Fn(&crate::board::Lease) -> bool) -> Vec<Box<str>> {
        if self.board.leases == 0 {
            return Vec::new();
        }
        let held = self.board.all().filter(|i| self.board.cell(*i).lease.as_deref().is_some_and(&which));
        held.map(|i| self.board.steps[i as usize].path.clone()).collect()
    }

    /// The agents for which alone these steps, or what is offered now, are kept.
    fn kept_for(&self, steps: &[Box<str>]) -> Vec<AgentId> {
        let pinned = |path: &str| self.board.steps[self.board.find(path)? as usize].agent;
        let mut agents: BTreeSet<AgentId> = steps.iter().filter_map(|path| pinned(path)).collect();
        agents.extend(self.facts.agent);
        agents.extend(self.board.offers.keys().filter_map(|key| key.split_once('@')?.1.parse::<AgentId>().ok()));
        agents.into_iter().collect()
    }

    /// What has happened: whoever held these steps holds them no more, and what was kept for these agents is so no longer.
    pub(super) fn reassigned(&mut self, what: &Reassigned, at: Time) {
        for from in &what.agents {
            self.board.hand_over(Some(*from), what.agent);
        }
        if let Some(agent) = what.agent {
            self.facts.agent = Some(agent);
            self.board.hand_over(None, Some(agent));
        } else if self.facts.agent.is_some_and(|agent| what.agents.contains(&agent)) {
            self.facts.agent = None;
        }
        for path in &what.steps {
            self.with_step(path, |task, i| match task.board.cell(i).lease {
                Some(_) => {
                    task.clear_attempt_timers(i);
                    task.board.cell_mut(i).reported = None;
                    if !planted::is(Fault::ReassignUnfenced) {
                        task.board.release(i);
                    }
                    task.unsettled_effects(path);
                    task.board.offer(i);
                }
                None if task.board.blocked.get(&i) == Some(&BlockReason::AgentOffline) => task.board.unblock(i),
                None => {}
            });
        }
        (self.stalled, self.stall_told, self.stall_at) = (false, what.cause == ReassignCause::Stalled, None);
        self.queue_steps(at);
    }

    /// Steps whose agent fell silent are watched until they are offered to others; where something else became of them, no longer.
    pub(super) fn mind_the_offline(&mut self) {
        if self.offline.is_empty() {
            return;
        }
        let held_up = |i: &u32| self.board.blocked.get(i) == Some(&BlockReason::AgentOffline);
        let over: Vec<u32> = self.offline.iter().filter(|i| !held_up(i)).copied().collect();
        for i in over {
            self.offline.remove(&i);
            self.soft.clear(Timer::Reassign(i));
        }
    }
}
