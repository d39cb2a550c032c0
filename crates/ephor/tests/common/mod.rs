//! A server as a process of its own, and commands that ask it.

#![allow(dead_code, reason = "every test takes what it needs")]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A folder with a database, and whoever serves it.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
}

/// A server; it is killed when it goes out of scope.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Kills it as the kernel would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command in this folder, with nothing of the environment that could lead elsewhere.
    pub(crate) fn command(&self, program: impl AsRef<Path>, args: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        let own = std::env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            ["EPHOR_", "OTEL_", "PLANEXE_"].iter().any(|own| name.starts_with(own))
        });
        for name in own {
            command.env_remove(name);
        }
        command.env_remove("DATABASE_URL").env_remove("PORT").env("XDG_CONFIG_HOME", self.path("config"));
        command
    }

    /// An ephor command.
    pub(crate) fn ephor(&self, args: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_ephor"), args)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.ephor(args).output().unwrap()
    }

    /// Runs a command that has to work, and reads what it says as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", text(&output.stdout)))
    }

    /// Starts a server, on a port of its own or on one that is named.
    pub(crate) fn serve(&self, listen: &str, more: &[&str]) -> Server {
        self.serve_with(listen, more, &[])
    }

    /// The same, with more in the environment.
    pub(crate) fn serve_with(&self, listen: &str, more: &[&str], environment: &[(&str, &str)]) -> Server {
        let args: Vec<&str> = ["serve", "--listen", listen].iter().chain(more).copied().collect();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("server.log")).unwrap();
        let mut child = self.ephor(&args).envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let first = BufReader::new(child.stdout.take().unwrap()).lines().next();
        let line = first.expect("the server says where it listens").unwrap();
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Server { child, url }
    }

    /// Submits a request to a server; answers its id.
    pub(crate) fn submit(&self, server: &Server, request: &Value) -> String {
        let body = request.to_string();
        let made = self.json(&["api", "POST", "/api/v1/tasks", "-d", &body, "--server", &server.url]);
        made["id"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
