//! `gate.check`: judges the result of a step in the way its gate says: by a command and the reports it leaves, by figures, by whether
//! dependencies answer. What cannot be checked has not passed.
//!
//! It works under an identity of its own, beside the built-in agents that do steps, so that whoever did a step never judges it.

mod figures;
mod findings;
mod junit;
mod sarif;

use crate::blocking;
use crate::confine::{self, OutFolder, Roots, sha256};
use crate::http::probe::PATIENCE;
use crate::http::{self, Http};
use crate::secrets::{self, Used};
use crate::shell::Shell;
use crate::shell::check::{Checked, REPORT_BYTES_MAX};
use ephor_core::spec::{Compare, ErrorClass, GATE_CHECK, GateCheck, GateKind, GateSpec, Probe, Risk, Threshold};
use ephor_core::work::{Failure, GateEvidence, Judgement, Outcome};
use ephor_sdk::agent::{Agent, Job, Running};
use findings::Findings;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What `gate.check` may do beyond what commands and requests may.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Places in private networks that probes may ask, as `host:port`; public ones may always be asked.
    pub reach: Vec<String>,
}

/// `gate.check {command | argv, env, files, inputs, timeout, exit_codes, sarif, junit, json, thresholds, probes}` → a judgement.
///
/// The parts of a check add up: it passes when each of them does, and its score is the lowest of theirs.
pub struct Gate {
    config: Config,
    shell: Arc<Shell>,
    http: Arc<Http>,
    /// Asks what the configuration allows by name, private or not.
    near: Http,
    roots: Roots,
    out: OutFolder,
}

impl Gate {
    pub(crate) fn new(
        config: Config,
        shell: Arc<Shell>,
        http: Arc<Http>,
        roots: Roots,
        out: OutFolder,
    ) -> Result<Self, http::NotReady> {
        let near = Http::new(http::Config { allow_private: true, ..http::Config::default() }, secrets::Source::default())?;
        Ok(Self { config, shell, http, near, roots, out })
    }

    async fn go(&self, job: Job<'_>) -> Result<Judgement, Failure> {
        let subject = &job.item().subject;
        let gate: GateSpec = serde_json::from_value(subject["gate"].clone())
            .map_err(|e| Failure::final_(ErrorClass::BadInput, format!("subject.gate: {e}")))?;
        let mut findings = Findings::new(gate.kind);
        let mut used = Used::default();
        match self.check(job, &gate, &subject["result"]["metrics"], &mut findings, &mut used).await {
            Ok(()) => {}
            // It is asked for again: what is wrong is not the result.
            Err(failure) if failure.class == ErrorClass::Cancelled => return Err(failure),
            Err(failure) => findings.fail("check", "", format!("it could not be checked: {}", failure.message)),
        }
        Ok(findings.judgement(&used))
    }

    async fn check(
        &self,
        job: Job<'_>,
        gate: &GateSpec,
        metrics: &Value,
        findings: &mut Findings,
        used: &mut Used,
    ) -> Result<(), Failure> {
        let check: GateCheck = job.params()?;
        let files = self.files(job, &check).await?;
        let reports = match check.runs() {
            true => {
                job.progress(0.1, "the command runs");
                let checked = self.shell.check(job, &check, &files, used).await?;
                ended(&check, &checked, findings);
                checked.reports
            }
            false => self.reports(job, &check, &files).await?,
        };
        let bar = gate.severity_threshold.unwrap_or(match gate.kind {
            GateKind::SecurityScan => Risk::Low,
            _ => Risk::High,
        });
        let mut read = |path: &Option<String>, form: &str| -> Option<Vec<u8>> {
            let path = path.as_ref()?;
            match reports.get(path)? {
                Ok(content) => {
                    findings.rests_on(GateEvidence {
                        what: format!("{form} {path}"),
                        exit_code: None,
                        sha256: Some(sha256(content)),
                        bytes: Some(content.len() as u64),
                    });
                    Some(content.clone())
                }
                Err(failure) => {
                    findings.fail("report", path, format!("there is no {form} report: {}", failure.message));
                    None
                }
            }
        };
        let (sarif, junit, json) = (read(&check.sarif, "SARIF"), read(&check.junit, "JUnit"), read(&check.json, "JSON"));
        if let Some(report) = sarif {
            scanned(&report, bar, check.sarif.as_deref().unwrap_or_default(), findings);
        }
        if let Some(report) = junit {
            tested(&report, least(gate), check.junit.as_deref().unwrap_or_default(), findings);
        }
        let figures = match json.map(|report| serde_json::from_slice::<Value>(&report)) {
            Some(Err(e)) => {
                findings.fail("report", check.json.as_deref().unwrap_or_default(), format!("no JSON: {e}"));
                None
            }
            Some(Ok(figures)) => Some(figures),
            None => None,
        };
        let metrics = metrics.as_object().cloned().unwrap_or_else(Map::new);
        figures::judge(&thresholds(gate, &check.thresholds)?, figures.as_ref(), &metrics, findings);
        self.ask(job, &check, findings).await
    }

    /// The files a check brings along, and those it names.
    async fn files(&self, job: Job<'_>, check: &GateCheck) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        };
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (path, value) in &check.files {
            let content = text(value);
            if secrets::wanted(&String::from_utf8_lossy(&content)) {
                return Err(Failure::final_(ErrorClass::BadInput, "secrets may stand in env only"));
            }
            files.insert(path.clone(), content);
        }
        if !check.inputs.is_empty() {
            let (inputs, out, roots) = (check.inputs.clone(), self.out.clone(), self.roots.clone());
            let copies = blocking::run(job, move |told| {
                let mut copies = Vec::new();
                for (path, named) in inputs {
                    told.check()?;
                    copies.push((path, look_up(&out, &roots, &named)?));
                }
                Ok(copies)
            });
            files.extend(copies.await?);
        }
        Ok(files)
    }

    /// Reports that are there without a command: brought along, or below the folders that may be read.
    async fn reports(
        &self,
        job: Job<'_>,
        check: &GateCheck,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<BTreeMap<String, Result<Vec<u8>, Failure>>, Failure> {
        let named: Vec<String> = [&check.sarif, &check.junit, &check.json].into_iter().flatten().cloned().collect();
        let (out, roots, files) = (self.out.clone(), self.roots.clone(), files.clone());
        let read = move |told: &blocking::Told| {
            told.check()?;
            let found = |path: String| {
                let content = files.get(&path).cloned().map_or_else(|| look_up(&out, &roots, &path), Ok);
                (path, content)
            };
            Ok(named.into_iter().map(found).collect())
        };
        blocking::run(job, read).await
    }

    /// Asks every dependency.
    async fn ask(&self, job: Job<'_>, check: &GateCheck, findings: &mut Findings) -> Result<(), Failure> {
        if check.probes.is_empty() {
            return Ok(());
        }
        let patience = check.timeout.map_or(PATIENCE, |timeout| Duration::from_millis(timeout.ms).min(PATIENCE));
        let mut answered = 0usize;
        for address in &check.probes {
            let probe = Probe::parse(address).map_err(|why| Failure::final_(ErrorClass::BadInput, why))?;
            let answer = tokio::select! {
                answer = self.answers(&probe, patience) => answer,
                why = job.stopped() => return Err(Failure::new(ErrorClass::Cancelled, format!("told to end: {why:?}"))),
            };
            match answer {
                Ok(said) => {
                    answered += 1;
                    findings.rests_on(GateEvidence { what: format!("{address}: {said}"), ..GateEvidence::default() });
                }
                Err(why) => findings.note("probe", address, why),
            }
        }
        findings.part(answered == check.probes.len(), answered as f64 / check.probes.len() as f64);
        Ok(())
    }

    async fn answers(&self, probe: &Probe, patience: Duration) -> Result<String, String> {
        match probe {
            Probe::Http(address) => {
                let http = if self.is_near(address) { &self.near } else { &*self.http };
                let status = http.probe(address, patience).await.map_err(|failure| failure.message)?;
                let good = status.is_success() || status.is_redirection() || status.is_informational();
                if good { Ok(format!("answered {status}")) } else { Err(format!("answered {status}")) }
            }
            Probe::Tcp(host, port) => {
                let near = self.config.reach.iter().any(|place| *place == format!("{host}:{port}"));
                let http = if near { &self.near } else { &*self.http };
                http.knock(host, *port, patience).await.map_err(|failure| failure.message)?;
                Ok("took the connection".into())
            }
        }
    }

    /// Whether the configuration allows an address by name.
    fn is_near(&self, address: &str) -> bool {
        let Ok(url) = address.parse::<reqwest::Url>() else { return false };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        let host = host.trim_matches(['[', ']']);
        self.config.reach.iter().any(|place| *place == format!("{host}:{port}"))
    }
}

impl Agent for Gate {
    fn actions(&self) -> Vec<String> {
        vec![GATE_CHECK.into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            match self.go(job).await {
                Ok(judgement) => Outcome::Judged(judgement),
                Err(failure) => Outcome::Failed(failure),
            }
        })
    }
}

/// A file by the name a plan gives it: below the out folder, where results are, else below the folders that may be read.
fn look_up(out: &OutFolder, roots: &Roots, named: &str) -> Result<Vec<u8>, Failure> {
    let real = match out.find(named) {
        Some(real) => real,
        None => roots.resolve(named)?,
    };
    confine::read(&real, named, REPORT_BYTES_MAX)
}

/// How the command ended.
fn ended(check: &GateCheck, checked: &Checked, findings: &mut Findings) {
    let what = check.command.clone().unwrap_or_else(|| check.argv.join(" "));
    let code = checked.ended.as_ref().ok().copied();
    findings.rests_on(GateEvidence { what: what.clone(), exit_code: code, ..GateEvidence::default() });
    let good = |code: i32| if check.exit_codes.is_empty() { code == 0 } else { check.exit_codes.contains(&code) };
    match &checked.ended {
        Ok(code) if good(*code) => {
            // Where reports speak, they say how well it went.
            let silent = check.sarif.is_none() && check.junit.is_none() && check.json.is_none();
            if silent {
                findings.part(true, 1.0);
            }
        }
        Ok(code) => {
            let words = &checked.last_words;
            let said = if words.is_empty() { String::new() } else { format!(": {words}") };
            findings.fail("exit_code", what, format!("exit code {code}{said}"));
        }
        Err(failure) => findings.fail("command", what, failure.message.clone()),
    }
}

fn scanned(report: &[u8], bar: Risk, path: &str, findings: &mut Findings) {
    match sarif::Scan::read(report) {
        Ok(scan) => {
            let severe = scan.violations.iter().any(|v| v.severity >= bar);
            findings.part(!severe, scan.score());
            scan.help.iter().for_each(|(rule, help)| findings.hint(format!("{rule}: see {help}")));
            findings.add(scan.violations);
        }
        Err(why) => findings.fail("report", path, why),
    }
}

fn tested(report: &[u8], least: Option<f64>, path: &str, findings: &mut Findings) {
    let text = String::from_utf8_lossy(report);
    match junit::Tests::read(&text) {
        Ok(tests) => match tests.score() {
            Some(score) => {
                let enough = least.map_or(tests.failures == 0, |least| score >= least);
                findings.part(enough, score);
                findings.add(tests.failed);
            }
            None => {
                findings.fail("test.none", path, format!("no test was run; {} were left out", tests.skipped));
            }
        },
        Err(why) => findings.fail("report", path, why),
    }
}

/// The least score of a gate that names one: down to it, tests may fail.
fn least(gate: &GateSpec) -> Option<f64> {
    gate.threshold.filter(|_| gate.kind != GateKind::PerformanceTest)
}

/// What has to hold: the thresholds of the check, and the one a PERFORMANCE_TEST names itself.
fn thresholds(gate: &GateSpec, written: &[String]) -> Result<Vec<Threshold>, Failure> {
    let read = |text: &String| Threshold::parse(text).map_err(|why| Failure::final_(ErrorClass::BadInput, why));
    let mut thresholds = written.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if let (GateKind::PerformanceTest, Some(name), Some(bound)) = (gate.kind, &gate.metric, gate.threshold) {
        thresholds.push(Threshold { name: name.clone(), compare: Compare::AtMost, bound });
    }
    Ok(thresholds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spoils a text in a thousand ways: bytes changed, cut off, said twice.
    fn spoiled(sample: &str) -> impl Iterator<Item = Vec<u8>> {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below.max(1)
        };
        let sample = sample.as_bytes().to_vec();
        (0..2_000).map(move |_| {
            let mut bytes = sample.clone();
            for _ in 0..=next(4) {
                let (from, to) = (next(bytes.len()), next(bytes.len()));
                match next(4) {
                    0 => bytes[from] = next(256) as u8,
                    1 => bytes.truncate(from.max(1)),
                    2 => bytes.extend_from_within(from.min(to)..from.max(to)),
                    _ => bytes.swap(from, to),
                }
            }
            bytes
        })
    }

    #[test]
    fn no_report_breaks_its_reader() {
        let scan = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"l","rules":[{"id":"a","messageStrings":{"m":{"text":"{0}"}}}]}},
            "results":[{"ruleIndex":0,"level":"error","message":{"id":"m","arguments":["x"]},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"é.py"},"region":{"startLine":3}}}]}]}]}"#;
        let tests = "<testsuites><testsuite><testcase name='é' classname=\"b\"><failure message='&lt;'><![CDATA[x]]></failure></testcase></testsuite></testsuites>";
        let (mut read, mut refused) = (0, 0);
        for bytes in spoiled(scan) {
            let found = sarif::Scan::read(&bytes);
            if found.is_ok_and(|scan| (0.0..=1.0).contains(&scan.score())) { read += 1 } else { refused += 1 }
        }
        for bytes in spoiled(tests) {
            let found = junit::Tests::read(&String::from_utf8_lossy(&bytes));
            if found.is_ok_and(|tests| tests.score().is_none_or(|s| (0.0..=1.0).contains(&s))) { read += 1 } else { refused += 1 }
        }
        assert!(read > 100 && refused > 100, "{read} were read, {refused} were not: both have to be seen");
    }
}
