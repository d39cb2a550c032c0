//! The one clock: wakes what is due, notices agents that fell silent, and has signs of life written. Everything it does is a command
//! like any other; several of it would do no harm.

use crate::engine::Inner;
use crate::intake::Item;
use crate::store::Filter;
use crate::writer::Job;
use ephor_core::command::Command;
use ephor_core::constitution::ConstitutionCommand;
use ephor_core::event::Actor;
use ephor_core::id::StreamId;
use ephor_core::time::Time;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The most tasks woken at once.
const WAKE_MAX: u32 = 1_000;
/// The longest sleep, in milliseconds: a safety net under the bell.
const SLEEP_MAX: u64 = 1_000;
/// The shortest sleep, in milliseconds.
const SLEEP_MIN: u64 = 1;
/// How often signs of life are written at the latest, in milliseconds; a quarter of the shortest lease where that is less.
const NOTE_EVERY: u64 = 15_000;
/// How often keys that ran out are deleted, in milliseconds.
const SWEEP_EVERY: u64 = 60_000;

/// How many live tasks are judged anew at once; others have their turn between.
const JUDGED_AT_ONCE: u32 = 200;
/// How young a constitution is for what is live to be walked through at a start, in milliseconds.
const WALKED_AGAIN_MS: u64 = 24 * 3_600_000;

/// Wakes the clock early.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<Rung>,
    rang: Condvar,
    /// When the clock last looked for what is due, in milliseconds since 1970; 0 where it has not yet.
    looked_at: AtomicI64,
}

#[derive(Debug, Default)]
struct Rung {
    /// The earliest instant somebody named.
    at: Option<i64>,
    stopped: bool,
}

impl Bell {
    /// Something will be due then.
    pub(crate) fn ring_at(&self, at: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.at.is_none_or(|known| at < known) {
            state.at = Some(at);
            self.rang.notify_all();
        }
    }

    /// When the clock last looked for what is due (S2-45).
    pub(crate) fn looked_at(&self) -> Option<Time> {
        let at = self.looked_at.load(Ordering::Relaxed);
        (at > 0).then_some(Time(at))
    }

    /// Ends the clock.
    pub(crate) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.rang.notify_all();
    }

    /// Sleeps until something is due, but no longer than `most` milliseconds. Answers whether to go on.
    fn sleep(&self, now: i64, next: Option<i64>, most: u64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return false;
        }
        let first = state.at.into_iter().chain(next).min();
        let wait = first.map_or(most, |at| u64::try_from(at.saturating_sub(now)).unwrap_or(0).clamp(SLEEP_MIN, most));
        state = self.rang.wait_timeout(state, Duration::from_millis(wait)).unwrap_or_else(PoisonError::into_inner).0;
        // What was named is looked up in the index next; a later ring is heard again.
        state.at = None;
        !state.stopped
    }
}

/// The clock's thread.
pub(crate) fn run(engine: &Inner) {
    let (mut noted, mut swept, mut looked) = (0, 0, engine.clock.mono_ms());
    let mut live = Live::as_of_now(engine);
    loop {
        let mono = engine.clock.mono_ms();
        let shortest = engine.leases.lock().expect("nobody panics while holding the leases").shortest();
        let tick = tick(shortest).min(engine.house.policy().check_interval.ms.max(SLEEP_MIN));
        watch_leases(engine, mono, slept(mono, looked, tick));
        looked = mono;
        if mono.saturating_sub(noted) >= shortest.map_or(NOTE_EVERY, |ms| (ms / 4).min(NOTE_EVERY)) {
            noted = mono;
            tell(engine, Item::Note);
        }
        if mono.saturating_sub(swept) >= SWEEP_EVERY {
            swept = mono;
            tell(engine, Item::Sweep);
        }
        engine.ticker.looked_at.store(engine.time.now(&*engine.clock).0, Ordering::Relaxed);
        settle_amendments(engine);
        let next = match wake_due(engine) {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "the clock could not read what is due");
                None
            }
        };
        let more = live.judge_page(engine);
        let now = engine.time.now(&*engine.clock);
        let amendment = engine.house.constitution().next_at().map(|at| at.0);
        let next = next.into_iter().chain(amendment).chain(more.then_some(now.0)).min();
        if !engine.ticker.sleep(now.0, next, tick) {
            return;
        }
    }
}

/// Wakes what is due, page by page, each written before the next is looked up. Answers when the next is due.
fn wake_due(engine: &Inner) -> Result<Option<i64>, crate::store::StoreError> {
    let mut before = Vec::new();
    loop {
        let now = engine.time.now(&*engine.clock);
        let due = engine.reader.due(now.0, WAKE_MAX)?;
        if due.is_empty() {
            return engine.reader.next_wake();
        }
        if due == before {
            // Waking them moved none: they are quarantined, or there is no space. Looking again at once would not help.
            return Ok(None);
        }
        before.clone_from(&due);
        let jobs = due.into_iter().filter_map(StreamId::task).map(|task| Job::Task {
            task,
            command: Command::Wake,
            actor: Actor::clock(),
        });
        let (answer, written) = oneshot::channel();
        if engine.intake.push("", Item::Job(Job::Many(jobs.collect()), Some(answer))).is_err() || written.blocking_recv().is_err()
        {
            // The engine is stopping.
            return Ok(None);
        }
    }
}

/// Has what time has settled of amendments written.
fn settle_amendments(engine: &Inner) {
    let now = engine.time.now(&*engine.clock);
    if engine.house.constitution().next_at().is_some_and(|at| at <= now) {
        let job = Job::Constitution { command: ConstitutionCommand::Settle, actor: Actor::clock() };
        tell(engine, Item::Job(job, None));
    }
}

/// The walk through what is live once another document is in force, so that whatever it reaches is judged again soon. Where it ends early,
/// the rest is judged when anything is asked of it.
struct Live {
    version: usize,
    walk: Option<Filter>,
}

impl Live {
    /// After a start what came into force lately is walked again: the walk of then may have ended early.
    fn as_of_now(engine: &Inner) -> Self {
        let constitution = engine.house.constitution();
        let now = engine.time.now(&*engine.clock);
        let lately = constitution.versions.last().is_some_and(|head| now.since(head.at.0) < WALKED_AGAIN_MS);
        Self { version: constitution.versions.len(), walk: lately.then(everything_live) }
    }

    /// Wakes some of what is live, and waits until that is written. Answers whether there is more.
    fn judge_page(&mut self, engine: &Inner) -> bool {
        let version = engine.house.constitution().versions.len();
        if std::mem::replace(&mut self.version, version) != version {
            self.walk = Some(everything_live());
        }
        let Some(filter) = &mut self.walk else { return false };
        let page = match engine.reader.list(filter, JUDGED_AT_ONCE) {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "what is live could not be read; it is judged by the new constitution when it moves");
                self.walk = None;
                return false;
            }
        };
        let Some(last) = page.last() else {
            self.walk = None;
            return false;
        };
        filter.below = Some(last.number);
        let wake = |task| Job::Task { task, command: Command::Wake, actor: Actor::settle() };
        let jobs = page.iter().filter_map(|listed| listed.stream.task()).map(wake);
        let (answer, written) = oneshot::channel();
        let pushed = engine.intake.push("", Item::Job(Job::Many(jobs.collect()), Some(answer)));
        pushed.is_ok() && written.blocking_recv().is_ok()
    }
}

fn everything_live() -> Filter {
    Filter { live: true, ..Filter::default() }
}

/// How long the clock sleeps at most while leases are watched, the shortest of them this long.
pub(crate) fn tick(shortest: Option<u64>) -> u64 {
    shortest.map_or(SLEEP_MAX, |ms| (ms / 8).clamp(10, SLEEP_MAX))
}

/// Whether the observer itself slept since it last looked: far longer than it ever does by itself.
pub(crate) fn slept(mono: u64, looked: u64, tick: u64) -> bool {
    mono.saturating_sub(looked) > 4 * tick + SLEEP_MAX
}

/// Turns silence into commands. After a sleep of the whole process nobody is accused: the observation begins anew.
fn watch_leases(engine: &Inner, mono: u64, slept: bool) {
    let mut leases = engine.leases.lock().expect("nobody panics while holding the leases");
    if slept {
        leases.begin_anew(mono);
        return;
    }
    let lapsed = leases.lapsed(mono);
    drop(leases);
    for lapse in lapsed {
        let command = Command::LeaseLapsed { work: lapse.work, attempt: lapse.attempt, counter: lapse.counter };
        tell(engine, Item::Job(Job::Task { task: lapse.task, command, actor: Actor::settle() }, None));
    }
}

/// Asks the writer for something nobody waits for; a writer that has stopped needs nothing any more.
fn tell(engine: &Inner, item: Item) {
    let _stopped = engine.intake.push("", item);
}
