//! The worker: claims work for its agents, runs it side by side, keeps the leases alive, reports, and ends in good order.

use crate::agent::{Agent, Job, Stop};
use crate::backoff::Backoff;
use crate::lease::{Lease, Leases};
use crate::report::{self, Ended};
use crate::transport::{Refused, Transport};
use ephor_core::id::{AgentId, ClaimId};
use ephor_core::spec::ErrorClass;
use ephor_core::work::{ClaimRequest, Failure, Outcome, WorkItem};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The least time from one claim to the next after an empty answer: an engine that answers without waiting is not asked in a
/// tight loop.
const EMPTY_PAUSE: Duration = Duration::from_millis(100);

/// How a worker behaves. Durations are in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Who claims.
    pub agent_id: AgentId,
    /// How many pieces of work run at once.
    pub concurrency: u32,
    /// How long a claim waits for its first piece.
    pub wait_ms: u64,
    /// How long work that was told to end may take to end; after that it is dropped.
    pub grace_ms: u64,
    /// How long a draining worker lets its work finish before it tells it to end.
    pub drain_ms: u64,
}

impl Options {
    /// Ten at once, claims of 20 s, 10 s of grace (the engine forces a cancellation after 30 s), 30 s to drain.
    pub fn new(agent_id: AgentId) -> Self {
        Self { agent_id, concurrency: 10, wait_ms: 20_000, grace_ms: 10_000, drain_ms: 30_000 }
    }
}

/// How a worker ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drained {
    /// How many attempts ended without the engine having heard of it; their leases will lapse.
    pub unreported: usize,
    /// Why it gets no more work, where it was not told to drain: its agent was revoked, or is not known any more.
    pub refused: Option<Refused>,
}

/// Agents and the loop that gives them work.
pub struct Worker<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    transport: Arc<T>,
    options: Options,
    agents: BTreeMap<String, Arc<dyn Agent>>,
    leases: Leases,
    /// Makes the ids of claims: the clock and the randomness are the caller's.
    ids: Box<dyn Fn() -> ClaimId + Send + Sync>,
}

impl<T: Transport> Worker<T> {
    /// A worker of these agents. `ids` makes a new claim id each time it is called. Where two agents can do the same action,
    /// the later one does it.
    pub fn new(
        transport: Arc<T>,
        options: Options,
        agents: impl IntoIterator<Item = Arc<dyn Agent>>,
        ids: impl Fn() -> ClaimId + Send + Sync + 'static,
    ) -> Self {
        let by_action = |agent: Arc<dyn Agent>| agent.actions().into_iter().map(move |action| (action, agent.clone()));
        let agents = agents.into_iter().flat_map(by_action).collect();
        Self { shared: Arc::new(Shared { transport, options, agents, leases: Leases::default(), ids: Box::new(ids) }) }
    }

    /// What its agents can do, sorted: the capabilities to register with.
    pub fn capabilities(&self) -> Vec<String> {
        self.shared.agents.keys().cloned().collect()
    }

    /// Works until `drain` is ready, or until it is refused all work ([`Drained::refused`]); then claims no more, lets its work finish for `drain_ms`, tells the rest to end, delivers
    /// the reports and returns. Dropping the future drops all work at once, unreported.
    pub async fn run(self, drain: impl Future<Output = ()> + Send) -> Drained {
        let shared = self.shared;
        let (reports, queue) = mpsc::channel(report::QUEUED_MAX);
        let mut heartbeat = JoinSet::new();
        heartbeat.spawn(keep_alive(shared.clone()));
        let mut delivery = JoinSet::new();
        delivery.spawn(deliver(shared.clone(), queue));
        let mut jobs = JoinSet::new();

        let refused = claim_until(&shared, drain, &mut jobs, &reports).await;
        if let Some(why) = &refused {
            tracing::error!(agent = %shared.options.agent_id, %why, "the worker gets no more work and stops");
        }
        finish(&shared, jobs).await;
        drop(reports); // closes the queue: delivery ends when it is empty
        if timeout(shared.grace(), delivery.join_next()).await.is_err() {
            tracing::error!(reports = shared.leases.len(), "gave up delivering reports");
        }
        Drained { unreported: shared.leases.len(), refused }
    }
}

async fn keep_alive<T: Transport>(shared: Arc<Shared<T>>) {
    shared.leases.keep_alive(&*shared.transport).await;
}

async fn deliver<T: Transport>(shared: Arc<Shared<T>>, queue: mpsc::Receiver<Ended>) {
    report::deliver(&*shared.transport, &shared.leases, queue).await;
}

/// Claims as much as there are places, as long as nobody asks to drain. Answers why there will be no more, where there will not.
async fn claim_until<T: Transport>(
    shared: &Arc<Shared<T>>,
    drain: impl Future<Output = ()>,
    jobs: &mut JoinSet<()>,
    reports: &mpsc::Sender<Ended>,
) -> Option<Refused> {
    let mut drain = pin!(drain);
    loop {
        while jobs.try_join_next().is_some() {}
        let places = (shared.options.concurrency.max(1) as usize).saturating_sub(jobs.len());
        if places == 0 {
            tokio::select! {
                () = &mut drain => return None,
                _ = jobs.join_next() => continue,
            }
        }
        let mut wish = shared.wish(places);
        let asked_at = Instant::now();
        let (claimed, draining) = tokio::select! {
            claimed = shared.claim(&wish) => (claimed, false),
            () = &mut drain => {
                // The claim on its way may already have been granted. Said again without the wait, it tells what it got.
                wish.wait_ms = 0;
                (timeout(shared.grace(), shared.claim(&wish)).await.unwrap_or(Ok(Vec::new())), true)
            }
        };
        let claimed = match claimed {
            Ok(claimed) => claimed,
            // Whoever goes anyway need not hear that there would be no more.
            Err(_) if draining => return None,
            Err(why) => return Some(why),
        };
        let empty = claimed.is_empty();
        for item in claimed {
            shared.begin(item, jobs, reports);
        }
        if draining {
            return None;
        }
        if empty {
            tokio::select! {
                () = &mut drain => return None,
                () = sleep_until(asked_at + EMPTY_PAUSE) => {}
            }
        }
    }
}

/// Lets work finish, then tells it to end, then drops it.
async fn finish<T: Transport>(shared: &Shared<T>, mut jobs: JoinSet<()>) {
    let all = async |jobs: &mut JoinSet<()>| while jobs.join_next().await.is_some() {};
    if timeout(Duration::from_millis(shared.options.drain_ms), all(&mut jobs)).await.is_err() {
        tracing::warn!(jobs = jobs.len(), "draining takes too long: work is told to end");
        shared.leases.stop_all(Stop::Draining);
        // Each job ends itself within the grace. Twice that is only reached when the reports cannot be queued either.
        timeout(shared.grace() * 2, all(&mut jobs)).await.unwrap_or_default();
    }
}

impl<T: Transport> Shared<T> {
    fn grace(&self) -> Duration {
        Duration::from_millis(self.options.grace_ms)
    }

    fn wish(&self, places: usize) -> ClaimRequest {
        ClaimRequest {
            agent_id: self.options.agent_id,
            claim_id: (self.ids)(),
            max: u32::try_from(places).unwrap_or(u32::MAX),
            wait_ms: self.options.wait_ms,
            start: true,
        }
    }

    /// Asks until it is answered. The same claim id each time: a lost answer costs no attempt.
    async fn claim(&self, wish: &ClaimRequest) -> Result<Vec<WorkItem>, Refused> {
        let mut backoff = Backoff::default();
        loop {
            match self.transport.claim(wish.clone()).await {
                Ok(answer) => return answer,
                Err(error) => {
                    tracing::warn!(%error, claim = %wish.claim_id, "claim lost");
                    sleep(backoff.step()).await;
                }
            }
        }
    }

    fn begin(self: &Arc<Self>, item: WorkItem, jobs: &mut JoinSet<()>, reports: &mpsc::Sender<Ended>) {
        let Some(lease) = self.leases.begin(item) else { return };
        let (shared, reports) = (self.clone(), reports.clone());
        jobs.spawn(async move {
            match shared.attempt(&lease).await {
                // The queue only closes when the worker is gone, and then nobody waits for this report either.
                Some(outcome) => drop(reports.send(Ended { lease, outcome }).await),
                None => shared.leases.end(&lease),
            }
        });
    }

    /// Runs one attempt to its end: its own, or the one it is told. `None`: nothing is to be reported.
    async fn attempt(&self, lease: &Arc<Lease>) -> Option<Outcome> {
        let Some(agent) = self.agents.get(&lease.item.action).cloned() else {
            let message = format!("no agent of this worker can do {}", lease.item.action);
            return Some(Outcome::Failed(Failure::final_(ErrorClass::MissingCapability, message)));
        };
        // A task of its own catches panics and keeps an agent that blocks its thread from blocking this function.
        let mut running = JoinSet::new();
        let (transport, own) = (self.transport.clone(), lease.clone());
        running.spawn(async move { agent.run(Job::new(&own, &*transport)).await });

        tokio::select! {
            _ = lease.stopped() => {}
            () = expired(&lease.item) => lease.stop(Stop::TimedOut),
            Some(ended) = running.join_next() => return settle(lease.told(), Some(ended)),
        }
        let ended = timeout(self.grace(), running.join_next()).await;
        settle(lease.told(), ended.ok().flatten())
    }
}

/// Waits for the end of the time an attempt may take; for ever where there is none.
async fn expired(item: &WorkItem) {
    match item.timeout_ms {
        Some(ms) => sleep(Duration::from_millis(ms)).await,
        None => std::future::pending().await,
    }
}

/// What is reported of work that ended, or did not although it was told to. What it got done counts in any case; a failure
/// on the way out does not, the reason for the end does.
fn settle(why: Option<Stop>, ended: Option<Result<Outcome, JoinError>>) -> Option<Outcome> {
    let outcome = ended.map(|ended| ended.unwrap_or_else(panicked));
    let failed = |class, message: &str| Some(Outcome::Failed(Failure::new(class, message)));
    match (why, outcome) {
        (None, outcome) => outcome,
        (Some(Stop::Stale), _) => None,
        (Some(_), Some(done)) if !matches!(done, Outcome::Failed(_) | Outcome::Cancelled) => Some(done),
        (Some(Stop::Cancelled), _) => Some(Outcome::Cancelled),
        (Some(Stop::TimedOut), _) => failed(ErrorClass::Timeout, "the attempt took longer than it may"),
        (Some(Stop::Draining), _) => failed(ErrorClass::AgentLost, "the worker was shut down"),
    }
}

/// A panic as a failure. The worker never aborts a job whose end it still reads, so there is no other way here.
fn panicked(error: JoinError) -> Outcome {
    let message = match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            format!("the agent panicked: {}", text.unwrap_or("without a message"))
        }
        Err(error) => format!("the agent was dropped: {error}"),
    };
    Outcome::Failed(Failure::new(ErrorClass::Other, message))
}
