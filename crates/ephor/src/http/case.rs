//! The case of words: everything inside is snake_case; who asks in camelCase is answered in camelCase, and `?case=` overrides.
//! What callers wrote themselves (payloads, parameters, outputs) is never touched.

use crate::api::ApiError;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ephor_core::plan::Problem as FieldProblem;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Free JSON of callers and agents: below these names nothing is renamed.
pub(crate) const FREE: [&str; 16] = [
    "payload",
    "context",
    "params",
    "with",
    "output",
    "output_data",
    "outputs",
    "metrics",
    "private",
    "subject",
    "resource_limits",
    "result",
    "env",
    "specialized_models",
    "models_by_type",
    "prices",
];
/// The largest answer whose words are renamed; lists are cut into pages well below it.
const ANSWER_MAX: usize = 64 << 20;

const AS_ASKED: u8 = 0;
const SNAKE: u8 = 1;
const CAMEL: u8 = 2;

/// The case an answer is wanted in; set by the query, else by the body.
#[derive(Clone)]
pub(crate) struct Wanted(Arc<AtomicU8>);

impl Wanted {
    /// The body was in camelCase; the answer will be too, unless the query says otherwise.
    pub(crate) fn camel_unless_said(&self) {
        // A failed exchange means that the query has said it.
        let _said = self.0.compare_exchange(AS_ASKED, CAMEL, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the answer is wanted in camelCase.
    pub(crate) fn is_camel(&self) -> bool {
        self.0.load(Ordering::Relaxed) == CAMEL
    }
}

/// Marks an answer whose bytes are what they are: another case would be another document.
#[derive(Clone, Copy)]
pub(crate) struct Verbatim;

/// Answers in the case of the request.
pub(crate) async fn answer_alike(mut request: Request, next: Next) -> Response {
    let said = match in_query(request.uri().query().unwrap_or_default()) {
        Ok(said) => said,
        Err(error) => return error.into_response(),
    };
    let wanted = Wanted(Arc::new(AtomicU8::new(said)));
    request.extensions_mut().insert(wanted.clone());
    let response = next.run(request).await;
    if wanted.is_camel() { renamed(response).await } else { response }
}

fn in_query(query: &str) -> Result<u8, ApiError> {
    match query.split('&').find_map(|pair| pair.strip_prefix("case=")) {
        None => Ok(AS_ASKED),
        Some("snake") => Ok(SNAKE),
        Some("camel") => Ok(CAMEL),
        Some(_) => Err(ApiError::invalid("the query was refused", vec![FieldProblem::new("case", "snake or camel")])),
    }
}

/// The same answer in camelCase, where it is JSON.
async fn renamed(response: Response) -> Response {
    let is_json = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|t| t.ends_with("json"));
    if !is_json || response.extensions().get::<Verbatim>().is_some() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, ANSWER_MAX).await else {
        return ApiError::new(crate::api::Kind::Failed, "INTERNAL", "the answer is too large for another case").into_response();
    };
    let Ok(mut json) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    to_camel(&mut json);
    // The fields of a problem are named as the caller writes them.
    for problem in json.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::String(field)) = problem.get_mut("field") {
            *field = path_in_camel(field);
        }
    }
    let body = json.to_string();
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(head, Body::from(body))
}

/// Renames what is in camelCase. Answers whether anything was; a field that is given in both cases is wrong, since one of the two would
/// be lost.
pub(crate) fn to_snake(json: &mut Value) -> Result<bool, FieldProblem> {
    rename(json, &|word| snake(word), &|key, other| {
        Err(FieldProblem::new(other, format!("is given twice, as `{key}` and as `{other}`; give one of them")))
    })
}

/// Renames what is in snake_case.
pub(crate) fn to_camel(json: &mut Value) {
    let renamed = rename(json, &|word| camel(word), &|_, _| Ok(()));
    debug_assert!(renamed.is_ok(), "what is renamed twice is let pass");
}

/// Renames fields. `twice` is asked where two fields would come to have one name; its problem is told with the path of the field.
fn rename(
    json: &mut Value,
    to: &impl Fn(&str) -> Option<String>,
    twice: &impl Fn(&str, &str) -> Result<(), FieldProblem>,
) -> Result<bool, FieldProblem> {
    let below = |at: &str, mut problem: FieldProblem| {
        let dot = if problem.field.starts_with('[') { "" } else { "." };
        problem.field = format!("{at}{dot}{}", problem.field);
        problem
    };
    let mut any = false;
    match json {
        Value::Object(map) => {
            let mut renamed = Map::with_capacity(map.len());
            for (key, mut value) in std::mem::take(map) {
                let other = to(&key);
                any |= other.is_some();
                let free = FREE.contains(&key.as_str()) || other.as_deref().is_some_and(|o| FREE.contains(&o));
                if !free {
                    any |= rename(&mut value, to, twice).map_err(|problem| below(other.as_ref().unwrap_or(&key), problem))?;
                }
                let name = other.as_ref().unwrap_or(&key);
                if renamed.contains_key(name) {
                    // Whichever of the two came first, it is told by its other spelling.
                    twice(&camel(name).unwrap_or_else(|| key.clone()), name)?;
                }
                renamed.insert(other.unwrap_or(key), value);
            }
            *map = renamed;
        }
        Value::Array(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                any |= rename(item, to, twice).map_err(|problem| below(&format!("[{place}]"), problem))?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(any)
}

/// `externalId` as `external_id`; `None` where nothing changes. Words in capitals, and names of things, are no camelCase.
pub(crate) fn snake(word: &str) -> Option<String> {
    let camel = word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric())
        && word.chars().any(|c| c.is_ascii_uppercase());
    camel.then(|| {
        let mut text = String::with_capacity(word.len() + 4);
        for letter in word.chars() {
            if letter.is_ascii_uppercase() {
                text.push('_');
            }
            text.push(letter.to_ascii_lowercase());
        }
        text
    })
}

/// `external_id` as `externalId`; `None` where nothing changes.
fn camel(word: &str) -> Option<String> {
    let snake = word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    snake.then(|| {
        let mut parts = word.split('_');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let mut letters = part.chars();
            text.extend(letters.next().map(|c| c.to_ascii_uppercase()));
            text.push_str(letters.as_str());
        }
        text
    })
}

/// `plan.steps[0].retry_policy` as `plan.steps[0].retryPolicy`.
pub(crate) fn path_in_camel(path: &str) -> String {
    let part = |part: &str| {
        let (name, index) = part.split_once('[').map_or((part, String::new()), |(name, rest)| (name, format!("[{rest}")));
        camel(name).unwrap_or_else(|| name.to_owned()) + &index
    };
    path.split('.').map(part).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_change_their_case_and_free_json_does_not() {
        let mut json = json!({"subjectRefId": "x", "payload": {"dueDate": 1}, "steps": [{"maxAttempts": 2}], "ID": 1});
        assert!(to_snake(&mut json).unwrap());
        assert_eq!(json, json!({"subject_ref_id": "x", "payload": {"dueDate": 1}, "steps": [{"max_attempts": 2}], "ID": 1}));
        assert!(!to_snake(&mut json).unwrap());
        to_camel(&mut json);
        assert_eq!(json["subjectRefId"], "x");
        assert_eq!(json["steps"][0]["maxAttempts"], 2);
    }

    #[test]
    fn a_field_in_both_cases_is_told_with_its_path_and_none_is_lost() {
        for mut json in [json!({"taskType": "a", "task_type": "b"}), json!({"task_type": "b", "taskType": "a"})] {
            let problem = to_snake(&mut json).unwrap_err();
            assert_eq!(problem.field, "task_type");
            assert!(problem.message.contains("`taskType` and as `task_type`"), "{}", problem.message);
        }
        let mut deep = json!({"plan": {"steps": [{"a": 1}, {"maxAttempts": 1, "max_attempts": 2}]}});
        assert_eq!(to_snake(&mut deep).unwrap_err().field, "plan.steps[1].max_attempts");
        assert!(to_snake(&mut json!({"payload": {"dueDate": 1, "due_date": 2}})).is_ok(), "free JSON is its author's");
    }
}
