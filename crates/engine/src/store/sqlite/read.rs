//! The connections that read: a few, each for one caller at a time. SQLite's log lets them see whole commits and never wait.

use super::rows::{
    EVENT, ROW, UNIQUE, int, read_event, read_fact, read_mail, read_row, read_status, read_stream, read_telemetry, read_u64,
    read_unique, value,
};
use super::*;
use crate::codec::GENESIS;
use crate::store::Fact;
use ephor_core::id::StreamKind;
use ephor_core::spec::Risk;
use ephor_core::status::Status;
use rusqlite::{OptionalExtension, Params, ToSql, params};
use std::sync::{Condvar, Mutex, MutexGuard};

/// Reads a SQLite database: beside its writer in one process, or beside an engine in another.
pub struct SqliteReader {
    options: Options,
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// More readers than this wait for each other. A query takes well under a millisecond and processors are few.
const CONNECTIONS: usize = 4;

impl SqliteReader {
    /// Opens a database of exactly this release's form, to read.
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        let idle = (0..CONNECTIONS).map(|_| connect_to_read(options)).collect::<Result<Vec<_>, _>>()?;
        migrate::expect_current(&idle[0])?;
        Ok(Self { options: options.clone(), idle: Mutex::new(idle), returned: Condvar::new() })
    }

    /// Opens a database to look at the whole as it is now, whatever is written meanwhile: one connection in one transaction.
    pub fn open_still(options: &Options) -> Result<Self, StoreError> {
        let db = connect_to_read(options)?;
        db.execute_batch("begin")?;
        migrate::expect_current(&db)?;
        Ok(Self { options: options.clone(), idle: Mutex::new(vec![db]), returned: Condvar::new() })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().expect("nothing panics between taking and returning a connection")
    }

    fn connection(&self) -> Borrowed<'_> {
        let mut idle = self.returned.wait_while(self.idle(), |idle| idle.is_empty()).expect("as in `idle`");
        Borrowed { pool: self, db: idle.pop() }
    }
}

/// A connection on loan. It goes back also when its user panics.
struct Borrowed<'p> {
    pool: &'p SqliteReader,
    db: Option<Connection>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.pool.idle().extend(self.db.take());
        self.pool.returned.notify_one();
    }
}

impl std::ops::Deref for Borrowed<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.db.as_ref().expect("a connection is taken back only on drop")
    }
}

/// What a query finds. The statement is kept prepared.
fn all<T>(
    db: &Connection,
    sql: &str,
    with: impl Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    db.prepare_cached(sql)?.query_and_then(with, read)?.collect()
}

/// The first that a query finds.
fn one<T>(
    db: &Connection,
    sql: &str,
    with: impl Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    db.prepare_cached(sql)?.query_and_then(with, read)?.next().transpose()
}

/// Events of one stream after a version, in order.
fn events_of(db: &Connection, number: i64, after: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
    let sql = format!(
        "select {EVENT} from events e cross join streams s on s.no = e.stream left join blobs b on b.key = e.private_key
         where e.stream = ?1 and e.version > ?2 order by e.version limit ?3"
    );
    all(db, &sql, params![number, int(after), limit], read_event)
}

fn number_of(db: &Connection, stream: StreamId) -> Result<Option<i64>, StoreError> {
    let sql = "select no from streams where id = ?1 and kind = ?2";
    one(db, sql, params![stream.bits.to_be_bytes(), stream.kind.word()], |row| Ok(row.get(0)?))
}

fn head_of(db: &Connection, number: i64) -> Result<Head, StoreError> {
    let sql = "select version, hash from events where stream = ?1 order by version desc limit 1";
    let found = one(db, sql, [number], |row| Ok(Head { number, version: read_u64(row, 0)?, hash: row.get(1)? }))?;
    Ok(found.unwrap_or(Head { number, version: 0, hash: GENESIS }))
}

fn snapshot_of(db: &Connection, number: i64) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
    let sql = "select version, body from snapshots where stream = ?1";
    one(db, sql, [number], |row| Ok((read_u64(row, 0)?, row.get(1)?)))
}

/// The version a stream was at when all had come to a position. Positions rise with versions, so it is found by halving.
fn version_at(db: &Connection, number: i64, position: u64) -> Result<u64, StoreError> {
    let (mut at_most, mut beyond) = (0, head_of(db, number)?.version + 1);
    while at_most + 1 < beyond {
        let middle = at_most + (beyond - at_most) / 2;
        let sql = "select position from events where stream = ?1 and version = ?2";
        match one(db, sql, params![number, int(middle)], |row| read_u64(row, 0))? {
            Some(is) if is > position => beyond = middle,
            Some(_) | None => at_most = middle,
        }
    }
    Ok(at_most)
}

impl Reader for SqliteReader {
    fn load(&self, stream: StreamId) -> Result<Option<Loaded>, StoreError> {
        let db = self.connection();
        // One moment for all that is read.
        let _moment = db.is_autocommit().then(|| db.unchecked_transaction()).transpose()?;
        let sql = format!("select {} from streams s where s.id = ?1 and s.kind = ?2", *ROW);
        let Some((number, _, row)) = one(&db, &sql, params![stream.bits.to_be_bytes(), stream.kind.word()], read_row)? else {
            return Ok(None);
        };
        let snapshot = snapshot_of(&db, number)?;
        let events = events_of(&db, number, snapshot.as_ref().map_or(0, |(version, _)| *version), u32::MAX)?;
        Ok(Some(Loaded { head: head_of(&db, number)?, row, snapshot, events }))
    }

    fn snapshot(&self, stream: StreamId) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let db = self.connection();
        Ok(number_of(&db, stream)?.map(|number| snapshot_of(&db, number)).transpose()?.flatten())
    }

    fn head(&self, stream: StreamId) -> Result<Option<Head>, StoreError> {
        let db = self.connection();
        number_of(&db, stream)?.map(|number| head_of(&db, number)).transpose()
    }

    fn status(&self, stream: StreamId) -> Result<Option<Status>, StoreError> {
        let sql = "select status from streams where kind = ?1 and id = ?2";
        let id = stream.bits.to_be_bytes();
        let word = one(&self.connection(), sql, params![stream.kind.word(), id], |row| {
            read_status(row, 0).map_err(|why| StoreError::Corrupt { stream, version: 0, why })
        })?;
        Ok(word.flatten())
    }

    fn position(&self) -> Result<u64, StoreError> {
        let position = one(&self.connection(), "select max(position) from events", [], |row| Ok(row.get::<_, Option<i64>>(0)?))?;
        Ok(position.flatten().map_or(0, i64::unsigned_abs))
    }

    fn events(&self, after: u64, limit: u32, stream: Option<StreamId>) -> Result<Vec<StoredEvent>, StoreError> {
        let db = self.connection();
        if let Some(stream) = stream {
            let Some(number) = number_of(&db, stream)? else { return Ok(Vec::new()) };
            return events_of(&db, number, version_at(&db, number, after)?, limit);
        }
        let sql = format!(
            "select {EVENT} from events e cross join streams s on s.no = e.stream left join blobs b on b.key = e.private_key
             where e.position > ?1 order by e.position limit ?2"
        );
        all(&db, &sql, params![int(after), limit], read_event)
    }

    fn facts(&self, after: u64, limit: u32, wanted: &[&str]) -> Result<Vec<Fact>, StoreError> {
        let sql = "select e.position, s.kind, s.id, e.at, e.kind, e.status_before, e.status_after, s.namespace, s.task_type,
             s.created_at, e.data
             from events e cross join streams s on s.no = e.stream where e.position > ?1 order by e.position limit ?2";
        all(&self.connection(), sql, params![int(after), limit], |row| read_fact(row, wanted))
    }

    fn stream_events(&self, stream: StreamId, after_version: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let db = self.connection();
        number_of(&db, stream)?.map_or(Ok(Vec::new()), |number| events_of(&db, number, after_version, limit))
    }

    fn listed(&self, task: StreamId, filter: &Filter) -> Result<Option<Listed>, StoreError> {
        let sql = format!("select {} from streams s where s.id = ?1 and s.kind = ?2", *ROW);
        let found = one(&self.connection(), &sql, params![task.bits.to_be_bytes(), task.kind.word()], read_listed)?;
        Ok(found.filter(|listed| filter.matches(listed.stream, listed.number, &listed.row)))
    }

    fn touched(&self, stream: StreamId) -> Result<Option<i64>, StoreError> {
        let db = self.connection();
        let Some(number) = number_of(&db, stream)? else { return Ok(None) };
        one(&db, "select at from events where stream = ?1 order by version desc limit 1", [number], |row| Ok(row.get(0)?))
    }

    fn born_before(&self, task: StreamId) -> Result<Option<u64>, StoreError> {
        let sql = "select (select count(*) from streams s where s.parent = t.parent and s.no < t.no)
                   from streams t where t.id = ?1 and t.kind = ?2 and t.parent is not null";
        one(&self.connection(), sql, params![task.bits.to_be_bytes(), task.kind.word()], |row| read_u64(row, 0))
    }

    fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let db = self.connection();
        let all = || Status::ALL.into_iter().filter(|status| !filter.live || !status.is_final());
        let wanted: Vec<_> = all().filter(|status| filter.statuses.is_empty() || filter.statuses.contains(status)).collect();
        let statuses = match wanted.len() == Status::ALL.len() {
            true => vec![None],
            false => wanted.into_iter().map(Some).collect(),
        };
        // Low risk is no word, and not worth an index: most tasks are of it.
        let risks = match filter.risks.is_empty() || filter.risks.contains(&Risk::Low) {
            true => vec![None],
            false => Risk::ALL.into_iter().filter(|risk| filter.risks.contains(risk)).map(Some).collect(),
        };
        if let ([status], [risk]) = (&statuses[..], &risks[..]) {
            return page(&db, filter, *status, *risk, limit);
        }
        // One walk over an index for each of them; the newest of all are among the newest of each.
        let mut found = Vec::new();
        for status in statuses {
            for risk in &risks {
                found.extend(page(&db, filter, status, *risk, limit)?);
            }
        }
        match filter.oldest_first {
            true => found.sort_unstable_by_key(|listed| listed.number),
            false => found.sort_unstable_by_key(|listed| std::cmp::Reverse(listed.number)),
        }
        found.truncate(limit as usize);
        Ok(found)
    }

    fn streams(&self, kind: StreamKind, after: i64, limit: u32) -> Result<Vec<Listed>, StoreError> {
        // Tasks are most of all streams and not in the index of kinds.
        let tasks = if kind == StreamKind::Task { "" } else { "and s.kind <> 'task'" };
        let sql = format!("select {} from streams s where s.kind = ?1 {tasks} and s.no > ?2 order by s.no limit ?3", *ROW);
        all(&self.connection(), &sql, params![kind.word(), after, limit], read_listed)
    }

    fn due(&self, at: i64, limit: u32) -> Result<Vec<StreamId>, StoreError> {
        let sql = "select kind, id from streams where wake_at <= ?1 order by wake_at, no limit ?2";
        all(&self.connection(), sql, params![at, limit], |row| read_stream(row, 0))
    }

    fn next_wake(&self) -> Result<Option<i64>, StoreError> {
        let sql = "select wake_at from streams where wake_at is not null order by wake_at limit 1";
        one(&self.connection(), sql, [], |row| Ok(row.get(0)?))
    }

    fn open_work(&self, after: Option<Cursor>, limit: u32) -> Result<Vec<OpenWork>, StoreError> {
        let db = self.connection();
        let select = |place: &str| {
            format!(
                "select kind, id, rank, no, open, namespace, task_type from streams where open is not null {place}
                 order by rank, no limit "
            )
        };
        let Some(Cursor { rank, number }) = after else {
            return all(&db, &(select("") + "?1"), [limit], read_open);
        };
        // Behind the cursor lie the rest of its rank and the later ranks, in that order. Each is a range of the index; asked for at once,
        // they would not be.
        let rest = select("and rank = ?1 and no > ?2") + "?3";
        let mut found = all(&db, &rest, params![rank, number, limit], read_open)?;
        let left = limit - found.len() as u32;
        found.extend(all(&db, &(select("and rank > ?1") + "?2"), params![rank, left], read_open)?);
        Ok(found)
    }

    fn asking(&self, after: Option<Cursor>, namespace: Option<&str>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let db = self.connection();
        let select = |place: &str| {
            format!(
                "select {} from streams s where s.asks_since is not null and (?1 is null or s.namespace = ?1) {place}
                 order by s.asks_since, s.no limit ?2",
                *ROW
            )
        };
        let Some(Cursor { rank, number }) = after else {
            return all(&db, &select(""), params![namespace, limit], read_listed);
        };
        // As with open work: the rest of the instant, then the later ones, each a range of the index.
        let rest = select("and s.asks_since = ?3 and s.no > ?4");
        let mut found = all(&db, &rest, params![namespace, limit, rank, number], read_listed)?;
        let left = limit - found.len() as u32;
        found.extend(all(&db, &select("and s.asks_since > ?3"), params![namespace, left, rank], read_listed)?);
        Ok(found)
    }

    fn ahead(&self, of: Cursor, namespace: &str, open: &str, most: u32) -> Result<u64, StoreError> {
        let sql = "select count(*) from (
                select 1 from streams where open is not null and rank <= ?1 and (rank < ?1 or no < ?2) and namespace = ?3 and open = ?4
                limit ?5
            )";
        let counted = one(&self.connection(), sql, params![of.rank, of.number, namespace, open, most], |row| read_u64(row, 0))?;
        Ok(counted.unwrap_or(0))
    }

    fn counts(&self, namespace: Option<&str>) -> Result<Vec<(Status, u64)>, StoreError> {
        let read = |row: &rusqlite::Row<'_>| {
            let status = read_status(row, 0).map_err(StoreError::Unusable)?;
            Ok((status.expect("the query leaves out what has no status"), read_u64(row, 1)?))
        };
        let sql = "select status, count(*) from streams where status is not null";
        let mut counts = match namespace {
            None => all(&self.connection(), &format!("{sql} group by status"), [], read)?,
            Some(name) => all(&self.connection(), &format!("{sql} and namespace = ?1 group by status"), [name], read)?,
        };
        counts.sort_unstable();
        Ok(counts)
    }

    fn unique(&self, key: &str, at: i64) -> Result<Option<UniqueRow>, StoreError> {
        let sql = format!("select {UNIQUE} from uniques where key = ?1 and (until is null or until > ?2)");
        one(&self.connection(), &sql, params![key, at], read_unique)
    }

    fn counters(&self) -> Result<Vec<(String, i64)>, StoreError> {
        all(&self.connection(), "select key, value from counters order by key", [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn mail(&self, target: StreamId, limit: u32) -> Result<Vec<MailRow>, StoreError> {
        let db = self.connection();
        let Some(number) = number_of(&db, target)? else { return Ok(Vec::new()) };
        let sql = "select id, source, source_version, body from mail where target = ?1 order by no limit ?2";
        all(&db, sql, params![number, limit], |row| read_mail(target, row))
    }

    fn mail_targets(&self, limit: u32) -> Result<Vec<StreamId>, StoreError> {
        let sql = "select kind, id from (select distinct target from mail order by target limit ?1) join streams on no = target
                   order by no";
        all(&self.connection(), sql, [limit], |row| read_stream(row, 0))
    }

    fn blob(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        one(&self.connection(), "select body from blobs where key = ?1", [key], |row| Ok(row.get(0)?))
    }

    fn telemetry(&self, stream: StreamId) -> Result<Vec<Telemetry>, StoreError> {
        let db = self.connection();
        let Some(number) = number_of(&db, stream)? else { return Ok(Vec::new()) };
        let sql = "select work, attempt, counter, progress, message, at, heard from telemetry where stream = ?1 order by work";
        all(&db, sql, [number], |row| read_telemetry(stream, row))
    }

    fn commits(&self, after: u64, limit: u32) -> Result<Vec<CommitEntry>, StoreError> {
        let sql = "select first, last, at, root, hash from commits where first > ?1 order by first limit ?2";
        all(&self.connection(), sql, params![int(after), limit], |row| {
            let (first, last) = (read_u64(row, 0)?, read_u64(row, 1)?);
            Ok(CommitEntry { first, last, at: row.get(2)?, root: row.get(3)?, hash: row.get(4)? })
        })
    }

    fn high_water(&self) -> Result<i64, StoreError> {
        let saved = self.connection().query_row("select value from meta where key = 'high_water'", [], |row| row.get(0));
        Ok(saved.optional()?.unwrap_or(0))
    }

    fn about(&self) -> Result<Vec<(&'static str, String)>, StoreError> {
        let db = self.connection();
        let pages: i64 = value(&db, "pragma page_count")?;
        let page_bytes: i64 = value(&db, "pragma page_size")?;
        Ok(vec![
            ("store", "sqlite".into()),
            ("version", rusqlite::version().into()),
            ("path", self.options.path.display().to_string()),
            // What a writer asserts before it writes (see `connect_to_write`).
            ("synchronous", "FULL".into()),
            ("journal_mode", value(&db, "pragma journal_mode")?),
            ("migration", value(&db, "select max(name) from migrations")?),
            ("size_bytes", (pages * page_bytes).to_string()),
        ])
    }

    fn check(&self) -> Result<Vec<String>, StoreError> {
        let db = self.connection();
        let mut found = all(&db, "pragma quick_check", [], |row| Ok(row.get::<_, String>(0)?))?;
        found.retain(|line| line != "ok");
        found.extend(all(&db, "pragma foreign_key_check", [], |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
            Ok(format!("a row of {table} refers to a row of {parent} that is not there"))
        })?);
        Ok(found)
    }
}

/// A page of tasks, newest first: of one status or risk by its index, of all by their numbers.
fn page(
    db: &Connection,
    filter: &Filter,
    status: Option<Status>,
    risk: Option<Risk>,
    limit: u32,
) -> Result<Vec<Listed>, StoreError> {
    let status = status.map(Status::word);
    let (word, low) = (risk.map(Risk::word), low_and(&filter.risks));
    let parent = filter.parent.map(u128::to_be_bytes);
    let archived = filter.archived.map(i64::from);
    let parts: [(&str, Option<&dyn ToSql>); 14] = [
        ("s.status = ?", some(&status)),
        ("s.risk = ?", some(&word)),
        // A list of words as JSON: it is one statement, whatever is in it.
        ("(s.risk is null or s.risk in (select value from json_each(?)))", some(&low)),
        ("s.namespace = ?", some(&filter.namespace)),
        ("s.task_type = ?", some(&filter.task_type)),
        ("s.owner_id = ?", some(&filter.owner_id)),
        ("s.parent = ?", some(&parent)),
        ("s.external_id = ?", some(&filter.external_id)),
        ("s.source = ?", some(&filter.source)),
        ("s.due_at < ?", some(&filter.due_before)),
        ("s.due_at > ?", some(&filter.due_after)),
        ("coalesce(s.archived, 0) = ?", some(&archived)),
        ("s.no < ?", some(&filter.below)),
        ("s.no > ?", some(&filter.above)),
    ];
    let mut sql = format!("select {} from streams s where s.kind = 'task'", *ROW);
    let mut with = Vec::new();
    for (part, value) in parts {
        if let Some(value) = value {
            sql = sql + " and " + part;
            with.push(value);
        }
    }
    with.push(&limit);
    let order = if filter.oldest_first { " order by s.no limit ?" } else { " order by s.no desc limit ?" };
    all(db, &(sql + order), with.as_slice(), read_listed)
}

/// The risks that are wanted beside the low one, as a list in JSON; `None` where low is not wanted, or all are.
fn low_and(risks: &[Risk]) -> Option<String> {
    let words: Vec<&str> = risks.iter().map(|risk| risk.word()).collect();
    risks.contains(&Risk::Low).then(|| serde_json::to_string(&words).expect("words are plain data"))
}

fn some<T: ToSql>(value: &Option<T>) -> Option<&dyn ToSql> {
    value.as_ref().map(|value| value as &dyn ToSql)
}

fn read_listed(row: &rusqlite::Row<'_>) -> Result<Listed, StoreError> {
    let (number, stream, row) = read_row(row)?;
    Ok(Listed { stream, number, row })
}

fn read_open(row: &rusqlite::Row<'_>) -> Result<OpenWork, StoreError> {
    Ok(OpenWork {
        stream: read_stream(row, 0)?,
        cursor: Cursor { rank: row.get(2)?, number: row.get(3)? },
        open: row.get(4)?,
        namespace: row.get(5)?,
        task_type: row.get(6)?,
    })
}
