//! Claims: the best work an agent can do, task by task, until it has what it asked for or nothing is left. Who finds nothing and is
//! willing to wait is parked, and served as soon as something is offered.

use super::batch::{Ask, Batch, Try};
use super::parked::Woken;
use super::{Claim, Reply, TaskSet, Ticket, Writer};
use crate::store::{Cursor, Store, StoreError};
use ephor_core::agent::AgentStatus;
use ephor_core::command::{self, Answer, Command, Refusal};
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::matching::{Able, fits};
use ephor_core::planted::{self, Fault};
use ephor_core::work::{WorkItem, WorkKey};
use std::collections::HashSet;
use std::sync::Arc;

/// The most pieces of work one claim may get.
const CLAIM_MAX: u32 = 1_000;
/// How many tasks of the index are looked through for one claim before it is told that nothing was found.
const INDEX_LOOKS: u32 = 20_000;
/// How many tasks one look fetches.
const INDEX_PAGE: u32 = 1_000;

impl<S: Store> Writer<S> {
    /// Serves a claim, or parks it.
    pub(super) fn claim(&mut self, batch: &mut Batch, ticket: Ticket, claim: Claim) -> Result<(), StoreError> {
        let reply = match self.work_for(batch, Ask { ticket, item: 0 }, &claim)? {
            Ok(items) if items.is_empty() && claim.until > batch.mono => {
                self.reach("claim parked");
                let known = &self.agents[&claim.wish.agent_id];
                let (agent, namespace, able) = (claim.wish.agent_id, known.namespace(), known.able.clone());
                self.parked.park(ticket, claim, namespace, able);
                // What it holds ends, and it may hold more.
                if self.room(agent, 0, batch.now) == Some(0) {
                    self.trust.full.insert(agent);
                }
                if self.turns.more {
                    // It has not seen all there is, and goes on when others had their turn.
                    self.parked.wake_those(|waiting| waiting == agent);
                }
                return Ok(());
            }
            other => other,
        };
        batch.replies.push((ticket, Reply::Work(reply)));
        Ok(())
    }

    /// Serves those who wait and for whom something may have come, and sends home those who have waited long enough.
    pub(super) fn serve_parked(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        // Each of them looks once; what the first leaves of an offer is for the next who can do it.
        self.open_due(batch.now);
        let (mut looked, mut later) = (HashSet::new(), Vec::new());
        while let Some(Woken { ticket, claim, offers }) = self.parked.take_woken() {
            if !looked.insert(ticket) {
                later.push((ticket, claim, offers));
                continue;
            }
            if let Err(error) = self.claim(batch, ticket, claim) {
                batch.unanswered.push(ticket);
                batch.unanswered.extend(later.iter().map(|(ticket, ..)| *ticket));
                return Err(error);
            }
            for (namespace, key) in offers {
                if self.ready.offers(&namespace, &key) || self.turns.lanes.offers(&namespace, &key) {
                    self.wake_for(&namespace, &key, |ticket| !looked.contains(&ticket));
                }
            }
        }
        // Those who were woken again go on in the next batch.
        for (ticket, claim, offers) in later {
            let known = &self.agents[&claim.wish.agent_id];
            self.parked.park(ticket, claim, known.namespace(), known.able.clone());
            self.parked.wake_again(ticket, offers);
        }
        for ticket in self.parked.take_late(batch.mono) {
            batch.replies.push((ticket, Reply::Work(Ok(Vec::new()))));
        }
        Ok(())
    }

    /// Whoever asked is gone: they get no work that somebody else could do.
    pub(crate) fn forget_claim(&mut self, ticket: Ticket) {
        for (namespace, key) in self.parked.forget(ticket) {
            self.wake_for(&namespace, &key, |_| true);
        }
    }

    /// Wakes the best of those who wait and can do this.
    fn wake_for(&mut self, namespace: &str, key: &str, may: impl Fn(Ticket) -> bool) {
        let leases = self.leases.lock().expect("nobody panics while holding the leases");
        self.parked.wake_for(namespace, key, may, &|agent| Self::standing(&leases, &self.directory, agent));
    }

    fn work_for(&mut self, batch: &mut Batch, ask: Ask, claim: &Claim) -> Result<Result<Vec<WorkItem>, Refusal>, StoreError> {
        let wish = &claim.wish;
        let (namespace, able) = match self.agents.get(&wish.agent_id) {
            Some(known) if known.is_active() => (known.namespace(), known.able.clone()),
            // It gets nothing new, but hears of what it was given when the answer was lost.
            Some(known) if known.agent.status == AgentStatus::Draining && claim.held_first => {
                return self.held(batch, claim).map(Ok);
            }
            Some(known) if known.agent.status == AgentStatus::Draining => return self.repeated(batch, claim).map(Ok),
            Some(known) if known.agent.status == AgentStatus::Revoked => {
                return Ok(Err(Refusal::Forbidden(format!("{} was revoked", wish.agent_id))));
            }
            _ => return Ok(Err(Refusal::NotFound { what: "agent", id: wish.agent_id.to_string() })),
        };
        self.turns.more = false;
        let again = self.repeated(batch, claim)?;
        if !again.is_empty() {
            self.reach("claim repeated");
            return Ok(Ok(again));
        }
        if claim.held_first {
            let held = self.held(batch, claim)?;
            if !held.is_empty() {
                return Ok(Ok(held));
            }
        }
        if self.turns.facts.over_agent(wish.agent_id).is_some() && !planted::is(Fault::HoldIgnored) {
            return Ok(Ok(Vec::new()));
        }
        let most = wish.max.min(CLAIM_MAX).min(self.room_in(batch, wish.agent_id)?);
        let asked = command::Claim {
            agent: wish.agent_id,
            able: able.clone(),
            closed: self.none.clone(),
            claim: wish.claim_id,
            start: wish.start,
            limits: Vec::new(),
        };
        let actor = Actor::agent(wish.agent_id);
        let mut items = Vec::new();
        let mut without = TaskSet::new();
        let mut searched = false;
        while items.len() < most as usize {
            let Some(task) = self.pick(batch, wish.agent_id, namespace.as_deref(), &able, &without)? else {
                // What is not in memory may be in the index: a fresh start, or more than memory should hold.
                let incomplete = self.ready.incomplete || self.turns.search.is_some() || self.turns.lanes.hungry;
                if !incomplete || searched || self.turns.more {
                    break;
                }
                searched = true;
                self.search_index(batch, wish.agent_id, namespace.as_deref(), &able)?;
                continue;
            };
            let before = if self.touch(batch, task)? { batch.tasks[&task].live.task.version } else { 0 };
            let asked = command::Claim { closed: self.shut_keys(batch, task), ..asked.clone() };
            match self.command(batch, ask, task, Command::Claim(asked), &actor)? {
                Ok(done) => {
                    if let Answer::Work(item) = done.answer {
                        self.note_given(batch, wish.agent_id, &item);
                        batch.claims.entry(wish.claim_id).or_default().push((task, item.work.clone()));
                        items.push(*item);
                        if searched {
                            self.reach("claim served from the index");
                        }
                    }
                }
                Err(_) => {
                    // A task that moved while it was asked may offer something else now.
                    let after = batch.tasks.get(&task).map_or(0, |t| t.live.task.version);
                    if before == after {
                        without.insert(task);
                    }
                }
            }
        }
        Ok(Ok(items))
    }

    /// How many more pieces of work an agent may be given in this batch.
    fn room_in(&mut self, batch: &Batch, agent: AgentId) -> Result<u32, StoreError> {
        if self.room(agent, 0, batch.now).is_none() {
            return Ok(u32::MAX);
        }
        if self.leases().probation(agent).is_some() {
            self.reach("agent on probation");
        }
        // What it was given in the batch before is counted once that is written.
        self.settle()?;
        let given = batch.given.get(&agent).copied().unwrap_or(0);
        Ok(self.room(agent, given, batch.now).unwrap_or(u32::MAX))
    }

    /// Whether work under this key is not given out in this batch.
    pub(super) fn is_shut_in(&self, batch: &Batch, namespace: &str, key: &str) -> bool {
        if self.trust.is_open() {
            return false;
        }
        let tried =
            batch.tries.iter().any(|tried| *tried.namespace == *namespace && self.trust.shares(namespace, &tried.key, key));
        tried || self.trust.is_shut(namespace, key, batch.now)
    }

    /// The keys under which a task offers something that is not given out now.
    fn shut_keys(&self, batch: &Batch, task: TaskId) -> Arc<[Box<str>]> {
        let Some(touched) = batch.tasks.get(&task).filter(|_| !self.trust.is_open()) else { return self.none.clone() };
        let namespace = &*touched.live.task.facts.namespace;
        let open = touched.open.iter().flat_map(|open| open.lines());
        open.filter(|key| self.is_shut_in(batch, namespace, key)).map(Into::into).collect()
    }

    /// Notes what an agent was given, where how much that is matters, or what a tool is tried with.
    fn note_given(&mut self, batch: &mut Batch, agent: AgentId, item: &WorkItem) {
        self.half_open(agent);
        if self.room(agent, 0, batch.now).is_some() {
            *batch.given.entry(agent).or_default() += 1;
        }
        if self.trust.is_open() {
            return;
        }
        let Some(key) = batch.tasks.get(&item.task_id).and_then(|touched| touched.live.task.step_key(&item.work)) else { return };
        let attempt = (item.task_id, item.work.clone(), item.attempt);
        batch.tries.push(Try { namespace: item.namespace.as_str().into(), key: key.into(), attempt });
    }

    /// What this claim was given before and still holds: its answer got lost.
    fn repeated(&mut self, batch: &mut Batch, claim: &Claim) -> Result<Vec<WorkItem>, StoreError> {
        if planted::is(Fault::ClaimForgotten) {
            return Ok(Vec::new());
        }
        self.await_claim(claim.wish.claim_id)?;
        let mut held = self.leases().of_claim(claim.wish.claim_id, claim.wish.agent_id);
        held.extend(batch.claims.get(&claim.wish.claim_id).into_iter().flatten().cloned());
        self.items(batch, held)
    }

    /// What the agent holds and has not reported yet, the oldest first.
    fn held(&mut self, batch: &mut Batch, claim: &Claim) -> Result<Vec<WorkItem>, StoreError> {
        let held = self.leases().of_agent(claim.wish.agent_id, claim.wish.max as usize, batch.mono);
        let held = held.into_iter().map(|lease| (lease.task, lease.work)).collect();
        self.items(batch, held)
    }

    fn items(&mut self, batch: &mut Batch, held: Vec<(TaskId, WorkKey)>) -> Result<Vec<WorkItem>, StoreError> {
        let mut items = Vec::new();
        for (task, work) in held {
            if self.touch(batch, task)? {
                items.extend(batch.tasks[&task].live.task.held_work(&work));
            }
        }
        Ok(items)
    }

    /// Fills the ready queue from the index with what this agent can do.
    fn search_index(&mut self, batch: &Batch, agent: AgentId, namespace: Option<&str>, able: &Able) -> Result<(), StoreError> {
        self.settle()?;
        // Where much is set aside, what is free may lie behind more than one claim looks through: the next one goes on from here.
        let mut after: Option<Cursor> = self.turns.search.take();
        let idle = self.turns.is_idle();
        if after.is_none() && !idle {
            // Where it stopped is kept; what is dropped from here on is noted anew.
            self.ready.incomplete = false;
            self.turns.lanes.read_anew();
        }
        let mut looked = 0;
        loop {
            let page = self.reader.open_work(after, INDEX_PAGE)?;
            looked += page.len() as u32;
            after = page.last().map(|w| w.cursor).or(after);
            let whole = page.len() < INDEX_PAGE as usize;
            let mut found = 0;
            for work in page {
                let Some(task) = work.stream.task() else { continue };
                // What this batch has changed is known better than the index knows it, and was noted when it changed.
                if batch.tasks.get(&task).is_some_and(|touched| !touched.events.is_empty()) {
                    continue;
                }
                let free = self.offer_row(task, &work, batch.now);
                let mine = free && namespace.is_none_or(|own| own == work.namespace);
                found += u32::from(mine && work.open.lines().any(|key| fits(key, agent, able)));
            }
            if whole {
                self.ready.incomplete = self.ready.is_full() || (!idle && self.ready.incomplete);
                return Ok(());
            }
            if found > 0 || looked >= INDEX_LOOKS {
                self.turns.search = after.filter(|_| !idle);
                self.turns.more = found == 0 && !idle;
                return Ok(());
            }
        }
    }
}
