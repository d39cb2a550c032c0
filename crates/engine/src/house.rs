//! What a house goes by at this moment, for those who ask before the writer's queue: its numbers with the law in force, and the
//! constitution with its amendments. The writer puts here what is written; the streams say what is true. Numbers may be exchanged while
//! the engine runs: those who ask see them at once, and the writer takes them over with its next batch, so that each is decided by one.

use ephor_core::constitution::{Constitution, Law};
use ephor_core::policy::Policy;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Debug)]
pub(crate) struct House {
    policy: RwLock<Arc<Policy>>,
    constitution: RwLock<Arc<Constitution>>,
    /// How often the numbers were exchanged.
    exchanged: AtomicU64,
}

impl House {
    pub(crate) fn new(policy: Arc<Policy>) -> Self {
        Self { policy: RwLock::new(policy), constitution: RwLock::default(), exchanged: AtomicU64::new(0) }
    }

    /// The numbers to decide by, and the law that is in force.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The constitution as it is written.
    pub(crate) fn constitution(&self) -> Arc<Constitution> {
        self.constitution.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this is written; the numbers stay.
    pub(crate) fn put(&self, constitution: Arc<Constitution>, law: Option<Arc<Law>>) {
        *self.constitution.write().unwrap_or_else(PoisonError::into_inner) = constitution;
        let mut policy = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        *policy = under(&policy, law);
    }

    /// From now on these numbers count; the law stays.
    pub(crate) fn exchange(&self, numbers: &Policy) {
        let mut policy = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        *policy = under(numbers, policy.law.clone());
        self.exchanged.fetch_add(1, Ordering::Release);
    }

    /// How often the numbers were exchanged, so that whoever keeps them finds out whether there are others.
    pub(crate) fn exchanged(&self) -> u64 {
        self.exchanged.load(Ordering::Acquire)
    }
}

/// The same numbers under another law.
pub(crate) fn under(policy: &Policy, law: Option<Arc<Law>>) -> Arc<Policy> {
    Arc::new(Policy { law, ..policy.clone() })
}
