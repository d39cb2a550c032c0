//! The files below a folder, in one order everywhere: by path.

use crate::blocking::Told;
use crate::confine::{Roots, failure};
use crate::glob::Globs;
use ephor_core::spec::ErrorClass;
use ephor_core::work::Failure;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders nobody means when they ask for the files of a project.
const SKIPPED: [&str; 2] = [".git", "target"];

/// The most entries looked at, wanted or not: a walk over a whole disk ends.
const ENTRIES_MAX: usize = 200_000;

/// Which files are meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    /// The folder.
    pub(crate) root: String,
    /// Patterns of which a path below the root must fit one; all files where it is empty.
    pub(crate) include: Vec<String>,
    /// Patterns of which it may fit none.
    pub(crate) exclude: Vec<String>,
    /// The most files.
    pub(crate) max_files: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { root: ".".into(), include: Vec::new(), exclude: Vec::new(), max_files: 10_000 }
    }
}

/// One file.
pub(crate) struct Found {
    /// Below the root, with `/` between names.
    pub(crate) path: String,
    /// With links followed.
    pub(crate) real: PathBuf,
}

/// What a walk came back with.
#[derive(Default)]
pub(crate) struct Walk {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<Found>,
    /// Links that lead out of every read root, and names that are not UTF-8.
    pub(crate) skipped: Vec<String>,
    /// Whether there were more files than wanted.
    pub(crate) truncated: bool,
}

/// Finds the files. Linked folders are not entered; a linked file counts if it lies below a read root.
///
/// # Errors
/// `NotFound` and `Refused` for the root, `BadInput` for a pattern, `Cancelled`.
pub(crate) fn walk(wanted: &Wanted, roots: &Roots, told: &Told) -> Result<Walk, Failure> {
    let include = Globs::new(&wanted.include)?;
    let exclude = Globs::new(&wanted.exclude)?;
    let mut walk = Walk { root: roots.resolve(&wanted.root)?, ..Walk::default() };
    let mut folders = vec![(walk.root.clone(), String::new())];
    let mut entries = 0;
    while let Some((folder, prefix)) = folders.pop() {
        told.check()?;
        let mut inside = Vec::new();
        for (name, real) in names(&folder, &prefix, &mut walk.skipped)? {
            entries += 1;
            if entries > ENTRIES_MAX {
                let message = format!("{} holds more than {ENTRIES_MAX} files and folders", wanted.root);
                return Err(Failure::final_(ErrorClass::BadInput, message));
            }
            let path = format!("{prefix}{name}");
            let Ok(meta) = fs::symlink_metadata(&real) else { continue }; // gone since it was listed
            if meta.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push((real, format!("{path}/")));
                }
            } else if (wanted.include.is_empty() || include.matches(&path)) && !exclude.matches(&path) {
                inside.push(Found { path, real });
            }
        }
        for found in inside {
            match fs::canonicalize(&found.real) {
                Ok(real) if !roots.contains(&real) => walk.skipped.push(format!("{}: leads out", found.path)),
                Ok(real) if real.is_file() => walk.files.push(Found { real, ..found }),
                _ => {} // a dangling link, a pipe, a linked folder
            }
        }
    }
    walk.files.sort_by(|a, b| a.path.cmp(&b.path));
    walk.truncated = walk.files.len() > wanted.max_files;
    walk.files.truncate(wanted.max_files);
    walk.skipped.sort();
    Ok(walk)
}

/// The entries of a folder.
fn names(folder: &Path, prefix: &str, skipped: &mut Vec<String>) -> Result<Vec<(String, PathBuf)>, Failure> {
    let shown = if prefix.is_empty() { "." } else { prefix };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| failure(shown, &e))? {
        let entry = entry.map_err(|e| failure(shown, &e))?;
        match entry.file_name().into_string() {
            Ok(name) => names.push((name, entry.path())),
            Err(name) => skipped.push(format!("{prefix}{}: its name is not UTF-8", name.to_string_lossy())),
        }
    }
    Ok(names)
}
