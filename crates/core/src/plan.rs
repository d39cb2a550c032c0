//! A plan as a task lives by it: the tree of steps laid out flat, checked, with every reference resolved.
//!
//! Groups are nodes too. A step may start when everything it needs has ended and its group is open; a group ends when
//! everything in it has. That keeps the cost of a dependency between two groups at one edge instead of one for each pair of steps.

use crate::budget::Amount;
use crate::id::AgentId;
use crate::matching;
use crate::spec::{AlternativeSpec, GateKind, GateSpec, OnUnknown, PlanSpec, RetryPolicy};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub mod difference;
mod layout;
mod outline;
#[cfg(feature = "rules")]
pub(crate) mod remaining;
pub(crate) mod written;
use layout::Layout;
pub use outline::Outline;

/// The most steps and groups a plan may have; a task's children are bounded alike.
pub const STEPS_MAX: usize = 100_000;
/// The most items a `for_each` may have.
pub const ITEMS_MAX: usize = 1_000;
/// The longest id or capability, in bytes.
const WORD_MAX: usize = 128;

/// A checked plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// Parents before their children, siblings in the order written.
    pub steps: Vec<Step>,
}

/// A step or group of a checked plan. Holds structure only; what people wrote is in `StepText`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its place in the tree: `1.2.3`.
    pub path: Box<str>,
    /// The writer's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// Its group, by index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// How many steps are directly in it; 0 for a step that is no group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub children: u32,
    /// What must have ended before, by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<u32>,
    /// What it does; empty for a group.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub action: Box<str>,
    /// What its agent must be able to do, sorted; the action alone where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Box<str>>,
    /// A condition in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Box<str>>,
    /// A list in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<Box<str>>,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How long it may be held without being started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<u64>,
    /// How long it may be offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<u64>,
    /// How long its agent may be silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// When a failed attempt is repeated; the task's policy where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// What its result is judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateSpec>,
    /// Whether the task goes on without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// What to do about an effect of which nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<OnUnknown>,
    /// Whether doing it means acting on the outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acts: bool,
    /// The agent that must do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The kind of work it is; as the task where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<Box<str>>,
    /// The model it is done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<str>>,
    /// Whether the house chose it, and another may take its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub model_chosen: bool,
    /// What is set aside before an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<Box<Amount>>,
    /// How much its agent's machine has to have of what, by the names of `matching::CAPACITIES`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub demands: BTreeMap<Box<str>, u64>,
    /// How long it is expected to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_ms: Option<u64>,
    /// Its name where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Box<str>>,
    /// The name under which one may go back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<str>>,
    /// How what it did is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Box<Compensation>>,
}

/// How what a step did is undone; the parameters are in its `StepText`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Compensation {
    /// What it does.
    pub action: Box<str>,
    /// What its agent must be able to do, sorted; the action alone where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Box<str>>,
    /// How long an attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// When a failed attempt is repeated; the step's policy where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
}

impl Compensation {
    /// The key under which it is offered: its capabilities in order, joined by `+`.
    pub fn capability_key(&self) -> String {
        key_of(&self.capabilities, &self.action)
    }
}

fn key_of(capabilities: &[Box<str>], action: &str) -> String {
    if capabilities.is_empty() { action.to_owned() } else { capabilities.join("+") }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What people wrote about a step; private, and the same index as its step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepText {
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// More.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Parameters, references unresolved.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Whether its parameters are the payload of the request, which stands but once. Earlier releases copied it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_payload: bool,
    /// What its agent may use.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub resources: Map<String, Value>,
    /// Parameters of its compensation, references unresolved.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub undo_params: Map<String, Value>,
    /// Other ways of doing it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<AlternativeSpec>,
    /// How its gates are checked, by their place, references unresolved.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub gate_checks: Map<String, Value>,
}

/// Something wrong with a request: where, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Where: `plan.steps[2].when`, `step 1.2`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// What kind of thing a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It holds other steps.
    Group,
    /// An agent does it.
    Work,
    /// It waits for a length of time.
    WaitFor,
    /// It waits until an instant.
    WaitUntil,
    /// It waits for a signal.
    WaitSignal,
    /// It is another task.
    Task,
}

impl Step {
    /// What kind of thing it is.
    pub fn does(&self) -> Does {
        if self.children > 0 {
            return Does::Group;
        }
        match &*self.action {
            "wait.for" => Does::WaitFor,
            "wait.until" => Does::WaitUntil,
            "wait.signal" => Does::WaitSignal,
            "task.run" => Does::Task,
            _ => Does::Work,
        }
    }

    /// Whether it is work of this type: by its own, or by its action.
    pub fn is_of_type(&self, word: &str) -> bool {
        self.task_type.as_deref() == Some(word) || *self.action == *word
    }

    /// Asks a person to confirm its result, as STRICT mode wants it (S1-93); once is enough.
    pub fn confirm_by_person(&mut self) {
        let asked = self.gates.iter().any(|g| g.kind == GateKind::ManualReview && !g.advisory);
        if self.does() == Does::Work && !asked {
            self.gates.push(GateSpec::of(GateKind::ManualReview));
        }
    }

    /// The key under which it is offered; only to one agent, where it is for that one.
    pub fn offer_key(&self, session: Option<AgentId>) -> String {
        let words = key_of(&self.capabilities, &self.action);
        let agent = self.agent.or(session);
        if agent.is_none() && self.model.is_none() && self.demands.is_empty() {
            return words;
        }
        matching::key_of(&words, &self.demands, self.model.as_deref(), agent)
    }
}

impl Plan {
    /// Checks a plan as written and lays it out. Every problem found is told, each with the ids it is about.
    pub fn check(spec: &PlanSpec) -> Result<(Self, Vec<StepText>), Vec<Problem>> {
        let mut layout = Layout::default();
        if spec.steps.is_empty() {
            layout.problem("plan.steps", "a plan has at least one step");
        }
        if let Some(confidence) = spec.confidence
            && !(0.0..=1.0).contains(&confidence)
        {
            layout.problem("plan.confidence", format!("{confidence} is not between 0 and 1"));
        }
        layout.lay(&spec.steps, spec.sequential, None, "", 1);
        layout.resolve();
        if layout.problems.is_empty() {
            layout.problems.extend(outline::cycle(&layout.steps));
        }
        if layout.problems.is_empty() { Ok((Self { steps: layout.steps }, layout.texts)) } else { Err(layout.problems) }
    }

    /// The plan of a task that names none: one step that does the whole.
    pub fn one_step(action: &str, capabilities: &[String], title: &str) -> (Self, Vec<StepText>) {
        let step = Step { action: action.into(), capabilities: sorted(capabilities), ..blank("1".into()) };
        (Self { steps: vec![step] }, vec![StepText { title: title.into(), ..StepText::default() }])
    }

    /// Whether every reference in it leads to a step: parents stand before their children, which are as many as they say.
    pub(crate) fn is_sound(&self) -> bool {
        let mut children = vec![0u32; self.steps.len()];
        let refers = self.steps.iter().enumerate().all(|(i, step)| {
            if let Some(parent) = step.parent
                && let Some(count) = children.get_mut(parent as usize)
            {
                *count += 1;
            }
            step.parent.is_none_or(|parent| (parent as usize) < i)
                && step.needs.iter().all(|need| (*need as usize) < self.steps.len())
        });
        refers && self.steps.len() <= STEPS_MAX && self.steps.iter().zip(&children).all(|(step, n)| step.children == *n)
    }

    /// Order, parallel groups, critical path, slack and duration.
    pub fn outline(&self) -> Outline {
        outline::outline(&self.steps)
    }
}

/// A step with nothing said about it.
pub fn blank(path: Box<str>) -> Step {
    Step {
        path,
        key: None,
        parent: None,
        children: 0,
        needs: Vec::new(),
        action: "".into(),
        capabilities: Vec::new(),
        when: None,
        for_each: None,
        timeout_ms: None,
        start_ms: None,
        queue_ms: None,
        lease_ms: None,
        retry: None,
        gates: Vec::new(),
        optional: false,
        on_unknown: None,
        acts: false,
        agent: None,
        task_type: None,
        model: None,
        model_chosen: false,
        reserve: None,
        demands: BTreeMap::new(),
        estimate_ms: None,
        external_id: None,
        checkpoint: None,
        compensation: None,
    }
}

fn sorted(words: &[String]) -> Vec<Box<str>> {
    let mut words: Vec<Box<str>> = words.iter().map(|w| w.as_str().into()).collect();
    words.sort();
    words.dedup();
    words
}

/// Whether a text is a word: an id, an action, a capability.
pub fn is_word(text: &str) -> bool {
    (1..=WORD_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
}

/// What is wrong with a retry policy.
pub fn check_retry(policy: &RetryPolicy) -> Vec<String> {
    let mut wrong = Vec::new();
    if !(1..=1_000).contains(&policy.max_attempts) {
        wrong.push(format!("max_attempts is {}; allowed are 1 to 1000", policy.max_attempts));
    }
    if !(1.0..=100.0).contains(&policy.multiplier) {
        wrong.push(format!("multiplier is {}; allowed are 1 to 100", policy.multiplier));
    }
    if !(0.0..=1.0).contains(&policy.jitter) {
        wrong.push(format!("jitter is {}; allowed are 0 to 1", policy.jitter));
    }
    for (class, own) in &policy.by_class {
        let mut at = |field: &str, what: String| wrong.push(format!("by_class.{}.{field} is {what}", class.word()));
        if own.max_attempts.is_some_and(|n| !(1..=1_000).contains(&n)) {
            at("max_attempts", format!("{}; allowed are 1 to 1000", own.max_attempts.unwrap_or_default()));
        }
        if own.multiplier.is_some_and(|n| !(1.0..=100.0).contains(&n)) {
            at("multiplier", format!("{}; allowed are 1 to 100", own.multiplier.unwrap_or_default()));
        }
        if own.jitter.is_some_and(|n| !(0.0..=1.0).contains(&n)) {
            at("jitter", format!("{}; allowed are 0 to 1", own.jitter.unwrap_or_default()));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(yamlish: Value) -> Result<Plan, Vec<String>> {
        let spec: PlanSpec = serde_json::from_value(yamlish).unwrap();
        Plan::check(&spec).map(|(plan, _)| plan).map_err(|ps| ps.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn steps_get_their_path_and_references_their_index() {
        let plan = plan(serde_json::json!({"steps": [
            {"id": "a", "steps": [{"action": "x"}, {"action": "y"}]},
            {"id": "b", "action": "z", "depends_on": ["a", "1.2"]},
        ]}))
        .unwrap();
        let paths: Vec<_> = plan.steps.iter().map(|s| &*s.path).collect();
        assert_eq!(paths, ["1", "1.1", "1.2", "2"]);
        assert_eq!(plan.steps[3].needs, [0, 2]);
    }

    #[test]
    fn every_problem_names_the_ids_it_is_about() {
        let problems = plan(serde_json::json!({"steps": [
            {"id": "a", "action": "x", "depends_on": ["ghost"]},
            {"id": "a", "action": "x"},
            {"id": "g", "steps": [{"action": "x", "depends_on": ["g"]}]},
            {"action": "wait.for", "params": {"duration": "soon"}},
        ]}))
        .unwrap_err()
        .join("\n");
        for part in ["\"ghost\" names no step", "\"a\" also names step 1", "\"g\" is the step itself", "step 4.params.duration"] {
            assert!(problems.contains(part), "{part} missing in\n{problems}");
        }
    }

    #[test]
    fn a_cycle_is_told_as_the_ids_on_it() {
        let problems = plan(serde_json::json!({"steps": [
            {"id": "a", "action": "x", "depends_on": ["c"]},
            {"id": "b", "action": "x", "depends_on": ["a"]},
            {"id": "c", "action": "x", "depends_on": ["b"]},
            {"id": "d", "action": "x", "depends_on": ["c"]},
        ]}))
        .unwrap_err()
        .join("\n");
        assert!(
            problems.contains("cycle")
                && problems.contains("a")
                && problems.contains("b")
                && problems.contains("c")
                && !problems.contains(" d "),
            "{problems}"
        );
    }

    #[test]
    fn a_cycle_through_groups_is_found() {
        let problems = plan(serde_json::json!({"steps": [
            {"id": "g", "steps": [{"id": "g1", "action": "x", "depends_on": ["h1"]}]},
            {"id": "h", "depends_on": ["g"], "steps": [{"id": "h1", "action": "x"}]},
        ]}))
        .unwrap_err();
        assert!(problems[0].contains("cycle"), "{problems:?}");
    }
}
