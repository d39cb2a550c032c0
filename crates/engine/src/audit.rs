//! Whether the audit trail is what was written: every event follows the one before it in its stream, and every commit the one before
//! it in the log, over exactly the events there are. Says where it is not. What somebody with write access cut off at the end cannot
//! be seen here; a head that is kept outside shows it.

use crate::codec::{self, GENESIS};
use crate::examine;
use crate::store::{CommitEntry, Reader, StoreError, StoredEvent};
use crate::witness::Rule;
use ephor_core::id::StreamId;
use std::collections::HashMap;

/// How many events are read at once.
const PAGE: u32 = 1_000;
/// How many findings are told; more would hide the first.
const FOUND_MAX: usize = 1_000;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It heals, or costs only comfort.
    Minor,
    /// A promise is broken.
    Grave,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Against what.
    pub rule: Rule,
    /// In which stream; none where it is about the whole.
    pub stream: Option<StreamId>,
    /// At which version of it.
    pub version: Option<u64>,
    /// At which position, where it is about one.
    pub position: Option<u64>,
    /// What, in one sentence.
    pub what: String,
    /// How to go on.
    pub then: &'static str,
}

/// What the chain says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many events were looked at.
    pub events: u64,
    /// How many commits.
    pub commits: u64,
    /// The hash of the last commit: the head that can be kept outside.
    pub head: Option<[u8; 32]>,
    /// What is wrong, in the order of the log.
    pub findings: Vec<Finding>,
}

impl AuditReport {
    /// Whether all is as it was written.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What to do about a broken chain.
const KEEP: &str = "keep the database as it is, compare it with a backup or an exported head, and find out who could write to it";

/// Checks the chain of every stream and the commit log.
pub fn verify(reader: &dyn Reader) -> Result<AuditReport, StoreError> {
    let mut chain = Chain::new();
    let mut after = 0;
    loop {
        let page = reader.events(after, PAGE, None)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for stored in &page {
            chain.event(stored);
            let (version, hash) = chain.streams.get(&stored.stream).copied().unwrap_or((0, GENESIS));
            let mut hash = hash;
            for breach in examine::link(&mut hash, version + 1, stored) {
                chain.found(stored, breach.what);
            }
            chain.streams.insert(stored.stream, (stored.version, hash));
        }
    }
    let streams = std::mem::take(&mut chain.streams);
    chain.commits(reader)?;
    let mut report = chain.report;
    for (stream, (version, hash)) in streams {
        let head = reader.head(stream)?;
        if head.is_none_or(|h| h.version != version || h.hash != hash) && report.findings.len() < FOUND_MAX {
            report.findings.push(Finding {
                severity: Severity::Grave,
                rule: Rule::Chain,
                stream: Some(stream),
                version: Some(version),
                position: None,
                what: "the head of the stream is not its last event".into(),
                then: KEEP,
            });
        }
    }
    Ok(report)
}

/// The walk over the log: positions without a gap, and the commits that cover them.
pub(crate) struct Chain {
    pub(crate) report: AuditReport,
    /// For each stream its last version and hash.
    streams: HashMap<StreamId, (u64, [u8; 32])>,
    position: u64,
    at: i64,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self { report: AuditReport::default(), streams: HashMap::new(), position: 0, at: i64::MIN }
    }

    /// The next event of the whole log.
    pub(crate) fn event(&mut self, stored: &StoredEvent) {
        self.report.events += 1;
        if stored.position != self.position + 1 {
            self.found(stored, format!("position {} stands where {} should", stored.position, self.position + 1));
        }
        if stored.at < self.at {
            let back = self.at - stored.at;
            self.found_against(
                Rule::Time,
                stored,
                format!("it says it happened {back} ms before an event that stands before it"),
            );
        }
        self.position = stored.position;
        self.at = self.at.max(stored.at);
    }

    fn found(&mut self, stored: &StoredEvent, what: String) {
        self.found_against(Rule::Chain, stored, what);
    }

    fn found_against(&mut self, rule: Rule, stored: &StoredEvent, what: String) {
        if self.report.findings.len() < FOUND_MAX {
            self.report.findings.push(Finding {
                severity: Severity::Grave,
                rule,
                stream: Some(stored.stream),
                version: Some(stored.version),
                position: Some(stored.position),
                what,
                then: KEEP,
            });
        }
    }

    fn commit_found(&mut self, entry: Option<&CommitEntry>, what: String) {
        if self.report.findings.len() < FOUND_MAX {
            let position = entry.map(|e| e.first);
            let rule = Rule::Chain;
            let (severity, stream, version) = (Severity::Grave, None, None);
            self.report.findings.push(Finding { severity, rule, stream, version, position, what, then: KEEP });
        }
    }

    /// The commit log, once all events were seen: each entry follows the one before and covers the events after it, to the last.
    pub(crate) fn commits(&mut self, reader: &dyn Reader) -> Result<(), StoreError> {
        let (mut after, mut covered, mut previous) = (0, 0, GENESIS);
        loop {
            let page = reader.commits(after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.first;
            for entry in &page {
                self.report.commits += 1;
                if entry.first != covered + 1 || entry.last < entry.first {
                    let what = format!("commit {}–{} follows one that ends at {covered}", entry.first, entry.last);
                    self.commit_found(Some(entry), what);
                }
                if codec::commit_hash(&previous, entry.first, entry.last, &entry.root) != entry.hash {
                    self.commit_found(Some(entry), "the hash of a commit does not follow from it and the one before".into());
                }
                if root(reader, entry)? != entry.root {
                    let what = format!("commit {}–{} was made over other events than these", entry.first, entry.last);
                    self.commit_found(Some(entry), what);
                }
                covered = entry.last.max(covered);
                previous = entry.hash;
            }
        }
        if covered != self.position {
            self.commit_found(None, format!("the log of commits ends at {covered}, the events at {}", self.position));
        }
        self.report.head = (self.report.commits > 0).then_some(previous);
        Ok(())
    }
}

/// What the root of a commit is over the events as they stand.
fn root(reader: &dyn Reader, entry: &CommitEntry) -> Result<[u8; 32], StoreError> {
    let mut hashes = Vec::new();
    let mut after = entry.first.saturating_sub(1);
    while after < entry.last {
        let most = u32::try_from(entry.last - after).unwrap_or(PAGE).min(PAGE);
        let page = reader.events(after, most, None)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        hashes.extend(page.iter().filter(|e| e.position <= entry.last).map(|e| e.hash));
    }
    Ok(codec::commit_root(&hashes))
}
