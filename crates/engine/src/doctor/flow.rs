//! Whether holds and limits were kept, counted anew from the events alone. It knows nothing of how the engine counts: from the first
//! event on it sees what stood, what was handed out, and what had not ended by then.
//!
//! What one commit decided happened at once: what ended in it made room in it.

use super::Examined;
use crate::flow::each_fact;
use crate::store::{Reader, StoreError, StoredEvent};
use ephor_core::event::Event;
use ephor_core::flow::{Hold, Limit, Place, Release, Running, limit_id};
use ephor_core::id::{AgentId, StreamId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::work::WorkKey;
use std::collections::{BTreeMap, HashMap};

/// How many commits are read at once.
const PAGE: u32 = 1_000;

/// What was handed out and what acted, with what stood meanwhile.
pub(super) struct Ledger {
    facts: Vec<(u64, NamespaceEvent)>,
    /// The last position of each commit.
    commits: Vec<u64>,
    deeds: Vec<Deed>,
    /// What has not ended yet of the task that is looked at, by its place in `deeds`.
    open: HashMap<WorkKey, (u32, usize)>,
}

/// A piece of work that was handed out, or an act on the outside.
struct Deed {
    stream: StreamId,
    version: u64,
    /// In which commit.
    commit: usize,
    /// In which commit it ended; acts end at once.
    ended: usize,
    at: i64,
    namespace: Box<str>,
    task_type: Box<str>,
    agent: Option<AgentId>,
    /// Under what it is counted; `None` for an act.
    limits: Option<Vec<Place>>,
}

/// A hold or limit that was not kept.
pub(super) struct Kept {
    pub(super) stream: StreamId,
    pub(super) version: u64,
    pub(super) what: String,
}

impl Ledger {
    /// A ledger, where there ever was a hold or a limit.
    pub(super) fn begin(reader: &dyn Reader) -> Result<Option<Self>, StoreError> {
        let mut facts = Vec::new();
        each_fact(reader, |event, position, _, _| facts.push((position, event.clone())))?;
        if facts.is_empty() {
            return Ok(None);
        }
        let mut commits = Vec::new();
        loop {
            let page = reader.commits(commits.last().copied().unwrap_or(0), PAGE)?;
            if page.is_empty() {
                break;
            }
            commits.extend(page.iter().map(|entry| entry.last));
        }
        Ok(Some(Self { facts, commits, deeds: Vec::new(), open: HashMap::new() }))
    }

    /// Another task is looked at.
    pub(super) fn turn_page(&mut self) {
        self.open.clear();
    }

    /// An event of the task that is looked at, which it has taken in.
    pub(super) fn see(&mut self, stored: &StoredEvent, event: &Event, examined: &Examined) {
        let commit = self.commit(stored.position);
        let deeds = &mut self.deeds;
        let leases = &examined.witness.leases;
        // What has ended holds nothing, whoever still works on it.
        let ended = examined.task.end().is_some();
        self.open.retain(|work, (attempt, deed)| {
            let lives = !ended && leases.get(work).is_some_and(|held| held.attempt == *attempt);
            if !lives {
                deeds[*deed].ended = commit;
            }
            lives
        });
        let (agent, limits) = match event {
            Event::Assigned(assigned) => (Some(assigned.agent), Some(assigned.limits.clone())),
            Event::EffectGranted(granted) => (leases.get(&granted.work).map(|held| held.agent), None),
            _ => return,
        };
        if let Event::Assigned(assigned) = event {
            self.open.insert(assigned.work.clone(), (assigned.attempt, deeds.len()));
        }
        let facts = &examined.task.facts;
        deeds.push(Deed {
            stream: stored.stream,
            version: stored.version,
            commit,
            ended: if limits.is_some() { usize::MAX } else { commit },
            at: stored.at,
            namespace: facts.namespace.clone(),
            task_type: facts.task_type.clone(),
            agent,
            limits,
        });
    }

    fn commit(&self, position: u64) -> usize {
        self.commits.partition_point(|last| *last < position)
    }

    /// What was not kept.
    pub(super) fn judge(mut self) -> Vec<Kept> {
        self.deeds.sort_by_key(|deed| deed.commit);
        let (mut standing, mut next, mut wrong) = (Standing::default(), 0, Vec::new());
        for deed in &self.deeds {
            // What was said in the same commit stands only after it.
            while let Some((position, event)) = self.facts.get(next)
                && self.commit(*position) < deed.commit
            {
                standing.take(event);
                next += 1;
            }
            let complaints = standing.weigh(deed);
            wrong.extend(complaints.into_iter().map(|what| Kept { stream: deed.stream, version: deed.version, what }));
        }
        wrong
    }
}

/// What stands, and what is counted under it.
#[derive(Default)]
struct Standing {
    holds: BTreeMap<String, (Hold, Vec<Release>)>,
    limits: BTreeMap<Box<str>, Limit>,
    /// When what is counted under a place ends.
    running: HashMap<Place, Vec<usize>>,
    /// When what is counted under a place began, since its rate was said.
    begun: HashMap<Place, Vec<i64>>,
}

impl Standing {
    fn take(&mut self, event: &NamespaceEvent) {
        match event {
            NamespaceEvent::HoldPlaced(hold) => drop(self.holds.insert(hold.id.to_string(), ((**hold).clone(), Vec::new()))),
            NamespaceEvent::HoldReleased(release) => {
                self.holds.get_mut(&release.id.to_string()).into_iter().for_each(|(_, list)| list.push((**release).clone()));
            }
            NamespaceEvent::HoldLifted { id } => drop(self.holds.remove(&id.to_string())),
            NamespaceEvent::LimitSet(limit) => {
                let id = limit_id(limit.namespace.as_deref(), &limit.name);
                self.begun.retain(|place, _| place.limit != id);
                self.limits.insert(id, (**limit).clone());
            }
            NamespaceEvent::LimitRemoved { namespace, name } => {
                self.limits.remove(&limit_id(namespace.as_deref(), name));
            }
            NamespaceEvent::BreakerOpened { .. }
            | NamespaceEvent::BreakerHalfOpened { .. }
            | NamespaceEvent::BreakerClosed { .. }
            | NamespaceEvent::SubmissionRefused { .. }
            | NamespaceEvent::KeyCreated(_)
            | NamespaceEvent::KeyRevoked { .. } => {}
        }
    }

    fn weigh(&mut self, deed: &Deed) -> Vec<String> {
        let fits = |namespace: &Option<Box<str>>, task_type: &Option<Box<str>>| {
            namespace.as_ref().is_none_or(|n| *n == deed.namespace) && task_type.as_ref().is_none_or(|t| *t == deed.task_type)
        };
        let mut wrong = Vec::new();
        for (hold, releases) in self.holds.values() {
            let covers = match hold.scope.agent {
                Some(agent) => deed.agent == Some(agent),
                None => fits(&hold.scope.namespace, &hold.scope.task_type),
            };
            let released = hold.scope.agent.is_none() && releases.iter().any(|r| fits(&r.namespace, &r.task_type));
            match &deed.limits {
                Some(_) if covers && !released => wrong.push(format!("work was handed out under {}", hold.id)),
                None if covers && !released && hold.running == Running::Stop => {
                    wrong.push(format!("an effect was granted under {}", hold.id));
                }
                Some(_) | None => {}
            }
        }
        let Some(places) = &deed.limits else { return wrong };
        for (id, limit) in &self.limits {
            if fits(&limit.namespace, &limit.task_type) && !places.iter().any(|place| place.limit == *id) {
                wrong.push(format!("it is not counted under {id}"));
            }
        }
        for place in places {
            let running = self.running.entry(place.clone()).or_default();
            running.retain(|ended| *ended > deed.commit);
            if deed.ended > deed.commit {
                running.push(deed.ended);
            }
            let (max, window_ms) = match (self.limits.get(&place.limit), self.release(place)) {
                (Some(limit), _) => (limit.max, limit.window_ms),
                (None, Some(rate)) => (rate.count, Some(rate.window_ms)),
                (None, None) => {
                    wrong.push(format!("it is counted under {}, which does not stand", place.limit));
                    continue;
                }
            };
            let Some(ms) = window_ms else {
                let running = &self.running[place];
                if running.len() > max as usize {
                    wrong.push(format!("{} are at work under {}, which allows {max}", running.len(), place.limit));
                }
                continue;
            };
            let begun = self.begun.entry(place.clone()).or_default();
            begun.push(deed.at);
            let before = begun.len().checked_sub(max as usize + 1).map(|nth| begun[nth]);
            if before.is_some_and(|at| deed.at - at < ms as i64) {
                wrong.push(format!("more than {max} began within {ms} ms under {}", place.limit));
            }
        }
        wrong
    }

    fn release(&self, place: &Place) -> Option<ephor_core::flow::Rate> {
        let (hold, n) = place.limit.split_once('#')?;
        self.holds.get(hold)?.1.get(n.parse::<usize>().ok()?)?.rate
    }
}
