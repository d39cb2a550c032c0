//! A receipt: one document about one task that can be checked without the database it came from. It holds the events as they were
//! stored, with the hashes that chain them, and a summary for people. The summary proves nothing: whoever checks a receipt derives it
//! anew from the events (`derive::summary`) and compares.
//!
//! The form has a number. Words and fields of a form never change; another form is another number, and this one stays readable.

#[cfg(feature = "rules")]
pub mod derive;
#[cfg(feature = "rules")]
mod outside;

use crate::constitution::{Point, Said};
use crate::event::{ApprovalWord, DecisionWord, EndReason, Finding};
use crate::id::{AgentId, EffectId, ReviewId, TaskId};
use crate::review::{Judge, Marks, Question, Tally, Verdict, VoteWord};
use crate::spec::{Autonomy, ErrorClass, ExecutionMode, GateKind, Priority, Risk};
use crate::status::Status;
use crate::time::WireTime;
use crate::work::{EffectOutcome, WorkKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The number of the form receipts are written in now.
pub const FORM: u32 = 1;

/// A receipt, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The number of its form: 1.
    pub receipt: u32,
    /// The task it is about.
    pub task: TaskId,
    /// What follows from the events, for people. Whoever checks the receipt derives it anew.
    #[cfg_attr(feature = "openapi", schema(value_type = ReceiptSummary))]
    pub summary: Value,
    /// Every event of the task up to then, as it was stored.
    pub events: Vec<ReceiptEvent>,
    /// The commits those events were written in, in order.
    pub commits: Vec<ReceiptCommit>,
}

/// An event as it was stored: its hash is over exactly these texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReceiptEvent {
    /// Its place in the task, from 1.
    pub version: u64,
    /// Its place among all events of the database.
    pub position: u64,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Its word: `ASSIGNED`.
    pub kind: String,
    /// Who: `HUMAN/operator`.
    pub actor: String,
    /// The status before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Status>,
    /// The status after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Status>,
    /// The number of its form.
    pub schema: u16,
    /// Its facts: the very text that was stored.
    pub data: String,
    /// SHA-256 over salt and words, in hexadecimal, where words came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The salt of the words, in hexadecimal; gone with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// What people and agents wrote: the very text that was stored; missing once erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// SHA-256 over the hash of the event before and all of the above but the position, the salt and the words, in hexadecimal.
    pub hash: String,
}

/// A commit of the log in which at least one event of the task was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReceiptCommit {
    /// Position of its first event.
    pub first: u64,
    /// Position of its last event.
    pub last: u64,
    /// The hash of the commit before it, in hexadecimal; 64 zeros for the first of all.
    pub previous: String,
    /// The hashes of all its events in order, also of those of other tasks.
    pub hashes: Vec<String>,
    /// SHA-256 over those.
    pub root: String,
    /// SHA-256 over the commit before, first, last and root: what a head kept elsewhere is compared with.
    pub hash: String,
}

/// What follows from the events of a receipt.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptSummary {
    /// The task, as the last event left it.
    pub task: ReceiptTask,
    /// Every version of its plan.
    pub plans: Vec<ReceiptPlan>,
    /// What validation found, each time something was looked at.
    pub validation: Vec<ReceiptValidation>,
    /// What the rules of the constitution said, each time they were asked and spoke.
    pub constitution: Vec<ReceiptRuling>,
    /// What the council was asked, how it voted, and how that was counted.
    pub reviews: Vec<ReceiptReview>,
    /// What people were asked about single actions, and their answers.
    pub approvals: Vec<ReceiptApproval>,
    /// What people and agents did to the task from outside.
    pub interventions: Vec<ReceiptIntervention>,
    /// What it did on the outside.
    pub effects: Vec<ReceiptEffect>,
    /// What its gates said.
    pub gates: Vec<ReceiptGate>,
    /// What it took.
    pub usage: ReceiptUsage,
    /// Every event in a line.
    pub timeline: Vec<ReceiptMoment>,
}

/// The task of a receipt.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptTask {
    /// Its id.
    pub id: TaskId,
    /// Where it belongs.
    pub namespace: String,
    /// Its kind.
    pub task_type: String,
    /// One line; missing once erased.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The caller's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Who or what made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Who submitted it.
    pub submitted_by: String,
    /// Whose it is, where another task gave birth to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// How steps are confirmed.
    pub execution_mode: ExecutionMode,
    /// What may happen outside without a person.
    pub autonomy: Autonomy,
    /// Its place among waiting tasks.
    pub priority: Priority,
    /// The computed risk.
    pub risk: Risk,
    /// Which rule found the risk in which fact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub risk_reasons: Vec<String>,
    /// Where it is.
    pub status: Status,
    /// Why it ended, unless it completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// When it was born.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<WireTime>,
    /// When it first began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<WireTime>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<WireTime>,
    /// How many events it has.
    pub events: u64,
    /// Whether its words were erased.
    pub erased: bool,
}

/// One version of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptPlan {
    /// Which version, from 1.
    pub version: u32,
    /// The event it came with.
    pub event: u64,
    /// Who proposed it.
    pub by: String,
    /// How sure its reader was, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Whether a person had to accept it.
    pub acceptance_owed: bool,
    /// The event in which a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<ReceiptMark>,
    /// Its steps and groups.
    pub steps: Vec<ReceiptStep>,
    /// Lists that were laid out while it was followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ReceiptList>,
}

/// That something was done in an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptMark {
    /// Which event.
    pub event: u64,
    /// When.
    pub at: WireTime,
    /// Who.
    pub by: String,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptStep {
    /// Its place in the tree.
    pub path: String,
    /// The writer's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// One line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What it does; empty for a group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// With what, references as written.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// What must have ended before, by path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What its result is judged by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateKind>,
    /// The model it is done with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether doing it means acting on the outside.
    pub acts: bool,
    /// Whether the task goes on without it.
    pub optional: bool,
}

/// A step that became one for each item of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptList {
    /// In which event.
    pub event: u64,
    /// Which step.
    pub step: String,
    /// How many items.
    pub count: u32,
}

/// What validation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptValidation {
    /// In which event.
    pub event: u64,
    /// What was looked at: `request`, `plan`, `change`, `params` (of a step, changed by who approved of it).
    pub of: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// What the constitution said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptRuling {
    /// In which event.
    pub event: u64,
    /// Where it was asked. What was said of the plan a task was submitted with stands under `admission`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub at: Point,
    /// The document, by the beginning of its SHA-256, where the event names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The work it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<String>,
    /// What rules said whose condition held.
    pub rulings: Vec<Said>,
}

/// A question to the council.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptReview {
    /// Which one.
    pub id: ReviewId,
    /// What was asked.
    pub question: Question,
    /// In which event it was opened.
    pub event: u64,
    /// Who might vote.
    pub judges: Vec<Judge>,
    /// How much weight in favour it took.
    pub required: u32,
    /// How many had to vote.
    pub quorum: u32,
    /// Whether the operator might decide alone.
    pub solo: bool,
    /// When it was to be decided by what was there.
    pub deadline: WireTime,
    /// The decision that was voted on, where it was about an escalation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<DecisionWord>,
    /// The votes in order; of several of one judge the last counts.
    pub votes: Vec<ReceiptVote>,
    /// The votes, counted from the two lists above.
    pub counted: Tally,
    /// How the votes stood, as the event of the verdict says; missing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
    /// What was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The event of the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<ReceiptMark>,
    /// Whether the operator decided alone.
    pub self_decided: bool,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptVote {
    /// In which event.
    pub event: u64,
    /// When.
    pub at: WireTime,
    /// Who.
    pub judge: String,
    /// What.
    pub vote: VoteWord,
    /// How sure, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else it said in facts: conditions, scores.
    #[serde(skip_serializing_if = "Marks::is_empty")]
    pub marks: Marks,
    /// What it rested on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What would have made it better.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<String>,
}

/// A question to a person about one action.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptApproval {
    /// Which step.
    pub step: String,
    /// When it was asked, and by which event.
    pub asked: ReceiptMark,
    /// What was asked about: SHA-256 of task, step, action, description, model, parameters, version of the plan and constitution.
    pub digest: String,
    /// SHA-256 of the parameters alone.
    pub args_digest: String,
    /// When it counted as a no.
    pub until: WireTime,
    /// The risk for the sake of which it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// What the rules said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<Said>,
    /// Whether whoever answered changed the parameters first.
    pub params_changed: bool,
    /// The answer; missing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<ApprovalWord>,
    /// Who answered, and in which event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<ReceiptMark>,
    /// What the answer is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_digest: Option<String>,
    /// The parameters it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_args_digest: Option<String>,
    /// Whether whoever answered had submitted the task.
    pub self_decided: bool,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Something that was done to the task from outside.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptIntervention {
    /// In which event.
    pub event: u64,
    /// When.
    pub at: WireTime,
    /// Who.
    pub by: String,
    /// What, by the word of the event: `PAUSED`, `OVERRIDDEN`.
    pub what: String,
    /// What was decided, where the event says: `SKIP_STEP`, `LIQUIDATE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The step it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An act on the outside.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptEffect {
    /// Which one; the token it was done with.
    pub id: EffectId,
    /// `GRANTED`, or `UNGUARDED`: done without asking, with credentials of its agent's own.
    pub right: EffectRight,
    /// For which work.
    pub work: WorkKey,
    /// In which attempt it was last granted, or done.
    pub attempt: u32,
    /// What was done.
    pub action: String,
    /// With what, as SHA-256; empty where nobody said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub args_digest: String,
    /// The events that granted it, or the one that tells of it.
    pub granted: Vec<ReceiptMark>,
    /// What became of it; missing while nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<EffectOutcome>,
    /// Who said so last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<ReceiptMark>,
}

/// With what right something was done on the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EffectRight {
    /// It was asked for and granted.
    Granted,
    /// Nobody was asked.
    Unguarded,
}

/// What a gate said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptGate {
    /// In which event.
    pub event: u64,
    /// When.
    pub at: WireTime,
    /// Which step.
    pub step: String,
    /// Which of its gates.
    pub gate: u16,
    /// Which kind, by the plan that was followed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<GateKind>,
    /// Whether it let the result through.
    pub passed: bool,
    /// From 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// How many violations there were.
    pub violations: u32,
    /// By what: `evidence`, `metric`, `agent`, `person`, `limit`.
    pub by: String,
    /// Who.
    pub who: String,
    /// Whether a failure only leaves a note.
    pub advisory: bool,
}

/// What a task took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptUsage {
    /// From its first start to its end, in milliseconds; missing while it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_ms: Option<u64>,
    /// How long agents had work of it, all attempts added up, in milliseconds.
    pub work_ms: u64,
    /// What agents reported that adds up: figures named `cost`, `tokens` or `calls`, or so with a word before or behind
    /// (`cost_usd`, `input_tokens`, `tool_calls`). What nobody reported is not known, and not there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub totals: BTreeMap<String, f64>,
    /// Each attempt.
    pub attempts: Vec<ReceiptAttempt>,
}

/// An attempt at a piece of work.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptAttempt {
    /// Which work.
    pub work: WorkKey,
    /// Which attempt: the fencing token.
    pub attempt: u32,
    /// Who had it.
    pub agent: AgentId,
    /// In which event it was given away.
    pub event: u64,
    /// When.
    pub at: WireTime,
    /// The digest of what a person had approved of, where one had to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<String>,
    /// How it ended: `SUCCEEDED`, `FAILED`; missing where the events do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// What kind of trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// What it reported about itself.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metrics: Map<String, Value>,
}

/// An event in a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReceiptMoment {
    /// Which one.
    pub event: u64,
    /// When.
    pub at: WireTime,
    /// Who.
    pub actor: String,
    /// Its word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The digest of the words that came with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}
