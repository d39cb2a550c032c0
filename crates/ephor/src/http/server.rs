//! A server: an engine, who may ask it, and the socket it listens on; how it starts and how it ends.

use super::auth::Principal;
use super::streams::Streams;
use crate::api::{Api, ApiError, Kind};
use crate::local::{LocalApi, Look};
use ephor_engine::Engine;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests under way may take to end once the server stops (promise 23 leaves ten seconds for all of it).
const DRAIN: Duration = Duration::from_secs(5);

/// How a server is set.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names it answers to beside its address and those of this machine.
    pub hosts: Vec<String>,
    /// The operator's token.
    pub operator_token: String,
}

/// What handlers share.
pub(crate) struct Server {
    engine: Engine,
    look: Look,
    listen: SocketAddr,
    hosts: Vec<String>,
    operator_token: String,
    /// Turns true when the server stops: streams and long polls end then.
    stopping: watch::Receiver<bool>,
    streams: Streams,
}

impl Server {
    /// A server over an engine that listens there, until `stopping` turns true.
    pub(crate) fn new(engine: Engine, options: ServeOptions, listen: SocketAddr, stopping: watch::Receiver<bool>) -> Self {
        Self {
            look: Look { reader: engine.reader() },
            engine,
            listen,
            hosts: options.hosts,
            operator_token: options.operator_token,
            stopping,
            streams: Streams::default(),
        }
    }

    /// The engine itself.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What can be read.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    /// Who holds a stream open.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// What can be asked, bound to who asks.
    pub(crate) fn api(&self, who: &Principal) -> impl Api + use<> {
        LocalApi::new(self.look.clone(), Some(self.engine.clone()), who.actor(), who.namespace.as_deref().map(Into::into))
    }

    /// Whether it listens on this machine alone.
    pub(crate) fn is_local(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// Whether a Host header means this server.
    pub(crate) fn answers_to(&self, host: &str) -> bool {
        let name =
            host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        matches!(name, "localhost" | "127.0.0.1" | "::1")
            || name.parse().is_ok_and(|ip: std::net::IpAddr| ip == self.listen.ip())
            || self.hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
    }

    /// Who holds this token, if anybody.
    pub(crate) fn holder_of(&self, token: &str) -> Option<Principal> {
        let is_operator: bool = token.as_bytes().ct_eq(self.operator_token.as_bytes()).into();
        is_operator.then(Principal::operator)
    }

    /// Resolves when the server stops.
    pub(crate) async fn stopping(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that whoever would have said so is gone, which is as good as said.
        let _gone = stopping.wait_for(|stop| *stop).await;
    }

    /// The store and its settings.
    pub(crate) async fn about(&self) -> Result<BTreeMap<&'static str, String>, ApiError> {
        let reader = self.engine.reader();
        crate::local::blocking(move || reader.about().map(|about| about.into_iter().collect()).map_err(crate::local::store)).await
    }
}

/// A server that runs.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Takes no more requests, lets those under way end, and returns; after some seconds it no longer waits for them.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        match tokio::time::timeout(DRAIN, self.serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "the server ended badly"),
            Ok(Err(error)) => tracing::error!(%error, "the server panicked"),
            Err(_) => tracing::warn!("requests under way were cut off"),
        }
    }
}

/// Starts a server over an engine.
pub async fn serve(engine: Engine, options: ServeOptions) -> Result<Running, ApiError> {
    let unusable = |e: std::io::Error| {
        ApiError::new(Kind::Failed, "UNUSABLE", format!("cannot listen on {}: {e}", options.listen))
            .then("ephor serve --listen 127.0.0.1:0")
    };
    let listener = TcpListener::bind(options.listen).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let (stop, stopping) = watch::channel(false);
    let server = Arc::new(Server::new(engine, options, address, stopping));
    let app = super::router(server.clone());
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move { server.stopping().await });
    let serving = tokio::spawn(serving.into_future());
    Ok(Running { address, stop, serving })
}
