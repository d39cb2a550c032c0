//! PATCH, as an older interface writes it: a status that is wished for, by whom, and what changes. Each wish is translated into what
//! leads there honestly: a claim, a report, a command. What nothing leads to is refused, with what would be allowed.

use super::TaskPath;
use super::flat::{Flat, Words};
use super::read::{Stamped, side};
use super::terms::Terms;
use crate::api::{Api, ApiError, Kind};
use crate::http::agents::{may_speak_as, sees};
use crate::http::auth::{Caller, Permission, Principal};
use crate::http::errors::Errors;
use crate::http::query::no_status;
use crate::http::server::Server;
use crate::local::trouble;
use axum::extract::State;
use ephor_core::agent::Registration;
use ephor_core::ask::Modification;
use ephor_core::budget::Budget;
use ephor_core::command::{Changes, Claim, Command, Refusal};
use ephor_core::event::{Actor, ActorKind, TextChanges};
use ephor_core::id::{AgentId, TaskId};
use ephor_core::matching::{Able, Key};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::spec::{ErrorClass, ExecutionMode, Priority};
use ephor_core::status::Status;
use ephor_core::task::{LiveLease, Task};
use ephor_core::time::{WireTime, start};
use ephor_core::view::TaskView;
use ephor_core::work::{Failure, Outcome, Success, WorkKey};
use ephor_engine::EngineError;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(patch))
}

/// What a PATCH may wish for a task in this status.
pub(super) fn allowed(status: Status) -> &'static [&'static str] {
    match status {
        Status::Pending => &["SCHEDULED", "PAUSED", "CANCELLED"],
        Status::Scheduled => &["IN_PROGRESS", "PAUSED", "CANCELLED"],
        Status::Assigned | Status::InProgress => &["IN_PROGRESS", "COMPLETED", "FAILED", "PAUSED", "CANCELLED"],
        Status::Paused | Status::Blocked | Status::Stalled => &["RUNNING", "CANCELLED"],
        Status::Deliberating | Status::Review | Status::Retrying | Status::Escalated => &["PAUSED", "CANCELLED"],
        Status::Completed | Status::Failed | Status::Cancelled | Status::Stopped => &[],
    }
}

/// A status in any case, in the words of older interfaces too.
#[derive(Clone, Copy, Debug, Serialize)]
struct Wish(Status);

impl<'de> Deserialize<'de> for Wish {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        Status::read(&word).map(Self).ok_or_else(|| serde::de::Error::custom(no_status(&word)))
    }
}

/// What is to become of a task, and what changes. At least one of both.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Patch {
    /// The status that is wished for.
    #[schema(value_type = Option<Status>)]
    status: Option<Wish>,
    /// The same, in the words of an older interface; give one of them.
    #[schema(value_type = Option<Status>)]
    new_status: Option<Wish>,
    /// SCHEDULED: from when; at once where it is missing or past. Beside any other wish, or none: when it is released.
    #[serde(deserialize_with = "start")]
    scheduled_at: Option<WireTime>,
    /// The kind of who does it.
    actor_type: Option<ActorKind>,
    /// Who does it. IN_PROGRESS, COMPLETED and FAILED need it: it is the agent, by its id or its own name. One that nobody has heard of
    /// becomes known by this.
    actor_id: Option<String>,
    /// COMPLETED: what came of it.
    output: Value,
    /// COMPLETED: figures about it.
    metrics: Map<String, Value>,
    /// FAILED: what happened; becomes `last_error`.
    error: Option<String>,
    /// The version of the task this is meant for, as `If-Match` says it too.
    expected_version: Option<u64>,
    /// The new priority.
    priority: Option<Priority>,
    /// The new deadline.
    deadline: Option<WireTime>,
    /// The new due time.
    #[serde(deserialize_with = "start")]
    due_at: Option<WireTime>,
    /// The new mode.
    execution_mode: Option<ExecutionMode>,
    /// The agent that takes over the steps of the one before, by its id or its own name.
    agent: Option<AgentId>,
    /// What it may use from now on; limits that are not named stay. Takes the right to decide.
    budget: Option<Budget>,
    /// Why, and new words. Its fields may also stand beside the others.
    changes: TextChanges,
    /// The models that open steps are done with from now on, by their type: the `task_type` of a step, its action, `*` for all.
    models_by_type: BTreeMap<Box<str>, Box<str>>,
}

/// Move or change a task
#[utoipa::path(patch, path = "/api/v1/tasks/{id}", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Patch, responses((status = 200, body = TaskView), Errors))]
async fn patch(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    mut terms: Terms,
    Flat(patch): Flat<Patch>,
) -> Result<Stamped, ApiError> {
    let (wish, wished) = patch.wish()?;
    if patch.budget.is_some() {
        // What may be spent is a decision.
        who.require(Permission::Decide)?;
    }
    terms.version = terms.version.or(patch.expected_version);
    let asked = Asked { server: &server, who: &who, task, actor: patch.actor(&who) };
    let changes = patch.modification();
    if changes.is_none() && wish.is_none() {
        let problem = FieldProblem::new("status", "say which status is wished for, or what changes");
        return Err(ApiError::invalid("the request was refused", vec![problem]));
    }
    // All of it happens in one commit, or none of it.
    let change = changes.map(|changes| (Command::Modify(Box::new(changes.into())), asked.actor.clone()));
    let lead = match wish {
        Some(wish) => asked.leading_to(wish, &patch).await.map_err(|error| named(error, wished))?,
        None => None,
    };
    let commands: Vec<_> = change.into_iter().chain(lead).collect();
    if commands.is_empty() {
        // What is so already is no move.
        terms.hold(&server, task).await?;
        return asked.show().await;
    }
    let idempotency = terms.idempotency(&who, &format!("PATCH /tasks/{task}"), &patch);
    let under = ephor_engine::Terms { version: terms.version, idempotency };
    match server.engine().commands_under(task, commands, under).await {
        Ok(_) => asked.show().await,
        Err(EngineError::Refused(refusal @ Refusal::NoWork(_))) => {
            let is = side(&server, task, Task::status).await?;
            Err(named(illegal(is, Status::InProgress).because(format!("{refusal}; {}", may_wish(is))), wished))
        }
        Err(error) => Err(trouble(error, Some(task))),
    }
}

impl Words for Patch {
    const CHANGES: bool = true;
}

/// What is told about the status that is wished for, under the name it was given by.
fn named(mut error: ApiError, field: &str) -> ApiError {
    error.problems.iter_mut().filter(|problem| problem.field == "status").for_each(|problem| problem.field = field.into());
    error
}

impl Patch {
    /// The status that is wished for, and the name of the field that says so.
    fn wish(&self) -> Result<(Option<Status>, &'static str), ApiError> {
        match (self.status, self.new_status) {
            (Some(Wish(wish)), None) => Ok((Some(wish), "status")),
            (None, Some(Wish(wish))) => Ok((Some(wish), "new_status")),
            (None, None) => Ok((None, "status")),
            (Some(_), Some(_)) => {
                let problem = FieldProblem::new("new_status", "and `status` say the same thing; give one of them");
                Err(ApiError::invalid("the request was refused", vec![problem]))
            }
        }
    }

    /// Why, where somebody says so.
    fn reason(&self) -> Option<String> {
        Some(self.changes.reason.clone()).filter(|reason| !reason.is_empty())
    }

    /// Who does it. Somebody who has shown who they are is recorded as that; of others the name they give is believed.
    fn actor(&self, who: &Principal) -> Actor {
        match &self.actor_id {
            Some(id) if !who.is_authenticated() => {
                let id = id.chars().filter(|c| !c.is_control()).take(256).collect::<String>();
                Actor { kind: self.actor_type.unwrap_or(ActorKind::Human), id: id.into() }
            }
            _ => who.actor(),
        }
    }

    fn modification(&self) -> Option<Modification> {
        let scheduled = [self.status, self.new_status].into_iter().flatten().any(|Wish(wish)| wish == Status::Scheduled);
        let modification = Modification {
            expected_version: None,
            priority: self.priority,
            deadline: self.deadline,
            due_at: self.due_at,
            // As part of that wish it says when the wish comes true.
            scheduled_at: self.scheduled_at.filter(|_| !scheduled),
            execution_mode: self.execution_mode,
            agent: self.agent,
            budget: self.budget,
            models_by_type: self.models_by_type.clone(),
            changes: self.changes.clone(),
        };
        let only_a_reason = Modification {
            changes: TextChanges { reason: modification.changes.reason.clone(), ..TextChanges::default() },
            ..Modification::default()
        };
        (modification != only_a_reason).then_some(modification)
    }
}

/// What a PATCH is about: one task, asked by somebody in somebody's name.
struct Asked<'a> {
    server: &'a Server,
    who: &'a Principal,
    task: TaskId,
    actor: Actor,
}

/// What is done, and in whose name.
type Lead = (Command, Actor);

impl Asked<'_> {
    async fn show(&self) -> Result<Stamped, ApiError> {
        self.server.api(self.who).task(self.task).await.map(Stamped)
    }

    /// What leads to a status from where the task is; nothing where it is so already.
    async fn leading_to(&self, wish: Status, patch: &Patch) -> Result<Option<Lead>, ApiError> {
        let (is, leases, open) = side(self.server, self.task, |t: &Task| (t.status(), t.live_leases(), t.open_keys())).await?;
        let reason = patch.reason().or_else(|| patch.error.clone());
        if is.is_final() {
            return Err(ApiError::refused(Refusal::Ended { status: is }, self.task));
        }
        let asked = |command| Ok(Some((command, self.actor.clone())));
        match (wish, is) {
            (Status::Scheduled, Status::Scheduled) | (Status::Paused, Status::Paused) | (Status::Pending, Status::Pending) => {
                Ok(None)
            }
            (Status::Scheduled, Status::Pending) => {
                let now = self.server.engine().now();
                let release_at = Some(patch.scheduled_at.map_or(now, |at| at.0.max(now)));
                asked(Command::Modify(Box::new(Changes { release_at, ..Changes::default() })))
            }
            (Status::InProgress, Status::Paused | Status::Blocked | Status::Stalled) => {
                asked(Command::Resume { reason: reason.unwrap_or_default() })
            }
            (Status::InProgress, Status::Scheduled | Status::Assigned | Status::InProgress) => {
                self.claim(patch, &leases, open.as_deref()).await
            }
            (Status::Completed, Status::Assigned | Status::InProgress) => {
                let success = Success { output: patch.output.clone(), metrics: patch.metrics.clone(), ..Success::default() };
                self.report(patch, leases, Outcome::Succeeded(success)).await
            }
            (Status::Failed, Status::Assigned | Status::InProgress) => {
                let why = reason.unwrap_or_else(|| "it failed; nothing more was said".into());
                self.report(patch, leases, Outcome::Failed(Failure::final_(ErrorClass::Other, why))).await
            }
            (Status::Paused, _) => asked(Command::Pause { reason: reason.unwrap_or_default(), stop_running: false }),
            (Status::Cancelled, _) => {
                let reason = reason.unwrap_or_else(|| format!("{} asked for it", self.actor.id));
                asked(Command::Cancel { reason, force: false })
            }
            (wish, is) => Err(illegal(is, wish)),
        }
    }

    /// Takes the work that is open, and begins.
    async fn claim(&self, patch: &Patch, leases: &[LiveLease], open: Option<&str>) -> Result<Option<Lead>, ApiError> {
        // Keys of open work, one a line.
        let needed = open.unwrap_or_default().lines().next().map(|key| Key::read(key).words);
        let (agent, capabilities) = self.agent(patch, needed).await?;
        if leases.iter().any(|lease| lease.agent == agent) {
            return Ok(None);
        }
        let claim = self.server.engine().new_claim_id();
        let claim =
            Claim { agent, able: Able::of_words(capabilities), closed: [].into(), claim, start: true, limits: Vec::new() };
        Ok(Some((Command::Claim(claim), Actor::agent(agent))))
    }

    /// Ends what the actor holds.
    async fn report(&self, patch: &Patch, leases: Vec<LiveLease>, outcome: Outcome) -> Result<Option<Lead>, ApiError> {
        let (agent, _) = self.agent(patch, None).await?;
        let stale = || {
            ApiError::new(Kind::Conflict, "STALE_ATTEMPT", "only who holds the work may report on it")
                .because(format!("{agent} holds no work of this task; move it to IN_PROGRESS first"))
        };
        let held = leases.into_iter().filter(|lease| lease.agent == agent);
        let held = held.min_by_key(|lease| !matches!(lease.work, WorkKey::Step(_))).ok_or_else(stale)?;
        let report = Command::Report { work: held.work, attempt: held.attempt, outcome: Box::new(outcome), plan: None };
        Ok(Some((report, Actor::agent(agent))))
    }

    /// The agent that is meant, and what it can do. One that nobody has heard of is registered as able to do what is needed.
    async fn agent(&self, patch: &Patch, needed: Option<&str>) -> Result<(AgentId, Vec<Box<str>>), ApiError> {
        self.who.require(Permission::Work)?;
        let named = match (&patch.actor_id, self.who.agent) {
            (Some(name), _) => name.clone(),
            (None, Some(own)) => own.to_string(),
            (None, None) => {
                let problem = FieldProblem::new("actorId", "say which agent it is, by its id or its own name");
                return Err(ApiError::invalid("the request was refused", vec![problem]));
            }
        };
        let engine = self.server.engine();
        let id = named.parse::<AgentId>().ok();
        let known = id.or_else(|| engine.agent_named(&named)).and_then(|id| engine.agent_of(id));
        let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no agent {named}"));
        let (id, capabilities) = match (known, needed) {
            (Some(agent), _) if sees(self.who, &agent) => {
                may_speak_as(self.who, &agent)?;
                (agent.id, agent.registration.as_ref().map(|said| said.capabilities.clone()).unwrap_or_default())
            }
            (Some(_), _) => return Err(unknown()),
            (None, _) if id.is_some() => return Err(unknown()),
            (None, Some(needed)) if self.who.agent.is_none() => {
                let mut words: Vec<Box<str>> = needed.split('+').filter(|w| !w.is_empty()).map(Into::into).collect();
                words.sort();
                let registration = Registration {
                    name: named.clone(),
                    role: Some("became known by a PATCH".into()),
                    capabilities: words.clone(),
                    external_id: Some(named),
                    namespace: self.who.namespace.clone(),
                    ..Registration::default()
                };
                let id = engine.register(None, registration, self.actor.clone()).await.map_err(|e| trouble(e, None))?;
                (id, words)
            }
            (None, _) => {
                return Err(ApiError::new(Kind::Conflict, "STALE_ATTEMPT", "only who holds the work may report on it")
                    .because(format!("there is no agent {named:?}")));
            }
        };
        match self.who.agent {
            Some(own) if own != id => {
                Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("{} works as {own} alone", self.who.name)))
            }
            _ => Ok((id, capabilities)),
        }
    }
}

/// That nothing leads from here to there, and what would be allowed.
fn illegal(is: Status, wish: Status) -> ApiError {
    let problem = FieldProblem::new("status", may_wish(is));
    let error = ApiError::new(Kind::Conflict, "ILLEGAL_TRANSITION", format!("cannot move a task from {is} to {wish}"));
    ApiError { problems: vec![problem], ..error.because(may_wish(is)) }
}

fn may_wish(is: Status) -> String {
    format!("from {is} a PATCH may ask for {}", allowed(is).join(", "))
}
