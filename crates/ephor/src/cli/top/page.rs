//! The page of `ephor top`. Pure: from what was looked up, how much room there is and the time, to lines.

use crate::cli::style::{Hue, Line, Style, task_mark};
use crate::cli::text::{cut, duration, inert, width};
use ephor_core::figures::{Figures, Spread};
use ephor_core::inbox::Asked;
use ephor_core::status::Status;
use ephor_core::time::{Time, WireDuration};
use ephor_core::view::TaskRow;

/// Where the values begin behind the name of a line.
const VALUES: usize = 11;
/// How wide a title is at most.
const TITLE_MAX: usize = 60;

/// What is shown.
pub(super) struct Scene {
    /// The figures.
    pub(super) figures: Figures,
    /// Tasks under way, the newest first.
    pub(super) tasks: Vec<TaskRow>,
    /// What people are asked, the oldest first.
    pub(super) asked: Vec<Asked>,
}

/// Draws it in so many columns and lines, never more.
pub(super) fn render(scene: &Scene, (columns, lines): (usize, usize), now: Time, style: Style) -> Vec<String> {
    let mut shown = figures(&scene.figures);
    if !scene.asked.is_empty() {
        shown.extend([Line::new(), Line::new().with(Hue::Strong, "PEOPLE ARE ASKED")]);
        shown.extend(scene.asked.iter().map(|asked| question(asked, now, style)));
    }
    if !scene.tasks.is_empty() {
        shown.extend([Line::new(), Line::new().with(Hue::Strong, "UNDER WAY")]);
        shown.extend(scene.tasks.iter().map(|row| task(row, now, style)));
    }
    shown.truncate(lines);
    shown.iter().map(|line| line.show(columns, style)).collect()
}

fn figures(figures: &Figures) -> Vec<Line> {
    let Figures { tasks, attempts, queue, agents, gates, council, approvals, people, .. } = figures;
    let mut head = Line::new().with(Hue::Strong, "ephor top").plain(format!("  {}  last {}", figures.at.0, figures.window));
    if let Some(namespace) = &figures.namespace {
        head = head.plain(format!("  namespace {}", inert(namespace)));
    }
    if figures.behind > 0 {
        head = head.with(Hue::Block, format!("  {} events are not counted yet", figures.behind));
    }
    let mut shown = vec![head];
    let over = figures.alerts.iter().filter(|alert| alert.over);
    shown.extend(over.map(|alert| {
        let since = alert.since.map(|at| format!(" for {}", duration(figures.at.0.since(at.0)))).unwrap_or_default();
        Line::new().with(Hue::Fail, format!("! {}: {}, beyond {}{since}", alert.name, alert.value, alert.threshold))
    }));
    shown.push(Line::new());
    let now = Status::ALL.into_iter().filter(|status| !status.is_final());
    let now: Vec<String> = now
        .filter_map(|status| Some(format!("{} {}", tasks.by_status.get(&status).filter(|n| **n > 0)?, status.word())))
        .collect();
    shown.push(line("tasks", if now.is_empty() { "none under way".into() } else { now.join("  ") }));
    let ended =
        [(tasks.completed, "completed"), (tasks.failed, "failed"), (tasks.cancelled, "cancelled"), (tasks.stopped, "stopped")];
    let ended = ended.iter().filter(|(n, word)| *n > 0 || *word == "completed").map(|(n, word)| format!("{n} {word}"));
    let ended = ended.collect::<Vec<_>>().join("  ");
    shown.push(line("ended", format!("{ended}{}{}", part("success", tasks.success_rate), took(&tasks.execution))));
    let classes: Vec<String> = attempts.by_class.iter().map(|(class, n)| format!("{n} {class}")).collect();
    let failed = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    let rate = part("error rate", attempts.error_rate);
    let text = format!("{} worked  {} failed{failed}{rate}{}", attempts.succeeded, attempts.failed, took(&attempts.duration));
    shown.push(line("attempts", text));
    shown.push(line("queue", format!("{} waiting{}{}", queue.depth, oldest(queue.oldest), took(&tasks.queued))));
    let looks: Vec<String> = agents.by_liveness.iter().map(|(word, n)| format!("{n} {word}")).collect();
    let looks = if looks.is_empty() { String::new() } else { format!(" ({})", looks.join(", ")) };
    shown.push(line("agents", format!("{} known{looks}  {} pieces of work", agents.total, agents.leases)));
    let left_alone: Vec<String> = figures
        .breakers
        .iter()
        .map(|one| format!("{} {}", crate::cli::show::word_of(&one.of).to_lowercase(), inert(&one.name)))
        .collect();
    if !left_alone.is_empty() {
        shown.push(line("left alone", left_alone.join("  ")));
    }
    if gates.passed + gates.failed > 0 {
        shown.push(line("gates", format!("{} passed  {} failed", gates.passed, gates.failed)));
    }
    let verdicts: String = council.by_verdict.iter().map(|(word, n)| format!("  {n} {word}")).collect();
    let text = format!("{} open{}{verdicts}{}", council.open, oldest(council.oldest), took(&council.time_to_decide));
    shown.push(line("council", text));
    let text = format!("{} asking{}  {} approvals owed", people.tasks_asking, oldest(people.oldest), approvals.owed);
    shown.push(line("people", text));
    if let Some(engine) = &figures.engine {
        let size =
            |name: &str, bytes: Option<u64>| bytes.map(|bytes| format!("  {name} {}", bytes_told(bytes))).unwrap_or_default();
        let memory = size("memory", engine.memory_bytes) + &size("database", engine.database_bytes);
        let rates = format!("{:.1} commits/s  {:.1} events/s", engine.commits_per_second, engine.events_per_second);
        shown.push(line("engine", format!("{rates}  {} waiting{memory}", engine.waiting)));
    }
    shown
}

/// A name and its values.
fn line(name: &str, text: String) -> Line {
    Line::new().with(Hue::Idle, name).to(VALUES).plain(text)
}

fn part(name: &str, part: Option<f64>) -> String {
    part.map(|part| format!("  {name} {:.1}%", part * 100.0)).unwrap_or_default()
}

fn oldest(oldest: Option<WireDuration>) -> String {
    oldest.map(|oldest| format!(", the oldest for {}", duration(oldest.ms))).unwrap_or_default()
}

fn took(spread: &Spread) -> String {
    match (spread.p50, spread.p95) {
        (Some(half), Some(most)) => format!("  half within {}, 95% within {}", duration(half.ms), duration(most.ms)),
        _ => String::new(),
    }
}

fn bytes_told(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mib @ 1..10_240 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib >> 10),
    }
}

fn question(asked: &Asked, now: Time, style: Style) -> Line {
    let waits = duration(now.since(asked.since.0));
    let title = cut(&inert(&asked.title), TITLE_MAX, style.ellipsis());
    Line::new().with(Hue::Block, waits).to(VALUES).plain(format!("{title}  ")).with(Hue::Idle, inert(&asked.what))
}

fn task(row: &TaskRow, now: Time, style: Style) -> Line {
    let mark = task_mark(row.status, None, false);
    let age = duration(now.since(row.created_at.0));
    let progress = row.progress.map(|part| format!("{:>3} %  ", (part * 100.0).floor())).unwrap_or_default();
    let title = cut(&inert(&row.title), TITLE_MAX, style.ellipsis());
    let line = Line::new().with(mark.hue, format!("{} {}", mark.icon(style), row.status.word()));
    line.to(16).plain(progress).plain(title.clone()).to(16 + 7 + TITLE_MAX.min(width(&title)) + 2).with(Hue::Idle, age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::figures::Alert;
    use ephor_core::time::WireTime;
    use serde_json::json;

    fn scene() -> Scene {
        let spread = json!({"count": 0});
        let figures = json!({
            "at": "2026-01-01T12:00:00Z", "position": 9, "behind": 0, "window": "1d", "since": "2025-12-31T12:00:00Z",
            "tasks": {"by_status": {"IN_PROGRESS": 2, "COMPLETED": 5}, "submitted": 9, "completed": 5, "failed": 2, "cancelled": 0,
                "stopped": 0, "success_rate": 0.714, "retried": 0, "escalated": 0, "stalled": 0, "duration": spread,
                "execution": {"count": 5, "p50": "2s", "p95": "1m"}, "queued": spread, "by_type": []},
            "attempts": {"succeeded": 5, "failed": 2, "error_rate": 0.28, "by_class": {"TIMEOUT": 2}, "duration": spread},
            "queue": {"depth": 3, "oldest": "5m"}, "agents": {"total": 1, "by_liveness": {"LIVE": 1}, "draining": 0, "leases": 2},
            "models": [], "breakers": [], "gates": {"passed": 1, "failed": 0, "by_kind": {}},
            "council": {"open": 0, "opened": 0, "by_verdict": {}, "time_to_decide": spread},
            "approvals": {"owed": 0, "asked": 0, "by_answer": {}, "time_to_answer": spread},
            "people": {"tasks_asking": 0}, "alerts": []
        });
        Scene { figures: serde_json::from_value(figures).unwrap(), tasks: Vec::new(), asked: Vec::new() }
    }

    #[test]
    fn figures_are_told_line_by_line_and_never_more_than_fit() {
        let (now, style) = (Time::parse("2026-01-01T12:00:00Z").unwrap(), Style { ascii: true, color: false });
        let shown = render(&scene(), (120, 40), now, style).join("\n");
        for part in [
            "2 IN_PROGRESS",
            "5 completed  2 failed  success 71.4%  half within 2 s, 95% within 1 m 0 s",
            "5 worked  2 failed (2 TIMEOUT)  error rate 28.0%",
            "3 waiting, the oldest for 5 m 0 s",
            "1 known (1 LIVE)",
        ] {
            assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
        }
        let narrow = render(&scene(), (30, 4), now, style);
        assert!(narrow.len() == 4 && narrow.iter().all(|line| width(line) <= 30), "{narrow:?}");
    }

    #[test]
    fn what_is_beyond_its_threshold_comes_first() {
        let mut scene = scene();
        let since = Some(WireTime(Time::parse("2026-01-01T11:50:00Z").unwrap()));
        let alert = Alert {
            name: "memory_warning".into(),
            threshold: "80%".into(),
            value: "91.0%".into(),
            over: true,
            since,
            crossings: 1,
        };
        scene.figures.alerts = vec![Alert { over: false, ..alert.clone() }, alert];
        let shown = render(&scene, (120, 40), Time(0), Style::default());
        assert_eq!(shown[1], "! memory_warning: 91.0%, beyond 80% for 10 m 0 s");
        assert!(!shown[2].contains("memory_warning"));
    }
}
