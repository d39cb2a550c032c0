//! Whether anybody could do it here, and what it takes.

use super::{FEASIBILITY, Found, RESOURCES};
use crate::event::{CheckResult, Finding};
use crate::matching::{Key, is_built_in};
use crate::plan::{Does, Plan, Step};
use crate::spec::Request;
use crate::time::WireDuration;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Who is there to do it.
pub trait Surroundings {
    /// What every agent that may work in this namespace lacks for work under this key (`matching`). Nothing where one could take it, or
    /// where it is not known who is there.
    fn lacking(&self, namespace: &str, key: &str) -> Option<Lack>;
}

/// What is missing, from what is far off to what is near.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Nobody can do this.
    Able(String),
    /// Nobody can do all of it.
    Together,
    /// Nobody who can do it has this model.
    Model(String),
    /// Nobody who could do it has as much of something.
    Resource {
        /// Of what.
        name: String,
        /// How much is needed.
        needed: u64,
        /// How much the largest of them has.
        has: u64,
    },
}

/// Nothing is known, so nothing is found impossible.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unknown;

impl Surroundings for Unknown {
    fn lacking(&self, _: &str, _: &str) -> Option<Lack> {
        None
    }
}

/// Whether somebody is there for each step, and whether the house allows what the request asks for.
pub(super) fn check(
    request: &Request,
    plan: Option<&Plan>,
    limits: &BTreeMap<Box<str>, u64>,
    house: &dyn Surroundings,
    found: &mut Found,
) {
    let namespace = request.namespace.as_deref().unwrap_or(crate::namespace::DEFAULT_NAMESPACE);
    let Some(plan) = plan else {
        if house.lacking(namespace, PLANNING).is_some() {
            found.note(FEASIBILITY, CheckResult::Warning, || nobody("the plan", PLANNING, &Lack::Able(PLANNING.into())));
        }
        return;
    };
    let mut asked = BTreeSet::new();
    let mut largest: BTreeMap<&str, (u64, &Step)> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.does() == Does::Work) {
        // Work for one agent is its own affair: that this one exists is checked elsewhere. The built-in agents come with the house.
        if step.agent.is_none() && request.agent.is_none() && !does_itself(step) {
            let key = step.offer_key(None);
            if !asked.contains(&key) {
                if let Some(lack) = house.lacking(namespace, &key) {
                    found.note(FEASIBILITY, CheckResult::Warning, || {
                        nobody(&format!("step {}", step.path), Key::read(&key).words, &lack)
                    });
                }
                asked.insert(key);
            }
        }
        for (name, needed) in &step.demands {
            let most = largest.entry(name).or_insert((*needed, step));
            if most.0 < *needed {
                *most = (*needed, step);
            }
        }
    }
    for (name, (needed, step)) in &largest {
        if let Some(allowed) = limits.get(*name).filter(|allowed| *allowed < needed) {
            found.note(RESOURCES, CheckResult::RequiresReview, || {
                format!("step {} needs {needed} {name}; one task may use {allowed} here; {}", step.path, estimate(plan))
            });
        }
    }
    for (name, allowed, asked) in beyond(&request.resource_limits, limits) {
        found.note(RESOURCES, CheckResult::RequiresReview, || {
            format!("resource_limits.{name} is {asked}; one task may use {allowed} here; {}", estimate(plan))
        });
    }
}

/// What is asked for beyond what one task may use without a review (S1-126…128), of what a live task is changed to.
pub(crate) fn changed_limits(wanted: &Map<String, Value>, limits: &BTreeMap<Box<str>, u64>) -> Vec<Finding> {
    let told = beyond(wanted, limits).map(|(name, allowed, asked)| Finding {
        check: RESOURCES.into(),
        result: CheckResult::RequiresReview,
        reason: format!("resource_limits.{name} is {asked}; one task may use {allowed} here").into(),
    });
    told.collect()
}

fn beyond<'a>(
    wanted: &'a Map<String, Value>,
    limits: &'a BTreeMap<Box<str>, u64>,
) -> impl Iterator<Item = (&'a str, u64, u64)> + 'a {
    wanted.iter().filter_map(|(name, limit)| {
        let (allowed, asked) = limits.get(name.as_str()).copied().zip(limit.as_u64())?;
        (allowed < asked).then_some((name.as_str(), allowed, asked))
    })
}

/// What agents that make plans are asked for.
const PLANNING: &str = "plan";

/// Whether the built-in agents can do a step.
fn does_itself(step: &Step) -> bool {
    match &step.capabilities[..] {
        [] => is_built_in(&step.action),
        words => words.iter().all(|word| is_built_in(word)),
    }
}

/// Who is missing for what. It waits for them, and who comes later gets it.
fn nobody(what: &str, words: &str, lack: &Lack) -> String {
    let who = match lack {
        Lack::Able(word) => format!("no agent able to {word} is registered"),
        Lack::Together => format!("no agent able to all of {words} is registered"),
        Lack::Model(name) => format!("no agent able to {words} has the model {name}"),
        Lack::Resource { name, needed, has } => format!("no agent able to {words} has {needed} {name}; the largest has {has}"),
    };
    format!("{what}: {who}; it waits until one comes")
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
