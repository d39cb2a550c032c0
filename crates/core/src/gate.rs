//! How a gate is judged by evidence. Arithmetic; where there is no evidence somebody has to be asked.

use crate::spec::{GateKind, GateSpec, Risk};
use crate::work::{Judgement, Success};

/// What the evidence says.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Whether the result may pass.
    pub passed: bool,
    /// From 0 to 1.
    pub score: Option<f64>,
    /// How many violations there were.
    pub violations: u32,
    /// By what: `metric` or `evidence`.
    pub by: &'static str,
}

/// Judges a result by its own evidence; `None` when there is none and an agent or a person has to be asked. A person's review never
/// passes by evidence.
pub fn judge(spec: &GateSpec, success: &Success) -> Option<Found> {
    match spec.kind {
        GateKind::ManualReview => None,
        GateKind::PerformanceTest => {
            let metric = spec.metric.as_deref().and_then(|name| success.metrics.get(name)).and_then(serde_json::Value::as_f64);
            if let (Some(measured), Some(threshold)) = (metric, spec.threshold) {
                return Some(Found {
                    passed: measured <= threshold,
                    score: None,
                    violations: u32::from(measured > threshold),
                    by: "metric",
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
    let severe = spec.severity_threshold.unwrap_or(Risk::Low);
    let counted = judgement.violations.iter().filter(|v| v.severity >= severe).count();
    let tolerated = spec.kind != GateKind::SecurityScan || counted == 0;
    let enough = match (spec.kind, spec.threshold, judgement.score) {
        (GateKind::PerformanceTest, ..) | (_, None, _) => true,
        (_, Some(least), Some(score)) => score >= least,
        (_, Some(_), None) => false,
    };
    Found {
        passed: judgement.passed && tolerated && enough,
        score: judgement.score,
        violations: judgement.violations.len() as u32,
        by: "evidence",
    }
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
