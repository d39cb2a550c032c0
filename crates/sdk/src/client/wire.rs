//! What goes over the wire beside the types of `ephor-core`. Fields that a newer server adds are passed over.

use super::error::Problem;
use ephor_core::agent::{AgentStatus, Registration};
use ephor_core::breaker::BreakerState;
use ephor_core::event::Finding;
use ephor_core::flow::HoldView;
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::key::Role;
use ephor_core::liveness::Liveness;
use ephor_core::spec::Risk;
use ephor_core::status::Status;
use ephor_core::time::WireTime;
use ephor_core::work::{ReportAnswer, WorkItem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A task that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Its id.
    pub id: TaskId,
    /// Where it is.
    pub status: Status,
    /// How many events it has; a batch does not say.
    #[serde(default)]
    pub version: u64,
    /// In a batch: whether it was accepted before, and this is the answer of then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// What was found that changes what was asked for, or has the council look at it; a batch does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// Which tasks a list shows; every part narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskFilter {
    /// Only these; empty for all.
    pub status: Vec<Status>,
    /// Only those that have not ended.
    pub live: bool,
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this type.
    pub task_type: Option<String>,
    /// Only of this owner.
    pub owner_id: Option<String>,
    /// Only from this source.
    pub source: Option<String>,
    /// Only with this external id.
    pub external_id: Option<String>,
    /// Only parts of this task.
    pub parent_task_id: Option<TaskId>,
    /// Only of these risks; empty for all.
    pub risk: Vec<Risk>,
    /// Only those of which this agent holds work now; its id or its own name.
    pub agent: Option<String>,
    /// Only those in whose words all of these stand, in any case: title, description, type, external id. Looked for task by task, so a
    /// page may come out short, or empty, and still have a next one.
    pub q: Option<String>,
    /// Only those of which a run is still to come. Looked for task by task, as words are.
    pub recurring: bool,
    /// Only those that may not start before an instant earlier than this; those without a due time are left out then.
    pub due_before: Option<WireTime>,
    /// Only those that may not start before an instant later than this; those without a due time are left out then.
    pub due_after: Option<WireTime>,
    /// Without those that were archived.
    pub without_archived: bool,
    /// The oldest first; else the newest.
    pub oldest_first: bool,
    /// How many at most, up to 500; 0 leaves it to the engine.
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<String>,
}

/// How many tasks there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Of which namespace; of all where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// All of them, archived ones too.
    pub total: u64,
    /// In each status in which there are some.
    pub by_status: BTreeMap<Status, u64>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; missing on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of this task.
    pub task: Option<String>,
    /// Only with a higher position.
    pub after: u64,
    /// Only of these types; empty for all.
    pub types: Vec<String>,
    /// How many at most, up to 500; 0 leaves it to the server.
    pub limit: u32,
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Which task.
    pub task_id: TaskId,
    /// The part of its steps that are done or were left out, from 0 to 1, and of those under way what their agents say.
    pub progress: f64,
    /// The step it is at: its index in plan order.
    #[serde(default)]
    pub current_step: Option<u32>,
    /// The step it is at: its path.
    #[serde(default)]
    pub current_step_id: Option<String>,
    /// Where it is.
    pub status: Status,
    /// When it is expected to be done, where that is known.
    #[serde(default)]
    pub estimated_completion: Option<WireTime>,
}

/// An agent, as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentView {
    /// Its id.
    pub id: AgentId,
    /// Its own name for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Its name, for people.
    pub name: String,
    /// What it is there for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The models it has; any where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// What its machine has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// How good or dear it is, a word of the house.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// How many pieces of work it may hold at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Where it can be watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub monitoring_endpoints: Vec<String>,
    /// Whether it is trusted with work.
    #[serde(default)]
    pub breaker: BreakerState,
    /// How many attempts went well since the server started.
    #[serde(default)]
    pub succeeded: u64,
    /// How many failed.
    #[serde(default)]
    pub failed: u64,
    /// How much of its latest work failed, from 0 to 1.
    #[serde(default)]
    pub lately_failed: f64,
    /// The only namespace it works for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whether it gets work.
    pub status: AgentStatus,
    /// The hold over what it does, where one stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldView>,
    /// Whether it lives in the server's own process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_process: bool,
    /// When it became known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<WireTime>,
    /// When it last said a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<WireTime>,
    /// How it looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Liveness>,
    /// How many pieces of work it has to do well before it gets as much as others again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation: Option<u32>,
    /// The steps it has now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assigned_steps: Vec<AssignedStep>,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<Value>,
}

/// A step an agent has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedStep {
    /// Of which task.
    pub task_id: TaskId,
    /// Its path.
    pub step: String,
    /// In which attempt.
    pub attempt: u32,
}

/// A wish for work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Chosen anew for each wish; the same wish repeated with it gets the same leases.
    pub claim_id: ClaimId,
    /// How many pieces at most.
    pub max: u32,
    /// How long to wait for the first: `20s`.
    pub wait: String,
    /// Whether the work counts as started with the claim.
    pub start: bool,
}

/// What became of reports, and work for whoever has places free.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ReportAnswers {
    /// One for each report, in order.
    pub results: Vec<Reported>,
    /// More work, where some was asked for.
    #[serde(default)]
    pub work: Vec<WorkItem>,
}

/// What became of one report.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Reported {
    /// It was not taken.
    Refused {
        /// Why.
        error: Box<Problem>,
    },
    /// It was taken.
    Taken(ReportAnswer),
}

/// Who asks, as the server sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Me {
    /// The name in events.
    pub name: String,
    /// What it is there for.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// The only namespace it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What an agent says of itself, as it goes over the wire.
pub(crate) fn outside(registration: &Registration) -> Registration {
    // Whoever speaks over HTTP does not live in the engine's process.
    Registration { in_process: false, ..registration.clone() }
}
