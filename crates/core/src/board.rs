//! Where the steps of a plan are. Kept as events come in, so that what is free, offered, running or done is known without a look at
//! every step; nothing here knows about time limits, retries or people.

mod gates;
mod layout;
mod rollback;
#[cfg(test)]
mod tests;

use crate::event::Allocation;
use crate::id::{AgentId, ClaimId};
use crate::plan::{Does, Step};
use crate::planted::{self, Fault};
use crate::spec::ErrorClass;
use crate::status::{BlockReason, StepStatus};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Something an agent can claim, in the order in which it is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Offer {
    /// What to do about a failure.
    Analysis,
    /// Undoing what a step did.
    Undo,
    /// A plan.
    Plan,
    /// The open gate of a step.
    Gate(u32),
    /// A step.
    Step(u32),
}

/// The right to work for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) agent: AgentId,
    pub(crate) claim: ClaimId,
    pub(crate) attempt: u32,
    pub(crate) lease_ms: u64,
    pub(crate) started: bool,
    pub(crate) since: Time,
    pub(crate) timeout_at: Option<Time>,
}

/// Where one step is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) status: StepStatus,
    /// Whether it holds other steps; such are not counted.
    group: bool,
    /// What it still waits for: steps it needs, and its group to open.
    unmet: u32,
    /// Steps directly in it that have not ended.
    open_kids: u32,
    /// The last attempt handed out: the fencing token.
    pub(crate) attempt: u32,
    /// Failed attempts since the task was last tried anew.
    pub(crate) failures: u32,
    /// The same by class of error.
    pub(crate) by_class: Vec<(ErrorClass, u32)>,
    /// How often it was given back although nobody had asked for that.
    #[serde(default)]
    pub(crate) given_back: u32,
    /// What kind of trouble it had last, and the least wait the outside asked for then.
    pub(crate) trouble: Option<ErrorClass>,
    /// When it had it.
    pub(crate) troubled_at: Option<Time>,
    pub(crate) retry_after_ms: Option<u64>,
    /// The place of its work among all that was done and not undone since; none where nothing of it stands.
    pub(crate) done_no: Option<u32>,
    /// The gate to be judged next.
    pub(crate) gate: u16,
    /// Whether the last attempt worked, where it ended with its holder's own word.
    pub(crate) reported: Option<bool>,
    /// Whether its condition was found true.
    pub(crate) condition_met: bool,
    /// Whether a person left it out; nobody else brings it back.
    pub(crate) overruled: bool,
    /// Whether it was part of a list that will be laid out anew: its place is free.
    gone: bool,
    pub(crate) lease: Option<Box<Lease>>,
    /// Who made the last attempt.
    pub(crate) doer: Option<AgentId>,
    /// The model it was made with.
    #[serde(default)]
    pub(crate) used: Option<Box<str>>,
    /// When it last began and ended.
    pub(crate) started_at: Option<Time>,
    pub(crate) ended_at: Option<Time>,
}

/// A gate that is offered to a judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenGate {
    pub(crate) gate: u16,
    pub(crate) manual: bool,
    pub(crate) attempt: u32,
    pub(crate) lease: Option<Box<Lease>>,
    /// Who did the work: the verifier is not the doer.
    pub(crate) doer: Option<AgentId>,
    /// How often its judges failed or gave it back.
    #[serde(default)]
    pub(crate) failures: u32,
}

/// Where all steps are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Board {
    pub(crate) steps: Vec<Step>,
    cells: Vec<Cell>,
    dependents: Vec<Vec<u32>>,
    kids: Vec<Vec<u32>>,
    /// Paths and keys; empty for a plan of one step, whose path is `1`.
    names: HashMap<Box<str>, u32>,
    /// Steps that are free but have to be settled first: a condition, a list, a wait, a child.
    pub(crate) fresh: BTreeSet<u32>,
    /// What can be claimed, by capability key (with `@agent` where it is pinned).
    pub(crate) offers: BTreeMap<Box<str>, BTreeSet<Offer>>,
    /// How many of the offers are steps, and how many are not.
    pub(crate) step_offers: u32,
    pub(crate) side_offers: u32,
    /// Steps whose next gate has to be looked at.
    pub(crate) to_check: BTreeSet<u32>,
    /// Gates offered to a judge.
    pub(crate) gates: BTreeMap<u32, OpenGate>,
    /// How many of them wait for a person.
    pub(crate) approvals: u32,
    /// Steps that something outside holds up.
    pub(crate) blocked: BTreeMap<u32, BlockReason>,
    /// Steps about which a person is asked before anybody gets them.
    #[serde(default)]
    pub(crate) asked: BTreeSet<u32>,
    /// Steps whose attempts are spent and without which the task cannot go on.
    pub(crate) failed: BTreeSet<u32>,
    /// Steps and groups to be done again once the task is tried again.
    pub(crate) rolled_back: BTreeSet<u32>,
    /// Places of parts that are gone, by the list that may use them again.
    spares: BTreeMap<u32, Vec<u32>>,
    /// How many steps (groups not counted) are in each status.
    counts: [u32; 12],
    /// How many leases are live, of steps and gates.
    pub(crate) leases: u32,
    /// Of them, how many have begun.
    pub(crate) started: u32,
    /// Top-level steps and groups that have not ended.
    left: u32,
    /// Steps with a limit on how long they are offered, that were offered since one last looked.
    unqueued: Vec<u32>,
    /// How often work was done, in this plan and those before.
    done: u32,
    /// The agent that does what is for any, where one agent is to do all of it, and how many steps it holds.
    #[serde(default)]
    session: Option<(AgentId, u32)>,
    /// The highest attempt of an earlier plan: new attempts are numbered above it, so that no token is ever used twice.
    fence: u32,
    #[cfg(test)]
    #[serde(skip)]
    pub(crate) visits: visits::Visits,
}

/// The statuses in the order of `counts`.
const STATUSES: [StepStatus; 12] = [
    StepStatus::Pending,
    StepStatus::Ready,
    StepStatus::Assigned,
    StepStatus::Running,
    StepStatus::Checking,
    StepStatus::Blocked,
    StepStatus::Retrying,
    StepStatus::Completed,
    StepStatus::Failed,
    StepStatus::Skipped,
    StepStatus::Cancelled,
    StepStatus::RolledBack,
];

fn slot(status: StepStatus) -> usize {
    STATUSES.iter().position(|s| *s == status).expect("every status is listed")
}

impl Cell {
    /// One more failure.
    pub(crate) fn count_failure(&mut self, class: ErrorClass) {
        self.failures += 1;
        self.by_class = self.with_failure(class);
    }

    /// Its failures by class, with one more of this.
    pub(crate) fn with_failure(&self, class: ErrorClass) -> Vec<(ErrorClass, u32)> {
        count(&self.by_class, class)
    }

    /// Failures are counted anew.
    pub(crate) fn start_count(&mut self) {
        self.failures = 0;
        self.given_back = 0;
        self.by_class.clear();
    }
}

/// Failures by class, with one more of this.
pub(crate) fn count(failures: &[(ErrorClass, u32)], class: ErrorClass) -> Vec<(ErrorClass, u32)> {
    let mut counted = failures.to_vec();
    match counted.iter_mut().find(|(of, _)| *of == class) {
        Some((_, n)) => *n += 1,
        None => counted.push((class, 1)),
    }
    counted
}

#[cfg(test)]
impl Cell {
    /// How much it still waits for.
    pub(crate) fn unmet(&self) -> u32 {
        self.unmet
    }
}

impl Board {
    /// The step with this path or key.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        if self.names.is_empty() {
            let only = self.steps.first()?;
            return (&*only.path == name || only.key.as_deref() == Some(name)).then_some(0);
        }
        self.names.get(name).copied()
    }

    /// Where a step is.
    pub(crate) fn cell(&self, i: u32) -> &Cell {
        #[cfg(test)]
        self.visits.count();
        &self.cells[i as usize]
    }

    /// Where a step is, to be changed; its status only through `set`.
    pub(crate) fn cell_mut(&mut self, i: u32) -> &mut Cell {
        &mut self.cells[i as usize]
    }

    /// How many steps are in a status.
    pub(crate) fn count(&self, status: StepStatus) -> u32 {
        self.counts[slot(status)]
    }

    /// Every step and group there is, in the order of the plan and of the lists that were laid out since.
    pub(crate) fn all(&self) -> impl Iterator<Item = u32> {
        (0..self.steps.len() as u32).filter(|i| !self.cells[*i as usize].gone)
    }

    /// How many steps and groups there are.
    pub(crate) fn size(&self) -> usize {
        self.steps.len() - self.spares.values().map(Vec::len).sum::<usize>()
    }

    /// How many steps there are, groups not counted.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// Whether everything has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Whether some step or gate runs, waits for a time or is between two attempts.
    pub(crate) fn is_moving(&self) -> bool {
        self.started > 0 || self.steps_move()
    }

    /// Whether some step runs, waits for a time or is between two attempts.
    pub(crate) fn steps_move(&self) -> bool {
        self.count(StepStatus::Running) > 0 || self.count(StepStatus::Retrying) > 0
    }

    /// The parts of a group, in order.
    pub(crate) fn kids(&self, i: u32) -> &[u32] {
        &self.kids[i as usize]
    }

    /// Changes a step's status.
    pub(crate) fn set(&mut self, i: u32, status: StepStatus) {
        #[cfg(test)]
        self.visits.count();
        let cell = &mut self.cells[i as usize];
        if !cell.group {
            self.counts[slot(cell.status)] -= 1;
            self.counts[slot(status)] += 1;
        }
        cell.status = status;
    }

    /// The work that has not ended and that nothing in the plan comes after.
    pub(crate) fn last_steps(&self) -> Vec<u32> {
        let above = |i: &u32| self.steps[*i as usize].parent;
        let last = |i: u32| std::iter::successors(Some(i), above).all(|i| self.dependents[i as usize].is_empty());
        let work = |i: u32| self.steps[i as usize].does() == Does::Work && self.kids(i).is_empty();
        self.all().filter(|i| work(*i) && !self.has_ended(*i) && last(*i)).collect()
    }

    /// Whether a step still has to be turned into a list of steps, a wait or a task of its own.
    pub(crate) fn is_unsettled(&self, i: u32) -> bool {
        let step = &self.steps[i as usize];
        match step.does() {
            // A list that was expanded is a group.
            Does::Group => false,
            Does::Work => step.for_each.is_some(),
            Does::WaitFor | Does::WaitUntil | Does::WaitSignal | Does::Task => true,
        }
    }

    /// Everything a step waited for has ended, and its group is open.
    fn free(&mut self, i: u32) {
        let conditional = self.steps[i as usize].when.is_some() && !planted::is(Fault::ConditionSkipped);
        if conditional || self.is_unsettled(i) {
            self.set(i, StepStatus::Ready);
            self.fresh.insert(i);
        } else {
            self.begin(i);
        }
    }

    /// Opens a group or offers a step.
    pub(crate) fn begin(&mut self, i: u32) {
        self.fresh.remove(&i);
        self.set(i, StepStatus::Ready);
        if self.cells[i as usize].group {
            for kid in self.kids[i as usize].clone() {
                self.meet(kid);
            }
        } else {
            self.offer(i);
        }
    }

    /// One thing less to wait for.
    fn meet(&mut self, i: u32) {
        #[cfg(test)]
        self.visits.count();
        let cell = &mut self.cells[i as usize];
        cell.unmet = cell.unmet.saturating_sub(1);
        if cell.unmet == 0 && cell.status == StepStatus::Pending {
            self.free(i);
        }
    }

    /// Lets a step be claimed.
    pub(crate) fn offer(&mut self, i: u32) {
        self.set(i, StepStatus::Ready);
        if self.steps[i as usize].queue_ms.is_some() {
            self.unqueued.push(i);
        }
        let key = self.step_key(i);
        self.put_offer(&key, Offer::Step(i));
    }

    /// Whether steps were offered that may only be offered for so long.
    pub(crate) fn has_queue_limits(&self) -> bool {
        !self.unqueued.is_empty()
    }

    /// Those steps, once.
    pub(crate) fn unqueued(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.unqueued)
    }

    /// Takes a step off the list of what can be claimed.
    pub(crate) fn withdraw(&mut self, i: u32) {
        let key = self.step_key(i);
        self.drop_offer(&key, Offer::Step(i));
    }

    /// Gives an agent, or anybody, the steps that were for another one, or for any.
    pub(crate) fn hand_over(&mut self, from: Option<AgentId>, to: Option<AgentId>) {
        for i in 0..self.steps.len() as u32 {
            if self.steps[i as usize].agent != from {
                continue;
            }
            let before = self.step_key(i);
            self.steps[i as usize].agent = to;
            self.offer_anew(i, &before);
        }
    }

    /// Steps that have not ended ask for what was given to the task, beside what they asked for before.
    pub(crate) fn allocate(&mut self, given: &Allocation) {
        if given.is_empty() {
            return;
        }
        for i in 0..self.steps.len() as u32 {
            if self.has_ended(i) || self.steps[i as usize].does() == Does::Group {
                continue;
            }
            let before = self.step_key(i);
            let step = &mut self.steps[i as usize];
            step.demands.extend(given.demands.iter().map(|(name, n)| (name.clone(), *n)));
            let step_type = step.task_type.as_ref().and_then(|word| given.models_by_type.get(word));
            let own = step_type.or_else(|| given.models_by_type.get(&step.action)).or_else(|| given.models_by_type.get("*"));
            if let Some(model) = own.filter(|_| step.does() == Does::Work).or(given.model.as_ref()) {
                step.model = Some(model.clone());
                step.model_chosen = false;
            }
            self.offer_anew(i, &before);
        }
    }

    /// A step is done with another model from now on.
    pub(crate) fn change_model(&mut self, i: u32, model: &str) {
        if self.has_ended(i) {
            return;
        }
        let before = self.step_key(i);
        if !planted::is(Fault::ModelKept) {
            self.steps[i as usize].model = Some(model.into());
        }
        self.offer_anew(i, &before);
    }

    /// From now on steps that are for any agent are for this one; for any again where none is named.
    pub(crate) fn keep_session(&mut self, agent: Option<AgentId>) {
        if self.session() == agent {
            return;
        }
        let offered: Vec<u32> =
            self.offers.values().flatten().filter_map(|o| if let Offer::Step(i) = o { Some(*i) } else { None }).collect();
        let before: Vec<_> = offered.iter().map(|i| self.step_key(*i)).collect();
        self.session = agent.map(|agent| (agent, 0));
        for (i, before) in offered.into_iter().zip(before) {
            self.offer_anew(i, &before);
        }
    }

    /// Whose session it is.
    pub(crate) fn session(&self) -> Option<AgentId> {
        self.session.map(|(agent, _)| agent)
    }

    /// Whether whose session it is holds no step.
    pub(crate) fn session_rests(&self) -> bool {
        self.session.is_some_and(|(_, held)| held == 0)
    }

    /// A step that was withdrawn can be claimed again.
    pub(crate) fn offer_again(&mut self, i: u32) {
        let key = self.step_key(i);
        self.put_offer(&key, Offer::Step(i));
    }

    /// Offers a step under the key it has now, where it was offered under another one.
    fn offer_anew(&mut self, i: u32, before: &str) {
        if self.offers.get(before).is_some_and(|offered| offered.contains(&Offer::Step(i))) {
            self.drop_offer(before, Offer::Step(i));
            let now = self.step_key(i);
            self.put_offer(&now, Offer::Step(i));
        }
    }

    /// Lets something else than a step be claimed.
    pub(crate) fn put_offer(&mut self, key: &str, offer: Offer) {
        if self.offers.entry(key.into()).or_default().insert(offer) {
            *self.offer_count(offer) += 1;
        }
    }

    fn offer_count(&mut self, offer: Offer) -> &mut u32 {
        if matches!(offer, Offer::Step(_)) { &mut self.step_offers } else { &mut self.side_offers }
    }

    /// Takes an offer back.
    pub(crate) fn drop_offer(&mut self, key: &str, offer: Offer) {
        let Some(set) = self.offers.get_mut(key) else { return };
        let was_there = set.remove(&offer);
        if set.is_empty() {
            self.offers.remove(key);
        }
        if was_there {
            *self.offer_count(offer) -= 1;
        }
    }

    fn step_key(&self, i: u32) -> Box<str> {
        self.steps[i as usize].offer_key(self.session()).into()
    }

    /// A step or group has ended; what waited for it may be free now.
    pub(crate) fn end(&mut self, i: u32, status: StepStatus, at: Time) {
        if self.has_ended(i) {
            return;
        }
        self.close(i, status, at);
        match self.steps[i as usize].parent {
            Some(parent) => {
                let group = &mut self.cells[parent as usize];
                group.open_kids = group.open_kids.saturating_sub(1);
                if group.open_kids == 0 {
                    self.end(parent, StepStatus::Completed, at);
                }
            }
            // Nothing here may go below zero: a damaged stream is told by whoever compares, not by a panic.
            None => self.left = self.left.saturating_sub(1),
        }
    }

    /// Whether a step has ended for good; one that failed and holds the task up may be tried again.
    pub(crate) fn has_ended(&self, i: u32) -> bool {
        self.cells[i as usize].status.is_final() && !self.failed.contains(&i)
    }

    /// Notes the end of a step and of all that is left in it.
    fn close(&mut self, i: u32, status: StepStatus, at: Time) {
        self.take_back(i);
        self.set(i, status);
        self.cells[i as usize].ended_at = Some(at);
        if status != StepStatus::Completed {
            for kid in self.kids[i as usize].clone() {
                if !self.has_ended(kid) {
                    self.close(kid, StepStatus::Skipped, at);
                }
            }
        }
        for next in self.dependents[i as usize].clone() {
            self.meet(next);
        }
    }

    /// Takes a step off every list of what is to be done.
    fn take_back(&mut self, i: u32) {
        self.withdraw(i);
        self.fresh.remove(&i);
        self.to_check.remove(&i);
        self.blocked.remove(&i);
        self.asked.remove(&i);
        self.failed.remove(&i);
        self.rolled_back.remove(&i);
    }

    /// A step and everything in it.
    pub(crate) fn with_parts(&self, i: u32) -> Vec<u32> {
        let mut all = vec![i];
        let mut seen = 0;
        while seen < all.len() {
            all.extend(self.kids(all[seen]));
            seen += 1;
        }
        all
    }

    /// The task has ended: what has not is cancelled, and nothing is offered or held any more.
    pub(crate) fn cancel_rest(&mut self, at: Time) {
        for i in 0..self.steps.len() as u32 {
            if !self.cells[i as usize].status.is_final() {
                self.set(i, StepStatus::Cancelled);
                let cell = &mut self.cells[i as usize];
                cell.ended_at = Some(at);
                cell.lease = None;
            }
        }
        self.offers.clear();
        self.fresh.clear();
        self.to_check.clear();
        self.gates.clear();
        self.blocked.clear();
        self.asked.clear();
        (self.step_offers, self.side_offers, self.approvals, self.leases, self.started) = (0, 0, 0, 0, 0);
    }

    /// The attempts of a step are spent. An optional one counts as ended; any other holds the task up.
    pub(crate) fn fail(&mut self, i: u32, at: Time) {
        if self.has_ended(i) {
            return;
        }
        if self.steps[i as usize].optional {
            self.end(i, StepStatus::Failed, at);
        } else {
            self.take_back(i);
            self.set(i, StepStatus::Failed);
            self.cells[i as usize].ended_at = Some(at);
            self.failed.insert(i);
        }
    }

    /// Failed steps are offered anew.
    pub(crate) fn revive_failed(&mut self) {
        for i in self.failed.clone() {
            self.revive(i);
        }
    }

    /// A step that had stopped starts over, with its attempts counted anew.
    pub(crate) fn revive(&mut self, i: u32) {
        self.take_back(i);
        let cell = &mut self.cells[i as usize];
        cell.start_count();
        cell.ended_at = None;
        self.set(i, StepStatus::Pending);
        self.free(i);
    }

    /// The work of a step is done, whatever gates may say about it.
    pub(crate) fn note_done(&mut self, i: u32) {
        self.done += 1;
        self.cells[i as usize].done_no = Some(self.done);
    }

    /// Something outside holds a step up.
    pub(crate) fn block(&mut self, i: u32, reason: BlockReason) {
        self.take_back(i);
        self.set(i, StepStatus::Blocked);
        self.cells[i as usize].ended_at = None;
        self.blocked.insert(i, reason);
    }

    /// What held a step up is gone: it is offered, once whatever stands before that (a condition, a list, a wait) is settled.
    pub(crate) fn unblock(&mut self, i: u32) {
        if self.blocked.remove(&i).is_none() {
            return;
        }
        let looked_at = self.steps[i as usize].when.is_none() || self.cells[i as usize].condition_met;
        if looked_at && !self.is_unsettled(i) {
            self.offer(i);
        } else {
            self.set(i, StepStatus::Pending);
            self.free(i);
        }
    }

    /// A person is asked about a step: nobody gets it before there is an answer.
    pub(crate) fn ask(&mut self, i: u32) {
        self.take_back(i);
        self.set(i, StepStatus::Blocked);
        self.cells[i as usize].ended_at = None;
        self.asked.insert(i);
    }

    /// The answer was yes: it is offered as before.
    pub(crate) fn approved(&mut self, i: u32) {
        if !self.asked.remove(&i) {
            return;
        }
        match self.steps[i as usize].does() {
            Does::Work | Does::Group => self.offer(i),
            // It begins by itself.
            Does::WaitFor | Does::WaitUntil | Does::WaitSignal | Does::Task => {
                self.set(i, StepStatus::Ready);
                self.fresh.insert(i);
            }
        }
    }

    /// Whether a step holds others.
    pub(crate) fn is_group(&self, i: u32) -> bool {
        self.cells[i as usize].group
    }

    /// A step that is no agent's work begins.
    pub(crate) fn run(&mut self, i: u32, at: Time) {
        self.fresh.remove(&i);
        self.set(i, StepStatus::Running);
        self.cells[i as usize].started_at = Some(at);
    }

    /// The lease of a step is over.
    pub(crate) fn release(&mut self, i: u32) {
        if let Some(lease) = self.cells[i as usize].lease.take() {
            self.leases = self.leases.saturating_sub(1);
            self.started = self.started.saturating_sub(u32::from(lease.started));
            if let Some((agent, held)) = &mut self.session
                && *agent == lease.agent
            {
                *held = held.saturating_sub(1);
            }
        }
    }

    /// Grants a step.
    pub(crate) fn grant(&mut self, i: u32, lease: Lease) {
        if let Some((agent, held)) = &mut self.session
            && *agent == lease.agent
        {
            *held += 1;
        }
        if !planted::is(Fault::DoubleLease) {
            self.withdraw(i);
        }
        self.leases += 1;
        self.started += u32::from(lease.started);
        self.set(i, if lease.started { StepStatus::Running } else { StepStatus::Assigned });
        let cell = &mut self.cells[i as usize];
        cell.attempt = lease.attempt;
        cell.reported = None;
        cell.doer = Some(lease.agent);
        cell.used.clone_from(&self.steps[i as usize].model);
        cell.started_at = lease.started.then_some(lease.since).or(cell.started_at);
        cell.lease = Some(Box::new(lease));
    }
}

/// Counts looks at steps, for the test that none of the hot questions looks at all of them.
#[cfg(test)]
pub(crate) mod visits {
    use std::cell::Cell;

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Visits(Cell<u64>);

    impl Visits {
        pub(crate) fn count(&self) {
            self.0.set(self.0.get() + 1);
        }
        pub(crate) fn take(&self) -> u64 {
            self.0.take()
        }
    }

    /// How often one looked is no part of where things are.
    impl PartialEq for Visits {
        fn eq(&self, _: &Self) -> bool {
            true
        }
    }
}
