//! The leases this worker holds, and the one task that keeps them alive.

use crate::agent::Stop;
use crate::backoff::Backoff;
use crate::transport::Transport;
use ephor_core::id::TaskId;
use ephor_core::work::{Heartbeat, HeartbeatAnswer, Then, WorkItem, WorkKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// A lease is renewed this often within its length: two signs of life may get lost before it lapses.
const BEATS_PER_LEASE: u32 = 3;

/// The least time between two signs of life of one lease, however often progress is reported.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

/// Names a lease: the work and the fencing token.
type Key = (TaskId, WorkKey, u32);

/// One piece of work under a lease: what the agent, the heartbeat and the loop know of it together.
pub(crate) struct Lease {
    pub(crate) item: WorkItem,
    stop: watch::Sender<Option<Stop>>,
    state: Mutex<State>,
    changed: Arc<Notify>,
}

struct State {
    progress: Option<f64>,
    message: Option<String>,
    /// What people said since the claim.
    guidance: Vec<String>,
    beaten_at: Instant,
    due_at: Instant,
}

impl Lease {
    /// A lease claimed just now; `changed` wakes whoever renews it.
    pub(crate) fn new(item: WorkItem, changed: Arc<Notify>) -> Self {
        let now = Instant::now();
        let due_at = now + Duration::from_millis(item.lease_ms) / BEATS_PER_LEASE;
        let state = State { progress: None, message: None, guidance: Vec::new(), beaten_at: now, due_at };
        Self { item, stop: watch::Sender::new(None), state: Mutex::new(state), changed }
    }

    pub(crate) fn key(&self) -> Key {
        (self.item.task_id, self.item.work.clone(), self.item.attempt)
    }

    /// Tells the work to end. The first reason stands, unless the lease turns out to be lost: that outranks all.
    pub(crate) fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| {
            let news = stop.is_none() || (why == Stop::Stale && *stop != Some(why));
            if news {
                *stop = Some(why);
            }
            news
        });
    }

    /// Why the work was told to end, if it was.
    pub(crate) fn told(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// Waits until the work is told to end.
    pub(crate) async fn stopped(&self) -> Stop {
        let mut told = self.stop.subscribe();
        let told = told.wait_for(Option::is_some).await.expect("the sender is in self");
        told.expect("waited for")
    }

    /// Notes how far the work is and has it told soon.
    pub(crate) fn progress(&self, fraction: f64, message: String) {
        let mut state = self.state();
        state.progress = Some(if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) });
        state.message = Some(message);
        let soon = (state.beaten_at + PROGRESS_PAUSE).max(Instant::now());
        if soon < state.due_at {
            state.due_at = soon;
            self.changed.notify_one();
        }
    }

    /// What people said: before the claim, then since.
    pub(crate) fn guidance(&self) -> Vec<String> {
        [&self.item.guidance[..], &self.state().guidance].concat()
    }

    fn period(&self) -> Duration {
        Duration::from_millis(self.item.lease_ms.max(1)) / BEATS_PER_LEASE
    }

    fn heartbeat(&self) -> Heartbeat {
        let (task_id, work, attempt) = self.key();
        let state = self.state();
        Heartbeat { task_id, work, attempt, progress: state.progress, message: state.message.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All leases of one worker, from the claim until the report has been answered.
#[derive(Default)]
pub(crate) struct Leases {
    live: Mutex<BTreeMap<Key, Arc<Lease>>>,
    changed: Arc<Notify>,
}

impl Leases {
    /// Takes in what was claimed. `None` if it is already being worked on: a repeated claim names it again.
    pub(crate) fn begin(&self, item: WorkItem) -> Option<Arc<Lease>> {
        let lease = Arc::new(Lease::new(item, self.changed.clone()));
        let mut live = self.live();
        if live.contains_key(&lease.key()) {
            return None;
        }
        live.insert(lease.key(), lease.clone());
        self.changed.notify_one();
        Some(lease)
    }

    /// Stops renewing a lease.
    pub(crate) fn end(&self, lease: &Lease) {
        self.live().remove(&lease.key());
    }

    /// Tells all work to end.
    pub(crate) fn stop_all(&self, why: Stop) {
        self.live().values().for_each(|lease| lease.stop(why));
    }

    /// How many leases are live.
    pub(crate) fn len(&self) -> usize {
        self.live().len()
    }

    /// Renews leases as they come due, for ever. Those nearly due go along, so that the leases of one worker end up in one
    /// call.
    pub(crate) async fn keep_alive(&self, transport: &impl Transport) {
        let mut backoff = Backoff::default();
        loop {
            self.wait_for_due().await;
            let due = self.take_due();
            let beats: Vec<_> = due.iter().map(|lease| lease.heartbeat()).collect();
            match transport.heartbeat(beats).await {
                Ok(answers) if answers.len() == due.len() => {
                    backoff.reset();
                    due.iter().zip(answers).for_each(|(lease, answer)| self.hear(lease, answer));
                }
                Ok(answers) => {
                    tracing::warn!(sent = due.len(), answered = answers.len(), "heartbeats and answers do not match");
                    self.again(&due, backoff.step());
                }
                Err(error) => {
                    tracing::warn!(%error, leases = due.len(), "heartbeat lost");
                    self.again(&due, backoff.step());
                }
            }
        }
    }

    async fn wait_for_due(&self) {
        loop {
            let next = self.live().values().map(|lease| lease.state().due_at).min();
            match next {
                Some(due_at) if due_at <= Instant::now() => return,
                Some(due_at) => tokio::select! {
                    () = tokio::time::sleep_until(due_at) => return,
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    fn take_due(&self) -> Vec<Arc<Lease>> {
        let now = Instant::now();
        let live = self.live();
        let due = live.values().filter(|lease| lease.state().due_at <= now + lease.period() / 2);
        due.inspect(|lease| {
            let mut state = lease.state();
            (state.beaten_at, state.due_at) = (now, now + lease.period());
        })
        .cloned()
        .collect()
    }

    fn hear(&self, lease: &Lease, answer: HeartbeatAnswer) {
        lease.state().guidance.extend(answer.guidance);
        match answer.then {
            Then::Continue => {}
            Then::Cancel => lease.stop(Stop::Cancelled),
            Then::Stale => {
                lease.stop(Stop::Stale);
                self.end(lease);
            }
        }
    }

    /// What was not heard is said again after `wait`, or when it would have been due, whichever is sooner.
    fn again(&self, leases: &[Arc<Lease>], wait: Duration) {
        let soon = Instant::now() + wait;
        for lease in leases {
            let mut state = lease.state();
            state.due_at = state.due_at.min(soon);
        }
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Lease>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
