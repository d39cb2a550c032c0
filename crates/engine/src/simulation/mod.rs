//! The whole engine below its threads, driven by seeded chance: clients, agents and people that forget, hurry, die and lie, a store that
//! fails, clocks that jump, a process that ends at any moment. After every step the ten things that must never happen (DESIGN §7) are
//! looked for; after the faults stop everything must come to its end.
//!
//! The same seed gives the same run. `cargo run --release -p ephor-engine --features simulation --example simulate -- 10000` runs as many
//! seeds as wanted.

pub use ephor_core::planted::Fault;

use ephor_core::planted;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

mod actors;
pub mod alarms;
mod answers;
mod chance;
mod drain;
mod flow;
mod observer;
mod people;
mod process;
mod requests;
#[cfg(test)]
mod tests;
mod world;

use world::World;

/// How often each branch was reached.
pub type Counts = BTreeMap<&'static str, u64>;

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Steps with faults; then everything has to come to its end.
    pub steps: u32,
}

impl Default for Length {
    fn default() -> Self {
        Self { steps: 60 }
    }
}

/// A run that found something.
#[derive(Debug)]
pub struct Failure {
    /// The seed that finds it again.
    pub seed: u64,
    /// In which step.
    pub step: u32,
    /// What.
    pub what: String,
    /// What was done last.
    pub log: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.log {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {} at step {}: {}", self.seed, self.step, self.what)
    }
}

/// Branches that have to be reached: a run in which a rare thing never happened has proven nothing about it.
pub const BRANCHES: &[&str] = &[
    "agent on probation",
    "amendment adopted",
    "amendment overtaken",
    "amendment rejected",
    "answer lost",
    "approved by override",
    "attempt timed out",
    "budget crossed",
    "cancel forced",
    "child born",
    "claim parked",
    "claim repeated",
    "claim served from the index",
    "clock jumped",
    "commit failed unwritten",
    "commit unknown but written",
    "compensation failed",
    "condition false",
    "council decided",
    "crash before answer",
    "dependency failed",
    "disk full",
    "duplicate refused",
    "effect granted",
    "effect not done twice",
    "effect refused",
    "effect unknown",
    "erased",
    "escalated",
    "escalation decided",
    "for_each expanded",
    "gate failed",
    "gate judged by agent",
    "gate judged by person",
    "healing spent",
    "hold placed",
    "house decided",
    "idempotency mismatch",
    "idempotent answer repeated",
    "late report kept",
    "lease lapsed",
    "mail after crash",
    "model fell back",
    "question raised",
    "observer slept",
    "parent ended",
    "plan escalated or replaced at its limit",
    "plan proposed",
    "queue full",
    "rate opened",
    "recurred",
    "refused by an amendment",
    "reviewed because of an amendment",
    "run missed",
    "run replaced",
    "reassigned",
    "report repeated",
    "result reviewed",
    "retries spent",
    "review rejected",
    "review undecided",
    "rolled back",
    "rolled back by a person",
    "set aside",
    "settled in parts",
    "signal early",
    "signal used",
    "solo review",
    "stall escalated",
    "stall noted",
    "stall put off",
    "stalled",
    "session ended",
    "breaker opened",
    "breaker half-opened",
    "breaker closed",
    "step blocked",
    "step undone",
    "task retried",
    "tie vote",
    "vote after the end",
    "wait ended",
];

/// One run. A failure tells what went wrong last.
pub fn run(seed: u64, length: Length) -> Result<Counts, Failure> {
    play(World::new(seed), seed, length)
}

/// One run again; a failure tells everything that was asked, answered and written.
pub fn tell(seed: u64, length: Length) -> Result<Counts, Failure> {
    let mut world = World::new(seed);
    world.talkative = true;
    play(world, seed, length)
}

fn play(mut world: World, seed: u64, length: Length) -> Result<Counts, Failure> {
    let ended = world.live(length.steps).and_then(|()| world.drain()).and_then(|()| world.last_look());
    match ended {
        Ok(()) => Ok(world.counts),
        Err(what) => Err(Failure { seed, step: world.step, what, log: world.log.into() }),
    }
}

/// Many runs, side by side. Ends at the first failure, and answers with the smallest seed that failed.
pub fn run_many(first: u64, count: u64, length: Length) -> Result<Counts, Failure> {
    let next = AtomicU64::new(first);
    let (counts, failure) = (Mutex::new(Counts::new()), Mutex::new(None::<Failure>));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bent = planted::active();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                planted::plant(bent);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let failed = failure.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|f| f.seed);
                    if seed >= first + count || failed.is_some_and(|f| f < seed) {
                        return;
                    }
                    match run(seed, length) {
                        Ok(reached) => {
                            let mut all = counts.lock().unwrap_or_else(PoisonError::into_inner);
                            reached.into_iter().for_each(|(name, n)| *all.entry(name).or_default() += n);
                        }
                        Err(found) => {
                            let mut kept = failure.lock().unwrap_or_else(PoisonError::into_inner);
                            if kept.as_ref().is_none_or(|k| k.seed > found.seed) {
                                *kept = Some(found);
                            }
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(counts.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Looks for a planted fault, seed by seed; `None` when it is not found.
pub fn find(fault: Fault, first: u64, seeds: u64, length: Length) -> Option<Failure> {
    planted::plant(Some(fault));
    let found = run_many(first, seeds, length).err();
    planted::plant(None);
    found
}

/// The branches that were not reached.
pub fn missing(counts: &Counts) -> Vec<&'static str> {
    BRANCHES.iter().filter(|name| counts.get(*name).is_none_or(|n| *n == 0)).copied().collect()
}
