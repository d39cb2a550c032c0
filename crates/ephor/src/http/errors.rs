//! The statuses that any operation may answer besides its own, for the OpenAPI document.

use super::problem::Problem;
use std::collections::BTreeMap;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// What each status says.
const STATUSES: [(&str, &str); 15] = [
    ("400", "The request makes no sense as it is, or not for where the task is (`ILLEGAL_TRANSITION`, `TERMINAL_STATE`)"),
    ("401", "This needs a key"),
    ("403", "The caller may not"),
    ("404", "There is no such thing, or the caller may not see it"),
    ("405", "The path does not know this method"),
    ("408", "The request took too long to arrive"),
    ("409", "Something has changed or was decided meanwhile (`VERSION_CONFLICT`, `ALREADY_SETTLED`, `STALE_ATTEMPT`)"),
    ("413", "The body is too large"),
    ("414", "The address is too long"),
    ("415", "The body has another type than is read here"),
    ("422", "The idempotency key was used with another body"),
    ("429", "A limit is reached; come back after `Retry-After`"),
    ("500", "Something broke"),
    ("503", "Not now; come back after `Retry-After`"),
    ("507", "No space is left to write; nothing was written"),
];

/// Every error, as a problem document.
pub(crate) struct Errors;

impl IntoResponses for Errors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = |(status, description): (&str, &str)| {
            let schema = Ref::from_schema_name(Problem::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response = ResponseBuilder::new().description(description).content("application/problem+json", content).build();
            (status.to_owned(), RefOr::T(response))
        };
        STATUSES.into_iter().map(response).collect()
    }
}
