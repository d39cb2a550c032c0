//! How far a task is: asked once, or told as it changes.

use super::TaskPath;
use crate::api::{ApiError, Kind};
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::http::sse::{self, Source};
use crate::local::{blocking, store};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::Event as Told;
use axum::response::{IntoResponse, Response};
use ephor_core::id::TaskId;
use ephor_core::status::{Status, StepStatus};
use ephor_core::task::Task;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::{StepCounts, StepView, Waiting};
use ephor_engine::Engine;
use ephor_engine::feed::Feed;
use ephor_engine::query::{self, AsOf};
use ephor_engine::store::{StoredEvent, Telemetry};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The least time between two tellings; only the end does not wait for it.
const EVERY: Duration = Duration::from_millis(250);
/// How many events are read at once.
const PAGE: u32 = 500;
/// How many steps are told one by one; those of larger plans are asked for at `/steps`.
const STEPS_TOLD_MAX: usize = 200;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(progress))
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct TaskProgress {
    /// Which task.
    task_id: TaskId,
    /// From 0 to 1: the part of its steps that have ended, and of those under way what their agents say.
    progress: f64,
    /// The same, by the name of the older interface.
    overall_progress: f64,
    /// The same in percent.
    progress_percent: f64,
    /// The step it is at: its index in plan order.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_step: Option<u32>,
    /// The step it is at: its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_step_id: Option<String>,
    /// Where the task is.
    status: Status,
    /// How many events it has.
    version: u64,
    /// How many of its steps are in which status.
    steps: StepCounts,
    /// Its steps, groups not counted, by path; the first 200.
    step_progress: BTreeMap<String, StepProgress>,
    /// What it waits for.
    issues: Vec<Waiting>,
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct StepProgress {
    /// Its path.
    step_id: String,
    /// From 0 to 1.
    progress: f64,
    /// Where it is.
    status: StepStatus,
    /// What its agent says it is doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// When it last began.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<WireTime>,
    /// How many bytes of JSON its output has.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_size: Option<usize>,
}

/// How far it is
///
/// With `Accept: text/event-stream` a stream: `event: progress` at once and whenever something changes, at most four times a second,
/// `event: tick` at the latest every 5 seconds. It ends after the end of the task.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/progress", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, content((TaskProgress = "application/json"), (String = "text/event-stream"))), Errors))]
async fn progress(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !sse::is_wanted(&headers) {
        let live = server.engine().telemetry(task);
        let engine = server.engine().clone();
        return Ok(
            Json(super::read::side(&server, task, move |task| TaskProgress::of(&engine, task, &live)).await?).into_response()
        );
    }
    sse::last_event_id(&headers)?;
    let permit = server.streams().open(&who.name)?;
    let engine = server.engine().clone();
    // First the place, then the task: what comes between is told once more, and changes nothing.
    let position = engine.position();
    let reader = engine.reader();
    let read = blocking(move || query::task(&*reader, task, AsOf::Now).map_err(store)).await?;
    let task = read.ok_or_else(|| ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {task}")))?;
    let feed = engine.feed_of(task.id, position);
    let source = Followed { engine, feed, task, told: None, next_at: Instant::now(), over: false };
    Ok(sse::respond(server, permit, source))
}

impl TaskProgress {
    fn of(engine: &Engine, task: &Task, live: &[Telemetry]) -> Self {
        let (view, steps) = (task.view(), task.step_views());
        let telemetry =
            |step: &StepView| live.iter().find(|t| t.work.strip_prefix("step:") == Some(&step.path) && t.attempt == step.attempt);
        let sizes: BTreeMap<String, usize> = match steps.len() <= STEPS_TOLD_MAX {
            true => task.output_views().into_iter().map(|o| (o.step, o.output.to_string().len())).collect(),
            false => BTreeMap::new(),
        };
        let leaves = || steps.iter().filter(|step| !step.is_group());
        let mut under_way = 0.0;
        let mut step_progress = BTreeMap::new();
        for step in leaves() {
            let said = telemetry(step).filter(|_| !step.status.is_final());
            let part = said.and_then(|t| t.progress).unwrap_or(0.0).clamp(0.0, 1.0);
            under_way += part;
            if step_progress.len() < STEPS_TOLD_MAX {
                let told = StepProgress {
                    step_id: step.path.clone(),
                    progress: if step.status.is_final() { 1.0 } else { part },
                    status: step.status,
                    message: said.and_then(|t| t.message.clone()),
                    start_time: step.started_at,
                    output_size: sizes.get(&step.path).copied(),
                };
                step_progress.insert(step.path.clone(), told);
            }
        }
        let whole = view.progress + under_way / f64::from(view.steps.total.max(1));
        let progress = (whole.min(1.0) * 10_000.0).round() / 10_000.0;
        Self {
            task_id: task.id,
            progress,
            overall_progress: progress,
            progress_percent: (progress * 10_000.0).round() / 100.0,
            current_step: view.current_step,
            current_step_id: view.current_step_id,
            status: view.status,
            version: view.version,
            steps: view.steps,
            step_progress,
            issues: engine.waiting_for(task).into_iter().filter(|w| w.reason != "RUNNING").collect(),
        }
    }
}

/// A task that is followed: kept as it is, and brought forward event by event.
struct Followed {
    engine: Engine,
    feed: Feed,
    task: Task,
    told: Option<TaskProgress>,
    /// When it may be told again.
    next_at: Instant,
    over: bool,
}

impl Followed {
    /// Brings the task forward; `None` when an event cannot be read.
    fn take_in(&mut self, stored: &StoredEvent) -> Option<()> {
        if stored.version > self.task.version {
            let read = query::event(stored).inspect_err(|error| tracing::warn!(%error, "a stream of progress ended"));
            let (event, words) = read.ok()?;
            self.task.take_in(&event, words.as_ref(), Time(stored.at));
        }
        Some(())
    }
}

impl Source for Followed {
    async fn next(&mut self) -> Option<Told> {
        if self.over {
            return None;
        }
        loop {
            let live = self.engine.telemetry(self.task.id);
            let now = TaskProgress::of(&self.engine, &self.task, &live);
            let ended = now.status.is_final();
            if self.told.as_ref() != Some(&now) && (ended || self.next_at <= Instant::now()) {
                self.next_at = Instant::now() + EVERY;
                self.over = ended;
                let data = serde_json::to_string(&now).expect("progress is plain data");
                self.told = Some(now);
                return Some(Told::default().event("progress").id(self.feed.position().to_string()).data(data));
            }
            if ended {
                return None;
            }
            // What an agent says of itself is no event: it is looked at now and then.
            tokio::select! {
                page = self.feed.next(PAGE) => {
                    let page = page.inspect_err(|error| tracing::warn!(%error, "a stream of progress ended")).ok()?;
                    if page.is_empty() {
                        return None;
                    }
                    for stored in &page {
                        self.take_in(stored)?;
                    }
                }
                () = tokio::time::sleep_until(self.next_at.max(Instant::now() + EVERY / 2)) => {}
            }
        }
    }

    fn position(&self) -> u64 {
        self.feed.position()
    }
}
