//! What an agent that cannot look back does about effects of which nobody knows whether they happened.

use ephor_core::work::Outcome;
use ephor_sdk::agent::Job;

/// The answer to work that comes with effects to be looked for, from an agent that can only act again: a person has to
/// look. `None` where there is nothing to look for.
pub(crate) fn cannot_look(job: Job<'_>) -> Option<Outcome> {
    let probes = &job.item().probes;
    let told = |probe: &ephor_core::work::EffectProbe| format!("{}, idempotency key {}", probe.effect_id, probe.idempotency_key);
    let told: Vec<String> = probes.iter().map(told).collect();
    let message = format!(
        "{} may already have happened ({}) and cannot be looked for from here; say whether it did",
        job.item().action,
        told.join("; ")
    );
    (!told.is_empty()).then_some(Outcome::Blocked { message })
}
