//! The hand that writes. A large batch is written by a thread of its own, so that the next one is decided meanwhile; at most one is
//! under way. A small one is written at once: handing it over would cost more than deciding what comes next.

use crate::store::{Conflict, Group, Store, StoreError, Written};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// What a store says to a batch.
type Said = Result<Vec<Result<Written, Conflict>>, StoreError>;

/// What is to be written, and when it was decided.
type Order = (Vec<Group>, i64);

/// From how many events on a batch is handed over. Deciding so many takes about as long as waking two threads.
const HANDED_OVER: usize = 64;

/// About how long it takes to decide a job and encode what comes of it, in microseconds. Of use only for when to write, never for what.
const DECIDING_US: u64 = 6;
/// About how long it takes to write an event, the wait for the disk left out.
const WRITING_US: u64 = 4;

/// The writing side of a store, and what it was given and has not yet been asked about.
pub(super) struct Pen<S> {
    store: Arc<Mutex<S>>,
    way: Way,
    /// What the store has said already.
    said: Option<Said>,
    /// How many events were handed over last.
    events: u64,
    /// About how long the disk took to take them, in microseconds.
    disk_us: Option<u64>,
}

/// Who writes.
enum Way {
    /// The caller, at once.
    AtOnce,
    /// A thread, unless the batch is small.
    Behind(Scribe),
    /// The caller, when it asks: what comes next is always decided before.
    #[cfg(any(test, feature = "simulation"))]
    Late(Option<Order>),
}

impl<S: Store> Pen<S> {
    pub(super) fn new(store: S) -> Self {
        Self { store: Arc::new(Mutex::new(store)), way: Way::AtOnce, said: None, events: 0, disk_us: None }
    }

    /// The store, for what is not part of a batch. Waits while a batch is being written.
    pub(super) fn store(&self) -> MutexGuard<'_, S> {
        self.store.lock().expect("a thread that panicked while it wrote has answered nobody, and so has the engine")
    }

    /// Gives a batch to the store. The one before must have been asked about.
    pub(super) fn begin(&mut self, groups: Vec<Group>, at: i64, events: usize) {
        let groups = match &mut self.way {
            Way::Behind(scribe) if events >= HANDED_OVER => match scribe.give((groups, at)) {
                Ok(()) => {
                    self.events = events as u64;
                    return;
                }
                Err(()) => {
                    self.said = Some(Err(gone()));
                    return;
                }
            },
            #[cfg(any(test, feature = "simulation"))]
            Way::Late(order) => {
                *order = Some((groups, at));
                return;
            }
            Way::AtOnce | Way::Behind(_) => groups,
        };
        let said = self.store().commit(groups, at);
        self.said = Some(said);
    }

    /// Whether to have so many jobs written although so many more wait to be decided: where that takes as long as the disk does, both
    /// happen at once. On a slower disk what waits had better come along.
    pub(super) fn is_worth_it(&self, jobs: usize, left: usize) -> bool {
        jobs >= HANDED_OVER && self.disk_us.is_some_and(|disk| disk <= left as u64 * DECIDING_US)
    }

    /// Whether `end` would answer at once.
    pub(super) fn is_done(&mut self) -> bool {
        if self.said.is_none()
            && let Way::Behind(scribe) = &self.way
            && let Some((said, took)) = scribe.look()
        {
            self.disk_us = Some(took.saturating_sub(self.events * WRITING_US));
            self.said = Some(said);
        }
        self.said.is_some()
    }

    /// What the store says to the batch it was given; waits for it.
    pub(super) fn end(&mut self) -> Said {
        if let Some(said) = self.said.take() {
            return said;
        }
        match &mut self.way {
            Way::Behind(scribe) => {
                let (said, took) = scribe.wait();
                self.disk_us = Some(took.saturating_sub(self.events * WRITING_US));
                said
            }
            #[cfg(any(test, feature = "simulation"))]
            Way::Late(order) => {
                let (groups, at) = order.take().expect("only what was begun is asked about");
                self.store().commit(groups, at)
            }
            Way::AtOnce => unreachable!("what is written at once has its answer"),
        }
    }

    /// Writes each batch only when it is asked about.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn write_late(&mut self) {
        self.way = Way::Late(None);
    }
}

impl<S: Store + 'static> Pen<S> {
    /// Lets a thread write from now on. `done` is called there whenever a batch is through.
    pub(super) fn write_behind(&mut self, done: impl Fn() + Send + 'static) -> Result<(), StoreError> {
        self.way = Way::Behind(Scribe::start(self.store.clone(), done)?);
        Ok(())
    }
}

/// The thread that writes. It ends when its orders do.
struct Scribe {
    orders: Option<SyncSender<Order>>,
    said: Receiver<(Said, u64)>,
    thread: Option<JoinHandle<()>>,
}

impl Scribe {
    fn start<S: Store + 'static>(store: Arc<Mutex<S>>, done: impl Fn() + Send + 'static) -> Result<Self, StoreError> {
        let (orders, taken) = sync_channel::<Order>(1);
        let (say, said) = sync_channel(1);
        let write = move || {
            for (groups, at) in taken {
                let began = now();
                let answer =
                    store.lock().expect("only this thread writes batches, and it ends when it panics").commit(groups, at);
                let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                if say.send((answer, took)).is_err() {
                    return;
                }
                done();
            }
        };
        let thread = std::thread::Builder::new().name("ephor-scribe".into()).spawn(write);
        let thread = thread.map_err(|e| StoreError::Unusable(format!("no thread to write with: {e}")))?;
        Ok(Self { orders: Some(orders), said, thread: Some(thread) })
    }

    fn give(&self, order: Order) -> Result<(), ()> {
        self.orders.as_ref().ok_or(())?.send(order).map_err(drop)
    }

    fn look(&self) -> Option<(Said, u64)> {
        match self.said.try_recv() {
            Ok(said) => Some(said),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some((Err(gone()), 0)),
        }
    }

    fn wait(&self) -> (Said, u64) {
        self.said.recv().unwrap_or_else(|_| (Err(gone()), 0))
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        drop(self.orders.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes panicked");
        }
    }
}

/// How long the disk takes is measured here; nothing that is decided depends on it.
fn now() -> std::time::Instant {
    #[allow(clippy::disallowed_methods)]
    std::time::Instant::now()
}

fn gone() -> StoreError {
    StoreError::Unavailable("the thread that writes is gone".into())
}
