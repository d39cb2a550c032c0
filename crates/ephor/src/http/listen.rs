//! Connections: taken in up to a bound, given only so long to say what they want, and ended in good order.

use super::limits::Limits;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower_service::Service;

/// How large the head of a request may be, in bytes; also how much of a body is read at once.
const HEAD_MAX: usize = 64 << 10;
/// How long nothing is taken in after the system had no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Takes connections in until the server stops; then lets those that are open end, and returns once they have.
pub(super) async fn run(listener: TcpListener, app: Router, limits: Limits, mut stopping: watch::Receiver<bool>) {
    let most = u32::try_from(limits.connections).unwrap_or(u32::MAX).max(1);
    let places = Arc::new(Semaphore::new(most as usize));
    loop {
        let taken = async {
            let place = places.clone().acquire_owned().await.expect("nobody closes it");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            taken = taken => taken,
            () = told(&mut stopping) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let connection = serve(stream, Peer(address.ip()), app.clone(), limits.patience, stopping.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken in");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    // All places are free once the last connection has ended.
    drop(places.acquire_many(most).await);
}

/// Resolves when the server stops.
async fn told(stopping: &mut watch::Receiver<bool>) {
    // An error means that whoever would have said so is gone, which is as good as said.
    drop(stopping.wait_for(|stop| *stop).await);
}

/// One connection, from its first request to its last.
async fn serve(stream: TcpStream, peer: Peer, app: Router, patience: Duration, mut stopping: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "answers may be held back a little");
    }
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        // A router is always ready.
        app.clone().call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(HEAD_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
