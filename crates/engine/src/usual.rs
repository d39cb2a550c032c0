//! How long work usually takes, by its action: the last few attempts that worked. In memory alone; a restart begins anew.

use std::collections::HashMap;
use std::sync::Arc;

/// How many attempts of an action are remembered.
const KEPT: usize = 128;
/// How many it takes before anything is called usual.
const ENOUGH: usize = 20;
/// How many it takes for a median: enough that one that was odd does not decide alone.
const SOME: usize = 3;
/// How many actions are remembered; of more nothing is known.
const ACTIONS_MAX: usize = 1_000;

/// What was seen of each action.
#[derive(Debug, Default)]
pub(crate) struct Usual(HashMap<Arc<str>, Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// In milliseconds, the newest over the oldest.
    took: Vec<u64>,
    next: usize,
}

impl Usual {
    /// The name of an action as it is shared by all who do it; none where too many have been seen.
    pub(crate) fn name(&mut self, action: &str) -> Option<Arc<str>> {
        if let Some((known, _)) = self.0.get_key_value(action) {
            return Some(known.clone());
        }
        if self.0.len() >= ACTIONS_MAX {
            return None;
        }
        let name: Arc<str> = action.into();
        self.0.insert(name.clone(), Seen::default());
        Some(name)
    }

    /// An attempt worked, and took so long.
    pub(crate) fn note(&mut self, action: &str, ms: u64) {
        let Some(seen) = self.0.get_mut(action) else { return };
        match seen.took.get_mut(seen.next) {
            Some(oldest) => *oldest = ms,
            None => seen.took.push(ms),
        }
        seen.next = (seen.next + 1) % KEPT;
    }

    /// How long attempts took; none where too few were seen for a median.
    pub(crate) fn of(&self, action: &str) -> Option<ephor_core::task::Usual> {
        let took = &self.0.get(action)?.took;
        if took.len() < SOME {
            return None;
        }
        let mut sorted = took.clone();
        sorted.sort_unstable();
        let median_ms = sorted.get((sorted.len() - 1) / 2).copied()?;
        Some(ephor_core::task::Usual { median_ms, p95_ms: self.p95(action) })
    }

    /// Within how long 95 of 100 attempts were done; none where too few were seen.
    pub(crate) fn p95(&self, action: &str) -> Option<u64> {
        let took = &self.0.get(action)?.took;
        if took.len() < ENOUGH {
            return None;
        }
        let mut sorted = took.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * 95).div_ceil(100) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_usual_before_it_was_seen_often_and_the_oldest_is_forgotten() {
        let mut usual = Usual::default();
        let name = usual.name("a").unwrap();
        for ms in 1..ENOUGH as u64 {
            usual.note(&name, ms);
        }
        assert_eq!(usual.p95("a"), None);
        assert_eq!(usual.of("a").map(|a| (a.median_ms, a.p95_ms)), Some((10, None)));
        usual.note(&name, 20);
        assert_eq!((usual.p95("a"), usual.p95("b")), (Some(19), None));
        for _ in 0..KEPT {
            usual.note(&name, 7);
        }
        assert_eq!(usual.p95("a"), Some(7));
    }

    #[test]
    fn one_odd_attempt_is_no_median() {
        let mut usual = Usual::default();
        let name = usual.name("a").unwrap();
        for ms in [900, 5] {
            usual.note(&name, ms);
            assert_eq!(usual.of("a"), None);
        }
        usual.note(&name, 6);
        assert_eq!(usual.of("a").unwrap().median_ms, 6);
    }

    #[test]
    fn too_many_actions_are_not_remembered() {
        let mut usual = Usual::default();
        for n in 0..ACTIONS_MAX {
            assert!(usual.name(&n.to_string()).is_some());
        }
        assert!(usual.name("one more").is_none() && usual.name("0").is_some());
    }
}
