//! The constitution over HTTP: shown, amended by those who may, and tried before it is proposed.

use super::house::{House, TOKEN};
use ephor_core::policy::Policy;
use serde_json::{Value, json};

const BASE: &str = "/api/v1/constitution";
const NEXT: &str = r#"
constitution: Next
articles:
  - id: work
    title: Work
    rules:
      - {at: [plan], when: 'plan.does(["work"])', verdict: DENY, message: nobody works any more}
"#;

fn house() -> House {
    House::under(false, Policy { solo: true, ..Policy::default() })
}

async fn get(house: &House, path: &str) -> Value {
    let answer = house.ask("GET", &format!("{BASE}{path}"), Some(TOKEN), None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    answer.json
}

#[tokio::test]
async fn a_document_is_tried_proposed_voted_on_and_in_force() {
    let house = house();
    let shipped = get(&house, "").await;
    assert!(shipped["version"].is_null() && shipped["terms"]["quorum"] == "50%", "{shipped}");
    assert_eq!(get(&house, "/versions").await, json!([]), "nothing has happened yet");
    let task = house.task("default").await;

    let tried = house.ask("POST", &format!("{BASE}/impact"), Some(TOKEN), Some(json!({"document": NEXT}))).await.json;
    assert_eq!((&tried["tasks"][0]["task_id"], &tried["tasks"][0]["follows"]), (&json!(task), &json!("REFUSED")), "{tried}");
    let again = house.ask("POST", &format!("{BASE}/replay"), Some(TOKEN), Some(json!({"document": NEXT}))).await.json;
    assert_eq!(
        (&again["flips"][0]["point"], &again["flips"][0]["now"]["ruling"]),
        (&json!("admission"), &json!("DENY")),
        "{again}"
    );

    let wish = json!({"document": NEXT, "reason": "it is enough"});
    let made = house.ask("POST", &format!("{BASE}/amendments"), Some(TOKEN), Some(wish.clone())).await;
    assert_eq!(
        (made.status.as_u16(), &made.json["state"], &made.json["solo"]),
        (201, &json!("VOTING"), &json!(true)),
        "{}",
        made.json
    );
    let id = made.json["id"].as_str().unwrap();
    let one = get(&house, &format!("/amendments/{id}")).await;
    assert_eq!((&one["text"], &one["sponsors"], &one["reason"]), (&json!(NEXT), &json!(["operator"]), &json!("it is enough")));
    assert_eq!(house.ask("POST", &format!("{BASE}/amendments"), Some(TOKEN), Some(wish)).await.status, 409, "it is open");
    let vote = format!("{BASE}/amendments/{id}/vote");
    let voted = house.ask("POST", &vote, Some(TOKEN), Some(json!({"vote": "APPROVE"}))).await;
    assert_eq!((voted.status.as_u16(), &voted.json["state"]), (200, &json!("ADOPTED")), "{}", voted.json);
    assert_eq!(house.ask("POST", &vote, Some(TOKEN), Some(json!({"vote": "REJECT"}))).await.status, 409, "it was decided");

    let now = get(&house, "").await;
    assert_eq!((&now["document"]["name"], &now["version"]["number"], &now["text"]), (&json!("Next"), &json!(2), &json!(NEXT)));
    let versions = get(&house, "/versions").await;
    assert_eq!((&versions[0]["from"], &versions[1]["from"]), (&json!("SHIPPED"), &json!("AMENDMENT")), "{versions}");
    assert_eq!(get(&house, "/versions/1").await["digest"], shipped["digest"]);
    assert_eq!(get(&house, "/amendments").await[0]["state"], "ADOPTED");
    let refused = house
        .ask("POST", "/api/v1/tasks", Some(TOKEN), Some(json!({"title": "x", "plan": {"steps": [{"action": "work"}]}})))
        .await;
    assert!(refused.status == 400 && refused.json.to_string().contains("nobody works any more"), "{}", refused.json);
    let events = house.ask("GET", "/api/v1/events?after=0", Some(TOKEN), None).await.json;
    let kinds: Vec<&str> = events.as_array().unwrap().iter().filter_map(|event| event["type"].as_str()).collect();
    for kind in ["CONSTITUTION_ADOPTED", "AMENDMENT_PROPOSED", "AMENDMENT_SPONSORED", "AMENDMENT_VOTED", "AMENDMENT_DECIDED"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
}

#[tokio::test]
async fn nobody_amends_who_may_not_and_what_is_wrong_is_told_by_its_line() {
    let house = house();
    let viewer = house.key(json!({"name": "vic", "roles": ["viewer"]})).await;
    let operator = house.key(json!({"name": "olga", "roles": ["operator"]})).await;
    let local = house.key(json!({"name": "lea", "roles": ["approver"], "namespace": "a"})).await;
    let approver = house.key(json!({"name": "ann", "roles": ["approver"]})).await;
    let wish = json!({"document": NEXT, "reason": "enough"});
    let path = format!("{BASE}/amendments");
    for (key, status) in [(Some(&viewer), 403), (Some(&operator), 403), (Some(&local), 403), (None, 401)] {
        let answer = house.ask("POST", &path, key.map(String::as_str), Some(wish.clone())).await;
        assert_eq!(answer.status, status, "{}", answer.json);
    }
    // Nor does whoever is in one namespace look at the tasks of others through it.
    for what in ["impact", "replay"] {
        let answer = house.ask("POST", &format!("{BASE}/{what}"), Some(&local), Some(json!({"document": NEXT}))).await;
        assert_eq!(answer.status, 403, "{}", answer.json);
    }
    for (wrong, field) in [
        (
            json!({"document": "constitution: x\narticles:\n  - {id: a, title: A}\n  - {id: a, title: A}\n", "reason": "y"}),
            "document line 4",
        ),
        (json!({"document": NEXT, "reason": " "}), "reason"),
        (json!({"document": NEXT}), "reason"),
        (json!({"document": NEXT, "reason": "y", "vote": 1}), "vote"),
    ] {
        let refused = house.ask("POST", &path, Some(&approver), Some(wrong)).await;
        assert_eq!(refused.status, 400, "{}", refused.json);
        assert!(refused.json.to_string().contains(field), "{field}: {}", refused.json);
    }
    let made = house.ask("POST", &path, Some(&approver), Some(wish)).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let id = made.json["id"].as_str().unwrap();
    let vote = house.ask("POST", &format!("{path}/{id}/vote"), Some(&operator), Some(json!({"vote": "APPROVE"}))).await;
    assert_eq!(vote.status, 403);
    let gone = house.ask("POST", &format!("{path}/{id}/withdraw"), Some(TOKEN), Some(json!({"reason": "no"}))).await;
    assert_eq!(gone.status, 403, "only who proposed it takes it back: {}", gone.json);
    let gone = house.ask("POST", &format!("{path}/{id}/withdraw"), Some(&approver), Some(json!({"reason": "no"}))).await;
    assert_eq!((gone.status.as_u16(), &gone.json["state"]), (200, &json!("WITHDRAWN")));
    for missing in ["amendments/amendment_00000000000000000000000000", "versions/7"] {
        assert_eq!(house.ask("GET", &format!("{BASE}/{missing}"), Some(TOKEN), None).await.status, 404);
    }
    for wrong in ["amendments/x", "versions/x"] {
        assert_eq!(house.ask("GET", &format!("{BASE}/{wrong}"), Some(TOKEN), None).await.status, 400);
    }
}
