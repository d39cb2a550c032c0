//! Every operation and the permission it needs: the one table to read when asking who may do what. A route that is not in it is
//! refused to everybody, and a test compares it with the OpenAPI document in both directions.

use super::auth::Permission::{self, Open, Read, Steer, Submit};
use axum::http::Method;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Method, path and permission of every operation.
pub(crate) const OPERATIONS: &[(&str, &str, Permission)] = &[
    ("GET", "/health/live", Open),
    ("GET", "/health/ready", Open),
    ("POST", "/api/v1/tasks", Submit),
    ("GET", "/api/v1/tasks/{id}", Read),
    ("POST", "/api/v1/tasks/{id}/pause", Steer),
];

/// Pages that are no operations: they show the document and need no permission.
pub(crate) const PAGES: &[&str] = &["/api-docs", "/api-docs/", "/api-docs/{*rest}", "/api-docs/openapi.json"];

/// What an operation needs; `None` for one that is not in the table.
pub(crate) fn needed(method: &Method, path: &str) -> Option<Permission> {
    static TABLE: LazyLock<HashMap<(&str, &str), Permission>> =
        LazyLock::new(|| OPERATIONS.iter().map(|(method, path, needs)| ((*method, *path), *needs)).collect());
    if PAGES.contains(&path) {
        return Some(Open);
    }
    // Whoever may GET may ask for the HEAD of it.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.get(&(method, path)).copied()
}
