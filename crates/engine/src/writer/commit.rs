//! From the batch to the store, and what follows once it is written: caches, leases, mail, answers.

use super::batch::{Batch, LeaseChange, Touched};
use super::underway::{Sent, Underway};
use super::{Known, Reply, Ticket, Writer};
use crate::store::{Change, Conflict, Group, Row, Store, StoreError, Written};
use ephor_core::id::{StreamId, StreamKind, TaskId};
use std::collections::{HashMap, HashSet};

impl<S: Store> Writer<S> {
    /// Gives a batch to the store. Its tasks are in memory at once as it leaves them; nobody is answered before it is confirmed.
    pub(super) fn send(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        let (groups, members, wake) = self.groups(&mut batch);
        if groups.is_empty() {
            self.keep_untouched(&mut batch);
            // An erasure that was decided before may still have to be carried out: the process ended in between.
            let full = self.erase(&batch.erase)?;
            self.answers.extend(answers(batch.replies, &full, Reply::Full));
            return Ok(());
        }
        let events: usize = groups.iter().flat_map(|g| &g.changes).map(|c| c.events.len()).sum();
        // What is not about tasks alone is seldom, and simpler to know written before anything else is decided.
        let tasks_alone = batch.agents.is_empty() && batch.namespaces.is_empty() && batch.erase.is_empty();
        let touched = batch.order.iter().copied().collect();
        let mailed = batch.mail.iter().filter_map(|(_, mail)| mail.target.task()).collect();
        let tasks = self.keep(&mut batch);
        self.pen.begin(groups, batch.now.0, events, std::mem::take(&mut self.waste));
        self.underway = Some(Underway { batch, members, events: events as u64, tasks, wake, touched, mailed });
        if self.pen.is_done() || !tasks_alone {
            self.settle()?;
            self.spoiled = None;
        }
        Ok(())
    }

    /// Puts the tasks of a batch back where the next one finds them.
    fn keep(&mut self, batch: &mut Batch) -> Vec<Sent> {
        let leases = self.leases.clone();
        let leases = leases.lock().expect("nobody panics while holding the leases");
        let mut sent = Vec::with_capacity(batch.order.len());
        for id in std::mem::take(&mut batch.order) {
            let touched = batch.tasks.remove(&id).expect("what is in the order was touched");
            let Touched { live, group, leases: changes, .. } = *touched;
            let granted = changes.iter().filter_map(|change| match change {
                LeaseChange::Grant(granted) => Some((&granted.work, granted.attempt)),
                LeaseChange::Stop(_) | LeaseChange::Guide(_) => None,
            });
            let over = leases.held(id).chain(granted).filter(|(work, attempt)| !live.task.holds(work, *attempt));
            let over = over.map(|(work, attempt)| (work.clone(), attempt)).collect();
            let ended = live.task.end().is_some();
            sent.push(Sent { id, group, ended, leases: changes, over });
            if !ended && !self.quarantine.contains_key(&id) {
                self.waste.extend(self.cache.put(id, live));
            } else {
                self.waste.push(live);
            }
        }
        sent
    }

    /// The store has answered.
    pub(super) fn confirmed(&mut self, underway: Underway, results: &[Result<Written, Conflict>]) -> Result<(), StoreError> {
        self.position = match results.iter().all(Result::is_ok) {
            true => self.position + underway.events,
            false => self.reader.position()?,
        };
        let mut refused = HashSet::new();
        for (result, member) in results.iter().zip(&underway.members) {
            if let Err(conflict) = result {
                self.tell(conflict, *member);
                refused.insert(*member);
                // Something decided meanwhile may rest on what was refused.
                self.spoiled = Some(Reply::Conflict);
            }
        }
        self.written(underway, &refused)
    }

    /// The groups to be written, which group of the batch each one is, and when the clock has to look again. What did not change is
    /// left out.
    fn groups(&mut self, batch: &mut Batch) -> (Vec<Group>, Vec<usize>, Option<i64>) {
        let mut wake: Option<i64> = None;
        let mut by_root: HashMap<usize, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut members = Vec::new();
        let roots: Vec<usize> = (0..batch.groups()).map(|g| batch.root(g)).collect();
        let mut place = |root: usize, groups: &mut Vec<Group>| {
            *by_root.entry(root).or_insert_with(|| {
                // Most groups are one task: room for four changes would be room for three too many.
                groups.push(Group { changes: Vec::with_capacity(1), ..Group::default() });
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
                wake = Some(wake.map_or(at, |e| e.min(at)));
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
        (groups, members, wake)
    }

    /// Everything but the refused groups is written: memory follows.
    fn written(&mut self, underway: Underway, refused: &HashSet<usize>) -> Result<(), StoreError> {
        let Underway { batch, tasks, wake, .. } = underway;
        self.earliest_wake = self.earliest_wake.into_iter().chain(wake).min();
        let roots: Vec<usize> = (0..batch.groups()).map(|g| batch.root(g)).collect();
        let stands = |group: usize| !refused.contains(&roots[group]);
        for (_, mail) in batch.mail.iter().filter(|(group, _)| stands(*group)) {
            self.mailbox.extend(mail.target.task());
        }
        for sent in tasks {
            if !stands(sent.group) || self.quarantine.contains_key(&sent.id) {
                self.cache.take(sent.id);
                self.ready.clear();
                continue;
            }
            if sent.ended {
                self.mailbox.remove(&sent.id);
            }
            self.change_leases(sent, batch.mono);
        }
        for (id, touched) in batch.agents.into_iter().filter(|(_, t)| stands(t.group)) {
            self.agents.insert(id, Known::new(touched.agent, touched.hash));
            self.count_helpers();
            self.parked.wake_those(|waiting| waiting == id);
        }
        self.again.extend(batch.unsettled);
        let lost: HashSet<Ticket> =
            batch.depends.iter().filter(|(_, group)| !stands(*group)).map(|(ticket, _)| *ticket).collect();
        let erased: Vec<_> = batch.erase.iter().filter(|(ticket, _)| !lost.contains(ticket)).copied().collect();
        let full = self.erase(&erased)?;
        self.answers.extend(answers(answers(batch.replies, &lost, Reply::Conflict), &full, Reply::Full));
        Ok(())
    }

    /// Deletes what was private of tasks whose erasure is written. Answers who has to ask again because there was no space.
    fn erase(&mut self, tasks: &[(Ticket, TaskId)]) -> Result<HashSet<Ticket>, StoreError> {
        let mut full = HashSet::new();
        for (ticket, task) in tasks {
            let erased = self.pen.store().erase((*task).into());
            match erased {
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

    fn change_leases(&self, sent: Sent, mono: u64) {
        let Sent { id: task, leases: changes, over, .. } = sent;
        if changes.is_empty() && over.is_empty() {
            return;
        }
        let mut leases = self.leases();
        for change in changes {
            match change {
                LeaseChange::Grant(granted) => leases.grant(task, granted, mono),
                LeaseChange::Stop(stop) => leases.stop(task, stop),
                LeaseChange::Guide(text) => leases.guide(task, &text),
            }
        }
        for (work, attempt) in over {
            leases.end(task, &work, attempt);
        }
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

    /// Nothing of a batch stands: its tasks are gone from memory with it, and what was noted about them is read again.
    pub(super) fn forget(&mut self) {
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

/// The answers, but for those who get this one instead.
fn answers(replies: Vec<(Ticket, Reply)>, those: &HashSet<Ticket>, instead: Reply) -> Vec<(Ticket, Reply)> {
    let answer = |(ticket, reply)| if those.contains(&ticket) { (ticket, instead.clone()) } else { (ticket, reply) };
    replies.into_iter().map(answer).collect()
}
