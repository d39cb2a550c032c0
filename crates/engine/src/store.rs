//! What a store promises. It keeps what `core` computed and knows no lifecycle: streams of events, one index row a stream,
//! mail, guards, blobs, telemetry. Two implementations, one suite for both (`tests/store.rs`).
//!
//! Writing is for one thread, behind the group-commit writer; reading is for many and never waits for the writer. Both sides
//! block: whoever calls from async code does so on a thread that may.

use ephor_core::id::{StreamId, StreamKind};
use ephor_core::spec::{Autonomy, Risk};
use ephor_core::status::Status;
use std::sync::Arc;

mod check;
pub mod memory;
pub mod sqlite;

/// The writing side.
pub trait Store: Send {
    /// Writes every group in one transaction with one fsync, or nothing at all. Versions and guards are checked first; a group of
    /// which one no longer holds is refused alone, whole. What stands is numbered without a gap and chained in the commit log.
    /// One answer for each group, in order. After an error nothing of the batch may be believed written or not written, except after
    /// `StoreError::Full` and `StoreError::Busy`, which say that nothing was; after `StoreError::Unavailable` the store writes no more until it is opened anew.
    fn commit(&mut self, groups: Vec<Group>, at: i64) -> Result<Vec<Result<Written, Conflict>>, StoreError>;

    /// Writes telemetry (latest values, no history), in a transaction of its own. May be lost in a crash. Of streams that are final or
    /// missing nothing is kept.
    fn note(&mut self, beats: &[Telemetry]) -> Result<(), StoreError>;

    /// Remembers the highest instant ever used, so that a restart with a clock set back does not run time backwards.
    fn save_high_water(&mut self, at: i64) -> Result<(), StoreError>;

    /// Deletes uniques that ran out at `at` or before, at most `limit`. Answers how many.
    fn sweep(&mut self, at: i64, limit: u32) -> Result<u32, StoreError>;

    /// The reading side, for any number of threads. Sees every commit that `commit` has answered.
    fn reader(&self) -> Arc<dyn Reader>;
}

/// The reading side.
pub trait Reader: Send + Sync {
    /// The number, version, chain head, snapshot and later events of a stream; `None` when there is no such stream.
    fn load(&self, stream: StreamId) -> Result<Option<Loaded>, StoreError>;

    /// A stream's snapshot and the version it was taken at, where it has one.
    fn snapshot(&self, stream: StreamId) -> Result<Option<(u64, Vec<u8>)>, StoreError>;

    /// Where a stream's head is, without its events.
    fn head(&self, stream: StreamId) -> Result<Option<Head>, StoreError>;

    /// Where a task is, by its index row; `None` when there is no such stream or it is no task.
    fn status(&self, stream: StreamId) -> Result<Option<Status>, StoreError>;

    /// The position of the last event; 0 when there is none.
    fn position(&self) -> Result<u64, StoreError>;

    /// Events after a position, in order, at most `limit`. With `stream`, only that stream's.
    fn events(&self, after: u64, limit: u32, stream: Option<StreamId>) -> Result<Vec<StoredEvent>, StoreError>;

    /// The same events without what people and agents wrote, for those who count: with where they belong, and with their structure where
    /// they are of one of the wanted kinds.
    fn facts(&self, after: u64, limit: u32, wanted: &[&str]) -> Result<Vec<Fact>, StoreError> {
        let events = self.events(after, limit, None)?.into_iter().map(|event| {
            let row = self.listed(event.stream, &Filter::default())?.map(|listed| listed.row).unwrap_or_default();
            let data = if wanted.contains(&&*event.kind) { event.data } else { String::new() };
            let StoredEvent { position, stream, at, kind, before, after, .. } = event;
            let Row { namespace, task_type, created_at, .. } = row;
            Ok(Fact { position, stream, at, kind, before, after, data, namespace, task_type, created_at })
        });
        events.collect()
    }

    /// A stream's events after a version, in order, at most `limit`.
    fn stream_events(&self, stream: StreamId, after_version: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError>;

    /// The row of a task, if it matches the filter and comes after its cursor; `None` too when there is no such task.
    fn listed(&self, task: StreamId, filter: &Filter) -> Result<Option<Listed>, StoreError>;

    /// When the last event of a stream happened; `None` when there is no such stream.
    fn touched(&self, stream: StreamId) -> Result<Option<i64>, StoreError>;

    /// How many tasks with the same parent were born before a task; `None` where it has none, or is none.
    fn born_before(&self, task: StreamId) -> Result<Option<u64>, StoreError>;

    /// Task rows that match the filter and come after the cursor, newest first unless it says otherwise, at most `limit`.
    fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Listed>, StoreError>;

    /// Streams of one kind after a cursor (a stream number), in order of birth, at most `limit`.
    fn streams(&self, kind: ephor_core::id::StreamKind, after: i64, limit: u32) -> Result<Vec<Listed>, StoreError>;

    /// Tasks whose `wake_at` is at or before `at`, earliest first, at most `limit`.
    fn due(&self, at: i64, limit: u32) -> Result<Vec<StreamId>, StoreError>;

    /// The earliest `wake_at` there is.
    fn next_wake(&self) -> Result<Option<i64>, StoreError>;

    /// Tasks that offer work, best first (rank, then number), after a cursor, at most `limit`.
    fn open_work(&self, after: Option<Cursor>, limit: u32) -> Result<Vec<OpenWork>, StoreError>;

    /// Tasks that ask something of people, of one namespace where one is named; those that have asked longest first, at most `limit`. The
    /// rank of the cursor is since when.
    fn asking(&self, after: Option<Cursor>, namespace: Option<&str>, limit: u32) -> Result<Vec<Listed>, StoreError>;

    /// How many tasks of a namespace that offer exactly this stand before a place in the order of open work; no more than `most` are
    /// counted.
    fn ahead(&self, of: Cursor, namespace: &str, open: &str, most: u32) -> Result<u64, StoreError>;

    /// How many tasks there are in each status, of one namespace where one is named.
    fn counts(&self, namespace: Option<&str>) -> Result<Vec<(Status, u64)>, StoreError>;

    /// Who holds a unique key, unless it ran out at `at` or before.
    fn unique(&self, key: &str, at: i64) -> Result<Option<UniqueRow>, StoreError>;

    /// Every counter that does not stand at 0, by key.
    fn counters(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// Mail waiting for a stream, oldest first, at most `limit`.
    fn mail(&self, target: StreamId, limit: u32) -> Result<Vec<MailRow>, StoreError>;

    /// Streams that have mail, at most `limit`.
    fn mail_targets(&self, limit: u32) -> Result<Vec<StreamId>, StoreError>;

    /// A blob.
    fn blob(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The latest telemetry of a stream.
    fn telemetry(&self, stream: StreamId) -> Result<Vec<Telemetry>, StoreError>;

    /// Entries of the commit log after a position, in order, at most `limit`.
    fn commits(&self, after: u64, limit: u32) -> Result<Vec<CommitEntry>, StoreError>;

    /// The highest instant ever saved; 0 when none was.
    fn high_water(&self) -> Result<i64, StoreError>;

    /// What the store is and how it is set, for `/health` and `doctor`: `synchronous=FULL`, its path, its size in bytes.
    fn about(&self) -> Result<Vec<(&'static str, String)>, StoreError>;

    /// What the storage itself says about its health (SQLite: `quick_check` and foreign keys); empty when all is well.
    fn check(&self) -> Result<Vec<String>, StoreError>;
}

/// Changes that stand or fall together: a decision, the births it gave and the mail it sent.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// At most one change a stream, in any order.
    pub changes: Vec<Change>,
    /// Facts that several streams share; checked in the same transaction, in this order.
    pub guards: Vec<Guard>,
    /// Mail to other streams. Mail to a final or missing stream is dropped, and so is what still waits when a stream becomes final.
    pub mail: Vec<MailRow>,
    /// Streams that are forgotten, once all else of the group is written.
    pub erase: Vec<Erasure>,
}

/// Deletes what was private in a stream (private parts, blobs, snapshot, title), keeping the chain whole. The stream must be final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Which stream.
    pub stream: StreamId,
    /// Up to which of its versions; what is told later stays.
    pub version: u64,
}

/// What happens to one stream.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which stream.
    pub stream: StreamId,
    /// The version it must be at; 0 gives birth to it.
    pub follows: u64,
    /// Its events, versions `follows + 1 …`. May be empty when only the row or the snapshot changes.
    pub events: Vec<NewEvent>,
    /// Its index row, where it differs from before or is new. Whoever wrote it remembers it too, and so does the store.
    pub row: Option<Arc<Row>>,
    /// Ids of mail this change has taken, to be deleted.
    pub mail_taken: Vec<[u8; 16]>,
    /// Blobs its events refer to.
    pub blobs: Vec<Blob>,
    /// A snapshot at the version after these events.
    pub snapshot: Option<Vec<u8>>,
}

/// One event, encoded. `hash` already covers everything here and the hash before it in its stream (see `codec`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Its word: `ASSIGNED`.
    pub kind: &'static str,
    /// Who: `SYSTEM/CLOCK`, `AI/agent_…`, `HUMAN/operator`.
    pub actor: String,
    /// The task's status before; `None` for other streams and at birth.
    pub before: Option<Status>,
    /// The task's status after.
    pub after: Option<Status>,
    /// The number of the event's form.
    pub schema: u16,
    /// The structure, JSON. Stored as text, or compressed as a blob above `COMPRESS_ABOVE` bytes.
    pub data: String,
    /// What erasing deletes.
    pub private: Option<PrivatePart>,
    /// SHA-256 over the hash before and all of the above.
    pub hash: [u8; 32],
}

/// What erasing deletes; the event keeps only its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivatePart {
    /// SHA-256 over salt and body.
    pub digest: [u8; 32],
    /// Random, so that a guessed text cannot be confirmed by its digest.
    pub salt: [u8; 16],
    /// The text itself, JSON, or the key of the blob that holds it.
    pub body: PrivateBody,
}

/// Where a private part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivateBody {
    /// In the event's row.
    Inline(Vec<u8>),
    /// In a blob of this key.
    Blob(String),
    /// Deleted.
    Erased,
}

/// A large value, stored once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// A hash salted per task.
    pub key: String,
    /// The value.
    pub body: Vec<u8>,
}

/// Above this many bytes an event's data is compressed, and its private part is a blob (DESIGN §1).
pub const COMPRESS_ABOVE: usize = 8 * 1024;

/// The index row of a stream: what lists and loops look for. Only tasks fill the second half.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Where it belongs.
    pub namespace: String,
    /// The status of a task.
    pub status: Option<Status>,
    /// Its priority, the higher the greater.
    pub priority: i64,
    /// Its place in the order of open work, lowest first: when it was due or born, in milliseconds, moved ahead by its priority.
    pub rank: i64,
    /// When the clock has to look at it again. May be earlier than needed, never later.
    pub wake_at: Option<i64>,
    /// What it offers: the capability keys of its open work, each ended by a line feed; `None` when it offers none.
    pub open: Option<String>,
    /// When it was born.
    pub created_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Do not start before.
    pub due_at: Option<i64>,
    /// One line for lists. Erased with the private parts.
    pub title: String,
    /// The kind of task.
    pub task_type: String,
    /// The caller's own name for it.
    pub external_id: Option<String>,
    /// Who or what made it.
    pub source: Option<String>,
    /// Who answers for it.
    pub owner_id: Option<String>,
    /// The task it is part of.
    pub parent: Option<u128>,
    /// The computed risk.
    pub risk: Risk,
    /// The kind of who answers for it.
    pub owner_type: Option<String>,
    /// The kind of thing it is about.
    pub subject_ref_type: Option<String>,
    /// The thing it is about.
    pub subject_ref_id: Option<String>,
    /// Which outside effects may happen without a person; all where it is missing.
    pub autonomy: Option<Autonomy>,
    /// Whether it left the live set.
    pub archived: bool,
    /// Since when it has asked anything of people without a break; none where it asks nothing.
    pub asks_since: Option<i64>,
}

/// A fact that several streams share, checked and changed in the same transaction as what relies on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nobody may hold the key yet, not even the same stream, nor again until then. `None` means for ever.
    Unique {
        /// `idem:…`, `ext:…`, `dup:…`.
        key: String,
        /// From when the key is free again.
        until: Option<i64>,
        /// What a later holder of the same key is told; for example the answer to an idempotent call.
        value: String,
        /// The stream that holds it.
        stream: StreamId,
    },
    /// The counter may not grow beyond `max`. What is given back is always taken, also above a `max` that was lowered meanwhile,
    /// and below 0 it does not fall.
    Counter {
        /// `slots:…`, `limit:…`.
        key: String,
        /// May be negative.
        add: i64,
        /// `i64::MAX` for no limit.
        max: i64,
    },
    /// The counter must stand at `seen`, the version of a fact that was judged by.
    Epoch {
        /// `epoch:…`.
        key: String,
        /// What it stood at.
        seen: i64,
    },
}

/// What a group became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The position of the first event of each change, in the order of the changes; 0 for a change without events.
    pub positions: Vec<u64>,
}

/// Why a group was refused. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A stream is not at the version the change follows.
    Version {
        /// Which stream.
        stream: StreamId,
        /// Where it is.
        is: u64,
    },
    /// Somebody holds the key.
    Unique(UniqueRow),
    /// The counter is full.
    Counter {
        /// Which one.
        key: String,
        /// Where it stands.
        is: i64,
        /// Where it may stand.
        max: i64,
    },
    /// What was judged by has changed.
    Epoch {
        /// Which one.
        key: String,
        /// Where it stands.
        is: i64,
    },
    /// A task that has ended was to get another status. No rule may ask for that; the store refuses it all the same.
    Ended {
        /// Which task.
        stream: StreamId,
        /// How it ended.
        status: Status,
    },
    /// What has not ended was to be erased. No rule may ask for that either.
    Alive {
        /// Which stream.
        stream: StreamId,
    },
}

/// A unique key and its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueRow {
    /// The key.
    pub key: String,
    /// When it is free again.
    pub until: Option<i64>,
    /// What the holder left for those who come later.
    pub value: String,
    /// The stream that holds it.
    pub stream: StreamId,
}

/// Mail from one stream to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRow {
    /// To whom.
    pub target: StreamId,
    /// Derived from source, version and ordinal, so that sending again sends the same.
    pub id: [u8; 16],
    /// From whom.
    pub source: StreamId,
    /// The version of the event it follows from.
    pub source_version: u64,
    /// JSON of `core::mail::Letter`.
    pub body: String,
}

/// A stream as it is found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Where its head is.
    pub head: Head,
    /// Its index row.
    pub row: Row,
    /// A snapshot: the version it was taken at and its bytes.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// The events after the snapshot, or all.
    pub events: Vec<StoredEvent>,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number inside the store.
    pub number: i64,
    /// Its version.
    pub version: u64,
    /// The hash of its last event.
    pub hash: [u8; 32],
}

/// An event as it stands in the store, decompressed, blobs resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place among all events.
    pub position: u64,
    /// Whose it is.
    pub stream: StreamId,
    /// Its place in its stream.
    pub version: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Its word.
    pub kind: String,
    /// Who.
    pub actor: String,
    /// The status before.
    pub before: Option<Status>,
    /// The status after.
    pub after: Option<Status>,
    /// The number of its form.
    pub schema: u16,
    /// The structure, JSON.
    pub data: String,
    /// What erasing deletes. A blob's body is resolved to `Inline`.
    pub private: Option<PrivatePart>,
    /// Its hash.
    pub hash: [u8; 32],
}

/// An event as those see it who count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its place among all events.
    pub position: u64,
    /// Whose it is.
    pub stream: StreamId,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Its word.
    pub kind: String,
    /// The status before.
    pub before: Option<Status>,
    /// The status after.
    pub after: Option<Status>,
    /// The structure, JSON; empty where its kind is not wanted.
    pub data: String,
    /// Where its task belongs; empty for other streams.
    pub namespace: String,
    /// The type of its task; empty for other streams.
    pub task_type: String,
    /// When its task was born; 0 for other streams.
    pub created_at: i64,
}

/// A stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which stream.
    pub stream: StreamId,
    /// Its number: the cursor of lists.
    pub number: i64,
    /// Its row.
    pub row: Row,
}

/// Which tasks a list shows. Every part narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these; empty for all.
    pub statuses: Vec<Status>,
    /// Only those that have not ended.
    pub live: bool,
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this type.
    pub task_type: Option<String>,
    /// Only of this owner.
    pub owner_id: Option<String>,
    /// Only parts of this task.
    pub parent: Option<u128>,
    /// Only with this external id.
    pub external_id: Option<String>,
    /// Only from this source.
    pub source: Option<String>,
    /// Only of these risks; empty for all.
    pub risks: Vec<Risk>,
    /// Only due before; those without a due time are left out then.
    pub due_before: Option<i64>,
    /// Only due after; those without a due time are left out then.
    pub due_after: Option<i64>,
    /// Only those that left the live set, or only the others.
    pub archived: Option<bool>,
    /// Only with a smaller stream number: the cursor of a list with the newest first.
    pub below: Option<i64>,
    /// Only with a greater stream number: the cursor of a list with the oldest first.
    pub above: Option<i64>,
    /// Whether the oldest come first.
    pub oldest_first: bool,
}

impl Filter {
    /// Whether a task in a list is wanted.
    pub(crate) fn matches(&self, stream: StreamId, number: i64, row: &Row) -> bool {
        fn same<T: PartialEq>(wanted: &Option<T>, is: Option<&T>) -> bool {
            wanted.as_ref().is_none_or(|wanted| Some(wanted) == is)
        }
        stream.kind == StreamKind::Task
            && (self.statuses.is_empty() || row.status.is_some_and(|status| self.statuses.contains(&status)))
            && (!self.live || row.status.is_some_and(|status| !status.is_final()))
            && same(&self.namespace, Some(&row.namespace))
            && same(&self.task_type, Some(&row.task_type))
            && same(&self.owner_id, row.owner_id.as_ref())
            && same(&self.parent, row.parent.as_ref())
            && same(&self.external_id, row.external_id.as_ref())
            && same(&self.source, row.source.as_ref())
            && (self.risks.is_empty() || self.risks.contains(&row.risk))
            && self.due_before.is_none_or(|before| row.due_at.is_some_and(|at| at < before))
            && self.due_after.is_none_or(|after| row.due_at.is_some_and(|at| at > after))
            && self.archived.is_none_or(|archived| row.archived == archived)
            && self.below.is_none_or(|below| number < below)
            && self.above.is_none_or(|above| number > above)
    }
}

/// Where a walk over open work stands: rank and number of the last one seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its rank.
    pub rank: i64,
    /// Its number.
    pub number: i64,
}

/// A task that offers work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWork {
    /// Which task.
    pub stream: StreamId,
    /// Where it stands in the order.
    pub cursor: Cursor,
    /// What it offers, as in `Row::open`.
    pub open: String,
    /// Where it belongs.
    pub namespace: String,
    /// The kind of task.
    pub task_type: String,
}

/// The latest sign of life of a piece of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// Whose work.
    pub stream: StreamId,
    /// Which work: the text of `WorkKey`.
    pub work: String,
    /// Which attempt.
    pub attempt: u32,
    /// How many heartbeats there were.
    pub counter: u64,
    /// How far, from 0 to 1.
    pub progress: Option<f64>,
    /// In a few words.
    pub message: Option<String>,
    /// How much of what people said about the task its holder has heard, from the first word on.
    pub heard: u64,
    /// When.
    pub at: i64,
}

/// One transaction in the commit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitEntry {
    /// Position of its first event.
    pub first: u64,
    /// Position of its last event.
    pub last: u64,
    /// When.
    pub at: i64,
    /// SHA-256 over the event hashes in order.
    pub root: [u8; 32],
    /// SHA-256 over the previous entry's hash, first, last and root (see `codec::commit_hash`).
    pub hash: [u8; 32],
}

/// The store's trouble; never a rule's no.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space is left. Nothing was written; reading goes on, and writing works again when there is space.
    #[error("no space left to write: {0}")]
    Full(String),
    /// Another program keeps the database locked. Nothing was written; writing works again once it lets go.
    #[error("another program keeps the database locked: {0}")]
    Busy(String),
    /// Anything else that failed. Whether the last batch was written is not known: answer nobody, stop, recover from the log.
    #[error("the store failed: {0}")]
    Unavailable(String),
    /// What was read cannot be right.
    #[error("{stream} is corrupt at version {version}: {why}")]
    Corrupt {
        /// Which stream.
        stream: StreamId,
        /// Where.
        version: u64,
        /// What is wrong.
        why: String,
    },
    /// Another engine has it open.
    #[error("{holder} has {} open; one engine at a time may write it", database.display())]
    Held {
        /// The database.
        database: std::path::PathBuf,
        /// Who has it.
        holder: crate::lock::Holder,
    },
    /// The database is of a form this release does not know.
    #[error("{0}")]
    Unusable(String),
}
