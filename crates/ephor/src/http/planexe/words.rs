//! The words of this interface for where executions and their tasks are, and the ids it gives to steps (REQUIREMENTS, "Words of each
//! seed").

use ephor_core::plan::Step;
use ephor_core::status::{Status, StepStatus};
use ephor_core::task::Task;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Where an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ExecutionStatus {
    /// Accepted, not released yet.
    Created,
    /// Released; its first task has not begun.
    Queued,
    /// Something runs, can be claimed, or is tried again.
    Running,
    /// Nothing can move without something outside.
    Blocked,
    /// Held.
    Paused,
    /// Done.
    Completed,
    /// Ended without success.
    Failed,
    /// Withdrawn, or ended by authority.
    Cancelled,
}

use ExecutionStatus::*;

impl ExecutionStatus {
    const ALL: [Self; 8] = [Created, Queued, Running, Blocked, Paused, Completed, Failed, Cancelled];

    pub(super) fn word(self) -> &'static str {
        match self {
            Created => "CREATED",
            Queued => "QUEUED",
            Running => "RUNNING",
            Blocked => "BLOCKED",
            Paused => "PAUSED",
            Completed => "COMPLETED",
            Failed => "FAILED",
            Cancelled => "CANCELLED",
        }
    }

    /// Where an execution is whose task is there.
    pub(super) fn of(status: Status) -> Self {
        match status {
            Status::Pending | Status::Deliberating => Created,
            Status::Scheduled | Status::Assigned => Queued,
            Status::InProgress | Status::Review | Status::Retrying => Running,
            Status::Blocked | Status::Escalated | Status::Stalled => Blocked,
            Status::Paused => Paused,
            Status::Completed => Completed,
            Status::Failed => Failed,
            Status::Cancelled | Status::Stopped => Cancelled,
        }
    }

    /// Where its task may be.
    pub(super) fn statuses(self) -> Vec<Status> {
        Status::ALL.into_iter().filter(|status| Self::of(*status) == self).collect()
    }

    /// Reads a word in any case, those of the engine too.
    fn read(text: &str) -> Option<Self> {
        let word = text.trim().to_ascii_uppercase();
        let own = Self::ALL.into_iter().find(|status| status.word() == word);
        own.or_else(|| Status::read(text).map(Self::of))
    }
}

impl<'de> Deserialize<'de> for ExecutionStatus {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let known = || Self::ALL.map(Self::word).join(", ");
        Self::read(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no status; there are {}", known())))
    }
}

/// Where a task of an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ExecutionTaskStatus {
    /// Not begun.
    Queued,
    /// Under way, being judged, or between two attempts.
    Running,
    /// Held up from outside.
    Blocked,
    /// Done.
    Complete,
    /// Not done, attempts spent.
    Error,
    /// Left out.
    Skipped,
}

impl ExecutionTaskStatus {
    pub(super) fn of(status: StepStatus) -> Self {
        match status {
            StepStatus::Pending | StepStatus::Ready | StepStatus::Assigned | StepStatus::RolledBack => Self::Queued,
            StepStatus::Running | StepStatus::Checking | StepStatus::Retrying => Self::Running,
            StepStatus::Blocked => Self::Blocked,
            StepStatus::Completed => Self::Complete,
            StepStatus::Failed => Self::Error,
            StepStatus::Skipped | StepStatus::Cancelled => Self::Skipped,
        }
    }
}

/// What the steps of a plan are called here: by the name they have where the plan comes from, else by the plan's own name for them, else
/// by their place in the tree as `task_1_2`.
pub(super) struct Names<'a> {
    task: &'a Task,
    /// Names of where the plan comes from. Parts of a list share one: it is that of the list.
    given: HashMap<&'a str, &'a Step>,
}

impl<'a> Names<'a> {
    pub(super) fn of(task: &'a Task) -> Self {
        let mut given = HashMap::new();
        for step in task.steps() {
            if let Some(name) = &step.external_id {
                given.entry(&**name).or_insert(step);
            }
        }
        Self { task, given }
    }

    /// The task whose steps these are.
    pub(super) fn task(&self) -> &'a Task {
        self.task
    }

    /// What the step at this path is called.
    pub(super) fn of_path(&self, path: &str) -> String {
        let step = self.task.step(path).map(|(step, _)| step);
        let given = step.and_then(|step| step.external_id.as_deref());
        if let Some(name) = given.filter(|name| self.given.get(name).is_some_and(|first| *first.path == *path)) {
            return name.to_owned();
        }
        if let Some(key) = step.and_then(|step| step.key.as_deref()).filter(|key| !self.given.contains_key(key)) {
            return key.to_owned();
        }
        let placed = format!("task_{}", path.replace('.', "_"));
        // Somewhere else in the plan that may be a name.
        let taken = self.given.contains_key(&*placed) || self.task.step(&placed).is_some();
        if taken { path.to_owned() } else { placed }
    }

    /// The step that somebody means: by any of its names, by its path, or by its place as `task_1_2`.
    pub(super) fn step(&self, name: &str) -> Option<&'a Step> {
        let placed = || self.task.step(&name.strip_prefix("task_")?.replace('_', "."));
        let own = || self.task.step(name).or_else(placed).map(|(step, _)| step);
        self.given.get(name).copied().or_else(own)
    }
}

/// The word of this interface for an event of the engine; where it has none, the engine's own in small letters.
pub(super) fn event_type(kind: &str) -> String {
    match kind {
        "SUBMITTED" => "execution_created".into(),
        "RELEASED" => "execution_queued".into(),
        "ASSIGNED" | "STARTED" => "task_started".into(),
        "ATTEMPT_SUCCEEDED" => "task_complete".into(),
        "ATTEMPT_FAILED" | "STEP_FAILED" => "task_error".into(),
        "STEP_BLOCKED" => "task_blocked".into(),
        "PAUSED" => "execution_paused".into(),
        "RESUMED" | "UNBLOCKED" => "execution_resumed".into(),
        "COMPLETED" => "execution_completed".into(),
        "FAILED" => "execution_failed".into(),
        "CANCELLED" | "STOPPED" => "execution_cancelled".into(),
        other => other.to_ascii_lowercase(),
    }
}

/// Whether an event of the engine is what somebody asks for, by either word.
pub(super) fn is_type(kind: &str, wanted: &str) -> bool {
    let wanted = match wanted.to_ascii_lowercase().as_str() {
        "subtask_complete" => "task_complete".to_owned(),
        other => other.to_owned(),
    };
    kind.eq_ignore_ascii_case(&wanted) || event_type(kind) == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_word_and_is_found_by_it() {
        for status in Status::ALL {
            let word = ExecutionStatus::of(status);
            assert!(word.statuses().contains(&status));
            assert_eq!(ExecutionStatus::read(&word.word().to_ascii_lowercase()), Some(word));
            assert_eq!(status.is_final(), matches!(word, Completed | Failed | Cancelled), "{status}");
        }
        // The engine's own words are read as well.
        assert_eq!(ExecutionStatus::read("in_progress"), Some(Running));
        assert_eq!(ExecutionStatus::read("nonsense"), None);
    }

    #[test]
    fn an_event_is_found_by_the_word_of_either_side() {
        assert!(is_type("ATTEMPT_SUCCEEDED", "task_complete") && is_type("ATTEMPT_SUCCEEDED", "attempt_succeeded"));
        assert!(is_type("ATTEMPT_SUCCEEDED", "subtask_complete") && !is_type("ATTEMPT_FAILED", "task_complete"));
        assert_eq!(event_type("LATE_REPORT_KEPT"), "late_report_kept");
    }
}
