//! Streams that go on where they were lost.

use super::sse::{Frame, Sse};
use super::wire::{EventFilter, Progress};
use super::{Call, Client, ClientError, tasks};
use crate::random;
use ephor_core::status::Status;
use ephor_core::view::EventView;
use std::time::Duration;

/// The waits before a lost stream is opened again, one after the other; the last one is repeated.
const PAUSES_MS: [u64; 6] = [500, 1_000, 2_000, 4_000, 8_000, 15_000];

/// How long to wait before a server that was lost is asked again for the n-th time, from 1. Spread, so that those who lost the same
/// server do not come back together.
pub fn pause(times: usize) -> Duration {
    random::spread(Duration::from_millis(PAUSES_MS[times.saturating_sub(1).min(PAUSES_MS.len() - 1)]))
}

/// Events, past and to come. A pending `next` may be dropped: nothing is lost.
pub struct EventStream {
    client: Client,
    filter: EventFilter,
    open: Option<Sse>,
    lost: usize,
    over: bool,
}

impl EventStream {
    pub(crate) fn new(client: Client, filter: EventFilter) -> Self {
        Self { client, filter, open: None, lost: 0, over: false }
    }

    /// The position of the last event it gave.
    pub fn position(&self) -> u64 {
        self.filter.after
    }

    /// The next event. The events of one task are over with the one that ended it. A lost connection is made anew, for as long as it
    /// takes; the stream goes on behind the last event it gave.
    ///
    /// # Errors
    /// The server's no.
    pub async fn next(&mut self) -> Result<Option<EventView>, ClientError> {
        while !self.over {
            match self.try_next().await {
                Ok(event) => {
                    self.over = self.filter.task.is_some() && event.status_after.is_some_and(Status::is_final);
                    return Ok(Some(event));
                }
                Err(error) if error.may_pass() => {
                    tracing::debug!(%error, position = self.filter.after, "the stream is lost; it is opened again");
                    tokio::time::sleep(pause(self.lost)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Opens the stream, where it is not open yet.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn open(&mut self) -> Result<(), ClientError> {
        if self.open.is_none() {
            match Sse::open(&self.client, &tasks::events(&self.filter)).await {
                Ok(open) => self.open = Some(open),
                Err(error) => {
                    self.lost += 1;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The next event, without coming back by itself: a lost connection is an error, and the next call makes another.
    ///
    /// # Errors
    /// The server's no, or that the connection was lost.
    pub async fn try_next(&mut self) -> Result<EventView, ClientError> {
        match self.advance().await {
            Ok(event) => {
                self.lost = 0;
                self.filter.after = event.position;
                Ok(event)
            }
            Err(error) => {
                self.open = None;
                self.lost += 1;
                Err(error)
            }
        }
    }

    async fn advance(&mut self) -> Result<EventView, ClientError> {
        let call = tasks::events(&self.filter);
        loop {
            let frame = next_frame(&mut self.open, &self.client, &call).await?;
            if frame.data.is_empty() || frame.event == "tick" {
                continue;
            }
            let event: EventView = self.client.parse(frame.data.as_bytes())?;
            // What was given before comes again where a server counts from its own start.
            if event.position > self.filter.after {
                return Ok(event);
            }
        }
    }
}

/// How far a task is, each time that changes. A pending `next` may be dropped.
pub struct ProgressStream {
    client: Client,
    task: String,
    open: Option<Sse>,
    lost: usize,
    over: bool,
}

impl ProgressStream {
    pub(crate) fn new(client: Client, task: &str) -> Self {
        Self { client, task: task.to_owned(), open: None, lost: 0, over: false }
    }

    /// The next change; `None` after the one that says that the task has ended. A lost connection is made anew.
    ///
    /// # Errors
    /// The server's no.
    pub async fn next(&mut self) -> Result<Option<Progress>, ClientError> {
        while !self.over {
            match self.advance().await {
                Ok(progress) => {
                    self.lost = 0;
                    self.over = progress.status.is_final();
                    return Ok(Some(progress));
                }
                Err(error) if error.may_pass() => {
                    self.open = None;
                    self.lost += 1;
                    tokio::time::sleep(pause(self.lost)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn advance(&mut self) -> Result<Progress, ClientError> {
        let call = Call::get(["tasks", self.task.as_str(), "progress"]);
        loop {
            let frame = next_frame(&mut self.open, &self.client, &call).await?;
            if frame.event == "progress" {
                return self.client.parse(frame.data.as_bytes());
            }
        }
    }
}

/// The next frame of a stream, which is opened where it is not.
async fn next_frame(open: &mut Option<Sse>, client: &Client, call: &Call) -> Result<Frame, ClientError> {
    let sse = match open {
        Some(sse) => sse,
        None => open.insert(Sse::open(client, call).await?),
    };
    match sse.next(client).await? {
        Some(frame) => Ok(frame),
        None => Err(client.unreachable("the stream ended")),
    }
}
