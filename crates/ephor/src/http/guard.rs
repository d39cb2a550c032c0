//! The way in: is this host meant, who is it, and may they. Every request passes here before anything of it is read.

use super::auth::{Caller, Permission, Principal};
use super::operations::{OPERATIONS, needed};
use super::problem::wrong_method;
use super::server::Server;
use crate::api::{ApiError, Kind};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Lets a request in, or says why not.
pub(crate) async fn admit(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    match who(&server, &request) {
        Ok(principal) => {
            request.extensions_mut().insert(Caller(Arc::new(principal)));
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

fn who(server: &Server, request: &Request) -> Result<Principal, ApiError> {
    is_meant(server, request)?;
    let principal = principal(server, request.headers())?;
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    // What has no route is answered by the fallback, which gives nothing away.
    let Some(path) = path else { return Ok(principal) };
    let Some(permission) = needed(request.method(), path) else {
        return Err(match OPERATIONS.iter().any(|(_, known, _)| *known == path) {
            true => wrong_method(path),
            // A route that nobody declared.
            false => ApiError::new(Kind::Forbidden, "FORBIDDEN", "nobody may do this"),
        });
    };
    if permission != Permission::Open {
        principal.require(permission)?;
    }
    Ok(principal)
}

/// A page of another site that made its name point here must not get an answer (DNS rebinding), nor may it post (CSRF).
fn is_meant(server: &Server, request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let host = text(header::HOST).or_else(|| request.uri().host()).unwrap_or_default();
    if !server.answers_to(host) {
        return Err(ApiError::new(Kind::Forbidden, "HOST_NOT_ALLOWED", format!("this server does not answer to {host:?}"))
            .because("name it with --allow-host, or use the address it listens on"));
    }
    match text(header::ORIGIN) {
        Some(origin) if !request.method().is_safe() && !server.answers_to(origin.split("://").last().unwrap_or_default()) => {
            Err(ApiError::new(Kind::Forbidden, "ORIGIN_NOT_ALLOWED", format!("pages of {origin} may not do this")))
        }
        _ => Ok(()),
    }
}

/// Who it is, by what they show.
fn principal(server: &Server, headers: &HeaderMap) -> Result<Principal, ApiError> {
    let shown = headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap_or_default());
    let unknown = || ApiError::new(Kind::Forbidden, "UNAUTHENTICATED", "this key is not known here, or no longer");
    match shown.map(|text| text.strip_prefix("Bearer ").unwrap_or_default()) {
        Some(token) => server.holder_of(token).ok_or_else(unknown),
        None if server.is_local() => Ok(Principal::local()),
        None => {
            Err(ApiError::new(Kind::Forbidden, "UNAUTHENTICATED", "this needs a key").because("send Authorization: Bearer …"))
        }
    }
}
