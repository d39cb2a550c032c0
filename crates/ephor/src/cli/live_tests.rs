//! Pictures, as they stand on the screen.

use super::*;
use ephor_core::spec::GateKind;
use serde_json::{Value, json};

const NOW: &str = "2026-01-02T03:10:00Z";

fn step(path: &str, title: &str, status: &str, more: Value) -> StepView {
    let mut json = json!({"path": path, "title": title, "action": "x", "status": status, "attempt": 1, "max_attempts": 5});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

fn scene(status: &str, steps: Vec<StepView>, waiting: Value) -> Scene {
    let counts = StepCounts::of(steps.iter().map(|s| s.status));
    let task = json!({"id": "task_01kc0000000000000000000000", "namespace": "default", "title": "Implement authentication",
        "task_type": "general", "priority": "NORMAL", "risk_level": "LOW", "execution_mode": "AUTO", "autonomy": "AUTONOMOUS",
        "status": status, "version": 9, "request_version": 1, "plan_version": 1, "progress": counts.progress(), "steps": counts,
        "retry_count": 0, "max_retries": 5, "created_at": "2026-01-02T03:00:00Z", "started_at": "2026-01-02T03:00:00Z"});
    Scene { task: serde_json::from_value(task).unwrap(), steps, waiting: serde_json::from_value(waiting).unwrap() }
}

fn busy() -> Scene {
    let id = "task_01kc0000000000000000000000";
    scene(
        "IN_PROGRESS",
        vec![
            step("1", "Analyse", "COMPLETED", json!({})),
            step("2", "Design", "COMPLETED", json!({})),
            step("3.1", "Sessions", "RUNNING", json!({"attempt": 3, "progress": 0.5, "started_at": "2026-01-02T03:07:08Z"})),
            step("3.2", "OAuth", "BLOCKED", json!({"block_reason": "EXTERNAL", "error": "no credentials"})),
            step("3.3", "Pages", "RETRYING", json!({"attempt": 1, "error": "exit code 1", "retry_at": "2026-01-02T03:10:04Z"})),
            step("4", "Pause", "RUNNING", json!({"until": "2026-01-02T03:12:00Z", "attempt": 0})),
            step("5", "Migration", "PENDING", json!({})),
            step("6", "Deploy", "PENDING", json!({})),
        ],
        json!([{"reason": "EXTERNAL", "what": "no credentials", "step": "3.2", "act": format!("ephor task resume {id}")}]),
    )
}

fn draw(scenes: &[Scene], columns: usize, lines: usize, style: Style) -> Vec<String> {
    render(scenes, (columns, lines), Time::parse(NOW).unwrap(), style)
}

#[test]
fn a_running_task_shows_what_moves_and_counts_the_rest() {
    assert_eq!(
        draw(&[busy()], 100, 20, Style::default()),
        [
            "▶ IN_PROGRESS  Implement authentication   ━━━━━╸━━━━━━━━╸━━╸────────   31 %   2✓ 3▶ 1⊖ 2◌   10 m 0 s",
            "  ▶ 3.1 Sessions   attempt 3/5   50 %   2 m 52 s",
            "  ⊖ 3.2 OAuth      no credentials   → ephor task resume task_01kc0000000000000000000000",
            "  ↻ 3.3 Pages      attempt 1/5 failed, again in 4 s: exit code 1",
            "  ▶ 4 Pause        waits, over in 2 m 0 s",
        ]
    );
}

#[test]
fn it_is_never_wider_or_higher_than_the_terminal() {
    for columns in [20, 33, 60, 79, 120] {
        for lines in 1..8 {
            for style in [Style::default(), Style { ascii: true, color: false }] {
                for scenes in [vec![busy()], vec![busy(), busy(), busy()]] {
                    let shown = draw(&scenes, columns, lines, style);
                    assert!(shown.len() <= lines, "{} lines of {lines}: {shown:#?}", shown.len());
                    assert!(shown.iter().all(|line| width(line) <= columns), "{columns}: {shown:#?}");
                }
            }
        }
    }
    let shown = draw(&[busy()], 100, 3, Style::default());
    assert!(shown[1].contains("3.2 OAuth") && shown[2] == "  … and 3 more", "{shown:#?}");
}

#[test]
fn plain_terminals_get_ascii_only() {
    let shown = draw(&[busy()], 100, 20, Style { ascii: true, color: false });
    assert!(shown.iter().all(|line| line.is_ascii()), "{shown:#?}");
    assert!(shown[0].starts_with("> IN_PROGRESS  Implement authentication   ======>>>>"), "{}", shown[0]);
}

#[test]
fn a_task_that_needs_a_person_says_who_and_what_to_do() {
    let gate = json!({"gates": [{"kind": GateKind::ManualReview, "status": "OPEN", "reviewer": "ann"}]});
    let waiting = json!([
        {"reason": "DECOMPOSITION", "what": "a person has to accept its plan", "act": "ephor plan accept @last"},
        {"reason": "APPROVAL", "what": "ann has to look at its result", "step": "1", "act": "ephor review confirm @last 1 --pass"},
    ]);
    let scene = scene("BLOCKED", vec![step("1", "Sell", "CHECKING", gate)], waiting);
    assert_eq!(
        draw(&[scene], 100, 20, Style::default())[1..],
        [
            "  ☻ a person has to accept its plan   → ephor plan accept @last",
            "  ⌂ 1 Sell   MANUAL_REVIEW is owed by ann   → ephor review confirm @last 1 --pass",
        ]
    );
}

#[test]
fn several_tasks_share_the_room_and_those_that_ended_share_a_line() {
    let mut done = busy();
    done.task.status = Status::Completed;
    let mut lost = busy();
    lost.task.status = Status::Failed;
    let shown = draw(&[done, busy(), lost, busy()], 100, 12, Style::default());
    assert_eq!(shown[0], "✓ 1 completed  ✕ 1 ended otherwise");
    assert_eq!(shown.iter().filter(|line| line.starts_with("▶ IN_PROGRESS")).count(), 2, "{shown:#?}");
}

#[test]
fn what_others_wrote_cannot_steer_the_picture() {
    let mut scene = busy();
    scene.task.title = "x\u{1b}[2J\ny".into();
    scene.steps[2].message = Some("\u{202e}evil\u{1b}]0;t\u{7}\r".into());
    for line in draw(&[scene], 120, 20, Style::default()) {
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}
