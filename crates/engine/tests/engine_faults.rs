//! The whole engine on storage that fails: power cuts, a full disk, and every single call of the storage, under callers who write down
//! what they were answered. Longer runs: `CUTS=1000`, `FILLS=100`, with `cargo test --release -p ephor-engine --test engine_faults`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use ephor_core::agent::Registration;
use ephor_core::command::Command;
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::review::VoteWord;
use ephor_core::spec::{GateKind, Request};
use ephor_core::status::Status;
use ephor_core::work::{ClaimRequest, Judgement, Outcome, Report, Success};
use ephor_engine::clock::{SystemClock, SystemEntropy};
use ephor_engine::query::{self, AsOf};
use ephor_engine::store::StoreError;
use ephor_engine::store::sqlite::{Options, SqliteStore};
use ephor_engine::{Done, Engine, EngineError, Idempotency, Settings};
use faults::{Faults, Lasts};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::ledger::{Ledger, Told};
use support::traffic::{Crew, Dice, hasty};
use support::{NOW, count};
use tempfile::TempDir;

/// How many speak to the engine at once.
const CALLERS: usize = 8;

/// A machine whose storage can be made to fail.
struct Machine {
    faults: Arc<Faults>,
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { faults: Arc::new(Faults::new()), folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ephor.db")
    }

    fn open(&self) -> Result<Engine, StoreError> {
        let options = Options { vfs: Some(self.faults.name().into()), ..Options::new(self.path()) };
        let store = SqliteStore::open(&options, NOW)?;
        let settings = Settings { policy: hasty(), ..Settings::new(self.path()) };
        Engine::start(store, None, Arc::new(SystemClock::default()), Box::new(SystemEntropy::default()), settings)
    }

    /// Opens the database once more: every answer stands in it. Answers how many were looked up.
    fn verify(&self, ledger: &mut Ledger, what: &str) -> u64 {
        let engine = self.open().unwrap_or_else(|e| panic!("{what}: {e}"));
        engine.stop();
        ledger.verify(&*engine.reader(), what)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

/// Whether an engine that ended answered as one that has: with nothing, or with the trouble it had reading.
fn assert_ended(ended: Result<(), EngineError>, what: &str) {
    match ended {
        Ok(()) | Err(EngineError::Stopped(_) | EngineError::Store(_)) => {}
        Err(other) => panic!("{what}: {other}"),
    }
}

#[test]
fn what_callers_were_answered_survives_power_cuts_at_any_moment() {
    let cuts = count("CUTS", 10);
    let (mut answers, mut looked_up) = (0, 0);
    for seed in 0..cuts {
        let what = format!("cut {seed}");
        let machine = Machine::new();
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let mut dice = Dice(seed);
        // One database lives through three cuts.
        for life in 0..3 {
            let Ok(engine) = machine.open() else { panic!("{what}: it does not open") };
            let (faults, told) = (machine.faults.clone(), ledger.clone());
            let most = ledger.lock().unwrap().answers + 20 + dice.roll(200);
            // Either right after an answer, while others are being written, or at a call of the storage, which then fails half done.
            let by_calls = dice.roll(2) == 0;
            if by_calls {
                machine.faults.fail_after(20 + dice.roll(400), Lasts::Forever);
            }
            let tell = move |answer: Told| {
                let mut ledger = told.lock().unwrap();
                ledger.take(answer);
                if !by_calls && ledger.answers == most {
                    faults.power_cut();
                }
            };
            runtime().block_on(async {
                let Ok(crew) = Crew::enter(engine.clone(), CALLERS, tell).await else { return };
                let callers: Vec<_> =
                    (0..CALLERS).map(|n| tokio::spawn(crew.clone().live(n, seed * 3 + life, u64::MAX))).collect();
                for caller in callers {
                    assert_ended(caller.await.unwrap(), &what);
                }
            });
            engine.stop();
            match dice.roll(2) {
                _ if !by_calls => {}
                0 => machine.faults.power_cut(),
                _ => machine.faults.power_cut_keeping_some(seed),
            }
            drop(engine);
            looked_up += machine.verify(&mut ledger.lock().unwrap(), &what);
        }
        answers += ledger.lock().unwrap().answers;
    }
    println!("{} power cuts: {answers} answers, looked up {looked_up} times, none lost", cuts * 3);
    assert!(answers > cuts * 60, "hardly anything was answered: {answers}");
}

#[test]
fn these_tests_bite_a_disk_that_lies_about_syncs_loses_answers() {
    let (machine, runtime) = (Machine::new(), runtime());
    let engine = machine.open().unwrap();
    let cycle = runtime.block_on(Cycle::prepare(&engine));
    machine.faults.lie_about_syncs();
    let mut ledger = Ledger::default();
    runtime.block_on(cycle.go(&engine, &mut |told| ledger.take(told))).unwrap();
    engine.stop();
    machine.faults.power_cut();
    drop(engine);
    let verified = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| machine.verify(&mut ledger, "the disk lied")));
    assert!(verified.is_err(), "{} answers were never on the disk, and nobody misses them", ledger.answers);
}

#[test]
fn a_full_disk_is_told_loses_nothing_and_heals_in_the_same_engine() {
    let fills = count("FILLS", 6);
    let machine = Machine::new();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let engine = machine.open().unwrap();
    let told = ledger.clone();
    runtime().block_on(async {
        let crew = Crew::enter(engine.clone(), CALLERS, move |answer| told.lock().unwrap().take(answer)).await.unwrap();
        let callers: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(crew.clone().live(n, 1, 20 * fills))).collect();
        let reached = async |what: &str, reached: &(dyn Fn() -> bool + Sync)| {
            let waiting = async {
                while !reached() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("{what}"));
        };
        reached("it begins", &|| ledger.lock().unwrap().answers > 50).await;
        for fill in 0..fills {
            // Whether the first byte finds no room or one far behind it, callers are told the same.
            let room = [0, 1, 5_000, 33_333, 150_000, 700_000][fill as usize % 6] + 977 * (fill / 6);
            let before = crew.full.load(Ordering::Relaxed);
            machine.faults.fill(room);
            let full = || crew.full.load(Ordering::Relaxed) >= before + CALLERS as u64;
            reached(&format!("{room} bytes are never used up"), &full).await;
            let position = engine.position();
            let reader = engine.reader();
            assert!(!reader.list(&Default::default(), 10).unwrap().is_empty(), "reading goes on");
            assert!(!engine.feed(0).next(10).await.unwrap().is_empty(), "the feed goes on");
            assert_eq!(engine.position(), position, "nothing is written while there is no space");
            let answers = ledger.lock().unwrap().answers;
            machine.faults.free_space();
            let more = || ledger.lock().unwrap().answers > answers + 20;
            reached("it goes on once there is space", &more).await;
        }
        for caller in callers {
            // Everybody saw through what they began: the engine lost track of nothing.
            let ended = tokio::time::timeout(Duration::from_secs(120), caller).await;
            ended.expect("every task comes to its end").unwrap().unwrap();
        }
        println!(
            "{fills} full disks: told {} times, {} answers",
            crew.full.load(Ordering::Relaxed),
            ledger.lock().unwrap().answers
        );
    });
    engine.stop();
    ledger.lock().unwrap().verify(&*engine.reader(), "before the power cut");
    machine.faults.power_cut();
    drop(engine);
    let mut ledger = Arc::into_inner(ledger).map_or_else(|| panic!("everybody has gone"), |l| l.into_inner().unwrap());
    let looked_up = machine.verify(&mut ledger, "after the power cut");
    println!("{looked_up} answers looked up, none lost; {:?}", ledger.seen);
}

/// One task from its submission through approval, work, a person's look and its end, as one caller lives it. Whatever was done before is
/// not done again, so that it goes on where an earlier engine ended.
struct Cycle {
    worker: AgentId,
    judges: [AgentId; 2],
}

impl Cycle {
    async fn prepare(engine: &Engine) -> Self {
        let known = async |name: &str, capability: &str| {
            let said = Registration {
                name: name.into(),
                role: None,
                capabilities: vec![capability.into()],
                external_id: Some(name.into()),
                ..Registration::default()
            };
            engine.register(None, said, Actor::human("test")).await.unwrap()
        };
        Self { worker: known("worker", "work").await, judges: [known("one", "judge").await, known("two", "judge").await] }
    }

    /// Goes on to the end. Tells what is answered.
    async fn go(&self, engine: &Engine, tell: &mut impl FnMut(Told)) -> Result<(), EngineError> {
        let request = json!({"title": "careful", "execution_mode": "STRICT", "action": "work", "description": "x".repeat(9_000)});
        let request: Request = serde_json::from_value(request).unwrap();
        let key = Idempotency { key: "idem:one".into(), digest: "one".into() };
        let done = engine.submit(&request, Actor::human("ann"), Some(key)).await?;
        let id = done.task.unwrap();
        stands(&done, tell);
        for _ in 0..50 {
            let task = query::task(&*engine.reader(), id, AsOf::Now)?.unwrap();
            if task.end().is_some() {
                assert_eq!(task.status(), Status::Completed);
                return Ok(());
            }
            if let Some((review, _, ballot)) = task.open_review() {
                let voter = self.judges.into_iter().find(|j| !ballot.votes.contains_key(&*j.to_string())).unwrap();
                let judge = voter.to_string().into();
                let vote = Command::Vote {
                    review: Some(review),
                    judge,
                    vote: VoteWord::Approve,
                    confidence: None,
                    reason: "so".into(),
                    opinion: Box::default(),
                };
                stands(&engine.command(id, vote, Actor::agent(voter)).await?, tell);
            } else if let Some(step) = task.waiting().iter().find(|w| w.reason == "APPROVAL").and_then(|w| w.step.clone()) {
                let judgement = Judgement::of(GateKind::ManualReview, true);
                let confirm = Command::Confirm { step: step.into(), judgement };
                stands(&engine.command(id, confirm, Actor::human("bea")).await?, tell);
            } else {
                self.work(engine, id, tell).await?;
            }
        }
        panic!("it does not come to its end");
    }

    async fn work(&self, engine: &Engine, id: TaskId, tell: &mut impl FnMut(Told)) -> Result<(), EngineError> {
        // The same wish again gets the same lease.
        let wish =
            ClaimRequest { agent_id: self.worker, claim_id: ClaimId::new(1, [1; 10]), max: 1, wait_ms: 30_000, start: true };
        let item = engine.claim(wish).await?.remove(0);
        assert_eq!((item.task_id, item.attempt), (id, 1), "the work is given away once");
        tell(Told::Holds { task: id, work: item.work.clone(), attempt: item.attempt, agent: self.worker });
        let outcome = Outcome::Succeeded(Success { output: json!({"text": "long ".repeat(4_000)}), ..Success::default() });
        let report = Report { task_id: id, work: item.work, attempt: item.attempt, outcome };
        stands(&engine.report(vec![report], self.worker).await?.remove(0)?, tell);
        Ok(())
    }
}

fn stands(done: &Done, tell: &mut impl FnMut(Told)) {
    tell(Told::Stands { task: done.task.unwrap(), version: done.version, status: done.status });
}

#[test]
fn whichever_call_of_the_storage_fails_nobody_is_told_what_does_not_stand() {
    let prepared = Machine::new();
    let runtime = runtime();
    let engine = prepared.open().unwrap();
    let cycle = runtime.block_on(Cycle::prepare(&engine));
    engine.stop();
    drop(engine);
    for lasts in [Lasts::Once, Lasts::Forever] {
        let mut nth = 0;
        while fails_at(&runtime, prepared.folder.path(), &cycle, nth, lasts) {
            nth += 1;
        }
        println!("each of {nth} calls failed, {lasts:?}");
        assert!(nth > 60, "only {nth} calls could fail");
    }
}

/// Lives one cycle in which the call after `before` others fails, and goes on after that. Answers whether it came so far.
fn fails_at(runtime: &tokio::runtime::Runtime, prepared: &Path, cycle: &Cycle, before: u64, lasts: Lasts) -> bool {
    let what = format!("call {before} fails {lasts:?}");
    let machine = Machine::new();
    for file in std::fs::read_dir(prepared).unwrap().map(|f| f.unwrap().file_name()) {
        std::fs::copy(prepared.join(&file), machine.folder.path().join(&file)).unwrap();
    }
    let mut ledger = Ledger::default();
    machine.faults.fail_after(before, lasts);
    if let Ok(engine) = machine.open() {
        let ended = runtime.block_on(async {
            let ended = cycle.go(&engine, &mut |told| ledger.take(told)).await;
            if ended.is_err() {
                let why = tokio::time::timeout(Duration::from_secs(30), engine.stopped()).await;
                assert!(why.is_ok(), "{what}: an engine that could not write ends");
                let late = engine.command(engine.new_task_id(), Command::Wake, Actor::human("ann")).await;
                assert!(matches!(late, Err(EngineError::Stopped(_))), "{what}: {late:?}");
            }
            ended
        });
        match ended {
            Ok(()) => {}
            Err(EngineError::Stopped(_)) => assert!(machine.faults.has_failed(), "{what}: it ended without need"),
            Err(other) => panic!("{what}: {other}"),
        }
        engine.stop();
    }
    let failed = machine.faults.has_failed();
    machine.faults.mend();
    machine.verify(&mut ledger, &what);
    // What was left half done is done.
    let engine = machine.open().unwrap_or_else(|e| panic!("{what}: {e}"));
    let ended = runtime.block_on(cycle.go(&engine, &mut |_| ()));
    ended.unwrap_or_else(|e| panic!("{what}: it does not go on: {e}"));
    engine.stop();
    ledger.verify(&*engine.reader(), &what);
    failed
}
