//! Who watches. It reads every event once, in order, keeps its own fold of each task, and compares: with the index row, with what the
//! writer has decoded, with the mail in the store, with the witness, and with what anybody was ever told.

use super::Counts;
use super::flow::May;
use super::world::Checked;
use crate::examine::{Examined, Taken};
use crate::live::{self, Live};
use crate::store::memory::MemoryStore;
use crate::store::{Reader, StoredEvent};
use crate::witness::Breach;
use crate::writer::{Writer, decide};
use ephor_core::agent::AgentEvent;
use ephor_core::breaker::BreakerOf;
use ephor_core::command::{self, Answer, Command, Context};
use ephor_core::constitution::{Constitution, ConstitutionEvent};
use ephor_core::event::{Actor, Assigned, Event, Letter};
use ephor_core::id::{AgentId, ClaimId, EffectId, StreamId, StreamKind, TaskId};
use ephor_core::matching::{Able, Key, fits};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::policy::Policy;
use ephor_core::spec::{Autonomy, ErrorClass, ExecutionMode};
use ephor_core::status::BlockReason;
use ephor_core::time::Time;
use ephor_core::work::{EffectOutcome, WorkKey};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

mod branches;

/// How many events are read at once.
const PAGE: u32 = 1_000;
/// How many looks there are between two in which everything is rebuilt.
const WHOLE_EVERY: u32 = 500;

/// When the holder of a lease was last heard.
struct Sign {
    attempt: u32,
    mono: u64,
    lease_ms: u64,
    agent: AgentId,
    /// Whether the process it lived in has ended.
    dead: bool,
}

/// Everything that was seen.
pub(super) struct Observer {
    reader: Arc<dyn Reader>,
    policy: Arc<Policy>,
    position: u64,
    at: i64,
    /// Every task, in order of birth, and where it stands there.
    tasks: Vec<Examined>,
    order: Vec<TaskId>,
    places: HashMap<TaskId, usize>,
    kinds: HashMap<(TaskId, &'static str), u64>,
    told: HashMap<(TaskId, &'static str), u64>,
    others: HashMap<StreamId, u64>,
    /// Tools and models that are left alone, and until when.
    shut: BTreeMap<(StreamId, BreakerOf, Box<str>), Time>,
    inside: HashSet<AgentId>,
    /// How much each may hold, where it said so; until when it is left alone.
    slots: BTreeMap<AgentId, u32>,
    resting: BTreeMap<AgentId, Time>,
    given: HashSet<(TaskId, WorkKey, u32)>,
    granted: HashSet<(TaskId, EffectId)>,
    settled: HashSet<(TaskId, EffectId, &'static str)>,
    letters: HashMap<TaskId, BTreeMap<String, i64>>,
    signs: HashMap<(TaskId, WorkKey), Sign>,
    external: HashMap<String, TaskId>,
    subjects: HashMap<String, i64>,
    born: Vec<(TaskId, TaskId)>,
    /// Who depends on a task, and who is part of it.
    dependents: HashMap<TaskId, BTreeSet<TaskId>>,
    parts: HashMap<TaskId, BTreeSet<TaskId>>,
    /// What each claim was granted.
    claims: HashMap<ClaimId, Vec<(TaskId, WorkKey, u32)>>,
    /// The constitution as far as it was looked at.
    constitution: Constitution,
    looks: u32,
}

impl Observer {
    pub(super) fn new(reader: Arc<dyn Reader>, policy: Arc<Policy>) -> Self {
        Self {
            reader,
            policy,
            position: 0,
            at: 0,
            tasks: Vec::new(),
            order: Vec::new(),
            places: HashMap::new(),
            kinds: HashMap::new(),
            told: HashMap::new(),
            others: HashMap::new(),
            shut: BTreeMap::new(),
            inside: HashSet::new(),
            slots: BTreeMap::new(),
            resting: BTreeMap::new(),
            given: HashSet::new(),
            granted: HashSet::new(),
            settled: HashSet::new(),
            letters: HashMap::new(),
            signs: HashMap::new(),
            external: HashMap::new(),
            subjects: HashMap::new(),
            born: Vec::new(),
            dependents: HashMap::new(),
            parts: HashMap::new(),
            claims: HashMap::new(),
            constitution: Constitution::default(),
            looks: 0,
        }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Every task, in order of birth.
    pub(super) fn order(&self) -> &[TaskId] {
        &self.order
    }

    pub(super) fn task(&self, id: TaskId) -> Option<&Examined> {
        self.tasks.get(*self.places.get(&id)?)
    }

    /// Tasks that have not ended, in order of birth.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = (TaskId, &Examined)> {
        self.tasks.iter().filter(|e| e.task.end().is_none()).map(|e| (e.task.id, e))
    }

    /// The process ended, and the agents in it with it.
    pub(super) fn restarted(&mut self) {
        for sign in self.signs.values_mut() {
            sign.dead |= self.inside.contains(&sign.agent);
        }
    }

    /// Whether this attempt is the live one.
    pub(super) fn holds(&self, task: TaskId, work: &WorkKey, attempt: u32) -> bool {
        self.task(task).and_then(|e| e.witness.leases.get(work)).is_some_and(|held| held.attempt == attempt)
    }

    /// The holder gave a sign of life, and it counted.
    pub(super) fn heard(&mut self, task: TaskId, work: &WorkKey, attempt: u32, mono: u64) {
        if let Some(sign) = self.signs.get_mut(&(task, work.clone())).filter(|s| s.attempt == attempt) {
            sign.mono = mono;
        }
    }

    /// Reads what is new and checks all it touched.
    pub(super) fn look(&mut self, writer: &Writer<MemoryStore>, store: &MemoryStore, mono: u64, counts: &mut Counts) -> Checked {
        let mut touched = BTreeSet::new();
        loop {
            let page = self.reader.events(self.position, PAGE, None).map_err(|e| e.to_string())?;
            if page.is_empty() {
                break;
            }
            for stored in page {
                self.event(&stored, mono, counts, &mut touched)?;
            }
        }
        for (parent, child) in std::mem::take(&mut self.born) {
            if !self.places.contains_key(&child) {
                return Err(format!("{parent} says that {child} was born, but there is no such task"));
            }
            let author = |id| self.task(id).and_then(|e| e.witness.author());
            if author(parent) != author(child) {
                return Err(format!("{child} is {:?}'s, but {parent} was {:?}'s", author(child), author(parent)));
            }
        }
        if let Some((task, why)) = writer.quarantined() {
            return Err(format!("{task} is quarantined: {why}"));
        }
        for task in &touched {
            self.compare(*task, writer, store)?;
        }
        for task in touched {
            self.everybody_hears(task)?;
        }
        self.looks += 1;
        if self.looks.is_multiple_of(WHOLE_EVERY) { self.whole() } else { Ok(()) }
    }

    fn event(&mut self, stored: &StoredEvent, mono: u64, counts: &mut Counts, touched: &mut BTreeSet<TaskId>) -> Checked {
        if stored.position != self.position + 1 {
            return Err(format!("position {} follows {}", stored.position, self.position));
        }
        self.position = stored.position;
        if stored.at < self.at {
            return Err(format!("time runs backwards at position {}: by {} ms", stored.position, self.at - stored.at));
        }
        self.at = stored.at;
        let Some(id) = stored.stream.task() else { return self.other_event(stored, counts) };
        let place = *self.places.entry(id).or_insert_with(|| {
            self.order.push(id);
            self.tasks.push(Examined::new(id));
            self.tasks.len() - 1
        });
        let Taken { event, breaches, sent, born } = self.tasks[place].take(stored);
        if let Some(Breach { rule, what }) = breaches.first() {
            return Err(format!("{id} v{} {}: {rule:?}: {what}", stored.version, stored.kind));
        }
        let event = event.ok_or_else(|| format!("{id} v{} cannot be read", stored.version))?;
        touched.insert(id);
        *self.kinds.entry((id, event.kind())).or_default() += 1;
        if let (Some(end), Some(parent)) = (self.tasks[place].task.end(), self.tasks[place].task.parent())
            && end.at.0 == stored.at
            && stored.after.is_some_and(ephor_core::status::Status::is_final)
            && stored.before.is_some_and(|before| !before.is_final())
        {
            let told = |(to, letter): &(TaskId, Letter)| *to == parent.task && matches!(letter, Letter::ChildEnded { .. });
            if !sent.iter().any(told) {
                return Err(format!("{id} is part of {} and ended without a word to it", parent.task));
            }
        }
        for (target, letter) in sent {
            *self.letters.entry(target).or_default().entry(text(&letter)).or_default() += 1;
            touched.insert(target);
        }
        self.born.extend(born.into_iter().map(|child| (id, child)));
        branches::count(&event, &self.tasks[place].task, counts);
        self.follow(id, &event, stored, mono)
    }

    /// Who depends on a task that has ended, or is part of it, has heard of it or is about to.
    fn everybody_hears(&self, id: TaskId) -> Checked {
        let Some(examined) = self.task(id) else { return Ok(()) };
        let Some(end) = examined.task.end() else {
            let ended = |on: &&TaskId| self.task(**on).is_some_and(|e| e.task.end().is_some());
            return match examined.witness.dependencies().iter().filter(ended).find(|on| !self.has_word_of(id, **on)) {
                Some(on) => Err(format!("{id} waits for {on}, which has ended, and hears nothing of it")),
                None => Ok(()),
            };
        };
        let live = |other: &&TaskId| self.task(**other).is_some_and(|e| e.task.end().is_none());
        let depends = |other: &&TaskId| self.task(**other).is_some_and(|e| e.witness.dependencies().contains(&id));
        let dependents = self.dependents.get(&id).into_iter().flatten().filter(live).filter(depends);
        if let Some(other) = dependents.into_iter().find(|other| !self.has_word_of(**other, id)) {
            return Err(format!("{other} waits for {id}, which is {}, and hears nothing of it", end.status));
        }
        let told = |part: &TaskId| self.is_waiting(*part, &Letter::ParentEnded { parent: id });
        match self.parts.get(&id).into_iter().flatten().filter(live).find(|part| !told(part)) {
            Some(part) => Err(format!("{part} is part of {id}, which is {}, and hears nothing of it", end.status)),
            None => Ok(()),
        }
    }

    /// Whether word of how a dependency ended is on its way.
    fn has_word_of(&self, to: TaskId, dependency: TaskId) -> bool {
        let end = self.task(dependency).and_then(|e| e.task.end());
        end.is_some_and(|end| self.is_waiting(to, &Letter::DependencyEnded { dependency, status: end.status }))
    }

    fn is_waiting(&self, to: TaskId, letter: &Letter) -> bool {
        self.letters.get(&to).and_then(|letters| letters.get(&text(letter))).is_some_and(|n| *n > 0)
    }

    /// No letter lies about once everything that follows has followed.
    pub(super) fn all_mail_is_read(&self) -> Checked {
        match self.reader.mail_targets(1).map_err(|e| e.to_string())?.first() {
            Some(target) => Err(format!("nobody reads the mail of {target}")),
            None => Ok(()),
        }
    }

    /// What this claim was granted and still holds.
    pub(super) fn held_by(&self, claim: ClaimId) -> impl Iterator<Item = &(TaskId, WorkKey, u32)> {
        self.claims.get(&claim).into_iter().flatten().filter(|(task, work, attempt)| self.holds(*task, work, *attempt))
    }

    /// What is remembered of an event beside its task.
    fn follow(&mut self, id: TaskId, event: &Event, stored: &StoredEvent, mono: u64) -> Checked {
        match event {
            Event::Submitted(facts) => {
                let own = facts.run.is_none_or(|run| run == 1);
                for on in &facts.depends_on {
                    self.dependents.entry(*on).or_default().insert(id);
                }
                if let Some(parent) = facts.parent.as_ref().filter(|_| own) {
                    self.parts.entry(parent.task).or_default().insert(id);
                }
                let source = facts.source.as_deref().unwrap_or("");
                if let Some(name) = &facts.external_id
                    && let Some(other) = self.external.insert(decide::external_key(&facts.namespace, source, name), id)
                {
                    return Err(format!("{id} and {other} go by the same name {name}"));
                }
                if let Some(subject) = facts.subject_ref_id.as_ref().filter(|_| own) {
                    let key = format!("{}/{}/{subject}", facts.namespace, facts.task_type);
                    if let Some(before) = self.subjects.insert(key, stored.at)
                        && stored.at < before + self.policy.duplicate_window.ms as i64
                    {
                        return Err(format!("{id} is the second task about {subject} within the window"));
                    }
                }
            }
            Event::Assigned(a) => {
                self.given.insert((id, a.work.clone(), a.attempt));
                if let Some(until) = self.resting.get(&a.agent).filter(|until| stored.at < until.0) {
                    return Err(format!("{} was given {} of {id} while its breaker is open until {until}", a.agent, a.work));
                }
                self.tools_are_trusted(id, &a.work, stored.at)?;
                self.was_approved(id, a)?;
                self.was_judged(id, "was given away")?;
                self.claims.entry(a.claim).or_default().push((id, a.work.clone(), a.attempt));
                let sign = Sign { attempt: a.attempt, mono, lease_ms: a.lease_ms, agent: a.agent, dead: false };
                self.signs.insert((id, a.work.clone()), sign);
            }
            Event::AttemptFailed(failed) if failed.class == ErrorClass::AgentLost => {
                self.accused(id, &failed.work, mono)?;
            }
            Event::StepBlocked { step, reason: BlockReason::AgentOffline, .. } => {
                self.accused(id, &WorkKey::Step(step.clone()), mono)?;
            }
            Event::EffectGranted(granted) => {
                self.was_judged(id, "acts")?;
                self.granted.insert((id, granted.effect));
            }
            Event::EffectSettled { effect, outcome } => drop(self.settled.insert((id, *effect, word(*outcome)))),
            Event::MailTaken { letters } => {
                for letter in letters {
                    *self.letters.entry(id).or_default().entry(text(letter)).or_default() -= 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What the town wants a person's word on has it, where it can act at all.
    fn was_approved(&self, id: TaskId, assigned: &Assigned) -> Checked {
        let Some(examined) = self.task(id) else { return Ok(()) };
        let acts = examined.task.facts.mode != ExecutionMode::DryRun && examined.task.facts.autonomy != Autonomy::Suggestion;
        let asks = super::world::asks(&self.policy) && examined.task.action_of(&assigned.work) == Some(super::world::ASKED);
        match asks && acts && assigned.approved.is_none() {
            true => Err(format!("{} of {id} was given away and nobody approved of it", assigned.work)),
            false => Ok(()),
        }
    }

    /// Nothing goes on that the constitution in force has not judged.
    fn was_judged(&self, id: TaskId, what: &str) -> Checked {
        let (Some(paper), Some(examined)) = (&self.constitution.in_force, self.task(id)) else { return Ok(()) };
        match &examined.task.facts.constitution {
            Some(by) if *by == paper.digest => Ok(()),
            by => Err(format!("{id} {what} under {by:?}, and {} is in force", paper.digest)),
        }
    }

    /// What a step asks for is not left alone just now.
    fn tools_are_trusted(&self, id: TaskId, work: &WorkKey, at: i64) -> Checked {
        if self.shut.is_empty() {
            return Ok(());
        }
        let Some(examined) = self.task(id) else { return Ok(()) };
        let Some(key) = examined.task.step_key(work) else { return Ok(()) };
        let stream = StreamId::named(StreamKind::Namespace, &examined.task.facts.namespace);
        let Key { words, model, .. } = Key::read(&key);
        let used = [Some((BreakerOf::Tool, words)), model.map(|model| (BreakerOf::Model, model))];
        for (of, name) in used.into_iter().flatten() {
            if self.shut.get(&(stream, of, name.into())).is_some_and(|until| at < until.0) {
                return Err(format!("{work} of {id} was given away while the breaker of {name} is open"));
            }
        }
        Ok(())
    }

    /// Nobody is called dead who was heard within the lease.
    fn accused(&self, id: TaskId, work: &WorkKey, mono: u64) -> Checked {
        match self.signs.get(&(id, work.clone())) {
            Some(sign) if sign.dead || mono.saturating_sub(sign.mono) >= sign.lease_ms => Ok(()),
            Some(sign) => Err(format!("{} lost {work} of {id} {} ms after a sign of life", sign.agent, mono - sign.mono)),
            None => Err(format!("{work} of {id} lapsed, but nobody ever held it")),
        }
    }

    /// What has happened to an agent or in a namespace.
    fn other_event(&mut self, stored: &StoredEvent, counts: &mut Counts) -> Checked {
        let version = self.others.entry(stored.stream).or_default();
        *version += 1;
        if stored.version != *version {
            return Err(format!("{} has version {} after {}", stored.stream, stored.version, *version - 1));
        }
        if let Some(branch) = branches::of_breaker(&stored.kind) {
            *counts.entry(branch).or_default() += 1;
        }
        if stored.stream.kind == StreamKind::Namespace {
            let event: NamespaceEvent = serde_json::from_str(&stored.data).map_err(|e| e.to_string())?;
            match event {
                NamespaceEvent::BreakerOpened { of, name, opened } => {
                    self.shut.insert((stored.stream, of, name), opened.until);
                }
                NamespaceEvent::BreakerHalfOpened { of, name } | NamespaceEvent::BreakerClosed { of, name } => {
                    self.shut.remove(&(stored.stream, of, name));
                }
                NamespaceEvent::SubmissionRefused { .. }
                | NamespaceEvent::KeyCreated(_)
                | NamespaceEvent::KeyRevoked { .. }
                | NamespaceEvent::HoldPlaced(_)
                | NamespaceEvent::HoldReleased(_)
                | NamespaceEvent::HoldLifted { .. }
                | NamespaceEvent::LimitSet(_)
                | NamespaceEvent::LimitRemoved { .. } => {}
            }
            return Ok(());
        }
        if stored.stream.kind == StreamKind::Constitution {
            let event: ConstitutionEvent = serde_json::from_str(&stored.data).map_err(|e| e.to_string())?;
            self.constitution.evolve(&event, Time(stored.at), &stored.actor);
            branches::of_constitution(&event, counts);
            return Ok(());
        }
        let id = AgentId::from_bits(stored.stream.bits);
        let event: AgentEvent = serde_json::from_str(&stored.data).map_err(|e| e.to_string())?;
        match event {
            AgentEvent::AgentRegistered(registered) => {
                let said = registered.said;
                self.inside.extend(said.in_process.then_some(id));
                self.slots.extend(said.slots.map(|slots| (id, slots)));
            }
            AgentEvent::BreakerOpened(opened) => drop(self.resting.insert(id, opened.until)),
            AgentEvent::BreakerHalfOpened | AgentEvent::BreakerClosed => drop(self.resting.remove(&id)),
            AgentEvent::AgentDrained | AgentEvent::AgentResumed | AgentEvent::AgentRevoked => {}
        }
        Ok(())
    }

    /// A task as everybody else has it.
    fn compare(&mut self, id: TaskId, writer: &Writer<MemoryStore>, store: &MemoryStore) -> Checked {
        let Some(examined) = self.task(id) else { return Err(format!("{id} was written to and is not there")) };
        let task = &examined.task;
        let Some(row) = store.row(id.into()) else { return Err(format!("{id} has no row")) };
        let wanted = live::row_of(task, task.open_keys());
        let early = |is: Option<i64>, must: Option<i64>| must.is_none_or(|must| is.is_some_and(|is| is <= must));
        if !early(row.wake_at, wanted.wake_at) || (task.end().is_some() && row.wake_at.is_some()) {
            return Err(format!("{id} has to wake at {:?} but is woken at {:?}", wanted.wake_at, row.wake_at));
        }
        if (crate::store::Row { wake_at: None, ..row.clone() }) != (crate::store::Row { wake_at: None, ..wanted.clone() }) {
            return Err(format!("the row of {id} is {row:?}, but its events say {wanted:?}"));
        }
        if row.asks_since.is_some() == task.questions().is_empty() {
            return Err(format!("{id} asks {:?}, and its row says {:?}", task.questions(), row.asks_since));
        }
        if let Some(live) = writer.cached(id) {
            if live.task != *task || live.hash != examined.hash {
                return Err(format!("{id} in memory is not what its events say"));
            }
            if live.row.as_deref() != Some(&row) {
                return Err(format!("the row of {id} in memory is not the one that is stored"));
            }
        }
        if let Some(breach) = examined.witness.at_rest().first() {
            return Err(format!("{id}: {:?}: {}", breach.rule, breach.what));
        }
        if !task.waits_on_somebody() && row.wake_at.is_none() {
            return Err(format!("{id} is {} and waits on nobody", task.status()));
        }
        self.mail(id)
    }

    /// The mail in the store is what was sent and not yet taken.
    fn mail(&mut self, id: TaskId) -> Checked {
        let ended = self.task(id).is_some_and(|e| e.task.end().is_some());
        let Some(letters) = self.letters.get_mut(&id) else { return Ok(()) };
        letters.retain(|_, n| *n != 0);
        if let Some((letter, _)) = letters.iter().find(|(_, n)| **n < 0) {
            return Err(format!("{id} took a letter that nobody sent: {letter}"));
        }
        let mut waiting: BTreeMap<String, i64> = BTreeMap::new();
        for row in self.reader.mail(id.into(), u32::MAX).map_err(|e| e.to_string())? {
            let envelope: decide::Envelope = serde_json::from_str(&row.body).map_err(|e| e.to_string())?;
            *waiting.entry(text(&envelope.letter)).or_default() += 1;
        }
        if ended {
            letters.clear();
        }
        if waiting != *letters {
            return Err(format!("{id} should find the letters {letters:?} but would find {waiting:?}"));
        }
        Ok(())
    }

    /// Rebuilds every task from the store alone.
    pub(super) fn whole(&self) -> Checked {
        for seen in &self.tasks {
            let id = &seen.task.id;
            let loaded = self.reader.load(StreamId::from(*id)).map_err(|e| e.to_string())?;
            let loaded = loaded.ok_or_else(|| format!("{id} is gone"))?;
            let rebuilt = Live::replay(*id, &loaded).map_err(|e| e.to_string())?;
            let same = match seen.task.is_erased() {
                true => (rebuilt.task.status(), rebuilt.task.version) == (seen.task.status(), seen.task.version),
                false => rebuilt.task == seen.task,
            };
            if !same || rebuilt.hash != seen.hash {
                return Err(format!("{id} read again is not what it was"));
            }
        }
        Ok(())
    }

    /// Everything that was due was looked at.
    pub(super) fn nothing_is_due(&self, now: Time) -> Checked {
        match self.unfinished().find(|(_, e)| e.task.wake_at().is_some_and(|at| at <= now)) {
            Some((id, e)) => {
                Err(format!("{id} is {} and was to wake at {:?}, and now is {}", e.task.status(), e.task.wake_at(), now.0))
            }
            None => Ok(()),
        }
    }

    /// Nobody holds more than it has room for.
    pub(super) fn nobody_holds_too_much(&self) -> Checked {
        let mut held: BTreeMap<AgentId, u32> = BTreeMap::new();
        if self.slots.is_empty() {
            return Ok(());
        }
        for lease in self.unfinished().flat_map(|(_, examined)| examined.task.live_leases()) {
            *held.entry(lease.agent).or_default() += 1;
        }
        match held.iter().find(|(agent, held)| self.slots.get(agent).is_some_and(|slots| *held > slots)) {
            Some((agent, held)) => Err(format!("{agent} holds {held} pieces of work and has {} slots", self.slots[agent])),
            None => Ok(()),
        }
    }

    /// No agent waits for work that is there.
    pub(super) fn nobody_waits_beside_work(&self, writer: &Writer<MemoryStore>, now: Time) -> Checked {
        let flow = writer.flow();
        let facts = flow.facts();
        let held = self.unfinished().map(|(_, examined)| (&examined.task, examined.witness.leases.len()));
        let may = May::count(&facts, &flow, now, held);
        for (agent, able) in writer.waiting_agents(now) {
            let is_shut = |namespace: &str, key: &str| writer.is_shut(namespace, key, now);
            if let Some(task) = self.work_for(agent, able, is_shut, now, &may) {
                return Err(format!("{agent} waits for work although {task} has some"));
            }
        }
        Ok(())
    }

    /// A task that would give this agent something now.
    fn work_for(
        &self,
        agent: AgentId,
        able: &Arc<Able>,
        is_shut: impl Fn(&str, &str) -> bool,
        now: Time,
        may: &May<'_>,
    ) -> Option<TaskId> {
        let actor = Actor::agent(agent);
        let claim = command::Claim {
            agent,
            able: able.clone(),
            closed: [].into(),
            claim: ephor_core::id::ClaimId::from_bits(1),
            start: true,
            limits: Vec::new(),
        };
        let gives = |(id, examined): (TaskId, &Examined)| {
            let keys = examined.task.open_keys()?;
            let namespace = &*examined.task.facts.namespace;
            let (shut, open): (Vec<&str>, Vec<&str>) = keys.lines().partition(|key| is_shut(namespace, key));
            open.iter().find(|key| fits(key, agent, able)).filter(|_| may.have(agent, &examined.task))?;
            let claim = command::Claim { closed: shut.into_iter().map(Into::into).collect(), ..claim.clone() };
            let cx = Context {
                now,
                actor: &actor,
                own: false,
                policy: &self.policy,
                counter: 0,
                judges: &[],
                analyst: false,
                ended: &[],
                births: &ephor_core::command::Unhindered,
                agents: &ephor_core::command::Strangers,
                held_back: false,
                told_to_stop: false,
                shut_models: &[],
            };
            let answer = examined.task.clone().handle(Command::Claim(claim), &cx).answer;
            matches!(answer, Ok(Answer::Work(_))).then_some(id)
        };
        self.unfinished().find_map(gives)
    }

    /// Somebody was told that a command was carried out: it must have left one of these in the log, each time anew.
    pub(super) fn acknowledge(&mut self, task: TaskId, version: u64, left: &'static [&'static str]) -> Checked {
        self.reached(task, version)?;
        let Some(name) = left.first() else { return Ok(()) };
        let told = self.told.entry((task, name)).or_default();
        *told += 1;
        let told = *told;
        let there: u64 = left.iter().map(|kind| self.kinds.get(&(task, *kind)).copied().unwrap_or(0)).sum();
        match there < told {
            true => Err(format!("{name} of {task} was acknowledged {told} times but is there {there} times")),
            false => Ok(()),
        }
    }

    /// Somebody was told that a task is at this version.
    pub(super) fn reached(&self, task: TaskId, version: u64) -> Checked {
        let is = self.task(task).map_or(0, |e| e.task.version);
        match is < version {
            true => Err(format!("{task} was said to be at version {version} but is at {is}")),
            false => Ok(()),
        }
    }

    pub(super) fn agent_reached(&self, agent: AgentId, version: u64) -> Checked {
        let is = self.others.get(&StreamId::from(agent)).copied().unwrap_or(0);
        if is < version { Err(format!("{agent} was said to be at version {version} but is at {is}")) } else { Ok(()) }
    }

    pub(super) fn was_given(&self, task: TaskId, work: &WorkKey, attempt: u32) -> bool {
        self.given.contains(&(task, work.clone(), attempt))
    }

    pub(super) fn was_granted(&self, task: TaskId, effect: EffectId) -> bool {
        self.granted.contains(&(task, effect))
    }

    pub(super) fn was_settled(&self, task: TaskId, effect: EffectId, outcome: EffectOutcome) -> bool {
        self.settled.contains(&(task, effect, word(outcome)))
    }
}

fn text(letter: &Letter) -> String {
    serde_json::to_string(letter).expect("letters are plain data")
}

fn word(outcome: EffectOutcome) -> &'static str {
    match outcome {
        EffectOutcome::Done => "done",
        EffectOutcome::NotDone => "not done",
        EffectOutcome::Unknown => "unknown",
    }
}
