//! Tasks that come again, and what a recurrence means before a task is given one.

use super::auth::Caller;
use super::errors::Errors;
use super::query::Query;
use super::server::Server;
use super::tasks::{limit, page};
use crate::api::{Api, ApiError, Kind, TaskFilter};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::recurrence;
use ephor_core::schedule::ScheduleView;
use ephor_core::spec::Recurrence;
use ephor_core::time::{WireDuration, WireTime, start};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many times are told where nobody says.
const COUNT: u32 = 5;
/// How many at most.
const COUNT_MAX: u32 = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(next))
}

/// Which of them are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// Only of this namespace.
    namespace: Option<String>,
    /// How many at most, from 1 to 500; 50 where it is missing.
    limit: Option<u32>,
    /// Where the page before ended, as its `Link` says it.
    cursor: Option<String>,
}

/// Tasks that come again, with their next runs, newest first
///
/// Each stands for its series by the run that waits for its time or is under way: pausing that task holds the series, cancelling it ends it.
/// They are looked for task by task, in the newest 2,000 that have not ended: a page may come out short, or empty, and its Link goes on.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "tasks", params(Part),
    responses((status = 200, body = Vec<ScheduleView>, headers(("Link" = String, description = "The next page, where there is one"))), Errors))]
async fn list(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    uri: Uri,
    Query(part): Query<Part>,
) -> Result<(HeaderMap, Json<Vec<ScheduleView>>), ApiError> {
    let filter = TaskFilter {
        recurring: true,
        live: true,
        without_archived: true,
        namespace: part.namespace,
        limit: limit(part.limit)?.unwrap_or(0),
        after: part.cursor,
        ..TaskFilter::default()
    };
    let (headers, Json(rows)) = page(&server, &who, &uri, filter).await?;
    let api = server.api(&who);
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        match api.task(row.id).await {
            Ok(task) => found.extend(ScheduleView::of(task)),
            // It is named where somebody asks for it, and by doctor; a list goes on.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Failed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((headers, Json(ScheduleView::heads(found))))
}

/// When a task would come.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Minute, hour, day of the month, month, day of the week, with an optional field of seconds before them: `0 9 * * 1-5`.
    cron: Option<String>,
    /// Whose clock `cron` is read by: `Europe/Berlin`; UTC where it is missing.
    time_zone: Option<String>,
    /// A fixed interval: `2h`. Either this or `cron`.
    #[param(value_type = Option<WireDuration>)]
    every: Option<WireDuration>,
    /// From when on, of a plain date its start; now where it is missing.
    #[param(value_type = Option<WireTime>)]
    #[serde(deserialize_with = "start")]
    from: Option<WireTime>,
    /// How many times, from 1 to 1,000; 5 where it is missing.
    count: Option<u32>,
}

/// When a task that comes again would come
#[utoipa::path(get, path = "/api/v1/schedules/next", tag = "tasks", params(Wanted),
    responses((status = 200, body = Vec<WireTime>), Errors))]
async fn next(
    State(server): State<Arc<Server>>,
    Caller(_): Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<WireTime>>, ApiError> {
    let Wanted { cron, time_zone, every, from, count } = wanted;
    let count = count.unwrap_or(COUNT);
    let from = from.map_or_else(|| server.engine().now(), |at| at.0);
    let recurrence = Recurrence { cron, time_zone, every, ..Recurrence::default() };
    let mut problems = recurrence::check(&recurrence, from);
    problems.iter_mut().for_each(|p| p.field = p.field.trim_start_matches("recurrence.").into());
    if !(1..=COUNT_MAX).contains(&count) {
        problems.push(FieldProblem::new("count", format!("allowed are 1 to {COUNT_MAX}")));
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid("the query was refused", problems));
    }
    let times = recurrence::upcoming(&recurrence, from, from, count as usize);
    Ok(Json(times.into_iter().map(WireTime).collect()))
}
