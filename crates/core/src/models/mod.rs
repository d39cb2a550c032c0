//! Which model a step is done with, and how large a machine: what is chosen, and why (S1-33…44). Wire types; the rules that choose are
//! in `catalogue` (what a house has and prefers) and `choose` (what that means for a task); `known` and `view` tell of models to who looks.
//!
//! A choice is made once, where a request or a plan is decided, and stands in the event that brings it: replay asks no configuration.

#[cfg(feature = "rules")]
pub mod catalogue;
#[cfg(feature = "rules")]
pub(crate) mod choose;
#[cfg(feature = "rules")]
mod known;
#[cfg(test)]
#[cfg(feature = "rules")]
mod tests;
mod view;

pub use view::{ModelRole, ModelView, ModelWork, Models, NamedBy};

use crate::time::WireDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// In place of the name of a model: the house chooses.
pub const AUTO: &str = "auto";
/// How actions begin that are done by a model.
const BY_MODEL: &str = "model.";

/// Whether an action is done by a model, whatever else its step says: `model.generate`.
pub fn is_by_model(action: &str) -> bool {
    action.starts_with(BY_MODEL)
}

/// Which models a task is done with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelSelection {
    /// The one that is asked for.
    pub primary_model: Box<str>,
    /// Those that take its place, in this order, when it fails or is not to be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback_models: Vec<Box<str>>,
    /// Those that are asked for instead, by type of step or task.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub specialized_models: BTreeMap<Box<str>, Box<str>>,
    /// Which rule chose them, by which word, and why.
    pub reasoning: Box<str>,
    /// What a thousand tokens of them cost at most, in micro-dollars, where the house says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<Box<str>, u64>,
    /// Whether it binds nobody: no step asks for these models, and whoever does the work may use another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advice: bool,
}

impl ModelSelection {
    /// The model for work of this type.
    pub fn for_type(&self, task_type: &str) -> &str {
        self.specialized_models.get(task_type).unwrap_or(&self.primary_model)
    }

    /// Those that may take the place of a model, in order: the fallbacks behind it, or all of them where it is none.
    pub fn after(&self, model: &str) -> &[Box<str>] {
        behind(&self.fallback_models, model)
    }
}

/// Those of a list that stand behind a model; all of them where it is not in it.
fn behind<'a>(fallbacks: &'a [Box<str>], model: &str) -> &'a [Box<str>] {
    let first = fallbacks.iter().position(|name| **name == *model).map_or(0, |at| at + 1);
    &fallbacks[first..]
}

/// How much there is to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Complexity {
    /// Little.
    #[default]
    Simple,
    /// Something between.
    Moderate,
    /// Much.
    Complex,
}

impl Complexity {
    /// All of them, least first.
    pub const ALL: [Self; 3] = [Self::Simple, Self::Moderate, Self::Complex];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Simple => "SIMPLE",
            Self::Moderate => "MODERATE",
            Self::Complex => "COMPLEX",
        }
    }
}

/// How large a machine each step of a task is done on, and how long it may take (S1-40).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResourceAllocation {
    /// How much there is to the task.
    pub complexity: Complexity,
    /// Cores.
    pub cpu_cores: u64,
    /// Memory, in MiB.
    pub memory_mb: u64,
    /// Memory of graphics processors, in MiB; none is needed where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory_mb: Option<u64>,
    /// Network, in megabits a second.
    pub network_bandwidth_mbps: u64,
    /// Disk, in GB.
    pub storage_gb: u64,
    /// How long an attempt may take.
    pub execution_timeout: WireDuration,
    /// Why it is this much: who said how much there is to it, or by which fact that was found, and what the models need beside.
    pub reasoning: Box<str>,
    /// Whether it binds nobody: no step asks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advice: bool,
}

impl ResourceAllocation {
    /// Its sizes, by the names agents tell theirs by.
    pub fn sizes(&self) -> [(&'static str, u64); 5] {
        [
            ("cpu_cores", self.cpu_cores),
            ("memory_mb", self.memory_mb),
            ("gpu_memory_mb", self.gpu_memory_mb.unwrap_or(0)),
            ("network_bandwidth_mbps", self.network_bandwidth_mbps),
            ("storage_gb", self.storage_gb),
        ]
    }
}
