//! Dream.OS: task boards, single tasks, cycle planners and episodes. Boards are kept by many hands, so every word is read
//! generously and every doubt is reported.

mod episode;

use super::draft::{Draft, WORK, order_factor};
use super::error::Fault;
use super::fields::{Fields, kind, list, object, scalar, text, texts};
use super::report::Part;
use super::text::{shorten, stem};
use ephor_core::spec::{OnAgentLost, Priority, Request, StepSpec};
use ephor_core::status::Status;
use ephor_core::time::{Time, WireDuration};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) use episode::{read as read_episode, read_index as read_episodes};

/// How long the agents of a board may be silent (S3-97): half an hour with the grace of a quarter. Then its task is BLOCKED until somebody decides.
const SILENCE_MS: u64 = 24 * 60_000;

/// What a board writes where nobody thought of a name.
const PLACEHOLDER_TITLE: &str = "Untitled Task";

/// Fields of a task that are read; what else it has is counted in the report.
const READ: [&str; 22] = [
    "task_id",
    "id",
    "name",
    "title",
    "description",
    "desc",
    "summary",
    "intent",
    "status",
    "priority",
    "action",
    "params",
    "required_capabilities",
    "dependencies",
    "depends_on",
    "blocked_by",
    "estimated_time",
    "estimated_duration",
    "acceptance_criteria",
    "validation_criteria",
    "deliverables",
    "tags",
];

/// Fields that tell the agent more and go to the parameters under their own names.
const KEPT_AS_PARAMS: [&str; 9] = [
    "acceptance_criteria",
    "validation_criteria",
    "deliverables",
    "assigned_agent",
    "owner",
    "file",
    "notes",
    "blocker",
    "points",
];

/// A list of tasks, or an object that has one.
pub(super) fn read_board(value: &Value, name: &str, part: &mut Part) -> Result<Option<Request>, Fault> {
    let mut board = Board::default();
    let (path, tasks) = match value.get("tasks") {
        Some(tasks) => ("tasks", tasks),
        None => ("", value),
    };
    board.add_list(list(Some(tasks), path)?, path, None, part)?;
    board.finish(Request { title: Some(stem(name).to_owned()), ..Request::default() }, part)
}

/// One task in a file of its own.
pub(super) fn read_task(value: &Value, name: &str, part: &mut Part) -> Result<Option<Request>, Fault> {
    let mut board = Board::default();
    let task = object(value, "")?;
    board.add(None, task, "the task", None, part)?;
    board.finish(Request { title: title_of(task).or_else(|| Some(stem(name).to_owned())), ..Request::default() }, part)
}

/// An agent's tasks of one day: `pending_tasks` and `completed_tasks`.
pub(super) fn read_cycle(value: &Value, name: &str, part: &mut Part) -> Result<Option<Request>, Fault> {
    let planner = object(value, "")?;
    let mut board = Board::default();
    board.add_list(list(planner.get("pending_tasks"), "pending_tasks")?, "pending_tasks", None, part)?;
    let done = Some(Status::Completed);
    board.add_list(list(planner.get("completed_tasks"), "completed_tasks")?, "completed_tasks", done, part)?;
    let whose = ["agent_id", "date"].iter().filter_map(|key| text(planner, &[key])).collect::<Vec<_>>().join(", ");
    let title = if whose.is_empty() { stem(name).to_owned() } else { format!("Tasks of {whose}") };
    board.finish(Request { title: Some(title), ..Request::default() }, part)
}

/// The tasks of a source on their way into one plan.
#[derive(Default)]
struct Board {
    draft: Draft,
    priority: Option<Priority>,
    described: usize,
    capable: usize,
    strange_status: usize,
    times_dropped: bool,
    /// Fields that were not carried over, with how many tasks have them.
    unread: BTreeMap<String, usize>,
}

impl Board {
    fn add_list(&mut self, tasks: &[Value], path: &str, status: Option<Status>, part: &mut Part) -> Result<(), Fault> {
        for (index, task) in tasks.iter().enumerate() {
            let place = format!("{path}[{index}]");
            match task {
                Value::Object(task) => self.add(None, task, &place, status, part)?,
                Value::String(title) => self.add_titled(None, title, &place)?,
                other => part.dropped(place, "task", format!("expected a task, found {}", kind(other))),
            }
        }
        Ok(())
    }

    /// A task that is no more than a title.
    fn add_titled(&mut self, key: Option<&str>, title: &str, place: &str) -> Result<(), Fault> {
        let spec = StepSpec { title: Some(title.to_owned()), ..at_work() };
        self.draft.add(None, key, place, spec).map(drop)
    }

    /// One task: a step, unless it has ended. `key` is its id where the source keeps it outside the task; `known` is its status
    /// where the source says it by the place of the task.
    fn add(
        &mut self,
        key: Option<&str>,
        task: &Fields,
        place: &str,
        known: Option<Status>,
        part: &mut Part,
    ) -> Result<(), Fault> {
        let id = text(task, &["task_id", "id"]).or_else(|| key.map(str::to_owned));
        let title = title_of(task).or_else(|| id.clone());
        let word = text(task, &["status"]);
        let status = known.or_else(|| word.as_deref().and_then(Status::read));
        self.check_times(task, place, part);
        if let Some(status) = status.filter(|status| status.is_final()) {
            let why = format!("not taken: already {status}");
            match (&id, status) {
                (Some(id), Status::Completed) => self.draft.is_done(id, format!("it is already {status}")),
                (Some(id), _) => self.draft.leave_out(id, format!("it is already {status}")),
                (None, _) => {}
            }
            part.dropped(place, title.unwrap_or_default(), why);
            return Ok(());
        }
        let spec = StepSpec { title, description: description_of(task), ..at_work() };
        self.described += usize::from(spec.description.is_some());
        let step = self.draft.add(None, id.as_deref(), place, spec)?;
        self.take_action(step, task);
        self.take_status(step, status, word);
        self.take_priority(step, task);
        self.take_estimate(step, task);
        self.take_dependencies(step, task, place);
        for field in task.keys().filter(|key| !READ.contains(&key.as_str()) && !KEPT_AS_PARAMS.contains(&key.as_str())) {
            if !task[field].is_null() && !is_time(field) {
                *self.unread.entry(field.clone()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn take_action(&mut self, step: usize, task: &Fields) {
        let capabilities: Vec<String> = texts(task.get("required_capabilities")).iter().map(|word| word.to_lowercase()).collect();
        self.capable += usize::from(!capabilities.is_empty());
        let spec = self.draft.spec(step);
        if let Some(action) = text(task, &["action"]) {
            spec.action = Some(action);
        }
        if !capabilities.is_empty() {
            spec.capabilities = capabilities;
        }
        let params = task.get("params").and_then(Value::as_object);
        spec.params = params.cloned().unwrap_or_default();
        for key in KEPT_AS_PARAMS {
            let value = task.get(key).filter(|value| scalar(value).is_some() || !texts(Some(value)).is_empty());
            if let Some(value) = value {
                spec.params.entry(key).or_insert_with(|| value.clone());
            }
        }
        if task.get("params").is_some_and(|params| !params.is_null() && !params.is_object()) {
            self.draft.change(step, "its params are no object and were dropped");
        }
    }

    fn take_status(&mut self, step: usize, status: Option<Status>, word: Option<String>) {
        match (status, word) {
            (None, Some(word)) => {
                self.strange_status += 1;
                self.draft.change(step, format!("its status {:?} is unknown; it was kept as source_status", shorten(&word, 40)));
                self.draft.spec(step).params.insert("source_status".to_owned(), word.into());
            }
            (Some(status), Some(word)) if status != Status::Pending => {
                self.draft.change(step, format!("it was {} ({status}); it begins anew", shorten(&word, 40)));
            }
            (_, _) => {}
        }
    }

    /// Steps have no priority of their own: the highest one becomes the task's, each is kept as a parameter.
    fn take_priority(&mut self, step: usize, task: &Fields) {
        let Some(word) = text(task, &["priority"]) else { return };
        let Some(priority) = read_priority(&word) else {
            return self.draft.change(step, format!("its priority {:?} is unknown; it counts as NORMAL", shorten(&word, 40)));
        };
        self.priority = self.priority.max(Some(priority));
        if let Ok(value) = serde_json::to_value(priority) {
            self.draft.spec(step).params.entry("priority").or_insert(value);
        }
    }

    fn take_estimate(&mut self, step: usize, task: &Fields) {
        let Some(said) = text(task, &["estimated_time", "estimated_duration"]) else { return };
        match read_duration(&said) {
            Some((estimate, exact)) => {
                self.draft.spec(step).estimate = Some(estimate);
                if !exact {
                    self.draft.change(step, format!("its estimate {:?} was read as {estimate}", shorten(&said, 40)));
                }
            }
            None => self.draft.change(step, format!("its estimate {:?} is no duration", shorten(&said, 40))),
        }
    }

    fn take_dependencies(&mut self, step: usize, task: &Fields, place: &str) {
        for key in ["dependencies", "depends_on", "blocked_by"] {
            let Some(value) = task.get(key) else { continue };
            let place = format!("{place}.{key}");
            for awaited in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
                let id = awaited.as_object().map_or_else(|| scalar(awaited), |fields| text(fields, &["task_id", "id"]));
                match id {
                    Some(id) => self.draft.depend(step, &id, &place),
                    None if awaited.is_null() || awaited == "" => {}
                    None => self.draft.change(step, format!("an entry of {key} names no task and was dropped")),
                }
            }
        }
    }

    /// Times of the source are its history, and half of them are placeholders; none moves a task here.
    fn check_times(&mut self, fields: &Fields, place: &str, part: &mut Part) {
        for (key, value) in fields.iter().filter(|(key, _)| is_time(key)) {
            let Some(said) = scalar(value) else { continue };
            self.times_dropped = true;
            if Time::parse(&said).is_err() {
                part.dropped(format!("{place}.{key}"), shorten(&said, 60), "a placeholder or malformed time");
            }
        }
    }

    /// The request, unless nothing is left to be done.
    fn finish(mut self, request: Request, part: &mut Part) -> Result<Option<Request>, Fault> {
        if self.times_dropped {
            part.note("times were not carried over: a task's history begins when it is submitted");
        }
        if !self.unread.is_empty() {
            let fields: Vec<String> =
                self.unread.iter().map(|(field, count)| format!("{} ({count})", shorten(field, 40))).collect();
            part.note(format!("fields that were not carried over: {}", fields.join(", ")));
        }
        let steps = self.draft.len();
        if steps == 0 {
            part.title = request.title.unwrap_or_default();
            return Ok(None);
        }
        let of_all = |count: usize| count as f64 / steps as f64;
        part.factor("detail", 0.85 + 0.15 * of_all(self.described), format!("{} of {steps} tasks are described", self.described));
        part.factor(
            "capabilities",
            0.9 + 0.1 * of_all(self.capable),
            format!("{} of {steps} tasks name what is required; the others ask for `{WORK}`", self.capable),
        );
        part.factor("status", 1.0 - 0.3 * of_all(self.strange_status), format!("{} unknown words", self.strange_status));
        let edges = self.draft.settle_edges(part);
        order_factor(part, &edges, 0.9, "no task depends on an open one; all may run side by side");
        Ok(Some(Request {
            description: request.description.or_else(|| request.title.clone()),
            priority: self.priority.unwrap_or_default(),
            source: Some("dreamos".to_owned()),
            plan: Some(self.draft.finish(part)),
            heartbeat_timeout: Some(WireDuration { ms: SILENCE_MS }),
            on_agent_lost: Some(OnAgentLost::Block),
            ..request
        }))
    }
}

fn at_work() -> StepSpec {
    StepSpec { action: Some(WORK.to_owned()), capabilities: vec![WORK.to_owned()], ..StepSpec::default() }
}

fn title_of(task: &Fields) -> Option<String> {
    let named = text(task, &["name", "title"]).filter(|title| title != PLACEHOLDER_TITLE);
    let described = || text(task, &["description", "desc", "summary"]).and_then(|d| d.lines().next().map(str::to_owned));
    let acted = || text(task, &["action"]).map(|action| action.replace('_', " "));
    named.or_else(described).or_else(acted)
}

fn description_of(task: &Fields) -> Option<String> {
    let description = text(task, &["description", "desc", "summary"]);
    let intent = text(task, &["intent"]).map(|intent| format!("Intent: {intent}"));
    let said: Vec<String> = [description, intent].into_iter().flatten().collect();
    if said.is_empty() { None } else { Some(said.join("\n\n")) }
}

/// A word in any case, or a number of which 1 is the most urgent.
fn read_priority(word: &str) -> Option<Priority> {
    match word {
        "1" => Some(Priority::Critical),
        "2" => Some(Priority::High),
        "3" => Some(Priority::Normal),
        "4" => Some(Priority::Low),
        word => serde_json::from_value(word.to_ascii_uppercase().into()).ok(),
    }
}

/// `12 hours`, `2-3 hours`, `2 minutes (manual)`: the longest of what is said, and whether it was said exactly.
fn read_duration(said: &str) -> Option<(WireDuration, bool)> {
    let lower = said.trim().to_lowercase();
    let unit_at = lower.find(|c: char| c.is_alphabetic())?;
    let (numbers, rest) = lower.split_at(unit_at);
    let unit_end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let unit = match &rest[..unit_end] {
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        _ => return None,
    };
    let parts: Vec<&str> = numbers.split(['-', '–']).map(str::trim).collect();
    let exact = parts.len() == 1 && rest[unit_end..].trim().is_empty();
    WireDuration::parse(&format!("{}{unit}", parts.last()?)).ok().map(|duration| (duration, exact))
}

fn is_time(field: &str) -> bool {
    field.contains("timestamp") || ["_at", "_utc", "_date"].iter().any(|end| field.ends_with(end))
}
