//! Events: of one task or of all, as pages or as a stream that goes on live.

use super::auth::{Caller, Principal};
use super::errors::Errors;
use super::query::{Query, Words};
use super::server::Server;
use super::sse::{self, Source};
use super::tasks::{TaskPath, limit, link};
use crate::api::{Api, ApiError, EventQuery};
use crate::local::{blocking, event_view, store};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::sse::Event as Told;
use axum::response::{IntoResponse, Response};
use ephor_core::agent::AgentEvent;
use ephor_core::event::Event;
use ephor_core::id::{StreamId, StreamKind, TaskId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::view::EventView;
use ephor_engine::feed::Feed;
use ephor_engine::query;
use ephor_engine::store::{Reader, StoredEvent};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many events are read at once.
const PAGE: u32 = 500;
/// How many events a stream reads at once; all of them are shown before anybody else gets a turn on the thread.
const STREAM_PAGE: u32 = 200;
/// How many events one answer looks at; a page may come out short, and its Link goes on from there.
const LOOKED_AT_MAX: u32 = 50_000;
/// How many tasks a stream remembers the namespaces of.
const REMEMBERED_MAX: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(of_task)).routes(routes!(types))
}

/// From where on events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Position(u64),
    /// From now on.
    Latest,
}

impl<'de> Deserialize<'de> for After {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.as_str() {
            "latest" => Ok(Self::Latest),
            _ => text.parse().map(Self::Position).map_err(|_| serde::de::Error::custom("a position, or `latest`")),
        }
    }
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// As they happened.
    #[default]
    Asc,
    /// The last first.
    Desc,
}

/// Which events are wanted; every part narrows the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only of this task.
    task: Option<String>,
    /// Only with a higher position; `latest` for those to come.
    #[param(value_type = Option<String>)]
    after: Option<After>,
    /// Only with a lower position.
    before: Option<u64>,
    /// Only these types, separated by commas.
    #[serde(alias = "event_type")]
    #[param(value_type = Option<String>)]
    r#type: Words,
    /// Only by this actor: its id, or its kind.
    #[serde(alias = "actor_id")]
    actor: Option<String>,
    /// `asc` or `desc`.
    #[param(inline)]
    order: Order,
    /// How many at most, from 1 to 500; 50 where it is missing.
    limit: Option<u32>,
}

/// Events of everything
///
/// With `Accept: text/event-stream` a stream: from any position on, then live, without a gap and without a double. The id of each event
/// is its position; `Last-Event-ID` goes on from there. Every 5 seconds at the latest comes a `tick`.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(Wanted, ("Last-Event-ID" = Option<u64>, Header, description = "The last position that was heard")),
    responses((status = 200, content((Vec<EventView> = "application/json"), (String = "text/event-stream")),
        headers(("Link" = String, description = "The next page, where there is one"))), Errors))]
async fn all(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let task = match &wanted.task {
        Some(name) => {
            let task = server.api(&who).find(name).await?;
            TaskPath::may_see(&server, &who, task, name).await?;
            Some(task)
        }
        None => None,
    };
    tell(server, &who, &uri, &headers, task, wanted).await
}

/// Events of a task
///
/// With `Accept: text/event-stream` a stream, as `GET /events` is one.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/events", tag = "events",
    params(("id" = String, Path, description = "The task"), Wanted,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last position that was heard")),
    responses((status = 200, content((Vec<EventView> = "application/json"), (String = "text/event-stream")),
        headers(("Link" = String, description = "The next page, where there is one"))), Errors))]
async fn of_task(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    uri: Uri,
    TaskPath(task): TaskPath,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    if wanted.task.is_some() {
        let problem = FieldProblem::new("task", "stands in the path already");
        return Err(ApiError::invalid("the query was refused", vec![problem]));
    }
    server.api(&who).task(task).await?;
    tell(server, &who, &uri, &headers, Some(task), wanted).await
}

async fn tell(
    server: Arc<Server>,
    who: &Principal,
    uri: &Uri,
    headers: &HeaderMap,
    task: Option<TaskId>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let narrowed = Narrowed { types: wanted.r#type.0, actor: wanted.actor, sight: Sight::of(who) };
    let engine = server.engine();
    let after = match wanted.after {
        Some(After::Position(position)) => position,
        Some(After::Latest) => engine.position(),
        None => 0,
    };
    if sse::is_wanted(headers) {
        let after = sse::last_event_id(headers)?.unwrap_or(after);
        let permit = server.streams().open(&who.name)?;
        let feed = match task {
            Some(task) => engine.feed_of(task, after),
            None => engine.feed(after),
        };
        let following = Following { feed, reader: engine.reader(), narrowed, ready: VecDeque::new() };
        return Ok(sse::respond(server, permit, following));
    }
    let limit = limit(wanted.limit)?.unwrap_or(crate::local::PAGE) as usize;
    let before = wanted.before.unwrap_or(u64::MAX).min(engine.position().saturating_add(1));
    let reader = engine.reader();
    let (page, next) = blocking(move || match wanted.order {
        Order::Asc => upwards(&*reader, task, after, before, limit, narrowed),
        Order::Desc => downwards(&*reader, task, after, before, limit, narrowed),
    })
    .await?;
    let mut answer = HeaderMap::new();
    if let Some(next) = next {
        let name = if wanted.order == Order::Asc { "after" } else { "before" };
        answer.insert(header::LINK, link(uri, &[(name, &next.to_string())]));
    }
    Ok((answer, Json(page)).into_response())
}

/// A page in the order of what happened, and where the next one begins.
fn upwards(
    reader: &dyn Reader,
    task: Option<TaskId>,
    mut after: u64,
    before: u64,
    limit: usize,
    mut narrowed: Narrowed,
) -> Result<(Vec<EventView>, Option<u64>), ApiError> {
    let mut page = Vec::new();
    let mut looked_at = 0;
    loop {
        let found = reader.events(after, PAGE, task.map(Into::into)).map_err(store)?;
        let last = found.len() < PAGE as usize;
        for stored in found.into_iter() {
            if stored.position >= before {
                return Ok((page, None));
            }
            if page.len() == limit {
                return Ok((page, Some(after)));
            }
            after = stored.position;
            looked_at += 1;
            page.extend(narrowed.view(reader, &stored)?);
        }
        if last {
            return Ok((page, None));
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok((page, Some(after)));
        }
    }
}

/// A page with the last first, and where the next one begins. Positions have no gaps, so that windows can be counted out backwards.
fn downwards(
    reader: &dyn Reader,
    task: Option<TaskId>,
    after: u64,
    before: u64,
    limit: usize,
    mut narrowed: Narrowed,
) -> Result<(Vec<EventView>, Option<u64>), ApiError> {
    let mut page = Vec::new();
    let mut looked_at = 0;
    let mut upper = before;
    // Of one task they are few, but far apart: all of them are read.
    let own = task.map(|task| own_events(reader, task, after, before)).transpose()?;
    let mut own = own.map(|events| events.into_iter().rev().peekable());
    loop {
        let window = match &mut own {
            Some(events) => events.by_ref().take(PAGE as usize).collect::<Vec<_>>(),
            None => {
                let lower = upper.saturating_sub(1 + u64::from(PAGE)).max(after);
                let mut window = reader.events(lower, PAGE, None).map_err(store)?;
                window.retain(|stored| stored.position < upper);
                window.reverse();
                window
            }
        };
        if window.is_empty() {
            return Ok((page, None));
        }
        for stored in window {
            if page.len() == limit {
                return Ok((page, Some(upper)));
            }
            upper = stored.position;
            looked_at += 1;
            page.extend(narrowed.view(reader, &stored)?);
        }
        if looked_at >= LOOKED_AT_MAX {
            return Ok((page, Some(upper)));
        }
    }
}

/// The events of a task between two positions.
fn own_events(reader: &dyn Reader, task: TaskId, after: u64, before: u64) -> Result<Vec<StoredEvent>, ApiError> {
    let mut events: Vec<StoredEvent> = Vec::new();
    loop {
        let from = events.last().map_or(after, |e| e.position);
        let found = reader.events(from, PAGE, Some(task.into())).map_err(store)?;
        let last = found.len() < PAGE as usize;
        events.extend(found.into_iter().filter(|stored| stored.position < before));
        if last {
            return Ok(events);
        }
    }
}

/// Every event of a task that is wanted.
pub(crate) async fn all_of(
    server: &Server,
    task: TaskId,
    wanted: impl Fn(&EventView) -> bool + Send + 'static,
) -> Result<Vec<EventView>, ApiError> {
    let look = server.look().clone();
    blocking(move || {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = look.events(EventQuery { task: Some(task), after, limit: PAGE, wait_ms: 0 })?;
            let last = page.len() < PAGE as usize;
            after = page.last().map_or(after, |event| event.position);
            events.extend(page.into_iter().filter(|event| wanted(event)));
            if last {
                return Ok(events);
            }
        }
    })
    .await
}

/// What of the events is shown.
struct Narrowed {
    types: Vec<String>,
    actor: Option<String>,
    sight: Sight,
}

impl Narrowed {
    fn view(&mut self, reader: &dyn Reader, stored: &StoredEvent) -> Result<Option<EventView>, ApiError> {
        if !self.types.is_empty() && !self.types.iter().any(|kind| kind.eq_ignore_ascii_case(&stored.kind)) {
            return Ok(None);
        }
        if let Some(actor) = &self.actor {
            let (kind, id) = stored.actor.split_once('/').unwrap_or_default();
            if id != actor && !kind.eq_ignore_ascii_case(actor) {
                return Ok(None);
            }
        }
        match self.sight.sees(reader, stored)? {
            true => event_view(stored).map(Some),
            false => Ok(None),
        }
    }
}

/// What a caller may see of all events: everything, or what belongs to its namespace.
struct Sight {
    namespace: Option<Box<str>>,
    known: HashMap<StreamId, bool>,
}

impl Sight {
    fn of(who: &Principal) -> Self {
        Self { namespace: who.namespace.clone(), known: HashMap::new() }
    }

    fn sees(&mut self, reader: &dyn Reader, stored: &StoredEvent) -> Result<bool, ApiError> {
        let Some(own) = &self.namespace else { return Ok(true) };
        if let Some(known) = self.known.get(&stored.stream) {
            return Ok(*known);
        }
        let sees = match stored.stream.kind {
            StreamKind::Namespace => stored.stream == StreamId::named(StreamKind::Namespace, own),
            StreamKind::Task => {
                let first = reader.stream_events(stored.stream, 0, 1).map_err(store)?;
                let first = first.first().map(query::event).transpose().map_err(store)?;
                matches!(first, Some((Event::Submitted(facts), _)) if facts.namespace == *own)
            }
            _ => false,
        };
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(stored.stream, sees);
        Ok(sees)
    }
}

/// A stream of events.
struct Following {
    feed: Feed,
    reader: Arc<dyn Reader>,
    narrowed: Narrowed,
    ready: VecDeque<Told>,
}

impl Source for Following {
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let page = match self.feed.next(STREAM_PAGE).await {
                Ok(page) if page.is_empty() => return None,
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "a stream of events ended");
                    return None;
                }
            };
            for stored in &page {
                match self.narrowed.view(&*self.reader, stored) {
                    Ok(Some(view)) => self.ready.push_back(told(&view)),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(%error, "a stream of events ended");
                        return None;
                    }
                }
            }
        }
    }

    fn position(&self) -> u64 {
        self.feed.position()
    }
}

/// An event as it is told: its position, its type, all of it.
fn told(view: &EventView) -> Told {
    let data = serde_json::to_string(view).expect("an event is plain data");
    Told::default().id(view.position.to_string()).event(&view.kind).data(data)
}

/// A type of event.
#[derive(Serialize, ToSchema)]
struct EventType {
    /// Its word: `ASSIGNED`.
    #[serde(rename = "type")]
    word: String,
    /// Whose events these are: `task`, `agent` or `namespace`.
    stream: &'static str,
    /// What it says.
    description: String,
    /// The form of its `data`, as a JSON Schema; missing where it has none.
    #[serde(skip_serializing_if = "Value::is_null")]
    data: Value,
}

/// Every type of event there is
#[utoipa::path(get, path = "/api/v1/event-types", tag = "events", responses((status = 200, body = Vec<EventType>), Errors))]
async fn types() -> Json<Vec<EventType>> {
    let of = |stream, schema| {
        words(&json!(schema)).into_iter().map(move |(word, description, data)| EventType { word, stream, description, data })
    };
    let types =
        of("task", Event::schema()).chain(of("agent", AgentEvent::schema())).chain(of("namespace", NamespaceEvent::schema()));
    Json(types.collect())
}

/// The words of an enum, from its schema: what each says, and the form of its facts.
fn words(schema: &Value) -> Vec<(String, String, Value)> {
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    let word = |variant: Value| {
        let description = variant["description"].as_str().unwrap_or_default().to_owned();
        match (variant["enum"].as_array(), variant["properties"].as_object()) {
            (Some(words), _) => {
                words.iter().filter_map(Value::as_str).map(|w| (w.to_owned(), description.clone(), Value::Null)).collect()
            }
            (None, Some(fields)) => fields.iter().map(|(w, form)| (w.clone(), description.clone(), form.clone())).collect(),
            (None, None) => Vec::new(),
        }
    };
    variants.into_iter().flat_map(word).collect::<Vec<_>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_events_are_those_of_the_rules() {
        let words = words(&json!(Event::schema()));
        assert!(words.len() >= 40, "{}", words.len());
        for (event, word) in [(Event::Released, "RELEASED"), (Event::Guided, "GUIDED"), (Event::Stalled, "STALLED")] {
            assert_eq!(event.kind(), word);
            assert!(words.iter().any(|(known, description, _)| known == word && !description.is_empty()), "{word}");
        }
        assert!(words.iter().any(|(word, _, data)| word == "ASSIGNED" && !data.is_null()));
    }
}
