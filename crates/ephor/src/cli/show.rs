//! A task for people: where it is, what it waits for, its steps, what came of it.

use super::live::Scene;
use super::style::{Hue, Line, Style, step_mark, task_mark};
use super::text::{ago, bytes, duration, inert, inert_lines, until, width};
use ephor_core::budget::BudgetOf;
use ephor_core::liveness::Liveness;
use ephor_core::models::{ModelSelection, ResourceAllocation};
use ephor_core::status::{Status, StepStatus};
use ephor_core::time::Time;
use ephor_core::view::{BudgetView, LastError, OutputView, StepView, TaskView};
use serde_json::Value;

/// How many steps are listed before the rest is only counted, unless all are asked for.
const STEPS_MAX: usize = 60;
/// How many lines of a text that came of a step are shown.
const TEXT_LINES_MAX: usize = 40;

/// A task in lines. `whole` shows all there is to say.
pub(super) fn task(scene: &Scene, whole: bool, columns: usize, now: Time, style: Style) -> Vec<String> {
    let mut lines = vec![headline(&scene.task, style)];
    lines.extend(facts(&scene.task, whole, now, style));
    lines.extend(waiting(scene, now, style));
    lines.extend(steps(&scene.steps, if whole { usize::MAX } else { STEPS_MAX }, now, style));
    lines.iter().map(|line| line.show(columns, style)).collect()
}

/// Its status and title.
pub(super) fn headline(task: &TaskView, style: Style) -> Line {
    let mark = task_mark(task.status, task.block_reason, !task.gaps.is_empty());
    let reason = task.block_reason.map(|reason| format!(" ({})", reason.word())).unwrap_or_default();
    Line::new()
        .with(mark.hue, format!("{} {}{reason}", mark.icon(style), task.status.word()))
        .plain("  ")
        .with(Hue::Strong, &task.title)
}

fn facts(task: &TaskView, whole: bool, now: Time, style: Style) -> Vec<Line> {
    let mut facts: Vec<(&str, String)> = vec![("id", task.id.to_string())];
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    let when = |at: Time| if whole { format!("{at} ({})", ago(at, now)) } else { ago(at, now) };
    fact("external id", task.external_id.clone());
    fact("part of", task.parent_task_id.map(|id| id.to_string()));
    fact("why", task.end_reason.map(|reason| word_of(&reason)));
    fact("reason", task.reason.clone());
    fact("error", task.last_error.as_ref().filter(|e| task.reason.as_ref() != Some(&e.message)).map(error));
    fact("held by", task.claimed_by.map(|agent| agent.to_string()));
    fact("place", task.hierarchical_id.clone());
    let unguarded = task.unguarded_effects;
    fact(
        "unguarded",
        (unguarded > 0).then(|| {
            let effects = if unguarded == 1 { "effect" } else { "effects" };
            format!("{unguarded} {effects} nobody asked a grant for; ephor task effects {}", task.id)
        }),
    );
    fact("gaps", (!task.gaps.is_empty()).then(|| task.gaps.join(", ")));
    fact("created", task.created_at.map(|at| when(at.0)));
    let took = task.started_at.map(|from| duration(task.ended_at.map_or(now, |at| at.0).since(from.0)));
    fact(if task.ended_at.is_some() { "took" } else { "runs for" }, took);
    fact("archived", task.archived.then(|| "yes".into()));
    fact("retries", (task.retry_count > 0).then(|| format!("{} of {}", task.retry_count, task.max_retries)));
    fact("due", task.due_at.filter(|_| task.started_at.is_none()).map(|at| format!("{} ({})", at.0, until(at.0, now))));
    let runs = task.next_runs.iter().map(|at| at.0.to_string());
    fact("next runs", (!task.next_runs.is_empty()).then(|| runs.collect::<Vec<_>>().join(", ")));
    fact("deadline", task.deadline.filter(|_| task.ended_at.is_none()).map(|at| format!("{} ({})", at.0, until(at.0, now))));
    fact("budget", task.budget.as_ref().map(account));
    fact("used", (task.budget.is_none() && !task.usage.is_nothing()).then(|| amounts(task.usage.parts(), |n, _| n)));
    if let Some(models) = &task.models {
        fact("models", Some(chosen(models, whole)));
    }
    let sized = task.allocation.as_ref().filter(|given| whole || !given.advice);
    fact("machine", sized.map(machine));
    for finding in task.findings.iter().filter(|f| f.result != ephor_core::event::CheckResult::Passed) {
        fact("finding", Some(format!("{} {}: {}", word_of(&finding.result), finding.check, finding.reason)));
    }
    for said in &task.rulings {
        fact("constitution", Some(format!("{} {}: {}", said.ruling.word(), said.rule, said.message)));
    }
    if whole {
        fact("description", Some(task.description.clone()).filter(|d| !d.is_empty()));
        fact("type", Some(task.task_type.clone()));
        fact("priority", Some(word_of(&task.priority)));
        fact("risk", Some(format!("{} {}", word_of(&task.risk_level), task.risk_reasons.join("; "))));
        fact("recurrence", Some(word_of(&task.recurrence_kind)));
        fact("plan", task.execution_plan_id.map(|id| id.to_string()));
        fact("mode", Some(format!("{}, {}", word_of(&task.execution_mode), word_of(&task.autonomy))));
        fact("namespace", Some(task.namespace.clone()));
        fact("source", task.source.clone());
        fact("requirements", (!task.requirements.is_empty()).then(|| task.requirements.join(", ")));
        fact("tags", (!task.tags.is_empty()).then(|| task.tags.join(", ")));
        fact("confidence", task.confidence.map(|c| format!("{c:.2}")));
        fact("version", Some(format!("{} (plan {}, request {})", task.version, task.plan_version, task.request_version)));
    }
    let columns = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line =
        |(name, value): (&str, String)| Line::new().with(Hue::Idle, format!("  {name}")).to(columns + 4).plain(style.own(&value));
    facts.into_iter().map(line).collect()
}

/// What may be used, and what was: `1200 of 5000 tokens`.
fn account(budget: &BudgetView) -> String {
    let of = |what: BudgetOf, n: String| match budget.cap.of(what) {
        Some(limit) => format!("{n} of {limit}"),
        None => n,
    };
    let mut parts = vec![amounts(budget.used.parts(), |n, what| of(what, n))];
    let limited = |what: &BudgetOf| budget.cap.of(*what).is_some();
    let unused = budget.used.parts().into_iter().filter(|(what, n)| *n == 0 && limited(what));
    parts.extend(unused.map(|(what, _)| format!("{} {}", of(what, "0".into()), what.word())));
    let held = budget.reserved.plus(budget.lent);
    parts.extend((!held.is_nothing()).then(|| format!("set aside {}", amounts(held.parts(), |n, _| n))));
    parts.extend(budget.cap.wall_time.map(|time| format!("wall_time {time}")));
    parts.retain(|part| !part.is_empty());
    let drawn = if budget.drawn { "; a part of that of its parent" } else { "" };
    format!("{}{drawn}", parts.join(", "))
}

fn amounts(parts: [(BudgetOf, u64); 3], told: impl Fn(String, BudgetOf) -> String) -> String {
    let some = parts.into_iter().filter(|(_, n)| *n > 0);
    some.map(|(what, n)| format!("{} {}", told(n.to_string(), what), what.word())).collect::<Vec<_>>().join(", ")
}

/// Which models were chosen, and why.
fn chosen(models: &ModelSelection, whole: bool) -> String {
    let mut text = models.primary_model.to_string();
    if !models.fallback_models.is_empty() {
        text.push_str(&format!(", then {}", models.fallback_models.join(", ")));
    }
    for (of, name) in &models.specialized_models {
        text.push_str(&format!("; {of}: {name}"));
    }
    let advice = if models.advice { "advice; " } else { "" };
    if whole { format!("{text} ({advice}{})", models.reasoning) } else { format!("{text}{}", advice_alone(models.advice)) }
}

fn advice_alone(advice: bool) -> &'static str {
    if advice { " (advice)" } else { "" }
}

/// How large a machine its steps ask for.
fn machine(given: &ResourceAllocation) -> String {
    let sizes: Vec<String> =
        given.sizes().into_iter().filter(|(_, size)| *size > 0).map(|(name, size)| format!("{size} {name}")).collect();
    let advice = if given.advice { "advice; " } else { "" };
    format!("{}, {} ({advice}{})", sizes.join(", "), given.execution_timeout, given.reasoning)
}

/// What went wrong last: where, in which attempt, with whom, of which kind.
fn error(error: &LastError) -> String {
    let step = error.step.as_ref().map(|step| format!("step {step}: ")).unwrap_or_default();
    let attempt = error.attempt.map(|n| format!(", attempt {n}")).unwrap_or_default();
    let agent = error.agent.map(|agent| format!(" with {agent}")).unwrap_or_default();
    format!("{step}{} ({}{attempt}{agent})", error.message, error.class.word())
}

/// The word of the wire.
pub(super) fn word_of<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default()
}

/// What it waits for, each with the act that frees it.
pub(super) fn waiting(scene: &Scene, now: Time, style: Style) -> Vec<Line> {
    // What runs stands in nobody's way, unless its agent looks as if it did not.
    let odd = |w: &ephor_core::view::Waiting| w.liveness.is_some_and(|liveness| liveness != Liveness::Live);
    let waits = scene.waiting.iter().filter(|w| w.reason != "RUNNING" || odd(w));
    let line = |w: &ephor_core::view::Waiting| {
        let step = w.step.as_ref().map(|step| format!("step {step}: ")).unwrap_or_default();
        let place = w.queue_position.map(|n| format!(", number {n} in its queue")).unwrap_or_default();
        let when = w.until.map(|at| format!(" ({})", until(at.0, now))).unwrap_or_default();
        let word = w.liveness.map_or_else(|| w.reason.clone(), |liveness| liveness.word().to_owned());
        let line =
            Line::new().with(Hue::Block, format!("  {word:<13} ")).plain(style.own(&format!("{step}{}{place}{when}", w.what)));
        match &w.act {
            Some(act) => line.with(Hue::Strong, style.own(&format!("   → {act}"))),
            None => line,
        }
    };
    waits.map(line).collect()
}

/// Its steps as a tree: icon, path, name, how long, what is to be said.
pub(super) fn steps(steps: &[StepView], most: usize, now: Time, style: Style) -> Vec<Line> {
    let label = |s: &StepView| format!("{}{} {}", "  ".repeat(s.path.matches('.').count()), s.path, inert(s.label()));
    let columns = steps.iter().take(most).map(|s| width(&label(s))).max().unwrap_or(0).min(60);
    let mut lines: Vec<Line> = steps
        .iter()
        .take(most)
        .map(|step| {
            let mark = step_mark(step.status, step.block_reason);
            let line = Line::new().plain("  ").with(mark.hue, mark.icon(style)).plain(" ").plain(label(step)).to(4 + columns + 2);
            let line = line.with(mark.hue, format!("{:<10}", step.status.word())).with(Hue::Idle, style.own(&said(step, now)));
            if step.status == StepStatus::Failed {
                line.with(Hue::Fail, format!("  {}", step.error.as_deref().unwrap_or_default()))
            } else {
                line
            }
        })
        .collect();
    if steps.len() > most {
        lines.push(Line::new().with(Hue::Idle, format!("  {} and {} more steps", style.ellipsis(), steps.len() - most)));
    }
    lines
}

/// How long a step took, and how often it was tried.
fn said(step: &StepView, now: Time) -> String {
    let from = step.started_at.map(|at| at.0);
    let took = match (from, step.ended_at) {
        (Some(from), Some(end)) => Some(duration(end.0.since(from))),
        (Some(from), None) if !step.status.is_final() && step.status != StepStatus::Retrying => Some(duration(now.since(from))),
        _ => None,
    };
    let attempts = (step.attempt > 1).then(|| format!("{} attempts", step.attempt));
    [took, attempts].into_iter().flatten().map(|text| format!("  {text}")).collect()
}

/// What came of a task that was run here: files below the out folder, and the text of its last step.
pub(super) fn results(outputs: &[OutputView], out: &std::path::Path, columns: usize, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    let text = outputs.last().and_then(|o| o.output.as_str().or_else(|| o.output.get("text")?.as_str()));
    if let Some(text) = text.map(str::trim_end).filter(|text| !text.is_empty()) {
        lines.push(String::new());
        let shown: Vec<String> = inert_lines(text).take(TEXT_LINES_MAX).collect();
        let more = text.lines().count() - shown.len();
        lines.extend(shown.into_iter().map(|line| Line::new().plain(line).show(columns, style)));
        if more > 0 {
            lines.push(style.own(&format!("… {more} more lines: ephor task outputs @last")));
        }
    }
    let files: Vec<&Value> = outputs.iter().flat_map(|o| written(&o.output)).collect();
    if !files.is_empty() {
        lines.push(String::new());
    }
    for file in files {
        let path = inert(file["path"].as_str().unwrap_or_default());
        let size = bytes(file["bytes"].as_u64().unwrap_or_default());
        let withheld = if file["withheld"] == true { "  (not written: the task may not act)" } else { "" };
        lines.push(format!("{}  {size}{withheld}", out.join(path).display()));
    }
    lines
}

/// Files an output says were written: it or its parts have a path, a size and a digest.
fn written(output: &Value) -> Vec<&Value> {
    let is_file = |v: &Value| v["path"].is_string() && v["bytes"].is_u64() && v["sha256"].is_string();
    match output {
        file if is_file(file) => vec![file],
        Value::Object(fields) => fields
            .get("files")
            .into_iter()
            .flat_map(|files| match files {
                Value::Object(named) => named.values().filter(|v| is_file(v)).collect(),
                _ => Vec::new(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// One line on where a task is after something was asked of it.
pub(super) fn answered(task: &TaskView, style: Style) -> Line {
    let cancelling = task.cancelling && task.status != Status::Cancelled;
    let line = headline(task, style).with(Hue::Idle, format!("  {}", task.id));
    if cancelling { line.plain("  its agents were told to end") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_that_were_written_and_the_last_text_are_what_came_out() {
        let output = |step: &str, output| OutputView {
            step: step.into(),
            name: step.into(),
            output,
            metrics: Default::default(),
            message: String::new(),
        };
        let outputs = [
            output("1", json!({"path": "a\u{1b}[2J.md", "bytes": 2_300, "sha256": "ab"})),
            output("2", json!({"files": {"r": {"path": "r.csv", "bytes": 5, "sha256": "cd"}}})),
            output("3", json!({"path": "in.json", "bytes": 5, "content": "read, not written"})),
            output("4", json!({"text": "All is\nwell.\n", "bytes": 13})),
        ];
        let lines = results(&outputs, std::path::Path::new("/out"), 80, Style::default());
        assert_eq!(lines, ["", "All is", "well.", "", "/out/a.md  2.3 KB", "/out/r.csv  5 B"]);
    }
}
