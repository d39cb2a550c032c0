//! Who may go next, beside what an agent can do: holds and limits (`counts`: how much there is of what; `lanes`: who waits for that), and
//! turns between namespaces (`shares`). In memory; what stands and what was handed out is in the streams. Where nothing stands it is asked
//! for nothing.

use crate::ids::IdMap;
use crate::store::{Reader, StoreError};
use ephor_core::event::Event;
use ephor_core::flow::{Facts, Pass, Place};
use ephor_core::id::{StreamKind, TaskId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::task::{Task, Waiting};
use ephor_core::time::{Time, WireTime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

mod counts;
mod lanes;
mod shares;

pub(crate) use counts::Counts;
pub(crate) use lanes::{LaneKey, Lanes, Seen};
pub(crate) use shares::{Share, Shares};

/// Tasks by their id, and something about each.
pub(crate) type ByTask<T> = IdMap<TaskId, T>;

/// How many streams or events are read at once.
const PAGE: u32 = 1_000;

/// What stands and what is counted, for the writer and for those who look.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    facts: RwLock<Arc<Facts>>,
    counts: Mutex<Counts>,
}

impl Flow {
    /// What stands now.
    pub(crate) fn facts(&self) -> Arc<Facts> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this stands.
    pub(crate) fn put(&self, facts: Facts) {
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
    }

    /// What is counted.
    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of this keeps a task's work back now.
    pub(crate) fn reasons(&self, task: &Task, now: Time) -> Vec<Waiting> {
        let facts = self.facts();
        if facts.is_empty() || task.end().is_some() {
            return Vec::new();
        }
        let mut list = reasons(&facts, task);
        if let Pass::Through(places) = pass(&facts, task) {
            let counts = self.counts();
            let full = |place: &&Place| !counts.is_free(place, &facts, now);
            for place in places.iter().filter(full).filter(|_| task.can_be_claimed()) {
                list.push(at_limit(place, &facts, counts.opens_at(place, &facts)));
            }
        }
        list
    }
}

/// What stands in the way of work of a task.
pub(crate) fn pass<'f>(facts: &'f Facts, task: &Task) -> Pass<'f> {
    facts.pass(&task.facts.namespace, &task.facts.task_type, Some(&|by: &str| task.key(by)))
}

/// The holds over a task, as reasons why it waits. What of it runs may go on where the hold says so.
pub fn reasons(facts: &Facts, task: &Task) -> Vec<Waiting> {
    if task.end().is_some() {
        return Vec::new();
    }
    let Pass::Held(standing) = pass(facts, task) else { return Vec::new() };
    let (id, scope) = (standing.hold.id, &standing.hold.scope);
    let by = standing.by.split_once('/').map_or(&*standing.by, |(_, name)| name);
    vec![Waiting {
        reason: "HOLD".into(),
        what: format!("{by} has held {scope} since {}: {}", WireTime(standing.since).0, standing.hold.reason),
        act: Some(format!("ephor hold lift {id}")),
        ..Waiting::default()
    }]
}

fn at_limit(place: &Place, facts: &Facts, opens_at: Option<Time>) -> Waiting {
    let (namespace, name) = place.limit.split_once('/').unwrap_or(("", &place.limit));
    let rule = facts.rule(place);
    let max = rule.map_or(0, |rule| rule.max);
    let what = match rule.and_then(|rule| rule.window_ms) {
        Some(ms) => format!("{max} pieces of work in {} have begun", ephor_core::time::WireDuration { ms }),
        None => format!("{max} pieces of work are with agents"),
    };
    let own = if place.key.is_some() { " for its key" } else { "" };
    let (said, act) = match name.is_empty() || place.limit.contains('#') {
        true => ("the rate of its release".to_owned(), None),
        false => {
            let option = if namespace == "*" { String::new() } else { format!(" --namespace {namespace}") };
            (format!("limit {name}"), Some(format!("ephor limit remove {name}{option}")))
        }
    };
    Waiting {
        reason: "LIMIT".into(),
        what: format!("{said} is reached{own}: {what}"),
        until: opens_at.map(WireTime),
        act,
        ..Waiting::default()
    }
}

/// What stands, read from the streams of all namespaces.
pub fn read(reader: &dyn Reader) -> Result<Facts, StoreError> {
    let mut facts = Facts::default();
    each_fact(reader, |event, _, at, by| {
        facts.evolve(event, at, by);
    })?;
    Ok(facts)
}

/// Tells every event about holds and limits, with its position, in the order they happened.
pub(crate) fn each_fact(reader: &dyn Reader, mut tell: impl FnMut(&NamespaceEvent, u64, Time, &str)) -> Result<(), StoreError> {
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = reader.streams(StreamKind::Namespace, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.number;
        for listed in page {
            let mut version = 0;
            loop {
                let events = reader.stream_events(listed.stream, version, PAGE)?;
                let Some(last) = events.last() else { break };
                version = last.version;
                found.extend(events.into_iter().filter(|e| e.kind.starts_with("HOLD_") || e.kind.starts_with("LIMIT_")));
            }
        }
    }
    found.sort_unstable_by_key(|stored| stored.position);
    for stored in found {
        let event = serde_json::from_str(&stored.data).map_err(|e| StoreError::Corrupt {
            stream: stored.stream,
            version: stored.version,
            why: e.to_string(),
        })?;
        tell(&event, stored.position, Time(stored.at), &stored.actor);
    }
    Ok(())
}

/// Tells what began since an instant under which places, in order: what a restart has to know of rates.
pub(crate) fn each_beginning(reader: &dyn Reader, since: i64, mut tell: impl FnMut(&Place, i64)) -> Result<(), StoreError> {
    // Time never runs backwards along the log: the first event that is young enough is found by halves.
    let (mut old, mut young) = (0, reader.position()? + 1);
    while old + 1 < young {
        let middle = old + (young - old) / 2;
        let at = reader.events(middle - 1, 1, None)?.first().map_or(i64::MAX, |event| event.at);
        if at < since { old = middle } else { young = middle }
    }
    let mut after = young - 1;
    loop {
        let page = reader.events(after, PAGE, None)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.position;
        for stored in page.iter().filter(|stored| stored.kind == "ASSIGNED") {
            if let Ok((Event::Assigned(assigned), _)) = crate::query::event(stored) {
                assigned.limits.iter().for_each(|place| tell(place, stored.at));
            }
        }
    }
}
