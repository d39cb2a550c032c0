//! Figures over HTTP: as JSON for programs and the dashboard, and in the text form that Prometheus reads.

use super::auth::{Caller, Principal};
use super::errors::Errors;
use super::query::Query;
use super::server::Server;
use crate::api::{ApiError, FiguresQuery, Kind};
use crate::local::blocking;
use crate::local::figures::Scope;
use crate::metrics;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ephor_core::figures::Figures;
use ephor_core::time::WireDuration;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(figures)).routes(routes!(exposed))
}

/// Which figures are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only of this namespace.
    namespace: Option<String>,
    /// Over how long, up to how long figures are kept; a day where it is missing. Whole hours, and beyond a day whole days, are counted.
    window: Option<WireDuration>,
}

/// Figures: how tasks ended and how long they took, what waits, agents, gates, the council, what people owe, and what is beyond its threshold
#[utoipa::path(get, path = "/api/v1/admin/metrics", tag = "metrics", params(Wanted), responses((status = 200, body = Figures), Errors))]
async fn figures(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Figures>, ApiError> {
    taken(server, &who, wanted).await.map(Json)
}

/// Figures as somebody may see them.
pub(super) async fn taken(server: Arc<Server>, who: &Principal, wanted: Wanted) -> Result<Figures, ApiError> {
    if who.agent_alone().is_some() {
        let what = "figures are about all tasks; this key reaches those its agent works on";
        return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", what).then("GET /api/v1/tasks/{id}/progress"));
    }
    let Wanted { mut namespace, window } = wanted;
    who.narrow(&mut namespace)?;
    let scope = Scope { namespace: namespace.clone(), bound: who.namespace.is_some() };
    blocking(move || {
        let (engine, query) = (server.engine(), FiguresQuery { namespace, window });
        server.tally().figures(server.look(), Some(engine), engine.now(), &query, &scope)
    })
    .await
}

/// The same figures for Prometheus, counted since the server started; of everything, so not for a key of one namespace
#[utoipa::path(get, path = "/metrics", tag = "metrics",
    responses((status = 200, body = String, content_type = "text/plain", description = "Text in the exposition format 0.0.4"), Errors))]
async fn exposed(State(server): State<Arc<Server>>, Caller(who): Caller) -> Result<Response, ApiError> {
    if who.namespace.is_some() || who.agent.is_some() {
        let what = "this tells of all namespaces, and this key is for less";
        return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", what).then("GET /api/v1/admin/metrics"));
    }
    let text = blocking(move || {
        let now = server.tally().now(server.look(), server.engine())?;
        Ok(metrics::text(&metrics::families(&now, &server.sent().now())))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
