//! The worker loop over HTTP against a server that loses connections and answers, and is gone for a while.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use ephor_core::id::{AgentId, TaskId};
use ephor_core::work::{Outcome, Success, WorkItem, WorkKey};
use ephor_sdk::agent::{Agent, Job, Running};
use ephor_sdk::client::Config;
use ephor_sdk::http::{Http, new_claim_id};
use ephor_sdk::worker::{Options, Worker};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// How many pieces of work there are.
const WORK: u32 = 12;

/// A desk that gives work once to each claim, and the same again to the same claim.
#[derive(Default)]
struct Desk {
    granted: BTreeMap<String, Vec<u32>>,
    next: u32,
    /// Reports by the number of the work; how often each was said.
    reported: BTreeMap<u32, u32>,
    calls: u32,
    stale: bool,
}

#[derive(Clone, Default)]
struct Server {
    desk: Arc<Mutex<Desk>>,
    all: Arc<Notify>,
}

fn task(n: u32) -> TaskId {
    TaskId::new(i64::from(n), [0; 10])
}

fn item(n: u32) -> Value {
    let item = WorkItem {
        task_id: task(n),
        work: WorkKey::Step("1".into()),
        attempt: 1,
        lease_ms: 300,
        timeout_ms: None,
        namespace: "default".into(),
        action: "count".into(),
        title: String::new(),
        description: String::new(),
        requirements: Vec::new(),
        model: None,
        models: None,
        last_error: None,
        params: Map::from_iter([("n".into(), n.into())]),
        resources: Default::default(),
        may_act: true,
        approved_args: None,
        probe: None,
        probes: Vec::new(),
        guidance: Vec::new(),
        traceparent: None,
        subject: Value::Null,
    };
    let mut item = serde_json::to_value(item).unwrap();
    item["id"] = format!("{}:step:1", task(n)).into();
    item
}

impl Server {
    /// Every third answer is lost: what was asked was done all the same.
    fn lossy(&self, answer: Value) -> Response {
        let mut desk = self.desk.lock().unwrap();
        desk.calls += 1;
        match desk.calls % 3 {
            0 => StatusCode::BAD_GATEWAY.into_response(),
            _ => Json(answer).into_response(),
        }
    }

    async fn work(State(server): State<Self>, Path((_, verb)): Path<(String, String)>, Json(body): Json<Value>) -> Response {
        match verb.as_str() {
            "claim" => server.claim(&body),
            "heartbeat" => {
                let then = if server.desk.lock().unwrap().stale { "STALE" } else { "CONTINUE" };
                let beats = body["beats"].as_array().unwrap();
                server.lossy(beats.iter().map(|_| json!({"then": then})).collect())
            }
            "report" => server.report(&body),
            other => panic!("{other}"),
        }
    }

    fn claim(&self, body: &Value) -> Response {
        let granted = {
            let mut desk = self.desk.lock().unwrap();
            let desk = &mut *desk;
            let max = u32::try_from(body["max"].as_u64().unwrap()).unwrap();
            assert!(body["wait"].as_str().unwrap().ends_with("ms") && body["start"] == true);
            let grant = desk.granted.entry(body["claim_id"].as_str().unwrap().to_owned());
            let next = &mut desk.next;
            grant
                .or_insert_with(|| {
                    let from = *next;
                    *next = (from + max).min(WORK);
                    (from..*next).collect()
                })
                .clone()
        };
        self.lossy(granted.into_iter().map(item).collect())
    }

    fn report(&self, body: &Value) -> Response {
        let mut results = Vec::new();
        for report in body["reports"].as_array().unwrap() {
            let id: TaskId = report["task_id"].as_str().unwrap().parse().unwrap();
            let n = (0..WORK).find(|n| task(*n) == id).unwrap();
            let mut desk = self.desk.lock().unwrap();
            *desk.reported.entry(n).or_default() += 1;
            results.push(match n {
                0 => json!({"error": {"code": "STALE_ATTEMPT", "title": "too late", "status": 409}}),
                _ => json!({"status": "IN_PROGRESS"}),
            });
            if desk.reported.len() == WORK as usize {
                self.all.notify_one();
            }
        }
        self.lossy(json!({"results": results, "work": []}))
    }

    async fn listen(self, address: &str) -> (String, tokio::task::JoinHandle<()>) {
        let app = Router::new().route("/api/v1/agents/{id}/work/{verb}", post(Self::work)).with_state(self);
        let listener = loop {
            // The socket of the server before may not have been let go yet.
            match tokio::net::TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let address = listener.local_addr().unwrap().to_string();
        (address, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
    }
}

/// Counts what it did, and waits where it was told to.
#[derive(Clone, Default)]
struct Counter {
    done: Arc<Mutex<Vec<u64>>>,
    stopped: Arc<Notify>,
    waits: bool,
}

impl Agent for Counter {
    fn actions(&self) -> Vec<String> {
        vec!["count".into()]
    }
    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            if self.waits {
                job.stopped().await;
                self.stopped.notify_one();
            }
            self.done.lock().unwrap().push(job.item().params["n"].as_u64().unwrap());
            Outcome::Succeeded(Success::default())
        })
    }
}

fn worker(address: &str, agent: Counter) -> Worker<Http> {
    let id = AgentId::new(1, [1; 10]);
    let transport = Http::new(Config::new(format!("http://{address}")), id).unwrap();
    let options = Options { concurrency: 4, wait_ms: 10, ..Options::new(id) };
    Worker::new(Arc::new(transport), options, [Arc::new(agent) as Arc<dyn Agent>], new_claim_id)
}

#[tokio::test]
async fn over_lost_answers_and_a_restart_every_piece_of_work_is_done_once_and_reported() {
    let server = Server::default();
    let (address, serving) = server.clone().listen("127.0.0.1:0").await;
    let agent = Counter::default();
    let (drain, drained) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(worker(&address, agent.clone()).run(async move { drop(drained.await) }));

    // Somewhere in the middle the server is gone, with whatever it was about to answer, and comes back on the same port.
    while server.desk.lock().unwrap().calls < 4 {
        tokio::task::yield_now().await;
    }
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    let (_, serving) = server.clone().listen(&address).await;

    server.all.notified().await;
    drop(drain);
    assert_eq!(running.await.unwrap().unreported, 0);
    let mut done = agent.done.lock().unwrap().clone();
    done.sort_unstable();
    assert_eq!(done, (0..u64::from(WORK)).collect::<Vec<_>>());
    serving.abort();
}

#[tokio::test]
async fn work_that_is_no_longer_its_own_is_told_so_and_not_reported() {
    let server = Server::default();
    server.desk.lock().unwrap().stale = true;
    server.desk.lock().unwrap().next = WORK - 1;
    let (address, serving) = server.clone().listen("127.0.0.1:0").await;
    let agent = Counter { waits: true, ..Counter::default() };
    let (drain, drained) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(worker(&address, agent.clone()).run(async move { drop(drained.await) }));
    agent.stopped.notified().await;
    drop(drain);
    assert_eq!(running.await.unwrap().unreported, 0);
    assert!(server.desk.lock().unwrap().reported.is_empty());
    serving.abort();
}
