//! Words of closed sets: written in capitals inside, read in any case. `high` and `dry-run` are `HIGH` and `DRY_RUN`.

use super::case::FREE;
use serde_json::Value;

/// Fields that hold a word, or words, in capitals.
const CAPITAL: [&str; 15] = [
    "priority",
    "execution_mode",
    "autonomy",
    "risk",
    "risk_level",
    "vote",
    "decision",
    "outcome",
    "actor_type",
    "kind",
    "severity",
    "severity_threshold",
    "class",
    "never_on",
    "complexity",
];
/// Fields that hold a word in small letters.
const SMALL: [&str; 2] = ["on_unknown", "on_agent_lost"];

/// Writes the words in a request as they are written inside. Answers whether any was written otherwise.
pub(crate) fn as_inside(json: &mut Value) -> bool {
    match json {
        Value::Object(map) => map.iter_mut().fold(false, |any, (name, value)| {
            let changed = match name.as_str() {
                name if CAPITAL.contains(&name) => each(value, &|word| word.to_ascii_uppercase()) | as_inside(value),
                name if SMALL.contains(&name) => each(value, &|word| word.to_ascii_lowercase()),
                name if FREE.contains(&name) => false,
                _ => as_inside(value),
            };
            any | changed
        }),
        Value::Array(items) => items.iter_mut().fold(false, |any, item| as_inside(item) | any),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Rewrites a word, or each word of a list.
fn each(value: &mut Value, to: &impl Fn(&str) -> String) -> bool {
    match value {
        Value::String(word) => {
            let inside = to(word.trim()).replace(['-', ' '], "_");
            let changed = inside != *word;
            *word = inside;
            changed
        }
        Value::Array(words) => words.iter_mut().fold(false, |any, word| each(word, to) | any),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_are_read_in_any_case_and_texts_stay_as_they_are() {
        let mut json = json!({"priority": "high", "execution_mode": "dry-run", "title": "high", "payload": {"priority": "low"}});
        assert!(as_inside(&mut json));
        assert_eq!(
            json,
            json!({"priority": "HIGH", "execution_mode": "DRY_RUN", "title": "high", "payload": {"priority": "low"}})
        );
        assert!(!as_inside(&mut json));
    }
}
