//! Submitting tasks and waiting for what comes of them, in a few words.
//!
//! ```no_run
//! use ephor_sdk::orchestrator::{ExecutionMode, OrchestratorError, Priority, TaskOrchestrator, TaskRequest};
//!
//! # async fn example(config: ephor_sdk::orchestrator::Config) -> Result<(), OrchestratorError> {
//! let orchestrator = TaskOrchestrator::new(config).await?;
//!
//! let task = TaskRequest {
//!     description: "Implement user authentication".to_string(),
//!     execution_mode: ExecutionMode::Auto,
//!     priority: Priority::High,
//!     requirements: vec!["secure".to_string(), "scalable".to_string()],
//!     context: serde_json::json!({"repository": "web"}),
//! };
//!
//! let task_id = orchestrator.submit_task(task).await?;
//! let result = orchestrator.wait(task_id).await?;
//! # Ok(())
//! # }
//! ```

pub use crate::client::{ClientError as OrchestratorError, Config};
pub use ephor_core::spec::{ExecutionMode, Priority};

use crate::client::Client;
use ephor_core::id::TaskId;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::view::OutputView;
use serde_json::Value;

/// A task as a program gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskRequest {
    /// What is to be done.
    pub description: String,
    /// How steps are confirmed.
    pub execution_mode: ExecutionMode,
    /// Its place among waiting tasks.
    pub priority: Priority,
    /// What the result has to satisfy.
    pub requirements: Vec<String>,
    /// Free JSON, read by steps as `${task.payload.…}`.
    pub context: Value,
}

impl From<TaskRequest> for Request {
    fn from(task: TaskRequest) -> Self {
        let TaskRequest { description, execution_mode, priority, requirements, context } = task;
        Self {
            description: Some(description),
            execution_mode: Some(execution_mode),
            priority,
            requirements,
            payload: context,
            ..Self::default()
        }
    }
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskResult {
    /// Which task.
    pub task_id: TaskId,
    /// How it ended.
    pub status: Status,
    /// Why, unless it completed.
    pub reason: Option<String>,
    /// The results of its steps, in the order of the plan.
    pub outputs: Vec<OutputView>,
}

/// Gives tasks to a server.
#[derive(Clone, Debug)]
pub struct TaskOrchestrator {
    client: Client,
}

impl TaskOrchestrator {
    /// For a server that is there: it is asked once.
    ///
    /// # Errors
    /// Where the configuration makes no sense, or the server cannot be reached.
    pub async fn new(config: Config) -> Result<Self, OrchestratorError> {
        let client = Client::new(config)?;
        client.position().await?;
        Ok(Self { client })
    }

    /// Submits a task.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn submit_task(&self, task: TaskRequest) -> Result<TaskId, OrchestratorError> {
        self.submit(&task.into()).await
    }

    /// Submits a task with all there is to say about it: a plan, a due time, a deadline.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn submit(&self, request: &Request) -> Result<TaskId, OrchestratorError> {
        Ok(self.client.submit(request).await?.id)
    }

    /// Waits until a task has ended, over restarts of the server too.
    ///
    /// # Errors
    /// The server's no.
    pub async fn wait(&self, task: TaskId) -> Result<TaskResult, OrchestratorError> {
        let view = self.client.finished(&task.to_string()).await?;
        let outputs = self.client.outputs(&task.to_string()).await?;
        let reason = view.reason.or_else(|| view.last_error.map(|e| e.message));
        let reason = reason.filter(|_| view.status != Status::Completed);
        Ok(TaskResult { task_id: task, status: view.status, reason, outputs })
    }

    /// The client beneath, for everything else.
    pub fn client(&self) -> &Client {
        &self.client
    }
}
