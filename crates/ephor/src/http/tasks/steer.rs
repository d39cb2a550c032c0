//! What people ask of a task: a route for each verb. The body is the verb's own fields; the answer is where the task is then.

use super::TaskPath;
use super::flat::{Flat, Words};
use super::read::Stamped;
use super::terms::Terms;
use crate::api::{Api, ApiError};
use crate::http::auth::{Caller, Permission, Principal};
use crate::http::body::{Body, is_json, read_free};
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::local::trouble;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use ephor_core::ask::{Ask, Modification};
use ephor_core::command::Refusal;
use ephor_core::event::OverrideWord;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::spec::ExecutionMode;
use ephor_core::view::TaskView;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(modify))
        .routes(routes!(reassign))
        .routes(routes!(guide))
        .routes(routes!(signal))
        .routes(routes!(retry))
        .routes(routes!(archive))
        .routes(routes!(delete))
        .routes(routes!(note))
}

/// Does what is asked of a task, under the terms given, and shows it.
pub(crate) async fn carry_out(
    server: &Server,
    who: &Principal,
    task: TaskId,
    ask: Ask,
    terms: &Terms,
) -> Result<Stamped, ApiError> {
    let actor = who.actor();
    let mode = match &ask {
        Ask::ReplacePlan { .. } => server.api(who).task(task).await?.execution_mode,
        _ => Default::default(),
    };
    let under = terms.of(who, task, &ask);
    let command = ask.command(&actor, mode).map_err(|problems| ApiError::from(Refusal::Invalid(problems)))?;
    let done = server.engine().command_under(task, command, actor, under).await;
    done.map_err(|e| trouble(e, Some(task)))?;
    server.api(who).task(task).await.map(Stamped)
}

/// Asks several things of a task: all of them are done in one commit, or none is. Nothing to ask is fine, at the version it is meant for.
/// `route` and `body` tell one request from another where it is said again under a key.
pub(crate) async fn carry_out_all(
    server: &Server,
    who: &Principal,
    task: TaskId,
    asks: Vec<Ask>,
    terms: &Terms,
    (route, body): (&str, &impl Serialize),
) -> Result<(), ApiError> {
    if asks.is_empty() {
        return terms.hold(server, task).await;
    }
    let actor = who.actor();
    let commands = asks.into_iter().map(|ask| Ok((ask.command(&actor, ExecutionMode::default())?, actor.clone())));
    let commands: Result<Vec<_>, _> = commands.collect();
    let commands = commands.map_err(|problems| ApiError::from(Refusal::Invalid(problems)))?;
    let under = ephor_engine::Terms { version: terms.version, idempotency: terms.idempotency(who, route, body) };
    server.engine().commands_under(task, commands, under).await.map(drop).map_err(|e| trouble(e, Some(task)))
}

/// A hold.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pause {
    /// Why.
    pub(super) reason: String,
    /// Whether running attempts are told to stop; else they may finish.
    pub(super) stop_running: bool,
}

/// Hold a task
#[utoipa::path(post, path = "/api/v1/tasks/{id}/pause", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Pause, responses((status = 200, body = TaskView), Errors))]
async fn pause(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Pause { reason, stop_running }): Body<Pause>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Pause { reason, stop_running }, &terms).await
}

/// Why it goes on.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct GoOn {
    /// Why.
    reason: String,
}

/// Nothing more needs to be said.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Nothing {
    /// Why, for the caller's own log; the event does not keep it.
    pub(super) reason: Option<String>,
}

/// Go on: from a hold, a stall, or what an agent reported in the way
#[utoipa::path(post, path = "/api/v1/tasks/{id}/resume", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = GoOn, responses((status = 200, body = TaskView), Errors))]
async fn resume(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(GoOn { reason }): Body<GoOn>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Resume { reason }, &terms).await
}

/// An end without success.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    /// Why.
    pub(super) reason: String,
    /// Without waiting for agents.
    #[serde(default)]
    pub(super) force: bool,
}

/// End a task without success; agents at work are told first
#[utoipa::path(post, path = "/api/v1/tasks/{id}/cancel", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Cancel, responses((status = 200, body = TaskView), Errors))]
async fn cancel(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Cancel { reason, force }): Body<Cancel>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Cancel { reason, force }, &terms).await
}

/// Change what was submitted; what is left out stays
///
/// The fields of `changes` may also stand beside the others.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/modify", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Modification, responses((status = 200, body = TaskView), Errors))]
async fn modify(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Flat(modification): Flat<Modification>,
) -> Result<Stamped, ApiError> {
    if modification.budget.is_some() {
        // What may be spent is a decision.
        who.require(Permission::Decide)?;
    }
    carry_out(&server, &who, task, Ask::Modify(Box::new(modification)), &terms).await
}

impl Words for Modification {
    const CHANGES: bool = true;
}

impl Words for Reassign {
    const CHANGES: bool = false;
}

/// Another agent.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Reassign {
    /// The only one who gets its work, by its id or its own name; anybody where it is missing.
    agent: Option<AgentId>,
    /// Why.
    reason: String,
}

/// Take its work from the agents it is with, was with or is kept for, and offer it to another or to anybody
#[utoipa::path(post, path = "/api/v1/tasks/{id}/reassign", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Reassign, responses((status = 200, body = TaskView), Errors))]
async fn reassign(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Flat(Reassign { agent, reason }): Flat<Reassign>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Reassign { agent, reason }, &terms).await
}

/// Words for whoever works on a task.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// What.
    pub(super) text: String,
}

/// Tell its agents what to keep in mind
#[utoipa::path(post, path = "/api/v1/tasks/{id}/guide", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Said, responses((status = 200, body = TaskView), Errors))]
async fn guide(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Said { text }): Body<Said>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Guide { text }, &terms).await
}

/// Tell a waiting step what happened outside
///
/// Any JSON; it becomes the output of the step that waits for this name, now or later.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/signals/{name}", tag = "steering",
    params(("id" = String, Path, description = "The task"), ("name" = String, Path, description = "What happened")),
    request_body = Value, responses((status = 200, body = TaskView), Errors))]
async fn signal(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    Path((_, name)): Path<(String, String)>,
    terms: Terms,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<Stamped, ApiError> {
    if !payload.is_empty() {
        is_json(&headers)?;
    }
    let payload = read_free(&payload)?;
    carry_out(&server, &who, task, Ask::Signal { name, payload }, &terms).await
}

/// Another try.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Retry {
    /// Which step, by path or name; the one that failed or is held up where it is missing.
    step: Option<String>,
    /// Why.
    reason: String,
}

/// Try a failed step again
#[utoipa::path(post, path = "/api/v1/tasks/{id}/retry", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Retry, responses((status = 200, body = TaskView), Errors))]
async fn retry(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Retry { step, reason }): Body<Retry>,
) -> Result<Stamped, ApiError> {
    let step = match step {
        Some(step) => Some(step),
        None => super::read::side(&server, task, |task| task.view().last_error.and_then(|e| e.step)).await?,
    };
    let reason = if reason.trim().is_empty() { "tried again on request".into() } else { reason };
    carry_out(&server, &who, task, Ask::Override { decision: OverrideWord::RetryStep, step, reason }, &terms).await
}

/// Take an ended task out of the live set
#[utoipa::path(post, path = "/api/v1/tasks/{id}/archive", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Nothing, responses((status = 200, body = TaskView), Errors))]
async fn archive(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(_): Body<Nothing>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Archive, &terms).await
}

/// Take an ended task out of the live set
///
/// One that has not ended is not deleted: cancel it first. What was private of it is deleted by `erase`.
#[utoipa::path(delete, path = "/api/v1/tasks/{id}", tag = "steering", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = TaskView), Errors))]
async fn delete(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Archive, &terms).await
}

/// Add a remark to an ended task
#[utoipa::path(post, path = "/api/v1/tasks/{id}/note", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Said, responses((status = 200, body = TaskView), Errors))]
async fn note(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Said { text }): Body<Said>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Note { text }, &terms).await
}
