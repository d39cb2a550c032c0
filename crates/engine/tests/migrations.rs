//! The form of the database: brought up, taken back, and refused where it is not what this release knows.

#![allow(clippy::unwrap_used, reason = "the tests' own functions fail the test they are called from")]

mod support;

use ephor_core::status::Status;
use ephor_engine::store::sqlite::{Options, SqliteReader, migrate};
use ephor_engine::store::*;
use rusqlite::Connection;
use support::*;

fn options(folder: &tempfile::TempDir) -> Options {
    Options::new(folder.path().join("ephor.db"))
}

/// The tables, indexes and triggers of a database.
fn form(options: &Options) -> Vec<String> {
    let db = Connection::open(&options.path).unwrap();
    let mut names =
        db.prepare("select type || ' ' || name from sqlite_schema where name not like 'sqlite_%' order by 1").unwrap();
    names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Why opening is refused.
fn refusal(options: &Options) -> String {
    match open(&options.path, None) {
        Err(StoreError::Unusable(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[test]
fn every_migration_goes_up_and_down_on_an_empty_database() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let all: Vec<_> = migrate::status(&options).unwrap().into_iter().map(|migration| migration.name).collect();
    assert!(!options.path.exists(), "to ask changes nothing");

    assert_eq!(migrate::up(&options, NOW).unwrap(), all);
    assert_eq!(migrate::up(&options, NOW).unwrap(), Vec::<&str>::new());
    assert!(migrate::status(&options).unwrap().iter().all(|migration| migration.applied_at == Some(NOW)));
    let whole = form(&options);

    let taken = migrate::down(&options, usize::MAX).unwrap();
    assert_eq!(taken.len(), all.len());
    assert_eq!(form(&options), ["table migrations"]);
    assert!(migrate::status(&options).unwrap().iter().all(|migration| migration.applied_at.is_none()));

    migrate::up(&options, NOW).unwrap();
    assert_eq!(form(&options), whole);
}

#[test]
fn every_migration_goes_up_and_down_on_a_database_with_data() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let lived = || {
        let mut store = open(&options.path, None).unwrap();
        let guards = [counter("slots", 1, 9), unique("key", Some(NOW + 9), 1)];
        let told = Group { mail: vec![mail(1, 2, 1)], ..guarded(1, guards) };
        let snapshot = Change { snapshot: Some(vec![1]), blobs: vec![Blob { key: "b".into(), body: vec![2] }], ..birth(2) };
        let answers = store.commit(vec![group([snapshot]), told], NOW).unwrap();
        assert!(answers.iter().all(Result::is_ok));
    };
    lived();
    migrate::down(&options, usize::MAX).unwrap();
    assert_eq!(form(&options), ["table migrations"]);
    lived();
    assert_eq!(open(&options.path, None).unwrap().reader().position().unwrap(), 2);
}

/// What may have asked something of people before there was an index of that is looked at; what cannot have is not.
#[test]
fn tasks_of_before_may_ask_something_until_they_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let mut store = open(&options.path, None).unwrap();
    let of = |n, status| group([Change { row: Some(row(status).into()), ..birth(n) }]);
    let statuses = [Status::Escalated, Status::Scheduled, Status::Review, Status::Completed];
    store.commit((1..).zip(statuses).map(|(n, status)| of(n, status)).collect(), NOW).unwrap();
    drop(store);
    assert_eq!(migrate::down(&options, 2).unwrap(), ["0007_heard", "0006_inbox"]);
    migrate::up(&options, NOW).unwrap();
    let asking = open(&options.path, None).unwrap().reader().asking(None, None, 9).unwrap();
    assert_eq!(
        asking.iter().map(|listed| (listed.number, listed.row.asks_since)).collect::<Vec<_>>(),
        [(1, Some(NOW)), (3, Some(NOW))]
    );
}

#[test]
fn a_database_of_a_newer_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    migrate::up(&options, NOW).unwrap();
    let db = Connection::open(&options.path).unwrap();
    db.execute("insert into migrations values ('9999_from_the_future', 'x', 0)", []).unwrap();
    assert!(refusal(&options).contains("9999_from_the_future, which this release does not know"));
    assert!(SqliteReader::open(&options).is_err());
}

#[test]
fn a_migration_with_another_content_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    migrate::up(&options, NOW).unwrap();
    Connection::open(&options.path).unwrap().execute("update migrations set checksum = 'x'", []).unwrap();
    assert!(refusal(&options).contains("0001_store in the database is not the one this release knows"));
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    Connection::open(&options.path).unwrap().execute_batch("create table notes (note text)").unwrap();
    assert!(refusal(&options).contains("belongs to another program"));
    assert_eq!(form(&options), ["table notes"]);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    std::fs::write(&options.path, "a letter, and a long one, to someone who is not a database".repeat(100)).unwrap();
    assert!(refusal(&options).contains("not a database"));
}

#[test]
fn a_reader_does_not_make_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    assert!(SqliteReader::open(&options).is_err());
    assert!(!options.path.exists());
}

#[test]
fn the_database_itself_refuses_what_no_rule_would_ask() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let mut store = open(&options.path, None).unwrap();
    store.commit(vec![group([birth(1)]), group([end(1)])], NOW).unwrap();
    let db = Connection::open(&options.path).unwrap();
    for sql in [
        "update streams set status = 'SCHEDULED' where no = 1",
        "update streams set status = null where no = 1",
        "update streams set risk = 'SOME' where no = 1",
        "insert into streams select 2, kind, x'00', namespace, 'DONE', 0, 0, null, null, 0, null, null, '', '', null, null, null, null, null, null, null, null, null, null, null \
         from streams",
        "update events set data = '{}' where position = 1",
        "update events set hash = x'00' where position = 1",
        "insert into events select 9, stream, version, at, kind, actor, status_before, status_after, schema, hash, digest, private_key, \
         data, private from events where position = 1",
    ] {
        assert!(db.execute(sql, []).is_err(), "{sql}");
    }
    db.execute("update events set private = null where position = 1", []).unwrap();
}
