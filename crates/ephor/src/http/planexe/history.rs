//! What has happened to an execution, newest first. Versions of a stream have no gaps, so that a page without a filter is counted out and
//! read alone; with one, events are looked through from the newest on.

use super::agents::offset;
use super::named;
use super::words::{ExecutionStatus, Names, event_type, is_type};
use crate::api::ApiError;
use crate::http::errors::Errors;
use crate::http::events::task_words;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::http::tasks::{TaskPath, limit, link};
use crate::local::{PAGE, blocking, event_view, store};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use ephor_core::event::ActorKind;
use ephor_core::id::StreamId;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::task::Task;
use ephor_core::time::WireTime;
use ephor_core::view::EventView;
use ephor_engine::store::{Reader, StoredEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many events are read at once.
const READ: u64 = 500;
/// How many events one answer looks through for those that are wanted; a page may come out short, and its Link goes on from there.
const LOOKED_AT_MAX: usize = 50_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(history))
}

/// Which events are wanted; every part narrows the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only of this type: `task_complete`, or the engine's own word.
    #[serde(alias = "event_type")]
    r#type: Option<String>,
    /// Only about this task, by any of its names.
    task_id: Option<String>,
    /// How many at most, from 1 to 500; 50 where it is missing.
    limit: Option<u32>,
    /// How many to leave out first, up to 10,000.
    offset: Option<u32>,
    /// Only those before this one, by `version`: goes on where `offset` ends.
    before: Option<u64>,
}

/// Something that happened to an execution.
#[derive(Serialize, ToSchema)]
pub(super) struct ExecutionEvent {
    /// Its id: its place among all events of the server.
    event_id: String,
    /// Its place among those of the execution, from 1.
    version: u64,
    /// The execution.
    execution_id: String,
    /// What happened, in the word of this interface.
    event_type: String,
    /// The same in the engine's own word.
    kind: String,
    /// Which task it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
    /// Which attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u64>,
    /// The agent it is from, or that was given the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// The kind of who did it.
    actor_type: ActorKind,
    /// Who did it.
    actor_id: String,
    /// Where the execution was then.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ExecutionStatus>,
    /// What was written about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What came of the task.
    #[serde(skip_serializing_if = "Value::is_null")]
    output: Value,
    /// What kind of trouble it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
    /// When.
    timestamp: WireTime,
}

/// What has happened to an execution, newest first
#[utoipa::path(get, path = "/api/executions/{id}/events", tag = "executions",
    params(("id" = String, Path, description = "The execution, by the caller's own name or its id"), Wanted),
    responses((status = 200, body = Vec<ExecutionEvent>, headers(("Link" = String, description = "The next page, where there is one"))),
        Errors))]
async fn history(
    State(server): State<Arc<Server>>,
    uri: Uri,
    TaskPath(task): TaskPath,
    Query(wanted): Query<Wanted>,
) -> Result<(HeaderMap, Json<Vec<ExecutionEvent>>), ApiError> {
    let limit = limit(wanted.limit)?.unwrap_or(PAGE) as usize;
    let offset = offset(wanted.offset)? as usize;
    checked_type(wanted.r#type.as_deref())?;
    let (events, next) = blocking(move || {
        let found = server.look().task(task)?;
        let reader = server.engine().reader();
        let names = Names::of(&found);
        checked_task(&names, wanted.task_id.as_deref())?;
        let page = Page { task: &found, names: &names, wanted: &wanted, offset, limit };
        let (stored, next) = page.read(&*reader)?;
        let execution = found.view().external_id.unwrap_or_else(|| found.id.to_string());
        let shown = stored.iter().map(|stored| Ok(ExecutionEvent::of(&server, &names, &execution, event_view(stored)?)));
        Ok((shown.collect::<Result<Vec<_>, ApiError>>()?, next))
    })
    .await?;
    let mut headers = HeaderMap::new();
    if let Some((before, skip)) = next {
        headers.insert(header::LINK, link(&uri, &[("before", &before.to_string()), ("offset", &skip.to_string())]));
    }
    Ok((headers, Json(events)))
}

/// Where the next page goes on: before which version, and how many are still to be left out.
type Onward = (u64, usize);

/// A part of the history of a task.
struct Page<'a> {
    task: &'a Task,
    names: &'a Names<'a>,
    wanted: &'a Wanted,
    offset: usize,
    limit: usize,
}

impl Page<'_> {
    /// The events of the page, and where the next one goes on.
    fn read(&self, reader: &dyn Reader) -> Result<(Vec<StoredEvent>, Option<Onward>), ApiError> {
        let stream: StreamId = self.task.id.into();
        let filtered = self.wanted.r#type.is_some() || self.wanted.task_id.is_some();
        let mut upper = self.wanted.before.unwrap_or(u64::MAX).min(self.task.version + 1);
        let mut skip = self.offset;
        if !filtered {
            upper = upper.saturating_sub(skip as u64);
            skip = 0;
        }
        let (mut page, mut looked_at) = (Vec::new(), 0);
        while upper > 1 {
            let count = if filtered { READ } else { (self.limit - page.len()) as u64 }.min(upper - 1);
            let lower = upper - 1 - count;
            let mut read = reader.stream_events(stream, lower, count as u32).map_err(store)?;
            read.reverse();
            for stored in read {
                if page.len() == self.limit || looked_at == LOOKED_AT_MAX {
                    return Ok((page, Some((upper, skip))));
                }
                upper = stored.version;
                looked_at += 1;
                if !fits(self.names, self.wanted.r#type.as_deref(), self.wanted.task_id.as_deref(), &stored)? {
                    continue;
                }
                match skip {
                    0 => page.push(stored),
                    _ => skip -= 1,
                }
            }
            if page.len() == self.limit {
                return Ok((page, (upper > 1).then_some((upper, 0))));
            }
        }
        Ok((page, None))
    }
}

/// That there are such events.
pub(super) fn checked_type(wanted: Option<&str>) -> Result<(), ApiError> {
    let Some(word) = wanted.filter(|word| !task_words().iter().any(|kind| is_type(kind, word))) else { return Ok(()) };
    let some = "task_started, task_complete, task_error, task_blocked, execution_paused, execution_completed";
    let why = format!("{word:?} is no type of event; there are {some} and others, and those of GET /api/v1/event-types");
    Err(ApiError::invalid("the query was refused", vec![FieldProblem::new("type", why)]))
}

/// That there is such a task in the plan, or could have been: a place in a plan that was replaced since is still one.
pub(super) fn checked_task(names: &Names<'_>, wanted: Option<&str>) -> Result<(), ApiError> {
    let place = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_digit() || "._~".contains(c))
    };
    let known = |name: &str| names.step(name).is_some() || place(name.trim_start_matches("task_"));
    match wanted.filter(|name| !known(name)) {
        None => Ok(()),
        Some(name) => {
            let why = format!("the execution has no task {name:?}; GET /api/executions/{{id}} names those it has");
            Err(ApiError::invalid("the query was refused", vec![FieldProblem::new("task_id", why)]))
        }
    }
}

/// Whether an event is of a type, and about a task, where either is named.
pub(super) fn fits(names: &Names<'_>, wanted: Option<&str>, task: Option<&str>, stored: &StoredEvent) -> Result<bool, ApiError> {
    if wanted.is_some_and(|wanted| !is_type(&stored.kind, wanted)) {
        return Ok(false);
    }
    let Some(name) = task else { return Ok(true) };
    let about = event_view(stored)?.step();
    // A plan that was replaced since may no longer know the step; its path does.
    Ok(about.is_some_and(|path| match names.step(name) {
        Some(step) => *step.path == *path,
        None => path == *name || names.of_path(&path) == *name,
    }))
}

impl ExecutionEvent {
    /// Its word.
    pub(super) fn word(&self) -> &str {
        &self.event_type
    }

    /// When it happened.
    pub(super) fn at(&self) -> WireTime {
        self.timestamp
    }

    pub(super) fn of(server: &Server, names: &Names<'_>, execution: &str, event: EventView) -> Self {
        let given_to = event.text("agent").and_then(|agent| agent.parse().ok());
        let by = if event.actor_type == ActorKind::Ai { event.actor_id.parse().ok() } else { None };
        let output = event.private.get("success").and_then(|success| success.get("output")).cloned();
        Self {
            event_id: event_id(event.position),
            version: event.version,
            execution_id: execution.to_owned(),
            event_type: event_type(&event.kind),
            task_id: event.step().map(|path| names.of_path(&path)),
            attempt: event.data.get("attempt").and_then(Value::as_u64),
            agent_id: by.or(given_to).map(|agent| named(server, agent)),
            status: event.status_after.map(ExecutionStatus::of),
            message: event.words().map(str::to_owned),
            output: output.unwrap_or_default(),
            error_type: event.text("class").map(str::to_ascii_lowercase),
            timestamp: event.at,
            actor_type: event.actor_type,
            actor_id: event.actor_id,
            kind: event.kind,
        }
    }
}

/// What an event at this position is called.
pub(super) fn event_id(position: u64) -> String {
    format!("evt_{position}")
}
