//! A batch on its way: the tasks it touches and what is to be written, folded task by task.

use super::amending::TouchedConstitution;
use super::{ClaimsSoFar, Reply, Ticket, UniquesSoFar};
use crate::ids::IdMap;
use crate::leases::Granted;
use crate::live::Live;
use crate::sealed::Sealed;
use crate::store::{Blob, Guard, MailRow, NewEvent, UniqueRow};
use ephor_core::agent::Agent;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::spec::ErrorClass;
use ephor_core::status::Status;
use ephor_core::time::Time;
use ephor_core::work::WorkKey;
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
    pub(super) constitution: Option<TouchedConstitution>,
    /// For each group, the one it was joined to.
    joined: Vec<GroupNo>,
    pub(super) guards: Vec<(GroupNo, Guard)>,
    pub(super) mail: Vec<(GroupNo, MailRow)>,
    pub(super) uniques: UniquesSoFar,
    pub(super) claims: ClaimsSoFar,
    /// How much was given to agents that may hold only so much.
    pub(super) given: BTreeMap<AgentId, u32>,
    /// Whether an attempt failed in it.
    pub(super) failures: bool,
    /// What was given out while some tool was not trusted.
    pub(super) tries: Vec<Try>,
    pub(super) replies: Vec<(Ticket, Reply)>,
    /// Whoever was being answered when the store could not be read.
    pub(super) unanswered: Vec<Ticket>,
    /// The groups each answer depends on.
    pub(super) depends: Vec<(Ask, GroupNo)>,
    /// Tasks whose private parts go in this commit, up to which version.
    pub(super) erase: Vec<(TaskId, u64)>,
    /// Groups that are not written because a task in them contradicts the rules.
    spoiled: Vec<(GroupNo, TaskId)>,
    pub(super) unsettled: Vec<TaskId>,
    /// Tasks that waited too long for an agent, to be told once that is written.
    pub(super) stalls: Vec<(GroupNo, TaskId, Stall)>,
    /// How many jobs were decided in it.
    pub(super) jobs: usize,
}

/// The most jobs that are decided in one batch while another is being written.
const JOBS_MAX: usize = 1_000;
/// Who is answered: a ticket, and which of several answers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ask {
    pub(super) ticket: Ticket,
    pub(super) item: usize,
}

/// What followed from a task having waited too long, or from silence that is left to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    /// Nothing but a line in the log.
    Noted,
    /// It is STALLED.
    Marked,
    /// It is anybody's.
    Reassigned,
    /// Another task looks into it.
    Escalated(TaskId),
    /// The agent of its work fell silent, and it is BLOCKED because of that.
    Offline(AgentId),
}

impl Stall {
    /// Tells it in the log.
    pub(super) fn tell(self, task: TaskId) {
        match self {
            Self::Noted => tracing::warn!(%task, "no agent came for its work for too long"),
            Self::Marked => tracing::warn!(%task, "no agent came for its work for too long: it is STALLED"),
            Self::Reassigned => tracing::warn!(%task, "no agent began its work for too long: it is offered to anybody"),
            Self::Escalated(by) => tracing::warn!(%task, investigation = %by, "no agent came for its work for too long"),
            Self::Offline(agent) => {
                tracing::warn!(%task, %agent, "the agent of its work fell silent: it is BLOCKED (AGENT_OFFLINE)");
            }
        }
    }
}

/// How far a batch is with the mail that waits in the store for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mail {
    /// Nobody has looked.
    Unread,
    /// All of it is taken.
    Taken,
    /// There was more than one batch should take.
    Left,
}

/// A task this batch has touched.
pub(super) struct Touched {
    pub(super) live: Box<Live>,
    pub(super) follows: u64,
    pub(super) group: GroupNo,
    pub(super) events: Vec<NewEvent>,
    /// The words of its first event, where they are sealed already.
    pub(super) words: Option<Sealed>,
    pub(super) blobs: Vec<Blob>,
    pub(super) mail: Mail,
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
    /// What happened to holds and limits, and by whom.
    pub(super) flow: Vec<(NamespaceEvent, String)>,
    pub(super) hash: [u8; 32],
    pub(super) follows: u64,
    pub(super) group: GroupNo,
    pub(super) events: Vec<NewEvent>,
    /// The same, to be taken to heart once they are written.
    pub(super) facts: Vec<NamespaceEvent>,
}

/// One attempt at a piece of work.
pub(super) type Attempt = (TaskId, WorkKey, u32);

/// What a tool may be tried with.
pub(super) struct Try {
    pub(super) namespace: Box<str>,
    pub(super) key: Box<str>,
    pub(super) attempt: Attempt,
}

/// What becomes of leases when an event is written.
#[derive(Clone, Debug)]
pub(super) enum LeaseChange {
    Grant(Granted),
    Stop(bool),
    Guide(String),
    /// An attempt failed in this way.
    Failed(WorkKey, u32, ErrorClass),
    /// A person took hold of the task, or let it go.
    HoldUp(bool),
}

impl LeaseChange {
    /// How this attempt failed, where it says so.
    pub(super) fn failure_of(&self, work: &WorkKey, attempt: u32) -> Option<ErrorClass> {
        match self {
            Self::Failed(of, n, class) => ((of, *n) == (work, attempt)).then_some(*class),
            Self::Grant(_) | Self::Stop(_) | Self::Guide(_) | Self::HoldUp(_) => None,
        }
    }
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
            constitution: None,
            joined: Vec::new(),
            guards: Vec::new(),
            mail: Vec::new(),
            uniques: HashMap::new(),
            claims: HashMap::new(),
            given: BTreeMap::new(),
            failures: false,
            tries: Vec::new(),
            replies: Vec::new(),
            unanswered: Vec::new(),
            depends: Vec::new(),
            erase: Vec::new(),
            spoiled: Vec::new(),
            unsettled: Vec::new(),
            stalls: Vec::new(),
            jobs: 0,
        }
    }

    /// Whether it should take nothing more. What is decided by another law than before is written after that law.
    pub(super) fn is_full(&self) -> bool {
        self.jobs >= JOBS_MAX || self.constitution.is_some()
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

    /// Lets a group stand or fall with what this batch did to a task, if it did anything.
    pub(super) fn join_task(&mut self, group: GroupNo, task: TaskId) {
        if let Some(touched) = self.tasks.get(&task).filter(|t| !t.events.is_empty()) {
            self.join(group, touched.group);
        }
    }

    /// Lets an answer wait for what becomes of a task that this batch has touched.
    pub(super) fn rely_on(&mut self, ask: Ask, task: TaskId) {
        if let Some(touched) = self.tasks.get(&task).filter(|_| ask.ticket != 0) {
            self.depends.push((ask, touched.group));
        }
    }

    /// Where a task is because of this batch, if it has touched it.
    pub(super) fn status(&self, task: TaskId) -> Option<Status> {
        self.tasks.get(&task).map(|touched| touched.live.task.status())
    }

    /// Takes a guard along; what it holds nobody else in this batch may hold.
    pub(super) fn hold(&mut self, group: GroupNo, guard: Guard) {
        self.remember(&guard);
        self.guards.push((group, guard));
    }

    /// Lets this batch know who holds a key.
    pub(super) fn remember(&mut self, guard: &Guard) {
        if let Guard::Unique { key, until, value, stream } = guard {
            let row = UniqueRow { key: key.clone(), until: *until, value: value.clone(), stream: *stream };
            self.uniques.insert(key.clone(), row);
        }
    }

    /// How many groups there were, joined ones counted.
    pub(super) fn groups(&self) -> usize {
        self.joined.len()
    }

    /// A task of this group contradicts the rules: nothing of the group is written.
    pub(super) fn spoil(&mut self, group: GroupNo, task: TaskId) {
        self.spoiled.push((group, task));
    }

    /// The groups that are not written, by their roots, and the task that is the reason.
    pub(super) fn spoiled(&self) -> HashMap<GroupNo, TaskId> {
        self.spoiled.iter().rev().map(|(group, task)| (self.root(*group), *task)).collect()
    }

    /// Who holds a unique key because of this batch.
    pub(super) fn holder(&self, key: &str) -> Option<&UniqueRow> {
        self.uniques.get(key)
    }
}
