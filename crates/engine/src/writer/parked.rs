//! Agents that wait for work. They cost nothing while they wait: offered work finds them by capability, and the first whose time is
//! up is known without a look at the others.

use super::{Claim, Ticket};
use ephor_core::id::AgentId;
use ephor_core::matching::{Able, Key, fits};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Claims that found nothing yet, by who can do what.
#[derive(Debug, Default)]
pub(super) struct Parked {
    claims: BTreeMap<Ticket, Waiting>,
    by_capability: HashMap<Box<str>, BTreeSet<Ticket>>,
    by_deadline: BTreeSet<(u64, Ticket)>,
    /// Those who were woken, and for what.
    woken: BTreeMap<Ticket, Vec<Offer>>,
}

/// Work that was offered: its namespace and its key.
pub(super) type Offer = (Box<str>, Box<str>);

#[derive(Debug)]
struct Waiting {
    claim: Claim,
    /// The only one it works for; all where it is missing.
    namespace: Option<Box<str>>,
    able: Arc<Able>,
}

/// How many of those who are able, and have waited longest, the best one is chosen of.
const CHOICE: usize = 4;

/// Somebody who was woken.
pub(super) struct Woken {
    pub(super) ticket: Ticket,
    pub(super) claim: Claim,
    /// What it was woken for. Where it does not take all of it, somebody else may.
    pub(super) offers: Vec<Offer>,
}

impl Parked {
    /// Lets a claim wait.
    pub(super) fn park(&mut self, ticket: Ticket, claim: Claim, namespace: Option<Box<str>>, able: Arc<Able>) {
        self.by_deadline.insert((claim.until, ticket));
        for word in able.capabilities.iter() {
            self.by_capability.entry(word.clone()).or_default().insert(ticket);
        }
        self.claims.insert(ticket, Waiting { claim, namespace, able });
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Work was offered under these keys: one waiting agent for each is woken.
    pub(super) fn wake<K: Ord>(&mut self, namespace: &str, open: &str, standing: impl Fn(AgentId) -> K) {
        for key in open.lines() {
            self.wake_for(namespace, key, |_| true, &standing);
        }
    }

    /// Something happened to a task that offers work under these keys as before. A gate is not for who did the work: whoever waits
    /// beside one may judge another, although the key is no new one.
    pub(super) fn wake_judges<K: Ord>(&mut self, namespace: &str, open: &str, standing: impl Fn(AgentId) -> K) {
        for key in open.lines().filter(|key| key.starts_with("gate.")) {
            self.wake_for(namespace, key, |_| true, &standing);
        }
    }

    /// Wakes one of those who can do this, if there is one: of the few who have waited longest the one with the best standing (S1-51),
    /// the lowest being the best.
    pub(super) fn wake_for<K: Ord>(
        &mut self,
        namespace: &str,
        key: &str,
        may: impl Fn(Ticket) -> bool,
        standing: &impl Fn(AgentId) -> K,
    ) {
        let first = Key::read(key).words.split('+').next().unwrap_or(key);
        let able = |ticket: &&Ticket| {
            let waiting = &self.claims[ticket];
            may(**ticket)
                && !self.woken.contains_key(ticket)
                && waiting.namespace.as_deref().is_none_or(|own| own == namespace)
                && fits(key, waiting.claim.wish.agent_id, &waiting.able)
        };
        let Some(tickets) = self.by_capability.get(first) else { return };
        let mut few = tickets.iter().filter(able).take(CHOICE).copied().peekable();
        let Some(longest) = few.peek().copied() else { return };
        let of = |ticket: &Ticket| standing(self.claims[ticket].claim.wish.agent_id);
        // The first of equals has waited longest.
        let chosen = few.min_by_key(of).unwrap_or(longest);
        self.woken.entry(chosen).or_default().push((namespace.into(), key.into()));
    }

    /// What was offered to whom is forgotten, or what an agent can do has changed: these look again.
    pub(super) fn wake_those(&mut self, of: impl Fn(AgentId) -> bool) {
        for (ticket, _) in self.claims.iter().filter(|(_, waiting)| of(waiting.claim.wish.agent_id)) {
            self.woken.entry(*ticket).or_default();
        }
    }

    /// Somebody who was woken is to be served later.
    pub(super) fn wake_again(&mut self, ticket: Ticket, offers: Vec<Offer>) {
        self.woken.insert(ticket, offers);
    }

    /// Whether somebody was woken.
    pub(super) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// The next of those who were woken.
    pub(super) fn take_woken(&mut self) -> Option<Woken> {
        loop {
            let (ticket, offers) = self.woken.pop_first()?;
            if let Some(claim) = self.remove(ticket) {
                return Some(Woken { ticket, claim, offers });
            }
        }
    }

    /// Those whose time is up.
    pub(super) fn take_late(&mut self, mono: u64) -> Vec<Ticket> {
        let late: Vec<Ticket> = self.by_deadline.range(..=(mono, Ticket::MAX)).map(|(_, ticket)| *ticket).collect();
        for ticket in &late {
            self.remove(*ticket);
        }
        late
    }

    /// Whoever asked is gone. What they were woken for is there for others, and comes back to be handed on.
    pub(super) fn forget(&mut self, ticket: Ticket) -> Vec<Offer> {
        self.remove(ticket);
        self.woken.remove(&ticket).unwrap_or_default()
    }

    /// When the first one's time is up.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.by_deadline.first().map(|(at, _)| *at)
    }

    /// Who waits.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn agents(&self) -> impl Iterator<Item = AgentId> {
        self.claims.values().map(|waiting| waiting.claim.wish.agent_id)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Claim> {
        let waiting = self.claims.remove(&ticket)?;
        self.by_deadline.remove(&(waiting.claim.until, ticket));
        for word in waiting.able.capabilities.iter() {
            if let Some(tickets) = self.by_capability.get_mut(word) {
                tickets.remove(&ticket);
                if tickets.is_empty() {
                    self.by_capability.remove(word);
                }
            }
        }
        Some(waiting.claim)
    }
}
