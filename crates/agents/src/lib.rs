//! What Ephor can do by itself, as ordinary agents on the worker loop of `ephor-sdk`: a file per action.
//!
//! | action | does | acts on the outside |
//! |---|---|---|
//! | `shell.run` | a command in a sandbox ([`shell`], [`sandbox`]) | where it asks for the network |
//! | `http.request` | one HTTP request ([`http`]) | unless it is GET or HEAD |
//! | `email.send` | one mail over the SMTP server of the house, where it has one ([`email`]) | yes |
//! | `template.render` | a text from a template ([`template`]) | no |
//! | `files.scan`, `files.read`, `files.write` | reads below the read roots, writes below the out folder ([`files`]) | no |
//! | `links.check` | finds broken links in Markdown ([`links`]) | no |
//! | `analyse` | says what to do about a failure ([`analyse`]) | no |
//! | `gate.check` | judges the result of a step as its gate says ([`gate`]), as an agent of its own | no |
//! | `echo`, `noop` | gives its parameters back; nothing ([`plain`]) | no |
//!
//! Writing below the out folder is no effect on the outside: it is Ephor's own place and a repeated write leaves the same.
//! Work that may not act (dry runs, suggestions) still writes nothing; its output says what was withheld.

use ephor_sdk::agent::Agent;
use std::path::PathBuf;
use std::sync::Arc;

pub mod analyse;
mod blocking;
mod confine;
pub mod email;
pub mod files;
pub mod gate;
mod glob;
pub mod http;
pub mod links;
pub mod outgoing;
pub mod plain;
mod probe;
pub mod sandbox;
pub mod secrets;
pub mod shell;
pub mod template;
mod walk;

/// What the built-in agents may touch.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folders files may be read below; relative paths are looked up in the first.
    pub read_roots: Vec<PathBuf>,
    /// The folder results are written below; made when first needed.
    pub out: PathBuf,
    /// The limits of `shell.run` and how it is kept apart.
    pub shell: shell::Config,
    /// The limits of `http.request`.
    pub http: http::Config,
    /// Who takes the mails of `email.send`; where nobody does, that is left to other agents.
    pub mail: Option<email::Server>,
    /// What `gate.check` may do beyond them.
    pub gates: gate::Config,
    /// Where `${secrets.NAME}` is looked up.
    pub secrets: secrets::Source,
}

/// The built-in agents.
pub struct Builtin {
    agents: Vec<Arc<dyn Agent>>,
    judges: Vec<Arc<dyn Agent>>,
}

impl Builtin {
    /// All of them. Touches neither disk nor network.
    ///
    /// # Errors
    /// What the TLS library says when it cannot start.
    pub fn new(config: Config) -> Result<Self, http::NotReady> {
        let roots = confine::Roots::new(config.read_roots);
        let out = confine::OutFolder::new(config.out);
        let shell = Arc::new(shell::Shell::new(config.shell, config.secrets.clone(), out.clone()));
        let http = Arc::new(http::Http::new(config.http, config.secrets.clone())?);
        let gate = gate::Gate::new(config.gates, shell.clone(), http.clone(), roots.clone(), out.clone())?;
        let mail = config.mail.map(|server| Arc::new(email::Email::new(server, config.secrets)) as Arc<dyn Agent>);
        let mut agents: Vec<Arc<dyn Agent>> = vec![
            shell.clone(),
            http.clone(),
            Arc::new(template::Template::new(roots.clone(), out.clone())),
            Arc::new(files::Files::new(roots.clone(), out)),
            Arc::new(links::Links::new(roots)),
            Arc::new(plain::Plain),
            Arc::new(analyse::Analyst),
        ];
        agents.extend(mail);
        Ok(Self { agents, judges: vec![Arc::new(gate)] })
    }

    /// For a worker that does steps.
    pub fn agents(&self) -> Vec<Arc<dyn Agent>> {
        self.agents.clone()
    }

    /// For a worker that judges, registered under another identity: whoever did a step never judges it.
    pub fn judges(&self) -> Vec<Arc<dyn Agent>> {
        self.judges.clone()
    }

    /// What those that do steps can do, sorted: the capabilities to register with.
    pub fn capabilities(&self) -> Vec<String> {
        actions(&self.agents)
    }

    /// What those that judge can do, sorted.
    pub fn judging(&self) -> Vec<String> {
        actions(&self.judges)
    }
}

fn actions(agents: &[Arc<dyn Agent>]) -> Vec<String> {
    let mut actions: Vec<_> = agents.iter().flat_map(|agent| agent.actions()).collect();
    actions.sort();
    actions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_rules_say_is_built_in_is_built_in() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            read_roots: Vec::new(),
            out: folder.path().to_owned(),
            shell: shell::Config {
                folder: folder.path().to_owned(),
                sandbox: sandbox::Config {
                    launcher: Vec::new(),
                    enforcement: sandbox::Enforcement::Required,
                    namespaces: true,
                    readable: Vec::new(),
                },
                limits: sandbox::Limits::default(),
            },
            http: http::Config::default(),
            mail: None,
            gates: gate::Config::default(),
            secrets: secrets::Source::default(),
        };
        let builtin = Builtin::new(config).unwrap();
        let mut able = [builtin.capabilities(), builtin.judging()].concat();
        able.sort();
        assert_eq!(able, ephor_core::matching::BUILT_IN);
    }
}
