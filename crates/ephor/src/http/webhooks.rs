//! Webhooks over HTTP: who is told of what, and how that went.

use super::auth::{Caller, Principal};
use super::body::Body;
use super::errors::Errors;
use super::query::Query;
use super::server::Server;
use super::tasks::{limit, link};
use crate::api::{ApiError, Kind};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use ephor_core::id::WebhookId;
use ephor_core::webhook::{DeliveryView, MadeWebhook, NewWebhook, WebhookView};
use ephor_engine::outbox::Subscription;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, remove))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(test))
        .routes(routes!(deliveries))
        .routes(routes!(redeliver))
}

/// The subscription of a path, within what somebody reaches.
async fn found(server: &Server, who: &Principal, name: &str) -> Result<Subscription, ApiError> {
    let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no webhook {name:?}"));
    let id: WebhookId = name.parse().map_err(|_| unknown())?;
    server.webhooks().one(id, who.namespace.as_deref()).await
}

/// Who is told of what, in the order they were made
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", responses((status = 200, body = [WebhookView]), Errors))]
async fn list(State(server): State<Arc<Server>>, Caller(who): Caller) -> Result<Json<Vec<WebhookView>>, ApiError> {
    server.webhooks().all(who.namespace.as_deref().map(Into::into)).await.map(Json)
}

/// Have somebody told from now on; the secret that signs its messages is shown this once
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = MadeWebhook), Errors))]
async fn create(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Body(mut wish): Body<NewWebhook>,
) -> Result<(StatusCode, Json<MadeWebhook>), ApiError> {
    who.narrow(&mut wish.namespace)?;
    Ok((StatusCode::CREATED, Json(server.webhooks().make(wish).await?)))
}

/// One of them: whether it is served, and how far it has been told
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "webhooks", params(("id" = WebhookId, Path, description = "The webhook")),
    responses((status = 200, body = WebhookView), Errors))]
async fn show(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<Json<WebhookView>, ApiError> {
    let known = found(&server, &who, &name).await?;
    Ok(Json(server.webhooks().view(&known)))
}

/// Tell it no more, and forget how that went
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")),
    responses((status = 200, body = WebhookView), Errors))]
async fn remove(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<Json<WebhookView>, ApiError> {
    let known = found(&server, &who, &name).await?;
    server.webhooks().remove(known.id).await?;
    Ok(Json(server.webhooks().view(&known)))
}

/// Tell it nothing for now; what happens meanwhile is told once it goes on
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/pause", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")), responses((status = 200, body = WebhookView), Errors))]
async fn pause(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<Json<WebhookView>, ApiError> {
    let known = found(&server, &who, &name).await?;
    server.webhooks().pause(known.id, true).await.map(Json)
}

/// Go on where it ended: one that was paused, is off, or waits for its next try
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/resume", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")), responses((status = 200, body = WebhookView), Errors))]
async fn resume(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<Json<WebhookView>, ApiError> {
    let known = found(&server, &who, &name).await?;
    server.webhooks().pause(known.id, false).await.map(Json)
}

/// Send a message that tells nothing, now, and say how that went
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The webhook")), responses((status = 200, body = DeliveryView), Errors))]
async fn test(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<Json<DeliveryView>, ApiError> {
    let known = found(&server, &who, &name).await?;
    server.webhooks().test(known).await.map(Json)
}

/// Which tries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// How many at most, from 1 to 500; 50 where it is missing. The last 200 are remembered.
    limit: Option<u32>,
    /// Only those before this one.
    before: Option<u64>,
}

/// The last tries to tell it something, the newest first
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The webhook"), Wanted),
    responses((status = 200, body = Vec<DeliveryView>, headers(("Link" = String, description = "The next page, where there is one"))), Errors))]
async fn deliveries(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    uri: Uri,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<(HeaderMap, Json<Vec<DeliveryView>>), ApiError> {
    let known = found(&server, &who, &name).await?;
    let limit = limit(wanted.limit)?.unwrap_or(crate::local::PAGE);
    let page = server.webhooks().deliveries(known.id, wanted.before, limit).await?;
    let mut headers = HeaderMap::new();
    if let Some(last) = page.last().filter(|_| page.len() == limit as usize) {
        headers.insert(header::LINK, link(&uri, &[("before", &last.id.to_string())]));
    }
    Ok((headers, Json(page)))
}

/// Send again what was told in a try, now, and say how that went
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The webhook"), ("delivery" = u64, Path, description = "The number of the try")),
    responses((status = 200, body = DeliveryView), Errors))]
async fn redeliver(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path((name, delivery)): Path<(String, String)>,
) -> Result<Json<DeliveryView>, ApiError> {
    let known = found(&server, &who, &name).await?;
    let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("no delivery {delivery:?} of {name} is remembered"));
    let number = delivery.parse().map_err(|_| unknown())?;
    server.webhooks().redeliver(known, number).await.map(Json)
}
