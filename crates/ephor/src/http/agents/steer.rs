//! Registering, and looking after agents: a route for each verb.

use super::bounds::bounded;
use super::path::{AgentPath, may_speak_as, sees};
use super::view::AgentView;
use crate::api::{ApiError, Kind};
use crate::http::auth::{Caller, Permission, Principal};
use crate::http::body::Body;
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::http::tasks::Terms;
use crate::local::trouble;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use ephor_core::agent::{Agent, AgentCommand, Registration};
use ephor_core::id::AgentId;
use ephor_core::key::{MadeKey, NewKey, Role};
use ephor_core::plan::{Problem as FieldProblem, is_word};
use ephor_core::time::WireDuration;
use ephor_engine::Idempotency;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The capability of those who vote.
const JUDGE: &str = "judge";

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(remove))
        .routes(routes!(drain))
        .routes(routes!(resume))
        .routes(routes!(revoke))
        .routes(routes!(make_key))
}

/// Make an agent known, or say anew what it can do; an agent with an `external_id` is found again by it
///
/// With a key of its own an agent may say less than is known of it, never more: other capabilities, models, more resources, another
/// number of slots and another name of its own are for whoever looks after agents. Where it leaves models, resources and slots out, they
/// stay as they are.
#[utoipa::path(post, path = "/api/v1/agents", tag = "agents", request_body = Registration,
    responses((status = 201, body = AgentView), (status = 200, body = AgentView, description = "It was known before"), Errors))]
async fn register(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    terms: Terms,
    Body(said): Body<Registration>,
) -> Result<(StatusCode, HeaderMap, Json<AgentView>), ApiError> {
    let idempotency = terms.idempotency(&who, "POST /agents", &said);
    let (status, agent) = enlist(&server, &who, None, said, idempotency).await?;
    let mut headers = HeaderMap::new();
    let location = format!("/api/v1/agents/{}", agent.id);
    headers.insert(header::LOCATION, HeaderValue::try_from(location).expect("ids are letters and digits"));
    Ok((status, headers, Json(AgentView::of(&server, &agent))))
}

/// Registers an agent: as one that is known where an id or its own name says so. Answers whether it is new.
pub(crate) async fn enlist(
    server: &Server,
    who: &Principal,
    id: Option<AgentId>,
    said: Registration,
    idempotency: Option<Idempotency>,
) -> Result<(StatusCode, Arc<Agent>), ApiError> {
    let (known, said) = admitted(server, who, id, said)?;
    let registered = server.engine().register_under(known, said, who.actor(), idempotency).await;
    let id = registered.map_err(|e| trouble(e, None))?;
    let agent = server.engine().agent_of(id).ok_or_else(|| ApiError::new(Kind::Failed, "INTERNAL", "the agent is gone"))?;
    Ok((if known.is_some() { StatusCode::OK } else { StatusCode::CREATED }, agent))
}

/// Which known agent it is, if it is one, and what it may say of itself.
fn admitted(
    server: &Server,
    who: &Principal,
    id: Option<AgentId>,
    mut said: Registration,
) -> Result<(Option<AgentId>, Registration), ApiError> {
    if said.in_process {
        let problem = FieldProblem::new("in_process", "only agents inside of the engine's process are");
        return Err(ApiError::invalid("the registration was refused", vec![problem]));
    }
    let mut namespace = said.namespace.take().map(Into::into);
    who.narrow(&mut namespace)?;
    said.namespace = namespace.map(Into::into);
    let named = said.external_id.as_deref().and_then(|name| server.engine().agent_named(name));
    let known = id.or(named).or(who.agent);
    if let Some(agent) = known.and_then(|id| server.engine().agent_of(id)) {
        if !sees(who, &agent) {
            return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", "an agent elsewhere goes by this external_id"));
        }
        may_speak_as(who, &agent)?;
        if said.external_id.is_none() {
            said.external_id = agent.registration.as_ref().and_then(|known| known.external_id.clone());
        }
        if let Some(known) = &agent.registration {
            said = bounded(who, known, said)?;
        }
    }
    let judges = |said: &Registration| said.capabilities.iter().any(|word| **word == *JUDGE);
    let before = known.and_then(|id| server.engine().agent_of(id)).and_then(|agent| agent.registration.clone());
    if judges(&said) && !before.is_some_and(|before| judges(&before)) && !who.may(Permission::Decide) {
        let why = format!("the capability {JUDGE} is a seat in the council, and who decides gives it");
        return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", why).then("ephor agent register … with the operator's token"));
    }
    Ok((known, said))
}

/// Asks something of an agent, and shows it as it is then.
async fn ask(
    server: &Server,
    who: &Principal,
    id: AgentId,
    command: AgentCommand,
    terms: &Terms,
) -> Result<Json<AgentView>, ApiError> {
    let idempotency = terms.idempotency(who, &format!("POST /agents/{id}/{command:?}"), &());
    server.engine().agent_under(id, command, who.actor(), idempotency).await.map_err(|e| trouble(e, None))?;
    let agent = server.engine().agent_of(id).ok_or_else(|| ApiError::new(Kind::Failed, "INTERNAL", "the agent is gone"))?;
    Ok(Json(AgentView::of(server, &agent)))
}

/// Give an agent no new work
#[utoipa::path(post, path = "/api/v1/agents/{id}/drain", tag = "agents",
    params(("id" = String, Path, description = "The agent")), responses((status = 200, body = AgentView), Errors))]
async fn drain(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    AgentPath(agent): AgentPath,
    terms: Terms,
) -> Result<Json<AgentView>, ApiError> {
    ask(&server, &who, agent.id, AgentCommand::Drain, &terms).await
}

/// Give an agent work again
#[utoipa::path(post, path = "/api/v1/agents/{id}/resume", tag = "agents",
    params(("id" = String, Path, description = "The agent")), responses((status = 200, body = AgentView), Errors))]
async fn resume(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    AgentPath(agent): AgentPath,
    terms: Terms,
) -> Result<Json<AgentView>, ApiError> {
    ask(&server, &who, agent.id, AgentCommand::Resume, &terms).await
}

/// Let an agent do nothing any more, for good
#[utoipa::path(post, path = "/api/v1/agents/{id}/revoke", tag = "agents",
    params(("id" = String, Path, description = "The agent")), responses((status = 200, body = AgentView), Errors))]
async fn revoke(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    AgentPath(agent): AgentPath,
    terms: Terms,
) -> Result<Json<AgentView>, ApiError> {
    ask(&server, &who, agent.id, AgentCommand::Revoke, &terms).await
}

/// How the key of an agent is wished for.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct AgentKey {
    /// The name of the key; the agent's own name, or else its id, where it is missing.
    name: Option<String>,
    /// How long it is worth something; for ever where it is missing.
    expires_in: Option<WireDuration>,
}

/// Make a key for an agent; it is shown this once
///
/// It speaks as this agent alone, and of tasks it reaches those the agent works on, has worked on, or is to do.
#[utoipa::path(post, path = "/api/v1/agents/{id}/keys", tag = "agents", request_body = AgentKey,
    params(("id" = String, Path, description = "The agent")), responses((status = 201, body = MadeKey), Errors))]
async fn make_key(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    AgentPath(agent): AgentPath,
    Body(said): Body<AgentKey>,
) -> Result<(StatusCode, Json<MadeKey>), ApiError> {
    let of = agent.registration.clone().unwrap_or_default();
    // What an agent calls itself may hold more than the name of a key; its id begins as no name may.
    let own = of.external_id.filter(|name| is_word(name) && !name.contains(':'));
    let name = said.name.or(own).unwrap_or_else(|| format!("of-{}", agent.id));
    let mut namespace = of.namespace.map(Into::into);
    who.narrow(&mut namespace)?;
    let wish =
        NewKey { name, roles: vec![Role::Agent], namespace, agent: Some(agent.id.to_string()), expires_in: said.expires_in };
    let made = server.keys().make(server.engine(), &wish, Some(agent.id), who.actor()).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// The same as revoke
#[utoipa::path(delete, path = "/api/v1/agents/{id}", tag = "agents",
    params(("id" = String, Path, description = "The agent")), responses((status = 200, body = AgentView), Errors))]
async fn remove(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    AgentPath(agent): AgentPath,
    terms: Terms,
) -> Result<Json<AgentView>, ApiError> {
    ask(&server, &who, agent.id, AgentCommand::Revoke, &terms).await
}
