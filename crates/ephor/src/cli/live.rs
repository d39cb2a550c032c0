//! What a running task looks like: a bar, then only what runs, waits, is blocked or has failed; the rest as counts. Pure: from what is
//! known, how much room there is and the time, to lines.

use super::style::{Hue, Line, Mark, Style, step_mark, task_mark};
use super::text::{cut, duration, until, width};
use ephor_core::status::{Status, StepStatus};
use ephor_core::time::Time;
use ephor_core::view::{GateStatus, StepCounts, StepView, TaskView, Waiting};

/// The widest bar.
const BAR_MAX: usize = 30;
/// The narrowest; below it there is none.
const BAR_MIN: usize = 8;
/// The column behind the widest label of a step.
const LABEL_MAX: usize = 44;

/// One task as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The task.
    pub task: TaskView,
    /// Its steps.
    pub steps: Vec<StepView>,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
}

/// Draws tasks in so many columns and lines, never more.
pub fn render(scenes: &[Scene], (columns, lines): (usize, usize), now: Time, style: Style) -> Vec<String> {
    let (ended, live): (Vec<&Scene>, Vec<&Scene>) = scenes.iter().partition(|s| s.task.status.is_final());
    let mut shown = Vec::new();
    if live.is_empty() || scenes.len() == 1 {
        shown.extend(scenes.iter().map(|s| head(s, columns, now, style)));
    } else if !ended.is_empty() {
        shown.push(ended_line(&ended, style));
    }
    // Heads first, so that every task is seen before the steps of one.
    let rows_for = |budget: usize, scene: &Scene| rows(scene, budget, now, style);
    if scenes.len() > 1 {
        let room = lines.saturating_sub(shown.len() + live.len());
        let each = room / live.len().max(1);
        for scene in &live {
            shown.push(head(scene, columns, now, style));
            shown.extend(rows_for(each, scene));
        }
    } else if let [scene] = live.as_slice() {
        shown.extend(rows_for(lines.saturating_sub(1), scene));
    }
    if shown.len() > lines {
        let more = shown.len() + 1 - lines;
        shown.truncate(lines.saturating_sub(1));
        shown.push(Line::new().with(Hue::Idle, format!("{} and {more} more lines", style.ellipsis())));
    }
    shown.iter().map(|line| line.show(columns, style)).collect()
}

fn ended_line(ended: &[&Scene], style: Style) -> Line {
    let completed = ended.iter().filter(|s| s.task.status == Status::Completed).count();
    let mark = task_mark(Status::Completed, None, false);
    let line = Line::new().with(mark.hue, mark.icon(style)).plain(format!(" {completed} completed"));
    match ended.len() - completed {
        0 => line,
        others => {
            let mark = task_mark(Status::Failed, None, false);
            line.plain("  ").with(mark.hue, mark.icon(style)).plain(format!(" {others} ended otherwise"))
        }
    }
}

/// Status, title, bar, percentage, counts, time.
fn head(scene: &Scene, columns: usize, now: Time, style: Style) -> Line {
    let task = &scene.task;
    let mark = task_mark(task.status, task.block_reason, !task.gaps.is_empty());
    let word = if task.cancelling { "CANCELLING" } else { task.status.word() };
    let begun = task.started_at.or(task.created_at).map(|at| at.0);
    let took = begun.map(|from| duration(task.ended_at.map_or(now, |at| at.0).since(from))).unwrap_or_default();
    let counts = counts(&task.steps, style);
    let percent = format!("{:>3} %", (progress(scene) * 100.0).floor());
    let fixed = 2 + width(word) + 2 + 2 + percent.len() + 3 + counts.width() + 3 + width(&took);
    let room = columns.saturating_sub(fixed);
    let bar_columns = Some((room / 2).min(BAR_MAX)).filter(|n| *n >= BAR_MIN && task.steps.total > 0);
    let title_columns = room.saturating_sub(bar_columns.map_or(0, |n| n + 3)).max(8);
    let mut line = Line::new().with(mark.hue, format!("{} {word}", mark.icon(style))).plain("  ");
    line = line.with(Hue::Strong, cut(&super::text::inert(&task.title), title_columns, style.ellipsis()));
    if let Some(columns) = bar_columns {
        line = line.plain("   ").then(bar(&task.steps, columns, style));
    }
    line.plain(format!("  {percent}   ")).then(counts).plain(format!("   {took}"))
}

/// The part that is done, with what running steps say about themselves.
fn progress(scene: &Scene) -> f64 {
    let steps = &scene.task.steps;
    let running = scene.steps.iter().filter(|s| s.status == StepStatus::Running && !s.is_group()).filter_map(|s| s.progress);
    let running: f64 = running.map(|p| p.clamp(0.0, 1.0)).sum();
    let more = if steps.total == 0 { 0.0 } else { running / f64::from(steps.total) };
    (scene.task.progress + more).clamp(0.0, 1.0)
}

/// The kinds of step a bar and its counts tell apart.
fn kinds(steps: &StepCounts) -> [(u32, Hue, Mark, &'static str); 4] {
    let mark = |status| step_mark(status, None);
    [
        (steps.completed + steps.skipped, Hue::Done, mark(StepStatus::Completed), "="),
        (steps.running + steps.assigned + steps.checking + steps.retrying, Hue::Run, mark(StepStatus::Running), ">"),
        (steps.blocked, Hue::Block, mark(StepStatus::Blocked), "!"),
        (steps.failed + steps.cancelled, Hue::Fail, mark(StepStatus::Failed), "x"),
    ]
}

/// `5✓ 2▶ 2⊖ 4◌`.
fn counts(steps: &StepCounts, style: Style) -> Line {
    let mark = step_mark(StepStatus::Pending, None);
    let rest = (steps.pending + steps.ready + steps.rolled_back, Hue::Idle, mark, ".");
    let mut line = Line::new();
    for (n, hue, mark, _) in kinds(steps).into_iter().chain([rest]).filter(|(n, ..)| *n > 0) {
        let gap = if line.width() > 0 { " " } else { "" };
        line = line.plain(gap).with(hue, format!("{n}{}", mark.icon(style)));
    }
    line
}

/// One piece for each kind of step, as long as its part of the whole; a kind that is there is never too short to be seen.
fn bar(steps: &StepCounts, columns: usize, style: Style) -> Line {
    let total = steps.total.max(1) as usize;
    let mut left = columns;
    let mut line = Line::new();
    for (n, hue, _, ascii) in kinds(steps).into_iter().filter(|(n, ..)| *n > 0) {
        let cells = (n as usize * columns / total).max(1).min(left);
        left -= cells;
        let piece = match (style.ascii, cells) {
            (_, 0) => continue,
            (true, _) => ascii.repeat(cells),
            (false, _) => format!("{}{}", "━".repeat(cells - 1), if left > 0 { "╸" } else { "━" }),
        };
        line = line.with(hue, piece);
    }
    line.with(Hue::Idle, style.sign("─", ".").repeat(left))
}

/// What runs, waits, is blocked or has failed, in at most so many lines.
fn rows(scene: &Scene, lines: usize, now: Time, style: Style) -> Vec<Line> {
    let mut telling: Vec<(u8, usize)> = scene
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| !step.is_group())
        .filter_map(|(i, step)| Some((weight(step.status)?, i)))
        .collect();
    let whole: Vec<&Waiting> = scene.waiting.iter().filter(|w| w.step.is_none() && w.reason != "RUNNING").collect();
    let spare = lines.saturating_sub(whole.len());
    let hidden = if telling.len() > spare { telling.len() + 1 - spare.max(1) } else { 0 };
    telling.sort_unstable();
    telling.truncate(telling.len() - hidden);
    telling.sort_unstable_by_key(|(_, i)| *i);

    let steps: Vec<&StepView> = telling.iter().map(|(_, i)| &scene.steps[*i]).collect();
    let label_columns = steps.iter().map(|s| width(&s.path) + 1 + width(s.label())).max().unwrap_or(0).min(LABEL_MAX);
    let mut shown: Vec<Line> = whole.into_iter().take(lines).map(|w| waiting_row(w, now, style)).collect();
    shown.extend(steps.into_iter().map(|step| row(step, &scene.waiting, label_columns, now, style)));
    if hidden > 0 && shown.len() < lines {
        shown.push(Line::new().with(Hue::Idle, format!("  {} and {hidden} more", style.ellipsis())));
    }
    shown.truncate(lines);
    shown
}

/// What is seen first when there is no room for all; `None` for what is only counted.
fn weight(status: StepStatus) -> Option<u8> {
    match status {
        StepStatus::Failed => Some(0),
        StepStatus::Blocked => Some(1),
        StepStatus::Retrying => Some(2),
        StepStatus::Running => Some(3),
        StepStatus::Checking => Some(4),
        StepStatus::Assigned => Some(5),
        StepStatus::Pending
        | StepStatus::Ready
        | StepStatus::Completed
        | StepStatus::Skipped
        | StepStatus::Cancelled
        | StepStatus::RolledBack => None,
    }
}

fn row(step: &StepView, waiting: &[Waiting], label_columns: usize, now: Time, style: Style) -> Line {
    let mark = step_mark(step.status, step.block_reason);
    let label = format!("{} {}", step.path, super::text::inert(step.label()));
    let line = Line::new().plain("  ").with(mark.hue, mark.icon(style)).plain(" ");
    let line = line.plain(cut(&label, label_columns, style.ellipsis())).to(4 + label_columns + 3);
    let act = waiting.iter().find(|w| w.step.as_deref() == Some(&step.path)).and_then(|w| w.act.as_deref());
    let line = line.with(mark.hue, style.own(&detail(step, waiting, now)));
    match act {
        Some(act) => line.plain("   ").with(Hue::Strong, style.own(&format!("→ {act}"))),
        None => line,
    }
}

/// What there is to say about a step, by where it is.
fn detail(step: &StepView, waiting: &[Waiting], now: Time) -> String {
    let attempt = (step.attempt > 1).then(|| format!("attempt {}/{}", step.attempt, step.max_attempts.max(step.attempt)));
    let error = step.error.as_deref().unwrap_or("no reason given");
    match step.status {
        StepStatus::Running if step.until.is_some() || step.signal.is_some() => {
            let signal = step.signal.as_ref().map(|name| format!("waits for the signal {name}"));
            let time = step.until.map(|at| until(at.0, now)).map(|t| match &signal {
                Some(signal) => format!("{signal}, at most {}", t.trim_start_matches("in ")),
                None => format!("waits, over {t}"),
            });
            time.or(signal).unwrap_or_default()
        }
        StepStatus::Running if step.child.is_some() => step.child.map(|id| format!("runs as {id}")).unwrap_or_default(),
        StepStatus::Running | StepStatus::Assigned => {
            let progress = step.progress.map(|p| format!("{:.0} %", p.clamp(0.0, 1.0) * 100.0));
            let took = step.started_at.map(|at| duration(now.since(at.0)));
            [attempt, progress, took, step.message.clone()].into_iter().flatten().collect::<Vec<_>>().join("   ")
        }
        StepStatus::Retrying => {
            let again = step.retry_at.map(|at| until(at.0, now)).unwrap_or_else(|| "soon".into());
            format!("attempt {}/{} failed, again {again}: {error}", step.attempt, step.max_attempts.max(step.attempt))
        }
        StepStatus::Checking => match step.gates.iter().find(|g| g.status == GateStatus::Open) {
            Some(gate) => {
                format!("{} is owed{}", gate.kind.word(), gate.reviewer.iter().map(|r| format!(" by {r}")).collect::<String>())
            }
            None => "its result is being judged".into(),
        },
        StepStatus::Blocked => {
            let known = waiting.iter().find(|w| w.step.as_deref() == Some(&step.path)).map(|w| w.what.as_str());
            known.filter(|what| !what.is_empty()).unwrap_or(error).to_owned()
        }
        StepStatus::Failed => error.to_owned(),
        StepStatus::Pending
        | StepStatus::Ready
        | StepStatus::Completed
        | StepStatus::Skipped
        | StepStatus::Cancelled
        | StepStatus::RolledBack => String::new(),
    }
}

/// What the task as a whole waits for.
fn waiting_row(waiting: &Waiting, now: Time, style: Style) -> Line {
    let mark = match waiting.reason.as_str() {
        "DUE" | "RETRY" | "NO_AGENT" | "CHILD" | "LIMIT" => step_mark(StepStatus::Ready, None),
        _ => task_mark(Status::Blocked, Some(ephor_core::status::BlockReason::Approval), false),
    };
    let when = waiting.until.map(|at| format!(" ({})", until(at.0, now))).unwrap_or_default();
    let line = Line::new().plain("  ").with(mark.hue, mark.icon(style)).plain(style.own(&format!(" {}{when}", waiting.what)));
    match &waiting.act {
        Some(act) => line.plain("   ").with(Hue::Strong, style.own(&format!("→ {act}"))),
        None => line,
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
