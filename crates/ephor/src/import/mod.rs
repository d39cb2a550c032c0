//! Reading plans: Ephor's own form, and those of other systems, into requests with a report of what became of everything.
//!
//! A reader takes bytes and gives a [`Request`] or says, naming the place, why not. It never guesses in silence: what it takes,
//! changes and drops stands in the [`Report`], and for a foreign form the plan carries how sure the reader is, so that a
//! person accepts what is doubtful. Nothing here writes, and nothing submits: that is left to whoever asked.

mod capability;
mod detect;
mod document;
mod draft;
mod dreamos;
mod error;
mod fields;
mod folder;
mod graph;
mod markdown;
mod own;
mod planexe;
mod report;
mod structured;
mod text;

pub use error::{Fault, ImportError, Place, Trouble};
pub use report::{Counts, Factor, Item, Left, Outcome, Part, Report};

use detect::{Content, Kind, Source, detect};
use document::Document;
use ephor_core::spec::Request;
use planexe::{Breakdown, Run};
use std::path::Path;

/// The largest file that is read. The largest real plan seen is a few hundred kilobytes; what is a hundred times larger is a
/// mistake, and is refused before it fills the memory.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How many steps a plan may have; as many as a task may have children.
pub const STEPS_MAX: usize = 100_000;

/// How deep a document may be nested. Real plans have four levels; readers recurse, and this keeps their stack small.
pub const DEPTH_MAX: usize = 64;

/// How many characters of foreign text a message carries: enough for the names of all fields of a request, and no more.
pub const LINE_CHARS_MAX: usize = 1_000;

/// What an import found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Requests that can be submitted, each with its plan.
    pub requests: Vec<Request>,
    /// What became of everything in the source.
    pub report: Report,
}

/// Reads a file, with what belongs to it in its folder, or a folder.
pub fn from_path(path: &Path) -> Result<Imported, ImportError> {
    folder::read(path)
}

/// Reads one source by itself; `name` is for messages, and its ending is a hint where the content does not tell.
pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Imported, ImportError> {
    let source = detect(name, bytes).map_err(|fault| fault.in_file(name))?;
    read(&source, &[])
}

/// Reads a source; `beside` are those that may complete it.
fn read(source: &Source<'_>, beside: &[Source<'_>]) -> Result<Imported, ImportError> {
    read_parts(source, beside).map(Imported::of).map_err(|fault| fault.in_file(&source.name))
}

type Parts = Vec<(Part, Option<Request>)>;

fn read_parts(source: &Source<'_>, beside: &[Source<'_>]) -> Result<Parts, Fault> {
    let name = source.name.as_str();
    let mut part = Part::new(source.kind.word(), name);
    if source.kind.breakdown_rank().is_some() {
        let run = run_of(source, beside, &mut part);
        let request = planexe::read(&run, name, &mut part)?;
        return Ok(vec![(part, Some(request))]);
    }
    let request = match (&source.content, source.kind) {
        (Content::Text(text), Kind::Outline) => Some(markdown::read(text, name, &mut part)?),
        (Content::Text(_), kind) => return Err(not_alone(kind)),
        (Content::Document(document), Kind::Episodes) => return dreamos::read_episodes(&document.value, name, &part),
        (Content::Document(document), kind) => read_document(document, kind, name, &mut part)?,
    };
    Ok(vec![(part, request)])
}

fn read_document(document: &Document<'_>, kind: Kind, name: &str, part: &mut Part) -> Result<Option<Request>, Fault> {
    if document.had_comments {
        part.note("comments in the JSON were left out");
    }
    let value = &document.value;
    match kind {
        Kind::Own => own::read(document, name, part).map(Some),
        Kind::Phases => structured::read(value, name, part).map(Some),
        Kind::Decomposition => structured::read_decomposed(value, name, part).map(Some),
        Kind::Board => dreamos::read_board(value, name, part),
        Kind::Task => dreamos::read_task(value, name, part),
        Kind::Cycle => dreamos::read_cycle(value, name, part),
        Kind::Episode => dreamos::read_episode(value, name, part),
        Kind::Tree | Kind::Tasks | Kind::Project | Kind::Leaves | Kind::Dependencies | Kind::Durations => Err(not_alone(kind)),
        Kind::LevelsCsv | Kind::ChartCsv | Kind::Prompt | Kind::Outline | Kind::Episodes => Err(not_alone(kind)),
    }
}

/// A file that says something about a plan and is none.
fn not_alone(kind: Kind) -> Fault {
    let what = match kind {
        Kind::Project => "the title of a PlanExe project (018-2)",
        Kind::Leaves => "the leaves of a PlanExe breakdown (023-2) without their tasks (018-5)",
        Kind::Dependencies => "the dependencies of a PlanExe run (021)",
        Kind::Durations => "the durations of a PlanExe run (022-2)",
        _ => "what a PlanExe run was asked for (001-2)",
    };
    Fault::new(Trouble::NotAPlan, format!("not a plan by itself: it is {what}; import the folder, or 023-3 beside it"))
}

/// A breakdown and the files that complete it, each of which then stands among the sources.
fn run_of<'a>(source: &'a Source<'_>, beside: &'a [Source<'_>], part: &mut Part) -> Run<'a> {
    let mut taken = |kind: Kind| {
        let found = beside.iter().find(|other| other.kind == kind)?;
        part.sources.push(found.name.clone());
        Some(&found.content)
    };
    let document = |content: &'a Content<'_>| match content {
        Content::Document(document) => Some(&document.value),
        Content::Text(_) => None,
    };
    let text = |content: &'a Content<'_>| match content {
        Content::Text(text) => Some(*text),
        Content::Document(_) => None,
    };
    let breakdown = match (&source.content, source.kind) {
        (Content::Text(text), Kind::LevelsCsv) => Breakdown::LevelsCsv(text),
        (Content::Text(text), _) => Breakdown::ChartCsv(text),
        (Content::Document(tasks), Kind::Tasks) => Breakdown::Levels {
            project: taken(Kind::Project).and_then(document),
            tasks: &tasks.value,
            leaves: taken(Kind::Leaves).and_then(document),
        },
        (Content::Document(tree), _) => Breakdown::Tree(&tree.value),
    };
    Run {
        breakdown,
        dependencies: taken(Kind::Dependencies).and_then(document),
        durations: taken(Kind::Durations).and_then(document),
        prompt: taken(Kind::Prompt).and_then(text),
    }
}

impl Imported {
    fn of(parts: Parts) -> Self {
        let mut imported = Self::default();
        for (mut part, request) in parts {
            if let Some(request) = request {
                complete(&mut part, &request);
                imported.requests.push(request);
            }
            imported.report.parts.push(part);
        }
        imported
    }

    fn append(&mut self, other: Self) {
        self.requests.extend(other.requests);
        self.report.parts.extend(other.report.parts);
        self.report.left.extend(other.report.left);
    }
}

/// What the report says of every request alike.
fn complete(part: &mut Part, request: &Request) {
    part.requested = true;
    part.title = request.title.clone().or_else(|| request.description.clone()).map(|t| text::short(&t)).unwrap_or_default();
    let own = part.confidence.is_none() && part.items.is_empty();
    if let (true, Some(plan)) = (own, &request.plan) {
        part.take_all(&plan.steps);
    }
}
