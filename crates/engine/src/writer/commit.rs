//! From the batch to the store, and what follows once it is written: caches, leases, mail, answers.

use super::batch::{Ask, Batch, GroupNo, LeaseChange, Touched};
use super::trust::Ended;
use super::underway::{Over, Sent, Underway};
use super::{Done, Known, Reply, Ticket, Writer};
use crate::leases::Leases;
use crate::store::{Change, Conflict, Erasure, Group, NewEvent, Row, Store, StoreError, Written};
use ephor_core::command::Refusal;
use ephor_core::id::{StreamId, StreamKind, TaskId};
use ephor_core::planted::{self, Fault};
use ephor_core::status::Status;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl<S: Store> Writer<S> {
    /// Gives a batch to the store. Its tasks are in memory at once as it leaves them; nobody is answered before it is confirmed.
    /// Memory follows the batch before, `stood`, while the store works on this one already.
    pub(super) fn send(&mut self, mut batch: Batch, stood: Option<Underway>) -> Result<(), StoreError> {
        let spoiled = batch.spoiled();
        let (groups, members, wake) = self.groups(&mut batch, &spoiled);
        if groups.is_empty() && spoiled.is_empty() {
            stood.into_iter().for_each(|stood| self.stood(stood));
            self.keep_untouched(&mut batch);
            self.answers.extend(batch.replies);
            return Ok(());
        }
        let events: usize = groups.iter().flat_map(|g| &g.changes).map(|c| c.events.len()).sum();
        // What is not about tasks alone is seldom, and simpler to know written before anything else is decided.
        let tasks_alone =
            batch.agents.is_empty() && batch.namespaces.is_empty() && batch.constitution.is_none() && spoiled.is_empty();
        let mailed = batch.mail.iter().filter_map(|(_, mail)| mail.target.task()).collect();
        let (empty, transitions) = (groups.is_empty(), transitions(&groups));
        if !empty {
            self.pen.begin(groups, batch.now.0, events);
        }
        stood.into_iter().for_each(|stood| self.stood(stood));
        let tasks = self.put_back(&mut batch, &spoiled);
        let touched = tasks.iter().map(|sent| sent.id).collect();
        let events = events as u64;
        let underway = Underway { batch, members, events, tasks, wake, transitions, spoiled, touched, mailed };
        if empty {
            self.written(underway, HashSet::new());
            return Ok(());
        }
        self.underway = Some(underway);
        // Taken apart here and now: this thread made most of them, and the store has more to do than it has.
        self.waste.clear();
        if self.pen.is_done() || !tasks_alone {
            self.settle()?;
            self.undone = None;
        }
        Ok(())
    }

    /// Puts the tasks of a batch back where the next one finds them. What is not written is read again.
    fn put_back(&mut self, batch: &mut Batch, spoiled: &HashMap<GroupNo, TaskId>) -> Vec<Sent> {
        let leases = self.leases.clone();
        let leases = leases.lock().expect("nobody panics while holding the leases");
        // Which tools were used matters where some of them failed: what went well speaks for them from then on.
        let tools_matter = batch.failures || self.trust.remembers();
        let mut sent = Vec::with_capacity(batch.order.len());
        for id in std::mem::take(&mut batch.order) {
            let touched = batch.tasks.remove(&id).expect("what is in the order was touched");
            let Touched { live, group, follows, leases: changes, .. } = *touched;
            let granted = changes.iter().filter_map(|change| match change {
                LeaseChange::Grant(granted) => Some((&granted.work, granted.attempt)),
                LeaseChange::Stop(_) | LeaseChange::Guide(_) | LeaseChange::Failed(..) | LeaseChange::HoldUp(_) => None,
            });
            let over = leases.held(id).chain(granted).filter(|(work, attempt)| !live.task.holds(work, *attempt));
            let over = over.map(|(work, attempt)| {
                let key = live.task.step_key(work).filter(|_| tools_matter);
                let key = key.map(|key| (live.task.facts.namespace.clone(), key.into()));
                let class = changes.iter().find_map(|change| change.failure_of(work, attempt));
                Over { work: work.clone(), attempt, well: live.task.went_well(work, attempt), class, key, held: false }
            });
            let over = over.collect();
            let ended = live.task.end().is_some();
            sent.push(Sent { id, group, ended, born: follows == 0, leases: changes, over });
            if ended || spoiled.contains_key(&batch.root(group)) {
                self.waste.push(live);
            } else {
                self.waste.extend(self.cache.put(id, live));
            }
        }
        sent
    }

    /// The store has taken all of a batch.
    pub(super) fn stood(&mut self, underway: Underway) {
        underway.transitions.iter().for_each(|(_, told)| told.tell());
        self.position += underway.events;
        self.written(underway, HashSet::new());
    }

    /// The store has refused some groups of a batch.
    pub(super) fn confirmed(&mut self, underway: Underway, results: &[Result<Written, Conflict>]) -> Result<(), StoreError> {
        for (_, told) in underway.transitions.iter().filter(|(group, _)| results[*group].is_ok()) {
            told.tell();
        }
        self.position = self.reader.position()?;
        let mut refused = HashSet::new();
        for (result, member) in results.iter().zip(&underway.members) {
            if let Err(conflict) = result {
                self.tell(conflict, *member);
                refused.insert(*member);
                // Something decided meanwhile may rest on what was refused.
                self.undone = Some(Reply::Conflict);
            }
        }
        self.written(underway, refused);
        Ok(())
    }

    /// The groups to be written, which group of the batch each one is, and when the clock has to look again. What did not change is
    /// left out.
    fn groups(&mut self, batch: &mut Batch, spoiled: &HashMap<GroupNo, TaskId>) -> (Vec<Group>, Vec<GroupNo>, Option<i64>) {
        let mut wake: Option<i64> = None;
        let mut groups: Vec<Group> = Vec::new();
        let mut members = Vec::new();
        let roots: Vec<usize> = (0..batch.groups()).map(|g| batch.root(g)).collect();
        let mut places: Vec<Option<usize>> = vec![None; roots.len()];
        let mut place = |root: usize, groups: &mut Vec<Group>| {
            *places[root].get_or_insert_with(|| {
                // Most groups are one task: room for four changes would be room for three too many.
                groups.push(Group { changes: Vec::with_capacity(1), ..Group::default() });
                members.push(root);
                groups.len() - 1
            })
        };
        let erased: HashMap<TaskId, u64> = batch.erase.drain(..).collect();
        for id in &batch.order {
            let touched = batch.tasks.get_mut(id).expect("what is in the order was touched");
            if spoiled.contains_key(&roots[touched.group]) {
                continue;
            }
            let row = touched.live.row(touched.open.as_deref(), batch.now).map(Arc::new);
            let erased = erased.get(id).filter(|_| !planted::is(Fault::ErasureHalf));
            let taken = !touched.mail_taken.is_empty() || !touched.blobs.is_empty();
            if touched.events.is_empty() && row.is_none() && !taken && erased.is_none() {
                continue;
            }
            if let Some(at) = row.as_ref().and_then(|r| r.wake_at) {
                wake = Some(wake.map_or(at, |e| e.min(at)));
            }
            let at = place(roots[touched.group], &mut groups);
            groups[at].changes.push(Change {
                stream: StreamId::from(*id),
                follows: touched.follows,
                events: std::mem::take(&mut touched.events),
                row: row.clone(),
                mail_taken: if planted::is(Fault::MailKept) { Vec::new() } else { std::mem::take(&mut touched.mail_taken) },
                blobs: std::mem::take(&mut touched.blobs),
                snapshot: touched.live.freeze(self.snapshot_every),
            });
            groups[at].erase.extend(erased.map(|version| Erasure { stream: StreamId::from(*id), version: *version }));
            if row.is_some() {
                touched.live.row = row;
            }
        }
        for (id, touched) in &mut batch.agents {
            if touched.events.is_empty() {
                continue;
            }
            let at = place(roots[touched.group], &mut groups);
            let row = (touched.follows == 0).then(|| Row { created_at: batch.now.0, ..Row::default() }.into());
            groups[at].changes.push(Change {
                stream: StreamId::from(*id),
                follows: touched.follows,
                events: std::mem::take(&mut touched.events),
                row,
                mail_taken: Vec::new(),
                blobs: Vec::new(),
                snapshot: None,
            });
        }
        for (name, touched) in &mut batch.namespaces {
            let at = place(roots[touched.group], &mut groups);
            let row = Row { namespace: name.to_string(), created_at: batch.now.0, ..Row::default() };
            groups[at].changes.push(Change {
                stream: StreamId::named(StreamKind::Namespace, name),
                follows: touched.follows,
                events: std::mem::take(&mut touched.events),
                row: (touched.follows == 0).then(|| row.into()),
                mail_taken: Vec::new(),
                blobs: Vec::new(),
                snapshot: None,
            });
        }
        if let Some(touched) = batch.constitution.as_mut().filter(|touched| !touched.events.is_empty()) {
            let at = place(roots[touched.group], &mut groups);
            let row = Row { created_at: batch.now.0, ..Row::default() };
            groups[at].changes.push(Change {
                stream: super::amending::stream(),
                follows: touched.follows,
                events: std::mem::take(&mut touched.events),
                row: (touched.follows == 0).then(|| row.into()),
                mail_taken: Vec::new(),
                blobs: Vec::new(),
                snapshot: None,
            });
        }
        for (group, guard) in batch.guards.drain(..).filter(|(group, _)| !spoiled.contains_key(&roots[*group])) {
            let at = place(roots[group], &mut groups);
            groups[at].guards.push(guard);
        }
        for (group, mail) in batch.mail.iter().filter(|(group, _)| !spoiled.contains_key(&roots[*group])) {
            let at = place(roots[*group], &mut groups);
            groups[at].mail.push(mail.clone());
        }
        (groups, members, wake)
    }

    /// Everything but what contradicts the rules or was refused is written: memory follows.
    fn written(&mut self, underway: Underway, refused: HashSet<GroupNo>) {
        let Underway { mut batch, tasks, wake, spoiled, .. } = underway;
        self.earliest_wake = self.earliest_wake.into_iter().chain(wake).min();
        let roots: Vec<GroupNo> = (0..batch.groups()).map(|g| batch.root(g)).collect();
        let stands = |group: GroupNo| !refused.contains(&roots[group]) && !spoiled.contains_key(&roots[group]);
        for (_, mail) in batch.mail.iter().filter(|(group, _)| stands(*group)) {
            self.mailbox.extend(mail.target.task().filter(|task| !self.quarantine.contains_key(task)));
        }
        let touched = batch.constitution.take();
        let amended = touched.as_ref().is_some_and(|touched| stands(touched.group));
        self.amended(touched, amended);
        batch.stalls.iter().filter(|(group, ..)| stands(*group)).for_each(|(_, task, then)| then.tell(*task));
        let mut lost = HashMap::new();
        let mut ended = Vec::new();
        for sent in tasks {
            if let Some(why) = spoiled.get(&roots[sent.group]) {
                lost.insert(sent.id, *why);
            }
            if !stands(sent.group) {
                self.cache.take(sent.id);
                self.ready.clear();
                self.turns.stale = true;
                // What it took of its mail is still in the store.
                if !sent.born && !self.quarantine.contains_key(&sent.id) {
                    self.mailbox.insert(sent.id);
                }
                continue;
            }
            if sent.ended {
                self.mailbox.remove(&sent.id);
            }
            self.change_leases(sent, batch.mono, &mut ended);
        }
        self.try_out(&batch.tries);
        self.hear(ended, batch.now, batch.mono);
        for (name, touched) in batch.namespaces.iter().filter(|(_, t)| stands(t.group)) {
            touched.facts.iter().for_each(|fact| self.learn(name, fact, batch.now, batch.mono));
        }
        for (id, touched) in batch.agents.into_iter().filter(|(_, t)| stands(t.group)) {
            self.directory.put(&touched.agent);
            self.agents.insert(id, Known::new(touched.agent, touched.hash));
            self.count_helpers();
            self.parked.wake_those(|waiting| waiting == id);
        }
        for (_, touched) in batch.namespaces.into_iter().filter(|(_, t)| stands(t.group)) {
            touched.flow.iter().for_each(|(event, by)| self.turns.take_in(event, batch.now, by));
        }
        self.again.extend(batch.unsettled.into_iter().filter(|task| !self.quarantine.contains_key(task)));
        let mut answers = Answers { conflicts: HashSet::new(), spoiled: HashMap::new(), lost, quarantine: &self.quarantine };
        for (ask, group) in batch.depends {
            if refused.contains(&roots[group]) {
                answers.conflicts.insert(ask.ticket);
            } else if let Some(task) = spoiled.get(&roots[group]) {
                answers.spoiled.insert(ask, *task);
            }
        }
        let replies = batch.replies.into_iter().map(|(ticket, reply)| (ticket, answers.of(ticket, reply)));
        self.answers.extend(replies);
    }

    fn change_leases(&mut self, sent: Sent, mono: u64, ended: &mut Vec<Ended>) {
        let Sent { id: task, leases: changes, mut over, .. } = sent;
        if changes.is_empty() && over.is_empty() {
            return;
        }
        let leases = self.leases.clone();
        let mut leases = leases.lock().expect("nobody panics while holding the leases");
        // What was held before ends before its work is given to somebody else; what was given just now may be over already.
        over.iter_mut().for_each(|one| one.held = leases.is_held(task, &one.work, one.attempt));
        for one in over.iter().filter(|one| one.held) {
            self.end_lease(&mut leases, task, one, ended);
        }
        for change in changes {
            match change {
                LeaseChange::Grant(granted) => leases.grant(task, granted, mono),
                LeaseChange::Stop(stop) => leases.stop(task, stop),
                LeaseChange::Guide(text) => leases.guide(task, &text),
                LeaseChange::HoldUp(held_up) => leases.hold_up(task, held_up),
                LeaseChange::Failed(..) => {}
            }
        }
        for one in over.iter().filter(|one| !one.held) {
            self.end_lease(&mut leases, task, one, ended);
        }
    }

    fn end_lease(&mut self, leases: &mut Leases, task: TaskId, over: &Over, ended: &mut Vec<Ended>) {
        let Over { work, attempt, well, class, key, held: _ } = over;
        let Some(agent) = leases.end(task, work, *attempt) else { return };
        if self.trust.tried(task, work, *attempt) {
            self.parked.wake_those(|_| true);
        }
        // What was taken back from its holder went neither well nor badly.
        match (well, class) {
            (true, None) | (_, Some(_)) => {
                ended.push(Ended { agent, task, class: *class, first: *attempt == 1, key: key.clone() })
            }
            (false, None) => self.trust.ended_otherwise(agent, &mut self.parked),
        }
    }

    /// Nothing was to be written: what was looked at goes back.
    fn keep_untouched(&mut self, batch: &mut Batch) {
        for id in std::mem::take(&mut batch.order) {
            let touched = batch.tasks.remove(&id).expect("what is in the order was touched");
            if touched.live.task.end().is_none() && !self.quarantine.contains_key(&id) {
                self.waste.extend(self.cache.put(id, touched.live));
            }
        }
    }

    /// Nothing of a batch stands: its tasks are gone from memory with it, and what was noted about them is read again.
    pub(super) fn forget(&mut self) {
        self.obey_as_before();
        self.ready.clear();
        self.turns.stale = true;
        self.parked.wake_those(|_| true);
        // Mail that was taken in memory is still in the store.
        if let Err(error) = self.read_mailbox() {
            tracing::warn!(%error, "could not look for mail; it is looked for again");
            self.mail_unread = true;
        }
    }

    fn tell(&self, conflict: &Conflict, group: usize) {
        tracing::warn!(?conflict, group, "another writer was faster; everything folded onto it is forgotten and asked again");
    }
}

/// A task that changed its status, for the log.
pub(super) struct Transition {
    task: StreamId,
    event: &'static str,
    from: Option<Status>,
    to: Option<Status>,
    by: String,
}

impl Transition {
    fn tell(&self) {
        let word = |status: Option<Status>| status.map(|status| status.word());
        let (task, event, from, to, by) = (&self.task, self.event, word(self.from), word(self.to), &self.by);
        match self.to.is_some_and(is_the_usual_way) {
            true => tracing::debug!(%task, event, from, to, by, "transition"),
            false => tracing::info!(%task, event, from, to, by, "transition"),
        }
    }
}

/// Whether a task that goes well comes by this status. There are many of those, and little to be told of each.
fn is_the_usual_way(status: Status) -> bool {
    match status {
        Status::Pending | Status::Scheduled | Status::Assigned | Status::InProgress | Status::Review | Status::Completed => true,
        Status::Deliberating
        | Status::Blocked
        | Status::Paused
        | Status::Retrying
        | Status::Escalated
        | Status::Stalled
        | Status::Failed
        | Status::Cancelled
        | Status::Stopped => false,
    }
}

/// The changes of status in what is to be written, by group; none where nobody reads them.
fn transitions(groups: &[Group]) -> Vec<(usize, Transition)> {
    if !tracing::enabled!(tracing::Level::INFO) {
        return Vec::new();
    }
    let all = tracing::enabled!(tracing::Level::DEBUG);
    let events = |(n, group): (usize, &Group)| {
        let of = |change: &Change| {
            let moved = change.events.iter().filter(|e| e.before != e.after && (all || !e.after.is_some_and(is_the_usual_way)));
            let told = |e: &NewEvent| Transition {
                task: change.stream,
                event: e.kind,
                from: e.before,
                to: e.after,
                by: e.actor.clone(),
            };
            moved.map(told).collect::<Vec<_>>()
        };
        group.changes.iter().flat_map(of).map(|told| (n, told)).collect::<Vec<_>>()
    };
    groups.iter().enumerate().flat_map(events).collect()
}

/// What those are answered whose answer relied on something that was not written.
struct Answers<'a> {
    /// They ask again.
    conflicts: HashSet<Ticket>,
    /// They hear which task is the reason.
    spoiled: HashMap<Ask, TaskId>,
    /// The tasks of which nothing is written, and which one is the reason.
    lost: HashMap<TaskId, TaskId>,
    quarantine: &'a HashMap<TaskId, String>,
}

impl Answers<'_> {
    fn of(&self, ticket: Ticket, reply: Reply) -> Reply {
        if self.conflicts.contains(&ticket) {
            return Reply::Conflict;
        }
        match reply {
            Reply::One(done) => Reply::One(self.item(Ask { ticket, item: 0 }, done)),
            Reply::Many(all) => {
                Reply::Many(all.into_iter().enumerate().map(|(item, done)| self.item(Ask { ticket, item }, done)).collect())
            }
            // Work of which no `ASSIGNED` is written is nobody's.
            Reply::Work(items) => Reply::Work(items.map(|mut items| {
                items.retain(|item| !self.lost.contains_key(&item.task_id));
                items
            })),
            Reply::Full | Reply::Busy | Reply::Conflict => reply,
        }
    }

    fn item(&self, ask: Ask, done: Result<Done, Refusal>) -> Result<Done, Refusal> {
        match self.spoiled.get(&ask) {
            Some(task) => {
                let why = self.quarantine.get(task).cloned().unwrap_or_default();
                Err(Refusal::Corrupt { task: task.to_string(), why })
            }
            None => done,
        }
    }
}
