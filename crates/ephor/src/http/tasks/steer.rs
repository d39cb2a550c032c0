//! What people ask of a live task: a route for each verb.

use super::TaskPath;
use crate::api::{Api, ApiError};
use crate::http::auth::Caller;
use crate::http::body::Body;
use crate::http::problem::Problem;
use crate::http::server::Server;
use axum::Json;
use axum::extract::State;
use ephor_core::ask::Ask;
use ephor_core::view::TaskView;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(pause))
}

/// A hold.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Pause {
    /// Why.
    #[serde(default)]
    reason: String,
    /// Whether running attempts are told to stop; else they may finish.
    #[serde(default)]
    stop_running: bool,
}

/// Hold a task
#[utoipa::path(post, path = "/api/v1/tasks/{id}/pause", tag = "tasks", params(("id" = String, Path, description = "The task")),
    request_body = Pause, responses((status = 200, body = TaskView), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn pause(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    Body(Pause { reason, stop_running }): Body<Pause>,
) -> Result<Json<TaskView>, ApiError> {
    Ok(Json(server.api(&who).ask(task, Ask::Pause { reason, stop_running }).await?))
}
