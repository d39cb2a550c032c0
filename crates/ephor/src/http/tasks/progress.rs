//! How far a task is: asked once, or told as it changes.

use super::TaskPath;
use super::quality::Scores;
use crate::api::{ApiError, Kind};
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::http::sse::{self, Source, Told};
use crate::local::{blocking, store};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use ephor_core::id::TaskId;
use ephor_core::status::{Status, StepStatus};
use ephor_core::task::Task;
use ephor_core::time::{Time, WireDuration, WireTime};
use ephor_core::view::{StepCounts, StepView, Waiting};
use ephor_engine::Engine;
use ephor_engine::feed::Feed;
use ephor_engine::query::{self, AsOf};
use ephor_engine::store::{StoredEvent, Telemetry};
use serde::Serialize;
use serde_json::{Map, Value};
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
    /// From 0 to 1: the part of its steps that are done or were left out, and of those under way what their agents say.
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
    /// When it is expected to be done: what is left of its critical path, by the durations its plan names and how long its actions usually
    /// take. Missing where a step of it is not known, and where it waits for a person, a judge or another task.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_completion: Option<WireTime>,
    /// What it waits for.
    issues: Vec<Waiting>,
    /// Figures about it.
    metrics: ProgressMetrics,
}

/// Figures about a task that is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
struct ProgressMetrics {
    /// From its first start to now, or to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed: Option<WireDuration>,
    /// How long it still takes, where it is known when it is expected to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<WireDuration>,
    /// How many attempts at its steps have failed since it was last tried anew.
    failed_attempts: u32,
    /// How often it was tried again as a whole.
    retries: u32,
    /// The figures its steps reported, by path; not told of plans of more than 200 steps and groups.
    #[serde(skip_serializing_if = "Map::is_empty")]
    by_step: Map<String, Value>,
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
    /// When it is expected to be done; missing where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_completion: Option<WireTime>,
    /// The lowest score its gates gave when they were judged last, from 0 to 1; missing where none gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    quality_score: Option<f64>,
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
        let reader = engine.reader();
        let told = move |task: &Task| -> Result<TaskProgress, ApiError> {
            Ok(TaskProgress::of(&engine, task, &live, &Scores::of(task, &*reader)?))
        };
        return Ok(Json(super::read::side(&server, task, told).await??).into_response());
    }
    sse::last_event_id(&headers)?;
    let permit = server.streams().open(&who.name)?;
    let own = server.clone();
    let source = blocking(move || followed(&own, task)).await?;
    Ok(sse::respond(server, permit, source))
}

/// A task as a source of its progress. Blocks.
pub(crate) fn followed(server: &Server, task: TaskId) -> Result<Followed, ApiError> {
    let engine = server.engine().clone();
    // First the place, then the task: what comes between is told once more, and changes nothing.
    let position = engine.position();
    let reader = engine.reader();
    let read = query::task(&*reader, task, AsOf::Now).map_err(store)?;
    let task = read.ok_or_else(|| ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {task}")))?;
    let scores = Scores::of(&task, &*reader)?;
    let feed = engine.feed_of(task.id, position);
    Ok(Followed { engine, feed, task, scores, told: None, next_at: Instant::now(), over: false })
}

impl TaskProgress {
    fn of(engine: &Engine, task: &Task, live: &[Telemetry], scores: &Scores) -> Self {
        let (view, steps, now) = (task.view(), task.step_views(), engine.now());
        let forecast = engine.forecast(task);
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
                    progress: if matches!(step.status, StepStatus::Completed | StepStatus::Skipped) { 1.0 } else { part },
                    status: step.status,
                    message: said.and_then(|t| t.message.clone()),
                    start_time: step.started_at,
                    estimated_completion: forecast.steps.get(&step.path).copied().map(WireTime),
                    quality_score: scores.step(&step.path),
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
            estimated_completion: forecast.completion.map(WireTime),
            metrics: ProgressMetrics {
                elapsed: task.started_at().map(|from| WireDuration { ms: task.end().map_or(now, |end| end.at).since(from) }),
                remaining: forecast.completion.map(|at| WireDuration { ms: at.since(now) }),
                failed_attempts: steps.iter().map(|step| step.failures).sum(),
                retries: task.retries(),
                by_step: if steps.len() <= STEPS_TOLD_MAX { task.reported_metrics() } else { Map::new() },
            },
        }
    }

    /// The same without what changes with the clock alone: nobody is told of that by itself.
    fn at_rest(&self) -> Self {
        let mut still = self.clone();
        still.estimated_completion = None;
        (still.metrics.elapsed, still.metrics.remaining) = (None, None);
        still.step_progress.values_mut().for_each(|step| step.estimated_completion = None);
        still
    }
}

/// A task that is followed: kept as it is, and brought forward event by event.
pub(crate) struct Followed {
    engine: Engine,
    feed: Feed,
    task: Task,
    scores: Scores,
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
            self.scores.take_in(&event);
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
            let now = TaskProgress::of(&self.engine, &self.task, &live, &self.scores);
            let ended = now.status.is_final();
            let news = self.told.as_ref().is_none_or(|told| told.at_rest() != now.at_rest());
            if news && (ended || self.next_at <= Instant::now()) {
                self.next_at = Instant::now() + EVERY;
                self.over = ended;
                let data = serde_json::to_string(&now).expect("progress is plain data");
                self.told = Some(now);
                return Some(Told::new("progress", self.feed.position(), data));
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
