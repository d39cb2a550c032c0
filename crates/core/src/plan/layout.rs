//! A plan as it is written becomes a list: step by step, each checked by itself, then references by name. Every problem is told.

use super::{Compensation, Problem, STEPS_MAX, Step, StepText, WORD_MAX, blank, check_retry, is_word, sorted};
use crate::matching::{demands, is_model};
use crate::spec::{CompensationSpec, GateSpec, StepSpec};
use crate::time::TIME_MIN_MS;
use crate::time::{Time, WireDuration};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// How deep groups may nest.
const DEPTH_MAX: usize = 32;
/// The longest `when` or `for_each`, in bytes: they are evaluated by the writer, which must not wait.
const EXPRESSION_MAX: usize = 2_048;
/// The most references `depends_on` of one step may hold.
const NEEDS_MAX: usize = 1_000;
/// The most gates of one step.
const GATES_MAX: usize = 16;
/// The most other ways of doing one step.
const ALTERNATIVES_MAX: usize = 8;
/// How many problems are told at once; more would hide the first.
const PROBLEMS_MAX: usize = 20;

/// A plan on its way from the tree to the list.
#[derive(Default)]
pub(super) struct Layout<'a> {
    pub(super) steps: Vec<Step>,
    pub(super) texts: Vec<StepText>,
    /// What each step refers to, by the words written, resolved at the end.
    wanted: Vec<&'a [String]>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Layout<'a> {
    pub(super) fn problem(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem::new(field, message));
        }
    }

    /// Lays out one level of the tree.
    pub(super) fn lay(&mut self, specs: &'a [StepSpec], sequential: bool, parent: Option<u32>, prefix: &str, depth: usize) {
        if depth > DEPTH_MAX {
            return self.problem(format!("step {prefix}"), format!("groups nest deeper than {DEPTH_MAX}"));
        }
        let mut before: Option<u32> = None;
        for (i, spec) in specs.iter().enumerate() {
            if self.steps.len() >= STEPS_MAX {
                return self.problem("plan.steps", format!("a plan has at most {STEPS_MAX} steps"));
            }
            let path = if prefix.is_empty() { format!("{}", i + 1) } else { format!("{prefix}.{}", i + 1) };
            let index = self.steps.len() as u32;
            self.check_step(spec, &path);
            let step = Step {
                key: spec.id.as_deref().map(Into::into),
                parent,
                children: spec.steps.len() as u32,
                needs: before.filter(|_| sequential).into_iter().collect(),
                action: spec.action.as_deref().unwrap_or(if spec.steps.is_empty() { "work" } else { "" }).into(),
                capabilities: sorted(&spec.capabilities),
                when: spec.when.as_deref().map(Into::into),
                for_each: spec.for_each.as_deref().map(Into::into),
                timeout_ms: spec.timeout.map(|d| d.ms),
                start_ms: spec.start_timeout.map(|d| d.ms),
                queue_ms: spec.queue_timeout.map(|d| d.ms),
                lease_ms: spec.heartbeat_timeout.map(|d| d.ms),
                retry: spec.retry_policy.clone(),
                gates: spec.gates.iter().map(without_words).collect(),
                optional: spec.optional,
                on_unknown: spec.on_unknown,
                acts: spec.acts,
                agent: spec.agent,
                task_type: spec.task_type.as_deref().map(Into::into),
                model: spec.model.as_deref().map(Into::into),
                reserve: spec.reserve.map(Box::new),
                demands: demands(&spec.resources),
                estimate_ms: spec.estimate.map(|d| d.ms),
                external_id: spec.external_id.as_deref().map(Into::into),
                checkpoint: spec.checkpoint.as_deref().map(Into::into),
                compensation: spec.compensation.as_ref().map(|c| Box::new(compensation(c))),
                ..blank(path.as_str().into())
            };
            self.steps.push(step);
            self.texts.push(StepText {
                title: spec.title.clone().unwrap_or_default(),
                description: spec.description.clone().unwrap_or_default(),
                params: spec.params.clone(),
                takes_payload: false,
                resources: spec.resources.clone(),
                undo_params: spec.compensation.as_ref().map(|c| c.params.clone()).unwrap_or_default(),
                alternatives: spec.alternatives.clone(),
                gate_checks: checks(&spec.gates),
            });
            self.wanted.push(&spec.depends_on);
            before = Some(index);
            self.lay(&spec.steps, spec.sequential, Some(index), &path, depth + 1);
        }
    }

    /// What can be said about a step by looking at it alone.
    fn check_step(&mut self, spec: &StepSpec, path: &str) {
        let at = |field: &str| match &spec.id {
            Some(id) => format!("step {path} ({}).{field}", id.chars().take(WORD_MAX).collect::<String>()),
            None => format!("step {path}.{field}"),
        };
        if let Some(id) = &spec.id
            && !is_word(id)
        {
            self.problem(at("id"), format!("an id has 1 to {WORD_MAX} letters, digits, `_`, `-`, `.`, `:`"));
        }
        for word in spec.capabilities.iter().chain(&spec.action) {
            if !is_word(word) {
                self.problem(
                    at("action"),
                    format!("{word:?}: actions and capabilities have 1 to {WORD_MAX} letters, digits, `_`, `-`, `.`, `:`"),
                );
            }
        }
        if !spec.steps.is_empty() {
            for (field, given) in [
                ("action", spec.action.is_some()),
                ("for_each", spec.for_each.is_some()),
                ("gates", !spec.gates.is_empty()),
                ("params", !spec.params.is_empty()),
                ("retry_policy", spec.retry_policy.is_some()),
                ("compensation", spec.compensation.is_some()),
                ("alternatives", !spec.alternatives.is_empty()),
            ] {
                if given {
                    self.problem(at(field), "belongs to a step; this is a group, because it has `steps`");
                }
            }
        }
        for (field, text) in [("when", &spec.when), ("for_each", &spec.for_each)] {
            let Some(text) = text else { continue };
            if text.len() > EXPRESSION_MAX {
                self.problem(at(field), format!("has {} bytes; allowed are {EXPRESSION_MAX}", text.len()));
            } else if let Err(why) = check_expression(text) {
                self.problem(at(field), why);
            }
        }
        if let Some(policy) = &spec.retry_policy {
            for why in check_retry(policy) {
                self.problem(at("retry_policy"), why);
            }
        }
        if let Some(model) = spec.model.as_ref().filter(|model| !is_model(model)) {
            self.problem(at("model"), format!("{model:?}: 1 to {WORD_MAX} letters, digits, `_`, `-`, `.`, `:`, `/`"));
        }
        if spec.task_type.as_ref().is_some_and(|word| !is_word(word)) {
            self.problem(at("task_type"), format!("1 to {WORD_MAX} letters, digits, `_`, `-`, `.`, `:`"));
        }
        self.check_recovery(spec, &at);
        if spec.gates.len() > GATES_MAX {
            self.problem(at("gates"), format!("at most {GATES_MAX}"));
        }
        for (n, gate) in spec.gates.iter().enumerate() {
            for (field, why) in gate.check.iter().flat_map(|check| check.problems(gate.kind)) {
                self.problem(at(&format!("gates[{n}].{field}")), why);
            }
        }
        if spec.depends_on.len() > NEEDS_MAX {
            self.problem(at("depends_on"), format!("at most {NEEDS_MAX}"));
        }
        let template = |name: &str| matches!(spec.params.get(name), Some(Value::String(text)) if text.contains("${"));
        match spec.action.as_deref() {
            Some("wait.for") if !template("duration") => {
                let given = spec.params.get("duration").cloned().unwrap_or(Value::Null);
                if let Err(why) = serde_json::from_value::<WireDuration>(given) {
                    self.problem(at("params.duration"), format!("how long to wait, as 10s or 30m: {why}"));
                }
            }
            Some("wait.until") if !template("time") => {
                let given = spec.params.get("time").and_then(Value::as_str).unwrap_or_default();
                if let Err(why) = Time::parse(given) {
                    self.problem(at("params.time"), why);
                }
            }
            Some("wait.signal") if !matches!(spec.params.get("name"), Some(Value::String(name)) if is_word(name)) => {
                self.problem(at("params.name"), "the name of the signal to wait for");
            }
            Some("task.run") if !matches!(spec.params.get("request"), Some(Value::Object(_))) => {
                self.problem(at("params.request"), "the request of the task to run");
            }
            _ => {}
        }
    }

    /// What a step says about going back, undoing and doing it otherwise.
    fn check_recovery(&mut self, spec: &StepSpec, at: &impl Fn(&str) -> String) {
        let a_word = format!("has 1 to {WORD_MAX} letters, digits, `_`, `-`, `.`, `:`");
        if spec.checkpoint.as_ref().is_some_and(|name| !is_word(name)) {
            self.problem(at("checkpoint"), format!("a checkpoint {a_word}"));
        }
        let acts = spec.action.as_deref().is_none_or(|a| !a.starts_with("wait."));
        if spec.compensation.is_some() && !acts {
            self.problem(at("compensation"), "a wait leaves nothing that could be undone");
        }
        if let Some(undo) = &spec.compensation {
            for word in undo.capabilities.iter().chain([&undo.action]) {
                if !is_word(word) || word.starts_with("wait.") || word == "task.run" {
                    let what = format!("{word:?}: undoing is the work of an agent; its action {a_word}");
                    self.problem(at("compensation.action"), what);
                }
            }
            for why in undo.retry_policy.iter().flat_map(check_retry) {
                self.problem(at("compensation.retry_policy"), why);
            }
        }
        if let Some(time) = spec.heartbeat_timeout.filter(|time| time.ms < TIME_MIN_MS) {
            self.problem(at("heartbeat_timeout"), format!("is {time}; allowed are 500ms and more"));
        }
        if spec.alternatives.len() > ALTERNATIVES_MAX {
            self.problem(at("alternatives"), format!("at most {ALTERNATIVES_MAX}"));
        }
        for other in &spec.alternatives {
            if other.action.is_none() && other.params.is_none() && other.capabilities.is_empty() && other.timeout.is_none() {
                self.problem(at("alternatives"), "another way differs in action, capabilities, params or timeout");
            }
            for word in other.capabilities.iter().chain(&other.action) {
                if !is_word(word) {
                    self.problem(at("alternatives"), format!("{word:?}: an action or capability {a_word}"));
                }
            }
        }
    }

    /// Checkpoints are named once, and never as a step is named.
    fn check_checkpoints(&self, names: &HashMap<&str, u32>) -> Vec<Problem> {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let mut problems = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            let Some(name) = &step.checkpoint else { continue };
            let other = seen.insert(name, i as u32).or(names.get(&**name).copied().filter(|n| *n != i as u32));
            if let Some(other) = other {
                let also = &self.steps[other as usize].path;
                problems.push(Problem::new(format!("step {}.checkpoint", step.path), format!("{name:?} also names step {also}")));
            }
        }
        problems
    }

    /// Turns the words of `depends_on` into indices.
    pub(super) fn resolve(&mut self) {
        let mut names: HashMap<&str, u32> = HashMap::with_capacity(self.steps.len());
        let mut problems = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            names.insert(&step.path, i as u32);
        }
        for (i, step) in self.steps.iter().enumerate() {
            let Some(key) = &step.key else { continue };
            if let Some(other) = names.insert(key, i as u32)
                && other != i as u32
            {
                problems.push(Problem::new(
                    format!("step {}.id", step.path),
                    format!("{key:?} also names step {}", self.steps[other as usize].path),
                ));
            }
        }
        problems.extend(self.check_checkpoints(&names));
        let mut resolved: Vec<Vec<u32>> = Vec::with_capacity(self.steps.len());
        for (i, words) in self.wanted.iter().enumerate() {
            let mut needs = self.steps[i].needs.clone();
            for word in *words {
                let place = || format!("step {}.depends_on", self.steps[i].path);
                match names.get(word.as_str()) {
                    None => problems.push(Problem::new(place(), format!("{word:?} names no step of this plan"))),
                    Some(n) if self.related(*n, i as u32) => {
                        problems.push(Problem::new(place(), format!("{word:?} is the step itself, its group or a part of it")));
                    }
                    Some(n) => needs.push(*n),
                }
            }
            needs.sort_unstable();
            needs.dedup();
            resolved.push(needs);
        }
        for (step, needs) in self.steps.iter_mut().zip(resolved) {
            step.needs = needs;
        }
        self.problems.extend(problems.into_iter().take(PROBLEMS_MAX));
    }

    /// Whether one of two steps is the other or holds it.
    fn related(&self, a: u32, b: u32) -> bool {
        let holds =
            |outer: u32, inner: u32| std::iter::successors(Some(inner), |i| self.steps[*i as usize].parent).any(|i| i == outer);
        holds(a, b) || holds(b, a)
    }
}

/// A gate without the words of its check: that there is one is structure, how it is done is what somebody wrote.
fn without_words(gate: &GateSpec) -> GateSpec {
    GateSpec { check: gate.check.as_ref().map(|_| Box::default()), ..gate.clone() }
}

/// How gates are checked, by their place.
fn checks(gates: &[GateSpec]) -> Map<String, Value> {
    let checked = gates.iter().enumerate().filter_map(|(n, gate)| Some((n, gate.check.as_ref()?)));
    checked.filter_map(|(n, check)| Some((n.to_string(), serde_json::to_value(check).ok()?))).collect()
}

fn compensation(spec: &CompensationSpec) -> Compensation {
    Compensation {
        action: spec.action.as_str().into(),
        capabilities: sorted(&spec.capabilities),
        timeout_ms: spec.timeout.map(|d| d.ms),
        retry: spec.retry_policy.clone(),
    }
}

#[cfg(feature = "rules")]
fn check_expression(text: &str) -> Result<(), String> {
    crate::expr::check(text)
}

/// Without the rules nothing is evaluated here; the server checks again.
#[cfg(not(feature = "rules"))]
fn check_expression(_: &str) -> Result<(), String> {
    Ok(())
}
