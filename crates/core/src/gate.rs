//! How a gate is judged by evidence. Arithmetic; where there is no evidence somebody has to be asked.

use crate::planted::{self, Fault};
use crate::spec::{GateKind, GateSpec, Risk};
use crate::work::{Judgement, Success, Violation};

/// What the evidence says.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Whether the result may pass.
    pub passed: bool,
    /// From 0 to 1.
    pub score: Option<f64>,
    /// How many violations there were.
    pub violations: u32,
    /// By what: `metric`, `evidence`, `agent`, `person`, `check`, `limit` or `override`.
    pub by: &'static str,
    /// What was found wrong, for people; empty where nothing was.
    pub why: String,
}

impl Found {
    /// It passes without anything to say about it.
    pub(crate) fn yes(by: &'static str) -> Self {
        Self { passed: true, score: None, violations: 0, by, why: String::new() }
    }

    /// It does not pass, and nobody found out more.
    pub(crate) fn no(by: &'static str, why: impl Into<String>) -> Self {
        Self { passed: false, why: why.into(), ..Self::yes(by) }
    }
}

/// How many violations are told in a sentence; each of them stands in the judgement.
const TOLD_MAX: usize = 3;
/// The longest such sentence, in characters.
const TOLD_CHARS_MAX: usize = 1_000;

/// Judges a result by its own evidence; `None` when there is none and an agent or a person has to be asked. A person's review never
/// passes by evidence, nor does a gate that says how it is checked: whoever did the step does not judge it.
pub fn judge(spec: &GateSpec, success: &Success) -> Option<Found> {
    if spec.check.is_some() && !planted::is(Fault::DoersWordCounts) {
        return None;
    }
    match spec.kind {
        GateKind::ManualReview => None,
        GateKind::PerformanceTest => {
            let metric = spec.metric.as_deref().and_then(|name| success.metrics.get(name)).and_then(serde_json::Value::as_f64);
            if let (Some(measured), Some(threshold)) = (metric, spec.threshold) {
                let passed = measured <= threshold;
                let name = spec.metric.as_deref().unwrap_or_default();
                return Some(match passed {
                    true => Found::yes("metric"),
                    false => {
                        let why = format!("{}: {name} is {measured}, above {threshold}", spec.kind.word());
                        Found { violations: 1, ..Found::no("metric", why) }
                    }
                });
            }
            by_evidence(spec, success)
        }
        GateKind::CodeStyle | GateKind::SecurityScan | GateKind::FunctionalTest | GateKind::IntegrationTest => {
            by_evidence(spec, success)
        }
    }
}

fn by_evidence(spec: &GateSpec, success: &Success) -> Option<Found> {
    let judgement = success.evidence.iter().find(|e| e.kind == spec.kind)?;
    Some(Found { by: "evidence", ..weigh(spec, judgement) })
}

/// Applies a gate's thresholds to somebody's judgement: it passes when the judge says so, no violation is as severe as the threshold,
/// and the score does not fall below its threshold.
pub fn weigh(spec: &GateSpec, judgement: &Judgement) -> Found {
    let severe = spec.severity_threshold.or((spec.kind == GateKind::SecurityScan).then_some(Risk::Low));
    let counts = |violation: &&Violation| severe.is_some_and(|severe| violation.severity >= severe);
    let tolerated = judgement.violations.iter().filter(counts).count() == 0;
    let enough = match (spec.kind, spec.threshold, judgement.score) {
        (GateKind::PerformanceTest, ..) | (_, None, _) => true,
        (_, Some(least), Some(score)) => score >= least,
        (_, Some(_), None) => false,
    };
    let passed = judgement.passed && tolerated && enough;
    Found {
        passed,
        score: judgement.score,
        violations: judgement.violations.len() as u32,
        by: "evidence",
        why: if passed { String::new() } else { told(spec, judgement, enough) },
    }
}

/// What was found wrong, in a sentence.
fn told(spec: &GateSpec, judgement: &Judgement, enough: bool) -> String {
    let mut parts: Vec<String> = judgement.violations.iter().take(TOLD_MAX).map(Violation::told).collect();
    if judgement.violations.len() > TOLD_MAX {
        parts.push(format!("and {} more", judgement.violations.len() - TOLD_MAX));
    }
    match (enough, spec.threshold, judgement.score) {
        (true, ..) | (false, None, _) => {}
        (false, Some(least), Some(score)) => parts.push(format!("the score is {score}, below {least}")),
        (false, Some(least), None) => parts.push(format!("there is no score, and at least {least} is asked for")),
    }
    let what = if parts.is_empty() { "it did not pass".to_owned() } else { parts.join("; ") };
    format!("{}: {what}", spec.kind.word()).chars().take(TOLD_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(json: serde_json::Value) -> GateSpec {
        serde_json::from_value(json).unwrap()
    }

    fn success(json: serde_json::Value) -> Success {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_metric_is_compared_with_its_threshold() {
        let gate = spec(json!({"kind": "PERFORMANCE_TEST", "metric": "p99_ms", "threshold": 20}));
        assert!(judge(&gate, &success(json!({"metrics": {"p99_ms": 19.5}}))).unwrap().passed);
        assert!(!judge(&gate, &success(json!({"metrics": {"p99_ms": 21}}))).unwrap().passed);
        assert_eq!(judge(&gate, &success(json!({}))), None);
    }

    #[test]
    fn what_says_how_it_is_checked_is_not_judged_by_who_did_the_step() {
        let gate = spec(json!({"kind": "PERFORMANCE_TEST", "metric": "ms", "threshold": 20, "check": {"command": "bench"}}));
        let own = json!({"metrics": {"ms": 1}, "evidence": [{"kind": "PERFORMANCE_TEST", "passed": true}]});
        assert_eq!(judge(&gate, &success(own)), None);
    }

    #[test]
    fn what_was_found_wrong_is_told() {
        let gate = spec(json!({"kind": "CODE_STYLE", "threshold": 0.9}));
        let violation = |n: u32| json!({"severity": "HIGH", "rule": format!("E{n}"), "place": "a.py:3", "message": "too long"});
        let said = json!({"kind": "CODE_STYLE", "passed": false, "score": 0.5, "violations": [violation(1), violation(2), violation(3), violation(4)]});
        let found = weigh(&gate, &serde_json::from_value(said).unwrap());
        assert!(found.why.starts_with("CODE_STYLE: E1 at a.py:3: too long; E2"), "{}", found.why);
        assert!(found.why.ends_with("and 1 more; the score is 0.5, below 0.9"), "{}", found.why);
    }

    #[test]
    fn a_severity_that_is_named_counts_for_every_kind() {
        let said = json!({"kind": "CODE_STYLE", "passed": true, "violations": [{"severity": "MEDIUM", "message": "x"}]});
        let judged = |gate: serde_json::Value| weigh(&spec(gate), &serde_json::from_value(said.clone()).unwrap()).passed;
        assert!(judged(json!({"kind": "CODE_STYLE"})));
        assert!(!judged(json!({"kind": "CODE_STYLE", "severity_threshold": "MEDIUM"})));
        assert!(judged(json!({"kind": "CODE_STYLE", "severity_threshold": "HIGH"})));
    }

    #[test]
    fn a_violation_below_the_threshold_is_tolerated_by_a_scan() {
        let gate = spec(json!({"kind": "SECURITY_SCAN", "severity_threshold": "HIGH"}));
        let evidence = |severity: &str| json!({"evidence": [{"kind": "SECURITY_SCAN", "passed": true, "violations": [{"severity": severity, "message": "x"}]}]});
        assert!(judge(&gate, &success(evidence("MEDIUM"))).unwrap().passed);
        assert!(!judge(&gate, &success(evidence("HIGH"))).unwrap().passed);
    }

    #[test]
    fn a_person_is_asked_whatever_the_evidence_says() {
        let gate = spec(json!({"kind": "MANUAL_REVIEW", "reviewer": "ann"}));
        assert_eq!(judge(&gate, &success(json!({"evidence": [{"kind": "MANUAL_REVIEW", "passed": true}]}))), None);
    }

    #[test]
    fn a_threshold_without_a_score_does_not_pass() {
        let gate = spec(json!({"kind": "CODE_STYLE", "threshold": 0.8}));
        assert!(!judge(&gate, &success(json!({"evidence": [{"kind": "CODE_STYLE", "passed": true}]}))).unwrap().passed);
    }
}
