//! A task as an execution.

use super::words::{ExecutionStatus, ExecutionTaskStatus, Names};
use super::{EXECUTION, named};
use crate::http::server::Server;
use ephor_core::id::TaskId;
use ephor_core::status::{BlockReason, Status};
use ephor_core::task::Task;
use ephor_core::time::WireTime;
use ephor_core::view::{StepView, TaskView};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// How many of its tasks an execution is shown with; `/api/v1/tasks/{id}/steps` shows all.
const TASKS_SHOWN: usize = 1_000;
/// The largest result that is shown with its task, in bytes of JSON: a thousand of them still make an answer.
const RESULT_MAX: usize = 16 << 10;

/// An execution of a plan.
#[derive(Serialize, ToSchema)]
pub(super) struct Execution {
    /// What it is called: the caller's own name for it, else its id.
    pub(super) execution_id: String,
    /// The task it is, as `/api/v1/tasks` names it.
    pub(super) id: TaskId,
    /// The plan it follows.
    plan_id: String,
    /// The agent it is for; any that is able where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// One line.
    title: String,
    /// Where it is.
    pub(super) status: ExecutionStatus,
    /// Where its task is, in the engine's own word.
    task_status: Status,
    /// What stands in the way of a blocked one.
    #[serde(skip_serializing_if = "Option::is_none")]
    block_reason: Option<BlockReason>,
    /// The last reason a person or a rule gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How far it is.
    progress: ExecutionProgress,
    /// The task it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_task: Option<ExecutionTask>,
    /// Its tasks and subtasks, groups before their parts, the first 1,000; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<ExecutionTask>>,
    /// How many events it has.
    version: u64,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<WireTime>,
    /// When it first began.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<WireTime>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<WireTime>,
}

/// How far an execution is.
#[derive(Serialize, ToSchema)]
struct ExecutionProgress {
    /// How many of its tasks are done; groups are not counted.
    tasks_completed: u32,
    /// How many there are.
    tasks_total: u32,
    /// The part that has ended, from 0 to 100.
    percent: u32,
    /// The task it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_task_id: Option<String>,
    /// The title of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_task_title: Option<String>,
}

/// A task or subtask of an execution.
#[derive(Serialize, ToSchema)]
pub(super) struct ExecutionTask {
    /// What it is called.
    pub(super) task_id: String,
    /// What it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_task_id: Option<String>,
    /// One line.
    title: String,
    /// What it does; missing for one that holds others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) action: String,
    /// Where it is.
    status: ExecutionTaskStatus,
    /// Which attempt it is in, from 1; 0 before the first.
    attempt: u32,
    /// Attempts in all before it has failed.
    max_attempts: u32,
    /// Who holds it, or held it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// What came of it; where that is larger than 16 KiB of JSON it stands behind `result_link` instead.
    #[serde(skip_serializing_if = "Value::is_null")]
    result: Value,
    /// Where what came of it is, where it is too large to stand here: the results of all tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_link: Option<String>,
    /// What its agent says: meanwhile of how it goes, at its end about what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Why its last attempt did not work, or what stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The plan a task follows, as this interface names it.
pub(super) fn plan_id(view: &TaskView) -> String {
    match &view.source {
        Some(plan) if view.task_type == EXECUTION => plan.clone(),
        // Submitted elsewhere: the plan is its own.
        Some(_) | None => view.external_id.clone().unwrap_or_else(|| view.id.to_string()),
    }
}

impl Execution {
    /// A task as an execution.
    pub(super) fn of(server: &Server, task: &Task, with_tasks: bool) -> Self {
        let view = task.view();
        let names = Names::of(task);
        let current = view.current_step_id.as_deref().and_then(|path| task.step_view_of(path));
        let current = current.map(|step| ExecutionTask::of(server, &names, step));
        let tasks = with_tasks.then(|| {
            let steps = task.step_views().into_iter().take(TASKS_SHOWN);
            steps.map(|step| ExecutionTask::of(server, &names, step)).collect()
        });
        Self {
            execution_id: view.external_id.clone().unwrap_or_else(|| view.id.to_string()),
            id: view.id,
            plan_id: plan_id(&view),
            agent_id: view.agent.map(|id| named(server, id)),
            title: view.title,
            status: ExecutionStatus::of(view.status),
            task_status: view.status,
            block_reason: view.block_reason,
            reason: view.reason,
            progress: ExecutionProgress {
                tasks_completed: view.steps.completed,
                tasks_total: view.steps.total,
                percent: (view.progress * 100.0).round() as u32,
                current_task_id: current.as_ref().map(|task| task.task_id.clone()),
                current_task_title: current.as_ref().map(|task| task.title.clone()),
            },
            current_task: current,
            tasks,
            version: view.version,
            created_at: view.created_at,
            started_at: view.started_at,
            ended_at: view.ended_at,
        }
    }
}

impl ExecutionTask {
    pub(super) fn of(server: &Server, names: &Names<'_>, step: StepView) -> Self {
        let output = names.task().output_of(&step.path);
        let large = output.is_some_and(|output| output.to_string().len() > RESULT_MAX);
        Self {
            task_id: names.of_path(&step.path),
            parent_task_id: step.parent.as_deref().map(|path| names.of_path(path)),
            title: step.label().to_owned(),
            action: step.action,
            status: ExecutionTaskStatus::of(step.status),
            attempt: step.attempt,
            max_attempts: step.max_attempts,
            agent_id: step.agent.map(|id| named(server, id)),
            result: output.filter(|_| !large).cloned().unwrap_or_default(),
            result_link: large.then(|| format!("/api/v1/tasks/{}/outputs", names.task().id)),
            message: step.message,
            error: step.error,
        }
    }
}
