//! What tasks that are about to be born may run into: a birth takes the same keys as a submission does, and waits for the same others.

use super::batch::Batch;
use super::decide::{taken, unique_keys};
use super::underway::Underway;
use crate::cache::Cache;
use crate::store::{Filter, Guard, Reader, StoreError};
use ephor_core::command::{Births, Hindered, Refusal};
use ephor_core::event::Submitted;
use ephor_core::id::TaskId;
use ephor_core::planted::{self, Fault};
use ephor_core::status::Status;
use std::cell::RefCell;
use std::fmt;

/// Asked by one task while it decides.
pub(super) struct Nursery<'a> {
    reader: &'a dyn Reader,
    batch: &'a Batch,
    /// Tasks in memory, as what is being written leaves them.
    cache: &'a Cache,
    /// For how long a second task about the same subject is refused, in milliseconds.
    window_ms: u64,
    /// What is being written: the store does not show it yet.
    underway: Option<&'a Underway>,
    /// The keys of those that are to be born.
    held: RefCell<Vec<Guard>>,
    /// The tasks by which they were let in.
    seen: RefCell<Vec<TaskId>>,
    /// What went wrong while looking.
    failed: RefCell<Option<StoreError>>,
}

impl<'a> Nursery<'a> {
    pub(super) fn new(
        reader: &'a dyn Reader,
        batch: &'a Batch,
        cache: &'a Cache,
        window_ms: u64,
        underway: Option<&'a Underway>,
    ) -> Self {
        let (held, seen, failed) = Default::default();
        Self { reader, batch, cache, window_ms, underway, held, seen, failed }
    }

    /// The keys to be taken with the births, and the tasks by which they were let in: with those they stand or fall.
    pub(super) fn close(self) -> Result<(Vec<Guard>, Vec<TaskId>), StoreError> {
        self.failed.into_inner().map_or(Ok((self.held.into_inner(), self.seen.into_inner())), Err)
    }

    fn look(&self, child: TaskId, facts: &Submitted) -> Result<Result<(), Hindered>, StoreError> {
        let mut keys = unique_keys(facts, self.batch.now.plus(self.window_ms).0);
        if planted::is(Fault::BirthUnguarded) {
            keys.clear();
        }
        let mut free = Vec::with_capacity(keys.len());
        for (key, until) in keys {
            match self.holder(&key)? {
                // It says itself that it is about the same, and that one is over.
                Some(existing) if facts.retry_of == Some(existing) && key.starts_with("dup:") => {}
                Some(existing) => return Ok(Err(taken(facts, &key, existing))),
                None => free.push((key, until)),
            }
        }
        let nowhere =
            |field, id| Ok(Err(Hindered { field, why: Refusal::NotFound { what: "task", id: TaskId::to_string(&id) } }));
        for on in &facts.depends_on {
            if !self.known(*on)?.is_some_and(|known| known.is_in(&facts.namespace)) {
                return nowhere("depends_on", *on);
            }
        }
        if let Some(before) = facts.retry_of {
            match self.known(before)? {
                Some(known) if !known.is_in(&facts.namespace) => return nowhere("retry_of", before),
                None => return nowhere("retry_of", before),
                Some(known) if !known.status.is_final() => {
                    let allowed = "wait for its end, or cancel it first";
                    let why = Refusal::NotNow { asked: "run again", status: known.status, allowed };
                    return Ok(Err(Hindered { field: "retry_of", why }));
                }
                Some(_) => {}
            }
        }
        self.seen.borrow_mut().extend(facts.depends_on.iter().copied().chain(facts.retry_of));
        let guard = |(key, until)| Guard::Unique { key, until, value: String::new(), stream: child.into() };
        self.held.borrow_mut().extend(free.into_iter().map(guard));
        Ok(Ok(()))
    }

    /// Where another task is and belongs: in this batch, in what is being written, or in the store.
    fn known(&self, task: TaskId) -> Result<Option<Other>, StoreError> {
        let here = self.batch.tasks.get(&task).map(|touched| &*touched.live);
        if let Some(live) = here.or_else(|| self.cache.peek(task)) {
            let (namespace, status) = (Some(live.task.facts.namespace.clone()), live.task.status());
            return Ok(Some(Other { namespace, status }));
        }
        let listed = self.reader.listed(task.into(), &Filter::default())?;
        let found = listed.and_then(|listed| {
            let namespace = Some(listed.row.namespace.as_str().into());
            listed.row.status.map(|status| Other { namespace, status })
        });
        // Born a moment ago, and pushed out of memory by others before it is written.
        let born = || self.underway.is_some_and(|underway| underway.touched.contains(&task));
        Ok(found.or_else(|| born().then_some(Other { namespace: None, status: Status::Pending })))
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

/// Another task, as far as a birth has to know it.
struct Other {
    /// Where it belongs; `None` where that cannot be told just now.
    namespace: Option<Box<str>>,
    status: Status,
}

impl Other {
    /// Whether it belongs there, as far as can be told.
    fn is_in(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

impl Births for Nursery<'_> {
    fn admit(&self, child: TaskId, facts: &Submitted) -> Result<(), Hindered> {
        match self.look(child, facts) {
            Ok(found) => found,
            Err(error) => {
                self.failed.replace(Some(error));
                Err(Hindered { field: "title", why: Refusal::NoWork("the store could not be read") })
            }
        }
    }
}

impl fmt::Debug for Nursery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nursery").field("held", &self.held).finish_non_exhaustive()
    }
}
