//! The numbers a house decides by. Defaults are those of the source documents; a configuration may change each.

pub use crate::spec::OnAgentLost;
use crate::spec::RetryPolicy;
use crate::time::WireDuration;
use serde::{Deserialize, Serialize};

/// Limits and defaults, the same for every task of an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How long a lease lasts without a sign of life.
    pub lease: WireDuration,
    /// How long an attempt may take where its step does not say (S1-124).
    pub attempt_timeout: WireDuration,
    /// How long a gate waits for its judge; then it has failed (S1-125).
    pub gate_wait: WireDuration,
    /// How long the failure analyst may take; then the retry policy decides.
    pub analysis_wait: WireDuration,
    /// How long an agent able to `plan` may take.
    pub plan_wait: WireDuration,
    /// Whether a task whose plan nobody made in time becomes one step; else it escalates.
    pub one_step_plan: bool,
    /// How long agents may take to end what was cancelled.
    pub cancel_wait: WireDuration,
    /// How long a review waits for votes; then it is denied or escalates, never approved.
    pub review_wait: WireDuration,
    /// Below this confidence a plan waits for a person (S3-103).
    pub confidence_min: f64,
    /// How often a task is tried again where it does not say (S0-11).
    pub max_retries: u32,
    /// The wait between tries of a task.
    pub task_retry: RetryPolicy,
    /// How long a task may wait for its first agent before it is stalled (S2-57).
    pub stall_after: WireDuration,
    /// What happens then (S2-58).
    pub stall_strategy: StallStrategy,
    /// What happens to the step of an agent that fell silent, where its task does not say.
    pub on_agent_lost: OnAgentLost,
    /// How long a second task about the same subject from the same source is refused (S4-41).
    pub duplicate_window: WireDuration,
    /// How long an effect may be done after it was granted.
    pub effect_ttl: WireDuration,
    /// Whether the operator may decide alone where too few judges exist.
    pub solo: bool,
}

/// What happens to a task that waited too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StallStrategy {
    /// It is told in the log only.
    #[default]
    LogOnly,
    /// It becomes STALLED.
    MarkStalled,
}

impl Default for Policy {
    fn default() -> Self {
        let minutes = |n: u64| WireDuration { ms: n * 60_000 };
        Self {
            lease: minutes(1),
            attempt_timeout: minutes(120),
            gate_wait: minutes(30),
            analysis_wait: minutes(1),
            plan_wait: minutes(10),
            one_step_plan: false,
            cancel_wait: WireDuration { ms: 30_000 },
            review_wait: minutes(24 * 60),
            confidence_min: 0.7,
            max_retries: 5,
            task_retry: RetryPolicy { max_attempts: 1_000, initial: WireDuration { ms: 5_000 }, ..RetryPolicy::default() },
            stall_after: minutes(60),
            stall_strategy: StallStrategy::LogOnly,
            on_agent_lost: OnAgentLost::Reoffer,
            duplicate_window: minutes(24 * 60),
            effect_ttl: minutes(5),
            solo: false,
        }
    }
}

/// The wait before the attempt after `failures` failures, with chance taken from `seed`, so that deciding again decides the same.
pub fn backoff_ms(policy: &RetryPolicy, failures: u32, seed: u64) -> u64 {
    let grown = policy.initial.ms as f64 * policy.multiplier.powi(failures.saturating_sub(1).min(64) as i32);
    let wait = grown.min(policy.max.ms as f64);
    // splitmix64: spreads consecutive seeds evenly.
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let chance = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
    (wait * (1.0 + policy.jitter * (2.0 * chance - 1.0))).round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_chance_stays_within_its_part() {
        let policy = RetryPolicy { jitter: 0.1, ..RetryPolicy::default() };
        for (failures, wait) in [(1, 1_000.0), (2, 2_000.0), (4, 8_000.0), (30, 300_000.0)] {
            for seed in 0..100 {
                let ms = backoff_ms(&policy, failures, seed) as f64;
                assert!((wait * 0.9..=wait * 1.1).contains(&ms), "{failures} {seed} {ms}");
            }
        }
        let calm = RetryPolicy { jitter: 0.0, ..policy };
        assert_eq!(backoff_ms(&calm, 3, 7), 4_000);
    }
}
