//! What people are asked: the entries of the inbox, as the API, the command line and the dashboard show them. Wire types and nothing
//! more; `task::questions` fills them from a task.

use crate::id::TaskId;
use crate::review::Question;
use crate::spec::{Priority, Risk};
use crate::time::{WireDuration, WireTime};
use crate::view::ApprovalView;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing a task asks of people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Asked {
    /// The task that asks.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// Where it belongs.
    pub namespace: String,
    /// What kind of task it is.
    pub task_type: String,
    /// Its place among waiting tasks.
    pub priority: Priority,
    /// The computed risk.
    pub risk_level: Risk,
    /// The version of the task this was read from: sent as `If-Match`, an answer is taken only if nothing has happened since.
    pub version: u64,
    /// What is asked.
    pub reason: AskedFor,
    /// What the council is asked, where it is a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// The step it is about, by its path; missing where it is about the whole task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What would be done, where that is asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// With what, and what an answer is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalView>,
    /// The same as one sentence for people.
    pub what: String,
    /// Why a person is asked: rules and what they found, what went wrong, what was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// Since when.
    pub since: WireTime,
    /// Until when; missing where it waits without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<WireTime>,
    /// What happens when nobody answers.
    pub unanswered: String,
    /// What it takes to answer.
    pub may: Right,
    /// Who is asked by name: judges who have not voted, a reviewer; anybody who may where nobody is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub who: Vec<String>,
    /// Who else was told because it stays open (`policy.ladder`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<Raised>,
    /// What answers it.
    pub acts: Vec<Act>,
}

/// How far up the ladder a question is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Raised {
    /// How many rungs it has passed.
    pub rung: u32,
    /// Who was told, in order.
    pub told: Vec<String>,
    /// When the next are told; missing where nobody is left to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<WireTime>,
}

/// What is asked of people. The same words as the reasons a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AskedFor {
    /// A vote: on the start, the result, or a proposal about an escalation.
    Review,
    /// A decision about a task that nothing else helps.
    Escalated,
    /// Whether a plan that was read with little confidence may be carried out.
    Decomposition,
    /// Whether the result of a step is good.
    Approval,
    /// Whether a step may be done just as it stands.
    ActionApproval,
    /// What became of an effect on the outside that nobody knows of.
    HumanReview,
    /// Who goes on with the work of an agent that fell silent.
    AgentOffline,
    /// That what an agent reported in the way of its step is gone.
    External,
    /// That something has happened outside.
    Signal,
    /// What becomes of work that no agent came for in time.
    Stalled,
    /// Whether it may use more than its budget.
    Budget,
}

impl AskedFor {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Review => "REVIEW",
            Self::Escalated => "ESCALATED",
            Self::Decomposition => "DECOMPOSITION",
            Self::Approval => "APPROVAL",
            Self::ActionApproval => "ACTION_APPROVAL",
            Self::HumanReview => "HUMAN_REVIEW",
            Self::AgentOffline => "AGENT_OFFLINE",
            Self::External => "EXTERNAL",
            Self::Signal => "SIGNAL",
            Self::Stalled => "STALLED",
            Self::Budget => "BUDGET",
        }
    }
}

/// What it takes to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Right {
    /// The permission to decide: the operator's token, or a key of the role approver or admin.
    Decide,
    /// The permission to steer: on this machine everybody, elsewhere a key of the role operator or admin.
    Steer,
}

/// One way to answer, as a call and as a command line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Act {
    /// What it says, in a few words: `approve`.
    pub label: String,
    /// `POST` or `PUT`.
    pub method: String,
    /// The path of the call: `/api/v1/tasks/task_…/vote`.
    pub path: String,
    /// Its body, but for what `fill` names; missing where it needs none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
    /// The fields of the body that whoever answers has to fill in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fill: Vec<String>,
    /// The same as a command line; what has to be filled in stands in capitals or as `…`.
    pub command: String,
}

/// The wish for a link that answers one question about one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// Which step, by its path.
    pub step: String,
    /// In whose name it answers: a person, 1 to 128 bytes.
    #[serde(rename = "for")]
    pub who: String,
    /// How long it works at most, 1m to 7d; 24h where it is missing. It never works longer than the question is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<WireDuration>,
}

/// A link that answers one question about one action, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MadeLink {
    /// The path and what follows it, on this server.
    pub path: String,
    /// In whose name it answers.
    #[serde(rename = "for")]
    pub who: String,
    /// The step it is about.
    pub step: String,
    /// What exactly it is about.
    pub digest: String,
    /// Until when it works.
    pub expires_at: WireTime,
    /// The whole address, where whoever asked knows that of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Which questions are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InboxFilter {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// The questions of how many tasks at most, up to 500; 0 leaves it to the engine.
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_one_on_the_wire() {
        for reason in [
            AskedFor::Review,
            AskedFor::HumanReview,
            AskedFor::AgentOffline,
            AskedFor::Stalled,
            AskedFor::Signal,
            AskedFor::ActionApproval,
        ] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
    }
}
