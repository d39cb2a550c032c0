//! What follows failures and escalations, over HTTP: each way out is shown by its effect, by what the next claim gets, what is undone, or
//! how the task ends.

use super::house::{House, TOKEN};
use ephor_core::policy::Policy;
use ephor_core::spec::RetryPolicy;
use ephor_core::time::WireDuration;
use serde_json::{Value, json};

/// A house where failures are tried again at once, with a worker, and an analyst where one is wanted.
struct Clinic {
    house: House,
    worker: String,
    analyst: Option<String>,
}

/// A base that is a checkpoint, a step that can be undone, and one that fails.
fn plan() -> Value {
    json!({"steps": [
        {"id": "base", "action": "work", "checkpoint": "laid"},
        {"id": "book", "action": "work", "depends_on": ["base"],
         "compensation": {"action": "work", "params": {"cancel": "${steps.book.output.number}"}}},
        {"id": "pay", "action": "work", "depends_on": ["book"], "retry_policy": {"max_attempts": 1}},
    ]})
}

impl Clinic {
    async fn open(with_analyst: bool) -> Self {
        let task_retry = RetryPolicy { initial: WireDuration { ms: 0 }, max_attempts: 1_000, ..RetryPolicy::default() };
        let house = House::under(true, Policy { solo: true, task_retry, ..Policy::default() });
        let worker = house.agent("worker", None).await;
        let analyst = if with_analyst { Some(able(&house, "analyst", "analyse").await) } else { None };
        Self { house, worker, analyst }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.house.ask("POST", path, Some(TOKEN), Some(body)).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.json);
        answer.json
    }

    async fn submit(&self, request: Value) -> String {
        self.post("/api/v1/tasks", request).await["id"].as_str().unwrap().to_owned()
    }

    async fn task(&self, task: &str) -> Value {
        self.house.ask("GET", &format!("/api/v1/tasks/{task}"), Some(TOKEN), None).await.json
    }

    async fn kinds(&self, task: &str) -> Vec<String> {
        let events = self.house.ask("GET", &format!("/api/v1/tasks/{task}/events"), Some(TOKEN), None).await.json;
        events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// The next piece of work for an agent.
    async fn next(&self, agent: &str) -> Value {
        let path = format!("/api/v1/agents/{agent}/work/claim");
        let items = self.post(&path, json!({"max": 1, "wait": "20s"})).await;
        assert!(items[0].is_object(), "nothing came for {agent}");
        items[0].clone()
    }

    async fn report(&self, agent: &str, item: &Value, outcome: Value) {
        let report = json!({"task_id": item["task_id"], "work": item["work"], "attempt": item["attempt"], "outcome": outcome});
        let answers = self.post(&format!("/api/v1/agents/{agent}/work/report"), json!({"reports": [report]})).await;
        assert!(answers["answers"][0].get("error").is_none(), "{answers}");
    }

    /// The worker does the next piece of work, which has to be this one.
    async fn does(&self, work: &str, output: Value) -> Value {
        let item = self.next(&self.worker).await;
        assert_eq!(item["work"], work, "{item}");
        self.report(&self.worker, &item, json!({"SUCCEEDED": {"output": output}})).await;
        item
    }

    /// All but the last step is done; that one fails, and the analyst says this of it.
    async fn advised(&self, advice: Value) -> String {
        let task = self.submit(json!({"title": "Book a journey", "plan": plan()})).await;
        self.does("step:1", json!("here")).await;
        self.does("step:2", json!({"number": 12})).await;
        let item = self.next(&self.worker).await;
        assert_eq!(item["work"], "step:3");
        self.report(&self.worker, &item, json!({"FAILED": {"class": "BAD_OUTPUT", "message": "no", "retryable": false}})).await;
        let analyst = self.analyst.as_deref().unwrap();
        let analysis = self.next(analyst).await;
        assert_eq!((&analysis["work"], &analysis["subject"]["step"]), (&json!("analysis"), &json!("3")), "{analysis}");
        self.report(analyst, &analysis, json!({"ADVISED": advice})).await;
        task
    }

    /// A task of one step that somebody has to decide about.
    async fn escalated(&self) -> String {
        let limits = json!({"memory_mb": 64, "disk_gb": 5});
        let wish = json!({"title": "x", "description": "all of it", "action": "work", "resource_limits": limits});
        let task = self.submit(wish).await;
        let escalated = self.post(&format!("/api/v1/tasks/{task}/escalate"), json!({"reason": "look"})).await;
        assert_eq!(escalated["status"], "ESCALATED");
        task
    }

    async fn decide(&self, task: &str, decision: Value) -> Value {
        self.post(&format!("/api/v1/tasks/{task}/council-decision"), decision).await
    }
}

async fn able(house: &House, name: &str, capability: &str) -> String {
    let said = json!({"name": name, "external_id": name, "capabilities": [capability]});
    let made = house.ask("POST", "/api/v1/agents", Some(TOKEN), Some(said)).await;
    made.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn modify_scope_reaches_the_next_claim_in_its_new_words() {
    let clinic = Clinic::open(false).await;
    let task = clinic.escalated().await;
    let changes = json!({"description": "half of it", "reason": "too much"});
    let decided = clinic.decide(&task, json!({"decision": "MODIFY_SCOPE", "changes": changes})).await;
    assert_eq!((&decided["description"], &decided["request_version"]), (&json!("half of it"), &json!(1)), "{decided}");
    assert_eq!(clinic.next(&clinic.worker).await["description"], "half of it");
}

#[tokio::test]
async fn allocate_resources_reaches_the_next_claim_once_two_of_three_judges_say_so() {
    let clinic = Clinic::open(false).await;
    let mut judges = Vec::new();
    for name in ["j1", "j2", "j3"] {
        let judge = able(&clinic.house, name, "judge").await;
        judges.push(clinic.house.key(json!({"name": name, "roles": ["agent", "approver"], "agent": judge})).await);
    }
    let task = clinic.escalated().await;
    let changes = json!({"resource_limits": {"memory_mb": 4096}, "reason": "it needs more"});
    let wish = json!({"decision": "ALLOCATE_RESOURCES", "changes": changes, "council": true});
    assert_eq!(clinic.decide(&task, wish).await["status"], "ESCALATED", "it is only proposed");
    let vote = async |key: &str| {
        let vote = json!({"vote": "APPROVE", "reason": "so be it"});
        let answer = clinic.house.ask("POST", &format!("/api/v1/tasks/{task}/vote"), Some(key), Some(vote)).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
        answer.json["status"].clone()
    };
    assert_eq!(vote(&judges[0]).await, "ESCALATED", "one of three is not enough");
    assert_ne!(vote(&judges[1]).await, "ESCALATED");
    let given = clinic.next(&clinic.worker).await["resources"].clone();
    assert_eq!(given, json!({"memory_mb": 4096, "disk_gb": 5}));
    let events = clinic.house.ask("GET", &format!("/api/v1/tasks/{task}/events"), Some(TOKEN), None).await.json;
    let decided = events.as_array().unwrap().iter().find(|event| event["type"] == "ESCALATION_DECIDED").unwrap();
    assert_eq!((&decided["data"]["decision"], &decided["data"]["by"]), (&json!("ALLOCATE_RESOURCES"), &json!("COUNCIL")));
}

#[tokio::test]
async fn rollback_undoes_what_was_done_and_does_it_again() {
    let clinic = Clinic::open(true).await;
    let task = clinic.advised(json!({"ROLLBACK": {"checkpoint": "laid", "reason": "the seat is taken"}})).await;
    let undone = clinic.does("undo:2", json!("cancelled")).await;
    assert_eq!((&undone["params"]["cancel"], &undone["subject"]["undoes"]), (&json!(12), &json!("2")), "{undone}");
    clinic.does("step:2", json!({"number": 13})).await;
    clinic.does("step:3", json!("paid")).await;
    assert_eq!(clinic.task(&task).await["status"], "COMPLETED");
}

#[tokio::test]
async fn a_person_goes_back_as_well_and_is_told_to_where() {
    let clinic = Clinic::open(true).await;
    let task = clinic.advised(json!({"HUMAN_INTERVENTION": {"reason": "who has booked this?"}})).await;
    let waiting = clinic.house.ask("GET", &format!("/api/v1/tasks/{task}/waiting"), Some(TOKEN), None).await.json;
    assert!(waiting[0]["act"].as_str().unwrap().contains("override"), "{waiting}");
    assert!(waiting[0]["act"].as_str().unwrap().contains("rollback --to laid"), "{waiting}");
    let path = format!("/api/v1/tasks/{task}/override");
    let wish = |to: &str| json!({"decision": "ROLLBACK", "checkpoint": to, "reason": "book another seat"});
    let refused = clinic.house.ask("POST", &path, Some(TOKEN), Some(wish("pay"))).await;
    assert_eq!((refused.status.as_u16(), &refused.json["errors"][0]["field"]), (400, &json!("checkpoint")), "{}", refused.json);
    assert!(refused.json.to_string().contains("done are laid"), "{}", refused.json);
    clinic.post(&path, wish("laid")).await;
    clinic.does("undo:2", json!("cancelled")).await;
    clinic.does("step:2", json!({"number": 13})).await;
    clinic.does("step:3", json!("paid")).await;
    let ended = clinic.task(&task).await;
    assert_eq!((&ended["status"], &ended["retry_count"]), (&json!("COMPLETED"), &json!(0)), "{ended}");
}

#[tokio::test]
async fn an_alternative_path_is_what_the_next_claim_gets() {
    let clinic = Clinic::open(true).await;
    let other = json!({"id": "invoice", "action": "work", "title": "Pay by invoice", "depends_on": ["book"]});
    let mut steps = plan()["steps"].as_array().unwrap()[..2].to_vec();
    steps.push(other);
    let task = clinic.advised(json!({"ALTERNATIVE_PATH": {"steps": steps}})).await;
    let next = clinic.does("step:3", json!("sent")).await;
    assert_eq!(next["title"], "Pay by invoice", "what was done stays done: {next}");
    let ended = clinic.task(&task).await;
    assert_eq!((&ended["status"], &ended["plan_version"]), (&json!("COMPLETED"), &json!(2)));
}

#[tokio::test]
async fn human_intervention_waits_for_a_person_with_its_reason() {
    let clinic = Clinic::open(true).await;
    let task = clinic.advised(json!({"HUMAN_INTERVENTION": {"reason": "who pays?"}})).await;
    let waiting = clinic.house.ask("GET", &format!("/api/v1/tasks/{task}/waiting"), Some(TOKEN), None).await.json;
    assert_eq!((&clinic.task(&task).await["status"], &waiting[0]["reason"]), (&json!("ESCALATED"), &json!("ESCALATED")));
    assert!(waiting[0]["what"].as_str().unwrap().contains("who pays?"), "{waiting}");
    let ended = clinic.decide(&task, json!({"decision": "LIQUIDATE", "changes": {"reason": "nobody"}})).await;
    assert_eq!(ended["status"], "STOPPED");
}

#[tokio::test]
async fn abort_ends_it_with_its_reason() {
    let clinic = Clinic::open(true).await;
    let task = clinic.advised(json!({"ABORT": {"reason": "the hotel has burnt down"}})).await;
    let ended = clinic.task(&task).await;
    assert_eq!((&ended["status"], &ended["end_reason"]), (&json!("STOPPED"), &json!("ABORTED")), "{ended}");
    assert_eq!(ended["reason"], "the hotel has burnt down");
    assert_eq!(clinic.kinds(&task).await.last().map(String::as_str), Some("STOPPED"));
}
