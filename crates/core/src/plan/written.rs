//! A plan that was laid out, written down again: for whoever refines it.

use super::{Compensation, Plan, Step, StepText};
use crate::spec::{CompensationSpec, GateSpec, PlanSpec, StepSpec};
use crate::time::WireDuration;

/// The plan as somebody could have written it. Read again it is laid out the same way: what `sequential` meant stands in `depends_on`.
pub(crate) fn written(plan: &Plan, texts: &[StepText]) -> PlanSpec {
    let mut kids: Vec<Vec<usize>> = vec![Vec::new(); plan.steps.len()];
    let mut tops = Vec::new();
    for (i, step) in plan.steps.iter().enumerate() {
        match step.parent {
            Some(parent) => kids[parent as usize].push(i),
            None => tops.push(i),
        }
    }
    PlanSpec { steps: tops.into_iter().map(|i| step_at(plan, texts, &kids, i)).collect(), ..PlanSpec::default() }
}

fn step_at(plan: &Plan, texts: &[StepText], kids: &[Vec<usize>], i: usize) -> StepSpec {
    let step = &plan.steps[i];
    let needs = step.needs.iter().map(|need| plan.steps[*need as usize].path.to_string()).collect();
    StepSpec {
        depends_on: needs,
        steps: kids[i].iter().map(|kid| step_at(plan, texts, kids, *kid)).collect(),
        ..alone(step, texts.get(i).unwrap_or(&StepText::default()))
    }
}

/// A step without what connects it to others.
fn alone(step: &Step, text: &StepText) -> StepSpec {
    let word = |text: &Option<Box<str>>| text.as_deref().map(String::from);
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let lasts = |ms: Option<u64>| ms.map(|ms| WireDuration { ms });
    StepSpec {
        id: word(&step.key),
        title: said(&text.title),
        description: said(&text.description),
        action: said(&step.action),
        capabilities: step.capabilities.iter().map(ToString::to_string).collect(),
        params: text.params.clone(),
        when: word(&step.when),
        for_each: word(&step.for_each),
        timeout: lasts(step.timeout_ms),
        start_timeout: lasts(step.start_ms),
        queue_timeout: lasts(step.queue_ms),
        heartbeat_timeout: lasts(step.lease_ms),
        retry_policy: step.retry.clone(),
        gates: step.gates.iter().enumerate().map(|(n, gate)| checked_by(gate, n, text)).collect(),
        optional: step.optional,
        on_unknown: step.on_unknown,
        acts: step.acts,
        agent: step.agent,
        task_type: word(&step.task_type),
        // What the house chose it chooses again.
        model: word(&step.model).filter(|_| !step.model_chosen),
        resources: text.resources.clone(),
        reserve: step.reserve.as_deref().copied(),
        checkpoint: word(&step.checkpoint),
        compensation: step.compensation.as_deref().map(|undo| undone_by(undo, text)),
        alternatives: text.alternatives.clone(),
        estimate: lasts(step.estimate_ms),
        external_id: word(&step.external_id),
        ..StepSpec::default()
    }
}

/// A gate with the words of its check.
fn checked_by(gate: &GateSpec, n: usize, text: &StepText) -> GateSpec {
    let words = text.gate_checks.get(&n.to_string()).and_then(|check| serde_json::from_value(check.clone()).ok());
    GateSpec { check: gate.check.as_ref().map(|bare| words.unwrap_or_else(|| bare.clone())), ..gate.clone() }
}

fn undone_by(undo: &Compensation, text: &StepText) -> CompensationSpec {
    CompensationSpec {
        action: undo.action.to_string(),
        capabilities: undo.capabilities.iter().map(ToString::to_string).collect(),
        params: text.undo_params.clone(),
        timeout: undo.timeout_ms.map(|ms| WireDuration { ms }),
        retry_policy: undo.retry.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_is_written_down_and_read_again_is_the_same_plan() {
        let spec: PlanSpec = serde_json::from_value(serde_json::json!({"sequential": true, "steps": [
            {"id": "a", "title": "A", "action": "x", "capabilities": ["x", "y"], "params": {"n": 1}, "timeout": "5s", "checkpoint": "laid",
             "retry": {"max_attempts": 2, "by_class": {"TIMEOUT": {"max_attempts": 9}}}, "resources": {"memory_mb": 64},
             "compensation": {"action": "unx", "params": {"id": "${steps.a.output.id}"}, "timeout": "3s"},
             "alternatives": [{"on": ["TIMEOUT"], "action": "z"}]},
            {"id": "g", "sequential": true, "steps": [
                {"action": "y", "for_each": "[1, 2]", "when": "true", "optional": true, "on_unknown": "probe", "acts": true,
                 "task_type": "Testing", "model": "gpt-4", "reserve": {"tokens": 9}},
                {"action": "z", "depends_on": ["a"], "gates": [{"kind": "CODE_STYLE"}, {"kind": "FUNCTIONAL_TEST", "check": {"command": "true", "junit": "r.xml"}}], "queue_timeout": "1m"}]},
            {"action": "w", "external_id": "E", "estimate": "1h", "heartbeat_timeout": "9s", "start_timeout": "8s"},
        ]}))
        .unwrap();
        let (plan, texts) = Plan::check(&spec).unwrap();
        assert_eq!(Plan::check(&written(&plan, &texts)).unwrap(), (plan, texts));
    }
}
