//! Submits a task to a server and waits for what comes of it.
//!
//! ```sh
//! ephor serve
//! cargo run -p ephor-sdk --example submit_and_wait
//! ```
//!
//! `EPHOR_SERVER` and `EPHOR_TOKEN` name another server and who asks.

use ephor_sdk::orchestrator::{Config, ExecutionMode, OrchestratorError, Priority, TaskOrchestrator, TaskRequest};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), OrchestratorError> {
    let orchestrator = TaskOrchestrator::new(Config::of_environment()).await?;
    let task = TaskRequest {
        description: "Greet the reader".to_string(),
        execution_mode: ExecutionMode::Auto,
        priority: Priority::High,
        requirements: vec!["polite".to_string()],
        context: json!({"name": "reader"}),
    };
    // What a task says beyond that is said of the request itself: here, which action its one step is.
    let mut request: ephor_core::spec::Request = task.into();
    request.action = Some("greet".into());

    let task_id = orchestrator.submit(&request).await?;
    println!("submitted {task_id}");
    let result = orchestrator.wait(task_id).await?;
    println!("{}: {}", result.status, result.outputs.first().map(|o| o.output.to_string()).unwrap_or_default());
    Ok(())
}
