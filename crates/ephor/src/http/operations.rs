//! Every operation and the permission it needs: the one table to read when asking who may do what. A route that is not in it is
//! refused to everybody, and a test compares it with the OpenAPI document in both directions.

use super::auth::Permission::{self, Decide, Keys, Open, Read, Steer, Submit, Work};
use axum::http::Method;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Method, path and permission of every operation.
pub(crate) const OPERATIONS: &[(&str, &str, Permission)] = &[
    ("GET", "/health/live", Open),
    ("GET", "/health/ready", Read),
    ("GET", "/login", Open),
    ("POST", "/logout", Open),
    ("GET", "/api/v1/me", Read),
    ("GET", "/api/v1/keys", Keys),
    ("POST", "/api/v1/keys", Keys),
    ("DELETE", "/api/v1/keys/{id}", Keys),
    // Whoever steers may keep work back; to let it go on is a decision.
    ("GET", "/api/v1/holds", Read),
    ("POST", "/api/v1/holds", Steer),
    ("DELETE", "/api/v1/holds/{id}", Decide),
    ("POST", "/api/v1/holds/{id}/release", Decide),
    ("GET", "/api/v1/limits", Read),
    ("PUT", "/api/v1/limits/{name}", Steer),
    ("DELETE", "/api/v1/limits/{name}", Steer),
    ("POST", "/api/v1/tasks", Submit),
    ("POST", "/api/v1/tasks/batch", Submit),
    ("GET", "/api/v1/tasks", Read),
    ("GET", "/api/v1/tasks/{id}", Read),
    ("GET", "/api/v1/tasks/{id}/steps", Read),
    ("GET", "/api/v1/tasks/{id}/plan", Read),
    ("GET", "/api/v1/tasks/{id}/graph", Read),
    ("GET", "/api/v1/tasks/{id}/outputs", Read),
    ("GET", "/api/v1/tasks/{id}/result", Read),
    ("GET", "/api/v1/tasks/{id}/reviews", Read),
    ("GET", "/api/v1/tasks/{id}/effects", Read),
    ("GET", "/api/v1/tasks/{id}/waiting", Read),
    ("GET", "/api/v1/tasks/{id}/candidates", Read),
    ("GET", "/api/v1/tasks/{id}/subtasks", Read),
    ("GET", "/api/v1/tasks/{id}/allowed-transitions", Read),
    ("GET", "/api/v1/tasks/{id}/interventions", Read),
    ("GET", "/api/v1/tasks/{id}/events", Read),
    ("GET", "/api/v1/tasks/{id}/progress", Read),
    // IN_PROGRESS, COMPLETED and FAILED need the permission to work as well.
    ("PATCH", "/api/v1/tasks/{id}", Steer),
    ("DELETE", "/api/v1/tasks/{id}", Steer),
    ("POST", "/api/v1/tasks/{id}/pause", Steer),
    ("POST", "/api/v1/tasks/{id}/resume", Steer),
    ("POST", "/api/v1/tasks/{id}/cancel", Steer),
    ("POST", "/api/v1/tasks/{id}/modify", Steer),
    ("POST", "/api/v1/tasks/{id}/escalate", Steer),
    ("POST", "/api/v1/tasks/{id}/reassign", Steer),
    ("POST", "/api/v1/tasks/{id}/guide", Steer),
    ("POST", "/api/v1/tasks/{id}/signals/{name}", Steer),
    ("POST", "/api/v1/tasks/{id}/retry", Steer),
    ("POST", "/api/v1/tasks/{id}/rerun", Submit),
    ("POST", "/api/v1/tasks/{id}/archive", Steer),
    ("POST", "/api/v1/tasks/{id}/note", Steer),
    // OVERRIDE needs the permission to decide as well.
    ("POST", "/api/v1/tasks/{id}/interventions", Steer),
    ("POST", "/api/v1/tasks/{id}/council-decision", Decide),
    ("POST", "/api/v1/tasks/{id}/override", Decide),
    ("POST", "/api/v1/tasks/{id}/vote", Decide),
    ("POST", "/api/v1/tasks/{id}/confirm", Decide),
    ("POST", "/api/v1/tasks/{id}/accept-plan", Decide),
    // It settles the same question, and changes what a review approved.
    ("PUT", "/api/v1/tasks/{id}/plan", Decide),
    ("POST", "/api/v1/tasks/{id}/effects/{effect}/outcome", Decide),
    ("POST", "/api/v1/tasks/{id}/erase", Decide),
    ("PUT", "/api/v1/tasks/{id}/payloads", Work),
    ("GET", "/api/v1/tasks/{id}/payloads/{payload}", Read),
    ("PUT", "/api/v1/payloads", Work),
    ("GET", "/api/v1/payloads/{payload}", Read),
    ("GET", "/api/v1/events", Read),
    ("GET", "/api/v1/event-types", Read),
    ("GET", "/api/v1/lifecycle", Read),
    ("GET", "/api/v1/schedules/next", Read),
    ("GET", "/api/v1/tasks/{id}/logs", Read),
    ("POST", "/api/v1/agents", Work),
    ("GET", "/api/v1/agents", Read),
    ("GET", "/api/v1/agents/{id}", Read),
    ("DELETE", "/api/v1/agents/{id}", Steer),
    ("POST", "/api/v1/agents/{id}/drain", Steer),
    ("POST", "/api/v1/agents/{id}/resume", Steer),
    ("POST", "/api/v1/agents/{id}/revoke", Steer),
    ("POST", "/api/v1/agents/{id}/keys", Keys),
    ("GET", "/api/v1/breakers", Read),
    ("POST", "/api/v1/breakers/reset", Steer),
    ("GET", "/api/v1/agents/{id}/work", Work),
    ("POST", "/api/v1/agents/{id}/work/claim", Work),
    ("POST", "/api/v1/agents/{id}/work/heartbeat", Work),
    ("POST", "/api/v1/agents/{id}/work/report", Work),
    ("POST", "/api/v1/work/{wid}/heartbeat", Work),
    ("POST", "/api/v1/work/{wid}/report", Work),
    ("POST", "/api/v1/work/{wid}/log", Work),
    ("POST", "/api/v1/work/{wid}/effects", Work),
    ("POST", "/api/v1/work/{wid}/effects/{eid}/outcome", Work),
    // The same engine as the interface of plan executions names it.
    ("POST", "/api/agents", Work),
    ("GET", "/api/agents", Read),
    ("GET", "/api/agents/{id}", Read),
    ("GET", "/api/agents/{id}/work", Work),
    ("POST", "/api/executions", Submit),
    ("GET", "/api/executions", Read),
    ("GET", "/api/executions/{id}", Read),
    ("PATCH", "/api/executions/{id}", Steer),
    ("POST", "/api/executions/{id}/events", Work),
    ("GET", "/api/executions/{id}/events", Read),
];

/// Pages that are no operations: they show the document to whoever may look.
pub(crate) const PAGES: &[&str] = &["/api-docs", "/api-docs/", "/api-docs/{*rest}", "/api-docs/openapi.json"];

/// What an operation needs; `None` for one that is not in the table.
pub(crate) fn needed(method: &Method, path: &str) -> Option<Permission> {
    static TABLE: LazyLock<HashMap<(&str, &str), Permission>> =
        LazyLock::new(|| OPERATIONS.iter().map(|(method, path, needs)| ((*method, *path), *needs)).collect());
    if PAGES.contains(&path) {
        return Some(Read);
    }
    // Whoever may GET may ask for the HEAD of it.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.get(&(method, path)).copied()
}
