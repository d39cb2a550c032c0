//! A submission that says it is another try of a task that has ended.

use super::Writer;
use super::batch::Batch;
use crate::store::{Store, StoreError};
use ephor_core::command::{Refusal, Submission};
use ephor_core::event::{Actor, ActorKind};
use ephor_core::id::TaskId;

/// The key that only one task may hold: that it is the next try of this one.
pub(super) fn key(task: TaskId) -> String {
    format!("rerun:{task}")
}

impl<S: Store> Writer<S> {
    /// Checks what a submission says it is another try of. How often failures were healed without a person is counted on, unless a person
    /// submits it: else agents could try for ever.
    pub(super) fn another_try(
        &mut self,
        batch: &mut Batch,
        submission: &mut Submission,
        actor: &Actor,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let Some(before) = submission.facts.retry_of else { return Ok(Ok(())) };
        let unknown = Refusal::NoSuchTask { field: "retry_of", id: before };
        if !self.touch(batch, before)? {
            return Ok(Err(unknown));
        }
        let task = &batch.tasks[&before].live.task;
        if task.facts.namespace != submission.facts.namespace {
            return Ok(Err(unknown));
        }
        if task.end().is_none()
            && let Err(refusal) = task.rerun(batch.now)
        {
            return Ok(Err(refusal));
        }
        if actor.kind != ActorKind::Human {
            submission.facts.healed = task.healed();
        }
        Ok(Ok(()))
    }
}
