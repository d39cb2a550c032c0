//! Looking at tasks.

use super::TaskPath;
use crate::api::{Api, ApiError};
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::http::server::Server;
use axum::Json;
use axum::extract::State;
use ephor_core::view::TaskView;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// One task
#[utoipa::path(get, path = "/api/v1/tasks/{id}", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = TaskView), (status = 404, body = Problem)))]
async fn show(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
) -> Result<Json<TaskView>, ApiError> {
    Ok(Json(server.api(&who).task(task).await?))
}
