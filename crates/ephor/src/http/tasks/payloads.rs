//! Large values: kept beside a task, referred to by what is written about it, deleted with what else was private of it.

use super::TaskPath;
use crate::api::{ApiError, Kind};
use crate::http::body::unreadable;
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::local::{blocking, store, trouble};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The largest payload, in bytes (DESIGN §2).
const PAYLOAD_MAX: usize = 64 << 20;
/// How many are taken in at once: each is in memory as a whole.
const UPLOADS_MAX: usize = 4;
static UPLOADS: Semaphore = Semaphore::const_new(UPLOADS_MAX);

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    let large = OpenApiRouter::new().routes(routes!(keep)).layer(DefaultBodyLimit::max(PAYLOAD_MAX));
    OpenApiRouter::new().merge(large).routes(routes!(fetch))
}

/// A payload that was kept.
#[derive(Serialize, ToSchema)]
struct Kept {
    /// The reference to it, for this task alone.
    payload: String,
    /// How many bytes it has.
    size: usize,
    /// SHA-256 of its bytes, in hexadecimal.
    digest: String,
}

/// Keep a large value for a task that has not ended
///
/// Any bytes, at most 64 MiB.
#[utoipa::path(put, path = "/api/v1/tasks/{id}/payloads", tag = "tasks", params(("id" = String, Path, description = "The task")),
    request_body(content = String, content_type = "application/octet-stream"), responses((status = 201, body = Kept), Errors))]
async fn keep(
    State(server): State<Arc<Server>>,
    TaskPath(task): TaskPath,
    request: Request,
) -> Result<(StatusCode, Json<Kept>), ApiError> {
    let _permit = UPLOADS.try_acquire().map_err(|_| {
        ApiError::new(Kind::Busy, "LIMIT_REACHED", "too many payloads are being taken in")
            .because(format!("at most {UPLOADS_MAX} at once"))
    })?;
    let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(Kind::Invalid, "TOO_LARGE", "the payload is too large").because("64 MiB are allowed")
        }
        _ => unreadable(rejection),
    })?;
    let size = bytes.len();
    let hashed = bytes.clone();
    let digest = blocking(move || Ok(Sha256::digest(&hashed).iter().map(|byte| format!("{byte:02x}")).collect())).await?;
    let payload = server.engine().keep(task, bytes.into()).await.map_err(|e| trouble(e, Some(task)))?;
    Ok((StatusCode::CREATED, Json(Kept { payload, size, digest })))
}

/// A payload of a task
#[utoipa::path(get, path = "/api/v1/tasks/{id}/payloads/{payload}", tag = "tasks",
    params(("id" = String, Path, description = "The task"), ("payload" = String, Path, description = "The reference to it")),
    responses((status = 200, body = String, content_type = "application/octet-stream"), Errors))]
async fn fetch(
    State(server): State<Arc<Server>>,
    TaskPath(task): TaskPath,
    Path((_, payload)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let engine = server.engine().clone();
    let found = blocking(move || engine.payload(task, &payload).map_err(store)).await?;
    let bytes = found.ok_or_else(|| ApiError::new(Kind::NotFound, "NOT_FOUND", "the task has no such payload, or no longer"))?;
    // Whatever it is, a browser must not take it for a page.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, bytes).into_response())
}
