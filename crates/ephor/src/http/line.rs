//! The number of a request, and its line in the log: one for each, also for those whose caller left before the answer.

use super::auth::Caller;
use super::crash::{self, Crash};
use super::problem::Problem;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ephor_core::id::{AgentId, TaskId};
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;
use tracing::Instrument as _;

/// How long a caller's own number for a request may be.
const ID_MAX: usize = 64;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Numbers a request, lets it pass, and tells what became of it.
pub(crate) async fn tell(request: Request, next: Next) -> Response {
    let id = number(&request);
    let mut line = Line::of(&request, id.clone());
    let span = tracing::info_span!("request", id = line.id);
    let answered = crash::survive(next.run(request).instrument(span)).await;
    let mut response = match answered {
        Ok(response) => {
            line.ended(&response);
            response
        }
        Err(crash) => {
            line.broke(&crash);
            crash::told(&id).into_response()
        }
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The caller's own number where it is a plain word, else a new one.
fn number(request: &Request) -> String {
    static START: LazyLock<u32> = LazyLock::new(|| {
        let mut bytes = [0; 4];
        // Without randomness numbers are less unlike those of another process, and nothing else.
        let _ = getrandom::fill(&mut bytes);
        u32::from_le_bytes(bytes)
    });
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let sane = |text: &&str| (1..=ID_MAX).contains(&text.len()) && text.bytes().all(is_plain);
    match request.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(sane) {
        Some(own) => own.to_owned(),
        None => format!("{:08x}-{:x}", *START, NEXT.fetch_add(1, Ordering::Relaxed)),
    }
}

/// What is told of a request. Never its query, its headers or its body: there secrets are.
struct Line {
    id: String,
    method: Method,
    path: Option<MatchedPath>,
    task: Option<TaskId>,
    agent: Option<AgentId>,
    begun: Instant,
    told: bool,
}

impl Line {
    fn of(request: &Request, id: String) -> Self {
        let mut line = Self {
            id,
            method: request.method().clone(),
            path: request.extensions().get::<MatchedPath>().cloned(),
            task: None,
            agent: None,
            begun: Instant::now(),
            told: false,
        };
        for part in request.uri().path().split(['/', ':']) {
            if part.starts_with("task_") {
                line.task = line.task.or(part.parse().ok());
            } else if part.starts_with("agent_") {
                line.agent = line.agent.or(part.parse().ok());
            }
        }
        line
    }

    fn ended(&mut self, response: &Response) {
        self.told = true;
        let status = response.status();
        let who = response.extensions().get::<Caller>().filter(|Caller(who)| who.is_authenticated());
        let who = who.map(|Caller(who)| &*who.name);
        let (id, method, path, ms) = (&*self.id, self.method.as_str(), self.path(), self.ms());
        let (task, agent) = (self.task.map(tracing::field::display), self.agent.map(tracing::field::display));
        let problem = response.extensions().get::<Arc<Problem>>();
        let code = problem.map(|p| &*p.code);
        let status = status.as_u16();
        match problem.filter(|_| status >= 500) {
            Some(problem) => {
                let detail = problem.detail.as_deref();
                tracing::error!(
                    id,
                    method,
                    path,
                    status,
                    ms,
                    task,
                    agent,
                    who,
                    code,
                    error = problem.error,
                    detail,
                    "request failed"
                );
            }
            None if path.starts_with("/health/") => tracing::debug!(id, method, path, status, ms, who, code, "request"),
            None => tracing::info!(id, method, path, status, ms, task, agent, who, code, "request"),
        }
    }

    /// It ended in a panic: the one line about it says where.
    fn broke(&mut self, crash: &Crash) {
        self.told = true;
        let (id, method, path, ms) = (&*self.id, self.method.as_str(), self.path(), self.ms());
        let (task, agent) = (self.task.map(tracing::field::display), self.agent.map(tracing::field::display));
        let Crash { message: panic, place, backtrace } = crash;
        tracing::error!(
            id,
            method,
            path,
            status = 500,
            ms,
            task,
            agent,
            code = "INTERNAL",
            panic,
            place,
            backtrace,
            "request ended in a panic"
        );
    }

    fn path(&self) -> &str {
        self.path.as_ref().map_or("-", MatchedPath::as_str)
    }

    fn ms(&self) -> f64 {
        (self.begun.elapsed().as_secs_f64() * 1e5).round() / 1e2
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.told {
            let (id, method, path, ms) = (&*self.id, self.method.as_str(), self.path(), self.ms());
            let (task, agent) = (self.task.map(tracing::field::display), self.agent.map(tracing::field::display));
            tracing::info!(id, method, path, ms, task, agent, "the caller left before the answer");
        }
    }
}
