//! A server without a socket: the router over an engine in a folder of its own.

use crate::http::router;
use crate::http::server::{ServeOptions, Server};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request};
use axum::response::Response;
use ephor_core::agent::Registration;
use ephor_core::event::Actor;
use ephor_core::id::AgentId;
use ephor_core::policy::Policy;
use ephor_core::work::{ClaimRequest, Outcome, Report, Success, WorkItem};
use ephor_engine::{Engine, Settings};
use serde_json::Value;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

/// The operator's token of every desk.
pub(super) const TOKEN: &str = "ephor_op_0123456789abcdef0123456789abcdef";

/// A server that can be asked in this process.
pub(super) struct Desk {
    pub(super) engine: Engine,
    router: Router,
    stop: watch::Sender<bool>,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The same, if it has this status.
    #[track_caller]
    pub(super) fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }
}

impl Desk {
    pub(super) fn open() -> Self {
        Self::under(Policy::default())
    }

    /// With these numbers to decide by.
    pub(super) fn under(policy: Policy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { policy, ..Settings::new(folder.path().join("ephor.db")) };
        let engine = Engine::open(settings).unwrap();
        let options = ServeOptions::new("127.0.0.1:0".parse().unwrap(), TOKEN.into());
        let (stop, stopping) = watch::channel(false);
        let listen = options.listen;
        let server = Arc::new(Server::new(engine.clone(), options, listen, stopping));
        Self { engine, router: router(server), stop, _folder: folder }
    }

    /// Streams and long polls end.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Asks, and does not read the body.
    pub(super) async fn begin(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Asks as somebody on this machine.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, body) = self.begin(request.body(body.into()).unwrap()).await.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, bytes }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], Body::empty()).await
    }

    /// Sends JSON as somebody on this machine.
    pub(super) async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(method, path, &[("content-type", "application/json")], body.to_string()).await
    }

    /// Sends JSON as the operator.
    pub(super) async fn decide(&self, method: &str, path: &str, body: &Value) -> Answer {
        let token = format!("Bearer {TOKEN}");
        self.ask(method, path, &[("content-type", "application/json"), ("authorization", &token)], body.to_string()).await
    }

    /// Submits a task; its path.
    pub(super) async fn submit(&self, request: &Value) -> String {
        let id = self.send("POST", "/api/v1/tasks", request).await.with(201).json()["id"].as_str().unwrap().to_owned();
        format!("/api/v1/tasks/{id}")
    }

    /// An agent able to do this.
    pub(super) async fn agent(&self, capabilities: &[&str]) -> AgentId {
        let registration = Registration {
            name: "worker".into(),
            capabilities: capabilities.iter().map(|c| (*c).into()).collect(),
            ..Registration::default()
        };
        self.engine.register(None, registration, Actor::human("test")).await.unwrap()
    }

    /// The next piece of work for an agent.
    pub(super) async fn claim(&self, agent: AgentId) -> WorkItem {
        let wish = ClaimRequest { agent_id: agent, claim_id: self.engine.new_claim_id(), max: 1, wait_ms: 10_000, start: true };
        self.engine.claim(wish).await.unwrap().pop().expect("there is work")
    }

    /// Reports that it is done.
    pub(super) async fn done(&self, agent: AgentId, item: &WorkItem, success: Success) {
        let report = Report {
            task_id: item.task_id,
            work: item.work.clone(),
            attempt: item.attempt,
            outcome: Outcome::Succeeded(success),
        };
        self.engine.report(vec![report], agent).await.unwrap().pop().unwrap().unwrap();
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.engine.stop();
    }
}
