//! Bodies that say what changes: the words may stand in `changes` or beside the other fields, and an agent may go by its own name.

use crate::api::ApiError;
use crate::http::agents::found;
use crate::http::auth::{Caller, Principal};
use crate::http::body::{read_as, received};
use crate::http::server::Server;
use axum::extract::{FromRequest, Request};
use ephor_core::id::AgentId;
use ephor_core::plan::Problem as FieldProblem;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The fields that stand in `changes`.
const WORDS: [&str; 6] = ["reason", "title", "description", "requirements", "resource_limits", "constitutional_basis"];

/// What a body may be brought into.
pub(super) trait Words {
    /// Whether it has its words in `changes`.
    const CHANGES: bool;
}

/// A JSON body of that kind, read into `T`.
pub(super) struct Flat<T>(pub(super) T);

impl<T: Words + DeserializeOwned> FromRequest<Arc<Server>> for Flat<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, server: &Arc<Server>) -> Result<Self, ApiError> {
        let who = request.extensions().get::<Caller>().cloned();
        let (bytes, wanted) = received(request, server).await?;
        let reshape = |map: &mut Map<String, Value>| {
            let gathered = T::CHANGES && gather(map)?;
            Ok(named(map, server, who.as_ref().map(|who| &*who.0))? || gathered)
        };
        let (value, camel) = read_as(&bytes, reshape)?;
        if let (true, Some(wanted)) = (camel, wanted) {
            wanted.camel_unless_said();
        }
        Ok(Self(value))
    }
}

/// Brings words that stand beside the other fields into `changes`. Says whether there were any.
fn gather(map: &mut Map<String, Value>) -> Result<bool, FieldProblem> {
    let beside: Vec<(&str, Value)> = WORDS.into_iter().filter_map(|word| Some((word, map.remove(word)?))).collect();
    let any = !beside.is_empty();
    if any {
        let changes = map.entry("changes").or_insert_with(|| Value::Object(Map::new()));
        let changes = changes.as_object_mut().ok_or_else(|| FieldProblem::new("changes", "has to be a JSON object"))?;
        for (word, value) in beside {
            if changes.insert(word.to_owned(), value).is_some() {
                return Err(FieldProblem::new(word, "stands in `changes` as well; give one of them"));
            }
        }
    }
    Ok(any)
}

/// Puts the id of an agent in the place of its own name. Says whether there was one.
fn named(map: &mut Map<String, Value>, server: &Server, who: Option<&Principal>) -> Result<bool, FieldProblem> {
    let Some(name) = map.get("agent").and_then(Value::as_str).filter(|name| name.parse::<AgentId>().is_err()) else {
        return Ok(false);
    };
    let agent = who.and_then(|who| found(server, who, name).ok());
    let agent = agent.ok_or_else(|| FieldProblem::new("agent", format!("there is no agent {name:?}")))?;
    map.insert("agent".into(), agent.id.to_string().into());
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_beside_the_others_are_brought_to_their_place_and_never_lost() {
        let gathered = |json: Value| {
            let Value::Object(mut map) = json else { panic!("an object") };
            gather(&mut map).map(|any| (any, Value::Object(map))).map_err(|problem| problem.field)
        };
        let apart = json!({"priority": "LOW", "changes": {"description": "a"}, "reason": "b"});
        let whole = json!({"priority": "LOW", "changes": {"description": "a", "reason": "b"}});
        assert_eq!(gathered(apart).unwrap(), (true, whole.clone()));
        assert_eq!(gathered(whole.clone()).unwrap(), (false, whole));
        assert_eq!(gathered(json!({"changes": {"reason": "a"}, "reason": "b"})).unwrap_err(), "reason");
        assert_eq!(gathered(json!({"changes": 5, "title": "b"})).unwrap_err(), "changes");
    }
}
