//! What agents say about their work while they do it: plain text, or lines of JSON. The last of it is kept in memory.

use super::speaker::WorkPath;
use crate::api::{ApiError, Kind};
use crate::http::body::{Patience, too_slow, unreadable};
use crate::http::errors::Errors;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::http::tasks::TaskPath;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use ephor_core::id::TaskId;
use ephor_core::time::WireTime;
use ephor_core::work::WorkKey;
use ephor_engine::WorkLog;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(say)).routes(routes!(read))
}

/// Who speaks.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Speaker {
    /// Which agent, by id or by its own name. An agent's key says it already.
    #[serde(alias = "agent_id")]
    agent: Option<String>,
    /// The fencing token of the claim; whoever holds the lease may leave it out.
    attempt: Option<u32>,
}

/// Say something about work under way: text, or a JSON object with a `message` on each line
#[utoipa::path(post, path = "/api/v1/work/{wid}/log", tag = "work",
    params(("wid" = String, Path, description = "The work: `<task>:<work>`"), Speaker),
    request_body(content((String = "text/plain"), (String = "application/x-ndjson"))),
    responses((status = 204, description = "It was heard"), Errors))]
async fn say(
    State(server): State<Arc<Server>>,
    path: WorkPath,
    Query(Speaker { agent, attempt }): Query<Speaker>,
    headers: HeaderMap,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let is_lines = is_lines(&headers)?;
    let reading = tokio::time::timeout(Patience::of(&request), Bytes::from_request(request, &server));
    let bytes = reading.await.map_err(|_| too_slow())?.map_err(unreadable)?;
    let text = String::from_utf8_lossy(&bytes);
    let said = if is_lines { Cow::Owned(text.lines().map(line).collect()) } else { text };
    let (agent, attempt) = path.speaker(&server, agent.as_deref(), attempt)?;
    server.engine().log(path.task, &path.work, attempt, agent, &said)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the body is lines of JSON.
fn is_lines(headers: &HeaderMap) -> Result<bool, ApiError> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/plain" => Ok(false),
        "application/x-ndjson" => Ok(true),
        _ => Err(ApiError::new(Kind::Invalid, "WRONG_TYPE", "the body has to be text or lines of JSON")
            .because("send Content-Type: text/plain, or application/x-ndjson")),
    }
}

/// A line as people read it: its message, where it has one.
fn line(text: &str) -> String {
    let message = match serde_json::from_str(text) {
        Ok(Value::String(message)) => Some(message),
        Ok(Value::Object(mut fields)) => match (fields.remove("message"), fields.get("level").and_then(Value::as_str)) {
            (Some(Value::String(message)), Some(level)) => Some(format!("{level}: {message}")),
            (Some(Value::String(message)), None) => Some(message),
            _ => None,
        },
        _ => None,
    };
    format!("{}\n", message.as_deref().unwrap_or(text))
}

/// What an agent said about a piece of work.
#[derive(Serialize, ToSchema)]
struct LogView {
    /// Which work.
    work: WorkKey,
    /// The step, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Which attempt said it.
    attempt: u32,
    /// The end of what it said, at most 64 KiB.
    text: String,
    /// Whether the beginning is no longer there.
    cut: bool,
    /// When it last said something.
    at: WireTime,
}

impl From<WorkLog> for LogView {
    fn from(log: WorkLog) -> Self {
        let step = if let WorkKey::Step(path) = &log.work { Some(path.to_string()) } else { None };
        Self { step, work: log.work, attempt: log.attempt, text: log.text, cut: log.cut, at: WireTime(log.at) }
    }
}

/// Which part.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Only of this step, by its path.
    step: Option<String>,
}

/// What agents say about their work on a task: the last of each piece, as long as the server remembers it
#[utoipa::path(get, path = "/api/v1/tasks/{id}/logs", tag = "tasks", params(("id" = String, Path, description = "The task"), Part),
    responses((status = 200, body = [LogView]), Errors))]
async fn read(
    State(server): State<Arc<Server>>,
    TaskPath(task): TaskPath,
    Query(Part { step }): Query<Part>,
) -> Result<Json<Vec<LogView>>, ApiError> {
    let logs = server.engine().work_logs(task);
    if logs.is_empty() {
        require(&server, task).await?;
    }
    let views = logs.into_iter().map(LogView::from);
    Ok(Json(views.filter(|log| step.is_none() || log.step == step).collect()))
}

/// A no where there is no such task.
async fn require(server: &Server, task: TaskId) -> Result<(), ApiError> {
    let reader = server.engine().reader();
    let found = crate::local::blocking(move || reader.status(task.into()).map_err(crate::local::store)).await?;
    let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {task}"));
    found.map(drop).ok_or_else(unknown)
}
