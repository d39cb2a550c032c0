//! People who place holds and set limits, and lift and remove them.

use super::answers::What;
use super::world::World;
use crate::flow::{self, Flow};
use ephor_core::flow::{Facts, Hold, NewLimit, Pass, Place, Rate, Release, Running, Scope};
use ephor_core::id::{AgentId, HoldId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::task::Task;
use ephor_core::time::{Time, WireDuration};
use std::collections::HashMap;

/// The namespaces there are.
const NAMESPACES: [&str; 2] = ["default", "other"];
/// What a rate may need to be sure of having room, in milliseconds: the writer looks once for each turn.
const LATE: u64 = 1_000;

impl World {
    /// Somebody says what may be handed out.
    pub(super) fn steer_flow(&mut self) {
        let facts = self.process.writer.flow().facts();
        let holds: Vec<HoldId> = facts.holds().map(|standing| standing.hold.id).collect();
        let held = self.chance.pick(&holds).copied();
        let namespace: Option<Box<str>> = self.chance.percent(50).then(|| self.chance.word(&NAMESPACES).into());
        let event = match (self.chance.below(10), held) {
            (0..2, _) => {
                let agents = self.agent_ids();
                let agent = self.chance.pick(&agents).copied().filter(|_| self.chance.percent(40));
                let scope = Scope { namespace: namespace.filter(|_| agent.is_none()), task_type: None, agent };
                let running = if self.chance.percent(50) { Running::Stop } else { Running::Finish };
                let id = HoldId::new(self.now().0, self.chance.bytes());
                self.count("hold placed");
                NamespaceEvent::HoldPlaced(Box::new(Hold { id, scope, running, reason: "so".into() }))
            }
            (2..6, Some(id)) => NamespaceEvent::HoldLifted { id },
            (6, Some(id)) => {
                let (count, window_ms) = (self.chance.between(1, 3) as u32, self.chance.between(1, 20) * 1_000);
                let rate = self.chance.percent(70).then_some(Rate { count, window_ms });
                NamespaceEvent::HoldReleased(Box::new(Release { id, namespace, task_type: None, rate }))
            }
            (7, _) => NamespaceEvent::LimitRemoved { namespace: None, name: self.chance.word(&["l", "m"]).into() },
            _ => {
                let by = self.chance.percent(50).then(|| self.chance.word(&["payload.n", "namespace"]).to_owned());
                let per = self.chance.percent(40).then(|| WireDuration { ms: self.chance.between(1, 20) * 1_000 });
                let wish = NewLimit { namespace: None, task_type: None, max: self.chance.between(1, 4) as u32, per, by };
                NamespaceEvent::LimitSet(Box::new(wish.limit(self.chance.word(&["l", "m"]))))
            }
        };
        self.ask(What::Fact { event });
    }

    /// All holds are lifted, and often all limits removed.
    pub(super) fn let_all_go(&mut self) {
        let facts = self.process.writer.flow().facts();
        let lifted = facts.holds().map(|standing| NamespaceEvent::HoldLifted { id: standing.hold.id });
        let gone = |name: &str| NamespaceEvent::LimitRemoved { namespace: None, name: name.into() };
        let removed = facts.limits().map(|set| gone(&set.limit.name)).filter(|_| self.chance.percent(50));
        for event in lifted.chain(removed.collect::<Vec<_>>()).collect::<Vec<_>>() {
            self.ask(What::Fact { event });
        }
    }
}

/// What may be handed out, as whoever watches counts it.
pub(super) struct May<'a> {
    facts: &'a Facts,
    flow: &'a Flow,
    running: HashMap<Place, usize>,
    sure: Time,
}

impl<'a> May<'a> {
    /// Counts what each of these tasks has in the hands of agents.
    pub(super) fn count<'t>(facts: &'a Facts, flow: &'a Flow, now: Time, tasks: impl Iterator<Item = (&'t Task, usize)>) -> Self {
        let mut running: HashMap<Place, usize> = HashMap::new();
        for (task, leases) in tasks.filter(|_| !facts.is_empty()) {
            for place in facts.places(&task.facts.namespace, &task.facts.task_type, &|by: &str| task.key(by)) {
                *running.entry(place).or_default() += leases;
            }
        }
        Self { facts, flow, running, sure: Time(now.0.saturating_sub(LATE as i64)) }
    }

    /// Whether this agent may be given work of a task.
    pub(super) fn have(&self, agent: AgentId, task: &Task) -> bool {
        let Pass::Through(places) = flow::pass(self.facts, task) else { return false };
        let free = |place: &Place| match self.facts.rule(place) {
            Some(rule) if rule.window_ms.is_none() => self.running.get(place).is_none_or(|count| *count < rule.max as usize),
            Some(_) => self.flow.counts().is_free(place, self.facts, self.sure),
            None => true,
        };
        self.facts.over_agent(agent).is_none() && places.iter().all(free)
    }
}
