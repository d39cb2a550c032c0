//! The two small languages of a plan: conditions and lists in CEL, and `${…}` references in parameters.
//!
//! Both are evaluated by the writer, between other people's commands, so their cost is bounded: the text is short, what it can see
//! is small, and the number of loop turns it could take is computed before it runs.

use cel::objects::Key;
use cel::{Context, Program};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The most loop turns (`all`, `exists`, `map`, `filter`) an expression may take.
const TURNS_MAX: u64 = 100_000;
/// The most bytes of values a single evaluation may see.
const SEEN_MAX: usize = 256 * 1024;
/// The names an expression may refer to.
const NAMES: [&str; 3] = ["steps", "task", "item"];

/// What an expression can see, by name.
pub trait Scope {
    /// `steps`, `task` or `item`; `wanted` narrows `steps` to those the text mentions.
    fn value(&self, name: &str, text: &str) -> Value;
    /// The value a `${…}` reference stands for, by its dotted path.
    fn lookup(&self, path: &str) -> Option<Value>;
}

/// Whether an expression can be used at all: it parses, and refers only to what there is.
pub fn check(text: &str) -> Result<(), String> {
    let program = compile(text)?;
    let references = program.references();
    if let Some(name) = references.variables().into_iter().find(|v| !NAMES.contains(v) && !loop_variable(text, v)) {
        return Err(format!("refers to {name:?}; known are {}", NAMES.join(", ")));
    }
    Ok(())
}

/// The parser reports the variable of `xs.all(x, …)` as a reference too; it stands before a comma behind an opening bracket.
fn loop_variable(text: &str, name: &str) -> bool {
    ["all", "exists", "exists_one", "map", "filter"].iter().any(|m| {
        text.match_indices(&format!(".{m}(")).any(|(i, found)| {
            let rest = text[i + found.len()..].trim_start();
            rest.strip_prefix(name).is_some_and(|r| r.trim_start().starts_with(','))
        })
    })
}

/// Whether the condition holds.
pub fn condition(text: &str, scope: &dyn Scope) -> Result<bool, String> {
    match evaluate(text, scope)? {
        Value::Bool(answer) => Ok(answer),
        other => Err(format!("`{text}` is {other}, not true or false")),
    }
}

/// The items of the list.
pub fn list(text: &str, scope: &dyn Scope) -> Result<Vec<Value>, String> {
    match evaluate(text, scope)? {
        Value::Array(items) if items.len() <= crate::plan::ITEMS_MAX => Ok(items),
        Value::Array(items) => Err(format!("`{text}` has {} items; allowed are {}", items.len(), crate::plan::ITEMS_MAX)),
        other => Err(format!("`{text}` is {other}, not a list")),
    }
}

fn compile(text: &str) -> Result<Program, String> {
    Program::compile(text)
        .map_err(|e| format!("`{text}` is no CEL expression: {}", e.to_string().lines().next().unwrap_or_default()))
}

fn evaluate(text: &str, scope: &dyn Scope) -> Result<Value, String> {
    let program = compile(text)?;
    let mut context = Context::default();
    let (mut seen, mut longest) = (0, 1u64);
    for name in NAMES {
        if program.references().has_variable(name) {
            let value = scope.value(name, text);
            measure(&value, &mut seen, &mut longest);
            context.add_variable_from_value(name, as_cel(value));
        }
    }
    if seen > SEEN_MAX {
        return Err(format!("`{text}` would see {seen} bytes; allowed are {SEEN_MAX}"));
    }
    let loops = ["all(", "exists(", "exists_one(", "map(", "filter("].iter().map(|m| text.matches(m).count()).sum::<usize>();
    if longest.saturating_pow(loops as u32) > TURNS_MAX {
        return Err(format!("`{text}` could take more than {TURNS_MAX} turns over lists of {longest}"));
    }
    let value = program.execute(&context).map_err(|e| format!("`{text}`: {e}"))?;
    value.json().map_err(|e| format!("`{text}`: {e:?}"))
}

/// JSON as expressions see it. A whole number is an `int` wherever it can be one, so that it can be reckoned with as it is written: CEL does
/// not add an `int` to a `uint`.
pub(crate) fn as_cel(value: Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(yes) => cel::Value::Bool(yes),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => cel::Value::Int(whole),
            (None, Some(large)) => cel::Value::UInt(large),
            (None, None) => number.as_f64().map_or(cel::Value::Null, cel::Value::Float),
        },
        Value::String(text) => cel::Value::String(Arc::new(text)),
        Value::Array(items) => cel::Value::List(Arc::new(items.into_iter().map(as_cel).collect())),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (Key::from(name), as_cel(value)));
            cel::Value::Map(cel::objects::Map { map: Arc::new(fields.collect()) })
        }
    }
}

/// Adds up the bytes of a value and finds its longest list.
fn measure(value: &Value, seen: &mut usize, longest: &mut u64) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => *seen += 8,
        Value::String(s) => *seen += s.len(),
        Value::Array(items) => {
            *longest = (*longest).max(items.len() as u64);
            items.iter().for_each(|v| measure(v, seen, longest));
        }
        Value::Object(fields) => {
            *longest = (*longest).max(fields.len() as u64);
            for (key, v) in fields {
                *seen += key.len();
                measure(v, seen, longest);
            }
        }
    }
}

/// Replaces the `${…}` references in parameters. A text that is nothing but one reference becomes the value itself; otherwise values are
/// put into the text. `${secrets.…}` stays as it is, for the executing agent alone.
pub fn resolve(params: &Map<String, Value>, scope: &dyn Scope) -> Result<Map<String, Value>, String> {
    params.iter().map(|(key, value)| Ok((key.clone(), resolve_value(value, scope)?))).collect()
}

fn resolve_value(value: &Value, scope: &dyn Scope) -> Result<Value, String> {
    match value {
        Value::String(text) if text.contains("${") => resolve_text(text, scope),
        Value::Array(items) => items.iter().map(|v| resolve_value(v, scope)).collect::<Result<_, _>>().map(Value::Array),
        Value::Object(fields) => resolve(fields, scope).map(Value::Object),
        plain => Ok(plain.clone()),
    }
}

fn resolve_text(text: &str, scope: &dyn Scope) -> Result<Value, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let after = &rest[start + 2..];
        let end = after.find('}').ok_or_else(|| format!("{text:?}: a `${{` has no `}}`"))?;
        let path = after[..end].trim();
        if path.starts_with("secrets.") {
            out.push_str(&rest[start..start + 2 + end + 1]);
        } else {
            let value = scope.lookup(path).ok_or_else(|| format!("${{{path}}} refers to nothing that is there"))?;
            // Data never names a secret: whoever writes a payload or an output would else choose what the agent gives away.
            if holds_secret_reference(&value) {
                return Err(format!("${{{path}}} holds the text `${{secrets.`, and only the plan itself may name a secret"));
            }
            if text.len() == end + 3 {
                return Ok(value);
            }
            match value {
                Value::String(s) => out.push_str(&s),
                other => out.push_str(&other.to_string()),
            }
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(Value::String(out))
}

/// Whether some text in a value looks like a reference to a secret.
fn holds_secret_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${secrets."),
        Value::Array(items) => items.iter().any(holds_secret_reference),
        Value::Object(fields) => fields.iter().any(|(key, v)| key.contains("${secrets.") || holds_secret_reference(v)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Walks a dotted path into a value: `a.b.0.c`.
pub fn walk<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|p| !p.is_empty()).try_fold(value, |value, part| match value {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Fixed(Value);
    impl Scope for Fixed {
        fn value(&self, name: &str, _: &str) -> Value {
            self.0[name].clone()
        }
        fn lookup(&self, path: &str) -> Option<Value> {
            walk(&self.0, path).cloned()
        }
    }

    fn scope() -> Fixed {
        Fixed(
            json!({"steps": {"scan": {"output": {"count": 3, "files": ["a", "b"]}, "status": "COMPLETED"}}, "task": {"payload": {"n": 2}}}),
        )
    }

    #[test]
    fn whole_numbers_can_be_reckoned_with() {
        let scope = Fixed(json!({"task": {"payload": {"n": 2, "minus": -3, "part": 0.5, "large": u64::MAX}}, "steps": {}}));
        for text in [
            "task.payload.n * 2 + 1 == 5",
            "task.payload.n + task.payload.minus == -1",
            "task.payload.part + 1.0 == 1.5",
            "task.payload.large > task.payload.n",
        ] {
            assert_eq!(condition(text, &scope), Ok(true), "{text}");
        }
    }

    #[test]
    fn conditions_read_outputs_and_payload() {
        assert_eq!(condition("steps.scan.output.count > task.payload.n", &scope()), Ok(true));
        assert_eq!(condition("steps['scan'].output.files.exists(f, f == 'c')", &scope()), Ok(false));
        assert!(condition("steps.scan.output.count", &scope()).unwrap_err().contains("not true or false"));
        assert!(condition("steps.ghost.output > 1", &scope()).is_err());
    }

    #[test]
    fn an_expression_that_cannot_work_is_refused_when_the_plan_is_checked() {
        assert!(check("steps.a.output.n >").is_err());
        assert!(check("stepz.a == 1").unwrap_err().contains("stepz"));
        assert!(check("steps.a.output.files.all(f, f != '')").is_ok());
    }

    #[test]
    fn an_expression_that_could_run_long_is_refused_before_it_runs() {
        let long = Fixed(json!({"task": {"payload": (0..1000).collect::<Vec<_>>()}, "steps": {}}));
        let text = "task.payload.all(a, task.payload.all(b, a + b >= 0))";
        assert!(condition(text, &long).unwrap_err().contains("turns"));
    }

    #[test]
    fn a_secret_cannot_be_named_by_data() {
        let scope = Fixed(json!({"task": {"payload": {"name": "x ${secrets.TOKEN}", "list": ["${secrets.TOKEN}"]}}}));
        for text in ["${task.payload.name}", "to ${task.payload.list}"] {
            let error = resolve(json!({"to": text}).as_object().unwrap(), &scope).unwrap_err();
            assert!(error.contains("only the plan itself"), "{error}");
        }
    }

    #[test]
    fn references_become_values_or_text_and_secrets_stay() {
        let params =
            json!({"files": "${steps.scan.output.files}", "line": "n=${task.payload.n}!", "key": "Bearer ${secrets.TOKEN}"});
        let resolved = resolve(params.as_object().unwrap(), &scope()).unwrap();
        assert_eq!(Value::Object(resolved), json!({"files": ["a", "b"], "line": "n=2!", "key": "Bearer ${secrets.TOKEN}"}));
        let missing = json!({"x": "${steps.ghost.output}"});
        assert!(resolve(missing.as_object().unwrap(), &scope()).unwrap_err().contains("steps.ghost.output"));
    }
}
