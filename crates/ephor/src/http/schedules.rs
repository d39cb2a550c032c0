//! What a recurrence means, before a task is given one.

use super::auth::Caller;
use super::errors::Errors;
use super::query::Query;
use super::server::Server;
use crate::api::ApiError;
use axum::Json;
use axum::extract::State;
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::recurrence;
use ephor_core::spec::Recurrence;
use ephor_core::time::{WireDuration, WireTime};
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
    OpenApiRouter::new().routes(routes!(next))
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
    /// From when on; now where it is missing.
    #[param(value_type = Option<WireTime>)]
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
