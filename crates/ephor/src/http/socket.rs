//! WebSockets: the sources of [`super::sse`] on a line that a browser may open as often as it likes. What is sent is the same. Whoever
//! reads too slowly is sent away and goes on later behind the last position it heard: nothing is kept for it, since a source reads from
//! the store.

use super::server::Server;
use super::sse::{Source, TICK, Told};
use super::streams::Permit;
use crate::api::{ApiError, Kind};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use ephor_core::time::WireTime;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The largest message that is read, in bytes. Nothing that is said here means anything.
const HEARD_MAX: usize = 4 << 10;
/// How much somebody may say between two of our messages before they are sent away.
const SAID_MAX: u32 = 100;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a line ends, as RFC 6455 numbers it.
const ENDED: u16 = 1000;
const STOPPING: u16 = 1001;
const TOO_MUCH: u16 = 1008;
const TOO_SLOW: u16 = 1013;

/// What asks for a WebSocket, if it does.
pub(crate) type Asked = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Answers with a WebSocket on which a source is told to its end.
pub(crate) fn respond(server: Arc<Server>, permit: Permit, asked: Asked, source: impl Source) -> Result<Response, ApiError> {
    let no_socket = |why: WebSocketUpgradeRejection| {
        ApiError::new(Kind::Invalid, "VALIDATION_FAILED", "this is a WebSocket, and the request asks for none")
            .because(why)
            .then("GET /api/v1/events with Accept: text/event-stream")
    };
    let upgrade = asked.map_err(no_socket)?.max_message_size(HEARD_MAX).max_frame_size(HEARD_MAX);
    Ok(upgrade.on_upgrade(move |socket| tell(socket, server, permit, source)))
}

/// Tells all of a source.
async fn tell(mut socket: WebSocket, server: Arc<Server>, _permit: Permit, mut source: impl Source) {
    let patience = server.limits().patience;
    let (mut tick, mut said) = (Instant::now() + TICK, 0);
    let (code, why) = loop {
        let message = tokio::select! {
            biased;
            () = server.stopping() => break (STOPPING, "the server is stopping"),
            heard = socket.recv() => match heard {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(_)) if said < SAID_MAX => {
                    said += 1;
                    continue;
                }
                Some(Ok(_)) => break (TOO_MUCH, "nothing is listened to here"),
            },
            told = source.next() => match told {
                Some(Told { data, .. }) => data,
                None => break (ENDED, "there will be no more"),
            },
            () = tokio::time::sleep_until(tick) => {
                json!({"type": "tick", "position": source.position(), "at": WireTime(server.engine().now())}).to_string()
            }
        };
        (tick, said) = (Instant::now() + TICK, 0);
        match timeout(patience, socket.send(Message::Text(Utf8Bytes::from(message)))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => break (TOO_SLOW, "too slow; go on with after= the last position you heard"),
        }
    };
    let goodbye = Message::Close(Some(CloseFrame { code, reason: why.into() }));
    // Whoever is too slow for anything does not hear it either.
    let _unheard = timeout(GOODBYE, socket.send(goodbye)).await;
}
