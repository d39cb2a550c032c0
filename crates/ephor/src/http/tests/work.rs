//! The life of an agent over HTTP.

use super::desk::Desk;
use super::house::{House, TOKEN};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

#[tokio::test]
async fn an_agent_registers_claims_beats_logs_and_reports() {
    let house = House::new(true);
    let said = json!({"name": "Larry", "external_id": "agent_larry_001", "role": "analyst", "capabilities": ["work"]});
    let first = house.ask("POST", "/api/v1/agents", None, Some(said.clone())).await;
    assert_eq!(first.status, 201, "{}", first.json);
    assert_eq!(house.ask("POST", "/api/v1/agents", None, Some(said)).await.status, 200);
    let at = "/api/v1/agents/agent_larry_001";
    assert_eq!(house.ask("GET", &format!("{at}/work"), None, None).await.status, 204);
    let task = house.task("default").await;

    let work = house.ask("GET", &format!("{at}/work"), None, None).await.json;
    assert_eq!(work["id"], format!("{task}:step:1"));
    assert_eq!(house.ask("GET", &format!("{at}/work"), None, None).await.json, work, "the unreported item comes first");
    let shown = house.ask("GET", at, None, None).await.json;
    assert_eq!(shown["leases"][0]["id"], work["id"]);
    assert!(shown["last_seen_at"].is_string() && shown["status"] == "ACTIVE", "{shown}");

    let wid = format!("/api/v1/work/{}", work["id"].as_str().unwrap());
    let beat =
        house.ask("POST", &format!("{wid}/heartbeat"), None, Some(json!({"agent_id": "agent_larry_001", "progress": 0.5}))).await;
    assert_eq!(beat.json["then"], "CONTINUE");
    let log = Request::builder().method("POST").uri(format!("{wid}/log?agent=agent_larry_001")).header("host", "localhost");
    let log =
        log.header("content-type", "application/x-ndjson").body(Body::from("{\"message\":\"half\",\"level\":\"info\"}\nraw\n"));
    assert_eq!(house.send(log.unwrap()).await.status, 204);
    let logs = house.ask("GET", &format!("/api/v1/tasks/{task}/logs?step=1"), None, None).await.json;
    assert_eq!((logs[0]["text"].as_str(), logs[0]["attempt"].as_u64()), (Some("info: half\nraw\n"), Some(1)));

    let done = json!({"attempt": 1, "outcome": {"SUCCEEDED": {"output": 42}}});
    let reported = house.ask("POST", &format!("{wid}/report"), None, Some(done)).await;
    assert_eq!(reported.json["status"], "COMPLETED", "{}", reported.json);
}

#[tokio::test]
async fn a_late_word_is_refused_as_stale() {
    let house = House::new(true);
    let agent = house.agent("one", None).await;
    house.task("default").await;
    let work = house.ask("GET", &format!("/api/v1/agents/{agent}/work"), None, None).await.json;
    let wid = format!("/api/v1/work/{}", work["id"].as_str().unwrap());
    let late = |path: &str, body: Value| house.ask("POST", Box::leak(format!("{wid}/{path}").into_boxed_str()), None, Some(body));
    let failed = json!({"FAILED": {"message": "no"}});
    for (path, body) in [
        ("report", json!({"agent_id": agent, "attempt": 9, "outcome": failed})),
        ("effects", json!({"agent_id": agent, "attempt": 9, "action": "send", "args_digest": "0".repeat(64)})),
    ] {
        let answer = late(path, body).await;
        assert_eq!((answer.status.as_u16(), answer.json["code"].as_str()), (409, Some("STALE_ATTEMPT")), "{path}");
        assert!(!answer.json.to_string().contains("evidence"), "of an effect nothing is kept: {}", answer.json);
    }
    assert_eq!(late("heartbeat", json!({"agent_id": agent, "attempt": 9})).await.json["then"], "STALE");
    assert_eq!(late("report", json!({"outcome": failed})).await.json["errors"][0]["field"], "agent_id");
}

#[tokio::test]
async fn effects_are_granted_and_settled_by_their_holder() {
    let house = House::new(true);
    let agent = house.agent("one", None).await;
    house.task("default").await;
    let work = house.ask("GET", &format!("/api/v1/agents/{agent}/work"), None, None).await.json;
    let wid = format!("/api/v1/work/{}", work["id"].as_str().unwrap());
    let wish = json!({"agent_id": agent, "action": "send:outside", "args_digest": "0".repeat(64)});
    let grant = house.ask("POST", &format!("{wid}/effects"), None, Some(wish)).await;
    assert_eq!(grant.status, 201, "{}", grant.json);
    let effect = grant.json["effect_id"].as_str().unwrap();
    assert_eq!((&grant.json["token"], &grant.json["expires_in"]), (&json!(effect), &json!("5m")), "{}", grant.json);
    let came = json!({"agent_id": agent, "outcome": "DONE"});
    let settled = house.ask("POST", &format!("{wid}/effects/{effect}/outcome"), None, Some(came)).await;
    assert_eq!((settled.status.as_u16(), settled.json["status"].as_str()), (200, Some("IN_PROGRESS")));
}

#[tokio::test]
async fn what_an_earlier_attempt_left_unknown_is_looked_for_and_settled_by_the_next_one() {
    let house = House::new(true);
    let agent = house.agent("one", None).await;
    let step = json!({"action": "work", "on_unknown": "probe", "retry_policy": {"initial": "0s"}});
    let wish = json!({"title": "x", "plan": {"steps": [step]}});
    assert_eq!(house.ask("POST", "/api/v1/tasks", None, Some(wish)).await.status, 201);
    let next = async || house.ask("GET", &format!("/api/v1/agents/{agent}/work?wait=10s"), None, None).await.json;
    let wid = format!("/api/v1/work/{}", next().await["id"].as_str().unwrap());
    let say = async |path: String, mut body: Value| {
        body["agent_id"] = json!(agent);
        house.ask("POST", &format!("{wid}/{path}"), None, Some(body)).await
    };
    let act = |n: u8| json!({"action": "send", "args_digest": format!("{n:064x}")});
    let mut granted = Vec::new();
    for n in [1, 2] {
        let grant = say("effects".into(), act(n)).await;
        assert_eq!(grant.status, 201, "{}", grant.json);
        granted.push(grant.json["effect_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(say("report".into(), json!({"outcome": {"FAILED": {"message": "crash"}}})).await.status, 200);
    let work = next().await;
    assert_eq!((&work["attempt"], &work["probe"]), (&json!(2), &work["probes"][0]), "{work}");
    let probes = work["probes"].as_array().unwrap();
    for (n, effect) in [1, 2].into_iter().zip(&granted) {
        let probe = probes.iter().find(|probe| probe["effect_id"] == json!(effect)).unwrap_or_else(|| panic!("{work}"));
        assert_eq!((&probe["action"], &probe["args_digest"]), (&act(n)["action"], &act(n)["args_digest"]));
    }
    for (effect, outcome) in granted.iter().zip(["DONE", "NOT_DONE"]) {
        let settled = say(format!("effects/{effect}/outcome"), json!({"outcome": outcome})).await;
        assert_eq!(settled.status, 200, "{}", settled.json);
    }
    assert_eq!(say("effects".into(), act(1)).await.json["already_done"], true);
    assert_eq!(say("effects".into(), act(2)).await.json["already_done"], false);
}

#[tokio::test]
async fn many_are_claimed_and_reported_in_one_breath() {
    let house = House::new(true);
    let agent = house.agent("one", None).await;
    for _ in 0..3 {
        house.task("default").await;
    }
    let at = format!("/api/v1/agents/{agent}/work");
    let given = house.ask("POST", &format!("{at}/claim"), None, Some(json!({"max": 2, "wait": "0s"}))).await.json;
    assert_eq!(given.as_array().unwrap().len(), 2);
    let report = |item: &Value, attempt: u64| json!({"task_id": item["task_id"], "work": item["work"], "attempt": attempt, "outcome": {"SUCCEEDED": {}}});
    let beats = json!({"beats": [{"task_id": given[0]["task_id"], "work": given[0]["work"], "attempt": 1}]});
    assert_eq!(house.ask("POST", &format!("{at}/heartbeat"), None, Some(beats)).await.json[0]["then"], "CONTINUE");
    let said = json!({"reports": [report(&given[0], 1), report(&given[1], 7)], "claim_next": 5});
    let answer = house.ask("POST", &format!("{at}/report"), None, Some(said)).await.json;
    assert_eq!(answer["results"][0]["status"], "COMPLETED");
    assert_eq!(answer["results"][1]["error"]["code"], "STALE_ATTEMPT");
    assert_eq!(answer["work"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_claim_repeated_with_its_id_gets_the_same_leases() {
    let house = House::new(true);
    let agent = house.agent("one", None).await;
    for _ in 0..2 {
        house.task("default").await;
    }
    let wish = json!({"claim_id": house.server.engine().new_claim_id(), "wait": "0s"});
    let at = format!("/api/v1/agents/{agent}/work/claim");
    let first = house.ask("POST", &at, None, Some(wish.clone())).await.json;
    assert_eq!(house.ask("POST", &at, None, Some(wish)).await.json, first);
}

#[tokio::test]
async fn drained_and_revoked_agents_get_no_work() {
    let house = House::new(true);
    house.agent("one", None).await;
    house.task("default").await;
    let at = "/api/v1/agents/one";
    assert_eq!(house.ask("POST", &format!("{at}/drain"), None, None).await.json["status"], "DRAINING");
    assert_eq!(house.ask("GET", &format!("{at}/work"), None, None).await.status, 204);
    assert_eq!(house.ask("POST", &format!("{at}/resume"), None, None).await.json["status"], "ACTIVE");
    assert_eq!(house.ask("GET", &format!("{at}/work"), None, None).await.status, 200);
    assert_eq!(house.ask("DELETE", at, None, None).await.status, 401, "for good is for who may decide");
    assert_eq!(house.ask("DELETE", at, Some(TOKEN), None).await.json["status"], "REVOKED");
    assert_eq!(house.ask("GET", &format!("{at}/work"), None, None).await.status, 403);
}

#[tokio::test]
async fn what_a_revoked_agent_holds_is_not_its_own_any_more() {
    let house = House::new(true);
    let agent = house.agent("one", None).await;
    let task = house.task("default").await;
    let key = house.key(json!({"name": "its-own", "roles": ["agent"], "agent": agent})).await;
    let work = house.ask("GET", "/api/v1/agents/one/work", Some(&key), None).await.json;
    let wid = format!("/api/v1/work/{}", work["id"].as_str().unwrap());
    assert_eq!(house.ask("POST", "/api/v1/agents/one/revoke", Some(TOKEN), None).await.json["status"], "REVOKED");

    assert_eq!(house.ask("GET", &format!("/api/v1/tasks/{task}"), Some(&key), None).await.status, 401, "its key opens nothing");
    let beat = house.ask("POST", &format!("{wid}/heartbeat"), None, Some(json!({"agent_id": "one", "attempt": 1}))).await;
    assert_eq!(beat.json["then"], "STALE");
    let beat = house.ask("POST", &format!("{wid}/heartbeat"), None, Some(json!({"agent_id": "one"}))).await;
    assert_eq!((beat.status.as_u16(), &beat.json["then"]), (200, &json!("STALE")), "{}", beat.json);
    let wish = json!({"agent_id": "one", "attempt": 1, "action": "send", "args_digest": "0".repeat(64)});
    assert_eq!(house.ask("POST", &format!("{wid}/effects"), None, Some(wish)).await.json["code"], "STALE_ATTEMPT");
    let done = json!({"agent_id": "one", "attempt": 1, "outcome": {"SUCCEEDED": {"output": 42}}});
    assert_eq!(house.ask("POST", &format!("{wid}/report"), None, Some(done)).await.json["code"], "STALE_ATTEMPT");

    house.agent("two", None).await;
    let others = house.ask("GET", "/api/v1/agents/two/work?wait=20s", None, None).await.json;
    assert_eq!((&others["id"], &others["attempt"]), (&work["id"], &json!(2)), "somebody else goes on with it");
}

#[tokio::test]
async fn a_seat_in_the_council_is_given_by_who_decides() {
    let house = House::new(true);
    let said = || Some(json!({"name": "j", "external_id": "j", "capabilities": ["judge"]}));
    assert_eq!(house.ask("POST", "/api/v1/agents", None, said()).await.status, 403);
    let shaped = json!({"agent_id": "j", "name": "j", "capabilities": ["judge"]});
    assert_eq!(house.ask("POST", "/api/agents", None, Some(shaped)).await.status, 403);
    assert_eq!(house.ask("POST", "/api/v1/agents", Some(TOKEN), said()).await.status, 201);
    assert_eq!(house.ask("POST", "/api/v1/agents", None, said()).await.status, 200, "what it has it may say again");
}

#[tokio::test]
async fn agents_are_listed_page_by_page() {
    let house = House::new(true);
    for name in ["one", "two", "three"] {
        house.agent(name, None).await;
    }
    let first = house.ask("GET", "/api/v1/agents?limit=2", None, None).await;
    let link = first.headers["link"].to_str().unwrap();
    let next = link.split(['<', '>']).nth(1).unwrap().to_owned();
    let second = house.ask("GET", &next, None, None).await;
    assert_eq!((first.json.as_array().unwrap().len(), second.json.as_array().unwrap().len()), (2, 1));
    assert!(second.headers.get("link").is_none());
}

#[tokio::test]
async fn nobody_from_outside_is_an_agent_of_the_engines_own_process() {
    let house = House::new(true);
    let said = ephor_core::agent::Registration {
        name: "builtin".into(),
        capabilities: vec!["work".into()],
        external_id: Some("builtin".into()),
        in_process: true,
        ..Default::default()
    };
    house.server.engine().register(None, said, ephor_core::event::Actor::settle()).await.unwrap();
    assert_eq!(house.ask("GET", "/api/v1/agents/builtin/work", None, None).await.status, 403);
    let over = json!({"name": "x", "external_id": "builtin", "capabilities": ["work"]});
    assert_eq!(house.ask("POST", "/api/v1/agents", None, Some(over)).await.status, 403);
    let inside = json!({"name": "x", "capabilities": ["work"], "in_process": true});
    assert_eq!(house.ask("POST", "/api/v1/agents", None, Some(inside)).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_shows_the_steps_it_has_and_hears_what_the_result_has_to_satisfy() {
    let desk = Desk::open();
    let agent = desk.agent(&["work", "gate.code_style"]).await;
    let task = desk
        .submit(&json!({"title": "two", "requirements": ["fast"], "plan": {"steps": [
        {"action": "work"}, {"action": "work"}]}}))
        .await;
    let first = desk.claim(agent).await;
    assert_eq!(first.requirements, ["fast"]);
    // The scope is changed by who decides: whoever claims next hears it.
    desk.send("POST", &format!("{task}/escalate"), &json!({"reason": "too much"})).await.with(200);
    let decision = json!({"decision": "MODIFY_SCOPE", "requirements": ["correct"], "reason": "that will do"});
    desk.decide("POST", &format!("{task}/council-decision"), &decision).await.with(200);
    let second = desk.claim(agent).await;
    assert_eq!(second.requirements, ["correct"]);
    let shown = desk.get(&format!("/api/v1/agents/{agent}")).await.with(200).json();
    let steps: Vec<_> =
        shown["assigned_steps"].as_array().unwrap().iter().map(|s| (s["step"].clone(), s["attempt"].clone())).collect();
    assert_eq!(steps, [(json!("1"), json!(1)), (json!("2"), json!(1))], "{shown}");
    desk.done(agent, &first, Default::default()).await;
    let shown = desk.get(&format!("/api/v1/agents/{agent}")).await.with(200).json();
    assert_eq!(shown["assigned_steps"][0]["step"], "2");
}
