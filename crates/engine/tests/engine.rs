//! The engine as its users see it: on SQLite, with real threads and the real clock.

#![allow(clippy::unwrap_used)] // A test may panic, its helpers too.

use ephor_core::agent::Registration;
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, ClaimId};
use ephor_core::policy::{Policy, Seat};
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::work::{ClaimRequest, Outcome, Report, Success, WorkItem};
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Engine, Settings};

struct House {
    engine: Engine,
    agent: AgentId,
    _folder: tempfile::TempDir,
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(Settings::new(folder.path().join("ephor.db"))).unwrap();
    let agent = engine.register(None, registration(), Actor::human("test")).await.unwrap();
    House { engine, agent, _folder: folder }
}

fn registration() -> Registration {
    let capabilities = vec!["work".into()];
    Registration { name: "worker".into(), capabilities, external_id: Some("worker".into()), ..Registration::default() }
}

fn wish(agent: AgentId, n: u8, wait_ms: u64) -> ClaimRequest {
    ClaimRequest { agent_id: agent, claim_id: ClaimId::new(1, [n; 10]), max: 1, wait_ms, start: true }
}

fn done(item: &WorkItem) -> Report {
    let outcome = Outcome::Succeeded(Success { output: serde_json::json!({"n": 1}), ..Success::default() });
    Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome }
}

fn request(title: &str) -> Request {
    Request { title: Some(title.into()), ..Request::default() }
}

#[tokio::test]
async fn a_task_goes_from_submission_to_its_end() {
    let House { engine, agent, _folder } = house().await;
    let submitted = engine.submit(&request("one"), Actor::human("ann"), None).await.unwrap();
    assert_eq!(submitted.status, Status::Scheduled);
    let items = engine.claim(wish(agent, 1, 0)).await.unwrap();
    let answers = engine.report(vec![done(&items[0])], agent).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().status, Status::Completed);
    engine.stop();
}

#[tokio::test]
async fn who_is_missing_is_told_and_the_work_waits_for_whoever_comes() {
    let House { engine, .. } = house().await;
    let drawing = || Request { action: Some("draw".into()), ..request("a picture") };
    let told = |checked: ephor_core::command::Submission| {
        checked.facts.findings.iter().map(|finding| finding.reason.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(engine.check(&request("work")).unwrap()), [""; 0]);
    assert_eq!(
        told(engine.check(&drawing()).unwrap()),
        ["step 1: no agent able to draw is registered; it waits until one comes"]
    );
    let waiting = engine.submit(&drawing(), Actor::human("ann"), None).await.unwrap();
    assert_eq!(waiting.status, Status::Scheduled, "a warning holds nothing up");
    let said = Registration { name: "painter".into(), capabilities: vec!["draw".into()], ..Registration::default() };
    let painter = engine.register(None, said, Actor::human("test")).await.unwrap();
    assert_eq!(told(engine.check(&drawing()).unwrap()), [""; 0]);
    assert_eq!(engine.claim(wish(painter, 2, 0)).await.unwrap()[0].task_id, waiting.task.unwrap());
    engine.stop();
}

#[tokio::test]
async fn a_claim_that_waits_is_served_by_the_next_submission() {
    let House { engine, agent, _folder } = house().await;
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.claim(wish(agent, 1, 10_000)).await.unwrap() }
    });
    tokio::task::yield_now().await;
    engine.submit(&request("one"), Actor::human("ann"), None).await.unwrap();
    assert_eq!(waiting.await.unwrap().len(), 1);
    engine.stop();
}

#[tokio::test]
async fn a_repeated_claim_gets_the_same_lease() {
    let House { engine, agent, _folder } = house().await;
    for title in ["one", "two"] {
        engine.submit(&request(title), Actor::human("ann"), None).await.unwrap();
    }
    let first = engine.claim(wish(agent, 1, 0)).await.unwrap();
    let again = engine.claim(wish(agent, 1, 0)).await.unwrap();
    assert_eq!(first, again);
    engine.stop();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ephor.db");
    let engine = Engine::open(Settings::new(&path)).unwrap();
    let agent = engine.register(None, registration(), Actor::human("test")).await.unwrap();
    engine.submit(&request("one"), Actor::human("ann"), None).await.unwrap();
    let items = engine.claim(wish(agent, 1, 0)).await.unwrap();
    engine.stop();
    drop(engine);
    let engine = Engine::open(Settings::new(&path)).unwrap();
    let again = engine.claim(wish(agent, 1, 0)).await.unwrap();
    assert_eq!(items, again, "the lease survives, and the repeated claim finds it");
    let answers = engine.report(vec![done(&items[0])], agent).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().status, Status::Completed);
    engine.stop();
}

#[tokio::test]
async fn the_feed_gives_every_event_once_and_in_order() {
    let House { engine, agent, _folder } = house().await;
    let mut feed = engine.feed(0);
    let reading = tokio::spawn(async move {
        let mut positions = Vec::new();
        while positions.len() < 301 {
            positions.extend(feed.next(7).await.unwrap().iter().map(|e| e.position));
        }
        positions
    });
    for n in 0..100 {
        engine.submit(&request(&format!("task {n}")), Actor::human("ann"), None).await.unwrap();
        let items = engine.claim(wish(agent, n, 0)).await.unwrap();
        engine.report(vec![done(&items[0])], agent).await.unwrap();
    }
    let positions = reading.await.unwrap();
    assert!(positions.windows(2).all(|w| w[1] == w[0] + 1) && positions[0] == 1, "{positions:?}");
    engine.stop();
}

#[tokio::test]
async fn a_second_engine_on_the_same_database_is_refused() {
    let House { engine, _folder, .. } = house().await;
    let error = Engine::open(Settings::new(_folder.path().join("ephor.db"))).err().unwrap().to_string();
    assert!(error.contains("ephor.db"), "{error}");
    engine.stop();
}

#[tokio::test]
async fn a_timer_wakes_its_task_by_itself() {
    let House { engine, _folder, .. } = house().await;
    let plan = serde_json::json!({"title": "wait", "plan": {"steps": [{"action": "wait.for", "params": {"duration": "20ms"}}]}});
    engine.submit(&serde_json::from_value(plan).unwrap(), Actor::human("ann"), None).await.unwrap();
    let mut feed = engine.feed(0);
    while !feed.next(100).await.unwrap().iter().any(|e| e.kind == "COMPLETED") {}
    engine.stop();
}

/// Waits until so many claims are parked.
async fn parked(engine: &Engine, n: usize) {
    let waiting = async {
        while engine.gauges().parked != n {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("nobody came or went");
}

#[tokio::test]
async fn a_claim_whose_asker_has_left_swallows_no_work() {
    let House { engine, agent, _folder } = house().await;
    let leaving = tokio::spawn({
        let engine = engine.clone();
        async move { engine.claim(wish(agent, 1, 60_000)).await }
    });
    parked(&engine, 1).await;
    leaving.abort();
    parked(&engine, 0).await;
    engine.submit(&request("one"), Actor::human("ann"), None).await.unwrap();
    let items = engine.claim(wish(agent, 2, 0)).await.unwrap();
    assert_eq!((items.len(), items[0].attempt), (1, 1));
    engine.stop();
}

#[tokio::test]
async fn who_keeps_no_books_gets_what_it_holds_before_anything_new() {
    let House { engine, agent, _folder } = house().await;
    for title in ["one", "two"] {
        engine.submit(&request(title), Actor::human("ann"), None).await.unwrap();
    }
    let first = engine.next_work(wish(agent, 1, 0)).await.unwrap();
    let again = engine.next_work(wish(agent, 2, 0)).await.unwrap();
    assert_eq!(first, again);
    engine.report(vec![done(&first[0])], agent).await.unwrap();
    let second = engine.next_work(wish(agent, 3, 0)).await.unwrap();
    assert_ne!(first[0].task_id, second[0].task_id);
    assert_eq!(engine.leases_of(agent, 9).len(), 1);
    engine.stop();
}

#[tokio::test]
async fn an_agent_of_a_namespace_is_given_its_work_alone_also_when_it_waited() {
    let House { engine, agent: anywhere, _folder } = house().await;
    let said = Registration { external_id: None, namespace: Some("b".into()), ..registration() };
    let mine = engine.register(None, said, Actor::human("test")).await.unwrap();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.claim(wish(mine, 1, 60_000)).await.unwrap() }
    });
    parked(&engine, 1).await;
    let of = |namespace: &str| Request { namespace: Some(namespace.into()), ..request(namespace) };
    engine.submit(&of("a"), Actor::human("ann"), None).await.unwrap();
    assert!(!waiting.is_finished());
    engine.submit(&of("b"), Actor::human("ann"), None).await.unwrap();
    assert_eq!(waiting.await.unwrap()[0].namespace, "b");
    assert_eq!(engine.claim(wish(mine, 2, 0)).await.unwrap(), []);
    assert_eq!(engine.claim(wish(anywhere, 3, 0)).await.unwrap()[0].namespace, "a");
    engine.stop();
}

#[tokio::test]
async fn a_report_and_the_next_wish_are_answered_together() {
    let House { engine, agent, _folder } = house().await;
    for title in ["one", "two"] {
        engine.submit(&request(title), Actor::human("ann"), None).await.unwrap();
    }
    let first = engine.claim(wish(agent, 1, 0)).await.unwrap();
    let (answers, next) = engine.report_and_claim(vec![done(&first[0])], wish(agent, 2, 0)).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().status, Status::Completed);
    assert_eq!(next.len(), 1);
    engine.stop();
}

#[tokio::test]
async fn nobody_takes_a_persons_seat_by_calling_itself_so() {
    let folder = tempfile::tempdir().unwrap();
    let seat = |weight, agent| Seat { weight, agent, ..Seat::default() };
    let judges = [("vera", seat(3, false)), ("critic", seat(2, true))].map(|(name, seat)| (name.into(), seat));
    let policy = Policy { judges: judges.into_iter().collect(), ..Policy::default() };
    let engine = Engine::open(Settings { policy, ..Settings::new(folder.path().join("ephor.db")) }).unwrap();
    let known = async |name: &str| {
        let said = Registration { external_id: Some(name.into()), capabilities: vec!["judge".into()], ..registration() };
        engine.register(None, said, Actor::human("test")).await.unwrap()
    };
    let (vera, critic) = (known("vera").await, known("critic").await);
    let risky = Request { risk: Some(ephor_core::spec::Risk::High), ..request("risky") };
    let asked = engine.submit(&risky, Actor::human("ann"), None).await.unwrap().task.unwrap();
    let asked = query::task(&*engine.reader(), asked, AsOf::Now).unwrap().unwrap();
    let (_, _, ballot) = asked.open_review().unwrap();
    let mut seats: Vec<(String, u32)> = ballot.judges.iter().map(|judge| (judge.id.to_string(), judge.weight)).collect();
    seats.sort();
    let mut expected = vec![(vera.to_string(), 1), (critic.to_string(), 2), ("vera".to_owned(), 3)];
    expected.sort();
    assert_eq!(seats, expected);
    engine.stop();
}

#[tokio::test]
async fn what_a_revoked_agent_held_is_free_at_once() {
    let House { engine, agent, _folder } = house().await;
    engine.submit(&request("one"), Actor::human("ann"), None).await.unwrap();
    let items = engine.claim(wish(agent, 1, 0)).await.unwrap();
    engine.agent(agent, ephor_core::agent::AgentCommand::Revoke, Actor::human("ann")).await.unwrap();
    assert_eq!(engine.report(vec![done(&items[0])], agent).await.unwrap()[0].as_ref().unwrap_err().code(), "STALE_ATTEMPT");
    let other = Registration { external_id: Some("other".into()), ..registration() };
    let other = engine.register(None, other, Actor::human("test")).await.unwrap();
    let again = engine.claim(wish(other, 2, 20_000)).await.unwrap();
    assert_eq!((again[0].task_id, again[0].attempt), (items[0].task_id, 2));
    engine.stop();
}
