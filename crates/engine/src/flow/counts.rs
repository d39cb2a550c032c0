//! How much there is of what limits speak of: pieces of work with agents, and those begun within a rate's time. Counted as work is handed
//! out and ends; after a start or a failed write it is counted anew from what is held.

use super::ByTask;
use ephor_core::flow::{Facts, Place};
use ephor_core::id::TaskId;
use ephor_core::planted::{self, Fault};
use ephor_core::time::Time;
use std::collections::{HashMap, VecDeque};

/// Every count that is not nothing.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    counters: HashMap<Place, Counter>,
    /// Under what the work of each task that agents hold is counted, and how much that is.
    held: ByTask<(u32, Vec<Place>)>,
    /// How many counts there were when those that ran out were last looked for.
    swept: usize,
}

/// Below how many counts nobody looks for those that ran out.
const SWEEP_MIN: usize = 1_000;

#[derive(Debug, Default)]
struct Counter {
    /// How many pieces of work agents hold.
    running: u32,
    /// When pieces of work began, the oldest first; as many as the rate allows at most.
    begun: VecDeque<i64>,
}

impl Counts {
    /// Whether one more piece of work may begin under a place.
    pub(crate) fn is_free(&self, place: &Place, facts: &Facts, now: Time) -> bool {
        if planted::is(Fault::LimitIgnored) {
            return true;
        }
        let Some(rule) = facts.rule(place) else { return true };
        let Some(counter) = self.counters.get(place) else { return rule.max > 0 };
        match rule.window_ms {
            None => counter.running < rule.max,
            // They are in order: what counts is whether the last that could be in the way still is.
            Some(ms) => {
                let nth = counter.begun.len().checked_sub(rule.max as usize);
                nth.and_then(|nth| counter.begun.get(nth)).is_none_or(|at| now.0 - at >= ms as i64)
            }
        }
    }

    /// When a place that is full now has room again by itself; only rates do.
    pub(crate) fn opens_at(&self, place: &Place, facts: &Facts) -> Option<Time> {
        let rule = facts.rule(place)?;
        let begun = &self.counters.get(place)?.begun;
        // The one that has to be out of the window before there is room.
        let last = begun.len().checked_sub(rule.max as usize)?;
        Some(Time(begun.get(last)?.saturating_add(rule.window_ms? as i64)))
    }

    /// A piece of work begins under these places.
    pub(crate) fn begin(&mut self, places: &[Place], facts: &Facts, at: i64) {
        for place in places {
            let Some(rule) = facts.rule(place) else { continue };
            let Some(ms) = rule.window_ms else { continue };
            let begun = &mut self.counters.entry(place.clone()).or_default().begun;
            while begun.front().is_some_and(|first| at - first >= ms as i64) {
                begun.pop_front();
            }
            begun.push_back(at);
        }
        if self.counters.len() > SWEEP_MIN.max(2 * self.swept) {
            let out = |place: &Place, last: i64| {
                facts.rule(place).and_then(|rule| rule.window_ms).is_none_or(|ms| at - last >= ms as i64)
            };
            self.counters.retain(|place, c| c.running > 0 || c.begun.back().is_some_and(|last| !out(place, *last)));
            self.swept = self.counters.len();
        }
    }

    /// So many pieces of work of a task are with agents now. Answers the places that have room they did not have.
    pub(crate) fn follow(&mut self, task: TaskId, now: u32, places: impl FnOnce() -> Vec<Place>) -> Vec<Place> {
        let before = self.held.get(&task).map_or(0, |(count, _)| *count);
        if before == now {
            return Vec::new();
        }
        // What is held is given back where it was taken, whatever the limits say by now.
        let places = self.held.remove(&task).map_or_else(places, |(_, places)| places);
        for place in &places {
            let counter = self.counters.entry(place.clone()).or_default();
            counter.running = (counter.running + now).saturating_sub(before);
            if counter.running == 0 && counter.begun.is_empty() {
                self.counters.remove(place);
            }
        }
        let freed = if now < before { places.clone() } else { Vec::new() };
        if now > 0 {
            self.held.insert(task, (now, places));
        }
        freed
    }

    /// Nothing is held: it is counted anew. What has begun is remembered.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.counters.values_mut().for_each(|counter| counter.running = 0);
        self.counters.retain(|_, counter| !counter.begun.is_empty());
    }

    /// What a limit counts, all keys together, and how many of its counts are full.
    pub(crate) fn of(&self, limit: &str, facts: &Facts, now: Time) -> (u64, u64) {
        let of = self.counters.iter().filter(|(place, _)| *place.limit == *limit);
        of.fold((0, 0), |(counted, full), (place, counter)| {
            let more = match facts.rule(place).and_then(|rule| rule.window_ms) {
                Some(ms) => counter.begun.iter().filter(|at| now.0 - **at < ms as i64).count() as u64,
                None => u64::from(counter.running),
            };
            (counted + more, full + u64::from(!self.is_free(place, facts, now)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::flow::Limit;
    use ephor_core::namespace::NamespaceEvent;

    fn limited(max: u32, window_ms: Option<u64>) -> (Facts, Place) {
        let limit = Limit { name: "l".into(), namespace: None, task_type: None, max, window_ms, by: None };
        let mut facts = Facts::default();
        facts.evolve(&NamespaceEvent::LimitSet(Box::new(limit)), Time(0), "HUMAN/ann");
        (facts, Place { limit: "*/l".into(), key: None })
    }
    fn task(n: u8) -> TaskId {
        TaskId::new(1, [n; 10])
    }

    #[test]
    fn a_place_is_full_at_its_maximum_and_free_again_when_work_ends() {
        let (facts, place) = limited(2, None);
        let mut counts = Counts::default();
        let places = || vec![place.clone()];
        assert!(counts.follow(task(1), 1, places).is_empty());
        assert!(counts.is_free(&place, &facts, Time(0)));
        counts.follow(task(2), 1, places);
        assert!(!counts.is_free(&place, &facts, Time(0)));
        assert_eq!(counts.follow(task(1), 0, places).as_slice(), std::slice::from_ref(&place));
        assert!(counts.is_free(&place, &facts, Time(0)));
        assert_eq!(counts.of("*/l", &facts, Time(0)), (1, 0));
    }

    #[test]
    fn a_rate_lets_so_many_begin_in_any_span_of_its_length() {
        let (facts, place) = limited(2, Some(100));
        let mut counts = Counts::default();
        for at in [0, 60] {
            assert!(counts.is_free(&place, &facts, Time(at)));
            counts.begin(std::slice::from_ref(&place), &facts, at);
        }
        assert!(!counts.is_free(&place, &facts, Time(99)));
        assert_eq!(counts.opens_at(&place, &facts), Some(Time(100)));
        assert!(counts.is_free(&place, &facts, Time(100)));
        counts.begin(std::slice::from_ref(&place), &facts, 100);
        assert!(!counts.is_free(&place, &facts, Time(159)));
        assert_eq!(counts.opens_at(&place, &facts), Some(Time(160)));
    }

    #[test]
    fn what_is_counted_anew_forgets_what_runs_and_not_what_has_begun() {
        let (facts, place) = limited(1, Some(100));
        let mut counts = Counts::default();
        counts.follow(task(1), 1, || vec![place.clone()]);
        counts.begin(std::slice::from_ref(&place), &facts, 0);
        counts.clear();
        assert!(!counts.is_free(&place, &facts, Time(50)));
        assert!(counts.follow(task(1), 0, || vec![place.clone()]).is_empty());
    }
}
