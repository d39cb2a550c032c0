//! Figures: what was done lately and what stands, folded from the events behind the writer's back. The writer counts nothing for them:
//! whoever looks reads on from where the last one ended. Nothing here is kept over a restart; the past is then read anew, as far back as
//! figures are kept and as many events as are worth it.
//!
//! What the engine has in hand (leases, agents, what waits for the writer) is not here: whoever shows figures asks it.

mod counts;
mod models;

pub use counts::{BOUNDS_MS, CELLS_MAX, Cell, Cells, Counts, Histogram, NAMES_MAX, Tallies};

use crate::store::{Fact, Filter, Reader, StoreError};
use counts::{Known, Name, Ring};
use ephor_core::budget::Amount;
use ephor_core::figures::{
    ApprovalFigures, AttemptFigures, CouncilFigures, GateFigures, Judged, QueueFigures, TaskFigures, TypeFigures,
};
use ephor_core::id::StreamKind;
use ephor_core::models::ModelWork;
use ephor_core::spec::ErrorClass;
use ephor_core::status::Status;
use ephor_core::time::{Time, WireDuration};
use models::{Ended, ModelRings};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many events of the past are read at most after a start: some seconds of one thread.
pub const PAST_MAX: u64 = 1_000_000;
/// How many events are read at once.
const PAGE: u32 = 2_000;
/// How many tasks, attempts, reviews or questions under way are followed, each; the rest are counted without how long they took.
const FOLLOWED_MAX: usize = 100_000;
/// How many tasks that waited already are looked up at a start.
const WAITING_MAX: u32 = 10_000;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The events of which more is asked than that they happened.
const WANTED: [&str; 8] = [
    "ASSIGNED",
    "ATTEMPT_SUCCEEDED",
    "ATTEMPT_FAILED",
    "GATE_JUDGED",
    "REVIEW_OPENED",
    "REVIEW_DECIDED",
    "APPROVAL_ASKED",
    "APPROVAL_ANSWERED",
];
const GATES: [&str; 5] = ["evidence", "metric", "agent", "person", "limit"];
const VERDICTS: [&str; 5] = ["APPROVED", "APPROVED_WITH_CONDITIONS", "REVISE", "REJECTED", "ESCALATED"];
const ANSWERS: [&str; 3] = ["APPROVED", "DENIED", "EXPIRED"];

/// What is asked of an event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    work: Option<Box<str>>,
    attempt: u32,
    class: Option<ErrorClass>,
    step: Option<Box<str>>,
    by: Option<Box<str>>,
    passed: bool,
    review: Option<Box<str>>,
    verdict: Option<Box<str>>,
    answer: Option<Box<str>>,
    model: Option<Box<str>>,
    used: Option<Amount>,
}

impl Said {
    /// What an event says; nothing where it is of a form that is not known.
    fn of(data: &str) -> Self {
        let tagged: Option<BTreeMap<Box<str>, Self>> = serde_json::from_str(data).ok();
        tagged.and_then(|tagged| tagged.into_values().next()).unwrap_or_default()
    }
}

/// The word of a closed set.
fn known(set: &'static [&'static str], word: Option<&str>) -> Option<&'static str> {
    set.iter().find(|known| Some(**known) == word).copied()
}

/// A task under way.
#[derive(Clone, Debug)]
struct Live {
    namespace: Name,
    queued_at: Option<i64>,
    started_at: Option<i64>,
}

/// An attempt under way: since when, and where it is counted by its model, if its step asks for one.
#[derive(Clone, Debug)]
struct Begun {
    at: i64,
    model: Option<Cell>,
}

/// Something with a beginning.
type Since = (i64, Name);

/// What was counted so far.
#[derive(Debug)]
pub struct Fold {
    /// The position of the last event that was counted.
    after: u64,
    /// Up to here it is the past: it counts in windows of time, but not since the start.
    start: u64,
    since: i64,
    known: Known,
    totals: Cells,
    hours: Ring,
    days: Ring,
    live: HashMap<u128, Live>,
    queued: BTreeSet<(i64, u128)>,
    running: BTreeSet<(i64, u128)>,
    attempts: BTreeMap<(u128, Box<str>, u32), Begun>,
    models: ModelRings,
    reviews: BTreeMap<(u128, Box<str>), Since>,
    asked: BTreeMap<(u128, Box<str>), Since>,
}

impl Fold {
    /// Begins with what happened within this time before now, or with the newest [`PAST_MAX`] events of it; what is behind `start` counts
    /// since the start. Nothing of it is counted yet: see [`Self::catch_up`].
    pub fn begin(reader: &dyn Reader, now: Time, kept_ms: u64, start: u64) -> Result<Self, StoreError> {
        let last = reader.position()?;
        let kept = i64::try_from(kept_ms).unwrap_or(i64::MAX);
        let (within, first_at) = first_after(reader, now.0.saturating_sub(kept), last)?;
        let after = within.max(last.saturating_sub(PAST_MAX));
        let since = match after == within {
            true => first_at.unwrap_or(now.0),
            false => reader.facts(after, 1, &[])?.first().map_or(now.0, |fact| fact.at),
        };
        let mut fold = Self {
            after,
            start,
            since,
            known: Known::default(),
            totals: Cells::new(),
            hours: Ring::new(HOUR_MS, 25),
            days: Ring::new(DAY_MS, kept_days(kept)),
            models: ModelRings::new(kept_days(kept)),
            live: HashMap::new(),
            queued: BTreeSet::new(),
            running: BTreeSet::new(),
            attempts: BTreeMap::new(),
            reviews: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        fold.find_waiting(reader)?;
        Ok(fold)
    }

    /// Those that wait already, from before what is read of the past: since they were due, or born.
    fn find_waiting(&mut self, reader: &dyn Reader) -> Result<(), StoreError> {
        let filter = Filter { statuses: vec![Status::Scheduled], oldest_first: true, ..Filter::default() };
        for listed in reader.list(&filter, WAITING_MAX)? {
            let since = listed.row.due_at.unwrap_or(listed.row.created_at).max(listed.row.created_at);
            let cell = self.known.cell(&listed.row.namespace, &listed.row.task_type);
            self.live.insert(listed.stream.bits, Live { namespace: cell.namespace, queued_at: Some(since), started_at: None });
            self.queued.insert((since, listed.stream.bits));
        }
        Ok(())
    }

    /// Counts what has happened since, at most so many events; whether that was all.
    pub fn catch_up(&mut self, reader: &dyn Reader, most: u64) -> Result<bool, StoreError> {
        let mut left = most;
        while left > 0 {
            let limit = PAGE.min(u32::try_from(left).unwrap_or(PAGE));
            let page = reader.facts(self.after, limit, &WANTED)?;
            for fact in &page {
                self.after = fact.position;
                if fact.stream.kind == StreamKind::Task {
                    self.take(fact);
                }
            }
            if page.len() < limit as usize {
                return Ok(true);
            }
            left -= u64::from(limit);
        }
        Ok(false)
    }

    /// The position of the last event that was counted.
    pub fn position(&self) -> u64 {
        self.after
    }

    /// Since when events are counted.
    pub fn since(&self) -> Time {
        Time(self.since)
    }

    fn take(&mut self, fact: &Fact) {
        let bits = fact.stream.bits;
        let cell = self.known.cell(&fact.namespace, &fact.task_type);
        let waited = self.moves(fact, &cell);
        let said = if fact.data.is_empty() { Said::default() } else { Said::of(&fact.data) };
        let mut took = waited.map(|ms| (Took::Queued, ms));
        let mut happened: Box<dyn Fn(&mut Counts)> = Box::new(|_| {});
        match &*fact.kind {
            "SUBMITTED" => happened = Box::new(|counts| counts.submitted += 1),
            "RETRIED" => happened = Box::new(|counts| counts.retried += 1),
            "ESCALATED" => happened = Box::new(|counts| counts.escalated += 1),
            "STALLED" | "STALL_NOTED" | "STALL_ESCALATED" => happened = Box::new(|counts| counts.stalled += 1),
            "ASSIGNED" => {
                if let Some(work) = step_work(said.work)
                    && self.attempts.len() < FOLLOWED_MAX
                {
                    let model = said.model.map(|name| self.models.cell(&fact.namespace, &name));
                    self.attempts.insert((bits, work, said.attempt), Begun { at: fact.at, model });
                }
            }
            "ATTEMPT_SUCCEEDED" => {
                if let Some(work) = step_work(said.work) {
                    let begun = self.attempts.remove(&(bits, work, said.attempt));
                    took = begun.as_ref().map(|begun| (Took::Attempt, since(fact.at, begun.at)));
                    self.with_model(fact.at, begun, None, said.used);
                    happened = Box::new(|counts| counts.attempts_succeeded += 1);
                }
            }
            "ATTEMPT_FAILED" => {
                if let Some(work) = step_work(said.work) {
                    let begun = self.attempts.remove(&(bits, work, said.attempt));
                    let class = said.class.unwrap_or_default().word();
                    self.with_model(fact.at, begun, Some(class), said.used);
                    happened = Box::new(move |counts| *counts.attempts_failed.entry(class).or_default() += 1);
                }
            }
            "GATE_JUDGED" => {
                let (kind, passed) = (known(&GATES, said.by.as_deref()).unwrap_or("evidence"), u64::from(said.passed));
                happened = Box::new(move |counts| {
                    let judged: &mut Judged = counts.gates.entry(kind).or_default();
                    judged.passed += passed;
                    judged.failed += 1 - passed;
                });
            }
            "REVIEW_OPENED" => {
                open(&mut self.reviews, bits, said.review, (fact.at, cell.namespace.clone()));
                happened = Box::new(|counts| counts.reviews_opened += 1);
            }
            "REVIEW_DECIDED" => {
                let begun = said.review.and_then(|review| self.reviews.remove(&(bits, review)));
                took = begun.map(|(from, _)| (Took::Deciding, since(fact.at, from)));
                if let Some(verdict) = known(&VERDICTS, said.verdict.as_deref()) {
                    happened = Box::new(move |counts| *counts.verdicts.entry(verdict).or_default() += 1);
                }
            }
            "APPROVAL_ASKED" => {
                open(&mut self.asked, bits, said.step, (fact.at, cell.namespace.clone()));
                happened = Box::new(|counts| counts.approvals_asked += 1);
            }
            "APPROVAL_ANSWERED" => {
                let begun = said.step.and_then(|step| self.asked.remove(&(bits, step)));
                took = begun.map(|(from, _)| (Took::Answering, since(fact.at, from)));
                if let Some(answer) = known(&ANSWERS, said.answer.as_deref()) {
                    happened = Box::new(move |counts| *counts.approvals_answered.entry(answer).or_default() += 1);
                }
            }
            "COMPLETED" | "FAILED" | "CANCELLED" | "STOPPED" => {
                let live = self.forget(bits);
                let word = fact.after.map_or("", Status::word);
                let done = (fact.after == Some(Status::Completed)).then(|| since(fact.at, fact.created_at));
                let ran = done.and(live).and_then(|live| live.started_at).map(|from| since(fact.at, from));
                happened = Box::new(move |counts| {
                    *counts.ended.entry(word).or_default() += 1;
                    done.into_iter().for_each(|ms| counts.duration.note(ms));
                    ran.into_iter().for_each(|ms| counts.execution.note(ms));
                });
            }
            _ => {}
        }
        let count = |counts: &mut Counts| {
            happened(counts);
            if let Some((what, ms)) = took {
                what.of(counts).note(ms);
            }
        };
        count(self.hours.at(fact.at, &cell));
        count(self.days.at(fact.at, &cell));
        if fact.position > self.start {
            count(self.totals.entry(cell).or_default());
        }
    }

    /// An attempt has ended: it counts for the model its step asked for.
    fn with_model(&mut self, at: i64, begun: Option<Begun>, failed: Option<&'static str>, used: Option<Amount>) {
        if let Some(Begun { at: from, model: Some(cell) }) = begun {
            self.models.note(at, &cell, Ended { took_ms: since(at, from), failed, used });
        }
    }

    /// Follows a task from status to status; how long it was queued where somebody has come for it.
    fn moves(&mut self, fact: &Fact, cell: &Cell) -> Option<u64> {
        let (before, after) = (fact.before, fact.after);
        if before == after || after.is_none_or(Status::is_final) {
            return None;
        }
        let bits = fact.stream.bits;
        if !self.live.contains_key(&bits) && self.live.len() >= FOLLOWED_MAX {
            return None;
        }
        let fresh = || Live { namespace: cell.namespace.clone(), queued_at: None, started_at: None };
        let live = self.live.entry(bits).or_insert_with(fresh);
        let mut waited = None;
        if let Some(from) = live.queued_at.take() {
            self.queued.remove(&(from, bits));
            if matches!(after, Some(Status::Assigned | Status::InProgress)) {
                waited = Some(since(fact.at, from));
            }
        }
        if after == Some(Status::Scheduled) {
            live.queued_at = Some(fact.at);
            self.queued.insert((fact.at, bits));
        }
        if after == Some(Status::InProgress) && live.started_at.is_none() {
            live.started_at = Some(fact.at);
            self.running.insert((fact.at, bits));
        }
        waited
    }

    /// A task has ended: nothing of it goes on.
    fn forget(&mut self, bits: u128) -> Option<Live> {
        fn of<T: Clone + Ord, V>(all: &mut BTreeMap<T, V>, is: impl Fn(&T) -> bool, from: T) {
            let gone: Vec<T> = all.range(from..).take_while(|(key, _)| is(key)).map(|(key, _)| key.clone()).collect();
            gone.iter().for_each(|key| drop(all.remove(key)));
        }
        of(&mut self.attempts, |key| key.0 == bits, (bits, "".into(), 0));
        of(&mut self.reviews, |key| key.0 == bits, (bits, "".into()));
        of(&mut self.asked, |key| key.0 == bits, (bits, "".into()));
        let live = self.live.remove(&bits)?;
        if let Some(from) = live.queued_at {
            self.queued.remove(&(from, bits));
        }
        if let Some(from) = live.started_at {
            self.running.remove(&(from, bits));
        }
        Some(live)
    }

    /// What was counted since the start, by where and what.
    pub fn totals(&self) -> &Cells {
        &self.totals
    }

    /// Since the start, everything together.
    pub fn total(&self) -> Counts {
        let mut sum = Counts::default();
        self.totals.values().for_each(|counts| sum.add(counts));
        sum
    }

    /// What was counted within the last so many milliseconds, of one namespace where one is named.
    pub fn within(&self, namespace: Option<&str>, window_ms: u64, now: Time) -> Window {
        let window = i64::try_from(window_ms).unwrap_or(i64::MAX);
        let ring = if window <= DAY_MS { &self.hours } else { &self.days };
        let mut found = Window::default();
        for (cell, counts) in ring.last(window, now.0).flatten().filter(|(cell, _)| is_of(&cell.namespace, namespace)) {
            found.all.add(counts);
            found.by_type.entry(cell.task_type().to_owned()).or_default().add(counts);
        }
        found
    }

    /// How attempts with each model went within the last so many milliseconds, in one namespace where one is named.
    pub fn models(&self, namespace: Option<&str>, window_ms: u64, now: Time) -> BTreeMap<String, ModelWork> {
        self.models.within(namespace, window_ms, now)
    }

    /// Since when the task has been queued that has been queued longest.
    pub fn queued_since(&self, namespace: Option<&str>) -> Option<Time> {
        let of = |bits: &u128| self.live.get(bits).is_some_and(|live| is_of(&live.namespace, namespace));
        self.queued.iter().find(|(_, bits)| of(bits)).map(|(at, _)| Time(*at))
    }

    /// Tasks that were first started at or before an instant and have not ended, the oldest first: its id and when.
    pub fn running_since(&self, namespace: Option<&str>, at: Time) -> impl Iterator<Item = (u128, Time)> {
        let of = move |bits: &u128| self.live.get(bits).is_some_and(|live| is_of(&live.namespace, namespace));
        self.running.range(..=(at.0, u128::MAX)).filter(move |(_, bits)| of(bits)).map(|(at, bits)| (*bits, Time(*at)))
    }

    /// How many reviews are open, and since when the oldest has been.
    pub fn open_reviews(&self, namespace: Option<&str>) -> (u64, Option<Time>) {
        going_on(&self.reviews, namespace)
    }

    /// How many questions about single actions wait for an answer, and since when the oldest has.
    pub fn open_questions(&self, namespace: Option<&str>) -> (u64, Option<Time>) {
        going_on(&self.asked, namespace)
    }

    /// Council as it is told.
    pub fn council(&self, namespace: Option<&str>, counts: &Counts, now: Time) -> CouncilFigures {
        let (open, oldest) = self.open_reviews(namespace);
        CouncilFigures {
            open,
            oldest: oldest.map(|at| age(at, now)),
            opened: counts.reviews_opened,
            by_verdict: told(&counts.verdicts),
            time_to_decide: counts.deciding.spread(),
        }
    }

    /// Questions about single actions as they are told.
    pub fn approvals(&self, namespace: Option<&str>, counts: &Counts, now: Time) -> ApprovalFigures {
        let (owed, oldest) = self.open_questions(namespace);
        ApprovalFigures {
            owed,
            oldest: oldest.map(|at| age(at, now)),
            asked: counts.approvals_asked,
            by_answer: told(&counts.approvals_answered),
            time_to_answer: counts.answering.spread(),
        }
    }

    /// The queue as it is told; how deep it is says the index.
    pub fn queue(&self, namespace: Option<&str>, depth: u64, now: Time) -> QueueFigures {
        // What the index has let go of is only just not heard of here.
        let oldest = self.queued_since(namespace).filter(|_| depth > 0);
        QueueFigures { depth, oldest: oldest.map(|at| age(at, now)) }
    }
}

/// What was counted within some time.
#[derive(Debug, Default)]
pub struct Window {
    /// All of it.
    pub all: Counts,
    /// By type of task.
    pub by_type: BTreeMap<String, Counts>,
}

impl Window {
    /// Tasks as they are told; where they are now says the index.
    pub fn tasks(&self, by_status: BTreeMap<Status, u64>) -> TaskFigures {
        let all = &self.all;
        let of_type = |(task_type, counts): (&String, &Counts)| TypeFigures {
            task_type: task_type.clone(),
            submitted: counts.submitted,
            completed: counts.ended("COMPLETED"),
            failed: counts.ended("FAILED"),
            success_rate: success(counts),
            attempts_failed: counts.all_failed(),
            error_rate: error_rate(counts),
            duration: counts.duration.spread(),
        };
        TaskFigures {
            by_status,
            submitted: all.submitted,
            completed: all.ended("COMPLETED"),
            failed: all.ended("FAILED"),
            cancelled: all.ended("CANCELLED"),
            stopped: all.ended("STOPPED"),
            success_rate: success(all),
            retried: all.retried,
            escalated: all.escalated,
            stalled: all.stalled,
            duration: all.duration.spread(),
            execution: all.execution.spread(),
            queued: all.queued.spread(),
            by_type: self.by_type.iter().map(of_type).collect(),
        }
    }

    /// Attempts as they are told.
    pub fn attempts(&self) -> AttemptFigures {
        AttemptFigures {
            succeeded: self.all.attempts_succeeded,
            failed: self.all.all_failed(),
            error_rate: error_rate(&self.all),
            by_class: told(&self.all.attempts_failed),
            duration: self.all.attempt.spread(),
        }
    }

    /// Gates as they are told.
    pub fn gates(&self) -> GateFigures {
        let all = self.all.gates.values();
        GateFigures {
            passed: all.clone().map(|judged| judged.passed).sum(),
            failed: all.map(|judged| judged.failed).sum(),
            by_kind: self.all.gates.iter().map(|(kind, judged)| ((*kind).to_owned(), *judged)).collect(),
        }
    }
}

/// What was measured.
#[derive(Clone, Copy)]
enum Took {
    Queued,
    Attempt,
    Deciding,
    Answering,
}

impl Took {
    fn of(self, counts: &mut Counts) -> &mut Histogram {
        match self {
            Self::Queued => &mut counts.queued,
            Self::Attempt => &mut counts.attempt,
            Self::Deciding => &mut counts.deciding,
            Self::Answering => &mut counts.answering,
        }
    }
}

/// The part of tasks that completed, of those that completed or failed.
fn success(counts: &Counts) -> Option<f64> {
    part(counts.ended("COMPLETED"), counts.ended("FAILED"))
}

/// The part of attempts that failed.
pub fn error_rate(counts: &Counts) -> Option<f64> {
    part(counts.all_failed(), counts.attempts_succeeded)
}

fn part(these: u64, others: u64) -> Option<f64> {
    let all = these + others;
    (all > 0).then(|| these as f64 / all as f64)
}

fn told(tallies: &Tallies) -> BTreeMap<String, u64> {
    tallies.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect()
}

/// How long ago.
fn age(at: Time, now: Time) -> WireDuration {
    WireDuration { ms: now.since(at) }
}

/// For how many days counts are kept, the one that has begun included.
fn kept_days(kept_ms: i64) -> i64 {
    kept_ms.div_euclid(DAY_MS).clamp(0, 366) + 2
}

fn since(at: i64, from: i64) -> u64 {
    Time(at).since(Time(from))
}

/// What work an attempt is at, where it is a step.
fn step_work(work: Option<Box<str>>) -> Option<Box<str>> {
    work.filter(|work| work.starts_with("step:"))
}

fn open(all: &mut BTreeMap<(u128, Box<str>), Since>, bits: u128, name: Option<Box<str>>, since: Since) {
    if let Some(name) = name
        && all.len() < FOLLOWED_MAX
    {
        all.insert((bits, name), since);
    }
}

fn going_on(all: &BTreeMap<(u128, Box<str>), Since>, namespace: Option<&str>) -> (u64, Option<Time>) {
    let own = all.values().filter(|(_, of)| is_of(of, namespace));
    own.fold((0, None), |(count, oldest), (at, _)| {
        (count + 1, Some(oldest.map_or(Time(*at), |known: Time| known.min(Time(*at)))))
    })
}

fn is_of(name: &Name, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| name.as_deref() == Some(wanted))
}

/// The position behind which everything happened at or after an instant, and when the first of it did. Commits are in the order of time,
/// so it is found by halving.
fn first_after(reader: &dyn Reader, at: i64, last: u64) -> Result<(u64, Option<i64>), StoreError> {
    // Behind `low` all is within; what is wanted is the lowest such position.
    let (mut low, mut high, mut found) = (0, last, None);
    while low < high {
        let middle = low + (high - low) / 2;
        match reader.commits(middle, 1)?.first() {
            Some(commit) if commit.at < at => low = commit.last.min(high).max(middle + 1),
            Some(commit) => {
                found = Some(commit.at);
                high = middle;
            }
            None => high = middle,
        }
    }
    // The first commit of all is at the lowest position and may not have been looked at.
    if found.is_none() && last > 0 {
        found = reader.commits(low, 1)?.first().map(|commit| commit.at);
    }
    Ok((low, found))
}
