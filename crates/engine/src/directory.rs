//! Who is known: the writer's agents for those who look, and when each was last heard of. In memory; the streams say what is true.

use ephor_core::agent::Agent;
use ephor_core::id::AgentId;
use ephor_core::spec::ErrorClass;
use ephor_core::time::Time;
use ephor_core::validation::{Crowd, Lack, Surroundings};
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Every agent, by id and by its own name.
#[derive(Debug, Default)]
pub(crate) struct Directory(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    agents: BTreeMap<AgentId, Entry>,
    names: HashMap<Box<str>, AgentId>,
    /// What those who take work have, all in all.
    crowd: Arc<Crowd>,
}

/// Who is there, for requests that are checked: as it was when the first of them asked, and nothing to those that do not ask.
pub(crate) struct Registered<'d> {
    directory: &'d Directory,
    crowd: OnceCell<Arc<Crowd>>,
}

impl Surroundings for Registered<'_> {
    fn lacking(&self, namespace: &str, key: &str) -> Option<Lack> {
        self.crowd.get_or_init(|| self.directory.read().crowd.clone()).lacking(namespace, key)
    }
}

#[derive(Debug)]
struct Entry {
    agent: Arc<Agent>,
    /// Milliseconds since 1970; 0 where it has not been heard of since the start.
    seen: AtomicI64,
    /// How many of its wishes for work wait for an answer.
    wishes: AtomicI64,
    well: AtomicU64,
    badly: AtomicU64,
    /// How many of its last attempts failed, in thousandths, the latest counting most.
    lately: AtomicU32,
}

/// How an agent did since the engine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackRecord {
    /// Attempts that went well.
    pub succeeded: u64,
    /// Attempts that failed, whosever fault it was.
    pub failed: u64,
    /// How many of the latest failed, from 0 to 1,000: each attempt counts for an eighth, what was before for the rest.
    pub lately_failed: u32,
}

impl TrackRecord {
    /// The same, rounded: what hardly differs is the same.
    pub(crate) fn lately_failed_tenths(self) -> u32 {
        self.lately_failed / 100
    }
}

impl Directory {
    /// Notes where an agent is now.
    pub(crate) fn put(&self, agent: &Agent) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let State { agents, crowd, .. } = &mut *state;
        Crowd::turned(crowd, agents.get(&agent.id).map(|entry| &*entry.agent), agent);
        if let Some(name) = agent.registration.as_ref().and_then(|said| said.external_id.as_deref()) {
            state.names.insert(name.into(), agent.id);
        }
        let known = Arc::new(agent.clone());
        match state.agents.get_mut(&agent.id) {
            Some(entry) => entry.agent = known,
            None => {
                let entry = Entry {
                    agent: known,
                    seen: AtomicI64::new(0),
                    well: AtomicU64::new(0),
                    badly: AtomicU64::new(0),
                    lately: AtomicU32::new(0),
                    wishes: AtomicI64::new(0),
                };
                state.agents.insert(agent.id, entry);
            }
        }
    }

    /// Who is there, for a request that is checked.
    pub(crate) fn registered(&self) -> Registered<'_> {
        Registered { directory: self, crowd: OnceCell::new() }
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

    /// An attempt of an agent ended.
    pub(crate) fn count(&self, id: AgentId, failed: Option<ErrorClass>) {
        let state = self.read();
        // A wish to end it is nobody's failure.
        let Some(entry) = state.agents.get(&id).filter(|_| failed != Some(ErrorClass::Cancelled)) else { return };
        let (counter, now) = if failed.is_some() { (&entry.badly, 1_000) } else { (&entry.well, 0) };
        counter.fetch_add(1, Ordering::Relaxed);
        // One thread counts.
        let before = entry.lately.load(Ordering::Relaxed);
        entry.lately.store((before * 7 + now) / 8, Ordering::Relaxed);
    }

    /// How an agent did since the start.
    pub(crate) fn record(&self, id: AgentId) -> TrackRecord {
        let state = self.read();
        let of = |entry: &Entry| TrackRecord {
            succeeded: entry.well.load(Ordering::Relaxed),
            failed: entry.badly.load(Ordering::Relaxed),
            lately_failed: entry.lately.load(Ordering::Relaxed),
        };
        state.agents.get(&id).map(of).unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
