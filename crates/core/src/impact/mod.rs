//! What a task would do, or a dry run of it found: a report somebody can decide by without knowing the engine. Wire types; a task fills them
//! in (`task::impact`), and `markdown` writes them as a page.
//!
//! What is not known is said to be unknown, with the reason; nothing is guessed.

mod markdown;

use crate::constitution::{Point, Ruling, Said};
use crate::event::Finding;
use crate::id::TaskId;
use crate::review::Verdict;
use crate::spec::{Autonomy, ExecutionMode, GateKind, Risk};
use crate::status::{Status, StepStatus};
use crate::time::{WireDuration, WireTime};
use crate::view::Requirement;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The impact report of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Impact {
    /// The task.
    pub task: ImpactTask,
    /// Its steps, in an order in which they could be done one by one; groups are left out.
    pub steps: Vec<ImpactStep>,
    /// How long it would take.
    pub duration: ImpactDuration,
    /// What it would cost.
    pub cost: ImpactCost,
    /// What it would need.
    pub resources: ImpactResources,
    /// What could go wrong, and who says so.
    pub risk: ImpactRisk,
    /// What the constitution would say.
    pub verdicts: Vec<ImpactVerdict>,
    /// Whom it would ask before it goes on.
    pub approvals: Vec<ImpactApproval>,
    /// What it would do on the outside; in a dry run or a suggestion all of it is withheld.
    pub effects: Vec<ImpactEffect>,
}

/// The task of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactTask {
    /// Its id.
    pub id: TaskId,
    /// One line.
    pub title: String,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it is.
    pub status: Status,
    /// How many events it has: the report is about it as it is then.
    pub version: u64,
    /// Which version of its plan the report is about; 0 before there is one.
    pub plan_version: u32,
    /// When the report was made.
    pub at: WireTime,
    /// The mode it is in.
    pub execution_mode: ExecutionMode,
    /// Its autonomy.
    pub autonomy: Autonomy,
    /// Whether nothing can act on the outside for it: DRY_RUN, or SUGGESTION.
    pub withholds: bool,
    /// The mode verdicts and approvals are told for: AUTO where it is a dry run, for that is what comes after it.
    pub assumed_mode: ExecutionMode,
    /// The autonomy they are told for.
    pub assumed_autonomy: Autonomy,
    /// The constitution they are told by: the beginning of the digest of its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constitution: Option<String>,
    /// Why there is nothing to tell of steps, where there is no plan yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_plan: Option<String>,
}

/// A step of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactStep {
    /// Its place in the tree.
    pub path: String,
    /// What people call it: its title, else its name, else what it does.
    pub label: String,
    /// What it does.
    pub action: String,
    /// Which set of steps it belongs to that may run side by side, from 1.
    pub stage: u32,
    /// What must have ended before, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Whether it is on the chain that decides how long the whole takes.
    pub critical: bool,
    /// Whether the task goes on without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Only done where this holds, in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Done once for each item of this, in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// Where it is.
    pub status: StepStatus,
    /// How long it is expected to take; missing where that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<WireDuration>,
    /// Who says so.
    pub expected_by: DurationSource,
    /// How long its last attempt took, where it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<WireDuration>,
    /// The model it is done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What its agent must be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// What its result is judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateKind>,
    /// What it reported about itself.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metrics: Map<String, Value>,
    /// The beginning of what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Why it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where a duration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DurationSource {
    /// The plan says so.
    Plan,
    /// The median of attempts at the same action that worked.
    History,
    /// Nobody knows.
    Unknown,
}

/// How long a task would take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactDuration {
    /// From its first start to its end, without the time people and agents are waited for; missing where a step is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<WireDuration>,
    /// The steps of which it is unknown, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// The steps that decide it, in order, by path.
    pub critical_path: Vec<String>,
    /// How long it took, where it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<WireDuration>,
}

/// What a task would cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactCost {
    /// What its steps reported so far that adds up: figures named `cost`, `tokens` or `calls`, alone or with a word before or behind. Empty
    /// where nobody reported any: then the cost is unknown.
    pub reported: BTreeMap<String, f64>,
    /// The steps that reported no such figure, by path: what they cost is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// What a task would need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactResources {
    /// What its steps ask of machines.
    pub requirements: BTreeMap<String, Requirement>,
    /// What the request says it may use at most.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub limits: Map<String, Value>,
    /// What its agents must be able to do.
    pub capabilities: Vec<String>,
    /// The models its steps name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// What could go wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactRisk {
    /// The highest that was seen.
    pub level: Risk,
    /// Which rule saw it in which fact.
    pub reasons: Vec<String>,
    /// What validation found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Steps whose effect cannot be undone by the plan: they act, and nothing is said to undo them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_undone: Vec<String>,
}

/// What the constitution would say at one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactVerdict {
    /// Where it is asked.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub at: Point,
    /// The step it is about, by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What it would say; missing where that cannot be known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// What rules would say whose condition holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<Said>,
    /// Why it cannot be known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
}

/// Whom a task would ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactApproval {
    /// What for.
    pub of: ApprovalKind,
    /// The step it is about, by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Who is asked.
    pub who: String,
    /// Why.
    pub why: String,
    /// How long it waits for an answer; silence is no yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<WireDuration>,
    /// Whether it is asked for certain; where not, `why` says what it hangs on.
    pub certain: bool,
    /// The answer of the council, where it was asked already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// What somebody is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApprovalKind {
    /// Whether it may start.
    Admission,
    /// Whether its plan is taken over.
    Plan,
    /// Whether a step may be done just so.
    Action,
    /// Whether the result of a step counts.
    Result,
    /// Whether the whole result is accepted.
    FinalReview,
}

/// What a task would do on the outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpactEffect {
    /// The step that would do it, by path.
    pub step: String,
    /// What.
    pub action: String,
    /// With what, references resolved where that is possible already; secrets stay references.
    pub params: Map<String, Value>,
    /// SHA-256 of the parameters, as an effect would have to name them; missing where they are not all known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_digest: Option<String>,
    /// Why the parameters are not all known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved: Option<String>,
    /// Whether it is withheld: no right to act can be had.
    pub withheld: bool,
    /// How one knows that it acts.
    pub known_by: String,
}

fn is_false(b: &bool) -> bool {
    !b
}
