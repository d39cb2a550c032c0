//! The task a path names: by id, a unique beginning of it, its external id, or `@last`. What the caller may not see does not exist.

use crate::api::{Api, ApiError, Kind};
use crate::http::auth::{Caller, Principal};
use crate::http::server::Server;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use ephor_core::id::TaskId;
use std::collections::HashMap;
use std::sync::Arc;

/// The task that `{id}` names.
pub(crate) struct TaskPath(pub(crate) TaskId);

impl FromRequestParts<Arc<Server>> for TaskPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, ApiError> {
        let Caller(who) = Caller::from_request_parts(parts, server).await?;
        let wrong = |e| ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "the path could not be read").because(e);
        let Path(names) = Path::<HashMap<String, String>>::from_request_parts(parts, server).await.map_err(wrong)?;
        let name = names.get("id").map(String::as_str).unwrap_or_default();
        let task = match name.parse::<TaskId>() {
            // Whoever may see all need not be looked up twice: the handler finds out whether it exists.
            Ok(task) if who.namespace.is_none() && who.agent_alone().is_none() => return Ok(Self(task)),
            Ok(task) => task,
            Err(_) => server.api(&who).find(name).await?,
        };
        Self::may_see(server, &who, task, name).await?;
        Ok(Self(task))
    }
}

impl TaskPath {
    /// Whether this caller may see a task; what they may not see does not exist.
    pub(crate) async fn may_see(server: &Server, who: &Principal, task: TaskId, name: &str) -> Result<(), ApiError> {
        if let Some(agent) = who.agent_alone()
            && !server.engine().holds_any_of(agent, task)
            && !super::read::side(server, task, move |task| task.is_of(agent)).await.unwrap_or(false)
        {
            return Err(ApiError::new(Kind::NotFound, "NOT_FOUND", format!("{agent} works on no task {name:?}")));
        }
        if who.namespace.is_none() {
            return Ok(());
        }
        let namespace = server.api(who).task(task).await?.namespace;
        match who.sees(&namespace) {
            true => Ok(()),
            false => Err(ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {name:?}"))),
        }
    }
}
