//! One task, done by one agent, in one call: for programs that are handed a task's id and do what its type asks for.
//!
//! ```no_run
//! use ephor_sdk::client::{Client, Config};
//! use ephor_sdk::executor::TaskExecutor;
//!
//! # async fn example() -> Result<(), ephor_sdk::client::ClientError> {
//! let executor = TaskExecutor::new(Client::new(Config::new("http://127.0.0.1:4000"))?)
//!     .on("invoice", async |task| Ok(serde_json::json!({"sent": task.payload["to"]})));
//! let done: bool = executor.execute_task("INV-17", "biller").await;
//! # Ok(())
//! # }
//! ```

use crate::client::{Client, ClientError};
use ephor_core::id::{AgentId, TaskId};
use ephor_core::spec::ErrorClass;
use ephor_core::status::Status;
use ephor_core::view::TaskView;
use ephor_core::work::{Failure, Heartbeat, Outcome, Report, Success, WorkKey};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// The most pieces of work of one task that one call does: more than plans have by hand, so that a task that never ends does not keep it.
const PIECES_MAX: u32 = 10_000;

/// What a handler makes of a task: its result, or what went wrong, in words.
type Done = Result<Value, String>;
type Handler = Box<dyn Fn(TaskView) -> Pin<Box<dyn Future<Output = Done> + Send>> + Send + Sync>;

/// Handlers by type of task, and the server they work for.
pub struct TaskExecutor {
    client: Client,
    handlers: BTreeMap<String, Handler>,
}

/// A piece of work of a task, as its agent is shown to hold it.
#[derive(Deserialize)]
struct Held {
    task_id: TaskId,
    work: WorkKey,
    attempt: u32,
    lease_ms: u64,
}

impl TaskExecutor {
    /// For this server, without a handler.
    pub fn new(client: Client) -> Self {
        Self { client, handlers: BTreeMap::new() }
    }

    /// With a handler for tasks of this type; `*` is for all that have none of their own. What it answers is the result of the work, an
    /// error the reason why it failed.
    #[must_use]
    pub fn on<F>(mut self, task_type: &str, handler: impl Fn(TaskView) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Done> + Send + 'static,
    {
        self.handlers.insert(task_type.to_owned(), Box::new(move |task| Box::pin(handler(task))));
        self
    }

    /// Does a task as this agent: takes its work, which is recorded before it begins, lets the handler of its type do it, and reports. Says
    /// whether the task has COMPLETED. Whatever else happens is logged and leaves it where the rules do: a task nobody knows, or that may
    /// not be taken now, as it was; one whose handler failed or panicked FAILED, or to be tried again where it has tries left.
    ///
    /// The agent is named by its id or its own name; one that nobody has heard of becomes known as able to do this.
    pub async fn execute_task(&self, task_id: &str, agent_id: &str) -> bool {
        match self.execute(task_id, agent_id).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(task = task_id, agent = agent_id, %error, "the task was not executed");
                false
            }
        }
    }

    async fn execute(&self, task_id: &str, agent_id: &str) -> Result<bool, ClientError> {
        for _ in 0..PIECES_MAX {
            let task = self.client.task(task_id).await?;
            if task.status.is_final() {
                return Ok(task.status == Status::Completed);
            }
            let Some(handler) = self.handlers.get(&task.task_type).or_else(|| self.handlers.get("*")) else {
                tracing::error!(task = task_id, task_type = task.task_type, "nobody here knows how to do tasks of this type");
                return Ok(false);
            };
            let task = self.client.begin_as(task_id, agent_id).await?;
            let agent = self.client.agent(agent_id).await?;
            let mut held = agent.leases.iter().filter_map(|held| serde_json::from_value::<Held>(held.clone()).ok());
            let Some(held) = held.find(|held| held.task_id == task.id) else {
                tracing::error!(task = task_id, agent = agent_id, "there is nothing to do of it now");
                return Ok(false);
            };
            let outcome = self.run(handler, task.clone(), agent.id, &held).await;
            if let Outcome::Failed(failure) = &outcome {
                tracing::error!(task = task_id, agent = agent_id, error = failure.message, "a task failed");
            }
            let failed = matches!(outcome, Outcome::Failed(_));
            let report = Report { task_id: task.id, work: held.work, attempt: held.attempt, outcome };
            self.client.report(agent.id, &[report]).await?;
            if failed {
                return Ok(false);
            }
        }
        tracing::error!(task = task_id, "the task has more pieces of work than one call does");
        Ok(false)
    }

    /// Lets a handler do its work, with signs of life meanwhile. A panic is a failure of the attempt.
    async fn run(&self, handler: &Handler, task: TaskView, agent: AgentId, held: &Held) -> Outcome {
        let failed = |why: String| Outcome::Failed(Failure::final_(ErrorClass::Other, why));
        let mut doing = tokio::spawn(handler(task));
        let mut beats = tokio::time::interval(Duration::from_millis((held.lease_ms / 3).max(1)));
        loop {
            tokio::select! {
                done = &mut doing => return match done {
                    Ok(Ok(output)) => Outcome::Succeeded(Success { output, ..Success::default() }),
                    Ok(Err(why)) => failed(why),
                    Err(error) => failed(format!("its handler ended without a word: {error}")),
                },
                _ = beats.tick() => {
                    let (work, attempt) = (held.work.clone(), held.attempt);
                    let beat = Heartbeat { task_id: held.task_id, work, attempt, progress: None, message: None };
                    if let Err(error) = self.client.heartbeat(agent, &[beat]).await {
                        tracing::warn!(task = %held.task_id, %error, "a sign of life was lost");
                    }
                }
            }
        }
    }
}
