//! Looking at executions: one of them, or those of a plan or in a status.

use super::agents::offset;
use super::shown::Execution;
use super::words::ExecutionStatus;
use super::{EXECUTION, look};
use crate::api::{Api, ApiError, TaskFilter};
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::query::Query;
use crate::http::server::Server;
use crate::http::tasks::{TaskPath, link, within};
use crate::local::{PAGE_MAX, blocking};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::view::TaskRow;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many executions a page shows where nothing is said, and at most: each is looked at with its steps, to say how far it is.
const SHOWN: u32 = 50;
const SHOWN_MAX: u32 = 100;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Which executions are wanted; every part narrows the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only of this plan.
    plan_id: Option<String>,
    /// Only there, in any case: CREATED, QUEUED, RUNNING, BLOCKED, PAUSED, COMPLETED, FAILED or CANCELLED.
    #[param(value_type = Option<String>)]
    status: Option<ExecutionStatus>,
    /// Only of this namespace.
    namespace: Option<String>,
    /// How many at most, from 1 to 100; 50 where it is missing.
    limit: Option<u32>,
    /// How many to leave out first, up to 10,000.
    offset: Option<u32>,
}

/// Executions, newest first
#[utoipa::path(get, path = "/api/executions", tag = "executions", params(Wanted),
    responses((status = 200, body = Vec<Execution>, headers(("Link" = String, description = "The next page, where there is one"))),
        Errors))]
async fn list(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    uri: Uri,
    Query(mut wanted): Query<Wanted>,
) -> Result<(HeaderMap, Json<Vec<Execution>>), ApiError> {
    who.narrow(&mut wanted.namespace)?;
    let limit = shown(wanted.limit)?;
    let offset = offset(wanted.offset)?;
    let filter = TaskFilter {
        status: wanted.status.map(ExecutionStatus::statuses).unwrap_or_default(),
        namespace: wanted.namespace,
        task_type: wanted.plan_id.is_some().then(|| EXECUTION.into()),
        source: wanted.plan_id,
        ..TaskFilter::default()
    };
    let Some(filter) = within(&who, filter) else { return Ok((HeaderMap::new(), Json(Vec::new()))) };
    let (rows, more) = part(&server.api(&who), filter, offset, limit).await?;
    let looked_at = server.clone();
    let page = blocking(move || {
        let shown = |row: &TaskRow| Ok(Execution::of(&looked_at, &looked_at.look().task(row.id)?, false));
        rows.iter().map(shown).collect::<Result<Vec<_>, ApiError>>()
    })
    .await?;
    let mut headers = HeaderMap::new();
    if more {
        headers.insert(header::LINK, link(&uri, &[("offset", &(offset + limit).to_string())]));
    }
    Ok((headers, Json(page)))
}

fn shown(wanted: Option<u32>) -> Result<u32, ApiError> {
    match wanted.unwrap_or(SHOWN) {
        fine @ 1..=SHOWN_MAX => Ok(fine),
        _ => {
            let problem = FieldProblem::new("limit", format!("allowed are 1 to {SHOWN_MAX}"));
            Err(ApiError::invalid("the query was refused", vec![problem]))
        }
    }
}

/// The rows of a page that begins so far into the list, and whether there are more.
async fn part(api: &impl Api, mut filter: TaskFilter, offset: u32, limit: u32) -> Result<(Vec<TaskRow>, bool), ApiError> {
    let wanted = (offset + limit) as usize;
    let mut rows: Vec<TaskRow> = Vec::new();
    loop {
        filter.limit = PAGE_MAX.min((wanted + 1 - rows.len()) as u32);
        let page = api.tasks(filter.clone()).await?;
        rows.extend(page.items);
        match page.next {
            Some(next) if rows.len() <= wanted => filter.after = Some(next),
            Some(_) | None => break,
        }
    }
    let more = rows.len() > wanted;
    rows.truncate(wanted);
    Ok((rows.split_off((offset as usize).min(rows.len())), more))
}

/// One execution: where it is, how far, at which task
#[utoipa::path(get, path = "/api/executions/{id}", tag = "executions",
    params(("id" = String, Path, description = "The execution, by the caller's own name or its id")),
    responses((status = 200, body = Execution), Errors))]
async fn show(State(server): State<Arc<Server>>, TaskPath(task): TaskPath) -> Result<Json<Execution>, ApiError> {
    look(&server, task, |server, task| Execution::of(server, task, true)).await.map(Json)
}
