//! Circuit breakers: who and what is left alone, and trusting it again.

use super::agents::found;
use super::auth::Caller;
use super::body::Body;
use super::errors::Errors;
use super::server::Server;
use crate::api::{ApiError, Kind};
use crate::local::trouble;
use axum::Json;
use axum::extract::State;
use ephor_core::breaker::{BreakerOf, BreakerView};
use ephor_core::namespace::DEFAULT_NAMESPACE;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(reset))
}

/// Breakers that are open or half-open: agents first, then tools and models
///
/// Who and what is not in the list is trusted.
#[utoipa::path(get, path = "/api/v1/breakers", tag = "agents", responses((status = 200, body = [BreakerView]), Errors))]
async fn list(State(server): State<Arc<Server>>, Caller(who): Caller) -> Json<Vec<BreakerView>> {
    let all = server.engine().breakers().into_iter();
    // An agent that is nothing more is told of itself, and of the tools and models it works with.
    let alone = who.agent_alone().map(|own| own.to_string());
    let own = |one: &BreakerView| one.of != BreakerOf::Agent || alone.as_ref().is_none_or(|own| *own == one.name);
    let here = |one: &BreakerView| one.namespace.as_deref().map_or(who.namespace.is_none(), |of| who.sees(of));
    Json(all.filter(|one| own(one) && here(one)).collect())
}

/// Which breaker.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// `agent`, `tool` or `model`.
    of: BreakerOf,
    /// Which one: an agent by its id or its own name, a tool by its words, a model by its name.
    name: String,
    /// Where, for a tool or a model; `default` where it is missing.
    #[serde(default)]
    namespace: Option<String>,
}

/// Trust an agent, a tool or a model again, whatever it did; answers with the breakers that are left
#[utoipa::path(post, path = "/api/v1/breakers/reset", tag = "agents", request_body = Which,
    responses((status = 200, body = [BreakerView]), Errors))]
async fn reset(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Body(mut which): Body<Which>,
) -> Result<Json<Vec<BreakerView>>, ApiError> {
    let who = &caller.0;
    match which.of {
        BreakerOf::Agent => {
            let agent = found(&server, who, &which.name)?;
            server.engine().reset_agent(agent.id, who.actor()).await.map_err(|e| trouble(e, None))?;
        }
        BreakerOf::Tool | BreakerOf::Model => {
            who.narrow(&mut which.namespace)?;
            let namespace = which.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
            let asked = server.engine().reset_tool(which.of, &which.name, namespace, who.actor());
            if !asked.await.map_err(|e| trouble(e, None))? {
                let what = format!("no breaker of {:?} is open in {namespace}", which.name);
                return Err(ApiError::new(Kind::NotFound, "NOT_FOUND", what).then("GET /api/v1/breakers"));
            }
        }
    }
    Ok(list(State(server), caller).await)
}
