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

#[tokio::test(flavor = "multi_thread")]
async fn models_are_told_with_what_the_house_says_and_with_how_attempts_went() {
    let desk = desk();
    let agent = desk.agent(&["model.generate"]).await;
    let fallbacks = json!(["small"]);
    for _ in 0..3 {
        let plan = json!({"steps": [{"action": "model.generate"}]});
        desk.submit(&json!({"title": "x", "requirements": ["code"], "max_retries": 0, "plan": plan})).await;
    }
    let usage = Some(Usage { tokens: 1_000, cost: Some(70), tool_calls: 2 });
    for usage in [usage, None] {
        let item = desk.claim(agent).await;
        desk.done(agent, &item, Success { usage, ..Success::default() }).await;
    }
    let item = desk.claim(agent).await;
    let failed = json!({"class": "TIMEOUT", "message": "no", "retryable": false, "usage": {"tokens": 500}});
    let report = json!({"agent_id": agent, "attempt": item.attempt, "outcome": {"FAILED": failed}});
    desk.send("POST", &format!("/api/v1/work/{}:{}/report", item.task_id, item.work), &report).await.with(200);
    // One that no rule asked for.
    let own = json!({"steps": [{"action": "model.generate", "model": "house/own"}]});
    desk.submit(&json!({"title": "x", "plan": own})).await;
    let item = desk.claim(agent).await;
    desk.done(agent, &item, Success::default()).await;

    let told = desk.get("/api/v1/models").await.with(200).json();
    let names: Vec<&Value> = told["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["big", "house/own", "other", "small"], "{told}");
    let big = &told["models"][0];
    assert_eq!((&big["catalogued"], &big["cost_out"], &big["state"]), (&json!(true), &json!(15), &json!("CLOSED")));
    let by = json!({"rule": "rule 1", "when": "a requirement says \"code\"", "role": "PRIMARY", "fallbacks": fallbacks, "reason": "so"});
    assert_eq!(big["named_by"], json!([by]));
    let work = &big["work"];
    assert_eq!(
        (&work["succeeded"], &work["failed"], &work["by_class"]),
        (&json!(2), &json!(1), &json!({"TIMEOUT": 1})),
        "{work}"
    );
    assert_eq!((&work["told"], &work["tokens"], &work["tool_calls"]), (&json!(2), &json!(1_500), &json!(2)), "{work}");
    // What was said, and by the price of the house where it was not.
    assert_eq!((&work["cost"], &work["duration"]["count"]), (&json!(70 + 8), &json!(2)), "{work}");
    assert_eq!(told["models"][2]["named_by"][0]["task_types"], json!(["CodeReview"]));
    let own = desk.get("/api/v1/models/house%2Fown").await.with(200).json();
    assert_eq!(
        (&own["work"]["succeeded"], &own["catalogued"], &own["named_by"]),
        (&json!(1), &json!(false), &Value::Null),
        "{own}"
    );
    assert_eq!(desk.get("/api/v1/models/none").await.with(404).json()["code"], "NOT_FOUND");
    assert_eq!(desk.get("/api/v1/models?window=31d").await.with(400).json()["errors"][0]["field"], "window");
    let elsewhere = desk.get("/api/v1/models?namespace=elsewhere").await.with(200).json();
    assert_eq!((&elsewhere["models"][0]["work"]["succeeded"], &elsewhere["namespace"]), (&json!(0), &json!("elsewhere")));
    let figures = desk.get("/api/v1/admin/metrics").await.with(200).json();
    assert_eq!((&figures["models"][0]["name"], &figures["models"][0]["work"]["failed"]), (&json!("big"), &json!(1)), "{figures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_is_left_alone_and_trusted_again() {
    let desk = desk();
    let agent = desk.agent(&["model.generate"]).await;
    for _ in 0..5 {
        let plan = json!({"steps": [{"action": "model.generate", "model": "small"}]});
        desk.submit(&json!({"title": "x", "max_retries": 0, "plan": plan})).await;
        let item = desk.claim(agent).await;
        let failed = json!({"class": "RATE_LIMIT", "message": "no", "retryable": false});
        let report = json!({"agent_id": agent, "attempt": item.attempt, "outcome": {"FAILED": failed}});
        desk.send("POST", &format!("/api/v1/work/{}:{}/report", item.task_id, item.work), &report).await.with(200);
    }
    // A breaker turns in the batch behind the report that turned it.
    let small = loop {
        let small = desk.get("/api/v1/models/small").await.with(200).json();
        if small["state"] != "CLOSED" {
            break small;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&small["state"], &small["breakers"][0]["class"]), (&json!("OPEN"), &json!("RATE_LIMIT")), "{small}");
    assert_eq!((&small["work"]["failed"], &small["work"]["error_rate"]), (&json!(5), &json!(1.0)), "{small}");
    let again = json!({"of": "model", "name": "small", "namespace": small["breakers"][0]["namespace"]});
    desk.send("POST", "/api/v1/breakers/reset", &again).await.with(200);
    let small = desk.get("/api/v1/models/small").await.with(200).json();
    assert_eq!((&small["state"], &small["breakers"]), (&json!("CLOSED"), &Value::Null), "{small}");
}
