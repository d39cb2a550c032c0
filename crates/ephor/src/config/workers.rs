//! Agents that the house knows by its configuration before they come (S1-134…136).

use ephor_core::agent::capability::Capability;
use ephor_core::agent::{Agent, AgentCommand, Registration};
use ephor_core::id::AgentId;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The most of them: a list that is written by hand.
const WORKERS_MAX: usize = 1_000;
/// The name of the built-in agents of a server's own process, which nobody else goes by.
pub(crate) const BUILTIN: &str = "builtin";
/// The same for those that judge: whoever does a step does not judge it.
pub(crate) const BUILTIN_GATES: &str = "builtin.gates";

/// An agent as the file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Worker {
    /// Its own name for itself: it is found again by it.
    id: String,
    /// For people; its id where it is missing.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    role: Option<String>,
    capabilities: Vec<Capability>,
    #[serde(default)]
    resources: BTreeMap<Box<str>, u64>,
    #[serde(default)]
    models: Vec<Box<str>>,
    #[serde(default)]
    tier: Option<String>,
    #[serde(default)]
    slots: Option<u32>,
    #[serde(default)]
    namespace: Option<Box<str>>,
}

/// What is registered for them, checked by the rules of every registration. An error names the worker, the field and what is allowed.
pub(super) fn registrations(said: Vec<Worker>) -> Result<Vec<Registration>, String> {
    if said.len() > WORKERS_MAX {
        return Err(format!("workers: there are {}; allowed are {WORKERS_MAX}", said.len()));
    }
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for (i, worker) in said.into_iter().enumerate() {
        let id = worker.id.clone();
        if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) {
            return Err(format!("workers[{i}].id is {id:?}; allowed are 1 to 256 bytes without control characters"));
        }
        if id == BUILTIN || id == BUILTIN_GATES || id.parse::<AgentId>().is_ok() {
            return Err(format!("workers[{i}].id is {id:?}, which names an agent of the server's own; choose another name"));
        }
        if !names.insert(id.clone()) {
            return Err(format!("workers[{i}].id is {id:?}, which is said twice"));
        }
        // The rules sort and check what is said as if the agent said it itself.
        let mut agent = Agent::unknown(AgentId::new(0, [0; 10]));
        agent
            .handle(AgentCommand::Register(Box::new(worker.registration())))
            .map_err(|no| format!("workers[{i}], {id}: {no}"))?;
        all.extend(agent.registration);
    }
    Ok(all)
}

impl Worker {
    fn registration(self) -> Registration {
        Registration {
            name: self.name.unwrap_or_else(|| self.id.clone()),
            role: self.role,
            capabilities: self.capabilities.into_iter().map(Capability::word).collect(),
            models: self.models,
            resources: self.resources,
            tier: self.tier,
            slots: self.slots,
            external_id: Some(self.id),
            namespace: self.namespace,
            monitoring_endpoints: Vec::new(),
            in_process: false,
        }
    }
}

/// One line of what a worker has, for people.
pub(super) fn told(said: &Registration) -> String {
    let mut parts = vec![said.capabilities.join(", ")];
    if !said.resources.is_empty() {
        let has: Vec<String> = said.resources.iter().map(|(what, much)| format!("{what} {much}")).collect();
        parts.push(has.join(", "));
    }
    if !said.models.is_empty() {
        parts.push(format!("models {}", said.models.join(", ")));
    }
    parts.extend(said.tier.as_ref().map(|tier| format!("tier {tier}")));
    parts.extend(said.slots.map(|slots| format!("slots {slots}")));
    parts.extend(said.namespace.as_ref().map(|namespace| format!("namespace {namespace}")));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// The lists of S1-134…136, as they are printed.
    pub(crate) const PRINTED: &str = r#"workers:
  - id: "gpu-worker-01"
    capabilities: ["gpu", "cuda", "tensorflow"]
    resources:
      cpu_cores: 8
      memory_mb: 32768
      gpu_memory_mb: 16384
    models: ["claude-3-opus", "gpt-4", "stable-diffusion"]

  - id: "cpu-worker-01"
    capabilities: ["cpu", "parallel", "memory-intensive"]
    resources:
      cpu_cores: 32
      memory_mb: 131072
      storage_gb: 1000
    models: ["claude-3-sonnet", "gpt-3.5-turbo"]
"#;

    #[test]
    fn the_printed_workers_are_read_with_all_they_have() {
        let config = Config::from_text(PRINTED).unwrap();
        let [gpu, cpu] = &config.workers[..] else { panic!("{:?}", config.workers) };
        assert_eq!((gpu.external_id.as_deref(), gpu.name.as_str()), (Some("gpu-worker-01"), "gpu-worker-01"));
        let words: Vec<&str> = gpu.capabilities.iter().map(|word| &**word).collect();
        assert_eq!(words, ["cuda", "gpu", "tensorflow"]);
        assert_eq!((gpu.resources["cpu_cores"], gpu.resources["memory_mb"], gpu.resources["gpu_memory_mb"]), (8, 32_768, 16_384));
        assert_eq!(gpu.models.len(), 3);
        assert_eq!((cpu.resources["storage_gb"], cpu.resources["memory_mb"]), (1_000, 131_072));
        let rows = config.settings();
        let row = rows.iter().find(|row| row.name == "workers.cpu-worker-01").unwrap();
        let value = row.value.as_deref().unwrap();
        assert!(row.said && value.contains("memory-intensive") && value.contains("storage_gb 1000"), "{value}");
    }

    #[test]
    fn what_makes_no_sense_names_the_worker_the_field_and_what_is_allowed() {
        let two = "workers:\n  - {id: a, capabilities: [x]}\n  - {id: a, capabilities: [x]}\n";
        for (text, parts) in [
            ("workers:\n  - {id: a}\n", ["line 2", "capabilities", "missing"]),
            ("workers:\n  - {id: a, capabilities: []}\n", ["workers[0]", "capabilities", "1 to 1000"]),
            ("workers:\n  - {id: a, capabilities: [x], resources: {wheels: 4}}\n", ["workers[0], a", "wheels", "cpu_cores"]),
            ("workers:\n  - {id: a, capabilities: [x], slots: 0}\n", ["workers[0], a", "slots", "1 to"]),
            ("workers:\n  - {id: '', capabilities: [x]}\n", ["workers[0].id", "1 to 256", ""]),
            ("workers:\n  - {id: builtin, capabilities: [x]}\n", ["workers[0].id", "builtin", "another name"]),
            ("workers:\n  - id: a\n    capabilities: [x]\n    colour: red\n", ["line 4", "colour", "slots"]),
            (two, ["workers[1].id", "\"a\"", "twice"]),
        ] {
            let why = Config::from_text(text).unwrap_err();
            for part in parts {
                assert!(why.contains(part), "{part:?} is missing in {why:?} for {text:?}");
            }
        }
    }
}
