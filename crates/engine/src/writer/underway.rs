//! What the store was given and has not confirmed. What comes next is decided on top of it in memory; whatever would be read from the
//! store and that it is about waits for it.

use super::batch::{Batch, GroupNo, LeaseChange};
use super::commit::Transition;
use super::{Reply, Writer};
use crate::ids::IdSet;
use crate::store::{Store, StoreError, UniqueRow};
use ephor_core::id::{ClaimId, TaskId};
use ephor_core::planted::{self, Fault};
use ephor_core::spec::ErrorClass;
use ephor_core::work::WorkKey;
use std::collections::HashMap;

/// A batch on its way to the disk.
pub(super) struct Underway {
    /// What is left of it: answers, and what they depend on.
    pub(super) batch: Batch,
    /// The group of each of the store's.
    pub(super) members: Vec<GroupNo>,
    /// How many events it has.
    pub(super) events: u64,
    /// The tasks it touched, in order.
    pub(super) tasks: Vec<Sent>,
    /// When the clock has to look at one of them again.
    pub(super) wake: Option<i64>,
    /// Changes of status, by group, to be told in the log.
    pub(super) transitions: Vec<(usize, Transition)>,
    /// Its groups that are not written, and the task that is the reason.
    pub(super) spoiled: HashMap<GroupNo, TaskId>,
    /// The same tasks, to be found.
    pub(super) touched: IdSet<TaskId>,
    /// Whom it sends mail.
    pub(super) mailed: IdSet<TaskId>,
}

/// A task on its way to the disk. The task itself is in the cache already, for what comes next.
pub(super) struct Sent {
    pub(super) id: TaskId,
    pub(super) group: GroupNo,
    pub(super) ended: bool,
    /// Whether it was born in this batch.
    pub(super) born: bool,
    /// What its leases become once this is written.
    pub(super) leases: Vec<LeaseChange>,
    /// Attempts that hold nothing any more then.
    pub(super) over: Vec<Over>,
}

/// An attempt that holds nothing any more.
pub(super) struct Over {
    pub(super) work: WorkKey,
    pub(super) attempt: u32,
    /// Whether it went well.
    pub(super) well: bool,
    /// How it failed, if it did.
    pub(super) class: Option<ErrorClass>,
    /// The namespace and key of a step, where that matters.
    pub(super) key: Option<(Box<str>, Box<str>)>,
    /// Whether it held something before the batch was written, rather than because of it.
    pub(super) held: bool,
}

impl Underway {
    /// Who holds a unique key once this is written, if that is because of it.
    pub(super) fn holder(&self, key: &str) -> Option<&UniqueRow> {
        self.batch.holder(key)
    }
}

impl<S: Store> Writer<S> {
    /// Has a batch written, unless another is still being written: then it waits, and more may join it.
    pub(super) fn hand_over(&mut self, batch: Batch) -> Result<(), StoreError> {
        let mut stood = None;
        if self.underway.is_some() {
            if !batch.is_full() && !self.pen.is_done() {
                self.open = Some(batch);
                return Ok(());
            }
            stood = self.settle_all()?;
        }
        if let Some(instead) = self.undone.take() {
            self.answers.extend(batch.replies.into_iter().map(|(ticket, _)| (ticket, instead.clone())));
            self.forget();
            return Ok(());
        }
        self.send(batch, stood)
    }

    /// Waits for a task that is being written, before the store is asked about it.
    pub(super) fn await_task(&mut self, task: TaskId) -> Result<(), StoreError> {
        self.await_if(|underway| underway.touched.contains(&task))
    }

    /// Waits for mail to a task that is being written, or being taken.
    pub(super) fn await_mail(&mut self, task: TaskId) -> Result<(), StoreError> {
        let has_mail = self.mail_unread || self.mailbox.contains(&task);
        self.await_if(|underway| underway.mailed.contains(&task) || (has_mail && underway.touched.contains(&task)))
    }

    /// Waits for a unique key that is being written.
    pub(super) fn await_key(&mut self, key: &str) -> Result<(), StoreError> {
        self.await_if(|underway| underway.holder(key).is_some())
    }

    /// Waits for what a claim is being granted.
    pub(super) fn await_claim(&mut self, claim: ClaimId) -> Result<(), StoreError> {
        self.await_if(|underway| underway.batch.claims.contains_key(&claim))
    }

    fn await_if(&mut self, about: impl FnOnce(&Underway) -> bool) -> Result<(), StoreError> {
        match self.underway.as_ref().is_some_and(about) {
            true => self.settle(),
            false => Ok(()),
        }
    }

    /// Waits for what is being written, if something is, and lets memory follow.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if let Some(stood) = self.settle_all()? {
            self.stood(stood);
        }
        Ok(())
    }

    /// The same, but where all of it stands it is handed back: memory may follow once the store has its next batch.
    fn settle_all(&mut self) -> Result<Option<Underway>, StoreError> {
        let Some(underway) = self.underway.take() else { return Ok(None) };
        match self.pen.end() {
            Ok(results) if results.iter().all(Result::is_ok) => Ok(Some(underway)),
            Ok(results) => self.confirmed(underway, &results).map(|()| None),
            Err(error @ (StoreError::Full(_) | StoreError::Busy(_))) => {
                tracing::warn!(%error, "a batch was not written");
                let instead = if matches!(error, StoreError::Full(_)) { Reply::Full } else { Reply::Busy };
                for sent in underway.tasks.iter().filter(|_| !planted::is(Fault::CacheKept)) {
                    self.cache.take(sent.id);
                }
                let answer = |reply| if planted::is(Fault::AnswerBeforeCommit) { reply } else { instead.clone() };
                self.answers.extend(underway.batch.replies.into_iter().map(|(ticket, reply)| (ticket, answer(reply))));
                self.undone = Some(instead);
                self.forget();
                Ok(None)
            }
            Err(fatal) => Err(fatal),
        }
    }
}
