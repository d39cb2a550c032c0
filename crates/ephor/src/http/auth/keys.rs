//! The keys of this server in memory: read from the streams of the namespaces at the start, and kept as they change. Nobody else changes
//! them meanwhile, since one engine has the database.

use super::principal::{Principal, Shown};
use crate::api::{ApiError, Kind};
use crate::local::keys::{self, Known};
use ephor_core::event::{Actor, ActorKind};
use ephor_core::id::{AgentId, KeyId};
use ephor_core::key::{MadeKey, NewKey};
use ephor_core::time::Time;
use ephor_engine::Engine;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use subtle::ConstantTimeEq;

/// Every key there is.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    state: RwLock<State>,
    /// Held while a key is made, so that no name is given twice.
    making: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: BTreeMap<KeyId, Known>,
    /// By the beginning of the digest; the whole of it is compared in constant time.
    by_digest: HashMap<Box<str>, Vec<KeyId>>,
}

/// How many letters of a digest lead to its key.
const LEADING: usize = 16;

impl Keys {
    /// As they were found.
    pub(crate) fn new(known: Vec<Known>) -> Self {
        let keys = Self::default();
        known.into_iter().for_each(|key| keys.put(key));
        keys
    }

    fn put(&self, known: Known) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let (id, leading) = (known.key.id, leading(&known.key.digest).into());
        if state.keys.insert(id, known).is_none() {
            state.by_digest.entry(leading).or_default().push(id);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who shows this key, if it is one and worth something.
    pub(crate) fn holder(&self, shown: &str, now: Time) -> Option<Principal> {
        let digest = keys::digest(shown);
        let state = self.read();
        let mut candidates = state.by_digest.get(leading(&digest))?.iter().filter_map(|id| state.keys.get(id));
        let known = candidates.find(|known| known.key.digest.as_bytes().ct_eq(digest.as_bytes()).into())?;
        known.is_good(now).then(|| principal(known))
    }

    /// All of them, in the order they were made.
    pub(crate) fn all(&self) -> Vec<Known> {
        self.read().keys.values().cloned().collect()
    }

    /// Makes a key and answers with it: nobody sees it again.
    pub(crate) async fn make(
        &self,
        engine: &Engine,
        wish: &NewKey,
        agent: Option<AgentId>,
        actor: Actor,
    ) -> Result<MadeKey, ApiError> {
        let _making = self.making.lock().await;
        let (known, made) = keys::make(engine, wish, agent, &self.all(), actor).await?;
        self.put(known);
        Ok(made)
    }

    /// Takes a key back.
    pub(crate) async fn revoke(&self, engine: &Engine, id: KeyId, actor: Actor) -> Result<Known, ApiError> {
        let _making = self.making.lock().await;
        let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no key {id}"));
        let known = self.read().keys.get(&id).cloned().ok_or_else(unknown)?;
        let known = keys::revoke(engine, known, actor).await?;
        self.put(known.clone());
        Ok(known)
    }
}

fn principal(known: &Known) -> Principal {
    let key = &known.key;
    Principal {
        name: match key.agent {
            Some(agent) => agent.to_string().into(),
            None => key.name.clone(),
        },
        kind: if key.agent.is_some() { ActorKind::Ai } else { ActorKind::Human },
        roles: key.roles.clone(),
        namespace: key.namespace.clone(),
        agent: key.agent,
        shown: Shown::Key(key.id),
        peer: None,
    }
}

fn leading(digest: &str) -> &str {
    digest.get(..LEADING).unwrap_or(digest)
}

/// Whether two secrets are the same; how long it takes says nothing about how alike they are.
pub(crate) fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a).ct_eq(&Sha256::digest(b)).into()
}
