//! Receipts: everything about one task in one document that can be checked without the database (`core` `receipt` has its form).
//!
//! `export` reads one out of a store. `verify` is pure: it takes the bytes of a document and derives everything anew, the chain of hashes, the
//! digests, the counts of votes, what the rules allow (`witness`), and the summary; `locate` finds which field of an event it was that
//! was changed, `place` which line of the document.

mod locate;
mod place;
mod verify;

pub use verify::{Found, Verdict, verify};

use crate::codec::GENESIS;
use crate::live;
use crate::store::{CommitEntry, PrivateBody, Reader, StoreError, StoredEvent};
use ephor_core::id::{StreamId, TaskId};
use ephor_core::receipt::derive::{Known, summary};
use ephor_core::receipt::{FORM, Receipt, ReceiptCommit, ReceiptEvent};
use serde_json::Value;
use std::fmt::Write as _;

/// The largest receipt, in bytes: a task of many large results may have one, and who checks it holds it in memory.
pub const BYTES_MAX: usize = 256 << 20;
/// How many events are read at once.
const PAGE: u32 = 1_000;

/// The receipt of a task as it is now, as text; `None` when there is no such task.
pub fn export(reader: &dyn Reader, task: TaskId) -> Result<Option<String>, StoreError> {
    let stored = history(reader, task)?;
    if stored.is_empty() {
        return Ok(None);
    }
    let mut bytes = 0;
    let mut events = Vec::with_capacity(stored.len());
    for stored in &stored {
        bytes += stored.data.len() + 512;
        events.push(entry(stored)?);
        bytes += events.last().and_then(|event| event.words.as_ref()).map_or(0, String::len);
        if bytes > BYTES_MAX {
            return Err(StoreError::Unusable(format!("a receipt of {task} would have more than {BYTES_MAX} bytes")));
        }
    }
    let mut known = Vec::with_capacity(stored.len());
    for (stored, entry) in stored.iter().zip(&events) {
        let (event, words) = live::decode(stored)?;
        known.push(Known { stored: entry, event, words });
    }
    let summary = summarised(task, &known);
    drop(known);
    let commits = commits(reader, &events)?;
    Ok(Some(render(&Receipt { receipt: FORM, task, summary, events, commits })))
}

/// Every event of a task.
fn history(reader: &dyn Reader, task: TaskId) -> Result<Vec<StoredEvent>, StoreError> {
    let mut all: Vec<StoredEvent> = Vec::new();
    loop {
        let page = reader.stream_events(task.into(), all.last().map_or(0, |last| last.version), PAGE)?;
        let whole = page.len() < PAGE as usize;
        all.extend(page);
        if whole {
            return Ok(all);
        }
    }
}

/// An event as a receipt holds it.
fn entry(stored: &StoredEvent) -> Result<ReceiptEvent, StoreError> {
    let corrupt = |why: &str| StoreError::Corrupt { stream: stored.stream, version: stored.version, why: why.into() };
    let (mut salt, mut words) = (None, None);
    match stored.private.as_ref().map(|private| (private, &private.body)) {
        Some((private, PrivateBody::Inline(body))) => {
            salt = Some(hex(&private.salt));
            words = Some(String::from_utf8(body.clone()).map_err(|_| corrupt("its private part is not text"))?);
        }
        Some((_, PrivateBody::Blob(key))) => return Err(corrupt(&format!("blob {key} is missing"))),
        Some((_, PrivateBody::Erased)) | None => {}
    }
    Ok(ReceiptEvent {
        version: stored.version,
        position: stored.position,
        at: stored.at,
        kind: stored.kind.clone(),
        actor: stored.actor.clone(),
        before: stored.before,
        after: stored.after,
        schema: stored.schema,
        data: stored.data.clone(),
        digest: stored.private.as_ref().map(|private| hex(&private.digest)),
        salt,
        words,
        hash: hex(&stored.hash),
    })
}

/// The commits in which these events were written.
fn commits(reader: &dyn Reader, events: &[ReceiptEvent]) -> Result<Vec<ReceiptCommit>, StoreError> {
    let mut commits: Vec<ReceiptCommit> = Vec::new();
    for event in events {
        if commits.last().is_some_and(|last| event.position <= last.last) {
            continue;
        }
        let (entry, previous) = commit_of(reader, event.position)?;
        commits.push(ReceiptCommit {
            first: entry.first,
            last: entry.last,
            previous: hex(&previous),
            hashes: hashes(reader, &entry)?,
            root: hex(&entry.root),
            hash: hex(&entry.hash),
        });
    }
    Ok(commits)
}

/// The commit that covers a position, and the hash of the one before it. It begins as far back as it is large: that is looked for from
/// near to far, for most are small.
fn commit_of(reader: &dyn Reader, position: u64) -> Result<(CommitEntry, [u8; 32]), StoreError> {
    let mut back = 2;
    loop {
        let start = position.saturating_sub(back);
        let mut previous = (start == 0).then_some(GENESIS);
        let mut after = start;
        'walk: loop {
            let page = reader.commits(after, PAGE)?;
            for entry in &page {
                match previous {
                    Some(previous) if entry.first <= position && position <= entry.last => return Ok((entry.clone(), previous)),
                    _ if entry.first > position => break 'walk,
                    _ => previous = Some(entry.hash),
                }
            }
            match page.last() {
                Some(last) => after = last.first,
                None => break,
            }
        }
        if start == 0 {
            return Err(StoreError::Unusable(format!("no commit covers position {position}; see ephor audit verify")));
        }
        back = back.saturating_mul(8);
    }
}

/// The hashes of the events of a commit, in order.
fn hashes(reader: &dyn Reader, entry: &CommitEntry) -> Result<Vec<String>, StoreError> {
    let mut hashes = Vec::new();
    let mut after = entry.first.saturating_sub(1);
    while after < entry.last {
        let most = u32::try_from(entry.last - after).unwrap_or(PAGE).min(PAGE);
        let page = reader.events(after, most, None)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        hashes.extend(page.iter().map(|stored| hex(&stored.hash)));
    }
    Ok(hashes)
}

/// What follows from events, in the form of the document.
fn summarised(task: TaskId, known: &[Known<'_>]) -> Value {
    serde_json::to_value(summary(task, known)).expect("a summary is plain data")
}

/// The one way a receipt is written.
fn render(receipt: &Receipt) -> String {
    let sorted = Receipt { summary: sorted(receipt.summary.clone()), ..receipt.clone() };
    let mut text = serde_json::to_string_pretty(&sorted).expect("a receipt is plain data");
    text.push('\n');
    text
}

/// The same value with sorted keys, whichever map `serde_json` was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.into_iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            fields.into_iter().map(|(name, value)| (name, sorted(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        plain => plain,
    }
}

/// The name a task's events are hashed under.
fn stream(task: TaskId) -> StreamId {
    task.into()
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// Reads bytes back; `None` where they are not so many in hexadecimal, as it is written here: a capital would be another text.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
