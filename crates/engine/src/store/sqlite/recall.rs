//! What the writer remembers, so that a commit reads little: where its streams are, where its counters stand, what comes next.

use super::StoreError;
use super::rows::{COLUMNS, ROW, read_row, read_u64, value};
use crate::codec::GENESIS;
use crate::ids::IdMap;
use crate::store::Row;
use ephor_core::id::StreamId;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// What the writer remembers. The tables decide: after a failed transaction this is read anew.
pub(super) struct Recalled {
    pub(super) streams: Streams,
    /// Every counter that does not stand at 0.
    pub(super) counters: HashMap<String, i64>,
    /// The number of the stream born last.
    pub(super) number: i64,
    /// The position of the last event.
    pub(super) position: u64,
    /// The hash of the last commit.
    pub(super) chain: [u8; 32],
}

impl Recalled {
    pub(super) fn read(db: &Connection) -> Result<Self, StoreError> {
        let mut counters = db.prepare_cached("select key, value from counters")?;
        Ok(Self {
            streams: Streams::default(),
            counters: counters.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?,
            number: value(db, "select coalesce(max(no), 0) from streams")?,
            position: db.query_row_and_then("select coalesce(max(position), 0) from events", [], |row| read_u64(row, 0))?,
            chain: db
                .query_row("select hash from commits order by first desc limit 1", [], |row| row.get(0))
                .optional()?
                .unwrap_or(GENESIS),
        })
    }
}

/// A stream as the writer remembers it.
pub(super) struct Known {
    pub(super) number: i64,
    pub(super) version: u64,
    pub(super) row: Arc<Row>,
}

/// The streams last used. Two generations: when the young one is full it becomes the old one and what was old is forgotten, so
/// that a stream in use stays, at the price of a hash map and no list.
#[derive(Default)]
pub(super) struct Streams {
    young: IdMap<StreamId, Known>,
    old: IdMap<StreamId, Known>,
}

/// Streams in one generation. About 400 bytes each: 2 × 13 MB.
const GENERATION: usize = 32 * 1024;

impl Streams {
    /// A stream, from memory or from the database; `None` when there is none.
    pub(super) fn get(&mut self, db: &Connection, stream: StreamId) -> Result<Option<&mut Known>, StoreError> {
        if self.recall(stream).is_none() {
            let Some(known) = find(db, stream)? else { return Ok(None) };
            self.put(stream, known);
        }
        Ok(self.young.get_mut(&stream))
    }

    /// A stream, if it is remembered.
    pub(super) fn recall(&mut self, stream: StreamId) -> Option<&mut Known> {
        if !self.young.contains_key(&stream) {
            let known = self.old.remove(&stream)?;
            self.put(stream, known);
        }
        self.young.get_mut(&stream)
    }

    pub(super) fn put(&mut self, stream: StreamId, known: Known) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, known);
    }
}

static FIND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select {}, coalesce((select max(version) from events where stream = s.no), 0) \
         from streams s where s.id = ?1 and s.kind = ?2",
        *ROW
    )
});

fn find(db: &Connection, stream: StreamId) -> Result<Option<Known>, StoreError> {
    let mut find = db.prepare_cached(&FIND)?;
    let mut rows = find.query(params![stream.bits.to_be_bytes(), stream.kind.word()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let (number, _, row) = read_row(found)?;
    Ok(Some(Known { number, version: read_u64(found, VERSION)?, row: row.into() }))
}

/// The column behind a row's.
const VERSION: usize = COLUMNS.len() + 3;
