//! What an agent that cannot look back does about an effect of which nobody knows whether it happened.

use ephor_core::work::Outcome;
use ephor_sdk::agent::Job;

/// The answer to work that comes with an effect to be looked for, from an agent that can only act again: a person has to
/// look. `None` where there is nothing to look for.
pub(crate) fn cannot_look(job: Job<'_>) -> Option<Outcome> {
    let probe = job.item().probe.as_ref()?;
    let message = format!(
        "{} may already have happened ({}, idempotency key {}) and cannot be looked for from here; say whether it did",
        job.item().action,
        probe.effect_id,
        probe.idempotency_key
    );
    Some(Outcome::Blocked { message })
}
