//! What a configuration file says, and what is told of one that makes no sense.

use super::*;

#[test]
fn nothing_said_is_the_default() {
    for text in ["", "# nothing\n", "policy: {}\n", "monitoring: {}\nlimits: {}\n"] {
        let config = Config::from_text(text).unwrap_or_else(|why| panic!("{text:?}: {why}"));
        assert_eq!(*config.policy, Policy::default(), "{text:?}");
        assert_eq!(config.monitoring, Monitoring::default());
        assert_eq!(config.limits, LimitArgs::default());
    }
    let default = Monitoring::default();
    assert_eq!(
        (default.enabled, default.check_interval_seconds, default.pending_timeout_seconds, default.escalation_strategy),
        (true, 300, 3_600, StallStrategy::LogOnly)
    );
    let text = "monitoring:\n  progress_interval: 5s\n  alert_thresholds:\n    error_rate_warning: 12.5%\n";
    let watch = Config::from_text(text).unwrap().monitoring.watch();
    let thresholds = Thresholds { error_rate_warning: watch.alert_thresholds.error_rate_warning, ..Thresholds::default() };
    assert_eq!(thresholds.error_rate_warning.part(), 0.125);
    let interval = WireDuration { ms: 5_000 };
    assert_eq!(watch, Watch { progress_interval: interval, alert_thresholds: thresholds, ..Watch::default() });
}

#[test]
fn what_is_said_stands_and_is_known_as_said() {
    let text = "policy:\n  lease: 30s\n  on_agent_lost: block\nmonitoring:\n  pending_timeout_seconds: 120\n  \
                escalation_strategy: mark_stalled\nlimits:\n  body_max: 2MiB\n  streams: 7\n";
    let config = Config::from_text(text).unwrap();
    assert_eq!((config.policy.lease.ms, config.policy.stall_after.ms), (30_000, 120_000));
    assert_eq!(config.policy.stall_strategy, StallStrategy::MarkStalled);
    assert!(config.says("policy", "lease") && !config.says("policy", "gate_wait"));
    let settings = config.settings();
    let of = |name: &str| settings.iter().find(|s| s.name == name).map(|s| (s.value.as_deref(), s.said)).unwrap();
    assert_eq!(of("policy.lease"), (Some("30s"), true));
    assert_eq!(of("policy.gate_wait"), (Some("30m"), false));
    assert_eq!(of("policy.solo"), (Some("true"), false));
    assert_eq!(of("monitoring.pending_timeout_seconds"), (Some("120"), true));
    assert_eq!(of("monitoring.check_interval_seconds"), (Some("300"), false));
}

#[test]
fn what_is_otherwise_for_a_type_is_told_number_by_number() {
    let text = "policy:\n  by_type:\n    invoice:\n      max_retries: 0\n      stall_strategy: escalate\n      retry_policy: {max_attempts: 7}\n";
    let config = Config::from_text(text).unwrap();
    let settings = config.settings();
    let of = |name: &str| settings.iter().find(|s| s.name == name).map(|s| (s.value.as_deref(), s.said));
    assert_eq!(of("policy.by_type.invoice.max_retries"), Some((Some("0"), true)));
    assert_eq!(of("policy.by_type.invoice.stall_strategy"), Some((Some("escalate"), true)));
    assert_eq!(of("policy.by_type"), None);
    for (text, part) in [
        ("policy: {by_type: {invoice: {max_retrys: 0}}}", "max_retries"),
        ("policy: {by_type: {invoice: {max_retries: 5000}}}", "policy.by_type.invoice.max_retries"),
        ("policy: {by_type: {\"in voice\": {max_retries: 1}}}", "in voice"),
        ("policy: {by_type: {invoice: {stall_after: 1ms}}}", "policy.by_type.invoice.stall_after"),
        ("policy: {by_type: {invoice: {retry_policy: {max_attempts: 0}}}}", "policy.by_type.invoice.retry_policy"),
    ] {
        let why = Config::from_text(text).unwrap_err();
        assert!(why.contains(part), "{part} is missing in {why}");
    }
}

#[test]
fn an_error_names_the_line_the_key_and_what_is_allowed() {
    for (text, parts) in [
        ("policy:\n  leese: 30s\n", ["line 2", "leese", "lease"]),
        ("monitoring:\n  enabled: true\n  strategy: x\n", ["line 3", "strategy", "escalation_strategy"]),
        ("colour: red\n", ["line 1", "colour", "monitoring"]),
        ("limits:\n  body_max: much\n", ["line 2", "64MiB", "512KiB"]),
        ("limits:\n  bodies: 2\n", ["line 2", "bodies", "body_max"]),
        ("monitoring:\n  escalation_strategy: shout\n", ["line 2", "shout", "mark_stalled"]),
        ("policy:\n  lease: 10ms\n", ["line 2: policy.lease", "10ms", "500ms"]),
        ("task_execution:\n  max_concurrent_tasks: 0\n", ["line 2", "max_concurrent_tasks is 0", "1 to 1000"]),
        ("task_execution:\n  default_mode: fast\n", ["line 2", "fast", "dry_run"]),
        ("task_execution:\n  default_timeout: 1ms\n", ["line 2: task_execution.default_timeout", "1ms", "500ms"]),
        ("task_execution:\n  resource_limits:\n    max_gpus: 1\n", ["line 3", "max_gpus", "max_cpu_cores"]),
        ("task_execution:\n  monitoring:\n    alert_thresholds:\n      memory_warning: 180%\n", ["line 4", "180%", "80%"]),
        ("task_execution:\n  monitoring:\n    progress_interval: 1ms\n", ["line 3", "progress_interval", "1s to 1h"]),
        ("policy:\n  gate_wait: 5m\ntask_execution:\n  quality_gate_timeout: 9m\n", ["line 4", "one number", "gate_wait"]),
        (
            "monitoring:\n  metrics_retention: 5d\ntask_execution:\n  monitoring: {metrics_retention: 9d}\n",
            ["line 4", "one number", "monitoring.metrics_retention"],
        ),
        ("policy:\n  confidence_min: 3\n", ["policy.confidence_min", "3", "0 to 1"]),
        ("monitoring:\n  pending_timeout_seconds: 0\n", ["line 2: monitoring.pending_timeout_seconds", "is 0", "1 to 31536000"]),
        ("monitoring:\n  progress_interval: 1ms\n", ["line 2: monitoring.progress_interval", "1ms", "1s to 1h"]),
        ("monitoring:\n  alert_thresholds:\n    memory_warning: much\n", ["line 3", "much", "80%"]),
        ("policy:\n  stall_after: 5m\nmonitoring:\n  pending_timeout_seconds: 9\n", ["stall_after", "one number", "pending"]),
    ] {
        let why = Config::from_text(text).unwrap_err();
        for part in parts {
            assert!(why.contains(part), "{part:?} is missing in {why:?} for {text:?}");
        }
    }
}

#[test]
fn who_has_the_file_decides_alone_unless_the_configuration_says_otherwise() {
    assert!(Config::default().house().solo);
    assert!(!Config::from_text("policy: {solo: false}").unwrap().house().solo);
}
