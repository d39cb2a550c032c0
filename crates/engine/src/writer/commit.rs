//! From the batch to the store, and what follows once it is written: caches, leases, mail, answers.

use super::batch::{Batch, LeaseChange};
use super::{Known, Reply, Ticket, Writer};
use crate::store::{Change, Conflict, Group, NewEvent, Row, Store, StoreError};
use ephor_core::id::{StreamId, StreamKind, TaskId};
use ephor_core::status::Status;
use ephor_core::task::Task;
use std::collections::{HashMap, HashSet};

impl<S: Store> Writer<S> {
    /// Writes a batch and answers. On trouble everything it touched is forgotten.
    pub(super) fn commit(&mut self, mut batch: Batch) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        let (groups, members) = self.groups(&mut batch);
        if groups.is_empty() {
            self.keep_untouched(&mut batch);
            // An erasure that was decided before may still have to be carried out: the process ended in between.
            let full = self.erase(&batch.erase)?;
            return Ok(answers(batch.replies, &full, Reply::Full));
        }
        let events: usize = groups.iter().flat_map(|g| &g.changes).map(|c| c.events.len()).sum();
        let events = events as u64;
        let transitions = transitions(&groups);
        match self.store.commit(groups, batch.now.0) {
            Ok(results) => {
                for (_, told) in transitions.iter().filter(|(group, _)| results[*group].is_ok()) {
                    told.tell();
                }
                self.position = match results.iter().all(Result::is_ok) {
                    true => self.position + events,
                    false => self.reader.position()?,
                };
                let refused: HashSet<usize> =
                    results.iter().zip(&members).filter(|(result, _)| result.is_err()).map(|(_, member)| *member).collect();
                for (result, member) in results.iter().zip(&members) {
                    if let Err(conflict) = result {
                        self.tell(conflict, *member);
                    }
                }
                self.written(batch, &refused)
            }
            Err(StoreError::Full(why)) => {
                tracing::warn!(why, "no space left to write");
                self.forget();
                Ok(batch.replies.into_iter().map(|(ticket, _)| (ticket, Reply::Full)).collect())
            }
            Err(fatal) => Err(fatal),
        }
    }

    /// The groups to be written, and which group of the batch each one is. What did not change is left out.
    fn groups(&mut self, batch: &mut Batch) -> (Vec<Group>, Vec<usize>) {
        let mut by_root: HashMap<usize, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut members = Vec::new();
        let roots: Vec<usize> = (0..batch.groups()).map(|g| batch.root(g)).collect();
        let mut place = |root: usize, groups: &mut Vec<Group>| {
            *by_root.entry(root).or_insert_with(|| {
                groups.push(Group::default());
                members.push(root);
                groups.len() - 1
            })
        };
        for id in &batch.order {
            let touched = batch.tasks.get_mut(id).expect("what is in the order was touched");
            if self.quarantine.contains_key(id) {
                continue;
            }
            let row = touched.live.row(touched.open.as_deref(), batch.now);
            if touched.events.is_empty() && row.is_none() && touched.mail_taken.is_empty() {
                continue;
            }
            if let Some(at) = row.as_ref().and_then(|r| r.wake_at) {
                self.earliest_wake = Some(self.earliest_wake.map_or(at, |e| e.min(at)));
            }
            let at = place(roots[touched.group], &mut groups);
            groups[at].changes.push(Change {
                stream: StreamId::from(*id),
                follows: touched.follows,
                events: std::mem::take(&mut touched.events),
                row: row.clone(),
                mail_taken: std::mem::take(&mut touched.mail_taken),
                blobs: std::mem::take(&mut touched.blobs),
                snapshot: touched.live.freeze(),
            });
            if row.is_some() {
                touched.live.row = row;
            }
        }
        for (id, touched) in &mut batch.agents {
            if touched.events.is_empty() {
                continue;
            }
            let at = place(roots[touched.group], &mut groups);
            let row = (touched.follows == 0).then(|| Row { created_at: batch.now.0, ..Row::default() });
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
                row: (touched.follows == 0).then_some(row),
                mail_taken: Vec::new(),
                blobs: Vec::new(),
                snapshot: None,
            });
        }
        for (group, guard) in batch.guards.drain(..) {
            let at = place(roots[group], &mut groups);
            groups[at].guards.push(guard);
        }
        for (group, mail) in &batch.mail {
            let at = place(roots[*group], &mut groups);
            groups[at].mail.push(mail.clone());
        }
        (groups, members)
    }

    /// Everything but the refused groups is written: memory follows.
    fn written(&mut self, batch: Batch, refused: &HashSet<usize>) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        let roots: Vec<usize> = (0..batch.groups()).map(|g| batch.root(g)).collect();
        let stands = |group: usize| !refused.contains(&roots[group]);
        for (_, mail) in batch.mail.iter().filter(|(group, _)| stands(*group)) {
            self.mailbox.extend(mail.target.task());
        }
        let mut tasks = batch.tasks;
        for id in batch.order {
            let touched = tasks.remove(&id).expect("what is in the order was touched");
            let good = stands(touched.group) && !self.quarantine.contains_key(&id);
            if !good {
                self.ready.clear();
                continue;
            }
            self.change_leases(&touched.live.task, touched.leases, batch.mono);
            if touched.live.task.end().is_some() {
                self.mailbox.remove(&id);
            } else {
                self.cache.put(id, touched.live);
            }
        }
        for (id, touched) in batch.agents.into_iter().filter(|(_, t)| stands(t.group)) {
            self.directory.put(&touched.agent);
            self.agents.insert(id, Known::new(touched.agent, touched.hash));
            self.count_helpers();
            self.parked.wake_those(|waiting| waiting == id);
        }
        self.again.extend(batch.unsettled);
        let lost: HashSet<Ticket> =
            batch.depends.iter().filter(|(_, group)| !stands(*group)).map(|(ticket, _)| *ticket).collect();
        let erased: Vec<_> = batch.erase.iter().filter(|(ticket, _)| !lost.contains(ticket)).copied().collect();
        let full = self.erase(&erased)?;
        Ok(answers(answers(batch.replies, &lost, Reply::Conflict), &full, Reply::Full))
    }

    /// Deletes what was private of tasks whose erasure is written. Answers who has to ask again because there was no space.
    fn erase(&mut self, tasks: &[(Ticket, TaskId)]) -> Result<HashSet<Ticket>, StoreError> {
        let mut full = HashSet::new();
        for (ticket, task) in tasks {
            match self.store.erase((*task).into()) {
                Ok(()) => drop(self.cache.take(*task)),
                Err(StoreError::Full(why)) => {
                    tracing::warn!(%task, why, "no space left to erase");
                    full.insert(*ticket);
                }
                Err(fatal) => return Err(fatal),
            }
        }
        Ok(full)
    }

    fn change_leases(&self, live: &Task, changes: Vec<LeaseChange>, mono: u64) {
        let task = live.id;
        let mut leases = self.leases();
        for change in changes {
            match change {
                LeaseChange::Grant(granted) => leases.grant(task, granted, mono),
                LeaseChange::Stop(stop) => leases.stop(task, stop),
                LeaseChange::Guide(text) => leases.guide(task, &text),
            }
        }
        leases.retain(task, |work, attempt| live.holds(work, attempt));
    }

    /// Nothing was to be written: what was looked at goes back.
    fn keep_untouched(&mut self, batch: &mut Batch) {
        for id in std::mem::take(&mut batch.order) {
            let touched = batch.tasks.remove(&id).expect("what is in the order was touched");
            if touched.live.task.end().is_none() && !self.quarantine.contains_key(&id) {
                self.cache.put(id, touched.live);
            }
        }
    }

    /// Nothing of the batch stands: its tasks are gone from memory with it, and what was noted about them is read again.
    fn forget(&mut self) {
        self.ready.clear();
        self.parked.wake_those(|_| true);
        // Mail that was taken in memory is still in the store.
        if let Err(error) = self.read_mailbox() {
            tracing::warn!(%error, "could not look for mail after a failed write");
        }
    }

    fn tell(&self, conflict: &Conflict, group: usize) {
        tracing::warn!(?conflict, group, "another writer was faster; everything folded onto it is forgotten and asked again");
    }
}

/// A task that changed its status, for the log.
struct Transition {
    task: StreamId,
    event: &'static str,
    from: Option<Status>,
    to: Option<Status>,
    by: String,
}

impl Transition {
    fn tell(&self) {
        let word = |status: Option<Status>| status.map(|status| status.word());
        tracing::debug!(task = %self.task, event = self.event, from = word(self.from), to = word(self.to), by = self.by, "transition");
    }
}

/// The changes of status in what is to be written, by group; none where nobody reads them.
fn transitions(groups: &[Group]) -> Vec<(usize, Transition)> {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return Vec::new();
    }
    let events = |(n, group): (usize, &Group)| {
        let of = |change: &Change| {
            let moved = change.events.iter().filter(|e| e.before != e.after);
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

/// The answers, but for those who get this one instead.
fn answers(replies: Vec<(Ticket, Reply)>, those: &HashSet<Ticket>, instead: Reply) -> Vec<(Ticket, Reply)> {
    let answer = |(ticket, reply)| if those.contains(&ticket) { (ticket, instead.clone()) } else { (ticket, reply) };
    replies.into_iter().map(answer).collect()
}
