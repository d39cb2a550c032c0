//! A database in which what must never happen has happened, one of the ten things at a time (ARCHITECTURE.md), and `doctor` names it.
//! What a faulty engine would write is forged with hashes as they should be, so that the chain alone shows nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use ephor_core::agent::Registration;
use ephor_core::command::Command;
use ephor_core::event::{Actor, Event};
use ephor_core::id::{AgentId, EffectId, StreamId, TaskId};
use ephor_core::review::Verdict;
use ephor_core::time::Time;
use ephor_core::work::{ClaimRequest, Outcome, Report, Success, WorkItem};
use ephor_engine::audit::Finding;
use ephor_engine::clock::{Clock, SystemClock};
use ephor_engine::codec::{self, Hashed};
use ephor_engine::doctor::doctor;
use ephor_engine::query::{self, AsOf};
use ephor_engine::store::sqlite::{Options, SqliteReader, SqliteStore};
use ephor_engine::store::{Group, NewEvent, Reader, Store};
use ephor_engine::witness::Rule;
use ephor_engine::{Engine, Settings};
use rusqlite::Connection;
use serde_json::json;
use std::path::PathBuf;
use support::change;

/// A database and the engine that wrote it, until that is closed.
struct House {
    engine: Engine,
    agent: AgentId,
    judges: [AgentId; 2],
    folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(Settings::new(folder.path().join("ephor.db"))).unwrap();
        let known = async |name: &str, capability: &str| {
            let capabilities = vec![capability.into()];
            let said = Registration { name: name.into(), role: None, capabilities, external_id: None, ..Registration::default() };
            engine.register(None, said, Actor::human("test")).await.unwrap()
        };
        let (agent, judges) = (known("worker", "work").await, [known("one", "judge").await, known("two", "judge").await]);
        Self { engine, agent, judges, folder }
    }

    async fn submit(&self, mut request: serde_json::Value) -> TaskId {
        request["title"] = json!("a task");
        let request = serde_json::from_value(request).unwrap();
        self.engine.submit(&request, Actor::human("ann"), None).await.unwrap().task.unwrap()
    }

    async fn claim(&self) -> WorkItem {
        let claim_id = self.engine.new_claim_id();
        let wish = ClaimRequest { agent_id: self.agent, claim_id, max: 1, wait_ms: 0, start: true };
        self.engine.claim(wish).await.unwrap().remove(0)
    }

    async fn finish(&self, item: &WorkItem) {
        let outcome = Outcome::Succeeded(Success { output: json!({"ok": true}), ..Success::default() });
        let report = Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome };
        self.engine.report(vec![report], self.agent).await.unwrap().remove(0).unwrap();
    }

    /// Waits for what follows by itself.
    async fn happened(&self, task: TaskId, kind: &str) {
        let mut feed = self.engine.feed(0);
        let stream = StreamId::from(task);
        let came = async { while !feed.next(100).await.unwrap().iter().any(|e| e.stream == stream && e.kind == kind) {} };
        tokio::time::timeout(std::time::Duration::from_secs(30), came).await.unwrap_or_else(|_| panic!("{kind} never came"));
    }

    /// Ends the engine; what it wrote is well.
    fn close(&self) {
        self.engine.stop();
        assert_eq!(self.examine(), [], "nothing has happened yet");
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ephor.db")
    }

    fn reader(&self) -> SqliteReader {
        SqliteReader::open(&Options::new(self.path())).unwrap()
    }

    fn examine(&self) -> Vec<Finding> {
        doctor(&self.reader(), Time(SystemClock::default().wall_ms())).unwrap().findings
    }

    /// Writes an event as a faulty engine would: whatever the rules say, and rightly chained.
    fn forge(&self, task: TaskId, event: serde_json::Value, actor: &Actor) {
        let stream = StreamId::from(task);
        let event: Event = serde_json::from_value(event).unwrap();
        let mut store = SqliteStore::open(&Options::new(self.path()), 0).unwrap();
        let reader = store.reader();
        let (head, at) = (reader.head(stream).unwrap().unwrap(), SystemClock::default().wall_ms());
        let mut fold = query::task(&*reader, task, AsOf::Now).unwrap().unwrap();
        let before = Some(fold.status());
        fold.take_in(&event, None, Time(at));
        let (after, data, actor) = (Some(fold.status()), serde_json::to_string(&event).unwrap(), actor.to_string());
        let hashed = Hashed {
            stream,
            version: head.version + 1,
            at,
            kind: event.kind(),
            actor: &actor,
            before,
            after,
            schema: 1,
            data: &data,
            private: None,
        };
        let hash = codec::event_hash(&head.hash, &hashed);
        let event = NewEvent { at, kind: event.kind(), actor, before, after, schema: 1, data, private: None, hash };
        let mut forged = change(stream, head.version, &[]);
        forged.events = vec![event];
        store.commit(vec![Group { changes: vec![forged], ..Group::default() }], at).unwrap().remove(0).unwrap();
    }

    /// Writes past everything that guards the tables.
    fn write(&self, sql: &str) {
        let db = Connection::open(self.path()).unwrap();
        db.execute_batch("drop trigger events_never_change; drop trigger streams_end_once").unwrap();
        db.execute_batch(sql).unwrap();
    }

    /// `doctor` names this rule, for this task where one is given.
    fn named(&self, rule: Rule, task: Option<TaskId>, words: &str) {
        let found = self.examine();
        let is =
            |f: &Finding| f.rule == rule && f.stream == task.map(StreamId::from) && f.what.contains(words) && !f.then.is_empty();
        assert!(found.iter().any(is), "{rule:?} of {task:?} with {words:?} is not named in {found:#?}");
    }
}

fn agent(id: AgentId) -> Actor {
    Actor::agent(id)
}

#[tokio::test]
async fn doctor_names_1_what_was_acknowledged_and_is_lost() {
    let house = House::new().await;
    let first = house.submit(json!({"action": "work"})).await;
    let second = house.submit(json!({"action": "work", "depends_on": [first]})).await;
    house.happened(first, "MAIL_TAKEN").await;
    house.close();
    // The first ends, and the letter that tells the second is never sent; and a child is born that is nowhere.
    house.forge(first, json!({"CANCELLED": {"reason": "REQUESTED"}}), &Actor::human("ann"));
    house.forge(second, json!({"CHILD_BORN": {"step": "1", "child": TaskId::derived(second, 9, 9)}}), &Actor::settle());
    house.named(Rule::Lost, Some(second), "is lost");
    house.named(Rule::Lost, Some(second), "was born from it and is not there");
}

#[tokio::test]
async fn doctor_sees_that_the_parts_of_a_list_follow_a_new_plan() {
    let house = House::new().await;
    let step = |gates: serde_json::Value| json!({"id": "each", "action": "work", "when": "true", "for_each": "task.payload.list", "gates": gates});
    let gated = step(json!([{"kind": "PERFORMANCE_TEST", "metric": "p99", "threshold": 20.0, "advisory": true}]));
    let task = house.submit(json!({"payload": {"list": [1, 2]}, "plan": {"steps": [gated]}})).await;
    let free = serde_json::from_value(json!({"steps": [step(json!([]))]})).unwrap();
    let plan = ephor_core::request::check_plan(&free, Default::default()).unwrap();
    house.engine.command(task, Command::Propose(Box::new(plan)), Actor::human("ann")).await.unwrap();
    for _ in 0..2 {
        let item = house.claim().await;
        house.finish(&item).await;
    }
    let ended = query::task(&*house.engine.reader(), task, AsOf::Now).unwrap().unwrap();
    assert_eq!(ended.status(), ephor_core::status::Status::Completed);
    house.close();
}

#[tokio::test]
async fn doctor_names_2_two_leases_and_a_token_that_runs_back() {
    let house = House::new().await;
    let task = house.submit(json!({"action": "work"})).await;
    house.claim().await;
    house.close();
    let again = |attempt: u32| {
        let claim = house.engine.new_claim_id();
        json!({"ASSIGNED": {"work": "step:1", "attempt": attempt, "agent": house.judges[0], "claim": claim, "lease_ms": 1000, "started": true}})
    };
    house.forge(task, again(2), &agent(house.judges[0]));
    house.named(Rule::TwoLeases, Some(task), "while");
    house.forge(task, again(1), &agent(house.judges[0]));
    house.named(Rule::TwoLeases, Some(task), "attempt 1 of step:1 follows attempt 2");
}

#[tokio::test]
async fn doctor_names_3_a_late_and_a_foreign_word_that_changed_something() {
    let house = House::new().await;
    let task = house.submit(json!({"action": "work"})).await;
    house.claim().await;
    house.close();
    house.forge(task, json!({"ATTEMPT_SUCCEEDED": {"work": "step:1", "attempt": 7}}), &agent(house.judges[0]));
    house.named(Rule::Late, Some(task), "attempt 7 counted while step:1 is in attempt 1");
}

#[tokio::test]
async fn doctor_names_4_an_end_that_changed() {
    let house = House::new().await;
    let task = house.submit(json!({"action": "work"})).await;
    let item = house.claim().await;
    house.finish(&item).await;
    house.close();
    house.forge(task, json!({"PAUSED": {}}), &Actor::human("ann"));
    house.named(Rule::EndChanged, Some(task), "PAUSED follows the end");
    house.write("update streams set status = 'FAILED' where status = 'COMPLETED'");
    house.named(Rule::EndChanged, Some(task), "status");
}

#[tokio::test]
async fn doctor_names_5_a_state_without_its_decision() {
    let house = House::new().await;
    let task = house.submit(json!({"action": "work", "execution_mode": "STRICT"})).await;
    let review = query::task(&*house.engine.reader(), task, AsOf::Now).unwrap().unwrap().open_review().unwrap().0;
    house.close();
    let tally = json!({"approve": 2, "conditional": 0, "reject": 0, "voted": 2, "open": 0, "vetoed": false});
    house.forge(
        task,
        json!({"REVIEW_DECIDED": {"review": review, "verdict": Verdict::Approved, "tally": tally}}),
        &Actor::settle(),
    );
    house.named(Rule::Undecided, Some(task), "the verdict is Approved with 0 for");
}

#[tokio::test]
async fn doctor_names_6_what_is_stored_and_not_what_the_events_say() {
    for (sql, words) in [
        ("update streams set priority = 99 where kind = 'task'", "priority"),
        ("update streams set open = null where kind = 'task'", "open work"),
        ("update streams set title = 'another' where kind = 'task'", "title"),
        ("update streams set status = 'IN_PROGRESS' where kind = 'task'", "status"),
        ("update streams set wake_at = 1 << 60 where kind = 'task'", "wakes at"),
    ] {
        let house = House::new().await;
        let task = house.submit(json!({"action": "work", "queue_timeout": "1h"})).await;
        house.close();
        house.write(sql);
        house.named(Rule::Differs, Some(task), words);
    }
    let house = House::new().await;
    house.close();
    house.write("insert into counters values ('slots:default', 3)");
    house.named(Rule::Differs, None, "the counter slots:default stands at 3, and no event explains it");
}

#[tokio::test]
async fn doctor_names_6_a_snapshot_that_is_not_what_the_events_say() {
    let house = House::new().await;
    let task = house.submit(json!({"plan": {"steps": [{"action": "wait.signal", "params": {"name": "end"}}]}})).await;
    let other = house.submit(json!({"plan": {"steps": [{"action": "wait.signal", "params": {"name": "end"}}]}})).await;
    for n in 0..1_010 {
        let priority = if n % 2 == 0 { ephor_core::spec::Priority::Low } else { ephor_core::spec::Priority::High };
        let changed = ephor_core::command::Changes { priority: Some(priority), ..Default::default() };
        for task in [task, other] {
            house.engine.command(task, Command::Modify(Box::new(changed.clone())), Actor::human("ann")).await.unwrap();
        }
    }
    house.close();
    house.write(
        "update snapshots set (version, body) = (select version, body from snapshots o where o.stream > snapshots.stream)
         where stream = (select min(stream) from snapshots)",
    );
    house.named(Rule::Differs, Some(task), "its snapshot is not what its events say");
}

#[tokio::test]
async fn doctor_names_7_a_task_that_waits_on_nobody() {
    let house = House::new().await;
    let task = house.submit(json!({"action": "work"})).await;
    let item = house.claim().await;
    house.close();
    // All is done, and nothing that would end it ever comes.
    house.forge(task, json!({"ATTEMPT_SUCCEEDED": {"work": "step:1", "attempt": item.attempt}}), &agent(house.agent));
    house.named(Rule::Abandoned, Some(task), "waits on nobody");
}

#[tokio::test]
async fn doctor_names_8_a_gate_that_was_skipped() {
    let house = House::new().await;
    let task = house.submit(json!({"plan": {"steps": [{"action": "work", "gates": [{"kind": "MANUAL_REVIEW"}]}]}})).await;
    let item = house.claim().await;
    house.finish(&item).await;
    house.close();
    house.forge(task, json!({"COMPLETED": {}}), &Actor::settle());
    house.named(Rule::Skipped, Some(task), "it completed before step 1 had");
}

#[tokio::test]
async fn doctor_names_9_an_effect_of_a_dry_run() {
    let house = House::new().await;
    let task = house.submit(json!({"action": "work", "execution_mode": "DRY_RUN"})).await;
    house.claim().await;
    house.close();
    let effect = EffectId::derived(task, 9, 0);
    let granted =
        json!({"effect": effect, "work": "step:1", "attempt": 1, "action": "mail.send", "args_digest": "d", "on_unknown": "ask"});
    house.forge(task, json!({"EFFECT_GRANTED": granted}), &agent(house.agent));
    house.named(Rule::Effect, Some(task), "mail.send was granted, but nothing may happen outside");
}

#[tokio::test]
async fn doctor_names_10_an_error_that_was_swallowed() {
    let house = House::new().await;
    let task = house.submit(json!({"action": "work", "description": "private words"})).await;
    let item = house.claim().await;
    house.finish(&item).await;
    house.engine.stop();
    // The task is erased, as far as anybody was told; its words are still there.
    house.forge(task, json!("ERASED"), &Actor::human("ann"));
    house.named(Rule::Swallowed, Some(task), "it was erased, but a private part is still there");
}

#[tokio::test]
async fn doctor_goes_on_behind_what_cannot_be_read_and_names_it() {
    let house = House::new().await;
    let task = house.submit(json!({"action": "work"})).await;
    let later = house.submit(json!({"action": "work", "description": "words"})).await;
    house.close();
    house.write(
        "update events set data = 'no json' where kind = 'SUBMITTED' and position = (select min(position) from events where kind = 'SUBMITTED');
         update events set hash = x'00', at = 5 where kind = 'SUBMITTED' and position = (select max(position) from events where kind = 'SUBMITTED')",
    );
    house.named(Rule::Storage, Some(task), "");
    house.named(Rule::Storage, Some(later), "it cannot be read");
}

#[tokio::test]
async fn doctor_beside_a_running_engine_sees_one_moment() {
    let house = House::new().await;
    let refused = ephor_core::spec::Request { namespace: Some("acme".into()), ..Default::default() };
    assert!(house.engine.submit(&refused, Actor::human("ann"), None).await.is_err());
    let still = SqliteReader::open_still(&Options::new(house.path())).unwrap();
    let before = still.position().unwrap();
    for _ in 0..20 {
        house.submit(json!({"action": "work"})).await;
    }
    let report = doctor(&still, house.engine.now()).unwrap();
    assert!(report.is_well(), "{report:?}");
    assert_eq!((report.events, still.position().unwrap()), (before, before), "what was written since is not looked at");
    assert!(house.engine.position() > before);
    assert!(still.load(house.submit(json!({"action": "work"})).await.into()).unwrap().is_none());
    house.engine.stop();
}

#[tokio::test]
async fn doctor_names_what_was_handed_out_under_a_hold_or_beyond_a_limit() {
    use ephor_core::flow::{Hold, NewLimit, Running, Scope};
    use ephor_core::namespace::NamespaceEvent;
    let house = House::new().await;
    let (one, two) = (house.submit(json!({"action": "work"})).await, house.submit(json!({"action": "work"})).await);
    let limit = NewLimit { namespace: None, task_type: None, max: 1, per: None, by: None }.limit("l");
    let tell = async |event| drop(house.engine.namespace("*", event, Actor::human("ann")).await.unwrap());
    tell(NamespaceEvent::LimitSet(Box::new(limit))).await;
    assert_eq!(house.claim().await.task_id, one);
    let hold = Hold { id: house.engine.new_hold_id(), scope: Scope::default(), running: Running::Stop, reason: "fire".into() };
    tell(NamespaceEvent::HoldPlaced(Box::new(hold))).await;
    house.close();
    let assigned = json!({"ASSIGNED": {"work": "step:1", "attempt": 1, "agent": house.agent, "claim": house.engine.new_claim_id(),
        "lease_ms": 60_000, "started": true, "limits": [{"limit": "*/l"}]}});
    house.forge(two, assigned, &agent(house.agent));
    house.named(Rule::Skipped, Some(two), "work was handed out under hold_");
    house.named(Rule::Skipped, Some(two), "2 are at work under */l, which allows 1");
}
