//! What is known of the quality of a result: what gates said, and which of its requirements somebody judged.

use crate::api::ApiError;
use crate::local::gates::{judged, specs};
use ephor_core::event::Event;
use ephor_core::quality::GateResult;
use ephor_core::review::{Question, Verdict};
use ephor_core::task::Task;
use ephor_core::view::ReviewView;
use ephor_engine::store::Reader;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What the gates of a task said, in order, and what that means for its requirements.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QualityReport {
    /// Whether every gate that was judged last let its step through and no requirement is unmet; null where nothing was judged.
    passed: Option<bool>,
    /// Each judgement.
    gates: Vec<GateResult>,
    /// Each requirement and acceptance criterion.
    requirements: Vec<RequirementFinding>,
}

/// What is known of one requirement.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct RequirementFinding {
    /// The requirement, as the request says it.
    requirement: String,
    /// Whether it is one of the `requirements` or of the `acceptance_criteria`.
    kind: RequirementKind,
    /// Whether it is met.
    finding: Finding,
    /// Who or what said so: `gate of step 1.2: FUNCTIONAL_TEST`, `council`, `operator`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by: Vec<String>,
}

/// Where a requirement stands in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RequirementKind {
    /// Among the `requirements`.
    Requirement,
    /// Among the `acceptance_criteria`.
    AcceptanceCriterion,
}

/// Whether a requirement is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Finding {
    /// Everybody who judged it said yes.
    Met,
    /// Somebody who judged it said no.
    Unmet,
    /// Nobody judged it.
    NotJudged,
}

/// The lowest score the gates of each step gave when they were judged last.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores(BTreeMap<(String, u16), Option<f64>>);

impl Scores {
    /// Those of a task as it is now.
    pub(super) fn of(task: &Task, reader: &dyn Reader) -> Result<Self, ApiError> {
        Ok(Self(judged(task, reader)?.into_iter().map(|found| ((found.step, found.gate), found.score)).collect()))
    }

    /// Something has happened.
    pub(super) fn take_in(&mut self, event: &Event) {
        if let Event::GateJudged(judged) = event {
            self.0.insert((judged.step.to_string(), judged.gate), judged.score);
        }
    }

    /// That of a step; none where no gate of it gave one.
    pub(super) fn step(&self, path: &str) -> Option<f64> {
        let of = self.0.range((path.to_owned(), 0)..=(path.to_owned(), u16::MAX));
        of.filter_map(|(_, score)| *score).min_by(f64::total_cmp)
    }
}

impl QualityReport {
    /// What is known of the quality of a task's result.
    pub(super) fn of(task: &Task, reader: &dyn Reader, reviews: &[ReviewView]) -> Result<Self, ApiError> {
        let gates = judged(task, reader)?;
        let last: BTreeMap<(&str, u16), &GateResult> = gates.iter().map(|g| ((&*g.step, g.gate), g)).collect();
        let result = reviews.iter().rev().find(|review| review.question == Question::Result);
        let specs = specs(task);
        let found = |kind: RequirementKind, requirement: &String| {
            let (mut finding, mut by) = (Finding::NotJudged, Vec::new());
            for (place, spec) in &specs {
                let Some(said) = last.get(place).filter(|_| spec.criteria.iter().any(|criterion| same(criterion, requirement)))
                else {
                    continue;
                };
                by.push(format!("gate of step {}: {}", place.0, spec.kind.word()));
                finding = if said.passed && finding != Finding::Unmet { Finding::Met } else { Finding::Unmet };
            }
            let approved =
                result.filter(|review| matches!(review.verdict, Some(Verdict::Approved | Verdict::ApprovedWithConditions)));
            // Who accepts the whole accepts each part; a no says of none which one it was.
            if let Some(review) = approved.filter(|_| finding == Finding::NotJudged) {
                by.push(if review.self_decided { "operator".into() } else { "council".into() });
                finding = Finding::Met;
            }
            RequirementFinding { requirement: requirement.clone(), kind, finding, by }
        };
        let text = &task.contents.text;
        let own = text.requirements.iter().map(|r| found(RequirementKind::Requirement, r));
        let accepted = text.acceptance_criteria.iter().map(|r| found(RequirementKind::AcceptanceCriterion, r));
        let requirements: Vec<RequirementFinding> = own.chain(accepted).collect();
        let something = !last.is_empty() || requirements.iter().any(|r| r.finding != Finding::NotJudged);
        let passed = last.values().all(|g| g.passed || g.advisory) && requirements.iter().all(|r| r.finding != Finding::Unmet);
        Ok(Self { passed: something.then_some(passed), gates, requirements })
    }
}

/// Whether a gate's criterion is a requirement, word for word.
fn same(criterion: &str, requirement: &str) -> bool {
    criterion.trim().eq_ignore_ascii_case(requirement.trim())
}
