//! A short life of a task from end to end, in a database of its own that is removed afterwards: does this installation work?

use super::check;
use super::session::{LocalHost, blocking};
use crate::api::{ApiError, EventQuery, Kind};
use crate::host::{Check, Host, Need, Place, Workshop};
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_engine::store::Reader;
use ephor_engine::store::sqlite::{Options, SqliteReader};
use serde_json::json;
use std::path::{Path, PathBuf};

/// How long the task may take, in milliseconds.
const PATIENCE_MS: u64 = 30_000;

/// Runs the test and removes what it made.
pub(super) async fn run() -> Result<Vec<Check>, ApiError> {
    let folder = std::env::temp_dir().join(format!("ephor-selftest-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .map_err(|e| ApiError::new(Kind::Failed, "UNUSABLE", format!("{}: {e}", folder.display())))?;
    let checks = in_folder(&folder).await;
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        tracing::warn!(%error, folder = %folder.display(), "the folder of the self-test was not removed");
    }
    checks
}

async fn in_folder(folder: &Path) -> Result<Vec<Check>, ApiError> {
    let database = folder.join("ephor.db");
    let place = Place { database: Some(format!("sqlite:{}", database.display())), ..Place::default() };
    let workshop =
        Workshop { agents: None, read: vec![folder.to_owned()], out: folder.join("out"), reach: Vec::new(), mail: None };
    let session = LocalHost.open(&place, Need::Work(workshop)).await?;
    let request: Request = serde_json::from_value(json!({
        "title": "self-test",
        "max_retries": 0,
        "plan": {"sequential": true, "steps": [
            {"id": "wait", "action": "wait.for", "params": {"duration": "10ms"}},
            {"id": "write", "action": "files.write", "params": {"path": "hello.txt", "content": "hello"}},
            {"id": "shell", "action": "shell.run", "optional": true, "retry_policy": {"max_attempts": 1}, "params": {"command": "echo sandboxed"}},
            {"id": "render", "action": "template.render", "params": {"template": "{{ n + 1 }}", "data": {"n": 1}}}
        ]}
    }))
    .map_err(|e| ApiError::new(Kind::Failed, "INTERNAL", e))?;
    let task = session.api().submit(request).await?;
    let ended = wait_for_the_end(session.api(), task.id).await;
    let outputs = session.api().outputs(task.id).await;
    let steps = session.api().steps(task.id).await;
    session.close().await;
    let (ended, outputs, steps) = (ended?, outputs?, steps?);

    let shell = steps.iter().find(|s| s.key.as_deref() == Some("shell"));
    let sandboxed = shell.is_some_and(|s| s.status == ephor_core::status::StepStatus::Completed);
    let written = std::fs::read_to_string(folder.join("out").join("hello.txt")).unwrap_or_default();
    let mut checks = vec![
        Check { name: "a task runs to its end".into(), passed: ended == Status::Completed, detail: ended.to_string() },
        Check { name: "outputs are kept".into(), passed: outputs.len() >= 2, detail: format!("{} outputs", outputs.len()) },
        Check { name: "the out folder is written".into(), passed: written == "hello", detail: String::new() },
        Check {
            name: "shell steps run in their sandbox".into(),
            passed: sandboxed,
            detail: shell.and_then(|s| s.error.clone()).unwrap_or_default(),
        },
    ];
    checks.extend(examine(database).await?);
    Ok(checks)
}

/// What the closed database looks like.
async fn examine(database: PathBuf) -> Result<Vec<Check>, ApiError> {
    blocking(move || {
        let reader = SqliteReader::open(&Options::new(&database)).map_err(super::look::store)?;
        let about = reader.about().map_err(super::look::store)?;
        let durable = about.iter().any(|(name, value)| *name == "synchronous" && value == "FULL");
        let mut checks = vec![Check {
            name: "every answer is on disk first (synchronous=FULL)".into(),
            passed: durable,
            detail: String::new(),
        }];
        checks.extend(check::doctor(&reader)?);
        Ok(checks)
    })
    .await
}

async fn wait_for_the_end(api: &dyn crate::api::Api, task: ephor_core::id::TaskId) -> Result<Status, ApiError> {
    let mut after = 0;
    let until = tokio::time::Instant::now() + std::time::Duration::from_millis(PATIENCE_MS);
    loop {
        let status = api.task(task).await?.status;
        if status.is_final() || tokio::time::Instant::now() >= until {
            return Ok(status);
        }
        let events = api.events(EventQuery { task: Some(task), after, limit: 0, wait_ms: 1_000 }).await?;
        after = events.last().map_or(after, |e| e.position);
    }
}
