//! Which field it was. A hash says that something of an event was changed, not what. Almost every field of it is said a second time
//! elsewhere in the receipt: in its facts, in the line of the summary about it, by its place. What no second word contradicts are the
//! facts themselves.

use super::{stream, unhex};
use crate::codec::{self, Hashed};
use ephor_core::event::{self, SCHEMA};
use ephor_core::id::TaskId;
use ephor_core::receipt::{ReceiptCommit, ReceiptEvent};
use ephor_core::time::Time;
use serde_json::Value;

/// The hash an event has when it follows this one; `None` where its digest cannot be read.
pub(super) fn hash_after(task: TaskId, previous: &[u8; 32], entry: &ReceiptEvent) -> Option<[u8; 32]> {
    let digest = match &entry.digest {
        Some(digest) => Some(unhex::<32>(digest)?),
        None => None,
    };
    let hashed = Hashed {
        stream: stream(task),
        version: entry.version,
        at: entry.at,
        kind: &entry.kind,
        actor: &entry.actor,
        before: entry.before,
        after: entry.after,
        schema: entry.schema,
        data: &entry.data,
        private: digest.as_ref(),
    };
    Some(codec::event_hash(previous, &hashed))
}

/// The fields of an event that something else in the receipt contradicts; `data` where nothing does.
pub(super) fn fields(events: &[ReceiptEvent], i: usize, summary: &Value) -> Vec<&'static str> {
    let (entry, line) = (&events[i], &summary["timeline"][i]);
    let differs = |said: &Value, is: &str| said.as_str().is_some_and(|said| said != is);
    let word = |status: Option<ephor_core::status::Status>| status.map_or("", |status| status.word()).to_owned();
    let mut fields = Vec::new();
    if entry.version != i as u64 + 1 {
        fields.push("version");
    }
    if differs(&line["at"], &Time(entry.at).to_string()) {
        fields.push("at");
    }
    if differs(&line["type"], &entry.kind) {
        fields.push("kind");
    }
    if differs(&line["actor"], &entry.actor) {
        fields.push("actor");
    }
    let before = i.checked_sub(1).map(|before| &summary["timeline"][before]["status"]);
    if before.is_some_and(|said| differs(said, &word(entry.before))) || (i == 0 && entry.before.is_some()) {
        fields.push("before");
    }
    if differs(&line["status"], &word(entry.after)) || (line["status"].is_string() && entry.after.is_none()) {
        fields.push("after");
    }
    if entry.schema != SCHEMA {
        fields.push("schema");
    }
    let said = line["words"].as_str();
    if line.is_object() && said != entry.digest.as_deref() {
        fields.push("digest");
    }
    // Facts that cannot be read speak for themselves; else it is what nothing contradicts.
    if fields.is_empty() || event::read(SCHEMA, &entry.data).is_err() {
        fields.push("data");
    }
    fields
}

/// The field of a commit that does not go with the others.
pub(super) fn of_commit(commits: &[ReceiptCommit], i: usize) -> &'static str {
    let commit = &commits[i];
    let read = |text: &str| unhex::<32>(text);
    let (previous, root, hash) = match (read(&commit.previous), read(&commit.root), read(&commit.hash)) {
        (Some(previous), Some(root), Some(hash)) => (previous, root, hash),
        (None, ..) => return "previous",
        (_, None, _) => return "root",
        (.., None) => return "hash",
    };
    let hashes: Option<Vec<[u8; 32]>> = commit.hashes.iter().map(|hash| read(hash)).collect();
    let Some(hashes) = hashes else { return "hashes" };
    let made = codec::commit_root(&hashes);
    let fits = |first: u64, last: u64, root: &[u8; 32]| codec::commit_hash(&previous, first, last, root) == hash;
    if fits(commit.first, commit.last, &root) {
        return "hashes";
    }
    if fits(commit.first, commit.last, &made) {
        return "root";
    }
    let size = hashes.len() as u64;
    if fits((commit.last + 1).saturating_sub(size), commit.last, &root) {
        return "first";
    }
    if fits(commit.first, (commit.first + size).saturating_sub(1), &root) {
        return "last";
    }
    let follows = |before: &ReceiptCommit| before.last.checked_add(1) == Some(commit.first);
    if i.checked_sub(1).map(|i| &commits[i]).is_some_and(|before| follows(before) && before.hash != commit.previous) {
        return "previous";
    }
    "previous or hash"
}
