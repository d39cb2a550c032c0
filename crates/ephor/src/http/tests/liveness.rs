//! How agents and their leases look from outside.

use super::house::House;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_waits_works_and_is_told_apart_wherever_it_is_shown() {
    let house = House::new(true);
    let agent = house.agent("moe", None).await;
    let at = format!("/api/v1/agents/{agent}");
    let shown = house.ask("GET", &at, None, None).await.json;
    assert!(shown.get("liveness").is_none(), "nothing was heard of it yet: {shown}");
    assert_eq!(house.ask("GET", &format!("{at}/work"), None, None).await.status, 204);
    assert_eq!(house.ask("GET", &at, None, None).await.json["liveness"], "WAITING");
    let task = house.task("default").await;
    let work = house.ask("GET", &format!("{at}/work"), None, None).await.json;
    let shown = house.ask("GET", &at, None, None).await.json;
    assert_eq!((&shown["liveness"], &shown["leases"][0]["liveness"]), (&json!("LIVE"), &json!("LIVE")), "{shown}");
    assert!(shown["leases"][0]["silent_ms"].is_u64() && shown.get("probation").is_none(), "{shown}");
    let listed = house.ask("GET", "/api/v1/agents", None, None).await.json;
    assert_eq!(listed[0]["liveness"], "LIVE");
    let waiting = house.ask("GET", &format!("/api/v1/tasks/{task}/waiting"), None, None).await.json;
    assert_eq!((&waiting[0]["reason"], &waiting[0]["liveness"]), (&json!("RUNNING"), &json!("LIVE")), "{waiting}");
    // A person takes hold of it: nothing is expected of its agent.
    house.ask("POST", &format!("/api/v1/tasks/{task}/pause"), None, Some(json!({}))).await;
    assert_eq!(house.ask("GET", &at, None, None).await.json["liveness"], "WAITING");
    house.ask("POST", &format!("/api/v1/tasks/{task}/resume"), None, Some(json!({}))).await;
    assert_eq!(house.ask("GET", &at, None, None).await.json["liveness"], "LIVE");
    let wid = format!("/api/v1/work/{}", work["id"].as_str().unwrap());
    let done = json!({"agent_id": agent, "attempt": 1, "outcome": {"SUCCEEDED": {}}});
    house.ask("POST", &format!("{wid}/report"), None, Some(done)).await;
    assert_eq!(house.ask("GET", &at, None, None).await.json["liveness"], "WAITING");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_what_follows_it_are_shown() {
    let house = House::new(true);
    let agent = house.agent("moe", None).await;
    let at = format!("/api/v1/agents/{agent}");
    let made = json!({"title": "x", "action": "work", "heartbeat_timeout": "500ms", "on_agent_lost": "block"});
    let task = house.ask("POST", "/api/v1/tasks", None, Some(made)).await.json["id"].as_str().unwrap().to_owned();
    let mut feed = house.server.engine().feed(house.server.engine().position());
    house.ask("GET", &format!("{at}/work"), None, None).await;
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let shown = house.ask("GET", &at, None, None).await.json;
        let word = shown["leases"][0]["liveness"].clone();
        if word.is_string() && seen.last() != Some(&word) {
            seen.push(word);
        }
        let blocked = tokio::time::timeout(std::time::Duration::from_millis(5), feed.next(10)).await;
        if blocked.is_ok_and(|events| events.unwrap().iter().any(|event| event.kind == "STEP_BLOCKED")) {
            break;
        }
    }
    // Whatever was seen of it came in this order.
    let order = ["LIVE", "SLOW", "SILENT", "DEAD"];
    let places: Vec<usize> = seen.iter().map(|word| order.iter().position(|o| word == o).unwrap()).collect();
    assert!(places.is_sorted(), "{seen:?}");
    let shown = house.ask("GET", &at, None, None).await.json;
    assert_eq!(shown["probation"], 1, "{shown}");
    house.ask("POST", &format!("/api/v1/tasks/{task}/reassign"), None, Some(json!({}))).await;
}
