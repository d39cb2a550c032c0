//! What the tests of stores are told with.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod ledger;
pub(crate) mod traffic;

use ephor_core::id::{StreamId, TaskId};
use ephor_core::status::Status;
use ephor_engine::codec::private_digest;
use ephor_engine::store::sqlite::{Options, SqliteStore};
use ephor_engine::store::*;
use std::path::Path;

/// The time of every commit here.
pub(crate) const NOW: i64 = 1_790_000_000_000;

/// The n-th task.
pub(crate) fn task(n: u64) -> StreamId {
    TaskId::new(NOW + n as i64, n.to_be_bytes().repeat(2)[..10].try_into().unwrap()).into()
}

/// An event that tells a text.
pub(crate) fn event(text: &str) -> NewEvent {
    NewEvent {
        at: NOW,
        kind: "SUBMITTED",
        actor: "HUMAN/operator".into(),
        before: None,
        after: Some(Status::Scheduled),
        schema: 1,
        data: format!("{{\"text\":\"{text}\"}}"),
        private: None,
        hash: private_digest(&[0; 16], text.as_bytes()),
    }
}

/// An event with a private part.
pub(crate) fn confided(text: &str, secret: PrivateBody) -> NewEvent {
    let salt = [7; 16];
    let digest = match &secret {
        PrivateBody::Inline(body) => private_digest(&salt, body),
        PrivateBody::Blob(_) | PrivateBody::Erased => [1; 32],
    };
    NewEvent { private: Some(PrivatePart { digest, salt, body: secret }), ..event(text) }
}

/// The row of a task in a status.
pub(crate) fn row(status: Status) -> Row {
    Row { namespace: "default".into(), status: Some(status), title: "a task".into(), created_at: NOW, ..Row::default() }
}

/// A change that appends one event for each text.
pub(crate) fn change(stream: StreamId, follows: u64, texts: &[&str]) -> Change {
    let events = texts.iter().map(|text| event(text)).collect();
    Change { stream, follows, events, row: None, mail_taken: Vec::new(), blobs: Vec::new(), snapshot: None }
}

/// A change that gives birth with one event.
pub(crate) fn birth(n: u64) -> Change {
    Change { row: Some(row(Status::Scheduled).into()), ..change(task(n), 0, &["born"]) }
}

/// A change that ends the task born by `birth`.
pub(crate) fn end(n: u64) -> Change {
    Change { row: Some(row(Status::Completed).into()), ..change(task(n), 1, &["done"]) }
}

/// A group of these changes.
pub(crate) fn group(changes: impl Into<Vec<Change>>) -> Group {
    Group { changes: changes.into(), ..Group::default() }
}

/// A group of one birth, under these guards.
pub(crate) fn guarded(n: u64, guards: impl Into<Vec<Guard>>) -> Group {
    Group { guards: guards.into(), ..group([birth(n)]) }
}

pub(crate) fn unique(key: &str, until: Option<i64>, n: u64) -> Guard {
    Guard::Unique { key: key.into(), until, value: format!("answer {n}"), stream: task(n) }
}

pub(crate) fn counter(key: &str, add: i64, max: i64) -> Guard {
    Guard::Counter { key: key.into(), add, max }
}

pub(crate) fn epoch(key: &str, seen: i64) -> Guard {
    Guard::Epoch { key: key.into(), seen }
}

/// A letter from one task to another.
pub(crate) fn mail(from: u64, to: u64, id: u8) -> MailRow {
    MailRow { target: task(to), id: [id; 16], source: task(from), source_version: 1, body: format!("letter {id}") }
}

/// A SQLite store, through a VFS if one is named.
pub(crate) fn open(path: &Path, vfs: Option<&str>) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&Options { vfs: vfs.map(Into::into), ..Options::new(path) }, NOW)
}

/// How often something is tried: what the environment says under this name, for longer runs, else `ordinarily`.
pub(crate) fn count(name: &str, ordinarily: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(ordinarily)
}
