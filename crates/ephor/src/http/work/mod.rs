//! Work over HTTP: claimed, kept alive, reported, for many at once (`many`) or one at a time (`single`); what is said about it (`log`).
//!
//! An agent that has a key speaks as itself. On a loopback address nobody needs one: which agent speaks is in the path, the query or the
//! body.

mod log;
mod many;
mod single;
mod speaker;

use super::server::Server;
use crate::api::{Api, ApiError, Kind};
use crate::http::auth::Principal;
use crate::local::trouble;
use ephor_core::id::TaskId;
use ephor_core::work::{ClaimRequest, WorkItem, WorkKey};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

/// How large the body of one report may be: an output of 1 MiB, and what stands around it.
const REPORT_MAX: usize = 2 << 20;
/// How large a body with many reports may be.
const REPORTS_MAX: usize = 16 << 20;
/// How many reports or signs of life may come at once.
const WORDS_MAX: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().merge(many::routes()).merge(single::routes()).merge(log::routes())
}

/// A piece of work under a lease, and what it is named by in paths.
#[derive(Serialize, ToSchema)]
pub(crate) struct Given {
    /// `<task>:<work>`: what `/work/{wid}` takes.
    id: String,
    #[serde(flatten)]
    item: WorkItem,
}

impl From<WorkItem> for Given {
    fn from(item: WorkItem) -> Self {
        Self { id: format!("{}:{}", item.task_id, item.work), item }
    }
}

async fn give(server: &Server, who: &Principal, wish: ClaimRequest, held_first: bool) -> Result<Vec<Given>, ApiError> {
    Ok(take(server, who, wish, held_first).await?.into_iter().map(Given::from).collect())
}

/// Gives an agent work, or nothing once its time is up or the server stops. A caller that leaves is given none.
pub(crate) async fn take(
    server: &Server,
    who: &Principal,
    wish: ClaimRequest,
    held_first: bool,
) -> Result<Vec<WorkItem>, ApiError> {
    let waits = wish.wait_ms > 0;
    let _place = if waits { Some(server.place(who)?) } else { None };
    let asked = async {
        match held_first {
            true => server.engine().next_work(wish).await,
            false => server.engine().claim(wish).await,
        }
    };
    let items = match waits {
        false => asked.await,
        true => tokio::select! {
            biased;
            items = asked => items,
            () = server.stopping() => Ok(Vec::new()),
        },
    };
    items.map(|items| traced(server, items)).map_err(|e| trouble(e, None))
}

/// Says of which trace work is, where traces are sent.
fn traced(server: &Server, items: Vec<WorkItem>) -> Vec<WorkItem> {
    match server.is_traced() {
        true => crate::telemetry::named(items),
        false => items,
    }
}

/// A no where a task is in another namespace than the caller reaches. What an agent holds is in its own.
async fn require_task(server: &Server, who: &Principal, task: TaskId, work: &WorkKey) -> Result<(), ApiError> {
    let Some(own) = who.namespace.as_deref() else { return Ok(()) };
    let holder = server.engine().lease(task, work).and_then(|lease| server.engine().agent_of(lease.agent));
    let of = holder.and_then(|agent| agent.registration.as_ref()?.namespace.clone());
    if of.as_deref() == Some(own) || who.sees(&server.api(who).task(task).await?.namespace) {
        return Ok(());
    }
    Err(ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {task}")))
}
