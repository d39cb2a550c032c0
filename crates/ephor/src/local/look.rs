//! Looking: everything that reads the store and changes nothing. Works beside a running engine too, so it needs only a reader.

use crate::api::{ApiError, EventQuery, Kind};
use ephor_core::event::{Actor, Event};
use ephor_core::id::{StreamKind, TaskId};
use ephor_core::task::Task;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::{EventView, StepView, Waiting};
use ephor_engine::Engine;
use ephor_engine::query::{self, AsOf};
use ephor_engine::store::{Cursor, Filter, Reader, StoreError, StoredEvent, Telemetry};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many rows a list shows where nothing is said, and at most.
pub(crate) const PAGE: u32 = 50;
pub(crate) const PAGE_MAX: u32 = 500;

/// How far up the place of a task is followed: tasks born of tasks are not nearly as deep.
const PLACE_DEPTH_MAX: usize = 100;
/// How many tasks ahead of another are counted.
const AHEAD_MAX: u32 = 100_000;

/// A store to look at.
#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) reader: Arc<dyn Reader>,
}

impl Look {
    /// Where a task is below the root of its tree: for each task on the way the step it stands for, or which child of its parent it is.
    pub(crate) fn place(&self, task: &Task) -> Result<Option<String>, ApiError> {
        let (mut id, mut parent) = (task.id, task.parent().cloned());
        let mut parts = Vec::new();
        while let Some(above) = parent.filter(|_| parts.len() < PLACE_DEPTH_MAX) {
            parts.push(match above.place() {
                Some(step) => step,
                None => format!("0.{}", self.reader.born_before(id.into()).map_err(store)?.unwrap_or(0) + 1),
            });
            let first = self.reader.stream_events(above.task.into(), 0, 1).map_err(store)?;
            let born = first.first().map(query::event).transpose().map_err(store)?;
            parent = match born {
                Some((Event::Submitted(facts), _)) => facts.parent,
                Some(_) | None => None,
            };
            id = above.task;
        }
        parts.reverse();
        Ok((!parts.is_empty()).then(|| parts.join(".")))
    }

    /// One task, rebuilt.
    pub(crate) fn task(&self, id: TaskId) -> Result<Task, ApiError> {
        let task = query::task(&*self.reader, id, AsOf::Now).map_err(store)?;
        task.ok_or_else(|| ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {id}")))
    }

    /// What a task waits for: what holds and limits say first, then what it says itself, with its place in the queue.
    pub(crate) fn waiting(&self, id: TaskId, engine: Option<&Engine>) -> Result<Vec<Waiting>, ApiError> {
        let task = self.task(id)?;
        let mut list = match engine {
            Some(engine) => engine.held_back(&task),
            None => ephor_engine::flow::reasons(&ephor_engine::flow::read(&*self.reader).map_err(store)?, &task),
        };
        let mut own = engine.map_or_else(|| task.waiting(), |engine| engine.waiting_for(&task));
        if !list.is_empty() {
            // Whether an agent would come shows only once it may.
            own.retain(|waiting| !(agents_are_missing(waiting) || waiting.reason == "RUNNING") || waiting.step.is_some());
        }
        if own.iter().any(agents_are_missing) || list.iter().any(|waiting| waiting.reason == "LIMIT") {
            let position = self.queue_position(id)?;
            let queued = |waiting: &&mut Waiting| agents_are_missing(waiting) || waiting.reason == "LIMIT";
            list.iter_mut().chain(&mut own).filter(queued).for_each(|waiting| waiting.queue_position = position);
        }
        list.append(&mut own);
        Ok(list)
    }

    /// Which one a task is among those of its namespace that offer the same, from 1.
    fn queue_position(&self, id: TaskId) -> Result<Option<u64>, ApiError> {
        let Some(found) = self.reader.listed(id.into(), &Filter::default()).map_err(store)? else { return Ok(None) };
        let Some(open) = &found.row.open else { return Ok(None) };
        let place = Cursor { rank: found.row.rank, number: found.number };
        let ahead = self.reader.ahead(place, &found.row.namespace, open, AHEAD_MAX).map_err(store)?;
        Ok(Some(ahead + 1))
    }

    /// Events after a position.
    pub(crate) fn events(&self, wanted: EventQuery) -> Result<Vec<EventView>, ApiError> {
        let limit = if wanted.limit == 0 { PAGE_MAX } else { wanted.limit.min(10_000) };
        let stored = self.reader.events(wanted.after, limit, wanted.task.map(Into::into)).map_err(store)?;
        stored.iter().map(event_view).collect()
    }

    /// Steps with the latest signs of life.
    pub(crate) fn steps(&self, id: TaskId, live: &[Telemetry]) -> Result<Vec<StepView>, ApiError> {
        let mut steps = self.task(id)?.step_views();
        let stored = self.reader.telemetry(id.into()).map_err(store)?;
        for beat in stored.iter().chain(live) {
            let path = beat.work.strip_prefix("step:").unwrap_or_default();
            if let Some(step) = steps.iter_mut().find(|s| s.path == path && s.attempt == beat.attempt) {
                step.progress = beat.progress;
                // What there was to say at its end is the last word.
                if step.ended_at.is_none() || step.message.is_none() {
                    step.message.clone_from(&beat.message);
                }
            }
        }
        Ok(steps)
    }
}

/// An event as outsiders see it.
pub(crate) fn event_view(stored: &StoredEvent) -> Result<EventView, ApiError> {
    let actor = Actor::read(&stored.actor).unwrap_or_else(Actor::settle);
    let (data, private) = match stored.stream.kind {
        StreamKind::Task => {
            let (event, private) = query::event(stored).map_err(store)?;
            (EventView::data_of(&event), private.map_or(Value::Null, |p| json!(p)))
        }
        _ => {
            let tagged: Value = serde_json::from_str(&stored.data).unwrap_or(Value::Null);
            (tagged.get(&stored.kind).cloned().unwrap_or(Value::Null), Value::Null)
        }
    };
    Ok(EventView {
        position: stored.position,
        stream: stored.stream.to_string(),
        version: stored.version,
        at: WireTime(Time(stored.at)),
        actor_type: actor.kind,
        actor_id: actor.id.into(),
        kind: stored.kind.clone(),
        data,
        private,
        status_before: stored.before,
        status_after: stored.after,
        schema: stored.schema,
    })
}

/// Another engine has the database: who, and how to ask it.
fn held(error: &StoreError, database: &std::path::Path, holder: &ephor_engine::lock::Holder) -> ApiError {
    let error = ApiError::new(Kind::Conflict, "HELD", error);
    match &holder.server {
        Some(server) => error
            .because(format!("it serves {} at {server}", database.display()))
            .then(format!("the same command with --server {server}")),
        None => error.because("it works on it until it ends").then("wait for it to end").then("ephor serve, then --server"),
    }
}

/// The store's trouble, told to whoever asked.
pub(crate) fn store(error: StoreError) -> ApiError {
    // With everything that led to it; whoever asked hears the first sentence.
    tracing::error!(error = crate::logs::chain(&error), "the store failed");
    match &error {
        StoreError::Busy(_) => {
            ApiError::new(Kind::Busy, "STORE_BUSY", &error).then("look who has the database open, a backup or a shell")
        }
        StoreError::Full(_) => ApiError::new(Kind::Busy, "DISK_FULL", &error).then("make space; nothing was lost"),
        StoreError::Held { database, holder } => held(&error, database, holder),
        StoreError::Unusable(_) => ApiError::new(Kind::Failed, "UNUSABLE", &error),
        StoreError::Unavailable(_) => ApiError::new(Kind::Unreachable, "UNAVAILABLE", &error),
        StoreError::Corrupt { .. } => ApiError::new(Kind::Failed, "CORRUPT", &error).then("ephor doctor"),
    }
}

/// Whether it waits for an agent, whatever keeps those that are known from coming.
fn agents_are_missing(waiting: &Waiting) -> bool {
    matches!(&*waiting.reason, "NO_AGENT" | "AGENTS_BUSY" | "CIRCUIT_OPEN")
}
