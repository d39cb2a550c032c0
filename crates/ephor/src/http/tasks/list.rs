//! Lists of tasks, newest first, page by page.

use super::TaskPath;
use crate::api::{Api, ApiError, Kind, Page, TaskFilter};
use crate::http::agents::found as agent_named;
use crate::http::auth::{Caller, Principal};
use crate::http::errors::Errors;
use crate::http::events::Order;
use crate::http::query::{Query, Risks, Statuses};
use crate::http::server::Server;
use crate::local::PAGE_MAX;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::time::WireTime;
use ephor_core::view::TaskRow;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(counts)).routes(routes!(subtasks))
}

/// Which tasks are wanted; every part narrows the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only these statuses, separated by commas, in any case.
    #[param(value_type = Option<String>)]
    status: Statuses,
    /// Only those that have not ended.
    live: bool,
    /// Only of this namespace.
    namespace: Option<String>,
    /// Only of this type; `type` says the same.
    #[serde(alias = "type")]
    task_type: Option<String>,
    /// Only of this owner.
    owner_id: Option<String>,
    /// Only from this source.
    source: Option<String>,
    /// Only with this name of the caller's own.
    external_id: Option<String>,
    /// Only parts of this task.
    parent: Option<String>,
    /// Only of these risks, separated by commas, in any case.
    #[serde(alias = "risk_level")]
    #[param(value_type = Option<String>)]
    risk: Risks,
    /// Only those of which this agent holds work now; its id or its own name.
    agent: Option<String>,
    /// Only those in whose title, description, type or own name all of these words stand, in any case, each also as a part of a longer
    /// one. At most 256 bytes and 16 words. They are looked for task by task, in the newest 2,000 that the rest lets through: a page may
    /// come out short, or empty, and its Link goes on behind what was looked at.
    q: Option<String>,
    /// Only those that come again and of which a run is still to come. They are looked for as words are.
    recurring: bool,
    /// Only due before this instant; those without a due time are left out then.
    #[serde(alias = "due_before")]
    #[param(value_type = Option<WireTime>)]
    before: Option<WireTime>,
    /// Only due after this instant; those without a due time are left out then.
    #[param(value_type = Option<WireTime>)]
    after_due: Option<WireTime>,
    /// Those that were archived as well.
    archived: bool,
    /// `desc`, the newest first, or `asc`.
    #[param(inline)]
    order: Option<Order>,
    /// How many at most, from 1 to 500; 50 where it is missing.
    limit: Option<u32>,
    /// Where the page before ended, as its `Link` says it.
    cursor: Option<String>,
}

/// A part of a list, and where the next part is.
pub(crate) type Part = (HeaderMap, Json<Vec<TaskRow>>);

/// How many tasks there are.
#[derive(Debug, Serialize, ToSchema)]
struct Counts {
    /// Of which namespace; of all where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// All of them, archived ones too.
    total: u64,
    /// In each status in which there are some.
    by_status: BTreeMap<&'static str, u64>,
}

/// Which tasks are counted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Counted {
    /// Only of this namespace.
    namespace: Option<String>,
}

/// How many tasks are in which status
#[utoipa::path(get, path = "/api/v1/tasks/counts", tag = "tasks", params(Counted), responses((status = 200, body = Counts), Errors))]
async fn counts(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Query(Counted { mut namespace }): Query<Counted>,
) -> Result<Json<Counts>, ApiError> {
    if who.agent_alone().is_some() {
        return Err(ApiError::new(
            Kind::Forbidden,
            "FORBIDDEN",
            "this key reaches the tasks its agent works on, and counts no others",
        ));
    }
    who.narrow(&mut namespace)?;
    let counted = server.api(&who).counts(namespace.clone()).await?;
    let total = counted.iter().map(|(_, count)| count).sum();
    let by_status = counted.into_iter().map(|(status, count)| (status.word(), count)).collect();
    Ok(Json(Counts { namespace, total, by_status }))
}

/// Tasks, newest first unless they are wanted otherwise
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(Wanted),
    responses((status = 200, body = Vec<TaskRow>, headers(("Link" = String, description = "The next page, where there is one"))), Errors))]
async fn list(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    uri: Uri,
    Query(wanted): Query<Wanted>,
) -> Result<Part, ApiError> {
    let parent_task_id = match &wanted.parent {
        Some(name) => Some(TaskPath::of(&server, &who, "parent", name).await?),
        None => None,
    };
    // An agent that the caller may not see does not exist.
    let agent = wanted.agent.as_deref().map(|name| agent_named(&server, &who, name)).transpose()?;
    let agent = agent.map(|agent| agent.id.to_string());
    page(&server, &who, &uri, TaskFilter { parent_task_id, agent, ..wanted.filter()? }).await
}

/// Which part of a list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WantedPart {
    /// How many at most, from 1 to 500; 50 where it is missing.
    limit: Option<u32>,
    /// Where the page before ended, as its `Link` says it.
    cursor: Option<String>,
}

/// The tasks that are part of it, newest first
#[utoipa::path(get, path = "/api/v1/tasks/{id}/subtasks", tag = "tasks",
    params(("id" = String, Path, description = "The task"), WantedPart),
    responses((status = 200, body = Vec<TaskRow>, headers(("Link" = String))), Errors))]
async fn subtasks(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    uri: Uri,
    TaskPath(task): TaskPath,
    Query(part): Query<WantedPart>,
) -> Result<Part, ApiError> {
    // What does not exist has no parts; it is told apart from what has none.
    super::read::side(&server, task, |_| ()).await?;
    let wanted = Wanted { archived: true, limit: part.limit, cursor: part.cursor, ..Wanted::default() };
    page(&server, &who, &uri, TaskFilter { parent_task_id: Some(task), ..wanted.filter()? }).await
}

impl Wanted {
    fn filter(self) -> Result<TaskFilter, ApiError> {
        Ok(TaskFilter {
            status: self.status.0,
            live: self.live,
            namespace: self.namespace,
            task_type: self.task_type,
            owner_id: self.owner_id,
            source: self.source,
            external_id: self.external_id,
            parent_task_id: None,
            risk: self.risk.0,
            agent: self.agent,
            q: self.q,
            recurring: self.recurring,
            due_before: self.before,
            due_after: self.after_due,
            without_archived: !self.archived,
            oldest_first: matches!(self.order, Some(Order::Asc)),
            limit: limit(self.limit)?.unwrap_or(0),
            after: self.cursor,
        })
    }
}

/// How many rows are wanted, within what is allowed.
pub(crate) fn limit(wanted: Option<u32>) -> Result<Option<u32>, ApiError> {
    match wanted {
        Some(limit) if !(1..=PAGE_MAX).contains(&limit) => {
            let problem = FieldProblem::new("limit", format!("allowed are 1 to {PAGE_MAX}"));
            Err(ApiError::invalid("the query was refused", vec![problem]))
        }
        fine => Ok(fine),
    }
}

/// Keeps a list within what a caller reaches: the namespace they are bound to, and of an agent that is nothing more the tasks it holds
/// work of. `None` where nothing that is asked for lies within. Every list of tasks passes here, by whatever name it goes.
pub(crate) fn within(who: &Principal, mut filter: TaskFilter) -> Option<TaskFilter> {
    if let Some(own) = &who.namespace {
        if filter.namespace.as_deref().is_some_and(|asked| *asked != **own) {
            return None;
        }
        filter.namespace = Some(own.to_string());
    }
    if let Some(own) = who.agent_alone() {
        let own = own.to_string();
        if filter.agent.is_some_and(|asked| asked != own) {
            return None;
        }
        filter.agent = Some(own);
    }
    Some(filter)
}

/// A part of a list of tasks, within what a caller reaches.
pub(crate) async fn page(server: &Server, who: &Principal, uri: &Uri, filter: TaskFilter) -> Result<Part, ApiError> {
    let Some(mut filter) = within(who, filter) else { return Ok((HeaderMap::new(), Json(Vec::new()))) };
    let cursor = filter.after.take();
    let list = TaskFilter { limit: 0, ..filter.clone() };
    filter.after = cursor.map(|text| opened(&text, &list)).transpose()?;
    let Page { items, next } = server.api(who).tasks(filter).await?;
    let mut headers = HeaderMap::new();
    if let Some(next) = next {
        headers.insert(header::LINK, link(uri, &[("cursor", &sealed(&next, &list))]));
    }
    Ok((headers, Json(items)))
}

/// The next page: the same request with other values for these parameters.
pub(crate) fn link(uri: &Uri, with: &[(&str, &str)]) -> HeaderValue {
    let given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let others = given.filter(|(name, _)| !with.iter().any(|(other, _)| name == other));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(others).extend_pairs(with);
    let link = format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish());
    HeaderValue::try_from(link).expect("a path and an encoded query are visible ASCII")
}

/// How many hexadecimal digits of a cursor say which list it belongs to.
const SEAL: usize = 16;

/// A cursor as it goes out. It belongs to one list, and says which.
pub(crate) fn sealed(number: &str, list: &impl Serialize) -> String {
    format!("{}{}", seal(number, list), number.bytes().map(|b| format!("{b:02x}")).collect::<String>())
}

pub(crate) fn opened(cursor: &str, list: &impl Serialize) -> Result<String, ApiError> {
    let digits = cursor.get(SEAL..).unwrap_or_default();
    let byte = |i| digits.get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    let number = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|n| cursor.get(..SEAL) == Some(&seal(n, list)));
    number.ok_or_else(|| {
        let problem = FieldProblem::new("cursor", "is no cursor of this list; take it from the Link of the page before");
        ApiError::invalid("the query was refused", vec![problem])
    })
}

fn seal(number: &str, list: &impl Serialize) -> String {
    let list = serde_json::to_string(list).expect("a filter is plain data");
    let digest = Sha256::digest(format!("{number}\n{list}"));
    digest.iter().take(SEAL / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_for_the_list_it_was_made_for() {
        let list = TaskFilter { live: true, ..TaskFilter::default() };
        let cursor = sealed("4711", &list);
        assert_eq!(opened(&cursor, &list).unwrap(), "4711");
        assert!(opened(&cursor, &TaskFilter::default()).is_err());
        for wrong in ["", "x", "4711", "äöüäöüäöü", &cursor[1..], &format!("{cursor}0")] {
            assert!(opened(wrong, &list).is_err(), "{wrong:?}");
        }
    }
}
