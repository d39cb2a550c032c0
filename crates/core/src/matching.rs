//! What work asks of an agent, what an agent has, and what is missing where the two do not meet.
//!
//! Work is offered under a key, so that whoever looks for work compares texts and loads nothing:
//! `word+word%name=number,name=number#model@agent`. Words of capabilities come first; the rest is there only where it is asked for.

use crate::id::AgentId;
use crate::plan::is_word;
use crate::time::WireTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// What a machine has and a step needs so much of (S1-40). Other names a step gives are limits for its agent alone, and match nobody.
pub const CAPACITIES: [&str; 5] = ["cpu_cores", "memory_mb", "gpu_memory_mb", "network_bandwidth_mbps", "storage_gb"];
/// The longest name of a model, in bytes.
const MODEL_MAX: usize = 128;

/// What the built-in agents can do, sorted; those of `ephor-agents` are compared with it by a test.
pub const BUILT_IN: [&str; 11] = [
    "analyse",
    "echo",
    "files.read",
    "files.scan",
    "files.write",
    "gate.check",
    "http.request",
    "links.check",
    "noop",
    "shell.run",
    "template.render",
];

/// Whether the built-in agents can do all of this; words are joined by `+`.
pub fn is_built_in(words: &str) -> bool {
    words.split('+').all(|word| BUILT_IN.binary_search(&word).is_ok())
}

/// The smallest act that brings an agent for work under a key, as a command line.
pub fn who_could(key: &str) -> String {
    let Key { words, model, demands, .. } = Key::read(key);
    let listed = words.replace('+', ",");
    if is_built_in(words) {
        return format!("ephor agent run --capability {listed}");
    }
    let with = model.map(|model| format!(" --model {model}")).unwrap_or_default();
    let has: String =
        demands.split(',').filter(|demand| !demand.is_empty()).map(|demand| format!(" --resource {demand}")).collect();
    format!("ephor agent register --name NAME --capabilities {listed}{with}{has} --key")
}

/// What to say beside: nothing where the built-in agents could do it.
pub fn who_else(words: &str) -> &'static str {
    if is_built_in(words) { "" } else { "; the built-in agents cannot do it, and docs/agents.md says how one of yours does" }
}

/// What an agent has, as work is compared with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Able {
    /// What it can do, sorted.
    pub capabilities: Arc<[Box<str>]>,
    /// The models it has. An agent that names none is asked for none in vain: it takes work for any.
    pub models: Vec<Box<str>>,
    /// What its machine has, by the names of `CAPACITIES`. Who names nothing takes work of any size.
    pub resources: BTreeMap<Box<str>, u64>,
}

impl Able {
    /// An agent of which only its words are known.
    pub fn of_words(words: impl Into<Arc<[Box<str>]>>) -> Arc<Self> {
        Arc::new(Self { capabilities: words.into(), ..Self::default() })
    }

    fn can(&self, word: &str) -> bool {
        self.capabilities.binary_search_by(|c| (**c).cmp(word)).is_ok()
    }
}

/// Why an agent is not given a piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Misfit {
    /// It is for another agent.
    OtherAgent(String),
    /// It cannot do this.
    Capability(String),
    /// It has other models.
    Model(String),
    /// It has less of something.
    Resource {
        /// Of what.
        name: String,
        /// How much is needed.
        needed: u64,
        /// How much it has.
        has: u64,
    },
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherAgent(only) => write!(f, "it is for {only} alone"),
            Self::Capability(word) => write!(f, "it is not able to {word}"),
            Self::Model(name) => write!(f, "it does not have the model {name}"),
            Self::Resource { name, needed, has } => write!(f, "it has {has} {name} and {needed} are needed"),
        }
    }
}

/// How an agent stands to a piece of work that is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Candidate {
    /// Which agent.
    pub agent_id: AgentId,
    /// Its name, for people.
    pub name: String,
    /// Its own name for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What the work asks for: words of capabilities joined by `+`, then `%` and what its machine has to have, `#` and the model, `@` and
    /// the only agent it is for.
    pub work: String,
    /// Whether it gets the work when it asks for it now.
    pub may: bool,
    /// Why, in words: what it lacks, what holds it up, or how it compares with the others.
    pub why: String,
    /// How many pieces of work it holds.
    pub holds: u32,
    /// How many it may hold, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// How many attempts went well since the engine started.
    pub succeeded: u64,
    /// How many failed.
    pub failed: u64,
    /// How much of its latest work failed, from 0 to 1.
    pub lately_failed: f64,
    /// When it was last heard of since the engine started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<WireTime>,
}

/// A key, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'k> {
    /// The capabilities, joined by `+`.
    pub words: &'k str,
    /// How much of what, as `name=number`, joined by `,`.
    pub demands: &'k str,
    /// The model.
    pub model: Option<&'k str>,
    /// The only agent it is for.
    pub agent: Option<&'k str>,
}

impl<'k> Key<'k> {
    /// Reads a key.
    pub fn read(key: &'k str) -> Self {
        let (rest, agent) = key.split_once('@').map_or((key, None), |(rest, agent)| (rest, Some(agent)));
        let (rest, model) = rest.split_once('#').map_or((rest, None), |(rest, model)| (rest, Some(model)));
        let (words, demands) = rest.split_once('%').unwrap_or((rest, ""));
        Self { words, demands, model, agent }
    }

    fn demands(self) -> impl Iterator<Item = (&'k str, u64)> {
        self.demands.split(',').filter_map(|d| d.split_once('=')).filter_map(|(name, n)| Some((name, n.parse().ok()?)))
    }
}

/// Whether a key asks for more than one plain capability.
pub fn is_special(key: &str) -> bool {
    key.contains(['+', '%', '#', '@'])
}

/// What an agent lacks for work under this key; nothing where it fits.
pub fn misfit(key: &str, agent: AgentId, able: &Able) -> Option<Misfit> {
    if let Some(only) = Key::read(key).agent.filter(|only| *only != agent.to_string()) {
        return Some(Misfit::OtherAgent(only.into()));
    }
    lacking(key, able)
}

/// What any agent of this kind lacks for work under this key, whomever it is kept for.
pub fn lacking(key: &str, able: &Able) -> Option<Misfit> {
    let key = Key::read(key);
    if let Some(word) = key.words.split('+').find(|word| !able.can(word)) {
        return Some(Misfit::Capability(word.into()));
    }
    if let Some(model) = key.model.filter(|m| !able.models.is_empty() && !able.models.iter().any(|own| **own == **m)) {
        return Some(Misfit::Model(model.into()));
    }
    if able.resources.is_empty() {
        return None;
    }
    let has = |name: &str| able.resources.get(name).copied();
    // Who lists a machine without a graphics processor has none; what else it leaves out it did not count.
    let lacks = |(name, needed): (&str, u64)| {
        let has = has(name).or((name == "gpu_memory_mb").then_some(0))?;
        (has < needed).then(|| Misfit::Resource { name: name.into(), needed, has })
    };
    key.demands().find_map(lacks)
}

/// Whether an agent can do what a key asks.
pub fn fits(key: &str, agent: AgentId, able: &Able) -> bool {
    // Most keys are one word.
    if is_special(key) { misfit(key, agent, able).is_none() } else { able.can(key) }
}

/// Writes a key.
pub(crate) fn key_of(words: &str, demands: &BTreeMap<Box<str>, u64>, model: Option<&str>, agent: Option<AgentId>) -> String {
    let mut key = words.to_owned();
    for (n, (name, needed)) in demands.iter().enumerate() {
        let _infallible = write!(key, "{}{name}={needed}", if n == 0 { '%' } else { ',' });
    }
    if let Some(model) = model {
        key.extend(["#", model]);
    }
    if let Some(agent) = agent {
        let _infallible = write!(key, "@{agent}");
    }
    key
}

/// What of the resources a step names is asked of its agent's machine.
pub(crate) fn demands(resources: &serde_json::Map<String, serde_json::Value>) -> BTreeMap<Box<str>, u64> {
    let of = |name: &&str| Some(((*name).into(), resources.get(*name)?.as_u64().filter(|n| *n > 0)?));
    CAPACITIES.iter().filter_map(of).collect()
}

/// Whether a text may be the name of a model: `claude-3-opus`, `anthropic/claude-3`.
pub fn is_model(name: &str) -> bool {
    name.len() <= MODEL_MAX && name.split('/').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn agent(n: u8) -> AgentId {
        AgentId::new(1, [n; 10])
    }

    fn able(words: &[&str], models: &[&str], resources: &[(&str, u64)]) -> Able {
        Able {
            capabilities: words.iter().map(|w| (*w).into()).collect::<Vec<_>>().into(),
            models: models.iter().map(|m| (*m).into()).collect(),
            resources: resources.iter().map(|(name, n)| ((*name).into(), *n)).collect(),
        }
    }

    #[test]
    fn who_could_do_it_has_all_that_is_asked_for() {
        let command = "ephor agent register --name NAME --capabilities a,b --model m --resource memory_mb=4 --key";
        assert_eq!(who_could("a+b%memory_mb=4#m"), command);
    }

    #[test]
    fn a_key_says_what_was_asked_for_and_is_read_back() {
        let wanted =
            demands(json!({"memory_mb": 4096, "gpu_memory_mb": 16384, "seconds": 9, "cpu_cores": "many"}).as_object().unwrap());
        let key = key_of("draw+gpu", &wanted, Some("stable/diffusion"), Some(agent(1)));
        assert_eq!(key, format!("draw+gpu%gpu_memory_mb=16384,memory_mb=4096#stable/diffusion@{}", agent(1)));
        let read = Key::read(&key);
        assert_eq!((read.words, read.model), ("draw+gpu", Some("stable/diffusion")));
        assert_eq!(read.agent, Some(&*agent(1).to_string()));
        assert_eq!(read.demands().collect::<Vec<_>>(), [("gpu_memory_mb", 16384), ("memory_mb", 4096)]);
        assert!(is_special(&key) && !is_special("draw"));
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named() {
        let one = able(&["draw", "gpu"], &["small"], &[("memory_mb", 100)]);
        let missing = |key: &str| misfit(key, agent(1), &one).map(|m| m.to_string());
        assert_eq!(missing("draw+gpu%memory_mb=100#small"), None);
        assert_eq!(missing("draw+sing").unwrap(), "it is not able to sing");
        assert_eq!(missing("draw#large").unwrap(), "it does not have the model large");
        assert_eq!(missing("draw%memory_mb=101").unwrap(), "it has 100 memory_mb and 101 are needed");
        assert_eq!(missing("draw%gpu_memory_mb=1").unwrap(), "it has 0 gpu_memory_mb and 1 are needed", "a machine without one");
        assert_eq!(missing("draw%storage_gb=1"), None, "what it does not speak of is not known to be missing");
        assert_eq!(missing(&format!("draw@{}", agent(2))).unwrap(), format!("it is for {} alone", agent(2)));
        assert_eq!(missing(&format!("draw@{}", agent(1))), None);
    }

    #[test]
    fn who_speaks_of_no_models_and_no_machine_is_not_limited_by_them() {
        let plain = able(&["draw"], &[], &[]);
        assert!(fits("draw%gpu_memory_mb=16384#large", agent(1), &plain));
        assert!(!fits("sing%gpu_memory_mb=16384#large", agent(1), &plain));
    }
}
