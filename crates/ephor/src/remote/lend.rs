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
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

/// Agents at work for a server.
struct Crew {
    id: AgentId,
    capabilities: Vec<String>,
    drain: oneshot::Sender<()>,
    worker: JoinHandle<Drained>,
    /// How the worker ended, where that was not by draining it.
    ended: Option<Drained>,
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
    let known = builtin.capabilities();
    if let Some(unknown) = capabilities.iter().find(|c| !known.contains(c)) {
        return Err(ApiError::new(Kind::Invalid, "VALIDATION_FAILED", format!("the built-in agents cannot do {unknown:?}"))
            .because(format!("they can do {}", known.join(", "))));
    }
    let wanted = |action: &String| capabilities.is_empty() || capabilities.contains(action);
    let agents: Vec<Arc<dyn Agent>> = builtin
        .agents()
        .into_iter()
        .map(|agent| {
            let actions = agent.actions().into_iter().filter(wanted).collect();
            Arc::new(Part(agent, actions)) as Arc<dyn Agent>
        })
        .collect();
    let capabilities: Vec<String> = known.iter().filter(|c| wanted(c)).cloned().collect();
    let registration = Registration {
        name,
        role: Some("the built-in agents of another machine".into()),
        capabilities: capabilities.iter().map(|c| c.as_str().into()).collect(),
        external_id: Some(external_id),
        ..Registration::default()
    };
    let id = client.register(&registration).await.map_err(told)?.id;
    let transport = Arc::new(Http::new(config(server, place), id).map_err(told)?);
    let mut options = Options::new(id);
    options.concurrency = concurrency.unwrap_or(options.concurrency);
    let worker = Worker::new(transport, options, agents, new_claim_id);
    let (drain, drained) = oneshot::channel::<()>();
    // Dropped without a word it is as good as told.
    let worker = tokio::spawn(worker.run(async move { drop(drained.await) }));
    Ok(Box::new(Crew { id, capabilities, drain, worker, ended: None }))
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
            let Self { drain, worker, ended, .. } = *self;
            drop(drain);
            match ended {
                Some(ended) => ended.unreported,
                None => after(worker.await).unreported,
            }
        })
    }

    fn refused(&mut self) -> Pin<Box<dyn Future<Output = ApiError> + Send + '_>> {
        Box::pin(async move {
            // The worker may be waited for only once.
            if self.ended.is_none() {
                self.ended = Some(after((&mut self.worker).await));
            }
            match self.ended.as_ref().and_then(|ended| ended.refused.as_ref()) {
                Some(why) => ApiError::new(Kind::Forbidden, &why.code, &why.message)
                    .because(format!("{} gets no more work", self.id))
                    .then(format!("ephor agent show {}", self.id)),
                None => ApiError::new(Kind::Failed, "INTERNAL", "the worker ended by itself"),
            }
        })
    }
}
