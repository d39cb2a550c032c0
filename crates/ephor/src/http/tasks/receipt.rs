//! The receipt of a task: one document that is checked without this server.

use super::TaskPath;
use crate::api::{Api, ApiError};
use crate::http::auth::Caller;
use crate::http::case::Verbatim;
use crate::http::errors::Errors;
use crate::http::server::Server;
use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ephor_core::receipt::Receipt;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(receipt))
}

/// Its receipt: what was planned, decided and done, with the events it follows from and the hashes that chain them
///
/// Keep the bytes as they are, whatever `case` says: `ephor audit verify FILE` checks them without a server or a database.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/receipt", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Receipt), Errors))]
async fn receipt(State(server): State<Arc<Server>>, Caller(who): Caller, TaskPath(task): TaskPath) -> Result<Response, ApiError> {
    let text = server.api(&who).receipt(task).await?;
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((Extension(Verbatim), headers, text).into_response())
}
