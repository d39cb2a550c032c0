//! The folder of one attempt: made anew, filled, read back, removed.

use super::Wish;
use crate::confine::{self, OutFolder, failure, relative};
use crate::secrets::Used;
use ephor_core::spec::ErrorClass;
use ephor_core::work::{Failure, WorkItem};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// `work` and `tmp` for the command, the evidence beside them. Removed with everything in it when dropped.
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes it below `parent`, readable for nobody else. What an attempt of the same name left behind goes first.
    pub(super) fn make(parent: &Path, item: &WorkItem) -> Result<Self, Failure> {
        let name = format!("{}-{}-{}", item.task_id, item.work, item.attempt);
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'), "_");
        let root = parent.join(name);
        let made = || -> io::Result<PathBuf> {
            let mut private = DirBuilder::new();
            private.mode(0o700).recursive(true).create(parent)?;
            remove(&root)?;
            private.recursive(false).create(&root)?;
            let root = fs::canonicalize(&root)?; // rules about paths want the real one
            private.create(root.join("work"))?;
            private.create(root.join("tmp"))?;
            Ok(root)
        };
        match made() {
            Ok(root) => Ok(Self { root }),
            Err(error) => Err(failure("the work folder", &error)),
        }
    }

    /// Where the command starts and may write.
    pub(super) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Where it may write what nobody needs.
    pub(super) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Where the launcher writes what it did.
    pub(super) fn evidence(&self) -> PathBuf {
        self.root.join("evidence")
    }

    /// Puts files in before the command starts.
    pub(super) fn fill(&self, files: &BTreeMap<String, String>) -> Result<(), Failure> {
        for (path, content) in files {
            let place = self.work().join(relative(path)?);
            let parent = place.parent().unwrap_or(&self.root);
            let written = fs::create_dir_all(parent).and_then(|()| fs::write(&place, content));
            written.map_err(|e| failure(path, &e))?;
        }
        Ok(())
    }

    /// Reads back what the command should have left: text into the output, or a copy into the out folder.
    /// A copy cannot be masked without breaking it, so one that holds a secret is refused.
    pub(super) fn collect(
        &self,
        wishes: &BTreeMap<String, Wish>,
        out: &OutFolder,
        used: &Used,
        may_act: bool,
    ) -> Result<Value, Failure> {
        let mut files = Map::new();
        for (name, wish) in wishes {
            let real = self.inside(wish.path()).map_err(|failure| Failure { class: ErrorClass::BadOutput, ..failure })?;
            let content = confine::read(&real, wish.path(), wish.bytes_max());
            let content = content.map_err(|failure| Failure { class: ErrorClass::BadOutput, ..failure })?;
            let file = match wish {
                Wish::Text(_) => Value::String(String::from_utf8_lossy(&content).into_owned()),
                Wish::Copy { path, .. } if used.occurs_in(&content) => {
                    return Err(Failure::final_(ErrorClass::BadOutput, format!("{path} holds a secret and is not copied")));
                }
                Wish::Copy { out: to, .. } => json!(out.write(to, &content, may_act)?),
            };
            files.insert(name.clone(), file);
        }
        Ok(Value::Object(files))
    }

    /// The real path of a file the command left. It may be a link, and a link may lead anywhere: only below the work folder
    /// it counts.
    pub(super) fn inside(&self, path: &str) -> Result<PathBuf, Failure> {
        let real = fs::canonicalize(self.work().join(relative(path)?)).map_err(|e| failure(path, &e))?;
        if real.starts_with(self.work()) {
            return Ok(real);
        }
        Err(Failure::final_(ErrorClass::Refused, format!("{path} leads out of the work folder")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.root) {
            tracing::warn!(%error, folder = %self.root.display(), "a work folder could not be removed");
        }
    }
}

/// Removes a folder, also where the command took the rights to it from itself.
fn remove(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(root)?;
            fs::remove_dir_all(root)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn open_up(root: &Path) -> io::Result<()> {
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}
