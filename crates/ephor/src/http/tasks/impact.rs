//! What a task would do, or a dry run of it found: as data, or as a page for people.

use super::TaskPath;
use crate::api::{Api, ApiError};
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::query::Query;
use crate::http::server::Server;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use ephor_core::impact::Impact;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The type of a page.
const MARKDOWN: &str = "text/markdown";

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(impact))
}

/// In which form a report is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ReportFormat {
    /// As data.
    Json,
    /// As a page for people.
    Markdown,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// `json` or `markdown`; by `Accept` where it is missing, and JSON where that says nothing.
    #[param(inline)]
    format: Option<ReportFormat>,
}

/// What it would do: steps, duration, cost, resources, risk, verdicts, approvals, effects
///
/// Of a dry run that has ended, what it found; of any other task, what would follow from its plan. With `Accept: text/markdown` a page for people.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/impact", tag = "tasks", params(("id" = String, Path, description = "The task"), Wanted),
    responses((status = 200, content((Impact = "application/json"), (String = "text/markdown"))), Errors))]
async fn impact(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let impact = server.api(&who).impact(task).await?;
    let accepts =
        || headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|text| text.contains(MARKDOWN));
    let page = wanted.format.map_or_else(accepts, |format| format == ReportFormat::Markdown);
    Ok(match page {
        true => ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], impact.markdown()).into_response(),
        false => Json(impact).into_response(),
    })
}
