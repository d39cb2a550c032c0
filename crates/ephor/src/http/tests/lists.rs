//! Lists of tasks by risk, by who holds them, and by their words.

use super::desk::{Answer, Desk};
use ephor_core::event::Actor;
use ephor_core::spec::Request;
use serde_json::{Value, json};

/// The titles on a page.
fn titles(page: &Answer) -> Vec<String> {
    page.json().as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
}

/// Where the next page is.
fn next(page: &Answer) -> Option<String> {
    page.header("link").split_once('>').map(|(next, _)| next.trim_start_matches('<').to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_found_by_their_risk() {
    let desk = Desk::open();
    for risk in ["LOW", "MEDIUM", "HIGH", "CRITICAL"] {
        desk.submit(&json!({"title": risk, "risk": risk})).await;
    }
    let of = async |query: &str| titles(&desk.get(&format!("/api/v1/tasks?{query}")).await.with(200));
    assert_eq!(of("risk=high").await, ["HIGH"]);
    assert_eq!(of("risk=critical,HIGH").await, ["CRITICAL", "HIGH"]);
    assert_eq!(of("risk=high&risk=low&status=scheduled").await, ["LOW"]);
    let refused = desk.get("/api/v1/tasks?risk=huge").await.with(400).json();
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("LOW, MEDIUM, HIGH, CRITICAL"), "{refused}");
    assert_eq!(desk.get("/api/v1/tasks?risk=high").await.json()[0]["risk_level"], "HIGH");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_found_by_who_holds_work_of_them_now() {
    let desk = Desk::open();
    let said = json!({"name": "Coder", "external_id": "coder-03", "capabilities": ["code"]});
    let agent = desk.send("POST", "/api/v1/agents", &said).await.with(201).json()["id"].as_str().unwrap().parse().unwrap();
    for n in 0..3 {
        desk.submit(&json!({"title": format!("t{n}"), "action": "code"})).await;
    }
    let of = async |query: &str| titles(&desk.get(&format!("/api/v1/tasks?{query}")).await.with(200));
    assert_eq!(of("agent=coder-03").await.len(), 0);
    let (first, second) = (desk.claim(agent).await, desk.claim(agent).await);
    assert_eq!(of("agent=coder-03").await, ["t1", "t0"], "newest first");
    assert_eq!(of(&format!("agent={agent}&status=scheduled")).await.len(), 0, "filters combine");
    let page = desk.get("/api/v1/tasks?agent=coder-03&limit=1").await.with(200);
    assert_eq!(titles(&page), ["t1"]);
    assert_eq!(titles(&desk.get(&next(&page).unwrap()).await.with(200)), ["t0"]);
    desk.done(agent, &first, Default::default()).await;
    assert_eq!(of("agent=coder-03").await, ["t1"]);
    desk.done(agent, &second, Default::default()).await;
    assert_eq!(of("agent=coder-03").await.len(), 0);
    desk.get("/api/v1/tasks?agent=nobody").await.with(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_looked_for_in_titles_and_descriptions() {
    let desk = Desk::open();
    desk.submit(&json!({"title": "Implement user authentication", "description": "with passkeys"})).await;
    let second =
        desk.submit(&json!({"title": "Write docs", "description": "how authentication works", "external_id": "DOC-7"})).await;
    let of = async |q: &str| titles(&desk.get(&format!("/api/v1/tasks?q={q}")).await.with(200));
    assert_eq!(of("auth").await, ["Write docs", "Implement user authentication"]);
    assert_eq!(of("PASSKEYS+implement").await, ["Implement user authentication"]);
    assert_eq!(of("doc-7").await, ["Write docs"]);
    assert_eq!(of("passkeys+docs").await.len(), 0);
    // Words that were changed are the new ones; words that are gone are found no more.
    desk.send("POST", &format!("{second}/modify"), &json!({"changes": {"description": "about sessions"}})).await.with(200);
    assert_eq!(of("sessions").await, ["Write docs"]);
    assert_eq!(of("works").await.len(), 0);
    desk.send("POST", &format!("{second}/cancel"), &json!({"reason": "x"})).await.with(200);
    desk.decide("POST", &format!("{second}/erase"), &json!({})).await.with(200);
    assert_eq!(of("sessions").await.len(), 0);
    for (q, why) in [("%20", "at least one word"), (&*"x".repeat(300), "256"), (&*"a+".repeat(17), "16")] {
        let refused = desk.get(&format!("/api/v1/tasks?q={q}")).await.with(400).json();
        assert_eq!(refused["errors"][0]["field"], "q");
        assert!(refused["errors"][0]["message"].as_str().unwrap().contains(why), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_looks_only_so_far_and_its_link_goes_on() {
    let desk = Desk::open();
    desk.submit(&json!({"title": "the needle"})).await;
    let hay: Vec<Request> = (0..2_100).map(|n| Request { title: Some(format!("hay {n}")), ..Request::default() }).collect();
    desk.engine.submit_many(&hay, &Actor::human("test")).await.unwrap();
    let page = desk.get("/api/v1/tasks?q=needle").await.with(200);
    assert_eq!(page.json(), Value::Array(Vec::new()));
    let rest = desk.get(&next(&page).expect("it did not look at all of them")).await.with(200);
    assert_eq!((titles(&rest), next(&rest)), (vec!["the needle".to_owned()], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_how_far_its_task_is_as_the_task_itself_does() {
    let desk = Desk::open();
    let agent = desk.agent(&["step"]).await;
    let task = desk
        .submit(&json!({"title": "four", "plan": {"sequential": true, "steps": [
        {"action": "step"}, {"action": "step"}, {"action": "step"}, {"action": "step", "when": "true"}]}}))
        .await;
    let mut seen = Vec::new();
    for done in 0..=4 {
        let row = desk.get("/api/v1/tasks").await.with(200).json()[0].clone();
        assert_eq!(row["progress"], desk.get(&task).await.json()["progress"], "{row}");
        seen.push(row["progress"].as_f64().unwrap());
        if done < 4 {
            let item = desk.claim(agent).await;
            desk.done(agent, &item, Default::default()).await;
        }
    }
    assert_eq!(seen, [0.0, 0.25, 0.5, 0.75, 1.0]);
    // What was called off stays where it was.
    let task = desk
        .submit(&json!({"title": "two", "plan": {"sequential": true, "steps": [{"action": "step"}, {"action": "step"}]}}))
        .await;
    let item = desk.claim(agent).await;
    desk.done(agent, &item, Default::default()).await;
    desk.send("POST", &format!("{task}/cancel"), &json!({"reason": "x", "force": true})).await.with(200);
    let row = desk.get("/api/v1/tasks?status=cancelled").await.with(200).json()[0].clone();
    assert_eq!((&row["progress"], &row["status"]), (&json!(0.5), &json!("CANCELLED")));
}
