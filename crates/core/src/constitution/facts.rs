//! What a rule can see. Words stand as on the wire; a text nobody gave is empty, so that comparing it is no error.

use super::rulings::Point;
use super::walk::{Reads, STEP};
use crate::agent::Registration;
use crate::command::Submission;
use crate::event::{RequestText, Submitted};
use crate::id::AgentId;
use crate::plan::{Does, Plan, StepText};
use crate::time::Time;
use crate::work::Success;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The fields of `task`.
pub(super) const TASK: [&str; 22] = [
    "acceptance_criteria",
    "autonomy",
    "depends_on",
    "description",
    "execution_mode",
    "final_review",
    "has_plan",
    "namespace",
    "owner_id",
    "owner_type",
    "payload",
    "priority",
    "recurs",
    "requirements",
    "risk",
    "source",
    "stakeholders",
    "subject_ref_id",
    "subject_ref_type",
    "tags",
    "task_type",
    "title",
];
/// Of them, those with text that is compared whole, by which rules are found without being run.
pub(super) const KEYS: [&str; 8] =
    ["autonomy", "execution_mode", "namespace", "owner_type", "priority", "source", "subject_ref_type", "task_type"];
/// The fields of `plan`.
pub(super) const PLAN: [&str; 4] = ["actions", "acts", "size", "steps"];
/// What may be asked of `plan`.
pub(super) const QUESTIONS: [&str; 4] = ["before", "does", "gated", "reaches"];
/// The fields of `now`.
pub(super) const NOW: [&str; 3] = ["at", "hour", "weekday"];
/// The fields of `action`.
pub(super) const ACTION: [&str; 8] = ["acts", "capabilities", "id", "model", "name", "params", "path", "undoes"];
/// The fields of `agent`.
pub(super) const AGENT: [&str; 8] = ["capabilities", "external_id", "id", "models", "name", "namespace", "role", "tier"];
/// The fields of `result`.
pub(super) const RESULT: [&str; 2] = ["metrics", "output"];
/// The fields of a step in `plan.steps`.
pub(super) const STEP_FIELDS: [&str; 11] =
    ["path", "id", "title", "action", "capabilities", "params", "acts", "optional", "model", "gates", "undone_by"];
/// All fields there are, each a bit of what a rule reads: at most 64.
pub(super) const FIELDS: [(&str, &[&str]); 7] = [
    ("task", &TASK),
    ("plan", &PLAN),
    ("action", &ACTION),
    ("agent", &AGENT),
    ("result", &RESULT),
    ("now", &NOW),
    (STEP, &STEP_FIELDS),
];
/// What a rule can see, and where.
pub(super) const VARIABLES: [(&str, &[Point]); 6] = [
    ("task", &Point::ALL),
    ("plan", &[Point::Plan]),
    ("action", &[Point::Action, Point::Result]),
    ("agent", &[Point::Action, Point::Result]),
    ("result", &[Point::Result]),
    ("now", &Point::ALL),
];

/// The fields of a variable.
pub(super) fn fields(variable: &str) -> &'static [&'static str] {
    FIELDS.into_iter().find(|(name, _)| *name == variable).map_or(&[], |(_, fields)| fields)
}

/// What is judged. Which parts of it are there depends on the point.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The task.
    pub facts: &'a Submitted,
    /// Its words.
    pub text: &'a RequestText,
    /// Its plan and the words of that.
    pub plan: Option<(&'a Plan, &'a [StepText])>,
    /// The step that is about to be done, or was.
    pub action: Option<&'a Act<'a>>,
    /// Who is about to do it, or did. Where nobody is known, no rule about agents is asked.
    pub agent: Option<Who<'a>>,
    /// What came of it.
    pub result: Option<&'a Success>,
    /// The instant.
    pub now: Time,
}

impl<'a> About<'a> {
    /// A task, and nothing beside it.
    pub fn the_task(facts: &'a Submitted, text: &'a RequestText, now: Time) -> Self {
        Self { facts, text, plan: None, action: None, agent: None, result: None, now }
    }
}

/// An agent, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Its id.
    pub id: AgentId,
    /// What it says of itself; nothing where it never said anything.
    pub said: Option<&'a Registration>,
}

/// One action, with all that is known of it before it is done.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// The path of the step.
    pub path: &'a str,
    /// The writer's name for the step.
    pub id: Option<&'a str>,
    /// What is done.
    pub name: &'a str,
    /// What its agent has to be able to do beside, sorted; nothing where its name says it all.
    pub capabilities: &'a [Box<str>],
    /// With what, references resolved.
    pub params: &'a Map<String, Value>,
    /// Whether the outside is acted on.
    pub acts: bool,
    /// The model it is done with.
    pub model: Option<&'a str>,
    /// Whether it undoes what a step did.
    pub undoes: bool,
}

/// A word as on the wire.
fn word(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a word is plain data")
}

/// One field of `task` that is compared whole.
pub(super) fn key<'a>(facts: &'a Submitted, field: &str) -> std::borrow::Cow<'a, str> {
    let text = |text: &'a Option<Box<str>>| text.as_deref().unwrap_or_default().into();
    match field {
        "namespace" => (&*facts.namespace).into(),
        "task_type" => (&*facts.task_type).into(),
        "owner_type" => text(&facts.owner_type),
        "source" => text(&facts.source),
        "subject_ref_type" => text(&facts.subject_ref_type),
        "autonomy" => plain(word(&facts.autonomy)),
        "execution_mode" => plain(word(&facts.mode)),
        "priority" => plain(word(&facts.priority)),
        _ => Default::default(),
    }
}

fn plain(word: Value) -> std::borrow::Cow<'static, str> {
    match word {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

/// `task`, as far as rules read it.
pub(super) fn task(facts: &Submitted, text: &RequestText, reads: Reads) -> Value {
    let optional = |text: &Option<Box<str>>| Value::from(text.as_deref().unwrap_or_default());
    let mut task = Map::new();
    for field in reads.of("task") {
        let value = match field {
            "acceptance_criteria" => json!(text.acceptance_criteria),
            "autonomy" => word(&facts.autonomy),
            "depends_on" => json!(facts.depends_on.len()),
            "description" => json!(text.description),
            "execution_mode" => word(&facts.mode),
            "final_review" => json!(facts.final_review),
            "has_plan" => json!(facts.plan.is_some()),
            "namespace" => json!(facts.namespace),
            "owner_id" => optional(&facts.owner_id),
            "owner_type" => optional(&facts.owner_type),
            // What is no object has no fields to ask for.
            "payload" => {
                if text.payload.is_object() {
                    text.payload.clone()
                } else {
                    json!({})
                }
            }
            "priority" => word(&facts.priority),
            "recurs" => json!(facts.recurrence.is_some()),
            "requirements" => json!(text.requirements),
            "risk" => word(&facts.risk),
            "source" => optional(&facts.source),
            "stakeholders" => json!(text.stakeholders),
            "subject_ref_id" => optional(&facts.subject_ref_id),
            "subject_ref_type" => optional(&facts.subject_ref_type),
            "tags" => json!(text.tags),
            "task_type" => json!(facts.task_type),
            "title" => json!(text.title),
            other => unreachable!("{other} is not in the list"),
        };
        task.insert(field.into(), value);
    }
    Value::Object(task)
}

/// `plan`, as far as rules read it.
pub(super) fn plan(plan: &Plan, texts: &[StepText], payload: &Value, reads: Reads) -> Value {
    let mut facts = Map::new();
    if reads.has("plan", "size") {
        facts.insert("size".into(), json!(plan.steps.iter().filter(|step| step.does() != Does::Group).count()));
    }
    if reads.has("plan", "acts") {
        facts.insert("acts".into(), json!(acts(plan)));
    }
    if reads.has("plan", "actions") {
        facts.insert("actions".into(), json!(actions(plan).collect::<std::collections::BTreeSet<_>>()));
    }
    if reads.has("plan", "steps") {
        let none = StepText::default();
        let steps = plan.steps.iter().enumerate().filter(|(_, step)| step.does() != Does::Group).map(|(i, step)| {
            let words = texts.get(i).unwrap_or(&none);
            let params = match (words.takes_payload, payload) {
                (true, Value::Object(payload)) => payload,
                _ => &words.params,
            };
            let field = |field: &'static str| {
                let value = match field {
                    "path" => json!(step.path),
                    "id" => json!(step.key.as_deref().unwrap_or_default()),
                    "title" => json!(words.title),
                    "action" => json!(step.action),
                    "capabilities" => json!(step.capabilities),
                    "params" => json!(params),
                    "acts" => json!(step.acts),
                    "optional" => json!(step.optional),
                    "model" => json!(step.model.as_deref().unwrap_or_default()),
                    "gates" => {
                        json!(step.gates.iter().filter(|gate| !gate.advisory).map(|gate| gate.kind.word()).collect::<Vec<_>>())
                    }
                    "undone_by" => json!(step.compensation.as_ref().map_or("", |how| &*how.action)),
                    other => unreachable!("{other} is not in the list"),
                };
                (field.to_owned(), value)
            };
            reads.of(STEP).map(field).collect::<Map<_, _>>()
        });
        facts.insert("steps".into(), steps.map(Value::Object).collect());
    }
    Value::Object(facts)
}

/// `action`, as far as rules read it.
pub(super) fn action(act: &Act<'_>, reads: Reads) -> Value {
    let all = [
        ("acts", json!(act.acts)),
        ("capabilities", json!(act.capabilities)),
        ("id", json!(act.id.unwrap_or_default())),
        ("model", json!(act.model.unwrap_or_default())),
        ("name", json!(act.name)),
        ("path", json!(act.path)),
        ("undoes", json!(act.undoes)),
    ];
    let mut facts: Map<String, Value> =
        all.into_iter().filter(|(field, _)| reads.has("action", field)).map(|(field, value)| (field.into(), value)).collect();
    if reads.has("action", "params") {
        facts.insert("params".into(), Value::Object(act.params.clone()));
    }
    Value::Object(facts)
}

/// `agent`, as far as rules read it.
pub(super) fn agent(who: &Who<'_>, reads: Reads) -> Value {
    let blank = Registration::default();
    let said = who.said.unwrap_or(&blank);
    let field = |field: &'static str| {
        let value = match field {
            "capabilities" => json!(said.capabilities),
            "external_id" => json!(said.external_id.as_deref().unwrap_or_default()),
            "id" => json!(who.id),
            "models" => json!(said.models),
            "name" => json!(said.name),
            "namespace" => json!(said.namespace.as_deref().unwrap_or_default()),
            "role" => json!(said.role.as_deref().unwrap_or_default()),
            "tier" => json!(said.tier.as_deref().unwrap_or_default()),
            other => unreachable!("{other} is not in the list"),
        };
        (field.to_owned(), value)
    };
    Value::Object(reads.of("agent").map(field).collect())
}

/// `result`, as far as rules read it.
pub(super) fn result(success: &Success, reads: Reads) -> Value {
    let mut facts = Map::new();
    if reads.has("result", "output") {
        facts.insert("output".into(), success.output.clone());
    }
    if reads.has("result", "metrics") {
        facts.insert("metrics".into(), json!(success.metrics));
    }
    Value::Object(facts)
}

/// Whether one of its steps acts on the outside, as far as it says.
pub(super) fn acts(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| step.acts)
}

/// What its steps do, with repetitions.
pub(super) fn actions(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.steps.iter().filter(|step| step.does() != Does::Group).map(|step| &*step.action)
}

/// `now`, in UTC.
pub(super) fn now(at: Time) -> Value {
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    let weekday = format!("{:?}", instant.weekday()).to_uppercase();
    json!({"at": at.to_string(), "hour": instant.hour(), "weekday": weekday})
}

/// The plan and the words of a submission that has one.
pub(super) fn of(submission: &Submission) -> Option<(&Plan, &[StepText])> {
    submission.facts.plan.as_ref().map(|plan| (plan, &submission.text.steps[..]))
}
