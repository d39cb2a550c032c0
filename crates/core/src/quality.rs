//! What gates said of results, for those who look (S1-63).

use crate::id::AgentId;
use crate::spec::GateKind;
use crate::time::WireTime;
use crate::work::{GateEvidence, Violation};
use serde::{Deserialize, Serialize};

/// One judgement of a gate, or that there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateResult {
    /// Which step, by path.
    pub step: String,
    /// Which of its gates.
    pub gate: u16,
    /// Which kind of gate; missing where the plan was replaced since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<GateKind>,
    /// What came of it.
    pub status: GateVerdict,
    /// Whether it let the result through.
    pub passed: bool,
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// How many violations there were.
    #[serde(default)]
    pub violation_count: u32,
    /// What was found wrong, as far as it is named and its words stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// What would make it better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<String>,
    /// What the judgement rests on: what was run, which reports were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<GateEvidence>,
    /// By what: `evidence`, `metric`, `agent`, `person`, `check`, `limit`, `override`; empty where nobody judged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// The agent that judged, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<AgentId>,
    /// What was found wrong in a sentence, or what a person said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Whether a failure only leaves a note.
    #[serde(default)]
    pub advisory: bool,
    /// When; missing where nobody judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<WireTime>,
}

/// What came of a gate (S1-64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GateVerdict {
    /// It let the result through.
    Passed,
    /// It did not.
    Failed,
    /// It did not, but only advises.
    Warning,
    /// It was not judged and will not be: a person passed it, or its step ended without it.
    Skipped,
    /// It was not judged yet.
    Pending,
}

impl GateVerdict {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
            Self::Warning => "WARNING",
            Self::Skipped => "SKIPPED",
            Self::Pending => "PENDING",
        }
    }
}
