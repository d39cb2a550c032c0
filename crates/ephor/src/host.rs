//! What stands behind the command line: whoever opens the engine, or a way to a running one. The CLI knows only this, so that it can
//! be tested without a database, and the engine can change without it.

use crate::api::{Answer, Api, ApiError, Kind};
use crate::config::{Reloaded, Reloader};
use ephor_core::agent::Registration;
use ephor_core::id::AgentId;
use ephor_core::policy::Policy;
use ephor_core::time::WireTime;
use ephor_sdk::client::{Client, Token};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

/// Opens engines and looks after databases.
pub trait Host: Send + Sync {
    /// Opens the engine. Commands that only read do so beside a running engine too; those that decide use the running one if there is
    /// one, else they take its lock.
    fn open<'a>(&'a self, place: &'a Place, need: Need) -> Answer<'a, Box<dyn Session>>;

    /// Checks the ten "must never" (DESIGN §7) on a database.
    fn doctor<'a>(&'a self, place: &'a Place) -> Answer<'a, Vec<Check>>;

    /// Checks the chains of a database, and that they pass through a head that was kept elsewhere, where one is given.
    fn verify<'a>(&'a self, place: &'a Place, kept: Option<[u8; 32]>) -> Answer<'a, Vec<Check>>;

    /// Checks a receipt by its bytes alone, and that a head that was kept elsewhere is one of its commits, where one is given.
    fn verify_receipt<'a>(&'a self, _: Vec<u8>, _: Option<[u8; 32]>) -> Answer<'a, Vec<Check>> {
        NoEngine::none()
    }

    /// A short life of a task from end to end, in a database of its own that is removed afterwards.
    fn selftest(&self) -> Answer<'_, Vec<Check>>;

    /// Moves a database to the newest form, or back by some steps, or only looks; answers with every step there is.
    fn migrate<'a>(&'a self, place: &'a Place, migration: Migration) -> Answer<'a, Vec<MigrationView>>;

    /// Serves a database over HTTP, with the built-in agents at work beside it.
    fn serve<'a>(&'a self, place: &'a Place, serving: Serving) -> Answer<'a, Box<dyn Served>>;

    /// The way to a server: the one that is named, else the one on this machine that has the database open.
    fn server<'a>(&'a self, _: &'a Place) -> Answer<'a, Client> {
        NoEngine::none()
    }

    /// Lends the built-in agents of this machine to a server.
    fn lend<'a>(&'a self, _: &'a Place, _: Lending) -> Answer<'a, Box<dyn Lent>> {
        NoEngine::none()
    }

    /// The launcher of the sandbox: what this program is when `shell.run` starts it again. Speaks on standard input and output.
    fn sandbox_exec(&self) -> ExitCode;
}

/// An open engine.
pub trait Session: Send + Sync {
    /// What can be asked of it.
    fn api(&self) -> &dyn Api;

    /// Lets running work end or gives it back, writes what is owed, and lets go of the database.
    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A server that runs.
pub trait Served: Send + Sync {
    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// The address that opens a session in a browser, once.
    fn login(&self) -> &str;

    /// Where the operator's token is kept.
    fn token_file(&self) -> &Path;

    /// Resolves when it can go on no longer, with the reason.
    fn broken(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;

    /// Reads the configuration anew; what may change in flight does. A file that makes no sense changes nothing, and is told.
    fn reload(&self) -> Answer<'_, Reloaded>;

    /// Takes no more requests, lets those under way and running work end, and lets go of the database.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Agents of this machine at work for a server.
pub trait Lent: Send + Sync {
    /// As whom they are known there.
    fn agent(&self) -> AgentId;

    /// What they offer.
    fn capabilities(&self) -> &[String];

    /// Resolves when they get no more work, with the reason: the agent was revoked, or the key is worth nothing any more.
    fn refused(&mut self) -> Pin<Box<dyn Future<Output = ApiError> + Send + '_>>;

    /// Takes no more work, lets what runs end, and delivers the reports. Answers how many were not heard.
    fn drain(self: Box<Self>) -> Pin<Box<dyn Future<Output = usize> + Send>>;
}

/// Which agents are lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lending {
    /// Their name, for people.
    pub name: String,
    /// The name by which the server knows them again.
    pub external_id: String,
    /// What they offer; all they can do where it is empty.
    pub capabilities: Vec<String>,
    /// What they may touch.
    pub workshop: Workshop,
    /// Where the folders of shell commands are made and removed.
    pub work: PathBuf,
}

/// How a database is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names to answer to beside the address and those of this machine.
    pub hosts: Vec<String>,
    /// How much is let in; by the address where nothing is said.
    pub limits: Option<crate::http::Limits>,
    /// What the built-in agents may touch; none work where it is missing.
    pub workshop: Option<Workshop>,
    /// How often agents of plan executions are to ask for work, in seconds; that interface is switched off where it is missing.
    pub executions_poll_s: Option<u32>,
    /// Whether everything is held from the start.
    pub safe_mode: bool,
    /// How it tells others over HTTP.
    pub hooks: crate::config::Hooks,
    /// Whether it sends on what it does, and where to.
    pub telemetry: crate::config::Telemetry,
    /// What it watches of itself.
    pub watch: crate::config::Watch,
    /// Agents it knows from its start on, each with a name of its own.
    pub workers: Arc<[Registration]>,
    /// Reads its configuration anew.
    pub config: ConfigSource,
}

/// Where a server's configuration comes from, to be read anew.
#[derive(Clone, Default)]
pub struct ConfigSource(pub(crate) Option<Arc<Reloader>>);

impl std::fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConfigSource").field(&self.0.is_some()).finish()
    }
}

impl PartialEq for ConfigSource {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// Where the engine is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// `sqlite:data/ephor.db`, `postgres://…`; the default where it is missing.
    pub database: Option<String>,
    /// A running server, where one is named.
    pub server: Option<String>,
    /// What shows a server who asks.
    pub token: Option<Token>,
    /// Where tasks belong that do not say.
    pub namespace: Option<String>,
    /// The numbers an engine decides by that is opened in this process; those of this machine where it is missing.
    pub policy: Option<Arc<Policy>>,
}

/// What an engine is opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// To look.
    Read,
    /// To submit and decide.
    Decide,
    /// To submit, decide, and do the work with the built-in agents in this process.
    Work(Workshop),
}

/// What the built-in agents may touch, and how much they do at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workshop {
    /// How many pieces of work at once; the default of the configuration where it is missing.
    pub agents: Option<u32>,
    /// The folders they may read below; relative paths are looked up in the first.
    pub read: Vec<PathBuf>,
    /// The folder they write below.
    pub out: PathBuf,
    /// Places in private networks that gates may ask, as `host:port`.
    pub reach: Vec<String>,
    /// Who takes their mails.
    pub mail: Option<ephor_agents::email::Server>,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// What was looked at, or what is wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Where a database is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// To the newest form.
    Up,
    /// Back by so many steps.
    Down(u32),
    /// Nowhere.
    Look,
}

/// One step in the form of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationView {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// When it was taken; missing where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<WireTime>,
}

/// Stands in where no engine is built in: says so to whatever needs one.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEngine;

impl NoEngine {
    fn none<'a, T: Send + 'a>() -> Answer<'a, T> {
        let error = ApiError::new(Kind::Unreachable, "NO_ENGINE", "this build of ephor has no engine");
        Box::pin(std::future::ready(Err(error)))
    }
}

impl Host for NoEngine {
    fn open<'a>(&'a self, _: &'a Place, _: Need) -> Answer<'a, Box<dyn Session>> {
        Self::none()
    }

    fn doctor<'a>(&'a self, _: &'a Place) -> Answer<'a, Vec<Check>> {
        Self::none()
    }

    fn verify<'a>(&'a self, _: &'a Place, _: Option<[u8; 32]>) -> Answer<'a, Vec<Check>> {
        Self::none()
    }

    fn selftest(&self) -> Answer<'_, Vec<Check>> {
        Self::none()
    }

    fn migrate<'a>(&'a self, _: &'a Place, _: Migration) -> Answer<'a, Vec<MigrationView>> {
        Self::none()
    }

    fn serve<'a>(&'a self, _: &'a Place, _: Serving) -> Answer<'a, Box<dyn Served>> {
        Self::none()
    }

    fn sandbox_exec(&self) -> ExitCode {
        ephor_agents::sandbox::exec_main()
    }
}
