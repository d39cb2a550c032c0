//! The constitution that is in force, as data.

use super::errors::Errors;
use super::server::Server;
use axum::Json;
use axum::extract::State;
use ephor_core::constitution::Document;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// The constitution that is in force.
#[derive(Serialize, ToSchema)]
struct InForce {
    /// The SHA-256 of what it says, as `ephor constitution show --json` has it; tasks name its beginning. Missing where none is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Its `name`, `preamble` and `articles`; each has `id`, `title`, `text` and `rules`, a rule its `id`, `at`, `when`, `verdict`,
    /// `message` and `risk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    document: Option<Document>,
}

/// The constitution that binds tasks here
#[utoipa::path(get, path = "/api/v1/constitution", tag = "governance", responses((status = 200, body = InForce), Errors))]
async fn show(State(server): State<Arc<Server>>) -> Json<InForce> {
    let law = server.engine().policy().law.clone();
    let (digest, document) = law.map(|law| (law.digest().to_owned(), law.document().clone())).unzip();
    Json(InForce { digest, document })
}
