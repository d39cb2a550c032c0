//! Bodies of requests: JSON into a wire type, with the field named where something is wrong. What is written in camelCase is read as
//! well, and answered alike.

use super::case::{self, Wanted};
use super::words;
use crate::api::{ApiError, Kind};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use ephor_core::plan::Problem as FieldProblem;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::time::Duration;

/// How deep JSON may be nested (promise 28).
const DEPTH_MAX: usize = 64;

/// How long a body may take to arrive, as the server is set; it comes with the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(pub(crate) Duration);

impl Patience {
    /// That of this request.
    pub(crate) fn of(request: &Request) -> Duration {
        // Every request has one, put there on its way in; without, it is at once too late.
        request.extensions().get::<Self>().map(|patience| patience.0).unwrap_or_default()
    }
}

/// A JSON body, read into `T`.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (bytes, wanted) = received(request, state).await?;
        let (value, camel) = read(&bytes)?;
        if let (true, Some(wanted)) = (camel, wanted) {
            wanted.camel_unless_said();
        }
        Ok(Self(value))
    }
}

/// A body of JSON as it came, and the case its answer is wanted in.
pub(crate) async fn received<S: Send + Sync>(request: Request, state: &S) -> Result<(Bytes, Option<Wanted>), ApiError> {
    is_json(request.headers())?;
    let wanted = request.extensions().get::<Wanted>().cloned();
    let reading = tokio::time::timeout(Patience::of(&request), Bytes::from_request(request, state));
    Ok((reading.await.map_err(|_| too_slow())?.map_err(unreadable)?, wanted))
}

/// Another type than JSON could be sent by any page in a browser without asking first.
pub(crate) fn is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
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
            .because("docs/operations.md says how large each may be; batches and payloads have routes of their own"),
        _ => ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "the body could not be read").because(rejection),
    }
}

/// Reads JSON. Says whether it was written in camelCase. The ordinary case, snake_case with words in capitals, is read in one go.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, bool), ApiError> {
    read_as(bytes, |_| Ok(false))
}

/// What is written as it is inside, read in one go; `None` for whatever is not, or is wrong.
pub(crate) fn plain<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let is_object = bytes.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|b| *b == b'{');
    if is_object && !too_deep(bytes) { serde_json::from_slice(bytes).ok() } else { None }
}

/// The same for what may also come in an older form: `reshape` brings that into the present one, and says whether it had to.
pub(crate) fn read_as<T: DeserializeOwned>(
    bytes: &[u8],
    reshape: impl FnOnce(&mut Map<String, Value>) -> Result<bool, FieldProblem>,
) -> Result<(T, bool), ApiError> {
    let begin = bytes.iter().position(|b| !b.is_ascii_whitespace());
    let bytes = if begin.is_none() { b"{}".as_slice() } else { bytes };
    // A list would be read as the fields in the order in which they happen to stand in the code.
    if begin.is_some_and(|at| bytes[at] == b'[') {
        return Err(ApiError::invalid("the request was refused", vec![FieldProblem::new("body", "has to be a JSON object")]));
    }
    not_too_deep(bytes)?;
    let error = match parse(serde_json::Deserializer::from_slice(bytes)) {
        Ok(value) => return Ok((value, false)),
        Err(error) => error,
    };
    // Otherwise written, or wrong: which of them the fields will tell. A field given twice is always wrong.
    let Ok(mut json) = serde_json::from_slice::<Once>(bytes).map(|once| once.0) else { return Err(error) };
    let as_written = |problem| ApiError::invalid("the request was refused", vec![problem]);
    let camel = case::to_snake(&mut json).map_err(as_written)?;
    let reshaped = match json.as_object_mut() {
        Some(map) => reshape(map).map_err(|problem| written(as_written(problem), camel))?,
        None => false,
    };
    if !(words::as_inside(&mut json) || camel || reshaped) {
        return Err(error);
    }
    let value = serde_path_to_error::deserialize(json);
    Ok((value.map_err(|e| written(wrong(&e.path().to_string(), e.inner()), camel))?, camel))
}

/// The same trouble, with its fields as the caller writes them.
fn written(mut error: ApiError, camel: bool) -> ApiError {
    if camel {
        error.problems.iter_mut().for_each(|problem| problem.field = case::path_in_camel(&problem.field));
    }
    error
}

/// JSON in which no field is given twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let Once(value) = fields.next_value()?;
            if map.contains_key(&name) {
                return Err(serde::de::Error::custom(format_args!("duplicate field `{name}`")));
            }
            map.insert(name, value);
        }
        Ok(map.into())
    }
}

fn parse<'de, T: DeserializeOwned>(mut json: serde_json::Deserializer<serde_json::de::SliceRead<'de>>) -> Result<T, ApiError> {
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| wrong(&e.path().to_string(), e.inner()))?;
    json.end().map_err(|e| wrong("body", &e))?;
    Ok(value)
}

/// Reads JSON that may be anything: its words are nobody's business, and nothing in it is renamed.
pub(crate) fn read_free(bytes: &[u8]) -> Result<Value, ApiError> {
    not_too_deep(bytes)?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(Value::Null),
        false => serde_json::from_slice(bytes).map_err(|e| wrong("body", &e)),
    }
}

fn not_too_deep(bytes: &[u8]) -> Result<(), ApiError> {
    if too_deep(bytes) {
        let why = format!("at most {DEPTH_MAX} levels are allowed");
        return Err(ApiError::invalid("the body is nested too deeply", vec![FieldProblem::new("body", why)]));
    }
    Ok(())
}

/// What is wrong, by the path of the field.
fn wrong(path: &str, error: &serde_json::Error) -> ApiError {
    let mut why = error.to_string();
    // A word that brings more with it is the one field of an object.
    if why.contains("invalid type: unit variant, expected") {
        why = format!("{why}; write the word as the field of an object: {{\"SUCCEEDED\": {{}}}}");
    }
    // What is missing has no place of its own: it is named below the place it is missed in.
    let missing = why.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = match (path, missing) {
        (".", Some(missing)) => missing.to_owned(),
        (path, Some(missing)) => format!("{path}.{missing}"),
        (".", None) => "body".to_owned(),
        (path, None) => path.to_owned(),
    };
    ApiError::invalid("the request was refused", vec![FieldProblem::new(field, why)])
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
        assert!(problem(&"{\"a\":".repeat(100_000)).contains("64 levels"));
        assert!(problem("[]").contains("object"));
        assert!(problem(r#"{"title": "x", "plan": {"steps": [{"gates": [{}]}]}}"#).starts_with("plan.steps[0].gates[0].kind: "));
        // As the caller wrote it.
        assert!(problem(r#"{"title": "x", "maxRetries": "many"}"#).starts_with("maxRetries: "));
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
