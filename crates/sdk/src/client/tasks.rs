//! Tasks: submitting, looking, and what is there beside them.

use super::call::Call;
use super::error::Problem;
use super::stream::{EventStream, ProgressStream};
use super::views::{Graph, Kept, TaskResult, WorkLog};
use super::wire::{Accepted, EventFilter, Page, Progress, TaskCounts, TaskFilter};
use super::{Client, ClientError};
use ephor_core::id::TaskId;
use ephor_core::impact::Impact;
use ephor_core::inbox::{Asked, InboxFilter, MadeLink, NewLink};
use ephor_core::quality::GateResult;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::time::WireTime;
use ephor_core::view::{EffectView, EventView, OutputView, PlanView, ReviewView, StepView, TaskRow, TaskView, Waiting};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// The most a server gives in one page.
const PAGE_MAX: u32 = 500;
/// The most bytes of requests in one call of a batch; the server takes 64 MiB.
const BATCH_BYTES: usize = 32 << 20;
/// How long a batch may take beyond an ordinary call.
const BATCH_PATIENCE: Duration = Duration::from_secs(300);

impl Client {
    /// Submits a task, under a key made for this call.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn submit(&self, request: &Request) -> Result<Accepted, ClientError> {
        self.submit_under(request, None).await
    }

    /// Submits a task under a key of the caller: said again with it, even by another process, it is submitted once.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn submit_under(&self, request: &Request, key: Option<&str>) -> Result<Accepted, ClientError> {
        self.fetch(Call::post(["tasks"]).under(key).json(&*self.placed(request))).await
    }

    /// Runs a task again that has ended; answers with the new one.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn rerun(&self, task: &str) -> Result<Accepted, ClientError> {
        self.fetch(Call::post(["tasks", task, "rerun"]).json(&serde_json::json!({}))).await
    }

    /// Submits many tasks; one answer for each, in order. Not atomic. What is lost on the way is said again under keys made for this call,
    /// so that nothing is submitted twice.
    ///
    /// # Errors
    /// That the server could not be reached, or does not take batches; what it says of single tasks is in the answers.
    pub async fn submit_many(&self, requests: &[Request]) -> Result<Vec<Result<Accepted, Problem>>, ClientError> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut lines = Vec::new();
        let mut asked = 0;
        for (i, request) in requests.iter().enumerate() {
            serde_json::to_writer(&mut lines, &*self.placed(request)).expect("a request is plain data");
            lines.push(b'\n');
            asked += 1;
            if lines.len() >= BATCH_BYTES || i + 1 == requests.len() {
                answers.extend(self.submit_lines(std::mem::take(&mut lines), asked).await?);
                asked = 0;
            }
        }
        Ok(answers)
    }

    async fn submit_lines(&self, lines: Vec<u8>, asked: usize) -> Result<Vec<Result<Accepted, Problem>>, ClientError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum One {
            Refused { error: Problem },
            Accepted(Accepted),
        }
        let call = Call::post(["tasks", "batch"]).body("application/x-ndjson", lines).patience(BATCH_PATIENCE);
        let reply = self.call(call).await?;
        let lines = reply.body.split(|b| *b == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
        let answers = lines.map(|line| {
            Ok(match self.parse::<One>(line)? {
                One::Refused { error } => Err(error),
                One::Accepted(accepted) => Ok(accepted),
            })
        });
        let answers = answers.collect::<Result<Vec<_>, ClientError>>()?;
        match answers.len() == asked {
            true => Ok(answers),
            false => Err(self.unreadable(format!("{asked} tasks were submitted and {} were answered", answers.len()))),
        }
    }

    /// The request, in the namespace of this client where it names none.
    fn placed<'a>(&self, request: &'a Request) -> std::borrow::Cow<'a, Request> {
        match (self.namespace(), &request.namespace) {
            (Some(own), None) => std::borrow::Cow::Owned(Request { namespace: Some(own.into()), ..request.clone() }),
            _ => std::borrow::Cow::Borrowed(request),
        }
    }

    /// One task, by its id or a unique beginning of it, by its external id, or by `@last`. Names are looked for in the namespace of this
    /// client, where it has one.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn task(&self, task: &str) -> Result<TaskView, ClientError> {
        self.task_from(task, None).await
    }

    /// The same among tasks from one source: names belong to the source that gave them.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn task_from(&self, task: &str, source: Option<&str>) -> Result<TaskView, ClientError> {
        // An id says by itself where it belongs.
        let namespace = self.namespace().filter(|_| task.parse::<TaskId>().is_err());
        self.fetch(Call::get(["tasks", task]).maybe("namespace", namespace).maybe("source", source)).await
    }

    /// Tasks, newest first.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Page<TaskRow>, ClientError> {
        let words = filter.status.iter().map(|s| s.word()).collect::<Vec<_>>().join(",");
        let risks = filter.risk.iter().map(|r| r.word()).collect::<Vec<_>>().join(",");
        let call = Call::get(["tasks"])
            .maybe("status", (!words.is_empty()).then_some(words))
            .maybe("live", filter.live.then_some("true"))
            .maybe("namespace", filter.namespace.as_deref().or(self.namespace()))
            .maybe("task_type", filter.task_type.as_deref())
            .maybe("owner_id", filter.owner_id.as_deref())
            .maybe("source", filter.source.as_deref())
            .maybe("external_id", filter.external_id.as_deref())
            .maybe("parent", filter.parent_task_id)
            .maybe("risk", (!risks.is_empty()).then_some(risks))
            .maybe("agent", filter.agent.as_deref())
            .maybe("q", filter.q.as_deref())
            .maybe("recurring", filter.recurring.then_some("true"))
            .maybe("before", filter.due_before.map(|at| at.0))
            .maybe("after_due", filter.due_after.map(|at| at.0))
            .maybe("archived", (!filter.without_archived).then_some("true"))
            .maybe("order", filter.oldest_first.then_some("asc"))
            .maybe("limit", part(filter.limit))
            .maybe("cursor", filter.after.as_deref());
        let reply = self.call(call).await?;
        Ok(Page { items: self.parse(&reply.body)?, next: reply.next() })
    }

    /// How many tasks are in which status, in a namespace where one is named, else in that of this client.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn counts(&self, namespace: Option<&str>) -> Result<TaskCounts, ClientError> {
        self.fetch(Call::get(["tasks", "counts"]).maybe("namespace", namespace.or(self.namespace()))).await
    }

    /// A task as it was after so many events, or at an instant; as it is where neither is said.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn task_as_of(&self, task: &str, version: Option<u64>, at: Option<WireTime>) -> Result<TaskView, ClientError> {
        self.fetch(Call::get(["tasks", task]).maybe("version", version).maybe("at", at.map(|at| at.0))).await
    }

    /// The steps and groups of a task, groups before their parts.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn steps(&self, task: &str) -> Result<Vec<StepView>, ClientError> {
        self.of(task, "steps").await
    }

    /// The plan a task follows.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn plan(&self, task: &str) -> Result<PlanView, ClientError> {
        self.of(task, "plan").await
    }

    /// The results of its steps, in the order of the plan.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn outputs(&self, task: &str) -> Result<Vec<OutputView>, ClientError> {
        self.of(task, "outputs").await
    }

    /// Its reviews.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn reviews(&self, task: &str) -> Result<Vec<ReviewView>, ClientError> {
        self.of(task, "reviews").await
    }

    /// Its effects on the outside.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn effects(&self, task: &str) -> Result<Vec<EffectView>, ClientError> {
        self.of(task, "effects").await
    }

    /// What its gates said: each judgement in order, then the gates nobody judged.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn gates(&self, task: &str) -> Result<Vec<GateResult>, ClientError> {
        self.of(task, "gates").await
    }

    /// What it waits for, most pressing first.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn waiting(&self, task: &str) -> Result<Vec<Waiting>, ClientError> {
        self.of(task, "waiting").await
    }

    /// What tasks ask of people: the task that has asked longest first. `limit` counts tasks, each with all it asks.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn inbox(&self, filter: &InboxFilter) -> Result<Page<Asked>, ClientError> {
        let call = Call::get(["inbox"])
            .maybe("namespace", filter.namespace.as_deref().or(self.namespace()))
            .maybe("limit", part(filter.limit))
            .maybe("cursor", filter.after.as_deref());
        let reply = self.call(call).await?;
        Ok(Page { items: self.parse(&reply.body)?, next: reply.next() })
    }

    /// What one task asks of people, the oldest question first.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn asked(&self, task: &str) -> Result<Vec<Asked>, ClientError> {
        self.of(task, "inbox").await
    }

    /// Makes a link that answers one question about one action, once.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn make_link(&self, task: &str, wish: &NewLink) -> Result<MadeLink, ClientError> {
        self.fetch(Call::post_once(["tasks", task, "links"]).json(wish)).await
    }

    /// What came of it, or what is known of that so far.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn result(&self, task: &str) -> Result<TaskResult, ClientError> {
        self.of(task, "result").await
    }

    /// Its plan as a graph, with where its steps are.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn graph(&self, task: &str) -> Result<Graph, ClientError> {
        self.of(task, "graph").await
    }

    /// What people did to it, as the events that left behind, in order.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn interventions(&self, task: &str) -> Result<Vec<EventView>, ClientError> {
        self.of(task, "interventions").await
    }

    /// What its agents say about their work: the last 64 KiB of each piece, as long as the server remembers; of one step where one is
    /// named by its path.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn logs(&self, task: &str, step: Option<&str>) -> Result<Vec<WorkLog>, ClientError> {
        self.fetch(Call::get(["tasks", task, "logs"]).maybe("step", step)).await
    }

    /// Keeps a large value for a task that has not ended, at most as large as the server is set to take (64 MiB).
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn keep_payload(&self, task: &str, bytes: Vec<u8>) -> Result<Kept, ClientError> {
        let call = Call::new(Method::PUT, ["tasks", task, "payloads"]);
        self.fetch(call.body("application/octet-stream", bytes).patience(BATCH_PATIENCE)).await
    }

    /// A value that was kept for this task, by its reference.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn payload(&self, task: &str, payload: &str) -> Result<Vec<u8>, ClientError> {
        Ok(self.call(Call::get(["tasks", task, "payloads", payload]).patience(BATCH_PATIENCE)).await?.body)
    }

    /// How far it is.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn progress(&self, task: &str) -> Result<Progress, ClientError> {
        self.of(task, "progress").await
    }

    /// How far it is, each time that changes, until it has ended.
    pub fn progress_stream(&self, task: &str) -> ProgressStream {
        ProgressStream::new(self.clone(), task)
    }

    async fn of<T: serde::de::DeserializeOwned>(&self, task: &str, what: &str) -> Result<T, ClientError> {
        self.fetch(Call::get(["tasks", task, what])).await
    }

    /// Events after a position, in order; `next` is the position behind which the next page begins.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn events(&self, filter: &EventFilter) -> Result<Page<EventView>, ClientError> {
        let reply = self.call(events(filter).maybe("limit", part(filter.limit))).await?;
        Ok(Page { items: self.parse(&reply.body)?, next: reply.next() })
    }

    /// Events after a position, then those to come: no gap, no double, also over lost connections and restarts of the server.
    pub fn event_stream(&self, filter: EventFilter) -> EventStream {
        EventStream::new(self.clone(), filter)
    }

    /// Waits until a task has ended; answers with where it is then.
    ///
    /// # Errors
    /// The server's no. A server that cannot be reached is waited for.
    pub async fn finished(&self, task: &str) -> Result<TaskView, ClientError> {
        let view = self.task(task).await?;
        if view.status.is_final() {
            return Ok(view);
        }
        let id = view.id.to_string();
        let mut events = self.event_stream(EventFilter { task: Some(id.clone()), ..EventFilter::default() });
        while events.next().await?.is_some_and(|event| !event.status_after.is_some_and(Status::is_final)) {}
        self.task(&id).await
    }

    /// What a task would do, or a dry run of it found.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn impact(&self, task: &str) -> Result<Impact, ClientError> {
        self.fetch(Call::get(["tasks", task, "impact"]).query("format", "json")).await
    }

    /// The receipt of a task: a document to be kept byte by byte, which `ephor audit verify` checks without a server.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn receipt(&self, task: &str) -> Result<String, ClientError> {
        let reply = self.call(Call::get(["tasks", task, "receipt"])).await?;
        String::from_utf8(reply.body).map_err(|_| self.unreadable("the receipt is no text"))
    }

    /// Deletes what was private in a task that has ended.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn erase(&self, task: &str) -> Result<TaskView, ClientError> {
        self.ask(task, &ephor_core::ask::Ask::Erase).await
    }

    /// The statuses and what may follow which, as the server publishes it.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn lifecycle(&self) -> Result<Value, ClientError> {
        self.fetch(Call::get(["lifecycle"])).await
    }

    /// The position of the last event written.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn position(&self) -> Result<u64, ClientError> {
        #[derive(Deserialize)]
        struct Ready {
            position: u64,
        }
        Ok(self.fetch::<Ready>(Call::at(Method::GET, ["health", "ready"])).await?.position)
    }

    /// Has the server read its configuration file anew; answers with what changed, as the server tells it.
    ///
    /// # Errors
    /// The server's no, among it what is wrong with the file, or that it could not be reached.
    pub async fn reload_config<T: serde::de::DeserializeOwned>(&self) -> Result<T, ClientError> {
        self.fetch(Call::post_once(["config", "reload"]).json(&serde_json::json!({}))).await
    }

    /// Any call below the address of the server: method, path with its query, body. Answers with status, type and body; a no of the
    /// server is an error.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<(u16, String, Vec<u8>), ClientError> {
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
            .map_err(|_| ClientError::Setup(format!("{method:?} is no method")))?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let call = if method == Method::POST && !keyless(path) { Call::post([]) } else { Call::at(method, []) };
        let mut call = call.written(path, query);
        if let Some((kind, body)) = body {
            call = call.body(kind, body);
        }
        let reply = self.call(call).await?;
        let kind = reply.headers.get(reqwest::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        Ok((reply.status.as_u16(), kind, reply.body))
    }
}

/// The call for events, without its end.
pub(crate) fn events(filter: &EventFilter) -> Call {
    let types = filter.types.join(",");
    let call = match &filter.task {
        Some(task) => Call::get(["tasks", task, "events"]),
        None => Call::get(["events"]),
    };
    call.query("after", filter.after).maybe("type", (!types.is_empty()).then_some(types))
}

/// Whether a POST to this path takes no `Idempotency-Key`: what is said there is harmless to say again by itself, or is never repeated.
fn keyless(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    path.contains("/work/") || path.contains("/executions/") || matches!(last, "keys" | "reset" | "reload" | "logout")
}

/// How many of a list are asked for, where somebody says: no more than a server gives.
fn part(limit: u32) -> Option<u32> {
    (limit > 0).then_some(limit.min(PAGE_MAX))
}
