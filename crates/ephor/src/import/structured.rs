//! Plans as JSON of phases, tasks and subtasks with actions and parameters, and the answer to a question to decompose one task.

use super::draft::{Draft, Edges, WORK, order_factor};
use super::error::Fault;
use super::fields::{Fields, list, object, text, texts};
use super::report::Part;
use ephor_core::spec::{Request, RetryPolicy, StepSpec};
use ephor_core::time::WireDuration;
use serde_json::Value;

/// An hour, as `estimated_hours` and `timeout_hours` count.
const HOUR_MS: f64 = 3_600_000.0;

/// The longest span of hours that is believed: a thousand years.
const HOURS_MAX: f64 = 8_760_000.0;

/// Fields of a subtask that say more about the work; they go to its parameters under their own names.
const KEPT_AS_PARAMS: [&str; 4] = ["success_criteria", "failure_handling", "assignee_role", "context"];

/// Fields that hold the steps of a decomposition; its documents disagree about the name.
pub(super) const DECOMPOSED: [&str; 2] = ["decomposed_subtasks", "executable_subtasks"];

/// `phases` of `tasks` of `subtasks`.
pub(super) fn read(value: &Value, name: &str, part: &mut Part) -> Result<Request, Fault> {
    let plan = object(value, "")?;
    let phases = list(plan.get("phases"), "phases")?;
    let mut draft = Draft::in_order();
    for (index, phase) in phases.iter().enumerate() {
        let path = format!("phases[{index}]");
        let phase = object(phase, &path)?;
        let group = add(&mut draft, None, phase, &["phase_id", "id"], &path)?;
        add_tasks(&mut draft, group, phase, &path)?;
    }
    if draft.len() == 0 {
        return Err(Fault::field("phases", "the plan has no phases"));
    }
    let lost = read_edges(&mut draft, plan, part)?;
    part.factor("hierarchy", 1.0, "phases, tasks and subtasks are stated");
    judge_completeness(plan, phases.len(), part);
    judge_actions(&mut draft, part);
    let mut edges = draft.settle_edges(part);
    edges.given += lost;
    judge_order(&mut draft, &edges, part);
    note_the_rest(plan, &["plan_id", "id", "goal", "title", "description", "phases", "dependencies", "phase_count"], part);
    let goal = text(plan, &["goal", "description"]);
    Ok(Request {
        title: text(plan, &["title"]).or_else(|| goal.clone()).or_else(|| Some(super::text::stem(name).to_owned())),
        description: goal,
        external_id: text(plan, &["plan_id", "id"]),
        source: Some("plan".to_owned()),
        plan: Some(draft.finish(part)),
        ..Request::default()
    })
}

fn add_tasks(draft: &mut Draft, phase: usize, fields: &Fields, path: &str) -> Result<(), Fault> {
    let path = format!("{path}.tasks");
    for (index, task) in list(fields.get("tasks"), &path)?.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let task = object(task, &path)?;
        let step = add(draft, Some(phase), task, &["task_id", "id"], &path)?;
        for prerequisite in texts(task.get("prerequisites").or_else(|| task.get("depends_on"))) {
            draft.depend(step, &prerequisite, &format!("{path}.prerequisites"));
        }
        add_subtasks(draft, Some(step), task.get("subtasks"), &format!("{path}.subtasks"))?;
        draft.spec(step).sequential = draft.children(step) > 0;
    }
    Ok(())
}

fn add_subtasks(draft: &mut Draft, task: Option<usize>, subtasks: Option<&Value>, path: &str) -> Result<(), Fault> {
    for (index, subtask) in list(subtasks, path)?.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let subtask = object(subtask, &path)?;
        let step = add(draft, task, subtask, &["subtask_id", "task_id", "id"], &path)?;
        for awaited in texts(subtask.get("depends_on")) {
            draft.depend(step, &awaited, &format!("{path}.depends_on"));
        }
    }
    Ok(())
}

/// One phase, task or subtask.
fn add(draft: &mut Draft, parent: Option<usize>, fields: &Fields, ids: &[&str], path: &str) -> Result<usize, Fault> {
    let action = text(fields, &["action"]);
    let mut spec = StepSpec {
        title: text(fields, &["title", "name"]).or_else(|| action.as_ref().map(|action| action.replace('_', " "))),
        description: text(fields, &["description"]),
        capabilities: action.iter().cloned().collect(),
        action,
        estimate: hours(fields.get("estimated_hours")),
        timeout: hours(fields.get("timeout_hours")),
        ..StepSpec::default()
    };
    match fields.get("params") {
        None | Some(Value::Null) => {}
        Some(params) => spec.params = object(params, &format!("{path}.params"))?.clone(),
    }
    for key in KEPT_AS_PARAMS {
        if let Some(value) = fields.get(key).filter(|value| !value.is_null()) {
            spec.params.entry(key).or_insert_with(|| value.clone());
        }
    }
    if let Some(attempts) = fields.get("retry_policy").and_then(|policy| policy.get("max_attempts")).and_then(Value::as_u64) {
        let max_attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        spec.retry_policy = Some(RetryPolicy { max_attempts, ..RetryPolicy::default() });
    }
    let unreadable_hours = spec.estimate.is_none() && fields.get("estimated_hours").is_some_and(|hours| !hours.is_null());
    let step = draft.add(parent, text(fields, ids).as_deref(), path, spec)?;
    if unreadable_hours {
        draft.change(step, "estimated_hours is no number of hours");
    }
    Ok(step)
}

fn hours(value: Option<&Value>) -> Option<WireDuration> {
    let hours = value?.as_f64().filter(|hours| (0.0..=HOURS_MAX).contains(hours))?;
    Some(WireDuration { ms: (hours * HOUR_MS).round() as u64 })
}

/// `dependencies`: `{from, to}` says that `to` waits for `from`. Counts those that say nothing about this plan.
fn read_edges(draft: &mut Draft, plan: &Fields, part: &mut Part) -> Result<usize, Fault> {
    let dropped = part.counts.dropped;
    for (index, edge) in list(plan.get("dependencies"), "dependencies")?.iter().enumerate() {
        let path = format!("dependencies[{index}]");
        let edge = object(edge, &path)?;
        let (from, to) = (text(edge, &["from"]).unwrap_or_default(), text(edge, &["to"]).unwrap_or_default());
        let kind = text(edge, &["type"]).unwrap_or_else(|| "finish_to_start".to_owned());
        match draft.find(&to) {
            _ if kind != "finish_to_start" => part.dropped(path, format!("{to} needs {from}"), format!("{kind} is not offered")),
            Some(step) => draft.depend(step, &from, &path),
            None => part.dropped(path, format!("{to} needs {from}"), format!("nothing here has the id {to:?}")),
        }
    }
    Ok(part.counts.dropped - dropped)
}

/// Without dependencies the order of writing is all there is.
fn judge_order(draft: &mut Draft, edges: &Edges, part: &mut Part) {
    if edges.kept > 0 {
        part.note("phases and the subtasks of a task run as they are written, the tasks of a phase by their dependencies");
        return order_factor(part, edges, 0.9, "no dependencies are stated");
    }
    let why = format!("none of {} stated dependencies holds; everything runs in the order it is written", edges.given);
    part.factor("order", 0.9, why);
    for step in 0..draft.len() {
        draft.spec(step).sequential = draft.children(step) > 0;
    }
}

/// A plan that announces more phases than it holds was cut.
fn judge_completeness(plan: &Fields, found: usize, part: &mut Part) {
    let stated = plan.get("phase_count").and_then(Value::as_u64);
    if let Some(stated) = stated.filter(|stated| *stated > found as u64) {
        part.factor("completeness", found as f64 / stated as f64, format!("phase_count says {stated}, there are {found}"));
    }
}

/// Leaves say what they do, or become work for whoever can do `work`. Groups do nothing, so what they carry for an agent
/// would be lost.
fn judge_actions(draft: &mut Draft, part: &mut Part) {
    let leaves = draft.leaves();
    let mut named = 0usize;
    for step in &leaves {
        let spec = draft.spec(*step);
        if spec.action.is_some() {
            named += 1;
            continue;
        }
        spec.action = Some(WORK.to_owned());
        spec.capabilities = vec![WORK.to_owned()];
        draft.change(*step, format!("it names no action; it became `{WORK}`"));
    }
    for step in (0..draft.len()).filter(|step| draft.children(*step) > 0).collect::<Vec<_>>() {
        let spec = draft.spec(step);
        (spec.action, spec.timeout, spec.retry_policy) = (None, None, None);
        spec.capabilities.clear();
        let params = std::mem::take(&mut spec.params);
        if !params.is_empty() {
            let lines = params
                .iter()
                .map(|(key, value)| format!("{key}: {}", super::fields::scalar(value).unwrap_or_else(|| value.to_string())));
            let said = spec.description.take().into_iter().chain(lines).collect::<Vec<_>>().join("\n");
            spec.description = Some(said);
        }
    }
    let value = (named as f64 + 0.8 * (leaves.len() - named) as f64) / leaves.len().max(1) as f64;
    part.factor("actions", value, format!("{named} of {} steps name their action", leaves.len()));
}

fn note_the_rest(fields: &Fields, read: &[&str], part: &mut Part) {
    for key in fields.keys().filter(|key| !read.contains(&key.as_str())) {
        part.dropped(key.clone(), key.clone(), "a plan has no place for it");
    }
}

/// The answer to a question to decompose a task: the steps of that one task, with the confidence of whoever answered.
pub(super) fn read_decomposed(value: &Value, name: &str, part: &mut Part) -> Result<Request, Fault> {
    let reply = object(value, "")?;
    let mut draft = Draft::default();
    for key in DECOMPOSED {
        add_subtasks(&mut draft, None, reply.get(key), key)?;
    }
    if draft.len() == 0 {
        return Err(Fault::field(DECOMPOSED[0], "the reply holds no subtasks"));
    }
    match reply.get("decomposition_confidence").or_else(|| reply.get("confidence")).and_then(Value::as_f64) {
        Some(stated) => part.factor("stated", stated, "the confidence the reply itself states"),
        None => part.factor("stated", 0.9, "the reply states no confidence"),
    }
    judge_actions(&mut draft, part);
    let edges = draft.settle_edges(part);
    draft.sequential = edges.kept == 0;
    order_factor(part, &edges, 0.9, "no dependencies are stated; everything runs in the order it is written");
    for warning in texts(reply.get("warnings")) {
        part.note(format!("the reply warns: {warning}"));
    }
    let task = text(reply, &["task_id"]);
    Ok(Request {
        title: Some(task.clone().unwrap_or_else(|| super::text::stem(name).to_owned())),
        description: text(reply, &["notes"]),
        external_id: task,
        source: Some("plan".to_owned()),
        plan: Some(draft.finish(part)),
        ..Request::default()
    })
}
