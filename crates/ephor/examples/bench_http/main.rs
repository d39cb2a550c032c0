//! Measures the server over HTTP, client and server on one machine, each on its own: the server is the program itself, started on a
//! database in a temporary folder. Every command is on disk before it is answered. Build both in release:
//!
//! `cargo build --release && cargo run --release -p ephor --example bench_http [-- a b c d e]`
//!
//! Machines differ; compare with `ephor-engine`'s benchmark (the same without HTTP) of the same hour.

mod caller;

use caller::{Caller, Server};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many tasks each part uses.
const TASKS: usize = 10_000;
/// How many callers ask one at a time.
const CALLERS: usize = 32;
/// How many agents wait for nothing in (e).
const IDLE: usize = 500;
/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(20);

fn now() -> Instant {
    #[allow(clippy::disallowed_methods)] // Measuring is what this program is for.
    Instant::now()
}

/// A task that does nothing, as a caller would send it.
fn task(n: usize) -> Value {
    let payload = json!({"n": n, "agent": "bench", "prompt": "x".repeat(230), "tenant": "acme"});
    json!({"title": format!("task {n}"), "action": "noop", "payload": payload})
}

/// A task of steps that do nothing, one after the other.
fn sequence(steps: usize) -> Value {
    let steps: Vec<Value> = (0..steps).map(|_| json!({"action": "noop"})).collect();
    json!({"title": "a sequence", "plan": {"sequential": true, "steps": steps}})
}

/// What an agent says of work that is done.
fn report(item: &Value) -> Value {
    json!({"task_id": item["task_id"], "work": item["work"], "attempt": item["attempt"], "outcome": {"SUCCEEDED": {"output": {"ok": true}}}})
}

/// Prints how many operations there were in a second.
fn tell(name: &str, operations: usize, began: Instant) {
    println!("{name:<52} {:>9.0}/s", operations as f64 / began.elapsed().as_secs_f64());
}

/// The value below which a part of the sorted values lies.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() as f64 * part) as usize).min(sorted.len() - 1)]
}

async fn all(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("no caller panics");
    }
}

/// Each caller submits one task a call until there are so many.
async fn submit_one_a_call(server: &Arc<Server>, tasks: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let callers = (0..CALLERS).map(|_| {
        let (server, next) = (server.clone(), next.clone());
        tokio::spawn(async move {
            let mut caller = Caller::new(&server).await;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= tasks {
                    return;
                }
                caller.post("/api/v1/tasks", &task(n)).await;
            }
        })
    });
    all(callers.collect()).await;
}

async fn submit_batches(server: &Arc<Server>, tasks: usize, size: usize) {
    let mut caller = Caller::new(server).await;
    for begin in (0..tasks).step_by(size) {
        let lines: String = (begin..tasks.min(begin + size)).map(|n| format!("{}\n", task(n))).collect();
        let answer = caller.post_lines("/api/v1/tasks/batch", lines).await;
        assert_eq!(answer.lines().count(), size.min(tasks - begin), "a line for each task");
    }
}

/// Agents claim and complete until so many pieces are done; each takes and reports so many at once.
async fn work(server: &Arc<Server>, agents: &[String], pieces: usize, at_once: usize) {
    let done = Arc::new(AtomicUsize::new(0));
    let workers = agents.iter().map(|agent| {
        let (server, done, agent) = (server.clone(), done.clone(), agent.clone());
        tokio::spawn(async move {
            let mut caller = Caller::new(&server).await;
            while done.load(Ordering::Relaxed) < pieces {
                let items =
                    caller.post(&format!("/api/v1/agents/{agent}/work/claim"), &json!({"max": at_once, "wait": "20ms"})).await;
                let reports: Vec<Value> = items.as_array().expect("a list of work").iter().map(report).collect();
                if reports.is_empty() {
                    continue;
                }
                let count = reports.len();
                caller.post(&format!("/api/v1/agents/{agent}/work/report"), &json!({"reports": reports})).await;
                done.fetch_add(count, Ordering::Relaxed);
            }
        })
    });
    all(workers.collect()).await;
}

async fn register(server: &Arc<Server>, count: usize, capability: &str) -> Vec<String> {
    let mut caller = Caller::new(server).await;
    let mut agents = Vec::new();
    for n in 0..count {
        let said = json!({"name": format!("{capability} {n}"), "capabilities": [capability]});
        let agent = caller.post("/api/v1/agents", &said).await;
        agents.push(agent["id"].as_str().expect("an agent has an id").to_owned());
    }
    agents
}

async fn submits() {
    let server = Server::start().await;
    let began = now();
    submit_one_a_call(&server, TASKS).await;
    tell("(a) submit, one a call, 32 callers", TASKS, began);
    let began = now();
    submit_batches(&server, 10 * TASKS, 5_000).await;
    tell("(a) submit, NDJSON batches of 5,000", 10 * TASKS, began);
}

async fn claims() {
    let server = Server::start().await;
    let agents = register(&server, CALLERS, "noop").await;
    submit_batches(&server, TASKS, 5_000).await;
    let began = now();
    work(&server, &agents, TASKS, 1).await;
    tell("(b) claim and complete, one a call, 32 agents", TASKS, began);
    submit_batches(&server, TASKS, 5_000).await;
    let began = now();
    work(&server, &agents[..8], TASKS, 125).await;
    tell("(b) claim and complete, 8 agents, 125 a call", TASKS, began);
    let began = now();
    tokio::join!(submit_one_a_call(&server, TASKS), work(&server, &agents[..8], TASKS, 125));
    tell("(b') one submit a call, claims of 125, at once", TASKS, began);
}

/// Tasks come at a steady pace and an agent waits for them.
async fn starts() {
    let server = Server::start().await;
    let agent = register(&server, 1, "noop").await.remove(0);
    let count = 500;
    let worker = tokio::spawn({
        let server = server.clone();
        async move {
            let mut caller = Caller::new(&server).await;
            let mut started = Vec::new();
            while started.len() < count {
                let items = caller.post(&format!("/api/v1/agents/{agent}/work/claim"), &json!({"wait": "1s"})).await;
                let at = now();
                for item in items.as_array().expect("a list of work") {
                    started.push((item["task_id"].as_str().expect("an id").to_owned(), at));
                    caller.post(&format!("/api/v1/agents/{agent}/work/report"), &json!({"reports": [report(item)]})).await;
                }
            }
            started
        }
    });
    let mut caller = Caller::new(&server).await;
    let mut submitted = HashMap::new();
    for n in 0..count {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let at = now();
        let accepted = caller.post("/api/v1/tasks", &task(n)).await;
        submitted.insert(accepted["id"].as_str().expect("an id").to_owned(), at);
    }
    let started = worker.await.expect("the worker ends");
    let mut waits: Vec<f64> = started.iter().map(|(id, at)| (*at - submitted[id]).as_secs_f64() * 1e3).collect();
    waits.sort_by(f64::total_cmp);
    let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|part| quantile(&waits, part));
    println!("(c) submit to start at 50 tasks/s                    p50 {p50:.2} ms   p95 {p95:.2} ms   p99 {p99:.2} ms");
}

async fn sequences() {
    let server = Server::start().await;
    let agents = register(&server, 8, "noop").await;
    let mut caller = Caller::new(&server).await;
    for _ in 0..500 {
        caller.post("/api/v1/tasks", &sequence(10)).await;
    }
    let began = now();
    work(&server, &agents, 5_000, 64).await;
    tell("(d) 500 tasks of 10 steps in sequence, steps", 5_000, began);
}

async fn idle() {
    let server = Server::start().await;
    let agents = register(&server, IDLE, "nothing").await;
    let waiting: Vec<_> = agents
        .into_iter()
        .map(|agent| {
            let server = server.clone();
            tokio::spawn(async move {
                let mut caller = Caller::new(&server).await;
                loop {
                    caller.post(&format!("/api/v1/agents/{agent}/work/claim"), &json!({"wait": "30s"})).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (cpu, position) = (server.cpu_seconds(), server.position().await);
    tokio::time::sleep(WATCHED).await;
    let part = 100.0 * (server.cpu_seconds() - cpu) / WATCHED.as_secs_f64();
    let events = server.position().await - position;
    println!(
        "(e) 500 idle agents                                  {part:.2} % of a core, {events} events, {:.0} MB",
        server.memory_mb()
    );
    for task in waiting {
        task.abort();
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let asked = |part: &str| wanted.is_empty() || wanted.iter().any(|w| w == part);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if asked("a") {
            submits().await;
        }
        if asked("b") {
            claims().await;
        }
        if asked("c") {
            starts().await;
        }
        if asked("d") {
            sequences().await;
        }
        if asked("e") {
            idle().await;
        }
    });
}
