//! Streams of server-sent events: what happens, and every few seconds a sign that the line is alive. A stream ends with the server.

use super::server::Server;
use super::streams::Permit;
use crate::api::{ApiError, Kind};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::time::WireTime;
use futures_util::stream;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a stream is silent at most.
pub(crate) const TICK: Duration = Duration::from_secs(5);

/// Something that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// What it is.
    pub(crate) event: String,
    /// By what somebody goes on behind it.
    pub(crate) id: String,
    /// What it says, as JSON.
    pub(crate) data: String,
}

impl Told {
    pub(crate) fn new(event: impl Into<String>, id: impl ToString, data: String) -> Self {
        Self { event: event.into(), id: id.to_string(), data }
    }
}

impl From<Told> for Event {
    fn from(Told { event, id, data }: Told) -> Self {
        Self::default().id(id).event(event).data(data)
    }
}

/// Something that tells events for as long as somebody listens.
pub(crate) trait Source: Send + 'static {
    /// The next event; `None` when there will be no more. May be dropped while it waits, and asked again.
    fn next(&mut self) -> impl Future<Output = Option<Told>> + Send;

    /// The position up to which everything was told.
    fn position(&self) -> u64;
}

/// Whether a stream is wanted, rather than one answer.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|text| text.split(',')).any(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/event-stream")
    })
}

/// The position a listener that lost the line had come to.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(said) = headers.get("last-event-id") else { return Ok(None) };
    let position = said.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || ApiError {
        problems: vec![FieldProblem::new("Last-Event-ID", "the position of an event, as its id says it")],
        ..ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "a header was refused")
    };
    position.map(Some).ok_or_else(wrong)
}

/// What a source tells, as a response.
pub(crate) fn respond(server: Arc<Server>, permit: Permit, source: impl Source) -> Response {
    let begun = (server, permit, source, Instant::now() + TICK);
    let told = stream::unfold(begun, async |(server, permit, mut source, tick)| {
        let event = tokio::select! {
            biased;
            () = server.stopping() => return None,
            event = source.next() => event?,
            () = tokio::time::sleep_until(tick) => {
                let now = json!({"now": WireTime(server.engine().now()), "position": source.position()});
                let event = Event::default().event("tick").id(source.position().to_string()).data(now.to_string());
                return Some((Ok::<_, Infallible>(event), (server, permit, source, Instant::now() + TICK)));
            }
        };
        Some((Ok(Event::from(event)), (server, permit, source, tick)))
    });
    let mut response = Sse::new(told).into_response();
    // What stands between must neither keep nor change what is told.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
