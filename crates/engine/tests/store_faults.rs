//! SQLite on storage that fails: what was acknowledged stays, what was not is known not to be, and a full disk heals.

#![allow(clippy::unwrap_used, reason = "the tests' own functions fail the test they are called from")]

mod support;

use ephor_core::status::Status;
use ephor_engine::store::sqlite::SqliteStore;
use ephor_engine::store::*;
use faults::{Faults, Lasts};
use std::path::PathBuf;
use support::*;
use tempfile::TempDir;

/// A machine whose storage can be made to fail.
struct Machine {
    faults: Faults,
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { faults: Faults::new(), folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ephor.db")
    }

    fn open(&self) -> Result<SqliteStore, StoreError> {
        open(&self.path(), Some(self.faults.name()))
    }

    /// What is found after everything was closed: whole, and with every acknowledged fact in it.
    fn verify(&self, acknowledged: &Acknowledged, what: &str) -> SqliteStore {
        let store = self.open().unwrap_or_else(|e| panic!("{what}: {e}"));
        let reader = store.reader();
        assert_eq!(reader.check().unwrap(), Vec::<String>::new(), "{what}");
        for n in 1..=acknowledged.births {
            assert!(reader.head(task(n)).unwrap().is_some(), "{what}: the birth of {n} was acknowledged and is lost");
        }
        for n in 1..=acknowledged.ends {
            let row = reader.load(task(n)).unwrap().unwrap().row;
            assert_eq!(row.status, Some(Status::Completed), "{what}: the end of {n} was acknowledged and is lost");
        }
        let slots = reader.counters().unwrap().first().map_or(0, |(_, slots)| *slots);
        let events = reader.events(0, u32::MAX, None).unwrap();
        let [born, done] = ["born", "done"].map(|word| events.iter().filter(|event| event.data.contains(word)).count() as i64);
        assert_eq!(slots, born - done, "{what}: the counter and the events were written in one commit");
        assert!(events.iter().zip(1..).all(|(event, position)| event.position == position), "{what}: a gap");
        let links = reader.commits(0, u32::MAX).unwrap();
        assert_eq!(links.last().map_or(0, |link| link.last), events.len() as u64, "{what}: the commit log ends elsewhere");
        store
    }
}

/// What callers have been told.
#[derive(Default)]
struct Acknowledged {
    births: u64,
    ends: u64,
}

/// Gives birth to tasks and ends each of them later, a commit each time, and erases one, until all is done or the store fails.
fn live(store: &mut SqliteStore, tasks: u64, acknowledged: &mut Acknowledged) -> Result<(), StoreError> {
    for n in 1..=tasks {
        commit(store, guarded(n, [counter("slots", 1, i64::MAX)]))?;
        acknowledged.births = n;
        if n > 3 {
            let guards = vec![counter("slots", -1, 0)];
            commit(store, Group { guards, mail: vec![mail(n, n - 1, 1)], ..group([end(n - 3)]) })?;
            acknowledged.ends = n - 3;
        }
        if n == 5 {
            // Also moves the log into the database.
            commit(store, Group { erase: vec![Erasure { stream: task(1), version: 2 }], ..Group::default() })?;
        }
    }
    Ok(())
}

fn commit(store: &mut SqliteStore, group: Group) -> Result<(), StoreError> {
    store.commit(vec![group], NOW)?.remove(0).unwrap();
    Ok(())
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    for tasks in 1..=10 {
        let machine = Machine::new();
        let mut acknowledged = Acknowledged::default();
        let mut store = machine.open().unwrap();
        live(&mut store, tasks, &mut acknowledged).unwrap();
        machine.faults.power_cut();
        drop(store);
        machine.verify(&acknowledged, &format!("after {tasks} tasks"));
    }
}

#[test]
fn what_was_acknowledged_survives_a_disk_that_keeps_some_of_what_was_not_synced() {
    for seed in 0..40 {
        let machine = Machine::new();
        let mut acknowledged = Acknowledged::default();
        let mut store = machine.open().unwrap();
        // The disk fails somewhere on the way, so that the cut meets a commit half written.
        machine.faults.fail_after(20 + seed * 3, Lasts::Forever);
        let _ = live(&mut store, 20, &mut acknowledged);
        machine.faults.power_cut_keeping_some(seed);
        drop(store);
        machine.verify(&acknowledged, &format!("seed {seed}"));
    }
}

#[test]
fn these_tests_bite_a_disk_that_does_not_sync_loses_what_was_acknowledged() {
    let machine = Machine::new();
    let mut acknowledged = Acknowledged::default();
    let mut store = machine.open().unwrap();
    machine.faults.lie_about_syncs();
    live(&mut store, 5, &mut acknowledged).unwrap();
    machine.faults.power_cut();
    drop(store);
    assert_eq!(acknowledged.births, 5);
    assert_eq!(machine.open().unwrap().reader().position().unwrap(), 0);
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost() {
    for lasts in [Lasts::Once, Lasts::Forever] {
        for cut in [false, true] {
            let mut nth = 0;
            while fails_at(nth, lasts, cut) {
                nth += 1;
            }
            assert!(nth > 60, "only {nth} calls could fail");
        }
    }
}

/// Lives a life in which the call after `before` others fails, and verifies what is found afterwards. Answers whether it came so far.
fn fails_at(before: u64, lasts: Lasts, cut: bool) -> bool {
    let what = format!("call {before} fails {lasts:?}, power cut: {cut}");
    let machine = Machine::new();
    let mut acknowledged = Acknowledged::default();
    machine.faults.fail_after(before, lasts);
    let lived = machine.open().and_then(|mut store| {
        let lived = live(&mut store, 6, &mut acknowledged);
        if lived.is_err() {
            assert!(commit(&mut store, group([birth(99)])).is_err(), "{what}: a store that has failed writes no more");
        }
        if cut {
            machine.faults.power_cut();
        }
        lived
    });
    let failed = machine.faults.has_failed() || lived.is_err();
    if let Err(error) = lived {
        assert!(matches!(error, StoreError::Unavailable(_) | StoreError::Unusable(_)), "{what}: {error}");
    }
    machine.faults.mend();
    let mut store = machine.verify(&acknowledged, &what);
    assert_eq!(store.reader().head(task(99)).unwrap(), None, "{what}");
    commit(&mut store, group([birth(100)])).unwrap();
    failed
}

#[test]
fn a_full_disk_loses_nothing_answers_readers_and_heals_without_opening_again() {
    let machine = Machine::new();
    let mut acknowledged = Acknowledged::default();
    let mut store = machine.open().unwrap();
    live(&mut store, 5, &mut acknowledged).unwrap();
    for n in 0..100 {
        // Whether the first byte or the last finds no room, the answer is the same.
        machine.faults.fill(n * 997);
        let before = store.reader().position().unwrap();
        let birth = || guarded(1000 + n, [counter("slots", 1, i64::MAX)]);
        match store.commit(vec![birth()], NOW) {
            Ok(answers) => assert!(answers[0].is_ok()),
            Err(StoreError::Full(_)) => {
                assert_eq!(store.reader().position().unwrap(), before, "nothing was written");
                assert!(matches!(store.save_high_water(1), Err(StoreError::Full(_)) | Ok(())));
                machine.faults.free_space();
                commit(&mut store, birth()).unwrap();
            }
            Err(other) => panic!("room for {} bytes: {other}", n * 997),
        }
        machine.faults.free_space();
        assert_eq!(store.reader().position().unwrap(), before + 1);
    }
    machine.faults.fill(0);
    machine.faults.power_cut();
    drop(store);
    let store = machine.verify(&acknowledged, "after 100 full disks");
    assert!((1000..1100).all(|n| store.reader().head(task(n)).unwrap().is_some()));
}

#[test]
fn a_log_that_cannot_be_moved_for_lack_of_space_stays_and_is_moved_later() {
    let machine = Machine::new();
    let mut store = machine.open().unwrap();
    let filler = "x".repeat(7000);
    let large = |n| {
        let events = (0..300).map(|i| NewEvent { data: format!("{{\"text\":\"{i}{filler}\"}}"), ..event("") }).collect();
        group([Change { events, ..birth(n) }])
    };
    let log = machine.folder.path().join("ephor.db-wal");
    let database_bytes = || std::fs::metadata(machine.path()).unwrap().len();
    let before = database_bytes();
    // Room for the log alone: its own pages with their headers, and none for the database.
    let mut n = 0;
    while std::fs::metadata(&log).unwrap().len() < 40 * 1024 * 1024 {
        n += 1;
        machine.faults.fill(3 * 1024 * 1024);
        commit(&mut store, large(n)).unwrap();
        assert!(n < 100);
    }
    let stuck = database_bytes();
    assert!(stuck < before + 20 * 1024 * 1024, "the log was not moved");
    machine.faults.free_space();
    commit(&mut store, large(n + 1)).unwrap();
    assert!(database_bytes() > stuck, "the log was moved");
    assert_eq!(store.reader().check().unwrap(), Vec::<String>::new());
}
