//! Tasks that come again, as a list of them is told.

use crate::id::TaskId;
use crate::spec::Recurrence;
use crate::status::Status;
use crate::time::WireTime;
use crate::view::TaskView;
use serde::{Deserialize, Serialize};

/// A task that comes again, by the one of its runs that stands for those to come: holding that holds the series, cancelling it ends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleView {
    /// The run that waits for its time, or that is under way.
    pub task_id: TaskId,
    /// One line.
    pub title: String,
    /// The kind of task.
    pub task_type: String,
    /// Where it belongs.
    pub namespace: String,
    /// Where the run is: PAUSED where the series is held.
    pub status: Status,
    /// When it comes.
    pub recurrence: Recurrence,
    /// Which run it is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u32>,
    /// The run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_run: Option<TaskId>,
    /// When the next runs are due, five at most; the first is this one while it waits for its time.
    pub next_runs: Vec<WireTime>,
}

impl ScheduleView {
    /// A task as one of them; nothing where no run of it is to come.
    pub fn of(task: TaskView) -> Option<Self> {
        if task.next_runs.is_empty() {
            return None;
        }
        Some(Self {
            task_id: task.id,
            title: task.title,
            task_type: task.task_type,
            namespace: task.namespace,
            status: task.status,
            recurrence: task.recurrence?,
            run: task.run,
            previous_run: task.previous_run,
            next_runs: task.next_runs,
        })
    }

    /// Those that stand for the runs to come: where runs may stand beside each other, the next one is a task of its own already.
    pub fn heads(found: Vec<Self>) -> Vec<Self> {
        let followed: std::collections::BTreeSet<TaskId> = found.iter().filter_map(|one| one.previous_run).collect();
        found.into_iter().filter(|one| !followed.contains(&one.task_id)).collect()
    }
}
