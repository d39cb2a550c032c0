//! Serving: the engine, its built-in agents and the HTTP interface in one process.

use super::api::trouble;
use super::session::{LocalSession, OPERATOR, Patience, database, start};
use super::token;
use crate::api::{Answer, ApiError};
use crate::config::Reloaded;
use crate::host::{Place, Served, Serving, Session};
use crate::http::{self, Running, ServeOptions};
use crate::telemetry;
use ephor_core::agent::{AgentStatus, Registration};
use ephor_core::event::Actor;
use ephor_engine::Engine;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// A database that is served.
struct Serves {
    running: Running,
    session: LocalSession,
    token_file: PathBuf,
}

/// Starts the engine, then its agents, then listens.
pub(super) async fn serve(place: &Place, serving: Serving) -> Result<Box<dyn Served>, ApiError> {
    let database = database(place)?;
    let mut session = start(&database, place).await?;
    match begin(&mut session, &database, serving).await {
        Ok((running, token_file)) => Ok(Box::new(Serves { running, session, token_file })),
        Err(error) => {
            Box::new(session).close().await;
            Err(error)
        }
    }
}

async fn begin(session: &mut LocalSession, database: &Path, serving: Serving) -> Result<(Running, PathBuf), ApiError> {
    let token_file = token::file(database);
    let operator_token = token::read_or_make(&token_file)?;
    if serving.safe_mode {
        super::flow::safe_mode(&session.engine()).await?;
    }
    for worker in &*serving.workers {
        introduce(&session.engine(), worker).await?;
    }
    let telemetry = telemetry::Options::of(&serving.telemetry);
    session.traced = telemetry.as_ref().is_some_and(|telemetry| telemetry.otlp.traces);
    if let Some(workshop) = serving.workshop {
        session.employ(database, workshop, Patience::Short).await?;
    }
    let options = ServeOptions {
        hosts: serving.hosts,
        limits: serving.limits,
        executions_poll_s: serving.executions_poll_s,
        watch: serving.watch,
        hooks: (&serving.hooks).into(),
        telemetry,
        config: serving.config,
        ..ServeOptions::new(serving.listen, operator_token)
    };
    let running = http::serve(session.engine(), options).await?;
    if let Err(error) = session.engine().announce(&reachable(running.address)) {
        tracing::warn!(%error, "commands on this machine will not find the server by themselves");
    }
    Ok((running, token_file))
}

/// Makes an agent of the configuration known. One that is known with the same facts costs no event, and stays as it was left: drained,
/// or revoked.
pub(crate) async fn introduce(engine: &Engine, worker: &Registration) -> Result<(), ApiError> {
    let name = worker.external_id.as_deref().unwrap_or_default();
    let known = engine.agent_named(name).and_then(|id| engine.agent_of(id));
    match &known {
        Some(agent) if agent.status == AgentStatus::Revoked => {
            tracing::warn!(agent = %agent.id, name, "a worker of the configuration was revoked and stays so; give it another id");
            Ok(())
        }
        Some(agent) if agent.registration.as_ref() == Some(worker) => Ok(()),
        Some(_) | None => {
            let registered = engine.register(None, worker.clone(), Actor::human(OPERATOR)).await;
            registered.map(drop).map_err(|error| {
                let error = trouble(error, None);
                let why = error.problems.first().map_or_else(|| error.to_string(), ToString::to_string);
                ApiError::new(error.kind, "CONFIG", format!("workers, {name}: {why}")).then("ephor config list")
            })
        }
    }
}

/// The address by which this machine reaches the server.
fn reachable(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

impl Served for Serves {
    fn address(&self) -> SocketAddr {
        self.running.address
    }

    fn login(&self) -> &str {
        &self.running.login
    }

    fn token_file(&self) -> &Path {
        &self.token_file
    }

    fn broken(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        let engine = self.session.engine();
        Box::pin(async move { engine.stopped().await })
    }

    fn reload(&self) -> Answer<'_, Reloaded> {
        Box::pin(self.running.reload())
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let Self { mut running, mut session, token_file: _ } = *self;
            let telemetry = running.telemetry();
            // Side by side: what agents report while they end is still written.
            tokio::join!(running.stop(), session.dismiss());
            if let Some(telemetry) = telemetry {
                telemetry.finish().await;
            }
            Box::new(session).close().await;
        })
    }
}
