//! What a source is, told by what stands in it.

use super::document::Document;
use super::error::{Fault, Trouble};
use super::fields::{Fields, kind};
use super::text::{decode, shorten, snake};
use super::{markdown, structured};
use serde_json::Value;

/// What is read, for messages about what is not.
const ACCEPTED: &str = "Accepted are a request or plan of Ephor (description, title or steps), a PlanExe breakdown (018-5, 019, \
                        023-3, 023-4, 026-3 or their folder), a plan of phases, a decomposition, an outline in Markdown, and \
                        task boards, cycle planners and episodes of Dream.OS";

/// How many field names a message lists.
const FIELDS_SHOWN: usize = 8;

/// A source whose kind is known.
pub(super) struct Source<'a> {
    /// Its file.
    pub(super) name: String,
    /// Its kind.
    pub(super) kind: Kind,
    /// What it says.
    pub(super) content: Content<'a>,
}

/// What a source says, as far as it has been taken apart.
pub(super) enum Content<'a> {
    Document(Document<'a>),
    Text(&'a str),
}

/// The kinds of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Own,
    Tree,
    Project,
    Tasks,
    Leaves,
    Dependencies,
    Durations,
    LevelsCsv,
    ChartCsv,
    Prompt,
    Phases,
    Decomposition,
    Outline,
    Board,
    Task,
    Cycle,
    Episode,
    Episodes,
}

impl Kind {
    /// What it is called in a report.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Own => "Ephor",
            Self::Tree | Self::Project | Self::Tasks | Self::Leaves | Self::Dependencies | Self::Durations | Self::Prompt => {
                "PlanExe"
            }
            Self::LevelsCsv => "PlanExe table",
            Self::ChartCsv => "PlanExe chart",
            Self::Phases => "plan of phases",
            Self::Decomposition => "decomposition",
            Self::Outline => "Markdown outline",
            Self::Board => "Dream.OS board",
            Self::Task => "Dream.OS task",
            Self::Cycle => "Dream.OS cycle planner",
            Self::Episode | Self::Episodes => "Dream.OS episode",
        }
    }

    /// How good it is as the breakdown of a PlanExe run, if it is one at all.
    pub(super) fn breakdown_rank(self) -> Option<u8> {
        match self {
            Self::Tree => Some(4),
            Self::Tasks => Some(3),
            Self::LevelsCsv => Some(2),
            Self::ChartCsv => Some(1),
            _ => None,
        }
    }
}

/// Tells what a source is.
pub(super) fn detect<'a>(name: &str, bytes: &'a [u8]) -> Result<Source<'a>, Fault> {
    let text = decode(bytes)?;
    let (kind, content) = classify(name, text)?;
    Ok(Source { name: name.to_owned(), kind, content })
}

fn classify<'a>(name: &str, text: &'a str) -> Result<(Kind, Content<'a>), Fault> {
    let named = |ends: &[&str]| ends.iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let (is_yaml, is_markdown) = (named(&[".yaml", ".yml"]), named(&[".md", ".markdown"]));
    if let Some(kind) = table(text) {
        return Ok((kind, Content::Text(text)));
    }
    if named(&["001-2-plan.txt"]) {
        return Ok((Kind::Prompt, Content::Text(text)));
    }
    let starts_as_json = text.trim_start().starts_with(['{', '[']) || text.trim_start().starts_with("//") && named(&[".json"]);
    if starts_as_json && !is_markdown {
        let document = match Document::json(text) {
            Err(fault) if is_yaml && fault.trouble == Trouble::Syntax => Document::yaml(text)?,
            read => read?,
        };
        return Ok((of_value(&document.value)?, Content::Document(document)));
    }
    if is_markdown || (!is_yaml && markdown::is_outline(text)) {
        return Ok((Kind::Outline, Content::Text(text)));
    }
    match Document::yaml(text) {
        Ok(document) if is_yaml || document.value.is_object() || document.value.is_array() => {
            Ok((of_value(&document.value)?, Content::Document(document)))
        }
        Err(fault) if is_yaml => Err(fault),
        _ if named(&[".json"]) => Err(Document::json(text).err().unwrap_or_else(|| unrecognised("plain text"))),
        Ok(_) | Err(_) => Err(unrecognised("plain text")),
    }
}

/// The tables are known by the names of their columns.
fn table(text: &str) -> Option<Kind> {
    let header = text.lines().find(|line| !line.trim().is_empty())?.to_ascii_lowercase();
    let has = |columns: &[&str]| columns.iter().all(|column| header.contains(column));
    if has(&["level 1", "task id"]) && header.contains([';', ',', '\t']) && !header.contains('{') {
        return Some(Kind::LevelsCsv);
    }
    (has(&["project_key", "project_name", "project_parent"]) && !header.contains('{')).then_some(Kind::ChartCsv)
}

fn of_value(value: &Value) -> Result<Kind, Fault> {
    match value {
        Value::Object(fields) => of_object(fields),
        Value::Array(items) => match items.first() {
            None => Err(Fault::new(Trouble::NotAPlan, "an empty list")),
            Some(Value::Object(first)) => of_list(first),
            Some(other) => Err(unrecognised(&format!("a list that begins with {}", kind(other)))),
        },
        other => Err(unrecognised(kind(other))),
    }
}

fn of_object(fields: &Fields) -> Result<Kind, Fault> {
    let has = |key: &str| fields.contains_key(key);
    let any = |keys: &[&str]| keys.iter().any(|key| has(key));
    let own = any(&["steps", "plan"]);
    let is_list = |key: &str| fields.get(key).is_some_and(Value::is_array);
    Ok(match () {
        () if has("wbs_project") => Kind::Tree,
        () if has("task_dependency_details") => Kind::Dependencies,
        () if any(&structured::DECOMPOSED) => Kind::Decomposition,
        () if has("phases") && !own => Kind::Phases,
        () if has("project_title") => Kind::Project,
        () if is_list("episodes") => Kind::Episodes,
        () if any(&["task_board", "agent_assignments", "task_breakdown", "episode", "episode_id"]) => Kind::Episode,
        () if any(&["pending_tasks", "completed_tasks"]) => Kind::Cycle,
        () if is_list("tasks") && is_list("links") => {
            return Err(not_a_plan("the data of a Gantt chart (026-2); import 023-3 of the same run"));
        }
        () if is_list("tasks") && !own => Kind::Board,
        () if any(&["work_available", "next_task"]) => {
            return Err(not_a_plan("the answer to an agent that asked for work: one step of a plan that lives elsewhere"));
        }
        () if has("task") && has("agent_capabilities") => {
            return Err(not_a_plan("a question to decompose a task; import the reply, which has decomposed_subtasks"));
        }
        () if any(&["event_type", "event_id"]) || (has("execution_id") && has("status")) => {
            return Err(not_a_plan("an event or message of a running execution"));
        }
        () if has("agent_id") && has("capabilities") => {
            return Err(not_a_plan("the registration of an agent"));
        }
        () if has("task_id") && any(&["status", "description", "name", "title"]) && !own => Kind::Task,
        () if is_own(fields) => Kind::Own,
        () => return Err(unrecognised(&format!("an object with {}", field_names(fields)))),
    })
}

fn of_list(first: &Fields) -> Result<Kind, Fault> {
    let has = |key: &str| first.contains_key(key);
    Ok(match () {
        () if has("major_phase_title") => Kind::Tasks,
        () if has("task_id") && (has("days_realistic") || has("days_min")) => Kind::Durations,
        () if has("parent_id") && has("id") => Kind::Leaves,
        () if has("task_id") || (has("id") && has("status")) => Kind::Board,
        () => return Err(unrecognised(&format!("a list of objects with {}", field_names(first)))),
    })
}

fn is_own(fields: &Fields) -> bool {
    let telling = ["description", "title", "steps", "plan", "task_type", "action"];
    let printed_call = fields.contains_key("type") && fields.contains_key("mode");
    printed_call || fields.keys().any(|key| telling.contains(&snake(key).as_str()))
}

fn field_names(fields: &Fields) -> String {
    if fields.is_empty() {
        return "no fields".to_owned();
    }
    let mut names: Vec<String> = fields.keys().take(FIELDS_SHOWN).map(|key| shorten(key, 30)).collect();
    if fields.len() > FIELDS_SHOWN {
        names.push("…".to_owned());
    }
    format!("the fields {}", names.join(", "))
}

fn not_a_plan(what: &str) -> Fault {
    Fault::new(Trouble::NotAPlan, format!("not a plan: it is {what}"))
}

/// Nothing that is read; the message says what was seen and what would be.
fn unrecognised(seen: &str) -> Fault {
    let message = format!("not recognised: it is {seen}");
    Fault { hint: Some(ACCEPTED), ..Fault::new(Trouble::Unrecognised, message) }
}
