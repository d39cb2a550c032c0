//! What people and programs write: a request, a plan, its steps. These are wire types and nothing more; `request` and
//! `plan` check them and turn them into what a task lives by.

mod check;
mod words;

pub use check::{Compare, GateCheck, Probe, Threshold};
pub use words::RecurrenceKind;

use crate::budget::{Amount, Budget, OnBudget};
use crate::id::TaskId;
use crate::models::Complexity;
use crate::time::{WireDuration, WireTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A task as it is submitted. Only `description` or `title` must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// One line for lists; the first line of the description where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The kind of work, an open set: `CodeReview`, `INVOICE_FOLLOW_UP`, `general` where it is missing. `ONE_TIME` and `RECURRING` are no
    /// kinds of work, and only compared with `recurrence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// The order among waiting tasks.
    pub priority: Priority,
    /// How steps are confirmed; as the house does it where it is missing (`AUTO`, unless it says otherwise).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_mode: Option<ExecutionMode>,
    /// Which outside effects may happen without a person; follows from `execution_mode` where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autonomy: Option<Autonomy>,
    /// Words or sentences the result has to satisfy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// When the result counts as accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acceptance_criteria: Vec<String>,
    /// Who is told how it ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stakeholders: Vec<String>,
    /// Labels for finding it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Do not start before; a past one means now, a plain date the start of that day.
    #[serde(deserialize_with = "crate::time::start", skip_serializing_if = "Option::is_none")]
    pub due_at: Option<WireTime>,
    /// Release it at this instant, whatever its due time; a past one means now, a plain date the start of that day.
    #[serde(deserialize_with = "crate::time::start", skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<WireTime>,
    /// Must have ended by; the task fails when it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<WireTime>,
    /// How long it may take from its first start to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WireDuration>,
    /// How long it may wait for a first agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<WireDuration>,
    /// How long the agent of a step may be silent before its lease lapses, for steps that do not say; the server's default where it is
    /// missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout: Option<WireDuration>,
    /// What happens to the step of an agent that fell silent; the server's policy where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_agent_lost: Option<OnAgentLost>,
    /// The agent that does the steps that name none, by its id or its own name; any that is able to where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<crate::id::AgentId>,
    /// Whether one agent does all the steps that name none; `NONE` where it is missing.
    #[serde(skip_serializing_if = "Affinity::is_none")]
    pub affinity: Affinity,
    /// The caller's own name for it, unique per namespace and source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Who or what made it, free text: `MANUAL`, `OVERDUE_INVOICE_DETECTOR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it belongs; `default` where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The task this one is part of, by its id or its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<TaskId>,
    /// Tasks that must have completed before this one is released, by their ids or their own names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    /// The ended task this one is another try of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<TaskId>,
    /// The task it is about, where that is neither its parent nor one it depends on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related_task_id: Option<TaskId>,
    /// Free JSON, read by steps as `${task.payload.…}`.
    #[serde(alias = "context", skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    /// How it is done; where it is missing the task is one step, or an agent able to `plan` is asked (`plan_by_agent`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSpec>,
    /// Asks an agent able to `plan` for the plan.
    #[serde(skip_serializing_if = "is_false")]
    pub plan_by_agent: bool,
    /// For a task of one step: what the step does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// For a task of one step: what its agent must be able to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// How often the task is tried again after all attempts of a step are spent; 5 where it is missing, then it escalates. With
    /// 0 it fails instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// The retry policy of steps that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Makes it come again; the word `ONE_TIME` is read as well, and says that it does not.
    #[serde(deserialize_with = "words::recurrence", skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
    /// The risk the caller sees; the computed one may be higher, never lower.
    #[serde(alias = "risk_level", skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// Why the task is allowed under the constitution, in the caller's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constitutional_basis: Option<String>,
    /// `AI` or `HUMAN`: who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_type: Option<String>,
    /// Which one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// The kind of thing it is about: `INVOICE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_ref_type: Option<String>,
    /// Which thing it is about. Where it is given, the duplicate window of 24 h applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_ref_id: Option<String>,
    /// What it may use at most; an open set of names such as `cpu_cores`, `memory_mb`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub resource_limits: Map<String, Value>,
    /// The model its steps ask for that name none and that the built-in agents could not do: a name, or `auto` for what the house
    /// chooses. Steps whose action begins with `model.` are chosen for in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it may use at most: tokens, cost, calls of tools, time; the house's default where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// What follows when that does not suffice; the house's rule where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_budget: Option<OnBudget>,
    /// How much there is to it; its steps then ask for a machine of that size. Where it is missing it is only estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complexity: Option<Complexity>,
    /// Whether the council looks at the result before the task completes.
    #[serde(skip_serializing_if = "is_false")]
    pub final_review: bool,
}

fn is_false(b: &bool) -> bool {
    !b
}

/// A plan as it is written: a tree of steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PlanSpec {
    /// The steps and groups of steps.
    pub steps: Vec<StepSpec>,
    /// Whether each top-level step waits for the one before it.
    #[serde(skip_serializing_if = "is_false")]
    pub sequential: bool,
    /// How sure the reader of a foreign format is of having understood it, from 0 to 1. Below 0.7 a person has to accept the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Why the confidence is what it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confidence_reasons: Vec<String>,
}

/// One step as it is written; with `steps` it is a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct StepSpec {
    /// The writer's name for it, unique in the plan; others refer to it by this or by its path (`1.2`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is to be done, for the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it does: `shell.run`, `http.request`, `template.render`, `wait.for`, `wait.until`, `wait.signal`, `task.run`, or any word an
    /// outside agent can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What its agent must be able to do; the action where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Parameters of the action, with `${steps.ID.output.x}`, `${task.payload.y}`, `${item}`, `${secrets.NAME}`.
    #[serde(alias = "with", skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Steps or groups, by id or path, that must have ended before.
    #[serde(alias = "needs", skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// A condition in CEL; where it is false the step is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A list in CEL; the step is done once for each item, as `2.1 … 2.n`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_each: Option<String>,
    /// How long one attempt may take from start to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WireDuration>,
    /// How long an agent may hold it without starting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<WireDuration>,
    /// How long it may be offered before it counts as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout: Option<WireDuration>,
    /// How long its agent may be silent before the lease lapses; the server's default where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_timeout: Option<WireDuration>,
    /// When and how often a failed attempt is repeated.
    #[serde(alias = "retry", skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// What its result is judged by.
    #[serde(alias = "quality_gates", skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateSpec>,
    /// Whether the task goes on without it when its attempts are spent.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
    /// What to do about an outside effect of which nobody knows whether it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<OnUnknown>,
    /// Whether doing it means acting on the outside. Where it then works without having asked for an effect, an UNGUARDED one is noted.
    #[serde(skip_serializing_if = "is_false")]
    pub acts: bool,
    /// The agent that must do it, by its id or its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<crate::id::AgentId>,
    /// The kind of work it is, an open set: `CodeReview`, `Testing`; as the task where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// The model it asks for: a plain name, or `auto` for what the house chooses.
    #[serde(alias = "assigned_model", skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What its agent may use, an open set of names such as `memory_mb`; beside the `resource_limits` of the task, which it overrides.
    #[serde(alias = "required_resources", skip_serializing_if = "Map::is_empty")]
    pub resources: Map<String, Value>,
    /// What is set aside of the task's budget before an attempt; for `task.run`, what the task that is born may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve: Option<Amount>,
    /// The name under which one may go back to where this step is done; any completed step may be named by its id or path as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// How what it did is undone when one goes back behind it.
    #[serde(alias = "compensate", skip_serializing_if = "Option::is_none")]
    pub compensation: Option<CompensationSpec>,
    /// Other ways of doing it, for the failure analyst to choose from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<AlternativeSpec>,
    /// How long it is expected to take, where somebody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<WireDuration>,
    /// Its name in the system it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whether steps of this group wait for the one before them.
    #[serde(skip_serializing_if = "is_false")]
    pub sequential: bool,
    /// The steps of this group.
    #[serde(alias = "subtasks", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    pub steps: Vec<StepSpec>,
}

/// How what a step did is undone: work of its own, offered to agents when one goes back behind the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CompensationSpec {
    /// What it does: `http.request`, `shell.run`, or any word an outside agent can do.
    pub action: String,
    /// What its agent must be able to do; the action where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Parameters of the action; references see the outputs that are being undone.
    #[serde(alias = "with", skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// How long one attempt may take from start to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WireDuration>,
    /// When and how often a failed attempt is repeated; the step's policy where it is missing.
    #[serde(alias = "retry", skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

/// Another way of doing a step. What is missing is as the step says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AlternativeSpec {
    /// The classes of error it is meant for; all where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<ErrorClass>,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What its agent must be able to do instead; its action where only that is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The parameters instead.
    #[serde(alias = "with", skip_serializing_if = "Option::is_none")]
    pub params: Option<Map<String, Value>>,
    /// How long one attempt may take instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WireDuration>,
}

/// When a failed attempt of a step is repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Attempts in all, the first one counted.
    pub max_attempts: u32,
    /// The wait before the second attempt.
    pub initial: WireDuration,
    /// The longest wait.
    pub max: WireDuration,
    /// What the wait grows by each time; 1 keeps it.
    pub multiplier: f64,
    /// The part of the wait, from 0 to 1, that chance may add or take.
    pub jitter: f64,
    /// Error classes that are never repeated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never_on: Vec<ErrorClass>,
    /// Other numbers for some classes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_class: BTreeMap<ErrorClass, ClassRetry>,
}

/// The numbers of a retry policy for one class of error; what is missing is as the policy says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ClassRetry {
    /// Attempts that may fail in this way. They are counted by themselves, beside those of other classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The wait after the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<WireDuration>,
    /// The longest wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<WireDuration>,
    /// What the wait grows by each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
    /// The part of the wait that chance may add or take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
}

/// 3 attempts, 1 s doubling up to 5 min, a tenth of chance (S3-101).
impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial: WireDuration { ms: 1_000 },
            max: WireDuration { ms: 300_000 },
            multiplier: 2.0,
            jitter: 0.1,
            never_on: Vec::new(),
            by_class: BTreeMap::new(),
        }
    }
}

/// Makes a task come again: at a fixed interval, or by the calendar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Recurrence {
    /// From one due time to the next. Either this or `cron`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<WireDuration>,
    /// Minute, hour, day of the month, month, day of the week, with an optional field of seconds before them: `0 9 * * 1-5`. Where both
    /// days are restricted either is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Whose clock `cron` is read by, a name of the IANA database: `Europe/Berlin`; UTC where it is missing. A time that a clock put
    /// forward leaves out comes right after the gap; one that a clock put back shows twice comes once, at the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// How many runs in all, this one counted; without end where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What happens when a run is due while the one before it has not ended.
    #[serde(skip_serializing_if = "is_default")]
    pub overlap: Overlap,
    /// What happens to runs that were due while nobody could start them.
    #[serde(skip_serializing_if = "is_default")]
    pub catch_up: CatchUp,
    /// How late a run may start; one that is later is left out, and its task waits for the next time. For ever with `ONE`, a day with
    /// `ALL` where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up_window: Option<WireDuration>,
}

/// What happens when a run is due while the one before it has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It waits for the end of the one before it; however many were due meanwhile, one waits.
    Queue,
    /// It runs beside it.
    Allow,
    /// The one before it is cancelled.
    Replace,
}

/// What happens to runs that were due while nobody could start them: the server was down, a dependency open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CatchUp {
    /// One run stands for all of them.
    #[default]
    One,
    /// Each comes.
    All,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A check on a step's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GateSpec {
    /// What kind of check.
    pub kind: GateKind,
    /// PERFORMANCE_TEST: the metric of the report that is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// PERFORMANCE_TEST: the metric may not exceed it. Others: the score, from 0 to 1, may not fall below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Violations of this severity or above fail: of a SECURITY_SCAN always (`LOW` where it is missing), of others where it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity_threshold: Option<Risk>,
    /// MANUAL_REVIEW: who is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    /// What is judged: criteria, rules, a test suite, dependencies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<String>,
    /// Whether a failed check only leaves a note.
    #[serde(default, skip_serializing_if = "is_false")]
    pub advisory: bool,
    /// How it is checked. Then only the agent that checks judges it, and no evidence in the report of the step does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<GateCheck>>,
}

/// What an agent must be able to do to judge gates that say how they are checked.
pub const GATE_CHECK: &str = "gate.check";

impl GateSpec {
    /// A gate of this kind, and nothing more.
    pub fn of(kind: GateKind) -> Self {
        Self {
            kind,
            metric: None,
            threshold: None,
            severity_threshold: None,
            reviewer: None,
            criteria: Vec::new(),
            advisory: false,
            check: None,
        }
    }

    /// What an agent must be able to do to judge it.
    pub fn capability(&self) -> &'static str {
        if self.check.is_some() { GATE_CHECK } else { self.kind.capability() }
    }
}

/// The six kinds of quality gate (S1-57…62).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GateKind {
    /// The rules of a language.
    CodeStyle,
    /// No violation at or above a severity.
    SecurityScan,
    /// A metric within its threshold.
    PerformanceTest,
    /// A test suite passes.
    FunctionalTest,
    /// What it depends on answers.
    IntegrationTest,
    /// A person says so.
    ManualReview,
}

impl GateKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::CodeStyle,
        Self::SecurityScan,
        Self::PerformanceTest,
        Self::FunctionalTest,
        Self::IntegrationTest,
        Self::ManualReview,
    ];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::CodeStyle => "CODE_STYLE",
            Self::SecurityScan => "SECURITY_SCAN",
            Self::PerformanceTest => "PERFORMANCE_TEST",
            Self::FunctionalTest => "FUNCTIONAL_TEST",
            Self::IntegrationTest => "INTEGRATION_TEST",
            Self::ManualReview => "MANUAL_REVIEW",
        }
    }

    /// What an agent must be able to do to judge it where it does not say how it is checked.
    pub fn capability(self) -> &'static str {
        match self {
            Self::CodeStyle => "gate.code_style",
            Self::SecurityScan => "gate.security_scan",
            Self::PerformanceTest => "gate.performance_test",
            Self::FunctionalTest => "gate.functional_test",
            Self::IntegrationTest => "gate.integration_test",
            Self::ManualReview => "gate.manual_review",
        }
    }
}

/// The order among waiting tasks, highest last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Priority {
    /// When nothing else is to be done.
    Idle,
    /// Later.
    Low,
    /// The ordinary case.
    #[default]
    #[serde(alias = "MEDIUM")]
    Normal,
    /// Before the ordinary.
    #[serde(alias = "URGENT")]
    High,
    /// Before all but the sovereign's.
    Critical,
    /// Before everything.
    Sovereign,
}

/// How likely and how bad harm would be, lowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Risk {
    /// The council may advise.
    #[default]
    Low,
    /// The council watches while it runs.
    Medium,
    /// The council decides before it starts.
    High,
    /// The council decides before it starts.
    Critical,
}

impl Risk {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its word: `HIGH`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }

    /// Whether there is hardly any.
    pub fn is_low(&self) -> bool {
        *self == Self::Low
    }

    /// The risk of a word, in any case.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.word().eq_ignore_ascii_case(word))
    }
}

/// How steps are confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionMode {
    /// Independent steps run side by side, gates by themselves.
    #[default]
    Auto,
    /// A blocking review before the start, one step at a time, a person confirms each.
    Strict,
    /// Everything is simulated; no effect token exists.
    DryRun,
}

/// Which effects on the outside may happen without a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Autonomy {
    /// None: drafts only.
    Suggestion,
    /// All but those of high risk.
    Assisted,
    /// All within the guardrails.
    Autonomous,
}

/// What to do when nobody knows whether an outside effect happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// A person is asked.
    #[default]
    Ask,
    /// The agent looks whether it happened before it acts again.
    Probe,
    /// It is done again with the same idempotency key.
    SameKey,
}

/// Whether the steps of a task stay with one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Affinity {
    /// Any agent that is able to does each of them.
    #[default]
    None,
    /// Who gets the first step gets the others too, for the sake of what it has loaded or remembers, until it falls silent; then whoever
    /// comes next does. Steps that name an agent stay with that one.
    Session,
}

impl Affinity {
    /// Whether nothing is asked for.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What happens to the work of an agent that fell silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnAgentLost {
    /// It is offered again, the attempt counted.
    #[default]
    Reoffer,
    /// The task is BLOCKED (AGENT_OFFLINE) until somebody decides.
    Block,
}

/// What kind of trouble ended an attempt; retry policies and the failure analyst tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorClass {
    /// It took longer than it may.
    Timeout,
    /// Somebody said no.
    Refused,
    /// Something it needs is not there.
    NotFound,
    /// Its parameters make no sense; trying again cannot help.
    BadInput,
    /// Its result cannot be used.
    BadOutput,
    /// A gate judged the result insufficient.
    GateFailed,
    /// Its agent fell silent.
    AgentLost,
    /// No agent can do it.
    MissingCapability,
    /// The outside asks for patience.
    RateLimit,
    /// It used more memory than it may.
    OutOfMemory,
    /// The outside failed.
    External,
    /// It was told to end.
    Cancelled,
    /// Anything else.
    #[default]
    Other,
}

impl ErrorClass {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Timeout => "TIMEOUT",
            Self::Refused => "REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::BadInput => "BAD_INPUT",
            Self::BadOutput => "BAD_OUTPUT",
            Self::GateFailed => "GATE_FAILED",
            Self::AgentLost => "AGENT_LOST",
            Self::MissingCapability => "MISSING_CAPABILITY",
            Self::RateLimit => "RATE_LIMIT",
            Self::OutOfMemory => "OUT_OF_MEMORY",
            Self::External => "EXTERNAL",
            Self::Cancelled => "CANCELLED",
            Self::Other => "OTHER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_body_of_the_sources_is_read() {
        let body = r#"{"description":"Implement user authentication system","priority":"HIGH","execution_mode":"AUTO",
            "requirements":["secure","scalable","tested"],"deadline":"2024-12-31T23:59:59Z","stakeholders":["security_team","backend_team"]}"#;
        let request: Request = serde_json::from_str(body).unwrap();
        assert_eq!((request.priority, request.requirements.len()), (Priority::High, 3));
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let error = serde_json::from_str::<Request>(r#"{"descriptoin":"x"}"#).unwrap_err().to_string();
        assert!(error.contains("descriptoin"), "{error}");
    }
}
