//! The one writer. It takes whatever waits, decides it task by task, folds what concerns one task, and writes all of it in one
//! transaction with one fsync; only then is anybody answered. No async here: `engine` runs it on a thread of its own, a simulation
//! runs it step by step.
//!
//! While a large batch is being written the next one is decided on top of it (`pen`, `underway`): tasks are taken from memory, where
//! they are as that batch leaves them; whoever would look into the store for something that batch is about waits for it first. The
//! next batch is given to the store, and anybody in it answered, only once the one before is on disk.
//!
//! What is only in memory (cache, ready queue, leases, mailbox) follows the store: after a commit that failed, everything it touched
//! and everything decided on top of it is forgotten, and read again.

use crate::cache::{Cache, Waste};
use crate::clock::Entropy;
use crate::directory::Directory;
use crate::house::House;
use crate::leases::{Granted, Leases};
use crate::live::{Live, SNAPSHOT_EVERY};
use crate::ready::Ready;
use crate::sealed::Sealed;
use crate::store::{Blob, Reader, Store, StoreError, UniqueRow};
use ephor_core::agent::{Agent, AgentCommand, AgentStatus, Registration};
use ephor_core::command::{Agents, Answer, Command, Refusal, Submission};
use ephor_core::constitution::ConstitutionCommand;
use ephor_core::event::{Actor, Event};
use ephor_core::id::{AgentId, ClaimId, StreamId, StreamKind, TaskId};
use ephor_core::matching::Able;
use ephor_core::namespace::NamespaceEvent;
use ephor_core::planted::{self, Fault};
use ephor_core::policy::{Policy, Seat};
use ephor_core::review::Judge;
use ephor_core::status::Status;
use ephor_core::time::Time;
use ephor_core::work::{ClaimRequest, WorkItem, WorkKey};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) mod amending;
mod asked;
mod batch;
mod births;
mod claim;
mod commit;
pub(crate) mod decide;
pub(crate) mod once;
mod parked;
mod pen;
mod probation;
mod rerun;
#[cfg(test)]
mod tests;
mod trust;
mod turns;
mod underway;

pub(crate) use asked::Asked;
pub use asked::Terms;
use batch::Batch;
use once::Once;
use parked::Parked;
use pen::Pen;
use trust::Trust;
pub(crate) use trust::{Board as Breakers, Tool};
use turns::Turns;
use underway::Underway;

/// The most letters one event takes in (DESIGN §1).
const MAIL_MAX: u32 = 1_000;
/// The most letters one task takes in one commit. Before it has heard all that wait it does nothing else: it could end, and those whose
/// letters it has not read would wait for ever.
const LETTERS_MAX: u32 = 10 * MAIL_MAX;
/// How many tasks with mail are looked up at once; the store is asked again when those are through.
const MAIL_TARGETS: u32 = 10_000;
/// The most tasks whose mail is taken in one batch, so that letters never hold up people.
const MAILBOXES_MAX: usize = 200;

/// Names who asked, so that the answer finds its way back.
pub(crate) type Ticket = u64;

/// What is asked of the writer.
#[derive(Debug)]
pub(crate) enum Job {
    /// A task is to be born.
    Submit(Box<Submit>),
    /// Something is asked of a task.
    Task { task: TaskId, command: Command, actor: Actor },
    /// The same under terms.
    Asked(Box<Asked>),
    /// A large value is to be kept for a task.
    Keep { task: TaskId, blob: Blob },
    /// The same for several, answered one by one.
    Many(Vec<Job>),
    /// An agent asks for work.
    Claim(Claim),
    /// Something is asked of an agent.
    Agent { id: AgentId, command: AgentCommand, actor: Actor },
    /// A fact about a namespace.
    Namespace { name: Box<str>, event: NamespaceEvent, actor: Actor },
    /// Something is asked of the constitution.
    Constitution { command: ConstitutionCommand, actor: Actor },
    /// One of the last two, done once however often it is said.
    Once(Box<Once>),
    /// Delete the private parts of a task that has ended.
    Erase { task: TaskId, actor: Actor },
}

/// What is to be decided, in order.
pub(crate) type Jobs = VecDeque<(Ticket, Job)>;

impl Job {
    /// How many things it asks for.
    pub(crate) fn count(&self) -> usize {
        if let Self::Many(jobs) = self { jobs.len() } else { 1 }
    }

    /// Whether the clock asks.
    fn is_wake(&self) -> bool {
        match self {
            Self::Task { command, .. } => matches!(command, Command::Wake),
            Self::Many(jobs) => jobs.iter().any(Self::is_wake),
            Self::Submit(_)
            | Self::Asked(_)
            | Self::Keep { .. }
            | Self::Claim(_)
            | Self::Agent { .. }
            | Self::Namespace { .. }
            | Self::Constitution { .. }
            | Self::Once(_)
            | Self::Erase { .. } => false,
        }
    }
}

/// The birth of a task, and what guards it.
#[derive(Debug)]
pub(crate) struct Submit {
    pub(crate) id: TaskId,
    pub(crate) submission: Submission,
    /// Its words, where somebody has sealed them already.
    pub(crate) words: Option<Sealed>,
    pub(crate) actor: Actor,
    pub(crate) idempotency: Option<Idempotency>,
}

/// A key that makes a repeated request harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Scoped by the caller: namespace, principal, route and key.
    pub key: String,
    /// SHA-256 of the request in hexadecimal: the same key with another request is refused.
    pub digest: String,
}

/// How long an idempotency key is kept, in milliseconds (DESIGN §2: 7 days).
const IDEMPOTENCY_MS: u64 = 7 * 24 * 3_600_000;

/// A wish for work.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) wish: ClaimRequest,
    /// Until when it may wait, on the monotonic clock.
    pub(crate) until: u64,
    /// Whether what the agent holds already comes before anything new.
    pub(crate) held_first: bool,
}

/// What a job is answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// It was done, or refused by a rule.
    One(Result<Done, Refusal>),
    /// The same for each of several.
    Many(Vec<Result<Done, Refusal>>),
    /// Work; none when none came in time.
    Work(Result<Vec<WorkItem>, Refusal>),
    /// Nothing was written because there is no space.
    Full,
    /// Another program keeps the store locked: nothing of it was written.
    Busy,
    /// Another writer was faster; ask again.
    Conflict,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Which task, where it is about one.
    pub task: Option<TaskId>,
    /// Where the task is now.
    pub status: Status,
    /// Its version now.
    pub version: u64,
    /// What was asked for.
    pub answer: Answer,
    /// Whether this is the answer to an earlier request with the same idempotency key.
    pub repeated: bool,
}

/// The writer and everything it keeps in memory.
pub(crate) struct Writer<S> {
    pen: Pen<S>,
    /// What the store was given last, while it is not known to be written.
    underway: Option<Underway>,
    /// What is decided on top of that and waits for it.
    open: Option<Batch>,
    /// What everybody in it is answered instead, where that was not written.
    undone: Option<Reply>,
    /// Tasks that are not needed any more, until a batch is on its way and there is time to take them apart.
    waste: Waste,
    /// Answers of what is written, not given out yet.
    answers: Vec<(Ticket, Reply)>,
    reader: Arc<dyn Reader>,
    /// The numbers to decide by, and the law as of the last command.
    policy: Arc<Policy>,
    /// The constitution as it is written.
    standing: amending::Standing,
    entropy: Box<dyn Entropy>,
    cache: Cache,
    ready: Ready,
    leases: Arc<Mutex<Leases>>,
    turns: Turns,
    agents: BTreeMap<AgentId, Known>,
    /// The same for those who look.
    directory: Arc<Directory>,
    judges: Vec<Judge>,
    /// How many active agents are able to `analyse`.
    analysts: usize,
    /// Tasks that have mail in the store.
    mailbox: BTreeSet<TaskId>,
    /// Whether there may be more of them than were looked up.
    mail_unread: bool,
    /// Tasks that had more to settle than one commit should hold.
    again: BTreeSet<TaskId>,
    parked: Parked,
    trust: Trust,
    /// No keys.
    none: Arc<[Box<str>]>,
    /// Tasks whose stream contradicts the rules, and why. They answer nothing until somebody looks.
    quarantine: HashMap<TaskId, String>,
    /// The earliest `wake_at` written since somebody asked.
    earliest_wake: Option<i64>,
    /// The position of the last event written.
    position: u64,
    /// Whether the store could not be read last time.
    hampered: bool,
    /// After how many events a stream gets a snapshot.
    pub(crate) snapshot_every: u64,
    /// Rare branches that were reached since somebody asked.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) reached: Vec<&'static str>,
}

/// An agent as the writer knows it.
#[derive(Clone, Debug)]
struct Known {
    agent: Agent,
    hash: [u8; 32],
    able: Arc<Able>,
}

/// What agents say of themselves, for rules about them.
#[derive(Debug)]
struct Roll<'a>(&'a BTreeMap<AgentId, Known>);

impl Agents for Roll<'_> {
    fn said(&self, agent: AgentId) -> Option<&Registration> {
        self.0.get(&agent)?.agent.registration.as_ref()
    }
}

impl Known {
    fn new(agent: Agent, hash: [u8; 32]) -> Self {
        let able = agent.able();
        Self { agent, hash, able }
    }

    fn is_active(&self) -> bool {
        self.agent.status == AgentStatus::Active && self.agent.registration.is_some()
    }

    /// The only namespace it works for.
    fn namespace(&self) -> Option<Box<str>> {
        self.agent.registration.as_ref()?.namespace.clone()
    }

    fn can(&self, word: &str) -> bool {
        self.is_active() && self.able.capabilities.iter().any(|c| **c == *word)
    }
}

impl<S: Store> Writer<S> {
    /// Takes over a store: reads the agents, finds live leases and waiting mail. Leases of agents that lived in a process that is
    /// proven dead lapse at once; the others are observed anew from `mono` on.
    pub(crate) fn start(
        store: S,
        house: Arc<House>,
        entropy: Box<dyn Entropy>,
        leases: Arc<Mutex<Leases>>,
        cache_bytes: usize,
        now: Time,
        mono: u64,
    ) -> Result<Self, StoreError> {
        let reader = store.reader();
        let position = reader.position()?;
        let mut writer = Self {
            pen: Pen::new(store),
            underway: None,
            open: None,
            undone: None,
            waste: Vec::new(),
            answers: Vec::new(),
            reader,
            policy: house.policy(),
            standing: amending::Standing::new(house),
            entropy,
            cache: Cache::new(cache_bytes),
            ready: Ready::unread(),
            leases,
            turns: Turns::default(),
            agents: BTreeMap::new(),
            directory: Arc::default(),
            judges: Vec::new(),
            analysts: 0,
            mailbox: BTreeSet::new(),
            mail_unread: false,
            again: BTreeSet::new(),
            parked: Parked::default(),
            trust: Trust::default(),
            none: [].into(),
            quarantine: HashMap::new(),
            earliest_wake: None,
            position,
            hampered: false,
            snapshot_every: SNAPSHOT_EVERY,
            #[cfg(any(test, feature = "simulation"))]
            reached: Vec::new(),
        };
        writer.read_agents()?;
        writer.read_trust(now, mono)?;
        writer.read_mailbox()?;
        writer.read_flow(now)?;
        writer.read_constitution(now, mono)?;
        writer.read_leases(now, mono)?;
        writer.turns.stale = true;
        Ok(writer)
    }

    fn read_agents(&mut self) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let page = self.reader.streams(StreamKind::Agent, after, 500)?;
            let Some(last) = page.last() else { break };
            after = last.number;
            for listed in page {
                let Some(loaded) = self.reader.load(listed.stream)? else { continue };
                let mut agent = Agent::unknown(AgentId::from_bits(listed.stream.bits));
                for stored in &loaded.events {
                    let event = serde_json::from_str(&stored.data).map_err(|e| StoreError::Corrupt {
                        stream: stored.stream,
                        version: stored.version,
                        why: e.to_string(),
                    })?;
                    agent.evolve(&event);
                    // Each time: an agent is found by its earlier names too.
                    self.directory.put(&agent);
                }
                self.agents.insert(agent.id, Known::new(agent, loaded.head.hash));
            }
        }
        self.count_helpers();
        Ok(())
    }

    /// Keeps at hand who may vote and whether somebody can analyse.
    fn count_helpers(&mut self) {
        self.judges = self.council();
        self.analysts = self.agents.values().filter(|k| k.can("analyse")).count();
    }

    /// Who may vote: agents able to, and those whom the house names; of an agent that it names, the seat counts.
    fn council(&self) -> Vec<Judge> {
        let seats = &self.policy.judges;
        let mut named: BTreeSet<&str> = seats.keys().map(|name| &**name).collect();
        let mut judges = Vec::new();
        for (id, known) in &self.agents {
            let own = id.to_string();
            let external = known.agent.registration.as_ref().and_then(|said| said.external_id.as_deref());
            // Nobody takes a person's seat by a name they give themselves.
            let by_id = seats.get_key_value(own.as_str());
            let seat = by_id.or_else(|| seats.get_key_value(external?).filter(|(_, seat)| seat.agent));
            // The name is taken by the agent, though it may not judge now.
            if let Some((name, _)) = seat {
                named.remove(&**name);
            }
            if known.can("judge") {
                let Seat { weight, veto, agent: _ } = seat.map(|(_, seat)| seat.clone()).unwrap_or_default();
                judges.push(Judge { id: own.as_str().into(), weight, veto });
            }
        }
        let people = seats.iter().filter(|(name, seat)| !seat.agent && named.contains(&***name));
        judges.extend(people.map(|(name, seat)| Judge { id: name.clone(), weight: seat.weight, veto: seat.veto }));
        judges
    }

    fn read_mailbox(&mut self) -> Result<(), StoreError> {
        if planted::is(Fault::MailUnread) {
            return Ok(());
        }
        let waiting = self.reader.mail_targets(MAIL_TARGETS)?;
        let full = waiting.len() >= MAIL_TARGETS as usize;
        let listening = waiting.into_iter().filter_map(StreamId::task).filter(|task| !self.quarantine.contains_key(task));
        self.mailbox = listening.collect();
        self.mail_unread = full && !self.mailbox.is_empty();
        Ok(())
    }

    /// Begins to observe the leases that live in the store. Only tasks that have begun, or are about to, can hold any.
    fn read_leases(&mut self, now: Time, mono: u64) -> Result<(), StoreError> {
        // An analysis is held while RETRYING; a review that is asked again leaves what runs alone.
        const HOLDING: [Status; 8] = [
            Status::Assigned,
            Status::InProgress,
            Status::Review,
            Status::Paused,
            Status::Blocked,
            Status::Escalated,
            Status::Retrying,
            Status::Deliberating,
        ];
        let mut filter = crate::store::Filter { statuses: HOLDING.to_vec(), live: true, ..Default::default() };
        let mut dead = Vec::new();
        loop {
            let page = self.reader.list(&filter, 500)?;
            let Some(last) = page.last() else { break };
            filter.below = Some(last.number);
            for listed in page {
                let Some(task) = listed.stream.task() else { continue };
                let Some(live) = self.load(task)? else { continue };
                for lease in live.task.live_leases() {
                    let holder = self.agents.get(&lease.agent).map(|known| &known.agent);
                    let inside = holder.and_then(|agent| agent.registration.as_ref()).is_some_and(|said| said.in_process);
                    if inside || holder.is_some_and(|agent| agent.status == AgentStatus::Revoked) {
                        dead.push((task, lease.work.clone(), lease.attempt));
                    }
                    if !planted::is(Fault::LeaseUnwatched) {
                        let mut leases = self.leases();
                        let action = live.task.action_of(&lease.work).and_then(|action| leases.name(action));
                        leases.grant(task, Granted::before(lease, action), mono);
                    }
                }
                let said = &live.task.contents.guidance;
                if !said.is_empty() {
                    let beats = self.reader.telemetry(task.into())?;
                    let came = said_before(&*self.reader, task)?;
                    self.leases().remind(task, said, |work, attempt| {
                        let beat = beats.iter().find(|b| b.attempt == attempt && b.work == work.to_string());
                        let with_it = came.get(&(work.clone(), attempt)).copied().unwrap_or(0);
                        with_it.max(beat.map_or(0, |beat| beat.heard))
                    });
                }
                self.leases().hold_up(task, decide::is_held_up(live.task.status()));
                self.cache.put(task, live);
            }
        }
        for (task, work, attempt) in dead {
            let job = Job::Task { task, command: Command::LeaseLapsed { work, attempt, counter: 0 }, actor: Actor::settle() };
            self.batch(&mut Jobs::from([(0, job)]), now, mono)?;
        }
        Ok(())
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().expect("nobody panics while holding the leases")
    }

    /// The task, from the cache or the store; `None` when there is no such stream.
    fn load(&mut self, task: TaskId) -> Result<Option<Box<Live>>, StoreError> {
        if let Some(live) = self.cache.take(task) {
            return Ok(Some(live));
        }
        self.await_task(task)?;
        Ok(Live::recall(&*self.reader, task)?.map(Box::new))
    }

    /// Decides jobs and has what came of them written, unless what was decided before is still being written: then they wait for that,
    /// and more may join them. Answers everybody whose answer is on disk, also of earlier batches and of jobs that were parked. May
    /// leave jobs to be decided while a part of them is being written; whoever calls goes on until none is left. Where the store cannot
    /// be read because another program keeps it locked, everybody of the batch hears that and nothing of it is written. An error means
    /// that nobody may be answered and this writer is at its end.
    pub(crate) fn batch(&mut self, jobs: &mut Jobs, now: Time, mono: u64) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        // All of a commit has one time, that of its first job. What is due now must not be looked at as of then.
        if self.open.as_ref().is_some_and(|open| open.now < now) && jobs.iter().any(|(_, job)| job.is_wake()) {
            self.settle()?;
            if let Some(open) = self.open.take() {
                self.hand_over(open)?;
            }
        }
        let mut batch = match self.open.take() {
            Some(open) => open,
            None => {
                if self.turns.stale {
                    self.settle()?;
                    if let Err(error) = self.refresh() {
                        return self.not_decided(Batch::new(now, mono), jobs, error);
                    }
                }
                self.undone = None;
                self.take_numbers_over();
                Batch::new(now, mono)
            }
        };
        batch.mono = mono;
        self.turns.mono = mono;
        match self.fill(&mut batch, jobs) {
            Ok(()) => self.hand_over(batch)?,
            Err(error) => return self.not_decided(batch, jobs, error),
        }
        self.hampered = false;
        Ok(std::mem::take(&mut self.answers))
    }

    /// Decides jobs into a batch, until none is left or those that are decided had better be written.
    fn fill(&mut self, batch: &mut Batch, jobs: &mut Jobs) -> Result<(), StoreError> {
        let mut left: usize = jobs.iter().map(|(_, job)| job.count()).sum();
        while let Some((ticket, job)) = jobs.pop_front() {
            left -= job.count();
            if let Err(error) = self.decide(batch, ticket, job) {
                batch.unanswered.push(ticket);
                return Err(error);
            }
            if batch.constitution.is_some() {
                return Ok(());
            }
            if self.pen.is_worth_it(batch.jobs, left) && (self.underway.is_none() || self.pen.is_done()) {
                return Ok(());
            }
        }
        if self.undone.is_none() {
            self.go_on(batch)?;
            self.end_rests(batch.now, batch.mono);
            self.serve_parked(batch)?;
        }
        Ok(())
    }

    /// The store could not be read while a batch was decided. Where another program keeps it locked, nothing of the batch stands, and
    /// everybody in it hears why: asked again, it may work. Any other trouble ends the writer.
    fn not_decided(&mut self, batch: Batch, jobs: &mut Jobs, error: StoreError) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        if !matches!(error, StoreError::Busy(_)) {
            return Err(error);
        }
        tracing::warn!(%error, "a batch was not decided");
        let tickets = batch.replies.iter().map(|(ticket, _)| *ticket).chain(batch.unanswered.iter().copied());
        self.answers.extend(tickets.chain(jobs.drain(..).map(|(ticket, _)| ticket)).map(|ticket| (ticket, Reply::Busy)));
        // What waits for an errand or has more to settle is looked at again when its time comes, as after a batch that was not written.
        self.forget();
        self.hampered = true;
        Ok(std::mem::take(&mut self.answers))
    }

    /// Whether the store could not be read last time: then there is no hurry to try again.
    pub(crate) fn is_hampered(&self) -> bool {
        self.hampered
    }

    /// Waits until everything that was decided is written. Answers everybody.
    pub(crate) fn finish(&mut self) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        loop {
            self.settle()?;
            match self.open.take() {
                Some(open) => self.hand_over(open)?,
                None => return Ok(std::mem::take(&mut self.answers)),
            }
        }
    }

    /// Lets large batches be written by a thread of its own. `done` is called there whenever one is through; `batch` then answers.
    pub(crate) fn write_behind(&mut self, done: impl Fn() + Send + 'static) -> Result<(), StoreError>
    where
        S: 'static,
    {
        self.pen.write_behind(done)
    }

    /// Lets every batch be written only when it has to be: what comes next is decided before.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn write_late(&mut self) {
        self.pen.write_late();
    }

    /// What nobody asked for but waits: mail, and tasks with more to settle.
    fn go_on(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        if self.mailbox.is_empty() && self.mail_unread {
            self.settle()?;
            self.read_mailbox()?;
        }
        for errand in std::mem::take(&mut self.trust.errands) {
            self.decide(batch, 0, errand)?;
        }
        let mail: Vec<TaskId> = self.mailbox.iter().copied().take(MAILBOXES_MAX).collect();
        let again = std::mem::take(&mut self.again);
        for task in mail.into_iter().chain(again) {
            let job = Job::Task { task, command: Command::Wake, actor: Actor::settle() };
            self.decide(batch, 0, job)?;
        }
        Ok(())
    }

    /// Notes that a rare branch was reached.
    #[cfg(any(test, feature = "simulation"))]
    fn reach(&mut self, branch: &'static str) {
        self.reached.push(branch);
    }

    /// Nobody counts.
    #[cfg(not(any(test, feature = "simulation")))]
    fn reach(&mut self, _: &'static str) {}

    /// Whether another batch should run at once.
    pub(crate) fn has_more(&self) -> bool {
        !self.mailbox.is_empty()
            || self.mail_unread
            || !self.trust.errands.is_empty()
            || !self.again.is_empty()
            || self.parked.has_woken()
            || self.turns.stale
    }

    /// When the first parked claim has waited long enough, a rate has room again, or a rest is over for which one waits, on the monotonic
    /// clock.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let rest = self.trust.next_end().filter(|_| !self.parked.is_empty());
        self.parked.next_deadline().into_iter().chain(self.turns.next_deadline()).chain(rest).min()
    }

    /// The earliest time the clock was asked to look at something since this was last asked.
    pub(crate) fn take_earliest_wake(&mut self) -> Option<i64> {
        self.earliest_wake.take()
    }

    /// Who is known, for those who look.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        self.directory.clone()
    }

    /// What stands and what is counted, for those who look.
    pub(crate) fn flow(&self) -> Arc<crate::flow::Flow> {
        self.turns.flow.clone()
    }

    /// The position of the last event written.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Writes what must not be lost entirely but may be lost a little: signs of life, the highest instant. Everything has to be finished.
    pub(crate) fn note(&mut self, now: Time) -> Result<(), StoreError> {
        let beats = self.leases().take_unwritten(now);
        if !beats.is_empty() {
            self.pen.store().note(&beats)?;
        }
        self.pen.store().save_high_water(now.0)
    }

    /// Deletes keys that ran out. Everything has to be finished.
    pub(crate) fn sweep(&mut self, now: Time) -> Result<u32, StoreError> {
        // First the instant they ran out by: after a restart it must not be earlier than that, or they would have been kept too short.
        self.pen.store().save_high_water(now.0)?;
        self.pen.store().sweep(now.0, 1_000)
    }

    /// A task as it is kept in memory, if it is.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn cached(&self, task: TaskId) -> Option<&Live> {
        self.cache.peek(task)
    }

    /// A task that contradicts the rules, if there is one.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn quarantined(&self) -> Option<(TaskId, &str)> {
        self.quarantine.iter().min().map(|(task, why)| (*task, why.as_str()))
    }

    /// Agents that wait for work and may have it, and what they can do.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn waiting_agents(&self, now: Time) -> impl Iterator<Item = (AgentId, &Arc<Able>)> {
        let known = self.parked.agents().filter_map(|id| Some((id, self.agents.get(&id)?)));
        let able = known.filter(move |(id, known)| known.is_active() && self.room(*id, 0, now) != Some(0));
        able.map(|(id, known)| (id, &known.able))
    }

    /// Whether work under this key is not given out now.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn is_shut(&self, namespace: &str, key: &str, now: Time) -> bool {
        self.trust.is_shut(namespace, key, now)
    }

    /// Gauges for those who watch: cached tasks, tasks with open work, live leases, parked claims.
    pub(crate) fn gauges(&self) -> Gauges {
        Gauges {
            cached: self.cache.len(),
            ready: self.ready.len() + self.turns.lanes.len(),
            leases: self.leases().len(),
            parked: self.parked.len(),
            commits: 0,
        }
    }
}

/// For each attempt of a task how much people had said when its work was handed out: that came with it.
fn said_before(reader: &dyn Reader, task: TaskId) -> Result<HashMap<(WorkKey, u32), u64>, StoreError> {
    let (mut said, mut came) = (0, HashMap::new());
    for stored in reader.stream_events(task.into(), 0, u32::MAX)? {
        let event = crate::live::decode(&stored)?.0;
        said += u64::from(event == Event::Guided);
        if let Event::Assigned(assigned) = event {
            came.insert((assigned.work, assigned.attempt), said);
        }
    }
    Ok(came)
}

/// How much the writer has in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Decoded tasks in memory.
    pub cached: usize,
    /// Tasks known to offer work, those set aside among them.
    pub ready: usize,
    /// Live leases.
    pub leases: usize,
    /// Agents waiting for work.
    pub parked: usize,
    /// Commits since the start, as whoever drives the writer counts them.
    pub commits: u64,
}

/// A set of task ids that come up often in signatures here.
type TaskSet = HashSet<TaskId>;

/// What a claim was given so far in this batch, for a claim that is repeated before it is written.
type ClaimsSoFar = HashMap<ClaimId, Vec<(TaskId, ephor_core::work::WorkKey)>>;

/// A unique key that is taken in this batch.
type UniquesSoFar = HashMap<String, UniqueRow>;
