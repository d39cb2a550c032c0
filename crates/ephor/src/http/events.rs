//! Events: of one task or of all, as pages or as a stream that goes on live; as they were recorded, or as rows of an older interface.

mod pages;
mod rows;

use super::auth::{Caller, Principal};
use super::case;
use super::errors::Errors;
use super::query::{Query, Words};
use super::server::Server;
use super::sse::{self, Source, Told};
use super::stream::Known;
use super::tasks::{TaskPath, limit, link};
use crate::api::{Api, ApiError, EventQuery, Kind};
use crate::local::blocking;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use ephor_core::agent::AgentEvent;
use ephor_core::constitution::ConstitutionEvent;
use ephor_core::event::Event;
use ephor_core::id::{StreamId, TaskId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::view::EventView;
use ephor_engine::feed::Feed;
use ephor_engine::store::{Reader, StoredEvent};
use pages::{Narrowed, downwards, upwards};
use rows::{EventRow, Form, Place};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
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
pub(crate) enum After {
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
pub(crate) enum Order {
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
    /// Only these types, separated by commas. Words of the older interface (`TASK_STATUS_CHANGED`) are asked for alone, and answered in
    /// its form.
    #[serde(alias = "event_type")]
    #[param(value_type = Option<String>)]
    r#type: Words,
    /// Only by this actor: its id, or its kind.
    #[serde(alias = "actor_id")]
    actor: Option<String>,
    /// `asc` or `desc`.
    #[param(inline)]
    order: Order,
    /// `events` as they were recorded, or `rows` of the older interface, in camelCase: an event that moves a task is up to two of them.
    #[param(inline)]
    form: Option<Form>,
    /// How many at most, from 1 to 500; 50 where it is missing. Rows of one event stay together: a page of them may have one more.
    limit: Option<u32>,
}

/// Events of everything
///
/// With `Accept: text/event-stream` a stream: from any position on, then live, without a gap and without a double. The id of each event
/// is its position; `Last-Event-ID` goes on from there. Every 5 seconds at the latest comes a `tick`.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(Wanted, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event, or row, that was heard")),
    responses((status = 200, content((Vec<Shown> = "application/json"), (String = "text/event-stream")),
        headers(("Link" = String, description = "The next page, where there is one"))), Errors))]
async fn all(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Extension(case): Extension<case::Wanted>,
    uri: Uri,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    let task = match &wanted.task {
        Some(name) => Some(TaskPath::of(&server, &who, "task", name).await?),
        None if who.agent_alone().is_some() => {
            let what = "this key reaches the events of the tasks its agent works on, one by one";
            return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", what).then("GET /api/v1/tasks/{id}/events"));
        }
        None => None,
    };
    tell(server, &who, &case, &uri, &headers, task, wanted).await
}

/// Events of a task
///
/// With `Accept: text/event-stream` a stream, as `GET /events` is one.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/events", tag = "events",
    params(("id" = String, Path, description = "The task"), Wanted,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event, or row, that was heard")),
    responses((status = 200, content((Vec<Shown> = "application/json"), (String = "text/event-stream")),
        headers(("Link" = String, description = "The next page, where there is one"))), Errors))]
async fn of_task(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Extension(case): Extension<case::Wanted>,
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
    tell(server, &who, &case, &uri, &headers, Some(task), wanted).await
}

async fn tell(
    server: Arc<Server>,
    who: &Principal,
    case: &case::Wanted,
    uri: &Uri,
    headers: &HeaderMap,
    task: Option<TaskId>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let form = Form::of(wanted.form, &wanted.r#type.0)?;
    if form == Form::Rows {
        case.camel_unless_said();
    }
    let narrowed = Narrowed::new(form, wanted.r#type.0, wanted.actor, who);
    let engine = server.engine();
    let after = match wanted.after {
        Some(After::Position(position)) => position,
        Some(After::Latest) => engine.position(),
        None => 0,
    };
    if sse::is_wanted(headers) {
        let heard = Place::last_heard(headers).filter(|_| form == Form::Rows);
        let after = match heard {
            Some(row) => row.before(),
            None => sse::last_event_id(headers)?.unwrap_or(after),
        };
        let permit = server.streams().open(&who.name)?;
        let feed = match task {
            Some(task) => engine.feed_of(task, after),
            None => engine.feed(after),
        };
        let (reader, only, known) = (engine.reader(), Vec::new(), Known::new());
        let following = Following { feed, reader, narrowed, heard, case: case.clone(), only, known, ready: VecDeque::new() };
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

/// Events behind a position, as they were recorded: of all tasks, or of some. Of those that are known up to a version only what follows it.
#[expect(clippy::too_many_arguments, reason = "each narrows what is told, as the parameters of the query do")]
pub(super) fn follow(
    server: &Server,
    who: &Principal,
    case: &case::Wanted,
    types: Vec<String>,
    actor: Option<String>,
    after: u64,
    only: Vec<TaskId>,
    known: Known,
) -> Result<Following, ApiError> {
    let form = Form::of(None, &types)?;
    if form == Form::Rows {
        let why = "rows of the older interface are told at GET /api/v1/events";
        return Err(ApiError::invalid("the query was refused", vec![FieldProblem::new("type", why)]));
    }
    let engine = server.engine();
    let feed = match only[..] {
        [task] => engine.feed_of(task, after),
        _ => engine.feed(after),
    };
    let only = only.into_iter().map(Into::into).collect();
    let narrowed = Narrowed::new(form, types, actor, who);
    Ok(Following {
        feed,
        reader: engine.reader(),
        narrowed,
        heard: None,
        case: case.clone(),
        only,
        known,
        ready: VecDeque::new(),
    })
}

/// A stream of events.
pub(super) struct Following {
    feed: Feed,
    reader: Arc<dyn Reader>,
    narrowed: Narrowed,
    /// The last row that was heard before the line was lost: it and those before it do not come again.
    heard: Option<Place>,
    case: case::Wanted,
    /// Only of these tasks; of all where none is named.
    only: Vec<StreamId>,
    /// Up to which version some tasks are known.
    known: Known,
    ready: VecDeque<Told>,
}

impl Following {
    fn wants(&self, stored: &StoredEvent) -> bool {
        let told = |(task, version): &(TaskId, u64)| StreamId::from(*task) == stored.stream && stored.version <= *version;
        (self.only.is_empty() || self.only.contains(&stored.stream)) && !self.known.iter().any(told)
    }
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
            for stored in page.iter().filter(|stored| self.wants(stored)).collect::<Vec<_>>() {
                match self.narrowed.shown(&*self.reader, stored) {
                    Ok(shown) => {
                        let heard = self.heard;
                        let new = shown.iter().filter(|shown| shown.is_behind(heard));
                        self.ready.extend(new.map(|shown| shown.told(&self.case)));
                    }
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

/// An event as it is shown.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Shown {
    /// As it was recorded.
    Event(Box<EventView>),
    /// As a row of the older interface.
    Row(EventRow),
}

impl Shown {
    fn is_behind(&self, heard: Option<Place>) -> bool {
        match self {
            Self::Event(_) => true,
            Self::Row(row) => heard.is_none_or(|heard| row.place() > heard),
        }
    }

    /// As it is told in a stream: its position, its type, all of it.
    fn told(&self, case: &case::Wanted) -> Told {
        match self {
            Self::Event(view) => {
                let data = serde_json::to_string(view).expect("an event is plain data");
                Told::new(&view.kind, view.position, data)
            }
            Self::Row(row) => row.told(case),
        }
    }
}

/// A type of event.
#[derive(Serialize, ToSchema)]
struct EventType {
    /// Its word: `ASSIGNED`.
    #[serde(rename = "type")]
    word: String,
    /// Whose events these are: `task`, `agent`, `namespace` or `constitution`.
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
    let types = of("task", Event::schema())
        .chain(of("agent", AgentEvent::schema()))
        .chain(of("namespace", NamespaceEvent::schema()))
        .chain(of("constitution", ConstitutionEvent::schema()));
    Json(types.collect())
}

/// The words of every event of a task.
pub(crate) fn task_words() -> &'static [String] {
    static WORDS: LazyLock<Vec<String>> =
        LazyLock::new(|| words(&json!(Event::schema())).into_iter().map(|(word, ..)| word).collect());
    &WORDS
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
