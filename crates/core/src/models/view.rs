//! What is known of models, on the wire: what the house says of each, which of its rules name it, and how attempts with it went.

use crate::breaker::{BreakerState, BreakerView};
use crate::figures::Spread;
use crate::time::{WireDuration, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The models a house knows, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Models {
    /// When they were looked up.
    pub at: WireTime,
    /// How many events are not in the counts yet: after a start, until the past is read.
    pub behind: u64,
    /// Up to how far back attempts are counted; whole hours, and beyond a day whole days.
    pub window: WireDuration,
    /// Since when they are counted, where that is later.
    pub since: WireTime,
    /// The only namespace they were counted in; all where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Those of the catalogue, those that rules name, those that agents have, and those attempts were made with.
    pub models: Vec<ModelView>,
}

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelView {
    /// Its name, as plans and agents say it.
    pub name: String,
    /// Whether the catalogue of the house says something of it.
    pub catalogued: bool,
    /// Who offers it, as the house says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<str>>,
    /// What kind of model it is: `strong`, `fast`, `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Box<str>>,
    /// How many tokens it takes in at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// What a thousand tokens it reads cost, in micro-dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_in: Option<u64>,
    /// What a thousand tokens it writes cost, in micro-dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_out: Option<u64>,
    /// What it needs beside what its task is given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<Box<str>, u64>,
    /// The rules by which it is chosen, in the order they are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_by: Vec<NamedBy>,
    /// How many agents say that they have it; one that lists no models takes work for any.
    pub agents: u64,
    /// The worst of its breakers: CLOSED where it is trusted everywhere.
    pub state: BreakerState,
    /// Where it is left alone because it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<BreakerView>,
    /// How attempts at steps that asked for it went, within the window.
    pub work: ModelWork,
}

/// A rule of the house that names a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamedBy {
    /// Which one: `rule 1`, `shipped rule 2`, `default`.
    pub rule: String,
    /// For which work it is, in words.
    pub when: String,
    /// As what it names the model.
    pub role: ModelRole,
    /// For steps of which types alone, where it is SPECIALISED.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub task_types: Vec<Box<str>>,
    /// Those that take its place there, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Box<str>>,
    /// Why, as the rule says.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Box<str>,
    /// Whether the rule is shipped and advises alone: no step asks for the model because of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advice: bool,
}

/// As what a rule names a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ModelRole {
    /// The one that is asked for.
    Primary,
    /// Asked for instead by steps of some types.
    Specialised,
    /// Takes the place of another one.
    Fallback,
}

/// How attempts with a model went. Only attempts at steps that asked for it are counted: what an agent used unasked is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ModelWork {
    /// How many worked.
    pub succeeded: u64,
    /// How many did not.
    pub failed: u64,
    /// The part that did not, from 0 to 1; missing where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// Failed ones by the class of their error: `TIMEOUT`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_class: BTreeMap<String, u64>,
    /// From the claim to the report, of those that worked.
    pub duration: Spread,
    /// How many of them said what they used; the sums are of those.
    pub told: u64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// Cost, in micro-dollars: as it was said, else by the price of the house.
    pub cost: u64,
    /// Calls of tools.
    pub tool_calls: u64,
}
