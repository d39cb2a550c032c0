//! Looking at agents.

use super::path::{AgentPath, sees};
use crate::api::ApiError;
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::query::Query;
use crate::http::server::Server;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use ephor_core::agent::{Agent, AgentStatus};
use ephor_core::breaker::BreakerState;
use ephor_core::flow::{HoldView, Standing};
use ephor_core::id::{AgentId, TaskId};
use ephor_core::liveness::Liveness;
use ephor_core::time::{Time, WireTime};
use ephor_core::work::WorkKey;
use ephor_engine::LeaseView;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many agents a page shows where nothing is said, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 500;
/// How many of its leases an agent is shown with.
const LEASES_SHOWN: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// An agent.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentView {
    /// Its id.
    id: AgentId,
    /// Its own name for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// For people.
    name: String,
    /// What it is there for.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// What it can do, sorted.
    capabilities: Vec<Box<str>>,
    /// The models it has; any where none is named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<Box<str>>,
    /// What its machine has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    resources: BTreeMap<Box<str>, u64>,
    /// How good or dear it is, a word of the house.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    /// How many pieces of work it may hold at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<u32>,
    /// Where it can be watched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    monitoring_endpoints: Vec<String>,
    /// Whether it is trusted with work.
    breaker: BreakerState,
    /// How many attempts went well since the server started.
    succeeded: u64,
    /// How many failed.
    failed: u64,
    /// How much of its latest work failed, from 0 to 1.
    lately_failed: f64,
    /// The only namespace it works for.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<Box<str>>,
    /// Whether it gets work.
    status: AgentStatus,
    /// The hold over what it does; missing where none stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldView>,
    /// Whether it lives in the engine's own process.
    in_process: bool,
    /// When it became known.
    registered_at: WireTime,
    /// When it was last heard of; missing where that was before the server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_at: Option<WireTime>,
    /// How it looks: as the worst of what it holds, or as one that waits; missing where nothing was heard of it since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    liveness: Option<Liveness>,
    /// How many pieces of work it has to do well before it gets as much as others again; missing where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    probation: Option<u32>,
    /// The steps it has now, the oldest first: of its leases those on steps.
    assigned_steps: Vec<AssignedStep>,
    /// What it holds, the oldest first.
    leases: Vec<HeldView>,
}

/// A step an agent has.
#[derive(Serialize, ToSchema)]
struct AssignedStep {
    /// Of which task.
    task_id: TaskId,
    /// Its path.
    step: Box<str>,
    /// In which attempt.
    attempt: u32,
}

/// Work an agent holds.
#[derive(Serialize, ToSchema)]
struct HeldView {
    /// What it is named by in paths: `<task>:<work>`.
    id: String,
    /// The task.
    task_id: TaskId,
    /// Which work of it.
    work: WorkKey,
    /// Which attempt.
    attempt: u32,
    /// How long the lease lasts without a sign of life, in milliseconds.
    lease_ms: u64,
    /// How far it is, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    /// What it is doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// How long ago its last sign of life was, in milliseconds.
    silent_ms: u64,
    /// How it looks from there.
    liveness: Liveness,
}

impl AgentView {
    /// An agent with what it holds.
    pub(super) fn of(server: &Server, agent: &Agent) -> Self {
        let said = agent.registration.clone().unwrap_or_default();
        let record = server.engine().record(agent.id);
        let leases = server.engine().leases_of(agent.id, LEASES_SHOWN);
        let step = |lease: &LeaseView| match &lease.work {
            WorkKey::Step(step) => Some(AssignedStep { task_id: lease.task, step: step.clone(), attempt: lease.attempt }),
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis | WorkKey::Undo(_) => None,
        };
        let assigned_steps = leases.iter().filter_map(step).collect();
        let held = leases.into_iter().map(|lease| HeldView {
            id: format!("{}:{}", lease.task, lease.work),
            task_id: lease.task,
            work: lease.work,
            attempt: lease.attempt,
            lease_ms: lease.lease_ms,
            progress: lease.progress,
            message: lease.message,
            silent_ms: lease.silent_ms,
            liveness: lease.liveness,
        });
        Self {
            id: agent.id,
            external_id: said.external_id,
            name: said.name,
            role: said.role,
            capabilities: said.capabilities,
            models: said.models,
            resources: said.resources,
            tier: said.tier,
            slots: said.slots,
            monitoring_endpoints: said.monitoring_endpoints,
            breaker: agent.breaker.state(server.engine().now()),
            succeeded: record.succeeded,
            failed: record.failed,
            lately_failed: f64::from(record.lately_failed) / 1_000.0,
            namespace: said.namespace,
            status: agent.status,
            hold: server.engine().flow().over_agent(agent.id).map(Standing::view),
            in_process: said.in_process,
            registered_at: WireTime(made_at(agent.id)),
            last_seen_at: server.engine().agent_seen(agent.id).map(WireTime),
            liveness: server.engine().liveness(agent.id),
            probation: server.engine().probation(agent.id),
            assigned_steps,
            leases: held.collect(),
        }
    }
}

/// An id says when it was made.
fn made_at(id: AgentId) -> Time {
    Time(i64::try_from(id.bits() >> 80).expect("48 bits fit"))
}

/// Which agents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only those that can do this.
    capability: Option<String>,
    /// Only of this namespace.
    namespace: Option<String>,
    /// How many at most, up to 500.
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<AgentId>,
}

/// Agents, in the order they became known
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", params(Wanted), responses((status = 200, body = [AgentView]), Errors))]
async fn list(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Query(mut wanted): Query<Wanted>,
) -> Result<(HeaderMap, Json<Vec<AgentView>>), ApiError> {
    who.narrow(&mut wanted.namespace)?;
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let fits = |agent: &Arc<Agent>| {
        let Some(said) = &agent.registration else { return false };
        sees(&who, agent)
            && wanted.namespace.as_deref().is_none_or(|name| said.namespace.as_deref() == Some(name))
            && wanted.capability.as_deref().is_none_or(|word| said.capabilities.iter().any(|c| **c == *word))
    };
    let mut found = server.engine().agents_after(wanted.cursor).into_iter().filter(fits);
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let mut headers = HeaderMap::new();
    if let Some(last) = page.last().filter(|_| found.next().is_some()) {
        let said = |name: &str, value: Option<&str>| value.map(|v| format!("&{name}={v}")).unwrap_or_default();
        let (capability, namespace) =
            (said("capability", wanted.capability.as_deref()), said("namespace", wanted.namespace.as_deref()));
        let next = format!("</api/v1/agents?cursor={}&limit={limit}{capability}{namespace}>; rel=\"next\"", last.id);
        headers.extend(HeaderValue::try_from(next).ok().map(|link| (header::LINK, link)));
    }
    Ok((headers, Json(page.iter().map(|agent| AgentView::of(&server, agent)).collect())))
}

/// One agent
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "agents",
    params(("id" = String, Path, description = "The agent, by its id or its own name")), responses((status = 200, body = AgentView), Errors))]
async fn show(State(server): State<Arc<Server>>, AgentPath(agent): AgentPath) -> Json<AgentView> {
    Json(AgentView::of(&server, &agent))
}
