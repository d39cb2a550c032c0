//! The words for where a task and a step are, and the map of legal moves between a task's.
//!
//! A task's status is derived from its facts (see `task`). The map here is the second witness: whatever the derivation
//! says must also be a legal move, or the task is corrupt.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a task is (DESIGN §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Accepted and valid; not yet released (due time, dependency).
    Pending,
    /// A blocking council review, or a person's approval to start, is open.
    Deliberating,
    /// Released; work may be claimed.
    Scheduled,
    /// Claimed under a lease, not started.
    Assigned,
    /// Started; something runs or can be claimed.
    InProgress,
    /// Steps done; gates, result validation, final review.
    Review,
    /// Nothing can move without something outside.
    Blocked,
    /// A hold beside the rest, so that resume forgets nothing.
    Paused,
    /// An attempt of the task failed, budget left.
    Retrying,
    /// The council or a named person owes a decision.
    Escalated,
    /// Sat in PENDING or SCHEDULED beyond its limit.
    Stalled,
    /// Done.
    Completed,
    /// Ended without success.
    Failed,
    /// Withdrawn by request, or refused by the council.
    Cancelled,
    /// Ended by authority: liquidated, aborted.
    Stopped,
}

use Status::*;

impl Status {
    /// Every status, in the order of DESIGN §3.
    pub const ALL: [Self; 15] = [
        Pending,
        Deliberating,
        Scheduled,
        Assigned,
        InProgress,
        Review,
        Blocked,
        Paused,
        Retrying,
        Escalated,
        Stalled,
        Completed,
        Failed,
        Cancelled,
        Stopped,
    ];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Pending => "PENDING",
            Deliberating => "DELIBERATING",
            Scheduled => "SCHEDULED",
            Assigned => "ASSIGNED",
            InProgress => "IN_PROGRESS",
            Review => "REVIEW",
            Blocked => "BLOCKED",
            Paused => "PAUSED",
            Retrying => "RETRYING",
            Escalated => "ESCALATED",
            Stalled => "STALLED",
            Completed => "COMPLETED",
            Failed => "FAILED",
            Cancelled => "CANCELLED",
            Stopped => "STOPPED",
        }
    }

    /// Reads a status in any case, with the words of the source documents (REQUIREMENTS, "Words of each seed").
    pub fn read(text: &str) -> Option<Self> {
        let word = text.trim().to_ascii_uppercase().replace([' ', '-'], "_");
        if let Some(status) = Self::ALL.into_iter().find(|s| s.word() == word) {
            return Some(status);
        }
        Some(match word.as_str() {
            "CREATED" | "ACCEPTED" | "TODO" | "NOT_STARTED" | "REOPENED" | "OPEN" | "READY" => Pending,
            "QUEUED" | "APPROVED" => Scheduled,
            "CLAIMED" => Assigned,
            "RUNNING" | "EXECUTING" | "WORKING" | "ACTIVE" => InProgress,
            "REVIEWING" => Review,
            "WAITING" | "AWAITING_APPROVAL" => Blocked,
            "REFINING" => Retrying,
            "DONE" | "CLOSED" | "COMPLETE" => Completed,
            "ERROR" => Failed,
            "CANCELED" | "OBSOLETE" | "ARCHIVED" | "REJECTED" | "SKIPPED" => Cancelled,
            _ => return None,
        })
    }

    /// Whether the task has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Completed | Failed | Cancelled | Stopped)
    }

    /// What may follow this status. Staying is always legal and is no move. The moves are those of REQUIREMENTS and DESIGN §3; where a
    /// real path needs one more, the reason stands beside it.
    pub fn successors(self) -> &'static [Self] {
        match self {
            Pending => &[Deliberating, Scheduled, Blocked, Paused, Escalated, Stalled, Failed, Cancelled, Stopped],
            Deliberating => &[
                Pending, Scheduled, Assigned, InProgress, Review, Blocked, Paused, Retrying, Escalated, Failed, Cancelled,
                Stopped,
            ],
            // To RETRYING when a step found no agent before the task had begun.
            Scheduled => &[
                Pending,
                Deliberating,
                Assigned,
                InProgress,
                Review,
                Blocked,
                Paused,
                Retrying,
                Escalated,
                Stalled,
                Completed,
                Failed,
                Cancelled,
                Stopped,
            ],
            // To DELIBERATING when it is modified, to REVIEW when its agent reports a result without a start.
            Assigned => {
                &[Deliberating, Scheduled, InProgress, Review, Blocked, Paused, Retrying, Escalated, Failed, Cancelled, Stopped]
            }
            InProgress => &[
                Deliberating,
                Scheduled,
                Assigned,
                Review,
                Blocked,
                Paused,
                Retrying,
                Escalated,
                Completed,
                Failed,
                Cancelled,
                Stopped,
            ],
            // To DELIBERATING when it is modified.
            Review => &[
                Deliberating,
                Scheduled,
                InProgress,
                Blocked,
                Paused,
                Retrying,
                Escalated,
                Completed,
                Failed,
                Cancelled,
                Stopped,
            ],
            // To ASSIGNED when one step is held up before the task has begun and another is claimed.
            Blocked => &[
                Pending,
                Deliberating,
                Scheduled,
                Assigned,
                InProgress,
                Review,
                Paused,
                Retrying,
                Escalated,
                Failed,
                Cancelled,
                Stopped,
            ],
            Paused => &[
                Pending,
                Deliberating,
                Scheduled,
                Assigned,
                InProgress,
                Review,
                Blocked,
                Retrying,
                Escalated,
                Stalled,
                Completed,
                Failed,
                Cancelled,
                Stopped,
            ],
            // To REVIEW when the way on is to do without the step that failed.
            Retrying => &[Deliberating, Scheduled, InProgress, Review, Blocked, Paused, Escalated, Failed, Cancelled, Stopped],
            // A decision leads back to wherever the facts beneath it are.
            Escalated => &[
                Pending,
                Deliberating,
                Scheduled,
                Assigned,
                InProgress,
                Review,
                Blocked,
                Paused,
                Retrying,
                Completed,
                Failed,
                Cancelled,
                Stopped,
            ],
            // To DELIBERATING when it is modified, to BLOCKED when it gets a plan that a person has to accept.
            Stalled => &[Pending, Deliberating, Scheduled, Blocked, Paused, Escalated, Failed, Cancelled, Stopped],
            Completed | Failed | Cancelled | Stopped => &[],
        }
    }

    /// Whether `to` may follow.
    pub fn may_become(self, to: Self) -> bool {
        self == to || self.successors().contains(&to)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepStatus {
    /// Waits for other steps.
    Pending,
    /// May be claimed, or, for a group, is open.
    Ready,
    /// Claimed, not started.
    Assigned,
    /// An attempt runs; a wait waits.
    Running,
    /// Its result is being judged by gates.
    Checking,
    /// Its agent reported something outside that stands in the way, or a person owes a word.
    Blocked,
    /// An attempt failed; the next one starts at `retry_at`.
    Retrying,
    /// Done.
    Completed,
    /// Its attempts are spent.
    Failed,
    /// Its condition was false, or what it needed was skipped or had failed and it was optional.
    Skipped,
    /// The task ended before it did.
    Cancelled,
    /// Undone; it is done again when the task is tried again.
    RolledBack,
}

impl StepStatus {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Ready => "READY",
            Self::Assigned => "ASSIGNED",
            Self::Running => "RUNNING",
            Self::Checking => "CHECKING",
            Self::Blocked => "BLOCKED",
            Self::Retrying => "RETRYING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Cancelled => "CANCELLED",
            Self::RolledBack => "ROLLED_BACK",
        }
    }

    /// Whether the step has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Skipped | Self::Cancelled)
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a blocked task cannot move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BlockReason {
    /// A person's approval is owed.
    Approval,
    /// Another task has to finish first.
    Dependency,
    /// The agent that held the work fell silent and the work may not be offered to another.
    AgentOffline,
    /// A person has to look at a result.
    HumanReview,
    /// The plan was read with too little confidence.
    Decomposition,
    /// A circuit breaker is open.
    CircuitOpen,
    /// The budget is used up.
    Budget,
    /// An agent reported something outside that stands in the way.
    External,
}

impl BlockReason {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approval => "APPROVAL",
            Self::Dependency => "DEPENDENCY",
            Self::AgentOffline => "AGENT_OFFLINE",
            Self::HumanReview => "HUMAN_REVIEW",
            Self::Decomposition => "DECOMPOSITION",
            Self::CircuitOpen => "CIRCUIT_OPEN",
            Self::Budget => "BUDGET",
            Self::External => "EXTERNAL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_no_successor_and_everything_else_can_end() {
        for status in Status::ALL {
            assert_eq!(status.is_final(), status.successors().is_empty(), "{status}");
            if !status.is_final() {
                for end in [Failed, Cancelled, Stopped] {
                    assert!(status.may_become(end), "{status} cannot become {end}");
                }
            }
        }
    }

    #[test]
    fn the_words_of_the_sources_are_read() {
        for (word, status) in [
            ("in_progress", InProgress),
            ("Not Started", Pending),
            ("RUNNING", InProgress),
            ("done", Completed),
            ("claimed", Assigned),
            ("QUEUED", Scheduled),
        ] {
            assert_eq!(Status::read(word), Some(status), "{word}");
        }
        assert_eq!(Status::read("in_progress_captain_masterpiece"), None);
    }
}
