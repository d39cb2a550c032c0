//! Tasks that come again, as a list, and by the tasks that stand for them.

use super::desk::Desk;
use super::house::{House, TOKEN};
use serde_json::{Value, json};

async fn series(desk: &Desk, query: &str) -> Vec<Value> {
    desk.get(&format!("/api/v1/schedules{query}")).await.with(200).json().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_come_again_are_listed_with_their_next_runs_held_and_ended() {
    let desk = Desk::open();
    desk.submit(&json!({"title": "once", "action": "work"})).await;
    assert_eq!(series(&desk, "").await, Vec::<Value>::new());
    let daily = json!({"cron": "0 9 * * *", "time_zone": "Europe/Berlin"});
    let task = desk.submit(&json!({"title": "daily", "action": "work", "recurrence": daily})).await;
    let often = json!({"every": "1h", "times": 3, "overlap": "ALLOW"});
    desk.submit(&json!({"title": "often", "action": "work", "recurrence": often})).await;
    let found = series(&desk, "").await;
    let told: Vec<_> = found.iter().map(|one| (&one["title"], &one["run"], one["next_runs"].as_array().unwrap().len())).collect();
    // Runs that stand beside each other: the first is at work, the second stands for those to come.
    assert_eq!(told, [(&json!("often"), &json!(2), 2), (&json!("daily"), &json!(1), 5)], "{found:?}");
    assert_eq!((&found[1]["recurrence"], &found[1]["status"]), (&daily, &json!("PENDING")));
    let first = desk.get("/api/v1/schedules?limit=1").await.with(200);
    assert!(first.header("link").contains("rel=\"next\""));

    desk.send("POST", &format!("{task}/pause"), &json!({"reason": "not now"})).await.with(200);
    assert_eq!(series(&desk, "").await[1]["status"], "PAUSED");
    desk.send("POST", &format!("{task}/resume"), &json!({})).await.with(200);
    assert_eq!(series(&desk, "").await[1]["status"], "PENDING");
    desk.send("POST", &format!("{task}/cancel"), &json!({"reason": "no longer"})).await.with(200);
    assert_eq!(series(&desk, "").await.len(), 1);
    assert_eq!(series(&desk, "?namespace=elsewhere").await.len(), 0);
    assert_eq!(desk.get("/api/v1/schedules?limit=0").await.with(400).json()["errors"][0]["field"], "limit");
    let rows = desk.get("/api/v1/tasks?recurring=true").await.with(200).json();
    assert_eq!(rows.as_array().unwrap().len(), 2, "both runs: {rows}");
}

#[tokio::test]
async fn nobody_sees_the_schedules_of_another_namespace() {
    let house = House::new(false);
    for namespace in ["a", "b"] {
        let made = json!({"title": namespace, "action": "work", "namespace": namespace, "recurrence": {"cron": "@daily"}});
        assert_eq!(house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(made)).await.status, 201);
    }
    let key = house.key(json!({"name": "a", "roles": ["viewer"], "namespace": "a"})).await;
    let titles = async |query: &str, key: &str| {
        let found = house.ask("GET", &format!("/api/v1/schedules{query}"), Some(key), None).await.json;
        found.as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(titles("", &key).await, ["a"]);
    assert!(titles("?namespace=b", &key).await.is_empty());
    assert_eq!(titles("", TOKEN).await, ["b", "a"]);
}
