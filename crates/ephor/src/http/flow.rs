//! Holds and limits: what may be handed out now.

use super::auth::{Caller, Principal};
use super::body::Body;
use super::errors::Errors;
use super::query::Query;
use super::server::Server;
use super::tasks::Terms;
use crate::api::{ApiError, Kind};
use crate::local::flow;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use ephor_core::flow::{HoldView, LimitView, NewHold, NewLimit, NewRelease, Standing};
use ephor_core::id::HoldId;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(holds, place))
        .routes(routes!(lift))
        .routes(routes!(release))
        .routes(routes!(limits))
        .routes(routes!(set, remove))
}

/// Holds that stand, the oldest first; what is held everywhere too
#[utoipa::path(get, path = "/api/v1/holds", tag = "flow", responses((status = 200, body = [HoldView]), Errors))]
async fn holds(State(server): State<Arc<Server>>, Caller(who): Caller) -> Json<Vec<HoldView>> {
    let all = server.engine().holds().into_iter();
    // A hold over another agent is none of the business of one that is nothing more than an agent.
    let own = |hold: &HoldView| who.agent_alone().is_none_or(|own| hold.scope.agent.is_none_or(|held| held == own));
    Json(all.filter(|hold| own(hold) && is_seen(&who, hold.scope.namespace.as_deref())).collect())
}

/// Keep work back: of a namespace, of a type, of an agent, or everything
#[utoipa::path(post, path = "/api/v1/holds", tag = "flow", request_body = NewHold,
    responses((status = 201, body = HoldView), Errors))]
async fn place(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    terms: Terms,
    Body(mut wish): Body<NewHold>,
) -> Result<(StatusCode, Json<HoldView>), ApiError> {
    let idempotency = terms.idempotency(&who, "POST /holds", &wish);
    if wish.everything && who.namespace.is_some() {
        return Err(forbidden(&who, "hold everything"));
    }
    who.narrow(&mut wish.namespace)?;
    let placed = flow::place(server.engine(), wish, who.actor(), idempotency).await?;
    Ok((StatusCode::CREATED, Json(placed)))
}

/// Lift a hold: all it keeps back goes on
#[utoipa::path(delete, path = "/api/v1/holds/{id}", tag = "flow",
    params(("id" = String, Path, description = "The id of the hold")), responses((status = 200, body = HoldView), Errors))]
async fn lift(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<HoldView>, ApiError> {
    let known = reached(&server, &who, &id)?;
    flow::lift(server.engine(), known.hold.id, who.actor()).await.map(Json)
}

/// Let some of what a hold keeps back go on, at a rate
#[utoipa::path(post, path = "/api/v1/holds/{id}/release", tag = "flow", request_body = NewRelease,
    params(("id" = String, Path, description = "The id of the hold")), responses((status = 200, body = HoldView), Errors))]
async fn release(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    terms: Terms,
    Body(wish): Body<NewRelease>,
) -> Result<Json<HoldView>, ApiError> {
    let known = reached(&server, &who, &id)?;
    let idempotency = terms.idempotency(&who, &format!("POST /holds/{}/release", known.hold.id), &wish);
    flow::release(server.engine(), known.hold.id, wish, who.actor(), idempotency).await.map(Json)
}

/// Limits, and how much each counts now
#[utoipa::path(get, path = "/api/v1/limits", tag = "flow", responses((status = 200, body = [LimitView]), Errors))]
async fn limits(State(server): State<Arc<Server>>, Caller(who): Caller) -> Json<Vec<LimitView>> {
    let all = server.engine().limits();
    Json(all.into_iter().filter(|view| is_seen(&who, view.limit.namespace.as_deref())).collect())
}

/// Set a limit, or change it
#[utoipa::path(put, path = "/api/v1/limits/{name}", tag = "flow", request_body = NewLimit,
    params(("name" = String, Path, description = "The name of the limit")), responses((status = 200, body = LimitView), Errors))]
async fn set(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Body(mut wish): Body<NewLimit>,
) -> Result<Json<LimitView>, ApiError> {
    who.narrow(&mut wish.namespace)?;
    flow::set(server.engine(), &name, wish, who.actor()).await.map(Json)
}

/// Which limit of that name.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Whose {
    /// The namespace it is about; all where it is missing.
    namespace: Option<String>,
}

/// Remove a limit
#[utoipa::path(delete, path = "/api/v1/limits/{name}", tag = "flow",
    params(("name" = String, Path, description = "The name of the limit"), Whose),
    responses((status = 200, body = LimitView), Errors))]
async fn remove(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
    Query(Whose { mut namespace }): Query<Whose>,
) -> Result<Json<LimitView>, ApiError> {
    who.narrow(&mut namespace)?;
    flow::remove(server.engine(), namespace.as_deref(), &name, who.actor()).await.map(Json)
}

/// Whether what is said about a namespace, or about all, is told to a principal: it binds them.
fn is_seen(who: &Principal, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| who.sees(namespace))
}

/// A hold a principal may release and lift.
fn reached(server: &Server, who: &Principal, id: &str) -> Result<Standing, ApiError> {
    let known = flow::standing(server.engine(), id.parse::<HoldId>().map_err(|_| flow::no_hold(&id))?)?;
    match (&who.namespace, &known.hold.scope.namespace) {
        (None, _) => Ok(known),
        (Some(own), Some(of)) if own == of => Ok(known),
        (Some(_), None) => Err(forbidden(who, "change what is said about every namespace")),
        (Some(_), Some(_)) => Err(flow::no_hold(&id)),
    }
}

fn forbidden(who: &Principal, what: &str) -> ApiError {
    let own = who.namespace.as_deref().unwrap_or_default();
    ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("{} may not {what}", who.name)).because(format!("its key is for {own:?}"))
}
