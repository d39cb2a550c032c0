//! Who is known: the writer's agents for those who look, and when each was last heard of. In memory; the streams say what is true.

use ephor_core::agent::Agent;
use ephor_core::id::AgentId;
use ephor_core::time::Time;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Every agent, by id and by its own name.
#[derive(Debug, Default)]
pub(crate) struct Directory(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    agents: BTreeMap<AgentId, Entry>,
    names: HashMap<Box<str>, AgentId>,
}

#[derive(Debug)]
struct Entry {
    agent: Arc<Agent>,
    /// Milliseconds since 1970; 0 where it has not been heard of since the start.
    seen: AtomicI64,
    /// How many of its wishes for work wait for an answer.
    wishes: AtomicI64,
}

impl Directory {
    /// Notes where an agent is now.
    pub(crate) fn put(&self, agent: &Agent) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = agent.registration.as_ref().and_then(|said| said.external_id.as_deref()) {
            state.names.insert(name.into(), agent.id);
        }
        let known = Arc::new(agent.clone());
        match state.agents.get_mut(&agent.id) {
            Some(entry) => entry.agent = known,
            None => {
                drop(state.agents.insert(agent.id, Entry { agent: known, seen: AtomicI64::new(0), wishes: AtomicI64::new(0) }))
            }
        }
    }

    /// One agent.
    pub(crate) fn get(&self, id: AgentId) -> Option<Arc<Agent>> {
        self.read().agents.get(&id).map(|entry| entry.agent.clone())
    }

    /// The agent that goes by this name of its own, now or earlier.
    pub(crate) fn named(&self, name: &str) -> Option<AgentId> {
        self.read().names.get(name).copied()
    }

    /// Agents behind an id, in the order they were made.
    pub(crate) fn after(&self, id: Option<AgentId>) -> Vec<Arc<Agent>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = id.map_or(Unbounded, Excluded);
        self.read().agents.range((from, Unbounded)).map(|(_, entry)| entry.agent.clone()).collect()
    }

    /// An agent was heard of.
    pub(crate) fn heard(&self, id: AgentId, now: Time) {
        if let Some(entry) = self.read().agents.get(&id) {
            entry.seen.fetch_max(now.0, Ordering::Relaxed);
        }
    }

    /// An agent asks for work and waits for the answer. Answers whether it is known, and so has to be counted back.
    pub(crate) fn begins_to_ask(&self, id: AgentId) -> bool {
        self.read().agents.get(&id).map(|entry| entry.wishes.fetch_add(1, Ordering::Relaxed)).is_some()
    }

    /// It has its answer, or has left.
    pub(crate) fn asked(&self, id: AgentId) {
        if let Some(entry) = self.read().agents.get(&id) {
            entry.wishes.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether an agent waits for work.
    pub(crate) fn asks(&self, id: AgentId) -> bool {
        self.read().agents.get(&id).is_some_and(|entry| entry.wishes.load(Ordering::Relaxed) > 0)
    }

    /// When an agent was last heard of since the start.
    pub(crate) fn seen(&self, id: AgentId) -> Option<Time> {
        let seen = self.read().agents.get(&id)?.seen.load(Ordering::Relaxed);
        (seen > 0).then_some(Time(seen))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
