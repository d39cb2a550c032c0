//! Bodies of requests: JSON into a wire type, with the field named where something is wrong. What is written in camelCase is read as
//! well, and answered alike.

use super::case::{self, Wanted};
use crate::api::{ApiError, Kind};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use ephor_core::plan::Problem as FieldProblem;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How deep JSON may be nested (promise 28).
const DEPTH_MAX: usize = 64;

/// How long a body may take to arrive.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body, read into `T`.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        is_json(&request)?;
        let wanted = request.extensions().get::<Wanted>().cloned();
        let reading = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state));
        let bytes = reading.await.map_err(|_| too_slow())?.map_err(unreadable)?;
        let (value, camel) = read(&bytes)?;
        if let (true, Some(wanted)) = (camel, wanted) {
            wanted.camel_unless_said();
        }
        Ok(Self(value))
    }
}

/// Another type than JSON could be sent by any page in a browser without asking first.
fn is_json(request: &Request) -> Result<(), ApiError> {
    let said = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json") {
        return Ok(());
    }
    Err(ApiError::new(Kind::Invalid, "WRONG_TYPE", "the body has to be JSON").because("send Content-Type: application/json"))
}

/// A body that did not arrive in time.
pub(crate) fn too_slow() -> ApiError {
    ApiError::new(Kind::Invalid, "TIMEOUT", "the body took too long to arrive")
}

/// A body that could not be received whole.
pub(crate) fn unreadable(rejection: BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Kind::Invalid, "TOO_LARGE", "the body is too large")
            .because("1 MiB is allowed; batches and payloads have routes of their own"),
        _ => ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "the body could not be read").because(rejection),
    }
}

/// Reads JSON. Says whether it was written in camelCase. The ordinary case, snake_case, is read in one go.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, bool), ApiError> {
    let empty = bytes.iter().all(u8::is_ascii_whitespace);
    let bytes = if empty { b"{}".as_slice() } else { bytes };
    if too_deep(bytes) {
        let why = format!("at most {DEPTH_MAX} levels are allowed");
        return Err(ApiError::invalid("the body is nested too deeply", vec![FieldProblem::new("body", why)]));
    }
    let error = match parse(serde_json::Deserializer::from_slice(bytes)) {
        Ok(value) => return Ok((value, false)),
        Err(error) => error,
    };
    let Ok(mut json) = serde_json::from_slice::<Value>(bytes) else { return Err(error) };
    if !case::to_snake(&mut json) {
        return Err(error);
    }
    let value = serde_path_to_error::deserialize(json).map_err(|e| wrong(&e.path().to_string(), e.inner()))?;
    Ok((value, true))
}

fn parse<'de, T: DeserializeOwned>(mut json: serde_json::Deserializer<serde_json::de::SliceRead<'de>>) -> Result<T, ApiError> {
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| wrong(&e.path().to_string(), e.inner()))?;
    json.end().map_err(|e| wrong("body", &e))?;
    Ok(value)
}

/// What is wrong, by the path of the field.
fn wrong(path: &str, error: &serde_json::Error) -> ApiError {
    let field = if path == "." { "body" } else { path };
    ApiError::invalid("the request was refused", vec![FieldProblem::new(field, error.to_string())])
}

/// Whether brackets are nested deeper than allowed; what stands in strings does not count.
fn too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut inside, mut escaped) = (0usize, false, false);
    for byte in bytes {
        match (inside, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => inside = false,
            (false, b'"') => inside = true,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::spec::Request as Task;

    fn problem(body: &str) -> String {
        let error = read::<Task>(body.as_bytes()).unwrap_err();
        format!("{}: {}", error.problems[0].field, error.problems[0].message)
    }

    #[test]
    fn what_is_wrong_is_told_with_the_field_and_what_is_allowed() {
        assert!(problem(r#"{"title": 5}"#).starts_with("title: invalid type: integer"));
        let unknown = problem(r#"{"titel": "x"}"#);
        assert!(unknown.contains("unknown field `titel`, expected one of") && unknown.contains("`title`"), "{unknown}");
        assert!(problem(r#"{"plan": {"steps": [{"id": "a", "needs": 5}]}}"#).starts_with("plan.steps[0].needs: "));
        assert!(problem("{} {}").contains("trailing"));
        assert!(problem(&"[".repeat(100_000)).contains("64 levels"));
    }

    #[test]
    fn camel_case_is_read_too_and_free_json_stays_as_it_is() {
        let (task, camel) = read::<Task>(br#"{"title": "x", "externalId": "e", "payload": {"daysOverdue": 3}}"#).unwrap();
        assert!(camel);
        assert_eq!(task.external_id.as_deref(), Some("e"));
        assert_eq!(task.payload["daysOverdue"], 3);
        let (_, camel) = read::<Task>(br#"{"title": "x", "payload": {"daysOverdue": 3}}"#).unwrap();
        assert!(!camel);
    }
}
