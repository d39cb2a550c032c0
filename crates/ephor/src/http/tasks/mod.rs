//! Tasks over HTTP: a file for what is alike.

mod batch;
mod create;
mod decisions;
mod flat;
mod graph;
mod impact;
mod interventions;
mod list;
mod names;
mod older;
mod patch;
mod path;
mod payloads;
mod progress;
mod quality;
mod read;
mod receipt;
mod result;
mod steer;
mod terms;

pub(crate) use create::belongs;
pub(crate) use list::{limit, link, opened, page, sealed, within};
pub(crate) use older::{RELEASE_AFTER_MS, SILENCE_MS};
pub(crate) use path::{NARROWING, TaskPath, names_a_task};
pub(crate) use progress::{Followed, followed};
pub(crate) use steer::carry_out_all;
pub(crate) use terms::Terms;

use super::server::Server;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .merge(create::routes())
        .merge(batch::routes())
        .merge(list::routes())
        .merge(read::routes())
        .merge(receipt::routes())
        .merge(impact::routes())
        .merge(patch::routes())
        .merge(steer::routes())
        .merge(decisions::routes())
        .merge(interventions::routes())
        .merge(progress::routes())
        .merge(payloads::routes())
}
