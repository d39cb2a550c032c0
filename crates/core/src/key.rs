//! Keys: what a program or a person shows to say who it is, and what comes with it. The key itself is nowhere; its SHA-256 is.

use crate::event::ANONYMOUS;
use crate::id::{AgentId, KeyId};
use crate::plan::{Problem, is_word};
use crate::time::{Time, WireDuration, WireTime};
use serde::{Deserialize, Serialize};

/// Names that mean somebody else in events.
const TAKEN_NAMES: [&str; 5] = ["operator", ANONYMOUS, "SETTLE", "TASK_SCHEDULER", "builtin"];

/// What somebody is there for. Roles add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
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
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Operator, Self::Approver, Self::Agent, Self::Admin];
}

/// A key that was made: a fact of its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Key {
    /// Its id; no secret.
    pub id: KeyId,
    /// The name its holder goes by.
    pub name: Box<str>,
    /// SHA-256 of the key, in hexadecimal.
    pub digest: Box<str>,
    /// What it is there for.
    pub roles: Vec<Role>,
    /// The only namespace it reaches; all where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
    /// The only agent it may speak as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// From when it is worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// The wish for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// The name its holder will go by in events: letters, digits, `_`, `-`, `.`.
    pub name: String,
    /// What it is there for: at least one.
    pub roles: Vec<Role>,
    /// The only namespace it reaches; all where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The only agent it may speak as, by id or by its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// How long it is worth something; for ever where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<WireDuration>,
}

impl NewKey {
    /// What is wrong with it, if anything is.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |field: &str, message: String| problems.push(Problem::new(field, message));
        if !is_word(&self.name) || self.name.contains(':') {
            problem("name", "1 to 128 letters, digits, `_`, `-`, `.`".into());
        } else if TAKEN_NAMES.contains(&self.name.as_str()) || self.name.starts_with("agent_") {
            problem("name", format!("{:?} means somebody else in events", self.name));
        }
        if self.roles.is_empty() {
            problem("roles", "at least one of viewer, operator, approver, agent, admin".into());
        }
        if let Some(name) = self.namespace.as_deref().filter(|name| !is_word(name)) {
            problem("namespace", format!("{name:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
        }
        if self.expires_in.is_some_and(|length| length.ms == 0) {
            problem("expires_in", "longer than nothing".into());
        }
        problems
    }
}

/// A key as outsiders see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyView {
    /// Its id: it is revoked by this.
    pub id: KeyId,
    /// The name its holder goes by.
    pub name: String,
    /// What it is there for.
    pub roles: Vec<Role>,
    /// The only namespace it reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The only agent it may speak as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// When it was made.
    pub created_at: WireTime,
    /// From when it is worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<WireTime>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<WireTime>,
}

/// A key that was just made, with the key itself: it is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MadeKey {
    /// The key. Keep it; it cannot be shown again.
    pub key: String,
    /// What it is.
    #[serde(flatten)]
    pub view: KeyView,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_means_somebody_else_is_refused() {
        let named =
            |name: &str| NewKey { name: name.into(), roles: vec![Role::Viewer], namespace: None, agent: None, expires_in: None };
        assert!(named("ci").problems().is_empty());
        for name in ["operator", "local", "agent_01", "", "a b", "a/b", "a:b"] {
            assert_eq!(named(name).problems().len(), 1, "{name}");
        }
    }
}
