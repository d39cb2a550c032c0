//! Keys in the engine: made, taken back, and read from the streams of their namespaces. In the store is only their SHA-256.

use super::api::trouble;
use super::look::store;
use super::token;
use crate::api::{ApiError, Kind};
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, KeyId, StreamKind};
use ephor_core::key::{Key, KeyView, MadeKey, NewKey};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::plan::Problem;
use ephor_core::time::{Time, WireTime};
use ephor_engine::Engine;
use ephor_engine::store::{Reader, StoreError, StoredEvent};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The stream of keys that are for every namespace. No namespace can be named so.
const EVERYWHERE: &str = "*";
/// How many streams or events are read at once.
const PAGE: u32 = 1_000;
/// How many keys there may be that are worth something.
const KEYS_MAX: usize = 10_000;

/// A key, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) key: Key,
    pub(crate) created_at: Time,
    pub(crate) revoked_at: Option<Time>,
}

impl Known {
    /// Whether it is worth something.
    pub(crate) fn is_good(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.key.expires_at.is_none_or(|at| at > now)
    }

    /// As outsiders see it.
    pub(crate) fn view(&self) -> KeyView {
        KeyView {
            id: self.key.id,
            name: self.key.name.to_string(),
            roles: self.key.roles.clone(),
            namespace: self.key.namespace.as_deref().map(str::to_owned),
            agent: self.key.agent,
            created_at: WireTime(self.created_at),
            expires_at: self.key.expires_at.map(WireTime),
            revoked_at: self.revoked_at.map(WireTime),
        }
    }
}

/// Every key there ever was, in the order they were made.
pub(crate) fn read(reader: &dyn Reader) -> Result<Vec<Known>, ApiError> {
    let mut keys = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = reader.streams(StreamKind::Namespace, after, PAGE).map_err(store)?;
        let Some(last) = page.last() else { break };
        after = last.number;
        for listed in page {
            let mut version = 0;
            loop {
                let events = reader.stream_events(listed.stream, version, PAGE).map_err(store)?;
                let Some(last) = events.last() else { break };
                version = last.version;
                for event in events.iter().filter(|e| e.kind.starts_with("KEY_")) {
                    take_in(&mut keys, event).map_err(store)?;
                }
            }
        }
    }
    Ok(keys.into_values().collect())
}

fn take_in(keys: &mut BTreeMap<KeyId, Known>, stored: &StoredEvent) -> Result<(), StoreError> {
    let corrupt =
        |why: serde_json::Error| StoreError::Corrupt { stream: stored.stream, version: stored.version, why: why.to_string() };
    match serde_json::from_str(&stored.data).map_err(corrupt)? {
        NamespaceEvent::KeyCreated(key) => {
            keys.insert(key.id, Known { key: *key, created_at: Time(stored.at), revoked_at: None });
        }
        NamespaceEvent::KeyRevoked { id } => {
            if let Some(known) = keys.get_mut(&id) {
                known.revoked_at = Some(Time(stored.at));
            }
        }
        NamespaceEvent::SubmissionRefused { .. }
        | NamespaceEvent::BreakerOpened { .. }
        | NamespaceEvent::BreakerHalfOpened { .. }
        | NamespaceEvent::BreakerClosed { .. }
        | NamespaceEvent::HoldPlaced(_)
        | NamespaceEvent::HoldReleased(_)
        | NamespaceEvent::HoldLifted { .. }
        | NamespaceEvent::LimitSet(_)
        | NamespaceEvent::LimitRemoved { .. } => {}
    }
    Ok(())
}

/// Makes a key: its digest is written, itself is in the answer and nowhere else.
pub(crate) async fn make(
    engine: &Engine,
    wish: &NewKey,
    agent: Option<AgentId>,
    known: &[Known],
    actor: Actor,
) -> Result<(Known, MadeKey), ApiError> {
    let now = engine.now();
    let mut problems = wish.problems();
    let good = || known.iter().filter(|k| k.is_good(now));
    if good().any(|k| *k.key.name == *wish.name) {
        problems.push(Problem::new("name", "a key of this name is in use; revoke it first, or choose another"));
    }
    if good().count() >= KEYS_MAX {
        return Err(ApiError::new(Kind::Busy, "LIMIT_REACHED", format!("there are {KEYS_MAX} keys already")));
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid("the key was refused", problems));
    }
    let secret = token::random("key")?;
    let mut roles = wish.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    let key = Key {
        id: engine.new_key_id(),
        name: wish.name.as_str().into(),
        digest: digest(&secret).into(),
        roles,
        namespace: wish.namespace.as_deref().map(Into::into),
        agent,
        expires_at: wish.expires_in.map(|length| now.plus(length.ms)),
    };
    let event = NamespaceEvent::KeyCreated(Box::new(key.clone()));
    engine.namespace(stream_of(&key), event, actor).await.map_err(|e| trouble(e, None))?;
    let known = Known { key, created_at: now, revoked_at: None };
    let made = MadeKey { key: secret, view: known.view() };
    Ok((known, made))
}

/// Takes a key back; again changes nothing.
pub(crate) async fn revoke(engine: &Engine, known: Known, actor: Actor) -> Result<Known, ApiError> {
    if known.revoked_at.is_some() {
        return Ok(known);
    }
    let event = NamespaceEvent::KeyRevoked { id: known.key.id };
    engine.namespace(stream_of(&known.key), event, actor).await.map_err(|e| trouble(e, None))?;
    Ok(Known { revoked_at: Some(engine.now()), ..known })
}

/// The agent a key is wished for, by id or by its own name.
pub(crate) fn agent_of(engine: &Engine, wish: &NewKey) -> Result<Option<AgentId>, ApiError> {
    let Some(name) = wish.agent.as_deref() else { return Ok(None) };
    let id = name.parse().ok().or_else(|| engine.agent_named(name));
    let agent = id.and_then(|id| engine.agent_of(id));
    let agent = agent.ok_or_else(|| ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no agent {name:?}")))?;
    let of = agent.registration.as_ref().and_then(|said| said.namespace.as_deref());
    match of == wish.namespace.as_deref() {
        true => Ok(Some(agent.id)),
        false => {
            let why = format!("the agent works for {}, and so has its key", of.unwrap_or("every namespace"));
            Err(ApiError::invalid("the key was refused", vec![Problem::new("namespace", why)]))
        }
    }
}

fn stream_of(key: &Key) -> &str {
    key.namespace.as_deref().unwrap_or(EVERYWHERE)
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(secret: &str) -> String {
    Sha256::digest(secret).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
