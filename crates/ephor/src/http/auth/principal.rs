//! Principals, roles and permissions: plain data.

use crate::api::{ApiError, Kind};
use ephor_core::event::{Actor, ActorKind};
use ephor_core::id::AgentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
}

/// What somebody is there for. Roles add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Looks.
    Viewer,
    /// Submits and steers.
    Operator,
    /// Decides.
    Approver,
    /// Does work.
    Agent,
    /// May everything.
    Admin,
}

impl Role {
    /// What comes with the role.
    pub(crate) fn permissions(self) -> &'static [Permission] {
        use Permission::*;
        match self {
            Self::Viewer => &[Read],
            Self::Operator => &[Read, Submit, Steer],
            Self::Approver => &[Read, Decide],
            Self::Agent => &[Read, Work],
            Self::Admin => &[Read, Submit, Steer, Work, Decide, Keys],
        }
    }
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
    /// Whether it has shown who it is.
    pub(crate) authenticated: bool,
}

impl Principal {
    /// Somebody on this machine who did not say who they are.
    pub(crate) fn local() -> Self {
        Self {
            name: "local".into(),
            kind: ActorKind::Human,
            roles: vec![Role::Operator, Role::Agent],
            namespace: None,
            agent: None,
            authenticated: false,
        }
    }

    /// Whoever holds the operator's token.
    pub(crate) fn operator() -> Self {
        Self { name: "operator".into(), roles: vec![Role::Admin], authenticated: true, ..Self::local() }
    }

    /// Whether it may at all.
    pub(crate) fn may(&self, needed: Permission) -> bool {
        needed == Permission::Open || self.roles.iter().any(|role| role.permissions().contains(&needed))
    }

    /// A no for those who may not, with what would help.
    pub(crate) fn require(&self, needed: Permission) -> Result<(), ApiError> {
        match (self.may(needed), self.authenticated) {
            (true, _) => Ok(()),
            (false, false) => {
                Err(ApiError::new(Kind::Forbidden, "UNAUTHENTICATED", format!("this needs {needed:?}, and so a key"))
                    .because("send Authorization: Bearer with a key or the operator's token"))
            }
            (false, true) => {
                Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("{} may not: it needs {needed:?}", self.name)))
            }
        }
    }

    /// Whether it may see what belongs to this namespace.
    pub(crate) fn sees(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// How it is named in events.
    pub(crate) fn actor(&self) -> Actor {
        Actor { kind: self.kind, id: self.name.clone() }
    }
}
