//! Who asks, and what they may.
//!
//! Everybody has permissions through roles, for all namespaces or for one. On a loopback address nobody has to say who they are to
//! submit, read, steer and work; deciding always takes the operator's token, a session opened with its link, or a key whose role may.

mod principal;

pub(crate) use principal::{Permission, Principal};

use crate::api::{ApiError, Kind};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

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
