//! Submitting.

use super::names;
use super::path::TaskPath;
use super::steer::Nothing;
use super::terms::Terms;
use crate::api::{ApiError, Kind};
use crate::http::auth::{Caller, Principal};
use crate::http::body::{Body, received};
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::local::trouble;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use ephor_core::event::{CheckResult, Finding};
use ephor_core::id::TaskId;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_engine::Done;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(rerun))
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
    /// What was found that changes what was asked for, or has the council look at it; what passed is among the `findings` of the task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
}

/// A request in any form it may come in, and as it was said.
struct Submission(Request, Bytes);

impl FromRequest<Arc<Server>> for Submission {
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request, server: &Arc<Server>) -> Result<Self, ApiError> {
        let caller = request.extensions().get::<Caller>().cloned();
        let Caller(who) = caller.ok_or_else(|| ApiError::new(Kind::Failed, "INTERNAL", "a request came past the guard"))?;
        let (bytes, wanted) = received(request, server).await?;
        let (request, camel) = names::request(&bytes, server, &who).await?;
        if let (true, Some(wanted)) = (camel, wanted) {
            wanted.camel_unless_said();
        }
        Ok(Self(request, bytes))
    }
}

/// Submit a task
///
/// A body with `type` or `mode` is read as an older interface writes it (see docs/api.md). `agent`, `parent_task_id`, `depends_on`,
/// `retry_of` and `related_task_id` take ids or the own names of agents and tasks that are known.
#[utoipa::path(post, path = "/api/v1/tasks", tag = "tasks", request_body = Request,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key has one effect")),
    responses((status = 201, body = Accepted, headers(("Location" = String))), Errors))]
async fn create(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    terms: Terms,
    Submission(mut request, said): Submission,
) -> Result<(StatusCode, HeaderMap, Json<Accepted>), ApiError> {
    belongs(&mut request, &who)?;
    // By what was said, not by what was read from it: an older form is read with the time of day.
    let said = terms.has_key().then(|| serde_json::from_slice::<Value>(&said).unwrap_or_default());
    let idempotency = terms.idempotency(&who, "POST /tasks", &said);
    let done = server.engine().submit_told(&request, who.submitter(), idempotency).await;
    let (done, mut findings) = done.map_err(|e| trouble(e, None))?;
    findings.retain(|found| found.result != CheckResult::Passed);
    Ok(accepted(&done, findings))
}

/// Run a task again that has ended
///
/// A new task, the same as it was asked for at last, with `retry_of`. It is due now; parent, external id and recurrence stay with the one
/// that ended. Of each task there is one next run: a second one is refused with `DUPLICATE_TASK`.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/rerun", tag = "tasks", params(("id" = String, Path, description = "The task"),
    ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key has one effect")),
    request_body = Nothing, responses((status = 201, body = Accepted, headers(("Location" = String))), Errors))]
async fn rerun(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(_): Body<Nothing>,
) -> Result<(StatusCode, HeaderMap, Json<Accepted>), ApiError> {
    terms.hold(&server, task).await?;
    let idempotency = terms.idempotency(&who, "POST /tasks/rerun", &task);
    let done = server.engine().rerun(task, who.actor(), idempotency).await.map_err(|e| trouble(e, Some(task)))?;
    Ok(accepted(&done, Vec::new()))
}

fn accepted(done: &Done, findings: Vec<Finding>) -> (StatusCode, HeaderMap, Json<Accepted>) {
    let id = done.task.expect("a submission is answered with its task");
    let mut headers = HeaderMap::new();
    let location = format!("/api/v1/tasks/{id}");
    headers.insert(header::LOCATION, HeaderValue::try_from(location).expect("ids are letters and digits"));
    (StatusCode::CREATED, headers, Json(Accepted { id, task_id: id, status: done.status, version: done.version, findings }))
}

/// Where a request belongs that does not say; whoever is bound to one namespace submits to no other.
pub(crate) fn belongs(request: &mut Request, who: &Principal) -> Result<(), ApiError> {
    match (&request.namespace, &who.namespace) {
        (_, None) => Ok(()),
        (None, Some(own)) => {
            request.namespace = Some(own.to_string());
            Ok(())
        }
        (Some(said), Some(own)) if **said == **own => Ok(()),
        (Some(said), Some(own)) => {
            Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("{} may not submit to {said:?}", who.name))
                .because(format!("its namespace is {own:?}")))
        }
    }
}
