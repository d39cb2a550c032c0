//! Measures the engine in one process, each figure beside its own floor: the same rows in the same transactions, written by a bare
//! loop with the same settings of SQLite. Every command is on disk before it is answered. Run it in a release build:
//!
//! `cargo run --release -p ephor-engine --example bench [-- a b c d e f g h i j] [rounds=N]`
//!
//! Machines differ; compare ratios taken in one run. Short parts are run several times, each on a fresh store, and their medians printed:
//! one round of them is over before the machine's other work has evened out.

mod floor;
mod hard;
mod law;

/// As in the binary: tasks are made on one thread and dropped on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use ephor_core::agent::Registration;
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, ClaimId};
use ephor_core::spec::{PlanSpec, Request, StepSpec};
use ephor_core::work::{ClaimRequest, Outcome, Report, Success, WorkItem};
use ephor_engine::doctor::doctor;
use ephor_engine::{Engine, Settings};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many tasks (a), (b) and (b') use.
const TASKS: usize = 10_000;
/// How many callers ask one at a time.
const CALLERS: usize = 32;
/// How many tasks go into one batch.
const BATCH: usize = 1_000;
/// How often (a), (b) and (d) are run where nobody says how often.
const ROUNDS: usize = 5;
/// How many events the store of (f) holds before it begins.
const EVENTS_BEFORE: u64 = 1_000_000;

fn now() -> Instant {
    #[allow(clippy::disallowed_methods)] // Measuring is what this program is for.
    Instant::now()
}

/// One engine on a fresh database.
struct House {
    engine: Engine,
    agents: Vec<AgentId>,
    path: PathBuf,
    claims: AtomicUsize,
}

impl House {
    async fn new(folder: &Path, name: &str) -> Arc<Self> {
        Self::able(folder, name, &["noop"]).await
    }

    /// The same, with agents that can do these.
    async fn able(folder: &Path, name: &str, words: &[&str]) -> Arc<Self> {
        let path = folder.join(format!("{name}.db"));
        let engine = Engine::open(Settings::new(&path)).expect("the folder is fresh");
        let mut agents = Vec::new();
        for n in 0..CALLERS {
            let capabilities = words.iter().map(|word| (*word).into()).collect();
            let said = Registration {
                name: format!("agent {n}"),
                role: None,
                capabilities,
                external_id: None,
                ..Registration::default()
            };
            agents.push(engine.register(None, said, Actor::human("bench")).await.expect("a registration"));
        }
        Arc::new(Self { engine, agents, path, claims: AtomicUsize::new(0) })
    }

    fn wish(&self, agent: usize, max: u32, wait_ms: u64) -> ClaimRequest {
        let n = self.claims.fetch_add(1, Ordering::Relaxed) as u64;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&n.to_be_bytes());
        ClaimRequest { agent_id: self.agents[agent % CALLERS], claim_id: ClaimId::new(1, random), max, wait_ms, start: true }
    }

    /// Each caller submits one task at a time until there are so many.
    async fn submit_one_by_one(self: &Arc<Self>, tasks: usize) {
        let left = Arc::new(AtomicUsize::new(0));
        let callers = (0..CALLERS).map(|_| {
            let (house, left) = (self.clone(), left.clone());
            tokio::spawn(async move {
                loop {
                    let n = left.fetch_add(1, Ordering::Relaxed);
                    if n >= tasks {
                        return;
                    }
                    house.engine.submit(&request(n), Actor::human("bench"), None).await.expect("a task");
                }
            })
        });
        join(callers).await;
    }

    async fn submit_batches(&self, tasks: usize) {
        for start in (0..tasks).step_by(BATCH) {
            let requests: Vec<Request> = (start..tasks.min(start + BATCH)).map(request).collect();
            self.engine.submit_many(&requests, &Actor::human("bench")).await.expect("a batch");
        }
    }

    /// Workers claim and complete until so many pieces of work are done. Each claims and reports `at_once` pieces.
    async fn work(self: &Arc<Self>, pieces: usize, workers: usize, at_once: u32) {
        let done = Arc::new(AtomicUsize::new(0));
        let workers = (0..workers).map(|w| {
            let (house, done) = (self.clone(), done.clone());
            tokio::spawn(async move {
                while done.load(Ordering::Relaxed) < pieces {
                    let items = house.engine.claim(house.wish(w, at_once, 20)).await.expect("a claim");
                    if items.is_empty() {
                        continue;
                    }
                    let count = items.len();
                    let reports = items.iter().map(report).collect();
                    for answer in house.engine.report(reports, house.agents[w % CALLERS]).await.expect("a report") {
                        answer.expect("an accepted report");
                    }
                    done.fetch_add(count, Ordering::Relaxed);
                }
            })
        });
        join(workers).await;
    }

    fn position(&self) -> u64 {
        self.engine.reader().position().expect("a readable store")
    }

    /// Stops the engine; what it wrote in all that haste has to be well.
    fn close(&self) {
        self.engine.stop();
        let report = doctor(&*self.engine.reader(), self.engine.now()).expect("a readable store");
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
    }

    /// How long the bare loop takes for the transactions after a position.
    fn floor(&self, after: u64, until: u64) -> floor::Floor {
        floor::replay(&self.path, after as i64, until as i64)
    }
}

async fn join(tasks: impl Iterator<Item = tokio::task::JoinHandle<()>>) {
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no caller panics");
    }
}

fn request(n: usize) -> Request {
    Request {
        title: Some(format!("task {n}")),
        action: Some("noop".into()),
        payload: json!({"n": n, "agent": "bench", "prompt": "x".repeat(230), "tenant": "acme"}),
        ..Request::default()
    }
}

/// A task of steps that do nothing, one after the other or side by side.
fn plan_request(steps: usize, sequential: bool) -> Request {
    let step = || StepSpec { action: Some("noop".into()), ..StepSpec::default() };
    let plan = PlanSpec { steps: (0..steps).map(|_| step()).collect(), sequential, ..PlanSpec::default() };
    Request { title: Some(format!("{steps} steps")), plan: Some(plan), ..Request::default() }
}

fn report(item: &WorkItem) -> Report {
    let outcome = Outcome::Succeeded(Success { output: json!({"ok": true}), ..Success::default() });
    Report { task_id: item.task_id, work: item.work.clone(), attempt: item.attempt, outcome }
}

/// Runs a part, then its floor.
struct Part {
    name: String,
    began: Instant,
    after: u64,
    operations: usize,
    busy: [f64; 2],
}

/// What one round of a part came to.
struct Measured {
    rate: f64,
    floor_rate: f64,
    events: f64,
    writes: f64,
    bytes: f64,
    in_a_commit: f64,
    /// How much of the time the thread that decides and the one that writes were on a processor.
    deciding: f64,
    writing: f64,
}

/// All rounds of some parts, in the order in which they were first run.
#[derive(Default)]
struct Table(Vec<(String, Vec<Measured>)>);

impl Part {
    fn begin(house: &House, name: &str, operations: usize) -> Self {
        Self { name: name.into(), after: house.position(), operations, busy: busy(), began: now() }
    }

    fn end(self, house: &House, table: &mut Table) {
        let seconds = self.began.elapsed().as_secs_f64();
        let (busy, before) = (busy(), self.busy);
        let share = |thread: usize| (busy[thread] - before[thread]) / seconds;
        let floor = house.floor(self.after, house.position());
        let operations = self.operations as f64;
        let per = |n: u64| n as f64 / operations;
        let measured = Measured {
            rate: operations / seconds,
            floor_rate: operations / floor.seconds,
            events: per(floor.events),
            writes: per(floor.events + floor.rows),
            bytes: per(floor.bytes),
            in_a_commit: operations / floor.commits.max(1) as f64,
            deciding: share(0),
            writing: share(1),
        };
        match table.0.iter_mut().find(|(name, _)| *name == self.name) {
            Some((_, rounds)) => rounds.push(measured),
            None => table.0.push((self.name, vec![measured])),
        }
    }
}

impl Table {
    /// Prints the medians, and how far the ratios lay apart. Answers the pace of the part that was first.
    fn print(&self) -> f64 {
        for (name, rounds) in &self.0 {
            let of = |what: fn(&Measured) -> f64| spread(rounds, what);
            let (low, ratio, high) = of(|m| 100.0 * m.rate / m.floor_rate);
            let apart = if rounds.len() > 1 { format!(" ({low:.0}–{high:.0})") } else { String::new() };
            println!(
                "{name:<50} {:>7.0}/s   floor {:>7.0}/s   {ratio:>3.0} %{apart}   {:.1} events, {:.1} row writes, {:.0} bytes each; {:.0} in a commit; \
                 deciding {:.0} %, writing {:.0} % of the time",
                of(|m| m.rate).1,
                of(|m| m.floor_rate).1,
                of(|m| m.events).1,
                of(|m| m.writes).1,
                of(|m| m.bytes).1,
                of(|m| m.in_a_commit).1,
                of(|m| 100.0 * m.deciding).1,
                of(|m| 100.0 * m.writing).1,
            );
        }
        self.0.first().map_or(0.0, |(_, rounds)| spread(rounds, |m| m.rate).1)
    }
}

/// For how many seconds the engine's two threads have been on a processor.
fn busy() -> [f64; 2] {
    let mut seconds = [0.0; 2];
    for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let Some(which) = ["ephor-writer", "ephor-scribe"].iter().position(|name| read("comm").trim() == *name) else { continue };
        let nanoseconds = read("schedstat").split_whitespace().next().and_then(|n| n.parse::<f64>().ok());
        seconds[which] += nanoseconds.unwrap_or(0.0) / 1e9;
    }
    seconds
}

/// Lowest, median and highest.
fn spread(rounds: &[Measured], what: fn(&Measured) -> f64) -> (f64, f64, f64) {
    let mut figures: Vec<f64> = rounds.iter().map(what).collect();
    figures.sort_by(f64::total_cmp);
    (figures[0], figures[figures.len() / 2], figures[figures.len() - 1])
}

async fn submits(folder: &Path, rounds: usize) {
    let mut table = Table::default();
    for round in 0..rounds {
        let house = House::new(folder, &format!("a{round}")).await;
        let part = Part::begin(&house, "(a) submit, 32 callers one at a time", TASKS);
        house.submit_one_by_one(TASKS).await;
        part.end(&house, &mut table);
        let part = Part::begin(&house, "(a) submit, batches of 1,000", 5 * TASKS);
        house.submit_batches(5 * TASKS).await;
        part.end(&house, &mut table);
        house.close();
    }
    table.print();
}

async fn claims(folder: &Path, rounds: usize) {
    let mut table = Table::default();
    for round in 0..rounds {
        let house = House::new(folder, &format!("b{round}")).await;
        house.submit_batches(TASKS).await;
        let part = Part::begin(&house, "(b) claim and complete, 32 workers one by one", TASKS);
        house.work(TASKS, CALLERS, 1).await;
        part.end(&house, &mut table);
        house.submit_batches(TASKS).await;
        let part = Part::begin(&house, "(b) claim and complete, 8 workers of 125", TASKS);
        house.work(TASKS, 8, 125).await;
        part.end(&house, &mut table);
        let part = Part::begin(&house, "(b') both together, one by one", TASKS);
        tokio::join!(house.submit_one_by_one(TASKS), house.work(TASKS, CALLERS, 1));
        part.end(&house, &mut table);
        if round == 0 {
            println!("    memory after (b) {:.0} MB", memory());
        }
        house.close();
    }
    table.print();
}

/// Tasks come at a steady pace and an agent waits for them.
async fn starts(folder: &Path) {
    let house = House::new(folder, "c").await;
    let count = 500;
    let worker = tokio::spawn({
        let house = house.clone();
        async move {
            let mut started = Vec::new();
            while started.len() < count {
                for item in house.engine.claim(house.wish(0, 1, 1_000)).await.expect("a claim") {
                    started.push((item.task_id, now()));
                    house.engine.report(vec![report(&item)], house.agents[0]).await.expect("a report");
                }
            }
            started
        }
    });
    let mut submitted = std::collections::HashMap::new();
    for n in 0..count {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let at = now();
        let done = house.engine.submit(&request(n), Actor::human("bench"), None).await.expect("a task");
        submitted.insert(done.task.expect("a submission has a task"), at);
    }
    let mut waits: Vec<f64> =
        worker.await.expect("the worker ends").iter().map(|(id, at)| (*at - submitted[id]).as_secs_f64() * 1e3).collect();
    waits.sort_by(f64::total_cmp);
    let at = |part: f64| waits[((waits.len() as f64 * part) as usize).min(waits.len() - 1)];
    println!(
        "(c) submit to start at 50 tasks/s              p50 {:.2} ms   p95 {:.2} ms   p99 {:.2} ms",
        at(0.5),
        at(0.95),
        at(0.99)
    );
    house.close();
}

/// (d); answers the pace.
async fn sequences(folder: &Path, rounds: usize) -> f64 {
    let mut table = Table::default();
    for round in 0..rounds {
        let house = House::new(folder, &format!("d{round}")).await;
        let requests: Vec<Request> = (0..500).map(|_| plan_request(10, true)).collect();
        house.engine.submit_many(&requests, &Actor::human("bench")).await.expect("a batch");
        let part = Part::begin(&house, "(d) 500 tasks of 10 steps in sequence", 5_000);
        house.work(5_000, 8, 64).await;
        part.end(&house, &mut table);
        house.close();
    }
    table.print()
}

async fn long_plans(folder: &Path, steady: f64) {
    for (name, sequential, workers, at_once) in
        [("10,000 steps in sequence", true, 1, 1), ("10,000 steps side by side", false, 4, 128)]
    {
        let mut table = Table::default();
        let house = House::new(folder, if sequential { "e1" } else { "e2" }).await;
        house.engine.submit(&plan_request(10_000, sequential), Actor::human("bench"), None).await.expect("a task");
        let part = Part::begin(&house, &format!("(e) one task of {name}"), 10_000);
        house.work(10_000, workers, at_once).await;
        part.end(&house, &mut table);
        let rate = table.print();
        if !sequential {
            println!("    a step side by side costs {:.2} times one of (d)", steady / rate);
        }
        house.close();
    }
    // The same pace as (e) in sequence, one step at a time, but in plans of ten: what the length of the plan costs.
    let mut table = Table::default();
    let house = House::new(folder, "e3").await;
    for _ in 0..200 {
        house.engine.submit(&plan_request(10, true), Actor::human("bench"), None).await.expect("a task");
    }
    let part = Part::begin(&house, "(e) for comparison: (d) with one worker, one by one", 2_000);
    house.work(2_000, 1, 1).await;
    part.end(&house, &mut table);
    table.print();
    house.close();
}

async fn full_store(folder: &Path, rounds: usize) {
    let mut table = Table::default();
    let house = House::new(folder, "f").await;
    while house.position() < EVENTS_BEFORE {
        house.submit_batches(20 * BATCH).await;
        house.work(20 * BATCH, 8, 250).await;
    }
    for _ in 0..rounds {
        house.submit_batches(TASKS).await;
        let part = Part::begin(&house, "(f) (b) batched, on 1 million events", TASKS);
        house.work(TASKS, 8, 125).await;
        part.end(&house, &mut table);
        house.submit_batches(TASKS).await;
        let part = Part::begin(&house, "(f) (b) one by one, on 1 million events", TASKS);
        house.work(TASKS, CALLERS, 1).await;
        part.end(&house, &mut table);
    }
    table.print();
    let tasks = house.position() as f64 / 4.0;
    house.engine.stop();
    let bytes = std::fs::metadata(&house.path).map_or(0, |m| m.len());
    println!("(g) on disk {:.0} bytes for each finished task", bytes as f64 / tasks);
    let began = now();
    let engine = Engine::open(Settings::new(&house.path)).expect("it was closed");
    println!("(g) start on 1 million events {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    engine.stop();
}

async fn start_up(folder: &Path) {
    let began = now();
    let house = House::new(folder, "g").await;
    println!("(g) cold start, agents registered {:.0} ms, idle memory {:.0} MB", began.elapsed().as_secs_f64() * 1e3, memory());
    house.close();
}

/// This process's own memory, in MB.
fn memory() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let folder = tempfile::tempdir().expect("a folder for databases");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let rounds = wanted.iter().find_map(|w| w.strip_prefix("rounds=")).map(|n| n.parse().expect("rounds=N is a number"));
    let parts: Vec<&String> = wanted.iter().filter(|w| !w.starts_with("rounds=")).collect();
    let asked = |part: &str| parts.is_empty() || parts.iter().any(|w| *w == part);
    runtime.block_on(async {
        if asked("g") {
            start_up(folder.path()).await;
        }
        if asked("a") {
            submits(folder.path(), rounds.unwrap_or(ROUNDS)).await;
        }
        if asked("b") {
            claims(folder.path(), rounds.unwrap_or(ROUNDS)).await;
        }
        if asked("c") {
            starts(folder.path()).await;
        }
        if asked("d") || asked("e") {
            let steady = sequences(folder.path(), rounds.unwrap_or(ROUNDS)).await;
            if asked("e") {
                long_plans(folder.path(), steady).await;
            }
        }
        if asked("f") {
            full_store(folder.path(), rounds.unwrap_or(1)).await;
        }
        if asked("h") {
            hard::poisoned(folder.path()).await;
        }
        if asked("i") {
            hard::waiting(folder.path()).await;
        }
        if asked("j") {
            law::looks();
        }
    });
}
