//! Reading the configuration anew while a server runs. What may change in flight does so at once; of the rest it is said that it takes a
//! restart. A file that makes no sense changes nothing.

use super::{Config, names};
use crate::api::{ApiError, Kind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::Mutex;
use utoipa::ToSchema;

/// What became of a configuration that was read anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// The file it was read from; missing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The keys that changed and are in force now.
    pub changed: Vec<String>,
    /// The keys that are not in force as the file has them before the server is started again.
    pub needs_restart: Vec<String>,
    /// What the file says and the rules of the house do not allow, each with why; it stays as it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

/// Sections that are in force as soon as they are read. What is in none of them takes a restart.
const LIVE: [&str; 6] = ["constitution", "models", "monitoring", "policy", "task_execution", "workers"];
/// Keys of these sections that take a restart all the same.
const NOT_LIVE: [&str; 1] = ["task_execution.max_concurrent_tasks"];
/// The key of the document that binds.
const CONSTITUTION: &str = "constitution";

/// Whether a key changes in flight.
fn is_live(name: &str) -> bool {
    let section = name.split('.').next().unwrap_or(name);
    LIVE.contains(&section) && !NOT_LIVE.contains(&name)
}

/// The configuration a server goes by, and where it came from.
pub(crate) struct Reloader {
    named: Option<PathBuf>,
    /// As it was read last, and so as it is in force where that is live. Held while it is read: one after the other.
    last: Mutex<Config>,
    /// As it was at the start.
    first: Values,
}

/// Every value by its name.
type Values = BTreeMap<String, Option<String>>;

impl Config {
    /// Whether a value of this name changes in flight.
    pub fn is_live(name: &str) -> bool {
        is_live(name)
    }
}

impl Reloader {
    /// For a server that starts with this configuration; `named` is the file somebody named.
    pub(crate) fn new(named: Option<PathBuf>, config: Config) -> Self {
        let first = values(&config);
        Self { named, last: Mutex::new(config), first }
    }

    /// Reads it anew and hands it to `put`, which puts it in force and says why the constitution it names is refused, where it is. Only
    /// where that works it is what is compared with the next time.
    pub(crate) async fn reload(
        &self,
        put: impl AsyncFnOnce(&Config) -> Result<Option<String>, ApiError>,
    ) -> Result<Reloaded, ApiError> {
        let mut last = self.last.lock().await;
        // A file that was there and is gone is a mistake, and no wish for the defaults.
        let wanted = self.named.clone().or_else(|| last.file.clone());
        let read = crate::local::blocking(move || match wanted {
            Some(file) => Config::read(&file),
            None => Config::find(None),
        });
        let config = read.await.map_err(|error| ApiError { kind: Kind::Invalid, ..error })?;
        let (old, new) = (values(&last), values(&config));
        let refused = put(&config).await?;
        let is_refused = |name: &str| refused.is_some() && name == CONSTITUTION;
        let changed = differing(&old, &new).filter(|name| is_live(name) && !is_refused(name)).collect();
        let changed = names::once(changed, [&config.said, &last.said]);
        let needs_restart = differing(&self.first, &new).filter(|name| !is_live(name)).collect();
        let file = config.file.as_ref().map(|file| file.display().to_string());
        *last = config;
        let refused = refused.into_iter().map(|why| format!("{CONSTITUTION}: {why}")).collect();
        Ok(Reloaded { file, changed, needs_restart, refused })
    }
}

/// The names of which one has another value than the other.
fn differing<'a>(one: &'a Values, other: &'a Values) -> impl Iterator<Item = String> + use<'a> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned()
}

fn values(config: &Config) -> Values {
    // By an address of this machine; on another some stand otherwise where nothing is said, then as now.
    let limits = config.limits.rows(SocketAddr::from(([127, 0, 0, 1], 0)));
    let limits = limits.into_iter().map(|(name, value, _)| (format!("limits.{name}"), Some(value)));
    let mut values: Values = config.settings().into_iter().map(|setting| (setting.name, setting.value)).chain(limits).collect();
    // What it says counts, and not where it stands.
    values.insert(CONSTITUTION.into(), config.policy.law.as_ref().map(|law| law.digest().to_string()));
    values
}
