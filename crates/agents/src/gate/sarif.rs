//! SARIF 2.1.0, the part of it that says what was found: level, rule, message, place. What a tool suppressed, or found to be in order, does
//! not count. Severities follow the level, or the number `security-severity` of the rule where it has one.

use super::findings::Findings;
use ephor_core::spec::Risk;
use ephor_core::work::Violation;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Log {
    version: String,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    tool: Tool,
    results: Option<Vec<Found>>,
    #[serde(default)]
    invocations: Vec<Invocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
}

#[derive(Deserialize)]
struct Tool {
    driver: Driver,
}

#[derive(Deserialize)]
struct Driver {
    #[serde(default)]
    name: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    id: String,
    default_configuration: Configuration,
    help_uri: Option<String>,
    message_strings: BTreeMap<String, Text>,
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Configuration {
    level: Option<Level>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties {
    #[serde(rename = "security-severity")]
    security_severity: Option<serde_json::Value>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Level {
    None,
    Note,
    Warning,
    Error,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Found {
    rule_id: Option<String>,
    rule_index: Option<i64>,
    rule: Option<Reference>,
    level: Option<Level>,
    kind: Option<String>,
    message: Text,
    locations: Vec<Location>,
    suppressions: Vec<Suppression>,
    baseline_state: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    id: Option<String>,
    index: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Text {
    text: Option<String>,
    markdown: Option<String>,
    id: Option<String>,
    arguments: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Location {
    physical_location: Option<Physical>,
    logical_locations: Vec<Logical>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Artifact {
    uri: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Region {
    start_line: Option<u64>,
    start_column: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Logical {
    fully_qualified_name: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Suppression {
    status: Option<String>,
}

/// What a report says.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Everything that counts, in order.
    pub(super) violations: Vec<Violation>,
    /// Where to read about the rules that were broken.
    pub(super) help: BTreeMap<String, String>,
}

impl Scan {
    /// Reads a report.
    ///
    /// # Errors
    /// Why it is none, or says nothing.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let log: Log = serde_json::from_slice(text).map_err(|e| format!("no SARIF: {e}"))?;
        if log.version != "2.1.0" {
            return Err(format!("SARIF {:?}; 2.1.0 is read", log.version));
        }
        let mut scan = Self::default();
        for run in &log.runs {
            let tool = &run.tool.driver.name;
            if run.invocations.iter().any(|invocation| !invocation.execution_successful) {
                return Err(format!("{tool} says that it did not run to its end"));
            }
            for found in run.results.as_ref().ok_or_else(|| format!("the run of {tool} has no results"))? {
                scan.take(found, &run.tool.driver.rules);
            }
        }
        if log.runs.is_empty() {
            return Err("a SARIF report without a run says nothing".into());
        }
        Ok(scan)
    }

    fn take(&mut self, found: &Found, rules: &[Rule]) {
        let index = found.rule_index.or(found.rule.as_ref().and_then(|rule| rule.index));
        let id = found.rule_id.as_deref().or(found.rule.as_ref().and_then(|rule| rule.id.as_deref()));
        // `a/b` is a case of the rule `a`.
        let named = |id: &str| rules.iter().find(|rule| rule.id == id || id.split_once('/').is_some_and(|(a, _)| rule.id == a));
        let rule = index.and_then(|n| rules.get(usize::try_from(n).ok()?)).or_else(|| named(id?));
        if !counts(found) {
            return;
        }
        let level = found.level.or(rule.and_then(|rule| rule.default_configuration.level)).unwrap_or(Level::Warning);
        let Some(severity) = severity(level, rule) else { return };
        let id = id.or(rule.map(|rule| rule.id.as_str())).unwrap_or_default().to_owned();
        if let Some(help) = rule.and_then(|rule| rule.help_uri.clone()) {
            self.help.insert(id.clone(), help);
        }
        let place = found.locations.first().map(place).unwrap_or_default();
        self.violations.push(Violation { severity, rule: id, place, message: message(&found.message, rule) });
    }

    /// One minus what the violations weigh, but not below nothing.
    pub(super) fn score(&self) -> f64 {
        (1.0 - self.violations.iter().map(|v| Findings::weight(v.severity)).sum::<f64>()).max(0.0)
    }
}

/// Whether a result is one that is to be looked at: it failed, is there still, and nobody decided to live with it.
fn counts(found: &Found) -> bool {
    let failed = found.kind.as_deref().is_none_or(|kind| matches!(kind, "fail" | "open" | "review"));
    let accepted = |s: &Suppression| s.status.as_deref().is_none_or(|status| status == "accepted");
    failed && found.baseline_state.as_deref() != Some("absent") && !found.suppressions.iter().any(accepted)
}

fn severity(level: Level, rule: Option<&Rule>) -> Option<Risk> {
    let number = rule.and_then(|rule| rule.properties.security_severity.as_ref());
    let number = number.and_then(|n| n.as_f64().or_else(|| n.as_str()?.trim().parse().ok()));
    match (level, number) {
        (Level::None, _) => None,
        (_, Some(n)) if n >= 9.0 => Some(Risk::Critical),
        (_, Some(n)) if n >= 7.0 => Some(Risk::High),
        (_, Some(n)) if n >= 4.0 => Some(Risk::Medium),
        (_, Some(_)) => Some(Risk::Low),
        (Level::Error, None) => Some(Risk::High),
        (Level::Warning, None) => Some(Risk::Medium),
        (Level::Note, None) => Some(Risk::Low),
    }
}

fn message(said: &Text, rule: Option<&Rule>) -> String {
    let of_rule = |id: &String| rule?.message_strings.get(id)?.text.clone();
    let text = said.text.clone().or(said.markdown.clone()).or_else(|| of_rule(said.id.as_ref()?)).unwrap_or_default();
    said.arguments.iter().enumerate().fold(text, |text, (n, argument)| text.replace(&format!("{{{n}}}"), argument))
}

fn place(location: &Location) -> String {
    if let Some(physical) = &location.physical_location
        && let Some(uri) = &physical.artifact_location.uri
    {
        return match (physical.region.start_line, physical.region.start_column) {
            (Some(line), Some(column)) => format!("{uri}:{line}:{column}"),
            (Some(line), None) => format!("{uri}:{line}"),
            (None, _) => uri.clone(),
        };
    }
    let logical = location.logical_locations.first();
    logical.and_then(|at| at.fully_qualified_name.clone().or(at.name.clone())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(run: Value) -> Result<Scan, String> {
        Scan::read(json!({"version": "2.1.0", "runs": [run]}).to_string().as_bytes())
    }

    fn lint(results: Value, rules: Value) -> Scan {
        read(json!({"tool": {"driver": {"name": "lint", "rules": rules}}, "results": results})).unwrap()
    }

    #[test]
    fn level_rule_message_and_place_become_a_violation() {
        let at =
            json!([{"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": 3, "startColumn": 9}}}]);
        let scan = lint(
            json!([{"ruleId": "E501", "level": "error", "message": {"text": "too long"}, "locations": at}]),
            json!([{"id": "E501", "helpUri": "https://example.org/E501"}]),
        );
        let expected =
            Violation { severity: Risk::High, rule: "E501".into(), place: "a.py:3:9".into(), message: "too long".into() };
        assert_eq!(scan.violations, [expected]);
        assert_eq!(scan.help["E501"], "https://example.org/E501");
        assert!((scan.score() - 0.8).abs() < 1e-9);
    }

    #[test]
    fn the_rule_says_what_a_result_leaves_out() {
        let rules = json!([{"id": "S1", "defaultConfiguration": {"level": "note"}, "messageStrings": {"m": {"text": "{0} in {1}"}}},
            {"id": "S2", "properties": {"security-severity": "9.8"}}, {"id": "S3", "properties": {"security-severity": 5.0}}]);
        let scan = lint(
            json!([{"ruleIndex": 0, "message": {"id": "m", "arguments": ["key", "b.py"]}}, {"ruleId": "S2/x", "message": {}},
                {"rule": {"index": 2}}, {"ruleId": "unknown"}]),
            rules,
        );
        let told: Vec<_> = scan.violations.iter().map(|v| (v.severity, v.rule.as_str(), v.message.as_str())).collect();
        assert_eq!(
            told,
            [
                (Risk::Low, "S1", "key in b.py"),
                (Risk::Critical, "S2/x", ""),
                (Risk::Medium, "S3", ""),
                (Risk::Medium, "unknown", "")
            ]
        );
    }

    #[test]
    fn what_is_suppressed_in_order_or_gone_does_not_count() {
        let scan = lint(
            json!([{"suppressions": [{"kind": "inSource"}]}, {"kind": "pass"}, {"level": "none"}, {"baselineState": "absent"},
                {"suppressions": [{"kind": "external", "status": "rejected"}]}]),
            json!([]),
        );
        assert_eq!(scan.violations.len(), 1);
    }

    #[test]
    fn a_report_that_says_nothing_is_no_report() {
        assert!(Scan::read(b"{}").is_err() && Scan::read(b"[").is_err());
        assert!(Scan::read(br#"{"version": "2.0.0", "runs": []}"#).unwrap_err().contains("2.1.0"));
        assert!(Scan::read(br#"{"version": "2.1.0", "runs": []}"#).is_err());
        let tool = json!({"driver": {"name": "lint"}});
        assert!(read(json!({"tool": tool})).unwrap_err().contains("no results"));
        let broken = json!({"tool": tool, "results": [], "invocations": [{"executionSuccessful": false}]});
        assert!(read(broken).unwrap_err().contains("not run to its end"));
    }
}
