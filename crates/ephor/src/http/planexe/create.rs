//! Creating an execution: of a plan that comes along, in any form that is read, or once more of one that was executed or submitted
//! before.

use super::shown::Execution;
use super::{EXECUTION, look};
use crate::api::{Api, ApiError, Kind, TaskFilter};
use crate::http::agents::found;
use crate::http::auth::{Caller, Principal};
use crate::http::body::Body;
use crate::http::errors::Errors;
use crate::http::server::Server;
use crate::http::tasks::{RELEASE_AFTER_MS, SILENCE_MS, TaskPath, Terms, belongs};
use crate::import;
use crate::local::{blocking, trouble};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use ephor_core::command::Submission;
use ephor_core::event::{Event, Private};
use ephor_core::plan::{Does, Problem as FieldProblem};
use ephor_core::spec::{OnAgentLost, Priority, Request};
use ephor_core::time::{WireDuration, WireTime};
use ephor_engine::query;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long an attempt may take where the plan does not say: `timeout_hours` of the proposals.
const TIMEOUT_MS: u64 = 24 * 3_600_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(create))
}

/// A plan to be executed.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewExecution {
    /// Which plan: its name. Without `plan` it is one that was executed or submitted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan_id: Option<String>,
    /// The agent it is for, by its own name or its id; any that is able where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// The caller's own name for it: `exec_test_001`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
    /// The plan itself: a plan of phases, a breakdown (023-3), a decomposition or a plan of Ephor as JSON, or an outline in Markdown as
    /// one text.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    plan: Value,
    /// Where it belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// The order among those that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    /// How long an agent may be silent; 24 minutes where it is missing, which with the grace of a quarter are 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heartbeat_timeout: Option<WireDuration>,
    /// What happens to the task of an agent that fell silent: `block` where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_agent_lost: Option<OnAgentLost>,
}

/// Execute a plan
#[utoipa::path(post, path = "/api/executions", tag = "executions", request_body = NewExecution,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key has one effect")),
    responses((status = 201, body = Execution, headers(("Location" = String))), Errors))]
async fn create(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    terms: Terms,
    Body(new): Body<NewExecution>,
) -> Result<(StatusCode, HeaderMap, Json<Execution>), ApiError> {
    let idempotency = terms.idempotency(&who, "POST /executions", &new);
    let engine = server.engine();
    let (mut request, earlier) = match &new.plan {
        Value::Null => (Request::default(), Some(earlier(&server, &who, &new).await?)),
        plan => (imported(plan.clone()).await?, None),
    };
    dress(&mut request, &server, &who, new, earlier.as_ref())?;
    let mut submission = engine.check(&request).map_err(|refusal| trouble(refusal.into(), None))?;
    if let Some(earlier) = earlier {
        submission.facts.plan = earlier.facts.plan;
        submission.facts.confidence = earlier.facts.confidence;
        // Whoever had to accept it has to do so again.
        submission.facts.acceptance_owed = earlier.facts.acceptance_owed;
        let text = Arc::make_mut(&mut submission.text);
        text.steps.clone_from(&earlier.text.steps);
        text.confidence_reasons.clone_from(&earlier.text.confidence_reasons);
    }
    give_time(&mut submission);
    let done = engine.submit_checked(submission, who.submitter(), idempotency).await;
    let task = done.map_err(|e| trouble(e, None))?.task.expect("a submission is answered with its task");
    let execution = look(&server, task, |server, task| Execution::of(server, task, true)).await?;
    let mut headers = HeaderMap::new();
    let location = HeaderValue::try_from(format!("/api/executions/{task}")).expect("ids are letters and digits");
    headers.insert(header::LOCATION, location);
    Ok((StatusCode::CREATED, headers, Json(execution)))
}

/// The request a plan stands for.
async fn imported(plan: Value) -> Result<Request, ApiError> {
    let wrong = |why: String| ApiError::invalid("the plan was refused", vec![FieldProblem::new("plan", why)]);
    blocking(move || {
        let (name, bytes) = match plan {
            Value::String(text) => ("plan", text.into_bytes()),
            other => ("plan.json", other.to_string().into_bytes()),
        };
        let imported = import::from_bytes(name, &bytes).map_err(|error| wrong(error.to_string()))?;
        let mut requests = imported.requests.into_iter();
        match (requests.next(), requests.next()) {
            (Some(request), None) if request.plan.is_some() => Ok(request),
            (Some(_), None) => Err(wrong("it has no steps".into())),
            (None, _) => Err(wrong("it holds no plan".into())),
            (Some(_), Some(_)) => Err(wrong("it holds more than one plan; send one".into())),
        }
    })
    .await
}

/// What was submitted when this plan was last executed, or by this name: its plan is executed once more.
async fn earlier(server: &Server, who: &Principal, new: &NewExecution) -> Result<Submission, ApiError> {
    let Some(name) = &new.plan_id else {
        let problem = FieldProblem::new("plan_id", "say which plan, or send it as `plan`");
        return Err(ApiError::invalid("the request was refused", vec![problem]));
    };
    let unknown = || {
        ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no plan {name:?}"))
            .because("no execution follows it and no task goes by this name; send it as `plan`")
    };
    let mut filter =
        TaskFilter { task_type: Some(EXECUTION.into()), source: Some(name.clone()), limit: 1, ..TaskFilter::default() };
    who.narrow(&mut filter.namespace)?;
    let task = match server.api(who).tasks(filter).await?.items.first() {
        Some(row) => row.id,
        None => match TaskPath::of(server, who, "plan_id", name).await {
            Err(error) if error.kind == Kind::NotFound => return Err(unknown()),
            found => found?,
        },
    };
    let reader = server.engine().reader();
    let first = blocking(move || {
        let events = reader.stream_events(task.into(), 0, 1).map_err(crate::local::store)?;
        events.first().map(query::event).transpose().map_err(crate::local::store)
    });
    match first.await? {
        Some((Event::Submitted(facts), Some(Private::Request(text)))) if facts.plan.is_some() => {
            Ok(Submission { facts: *facts, text })
        }
        _ => Err(unknown()),
    }
}

/// What every execution has in common: who does it, when it is released, what happens when its agent is lost.
fn dress(
    request: &mut Request,
    server: &Server,
    who: &Principal,
    new: NewExecution,
    earlier: Option<&Submission>,
) -> Result<(), ApiError> {
    if let Some(Submission { text, .. }) = earlier {
        request.title = Some(text.title.clone());
        request.description = Some(text.description.clone()).filter(|text| !text.is_empty());
        request.payload = text.payload.clone();
    }
    let agent = new.agent_id.as_deref().map(|name| found(server, who, name)).transpose()?;
    let Some(plan_id) = new.plan_id.or_else(|| request.external_id.take()) else {
        let problem = FieldProblem::new("plan_id", "the plan does not name itself; say what it is called");
        return Err(ApiError::invalid("the request was refused", vec![problem]));
    };
    if let Some(agent) = &agent {
        request.agent = Some(agent.id);
        request.namespace = agent.registration.as_ref().and_then(|said| said.namespace.as_deref().map(Into::into));
    }
    request.namespace = new.namespace.or(request.namespace.take());
    belongs(request, who)?;
    request.task_type = Some(EXECUTION.into());
    request.source = Some(plan_id);
    request.external_id = new.execution_id;
    request.priority = new.priority.unwrap_or(request.priority);
    // The clock releases it, so that it is CREATED as it is answered.
    let soon = server.engine().now().plus(RELEASE_AFTER_MS);
    let due = request.scheduled_at.or(request.due_at);
    request.scheduled_at = Some(WireTime(due.map_or(soon, |due| due.0.max(soon))));
    request.heartbeat_timeout = new.heartbeat_timeout.or(request.heartbeat_timeout).or(Some(WireDuration { ms: SILENCE_MS }));
    request.on_agent_lost = new.on_agent_lost.or(request.on_agent_lost).or(Some(OnAgentLost::Block));
    Ok(())
}

/// What an agent does may take as long as the proposals allow, where the plan does not say.
fn give_time(submission: &mut Submission) {
    let steps = submission.facts.plan.iter_mut().flat_map(|plan| &mut plan.steps);
    for step in steps.filter(|step| step.does() == Does::Work) {
        step.timeout_ms.get_or_insert(TIMEOUT_MS);
    }
}
