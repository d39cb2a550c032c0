//! Agents that say what they have, keys of their own, breakers, and the choice explained.

use super::house::{House, TOKEN};
use serde_json::{Value, json};

async fn get(house: &House, path: &str) -> Value {
    let answer = house.ask("GET", path, Some(TOKEN), None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    answer.json
}

async fn post(house: &House, path: &str, key: &str, body: Value) -> Value {
    let answer = house.ask("POST", path, Some(key), Some(body)).await;
    assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.json);
    answer.json
}

#[tokio::test]
async fn an_agent_says_what_it_has_and_is_told_what_is_wrong_with_it() {
    let house = House::new(false);
    let said = json!({
        "name": "gpu-worker-01", "external_id": "gpu-worker-01", "tier": "premium", "slots": 2,
        "capabilities": ["gpu", {"action": "draw", "params": {"size": "large"}}],
        "resources": {"cpu_cores": 8, "memory_mb": 32768, "gpu_memory_mb": 16384},
        "models": ["stable-diffusion", "gpt-4"],
    });
    let made = post(&house, "/api/v1/agents", TOKEN, said).await;
    assert_eq!(made["capabilities"], json!(["draw", "gpu"]));
    assert_eq!(made["models"], json!(["gpt-4", "stable-diffusion"]));
    assert_eq!((&made["slots"], &made["breaker"], &made["tier"]), (&json!(2), &json!("CLOSED"), &json!("premium")));
    assert_eq!(get(&house, "/api/v1/agents/gpu-worker-01").await["resources"]["gpu_memory_mb"], 16384);

    let wrong = [
        (json!({"slots": 0}), "slots"),
        (json!({"resources": {"wheels": 4}}), "resources"),
        (json!({"models": ["a b"]}), "models"),
        (json!({"tier": " "}), "tier"),
        (json!({"capabilities": []}), "capabilities"),
    ];
    for (part, field) in wrong {
        let mut body = json!({"name": "x", "capabilities": ["work"]});
        body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        let answer = house.ask("POST", "/api/v1/agents", Some(TOKEN), Some(body)).await;
        assert_eq!((answer.status.as_u16(), &answer.json["code"]), (400, &json!("VALIDATION_FAILED")), "{field}");
        assert!(answer.json.to_string().contains(field), "{field}: {}", answer.json);
    }
}

#[tokio::test]
async fn the_key_of_an_agent_reaches_the_tasks_it_holds_and_no_others() {
    let house = House::new(false);
    let own = house.agent("worker", Some("a")).await;
    let made = post(&house, &format!("/api/v1/agents/{own}/keys"), TOKEN, json!({})).await;
    assert_eq!((&made["name"], &made["roles"], &made["namespace"]), (&json!("worker"), &json!(["agent"]), &json!("a")));
    let key = made["key"].as_str().unwrap();
    let again = house.ask("POST", &format!("/api/v1/agents/{own}/keys"), Some(key), Some(json!({}))).await;
    assert_eq!(again.status, 403, "it makes no keys itself");

    let (held, other) = (house.task("a").await, house.task("a").await);
    let seen = |task: String| {
        let house = &house;
        async move { house.ask("GET", &format!("/api/v1/tasks/{task}"), Some(key), None).await.status.as_u16() }
    };
    assert_eq!((seen(held.clone()).await, seen(other.clone()).await), (404, 404), "before it holds anything");
    let wish = json!({"max": 1, "wait": "0s"});
    let items = post(&house, &format!("/api/v1/agents/{own}/work/claim"), key, wish).await;
    let given = items[0]["task_id"].as_str().unwrap().to_owned();
    let rest = if given == held { other } else { held };
    assert_eq!((seen(given.clone()).await, seen(rest.clone()).await), (200, 404));
    for part in ["events", "steps", "waiting", "candidates"] {
        let of = |task: &str| format!("/api/v1/tasks/{task}/{part}");
        assert_eq!(house.ask("GET", &of(&given), Some(key), None).await.status, 200, "{part}");
        assert_eq!(house.ask("GET", &of(&rest), Some(key), None).await.status, 404, "{part}");
    }
    let list = house.ask("GET", "/api/v1/tasks", Some(key), None).await.json;
    assert_eq!(list.as_array().unwrap().iter().map(|t| t["id"].clone()).collect::<Vec<_>>(), [json!(given)]);
    let list = house.ask("GET", "/api/executions", Some(key), None).await.json;
    assert_eq!(
        list.as_array().unwrap().iter().map(|t| t["id"].clone()).collect::<Vec<_>>(),
        [json!(given)],
        "by its other name too"
    );
    let of = |task: &str| format!("/api/executions/{task}");
    assert_eq!(house.ask("GET", &of(&given), Some(key), None).await.status, 200);
    assert_eq!(house.ask("GET", &of(&rest), Some(key), None).await.status, 404);
    let others = house.agent("elsewhere", Some("a")).await;
    let agents = house.ask("GET", "/api/v1/agents", Some(key), None).await.json;
    assert_eq!(agents.as_array().unwrap().len(), 1, "nor does it see other agents: {agents}");
    assert_eq!(house.ask("GET", &format!("/api/v1/agents/{others}"), Some(key), None).await.status, 404);
    assert_eq!(house.ask("GET", "/api/v1/events", Some(key), None).await.status, 403);
    assert_eq!(house.ask("GET", &format!("/api/v1/events?task={rest}"), Some(key), None).await.status, 404);
}

#[tokio::test]
async fn a_breaker_opens_is_shown_and_is_reset() {
    let house = House::new(true);
    let agent = house.agent("unlucky", None).await;
    for _ in 0..5 {
        let body = json!({"title": "bad", "action": "work", "max_retries": 0});
        post(&house, "/api/v1/tasks", TOKEN, body).await;
        let items = post(&house, &format!("/api/v1/agents/{agent}/work/claim"), TOKEN, json!({"max": 1, "wait": "5s"})).await;
        let failed = json!({"FAILED": {"class": "TIMEOUT", "message": "no", "retryable": false}});
        let report = json!({"task_id": items[0]["task_id"], "work": items[0]["work"], "attempt": 1, "outcome": failed});
        post(&house, &format!("/api/v1/agents/{agent}/work/report"), TOKEN, json!({"reports": [report]})).await;
    }
    let told = loop {
        let told = get(&house, "/api/v1/breakers").await;
        // A timeout speaks against who worked and against the tool.
        if told.as_array().unwrap().len() == 2 {
            break told;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&told[0]["of"], &told[0]["name"], &told[0]["state"]), (&json!("agent"), &json!(agent), &json!("OPEN")));
    assert_eq!((&told[1]["of"], &told[1]["name"], &told[1]["class"]), (&json!("tool"), &json!("work"), &json!("TIMEOUT")));
    assert_eq!(get(&house, &format!("/api/v1/agents/{agent}")).await["breaker"], "OPEN");
    let task = house.task("default").await;
    let beside = get(&house, &format!("/api/v1/tasks/{task}/candidates")).await;
    assert_eq!((&beside[0]["may"], &beside[0]["work"]), (&json!(false), &json!("work")));
    assert!(beside[0]["why"].as_str().unwrap().contains("its breaker is open"), "{beside}");
    let why = get(&house, &format!("/api/v1/tasks/{task}/waiting")).await;
    assert_eq!(why[0]["reason"], "CIRCUIT_OPEN");
    assert_eq!(why[0]["act"], "ephor breaker reset tool work --namespace default");

    let left = post(&house, "/api/v1/breakers/reset", TOKEN, json!({"of": "tool", "name": "work"})).await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    let unknown = house.ask("POST", "/api/v1/breakers/reset", Some(TOKEN), Some(json!({"of": "tool", "name": "work"}))).await;
    assert_eq!(unknown.status, 404);
    let left = post(&house, "/api/v1/breakers/reset", TOKEN, json!({"of": "agent", "name": "unlucky"})).await;
    assert_eq!(left, json!([]));
    let items = post(&house, &format!("/api/v1/agents/{agent}/work/claim"), TOKEN, json!({"max": 1, "wait": "0s"})).await;
    assert_eq!(items.as_array().unwrap().len(), 1, "it is trusted again");
}
