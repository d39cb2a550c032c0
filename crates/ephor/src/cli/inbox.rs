//! `ephor inbox`: what a person is asked for, over all tasks.

use super::failure::{Exit, Failure};
use super::table::{self, cell, column, maybe};
use super::{Cx, Output, text};
use crate::api::{Api, ApiError, TaskFilter};
use crate::host::Need;
use ephor_core::id::TaskId;
use ephor_core::status::Status;
use ephor_core::time::WireTime;
use ephor_core::view::TaskRow;
use serde::Serialize;

/// How many tasks are looked through of those that wait for a person as a whole, and of those of which a step may.
const LOOKED_MAX: usize = 1_000;
/// How many tasks a page of the list holds.
const PAGE: u32 = 200;
/// The statuses in which a task as a whole waits for a person.
const OWED: [Status; 4] = [Status::Escalated, Status::Blocked, Status::Deliberating, Status::Stalled];
/// Those in which a single step of it may.
const ACTIVE: [Status; 3] = [Status::Review, Status::InProgress, Status::Assigned];

/// One thing a person is asked for.
#[derive(Serialize)]
struct Asked {
    task: TaskId,
    title: String,
    /// `REVIEW`, `ESCALATED`, `APPROVAL`, `DECOMPOSITION`, `HUMAN_REVIEW`…
    reason: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<String>,
}

/// Whether only a person can answer.
fn asks_a_person(reason: &str) -> bool {
    matches!(
        reason,
        "REVIEW"
            | "ESCALATED"
            | "APPROVAL"
            | "ACTION_APPROVAL"
            | "DECOMPOSITION"
            | "HUMAN_REVIEW"
            | "AGENT_OFFLINE"
            | "EXTERNAL"
            | "BUDGET"
            | "STALLED"
    )
}

pub(super) async fn run(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (asked, all, now) = cx
        .with_api(Need::Read, async |cx, api| {
            let (tasks, all) = asking(api, cx.settings.namespace.value.clone()).await?;
            let mut asked = Vec::new();
            for row in tasks {
                let waiting = api.waiting(row.id).await?;
                asked.extend(waiting.into_iter().filter(|w| asks_a_person(&w.reason)).map(|w| Asked {
                    task: row.id,
                    title: row.title.clone(),
                    reason: w.reason,
                    what: w.what,
                    step: w.step,
                    until: w.until,
                    act: w.act,
                }));
            }
            Ok((asked, all, api.now()))
        })
        .await?;
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("WHY"), column("TASK"), column("STEP"), column("UNTIL"), column("TITLE"), column("WHAT"), column("DO")];
    table::list(
        cx.terminal,
        form,
        &asked,
        &columns,
        |a| a.task.to_string(),
        |a, _| {
            vec![
                cell(&a.reason),
                cell(a.task),
                maybe(a.step.as_ref()),
                maybe(a.until.map(|at| text::until(at.0, now))),
                cell(&a.title),
                cell(&a.what),
                maybe(a.act.as_ref()),
            ]
        },
    );
    if matches!(form.0, Output::Table | Output::Wide) {
        match (asked.is_empty(), all) {
            (true, true) => cx.say("nothing needs a person"),
            (_, false) => cx.say(format!(
                "there are more tasks than the {LOOKED_MAX} newest of each kind that were looked at: ephor task list --status escalated"
            )),
            (false, true) => {}
        }
    }
    Ok(Exit::Done)
}

/// Tasks that may ask for a person, and whether these are all. Those that wait as a whole come first, however many others are at work.
async fn asking(api: &dyn Api, namespace: Option<String>) -> Result<(Vec<TaskRow>, bool), ApiError> {
    let (mut tasks, owed) = some(api, &OWED, namespace.clone()).await?;
    let (active, rest) = some(api, &ACTIVE, namespace).await?;
    tasks.extend(active);
    Ok((tasks, owed && rest))
}

/// The newest tasks in these statuses, and whether these are all.
async fn some(api: &dyn Api, status: &[Status], namespace: Option<String>) -> Result<(Vec<TaskRow>, bool), ApiError> {
    let mut filter = TaskFilter { status: status.to_vec(), namespace, limit: PAGE, ..TaskFilter::default() };
    let mut tasks = Vec::new();
    loop {
        let page = api.tasks(filter.clone()).await?;
        tasks.extend(page.items);
        match page.next {
            Some(_) if tasks.len() >= LOOKED_MAX => return Ok((tasks, false)),
            Some(next) => filter.after = Some(next),
            None => return Ok((tasks, true)),
        }
    }
}
