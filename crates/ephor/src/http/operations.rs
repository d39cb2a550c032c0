//! Every operation and the permission it needs: the one table to read when asking who may do what. A route that is not in it is
//! refused to everybody, and a test compares it with the OpenAPI document in both directions.

use super::auth::Permission::{self, Configure, Decide, Hooks, Keys, Open, Read, Steer, Submit, Work};
use super::dashboard;
use axum::http::Method;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Method, path and permission of every operation.
pub(crate) const OPERATIONS: &[(&str, &str, Permission)] = &[
    ("GET", "/health/live", Open),
    ("GET", "/health/ready", Read),
    ("GET", "/login", Open),
    ("POST", "/logout", Open),
    // The link itself is what one shows; who may make one may decide.
    ("GET", "/answer", Open),
    ("POST", "/answer", Open),
    ("POST", "/api/v1/tasks/{id}/links", Decide),
    ("GET", "/metrics", Read),
    ("GET", "/api/v1/admin/metrics", Read),
    ("GET", "/api/v1/models", Read),
    ("GET", "/api/v1/models/{id}", Read),
    ("GET", "/api/v1/me", Read),
    ("GET", "/api/v1/keys", Keys),
    ("POST", "/api/v1/keys", Keys),
    ("DELETE", "/api/v1/keys/{id}", Keys),
    ("POST", "/api/v1/config/reload", Configure),
    ("GET", "/api/v1/webhooks", Hooks),
    ("POST", "/api/v1/webhooks", Hooks),
    ("GET", "/api/v1/webhooks/{id}", Hooks),
    ("DELETE", "/api/v1/webhooks/{id}", Hooks),
    ("POST", "/api/v1/webhooks/{id}/pause", Hooks),
    ("POST", "/api/v1/webhooks/{id}/resume", Hooks),
    ("POST", "/api/v1/webhooks/{id}/test", Hooks),
    ("GET", "/api/v1/webhooks/{id}/deliveries", Hooks),
    ("POST", "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", Hooks),
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
    ("GET", "/api/v1/tasks/counts", Read),
    ("GET", "/api/v1/tasks/{id}", Read),
    ("GET", "/api/v1/tasks/{id}/steps", Read),
    ("GET", "/api/v1/tasks/{id}/plan", Read),
    ("GET", "/api/v1/tasks/{id}/graph", Read),
    ("GET", "/api/v1/tasks/{id}/outputs", Read),
    ("GET", "/api/v1/tasks/{id}/result", Read),
    ("GET", "/api/v1/tasks/{id}/reviews", Read),
    ("GET", "/api/v1/tasks/{id}/effects", Read),
    ("GET", "/api/v1/tasks/{id}/gates", Read),
    ("GET", "/api/v1/tasks/{id}/waiting", Read),
    ("GET", "/api/v1/inbox", Read),
    ("GET", "/api/v1/tasks/{id}/inbox", Read),
    ("GET", "/api/v1/tasks/{id}/candidates", Read),
    ("GET", "/api/v1/tasks/{id}/subtasks", Read),
    ("GET", "/api/v1/tasks/{id}/allowed-transitions", Read),
    ("GET", "/api/v1/tasks/{id}/interventions", Read),
    ("GET", "/api/v1/tasks/{id}/events", Read),
    ("GET", "/api/v1/tasks/{id}/receipt", Read),
    ("GET", "/api/v1/tasks/{id}/impact", Read),
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
    ("POST", "/api/v1/tasks/{id}/approve", Decide),
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
    ("GET", "/api/v1/stream", Read),
    ("GET", "/api/v1/event-types", Read),
    ("GET", "/api/v1/lifecycle", Read),
    ("GET", "/api/v1/constitution", Read),
    ("GET", "/api/v1/constitution/versions", Read),
    ("GET", "/api/v1/constitution/versions/{number}", Read),
    ("GET", "/api/v1/constitution/amendments", Read),
    ("POST", "/api/v1/constitution/amendments", Decide),
    ("GET", "/api/v1/constitution/amendments/{id}", Read),
    ("POST", "/api/v1/constitution/amendments/{id}/sponsor", Decide),
    ("POST", "/api/v1/constitution/amendments/{id}/vote", Decide),
    ("POST", "/api/v1/constitution/amendments/{id}/withdraw", Decide),
    // They read much and change nothing; what they tell is of every namespace.
    ("POST", "/api/v1/constitution/impact", Decide),
    ("POST", "/api/v1/constitution/replay", Decide),
    ("GET", "/api/v1/schedules", Read),
    ("GET", "/api/v1/schedules/next", Read),
    ("GET", "/api/v1/tasks/{id}/logs", Read),
    ("POST", "/api/v1/agents", Work),
    ("GET", "/api/v1/agents", Read),
    ("GET", "/api/v1/agents/{id}", Read),
    ("DELETE", "/api/v1/agents/{id}", Decide),
    ("POST", "/api/v1/agents/{id}/drain", Steer),
    ("POST", "/api/v1/agents/{id}/resume", Steer),
    ("POST", "/api/v1/agents/{id}/revoke", Decide),
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
    ("GET", "/api/executions/{id}/stream", Read),
    ("GET", "/api/admin/metrics", Read),
];

/// POSTs that take no `Idempotency-Key`, and why none is needed there; one that is sent is refused, for who sends it relies on it.
const KEYLESS: [(&str, &str); 27] = [
    ("/api/v1/config/reload", "the same file read twice says the same"),
    ("/api/v1/constitution/amendments", "the same document is not proposed twice while it is open"),
    ("/api/v1/constitution/amendments/{id}/sponsor", "who stands behind an amendment does so once"),
    ("/api/v1/constitution/amendments/{id}/vote", "the last word of each voter counts"),
    ("/api/v1/constitution/amendments/{id}/withdraw", "what was taken back stays so"),
    ("/api/v1/constitution/impact", "it changes nothing"),
    ("/api/v1/constitution/replay", "it changes nothing"),
    ("/logout", "a session that is over stays so"),
    ("/answer", "a link answers once"),
    ("/api/v1/tasks/{id}/links", "another link to the same question is no other answer"),
    ("/api/v1/keys", "a key is shown once, and its name is not given again while it is in use"),
    ("/api/v1/agents/{id}/keys", "a key is shown once, and its name is not given again while it is in use"),
    ("/api/v1/webhooks", "a secret is shown once, and a name is not given again while it is in use"),
    ("/api/v1/webhooks/{id}/pause", "one that is paused stays so"),
    ("/api/v1/webhooks/{id}/resume", "one that goes on goes on"),
    ("/api/v1/webhooks/{id}/test", "a message is sent as often as it is asked for"),
    ("/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", "a message is sent as often as it is asked for"),
    ("/api/v1/breakers/reset", "who is trusted already stays so"),
    ("/api/v1/agents/{id}/work/claim", "a claim said again with its `claim_id` gets the same work"),
    ("/api/v1/agents/{id}/work/heartbeat", "a sign of life may be given twice"),
    ("/api/v1/agents/{id}/work/report", "a report counts once for its attempt"),
    ("/api/v1/work/{wid}/heartbeat", "a sign of life may be given twice"),
    ("/api/v1/work/{wid}/report", "a report counts once for its attempt"),
    ("/api/v1/work/{wid}/log", "what is said is kept as often as it is said"),
    ("/api/v1/work/{wid}/effects", "the same wish of an attempt is the same effect"),
    ("/api/v1/work/{wid}/effects/{eid}/outcome", "an effect is settled once"),
    ("/api/executions/{id}/events", "an event counts once for the task and attempt it is about"),
];

/// Whether an operation takes an `Idempotency-Key`; why it needs none where it does not.
pub(crate) fn takes_key(method: &str, path: &str) -> Result<(), &'static str> {
    match method {
        "POST" => KEYLESS.iter().find(|(known, _)| *known == path).map_or(Ok(()), |(_, why)| Err(*why)),
        _ if changes_a_task(method, path) || (method, path) == ("DELETE", "/api/v1/agents/{id}") => Ok(()),
        _ => Err("said again it asks for the same"),
    }
}

/// Whether an operation asks something of one task, and so may be meant for a version of it (`If-Match`).
pub(crate) fn changes_a_task(method: &str, path: &str) -> bool {
    let of_task = path.starts_with("/api/v1/tasks/{id}") && !path.contains("/payloads");
    method != "GET" && (of_task || (method, path) == ("PATCH", "/api/executions/{id}"))
}

/// The names of the parameters an operation takes behind the `?`, as its document declares them; `None` for one that is not in it.
pub(crate) fn parameters(method: &Method, path: &str) -> Option<&'static [String]> {
    static DECLARED: LazyLock<HashMap<(String, String), Vec<String>>> =
        LazyLock::new(|| super::openapi::declared(super::documented().get_openapi()));
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    DECLARED.get(&(method.to_owned(), path.to_owned())).map(Vec::as_slice)
}

/// Pages that are no operations: they show the document to whoever may look.
pub(crate) const PAGES: &[&str] = &["/api-docs", "/api-docs/", "/api-docs/{*rest}", "/api-docs/openapi.json"];

/// Whether it is a page of the dashboard, or of what those are made: they hold no data, and one signs in with them.
pub(crate) fn is_page(path: &str) -> bool {
    path == dashboard::ASSETS || dashboard::PAGES.contains(&path)
}

/// What an operation needs; `None` for one that is not in the table.
pub(crate) fn needed(method: &Method, path: &str) -> Option<Permission> {
    static TABLE: LazyLock<HashMap<(&str, &str), Permission>> =
        LazyLock::new(|| OPERATIONS.iter().map(|(method, path, needs)| ((*method, *path), *needs)).collect());
    if PAGES.contains(&path) {
        return Some(Read);
    }
    if is_page(path) {
        return method.is_safe().then_some(Open);
    }
    // Whoever may GET may ask for the HEAD of it.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.get(&(method, path)).copied()
}
