//! What came of a task: how it ended, with what, judged by whom.

use super::quality::QualityReport;
use crate::api::ApiError;
use ephor_core::event::EndReason;
use ephor_core::id::TaskId;
use ephor_core::review::Question;
use ephor_core::status::Status;
use ephor_core::task::Task;
use ephor_core::time::{WireDuration, WireTime};
use ephor_core::view::{EffectView, OutputView, ReviewView};
use ephor_engine::store::Reader;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What came of a task, or what is known so far.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskResult {
    /// Which task.
    task_id: TaskId,
    /// Whether it has ended. While it has not, `status` is where it is and the rest is what is known so far.
    completed: bool,
    /// How it ended: `COMPLETED`, `PARTIALLY_COMPLETED` (see `gaps`), `FAILED`, `CANCELLED` or `STOPPED`.
    status: &'static str,
    /// Steps that were not done although the whole completed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<String>,
    /// Why it ended, unless it completed; while it has not ended, the last reason somebody gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The kind of that reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<EndReason>,
    /// Whether trying again could help one that failed.
    recoverable: bool,
    /// What came of it: of one step its output, of several the output of each by name.
    result: Value,
    /// The results of its steps, in the order of the plan.
    outputs: Vec<OutputView>,
    /// Figures about it.
    metrics: Metrics,
    /// What its gates said, and which of its requirements somebody judged.
    quality_report: QualityReport,
    /// What was done on the outside without asking for a grant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unguarded_effects: Vec<EffectView>,
    /// What the council said of the result; where it was not asked, what it said before the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    council_review: Option<ReviewView>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_time: Option<WireTime>,
    /// From its first start to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<WireDuration>,
}

/// Figures about a task.
#[derive(Debug, Serialize, ToSchema)]
struct Metrics {
    /// How many steps it has.
    steps: u32,
    /// How many of them were done.
    steps_completed: u32,
    /// How often it was tried again as a whole.
    retries: u32,
    /// The figures its steps reported, by path.
    by_step: Map<String, Value>,
}

impl TaskResult {
    /// What came of this task. What its gates said stands in its events.
    pub(super) fn of(task: &Task, reader: &dyn Reader) -> Result<Self, ApiError> {
        let view = task.view();
        let outputs = task.output_views();
        let figures = outputs.iter().filter(|o| !o.metrics.is_empty());
        let metrics = Metrics {
            steps: view.steps.total,
            steps_completed: view.steps.completed,
            retries: view.retry_count,
            by_step: figures.map(|o| (o.step.clone(), Value::Object(o.metrics.clone()))).collect(),
        };
        let status = match view.status {
            Status::Completed if !view.gaps.is_empty() => "PARTIALLY_COMPLETED",
            other => other.word(),
        };
        let reviews = task.review_views();
        let of_result = reviews.iter().rev().find(|r| r.question == Question::Result);
        Ok(Self {
            task_id: task.id,
            completed: view.status.is_final(),
            status,
            gaps: view.gaps,
            reason: view.reason.or(view.last_error.map(|e| e.message)).filter(|_| view.status != Status::Completed),
            end_reason: view.end_reason,
            recoverable: view.recoverable,
            result: view.result,
            outputs,
            metrics,
            quality_report: QualityReport::of(task, reader, &reviews)?,
            unguarded_effects: task.effect_views().into_iter().filter(|effect| !effect.guarded).collect(),
            council_review: of_result.or(reviews.last()).cloned(),
            completion_time: view.ended_at,
            duration: view.started_at.zip(view.ended_at).map(|(from, to)| WireDuration { ms: to.0.since(from.0) }),
        })
    }
}
