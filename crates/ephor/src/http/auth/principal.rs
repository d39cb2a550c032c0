//! Principals and permissions: plain data.

use crate::api::{ApiError, Kind};
use ephor_core::event::{ANONYMOUS, Actor, ActorKind};
use ephor_core::id::{AgentId, KeyId};
use ephor_core::key::Role;
use ephor_engine::Submitter;
use std::net::IpAddr;

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    /// Nothing: anybody may.
    Open,
    /// To look.
    Read,
    /// To submit tasks.
    Submit,
    /// To pause, resume, cancel, modify, guide and signal, and to look after agents.
    Steer,
    /// To do work as an agent.
    Work,
    /// To vote, approve, confirm, override, and decide on escalations.
    Decide,
    /// To make and revoke keys.
    Keys,
    /// To say who is told of what over HTTP.
    Hooks,
    /// To have the configuration read anew.
    Configure,
}

impl Permission {
    /// What it is there for, after "the permission".
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Open => "that everybody has",
            Self::Read => "to look",
            Self::Submit => "to submit tasks",
            Self::Steer => "to steer tasks and agents",
            Self::Work => "to work as an agent",
            Self::Decide => "to decide",
            Self::Keys => "to make and revoke keys",
            Self::Hooks => "to look after webhooks",
            Self::Configure => "to have the configuration read anew",
        }
    }
}

/// What comes with a role.
pub(crate) fn permissions(role: Role) -> &'static [Permission] {
    use Permission::*;
    match role {
        Role::Viewer => &[Read],
        Role::Operator => &[Read, Submit, Steer],
        Role::Approver => &[Read, Decide],
        Role::Agent => &[Read, Work],
        Role::Admin => &[Read, Submit, Steer, Work, Decide, Keys, Hooks, Configure],
    }
}

/// What somebody has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing.
    Nothing,
    /// The operator's token.
    Token,
    /// The cookie of a session in a browser.
    Session,
    /// A key.
    Key(KeyId),
}

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The name it goes by in events, and the scope of its idempotency keys.
    pub(crate) name: Box<str>,
    /// A person, a program, an agent.
    pub(crate) kind: ActorKind,
    /// What it is there for.
    pub(crate) roles: Vec<Role>,
    /// The only namespace it may see; all where it is missing.
    pub(crate) namespace: Option<Box<str>>,
    /// The only agent it may work as; any where it is missing.
    pub(crate) agent: Option<AgentId>,
    /// How it has shown who it is.
    pub(crate) shown: Shown,
    /// Where it asks from.
    pub(crate) peer: Option<IpAddr>,
}

impl Principal {
    /// Somebody on this machine who did not say who they are.
    pub(crate) fn local() -> Self {
        Self { name: ANONYMOUS.into(), roles: vec![Role::Operator, Role::Agent], ..Self::nobody() }
    }

    /// Somebody anywhere who did not say who they are.
    pub(crate) fn nobody() -> Self {
        Self {
            name: "nobody".into(),
            kind: ActorKind::Human,
            roles: Vec::new(),
            namespace: None,
            agent: None,
            shown: Shown::Nothing,
            peer: None,
        }
    }

    /// The operator, by token or in a browser.
    pub(crate) fn operator(shown: Shown) -> Self {
        Self { name: "operator".into(), roles: vec![Role::Admin], shown, ..Self::nobody() }
    }

    /// Whether it has shown who it is.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.shown != Shown::Nothing
    }

    /// Whether it may at all.
    pub(crate) fn may(&self, needed: Permission) -> bool {
        needed == Permission::Open || self.roles.iter().any(|role| permissions(*role).contains(&needed))
    }

    /// A no for those who may not, with what would help.
    pub(crate) fn require(&self, needed: Permission) -> Result<(), ApiError> {
        match (self.may(needed), self.shown) {
            (true, _) => Ok(()),
            (false, Shown::Nothing) => Err(ApiError::new(
                Kind::Forbidden,
                "UNAUTHENTICATED",
                format!("this needs the permission {}, and so a key", needed.told()),
            )
            .because("send Authorization: Bearer with a key or the operator's token")),
            (false, Shown::Token | Shown::Session | Shown::Key(_)) => Err(ApiError::new(
                Kind::Forbidden,
                "FORBIDDEN",
                format!("{} may not: it needs the permission {}", self.name, needed.told()),
            )),
        }
    }

    /// Whether it may see what belongs to this namespace.
    pub(crate) fn sees(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// Keeps a filter, or a request that says where it belongs, within what this principal may reach. To be called wherever a namespace
    /// comes in from outside: lists, feeds, submissions, registrations.
    pub(crate) fn narrow(&self, namespace: &mut Option<String>) -> Result<(), ApiError> {
        match (&self.namespace, namespace.as_deref()) {
            (None, _) => Ok(()),
            (Some(own), None) => {
                *namespace = Some(own.to_string());
                Ok(())
            }
            (Some(own), Some(said)) if **own == *said => Ok(()),
            (Some(own), Some(said)) => {
                Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("{} may not reach the namespace {said:?}", self.name))
                    .because(format!("its key is for {own:?}")))
            }
        }
    }

    /// Whether it may speak as this agent.
    pub(crate) fn require_agent(&self, agent: AgentId) -> Result<(), ApiError> {
        match self.agent {
            Some(own) if own != agent => {
                Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("this key may speak as {own} alone")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The agent it is and nothing more: of tasks it reaches only those this agent works on, has worked on, or is to do.
    pub(crate) fn agent_alone(&self) -> Option<AgentId> {
        self.agent.filter(|_| self.roles == [Role::Agent])
    }

    /// Who it is for the engine where it submits something.
    pub(crate) fn submitter(&self) -> Submitter {
        Submitter { actor: self.actor(), within: self.namespace.as_deref().map(Into::into) }
    }

    /// How it is named in events.
    pub(crate) fn actor(&self) -> Actor {
        match self.agent {
            Some(agent) => Actor::agent(agent),
            None => Actor { kind: self.kind, id: self.name.clone() },
        }
    }
}
