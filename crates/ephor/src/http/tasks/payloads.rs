//! Large values: kept beside a task, referred to by what is written about it, deleted with what else was private of it.

use super::TaskPath;
use crate::api::{ApiError, Kind};
use crate::http::auth::{Caller, Principal};
use crate::http::body::{too_slow, unreadable};
use crate::http::errors::Errors;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::local::{blocking, store, trouble};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ephor_core::id::TaskId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many are taken in at once: each is in memory as a whole.
const UPLOADS_MAX: usize = 4;
static UPLOADS: Semaphore = Semaphore::const_new(UPLOADS_MAX);
/// How long one may take to arrive: whoever sends slowly holds one of few places.
const UPLOAD_TIME: Duration = Duration::from_secs(300);

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(keep)).routes(routes!(fetch)).routes(routes!(keep_for)).routes(routes!(fetch_of))
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

/// Whose payload it is.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// The task: its id, a unique beginning of it, its external id, or `@last`.
    #[serde(alias = "task")]
    task_id: String,
}

impl Whose {
    async fn task(&self, server: &Server, who: &Principal) -> Result<TaskId, ApiError> {
        TaskPath::of(server, who, "task_id", &self.task_id).await
    }
}

/// Keep a large value for a task that has not ended
///
/// Any bytes, at most 64 MiB unless the server is set otherwise.
#[utoipa::path(put, path = "/api/v1/tasks/{id}/payloads", tag = "tasks", params(("id" = String, Path, description = "The task")),
    request_body(content = String, content_type = "application/octet-stream"), responses((status = 201, body = Kept), Errors))]
async fn keep(
    State(server): State<Arc<Server>>,
    TaskPath(task): TaskPath,
    request: Request,
) -> Result<(StatusCode, Json<Kept>), ApiError> {
    take_in(&server, task, request).await
}

/// Keep a large value for a task that has not ended
///
/// The same as under the task itself: a payload belongs to one task, and its reference leads to it from there alone.
#[utoipa::path(put, path = "/api/v1/payloads", tag = "tasks", params(Whose),
    request_body(content = String, content_type = "application/octet-stream"), responses((status = 201, body = Kept), Errors))]
async fn keep_for(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Query(whose): Query<Whose>,
    request: Request,
) -> Result<(StatusCode, Json<Kept>), ApiError> {
    let task = whose.task(&server, &who).await?;
    take_in(&server, task, request).await
}

async fn take_in(server: &Server, task: TaskId, mut request: Request) -> Result<(StatusCode, Json<Kept>), ApiError> {
    let _permit = UPLOADS.try_acquire().map_err(|_| {
        ApiError::new(Kind::Busy, "LIMIT_REACHED", "too many payloads are being taken in")
            .because(format!("at most {UPLOADS_MAX} at once"))
    })?;
    let most = server.limits().payload_bytes;
    DefaultBodyLimit::max(most).apply(&mut request);
    let reading = tokio::time::timeout(UPLOAD_TIME, Bytes::from_request(request, &()));
    let bytes = reading.await.map_err(|_| too_slow())?.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(Kind::Invalid, "TOO_LARGE", "the payload is too large").because(format!("{most} bytes are allowed"))
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
    give(&server, task, payload).await
}

/// A payload of a task
#[utoipa::path(get, path = "/api/v1/payloads/{payload}", tag = "tasks",
    params(("payload" = String, Path, description = "The reference to it"), Whose),
    responses((status = 200, body = String, content_type = "application/octet-stream"), Errors))]
async fn fetch_of(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Query(whose): Query<Whose>,
    Path(payload): Path<String>,
) -> Result<Response, ApiError> {
    let task = whose.task(&server, &who).await?;
    give(&server, task, payload).await
}

async fn give(server: &Server, task: TaskId, payload: String) -> Result<Response, ApiError> {
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
