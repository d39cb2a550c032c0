//! Who has work, best first. Hints in memory, never rows: an entry may be out of date, because only `Assigned` in a stream grants a
//! lease. Bounded; what does not fit is found again in the index.

use crate::flow::{Share, Shares};
use crate::ids::IdMap;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::matching::{Able, Key, fits, is_special};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The most tasks remembered. Beyond it the worst are forgotten, and fetched from the index when the better ones are gone.
const TASKS_MAX: usize = 100_000;

/// Where a task stands among those that offer the same: as `Task::rank` says, then its id.
pub(crate) type Rank = (i64, TaskId);

/// Tasks that offer the same, by namespace: of those there are few.
type Offers = BTreeMap<Box<str>, BTreeSet<Rank>>;

/// Tasks that offer work, by capability key.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    by_key: HashMap<Box<str>, Offers>,
    /// Keys that ask for more than one plain capability; the others are looked up directly.
    special: HashSet<Box<str>>,
    tasks: IdMap<TaskId, Entry>,
    /// All entries, to know the worst.
    order: BTreeSet<Rank>,
    /// Whether tasks with work may be missing here.
    pub(crate) incomplete: bool,
}

#[derive(Debug)]
struct Entry {
    open: String,
    namespace: Box<str>,
    rank: Rank,
}

impl Ready {
    /// Nothing is known yet: the index knows.
    pub(crate) fn unread() -> Self {
        Self { incomplete: true, ..Self::default() }
    }

    /// Notes what a task offers now. Answers whether it offers something it did not offer before.
    pub(crate) fn update(&mut self, task: TaskId, namespace: &str, open: Option<&str>, rank: i64) -> bool {
        let rank = (rank, task);
        if let Some(known) = self.tasks.get(&task) {
            if known.rank == rank && open == Some(known.open.as_str()) {
                return false;
            }
            self.remove(task);
        }
        let Some(open) = open else { return false };
        if self.tasks.len() >= TASKS_MAX {
            self.incomplete = true;
            let worst = *self.order.last().expect("it is full");
            if worst <= rank {
                return true;
            }
            self.remove(worst.1);
        }
        for key in open.lines() {
            if !self.by_key.contains_key(key) {
                self.by_key.insert(key.into(), Offers::new());
                if is_special(key) {
                    self.special.insert(key.into());
                }
            }
            let offers = self.by_key.get_mut(key).expect("it was just made sure of");
            match offers.get_mut(namespace) {
                Some(set) => drop(set.insert(rank)),
                None => drop(offers.insert(namespace.into(), BTreeSet::from([rank]))),
            }
        }
        self.order.insert(rank);
        self.tasks.insert(task, Entry { open: open.to_owned(), namespace: namespace.into(), rank });
        true
    }

    /// Forgets a task.
    pub(crate) fn remove(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.remove(&task) else { return };
        self.order.remove(&entry.rank);
        for key in entry.open.lines() {
            let Some(offers) = self.by_key.get_mut(key) else { continue };
            if let Some(set) = offers.get_mut(&entry.namespace) {
                set.remove(&entry.rank);
                if set.is_empty() {
                    offers.remove(&entry.namespace);
                }
            }
            if offers.is_empty() {
                self.by_key.remove(key);
                self.special.remove(key);
            }
        }
    }

    /// Forgets everything: the index knows.
    pub(crate) fn clear(&mut self) {
        *self = Self::unread();
    }

    /// The best task this agent can do something for, those in `not` left out, and what a namespace offers under a key that is shut
    /// there; only of one namespace where it belongs to one.
    pub(crate) fn best(
        &self,
        agent: AgentId,
        namespace: Option<&str>,
        able: &Able,
        not: &HashSet<TaskId>,
        shares: &Shares,
        is_shut: impl Fn(&str, &str) -> bool,
    ) -> Option<(Share, Rank)> {
        let of = |(name, set): (&str, &BTreeSet<Rank>)| {
            set.iter().find(|rank| !not.contains(&rank.1)).map(|rank| (shares.of(name), *rank))
        };
        let first = |key: &str| {
            let offers = self.by_key.get(key)?;
            match namespace {
                Some(own) => offers.get(own).filter(|_| !is_shut(own, key)).and_then(|set| of((own, set))),
                None => {
                    let open = offers.iter().filter(|(name, _)| !is_shut(name, key));
                    open.filter_map(|(name, set)| of((name, set))).min()
                }
            }
        };
        let plain = able.capabilities.iter().filter_map(|c| first(c));
        let special = self.special.iter().filter(|key| fits(key, agent, able)).filter_map(|key| first(key));
        plain.chain(special).min()
    }

    /// Whether some task of a namespace offers work under this key.
    pub(crate) fn offers(&self, namespace: &str, key: &str) -> bool {
        self.by_key.get(key).is_some_and(|offers| offers.contains_key(namespace))
    }

    /// The tasks of a namespace that offer work to be done with this model.
    pub(crate) fn asking_for(&self, namespace: &str, model: &str) -> Vec<TaskId> {
        let with = self.special.iter().filter(|key| Key::read(key).model == Some(model));
        let offers = with.filter_map(|key| self.by_key.get(key)?.get(namespace));
        offers.flat_map(|set| set.iter().map(|rank| rank.1)).collect()
    }

    /// Whether it holds as much as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.tasks.len() >= TASKS_MAX
    }

    /// How many tasks offer work.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u8) -> TaskId {
        TaskId::new(i64::from(n), [n; 10])
    }
    fn agent() -> AgentId {
        AgentId::new(1, [9; 10])
    }
    fn able(words: &[&str]) -> std::sync::Arc<Able> {
        Able::of_words(words.iter().map(|w| (*w).into()).collect::<Vec<Box<str>>>())
    }
    fn open(_: &str, _: &str) -> bool {
        false
    }
    fn best(ready: &Ready, agent: AgentId, namespace: Option<&str>, words: &[&str]) -> Option<TaskId> {
        ready.best(agent, namespace, &able(words), &HashSet::new(), &Shares::default(), open).map(|(_, rank)| rank.1)
    }

    #[test]
    fn the_lower_rank_comes_first_then_the_earlier() {
        let mut ready = Ready::default();
        ready.update(task(1), "a", Some("x\n"), 10);
        ready.update(task(2), "a", Some("x\n"), 5);
        ready.update(task(3), "a", Some("x\n"), 5);
        let mut order = Vec::new();
        while let Some(next) = best(&ready, agent(), None, &["x"]) {
            order.push(next);
            ready.remove(next);
        }
        assert_eq!(order, [task(2), task(3), task(1)]);
    }

    #[test]
    fn a_key_of_several_capabilities_wants_them_all_and_a_pinned_one_its_agent() {
        let mut ready = Ready::default();
        ready.update(task(1), "a", Some("x+y\n"), 1);
        assert_eq!(best(&ready, agent(), None, &["x"]), None);
        assert_eq!(best(&ready, agent(), None, &["x", "y"]), Some(task(1)));
        ready.update(task(1), "a", Some(&format!("x@{}\n", agent())), 1);
        assert_eq!(best(&ready, agent(), None, &["x"]), Some(task(1)));
        assert_eq!(best(&ready, AgentId::new(2, [8; 10]), None, &["x"]), None);
    }

    #[test]
    fn who_belongs_to_a_namespace_gets_only_its_work() {
        let mut ready = Ready::default();
        ready.update(task(1), "a", Some("x\n"), 1);
        ready.update(task(2), "b", Some("x\n"), 2);
        assert_eq!(best(&ready, agent(), None, &["x"]), Some(task(1)));
        assert_eq!(best(&ready, agent(), Some("b"), &["x"]), Some(task(2)));
        assert_eq!(best(&ready, agent(), Some("c"), &["x"]), None);
        ready.remove(task(2));
        assert!(ready.offers("a", "x") && !ready.offers("b", "x"));
    }

    #[test]
    fn what_is_shut_in_one_namespace_is_offered_in_another() {
        let mut ready = Ready::default();
        ready.update(task(1), "a", Some("x\n"), 1);
        ready.update(task(2), "b", Some("x\n"), 2);
        let shut = |namespace: &str, key: &str| (namespace, key) == ("a", "x");
        let best = |namespace| {
            let found = ready.best(agent(), namespace, &able(&["x"]), &HashSet::new(), &Shares::default(), shut);
            found.map(|(_, rank)| rank.1)
        };
        assert_eq!(best(None), Some(task(2)));
        assert_eq!(best(Some("a")), None);
    }

    #[test]
    fn what_offers_nothing_any_more_is_forgotten() {
        let mut ready = Ready::default();
        assert!(ready.update(task(1), "a", Some("x\n"), 1));
        assert!(!ready.update(task(1), "a", Some("x\n"), 1));
        ready.update(task(1), "a", None, 1);
        assert_eq!((best(&ready, agent(), None, &["x"]), ready.len()), (None, 0));
    }

    #[test]
    fn namespaces_take_turns_whatever_waits_longest() {
        let mut ready = Ready::default();
        let mut shares = Shares::default();
        for n in 1..=4 {
            ready.update(task(n), "a", Some("x\n"), i64::from(n));
        }
        ready.update(task(9), "b", Some("x\n"), 9);
        let mut order = Vec::new();
        while let Some((_, (_, next))) = ready.best(agent(), None, &able(&["x"]), &HashSet::new(), &shares, open) {
            shares.follow(if next == task(9) { "b" } else { "a" }, 0, 1);
            order.push(next);
            ready.remove(next);
        }
        assert_eq!(order, [task(1), task(9), task(2), task(3), task(4)]);
    }
}
