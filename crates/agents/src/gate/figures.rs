//! Thresholds on figures: those of a JSON report, and the metrics the step reported.

use super::findings::Findings;
use ephor_core::spec::Threshold;
use serde_json::{Map, Value};

/// Judges each threshold. A figure in the report counts before a metric of the same name, since the report is the check's own.
pub(super) fn judge(thresholds: &[Threshold], report: Option<&Value>, metrics: &Map<String, Value>, findings: &mut Findings) {
    if thresholds.is_empty() {
        return;
    }
    let mut held = 0usize;
    for threshold in thresholds {
        let name = &threshold.name;
        let own = report.and_then(|report| figure(report, name));
        match own.or_else(|| metrics.get(name).and_then(number)) {
            Some(figure) if threshold.holds(figure) => held += 1,
            Some(figure) => findings.note("threshold", name, format!("is {figure}, which breaks {}", told(threshold))),
            None => findings.note("threshold", name, format!("is not there, and {} has to hold", told(threshold))),
        }
    }
    findings.part(held == thresholds.len(), held as f64 / thresholds.len() as f64);
}

fn told(threshold: &Threshold) -> String {
    use ephor_core::spec::Compare;
    let sign = match threshold.compare {
        Compare::AtMost => "<=",
        Compare::AtLeast => ">=",
        Compare::Below => "<",
        Compare::Above => ">",
        Compare::Equal => "==",
        Compare::Unequal => "!=",
    };
    format!("{} {sign} {}", threshold.name, threshold.bound)
}

/// A figure by its dotted path: `latency.p95`, `runs.0.ms`; a name that holds dots itself is found too.
fn figure(value: &Value, path: &str) -> Option<f64> {
    if let Some(found) = value.get(path).and_then(number) {
        return Some(found);
    }
    let found = path.split('.').try_fold(value, |value, part| match value {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    });
    found.and_then(number)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Used;
    use ephor_core::spec::GateKind;
    use serde_json::json;

    #[test]
    fn figures_come_from_the_report_then_from_the_metrics() {
        let thresholds: Vec<_> = ["latency.p95 <= 200", "runs.0.ms < 5", "coverage >= 0.8", "errors == 0"]
            .map(|text| Threshold::parse(text).unwrap())
            .into_iter()
            .collect();
        let report = json!({"latency": {"p95": 250}, "runs": [{"ms": "4.5"}], "coverage": 0.9});
        let metrics = json!({"coverage": 0.1, "latency.p95": 1}).as_object().unwrap().clone();
        let mut findings = Findings::new(GateKind::PerformanceTest);
        judge(&thresholds, Some(&report), &metrics, &mut findings);
        let judgement = findings.judgement(&Used::default());
        assert_eq!((judgement.passed, judgement.score), (false, Some(0.5)));
        let told: Vec<_> = judgement.violations.iter().map(|v| (v.place.as_str(), v.message.as_str())).collect();
        assert_eq!(
            told,
            [("latency.p95", "is 250, which breaks latency.p95 <= 200"), ("errors", "is not there, and errors == 0 has to hold")]
        );
    }
}
