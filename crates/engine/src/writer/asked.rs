//! What is asked of a task under terms: for one version of it, or under a key that makes it harmless to say again. The key is taken in
//! the commit that does what was asked; what was refused takes none.

use super::batch::{Ask, Batch};
use super::decide::{Remembered, unreadable};
use super::{Done, IDEMPOTENCY_MS, Idempotency, Writer};
use crate::store::{Blob, Guard, Store, StoreError};
use ephor_core::command::{Answer, Command, Refusal};
use ephor_core::event::Actor;
use ephor_core::id::TaskId;

/// What is asked of a task, and the terms under which: several things stand or fall together.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) task: TaskId,
    pub(crate) asked: Vec<(Command, Actor)>,
    pub(crate) terms: Terms,
}

/// Under which terms something is asked of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The version of the task it is meant for; any where it is missing.
    pub version: Option<u64>,
    /// The key under which it may be said again.
    pub idempotency: Option<Idempotency>,
}

impl<S: Store> Writer<S> {
    pub(super) fn asked(&mut self, batch: &mut Batch, ask: Ask, asked: Asked) -> Result<Result<Done, Refusal>, StoreError> {
        let Asked { task, asked, terms } = asked;
        if let Some(idempotency) = &terms.idempotency
            && let Some(held) = self.holder(batch, &idempotency.key)?
        {
            let known: Remembered = serde_json::from_str(&held.value).map_err(|e| unreadable(&held, &e))?;
            if known.digest != idempotency.digest {
                return Ok(Err(Refusal::IdempotencyMismatch));
            }
            // The answer of then: it waits for the same commit where that is still under way.
            batch.rely_on(ask, known.task);
            let (task, status, version) = (Some(known.task), known.status, known.version);
            return Ok(Ok(Done { task, status, version, answer: Answer::Done, repeated: true }));
        }
        if let Some(expected) = terms.version
            && self.touch(batch, task)?
        {
            let is = batch.tasks[&task].live.task.version;
            if is != expected {
                batch.rely_on(ask, task);
                return Ok(Err(Refusal::VersionConflict { is, expected }));
            }
        }
        let erases = asked.iter().any(|(command, _)| matches!(command, Command::Erase));
        let done = match self.all_of(batch, ask, task, asked)? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if erases {
            batch.erase.push((task, done.version));
        }
        if let (Some(Idempotency { key, digest }), Some(touched)) = (terms.idempotency, batch.tasks.get(&task)) {
            let group = touched.group;
            let remembered = Remembered { digest, task, status: done.status, version: done.version };
            let value = serde_json::to_string(&remembered).expect("plain data");
            let (until, stream) = (Some(batch.now.plus(IDEMPOTENCY_MS).0), task.into());
            batch.hold(group, Guard::Unique { key, until, value, stream });
        }
        Ok(Ok(done))
    }

    /// Does one thing after the other, or none of them.
    fn all_of(
        &mut self,
        batch: &mut Batch,
        ask: Ask,
        task: TaskId,
        mut asked: Vec<(Command, Actor)>,
    ) -> Result<Result<Done, Refusal>, StoreError> {
        let Some((last, by)) = asked.pop() else {
            return self.command(batch, ask, task, Command::Wake, &Actor::settle());
        };
        if !asked.is_empty() {
            // Mail and time take their course in any case; what is asked is tried on a copy of what they leave.
            if let Err(refusal) = self.command(batch, ask, task, Command::Wake, &Actor::settle())? {
                return Ok(Err(refusal));
            }
            let all = asked.iter().map(|(command, actor)| (command, actor)).chain([(&last, &by)]);
            if let Err(refusal) = self.would_do(batch, task, all)? {
                return Ok(Err(refusal));
            }
        }
        for (command, actor) in asked {
            if let Err(refusal) = self.command(batch, ask, task, command, &actor)? {
                return Ok(Err(refusal));
            }
        }
        self.command(batch, ask, task, last, &by)
    }

    /// Keeps a large value for a task that has not ended. It is no event: what refers to it is.
    pub(super) fn keep(
        &mut self,
        batch: &mut Batch,
        ask: Ask,
        task: TaskId,
        blob: Blob,
    ) -> Result<Result<Done, Refusal>, StoreError> {
        // Whatever stands in the way of a wake stands in the way of this.
        let done = match self.command(batch, ask, task, Command::Wake, &Actor::settle())? {
            Ok(done) => done,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if done.status.is_final() {
            return Ok(Err(Refusal::Ended { status: done.status }));
        }
        batch.tasks.get_mut(&task).expect("it was touched just now").blobs.push(blob);
        Ok(Ok(done))
    }
}
