//! The engine: a handle that any number of callers share. What is asked goes to the one writer on its thread; what is read goes past
//! it. A second thread is the clock: it wakes what is due and watches for agents that fell silent.

use crate::clock::{self, Clock, EngineTime, Entropy, SystemClock, SystemEntropy};
use crate::directory::Directory;
use crate::feed::Feed;
use crate::flow::Flow;
use crate::house::House;
use crate::intake::{Intake, Item, NotTaken};
use crate::leases::{Lapsed, LeaseView, Leases};
use crate::lock::Lock;
use crate::sealed::Sealed;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Blob, Reader, Store, StoreError};
use crate::submitter::{self, Submitter};
use crate::ticker;
use crate::worklog::{WorkLog, WorkLogs};
use crate::writer::once::{self, Once};
use crate::writer::{Asked, Breakers, Claim, Job, Jobs, Reply, Submit, Ticket, Writer, amending};
pub use crate::writer::{Done, Gauges, Idempotency, Terms};
use ephor_core::agent::{Agent, AgentCommand, Registration};
use ephor_core::command::{Answer, CheckedPlan, Command, Refusal, Submission};
use ephor_core::constitution::{Constitution, ConstitutionCommand, Law};
use ephor_core::event::{Actor, ActorKind, Finding, Private};
use ephor_core::flow::{EVERYWHERE, Facts, HoldView, LimitView, limit_id};
use ephor_core::id::AmendmentId;
use ephor_core::id::{AgentId, EffectId, HoldId, TaskId};
use ephor_core::impact::Impact;
use ephor_core::liveness::{self, Liveness};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::policy::Policy;
use ephor_core::request;
use ephor_core::spec::{ExecutionMode, Request};
use ephor_core::task::{Forecast, Task, Usual, Waiting};
use ephor_core::time::Time;
use ephor_core::validation;
use ephor_core::work::{
    Advice, ClaimRequest, EffectGrant, EffectOutcome, EffectRequest, Heartbeat, HeartbeatAnswer, Outcome, Report, WorkItem,
    WorkKey,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The most jobs in one commit (DESIGN §1).
const BATCH_MAX: usize = 1_000;
/// How long the writer rests before it goes on by itself with a store that could not be read; whoever asks is served sooner.
const HAMPERED: Duration = Duration::from_millis(250);
/// How many submissions of a batch are handed to the writer at once: few enough that others get their turn between them, and that the
/// store soon has something to do. Whatever waits is written together all the same.
const PART: usize = 100;
/// How long a claim may wait for work at most, in milliseconds.
const WAIT_MAX: u64 = 60_000;

/// What an engine is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database; its folder is made where it is missing.
    pub database: PathBuf,
    /// The numbers to decide by.
    pub policy: Policy,
    /// How much memory decoded tasks may take, in bytes.
    pub cache_bytes: usize,
    /// How much may wait for the writer before callers are told to come back.
    pub queue_max: usize,
}

impl Settings {
    /// The defaults, on this database: 64 MiB of cache, 10,000 waiting jobs.
    pub fn new(database: impl Into<PathBuf>) -> Self {
        Self { database: database.into(), policy: Policy::default(), cache_bytes: 64 << 20, queue_max: 10_000 }
    }
}

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A rule's no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No space is left to write; nothing was written, and reading goes on.
    #[error("no space left to write; nothing was written")]
    Full,
    /// Another program keeps the database locked; nothing was written.
    #[error("another program keeps the database locked; nothing was written")]
    Busy,
    /// Another writer was faster.
    #[error("another writer was faster; ask again")]
    Conflict,
    /// The engine has stopped, after a failure of its store or because it was told to. Whether the last request was written is not
    /// known; ask again with the same ids once it runs.
    #[error("the engine has stopped: {0}")]
    Stopped(String),
    /// Reading failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running engine. Clones share it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) intake: Intake,
    pub(crate) leases: Arc<Mutex<Leases>>,
    pub(crate) reader: Arc<dyn Reader>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: EngineTime,
    pub(crate) ticker: ticker::Bell,
    directory: Arc<Directory>,
    breakers: Breakers,
    flow: Arc<Flow>,
    logs: Mutex<WorkLogs>,
    pub(crate) house: Arc<House>,
    entropy: Mutex<Box<dyn Entropy>>,
    /// The position of the last event written.
    position: watch::Sender<u64>,
    /// Why the engine has stopped, once it has.
    stopped: watch::Sender<Option<String>>,
    gauges: Mutex<Gauges>,
    refusals: Mutex<Refusals>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held until the engine is gone.
    lock: Mutex<Option<Lock>>,
}

impl Engine {
    /// Opens an engine on SQLite. Refused when another engine has the database open.
    pub fn open(settings: Settings) -> Result<Self, StoreError> {
        if let Some(folder) = settings.database.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| StoreError::Unusable(format!("{}: {e}", folder.display())))?;
        }
        let lock = Lock::take(&settings.database)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let store = SqliteStore::open(&Options::new(&settings.database), clock.wall_ms())?;
        Self::start(store, Some(lock), clock, Box::new(SystemEntropy::default()), settings)
    }

    /// Starts an engine on any store.
    pub fn start<S: Store + 'static>(
        store: S,
        lock: Option<Lock>,
        clock: Arc<dyn Clock>,
        entropy: Box<dyn Entropy>,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        let reader = store.reader();
        let time = EngineTime::begin(&*clock, clock::highest(&*reader)?);
        let leases = Arc::new(Mutex::new(Leases::default()));
        let house = Arc::new(House::new(Arc::new(settings.policy)));
        let now = time.now(&*clock);
        let mut writer = Writer::start(
            store,
            house.clone(),
            Box::new(SystemEntropy::default()),
            leases.clone(),
            settings.cache_bytes,
            now,
            clock.mono_ms(),
        )?;
        let inner = Arc::new(Inner {
            intake: Intake::new(settings.queue_max),
            leases,
            reader,
            clock,
            time,
            ticker: ticker::Bell::default(),
            directory: writer.directory(),
            breakers: writer.breakers(),
            flow: writer.flow(),
            logs: Mutex::default(),
            house,
            entropy: Mutex::new(entropy),
            position: watch::Sender::new(writer.position()),
            stopped: watch::Sender::new(None),
            gauges: Mutex::default(),
            refusals: Mutex::default(),
            threads: Mutex::default(),
            lock: Mutex::new(lock),
        });
        let thread = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let spawned = std::thread::Builder::new().name(name.into()).spawn(run);
            spawned.map_err(|e| StoreError::Unusable(format!("no thread for {name}: {e}")))
        };
        let (for_writer, for_clock, for_scribe) = (inner.clone(), inner.clone(), inner.clone());
        writer.write_behind(move || {
            // A closed queue is read to its end without being told.
            let _stopped = for_scribe.intake.push("", Item::Written);
        })?;
        let threads = vec![
            thread("ephor-writer", Box::new(move || for_writer.write(writer)))?,
            thread("ephor-clock", Box::new(move || ticker::run(&for_clock)))?,
        ];
        *inner.threads.lock().unwrap_or_else(PoisonError::into_inner) = threads;
        Ok(Self { inner })
    }

    /// Stops taking requests, writes what waits, and ends. Answers once the last commit is on disk.
    pub fn stop(&self) {
        self.inner.intake.close();
        self.inner.ticker.stop();
        let threads = std::mem::take(&mut *self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine panicked");
            }
        }
        self.inner.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Says beside the database where this process serves it, so that commands on this machine find it.
    pub fn announce(&self, server: &str) -> std::io::Result<()> {
        let mut lock = self.inner.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_mut().map_or(Ok(()), |lock| lock.announce(server))
    }

    /// Checks a request: pure, in parallel, before the writer's queue.
    pub fn check(&self, request: &Request) -> Result<Submission, Refusal> {
        let registered = self.inner.directory.registered();
        let submission =
            request::check_in(request, self.now(), &self.inner.house.policy(), &registered).map_err(Refusal::Invalid)?;
        self.agents_are_known(&submission)?;
        Ok(submission)
    }

    /// Submits a task. With an idempotency key, saying it again gets the same answer and has one effect.
    pub async fn submit(
        &self,
        request: &Request,
        by: impl Into<Submitter>,
        idempotency: Option<Idempotency>,
    ) -> Result<Done, EngineError> {
        self.submit_told(request, by, idempotency).await.map(|(done, _)| done)
    }

    /// The same, and what the checks found about it.
    pub async fn submit_told(
        &self,
        request: &Request,
        by: impl Into<Submitter>,
        idempotency: Option<Idempotency>,
    ) -> Result<(Done, Vec<Finding>), EngineError> {
        let by = by.into();
        match self.check(request) {
            Ok(submission) => {
                let findings = submission.facts.findings.clone();
                Ok((self.submit_checked(submission, by, idempotency).await?, findings))
            }
            Err(refusal) => {
                self.record_refusal(request, &refusal, &by.actor).await?;
                Err(refusal.into())
            }
        }
    }

    /// Whether who submits reaches all that a submission names.
    async fn reaches(&self, submission: &Submission, by: &Submitter) -> Result<Result<(), Refusal>, EngineError> {
        let Some(own) = by.within.clone() else { return Ok(Ok(())) };
        if submission.facts.namespace == own && submitter::named(&submission.facts).next().is_none() {
            return Ok(Ok(()));
        }
        let (reader, facts) = (self.inner.reader.clone(), submission.facts.clone());
        let looked = tokio::task::spawn_blocking(move || submitter::check(&*reader, &facts, &own));
        Ok(looked.await.map_err(|error| EngineError::Stopped(error.to_string()))??)
    }

    /// Runs a task again that has ended: the same, as it was asked for at last, as a task of its own.
    pub async fn rerun(&self, task: TaskId, actor: Actor, idempotency: Option<Idempotency>) -> Result<Done, EngineError> {
        let reader = self.reader();
        let found = tokio::task::spawn_blocking(move || crate::query::task(&*reader, task, crate::query::AsOf::Now));
        let found = found.await.map_err(|error| EngineError::Stopped(error.to_string()))??;
        let found = found.ok_or_else(|| Refusal::NotFound { what: "task", id: task.to_string() })?;
        let mut again = found.rerun(self.now())?;
        if let Some(law) = &self.inner.house.policy().law {
            // It was let in under the law of then.
            law.bind(&mut again, self.now()).map_err(Refusal::Invalid)?;
        }
        self.submit_checked(again, actor, idempotency).await
    }

    /// That somebody submitted nonsense is a fact of the namespace; only so many of them each minute get an event of their own.
    async fn record_refusal(&self, request: &Request, refusal: &Refusal, actor: &Actor) -> Result<(), EngineError> {
        let Refusal::Invalid(problems) = refusal else { return Ok(()) };
        let admitted = self.inner.refusals.lock().unwrap_or_else(PoisonError::into_inner).admit(self.inner.clock.mono_ms());
        let Some(unrecorded) = admitted else { return Ok(()) };
        let fields = problems.iter().map(|p| p.field.as_str().into()).collect();
        // A name that is none cannot name a stream.
        let name = request.namespace.as_deref().filter(|n| ephor_core::plan::is_word(n)).unwrap_or("default");
        let event = NamespaceEvent::SubmissionRefused { fields, unrecorded };
        self.namespace(name, event, actor.clone()).await.map(drop)
    }

    /// Submits a task that was checked before.
    pub async fn submit_checked(
        &self,
        submission: Submission,
        by: impl Into<Submitter>,
        idempotency: Option<Idempotency>,
    ) -> Result<Done, EngineError> {
        let by = by.into();
        self.reaches(&submission, &by).await??;
        let namespace = submission.facts.namespace.clone();
        one(self.ask(&namespace, self.submission(submission, by.actor, idempotency)).await?)
    }

    /// Submits several tasks; one answer for each, in order. Not atomic. While one part is being written the next is checked, and each
    /// namespace in it waits its own turn.
    pub async fn submit_many(&self, requests: &[Request], actor: &Actor) -> Result<Vec<Result<Done, Refusal>>, EngineError> {
        self.submit_many_under(requests, &[], &actor.clone().into()).await
    }

    /// The same, each under the idempotency key in its place; `keys` has one for each request, or none at all.
    pub async fn submit_many_under(
        &self,
        requests: &[Request],
        keys: &[Idempotency],
        by: &Submitter,
    ) -> Result<Vec<Result<Done, Refusal>>, EngineError> {
        let mut answers: Vec<Option<Result<Done, Refusal>>> = vec![None; requests.len()];
        let mut under_way = Vec::new();
        for (part, from) in requests.chunks(PART).zip((0..).step_by(PART)) {
            let mut by_namespace: BTreeMap<Box<str>, (Vec<usize>, Vec<Job>)> = BTreeMap::new();
            for (request, place) in part.iter().zip(from..) {
                let checked = match self.check(request) {
                    Ok(submission) => self.reaches(&submission, by).await?.map(|()| submission),
                    Err(refusal) => Err(refusal),
                };
                match checked {
                    Ok(submission) => {
                        let (places, jobs) = by_namespace.entry(submission.facts.namespace.clone()).or_default();
                        places.push(place);
                        jobs.push(self.submission(submission, by.actor.clone(), keys.get(place).cloned()));
                    }
                    Err(refusal) => answers[place] = Some(Err(refusal)),
                }
            }
            for (namespace, (places, jobs)) in by_namespace {
                under_way.push((places, self.push(&namespace, Job::Many(jobs))?.1));
            }
        }
        for (places, part) in under_way {
            let decided = self.many(part.await.map_err(|_| self.inner.why_stopped())?)?;
            for (place, answer) in places.into_iter().zip(decided) {
                answers[place] = Some(answer);
            }
        }
        Ok(answers.into_iter().map(|answer| answer.expect("there is one answer for each job")).collect())
    }

    /// What is asked of the writer for a submission. All that can be done for it before the queue is done here.
    fn submission(&self, submission: Submission, actor: Actor, idempotency: Option<Idempotency>) -> Job {
        let id = self.new_task_id();
        let words = Sealed::new(id.into(), &Private::Request(submission.text.clone()), self.random());
        Job::Submit(Box::new(Submit { id, submission, words: Some(words), actor, idempotency }))
    }

    /// Asks something of a task.
    pub async fn command(&self, task: TaskId, mut command: Command, actor: Actor) -> Result<Done, EngineError> {
        validation::command(&mut command).map_err(Refusal::Invalid)?;
        one(self.ask(EVERYWHERE, Job::Task { task, command, actor }).await?)
    }

    /// The same under terms: refused when the task is at another version, and harmless to say again under the same key.
    pub async fn command_under(&self, task: TaskId, command: Command, actor: Actor, terms: Terms) -> Result<Done, EngineError> {
        self.commands_under(task, vec![(command, actor)], terms).await
    }

    /// Several things asked of a task, one after the other, all in one commit or none of them: what would be refused behind the others
    /// keeps them from happening. `asked` holds at least one.
    pub async fn commands_under(
        &self,
        task: TaskId,
        mut asked: Vec<(Command, Actor)>,
        terms: Terms,
    ) -> Result<Done, EngineError> {
        for (command, _) in &mut asked {
            validation::command(command).map_err(Refusal::Invalid)?;
        }
        let erases = asked.iter().any(|(command, _)| matches!(command, Command::Erase));
        for (_, actor) in asked.iter().filter(|(_, actor)| actor.kind == ActorKind::Ai) {
            actor.id.parse().into_iter().for_each(|agent| self.heard(agent));
        }
        let done = one(self.ask(EVERYWHERE, Job::Asked(Box::new(Asked { task, asked, terms }))).await?)?;
        if erases {
            self.logs().forget(task);
        }
        Ok(done)
    }

    /// Keeps a large value for a task that has not ended, and deletes it with what else was private of it. Answers the reference under
    /// which `payload` finds it again; it tells nobody what the value is.
    pub async fn keep(&self, task: TaskId, body: Vec<u8>) -> Result<String, EngineError> {
        let salt: [u8; 16] = self.random();
        let hash = move || (payload_key(task, &salt, &body), body);
        let (key, body) = tokio::task::spawn_blocking(hash).await.map_err(|e| EngineError::Stopped(e.to_string()))?;
        let reference = format!("{}{key}", hex(&salt));
        one(self.ask(EVERYWHERE, Job::Keep { task, blob: Blob { key, body } }).await?)?;
        Ok(reference)
    }

    /// A value that was kept for this very task; `None` where there is none, or no longer.
    pub fn payload(&self, task: TaskId, reference: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((salt, key)) = reference.split_at_checked(32) else { return Ok(None) };
        let digits = |i: usize| salt.get(2 * i..2 * i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..16).map(digits).collect();
        let Some(Ok(salt)) = bytes.map(<[u8; 16]>::try_from) else { return Ok(None) };
        let found = self.inner.reader.blob(key)?;
        Ok(found.filter(|body| payload_key(task, &salt, body) == key))
    }

    /// Makes an agent known, or says anew what it can do.
    pub async fn register(&self, id: Option<AgentId>, registration: Registration, actor: Actor) -> Result<AgentId, EngineError> {
        self.register_under(id, registration, actor, None).await
    }

    /// The same under a key, where one is given: said again with it, it is answered with the same agent and done once.
    pub async fn register_under(
        &self,
        id: Option<AgentId>,
        registration: Registration,
        actor: Actor,
        idempotency: Option<Idempotency>,
    ) -> Result<AgentId, EngineError> {
        let known = match (id, &registration.external_id) {
            (Some(id), _) => Some(id),
            (None, Some(name)) => self.agent_named(name),
            (None, None) => None,
        };
        let id = known.unwrap_or_else(|| self.new_agent_id());
        let name = registration.external_id.clone();
        let said = |id, actor| Job::Agent { id, command: AgentCommand::Register(Box::new(registration.clone())), actor };
        let repeated = match self.once(EVERYWHERE, said(id, actor.clone()), id.to_string(), idempotency.clone()).await {
            // Somebody of the same name was faster: then that is who it is.
            Err(EngineError::Refused(Refusal::AlreadySettled { .. })) if known.is_none() => {
                let id = name.and_then(|name| self.agent_named(&name)).unwrap_or(id);
                let repeated = self.once(EVERYWHERE, said(id, actor), id.to_string(), idempotency).await?;
                return Ok(repeated.and_then(|of| of.parse().ok()).unwrap_or(id));
            }
            said => said?,
        };
        Ok(repeated.and_then(|of| of.parse().ok()).unwrap_or(id))
    }

    /// Does something once, however often it is said under its key. Answers what it was about when it was said before.
    async fn once(
        &self,
        desk: &str,
        what: Job,
        of: String,
        idempotency: Option<Idempotency>,
    ) -> Result<Option<String>, EngineError> {
        let Some(idempotency) = idempotency else { return one(self.ask(desk, what).await?).map(|_| None) };
        let key = idempotency.key.clone();
        let done = one(self.ask(desk, Job::Once(Box::new(Once { what, idempotency, of }))).await?)?;
        if !done.repeated {
            return Ok(None);
        }
        let (reader, now) = (self.inner.reader.clone(), self.now());
        let held = tokio::task::spawn_blocking(move || reader.unique(&key, now.0)?.as_ref().map(once::about).transpose());
        Ok(held.await.map_err(|e| EngineError::Stopped(e.to_string()))??)
    }

    /// Asks something of an agent.
    pub async fn agent(&self, id: AgentId, command: AgentCommand, actor: Actor) -> Result<Done, EngineError> {
        let revoked = command == AgentCommand::Revoke;
        let done = one(self.ask(EVERYWHERE, Job::Agent { id, command, actor }).await?)?;
        if revoked {
            self.cut_off(id).await?;
        }
        Ok(done)
    }

    /// Takes from an agent that was revoked what it holds: what it says about that from now on is too late.
    async fn cut_off(&self, id: AgentId) -> Result<(), EngineError> {
        let lapsed = self.leases().cut_off(id);
        for Lapsed { task, work, attempt, counter } in lapsed {
            let command = Command::LeaseLapsed { work, attempt, counter };
            // One that ended by itself meanwhile is as good.
            self.ask(EVERYWHERE, Job::Task { task, command, actor: Actor::settle() }).await?;
        }
        Ok(())
    }

    /// The same under a key, where one is given: said again with it, nothing happens twice.
    pub async fn agent_under(
        &self,
        id: AgentId,
        command: AgentCommand,
        actor: Actor,
        idempotency: Option<Idempotency>,
    ) -> Result<(), EngineError> {
        let revoked = command == AgentCommand::Revoke;
        self.once(EVERYWHERE, Job::Agent { id, command, actor }, id.to_string(), idempotency).await?;
        if revoked {
            self.cut_off(id).await?;
        }
        Ok(())
    }

    /// The agent that goes by this name of its own.
    pub fn agent_named(&self, external_id: &str) -> Option<AgentId> {
        self.inner.directory.named(external_id)
    }

    /// An agent as it is now.
    pub fn agent_of(&self, id: AgentId) -> Option<Arc<Agent>> {
        self.inner.directory.get(id)
    }

    /// Agents in the order they became known, behind one of them.
    pub fn agents_after(&self, id: Option<AgentId>) -> Vec<Arc<Agent>> {
        self.inner.directory.after(id)
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.directory
    }

    pub(crate) fn tools(&self) -> &Breakers {
        &self.inner.breakers
    }

    /// How much an agent holds.
    pub fn leases_held(&self, id: AgentId) -> usize {
        self.leases().count_of(id)
    }

    /// When an agent was last heard of since the engine started.
    pub fn agent_seen(&self, id: AgentId) -> Option<Time> {
        self.inner.directory.seen(id)
    }

    /// What an agent holds, the oldest first, at most so many.
    pub fn leases_of(&self, id: AgentId, most: usize) -> Vec<LeaseView> {
        let mono = self.inner.clock.mono_ms();
        self.leases().of_agent(id, most, mono)
    }

    /// How an agent looks: as the worst of what it holds, or as one that waits; none where nothing was heard of it since the start.
    pub fn liveness(&self, id: AgentId) -> Option<Liveness> {
        let held = self.leases_of(id, usize::MAX).into_iter().map(|lease| lease.liveness);
        let silent_ms = self.agent_seen(id).map(|at| self.now().since(at));
        liveness::of_agent(held, self.inner.directory.asks(id), silent_ms, self.inner.house.policy().lease.ms)
    }

    /// How many pieces of work an agent whose lease lapsed has to do well before it gets as much as others; none where it does.
    pub fn probation(&self, id: AgentId) -> Option<u32> {
        self.leases().probation(id)
    }

    /// Who holds a piece of work.
    pub fn lease(&self, task: TaskId, work: &WorkKey) -> Option<LeaseView> {
        let mono = self.inner.clock.mono_ms();
        self.leases().view(task, work, mono)
    }

    /// Who holds work of a task.
    pub fn holder(&self, task: TaskId) -> Option<AgentId> {
        self.leases().holder(task)
    }

    /// When a task is expected to be done, by its plan and by how long such work took since the engine started.
    pub fn forecast(&self, task: &Task) -> Forecast {
        let usual = self.usual_of(task);
        task.forecast(self.now(), &|action| usual.get(action).copied().flatten())
    }

    /// What a task would do, by the rules in force here and by how long such work took since the engine started.
    pub fn impact(&self, task: &Task) -> Impact {
        let usual = self.usual_of(task);
        task.impact(self.now(), &self.policy(), &|action| usual.get(action).copied().flatten())
    }

    /// How long the actions of a task usually take.
    fn usual_of<'a>(&self, task: &'a Task) -> BTreeMap<&'a str, Option<Usual>> {
        let mut usual: BTreeMap<&str, Option<Usual>> = task.steps().map(|step| (&*step.action, None)).collect();
        let leases = self.leases();
        usual.iter_mut().for_each(|(action, known)| *known = leases.usual(action));
        usual
    }

    /// Gives an agent work, waiting up to `wait_ms` (at most a minute) for the first piece. Whoever no longer waits for the answer gets
    /// none.
    pub async fn claim(&self, wish: ClaimRequest) -> Result<Vec<WorkItem>, EngineError> {
        self.ask_work(wish, false)?.answer().await
    }

    /// The same for agents that keep no books: what they hold and have not reported comes before anything new.
    pub async fn next_work(&self, wish: ClaimRequest) -> Result<Vec<WorkItem>, EngineError> {
        self.ask_work(wish, true)?.answer().await
    }

    fn ask_work(&self, wish: ClaimRequest, held_first: bool) -> Result<Wish<'_>, EngineError> {
        let agent = wish.agent_id;
        self.heard(agent);
        let until = self.inner.clock.mono_ms() + wish.wait_ms.min(WAIT_MAX);
        let (ticket, answer) = self.push(&self.desk_of(agent), Job::Claim(Claim { wish, until, held_first }))?;
        let asks = self.inner.directory.begins_to_ask(agent).then_some(agent);
        Ok(Wish { answer, leaving: Leaving { engine: self, ticket: Some(ticket), asks }, agent })
    }

    fn heard(&self, agent: AgentId) {
        self.inner.directory.heard(agent, self.now());
    }

    /// Renews leases of an agent; one answer for each sign of life, in order. Costs no write.
    pub fn heartbeat(&self, agent: AgentId, beats: &[Heartbeat]) -> Vec<HeartbeatAnswer> {
        self.heard(agent);
        let mono = self.inner.clock.mono_ms();
        let mut leases = self.leases();
        beats.iter().map(|beat| leases.beat(beat, agent, mono)).collect()
    }

    /// Keeps the last of what the holder of an attempt says about its work; nothing is written.
    pub fn log(&self, task: TaskId, work: &WorkKey, attempt: u32, agent: AgentId, said: &str) -> Result<(), Refusal> {
        self.heard(agent);
        match self.lease(task, work) {
            Some(lease) if lease.attempt == attempt && lease.agent == agent => {}
            _ => return Err(Refusal::StaleAttempt { work: work.clone(), attempt }),
        }
        self.logs().append(task, work, attempt, said, self.now());
        Ok(())
    }

    /// The last of what agents said about their work on a task.
    pub fn work_logs(&self, task: TaskId) -> Vec<WorkLog> {
        self.logs().of(task)
    }

    fn logs(&self) -> MutexGuard<'_, WorkLogs> {
        self.inner.logs.lock().expect("nobody panics while holding the logs")
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.inner.leases.lock().expect("nobody panics while holding the leases")
    }

    /// Ends attempts and asks for more work in the same breath: where the writer takes both at once, one commit does.
    pub async fn report_and_claim(
        &self,
        reports: Vec<Report>,
        wish: ClaimRequest,
    ) -> Result<(Vec<Result<Done, Refusal>>, Vec<WorkItem>), EngineError> {
        let agent = wish.agent_id;
        let mut reporting = pin!(self.report(reports, agent));
        // Polled once, the reports are in the queue, before the wish.
        let done = poll_fn(|cx| Poll::Ready(reporting.as_mut().poll(cx))).await;
        let wish = self.ask_work(wish, false)?;
        let done = match done {
            Poll::Ready(done) => done?,
            Poll::Pending => reporting.await?,
        };
        Ok((done, wish.answer().await?))
    }

    /// Ends attempts; one answer for each report, in order.
    pub async fn report(&self, reports: Vec<Report>, agent: AgentId) -> Result<Vec<Result<Done, Refusal>>, EngineError> {
        self.heard(agent);
        let actor = Actor::agent(agent);
        let mut answers: Vec<Option<Result<Done, Refusal>>> = Vec::with_capacity(reports.len());
        let mut jobs = Vec::with_capacity(reports.len());
        for Report { task_id, work, attempt, outcome } in reports {
            match plan_in(&outcome) {
                Ok(plan) => {
                    let command = Command::Report { work, attempt, outcome: Box::new(outcome), plan: plan.map(Box::new) };
                    jobs.push(Job::Task { task: task_id, command, actor: actor.clone() });
                    answers.push(None);
                }
                Err(refusal) => answers.push(Some(Err(refusal))),
            }
        }
        let mut decided = self.ask_many(&self.desk_of(agent), jobs).await?.into_iter();
        let fill = |slot: Option<_>| slot.or_else(|| decided.next()).expect("there is one answer for each job");
        Ok(answers.into_iter().map(fill).collect())
    }

    /// Asks for the right to act on the outside.
    pub async fn effect(&self, wish: EffectRequest, agent: AgentId) -> Result<EffectGrant, EngineError> {
        let task = wish.task_id;
        match self.command(task, Command::Effect(wish), Actor::agent(agent)).await?.answer {
            Answer::Effect(grant) => Ok(grant),
            other => Err(EngineError::Stopped(format!("an effect was answered with {other:?}"))),
        }
    }

    /// Says what became of an effect. Without a holder it is a person's word.
    pub async fn settle_effect(
        &self,
        task: TaskId,
        effect: EffectId,
        holder: Option<(ephor_core::work::WorkKey, u32)>,
        outcome: EffectOutcome,
        actor: Actor,
    ) -> Result<Done, EngineError> {
        self.command(task, Command::SettleEffect { effect, holder, outcome }, actor).await
    }

    /// Deletes what was private of a task that has ended; the chain stays whole.
    pub async fn erase(&self, task: TaskId, actor: Actor) -> Result<Done, EngineError> {
        let done = one(self.ask(EVERYWHERE, Job::Erase { task, actor }).await?)?;
        self.logs().forget(task);
        Ok(done)
    }

    /// Records a fact about a namespace.
    pub async fn namespace(&self, name: &str, event: NamespaceEvent, actor: Actor) -> Result<Done, EngineError> {
        one(self.ask(name, Job::Namespace { name: name.into(), event, actor }).await?)
    }

    /// The same under a key, where one is given. `of` is what the fact is about; where it was recorded under this key before, the answer is
    /// what it was about then.
    pub async fn namespace_under(
        &self,
        name: &str,
        event: NamespaceEvent,
        actor: Actor,
        of: String,
        idempotency: Option<Idempotency>,
    ) -> Result<Option<String>, EngineError> {
        self.once(name, Job::Namespace { name: name.into(), event, actor }, of, idempotency).await
    }

    /// The holds and limits that stand.
    pub fn flow(&self) -> Arc<Facts> {
        self.inner.flow.facts()
    }

    /// What holds and limits say to a task now, as reasons why it waits.
    pub fn held_back(&self, task: &Task) -> Vec<Waiting> {
        self.inner.flow.reasons(task, self.now())
    }

    /// The limits, with how much each counts now.
    pub fn limits(&self) -> Vec<LimitView> {
        let (facts, now) = (self.flow(), self.now());
        let counts = self.inner.flow.counts();
        let view = |set: &ephor_core::flow::Set| {
            let id = limit_id(set.limit.namespace.as_deref(), &set.limit.name);
            let (counted, full) = counts.of(&id, &facts, now);
            LimitView { counted, full, ..set.view() }
        };
        facts.limits().map(view).collect()
    }

    /// The holds, the oldest first.
    pub fn holds(&self) -> Vec<HoldView> {
        self.flow().holds().map(ephor_core::flow::Standing::view).collect()
    }

    /// A new hold's id.
    pub fn new_hold_id(&self) -> HoldId {
        HoldId::new(self.now().0, self.random())
    }

    /// Events after a position, then those to come: no gap, no double.
    pub fn feed(&self, after: u64) -> Feed {
        self.feed_from(after, None)
    }

    /// The same of one task alone.
    pub fn feed_of(&self, task: TaskId, after: u64) -> Feed {
        self.feed_from(after, Some(task.into()))
    }

    fn feed_from(&self, after: u64, stream: Option<ephor_core::id::StreamId>) -> Feed {
        Feed::new(self.inner.reader.clone(), self.inner.position.subscribe(), self.inner.stopped.subscribe(), after, stream)
    }

    /// The position of the last event written.
    pub fn position(&self) -> u64 {
        *self.inner.position.borrow()
    }

    /// The reading side of the store.
    pub fn reader(&self) -> Arc<dyn Reader> {
        self.inner.reader.clone()
    }

    /// The engine's own time.
    pub fn now(&self) -> Time {
        self.inner.time.now(&*self.inner.clock)
    }

    /// When its clock last looked for what is due.
    pub fn checked_at(&self) -> Option<Time> {
        self.inner.ticker.looked_at()
    }

    /// The numbers it decides by, and the law that is in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.inner.house.policy()
    }

    /// Decides by other numbers from now on: what is decided next, and every wait that begins then. What was promised to a task when it was
    /// submitted stays, and so does the law that is in force, whatever comes with these numbers.
    pub fn decide_by(&self, numbers: &Policy) {
        self.inner.house.exchange(numbers);
        // It may have to look sooner now than it meant to.
        self.inner.ticker.ring_at(self.now().0);
    }

    /// The constitution as it is written: its versions, and the amendments to it.
    pub fn constitution(&self) -> Arc<Constitution> {
        self.inner.house.constitution()
    }

    /// Asks something of the constitution.
    ///
    /// # Errors
    /// Where the rules on amendments refuse it.
    pub async fn amend(&self, command: ConstitutionCommand, actor: Actor) -> Result<Done, EngineError> {
        one(self.ask(EVERYWHERE, Job::Constitution { command, actor }).await?)
    }

    /// Lets the document that a configuration names count where it may: where it is another than the configuration named before. What
    /// stands already is left alone.
    ///
    /// # Errors
    /// Where the document in force is amended by a vote alone.
    pub async fn configure(&self, law: &Law) -> Result<(), EngineError> {
        match amending::configuring(law) {
            Some(job) => one(self.ask(EVERYWHERE, job).await?).map(drop),
            None => Ok(()),
        }
    }

    /// A new amendment's id.
    pub fn new_amendment_id(&self) -> AmendmentId {
        AmendmentId::new(self.now().0, self.random())
    }

    /// How much it has in hand.
    pub fn gauges(&self) -> Gauges {
        *self.inner.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests wait for the writer.
    pub fn waiting(&self) -> usize {
        self.inner.intake.len()
    }

    /// The latest signs of life of what is held of a task.
    pub fn telemetry(&self, task: TaskId) -> Vec<crate::store::Telemetry> {
        let now = self.now();
        self.leases().telemetry(task, now)
    }

    /// Resolves once the engine has stopped, with the reason.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.inner.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the engine is gone".into(),
        }
    }

    /// A new task's id.
    pub fn new_task_id(&self) -> TaskId {
        TaskId::new(self.now().0, self.random())
    }

    /// A new agent's id.
    pub fn new_agent_id(&self) -> AgentId {
        AgentId::new(self.now().0, self.random())
    }

    /// A new key's id.
    pub fn new_key_id(&self) -> ephor_core::id::KeyId {
        ephor_core::id::KeyId::new(self.now().0, self.random())
    }

    /// A new claim's id, for agents in this process.
    pub fn new_claim_id(&self) -> ephor_core::id::ClaimId {
        ephor_core::id::ClaimId::new(self.now().0, self.random())
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.inner.entropy.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut bytes);
        bytes
    }

    /// In whose queue an agent asks: in that of its namespace; those that work for all have one of their own.
    fn desk_of(&self, agent: AgentId) -> Box<str> {
        let known = self.inner.directory.get(agent);
        known.and_then(|known| known.registration.as_ref()?.namespace.clone()).unwrap_or_else(|| EVERYWHERE.into())
    }

    async fn ask_many(&self, desk: &str, jobs: Vec<Job>) -> Result<Vec<Result<Done, Refusal>>, EngineError> {
        match jobs.is_empty() {
            true => Ok(Vec::new()),
            false => self.many(self.ask(desk, Job::Many(jobs)).await?),
        }
    }

    /// The answers to several jobs.
    fn many(&self, reply: Reply) -> Result<Vec<Result<Done, Refusal>>, EngineError> {
        match reply {
            Reply::Many(answers) => Ok(answers),
            other => one(other).map(|_| Vec::new()),
        }
    }

    async fn ask(&self, namespace: &str, job: Job) -> Result<Reply, EngineError> {
        self.push(namespace, job)?.1.await.map_err(|_| self.inner.why_stopped())
    }

    /// Hands a job to the writer; the answer comes once it is on disk.
    fn push(&self, namespace: &str, job: Job) -> Result<(Ticket, oneshot::Receiver<Reply>), EngineError> {
        let (answer, waiting) = oneshot::channel();
        match self.inner.intake.push(namespace, Item::Job(job, Some(answer))) {
            Ok(ticket) => Ok((ticket, waiting)),
            Err(NotTaken::Full) => Err(Refusal::QueueFull.into()),
            Err(NotTaken::Closed) => Err(self.inner.why_stopped()),
        }
    }
}

/// A wish for work on its way.
struct Wish<'a> {
    /// Dropped before the other: whoever leaves no longer listens.
    answer: oneshot::Receiver<Reply>,
    leaving: Leaving<'a>,
    agent: AgentId,
}

impl Wish<'_> {
    async fn answer(mut self) -> Result<Vec<WorkItem>, EngineError> {
        let engine = self.leaving.engine;
        let reply = (&mut self.answer).await.map_err(|_| engine.inner.why_stopped())?;
        self.leaving.ticket = None;
        engine.heard(self.agent);
        match reply {
            Reply::Work(items) => Ok(items?),
            other => one(other).map(|_| Vec::new()),
        }
    }
}

/// Tells the writer when nobody waits for an answer any more, so that no work is given to whoever has left.
struct Leaving<'a> {
    engine: &'a Engine,
    ticket: Option<Ticket>,
    /// The agent that is known to wait.
    asks: Option<AgentId>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(agent) = self.asks {
            self.engine.inner.directory.asked(agent);
        }
        if let Some(ticket) = self.ticket {
            // A closed queue means that the engine has ended, and with it all waiting.
            let _closed = self.engine.inner.intake.push("", Item::Gone(ticket));
        }
    }
}

/// How many refused submissions are recorded in a minute; the rest are only counted, so that nonsense cannot fill the disk.
const REFUSALS_PER_MINUTE: u32 = 100;

/// Counts refused submissions, minute by minute.
#[derive(Debug, Default)]
struct Refusals {
    minute: u64,
    recorded: u32,
    unrecorded: u64,
}

impl Refusals {
    /// Whether one more is recorded, and how many were not since the last that was.
    fn admit(&mut self, mono: u64) -> Option<u64> {
        if self.minute != mono / 60_000 {
            self.minute = mono / 60_000;
            self.recorded = 0;
        }
        if self.recorded >= REFUSALS_PER_MINUTE {
            self.unrecorded += 1;
            return None;
        }
        self.recorded += 1;
        Some(std::mem::take(&mut self.unrecorded))
    }
}

impl Inner {
    fn why_stopped(&self) -> EngineError {
        EngineError::Stopped(self.stopped.borrow().clone().unwrap_or_else(|| "it is shutting down".into()))
    }

    /// The writer's thread: takes what waits, writes it, answers. Ends when the queue is closed, or when the store has failed: then
    /// nobody is answered.
    fn write<S: Store>(&self, mut writer: Writer<S>) {
        let mut answers = HashMap::new();
        let (mut dirty, mut commits) = (false, 0);
        let ended = loop {
            let patience = match (writer.has_more(), writer.next_deadline()) {
                (true, _) if writer.is_hampered() => Some(HAMPERED),
                (true, _) => None,
                (false, Some(at)) => Some(Duration::from_millis(at.saturating_sub(self.clock.mono_ms()).max(1))),
                (false, None) => Some(Duration::from_secs(3_600)),
            };
            let Some(items) = self.intake.take(BATCH_MAX, patience) else { break None };
            let mut jobs = Jobs::with_capacity(items.len());
            let (mut note, mut sweep) = (false, false);
            for (ticket, item) in items {
                match item {
                    // Whoever asked for work has left before it was looked for.
                    Item::Job(Job::Claim(_), Some(answer)) if answer.is_closed() => {}
                    Item::Gone(ticket) => {
                        answers.remove(&ticket);
                        writer.forget_claim(ticket);
                    }
                    Item::Job(job, answer) => {
                        if let Some(answer) = answer {
                            answers.insert(ticket, answer);
                        }
                        jobs.push_back((ticket, job));
                    }
                    Item::Written => {}
                    Item::Note => note = true,
                    Item::Sweep => sweep = true,
                }
            }
            let now = self.time.now(&*self.clock);
            let mut decide = || loop {
                let mut replies = writer.batch(&mut jobs, now, self.clock.mono_ms())?;
                let through = jobs.is_empty();
                if through && (note || sweep) {
                    replies.extend(writer.finish()?);
                }
                let before = self.position.send_replace(writer.position());
                dirty |= before != writer.position();
                commits += u64::from(before != writer.position());
                answer(replies, &mut answers);
                if through {
                    return Ok(());
                }
            };
            if let Err(error) = decide() {
                break Some(error);
            }
            let chores = if note && std::mem::take(&mut dirty) { writer.note(now) } else { Ok(()) };
            let chores = chores.and_then(|()| if sweep { writer.sweep(now).map(drop) } else { Ok(()) });
            match chores {
                Ok(()) => {}
                Err(error @ (StoreError::Full(_) | StoreError::Busy(_))) => tracing::warn!(%error, "housekeeping has to wait"),
                Err(error) => break Some(error),
            }
            if let Some(at) = writer.take_earliest_wake() {
                self.ticker.ring_at(at);
            }
            *self.gauges.lock().unwrap_or_else(PoisonError::into_inner) = Gauges { commits, ..writer.gauges() };
        };
        let why = match ended {
            Some(error) => {
                tracing::error!(%error, "the store failed; nobody is answered until the engine is started again");
                error.to_string()
            }
            None => {
                // Nothing new comes in; what was decided is still written and answered.
                match writer.finish() {
                    Ok(replies) => {
                        self.position.send_replace(writer.position());
                        answer(replies, &mut answers);
                        if let Err(error) = writer.note(self.time.now(&*self.clock)) {
                            tracing::warn!(%error, "the last signs of life were not written");
                        }
                    }
                    Err(error) => tracing::error!(%error, "the store failed at the end; whoever still waits is not answered"),
                }
                "it was told to".into()
            }
        };
        self.intake.abandon();
        self.ticker.stop();
        self.stopped.send_replace(Some(why));
    }
}

/// Gives answers to those who wait for them.
fn answer(replies: Vec<(Ticket, Reply)>, waiting: &mut HashMap<Ticket, oneshot::Sender<Reply>>) {
    for (ticket, reply) in replies {
        if let Some(answer) = waiting.remove(&ticket) {
            // Whoever asked may be gone; what was decided stands all the same.
            let _gone = answer.send(reply);
        }
    }
}

/// The answer to a single job.
fn one(reply: Reply) -> Result<Done, EngineError> {
    match reply {
        Reply::One(done) => Ok(done?),
        Reply::Full => Err(EngineError::Full),
        Reply::Busy => Err(EngineError::Busy),
        Reply::Conflict => Err(EngineError::Conflict),
        Reply::Many(_) | Reply::Work(_) => Err(EngineError::Stopped("an answer of another kind came back".into())),
    }
}

/// The key of a payload: it says whose it is, and cannot be guessed from what it is.
fn payload_key(task: TaskId, salt: &[u8; 16], body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(task.to_string());
    hash.update(crate::codec::private_digest(salt, body));
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The plan an outcome brings along, checked before the writer sees it.
pub(crate) fn plan_in(outcome: &Outcome) -> Result<Option<CheckedPlan>, Refusal> {
    let spec = match outcome {
        Outcome::Proposed(spec) | Outcome::Advised(Advice::AlternativePath(spec)) => spec,
        _ => return Ok(None),
    };
    request::check_plan(spec, ExecutionMode::Auto).map(Some).map_err(Refusal::Invalid)
}
