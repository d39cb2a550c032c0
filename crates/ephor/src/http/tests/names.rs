//! Names of tasks: what others call theirs is neither found nor in the way, and of several one's own a source decides.

use super::house::{House, TOKEN};
use serde_json::{Value, json};

/// A house with a task of the same name in each of two namespaces, and a key for each: `(key, id)`.
async fn two() -> (House, [(String, String); 2]) {
    let house = House::new(false);
    let mut both = Vec::new();
    for namespace in ["nsa", "nsb"] {
        let key = house.key(json!({"name": namespace, "roles": ["operator"], "namespace": namespace})).await;
        let made = submit(&house, &key, json!({"title": namespace, "external_id": "SAME"})).await;
        both.push((key, made));
    }
    let both = both.try_into().unwrap_or_else(|_| panic!("two"));
    (house, both)
}

async fn submit(house: &House, key: &str, request: Value) -> String {
    let made = house.ask("POST", "/api/v1/tasks", Some(key), Some(request)).await;
    assert_eq!(made.status, 201, "{}", made.json);
    made.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_name_means_what_is_ones_own() {
    let (house, both) = two().await;
    for (n, (key, id)) in both.iter().enumerate() {
        // The first letters that no two ids of one namespace share here are those of the whole random part.
        let prefix = &id[..id.len() - 1];
        for name in ["SAME", "@last", prefix] {
            let shown = house.ask("GET", &format!("/api/v1/tasks/{name}"), Some(key), None).await;
            assert_eq!((shown.status.as_u16(), &shown.json["id"]), (200, &json!(id)), "{n} {name}: {}", shown.json);
            let steps =
                house.ask("GET", &format!("/api/v1/tasks/{name}/steps?namespace={}", ["nsa", "nsb"][n]), Some(key), None).await;
            assert_eq!(steps.status, 200, "{}", steps.json);
        }
        let shown = house.ask("GET", "/api/executions/SAME", Some(key), None).await;
        assert_eq!((shown.status.as_u16(), &shown.json["id"]), (200, &json!(id)), "{}", shown.json);
        let child = submit(&house, key, json!({"title": "part", "parent_task_id": id})).await;
        let parts = house.ask("GET", "/api/v1/tasks?parent=SAME", Some(key), None).await;
        assert_eq!((parts.status.as_u16(), &parts.json[0]["id"]), (200, &json!(child)), "{}", parts.json);
        let events = house.ask("GET", "/api/v1/events?task=SAME", Some(key), None).await;
        assert_eq!((events.status.as_u16(), &events.json[0]["stream"]), (200, &json!(id)), "{}", events.json);
    }
}

#[tokio::test]
async fn what_is_anothers_is_told_like_what_does_not_exist() {
    let (house, [(key, _), (_, foreign)]) = two().await;
    let own_alone = submit(&house, TOKEN, json!({"title": "x", "external_id": "THEIRS", "namespace": "nsb"})).await;
    let told = async |path: &str| {
        let answer = house.ask("GET", path, Some(&key), None).await;
        (answer.status.as_u16(), answer.json)
    };
    // The names differ, and nothing else does.
    let unknown = "task_01k9zq5v3ze8rt6a0w1m2n3p4q";
    for (theirs, nobodys) in [
        (foreign.as_str(), unknown),
        (&foreign[..foreign.len() - 1], &unknown[..unknown.len() - 1]),
        ("THEIRS", "NOBODYS"),
        (own_alone.as_str(), unknown),
    ] {
        for around in [
            "/api/v1/tasks/{}",
            "/api/v1/tasks/{}/result",
            "/api/executions/{}",
            "/api/v1/tasks?parent={}",
            "/api/v1/events?task={}",
        ] {
            let (status, their) = told(&around.replace("{}", theirs)).await;
            let (nobody, none) = told(&around.replace("{}", nobodys)).await;
            assert_eq!((status, nobody), (404, 404), "{around}: {their} {none}");
            assert_eq!(their.to_string().replace(theirs, "NAME"), none.to_string().replace(nobodys, "NAME"), "{around}");
        }
    }
    assert_eq!(told("/api/v1/tasks/SAME?namespace=nsb").await.0, 404);
}

#[tokio::test]
async fn of_several_the_source_decides_and_the_error_says_so() {
    let house = House::new(true);
    let mut ids = Vec::new();
    for source in ["a b", "c"] {
        ids.push(submit(&house, TOKEN, json!({"title": source, "external_id": "E 1", "source": source})).await);
    }
    let refused = house.ask("GET", "/api/v1/tasks/E%201/steps", None, None).await;
    assert_eq!(refused.status, 400, "{}", refused.json);
    let next: Vec<&str> = refused.json["next"].as_array().unwrap().iter().map(|next| next.as_str().unwrap()).collect();
    assert_eq!(next, ["GET /api/v1/tasks/E%201/steps?source=c", "GET /api/v1/tasks/E%201/steps?source=a+b"]);
    // What it says to do next works, for each side and each verb.
    for (next, id) in next.iter().zip(ids.iter().rev()) {
        let path = next.strip_prefix("GET ").unwrap();
        assert_eq!(house.ask("GET", path, None, None).await.status, 200, "{path}");
        let shown = house.ask("GET", &path.replace("/steps", ""), None, None).await;
        assert_eq!(&shown.json["id"], id);
        let paused = house.ask("POST", &path.replace("/steps", "/pause"), None, Some(json!({}))).await;
        assert_eq!((paused.status.as_u16(), &paused.json["id"]), (200, &json!(id)), "{}", paused.json);
        let events = house.ask("GET", &path.replace("/steps?", "/events?limit=1&"), None, None).await;
        assert_eq!((events.status.as_u16(), &events.json[0]["stream"]), (200, &json!(id)), "{}", events.json);
    }
    assert_eq!(house.ask("GET", "/api/v1/tasks/E%201?source=d", None, None).await.status, 404);
    // Of two namespaces the namespace decides as well.
    submit(&house, TOKEN, json!({"title": "x", "external_id": "E 1", "source": "c", "namespace": "other"})).await;
    let refused = house.ask("GET", "/api/v1/tasks/E%201?source=c", None, None).await;
    assert_eq!(refused.json["next"][0], "GET /api/v1/tasks/E%201?namespace=other", "{}", refused.json);
    assert_eq!(house.ask("GET", "/api/v1/tasks/E%201?namespace=other", None, None).await.status, 200);
}

#[tokio::test]
async fn the_newest_of_an_agent_is_the_newest_it_works_on() {
    let house = House::new(false);
    let agent = house.agent("worker", Some("nsa")).await;
    let key = house.key(json!({"name": "own", "roles": ["agent"], "namespace": "nsa", "agent": agent})).await;
    let own = house.task("nsa").await;
    let given = house.ask("GET", &format!("/api/v1/agents/{agent}/work"), Some(&key), None).await;
    assert_eq!(given.json["task_id"], json!(own), "{}", given.json);
    house.task("nsa").await;
    let shown = house.ask("GET", "/api/v1/tasks/@last", Some(&key), None).await;
    assert_eq!((shown.status.as_u16(), &shown.json["id"]), (200, &json!(own)), "{}", shown.json);
}

#[tokio::test]
async fn a_submission_names_agents_and_tasks_by_their_own_names_and_errors_name_the_field() {
    let house = House::new(true);
    let agent = house.agent("r1", None).await;
    let first = submit(&house, TOKEN, json!({"title": "first", "external_id": "FIRST"})).await;
    let names =
        json!({"title": "second", "agent": "r1", "parent_task_id": "FIRST", "depends_on": ["FIRST"], "related_task_id": "FIRST"});
    for request in [
        names.clone(),
        json!({"title": "third", "agent": "r1", "parentTaskId": "FIRST", "dependsOn": ["FIRST"], "relatedTaskId": "FIRST"}),
    ] {
        let made = submit(&house, TOKEN, request).await;
        let shown = house.ask("GET", &format!("/api/v1/tasks/{made}"), None, None).await.json;
        assert_eq!((&shown["agent"], &shown["parent_task_id"]), (&json!(agent), &json!(first)), "{shown}");
        assert_eq!((&shown["dependencies"], &shown["related_task_id"]), (&json!([first]), &json!(first)), "{shown}");
    }
    let steps = json!({"title": "steps", "plan": {"steps": [
        {"id": "a", "action": "work"}, {"id": "g", "steps": [{"id": "b", "action": "work", "agent": "r1"}]}]}});
    let made = submit(&house, TOKEN, steps).await;
    let born = house.ask("GET", &format!("/api/v1/tasks/{made}/events"), None, None).await.json;
    assert!(born.to_string().contains(&agent), "{born}");
    // What is not there is told by its field, as it was written.
    for (request, field) in [
        (json!({"title": "x", "agent": "r2"}), "agent"),
        (json!({"title": "x", "parent_task_id": "NONE"}), "parent_task_id"),
        (json!({"title": "x", "parentTaskId": "NONE"}), "parentTaskId"),
        (json!({"title": "x", "depends_on": ["FIRST", "NONE"]}), "depends_on[1]"),
        (json!({"title": "x", "plan": {"steps": [{"id": "a", "action": "work", "agent": "r2"}]}}), "plan.steps[0].agent"),
    ] {
        let told = house.ask("POST", "/api/v1/tasks", None, Some(request)).await;
        assert_eq!((told.status.as_u16(), &told.json["errors"][0]["field"]), (400, &json!(field)), "{}", told.json);
        assert!(told.json["errors"][0]["message"].as_str().unwrap().contains("there is no"), "{}", told.json);
    }
    // Line by line as well.
    let lines = format!("{names}\n{}\n", json!({"title": "x", "depends_on": ["NONE"]}));
    let batch = axum::http::Request::builder().method("POST").uri("/api/v1/tasks/batch").header("host", "localhost:4000");
    let batch = batch.header("content-type", "application/x-ndjson").body(axum::body::Body::from(lines)).unwrap();
    let told = house.send(batch).await;
    let told: Vec<Value> = told.json.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(told[0]["id"].is_string(), "{told:?}");
    assert_eq!(told[1]["error"]["errors"][0]["field"], "depends_on[0]", "{told:?}");
}

#[tokio::test]
async fn a_name_in_a_submission_means_what_is_ones_own() {
    let (house, both) = two().await;
    for (key, id) in &both {
        let made = submit(&house, key, json!({"title": "part", "depends_on": ["SAME"]})).await;
        let shown = house.ask("GET", &format!("/api/v1/tasks/{made}"), Some(key), None).await.json;
        assert_eq!(shown["dependencies"], json!([id]), "{shown}");
    }
    // Who sees both says which, by the namespace of the request or by an id.
    let told = house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(json!({"title": "x", "depends_on": ["SAME"]}))).await;
    assert_eq!((told.status.as_u16(), &told.json["errors"][0]["field"]), (400, &json!("depends_on[0]")), "{}", told.json);
    let message = told.json["errors"][0]["message"].as_str().unwrap();
    assert!(both.iter().all(|(_, id)| message.contains(id)), "{message}");
    submit(&house, TOKEN, json!({"title": "x", "namespace": "nsb", "depends_on": ["SAME"]})).await;
}
