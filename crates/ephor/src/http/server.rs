//! A server: an engine, who may ask it, and the socket it listens on; how it starts and how it ends.

use super::auth::{Keys, Principal, Sessions, Shown, same};
use super::limits::{Limits, Meter, Place};
use super::listen;
use super::streams::Streams;
use crate::api::{Api, ApiError, Kind};
use crate::config::{Reloaded, Watch};
use crate::host::ConfigSource;
use crate::local::figures::Tally;
use crate::local::{LocalApi, Look, keys};
use crate::telemetry::{self, Telemetry};
use crate::webhooks::{HookOptions, Webhooks};
use ephor_core::agent::AgentStatus;
use ephor_engine::Engine;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests under way may take to end once the server stops (promise 23 leaves ten seconds for all of it).
const DRAIN: Duration = Duration::from_secs(5);

/// How often agents of plan executions are to ask for work, in seconds, unless somebody says (S3-45).
pub(crate) const POLL_INTERVAL_S: u32 = 300;

/// How a server is set.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names it answers to beside its address and those of this machine.
    pub hosts: Vec<String>,
    /// The operator's token.
    pub operator_token: String,
    /// How much is let in; by the address where nothing is said.
    pub limits: Option<Limits>,
    /// How often agents of plan executions are to ask for work, in seconds; that interface is switched off where it is missing.
    pub executions_poll_s: Option<u32>,
    /// What it watches of itself.
    pub watch: Watch,
    /// How it tells others.
    pub hooks: HookOptions,
    /// Whether it sends on what it does, and how.
    pub telemetry: Option<telemetry::Options>,
    /// Reads its configuration anew.
    pub config: ConfigSource,
}

impl ServeOptions {
    /// On an address, with this token for the operator.
    pub fn new(listen: SocketAddr, operator_token: String) -> Self {
        let (executions_poll_s, watch, hooks) = (Some(POLL_INTERVAL_S), Watch::default(), HookOptions::default());
        let (telemetry, config) = (None, ConfigSource::default());
        Self { listen, hosts: Vec::new(), operator_token, limits: None, executions_poll_s, watch, hooks, telemetry, config }
    }
}

/// What handlers share.
pub(crate) struct Server {
    engine: Engine,
    look: Look,
    listen: SocketAddr,
    hosts: Vec<String>,
    operator_token: String,
    keys: Keys,
    sessions: Sessions,
    meter: Meter,
    /// Turns true when the server stops: streams and long polls end then.
    stopping: watch::Receiver<bool>,
    streams: Streams,
    executions_poll_s: Option<u32>,
    tally: Tally,
    webhooks: Arc<Webhooks>,
    /// Whether agents are told of which trace their work is.
    traced: bool,
    sent: telemetry::Tally,
    config: ConfigSource,
}

impl Server {
    /// A server over an engine that listens there, until `stopping` turns true.
    pub(crate) fn new(engine: Engine, options: ServeOptions, listen: SocketAddr, stopping: watch::Receiver<bool>) -> Self {
        let limits = options.limits.unwrap_or_else(|| Limits::on(listen));
        let tally = Tally::new(options.watch, engine.position());
        Self {
            look: Look { reader: engine.reader() },
            webhooks: Arc::new(Webhooks::new(engine.clone(), options.hooks)),
            engine,
            listen,
            hosts: options.hosts,
            operator_token: options.operator_token,
            keys: Keys::default(),
            sessions: Sessions::default(),
            streams: Streams::new(&limits),
            meter: Meter::new(limits),
            stopping,
            executions_poll_s: options.executions_poll_s,
            traced: options.telemetry.is_some_and(|telemetry| telemetry.otlp.traces),
            sent: telemetry::Tally::default(),
            tally,
            config: options.config,
        }
    }

    /// The operator's token, from which other keys follow.
    pub(super) fn operator_token(&self) -> &str {
        &self.operator_token
    }

    /// The engine itself.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What can be read.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    /// Who is told of what over HTTP.
    pub(crate) fn webhooks(&self) -> &Arc<Webhooks> {
        &self.webhooks
    }

    /// Whether agents are told of which trace their work is.
    pub(crate) fn is_traced(&self) -> bool {
        self.traced
    }

    /// What became of the spans it sent on.
    pub(crate) fn sent(&self) -> &telemetry::Tally {
        &self.sent
    }

    /// Its figures.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Where its configuration comes from.
    pub(crate) fn config(&self) -> &ConfigSource {
        &self.config
    }

    /// Looks after its own figures until it stops, so that what goes beyond a threshold is told also where nobody asks.
    async fn watch(self: Arc<Self>) {
        loop {
            tokio::select! {
                biased;
                () = self.stopping() => return self.webhooks.stop(),
                () = self.tally.next_look() => {}
            }
            let server = self.clone();
            let looked = crate::local::blocking(move || server.tally.look(&server.engine)).await;
            if let Err(error) = looked {
                tracing::warn!(%error, "figures could not be taken");
            }
        }
    }

    /// Who holds a stream open.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// What can be asked, bound to who asks.
    pub(crate) fn api(&self, who: &Principal) -> impl Api + use<> {
        LocalApi::new(self.look.clone(), Some(self.engine.clone()), who.actor(), who.namespace.as_deref().map(Into::into))
    }

    /// Whether plan executions are served.
    pub(crate) fn has_executions(&self) -> bool {
        self.executions_poll_s.is_some()
    }

    /// How often their agents are to ask for work, in seconds.
    pub(crate) fn poll_interval_s(&self) -> u32 {
        self.executions_poll_s.unwrap_or(POLL_INTERVAL_S)
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

    /// Who holds this token or key, if anybody.
    pub(crate) fn holder_of(&self, token: &str) -> Option<Principal> {
        match same(token, &self.operator_token) {
            true => Some(Principal::operator(Shown::Token)),
            // The key of an agent that was revoked opens nothing any more.
            false => self.keys.holder(token, self.engine.now()).filter(|who| {
                let agent = who.agent.and_then(|agent| self.engine.agent_of(agent));
                agent.is_none_or(|agent| agent.status != AgentStatus::Revoked)
            }),
        }
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Sessions in browsers.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// How much each caller has asked for.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// How much it lets in.
    pub(crate) fn limits(&self) -> &Limits {
        self.meter.limits()
    }

    /// A place for a long poll or a stream of a caller, to be held as long as it lasts.
    pub(crate) fn place(&self, who: &Principal) -> Result<Place, ApiError> {
        self.meter.place(who)
    }

    /// Whether it has been told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
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
    /// The address that opens a session for whoever visits it first, within ten minutes.
    pub login: String,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    server: Arc<Server>,
    telemetry: Option<Telemetry>,
}

impl Running {
    /// Reads the configuration anew; what may change in flight does.
    pub(crate) async fn reload(&self) -> Result<Reloaded, ApiError> {
        self.server.reload().await
    }

    /// What sends on what it does, to be finished once nothing more is done; it ends with the server otherwise.
    pub(crate) fn telemetry(&mut self) -> Option<Telemetry> {
        self.telemetry.take()
    }

    /// Takes no more requests, lets those under way end, and returns; after some seconds it no longer waits for them.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        match tokio::time::timeout(DRAIN, self.serving).await {
            Ok(Ok(())) => {}
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
    let reader = engine.reader();
    let keys = crate::local::blocking(move || keys::read(&*reader)).await?;
    let now = engine.now();
    if !options.listen.ip().is_loopback() && !keys.iter().any(|key| key.is_good(now)) {
        let message = format!("{} can be reached from elsewhere, and there is no key yet", options.listen);
        return Err(ApiError::new(Kind::Forbidden, "NO_KEY", message)
            .because("on such an address everything takes a key")
            .then("ephor key create NAME --role admin")
            .then("ephor serve --listen 127.0.0.1:4000"));
    }
    let listener = TcpListener::bind(options.listen).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let (stop, stopping) = watch::channel(false);
    let telemetry = options.telemetry.clone();
    let mut server = Server::new(engine, options, address, stopping.clone());
    server.keys = Keys::new(keys);
    let login = format!("http://{}/login?code={}", visited(address), server.sessions.link()?);
    let limits = server.meter.limits().clone();
    let server = Arc::new(server);
    server.webhooks.start().await?;
    tokio::spawn(server.clone().watch());
    let telemetry = telemetry.map(|telemetry| Telemetry::start(server.clone(), telemetry));
    let serving = tokio::spawn(listen::run(listener, super::router(server.clone()), limits, stopping));
    Ok(Running { address, login, stop, serving, server, telemetry })
}

/// Where a browser on this machine finds it: an address that stands for all of them is none to visit.
fn visited(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("localhost:{}", address.port()),
        false => address.to_string(),
    }
}
