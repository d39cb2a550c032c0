//! Whose turn it is among tasks that offer the same: the best one, unless a hold is over it or there is no room for it under a limit. Such a
//! task is set aside, and comes back when that ends. Where no holds and limits stand, nothing of this is done.

use super::batch::Batch;
use super::{Parked, TaskSet, Writer};
use crate::flow::{self, Flow, LaneKey, Lanes, Seen, Shares};
use crate::live::Live;
use crate::store::{Cursor, OpenWork, Store, StoreError};
use ephor_core::command::{Claim, Command, Refusal};
use ephor_core::event::Actor;
use ephor_core::flow::{Facts, Pass, Place, Standing};
use ephor_core::id::{AgentId, TaskId};
use ephor_core::matching::Able;
use ephor_core::namespace::NamespaceEvent;
use ephor_core::planted::{self, Fault};
use ephor_core::task::Task;
use ephor_core::time::Time;
use ephor_core::work::Outcome;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most tasks one claim sorts into lanes; each may have to be read. Then others get their turn, and it goes on.
const SORTS_MAX: u32 = 1_000;

/// What the writer keeps about turns.
#[derive(Default)]
pub(super) struct Turns {
    pub(super) facts: Arc<Facts>,
    pub(super) flow: Arc<Flow>,
    pub(super) lanes: Lanes,
    pub(super) shares: Shares,
    /// When a place that is full has room again by itself, on the monotonic clock.
    due: BTreeSet<(u64, Place)>,
    /// The monotonic clock, as the batch that is decided knows it.
    pub(super) mono: u64,
    /// Whether what is in memory has to be counted and read anew.
    pub(super) stale: bool,
    /// Where the walk through the index stopped that has not come to its end.
    pub(super) search: Option<Cursor>,
    /// Whether the claim that is served would find more if it went on.
    pub(super) more: bool,
}

impl Turns {
    /// Whether nothing stands.
    pub(super) fn is_idle(&self) -> bool {
        self.facts.is_empty()
    }

    /// Takes in what has happened in a namespace, once it is written.
    pub(super) fn take_in(&mut self, event: &NamespaceEvent, at: Time, by: &str) {
        let mut facts = (*self.facts).clone();
        if facts.evolve(event, at, by) {
            self.put(facts);
        }
    }

    fn put(&mut self, facts: Facts) {
        self.facts = Arc::new(facts.clone());
        self.flow.put(facts);
        self.stale = true;
    }

    /// The first place without room, if there is one; when it has room again by itself is noted.
    fn full_of(&mut self, places: &[Place], now: Time) -> Option<Place> {
        let counts = self.flow.counts();
        let full = places.iter().find(|place| !counts.is_free(place, &self.facts, now))?.clone();
        if let Some(at) = counts.opens_at(&full, &self.facts) {
            self.due.insert((self.mono + at.since(now).max(1), full.clone()));
        }
        Some(full)
    }

    /// Lets those go on who wait for places that have room now.
    fn reopen(&mut self, places: &[Place], parked: &mut Parked, now: Time) {
        for place in places.iter().filter(|place| self.lanes.awaits(place)).cloned().collect::<Vec<_>>() {
            if self.full_of(std::slice::from_ref(&place), now).is_none() {
                for (namespace, key) in self.lanes.open(&place) {
                    parked.wake_for(&namespace, &key, |_| true, &|_| ());
                }
            }
        }
    }

    /// When the first place has room again by itself.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }
}

impl<S: Store> Writer<S> {
    /// Reads what stands, and what has begun of late where rates ask for it.
    pub(super) fn read_flow(&mut self, now: Time) -> Result<(), StoreError> {
        let facts = flow::read(&*self.reader)?;
        let window = facts.longest_window();
        if window > 0 {
            let mut counts = self.turns.flow.counts();
            flow::each_beginning(&*self.reader, now.0 - window as i64, |place, at| {
                counts.begin(std::slice::from_ref(place), &facts, at);
            })?;
        }
        self.turns.put(facts);
        Ok(())
    }

    /// Counts anew what is held, and lets the queues be read anew: after a start, a change of what stands, or a write that failed.
    /// Everything has to be finished.
    pub(super) fn refresh(&mut self) -> Result<(), StoreError> {
        self.turns.stale = false;
        self.ready.clear();
        self.turns.lanes.clear();
        self.turns.due.clear();
        self.turns.search = None;
        self.turns.shares.clear();
        let flow = self.turns.flow.clone();
        flow.counts().clear();
        let facts = self.turns.facts.clone();
        let tasks = self.leases().tasks();
        for id in tasks {
            let recalled;
            let live = match self.cache.peek(id) {
                Some(live) => live,
                None => {
                    let Some(live) = Live::recall(&*self.reader, id)? else { continue };
                    recalled = live;
                    &recalled
                }
            };
            let (task, said) = (&live.task, &live.task.facts);
            self.turns.shares.follow(&said.namespace, 0, held(task));
            flow.counts().follow(id, held(task), || places(&facts, task));
            self.leases().hold(id, |agent| facts.stops(&said.namespace, &said.task_type, Some(agent)).is_some());
        }
        self.parked.wake_those(|_| true);
        Ok(())
    }

    /// Notes what a task offers now, and who holds how much of it.
    pub(super) fn offer(&mut self, task: &Task, open: Option<&str>, held_before: u32, moved: bool, now: Time) {
        let (namespace, rank) = (&*task.facts.namespace, task.rank());
        self.turns.shares.follow(namespace, held_before, held(task));
        if !self.turns.is_idle() && self.set_aside(task, open, moved, now) {
            return;
        }
        let new = self.ready.update(task.id, namespace, open, rank);
        self.tell_of(namespace, open, new, moved);
    }

    /// Wakes those for whom something may have come.
    fn tell_of(&mut self, namespace: &str, open: Option<&str>, new: bool, moved: bool) {
        let Some(open) = open.filter(|_| (new || moved) && !self.parked.is_empty()) else { return };
        let leases = self.leases.lock().expect("nobody panics while holding the leases");
        let standing = |agent| Self::standing(&leases, &self.directory, agent);
        match new {
            true => self.parked.wake(namespace, open, standing),
            false => self.parked.wake_judges(namespace, open, standing),
        }
    }

    /// Puts a task into its lane, if it belongs into one, and counts what is held of it.
    fn set_aside(&mut self, task: &Task, open: Option<&str>, moved: bool, now: Time) -> bool {
        let facts = self.turns.facts.clone();
        let flow = self.turns.flow.clone();
        let mut freed = flow.counts().follow(task.id, held(task), || places(&facts, task));
        let lane = lane_of(flow::pass(&facts, task));
        let aside = !lane.is_empty();
        if aside {
            self.ready.remove(task.id);
            let seen = self.enter(task.id, &task.facts.namespace, lane.clone(), open, task.rank(), now);
            if seen != Seen::Aside {
                self.tell_of(&task.facts.namespace, open, seen == Seen::New, moved);
            }
            if open.is_none() {
                freed.extend(lane);
            }
        } else if let Some(left) = self.turns.lanes.remove(task.id) {
            freed.extend(left);
        }
        self.turns.reopen(&freed, &mut self.parked, now);
        aside
    }

    fn enter(&mut self, task: TaskId, namespace: &str, lane: Vec<Place>, open: Option<&str>, rank: i64, now: Time) -> Seen {
        let full = match open {
            Some(_) => self.turns.full_of(&lane, now),
            None => None,
        };
        let key = LaneKey { namespace: namespace.into(), places: lane };
        let seen = self.turns.lanes.update(task, key, open, rank, |_| full);
        if seen == Seen::Aside && open.is_some() {
            self.reach("set aside");
        }
        seen
    }

    /// Notes a task as the index shows it. Answers whether it may be handed out, as far as can be seen.
    pub(super) fn offer_row(&mut self, task: TaskId, work: &OpenWork, now: Time) -> bool {
        if !self.turns.is_idle() {
            let facts = self.turns.facts.clone();
            let lane = lane_of(facts.pass(&work.namespace, &work.task_type, None));
            if !lane.is_empty() {
                return self.enter(task, &work.namespace, lane, Some(&work.open), work.cursor.rank, now) != Seen::Aside;
            }
        }
        self.ready.update(task, &work.namespace, Some(&work.open), work.cursor.rank);
        true
    }

    /// The best task this agent can do something for and that may be handed out now.
    pub(super) fn pick(
        &mut self,
        batch: &mut Batch,
        agent: AgentId,
        namespace: Option<&str>,
        able: &Able,
        without: &TaskSet,
    ) -> Result<Option<TaskId>, StoreError> {
        let mut sorted = 0;
        self.open_due(batch.now);
        loop {
            let shut = |namespace: &str, key: &str| self.is_shut_in(batch, namespace, key);
            let plain = self.ready.best(agent, namespace, able, without, &self.turns.shares, shut);
            if self.turns.is_idle() {
                return Ok(plain.map(|(_, rank)| rank.1));
            }
            let laned = self.turns.lanes.best(agent, namespace, able, without, &self.turns.shares, shut);
            let laned = laned.filter(|best| plain.is_none_or(|plain| (best.share, best.rank) < plain));
            if let Some(best) = laned {
                let places = self.turns.lanes.places(&best).to_vec();
                let Some(full) = self.turns.full_of(&places, batch.now) else { return Ok(Some(best.rank.1)) };
                self.turns.lanes.close(&best, full);
                self.turns.reopen(&places, &mut self.parked, batch.now);
                continue;
            }
            let Some((_, (rank, task))) = plain else { return Ok(None) };
            // The index does not tell by which key it is counted; the task does.
            if !self.touch(batch, task)? {
                return Ok(Some(task));
            }
            let facts = self.turns.facts.clone();
            let touched = &batch.tasks[&task];
            let lane = lane_of(flow::pass(&facts, &touched.live.task));
            if lane.is_empty() {
                return Ok(Some(task));
            }
            if sorted == SORTS_MAX {
                self.turns.more = true;
                return Ok(None);
            }
            sorted += 1;
            self.ready.remove(task);
            let namespace = touched.live.task.facts.namespace.clone();
            self.enter(task, &namespace, lane, touched.open.as_deref(), rank, batch.now);
        }
    }

    /// Whether a hold, or a limit that is full, keeps a task's work back.
    pub(super) fn is_held_back(&self, task: &Task, now: Time) -> bool {
        if self.turns.is_idle() {
            return false;
        }
        let facts = &*self.turns.facts;
        match flow::pass(facts, task) {
            Pass::Held(_) => true,
            Pass::Through(places) => {
                let counts = self.turns.flow.counts();
                places.iter().any(|place| !counts.is_free(place, facts, now))
            }
            Pass::Unread => false,
        }
    }

    /// Whether a hold tells whoever gives work back to stop.
    pub(super) fn tells_to_stop(&self, task: &Task, command: &Command, actor: &Actor) -> bool {
        let said = &task.facts;
        let gives_back = matches!(command, Command::Report { outcome, .. } if **outcome == Outcome::Cancelled);
        gives_back
            && !self.turns.is_idle()
            && self.turns.facts.stops(&said.namespace, &said.task_type, actor.id.parse().ok()).is_some()
    }

    /// A piece of work was handed out.
    pub(super) fn began(&mut self, places: &[Place], now: Time) {
        if !places.is_empty() {
            self.turns.flow.counts().begin(places, &self.turns.facts, now.0);
            self.turns.reopen(places, &mut self.parked, now);
        }
    }

    /// Lets those go on whose rate has room again.
    pub(super) fn open_due(&mut self, now: Time) {
        while let Some((_, place)) = self.turns.due.first().filter(|(at, _)| *at <= self.turns.mono).cloned() {
            self.turns.due.pop_first();
            if self.turns.lanes.awaits(&place) {
                self.reach("rate opened");
            }
            self.turns.reopen(&[place], &mut self.parked, now);
        }
    }

    /// Whether what is asked may be: nothing begins and nothing acts under a hold, nor beyond a limit. A claim is told under what it is
    /// counted.
    pub(super) fn admit(
        &self,
        task: &Task,
        command: Command,
        actor: &Actor,
        now: Time,
    ) -> Result<(Command, Vec<Place>), Refusal> {
        let (facts, said) = (&*self.turns.facts, &task.facts);
        let why = |standing: &Standing| format!("{} is held: {}", standing.hold.scope, standing.hold.reason);
        let claim = match command {
            Command::Claim(claim) => claim,
            begins if matches!(begins, Command::Start { .. } | Command::Effect(_)) && !planted::is(Fault::HoldIgnored) => {
                return match facts.stops(&said.namespace, &said.task_type, actor.id.parse().ok()) {
                    Some(standing) if matches!(begins, Command::Effect(_)) => Err(Refusal::NoEffect(why(standing))),
                    Some(standing) => Err(Refusal::Held(why(standing))),
                    None => Ok((begins, Vec::new())),
                };
            }
            other => return Ok((other, Vec::new())),
        };
        let over = facts.over_agent(claim.agent).filter(|_| !planted::is(Fault::HoldIgnored));
        let places = match (over, flow::pass(facts, task)) {
            (Some(standing), _) | (None, Pass::Held(standing)) => return Err(Refusal::Held(why(standing))),
            (None, Pass::Through(places)) => places,
            (None, Pass::Unread) => Vec::new(),
        };
        let counts = self.turns.flow.counts();
        if let Some(full) = places.iter().find(|place| !counts.is_free(place, facts, now)) {
            let max = facts.rule(full).map_or(0, |rule| i64::from(rule.max));
            return Err(Refusal::LimitReached { key: full.limit.to_string(), max });
        }
        Ok((Command::Claim(Claim { limits: places.clone(), ..claim }), places))
    }
}

/// How many pieces of a task's work agents hold. What has ended holds nothing, whoever still works on it.
pub(super) fn held(task: &Task) -> u32 {
    if task.end().is_some() { 0 } else { task.leases() }
}

/// The places a task's work is counted under, whether or not a hold is over it.
fn places(facts: &Facts, task: &Task) -> Vec<Place> {
    facts.places(&task.facts.namespace, &task.facts.task_type, &|by: &str| task.key(by))
}

/// The lane of a task: what it needs room in. None where it needs none, or where that cannot be seen yet.
fn lane_of(pass: Pass<'_>) -> Vec<Place> {
    match pass {
        Pass::Held(standing) => vec![standing.place()],
        Pass::Through(places) => places,
        Pass::Unread => Vec::new(),
    }
}
