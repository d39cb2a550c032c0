//! Every operation and the permission it needs: the one table to read when asking who may do what. A route that is not in it is
//! refused to everybody, and a test compares it with the OpenAPI document in both directions.

use super::auth::Permission::{self, Keys, Open, Read, Steer, Submit, Work};
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
    ("POST", "/api/v1/tasks", Submit),
    ("GET", "/api/v1/tasks/{id}", Read),
    ("POST", "/api/v1/tasks/{id}/pause", Steer),
    ("GET", "/api/v1/tasks/{id}/logs", Read),
    ("POST", "/api/v1/agents", Work),
    ("GET", "/api/v1/agents", Read),
    ("GET", "/api/v1/agents/{id}", Read),
    ("DELETE", "/api/v1/agents/{id}", Steer),
    ("POST", "/api/v1/agents/{id}/drain", Steer),
    ("POST", "/api/v1/agents/{id}/resume", Steer),
    ("POST", "/api/v1/agents/{id}/revoke", Steer),
    ("GET", "/api/v1/agents/{id}/work", Work),
    ("POST", "/api/v1/agents/{id}/work/claim", Work),
    ("POST", "/api/v1/agents/{id}/work/heartbeat", Work),
    ("POST", "/api/v1/agents/{id}/work/report", Work),
    ("POST", "/api/v1/work/{wid}/heartbeat", Work),
    ("POST", "/api/v1/work/{wid}/report", Work),
    ("POST", "/api/v1/work/{wid}/log", Work),
    ("POST", "/api/v1/work/{wid}/effects", Work),
    ("POST", "/api/v1/work/{wid}/effects/{eid}/outcome", Work),
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
