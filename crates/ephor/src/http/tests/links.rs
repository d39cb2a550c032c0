//! Links that answer one question, once.

use super::house::{House, TOKEN};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use ephor_core::constitution::Law;
use ephor_core::policy::Policy;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt as _;

const LAW: &str = r#"
constitution: A house
articles:
  - id: work
    title: Work
    rules:
      - {at: [action], when: 'action.name == "work"', verdict: ESCALATE, message: somebody looks first}
"#;

struct Asked {
    house: House,
    agent: String,
    task: String,
    approver: String,
}

/// A task of `sam` about whose one step a person is asked.
async fn asked() -> Asked {
    let house = House::under(false, Policy { law: Some(Arc::new(Law::read(LAW).unwrap())), ..Policy::default() });
    let agent = house.agent("worker", None).await;
    let submitter = house.key(json!({"name": "sam", "roles": ["operator"]})).await;
    let approver = house.key(json!({"name": "olga", "roles": ["approver"]})).await;
    let step = json!({"action": "work", "acts": true, "params": {"to": "<b>everybody</b>"}});
    let wish = json!({"title": "Tell <i>all</i>", "plan": {"steps": [step]}});
    let made = house.ask("POST", "/api/v1/tasks", Some(&submitter), Some(wish)).await;
    let task = made.json["id"].as_str().unwrap().to_owned();
    let asked = Asked { house, agent, task, approver };
    assert_eq!(asked.claim().await, Value::Null);
    asked
}

impl Asked {
    async fn claim(&self) -> Value {
        let path = format!("/api/v1/agents/{}/work/claim", self.agent);
        self.house.ask("POST", &path, Some(TOKEN), Some(json!({"max": 1, "wait": "0s"}))).await.json[0].clone()
    }

    async fn link(&self, key: &str, wish: Value) -> super::house::Answer {
        self.house.ask("POST", &format!("/api/v1/tasks/{}/links", self.task), Some(key), Some(wish)).await
    }

    /// The path of a link for vera.
    async fn for_vera(&self) -> String {
        let made = self.link(&self.approver, json!({"step": "1", "for": "vera"})).await;
        assert_eq!(made.status, 201, "{}", made.json);
        made.json["path"].as_str().unwrap().to_owned()
    }

    /// As a browser does, which has no key.
    async fn browse(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let answer = self.house.app.clone().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn look(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        self.browse(Request::get(path).header("host", "localhost:4000").body(Body::empty()).unwrap()).await
    }

    async fn say(&self, path: &str, answer: &str, reason: &str) -> (StatusCode, String) {
        let code = path.split_once("code=").unwrap().1;
        let form = format!("code={code}&answer={answer}&reason={reason}");
        let request = Request::post("/answer").header("host", "localhost:4000").header("origin", "http://localhost:4000");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(form)).unwrap();
        let (status, _, page) = self.browse(request).await;
        (status, page)
    }
}

#[tokio::test]
async fn a_link_shows_the_question_changes_nothing_by_being_looked_at_and_answers_once() {
    let asked = asked().await;
    let link = asked.for_vera().await;
    for _ in 0..2 {
        let (status, headers, page) = asked.look(&link).await;
        assert_eq!(status, 200);
        assert!(page.contains("Tell &lt;i&gt;all&lt;/i&gt;") && page.contains("&lt;b&gt;everybody&lt;/b&gt;"), "{page}");
        assert!(page.contains("somebody looks first") && page.contains("vera") && !page.contains("<script"), "{page}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && headers["referrer-policy"] == "no-referrer", "{policy}");
    }
    assert_eq!(asked.claim().await, Value::Null, "looking approves of nothing");

    let (status, page) = asked.say(&link, "approve", "fine").await;
    assert_eq!(status, 200, "{page}");
    assert!(asked.claim().await["approved_args"].is_string());
    let events = asked.house.ask("GET", &format!("/api/v1/tasks/{}/events", asked.task), Some(TOKEN), None).await.json;
    let answered = events.as_array().unwrap().iter().find(|event| event["type"] == "APPROVAL_ANSWERED").unwrap();
    assert_eq!(answered["actor_id"], "vera");
    assert!(answered["private"].to_string().contains("by a link that olga made for vera: fine"), "{answered}");

    let (status, page) = asked.say(&link, "approve", "").await;
    assert_eq!(status, 410, "{page}");
    assert_eq!(asked.look(&link).await.0, 410);
}

#[tokio::test]
async fn a_no_needs_a_reason_and_counts() {
    let asked = asked().await;
    let link = asked.for_vera().await;
    assert_eq!(asked.say(&link, "deny", "").await.0, 400);
    assert_eq!(asked.say(&link, "perhaps", "x").await.0, 400);
    assert_eq!(asked.say(&link, "deny", "not+today").await.0, 200);
    let task = asked.house.ask("GET", &format!("/api/v1/tasks/{}", asked.task), Some(TOKEN), None).await.json;
    assert!(task["reason"].as_str().is_some_and(|why| why.contains("not today")), "{task}");
}

#[tokio::test]
async fn what_was_not_signed_here_or_was_changed_is_worth_nothing() {
    let asked = asked().await;
    let link = asked.for_vera().await;
    let (said, mac) = link.split_once("code=").unwrap().1.split_once('.').unwrap();
    let other = if said.ends_with('A') { 'B' } else { 'A' };
    let bent = format!("/answer?code={}{other}.{mac}", &said[..said.len() - 1]);
    for path in ["/answer?code=", "/answer?code=x", "/answer?code=x.y", &bent, &link[..link.len() - 2]] {
        assert_eq!(asked.look(path).await.0, 403, "{path}");
        assert_eq!(asked.say(path, "approve", "").await.0, 403, "{path}");
    }
    // A page of another site cannot send the form.
    let code = link.split_once("code=").unwrap().1;
    let request = Request::post("/answer").header("host", "localhost:4000").header("origin", "https://elsewhere.example");
    let request = request.body(Body::from(format!("code={code}&answer=approve"))).unwrap();
    assert_eq!(asked.browse(request).await.0, 403);
    assert_eq!(asked.claim().await, Value::Null);
}

#[tokio::test]
async fn who_may_not_decide_makes_no_link_nor_does_who_submitted_it() {
    let asked = asked().await;
    let house = &asked.house;
    let viewer = house.key(json!({"name": "vic", "roles": ["viewer"]})).await;
    let wish = json!({"step": "1", "for": "vera"});
    assert_eq!(asked.link(&viewer, wish.clone()).await.status, 403);
    let own = asked.link(&asked.approver, json!({"step": "1", "for": "sam"})).await;
    assert_eq!(own.status, 403, "a link for who submitted it: {}", own.json);
    for (wrong, field) in [
        (json!({"step": "1", "for": " "}), "for"),
        (json!({"step": "1", "for": "vera", "valid": "8d"}), "valid"),
        (json!({"step": "1", "for": "vera", "valid": "1s"}), "valid"),
    ] {
        let refused = asked.link(&asked.approver, wrong).await;
        assert_eq!((refused.status.as_u16(), &refused.json["errors"][0]["field"]), (400, &json!(field)), "{}", refused.json);
    }
    let nobody_asked = asked.link(&asked.approver, json!({"step": "7", "for": "vera"})).await;
    assert_eq!(nobody_asked.json["code"], "ILLEGAL_TRANSITION", "{}", nobody_asked.json);
}

#[tokio::test]
async fn a_link_dies_with_its_question() {
    let asked = asked().await;
    let link = asked.for_vera().await;
    // Somebody changes what would be done, and so the question.
    let words = json!({"description": "something else", "reason": "new"});
    let changed = asked.house.ask("POST", &format!("/api/v1/tasks/{}/modify", asked.task), Some(TOKEN), Some(words)).await;
    assert_eq!(changed.status, 200, "{}", changed.json);
    let (status, page) = asked.say(&link, "approve", "").await;
    assert!(status.is_client_error(), "{status}: {page}");
    assert_eq!(asked.claim().await, Value::Null);
}
