//! How a gate is checked, as it is written: what is run, which reports it leaves, which figures and dependencies have to hold.

use super::GateKind;
use crate::time::WireDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most thresholds, dependencies, files or inputs of one check.
const PARTS_MAX: usize = 100;

/// How a gate is checked. Its texts may refer to what the step sees and, as `${output.x}`, to the result that is judged; addresses in
/// `probes` stand as they are, so that a check carries nothing outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GateCheck {
    /// A line for `/bin/sh -c`, run in a sandbox without a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The program and its arguments, in place of `command`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Variables of the command; the only place where a secret may stand.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Files to be there, by path: texts; anything else is written as JSON.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub files: Map<String, Value>,
    /// Files to be there, by path, as copies of those named, which are looked up in the folders the agent may read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// How long the command, and each probe, may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WireDuration>,
    /// The exit codes that are no failure by themselves; 0 where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exit_codes: Vec<i32>,
    /// The SARIF 2.1.0 report it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sarif: Option<String>,
    /// The JUnit XML report it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub junit: Option<String>,
    /// The JSON report it leaves, for the figures in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// What has to hold of figures, each as `p95_ms <= 200`: those of the JSON report, by dotted path, and the metrics the step reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<String>,
    /// What has to answer: `https://…` with a status below 400, `tcp://host:port` with a connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<String>,
}

impl GateCheck {
    /// Whether something is run.
    pub fn runs(&self) -> bool {
        self.command.is_some() || !self.argv.is_empty()
    }

    /// What is wrong with it: the field, and what is allowed.
    pub fn problems(&self, kind: GateKind) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut wrong = |field, what: &str| problems.push((field, what.to_owned()));
        if kind == GateKind::ManualReview {
            wrong("check", "a MANUAL_REVIEW is judged by a person; leave the check out");
        }
        let reports = self.sarif.is_some() || self.junit.is_some() || self.json.is_some();
        if !self.runs() && !reports && self.thresholds.is_empty() && self.probes.is_empty() {
            wrong("check", "say how: with command, argv, sarif, junit, json, thresholds or probes");
        }
        if self.command.is_some() && !self.argv.is_empty() {
            wrong("check", "give either command or argv");
        }
        if !(self.runs() || self.env.is_empty() && self.exit_codes.is_empty()) {
            wrong("check", "env and exit_codes belong to a command");
        }
        if self.json.is_some() && self.thresholds.is_empty() {
            wrong("check.thresholds", "say what has to hold of the figures in json, as \"p95_ms <= 200\"");
        }
        let sizes = [self.thresholds.len(), self.probes.len(), self.files.len(), self.inputs.len(), self.env.len()];
        if sizes.iter().any(|n| *n > PARTS_MAX) {
            wrong("check", "at most 100 thresholds, probes, files, inputs and variables each");
        }
        if self.timeout.is_some_and(|timeout| timeout.ms == 0) {
            wrong("check.timeout", "is 0; leave it out for the longest that is allowed");
        }
        for text in &self.thresholds {
            if let Err(why) = Threshold::parse(text) {
                wrong("check.thresholds", &why);
            }
        }
        for address in &self.probes {
            if let Err(why) = Probe::parse(address) {
                wrong("check.probes", &why);
            }
        }
        problems
    }
}

/// What has to hold of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Which figure: the name of a metric, or a dotted path.
    pub name: String,
    /// How it is compared.
    pub compare: Compare,
    /// With what.
    pub bound: f64,
}

/// How a figure is compared with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `>`
    Above,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
}

/// Two signs before one: `<=` holds a `<`.
const COMPARES: [(&str, Compare); 6] = [
    ("<=", Compare::AtMost),
    (">=", Compare::AtLeast),
    ("==", Compare::Equal),
    ("!=", Compare::Unequal),
    ("<", Compare::Below),
    (">", Compare::Above),
];

impl Threshold {
    /// Reads `p95_ms <= 200`.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let told = || format!("{text:?} does not read NAME <= NUMBER; allowed are <=, >=, <, >, == and !=");
        let (sign, compare) = COMPARES.into_iter().find(|(sign, _)| text.contains(sign)).ok_or_else(told)?;
        let (name, bound) = text.split_once(sign).ok_or_else(told)?;
        let (name, bound) = (name.trim(), bound.trim().parse::<f64>().map_err(|_| told())?);
        if name.is_empty() || name.contains(char::is_whitespace) || !bound.is_finite() {
            return Err(told());
        }
        Ok(Self { name: name.to_owned(), compare, bound })
    }

    /// Whether it holds of this figure.
    pub fn holds(&self, figure: f64) -> bool {
        match self.compare {
            Compare::AtMost => figure <= self.bound,
            Compare::AtLeast => figure >= self.bound,
            Compare::Below => figure < self.bound,
            Compare::Above => figure > self.bound,
            Compare::Equal => (figure - self.bound).abs() < f64::EPSILON,
            Compare::Unequal => (figure - self.bound).abs() >= f64::EPSILON,
        }
    }
}

/// What has to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// An address that is asked for with GET.
    Http(String),
    /// A host and port that take a connection.
    Tcp(String, u16),
}

impl Probe {
    /// Reads an address.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(address: &str) -> Result<Self, String> {
        if address.contains("${") {
            return Err(format!("{address:?}: an address stands as it is, so that a check carries nothing outside"));
        }
        if address.starts_with("http://") || address.starts_with("https://") {
            return Ok(Self::Http(address.to_owned()));
        }
        let place = address.strip_prefix("tcp://").and_then(|place| place.rsplit_once(':'));
        match place.and_then(|(host, port)| Some((host.trim_matches(['[', ']']), port.parse::<u16>().ok()?))) {
            Some((host, port)) if !host.is_empty() && port > 0 => Ok(Self::Tcp(host.to_owned(), port)),
            Some(_) | None => Err(format!("{address:?}: allowed are http://…, https://… and tcp://HOST:PORT")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_name_a_sign_and_a_number() {
        let reads = |text: &str| Threshold::parse(text).unwrap();
        assert_eq!(reads("p95_ms <= 200"), Threshold { name: "p95_ms".into(), compare: Compare::AtMost, bound: 200.0 });
        assert!(reads("a.b>=0.8").holds(0.8) && !reads("a.b>=0.8").holds(0.79));
        assert!(reads("n<3").holds(2.0) && !reads("n<3").holds(3.0) && !reads("n > 3").holds(3.0));
        assert!(reads("n == 0").holds(0.0) && reads("n != 0").holds(1.0));
        for text in ["", "p95", "<= 2", "a b <= 2", "a <= x", "a <= inf", "a = 2"] {
            assert!(Threshold::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_dependency_is_an_address_as_it_stands() {
        assert_eq!(Probe::parse("tcp://db.example:5432").unwrap(), Probe::Tcp("db.example".into(), 5432));
        assert_eq!(Probe::parse("tcp://[::1]:80").unwrap(), Probe::Tcp("::1".into(), 80));
        assert!(matches!(Probe::parse("https://example.org/health").unwrap(), Probe::Http(_)));
        for address in ["db:5432", "tcp://db", "tcp://:1", "tcp://db:0", "ftp://x", "https://x/${output.secret}"] {
            assert!(Probe::parse(address).is_err(), "{address}");
        }
    }

    #[test]
    fn a_check_says_what_is_wrong_with_it() {
        let wrong = |json: serde_json::Value, kind| {
            let check: GateCheck = serde_json::from_value(json).unwrap();
            check.problems(kind).into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        let kind = GateKind::CodeStyle;
        assert!(wrong(serde_json::json!({"command": "true", "sarif": "x"}), kind).is_empty());
        assert_eq!(wrong(serde_json::json!({}), kind), ["check"]);
        assert_eq!(wrong(serde_json::json!({"command": "true", "argv": ["x"]}), kind), ["check"]);
        assert_eq!(wrong(serde_json::json!({"probes": ["tcp://a:1"], "env": {"A": "b"}}), kind), ["check"]);
        assert_eq!(wrong(serde_json::json!({"json": "a"}), kind), ["check.thresholds"]);
        assert_eq!(wrong(serde_json::json!({"thresholds": ["x"], "probes": ["y"]}), kind), ["check.thresholds", "check.probes"]);
        assert_eq!(wrong(serde_json::json!({"command": "true"}), GateKind::ManualReview), ["check"]);
    }
}
