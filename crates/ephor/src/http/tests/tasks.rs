//! Tasks: submitted, listed, looked at, steered, moved.

use super::desk::Desk;
use axum::body::Body;
use ephor_core::work::Success;
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

fn named(title: &str) -> Value {
    json!({"title": title})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_submitted_and_looked_at_from_every_side() {
    let desk = Desk::open();
    let request = json!({"title": "Ship it", "external_id": "e 1", "plan": {"steps": [
        {"id": "build", "action": "build"}, {"id": "test", "action": "test", "needs": ["build"]}]}});
    let accepted = desk.send("POST", TASKS, &request).await.with(201);
    let task = accepted.header("location").to_owned();
    assert_eq!(accepted.json()["id"], accepted.json()["task_id"]);
    let view = desk.get(&task).await.with(200);
    assert_eq!((view.header("etag"), &view.json()["title"]), ("\"1\"", &json!("Ship it")));
    // By its own name too.
    desk.get(&format!("{TASKS}/e%201")).await.with(200);
    for side in ["steps", "outputs", "reviews", "effects", "waiting", "subtasks", "events", "interventions"] {
        assert!(desk.get(&format!("{task}/{side}")).await.with(200).json().is_array(), "{side}");
    }
    let graph = desk.get(&format!("{task}/graph")).await.with(200).json();
    assert_eq!(graph["edges"], json!([{"from": "1", "to": "2"}]));
    assert_eq!(graph["nodes"][0]["status"], "READY");
    assert_eq!(desk.get(&format!("{task}/plan")).await.with(200).json()["order"], json!(["1", "2"]));
    assert_eq!(desk.get(&format!("{task}/progress")).await.with(200).json()["progress"], 0.0);
    let allowed = desk.get(&format!("{task}/allowed-transitions")).await.with(200).json();
    assert_eq!((&allowed["status"], &allowed["patch"][0]), (&json!("SCHEDULED"), &json!("IN_PROGRESS")));
    let unknown = desk.get(&format!("{TASKS}/task_01k9zq5v3ze8rt6a0w1m2n3p4q")).await.with(404);
    assert_eq!(unknown.header("content-type"), "application/problem+json");
    assert_eq!(unknown.json()["code"], "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_read_in_any_case_and_answers_come_in_the_case_of_the_request() {
    let desk = Desk::open();
    let request = json!({"description": "x", "priority": "high", "executionMode": "dry-run", "maxRetries": 2});
    let accepted = desk.send("POST", TASKS, &request).await.with(201).json();
    let task = format!("{TASKS}/{}", accepted["taskId"].as_str().unwrap());
    let view = desk.get(&task).await.json();
    assert_eq!(
        (&view["priority"], &view["execution_mode"], &view["max_retries"]),
        (&json!("HIGH"), &json!("DRY_RUN"), &json!(2))
    );
    assert_eq!(desk.get(&format!("{task}?case=camel")).await.json()["executionMode"], "DRY_RUN");
    let wrong = desk.send("POST", TASKS, &json!({"title": "x", "priority": "soon"})).await.with(400).json();
    assert_eq!(wrong["errors"][0]["field"], "priority");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_narrowed_and_goes_on_page_by_page() {
    let desk = Desk::open();
    for n in 0..7 {
        desk.submit(&json!({"title": format!("t{n}"), "task_type": "A", "owner_id": "ann", "source": "s"})).await;
    }
    let late = "2099-01-01T00:00:00Z";
    desk.submit(&json!({"title": "due", "task_type": "B", "due_at": late})).await;
    let (mut titles, mut path) = (Vec::new(), format!("{TASKS}?type=A&ownerId=ann&live=true&limit=3"));
    loop {
        let page = desk.get(&path).await.with(200);
        titles.extend(page.json().as_array().unwrap().iter().map(|t| t["title"].as_str().unwrap().to_owned()));
        let Some((next, _)) = page.header("link").strip_prefix('<').and_then(|l| l.split_once('>')) else { break };
        path = next.to_owned();
    }
    assert_eq!(titles, ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]);
    let count = async |query: &str| desk.get(&format!("{TASKS}?{query}")).await.with(200).json().as_array().unwrap().len();
    assert_eq!(count("status=pending").await, 1);
    assert_eq!(count("status=QUEUED,todo&limit=500").await, 8);
    assert_eq!(count("before=2099-01-02T00:00:00Z").await, 1);
    assert_eq!(count("before=2098-01-02").await, 0);
    assert_eq!(count("after_due=2098-01-02T00:00:00Z").await, 1);
    for (query, told) in [
        ("stauts=PENDING", "status"),
        ("status=HAPPY", "PENDING"),
        ("limit=501", "1 to 500"),
        ("limit=0", "1 to 500"),
        ("before=soon", "2026-01-31"),
        ("cursor=7", "Link"),
        ("live=perhaps", "live"),
    ] {
        let refused = desk.get(&format!("{TASKS}?{query}")).await.with(400).json().to_string();
        assert!(refused.contains(told), "{query}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_steer_a_task_by_its_verbs() {
    let desk = Desk::open();
    let task = desk
        .submit(&json!({"title": "x", "plan": {"steps": [{"action": "wait.signal", "params": {"name": "go"}}, {"action": "b"}]}}))
        .await;
    let post = async |verb: &str, body: Value| desk.send("POST", &format!("{task}/{verb}"), &body).await;
    assert_eq!(post("pause", json!({"reason": "lunch"})).await.with(200).json()["status"], "PAUSED");
    assert_eq!(post("pause", json!({})).await.with(400).json()["code"], "ILLEGAL_TRANSITION");
    assert_ne!(post("resume", json!({})).await.with(200).json()["status"], "PAUSED");
    assert_eq!(post("modify", json!({"priority": "low"})).await.with(200).json()["priority"], "LOW");
    post("guide", json!({"text": "mind the gap"})).await.with(200);
    post("signals/go", json!({"anyThing": [1]})).await.with(200);
    let outputs = desk.get(&format!("{task}/outputs")).await.json();
    assert_eq!(outputs[0]["output"], json!({"anyThing": [1]}));
    let plan = json!({"steps": [{"action": "c"}]});
    assert_eq!(desk.decide("PUT", &format!("{task}/plan"), &plan).await.with(200).json()["plan_version"], 2);
    assert_eq!(post("interventions", json!({"type": "pause", "reason": "again"})).await.with(200).json()["status"], "PAUSED");
    assert_eq!(post("interventions", json!({"command": "RESUME"})).await.with(200).status, 200);
    let changed =
        post("interventions", json!({"type": "Modify", "changes": {"priority": "critical", "requirements": ["safe"]}})).await;
    assert_eq!(changed.with(200).json()["requirements"], json!(["safe"]));
    // To decide takes the operator's token, also by this way.
    let overrule = json!({"type": "override", "decision": "skip-step", "step": "1", "reason": "done by hand"});
    assert_eq!(post("interventions", overrule.clone()).await.with(401).json()["code"], "UNAUTHENTICATED");
    assert_eq!(post("interventions", json!({"type": "escalate"})).await.with(400).json()["errors"][0]["field"], "reason");
    assert_eq!(post("escalate", json!({"reason": "who knows"})).await.with(200).json()["status"], "ESCALATED");
    post("council-decision", json!({"decision": "LIQUIDATE"})).await.with(401);
    let decided = json!({"decision": "liquidate", "changes": {"reason": "no use"}});
    assert_eq!(desk.decide("POST", &format!("{task}/council-decision"), &decided).await.with(200).json()["status"], "STOPPED");
    assert_eq!(post("cancel", json!({"reason": "x"})).await.with(400).json()["code"], "TERMINAL_STATE");
    post("note", json!({"text": "a pity"})).await.with(200);
    let interventions = desk.get(&format!("{task}/interventions")).await.json();
    let words: Vec<&str> = interventions.as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(&words[..3], ["PAUSED", "RESUMED", "MODIFIED"], "{words:?}");
    assert_eq!(desk.ask("DELETE", &task, &[], Body::empty()).await.with(200).json()["archived"], true);
    post("erase", json!({})).await.with(401);
    assert_eq!(desk.decide("POST", &format!("{task}/erase"), &json!({})).await.with(200).json()["erased"], true);
    let live = desk.submit(&named("y")).await;
    let refused = desk.ask("DELETE", &live, &[], Body::empty()).await.with(400).json();
    assert!(refused["error"].as_str().unwrap().contains("cancel it first"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_failed_is_tried_again_on_request() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "plan": {"steps": [{"action": "a", "retry": {"max_attempts": 9, "initial": "1h", "max": "1h"}}]}})).await;
    let worker = json!({"status": "IN_PROGRESS", "actor_id": "w"});
    desk.send("PATCH", &task, &worker).await.with(200);
    let agent = desk.engine.agent_named("w").unwrap();
    let item = ephor_core::work::Report {
        task_id: task.rsplit('/').next().unwrap().parse().unwrap(),
        work: "step:1".parse().unwrap(),
        attempt: 1,
        outcome: ephor_core::work::Outcome::Failed(ephor_core::work::Failure::new(Default::default(), "no luck")),
    };
    desk.engine.report(vec![item], agent).await.unwrap().pop().unwrap().unwrap();
    assert_eq!(desk.get(&format!("{task}/steps")).await.json()[0]["status"], "RETRYING");
    desk.send("POST", &format!("{task}/retry"), &json!({})).await.with(200);
    assert_eq!(desk.get(&format!("{task}/steps")).await.json()[0]["status"], "READY");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_meant_for_another_version_is_refused() {
    let desk = Desk::open();
    let task = desk.submit(&named("x")).await;
    let json = ("content-type", "application/json");
    let pause = format!("{task}/pause");
    let old = desk.ask("POST", &pause, &[json, ("if-match", "\"9\"")], "{}").await.with(409);
    assert_eq!(old.json()["code"], "VERSION_CONFLICT");
    desk.ask("POST", &pause, &[json, ("if-match", "\"1\"")], "{}").await.with(200);
    desk.ask("PATCH", &task, &[json, ("if-match", "1")], r#"{"priority": "LOW"}"#).await.with(409);
    desk.ask("PATCH", &task, &[json, ("if-match", "2")], r#"{"priority": "LOW"}"#).await.with(200);
    desk.ask("POST", &pause, &[json, ("if-match", "new")], "{}").await.with(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_shown_as_it_was_at_a_version_or_a_time() {
    let desk = Desk::open();
    let task = desk.submit(&named("x")).await;
    desk.send("POST", &format!("{task}/pause"), &json!({})).await.with(200);
    assert_eq!(desk.get(&format!("{task}?version=1")).await.with(200).json()["status"], "SCHEDULED");
    assert_eq!(desk.get(&format!("{task}?at=2099-01-01T00:00:00Z")).await.with(200).json()["status"], "PAUSED");
    desk.get(&format!("{task}?at=1999-01-01T00:00:00Z")).await.with(404);
    desk.get(&format!("{task}?at=1999-01-01T00:00:00Z&version=1")).await.with(400);
    desk.get(&format!("{task}?when=1")).await.with(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_says_how_it_ended_and_what_the_gates_said() {
    let desk = Desk::open();
    let request = json!({"title": "x", "plan": {"steps": [
        {"action": "a", "gates": [{"kind": "functional_test"}]},
        {"action": "b", "optional": true, "retry": {"max_attempts": 1}}]}});
    let task = desk.submit(&request).await;
    let result = desk.get(&format!("{task}/result")).await.with(200).json();
    assert_eq!((&result["completed"], &result["status"]), (&json!(false), &json!("SCHEDULED")));
    let agent = desk.agent(&["a", "b"]).await;
    let item = desk.claim(agent).await;
    let evidence = serde_json::from_value(json!([{"kind": "FUNCTIONAL_TEST", "passed": true, "score": 0.9}])).unwrap();
    let success = Success { output: json!({"n": 1}), evidence, ..Success::default() };
    desk.done(agent, &item, success).await;
    desk.decide("POST", &format!("{task}/override"), &json!({"decision": "SKIP_STEP", "step": "2", "reason": "no need"}))
        .await
        .with(200);
    let result = desk.get(&format!("{task}/result")).await.with(200).json();
    assert_eq!(result["completed"], true, "{result}");
    assert_eq!(result["outputs"][0]["output"], json!({"n": 1}));
    assert_eq!(result["quality_report"]["passed"], true);
    assert_eq!(result["quality_report"]["gates"][0]["kind"], "FUNCTIONAL_TEST");
    assert!(result["duration"].is_string() && result["completion_time"].is_string(), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_leads_through_a_life_by_honest_means() {
    let desk = Desk::open();
    let due = json!({"title": "x", "due_at": "2099-01-01T00:00:00Z", "max_retries": 0});
    let task = desk.submit(&due).await;
    let patch = async |body: Value| desk.send("PATCH", &task, &body).await;
    let refused = patch(json!({"status": "COMPLETED", "actorId": "w"})).await.with(400).json();
    assert_eq!(refused["code"], "ILLEGAL_TRANSITION");
    assert!(refused["detail"].as_str().unwrap().contains("SCHEDULED, PAUSED, CANCELLED"), "{refused}");
    assert_eq!(
        patch(json!({"newStatus": "scheduled", "actorType": "SYSTEM", "actorId": "S"})).await.with(200).json()["status"],
        "SCHEDULED"
    );
    // What is so already is no move.
    patch(json!({"status": "SCHEDULED"})).await.with(200);
    assert_eq!(patch(json!({"status": "IN_PROGRESS"})).await.with(400).json()["errors"][0]["field"], "actorId");
    assert_eq!(patch(json!({"status": "running", "actor_id": "w"})).await.with(200).json()["status"], "IN_PROGRESS");
    assert_eq!(patch(json!({"status": "COMPLETED", "actor_id": "somebody"})).await.with(409).json()["code"], "STALE_ATTEMPT");
    assert_eq!(patch(json!({"status": "PAUSED"})).await.with(200).json()["status"], "PAUSED");
    assert_eq!(patch(json!({"status": "RUNNING"})).await.with(200).json()["status"], "IN_PROGRESS");
    let done = patch(json!({"status": "COMPLETED", "actor_id": "w", "output": {"fooBar": 1}})).await.with(200).json();
    assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!({"fooBar": 1})));
    let ended = patch(json!({"status": "CANCELLED"})).await.with(400).json();
    assert_eq!((&ended["error"], &ended["code"]), (&json!("Cannot update task in terminal state"), &json!("TERMINAL_STATE")));
    assert_eq!(patch(json!({"priority": "LOW"})).await.with(400).json()["code"], "TERMINAL_STATE");
    patch(json!({})).await.with(400);
    let events = desk.get(&format!("{task}/events?type=released,modified")).await.json();
    assert_eq!(events[0]["actor_id"], "S");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_says_how_to_run_it_again_and_is_a_new_task_then() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "external_id": "E1", "payload": {"n": 1}, "max_retries": 0})).await;
    desk.send("POST", &format!("{task}/rerun"), &json!({})).await.with(400);
    for status in ["IN_PROGRESS", "FAILED"] {
        desk.send("PATCH", &task, &json!({"status": status, "actorId": "w", "reason": "no luck"})).await.with(200);
    }
    let refused = desk.send("POST", &format!("{task}/retry"), &json!({"step": "1"})).await.with(400).json();
    assert_eq!(refused["code"], "TERMINAL_STATE");
    assert!(refused["next"][0].as_str().unwrap().contains("rerun"), "{refused}");
    let again = desk.send("POST", &format!("{task}/rerun"), &json!({})).await.with(201);
    assert_eq!(again.header("location"), format!("/api/v1/tasks/{}", again.json()["id"].as_str().unwrap()));
    let shown = desk.get(&format!("/api/v1/tasks/{}", again.json()["id"].as_str().unwrap())).await.json();
    assert_eq!((&shown["payload"], &shown["external_id"]), (&json!({"n": 1}), &json!(null)));
    assert!(task.ends_with(shown["retry_of"].as_str().unwrap()));
    let twice = desk.send("POST", &format!("{task}/rerun"), &json!({})).await.with(400).json();
    assert_eq!(twice["code"], "DUPLICATE_TASK");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_both_ways_and_narrowed() {
    let desk = Desk::open();
    let task = desk.submit(&named("x")).await;
    for verb in ["pause", "resume", "pause", "resume", "pause"] {
        desk.send("POST", &format!("{task}/{verb}"), &json!({})).await.with(200);
    }
    desk.submit(&named("y")).await;
    let walk = async |start: String| {
        let (mut versions, mut path) = (Vec::new(), start);
        loop {
            let page = desk.get(&path).await.with(200);
            versions.extend(page.json().as_array().unwrap().iter().map(|e| e["position"].as_u64().unwrap()));
            let Some((next, _)) = page.header("link").strip_prefix('<').and_then(|l| l.split_once('>')) else { break };
            path = next.to_owned();
        }
        versions
    };
    let all = walk("/api/v1/events?limit=2".into()).await;
    assert!(all.is_sorted() && all.len() >= 7, "{all:?}");
    let mut back = walk("/api/v1/events?limit=2&order=desc".into()).await;
    back.reverse();
    assert_eq!(all, back);
    let own = walk(format!("{task}/events?limit=2")).await;
    let mut back = walk(format!("{task}/events?limit=4&order=desc")).await;
    back.reverse();
    assert_eq!((own.len(), &own), (6, &back));
    assert_eq!(walk(format!("/api/v1/events?task={}&type=paused&limit=1", task.rsplit('/').next().unwrap())).await.len(), 3);
    assert_eq!(walk(format!("{task}/events?actor=SYSTEM")).await.len(), 0);
    assert_eq!(walk(format!("{task}/events?actor=local&after=1")).await.len(), own.iter().filter(|p| **p > 1).count());
    desk.get(&format!("{task}/events?task=x")).await.with(400);
    let types = desk.get("/api/v1/event-types").await.with(200).json();
    assert!(types.as_array().unwrap().iter().any(|t| t["type"] == "ASSIGNED" && t["stream"] == "task"));
    let lifecycle = desk.get("/api/v1/lifecycle").await.with(200).json();
    assert_eq!(lifecycle.as_array().unwrap().len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recurring_task_says_when_it_comes_next_and_so_does_a_recurrence_alone() {
    let desk = Desk::open();
    let body = json!({"title": "report", "recurrence": {"cron": "0 9 * * 1-5", "timeZone": "Europe/Berlin", "times": 3, "overlap": "QUEUE"}});
    let made = desk.send("POST", "/api/v1/tasks", &body).await.with(201).json();
    assert_eq!(made["status"], "PENDING");
    let made = desk.get(&format!("/api/v1/tasks/{}?case=camel", made["id"].as_str().unwrap())).await.with(200).json();
    let runs = made["nextRuns"].as_array().unwrap_or_else(|| panic!("{made}"));
    assert_eq!((runs.len(), &runs[0]), (3, &made["dueAt"]), "{made}");
    let query = "from=2026-03-27T08:00:00Z&cron=0%209%20*%20*%201-5&timeZone=Europe/Berlin&count=2";
    let next = desk.get(&format!("/api/v1/schedules/next?{query}")).await.with(200).json();
    assert_eq!(next, json!(["2026-03-30T07:00:00Z", "2026-03-31T07:00:00Z"]));
    for (query, field) in [("", "every"), ("cron=x", "cron"), ("every=2h&count=0", "count"), ("every=2h&cron=@daily", "every")] {
        let refused = desk.get(&format!("/api/v1/schedules/next?{query}")).await.with(400).json();
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_again_under_its_key_is_done_once() {
    let desk = Desk::open();
    let json = ("content-type", "application/json");
    let under = async |key: &str, path: &str, body: &str| {
        desk.ask("POST", path, &[json, ("idempotency-key", key)], body.to_owned()).await
    };
    let first = under("k", TASKS, r#"{"title": "x"}"#).await.with(201).json();
    assert_eq!(under("k", TASKS, r#"{ "title": "x" }"#).await.with(201).json(), first);
    assert_eq!(under("k", TASKS, r#"{"title": "y"}"#).await.with(422).json()["code"], "IDEMPOTENCY_MISMATCH");
    let older = r#"{"type": "A", "mode": "AUTO"}"#;
    let accepted = under("older", TASKS, older).await.with(201).json();
    // The time of day, which an older form is read with, is another by then.
    let then = desk.engine.now();
    while desk.engine.now() == then {
        tokio::task::yield_now().await;
    }
    assert_eq!(under("older", TASKS, older).await.with(201).json(), accepted);
    let task = format!("{TASKS}/{}", first["id"].as_str().unwrap());
    // The same key of another route is another key.
    let pause = format!("{task}/pause");
    let paused = under("k", &pause, r#"{"reason": "a"}"#).await.with(200).json();
    assert_eq!(under("k", &pause, r#"{"reason": "a"}"#).await.with(200).json(), paused);
    under("k", &pause, r#"{"reason": "b"}"#).await.with(422);
    under("k", &format!("{task}/resume"), "{}").await.with(200);
    // Said again after it was undone, it is still done once.
    assert_ne!(under("k", &pause, r#"{"reason": "a"}"#).await.with(200).json()["status"], "PAUSED");
    // What was refused leaves no key.
    under("c", &format!("{task}/interventions"), r#"{"type": "RESUME"}"#).await.with(400);
    desk.send("POST", &pause, &json!({})).await.with(200);
    under("c", &format!("{task}/interventions"), r#"{"type": "RESUME"}"#).await.with(200);
    let long = "k".repeat(256);
    for key in ["", "a b", long.as_str()] {
        under(key, TASKS, r#"{"title": "x"}"#).await.with(400);
    }
    // Many at once are one.
    let all = futures_util::future::join_all((0..20).map(|_| under("many", TASKS, r#"{"title": "many"}"#))).await;
    let ids: std::collections::BTreeSet<String> = all.iter().map(|a| a.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_changes_and_moves_does_both_in_one_commit_or_neither() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "action": "work"})).await;
    let painter = json!({"name": "Painter", "external_id": "painter", "capabilities": ["paint"]});
    desk.send("POST", "/api/v1/agents", &painter).await.with(201);
    let patch = async |body: Value| desk.send("PATCH", &task, &body).await;
    let is = async || {
        let task = desk.get(&task).await.with(200).json();
        (task["version"].as_u64().unwrap(), task["priority"].clone(), task["status"].clone())
    };
    let before = is().await;
    // The change alone would be fine; who is to take the work cannot do it.
    let refused = patch(json!({"priority": "HIGH", "newStatus": "IN_PROGRESS", "actorId": "painter"})).await.with(400).json();
    assert_eq!(refused["code"], "ILLEGAL_TRANSITION");
    assert_eq!(is().await, before);
    // The move alone would be fine; the deadline is none.
    patch(json!({"deadline": "2001-01-01T00:00:00Z", "newStatus": "PAUSED"})).await.with(400);
    assert_eq!(is().await, before);
    patch(json!({"priority": "HIGH", "newStatus": "FAILED", "actorId": "painter"})).await.with(400);
    assert_eq!(is().await, before);

    let moved = json!({"priority": "HIGH", "newStatus": "IN_PROGRESS", "actorId": "w", "expectedVersion": before.0});
    patch(moved.clone()).await.with(200);
    assert_eq!(is().await, (before.0 + 3, json!("HIGH"), json!("IN_PROGRESS")));
    let events = desk.get(&format!("{task}/events?type=modified,assigned")).await.json();
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&json!("MODIFIED"), &json!("ASSIGNED")));
    let commits = desk.engine.reader().commits(events[0]["position"].as_u64().unwrap() - 1, 1).unwrap();
    assert_eq!(commits[0].last, events[1]["position"].as_u64().unwrap(), "one commit has both");
    assert_eq!(patch(moved).await.with(409).json()["code"], "VERSION_CONFLICT");

    let key = [("content-type", "application/json"), ("idempotency-key", "k")];
    let body = json!({"priority": "LOW", "newStatus": "PAUSED"}).to_string();
    desk.ask("PATCH", &task, &key, body.clone()).await.with(200);
    let paused = is().await;
    desk.ask("PATCH", &task, &key, body).await.with(200);
    assert_eq!(is().await, paused);
    desk.ask("PATCH", &task, &key, json!({"priority": "IDLE"}).to_string()).await.with(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_kept_for_one_task_and_deleted_with_its_words() {
    let desk = Desk::open();
    let task = desk.submit(&named("x")).await;
    let other = desk.submit(&named("y")).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let kept = desk.ask("PUT", &format!("{task}/payloads"), &[], bytes.clone()).await.with(201).json();
    assert_eq!(kept["size"], bytes.len());
    let payload = kept["payload"].as_str().unwrap();
    assert_eq!(desk.get(&format!("{task}/payloads/{payload}")).await.with(200).bytes, bytes);
    // The same under an address of its own, which names the task behind it.
    let id = task.rsplit('/').next().unwrap();
    assert_eq!(desk.get(&format!("/api/v1/payloads/{payload}?task_id={id}")).await.with(200).bytes, bytes);
    let second =
        desk.ask("PUT", &format!("/api/v1/payloads?taskId={id}"), &[], "second").await.with(201).json()["payload"].clone();
    let second = second.as_str().unwrap();
    assert_eq!(desk.get(&format!("{task}/payloads/{second}")).await.with(200).bytes, "second");
    assert_eq!(desk.ask("PUT", "/api/v1/payloads", &[], "x").await.with(400).json()["errors"][0]["field"], "query");
    desk.ask("PUT", "/api/v1/payloads?task_id=ghost", &[], "x").await.with(404);
    for path in [
        format!("{other}/payloads/{payload}"),
        format!("{task}/payloads/{}", &payload[32..]),
        format!("{task}/payloads/x"),
        format!("/api/v1/payloads/{payload}?task_id={}", other.rsplit('/').next().unwrap()),
    ] {
        desk.get(&path).await.with(404);
    }
    desk.send("POST", &format!("{task}/cancel"), &json!({"reason": "done with"})).await.with(200);
    desk.ask("PUT", &format!("{task}/payloads"), &[], "more").await.with(400);
    desk.decide("POST", &format!("{task}/erase"), &json!({})).await.with(200);
    desk.get(&format!("{task}/payloads/{payload}")).await.with(404);
}
