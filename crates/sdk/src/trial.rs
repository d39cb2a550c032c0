//! Runs an agent on one piece of work without an engine: for the tests of agents, and to try one out.

use crate::agent::{Acts, Agent, Answer, Job, Stop};
use crate::lease::Lease;
use crate::transport::Refused;
use ephor_core::id::{EffectId, TaskId};
use ephor_core::work::{EffectGrant, EffectOutcome, EffectProbe, EffectRequest, Outcome, WorkItem, WorkKey};
use serde_json::{Map, Value};
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// One piece of work and what became of its effects.
pub struct Trial {
    lease: Lease,
    desk: Desk,
}

/// Grants what the work may do and remembers what it said.
#[derive(Default)]
struct Desk {
    refuse: bool,
    asked: Mutex<Vec<EffectRequest>>,
    outcomes: Mutex<Vec<EffectOutcome>>,
}

impl Trial {
    /// A step with this action and these parameters (an object; anything else counts as none), allowed to act, under a lease
    /// of a minute.
    pub fn new(action: &str, params: Value) -> Self {
        let params = if let Value::Object(map) = params { map } else { Map::new() };
        Self::of(WorkItem {
            task_id: TaskId::new(0, [0; 10]),
            work: WorkKey::Step("1".into()),
            attempt: 0,
            lease_ms: 60_000,
            timeout_ms: None,
            namespace: "default".into(),
            action: action.into(),
            title: String::new(),
            description: String::new(),
            requirements: Vec::new(),
            model: None,
            models: None,
            last_error: None,
            params,
            resources: Map::new(),
            may_act: true,
            approved_args: None,
            probe: None,
            probes: Vec::new(),
            guidance: Vec::new(),
            traceparent: None,
            subject: Value::Null,
        })
    }

    /// This very piece of work.
    pub fn of(item: WorkItem) -> Self {
        Self { lease: Lease::new(item, Arc::new(Notify::new())), desk: Desk::default() }
    }

    /// The same work without the right to act, as in a dry run.
    pub fn dry(mut self) -> Self {
        self.lease.item.may_act = false;
        self.desk.refuse = true;
        self
    }

    /// The same work after an attempt that left an effect without an outcome.
    pub fn probing(mut self, probe: EffectProbe) -> Self {
        self.lease.item.probe.get_or_insert_with(|| probe.clone());
        self.lease.item.probes.push(probe);
        self
    }

    /// Runs the agent to its end.
    pub async fn run(&self, agent: &dyn Agent) -> Outcome {
        agent.run(Job::new(&self.lease, &self.desk)).await
    }

    /// Tells the work to end.
    pub fn stop(&self, why: Stop) {
        self.lease.stop(why);
    }

    /// Which effects it asked for, in order.
    pub fn asked(&self) -> Vec<EffectRequest> {
        self.desk.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What became of its effects, in order.
    pub fn outcomes(&self) -> Vec<EffectOutcome> {
        self.desk.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Acts for Desk {
    fn ask(&self, wish: EffectRequest) -> Answer<'_, EffectGrant> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(wish);
        let effect_id = EffectId::new(0, [asked.len() as u8; 10]);
        let grant = EffectGrant { effect_id, idempotency_key: effect_id.to_string(), expires_in_ms: 60_000, already_done: false };
        let no = Refused { code: "DRY_RUN".into(), message: "nothing acts in a dry run".into() };
        Box::pin(ready(Ok(if self.refuse { Err(no) } else { Ok(grant) })))
    }

    fn tell(&self, _: EffectRequest, _: EffectId, outcome: EffectOutcome) -> Answer<'_, ()> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        Box::pin(ready(Ok(Ok(()))))
    }
}
