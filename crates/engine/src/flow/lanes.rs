//! Tasks under limits and holds, set aside where there is no room for them. Those that need room in the same places stand in one lane. A
//! lane is open, and its first tasks are offered, or it waits for a place that was found full; when that has room the best of those that
//! wait for it opens. So a claim never looks at tasks that may not go, and never at more than one of a lane.
//!
//! Hints in memory, as in `ready`: bounded, and what does not fit is found again in the index.

use super::{ByTask, Share, Shares};
use crate::ready::Rank;
use ephor_core::flow::Place;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::matching::{Able, fits};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The most tasks remembered. Beyond it the worst of the longest lane are forgotten, and fetched from the index when there is room.
const TASKS_MAX: usize = 100_000;

/// What all tasks of a lane have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneKey {
    pub(crate) namespace: Box<str>,
    pub(crate) places: Vec<Place>,
}

/// Work that was offered: its namespace and its key.
pub(crate) type Offer = (Box<str>, Box<str>);

type LaneNo = u64;
/// The first tasks of lanes.
type Heads = BTreeSet<(Rank, LaneNo)>;

/// What became of a task that was brought here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It offers something that may be handed out, and did not before.
    New,
    /// As before.
    Same,
    /// There is no room for it, or it offers nothing.
    Aside,
}

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    numbers: HashMap<LaneKey, LaneNo>,
    lanes: HashMap<LaneNo, Lane>,
    made: LaneNo,
    tasks: ByTask<Entry>,
    /// Lanes by how long they are.
    longest: BTreeSet<(usize, LaneNo)>,
    /// The heads of open lanes, by what they offer and whose they are.
    open: HashMap<Box<str>, BTreeMap<Box<str>, Heads>>,
    /// The heads of lanes that wait for a place, by what they offer.
    waiting: HashMap<Place, BTreeMap<Box<str>, Heads>>,
    /// Whether a task was forgotten because there was no room for it here.
    missing: bool,
    /// Whether a lane has run empty since, of which tasks may be missing.
    pub(crate) hungry: bool,
}

#[derive(Debug)]
struct Lane {
    key: LaneKey,
    /// Its tasks by what they offer, best first.
    queues: BTreeMap<Box<str>, BTreeSet<Rank>>,
    order: BTreeSet<Rank>,
    waits_for: Option<Place>,
}

#[derive(Debug)]
struct Entry {
    lane: LaneNo,
    open: String,
    rank: Rank,
}

/// A lane with work, and the best of it for somebody.
pub(crate) struct Best {
    pub(crate) share: Share,
    pub(crate) rank: Rank,
    lane: LaneNo,
}

impl Lanes {
    /// Notes what a task offers now. `full` tells which of a new lane's places has no room.
    pub(crate) fn update(
        &mut self,
        task: TaskId,
        key: LaneKey,
        open: Option<&str>,
        rank: i64,
        full: impl FnOnce(&[Place]) -> Option<Place>,
    ) -> Seen {
        let rank = (rank, task);
        if let Some(known) = self.tasks.get(&task) {
            let lane = &self.lanes[&known.lane];
            if known.rank == rank && open == Some(known.open.as_str()) && lane.key == key {
                return if lane.waits_for.is_none() { Seen::Same } else { Seen::Aside };
            }
            self.remove(task);
        }
        let Some(open) = open else { return Seen::Aside };
        let no = match self.numbers.get(&key) {
            Some(no) => *no,
            None => self.found(key, full),
        };
        if self.tasks.len() >= TASKS_MAX && !self.make_room(no, rank) {
            self.drop_empty(no);
            return Seen::Aside;
        }
        self.unlist(no);
        let lane = self.lanes.get_mut(&no).expect("it was made sure of");
        self.longest.remove(&(lane.order.len(), no));
        for key in open.lines() {
            match lane.queues.get_mut(key) {
                Some(queue) => drop(queue.insert(rank)),
                None => drop(lane.queues.insert(key.into(), BTreeSet::from([rank]))),
            }
        }
        lane.order.insert(rank);
        self.longest.insert((lane.order.len(), no));
        let seen = if lane.waits_for.is_none() { Seen::New } else { Seen::Aside };
        self.tasks.insert(task, Entry { lane: no, open: open.to_owned(), rank });
        self.list(no);
        seen
    }

    fn found(&mut self, key: LaneKey, full: impl FnOnce(&[Place]) -> Option<Place>) -> LaneNo {
        self.made += 1;
        let waits_for = full(&key.places);
        self.numbers.insert(key.clone(), self.made);
        self.lanes.insert(self.made, Lane { key, queues: BTreeMap::new(), order: BTreeSet::new(), waits_for });
        self.longest.insert((0, self.made));
        self.made
    }

    /// Forgets a task so that another fits. A lane that waits makes room itself, so that it keeps its best and others keep theirs.
    fn make_room(&mut self, no: LaneNo, rank: Rank) -> bool {
        self.missing = true;
        let lane = &self.lanes[&no];
        let own = lane.waits_for.is_some() && !lane.order.is_empty();
        let victim = if own { no } else { self.longest.last().map_or(no, |(_, longest)| *longest) };
        let worst = self.lanes[&victim].order.last().copied();
        match worst {
            Some(worst) if victim != no || rank < worst => {
                self.remove(worst.1);
                // The lane that is to grow is gone only where this was its last.
                self.lanes.contains_key(&no)
            }
            Some(_) | None => false,
        }
    }

    /// Forgets a task. Answers the places its lane needed, where it was here.
    pub(crate) fn remove(&mut self, task: TaskId) -> Option<Vec<Place>> {
        let entry = self.tasks.remove(&task)?;
        let no = entry.lane;
        self.unlist(no);
        let lane = self.lanes.get_mut(&no).expect("a task is in a lane that is there");
        self.longest.remove(&(lane.order.len(), no));
        lane.order.remove(&entry.rank);
        for key in entry.open.lines() {
            let Some(queue) = lane.queues.get_mut(key) else { continue };
            queue.remove(&entry.rank);
            if queue.is_empty() {
                lane.queues.remove(key);
            }
        }
        self.longest.insert((lane.order.len(), no));
        let places = lane.key.places.clone();
        self.list(no);
        self.hungry |= self.missing && self.lanes[&no].order.is_empty();
        self.drop_empty(no);
        Some(places)
    }

    /// Forgets a lane without tasks.
    fn drop_empty(&mut self, no: LaneNo) {
        if self.lanes.get(&no).is_some_and(|lane| lane.order.is_empty()) {
            let lane = self.lanes.remove(&no).expect("it was just looked at");
            self.longest.remove(&(0, no));
            self.numbers.remove(&lane.key);
        }
    }

    /// Takes the heads of a lane out of the lists.
    fn unlist(&mut self, no: LaneNo) {
        let lane = &self.lanes[&no];
        for (key, queue) in &lane.queues {
            let Some(head) = queue.first().map(|rank| (*rank, no)) else { continue };
            match &lane.waits_for {
                None => {
                    let Some(by_namespace) = self.open.get_mut(key) else { continue };
                    let Some(heads) = by_namespace.get_mut(&lane.key.namespace) else { continue };
                    heads.remove(&head);
                    if heads.is_empty() {
                        by_namespace.remove(&lane.key.namespace);
                    }
                    if by_namespace.is_empty() {
                        self.open.remove(key);
                    }
                }
                Some(place) => {
                    let Some(by_key) = self.waiting.get_mut(place) else { continue };
                    let Some(heads) = by_key.get_mut(key) else { continue };
                    heads.remove(&head);
                    if heads.is_empty() {
                        by_key.remove(key);
                    }
                    if by_key.is_empty() {
                        self.waiting.remove(place);
                    }
                }
            }
        }
    }

    /// Puts the heads of a lane into the lists.
    fn list(&mut self, no: LaneNo) {
        let lane = &self.lanes[&no];
        for (key, queue) in &lane.queues {
            let Some(head) = queue.first().map(|rank| (*rank, no)) else { continue };
            let heads = match &lane.waits_for {
                None => self.open.entry(key.clone()).or_default().entry(lane.key.namespace.clone()).or_default(),
                Some(place) => self.waiting.entry(place.clone()).or_default().entry(key.clone()).or_default(),
            };
            heads.insert(head);
        }
    }

    /// The best task of open lanes this agent can do something for, those in `not` left out; only of one namespace where it belongs to
    /// one.
    pub(crate) fn best(
        &self,
        agent: AgentId,
        namespace: Option<&str>,
        able: &Able,
        not: &HashSet<TaskId>,
        shares: &Shares,
        is_shut: impl Fn(&str, &str) -> bool,
    ) -> Option<Best> {
        let fit = self.open.iter().filter(|(key, _)| fits(key, agent, able));
        let by_namespace = fit.flat_map(|(key, offers)| offers.iter().map(move |(name, heads)| (key, name, heads)));
        let mine = by_namespace.filter(|(_, name, _)| namespace.is_none_or(|own| own == &***name));
        let best = mine.filter(|(key, name, _)| !is_shut(name, key)).filter_map(|(key, name, heads)| {
            let (rank, lane) = self.first_of(key, heads, not)?;
            Some(Best { share: shares.of(name), rank, lane })
        });
        best.min_by_key(|best| (best.share, best.rank))
    }

    /// The best of these lanes, tasks in `not` left out.
    fn first_of(&self, key: &str, heads: &Heads, not: &HashSet<TaskId>) -> Option<(Rank, LaneNo)> {
        let mut best: Option<(Rank, LaneNo)> = None;
        for (head, no) in heads {
            if best.is_some_and(|(rank, _)| rank < *head) {
                break;
            }
            let queue = self.lanes[no].queues.get(key);
            let first = queue.and_then(|queue| queue.iter().find(|rank| !not.contains(&rank.1)));
            if let Some(rank) = first.filter(|rank| best.is_none_or(|(known, _)| **rank < known)) {
                best = Some((*rank, *no));
            }
        }
        best
    }

    /// What a lane needs room in.
    pub(crate) fn places(&self, best: &Best) -> &[Place] {
        self.lanes.get(&best.lane).map_or(&[], |lane| &lane.key.places)
    }

    /// A lane waits for this place from now on.
    pub(crate) fn close(&mut self, best: &Best, place: Place) {
        self.unlist(best.lane);
        if let Some(lane) = self.lanes.get_mut(&best.lane) {
            lane.waits_for = Some(place);
        }
        self.list(best.lane);
    }

    /// Whether anybody waits for this place.
    pub(crate) fn awaits(&self, place: &Place) -> bool {
        self.waiting.contains_key(place)
    }

    /// There is room in this place: of the lanes that wait for it the best opens, for each thing they offer. Answers what is offered now.
    pub(crate) fn open(&mut self, place: &Place) -> Vec<Offer> {
        let Some(by_key) = self.waiting.get(place) else { return Vec::new() };
        let firsts: BTreeSet<LaneNo> = by_key.values().filter_map(|heads| heads.first()).map(|(_, no)| *no).collect();
        let mut offers = Vec::new();
        for no in firsts {
            self.unlist(no);
            let lane = self.lanes.get_mut(&no).expect("a head belongs to a lane that is there");
            lane.waits_for = None;
            offers.extend(lane.queues.keys().map(|key| (lane.key.namespace.clone(), key.clone())));
            self.list(no);
        }
        offers
    }

    /// Whether some open lane of a namespace offers work under this key.
    pub(crate) fn offers(&self, namespace: &str, key: &str) -> bool {
        self.open.get(key).is_some_and(|offers| offers.contains_key(namespace))
    }

    /// Forgets everything: the index knows.
    pub(crate) fn clear(&mut self) {
        *self = Self { made: self.made, ..Self::default() };
    }

    /// The index is read from its beginning: what does not fit is noted anew.
    pub(crate) fn read_anew(&mut self) {
        self.missing = false;
        self.hungry = false;
    }

    /// How many tasks are here.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u32) -> TaskId {
        TaskId::new(i64::from(n), [0; 10])
    }
    fn agent() -> AgentId {
        AgentId::new(1, [9; 10])
    }
    fn place(name: &str) -> Place {
        Place { limit: name.into(), key: None }
    }
    fn lane(places: &[&str]) -> LaneKey {
        LaneKey { namespace: "a".into(), places: places.iter().map(|p| place(p)).collect() }
    }
    fn able(words: &[&str]) -> std::sync::Arc<Able> {
        Able::of_words(words.iter().map(|w| (*w).into()).collect::<Vec<Box<str>>>())
    }
    fn open(_: &str, _: &str) -> bool {
        false
    }
    fn next(lanes: &Lanes, words: &[&str], not: &[TaskId]) -> Option<TaskId> {
        let not = not.iter().copied().collect();
        lanes.best(agent(), None, &able(words), &not, &Shares::default(), open).map(|best| best.rank.1)
    }
    fn close(lanes: &mut Lanes, words: &[&str], at: &str) {
        let best = lanes.best(agent(), None, &able(words), &HashSet::new(), &Shares::default(), open).unwrap();
        lanes.close(&best, place(at));
    }

    #[test]
    fn a_lane_that_waits_is_passed_over_whole_and_comes_back_when_there_is_room() {
        let mut lanes = Lanes::default();
        for n in 1..=3 {
            lanes.update(task(n), lane(&["l"]), Some("x\n"), i64::from(n), |_| None);
        }
        lanes.update(task(4), lane(&["m"]), Some("x\n"), 9, |_| None);
        assert_eq!(next(&lanes, &["x"], &[]), Some(task(1)));
        close(&mut lanes, &["x"], "l");
        assert_eq!(next(&lanes, &["x"], &[]), Some(task(4)));
        assert_eq!(lanes.update(task(5), lane(&["l"]), Some("x\n"), 0, |_| None), Seen::Aside);
        assert_eq!(lanes.open(&place("l")), [("a".into(), "x".into())]);
        assert_eq!(next(&lanes, &["x"], &[]), Some(task(5)));
        assert_eq!(next(&lanes, &["x"], &[task(5)]), Some(task(1)));
    }

    #[test]
    fn where_a_place_has_room_one_lane_opens_for_each_thing_that_is_offered() {
        let mut lanes = Lanes::default();
        let full = |_: &[Place]| Some(place("all"));
        lanes.update(task(1), lane(&["all", "p"]), Some("x\n"), 1, full);
        lanes.update(task(2), lane(&["all", "q"]), Some("y\n"), 2, full);
        lanes.update(task(3), lane(&["all", "r"]), Some("x\n"), 3, full);
        assert_eq!(next(&lanes, &["x", "y"], &[]), None);
        lanes.open(&place("all"));
        assert_eq!((next(&lanes, &["y"], &[]), next(&lanes, &["x"], &[])), (Some(task(2)), Some(task(1))));
        lanes.remove(task(1));
        assert_eq!(next(&lanes, &["x"], &[]), None);
        lanes.open(&place("all"));
        assert_eq!(next(&lanes, &["x"], &[]), Some(task(3)));
    }

    #[test]
    fn what_does_not_fit_leaves_every_lane_its_best() {
        let mut lanes = Lanes::default();
        let count = TASKS_MAX as u32;
        for n in 1..=count {
            lanes.update(task(n), lane(&["l"]), Some("x\n"), i64::from(n), |_| Some(place("l")));
        }
        assert_eq!(lanes.update(task(count + 1), lane(&["l"]), Some("x\n"), i64::MAX, |_| None), Seen::Aside);
        assert_eq!(lanes.update(task(count + 2), lane(&["m"]), Some("x\n"), i64::MAX, |_| None), Seen::New);
        assert_eq!(lanes.update(task(count + 3), lane(&["l"]), Some("x\n"), 0, |_| None), Seen::Aside);
        assert_eq!((lanes.len(), next(&lanes, &["x"], &[])), (TASKS_MAX, Some(task(count + 2))));
        lanes.open(&place("l"));
        assert_eq!(next(&lanes, &["x"], &[]), Some(task(count + 3)));
        lanes.remove(task(count + 2));
        assert!(lanes.hungry);
    }

    #[test]
    fn an_empty_lane_is_forgotten() {
        let mut lanes = Lanes::default();
        lanes.update(task(1), lane(&["l"]), Some("x\ny\n"), 1, |_| Some(place("l")));
        assert!(lanes.awaits(&place("l")));
        assert_eq!(lanes.update(task(1), lane(&["l"]), None, 1, |_| None), Seen::Aside);
        assert!(lanes.lanes.is_empty() && lanes.numbers.is_empty() && lanes.waiting.is_empty() && lanes.open.is_empty());
        assert!(!lanes.awaits(&place("l")) && lanes.longest.is_empty());
    }
}
