//! Work that is taken from an agent, and how agents look from outside.

use super::house::House;
use serde_json::{Value, json};

#[tokio::test]
async fn work_is_taken_from_one_agent_and_given_to_another() {
    let house = House::new(true);
    let (moe, larry) = (house.agent("moe", None).await, house.agent("larry", None).await);
    let task = house.task("default").await;
    let at = format!("/api/v1/tasks/{task}");
    let nothing = house.ask("POST", &format!("{at}/reassign"), None, Some(json!({}))).await;
    assert_eq!((nothing.status.as_u16(), nothing.json["code"].as_str()), (400, Some("ILLEGAL_TRANSITION")), "{}", nothing.json);
    let taken = house.ask("GET", &format!("/api/v1/agents/{moe}/work"), None, None).await.json;
    let wrong = house.ask("POST", &format!("{at}/reassign"), None, Some(json!({"to": larry}))).await;
    assert_eq!(wrong.status.as_u16(), 400);
    let said = json!({"agent": larry, "reason": "moe is slow"});
    let given = house.ask("POST", &format!("{at}/reassign"), None, Some(said)).await;
    assert_eq!((given.status.as_u16(), &given.json["agent"]), (200, &json!(larry)), "{}", given.json);
    assert_eq!(house.ask("GET", &format!("/api/v1/agents/{moe}/work"), None, None).await.status, 204);
    let work = house.ask("GET", &format!("/api/v1/agents/{larry}/work"), None, None).await.json;
    assert_eq!((&work["id"], &work["attempt"]), (&taken["id"], &json!(2)));
    // The first one hears that it is late; its word is kept, and changes nothing.
    let wid = format!("/api/v1/work/{}", work["id"].as_str().unwrap());
    let late = json!({"agent_id": moe, "attempt": 1, "outcome": {"SUCCEEDED": {}}});
    let late = house.ask("POST", &format!("{wid}/report"), None, Some(late)).await;
    assert_eq!((late.status.as_u16(), late.json["code"].as_str()), (409, Some("STALE_ATTEMPT")));
    let events = house.ask("GET", &format!("{at}/events"), None, None).await.json;
    let kinds: Vec<&str> = events.as_array().unwrap().iter().filter_map(|event| event["type"].as_str()).collect();
    assert!(kinds.contains(&"REASSIGNED") && kinds.contains(&"LATE_REPORT_KEPT"), "{kinds:?}");
    let left = house.ask("GET", &format!("{at}/interventions"), None, None).await.json;
    assert_eq!(left[0]["type"], "REASSIGNED", "{left}");
    let done = json!({"agent_id": larry, "attempt": 2, "outcome": {"SUCCEEDED": {}}});
    assert_eq!(house.ask("POST", &format!("{wid}/report"), None, Some(done)).await.json["status"], "COMPLETED");
}

#[tokio::test]
async fn a_task_may_be_about_another() {
    let house = House::new(true);
    let task = house.task("default").await;
    let made = json!({"title": "look into it", "related_task_id": task});
    let made = house.ask("POST", "/api/v1/tasks", None, Some(made)).await.json;
    let shown = house.ask("GET", &format!("/api/v1/tasks/{}", made["id"].as_str().unwrap()), None, None).await.json;
    assert_eq!(shown["related_task_id"], Value::String(task));
}
