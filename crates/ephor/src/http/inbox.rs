//! The inbox over HTTP: what tasks ask of people, of all tasks the caller may see or of one.

use super::auth::Caller;
use super::errors::Errors;
use super::query::Query;
use super::server::Server;
use super::tasks::{TaskPath, limit, link, opened, sealed};
use crate::api::{Api, ApiError, Kind};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use ephor_core::inbox::{Asked, InboxFilter};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(inbox)).routes(routes!(of_one))
}

/// Which questions are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only of this namespace.
    namespace: Option<String>,
    /// The questions of how many tasks at most, from 1 to 500; 50 where it is missing.
    limit: Option<u32>,
    /// Where the page before ended, as its `Link` says it.
    cursor: Option<String>,
}

/// What tasks ask of people
///
/// The task that has asked longest comes first, with all it asks, the oldest question first. Each says why a person is asked, until when,
/// what happens when nobody answers, who may answer, and the calls and commands that do. A task under a hold asks nothing.
#[utoipa::path(get, path = "/api/v1/inbox", tag = "deciding", params(Wanted),
    responses((status = 200, body = Vec<Asked>, headers(("Link" = String, description = "The next page, where there is one"))), Errors))]
async fn inbox(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    uri: Uri,
    Query(Wanted { mut namespace, limit: wanted, cursor }): Query<Wanted>,
) -> Result<(HeaderMap, Json<Vec<Asked>>), ApiError> {
    if who.agent_alone().is_some() {
        let what = "this key reaches the tasks its agent works on; what they ask of people stands at each of them";
        return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", what).then("GET /api/v1/tasks/{id}/inbox"));
    }
    who.narrow(&mut namespace)?;
    let list = InboxFilter { namespace, limit: limit(wanted)?.unwrap_or(0), after: None };
    // A cursor goes on in the same inbox, whatever the size of its pages.
    let same = ("inbox", &list.namespace);
    let after = cursor.map(|text| opened(&text, &same)).transpose()?;
    let page = server.api(&who).inbox(InboxFilter { after, ..list.clone() }).await?;
    let mut headers = HeaderMap::new();
    if let Some(next) = page.next {
        headers.insert(header::LINK, link(&uri, &[("cursor", &sealed(&next, &same))]));
    }
    Ok((headers, Json(page.items)))
}

/// What it asks of people, the oldest question first
#[utoipa::path(get, path = "/api/v1/tasks/{id}/inbox", tag = "tasks", params(("id" = String, Path, description = "The task")),
    responses((status = 200, body = Vec<Asked>), Errors))]
async fn of_one(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
) -> Result<Json<Vec<Asked>>, ApiError> {
    server.api(&who).asked(task).await.map(Json)
}
