//! The life of an agent: registered, drained, resumed, revoked. How well it does is telemetry and no part of this.

use crate::breaker::{Breaker, Opened, Turn};
#[cfg(feature = "rules")]
use crate::command::Refusal;
use crate::id::AgentId;
#[cfg(feature = "rules")]
use crate::matching::{Able, CAPACITIES, is_model};
#[cfg(feature = "rules")]
use crate::plan::{Problem, is_word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
#[cfg(feature = "rules")]
use std::sync::Arc;

pub mod capability;

/// The most capabilities of one agent.
#[cfg(feature = "rules")]
const CAPABILITIES_MAX: usize = 1_000;
/// The most pieces of work one agent may hold, where it says how many.
#[cfg(feature = "rules")]
const SLOTS_MAX: u32 = 10_000;

/// The most addresses one agent can be watched at.
#[cfg(feature = "rules")]
const ENDPOINTS_MAX: usize = 20;
/// The longest of them, in bytes.
#[cfg(feature = "rules")]
const ADDRESS_MAX: usize = 2_048;

/// What has happened to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AgentEvent {
    /// It became known, or said anew what it can do.
    AgentRegistered(Box<Registered>),
    /// It gets no new work.
    AgentDrained,
    /// It gets work again.
    AgentResumed,
    /// It may do nothing any more.
    AgentRevoked,
    /// It failed one task after the other and is left alone.
    BreakerOpened(Opened),
    /// It is tried with one piece of work at a time.
    BreakerHalfOpened,
    /// It is trusted again, because of its work or because somebody said so.
    BreakerClosed,
}

impl AgentEvent {
    /// Its word on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AgentRegistered(_) => "AGENT_REGISTERED",
            Self::AgentDrained => "AGENT_DRAINED",
            Self::AgentResumed => "AGENT_RESUMED",
            Self::AgentRevoked => "AGENT_REVOKED",
            Self::BreakerOpened(_) => "BREAKER_OPENED",
            Self::BreakerHalfOpened => "BREAKER_HALF_OPENED",
            Self::BreakerClosed => "BREAKER_CLOSED",
        }
    }
}

/// That an agent became known, or said anew what it can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registered {
    /// What it says.
    #[serde(flatten)]
    pub said: Registration,
    /// Whether it was being drained and still is. In logs of earlier releases it is missing: there whoever registered got work again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub still_draining: bool,
}

/// What an agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// For people.
    pub name: String,
    /// What it is there for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it can do: at least one word, each by itself or as `{action, params}`.
    #[serde(deserialize_with = "capability::words")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<capability::Capability>))]
    pub capabilities: Vec<Box<str>>,
    /// The models it has; any where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Box<str>>,
    /// What its machine has, whole numbers by name: `cpu_cores`, `memory_mb`, `gpu_memory_mb`, `network_bandwidth_mbps`, `storage_gb`. Where
    /// it is given, steps that need more of something go to others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<Box<str>, u64>,
    /// How good or dear it is, a word of the house: `premium`. For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// How many pieces of work it holds at once at most; as many as it asks for where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Where people and programs can watch it: addresses that begin with `http://` or `https://`. Ephor shows them and asks none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub monitoring_endpoints: Vec<String>,
    /// Its own name for itself, unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The only namespace it works for; all where it is missing. An agent stays where it registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
    /// Whether it lives inside the engine's own process; its leases end with that process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_process: bool,
}

/// What is asked of an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentCommand {
    /// Become known.
    Register(Box<Registration>),
    /// Take no new work.
    Drain,
    /// Take work again.
    Resume,
    /// Stop for good.
    Revoke,
    /// Its breaker turns, because of its work.
    Breaker(Turn),
    /// It is trusted again, because somebody says so.
    ResetBreaker,
}

/// Where an agent is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AgentStatus {
    /// Gets work.
    #[default]
    Active,
    /// Finishes what it has.
    Draining,
    /// May do nothing any more.
    Revoked,
}

/// An agent: the fold of its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// How many events it has.
    pub version: u64,
    /// Where it is.
    pub status: AgentStatus,
    /// What it says of itself; `None` before it is registered. Capabilities are sorted.
    pub registration: Option<Registration>,
    /// Whether it is trusted.
    pub breaker: Breaker,
}

#[cfg(feature = "rules")]
impl Agent {
    /// An agent nobody has heard of.
    pub fn unknown(id: AgentId) -> Self {
        Self { id, version: 0, status: AgentStatus::Active, registration: None, breaker: Breaker::default() }
    }

    /// What it has, as work is compared with it.
    pub fn able(&self) -> Arc<Able> {
        let Some(said) = &self.registration else { return Arc::default() };
        Arc::new(Able {
            capabilities: said.capabilities.clone().into(),
            models: said.models.clone(),
            resources: said.resources.clone(),
        })
    }

    /// Decides and applies what is asked. Saying the same again changes nothing.
    pub fn handle(&mut self, command: AgentCommand) -> Result<Option<AgentEvent>, Refusal> {
        let event = self.decide(command)?;
        if let Some(event) = &event {
            self.evolve(event);
        }
        Ok(event)
    }

    fn decide(&self, command: AgentCommand) -> Result<Option<AgentEvent>, Refusal> {
        if let AgentCommand::Register(registration) = command {
            return self.register(*registration);
        }
        if self.registration.is_none() {
            return Err(Refusal::NotFound { what: "agent", id: self.id.to_string() });
        }
        let (event, to) = match command {
            AgentCommand::Breaker(Turn::Open(opened)) => return Ok(Some(AgentEvent::BreakerOpened(opened))),
            AgentCommand::Breaker(Turn::HalfOpen) => return Ok(Some(AgentEvent::BreakerHalfOpened)),
            AgentCommand::Breaker(Turn::Close) => return Ok(Some(AgentEvent::BreakerClosed)),
            AgentCommand::ResetBreaker => return Ok(self.breaker.opened().map(|_| AgentEvent::BreakerClosed)),
            AgentCommand::Drain => (AgentEvent::AgentDrained, AgentStatus::Draining),
            AgentCommand::Resume => (AgentEvent::AgentResumed, AgentStatus::Active),
            AgentCommand::Revoke | AgentCommand::Register(_) => (AgentEvent::AgentRevoked, AgentStatus::Revoked),
        };
        match self.status {
            now if now == to => Ok(None),
            AgentStatus::Revoked => Err(Refusal::Forbidden(format!("{} was revoked", self.id))),
            AgentStatus::Active | AgentStatus::Draining => Ok(Some(event)),
        }
    }

    fn register(&self, mut said: Registration) -> Result<Option<AgentEvent>, Refusal> {
        let wrong = |field: &str, message: String| Err(Refusal::Invalid(vec![Problem::new(field, message)]));
        if self.status == AgentStatus::Revoked {
            return Err(Refusal::Forbidden(format!("{} was revoked", self.id)));
        }
        if said.name.trim().is_empty() || said.name.len() > 256 {
            return wrong("name", "1 to 256 bytes".into());
        }
        if said.capabilities.is_empty() || said.capabilities.len() > CAPABILITIES_MAX {
            return wrong("capabilities", format!("1 to {CAPABILITIES_MAX} of them"));
        }
        if let Some(word) = said.capabilities.iter().find(|w| !is_word(w)) {
            return wrong("capabilities", format!("{word:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
        }
        if let Some(name) = said.namespace.as_deref().filter(|name| !is_word(name)) {
            return wrong("namespace", format!("{name:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
        }
        if self.registration.as_ref().is_some_and(|known| known.namespace != said.namespace) {
            return Err(Refusal::Forbidden("an agent stays in the namespace it registered for".into()));
        }
        if let Some(name) = said.models.iter().find(|name| !is_model(name)) {
            return wrong("models", format!("{name:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`, `/`"));
        }
        if said.models.len() > CAPABILITIES_MAX {
            return wrong("models", format!("at most {CAPABILITIES_MAX}"));
        }
        if let Some(name) = said.resources.keys().find(|name| !CAPACITIES.contains(&&***name)) {
            return wrong("resources", format!("{name:?}: allowed are {}", CAPACITIES.join(", ")));
        }
        if said.slots.is_some_and(|slots| !(1..=SLOTS_MAX).contains(&slots)) {
            return wrong("slots", format!("1 to {SLOTS_MAX}"));
        }
        if said.tier.as_deref().is_some_and(|tier| tier.trim().is_empty() || tier.len() > 64) {
            return wrong("tier", "1 to 64 bytes".into());
        }
        if said.monitoring_endpoints.len() > ENDPOINTS_MAX {
            return wrong("monitoring_endpoints", format!("at most {ENDPOINTS_MAX}"));
        }
        if let Some(address) = said.monitoring_endpoints.iter().find(|address| !is_address(address)) {
            let why = "an address that begins with http:// or https://, of at most 2048 bytes and without spaces";
            return wrong("monitoring_endpoints", format!("{address:?}: {why}"));
        }
        said.capabilities.sort();
        said.capabilities.dedup();
        said.models.sort();
        said.models.dedup();
        // Who is being drained stays so until somebody resumes it: a process that starts again registers again.
        let still_draining = self.status == AgentStatus::Draining;
        let registered = |said| AgentEvent::AgentRegistered(Box::new(Registered { said, still_draining }));
        Ok((self.registration.as_ref() != Some(&said)).then(|| registered(said)))
    }

    /// What has happened.
    pub fn evolve(&mut self, event: &AgentEvent) {
        self.version += 1;
        match event {
            AgentEvent::AgentRegistered(registered) => {
                self.registration = Some(registered.said.clone());
                self.status = match registered.still_draining {
                    true => AgentStatus::Draining,
                    false => AgentStatus::Active,
                };
            }
            AgentEvent::AgentDrained => self.status = AgentStatus::Draining,
            AgentEvent::AgentResumed => self.status = AgentStatus::Active,
            AgentEvent::AgentRevoked => self.status = AgentStatus::Revoked,
            AgentEvent::BreakerOpened(opened) => self.breaker.turn(Turn::Open(*opened)),
            AgentEvent::BreakerHalfOpened => self.breaker.turn(Turn::HalfOpen),
            AgentEvent::BreakerClosed => self.breaker.turn(Turn::Close),
        }
    }
}

/// Whether a text may be an address to be shown. Nobody follows it here.
#[cfg(feature = "rules")]
fn is_address(text: &str) -> bool {
    let behind = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic());
    text.len() <= ADDRESS_MAX && behind.is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered_agent() -> Agent {
        let mut agent = Agent::unknown(AgentId::new(1, [1; 10]));
        let said = Registration { name: "a".into(), capabilities: vec!["y".into(), "x".into()], ..Registration::default() };
        agent.handle(AgentCommand::Register(Box::new(said))).unwrap();
        agent
    }

    #[test]
    fn an_agent_needs_at_least_one_capability() {
        let said = Registration { name: "a".into(), ..Registration::default() };
        let refusal = Agent::unknown(AgentId::new(1, [1; 10])).handle(AgentCommand::Register(Box::new(said))).unwrap_err();
        assert!(refusal.to_string().contains("capabilities"));
    }

    #[test]
    fn saying_the_same_again_changes_nothing() {
        let mut agent = registered_agent();
        let said = agent.registration.clone().unwrap();
        assert_eq!(agent.handle(AgentCommand::Register(Box::new(said))), Ok(None));
    }

    #[test]
    fn who_is_drained_stays_drained_whatever_it_says_until_somebody_resumes_it() {
        let mut agent = registered_agent();
        agent.handle(AgentCommand::Drain).unwrap();
        let said = agent.registration.clone().unwrap();
        assert_eq!(agent.handle(AgentCommand::Register(Box::new(said.clone()))), Ok(None));
        let more = Registration { capabilities: vec!["z".into()], ..said };
        agent.handle(AgentCommand::Register(Box::new(more.clone()))).unwrap();
        assert_eq!((agent.status, agent.registration.as_ref()), (AgentStatus::Draining, Some(&more)));
        agent.handle(AgentCommand::Resume).unwrap();
        assert_eq!(agent.status, AgentStatus::Active);
    }

    #[test]
    fn in_a_log_of_an_earlier_release_who_registers_again_gets_work_again_as_it_did_then() {
        let replayed = |registered: &str| {
            let mut agent = registered_agent();
            agent.evolve(&AgentEvent::AgentDrained);
            agent.evolve(&serde_json::from_str(registered).unwrap());
            (agent.status, agent.registration.unwrap().capabilities)
        };
        let old = r#"{"AGENT_REGISTERED":{"name":"a","capabilities":["x","z"],"slots":2}}"#;
        assert_eq!(replayed(old), (AgentStatus::Active, vec!["x".into(), "z".into()]));
        let new = r#"{"AGENT_REGISTERED":{"name":"a","capabilities":["x","z"],"slots":2,"still_draining":true}}"#;
        assert_eq!(replayed(new).0, AgentStatus::Draining);
        // What is decided now says it, and reads back as it was written.
        let mut agent = registered_agent();
        agent.handle(AgentCommand::Drain).unwrap();
        let said = Registration { capabilities: vec!["z".into()], ..agent.registration.clone().unwrap() };
        let event = agent.handle(AgentCommand::Register(Box::new(said))).unwrap().unwrap();
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.contains(r#""still_draining":true"#), "{json}");
        assert_eq!(serde_json::from_str::<AgentEvent>(&json).unwrap(), event);
    }

    #[test]
    fn where_it_can_be_watched_is_an_address() {
        let mut agent = registered_agent();
        let said = |address: &str| {
            let known = agent.registration.clone().unwrap();
            Box::new(Registration { monitoring_endpoints: vec![address.into()], ..known })
        };
        let (good, bad) =
            (said("https://a.example/metrics?x=1"), ["ftp://a", "http://", "javascript:alert(1)", "http://a b"].map(said));
        for bad in bad {
            let refusal = agent.handle(AgentCommand::Register(bad)).unwrap_err();
            assert!(refusal.to_string().contains("monitoring_endpoints"), "{refusal}");
        }
        agent.handle(AgentCommand::Register(good)).unwrap();
        assert_eq!(agent.registration.unwrap().monitoring_endpoints, ["https://a.example/metrics?x=1"]);
    }

    #[test]
    fn an_agent_stays_in_its_namespace() {
        let mut agent = registered_agent();
        let said = agent.registration.clone().unwrap();
        let moved = Registration { namespace: Some("other".into()), ..said };
        assert!(matches!(agent.handle(AgentCommand::Register(Box::new(moved))), Err(Refusal::Forbidden(_))));
    }

    #[test]
    fn a_revoked_agent_does_not_come_back() {
        let mut agent = registered_agent();
        agent.handle(AgentCommand::Revoke).unwrap();
        assert!(agent.handle(AgentCommand::Resume).is_err());
        let said = agent.registration.clone().unwrap();
        assert!(agent.handle(AgentCommand::Register(Box::new(said))).is_err());
    }
}
