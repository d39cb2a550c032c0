//! The floor: the rows an engine wrote, written again by a bare loop. Same schema, same settings, same transactions, nothing decided,
//! nothing hashed, nothing encoded.

use ephor_engine::store::sqlite::{Options, SqliteStore};
use rusqlite::{Connection, params, types::Value};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What the bare loop did.
pub(crate) struct Floor {
    pub(crate) seconds: f64,
    pub(crate) events: u64,
    /// Index rows inserted or updated.
    pub(crate) rows: u64,
    pub(crate) commits: u64,
    /// Bytes of event data, private parts and hashes.
    pub(crate) bytes: u64,
}

/// An event's row, as it stands.
type EventRow = Vec<Value>;

const EVENT: &str =
    "position, stream, version, at, kind, actor, status_before, status_after, schema, hash, digest, private_key, data, private";
const STREAM: &str = "no, kind, id, namespace, status, priority, rank, wake_at, open, created_at, ended_at, due_at, title, task_type, \
                      external_id, source, owner_id, parent";

/// Writes everything up to `until` into a fresh database and takes the time for what came after `after`.
pub(crate) fn replay(engine: &Path, after: i64, until: i64) -> Floor {
    let source = Connection::open(engine).expect("the engine's database");
    let path = engine.with_extension("floor");
    for end in ["", "-wal", "-shm", ".lock"] {
        let _none = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    drop(SqliteStore::open(&Options::new(&path), 0).expect("a fresh database"));
    let db = Connection::open(&path).expect("the fresh database");
    db.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 4000; pragma cache_size = -64000;",
    )
    .expect("the engine's settings");
    db.execute_batch("pragma foreign_keys = off").expect("births come with their events");

    let mut commits =
        source.prepare("select first, last, at, root, hash from commits where last <= ?1 order by first").expect("sql");
    let commits: Vec<(i64, i64, i64, Vec<u8>, Vec<u8>)> = commits
        .query_map([until], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))
        .expect("commits")
        .map(|c| c.expect("a commit"))
        .collect();
    let mut floor = Floor { seconds: 0.0, events: 0, rows: 0, commits: 0, bytes: 0 };
    let mut streams: HashMap<i64, Vec<Value>> = HashMap::new();
    let mut born = HashSet::new();
    // In pages, so that a large store fits into memory; none holds both what is timed and what is not.
    let begins = commits.partition_point(|c| c.1 <= after);
    let (before, measured) = commits.split_at(begins);
    for page in before.chunks(200).chain(measured.chunks(200)) {
        let (first, last) = (page[0].0, page[page.len() - 1].1);
        let rows = read(&source, first, last, &mut streams);
        let timed = first > after;
        let began = super::now();
        let mut rows = rows.into_iter().peekable();
        for (start, end, at, root, hash) in page {
            db.execute_batch("begin immediate").expect("a transaction");
            {
                let mut event = db
                    .prepare_cached(&format!("insert into events ({EVENT}) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"))
                    .expect("sql");
                let mut birth = db
                    .prepare_cached(&format!("insert into streams ({STREAM}) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"))
                    .expect("sql");
                let mut change = db
                    .prepare_cached("update streams set status = ?2, wake_at = ?3, open = ?4, ended_at = ?5 where no = ?1")
                    .expect("sql");
                let mut log =
                    db.prepare_cached("insert into commits (first, last, at, root, hash) values (?,?,?,?,?)").expect("sql");
                let mut changed: HashMap<i64, (Value, i64)> = HashMap::new();
                while let Some((_, row)) = rows.next_if(|(position, _)| position <= end) {
                    let (stream, status, at) = (number(&row[1]), row[7].clone(), number(&row[3]));
                    if born.insert(stream) {
                        let mut values = streams[&stream].clone();
                        values[4] = status;
                        values[7] = Value::Null;
                        values[8] = if matches!(&values[1], Value::Text(k) if k == "task") {
                            Value::Text("noop\n".into())
                        } else {
                            Value::Null
                        };
                        values[10] = Value::Null;
                        birth.execute(rusqlite::params_from_iter(values)).expect("a birth");
                        floor.rows += u64::from(timed);
                    } else if row[6] != row[7] {
                        changed.insert(stream, (status, at));
                    }
                    if timed {
                        floor.events += 1;
                        floor.bytes += row.iter().map(size).sum::<u64>();
                    }
                    event.execute(rusqlite::params_from_iter(row)).expect("an event");
                }
                for (stream, (status, at)) in changed {
                    let ended = matches!(&status, Value::Text(s) if s == "COMPLETED");
                    let wake = if ended { Value::Null } else { Value::Integer(at + 7_200_000) };
                    change.execute(params![stream, status, wake, Value::Null, ended.then_some(at)]).expect("a change");
                    floor.rows += u64::from(timed);
                }
                log.execute(params![start, end, at, root, hash]).expect("a log entry");
            }
            db.execute_batch("commit").expect("a commit");
        }
        if timed {
            floor.seconds += began.elapsed().as_secs_f64();
            floor.commits += page.len() as u64;
        }
    }
    floor
}

fn read(source: &Connection, first: i64, last: i64, streams: &mut HashMap<i64, Vec<Value>>) -> Vec<(i64, EventRow)> {
    let mut sql = source
        .prepare_cached(&format!("select {EVENT} from events where position between ?1 and ?2 order by position"))
        .expect("sql");
    let row = |r: &rusqlite::Row<'_>| Ok((r.get::<_, i64>(0)?, (0..14).map(|i| r.get(i)).collect::<Result<EventRow, _>>()?));
    let rows: Vec<_> = sql.query_map([first, last], row).expect("events").map(|e| e.expect("an event")).collect();
    let mut stream = source.prepare_cached(&format!("select {STREAM} from streams where no = ?1")).expect("sql");
    for (_, row) in &rows {
        let number = number(&row[1]);
        streams.entry(number).or_insert_with(|| {
            stream.query_row([number], |r| (0..18).map(|i| r.get(i)).collect::<Result<Vec<Value>, _>>()).expect("a stream")
        });
    }
    rows
}

fn number(value: &Value) -> i64 {
    if let Value::Integer(n) = value { *n } else { 0 }
}

fn size(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 8,
        Value::Text(t) => t.len() as u64,
        Value::Blob(b) => b.len() as u64,
    }
}
