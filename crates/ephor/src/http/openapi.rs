//! The OpenAPI document, made from the code, and a page to browse it that needs no other host. What is alike for many operations is
//! filled in here, in one pass over the whole: ids, descriptions, what each needs, headers and parameters they share.

use super::auth::{COOKIE, Permission};
use super::errors::Errors;
use super::operations::{changes_a_task, needed, takes_key};
use super::problem::Problem;
use super::server::Server;
use super::tasks::names_a_task;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, RefOr, Required};
use utoipa::{IntoResponses, PartialSchema, ToSchema};
use utoipa_swagger_ui::{Config, serve};

/// The names of what a caller may show.
const KEY: &str = "key";
const SESSION: &str = "session";

/// What the document says of the whole.
pub(crate) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Ephor")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("A governed, durable task engine for AI agents."))
        .license(Some(License::new("MIT OR Apache-2.0")))
        .build();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    let what =
        "A key, or the operator's token. On an address of this machine nobody has to show one to look, submit, steer and work.";
    bearer.description = Some(what.into());
    let cookie =
        ApiKeyValue::with_description(COOKIE, "The session of a browser, opened with the link that is printed at the start.");
    // Every error refers to it.
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    let components = ComponentsBuilder::new()
        .security_scheme(KEY, SecurityScheme::Http(bearer))
        .security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
        .schemas_from_iter(schemas)
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// Fills in what is alike for many operations: the one place to read when asking what every operation has.
pub(crate) fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            let said = operation.summary.clone().unwrap_or_default();
            operation.operation_id = Some(id_of(method, path));
            for (status, response) in Errors::responses() {
                operation.responses.responses.entry(status).or_insert(response);
            }
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    response.description = if status.starts_with('2') { said.clone() } else { status.clone() };
                }
            }
            let name = Method::from_bytes(method.as_bytes()).expect("the methods of the document are methods");
            operation.security = Some(match needed(&name, path) {
                Some(Permission::Open) => Vec::new(),
                Some(_) | None => [KEY, SESSION].map(|scheme| SecurityRequirement::new(scheme, [""; 0])).into(),
            });
            for parameter in shared(method, path) {
                let all = operation.parameters.get_or_insert_default();
                let said = |known: &RefOr<Parameter>| matches!(known, RefOr::T(known) if known.name == parameter.name);
                if !all.iter().any(said) {
                    all.push(RefOr::T(parameter));
                }
            }
        }
    }
}

/// The parameters behind the `?` of every operation, by method and path.
pub(crate) fn declared(document: &OpenApi) -> HashMap<(String, String), Vec<String>> {
    let mut declared = HashMap::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations_mut(&mut item.clone()) {
            let of_query = |parameter: &RefOr<Parameter>| match parameter {
                RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
                RefOr::T(_) | RefOr::Ref(_) => None,
            };
            let names = operation.parameters.iter().flatten().filter_map(of_query).collect();
            declared.insert((method.to_owned(), path.clone()), names);
        }
    }
    declared
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// The name of an operation, from its method and path: `post_tasks_id_pause`.
fn id_of(method: &str, path: &str) -> String {
    let below = path.strip_prefix("/api/v1").unwrap_or(path);
    let words =
        below.split('/').filter(|part| !part.is_empty()).map(|part| part.trim_matches(['{', '}']).replace(['-', '.'], "_"));
    std::iter::once(method.to_ascii_lowercase()).chain(words).collect::<Vec<_>>().join("_")
}

/// What operations of a kind take alike.
fn shared(method: &str, path: &str) -> Vec<Parameter> {
    let text = |at, name: &str, says: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        ParameterBuilder::new()
            .name(name)
            .parameter_in(at)
            .required(Required::False)
            .description(Some(says))
            .schema(Some(text))
            .build()
    };
    let mut all = vec![text(ParameterIn::Query, "case", "The case of the answer's words: `snake` or `camel`")];
    if names_a_task(path) {
        let source = "Only a task from this source: decides between tasks of one name";
        all.push(text(ParameterIn::Query, "source", source));
        let namespace = "Only a task of this namespace: decides between tasks of one name";
        all.push(text(ParameterIn::Query, "namespace", namespace));
    }
    if changes_a_task(method, path) {
        let version = "Only if the task is at this version, as its ETag says it: `\"12\"`";
        all.push(text(ParameterIn::Header, "If-Match", version));
    }
    if takes_key(method, path).is_ok() {
        let key = "Said again with the same key, it is done once; 1 to 255 visible ASCII characters";
        all.push(text(ParameterIn::Header, "Idempotency-Key", key));
    }
    all
}

/// `/api-docs`, and the document itself. The page is answered at both of its addresses: the call that is printed for it follows no
/// redirect.
pub(crate) fn pages(document: &OpenApi) -> Router<Arc<Server>> {
    let document = Bytes::from(serde_json::to_vec(document).expect("the document is plain data"));
    let config = Arc::new(Config::new(["/api-docs/openapi.json"]).validator_url("none"));
    let page = {
        let config = config.clone();
        move || std::future::ready(file("index.html", &config))
    };
    let part = move |Path(name): Path<String>| std::future::ready(file(&name, &config));
    Router::new()
        .route(
            "/api-docs/openapi.json",
            get(move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], document.clone()))),
        )
        .route("/api-docs", get(page.clone()))
        .route("/api-docs/", get(page))
        .route("/api-docs/{*rest}", get(part))
}

/// A file of the page. The page names its parts as beside it, which they are only behind the slash.
fn file(name: &str, config: &Arc<Config<'static>>) -> Response {
    match serve(name, config.clone()) {
        Ok(Some(found)) => {
            let bytes = match name {
                "index.html" => {
                    let page = String::from_utf8_lossy(&found.bytes);
                    page.replacen("<head>", "<head>\n    <base href=\"/api-docs/\" />", 1).into_bytes()
                }
                _ => found.bytes.into_owned(),
            };
            ([(header::CONTENT_TYPE, found.content_type)], bytes).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
