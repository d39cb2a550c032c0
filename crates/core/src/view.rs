//! What outsiders see: tasks, steps, plans, events, reviews and effects, as the API, the CLI and the dashboard show them. Wire types
//! and nothing more; `task::shown` fills them from a task.
//!
//! A field may be added here; none changes its meaning. What is missing is left out, so that the absence of a fact is no `null`.

use crate::budget::{Amount, Budget, OnBudget};
use crate::constitution::Said;
use crate::event::{ActorKind, ApprovalWord, EndReason, EscalationReason, Event, Finding};
use crate::id::{AgentId, EffectId, PlanId, ReviewId, TaskId};
use crate::liveness::Liveness;
use crate::models::{ModelSelection, ResourceAllocation};
use crate::plan::{Plan, StepText};
use crate::review::{Question, Tally, Verdict, VoteWord};
use crate::spec::GateSpec;
use crate::spec::{
    Affinity, Autonomy, ErrorClass, ExecutionMode, GateKind, OnAgentLost, OnUnknown, Priority, Recurrence, RecurrenceKind, Risk,
};
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::{WireDuration, WireTime};
use crate::work::{EffectOutcome, WorkKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A task, whole but for its steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Who or what made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it belongs.
    pub namespace: String,
    /// The task it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<TaskId>,
    /// Its place below the root of its tree, unique there: for each task on the way the step it stands for, or `0.n` for the n-th child
    /// of its parent where it stands for none. Missing for a root, and where the caller's source knows no other tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hierarchical_id: Option<String>,
    /// The id of the version of the plan it follows; missing before there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_plan_id: Option<PlanId>,
    /// The agent that holds work of it now; of several, the one that holds the step it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<AgentId>,
    /// The ended task it is another try of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<TaskId>,
    /// The task it is about, as an investigation is about a stalled one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related_task_id: Option<TaskId>,

    /// One line.
    pub title: String,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The kind of task.
    pub task_type: String,
    /// Its place among waiting tasks.
    pub priority: Priority,
    /// The computed risk.
    pub risk_level: Risk,
    /// Which rule found the risk in which fact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risk_reasons: Vec<String>,
    /// How steps are confirmed.
    pub execution_mode: ExecutionMode,
    /// What may happen outside without a person.
    pub autonomy: Autonomy,
    /// What the result has to satisfy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// When the result counts as accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acceptance_criteria: Vec<String>,
    /// Why it is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constitutional_basis: Option<String>,
    /// Who is told how it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stakeholders: Vec<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The kind of who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_type: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The kind of thing it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_ref_type: Option<String>,
    /// Which thing it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_ref_id: Option<String>,
    /// Free JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub resource_limits: Map<String, Value>,
    /// The model its steps ask for that name none, where the request says so: a name, or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it may use, what it has used, and what is set aside, where it has a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetView>,
    /// What it has used so far, as its attempts say; tasks that were born from it and have ended among it.
    #[serde(default, skip_serializing_if = "Amount::is_nothing")]
    pub usage: Amount,
    /// Which models the house chose for it, and why; only where it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelSelection>,
    /// How large a machine its steps are done on, and why; only where it needs a model or its submitter said how much there is to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<ResourceAllocation>,
    /// What validation found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The constitution it was judged by when it was submitted: the beginning of the digest of its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constitution: Option<String>,
    /// What the rules of that constitution said whose condition held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<crate::constitution::Said>,

    /// Where it is.
    pub status: Status,
    /// What stands in the way of a blocked one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_reason: Option<BlockReason>,
    /// The first thing it waits for, as a word: `NO_AGENT`, `DUE`. `waiting` tells all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_reason: Option<String>,
    /// Why a decision about it is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation_reason: Option<EscalationReason>,
    /// Why it is where it is: the reason given for the hold it is under, for its escalation or its end; else the last one anybody gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it was told to end and its agents have not answered yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cancelling: bool,
    /// How many events it has.
    pub version: u64,
    /// Which version of the request it follows, from 1.
    pub request_version: u32,
    /// Which version of the plan it follows; 0 before there is one.
    pub plan_version: u32,
    /// How sure the reader of the plan was, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,

    /// The part of its steps that are done or were left out, from 0 to 1; 1 once it is COMPLETED.
    pub progress: f64,
    /// The step it is at: its index in plan order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step: Option<u32>,
    /// The step it is at: its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step_id: Option<String>,
    /// How many of its steps, groups not counted, are in which status.
    pub steps: StepCounts,
    /// How often it was tried again as a whole.
    pub retry_count: u32,
    /// How often it may be.
    pub max_retries: u32,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<WireTime>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Steps that were not done although the whole completed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
    /// How many acts on the outside it is known to have done without asking for a grant.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unguarded_effects: u32,
    /// What came of it: of one step its output, of several the output of each by name. There once it has ended.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// Tasks it still waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<TaskId>,
    /// Tasks that are part of it and have not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<TaskId>,
    /// Whether it comes once or again and again.
    #[serde(default)]
    pub recurrence_kind: RecurrenceKind,
    /// Makes it come again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
    /// When the next runs of a recurring task are due, the next five at most. While one runs, and runs do not overlap, those that come
    /// before its end are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_runs: Vec<WireTime>,
    /// The run of a recurring task before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_run: Option<TaskId>,
    /// Which run of a recurring task it is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u32>,

    /// When it was born.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<WireTime>,
    /// When its last event happened, where the caller's source knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<WireTime>,
    /// When it first began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<WireTime>,
    /// When it is due, as it was asked for: not to be started before, unless `scheduled_at` says when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<WireTime>,
    /// When it was released to agents; before that, when it will be, where that is not its due time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<WireTime>,
    /// Must have ended by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<WireTime>,
    /// How long from its first start to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WireDuration>,
    /// How long the agent of a step may be silent, where the request says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout: Option<WireDuration>,
    /// What happens to the step of an agent that fell silent, where the request says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_agent_lost: Option<OnAgentLost>,
    /// The agent that does the steps that name none, where one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Whether one agent does all of them.
    #[serde(default, skip_serializing_if = "Affinity::is_none")]
    pub affinity: Affinity,
    /// The one that has begun to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<AgentId>,
    /// When the clock looks at it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<WireTime>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<WireTime>,
    /// Why it ended, unless it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// Whether trying again could help one that failed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recoverable: bool,
    /// Whether it left the live set.
    #[serde(default, skip_serializing_if = "is_false")]
    pub archived: bool,
    /// Whether its private parts were deleted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub erased: bool,
}

/// A budget and its account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetView {
    /// What it may use at most.
    pub cap: Budget,
    /// What it has used; where an attempt did not say, what was set aside for it.
    pub used: Amount,
    /// What is set aside for attempts that are under way.
    #[serde(default, skip_serializing_if = "Amount::is_nothing")]
    pub reserved: Amount,
    /// What tasks that were born from it may use of it.
    #[serde(default, skip_serializing_if = "Amount::is_nothing")]
    pub lent: Amount,
    /// What is left.
    pub left: Budget,
    /// What follows when it does not suffice.
    pub on_crossing: OnBudget,
    /// Whether it is a part of the budget of the task it was born from.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drawn: bool,
}

fn is_false(b: &bool) -> bool {
    !b
}

/// How many steps are in which status; groups are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct StepCounts {
    /// All of them.
    pub total: u32,
    /// Waiting for other steps.
    pub pending: u32,
    /// Offered.
    pub ready: u32,
    /// Claimed.
    pub assigned: u32,
    /// Under way.
    pub running: u32,
    /// Being judged.
    pub checking: u32,
    /// Held up from outside.
    pub blocked: u32,
    /// Between two attempts.
    pub retrying: u32,
    /// Done.
    pub completed: u32,
    /// Not done, attempts spent.
    pub failed: u32,
    /// Left out.
    pub skipped: u32,
    /// Ended with the task.
    pub cancelled: u32,
    /// Undone, to be done again.
    pub rolled_back: u32,
}

impl StepCounts {
    /// Counts steps by their status.
    pub fn of(statuses: impl IntoIterator<Item = StepStatus>) -> Self {
        let mut counts = Self::default();
        for status in statuses {
            *counts.slot(status) += 1;
            counts.total += 1;
        }
        counts
    }

    /// How many there is nothing left to do about: done, or left out.
    pub fn done(&self) -> u32 {
        self.completed + self.skipped
    }

    /// The part that is done, from 0 to 1; 0 where there are no steps. What failed or was called off was not done.
    pub fn progress(&self) -> f64 {
        if self.total == 0 { 0.0 } else { f64::from(self.done()) / f64::from(self.total) }
    }

    /// The count of one status, to be set.
    pub fn slot(&mut self, status: StepStatus) -> &mut u32 {
        match status {
            StepStatus::Pending => &mut self.pending,
            StepStatus::Ready => &mut self.ready,
            StepStatus::Assigned => &mut self.assigned,
            StepStatus::Running => &mut self.running,
            StepStatus::Checking => &mut self.checking,
            StepStatus::Blocked => &mut self.blocked,
            StepStatus::Retrying => &mut self.retrying,
            StepStatus::Completed => &mut self.completed,
            StepStatus::Failed => &mut self.failed,
            StepStatus::Skipped => &mut self.skipped,
            StepStatus::Cancelled => &mut self.cancelled,
            StepStatus::RolledBack => &mut self.rolled_back,
        }
    }
}

/// What went wrong last (S0-18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastError {
    /// In which step, by path; missing where it was about the task as a whole, as a deadline is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What happened, in the words of who met it.
    pub message: String,
    /// What kind of trouble.
    #[serde(default)]
    pub class: ErrorClass,
    /// In which attempt of the step, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// With which agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<WireTime>,
    /// Whether trying again could help.
    #[serde(default)]
    pub recoverable: bool,
}

/// What a person was asked about a step before it was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalView {
    /// What the answer is bound to: SHA-256, in hexadecimal, of task, step, action, description, model, parameters, version of the plan and
    /// document of the constitution.
    pub digest: String,
    /// With what it is done, references resolved; as it is now.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Why a person is asked.
    pub why: String,
    /// What the rules of the constitution said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<Said>,
    /// The risk for the sake of which a task whose autonomy is ASSISTED asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// When it was asked.
    pub asked_at: WireTime,
    /// When it counts as a no.
    pub until: WireTime,
    /// The answer, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ApprovalWord>,
    /// Whether whoever answered had submitted the task.
    #[serde(default, skip_serializing_if = "is_false")]
    pub self_decided: bool,
}

/// A step or a group of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepView {
    /// Its place in the tree: `1.2.3`.
    pub path: String,
    /// The writer's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its group, by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// How many steps are directly in it; 0 for a step that is no group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub children: u32,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// More, for its agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it does; empty for a group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// What its agent must be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The kind of work it is; as the task where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// The model it is done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether the house chose it, and another may take its place.
    #[serde(default, skip_serializing_if = "is_false")]
    pub model_chosen: bool,
    /// What it may use, by name: the limits of the task, its own, and what was allocated since.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub resources: Map<String, Value>,
    /// How long an attempt may take, where it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WireDuration>,
    /// What must have ended before, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Its condition, in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Its list, in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// Whether the task goes on without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Where it is.
    pub status: StepStatus,
    /// What stands in the way of a blocked one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_reason: Option<BlockReason>,
    /// What a person was asked about it before it was done, last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalView>,
    /// The last attempt handed out, from 1; 0 before the first.
    pub attempt: u32,
    /// Failed attempts since the task was last tried anew.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Attempts in all before it has failed.
    pub max_attempts: u32,
    /// Who holds it, or held it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// When it last began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<WireTime>,
    /// When it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<WireTime>,
    /// When its attempt is over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_at: Option<WireTime>,
    /// When it is offered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<WireTime>,
    /// Until when it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<WireTime>,
    /// The signal it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The task it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<TaskId>,
    /// What its result is judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateView>,
    /// Why its last attempt did not work, or what stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of its output, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_summary: Option<String>,
    /// How long it is expected to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<WireDuration>,
    /// How far its agent says it is, from 0 to 1. Telemetry: may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// What its agent says it is doing, which is telemetry and may be missing; once it is done, what there was to say about its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl StepView {
    /// Whether it holds other steps.
    pub fn is_group(&self) -> bool {
        self.children > 0
    }

    /// What people call it: the title, else the name, else what it does.
    pub fn label(&self) -> &str {
        [self.title.as_str(), self.key.as_deref().unwrap_or_default(), &self.action]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or(&self.path)
    }
}

/// One gate of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateView {
    /// Which kind.
    pub kind: GateKind,
    /// Where it is.
    pub status: GateStatus,
    /// Whether it says how it is checked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checked: bool,
    /// Who is asked, where it is a named person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    /// Until when it waits for its judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<WireTime>,
}

/// Where a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GateStatus {
    /// There is nothing to judge yet.
    Pending,
    /// It waits for a judge.
    Open,
    /// It let the result through.
    Passed,
    /// It did not let the result of the last attempt through.
    Failed,
}

/// A task in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskRow {
    /// Its id.
    pub id: TaskId,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Who or what made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it belongs.
    pub namespace: String,
    /// One line.
    pub title: String,
    /// The kind of task.
    pub task_type: String,
    /// Where it is.
    pub status: Status,
    /// Its place among waiting tasks.
    pub priority: Priority,
    /// The computed risk.
    #[serde(default)]
    pub risk_level: Risk,
    /// The task it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<TaskId>,
    /// The kind of who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_type: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The kind of thing it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_ref_type: Option<String>,
    /// The thing it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_ref_id: Option<String>,
    /// Which outside effects may happen without a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autonomy: Option<crate::spec::Autonomy>,
    /// The part of its steps that are done or were left out, from 0 to 1, as in the task itself; missing where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// Whether it left the live set.
    #[serde(default, skip_serializing_if = "is_false")]
    pub archived: bool,
    /// When it was born.
    pub created_at: WireTime,
    /// When its last event happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<WireTime>,
    /// The agent that holds work of it now, where a running engine was asked; of several, whoever has held it longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_by: Option<AgentId>,
    /// Not to be started before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<WireTime>,
    /// When the clock looks at it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<WireTime>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<WireTime>,
}

/// A recorded event. `version` is its place in its stream, `position` its place among all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// Its place among all events.
    pub position: u64,
    /// Whose it is: `task_…`.
    pub stream: String,
    /// Its place in its stream, from 1.
    pub version: u64,
    /// When.
    pub at: WireTime,
    /// The kind of who did it.
    pub actor_type: ActorKind,
    /// Who did it.
    pub actor_id: String,
    /// What happened: `ASSIGNED`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its facts.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// What people and agents wrote; gone once erased, and missing for who may not read it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub private: Value,
    /// Where the task was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_before: Option<Status>,
    /// Where it was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_after: Option<Status>,
    /// The number of the form it was written in.
    pub schema: u16,
}

impl EventView {
    /// The facts of an event, without its word; null where it has none.
    pub fn data_of(event: &Event) -> Value {
        match serde_json::to_value(event).expect("an event is plain data") {
            // Externally tagged: one field, named by the word.
            Value::Object(tagged) => tagged.into_iter().next().map_or(Value::Null, |(_, data)| data),
            _ => Value::Null,
        }
    }

    /// A text among its facts.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name)?.as_str()
    }

    /// The step it is about, by path; of its own word or of the work it names.
    pub fn step(&self) -> Option<String> {
        if let Some(step) = self.text("step") {
            return Some(step.to_owned());
        }
        match self.text("work")?.parse().ok()? {
            WorkKey::Step(path) | WorkKey::Gate(path, _) | WorkKey::Undo(path) => Some(path.into()),
            WorkKey::Plan | WorkKey::Analysis => None,
        }
    }

    /// What somebody wrote about it, where it is plain text.
    pub fn words(&self) -> Option<&str> {
        let of_success = || self.private.get("success")?.get("message");
        self.private.get("text").or_else(of_success)?.as_str().filter(|words| !words.is_empty())
    }
}

/// A plan, checked, with what follows from its shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanView {
    /// The id of this version of the plan of its task; missing for one that belongs to no task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_plan_id: Option<PlanId>,
    /// Which version of the plan, from 1; 0 for one that belongs to no task.
    pub plan_version: u32,
    /// Its steps and groups: parents before their children, siblings in the order written.
    pub steps: Vec<PlannedStep>,
    /// Steps by path in an order in which they could be done one by one.
    pub order: Vec<String>,
    /// Sets of steps that may run side by side: each set needs only earlier ones.
    pub parallel_groups: Vec<Vec<String>>,
    /// The chain of steps that decides how long the whole takes.
    pub critical_path: Vec<String>,
    /// How long the whole takes, where every step says how long it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_duration: Option<WireDuration>,
    /// What its steps need of their agents' machines (`cpu_cores`, `memory_mb`, `gpu_memory_mb`, `network_bandwidth_mbps`,
    /// `storage_gb`), where they say so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_requirements: BTreeMap<String, Requirement>,
    /// How sure its reader was, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confidence_reasons: Vec<String>,
    /// Whether it waits for a person to accept it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub acceptance_owed: bool,
    /// How the latest versions differ from those before, latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<crate::plan::difference::Difference>,
    /// What was found in its words, where it came later or is merely checked, and rules of the constitution that want a person to see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// How much of something the steps of a plan need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Requirement {
    /// All steps together.
    pub total: u64,
    /// The steps that may run side by side, where that is most.
    pub at_once: u64,
    /// The step that needs most.
    pub largest: u64,
}

/// A step or group of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlannedStep {
    /// Its place in the tree.
    pub path: String,
    /// The writer's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its group, by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// How many steps are directly in it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub children: u32,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// More, for its agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it does; empty for a group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// What its agent must be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The kind of work it is; as the task where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// The model it is done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it may use by itself, by name; beside the limits of the task.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub resources: Map<String, Value>,
    /// How long an attempt may take, where it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WireDuration>,
    /// What must have ended before, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Its condition, in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Its list, in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// What its result is judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateKind>,
    /// Whether the task goes on without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Whether doing it means acting on the outside.
    #[serde(default, skip_serializing_if = "is_false")]
    pub acts: bool,
    /// How long it is expected to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<WireDuration>,
    /// How late it may be without making the whole later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<WireDuration>,
}

impl PlanView {
    /// A plan that belongs to no task yet.
    pub fn of(plan: &Plan, texts: &[StepText]) -> Self {
        let outline = plan.outline();
        let path = |i: &u32| plan.steps[*i as usize].path.to_string();
        let paths = |list: &[u32]| list.iter().map(path).collect::<Vec<_>>();
        let mut slack = vec![None; plan.steps.len()];
        for (i, ms) in outline.order.iter().zip(outline.slack_ms.iter().flatten()) {
            slack[*i as usize] = Some(WireDuration { ms: *ms });
        }
        let step = |(i, step): (usize, &crate::plan::Step)| PlannedStep {
            path: step.path.to_string(),
            key: step.key.as_deref().map(Into::into),
            parent: step.parent.as_ref().map(path),
            children: step.children,
            title: texts.get(i).map(|t| t.title.clone()).unwrap_or_default(),
            description: texts.get(i).map(|t| t.description.clone()).unwrap_or_default(),
            action: if step.children > 0 { String::new() } else { step.action.to_string() },
            capabilities: step.capabilities.iter().map(ToString::to_string).collect(),
            task_type: step.task_type.as_deref().map(Into::into),
            model: step.model.as_deref().map(Into::into),
            resources: texts.get(i).map(|t| t.resources.clone()).unwrap_or_default(),
            timeout: step.timeout_ms.map(|ms| WireDuration { ms }),
            needs: paths(&step.needs),
            when: step.when.as_deref().map(Into::into),
            for_each: step.for_each.as_deref().map(Into::into),
            gates: step.gates.iter().map(|g| g.kind).collect(),
            optional: step.optional,
            acts: step.acts,
            estimate: step.estimate_ms.map(|ms| WireDuration { ms }),
            slack: slack[i],
        };
        Self {
            execution_plan_id: None,
            plan_version: 0,
            resource_requirements: requirements(plan, &outline.parallel_groups),
            steps: plan.steps.iter().enumerate().map(step).collect(),
            order: paths(&outline.order),
            parallel_groups: outline.parallel_groups.iter().map(|group| paths(group)).collect(),
            critical_path: paths(&outline.critical_path),
            estimated_duration: outline.estimated_ms.map(|ms| WireDuration { ms }),
            confidence: None,
            confidence_reasons: Vec::new(),
            acceptance_owed: false,
            changes: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// What the steps need of machines, by name.
fn requirements(plan: &Plan, groups: &[Vec<u32>]) -> BTreeMap<String, Requirement> {
    let mut all: BTreeMap<String, Requirement> = BTreeMap::new();
    for group in groups {
        let mut together: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, needed) in group.iter().flat_map(|i| &plan.steps[*i as usize].demands) {
            let of = all.entry(name.to_string()).or_default();
            of.total = of.total.saturating_add(*needed);
            of.largest = of.largest.max(*needed);
            let sum = together.entry(name).or_default();
            *sum = sum.saturating_add(*needed);
        }
        for (name, sum) in together {
            if let Some(of) = all.get_mut(name) {
                of.at_once = of.at_once.max(sum);
            }
        }
    }
    all
}

/// A review by the council, open or decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReviewView {
    /// Which one.
    pub id: ReviewId,
    /// What is asked.
    pub question: Question,
    /// How the votes stand.
    pub tally: Tally,
    /// What was said; missing while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Whether the operator decided alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub self_decided: bool,
    /// The terms of an open one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<TermsView>,
    /// What each judge said last, and, counting nothing, the constitution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judge_reviews: Vec<JudgeReview>,
    /// What judges say would make it better, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<String>,
    /// What a conditional yes depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ConditionView>,
    /// How well it keeps to the constitution, from 0 to 1: the mean of what judges say, by weight; what the constitution says where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance_score: Option<f64>,
    /// How good it is, from 0 to 1: the mean of what judges say, by weight; missing where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_score: Option<f64>,
    /// Whether something is left to do about it: a condition that is not met, or a verdict that settles nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub requires_followup: bool,
}

/// What a judge said in a review (S1-83).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JudgeReview {
    /// Who: an agent's id, a person's name, or `constitution`.
    pub judge_id: String,
    /// What.
    pub verdict: VoteWord,
    /// How much it counts.
    pub weight: u32,
    /// Whether it is advice that counts nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub advisory: bool,
    /// How sure, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What would make it better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<String>,
    /// How well it keeps to the constitution, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance_score: Option<f64>,
    /// How good it is, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_score: Option<f64>,
}

/// What a conditional yes depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConditionView {
    /// The gate it became.
    pub gate: GateSpec,
    /// Whether that gate let a result through.
    pub met: bool,
}

/// What an open review is counted by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TermsView {
    /// Who may vote, and what they said so far.
    pub judges: Vec<JudgeView>,
    /// How much weight in favour it takes.
    pub required: u32,
    /// How many must have voted.
    pub quorum: u32,
    /// Whether the operator may decide alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub solo: bool,
    /// When it is decided by what is there.
    pub deadline: WireTime,
}

/// A judge of a review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JudgeView {
    /// An agent's id or a person's name.
    pub id: String,
    /// How much the vote counts.
    pub weight: u32,
    /// Whether a REJECT of this judge alone decides.
    #[serde(default, skip_serializing_if = "is_false")]
    pub veto: bool,
    /// What was said; missing while nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vote: Option<VoteWord>,
}

/// An effect on the outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectView {
    /// Which one; the token it was done with.
    pub id: EffectId,
    /// For which work.
    pub work: WorkKey,
    /// In which attempt it was last granted.
    pub attempt: u32,
    /// What is done.
    pub action: String,
    /// With what, as SHA-256 in hexadecimal; empty where nobody said.
    pub args_digest: String,
    /// What became of it; missing while nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<EffectOutcome>,
    /// What to do when nobody knows.
    pub on_unknown: OnUnknown,
    /// Whether it was granted before; where not, it is UNGUARDED: an agent did it with credentials of its own, and nobody could have
    /// prevented it.
    #[serde(default = "yes")]
    pub guarded: bool,
    /// What its agent says of an unguarded one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The key its agent did an unguarded one with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

fn yes() -> bool {
    true
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputView {
    /// Its path.
    pub step: String,
    /// The name later steps refer to it by.
    pub name: String,
    /// The result.
    pub output: Value,
    /// Figures about it, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metrics: Map<String, Value>,
    /// What there is to say about it, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// One thing a task waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Waiting {
    /// A word for programs: `APPROVAL`, `NO_AGENT`, `DUE`.
    pub reason: String,
    /// One sentence for people.
    pub what: String,
    /// The step it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// When it is over by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<WireTime>,
    /// The smallest act that frees it, as a command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
    /// How the agent looks that works on it, where a running engine was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Liveness>,
    /// Which one it is among the tasks of its namespace that offer the same work, from 1: where an agent is what it waits for. No more
    /// than 100,000 are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
}
