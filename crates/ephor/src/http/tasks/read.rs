//! Looking at one task: whole, or one side of it. What it was at an earlier version or time is rebuilt from its events.

use super::TaskPath;
use super::graph::GraphView;
use super::result::TaskResult;
use crate::api::{Api, ApiError};
use crate::http::agents::sees;
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::local::blocking;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use ephor_core::id::TaskId;
use ephor_core::matching::Candidate;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::quality::GateResult;
use ephor_core::status::Status;
use ephor_core::task::Task;
use ephor_core::time::WireTime;
use ephor_core::view::{EffectView, OutputView, PlanView, ReviewView, StepView, TaskView, Waiting};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(steps))
        .routes(routes!(plan))
        .routes(routes!(graph))
        .routes(routes!(outputs))
        .routes(routes!(result))
        .routes(routes!(reviews))
        .routes(routes!(effects))
        .routes(routes!(gates))
        .routes(routes!(waiting))
        .routes(routes!(candidates))
        .routes(routes!(allowed))
}

/// A task, and its version as its ETag.
pub(crate) struct Stamped(pub(crate) TaskView);

impl IntoResponse for Stamped {
    fn into_response(self) -> Response {
        let tag = HeaderValue::try_from(format!("\"{}\"", self.0.version)).expect("digits and quotes");
        ([(header::ETAG, tag)], Json(self.0)).into_response()
    }
}

/// Which moment of a task is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Moment {
    /// After so many events.
    version: Option<u64>,
    /// After everything that had happened by then.
    #[param(value_type = Option<WireTime>)]
    at: Option<WireTime>,
}

/// One task
#[utoipa::path(get, path = "/api/v1/tasks/{id}", tag = "tasks", params(("id" = String, Path, description = "The task"), Moment),
    responses((status = 200, body = TaskView, headers(("ETag" = String))), Errors))]
async fn show(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    Query(moment): Query<Moment>,
) -> Result<Stamped, ApiError> {
    match (moment.version, moment.at) {
        (None, None) => server.api(&who).task(task).await.map(Stamped),
        (version @ Some(_), None) => server.api(&who).task_as_of(task, version, None).await.map(Stamped),
        (None, at @ Some(_)) => server.api(&who).task_as_of(task, None, at).await.map(Stamped),
        (Some(_), Some(_)) => {
            let problem = FieldProblem::new("at", "and `version` both say which moment; give one of them");
            Err(ApiError::invalid("the query was refused", vec![problem]))
        }
    }
}

/// One side of a task as it is now.
pub(super) async fn side<T: Send + 'static>(
    server: &Server,
    task: TaskId,
    of: impl FnOnce(&Task) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let look = server.look().clone();
    blocking(move || look.task(task).map(|task| of(&task))).await
}

/// Its steps and groups, groups before their parts
#[utoipa::path(get, path = "/api/v1/tasks/{id}/steps", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Vec<StepView>), Errors))]
async fn steps(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
) -> Result<Json<Vec<StepView>>, ApiError> {
    server.api(&who).steps(task).await.map(Json)
}

/// The plan it follows, with order, parallel groups and critical path
#[utoipa::path(get, path = "/api/v1/tasks/{id}/plan", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = PlanView), Errors))]
async fn plan(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<PlanView>, ApiError> {
    side(&server, task, Task::plan_view).await.map(Json)
}

/// How a plan is drawn.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Drawn {
    /// Whether groups stand for what is in them.
    fold: bool,
}

/// Its plan as nodes and edges, each node with where its step is, and where all of it stands when it is drawn
#[utoipa::path(get, path = "/api/v1/tasks/{id}/graph", tag = "tasks",
    params(("id" = String, Path, description = "The task"), Drawn), responses((status = 200, body = GraphView), Errors))]
async fn graph(
    State(server): State<Arc<Server>>,
    TaskPath(task): TaskPath,
    Query(Drawn { fold }): Query<Drawn>,
) -> Result<Json<GraphView>, ApiError> {
    side(&server, task, move |task| GraphView::of(task, fold)).await.map(Json)
}

/// The results of its steps, in the order of the plan
#[utoipa::path(get, path = "/api/v1/tasks/{id}/outputs", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Vec<OutputView>), Errors))]
async fn outputs(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<Vec<OutputView>>, ApiError> {
    side(&server, task, Task::output_views).await.map(Json)
}

/// What came of it
///
/// While it has not ended, `completed` is false and the rest is what is known so far.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/result", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = TaskResult), Errors))]
async fn result(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<TaskResult>, ApiError> {
    let reader = server.engine().reader();
    let look = server.look().clone();
    blocking(move || TaskResult::of(&look.task(task)?, &*reader)).await.map(Json)
}

/// Its reviews, decided ones first
#[utoipa::path(get, path = "/api/v1/tasks/{id}/reviews", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Vec<ReviewView>), Errors))]
async fn reviews(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<Vec<ReviewView>>, ApiError> {
    side(&server, task, Task::review_views).await.map(Json)
}

/// Its effects on the outside
#[utoipa::path(get, path = "/api/v1/tasks/{id}/effects", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Vec<EffectView>), Errors))]
async fn effects(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<Vec<EffectView>>, ApiError> {
    side(&server, task, Task::effect_views).await.map(Json)
}

/// What the gates of its steps said: each judgement in order, then the gates nobody judged
#[utoipa::path(get, path = "/api/v1/tasks/{id}/gates", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Vec<GateResult>), Errors))]
async fn gates(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<Vec<GateResult>>, ApiError> {
    let reader = server.engine().reader();
    let look = server.look().clone();
    blocking(move || crate::local::gates::gates(&look.task(task)?, &*reader)).await.map(Json)
}

/// What it waits for, most pressing first
#[utoipa::path(get, path = "/api/v1/tasks/{id}/waiting", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Vec<Waiting>), Errors))]
async fn waiting(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
) -> Result<Json<Vec<Waiting>>, ApiError> {
    server.api(&who).waiting(task).await.map(Json)
}

/// Who could do what it offers: each agent beside each piece of open work, those who may have it first, the best choice before the others
#[utoipa::path(get, path = "/api/v1/tasks/{id}/candidates", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Vec<Candidate>), Errors))]
async fn candidates(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
) -> Result<Json<Vec<Candidate>>, ApiError> {
    let engine = server.engine().clone();
    let mut all = side(&server, task, move |task| engine.candidates(task)).await?;
    all.retain(|one| server.engine().agent_of(one.agent_id).is_some_and(|agent| sees(&who, &agent)));
    Ok(Json(all))
}

/// Where a task is and what may follow.
#[derive(Serialize, ToSchema)]
struct Allowed {
    /// Where it is.
    status: Status,
    /// What may follow, by what happens or is asked.
    allowed: &'static [Status],
    /// What a PATCH may ask for now.
    patch: Vec<&'static str>,
}

/// Which statuses may follow the present one
#[utoipa::path(get, path = "/api/v1/tasks/{id}/allowed-transitions", tag = "tasks",
    params(("id" = String, Path, description = "The task")), responses((status = 200, body = Allowed), Errors))]
async fn allowed(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<Allowed>, ApiError> {
    let status = side(&server, task, Task::status).await?;
    Ok(Json(Allowed { status, allowed: status.successors(), patch: super::patch::allowed(status).to_vec() }))
}
