//! The constitution over HTTP: what is in force and what was, amendments, and documents that are tried before they are proposed.

use super::auth::{Caller, Principal};
use super::body::Body;
use super::errors::Errors;
use super::server::Server;
use crate::api::{ApiError, Kind};
use crate::local::{constitution, store};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use ephor_core::constitution::{
    AmendmentView, Candidate, ImpactReport, InForce, NewAmendment, NewVote, ReplayReport, VersionHead, VersionView,
};
use ephor_core::id::AmendmentId;
use ephor_core::plan::Problem;
use ephor_engine::judging;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(versions))
        .routes(routes!(version))
        .routes(routes!(amendments, propose))
        .routes(routes!(amendment))
        .routes(routes!(sponsor))
        .routes(routes!(vote))
        .routes(routes!(withdraw))
        .routes(routes!(impact))
        .routes(routes!(replay))
}

/// The constitution that binds tasks here
#[utoipa::path(get, path = "/api/v1/constitution", tag = "governance", responses((status = 200, body = InForce), Errors))]
async fn show(State(server): State<Arc<Server>>) -> Json<InForce> {
    let engine = server.engine();
    Json(constitution::shown(engine.policy().law.as_deref(), &engine.constitution()))
}

/// Every version there was, the one in force last; none where the shipped one was never amended
#[utoipa::path(get, path = "/api/v1/constitution/versions", tag = "governance",
    responses((status = 200, body = [VersionHead]), Errors))]
async fn versions(State(server): State<Arc<Server>>) -> Json<Vec<VersionHead>> {
    Json(server.engine().constitution().versions.clone())
}

/// One version, with its words
#[utoipa::path(get, path = "/api/v1/constitution/versions/{number}", tag = "governance",
    params(("number" = String, Path, description = "Which, from 1")), responses((status = 200, body = VersionView), Errors))]
async fn version(State(server): State<Arc<Server>>, Path(number): Path<String>) -> Result<Json<VersionView>, ApiError> {
    let wrong = || ApiError::invalid("there is no such version", vec![Problem::new("number", "a whole number, from 1")]);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let reader = server.engine().reader();
    apart(move || constitution::version(&*reader, number)).await.map(Json)
}

/// Amendments, the latest first
#[utoipa::path(get, path = "/api/v1/constitution/amendments", tag = "governance",
    responses((status = 200, body = [AmendmentView]), Errors))]
async fn amendments(State(server): State<Arc<Server>>) -> Json<Vec<AmendmentView>> {
    let engine = server.engine();
    Json(constitution::amendments(&engine.constitution(), engine.now()))
}

/// One amendment, with its document
#[utoipa::path(get, path = "/api/v1/constitution/amendments/{id}", tag = "governance",
    params(("id" = String, Path, description = "The id of the amendment")), responses((status = 200, body = AmendmentView), Errors))]
async fn amendment(State(server): State<Arc<Server>>, Path(id): Path<String>) -> Result<Json<AmendmentView>, ApiError> {
    let (id, engine) = (id_of(&id)?, server.engine());
    let (reader, state, now) = (engine.reader(), engine.constitution(), engine.now());
    apart(move || constitution::amendment(&*reader, &state, id, now)).await.map(Json)
}

/// Propose another document, which is decided on the terms of the one in force
#[utoipa::path(post, path = "/api/v1/constitution/amendments", tag = "governance", request_body = NewAmendment,
    responses((status = 201, body = AmendmentView), Errors))]
async fn propose(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Body(wish): Body<NewAmendment>,
) -> Result<(StatusCode, Json<AmendmentView>), ApiError> {
    reaches_all(&who, "amend the constitution")?;
    let proposed = constitution::propose(server.engine(), wish, who.actor()).await?;
    Ok((StatusCode::CREATED, Json(proposed)))
}

/// Stand behind an amendment
#[utoipa::path(post, path = "/api/v1/constitution/amendments/{id}/sponsor", tag = "governance",
    params(("id" = String, Path, description = "The id of the amendment")), responses((status = 200, body = AmendmentView), Errors))]
async fn sponsor(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(id): Path<String>,
) -> Result<Json<AmendmentView>, ApiError> {
    reaches_all(&who, "amend the constitution")?;
    constitution::sponsor(server.engine(), id_of(&id)?, who.actor()).await.map(Json)
}

/// Vote on an amendment; the last word of each voter counts
#[utoipa::path(post, path = "/api/v1/constitution/amendments/{id}/vote", tag = "governance", request_body = NewVote,
    params(("id" = String, Path, description = "The id of the amendment")), responses((status = 200, body = AmendmentView), Errors))]
async fn vote(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Body(wish): Body<NewVote>,
) -> Result<Json<AmendmentView>, ApiError> {
    reaches_all(&who, "amend the constitution")?;
    constitution::vote(server.engine(), id_of(&id)?, wish, who.actor()).await.map(Json)
}

/// Why an amendment is taken back.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Withdrawal {
    /// Why.
    reason: String,
}

/// Take an amendment back that one has proposed
#[utoipa::path(post, path = "/api/v1/constitution/amendments/{id}/withdraw", tag = "governance", request_body = Withdrawal,
    params(("id" = String, Path, description = "The id of the amendment")), responses((status = 200, body = AmendmentView), Errors))]
async fn withdraw(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(id): Path<String>,
    Body(why): Body<Withdrawal>,
) -> Result<Json<AmendmentView>, ApiError> {
    reaches_all(&who, "amend the constitution")?;
    constitution::withdraw(server.engine(), id_of(&id)?, why.reason, who.actor()).await.map(Json)
}

/// What a document would change, in words and for live tasks
#[utoipa::path(post, path = "/api/v1/constitution/impact", tag = "governance", request_body = Candidate,
    responses((status = 200, body = ImpactReport), Errors))]
async fn impact(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Body(tried): Body<Candidate>,
) -> Result<Json<ImpactReport>, ApiError> {
    reaches_all(&who, "look at the tasks of all namespaces")?;
    let engine = server.engine();
    let (in_force, candidate) = (constitution::in_force(engine)?, constitution::law_of(&tried.document)?);
    let (reader, now) = (engine.reader(), engine.now());
    apart(move || judging::impact(&*reader, &in_force, &candidate, now).map_err(store)).await.map(Json)
}

/// Which recorded decisions a document would have made otherwise
#[utoipa::path(post, path = "/api/v1/constitution/replay", tag = "governance", request_body = Candidate,
    responses((status = 200, body = ReplayReport), Errors))]
async fn replay(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Body(tried): Body<Candidate>,
) -> Result<Json<ReplayReport>, ApiError> {
    reaches_all(&who, "look at the tasks of all namespaces")?;
    let candidate = constitution::law_of(&tried.document)?;
    let (reader, since) = (server.engine().reader(), tried.since.map(|since| since.0));
    apart(move || judging::replay(&*reader, &candidate, since).map_err(store)).await.map(Json)
}

/// Something that reads the store, on a thread that may wait.
async fn apart<T: Send + 'static>(read: impl FnOnce() -> Result<T, ApiError> + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(read).await.map_err(|error| ApiError::new(Kind::Failed, "INTERNAL", error))?
}

fn id_of(text: &str) -> Result<AmendmentId, ApiError> {
    text.parse().map_err(|error| ApiError::invalid("there is no such amendment", vec![Problem::new("id", format!("{error}"))]))
}

/// The constitution is everybody's: whoever reaches one namespace alone does not change it, nor looks through it at the others.
fn reaches_all(who: &Principal, what: &str) -> Result<(), ApiError> {
    match &who.namespace {
        None => Ok(()),
        Some(own) => Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("{} may not {what}", who.name))
            .because(format!("its key is for {own:?}, and the constitution is everybody's"))),
    }
}
