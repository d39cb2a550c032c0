//! One engine to a database. The operating system keeps the lock and lets it go when the process dies, however it dies.

use crate::store::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The right to write a database, held until dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    died: Option<u32>,
}

impl Lock {
    /// Takes the lock beside a database, or says who has it.
    pub fn take(database: &Path) -> Result<Self, StoreError> {
        let path = path_of(database);
        let trouble = |why: &dyn std::fmt::Display| StoreError::Unusable(format!("cannot lock {}: {why}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| trouble(&e))?;
        }
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(|e| trouble(&e))?;
        let locked = file.try_lock();
        let mut before = String::new();
        file.read_to_string(&mut before).map_err(|e| trouble(&e))?;
        let before = before.trim().parse().ok();
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = before.map_or("another process".into(), |pid: u32| format!("process {pid}"));
                let database = database.display();
                return Err(StoreError::Unusable(format!("{holder} has {database} open; one engine at a time may write it")));
            }
            Err(TryLockError::Error(e)) => return Err(trouble(&e)),
        }
        write_holder(&mut file, Some(std::process::id())).map_err(|e| trouble(&e))?;
        Ok(Self { file, died: before })
    }

    /// The process that held the lock before and died with it; `None` when it was let go in order.
    pub fn died(&self) -> Option<u32> {
        self.died
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only a courtesy to whoever comes next: with it or without, the lock goes with the file.
        let _ = write_holder(&mut self.file, None);
    }
}

/// Where the lock of a database is.
pub fn path_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn write_holder(file: &mut File, pid: Option<u32>) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    pid.map_or(Ok(()), |pid| writeln!(file, "{pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_engine_hears_who_holds_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("data/ephor.db");
        let first = Lock::take(&database).unwrap();
        let refused = Lock::take(&database).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} has", std::process::id())), "{refused}");
        drop(first);
        assert_eq!(Lock::take(&database).unwrap().died(), None);
    }

    #[test]
    fn whoever_comes_after_a_death_hears_who_died() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("ephor.db");
        std::fs::write(path_of(&database), "4711\n").unwrap();
        assert_eq!(Lock::take(&database).unwrap().died(), Some(4711));
    }
}
