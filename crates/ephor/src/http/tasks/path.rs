//! The task a path names: by id, a unique beginning of it, its external id, or `@last`; `?source=` and `?namespace=` decide between those
//! of one name. What the caller may not see does not exist: it is neither found, nor in the way of what they mean.

use crate::api::{ApiError, Kind};
use crate::http::auth::{Caller, Principal};
use crate::http::server::Server;
use crate::local::{Apart, Within, blocking, only, unknown};
use axum::extract::{FromRequestParts, MatchedPath, Path};
use axum::http::request::Parts;
use ephor_core::id::TaskId;
use std::collections::HashMap;
use std::sync::Arc;

/// The parameters that say which task of a name is meant, on every path that names one.
pub(crate) const NARROWING: [&str; 2] = ["source", "namespace"];
/// How many of its pieces of work are looked at for the newest task of an agent that reaches no others.
const HELD_MAX: usize = 1_000;

/// The task that `{id}` names.
pub(crate) struct TaskPath(pub(crate) TaskId);

/// Whether a path names a task.
pub(crate) fn names_a_task(path: &str) -> bool {
    path.contains("/tasks/{id}") || path.contains("/executions/{id}")
}

impl FromRequestParts<Arc<Server>> for TaskPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, ApiError> {
        let Caller(who) = Caller::from_request_parts(parts, server).await?;
        let wrong = |e| ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "the path could not be read").because(e);
        let Path(names) = Path::<HashMap<String, String>>::from_request_parts(parts, server).await.map_err(wrong)?;
        let name = names.get("id").map(String::as_str).unwrap_or_default();
        let mut within = Within::default();
        for (parameter, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            match &*parameter {
                "source" => within.source = Some(value.into_owned()),
                "namespace" => within.namespace = Some(value.into_owned()),
                _ => {}
            }
        }
        if let Ok(task) = name.parse::<TaskId>()
            && who.namespace.is_none()
            && who.agent_alone().is_none()
            && within == Within::default()
        {
            // Whoever may see all need not be looked up twice: the handler finds out whether it exists.
            return Ok(Self(task));
        }
        let route = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let again = |apart: &Apart| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(apart.namespace.iter().map(|name| ("namespace", name)));
            query.extend_pairs(apart.source.iter().map(|source| ("source", source)));
            match query.finish().as_str() {
                "" => format!("{} {}", parts.method, route.replace("{id}", &apart.id.to_string())),
                query => format!("{} {}?{query}", parts.method, route.replace("{id}", &encoded(name))),
            }
        };
        Self::meant(server, &who, name, within, again).await.map(Self)
    }
}

impl TaskPath {
    /// The task a name means to this caller; of several, `again` says how to ask for each.
    pub(crate) async fn meant(
        server: &Server,
        who: &Principal,
        name: &str,
        mut within: Within,
        again: impl Fn(&Apart) -> String,
    ) -> Result<TaskId, ApiError> {
        let alone = who.agent_alone();
        if let Some(own) = who.namespace.as_deref() {
            if within.namespace.as_deref().is_some_and(|asked| asked != own) {
                return Err(unknown(name));
            }
            within.namespace = Some(own.into());
        }
        let newest = match (alone, name) {
            // The newest of those it reaches.
            (Some(agent), "@last") => server.engine().leases_of(agent, HELD_MAX).iter().map(|l| l.task).max(),
            _ => None,
        };
        let (look, wanted) = (server.look().clone(), newest.map_or_else(|| name.to_owned(), |task| task.to_string()));
        let mut found = blocking(move || look.meant(&wanted, within)).await?;
        if let Some(agent) = alone {
            let mut reached = Vec::new();
            for listed in found {
                let Some(task) = listed.stream.task() else { continue };
                let reaches = server.engine().holds_any_of(agent, task)
                    || super::read::side(server, task, move |task| task.is_of(agent)).await.unwrap_or(false);
                reached.extend(reaches.then_some(listed));
            }
            found = reached;
        }
        only(name, &found, again)
    }

    /// The same where a parameter names it.
    pub(crate) async fn of(server: &Server, who: &Principal, parameter: &str, name: &str) -> Result<TaskId, ApiError> {
        Self::meant(server, who, name, Within::default(), |apart| format!("{parameter}={}", apart.id)).await
    }
}

/// A name as a segment of a path.
fn encoded(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b':' | b'@');
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
