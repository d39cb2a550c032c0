//! What agents say about the tasks of an execution: that they live, that a task is done, failed, or held up. Each word becomes a sign of
//! life or a report; what does not come from whoever holds the task is kept as evidence and changes nothing.

use super::history::event_id;
use super::look;
use super::words::{ExecutionStatus, Names};
use crate::api::{ApiError, Kind};
use crate::http::agents::{found, may_speak_as};
use crate::http::auth::{Caller, Principal};
use crate::http::body::Body;
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::http::tasks::TaskPath;
use crate::local::{blocking, store, trouble};
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use ephor_core::agent::Agent;
use ephor_core::command::Refusal;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::spec::ErrorClass;
use ephor_core::status::Status;
use ephor_core::task::Task;
use ephor_core::time::{Time, WireTime};
use ephor_core::work::{Failure, Heartbeat, Outcome, Report, Success, Then, WorkKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How large the body of an event may be: an output of 1 MiB, and what stands around it.
const EVENT_MAX: usize = 2 << 20;
/// How many tasks of one execution an agent keeps alive with one word.
const HELD_MAX: usize = 1_000;
/// The attempt that is named for whoever holds none: there is no attempt 0.
const NO_ATTEMPT: u32 = 0;
/// How many events behind a report are looked through for its own: a report and what follows from it are few.
const FOLLOWING_MAX: u32 = 100;

/// What may be done about an execution that is held up.
const OPTIONS: [&str; 4] = ["resume_execution", "reassign_execution", "skip_task", "cancel_execution"];

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(report)).layer(DefaultBodyLimit::max(EVENT_MAX))
}

/// Something an agent says about a task of an execution.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEvent {
    /// Who speaks, by its own name or its id. An agent's key says it already.
    #[serde(default)]
    agent_id: Option<String>,
    /// When the agent says it was. The server's own time counts.
    #[serde(default, rename = "agent_timestamp")]
    _agent_timestamp: Option<WireTime>,
    /// What it is: `heartbeat`, `task_started`, `task_progress`, `subtask_in_progress`, `subtask_complete`, `task_complete`,
    /// `task_error`, `task_blocked`, or `task_cancelled` where the work ended because it was told to.
    event_type: String,
    /// Which task; a heartbeat without it is for all that the agent holds.
    #[serde(default)]
    task_id: Option<String>,
    /// Which subtask; before `task_id`, where both are given.
    #[serde(default)]
    subtask_id: Option<String>,
    /// How it went, where the type leaves that open: `success`, `error`, `blocked` or `in_progress`.
    #[serde(default)]
    status: Option<String>,
    /// Which attempt it is about, as the work said it; the one that the agent holds where it is missing.
    #[serde(default)]
    attempt: Option<u32>,
    /// What came of it; `output` and `result` say the same.
    #[serde(default, alias = "output", alias = "result")]
    output_data: Value,
    /// Figures about it, by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    metrics: Map<String, Value>,
    /// How far it is, from 0 to 1.
    #[serde(default)]
    progress: Option<f64>,
    /// A few words for people.
    #[serde(default)]
    message: Option<String>,
    /// What kind of trouble: `timeout`, `validation_error`, `external_dependency_blocked`, `decomposition_failed`, or an error class of
    /// the engine; anything else is OTHER.
    #[serde(default)]
    error_type: Option<String>,
    /// What happened, for people.
    #[serde(default)]
    error_message: Option<String>,
    /// Whether another attempt could help; it is taken to, where it is missing.
    #[serde(default)]
    retryable: Option<bool>,
    /// Whether a person has to look before it goes on.
    #[serde(default)]
    human_review_required: bool,
    /// Whether something outside stands in the way.
    #[serde(default)]
    blocking: bool,
    /// What could be done about it, for people.
    #[serde(default)]
    suggestions: Vec<String>,
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
struct EventAnswer {
    /// The event it became; missing for a sign of life, which is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// The execution.
    execution_id: String,
    /// When it was heard.
    recorded_at: WireTime,
    /// Where the execution is now.
    status: ExecutionStatus,
    /// Whether it has ended.
    completed: bool,
    /// The next task that can be claimed; null where there is none.
    next_task_id: Option<String>,
    /// What that one does.
    next_action: Option<String>,
    /// One sentence about it, for people.
    status_message: String,
    /// Whether the execution was paused meanwhile and the work is to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    force_pause: bool,
    /// Whether the execution is being cancelled and the work is to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    force_cancel: bool,
    /// Whether a person has to do something before it goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    human_review_required: bool,
    /// Who that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    escalated_to: Option<String>,
    /// What they can do: by PATCH (`resume_execution` is RUNNING, `reassign_execution` an `agent_id`, `cancel_execution` CANCELLED), and by
    /// an override at `/api/v1` (`skip_task`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    next_step_options: Vec<&'static str>,
}

/// What a word of an agent means.
#[derive(Debug, PartialEq)]
enum Meaning {
    /// It lives, and works.
    Alive,
    /// An attempt ended.
    Ended(Outcome),
}

/// Say something about a task of an execution
///
/// 201 where an event of the execution came of it, 200 for a sign of life. A report counts only from whoever holds the task.
#[utoipa::path(post, path = "/api/executions/{id}/events", tag = "executions",
    params(("id" = String, Path, description = "The execution, by the caller's own name or its id")), request_body = NewEvent,
    responses((status = 201, body = EventAnswer), (status = 200, body = EventAnswer, description = "A sign of life"), Errors))]
async fn report(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    Body(event): Body<NewEvent>,
) -> Result<(StatusCode, Json<EventAnswer>), ApiError> {
    let meaning = event.meaning()?;
    let agent = speaker(&server, &who, event.agent_id.as_deref())?;
    let name = event.subtask_id.as_deref().or(event.task_id.as_deref());
    let about = match name {
        Some(name) => Some(About::find(&server, task, name, agent.id).await?),
        None => None,
    };
    match (meaning, about) {
        (Meaning::Alive, about) => alive(&server, task, &agent, about, &event).await,
        (Meaning::Ended(outcome), Some(about)) => ended(&server, task, &agent, about, &event, outcome).await,
        (Meaning::Ended(_), None) => Err(wrong("task_id", "say which task it is about")),
    }
}

fn wrong(field: &str, message: impl Into<String>) -> ApiError {
    ApiError::invalid("the event was refused", vec![FieldProblem::new(field, message)])
}

/// Who speaks: whoever the key says, else whoever is named.
fn speaker(server: &Server, who: &Principal, named: Option<&str>) -> Result<Arc<Agent>, ApiError> {
    let agent = match (named, who.agent) {
        (Some(name), _) => found(server, who, name)?,
        (None, Some(own)) => found(server, who, &own.to_string())?,
        (None, None) => return Err(wrong("agent_id", "say which agent speaks")),
    };
    may_speak_as(who, &agent).map(|()| agent)
}

/// The step an event is about, as it stood when the event came.
struct About {
    work: WorkKey,
    task_id: String,
    /// The attempt it is in, where the agent made it or holds it.
    attempt: Option<u32>,
    /// How many events there were.
    version: u64,
}

impl About {
    async fn find(server: &Arc<Server>, task: TaskId, name: &str, agent: AgentId) -> Result<Self, ApiError> {
        let wanted = name.to_owned();
        let found = look(server, task, move |_, task| {
            let names = Names::of(task);
            let step = names.step(&wanted).ok_or_else(|| unknown(task, &wanted))?;
            let path = step.path.clone();
            if step.children > 0 {
                return Err(is_group(task, &names, &path));
            }
            let made = task.step_view_of(&path).filter(|step| step.agent == Some(agent));
            let attempt = made.map(|step| step.attempt);
            Ok(Self { task_id: names.of_path(&path), work: WorkKey::Step(path), attempt, version: task.version })
        });
        let mut about = found.await??;
        // Who holds it now is known best by the one who watches it.
        if let Some(lease) = server.engine().lease(task, &about.work) {
            about.attempt = (lease.agent == agent).then_some(lease.attempt);
        }
        Ok(about)
    }
}

fn unknown(task: &Task, name: &str) -> ApiError {
    let error = ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {name:?} in this execution"));
    match name.parse::<WorkKey>() {
        Ok(_) => error.because("work that is no step of the plan is reported at POST /api/v1/work/{id}/report"),
        Err(_) => error.then(format!("GET /api/executions/{}", task.id)),
    }
}

/// A group has no attempts: it ends with its parts.
fn is_group(task: &Task, names: &Names<'_>, path: &str) -> ApiError {
    let inside = format!("{path}.");
    let open = task.step_views().into_iter().filter(|step| step.path.starts_with(&inside) && !step.is_group());
    let open: Vec<String> = open.filter(|step| !step.status.is_final()).take(10).map(|step| names.of_path(&step.path)).collect();
    let still = if open.is_empty() { "all of them have ended".into() } else { format!("still open: {}", open.join(", ")) };
    wrong("task_id", format!("{} ends with its subtasks; report those ({still})", names.of_path(path)))
}

/// Renews what the agent holds.
async fn alive(
    server: &Arc<Server>,
    task: TaskId,
    agent: &Agent,
    about: Option<About>,
    event: &NewEvent,
) -> Result<(StatusCode, Json<EventAnswer>), ApiError> {
    let held = server.engine().leases_of(agent.id, HELD_MAX).into_iter().filter(|lease| lease.task == task);
    let beat = |work: WorkKey, attempt: u32| Heartbeat {
        task_id: task,
        work,
        attempt,
        progress: event.progress,
        message: event.message.clone(),
    };
    let beats: Vec<Heartbeat> = match &about {
        None => held.map(|lease| beat(lease.work, lease.attempt)).collect(),
        Some(about) => {
            let attempt = event.attempt.or(about.attempt).unwrap_or(NO_ATTEMPT);
            vec![beat(about.work.clone(), attempt)]
        }
    };
    let answers = server.engine().heartbeat(agent.id, &beats);
    if let (Some(about), true) = (about, answers.iter().any(|answer| answer.then == Then::Stale)) {
        let attempt = event.attempt.or(about.attempt).unwrap_or(NO_ATTEMPT);
        return Err(ApiError::refused(Refusal::StaleAttempt { work: about.work, attempt }, task));
    }
    let stop = answers.iter().any(|answer| answer.then == Then::Cancel);
    let at = server.engine().now();
    let answer = look(server, task, move |_, task| {
        let answer = EventAnswer::of(task, at);
        let cancelling = task.view().cancelling;
        EventAnswer { force_pause: stop && !cancelling, force_cancel: stop && cancelling, ..answer }
    });
    Ok((StatusCode::OK, Json(answer.await?)))
}

/// Ends an attempt.
async fn ended(
    server: &Arc<Server>,
    task: TaskId,
    agent: &Agent,
    about: About,
    event: &NewEvent,
    outcome: Outcome,
) -> Result<(StatusCode, Json<EventAnswer>), ApiError> {
    let attempt = event.attempt.or(about.attempt).unwrap_or(NO_ATTEMPT);
    let About { work, task_id, version, .. } = about;
    tracing::debug!(%task, agent = %agent.id, %work, attempt, event = event.event_type, "an event of an agent");
    let report = Report { task_id: task, work: work.clone(), attempt, outcome };
    let answers = server.engine().report(vec![report], agent.id).await.map_err(|e| trouble(e, Some(task)))?;
    let answer = answers.into_iter().next().expect("one report has one answer");
    answer.map_err(|refusal| match refusal {
        Refusal::StaleAttempt { .. } => ApiError::refused(refusal, task)
            .because(format!("{task_id} is not with this agent, or no longer in that attempt; what it said is kept as evidence")),
        other => ApiError::refused(other, task),
    })?;
    let recorded = recorded(server, task, version, work, attempt).await?;
    let at = recorded.map_or_else(|| server.engine().now(), |(_, at)| at);
    let answer = look(server, task, move |_, task| EventAnswer::of(task, at)).await?;
    let event_id = recorded.map(|(position, _)| event_id(position));
    Ok((StatusCode::CREATED, Json(EventAnswer { event_id, ..answer })))
}

/// The event a report became: its position, and when. None where it was said before.
async fn recorded(
    server: &Server,
    task: TaskId,
    version: u64,
    work: WorkKey,
    attempt: u32,
) -> Result<Option<(u64, Time)>, ApiError> {
    let reader = server.engine().reader();
    blocking(move || {
        let events = reader.stream_events(task.into(), version, FOLLOWING_MAX).map_err(store)?;
        let is_end = |kind: &str| matches!(kind, "ATTEMPT_SUCCEEDED" | "ATTEMPT_FAILED" | "STEP_BLOCKED");
        for stored in events.iter().filter(|stored| is_end(&stored.kind)) {
            let view = crate::local::event_view(stored)?;
            let same = view.data.get("attempt").and_then(Value::as_u64) == Some(attempt.into());
            if let (true, WorkKey::Step(path)) = (same && view.step().is_some(), &work)
                && view.step().as_deref() == Some(&**path)
            {
                return Ok(Some((stored.position, Time(stored.at))));
            }
        }
        Ok(None)
    })
    .await
}

impl EventAnswer {
    fn of(task: &Task, at: Time) -> Self {
        let view = task.view();
        let next = task.next_step();
        let status = ExecutionStatus::of(view.status);
        let waits = matches!(view.status, Status::Blocked | Status::Escalated | Status::Stalled);
        let status_message = match (&next, status) {
            (Some(step), _) => format!("Next is {}", step.label()),
            (None, ExecutionStatus::Completed) => "All tasks are done".into(),
            (None, status) => match task.waiting().into_iter().next() {
                Some(waiting) => waiting.what,
                None => format!("The execution is {}", status.word()),
            },
        };
        Self {
            event_id: None,
            execution_id: view.external_id.unwrap_or_else(|| view.id.to_string()),
            recorded_at: WireTime(at),
            status,
            completed: view.status.is_final(),
            next_task_id: next.as_ref().map(|step| Names::of(task).of_path(&step.path)),
            next_action: next.map(|step| step.action),
            status_message,
            force_pause: false,
            force_cancel: false,
            human_review_required: waits,
            escalated_to: waits.then(|| view.owner_id.unwrap_or_else(|| "operator".into())),
            next_step_options: if waits { OPTIONS.to_vec() } else { Vec::new() },
        }
    }
}

/// How a word says it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    Well,
    Badly,
    Blocked,
    OnIts,
}

impl NewEvent {
    /// What it means, or what is wrong with it.
    fn meaning(&self) -> Result<Meaning, ApiError> {
        if self.progress.is_some_and(|part| !(0.0..=1.0).contains(&part)) {
            return Err(wrong("progress", "from 0 to 1"));
        }
        let kind = self.event_type.trim().to_ascii_lowercase().replace('-', "_");
        let contradicts = || {
            let status = self.status.as_deref().unwrap_or_default();
            wrong("status", format!("{status:?} does not go with a {kind}"))
        };
        Ok(match (kind.as_str(), self.went()?) {
            ("heartbeat", _) => Meaning::Alive,
            ("task_started" | "task_progress" | "subtask_in_progress", None | Some(Went::OnIts)) => Meaning::Alive,
            ("task_complete" | "subtask_complete", None | Some(Went::Well)) => Meaning::Ended(self.success()),
            ("task_complete" | "subtask_complete", Some(Went::Badly)) => Meaning::Ended(self.failure()),
            ("task_error", None | Some(Went::Badly)) => Meaning::Ended(self.failure()),
            ("task_blocked" | "task_error" | "task_complete" | "subtask_complete", Some(Went::Blocked))
            | ("task_blocked", None) => Meaning::Ended(self.blocked()),
            ("task_cancelled", None) => Meaning::Ended(Outcome::Cancelled),
            (
                "task_started"
                | "task_progress"
                | "subtask_in_progress"
                | "task_complete"
                | "subtask_complete"
                | "task_error"
                | "task_blocked"
                | "task_cancelled",
                _,
            ) => return Err(contradicts()),
            _ => {
                let known = "heartbeat, task_started, task_progress, subtask_in_progress, subtask_complete, task_complete, task_error, \
                             task_blocked, task_cancelled";
                return Err(wrong("event_type", format!("{:?} is no event; there are {known}", self.event_type)));
            }
        })
    }

    fn went(&self) -> Result<Option<Went>, ApiError> {
        let Some(status) = &self.status else { return Ok(None) };
        match status.trim().to_ascii_lowercase().replace(['-', ' '], "_").as_str() {
            "success" | "succeeded" | "complete" | "completed" | "done" | "ok" => Ok(Some(Went::Well)),
            "error" | "failed" | "failure" => Ok(Some(Went::Badly)),
            "blocked" => Ok(Some(Went::Blocked)),
            "in_progress" | "running" | "started" | "progress" => Ok(Some(Went::OnIts)),
            _ => Err(wrong("status", format!("{status:?} is no status; there are success, error, blocked and in_progress"))),
        }
    }

    fn success(&self) -> Outcome {
        let said = self.message.clone().unwrap_or_default();
        // Its words are all that came of it, where nothing else did; else they stand beside that.
        let (output, message) = match (&self.output_data, said.is_empty()) {
            (Value::Null, false) => (said.into(), String::new()),
            (output, _) => (output.clone(), said),
        };
        Outcome::Succeeded(Success { output, message, metrics: self.metrics.clone(), ..Success::default() })
    }

    /// A failure is repeated as its policy says, unless a person or something outside is waited for.
    fn failure(&self) -> Outcome {
        let class = self.error_type.as_deref().map(|word| word.trim().to_ascii_lowercase().replace('-', "_"));
        let outside = self.human_review_required || self.blocking || class.as_deref() == Some("external_dependency_blocked");
        if outside {
            return self.blocked();
        }
        let class = match class.as_deref() {
            Some("validation_error") => ErrorClass::BadInput,
            Some(word) => serde_json::from_value(word.to_ascii_uppercase().into()).unwrap_or(ErrorClass::Other),
            None => ErrorClass::Other,
        };
        let failure = Failure::new(class, self.told("it failed; nothing more was said"));
        Outcome::Failed(Failure { retryable: self.retryable.unwrap_or(true), ..failure })
    }

    fn blocked(&self) -> Outcome {
        Outcome::Blocked { message: self.told("something outside stands in the way") }
    }

    /// What it says for people, with what it suggests.
    fn told(&self, otherwise: &str) -> String {
        let said: Vec<&str> = [&self.error_message, &self.message].into_iter().flatten().map(String::as_str).collect();
        let said = if said.is_empty() { otherwise.to_owned() } else { said.join(" ") };
        match self.suggestions.as_slice() {
            [] => said,
            some => format!("{said} Suggested: {}", some.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meaning(event: Value) -> Result<Meaning, String> {
        let event: NewEvent = serde_json::from_value(event).map_err(|e| e.to_string())?;
        event.meaning().map_err(|error| error.problems[0].to_string())
    }

    #[test]
    fn an_event_means_what_its_type_and_status_say_together() {
        assert_eq!(meaning(json!({"event_type": "heartbeat"})), Ok(Meaning::Alive));
        let done = meaning(json!({"event_type": "TASK_COMPLETE", "status": "success", "result": 7})).unwrap();
        assert!(matches!(done, Meaning::Ended(Outcome::Succeeded(success)) if success.output == 7));
        let said = json!({"event_type": "task_complete", "result": {"n": 7}, "message": "seven it is"});
        let Meaning::Ended(Outcome::Succeeded(success)) = meaning(said).unwrap() else { panic!() };
        assert_eq!((&success.output, success.message.as_str()), (&json!({"n": 7}), "seven it is"));
        let said = json!({"event_type": "task_complete", "message": "seven it is"});
        let Meaning::Ended(Outcome::Succeeded(success)) = meaning(said).unwrap() else { panic!() };
        assert_eq!((&success.output, success.message.as_str()), (&json!("seven it is"), ""));
        let failed = meaning(json!({"event_type": "task_error", "error_type": "timeout", "message": "slow"})).unwrap();
        let Meaning::Ended(Outcome::Failed(failure)) = failed else { panic!("{failed:?}") };
        assert_eq!((failure.class, failure.message.as_str(), failure.retryable), (ErrorClass::Timeout, "slow", true));
        let held_up =
            json!({"event_type": "task_error", "error_type": "external_dependency_blocked", "suggestions": ["call", "wait"]});
        let Ok(Meaning::Ended(Outcome::Blocked { message })) = meaning(held_up) else { panic!() };
        assert!(message.ends_with("Suggested: call; wait"), "{message}");
    }

    #[test]
    fn what_contradicts_itself_or_makes_no_sense_is_refused_by_field() {
        let refused = |event| meaning(event).unwrap_err();
        assert!(refused(json!({"event_type": "task_error", "status": "success"})).starts_with("status: "));
        assert!(refused(json!({"event_type": "task_complete", "status": "fine"})).contains("in_progress"));
        assert!(refused(json!({"event_type": "task_finished"})).contains("subtask_complete"));
        assert!(refused(json!({"event_type": "heartbeat", "progress": 7})).starts_with("progress: "));
        assert!(refused(json!({"event_type": "heartbeat", "agnet_id": "x"})).contains("agnet_id"));
    }
}
