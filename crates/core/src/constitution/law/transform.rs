//! Rules that have a step done with other parameters (TRANSFORM). What they make is judged again, by them too: only where nothing is left to
//! change has it come to an end.

use super::{Compiled, ENV, Law, seen};
use crate::constitution::document::{Flaw, Rule};
use crate::constitution::facts::{About, Act};
use crate::constitution::rulings::{Point, Ruling, Said};
use crate::constitution::walk::{Seen, walk};
use cel::Program;
use serde_json::{Map, Value};

/// How often parameters may change before they cannot be judged.
const ROUNDS_MAX: usize = 4;

/// What a step is done with instead.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transformed {
    /// What becomes of parameters that change, by name.
    pub(crate) changes: Map<String, Value>,
    /// Parameters that are taken away.
    pub(crate) gone: Vec<String>,
    /// The rules that wanted it.
    pub(crate) said: Vec<Said>,
}

impl Transformed {
    /// The parameters as they are then.
    pub(crate) fn over(&self, before: &Map<String, Value>) -> Map<String, Value> {
        let mut params = before.clone();
        params.retain(|name, _| !self.gone.contains(name));
        params.extend(self.changes.clone());
        params
    }
}

/// The expressions of a rule that sets parameters.
pub(super) fn compile(rule: &Rule, all: &mut Seen<'_>, flaws: &mut Vec<Flaw>) -> Vec<(Box<str>, Program)> {
    let mut set = Vec::with_capacity(rule.set.len());
    for (name, text) in &rule.set {
        match ENV.compile(text) {
            Ok(program) => {
                let seen = walk(program.expression(), &rule.at);
                flaws.extend(seen.flaws.into_iter().map(|what| Flaw::new(rule.line, format!("`set.{name}` {what}"))));
                (all.reads, all.loops) = (all.reads.and(seen.reads), all.loops.max(seen.loops));
                set.push((name.as_str().into(), program));
            }
            Err(error) => {
                let error = error.to_string();
                let what = error.lines().next().unwrap_or_default();
                flaws.push(Flaw::new(rule.line, format!("`set.{name}` is no CEL expression: {what}")));
            }
        }
    }
    set
}

impl Law {
    /// The parameters that the rules have an action done with; `None` where they leave it as it is.
    ///
    /// # Errors
    /// What is said where they cannot be made, or never come to an end.
    pub(crate) fn transform(&self, about: &About<'_>) -> Result<Option<Transformed>, Said> {
        let Some(act) = about.action.filter(|_| self.transforms) else { return Ok(None) };
        let candidates = self.shelves[Point::Action as usize].candidates(about);
        let rules: Vec<&Compiled> =
            candidates.into_iter().map(|n| &self.rules[n]).filter(|compiled| !compiled.set.is_empty()).collect();
        let mut params = act.params.clone();
        let mut said: Vec<Said> = Vec::new();
        for round in 0..=ROUNDS_MAX {
            let mut changed = None;
            for compiled in &rules {
                let act = Act { params: &params, ..*act };
                if let Some(other) = compiled.set_over(&About { action: Some(&act), ..*about })? {
                    params = other;
                    changed = Some(compiled);
                    let own = compiled.says(Ruling::Transform, &compiled.rule.message);
                    if !said.contains(&own) {
                        said.push(own);
                    }
                }
            }
            match changed {
                None => break,
                Some(last) if round == ROUNDS_MAX => {
                    return Err(last.says(Ruling::Deny, "could not be judged: its parameters never come to an end"));
                }
                Some(_) => {}
            }
        }
        let gone = act.params.keys().filter(|name| !params.contains_key(*name)).cloned().collect::<Vec<_>>();
        let changes: Map<String, Value> =
            params.into_iter().filter(|(name, value)| act.params.get(name) != Some(value)).collect();
        let some = !changes.is_empty() || !gone.is_empty();
        Ok(some.then_some(Transformed { changes, gone, said }))
    }
}

impl Compiled {
    fn says(&self, ruling: Ruling, message: &str) -> Said {
        let Self { rule, when, .. } = self;
        Said { rule: rule.id.as_str().into(), ruling, message: message.into(), risk: rule.risk, when: when.clone() }
    }

    /// What it makes of the parameters; `None` where it leaves them as they are, or its condition does not hold. A condition that cannot
    /// be judged refuses where all rules are asked.
    fn set_over(&self, about: &About<'_>) -> Result<Option<Map<String, Value>>, Said> {
        let (context, longest) = seen(about, self.reads);
        if longest.saturating_pow(self.loops) > super::TURNS_MAX_WITHIN {
            return Ok(None);
        }
        if !matches!(self.program.execute(&context), Ok(cel::Value::Bool(true))) {
            return Ok(None);
        }
        let before = about.action.map(|act| act.params.clone()).unwrap_or_default();
        let mut after = before.clone();
        for (name, made) in &self.set {
            let deny = |why: String| self.says(Ruling::Deny, &format!("could not be judged: set.{name}: {why}"));
            let value = made.execute(&context).map_err(|error| deny(error.to_string()))?;
            let value = value.json().map_err(|error| deny(format!("{error:?}")))?;
            // A text that was looked at may hold what reads like a reference; nobody meant it to be followed.
            if refers(&value) {
                return Err(deny("it holds `${`, which would be followed".into()));
            }
            match value {
                Value::Null => drop(after.remove(&**name)),
                value => drop(after.insert(name.to_string(), value)),
            }
        }
        Ok((after != before).then_some(after))
    }
}

fn refers(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(refers),
        Value::Object(fields) => fields.values().any(refers),
    }
}
