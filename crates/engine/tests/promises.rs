//! What Ephor promises, at the engine's interface: on SQLite, with real threads and the real clock. Crashes and clock jumps are the
//! simulation's; here is what needs the whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use ephor_core::agent::Registration;
use ephor_core::breaker::BreakerPolicy;
use ephor_core::command::{Command, Refusal};
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::policy::Policy;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::time::{Time, WireDuration};
use ephor_core::work::{ClaimRequest, Failure, Heartbeat, Outcome, Report, Success, Then, WorkItem};
use ephor_engine::doctor::doctor;
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Done, Engine, EngineError, Idempotency, Settings};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

struct House {
    engine: Engine,
    agent: AgentId,
    folder: tempfile::TempDir,
}

async fn house(policy: Policy) -> House {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path().join("ephor.db"));
    settings.policy = policy;
    let engine = Engine::open(settings).unwrap();
    let said = Registration {
        name: "worker".into(),
        role: None,
        capabilities: vec!["work".into(), "poison".into()],
        external_id: None,
        ..Registration::default()
    };
    let agent = engine.register(None, said, Actor::human("test")).await.unwrap();
    House { engine, agent, folder }
}

impl House {
    async fn submit(&self, request: serde_json::Value) -> TaskId {
        let request: Request = serde_json::from_value(request).unwrap();
        self.engine.submit(&request, Actor::human("ann"), None).await.unwrap().task.unwrap()
    }

    async fn claim(&self, max: u32, wait_ms: u64) -> Vec<WorkItem> {
        static CLAIMS: AtomicU32 = AtomicU32::new(0);
        let mut random = [0; 10];
        random[..4].copy_from_slice(&CLAIMS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let wish = ClaimRequest { agent_id: self.agent, claim_id: ClaimId::new(1, random), max, wait_ms, start: true };
        self.engine.claim(wish).await.unwrap()
    }

    async fn report(&self, item: &WorkItem, outcome: Outcome) -> Result<Status, Refusal> {
        let report = Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome };
        self.engine.report(vec![report], self.agent).await.unwrap().remove(0).map(|done| done.status)
    }

    fn task(&self, id: TaskId, as_of: AsOf) -> Option<ephor_core::task::Task> {
        query::task(&*self.engine.reader(), id, as_of).unwrap()
    }
}

fn worked() -> Outcome {
    Outcome::Succeeded(Success { output: json!({"ok": true}), ..Success::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_requests_with_one_key_have_one_effect_and_one_answer_after_a_restart_too() {
    let house = house(Policy::default()).await;
    // Its birth is more than one event: the answer of then is not simply that of a first version.
    let request: Request =
        serde_json::from_value(json!({"title": "once", "execution_mode": "STRICT", "action": "work"})).unwrap();
    let key = |digest: &str| Some(Idempotency { key: "idem:default/ann/submit/k1".into(), digest: digest.into() });
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let (engine, request, key) = (house.engine.clone(), request.clone(), key("d1"));
            tokio::spawn(async move { engine.submit(&request, Actor::human("ann"), key).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for asked in asking {
        answers.push(asked.await.unwrap());
    }
    let said = |done: &Done| (done.task, done.version, done.status);
    let first = said(answers.iter().find(|a| !a.repeated).unwrap());
    assert!(answers.iter().all(|a| said(a) == first), "{answers:?}");
    assert_eq!(answers.iter().filter(|a| !a.repeated).count(), 1);
    assert_eq!(house.engine.reader().list(&Default::default(), 10).unwrap().len(), 1);
    let refused = house.engine.submit(&request, Actor::human("ann"), key("d2")).await.unwrap_err();
    assert!(matches!(refused, EngineError::Refused(Refusal::IdempotencyMismatch)), "{refused}");

    // The task goes on, the engine ends and comes again: the answer is still the first.
    let cancel = Command::Cancel { reason: "enough".into(), force: true };
    house.engine.command(first.0.unwrap(), cancel, Actor::human("ann")).await.unwrap();
    house.engine.stop();
    let engine = Engine::open(Settings::new(house.folder.path().join("ephor.db"))).unwrap();
    let again = engine.submit(&request, Actor::human("ann"), key("d1")).await.unwrap();
    assert!(again.repeated && said(&again) == first, "{again:?}");
    let refused = engine.submit(&request, Actor::human("ann"), key("d2")).await.unwrap_err();
    assert!(matches!(refused, EngineError::Refused(Refusal::IdempotencyMismatch)), "{refused}");
    assert_eq!(engine.reader().list(&Default::default(), 10).unwrap().len(), 1);
    engine.stop();
}

#[tokio::test]
async fn a_second_task_about_the_same_subject_from_the_same_source_is_refused_for_a_day() {
    let house = house(Policy::default()).await;
    let invoice = json!({"title": "remind", "task_type": "INVOICE_FOLLOW_UP", "subject_ref_type": "INVOICE", "subject_ref_id": "INV-1", "source": "D"});
    let first = house.submit(invoice.clone()).await;
    let request: Request = serde_json::from_value(invoice).unwrap();
    let refused = house.engine.submit(&request, Actor::human("ann"), None).await.unwrap_err();
    assert!(matches!(refused, EngineError::Refused(Refusal::Duplicate { existing }) if existing == first), "{refused}");
    let other = Request { source: Some("E".into()), ..request };
    assert!(house.engine.submit(&other, Actor::human("ann"), None).await.is_ok());
    house.engine.stop();
}

#[tokio::test]
async fn a_batch_for_many_namespaces_is_answered_in_its_order() {
    let house = house(Policy::default()).await;
    let request = |n: usize| {
        let namespace = ["default", "acme", "zeta"][n % 3];
        let body =
            if n % 7 == 3 { json!({"namespace": namespace}) } else { json!({"title": format!("t{n}"), "namespace": namespace}) };
        serde_json::from_value::<Request>(body).unwrap()
    };
    let requests: Vec<Request> = (0..600).map(request).collect();
    let answers = house.engine.submit_many(&requests, &Actor::human("ann")).await.unwrap();
    assert_eq!(answers.len(), requests.len());
    for (n, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(done) => {
                let task = house.task(done.task.unwrap(), AsOf::Now).unwrap();
                assert_eq!(
                    (task.contents.text.title.clone(), &*task.facts.namespace),
                    (format!("t{n}"), ["default", "acme", "zeta"][n % 3])
                );
            }
            Err(refusal) => assert!(n % 7 == 3 && refusal.code() == "VALIDATION_FAILED", "{n}: {refusal}"),
        }
    }
    house.engine.stop();
}

#[tokio::test]
async fn a_refused_submission_stores_no_task_but_is_a_fact_of_its_namespace() {
    let house = house(Policy::default()).await;
    let request = Request { namespace: Some("acme".into()), ..Request::default() };
    assert!(house.engine.submit(&request, Actor::human("ann"), None).await.is_err());
    assert!(house.engine.reader().list(&Default::default(), 10).unwrap().is_empty());
    let events = house.engine.reader().events(0, 100, None).unwrap();
    let refused = events.iter().find(|e| e.kind == "SUBMISSION_REFUSED").unwrap();
    assert!(refused.data.contains("description"), "{}", refused.data);
    house.engine.stop();
}

#[tokio::test]
async fn an_agent_that_falls_silent_loses_its_lease_and_its_late_word_changes_nothing() {
    let policy = Policy { lease: WireDuration { ms: 500 }, ..Policy::default() };
    let house = house(policy).await;
    let id = house.submit(json!({"title": "one", "retry_policy": {"initial": "1ms", "jitter": 0}})).await;
    let first = house.claim(1, 0).await.remove(0);
    // Nobody beats: the next attempt is offered by itself.
    let second = house.claim(1, 30_000).await.remove(0);
    assert_eq!((second.task_id, second.attempt), (id, first.attempt + 1));
    let beat = |item: &WorkItem| Heartbeat {
        task_id: id,
        work: item.work.clone(),
        attempt: item.attempt,
        progress: None,
        message: None,
    };
    let answers = house.engine.heartbeat(house.agent, &[beat(&first), beat(&second)]);
    assert_eq!(answers.iter().map(|a| a.then).collect::<Vec<_>>(), [Then::Stale, Then::Continue]);
    assert_eq!(house.report(&first, worked()).await.unwrap_err().code(), "STALE_ATTEMPT");
    assert_eq!(house.task(id, AsOf::Now).unwrap().status(), Status::InProgress);
    assert_eq!(house.report(&second, worked()).await, Ok(Status::Completed));
    house.engine.stop();
}

#[tokio::test]
async fn signs_of_life_keep_a_lease_and_are_written_only_now_and_then() {
    let policy = Policy { lease: WireDuration { ms: 500 }, ..Policy::default() };
    let house = house(policy).await;
    let id = house.submit(json!({"title": "one"})).await;
    let item = house.claim(1, 0).await.remove(0);
    let before = house.engine.position();
    for n in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let beat = Heartbeat {
            task_id: id,
            work: item.work.clone(),
            attempt: item.attempt,
            progress: Some(f64::from(n) / 20.0),
            message: Some(format!("part {n}")),
        };
        assert_eq!(house.engine.heartbeat(house.agent, &[beat])[0].then, Then::Continue);
    }
    assert_eq!(house.engine.position(), before, "a sign of life is no event");
    assert_eq!(house.engine.telemetry(id)[0].message.as_deref(), Some("part 19"));
    assert_eq!(house.report(&item, worked()).await, Ok(Status::Completed));
    house.engine.stop();
}

#[tokio::test]
async fn a_task_that_always_fails_ends_and_does_not_hold_back_others() {
    let house = house(Policy::default()).await;
    let mut healthy = Vec::new();
    for n in 0..90 {
        if n % 9 == 0 {
            let policy = json!({"max_attempts": 3, "initial": "1ms", "jitter": 0});
            house
                .submit(json!({"title": "bad", "action": "poison", "max_retries": 0, "retry_policy": policy, "priority": "HIGH"}))
                .await;
        }
        healthy.push(house.submit(json!({"title": "good"})).await);
    }
    let (mut poisoned, mut ended) = (0, 0);
    while ended < 100 {
        for item in house.claim(10, 5_000).await {
            let outcome = match item.action.as_str() {
                "poison" => {
                    poisoned += 1;
                    Outcome::Failed(Failure::new(ephor_core::spec::ErrorClass::Other, "as ever"))
                }
                _ => worked(),
            };
            ended += u32::from(house.report(&item, outcome).await.unwrap().is_final());
        }
    }
    assert_eq!(poisoned, 30, "ten bad tasks of three attempts each, counted when claimed");
    for id in healthy {
        assert_eq!(house.task(id, AsOf::Now).unwrap().status(), Status::Completed);
    }
    house.engine.stop();
}

#[tokio::test]
async fn a_task_that_kills_whoever_works_on_it_ends_and_does_not_hold_back_others() {
    // One name stands for many agents here, each of which dies once: nobody is to lose trust in it.
    let breaker = BreakerPolicy { failure_threshold: 0, ..BreakerPolicy::default() };
    let house = house(Policy { lease: WireDuration { ms: 500 }, breaker, ..Policy::default() }).await;
    let retry = json!({"max_attempts": 3, "initial": "1ms", "jitter": 0});
    let (mut healthy, mut poison) = (Vec::new(), Vec::new());
    for n in 0..90 {
        if n % 9 == 0 {
            // Of some the task is tried again as well; then somebody has to decide.
            let retries = u32::from(n % 2 == 0);
            let bad =
                json!({"title": "bad", "action": "poison", "max_retries": retries, "retry_policy": retry, "priority": "HIGH"});
            poison.push(house.submit(bad).await);
        }
        healthy.push(house.submit(json!({"title": "good"})).await);
    }
    let over = |id: &TaskId| {
        let status = house.task(*id, AsOf::Now).unwrap().status();
        status.is_final() || status == Status::Escalated
    };
    let mut deaths = std::collections::BTreeMap::new();
    while !(healthy.iter().all(over) && poison.iter().all(over)) {
        for item in house.claim(10, 1_000).await {
            match item.action.as_str() {
                // Nobody ever hears of this agent again.
                "poison" => *deaths.entry(item.task_id).or_insert(0) += 1,
                _ => drop(house.report(&item, worked()).await.unwrap()),
            }
        }
    }
    for id in &healthy {
        assert_eq!(house.task(*id, AsOf::Now).unwrap().status(), Status::Completed);
    }
    for id in &poison {
        let status = house.task(*id, AsOf::Now).unwrap().status();
        assert!(matches!(status, Status::Failed | Status::Escalated), "{status}");
        assert!((3..=6).contains(&deaths[id]), "every death counted as an attempt: {}", deaths[id]);
    }
    house.engine.stop();
}

#[tokio::test]
async fn a_task_can_be_seen_as_it_was_at_any_version_and_time() {
    let house = house(Policy::default()).await;
    let id = house.submit(json!({"title": "one"})).await;
    let item = house.claim(1, 0).await.remove(0);
    house.report(&item, worked()).await.unwrap();
    let at = |version| house.task(id, AsOf::Version(version)).map(|t| t.status());
    assert_eq!([at(1), at(2), at(4)], [Some(Status::Scheduled), Some(Status::InProgress), Some(Status::Completed)]);
    assert_eq!(house.task(id, AsOf::Time(Time(0))), None);
    let now = house.engine.now();
    assert_eq!(house.task(id, AsOf::Time(now)).map(|t| t.status()), Some(Status::Completed));
    house.engine.stop();
}

#[tokio::test]
async fn a_large_result_is_kept_beside_its_event_and_goes_when_the_task_is_erased() {
    let house = house(Policy::default()).await;
    let id = house.submit(json!({"title": "secret name", "description": "do not tell"})).await;
    let item = house.claim(1, 0).await.remove(0);
    let large = "x".repeat(100_000);
    let outcome = Outcome::Succeeded(Success { output: json!({"text": large}), ..Success::default() });
    house.report(&item, outcome).await.unwrap();
    let task = house.task(id, AsOf::Now).unwrap();
    assert_eq!(task.result()["text"].as_str().map(str::len), Some(100_000));

    house.engine.erase(id, Actor::human("ann")).await.unwrap();
    let task = house.task(id, AsOf::Now).unwrap();
    assert_eq!((task.status(), task.result()), (Status::Completed, json!(null)));
    let row = house.engine.reader().list(&Default::default(), 1).unwrap().remove(0).row;
    assert_eq!(row.title, "");
    house.engine.stop();
    for file in std::fs::read_dir(house.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for words in ["secret name", "do not tell", &"x".repeat(64)] {
            assert!(!bytes.windows(words.len()).any(|w| w == words.as_bytes()), "{words:?} is still on disk");
        }
    }
}

#[tokio::test]
async fn too_much_at_once_is_refused_and_what_was_taken_in_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path().join("ephor.db"));
    settings.queue_max = 4;
    let engine = Engine::open(settings).unwrap();
    let request: Request = serde_json::from_value(json!({"title": "x"})).unwrap();
    let asking: Vec<_> = (0..200)
        .map(|_| {
            let (engine, request) = (engine.clone(), request.clone());
            tokio::spawn(async move { engine.submit(&request, Actor::human("ann"), None).await })
        })
        .collect();
    let (mut taken, mut refused) = (0, 0);
    for asked in asking {
        match asked.await.unwrap() {
            Ok(_) => taken += 1,
            Err(EngineError::Refused(Refusal::QueueFull)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(engine.reader().list(&Default::default(), 500).unwrap().len(), taken);
    assert_eq!(taken + refused, 200);
    engine.stop();
}

#[tokio::test]
async fn one_task_waits_for_another_and_hears_of_its_end() {
    let house = house(Policy::default()).await;
    let first = house.submit(json!({"title": "first"})).await;
    let second = house.submit(json!({"title": "second", "depends_on": [first]})).await;
    assert_eq!(house.task(second, AsOf::Now).unwrap().status(), Status::Pending);
    let item = house.claim(10, 0).await.remove(0);
    assert_eq!(item.task_id, first);
    house.report(&item, worked()).await.unwrap();
    let item = house.claim(1, 10_000).await.remove(0);
    assert_eq!(item.task_id, second);
    house.engine.stop();
}

#[tokio::test]
async fn a_step_that_is_a_task_brings_its_result_back() {
    let house = house(Policy::default()).await;
    let plan = json!({"steps": [
        {"id": "child", "action": "task.run", "params": {"request": {"title": "child"}}},
        {"id": "after", "action": "work", "needs": ["child"], "params": {"got": "${steps.child.output.output.ok}"}},
    ]});
    house.submit(json!({"title": "parent", "plan": plan})).await;
    let child = house.claim(1, 10_000).await.remove(0);
    assert_eq!(child.title, "child");
    house.report(&child, worked()).await.unwrap();
    let after = house.claim(1, 10_000).await.remove(0);
    assert_eq!(after.params["got"], json!(true));
    house.engine.stop();
}

#[tokio::test]
async fn a_recurring_task_comes_again_until_it_has_come_often_enough() {
    let house = house(Policy::default()).await;
    house.submit(json!({"title": "tick", "recurrence": {"every": "500ms", "times": 3}})).await;
    for _ in 0..3 {
        let item = house.claim(1, 20_000).await.remove(0);
        house.report(&item, worked()).await.unwrap();
    }
    let all = house.engine.reader().list(&Default::default(), 10).unwrap();
    assert!(all.len() == 3 && all.iter().all(|l| l.row.status == Some(Status::Completed)), "{all:?}");
    house.engine.stop();
}

#[tokio::test]
async fn cancelled_work_is_told_and_given_time() {
    let house = house(Policy::default()).await;
    let id = house.submit(json!({"title": "one"})).await;
    let item = house.claim(1, 0).await.remove(0);
    let cancel = Command::Cancel { reason: "enough".into(), force: false };
    house.engine.command(id, cancel, Actor::human("ann")).await.unwrap();
    let beat = Heartbeat { task_id: id, work: item.work.clone(), attempt: item.attempt, progress: None, message: None };
    assert_eq!(house.engine.heartbeat(house.agent, &[beat])[0].then, Then::Cancel);
    assert_eq!(house.report(&item, Outcome::Cancelled).await, Ok(Status::Cancelled));
    house.engine.stop();
}

#[tokio::test]
async fn a_long_history_is_not_replayed_and_a_snapshot_that_cannot_be_read_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ephor.db");
    let engine = Engine::open(Settings::new(&path)).unwrap();
    let request: Request = serde_json::from_value(
        json!({"title": "long", "plan": {"steps": [{"action": "wait.signal", "params": {"name": "end"}}]}}),
    )
    .unwrap();
    let id = engine.submit(&request, Actor::human("ann"), None).await.unwrap().task.unwrap();
    for n in 0..550 {
        let changed = ephor_core::command::Changes {
            priority: Some(if n % 2 == 0 { ephor_core::spec::Priority::Low } else { ephor_core::spec::Priority::High }),
            ..Default::default()
        };
        engine.command(id, Command::Modify(Box::new(changed)), Actor::human("ann")).await.unwrap();
    }
    let loaded = engine.reader().load(id.into()).unwrap().unwrap();
    let (version, body) = loaded.snapshot.clone().expect("a thousand events make a snapshot");
    assert!(version >= 1_000 && loaded.events.len() < 200, "{version}");
    let before = query::task(&*engine.reader(), id, AsOf::Now).unwrap().unwrap();
    engine.stop();
    let examined = doctor(&*engine.reader(), engine.now()).unwrap();
    assert!(examined.is_well(), "its snapshot is what its events say: {examined:?}");
    drop(engine);

    for damaged in [None, Some(b"not a snapshot".to_vec()), Some(body[..body.len() / 2].to_vec())] {
        if let Some(bytes) = damaged {
            let db = rusqlite::Connection::open(&path).unwrap();
            db.execute("update snapshots set body = ?1", [bytes]).unwrap();
        }
        let engine = Engine::open(Settings::new(&path)).unwrap();
        let done = engine.command(id, Command::Wake, Actor::human("ann")).await.unwrap();
        assert_eq!((done.version, done.status), (before.version, before.status()));
        engine.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_program_that_keeps_the_database_locked_costs_an_answer_and_nothing_else() {
    let house = house(Policy::default()).await;
    let other = rusqlite::Connection::open(house.folder.path().join("ephor.db")).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let request: Request = serde_json::from_value(json!({"title": "while it is locked"})).unwrap();
    let refused = house.engine.submit(&request, Actor::human("ann"), None).await.unwrap_err();
    assert!(matches!(refused, EngineError::Busy), "{refused}");
    other.execute_batch("rollback").unwrap();
    let id = house.submit(json!({"title": "after that"})).await;
    let item = house.claim(1, 0).await.remove(0);
    assert_eq!(item.task_id, id);
    assert_eq!(house.report(&item, worked()).await.unwrap(), Status::Completed);
    assert_eq!(house.engine.reader().list(&Default::default(), 10).unwrap().len(), 1);
    house.engine.stop();
}

#[tokio::test]
async fn what_somebody_said_to_an_agent_reaches_it_also_after_a_restart() {
    let house = house(Policy::default()).await;
    let id = house.submit(json!({"title": "one", "action": "work"})).await;
    let item = house.claim(1, 0).await.remove(0);
    let guide = Command::Guide { text: "mind the gap".into() };
    house.engine.command(id, guide, Actor::human("ann")).await.unwrap();
    house.engine.stop();
    let engine = Engine::open(Settings::new(house.folder.path().join("ephor.db"))).unwrap();
    let beat = Heartbeat { task_id: id, work: item.work.clone(), attempt: item.attempt, progress: None, message: None };
    let heard = engine.heartbeat(house.agent, std::slice::from_ref(&beat)).remove(0);
    assert_eq!((heard.then, heard.guidance), (Then::Continue, vec!["mind the gap".to_owned()]));
    assert!(engine.heartbeat(house.agent, std::slice::from_ref(&beat))[0].guidance.is_empty());
    engine.stop();
    drop(engine);
    // What it has heard it is not told again; nor what came with the work.
    let engine = Engine::open(Settings::new(house.folder.path().join("ephor.db"))).unwrap();
    assert!(engine.heartbeat(house.agent, std::slice::from_ref(&beat))[0].guidance.is_empty());
    let more = Command::Guide { text: "and the step".into() };
    engine.command(id, more, Actor::human("ann")).await.unwrap();
    assert_eq!(engine.heartbeat(house.agent, &[beat])[0].guidance, ["and the step"]);
    engine.stop();
}

#[tokio::test]
async fn what_came_with_the_work_is_not_said_again_after_a_restart() {
    let house = house(Policy::default()).await;
    let id = house.submit(json!({"title": "one", "action": "work"})).await;
    house.engine.command(id, Command::Guide { text: "mind the gap".into() }, Actor::human("ann")).await.unwrap();
    let item = house.claim(1, 0).await.remove(0);
    assert_eq!(item.guidance, ["mind the gap"]);
    house.engine.stop();
    let engine = Engine::open(Settings::new(house.folder.path().join("ephor.db"))).unwrap();
    let beat = Heartbeat { task_id: id, work: item.work.clone(), attempt: item.attempt, progress: None, message: None };
    assert!(engine.heartbeat(house.agent, &[beat])[0].guidance.is_empty());
    engine.stop();
}

#[tokio::test]
async fn what_failed_is_run_again_once_as_a_task_of_its_own_and_is_no_duplicate() {
    let house = house(Policy::default()).await;
    let request = json!({"title": "send it", "action": "work", "max_retries": 0, "payload": {"to": "ann"},
                         "subject_ref_type": "letter", "subject_ref_id": "7", "external_id": "L7", "deadline": "2090-01-01T00:00:00Z"});
    let first = house.submit(request.clone()).await;
    let early = house.engine.rerun(first, Actor::human("ann"), None).await.unwrap_err();
    assert!(matches!(&early, EngineError::Refused(Refusal::NotNow { .. })), "{early}");
    let item = house.claim(1, 0).await.remove(0);
    let failed = Failure::final_(ephor_core::spec::ErrorClass::Other, "no");
    assert_eq!(house.report(&item, Outcome::Failed(failed)).await, Ok(Status::Failed));
    let second = house.engine.rerun(first, Actor::human("ann"), None).await.unwrap().task.unwrap();
    let task = house.task(second, AsOf::Now).unwrap();
    assert_eq!((task.facts.retry_of, task.facts.external_id.as_deref()), (Some(first), None));
    let item = house.claim(1, 0).await.remove(0);
    assert_eq!((item.task_id, &item.params["to"]), (second, &json!("ann")));
    // Once, and not beside one that runs.
    let twice = house.engine.rerun(first, Actor::human("ann"), None).await.unwrap_err();
    assert!(
        matches!(&twice, EngineError::Refused(Refusal::RunAgain { before, existing }) if (*before, *existing) == (first, second)),
        "{twice}"
    );
    assert_eq!(twice.to_string(), format!("{first} was run again already, as {second}"));
    assert_eq!(house.report(&item, worked()).await.unwrap(), Status::Completed);
    // Who says so in a request of its own is heard too; of a task of another namespace nobody hears.
    let foreign = json!({"title": "x", "namespace": "other", "retry_of": second});
    let refused = house.engine.submit(&serde_json::from_value(foreign).unwrap(), Actor::human("ann"), None).await.unwrap_err();
    assert!(matches!(refused, EngineError::Refused(Refusal::NoSuchTask { field: "retry_of", .. })), "{refused}");
    house.engine.stop();
    assert!(doctor(&*house.engine.reader(), house.engine.now()).unwrap().findings.is_empty());
}
