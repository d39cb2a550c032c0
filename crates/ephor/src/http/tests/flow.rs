//! Holds and limits over HTTP.

use super::house::{House, TOKEN};
use serde_json::{Value, json};

/// What an agent is given, if anything.
async fn next(house: &House, agent: &str) -> Value {
    let wish = json!({"max": 1, "wait": "0s"});
    let answer = house.ask("POST", &format!("/api/v1/agents/{agent}/work/claim"), Some(TOKEN), Some(wish)).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer.json[0].clone()
}

async fn why(house: &House, task: &str) -> Value {
    house.ask("GET", &format!("/api/v1/tasks/{task}/waiting"), Some(TOKEN), None).await.json
}

#[tokio::test]
async fn what_is_held_waits_with_a_reason_until_the_hold_is_lifted() {
    let house = House::new(true);
    let agent = house.agent("worker", None).await;
    let task = house.task("default").await;
    let waits = why(&house, &task).await;
    assert_eq!((&waits[0]["reason"], &waits[0]["queue_position"]), (&json!("NO_AGENT"), &json!(1)), "{waits}");

    // Whoever steers may place one without saying who they are; on this machine that is everybody.
    let wish = json!({"everything": true, "reason": "fire", "running": "stop"});
    let placed = house.ask("POST", "/api/v1/holds", None, Some(wish)).await;
    assert_eq!(placed.status, 201, "{}", placed.json);
    let id = placed.json["id"].as_str().unwrap().to_owned();
    assert_eq!(next(&house, &agent).await, Value::Null);
    let waits = why(&house, &task).await;
    assert_eq!((&waits[0]["reason"], &waits[0]["act"]), (&json!("HOLD"), &json!(format!("ephor hold lift {id}"))), "{waits}");
    assert!(waits[0]["what"].as_str().unwrap().ends_with("fire"), "{waits}");
    assert_eq!(house.ask("GET", "/api/v1/holds", None, None).await.json[0]["id"], json!(id));

    let path = format!("/api/v1/holds/{id}");
    assert_eq!(house.ask("DELETE", &path, None, None).await.status, 401, "to lift it is a decision");
    assert_eq!(house.ask("DELETE", &path, Some(TOKEN), None).await.status, 200);
    assert_eq!(house.ask("DELETE", &path, Some(TOKEN), None).await.status, 404);
    assert_eq!(next(&house, &agent).await["task_id"], json!(task));
}

#[tokio::test]
async fn a_holder_hears_of_a_hold_with_its_next_sign_of_life_and_may_not_act() {
    let house = House::new(true);
    let agent = house.agent("worker", None).await;
    house.task("default").await;
    let item = next(&house, &agent).await;
    let beat = || async {
        let beats = json!({"beats": [{"task_id": item["task_id"], "work": item["work"], "attempt": item["attempt"]}]});
        let path = format!("/api/v1/agents/{agent}/work/heartbeat");
        house.ask("POST", &path, Some(TOKEN), Some(beats)).await.json[0]["then"].clone()
    };
    assert_eq!(beat().await, json!("CONTINUE"));
    let wish = json!({"agent": "worker", "reason": "it lies"});
    let placed = house.ask("POST", "/api/v1/holds", Some(TOKEN), Some(wish)).await;
    assert_eq!(placed.status, 201, "{}", placed.json);
    // The writer looks at what runs right behind its answer.
    let mut then = beat().await;
    for _ in 0..10_000 {
        if then == json!("CANCEL") {
            break;
        }
        tokio::task::yield_now().await;
        then = beat().await;
    }
    assert_eq!(then, json!("CANCEL"));
    let wid = format!("{}:{}", item["task_id"].as_str().unwrap(), item["work"].as_str().unwrap());
    let effect = json!({"action": "mail", "args_digest": "0".repeat(64), "attempt": item["attempt"], "agent_id": agent});
    let refused = house.ask("POST", &format!("/api/v1/work/{wid}/effects"), Some(TOKEN), Some(effect)).await;
    assert_eq!(refused.json["code"], json!("EFFECT_REFUSED"), "{}", refused.json);
}

#[tokio::test]
async fn a_limit_is_set_counted_and_removed() {
    let house = House::new(true);
    let agent = house.agent("worker", None).await;
    let (first, second) = (house.task("default").await, house.task("default").await);
    let set = house.ask("PUT", "/api/v1/limits/one", Some(TOKEN), Some(json!({"max": 1, "by": "namespace"}))).await;
    assert_eq!(set.status, 200, "{}", set.json);
    assert_eq!(next(&house, &agent).await["task_id"], json!(first));
    assert_eq!(next(&house, &agent).await, Value::Null);
    let listed = house.ask("GET", "/api/v1/limits", Some(TOKEN), None).await.json;
    let shown = (&listed[0]["name"], &listed[0]["max"], &listed[0]["counted"], &listed[0]["full"]);
    assert_eq!(shown, (&json!("one"), &json!(1), &json!(1), &json!(1)), "{listed}");
    let waits = why(&house, &second).await;
    assert_eq!((&waits[0]["reason"], &waits[0]["act"]), (&json!("LIMIT"), &json!("ephor limit remove one")), "{waits}");
    assert_eq!(waits[0]["queue_position"], json!(1), "{waits}");
    assert_eq!(house.ask("DELETE", "/api/v1/limits/one", Some(TOKEN), None).await.status, 200);
    assert_eq!(house.ask("DELETE", "/api/v1/limits/one", Some(TOKEN), None).await.status, 404);
    assert_eq!(next(&house, &agent).await["task_id"], json!(second));
}

#[tokio::test]
async fn a_key_of_a_namespace_holds_and_limits_that_alone() {
    let house = House::new(false);
    let key = house.key(json!({"name": "a", "roles": ["admin"], "namespace": "a"})).await;
    let everything = json!({"everything": true, "reason": "x"});
    assert_eq!(house.ask("POST", "/api/v1/holds", Some(&key), Some(everything.clone())).await.status, 403);
    let other = json!({"namespace": "b", "reason": "x"});
    assert_eq!(house.ask("POST", "/api/v1/holds", Some(&key), Some(other.clone())).await.status, 403);
    let own = house.ask("POST", "/api/v1/holds", Some(&key), Some(json!({"task_type": "mail", "reason": "x"}))).await;
    assert_eq!((own.status.as_u16(), &own.json["scope"]["namespace"]), (201, &json!("a")), "{}", own.json);
    for (wish, status) in [(everything, 403), (other, 404)] {
        let placed = house.ask("POST", "/api/v1/holds", Some(TOKEN), Some(wish)).await.json;
        let path = format!("/api/v1/holds/{}", placed["id"].as_str().unwrap());
        assert_eq!(house.ask("DELETE", &path, Some(&key), None).await.status, status);
        let release = house.ask("POST", &format!("{path}/release"), Some(&key), Some(json!({"rate": "1/m"}))).await;
        assert_eq!(release.status, status);
    }
    // It sees what is held everywhere, since that binds it, and nothing of another namespace.
    let seen = house.ask("GET", "/api/v1/holds", Some(&key), None).await.json;
    assert_eq!(seen.as_array().map(Vec::len), Some(2), "{seen}");
    let set = house.ask("PUT", "/api/v1/limits/l", Some(&key), Some(json!({"max": 1}))).await;
    assert_eq!(set.json["namespace"], json!("a"), "{}", set.json);
    let set = house.ask("PUT", "/api/v1/limits/l", Some(&key), Some(json!({"max": 1, "namespace": "b"}))).await;
    assert_eq!(set.status, 403);
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_names_its_fields() {
    let house = House::new(true);
    let fields = |answer: &super::house::Answer| {
        let errors = answer.json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|e| e["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let hold = house.ask("POST", "/api/v1/holds", Some(TOKEN), Some(json!({}))).await;
    assert_eq!((hold.status.as_u16(), fields(&hold)), (400, vec!["everything".to_owned(), "reason".to_owned()]));
    let limit = json!({"max": 0, "per": "48h", "by": "params.x"});
    let limit = house.ask("PUT", "/api/v1/limits/l", Some(TOKEN), Some(limit)).await;
    assert_eq!((limit.status.as_u16(), fields(&limit)), (400, ["max", "per", "by"].map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn a_hold_on_an_agent_is_what_stands_in_the_way_wherever_one_looks() {
    let house = House::new(true);
    let agent = house.agent("kk", None).await;
    let task = house.task("default").await;
    let placed = house.ask("POST", "/api/v1/holds", Some(TOKEN), Some(json!({"agent": "kk", "reason": "it lies"}))).await;
    let lift = format!("ephor hold lift {}", placed.json["id"].as_str().unwrap());
    let waits = why(&house, &task).await;
    assert_eq!((&waits[0]["reason"], &waits[0]["act"]), (&json!("AGENTS_BUSY"), &json!(lift)), "{waits}");
    assert!(waits[0]["what"].as_str().unwrap().contains("a hold keeps back what it does: it lies"), "{waits}");
    let shown = house.ask("GET", "/api/v1/agents/kk", Some(TOKEN), None).await.json;
    assert_eq!((&shown["hold"]["reason"], &shown["status"]), (&json!("it lies"), &json!("ACTIVE")), "{shown}");
    let all = house.ask("GET", &format!("/api/v1/tasks/{task}/candidates"), Some(TOKEN), None).await.json;
    assert_eq!((&all[0]["may"], &all[0]["agent_id"]), (&json!(false), &json!(agent)), "{all}");
    house.ask("DELETE", &format!("/api/v1/holds/{}", placed.json["id"].as_str().unwrap()), Some(TOKEN), None).await;
    assert_eq!(house.ask("GET", "/api/v1/agents/kk", Some(TOKEN), None).await.json.get("hold"), None);
}

#[tokio::test]
async fn work_that_is_kept_for_one_agent_says_what_frees_it() {
    let house = House::new(true);
    let agent = house.agent("kk", None).await;
    house.agent("other", None).await;
    let wish = json!({"title": "x", "action": "work", "agent": agent});
    let task = house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(wish)).await.json["id"].as_str().unwrap().to_owned();
    let act = async || why(&house, &task).await[0]["act"].as_str().unwrap().to_owned();
    assert_eq!(act().await, format!("ephor task reassign {task}"), "it has not come");
    let of = |verb: &str| format!("/api/v1/agents/{agent}/{verb}");
    house.ask("POST", &of("drain"), Some(TOKEN), None).await;
    assert_eq!(act().await, format!("ephor agent resume {agent}"));
    house.ask("POST", &of("resume"), Some(TOKEN), None).await;
    let placed = house.ask("POST", "/api/v1/holds", Some(TOKEN), Some(json!({"agent": "kk", "reason": "x"}))).await;
    assert_eq!(act().await, format!("ephor hold lift {}", placed.json["id"].as_str().unwrap()));
    house.ask("POST", &of("revoke"), Some(TOKEN), None).await;
    assert_eq!(act().await, format!("ephor task reassign {task}"));
}

#[tokio::test]
async fn hints_are_calls_over_http() {
    let house = House::new(true);
    let unknown = house.ask("GET", "/api/v1/tasks/none", Some(TOKEN), None).await.json;
    assert_eq!(unknown["next"], json!(["GET /api/v1/tasks"]), "{unknown}");
    let agent = house.agent("kk", None).await;
    let task = house.task("default").await;
    let item = next(&house, &agent).await;
    let wid = format!("/api/v1/work/{task}:{}", item["work"].as_str().unwrap());
    let stale = json!({"agent_id": "kk", "attempt": 7, "outcome": {"SUCCEEDED": {}}});
    let refused = house.ask("POST", &format!("{wid}/report"), Some(TOKEN), Some(stale)).await.json;
    assert_eq!(refused["next"], json!([format!("GET /api/v1/tasks/{task}")]), "{refused}");
    let word = json!({"agent_id": "kk", "outcome": "SUCCEEDED"});
    let refused = house.ask("POST", &format!("{wid}/report"), Some(TOKEN), Some(word)).await;
    let told = refused.json["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
    assert!(refused.status == 400 && told.contains(r#"{"SUCCEEDED": {}}"#), "{}", refused.json);
    let bogus = house.ask("GET", &format!("/api/executions/{task}/events?type=bogus"), Some(TOKEN), None).await;
    assert_eq!((bogus.status.as_u16(), &bogus.json["errors"][0]["field"]), (400, &json!("type")), "{}", bogus.json);
    for known in ["task_started", "ASSIGNED", "subtask_complete"] {
        let path = format!("/api/executions/{task}/events?type={known}");
        assert_eq!(house.ask("GET", &path, Some(TOKEN), None).await.status, 200, "{known}");
    }
}

#[tokio::test]
async fn nothing_is_kept_for_an_agent_that_nobody_knows() {
    let house = House::new(true);
    let (unknown, elsewhere) = ("agent_00000000000000000000000001", house.agent("b", Some("b")).await);
    let steps = json!([{"action": "work"}, {"action": "work", "agent": unknown}]);
    for (wish, field) in [
        (json!({"title": "x", "action": "work", "agent": unknown}), "agent"),
        (json!({"title": "x", "action": "work", "agent": elsewhere}), "agent"),
        (json!({"title": "x", "plan": {"steps": steps}}), "step 2.agent"),
    ] {
        let answer = house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(wish)).await;
        assert_eq!((answer.status.as_u16(), &answer.json["errors"][0]["field"]), (400, &json!(field)), "{}", answer.json);
    }
    let fine = json!({"title": "x", "action": "work", "agent": elsewhere, "namespace": "b"});
    assert_eq!(house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(fine)).await.status, 201);
}
