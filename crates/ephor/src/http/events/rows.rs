//! Events as an older interface reads them: rows with its own words. What moves a task and is a fact of its own as well is two rows,
//! `<position>.0` and `<position>.1`: first the move, then the fact. What that interface has no word for is not shown.

use crate::api::ApiError;
use crate::http::case::{self, Wanted};
use crate::http::sse::Told;
use axum::http::HeaderMap;
use ephor_core::event::ActorKind;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::status::Status;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::EventView;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What these rows say, in the order in which a task meets them.
pub(super) const WORDS: [&str; 6] = [CREATED, CHANGED, STARTED, COMPLETED, FAILED, CANCELLED];
const CREATED: &str = "TASK_CREATED";
const CHANGED: &str = "TASK_STATUS_CHANGED";
const STARTED: &str = "TASK_EXECUTION_STARTED";
const COMPLETED: &str = "TASK_EXECUTION_COMPLETED";
const FAILED: &str = "TASK_EXECUTION_FAILED";
const CANCELLED: &str = "TASK_CANCELLED";

/// In which form events are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// As they were recorded.
    Events,
    /// As rows of the older interface.
    Rows,
}

impl Form {
    /// The form that is wanted: the one that is named, else the one whose words are asked for.
    pub(super) fn of(named: Option<Self>, types: &[String]) -> Result<Self, ApiError> {
        let older = |word: &&String| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known));
        let (of_rows, others): (Vec<&String>, Vec<&String>) = types.iter().partition(older);
        match (named, of_rows.as_slice(), others.as_slice()) {
            (None | Some(Self::Events), [], _) => Ok(Self::Events),
            (None, _, []) | (Some(Self::Rows), _, []) => Ok(Self::Rows),
            (Some(Self::Events), [word, ..], _) => {
                Err(refused(format!("{word} is a word of form=rows; GET /api/v1/event-types has those of form=events")))
            }
            (None | Some(Self::Rows), _, [word, ..]) => {
                Err(refused(format!("{word} is no word of rows; there are {}", WORDS.join(", "))))
            }
        }
    }
}

fn refused(why: String) -> ApiError {
    ApiError::invalid("the query was refused", vec![FieldProblem::new("type", why)])
}

/// An event as a row of the older interface.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct EventRow {
    /// The position of the event, and which of its rows this is.
    #[schema(examples("4711.0"))]
    id: String,
    /// Whose it is.
    task_id: String,
    /// What happened.
    #[schema(value_type = String, examples("TASK_STATUS_CHANGED"))]
    event_type: &'static str,
    /// Where the task was, in the older words; missing at its birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, examples("SCHEDULED"))]
    old_status: Option<&'static str>,
    /// Where it was then.
    #[schema(value_type = String, examples("IN_PROGRESS"))]
    new_status: &'static str,
    /// The same in the words of today.
    canonical_status: Status,
    /// The kind of who did it.
    actor_type: ActorKind,
    /// Who did it.
    actor_id: String,
    /// The facts of the event, and its word as `event`.
    metadata: Value,
    /// When.
    created_at: WireTime,
}

impl EventRow {
    /// The rows an event is, in order: none, one or two.
    /// `source` is that of the task, which stands in all of them.
    pub(super) fn of(event: &EventView, source: Option<&str>) -> Vec<Self> {
        let Some(after) = event.status_after.filter(|_| event.stream.starts_with("task_")) else { return Vec::new() };
        let (old_status, new_status) = (event.status_before.map(older), older(after));
        let moved = old_status.is_some_and(|old| old != new_status).then_some(CHANGED);
        let mut metadata = match &event.data {
            Value::Object(facts) => facts.clone(),
            Value::Null => serde_json::Map::new(),
            other => serde_json::Map::from_iter([("value".to_owned(), other.clone())]),
        };
        metadata.iter_mut().for_each(|(name, value)| as_instant(name, value));
        metadata.insert("event".into(), json!(event.kind));
        if let Some(source) = source {
            metadata.entry("source").or_insert_with(|| json!(source));
        }
        let row = |(n, event_type): (usize, &'static str)| Self {
            id: format!("{}.{n}", event.position),
            task_id: event.stream.clone(),
            event_type,
            old_status,
            new_status,
            canonical_status: after,
            actor_type: event.actor_type,
            actor_id: event.actor_id.clone(),
            metadata: Value::Object(metadata.clone()),
            created_at: event.at,
        };
        moved.into_iter().chain(fact(event)).enumerate().map(row).collect()
    }

    /// Whether it is one of these; all are where none is named.
    pub(super) fn is_among(&self, types: &[String]) -> bool {
        types.is_empty() || types.iter().any(|word| word.eq_ignore_ascii_case(self.event_type))
    }

    /// Which row it is.
    pub(super) fn place(&self) -> Place {
        Place::read(&self.id).expect("an id of a row is written as one is read")
    }

    /// As it is told in a stream: in camelCase, as this interface writes, unless the query says otherwise.
    pub(super) fn told(&self, wanted: &Wanted) -> Told {
        let mut data = json!(self);
        if wanted.is_camel() {
            case::to_camel(&mut data);
        }
        Told::new(self.event_type, &self.id, data.to_string())
    }
}

/// Writes an instant as this interface reads it, wherever it stands among the facts.
fn as_instant(name: &str, value: &mut Value) {
    match value {
        Value::Number(ms) if name.ends_with("_at") || name == "deadline" => {
            if let Some(ms) = ms.as_i64() {
                *value = json!(WireTime(Time(ms)));
            }
        }
        Value::Object(facts) => facts.iter_mut().for_each(|(name, value)| as_instant(name, value)),
        Value::Array(list) => list.iter_mut().for_each(|value| as_instant(name, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The word for what happened beside the move, where the older interface has one.
fn fact(event: &EventView) -> Option<&'static str> {
    // What is done about a task beside its steps (a plan, a gate, an analysis) is no execution of it.
    let of_a_step = || event.data["work"].as_str().is_some_and(|work| work.starts_with("step:"));
    match event.kind.as_str() {
        "SUBMITTED" => Some(CREATED),
        "ASSIGNED" if event.data["started"] == true && of_a_step() => Some(STARTED),
        "STARTED" if of_a_step() => Some(STARTED),
        "ATTEMPT_SUCCEEDED" if of_a_step() => Some(COMPLETED),
        "ATTEMPT_FAILED" if of_a_step() => Some(FAILED),
        "CANCELLED" | "STOPPED" => Some(CANCELLED),
        _ => None,
    }
}

/// A status in the words of the older interface (S4; the table "Words of each seed").
fn older(status: Status) -> &'static str {
    match status {
        Status::Pending | Status::Deliberating | Status::Stalled => "PENDING",
        Status::Scheduled | Status::Assigned | Status::Paused => "SCHEDULED",
        Status::InProgress | Status::Review | Status::Blocked | Status::Retrying | Status::Escalated => "IN_PROGRESS",
        Status::Completed => "COMPLETED",
        Status::Failed => "FAILED",
        Status::Cancelled | Status::Stopped => "CANCELLED",
    }
}

/// The place of a row among all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    position: u64,
    row: u8,
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        let (position, row) = text.split_once('.')?;
        Some(Self { position: position.parse().ok()?, row: row.parse().ok()? })
    }

    /// The last row a listener heard, where it was one of rows and not a position.
    pub(super) fn last_heard(headers: &HeaderMap) -> Option<Self> {
        headers.get("last-event-id")?.to_str().ok().and_then(|text| Self::read(text.trim()))
    }

    /// The position behind which the feed has to begin, so that the rest of the same event still comes.
    pub(super) fn before(self) -> u64 {
        self.position.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_reader_is_recognised_by_its_words_or_names_its_form() {
        let of = |named, words: &[&str]| Form::of(named, &types(words)).map_err(|e| e.problems[0].to_string());
        assert_eq!(of(None, &[]), Ok(Form::Events));
        assert_eq!(of(None, &["ASSIGNED"]), Ok(Form::Events));
        assert_eq!(of(None, &["task_created", "TASK_STATUS_CHANGED"]), Ok(Form::Rows));
        assert_eq!(of(Some(Form::Rows), &[]), Ok(Form::Rows));
        assert!(of(None, &["TASK_CREATED", "ASSIGNED"]).unwrap_err().contains("ASSIGNED is no word of rows"));
        assert!(of(Some(Form::Rows), &["ASSIGNED"]).unwrap_err().contains("TASK_EXECUTION_FAILED"));
        assert!(of(Some(Form::Events), &["TASK_CREATED"]).unwrap_err().contains("form=rows"));
        // A word of today that begins alike stays one of today.
        assert_eq!(of(None, &["TASK_ATTEMPT_FAILED"]), Ok(Form::Events));
    }

    #[test]
    fn rows_have_an_order_that_their_ids_keep() {
        let place = |text| Place::read(text).unwrap();
        assert!(place("9.1") > place("9.0") && place("10.0") > place("9.1"));
        assert_eq!(place("10.1").before(), 9);
        assert!([Place::read("9"), Place::read("x.1"), Place::read("9.")].iter().all(Option::is_none));
    }
}
