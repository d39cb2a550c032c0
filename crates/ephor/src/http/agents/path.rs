//! The agent a path names, by its id or by its own name. What the caller may not see does not exist.

use crate::api::{ApiError, Kind};
use crate::http::auth::{Caller, Principal};
use crate::http::server::Server;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use ephor_core::agent::Agent;
use ephor_core::id::AgentId;
use std::collections::HashMap;
use std::sync::Arc;

/// The agent that `{id}` names.
pub(crate) struct AgentPath(pub(crate) Arc<Agent>);

/// The same, where the caller speaks as this agent.
pub(crate) struct WorkerPath(pub(crate) AgentId);

/// The agent somebody means, if they may see it.
pub(crate) fn found(server: &Server, who: &Principal, name: &str) -> Result<Arc<Agent>, ApiError> {
    let id = name.parse().ok().or_else(|| server.engine().agent_named(name));
    let agent = id.and_then(|id| server.engine().agent_of(id)).filter(|agent| sees(who, agent));
    agent.ok_or_else(|| {
        ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no agent {name:?}")).then("GET /api/v1/agents")
    })
}

/// Whether an agent is within what a principal reaches.
pub(crate) fn sees(who: &Principal, agent: &Agent) -> bool {
    let of = agent.registration.as_ref().and_then(|said| said.namespace.as_deref());
    let alone = who.agent_alone();
    alone.is_none_or(|own| own == agent.id) && (who.namespace.is_none() || who.namespace.as_deref() == of)
}

/// Whether a principal may speak as this agent: nobody from outside is one that lives in the engine's own process.
pub(crate) fn may_speak_as(who: &Principal, agent: &Agent) -> Result<(), ApiError> {
    who.require_agent(agent.id)?;
    match agent.registration.as_ref().is_some_and(|said| said.in_process) {
        true => Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", "this agent lives in the engine's own process")),
        false => Ok(()),
    }
}

impl FromRequestParts<Arc<Server>> for AgentPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, ApiError> {
        let Caller(who) = Caller::from_request_parts(parts, server).await?;
        let wrong = |e| ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "the path could not be read").because(e);
        let Path(names) = Path::<HashMap<String, String>>::from_request_parts(parts, server).await.map_err(wrong)?;
        found(server, &who, names.get("id").map(String::as_str).unwrap_or_default()).map(Self)
    }
}

impl FromRequestParts<Arc<Server>> for WorkerPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, ApiError> {
        let AgentPath(agent) = AgentPath::from_request_parts(parts, server).await?;
        let Caller(who) = Caller::from_request_parts(parts, server).await?;
        may_speak_as(&who, &agent).map(|()| Self(agent.id))
    }
}
