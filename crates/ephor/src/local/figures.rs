//! Figures of an engine in this process, or of a store that another one has open: what is folded from the events, what the index says now,
//! and what the engine has in hand.
//!
//! Nothing is counted on the way of a command. Whoever looks has the events folded that came since the last look; the index is asked no
//! oftener than so that all looks together take a twentieth of one thread.

mod machine;
mod watch;

use super::look::{Look, store};
use crate::api::{ApiError, FiguresQuery};
use crate::config::Watch;
use ephor_core::agent::{Agent, AgentStatus};
use ephor_core::breaker::{BreakerOf, BreakerView};
use ephor_core::figures::{AgentFigures, EngineFigures, Figures, ModelFigures, PeopleFigures};
use ephor_core::id::AgentId;
use ephor_core::models::ModelWork;
use ephor_core::plan::Problem;
use ephor_core::status::Status;
use ephor_core::time::{Time, WireDuration, WireTime};
use ephor_engine::figures::{Counts, Fold};
use ephor_engine::store::Reader;
use ephor_engine::{Engine, Gauges};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use watch::Alerts;

/// Over which time figures are told where nothing is said.
const WINDOW_MS: u64 = 86_400_000;
/// How many events are folded before others get their turn.
const SLICE: u64 = 20_000;
/// How many events one question has folded at most; those that are left are told as `behind`.
const FOLDED_MAX: u64 = 100_000;
/// How many tasks that ask people are counted.
const ASKING_MAX: u32 = 1_000;
/// How many times its cost a look at the index is good for.
const GOOD_FOR: u32 = 20;
/// For how many namespaces looks at the index are remembered.
const REMEMBERED_MAX: usize = 100;
/// The shortest time over which commits in a second are told.
const RATE: Duration = Duration::from_secs(1);

/// Who asks for figures, and of what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// The only namespace.
    pub(crate) namespace: Option<String>,
    /// Whether whoever asks may see no other: then nothing is told of the whole.
    pub(crate) bound: bool,
}

/// What is known of an engine's figures.
pub(crate) struct Tally {
    watch: RwLock<Watch>,
    /// Somebody waits for the next look who has to wait otherwise now.
    rewatched: Notify,
    began: Instant,
    /// The position at the start: what is behind it counts since then.
    start: u64,
    fold: Mutex<Option<Fold>>,
    standing: Mutex<HashMap<Option<String>, (Instant, Duration, Standing)>>,
    rates: Mutex<Option<Rates>>,
    alerts: Mutex<Alerts>,
}

/// What the index says now.
#[derive(Clone, Debug, Default)]
struct Standing {
    by_status: BTreeMap<Status, u64>,
    asking: u64,
    asking_since: Option<Time>,
    database_bytes: Option<u64>,
    log_bytes: Option<u64>,
}

/// How much was written at two looks.
#[derive(Clone, Copy, Debug)]
struct Rates {
    at: Instant,
    commits: u64,
    events: u64,
    /// Commits and events in a second before that.
    told: (f64, f64),
}

/// What those need who show figures in a form of their own.
pub(crate) struct Now {
    /// Since the start, by where and what.
    pub(crate) totals: ephor_engine::figures::Cells,
    /// The same together.
    pub(crate) total: Counts,
    /// As they are told, of everything.
    pub(crate) figures: Figures,
}

impl Tally {
    /// Of an engine that has come to this position.
    pub(crate) fn new(watch: Watch, start: u64) -> Self {
        Self {
            watch: RwLock::new(watch),
            rewatched: Notify::new(),
            start,
            began: Instant::now(),
            fold: Mutex::default(),
            standing: Mutex::default(),
            rates: Mutex::default(),
            alerts: Mutex::default(),
        }
    }

    /// Resolves when it is time to look again, that alerts are told in time.
    pub(crate) async fn next_look(&self) {
        let begun = Instant::now();
        loop {
            let interval = Duration::from_millis(self.watched().progress_interval.ms);
            tokio::select! {
                () = tokio::time::sleep_until(begun + interval) => return,
                () = self.rewatched.notified() => {}
            }
        }
    }

    fn watched(&self) -> Watch {
        self.watch.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Watches otherwise from now on. Where figures are to reach back farther, the past is read anew.
    pub(crate) fn rewatch(&self, watch: Watch) {
        let mut fold = self.fold.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.watch.write().unwrap_or_else(PoisonError::into_inner);
        if watch.metrics_retention.ms > known.metrics_retention.ms {
            *fold = None;
        }
        *known = watch;
        self.rewatched.notify_one();
    }

    /// Folds what came since, at most so many events. Blocks.
    fn folded(&self, reader: &dyn Reader, now: Time, most: u64) -> Result<MutexGuard<'_, Option<Fold>>, ApiError> {
        let mut left = most;
        loop {
            let mut fold = self.fold.lock().unwrap_or_else(PoisonError::into_inner);
            let known = match fold.as_mut() {
                Some(known) => known,
                None => {
                    let kept = self.watched().metrics_retention.ms;
                    fold.insert(Fold::begin(reader, now, kept, self.start).map_err(store)?)
                }
            };
            let all = known.catch_up(reader, SLICE.min(left)).map_err(store)?;
            left = left.saturating_sub(SLICE);
            if all || left == 0 {
                return Ok(fold);
            }
            // Whoever waits for it gets it between two slices.
            drop(fold);
            std::thread::yield_now();
        }
    }

    /// Looks at what runs, and says in the log what went beyond its threshold. Blocks.
    pub(crate) fn look(&self, engine: &Engine) -> Result<(), ApiError> {
        let reader = engine.reader();
        let fold = self.folded(&*reader, engine.now(), u64::MAX)?;
        let known = fold.as_ref().expect("it was just folded");
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        alerts.look(known, &self.watched().alert_thresholds, machine::memory_used(), engine.now());
        Ok(())
    }

    /// Figures over a window, within a scope. Blocks.
    pub(crate) fn figures(
        &self,
        look: &Look,
        engine: Option<&Engine>,
        now: Time,
        wanted: &FiguresQuery,
        scope: &Scope,
    ) -> Result<Figures, ApiError> {
        let window = self.window(wanted.window)?;
        let reader = &*look.reader;
        let fold = self.folded(reader, now, FOLDED_MAX)?;
        self.told(fold.as_ref().expect("it was just folded"), reader, engine, now, window, scope)
    }

    /// Everything, with what was counted since the start. Blocks.
    pub(crate) fn now(&self, look: &Look, engine: &Engine) -> Result<Now, ApiError> {
        let (reader, now) = (&*look.reader, engine.now());
        let fold = self.folded(reader, now, FOLDED_MAX)?;
        let known = fold.as_ref().expect("it was just folded");
        let figures = self.told(known, reader, Some(engine), now, self.window(None)?, &Scope::default())?;
        Ok(Now { totals: known.totals().clone(), total: known.total(), figures })
    }

    fn window(&self, said: Option<WireDuration>) -> Result<u64, ApiError> {
        let kept = self.watched().metrics_retention.ms;
        let window = said.map_or(WINDOW_MS.min(kept), |said| said.ms);
        if (1..=kept).contains(&window) {
            return Ok(window);
        }
        let why = format!("figures are kept for {}; allowed is up to that", WireDuration { ms: kept });
        Err(ApiError::invalid("the query was refused", vec![Problem::new("window", why)]))
    }

    fn told(
        &self,
        fold: &Fold,
        reader: &dyn Reader,
        engine: Option<&Engine>,
        now: Time,
        window: u64,
        scope: &Scope,
    ) -> Result<Figures, ApiError> {
        let namespace = scope.namespace.as_deref();
        let standing = self.standing(reader, &scope.namespace)?;
        let counted = fold.within(namespace, window, now);
        let waits = standing.by_status.get(&Status::Scheduled).copied().unwrap_or(0);
        let agents: Vec<_> = engine.map(|engine| engine.agents_after(None)).unwrap_or_default();
        let sees = |agent: &Agent| {
            let of = agent.registration.as_ref().and_then(|said| said.namespace.as_deref());
            namespace.is_none() || of == namespace
        };
        let agents: Vec<&Agent> =
            agents.iter().map(|agent| &**agent).filter(|agent| agent.status != AgentStatus::Revoked && sees(agent)).collect();
        let breakers: Vec<BreakerView> = engine.map(Engine::breakers).unwrap_or_default();
        let breakers: Vec<BreakerView> =
            breakers.into_iter().filter(|one| namespace.is_none() || one.namespace.as_deref() == namespace).collect();
        let position = fold.position();
        let written = engine.map_or(position, Engine::position);
        let alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Figures {
            at: WireTime(now),
            position,
            behind: written.saturating_sub(position),
            window: WireDuration { ms: window },
            since: WireTime(fold.since().max(Time(now.0.saturating_sub(i64::try_from(window).unwrap_or(i64::MAX))))),
            namespace: scope.namespace.clone(),
            tasks: counted.tasks(standing.by_status.clone()),
            attempts: counted.attempts(),
            queue: fold.queue(namespace, waits, now),
            agents: engine.map(|engine| agent_figures(engine, &agents)).unwrap_or_default(),
            models: models(&agents, &breakers, fold.models(namespace, window, now)),
            breakers,
            gates: counted.gates(),
            council: fold.council(namespace, &counted.all, now),
            approvals: fold.approvals(namespace, &counted.all, now),
            people: PeopleFigures {
                tasks_asking: standing.asking,
                oldest: standing.asking_since.map(|at| WireDuration { ms: now.since(at) }),
            },
            engine: engine.filter(|_| !scope.bound).map(|engine| self.engine_figures(engine, written, &standing)),
            alerts: alerts.told(fold, &self.watched().alert_thresholds, machine::memory_used(), now, scope),
        })
    }

    /// What the index says: looked up again once the last look is twenty times as old as it took.
    fn standing(&self, reader: &dyn Reader, namespace: &Option<String>) -> Result<Standing, ApiError> {
        let known = || self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, cost, standing)) = known().get(namespace)
            && at.elapsed() < *cost * GOOD_FOR
        {
            return Ok(standing.clone());
        }
        let begun = Instant::now();
        let asking = reader.asking(None, namespace.as_deref(), ASKING_MAX).map_err(store)?;
        let about: BTreeMap<_, _> = reader.about().map_err(store)?.into_iter().collect();
        let log = about.get("path").map(|path| format!("{path}-wal"));
        let standing = Standing {
            by_status: reader.counts(namespace.as_deref()).map_err(store)?.into_iter().collect(),
            asking: asking.len() as u64,
            asking_since: asking.first().and_then(|listed| listed.row.asks_since).map(Time),
            database_bytes: about.get("size_bytes").and_then(|bytes| bytes.parse().ok()),
            log_bytes: log.and_then(|log| std::fs::metadata(log).ok()).map(|log| log.len()),
        };
        let mut all = known();
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(namespace.clone(), (begun, begun.elapsed(), standing.clone()));
        Ok(standing)
    }

    fn engine_figures(&self, engine: &Engine, events: u64, standing: &Standing) -> EngineFigures {
        let Gauges { cached, ready: _, leases: _, parked, commits } = engine.gauges();
        let (commits_per_second, events_per_second) = self.rates(commits, events);
        EngineFigures {
            commits,
            commits_per_second,
            events_per_second,
            waiting: engine.waiting() as u64,
            parked: parked as u64,
            cached: cached as u64,
            database_bytes: standing.database_bytes,
            log_bytes: standing.log_bytes,
            memory_bytes: machine::memory_of_process(),
            memory_used: machine::memory_used(),
            uptime: WireDuration { ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX) },
        }
    }

    /// How much was written in a second since the look before.
    fn rates(&self, commits: u64, events: u64) -> (f64, f64) {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Rates { at: self.began, commits: 0, events, told: (0.0, 0.0) };
        let known = *rates.get_or_insert(begun);
        let took = known.at.elapsed();
        if took < RATE {
            return known.told;
        }
        let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / took.as_secs_f64();
        let told = (per_second(commits, known.commits), per_second(events, known.events));
        *rates = Some(Rates { at: Instant::now(), commits, events, told });
        told
    }
}

fn agent_figures(engine: &Engine, agents: &[&Agent]) -> AgentFigures {
    let mut by_liveness: BTreeMap<String, u64> = BTreeMap::new();
    for agent in agents {
        let word = engine.liveness(agent.id).map_or("UNSEEN", |liveness| liveness.word());
        *by_liveness.entry(word.to_owned()).or_default() += 1;
    }
    let held = |id: AgentId| engine.leases_held(id) as u64;
    AgentFigures {
        total: agents.len() as u64,
        by_liveness,
        draining: agents.iter().filter(|agent| agent.status == AgentStatus::Draining).count() as u64,
        leases: agents.iter().map(|agent| held(agent.id)).sum(),
    }
}

/// The models agents have, those that are left alone, and those attempts were made with.
fn models(agents: &[&Agent], breakers: &[BreakerView], work: BTreeMap<String, ModelWork>) -> Vec<ModelFigures> {
    fn of<'f>(found: &'f mut BTreeMap<String, ModelFigures>, name: &str) -> &'f mut ModelFigures {
        found.entry(name.to_owned()).or_insert_with(|| ModelFigures { name: name.to_owned(), ..ModelFigures::default() })
    }
    let mut found = BTreeMap::new();
    let had = agents.iter().filter_map(|agent| agent.registration.as_ref()).flat_map(|said| &said.models);
    had.for_each(|model| of(&mut found, model).agents += 1);
    let left_alone = breakers.iter().filter(|one| one.of == BreakerOf::Model);
    left_alone.for_each(|one| of(&mut found, &one.name).left_alone = true);
    work.into_iter().for_each(|(name, work)| of(&mut found, &name).work = work);
    found.into_values().collect()
}
