//! Models over HTTP: what the house says of each, which rules name it, how attempts with it went, and whether it is left alone.

use super::auth::{Caller, Principal};
use super::errors::Errors;
use super::figures::{Wanted, taken};
use super::query::Query;
use super::server::Server;
use crate::api::{ApiError, Kind};
use axum::Json;
use axum::extract::{Path, State};
use ephor_core::breaker::{BreakerOf, BreakerState, BreakerView};
use ephor_core::models::{ModelView, Models};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Models: those of the catalogue, those that rules name, those that agents have, and those attempts were made with
#[utoipa::path(get, path = "/api/v1/models", tag = "models", params(Wanted), responses((status = 200, body = Models), Errors))]
async fn list(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Models>, ApiError> {
    known(server, &who, wanted).await.map(Json)
}

/// One model
#[utoipa::path(get, path = "/api/v1/models/{id}", tag = "models",
    params(("id" = String, Path, description = "Its name; a `/` in it is written `%2F`"), Wanted),
    responses((status = 200, body = ModelView), Errors))]
async fn show(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<ModelView>, ApiError> {
    let all = known(server, &who, wanted).await?;
    let unknown = || {
        let what = format!("no model {name:?} is known here");
        ApiError::new(Kind::NotFound, "NOT_FOUND", what).then("GET /api/v1/models")
    };
    all.models.into_iter().find(|model| model.name == name).map(Json).ok_or_else(unknown)
}

/// All of them, as somebody may see them: what the house prefers is told to everybody who reads, what was done is that of their namespace.
async fn known(server: Arc<Server>, who: &Principal, wanted: Wanted) -> Result<Models, ApiError> {
    let catalogue = server.engine().policy().models.clone();
    let figures = taken(server, who, wanted).await?;
    let mut models: BTreeMap<Box<str>, ModelView> = catalogue.known();
    for seen in figures.models {
        let named = || ModelView { name: seen.name.clone(), ..ModelView::default() };
        let model = models.entry(seen.name.as_str().into()).or_insert_with(named);
        (model.agents, model.work) = (seen.agents, seen.work);
    }
    for breaker in figures.breakers.into_iter().filter(|one| one.of == BreakerOf::Model) {
        if let Some(model) = models.get_mut(breaker.name.as_str()) {
            model.breakers.push(breaker);
        }
    }
    let finished = |mut model: ModelView| {
        model.state = worst(&model.breakers);
        model
    };
    Ok(Models {
        at: figures.at,
        behind: figures.behind,
        window: figures.window,
        since: figures.since,
        namespace: figures.namespace,
        models: models.into_values().map(finished).collect(),
    })
}

/// Where the one stands that is trusted least.
fn worst(breakers: &[BreakerView]) -> BreakerState {
    let any = |state| breakers.iter().any(|one| one.state == state);
    match (any(BreakerState::Open), any(BreakerState::HalfOpen)) {
        (true, _) => BreakerState::Open,
        (false, true) => BreakerState::HalfOpen,
        (false, false) => BreakerState::Closed,
    }
}
