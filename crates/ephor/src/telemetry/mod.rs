//! Traces and figures for a collector, by OTLP over HTTP in JSON. Off unless a collector is named; then spans are made of the events, behind
//! the writer's back, by whoever reads on from a position, so a command costs what it did.
//!
//! The events are the queue: while the collector does not answer, a page of spans waits and nothing more is read, so nothing grows. Who is
//! too far behind by then gives up what is between and begins anew with the present; what is given up is counted. Nothing of it is kept
//! over a restart.

mod fold;
mod follow;
mod ids;
mod otlp;
mod sender;
mod span;

pub(crate) use ids::named;

use crate::config::{self, Otlp};
use crate::http::Server;
use ephor_core::time::WireDuration;
use sender::Sender;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long what is left may take to be sent once the server stops.
const FLUSH: Duration = Duration::from_secs(2);
/// How many events a collector may be behind before it is given up on them.
const BEHIND_MAX: u64 = 200_000;

/// How a server sends on what it does.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to, and what.
    pub otlp: Otlp,
    /// How long events are gathered before they are told.
    pub linger: Duration,
    /// The wait before the second try; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait between two tries that the collector did not ask for.
    pub longest_wait: Duration,
    /// How many events it may be behind.
    pub behind_max: u64,
}

impl Options {
    /// As the configuration says; nothing where no collector is named.
    pub fn of(said: &config::Telemetry) -> Option<Self> {
        said.otlp.endpoint.is_some().then(|| Self {
            otlp: said.otlp.clone(),
            linger: Duration::from_millis(500),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
            behind_max: BEHIND_MAX,
        })
    }
}

/// What became of what was to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Spans the collector has taken.
    pub(crate) delivered: u64,
    /// Spans it would not have, or that were given up.
    pub(crate) dropped: u64,
    /// Events that no spans were made of, because it was away too long.
    pub(crate) skipped: u64,
}

/// The same as it grows.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    delivered: AtomicU64,
    dropped: AtomicU64,
    skipped: AtomicU64,
}

impl Tally {
    fn add(to: &AtomicU64, n: u64) {
        to.fetch_add(n, Ordering::Relaxed);
    }

    /// As it stands.
    pub(crate) fn now(&self) -> Sent {
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Sent { delivered: of(&self.delivered), dropped: of(&self.dropped), skipped: of(&self.skipped) }
    }
}

/// What runs beside a server and sends on what it does. Dropped, it ends without a word.
pub(crate) struct Telemetry {
    finishing: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
}

impl Telemetry {
    /// Begins with what happens from now on.
    pub(crate) fn start(server: Arc<Server>, options: Options) -> Self {
        let (finishing, told) = watch::channel(false);
        options.otlp.passed_over.iter().for_each(|why| tracing::warn!(%why, "telemetry: the environment is passed over"));
        let sender = Sender::new(&options.otlp).map(Arc::new);
        let sender = sender.map_err(|error| tracing::error!(%error, "telemetry is not sent")).ok();
        let mut running = Vec::new();
        if let Some(sender) = sender {
            let resource = Arc::new(otlp::resource(&options.otlp.service_name, &options.otlp.resource));
            let (traces, metrics) = (options.otlp.traces, options.otlp.metrics);
            if traces {
                let courier = follow::Courier::new(server.clone(), sender.clone(), resource.clone(), &options, told.clone());
                running.push(tokio::spawn(courier.run()));
            }
            if metrics {
                running.push(tokio::spawn(figures(server, sender, resource, options.otlp.metrics_interval, told)));
            }
        }
        Self { finishing, running }
    }

    /// Sends what is left, as long as that is quickly done, and ends.
    pub(crate) async fn finish(mut self) {
        self.finishing.send_replace(true);
        let until = tokio::time::Instant::now() + FLUSH;
        for running in &mut self.running {
            match tokio::time::timeout_at(until, running).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "telemetry panicked"),
                Err(_) => tracing::warn!("what was left of traces and figures was given up"),
            }
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

/// Resolves once it is time to finish.
async fn finish(told: &mut watch::Receiver<bool>) {
    // Whoever would say so being gone is as good as said.
    let _gone = told.wait_for(|finishing| *finishing).await;
}

/// Sends the figures of a server again and again, and once more at the end. One look that does not arrive is made good by the next.
async fn figures(
    server: Arc<Server>,
    sender: Arc<Sender>,
    resource: Arc<Value>,
    interval: WireDuration,
    mut told: watch::Receiver<bool>,
) {
    let began = server.engine().now();
    loop {
        let last = tokio::select! {
            biased;
            () = finish(&mut told) => true,
            () = tokio::time::sleep(Duration::from_millis(interval.ms)) => false,
        };
        let (of, about) = (server.clone(), resource.clone());
        let body = crate::local::blocking(move || {
            let now = of.tally().now(of.look(), of.engine())?;
            let families = crate::metrics::families(&now, &of.sent().now());
            Ok(otlp::metrics(&about, &families, began, of.engine().now()))
        });
        match body.await {
            Ok(body) => {
                // Nothing follows from what becomes of it: the log says where nothing arrives.
                let _came = sender.send("metrics", body).await;
            }
            Err(error) => tracing::warn!(%error, "figures could not be taken"),
        }
        if last {
            return;
        }
    }
}
