//! What is asked is understood as it was said, or refused by the name of the field: nothing is passed over in silence.

use super::desk::Desk;
use axum::body::Body;
use serde_json::{Value, json};

const TASKS: &str = "/api/v1/tasks";

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_stays_as_it_was_said_and_the_release_has_an_instant_of_its_own() {
    let desk = Desk::open();
    let past = "2001-02-03T04:05:06Z";
    let planned = "2098-01-01T00:00:00Z";
    let task = desk.submit(&json!({"type": "A", "dueAt": past, "scheduledAt": planned})).await;
    let view = desk.get(&format!("{task}?case=camel")).await.with(200).json();
    assert_eq!((&view["status"], &view["dueAt"]), (&json!("PENDING"), &json!(past)), "{view}");
    assert_eq!((&view["scheduledAt"], &view["wakeAt"]), (&json!(planned), &json!(planned)), "{view}");
    let scheduled = json!({"newStatus": "SCHEDULED", "scheduledAt": "2001-01-01T00:00:00Z"});
    let patched = desk.send("PATCH", &task, &scheduled).await.with(200).json();
    assert_eq!((&patched["status"], &patched["dueAt"]), (&json!("SCHEDULED"), &json!(past)), "{patched}");
    // It was released there and then: not at the instant that has passed, nor at the one that was planned.
    let released = patched["scheduledAt"].as_str().unwrap();
    assert!(released > past && released < planned, "{released}");
    let rows = desk.get(&format!("{TASKS}?before=2001-03-01")).await.with(200).json();
    assert_eq!((rows.as_array().map(Vec::len), &rows[0]["due_at"]), (Some(1), &json!(past)));
    // A new due time counts again, in lists too.
    let later =
        desk.submit(&json!({"title": "x", "due_at": "2099-01-01T00:00:00Z", "scheduled_at": "2098-01-01T00:00:00Z"})).await;
    assert_eq!(desk.get(&later).await.json()["wake_at"], "2098-01-01T00:00:00Z");
    let moved = desk.send("POST", &format!("{later}/modify"), &json!({"due_at": "2097-01-01T00:00:00Z"})).await.with(200).json();
    assert_eq!((&moved["wake_at"], &moved["scheduled_at"]), (&json!("2097-01-01T00:00:00Z"), &Value::Null), "{moved}");
    let rows = desk.get(&format!("{TASKS}?before=2097-06-01&after_due=2096-01-01")).await.with(200).json();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_change_may_stand_beside_the_others_and_reasons_are_kept() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "description": "y"})).await;
    let post = async |verb: &str, body: Value| desk.send("POST", &format!("{task}/{verb}"), &body).await;
    let flat = post("modify", json!({"description": "flat", "requirements": ["a"], "priority": "high", "reason": "so"})).await;
    let flat = flat.with(200).json();
    assert_eq!((&flat["description"], &flat["requirements"], &flat["priority"]), (&json!("flat"), &json!(["a"]), &json!("HIGH")));
    let both = post("modify", json!({"description": "a", "changes": {"description": "b"}})).await.with(400).json();
    assert_eq!(both["errors"][0]["field"], "description", "{both}");
    let titled =
        desk.send("PATCH", &task, &json!({"title": " New\ntitle ", "constitutionalBasis": "Article 7"})).await.with(200).json();
    assert_eq!((&titled["title"], &titled["constitutionalBasis"]), (&json!("Newtitle"), &json!("Article 7")), "{titled}");
    let row = &desk.get(TASKS).await.json()[0];
    assert_eq!(row["title"], "Newtitle");
    assert_eq!(post("modify", json!({"title": " "})).await.with(400).json()["errors"][0]["field"], "title");
    let nested = post("interventions", json!({"type": "MODIFY", "changes": {"title": "By hand"}})).await.with(200).json();
    assert_eq!(nested["title"], "By hand");

    post("pause", json!({"reason": "lunch"})).await.with(200);
    assert_eq!(post("resume", json!({"reason": "fed"})).await.with(200).json()["reason"], "fed");
    post("pause", json!({})).await.with(200);
    let resumed = desk.send("PATCH", &task, &json!({"status": "RUNNING", "reason": "again"})).await.with(200).json();
    assert_eq!(resumed["reason"], "again", "{resumed}");

    // A new title or scope is judged anew; what follows needs no agent.
    assert_eq!(post("escalate", json!({"priority": "CRITICAL"})).await.with(400).json()["errors"][0]["field"], "reason");
    let raised = post("escalate", json!({"priority": "idle", "reason": "look"})).await.with(200).json();
    assert_eq!((&raised["status"], &raised["priority"]), (&json!("ESCALATED"), &json!("HIGH")), "{raised}");
    let decide = async |body: Value| desk.decide("POST", &format!("{task}/council-decision"), &body).await;
    let unfounded = decide(json!({"decision": "LIQUIDATE"})).await.with(400).json();
    assert_eq!(unfounded["errors"][0]["field"], "reason", "{unfounded}");
    let lots = decide(json!({"decision": "ALLOCATE_RESOURCES", "resource_limits": {"memory_mb": "lots"}})).await.with(400).json();
    assert_eq!(lots["errors"][0]["field"], "resource_limits.memory_mb", "{lots}");
    assert!(lots["errors"][0]["message"].as_str().unwrap().contains("whole number"));
    assert_eq!(decide(json!({"decision": "LIQUIDATE", "reason": "no use"})).await.with(200).json()["status"], "STOPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_goes_by_its_own_name_wherever_work_is_handed_over() {
    let desk = Desk::open();
    let said = json!({"name": "w", "external_id": "w1", "capabilities": ["work"]});
    let agent = desk.send("POST", "/api/v1/agents", &said).await.with(201).json()["id"].clone();
    for verb in ["modify", "reassign"] {
        let task = desk.submit(&json!({"title": "x"})).await;
        let body = json!({"agent": "w1", "reason": "theirs"});
        assert_eq!(desk.send("POST", &format!("{task}/{verb}"), &body).await.with(200).json()["agent"], agent, "{verb}");
        let unknown = desk.send("POST", &format!("{task}/{verb}"), &json!({"agent": "w2"})).await.with(400).json();
        assert_eq!(unknown["errors"][0]["field"], "agent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_named_as_they_were_written_and_missing_ones_by_their_names() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x"})).await;
    let field = async |method: &str, path: String, body: Value| {
        let refused = desk.send(method, &path, &body).await.with(400).json();
        refused["errors"][0]["field"].as_str().unwrap().to_owned()
    };
    assert_eq!(field("POST", format!("{task}/cancel"), json!({})).await, "reason");
    assert_eq!(field("POST", format!("{task}/guide"), json!({})).await, "text");
    assert_eq!(field("PATCH", task.clone(), json!({"newStatus": "HAPPY"})).await, "newStatus");
    assert_eq!(field("PATCH", task.clone(), json!({"new_status": "HAPPY"})).await, "new_status");
    // A move that is not allowed is one of the field that asked for it.
    assert_eq!(field("PATCH", task.clone(), json!({"newStatus": "COMPLETED"})).await, "newStatus");
    assert_eq!(field("PATCH", task.clone(), json!({"new_status": "COMPLETED"})).await, "new_status");
    assert_eq!(field("PATCH", task.clone(), json!({"status": "COMPLETED"})).await, "status");
    assert_eq!(field("PATCH", task.clone(), json!({"status": "PAUSED", "newStatus": "PAUSED"})).await, "newStatus");
    // Of two spellings of one field neither is lost in silence.
    let both = json!({"title": "x", "taskType": "a", "task_type": "b"});
    assert_eq!(field("POST", TASKS.into(), both).await, "task_type");
    assert_eq!(field("POST", TASKS.into(), json!({"title": "x", "maxRetries": 5000})).await, "maxRetries");
    assert_eq!(field("POST", TASKS.into(), json!({"title": "x", "max_retries": 5000})).await, "max_retries");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_claim_may_ask_for_has_limits_that_are_told() {
    let desk = Desk::open();
    let agent = desk.agent(&["work"]).await;
    let claim = format!("/api/v1/agents/{agent}/work/claim");
    for (body, field) in
        [(json!({"max": 0, "wait": "0s"}), "max"), (json!({"max": 5000, "wait": "0s"}), "max"), (json!({"wait": "5m"}), "wait")]
    {
        let refused = desk.send("POST", &claim, &body).await.with(400).json();
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
        assert!(refused["errors"][0]["message"].as_str().unwrap().contains("allowed"), "{refused}");
    }
    desk.get(&format!("/api/v1/agents/{agent}/work?wait=5m")).await.with(400);
    let report = json!({"reports": [], "claim_next": 5000});
    let refused = desk.send("POST", &format!("/api/v1/agents/{agent}/work/report"), &report).await.with(400).json();
    assert_eq!(refused["errors"][0]["field"], "claim_next");
    desk.send("POST", &claim, &json!({"max": 1000, "wait": "0s"})).await.with(200);
    // Who holds nothing and names no attempt is told that.
    let task = desk.submit(&json!({"title": "x", "action": "other"})).await;
    let work = format!("/api/v1/work/{}:step:1/report", task.rsplit('/').next().unwrap());
    let told = desk.send("POST", &work, &json!({"agent_id": agent, "outcome": {"SUCCEEDED": {}}})).await.with(409).json();
    assert_eq!((&told["code"], &told["errors"][0]["field"]), (&json!("STALE_ATTEMPT"), &json!("attempt")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_name_and_a_subject_of_the_same_day_are_told_apart() {
    let desk = Desk::open();
    let named = json!({"title": "x", "external_id": "E-1"});
    let subject = json!({"title": "x", "subject_ref_type": "INVOICE", "subject_ref_id": "I-1"});
    for (request, told) in [(named, "external_id"), (subject, "the same subject")] {
        desk.submit(&request).await;
        let refused = desk.send("POST", TASKS, &request).await.with(400).json();
        assert_eq!(refused["code"], "DUPLICATE_TASK");
        assert!(refused["error"].as_str().unwrap().contains(told), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_either_way_leave_out_what_was_archived_and_tell_the_small_fields() {
    let desk = Desk::open();
    let request = |n| {
        json!({"title": format!("t{n}"), "ownerType": "AI", "ownerId": "ann", "subjectRefType": "INVOICE",
        "subjectRefId": format!("I-{n}"), "autonomy": "ASSISTED"})
    };
    let mut tasks = Vec::new();
    for n in 0..5 {
        tasks.push(desk.submit(&request(n)).await);
    }
    desk.submit(&json!({"title": "other", "namespace": "other"})).await;
    let titles = async |query: &str| {
        let rows = desk.get(&format!("{TASKS}?{query}")).await.with(200).json();
        rows.as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (mut upwards, mut path) = (Vec::new(), format!("{TASKS}?owner_id=ann&order=asc&limit=2"));
    loop {
        let page = desk.get(&path).await.with(200);
        upwards.extend(page.json().as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned()));
        let Some((next, _)) = page.header("link").strip_prefix('<').and_then(|l| l.split_once('>')) else { break };
        path = next.to_owned();
    }
    assert_eq!(upwards, ["t0", "t1", "t2", "t3", "t4"]);
    assert_eq!(titles("owner_id=ann&order=asc&q=t&limit=2").await, ["t0", "t1"]);
    assert!(desk.get(&format!("{TASKS}?order=up")).await.with(400).json().to_string().contains("order"));

    // Who asks in camelCase is answered in it.
    let row = desk.get(&format!("{TASKS}?ownerId=ann&limit=1")).await.with(200).json()[0].clone();
    for (field, value) in [
        ("ownerType", "AI"),
        ("ownerId", "ann"),
        ("subjectRefType", "INVOICE"),
        ("subjectRefId", "I-4"),
        ("autonomy", "ASSISTED"),
    ] {
        assert_eq!(row[field], value, "{row}");
    }
    assert_eq!(desk.get(&format!("{TASKS}?ownerId=ann&case=snake")).await.json()[0]["owner_type"], "AI");
    assert_eq!(desk.get(&format!("{TASKS}?namespace=other")).await.json()[0]["autonomy"], "AUTONOMOUS");

    desk.send("POST", &format!("{}/cancel", tasks[1]), &json!({"reason": "x"})).await.with(200);
    assert_eq!(titles("status=cancelled").await, ["t1"]);
    desk.ask("DELETE", &tasks[1], &[], Body::empty()).await.with(200);
    assert_eq!(titles("owner_id=ann").await, ["t4", "t3", "t2", "t0"]);
    assert_eq!(titles("status=cancelled").await.len(), 0);
    assert_eq!(titles("status=cancelled&archived=true").await, ["t1"]);
    let gone = desk.get(&format!("{TASKS}?status=cancelled&archived=true")).await.json();
    assert_eq!(gone[0]["archived"], true);

    let counts = desk.get(&format!("{TASKS}/counts")).await.with(200).json();
    assert_eq!(counts, json!({"total": 6, "by_status": {"SCHEDULED": 5, "CANCELLED": 1}}));
    let counts = desk.get(&format!("{TASKS}/counts?namespace=other")).await.with(200).json();
    assert_eq!(counts, json!({"namespace": "other", "total": 1, "by_status": {"SCHEDULED": 1}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_takes_all_that_modify_takes() {
    let desk = Desk::open();
    let agent = desk.agent(&["work"]).await;
    let named = json!({"name": "w1", "external_id": "w1", "capabilities": ["work"]});
    let other = desk.send("POST", "/api/v1/agents", &named).await.with(201).json()["id"].clone();
    let task = desk.submit(&json!({"title": "x", "agent": agent, "due_at": "2099-01-01T00:00:00Z"})).await;
    let body = json!({"agent": "w1", "budget": {"tokens": 900}, "scheduledAt": "2098-01-01T00:00:00Z", "reason": "theirs",
        "changes": {"title": "another"}});
    // What may be spent is a decision.
    desk.send("PATCH", &task, &body).await.with(401);
    let shown = desk.decide("PATCH", &task, &body).await.with(200).json();
    assert_eq!(
        (&shown["agent"], &shown["title"], &shown["budget"]["cap"]["tokens"]),
        (&other, &json!("another"), &json!(900)),
        "{shown}"
    );
    assert_eq!(shown["scheduledAt"], "2098-01-01T00:00:00Z", "{shown}");
    let unknown = desk.send("PATCH", &task, &json!({"agent": "nobody"})).await.with(400).json();
    assert_eq!(unknown["errors"][0]["field"], "agent", "{unknown}");
    // An intervention does too, beside its type and among its changes.
    for body in [json!({"type": "MODIFY", "agent": agent}), json!({"type": "MODIFY", "changes": {"agent": "w1"}})] {
        let shown = desk.send("POST", &format!("{task}/interventions"), &body).await.with(200).json();
        let wanted = if body["agent"].is_string() { json!(agent) } else { other.clone() };
        assert_eq!(shown["agent"], wanted, "{shown}");
    }
    let unknown = json!({"type": "MODIFY", "changes": {"agent": "nobody"}});
    let unknown = desk.send("POST", &format!("{task}/interventions"), &unknown).await.with(400).json();
    assert_eq!(unknown["errors"][0]["field"], "changes.agent", "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_submission_does_not_get_is_said_in_its_answer() {
    let desk = Desk::open();
    let past = json!({"title": "x", "deadline": "2001-01-01T00:00:00Z"});
    let told = desk.send("POST", TASKS, &past).await.with(201).json();
    let findings = told["findings"].as_array().unwrap();
    assert!(findings.iter().any(|f| f["check"] == "deadline" && f["result"] == "WARNING"), "{told}");
    assert!(findings.iter().all(|f| f["result"] != "PASSED"), "{told}");
    desk.agent(&["work"]).await;
    let plain = desk.send("POST", TASKS, &json!({"title": "Say hello to the neighbours"})).await.with(201).json();
    assert_eq!(plain["findings"], Value::Null, "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_told_with_the_call_that_leads_on() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "action": "work", "max_retries": 0})).await;
    for body in [json!({"newStatus": "IN_PROGRESS", "actorId": "w"}), json!({"newStatus": "FAILED", "actorId": "w"})] {
        desk.send("PATCH", &task, &body).await.with(200);
    }
    let told = desk.send("POST", &format!("{task}/pause"), &json!({})).await.with(400).json();
    let rerun = format!("POST {task}/rerun");
    assert_eq!((&told["code"], &told["next"][0]), (&json!("TERMINAL_STATE"), &json!(rerun)), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capability_that_makes_no_sense_is_told_how_one_is_said() {
    let desk = Desk::open();
    let agent = json!({"name": "a", "capabilities": ["x", {"params": ["p"]}]});
    let told = desk.send("POST", "/api/v1/agents", &agent).await.with(400).json();
    assert_eq!(told["errors"][0]["field"], "capabilities[1]", "{told}");
    assert!(told["errors"][0]["message"].as_str().unwrap().contains("`action`"), "{told}");
}
