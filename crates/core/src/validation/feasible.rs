//! Whether anybody could do it here, and what it takes.

use super::{FEASIBILITY, Found, RESOURCES};
use crate::event::CheckResult;
use crate::matching::is_built_in;
use crate::plan::{Does, Plan, Step};
use crate::spec::Request;
use crate::time::WireDuration;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the house a request comes to: its agents, their models and machines, and what one task may use.
pub trait Surroundings {
    /// Whether some agent that may work in this namespace can do this.
    fn has_agent(&self, capability: &str, namespace: &str) -> Option<bool>;
    /// Whether some agent has this model; agents that name none have any.
    fn has_model(&self, model: &str) -> Option<bool>;
    /// The most of this (`memory_mb`, …) any one agent has; none where it is not known, or some agent takes work of any size.
    fn largest(&self, name: &str) -> Option<u64>;
    /// The most of this one task may use by the configuration of the house.
    fn allowed(&self, name: &str) -> Option<u64>;
}

/// Nothing is known, so nothing is found impossible.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unknown;

impl Surroundings for Unknown {
    fn has_agent(&self, _: &str, _: &str) -> Option<bool> {
        None
    }
    fn has_model(&self, _: &str) -> Option<bool> {
        None
    }
    fn largest(&self, _: &str) -> Option<u64> {
        None
    }
    fn allowed(&self, _: &str) -> Option<u64> {
        None
    }
}

pub(super) fn check(request: &Request, plan: &Plan, house: &dyn Surroundings, found: &mut Found) {
    let namespace = request.namespace.as_deref().unwrap_or(crate::namespace::DEFAULT_NAMESPACE);
    let (mut missing, mut models) = (BTreeSet::new(), BTreeSet::new());
    let mut largest: BTreeMap<&str, (u64, &Step)> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.does() == Does::Work) {
        // Work for one agent is its own affair: that this one exists is checked elsewhere.
        if step.agent.is_none() && request.agent.is_none() {
            let own = step.capabilities.iter().map(|word| &**word);
            let action = step.capabilities.is_empty().then_some(&*step.action);
            for word in own.chain(action).filter(|word| !is_built_in(word)) {
                if house.has_agent(word, namespace) == Some(false) && missing.insert(word) {
                    found.note(FEASIBILITY, CheckResult::Warning, || {
                        format!("no agent able to {word} is registered; one may come later")
                    });
                }
            }
        }
        if let Some(model) = step.model.as_deref()
            && house.has_model(model) == Some(false)
            && models.insert(model)
        {
            found.note(FEASIBILITY, CheckResult::Warning, || format!("no agent has the model {model}; one may come later"));
        }
        for (name, needed) in &step.demands {
            let most = largest.entry(name).or_insert((*needed, step));
            if most.0 < *needed {
                *most = (*needed, step);
            }
        }
    }
    for (name, (needed, step)) in &largest {
        if let Some(has) = house.largest(name).filter(|has| has < needed) {
            found.note(FEASIBILITY, CheckResult::Warning, || {
                format!("step {} needs {needed} {name}; no agent has more than {has}", step.path)
            });
        }
        if let Some(allowed) = house.allowed(name).filter(|allowed| allowed < needed) {
            found.note(RESOURCES, CheckResult::RequiresReview, || {
                format!("step {} needs {needed} {name}; one task may use {allowed} here; {}", step.path, estimate(plan))
            });
        }
    }
    for (name, limit) in &request.resource_limits {
        if let Some((allowed, asked)) = house.allowed(name).zip(limit.as_u64()).filter(|(allowed, asked)| allowed < asked) {
            found.note(RESOURCES, CheckResult::RequiresReview, || {
                format!("resource_limits.{name} is {asked}; one task may use {allowed} here; {}", estimate(plan))
            });
        }
    }
}

/// What it takes: how many steps, how many of them side by side, how long where everybody says so, and how much of what.
pub(super) fn estimate(plan: &Plan) -> String {
    let outline = plan.outline();
    let leaves = outline.order.len();
    let widest = outline.parallel_groups.iter().map(Vec::len).max().unwrap_or(0);
    let mut parts =
        vec![if leaves == 1 { "1 step".to_owned() } else { format!("{leaves} steps, at most {widest} side by side") }];
    match outline.estimated_ms {
        Some(ms) if ms > 0 => parts.push(format!("takes {}", WireDuration { ms })),
        Some(_) | None => parts.push("how long it takes is not known".to_owned()),
    }
    let mut largest: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, needed) in plan.steps.iter().flat_map(|step| &step.demands) {
        let most = largest.entry(name).or_default();
        *most = (*needed).max(*most);
    }
    parts.extend(largest.iter().map(|(name, needed)| format!("{name} {needed}")));
    let models: BTreeSet<&str> = plan.steps.iter().filter_map(|step| step.model.as_deref()).collect();
    parts.extend(models.iter().map(|model| format!("model {model}")));
    parts.join("; ")
}
