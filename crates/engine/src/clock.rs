//! Time, and the only place that reads it. Everything else is handed a `Clock`, so that tests can move it.

use ephor_core::time::Time;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch, as the machine believes; may jump.
    fn wall_ms(&self) -> i64;
    /// Milliseconds since some fixed point; never jumps, never runs backwards.
    fn mono_ms(&self) -> u64;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    began: std::time::Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        #[allow(clippy::disallowed_methods)] // This is the place where time comes from.
        let began = std::time::Instant::now();
        Self { began }
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        #[allow(clippy::disallowed_methods)] // This is the place where time comes from.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    fn mono_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The engine's own time: wall time when it began, then monotonic, and never before the highest instant a former engine used. A
/// machine whose clock is set back or forward while the engine runs harms nobody.
#[derive(Debug)]
pub struct EngineTime {
    wall_at_start: i64,
    mono_at_start: u64,
    last: AtomicI64,
}

impl EngineTime {
    /// Begins at wall time, or at `high_water` where that is later.
    pub fn begin(clock: &dyn Clock, high_water: i64) -> Self {
        let wall_at_start = clock.wall_ms().max(high_water);
        Self { wall_at_start, mono_at_start: clock.mono_ms(), last: AtomicI64::new(wall_at_start) }
    }

    /// The instant; never earlier than the last answer.
    pub fn now(&self, clock: &dyn Clock) -> Time {
        let elapsed = clock.mono_ms().saturating_sub(self.mono_at_start);
        let now = self.wall_at_start.saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX));
        Time(self.last.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

/// The highest instant a store knows of: the mark that was saved last, or the last event, which may be younger. Nothing that happens
/// later may be said to have happened before it.
pub(crate) fn highest(reader: &dyn crate::store::Reader) -> Result<i64, crate::store::StoreError> {
    if ephor_core::planted::is(ephor_core::planted::Fault::TimeReversed) {
        return Ok(0);
    }
    let last = reader.events(reader.position()?.saturating_sub(1), 1, None)?.first().map_or(0, |event| event.at);
    Ok(reader.high_water()?.max(last))
}

/// Where randomness comes from: ids and salts.
pub trait Entropy: Send {
    /// Fills the bytes.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// The operating system's randomness, fetched by the block: a call for each id would cost more than the id.
#[derive(Debug)]
pub struct SystemEntropy {
    block: [u8; 4096],
    used: usize,
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self { block: [0; 4096], used: 4096 }
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.block.len() {
                getrandom::fill(&mut self.block).expect("the operating system has randomness; without it nothing here is safe");
                self.used = 0;
            }
            *byte = std::mem::take(&mut self.block[self.used]);
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[derive(Default)]
    struct Hand {
        wall: AtomicI64,
        mono: AtomicU64,
    }
    impl Clock for Hand {
        fn wall_ms(&self) -> i64 {
            self.wall.load(Ordering::Relaxed)
        }
        fn mono_ms(&self) -> u64 {
            self.mono.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_clock_set_back_or_forward_does_not_move_the_engine() {
        let hand = Hand::default();
        hand.wall.store(1_000_000, Ordering::Relaxed);
        let time = EngineTime::begin(&hand, 0);
        hand.wall.store(5, Ordering::Relaxed);
        hand.mono.store(10, Ordering::Relaxed);
        assert_eq!(time.now(&hand), Time(1_000_010));
        hand.wall.store(i64::MAX / 2, Ordering::Relaxed);
        assert_eq!(time.now(&hand), Time(1_000_010));
    }

    #[test]
    fn a_restart_with_the_clock_set_back_goes_on_from_the_high_water_mark() {
        let hand = Hand::default();
        assert_eq!(EngineTime::begin(&hand, 77).now(&hand), Time(77));
    }
}
