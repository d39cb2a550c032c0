//! What is a fact for a whole namespace and belongs to no task: submissions that were refused (no task is stored for them, but that
//! somebody tried is), keys, holds and limits.

use crate::breaker::{BreakerOf, Opened};
use crate::flow::{Hold, Limit, Release};
use crate::id::{HoldId, KeyId};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// Where tasks belong that do not say (DESIGN §2).
pub const DEFAULT_NAMESPACE: &str = "default";

/// What has happened in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NamespaceEvent {
    /// A request was refused by validation.
    SubmissionRefused {
        /// Which fields were wrong. What stood in them is not kept.
        fields: Vec<Box<str>>,
        /// How many more were refused shortly before without an event of their own.
        #[serde(default, skip_serializing_if = "is_zero")]
        unrecorded: u64,
    },
    /// A key was made.
    KeyCreated(Box<Key>),
    /// A key is worth nothing any more.
    KeyRevoked {
        /// Which one.
        id: KeyId,
    },
    /// Work is kept back.
    HoldPlaced(Box<Hold>),
    /// Some of it goes on although the hold stands.
    HoldReleased(Box<Release>),
    /// It is kept back no more.
    HoldLifted {
        /// Which hold.
        id: HoldId,
    },
    /// A limit was made, or changed.
    LimitSet(Box<Limit>),
    /// A limit is gone.
    LimitRemoved {
        /// The namespace it was about; all where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<Box<str>>,
        /// Its name.
        name: Box<str>,
    },
    /// A tool or model failed one task after the other and is left alone here.
    BreakerOpened {
        /// A tool or a model.
        of: BreakerOf,
        /// Which one.
        name: Box<str>,
        /// Until when, and why.
        #[serde(flatten)]
        opened: Opened,
    },
    /// It is tried with one piece of work at a time.
    BreakerHalfOpened {
        /// A tool or a model.
        of: BreakerOf,
        /// Which one.
        name: Box<str>,
    },
    /// It is trusted again, because of how it did or because somebody said so.
    BreakerClosed {
        /// A tool or a model.
        of: BreakerOf,
        /// Which one.
        name: Box<str>,
    },
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl NamespaceEvent {
    /// Its word on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SubmissionRefused { .. } => "SUBMISSION_REFUSED",
            Self::KeyCreated(_) => "KEY_CREATED",
            Self::KeyRevoked { .. } => "KEY_REVOKED",
            Self::BreakerOpened { .. } => "BREAKER_OPENED",
            Self::BreakerHalfOpened { .. } => "BREAKER_HALF_OPENED",
            Self::BreakerClosed { .. } => "BREAKER_CLOSED",
            Self::HoldPlaced(_) => "HOLD_PLACED",
            Self::HoldReleased(_) => "HOLD_RELEASED",
            Self::HoldLifted { .. } => "HOLD_LIFTED",
            Self::LimitSet(_) => "LIMIT_SET",
            Self::LimitRemoved { .. } => "LIMIT_REMOVED",
        }
    }
}
