//! Episodes: a goal, tasks by id or by agent, milestones and a definition of done. No two are written alike.

use super::Board;
use crate::import::error::Fault;
use crate::import::fields::{Fields, kind, list, object, scalar, text, texts};
use crate::import::report::Part;
use crate::import::text::stem;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use serde_json::Value;
use std::collections::HashMap;

/// Where an episode keeps its tasks: as a map by id, a map by agent, or a list.
const TASKS: [&str; 4] = ["task_board", "tasks", "task_breakdown", "agent_assignments"];

/// Where it says what it is about, in the order people read it.
const ABOUT: [&str; 6] = ["overall_refined_objective", "preamble", "description", "theme", "north_star", "narrative"];

/// What else of it is read.
const READ: [&str; 11] = [
    "episode",
    "episode_id",
    "title",
    "codename",
    "status",
    "objectives",
    "core_objectives",
    "definition_of_done",
    "milestones",
    "artifacts",
    "agent_id",
];

/// One episode.
pub(in crate::import) fn read(value: &Value, name: &str, part: &mut Part) -> Result<Option<Request>, Fault> {
    let fields = object(value, "")?;
    read_fields(fields, "", stem(name), part)
}

/// Every episode of an index, each with a part of its own.
pub(in crate::import) fn read_index(value: &Value, name: &str, part: &Part) -> Result<Vec<(Part, Option<Request>)>, Fault> {
    let mut episodes = Vec::new();
    for (index, episode) in list(value.get("episodes"), "episodes")?.iter().enumerate() {
        let path = format!("episodes[{index}]");
        let mut part = part.clone();
        let request = read_fields(object(episode, &path)?, &path, stem(name), &mut part)?;
        episodes.push((part, request));
    }
    Ok(episodes)
}

fn read_fields(fields: &Fields, path: &str, name: &str, part: &mut Part) -> Result<Option<Request>, Fault> {
    // `episode` is a number, a text, or a map that holds what others keep beside it.
    let inner = fields.get("episode").and_then(Value::as_object);
    let said = |keys: &[&str]| text(fields, keys).or_else(|| text(inner?, keys));
    let id = said(&["episode_id", "episode", "number"]);
    // Where there is a codename too, the title is a sentence or more.
    let (codename, long) = (said(&["codename"]), said(&["title"]));
    let about = long.clone().filter(|_| codename.is_some());
    let about: Vec<String> = about.into_iter().chain(ABOUT.iter().filter_map(|key| said(&[key]))).collect();
    let title = codename.or(long).or_else(|| id.as_ref().map(|id| format!("Episode {id}")));
    let title = title.unwrap_or_else(|| name.to_owned());
    let mut request = Request {
        description: Some(about.join("\n\n")).filter(|about| !about.is_empty()),
        requirements: [texts(fields.get("objectives")), texts(fields.get("core_objectives"))].concat(),
        acceptance_criteria: texts(fields.get("definition_of_done")),
        external_id: id.map(|id| format!("episode-{id}")),
        title: Some(title.clone()),
        ..Request::default()
    };
    let mut board = Board::default();
    board.check_times(fields, if path.is_empty() { "the episode" } else { path }, part);
    if let Some(status) = said(&["status"]).as_deref().and_then(Status::read).filter(|status| status.is_final()) {
        part.dropped(path, title, format!("not taken: already {status}"));
        return board.finish(request, part);
    }
    let milestones = Milestones::read(fields.get("milestones"), path)?;
    for key in TASKS {
        if let Some(tasks) = fields.get(key) {
            board.add_tasks(tasks, &under(path, key), key == "agent_assignments", &milestones, part)?;
        }
    }
    board.add_artifacts(list(fields.get("artifacts"), &under(path, "artifacts"))?, &under(path, "artifacts"), part)?;
    let alone = !TASKS.iter().chain(&["artifacts"]).any(|key| fields.contains_key(*key));
    milestones.settle(alone, &mut board, &mut request, part)?;
    let known = |key: &str| TASKS.contains(&key) || ABOUT.contains(&key) || READ.contains(&key) || super::is_time(key);
    for key in fields.keys().filter(|key| !known(key)) {
        part.dropped(under(path, key), key.clone(), "a request has no place for it");
    }
    board.finish(request, part)
}

fn under(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl Board {
    fn add_tasks(
        &mut self,
        tasks: &Value,
        path: &str,
        by_agent: bool,
        milestones: &Milestones,
        part: &mut Part,
    ) -> Result<(), Fault> {
        if tasks.is_object() {
            part.note(format!("{path} is a map, which has no order: its tasks stand by name"));
        }
        let named: Vec<(Option<&str>, String, &Value)> = match tasks {
            Value::Object(map) => map.iter().flat_map(|(key, value)| entries(key, value, path)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(i, item)| (None, format!("{path}[{i}]"), item)).collect(),
            other => return Err(crate::import::fields::wrong(path, "a map or a list of tasks", other)),
        };
        for (key, place, task) in named {
            let id = if by_agent { None } else { key };
            match task {
                Value::Object(task) => {
                    let mut task = task.clone();
                    if let (true, Some(agent)) = (by_agent, key) {
                        task.entry("assigned_agent").or_insert_with(|| agent.into());
                        task.remove("assigned_agent_id");
                    }
                    milestones.describe(id, &mut task);
                    let name = text(&task, &["task_id", "id"]).or_else(|| id.map(str::to_owned));
                    if let Some(name) = name.filter(|name| self.draft.find(name).is_some()) {
                        part.dropped(place, name, "a task with that id stands further up");
                        continue;
                    }
                    self.add(id, &task, &place, None, part)?;
                }
                other => match scalar(other) {
                    Some(title) => self.add_titled(id, &title, &place)?,
                    None => part.dropped(place, "task", format!("expected a task, found {}", kind(other))),
                },
            }
        }
        Ok(())
    }

    /// `ID: what it is`, as an index of episodes lists them; one id may be listed as a milestone and again as a task.
    fn add_artifacts(&mut self, artifacts: &[Value], path: &str, part: &mut Part) -> Result<(), Fault> {
        for (index, artifact) in artifacts.iter().enumerate() {
            let place = format!("{path}[{index}]");
            let Some(line) = scalar(artifact) else {
                part.dropped(place, "artifact", format!("expected text, found {}", kind(artifact)));
                continue;
            };
            let (id, title) = match line.split_once(": ") {
                Some((id, title)) if !id.contains(' ') => (Some(id), title),
                _ => (None, line.as_str()),
            };
            match id.and_then(|id| self.draft.find(id)) {
                Some(first) => {
                    self.described += usize::from(self.draft.spec(first).description.is_none());
                    self.draft.describe(first, title);
                    part.changed(place, title, "its id is listed already; it became part of that task's description");
                }
                None => self.add_titled(id, title, &place)?,
            }
        }
        Ok(())
    }
}

/// An agent may have one task or a list of them.
fn entries<'a>(key: &'a str, value: &'a Value, path: &str) -> Vec<(Option<&'a str>, String, &'a Value)> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().map(|(i, item)| (Some(key), format!("{path}.{key}[{i}]"), item)).collect()
        }
        one => vec![(Some(key), format!("{path}.{key}"), one)],
    }
}

/// Milestones describe tasks of the same id; others are what the episode is judged by, or its tasks where it has no others.
struct Milestones {
    list: Vec<(String, Fields)>,
    by_id: HashMap<String, usize>,
}

impl Milestones {
    fn read(value: Option<&Value>, path: &str) -> Result<Self, Fault> {
        let path = under(path, "milestones");
        let mut milestones = Self { list: Vec::new(), by_id: HashMap::new() };
        for (index, milestone) in list(value, &path)?.iter().enumerate() {
            let place = format!("{path}[{index}]");
            let fields = match milestone {
                Value::String(title) => Fields::from_iter([("title".to_owned(), title.clone().into())]),
                other => object(other, &place)?.clone(),
            };
            if let Some(id) = text(&fields, &["id"]) {
                milestones.by_id.insert(id, index);
            }
            milestones.list.push((place, fields));
        }
        Ok(milestones)
    }

    fn describe(&self, id: Option<&str>, task: &mut Fields) {
        let milestone = id.and_then(|id| self.by_id.get(id)).map(|index| &self.list[*index].1);
        let described = text(task, &["description", "desc"]).is_some();
        if let (false, Some(said)) = (described, milestone.and_then(|m| text(m, &["description", "desc"]))) {
            task.insert("description".to_owned(), said.into());
        }
    }

    fn settle(self, alone: bool, board: &mut Board, request: &mut Request, part: &mut Part) -> Result<(), Fault> {
        for (place, milestone) in self.list {
            let id = text(&milestone, &["id"]);
            if alone {
                board.add(None, &milestone, &place, None, part)?;
                continue;
            }
            if id.as_ref().is_some_and(|id| board.draft.is_known(id)) {
                continue;
            }
            let said = text(&milestone, &["description", "desc", "title", "name"]).unwrap_or_default();
            let name = text(&milestone, &["title", "name", "id"]).unwrap_or_default();
            request.acceptance_criteria.push(id.map_or(said.clone(), |id| format!("{id}: {said}")));
            part.changed(place, name, "a milestone is a state to reach: it became an acceptance criterion");
        }
        Ok(())
    }
}
