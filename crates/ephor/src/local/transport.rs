//! Work for agents in the engine's own process: a call instead of a request.

use crate::telemetry;
use ephor_core::command::Refusal;
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, EffectId};
use ephor_core::work::{
    ClaimRequest, EffectGrant, EffectOutcome, EffectRequest, Heartbeat, HeartbeatAnswer, Report, ReportAnswer, WorkItem,
};
use ephor_engine::{Engine, EngineError};
use ephor_sdk::transport::{Refused, Transport, TransportError};

/// The engine, as an agent in the same process reaches it.
#[derive(Clone)]
pub struct InProcess {
    engine: Engine,
    agent: AgentId,
    traced: bool,
}

impl InProcess {
    /// For the agents that go by this id.
    pub fn new(engine: Engine, agent: AgentId) -> Self {
        Self { engine, agent, traced: false }
    }

    /// The same, with agents being told of which trace their work is.
    pub(crate) fn traced(self, traced: bool) -> Self {
        Self { traced, ..self }
    }
}

/// A rule's no is an answer; everything else means that the words did not get through.
fn split<T>(answer: Result<T, EngineError>) -> Result<Result<T, Refused>, TransportError> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(EngineError::Refused(Refusal::QueueFull)) => Err(TransportError("too much is waiting to be written".into())),
        Err(EngineError::Refused(refusal)) => Ok(Err(refused(&refusal))),
        Err(other) => Err(TransportError(other.to_string())),
    }
}

fn refused(refusal: &Refusal) -> Refused {
    Refused { code: refusal.code().into(), message: refusal.to_string() }
}

impl Transport for InProcess {
    async fn claim(&self, wish: ClaimRequest) -> Result<Result<Vec<WorkItem>, Refused>, TransportError> {
        let items = self.engine.claim(wish).await;
        split(match self.traced {
            true => items.map(telemetry::named),
            false => items,
        })
    }

    async fn heartbeat(&self, beats: Vec<Heartbeat>) -> Result<Vec<HeartbeatAnswer>, TransportError> {
        Ok(self.engine.heartbeat(self.agent, &beats))
    }

    async fn report(&self, reports: Vec<Report>) -> Result<Vec<Result<ReportAnswer, Refused>>, TransportError> {
        let answers = self.engine.report(reports, self.agent).await.map_err(|e| TransportError(e.to_string()))?;
        let answer = |done: Result<ephor_engine::Done, Refusal>| match done {
            Ok(done) => Ok(ReportAnswer { status: done.status }),
            Err(refusal) => Err(refused(&refusal)),
        };
        Ok(answers.into_iter().map(answer).collect())
    }

    async fn effect(&self, wish: EffectRequest) -> Result<Result<EffectGrant, Refused>, TransportError> {
        split(self.engine.effect(wish, self.agent).await)
    }

    async fn effect_outcome(
        &self,
        wish: EffectRequest,
        effect: EffectId,
        outcome: EffectOutcome,
    ) -> Result<Result<(), Refused>, TransportError> {
        let holder = Some((wish.work, wish.attempt));
        split(self.engine.settle_effect(wish.task_id, effect, holder, outcome, Actor::agent(self.agent)).await)
            .map(|a| a.map(drop))
    }
}
