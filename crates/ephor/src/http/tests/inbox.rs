//! The inbox: what tasks ask of people, found by an index, and answered by the acts that stand beside each question.

use super::desk::{Answer, Desk};
use ephor_core::constitution::Law;
use ephor_core::event::Actor;
use ephor_core::policy::Policy;
use ephor_core::spec::Request;
use ephor_core::work::{Outcome, Report};
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the next page is.
fn next(page: &Answer) -> Option<String> {
    page.header("link").split_once('>').map(|(next, _)| next.trim_start_matches('<').to_owned())
}

fn titles(asked: &Value) -> Vec<&str> {
    asked.as_array().unwrap().iter().map(|asked| asked["title"].as_str().unwrap()).collect()
}

/// A task that asks one thing, which is this; its path.
async fn asking(desk: &Desk, reason: &str) -> String {
    let one = |step: Value| json!({"title": reason, "plan": {"steps": [step]}});
    match reason {
        "REVIEW" => desk.submit(&json!({"title": reason, "execution_mode": "STRICT", "action": "work"})).await,
        "DECOMPOSITION" => {
            desk.submit(&json!({"title": reason, "plan": {"confidence": 0.2, "steps": [{"action": "work"}]}})).await
        }
        "SIGNAL" => desk.submit(&one(json!({"action": "wait.signal", "params": {"name": "paid"}}))).await,
        "ESCALATED" => {
            let task = desk.submit(&one(json!({"action": "nobody-can"}))).await;
            desk.send("POST", &format!("{task}/escalate"), &json!({"reason": "it is too dear"})).await.with(200);
            task
        }
        "APPROVAL" => {
            let agent = desk.agent(&["approval"]).await;
            let task = desk.submit(&one(json!({"action": "approval", "gates": [{"kind": "MANUAL_REVIEW"}]}))).await;
            let item = desk.claim(agent).await;
            desk.done(agent, &item, Default::default()).await;
            task
        }
        "ACTION_APPROVAL" => {
            let agent = desk.agent(&["asked"]).await;
            let task = desk.submit(&one(json!({"action": "asked"}))).await;
            let wish = json!({"max": 1, "wait": "0s"});
            let none = desk.send("POST", &format!("/api/v1/agents/{agent}/work/claim"), &wish).await.with(200).json();
            assert_eq!(none, json!([]));
            task
        }
        "EXTERNAL" | "HUMAN_REVIEW" => {
            let word = reason.to_lowercase();
            let agent = desk.agent(&[&word]).await;
            let task = desk.submit(&one(json!({"action": word, "on_unknown": "ask"}))).await;
            let item = desk.claim(agent).await;
            if reason == "HUMAN_REVIEW" {
                let wid = format!("/api/v1/work/{}:{}/effects", item.task_id, item.work);
                let wish = json!({"agent_id": agent, "attempt": item.attempt, "action": "pay", "args_digest": "ab".repeat(32)});
                assert!(matches!(desk.send("POST", &wid, &wish).await.status, 200 | 201));
            }
            let outcome = Outcome::Blocked { message: "the shop is closed".into() };
            let report = Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome };
            desk.engine.report(vec![report], agent).await.unwrap().pop().unwrap().unwrap();
            task
        }
        other => panic!("nobody asks {other}"),
    }
}

/// What somebody who answers may put into the fields that are left to them.
fn filled(act: &Value) -> Value {
    let mut body = act["body"].clone();
    for field in act["fill"].as_array().into_iter().flatten() {
        let field = field.as_str().unwrap();
        body[field] = match field {
            "reason" | "description" => json!("because"),
            "resource_limits" => json!({"memory_mb": 64}),
            "steps" => json!([{"action": "work"}]),
            "params" => json!({"amount": 1}),
            other => panic!("nobody said what {other} is"),
        };
    }
    body
}

const KINDS: [&str; 8] =
    ["REVIEW", "DECOMPOSITION", "SIGNAL", "ESCALATED", "APPROVAL", "ACTION_APPROVAL", "EXTERNAL", "HUMAN_REVIEW"];

/// A law under which a person is asked about one action.
const LAW: &str = r#"
constitution: A house
articles:
  - id: asked
    title: Asked
    rules:
      - {at: [action], when: 'action.name == "asked"', verdict: ESCALATE, message: somebody looks first}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_act_beside_a_question_is_a_call_that_answers_it_and_a_command_that_exists() {
    let mut tried = 0;
    for reason in KINDS {
        for n in 0.. {
            // The operator decides alone, so that there is somebody to vote.
            let law = Some(Arc::new(Law::read(LAW).unwrap()));
            let desk = Desk::under(Policy { solo: true, law, ..Policy::default() });
            let task = asking(&desk, reason).await;
            let asked = desk.get(&format!("{task}/inbox")).await.with(200).json();
            assert_eq!(asked.as_array().unwrap().len(), 1, "{asked:#}");
            assert_eq!(asked, desk.get("/api/v1/inbox").await.with(200).json(), "of one task and of all");
            let asked = &asked[0];
            assert_eq!(asked["reason"], reason, "{asked:#}");
            let Some(act) = asked["acts"].get(n) else { break };
            let command = act["command"].as_str().unwrap();
            assert!(crate::cli::understands(command), "{command}");
            let headers = [("if-match", format!("\"{}\"", asked["version"]))];
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (method, path) = (act["method"].as_str().unwrap(), act["path"].as_str().unwrap());
            let answer = match asked["may"].as_str() {
                Some("DECIDE") => {
                    assert!(matches!(desk.send(method, path, &filled(act)).await.status, 401), "{act:#}");
                    desk.decide(method, path, &filled(act)).await
                }
                Some("STEER") => {
                    desk.ask(method, path, &[headers[0], ("content-type", "application/json")], filled(act).to_string()).await
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(answer.status, 200, "{act:#} {}", answer.json());
            let label = act["label"].as_str().unwrap();
            let left = desk.get(&format!("{task}/inbox")).await.with(200).json();
            let again = left
                .as_array()
                .unwrap()
                .iter()
                .any(|left| (&left["reason"], &left["since"]) == (&asked["reason"], &asked["since"]));
            assert!(!again || label == "abstain", "{label} leaves {left:#}");
            tried += 1;
        }
    }
    assert!(tried >= 18, "only {tried} acts were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_ask_are_found_among_a_thousand_and_the_oldest_comes_first() {
    let desk = Desk::open();
    asking(&desk, "SIGNAL").await;
    let rest: Vec<Request> = (0..1_000)
        .map(|n| Request { title: Some(format!("t{n}")), action: Some("nobody-can".into()), ..Request::default() })
        .collect();
    desk.engine.submit_many(&rest, &Actor::human("test")).await.unwrap();
    asking(&desk, "ESCALATED").await;
    asking(&desk, "DECOMPOSITION").await;
    let all = desk.get("/api/v1/inbox").await.with(200);
    assert_eq!((titles(&all.json()), next(&all)), (vec!["SIGNAL", "ESCALATED", "DECOMPOSITION"], None));
    // The index alone knows them: of the others none is read.
    let reader = desk.engine.reader();
    assert_eq!(reader.asking(None, None, 500).unwrap().len(), 3);
    let mut seen = Vec::new();
    let mut page = Some("/api/v1/inbox?limit=1".to_owned());
    while let Some(path) = page {
        let answer = desk.get(&path).await.with(200);
        seen.extend(titles(&answer.json()).into_iter().map(str::to_owned));
        page = next(&answer);
    }
    assert_eq!(seen, ["SIGNAL", "ESCALATED", "DECOMPOSITION"]);
    let elsewhere = desk.get("/api/v1/inbox?namespace=elsewhere").await.with(200);
    assert_eq!(elsewhere.json(), json!([]));
    let cursor = next(&desk.get("/api/v1/inbox?limit=1").await).unwrap();
    desk.get(&format!("{cursor}&namespace=elsewhere")).await.with(400);
    desk.get("/api/v1/inbox?limit=0").await.with(400);
    desk.get("/api/v1/inbox?nonsense=1").await.with(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tasks_that_ask_are_walked_without_a_gap_and_without_a_double() {
    let desk = Desk::open();
    let strict = |n: usize| -> Request {
        serde_json::from_value(json!({"title": format!("t{n}"), "action": "work", "execution_mode": "STRICT"})).unwrap()
    };
    let asking: Vec<Request> = (0..1_000).map(strict).collect();
    desk.engine.submit_many(&asking, &Actor::human("test")).await.unwrap();
    let mut seen = Vec::new();
    let mut page = Some("/api/v1/inbox?limit=170".to_owned());
    while let Some(path) = page {
        let answer = desk.get(&path).await.with(200);
        assert!(titles(&answer.json()).len() <= 170);
        seen.extend(titles(&answer.json()).into_iter().map(str::to_owned));
        // One is answered between two pages: nobody else is lost by that.
        if seen.len() == 170 {
            let first = desk.get("/api/v1/inbox?limit=1").await.json();
            desk.send(
                "POST",
                &format!("/api/v1/tasks/{}/cancel", first[0]["task_id"].as_str().unwrap()),
                &json!({"reason": "x"}),
            )
            .await
            .with(200);
        }
        page = next(&answer);
    }
    let wanted: Vec<String> = (0..1_000).map(|n| format!("t{n}")).collect();
    assert_eq!(seen, wanted);
}
