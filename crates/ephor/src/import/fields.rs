//! Reading fields of foreign JSON: what is there, of which type, and a fault with the path where it is another.

use super::error::Fault;
use serde_json::{Map, Value};

/// An object of a foreign document.
pub(super) type Fields = Map<String, Value>;

/// The value as an object.
pub(super) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Fields, Fault> {
    value.as_object().ok_or_else(|| wrong(path, "an object", value))
}

/// The value as a list; nothing is an empty one.
pub(super) fn list<'a>(value: Option<&'a Value>, path: &str) -> Result<&'a [Value], Fault> {
    match value {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(wrong(path, "a list", other)),
    }
}

/// The first of these fields that holds any text; numbers and truth values are read as people wrote them.
pub(super) fn text(fields: &Fields, keys: &[&str]) -> Option<String> {
    keys.iter().filter_map(|key| fields.get(*key)).find_map(scalar)
}

/// A plain value as text; nothing, empty text, lists and objects are none.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The plain values of a list, or the one that stands in its place.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(scalar).collect(),
        Some(other) => scalar(other).into_iter().collect(),
        None => Vec::new(),
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The fault of a value that is of another type than it must be.
pub(super) fn wrong(path: &str, expected: &str, found: &Value) -> Fault {
    Fault::field(path, format!("expected {expected}, found {}", kind(found)))
}
