//! How one plan differs from the one before, in words a person can read.

use super::{Plan, Step, StepText};
use crate::spec::{PlanSpec, StepSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// How many steps of each kind are told one by one; the rest is counted.
const TOLD_MAX: usize = 100;
/// How much of a changed value is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;
/// How many differences a task keeps; the oldest make room.
#[cfg(feature = "rules")]
pub(crate) const KEPT_MAX: usize = 10;

/// What is different in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// The version it differs from.
    pub from: u32,
    /// The version it is.
    pub to: u32,
    /// Whose plan it is: `analysis` or `plan` for an agent that was asked for it; a person's where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Steps that are new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<NamedStep>,
    /// Steps that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<NamedStep>,
    /// Steps that are otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<ChangedStep>,
    /// How many steps are as they were.
    pub unchanged: u32,
    /// Steps that were finished and stay so, by path in the new plan: they do not run again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<String>,
    /// How many more steps there would be to tell.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A step, named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamedStep {
    /// Its place in the tree.
    pub path: String,
    /// Its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// One line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
}

/// A step that is otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangedStep {
    /// The step, as it is now.
    pub step: NamedStep,
    /// What about it.
    pub fields: Vec<ChangedField>,
}

/// One field that is otherwise; a value that is missing was, or is, not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangedField {
    /// Which, as in a plan file.
    pub field: String,
    /// Before, as JSON, cut where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
}

/// What is different between two plans and their words. Steps are the same where they have the same name: their id, else their path.
pub fn difference(before: (&Plan, &[StepText]), after: (&Plan, &[StepText])) -> Difference {
    let name = |step: &Step| step.key.clone().unwrap_or_else(|| step.path.clone());
    let was: HashMap<Box<str>, usize> = before.0.steps.iter().enumerate().map(|(i, s)| (name(s), i)).collect();
    let is: HashMap<Box<str>, usize> = after.0.steps.iter().enumerate().map(|(i, s)| (name(s), i)).collect();
    let mut found = Difference::default();
    for (i, step) in after.0.steps.iter().enumerate() {
        let Some(old) = was.get(&name(step)) else {
            found.added.push(named(after, i));
            continue;
        };
        let fields = changed(&fields(before, *old), &fields(after, i));
        match fields.is_empty() {
            true => found.unchanged += 1,
            false => found.changed.push(ChangedStep { step: named(after, i), fields }),
        }
    }
    let gone = (0..before.0.steps.len()).filter(|i| !is.contains_key(&name(&before.0.steps[*i])));
    found.removed = gone.map(|i| named(before, i)).collect();
    let mut left_out = 0;
    for list in [&mut found.added, &mut found.removed] {
        left_out += list.len().saturating_sub(TOLD_MAX);
        list.truncate(TOLD_MAX);
    }
    left_out += found.changed.len().saturating_sub(TOLD_MAX);
    found.changed.truncate(TOLD_MAX);
    found.left_out = left_out as u32;
    found
}

impl Difference {
    /// Names the steps that were finished and stay so.
    #[cfg(feature = "rules")]
    pub(crate) fn keeping(mut self, mut finished: Vec<String>) -> Self {
        self.left_out += finished.len().saturating_sub(TOLD_MAX) as u32;
        finished.truncate(TOLD_MAX);
        self.finished = finished;
        self
    }
}

fn named((plan, texts): (&Plan, &[StepText]), i: usize) -> NamedStep {
    let step = &plan.steps[i];
    NamedStep {
        path: step.path.to_string(),
        key: step.key.as_deref().map(Into::into),
        title: texts.get(i).map(|t| t.title.clone()).unwrap_or_default(),
        action: step.action.to_string(),
    }
}

/// A step as it could be written, field by field; what it needs is named as others name it.
fn fields((plan, texts): (&Plan, &[StepText]), i: usize) -> Map<String, Value> {
    let alone = Plan { steps: vec![Step { parent: None, children: 0, needs: Vec::new(), ..plan.steps[i].clone() }] };
    let text = texts.get(i).cloned().unwrap_or_default();
    let PlanSpec { steps, .. } = super::written::written(&alone, &[text]);
    let step: Option<StepSpec> = steps.into_iter().next();
    let Ok(Value::Object(mut fields)) = serde_json::to_value(step) else { return Map::new() };
    let name = |i: u32| plan.steps[i as usize].key.clone().unwrap_or_else(|| plan.steps[i as usize].path.clone());
    let mut needs: Vec<Box<str>> = plan.steps[i].needs.iter().map(|need| name(*need)).collect();
    needs.sort();
    if !needs.is_empty() {
        fields.insert("depends_on".into(), needs.into_iter().map(|n| Value::String(n.into())).collect());
    }
    if let Some(group) = plan.steps[i].parent {
        fields.insert("group".into(), Value::String(name(group).into()));
    }
    fields
}

fn changed(was: &Map<String, Value>, is: &Map<String, Value>) -> Vec<ChangedField> {
    let mut names: Vec<&String> = was.keys().chain(is.keys()).collect();
    names.sort();
    names.dedup();
    let differs = names.into_iter().filter(|name| was.get(*name) != is.get(*name));
    differs.map(|name| ChangedField { field: name.clone(), was: was.get(name).map(shown), is: is.get(name).map(shown) }).collect()
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.chars().count() > SHOWN_CHARS_MAX {
        true => text.chars().take(SHOWN_CHARS_MAX).chain(['…']).collect(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(plan: Value) -> (Plan, Vec<StepText>) {
        Plan::check(&serde_json::from_value(plan).unwrap()).unwrap()
    }

    #[test]
    fn what_is_new_gone_and_otherwise_is_told_by_name() {
        let before = laid(serde_json::json!({"steps": [
            {"id": "a", "action": "x"},
            {"id": "b", "action": "y", "depends_on": ["a"], "timeout": "5s"},
            {"id": "c", "title": "See", "action": "z"}]}));
        let after = laid(serde_json::json!({"steps": [
            {"id": "d", "action": "w"},
            {"id": "a", "action": "x"},
            {"id": "b", "action": "y", "depends_on": ["d"], "timeout": "10s"}]}));
        let found = difference((&before.0, &before.1), (&after.0, &after.1));
        let names = |list: &[NamedStep]| list.iter().map(|s| s.key.clone().unwrap()).collect::<Vec<_>>();
        assert_eq!((names(&found.added), names(&found.removed), found.unchanged), (vec!["d".into()], vec!["c".into()], 1));
        let [b] = found.changed.as_slice() else { panic!("{found:?}") };
        let told: Vec<_> = b.fields.iter().map(|f| (&*f.field, f.was.as_deref(), f.is.as_deref())).collect();
        assert_eq!(told, [("depends_on", Some(r#"["a"]"#), Some(r#"["d"]"#)), ("timeout", Some(r#""5s""#), Some(r#""10s""#))]);
        assert_eq!(b.step.path, "3", "it has moved, which is no change of its own");
    }

    #[test]
    fn a_plan_does_not_differ_from_itself() {
        let plan = laid(serde_json::json!({"steps": [{"id": "g", "steps": [{"action": "x"}, {"action": "y"}]}]}));
        let found = difference((&plan.0, &plan.1), (&plan.0, &plan.1));
        assert_eq!(found, Difference { unchanged: 3, ..Difference::default() });
    }
}
