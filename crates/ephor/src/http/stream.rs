//! Everything that happens, over one WebSocket: events of all or of some tasks, how far some are, and where they stood at the beginning.

use super::auth::Caller;
use super::case;
use super::errors::Errors;
use super::events::{After, Following, follow};
use super::query::{Query, Words};
use super::server::Server;
use super::socket::{self, Asked};
use super::sse::{Source, Told};
use super::tasks::{Followed, TaskPath, followed};
use crate::api::{Api, ApiError, Kind};
use crate::local::blocking;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use ephor_core::id::TaskId;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::time::WireTime;
use futures_util::future::select_all;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many topics one line may have.
const TOPICS_MAX: usize = 20;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// What is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// `events` (all events; what is told where nothing is said), `task:ID` (where that task stands, then its events), `progress:ID` (how far
    /// it is); up to 20, separated by commas.
    #[param(value_type = Option<String>)]
    topics: Words,
    /// Only events with a higher position: the last one that was heard. Without it they are told from now on, and tasks first as they stand.
    #[param(value_type = Option<String>)]
    after: Option<After>,
    /// Only events of these types, separated by commas.
    #[serde(alias = "event_type")]
    #[param(value_type = Option<String>)]
    r#type: Words,
    /// Only events by this actor: its id, or its kind.
    #[serde(alias = "actor_id")]
    actor: Option<String>,
}

/// What a topic means.
enum Topic {
    Events,
    Task(TaskId),
    Progress(TaskId),
}

/// A WebSocket with everything that happens, each event as `GET /events` shows it
///
/// Beside events there are `hello` (the position from which on they are told), `snapshot` (a task as it stands, in `data`; its events follow without
/// a gap and without a double), `progress` and, at the latest every 5 seconds, `tick`. Each has `type` and `position`. Whoever lost the line, or
/// was sent away for being slow (1013), goes on with `after`.
#[utoipa::path(get, path = "/api/v1/stream", tag = "events", params(Wanted),
    responses((status = 101, description = "A WebSocket"), Errors))]
async fn stream(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Extension(case): Extension<case::Wanted>,
    Query(wanted): Query<Wanted>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let wrong = |why: String| ApiError::invalid("the query was refused", vec![FieldProblem::new("topics", why)]);
    let said = if wanted.topics.0.is_empty() { vec!["events".to_owned()] } else { wanted.topics.0 };
    if said.len() > TOPICS_MAX {
        return Err(wrong(format!("at most {TOPICS_MAX}")));
    }
    let mut topics = Vec::with_capacity(said.len());
    for word in &said {
        topics.push(match word.split_once(':') {
            None if word == "events" => Topic::Events,
            Some(("task", name)) => Topic::Task(TaskPath::of(&server, &who, "topics", name).await?),
            Some(("progress", name)) => Topic::Progress(TaskPath::of(&server, &who, "topics", name).await?),
            _ => return Err(wrong(format!("{word:?} is no topic; there are events, task:ID and progress:ID"))),
        });
    }
    let all = topics.iter().any(|topic| matches!(topic, Topic::Events));
    if all && who.agent_alone().is_some() {
        let what = "this key reaches the tasks its agent works on, one by one";
        return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", what).then("GET /api/v1/stream?topics=task:ID"));
    }
    let tasks: Vec<TaskId> =
        topics.iter().filter_map(|topic| if let Topic::Task(task) = topic { Some(*task) } else { None }).collect();
    let now = server.engine().position();
    let after = match wanted.after {
        Some(After::Position(position)) => position,
        Some(After::Latest) | None => now,
    };
    let mut first = VecDeque::from([json!({"type": "hello", "position": after, "at": WireTime(server.engine().now())})]);
    // Up to where each snapshot reaches: what of its events is in it is not told again.
    let mut known = Vec::new();
    for task in &tasks {
        let view = server.api(&who).task(*task).await?;
        if wanted.after.is_none() {
            known.push((*task, view.version));
            first.push_back(json!({"type": "snapshot", "position": now, "stream": task, "data": view}));
        }
    }
    let mut sources = Vec::new();
    if all || !tasks.is_empty() {
        let only = if all { Vec::new() } else { tasks };
        sources.push(Part::Events(Box::new(follow(&server, &who, &case, wanted.r#type.0, wanted.actor, after, only, known)?)));
    }
    for topic in topics {
        if let Topic::Progress(task) = topic {
            let server = server.clone();
            let followed = blocking(move || followed(&server, task)).await?;
            sources.push(Part::Progress(task, Box::new(followed)));
        }
    }
    let permit = server.streams().open(&who.name)?;
    socket::respond(server, permit, asked, Several { first, sources, position: after })
}

/// One of the sources of a line.
enum Part {
    Events(Box<Following>),
    Progress(TaskId, Box<Followed>),
}

impl Part {
    async fn next(&mut self) -> Option<Told> {
        match self {
            Self::Events(following) => following.next().await,
            Self::Progress(task, followed) => {
                let told = followed.next().await?;
                let data: Value = serde_json::from_str(&told.data).unwrap_or_default();
                let position: u64 = told.id.parse().unwrap_or_default();
                let data = json!({"type": told.event, "position": position, "stream": task, "data": data}).to_string();
                Some(Told { data, ..told })
            }
        }
    }
}

/// What a source tells next, on its way.
fn waiting(part: &mut Part) -> Pin<Box<dyn Future<Output = Option<Told>> + Send + '_>> {
    Box::pin(part.next())
}

/// Several sources, told as they come.
struct Several {
    first: VecDeque<Value>,
    sources: Vec<Part>,
    position: u64,
}

impl Source for Several {
    async fn next(&mut self) -> Option<Told> {
        if let Some(first) = self.first.pop_front() {
            return Some(Told::new("hello", self.position, first.to_string()));
        }
        while !self.sources.is_empty() {
            let (told, which, rest) = select_all(self.sources.iter_mut().map(waiting)).await;
            drop(rest);
            match told {
                Some(told) => return Some(told),
                None => drop(self.sources.remove(which)),
            }
        }
        None
    }

    fn position(&self) -> u64 {
        let of = |part: &Part| if let Part::Events(following) = part { Some(following.position()) } else { None };
        self.sources.iter().find_map(of).unwrap_or(self.position)
    }
}

/// Up to which of its versions a task is known already.
pub(super) type Known = Vec<(TaskId, u64)>;
