//! Whether the audit trail is what was written: every event follows the one before it in its stream, and every commit the one before
//! it in the log, over exactly the events there are. Says where it is not. What somebody with write access cut off at the end cannot
//! be seen here; a head that is kept outside shows it.

use crate::codec::{self, GENESIS};
use crate::examine;
use crate::store::{CommitEntry, PrivateBody, Reader, StoreError, StoredEvent};
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
    verify_through(reader, None)
}

/// The same, and that the commit log passes through a head that was kept elsewhere: nothing before it was cut off or written anew.
pub fn verify_through(reader: &dyn Reader, kept: Option<[u8; 32]>) -> Result<AuditReport, StoreError> {
    let mut chain = Chain::new();
    let mut streams: HashMap<StreamId, Linked> = HashMap::new();
    chain.events(reader, |chain, stored| {
        let linked = streams.entry(stored.stream).or_default();
        for breach in examine::link(&mut linked.hash, linked.version + 1, stored) {
            chain.found(stored, breach.what);
        }
        linked.version = stored.version;
        linked.erased |= stored.kind == ERASED;
        if linked.gone.is_none() && stored.private.as_ref().is_some_and(|p| p.body == PrivateBody::Erased) {
            linked.gone = Some((stored.version, stored.position));
        }
    })?;
    chain.commits(reader, kept)?;
    for (stream, linked) in streams {
        let head = match reader.head(stream) {
            Ok(head) => head,
            Err(StoreError::Corrupt { .. } | StoreError::Unusable(_)) => None,
            Err(other) => return Err(other),
        };
        if head.is_none_or(|h| h.version != linked.version || h.hash != linked.hash) {
            let what = "the head of the stream is not its last event".into();
            chain.tell(Rule::Chain, Some(stream), Some(linked.version), None, what);
        }
        if let Some((version, position)) = linked.gone.filter(|_| !linked.erased) {
            let what = "its private part is gone, but nobody erased it".into();
            chain.tell(Rule::Chain, Some(stream), Some(version), Some(position), what);
        }
    }
    chain.report.findings.sort_by_key(|f| f.position);
    Ok(chain.report)
}

/// The word of the event after which private parts may be gone.
const ERASED: &str = "ERASED";

/// How far a stream was followed.
#[derive(Default)]
struct Linked {
    version: u64,
    hash: [u8; 32],
    erased: bool,
    /// The first event whose private part is not there: its version and position.
    gone: Option<(u64, u64)>,
}

/// The walk over the log: positions without a gap, and the commits that cover them.
pub(crate) struct Chain {
    pub(crate) report: AuditReport,
    position: u64,
    at: i64,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self { report: AuditReport::default(), position: 0, at: i64::MIN }
    }

    /// Walks over the whole log. An event that cannot be read is told, and the walk goes on behind it.
    pub(crate) fn events(
        &mut self,
        reader: &dyn Reader,
        mut each: impl FnMut(&mut Self, &StoredEvent),
    ) -> Result<(), StoreError> {
        let (mut after, mut most) = (0, PAGE);
        while self.report.findings.len() < FOUND_MAX {
            match reader.events(after, most, None) {
                Ok(page) => {
                    let Some(last) = page.last() else { break };
                    after = last.position;
                    for stored in &page {
                        self.event(stored);
                        each(self, stored);
                    }
                    most = if most == 1 { 1 } else { PAGE };
                }
                // One of this page; which one shows when they are read one by one.
                Err(StoreError::Corrupt { .. }) if most > 1 => most = 1,
                Err(StoreError::Corrupt { stream, version, why }) => {
                    after += 1;
                    self.report.events += 1;
                    self.position = after;
                    self.tell(Rule::Chain, Some(stream), Some(version), Some(after), format!("it cannot be read: {why}"));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// The next event of the whole log.
    fn event(&mut self, stored: &StoredEvent) {
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
        self.tell(rule, Some(stored.stream), Some(stored.version), Some(stored.position), what);
    }

    fn commit_found(&mut self, position: u64, what: String) {
        self.tell(Rule::Chain, None, None, Some(position), what);
    }

    fn tell(&mut self, rule: Rule, stream: Option<StreamId>, version: Option<u64>, position: Option<u64>, what: String) {
        if self.report.findings.len() < FOUND_MAX {
            let finding = Finding { severity: Severity::Grave, rule, stream, version, position, what, then: KEEP };
            self.report.findings.push(finding);
        }
    }

    /// The commit log, once all events were seen: each entry follows the one before and covers the events after it, to the last. A
    /// head that was `kept` elsewhere has to be among them.
    pub(crate) fn commits(&mut self, reader: &dyn Reader, kept: Option<[u8; 32]>) -> Result<(), StoreError> {
        let (mut covered, mut previous) = (0, GENESIS);
        let mut passed = kept.is_none();
        let end = self.position;
        each_commit(reader, end, |entry| {
            self.report.commits += 1;
            let entry = match entry {
                Ok(entry) => entry,
                Err(why) => {
                    self.commit_found(covered + 1, format!("a commit cannot be read: {why}"));
                    return Ok(());
                }
            };
            let (here, last) = (entry.first, entry.last);
            if here != covered + 1 || last < here {
                self.commit_found(here, format!("commit {here}–{last} follows one that ends at {covered}"));
            }
            if codec::commit_hash(&previous, here, last, &entry.root) != entry.hash {
                self.commit_found(here, "the hash of a commit does not follow from it and the one before".into());
            }
            let (root, at) = made_over(reader, entry)?;
            if root != entry.root {
                self.commit_found(here, format!("commit {here}–{last} was made over other events than these"));
            }
            if at.is_some_and(|at| at != entry.at) {
                self.commit_found(here, format!("commit {here}–{last} says it was made at another time than its events"));
            }
            covered = last.max(covered);
            previous = entry.hash;
            passed |= kept == Some(entry.hash);
            Ok(())
        })?;
        if covered != self.position {
            let what = format!("the log of commits ends at {covered}, the events at {}", self.position);
            self.commit_found(covered.min(self.position) + 1, what);
        }
        if !passed {
            let what = "the head that was kept is not among the commits: something before it was cut off or written anew";
            self.tell(Rule::Chain, None, None, None, what.into());
        }
        self.report.head = (self.report.commits > 0).then_some(previous);
        Ok(())
    }
}

/// Hands on the entries of the commit log, in order; for one that cannot be read, why. Events end at `end`.
fn each_commit(
    reader: &dyn Reader,
    end: u64,
    mut each: impl FnMut(Result<&CommitEntry, String>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (mut after, mut most, mut told) = (0, PAGE, false);
    loop {
        match reader.commits(after, most) {
            Ok(page) => {
                let Some(last) = page.last() else { return Ok(()) };
                (after, most, told) = (last.first, PAGE, false);
                page.iter().try_for_each(|entry| each(Ok(entry)))?;
            }
            // One of this page; which one shows when they are read one by one.
            Err(StoreError::Unusable(_)) if most > 1 => most = 1,
            Err(StoreError::Unusable(why)) => {
                if !std::mem::replace(&mut told, true) {
                    each(Err(why))?;
                }
                after += 1;
                if after > end {
                    return Ok(());
                }
            }
            Err(other) => return Err(other),
        }
    }
}

/// The root of a commit over the events as they stand, and when the last of them happened. An event that cannot be read leaves a root
/// that no commit has.
fn made_over(reader: &dyn Reader, entry: &CommitEntry) -> Result<([u8; 32], Option<i64>), StoreError> {
    let (mut hashes, mut at) = (Vec::new(), None);
    let mut after = entry.first.saturating_sub(1);
    while after < entry.last {
        let most = u32::try_from(entry.last - after).unwrap_or(PAGE).min(PAGE);
        let page = match reader.events(after, most, None) {
            Ok(page) => page,
            Err(StoreError::Corrupt { .. }) => return Ok((GENESIS, None)),
            Err(other) => return Err(other),
        };
        let Some(last) = page.last() else { break };
        after = last.position;
        for stored in page.iter().filter(|e| e.position <= entry.last) {
            hashes.push(stored.hash);
            at = Some(stored.at);
        }
    }
    Ok((codec::commit_root(&hashes), at))
}
