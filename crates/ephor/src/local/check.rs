//! What `doctor` and `audit verify` say about a database, as checks a person reads.

use super::look::store;
use crate::api::ApiError;
use crate::host::Check;
use ephor_core::time::Time;
use ephor_engine::audit::{self, Finding};
use ephor_engine::clock::{Clock, SystemClock};
use ephor_engine::doctor;
use ephor_engine::receipt;
use ephor_engine::store::Reader;

/// Checks a database against the ten "must never", replaying every stream.
pub(super) fn doctor(reader: &dyn Reader) -> Result<Vec<Check>, ApiError> {
    let report = doctor::doctor(reader, Time(SystemClock::default().wall_ms())).map_err(store)?;
    let looked = format!("{} streams, {} events", report.streams, report.events);
    Ok(checks("nothing happened that must never happen", looked, &report.findings))
}

/// Checks the chain of every stream and the commit log, and that it passes through a head that was kept, where one was.
pub(super) fn verify(reader: &dyn Reader, kept: Option<[u8; 32]>) -> Result<Vec<Check>, ApiError> {
    let report = audit::verify_through(reader, kept).map_err(store)?;
    let head = report.head.map_or("none".into(), hex);
    let through = if kept.is_some() { ", through the head that was kept" } else { "" };
    let looked = format!("{} events in {} commits{through}, head {head}", report.events, report.commits);
    Ok(checks("the audit trail is what was written", looked, &report.findings))
}

/// Checks a receipt by its bytes alone. What cannot be known from it is told as well, and fails nothing.
pub(super) fn receipt(bytes: &[u8], kept: Option<[u8; 32]>) -> Vec<Check> {
    let verdict = receipt::verify(bytes, kept);
    let check = |name: &str, passed, detail: String| Check { name: name.into(), passed, detail };
    let mut checks: Vec<Check> = verdict.found.iter().map(|found| check(&found.place, false, found.what.clone())).collect();
    if verdict.is_whole() {
        let task = verdict.task.map_or_else(String::new, |task| format!(" of {task}"));
        let status = verdict.status.map_or_else(String::new, |status| format!(", which is {status}"));
        let head = verdict.head.map_or("none".into(), hex);
        let through = if kept.is_some() { ", through the head that was kept" } else { "" };
        let (events, commits, decisions) = (verdict.events, verdict.commits, verdict.decisions);
        checks.push(check(
            "the receipt is what was written",
            true,
            format!(
                "{events} events in {commits} commits{task}{status}{through}; {decisions} decisions counted anew; head {head}"
            ),
        ));
    }
    checks.extend(verdict.unknown.into_iter().map(|unknown| check("not known from it", true, unknown)));
    checks
}

fn hex(hash: [u8; 32]) -> String {
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// One check that holds, or one for each thing found.
fn checks(name: &str, looked: String, findings: &[Finding]) -> Vec<Check> {
    if findings.is_empty() {
        return vec![Check { name: name.into(), passed: true, detail: looked }];
    }
    let told = |finding: &Finding| {
        let place = match (finding.stream, finding.version, finding.position) {
            (Some(stream), Some(version), Some(position)) => format!("position {position}, {stream} at version {version}: "),
            (Some(stream), Some(version), None) => format!("{stream} at version {version}: "),
            (Some(stream), None, _) => format!("{stream}: "),
            (None, _, Some(position)) => format!("position {position}: "),
            (None, _, None) => String::new(),
        };
        Check { name: format!("{:?}", finding.rule), passed: false, detail: format!("{place}{}; {}", finding.what, finding.then) }
    };
    findings.iter().map(told).collect()
}
