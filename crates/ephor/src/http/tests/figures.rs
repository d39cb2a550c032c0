//! Figures equal what was done, and no label is one of too many.

use super::desk::Desk;
use super::house::{House, TOKEN};
use crate::api::FiguresQuery;
use crate::config::{Thresholds, Watch};
use crate::local::Look;
use crate::local::figures::{Scope, Tally};
use ephor_core::figures::{Figures, OTHER};
use ephor_core::id::AgentId;
use ephor_core::time::WireDuration;
use ephor_core::work::Success;
use ephor_engine::figures::NAMES_MAX;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const METRICS: &str = "/api/v1/admin/metrics";

/// The next piece of work fails, of this class.
async fn fail(desk: &Desk, agent: AgentId, class: &str) {
    let item = desk.claim(agent).await;
    let failed = json!({"agent_id": agent, "attempt": item.attempt,
        "outcome": {"FAILED": {"class": class, "message": "no", "retryable": false}}});
    desk.send("POST", &format!("/api/v1/work/{}:{}/report", item.task_id, item.work), &failed).await.with(200);
}

/// Five tasks complete, two fail, one is cancelled and one waits.
async fn scripted(desk: &Desk) {
    let agent = desk.agent(&["work"]).await;
    for n in 0..7 {
        let task_type = if n < 3 { "INVOICE" } else { "REPORT" };
        desk.submit(&json!({"title": "x", "action": "work", "max_retries": 0, "task_type": task_type})).await;
    }
    for _ in 0..5 {
        let item = desk.claim(agent).await;
        desk.done(agent, &item, Success::default()).await;
    }
    fail(desk, agent, "TIMEOUT").await;
    fail(desk, agent, "BAD_OUTPUT").await;
    let gone = desk.submit(&json!({"title": "x", "action": "work"})).await;
    desk.send("POST", &format!("{gone}/cancel"), &json!({"reason": "no longer needed"})).await.with(200);
    desk.submit(&json!({"title": "waits", "action": "work"})).await;
}

#[tokio::test]
async fn figures_equal_what_was_done() {
    let desk = Desk::open();
    scripted(&desk).await;
    let told = desk.get(METRICS).await.with(200).json();
    let figures: Figures = serde_json::from_value(told.clone()).unwrap();
    let tasks = &figures.tasks;
    assert_eq!((tasks.submitted, tasks.completed, tasks.failed, tasks.cancelled), (9, 5, 2, 1), "{told}");
    assert_eq!(tasks.success_rate, Some(5.0 / 7.0));
    assert_eq!((tasks.duration.count, tasks.execution.count, tasks.queued.count), (5, 5, 7), "{told}");
    assert!(tasks.execution.p50.is_some() && tasks.execution.p50 <= tasks.execution.p95);
    assert_eq!((figures.attempts.succeeded, figures.attempts.failed), (5, 2));
    let classes = BTreeMap::from([("TIMEOUT".to_owned(), 1), ("BAD_OUTPUT".to_owned(), 1)]);
    assert_eq!((&figures.attempts.by_class, figures.attempts.duration.count), (&classes, 5));
    assert_eq!((figures.queue.depth, figures.queue.oldest.is_some()), (1, true));
    assert_eq!((figures.agents.total, figures.agents.leases, figures.behind), (1, 0, 0));
    let of = |name: &str| tasks.by_type.iter().find(|one| one.task_type == name).unwrap();
    assert_eq!((of("INVOICE").completed, of("REPORT").completed, of("REPORT").failed), (3, 2, 2), "{told}");
    assert_eq!(of("REPORT").error_rate, Some(0.5));
    let by_status: Vec<(String, u64)> = tasks.by_status.iter().map(|(status, n)| (status.word().into(), *n)).collect();
    let same = [("SCHEDULED", 1), ("COMPLETED", 5), ("FAILED", 2), ("CANCELLED", 1)];
    assert!(same.iter().all(|(word, n)| by_status.contains(&((*word).into(), *n))), "{by_status:?}");
    assert!(figures.engine.is_some_and(|engine| engine.database_bytes.is_some()));

    // The same, in the form of Prometheus and in the words of plan executions.
    let text = String::from_utf8(desk.get("/metrics").await.with(200).bytes.to_vec()).unwrap();
    for line in [
        "ephor_tasks{status=\"COMPLETED\"} 5",
        "ephor_tasks_submitted_total{namespace=\"default\",type=\"INVOICE\"} 3",
        "ephor_tasks_ended_total{namespace=\"default\",type=\"REPORT\",outcome=\"FAILED\"} 2",
        "ephor_attempts_total{outcome=\"succeeded\"} 5",
        "ephor_attempt_failures_total{class=\"TIMEOUT\"} 1",
        "ephor_attempt_duration_seconds_count 5",
        "ephor_queue_tasks 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    let other = desk.get("/api/admin/metrics").await.with(200).json();
    assert_eq!((&other["errors"]["total"], &other["tasks"]["completed"]), (&json!(2), &json!(5)), "{other}");
    assert_eq!(other["errors"]["by_type"], json!({"BAD_OUTPUT": 1, "TIMEOUT": 1}));

    // What happened before a start counts in its window, and not since the start.
    let again = Tally::new(Watch::default(), desk.engine.position());
    let look = Look { reader: desk.engine.reader() };
    let now = again.now(&look, &desk.engine).unwrap();
    assert_eq!((now.total.submitted, now.figures.tasks.completed, now.figures.queue.oldest.is_some()), (0, 5, true));
    // Watched otherwise: figures reach as far back as they are kept, and what was counted stays or is counted anew.
    for (kept_ms, allowed) in [(2 * 3_600_000, false), (90 * 86_400_000, true)] {
        again.rewatch(Watch { metrics_retention: WireDuration { ms: kept_ms }, ..Watch::default() });
        let long = FiguresQuery { window: Some(WireDuration { ms: 60 * 86_400_000 }), ..FiguresQuery::default() };
        let asked = again.figures(&look, Some(&desk.engine), desk.engine.now(), &long, &Scope::default());
        assert_eq!(asked.is_ok(), allowed, "{kept_ms}");
        let now = again.now(&look, &desk.engine).unwrap();
        assert_eq!((now.total.submitted, now.figures.tasks.completed), (0, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_next_look_hears_when_it_comes_sooner() {
    let of = |ms| Watch { progress_interval: WireDuration { ms }, ..Watch::default() };
    let tally = Tally::new(of(3_600_000), 0);
    let begun = tokio::time::Instant::now();
    let sooner = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tally.rewatch(of(5_000));
    };
    tokio::join!(tally.next_look(), sooner);
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_window_is_bounded_by_how_long_figures_are_kept() {
    let desk = Desk::open();
    assert_eq!(desk.get(&format!("{METRICS}?window=7d")).await.with(200).json()["window"], "7d");
    for wrong in ["0s", "31d", "many"] {
        let refused = desk.get(&format!("{METRICS}?window={wrong}")).await.with(400).json();
        assert_eq!(refused["errors"][0]["field"], "window", "{refused}");
    }
}

#[tokio::test]
async fn gates_reviews_and_questions_are_counted_and_how_long_they_took() {
    let house = House::new(true);
    let agent = house.agent("worker", None).await;
    let plan = json!({"steps": [{"action": "work", "gates": [{"kind": "MANUAL_REVIEW"}]}]});
    let made = json!({"title": "x", "plan": plan, "execution_mode": "STRICT"});
    let made = house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(made)).await;
    let task = format!("/api/v1/tasks/{}", made.json["id"].as_str().unwrap());
    let open = house.ask("GET", METRICS, Some(TOKEN), None).await.json;
    assert_eq!((&open["council"]["open"], &open["people"]["tasks_asking"]), (&json!(1), &json!(1)), "{open}");
    assert!(open["council"]["oldest"].is_string(), "{open}");
    let say = async |what: &str, body: Value| {
        let answer = house.ask("POST", &format!("{task}/{what}"), Some(TOKEN), Some(body)).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.json);
    };
    say("vote", json!({"vote": "APPROVE"})).await;
    let wish = json!({"max": 1, "wait": "0s"});
    let item = house.ask("POST", &format!("/api/v1/agents/{agent}/work/claim"), Some(TOKEN), Some(wish)).await.json[0].clone();
    let id = format!("{}:{}", item["task_id"].as_str().unwrap(), item["work"].as_str().unwrap());
    let report = json!({"agent_id": agent, "attempt": item["attempt"], "outcome": {"SUCCEEDED": {}}});
    house.ask("POST", &format!("/api/v1/work/{id}/report"), Some(TOKEN), Some(report)).await;
    say("confirm", json!({"step": "1", "passed": true})).await;
    let told = house.ask("GET", METRICS, Some(TOKEN), None).await.json;
    assert_eq!((&told["gates"]["passed"], &told["gates"]["by_kind"]["person"]["passed"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(told["council"]["by_verdict"]["APPROVED"], told["council"]["time_to_decide"]["count"], "{told}");
    assert!(told["council"]["time_to_decide"]["count"].as_u64() >= Some(1), "{told}");
}

/// The names of metrics, and each label with its values.
fn read(text: &str) -> (BTreeSet<String>, BTreeMap<String, BTreeSet<String>>) {
    let (mut names, mut labels) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            names.insert(rest.split(' ').next().unwrap().to_owned());
        } else if let Some((_, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            for pair in rest.split_once('}').unwrap().0.split(',') {
                let (name, value) = pair.split_once('=').unwrap();
                labels.entry(name.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    (names, labels)
}

#[tokio::test]
async fn whoever_submits_cannot_make_labels_grow_without_end() {
    let desk = Desk::open();
    let lines: String = (0..NAMES_MAX + 20)
        .flat_map(|n| [(format!("n{n}"), "T".to_owned()), ("default".to_owned(), format!("type-{n}"))])
        .map(|(namespace, task_type)| {
            format!("{}\n", json!({"title": "x", "action": "work", "namespace": namespace, "task_type": task_type}))
        })
        .collect();
    desk.ask("POST", "/api/v1/tasks/batch", &[("content-type", "application/x-ndjson")], lines).await.with(200);
    scripted(&desk).await;
    let text = String::from_utf8(desk.get("/metrics").await.with(200).bytes.to_vec()).unwrap();
    let (_, labels) = read(&text);
    for (label, values) in &labels {
        let most = if matches!(&**label, "namespace" | "type") { NAMES_MAX + 1 } else { 30 };
        assert!(values.len() <= most, "{label}: {}", values.len());
        assert!(values.iter().all(|value| !value.contains("_0") || label == "le"), "{label}: {values:?}");
    }
    assert!(labels["namespace"].contains(OTHER) && labels["type"].contains(OTHER));
    let all: u64 = text
        .lines()
        .filter(|line| line.starts_with("ephor_tasks_submitted_total{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert_eq!(all, 2 * (NAMES_MAX as u64 + 20) + 9, "every task is in one of them");
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let desk = Desk::open();
    scripted(&desk).await;
    let text = String::from_utf8(desk.get("/metrics").await.with(200).bytes.to_vec()).unwrap();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md")).unwrap();
    let documented = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> =
        documented.filter(|name| ["ephor_", "process_"].iter().any(|own| name.starts_with(own))).map(str::to_owned).collect();
    let (names, labels) = read(&text);
    assert_eq!(names, documented);
    for label in labels.keys().filter(|label| *label != "le") {
        assert!(page.contains(&format!("`{label}`")), "{label} is not told of");
    }
}

#[tokio::test]
async fn who_sees_one_namespace_sees_its_figures_alone() {
    let house = House::new(false);
    house.agent("worker-a", Some("a")).await;
    house.agent("worker-b", Some("b")).await;
    for namespace in ["a", "a", "b"] {
        house.task(namespace).await;
    }
    let key = house.key(json!({"name": "a", "roles": ["viewer"], "namespace": "a"})).await;
    let told = house.ask("GET", METRICS, Some(&key), None).await;
    assert_eq!(told.status, 200, "{}", told.json);
    assert_eq!((&told.json["tasks"]["submitted"], &told.json["queue"]["depth"]), (&json!(2), &json!(2)), "{}", told.json);
    assert_eq!((&told.json["agents"]["total"], &told.json["engine"]), (&json!(1), &Value::Null));
    assert!(told.json["alerts"].as_array().unwrap().iter().all(|alert| alert["name"] != "memory_warning"), "{}", told.json);
    assert_eq!(house.ask("GET", &format!("{METRICS}?namespace=b"), Some(&key), None).await.status, 403);
    assert_eq!(house.ask("GET", "/metrics", Some(&key), None).await.status, 403);
    let all = house.ask("GET", &format!("{METRICS}?namespace=b"), Some(TOKEN), None).await.json;
    assert_eq!((&all["tasks"]["submitted"], all["engine"].is_object()), (&json!(1), true), "{all}");
}

#[tokio::test]
async fn a_crossing_is_told_once_and_stands_in_the_figures() {
    let desk = Desk::open();
    let agent = desk.agent(&["work"]).await;
    let zero = WireDuration { ms: 0 };
    let watch = Watch { alert_thresholds: Thresholds { duration_warning: zero, ..Thresholds::default() }, ..Watch::default() };
    let tally = Tally::new(watch, 0);
    let look = Look { reader: desk.engine.reader() };
    let of = |name: &str| {
        tally.look(&desk.engine).unwrap();
        tally.look(&desk.engine).unwrap();
        let now = desk.engine.now();
        let told = tally.figures(&look, Some(&desk.engine), now, &FiguresQuery::default(), &Scope::default()).unwrap();
        let alert = told.alerts.into_iter().find(|alert| alert.name == name).unwrap();
        (alert.over, alert.crossings, alert.value, alert.since.is_some())
    };
    assert_eq!(of("error_rate_warning"), (false, 0, "no attempts".into(), false));
    for _ in 0..20 {
        desk.submit(&json!({"title": "x", "action": "work", "max_retries": 0})).await;
    }
    for _ in 0..17 {
        let item = desk.claim(agent).await;
        desk.done(agent, &item, Success::default()).await;
    }
    fail(&desk, agent, "TIMEOUT").await;
    assert_eq!(of("error_rate_warning"), (false, 0, "5.6%".into(), false), "of a few it says nothing");
    fail(&desk, agent, "TIMEOUT").await;
    assert_eq!(of("duration_warning"), (false, 0, "0 tasks".into(), false));
    let item = desk.claim(agent).await;
    assert_eq!(of("duration_warning"), (true, 1, "1 task".into(), true));
    desk.done(agent, &item, Success::default()).await;
    assert_eq!(of("error_rate_warning"), (true, 1, "10.0%".into(), true));
    assert_eq!(of("duration_warning"), (false, 1, "0 tasks".into(), false));
}
