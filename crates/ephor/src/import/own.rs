//! Ephor's own form: a request with or without a plan, a bare plan, or both in one object, as JSON or YAML.
//!
//! The types of `spec` say what is allowed. Here their keys are read in camelCase too, their words in any case, and a fault is
//! traced to its field; free JSON (`payload`, `params`, `resources`) is never touched.

use super::STEPS_MAX;
use super::document::{Document, Hop, path_of};
use super::error::{Fault, Place, Trouble};
use super::fields::{Fields, wrong};
use super::report::Part;
use super::text::{short, snake, stem};
use ephor_core::spec::{PlanSpec, Request, StepSpec};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Fields whose values are words of a fixed set, written `HIGH` on the wire.
const SCREAMING: [&str; 8] =
    ["priority", "execution_mode", "autonomy", "risk", "risk_level", "severity_threshold", "kind", "never_on"];

/// Fields whose values are words of a fixed set, written `same_key` on the wire.
const SNAKE: [&str; 2] = ["on_unknown", "on_agent_lost"];

/// Fields that hold text, where a plain number is meant as text: `id: 1`.
const TEXTS: [&str; 7] = ["id", "title", "description", "external_id", "depends_on", "needs", "subject_ref_id"];

/// Fields that hold objects of fixed fields, or lists of such.
const NESTED: [&str; 5] = ["retry_policy", "retry", "recurrence", "gates", "quality_gates"];

/// Fields of a plan, by which a plan and its request are told apart where they stand in one object.
const PLAN: [&str; 4] = ["steps", "sequential", "confidence", "confidence_reasons"];

/// Words of `mode` that say how far an agent may go by itself; its other words say how steps are confirmed.
const AUTONOMY: [&str; 3] = ["SUGGESTION", "ASSISTED", "AUTONOMOUS"];

/// Reads a request or a bare plan.
pub(super) fn read(document: &Document<'_>, name: &str, part: &mut Part) -> Result<Request, Fault> {
    let mut reader = Reader { hops: Vec::new(), steps: 0 };
    let read = reader.read(&document.value, name);
    let mut request = read.map_err(|fault| match fault.place {
        Place::Field { path, line: None } => {
            let line = document.locate(&reader.hops);
            Fault { place: Place::Field { path, line }, ..fault }
        }
        _ => fault,
    })?;
    if request.title.is_none() && request.description.is_none() {
        request.title = Some(stem(name).to_owned());
        part.note("a bare plan has no title; it was named after its file");
    }
    Ok(request)
}

/// Reads one level after the other, and where it fails leaves behind the way to the place.
struct Reader {
    hops: Vec<Hop>,
    steps: usize,
}

impl Reader {
    fn read(&mut self, value: &Value, name: &str) -> Result<Request, Fault> {
        let mut fields = self.level(value)?;
        if fields.contains_key("steps") {
            return self.flat(fields);
        }
        translate_printed_calls(&mut fields);
        let plan = fields.remove("plan").filter(|plan| !plan.is_null());
        let mut request: Request = self.typed(fields)?;
        if let Some(plan) = plan {
            request.plan = Some(self.within(Hop::Key("plan".to_owned()), |reader| {
                let fields = reader.level(&plan)?;
                reader.plan(fields)
            })?);
        }
        if request.title.is_none() && request.description.is_none() && request.plan.is_none() {
            request.title = request.task_type.clone().or_else(|| Some(stem(name).to_owned()));
        }
        Ok(request)
    }

    /// A bare plan, beside which fields of its request may stand: `title`, `steps`.
    fn flat(&mut self, mut fields: Fields) -> Result<Request, Fault> {
        if fields.contains_key("plan") {
            return Err(self.fault("`steps` is the plan itself; give one of `steps` and `plan`"));
        }
        let own = PLAN.iter().filter_map(|key| Some(((*key).to_owned(), fields.remove(*key)?))).collect();
        let plan = self.plan(own)?;
        let request: Request = self.typed(fields)?;
        Ok(Request { plan: Some(plan), ..request })
    }

    fn plan(&mut self, mut fields: Fields) -> Result<PlanSpec, Fault> {
        let steps = self.steps(&mut fields)?;
        let plan: PlanSpec = self.typed(fields)?;
        Ok(PlanSpec { steps, ..plan })
    }

    /// Takes the steps out of a plan or a group and reads them.
    fn steps(&mut self, fields: &mut Fields) -> Result<Vec<StepSpec>, Fault> {
        let Some((key, value)) = ["steps", "subtasks"].iter().find_map(|key| Some((*key, fields.remove(*key)?))) else {
            return Ok(Vec::new());
        };
        if fields.contains_key("subtasks") {
            return Err(self.fault("`steps` and `subtasks` are one field; give one of them"));
        }
        self.within(Hop::Key(key.to_owned()), |reader| {
            let items = match &value {
                Value::Null => &[][..],
                Value::Array(items) => items,
                other => return Err(wrong(&path_of(&reader.hops), "a list of steps", other)),
            };
            let read = |(index, item)| reader.within(Hop::Index(index), |reader| reader.step(item));
            items.iter().enumerate().map(read).collect()
        })
    }

    fn step(&mut self, value: &Value) -> Result<StepSpec, Fault> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(Fault { trouble: Trouble::TooLarge, ..self.fault(&format!("more than {STEPS_MAX} steps")) });
        }
        let mut fields = self.level(value)?;
        let steps = self.steps(&mut fields)?;
        let step: StepSpec = self.typed(fields)?;
        Ok(StepSpec { steps, ..step })
    }

    /// The fields of one object with fixed fields, under their wire names and with their words as the wire has them.
    fn level(&mut self, value: &Value) -> Result<Fields, Fault> {
        let Value::Object(written) = value else { return Err(wrong(&path_of(&self.hops), "an object", value)) };
        let mut fields = Fields::new();
        for (key, value) in written {
            let name = snake(key);
            let value = self.within(Hop::Key(key.clone()), |reader| reader.field(&name, value))?;
            if fields.insert(name.clone(), value).is_some() {
                self.hops.push(Hop::Key(key.clone()));
                return Err(self.fault(&format!("`{name}` is given twice, once in camelCase")));
            }
        }
        Ok(fields)
    }

    fn field(&mut self, name: &str, value: &Value) -> Result<Value, Fault> {
        Ok(match value {
            Value::Object(_) if NESTED.contains(&name) => self.level(value)?.into(),
            Value::Array(items) if NESTED.contains(&name) || SCREAMING.contains(&name) || TEXTS.contains(&name) => {
                let read = |(index, item)| self.within(Hop::Index(index), |reader| reader.field(name, item));
                items.iter().enumerate().map(read).collect::<Result<Vec<Value>, Fault>>()?.into()
            }
            Value::String(word) if SCREAMING.contains(&name) => word.trim().to_uppercase().replace(['-', ' '], "_").into(),
            Value::String(word) if SNAKE.contains(&name) => word.trim().to_lowercase().replace(['-', ' '], "_").into(),
            Value::Number(number) if TEXTS.contains(&name) && !number.is_f64() => number.to_string().into(),
            Value::Number(_) if TEXTS.contains(&name) => {
                return Err(self.fault("this is a number with a fraction; put it in quotes to keep it as it is written"));
            }
            other => other.clone(),
        })
    }

    /// The fields as what they are meant to be. Where that fails, each is tried alone, so that the message names the one.
    fn typed<T: DeserializeOwned>(&mut self, fields: Fields) -> Result<T, Fault> {
        let fields = Value::Object(fields);
        let error = match T::deserialize(&fields) {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        for (key, value) in fields.as_object().into_iter().flatten() {
            let alone = Value::Object(Fields::from_iter([(key.clone(), value.clone())]));
            if let Err(error) = T::deserialize(&alone) {
                self.hops.push(Hop::Key(key.clone()));
                return Err(self.fault(&error.to_string()));
            }
        }
        Err(self.fault(&error.to_string()))
    }

    /// Goes one hop further; the hop stays where the read fails, and leads to the place.
    fn within<T>(&mut self, hop: Hop, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.hops.push(hop);
        let done = read(self)?;
        self.hops.pop();
        Ok(done)
    }

    fn fault(&self, message: &str) -> Fault {
        let path = path_of(&self.hops);
        Fault { place: Place::Field { path: short(&path), line: None }, ..Fault::new(Trouble::Field, message) }
    }
}

/// The printed calls of the sources say `type` for the task's type and `mode` for either of two things, told apart by the word.
fn translate_printed_calls(fields: &mut Fields) {
    if !fields.contains_key("task_type")
        && let Some(value) = fields.remove("type")
    {
        fields.insert("task_type".to_owned(), value);
    }
    let Some(word) = fields.get("mode").and_then(Value::as_str) else { return };
    let word = word.trim().to_uppercase().replace(['-', ' '], "_");
    let field = if AUTONOMY.contains(&word.as_str()) { "autonomy" } else { "execution_mode" };
    if !fields.contains_key(field) {
        fields.remove("mode");
        fields.insert(field.to_owned(), word.into());
    }
}
