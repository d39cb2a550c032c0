//! `ephor task export`: tasks as the JSON file that other programs share (S2-01), for them to read. The store stays what is true; the file
//! is a copy of one moment, and `ephor plan import` reads it.

use crate::api::{Api, ApiError, TaskFilter};
use crate::cli::Cx;
use crate::cli::failure::{Exit, Failure};
use crate::cli::{show, table};
use crate::host::Need;
use clap::Args;
use ephor_core::id::TaskId;
use ephor_core::status::Status;
use ephor_core::view::TaskView;
use serde_json::{Value, json};
use std::path::PathBuf;

/// How many tasks a page of the list holds.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The file to write; standard output where it is missing
    file: Option<PathBuf>,
    /// Without those that have ended
    #[arg(long)]
    live: bool,
}

pub(super) async fn export(args: &ExportArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let is_task = |name: &&str| name.starts_with('@') || name.parse::<TaskId>().is_ok();
    if let Some(name) = args.file.as_ref().and_then(|file| file.to_str()).filter(is_task) {
        let said =
            format!("{name} names a task, and export writes all there are into a FILE; ephor task show {name} --json writes one");
        return Err(Failure::usage(said));
    }
    let namespace = cx.namespace();
    let source = cx.globals.source.clone();
    let filter = TaskFilter { namespace, source, live: args.live, oldest_first: true, limit: PAGE, ..TaskFilter::default() };
    let tasks = cx.with_api(Need::Read, async |_, api| Ok(all(api, filter).await?)).await?;
    let written = table::json(&tasks);
    let Some(file) = &args.file else {
        cx.terminal.out.line(written);
        return Ok(Exit::Done);
    };
    // Beside it first, so that whoever reads it never reads half of it.
    let beside = file.with_extension("json.new");
    std::fs::write(&beside, written + "\n").and_then(|()| std::fs::rename(&beside, file)).map_err(|e| Failure::file(file, &e))?;
    cx.say(format!("{} tasks are in {}", tasks.len(), file.display()));
    Ok(Exit::Done)
}

/// Every task, the oldest first.
async fn all(api: &dyn Api, mut filter: TaskFilter) -> Result<Vec<Value>, ApiError> {
    let mut tasks = Vec::new();
    loop {
        let page = api.tasks(filter.clone()).await?;
        for row in page.items {
            tasks.push(as_written(&api.task(row.id).await?, row.updated_at.map(|at| at.0.to_string())));
        }
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return Ok(tasks),
        }
    }
}

/// A task in the words of the file.
fn as_written(task: &TaskView, updated_at: Option<String>) -> Value {
    let created_at = task.created_at.map(|at| at.0.to_string());
    let result = match (&task.last_error, task.status) {
        (Some(error), Status::Failed | Status::Stopped) => json!({"error": error.message}),
        (None, Status::Failed | Status::Stopped) => json!({"error": task.reason}),
        _ if task.status == Status::Completed => task.result.clone(),
        _ => Value::Null,
    };
    json!({
        "task_id": task.external_id.clone().unwrap_or_else(|| task.id.to_string()),
        "name": task.title,
        "description": task.description,
        "task_type": task.task_type,
        "status": word(task.status),
        "priority": show::word_of(&task.priority).to_lowercase(),
        "tags": task.tags,
        "dependencies": task.dependencies,
        "params": task.payload,
        "claimed_by": task.claimed_by,
        "created_at": created_at,
        "updated_at": updated_at.or(created_at),
        "result": result,
    })
}

/// The word of the file for a status: it knows fewer.
fn word(status: Status) -> &'static str {
    match status {
        Status::Pending | Status::Scheduled | Status::Deliberating => "pending",
        Status::Stalled => "stalled",
        Status::Assigned => "claimed",
        Status::InProgress | Status::Review | Status::Retrying => "in_progress",
        Status::Paused | Status::Blocked | Status::Escalated => "blocked",
        Status::Completed => "completed",
        Status::Failed | Status::Stopped => "failed",
        Status::Cancelled => "cancelled",
    }
}
