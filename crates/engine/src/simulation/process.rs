//! The simulated process: what a real one keeps in memory, and what its two threads do, step by step on one.

use super::chance::Chance;
use crate::clock::{self, Clock, EngineTime};
use crate::house::House;
use crate::intake::{Intake, Item};
use crate::leases::{Lapsed, Leases};
use crate::store::memory::MemoryStore;
use crate::store::{Store, StoreError};
use crate::writer::{Job, Jobs, Reply, Ticket, Writer};
use ephor_core::command::Command;
use ephor_core::event::Actor;
use ephor_core::id::StreamId;
use ephor_core::policy::Policy;
use ephor_core::time::Time;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// A clock moved by hand.
#[derive(Debug, Default)]
pub(super) struct Hand {
    pub(super) wall: AtomicI64,
    pub(super) mono: AtomicU64,
}

impl Clock for Hand {
    fn wall_ms(&self) -> i64 {
        self.wall.load(Ordering::Relaxed)
    }
    fn mono_ms(&self) -> u64 {
        self.mono.load(Ordering::Relaxed)
    }
}

impl Hand {
    /// Lets time pass for both.
    pub(super) fn pass(&self, ms: u64) {
        self.mono.fetch_add(ms, Ordering::Relaxed);
        self.wall.fetch_add(ms as i64, Ordering::Relaxed);
    }

    /// Sets the wall clock forward or back.
    pub(super) fn jump(&self, ms: i64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
    }
}

/// How much may wait for the writer: little, so that it is full now and then.
const QUEUE_MAX: usize = 12;
/// How much memory decoded tasks may take: a few tasks, so that they are read again.
const CACHE_BYTES: usize = 16 * 1_024;
/// After how many events a stream gets a snapshot: few, so that most tasks are read from one now and then.
const SNAPSHOT_EVERY: u64 = 10;

/// A running process.
pub(super) struct Process {
    pub(super) writer: Writer<MemoryStore>,
    pub(super) leases: Arc<Mutex<Leases>>,
    time: EngineTime,
    clock: Arc<Hand>,
    pub(super) intake: Intake,
    answers: HashMap<Ticket, oneshot::Sender<Reply>>,
    /// When the clock's thread last looked, on the monotonic clock.
    looked: u64,
}

impl Process {
    pub(super) fn start(store: MemoryStore, policy: Arc<Policy>, clock: Arc<Hand>, entropy: Chance) -> Result<Self, StoreError> {
        let reader = store.reader();
        let time = EngineTime::begin(&*clock, clock::highest(&*reader)?);
        let leases = Arc::new(Mutex::new(Leases::default()));
        let (now, mono) = (time.now(&*clock), clock.mono_ms());
        let house = Arc::new(House::new(policy));
        let mut writer = Writer::start(store, house, Box::new(entropy), leases.clone(), CACHE_BYTES, now, mono)?;
        writer.write_late();
        writer.snapshot_every = SNAPSHOT_EVERY;
        let intake = Intake::new(QUEUE_MAX);
        Ok(Self { writer, leases, time, looked: mono, clock, intake, answers: HashMap::new() })
    }

    pub(super) fn now(&self) -> Time {
        self.time.now(&*self.clock)
    }

    /// The writer's thread, once round: takes what waits, writes it, and answers those whom the network does not lose. What is left
    /// when `first` jobs are decided comes while those are being written, `first` by `first`.
    pub(super) fn write(&mut self, most: usize, first: usize) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        let mut jobs = Jobs::new();
        let (mut note, mut sweep) = (false, false);
        for (ticket, item) in self.intake.take(most, None).unwrap_or_default() {
            match item {
                Item::Job(job, answer) => {
                    if let Some(answer) = answer {
                        self.answers.insert(ticket, answer);
                    }
                    jobs.push_back((ticket, job));
                }
                Item::Gone(ticket) => {
                    self.answers.remove(&ticket);
                    self.writer.forget_claim(ticket);
                }
                Item::Written => {}
                Item::Note => note = true,
                Item::Sweep => sweep = true,
            }
        }
        let mut replies = Vec::new();
        loop {
            let now = self.now();
            let rest = jobs.split_off(first.min(jobs.len()));
            replies.extend(self.decided(&mut jobs, now)?);
            if rest.is_empty() {
                break;
            }
            jobs = rest;
            self.clock.pass(1);
        }
        replies.extend(self.writer.finish()?);
        let now = self.now();
        if note {
            self.writer.note(now)?;
        }
        if sweep {
            self.writer.sweep(now)?;
        }
        Ok(replies)
    }

    /// Hands an answer to who asked.
    pub(super) fn answer(&mut self, ticket: Ticket, reply: Reply) {
        if let Some(answer) = self.answers.remove(&ticket) {
            // Whoever asked may be gone.
            let _gone = answer.send(reply);
        }
    }

    /// An answer is lost on its way.
    pub(super) fn lose(&mut self, ticket: Ticket) -> bool {
        self.answers.remove(&ticket).is_some()
    }

    /// The clock's thread: silence becomes commands. Answers what it found, or that it slept itself.
    pub(super) fn watch(&mut self) -> Watched {
        let mono = self.clock.mono_ms();
        let slept = mono.saturating_sub(self.looked) > SLEPT;
        self.looked = mono;
        let mut leases = self.leases.lock().expect("nobody panics while holding the leases");
        if slept {
            leases.begin_anew(mono);
            return Watched::Slept;
        }
        Watched::Lapsed(leases.lapsed(mono))
    }

    /// Asks for what a lapse asks for.
    pub(super) fn accuse(&self, lapse: Lapsed) {
        let command = Command::LeaseLapsed { work: lapse.work, attempt: lapse.attempt, counter: lapse.counter };
        let _stopped = self.intake.push("", Item::Job(Job::Task { task: lapse.task, command, actor: Actor::settle() }, None));
    }

    /// Wakes of tasks that are due.
    pub(super) fn wakes(&self, due: Vec<StreamId>) -> Jobs {
        let wake = |task| (0, Job::Task { task, command: Command::Wake, actor: Actor::clock() });
        due.into_iter().filter_map(StreamId::task).map(wake).collect()
    }

    pub(super) fn batch(&mut self, mut jobs: Jobs) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        let now = self.now();
        let mut replies = self.decided(&mut jobs, now)?;
        replies.extend(self.writer.finish()?);
        Ok(replies)
    }

    /// Goes on until none is left: what follows another constitution is a batch of its own.
    fn decided(&mut self, jobs: &mut Jobs, now: Time) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        let mut replies = self.writer.batch(jobs, now, self.clock.mono_ms())?;
        while !jobs.is_empty() {
            replies.extend(self.writer.batch(jobs, now, self.clock.mono_ms())?);
        }
        Ok(replies)
    }
}

/// How long the clock's thread may be away before it says that it slept.
pub(super) const SLEPT: u64 = 20_000;

/// What the clock's thread saw.
pub(super) enum Watched {
    Slept,
    Lapsed(Vec<Lapsed>),
}
