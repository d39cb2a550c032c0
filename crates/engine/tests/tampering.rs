//! Somebody who can write to the database changes its audit trail, one change at a time, and `audit::verify` says that and where.
//! `tools/verify.py`, which knows nothing of this code, has to say so too. More changes:
//! `CHANGES=1000 cargo test --release -p ephor-engine --test tampering -- --nocapture`

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use ephor_engine::audit::{AuditReport, verify, verify_through};
use ephor_engine::codec::{self, Hashed};
use ephor_engine::store::Reader;
use ephor_engine::store::sqlite::{Options, SqliteReader};
use ephor_engine::{Engine, Settings};
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::count;
use support::traffic::{Crew, Dice, hasty};

/// Columns of an event that a change may hit, and of a commit.
const OF_EVENTS: [&str; 13] = [
    "position",
    "stream",
    "version",
    "at",
    "kind",
    "actor",
    "status_before",
    "status_after",
    "schema",
    "hash",
    "digest",
    "data",
    "private",
];
const OF_COMMITS: [&str; 5] = ["first", "last", "at", "root", "hash"];

/// A database with a few hundred events of every kind, its log moved into it, so that it can be copied.
fn prepared() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ephor.db");
    let engine = Engine::open(Settings { policy: hasty(), ..Settings::new(&path) }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let crew = Crew::enter(engine.clone(), 4, |_| ()).await.unwrap();
        let callers: Vec<_> = (0..4).map(|n| tokio::spawn(crew.clone().live(n, 5, 12))).collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        // One is erased: what is gone in order is no finding.
        let ended = engine.reader().list(&Default::default(), 1).unwrap().remove(0).stream.task().unwrap();
        engine.erase(ended, ephor_core::event::Actor::human("ann")).await.unwrap();
        // And the log does not end with that.
        crew.clone().live(0, 6, 1).await.unwrap();
    });
    engine.stop();
    drop(engine);
    let db = Connection::open(&path).unwrap();
    db.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
    (folder, path)
}

/// A database that may be changed at will.
fn opened(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch("drop trigger events_never_change; pragma foreign_keys = off; pragma ignore_check_constraints = on")
        .unwrap();
    db
}

/// What was done, and between which positions it has to be found.
struct Change {
    what: String,
    from: i64,
    to: i64,
}

/// Makes one change. `None` when the database itself refuses it, or it would change nothing.
fn change(db: &Connection, dice: &mut Dice) -> Option<Change> {
    let one = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let last = one("select max(position) from events");
    let p = 1 + dice.roll(last as u64) as i64;
    let commit: (i64, i64) = db
        .query_row("select first, last from commits where last >= ? limit 1", [p], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let (what, from, to) = match dice.roll(10) {
        0..4 => (flip(db, dice, "events", "position", p, &OF_EVENTS)?, p, p),
        4 => (flip(db, dice, "commits", "first", commit.0, &OF_COMMITS)?, commit.0, commit.1),
        5 => {
            db.execute("delete from events where position = ?", [p]).unwrap();
            (format!("event {p} is deleted"), p, p)
        }
        6 => {
            db.execute("delete from commits where first = ?", [commit.0]).unwrap();
            (format!("commit {} is deleted", commit.0), commit.0, commit.1)
        }
        7 => {
            let q = 1 + dice.roll(last as u64) as i64;
            swap(db, p, q)?;
            (format!("events {p} and {q} are swapped"), p.min(q), p.min(q))
        }
        8 => (insert(db, dice, p)?, p, last),
        _ => (fork(db, p), p, p),
    };
    // Wherever it is seen in the commit it belongs to, or at the first thing behind it, it is found.
    let end = db.query_row("select max(last) from commits where first <= ?", [to], |row| row.get::<_, Option<i64>>(0)).unwrap();
    Some(Change { what, from: from.min(commit.0), to: to.max(end.unwrap_or(to)).max(commit.1) + 1 })
}

/// Changes a single bit of a value, or a number by a little.
fn flip(db: &Connection, dice: &mut Dice, table: &str, key: &str, at: i64, columns: &[&str]) -> Option<String> {
    let column = columns[dice.roll(columns.len() as u64) as usize];
    let was: Value = db.query_row(&format!("select {column} from {table} where {key} = ?"), [at], |row| row.get(0)).unwrap();
    let mut bit = |bytes: &mut Vec<u8>| {
        let n = dice.roll(bytes.len() as u64) as usize;
        bytes[n] ^= 1 << dice.roll(8);
    };
    let (becomes, cast) = match was {
        Value::Null => return None,
        Value::Integer(n) => (Value::Integer(if dice.roll(2) == 0 { n ^ (1 << dice.roll(40)) } else { n + 1 }), "?"),
        Value::Real(_) => unreachable!("no column holds such numbers"),
        Value::Text(text) => {
            let mut bytes = text.into_bytes();
            bit(&mut bytes);
            (Value::Blob(bytes), "cast(? as text)")
        }
        Value::Blob(mut bytes) => {
            bit(&mut bytes);
            (Value::Blob(bytes), "?")
        }
    };
    let changed = db.execute(&format!("update {table} set {column} = {cast} where {key} = ?"), params![becomes, at]);
    (changed == Ok(1)).then(|| format!("{column} of {table} {at} is flipped"))
}

/// Two events change places.
fn swap(db: &Connection, p: i64, q: i64) -> Option<()> {
    if p == q {
        return None;
    }
    let sql = "update events set position = ? where position = ?";
    for (to, from) in [(-1, p), (p, q), (q, -1)] {
        db.execute(sql, [to, from]).unwrap();
    }
    Some(())
}

/// Another event at the end of a stream, its hash as it should be; everything behind it moves, or it comes last of all.
fn insert(db: &Connection, dice: &mut Dice, p: i64) -> Option<String> {
    let last: i64 = db.query_row("select max(position) from events", [], |row| row.get(0)).unwrap();
    let mut at = last + 1;
    if dice.roll(2) == 0 {
        at = p + 1;
        db.execute("update events set position = -position where position >= ?", [at]).unwrap();
        db.execute("update events set position = 1 - position where position < 0", []).unwrap();
    }
    let sql = "insert into events select ?1, stream, (select max(version) + 1 from events o where o.stream = e.stream), at, kind,
               actor, status_before, status_after, schema, hash, digest, private_key, data, private from events e where position = ?2";
    db.execute(sql, [at, p]).ok()?;
    let stream: i64 = db.query_row("select stream from events where position = ?", [at], |row| row.get(0)).unwrap();
    rehash(db, stream);
    Some(format!("an event is inserted at {at}"))
}

/// A stream is told otherwise from one event on, with every later hash as it should be.
fn fork(db: &Connection, p: i64) -> String {
    let stream: i64 = db.query_row("select stream from events where position = ?", [p], |row| row.get(0)).unwrap();
    db.execute("update events set at = at + 1 where position = ?", [p]).unwrap();
    rehash(db, stream);
    format!("stream {stream} is forked at {p}")
}

/// Makes the chain of a stream whole again, as somebody who knows how would.
fn rehash(db: &Connection, stream: i64) {
    let path = db.path().unwrap().to_owned();
    let reader = SqliteReader::open(&Options::new(path)).unwrap();
    let mut hash = codec::GENESIS;
    let position: i64 = db.query_row("select min(position) from events where stream = ?", [stream], |row| row.get(0)).unwrap();
    let id = reader.events(position as u64 - 1, 1, None).unwrap().remove(0).stream;
    for e in reader.stream_events(id, 0, u32::MAX).unwrap() {
        let hashed = Hashed {
            stream: id,
            version: e.version,
            at: e.at,
            kind: &e.kind,
            actor: &e.actor,
            before: e.before,
            after: e.after,
            schema: e.schema,
            data: &e.data,
            private: e.private.as_ref().map(|p| &p.digest),
        };
        hash = codec::event_hash(&hash, &hashed);
        db.execute("update events set hash = ? where position = ?", params![hash, e.position as i64]).unwrap();
    }
}

fn looked_at(path: &Path) -> AuditReport {
    verify(&SqliteReader::open(&Options::new(path)).unwrap()).unwrap()
}

/// What the other program says; `None` where there is no Python to run it.
fn verified_by_python(path: &Path) -> Option<bool> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/verify.py");
    let output = Command::new("python3").arg(script).arg(path).output().ok()?;
    Some(output.status.success())
}

#[test]
fn every_change_of_the_audit_trail_is_found_and_located() {
    let changes = count("CHANGES", 100);
    let (_folder, original) = prepared();
    assert_eq!(looked_at(&original).findings, [], "nothing was changed yet");
    let python = verified_by_python(&original);
    assert_ne!(python, Some(false), "the other program finds something where nothing is");
    if python.is_none() {
        eprintln!("SKIPPED: there is no python3, so tools/verify.py was not asked");
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("changed.db");
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    let (mut done, mut seed, mut asked) = (0, 0, 0);
    while done < changes {
        seed += 1;
        for file in std::fs::read_dir(place.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        std::fs::copy(&original, &path).unwrap();
        let db = opened(&path);
        let Some(change) = change(&db, &mut Dice(seed)) else { continue };
        drop(db);
        done += 1;
        let kind = change.what.split(' ').filter(|w| w.parse::<i64>().is_err()).collect::<Vec<_>>().join(" ");
        *kinds.entry(kind).or_default() += 1;
        let report = looked_at(&path);
        let (from, to) = (change.from as u64, change.to as u64);
        let located = report.findings.iter().any(|f| f.position.is_some_and(|p| (from..=to).contains(&p)));
        assert!(located, "seed {seed}: {}, expected in {from}..={to}: {:#?}", change.what, report.findings);
        // A second opinion on some of them: starting Python takes longer than all the rest.
        if python.is_some() && done % 5 == 0 {
            asked += 1;
            assert_eq!(verified_by_python(&path), Some(false), "seed {seed}: {} is not seen by tools/verify.py", change.what);
        }
    }
    println!("{done} changes found and located, {asked} of them asked of tools/verify.py as well: {kinds:?}");
    assert!(kinds.len() > 15, "changes were too much alike: {kinds:?}");
}

#[test]
fn what_is_cut_off_or_written_anew_as_a_whole_is_seen_with_a_head_that_was_kept() {
    let (_folder, original) = prepared();
    let before = looked_at(&original);
    let kept = before.head.unwrap();
    let through = |path: &Path| verify_through(&SqliteReader::open(&Options::new(path)).unwrap(), Some(kept)).unwrap();
    assert!(through(&original).is_whole());
    let db = opened(&original);
    let (first, last): (i64, i64) = db
        .query_row("select first, last from commits order by first desc limit 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    db.execute("delete from events where position between ? and ?", [first, last]).unwrap();
    db.execute("delete from commits where first = ?", [first]).unwrap();
    drop(db);
    let alone = looked_at(&original);
    assert!(alone.is_whole() && alone.head != Some(kept), "cut off at a commit, the rest is whole");
    let report = through(&original);
    assert!(report.findings.iter().any(|f| f.what.contains("head that was kept")), "{report:?}");
}

#[test]
fn words_that_are_gone_though_nobody_erased_them_are_missed() {
    let (_folder, original) = prepared();
    let db = opened(&original);
    let p: i64 = db
        .query_row(
            "select max(position) from events where private is not null and stream not in (select stream from events where kind = 'ERASED')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    db.execute("update events set private = null, private_key = null where position = ?", [p]).unwrap();
    drop(db);
    let report = looked_at(&original);
    assert_eq!(report.findings.iter().map(|f| f.position).collect::<Vec<_>>(), [Some(p as u64)], "{report:?}");
    assert_ne!(verified_by_python(&original), Some(true));
}
