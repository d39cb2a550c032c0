//! Who could do what a task offers, and why nobody does: the choice, explained. It looks at what is in memory and decides nothing.

use crate::directory::TrackRecord;
use crate::engine::{Done, Engine, EngineError};
use crate::writer::Tool;
use ephor_core::agent::{Agent, AgentCommand, AgentStatus, Registration};
use ephor_core::breaker::{BreakerOf, BreakerState, BreakerView};
use ephor_core::command::{Refusal, Submission};
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::matching::{Candidate, Key, is_built_in, misfit, who_could};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::plan::Problem;
use ephor_core::task::Task;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::Waiting;
use std::sync::{Arc, PoisonError};

/// How many agents are named in one reason.
const NAMED_MAX: usize = 3;

/// An agent beside a piece of work.
struct Beside {
    agent: Arc<Agent>,
    /// What is in the way; nothing where it may have it.
    obstacle: Option<String>,
    /// What takes that out of the way, where somebody put it there.
    act: Option<String>,
    /// Whether it is able at all.
    able: bool,
    holds: usize,
    record: TrackRecord,
}

impl Engine {
    /// Every agent beside everything a task offers: who may have it first, of those the best choice first.
    pub fn candidates(&self, task: &Task) -> Vec<Candidate> {
        let keys = task.open_keys().unwrap_or_default();
        keys.lines().flat_map(|key| self.beside(task, key).into_iter().map(|one| self.candidate(key, &one))).collect()
    }

    /// What a task waits for, with what is known of the agents.
    pub fn waiting_for(&self, task: &Task) -> Vec<Waiting> {
        task.waiting_with(&|key| self.nobody_came(task, key))
    }

    /// Whether an agent holds work of a task.
    pub fn holds_any_of(&self, agent: AgentId, task: TaskId) -> bool {
        self.leases_of(agent, usize::MAX).iter().any(|lease| lease.task == task)
    }

    /// How an agent did since the engine started.
    pub fn record(&self, agent: AgentId) -> TrackRecord {
        self.directory().record(agent)
    }

    /// Every breaker that is not closed.
    pub fn breakers(&self) -> Vec<BreakerView> {
        let now = self.now();
        let agents = self.agents_after(None).into_iter().filter_map(|agent| {
            let opened = agent.breaker.opened()?;
            Some(BreakerView {
                of: BreakerOf::Agent,
                name: agent.id.to_string(),
                namespace: agent.registration.as_ref().and_then(|said| said.namespace.as_deref()).map(Into::into),
                state: agent.breaker.state(now),
                until: WireTime(opened.until),
                failures: opened.failures,
                class: opened.class,
            })
        });
        let board = self.tools().lock().unwrap_or_else(PoisonError::into_inner);
        let tools = board.iter().map(|(tool, (breaker, opened))| BreakerView {
            of: tool.of,
            name: tool.name.to_string(),
            namespace: Some(tool.namespace.to_string()),
            state: breaker.state(now),
            until: WireTime(opened.until),
            failures: opened.failures,
            class: opened.class,
        });
        agents.chain(tools).collect()
    }

    /// Trusts an agent again.
    pub async fn reset_agent(&self, agent: AgentId, actor: Actor) -> Result<Done, EngineError> {
        self.agent(agent, AgentCommand::ResetBreaker, actor).await
    }

    /// Trusts a tool or a model again. Answers whether it was not trusted.
    pub async fn reset_tool(&self, of: BreakerOf, name: &str, namespace: &str, actor: Actor) -> Result<bool, EngineError> {
        let tool = Tool { namespace: namespace.into(), of, name: name.into() };
        if !self.tools().lock().unwrap_or_else(PoisonError::into_inner).contains_key(&tool) {
            return Ok(false);
        }
        self.namespace(namespace, NamespaceEvent::BreakerClosed { of, name: name.into() }, actor).await.map(|_| true)
    }

    fn beside(&self, task: &Task, key: &str) -> Vec<Beside> {
        let now = self.now();
        let known = self.agents_after(None).into_iter().filter(|agent| agent.registration.is_some());
        let mut all: Vec<Beside> = known.map(|agent| self.stands(agent, task, key, now)).collect();
        all.sort_by_key(|one| (one.obstacle.is_some(), !one.able, one.holds, one.record.lately_failed_tenths(), one.agent.id));
        all
    }

    fn stands(&self, agent: Arc<Agent>, task: &Task, key: &str, now: Time) -> Beside {
        let namespace = &*task.facts.namespace;
        let said = agent.registration.clone().unwrap_or_default();
        let holds = self.leases_held(agent.id);
        let record = self.record(agent.id);
        let unable = match (&said.namespace, agent.status) {
            (_, AgentStatus::Revoked) => Some("it was revoked".to_owned()),
            (Some(own), _) if **own != *namespace => Some(format!("it works for the namespace {own} alone")),
            (Some(_) | None, _) => misfit(key, agent.id, &agent.able()).map(|lacks| lacks.to_string()),
        };
        let able = unable.is_none();
        let full = said.slots.filter(|slots| holds >= *slots as usize);
        let flow = self.flow();
        let hold = flow.over_agent(agent.id).map(|standing| &standing.hold);
        let act = match (able, agent.status, hold) {
            (false, ..) => None,
            (true, AgentStatus::Draining, _) => Some(format!("ephor agent resume {}", agent.id)),
            (true, _, hold) => hold.map(|hold| format!("ephor hold lift {}", hold.id)),
        };
        let held_up = match (agent.status, agent.breaker.state(now), agent.breaker.opened()) {
            (AgentStatus::Draining, ..) => Some("it is being drained".to_owned()),
            _ if hold.is_some() => hold.map(|hold| format!("a hold keeps back what it does: {}", hold.reason)),
            (_, BreakerState::Open, Some(opened)) => {
                Some(format!("its breaker is open until {} after {} failures", opened.until, opened.failures))
            }
            (_, BreakerState::HalfOpen, _) if holds > 0 => {
                Some("its breaker is half-open, and it is tried with one piece of work".into())
            }
            _ => full.map(|slots| format!("it has no free slot, {holds} of {slots}")),
        };
        let shut =
            || self.shut(namespace, key, now).map(|(tool, until)| format!("the breaker of {} is open until {until}", tool.name));
        let law = self.policy().law.clone().filter(|law| able && law.chooses_agents());
        let not_for = || task.not_for(agent.id, agent.registration.as_ref(), key, law.as_deref()?, now);
        let obstacle =
            unable.or(held_up).or_else(shut).or_else(|| not_for().map(|why| format!("the constitution does not let it: {why}")));
        Beside { agent, obstacle, act, able, holds, record }
    }

    fn candidate(&self, key: &str, one: &Beside) -> Candidate {
        let said = one.agent.registration.clone().unwrap_or_default();
        let (holds, record) = (one.holds, one.record);
        let lately_failed = f64::from(record.lately_failed) / 1_000.0;
        let why = one.obstacle.clone().unwrap_or_else(|| {
            let of = said.slots.map(|slots| format!(" of {slots}")).unwrap_or_default();
            format!("it is able, holds {holds}{of}, and {:.0} % of its latest work failed", lately_failed * 100.0)
        });
        Candidate {
            agent_id: one.agent.id,
            name: said.name,
            external_id: said.external_id,
            work: key.to_owned(),
            may: one.obstacle.is_none(),
            why,
            holds: u32::try_from(holds).unwrap_or(u32::MAX),
            slots: said.slots,
            succeeded: record.succeeded,
            failed: record.failed,
            lately_failed,
            last_seen_at: self.agent_seen(one.agent.id).map(WireTime),
        }
    }

    /// The tool or model that is not trusted and that work under this key needs.
    fn shut(&self, namespace: &str, key: &str, now: Time) -> Option<(Tool, Time)> {
        let Key { words, model, .. } = Key::read(key);
        let board = self.tools().lock().unwrap_or_else(PoisonError::into_inner);
        let named = |of, name: &str| Tool { namespace: namespace.into(), of, name: name.into() };
        let used = [Some(named(BreakerOf::Tool, words)), model.map(|model| named(BreakerOf::Model, model))];
        let open = |tool: &Tool| board.get(tool).filter(|(breaker, _)| breaker.state(now) == BreakerState::Open);
        used.into_iter().flatten().find_map(|tool| open(&tool).map(|(_, opened)| opened.until).map(|until| (tool, until)))
    }

    /// Why nobody has come for work that is offered; nothing where no agent that is able is known.
    fn nobody_came(&self, task: &Task, key: &str) -> Option<Waiting> {
        let now = self.now();
        if let Some((tool, until)) = self.shut(&task.facts.namespace, key, now) {
            let of = if tool.of == BreakerOf::Model { "model" } else { "tool" };
            return Some(Waiting {
                reason: "CIRCUIT_OPEN".into(),
                what: format!("the {of} {} failed one task after the other and is left alone for a while", tool.name),
                until: Some(WireTime(until)),
                act: Some(format!("ephor breaker reset {of} {} --namespace {}", tool.name, tool.namespace)),
                ..Waiting::default()
            });
        }
        let all = self.beside(task, key);
        let told = |one: &Beside| {
            let name = one.agent.registration.as_ref().map(|said| said.name.as_str()).unwrap_or_default();
            let why = one.obstacle.as_deref().unwrap_or("it could have it and has not asked for it");
            format!("{} ({name}): {why}", one.agent.id)
        };
        let Key { words, agent: only, .. } = Key::read(key);
        if let Some(only) = only.and_then(|only| only.parse().ok()) {
            return Some(self.kept_for(task, only, &all, told));
        }
        let able: Vec<&Beside> = all.iter().filter(|one| one.able).collect();
        if able.is_empty() {
            // Who has the words and lacks something else is worth naming.
            let near: Vec<String> = all
                .iter()
                .filter(|one| misfit(words, one.agent.id, &one.agent.able()).is_none())
                .take(NAMED_MAX)
                .map(told)
                .collect();
            let what = format!("no agent that is known may have it: {}", near.join("; "));
            let act = Some(who_could(key));
            return (!near.is_empty()).then(|| Waiting { reason: "NO_AGENT".into(), what, act, ..Waiting::default() });
        }
        let named: Vec<String> = able.iter().take(NAMED_MAX).map(|one| told(one)).collect();
        let more = able.len().saturating_sub(NAMED_MAX);
        let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
        let (first, busy) = (able[0], able[0].obstacle.is_some());
        Some(Waiting {
            reason: if busy { "AGENTS_BUSY".into() } else { "NO_AGENT".into() },
            what: format!("{} of {} agents are able to {words}: {}{rest}", able.len(), all.len(), named.join("; ")),
            // An agent of somebody else's that does not ask has to be looked after by whoever runs it.
            act: Some(match busy || !is_built_in(words) {
                true => first.act.clone().unwrap_or_else(|| format!("ephor agent show {}", first.agent.id)),
                false => who_could(key),
            }),
            ..Waiting::default()
        })
    }

    /// Why the only agent that may have it has not come, and what frees the work: that agent, or somebody else in its place.
    fn kept_for(&self, task: &Task, only: AgentId, all: &[Beside], told: impl Fn(&Beside) -> String) -> Waiting {
        let reassign = format!("ephor task reassign {}", task.id);
        let Some(one) = all.iter().find(|one| one.agent.id == only) else {
            let what = format!("it is kept for {only}, which nobody knows");
            return Waiting { reason: "NO_AGENT".into(), what, act: Some(reassign), ..Waiting::default() };
        };
        let act = match (one.able, &one.obstacle, &one.act) {
            // It never will, or nothing stands in its way: others may.
            (false, ..) | (true, None, _) => reassign,
            (true, Some(_), Some(act)) => act.clone(),
            (true, Some(_), None) => format!("ephor agent show {only}"),
        };
        let busy = one.able && one.obstacle.is_some();
        let reason = if busy { "AGENTS_BUSY" } else { "NO_AGENT" };
        let what = format!("it is kept for one agent alone: {}", told(one));
        Waiting { reason: reason.into(), what, act: Some(act), ..Waiting::default() }
    }

    /// Whether the agents a submission names are there to do it. One that never registered, or works for another namespace alone, would
    /// be waited for in vain. Costs nothing where no agent is named.
    pub(crate) fn agents_are_known(&self, submission: &Submission) -> Result<(), Refusal> {
        let facts = &submission.facts;
        let steps = facts.plan.iter().flat_map(|plan| &plan.steps);
        // A step that names nobody has the agent of its task.
        let named = steps.filter(|step| step.agent != facts.agent).filter_map(|step| Some((step.agent?, Some(&step.path))));
        let all = facts.agent.map(|agent| (agent, None)).into_iter().chain(named);
        let mut problems = Vec::new();
        for (agent, step) in all {
            let known = self.agent_of(agent).and_then(|agent| agent.registration.clone());
            let here = |said: &Registration| said.namespace.as_deref().is_none_or(|own| *own == *facts.namespace);
            if !known.as_ref().is_some_and(here) {
                let field = step.map_or_else(|| "agent".to_owned(), |path| format!("step {path}.agent"));
                problems.push(Problem::new(field, format!("no agent {agent} is known that works for {}", facts.namespace)));
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Refusal::Invalid(problems)),
        }
    }
}
