//! `Api` over the engine in this process, or over a store that another engine has open: then only looking works.

use super::figures::{Scope, Tally};
use super::list::Held;
use super::look::{Look, store};
use super::named::Within;
use super::session::DATABASE;
use super::{constitution, flow, keys};
use crate::api::{Answer, Api, ApiError, EventQuery, FiguresQuery, Kind, Page, TaskFilter};
use crate::config::Watch;
use ephor_core::ask::Ask;
use ephor_core::constitution::{
    AmendmentView, Candidate, ImpactReport, InForce, NewAmendment, NewVote, ReplayReport, VersionHead, VersionView,
};
use ephor_core::event::Actor;
use ephor_core::figures::Figures;
use ephor_core::flow::{HoldView, LimitView, NewHold, NewLimit, NewRelease, Set, Standing};
use ephor_core::id::{AgentId, AmendmentId, HoldId, KeyId, TaskId};
use ephor_core::impact::Impact;
use ephor_core::inbox::{Asked, InboxFilter};
use ephor_core::key::{KeyView, MadeKey, NewKey};
use ephor_core::policy::Policy;
use ephor_core::quality::GateResult;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::{EffectView, EventView, OutputView, PlanView, ReviewView, StepView, TaskRow, TaskView, Waiting};
use ephor_core::work::WorkKey;
use ephor_engine::clock::{Clock, SystemClock};
use ephor_engine::lock::Holder;
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Engine, EngineError, judging};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a store that another process writes is looked at for new events, in milliseconds.
const POLL_MS: u64 = 200;

/// How many pieces of work of one agent a list of its tasks knows of.
const HELD_MAX: usize = 10_000;

/// The engine or store in this process, asked by one person.
pub(crate) struct LocalApi {
    pub(super) look: Look,
    /// Missing when the store is only looked at.
    pub(super) engine: Option<Engine>,
    pub(super) actor: Actor,
    /// Where tasks belong that do not say.
    pub(super) namespace: Option<String>,
    /// What a house decides by that is only looked at; an engine knows itself.
    pub(super) policy: Arc<Policy>,
    /// The database, where it was opened to look or to decide and this process has nobody who works on it.
    pub(super) unmanned: Option<PathBuf>,
}

impl LocalApi {
    /// Bound to an actor and, where one is given, to a namespace for what does not say.
    pub(crate) fn new(look: Look, engine: Option<Engine>, actor: Actor, namespace: Option<String>) -> Self {
        Self { look, engine, actor, namespace, policy: Arc::default(), unmanned: None }
    }

    fn engine(&self) -> Result<&Engine, ApiError> {
        self.engine.as_ref().ok_or_else(|| {
            ApiError::new(Kind::Conflict, "READ_ONLY", "this was opened to look, not to decide")
                .because("another engine holds the database")
        })
    }

    /// Runs something that blocks where it may.
    fn looking<T: Send + 'static>(&self, look: impl FnOnce(Look) -> Result<T, ApiError> + Send + 'static) -> Answer<'_, T> {
        let own = self.look.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || look(own)).await.map_err(|e| ApiError::new(Kind::Failed, "INTERNAL", e))?
        })
    }
}

impl Api for LocalApi {
    fn now(&self) -> Time {
        match &self.engine {
            Some(engine) => engine.now(),
            None => Time(SystemClock::default().wall_ms()),
        }
    }

    fn position(&self) -> Answer<'_, u64> {
        self.looking(|look| look.reader.position().map_err(store))
    }

    fn find_from<'a>(&'a self, name: &'a str, source: Option<&'a str>) -> Answer<'a, TaskId> {
        // An id says by itself where it belongs.
        let namespace = self.namespace.clone().filter(|_| name.parse::<TaskId>().is_err());
        let (name, within) = (name.to_owned(), Within { namespace, source: source.map(Into::into) });
        self.looking(move |look| look.find(&name, within))
    }

    fn submit(&self, mut request: Request) -> Answer<'_, TaskView> {
        if request.namespace.is_none() {
            request.namespace.clone_from(&self.namespace);
        }
        Box::pin(async move {
            let done = self.engine()?.submit(&request, self.actor.clone(), None).await.map_err(|e| trouble(e, None))?;
            let id =
                done.task.ok_or_else(|| ApiError::new(Kind::Failed, "INTERNAL", "a submission was answered without a task"))?;
            self.task(id).await
        })
    }

    fn rerun(&self, task: TaskId) -> Answer<'_, TaskView> {
        Box::pin(async move {
            let done = self.engine()?.rerun(task, self.actor.clone(), None).await.map_err(|e| trouble(e, Some(task)))?;
            self.task(done.task.expect("a submission is answered with its task")).await
        })
    }

    fn ask(&self, task: TaskId, ask: Ask) -> Answer<'_, TaskView> {
        Box::pin(async move {
            let engine = self.engine()?;
            if ask == Ask::Erase {
                engine.erase(task, self.actor.clone()).await.map_err(|e| trouble(e, Some(task)))?;
                return self.task(task).await;
            }
            let mode = match &ask {
                Ask::ReplacePlan { .. } => self.task(task).await?.execution_mode,
                _ => Default::default(),
            };
            let command =
                ask.command(&self.actor, mode).map_err(|problems| ApiError::invalid("the request was refused", problems))?;
            engine.command(task, command, self.actor.clone()).await.map_err(|e| trouble(e, Some(task)))?;
            self.task(task).await
        })
    }

    fn task(&self, task: TaskId) -> Answer<'_, TaskView> {
        let now = self.now();
        self.looking(move |look| {
            let task = look.task(task)?;
            Ok(TaskView { next_runs: task.next_runs(now), hierarchical_id: look.place(&task)?, ..task.view() })
        })
    }

    fn tasks(&self, filter: TaskFilter) -> Answer<'_, Page<TaskRow>> {
        let (engine, holders, now) = (self.engine.clone(), self.engine.clone(), self.now());
        self.looking(move |look| {
            let agent = filter.agent.as_deref().map(|name| look.agent(name, now)).transpose()?;
            let held = agent.map(|agent| match engine {
                Some(engine) => Held::Of(engine.leases_of(agent, HELD_MAX).into_iter().map(|lease| lease.task).collect()),
                None => Held::Unknown(agent),
            });
            let mut page = look.tasks(filter, held)?;
            for row in &mut page.items {
                row.updated_at = look.reader.touched(row.id.into()).map_err(store)?.map(|at| WireTime(Time(at)));
                row.progress = look.progress(row)?;
                row.claimed_by = holders.as_ref().and_then(|engine| engine.holder(row.id));
            }
            Ok(page)
        })
    }

    fn counts(&self, namespace: Option<String>) -> Answer<'_, Vec<(Status, u64)>> {
        self.looking(move |look| look.reader.counts(namespace.as_deref()).map_err(store))
    }

    fn task_as_of(&self, task: TaskId, version: Option<u64>, at: Option<WireTime>) -> Answer<'_, TaskView> {
        let as_of = match (version, at) {
            (Some(version), _) => AsOf::Version(version),
            (None, Some(at)) => AsOf::Time(at.0),
            (None, None) => AsOf::Now,
        };
        self.looking(move |look| {
            let found = query::task(&*look.reader, task, as_of).map_err(store)?;
            let unborn = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there was no task {task} then"));
            let found = found.ok_or_else(unborn)?;
            Ok(TaskView { hierarchical_id: look.place(&found)?, ..found.view() })
        })
    }

    fn agent<'a>(&'a self, name: &'a str) -> Answer<'a, AgentId> {
        let (name, now) = (name.to_owned(), self.now());
        self.looking(move |look| look.agent(&name, now))
    }

    fn steps(&self, task: TaskId) -> Answer<'_, Vec<StepView>> {
        let live = self.engine.as_ref().map(|e| e.telemetry(task)).unwrap_or_default();
        self.looking(move |look| look.steps(task, &live))
    }

    fn plan(&self, task: TaskId) -> Answer<'_, PlanView> {
        self.looking(move |look| Ok(look.task(task)?.plan_view()))
    }

    fn outputs(&self, task: TaskId) -> Answer<'_, Vec<OutputView>> {
        self.looking(move |look| Ok(look.task(task)?.output_views()))
    }

    fn reviews(&self, task: TaskId) -> Answer<'_, Vec<ReviewView>> {
        self.looking(move |look| Ok(look.task(task)?.review_views()))
    }

    fn effects(&self, task: TaskId) -> Answer<'_, Vec<EffectView>> {
        self.looking(move |look| Ok(look.task(task)?.effect_views()))
    }

    fn gates(&self, task: TaskId) -> Answer<'_, Vec<GateResult>> {
        self.looking(move |look| super::gates::gates(&look.task(task)?, &*look.reader))
    }

    fn waiting(&self, task: TaskId) -> Answer<'_, Vec<Waiting>> {
        let (engine, unmanned) = (self.engine.clone(), self.unmanned.clone());
        self.looking(move |look| {
            let mut waiting = look.waiting(task, engine.as_ref())?;
            if let Some(database) = unmanned.filter(|database| engine.is_some() || !is_open_elsewhere(database)) {
                nobody_works(&mut waiting, &database);
            }
            Ok(observed(waiting, task, engine.as_ref()))
        })
    }

    fn inbox(&self, filter: InboxFilter) -> Answer<'_, Page<Asked>> {
        self.looking(move |look| look.inbox(&filter))
    }

    fn asked(&self, task: TaskId) -> Answer<'_, Vec<Asked>> {
        self.looking(move |look| Ok(look.task(task)?.questions()))
    }

    fn events(&self, wanted: EventQuery) -> Answer<'_, Vec<EventView>> {
        Box::pin(async move {
            let until = tokio::time::Instant::now() + Duration::from_millis(wanted.wait_ms);
            loop {
                let found = self.looking(move |look| look.events(wanted)).await?;
                if !found.is_empty() || tokio::time::Instant::now() >= until {
                    return Ok(found);
                }
                self.something_written(wanted, until).await?;
            }
        })
    }

    fn impact(&self, task: TaskId) -> Answer<'_, Impact> {
        let (engine, policy, now) = (self.engine.clone(), self.policy.clone(), self.now());
        self.looking(move |look| {
            let task = look.task(task)?;
            Ok(match engine {
                Some(engine) => engine.impact(&task),
                // How long work usually takes is in the memory of who runs it.
                None => task.impact(now, &policy, &|_| None),
            })
        })
    }

    fn receipt(&self, task: TaskId) -> Answer<'_, String> {
        self.looking(move |look| {
            let text = ephor_engine::receipt::export(&*look.reader, task).map_err(store)?;
            text.ok_or_else(|| ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {task}")))
        })
    }

    fn keys(&self) -> Answer<'_, Vec<KeyView>> {
        Box::pin(async move { Ok(self.known_keys().await?.iter().map(keys::Known::view).collect()) })
    }

    // For a database that nobody serves: a server keeps its keys in memory, and makes them itself.
    fn make_key(&self, wish: NewKey) -> Answer<'_, MadeKey> {
        Box::pin(async move {
            let (engine, known) = (self.engine()?, self.known_keys().await?);
            let agent = keys::agent_of(engine, &wish)?;
            Ok(keys::make(engine, &wish, agent, &known, self.actor.clone()).await?.1)
        })
    }

    fn revoke_key(&self, key: KeyId) -> Answer<'_, KeyView> {
        Box::pin(async move {
            let known = self.known_keys().await?.into_iter().find(|known| known.key.id == key);
            let known = known.ok_or_else(|| {
                ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no key {key}")).then("ephor key list")
            })?;
            Ok(keys::revoke(self.engine()?, known, self.actor.clone()).await?.view())
        })
    }

    fn figures(&self, mut wanted: FiguresQuery) -> Answer<'_, Figures> {
        let (engine, now) = (self.engine.clone(), self.now());
        if wanted.namespace.is_none() {
            wanted.namespace.clone_from(&self.namespace);
        }
        let scope = Scope { namespace: wanted.namespace.clone(), bound: false };
        self.looking(move |look| Tally::new(Watch::default(), 0).figures(&look, engine.as_ref(), now, &wanted, &scope))
    }

    fn holds(&self) -> Answer<'_, Vec<HoldView>> {
        let engine = self.engine.clone();
        self.looking(move |look| match engine {
            Some(engine) => Ok(engine.holds()),
            None => Ok(ephor_engine::flow::read(&*look.reader).map_err(store)?.holds().map(Standing::view).collect()),
        })
    }

    fn place_hold(&self, wish: NewHold) -> Answer<'_, HoldView> {
        Box::pin(async move { flow::place(self.engine()?, wish, self.actor.clone(), None).await })
    }

    fn release_hold(&self, hold: HoldId, wish: NewRelease) -> Answer<'_, HoldView> {
        Box::pin(async move { flow::release(self.engine()?, hold, wish, self.actor.clone(), None).await })
    }

    fn lift_hold(&self, hold: HoldId) -> Answer<'_, HoldView> {
        Box::pin(async move { flow::lift(self.engine()?, hold, self.actor.clone()).await })
    }

    fn constitution(&self) -> Answer<'_, InForce> {
        let engine = self.engine.clone();
        self.looking(move |look| match engine {
            Some(engine) => Ok(constitution::shown(engine.policy().law.as_deref(), &engine.constitution())),
            None => constitution::read(&*look.reader).map(|(state, law)| constitution::shown(Some(&law), &state)),
        })
    }

    fn constitution_versions(&self) -> Answer<'_, Vec<VersionHead>> {
        self.looking(|look| Ok(constitution::read(&*look.reader)?.0.versions))
    }

    fn constitution_version(&self, number: u32) -> Answer<'_, VersionView> {
        self.looking(move |look| constitution::version(&*look.reader, number))
    }

    fn amendments(&self) -> Answer<'_, Vec<AmendmentView>> {
        let now = self.now();
        self.looking(move |look| Ok(constitution::amendments(&constitution::read(&*look.reader)?.0, now)))
    }

    fn amendment(&self, id: AmendmentId) -> Answer<'_, AmendmentView> {
        let now = self.now();
        self.looking(move |look| constitution::amendment(&*look.reader, &constitution::read(&*look.reader)?.0, id, now))
    }

    fn propose_amendment(&self, wish: NewAmendment) -> Answer<'_, AmendmentView> {
        Box::pin(async move { constitution::propose(self.engine()?, wish, self.actor.clone()).await })
    }

    fn sponsor_amendment(&self, id: AmendmentId) -> Answer<'_, AmendmentView> {
        Box::pin(async move { constitution::sponsor(self.engine()?, id, self.actor.clone()).await })
    }

    fn vote_on_amendment(&self, id: AmendmentId, vote: NewVote) -> Answer<'_, AmendmentView> {
        Box::pin(async move { constitution::vote(self.engine()?, id, vote, self.actor.clone()).await })
    }

    fn withdraw_amendment(&self, id: AmendmentId, reason: String) -> Answer<'_, AmendmentView> {
        Box::pin(async move { constitution::withdraw(self.engine()?, id, reason, self.actor.clone()).await })
    }

    fn constitution_impact(&self, candidate: Candidate) -> Answer<'_, ImpactReport> {
        let (engine, now) = (self.engine.clone(), self.now());
        self.looking(move |look| {
            let in_force = match engine {
                Some(engine) => constitution::in_force(&engine)?,
                None => constitution::read(&*look.reader)?.1,
            };
            let candidate = constitution::law_of(&candidate.document)?;
            judging::impact(&*look.reader, &in_force, &candidate, now).map_err(store)
        })
    }

    fn constitution_replay(&self, candidate: Candidate) -> Answer<'_, ReplayReport> {
        self.looking(move |look| {
            let since = candidate.since.map(|since| since.0);
            judging::replay(&*look.reader, &constitution::law_of(&candidate.document)?, since).map_err(store)
        })
    }

    fn limits(&self) -> Answer<'_, Vec<LimitView>> {
        let engine = self.engine.clone();
        self.looking(move |look| match engine {
            Some(engine) => Ok(engine.limits()),
            None => Ok(ephor_engine::flow::read(&*look.reader).map_err(store)?.limits().map(Set::view).collect()),
        })
    }

    fn set_limit<'a>(&'a self, name: &'a str, wish: NewLimit) -> Answer<'a, LimitView> {
        Box::pin(async move { flow::set(self.engine()?, name, wish, self.actor.clone()).await })
    }

    fn remove_limit<'a>(&'a self, name: &'a str, namespace: Option<String>) -> Answer<'a, LimitView> {
        Box::pin(async move { flow::remove(self.engine()?, namespace.as_deref(), name, self.actor.clone()).await })
    }
}

impl LocalApi {
    async fn known_keys(&self) -> Result<Vec<keys::Known>, ApiError> {
        self.looking(|look| keys::read(&*look.reader)).await
    }

    /// Resolves when there may be a new event, or at the deadline.
    async fn something_written(&self, wanted: EventQuery, until: tokio::time::Instant) -> Result<(), ApiError> {
        let Some(engine) = &self.engine else {
            tokio::time::sleep_until(until.min(tokio::time::Instant::now() + Duration::from_millis(POLL_MS))).await;
            return Ok(());
        };
        // For one task the feed of all is followed, from where it stands now: whatever comes next may be this task's.
        let position = match wanted.task {
            Some(_) => engine.position(),
            None => wanted.after,
        };
        let mut feed = engine.feed(position);
        let look = self.look.clone();
        if wanted.task.is_some()
            && !tokio::task::spawn_blocking(move || look.events(wanted)).await.is_ok_and(|e| e.is_ok_and(|e| e.is_empty()))
        {
            // Something came between the look and the feed.
            return Ok(());
        }
        tokio::select! {
            next = feed.next(1) => next.map(drop).map_err(store),
            () = tokio::time::sleep_until(until) => Ok(()),
        }
    }
}

/// The engine's trouble, told to whoever asked.
pub(crate) fn trouble(error: EngineError, task: Option<TaskId>) -> ApiError {
    match error {
        EngineError::Refused(refusal) => match task {
            Some(task) => ApiError::refused(refusal, task),
            None => refusal.into(),
        },
        EngineError::Full => {
            ApiError::new(Kind::Busy, "DISK_FULL", "no space is left to write; nothing was written, and nothing is lost")
        }
        EngineError::Busy => ApiError::new(
            Kind::Busy,
            "STORE_BUSY",
            "another program keeps the database locked; nothing was written, and nothing is lost",
        )
        .then("look who has it open, a backup or a shell, and ask again"),
        EngineError::Conflict => ApiError::new(Kind::Busy, "VERSION_CONFLICT", "another writer was faster; ask again"),
        EngineError::Stopped(why) => ApiError::new(Kind::Unreachable, "STOPPED", format!("the engine has stopped: {why}")),
        EngineError::Store(error) => store(error),
    }
}

/// Whether another process has a database open, as the file beside it says.
fn is_open_elsewhere(database: &Path) -> bool {
    // What a process left behind that was killed says nothing; where that cannot be seen, it counts.
    let lives = |pid: u32| !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{pid}")).exists();
    Holder::of(database).pid.is_some_and(lives)
}

/// No agent comes where nobody has the database open for agents: that comes before everything that may be said of agents.
fn nobody_works(waiting: &mut [Waiting], database: &Path) {
    let named =
        if database == Path::new(DATABASE) { String::new() } else { format!(" --database sqlite:{}", database.display()) };
    for missing in waiting.iter_mut().filter(|waiting| waiting.reason == "NO_AGENT") {
        missing.what = format!("nobody works on this database, as no server has it open: {}", missing.what);
        missing.act = Some(format!("ephor serve{named}"));
    }
}

/// What a task waits for, with how the agents look that work on it, where an engine watches them.
fn observed(mut waiting: Vec<Waiting>, task: TaskId, engine: Option<&Engine>) -> Vec<Waiting> {
    let Some(engine) = engine else { return waiting };
    for what in waiting.iter_mut().filter(|what| what.reason == "RUNNING") {
        let lease = what.step.as_deref().and_then(|step| engine.lease(task, &WorkKey::Step(step.into())));
        what.liveness = lease.map(|lease| lease.liveness);
    }
    waiting
}
