//! What holds for every operation: its document is whole, what it does not understand it refuses, and said again it is done once.

use super::super::documented;
use super::super::operations::{OPERATIONS, changes_a_task, takes_key};
use super::desk::{Answer, Desk, TOKEN};
use crate::http::auth::Permission;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::to_value(documented().get_openapi()).unwrap()
}

/// Whether an operation of the document takes a header.
fn takes(operation: &Value, header: &str) -> bool {
    operation["parameters"].as_array().into_iter().flatten().any(|p| p["in"] == "header" && p["name"] == header)
}

#[test]
fn every_operation_of_the_document_is_whole() {
    let document = document();
    let mut ids = BTreeSet::new();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    for (method, path, needs) in OPERATIONS {
        let operation = &document["paths"][*path][method.to_lowercase()];
        let place = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{place}: {id:?}");
        assert!(ids.insert(id.to_owned()), "{place}: {id} is the name of another");
        assert!(operation["summary"].as_str().is_some_and(|said| !said.is_empty()), "{place}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with(['1', '2', '3'])), "{place}");
        for (status, response) in responses {
            assert!(
                response["description"].as_str().is_some_and(|said| !said.is_empty()),
                "{place}: {status} has no description"
            );
        }
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{place} declares no security"));
        assert_eq!(security.is_empty(), *needs == Permission::Open, "{place}");
        for named in security.iter().flat_map(|one| one.as_object().unwrap().keys()) {
            assert!(schemes.contains_key(named), "{place}: {named}");
        }
        // Every place in the path is a parameter, and no parameter stands twice.
        let parameters: Vec<(String, String)> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| (p["in"].as_str().unwrap().to_owned(), p["name"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(parameters.iter().collect::<BTreeSet<_>>().len(), parameters.len(), "{place}: {parameters:?}");
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(parameters.contains(&("path".into(), part.into())), "{place}: {part}");
        }
        assert_eq!(takes(operation, "Idempotency-Key"), takes_key(method, path).is_ok(), "{place}");
        assert_eq!(takes(operation, "If-Match"), changes_a_task(method, path), "{place}");
        assert!(*method != "GET" || !takes(operation, "Idempotency-Key"), "{place}");
    }
    assert_eq!(document["paths"]["/api/v1/tasks/{id}/pause"]["post"]["operationId"], "post_tasks_id_pause");
}

/// A path with its places filled in.
fn filled(path: &str, task: &str, agent: &str) -> String {
    let id = if path.contains("/agents/{id}") { agent } else { task };
    let path = path.replace("{id}", id).replace("{wid}", &format!("{task}:step:1"));
    path.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_nobody_knows_is_named_by_every_operation() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x"})).await;
    let task = task.rsplit('/').next().unwrap();
    let agent = desk.agent(&["work"]).await.to_string();
    let token = format!("Bearer {TOKEN}");
    for (method, path, _) in OPERATIONS {
        let path = filled(path, task, &agent);
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        for query in ["unheard_of=1", "stauts=1&unheard_of=1"] {
            let answer = desk.ask(method, &format!("{path}?{query}"), &headers, "{}").await;
            let told = String::from_utf8_lossy(&answer.bytes);
            assert_eq!(answer.status, 400, "{method} {path}?{query}: {told}");
            assert!(told.contains("unheard_of") || told.contains("stauts"), "{method} {path}?{query}: {told}");
        }
    }
    let refused = desk.get(&format!("/api/v1/tasks/{task}/steps?limit=1")).await.with(400).json();
    assert_eq!(refused["errors"][0]["field"], "limit");
    assert_eq!(refused["errors"][0]["message"], "there is no such parameter; allowed are case, source, namespace");
    desk.get(&format!("/api/v1/tasks/{task}/steps?case=camel")).await.with(200);
}

/// Sends JSON as the operator under a key.
async fn under(desk: &Desk, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", token.as_str()), ("content-type", "application/json"), ("idempotency-key", key)];
    desk.ask(method, path, &headers, body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_would_be_passed_over_is_refused_by_name() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x"})).await;
    let task = task.rsplit('/').next().unwrap();
    let agent = desk.agent(&["work"]).await.to_string();
    let mut refused = 0;
    for (method, path, _) in OPERATIONS.iter().filter(|(method, ..)| *method == "POST") {
        let answer = under(&desk, "k", method, &filled(path, task, &agent), &json!({"unheard_of": 1})).await;
        let named = answer.status == 400 && answer.json()["errors"][0]["field"] == "Idempotency-Key";
        assert_eq!(named, takes_key(method, path).is_err(), "{method} {path}: {}", String::from_utf8_lossy(&answer.bytes));
        refused += u32::from(named);
    }
    assert!(refused >= 10, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_and_holds_are_made_once_under_one_key() {
    let desk = Desk::open();
    let said = json!({"name": "w", "capabilities": ["work"]});
    let first = under(&desk, "k", "POST", "/api/v1/agents", &said).await.with(201).json();
    assert_eq!(under(&desk, "k", "POST", "/api/v1/agents", &said).await.with(201).json()["id"], first["id"]);
    assert_eq!(desk.get("/api/v1/agents").await.json().as_array().unwrap().len(), 1);
    let other = json!({"name": "v", "capabilities": ["work"]});
    assert_eq!(under(&desk, "k", "POST", "/api/v1/agents", &other).await.with(422).json()["code"], "IDEMPOTENCY_MISMATCH");
    assert_ne!(under(&desk, "l", "POST", "/api/v1/agents", &said).await.with(201).json()["id"], first["id"]);
    // Many at once are one.
    let all = futures_util::future::join_all((0..20).map(|_| under(&desk, "many", "POST", "/api/v1/agents", &said))).await;
    assert_eq!(all.iter().map(|a| a.json()["id"].to_string()).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(desk.get("/api/v1/agents").await.json().as_array().unwrap().len(), 3);

    // What was undone since is not done again.
    let agent = format!("/api/v1/agents/{}", first["id"].as_str().unwrap());
    let none = json!({});
    assert_eq!(under(&desk, "d", "POST", &format!("{agent}/drain"), &none).await.with(200).json()["status"], "DRAINING");
    assert_eq!(under(&desk, "r", "POST", &format!("{agent}/resume"), &none).await.with(200).json()["status"], "ACTIVE");
    assert_eq!(under(&desk, "d", "POST", &format!("{agent}/drain"), &none).await.with(200).json()["status"], "ACTIVE");

    let hold = json!({"task_type": "a", "reason": "x"});
    let placed = under(&desk, "h", "POST", "/api/v1/holds", &hold).await.with(201).json();
    assert_eq!(under(&desk, "h", "POST", "/api/v1/holds", &hold).await.with(201).json()["id"], placed["id"]);
    assert_eq!(desk.get("/api/v1/holds").await.json().as_array().unwrap().len(), 1);
    let path = format!("/api/v1/holds/{}", placed["id"].as_str().unwrap());
    let release = json!({"namespace": "default", "rate": "1/1m"});
    for _ in 0..2 {
        let released = under(&desk, "p", "POST", &format!("{path}/release"), &release).await.with(200).json();
        assert_eq!(released["releases"].as_array().map(Vec::len), Some(1), "{released}");
    }
    desk.decide("DELETE", &path, &none).await.with(200);
    assert_eq!(under(&desk, "h", "POST", "/api/v1/holds", &hold).await.with(409).json()["code"], "ALREADY_SETTLED");
    // What was refused leaves no key.
    under(&desk, "w", "POST", "/api/v1/holds", &json!({"reason": ""})).await.with(400);
    under(&desk, "w", "POST", "/api/v1/holds", &hold).await.with(201);
}
