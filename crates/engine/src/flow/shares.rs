//! Turns between namespaces: whose work runs least is next, and of those who run as much the one that was served longest ago. So nobody
//! waits behind another's hundred thousand tasks, and idle agents are for whoever has work.

use std::collections::HashMap;

/// How much a namespace has had, least first: pieces of work in the hands of agents, and when it was last served.
pub(crate) type Share = (u32, u64);

/// What each namespace has had.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    by_namespace: HashMap<Box<str>, Share>,
    served: u64,
}

impl Shares {
    /// What a namespace has had.
    pub(crate) fn of(&self, namespace: &str) -> Share {
        self.by_namespace.get(namespace).copied().unwrap_or_default()
    }

    /// A task of it had so many pieces of work with agents, and now has so many.
    pub(crate) fn follow(&mut self, namespace: &str, before: u32, now: u32) {
        if before == now {
            return;
        }
        let served = if now > before { self.served + 1 } else { 0 };
        self.served = self.served.max(served);
        match self.by_namespace.get_mut(namespace) {
            Some(share) => {
                share.0 = (share.0 + now).saturating_sub(before);
                share.1 = share.1.max(served);
            }
            None => drop(self.by_namespace.insert(namespace.into(), (now.saturating_sub(before), served))),
        }
    }

    /// Nothing runs: it is counted anew. Who was served when is remembered.
    pub(crate) fn clear(&mut self) {
        self.by_namespace.values_mut().for_each(|share| share.0 = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_least_is_first_and_then_who_was_served_longest_ago() {
        let mut shares = Shares::default();
        shares.follow("a", 0, 2);
        shares.follow("b", 0, 1);
        assert!(shares.of("c") < shares.of("b") && shares.of("b") < shares.of("a"));
        shares.follow("a", 2, 0);
        shares.follow("b", 1, 0);
        assert!(shares.of("a") < shares.of("b"));
    }
}
