//! The configuration file of an engine, `ephor.yaml`: the numbers its house decides by, how much its server lets in, when waiting work
//! counts as stalled, and which agents a server knows from its start on. What the file leaves out stands as it does without one; the environment outranks it, a flag both.

mod edit;
mod execution;
mod hooks;
mod line;
mod mail;
mod models;
mod names;
mod reload;
mod telemetry;
#[cfg(test)]
mod tests;
mod watch;
mod workers;

pub use execution::{ResourceLimits, TaskExecution};
pub use hooks::Hooks;
pub use reload::Reloaded;
pub(crate) use reload::Reloader;
pub use telemetry::{Otlp, Telemetry};
pub use watch::{Percent, Thresholds, Watch};
pub(crate) use workers::{BUILTIN, BUILTIN_GATES};

use crate::api::{ApiError, Kind};
use crate::cli::LimitArgs;
use ephor_core::agent::Registration;
use ephor_core::constitution::{Flaw, Law};
use ephor_core::policy::{Policy, StallStrategy};
use ephor_core::time::WireDuration;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that is read where none is named and one is there.
pub const FILE: &str = "ephor.yaml";
/// The largest file, in bytes: a configuration is written by hand.
const BYTES_MAX: u64 = 1 << 20;
/// How deep its values may nest.
const DEPTH_MAX: usize = 16;

/// What an engine is told before it starts.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// The numbers to decide by, those of `monitoring` among them.
    pub policy: Arc<Policy>,
    /// The file of the constitution, where the house has one of its own.
    pub constitution: Option<PathBuf>,
    /// How much a server lets in.
    pub(crate) limits: LimitArgs,
    /// When waiting work counts as stalled.
    pub monitoring: Monitoring,
    /// How tasks are run; what also stands in `policy` and `monitoring` is the same there.
    pub task_execution: TaskExecution,
    /// The file a server's log goes to, where it is not standard error.
    pub log_file: Option<PathBuf>,
    /// Places in private networks that gates may ask, as `host:port`.
    pub reach: Vec<String>,
    /// Who takes the mails of this house.
    pub mail: Option<ephor_agents::email::Server>,
    /// Agents a server knows from its start on.
    pub workers: Arc<[Registration]>,
    /// How a server tells others over HTTP.
    pub hooks: Hooks,
    /// Whether traces and figures are sent on, and where to.
    pub telemetry: Telemetry,
    /// What the file says, to tell it from what stands by default.
    said: Value,
}

/// When waiting work counts as stalled, and what follows (S2-56…61); what a server watches of itself (S1-129…133).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitoring {
    /// Whether waiting work is watched at all.
    pub enabled: bool,
    /// How long the clock may sleep at most before it looks for stalled work, in seconds. It looks sooner: at the very instant.
    pub check_interval_seconds: u64,
    /// How long work may wait for an agent before it counts as stalled, in seconds.
    pub pending_timeout_seconds: u64,
    /// What follows: `log_only`, `mark_stalled`, `reassign` or `escalate`.
    pub escalation_strategy: StallStrategy,
    /// How often a server looks at what runs.
    pub progress_interval: WireDuration,
    /// How far back figures reach.
    pub metrics_retention: WireDuration,
    /// Beyond what it warns.
    pub alert_thresholds: Thresholds,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self::of(&Policy::default(), Watch::default())
    }
}

impl Monitoring {
    /// The keys, each with what it means.
    pub const KEYS: [(&str, &str); 4] = [
        ("enabled", "whether waiting work is watched at all"),
        ("check_interval_seconds", "how long the clock may sleep at most before it looks for stalled work"),
        ("pending_timeout_seconds", "how long work may wait for an agent before it counts as stalled"),
        ("escalation_strategy", "what follows: log_only, mark_stalled, reassign or escalate"),
    ];

    fn of(policy: &Policy, watch: Watch) -> Self {
        Self {
            enabled: policy.stall_watch,
            check_interval_seconds: policy.check_interval.ms / 1_000,
            pending_timeout_seconds: policy.stall_after.ms / 1_000,
            escalation_strategy: policy.stall_strategy,
            progress_interval: watch.progress_interval,
            metrics_retention: watch.metrics_retention,
            alert_thresholds: watch.alert_thresholds,
        }
    }

    /// What a server watches of itself.
    pub fn watch(&self) -> Watch {
        let Self { progress_interval, metrics_retention, alert_thresholds, .. } = self.clone();
        Watch { progress_interval, metrics_retention, alert_thresholds }
    }
}

/// The file as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    policy: Policy,
    limits: LimitArgs,
    monitoring: Option<Monitoring>,
    task_execution: TaskExecution,
    workers: Vec<workers::Worker>,
    constitution: Option<PathBuf>,
    log: WrittenLog,
    webhooks: Hooks,
    telemetry: Telemetry,
    gates: WrittenGates,
    mail: mail::Written,
    models: Option<models::Written>,
}

/// The section `gates` as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenGates {
    reach: Vec<String>,
}

/// The section `log` as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenLog {
    file: Option<PathBuf>,
}

/// One value of the configuration, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its section and key: `policy.lease`.
    pub name: String,
    /// Its value, as it would be written.
    pub value: Option<String>,
    /// Whether the file says so.
    pub said: bool,
}

impl Config {
    /// Reads the file that is named; where none is, `ephor.yaml` in this folder if it is there.
    pub fn find(named: Option<&Path>) -> Result<Self, ApiError> {
        match named {
            Some(file) => Self::read(file),
            None if Path::new(FILE).exists() => Self::read(Path::new(FILE)),
            None => {
                let mail = mail::Written::default().server(mail::environment);
                let mail = mail.map_err(|why| ApiError::new(Kind::Invalid, "CONFIG", why))?;
                Ok(Self { mail, telemetry: Telemetry::default().with(mail::environment), ..Self::default() })
            }
        }
    }

    /// Reads a file. What makes no sense is told with its line and what is allowed.
    pub fn read(file: &Path) -> Result<Self, ApiError> {
        let broken = |error: std::io::Error| {
            let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Failed };
            ApiError::new(kind, "FILE", format!("{}: {error}", file.display()))
        };
        if std::fs::metadata(file).map_err(broken)?.len() > BYTES_MAX {
            return Err(ApiError::new(Kind::Invalid, "CONFIG", format!("{}: more than {BYTES_MAX} bytes", file.display())));
        }
        let text = std::fs::read_to_string(file).map_err(broken)?;
        Self::of(&text, file)
    }

    /// What a file would say that held this.
    fn of(text: &str, file: &Path) -> Result<Self, ApiError> {
        let mut config = Self::from_text(text).map_err(|why| {
            ApiError::new(Kind::Invalid, "CONFIG", format!("{}: {why}", file.display())).then("ephor config list")
        })?;
        let beside = |named: &PathBuf| file.parent().map_or(named.clone(), |folder| folder.join(named));
        config.log_file = config.log_file.as_ref().map(beside);
        Self { file: Some(file.to_owned()), ..config }.with_law(text)
    }

    /// Changes one value of a file, which is made where it is missing; nothing else of it changes. Nothing is written that would not be
    /// read.
    ///
    /// # Errors
    /// What makes no sense is told with its line and what is allowed, as when the file is read.
    pub fn set(file: &Path, name: &str, value: &str) -> Result<(), ApiError> {
        let broken = |error: std::io::Error| ApiError::new(Kind::Failed, "FILE", format!("{}: {error}", file.display()));
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(broken(error)),
        };
        if !text.is_empty() {
            // What is wrong already is not the fault of this value.
            Self::of(&text, file)?;
        }
        let wrong = |why: String| ApiError::new(Kind::Invalid, "CONFIG", format!("{}: {why}", file.display()));
        let changed = edit::set(&text, name, value).map_err(wrong)?;
        let config = Self::of(&changed, file)?;
        let said = name.split('.').try_fold(&config.said, |said, part| said.get(part));
        if said.is_none_or(Value::is_null) {
            return Err(wrong(format!("{name} could not be set there; change it in the file")));
        }
        // Beside it first, so that it is never half of one and half of the other; where it is a link, beside what it leads to.
        let place = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let beside = place.with_extension("yaml.new");
        let write = || {
            let mut new = std::fs::File::create(&beside)?;
            if let Ok(known) = std::fs::metadata(&place) {
                new.set_permissions(known.permissions())?;
            }
            std::io::Write::write_all(&mut new, changed.as_bytes())?;
            new.sync_all()?;
            std::fs::rename(&beside, &place)
        };
        write().map_err(broken)
    }

    /// Reads the constitution it names, beside it where the path is relative.
    fn with_law(mut self, text: &str) -> Result<Self, ApiError> {
        let Some(named) = &self.constitution else { return Ok(self) };
        let path = self.file.as_deref().and_then(Path::parent).map_or(named.clone(), |folder| folder.join(named));
        let file = self.file.as_deref().unwrap_or(Path::new(FILE)).display();
        let wrong = |why: String| {
            let told = line::told(text, &format!("constitution: {}: {why}", path.display()));
            ApiError::new(Kind::Invalid, "CONFIG", format!("{file}: {told}"))
        };
        let document = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let flaws = |flaws: Vec<Flaw>| flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let law = Law::read(&document)
            .map_err(|found| wrong(flaws(found)).then(format!("ephor constitution check {}", path.display())))?;
        self.policy = Arc::new(Policy { law: Some(Arc::new(law)), ..(*self.policy).clone() });
        self.constitution = Some(path);
        Ok(self)
    }

    /// Reads what stands in a file.
    pub fn from_text(text: &str) -> Result<Self, String> {
        // A file of comments alone says nothing.
        let said: Value = from_yaml::<Option<Value>>(text)?.unwrap_or_default();
        if said.is_null() {
            let mail = mail::Written::default().server(mail::environment)?;
            return Ok(Self { mail, telemetry: Telemetry::default().with(mail::environment), ..Self::default() });
        }
        Self::whole(text, said).map_err(|why| line::told(text, &why))
    }

    /// The same of a file that says something. What is wrong is told by the name of its key.
    fn whole(text: &str, said: Value) -> Result<Self, String> {
        let Written {
            mut policy,
            limits,
            monitoring,
            task_execution,
            workers,
            constitution,
            log,
            gates,
            webhooks: hooks,
            telemetry,
            mail,
            models,
        } = from_yaml(text).map_err(|why| keyed::<Written>(why, &said))?;
        if log.file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            return Err("log.file is empty; name a file, or leave it out".into());
        }
        if let Some(place) = gates.reach.iter().find(|place| !is_place(place)) {
            return Err(format!("gates.reach: {place:?} does not read HOST:PORT, as localhost:8080"));
        }
        let workers = workers::registrations(workers)?.into();
        let says = |section: &str, key: &str| said.get(section).is_some_and(|section| section.get(key).is_some());
        if let Some(problem) = names::twice(&said) {
            return Err(problem);
        }
        if let Some(problem) = hooks.problem().or_else(|| telemetry.problem()) {
            return Err(problem);
        }
        let mut watch = monitoring.as_ref().map(Monitoring::watch).unwrap_or_default();
        if let Some(problem) = watch.problem("monitoring").or_else(|| task_execution.problem()) {
            return Err(problem);
        }
        task_execution.put_into(&mut policy, &mut watch, |key| names::says(&said, &format!("task_execution.{key}")));
        if let Some(monitoring) = monitoring {
            let seconds = |key: &str, seconds: u64| match seconds {
                1..=31_536_000 => Ok(WireDuration { ms: seconds * 1_000 }),
                _ => Err(format!("monitoring.{key} is {seconds}; allowed are 1 to 31536000 seconds")),
            };
            if says("monitoring", "enabled") {
                policy.stall_watch = monitoring.enabled;
            }
            if says("monitoring", "check_interval_seconds") {
                policy.check_interval = seconds("check_interval_seconds", monitoring.check_interval_seconds)?;
            }
            if says("monitoring", "pending_timeout_seconds") {
                policy.stall_after = seconds("pending_timeout_seconds", monitoring.pending_timeout_seconds)?;
            }
            if says("monitoring", "escalation_strategy") {
                policy.stall_strategy = monitoring.escalation_strategy;
            }
        }
        if let Some(written) = models {
            policy.models = models::catalogue(written)?;
        }
        if let Some(problem) = policy.problems().into_iter().next() {
            return Err(format!("policy.{problem}"));
        }
        Ok(Self {
            file: None,
            monitoring: Monitoring::of(&policy, watch.clone()),
            task_execution: TaskExecution::of(&policy, task_execution.max_concurrent_tasks, watch),
            policy: Arc::new(policy),
            constitution,
            limits,
            log_file: log.file,
            reach: gates.reach,
            mail: mail.server(mail::environment)?,
            workers,
            hooks,
            telemetry: telemetry.with(mail::environment),
            said,
        })
    }

    /// Whether the file says something about a key of a section.
    pub fn says(&self, section: &str, key: &str) -> bool {
        self.said.get(section).is_some_and(|section| section.get(key).is_some())
    }

    /// The policy of an engine on this machine: whoever has the database file may decide alone where no council exists, and the
    /// review says so; unless the file says otherwise.
    pub fn house(&self) -> Arc<Policy> {
        match self.says("policy", "solo") {
            true => self.policy.clone(),
            false => Arc::new(Policy { solo: true, ..(*self.policy).clone() }),
        }
    }

    /// Every value of the file but the limits of a server.
    pub fn settings(&self) -> Vec<Setting> {
        let policy = object(&*self.house());
        let of = |section: &str, key: &str, value: &Value, said: bool| Setting {
            name: format!("{section}.{key}"),
            value: match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
            said,
        };
        let mut parts = Vec::new();
        collect("monitoring", Value::Object(object(&self.monitoring)), &mut parts);
        collect("task_execution", Value::Object(object(&self.task_execution)), &mut parts);
        let parts = parts.into_iter().map(|(name, value)| {
            let said = names::says_either(&self.said, &name);
            Setting { value, name, said }
        });
        // What `monitoring` says of the policy is told there.
        let shared = names::ALIKE.map(|(one, other)| if one.starts_with("monitoring.") { other } else { "" });
        let rest = policy.iter().filter(|(key, _)| !shared.contains(&format!("policy.{key}").as_str()));
        let workers = self.workers.iter().map(|worker| Setting {
            name: format!("workers.{}", worker.external_id.as_deref().unwrap_or_default()),
            value: Some(workers::told(worker)),
            said: true,
        });
        let of_house = rest.flat_map(|(key, value)| match value {
            // What is otherwise for a type is told number by number.
            Value::Object(types) if key == "by_type" => {
                let own = |(name, own): (&String, &Value)| -> Vec<Setting> {
                    let numbers = own.as_object().into_iter().flatten();
                    let told = |value: &Value| match value.get("steps").and_then(Value::as_array) {
                        Some(steps) => Value::String(format!("{} steps", steps.len())),
                        None => value.clone(),
                    };
                    numbers.map(|(key, value)| of(&format!("policy.by_type.{name}"), key, &told(value), true)).collect()
                };
                types.iter().flat_map(own).collect()
            }
            value => vec![of("policy", key, value, names::says_either(&self.said, &format!("policy.{key}")))],
        });
        let law = Setting {
            name: "constitution".into(),
            value: Some(self.constitution.as_ref().map_or("the shipped one".into(), |file| file.display().to_string())),
            said: self.constitution.is_some(),
        };
        let log = Setting {
            name: "log.file".into(),
            value: self.log_file.as_ref().map(|file| file.display().to_string()),
            said: self.log_file.is_some(),
        };
        let reach = Setting {
            name: "gates.reach".into(),
            value: (!self.reach.is_empty()).then(|| self.reach.join(", ")),
            said: !self.reach.is_empty(),
        };
        let hooks = self.hooks.values().map(|(key, value)| Setting {
            name: format!("webhooks.{key}"),
            value: Some(value),
            said: self.says("webhooks", key),
        });
        let mail = mail::settings(self.mail.as_ref(), |key| self.says("mail", key));
        let models = models::settings(&self.policy.models, |key| self.says("models", key));
        let telemetry =
            self.telemetry.settings(|key| self.says("telemetry", "otlp") && self.said["telemetry"]["otlp"].get(key).is_some());
        parts
            .chain(of_house)
            .chain([law, log, reach])
            .chain(hooks)
            .chain(telemetry)
            .chain(mail)
            .chain(models)
            .chain(workers)
            .collect()
    }
}

/// The plain values of a value, each with its name and as it would be written.
fn collect(name: &str, value: Value, parts: &mut Vec<(String, Option<String>)>) {
    let value = match value {
        Value::Object(fields) => {
            return fields.into_iter().for_each(|(key, field)| collect(&format!("{name}.{key}"), field, parts));
        }
        // It is written small in this section.
        Value::String(text) if name == "task_execution.default_mode" => Some(text.to_ascii_lowercase()),
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    parts.push((name.to_owned(), value));
}

/// Whether a text names a host and a port.
fn is_place(text: &str) -> bool {
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    text.rsplit_once(':').is_some_and(|(host, at)| !host.is_empty() && !host.contains('/') && port(at))
}

fn object<T: Serialize>(value: &T) -> Map<String, Value> {
    match serde_json::to_value(value).expect("a configuration is plain data") {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What is wrong, by the name of its key, which the reader of YAML does not tell; as that told it where no key is to be found.
fn keyed<T: DeserializeOwned>(why: String, said: &Value) -> String {
    let Err(error) = serde_path_to_error::deserialize::<_, T>(said.clone()) else { return why };
    let (path, told) = (error.path().to_string(), error.inner().to_string());
    // What nobody knows is named already.
    let named = path == "." || told.starts_with("unknown field");
    if named { why } else { format!("{path}: {told}") }
}

/// Reads YAML 1.2; an error says line, key and what is allowed.
fn from_yaml<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, flow_nesting_limit: DEPTH_MAX, max_documents: 1 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|at| format!("line {}: ", at.line())).unwrap_or_default();
        let told = error.without_snippet().to_string();
        let message = told.split(" at line ").next().unwrap_or_default().trim_start_matches("error: ");
        format!("{line}{message}")
    })
}
