//! The store on SQLite: one file, one writer, readers that never wait for it.

use super::{
    CommitEntry, Conflict, Cursor, Filter, Group, Head, Listed, Loaded, MailRow, OpenWork, Reader, Store, StoreError,
    StoredEvent, Telemetry, UniqueRow, Written,
};
use ephor_core::id::StreamId;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub mod migrate;
mod read;
mod recall;
mod rows;
mod write;

pub use read::SqliteReader;

/// Which database, and how to reach it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file. Beside it SQLite keeps `-wal` and `-shm`.
    pub path: PathBuf,
    /// The name of a registered VFS, where storage is to fail on purpose; `None` for the operating system's.
    pub vfs: Option<String>,
}

impl Options {
    /// A database on ordinary storage.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), vfs: None }
    }
}

/// A SQLite database open for writing. Whoever opens it holds the lock beside it (see `lock`).
pub struct SqliteStore {
    writer: write::Writer,
    reader: Arc<SqliteReader>,
}

impl SqliteStore {
    /// Opens a database, makes it if there is none, and brings it to this release's form. `at` is the time noted for that.
    pub fn open(options: &Options, at: i64) -> Result<Self, StoreError> {
        let writer = write::Writer::open(options, at)?;
        Ok(Self { writer, reader: Arc::new(SqliteReader::open(options)?) })
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, groups: Vec<Group>, at: i64) -> Result<Vec<Result<Written, Conflict>>, StoreError> {
        self.writer.commit(groups, at)
    }

    fn note(&mut self, beats: &[Telemetry]) -> Result<(), StoreError> {
        self.writer.note(beats)
    }

    fn save_high_water(&mut self, at: i64) -> Result<(), StoreError> {
        self.writer.save_high_water(at)
    }

    fn sweep(&mut self, at: i64, limit: u32) -> Result<u32, StoreError> {
        self.writer.sweep(at, limit)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.reader.clone()
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
        if matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)) {
            // The storage has answered; what it holds was not written by a store.
            return Self::Unusable(format!("the store holds what cannot be: {error}"));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.to_string()),
            // No part of the statement was carried out, and what belongs to it is rolled back.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error.to_string()),
            Some(ErrorCode::NotADatabase) => Self::Unusable(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// A connection that may write, set so that what is committed is on the disk.
fn connect_to_write(options: &Options) -> Result<Connection, StoreError> {
    let folder = options.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = !options.path.exists();
    std::fs::create_dir_all(folder).map_err(|e| unusable(options, &e))?;
    let db = connect(options, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    db.pragma_update(None, "page_size", PAGE_BYTES)?;
    use_log(&db)?;
    db.pragma_update(None, "synchronous", "full")?;
    // The writer moves the log itself (see `write`).
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)?;
    db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // References are kept by how rows are written, and verified by `check`; looking each up again would only cost.
    db.pragma_update(None, "foreign_keys", false)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    let journal: String = rows::value(&db, "pragma journal_mode")?;
    let synchronous: i64 = rows::value(&db, "pragma synchronous")?;
    if (journal.as_str(), synchronous) != ("wal", SYNCHRONOUS_FULL) {
        let why = format!("it is set to journal_mode={journal}, synchronous={synchronous}, and would lose what was answered");
        return Err(unusable(options, &why));
    }
    if made {
        // The entry of a new file is durable only once its folder is.
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| unusable(options, &e))?;
    }
    Ok(db)
}

/// Keeps a write-ahead log from now on. A new database is written for that, and whether it was is known only once the statement has
/// ended: its row says `wal` before, and so does the connection from then on, also when writing failed.
fn use_log(db: &Connection) -> Result<(), StoreError> {
    let mut set = db.prepare("pragma journal_mode = wal")?;
    let mut rows = set.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// A connection that only reads.
fn connect_to_read(options: &Options) -> Result<Connection, StoreError> {
    let db = connect(options, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

fn connect(options: &Options, flags: OpenFlags) -> Result<Connection, StoreError> {
    // Each connection is used by one thread at a time, so SQLite need not lock around every call.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = match &options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(&options.path, flags, vfs.as_str()),
        None => Connection::open_with_flags(&options.path, flags),
    };
    let db = db.map_err(|e| unusable(options, &e))?;
    db.busy_timeout(BUSY)?;
    Ok(db)
}

fn unusable(options: &Options, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("cannot use {}: {why}", options.path.display()))
}

/// What `pragma synchronous` answers when every commit is on the disk before it returns.
const SYNCHRONOUS_FULL: i64 = 2;

/// How long to wait for a tool that holds the database for a moment, such as a backup.
const BUSY: Duration = Duration::from_secs(5);

/// A birth writes about a kilobyte and touches seven trees: larger pages save calls, smaller ones save bytes.
const PAGE_BYTES: i64 = 8192;

/// What the log may keep once it was moved into the database (PROMISES 22).
const LOG_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// The writer touches the index rows of all live tasks: 64 MiB hold those of 200,000.
const WRITER_CACHE_KIB: i64 = 64 * 1024;

/// Each reader's; the operating system keeps the rest.
const READER_CACHE_KIB: i64 = 8 * 1024;

/// Prepared statements a connection keeps: all fixed ones, and the updates and lists that occur in practice.
const STATEMENTS: usize = 128;
