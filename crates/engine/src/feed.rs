//! Events from any position on, then live. A reader keeps only its position: what comes next is always read from the store, so there
//! is no gap and no double, however slow it is; that something came is told through memory.

use crate::store::{Reader, StoreError, StoredEvent};
use ephor_core::id::StreamId;
use std::sync::Arc;
use tokio::sync::watch;

/// A place in the sequence of all events.
pub struct Feed {
    reader: Arc<dyn Reader>,
    written: watch::Receiver<u64>,
    stopped: watch::Receiver<Option<String>>,
    after: u64,
    /// The only stream whose events it gives out; all where it is missing.
    stream: Option<StreamId>,
}

impl Feed {
    pub(crate) fn new(
        reader: Arc<dyn Reader>,
        written: watch::Receiver<u64>,
        stopped: watch::Receiver<Option<String>>,
        after: u64,
        stream: Option<StreamId>,
    ) -> Self {
        Self { reader, written, stopped, after, stream }
    }

    /// The next events, at least one and at most `limit`; waits for them. Empty once the engine has stopped and all was read.
    pub async fn next(&mut self, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        loop {
            let written = *self.written.borrow_and_update();
            if written > self.after {
                let (reader, after, stream) = (self.reader.clone(), self.after, self.stream);
                let page = tokio::task::spawn_blocking(move || reader.events(after, limit, stream))
                    .await
                    .map_err(|e| StoreError::Unavailable(e.to_string()))??;
                if let Some(last) = page.last() {
                    self.after = last.position;
                    return Ok(page);
                }
                // Nothing of this stream so far: what comes later has a higher position.
                self.after = written;
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

    /// The position up to which everything was given out.
    pub fn position(&self) -> u64 {
        self.after
    }
}
