//! How attempts with each model went. Only what a step asked for is known: the model stands in `ASSIGNED`, what was used in the report.

use super::counts::{Cell, Histogram, Known, Ring, Tallies, add_all};
use super::{DAY_MS, HOUR_MS, is_of, part, told};
use ephor_core::budget::Amount;
use ephor_core::models::ModelWork;
use ephor_core::time::Time;
use std::collections::BTreeMap;

/// An attempt that ended.
pub(super) struct Ended {
    pub(super) took_ms: u64,
    /// The class of its error, where it did not work.
    pub(super) failed: Option<&'static str>,
    /// What it used, where it said so.
    pub(super) used: Option<Amount>,
}

/// What was counted of one model.
#[derive(Debug, Default)]
struct ModelCounts {
    succeeded: u64,
    failed: Tallies,
    took: Histogram,
    told: u64,
    used: Amount,
}

impl ModelCounts {
    fn note(&mut self, ended: &Ended) {
        match ended.failed {
            Some(class) => *self.failed.entry(class).or_default() += 1,
            None => {
                self.succeeded += 1;
                self.took.note(ended.took_ms);
            }
        }
        if let Some(used) = ended.used {
            self.told += 1;
            self.used = self.used.plus(used);
        }
    }

    fn add(&mut self, more: &Self) {
        self.succeeded += more.succeeded;
        add_all(&mut self.failed, &more.failed);
        self.took.add(&more.took);
        self.told += more.told;
        self.used = self.used.plus(more.used);
    }

    fn work(&self) -> ModelWork {
        let failed = self.failed.values().sum();
        let Amount { tokens, cost, tool_calls } = self.used;
        ModelWork {
            succeeded: self.succeeded,
            failed,
            error_rate: part(failed, self.succeeded),
            by_class: told(&self.failed),
            duration: self.took.spread(),
            told: self.told,
            tokens,
            cost,
            tool_calls,
        }
    }
}

/// Counts by namespace and model, for as long as others are kept. Names are bounded as those of types are.
#[derive(Debug)]
pub(super) struct ModelRings {
    known: Known,
    hours: Ring<ModelCounts>,
    days: Ring<ModelCounts>,
}

impl ModelRings {
    pub(super) fn new(days: i64) -> Self {
        Self { known: Known::default(), hours: Ring::new(HOUR_MS, 25), days: Ring::new(DAY_MS, days) }
    }

    /// Where an attempt with a model is counted.
    pub(super) fn cell(&mut self, namespace: &str, model: &str) -> Cell {
        self.known.cell(namespace, model)
    }

    pub(super) fn note(&mut self, at: i64, cell: &Cell, ended: Ended) {
        self.hours.at(at, cell).note(&ended);
        self.days.at(at, cell).note(&ended);
    }

    pub(super) fn within(&self, namespace: Option<&str>, window_ms: u64, now: Time) -> BTreeMap<String, ModelWork> {
        let window = i64::try_from(window_ms).unwrap_or(i64::MAX);
        let ring = if window <= DAY_MS { &self.hours } else { &self.days };
        let mut found: BTreeMap<String, ModelCounts> = BTreeMap::new();
        for (cell, counts) in ring.last(window, now.0).flatten().filter(|(cell, _)| is_of(&cell.namespace, namespace)) {
            found.entry(cell.task_type().to_owned()).or_default().add(counts);
        }
        found.into_iter().map(|(name, counts)| (name, counts.work())).collect()
    }
}
