//! What would be left if the power went now. Files themselves are the real ones and hold what the system has cached; beside them is
//! kept what has reached the disk, and what was done since.

use crate::Lasts;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

/// Every file opened so far, and what is to go wrong.
#[derive(Default)]
pub(crate) struct Disk {
    files: BTreeMap<PathBuf, Image>,
    /// Calls that could have failed.
    pub(crate) calls: u64,
    /// Which call fails, counted as `calls`.
    pub(crate) failing: Option<(u64, Lasts)>,
    /// Bytes that can still be written; `None` for any number.
    pub(crate) room: Option<u64>,
    pub(crate) lying: bool,
    /// How often the power was cut. What was opened before a cut is dead after it.
    pub(crate) cuts: u64,
}

/// One file.
struct Image {
    /// Its content on the disk; `None` when it is not there.
    durable: Option<Vec<u8>>,
    /// What was done since, in order.
    pending: Vec<Op>,
}

impl Image {
    fn deletions_are_durable(&mut self) {
        if let Some(last) = self.pending.iter().rposition(|op| matches!(op, Op::Delete)) {
            self.pending.drain(..=last);
            self.durable = None;
        }
    }
}

/// Something done to a file that a sync makes durable.
pub(crate) enum Op {
    /// SQLite syncs the folder of a new log or journal with its first sync, and not that of a new database.
    Create {
        syncs_folder: bool,
    },
    Write {
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate(u64),
    Delete,
}

/// How much of a write is done before it goes wrong.
pub(crate) enum Admitted {
    All,
    /// So many bytes; then the disk fails.
    Fails(usize),
    /// So many bytes; then there is no space.
    Full(usize),
}

pub(crate) fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().expect("what is behind the lock does not panic half-way")
}

impl Disk {
    /// Counts a call. Answers whether it fails.
    pub(crate) fn call(&mut self) -> bool {
        self.calls += 1;
        match self.failing {
            Some((call, Lasts::Once)) => call == self.calls,
            Some((call, Lasts::Forever)) => call <= self.calls,
            None => false,
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failing.is_some_and(|(call, _)| call <= self.calls)
    }

    /// Counts a write. Answers how much of it is done.
    pub(crate) fn admit(&mut self, bytes: usize) -> Admitted {
        if self.call() {
            return Admitted::Fails(bytes / 2);
        }
        let Some(room) = &mut self.room else { return Admitted::All };
        match usize::try_from(*room) {
            Ok(left) if left < bytes => {
                *room = 0;
                Admitted::Full(left)
            }
            Ok(_) | Err(_) => {
                *room -= bytes as u64;
                Admitted::All
            }
        }
    }

    /// Learns of a file before it is opened: what is there was there before, and counts as durable.
    pub(crate) fn meet(&mut self, path: &Path) {
        let read = || Image { durable: fs::read(path).ok(), pending: Vec::new() };
        self.files.entry(path.to_owned()).or_insert_with(read);
    }

    /// Notes what was done to a file.
    pub(crate) fn done(&mut self, path: &Path, op: Op) {
        if let Some(image) = self.files.get_mut(path) {
            image.pending.push(op);
        }
    }

    /// What was done to a file is durable.
    pub(crate) fn synced(&mut self, path: &Path) {
        let Some(image) = self.files.get_mut(path).filter(|_| !self.lying) else { return };
        let syncs_folder = image.pending.iter().any(|op| matches!(op, Op::Create { syncs_folder: true }));
        std::mem::take(&mut image.pending).into_iter().for_each(|op| apply(op, &mut image.durable));
        if syncs_folder {
            let beside = self.files.iter_mut().filter(|(other, _)| other.parent() == path.parent());
            beside.for_each(|(_, image)| image.deletions_are_durable());
        }
    }

    /// What was done to a file will never reach the disk, though the system believes so.
    pub(crate) fn sync_failed(&mut self, path: &Path) {
        if let Some(image) = self.files.get_mut(path) {
            image.pending.clear();
        }
    }

    /// Makes the real files what the disk holds. With a seed, some of what was not synced has reached it all the same.
    pub(crate) fn power_cut(&mut self, seed: Option<u64>) {
        self.cuts += 1;
        self.failing = None;
        self.room = None;
        let mut dice = seed.map(Dice);
        for (path, image) in std::mem::take(&mut self.files) {
            let Image { mut durable, pending } = image;
            if let Some(dice) = &mut dice {
                keep_some(pending, &mut durable, dice);
            }
            let left = match durable {
                Some(bytes) => fs::write(&path, bytes),
                None => fs::remove_file(&path).or_else(|e| if path.exists() { Err(e) } else { Ok(()) }),
            };
            left.expect("the test's own folder can be written");
        }
    }
}

fn apply(op: Op, file: &mut Option<Vec<u8>>) {
    match op {
        Op::Create { .. } => drop(file.get_or_insert_default()),
        Op::Delete => *file = None,
        Op::Truncate(length) => file.get_or_insert_default().truncate(index(length)),
        Op::Write { offset, bytes } => {
            let file = file.get_or_insert_default();
            let (from, to) = (index(offset), index(offset) + bytes.len());
            file.resize(file.len().max(to), 0);
            file[from..to].copy_from_slice(&bytes);
        }
    }
}

/// Applies some of what was done: all up to some point, and of the rest this and that. Once a deletion is lost, so is all that was
/// done to the file that came after the deleted one.
fn keep_some(pending: Vec<Op>, file: &mut Option<Vec<u8>>, dice: &mut Dice) {
    let whole = dice.roll(2) * dice.roll(pending.len() as u64 + 1);
    for (op, nth) in pending.into_iter().zip(0..) {
        match op {
            op if nth < whole => apply(op, file),
            Op::Delete if dice.roll(2) == 0 => return,
            Op::Create { .. } | Op::Delete => apply(op, file),
            Op::Truncate(_) | Op::Write { .. } if dice.roll(2) == 0 => {}
            Op::Truncate(_) => apply(op, file),
            Op::Write { offset, mut bytes } => {
                if dice.roll(4) == 0 {
                    bytes.truncate(index(dice.roll(bytes.len() as u64 + 1)));
                }
                apply(Op::Write { offset, bytes }, file);
            }
        }
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("files in tests fit in memory")
}

/// SplitMix64: the same seed keeps the same writes.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }
}
