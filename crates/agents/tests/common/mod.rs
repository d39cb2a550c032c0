//! The built-in agents in a folder of their own, each step as a trial.

#![allow(clippy::unwrap_used, dead_code, reason = "a test that cannot go on should stop; not every test needs all of it")]

use ephor_agents::sandbox::{self, Enforcement, Limits};
use ephor_agents::{Builtin, Config, http, secrets, shell};
use ephor_core::work::{Failure, Outcome, Success};
use ephor_sdk::agent::Agent;
use ephor_sdk::trial::Trial;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// What `${secrets.TOKEN}` stands for.
pub(crate) const TOKEN: &str = "s3cr3t-t0k3n";

/// A folder with the agents working in it.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) capabilities: Vec<String>,
    agents: Vec<Arc<dyn Agent>>,
}

impl Place {
    /// With limits small enough to be met in a test.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let read = dir.path().join("read");
        std::fs::create_dir(&read).unwrap();
        let mut config = Config {
            read_roots: vec![read],
            out: dir.path().join("out"),
            shell: shell::Config {
                folder: dir.path().join("shell"),
                sandbox: sandbox::Config {
                    launcher: vec![env!("CARGO_BIN_EXE_ephor-sandbox").into()],
                    enforcement: Enforcement::Required,
                    namespaces: true,
                    readable: vec![Path::new(env!("CARGO_BIN_EXE_ephor-sandbox")).into()],
                },
                limits: Limits { timeout_ms: 20_000, memory_bytes: 256 << 20, address_bytes: 1 << 30, ..Limits::default() },
            },
            http: http::Config { allow_private: true, ..http::Config::default() },
            mail: None,
            gates: ephor_agents::gate::Config::default(),
            secrets: secrets::Source { env: |name| (name == "EPHOR_SECRET_TOKEN").then(|| TOKEN.into()), file: None },
        };
        change(&mut config);
        let builtin = Builtin::new(config).unwrap();
        let agents = builtin.agents().into_iter().chain(builtin.judges()).collect();
        Self { dir, capabilities: builtin.capabilities(), agents }
    }

    pub(crate) fn agent(&self, action: &str) -> Arc<dyn Agent> {
        self.agents.iter().find(|agent| agent.actions().iter().any(|a| a == action)).unwrap().clone()
    }

    pub(crate) async fn run(&self, action: &str, params: Value) -> Result<Success, Failure> {
        result(Trial::new(action, params).run(&*self.agent(action)).await)
    }
}

pub(crate) fn result(outcome: Outcome) -> Result<Success, Failure> {
    match outcome {
        Outcome::Succeeded(success) => Ok(success),
        Outcome::Failed(failure) => Err(failure),
        other => panic!("{other:?}"),
    }
}
