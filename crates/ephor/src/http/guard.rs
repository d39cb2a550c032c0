//! The way in: is this host meant, who is it, is it too much, and may they. Every request passes here before anything of it is read.

use super::auth::{Caller, Permission, Principal, Shown, session_of};
use super::body::Patience;
use super::listen::Peer;
use super::operations::{OPERATIONS, is_page, needed, parameters, takes_key};
use super::planexe::is_execution;
use super::problem::wrong_method;
use super::server::Server;
use crate::api::{ApiError, Kind};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ephor_core::plan::Problem as FieldProblem;
use std::sync::Arc;

/// Where a browser says whose page asks.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a page of the dashboard sends along.
const OWN_PAGE: HeaderName = HeaderName::from_static("x-ephor-page");
/// The key under which something may be said again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Parameters that are read before any operation looks at its own.
const SHARED: [&str; 3] = ["case", "source", "namespace"];
/// How long an address may be, in bytes.
const URI_MAX: usize = 8 << 10;

/// Lets a request in, or says why not.
pub(crate) async fn admit(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    match who(&server, &request) {
        Ok(principal) => {
            let caller = Caller(Arc::new(principal));
            request.extensions_mut().insert(caller.clone());
            request.extensions_mut().insert(Patience(server.limits().patience));
            let mut response = next.run(request).await;
            response.extensions_mut().insert(caller);
            response
        }
        Err(error) => error.into_response(),
    }
}

fn who(server: &Server, request: &Request) -> Result<Principal, ApiError> {
    if request.uri().path_and_query().is_some_and(|text| text.as_str().len() > URI_MAX) {
        return Err(ApiError::new(Kind::Invalid, "URI_TOO_LONG", format!("an address has at most {URI_MAX} bytes")));
    }
    is_meant(server, request)?;
    let principal = principal(server, request)?;
    server.meter().admit(&principal)?;
    if server.is_stopping() {
        return Err(ApiError::new(Kind::Unreachable, "STOPPED", "the server is stopping; ask again soon"));
    }
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    // What has no route is answered by the fallback; that it has none is told to nobody who may not even look.
    let Some(path) = path else { return principal.require(Permission::Read).map(|()| principal) };
    if is_execution(path) && !server.has_executions() {
        let off = ApiError::new(Kind::NotFound, "NOT_FOUND", "plan executions are switched off here");
        return Err(off.because("the server was started with PLANEXE_EXECUTION_ENABLED=false or --executions false"));
    }
    let Some(permission) = needed(request.method(), path) else {
        return Err(match is_page(path) || OPERATIONS.iter().any(|(_, known, _)| *known == path) {
            true => wrong_method(path),
            // A route that nobody declared.
            false => ApiError::new(Kind::Forbidden, "FORBIDDEN", "nobody may do this"),
        });
    };
    if permission != Permission::Open {
        principal.require(permission)?;
    }
    is_understood(request, path)?;
    Ok(principal)
}

/// What would be passed over is told: a parameter the operation does not have, a key it does not take.
fn is_understood(request: &Request, path: &str) -> Result<(), ApiError> {
    let method = request.method();
    if *method == Method::POST && request.headers().contains_key(IDEMPOTENCY_KEY) {
        takes_key("POST", path).map_err(|why| {
            let problem = FieldProblem::new("Idempotency-Key", format!("this operation takes none: {why}"));
            ApiError::invalid("a header was refused", vec![problem])
        })?;
    }
    let Some(query) = request.uri().query() else { return Ok(()) };
    let Some(known) = parameters(method, path) else { return Ok(()) };
    if known.iter().any(|name| !SHARED.contains(&name.as_str())) {
        // Those that have parameters of their own read them all, and name what they do not know.
        return Ok(());
    }
    let unknown = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| !known.iter().any(|known| known == name));
    unknown.map_or(Ok(()), |(name, _)| {
        let problem = FieldProblem::new(name, format!("there is no such parameter; allowed are {}", known.join(", ")));
        Err(ApiError::invalid("the query was refused", vec![problem]))
    })
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
        Some(origin) if is_more_than_a_look(request) && !server.answers_to(origin.split("://").last().unwrap_or_default()) => {
            Err(ApiError::new(Kind::Forbidden, "ORIGIN_NOT_ALLOWED", format!("pages of {origin} may not do this")))
        }
        _ => Ok(()),
    }
}

/// Whether a page of another site must not ask this: what changes something, and a WebSocket, whose answers the browser would let it read.
fn is_more_than_a_look(request: &Request) -> bool {
    !request.method().is_safe() || request.headers().contains_key(header::UPGRADE)
}

/// Who it is, by what they show, and from where.
fn principal(server: &Server, request: &Request) -> Result<Principal, ApiError> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let nobody = || Principal { peer, ..Principal::nobody() };
    let shown = match shown(server, request.headers()) {
        Ok(shown) => shown,
        Err(error) => {
            // Whoever guesses is counted as well.
            server.meter().admit(&nobody())?;
            return Err(error);
        }
    };
    match shown {
        Some(principal) if principal.shown == Shown::Session => own_page(request).map(|()| Principal { peer, ..principal }),
        Some(principal) => Ok(Principal { peer, ..principal }),
        None if server.is_local() => Ok(Principal { peer, ..Principal::local() }),
        None => Ok(nobody()),
    }
}

/// A browser sends its cookie along for whatever page asks, also for one on another port of this machine: what changes something has to
/// come from a page of this server.
fn own_page(request: &Request) -> Result<(), ApiError> {
    if !is_more_than_a_look(request) {
        return Ok(());
    }
    let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
    let from_here = match text(header::ORIGIN).map(|origin| origin.split("://").last()) {
        Some(origin) => origin == text(header::HOST),
        // A page of another site cannot add a header unasked, and nobody here says yes when asked.
        None => text(FETCH_SITE).is_some() || request.headers().contains_key(OWN_PAGE),
    };
    match from_here && matches!(text(FETCH_SITE), None | Some("same-origin" | "none")) {
        true => Ok(()),
        false => Err(ApiError::new(Kind::Forbidden, "ORIGIN_NOT_ALLOWED", "another page may not do this in your name")),
    }
}

/// Who shows something, if anybody does.
fn shown(server: &Server, headers: &HeaderMap) -> Result<Option<Principal>, ApiError> {
    let shown = headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap_or_default());
    let unknown = || ApiError::new(Kind::Forbidden, "UNAUTHENTICATED", "this key is not known here, or no longer");
    match shown.map(|text| text.strip_prefix("Bearer ").unwrap_or_default()) {
        Some(token) => server.holder_of(token).ok_or_else(unknown).map(Some),
        // A browser goes on showing the cookie of a session that is over: that is as good as none.
        None => Ok(session_of(headers)
            .filter(|session| server.sessions().holds(session))
            .map(|_| Principal::operator(Shown::Session))),
    }
}
