//! The faults themselves: that they happen, and that SQLite is what survives them.

use faults::{Faults, Lasts};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;

fn open(faults: &Faults, path: &Path, synchronous: &str) -> Connection {
    let db = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), faults.name()).unwrap();
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.pragma_update(None, "synchronous", synchronous).unwrap();
    db.execute_batch("create table if not exists facts (fact integer primary key)").unwrap();
    db
}

/// Commits until the power goes, and answers how many of those acknowledged are still there.
fn kept_after_a_cut(synchronous: &str, acknowledged: i64, cut: impl Fn(&Faults)) -> i64 {
    let faults = Faults::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let db = open(&faults, &path, synchronous);
    for fact in 0..acknowledged {
        db.execute("insert into facts values (?1)", [fact]).unwrap();
    }
    cut(&faults);
    drop(db);
    let check = open(&faults, &path, synchronous);
    let kept = check.query_row("select count(*) from facts", [], |row| row.get(0)).unwrap();
    let health: String = check.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(health, "ok");
    kept
}

#[test]
fn what_is_synced_survives_a_power_cut_and_what_is_not_does_not() {
    assert_eq!(kept_after_a_cut("full", 50, Faults::power_cut), 50);
    assert_eq!(kept_after_a_cut("normal", 50, Faults::power_cut), 0);
}

#[test]
fn a_disk_that_keeps_some_of_what_was_not_synced_never_loses_what_was() {
    for seed in 0..50 {
        assert_eq!(kept_after_a_cut("full", 20, |faults| faults.power_cut_keeping_some(seed)), 20, "seed {seed}");
    }
    let kept: Vec<_> = (0..50).map(|seed| kept_after_a_cut("normal", 20, |faults| faults.power_cut_keeping_some(seed))).collect();
    assert!(kept.contains(&0) && kept.iter().any(|kept| *kept > 0), "{kept:?}");
}

#[test]
fn a_disk_that_lies_about_syncs_loses_what_it_acknowledged() {
    let faults = Faults::new();
    faults.lie_about_syncs();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let db = open(&faults, &path, "full");
    db.execute("insert into facts values (1)", []).unwrap();
    faults.power_cut();
    drop(db);
    assert!(!path.exists());
}

#[test]
fn a_call_fails_once_or_for_ever() {
    let faults = Faults::new();
    let folder = tempfile::tempdir().unwrap();
    let db = open(&faults, &folder.path().join("a.db"), "full");
    let write = || db.execute("insert into facts values (null)", []).map_err(|e| e.sqlite_error_code().unwrap());

    let before = faults.calls();
    write().unwrap();
    assert!(faults.calls() > before);
    faults.fail_after(0, Lasts::Once);
    assert_eq!(write(), Err(ErrorCode::SystemIoFailure));
    assert!(faults.has_failed());
    write().unwrap();

    faults.fail_after(0, Lasts::Forever);
    assert!(write().is_err() && write().is_err());
    faults.mend();
    write().unwrap();
}

#[test]
fn there_is_no_space_until_there_is() {
    let faults = Faults::new();
    let folder = tempfile::tempdir().unwrap();
    let db = open(&faults, &folder.path().join("a.db"), "full");
    let write = || db.execute("insert into facts values (null)", []).map_err(|e| e.sqlite_error_code().unwrap());
    faults.fill(1000);
    assert_eq!(write(), Err(ErrorCode::DiskFull));
    faults.free_space();
    write().unwrap();
}
