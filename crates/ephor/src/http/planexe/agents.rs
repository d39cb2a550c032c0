//! Agents as this interface names them.

use super::{OFFSET_MAX, name_of};
use crate::api::{ApiError, Kind};
use crate::http::agents::{AgentPath, enlist, found, sees};
use crate::http::auth::Caller;
use crate::http::body::Body;
use crate::http::errors::Errors;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::http::tasks::{Terms, limit};
use crate::local::PAGE;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use ephor_core::agent::capability::Capability;
use ephor_core::agent::{Agent, AgentStatus, Registration};
use ephor_core::id::AgentId;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::time::WireTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many pieces of work an agent is shown with.
const HELD_SHOWN: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(list)).routes(routes!(show))
}

/// An agent that makes itself known. Where it leaves out role, models, resources, tier, slots or namespace, what is known of them stands,
/// wherever it was said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAgent {
    /// Its own name for itself, by which it is found again: `agent_larry_001`. The server's id where it is missing.
    #[serde(default)]
    agent_id: Option<String>,
    /// For people.
    name: String,
    /// What it is there for.
    #[serde(default)]
    role: Option<String>,
    /// What it can do: at least one.
    capabilities: Vec<Capability>,
    /// The only namespace it works for.
    #[serde(default)]
    namespace: Option<String>,
    /// The models it has; any where none is known.
    #[serde(default)]
    models: Option<Vec<Box<str>>>,
    /// What its machine has, whole numbers by name: `cpu_cores`, `memory_mb`, `gpu_memory_mb`, `network_bandwidth_mbps`, `storage_gb`.
    #[serde(default)]
    resources: Option<BTreeMap<Box<str>, u64>>,
    /// How good or dear it is, a word of the house.
    #[serde(default)]
    tier: Option<String>,
    /// How many pieces of work it holds at once at most.
    #[serde(default)]
    slots: Option<u32>,
    /// Read and not kept: how an agent reaches what it works with is its own matter.
    #[serde(default, rename = "integration_endpoints")]
    #[schema(value_type = Object)]
    _endpoints: Map<String, Value>,
}

/// An agent.
#[derive(Serialize, ToSchema)]
pub(super) struct ExecutionAgent {
    /// What it is called: its own name for itself, else its id.
    agent_id: String,
    /// Its id.
    id: AgentId,
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
    /// How many pieces of work it holds at once at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<u32>,
    /// Whether it gets work.
    status: AgentStatus,
    /// When it was last heard of; null where that was before the server started.
    last_heartbeat: Option<WireTime>,
    /// The work it holds, as `<task>:<work>`, the oldest first.
    working_on: Vec<String>,
}

impl ExecutionAgent {
    fn of(server: &Server, agent: &Agent) -> Self {
        let said = agent.registration.clone().unwrap_or_default();
        let held = server.engine().leases_of(agent.id, HELD_SHOWN);
        Self {
            agent_id: name_of(agent),
            id: agent.id,
            name: said.name,
            role: said.role,
            capabilities: said.capabilities,
            models: said.models,
            resources: said.resources,
            tier: said.tier,
            slots: said.slots,
            status: agent.status,
            last_heartbeat: server.engine().agent_seen(agent.id).map(WireTime),
            working_on: held.into_iter().map(|lease| format!("{}:{}", lease.task, lease.work)).collect(),
        }
    }
}

/// Make an agent known, or say anew what it can do
#[utoipa::path(post, path = "/api/agents", tag = "executions", request_body = NewAgent,
    responses((status = 201, body = ExecutionAgent, headers(("Location" = String))),
        (status = 200, body = ExecutionAgent, description = "It was known before"), Errors))]
async fn register(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    terms: Terms,
    Body(new): Body<NewAgent>,
) -> Result<(StatusCode, HeaderMap, Json<ExecutionAgent>), ApiError> {
    // By an id of the server's own it is known already; whatever else it says is its own name.
    let (known, external_id) = match new.agent_id {
        Some(name) if name.parse::<AgentId>().is_ok() => {
            let agent = found(&server, &who, &name)?;
            let own = agent.registration.as_ref().and_then(|said| said.external_id.clone());
            (Some(agent), own)
        }
        own => {
            let id = own.as_deref().and_then(|name| server.engine().agent_named(name));
            (id.and_then(|id| server.engine().agent_of(id)).filter(|agent| sees(&who, agent)), own)
        }
    };
    if external_id.as_ref().is_some_and(|name| name.is_empty() || name.len() > 256 || name.chars().any(char::is_control)) {
        let problem = FieldProblem::new("agent_id", "1 to 256 bytes without control characters");
        return Err(ApiError::invalid("the registration was refused", vec![problem]));
    }
    let before = known.as_ref().and_then(|agent| agent.registration.clone()).unwrap_or_default();
    let said = Registration {
        name: new.name,
        role: new.role.or(before.role),
        capabilities: new.capabilities.into_iter().map(Capability::word).collect(),
        models: new.models.unwrap_or(before.models),
        resources: new.resources.unwrap_or(before.resources),
        tier: new.tier.or(before.tier),
        slots: new.slots.or(before.slots),
        external_id,
        namespace: new.namespace.map(Into::into).or(before.namespace),
        ..Registration::default()
    };
    let idempotency = terms.idempotency(&who, "POST /api/agents", &said);
    let (status, agent) = enlist(&server, &who, known.map(|agent| agent.id), said, idempotency).await?;
    let shown = ExecutionAgent::of(&server, &agent);
    let mut headers = HeaderMap::new();
    let location = HeaderValue::try_from(format!("/api/agents/{}", agent.id)).expect("ids are letters and digits");
    headers.insert(header::LOCATION, location);
    Ok((status, headers, Json(shown)))
}

/// Which agents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only those that can do this.
    capability: Option<String>,
    /// How many at most, from 1 to 500; 50 where it is missing.
    limit: Option<u32>,
    /// How many to leave out first, up to 10,000.
    offset: Option<u32>,
}

/// Agents, in the order they became known
#[utoipa::path(get, path = "/api/agents", tag = "executions", params(Wanted),
    responses((status = 200, body = [ExecutionAgent]), Errors))]
async fn list(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<ExecutionAgent>>, ApiError> {
    let (most, skip) = (limit(wanted.limit)?.unwrap_or(PAGE) as usize, offset(wanted.offset)? as usize);
    let able = |agent: &Arc<Agent>| {
        let said = agent.registration.as_ref();
        said.is_some_and(|said| wanted.capability.as_deref().is_none_or(|word| said.capabilities.iter().any(|c| **c == *word)))
    };
    let agents = server.engine().agents_after(None).into_iter().filter(|agent| sees(&who, agent) && able(agent));
    Ok(Json(agents.skip(skip).take(most).map(|agent| ExecutionAgent::of(&server, &agent)).collect()))
}

/// How far into a list, within what is allowed.
pub(super) fn offset(wanted: Option<u32>) -> Result<u32, ApiError> {
    match wanted.unwrap_or(0) {
        fine @ 0..=OFFSET_MAX => Ok(fine),
        _ => {
            let problem = FieldProblem::new("offset", format!("allowed are 0 to {OFFSET_MAX}; narrow the list instead"));
            Err(ApiError { kind: Kind::Invalid, ..ApiError::invalid("the query was refused", vec![problem]) })
        }
    }
}

/// One agent: what it can do, whether it gets work, when it was last heard of
#[utoipa::path(get, path = "/api/agents/{id}", tag = "executions",
    params(("id" = String, Path, description = "The agent, by its own name or its id")),
    responses((status = 200, body = ExecutionAgent), Errors))]
async fn show(State(server): State<Arc<Server>>, AgentPath(agent): AgentPath) -> Json<ExecutionAgent> {
    Json(ExecutionAgent::of(&server, &agent))
}
