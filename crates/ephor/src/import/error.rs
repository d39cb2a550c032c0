//! Why a source could not be read, and where in it.

use super::text::short;
use std::fmt;

/// Where in a source something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The source as a whole.
    #[default]
    Whole,
    /// A line and a column in it, counted from 1.
    Line {
        /// The line.
        line: u64,
        /// The column, in characters; 0 where only the line is known.
        column: u64,
    },
    /// A field of it, with line and column where they are known.
    Field {
        /// Its path: `plan.steps[2].title`.
        path: String,
        /// Its line and column, counted from 1.
        line: Option<(u64, u64)>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Line { line, column: 0 } => write!(f, "line {line}"),
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
            Self::Field { path, line: None } => f.write_str(path),
            Self::Field { path, line: Some((line, column)) } => write!(f, "{path} (line {line}, column {column})"),
        }
    }
}

/// What kind of trouble it is; exit codes and answers tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The file system said no.
    Unreadable,
    /// More bytes, steps or levels than are read.
    TooLarge,
    /// No UTF-8 text.
    Encoding,
    /// Not the JSON, YAML or CSV it starts as.
    Syntax,
    /// Well-formed, with a field that is missing, unknown or of the wrong type.
    Field,
    /// Understood, and it carries no plan.
    NotAPlan,
    /// None of the kinds that are read.
    Unrecognised,
}

/// Why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {fault}")]
pub struct ImportError {
    /// The file, as it was named.
    pub file: String,
    /// What is wrong, and where.
    pub fault: Fault,
}

/// What is wrong in a source, and where, before the file's name is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is wrong.
    pub place: Place,
    /// The kind of trouble.
    pub trouble: Trouble,
    /// What is wrong and what to do, in one sentence.
    pub message: String,
    /// What would be right, where that is a long list.
    pub hint: Option<&'static str>,
}

impl Fault {
    pub(super) fn new(trouble: Trouble, message: impl AsRef<str>) -> Self {
        Self { place: Place::Whole, trouble, message: short(message.as_ref()), hint: None }
    }

    /// A field that is missing, unknown or of the wrong type.
    pub(super) fn field(path: &str, message: impl AsRef<str>) -> Self {
        let place = if path.is_empty() { Place::Whole } else { Place::Field { path: short(path), line: None } };
        Self { place, ..Self::new(Trouble::Field, message) }
    }

    /// Place and message, without the hint: for a list of many.
    pub(super) fn brief(&self) -> String {
        Self { hint: None, ..self.clone() }.to_string()
    }

    pub(super) fn at_line(self, line: u64, column: u64) -> Self {
        Self { place: Place::Line { line, column }, ..self }
    }

    pub(super) fn in_file(self, file: &str) -> ImportError {
        ImportError { file: short(file), fault: self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Whole => f.write_str(&self.message)?,
            place => write!(f, "{place}: {}", self.message)?,
        }
        self.hint.map_or(Ok(()), |hint| write!(f, ". {hint}"))
    }
}
