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

/// Who has a database open, as the lock's file says: a process, and where it serves the database, if it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// The address of its server: `http://127.0.0.1:4000`.
    pub server: Option<String>,
}

impl Holder {
    /// What stands in the file beside a database. It stays there when its process was killed, so it is a hint where to ask.
    pub fn of(database: &Path) -> Self {
        std::fs::read_to_string(path_of(database)).map(|text| Self::read(&text)).unwrap_or_default()
    }

    fn read(text: &str) -> Self {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Self { pid: lines.next().and_then(|line| line.parse().ok()), server: lines.next().map(Into::into) }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
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
        let before = Holder::read(&before);
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Held { database: database.to_owned(), holder: before });
            }
            Err(TryLockError::Error(e)) => return Err(trouble(&e)),
        }
        write_holder(&mut file, &Holder { pid: Some(std::process::id()), server: None }).map_err(|e| trouble(&e))?;
        Ok(Self { file, died: before.pid })
    }

    /// Says where this process serves the database, so that others on this machine find it.
    pub fn announce(&mut self, server: &str) -> std::io::Result<()> {
        write_holder(&mut self.file, &Holder { pid: Some(std::process::id()), server: Some(server.to_owned()) })
    }

    /// The process that held the lock before and died with it; `None` when it was let go in order.
    pub fn died(&self) -> Option<u32> {
        self.died
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only a courtesy to whoever comes next: with it or without, the lock goes with the file.
        let _ = write_holder(&mut self.file, &Holder::default());
    }
}

/// Where the lock of a database is.
pub fn path_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    let mut text = holder.pid.map(|pid| format!("{pid}\n")).unwrap_or_default();
    text.extend(holder.server.iter().map(|server| format!("{server}\n")));
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_engine_hears_who_holds_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("data/ephor.db");
        let mut first = Lock::take(&database).unwrap();
        let refused = Lock::take(&database).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} has", std::process::id())), "{refused}");
        assert_eq!(Holder::of(&database).server, None);
        first.announce("http://127.0.0.1:4000").unwrap();
        let StoreError::Held { holder, .. } = Lock::take(&database).unwrap_err() else { panic!() };
        assert_eq!(holder.server.as_deref(), Some("http://127.0.0.1:4000"));
        drop(first);
        assert_eq!(Holder::of(&database), Holder::default());
        assert_eq!(Lock::take(&database).unwrap().died(), None);
    }

    #[test]
    fn whoever_comes_after_a_death_hears_who_died() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("ephor.db");
        std::fs::write(path_of(&database), "4711\nhttp://127.0.0.1:1\n").unwrap();
        assert_eq!(Lock::take(&database).unwrap().died(), Some(4711));
    }
}
