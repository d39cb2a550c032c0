//! What a house goes by at this moment, for those who ask before the writer's queue: its numbers with the law in force, and the
//! constitution with its amendments. The writer puts here what is written; the streams say what is true.

use ephor_core::constitution::{Constitution, Law};
use ephor_core::policy::Policy;
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Debug)]
pub(crate) struct House {
    policy: RwLock<Arc<Policy>>,
    constitution: RwLock<Arc<Constitution>>,
}

impl House {
    pub(crate) fn new(policy: Arc<Policy>) -> Self {
        Self { policy: RwLock::new(policy), constitution: RwLock::default() }
    }

    /// The numbers to decide by, and the law that is in force.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The constitution as it is written.
    pub(crate) fn constitution(&self) -> Arc<Constitution> {
        self.constitution.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this stands.
    pub(crate) fn put(&self, constitution: Arc<Constitution>, policy: Arc<Policy>) {
        *self.constitution.write().unwrap_or_else(PoisonError::into_inner) = constitution;
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }
}

/// The same numbers under another law.
pub(crate) fn under(policy: &Policy, law: Option<Arc<Law>>) -> Arc<Policy> {
    Arc::new(Policy { law, ..policy.clone() })
}
