//! Who holds what, and whether they still live. Leases are granted by events alone; here is what is only in memory about them: signs
//! of life, the latest progress, and since when there has been silence on the engine's own monotonic clock. A restart begins the
//! observation anew.

use crate::ids::IdMap;
use crate::store::Telemetry;
use crate::usual::Usual;
use ephor_core::id::{AgentId, ClaimId, StreamId, TaskId};
use ephor_core::liveness::{Liveness, Signs};
use ephor_core::planted::{self, Fault};
use ephor_core::time::Time;
use ephor_core::work::{Heartbeat, HeartbeatAnswer, Then, WorkKey};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Every live lease.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    tasks: IdMap<TaskId, Held>,
    claims: HashMap<ClaimId, Vec<(TaskId, WorkKey)>>,
    /// What each agent holds, in the order it was granted.
    agents: HashMap<AgentId, BTreeMap<u64, (TaskId, WorkKey)>>,
    /// How many leases were granted so far.
    granted: u64,
    /// Leases whose latest sign of life is not written yet.
    unwritten: HashSet<(TaskId, WorkKey)>,
    /// Agents whose lease lapsed, and how many pieces of work they have to do well before they get as much as others again.
    probation: HashMap<AgentId, u32>,
    /// How long work usually takes.
    usual: Usual,
}

/// What is held of one task.
#[derive(Debug, Default)]
struct Held {
    leases: Vec<Watch>,
    /// Whether its holders were told to stop.
    stop: bool,
    /// Whether a person holds it: nothing is expected of its holders but signs of life.
    held_up: bool,
    /// What people said since the task was loaded; each holder hears it once.
    guidance: Vec<String>,
}

#[derive(Debug)]
struct Watch {
    work: WorkKey,
    attempt: u32,
    agent: AgentId,
    claim: ClaimId,
    /// Its place in the order of all grants.
    order: u64,
    lease_ms: u64,
    /// How many signs of life there were.
    counter: u64,
    /// When it was granted, on the monotonic clock.
    since: u64,
    /// When the last sign of life was, and how long after the one before.
    seen: u64,
    gap: u64,
    /// When its progress last moved.
    moved: u64,
    /// What is done, by the name all who do it share.
    action: Option<Arc<str>>,
    /// How much of `guidance` it has heard.
    heard: usize,
    /// How much of all that was ever said about the task; with its work it heard what was said before.
    told: usize,
    progress: Option<f64>,
    message: Option<String>,
    /// Whether a hold tells its holder to stop.
    held: bool,
    /// Whether its holder may do nothing any more: no sign of life keeps it.
    cut: bool,
}

/// A live lease, for those who look.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseView {
    /// Whose work.
    pub task: TaskId,
    /// Which work.
    pub work: WorkKey,
    /// The fencing token.
    pub attempt: u32,
    /// Who holds it.
    pub agent: AgentId,
    /// How long it lasts without a sign of life, in milliseconds.
    pub lease_ms: u64,
    /// How far the holder says it is.
    pub progress: Option<f64>,
    /// What the holder says it is doing.
    pub message: Option<String>,
    /// How long ago the last sign of life was, in milliseconds.
    pub silent_ms: u64,
    /// How it looks.
    pub liveness: Liveness,
}

/// A lease without a sign of life for too long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lapsed {
    pub(crate) task: TaskId,
    pub(crate) work: WorkKey,
    pub(crate) attempt: u32,
    pub(crate) counter: u64,
}

/// A lease as it is granted.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) work: WorkKey,
    pub(crate) attempt: u32,
    pub(crate) agent: AgentId,
    pub(crate) claim: ClaimId,
    pub(crate) lease_ms: u64,
    /// What is done.
    pub(crate) action: Option<Arc<str>>,
    /// How much of what people said about the task came with the work.
    pub(crate) told: usize,
}

impl Granted {
    /// A lease that was granted before.
    pub(crate) fn before(l: ephor_core::task::LiveLease, action: Option<Arc<str>>) -> Self {
        Self { work: l.work, attempt: l.attempt, agent: l.agent, claim: l.claim, lease_ms: l.lease_ms, action, told: 0 }
    }
}

impl Leases {
    /// Begins to watch a lease.
    pub(crate) fn grant(&mut self, task: TaskId, granted: Granted, mono: u64) {
        self.end_where(task, &granted.work, |_| true);
        let held = self.tasks.entry(task).or_default();
        self.claims.entry(granted.claim).or_default().push((task, granted.work.clone()));
        self.granted += 1;
        self.agents.entry(granted.agent).or_default().insert(self.granted, (task, granted.work.clone()));
        held.leases.push(Watch {
            work: granted.work,
            attempt: granted.attempt,
            agent: granted.agent,
            claim: granted.claim,
            order: self.granted,
            lease_ms: granted.lease_ms,
            counter: 0,
            since: mono,
            seen: mono,
            gap: 0,
            moved: mono,
            action: granted.action,
            heard: held.guidance.len(),
            told: granted.told,
            progress: None,
            message: None,
            held: false,
            cut: false,
        });
    }

    /// An attempt holds nothing any more. Answers who held it.
    pub(crate) fn end(&mut self, task: TaskId, work: &WorkKey, attempt: u32) -> Option<AgentId> {
        self.end_where(task, work, |watch| watch.attempt == attempt)
    }

    fn end_where(&mut self, task: TaskId, work: &WorkKey, which: impl Fn(&Watch) -> bool) -> Option<AgentId> {
        let held = self.tasks.get_mut(&task)?;
        let at = held.leases.iter().position(|w| w.work == *work && which(w))?;
        let watch = held.leases.swap_remove(at);
        self.forget_claim(watch.claim, task, work);
        if let Some(held) = self.agents.get_mut(&watch.agent) {
            held.remove(&watch.order);
            if held.is_empty() {
                self.agents.remove(&watch.agent);
            }
        }
        if self.tasks.get(&task).is_some_and(|h| h.leases.is_empty()) {
            self.tasks.remove(&task);
        }
        Some(watch.agent)
    }

    /// What is held of a task, by which attempt.
    pub(crate) fn held(&self, task: TaskId) -> impl Iterator<Item = (&WorkKey, u32)> {
        self.tasks.get(&task).into_iter().flat_map(|held| &held.leases).map(|watch| (&watch.work, watch.attempt))
    }

    fn forget_claim(&mut self, claim: ClaimId, task: TaskId, work: &WorkKey) {
        if !self.unwritten.is_empty() {
            self.unwritten.remove(&(task, work.clone()));
        }
        if let Some(list) = self.claims.get_mut(&claim) {
            // Whoever claimed many reports them in about the order they were given out.
            if let Some(at) = list.iter().position(|(t, w)| (*t, w) == (task, work)) {
                list.remove(at);
            }
            if list.is_empty() {
                self.claims.remove(&claim);
            }
        }
    }

    /// Tells the holders of a task to stop, or that they need not.
    pub(crate) fn stop(&mut self, task: TaskId, stop: bool) {
        if let Some(held) = self.tasks.get_mut(&task) {
            held.stop = stop;
        }
    }

    /// A person took hold of a task, or let it go.
    pub(crate) fn hold_up(&mut self, task: TaskId, held_up: bool) {
        if let Some(held) = self.tasks.get_mut(&task) {
            held.held_up = held_up;
        }
    }

    /// The name of an action as it is shared by all who do it.
    pub(crate) fn name(&mut self, action: &str) -> Option<Arc<str>> {
        self.usual.name(action)
    }

    /// How long work usually takes.
    pub(crate) fn usual(&self, action: &str) -> Option<ephor_core::task::Usual> {
        self.usual.of(action)
    }

    /// An attempt worked. Answers who did it, where that ends its probation or brings it nearer to its end.
    pub(crate) fn worked(&mut self, task: TaskId, work: &WorkKey, attempt: u32, mono: u64) -> Option<AgentId> {
        let watch = self.tasks.get(&task)?.leases.iter().find(|w| w.work == *work && w.attempt == attempt)?;
        if let Some(action) = &watch.action {
            self.usual.note(action, mono.saturating_sub(watch.since));
        }
        let left = self.probation.get_mut(&watch.agent)?;
        *left -= 1;
        let (agent, left) = (watch.agent, *left);
        if left == 0 {
            self.probation.remove(&agent);
        }
        Some(agent)
    }

    /// Who was silent for too long gets little until it has done so much well.
    pub(crate) fn put_on_probation(&mut self, agent: AgentId, successes: u32) {
        if successes > 0 {
            self.probation.insert(agent, successes);
        }
    }

    /// How many pieces of work an agent has to do well before it gets as much as others; none where it does.
    pub(crate) fn probation(&self, agent: AgentId) -> Option<u32> {
        self.probation.get(&agent).copied()
    }

    /// Tells those holders of a task to stop whom a hold stops, and the others that they need not.
    pub(crate) fn hold(&mut self, task: TaskId, stops: impl Fn(AgentId) -> bool) {
        for watch in self.tasks.get_mut(&task).into_iter().flat_map(|held| &mut held.leases) {
            watch.held = stops(watch.agent);
        }
    }

    /// The tasks of which something is held, in order.
    pub(crate) fn tasks(&self) -> Vec<TaskId> {
        let mut tasks: Vec<TaskId> = self.tasks.keys().copied().collect();
        tasks.sort_unstable();
        tasks
    }

    /// Tells the holders of a task what somebody said.
    pub(crate) fn guide(&mut self, task: TaskId, text: &str) {
        if let Some(held) = self.tasks.get_mut(&task) {
            held.guidance.push(text.to_owned());
        }
    }

    /// After a restart: what was ever said about a task, and how much of it each holder has heard as far as is known. What it heard with a
    /// sign of life that was not written any more it hears again: better twice than never.
    pub(crate) fn remind(&mut self, task: TaskId, said: &[String], heard: impl Fn(&WorkKey, u32) -> u64) {
        let Some(held) = self.tasks.get_mut(&task).filter(|_| !said.is_empty()) else { return };
        held.guidance = said.to_vec();
        for watch in &mut held.leases {
            watch.heard = usize::try_from(heard(&watch.work, watch.attempt)).unwrap_or(usize::MAX).min(said.len());
            watch.told = watch.heard;
        }
    }

    /// What a claim was granted and still holds.
    pub(crate) fn of_claim(&self, claim: ClaimId, agent: AgentId) -> Vec<(TaskId, WorkKey)> {
        let list = self.claims.get(&claim).into_iter().flatten();
        list.filter(|(task, work)| self.watch(*task, work).is_some_and(|w| w.agent == agent)).cloned().collect()
    }

    /// What an agent holds, the oldest first, at most so many.
    pub(crate) fn of_agent(&self, agent: AgentId, most: usize, mono: u64) -> Vec<LeaseView> {
        let held = self.agents.get(&agent).into_iter().flat_map(BTreeMap::values);
        held.filter_map(|(task, work)| self.view(*task, work, mono)).take(most).collect()
    }

    /// How much an agent holds.
    pub(crate) fn count_of(&self, agent: AgentId) -> usize {
        self.agents.get(&agent).map_or(0, BTreeMap::len)
    }

    /// Whether an attempt holds a piece of work.
    pub(crate) fn is_held(&self, task: TaskId, work: &WorkKey, attempt: u32) -> bool {
        self.watch(task, work).is_some_and(|watch| watch.attempt == attempt)
    }

    /// Who holds a piece of work.
    pub(crate) fn view(&self, task: TaskId, work: &WorkKey, mono: u64) -> Option<LeaseView> {
        let held = self.tasks.get(&task)?;
        let watch = held.leases.iter().find(|w| w.work == *work)?;
        let signs = Signs {
            held_up: held.held_up,
            usual_ms: watch.action.as_deref().and_then(|action| self.usual.p95(action)),
            ..watch.signs(mono)
        };
        Some(LeaseView {
            task,
            work: watch.work.clone(),
            attempt: watch.attempt,
            agent: watch.agent,
            lease_ms: watch.lease_ms,
            progress: watch.progress,
            message: watch.message.clone(),
            silent_ms: signs.silent_ms,
            liveness: signs.liveness(),
        })
    }

    fn watch(&self, task: TaskId, work: &WorkKey) -> Option<&Watch> {
        self.tasks.get(&task)?.leases.iter().find(|w| w.work == *work)
    }

    /// How many signs of life an attempt has given.
    pub(crate) fn counter(&self, task: TaskId, work: &WorkKey, attempt: u32) -> Option<u64> {
        self.watch(task, work).filter(|w| w.attempt == attempt).map(|w| w.counter)
    }

    /// A sign of life of its holder. Costs no write; the latest is written from time to time.
    pub(crate) fn beat(&mut self, beat: &Heartbeat, agent: AgentId, mono: u64) -> HeartbeatAnswer {
        let stale = HeartbeatAnswer { then: Then::Stale, guidance: Vec::new() };
        let Some(held) = self.tasks.get_mut(&beat.task_id) else { return stale };
        let fenced = |w: &Watch| w.attempt == beat.attempt && w.agent == agent;
        let live = |w: &&mut Watch| fenced(w) || planted::is(Fault::UnfencedHeartbeat);
        let Some(watch) = held.leases.iter_mut().filter(live).find(|w| w.work == beat.work) else { return stale };
        if watch.cut {
            return stale;
        }
        watch.counter += 1;
        watch.gap = mono.saturating_sub(watch.seen);
        watch.seen = mono;
        if let Some(progress) = beat.progress.map(|progress| progress.clamp(0.0, 1.0)) {
            if watch.progress != Some(progress) {
                watch.moved = mono;
            }
            watch.progress = Some(progress);
        }
        if let Some(message) = &beat.message {
            watch.message = Some(message.chars().take(500).collect());
        }
        let guidance = held.guidance[watch.heard..].to_vec();
        watch.told += guidance.len();
        watch.heard = held.guidance.len();
        let stop = held.stop || watch.held;
        self.unwritten.insert((beat.task_id, beat.work.clone()));
        HeartbeatAnswer { then: if stop { Then::Cancel } else { Then::Continue }, guidance }
    }

    /// Leases whose holders have been silent for longer than lease and grace.
    pub(crate) fn lapsed(&self, mono: u64) -> Vec<Lapsed> {
        self.over(|watch| watch.cut || watch.signs(mono).has_lapsed())
    }

    /// An agent may do nothing any more: what it holds is over.
    pub(crate) fn cut_off(&mut self, agent: AgentId) -> Vec<Lapsed> {
        let watches = self.tasks.values_mut().flat_map(|held| &mut held.leases);
        watches.filter(|watch| watch.agent == agent).for_each(|watch| watch.cut = true);
        self.over(|watch| watch.agent == agent)
    }

    fn over(&self, which: impl Fn(&Watch) -> bool) -> Vec<Lapsed> {
        let mut lapsed: Vec<Lapsed> = self
            .tasks
            .iter()
            .flat_map(|(task, held)| held.leases.iter().filter(|watch| which(watch)).map(|w| (*task, w)))
            .map(|(task, w)| Lapsed { task, work: w.work.clone(), attempt: w.attempt, counter: w.counter })
            .collect();
        // The same silence gives the same commands in the same order, whatever order memory has.
        lapsed.sort_unstable_by(|a, b| (a.task, &a.work).cmp(&(b.task, &b.work)));
        lapsed
    }

    /// The observer itself slept (the machine was suspended, the process stopped): silence meanwhile says nothing about the agents.
    pub(crate) fn begin_anew(&mut self, mono: u64) {
        for watch in self.tasks.values_mut().flat_map(|h| &mut h.leases) {
            (watch.seen, watch.gap, watch.moved) = (mono, 0, mono);
        }
    }

    /// How soon a lease can lapse at the earliest, in milliseconds.
    pub(crate) fn shortest(&self) -> Option<u64> {
        self.tasks.values().flat_map(|h| &h.leases).map(|w| w.lease_ms).min()
    }

    /// The latest signs of life that are not written yet.
    pub(crate) fn take_unwritten(&mut self, now: Time) -> Vec<Telemetry> {
        let keys: Vec<_> = self.unwritten.drain().collect();
        keys.iter().filter_map(|(task, work)| Some(telemetry(*task, self.watch(*task, work)?, now))).collect()
    }

    /// The latest sign of life of everything held of a task.
    pub(crate) fn telemetry(&self, task: TaskId, now: Time) -> Vec<Telemetry> {
        self.tasks.get(&task).into_iter().flat_map(|h| &h.leases).map(|w| telemetry(task, w, now)).collect()
    }

    /// Who holds work of a task; of several, whoever has held it longest.
    pub(crate) fn holder(&self, task: TaskId) -> Option<AgentId> {
        self.tasks.get(&task)?.leases.iter().min_by_key(|watch| watch.since).map(|watch| watch.agent)
    }

    /// How many leases are live.
    pub(crate) fn len(&self) -> usize {
        self.tasks.values().map(|h| h.leases.len()).sum()
    }
}

impl Watch {
    /// What is known of it, but for what is known of others.
    fn signs(&self, mono: u64) -> Signs {
        let moves = self.progress.is_some_and(|progress| progress < 1.0);
        Signs {
            lease_ms: self.lease_ms,
            silent_ms: mono.saturating_sub(self.seen),
            gap_ms: self.gap,
            still_ms: moves.then(|| mono.saturating_sub(self.moved)),
            held_ms: mono.saturating_sub(self.since),
            usual_ms: None,
            held_up: false,
        }
    }
}

fn telemetry(task: TaskId, watch: &Watch, now: Time) -> Telemetry {
    Telemetry {
        stream: StreamId::from(task),
        work: watch.work.to_string(),
        attempt: watch.attempt,
        counter: watch.counter,
        progress: watch.progress,
        message: watch.message.clone(),
        heard: watch.told as u64,
        at: now.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskId {
        TaskId::new(1, [1; 10])
    }
    fn agent() -> AgentId {
        AgentId::new(1, [2; 10])
    }
    fn granted(attempt: u32) -> Granted {
        let work = WorkKey::Step("1".into());
        Granted { work, attempt, agent: agent(), claim: ClaimId::new(1, [3; 10]), lease_ms: 1_000, action: None, told: 0 }
    }
    fn beat(attempt: u32) -> Heartbeat {
        Heartbeat { task_id: task(), work: WorkKey::Step("1".into()), attempt, progress: None, message: None }
    }

    #[test]
    fn silence_longer_than_lease_and_grace_is_a_lapse_and_a_sign_of_life_prevents_it() {
        let mut leases = Leases::default();
        leases.grant(task(), granted(1), 0);
        assert!(leases.lapsed(1_250).is_empty());
        assert_eq!(leases.lapsed(1_251).len(), 1);
        assert_eq!(leases.beat(&beat(1), agent(), 1_251).then, Then::Continue);
        assert!(leases.lapsed(2_500).is_empty());
    }

    #[test]
    fn an_older_attempt_is_stale() {
        let mut leases = Leases::default();
        leases.grant(task(), granted(1), 0);
        leases.grant(task(), granted(2), 0);
        assert_eq!(leases.beat(&beat(1), agent(), 1).then, Then::Stale);
        assert_eq!(leases.beat(&beat(2), agent(), 1).then, Then::Continue);
    }

    #[test]
    fn a_sign_of_life_from_somebody_else_is_none() {
        let mut leases = Leases::default();
        leases.grant(task(), granted(1), 0);
        assert_eq!(leases.beat(&beat(1), AgentId::new(1, [9; 10]), 1).then, Then::Stale);
        assert_eq!(leases.lapsed(1_251).len(), 1);
    }

    #[test]
    fn what_an_agent_holds_is_known_until_it_ends() {
        let mut leases = Leases::default();
        leases.grant(task(), granted(1), 0);
        leases.grant(task(), Granted { work: WorkKey::Step("2".into()), ..granted(1) }, 0);
        let held = |leases: &Leases| leases.of_agent(agent(), 9, 0).iter().map(|l| l.work.to_string()).collect::<Vec<_>>();
        assert_eq!(held(&leases), ["step:1", "step:2"]);
        leases.end(task(), &WorkKey::Step("1".into()), 1);
        assert_eq!(held(&leases), ["step:2"]);
    }

    #[test]
    fn each_holder_hears_what_was_said_once() {
        let mut leases = Leases::default();
        leases.grant(task(), granted(1), 0);
        leases.guide(task(), "mind the gap");
        assert_eq!(leases.beat(&beat(1), agent(), 1).guidance, ["mind the gap"]);
        assert!(leases.beat(&beat(1), agent(), 1).guidance.is_empty());
    }

    #[test]
    fn how_a_lease_looks_follows_from_its_signs_of_life() {
        let mut leases = Leases::default();
        let step = WorkKey::Step("1".into());
        let action = leases.name("build");
        leases.grant(task(), Granted { action: action.clone(), ..granted(1) }, 0);
        let looks = |leases: &Leases, mono: u64| leases.view(task(), &step, mono).unwrap().liveness;
        let seen = [0, 501, 1_001, 1_251].map(|mono| looks(&leases, mono));
        assert_eq!(seen, [Liveness::Live, Liveness::Slow, Liveness::Silent, Liveness::Dead]);
        // Late once, and in time again.
        leases.beat(&beat(1), agent(), 900);
        assert_eq!(looks(&leases, 900), Liveness::Slow);
        leases.beat(&beat(1), agent(), 1_200);
        assert_eq!(looks(&leases, 1_200), Liveness::Live);
        leases.hold_up(task(), true);
        assert_eq!(looks(&leases, 1_900), Liveness::Waiting);
        leases.hold_up(task(), false);
        // Signs of life come, and nothing moves.
        for mono in (1_500..=6_000).step_by(300) {
            leases.beat(&Heartbeat { progress: Some(0.5), ..beat(1) }, agent(), mono);
        }
        assert_eq!(looks(&leases, 6_000), Liveness::Slow);
        leases.beat(&Heartbeat { progress: Some(0.6), ..beat(1) }, agent(), 6_200);
        assert_eq!(looks(&leases, 6_200), Liveness::Live);
        // Others were done with this long ago.
        for _ in 0..20 {
            leases.usual.note(action.as_deref().unwrap(), 100);
        }
        assert_eq!(looks(&leases, 6_200), Liveness::Slow);
    }

    #[test]
    fn probation_ends_with_what_was_done_well() {
        let mut leases = Leases::default();
        leases.put_on_probation(agent(), 2);
        for left in [Some(1), None] {
            leases.grant(task(), granted(1), 0);
            assert_eq!(leases.worked(task(), &WorkKey::Step("1".into()), 1, 5), Some(agent()));
            assert_eq!(leases.probation(agent()), left);
        }
        assert_eq!(leases.worked(task(), &WorkKey::Step("1".into()), 1, 5), None);
        leases.put_on_probation(agent(), 0);
        assert_eq!((leases.probation(agent()), leases.count_of(agent())), (None, 1));
    }

    #[test]
    fn an_observer_that_slept_accuses_nobody() {
        let mut leases = Leases::default();
        leases.grant(task(), granted(1), 0);
        leases.begin_anew(1_000_000);
        assert!(leases.lapsed(1_000_001).is_empty());
    }
}
