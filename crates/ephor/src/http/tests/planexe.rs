//! Executions of plans: created, worked on, steered, told about.

use super::desk::{Answer, Desk};
use axum::body::Body;
use serde_json::{Value, json};

/// A plan of two tasks, the second of two subtasks.
fn plan() -> Value {
    json!({"plan_id": "bakery", "goal": "Sell bread", "phases": [{"phase_id": "p1", "name": "First", "tasks": [
        {"task_id": "task_1_1", "title": "List cafés", "action": "list", "params": {"town": "Ghent"}},
        {"task_id": "task_1_2", "title": "Talk", "prerequisites": ["task_1_1"], "subtasks": [
            {"subtask_id": "task_1_2_a", "title": "Call", "action": "call"},
            {"subtask_id": "task_1_2_b", "title": "Write", "action": "write"}]}]}]})
}

struct Bakery {
    desk: Desk,
}

impl Bakery {
    /// An execution that is released, and two agents able to do all of it.
    async fn open(more: Value) -> Self {
        let this = Self { desk: Desk::open() };
        for agent in ["larry", "moe"] {
            let said = json!({"agent_id": agent, "name": agent, "capabilities": ["list", "call", "write"]});
            this.desk.send("POST", "/api/agents", &said).await.with(201);
        }
        let mut new = json!({"execution_id": "exec_1", "plan": plan()});
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let created = this.desk.send("POST", "/api/executions", &new).await.with(201).json();
        assert_eq!((&created["status"], &created["plan_id"]), (&json!("CREATED"), &json!("bakery")), "{created}");
        this.patch(json!({"status": "RUNNING"})).await.with(200);
        this
    }

    async fn patch(&self, patch: Value) -> Answer {
        self.desk.send("PATCH", "/api/executions/exec_1", &patch).await
    }

    async fn shown(&self) -> Value {
        self.desk.get("/api/executions/exec_1").await.with(200).json()
    }

    async fn work(&self, agent: &str) -> Value {
        self.desk.get(&format!("/api/agents/{agent}/work?wait=10s")).await.with(200).json()["next_task"].take()
    }

    /// What an agent says about a task.
    async fn say(&self, agent: &str, kind: &str, task: &str, more: Value) -> Answer {
        let mut event = json!({"agent_id": agent, "event_type": kind, "task_id": task});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.desk.send("POST", "/api/executions/exec_1/events", &event).await
    }

    async fn events(&self, query: &str) -> Vec<Value> {
        let list = self.desk.get(&format!("/api/executions/exec_1/events?{query}")).await.with(200).json();
        list.as_array().unwrap().clone()
    }
}

fn words(events: &[Value], field: &str) -> Vec<String> {
    events.iter().map(|event| event[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn an_execution_runs_from_its_creation_to_its_end() {
    let bakery = Bakery::open(json!({"agent_id": "larry"})).await;
    let shown = bakery.shown().await;
    assert_eq!(
        (&shown["status"], &shown["agent_id"], &shown["progress"]["tasks_total"]),
        (&json!("QUEUED"), &json!("larry"), &json!(3))
    );
    // One agent per execution, where one was named.
    bakery.desk.get("/api/agents/moe/work").await.with(204);

    let given = bakery.work("larry").await;
    assert_eq!(
        (&given["task_id"], &given["params"], &given["attempt"]),
        (&json!("task_1_1"), &json!({"town": "Ghent"}), &json!(1))
    );
    assert_eq!(given["context"]["plan_goal"], "Sell bread");
    // What is not reported comes again, and looking claims nothing.
    assert_eq!(bakery.work("larry").await["task_id"], "task_1_1");
    let shown = bakery.shown().await;
    assert_eq!((&shown["status"], &shown["current_task"]["task_id"]), (&json!("RUNNING"), &json!("task_1_1")));
    let answer = bakery.say("larry", "task_complete", "task_1_1", json!({"output_data": {"cafés": 7}})).await.with(201).json();
    assert_eq!((&answer["next_task_id"], &answer["completed"]), (&json!("task_1_2_a"), &json!(false)), "{answer}");
    let given = bakery.work("larry").await;
    assert_eq!(given["context"]["previous_tasks"], json!(["List cafés"]));
    bakery.say("larry", "subtask_complete", "task_1_2_a", json!({"status": "success"})).await.with(201);
    bakery.work("larry").await;
    let answer = bakery.say("larry", "task_complete", "task_1_2_b", json!({"message": "written"})).await.with(201).json();
    assert_eq!(
        (&answer["status"], &answer["next_task_id"], &answer["completed"]),
        (&json!("COMPLETED"), &Value::Null, &json!(true))
    );

    let shown = bakery.shown().await;
    assert_eq!((&shown["status"], &shown["progress"]["percent"]), (&json!("COMPLETED"), &json!(100)));
    let tasks = shown["tasks"].as_array().unwrap();
    assert!(tasks.iter().all(|task| task["status"] == "COMPLETE"), "{tasks:?}");
    assert_eq!(tasks.iter().find(|task| task["task_id"] == "task_1_2_b").unwrap()["parent_task_id"], "task_1_2");
    // Nothing follows an end.
    let refused = bakery.patch(json!({"status": "RUNNING"})).await.with(400).json();
    assert_eq!((&refused["code"], &refused["error"]), (&json!("TERMINAL_STATE"), &json!("Cannot update task in terminal state")));
}

#[tokio::test]
async fn a_plan_that_is_known_is_executed_once_more_by_its_name() {
    let bakery = Bakery::open(json!({})).await;
    let again =
        bakery.desk.send("POST", "/api/executions", &json!({"plan_id": "bakery", "agent_id": "moe"})).await.with(201).json();
    assert_eq!((&again["plan_id"], &again["progress"]["tasks_total"]), (&json!("bakery"), &json!(3)), "{again}");
    bakery
        .desk
        .send("PATCH", &format!("/api/executions/{}", again["id"].as_str().unwrap()), &json!({"status": "QUEUED"}))
        .await
        .with(200);
    assert_eq!(bakery.work("moe").await["params"], json!({"town": "Ghent"}));
    // A task that was submitted elsewhere is a plan, and an execution, as well.
    bakery.desk.submit(&json!({"title": "by hand", "external_id": "own", "action": "list"})).await;
    bakery.desk.send("POST", "/api/executions", &json!({"plan_id": "own"})).await.with(201);
    assert_eq!(bakery.desk.get("/api/executions/own").await.with(200).json()["status"], "QUEUED");

    let list = |query: &str| format!("/api/executions?{query}");
    let found = bakery.desk.get(&list("plan_id=bakery&status=QUEUED&limit=1")).await.with(200);
    assert_eq!(found.json().as_array().unwrap().len(), 1, "{}", found.json());
    let rest = bakery.desk.get(&list("plan_id=bakery&limit=1&offset=1")).await.with(200).json();
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["execution_id"]), (1, &json!("exec_1")));
    assert!(bakery.desk.get(&list("plan_id=bakery&limit=1")).await.header("link").contains("offset=1"));
    assert_eq!(bakery.desk.get(&list("plan_id=nothing")).await.json(), json!([]));
    let wrong = bakery.desk.get(&list("status=FLYING")).await.with(400).json();
    assert!(wrong["errors"][0]["message"].as_str().unwrap().contains("QUEUED"), "{wrong}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_field_and_what_is_unknown_is_404() {
    let bakery = Bakery::open(json!({})).await;
    for (method, path, body, code, field) in [
        ("POST", "/api/executions", json!({}), 400, "plan_id"),
        ("POST", "/api/executions", json!({"plan": {"phases": []}}), 400, "plan"),
        ("POST", "/api/executions", json!({"plan": "no plan at all"}), 400, "plan"),
        ("POST", "/api/executions", json!({"plan": {"steps": [{"action": "a"}]}}), 400, "plan_id"),
        ("POST", "/api/executions", json!({"plan_id": "ghost"}), 404, ""),
        ("POST", "/api/executions", json!({"plan_id": "bakery", "agent_id": "ghost"}), 404, ""),
        ("POST", "/api/executions", json!({"plna_id": "x"}), 400, "plna_id"),
        ("POST", "/api/agents", json!({"name": "x", "capabilities": []}), 400, "capabilities"),
        ("POST", "/api/agents", json!({"name": "x"}), 400, "capabilities"),
        ("PATCH", "/api/executions/exec_1", json!({}), 400, "status"),
        ("PATCH", "/api/executions/exec_1", json!({"status": "DANCING"}), 400, "status"),
        ("PATCH", "/api/executions/exec_1", json!({"agent_id": "ghost"}), 404, ""),
        ("PATCH", "/api/executions/ghost", json!({"status": "PAUSED"}), 404, ""),
        ("GET", "/api/executions/ghost", Value::Null, 404, ""),
        ("GET", "/api/executions/ghost/events", Value::Null, 404, ""),
        ("GET", "/api/executions?offset=99999", Value::Null, 400, "offset"),
        ("GET", "/api/agents/ghost", Value::Null, 404, ""),
        ("GET", "/api/agents/ghost/work", Value::Null, 404, ""),
        ("POST", "/api/executions/ghost/events", json!({"agent_id": "larry", "event_type": "heartbeat"}), 404, ""),
        ("POST", "/api/executions/exec_1/events", json!({"agent_id": "ghost", "event_type": "heartbeat"}), 404, ""),
        ("POST", "/api/executions/exec_1/events", json!({"agent_id": "larry", "event_type": "jump"}), 400, "event_type"),
        ("POST", "/api/executions/exec_1/events", json!({"agent_id": "larry", "event_type": "task_complete"}), 400, "task_id"),
        ("POST", "/api/executions/exec_1/events", json!({"event_type": "heartbeat"}), 400, "agent_id"),
    ] {
        let answer = match &body {
            Value::Null => bakery.desk.get(path).await,
            body => bakery.desk.send(method, path, body).await,
        };
        let json = answer.json();
        assert_eq!(answer.status, code, "{method} {path} {body}: {json}");
        let at = json["errors"][0]["field"].as_str().unwrap_or_default();
        assert!(field.is_empty() || at.starts_with(field) || json.to_string().contains(field), "{method} {path} {body}: {json}");
    }
    let refused = bakery.say("larry", "task_complete", "task_1_2", json!({})).await.with(400).json();
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("task_1_2_a"), "{refused}");
    bakery.say("larry", "task_complete", "task_9_9", json!({})).await.with(404);
    // Nothing of all that was kept.
    assert!(bakery.events("type=late_report_kept").await.is_empty());
}

#[tokio::test]
async fn a_failed_task_is_tried_again_and_one_that_is_held_up_waits_for_a_word() {
    let bakery = Bakery::open(json!({"agent_id": "larry"})).await;
    bakery.work("larry").await;
    let failed =
        bakery.say("larry", "task_error", "task_1_1", json!({"error_type": "timeout", "message": "slow"})).await.with(201);
    assert_eq!(failed.json()["status"], "RUNNING");
    let given = bakery.work("larry").await;
    assert_eq!((&given["task_id"], &given["attempt"]), (&json!("task_1_1"), &json!(2)));
    // Printed in the proposals: an address that bounces.
    let bounced = json!({"status": "error", "error_type": "external_dependency_blocked", "error_message": "The address bounced.",
        "human_review_required": true, "suggestions": ["call"], "blocking": true, "agent_timestamp": "2026-02-11T17:00:00Z"});
    let blocked = bakery.say("larry", "task_error", "task_1_1", bounced).await.with(201).json();
    assert_eq!((&blocked["status"], &blocked["human_review_required"]), (&json!("BLOCKED"), &json!(true)), "{blocked}");
    assert!(blocked["next_step_options"].as_array().unwrap().contains(&json!("resume_execution")));
    let shown = bakery.shown().await;
    assert_eq!((&shown["block_reason"], &shown["status"]), (&json!("EXTERNAL"), &json!("BLOCKED")));
    bakery.patch(json!({"status": "RUNNING"})).await.with(200);
    assert_eq!(bakery.work("larry").await["attempt"], 3);

    let errors = bakery.events("type=task_error").await;
    assert_eq!((errors[0]["message"].as_str(), errors[0]["error_type"].as_str()), (Some("slow"), Some("timeout")));
    let blocks = bakery.events("type=task_blocked&task_id=task_1_1").await;
    assert!(blocks[0]["message"].as_str().unwrap().contains("Suggested: call"), "{blocks:?}");
}

#[tokio::test]
async fn an_execution_is_held_goes_on_and_is_withdrawn() {
    let bakery = Bakery::open(json!({})).await;
    bakery.work("larry").await;
    assert_eq!(bakery.patch(json!({"status": "PAUSED", "reason": "lunch"})).await.with(200).json()["status"], "PAUSED");
    // Saying it again is no move.
    bakery.patch(json!({"status": "paused"})).await.with(200);
    let refused = bakery.patch(json!({"status": "QUEUED"})).await.with(400).json();
    assert_eq!(refused["code"], "ILLEGAL_TRANSITION");
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("RUNNING"), "{refused}");
    bakery.desk.get("/api/agents/moe/work").await.with(204);
    assert_eq!(bakery.patch(json!({"status": "RUNNING"})).await.with(200).json()["status"], "RUNNING");
    let version = bakery.shown().await["version"].as_u64().unwrap();
    bakery.patch(json!({"status": "CANCELLED", "expected_version": version - 1})).await.with(409);
    bakery.patch(json!({"status": "CANCELLED"})).await.with(200);
    // Whoever works hears of it, and has a moment to end.
    let answer = bakery.say("larry", "task_progress", "task_1_1", json!({"progress": 0.5})).await.with(200).json();
    assert_eq!(answer["force_cancel"], true, "{answer}");
    let given = bakery.desk.get("/api/agents/larry/work").await.with(200).json();
    assert_eq!((&given["force_cancel"], &given["force_pause"]), (&json!(true), &json!(false)));
    let answer = bakery.say("larry", "task_cancelled", "task_1_1", json!({})).await.with(201).json();
    assert_eq!((&answer["status"], &answer["completed"]), (&json!("CANCELLED"), &json!(true)));
}

#[tokio::test]
async fn only_who_holds_a_task_reports_on_it_and_lies_are_kept_as_evidence() {
    let bakery = Bakery::open(json!({})).await;
    let attempt = bakery.work("larry").await["attempt"].clone();
    for (agent, task, more) in [
        ("moe", "task_1_1", json!({})),
        ("moe", "task_1_1", json!({"attempt": attempt})),
        ("moe", "task_1_2_b", json!({})),
        ("larry", "task_1_2_a", json!({})),
        ("larry", "task_1_1", json!({"attempt": 7})),
    ] {
        let refused = bakery.say(agent, "task_complete", task, more).await.with(409).json();
        assert_eq!(refused["code"], "STALE_ATTEMPT", "{refused}");
    }
    bakery.say("moe", "task_progress", "task_1_1", json!({})).await.with(409);
    assert_eq!(bakery.events("type=late_report_kept").await.len(), 5);
    let first = bakery.say("larry", "task_complete", "task_1_1", json!({"output_data": 1})).await.with(201).json();
    // Its answer got lost: said again it is answered again, and counts once.
    let again = bakery.say("larry", "task_complete", "task_1_1", json!({"output_data": 1})).await.with(201).json();
    assert_eq!((&first["next_task_id"], &again["next_task_id"]), (&json!("task_1_2_a"), &json!("task_1_2_a")));
    assert_eq!((first["event_id"].is_string(), again["event_id"].is_string()), (true, false));
    // Done by another: a lie all the same.
    bakery.say("moe", "task_complete", "task_1_1", json!({})).await.with(409);
    assert_eq!(bakery.events("type=task_complete").await.len(), 1);
}

#[tokio::test]
async fn history_is_newest_first_by_pages_and_by_what_it_is_about() {
    let bakery = Bakery::open(json!({})).await;
    for task in ["task_1_1", "task_1_2_a"] {
        bakery.work("larry").await;
        bakery.say("larry", "task_complete", task, json!({"output_data": {"of": task}})).await.with(201);
    }
    let all = bakery.events("").await;
    let versions: Vec<u64> = all.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    assert!(versions.is_sorted_by(|a, b| a > b) && versions.last() == Some(&1), "{versions:?}");
    assert_eq!(all.last().unwrap()["event_type"], "execution_created");
    let mut paged = Vec::new();
    for offset in (0..all.len()).step_by(2) {
        paged.extend(bakery.events(&format!("limit=2&offset={offset}")).await);
    }
    assert_eq!(paged, all);
    // The link leads to the rest.
    let mut at = "/api/executions/exec_1/events?limit=3".to_owned();
    let mut linked = Vec::new();
    loop {
        let page = bakery.desk.get(&at).await.with(200);
        linked.extend(page.json().as_array().unwrap().clone());
        match page.header("link").split(['<', '>']).nth(1) {
            Some(next) => at = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(linked, all);

    let done = bakery.events("type=task_complete").await;
    assert_eq!(words(&done, "task_id"), ["task_1_2_a", "task_1_1"]);
    assert_eq!((&done[1]["output"], &done[1]["agent_id"]), (&json!({"of": "task_1_1"}), &json!("larry")));
    assert_eq!(bakery.events("type=task_complete&limit=1&offset=1").await, [done[1].clone()]);
    let about = bakery.events("task_id=task_1_1").await;
    assert_eq!(words(&about, "event_type"), ["task_complete", "task_started"]);
    assert_eq!(
        bakery.events("type=ATTEMPT_SUCCEEDED&task_id=1.1").await,
        bakery.events("task_id=task_1_1&type=task_complete").await
    );
    assert!(bakery.events("type=task_complete&task_id=task_1_2_b").await.is_empty());
}

#[tokio::test]
async fn an_agent_that_falls_silent_blocks_its_execution_until_another_takes_over() {
    let bakery = Bakery::open(json!({"agent_id": "larry", "heartbeat_timeout": "500ms"})).await;
    let mut feed = bakery.desk.engine.feed(bakery.desk.engine.position());
    bakery.work("larry").await;
    'silence: loop {
        for event in feed.next(10).await.unwrap() {
            if event.kind == "STEP_BLOCKED" {
                break 'silence;
            }
        }
    }
    let shown = bakery.shown().await;
    assert_eq!((&shown["status"], &shown["block_reason"]), (&json!("BLOCKED"), &json!("AGENT_OFFLINE")), "{shown}");
    // Nobody else gets it by itself.
    bakery.desk.get("/api/agents/moe/work").await.with(204);
    let handed = bakery.patch(json!({"agent_id": "moe", "status": "RUNNING", "reason": "larry is away"})).await.with(200).json();
    assert_eq!((&handed["agent_id"], &handed["status"]), (&json!("moe"), &json!("RUNNING")), "{handed}");
    bakery.desk.get("/api/agents/larry/work").await.with(204);
    let given = bakery.work("moe").await;
    assert_eq!((&given["task_id"], &given["attempt"]), (&json!("task_1_1"), &json!(2)));
    // Larry comes back too late.
    bakery.say("larry", "task_complete", "task_1_1", json!({})).await.with(409);
    bakery.say("moe", "task_complete", "task_1_1", json!({})).await.with(201);
    assert_eq!(bakery.work("moe").await["task_id"], "task_1_2_a");
}

#[tokio::test]
async fn agents_of_older_interfaces_may_be_silent_for_half_an_hour_and_then_block() {
    let bakery = Bakery::open(json!({})).await;
    let id = bakery.shown().await["id"].as_str().unwrap().to_owned();
    let lease = bakery.work("larry").await;
    let held = bakery.desk.get("/api/v1/agents/larry").await.json()["leases"][0]["lease_ms"].as_u64().unwrap();
    // With the grace of a quarter: 30 minutes.
    assert_eq!((held + held / 4, lease["task_id"].as_str()), (30 * 60_000, Some("task_1_1")));
    let task = bakery.desk.get(&format!("/api/v1/tasks/{id}")).await.json();
    assert_eq!((&task["on_agent_lost"], &task["heartbeat_timeout"]), (&json!("block"), &json!("24m")), "{task}");

    let invoice = bakery.desk.submit(&json!({"type": "INVOICE", "payload": {}})).await;
    let task = bakery.desk.get(&invoice).await.json();
    assert_eq!((&task["on_agent_lost"], &task["heartbeat_timeout"]), (&json!("block"), &json!("24m")), "{task}");
    // Whoever says something else is believed.
    let said = json!({"type": "INVOICE", "payload": {}, "onAgentLost": "REOFFER", "heartbeatTimeout": "5m"});
    let task = bakery.desk.get(&bakery.desk.submit(&said).await).await.json();
    assert_eq!((&task["on_agent_lost"], &task["heartbeat_timeout"]), (&json!("reoffer"), &json!("5m")), "{task}");
    let own = bakery.desk.get(&bakery.desk.submit(&json!({"title": "x"})).await).await.json();
    assert_eq!((&own["on_agent_lost"], &own["heartbeat_timeout"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn looking_for_work_with_head_claims_nothing_and_idle_agents_hear_when_to_ask_again() {
    let bakery = Bakery::open(json!({})).await;
    bakery.desk.ask("HEAD", "/api/agents/larry/work", &[], Body::empty()).await.with(204);
    assert_eq!(bakery.shown().await["tasks"][1]["attempt"], 0);
    bakery.work("larry").await;
    assert_eq!(bakery.desk.get("/api/agents/moe/work").await.with(204).header("retry-after"), "300");
    let agents = bakery.desk.get("/api/agents?capability=call&limit=1&offset=1").await.with(200).json();
    assert_eq!((agents.as_array().unwrap().len(), &agents[0]["agent_id"]), (1, &json!("moe")));
    // Said again it is the same agent.
    let said = json!({"agent_id": "larry", "name": "Larry", "capabilities": [{"action": "call", "params": ["number"]}]});
    let again = bakery.desk.send("POST", "/api/agents", &said).await.with(200).json();
    assert_eq!((&again["name"], &again["capabilities"]), (&json!("Larry"), &json!(["call"])));
    let by_id = json!({"agent_id": again["id"], "name": "Larry", "capabilities": ["call"]});
    assert_eq!(bakery.desk.send("POST", "/api/agents", &by_id).await.with(200).json()["agent_id"], "larry");
}

#[tokio::test]
async fn a_patch_that_says_two_things_does_both_or_neither() {
    let bakery = Bakery::open(json!({"agent_id": "larry"})).await;
    let before = bakery.shown().await;
    for (wish, status) in [
        (json!({"agent_id": "moe", "status": "COMPLETED"}), 400),
        (json!({"agent_id": "moe", "status": "PAUSED", "expected_version": 1}), 409),
        (json!({"agent_id": "nobody", "status": "PAUSED"}), 404),
        (json!({"status": "RUNNING", "stop_running": true}), 400),
    ] {
        bakery.patch(wish.clone()).await.with(status);
        let after = bakery.shown().await;
        assert_eq!((&after["agent_id"], &after["version"]), (&before["agent_id"], &before["version"]), "{wish}");
    }
    bakery.work("larry").await;
    let both = bakery.patch(json!({"agent_id": "moe", "status": "PAUSED", "stop_running": true})).await.with(200).json();
    assert_eq!((&both["agent_id"], &both["status"]), (&json!("moe"), &json!("PAUSED")));
    let told = bakery.say("larry", "heartbeat", "task_1_1", json!({})).await.with(200).json();
    assert_eq!(told["force_pause"], true, "who works on it is told to stop: {told}");
}

#[tokio::test]
async fn what_an_agent_does_not_say_here_stays_as_it_was_said_elsewhere() {
    let desk = Desk::open();
    let said = json!({"name": "Larry", "external_id": "larry", "role": "executor", "capabilities": ["call", "list"], "slots": 2,
        "models": ["gpt-4"], "resources": {"cpu_cores": 4}, "tier": "premium"});
    desk.send("POST", "/api/v1/agents", &said).await.with(201);
    let short = json!({"agent_id": "larry", "name": "Larry", "capabilities": ["call"]});
    let known = desk.send("POST", "/api/agents", &short).await.with(200).json();
    for field in ["role", "slots", "models", "resources", "tier"] {
        assert_eq!(known[field], said[field], "{field}: {known}");
    }
    assert_eq!(known["capabilities"], json!(["call"]));
    let more = json!({"agent_id": known["id"], "name": "Larry", "capabilities": ["call"], "role": "caller", "slots": 3,
        "models": ["opus"], "resources": {"gpu_memory_mb": 8}, "tier": "cheap"});
    let known = desk.send("POST", "/api/agents", &more).await.with(200).json();
    for field in ["role", "slots", "models", "resources", "tier"] {
        assert_eq!(known[field], more[field], "{field}: {known}");
    }
    assert_eq!(desk.get("/api/v1/agents/larry").await.json()["slots"], 3, "one agent by two names");
    let wrong = json!({"agent_id": "larry", "name": "Larry", "capabilities": ["call"], "slots": 0});
    assert_eq!(desk.send("POST", "/api/agents", &wrong).await.with(400).json()["errors"][0]["field"], "slots");
}

#[tokio::test]
async fn a_creation_that_is_said_again_with_its_key_creates_once() {
    let desk = Desk::open();
    let body = json!({"plan": plan()}).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "k1")];
    let create = || desk.ask("POST", "/api/executions", &headers, body.clone());
    let (first, again) = (create().await.with(201).json(), create().await.with(201).json());
    assert_eq!(first["id"], again["id"]);
    desk.ask("POST", "/api/executions", &headers, json!({"plan": plan(), "execution_id": "x"}).to_string()).await.with(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_of_a_task_is_shown_as_it_was_reported_with_what_was_said_beside_it() {
    let bakery = Bakery::open(json!({})).await;
    bakery.work("larry").await;
    let done = json!({"status": "success", "output_data": {"cafes": 3}, "message": "there were more, but closed"});
    bakery.say("larry", "task_complete", "task_1_1", done).await.with(201);
    let shown = bakery.shown().await;
    let task = shown["tasks"].as_array().unwrap().iter().find(|task| task["task_id"] == "task_1_1").unwrap().clone();
    assert_eq!((&task["result"], &task["message"]), (&json!({"cafes": 3}), &json!("there were more, but closed")), "{task}");
    let told = bakery.events("type=task_complete&task_id=task_1_1").await;
    assert_eq!(
        (&told[0]["output"], &told[0]["message"]),
        (&json!({"cafes": 3}), &json!("there were more, but closed")),
        "{told:?}"
    );
    // What is large stands behind a link, with the same words.
    bakery.work("larry").await;
    let large = "x".repeat(20 << 10);
    bakery.say("larry", "subtask_complete", "task_1_2_a", json!({"result": large, "message": "long"})).await.with(201);
    let shown = bakery.shown().await;
    let task = shown["tasks"].as_array().unwrap().iter().find(|task| task["task_id"] == "task_1_2_a").unwrap().clone();
    assert_eq!((&task["result"], &task["message"]), (&Value::Null, &json!("long")), "{task}");
    let outputs = bakery.desk.get(task["result_link"].as_str().unwrap()).await.with(200).json();
    assert!(outputs.as_array().unwrap().iter().any(|o| o["output"] == large.as_str() && o["message"] == "long"), "{outputs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_task_that_nobody_knows_are_an_error_of_the_parameter() {
    let bakery = Bakery::open(json!({})).await;
    let refused = bakery.desk.get("/api/executions/exec_1/events?task_id=bogus").await.with(400).json();
    assert_eq!(refused["errors"][0]["field"], "task_id", "{refused}");
    for known in ["task_1_1", "task_1_2_a", "1.1", "9.9"] {
        bakery.events(&format!("task_id={known}")).await;
    }
}
