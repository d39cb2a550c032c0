//! The numbers a house decides by. Defaults are those of the source documents; a configuration may change each.

mod by_type;
mod ladder;

pub use by_type::TypePolicy;
pub use ladder::Rung;

use crate::breaker::BreakerPolicy;
use crate::budget::{Amount, Budget, OnBudget};
use crate::constitution::Law;
use crate::models::catalogue::Catalogue;
use crate::plan::{Problem, check_retry};
pub use crate::spec::OnAgentLost;
use crate::spec::{ErrorClass, ExecutionMode, RetryPolicy};
use crate::time::{TIME_MIN_MS, WireDuration};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// After how many failures of this class a step's attempts are spent where its policy does not name the class: a no stays a no, nonsense
/// stays nonsense, and what ran out of memory twice will do so again.
fn attempts_by_nature(class: ErrorClass) -> Option<u32> {
    match class {
        ErrorClass::Refused | ErrorClass::BadInput | ErrorClass::MissingCapability => Some(1),
        ErrorClass::OutOfMemory => Some(2),
        ErrorClass::Timeout
        | ErrorClass::NotFound
        | ErrorClass::BadOutput
        | ErrorClass::GateFailed
        | ErrorClass::AgentLost
        | ErrorClass::RateLimit
        | ErrorClass::External
        | ErrorClass::Cancelled
        | ErrorClass::Other => None,
    }
}

/// The longest time a policy may name, in milliseconds; the shortest is the same everywhere.
const TIME_MAX_MS: u64 = 365 * 86_400_000;
/// The most one task may ask for where a house says nothing (S1-126…128).
const RESOURCES_MAX: [(&str, u64); 3] = [("cpu_cores", 16), ("memory_mb", 65_536), ("storage_gb", 500)];
/// The most seats in the council that a house names, and the most a vote may count.
const JUDGES_MAX: usize = 100;
const WEIGHT_MAX: u32 = 100;
/// The most retries of a task.
pub(crate) const RETRIES_MAX: u32 = 1_000;

/// The least wait after the first refusal for the sake of a rate, in milliseconds, where the policy does not name the class: who asks
/// for patience is not asked again a second later.
const RATE_LIMIT_WAIT_MS: u64 = 10_000;

/// Limits and defaults, the same for every task of an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How long a lease lasts without a sign of life.
    pub lease: WireDuration,
    /// How steps of a task are confirmed that does not say (S1-122).
    pub default_mode: ExecutionMode,
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
    /// Who else is told of a question to people that stays open, and after how long; nobody where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Rung>,
    /// How long a question about a single action waits for its answer; then the answer is no.
    pub approval_wait: WireDuration,
    /// Below this confidence a plan waits for a person (S3-103).
    pub confidence_min: f64,
    /// How often a task is tried again where it does not say (S0-11).
    pub max_retries: u32,
    /// The wait between tries of a task.
    pub task_retry: RetryPolicy,
    /// Whether waiting tasks are watched at all.
    pub stall_watch: bool,
    /// How long the clock may sleep at most before it looks for what is due (S2-56). It looks sooner: at the very instant.
    pub check_interval: WireDuration,
    /// How long work may wait for an agent before it counts as stalled (S2-57).
    pub stall_after: WireDuration,
    /// What happens then (S2-58).
    pub stall_strategy: StallStrategy,
    /// What happens to the step of an agent that fell silent, where its task does not say.
    pub on_agent_lost: OnAgentLost,
    /// How long a step that is held up because its agent fell silent waits for that agent; then others get it. Where this is missing, it
    /// waits for a person's word.
    pub reassign_after: Option<WireDuration>,
    /// How many pieces of work an agent whose lease lapsed has to do well before it gets as much as others again; 0 for no probation.
    pub probation_successes: u32,
    /// How many pieces of work it may hold until then.
    pub probation_slots: u32,
    /// How long a second task about the same subject from the same source is refused (S4-41).
    pub duplicate_window: WireDuration,
    /// How often, in a line of tasks born from one another, tasks may be tried again before a person or the council has to look, however
    /// the failures are spread.
    pub healings_max: u32,
    /// How often of these one may go back to a checkpoint.
    pub rollbacks_max: u32,
    /// How often of these a refined plan may take the place of the present one.
    pub refined_plans_max: u32,
    /// How long a compensation waits for an agent; then a person is asked.
    pub compensation_wait: WireDuration,
    /// What is decided about an escalated task that nobody decides about; it waits where this is missing.
    pub on_escalation: Option<OnEscalation>,
    /// How long an effect may be done after it was granted.
    pub effect_ttl: WireDuration,
    /// How long the agent whose session a task is may be without work of it until any other may have it.
    pub session_wait: WireDuration,
    /// When agents, tools and models that fail are left alone, and for how long.
    pub breaker: BreakerPolicy,
    /// What tasks may use that do not say themselves, and what follows when a budget does not suffice.
    pub budget: BudgetPolicy,
    /// Whether the operator may decide alone where too few judges exist.
    pub solo: bool,
    /// Who sits in the council beside the agents that register with the capability `judge`, and what the word of each counts: by the name a
    /// person has (of the key), or by an agent's own `external_id` or id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub judges: BTreeMap<Box<str>, Seat>,
    /// The most of something (`memory_mb`, …) one task may ask for without a review (S1-126…128).
    pub resource_limits: BTreeMap<Box<str>, u64>,
    /// What binds tasks and plans; the document that is shipped where a house has none of its own. `None` in trials of documents alone.
    #[serde(skip)]
    pub law: Option<Arc<Law>>,
    /// Which models a house has and prefers; the advice that is shipped where it says nothing.
    #[serde(skip, default = "Catalogue::shipped")]
    pub models: Arc<Catalogue>,
    /// What is otherwise for some kinds of work, by task type.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_type: BTreeMap<Box<str>, TypePolicy>,
}

/// A seat in the council.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seat {
    /// How much the vote counts, from 1 to 100.
    pub weight: u32,
    /// Whether a REJECT alone decides.
    pub veto: bool,
    /// Whether the name is an agent's `external_id`; a person's name otherwise, which no agent takes by calling itself so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agent: bool,
}

impl Default for Seat {
    fn default() -> Self {
        Self { weight: 1, veto: false, agent: false }
    }
}

/// What tasks may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetPolicy {
    /// What tasks may use that do not say themselves; without limit where it is missing.
    pub cap: Option<Budget>,
    /// What is set aside before an attempt of a step that uses a model and does not say.
    pub reserve: Amount,
    /// What follows when a budget does not suffice.
    pub on_crossing: OnBudget,
}

/// What happens to a task that waited too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StallStrategy {
    /// It is told in the log only.
    #[default]
    LogOnly,
    /// It becomes STALLED, where no agent has begun; who comes for it still gets it.
    MarkStalled,
    /// What is kept for an agent, or claimed by one that has not begun, is offered to anybody.
    Reassign,
    /// A task is born that looks into it.
    Escalate,
}

/// What a house decides about escalated tasks when nobody else does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnEscalation {
    /// How long the council and people have.
    pub after: WireDuration,
    /// What is decided then. `MODIFY_SCOPE` takes words that a house does not have.
    pub decision: HouseDecision,
}

/// What a house may decide by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HouseDecision {
    /// It ends.
    Liquidate,
    /// It goes on with these resources; a second time it ends.
    AllocateResources(serde_json::Map<String, serde_json::Value>),
}

impl Default for Policy {
    fn default() -> Self {
        Self { law: Some(Law::shipped()), ..Self::without_law() }
    }
}

impl Policy {
    /// The numbers alone: what a document is tried with before it is anybody's law.
    pub(crate) fn without_law() -> Self {
        let minutes = |n: u64| WireDuration { ms: n * 60_000 };
        Self {
            lease: minutes(1),
            default_mode: ExecutionMode::Auto,
            attempt_timeout: minutes(120),
            gate_wait: minutes(30),
            analysis_wait: minutes(1),
            plan_wait: minutes(10),
            one_step_plan: false,
            cancel_wait: WireDuration { ms: 30_000 },
            review_wait: minutes(24 * 60),
            ladder: Vec::new(),
            approval_wait: minutes(24 * 60),
            confidence_min: 0.7,
            max_retries: 5,
            task_retry: RetryPolicy { max_attempts: 1_000, initial: WireDuration { ms: 5_000 }, ..RetryPolicy::default() },
            stall_watch: true,
            check_interval: minutes(5),
            stall_after: minutes(60),
            stall_strategy: StallStrategy::LogOnly,
            on_agent_lost: OnAgentLost::Reoffer,
            reassign_after: None,
            probation_successes: 1,
            probation_slots: 1,
            duplicate_window: minutes(24 * 60),
            healings_max: 20,
            rollbacks_max: 5,
            refined_plans_max: 5,
            compensation_wait: minutes(30),
            on_escalation: None,
            effect_ttl: minutes(5),
            session_wait: minutes(5),
            breaker: BreakerPolicy::default(),
            budget: BudgetPolicy::default(),
            solo: false,
            judges: BTreeMap::new(),
            resource_limits: RESOURCES_MAX.into_iter().map(|(name, most)| (name.into(), most)).collect(),
            law: None,
            models: Catalogue::shipped(),
            by_type: BTreeMap::new(),
        }
    }

    /// What makes no sense in it: each with its field and what is allowed.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, message: String| problems.push(Problem::new(field, message));
        for (field, time) in [
            ("lease", self.lease),
            ("attempt_timeout", self.attempt_timeout),
            ("gate_wait", self.gate_wait),
            ("analysis_wait", self.analysis_wait),
            ("plan_wait", self.plan_wait),
            ("cancel_wait", self.cancel_wait),
            ("review_wait", self.review_wait),
            ("approval_wait", self.approval_wait),
            ("check_interval", self.check_interval),
            ("stall_after", self.stall_after),
            ("compensation_wait", self.compensation_wait),
            ("effect_ttl", self.effect_ttl),
        ] {
            if !(TIME_MIN_MS..=TIME_MAX_MS).contains(&time.ms) {
                wrong(field, format!("is {time}; allowed are 500ms to 365d"));
            }
        }
        if let Some(time) = self.reassign_after.filter(|time| !(TIME_MIN_MS..=TIME_MAX_MS).contains(&time.ms)) {
            wrong("reassign_after", format!("is {time}; allowed are 500ms to 365d, or nothing"));
        }
        if !(0.0..=1.0).contains(&self.confidence_min) {
            wrong("confidence_min", format!("is {}; allowed are 0 to 1", self.confidence_min));
        }
        if self.max_retries > RETRIES_MAX {
            wrong("max_retries", format!("is {}; allowed are 0 to {RETRIES_MAX}", self.max_retries));
        }
        if self.probation_slots == 0 {
            wrong("probation_slots", "is 0; allowed are numbers from 1, or no probation by `probation_successes: 0`".into());
        }
        if self.judges.len() > JUDGES_MAX {
            wrong("judges", format!("are {}; allowed are {JUDGES_MAX}", self.judges.len()));
        }
        for (name, seat) in self.judges.iter().filter(|(_, seat)| !(1..=WEIGHT_MAX).contains(&seat.weight)) {
            wrong(&format!("judges.{name}.weight"), format!("is {}; allowed are 1 to {WEIGHT_MAX}", seat.weight));
        }
        if let Some(Err((field, why))) = self.budget.cap.as_ref().map(crate::task::check_budget) {
            wrong(&field.replacen("budget", "budget.cap", 1), why);
        }
        check_retry(&self.task_retry).into_iter().for_each(|why| wrong("task_retry", why));
        problems.extend(self.problems_by_type());
        problems.extend(self.problems_of_the_ladder());
        problems
    }
}

/// The wait, in milliseconds, before a step that failed in this way is tried again; none where its attempts are spent. `failures` counts
/// its failures by class, this one included.
pub fn retry_wait_ms(policy: &RetryPolicy, class: ErrorClass, failures: &[(ErrorClass, u32)], seed: u64) -> Option<u64> {
    let of = |class| failures.iter().find(|(of, _)| *of == class).map_or(0, |(_, n)| *n);
    let own = |class| policy.by_class.get(&class).and_then(|own| own.max_attempts);
    let (failed, most) = match own(class) {
        Some(most) => (of(class), most),
        // Classes with numbers of their own are counted by themselves.
        None => (failures.iter().filter(|(of, _)| own(*of).is_none()).map(|(_, n)| n).sum(), policy.max_attempts),
    };
    let by_nature = own(class).is_none() && attempts_by_nature(class).is_some_and(|most| of(class) >= most);
    if policy.never_on.contains(&class) || by_nature || failed >= most {
        return None;
    }
    Some(backoff_ms(&pace(policy, class), failed, seed))
}

/// A policy with the numbers it has for one class.
fn pace(policy: &RetryPolicy, class: ErrorClass) -> RetryPolicy {
    let own = policy.by_class.get(&class).cloned().unwrap_or_default();
    let patient = WireDuration { ms: policy.initial.ms.max(RATE_LIMIT_WAIT_MS) };
    RetryPolicy {
        initial: own.initial.unwrap_or(if class == ErrorClass::RateLimit { patient } else { policy.initial }),
        max: own.max.unwrap_or(policy.max),
        multiplier: own.multiplier.unwrap_or(policy.multiplier),
        jitter: own.jitter.unwrap_or(policy.jitter),
        max_attempts: policy.max_attempts,
        never_on: Vec::new(),
        by_class: Default::default(),
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

    fn wait(policy: serde_json::Value, class: ErrorClass, failures: &[(ErrorClass, u32)]) -> Option<u64> {
        let policy: RetryPolicy = serde_json::from_value(policy).unwrap();
        retry_wait_ms(&RetryPolicy { jitter: 0.0, ..policy }, class, failures, 7)
    }

    #[test]
    fn a_no_nonsense_and_a_missing_capability_are_not_repeated_and_memory_is_tried_once_more() {
        use ErrorClass::*;
        for class in [Refused, BadInput, MissingCapability] {
            assert_eq!(wait(serde_json::json!({}), class, &[(class, 1)]), None, "{class:?}");
        }
        let plain = |n| wait(serde_json::json!({}), OutOfMemory, &[(OutOfMemory, n)]);
        assert_eq!((plain(1), plain(2)), (Some(1_000), None));
        let named = serde_json::json!({"by_class": {"REFUSED": {"max_attempts": 2, "initial": "7s"}}});
        assert_eq!(wait(named, Refused, &[(Refused, 1)]), Some(7_000), "unless the policy names the class");
    }

    #[test]
    fn who_asks_for_patience_is_not_asked_again_a_second_later() {
        let limited = [(ErrorClass::RateLimit, 1)];
        assert_eq!(wait(serde_json::json!({}), ErrorClass::RateLimit, &limited), Some(10_000));
        let eager = serde_json::json!({"by_class": {"RATE_LIMIT": {"initial": "2s"}}});
        assert_eq!(wait(eager, ErrorClass::RateLimit, &limited), Some(2_000));
    }

    #[test]
    fn a_class_with_a_number_of_its_own_is_counted_by_itself() {
        use ErrorClass::*;
        let policy = serde_json::json!({"max_attempts": 2, "by_class": {"RATE_LIMIT": {"max_attempts": 4, "initial": "1s"}}});
        let after = |class, failures: &[_]| wait(policy.clone(), class, failures);
        assert_eq!(after(RateLimit, &[(RateLimit, 3)]), Some(4_000), "the fourth time it would be spent");
        assert_eq!(after(RateLimit, &[(RateLimit, 4)]), None);
        assert_eq!(after(Other, &[(RateLimit, 3), (Other, 1)]), Some(1_000), "patience costs nobody else an attempt");
        assert_eq!(after(Timeout, &[(RateLimit, 3), (Other, 1), (Timeout, 1)]), None);
    }
}
