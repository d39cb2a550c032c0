//! What tasks that are about to be born may run into: a birth takes the same keys as a submission does, and waits for the same others.

use super::batch::Batch;
use super::decide::{taken, unique_keys};
use super::underway::Underway;
use crate::store::{Guard, Reader, StoreError};
use ephor_core::command::{Births, Refusal};
use ephor_core::event::Submitted;
use ephor_core::id::TaskId;
use ephor_core::planted::{self, Fault};
use std::cell::RefCell;
use std::fmt;

/// Asked by one task while it decides.
pub(super) struct Nursery<'a> {
    reader: &'a dyn Reader,
    batch: &'a Batch,
    /// What is being written: the store does not show it yet.
    underway: Option<&'a Underway>,
    /// For how long a second task about the same subject is refused, in milliseconds.
    window_ms: u64,
    /// The keys of those that are to be born.
    held: RefCell<Vec<Guard>>,
    /// What went wrong while looking.
    failed: RefCell<Option<StoreError>>,
}

impl<'a> Nursery<'a> {
    pub(super) fn new(reader: &'a dyn Reader, batch: &'a Batch, underway: Option<&'a Underway>, window_ms: u64) -> Self {
        Self { reader, batch, underway, window_ms, held: RefCell::default(), failed: RefCell::default() }
    }

    /// The keys to be taken with the births.
    pub(super) fn close(self) -> Result<Vec<Guard>, StoreError> {
        self.failed.into_inner().map_or(Ok(self.held.into_inner()), Err)
    }

    fn look(&self, child: TaskId, facts: &Submitted) -> Result<Result<(), Refusal>, StoreError> {
        let mut keys = unique_keys(facts, self.batch.now.plus(self.window_ms).0);
        if planted::is(Fault::BirthUnguarded) {
            keys.clear();
        }
        for (key, _) in &keys {
            if let Some(existing) = self.holder(key)? {
                return Ok(Err(taken(key, existing)));
            }
        }
        for on in &facts.depends_on {
            let known = self.batch.status(*on).is_some() || self.underway.is_some_and(|u| u.touched.contains(on));
            if !known && self.reader.status((*on).into())?.is_none() {
                return Ok(Err(Refusal::NotFound { what: "task to depend on", id: on.to_string() }));
            }
        }
        let guard = |(key, until)| Guard::Unique { key, until, value: String::new(), stream: child.into() };
        self.held.borrow_mut().extend(keys.into_iter().map(guard));
        Ok(Ok(()))
    }

    /// Who holds a key: another that is about to be born, this batch, or the store.
    fn holder(&self, wanted: &str) -> Result<Option<TaskId>, StoreError> {
        let sibling = self.held.borrow().iter().find_map(|guard| match guard {
            Guard::Unique { key, stream, .. } if key == wanted => stream.task(),
            Guard::Unique { .. } | Guard::Counter { .. } | Guard::Epoch { .. } => None,
        });
        if sibling.is_some() {
            return Ok(sibling);
        }
        let here = self.batch.holder(wanted).or_else(|| self.underway?.holder(wanted));
        let row = match here {
            Some(row) => Some(row.clone()),
            None => self.reader.unique(wanted, self.batch.now.0)?,
        };
        Ok(row.and_then(|row| row.stream.task()))
    }
}

impl Births for Nursery<'_> {
    fn admit(&self, child: TaskId, facts: &Submitted) -> Result<(), Refusal> {
        match self.look(child, facts) {
            Ok(found) => found,
            Err(error) => {
                self.failed.replace(Some(error));
                Err(Refusal::NoWork("the store could not be read"))
            }
        }
    }
}

impl fmt::Debug for Nursery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nursery").field("held", &self.held).finish_non_exhaustive()
    }
}
