//! The constitution of an engine: amended while it runs, kept over restarts, and obeyed by what is live.

#![allow(clippy::unwrap_used)] // A test may panic, its helpers too.

use ephor_core::agent::Registration;
use ephor_core::command::Command;
use ephor_core::constitution::{AdoptedFrom, ConstitutionCommand, Follows, Law, Point, Ruling};
use ephor_core::event::{Actor, OverrideWord};
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::policy::Policy;
use ephor_core::review::VoteWord;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::time::WireDuration;
use ephor_core::work::{ClaimRequest, Outcome, Report, Success, WorkItem};
use ephor_engine::doctor::doctor;
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Engine, EngineError, Settings, judging};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const NO_PAY: &str = r#"      - {at: [plan], when: 'plan.does(["pay"])', verdict: DENY, message: nobody pays any more}"#;
const SHIPS: &str = r#"      - {at: [action], when: 'action.name == "ship"', verdict: ESCALATE, message: somebody looks first}"#;

fn document(name: &str, rules: &str, terms: &str) -> String {
    let rules = if rules.is_empty() { String::new() } else { format!("    rules:\n{rules}\n") };
    format!("constitution: {name}\narticles:\n  - id: house\n    title: House\n{rules}{terms}")
}

/// An engine whose configuration names this document, with an agent that can pay and ship.
async fn open(folder: &Path, text: &str) -> (Engine, AgentId) {
    let policy = Policy { law: Some(Arc::new(Law::read(text).unwrap())), solo: true, ..Policy::default() };
    let engine = Engine::open(Settings { policy, ..Settings::new(folder.join("ephor.db")) }).unwrap();
    let capabilities = vec!["pay".into(), "ship".into()];
    let said = Registration { name: "hand".into(), external_id: Some("hand".into()), capabilities, ..Registration::default() };
    let known = engine.register(None, said, Actor::human("test")).await.unwrap();
    (engine, known)
}

fn request(steps: Value) -> Request {
    serde_json::from_value(json!({"title": "it", "plan": {"steps": steps}})).unwrap()
}

async fn submit(engine: &Engine, steps: Value) -> TaskId {
    engine.submit(&request(steps), Actor::human("ann"), None).await.unwrap().task.unwrap()
}

async fn claim(engine: &Engine, agent: AgentId) -> Vec<WorkItem> {
    static CLAIMS: AtomicI64 = AtomicI64::new(1);
    let claim_id = ClaimId::new(CLAIMS.fetch_add(1, Ordering::Relaxed), [3; 10]);
    engine.claim(ClaimRequest { agent_id: agent, claim_id, max: 10, wait_ms: 0, start: true }).await.unwrap()
}

fn status(engine: &Engine, task: TaskId) -> Status {
    query::task(&*engine.reader(), task, AsOf::Now).unwrap().unwrap().status()
}

async fn amend(engine: &Engine, text: &str) {
    let paper = Law::read(text).unwrap().paper().unwrap();
    let amendment = engine.new_amendment_id();
    let proposal = ConstitutionCommand::Propose { amendment, paper, reason: "better".into() };
    engine.amend(proposal, Actor::human("ann")).await.unwrap();
    let vote = ConstitutionCommand::Vote { amendment, voter: None, vote: VoteWord::Approve, reason: String::new() };
    engine.amend(vote, Actor::human("ann")).await.unwrap();
}

/// Waits until the clock has done it.
async fn becomes(engine: &Engine, task: TaskId, wanted: Status) {
    for _ in 0..600 {
        if status(engine, task) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is {} and not {wanted}", status(engine, task));
}

fn well(engine: &Engine) {
    engine.stop();
    let report = doctor(&*engine.reader(), engine.now()).unwrap();
    assert!(report.is_well(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_live_is_judged_by_the_amendment_and_what_comes_by_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, agent) = open(folder.path(), &document("mild", "", "")).await;
    let pays = submit(&engine, json!([{"action": "pay"}])).await;
    let ships = submit(&engine, json!([{"action": "ship", "acts": true}])).await;
    let strict = document("strict", &format!("{NO_PAY}\n{SHIPS}"), "");

    let candidate = Law::read(&strict).unwrap();
    let in_force = engine.policy().law.clone().unwrap();
    let told = judging::impact(&*engine.reader(), &in_force, &candidate, engine.now()).unwrap();
    assert_eq!((told.looked_at, told.more), (2, false));
    let of = |id: TaskId| told.tasks.iter().find(|impact| impact.task_id == id).unwrap();
    assert_eq!((of(pays).follows, of(pays).after.ruling), (Follows::Refused, Ruling::Deny));
    assert_eq!((of(ships).follows, of(ships).before == of(ships).after), (Follows::Noted, true));
    assert_eq!((&*of(ships).steps[0].step, of(ships).steps[0].after.ruling), ("1", Ruling::Escalate));
    assert_eq!(told.changes.iter().map(|change| &*change.what).collect::<Vec<_>>(), ["name", "rule house.1", "rule house.2"]);

    amend(&engine, &strict).await;
    assert_eq!(engine.policy().law.as_ref().unwrap().digest(), candidate.digest());
    // Nobody asks anything of it: the clock walks through what is live.
    becomes(&engine, pays, Status::Escalated).await;
    assert!(claim(&engine, agent).await.is_empty());
    assert_eq!(status(&engine, ships), Status::Blocked);
    let refused = engine.submit(&request(json!([{"action": "pay"}])), Actor::human("ann"), None).await;
    assert!(
        matches!(&refused, Err(EngineError::Refused(why)) if why.to_string().contains("nobody pays any more")),
        "{refused:?}"
    );
    let person = Command::Override { decision: OverrideWord::Approve, step: None, reason: "this one".into() };
    engine.command(pays, person, Actor::human("ann")).await.unwrap();
    assert_eq!(claim(&engine, agent).await.len(), 1);
    well(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_voted_on_outlives_the_process_and_the_file_counts_only_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, by_file) = (document("first", "", ""), document("by file", SHIPS, ""));
    let voted = document("voted", NO_PAY, "amendments: {by_file: true}\n");
    let (engine, _) = open(folder.path(), &first).await;
    let pays = submit(&engine, json!([{"action": "pay"}])).await;
    amend(&engine, &voted).await;
    well(&engine);
    drop(engine);
    let (engine, agent) = open(folder.path(), &first).await;
    let name = |engine: &Engine| engine.constitution().paper().unwrap().name.to_string();
    assert_eq!(name(&engine), "voted");
    assert!(claim(&engine, agent).await.is_empty(), "what was let in before is judged, whenever it moves");
    assert_eq!(status(&engine, pays), Status::Escalated);
    engine.stop();
    drop(engine);
    let (engine, agent) = open(folder.path(), &by_file).await;
    assert_eq!(name(&engine), "by file");
    let ships = submit(&engine, json!([{"action": "ship", "acts": true}])).await;
    assert!(claim(&engine, agent).await.is_empty());
    assert_eq!(status(&engine, ships), Status::Blocked);
    let constitution = engine.constitution();
    let from: Vec<_> = constitution.versions.iter().map(|head| head.from).collect();
    assert_eq!(from, [AdoptedFrom::File, AdoptedFrom::Amendment, AdoptedFrom::File]);
    assert_eq!(judging::constitution(&*engine.reader()).unwrap(), *constitution, "the stream says so");
    for (number, text) in [(1, &first), (2, &voted), (3, &by_file)] {
        let kept = judging::constitution_version(&*engine.reader(), number).unwrap().unwrap();
        assert_eq!(&kept.text, text, "nothing that was in force is lost");
    }
    well(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_no_file_replaces_stays_when_the_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = open(folder.path(), &document("ours", "", "amendments: {by_file: false}\n")).await;
    engine.stop();
    drop(engine);
    let (engine, _) = open(folder.path(), &document("theirs", NO_PAY, "")).await;
    assert_eq!(&*engine.constitution().paper().unwrap().name, "ours");
    submit(&engine, json!([{"action": "pay"}])).await;
    well(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_that_ends_is_counted_by_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let terms = "amendments: {sponsors: 1, debate: 300ms, voting: 1s}\n";
    let (engine, _) = open(folder.path(), &document("first", "", terms)).await;
    let paper = Law::read(&document("second", "", "")).unwrap().paper().unwrap();
    let amendment = engine.new_amendment_id();
    let proposal = ConstitutionCommand::Propose { amendment, paper, reason: "better".into() };
    engine.amend(proposal, Actor::human("ann")).await.unwrap();
    let vote = ConstitutionCommand::Vote { amendment, voter: None, vote: VoteWord::Approve, reason: String::new() };
    engine.amend(vote, Actor::human("ann")).await.unwrap();
    for _ in 0..600 {
        if engine.constitution().versions.len() == 2 {
            return well(&engine);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", engine.constitution().amendments);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_decisions_are_made_again_and_those_that_flip_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, agent) = open(folder.path(), &document("mild", "", "")).await;
    let pays = submit(&engine, json!([{"action": "pay"}, {"action": "ship", "params": {"to": "x"}}])).await;
    for item in claim(&engine, agent).await {
        let output = if item.action == "ship" { json!({"lost": true}) } else { json!({}) };
        let outcome = Outcome::Succeeded(Success { output, ..Success::default() });
        let report = Report { task_id: item.task_id, work: item.work, attempt: item.attempt, outcome };
        engine.report(vec![report], agent).await.unwrap().remove(0).unwrap();
    }
    assert_eq!(status(&engine, pays), Status::Completed);
    let tried = document(
        "tried",
        &[
            NO_PAY,
            SHIPS,
            r#"      - {at: [result], when: 'action.name == "ship" && result.output.lost', verdict: DENY, message: it was lost}"#,
        ]
        .join("\n"),
        "",
    );
    let tried = Law::read(&tried).unwrap();
    let report = judging::replay(&*engine.reader(), &tried, None).unwrap();
    let flips: Vec<_> = report.flips.iter().map(|flip| (flip.point, flip.step.clone(), flip.recorded, flip.now.ruling)).collect();
    assert!(report.flips.iter().all(|flip| flip.task_id == pays));
    // The refused admission, the action and the result of the second step.
    assert_eq!(flips.len(), 3, "{flips:?}");
    assert!(flips.contains(&(Point::Admission, None, Ruling::Allow, Ruling::Deny)), "{flips:?}");
    assert!(flips.contains(&(Point::Action, Some("2".into()), Ruling::Allow, Ruling::Escalate)), "{flips:?}");
    assert!(flips.contains(&(Point::Result, Some("2".into()), Ruling::Allow, Ruling::Deny)), "{flips:?}");
    assert_eq!((report.tasks, report.decisions, report.more), (1, 5, false));
    // By what was in force nothing flips; since later there is nothing.
    let in_force = engine.policy().law.clone().unwrap();
    assert!(judging::replay(&*engine.reader(), &in_force, None).unwrap().flips.is_empty());
    let later = engine.now().plus(1);
    assert_eq!(judging::replay(&*engine.reader(), &tried, Some(later)).unwrap().decisions, 0);
    // What was erased is counted, and nothing is said about it.
    engine.erase(pays, Actor::human("ann")).await.unwrap();
    let report = judging::replay(&*engine.reader(), &tried, None).unwrap();
    assert_eq!((report.erased, report.decisions), (1, 0));
    well(&engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_numbers_count_at_once_and_leave_the_law_as_it_was_voted_on() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, agent) = open(folder.path(), &document("first", "", "")).await;
    amend(&engine, &document("strict", NO_PAY, "")).await;
    let numbers = |max_retries, lease_ms| {
        let lease = WireDuration { ms: lease_ms };
        Policy { max_retries, lease, solo: true, ..Policy::default() }
    };
    let promised = |task| query::task(&*engine.reader(), task, AsOf::Now).unwrap().unwrap().facts.max_retries;

    engine.decide_by(&numbers(1, 7_000));
    let ships = submit(&engine, json!([{"action": "ship"}])).await;
    assert_eq!(promised(ships), 1, "whoever checks before the queue goes by them");
    assert_eq!(claim(&engine, agent).await[0].lease_ms, 7_000, "and the writer does");
    let refused = engine.submit(&request(json!([{"action": "pay"}])), Actor::human("ann"), None).await;
    assert!(matches!(&refused, Err(EngineError::Refused(_))), "{refused:?}");
    // Another law does not bring the numbers of before back, for neither of them.
    amend(&engine, &document("stricter", &format!("{NO_PAY}\n{SHIPS}"), "")).await;
    let again = submit(&engine, json!([{"action": "ship"}, {"action": "ship"}])).await;
    assert_eq!((promised(again), engine.policy().lease.ms), (1, 7_000));
    let first = Law::read(&document("first", "", "")).unwrap();
    engine.configure(&first).await.unwrap();
    assert_ne!(engine.policy().law.as_ref().unwrap().digest(), first.digest(), "what the file named all along undoes no vote");
    engine.decide_by(&numbers(2, 8_000));
    let lenient = Law::read(&document("lenient", "", "amendments: {by_file: false}\n")).unwrap();
    engine.configure(&lenient).await.unwrap();
    assert_eq!(engine.policy().law.as_ref().unwrap().digest(), lenient.digest());
    let pays = submit(&engine, json!([{"action": "pay"}])).await;
    assert_eq!((promised(pays), claim(&engine, agent).await[0].lease_ms), (2, 8_000));
    let no = engine.configure(&first).await;
    assert!(matches!(&no, Err(EngineError::Refused(why)) if why.to_string().contains("by_file")), "{no:?}");
    well(&engine);
}
