//! The forms for one piece of work at a time, named by its id: all a shell script needs.

use super::REPORT_MAX;
use super::speaker::WorkPath;
use crate::api::{ApiError, Kind};
use crate::http::body::Body;
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::local::trouble;
use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use ephor_core::event::Actor;
use ephor_core::id::EffectId;
use ephor_core::time::WireDuration;
use ephor_core::work::{
    EffectGrant, EffectOutcome, EffectRequest, Heartbeat, HeartbeatAnswer, Outcome, Report, ReportAnswer, Then,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    let report = OpenApiRouter::new().routes(routes!(report)).layer(DefaultBodyLimit::max(REPORT_MAX));
    OpenApiRouter::new().routes(routes!(heartbeat)).routes(routes!(effect)).routes(routes!(outcome)).merge(report)
}

/// A sign of life.
#[derive(Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Beat {
    /// Who speaks, by id or by its own name. An agent's key says it already.
    agent_id: Option<String>,
    /// The fencing token of the claim; whoever holds the lease may leave it out.
    attempt: Option<u32>,
    /// How far it is, from 0 to 1.
    progress: Option<f64>,
    /// What it is doing, in a few words.
    message: Option<String>,
}

/// Renew a lease
#[utoipa::path(post, path = "/api/v1/work/{wid}/heartbeat", tag = "work",
    params(("wid" = String, Path, description = "The work: `<task>:<work>`")), request_body = Beat,
    responses((status = 200, body = HeartbeatAnswer), Errors))]
async fn heartbeat(
    State(server): State<Arc<Server>>,
    path: WorkPath,
    Body(Beat { agent_id, attempt, progress, message }): Body<Beat>,
) -> Result<Json<HeartbeatAnswer>, ApiError> {
    let (agent, attempt) = match path.speaker(&server, agent_id.as_deref(), attempt) {
        Ok(speaks) => speaks,
        // Who says which agent it is and holds nothing here any more is told to stop, not that it asked wrongly.
        Err(error) if &*error.code == "STALE_ATTEMPT" => {
            return Ok(Json(HeartbeatAnswer { then: Then::Stale, guidance: Vec::new() }));
        }
        Err(error) => return Err(error),
    };
    let beat = Heartbeat { task_id: path.task, work: path.work, attempt, progress, message };
    let answer = server.engine().heartbeat(agent, &[beat]).pop();
    Ok(Json(answer.unwrap_or(HeartbeatAnswer { then: Then::Stale, guidance: Vec::new() })))
}

/// The end of an attempt.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct End {
    /// Who speaks, by id or by its own name. An agent's key says it already.
    #[serde(default)]
    agent_id: Option<String>,
    /// The fencing token of the claim; whoever holds the lease may leave it out.
    #[serde(default)]
    attempt: Option<u32>,
    /// How it ended.
    outcome: Outcome,
}

/// End an attempt
#[utoipa::path(post, path = "/api/v1/work/{wid}/report", tag = "work",
    params(("wid" = String, Path, description = "The work: `<task>:<work>`")), request_body = End,
    responses((status = 200, body = ReportAnswer), Errors))]
async fn report(
    State(server): State<Arc<Server>>,
    path: WorkPath,
    Body(End { agent_id, attempt, outcome }): Body<End>,
) -> Result<Json<ReportAnswer>, ApiError> {
    let (agent, attempt) = path.speaker(&server, agent_id.as_deref(), attempt)?;
    let task = path.task;
    let report = Report { task_id: task, work: path.work, attempt, outcome };
    let answers = server.engine().report(vec![report], agent).await.map_err(|e| trouble(e, Some(task)))?;
    let answer = answers.into_iter().next();
    let done = answer.ok_or_else(|| ApiError::new(Kind::Failed, "INTERNAL", "a report was not answered"))?;
    let done = done.map_err(|refusal| ApiError::refused(refusal, task))?;
    Ok(Json(ReportAnswer { status: done.status }))
}

/// The wish to act on the outside.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Act {
    /// Who speaks, by id or by its own name. An agent's key says it already.
    #[serde(default)]
    agent_id: Option<String>,
    /// The fencing token of the claim; whoever holds the lease may leave it out.
    #[serde(default)]
    attempt: Option<u32>,
    /// What will be done.
    action: String,
    /// SHA-256, in hexadecimal, of the arguments it will be done with.
    args_digest: String,
}

/// The right to act once.
#[derive(Serialize, ToSchema)]
struct Granted {
    /// The same as `effect_id`.
    token: EffectId,
    /// How long the grant lasts.
    expires_in: WireDuration,
    #[serde(flatten)]
    grant: EffectGrant,
}

impl From<EffectGrant> for Granted {
    fn from(grant: EffectGrant) -> Self {
        Self { token: grant.effect_id, expires_in: WireDuration { ms: grant.expires_in_ms }, grant }
    }
}

/// Ask for the right to act on the outside, once
#[utoipa::path(post, path = "/api/v1/work/{wid}/effects", tag = "work",
    params(("wid" = String, Path, description = "The work: `<task>:<work>`")), request_body = Act,
    responses((status = 201, body = Granted), Errors))]
async fn effect(
    State(server): State<Arc<Server>>,
    path: WorkPath,
    Body(Act { agent_id, attempt, action, args_digest }): Body<Act>,
) -> Result<(StatusCode, Json<Granted>), ApiError> {
    let (agent, attempt) = path.speaker(&server, agent_id.as_deref(), attempt)?;
    let task = path.task;
    let wish = EffectRequest { task_id: task, work: path.work, attempt, action, args_digest };
    let grant = server.engine().effect(wish, agent).await.map_err(|e| trouble(e, Some(task)))?;
    Ok((StatusCode::CREATED, Json(grant.into())))
}

/// What became of an effect.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Came {
    /// Who speaks, by id or by its own name. An agent's key says it already.
    #[serde(default)]
    agent_id: Option<String>,
    /// The fencing token of the claim; whoever holds the lease may leave it out.
    #[serde(default)]
    attempt: Option<u32>,
    /// Whether it happened.
    outcome: EffectOutcome,
}

/// Say what became of an effect
///
/// Whoever holds the work says it: of an effect of this attempt, and of one that an earlier attempt left unknown.
#[utoipa::path(post, path = "/api/v1/work/{wid}/effects/{eid}/outcome", tag = "work",
    params(("wid" = String, Path, description = "The work: `<task>:<work>`"), ("eid" = EffectId, Path, description = "The effect")),
    request_body = Came, responses((status = 200, body = ReportAnswer), Errors))]
async fn outcome(
    State(server): State<Arc<Server>>,
    path: WorkPath,
    Path(names): Path<HashMap<String, String>>,
    Body(Came { agent_id, attempt, outcome }): Body<Came>,
) -> Result<Json<ReportAnswer>, ApiError> {
    let name = names.get("eid").map(String::as_str).unwrap_or_default();
    let unknown = |_| ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no effect {name:?}"));
    let effect: EffectId = name.parse().map_err(unknown)?;
    let (agent, attempt) = path.speaker(&server, agent_id.as_deref(), attempt)?;
    let (task, holder) = (path.task, Some((path.work, attempt)));
    let settled = server.engine().settle_effect(task, effect, holder, outcome, Actor::agent(agent)).await;
    Ok(Json(ReportAnswer { status: settled.map_err(|e| trouble(e, Some(task)))?.status }))
}
