//! One task, event by event, as the store holds it: its chain, its fold, what others should have heard of it, and the witness's word.

use crate::codec::{self, GENESIS, Hashed};
use crate::live;
use crate::store::{PrivateBody, StoreError, StoredEvent};
use crate::witness::{Breach, Rule, Said, Witness};
use ephor_core::event::{Actor, Event, Letter};
use ephor_core::id::TaskId;
use ephor_core::task::Task;
use ephor_core::time::Time;

/// A task as far as its events have been looked at.
pub(crate) struct Examined {
    pub(crate) task: Task,
    pub(crate) witness: Witness,
    /// The hash of the last event.
    pub(crate) hash: [u8; 32],
    /// When that was.
    pub(crate) at: i64,
}

/// What one event brought.
#[derive(Default)]
pub(crate) struct Taken {
    /// The event, unless it cannot be read.
    pub(crate) event: Option<Event>,
    /// What must not be.
    pub(crate) breaches: Vec<Breach>,
    /// Letters that follow from it.
    pub(crate) sent: Vec<(TaskId, Letter)>,
    /// Tasks that were born from it.
    pub(crate) born: Vec<TaskId>,
}

impl Examined {
    pub(crate) fn new(id: TaskId) -> Self {
        Self { task: Task::unborn(id), witness: Witness::default(), hash: GENESIS, at: i64::MIN }
    }

    /// Looks at the next event of the stream.
    pub(crate) fn take(&mut self, stored: &StoredEvent) -> Taken {
        let mut taken = Taken { breaches: link(&mut self.hash, self.task.version + 1, stored), ..Taken::default() };
        if stored.at < self.at {
            taken.breach(Rule::Time, format!("it happened {} ms before the event it follows", self.at - stored.at));
        }
        self.at = self.at.max(stored.at);
        let (event, private) = match live::decode(stored) {
            Ok(read) => read,
            Err(StoreError::Corrupt { why, .. }) => {
                taken.breach(Rule::Storage, why);
                return taken;
            }
            Err(other) => {
                taken.breach(Rule::Storage, other.to_string());
                return taken;
            }
        };
        let Some(actor) = Actor::read(&stored.actor) else {
            taken.breach(Rule::Storage, format!("{:?} is nobody", stored.actor));
            return taken;
        };
        let said = Said { actor: &actor, at: stored.at };
        taken.breaches.extend(self.witness.take(&event, &said, stored.before, stored.after));
        let before = (self.task.version > 0).then(|| self.task.status());
        let children: Vec<TaskId> = match &event {
            Event::ChildBorn { child, .. } | Event::StallEscalated { task: child } => vec![*child],
            _ => Vec::new(),
        };
        self.task.take_in(&event, private.as_ref(), Time(stored.at));
        if (stored.before, stored.after) != (before, Some(self.task.status())) {
            let (before, after) = (before.map_or("nothing", |s| s.word()), self.task.status());
            taken.breach(Rule::Differs, format!("its events lead from {before} to {after}, but it says otherwise"));
        }
        if let Some(spent) = self.witness.spent().filter(|spent| *spent != self.task.spent()) {
            taken.breach(Rule::Differs, format!("its events add up to {spent:?}, but it has {:?}", self.task.spent()));
        }
        if stored.kind != event.kind() {
            taken.breach(Rule::Differs, format!("it calls itself {} and is {}", stored.kind, event.kind()));
        }
        taken.sent = self.task.mail_after(&event).into_iter().map(|(to, letter, _)| (to, letter)).collect();
        let again = self.task.recurrence_after(&event, Time(stored.at)).map(|birth| birth.id);
        taken.born = children.into_iter().chain(again).collect();
        taken.event = Some(event);
        taken
    }
}

impl Taken {
    fn breach(&mut self, rule: Rule, what: String) {
        self.breaches.push(Breach { rule, what });
    }
}

/// Checks that an event follows the one before it in its stream, and moves on.
pub(crate) fn link(hash: &mut [u8; 32], version: u64, stored: &StoredEvent) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |what: String| breaches.push(Breach { rule: Rule::Chain, what });
    if stored.version != version {
        breach(format!("version {} stands where {version} should", stored.version));
    }
    let hashed = Hashed {
        stream: stored.stream,
        version: stored.version,
        at: stored.at,
        kind: &stored.kind,
        actor: &stored.actor,
        before: stored.before,
        after: stored.after,
        schema: stored.schema,
        data: &stored.data,
        private: stored.private.as_ref().map(|p| &p.digest),
    };
    if codec::event_hash(hash, &hashed) != stored.hash {
        breach("its hash does not follow from it and the event before".into());
    }
    if let Some(private) = &stored.private
        && let PrivateBody::Inline(body) = &private.body
        && codec::private_digest(&private.salt, body) != private.digest
    {
        breach("its private part is not the one it was written with".into());
    }
    *hash = stored.hash;
    breaches
}
