//! What a server shows of a task beside the task itself. Fields that a newer server adds are passed over.

use ephor_core::event::EndReason;
use ephor_core::id::TaskId;
use ephor_core::status::StepStatus;
use ephor_core::time::{WireDuration, WireTime};
use ephor_core::view::{EffectView, OutputView, ReviewView};
use ephor_core::work::WorkKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Which task.
    pub task_id: TaskId,
    /// Whether it has ended. While it has not, `status` is where it is and the rest is what is known so far.
    pub completed: bool,
    /// How it ended: `COMPLETED`, `PARTIALLY_COMPLETED` (see `gaps`), `FAILED`, `CANCELLED` or `STOPPED`.
    pub status: String,
    /// Steps that were not done although the whole completed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
    /// Why it ended, unless it completed; while it has not ended, the last reason somebody gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The kind of that reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// Whether trying again could help one that failed.
    #[serde(default)]
    pub recoverable: bool,
    /// What came of it: of one step its output, of several the output of each by name.
    #[serde(default)]
    pub result: Value,
    /// The results of its steps, in the order of the plan.
    #[serde(default)]
    pub outputs: Vec<OutputView>,
    /// Figures about it.
    #[serde(default)]
    pub metrics: Value,
    /// What its gates said, and which of its requirements somebody judged.
    #[serde(default)]
    pub quality_report: Value,
    /// What was done on the outside without asking for a grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unguarded_effects: Vec<EffectView>,
    /// What the council said of the result; where it was not asked, what it said before the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub council_review: Option<ReviewView>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<WireTime>,
    /// From its first start to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<WireDuration>,
}

/// A plan as a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Steps and groups.
    pub nodes: Vec<Node>,
    /// What needs what.
    pub edges: Vec<Edge>,
    /// Steps that may run side by side, by their paths.
    #[serde(default)]
    pub parallel_groups: Vec<Vec<String>>,
    /// The steps that decide how long the whole takes, in order.
    #[serde(default)]
    pub critical_path: Vec<String>,
}

/// A step or a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its path.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The group it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Where it is.
    pub status: StepStatus,
    /// Whether it decides how long the whole takes.
    #[serde(default)]
    pub critical: bool,
    /// How late it may be without making the whole later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<WireDuration>,
}

/// That one step needs another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// What is needed, by its path.
    pub from: String,
    /// What needs it.
    pub to: String,
}

/// The last of what was said about a piece of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkLog {
    /// Which work.
    pub work: WorkKey,
    /// The step, where it is one, by its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Which attempt said it.
    pub attempt: u32,
    /// The end of what it said.
    pub text: String,
    /// Whether the beginning is no longer there.
    #[serde(default)]
    pub cut: bool,
    /// When it last said something.
    pub at: WireTime,
}

/// A payload that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The reference to it, for its task alone.
    pub payload: String,
    /// How many bytes it has.
    pub size: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
}
