//! The section `task_execution`: how tasks are run, in the words of S1-122…133. What also stands elsewhere is the same value under another
//! name, and is said once.

use super::watch::Watch;
use ephor_core::policy::Policy;
use ephor_core::spec::ExecutionMode;
use ephor_core::time::WireDuration;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

/// How many pieces of work the built-in agents of a process do at once where nothing is said (S1-123), and at most.
const CONCURRENT: u32 = 10;
const CONCURRENT_MAX: u32 = 1_000;

/// How tasks are run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskExecution {
    /// How steps of a task are confirmed that does not say: `auto`, `strict`, `dry_run`.
    #[serde(deserialize_with = "in_any_case")]
    pub default_mode: ExecutionMode,
    /// How many pieces of work the built-in agents of one process do at once.
    pub max_concurrent_tasks: u32,
    /// How long an attempt may take where its step does not say.
    pub default_timeout: WireDuration,
    /// How long a gate waits for its judge; then it has failed.
    pub quality_gate_timeout: WireDuration,
    /// The most one task may ask for without a review.
    pub resource_limits: ResourceLimits,
    /// What a server watches of itself.
    pub monitoring: Watch,
}

/// The most one task may ask for without a review; as much as it likes where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceLimits {
    /// Processor cores.
    pub max_cpu_cores: Option<u64>,
    /// Memory, in MiB.
    pub max_memory_mb: Option<u64>,
    /// Storage, in GiB.
    pub max_storage_gb: Option<u64>,
}

fn in_any_case<'de, D: Deserializer<'de>>(from: D) -> Result<ExecutionMode, D::Error> {
    let text = String::deserialize(from)?;
    let word = text.trim().to_ascii_uppercase().replace(['-', ' '], "_");
    serde_json::from_value(Value::String(word))
        .map_err(|_| D::Error::custom(format!("{text:?} is no mode; allowed are auto, strict, dry_run")))
}

impl Default for TaskExecution {
    fn default() -> Self {
        Self::of(&Policy::default(), CONCURRENT, Watch::default())
    }
}

impl Default for ResourceLimits {
    fn default() -> Self {
        TaskExecution::default().resource_limits
    }
}

impl TaskExecution {
    /// What stands by a policy and what a server watches.
    pub(super) fn of(policy: &Policy, max_concurrent_tasks: u32, monitoring: Watch) -> Self {
        let most = |name: &str| policy.resource_limits.get(name).copied();
        Self {
            default_mode: policy.default_mode,
            max_concurrent_tasks,
            default_timeout: policy.attempt_timeout,
            quality_gate_timeout: policy.gate_wait,
            resource_limits: ResourceLimits {
                max_cpu_cores: most("cpu_cores"),
                max_memory_mb: most("memory_mb"),
                max_storage_gb: most("storage_gb"),
            },
            monitoring,
        }
    }

    /// Writes what is said here into the policy and what is watched. `says` tells which of its keys the file says.
    pub(super) fn put_into(&self, policy: &mut Policy, watch: &mut Watch, says: impl Fn(&str) -> bool) {
        if says("default_mode") {
            policy.default_mode = self.default_mode;
        }
        if says("default_timeout") {
            policy.attempt_timeout = self.default_timeout;
        }
        if says("quality_gate_timeout") {
            policy.gate_wait = self.quality_gate_timeout;
        }
        let limits = &self.resource_limits;
        for (key, name, most) in [
            ("resource_limits.max_cpu_cores", "cpu_cores", limits.max_cpu_cores),
            ("resource_limits.max_memory_mb", "memory_mb", limits.max_memory_mb),
            ("resource_limits.max_storage_gb", "storage_gb", limits.max_storage_gb),
        ] {
            if says(key) {
                policy.resource_limits.remove(name);
                policy.resource_limits.extend(most.map(|most| (name.into(), most)));
            }
        }
        let own = &self.monitoring;
        if says("monitoring.progress_interval") {
            watch.progress_interval = own.progress_interval;
        }
        if says("monitoring.metrics_retention") {
            watch.metrics_retention = own.metrics_retention;
        }
        let (from, to) = (&own.alert_thresholds, &mut watch.alert_thresholds);
        if says("monitoring.alert_thresholds.duration_warning") {
            to.duration_warning = from.duration_warning;
        }
        if says("monitoring.alert_thresholds.memory_warning") {
            to.memory_warning = from.memory_warning;
        }
        if says("monitoring.alert_thresholds.error_rate_warning") {
            to.error_rate_warning = from.error_rate_warning;
        }
    }

    /// What makes no sense, with its key and what is allowed.
    pub(super) fn problem(&self) -> Option<String> {
        if !(1..=CONCURRENT_MAX).contains(&self.max_concurrent_tasks) {
            let said = self.max_concurrent_tasks;
            return Some(format!("task_execution.max_concurrent_tasks is {said}; allowed are 1 to {CONCURRENT_MAX}"));
        }
        let policy = Policy { attempt_timeout: self.default_timeout, gate_wait: self.quality_gate_timeout, ..Policy::default() };
        let named = |field: &str| match field {
            "attempt_timeout" => Some("default_timeout"),
            "gate_wait" => Some("quality_gate_timeout"),
            _ => None,
        };
        let times = policy.problems().into_iter().find_map(|problem| {
            let key = named(&problem.field)?;
            Some(format!("task_execution.{key} {}", problem.message))
        });
        times.or_else(|| self.monitoring.problem("task_execution.monitoring"))
    }
}
