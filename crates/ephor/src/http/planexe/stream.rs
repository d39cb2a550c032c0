//! An execution, live over a WebSocket: where it stands, whatever happens to it, and every few seconds a word that it is still there.

use super::history::{ExecutionEvent, checked_type, fits};
use super::shown::Execution;
use super::words::Names;
use crate::api::ApiError;
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::events::After;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::http::socket::{self, Asked};
use crate::http::sse::{Source, Told};
use crate::http::tasks::TaskPath;
use crate::local::{blocking, event_view};
use axum::extract::State;
use axum::response::Response;
use ephor_core::id::TaskId;
use ephor_core::time::WireTime;
use ephor_engine::feed::Feed;
use ephor_engine::store::StoredEvent;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How often its state is told where nothing happens: with the way of a message within the 5 seconds that are promised.
const EVERY: Duration = Duration::from_secs(4);
/// How many events are read at once.
const PAGE: u32 = 200;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Which events are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only of this type: `task_complete`, or the engine's own word.
    #[serde(alias = "event_type")]
    r#type: Option<String>,
    /// Only about this task, by any of its names.
    task_id: Option<String>,
    /// Only with a higher position: the last one that was heard. From now on where it is missing.
    #[param(value_type = Option<String>)]
    after: Option<After>,
}

/// A WebSocket with an execution: its status and progress at once, with every event that is wanted, and every 5 seconds at the latest
///
/// Each message is `{type, timestamp, execution_id, status, progress, position}`; `type` is `status` or that of an event, which is in `event`. It ends
/// after the end of the execution.
#[utoipa::path(get, path = "/api/executions/{id}/stream", tag = "executions",
    params(("id" = String, Path, description = "The execution, by the caller's own name or its id"), Wanted),
    responses((status = 101, description = "A WebSocket"), Errors))]
async fn stream(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    Query(wanted): Query<Wanted>,
    asked: Asked,
) -> Result<Response, ApiError> {
    checked_type(wanted.r#type.as_deref())?;
    let position = match wanted.after {
        Some(After::Position(position)) => position,
        Some(After::Latest) | None => server.engine().position(),
    };
    let feed = server.engine().feed_of(task, position);
    let mut watching =
        Watching { server: server.clone(), task, feed, wanted, ready: VecDeque::new(), next_at: Instant::now(), over: false };
    watching.look(Vec::new()).await?;
    let permit = server.streams().open(&who.name)?;
    socket::respond(server, permit, asked, watching)
}

/// An execution that is watched.
struct Watching {
    server: Arc<Server>,
    task: TaskId,
    feed: Feed,
    wanted: Wanted,
    ready: VecDeque<Told>,
    /// When its state is told again.
    next_at: Instant,
    over: bool,
}

impl Watching {
    /// Looks where it stands, and has that told: with each of these events that is wanted, or alone where there are none.
    async fn look(&mut self, page: Vec<StoredEvent>) -> Result<(), ApiError> {
        let (server, task) = (self.server.clone(), self.task);
        let (wanted_type, wanted_task) = (self.wanted.r#type.clone(), self.wanted.task_id.clone());
        let position = self.feed.position();
        let (told, over) = blocking(move || {
            let found = server.look().task(task)?;
            let names = Names::of(&found);
            let now = json!(Execution::of(&server, &found, false));
            let message = |word: Value, at: WireTime, position: u64, event: Option<ExecutionEvent>| {
                let mut message = json!({"type": word, "timestamp": at, "execution_id": now["execution_id"], "status": now["status"],
                    "progress": now["progress"], "position": position});
                if let Some(event) = event {
                    message["event"] = json!(event);
                }
                message.to_string()
            };
            let execution = now["execution_id"].as_str().unwrap_or_default();
            let mut told = Vec::new();
            for stored in &page {
                if !fits(&names, wanted_type.as_deref(), wanted_task.as_deref(), stored)? {
                    continue;
                }
                let event = ExecutionEvent::of(&server, &names, execution, event_view(stored)?);
                let data = message(json!(event.word()), event.at(), stored.position, Some(event));
                told.push(Told::new("event", stored.position, data));
            }
            if told.is_empty() {
                told.push(Told::new("status", position, message(json!("status"), WireTime(server.engine().now()), position, None)));
            }
            Ok((told, found.status().is_final()))
        })
        .await?;
        self.ready.extend(told);
        self.over = over;
        self.next_at = Instant::now() + EVERY;
        Ok(())
    }
}

impl Source for Watching {
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Some(told);
            }
            if self.over {
                return None;
            }
            let page = tokio::select! {
                page = self.feed.next(PAGE) => page.ok().filter(|page| !page.is_empty())?,
                () = tokio::time::sleep_until(self.next_at) => Vec::new(),
            };
            let looked = self.look(page).await;
            looked.inspect_err(|error| tracing::warn!(%error, "a stream of an execution ended")).ok()?;
        }
    }

    fn position(&self) -> u64 {
        self.feed.position()
    }
}
