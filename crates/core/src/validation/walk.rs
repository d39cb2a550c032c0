//! Every text of a request, with its place.

use super::place::Place;
use super::scan::{self, Hit, Hits, Stands};
use super::{DESCRIPTION, Found, REQUIREMENTS, SECURITY, secrets};
use crate::event::CheckResult;
use crate::plan::Problem;
use crate::spec::{PlanSpec, Request, StepSpec};
use serde_json::{Map, Value};

/// How deep JSON is looked into. Readers of JSON stop at the same depth.
const DEPTH_MAX: usize = 128;

/// The shortest key that may be a secret, in bytes.
const SECRET_MIN: usize = 16;

/// Parameters that some program carries out.
const CARRIED_OUT: [&str; 9] = ["command", "argv", "cmd", "script", "run", "sql", "query", "code", "stdin"];

/// Looks through all of a request.
pub(super) fn request(request: &Request, found: &mut Found) {
    let mut looker = Looker { found, hits: Hits::default() };
    let texts = [
        ("title", request.title.as_deref()),
        ("description", request.description.as_deref()),
        ("constitutional_basis", request.constitutional_basis.as_deref()),
        ("external_id", request.external_id.as_deref()),
        ("source", request.source.as_deref()),
        ("owner_type", request.owner_type.as_deref()),
        ("owner_id", request.owner_id.as_deref()),
        ("subject_ref_type", request.subject_ref_type.as_deref()),
        ("task_type", request.task_type.as_deref()),
        ("subject_ref_id", request.subject_ref_id.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            let says = if name == "title" || name == "description" { Says::What } else { Says::Nothing };
            looker.text(&Place::field(name), text, Stands::InProse, says);
        }
    }
    for (name, list, says) in [
        ("requirements", &request.requirements, Says::Wants),
        ("acceptance_criteria", &request.acceptance_criteria, Says::Wants),
        ("stakeholders", &request.stakeholders, Says::Nothing),
        ("tags", &request.tags, Says::Nothing),
    ] {
        let at = Place::field(name);
        for (n, text) in list.iter().enumerate() {
            looker.text(&at.item(n), text, Stands::InProse, says);
        }
    }
    looker.value(&Place::field("payload"), &request.payload, Stands::InProse, 0);
    looker.object(&Place::field("resource_limits"), &request.resource_limits, Stands::InProse, 0);
    if let Some(plan) = &request.plan {
        let at = Place::field("plan");
        looker.plan(&at.in_field("steps"), &at.in_field("confidence_reasons"), plan);
    }
}

/// Looks through a plan that comes alone.
pub(super) fn plan(plan: &PlanSpec, found: &mut Found) {
    let mut looker = Looker { found, hits: Hits::default() };
    looker.plan(&Place::field("steps"), &Place::field("confidence_reasons"), plan);
}

/// Looks through a text that stands alone.
pub(super) fn text(field: &'static str, text: &str, found: &mut Found) {
    Looker { found, hits: Hits::default() }.text(&Place::field(field), text, Stands::InProse, Says::Nothing);
}

/// Looks through parameters that stand alone; of which action they are is not known.
pub(super) fn params(params: &Map<String, Value>, found: &mut Found) {
    Looker { found, hits: Hits::default() }.params(&Place::field("params"), None, params);
}

/// What a text is for, as far as vague words in it matter.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    /// What is to be done.
    What,
    /// What the result has to satisfy.
    Wants,
    /// Neither.
    Nothing,
}

struct Looker<'f> {
    found: &'f mut Found,
    /// What the text at hand holds; empty between texts.
    hits: Hits,
}

impl Looker<'_> {
    fn plan(&mut self, at: &Place<'_>, reasons: &Place<'_>, plan: &PlanSpec) {
        self.steps(at, &plan.steps, 0);
        for (n, text) in plan.confidence_reasons.iter().enumerate() {
            self.text(&reasons.item(n), text, Stands::InProse, Says::Nothing);
        }
    }

    fn steps(&mut self, at: &Place<'_>, steps: &[StepSpec], depth: usize) {
        for (n, step) in steps.iter().enumerate() {
            let at = at.item(n);
            for (name, text) in [
                ("title", &step.title),
                ("description", &step.description),
                ("id", &step.id),
                ("when", &step.when),
                ("model", &step.model),
                ("checkpoint", &step.checkpoint),
            ] {
                if let Some(text) = text {
                    self.text(&at.in_field(name), text, Stands::InProse, Says::Nothing);
                }
            }
            let action = step.action.as_deref();
            self.params(&at.in_field("params"), action, &step.params);
            if let Some(undo) = &step.compensation {
                let at = at.in_field("compensation");
                self.params(&at.in_field("params"), Some(&undo.action), &undo.params);
            }
            let others = at.in_field("alternatives");
            for (n, other) in step.alternatives.iter().enumerate() {
                let at = others.item(n);
                if let Some(title) = &other.title {
                    self.text(&at.in_field("title"), title, Stands::InProse, Says::Nothing);
                }
                if let Some(params) = &other.params {
                    self.params(&at.in_field("params"), other.action.as_deref().or(action), params);
                }
            }
            let gates = at.in_field("gates");
            for (n, gate) in step.gates.iter().enumerate() {
                let at = gates.item(n);
                let criteria = at.in_field("criteria");
                for (n, text) in gate.criteria.iter().enumerate() {
                    self.text(&criteria.item(n), text, Stands::InProse, Says::Nothing);
                }
                if let Some(Ok(Value::Object(check))) = gate.check.as_ref().map(serde_json::to_value) {
                    self.params(&at.in_field("check"), None, &check);
                }
            }
            if depth < DEPTH_MAX {
                self.steps(&at.in_field("steps"), &step.steps, depth + 1);
            }
        }
    }

    /// The parameters of an action: those of a shell are carried out as they stand, of others what is named like a command.
    fn params(&mut self, at: &Place<'_>, action: Option<&str>, params: &Map<String, Value>) {
        let shell = action.is_some_and(|action| action.starts_with("shell."));
        for (n, (key, value)) in params.iter().enumerate() {
            let stands = if shell || CARRIED_OUT.contains(&key.as_str()) { Stands::ToBeDone } else { Stands::InProse };
            self.entry(at, key, n, value, stands, 1);
        }
    }

    fn object(&mut self, at: &Place<'_>, object: &Map<String, Value>, stands: Stands, depth: usize) {
        for (n, (key, value)) in object.iter().enumerate() {
            self.entry(at, key, n, value, stands, depth + 1);
        }
    }

    fn entry(&mut self, at: &Place<'_>, key: &str, n: usize, value: &Value, stands: Stands, depth: usize) {
        // A key that is a secret is told by its number, here and in all that stands under it.
        let at = at.key(if self.is_secret(key, stands) { "" } else { key }, n);
        self.text(&at, key, stands, Says::Nothing);
        if let Value::String(text) = value
            && secrets::named_like_one(key)
            && secrets::looks_like_one(text)
        {
            self.refused(&at, &Hit::secret("secret.named_value", 0, text.len(), 0), text);
            return;
        }
        self.value(&at, value, stands, depth);
    }

    fn is_secret(&mut self, key: &str, stands: Stands) -> bool {
        if key.len() < SECRET_MIN {
            return false;
        }
        scan::scan(key, stands, &mut self.hits);
        self.hits.binding = false;
        std::mem::take(&mut self.hits.list).iter().any(|hit| hit.result == CheckResult::Failed)
    }

    /// The words of a command that is given one by one, as the line they make.
    fn line(&mut self, at: &Place<'_>, items: &[Value]) {
        let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
        let Some(line) = words.filter(|words| words.len() > 1).map(|words| words.join(" ")) else { return };
        scan::scan(&line, Stands::ToBeDone, &mut self.hits);
        self.hits.binding = false;
        let found = std::mem::take(&mut self.hits.list);
        // Secrets are found in the word they stand in.
        for hit in found.into_iter().filter(|hit| hit.result != CheckResult::Failed && !hit.vague) {
            self.found.note(SECURITY, hit.result, || hit.told(at));
        }
    }

    fn value(&mut self, at: &Place<'_>, value: &Value, stands: Stands, depth: usize) {
        if depth > DEPTH_MAX {
            return self.found.note(SECURITY, CheckResult::RequiresReview, || format!("too_deep in {at}: not looked at"));
        }
        match value {
            Value::String(text) => self.text(at, text, stands, Says::Nothing),
            Value::Array(items) => {
                if stands == Stands::ToBeDone {
                    self.line(at, items);
                }
                for (n, item) in items.iter().enumerate() {
                    self.value(&at.item(n), item, stands, depth + 1);
                }
            }
            Value::Object(object) => self.object(at, object, stands, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, at: &Place<'_>, text: &str, stands: Stands, says: Says) {
        scan::scan(text, stands, &mut self.hits);
        self.found.binding |= self.hits.binding && says == Says::What;
        self.hits.binding = false;
        if self.hits.list.is_empty() {
            return;
        }
        for hit in std::mem::take(&mut self.hits.list) {
            match (hit.result, says) {
                (CheckResult::Failed, _) => self.refused(at, &hit, text),
                (result, Says::What) if hit.vague => self.found.note(DESCRIPTION, result, || hit.told(at)),
                (result, Says::Wants) if hit.vague => self.found.note(REQUIREMENTS, result, || hit.told(at)),
                (_, Says::Nothing) if hit.vague => {}
                (result, _) => self.found.note(SECURITY, result, || hit.told(at)),
            }
        }
    }

    fn refused(&mut self, at: &Place<'_>, hit: &Hit, text: &str) {
        self.found.refuse(|| {
            let masked = secrets::masked(text, hit);
            Problem::new(
                at.to_string(),
                format!(
                    "{SECURITY} FAILED: {} at byte {}: {masked}. What is submitted is kept in the history of the task; put the secret \
                     where the agent finds it and write ${{secrets.NAME}} in a parameter",
                    hit.rule, hit.at
                ),
            )
        });
    }
}
