//! Gates that say how they are checked: what the agent that checks is told.

use super::{Draft, Task};
use crate::command::Context;
use crate::contents::StepScope;
use crate::expr::{self, Scope, walk};
use crate::gate::Found;
use serde_json::{Map, Value};

impl Task {
    /// How the open gate of a step is checked, references resolved; nothing where it does not say.
    pub(super) fn check_params(&self, i: u32) -> Result<Map<String, Value>, String> {
        let place = self.board.gates.get(&i).map_or(0, |open| open.gate);
        let checked = self.board.steps[i as usize].gates.get(usize::from(place)).is_some_and(|gate| gate.check.is_some());
        if !checked {
            return Ok(Map::new());
        }
        let words = self.contents.steps().get(i as usize).and_then(|words| words.gate_checks.get(&place.to_string()));
        let Some(Value::Object(check)) = words else { return Ok(Map::new()) };
        let result = self.contents.outputs.get(&self.step_name(i)).map_or(&Value::Null, |success| &success.output);
        expr::resolve(check, &CheckScope { step: self.scope(&self.board.steps[i as usize].path), result })
    }

    /// A gate whose check refers to what is not there: it has not passed, and waiting would not help.
    pub(super) fn cannot_check(&self, i: u32, why: &str, cx: &Context<'_>) -> Draft {
        let gate = self.board.gates.get(&i).map_or(0, |open| open.gate);
        self.judged(i, gate, Found::no("check", format!("it cannot be checked: {why}")), cx)
    }

    /// Why the last attempt of a step did not count.
    pub(super) fn step_error(&self, i: u32) -> Option<String> {
        // Most steps are claimed once: nothing is looked up for them.
        self.board.cell(i).trouble?;
        self.contents.errors.get(&format!("step:{}", self.board.steps[i as usize].path)).cloned()
    }
}

/// What a check can see: what its step sees, and the result that is judged.
struct CheckScope<'a> {
    step: StepScope<'a>,
    result: &'a Value,
}

impl Scope for CheckScope<'_> {
    fn value(&self, name: &str, text: &str) -> Value {
        self.step.value(name, text)
    }

    fn lookup(&self, path: &str) -> Option<Value> {
        match path.strip_prefix("output") {
            Some(rest) if rest.is_empty() || rest.starts_with('.') => walk(self.result, rest).cloned(),
            Some(_) | None => self.step.lookup(path),
        }
    }
}
