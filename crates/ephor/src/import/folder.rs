//! Files on disk: one with what belongs to it, or a folder of them. Files are only ever read.

use super::detect::{Content, Kind, Source, detect};
use super::error::{Fault, ImportError, Trouble};
use super::report::Left;
use super::{FILE_BYTES_MAX, Imported, markdown, read as read_source};
use serde_json::Value;
use std::cmp::Reverse;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How many files of a folder are looked at. A run has about a hundred; a folder with thousands was named by mistake.
const FILES_MAX: usize = 1_000;

/// Endings of files that may hold a plan or a part of one.
const ENDINGS: [&str; 7] = ["json", "yaml", "yml", "csv", "md", "markdown", "txt"];

/// Parts of names by which the files that complete a breakdown are found beside it.
const BESIDE: [&str; 7] =
    ["task_dependencies", "task_durations", "wbs_level1", "wbs_level2", "wbs_level3", "021-", "001-2-plan.txt"];

/// Reads a file or a folder.
pub(super) fn read(path: &Path) -> Result<Imported, ImportError> {
    let shown = path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error).in_file(&shown))?;
    if metadata.is_dir() { read_folder(path, &shown) } else { read_file(path) }
}

fn unreadable(error: &std::io::Error) -> Fault {
    Fault::new(Trouble::Unreadable, error.to_string())
}

/// A file's bytes, never more than are read at all: its size may change, and a pipe has none.
fn bytes_of(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

fn read_file(path: &Path) -> Result<Imported, ImportError> {
    let name = path.display().to_string();
    let bytes = bytes_of(path).map_err(|fault| fault.in_file(&name))?;
    let source = detect(&name, &bytes).map_err(|fault| fault.in_file(&name))?;
    let Some(folder) = path.parent().filter(|_| source.kind.breakdown_rank().is_some() || source.kind == Kind::Leaves) else {
        return read_source(&source, &[]);
    };
    // Leaves are no plan by themselves: with the tasks beside them they are part of one.
    let named = |file: &PathBuf| {
        let name = file_name(file).to_ascii_lowercase();
        *file != path && BESIDE.iter().any(|part| name.contains(part))
    };
    let files: Vec<PathBuf> = files_of(folder).unwrap_or_default().into_iter().filter(named).collect();
    let contents: Vec<(String, Vec<u8>)> =
        files.iter().filter_map(|file| Some((file.display().to_string(), bytes_of(file).ok()?))).collect();
    let mut left = Vec::new();
    let mut sources = sources_of(&contents, &mut left);
    let mut imported = match sources.iter().position(|other| other.kind == Kind::Tasks) {
        Some(tasks) if source.kind == Kind::Leaves => {
            let tasks = sources.remove(tasks);
            sources.push(source);
            read_source(&tasks, &sources)?
        }
        _ => read_source(&source, &sources)?,
    };
    imported.report.left = left;
    Ok(imported)
}

fn read_folder(folder: &Path, shown: &str) -> Result<Imported, ImportError> {
    let files = files_of(folder).map_err(|fault| fault.in_file(shown))?;
    let mut left = Vec::new();
    let mut contents = Vec::new();
    for file in &files {
        match bytes_of(file) {
            Ok(bytes) => contents.push((file_name(file), bytes)),
            Err(fault) => left.push(Left { file: file_name(file), why: fault.to_string() }),
        }
    }
    let mut sources = sources_of(&contents, &mut left);
    let best = (0..sources.len())
        .filter_map(|index| Some((sources[index].kind.breakdown_rank()?, weight(&sources[index]), Reverse(index))))
        .max();
    let mut imported = Imported::default();
    if let Some((_, _, Reverse(best))) = best {
        let breakdown = sources.remove(best);
        imported = read_source(&breakdown, &sources)?;
        let used: Vec<String> = imported.report.parts.iter().flat_map(|part| part.sources.clone()).collect();
        let unused = sources.iter().filter(|source| !used.contains(&source.name));
        left.extend(
            unused.map(|source| Left { file: source.name.clone(), why: "the run is read from its other files".to_owned() }),
        );
    } else {
        for source in &sources {
            if let (Kind::Outline, Content::Text(text)) = (source.kind, &source.content)
                && !markdown::is_outline(text)
            {
                left.push(Left {
                    file: source.name.clone(),
                    why: "a text without numbered steps; name it to read it".to_owned(),
                });
                continue;
            }
            match read_source(source, &[]) {
                Ok(read) => imported.append(read),
                Err(error) => left.push(Left { file: source.name.clone(), why: error.fault.brief() }),
            }
        }
    }
    left.sort_by(|a, b| a.file.cmp(&b.file));
    if imported.report.parts.is_empty() {
        let why = match left.first() {
            Some(first) => format!("none of its {} files is a plan; {}: {}", left.len(), first.file, first.why),
            None => "the folder holds no file that could be a plan".to_owned(),
        };
        return Err(Fault::new(Trouble::Unrecognised, why).in_file(shown));
    }
    imported.report.left = left;
    Ok(imported)
}

/// The larger of two breakdowns of one kind has more levels.
fn weight(source: &Source<'_>) -> usize {
    match &source.content {
        Content::Document(document) => size_of(&document.value),
        Content::Text(text) => text.len(),
    }
}

fn sources_of<'a>(contents: &'a [(String, Vec<u8>)], left: &mut Vec<Left>) -> Vec<Source<'a>> {
    let mut sources = Vec::new();
    for (name, bytes) in contents {
        match detect(name, bytes) {
            Ok(source) => sources.push(source),
            Err(fault) => left.push(Left { file: name.clone(), why: fault.brief() }),
        }
    }
    sources
}

/// The files of a folder that may hold a part of a plan, by name.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    // The parent of a bare file name is the empty path, which means here.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(&error))? {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        if ENDINGS.contains(&ending.as_str()) && path.is_file() {
            files.push(path);
        }
    }
    if files.len() > FILES_MAX {
        return Err(Fault::new(
            Trouble::TooLarge,
            format!("{} files are more than the {FILES_MAX} that are looked at", files.len()),
        ));
    }
    files.sort();
    Ok(files)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// How many values there are in a value.
fn size_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(size_of).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(size_of).sum::<usize>(),
    }
}
