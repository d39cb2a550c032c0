//! Reading beside the writer: a task as it is now, or as it was at any version or time; events with their words.

use crate::live::{decode, open_private};
use crate::store::{Reader, StoreError, StoredEvent};
use ephor_core::event::{Event, Private};
use ephor_core::id::TaskId;
use ephor_core::task::Task;
use ephor_core::time::Time;

/// How many events are read at once.
const PAGE: u32 = 1_000;

/// Which moment of a task is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// As it is now.
    Now,
    /// After so many events.
    Version(u64),
    /// After everything that had happened by then.
    Time(Time),
}

/// A task, rebuilt from its events; `None` when there is no such task, or was not yet.
pub fn task(reader: &dyn Reader, id: TaskId, as_of: AsOf) -> Result<Option<Task>, StoreError> {
    let mut task = Task::unborn(id);
    loop {
        let page = reader.stream_events(id.into(), task.version, PAGE)?;
        let last = page.len() < PAGE as usize;
        for stored in page {
            let wanted = match as_of {
                AsOf::Now => true,
                AsOf::Version(version) => stored.version <= version,
                AsOf::Time(at) => stored.at <= at.0,
            };
            if !wanted {
                return Ok((task.version > 0).then_some(task));
            }
            let (event, private) = decode(&stored)?;
            task.take_in(&event, private.as_ref(), Time(stored.at));
        }
        if last {
            return Ok((task.version > 0).then_some(task));
        }
    }
}

/// A task's event, decoded, and the words beside it where they are still there.
pub fn event(stored: &StoredEvent) -> Result<(Event, Option<Private>), StoreError> {
    decode(stored)
}

/// The words beside an event of any stream.
pub fn words(stored: &StoredEvent) -> Result<Option<Private>, StoreError> {
    open_private(stored)
}
