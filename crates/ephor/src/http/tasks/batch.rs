//! Many submissions in one request: a line in, a line out, in order. Not atomic: what is wrong with one line is told in its place, and
//! the rest goes on. Lines are read while earlier ones are written, and few are handed to the writer at once, so that others get their
//! turn between them.

use super::create::belongs;
use super::names;
use super::terms::Terms;
use crate::api::{ApiError, Kind};
use crate::http::auth::{Caller, Principal};
use crate::http::errors::Errors;
use crate::http::limits::Limits;
use crate::http::problem::Problem;
use crate::http::server::Server;
use crate::local::trouble;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use ephor_core::command::Refusal;
use ephor_core::id::TaskId;
use ephor_core::spec;
use ephor_core::status::Status;
use ephor_engine::{Done, EngineError, Idempotency};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many lines go through together: a quarter of a commit.
const BLOCK: usize = 250;
/// How many blocks are read side by side.
const READING: usize = 2;
/// How many blocks are with the writer at once: half a commit, the other half is for others.
const WRITING: usize = 2;
/// How many blocks of answers wait for a caller that sends everything before it reads anything. Beyond that the batch waits for the
/// caller.
const UNREAD_MAX: usize = 1_000;
/// How long lines that have come wait for more of them.
const PATIENCE: Duration = Duration::from_millis(5);

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(batch))
}

/// What became of one line: an id and a status, or an error.
#[derive(Serialize, ToSchema)]
struct Line {
    /// The task's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<TaskId>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    /// Whether it was submitted before, under the same key: then this is the answer of then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// A line that makes sense: the request in it, and the key it is submitted under where the batch has one.
type Understood = (spec::Request, Option<Idempotency>);

/// Submit many tasks
///
/// One request a line (NDJSON), at most 64 MiB. One answer a line, in order, while the rest is still being read. With an
/// `Idempotency-Key` each line has a key of its own, made of that and its place among the lines: the same batch said again is answered
/// the same, line by line, with `repeated`, and goes on where it had come to.
#[utoipa::path(post, path = "/api/v1/tasks/batch", tag = "tasks",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same line in the same place has one effect")),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = Line, content_type = "application/x-ndjson"), Errors))]
async fn batch(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    terms: Terms,
    request: Request,
) -> Result<Response, ApiError> {
    is_ndjson(request.headers())?;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let lines = Lines::of(request.into_body().into_data_stream(), server.limits());
    if length.is_some_and(|length: usize| length > lines.batch_max) {
        return Err(lines.too_large());
    }
    let (answers, mut unread) = mpsc::channel(UNREAD_MAX);
    tokio::spawn(run(server, who, terms, lines, answers));
    let told = stream::poll_fn(move |cx| unread.poll_recv(cx)).map(Ok::<Bytes, Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(told)).into_response())
}

fn is_ndjson(headers: &HeaderMap) -> Result<(), ApiError> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(()),
        _ => Err(ApiError::new(Kind::Invalid, "WRONG_TYPE", "the body has to be NDJSON, one request a line")
            .because("send Content-Type: application/x-ndjson")),
    }
}

/// Takes blocks of lines through: read, submit, answer. Ends with the body, with the caller, or with the server.
async fn run(server: Arc<Server>, who: Arc<Principal>, terms: Terms, lines: Lines, answers: mpsc::Sender<Bytes>) {
    // Each block with the place of its first line among those that are answered.
    let blocks = stream::unfold((lines, 0), async |(mut lines, first)| {
        let block = lines.block().await?;
        let next = first + block.len();
        Some(((first, block), (lines, next)))
    });
    let reader = server.clone();
    let caller = who.clone();
    let read = blocks.map(move |(first, block)| {
        let (server, who, terms) = (reader.clone(), caller.clone(), terms.clone());
        async move {
            let count = block.len();
            let read = tokio::task::spawn_blocking(move || {
                let lines = block.into_iter().zip(first..);
                lines.map(|(line, place)| understood(&server, &who, &terms, place, line)).collect()
            });
            read.await
                .unwrap_or_else(|e| (0..count).map(|_| Err(ApiError::new(Kind::Failed, "INTERNAL", &e))).collect::<Vec<_>>())
        }
    });
    let written = read.buffered(READING).map(|block| submitted(&server, &who, block)).buffered(WRITING);
    tokio::pin!(written);
    let answer_all = async {
        while let Some(block) = written.next().await {
            if answers.send(block).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = server.stopping() => {}
        () = answer_all => {}
    }
}

/// A line as a request, or what is wrong with it.
fn understood(
    server: &Server,
    who: &Principal,
    terms: &Terms,
    place: usize,
    line: Result<Bytes, ApiError>,
) -> Result<Understood, ApiError> {
    let line = line?;
    let (mut request, _) = names::request_now(&line, server, who)?;
    belongs(&mut request, who)?;
    // By what was said, not by what was read from it: an older form is read with the time of day.
    let said = terms.has_key().then(|| serde_json::from_slice::<Value>(&line).unwrap_or_default());
    Ok((request, terms.idempotency_of(who, "POST /tasks/batch", place, &said)))
}

/// Submits a block, and says line by line what became of it.
async fn submitted(server: &Server, who: &Principal, block: Vec<Result<Understood, ApiError>>) -> Bytes {
    let mut requests = Vec::with_capacity(block.len());
    let mut keys = Vec::new();
    let mut wrong = Vec::with_capacity(block.len());
    for line in block {
        match line {
            Ok((request, key)) => {
                requests.push(request);
                keys.extend(key);
                wrong.push(None);
            }
            Err(error) => wrong.push(Some(error)),
        }
    }
    let done = server.engine().submit_many_under(&requests, &keys, &who.submitter()).await;
    let mut done = match done {
        Ok(done) => Ok(done.into_iter()),
        Err(error) => Err(trouble(error, None)),
    };
    let mut told = Vec::with_capacity(64 * wrong.len());
    for line in wrong {
        let answer = match (line, &mut done) {
            (Some(error), _) => Err(error),
            (None, Ok(done)) => answer(done.next()),
            (None, Err(error)) => Err(error.clone()),
        };
        let line = match answer {
            Ok((id, done)) => Line { id: Some(id), status: Some(done.status), repeated: done.repeated, error: None },
            Err(error) => Line { id: None, status: None, repeated: false, error: Some(error.into()) },
        };
        serde_json::to_writer(&mut told, &line).expect("a line is plain data");
        told.push(b'\n');
    }
    told.into()
}

fn answer(done: Option<Result<Done, Refusal>>) -> Result<(TaskId, Done), ApiError> {
    let done = done.expect("there is one answer for each request");
    let done = done.map_err(|refusal| trouble(EngineError::Refused(refusal), None))?;
    Ok((done.task.expect("a submission is answered with its task"), done))
}

/// The lines of a body as they come in.
struct Lines {
    body: BodyDataStream,
    /// What came and is not given out yet: the beginning of a line.
    rest: Vec<u8>,
    /// How many bytes came in all.
    came: usize,
    /// Whether the line that is coming in is too long and being dropped.
    dropping: bool,
    over: bool,
    batch_max: usize,
    line_max: usize,
}

impl Lines {
    fn of(body: BodyDataStream, limits: &Limits) -> Self {
        // A line is as long as a request alone may be.
        let (batch_max, line_max) = (limits.batch_bytes, limits.body_bytes);
        Self { body, rest: Vec::new(), came: 0, dropping: false, over: false, batch_max, line_max }
    }

    fn too_large(&self) -> ApiError {
        let allowed = format!("{} bytes are allowed, and {} for one line", self.batch_max, self.line_max);
        ApiError::new(Kind::Invalid, "TOO_LARGE", "the batch is too large").because(allowed)
    }

    /// The next lines, at most a block of them: as many as have come, at least one. `None` at the end.
    async fn block(&mut self) -> Option<Vec<Result<Bytes, ApiError>>> {
        let mut block = Vec::new();
        loop {
            self.cut(&mut block);
            if block.len() >= BLOCK || (self.over && !block.is_empty()) {
                return Some(block);
            }
            if self.over {
                return None;
            }
            // Whoever sends slowly is answered line by line.
            let next = match block.is_empty() {
                true => self.body.next().await,
                false => match tokio::time::timeout(PATIENCE, self.body.next()).await {
                    Ok(next) => next,
                    Err(_) => return Some(block),
                },
            };
            match next {
                Some(Ok(bytes)) => {
                    self.came += bytes.len();
                    if self.came > self.batch_max {
                        self.rest.clear();
                        self.over = true;
                        block.push(Err(self.too_large()));
                        return Some(block);
                    }
                    self.rest.extend_from_slice(&bytes);
                }
                Some(Err(error)) => {
                    self.rest.clear();
                    self.over = true;
                    let lost = ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "the rest of the batch could not be read");
                    block.push(Err(lost.because(error)));
                    return Some(block);
                }
                None => {
                    self.over = true;
                    // The last line need not end with a line feed.
                    if !self.rest.is_empty() {
                        self.rest.push(b'\n');
                    }
                }
            }
        }
    }

    /// Cuts whole lines off what has come, up to a block.
    fn cut(&mut self, block: &mut Vec<Result<Bytes, ApiError>>) {
        let mut from = 0;
        while block.len() < BLOCK {
            let Some(length) = self.rest[from..].iter().position(|b| *b == b'\n') else { break };
            let line = &self.rest[from..from + length];
            from += length + 1;
            if std::mem::take(&mut self.dropping) {
                continue;
            }
            match line {
                line if line.len() > self.line_max => block.push(Err(self.too_large())),
                line if line.iter().all(u8::is_ascii_whitespace) => {}
                line => block.push(Ok(Bytes::copy_from_slice(line))),
            }
        }
        self.rest.drain(..from);
        if block.len() < BLOCK && self.rest.len() > self.line_max {
            if !self.dropping {
                block.push(Err(self.too_large()));
            }
            self.dropping = true;
            self.rest.clear();
        }
    }
}
