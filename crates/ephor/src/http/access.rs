//! Who may: keys, who one is, and the session of a browser.

use super::auth::{COOKIE, Caller, Principal, SESSION_LASTS, Shown, session_of};
use super::body::Body;
use super::errors::Errors;
use super::query::Query;
use super::server::Server;
use crate::api::{ApiError, Kind};
use crate::local::keys;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use ephor_core::event::ActorKind;
use ephor_core::id::{AgentId, KeyId};
use ephor_core::key::{KeyView, MadeKey, NewKey, Role};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where a browser is sent after the login.
const HOME: &str = "/";

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(list, create))
        .routes(routes!(revoke))
        .routes(routes!(login))
        .routes(routes!(logout))
}

/// Who asks.
#[derive(Serialize, ToSchema)]
struct Me {
    /// The name in events.
    name: String,
    /// A person, a program, an agent.
    kind: ActorKind,
    /// What it is there for.
    roles: Vec<Role>,
    /// The only namespace it reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// The only agent it may speak as.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentId>,
    /// The key it showed.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    /// Whether it has shown who it is.
    authenticated: bool,
}

/// Who asks, and what they may
#[utoipa::path(get, path = "/api/v1/me", tag = "access", responses((status = 200, body = Me), Errors))]
async fn me(Caller(who): Caller) -> Json<Me> {
    let Principal { name, kind, roles, namespace, agent, shown, peer: _ } = (*who).clone();
    let authenticated = who.is_authenticated();
    let key_id = if let Shown::Key(id) = shown { Some(id) } else { None };
    let namespace = namespace.map(Into::into);
    Json(Me { name: name.into(), kind, roles, namespace, agent, key_id, authenticated })
}

/// Keys, in the order they were made; revoked and expired ones too
#[utoipa::path(get, path = "/api/v1/keys", tag = "access", responses((status = 200, body = [KeyView]), Errors))]
async fn list(State(server): State<Arc<Server>>, Caller(who): Caller) -> Json<Vec<KeyView>> {
    Json(server.keys().all().iter().filter(|known| reaches(&who, known)).map(keys::Known::view).collect())
}

/// Make a key; it is shown this once
#[utoipa::path(post, path = "/api/v1/keys", tag = "access", request_body = NewKey, responses((status = 201, body = MadeKey), Errors))]
async fn create(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Body(mut wish): Body<NewKey>,
) -> Result<(StatusCode, Json<MadeKey>), ApiError> {
    who.narrow(&mut wish.namespace)?;
    let agent = keys::agent_of(server.engine(), &wish)?;
    let made = server.keys().make(server.engine(), &wish, agent, who.actor()).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Take a key back: it is worth nothing from now on
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "access", params(("id" = KeyId, Path, description = "The id of the key")),
    responses((status = 200, body = KeyView), Errors))]
async fn revoke(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Path(name): Path<String>,
) -> Result<Json<KeyView>, ApiError> {
    let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no key {name:?}"));
    let id: KeyId = name.parse().map_err(|_| unknown())?;
    let known = server.keys().all().into_iter().find(|known| known.key.id == id);
    known.filter(|known| reaches(&who, known)).ok_or_else(unknown)?;
    Ok(Json(server.keys().revoke(server.engine(), id, who.actor()).await?.view()))
}

/// Whether a key is within what a principal reaches.
fn reaches(who: &Principal, known: &keys::Known) -> bool {
    who.namespace.is_none() || who.namespace == known.key.namespace
}

/// The code of the link.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Login {
    /// As it was printed when the server started.
    #[serde(default)]
    code: String,
}

/// Open a session in this browser with the link that was printed at the start; it works once
#[utoipa::path(get, path = "/login", tag = "access", params(Login), responses((status = 303, description = "It is open"), Errors))]
async fn login(
    State(server): State<Arc<Server>>,
    method: Method,
    Query(Login { code }): Query<Login>,
) -> Result<Response, ApiError> {
    let refused = || {
        ApiError::new(Kind::Forbidden, "UNAUTHENTICATED", "this link is not known here, was used, or is older than ten minutes")
            .because("start the server again for a new one, or use the operator's token")
    };
    // Whoever only looks ahead must not use the link up.
    let session = if method == Method::GET { server.sessions().open(&code)? } else { None };
    let session = session.ok_or_else(refused)?;
    let cookie = cookie(&session, SESSION_LASTS.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(HOME)).into_response())
}

/// End the session of this browser
#[utoipa::path(post, path = "/logout", tag = "access", responses((status = 204, description = "It is over"), Errors))]
async fn logout(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if let Some(session) = session_of(&headers) {
        server.sessions().close(session);
    }
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", 0))]).into_response()
}

fn cookie(session: &str, seconds: u64) -> HeaderValue {
    let text = format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    HeaderValue::try_from(text).expect("a session is letters and digits")
}
