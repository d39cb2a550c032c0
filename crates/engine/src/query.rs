//! Reading beside the writer: a task as it is now, or as it was at any version or time; events with their words.

use crate::live::{Live, decode, open_private};
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
    match as_of {
        AsOf::Now => Ok(Live::recall(reader, id)?.map(|live| live.task)),
        AsOf::Version(version) => until(reader, id, |stored| stored.version <= version),
        AsOf::Time(at) => until(reader, id, |stored| stored.at <= at.0),
    }
}

/// A task, rebuilt from those of its events that are wanted; behind the first that is not, none is.
fn until(reader: &dyn Reader, id: TaskId, wanted: impl Fn(&StoredEvent) -> bool) -> Result<Option<Task>, StoreError> {
    let mut task = Task::unborn(id);
    loop {
        let page = reader.stream_events(id.into(), task.version, PAGE)?;
        let whole = page.len() == PAGE as usize && page.iter().all(&wanted);
        for stored in page.iter().take_while(|stored| wanted(stored)) {
            let (event, private) = decode(stored)?;
            task.take_in(&event, private.as_ref(), Time(stored.at));
        }
        if !whole {
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
