//! Events from any position on, then live. A reader keeps only its position: what comes next is always read from the store, so there
//! is no gap and no double, however slow it is; that something came is told through memory.

use crate::store::{Reader, StoreError, StoredEvent};
use std::sync::Arc;
use tokio::sync::watch;

/// A place in the sequence of all events.
pub struct Feed {
    reader: Arc<dyn Reader>,
    written: watch::Receiver<u64>,
    stopped: watch::Receiver<Option<String>>,
    after: u64,
}

impl Feed {
    pub(crate) fn new(
        reader: Arc<dyn Reader>,
        written: watch::Receiver<u64>,
        stopped: watch::Receiver<Option<String>>,
        after: u64,
    ) -> Self {
        Self { reader, written, stopped, after }
    }

    /// The next events, at least one and at most `limit`; waits for them. Empty once the engine has stopped and all was read.
    pub async fn next(&mut self, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        loop {
            if *self.written.borrow_and_update() > self.after {
                let (reader, after) = (self.reader.clone(), self.after);
                let page = tokio::task::spawn_blocking(move || reader.events(after, limit, None))
                    .await
                    .map_err(|e| StoreError::Unavailable(e.to_string()))??;
                if let Some(last) = page.last() {
                    self.after = last.position;
                    return Ok(page);
                }
            }
            if self.stopped.borrow().is_some() {
                return Ok(Vec::new());
            }
            tokio::select! {
                changed = self.written.changed() => if changed.is_err() { return Ok(Vec::new()) },
                _ = self.stopped.changed() => {}
            }
        }
    }

    /// The position of the last event that was given out.
    pub fn position(&self) -> u64 {
        self.after
    }
}
