//! The engine on the network: REST under `/api/v1`, its OpenAPI document and a page to browse it, the dashboard, health.
//!
//! A request passes, in this order: `listen` (connections), `line` (its number and its line in the log), `guard` (is this host meant, who
//! is it, may they, is it too much), the body (`body`), its handler (a file for each
//! noun), and on the way back the case of its words (`case`) and
//! its size (`compress`). Handlers speak to the engine through [`crate::api::Api`] where the command
//! line does too; what only agents and programs need they ask the engine itself. Every operation stands in `operations` with the
//! permission it needs; one that does not is refused.

mod access;
mod agents;
mod auth;
mod body;
mod breakers;
mod case;
mod compress;
mod config;
mod constitution;
mod crash;
mod dashboard;
mod errors;
mod events;
mod figures;
mod flow;
mod guard;
mod health;
mod inbox;
mod lifecycle;
mod limits;
mod line;
mod links;
mod listen;
mod models;
mod openapi;
mod operations;
mod planexe;
mod problem;
mod query;
mod schedules;
mod server;
mod socket;
mod sse;
mod stream;
mod streams;
mod tasks;
mod webhooks;
mod words;
mod work;

#[cfg(test)]
mod tests;

pub(crate) use events::task_words;
pub use limits::Limits;
pub(crate) use server::{POLL_INTERVAL_S, Server};
pub use server::{Running, ServeOptions, serve};

/// The problem document of an error, for those who compare.
#[cfg(test)]
pub(crate) fn problem_of(error: crate::api::ApiError) -> serde_json::Value {
    serde_json::to_value(problem::Problem::from(error)).expect("a problem is plain data")
}

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Every route, and the document that describes them.
fn documented() -> OpenApiRouter<Arc<Server>> {
    let mut all = OpenApiRouter::with_openapi(openapi::head())
        .merge(health::routes())
        .merge(access::routes())
        .merge(flow::routes())
        .merge(tasks::routes())
        .merge(inbox::routes())
        .merge(links::routes())
        .merge(agents::routes())
        .merge(breakers::routes())
        .merge(work::routes())
        .merge(planexe::routes())
        .merge(events::routes())
        .merge(stream::routes())
        .merge(lifecycle::routes())
        .merge(constitution::routes())
        .merge(config::routes())
        .merge(figures::routes())
        .merge(models::routes())
        .merge(webhooks::routes())
        .merge(schedules::routes());
    openapi::complete(all.get_openapi_mut());
    all
}

/// The whole interface over one server.
pub(crate) fn router(server: Arc<Server>) -> Router {
    let (routes, document) = documented().split_for_parts();
    let body_bytes = server.limits().body_bytes;
    routes
        .merge(openapi::pages(&document))
        .merge(dashboard::routes())
        .fallback(problem::no_such_route)
        .layer(from_fn(case::answer_alike))
        .layer(from_fn(compress::answer_smaller))
        .layer(from_fn_with_state(server.clone(), guard::admit))
        .layer(DefaultBodyLimit::max(body_bytes))
        .layer(from_fn(line::tell))
        .with_state(server)
}
