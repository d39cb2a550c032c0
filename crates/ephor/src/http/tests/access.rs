//! Keys, sessions in browsers, pages of others.

use super::house::{House, TOKEN};
use axum::body::Body;
use axum::http::Request;
use ephor_core::time::Time;
use serde_json::json;

#[tokio::test]
async fn a_key_is_shown_once_and_kept_only_as_its_digest() {
    let house = House::new(true);
    let made = house.ask("POST", "/api/v1/keys", Some(TOKEN), Some(json!({"name": "ci", "roles": ["viewer"]}))).await;
    let key = made.json["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("ephor_key_") && key.len() == "ephor_key_".len() + 64, "{key}");
    let listed = house.ask("GET", "/api/v1/keys", Some(TOKEN), None).await.json;
    assert!(listed[0]["name"] == "ci" && !listed.to_string().contains(&key) && listed[0].get("digest").is_none(), "{listed}");
    let events = house.server.engine().reader().events(0, 10, None).unwrap();
    assert!(events.iter().any(|e| e.kind == "KEY_CREATED"));
    assert!(events.iter().all(|e| !e.data.contains(&key)));
    // What was read from the store is what was kept in memory.
    let read = crate::local::keys::read(&*house.server.engine().reader()).unwrap();
    assert!(read.len() == 1 && read[0].is_good(Time(i64::MAX)));
    assert_eq!(read[0].key, house.server.keys().all()[0].key);
}

#[tokio::test]
async fn a_name_in_use_is_not_given_again_until_its_key_is_revoked() {
    let house = House::new(true);
    let wish = || Some(json!({"name": "ci", "roles": ["viewer"]}));
    let first = house.ask("POST", "/api/v1/keys", Some(TOKEN), wish()).await;
    let again = house.ask("POST", "/api/v1/keys", Some(TOKEN), wish()).await;
    assert_eq!((again.status.as_u16(), again.json["errors"][0]["field"].as_str()), (400, Some("name")));
    let path = format!("/api/v1/keys/{}", first.json["id"].as_str().unwrap());
    for _ in 0..2 {
        assert!(house.ask("DELETE", &path, Some(TOKEN), None).await.json["revoked_at"].is_string());
    }
    assert_eq!(house.ask("POST", "/api/v1/keys", Some(TOKEN), wish()).await.status, 201);
}

/// Opens a session and answers with its cookie.
async fn session(house: &House) -> String {
    let code = house.server.sessions().link().unwrap();
    let opened = house.ask("GET", &format!("/login?code={code}"), None, None).await;
    assert_eq!((opened.status.as_u16(), &opened.headers["location"]), (303, &"/".parse().unwrap()));
    let cookie = opened.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(house.ask("GET", &format!("/login?code={code}"), None, None).await.status, 401);
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_of_a_namespace_counts_what_is_in_it() {
    let house = House::new(false);
    for namespace in ["a", "a", "b"] {
        house.task(namespace).await;
    }
    let key = house.key(json!({"name": "a", "roles": ["viewer"], "namespace": "a"})).await;
    let counted = house.ask("GET", "/api/v1/tasks/counts", Some(&key), None).await;
    assert_eq!(counted.json, json!({"namespace": "a", "total": 2, "by_status": {"SCHEDULED": 2}}));
    assert_eq!(house.ask("GET", "/api/v1/tasks/counts?namespace=b", Some(&key), None).await.status, 403);
    let agent = house.agent("w", Some("a")).await;
    let own = house.key(json!({"name": "own", "roles": ["agent"], "namespace": "a", "agent": agent})).await;
    assert_eq!(house.ask("GET", "/api/v1/tasks/counts", Some(&own), None).await.status, 403);
}

#[tokio::test]
async fn a_session_is_the_operator_until_it_is_closed() {
    let house = House::new(false);
    let cookie = session(&house).await;
    let ask = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "localhost:4000").header("cookie", &cookie);
        house.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("GET", "/api/v1/me").await.json["name"], "operator");
    assert_eq!(ask("GET", "/api/v1/keys").await.status, 200);
    // What changes something has to say that a page of this server asks.
    assert_eq!(ask("POST", "/logout").await.json["code"], "ORIGIN_NOT_ALLOWED");
    let request = Request::builder().method("POST").uri("/logout").header("host", "localhost:4000");
    let request = request.header("cookie", &cookie).header("x-ephor-page", "1");
    let closed = house.send(request.body(Body::empty()).unwrap()).await;
    assert!(closed.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(ask("GET", "/api/v1/me").await.status, 401);
}

#[tokio::test]
async fn a_page_of_another_origin_does_nothing_in_the_operators_name() {
    let house = House::new(true);
    let cookie = session(&house).await;
    let post = |name: &str, value: &str| {
        let request = Request::builder().method("POST").uri("/api/v1/keys").header("host", "localhost:4000");
        let request = request.header("cookie", &cookie).header("content-type", "application/json").header(name, value);
        house.send(request.body(Body::from(json!({"name": value.len().to_string(), "roles": ["viewer"]}).to_string())).unwrap())
    };
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "http://localhost:9999"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(post(name, value).await.json["code"], "ORIGIN_NOT_ALLOWED", "{name}: {value}");
    }
    for (name, value) in [("origin", "http://localhost:4000"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")] {
        assert_eq!(post(name, value).await.status, 201, "{name}: {value}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_number_of_its_request() {
    let house = House::new(true);
    let ask = |id: &str| {
        let request = Request::builder().uri("/health/live").header("host", "localhost").header("x-request-id", id);
        house.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("mine-1").await.headers["x-request-id"], "mine-1");
    for bad in ["a b", "<script>", &"x".repeat(65)] {
        assert_ne!(ask(bad).await.headers["x-request-id"], *bad);
    }
}

#[tokio::test]
async fn a_plan_that_waits_for_a_person_is_not_replaced_by_somebody_without_a_key() {
    let house = House::new(true);
    let plan = json!({"steps": [{"action": "work"}], "confidence": 0.3});
    let task = house.ask("POST", "/api/v1/tasks", None, Some(json!({"title": "doubtful", "plan": plan}))).await;
    assert_eq!(task.json["status"], "BLOCKED", "{}", task.json);
    let path = format!("/api/v1/tasks/{}/plan", task.json["id"].as_str().unwrap());
    let other = || Some(json!({"steps": [{"action": "work"}]}));
    assert_eq!(house.ask("PUT", &path, None, other()).await.status, 401);
    assert_eq!(house.ask("PUT", &path, Some(TOKEN), other()).await.json["status"], "SCHEDULED");
}

#[tokio::test]
async fn a_person_votes_in_no_judges_name() {
    let house = House::new(true);
    let mut judges = Vec::new();
    for name in ["first", "second"] {
        let said = json!({"name": name, "capabilities": ["judge"]});
        let made = house.ask("POST", "/api/v1/agents", Some(TOKEN), Some(said)).await;
        judges.push(made.json["id"].as_str().unwrap().to_owned());
    }
    let task = house.ask("POST", "/api/v1/tasks", None, Some(json!({"title": "risky", "risk": "HIGH"}))).await;
    assert_eq!(task.json["status"], "DELIBERATING", "{}", task.json);
    let path = format!("/api/v1/tasks/{}/vote", task.json["id"].as_str().unwrap());
    let approver = house.key(json!({"name": "ann", "roles": ["approver"]})).await;
    for judge in &judges {
        let vote = json!({"vote": "APPROVE", "judge": judge});
        let answer = house.ask("POST", &path, Some(&approver), Some(vote)).await;
        assert_eq!((answer.status.as_u16(), &answer.json["code"]), (403, &json!("FORBIDDEN")), "{}", answer.json);
    }
    // A key that is the judge's own speaks for it.
    let own = house.key(json!({"name": "first", "roles": ["approver"], "agent": judges[0]})).await;
    let answer = house.ask("POST", &path, Some(&own), Some(json!({"vote": "APPROVE"}))).await;
    assert_eq!((answer.status.as_u16(), &answer.json["status"]), (200, &json!("DELIBERATING")), "{}", answer.json);
}
