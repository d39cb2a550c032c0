//! Opening and closing the engine in this process.

use super::api::LocalApi;
use super::look::{Look, store};
use super::transport::InProcess;
use super::{check, selftest};
use crate::api::{Answer, Api, ApiError, Kind};
use crate::config::{BUILTIN, BUILTIN_GATES, Config};
use crate::host::{Check, Host, Lending, Lent, Migration, MigrationView, Need, Place, Served, Serving, Session, Workshop};
use crate::remote;
use ephor_agents::{Builtin, gate, http, sandbox, secrets, shell};
use ephor_core::agent::Registration;
use ephor_core::event::Actor;
use ephor_core::policy::Policy;
use ephor_core::time::{Time, WireTime};
use ephor_engine::clock::{Clock, SystemClock};
use ephor_engine::lock::Holder;
use ephor_engine::store::sqlite::{Options, SqliteReader, migrate};
use ephor_engine::{Engine, Settings};
use ephor_sdk::client::Client;
use ephor_sdk::worker::{self, Worker};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where the database is, unless somebody says.
pub(crate) const DATABASE: &str = "data/ephor.db";
/// The name of the person at this machine's command line.
pub(super) const OPERATOR: &str = "operator";

/// Opens engines on this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalHost;

impl Host for LocalHost {
    fn open<'a>(&'a self, place: &'a Place, need: Need) -> Answer<'a, Box<dyn Session>> {
        Box::pin(async move {
            if let Some(server) = &place.server {
                return Ok(remote::open(remote::client(server, place)?));
            }
            let database = database(place)?;
            let session: Box<dyn Session> = match need {
                Need::Read => Box::new(look_at(&database, place)?),
                Need::Decide => match start(&database, place).await {
                    Ok(session) => Box::new(session),
                    Err(error) => ask_the_holder(&database, place, error)?,
                },
                Need::Work(workshop) => {
                    let mut session = start(&database, place).await?;
                    session.employ(&database, workshop, Patience::Long).await?;
                    Box::new(session)
                }
            };
            Ok(session)
        })
    }

    fn doctor<'a>(&'a self, place: &'a Place) -> Answer<'a, Vec<Check>> {
        Box::pin(async move {
            let database = database(place)?;
            blocking(move || check::doctor(&still(&database)?)).await
        })
    }

    fn verify<'a>(&'a self, place: &'a Place, kept: Option<[u8; 32]>) -> Answer<'a, Vec<Check>> {
        Box::pin(async move {
            let database = database(place)?;
            blocking(move || check::verify(&still(&database)?, kept)).await
        })
    }

    fn verify_receipt<'a>(&'a self, receipt: Vec<u8>, kept: Option<[u8; 32]>) -> Answer<'a, Vec<Check>> {
        Box::pin(blocking(move || Ok(check::receipt(&receipt, kept))))
    }

    fn selftest(&self) -> Answer<'_, Vec<Check>> {
        Box::pin(selftest::run())
    }

    fn migrate<'a>(&'a self, place: &'a Place, migration: Migration) -> Answer<'a, Vec<MigrationView>> {
        Box::pin(async move {
            let database = database(place)?;
            blocking(move || {
                let options = Options::new(&database);
                match migration {
                    Migration::Up => {
                        make_folder(&database)?;
                        let _alone = ephor_engine::lock::Lock::take(&database).map_err(store)?;
                        migrate::up(&options, SystemClock::default().wall_ms()).map_err(store)?;
                    }
                    Migration::Down(steps) => {
                        let _alone = ephor_engine::lock::Lock::take(&database).map_err(store)?;
                        migrate::down(&options, steps as usize).map_err(store)?;
                    }
                    Migration::Look => exists(&database)?,
                }
                let steps = migrate::status(&options).map_err(store)?;
                let view = |(i, step): (usize, migrate::Status)| MigrationView {
                    number: i as u32 + 1,
                    name: step.name.to_string(),
                    applied_at: step.applied_at.map(|ms| WireTime(Time(ms))),
                };
                Ok(steps.into_iter().enumerate().map(view).collect())
            })
            .await
        })
    }

    fn serve<'a>(&'a self, place: &'a Place, serving: Serving) -> Answer<'a, Box<dyn Served>> {
        Box::pin(super::serve::serve(place, serving))
    }

    fn server<'a>(&'a self, place: &'a Place) -> Answer<'a, Client> {
        Box::pin(async move {
            let (server, place) = server(place)?;
            remote::client(&server, &place)
        })
    }

    fn lend<'a>(&'a self, place: &'a Place, lending: Lending) -> Answer<'a, Box<dyn Lent>> {
        Box::pin(async move {
            let (server, place) = server(place)?;
            remote::lend(&server, &place, lending).await
        })
    }

    fn sandbox_exec(&self) -> ExitCode {
        sandbox::exec_main()
    }
}

/// The server that is named, else the one that has the database open; and the place with what it takes to be let in.
fn server(place: &Place) -> Result<(String, Place), ApiError> {
    let place = match &place.server {
        Some(_) => place.clone(),
        None => {
            let database = database(place)?;
            remote::found(&database, &Holder::of(&database), place)?
        }
    };
    Ok((place.server.clone().expect("it is named or found"), place))
}

/// Who decides on a database that a server on this machine has open asks that server; where there is none, the error stands.
fn ask_the_holder(database: &Path, place: &Place, error: ApiError) -> Result<Box<dyn Session>, ApiError> {
    let holder = Holder::of(database);
    match &holder.server {
        Some(server) if &*error.code == "HELD" && remote::is_here(server) => {
            Ok(remote::open(remote::client(server, &remote::found(database, &holder, place)?)?))
        }
        _ => Err(error),
    }
}

/// The file behind a place.
pub(super) fn database(place: &Place) -> Result<PathBuf, ApiError> {
    let wrong = |message: String| Err(ApiError::new(Kind::Invalid, "VALIDATION_FAILED", message));
    if let Some(server) = &place.server {
        return wrong(format!("this works on a database itself, not over {server}; name one with --database"));
    }
    let named = place.database.as_deref().unwrap_or(DATABASE);
    match named.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(path.trim_start_matches("//").into()),
        Some(("postgres" | "postgresql", _)) => {
            wrong(format!("{named}: this release keeps its store in SQLite; write sqlite:FILE"))
        }
        _ if named.is_empty() => wrong("the database has no name; write sqlite:FILE".into()),
        _ => Ok(named.into()),
    }
}

/// Runs something that blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| ApiError::new(Kind::Failed, "INTERNAL", e))?
}

fn exists(database: &Path) -> Result<(), ApiError> {
    match database.exists() {
        true => Ok(()),
        false => Err(ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no database {}", database.display()))
            .because("nothing was ever submitted here")
            .then("ephor run FILE")
            .then("ephor --database sqlite:FILE …")),
    }
}

fn make_folder(database: &Path) -> Result<(), ApiError> {
    let Some(folder) = database.parent().filter(|f| !f.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|e| ApiError::new(Kind::Failed, "UNUSABLE", format!("{}: {e}", folder.display())))
}

/// The reading side of a database, beside whoever writes it.
fn reader(database: &Path) -> Result<Arc<dyn ephor_engine::store::Reader>, ApiError> {
    exists(database)?;
    Ok(Arc::new(SqliteReader::open(&Options::new(database)).map_err(store)?))
}

/// A database as it is at this moment, whatever is written beside.
fn still(database: &Path) -> Result<SqliteReader, ApiError> {
    exists(database)?;
    SqliteReader::open_still(&Options::new(database)).map_err(store)
}

fn look_at(database: &Path, place: &Place) -> Result<LocalSession, ApiError> {
    let look = Look { reader: reader(database)? };
    let (namespace, policy) = (place.namespace.clone(), place.policy.clone().unwrap_or_else(|| Config::default().house()));
    let unmanned = Some(database.to_owned());
    let api = LocalApi { look, engine: None, actor: Actor::human(OPERATOR), namespace, policy, unmanned };
    Ok(LocalSession { api, traced: false, crew: Vec::new() })
}

pub(super) async fn start(database: &Path, place: &Place) -> Result<LocalSession, ApiError> {
    let namespace = place.namespace.clone();
    let mut settings = Settings::new(database);
    settings.policy = Policy::clone(&place.policy.clone().unwrap_or_else(|| Config::default().house()));
    let engine = blocking(move || Engine::open(settings).map_err(store)).await?;
    let look = Look { reader: engine.reader() };
    let unmanned = Some(database.to_owned());
    let api = LocalApi { unmanned, ..LocalApi::new(look, Some(engine), Actor::human(OPERATOR), namespace) };
    Ok(LocalSession { api, traced: false, crew: Vec::new() })
}

/// The built-in agents, with what they may touch; `work` is where the folders of shell commands are made and removed.
pub(crate) fn builtin(work: &Path, workshop: Workshop) -> Result<Builtin, ApiError> {
    let broken = |e: &dyn std::fmt::Display| ApiError::new(Kind::Failed, "INTERNAL", e);
    let program = std::env::current_exe().map_err(|e| broken(&e))?;
    let config = ephor_agents::Config {
        read_roots: workshop.read,
        out: workshop.out,
        shell: shell::Config {
            folder: work.to_owned(),
            sandbox: sandbox::Config {
                launcher: vec![program.clone().into(), "sandbox-exec".into()],
                enforcement: sandbox::Enforcement::Required,
                namespaces: true,
                readable: vec![program],
            },
            limits: sandbox::Limits::default(),
        },
        http: http::Config::default(),
        mail: workshop.mail,
        gates: gate::Config { reach: workshop.reach },
        secrets: secrets::Source::default(),
    };
    Builtin::new(config).map_err(|e| broken(&e))
}

/// The engine, and whoever works for it in this process.
pub(super) struct LocalSession {
    pub(super) api: LocalApi,
    /// Whether its agents are told of which trace their work is.
    pub(super) traced: bool,
    crew: Vec<Crew>,
}

/// How long the built-in agents may take to end their work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as workers do by default: somebody waits for a job.
    Long,
    /// A server has to be gone within ten seconds (promise 23).
    Short,
}

/// How long agents of a server that stops may go on, and then how long they may take to end what they were told to.
const SHORT_DRAIN_MS: u64 = 3_000;
const SHORT_GRACE_MS: u64 = 2_000;

/// Built-in agents at work under one identity.
struct Crew {
    drain: oneshot::Sender<()>,
    worker: JoinHandle<worker::Drained>,
}

impl LocalSession {
    /// The engine of a session that decides.
    pub(super) fn engine(&self) -> Engine {
        self.api.engine.clone().expect("only a session that decides is asked for its engine")
    }

    /// Lets the built-in agents work in this process.
    pub(super) async fn employ(&mut self, database: &Path, workshop: Workshop, patience: Patience) -> Result<(), ApiError> {
        let engine = self.engine();
        let concurrency = workshop.agents;
        let builtin = builtin(&database.parent().unwrap_or(Path::new(".")).join("work"), workshop)?;
        let steps = (BUILTIN, "the built-in agents of this process", builtin.capabilities(), builtin.agents());
        // Under an identity of their own: whoever did a step does not judge it.
        let gates = (BUILTIN_GATES, "judges results as their gates say", builtin.judging(), builtin.judges());
        for (name, role, capabilities, agents) in [steps, gates] {
            let registration = Registration {
                name: name.into(),
                role: Some(role.into()),
                capabilities: capabilities.into_iter().map(Into::into).collect(),
                external_id: Some(name.into()),
                in_process: true,
                ..Registration::default()
            };
            let id = engine.register(None, registration, Actor::settle()).await.map_err(|e| super::api::trouble(e, None))?;
            let mut options = worker::Options::new(id);
            options.concurrency = concurrency.unwrap_or(options.concurrency);
            if patience == Patience::Short {
                (options.drain_ms, options.grace_ms) = (SHORT_DRAIN_MS, SHORT_GRACE_MS);
            }
            let claims = engine.clone();
            let transport = Arc::new(InProcess::new(engine.clone(), id).traced(self.traced));
            let worker = Worker::new(transport, options, agents, move || claims.new_claim_id());
            let (drain, drained) = oneshot::channel::<()>();
            // Dropped without a word it is as good as told.
            let worker = tokio::spawn(worker.run(async move { drop(drained.await) }));
            self.crew.push(Crew { drain, worker });
        }
        self.api.unmanned = None;
        Ok(())
    }
}

impl LocalSession {
    /// Lets the built-in agents end their work and go.
    pub(super) async fn dismiss(&mut self) {
        let (drains, workers): (Vec<_>, Vec<_>) = self.crew.drain(..).map(|Crew { drain, worker }| (drain, worker)).unzip();
        // All are told at once; then each is waited for.
        drop(drains);
        for worker in workers {
            match worker.await {
                Ok(drained) if drained.unreported > 0 => {
                    tracing::warn!(unreported = drained.unreported, "attempts ended without a report; they are offered again");
                }
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "the worker panicked"),
            }
        }
    }
}

impl Session for LocalSession {
    fn api(&self) -> &dyn Api {
        &self.api
    }

    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut session = *self;
            session.dismiss().await;
            if let Some(engine) = session.api.engine
                && tokio::task::spawn_blocking(move || engine.stop()).await.is_err()
            {
                tracing::error!("the engine panicked while it stopped");
            }
        })
    }
}
