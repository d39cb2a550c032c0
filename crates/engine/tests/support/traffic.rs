//! Callers of a whole engine: each submits tasks, works, fails, falls silent, votes and confirms, one thing after the other, and tells
//! what it was answered. Many of them at once are a load.

use super::ledger::Told;
use ephor_core::agent::Registration;
use ephor_core::command::{Command, Decision, Refusal};
use ephor_core::event::{Actor, DecisionWord, TextChanges};
use ephor_core::id::{AgentId, TaskId};
use ephor_core::policy::Policy;
use ephor_core::review::VoteWord;
use ephor_core::spec::{ErrorClass, GateKind, Request};
use ephor_core::status::Status;
use ephor_core::time::WireDuration;
use ephor_core::work::{ClaimRequest, Failure, Judgement, Outcome, Report, Success, WorkItem};
use ephor_engine::query::{self, AsOf};
use ephor_engine::{Done, Engine, EngineError, Idempotency};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many tasks a caller leaves unfinished before it submits no more.
const OPEN_MAX: usize = 6;

/// A policy under which an agent that falls silent is noticed soon.
pub(crate) fn hasty() -> Policy {
    Policy { lease: WireDuration { ms: 500 }, ..Policy::default() }
}

/// SplitMix64: the same seed, the same choices.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }
}

/// Everybody who speaks to one engine.
pub(crate) struct Crew {
    pub(crate) engine: Engine,
    workers: Vec<AgentId>,
    judges: Vec<AgentId>,
    tell: Box<dyn Fn(Told) + Send + Sync>,
    /// How often somebody was told that there is no space.
    pub(crate) full: AtomicU64,
}

/// Asks until there is space, and until the queue has room.
macro_rules! insist {
    ($crew:expr, $ask:expr) => {
        loop {
            match $ask.await {
                Err(EngineError::Full) => drop($crew.full.fetch_add(1, Ordering::Relaxed)),
                Err(EngineError::Refused(Refusal::QueueFull)) => {}
                other => break other,
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
}

impl Crew {
    /// Makes everybody known to an engine; those who are known already stay who they are.
    pub(crate) async fn enter(
        engine: Engine,
        workers: usize,
        tell: impl Fn(Told) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, EngineError> {
        let mut crew = Self { engine, workers: Vec::new(), judges: Vec::new(), tell: Box::new(tell), full: AtomicU64::new(0) };
        for n in 0..workers {
            let id = crew.known(format!("worker {n}"), "work").await?;
            crew.workers.push(id);
        }
        for n in 0..3 {
            let id = crew.known(format!("judge {n}"), "judge").await?;
            crew.judges.push(id);
        }
        Ok(Arc::new(crew))
    }

    async fn known(&self, name: String, capability: &str) -> Result<AgentId, EngineError> {
        if let Some(id) = self.engine.agent_named(&name) {
            return Ok(id);
        }
        let said = Registration {
            name: name.clone(),
            role: None,
            capabilities: vec![capability.into()],
            external_id: Some(name),
            ..Registration::default()
        };
        insist!(self, self.engine.register(None, said.clone(), Actor::human("test")))
    }

    /// Lives as one of the callers for so many rounds, then sees everything through that it began. Ends early with the engine.
    pub(crate) async fn live(self: Arc<Self>, caller: usize, seed: u64, rounds: u64) -> Result<(), EngineError> {
        let mut dice = Dice(seed.wrapping_mul(31).wrapping_add(caller as u64));
        let mut open = BTreeSet::new();
        for round in 0..rounds {
            if open.len() < OPEN_MAX {
                let key = format!("idem:{seed}/{caller}/{round}");
                open.extend(self.submit(key, request(&mut dice, open.last().copied())).await?);
            }
            self.work(caller, &mut dice, true).await?;
            self.look_after(&mut open, &mut dice).await?;
        }
        while !open.is_empty() {
            self.work(caller, &mut dice, false).await?;
            self.look_after(&mut open, &mut dice).await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    fn told(&self, done: &Done) {
        if let Some(task) = done.task {
            (self.tell)(Told::Stands { task, version: done.version, status: done.status });
        }
    }

    async fn submit(&self, key: String, request: Request) -> Result<Option<TaskId>, EngineError> {
        let key = Idempotency { digest: key.clone(), key };
        let done = insist!(self, self.engine.submit(&request, Actor::human("ann"), Some(key.clone())))?;
        // A repeated answer tells of the birth, wherever the task is by now.
        self.told(&done);
        Ok(done.task)
    }

    /// Takes work and does it: mostly well.
    async fn work(&self, caller: usize, dice: &mut Dice, may_fail: bool) -> Result<(), EngineError> {
        let agent = self.workers[caller % self.workers.len()];
        let wish =
            ClaimRequest { agent_id: agent, claim_id: self.engine.new_claim_id(), max: 2, wait_ms: 0, start: dice.roll(2) == 0 };
        for item in insist!(self, self.engine.claim(wish.clone()))? {
            let WorkItem { task_id: task, work, attempt, .. } = item.clone();
            (self.tell)(Told::Holds { task, work: work.clone(), attempt, agent });
            let outcome = match dice.roll(20) {
                0 if may_fail => continue,
                1..4 if may_fail => Outcome::Failed(Failure::new(ErrorClass::External, "not this time")),
                4 => Outcome::Succeeded(Success { output: json!({"text": "long ".repeat(4_000)}), ..Success::default() }),
                _ => Outcome::Succeeded(Success { output: json!({"ok": true}), ..Success::default() }),
            };
            let report = Report { task_id: task, work, attempt, outcome };
            let answers = insist!(self, self.engine.report(vec![report.clone()], agent))?;
            answers.iter().flatten().for_each(|done| self.told(done));
        }
        Ok(())
    }

    /// Does for each task what only people and judges can do, and forgets those that have ended.
    async fn look_after(&self, open: &mut BTreeSet<TaskId>, dice: &mut Dice) -> Result<(), EngineError> {
        for id in open.clone() {
            let Some(task) = query::task(&*self.engine.reader(), id, AsOf::Now)? else { continue };
            if task.end().is_some() {
                open.remove(&id);
                continue;
            }
            if dice.roll(60) == 0 {
                self.ask(id, Command::Cancel { reason: "enough".into(), force: dice.roll(2) == 0 }, Actor::human("ann")).await?;
            }
            if let Some((review, _, ballot)) = task.open_review() {
                let judge = ballot.judges.iter().find(|j| !ballot.votes.contains_key(&j.id)).map(|j| j.id.clone());
                let Some(judge) = judge else { continue };
                let Some(voter) = self.judges.iter().find(|j| *j.to_string() == *judge) else { continue };
                let vote = if dice.roll(8) == 0 { VoteWord::Reject } else { VoteWord::Approve };
                let vote = Command::Vote {
                    review: Some(review),
                    judge,
                    vote,
                    confidence: None,
                    reason: "so".into(),
                    opinion: Box::default(),
                };
                self.ask(id, vote, Actor::agent(*voter)).await?;
            } else if let Some(step) = task.waiting().iter().find(|w| w.reason == "APPROVAL").and_then(|w| w.step.clone()) {
                let judgement = Judgement::of(GateKind::ManualReview, true);
                self.ask(id, Command::Confirm { step: step.into(), judgement }, Actor::human("bea")).await?;
            } else if task.status() == Status::Escalated {
                let decision = Decision {
                    word: DecisionWord::Liquidate,
                    text: TextChanges { reason: "enough".into(), ..TextChanges::default() },
                    council: false,
                };
                self.ask(id, Command::Decide(Box::new(decision)), Actor::human("ann")).await?;
            }
        }
        Ok(())
    }

    /// Asks something; a rule's no is an answer too.
    pub(crate) async fn ask(&self, task: TaskId, command: Command, actor: Actor) -> Result<(), EngineError> {
        match insist!(self, self.engine.command(task, command.clone(), actor.clone())) {
            Ok(done) => {
                self.told(&done);
                Ok(())
            }
            Err(EngineError::Refused(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }
}

/// Tasks of every kind that commits differ by.
fn request(dice: &mut Dice, before: Option<TaskId>) -> Request {
    let retry = json!({"max_attempts": 3, "initial": "1ms", "jitter": 0});
    let mut request = match dice.roll(8) {
        0 => json!({"plan": {"steps": [{"action": "work", "gates": [{"kind": "MANUAL_REVIEW"}]}]}}),
        1 => json!({"execution_mode": "STRICT", "action": "work"}),
        2 => json!({"final_review": true, "action": "work"}),
        3 => json!({"plan": {"sequential": true, "steps": [{"action": "work"}, {"action": "work"}]}}),
        4 => {
            json!({"plan": {"steps": [{"action": "task.run", "params": {"request": {"title": "part", "action": "work", "max_retries": 0}}}]}})
        }
        5 if before.is_some() => json!({"depends_on": [before], "action": "work"}),
        6 => json!({"action": "work", "description": "many words ".repeat(1_500)}),
        _ => json!({"action": "work"}),
    };
    request["title"] = json!(format!("task {}", dice.roll(1_000)));
    request["max_retries"] = json!(0);
    request["retry_policy"] = retry;
    serde_json::from_value(request).expect("requests of the tests are well formed")
}
