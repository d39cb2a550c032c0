//! Executions of plans, as the PlanExe execution proposals name them: an execution is a task, its tasks and subtasks are the steps of
//! that task's plan, an event is a report or a sign of life. A translator over the one engine and nothing more; what it has no word for
//! is asked of `/api/v1` under the same ids.

mod agents;
mod create;
mod history;
mod list;
mod metrics;
mod patch;
mod report;
mod shown;
mod stream;
mod words;
mod work;

use super::server::Server;
use crate::api::ApiError;
use crate::local::blocking;
use ephor_core::agent::Agent;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::task::Task;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// The type of the tasks that are made here; their `source` is the plan they follow.
const EXECUTION: &str = "execution";
/// How far a list may be skipped into: it is counted out row by row.
const OFFSET_MAX: u32 = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .merge(agents::routes())
        .merge(work::routes())
        .merge(create::routes())
        .merge(list::routes())
        .merge(patch::routes())
        .merge(report::routes())
        .merge(history::routes())
        .merge(metrics::routes())
        .merge(stream::routes())
}

/// Whether a path belongs to this interface, which may be switched off.
pub(super) fn is_execution(path: &str) -> bool {
    ["/api/executions", "/api/agents", "/api/admin"].iter().any(|own| path.starts_with(own))
}

/// What an agent is called here: its own name for itself, else its id.
fn name_of(agent: &Agent) -> String {
    let own = agent.registration.as_ref().and_then(|said| said.external_id.clone());
    own.unwrap_or_else(|| agent.id.to_string())
}

/// The same for an id.
fn named(server: &Server, id: AgentId) -> String {
    server.engine().agent_of(id).map_or_else(|| id.to_string(), |agent| name_of(&agent))
}

/// One side of a task as it is now.
async fn look<T: Send + 'static>(
    server: &Arc<Server>,
    task: TaskId,
    of: impl FnOnce(&Server, &Task) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let server = server.clone();
    blocking(move || {
        let found = server.look().task(task)?;
        Ok(of(&server, &found))
    })
    .await
}
