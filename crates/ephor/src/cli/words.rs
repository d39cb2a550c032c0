//! Words on the command line: read in any case, with the names of the wire, and with what is allowed where they make no sense.

use ephor_core::budget::Budget;
use ephor_core::time::{Time, WireTime};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::net::{SocketAddr, ToSocketAddrs};

/// A word of a fixed set: `high`, `HIGH`, `modify-scope`.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let screaming = text.trim().to_ascii_uppercase().replace(['-', ' '], "_");
    serde_json::from_value(Value::String(screaming)).map_err(|e| e.to_string().to_lowercase())
}

/// A status, in the words of other systems too.
pub(super) fn status(text: &str) -> Result<ephor_core::status::Status, String> {
    ephor_core::status::Status::read(text).ok_or_else(|| {
        let all: Vec<&str> = ephor_core::status::Status::ALL.iter().map(|s| s.word()).collect();
        format!("{text:?} is no status; there are {}", all.join(", ").to_lowercase())
    })
}

/// An instant: RFC 3339, or a day, which means its end.
pub(super) fn time(text: &str) -> Result<WireTime, String> {
    Time::parse(text).map(WireTime)
}

/// An instant at which something begins: RFC 3339, or a day, which means its start.
pub(super) fn start(text: &str) -> Result<WireTime, String> {
    Time::parse_start(text).map(WireTime)
}

/// Where to listen: an address or a name of a host, with a port. A name is looked up; of its addresses one of this machine alone is taken
/// first.
pub(super) fn place(text: &str) -> Result<SocketAddr, String> {
    let wrong = "is no place to listen; write it as 127.0.0.1:4000 or localhost:4000";
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let found = text.to_socket_addrs().map_err(|error| format!("{text:?} {wrong}: {error}"))?;
    found.min_by_key(|at| (!at.ip().is_loopback(), at.is_ipv6())).ok_or_else(|| format!("{text:?} {wrong}"))
}

/// A type of event of tasks, in any case.
pub(super) fn event_type(text: &str) -> Result<String, String> {
    let word = text.trim().to_ascii_uppercase().replace('-', "_");
    let known = crate::http::task_words();
    match known.contains(&word) {
        true => Ok(word),
        false => Err(format!("{text:?} is no type of event; there are {}", known.join(", "))),
    }
}

/// `name=value`; the value is JSON where it reads as JSON, else text.
pub(super) fn pair(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it as name=value")?;
    Ok((name.to_owned(), value_of(value)))
}

/// A word of a fixed set that is written in small letters: `degrade-model`.
pub(super) fn small<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let small = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    serde_json::from_value(Value::String(small)).map_err(|e| e.to_string())
}

/// A budget by its limits: `tokens=1000`; none where nothing is said.
pub(super) fn budget(said: Vec<(String, Value)>) -> Result<Option<Budget>, String> {
    if said.is_empty() {
        return Ok(None);
    }
    serde_json::from_value(Value::Object(object(said))).map(Some).map_err(|e| format!("--budget: {e}"))
}

/// `MODEL` for steps of every type, `TYPE=MODEL` for those of one.
pub(super) fn model(text: &str) -> Result<(Box<str>, Box<str>), String> {
    let (of, name) = text.split_once('=').unwrap_or(("*", text));
    match of.is_empty() || name.is_empty() {
        true => Err("write it as MODEL or TYPE=MODEL".into()),
        false => Ok((of.into(), name.into())),
    }
}

/// A choice of the command line, from a file: `table`.
pub(super) fn choice<T: clap::ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, true)
}

/// How a choice is written.
pub(super) fn name_of<T: clap::ValueEnum>(choice: &T) -> String {
    choice.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

/// JSON where it reads as JSON, else text.
pub(super) fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// A JSON object.
pub(super) fn json_object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|e| format!("no JSON object: {e}"))
}

/// Pairs as an object.
pub(super) fn object(pairs: Vec<(String, Value)>) -> Map<String, Value> {
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::event::DecisionWord;
    use ephor_core::spec::Priority;

    #[test]
    fn words_are_read_in_any_case_and_a_wrong_one_is_told_what_is_allowed() {
        assert_eq!(word::<Priority>("high"), Ok(Priority::High));
        assert_eq!(word::<DecisionWord>("modify-scope"), Ok(DecisionWord::ModifyScope));
        assert!(word::<Priority>("higher").unwrap_err().contains("critical"));
        assert_eq!(pair("n=3"), Ok(("n".into(), 3.into())));
        assert_eq!(pair("x=a=b"), Ok(("x".into(), "a=b".into())));
        assert!(pair("=b").is_err() && pair("b").is_err());
    }

    #[test]
    fn a_place_to_listen_may_be_a_name_and_a_type_of_event_is_a_known_one() {
        let at = place("localhost:4000").unwrap();
        assert!(at.ip().is_loopback() && at.port() == 4000, "{at}");
        assert_eq!(place("0.0.0.0:1").unwrap().to_string(), "0.0.0.0:1");
        assert!(place("localhost").unwrap_err().contains("localhost:4000"));
        assert_eq!(event_type("attempt-failed"), Ok("ATTEMPT_FAILED".into()));
        assert!(event_type("exploded").unwrap_err().contains("COMPLETED"));
    }
}
