//! Agents, their work, and keys.

use super::call::Call;
use super::wire::{self, AgentView, Claim, Me, ReportAnswers};
use super::{Client, ClientError};
use ephor_core::agent::Registration;
use ephor_core::breaker::{BreakerOf, BreakerView};
use ephor_core::id::{AgentId, EffectId, KeyId};
use ephor_core::key::{KeyView, MadeKey, NewKey};
use ephor_core::matching::Candidate;
use ephor_core::work::{EffectGrant, EffectOutcome, EffectRequest, Heartbeat, HeartbeatAnswer, Report, WorkItem};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

impl Client {
    /// Makes an agent known, or says anew what it can do; one with an `external_id` is found again by it.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn register(&self, registration: &Registration) -> Result<AgentView, ClientError> {
        self.fetch(Call::post(["agents"]).json(&wire::outside(registration))).await
    }

    /// All agents.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn agents(&self) -> Result<Vec<AgentView>, ClientError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let reply = self.call(Call::get(["agents"]).maybe("cursor", cursor.as_deref())).await?;
            all.extend(self.parse::<Vec<AgentView>>(&reply.body)?);
            match reply.next() {
                // A cursor that leads back to itself would never end.
                Some(next) if cursor.as_deref() != Some(&next) => cursor = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// One agent, by its id or external id.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn agent(&self, agent: &str) -> Result<AgentView, ClientError> {
        self.fetch(Call::get(["agents", agent])).await
    }

    /// Gives an agent no more work; what it has it finishes.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn drain_agent(&self, agent: &str) -> Result<AgentView, ClientError> {
        self.fetch(Call::post(["agents", agent, "drain"])).await
    }

    /// Gives an agent work again.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn resume_agent(&self, agent: &str) -> Result<AgentView, ClientError> {
        self.fetch(Call::post(["agents", agent, "resume"])).await
    }

    /// Makes a key that speaks as this agent alone; it is shown this once.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn make_agent_key(&self, agent: &str) -> Result<MadeKey, ClientError> {
        self.fetch(Call::post_once(["agents", agent, "keys"]).json(&json!({}))).await
    }

    /// Every agent beside every piece of open work of a task, those who may have it first.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn candidates(&self, task: &str) -> Result<Vec<Candidate>, ClientError> {
        self.fetch(Call::get(["tasks", task, "candidates"])).await
    }

    /// Agents, tools and models that are not trusted with work just now.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn breakers(&self) -> Result<Vec<BreakerView>, ClientError> {
        self.fetch(Call::get(["breakers"])).await
    }

    /// Trusts one of them again. Answers with those that are left.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn reset_breaker(
        &self,
        of: BreakerOf,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<BreakerView>, ClientError> {
        let body = json!({"of": of, "name": name, "namespace": namespace});
        self.fetch(Call::post_once(["breakers", "reset"]).json(&body)).await
    }

    /// Takes everything from an agent, for good.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn revoke_agent(&self, agent: &str) -> Result<AgentView, ClientError> {
        self.fetch(Call::post(["agents", agent, "revoke"])).await
    }

    /// Asks for work, waiting for the first piece as long as the claim says.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached. Said again with the same id, it gets the same work.
    pub async fn claim(&self, agent: AgentId, claim: &Claim, wait: Duration) -> Result<Vec<WorkItem>, ClientError> {
        self.fetch(of_agent(agent, "claim").json(claim).patience(wait)).await
    }

    /// Renews leases; one answer for each sign of life, in order.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn heartbeat(&self, agent: AgentId, beats: &[Heartbeat]) -> Result<Vec<HeartbeatAnswer>, ClientError> {
        self.fetch(of_agent(agent, "heartbeat").json(&json!({"beats": beats}))).await
    }

    /// Ends attempts; one answer for each report, in order. Said again it is answered again and counted once.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn report(&self, agent: AgentId, reports: &[Report]) -> Result<ReportAnswers, ClientError> {
        self.fetch(of_agent(agent, "report").json(&json!({"reports": reports}))).await
    }

    /// Asks for the right to act on the outside.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn effect(&self, agent: AgentId, wish: &EffectRequest) -> Result<EffectGrant, ClientError> {
        let EffectRequest { attempt, action, args_digest, .. } = wish;
        let body = json!({"agent_id": agent, "attempt": attempt, "action": action, "args_digest": args_digest});
        self.fetch(Call::post_once(["work", &work_id(wish), "effects"]).json(&body)).await
    }

    /// Says what became of an effect.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn effect_outcome(
        &self,
        agent: AgentId,
        wish: &EffectRequest,
        effect: EffectId,
        outcome: EffectOutcome,
    ) -> Result<(), ClientError> {
        let body = json!({"agent_id": agent, "attempt": wish.attempt, "outcome": outcome});
        let call = Call::post_once(["work", &work_id(wish), "effects", &effect.to_string(), "outcome"]);
        self.call(call.json(&body)).await.map(drop)
    }

    /// Makes a key. Its secret is in the answer, this once.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn make_key(&self, wanted: &NewKey) -> Result<MadeKey, ClientError> {
        self.fetch(Call::post_once(["keys"]).json(wanted)).await
    }

    /// All keys, without their secrets.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn keys(&self) -> Result<Vec<KeyView>, ClientError> {
        self.fetch(Call::get(["keys"])).await
    }

    /// Makes a key worthless.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn revoke_key(&self, key: KeyId) -> Result<KeyView, ClientError> {
        self.fetch(Call::new(Method::DELETE, ["keys", &key.to_string()])).await
    }

    /// Who asks, as the server sees it.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.fetch(Call::get(["me"])).await
    }
}

/// What an agent says about its work: repeated by the worker with the same ids, until it is heard.
fn of_agent(agent: AgentId, verb: &str) -> Call {
    Call::post_once(["agents", &agent.to_string(), "work", verb])
}

/// The name of one piece of work.
fn work_id(wish: &EffectRequest) -> String {
    format!("{}:{}", wish.task_id, wish.work)
}
