//! What is looked at before a request becomes a task (S1-22…28): whether its description and requirements say something that can be done
//! and tested, whether a secret, an order to whoever reads it or something hidden stands in it, and whether anybody could do it here.
//!
//! Pure; called from `request` and, for changes, by the engine, in the caller's thread, before the writer's queue. One pass over each text, and nothing is
//! allocated where nothing is found. A reason names the rule and the place, never the words: it outlives the words of the task.

mod commands;
mod crowd;
mod encoded;
mod feasible;
mod hidden;
mod injection;
mod place;
mod scan;
mod secrets;
mod statements;
#[cfg(test)]
mod tests;
mod walk;

pub use crowd::Crowd;
pub(crate) use feasible::changed_limits;
pub use feasible::{Lack, Surroundings, Unknown};

use crate::command::{Approve, Command};
use crate::event::{CheckResult, Finding, TextChanges};
use crate::plan::{Plan, Problem};
use crate::policy::Policy;
use crate::review::{Condition, Opinion};
use crate::spec::{PlanSpec, Request};
use std::collections::BTreeMap;

/// What the five checks are called, in the order they are shown in.
pub const CHECKS: [&str; 5] = [DESCRIPTION, REQUIREMENTS, SECURITY, FEASIBILITY, RESOURCES];

const DESCRIPTION: &str = "description_check";
const REQUIREMENTS: &str = "requirements_check";
const SECURITY: &str = "security_scan";
const FEASIBILITY: &str = "feasibility_assessment";
const RESOURCES: &str = "resource_requirements";

/// How many findings of one check are kept; more would hide the first, and an event carries them.
const KEPT_MAX: usize = 8;

/// The steps of which an estimate is made when a task is shown: looking at it should not take longer the larger it is.
pub(crate) const ESTIMATED_STEPS_MAX: usize = 1_000;

/// Checks a request whose fields are in order. What failed comes first as problems, by place; the rest is recorded.
///
/// # Errors
/// What keeps it from becoming a task: a secret in its words. Each problem names the rule, the place and what to do instead.
pub fn validate(
    request: &Request,
    plan: Option<&Plan>,
    policy: &Policy,
    house: &dyn Surroundings,
) -> Result<Vec<Finding>, Vec<Problem>> {
    let mut found = Found::default();
    walk::request(request, &mut found);
    statements::check(request, &mut found);
    feasible::check(request, plan, &policy.resource_limits, house, &mut found);
    found.end()
}

/// Looks through the words of a plan that comes alone.
///
/// # Errors
/// A secret in them, with its place in the plan.
pub fn plan(spec: &PlanSpec) -> Result<Vec<Finding>, Vec<Problem>> {
    let mut found = Found::default();
    walk::plan(spec, &mut found);
    found.end()
}

/// Looks through the words somebody changes about a task, decides with, or gives its agent, before the command is queued. What is odd
/// about a change goes along with it; what a person decides or advises is an order to the reader anyway.
///
/// # Errors
/// A secret in them, with its field.
pub fn command(command: &mut Command) -> Result<(), Vec<Problem>> {
    if let Command::Modify(changes) = command {
        changes.findings = changed(&changes.text)?;
    } else if let Command::Decide(decision) = command {
        changed(&decision.text)?;
    } else if let Command::Guide { text } = command {
        let mut found = Found::default();
        walk::text("text", text, &mut found);
        found.end()?;
    } else if let Command::Approve(word) = command {
        word.findings = answered(word)?;
    } else if let Command::Vote { reason, opinion, .. } = command {
        judged(reason, opinion)?;
    }
    Ok(())
}

/// What a judge says is kept, and what a yes depends on is read by whoever judges the gate it becomes: no order to the reader goes that way.
fn judged(reason: &str, opinion: &Opinion) -> Result<(), Vec<Problem>> {
    let mut found = Found::default();
    walk::text("reason", reason, &mut found);
    for (field, lines) in [("evidence", &opinion.evidence), ("recommendations", &opinion.recommendations)] {
        lines.iter().for_each(|line| walk::text(field, line, &mut found));
    }
    found.end()?;
    let mut found = Found::default();
    for condition in &opinion.conditions {
        match condition {
            Condition::Words(words) => walk::text("conditions", words, &mut found),
            Condition::Gate(gate) => gate.criteria.iter().for_each(|line| walk::text("conditions", line, &mut found)),
        }
    }
    let doubts = found.end()?.into_iter().filter(|finding| finding.result == CheckResult::RequiresReview);
    let problems: Vec<Problem> = doubts.map(|finding| Problem::new("conditions", &*finding.reason)).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What the parameters hold that somebody puts in place of others; they may be copied from anywhere. Why somebody says yes or no is only
/// looked through for what must not be kept.
fn answered(word: &Approve) -> Result<Vec<Finding>, Vec<Problem>> {
    let mut why = Found::default();
    walk::text("reason", &word.reason, &mut why);
    why.end()?;
    let mut found = Found::default();
    if let Some(params) = &word.params {
        walk::params(params, &mut found);
    }
    found.end()
}

/// What the new words of a task hold, read as those of a request are.
fn changed(text: &TextChanges) -> Result<Vec<Finding>, Vec<Problem>> {
    if *text == TextChanges::default() {
        return Ok(Vec::new());
    }
    let request = Request {
        title: text.title.clone(),
        description: text.description.clone(),
        requirements: text.requirements.clone().unwrap_or_default(),
        resource_limits: text.resource_limits.clone().unwrap_or_default(),
        constitutional_basis: text.constitutional_basis.clone(),
        ..Request::default()
    };
    let mut found = Found::default();
    walk::request(&request, &mut found);
    walk::text("reason", &text.reason, &mut found);
    statements::check(&request, &mut found);
    found.end()
}

/// Whether somebody has to look because of one of these.
pub fn doubtful(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.result == CheckResult::RequiresReview)
}

/// All five checks of a task as it is shown: those that found something, then those that passed. The estimate is always there.
pub fn shown(recorded: &[Finding], plan: Option<&Plan>) -> Vec<Finding> {
    let passed = |check: &&'static str| recorded.iter().all(|f| *f.check != **check);
    let rest = CHECKS.into_iter().filter(passed).map(|check| Finding {
        check: check.into(),
        result: CheckResult::Passed,
        reason: plan.filter(|_| check == RESOURCES).map(feasible::estimate).unwrap_or_default().into(),
    });
    recorded.iter().cloned().chain(rest).collect()
}

/// What was found so far.
#[derive(Default)]
pub(crate) struct Found {
    problems: Vec<Problem>,
    findings: Vec<Finding>,
    /// How many of each check were left out.
    more: BTreeMap<&'static str, u32>,
    /// Whether the description says something that may contradict itself, so that it is worth to be taken apart.
    pub(crate) binding: bool,
}

impl Found {
    /// Notes a finding; `reason` is only made where it is kept.
    pub(crate) fn note(&mut self, check: &'static str, result: CheckResult, reason: impl FnOnce() -> String) {
        if self.findings.iter().filter(|f| *f.check == *check).count() >= KEPT_MAX {
            // What follows from it is not lost with the words.
            if result == CheckResult::RequiresReview
                && let Some(last) = self.findings.iter_mut().rev().find(|f| *f.check == *check)
            {
                last.result = last.result.max(result);
            }
            *self.more.entry(check).or_default() += 1;
            return;
        }
        self.findings.push(Finding { check: check.into(), result, reason: reason().into() });
    }

    /// Notes what keeps it from becoming a task.
    pub(crate) fn refuse(&mut self, problem: impl FnOnce() -> Problem) {
        if self.problems.len() < KEPT_MAX {
            self.problems.push(problem());
        }
    }

    fn end(mut self) -> Result<Vec<Finding>, Vec<Problem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        for (check, n) in &self.more {
            if let Some(last) = self.findings.iter_mut().rev().find(|f| *f.check == **check) {
                last.reason = format!("{}; {n} more of this check are not told", last.reason).into();
            }
        }
        Ok(self.findings)
    }
}
