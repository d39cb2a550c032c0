//! What the gates of a task said. It stands in its events; nobody needs those of a task without gates.

use super::look::store;
use crate::api::ApiError;
use ephor_core::event::{Actor, Event, Private};
use ephor_core::quality::{GateResult, GateVerdict};
use ephor_core::spec::{GateKind, GateSpec};
use ephor_core::task::Task;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::GateStatus;
use ephor_core::work::{Judgement, WorkKey};
use ephor_engine::query;
use ephor_engine::store::Reader;
use std::collections::{BTreeMap, BTreeSet};

/// How many events are read at once.
const PAGE: u32 = 1_000;

/// What a report said, by whom.
struct Said {
    judgements: Vec<Judgement>,
    actor: Option<String>,
}

/// Each judgement in order, then the gates nobody judged.
pub(crate) fn gates(task: &Task, reader: &dyn Reader) -> Result<Vec<GateResult>, ApiError> {
    let mut found = judged(task, reader)?;
    let known: BTreeSet<(String, u16)> = found.iter().map(|one| (one.step.clone(), one.gate)).collect();
    for step in task.step_views() {
        for (gate, view) in (0u16..).zip(&step.gates) {
            if !known.contains(&(step.path.clone(), gate)) {
                let over = step.status.is_final() || view.status == GateStatus::Passed;
                let status = if over { GateVerdict::Skipped } else { GateVerdict::Pending };
                found.push(GateResult { kind: Some(view.kind), status, ..unjudged(&step.path, gate) });
            }
        }
    }
    Ok(found)
}

/// Each judgement, in order.
pub(crate) fn judged(task: &Task, reader: &dyn Reader) -> Result<Vec<GateResult>, ApiError> {
    let specs = specs(task);
    let mut found = Vec::new();
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    let (mut more, mut after) = (!specs.is_empty(), 0);
    while more {
        let page = reader.stream_events(task.id.into(), after, PAGE).map_err(store)?;
        more = page.len() == PAGE as usize;
        for stored in page {
            after = stored.version;
            if !matches!(stored.kind.as_str(), "GATE_JUDGED" | "ATTEMPT_SUCCEEDED") {
                continue;
            }
            match query::event(&stored).map_err(store)? {
                (Event::AttemptSucceeded(done), private) => {
                    // The words where they stand, else what is structure of them.
                    let judgements = match private {
                        Some(Private::Success(success)) => success.evidence.clone(),
                        Some(_) | None => done.evidence,
                    };
                    let actor = Actor::read(&stored.actor).map(|actor| actor.id.to_string());
                    said.insert(done.work.to_string(), Said { judgements, actor });
                }
                (Event::GateJudged(judged), private) => {
                    let kind = specs.get(&(&*judged.step, judged.gate)).map(|spec| spec.kind);
                    let work = match &*judged.by {
                        "agent" => WorkKey::Gate(judged.step.clone(), judged.gate),
                        _ => WorkKey::Step(judged.step.clone()),
                    };
                    let told = said.get(&work.to_string()).filter(|_| matches!(&*judged.by, "agent" | "evidence"));
                    let judgement = told.and_then(|told| spoken(&told.judgements, kind)).cloned();
                    let judge = told.filter(|_| &*judged.by == "agent").and_then(|told| told.actor.as_ref()?.parse().ok());
                    let status = match (judged.passed, judged.advisory) {
                        (true, _) if &*judged.by == "override" => GateVerdict::Skipped,
                        (true, _) => GateVerdict::Passed,
                        (false, true) => GateVerdict::Warning,
                        (false, false) => GateVerdict::Failed,
                    };
                    let Judgement { violations, recommendations, evidence, .. } =
                        judgement.unwrap_or_else(|| Judgement::of(GateKind::ManualReview, judged.passed));
                    found.push(GateResult {
                        kind,
                        status,
                        passed: judged.passed,
                        score: judged.score,
                        violation_count: judged.violations,
                        violations,
                        recommendations,
                        evidence,
                        by: judged.by.clone().into(),
                        judge,
                        why: if let Some(Private::Text(why)) = private { why } else { String::new() },
                        advisory: judged.advisory,
                        at: Some(WireTime(Time(stored.at))),
                        ..unjudged(&judged.step, judged.gate)
                    });
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// What speaks to a kind of gate; where the plan was replaced, whatever was said.
fn spoken(judgements: &[Judgement], kind: Option<GateKind>) -> Option<&Judgement> {
    judgements.iter().find(|judgement| kind.is_none_or(|kind| judgement.kind == kind))
}

fn unjudged(step: &str, gate: u16) -> GateResult {
    GateResult {
        step: step.to_owned(),
        gate,
        kind: None,
        status: GateVerdict::Pending,
        passed: false,
        score: None,
        violation_count: 0,
        violations: Vec::new(),
        recommendations: Vec::new(),
        evidence: Vec::new(),
        by: String::new(),
        judge: None,
        why: String::new(),
        advisory: false,
        at: None,
    }
}

/// The gates of its plan, by step and place.
pub(crate) fn specs(task: &Task) -> BTreeMap<(&str, u16), &GateSpec> {
    task.steps().flat_map(|step| (0..).zip(&step.gates).map(|(n, spec)| ((&*step.path, n), spec))).collect()
}
