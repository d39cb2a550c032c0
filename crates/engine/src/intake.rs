//! What waits to be written. Bounded, and fair: namespaces take turns, so that one that submits a million tasks does not keep the
//! others waiting.

use crate::writer::{Job, Reply, Ticket};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::oneshot;

/// Something for the writer's thread.
#[derive(Debug)]
pub(crate) enum Item {
    /// Decide and answer.
    Job(Job, Option<oneshot::Sender<Reply>>),
    /// Whoever asked this no longer waits for the answer.
    Gone(Ticket),
    /// What was given to the store is through.
    Written,
    /// Write signs of life and the highest instant.
    Note,
    /// Delete keys that ran out.
    Sweep,
}

/// The queue in front of the writer.
#[derive(Debug)]
pub(crate) struct Intake {
    state: Mutex<State>,
    arrived: Condvar,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<Box<str>, VecDeque<(Ticket, Item)>>,
    /// The namespace whose turn was last.
    last: Box<str>,
    len: usize,
    tickets: Ticket,
    closed: bool,
}

/// Why something was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// Too much waits already.
    Full,
    /// The engine has stopped.
    Closed,
}

impl Intake {
    /// A queue for at most so many items.
    pub(crate) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), most }
    }

    /// Takes something in and gives it a number; what the engine asks of itself is never too much.
    pub(crate) fn push(&self, namespace: &str, item: Item) -> Result<Ticket, NotTaken> {
        let mut state = self.state();
        if state.closed {
            return Err(NotTaken::Closed);
        }
        let own = namespace.is_empty();
        if state.len >= self.most && !own {
            return Err(NotTaken::Full);
        }
        state.tickets += 1;
        let ticket = state.tickets;
        match state.queues.get_mut(namespace) {
            Some(queue) => queue.push_back((ticket, item)),
            None => {
                state.queues.insert(namespace.into(), VecDeque::from([(ticket, item)]));
            }
        }
        state.len += 1;
        drop(state);
        self.arrived.notify_one();
        Ok(ticket)
    }

    /// What waits, at most `most` items, namespaces in turn; waits for the first no longer than `patience` (none: not at all).
    /// `None` when the queue is closed and empty.
    pub(crate) fn take(&self, most: usize, patience: Option<Duration>) -> Option<Vec<(Ticket, Item)>> {
        let mut state = self.state();
        if let Some(patience) = patience
            && state.len == 0
            && !state.closed
        {
            state = self.arrived.wait_timeout(state, patience).expect("nobody panics while holding the queue").0;
        }
        if state.len == 0 && state.closed {
            return None;
        }
        let mut taken = Vec::with_capacity(state.len.min(most));
        while taken.len() < most {
            let turn = state.queues.range::<str, _>((std::ops::Bound::Excluded(&*state.last), std::ops::Bound::Unbounded)).next();
            let Some(name) = turn.or_else(|| state.queues.iter().next()).map(|(name, _)| name.clone()) else { break };
            let queue = state.queues.get_mut(&name).expect("it was found by this name");
            taken.extend(queue.pop_front());
            if queue.is_empty() {
                state.queues.remove(&name);
            }
            state.last = name;
        }
        state.len -= taken.len();
        Some(taken)
    }

    /// Lets nothing in any more; what waits is still taken.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_all();
    }

    /// Throws away what waits, answering nobody.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        state.queues.clear();
        state.len = 0;
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.state().len
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the queue")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(intake: &Intake, most: usize) -> Vec<Ticket> {
        intake.take(most, None).unwrap().iter().map(|(t, _)| *t).collect()
    }

    #[test]
    fn namespaces_take_turns() {
        let intake = Intake::new(10);
        for name in ["a", "a", "a", "b", "c"] {
            intake.push(name, Item::Note).unwrap();
        }
        assert_eq!(tickets(&intake, 4), [1, 4, 5, 2]);
        assert_eq!(tickets(&intake, 4), [3]);
    }

    #[test]
    fn a_full_queue_says_so_but_takes_what_the_engine_asks_of_itself() {
        let intake = Intake::new(1);
        intake.push("a", Item::Note).unwrap();
        assert_eq!(intake.push("a", Item::Note), Err(NotTaken::Full));
        intake.push("", Item::Sweep).unwrap();
        assert_eq!(intake.len(), 2);
    }

    #[test]
    fn a_closed_queue_is_emptied_and_then_ends() {
        let intake = Intake::new(10);
        intake.push("a", Item::Note).unwrap();
        intake.close();
        assert_eq!(intake.push("a", Item::Note), Err(NotTaken::Closed));
        assert_eq!(tickets(&intake, 9).len(), 1);
        assert!(intake.take(9, None).is_none());
    }
}
