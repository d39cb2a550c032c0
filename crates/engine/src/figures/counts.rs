//! What is counted, and for how long it is remembered: counts by where a task belongs and of what type it is, hour by hour and day by day.

use ephor_core::figures::{Judged, OTHER, Spread};
use ephor_core::time::WireDuration;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// How many namespaces, and how many types, are counted by name. What comes later is counted as `other`, so that whoever submits cannot
/// make figures grow without end.
pub const NAMES_MAX: usize = 50;
/// How many pairs of the two are counted alone.
pub const CELLS_MAX: usize = 200;

/// The ends of the classes in which durations are counted, in milliseconds; what is longer is in one class behind them.
pub const BOUNDS_MS: [u64; 21] = [
    10,
    25,
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    10_800_000,
    43_200_000,
    86_400_000,
    604_800_000,
];

/// Durations by their classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many are in each class.
    pub counts: [u32; BOUNDS_MS.len() + 1],
    /// All of them together, in milliseconds.
    pub sum_ms: u64,
}

impl Histogram {
    /// One more.
    pub(crate) fn note(&mut self, ms: u64) {
        let class = BOUNDS_MS.partition_point(|bound| *bound < ms);
        self.counts[class] = self.counts[class].saturating_add(1);
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(own, more)| *own = own.saturating_add(more));
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|n| u64::from(*n)).sum()
    }

    /// Within how long this part of them was done, by the straight line through their class.
    fn within(&self, part: f64) -> Option<WireDuration> {
        let wanted = (self.count() as f64 * part).ceil();
        let mut below = 0.0;
        for (class, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let here = f64::from(*count);
            if below + here >= wanted {
                let from = class.checked_sub(1).map_or(0, |before| BOUNDS_MS[before]) as f64;
                let to = BOUNDS_MS.get(class).map_or(from * 2.0, |bound| *bound as f64);
                return Some(WireDuration { ms: (from + (to - from) * (wanted - below) / here).round() as u64 });
            }
            below += here;
        }
        None
    }

    /// As it is told.
    pub(crate) fn spread(&self) -> Spread {
        let count = self.count();
        let mean = (count > 0).then(|| WireDuration { ms: self.sum_ms / count });
        Spread { count, mean, p50: self.within(0.5), p95: self.within(0.95) }
    }
}

/// How often, by word. The words are those of closed sets.
pub type Tallies = BTreeMap<&'static str, u64>;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that were submitted.
    pub submitted: u64,
    /// Tasks that ended, by their status: `COMPLETED`.
    pub ended: Tallies,
    /// How often one was tried again.
    pub retried: u64,
    /// How often one escalated.
    pub escalated: u64,
    /// How often work stalled.
    pub stalled: u64,
    /// Attempts at steps that worked.
    pub attempts_succeeded: u64,
    /// Attempts that did not, by the class of their error: `TIMEOUT`.
    pub attempts_failed: Tallies,
    /// Gates that were judged, by what.
    pub gates: BTreeMap<&'static str, Judged>,
    /// Reviews that were opened.
    pub reviews_opened: u64,
    /// Reviews that were decided, by verdict.
    pub verdicts: Tallies,
    /// Questions about single actions.
    pub approvals_asked: u64,
    /// How they were answered.
    pub approvals_answered: Tallies,
    /// From submission to the end, of tasks that completed.
    pub duration: Histogram,
    /// From the first start to the end, of tasks that completed.
    pub execution: Histogram,
    /// How long tasks were queued until somebody came.
    pub queued: Histogram,
    /// From claim to report, of attempts that worked.
    pub attempt: Histogram,
    /// How long reviews took.
    pub deciding: Histogram,
    /// How long answers about single actions took.
    pub answering: Histogram,
}

pub(super) fn add_all(own: &mut Tallies, more: &Tallies) {
    more.iter().for_each(|(word, n)| *own.entry(word).or_default() += n);
}

impl Counts {
    /// The same and more.
    pub(crate) fn add(&mut self, more: &Self) {
        let Self {
            submitted,
            ended,
            retried,
            escalated,
            stalled,
            attempts_succeeded,
            attempts_failed,
            gates,
            reviews_opened,
            verdicts,
            approvals_asked,
            approvals_answered,
            duration,
            execution,
            queued,
            attempt,
            deciding,
            answering,
        } = more;
        for (own, more) in [
            (&mut self.submitted, submitted),
            (&mut self.retried, retried),
            (&mut self.escalated, escalated),
            (&mut self.stalled, stalled),
            (&mut self.attempts_succeeded, attempts_succeeded),
            (&mut self.reviews_opened, reviews_opened),
            (&mut self.approvals_asked, approvals_asked),
        ] {
            *own += more;
        }
        add_all(&mut self.ended, ended);
        add_all(&mut self.attempts_failed, attempts_failed);
        add_all(&mut self.verdicts, verdicts);
        add_all(&mut self.approvals_answered, approvals_answered);
        for (kind, judged) in gates {
            let own = self.gates.entry(kind).or_default();
            own.passed += judged.passed;
            own.failed += judged.failed;
        }
        self.duration.add(duration);
        self.execution.add(execution);
        self.queued.add(queued);
        self.attempt.add(attempt);
        self.deciding.add(deciding);
        self.answering.add(answering);
    }

    /// How many tasks ended so.
    pub fn ended(&self, word: &str) -> u64 {
        self.ended.get(word).copied().unwrap_or(0)
    }

    /// How many attempts did not work.
    pub fn all_failed(&self) -> u64 {
        self.attempts_failed.values().sum()
    }
}

/// The name of a namespace or a type; none for what is counted as `other`.
pub(crate) type Name = Option<Arc<str>>;

/// Where a task belongs, and its type; where attempts are counted by model, their model in its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The namespace.
    pub(crate) namespace: Name,
    /// The type.
    pub(crate) task_type: Name,
}

impl Cell {
    /// The namespace as it is told.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(OTHER)
    }

    /// The type as it is told.
    pub fn task_type(&self) -> &str {
        self.task_type.as_deref().unwrap_or(OTHER)
    }
}

/// Counts by where and what.
pub type Cells = HashMap<Cell, Counts>;

/// The cells there are: no more than so many.
#[derive(Debug, Default)]
pub(crate) struct Known {
    namespaces: BTreeSet<Arc<str>>,
    types: BTreeSet<Arc<str>>,
    cells: HashSet<Cell>,
}

impl Known {
    /// The cell in which a task is counted.
    pub(crate) fn cell(&mut self, namespace: &str, task_type: &str) -> Cell {
        let cell = Cell { namespace: named(&mut self.namespaces, namespace), task_type: named(&mut self.types, task_type) };
        if self.cells.contains(&cell) || self.cells.len() < CELLS_MAX {
            self.cells.insert(cell.clone());
            return cell;
        }
        Cell { namespace: None, task_type: None }
    }
}

fn named(known: &mut BTreeSet<Arc<str>>, name: &str) -> Name {
    // A namespace of that name is one of the others: who sees it alone would see theirs.
    if name == OTHER {
        return None;
    }
    if let Some(known) = known.get(name) {
        return Some(known.clone());
    }
    (known.len() < NAMES_MAX).then(|| {
        let name: Arc<str> = name.into();
        known.insert(name.clone());
        name
    })
}

/// Counts for each of the last so many spans of time.
#[derive(Debug)]
pub(crate) struct Ring<C = Counts> {
    width_ms: i64,
    keep: i64,
    spans: VecDeque<(i64, HashMap<Cell, C>)>,
}

impl<C: Default> Ring<C> {
    pub(crate) fn new(width_ms: i64, keep: i64) -> Self {
        Self { width_ms, keep, spans: VecDeque::new() }
    }

    /// The counts of a cell at an instant. What comes late counts in the newest span.
    pub(crate) fn at(&mut self, at: i64, cell: &Cell) -> &mut C {
        let span = at.div_euclid(self.width_ms);
        if self.spans.back().is_none_or(|(newest, _)| *newest < span) {
            self.spans.push_back((span, HashMap::new()));
            while self.spans.front().is_some_and(|(oldest, _)| *oldest + self.keep <= span) {
                self.spans.pop_front();
            }
        }
        let (_, cells) = self.spans.back_mut().expect("one was just pushed where there was none");
        cells.entry(cell.clone()).or_default()
    }

    /// The spans of which any part lies within the last so many milliseconds before an instant.
    pub(crate) fn last(&self, window_ms: i64, now: i64) -> impl Iterator<Item = &HashMap<Cell, C>> {
        let from = now.saturating_sub(window_ms).div_euclid(self.width_ms);
        self.spans.iter().filter(move |(span, _)| *span >= from).map(|(_, cells)| cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_right_to_its_class() {
        let mut seen = Histogram::default();
        assert_eq!(seen.spread(), Spread::default());
        (0..99).for_each(|_| seen.note(80));
        seen.note(8_000_000_000);
        let told = seen.spread();
        let within = |told: Option<WireDuration>, from, to| told.is_some_and(|told| (from..=to).contains(&told.ms));
        assert_eq!((told.count, told.mean), (100, Some(WireDuration { ms: (99 * 80 + 8_000_000_000) / 100 })));
        assert!(within(told.p50, 50, 100) && within(told.p95, 50, 100), "{told:?}");
        (0..10).for_each(|_| seen.note(8_000_000_000));
        assert!(within(seen.spread().p95, 604_800_000, u64::MAX));
    }

    #[test]
    fn names_beyond_the_first_are_one() {
        let mut known = Known::default();
        for n in 0..NAMES_MAX {
            assert_eq!(known.cell(&format!("n{n}"), "t").namespace(), format!("n{n}"));
        }
        let (late, first) = (known.cell("late", "t"), known.cell("n0", "t"));
        assert_eq!((late.namespace(), late.task_type(), first.namespace()), (OTHER, "t", "n0"));
        for (n, t) in (0..NAMES_MAX).flat_map(|n| (0..NAMES_MAX + 5).map(move |t| (n, t))) {
            known.cell(&format!("n{n}"), &format!("t{t}"));
        }
        assert_eq!(known.cells.len(), CELLS_MAX);
        let beyond = known.cell("n49", "t49");
        assert_eq!((beyond.namespace, beyond.task_type), (None, None));
        // One that is called so is one of them.
        assert_eq!(known.cell(OTHER, "t").namespace, None);
    }

    #[test]
    fn what_is_old_is_forgotten_and_a_window_ends_where_it_says() {
        let mut ring: Ring = Ring::new(10, 3);
        let cell = Cell { namespace: None, task_type: None };
        for at in [5, 15, 25, 35] {
            ring.at(at, &cell).submitted += 1;
        }
        ring.at(12, &cell).submitted += 1;
        let within = |window| ring.last(window, 39).map(|cells| cells[&cell].submitted).sum::<u64>();
        assert_eq!((within(5), within(10), within(20), within(1_000)), (2, 3, 4, 4));
    }
}
