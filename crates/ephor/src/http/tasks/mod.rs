//! Tasks over HTTP: a file for what is alike.

mod create;
mod path;
mod read;
mod steer;

pub(crate) use path::TaskPath;

use super::server::Server;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().merge(create::routes()).merge(read::routes()).merge(steer::routes())
}
