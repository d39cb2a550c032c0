//! A server without a socket, on this machine or on an address that others reach, asked by whoever has a key.

use crate::http::limits::Limits;
use crate::http::router;
use crate::http::server::{ServeOptions, Server};
use crate::telemetry;
use crate::webhooks::HookOptions;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use ephor_core::policy::Policy;
use ephor_engine::{Engine, Settings};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt as _;

/// A server over an engine of its own, without a socket.
pub(super) struct House {
    pub(super) app: Router,
    pub(super) server: Arc<Server>,
    engine: Engine,
    _stop: tokio::sync::watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

/// The operator's token.
pub(super) const TOKEN: &str = "ephor_op_0123456789abcdef0123456789abcdef";

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
}

impl House {
    /// On this machine, or on an address that can be reached from elsewhere.
    pub(super) fn new(local: bool) -> Self {
        Self::under(local, Policy { solo: true, ..Policy::default() })
    }

    /// On this machine, telling others like this.
    pub(super) fn hooked(hooks: HookOptions) -> Self {
        Self::set(true, Policy { solo: true, ..Policy::default() }, hooks, None)
    }

    /// The same, with these numbers to decide by.
    pub(super) fn under(local: bool, policy: Policy) -> Self {
        Self::set(local, policy, HookOptions::default(), None)
    }

    /// On this machine, with these numbers to decide by, as one that sends on what it does.
    pub(super) fn observed(policy: Policy, telemetry: Option<telemetry::Options>) -> Self {
        Self::set(true, policy, HookOptions::default(), telemetry)
    }

    fn set(local: bool, policy: Policy, hooks: HookOptions, telemetry: Option<telemetry::Options>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path().join("ephor.db"));
        settings.policy = policy;
        let engine = Engine::open(settings).unwrap();
        let listen = if local { ([127, 0, 0, 1], 4000) } else { ([192, 0, 2, 1], 4000) }.into();
        let limits = Some(Limits { requests_per_s: None, ..Limits::on(listen) });
        let options = ServeOptions { limits, hooks, telemetry, ..ServeOptions::new(listen, TOKEN.into()) };
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let server = Arc::new(Server::new(engine.clone(), options, listen, stopping));
        Self { app: router(server.clone()), server, engine, _stop: stop, _folder: folder }
    }

    /// Asks, showing a key where there is one.
    pub(super) async fn ask(&self, method: &str, path: &str, key: Option<&str>, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:4000");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let body = match body {
            Some(json) => {
                request = request.header("content-type", "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let is_stream = head.headers.get("content-type").is_some_and(|t| t.as_bytes().starts_with(b"text/event-stream"));
        let bytes = if is_stream { Default::default() } else { to_bytes(body, usize::MAX).await.unwrap() };
        let json = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer { status: head.status, headers: head.headers, json }
    }

    /// Makes a key as the operator.
    pub(super) async fn key(&self, wish: Value) -> String {
        let made = self.ask("POST", "/api/v1/keys", Some(TOKEN), Some(wish)).await;
        assert_eq!(made.status, 201, "{}", made.json);
        made.json["key"].as_str().unwrap().to_owned()
    }

    /// Submits a task of one step as the operator.
    pub(super) async fn task(&self, namespace: &str) -> String {
        let made = json!({"title": "one", "action": "work", "namespace": namespace});
        let made = self.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(made)).await;
        assert_eq!(made.status, 201, "{}", made.json);
        made.json["id"].as_str().unwrap().to_owned()
    }

    /// Registers an agent as the operator.
    pub(super) async fn agent(&self, name: &str, namespace: Option<&str>) -> String {
        let said = json!({"name": name, "external_id": name, "capabilities": ["work"], "namespace": namespace});
        let made = self.ask("POST", "/api/v1/agents", Some(TOKEN), Some(said)).await;
        assert_eq!(made.status, 201, "{}", made.json);
        made.json["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.engine.stop();
    }
}
