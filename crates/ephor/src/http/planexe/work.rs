//! What an agent that asks for work is given: the task it holds and has not reported, else a new one.

use super::look;
use super::shown::plan_id;
use super::words::Names;
use crate::api::ApiError;
use crate::http::agents::WorkerPath;
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::http::work::take;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ephor_core::status::StepStatus;
use ephor_core::task::Task;
use ephor_core::time::WireDuration;
use ephor_core::view::StepView;
use ephor_core::work::{ClaimRequest, Heartbeat, HeartbeatAnswer, Then, WorkItem, WorkKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// An hour, as `timeout_hours` counts.
const HOUR_MS: f64 = 3_600_000.0;
/// How many tasks before and after it a piece of work names.
const NEIGHBOURS: usize = 5;
/// Larger plans are given out without the names of their neighbours: each poll would have to look through all of them.
const NEIGHBOURS_STEPS_MAX: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(next))
}

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Patience {
    /// How long to wait for work, up to a minute; not at all where nothing is said.
    #[param(value_type = Option<String>)]
    wait: Option<WireDuration>,
}

/// Work for an agent.
#[derive(Serialize, ToSchema)]
struct ExecutionWork {
    /// Always true: where there is none the answer is 204.
    work_available: bool,
    /// Which execution it belongs to.
    execution_id: String,
    /// The plan that one follows.
    plan_id: String,
    /// What to do.
    next_task: NextTask,
    /// Whether the execution was paused meanwhile and the work is to stop.
    force_pause: bool,
    /// Whether the execution is being cancelled and the work is to stop.
    force_cancel: bool,
    /// How often to ask, in seconds.
    poll_interval_seconds: u32,
}

/// A task to do.
#[derive(Serialize, ToSchema)]
struct NextTask {
    /// What reports call it.
    task_id: String,
    /// The same as `/api/v1/work` names it: `<task>:<work>`.
    work_id: String,
    /// One line for people.
    title: String,
    /// More, for the agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// What to do.
    action: String,
    /// Its parameters.
    #[schema(value_type = Object)]
    params: Map<String, Value>,
    /// Which attempt it is. Reports may repeat it; a report of another attempt does not count.
    attempt: u32,
    /// How long it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_hours: Option<f64>,
    /// What happens when it fails.
    retry_policy: WorkRetries,
    /// Whether it may act on the outside; false in a dry run.
    may_act: bool,
    /// Where it stands.
    context: WorkContext,
}

/// When a failed attempt is repeated.
#[derive(Serialize, ToSchema)]
struct WorkRetries {
    /// Attempts in all.
    max_attempts: u32,
    /// The wait before the second attempt, in seconds.
    backoff_seconds: f64,
    /// What the wait grows by each time.
    multiplier: f64,
}

/// What stands around a task.
#[derive(Serialize, ToSchema)]
struct WorkContext {
    /// What the whole is for.
    plan_goal: String,
    /// The last tasks that were done, by title.
    previous_tasks: Vec<String>,
    /// The next ones, by title.
    upcoming_tasks: Vec<String>,
    /// What people said should be kept in mind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guidance: Vec<String>,
    /// For work that is no step of the plan: what it is about.
    #[serde(skip_serializing_if = "Value::is_null")]
    subject: Value,
}

/// The next task for an agent: what it holds and has not reported, else a new one
///
/// Asking is a sign of life: who asks keeps what it holds.
#[utoipa::path(get, path = "/api/agents/{id}/work", tag = "executions",
    params(("id" = String, Path, description = "The agent, by its own name or its id"), Patience),
    responses((status = 200, body = ExecutionWork),
        (status = 204, description = "There is none; `Retry-After` says when to ask again", headers(("Retry-After" = u32))), Errors))]
async fn next(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    WorkerPath(agent): WorkerPath,
    method: Method,
    Query(Patience { wait }): Query<Patience>,
) -> Result<Response, ApiError> {
    let poll = server.poll_interval_s();
    let none = || {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from(poll))]);
        (StatusCode::NO_CONTENT, headers).into_response()
    };
    if method == Method::HEAD {
        // Looking must not claim.
        return Ok(none());
    }
    let wish = ClaimRequest {
        agent_id: agent,
        claim_id: server.engine().new_claim_id(),
        max: 1,
        wait_ms: wait.map_or(0, |wait| wait.ms),
        start: true,
    };
    let Some(item) = take(&server, &who, wish, true).await?.into_iter().next() else { return Ok(none()) };
    let beat = Heartbeat { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, progress: None, message: None };
    let heard = server.engine().heartbeat(agent, &[beat]).pop();
    let work = look(&server, item.task_id, move |_, task| ExecutionWork::of(task, item, heard, poll)).await?;
    Ok(Json(work).into_response())
}

impl ExecutionWork {
    fn of(task: &Task, item: WorkItem, heard: Option<HeartbeatAnswer>, poll_interval_seconds: u32) -> Self {
        let view = task.view();
        let path = if let WorkKey::Step(path) | WorkKey::Gate(path, _) = &item.work { Some(path.clone()) } else { None };
        let stop = heard.as_ref().is_some_and(|heard| heard.then == Then::Cancel);
        let mut guidance = item.guidance;
        guidance.extend(heard.into_iter().flat_map(|heard| heard.guidance));
        guidance.dedup();
        let policy = path.as_deref().and_then(|path| task.retry_policy_of(path)).unwrap_or_default();
        let (previous_tasks, upcoming_tasks) = neighbours(task, path.as_deref());
        let plan_goal = if view.description.is_empty() { view.title.clone() } else { view.description.clone() };
        let name = match (&item.work, &path) {
            (WorkKey::Step(_), Some(path)) => Names::of(task).of_path(path),
            // What is no step of the plan is called what `/api/v1` calls it, and is reported there.
            (other, _) => other.to_string(),
        };
        Self {
            work_available: true,
            execution_id: view.external_id.clone().unwrap_or_else(|| view.id.to_string()),
            plan_id: plan_id(&view),
            next_task: NextTask {
                task_id: name,
                work_id: format!("{}:{}", item.task_id, item.work),
                title: item.title,
                description: item.description,
                action: item.action,
                params: item.params,
                attempt: item.attempt,
                timeout_hours: item.timeout_ms.map(|ms| ms as f64 / HOUR_MS),
                retry_policy: WorkRetries {
                    max_attempts: policy.max_attempts,
                    backoff_seconds: policy.initial.ms as f64 / 1_000.0,
                    multiplier: policy.multiplier,
                },
                may_act: item.may_act,
                context: WorkContext { plan_goal, previous_tasks, upcoming_tasks, guidance, subject: item.subject },
            },
            force_pause: stop && !view.cancelling,
            force_cancel: stop && view.cancelling,
            poll_interval_seconds,
        }
    }
}

/// The last tasks that are done and the next that are not, by title.
fn neighbours(task: &Task, own: Option<&str>) -> (Vec<String>, Vec<String>) {
    if task.size() > NEIGHBOURS_STEPS_MAX {
        return (Vec::new(), Vec::new());
    }
    let leaves: Vec<StepView> = task.step_views().into_iter().filter(|step| !step.is_group()).collect();
    let mut done: Vec<&StepView> = leaves.iter().filter(|step| step.status == StepStatus::Completed).collect();
    done.sort_by_key(|step| step.ended_at.map(|at| at.0));
    let previous = done.iter().rev().take(NEIGHBOURS).rev().map(|step| step.label().to_owned()).collect();
    let open = leaves.iter().filter(|step| !step.status.is_final() && Some(step.path.as_str()) != own);
    (previous, open.take(NEIGHBOURS).map(|step| step.label().to_owned()).collect())
}
