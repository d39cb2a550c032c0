//! Which models a task is done with, over HTTP.

use super::desk::Desk;
use ephor_core::budget::Usage;
use ephor_core::models::catalogue::Catalogue;
use ephor_core::policy::Policy;
use ephor_core::work::Success;
use serde_json::{Value, json};
use std::sync::Arc;

fn desk() -> Desk {
    let said = json!({
        "catalogue": {"big": {"cost_in": 3, "cost_out": 15}},
        "rules": [{"when": {"requirement": "code"}, "primary": "big", "fallbacks": ["small"], "specialised": {"CodeReview": "other"}, "reason": "so"}],
    });
    let models = Arc::new(Catalogue::of_house(serde_json::from_value(said).unwrap()));
    Desk::under(Policy { models, ..Policy::default() })
}

async fn models(desk: &Desk, task: &str) -> Vec<Value> {
    let steps = desk.get(&format!("{task}/steps")).await.with(200).json();
    steps.as_array().unwrap().iter().map(|step| step["model"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_choice_is_shown_and_a_type_of_step_takes_another_model_by_any_way_of_changing_a_task() {
    let desk = desk();
    let steps = json!([{"action": "model.generate"}, {"action": "model.generate", "taskType": "CodeReview"}, {"action": "noop"}]);
    let task =
        desk.submit(&json!({"title": "x", "requirements": ["code"], "complexity": "complex", "plan": {"steps": steps}})).await;
    let view = desk.get(&format!("{task}?case=camel")).await.with(200).json();
    assert_eq!(view["models"]["primaryModel"], "big", "{view}");
    assert_eq!(view["models"]["specializedModels"], json!({"CodeReview": "other"}), "names stay as they were written");
    assert_eq!((&view["models"]["prices"], &view["allocation"]["cpuCores"]), (&json!({"big": 15}), &json!(8)));
    assert!(view["models"]["reasoning"].as_str().unwrap().contains("a requirement says"), "{view}");
    assert_eq!(models(&desk, &task).await, [json!("big"), json!("other"), Value::Null]);

    desk.send("PATCH", &task, &json!({"modelsByType": {"CodeReview": "second"}, "reason": "cheaper"})).await.with(200);
    assert_eq!(models(&desk, &task).await, [json!("big"), json!("second"), Value::Null]);
    let post = async |verb: &str, body: Value| desk.send("POST", &format!("{task}/{verb}"), &body).await;
    post("modify", json!({"models_by_type": {"model.generate": "third"}})).await.with(200);
    assert_eq!(models(&desk, &task).await, [json!("third"), json!("second"), Value::Null]);
    post("interventions", json!({"type": "MODIFY", "changes": {"models_by_type": {"*": "all"}}})).await.with(200);
    assert_eq!(models(&desk, &task).await, [json!("all"), json!("all"), json!("all")]);
    let wrong = post("modify", json!({"models_by_type": {"Poetry": "x"}})).await.with(400).json();
    assert_eq!(wrong["errors"][0]["field"], "models_by_type.Poetry", "{wrong}");
    assert!(wrong["errors"][0]["message"].as_str().unwrap().contains("CodeReview"), "{wrong}");
    let events = desk.get(&format!("{task}/events")).await.with(200).json();
    let last = events.as_array().unwrap().iter().rfind(|event| event["type"] == "MODIFIED").unwrap();
    assert_eq!(last["data"]["allocation"]["models_by_type"], json!({"*": "all"}), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_shown_asks_when_it_does_not_suffice_and_is_raised_by_who_may_decide() {
    let desk = Desk::open();
    let steps = json!([{"action": "draw", "reserve": {"tokens": 60}}, {"action": "draw", "reserve": {"tokens": 60}}]);
    let plan = json!({"steps": steps, "sequential": true});
    let task = desk.submit(&json!({"title": "x", "budget": {"tokens": 100}, "plan": plan})).await;
    let agent = desk.agent(&["draw"]).await;
    let item = desk.claim(agent).await;
    let usage = Some(Usage { tokens: 50, cost: Some(7), tool_calls: 2 });
    desk.done(agent, &item, Success { usage, ..Success::default() }).await;
    let view = desk.get(&format!("{task}?case=camel")).await.with(200).json();
    assert_eq!((&view["status"], &view["blockReason"]), (&json!("BLOCKED"), &json!("BUDGET")), "{view}");
    assert_eq!(view["budget"]["used"], json!({"tokens": 50, "cost": 7, "toolCalls": 2}), "{view}");
    assert_eq!(view["budget"]["left"], json!({"tokens": 50}), "{view}");
    let asked = desk.get("/api/v1/inbox").await.with(200).json();
    assert_eq!((&asked[0]["reason"], &asked[0]["may"]), (&json!("BUDGET"), &json!("DECIDE")), "{asked}");
    let (path, more) = (format!("{task}/modify"), json!({"budget": {"tokens": 200}}));
    let refused = desk.send("POST", &path, &more).await;
    assert!(matches!(refused.status, 401 | 403), "{}", refused.status);
    desk.decide("POST", &path, &json!({"budget": {"tokens": 0}})).await.with(400);
    let raised = desk.decide("POST", &path, &more).await.with(200).json();
    assert_eq!((&raised["status"], &raised["budget"]["cap"]), (&json!("IN_PROGRESS"), &json!({"tokens": 200})), "{raised}");
    let item = desk.claim(agent).await;
    desk.done(agent, &item, Success::default()).await;
    let receipt = desk.get(&format!("{task}/receipt")).await.with(200).json();
    assert_eq!(receipt["summary"]["usage"]["totals"]["cost_micro_usd"], json!(7.0), "{receipt}");
}
