//! Errors as RFC 9457 problem documents: the one place where trouble becomes a status.

use crate::api::{ApiError, Kind};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use ephor_core::plan::Problem as FieldProblem;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// How long a caller should wait who was told to come back, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// Why something was not done (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// A name for the kind of trouble: `urn:ephor:problem:illegal-transition`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// One sentence: what was not done.
    pub(crate) title: String,
    /// The same sentence, for those who look for it here.
    pub(crate) error: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// Stable, in capitals: `ILLEGAL_TRANSITION`.
    pub(crate) code: String,
    /// What stands in the way, and what would be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// What can be done next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) next: Vec<String>,
    /// What is wrong with the request, field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldProblem>,
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let status = status_of(&error);
        let ApiError { code, message, why, next, problems, kind: _ } = error;
        Self {
            kind: format!("urn:ephor:problem:{}", code.to_ascii_lowercase().replace('_', "-")),
            title: message.clone(),
            error: message,
            status: status.as_u16(),
            code: code.into(),
            detail: why,
            next: next.into_iter().map(crate::hints::to_http).collect(),
            errors: problems,
        }
    }
}

/// The status of an error (DESIGN §2): by its code where the code decides, else by its kind.
fn status_of(error: &ApiError) -> StatusCode {
    match &*error.code {
        "ILLEGAL_TRANSITION" | "TERMINAL_STATE" | "DUPLICATE_TASK" => StatusCode::BAD_REQUEST,
        "UNAUTHENTICATED" => StatusCode::UNAUTHORIZED,
        "TIMEOUT" => StatusCode::REQUEST_TIMEOUT,
        "URI_TOO_LONG" => StatusCode::URI_TOO_LONG,
        "METHOD_NOT_ALLOWED" => StatusCode::METHOD_NOT_ALLOWED,
        "TOO_LARGE" => StatusCode::PAYLOAD_TOO_LARGE,
        "WRONG_TYPE" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "IDEMPOTENCY_MISMATCH" => StatusCode::UNPROCESSABLE_ENTITY,
        "LIMIT_REACHED" | "QUEUE_FULL" => StatusCode::TOO_MANY_REQUESTS,
        "DISK_FULL" => StatusCode::INSUFFICIENT_STORAGE,
        _ => match error.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Busy | Kind::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("a problem is plain data");
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        response.extensions_mut().insert(Arc::new(self));
        let headers = response.headers_mut();
        if matches!(status.as_u16(), 429 | 503 | 507) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ephor\""));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Nothing is at this path.
pub(crate) async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is nothing at {}", uri.path())).then("GET /api-docs")
}

/// Something is at this path, but not for this method.
pub(crate) fn wrong_method(path: &str) -> ApiError {
    ApiError::new(Kind::Invalid, "METHOD_NOT_ALLOWED", format!("{path} does not know this method")).then("GET /api-docs")
}
