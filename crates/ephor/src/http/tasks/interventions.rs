//! Interventions under one address: the seven commands people have over a live task, told apart by `type`, and what was done so far.

use super::TaskPath;
use super::flat::{Flat, Words};
use super::read::Stamped;
use super::steer::carry_out;
use super::terms::Terms;
use crate::api::ApiError;
use crate::http::agents::found;
use crate::http::auth::{Caller, Permission, Principal};
use crate::http::case;
use crate::http::errors::Errors;
use crate::http::events::all_of;
use crate::http::server::Server;
use crate::http::words;
use axum::Json;
use axum::extract::State;
use ephor_core::ask::{Ask, Modification};
use ephor_core::budget::Budget;
use ephor_core::event::{OverrideWord, TextChanges};
use ephor_core::id::AgentId;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::spec::{ExecutionMode, Priority};
use ephor_core::time::{WireTime, start};
use ephor_core::view::{EventView, TaskView};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The events that interventions leave behind.
const LEFT_BEHIND: [&str; 12] = [
    "PAUSED",
    "RESUMED",
    "UNBLOCKED",
    "UNSTALLED",
    "CANCEL_REQUESTED",
    "CANCELLED",
    "MODIFIED",
    "ESCALATED",
    "ESCALATION_DECIDED",
    "OVERRIDDEN",
    "GUIDED",
    "REASSIGNED",
];

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(intervene, interventions))
}

/// Which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Word {
    /// Hold.
    Pause,
    /// Go on.
    Resume,
    /// End without success.
    Cancel,
    /// Change what was submitted.
    Modify,
    /// Ask for a decision.
    Escalate,
    /// Overrule.
    Override,
    /// Keep this in mind.
    Guide,
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        Ok(match word.to_ascii_uppercase().as_str() {
            "PAUSE" => Self::Pause,
            "RESUME" => Self::Resume,
            "CANCEL" => Self::Cancel,
            "MODIFY" => Self::Modify,
            "ESCALATE" => Self::Escalate,
            "OVERRIDE" => Self::Override,
            "GUIDE" => Self::Guide,
            _ => {
                let known = "PAUSE, RESUME, CANCEL, MODIFY, ESCALATE, OVERRIDE, GUIDE";
                return Err(D::Error::custom(format!("{word:?} is no intervention; there are {known}")));
            }
        })
    }
}

/// An intervention. Which fields it needs follows from its type.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Intervention {
    /// Which one; `command` says the same.
    #[serde(rename = "type", alias = "command")]
    word: Option<Word>,
    /// Why. CANCEL, ESCALATE and OVERRIDE need it.
    reason: String,
    /// PAUSE: whether running attempts are told to stop.
    stop_running: bool,
    /// CANCEL: without waiting for agents.
    force: bool,
    /// MODIFY and ESCALATE: the new priority.
    priority: Option<Priority>,
    /// MODIFY: what changes. Its fields may also stand beside `type`.
    changes: Map<String, Value>,
    /// MODIFY: the new deadline.
    deadline: Option<WireTime>,
    /// MODIFY: the new due time.
    #[serde(deserialize_with = "start")]
    due_at: Option<WireTime>,
    /// MODIFY: when it is released, whatever its due time; the past means now.
    #[serde(deserialize_with = "start")]
    scheduled_at: Option<WireTime>,
    /// MODIFY: the new mode.
    execution_mode: Option<ExecutionMode>,
    /// MODIFY: the agent that takes over the steps of the one before, by its id or its own name.
    agent: Option<AgentId>,
    /// MODIFY: what it may use from now on; limits that are not named stay. Takes the right to decide.
    budget: Option<Budget>,
    /// MODIFY: the new title.
    title: Option<String>,
    /// MODIFY: the new description.
    description: Option<String>,
    /// MODIFY: the new requirements.
    requirements: Option<Vec<String>>,
    /// MODIFY: the new limits.
    resource_limits: Option<Map<String, Value>>,
    /// MODIFY: the new article it rests on.
    constitutional_basis: Option<String>,
    /// MODIFY: the models that open steps are done with from now on, by their type: the `task_type` of a step, its action, `*` for all.
    models_by_type: BTreeMap<Box<str>, Box<str>>,
    /// OVERRIDE: what is done.
    decision: Option<OverrideWord>,
    /// OVERRIDE: the step it is about, by path or name; ROLLBACK: the checkpoint to go back to, and `checkpoint` says the same.
    #[serde(alias = "checkpoint")]
    step: Option<String>,
    /// GUIDE: what to keep in mind.
    #[serde(alias = "guidance")]
    text: String,
}

/// Intervene
#[utoipa::path(post, path = "/api/v1/tasks/{id}/interventions", tag = "steering",
    params(("id" = String, Path, description = "The task")), request_body = Intervention,
    responses((status = 200, body = TaskView), Errors))]
async fn intervene(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Flat(said): Flat<Intervention>,
) -> Result<Stamped, ApiError> {
    if said.word == Some(Word::Override) {
        who.require(Permission::Decide)?;
    }
    let ask = said.ask(&server, &who)?;
    if matches!(&ask, Ask::Modify(change) if change.budget.is_some()) {
        // What may be spent is a decision.
        who.require(Permission::Decide)?;
    }
    carry_out(&server, &who, task, ask, &terms).await
}

impl Words for Intervention {
    const CHANGES: bool = false;
}

/// The interventions so far, as the events they left behind
#[utoipa::path(get, path = "/api/v1/tasks/{id}/interventions", tag = "tasks",
    params(("id" = String, Path, description = "The task")), responses((status = 200, body = Vec<EventView>), Errors))]
async fn interventions(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<Vec<EventView>>, ApiError> {
    super::read::side(&server, task, |_| ()).await?;
    let events = all_of(&server, task, |event| LEFT_BEHIND.contains(&event.kind.as_str())).await?;
    Ok(Json(events))
}

impl Intervention {
    fn ask(self, server: &Server, who: &Principal) -> Result<Ask, ApiError> {
        let missing = |field: &str, why: &str| ApiError::invalid("the request was refused", vec![FieldProblem::new(field, why)]);
        let reason = match (self.reason.trim().is_empty(), self.word) {
            (true, Some(Word::Cancel | Word::Override)) => return Err(missing("reason", "say why")),
            (_, _) => self.reason.clone(),
        };
        let word = self.word.ok_or_else(|| missing("type", "say which intervention it is: PAUSE, RESUME, CANCEL, …"))?;
        Ok(match word {
            Word::Pause => Ask::Pause { reason, stop_running: self.stop_running },
            Word::Resume => Ask::Resume { reason },
            Word::Cancel => Ask::Cancel { reason, force: self.force },
            Word::Modify => Ask::Modify(Box::new(self.modification(server, who)?)),
            Word::Escalate => Ask::Escalate { priority: self.priority, reason },
            Word::Override => {
                let decision =
                    self.decision.ok_or_else(|| missing("decision", "say what is done: COMPLETE, FAIL, APPROVE, …"))?;
                Ask::Override { decision, step: self.step, reason }
            }
            Word::Guide => Ask::Guide { text: self.text },
        })
    }

    /// The changes, whether they stand in `changes` or beside the type.
    fn modification(self, server: &Server, who: &Principal) -> Result<Modification, ApiError> {
        let text = TextChanges {
            reason: self.reason,
            title: self.title,
            description: self.description,
            requirements: self.requirements,
            resource_limits: self.resource_limits,
            constitutional_basis: self.constitutional_basis,
        };
        let beside = Modification {
            expected_version: None,
            priority: self.priority,
            deadline: self.deadline,
            due_at: self.due_at,
            scheduled_at: self.scheduled_at,
            execution_mode: self.execution_mode,
            agent: self.agent,
            budget: self.budget,
            models_by_type: self.models_by_type,
            changes: text,
        };
        if self.changes.is_empty() {
            return Ok(beside);
        }
        let mut changes = Value::Object(self.changes);
        case::to_snake(&mut changes).map_err(|problem| {
            let problem = FieldProblem { field: format!("changes.{}", problem.field), ..problem };
            ApiError::invalid("the request was refused", vec![problem])
        })?;
        words::as_inside(&mut changes);
        let nested: Nested = serde_path_to_error::deserialize(changes).map_err(|e| {
            let field = format!("changes.{}", e.path());
            ApiError::invalid("the request was refused", vec![FieldProblem::new(field, e.inner().to_string())])
        })?;
        let agent = nested.agent.map(|name| found(server, who, &name)).transpose().map_err(|error| {
            ApiError::invalid("the request was refused", vec![FieldProblem::new("changes.agent", error.message)])
        })?;
        let TextChanges { reason, title, description, requirements, resource_limits, constitutional_basis } = beside.changes;
        Ok(Modification {
            expected_version: nested.expected_version,
            priority: nested.priority.or(beside.priority),
            deadline: nested.deadline.or(beside.deadline),
            due_at: nested.due_at.or(beside.due_at),
            scheduled_at: nested.scheduled_at.or(beside.scheduled_at),
            execution_mode: nested.execution_mode.or(beside.execution_mode),
            agent: agent.map(|agent| agent.id).or(beside.agent),
            budget: nested.budget.or(beside.budget),
            models_by_type: if nested.models_by_type.is_empty() { beside.models_by_type } else { nested.models_by_type },
            changes: TextChanges {
                reason,
                title: nested.title.or(title),
                constitutional_basis: nested.constitutional_basis.or(constitutional_basis),
                description: nested.description.or(description),
                requirements: nested.requirements.or(requirements),
                resource_limits: nested.resource_limits.or(resource_limits),
            },
        })
    }
}

/// Changes as they stand in `changes`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Nested {
    expected_version: Option<u64>,
    priority: Option<Priority>,
    deadline: Option<WireTime>,
    #[serde(deserialize_with = "start")]
    due_at: Option<WireTime>,
    #[serde(deserialize_with = "start")]
    scheduled_at: Option<WireTime>,
    execution_mode: Option<ExecutionMode>,
    agent: Option<String>,
    budget: Option<Budget>,
    models_by_type: BTreeMap<Box<str>, Box<str>>,
    title: Option<String>,
    constitutional_basis: Option<String>,
    description: Option<String>,
    requirements: Option<Vec<String>>,
    resource_limits: Option<Map<String, Value>>,
}
