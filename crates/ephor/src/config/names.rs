//! Values that have two names, because the sources say them in one section and the house in another. Each is said once.

use serde_json::Value;

/// A name, and the other.
pub(super) const ALIKE: [(&str, &str); 15] = [
    ("monitoring.enabled", "policy.stall_watch"),
    ("monitoring.check_interval_seconds", "policy.check_interval"),
    ("monitoring.pending_timeout_seconds", "policy.stall_after"),
    ("monitoring.escalation_strategy", "policy.stall_strategy"),
    ("task_execution.default_mode", "policy.default_mode"),
    ("task_execution.default_timeout", "policy.attempt_timeout"),
    ("task_execution.quality_gate_timeout", "policy.gate_wait"),
    ("task_execution.resource_limits.max_cpu_cores", "policy.resource_limits.cpu_cores"),
    ("task_execution.resource_limits.max_memory_mb", "policy.resource_limits.memory_mb"),
    ("task_execution.resource_limits.max_storage_gb", "policy.resource_limits.storage_gb"),
    ("task_execution.monitoring.progress_interval", "monitoring.progress_interval"),
    ("task_execution.monitoring.metrics_retention", "monitoring.metrics_retention"),
    ("task_execution.monitoring.alert_thresholds.duration_warning", "monitoring.alert_thresholds.duration_warning"),
    ("task_execution.monitoring.alert_thresholds.memory_warning", "monitoring.alert_thresholds.memory_warning"),
    ("task_execution.monitoring.alert_thresholds.error_rate_warning", "monitoring.alert_thresholds.error_rate_warning"),
];

/// Whether the file says something under exactly this name.
pub(super) fn says(said: &Value, name: &str) -> bool {
    name.split('.').try_fold(said, |said, part| said.get(part)).is_some()
}

/// Whether the file says it or a part of it, under this name or the other.
pub(super) fn says_either(said: &Value, name: &str) -> bool {
    let is_it = |known: &str| known.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let other = |(one, other): &(&'static str, &'static str)| match (is_it(one), is_it(other)) {
        (true, _) => Some(*other),
        (false, true) => Some(*one),
        (false, false) => None,
    };
    says(said, name) || ALIKE.iter().filter_map(other).any(|other| says(said, other))
}

/// A value that is said under both of its names.
pub(super) fn twice(said: &Value) -> Option<String> {
    let both = ALIKE.iter().find(|(one, other)| says(said, one) && says(said, other))?;
    Some(format!("{} and {} are one number; give one of them", both.0, both.1))
}

/// Of names that mean the same value, the one that a file says: the first of these that says one.
pub(super) fn once(mut names: Vec<String>, files: [&Value; 2]) -> Vec<String> {
    for (one, other) in ALIKE {
        if [one, other].iter().all(|name| names.iter().any(|known| known == name)) {
            let told = files.iter().flat_map(|said| [one, other].into_iter().filter(|name| says(said, name))).next();
            let silent = if told == Some(other) { one } else { other };
            names.retain(|name| name != silent);
        }
    }
    names
}
