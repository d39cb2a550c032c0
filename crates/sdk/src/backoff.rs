//! The waits between tries of a call that did not get through.

use std::time::Duration;

/// The first wait. Short, since most losses are a server restarting its listener.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait: what an engine that comes back may have to wait for its agents.
const LONGEST: Duration = Duration::from_secs(5);

/// Doubling waits from 100 ms to 5 s.
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The wait before the next try; the one after it is twice as long, up to the bound.
    pub(crate) fn step(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait
    }

    /// A call got through: the next loss is met from the beginning.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}
