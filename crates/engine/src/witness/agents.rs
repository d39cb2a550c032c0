//! Work that waited for an agent, and work that was taken from one: whether either was right.

use super::{Approval, Rule, Said, Witness};
use ephor_core::event::{ActorKind, ReassignCause, Reassigned};
use ephor_core::work::WorkKey;

impl Witness {
    /// Nothing counts as stalled that somebody works on, that waits for anything else than an agent, or that has not waited long enough.
    pub(super) fn has_waited(&mut self, said: &Said<'_>) {
        let waited = u64::try_from(said.at - self.touched_at).unwrap_or(0);
        let in_the_way = [
            (!self.released, "it is not released"),
            (matches!(self.approval, Approval::Owed | Approval::Refused), "its approval is owed"),
            (self.acceptance_owed, "its plan waits for a person"),
            (self.paused, "it is paused"),
            (self.escalated.is_some(), "a decision about it is owed"),
            (!self.dependencies.is_empty(), "it depends on others"),
            (self.leases.values().any(|held| held.started), "somebody works on it"),
            (self.stall_ms.is_none_or(|ms| waited <= ms), "it has not waited long enough"),
        ];
        for (stands, what) in in_the_way {
            if stands {
                self.breach(Rule::Undecided, format!("it was said to have waited too long for an agent although {what}"));
            }
        }
    }

    /// Work is taken from an agent by a person, or by time where it had not begun or was not heard of.
    pub(super) fn reassigned(&mut self, what: &Reassigned, said: &Said<'_>) {
        match (what.cause, said.actor.kind) {
            (ReassignCause::Stalled, ActorKind::System) => self.has_waited(said),
            (ReassignCause::AgentOffline, ActorKind::System) => {}
            (ReassignCause::Requested, ActorKind::Human | ActorKind::System) => {}
            (ReassignCause::Stalled | ReassignCause::AgentOffline, ActorKind::Human)
            | (ReassignCause::Stalled | ReassignCause::AgentOffline | ReassignCause::Requested, ActorKind::Ai) => {
                self.breach(Rule::Undecided, format!("{} took its work from an agent", said.actor));
            }
        }
        for step in &what.steps {
            self.leases.remove(&WorkKey::Step(step.clone()));
        }
        for agent in &what.agents {
            self.steps.hand_over(Some(*agent), what.agent);
        }
        if let Some(agent) = what.agent {
            self.agent = Some(agent);
            self.steps.hand_over(None, Some(agent));
        } else if self.agent.is_some_and(|agent| what.agents.contains(&agent)) {
            self.agent = None;
        }
        self.stalled = false;
    }
}
