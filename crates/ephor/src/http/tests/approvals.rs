//! A person's word on single actions over HTTP: who may give it, and what an agent gets before and after.

use super::house::{House, TOKEN};
use ephor_core::constitution::Law;
use ephor_core::policy::Policy;
use serde_json::{Value, json};
use std::sync::Arc;

const LAW: &str = r#"
constitution: A house
articles:
  - id: work
    title: Work
    rules:
      - {at: [admission], when: 'task.title == "forbidden"', verdict: DENY, message: this is not done here}
      - {at: [action], when: 'action.name == "work" && has(action.params.amount) && action.params.amount > 100', verdict: DENY, message: too much}
      - {at: [action], when: 'action.name == "work"', verdict: ESCALATE, message: somebody looks first}
"#;

fn house() -> House {
    House::under(false, Policy { law: Some(Arc::new(Law::read(LAW).unwrap())), ..Policy::default() })
}

async fn claim(house: &House, agent: &str, key: &str) -> Value {
    let wish = json!({"max": 1, "wait": "0s"});
    let answer = house.ask("POST", &format!("/api/v1/agents/{agent}/work/claim"), Some(key), Some(wish)).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    answer.json[0].clone()
}

#[tokio::test]
async fn an_agent_gets_nothing_before_somebody_else_than_who_submitted_it_has_approved() {
    let house = house();
    let agent = house.agent("worker", None).await;
    let agents_key = house.key(json!({"name": "w", "roles": ["agent"], "agent": agent})).await;
    let submitter = house.key(json!({"name": "sam", "roles": ["approver"]})).await;
    let approver = house.key(json!({"name": "ann", "roles": ["approver"]})).await;
    let viewer = house.key(json!({"name": "vic", "roles": ["viewer"]})).await;
    let operator = house.key(json!({"name": "olga", "roles": ["operator"]})).await;
    let step = json!({"action": "work", "acts": true, "params": {"amount": 10}});
    let made =
        house.ask("POST", "/api/v1/tasks", Some(&operator), Some(json!({"title": "pay", "plan": {"steps": [step]}}))).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let task = made.json["id"].as_str().unwrap().to_owned();
    assert_eq!(claim(&house, &agent, &agents_key).await, Value::Null);

    let steps = house.ask("GET", &format!("/api/v1/tasks/{task}/steps"), Some(&viewer), None).await.json;
    let question = &steps["items"].as_array().or(steps.as_array()).unwrap()[0]["approval"];
    assert_eq!((&question["params"], &question["answer"]), (&json!({"amount": 10}), &Value::Null), "{steps}");
    assert!(question["why"].as_str().unwrap().contains("work.3"), "{steps}");
    let waits = house.ask("GET", &format!("/api/v1/tasks/{task}/waiting"), Some(&viewer), None).await.json;
    assert_eq!(waits[0]["reason"], json!("ACTION_APPROVAL"), "{waits}");

    let path = format!("/api/v1/tasks/{task}/approve");
    let yes = json!({"step": "1", "approved": true});
    // The agent itself, a key that may not decide, nobody at all, and a word that names another step or something else.
    for (key, status) in [(Some(&agents_key), 403), (Some(&viewer), 403), (Some(&operator), 403), (None, 401)] {
        assert_eq!(house.ask("POST", &path, key.map(|k| k.as_str()), Some(yes.clone())).await.status, status, "{key:?}");
    }
    for wrong in [
        json!({"step": "9", "approved": true}),
        json!({"step": "1", "approved": true, "digest": "0".repeat(64)}),
        json!({"step": "1", "approved": true, "params": {"amount": 101}}),
        json!({"step": "1", "approved": false}),
        json!({"step": "1"}),
        json!({"step": "1", "approved": true, "prams": {}}),
    ] {
        let refused = house.ask("POST", &path, Some(&approver), Some(wrong.clone())).await;
        assert!(refused.status.is_client_error(), "{wrong}: {}", refused.json);
        assert_eq!(claim(&house, &agent, &agents_key).await, Value::Null, "{wrong}");
    }
    let digest = question["digest"].clone();
    let answered =
        house.ask("POST", &path, Some(&submitter), Some(json!({"step": "1", "approved": true, "digest": digest}))).await;
    assert_eq!(answered.status, 200, "{}", answered.json);
    let item = claim(&house, &agent, &agents_key).await;
    let args = item["approved_args"].clone();
    assert!(args.is_string(), "{item}");

    assert_eq!(house.ask("POST", &path, Some(&approver), Some(yes)).await.status, 409, "it was answered");
}

#[tokio::test]
async fn whoever_submitted_it_says_no_but_never_yes() {
    let house = house();
    let agent = house.agent("worker", None).await;
    let task = house.task("default").await;
    assert_eq!(claim(&house, &agent, TOKEN).await, Value::Null);
    let path = format!("/api/v1/tasks/{task}/approve");
    let own = house.ask("POST", &path, Some(TOKEN), Some(json!({"step": "1", "approved": true}))).await;
    assert_eq!((own.status.as_u16(), &own.json["code"]), (403, &json!("FORBIDDEN")), "{}", own.json);
    let no = json!({"step": "1", "approved": false, "reason": "not today"});
    let no = house.ask("POST", &path, Some(TOKEN), Some(no)).await;
    assert_eq!((no.status.as_u16(), &no.json["status"]), (200, &json!("FAILED")), "{}", no.json);
    assert!(no.json["reason"].as_str().unwrap().contains("not today"), "{}", no.json);
}

#[tokio::test]
async fn what_the_constitution_denies_is_refused_with_its_rule_and_leaves_no_task() {
    let house = house();
    let refused = house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(json!({"title": "forbidden"}))).await;
    assert_eq!((refused.status.as_u16(), &refused.json["code"]), (400, &json!("VALIDATION_FAILED")), "{}", refused.json);
    assert!(refused.json.to_string().contains("constitution work.1"), "{}", refused.json);
    let list = house.ask("GET", "/api/v1/tasks", Some(TOKEN), None).await.json;
    assert!(!list.to_string().contains("forbidden"), "{list}");
}
