//! Who asks, and what they may.
//!
//! Everybody has permissions through roles, for all namespaces or for one. On a loopback address nobody has to say who they are to
//! submit, read, steer and work; deciding always takes the operator's token, a session opened with its link, or a key whose role may. On
//! any other address everything but `/health/live` and the login takes one of them.

mod keys;
mod principal;
mod sessions;

pub(crate) use keys::{Keys, same};
#[cfg(test)]
pub(crate) use principal::permissions;
pub(crate) use principal::{Permission, Principal, Shown};
pub(crate) use sessions::{COOKIE, SESSION_LASTS, Sessions};

use crate::api::{ApiError, Kind};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

/// Who asks. `guard` has put it into the request.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) std::sync::Arc<Principal>);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let missing = || ApiError::new(Kind::Failed, "INTERNAL", "a request came past the guard");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// The session a browser shows.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = cookies.flat_map(|all| all.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}
