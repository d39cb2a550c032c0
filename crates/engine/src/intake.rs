//! What waits to be written. Bounded, and fair: whose namespace was asked for least comes first, so that one that submits a million tasks
//! does not keep the others waiting. A batch counts as many as it has in it.

use crate::writer::{Job, Reply, Ticket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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

impl Item {
    /// How much it asks for.
    fn cost(&self) -> u64 {
        match self {
            Self::Job(job, _) => job.count().max(1) as u64,
            Self::Gone(_) | Self::Written | Self::Note | Self::Sweep => 1,
        }
    }
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
    queues: BTreeMap<Box<str>, Queue>,
    /// Whose turn it is: namespaces with something in their queue, by what they have had.
    turns: BTreeSet<(u64, Box<str>)>,
    /// What whoever came last had had. Who comes anew starts from there: who asked for nothing has saved up nothing.
    had: u64,
    len: usize,
    tickets: Ticket,
    closed: bool,
}

/// How many namespaces that ask for nothing are remembered before those that owe nothing are forgotten.
const IDLE_MAX: usize = 64;

/// What waits of one namespace, and what it has had.
#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<(Ticket, Item)>,
    had: u64,
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
        let least = state.had;
        let queue = match state.queues.get_mut(namespace) {
            Some(queue) => queue,
            None => state.queues.entry(namespace.into()).or_default(),
        };
        let first = queue.items.is_empty();
        queue.items.push_back((ticket, item));
        if first {
            queue.had = queue.had.max(least);
            let turn = (queue.had, namespace.into());
            state.turns.insert(turn);
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
            let Some((had, name)) = state.turns.pop_first() else { break };
            state.had = had;
            let queue = state.queues.get_mut(&name).expect("whose turn it is has a queue");
            let first = queue.items.pop_front();
            queue.had += first.as_ref().map_or(1, |(_, item)| item.cost());
            let (had, empty) = (queue.had, queue.items.is_empty());
            taken.extend(first);
            if !empty {
                state.turns.insert((had, name));
            }
        }
        if state.queues.len() > IDLE_MAX + 2 * state.turns.len() {
            // Who has had more than others is remembered until they have had as much.
            let least = state.had;
            state.queues.retain(|_, queue| !queue.items.is_empty() || queue.had > least);
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
        state.turns.clear();
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
    fn a_batch_counts_as_many_as_it_has_in_it() {
        let intake = Intake::new(100);
        let many = |n: usize| {
            let keep = |_| Job::Namespace {
                name: "a".into(),
                event: ephor_core::namespace::NamespaceEvent::SubmissionRefused { fields: Vec::new(), unrecorded: 0 },
                actor: ephor_core::event::Actor::settle(),
            };
            Item::Job(Job::Many((0..n).map(keep).collect()), None)
        };
        for _ in 0..2 {
            intake.push("a", many(3)).unwrap();
        }
        for _ in 0..5 {
            intake.push("b", Item::Note).unwrap();
        }
        assert_eq!(tickets(&intake, 9), [1, 3, 4, 5, 2, 6, 7]);
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
