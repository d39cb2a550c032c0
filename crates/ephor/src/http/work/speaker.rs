//! The piece of work a path names, and who speaks about it.

use super::require_task;
use crate::api::{ApiError, Kind};
use crate::http::agents::{found, may_speak_as};
use crate::http::auth::{Caller, Principal};
use crate::http::server::Server;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::work::WorkKey;
use std::collections::HashMap;
use std::sync::Arc;

/// The work that `{wid}` names: `<task>:<work>`, within what the caller reaches.
pub(super) struct WorkPath {
    pub(super) task: TaskId,
    pub(super) work: WorkKey,
    /// Who asks.
    pub(super) who: Arc<Principal>,
}

impl FromRequestParts<Arc<Server>> for WorkPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, ApiError> {
        let Caller(who) = Caller::from_request_parts(parts, server).await?;
        let wrong = |e| ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "the path could not be read").because(e);
        let Path(names) = Path::<HashMap<String, String>>::from_request_parts(parts, server).await.map_err(wrong)?;
        let name = names.get("wid").map(String::as_str).unwrap_or_default();
        let read = name.split_once(':').and_then(|(task, work)| Some((task.parse().ok()?, work.parse().ok()?)));
        let (task, work) = read.ok_or_else(|| {
            ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no work {name:?}"))
                .because("work is named by its task and its key, as in task_01k9zq5v3ze8rt6a0w1m2n3p4q:step:1")
        })?;
        require_task(server, &who, task, &work).await?;
        Ok(Self { task, work, who })
    }
}

impl WorkPath {
    /// Which agent speaks, about which attempt. Whoever has an agent's key speaks as that agent; others say which one, or know the
    /// number of its attempt. Whoever holds the lease may leave the number out.
    pub(super) fn speaker(&self, server: &Server, said: Option<&str>, attempt: Option<u32>) -> Result<(AgentId, u32), ApiError> {
        let lease = server.engine().lease(self.task, &self.work);
        let agent = match (said, self.who.agent, &lease) {
            (Some(name), ..) => found(server, &self.who, name)?,
            (None, Some(own), _) => found(server, &self.who, &own.to_string())?,
            (None, None, Some(lease)) if attempt == Some(lease.attempt) => found(server, &self.who, &lease.agent.to_string())?,
            (None, None, _) => {
                let problem = FieldProblem::new("agent_id", "say which agent speaks, in the body or as ?agent=");
                return Err(ApiError::invalid("the request was refused", vec![problem]));
            }
        };
        may_speak_as(&self.who, &agent)?;
        let held = || lease.filter(|lease| lease.agent == agent.id).map(|lease| lease.attempt);
        match attempt.or_else(held) {
            Some(attempt) => Ok((agent.id, attempt)),
            None => {
                let what = format!("{} holds no lease of {}, and says about no attempt that it held one", agent.id, self.work);
                let problem = FieldProblem::new("attempt", "is missing; only who holds the lease may leave it out");
                Err(ApiError { problems: vec![problem], ..ApiError::new(Kind::Conflict, "STALE_ATTEMPT", what) })
            }
        }
    }
}
