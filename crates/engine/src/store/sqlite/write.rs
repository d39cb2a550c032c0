//! The one connection that writes: a batch is one transaction, and after trouble either nothing has happened or nobody goes on.

use super::recall::{Known, Recalled, Streams};
use super::rows::{COLUMNS, UNIQUE, int, read_unique, write_private};
use super::{Options, StoreError};
use crate::codec;
use crate::store::check::{Counters, Facts, Standing, Stop, check, guards};
use crate::store::{Change, Conflict, Erasure, Group, Guard, MailRow, NewEvent, Row, Telemetry, UniqueRow, Written};
use ephor_core::id::StreamId;
use ephor_core::status::Status;
use rusqlite::{CachedStatement, Connection, params};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

/// What writes.
pub(super) struct Writer {
    db: Connection,
    recalled: Recalled,
    /// Why the writer has stopped. What a failed write or sync left behind is known only to who reads the log anew.
    stopped: Option<String>,
}

impl Writer {
    pub(super) fn open(options: &Options, at: i64) -> Result<Self, StoreError> {
        let mut db = super::connect_to_write(options)?;
        super::migrate::apply_missing(&mut db, at)?;
        Ok(Self { recalled: Recalled::read(&db)?, db, stopped: None })
    }

    pub(super) fn commit(&mut self, groups: Vec<Group>, at: i64) -> Result<Vec<Result<Written, Conflict>>, StoreError> {
        // What is erased is overwritten, in the database and, by the checkpoint, in the log.
        let erases = groups.iter().any(|group| !group.erase.is_empty());
        if erases {
            self.db.pragma_update(None, "secure_delete", true)?;
        }
        let answers = self.transaction(|db, recalled| {
            let mut batch = Batch::begin(db, recalled, at)?;
            let answers = groups.into_iter().map(|group| batch.take(group)).collect::<Result<_, _>>()?;
            batch.finish()?;
            Ok(answers)
        });
        if erases {
            self.db.pragma_update(None, "secure_delete", false)?;
        }
        let answers = answers?;
        if erases {
            self.checkpoint("truncate");
        } else {
            self.checkpoint_when_due();
        }
        Ok(answers)
    }

    pub(super) fn note(&mut self, beats: &[Telemetry]) -> Result<(), StoreError> {
        self.transaction(|db, recalled| {
            let mut upsert = db.prepare_cached(
                "insert into telemetry (stream, work, attempt, counter, progress, message, at, heard)
                     values (?, ?, ?, ?, ?, ?, ?, ?)
                 on conflict do update set attempt = excluded.attempt, counter = excluded.counter,
                     progress = excluded.progress, message = excluded.message, at = excluded.at, heard = excluded.heard",
            )?;
            for beat in beats {
                let Some(known) = recalled.streams.get(db, beat.stream)?.filter(|known| !known.has_ended()) else { continue };
                let Telemetry { stream: _, work, attempt, counter, progress, message, heard, at } = beat;
                upsert.execute(params![known.number, work, attempt, int(*counter), progress, message, at, int(*heard)])?;
            }
            Ok(())
        })
    }

    pub(super) fn save_high_water(&mut self, at: i64) -> Result<(), StoreError> {
        self.transaction(|db, _| {
            let sql = "insert into meta (key, value) values ('high_water', ?1)
                       on conflict do update set value = max(value, excluded.value)";
            db.prepare_cached(sql)?.execute([at])?;
            Ok(())
        })
    }

    pub(super) fn sweep(&mut self, at: i64, limit: u32) -> Result<u32, StoreError> {
        self.transaction(|db, _| {
            let sql = "delete from uniques where key in (select key from uniques where until <= ?1 order by until limit ?2)";
            let swept = db.prepare_cached(sql)?.execute(params![at, limit])?;
            Ok(u32::try_from(swept).expect("no more than the limit"))
        })
    }

    /// Runs `work` and commits what it did, or leaves everything as it was.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Recalled) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(why) = &self.stopped {
            return Err(StoreError::Unavailable(format!("stopped after an earlier failure: {why}")));
        }
        let Self { db, recalled, .. } = self;
        let run = |sql| Ok(db.prepare_cached(sql)?.execute([]).map(drop)?);
        let done = run("begin immediate").and_then(|()| work(db, recalled)).and_then(|done| run("commit").map(|()| done));
        if let Err(error) = &done {
            self.roll_back(error);
        }
        done
    }

    /// After `Full`, `Busy` and `Corrupt` the writer goes on from what the tables say; after anything else it stops.
    fn roll_back(&mut self, error: &StoreError) {
        let rolled_back = if self.db.is_autocommit() { Ok(()) } else { self.db.execute_batch("rollback") };
        let healed = rolled_back.map_err(StoreError::from).and_then(|()| Recalled::read(&self.db));
        match (error, healed) {
            (StoreError::Unavailable(why), _) => self.stopped = Some(why.clone()),
            (_, Err(why)) => self.stopped = Some(why.to_string()),
            (_, Ok(recalled)) => self.recalled = recalled,
        }
    }

    /// Moves the log into the database once it is long. SQLite would do so by itself, but would not tell when that fails.
    fn checkpoint_when_due(&mut self) {
        let pages = self.db.prepare_cached("pragma wal_checkpoint(noop)").and_then(|mut log| log.query_row([], |row| row.get(1)));
        if pages.is_ok_and(|pages: i64| pages >= CHECKPOINT_PAGES) {
            self.checkpoint("passive");
        }
    }

    /// Without space the log simply stays; any other failure leaves it unknown what a later sync is worth, and stops the writer.
    fn checkpoint(&mut self, mode: &str) {
        let done = self.db.query_row(&format!("pragma wal_checkpoint({mode})"), [], |_| Ok(()));
        if let Err(StoreError::Unavailable(why)) = done.map_err(StoreError::from) {
            self.stopped = Some(why);
        }
    }
}

/// Pages in the log before it is moved into the database: 16 MiB. Longer logs are moved more seldom, and callers wait longer then.
const CHECKPOINT_PAGES: i64 = 2000;

impl Known {
    fn status(&self) -> Option<Status> {
        self.row.status
    }

    fn has_ended(&self) -> bool {
        self.status().is_some_and(Status::is_final)
    }
}

/// One batch being written. Groups see what the groups before them did, since all is in one transaction.
struct Batch<'a> {
    db: &'a Connection,
    streams: &'a mut Streams,
    counters: &'a mut HashMap<String, i64>,
    number: &'a mut i64,
    position: &'a mut u64,
    chain: &'a mut [u8; 32],
    at: i64,
    insert_stream: CachedStatement<'a>,
    insert_event: CachedStatement<'a>,
    /// Counters that changed, and to what: one row each, however many groups touched it.
    changed: BTreeMap<String, i64>,
    /// The hashes of the events, in order.
    hashes: Vec<[u8; 32]>,
}

static INSERT_STREAM: LazyLock<String> = LazyLock::new(|| {
    let names = COLUMNS.map(|(name, _)| name).join(", ");
    let places = ", ?".repeat(COLUMNS.len());
    format!("insert into streams (no, kind, id, {names}) values (?, ?, ?{places}) on conflict (id, kind) do nothing")
});

const INSERT_EVENT: &str = "insert into events (position, stream, version, at, kind, actor, status_before, status_after, \
     schema, hash, digest, private_key, data, private) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

impl<'a> Batch<'a> {
    fn begin(db: &'a Connection, recalled: &'a mut Recalled, at: i64) -> Result<Self, StoreError> {
        let Recalled { streams, counters, number, position, chain } = recalled;
        let insert_stream = db.prepare_cached(&INSERT_STREAM)?;
        let insert_event = db.prepare_cached(INSERT_EVENT)?;
        let (changed, hashes) = (BTreeMap::new(), Vec::new());
        Ok(Self { db, streams, counters, number, position, chain, at, insert_stream, insert_event, changed, hashes })
    }

    /// Checks a group and writes it, or says why it is refused.
    fn take(&mut self, group: Group) -> Result<Result<Written, Conflict>, StoreError> {
        // Whether a stream that is to be born exists already, writing it says as well as looking for it.
        let newborn = self.lone_birth(&group);
        let checked = match newborn {
            Some(_) => guards(&group, self.at, self),
            None => check(&group, self.at, self),
        };
        let counters = match checked {
            Ok(counters) => counters,
            Err(Stop::Refused(conflict)) => return Ok(Err(conflict)),
            Err(Stop::Failed(error)) => return Err(error),
        };
        if let Some(written) = self.write(group, counters)? {
            return Ok(Ok(written));
        }
        let stream = newborn.expect("every other group was found to stand");
        let is = self.standing(stream)?.map_or(0, |standing| standing.version);
        Ok(Err(Conflict::Version { stream, is }))
    }

    /// The stream a group gives birth to, if it does nothing else and nobody remembers that stream.
    fn lone_birth(&mut self, group: &Group) -> Option<StreamId> {
        let [Change { stream, follows: 0, .. }] = group.changes[..] else { return None };
        (group.erase.is_empty() && self.streams.recall(stream).is_none()).then_some(stream)
    }

    /// Writes a group; nothing of it, where it begins with the birth of a stream that exists.
    fn write(&mut self, group: Group, counters: Counters) -> Result<Option<Written>, StoreError> {
        let mut positions = Vec::with_capacity(group.changes.len());
        for change in group.changes {
            match self.change(change)? {
                Some(position) => positions.push(position),
                None => return Ok(None),
            }
        }
        for guard in &group.guards {
            self.hold(guard)?;
        }
        for (key, value) in counters {
            match value {
                0 => self.counters.remove(&key),
                _ => self.counters.insert(key.clone(), value),
            };
            self.changed.insert(key, value);
        }
        for mail in &group.mail {
            self.send(mail)?;
        }
        for erasure in &group.erase {
            self.erase(*erasure)?;
        }
        Ok(Some(Written { positions }))
    }

    /// Deletes what was private in a stream up to a version.
    fn erase(&mut self, erasure: Erasure) -> Result<(), StoreError> {
        let Some(known) = self.streams.get(self.db, erasure.stream)? else { return Ok(()) };
        Arc::make_mut(&mut known.row).title.clear();
        let (number, version) = (known.number, int(erasure.version));
        let blobs = "delete from blobs where stream = ?1
                     and key not in (select private_key from events where stream = ?1 and version > ?2 and private_key is not null)";
        self.run(blobs, params![number, version])?;
        let words = "update events set private = null, private_key = null
                     where stream = ?1 and version <= ?2 and digest is not null";
        self.run(words, params![number, version])?;
        for sql in [
            "delete from snapshots where stream = ?1",
            "delete from telemetry where stream = ?1",
            "delete from mail where target = ?1",
            "update streams set title = '' where no = ?1",
        ] {
            self.run(sql, params![number])?;
        }
        Ok(())
    }

    /// Writes what happens to one stream; answers the position of its first event, or that it was to be born and exists.
    fn change(&mut self, change: Change) -> Result<Option<u64>, StoreError> {
        let Change { stream, follows, events, row, mail_taken, blobs, snapshot } = change;
        let version = follows + events.len() as u64;
        // Whoever exists is remembered since the check, so that a birth is looked for but once.
        let number = match self.streams.recall(stream) {
            Some(known) => {
                known.version = version;
                if let Some(row) = row {
                    update(self.db, known, row)?;
                }
                known.number
            }
            None => match self.birth(stream, version, row.unwrap_or_default())? {
                Some(number) => number,
                None => return Ok(None),
            },
        };
        let first = if events.is_empty() { 0 } else { *self.position + 1 };
        for (event, version) in events.iter().zip(follows + 1..) {
            self.event(number, version, event)?;
        }
        for id in mail_taken {
            self.run("delete from mail where id = ?1 and target = ?2", params![id, number])?;
        }
        for blob in blobs {
            let sql = "insert into blobs (key, stream, body) values (?1, ?2, ?3) on conflict do nothing";
            self.run(sql, params![blob.key, number, blob.body])?;
        }
        if let Some(body) = snapshot {
            let sql = "insert into snapshots (stream, version, body) values (?1, ?2, ?3)
                       on conflict do update set version = excluded.version, body = excluded.body";
            self.run(sql, params![number, int(version), body])?;
        }
        Ok(Some(first))
    }

    /// Writes a new stream; answers its number, or that it exists.
    fn birth(&mut self, stream: StreamId, version: u64, row: Arc<Row>) -> Result<Option<i64>, StoreError> {
        let number = *self.number + 1;
        let insert = &mut self.insert_stream;
        insert.raw_bind_parameter(1, number)?;
        insert.raw_bind_parameter(2, stream.kind.word())?;
        insert.raw_bind_parameter(3, stream.bits.to_be_bytes())?;
        for ((_, value), place) in COLUMNS.iter().zip(4..) {
            insert.raw_bind_parameter(place, value(&row))?;
        }
        if insert.raw_execute()? == 0 {
            return Ok(None);
        }
        *self.number = number;
        self.streams.put(stream, Known { number, version, row });
        Ok(Some(number))
    }

    fn event(&mut self, number: i64, version: u64, event: &NewEvent) -> Result<(), StoreError> {
        *self.position += 1;
        let (digest, private_key, private) = write_private(event);
        let packed = codec::compress(&event.data);
        let data: &dyn rusqlite::ToSql = match &packed {
            Some(packed) => packed,
            None => &event.data,
        };
        self.insert_event.execute(params![
            int(*self.position),
            number,
            int(version),
            event.at,
            event.kind,
            event.actor,
            event.before.map(Status::word),
            event.after.map(Status::word),
            event.schema,
            event.hash,
            digest,
            private_key,
            data,
            private,
        ])?;
        self.hashes.push(event.hash);
        Ok(())
    }

    /// Takes a unique key. A holder whose time is over makes way.
    fn hold(&self, guard: &Guard) -> Result<(), StoreError> {
        let Guard::Unique { key, until, value, stream } = guard else { return Ok(()) };
        let sql = "insert or replace into uniques (key, until, value, stream) values (?1, ?2, ?3, ?4)";
        self.run(sql, params![key, until, value, stream.to_string()])
    }

    /// Sends mail, unless there is nobody left to read it.
    fn send(&mut self, mail: &MailRow) -> Result<(), StoreError> {
        let target = self.streams.get(self.db, mail.target)?.filter(|known| !known.has_ended());
        let Some(target) = target.map(|known| known.number) else { return Ok(()) };
        let sql =
            "insert into mail (target, id, source, source_version, body) values (?1, ?2, ?3, ?4, ?5) on conflict do nothing";
        self.run(sql, params![target, mail.id, mail.source.to_string(), int(mail.source_version), mail.body])
    }

    /// Writes what stands once for the whole batch: counters and the entry in the commit log.
    fn finish(self) -> Result<(), StoreError> {
        for (key, value) in &self.changed {
            match value {
                0 => self.run("delete from counters where key = ?1", [key])?,
                _ => self.run("insert or replace into counters (key, value) values (?1, ?2)", params![key, value])?,
            }
        }
        if self.hashes.is_empty() {
            return Ok(());
        }
        let (first, last) = (*self.position + 1 - self.hashes.len() as u64, *self.position);
        let root = codec::commit_root(&self.hashes);
        let hash = codec::commit_hash(self.chain, first, last, &root);
        let sql = "insert into commits (first, last, at, root, hash) values (?1, ?2, ?3, ?4, ?5)";
        self.run(sql, params![int(first), int(last), self.at, root, hash])?;
        *self.chain = hash;
        Ok(())
    }

    fn run(&self, sql: &str, with: impl rusqlite::Params) -> Result<(), StoreError> {
        self.db.prepare_cached(sql)?.execute(with)?;
        Ok(())
    }
}

impl Facts for Batch<'_> {
    fn standing(&mut self, stream: StreamId) -> Result<Option<Standing>, StoreError> {
        let known = self.streams.get(self.db, stream)?;
        Ok(known.map(|known| Standing { version: known.version, status: known.status() }))
    }

    fn counter(&self, key: &str) -> i64 {
        self.counters.get(key).copied().unwrap_or(0)
    }

    fn holder(&mut self, key: &str, at: i64) -> Result<Option<UniqueRow>, StoreError> {
        static SQL: LazyLock<String> =
            LazyLock::new(|| format!("select {UNIQUE} from uniques where key = ?1 and (until is null or until > ?2)"));
        let mut find = self.db.prepare_cached(&SQL)?;
        find.query_and_then(params![key, at], read_unique)?.next().transpose()
    }
}

/// Writes the columns of a row that differ, so that only the indexes over those are touched. Who has ended gets no more mail and
/// shows no more signs of life.
fn update(db: &Connection, known: &mut Known, row: Arc<Row>) -> Result<(), StoreError> {
    let had_ended = known.has_ended();
    let differ: Vec<_> = COLUMNS.iter().filter(|(_, value)| value(&known.row) != value(&row)).collect();
    if !differ.is_empty() {
        let names: Vec<_> = differ.iter().map(|(name, _)| format!("{name} = ?")).collect();
        let mut update = db.prepare_cached(&format!("update streams set {} where no = ?", names.join(", ")))?;
        for ((_, value), place) in differ.iter().zip(1..) {
            update.raw_bind_parameter(place, value(&row))?;
        }
        update.raw_bind_parameter(differ.len() + 1, known.number)?;
        update.raw_execute()?;
    }
    known.row = row;
    if known.has_ended() && !had_ended {
        db.prepare_cached("delete from mail where target = ?1")?.execute([known.number])?;
        db.prepare_cached("delete from telemetry where stream = ?1")?.execute([known.number])?;
    }
    Ok(())
}
