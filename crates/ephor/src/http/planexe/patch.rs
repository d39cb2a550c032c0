//! Holding, going on, withdrawing, and handing over to another agent. Each wish becomes the command of the engine that leads there.

use super::look;
use super::shown::Execution;
use super::words::ExecutionStatus;
use crate::api::{ApiError, Kind};
use crate::http::agents::found;
use crate::http::auth::{Caller, Principal};
use crate::http::body::Body;
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::http::tasks::{TaskPath, Terms, carry_out_all};
use axum::Json;
use axum::extract::State;
use ephor_core::ask::{Ask, Modification};
use ephor_core::command::Refusal;
use ephor_core::event::TextChanges;
use ephor_core::id::TaskId;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::status::Status;
use ephor_core::time::WireTime;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(patch))
}

/// What is to become of an execution; at least one of status and agent.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExecutionPatch {
    /// PAUSED, RUNNING or CANCELLED; QUEUED releases one that is CREATED.
    #[serde(default)]
    status: Option<ExecutionStatus>,
    /// The agent that takes over, by its own name or its id: the tasks of the one before that have not ended are its own from now on.
    /// What runs goes on where it is.
    #[serde(default)]
    agent_id: Option<String>,
    /// PAUSED: whether running attempts are told to stop; else they may finish.
    #[serde(default)]
    stop_running: bool,
    /// Why.
    #[serde(default)]
    reason: Option<String>,
    /// The version of the execution this is meant for, as `If-Match` says it too.
    #[serde(default)]
    expected_version: Option<u64>,
}

/// Pause, resume, cancel or hand over an execution
///
/// Where it says both, both happen in one commit, or neither.
#[utoipa::path(patch, path = "/api/executions/{id}", tag = "executions",
    params(("id" = String, Path, description = "The execution, by the caller's own name or its id")), request_body = ExecutionPatch,
    responses((status = 200, body = Execution), Errors))]
async fn patch(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    mut terms: Terms,
    Body(patch): Body<ExecutionPatch>,
) -> Result<Json<Execution>, ApiError> {
    if patch.status.is_none() && patch.agent_id.is_none() {
        let problem = FieldProblem::new("status", "say which status is wished for, or which agent takes over");
        return Err(ApiError::invalid("the request was refused", vec![problem]));
    }
    if patch.stop_running && patch.status != Some(ExecutionStatus::Paused) {
        let problem = FieldProblem::new("stop_running", "goes with the status PAUSED alone");
        return Err(ApiError::invalid("the request was refused", vec![problem]));
    }
    terms.version = terms.version.or(patch.expected_version);
    let reason = patch.reason.clone().unwrap_or_default();
    let mut asks = Vec::new();
    if let Some(name) = &patch.agent_id {
        let agent = found(&server, &who, name)?.id;
        let changes = TextChanges { reason: reason.clone(), ..TextChanges::default() };
        asks.push(Ask::Modify(Box::new(Modification { agent: Some(agent), changes, ..Modification::default() })));
    }
    if let Some(wish) = patch.status {
        let is = look(&server, task, |_, task| task.status()).await?;
        let lead = leads_to(wish, is, &server, &who, task, reason.clone())?;
        // What was to finish is stopped after all.
        let stops = patch.stop_running && is == Status::Paused;
        let lead = lead.or_else(|| stops.then_some(Ask::Pause { reason, stop_running: true }));
        asks.extend(lead.map(|ask| match ask {
            Ask::Pause { reason, .. } => Ask::Pause { reason, stop_running: patch.stop_running },
            other => other,
        }));
    }
    carry_out_all(&server, &who, task, asks, &terms, (&format!("PATCH /executions/{task}"), &patch)).await?;
    look(&server, task, |server, task| Execution::of(server, task, true)).await.map(Json)
}

/// What leads from here to there; nothing where it is there already.
fn leads_to(
    wish: ExecutionStatus,
    is: Status,
    server: &Server,
    who: &Principal,
    task: TaskId,
    reason: String,
) -> Result<Option<Ask>, ApiError> {
    use ExecutionStatus::{Cancelled, Paused, Queued, Running};
    let release = || {
        let scheduled_at = Some(WireTime(server.engine().now()));
        Ask::Modify(Box::new(Modification { scheduled_at, ..Modification::default() }))
    };
    if is.is_final() {
        return Err(ApiError::refused(Refusal::Ended { status: is }, task));
    }
    Ok(match (wish, is) {
        (Paused, Status::Paused) | (Queued, Status::Scheduled) => None,
        (Paused, _) => Some(Ask::Pause { reason, stop_running: false }),
        (Running | Queued, Status::Pending) => Some(release()),
        (Running, Status::Paused | Status::Blocked | Status::Stalled) => Some(Ask::Resume { reason }),
        // Released: it runs from the first claim on.
        (Running, Status::Scheduled | Status::Assigned | Status::InProgress | Status::Review | Status::Retrying) => None,
        (Cancelled, _) => {
            let reason = if reason.is_empty() { format!("{} asked for it", who.name) } else { reason };
            Some(Ask::Cancel { reason, force: false })
        }
        (wish, is) => return Err(illegal(wish, is)),
    })
}

/// What a PATCH may wish for an execution whose task is there.
fn allowed(is: Status) -> &'static str {
    match is {
        Status::Pending => "QUEUED, RUNNING, PAUSED or CANCELLED",
        Status::Deliberating | Status::Escalated => "PAUSED or CANCELLED; a decision about it is owed",
        Status::Paused | Status::Blocked | Status::Stalled => "RUNNING, PAUSED or CANCELLED",
        Status::Scheduled | Status::Assigned | Status::InProgress | Status::Review | Status::Retrying => "PAUSED or CANCELLED",
        Status::Completed | Status::Failed | Status::Cancelled | Status::Stopped => "nothing",
    }
}

fn illegal(wish: ExecutionStatus, is: Status) -> ApiError {
    let from = ExecutionStatus::of(is).word();
    let may = format!("from {from} a PATCH may ask for {}", allowed(is));
    let error =
        ApiError::new(Kind::Conflict, "ILLEGAL_TRANSITION", format!("cannot move an execution from {from} to {}", wish.word()));
    ApiError { problems: vec![FieldProblem::new("status", may.clone())], ..error.because(may) }
}
