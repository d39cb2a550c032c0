//! Agents over HTTP: they register and are looked after; their work is `http::work`.

mod bounds;
mod path;
mod steer;
mod view;

pub(crate) use path::{AgentPath, WorkerPath, found, may_speak_as, sees};
pub(crate) use steer::enlist;

use super::server::Server;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().merge(steer::routes()).merge(view::routes())
}
