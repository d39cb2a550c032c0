//! Lending the built-in agents of this machine to a server: they claim over HTTP, work here, and report there.

use super::error::told;
use super::session::{client, config};
use crate::api::{ApiError, Kind};
use crate::host::{Lending, Lent, Place};
use crate::local::{blocking, builtin};
use ephor_core::agent::Registration;
use ephor_core::id::AgentId;
use ephor_sdk::agent::{Agent, Job, Running};
use ephor_sdk::http::{Http, new_claim_id};
use ephor_sdk::worker::{Drained, Options, Worker};
use futures_util::future::select_all;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

/// Agents at work for a server: those that do steps and those that judge, each under an identity of its own.
struct Crew {
    id: AgentId,
    capabilities: Vec<String>,
    workers: Vec<Works>,
    /// How a worker ended, where that was not by draining it.
    ended: Option<(AgentId, Drained)>,
}

/// A worker under one identity.
struct Works {
    id: AgentId,
    drain: oneshot::Sender<()>,
    worker: JoinHandle<Drained>,
}

/// An agent that is asked for some of its actions only.
struct Part(Arc<dyn Agent>, Vec<String>);

impl Agent for Part {
    fn actions(&self) -> Vec<String> {
        self.1.clone()
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        self.0.run(job)
    }
}

/// Registers, and begins to work.
pub(crate) async fn lend(server: &str, place: &Place, lending: Lending) -> Result<Box<dyn Lent>, ApiError> {
    let client = client(server, place)?;
    let Lending { name, external_id, capabilities, workshop, work } = lending;
    let concurrency = workshop.agents;
    let builtin = blocking(move || builtin(&work, workshop)).await?;
    let (doing, judging) = (builtin.capabilities(), builtin.judging());
    let known = [&doing[..], &judging].concat();
    if let Some(unknown) = capabilities.iter().find(|c| !known.contains(c)) {
        return Err(ApiError::new(Kind::Invalid, "VALIDATION_FAILED", format!("the built-in agents cannot do {unknown:?}"))
            .because(format!("they can do {}", known.join(", "))));
    }
    let wanted = |action: &String| capabilities.is_empty() || capabilities.contains(action);
    let part = |agent: Arc<dyn Agent>| {
        let actions = agent.actions().into_iter().filter(wanted).collect();
        Arc::new(Part(agent, actions)) as Arc<dyn Agent>
    };
    let judges = (format!("{name}.gates"), format!("{external_id}.gates"), judging, builtin.judges());
    let crews = [(name, external_id, doing, builtin.agents()), judges];
    let mut crew = Crew { id: AgentId::new(0, [0; 10]), capabilities: Vec::new(), workers: Vec::new(), ended: None };
    for (name, external_id, able, agents) in crews {
        let able: Vec<String> = able.into_iter().filter(wanted).collect();
        if able.is_empty() {
            continue;
        }
        let registration = Registration {
            name,
            role: Some("the built-in agents of another machine".into()),
            capabilities: able.iter().map(|c| c.as_str().into()).collect(),
            external_id: Some(external_id),
            ..Registration::default()
        };
        let id = match client.register(&registration).await.map_err(told) {
            Ok(agent) => agent.id,
            // A key that speaks as one agent makes no second one: then others judge.
            Err(error) if error.kind == Kind::Forbidden && !crew.workers.is_empty() => {
                tracing::warn!(%error, "gates are left to other agents: this key speaks as one agent alone");
                continue;
            }
            Err(error) => return Err(error),
        };
        let transport = Arc::new(Http::new(config(server, place), id).map_err(told)?);
        let mut options = Options::new(id);
        options.concurrency = concurrency.unwrap_or(options.concurrency);
        let worker = Worker::new(transport, options, agents.into_iter().map(part), new_claim_id);
        let (drain, drained) = oneshot::channel::<()>();
        // Dropped without a word it is as good as told.
        let worker = tokio::spawn(worker.run(async move { drop(drained.await) }));
        if crew.workers.is_empty() {
            crew.id = id;
        }
        crew.capabilities.extend(able);
        crew.workers.push(Works { id, drain, worker });
    }
    Ok(Box::new(crew))
}

/// How a worker ended.
fn after(ended: Result<Drained, JoinError>) -> Drained {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "the worker panicked");
        Drained::default()
    })
}

impl Lent for Crew {
    fn agent(&self) -> AgentId {
        self.id
    }

    fn capabilities(&self) -> &[String] {
        &self.capabilities
    }

    fn drain(self: Box<Self>) -> Pin<Box<dyn Future<Output = usize> + Send>> {
        Box::pin(async move {
            let Self { workers, ended, .. } = *self;
            let mut unreported = ended.map_or(0, |(_, ended)| ended.unreported);
            let (drains, workers): (Vec<_>, Vec<_>) = workers.into_iter().map(|works| (works.drain, works.worker)).unzip();
            // All are told at once; then each is waited for.
            drop(drains);
            for worker in workers {
                unreported += after(worker.await).unreported;
            }
            unreported
        })
    }

    fn refused(&mut self) -> Pin<Box<dyn Future<Output = ApiError> + Send + '_>> {
        Box::pin(async move {
            // A worker may be waited for only once.
            if self.ended.is_none() && !self.workers.is_empty() {
                let (ended, place, _) = select_all(self.workers.iter_mut().map(|works| &mut works.worker)).await;
                self.ended = Some((self.workers.remove(place).id, after(ended)));
            }
            let Some((id, ended)) = &self.ended else {
                return ApiError::new(Kind::Failed, "INTERNAL", "no agent works");
            };
            match &ended.refused {
                Some(why) => ApiError::new(Kind::Forbidden, &why.code, &why.message)
                    .because(format!("{id} gets no more work"))
                    .then(format!("ephor agent show {id}")),
                None => ApiError::new(Kind::Failed, "INTERNAL", "the worker ended by itself"),
            }
        })
    }
}
