//! Who is registered, as far as plans ask for it: agents by what they have and where they work, never by name, so that a thousand of the
//! same count as one. Kept by the engine as agents come and go; asked for work that the built-in agents cannot do.

use super::feasible::{Lack, Surroundings};
use crate::agent::{Agent, AgentStatus};
use crate::matching::{Able, Key, Misfit, lacking};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many sorts of agents are compared with one piece of work; where more have its rarest word and none of these fits, it is not known
/// whether one does.
const SORTS_MAX: usize = 1_000;

/// Agents that are the same to work.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sort {
    /// The only namespace they work for.
    namespace: Option<Box<str>>,
    able: Able,
}

impl Sort {
    /// What an agent is to work; none where it takes none any more.
    fn of(agent: &Agent) -> Option<Self> {
        let takes = match agent.status {
            AgentStatus::Active => true,
            AgentStatus::Draining | AgentStatus::Revoked => false,
        };
        let said = agent.registration.as_ref().filter(|_| takes)?;
        Some(Self { namespace: said.namespace.clone(), able: Able::clone(&agent.able()) })
    }

    fn works_in(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

/// Every agent that takes work.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// How many there are of each.
    sorts: HashMap<Arc<Sort>, u32>,
    /// Those that can do something.
    by_word: BTreeMap<Box<str>, Vec<Arc<Sort>>>,
}

impl Crowd {
    /// An agent is no longer what it was; `before` is nothing where nobody had heard of it. Whoever still looks at the old crowd goes on
    /// seeing it.
    pub fn turned(this: &mut Arc<Self>, before: Option<&Agent>, now: &Agent) {
        let (before, now) = (before.and_then(Sort::of), Sort::of(now));
        if before == now {
            return;
        }
        let crowd = Arc::make_mut(this);
        before.iter().for_each(|sort| crowd.leave(sort));
        now.into_iter().for_each(|sort| crowd.join(sort));
    }

    fn join(&mut self, sort: Sort) {
        if let Some(count) = self.sorts.get_mut(&sort) {
            *count += 1;
            return;
        }
        let sort = Arc::new(sort);
        for word in sort.able.capabilities.iter() {
            self.by_word.entry(word.clone()).or_default().push(sort.clone());
        }
        self.sorts.insert(sort, 1);
    }

    fn leave(&mut self, sort: &Sort) {
        let Some(count) = self.sorts.get_mut(sort) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.sorts.remove(sort);
        for word in sort.able.capabilities.iter() {
            if let Some(able) = self.by_word.get_mut(word) {
                able.retain(|other| **other != *sort);
                if able.is_empty() {
                    self.by_word.remove(word);
                }
            }
        }
    }
}

impl Surroundings for Crowd {
    fn lacking(&self, namespace: &str, key: &str) -> Option<Lack> {
        let mut rarest: &[Arc<Sort>] = &[];
        for (n, word) in Key::read(key).words.split('+').enumerate() {
            let able = self.by_word.get(word).map(Vec::as_slice).unwrap_or_default();
            if !able.iter().any(|sort| sort.works_in(namespace)) {
                return Some(Lack::Able(word.into()));
            }
            if n == 0 || able.len() < rarest.len() {
                rarest = able;
            }
        }
        // Of what they lack, that of whoever comes nearest.
        let mut nearest: Option<Lack> = None;
        for sort in rarest.iter().take(SORTS_MAX).filter(|sort| sort.works_in(namespace)) {
            let lack = match lacking(key, &sort.able) {
                None => return None,
                Some(Misfit::Capability(_) | Misfit::OtherAgent(_)) => Lack::Together,
                Some(Misfit::Model(name)) => Lack::Model(name),
                Some(Misfit::Resource { name, needed, has }) => Lack::Resource { name, needed, has },
            };
            nearest = nearest.max(Some(lack));
        }
        nearest.filter(|_| rarest.len() <= SORTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{AgentCommand, Registration};
    use crate::id::AgentId;
    use serde_json::{Value, json};

    fn agent(n: u8, said: Value) -> Agent {
        let mut agent = Agent::unknown(AgentId::new(1, [n; 10]));
        let mut said: Registration = serde_json::from_value(said).unwrap();
        said.name = format!("agent {n}");
        agent.handle(AgentCommand::Register(Box::new(said))).unwrap();
        agent
    }

    fn crowd(of: &[Value]) -> Arc<Crowd> {
        let mut crowd = Arc::default();
        (0..).zip(of).for_each(|(n, said)| Crowd::turned(&mut crowd, None, &agent(n, said.clone())));
        crowd
    }

    #[test]
    fn what_nobody_can_do_is_told_by_what_the_nearest_lacks() {
        let crowd = crowd(&[
            json!({"name": "a", "capabilities": ["draw", "gpu"], "models": ["small"], "resources": {"memory_mb": 512}}),
            json!({"name": "b", "capabilities": ["draw"], "models": ["large"], "resources": {"memory_mb": 1024}}),
            json!({"name": "c", "capabilities": ["paint"], "namespace": "studio"}),
            json!({"name": "d", "capabilities": ["sing"]}),
        ]);
        let lacks = |key: &str| crowd.lacking("default", key);
        for key in ["draw", "draw+gpu", "draw#large", "draw%memory_mb=1024", "draw+gpu#small", "sing#any%memory_mb=9"] {
            assert_eq!(lacks(key), None, "{key}");
        }
        assert_eq!(lacks("dance"), Some(Lack::Able("dance".into())));
        assert_eq!(lacks("draw+dance"), Some(Lack::Able("dance".into())));
        assert_eq!(lacks("draw+sing"), Some(Lack::Together));
        assert_eq!(lacks("draw#huge"), Some(Lack::Model("huge".into())));
        let most = Lack::Resource { name: "memory_mb".into(), needed: 4096, has: 1024 };
        assert_eq!(lacks("draw%memory_mb=4096"), Some(most), "and by how little the largest falls short");
        assert_eq!(lacks("paint"), Some(Lack::Able("paint".into())), "it works elsewhere");
        assert_eq!(crowd.lacking("studio", "paint"), None);
    }

    #[test]
    fn agents_come_change_and_go() {
        let mut crowd: Arc<Crowd> = Arc::default();
        let said = |word: &str| json!({"name": "", "capabilities": [word]});
        let (first, second) = (agent(1, said("draw")), agent(2, said("draw")));
        Crowd::turned(&mut crowd, None, &first);
        Crowd::turned(&mut crowd, None, &second);
        let (old, other) = (crowd.clone(), agent(1, said("sing")));
        Crowd::turned(&mut crowd, Some(&first), &other);
        assert_eq!((crowd.lacking("x", "draw"), crowd.lacking("x", "sing")), (None, None), "another of its sort is left");
        assert!(old.lacking("x", "sing").is_some(), "who looks at the old one goes on seeing it");
        let mut drained = second.clone();
        drained.handle(AgentCommand::Drain).unwrap();
        Crowd::turned(&mut crowd, Some(&second), &drained);
        assert_eq!(crowd.lacking("x", "draw"), Some(Lack::Able("draw".into())), "who finishes what it has begins nothing");
        Crowd::turned(&mut crowd, Some(&drained), &second);
        assert_eq!(crowd.lacking("x", "draw"), None);
        let mut gone = second.clone();
        gone.handle(AgentCommand::Revoke).unwrap();
        Crowd::turned(&mut crowd, Some(&second), &gone);
        assert!(crowd.lacking("x", "draw").is_some());
        assert_eq!((crowd.sorts.len(), crowd.by_word.len()), (1, 1), "nothing is left of those that went");
    }
}
