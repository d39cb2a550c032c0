//! Agents whose lease lapsed: they get little at a time until they have done some of it well. In memory alone, as leases are.

use super::Writer;
use crate::store::Store;
use ephor_core::event::{Actor, ActorKind, Event};
use ephor_core::id::TaskId;
use ephor_core::spec::ErrorClass;
use ephor_core::status::BlockReason;
use ephor_core::work::WorkKey;

impl<S: Store> Writer<S> {
    /// Notes what an event says about the agent of an attempt. Done before it is written: at worst somebody gets a little less, or a
    /// little more, after a write that failed.
    pub(super) fn note_attempt(&mut self, task: TaskId, event: &Event, actor: &Actor, mono: u64) {
        match event {
            Event::AttemptSucceeded(done) => {
                let agent = self.leases().worked(task, &done.work, done.attempt, mono);
                if let Some(agent) = agent {
                    self.parked.wake_those(|waiting| waiting == agent);
                }
            }
            // An agent may say of itself that it lost another one.
            Event::AttemptFailed(failed) if failed.class == ErrorClass::AgentLost && actor.kind == ActorKind::System => {
                self.lost(task, &failed.work, mono);
            }
            Event::StepBlocked { step, reason: BlockReason::AgentOffline, .. } => {
                self.lost(task, &WorkKey::Step(step.clone()), mono);
            }
            _ => {}
        }
    }

    fn lost(&mut self, task: TaskId, work: &WorkKey, mono: u64) {
        let Some(lease) = self.leases().view(task, work, mono) else { return };
        let inside = |known: &super::Known| known.agent.registration.as_ref().is_some_and(|said| said.in_process);
        // Those inside an engine end with it, and with nothing else.
        if !self.agents.get(&lease.agent).is_some_and(inside) {
            self.leases().put_on_probation(lease.agent, self.policy.probation_successes);
        }
    }
}
