//! Work: the one thing a task offers and an agent claims, keeps alive and reports on. Wire types only.

use crate::budget::Usage;
use crate::id::{AgentId, ClaimId, EffectId, TaskId};
use crate::spec::{ErrorClass, PlanSpec, Risk};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::{fmt, str::FromStr};

/// Which piece of work of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkKey {
    /// A step, by its path.
    Step(Box<str>),
    /// One gate of a step.
    Gate(Box<str>, u16),
    /// A plan for the task.
    Plan,
    /// Why an attempt of the task failed, and what to do about it.
    Analysis,
    /// Undoing what a step did, by its path.
    Undo(Box<str>),
}

impl fmt::Display for WorkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(path) => write!(f, "step:{path}"),
            Self::Gate(path, n) => write!(f, "gate:{path}:{n}"),
            Self::Plan => f.write_str("plan"),
            Self::Analysis => f.write_str("analysis"),
            Self::Undo(path) => write!(f, "undo:{path}"),
        }
    }
}

impl FromStr for WorkKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no work; it reads step:1.2, gate:1.2:0, plan, analysis or undo:1.2");
        match text.split_once(':') {
            Some(("step", path)) if !path.is_empty() => Ok(Self::Step(path.into())),
            Some(("undo", path)) if !path.is_empty() => Ok(Self::Undo(path.into())),
            Some(("gate", rest)) => {
                let (path, n) = rest.rsplit_once(':').ok_or_else(wrong)?;
                Ok(Self::Gate(path.into(), n.parse().map_err(|_| wrong())?))
            }
            None if text == "plan" => Ok(Self::Plan),
            None if text == "analysis" => Ok(Self::Analysis),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for WorkKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WorkKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An agent's wish for work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    /// Who asks.
    pub agent_id: AgentId,
    /// Chosen anew for each wish; the same wish repeated with it gets the same leases.
    pub claim_id: ClaimId,
    /// How many pieces at most.
    pub max: u32,
    /// How long to wait for the first, in milliseconds.
    #[serde(default)]
    pub wait_ms: u64,
    /// Whether the work counts as started with the claim.
    #[serde(default = "yes")]
    pub start: bool,
}

fn yes() -> bool {
    true
}

/// A piece of work under a lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkItem {
    /// The task it belongs to.
    pub task_id: TaskId,
    /// Which piece of it.
    pub work: WorkKey,
    /// The fencing token: every later word about this work repeats it.
    pub attempt: u32,
    /// How long the lease lasts without a heartbeat, in milliseconds.
    pub lease_ms: u64,
    /// How long the attempt may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Where the task belongs.
    pub namespace: String,
    /// What to do: the action of the step or of its compensation; `gate.…`, `plan` or `analyse` for other work.
    pub action: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// More, for the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What the result of the task has to satisfy, in the words of now: a changed scope reaches whoever claims next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// The model to do it with, where the step names one or the house chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Which models the house chose for its task, and why; an opinion where it says `advice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Box<crate::models::ModelSelection>>,
    /// The action's parameters, references resolved; `${secrets.NAME}` is left for the agent to resolve.
    pub params: Map<String, Value>,
    /// Why the attempt before this one did not count: its failure, or what a gate found wrong with its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What it may use: the limits of the task, the step's own numbers, and what was allocated since, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub resources: Map<String, Value>,
    /// Whether outside effects are allowed; `false` in DRY_RUN and SUGGESTION, where no effect token is granted.
    pub may_act: bool,
    /// Where a person had to approve of it: the SHA-256 of its parameters. An effect is granted for its action with this `args_digest` and
    /// for no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_args: Option<String>,
    /// The first of `probes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<EffectProbe>,
    /// Effects of earlier attempts of which nobody knows whether they happened: look for each, and say what became of it, before acting
    /// again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<EffectProbe>,
    /// What people said should be kept in mind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guidance: Vec<String>,
    /// Of which trace it is (W3C Trace Context), where the server sends traces: spans under it become part of the trace of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// For a gate: the gate, the report to be judged and, in `params`, how it is checked where the gate says so. For an analysis: all that is known of the failure. For a plan: the request. For a compensation:
    /// which step it undoes, and what that step's result was.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub subject: Value,
}

/// An effect to be looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectProbe {
    /// Which effect.
    pub effect_id: EffectId,
    /// The key it was done with.
    pub idempotency_key: String,
    /// What was to be done.
    #[serde(default)]
    pub action: String,
    /// SHA-256, in hexadecimal, of the arguments it was to be done with.
    #[serde(default)]
    pub args_digest: String,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeat {
    /// The task.
    pub task_id: TaskId,
    /// Which work of it.
    pub work: WorkKey,
    /// The fencing token of the claim.
    pub attempt: u32,
    /// How far it is, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// What it is doing, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What the holder of a lease should do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatAnswer {
    /// Go on or stop.
    pub then: Then,
    /// What people said since the claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guidance: Vec<String>,
}

/// Go on or stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Then {
    /// The lease is renewed.
    Continue,
    /// Somebody wants the work to end: stop, undo what can be undone, report `Cancelled`.
    Cancel,
    /// The work is no longer yours: stop, report nothing.
    Stale,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Report {
    /// The task.
    pub task_id: TaskId,
    /// Which work of it.
    pub work: WorkKey,
    /// The fencing token of the claim.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It worked.
    Succeeded(Success),
    /// It did not.
    Failed(Failure),
    /// Something outside stands in the way; the work is given back until a person resumes it.
    Blocked {
        /// What stands in the way.
        message: String,
    },
    /// It ended because it was told to.
    Cancelled,
    /// A plan, the answer to a plan request.
    Proposed(Box<PlanSpec>),
    /// A judgement, the answer to a gate.
    Judged(Judgement),
    /// A way on, the answer to an analysis.
    Advised(Advice),
}

impl From<Result<Success, Failure>> for Outcome {
    fn from(result: Result<Success, Failure>) -> Self {
        match result {
            Ok(success) => Self::Succeeded(success),
            Err(failure) => Self::Failed(failure),
        }
    }
}

/// What came of an attempt that worked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Success {
    /// The result, read by later steps.
    pub output: Value,
    /// What there is to say about it, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Figures about it, by name.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metrics: Map<String, Value>,
    /// What it used; where it says nothing, what was set aside of a budget counts as used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What gates are judged by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Judgement>,
    /// What was done on the outside without asking for a grant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unguarded: Vec<Unguarded>,
}

/// An act on the outside that no grant was asked for, as who did it tells of it: done with credentials of its own. It is noted as an
/// UNGUARDED effect of the task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Unguarded {
    /// What was done, as a word: `email.send`.
    pub action: String,
    /// The same for people: to whom, with what.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The key it was done with, where the outside knows it by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Unguarded {
    #[cfg(feature = "rules")]
    fn told(&self) -> String {
        let about = if self.description.is_empty() { String::new() } else { format!(" ({})", self.description) };
        let key = self.key.as_ref().map(|key| format!(" [{key}]")).unwrap_or_default();
        format!("{}{about}{key}", self.action)
    }
}

/// Why an attempt did not work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Failure {
    /// What kind of trouble.
    pub class: ErrorClass,
    /// What happened, for people.
    pub message: String,
    /// Whether another attempt could help.
    #[serde(default = "yes")]
    pub retryable: bool,
    /// The least wait before another attempt, in milliseconds, where the outside named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What it used all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What was done on the outside all the same, without asking for a grant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unguarded: Vec<Unguarded>,
}

impl Failure {
    /// What happened, with what was done on the outside all the same.
    #[cfg(feature = "rules")]
    pub(crate) fn told(&self) -> std::borrow::Cow<'_, str> {
        if self.unguarded.is_empty() {
            return std::borrow::Cow::Borrowed(&self.message);
        }
        let acts: Vec<String> = self.unguarded.iter().map(Unguarded::told).collect();
        format!("{}; done without asking: {}", self.message, acts.join("; ")).into()
    }

    /// A failure that another attempt could mend.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), retryable: true, retry_after_ms: None, usage: None, unguarded: Vec::new() }
    }

    /// A failure that another attempt would only repeat.
    pub fn final_(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::new(class, message) }
    }
}

/// A judgement about a result: evidence from a report, or the answer to a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Judgement {
    /// Which kind of gate it speaks to.
    pub kind: crate::spec::GateKind,
    /// Whether it passed, in the judge's view; thresholds are applied on top.
    pub passed: bool,
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// What was found wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// What would make it better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recommendations: Vec<String>,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<GateEvidence>,
}

impl Judgement {
    /// A judgement without anything found.
    pub fn of(kind: crate::spec::GateKind, passed: bool) -> Self {
        Self { kind, passed, score: None, violations: Vec::new(), recommendations: Vec::new(), evidence: Vec::new() }
    }

    /// What of it is structure: counts, severities, digests. What somebody wrote is private.
    #[cfg(feature = "rules")]
    pub(crate) fn without_words(&self) -> Self {
        let bare = |v: &Violation| Violation { severity: v.severity, ..Violation::default() };
        Self {
            violations: self.violations.iter().map(bare).collect(),
            evidence: self.evidence.iter().map(|e| GateEvidence { what: String::new(), ..e.clone() }).collect(),
            ..Self { score: self.score, ..Self::of(self.kind, self.passed) }
        }
    }
}

/// One thing a judgement rests on: what was run, asked or read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct GateEvidence {
    /// What was run, asked or read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// Of a command that ended by itself, how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Of a report, the SHA-256 of its bytes, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many bytes it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// One thing found wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Violation {
    /// How bad.
    #[serde(default)]
    pub severity: Risk,
    /// Which rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Where: a file with its line, a test, an address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// What.
    pub message: String,
}

impl Violation {
    /// In one line: rule, place, message, as far as they are known.
    #[cfg(feature = "rules")]
    pub(crate) fn told(&self) -> String {
        let rule = [self.rule.as_str(), self.place.as_str()].into_iter().filter(|part| !part.is_empty());
        let head = rule.collect::<Vec<_>>().join(" at ");
        if head.is_empty() { self.message.clone() } else { format!("{head}: {}", self.message) }
    }
}

/// A way on after an attempt of the task failed (S1-115…119).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Advice {
    /// Try again as planned.
    Retry,
    /// Try again as planned, but not so soon.
    RetryAfter {
        /// The least wait, in milliseconds; what the policy says where that is longer.
        delay_ms: u64,
        /// Why.
        reason: String,
    },
    /// Try again with this plan; finished steps stay finished.
    AlternativePath(Box<PlanSpec>),
    /// Go back to a step that is done: what needs it, directly or through others, is done again, and so is what failed.
    Rollback {
        /// The completed step to go back to, by the name of its checkpoint, its path or its key; it stays done.
        checkpoint: String,
        /// Why.
        reason: String,
    },
    /// Ask a person.
    HumanIntervention {
        /// What for.
        reason: String,
    },
    /// End it.
    Abort {
        /// Why.
        reason: String,
    },
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportAnswer {
    /// Where the task is now.
    pub status: crate::status::Status,
}

/// The wish to act on the outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectRequest {
    /// The task.
    pub task_id: TaskId,
    /// Which work of it.
    pub work: WorkKey,
    /// The fencing token of the claim.
    pub attempt: u32,
    /// What will be done.
    pub action: String,
    /// SHA-256, in hexadecimal, of the arguments it will be done with.
    pub args_digest: String,
}

/// SHA-256, in hexadecimal, of arguments as JSON without spaces and with sorted keys: equal arguments, equal digest.
pub fn args_digest(args: &Value) -> String {
    let digest = Sha256::digest(sorted(args).to_string());
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}

/// The same value with sorted keys, whichever map `serde_json` was built with.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

/// The right to act once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectGrant {
    /// The token: the effect's id.
    pub effect_id: EffectId,
    /// To be sent to the outside where it accepts one.
    pub idempotency_key: String,
    /// How long the grant lasts, in milliseconds.
    pub expires_in_ms: u64,
    /// Set when this very effect was done by an earlier attempt and need not be done again.
    #[serde(default)]
    pub already_done: bool,
}

/// What became of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EffectOutcome {
    /// It happened.
    Done,
    /// It did not happen.
    NotDone,
    /// Nobody knows.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_survives_its_text() {
        for text in ["step:1.2", "gate:1.2:0", "plan", "analysis", "undo:1.2"] {
            assert_eq!(text.parse::<WorkKey>().unwrap().to_string(), text);
        }
        for text in ["", "step:", "undo:", "gate:1", "gate:1:x", "plan:1"] {
            assert!(text.parse::<WorkKey>().is_err(), "{text}");
        }
    }
}
