//! Why a task ended, in words for people.

use super::EndReason;
use crate::spec::ErrorClass;

impl EndReason {
    /// One sentence about the task, for who was given no other reason.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::StepFailed => "a step failed for good and no retry was left",
            Self::Deadline => "its deadline passed before it was done",
            Self::Timeout => "it took longer than it may from its first start to its end",
            Self::QueueTimeout => "no agent came for its work in time",
            Self::Requested => "somebody withdrew it",
            Self::Forced => "its agents did not answer the wish to cancel in time",
            Self::Rejected => "the council refused it",
            Self::DependencyFailed => "a task it depends on ended without success",
            Self::ParentEnded => "the task it is part of ended",
            Self::Replaced => "the next run of the recurring task took its place",
            Self::Settled => "the task it looked into goes on, or has ended",
            Self::Liquidated => "a decision on its escalation ended it",
            Self::Aborted => "the failure analyst ended it",
            Self::Overridden => "an override ended it",
            Self::ResultRejected => "the council did not accept its result",
            Self::Budget => "its budget did not suffice for what came next",
        }
    }

    /// What kind of trouble it is.
    pub fn class(self) -> ErrorClass {
        match self {
            Self::Deadline | Self::Timeout => ErrorClass::Timeout,
            Self::QueueTimeout => ErrorClass::MissingCapability,
            Self::DependencyFailed => ErrorClass::External,
            Self::Rejected | Self::ResultRejected | Self::Budget => ErrorClass::Refused,
            Self::Requested | Self::Forced | Self::ParentEnded | Self::Replaced | Self::Settled => ErrorClass::Cancelled,
            Self::StepFailed | Self::Liquidated | Self::Aborted | Self::Overridden => ErrorClass::Other,
        }
    }

    /// Whether it follows from time or from other tasks, so that no reason somebody gave before explains it.
    #[cfg(feature = "rules")]
    pub(crate) fn explains_itself(self) -> bool {
        match self {
            Self::Deadline
            | Self::Timeout
            | Self::QueueTimeout
            | Self::Forced
            | Self::DependencyFailed
            | Self::ParentEnded
            | Self::Replaced
            | Self::Budget
            | Self::Settled => true,
            Self::StepFailed
            | Self::Requested
            | Self::Rejected
            | Self::Liquidated
            | Self::Aborted
            | Self::Overridden
            | Self::ResultRejected => false,
        }
    }
}
