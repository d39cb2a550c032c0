//! The statuses of a task and the map of legal moves, as data of the rules.

use super::errors::Errors;
use super::server::Server;
use axum::Json;
use ephor_core::status::Status;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(lifecycle))
}

/// One status and what may follow it.
#[derive(Serialize, ToSchema)]
struct Stage {
    /// The status.
    status: Status,
    /// Whether it is an end.
    #[serde(rename = "final")]
    is_final: bool,
    /// What may follow.
    may_become: &'static [Status],
}

/// The statuses of a task, and what may follow which
#[utoipa::path(get, path = "/api/v1/lifecycle", tag = "tasks", responses((status = 200, body = Vec<Stage>), Errors))]
async fn lifecycle() -> Json<Vec<Stage>> {
    let stage = |status: Status| Stage { status, is_final: status.is_final(), may_become: status.successors() };
    Json(Status::ALL.into_iter().map(stage).collect())
}
