//! Is it there, and is it well.

use super::problem::Problem;
use super::server::Server;
use crate::api::ApiError;
use axum::Json;
use axum::extract::State;
use ephor_core::time::WireTime;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// That the process answers.
#[derive(Serialize, ToSchema)]
struct Live {
    /// `ok`.
    status: &'static str,
}

/// Whether the process answers
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Live)))]
async fn live() -> Json<Live> {
    Json(Live { status: "ok" })
}

/// How the store is set, and what waits.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// `ok`.
    status: &'static str,
    /// The position of the last event written.
    position: u64,
    /// Requests that wait for the writer.
    waiting: usize,
    /// When the clock last looked for what is due: deadlines, stalls, waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_at: Option<WireTime>,
    /// The store and its settings: `synchronous` is `FULL`, or the engine does not start.
    store: BTreeMap<&'static str, String>,
}

/// Whether it can decide and write
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = Ready), (status = 503, body = Problem)))]
async fn ready(State(server): State<Arc<Server>>) -> Result<Json<Ready>, ApiError> {
    let about = server.about().await?;
    let engine = server.engine();
    let checked_at = engine.checked_at().map(WireTime);
    Ok(Json(Ready { status: "ok", position: engine.position(), waiting: engine.waiting(), checked_at, store: about }))
}
