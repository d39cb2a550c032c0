//! A person's word on a single action outlives the process, and counts for nothing but what was shown.

#![allow(clippy::unwrap_used)] // A test may panic, its helpers too.

use ephor_core::agent::Registration;
use ephor_core::command::{Approve, Command};
use ephor_core::constitution::Law;
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::policy::Policy;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::work::{ClaimRequest, Outcome, Report, Success, WorkItem, args_digest};
use ephor_engine::doctor::doctor;
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Engine, Settings};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const LAW: &str = r#"
constitution: A house
articles:
  - id: money
    title: Money
    rules:
      - {at: [action], when: 'action.name == "pay"', verdict: ESCALATE, message: money moves}
"#;

fn open(folder: &Path, law: &str) -> Engine {
    let policy = Policy { law: Some(Arc::new(Law::read(law).unwrap())), ..Policy::default() };
    Engine::open(Settings { policy, ..Settings::new(folder.join("ephor.db")) }).unwrap()
}

async fn claim(engine: &Engine, agent: AgentId) -> Vec<WorkItem> {
    static CLAIMS: AtomicI64 = AtomicI64::new(1);
    let claim_id = ClaimId::new(CLAIMS.fetch_add(1, Ordering::Relaxed), [3; 10]);
    engine.claim(ClaimRequest { agent_id: agent, claim_id, max: 1, wait_ms: 0, start: true }).await.unwrap()
}

fn status(engine: &Engine, task: TaskId) -> Status {
    query::task(&*engine.reader(), task, AsOf::Now).unwrap().unwrap().status()
}

/// A payment that ann submitted and an agent came for, so that a person is asked.
async fn asked(folder: &Path) -> (Engine, AgentId, TaskId) {
    let engine = open(folder, LAW);
    let said = Registration { name: "payer".into(), capabilities: vec!["pay".into()], ..Registration::default() };
    let agent = engine.register(None, said, Actor::human("test")).await.unwrap();
    let step = json!({"action": "pay", "acts": true, "params": {"amount": 10}});
    let request: Request = serde_json::from_value(json!({"title": "pay", "plan": {"steps": [step]}})).unwrap();
    let task = engine.submit(&request, Actor::human("ann"), None).await.unwrap().task.unwrap();
    assert!(claim(&engine, agent).await.is_empty());
    assert_eq!(status(&engine, task), Status::Blocked);
    (engine, agent, task)
}

async fn approve(engine: &Engine, task: TaskId, who: &str) -> Result<Status, String> {
    let word =
        Approve { step: "1".into(), approved: true, digest: None, params: None, reason: String::new(), findings: Vec::new() };
    let done = engine.command(task, Command::Approve(Box::new(word)), Actor::human(who)).await;
    done.map(|done| done.status).map_err(|e| e.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_outlives_the_process_and_is_used_for_just_what_was_approved() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, agent, task) = asked(folder.path()).await;
    let own = approve(&engine, task, "ann").await.unwrap_err();
    assert!(own.contains("whoever submitted a task"), "{own}");
    assert_eq!(approve(&engine, task, "bea").await, Ok(Status::Scheduled));
    engine.stop();
    drop(engine);
    let engine = open(folder.path(), LAW);
    let item = claim(&engine, agent).await.remove(0);
    assert_eq!(item.approved_args, Some(args_digest(&json!({"amount": 10}))));
    let outcome = Outcome::Succeeded(Success::default());
    let report = Report { task_id: task, work: item.work.clone(), attempt: item.attempt, outcome };
    engine.report(vec![report], agent).await.unwrap().remove(0).unwrap();
    assert_eq!(status(&engine, task), Status::Completed);
    assert!(doctor(&*engine.reader(), engine.now()).unwrap().findings.is_empty());
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_changed_byte_after_a_restart_opens_the_question_again() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, agent, task) = asked(folder.path()).await;
    approve(&engine, task, "bea").await.unwrap();
    engine.stop();
    drop(engine);
    let engine = open(folder.path(), &LAW.replace("money moves", "Money moves"));
    assert!(claim(&engine, agent).await.is_empty());
    assert_eq!(status(&engine, task), Status::Blocked);
    approve(&engine, task, "bea").await.unwrap();
    assert_eq!(claim(&engine, agent).await.len(), 1);
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_planned_it_does_not_approve_of_it_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, agent, task) = asked(folder.path()).await;
    let more = json!({"steps": [{"action": "pay", "acts": true, "params": {"amount": 1_000_000}}]});
    let plan = ephor_core::request::check_plan(&serde_json::from_value(more).unwrap(), Default::default()).unwrap();
    engine.command(task, Command::Propose(Box::new(plan)), Actor::human("bob")).await.unwrap();
    assert!(claim(&engine, agent).await.is_empty());
    let own = approve(&engine, task, "bob").await.unwrap_err();
    assert!(own.contains("whoever submitted a task"), "{own}");
    engine.stop();
    drop(engine);
    let engine = open(folder.path(), LAW);
    assert!(approve(&engine, task, "bob").await.is_err(), "it is known from what is written");
    assert_eq!(approve(&engine, task, "bea").await, Ok(Status::Scheduled));
    engine.stop();
}
