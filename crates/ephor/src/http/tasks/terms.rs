//! The terms under which something is asked, from the headers: for which version it was meant (`If-Match`), and under which key it may
//! be said again without being done again (`Idempotency-Key`).

use crate::api::{ApiError, Kind};
use crate::http::auth::Principal;
use crate::http::server::Server;
use crate::local::{blocking, store};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use ephor_core::ask::Ask;
use ephor_core::command::Refusal;
use ephor_core::id::TaskId;
use ephor_core::plan::Problem as FieldProblem;
use ephor_engine::Idempotency;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The longest key of a caller.
const KEY_MAX: usize = 255;
const KEY: &str = "Idempotency-Key";

/// Under which terms something is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The version of the task it is meant for; any where it is missing.
    pub(crate) version: Option<u64>,
    key: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Terms {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self { version: version(&parts.headers)?, key: key(&parts.headers)? })
    }
}

impl Terms {
    /// Refuses when the task is at another version than it is meant for.
    pub(super) async fn hold(&self, server: &Server, task: TaskId) -> Result<(), ApiError> {
        let Some(expected) = self.version else { return Ok(()) };
        let reader = server.engine().reader();
        let head = blocking(move || reader.head(task.into()).map_err(store)).await?;
        match head {
            Some(head) if head.version != expected => {
                Err(ApiError::refused(Refusal::VersionConflict { is: head.version, expected }, task))
            }
            // What does not exist is found out by who asks it something.
            Some(_) | None => Ok(()),
        }
    }

    /// The terms as the engine takes them, for something asked of a task.
    pub(super) fn of(&self, who: &Principal, task: TaskId, ask: &Ask) -> ephor_engine::Terms {
        // What is asked names itself.
        let word = serde_json::to_value(ask).ok().and_then(|said| said["ask"].as_str().map(str::to_owned)).unwrap_or_default();
        let idempotency = self.idempotency(who, &format!("POST /tasks/{task}/{word}"), ask);
        ephor_engine::Terms { version: self.version, idempotency }
    }

    /// Whether it was said with a key.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The same for one of many in a request: the key of that, and its place.
    pub(super) fn idempotency_of(
        &self,
        who: &Principal,
        route: &str,
        place: usize,
        body: &impl Serialize,
    ) -> Option<Idempotency> {
        let whole = self.idempotency(who, route, body)?;
        // A key holds no line feed.
        Some(Idempotency { key: format!("{}\n{place}", whole.key), ..whole })
    }

    /// The key as the engine keeps it: nobody meets the key of somebody else, nor their own of another route.
    pub(crate) fn idempotency(&self, who: &Principal, route: &str, body: &impl Serialize) -> Option<Idempotency> {
        let key = self.key.as_ref()?;
        let namespace = who.namespace.as_deref().unwrap_or("*");
        let body = serde_json::to_vec(body).expect("a request is plain data");
        let digest = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Idempotency { key: format!("idem:{namespace}\n{}\n{route}\n{key}", who.name), digest })
    }
}

fn version(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(said) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = said.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    match (bare, bare.parse()) {
        ("*", _) => Ok(None),
        (_, Ok(version)) => Ok(Some(version)),
        (_, Err(_)) => Err(wrong("If-Match", "the version of a task, as its ETag says it: \"12\"")),
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(said) = headers.get(KEY) else { return Ok(None) };
    let key = said.as_bytes();
    match !key.is_empty() && key.len() <= KEY_MAX && key.iter().all(u8::is_ascii_graphic) {
        true => Ok(Some(String::from_utf8_lossy(key).into_owned())),
        false => Err(wrong(KEY, "1 to 255 visible ASCII characters")),
    }
}

fn wrong(header: &str, allowed: &str) -> ApiError {
    ApiError {
        problems: vec![FieldProblem::new(header, allowed)],
        ..ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "a header was refused")
    }
}
