//! For tests only: storage that fails the way real storage does. A SQLite VFS in front of the operating system's that can cut the
//! power, fail a call and run out of space.
//!
//! ```
//! # use rusqlite::{Connection, OpenFlags};
//! let faults = faults::Faults::new();
//! let folder = tempfile::tempdir().unwrap();
//! let db = Connection::open_with_flags_and_vfs(folder.path().join("a.db"), OpenFlags::default(), faults.name()).unwrap();
//! db.execute_batch("create table facts (fact text); insert into facts values ('written and synced')").unwrap();
//! faults.power_cut();
//! ```

mod disk;
mod vfs;

use disk::Disk;
use std::sync::{Arc, Mutex, MutexGuard};

/// Storage that fails on demand, under a name of its own. Everything asked of it holds for every file opened through that name.
pub struct Faults {
    name: String,
    disk: Arc<Mutex<Disk>>,
}

/// How long a failure lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// One call fails; the next one works.
    Once,
    /// From that call on, every one fails.
    Forever,
}

impl Faults {
    /// Registers storage without faults. It stays registered until the process ends, since SQLite may still hold it.
    #[allow(clippy::new_without_default, reason = "to register something is more than to make a value")]
    pub fn new() -> Self {
        let disk = Arc::new(Mutex::new(Disk::default()));
        Self { name: vfs::register(disk.clone()), disk }
    }

    /// What to open a database with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Cuts the power: every file is again what it was when it was last synced. What is open fails from now on, also to close in
    /// order, and must be dropped before a file is opened again.
    pub fn power_cut(&self) {
        self.disk().power_cut(None);
    }

    /// Cuts the power as a real disk may: of what was not synced, some writes are kept, some lost, some torn.
    pub fn power_cut_keeping_some(&self, seed: u64) {
        self.disk().power_cut(Some(seed));
    }

    /// How many calls could have failed so far: opening, writing, syncing, truncating, deleting.
    pub fn calls(&self) -> u64 {
        self.disk().calls
    }

    /// Fails the call that comes after `before` more. A write that fails has written half, and a sync that fails has lost what it
    /// was to sync: the system takes it for clean from then on.
    pub fn fail_after(&self, before: u64, lasts: Lasts) {
        let mut disk = self.disk();
        disk.failing = Some((disk.calls + before + 1, lasts));
    }

    /// Whether the failure asked for has happened.
    pub fn has_failed(&self) -> bool {
        self.disk().has_failed()
    }

    /// Lets nothing fail any more.
    pub fn mend(&self) {
        self.disk().failing = None;
    }

    /// Leaves room for so many bytes to be written; then there is no space.
    pub fn fill(&self, room: u64) {
        self.disk().room = Some(room);
    }

    /// Makes space again.
    pub fn free_space(&self) {
        self.disk().room = None;
    }

    /// Answers syncs without doing them, as cheap disks do.
    pub fn lie_about_syncs(&self) {
        self.disk().lying = true;
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        disk::lock(&self.disk)
    }
}
