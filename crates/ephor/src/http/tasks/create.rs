//! Submitting.

use crate::api::ApiError;
use crate::http::auth::Caller;
use crate::http::body::Body;
use crate::http::problem::Problem;
use crate::http::server::Server;
use crate::local::trouble;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use ephor_core::id::TaskId;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(create))
}

/// A task that was accepted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Its id.
    id: TaskId,
    /// The same again, for those who look for it under this name.
    task_id: TaskId,
    /// Where it is.
    status: Status,
    /// How many events it has.
    version: u64,
}

/// Submit a task
#[utoipa::path(post, path = "/api/v1/tasks", tag = "tasks", request_body = Request,
    responses((status = 201, body = Accepted), (status = 400, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn create(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Body(mut request): Body<Request>,
) -> Result<(StatusCode, HeaderMap, Json<Accepted>), ApiError> {
    who.narrow(&mut request.namespace)?;
    let done = server.engine().submit(&request, who.actor(), None).await.map_err(|e| trouble(e, None))?;
    let id = done.task.expect("a submission is answered with its task");
    let mut headers = HeaderMap::new();
    let location = format!("/api/v1/tasks/{id}");
    headers.insert(header::LOCATION, HeaderValue::try_from(location).expect("ids are letters and digits"));
    Ok((StatusCode::CREATED, headers, Json(Accepted { id, task_id: id, status: done.status, version: done.version })))
}
