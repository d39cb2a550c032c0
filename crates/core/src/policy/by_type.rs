//! Strategies for one kind of work (S2-73): what a house does otherwise for the tasks of a type, where they do not say themselves.

use super::{OnAgentLost, Policy, RETRIES_MAX, StallStrategy, TIME_MAX_MS};
use crate::plan::{Plan, Problem, check_retry, is_word};
use crate::spec::{PlanSpec, RetryPolicy};
use crate::time::TIME_MIN_MS;
use crate::time::WireDuration;
use serde::{Deserialize, Serialize};

/// The most types a house may name.
const TYPES_MAX: usize = 1_000;

/// What is otherwise for the tasks of one type; what is missing is as the rest of the policy says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TypePolicy {
    /// How a task of this type is done that brings no plan and no action of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSpec>,
    /// When a failed attempt of a step is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// How often the task is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// How long its work may wait for an agent before it counts as stalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_after: Option<WireDuration>,
    /// What happens then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_strategy: Option<StallStrategy>,
    /// What happens to the step of an agent that fell silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_agent_lost: Option<OnAgentLost>,
}

impl Policy {
    /// What is otherwise for a type of task, if anything is.
    pub fn for_type(&self, task_type: &str) -> Option<&TypePolicy> {
        self.by_type.get(task_type)
    }

    /// What happens to work of a type that waited too long for an agent.
    pub fn stall_strategy_of(&self, task_type: &str) -> StallStrategy {
        self.for_type(task_type).and_then(|own| own.stall_strategy).unwrap_or(self.stall_strategy)
    }

    /// How a task of a type is done that does not say itself.
    pub fn plan_for(&self, task_type: &str) -> Option<&PlanSpec> {
        self.for_type(task_type).and_then(|own| own.plan.as_ref())
    }

    pub(super) fn problems_by_type(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |field: String, message: String| problems.push(Problem::new(field, message));
        if self.by_type.len() > TYPES_MAX {
            wrong("by_type".into(), format!("names {} types; allowed are {TYPES_MAX}", self.by_type.len()));
        }
        for (name, own) in &self.by_type {
            let field = |field: &str| format!("by_type.{name}.{field}");
            if !is_word(name) {
                wrong("by_type".into(), format!("{name:?} is no type; 1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
            }
            if let Some(n) = own.max_retries.filter(|n| *n > RETRIES_MAX) {
                wrong(field("max_retries"), format!("is {n}; allowed are 0 to {RETRIES_MAX}"));
            }
            if let Some(time) = own.stall_after.filter(|time| !(TIME_MIN_MS..=TIME_MAX_MS).contains(&time.ms)) {
                wrong(field("stall_after"), format!("is {time}; allowed are 500ms to 365d"));
            }
            if let Some(Err(found)) = own.plan.as_ref().map(Plan::check) {
                found.into_iter().for_each(|problem| wrong(field(&format!("plan, {}", problem.field)), problem.message));
            }
            own.retry_policy.iter().flat_map(check_retry).for_each(|why| wrong(field("retry_policy"), why));
        }
        problems
    }
}
