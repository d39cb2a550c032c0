//! What is known of the quality of a result: what gates said, and which of its requirements somebody judged.

use crate::api::ApiError;
use crate::local::store;
use ephor_core::event::Event;
use ephor_core::review::{Question, Verdict};
use ephor_core::spec::{GateKind, GateSpec};
use ephor_core::task::Task;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::ReviewView;
use ephor_engine::query;
use ephor_engine::store::Reader;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How many events are read at once.
const PAGE: u32 = 1_000;

/// What the gates of a task said, in order, and what that means for its requirements.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QualityReport {
    /// Whether every gate that was judged last let its step through and no requirement is unmet; null where nothing was judged.
    passed: Option<bool>,
    /// Each judgement.
    gates: Vec<GateFinding>,
    /// Each requirement and acceptance criterion.
    requirements: Vec<RequirementFinding>,
}

/// One judgement.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GateFinding {
    /// Which step, by path.
    step: String,
    /// Which of its gates.
    gate: u16,
    /// Which kind of gate; missing where the plan was replaced since.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<GateKind>,
    /// Whether it let the result through.
    passed: bool,
    /// From 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// How many violations there were.
    violations: u32,
    /// By what: `evidence`, `metric`, `agent`, `person`, `limit`, `override`.
    by: String,
    /// Whether a failure only leaves a note.
    advisory: bool,
    /// When.
    at: WireTime,
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

/// What the gates of a task said, in order. It stands in its events; nobody needs those of a task without gates.
pub(super) fn gates(task: &Task, reader: &dyn Reader) -> Result<Vec<GateFinding>, ApiError> {
    let specs = specs(task);
    let mut gates: Vec<GateFinding> = Vec::new();
    let mut more = !specs.is_empty();
    let mut after = 0;
    while more {
        let page = reader.stream_events(task.id.into(), after, PAGE).map_err(store)?;
        more = page.len() == PAGE as usize;
        for stored in page {
            after = stored.version;
            if stored.kind != "GATE_JUDGED" {
                continue;
            }
            if let (Event::GateJudged(judged), _) = query::event(&stored).map_err(store)? {
                gates.push(GateFinding {
                    kind: specs.get(&(&*judged.step, judged.gate)).map(|spec| spec.kind),
                    step: judged.step.into(),
                    gate: judged.gate,
                    passed: judged.passed,
                    score: judged.score,
                    violations: judged.violations,
                    by: judged.by.into(),
                    advisory: judged.advisory,
                    at: WireTime(Time(stored.at)),
                });
            }
        }
    }
    Ok(gates)
}

/// The gates of its plan, by step and place.
fn specs(task: &Task) -> BTreeMap<(&str, u16), &GateSpec> {
    task.steps().flat_map(|step| (0..).zip(&step.gates).map(|(n, spec)| ((&*step.path, n), spec))).collect()
}

/// The lowest score the gates of each step gave when they were judged last.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores(BTreeMap<(String, u16), Option<f64>>);

impl Scores {
    /// Those of a task as it is now.
    pub(super) fn of(task: &Task, reader: &dyn Reader) -> Result<Self, ApiError> {
        Ok(Self(gates(task, reader)?.into_iter().map(|found| ((found.step, found.gate), found.score)).collect()))
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
        let gates = gates(task, reader)?;
        let last: BTreeMap<(&str, u16), &GateFinding> = gates.iter().map(|g| ((&*g.step, g.gate), g)).collect();
        let result = reviews.iter().rev().find(|review| review.question == Question::Result);
        let specs = specs(task);
        let judged = |kind: RequirementKind, requirement: &String| {
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
        let own = text.requirements.iter().map(|r| judged(RequirementKind::Requirement, r));
        let accepted = text.acceptance_criteria.iter().map(|r| judged(RequirementKind::AcceptanceCriterion, r));
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
