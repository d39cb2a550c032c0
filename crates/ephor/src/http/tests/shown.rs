//! What is shown of a task, its plan, its result and its agents.

use super::desk::Desk;
use ephor_core::work::{Success, Unguarded};
use serde_json::{Value, json};

async fn finding(desk: &Desk, task: &str) -> Value {
    desk.get(&format!("{task}/result")).await.with(200).json()["quality_report"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_judged_is_not_said_to_be_met() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "action": "a", "requirements": ["must be blue"]})).await;
    let agent = desk.agent(&["a"]).await;
    let item = desk.claim(agent).await;
    desk.done(agent, &item, Success::default()).await;
    let report = finding(&desk, &task).await;
    assert_eq!(report["passed"], Value::Null, "{report}");
    let expected = json!([{"requirement": "must be blue", "kind": "REQUIREMENT", "finding": "NOT_JUDGED"}]);
    assert_eq!(report["requirements"], expected);

    let task = desk.submit(&json!({"title": "x", "action": "a", "max_retries": 0})).await;
    desk.decide("POST", &format!("{task}/override"), &json!({"decision": "FAIL", "reason": "no"})).await.with(200);
    assert_eq!(finding(&desk, &task).await["passed"], Value::Null, "a task that failed passed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_names_a_requirement_judges_it() {
    let desk = Desk::open();
    let gate = json!({"kind": "FUNCTIONAL_TEST", "criteria": ["Must be blue"], "advisory": true});
    let task = desk
        .submit(&json!({"title": "x", "requirements": ["must be blue", "must be large"], "acceptance_criteria": ["ann likes it"],
                        "plan": {"steps": [{"action": "a", "gates": [gate]}]}}))
        .await;
    let agent = desk.agent(&["a"]).await;
    let item = desk.claim(agent).await;
    let evidence = serde_json::from_value(json!([{"kind": "FUNCTIONAL_TEST", "passed": false, "score": 0.25}])).unwrap();
    desk.done(agent, &item, Success { evidence, ..Success::default() }).await;
    let report = finding(&desk, &task).await;
    let found: Vec<_> = report["requirements"].as_array().unwrap().iter().map(|r| r["finding"].as_str().unwrap()).collect();
    assert_eq!(found, ["UNMET", "NOT_JUDGED", "NOT_JUDGED"], "{report}");
    assert_eq!(report["requirements"][0]["by"], json!(["gate of step 1: FUNCTIONAL_TEST"]));
    assert_eq!(report["passed"], false);
    let progress = desk.get(&format!("{task}/progress")).await.with(200).json();
    assert_eq!(progress["step_progress"]["1"]["quality_score"], 0.25, "{progress}");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_says_when_it_is_expected_to_be_done_where_that_is_known() {
    let desk = Desk::open();
    let steps = json!([{"id": "a", "action": "a", "estimate": "1h"}, {"action": "b", "estimate": "2h", "needs": ["a"]}]);
    let task = desk.submit(&json!({"title": "x", "plan": {"steps": steps}})).await;
    let agent = desk.agent(&["a"]).await;
    desk.claim(agent).await;
    let told = desk.get(&format!("{task}/progress")).await.with(200).json();
    let (whole, first) = (&told["estimated_completion"], &told["step_progress"]["1"]["estimated_completion"]);
    assert!(whole.is_string() && first.is_string() && first.as_str() < whole.as_str(), "{told}");
    assert!(told["metrics"]["elapsed"].is_string() && told["metrics"]["remaining"].is_string(), "{told}");
    let unknown = desk.submit(&json!({"title": "y", "action": "c"})).await;
    let told = desk.get(&format!("{unknown}/progress")).await.with(200).json();
    assert_eq!((&told["estimated_completion"], &told["metrics"]["remaining"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_a_tree_is_unique_there() {
    let desk = Desk::open();
    let inner = json!({"title": "inner", "plan": {"steps": [{"action": "task.run", "params": {"request": {"title": "leaf"}}}]}});
    let steps = json!([{"action": "noop"}, {"action": "task.run", "params": {"request": inner}}]);
    let root = desk.submit(&json!({"title": "root", "plan": {"steps": steps}})).await;
    let id = root.rsplit('/').next().unwrap().to_owned();
    for title in ["one", "two"] {
        desk.submit(&json!({"title": title, "parent_task_id": id})).await;
    }
    let place = async |title: &str| {
        let all = desk.get("/api/v1/tasks?limit=100").await.with(200).json();
        let row =
            all.as_array().unwrap().iter().find(|row| row["title"] == title).unwrap_or_else(|| panic!("{title}: {all}")).clone();
        assert!(row["updated_at"].is_string(), "{row}");
        desk.get(&format!("/api/v1/tasks/{}", row["id"].as_str().unwrap())).await.with(200).json()["hierarchical_id"].clone()
    };
    let places = [place("root").await, place("inner").await, place("leaf").await, place("one").await, place("two").await];
    assert_eq!(places, [Value::Null, json!("2"), json!("2.1"), json!("0.2"), json!("0.3")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_work_of_a_task_and_which_plan_it_follows_is_shown() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "action": "a"})).await;
    let agent = desk.agent(&["a"]).await;
    desk.claim(agent).await;
    let shown = desk.get(&task).await.with(200).json();
    assert_eq!(shown["claimed_by"], json!(agent));
    assert_eq!(desk.get(&format!("{task}/plan")).await.json()["execution_plan_id"], shown["execution_plan_id"]);
    assert!(shown["execution_plan_id"].as_str().unwrap().starts_with("plan_"), "{shown}");
    assert_eq!(desk.get("/api/v1/tasks").await.json()[0]["claimed_by"], json!(agent));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lifecycle_says_what_each_status_waits_for_and_how_long() {
    let desk = Desk::open();
    let stages = desk.get("/api/v1/lifecycle").await.with(200).json();
    let of = |status: &str| stages.as_array().unwrap().iter().find(|stage| stage["status"] == status).unwrap().clone();
    assert_eq!(
        (&of("PAUSED")["kind"], &of("REVIEW")["kind"], &of("FAILED")["kind"]),
        (&json!("HELD"), &json!("ACTIVE"), &json!("FINAL"))
    );
    let gate = &of("REVIEW")["waits"][0];
    assert_eq!((&gate["limit"], &gate["policy"]), (&json!("30m"), &json!("gate_wait")), "{gate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_says_where_it_can_be_watched() {
    let desk = Desk::open();
    let said = |address: &str| json!({"name": "w", "capabilities": ["a"], "monitoring_endpoints": [address]});
    let made = desk.decide("POST", "/api/v1/agents", &said("https://w.example/metrics")).await.json();
    let shown = desk.get(&format!("/api/v1/agents/{}", made["id"].as_str().unwrap())).await.with(200).json();
    assert_eq!(shown["monitoring_endpoints"], json!(["https://w.example/metrics"]), "{shown}");
    let refused = desk.decide("POST", "/api/v1/agents", &said("file:///etc/passwd")).await.with(400).json();
    assert!(refused.to_string().contains("monitoring_endpoints"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unguarded_act_is_shown_wherever_effects_are() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "plan": {"steps": [{"action": "mail", "acts": true}]}})).await;
    let agent = desk.agent(&["mail"]).await;
    let item = desk.claim(agent).await;
    let act = Unguarded { action: "email.send".into(), description: "to ann".into(), key: Some("k1".into()) };
    desk.done(agent, &item, Success { unguarded: vec![act], ..Success::default() }).await;
    let effects = desk.get(&format!("{task}/effects")).await.with(200).json();
    let effect = &effects[0];
    assert_eq!(
        (&effect["guarded"], &effect["outcome"], &effect["action"]),
        (&json!(false), &json!("DONE"), &json!("email.send"))
    );
    assert_eq!((&effect["description"], &effect["key"]), (&json!("to ann"), &json!("k1")));
    assert_eq!(desk.get(&task).await.json()["unguarded_effects"], 1);
    assert_eq!(desk.get(&format!("{task}/result")).await.json()["unguarded_effects"], effects);
    let events = desk.get(&format!("{task}/events?type=attempt_succeeded")).await.with(200).json();
    assert_eq!(events[0]["data"]["unguarded"], json!(["email.send"]), "{events}");
}
