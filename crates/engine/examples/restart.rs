//! How soon an engine is there again after it was killed, and how soon it is gone when told to stop, with a full store and under load
//! (at most 2 s and 10 s are promised with a million events):
//!
//! `cargo run --release -p ephor-engine --example restart [-- EVENTS]`
//!
//! Prints figures of this machine. What was answered and survives a kill is for the tests to say (`tests/kills.rs`).

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use ephor_core::agent::Registration;
use ephor_core::event::Actor;
use ephor_core::id::AgentId;
use ephor_core::spec::Request;
use ephor_core::work::{ClaimRequest, Outcome, Report, Success};
use ephor_engine::{Engine, EngineError, Settings};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many events the store holds where nothing else is asked for.
const EVENTS: u64 = 1_000_000;
/// How many speak to the engine at once.
const CALLERS: u64 = 32;
/// How many tasks are submitted in one call while the store is filled.
const BATCH: usize = 1_000;
/// How long the load goes on before the engine is told to stop.
const LOAD: Duration = Duration::from_secs(2);

fn now() -> Instant {
    #[allow(clippy::disallowed_methods)] // Measuring is what this program is for.
    Instant::now()
}

fn request(n: u64) -> Request {
    Request { title: Some(format!("task {n}")), action: Some("noop".into()), ..Request::default() }
}

async fn agent(engine: &Engine, name: &str) -> AgentId {
    let said = Registration {
        name: name.into(),
        role: None,
        capabilities: vec!["noop".into()],
        external_id: Some(name.into()),
        ..Registration::default()
    };
    engine.register(None, said, Actor::human("restart")).await.expect("an agent registers")
}

/// Takes so much work and does it. Answers how much there was.
async fn work(engine: &Engine, agent: AgentId, max: u32) -> Result<usize, EngineError> {
    let wish = ClaimRequest { agent_id: agent, claim_id: engine.new_claim_id(), max, wait_ms: 0, start: true };
    let items = engine.claim(wish).await?;
    let reports: Vec<Report> = items
        .into_iter()
        .map(|item| Report {
            task_id: item.task_id,
            work: item.work,
            attempt: item.attempt,
            outcome: Outcome::Succeeded(Success::default()),
        })
        .collect();
    let done = reports.len();
    if done > 0 {
        engine.report(reports, agent).await?;
    }
    Ok(done)
}

/// Fills the store: half of the tasks are done, half wait.
async fn fill(engine: &Engine, events: u64) {
    let worker = agent(engine, "filler").await;
    let requests: Vec<Request> = (0..BATCH as u64).map(request).collect();
    while engine.position() < events {
        engine.submit_many(&requests, &Actor::human("restart")).await.expect("there is room");
        for _ in 0..BATCH / 200 {
            work(engine, worker, 100).await.expect("there is work");
        }
    }
}

/// Submits, claims and reports, until the engine stops. Answers how much was done.
async fn load(engine: Engine, n: u64) -> u64 {
    let worker = agent(&engine, &format!("worker {n}")).await;
    let mut done = 0;
    loop {
        let once = async {
            engine.submit(&request(n), Actor::human("restart"), None).await?;
            work(&engine, worker, 1).await
        };
        match once.await {
            Ok(_) => done += 1,
            Err(_) => return done,
        }
    }
}

fn open(database: &Path) -> Engine {
    Engine::open(Settings::new(database)).expect("the database opens")
}

/// The process that is killed: fills the store, says so, and goes on under load.
async fn victim(database: &Path, events: u64) {
    let engine = open(database);
    fill(&engine, events).await;
    println!("full");
    let callers: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(load(engine.clone(), n))).collect();
    // Dead within the second; whoever started it may be dead as well.
    tokio::time::sleep(Duration::from_secs(5)).await;
    engine.stop();
    drop(callers);
}

/// Kills a process in the middle of its work and looks how long the next one takes.
async fn measure(events: u64) {
    let folder = tempfile::tempdir().expect("a folder for the database");
    let database = folder.path().join("ephor.db");
    let program = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new(program)
        .arg(events.to_string())
        .arg(&database)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again");
    let out = child.stdout.take().expect("it was asked for");
    let full = BufReader::new(out).lines().next().and_then(Result::ok);
    assert_eq!(full.as_deref(), Some("full"), "the store is filled");
    tokio::time::sleep(Duration::from_millis(500)).await;
    child.kill().and_then(|()| child.wait()).expect("it is there to be killed");
    let log = std::fs::metadata(folder.path().join("ephor.db-wal")).map_or(0, |m| m.len());

    let began = now();
    let engine = open(&database);
    let opened = began.elapsed();
    let worker = agent(&engine, "worker 0").await;
    let given = work(&engine, worker, 1).await.expect("there is work");
    let first = began.elapsed();
    println!(
        "after a kill with {} events and {} MB of log: open in {:.0} ms, the first piece of work ({given}) done after {:.0} ms",
        engine.position(),
        log >> 20,
        opened.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3
    );
    let callers: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(load(engine.clone(), n))).collect();
    tokio::time::sleep(LOAD).await;
    let waiting = engine.waiting();
    let began = now();
    engine.stop();
    let stopped = began.elapsed();
    let mut done = 0;
    for caller in callers {
        done += caller.await.unwrap_or(0);
    }
    println!(
        "stopped after {done} rounds of {CALLERS} callers, with {waiting} requests waiting: {:.0} ms",
        stopped.as_secs_f64() * 1e3
    );
}

fn main() {
    let mut words = std::env::args().skip(1);
    let events = words.next().and_then(|n| n.parse().ok()).unwrap_or(EVENTS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match words.next() {
            Some(database) => victim(Path::new(&database), events).await,
            None => measure(events).await,
        }
    });
}
