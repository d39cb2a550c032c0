//! What is a fact for a whole namespace and belongs to no task: submissions that were refused (no task is stored for them, but that
//! somebody tried is), and keys.

use crate::breaker::{BreakerOf, Opened};
use crate::id::KeyId;
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
        }
    }
}
