//! The wholesale forms, for workers that do many things at once.

use super::{Given, REPORTS_MAX, WORDS_MAX, give, require_task, traced};
use crate::api::{ApiError, Kind};
use crate::http::agents::WorkerPath;
use crate::http::auth::{Caller, Principal};
use crate::http::body::Body;
use crate::http::errors::Errors;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::local::trouble;
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ephor_core::command::Refusal;
use ephor_core::id::{AgentId, ClaimId};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::status::Status;
use ephor_core::time::WireDuration;
use ephor_core::work::{ClaimRequest, Heartbeat, HeartbeatAnswer, Report};
use ephor_engine::{Done, EngineError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long a claim waits for work that does not say, and at most.
const WAIT: WireDuration = WireDuration { ms: 30_000 };
const WAIT_MAX: WireDuration = WireDuration { ms: 60_000 };
/// How many pieces of work one claim may ask for.
const CLAIM_MAX: u32 = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    let reports = OpenApiRouter::new().routes(routes!(report)).layer(DefaultBodyLimit::max(REPORTS_MAX));
    OpenApiRouter::new().routes(routes!(claim)).routes(routes!(heartbeat)).routes(routes!(next)).merge(reports)
}

/// A wish for work.
#[derive(Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Claim {
    /// Chosen anew for each wish; the same wish repeated with it gets the same leases. Made by the server where it is missing.
    claim_id: Option<ClaimId>,
    /// How many pieces at most, up to 1,000.
    max: u32,
    /// How long to wait for the first, up to a minute; 30 s where nothing is said.
    wait: WireDuration,
    /// Whether the work counts as started with the claim.
    start: bool,
}

impl Default for Claim {
    fn default() -> Self {
        Self { claim_id: None, max: 1, wait: WAIT, start: true }
    }
}

impl Claim {
    /// As the engine takes it; what is beyond its limits is no claim.
    fn of(self, server: &Server, agent_id: AgentId) -> Result<ClaimRequest, ApiError> {
        let Self { claim_id, max, wait, start } = self;
        let mut problems = Vec::new();
        if !(1..=CLAIM_MAX).contains(&max) {
            problems.push(FieldProblem::new("max", format!("allowed are 1 to {CLAIM_MAX}")));
        }
        if wait.ms > WAIT_MAX.ms {
            problems
                .push(FieldProblem::new("wait", format!("allowed is up to {}", json!(WAIT_MAX).as_str().unwrap_or_default())));
        }
        if !problems.is_empty() {
            return Err(ApiError::invalid("the claim was refused", problems));
        }
        let claim_id = claim_id.unwrap_or_else(|| server.engine().new_claim_id());
        Ok(ClaimRequest { agent_id, claim_id, max, wait_ms: wait.ms, start })
    }
}

/// Claim work; waits for the first piece
#[utoipa::path(post, path = "/api/v1/agents/{id}/work/claim", tag = "work", params(("id" = String, Path, description = "The agent")),
    request_body = Claim, responses((status = 200, body = [Given]), Errors))]
async fn claim(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    WorkerPath(agent): WorkerPath,
    Body(wish): Body<Claim>,
) -> Result<Json<Vec<Given>>, ApiError> {
    give(&server, &who, wish.of(&server, agent)?, false).await.map(Json)
}

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Patience {
    /// How long to wait for work, up to a minute; not at all where nothing is said.
    #[param(value_type = Option<String>)]
    wait: Option<WireDuration>,
}

/// The next piece of work: what the agent holds and has not reported, else a new one
#[utoipa::path(get, path = "/api/v1/agents/{id}/work", tag = "work", params(("id" = String, Path, description = "The agent"), Patience),
    responses((status = 200, body = Given), (status = 204, description = "There is none"), Errors))]
async fn next(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    WorkerPath(agent): WorkerPath,
    method: axum::http::Method,
    Query(Patience { wait }): Query<Patience>,
) -> Result<Response, ApiError> {
    if method == axum::http::Method::HEAD {
        // Looking must not claim.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let wish = Claim { wait: wait.unwrap_or(WireDuration { ms: 0 }), ..Claim::default() };
    let given = give(&server, &who, wish.of(&server, agent)?, true).await?;
    Ok(match given.into_iter().next() {
        Some(item) => Json(item).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Signs of life.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Beats {
    /// One for each piece of work.
    beats: Vec<Heartbeat>,
}

/// Renew leases; one answer for each, in order
#[utoipa::path(post, path = "/api/v1/agents/{id}/work/heartbeat", tag = "work", params(("id" = String, Path, description = "The agent")),
    request_body = Beats, responses((status = 200, body = [HeartbeatAnswer]), Errors))]
async fn heartbeat(
    State(server): State<Arc<Server>>,
    WorkerPath(agent): WorkerPath,
    Body(Beats { beats }): Body<Beats>,
) -> Result<Json<Vec<HeartbeatAnswer>>, ApiError> {
    bounded("beats", beats.len())?;
    // A lease is the agent's own or it is stale: nothing of another namespace can be reached.
    Ok(Json(server.engine().heartbeat(agent, &beats)))
}

/// Ended attempts, and a wish for more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reports {
    /// One for each attempt that ended.
    reports: Vec<Report>,
    /// How many pieces of work to claim in the same breath.
    #[serde(default)]
    claim_next: u32,
    /// As in a claim.
    #[serde(default)]
    claim_id: Option<ClaimId>,
    /// How long to wait for them, up to a minute; not at all where nothing is said.
    #[serde(default)]
    wait: Option<WireDuration>,
}

/// What became of reports, and what comes next.
#[derive(Serialize, ToSchema)]
struct Reported {
    /// One for each report, in order.
    results: Vec<Heard>,
    /// What was claimed.
    work: Vec<Given>,
}

/// What became of a report.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Heard {
    /// It was taken in.
    Taken {
        /// Where the task is now.
        status: Status,
    },
    /// It was not.
    Refused {
        /// Why.
        error: Problem,
    },
}

impl From<Result<Done, Refusal>> for Heard {
    fn from(answer: Result<Done, Refusal>) -> Self {
        match answer {
            Ok(done) => Self::Taken { status: done.status },
            Err(refusal) => Self::Refused { error: ApiError::from(refusal).into() },
        }
    }
}

/// End attempts, and claim more; one answer for each report, in order
#[utoipa::path(post, path = "/api/v1/agents/{id}/work/report", tag = "work", params(("id" = String, Path, description = "The agent")),
    request_body = Reports, responses((status = 200, body = Reported), Errors))]
async fn report(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    WorkerPath(agent): WorkerPath,
    Body(Reports { reports, claim_next, claim_id, wait }): Body<Reports>,
) -> Result<Json<Reported>, ApiError> {
    bounded("reports", reports.len())?;
    require_tasks(&server, &who, &reports).await?;
    let engine = server.engine();
    let of_report = |mut error: ApiError| {
        error
            .problems
            .iter_mut()
            .filter(|problem| problem.field == "max")
            .for_each(|problem| problem.field = "claim_next".into());
        error
    };
    let told = |answers: Vec<Result<Done, Refusal>>| answers.into_iter().map(Heard::from).collect();
    let failed = |e: EngineError| trouble(e, None);
    if claim_next == 0 {
        let results = told(engine.report(reports, agent).await.map_err(failed)?);
        return Ok(Json(Reported { results, work: Vec::new() }));
    }
    let wait = wait.unwrap_or(WireDuration { ms: 0 });
    let wish = Claim { claim_id, max: claim_next, wait, start: true }.of(&server, agent).map_err(of_report)?;
    if wish.wait_ms == 0 {
        let (answers, items) = engine.report_and_claim(reports, wish).await.map_err(failed)?;
        return Ok(Json(Reported {
            results: told(answers),
            work: traced(&server, items).into_iter().map(Given::from).collect(),
        }));
    }
    let results = told(engine.report(reports, agent).await.map_err(failed)?);
    Ok(Json(Reported { results, work: give(&server, &who, wish, false).await? }))
}

/// A no where one of the reports is about a task the caller does not reach.
async fn require_tasks(server: &Server, who: &Principal, reports: &[Report]) -> Result<(), ApiError> {
    if who.namespace.is_some() {
        for report in reports {
            require_task(server, who, report.task_id, &report.work).await?;
        }
    }
    Ok(())
}

fn bounded(field: &str, count: usize) -> Result<(), ApiError> {
    if count <= WORDS_MAX {
        return Ok(());
    }
    let problem = FieldProblem::new(field, format!("at most {WORDS_MAX} at once"));
    Err(ApiError { kind: Kind::Invalid, ..ApiError::invalid("the request was refused", vec![problem]) })
}
