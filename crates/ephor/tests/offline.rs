//! An agent that falls silent, from a configuration file to the word of a person: blocked, in the inbox, reassigned, and too late.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, text};
use serde_json::{Value, json};

#[test]
fn the_work_of_a_silent_agent_stands_in_the_inbox_until_it_is_reassigned() {
    let house = House::new();
    std::fs::write(house.path("ephor.yaml"), "policy: {lease: 500ms, on_agent_lost: block}\n").unwrap();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let at = ["--server", server.url.as_str()];
    let ask = |method: &str, path: &str, body: &Value| house.json(&["api", method, path, "-d", &body.to_string(), at[0], at[1]]);
    let agent = |name: &str| {
        let said = json!({"name": name, "external_id": name, "capabilities": ["do"]});
        ask("POST", "/api/v1/agents", &said)["id"].as_str().unwrap().to_owned()
    };
    let (moe, larry) = (agent("moe"), agent("larry"));
    let task = house.submit(&server, &json!({"title": "Bake", "action": "do", "agent": moe}));
    let work = house.json(&["api", "GET", &format!("/api/v1/agents/{moe}/work"), at[0], at[1]]);
    let wid = format!("/api/v1/work/{}", work["id"].as_str().unwrap());

    // Moe says nothing any more.
    let watched = house.run(&["task", "watch", &task, "--until", "blocked", "--timeout", "60s", at[0], at[1]]);
    assert_eq!(watched.status.code(), Some(6), "{}", text(&watched.stderr));
    let inbox = house.json(&["inbox", "--json", at[0], at[1]]);
    assert_eq!((&inbox[0]["task_id"], &inbox[0]["reason"]), (&json!(task), &json!("AGENT_OFFLINE")), "{inbox}");
    assert_eq!(inbox[0]["acts"][0]["command"], format!("ephor task reassign {task}"));
    let who = format!("its agent fell silent: {moe} was given up at 2");
    assert!(inbox[0]["why"][0].as_str().unwrap().starts_with(&who), "who, and since when: {inbox}");
    let why = house.json(&["why", &task, "--json", at[0], at[1]]);
    assert!(why[0]["what"].as_str().unwrap().starts_with(&who), "{why}");
    let log = std::fs::read_to_string(house.path("server.log")).unwrap();
    let warned = log.lines().find(|line| line.contains("WARN") && line.contains("AGENT_OFFLINE"));
    assert!(warned.is_some_and(|line| line.contains(&moe) && line.contains(&task)), "{log}");

    // The act that the inbox names.
    let reassigned =
        house.json(&["task", "reassign", &task, "--agent", &larry, "--reason", "moe is gone", "--json", at[0], at[1]]);
    assert_eq!((&reassigned["status"], &reassigned["agent"]), (&json!("IN_PROGRESS"), &json!(larry)), "{reassigned}");
    assert_eq!(house.json(&["inbox", "--json", at[0], at[1]]), json!([]));
    let again = house.run(&["task", "reassign", &task, "--agent", &larry, at[0], at[1]]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));

    // Moe comes back too late: kept as evidence, and nothing else.
    let late = json!({"agent_id": moe, "attempt": 1, "outcome": {"SUCCEEDED": {}}});
    let late = house.run(&["api", "POST", &format!("{wid}/report"), "-d", &late.to_string(), at[0], at[1], "--json"]);
    assert!(text(&late.stderr).contains("STALE_ATTEMPT"), "{}", text(&late.stderr));
    let events = house.json(&["task", "events", &task, "--json", at[0], at[1]]);
    let kinds: Vec<&str> = events.as_array().unwrap().iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["SUBMITTED", "ASSIGNED", "STEP_BLOCKED", "REASSIGNED", "LATE_REPORT_KEPT"]);
}

#[test]
fn or_by_the_house_after_its_time() {
    let house = House::new();
    let file = "policy: {lease: 500ms, on_agent_lost: block, reassign_after: 500ms}\n";
    std::fs::write(house.path("house.yaml"), file).unwrap();
    let server = house.serve("127.0.0.1:0", &["--no-agents", "--config", "house.yaml"]);
    let at = ["--server", server.url.as_str()];
    let said = json!({"name": "moe", "external_id": "moe", "capabilities": ["do"]}).to_string();
    house.json(&["api", "POST", "/api/v1/agents", "-d", &said, at[0], at[1]]);
    let task = house.submit(&server, &json!({"title": "Bake", "action": "do"}));
    let take = || house.run(&["api", "GET", "/api/v1/agents/moe/work?wait=30s", at[0], at[1]]);
    let first: Value = serde_json::from_slice(&take().stdout).unwrap();
    assert_eq!(first["attempt"], 1);
    // It waits for work, says nothing of what it had, and gets that again once the house has waited for it.
    let second: Value = loop {
        let next: Value = serde_json::from_slice(&take().stdout).unwrap();
        if next["attempt"] != 1 {
            break next;
        }
    };
    assert_eq!((&second["task_id"], &second["attempt"]), (&json!(task), &json!(2)));
    let events = house.json(&["task", "events", &task, "--json", at[0], at[1]]);
    let reassigned = events.as_array().unwrap().iter().find(|event| event["type"] == "REASSIGNED").unwrap();
    assert_eq!(reassigned["data"]["cause"], "AGENT_OFFLINE", "{reassigned}");
}
