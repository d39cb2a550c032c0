//! Query strings, with the field named where something is wrong.

use crate::api::ApiError;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ephor_core::plan::Problem as FieldProblem;
use serde::de::DeserializeOwned;

/// A query string, read into `T`.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let read = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        let wrong = |e| ApiError::invalid("the query was refused", vec![FieldProblem::new("query", e)]);
        read.map(|axum::extract::Query(value)| Self(value)).map_err(|e| wrong(e.body_text()))
    }
}
