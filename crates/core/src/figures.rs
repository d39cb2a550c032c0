//! Figures about what was done and what stands, on the wire: of everything, or of one namespace. They are telemetry: folded from the
//! events and from what the engine has in hand, never decided by.

use crate::breaker::BreakerView;
use crate::models::ModelWork;
use crate::status::Status;
use crate::time::{WireDuration, WireTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name under which is counted what has too many names for each to be counted alone.
pub const OTHER: &str = "other";

/// What was done within a window of time, and what stands now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Figures {
    /// When they were taken.
    pub at: WireTime,
    /// The position of the last event that is in them.
    pub position: u64,
    /// How many events are not in them yet: after a start, until the past is read.
    pub behind: u64,
    /// Up to how far back they count; whole hours, and beyond a day whole days.
    pub window: WireDuration,
    /// Since when they count, where that is later: what was before is no longer known.
    pub since: WireTime,
    /// The only namespace they are about; everything where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Tasks: where they are, and how those of the window ended.
    pub tasks: TaskFigures,
    /// Attempts at steps.
    pub attempts: AttemptFigures,
    /// What waits for agents.
    pub queue: QueueFigures,
    /// Agents that are known.
    pub agents: AgentFigures,
    /// Models that agents have, that are left alone, or that attempts were made with.
    pub models: Vec<ModelFigures>,
    /// Agents, tools and models that are left alone because they failed.
    pub breakers: Vec<BreakerView>,
    /// Gates.
    pub gates: GateFigures,
    /// The council.
    pub council: CouncilFigures,
    /// Questions to people about single actions.
    pub approvals: ApprovalFigures,
    /// All that tasks ask of people.
    pub people: PeopleFigures,
    /// The engine itself; told to whoever sees everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineFigures>,
    /// What is watched, and whether it is beyond its threshold.
    pub alerts: Vec<Alert>,
}

/// How long something took. Taken from counts in classes: a value is right to its class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Spread {
    /// How often.
    pub count: u64,
    /// On average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<WireDuration>,
    /// Within this, half of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<WireDuration>,
    /// Within this, 95 of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<WireDuration>,
}

/// Tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskFigures {
    /// How many are in which status now, archived ones too.
    pub by_status: BTreeMap<Status, u64>,
    /// How many were submitted, children too.
    pub submitted: u64,
    /// How many completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// How many were stopped.
    pub stopped: u64,
    /// Of those that completed or failed, the part that completed, from 0 to 1; missing where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// How often one was tried again.
    pub retried: u64,
    /// How often one escalated.
    pub escalated: u64,
    /// How often work stalled.
    pub stalled: u64,
    /// From submission to the end, of those that completed.
    pub duration: Spread,
    /// From the first start to the end, of those that completed.
    pub execution: Spread,
    /// How long they were queued before somebody came.
    pub queued: Spread,
    /// The same by type; types beyond the first fifty are one, `other`.
    pub by_type: Vec<TypeFigures>,
}

/// Tasks of one type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TypeFigures {
    /// The type.
    pub task_type: String,
    /// How many were submitted.
    pub submitted: u64,
    /// How many completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// The part that completed of those that completed or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// How many attempts at their steps failed.
    pub attempts_failed: u64,
    /// The part of their attempts that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// From submission to the end, of those that completed.
    pub duration: Spread,
}

/// Attempts at steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptFigures {
    /// How many worked.
    pub succeeded: u64,
    /// How many did not.
    pub failed: u64,
    /// The part that did not, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// Failed ones by the class of their error: `TIMEOUT`.
    pub by_class: BTreeMap<String, u64>,
    /// From the claim to the report, of those that worked.
    pub duration: Spread,
}

/// What waits for agents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueFigures {
    /// Tasks that are released and that nobody has begun.
    pub depth: u64,
    /// How long the one among them has waited that has waited longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<WireDuration>,
}

/// Agents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentFigures {
    /// How many are known, revoked ones left out.
    pub total: u64,
    /// By how they look: `LIVE`, `SILENT`; `UNSEEN` are those of whom nothing was heard since the server started.
    pub by_liveness: BTreeMap<String, u64>,
    /// How many are being drained.
    pub draining: u64,
    /// How many pieces of work they hold.
    pub leases: u64,
}

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelFigures {
    /// Its name; models beyond the first fifty that attempts were made with are one, `other`.
    pub name: String,
    /// How many agents have it.
    pub agents: u64,
    /// Whether it is left alone somewhere because it failed.
    pub left_alone: bool,
    /// How attempts at steps that asked for it went.
    #[serde(default)]
    pub work: ModelWork,
}

/// Gates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateFigures {
    /// How many judgements let a result through.
    pub passed: u64,
    /// How many did not.
    pub failed: u64,
    /// The same by what they were judged by: `evidence`, `metric`, `agent`, `person`, `limit`.
    pub by_kind: BTreeMap<String, Judged>,
}

/// Judgements of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Judged {
    /// How many let a result through.
    pub passed: u64,
    /// How many did not.
    pub failed: u64,
}

/// The council.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CouncilFigures {
    /// Reviews that are open now.
    pub open: u64,
    /// How long the oldest of them has been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<WireDuration>,
    /// How many were opened.
    pub opened: u64,
    /// How they were decided: `APPROVED`, `REJECTED`.
    pub by_verdict: BTreeMap<String, u64>,
    /// How long they took.
    pub time_to_decide: Spread,
}

/// Questions about single actions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalFigures {
    /// How many wait for an answer now.
    pub owed: u64,
    /// How long the oldest of them has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<WireDuration>,
    /// How many were asked.
    pub asked: u64,
    /// How they were answered: `APPROVED`, `DENIED`, `EXPIRED`.
    pub by_answer: BTreeMap<String, u64>,
    /// How long the answers took.
    pub time_to_answer: Spread,
}

/// What tasks ask of people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeopleFigures {
    /// How many tasks ask something; no more than a thousand are counted.
    pub tasks_asking: u64,
    /// How long the one that has asked longest has done so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<WireDuration>,
}

/// The engine itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EngineFigures {
    /// Commits since it started.
    pub commits: u64,
    /// Commits in a second, between the last looks.
    pub commits_per_second: f64,
    /// Events in a second, likewise.
    pub events_per_second: f64,
    /// Requests that wait for the writer.
    pub waiting: u64,
    /// Agents that wait for work.
    pub parked: u64,
    /// Tasks it has decoded in memory.
    pub cached: u64,
    /// The database, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_bytes: Option<u64>,
    /// Its log, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// The memory of this process, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The part of the machine's memory, or of what this process and its like may use of it, that is in use, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<f64>,
    /// How long this process has run.
    pub uptime: WireDuration,
}

/// Something that is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// `duration_warning`, `error_rate_warning` or `memory_warning`.
    pub name: String,
    /// The threshold, as the configuration says it: `1h`, `5%`.
    pub threshold: String,
    /// What it stands at, in a few words.
    pub value: String,
    /// Whether it is beyond.
    pub over: bool,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<WireTime>,
    /// How often it went beyond since the server started.
    pub crossings: u64,
}
