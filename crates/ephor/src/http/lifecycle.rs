//! The statuses of a task, the map of legal moves and how long each waits, as data of the rules.

use super::errors::Errors;
use super::server::Server;
use axum::Json;
use axum::extract::State;
use ephor_core::lifecycle::{self, Stage};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(lifecycle))
}

/// The statuses of a task, what may follow which, and how long each waits for what
#[utoipa::path(get, path = "/api/v1/lifecycle", tag = "tasks", responses((status = 200, body = Vec<Stage>), Errors))]
async fn lifecycle(State(server): State<Arc<Server>>) -> Json<Vec<Stage>> {
    Json(lifecycle::lifecycle(&server.engine().policy()))
}
