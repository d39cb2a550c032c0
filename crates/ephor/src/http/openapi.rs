//! The OpenAPI document, made from the code, and a page to browse it that needs no other host.

use super::problem::Problem;
use super::server::Server;
use axum::Router;
use std::sync::Arc;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// What the document says of the whole.
pub(crate) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Ephor")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("A governed, durable task engine for AI agents."))
        .license(Some(License::new("MIT OR Apache-2.0")))
        .build();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    // Every error refers to it.
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    let components = ComponentsBuilder::new().security_scheme("key", bearer).schemas_from_iter(schemas).build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// `/api-docs`, and the document itself.
pub(crate) fn pages(document: OpenApi) -> Router<Arc<Server>> {
    let config = Config::new(["/api-docs/openapi.json"]).validator_url("none");
    SwaggerUi::new("/api-docs").url("/api-docs/openapi.json", document).config(config).into()
}
