//! A batch on its way: the tasks it touches and what is to be written, folded task by task.

use super::{ClaimsSoFar, Reply, Ticket, UniquesSoFar};
use crate::ids::IdMap;
use crate::leases::Granted;
use crate::live::Live;
use crate::store::{Blob, Guard, MailRow, NewEvent, UniqueRow};
use ephor_core::agent::Agent;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::time::Time;
use std::collections::{BTreeMap, HashMap};

/// What stands or falls together in the store: a task, what was born from it, whoever took its mail in the same batch.
pub(super) type GroupNo = usize;

/// Everything one batch has decided and not yet written.
pub(super) struct Batch {
    pub(super) now: Time,
    pub(super) mono: u64,
    pub(super) tasks: IdMap<TaskId, Box<Touched>>,
    /// The tasks in the order in which they were touched: cause before effect, and the same in every run.
    pub(super) order: Vec<TaskId>,
    pub(super) agents: BTreeMap<AgentId, TouchedAgent>,
    pub(super) namespaces: BTreeMap<Box<str>, TouchedNamespace>,
    /// For each group, the one it was joined to.
    joined: Vec<GroupNo>,
    pub(super) guards: Vec<(GroupNo, Guard)>,
    pub(super) mail: Vec<(GroupNo, MailRow)>,
    pub(super) uniques: UniquesSoFar,
    pub(super) claims: ClaimsSoFar,
    pub(super) replies: Vec<(Ticket, Reply)>,
    /// The groups each ticket's answer depends on.
    pub(super) depends: Vec<(Ticket, GroupNo)>,
    /// Tasks whose private parts go once this is written.
    pub(super) erase: Vec<(Ticket, TaskId)>,
    pub(super) unsettled: Vec<TaskId>,
    /// How many jobs were decided in it.
    pub(super) jobs: usize,
}

/// The most jobs that are decided in one batch while another is being written.
const JOBS_MAX: usize = 1_000;

/// A task this batch has touched.
pub(super) struct Touched {
    pub(super) live: Box<Live>,
    pub(super) follows: u64,
    pub(super) group: GroupNo,
    pub(super) events: Vec<NewEvent>,
    pub(super) blobs: Vec<Blob>,
    pub(super) mail_taken: Vec<[u8; 16]>,
    /// What its leases become once this is written.
    pub(super) leases: Vec<LeaseChange>,
    /// What it offers now.
    pub(super) open: Option<String>,
}

/// An agent this batch has touched.
pub(super) struct TouchedAgent {
    pub(super) agent: Agent,
    pub(super) hash: [u8; 32],
    pub(super) follows: u64,
    pub(super) group: GroupNo,
    pub(super) events: Vec<NewEvent>,
}

/// A namespace this batch has touched.
pub(super) struct TouchedNamespace {
    pub(super) hash: [u8; 32],
    pub(super) follows: u64,
    pub(super) group: GroupNo,
    pub(super) events: Vec<NewEvent>,
}

/// What becomes of leases when an event is written.
#[derive(Clone, Debug)]
pub(super) enum LeaseChange {
    Grant(Granted),
    Stop(bool),
    Guide(String),
}

impl Batch {
    pub(super) fn new(now: Time, mono: u64) -> Self {
        Self {
            now,
            mono,
            tasks: IdMap::default(),
            order: Vec::new(),
            agents: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            joined: Vec::new(),
            guards: Vec::new(),
            mail: Vec::new(),
            uniques: HashMap::new(),
            claims: HashMap::new(),
            replies: Vec::new(),
            depends: Vec::new(),
            erase: Vec::new(),
            unsettled: Vec::new(),
            jobs: 0,
        }
    }

    /// Whether it should take nothing more.
    pub(super) fn is_full(&self) -> bool {
        self.jobs >= JOBS_MAX
    }

    /// Brings a task into the batch.
    pub(super) fn insert(&mut self, task: TaskId, touched: Touched) {
        self.order.push(task);
        self.tasks.insert(task, Box::new(touched));
    }

    /// A new group.
    pub(super) fn group(&mut self) -> GroupNo {
        self.joined.push(self.joined.len());
        self.joined.len() - 1
    }

    /// The group that a group now belongs to.
    pub(super) fn root(&self, mut group: GroupNo) -> GroupNo {
        while self.joined[group] != group {
            group = self.joined[group];
        }
        group
    }

    /// Lets two groups stand or fall together.
    pub(super) fn join(&mut self, a: GroupNo, b: GroupNo) {
        let (a, b) = (self.root(a), self.root(b));
        self.joined[a.max(b)] = a.min(b);
    }

    /// How many groups there were, joined ones counted.
    pub(super) fn groups(&self) -> usize {
        self.joined.len()
    }

    /// Who holds a unique key because of this batch.
    pub(super) fn holder(&self, key: &str) -> Option<&UniqueRow> {
        self.uniques.get(key)
    }
}
