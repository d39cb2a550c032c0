//! Slow, silent, dead and waiting told apart: arithmetic over signs of life. Telemetry and no part of any history: only a lapse is an
//! event.

use serde::{Deserialize, Serialize};

/// What is added to a lease before silence counts as death, as a part of the lease: clocks of two machines do not agree.
pub const GRACE_PART: u64 = 4;
/// The part of a lease within which signs of life are expected to follow one another.
pub const PACE_PART: u64 = 2;
/// How many leases long a progress that was told may stand still before its work counts as slow.
pub const STILL_LEASES: u64 = 4;

/// How an agent, or one of its leases, looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Liveness {
    /// It waits: for work, or its work for a person.
    Waiting,
    /// It works.
    Live,
    /// Signs of life come, but late; or its progress stands still; or it takes longer than such work usually does.
    Slow,
    /// Its lease is over without a sign of life; within the grace it may still come back.
    Silent,
    /// It was silent for longer than lease and grace.
    Dead,
}

impl Liveness {
    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Live => "LIVE",
            Self::Slow => "SLOW",
            Self::Silent => "SILENT",
            Self::Dead => "DEAD",
        }
    }
}

/// What is known of a lease. Times are milliseconds on the observer's own monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// How long the lease lasts without a sign of life.
    pub lease_ms: u64,
    /// Since when there has been none.
    pub silent_ms: u64,
    /// How long it was between the last two, the grant being the first.
    pub gap_ms: u64,
    /// Since when the progress that was told has not moved; none where none was told, or it is whole.
    pub still_ms: Option<u64>,
    /// How long the attempt has taken so far.
    pub held_ms: u64,
    /// Within how long 95 of 100 attempts at such work were done; none where too few were seen.
    pub usual_ms: Option<u64>,
    /// Whether its task is held by a person: nothing is expected of it.
    pub held_up: bool,
}

impl Signs {
    /// Whether there has been silence for longer than lease and grace.
    pub fn has_lapsed(&self) -> bool {
        self.silent_ms > self.lease_ms.saturating_add(self.lease_ms / GRACE_PART)
    }

    /// How the lease looks.
    pub fn liveness(&self) -> Liveness {
        let pace = self.lease_ms / PACE_PART;
        if self.has_lapsed() {
            Liveness::Dead
        } else if self.silent_ms > self.lease_ms {
            Liveness::Silent
        } else if self.held_up {
            Liveness::Waiting
        } else if self.silent_ms > pace
            || self.gap_ms > pace
            || self.still_ms.is_some_and(|still| still > self.lease_ms.saturating_mul(STILL_LEASES))
            || self.usual_ms.is_some_and(|usual| self.held_ms > usual)
        {
            Liveness::Slow
        } else {
            Liveness::Live
        }
    }
}

/// How long an agent that holds nothing may be quiet, in milliseconds: twice as long as those that poll are told to wait (S3-45).
pub const IDLE_MS: u64 = 600_000;

/// How an agent looks: as the worst of its leases; without any it waits as long as it asks for work, and is silent and dead by the lease
/// of its house or `IDLE_MS`, whichever is longer. Nothing is known of one that has not been heard of since the observer started.
pub fn of_agent(
    leases: impl IntoIterator<Item = Liveness>,
    asks: bool,
    silent_ms: Option<u64>,
    lease_ms: u64,
) -> Option<Liveness> {
    let worst = leases.into_iter().max();
    if worst.is_some() || asks {
        return worst.or(Some(Liveness::Waiting));
    }
    let signs = Signs { lease_ms: lease_ms.max(IDLE_MS), silent_ms: silent_ms?, ..Signs::default() };
    Some(match signs.liveness() {
        // Between two polls.
        Liveness::Waiting | Liveness::Live | Liveness::Slow => Liveness::Waiting,
        Liveness::Silent => Liveness::Silent,
        Liveness::Dead => Liveness::Dead,
    })
}

#[cfg(test)]
mod tests {
    use super::Liveness::*;
    use super::*;

    fn of(change: impl FnOnce(&mut Signs)) -> Liveness {
        let mut signs = Signs { lease_ms: 1_000, silent_ms: 100, gap_ms: 250, held_ms: 5_000, ..Signs::default() };
        change(&mut signs);
        signs.liveness()
    }

    #[test]
    fn silence_is_slow_behind_half_a_lease_silent_behind_the_lease_and_dead_behind_the_grace() {
        for (silent, word) in
            [(0, Live), (500, Live), (501, Slow), (1_000, Slow), (1_001, Silent), (1_250, Silent), (1_251, Dead)]
        {
            assert_eq!(of(|s| s.silent_ms = silent), word, "{silent}");
        }
    }

    #[test]
    fn who_gives_signs_late_stands_still_or_takes_longer_than_usual_is_slow() {
        assert_eq!((of(|s| s.gap_ms = 500), of(|s| s.gap_ms = 501)), (Live, Slow));
        assert_eq!((of(|s| s.still_ms = Some(4_000)), of(|s| s.still_ms = Some(4_001))), (Live, Slow));
        assert_eq!((of(|s| s.usual_ms = Some(5_000)), of(|s| s.usual_ms = Some(4_999))), (Live, Slow));
        assert_eq!(of(|_| {}), Live, "of who tells no progress nothing stands still");
    }

    #[test]
    fn nothing_is_expected_of_work_that_a_person_holds_but_signs_of_life() {
        let held = |silent: u64| of(|s| (s.held_up, s.silent_ms, s.usual_ms) = (true, silent, Some(1)));
        assert_eq!([held(900), held(1_001), held(1_251)], [Waiting, Silent, Dead]);
    }

    #[test]
    fn an_agent_looks_like_the_worst_of_what_it_holds_and_waits_where_it_holds_nothing() {
        assert_eq!(of_agent([Live, Slow, Waiting], true, Some(0), 1_000), Some(Slow));
        assert_eq!(of_agent([Live, Dead, Silent], false, None, 1_000), Some(Dead));
        assert_eq!(of_agent([], true, Some(9_999), 1_000), Some(Waiting), "it asks for work all the while");
        // By the lease of its house, where that is the longer one.
        for (silent, word) in [(900_000, Waiting), (1_000_001, Silent), (1_250_001, Dead)] {
            assert_eq!(of_agent([], false, Some(silent), 1_000_000), Some(word), "{silent}");
        }
        assert_eq!(of_agent([], false, None, 1_000), None);
    }

    #[test]
    fn a_lease_without_end_does_not_overflow() {
        assert_eq!(of(|s| (s.lease_ms, s.still_ms) = (u64::MAX, Some(u64::MAX))), Live);
    }

    #[test]
    fn an_agent_that_polls_as_it_is_told_waits_and_one_that_stopped_is_seen() {
        let idle = |silent_ms| of_agent([], false, Some(silent_ms), 60_000);
        assert_eq!([299_000, 600_000, 600_001, 750_001].map(idle), [Some(Waiting), Some(Waiting), Some(Silent), Some(Dead)]);
        assert_eq!(of_agent([], false, None, 60_000), None);
        assert_eq!(of_agent([Silent, Live], true, Some(0), 60_000), Some(Silent), "what it holds says more");
    }
}
