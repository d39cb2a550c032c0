//! A plan as a graph in the terminal. Steps stand in ranks from top to bottom: each needs only steps of ranks above it, and steps
//! of one rank, joined by a bracket, may run side by side. Large plans show their groups, not what is in them.

use super::style::{Hue, Line, Style, step_mark};
use super::text::{inert, width};
use crate::drawing::Sketch;
use ephor_core::status::StepStatus;
use ephor_core::view::{PlanView, PlannedStep, StepCounts};
use std::collections::HashMap;

/// With more steps than this, groups are folded.
const STEPS_MAX: usize = 40;
/// How many names of what it needs stand behind a step.
const NEEDS_MAX: usize = 6;
/// The widest label, in columns; what comes behind it lines up.
const LABEL_MAX: usize = 48;

/// Draws a plan; `statuses` says by path where its steps are, where that is known.
pub(super) fn draw(plan: &PlanView, statuses: &HashMap<String, StepStatus>, columns: usize, style: Style) -> Vec<String> {
    let fold = plan.steps.iter().filter(|s| s.children == 0).count() > STEPS_MAX;
    let sketch = Sketch::of(plan, fold);
    let nodes = nodes(plan, &sketch, fold, statuses, style);
    let label_columns = nodes.iter().map(|n| n.label.width()).max().unwrap_or(0).min(LABEL_MAX);
    let joint = style.sign("│", "|");
    let mut lines = Vec::new();
    for (at, rank) in sketch.lay_out().ranks.iter().filter(|rank| !rank.is_empty()).enumerate() {
        if at > 0 {
            lines.push(Line::new().with(Hue::Idle, joint));
        }
        let last = rank.len() - 1;
        for (i, node) in rank.iter().map(|n| &nodes[*n]).enumerate() {
            let bracket = match (i, last) {
                (_, 0) => style.sign("─", "-"),
                (0, _) => style.sign("┌", "+"),
                (i, last) if i == last => style.sign("└", "+"),
                _ => style.sign("├", "+"),
            };
            let line = Line::new().with(Hue::Idle, bracket).plain(" ").then(node.label.clone()).to(label_columns + 4);
            let line = if node.needs.is_empty() {
                line
            } else {
                line.with(Hue::Idle, format!("{} {}", style.sign("←", "<-"), node.needs))
            };
            lines.push(if node.critical { line.plain("  ").with(Hue::Strong, style.sign("★", "*")) } else { line });
        }
    }
    let critical = format!("{} critical path: {}", style.sign("★", "*"), plan.critical_path.join(style.sign(" → ", " -> ")));
    lines.push(Line::new());
    lines.push(Line::new().with(Hue::Idle, critical));
    lines.iter().map(|line| line.show(columns, style)).collect()
}

/// What is drawn for a step or a folded group.
struct Node {
    label: Line,
    needs: String,
    critical: bool,
}

fn nodes(plan: &PlanView, sketch: &Sketch, fold: bool, statuses: &HashMap<String, StepStatus>, style: Style) -> Vec<Node> {
    // Folded, a step is drawn as the group at the top it is in; else groups themselves are not drawn.
    let drawn_as = |path: &str| match fold {
        true => path.split('.').next().unwrap_or(path).to_owned(),
        false => path.to_owned(),
    };
    let mut inside: HashMap<String, Vec<&PlannedStep>> = HashMap::new();
    for step in plan.steps.iter().filter(|s| s.children == 0) {
        inside.entry(drawn_as(&step.path)).or_default().push(step);
    }
    let status = |step: &PlannedStep| statuses.get(&step.path).copied();
    let drawn = sketch.drawn.iter().map(|i| &plan.steps[*i]);
    drawn
        .map(|step| {
            let parts = inside.get(&step.path).map(Vec::as_slice).unwrap_or_default();
            Node {
                label: if step.children > 0 { folded(step, parts, &status, style) } else { label(step, status(step), style) },
                needs: needs(plan, step, fold),
                critical: plan.critical_path.iter().any(|path| drawn_as(path) == step.path),
            }
        })
        .collect()
}

fn label(step: &PlannedStep, status: Option<StepStatus>, style: Style) -> Line {
    let line = match status {
        Some(status) => {
            let mark = step_mark(status, None);
            Line::new().with(mark.hue, mark.icon(style)).plain(" ")
        }
        None => Line::new(),
    };
    let name = [step.title.as_str(), step.key.as_deref().unwrap_or_default(), &step.action].into_iter().find(|t| !t.is_empty());
    let list = if step.for_each.is_some() { "  for each" } else { "" };
    let condition = if step.when.is_some() { "  if" } else { "" };
    line.plain(format!("{} {}", step.path, cut(name.unwrap_or_default(), style))).with(Hue::Idle, format!("{list}{condition}"))
}

/// `2 Build  ×128: 90 done, 30 running, 8 failed`.
fn folded(step: &PlannedStep, parts: &[&PlannedStep], status: &dyn Fn(&PlannedStep) -> Option<StepStatus>, style: Style) -> Line {
    let known: Vec<StepStatus> = parts.iter().filter_map(|s| status(s)).collect();
    let counts = StepCounts::of(known);
    let words = [
        (counts.completed + counts.skipped, "done"),
        (counts.running + counts.assigned + counts.checking, "running"),
        (counts.retrying, "retrying"),
        (counts.blocked, "blocked"),
        (counts.failed, "failed"),
    ];
    let words: Vec<String> = words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let times = format!("  {}{}", style.sign("×", "x"), parts.len());
    let more = if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) };
    label(step, None, style).with(Hue::Strong, times).plain(more)
}

/// The names of what a step needs: its own needs and those of its groups, as they are drawn.
fn needs(plan: &PlanView, step: &PlannedStep, fold: bool) -> String {
    let by_path: HashMap<&str, &PlannedStep> = plan.steps.iter().map(|s| (s.path.as_str(), s)).collect();
    let mut names: Vec<&str> = Vec::new();
    if fold {
        // Whatever a part of the group needs from outside of it.
        let prefix = format!("{}.", step.path);
        let parts = plan.steps.iter().filter(|s| s.path == step.path || s.path.starts_with(&prefix));
        names.extend(
            parts.flat_map(|s| &s.needs).map(|path| path.split('.').next().unwrap_or(path)).filter(|top| *top != step.path),
        );
    } else {
        let groups = std::iter::successors(Some(step), |s| by_path.get(s.parent.as_deref()?).copied());
        names.extend(groups.flat_map(|s| &s.needs).map(String::as_str));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    let more = names.len().saturating_sub(NEEDS_MAX);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn cut(text: &str, style: Style) -> String {
    let text = inert(text);
    match width(&text) {
        w if w > LABEL_MAX - 8 => super::text::cut(&text, LABEL_MAX - 8, style.ellipsis()),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::plan::Plan;
    use serde_json::json;

    fn plan(json: serde_json::Value) -> PlanView {
        let (plan, texts) = Plan::check(&serde_json::from_value(json).unwrap()).unwrap();
        PlanView::of(&plan, &texts)
    }

    #[test]
    fn ranks_stand_below_each_other_and_say_what_they_need() {
        let plan = plan(json!({"steps": [
            {"id": "a", "title": "Count", "action": "x"},
            {"id": "b", "title": "Find links", "action": "x", "when": "true"},
            {"id": "c", "title": "Write", "action": "x", "needs": ["a", "b"]},
        ]}));
        let statuses = HashMap::from([("1".into(), StepStatus::Completed), ("2".into(), StepStatus::Running)]);
        assert_eq!(
            draw(&plan, &statuses, 80, Style::default()),
            [
                "┌ ✓ 1 Count             ★",
                "└ ▶ 2 Find links  if",
                "│",
                "─ 3 Write             ← 1, 2  ★",
                "",
                "★ critical path: 1 → 3",
            ]
        );
        assert!(draw(&plan, &statuses, 80, Style { ascii: true, color: false }).iter().all(|line| line.is_ascii()));
    }

    #[test]
    fn large_plans_show_groups_with_counts() {
        let parts: Vec<_> = (0..50).map(|_| json!({"action": "x"})).collect();
        let plan = plan(json!({"steps": [{"title": "Build", "steps": parts}, {"title": "Ship", "action": "y", "needs": ["1"]}]}));
        let statuses =
            (1..=50).map(|n| (format!("1.{n}"), if n <= 9 { StepStatus::Completed } else { StepStatus::Failed })).collect();
        let lines = draw(&plan, &statuses, 100, Style::default());
        assert_eq!(lines[0].trim_end_matches(['★', ' ']), "─ 1 Build  ×50: 9 done, 41 failed");
        assert!(lines[2].starts_with("─ 2 Ship") && lines[2].contains("← 1"), "{lines:?}");
    }
}
