//! Who and what is trusted with work: how attempts end is counted here, and turns the circuit breakers of agents, tools and models. Counts
//! are in memory; that a breaker turned is an event, written as an errand of the writer's own in its next batch.

use super::batch::{Attempt, Try};
use super::parked::Parked;
use super::{Job, Known, Writer};
use crate::directory::Directory;
use crate::store::{Store, StoreError};
use ephor_core::agent::AgentCommand;
use ephor_core::breaker::{Breaker, BreakerOf, BreakerPolicy, BreakerState, Opened, Turn};
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, StreamKind, TaskId};
use ephor_core::matching::Key;
use ephor_core::namespace::NamespaceEvent;
use ephor_core::planted::{self, Fault};
use ephor_core::spec::ErrorClass;
use ephor_core::time::Time;
use ephor_core::work::WorkKey;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The most tools and models one engine remembers failures of; those that are calm are forgotten first.
const TOOLS_MAX: usize = 10_000;

/// A tool or a model, where it is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tool {
    pub(crate) namespace: Box<str>,
    pub(crate) of: BreakerOf,
    pub(crate) name: Box<str>,
}

/// Which tools and models work under this key uses.
fn tools<'k>(namespace: &'k str, key: &'k str) -> impl Iterator<Item = Tool> + 'k {
    let key = Key::read(key);
    let named = move |of, name: &str| Tool { namespace: namespace.into(), of, name: name.into() };
    std::iter::once(named(BreakerOf::Tool, key.words)).chain(key.model.map(move |model| named(BreakerOf::Model, model)))
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) agent: AgentId,
    pub(super) task: TaskId,
    /// How it failed; nothing where it went well.
    pub(super) class: Option<ErrorClass>,
    /// Whether it was the first attempt. What failed before and fails again speaks against the task: else those that nobody can do, which
    /// come back one after the other, would take the trust from everybody.
    pub(super) first: bool,
    /// The namespace and key of a step, where that matters.
    pub(super) key: Option<(Box<str>, Box<str>)>,
}

/// Breakers of tools and models, as others see them.
pub(crate) type Board = Arc<Mutex<BTreeMap<Tool, (Breaker, Opened)>>>;

/// What is remembered of tools and models, and what has to be written about breakers.
#[derive(Debug, Default)]
pub(super) struct Trust {
    tools: BTreeMap<Tool, Breaker>,
    /// Of them, those that are not closed.
    shut: BTreeSet<Tool>,
    /// Attempts that half-open tools are tried with.
    tries: HashMap<Attempt, Vec<Tool>>,
    /// When a rest is over, on the monotonic clock, and whose.
    rests: BTreeSet<(u64, Resting)>,
    /// Turns to be written.
    pub(super) errands: Vec<Job>,
    /// Agents that wait although there may be work, because they hold as much as they may.
    pub(super) full: HashSet<AgentId>,
    /// What others see.
    pub(super) board: Board,
}

/// Whose breaker is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resting {
    Agent(AgentId),
    Tool(Tool),
}

impl Trust {
    /// Whether every tool and model may be used.
    pub(super) fn is_open(&self) -> bool {
        self.shut.is_empty()
    }

    /// Whether work under this key is not given out now.
    pub(super) fn is_shut(&self, namespace: &str, key: &str, now: Time) -> bool {
        !self.shut.is_empty() && tools(namespace, key).any(|tool| self.rests(&tool, now))
    }

    /// The models of a namespace that are not to be used now. Those that are being tried again are none of them.
    pub(super) fn shut_models(&self, namespace: &str, now: Time) -> Vec<Box<str>> {
        if self.shut.is_empty() {
            return Vec::new();
        }
        let is_shut = |tool: &&Tool| {
            let here = tool.of == BreakerOf::Model && *tool.namespace == *namespace;
            here && self.tools.get(*tool).is_some_and(|breaker| breaker.state(now) == BreakerState::Open)
        };
        self.shut.iter().filter(is_shut).map(|tool| tool.name.clone()).collect()
    }

    /// Whether work under these two keys uses the same tool or model, and that is not trusted.
    pub(super) fn shares(&self, namespace: &str, one: &str, other: &str) -> bool {
        tools(namespace, one).any(|tool| self.shut.contains(&tool) && tools(namespace, other).any(|used| used == tool))
    }

    fn rests(&self, tool: &Tool, now: Time) -> bool {
        if !self.shut.contains(tool) || planted::is(Fault::BreakerIgnored) {
            return false;
        }
        match self.tools[tool].state(now) {
            BreakerState::Closed => false,
            BreakerState::Open => true,
            BreakerState::HalfOpen => self.tries.values().any(|tried| tried.contains(tool)),
        }
    }

    /// Work under this key was given out: what is half-open is tried with it.
    pub(super) fn try_with(&mut self, namespace: &str, key: &str, attempt: Attempt) {
        let tried: Vec<Tool> = tools(namespace, key).filter(|tool| self.shut.contains(tool)).collect();
        if tried.is_empty() {
            return;
        }
        for tool in &tried {
            if let Some(breaker) = self.tools.get_mut(tool).filter(|breaker| breaker.is_untried()) {
                breaker.turn(Turn::HalfOpen);
                self.errands.push(turned(tool, Turn::HalfOpen));
            }
        }
        self.tries.insert(attempt, tried);
    }

    /// An attempt holds nothing any more. Answers whether something may be tried again because of that.
    pub(super) fn tried(&mut self, task: TaskId, work: &WorkKey, attempt: u32) -> bool {
        !self.tries.is_empty() && self.tries.remove(&(task, work.clone(), attempt)).is_some()
    }

    /// Whether anything is remembered of tools and models: else what goes well says nothing about them.
    pub(super) fn remembers(&self) -> bool {
        !self.tools.is_empty()
    }

    /// An attempt was taken back from its holder, who may hold another one now.
    pub(super) fn ended_otherwise(&mut self, agent: AgentId, parked: &mut Parked) {
        if self.full.remove(&agent) {
            parked.wake_those(|id| id == agent);
        }
    }

    /// What nobody holds is not being tried.
    pub(super) fn keep_tries(&mut self, held: impl Fn(&Attempt) -> bool) {
        self.tries.retain(|attempt, _| held(attempt));
    }

    /// A tool or model was used.
    fn heard(&mut self, tool: Tool, ended: &Ended, now: Time, mono: u64, policy: &BreakerPolicy) {
        let fault = ended.class.filter(|class| tool.of.is_to_blame(*class));
        // What failed through no fault of the tool says nothing about it.
        if ended.class.is_some() && fault.is_none() {
            return;
        }
        if fault.is_some() && !self.tools.contains_key(&tool) && self.tools.len() >= TOOLS_MAX {
            return;
        }
        if fault.is_none() && !self.tools.contains_key(&tool) {
            return;
        }
        let breaker = self.tools.entry(tool.clone()).or_default();
        let turn = breaker.heard(ended.task, fault, now, policy);
        if breaker.is_calm() {
            self.tools.remove(&tool);
        }
        if let Some(turn) = turn {
            self.errands.push(turned(&tool, turn));
            self.turn(tool, turn, now, mono);
        }
    }

    /// A breaker of a tool or model turned.
    pub(super) fn turn(&mut self, tool: Tool, turn: Turn, now: Time, mono: u64) {
        let breaker = self.tools.entry(tool.clone()).or_default();
        breaker.turn(turn);
        let opened = breaker.opened();
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        match opened {
            Some(opened) => {
                board.insert(tool.clone(), (breaker.clone(), opened));
                self.shut.insert(tool.clone());
            }
            None => {
                board.remove(&tool);
                self.shut.remove(&tool);
                self.tools.remove(&tool);
            }
        }
        drop(board);
        if let Turn::Open(opened) = turn {
            self.rest(Resting::Tool(tool), opened, now, mono);
        }
    }

    /// Looks again when a rest is over.
    pub(super) fn rest(&mut self, who: Resting, opened: Opened, now: Time, mono: u64) {
        self.rests.insert((mono + opened.until.since(now), who));
    }

    /// When the first rest is over, on the monotonic clock.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.rests.first().map(|(at, _)| *at)
    }

    /// Whose rest is over.
    pub(super) fn rested(&mut self, mono: u64) -> Vec<Resting> {
        let mut over = Vec::new();
        while self.rests.first().is_some_and(|(at, _)| *at <= mono) {
            over.extend(self.rests.pop_first().map(|(_, who)| who));
        }
        over
    }
}

/// The fact that a breaker of a tool or model turned.
fn turned(tool: &Tool, turn: Turn) -> Job {
    let (of, name) = (tool.of, tool.name.clone());
    let event = match turn {
        Turn::Open(opened) => NamespaceEvent::BreakerOpened { of, name, opened },
        Turn::HalfOpen => NamespaceEvent::BreakerHalfOpened { of, name },
        Turn::Close => NamespaceEvent::BreakerClosed { of, name },
    };
    Job::Namespace { name: tool.namespace.clone(), event, actor: Actor::settle() }
}

/// What a fact about a namespace makes of a breaker.
fn turn_of(event: &NamespaceEvent) -> Option<(BreakerOf, &str, Turn)> {
    match event {
        NamespaceEvent::BreakerOpened { of, name, opened } => Some((*of, name, Turn::Open(*opened))),
        NamespaceEvent::BreakerHalfOpened { of, name } => Some((*of, name, Turn::HalfOpen)),
        NamespaceEvent::BreakerClosed { of, name } => Some((*of, name, Turn::Close)),
        NamespaceEvent::SubmissionRefused { .. }
        | NamespaceEvent::KeyCreated(_)
        | NamespaceEvent::KeyRevoked { .. }
        | NamespaceEvent::HoldPlaced(_)
        | NamespaceEvent::HoldReleased(_)
        | NamespaceEvent::HoldLifted { .. }
        | NamespaceEvent::LimitSet(_)
        | NamespaceEvent::LimitRemoved { .. } => None,
    }
}

impl<S: Store> Writer<S> {
    /// A fact about a namespace is written, or was read at the start.
    pub(super) fn learn(&mut self, namespace: &str, event: &NamespaceEvent, now: Time, mono: u64) {
        if let Some((of, name, turn)) = turn_of(event) {
            let tool = Tool { namespace: namespace.into(), of, name: name.into() };
            self.trust.turn(tool, turn, now, mono);
            if turn == Turn::Close {
                self.parked.wake_those(|_| true);
            }
            if of == BreakerOf::Model && matches!(turn, Turn::Open(_)) {
                // Whose model the house chose takes another one.
                self.again.extend(self.ready.asking_for(namespace, name));
            }
        }
    }

    /// Reads which breakers are open.
    pub(super) fn read_trust(&mut self, now: Time, mono: u64) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let page = self.reader.streams(StreamKind::Namespace, after, 500)?;
            let Some(last) = page.last() else { break };
            after = last.number;
            for listed in page {
                let mut version = 0;
                loop {
                    let events = self.reader.stream_events(listed.stream, version, 500)?;
                    let Some(last) = events.last() else { break };
                    version = last.version;
                    for stored in events.iter().filter(|e| e.kind.starts_with("BREAKER_")) {
                        let event: NamespaceEvent = serde_json::from_str(&stored.data).map_err(|e| StoreError::Corrupt {
                            stream: stored.stream,
                            version: stored.version,
                            why: e.to_string(),
                        })?;
                        self.learn(&listed.row.namespace, &event, now, mono);
                    }
                }
            }
        }
        let open: Vec<_> = self.agents.values().filter_map(|k| Some((k.agent.id, k.agent.breaker.opened()?))).collect();
        for (id, opened) in open {
            self.trust.rest(Resting::Agent(id), opened, now, mono);
        }
        Ok(())
    }

    /// How many more pieces of work an agent may be given, besides `given` in the batch that is being decided; none where that is as many
    /// as it asks for.
    pub(super) fn room(&self, agent: AgentId, given: u32, now: Time) -> Option<u32> {
        let known = self.agents.get(&agent)?;
        let slots = known.agent.registration.as_ref().and_then(|said| said.slots).filter(|_| !planted::is(Fault::SlotsIgnored));
        let trusted = match known.agent.breaker.state(now) {
            BreakerState::Closed => None,
            BreakerState::Open if planted::is(Fault::BreakerIgnored) => None,
            BreakerState::Open => Some(0),
            BreakerState::HalfOpen => Some(1),
        };
        let leases = self.leases();
        // Who fell silent gets little at a time until it has done some of it well.
        let probation = leases.probation(agent).map(|_| self.policy.probation_slots);
        let most = slots.into_iter().chain(trusted).chain(probation).min()?;
        let held = leases.count_of(agent) as u32 + given;
        Some(most.saturating_sub(held))
    }

    /// Attempts have ended, and it is written that they have.
    pub(super) fn hear(&mut self, ended: Vec<Ended>, now: Time, mono: u64) {
        let policy = self.policy.breaker;
        for one in ended {
            self.directory.count(one.agent, one.class);
            let says_nothing = one.class.is_some() && !one.first;
            if !says_nothing
                && let Some(known) = self.agents.get_mut(&one.agent)
                && let Some((turn, opened)) = hear_agent(known, &one, now, &policy)
            {
                let command = AgentCommand::Breaker(turn);
                self.trust.errands.push(Job::Agent { id: one.agent, command, actor: Actor::settle() });
                opened.into_iter().for_each(|opened| self.trust.rest(Resting::Agent(one.agent), opened, now, mono));
            }
            if let Some((namespace, key)) = one.key.as_ref().filter(|_| !says_nothing) {
                for tool in tools(namespace, key) {
                    self.trust.heard(tool, &one, now, mono, &policy);
                }
            }
            if self.trust.full.remove(&one.agent) {
                self.parked.wake_those(|id| id == one.agent);
            }
        }
    }

    /// An agent whose rest is over is given something to try.
    pub(super) fn half_open(&mut self, agent: AgentId) {
        if let Some(known) = self.agents.get_mut(&agent).filter(|known| known.agent.breaker.is_untried()) {
            known.agent.breaker.turn(Turn::HalfOpen);
            let command = AgentCommand::Breaker(Turn::HalfOpen);
            self.trust.errands.push(Job::Agent { id: agent, command, actor: Actor::settle() });
        }
    }

    /// What was given out while a tool was not trusted is what it is tried with, if it was written.
    pub(super) fn try_out(&mut self, tries: &[Try]) {
        if tries.is_empty() {
            return;
        }
        let leases = self.leases.lock().expect("nobody panics while holding the leases");
        let held = |(task, work, attempt): &Attempt| leases.is_held(*task, work, *attempt);
        for one in tries.iter().filter(|one| held(&one.attempt)) {
            self.trust.try_with(&one.namespace, &one.key, one.attempt.clone());
        }
        self.trust.keep_tries(held);
    }

    /// Rests that are over: whoever waits looks again.
    pub(super) fn end_rests(&mut self, now: Time, mono: u64) {
        for who in self.trust.rested(mono) {
            let opened = match &who {
                Resting::Agent(id) => self.agents.get(id).and_then(|known| known.agent.breaker.opened()),
                Resting::Tool(tool) => self.trust.tools.get(tool).and_then(Breaker::opened),
            };
            let Some(opened) = opened else { continue };
            if now < opened.until {
                self.trust.rest(who, opened, now, mono);
                continue;
            }
            match who {
                Resting::Agent(id) => {
                    self.trust.full.remove(&id);
                    self.parked.wake_those(|waiting| waiting == id);
                }
                Resting::Tool(_) => self.parked.wake_those(|_| true),
            }
        }
    }

    /// Breakers of tools and models that are not closed, for those who look.
    pub(crate) fn breakers(&self) -> Board {
        self.trust.board.clone()
    }

    /// How good a choice an agent is for the next piece of work, less being better: how much it holds, then how often it failed lately.
    pub(super) fn standing(leases: &crate::leases::Leases, directory: &Directory, agent: AgentId) -> (usize, u32) {
        (leases.count_of(agent), directory.record(agent).lately_failed_tenths())
    }
}

/// What the end of an attempt says about the agent. One that lives in the engine's own process lives and dies with it, and only does what
/// it is told.
fn hear_agent(known: &mut Known, ended: &Ended, now: Time, policy: &BreakerPolicy) -> Option<(Turn, Option<Opened>)> {
    if known.agent.registration.as_ref().is_some_and(|said| said.in_process) {
        return None;
    }
    let fault = ended.class.filter(|class| BreakerOf::Agent.is_to_blame(*class));
    if ended.class.is_some() && fault.is_none() {
        return None;
    }
    let turn = known.agent.breaker.heard(ended.task, fault, now, policy)?;
    known.agent.breaker.turn(turn);
    Some((turn, known.agent.breaker.opened().filter(|_| turn != Turn::HalfOpen)))
}
