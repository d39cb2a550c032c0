//! Questions about the shape of a plan, for rules: what comes after what, and what is checked before.

use crate::plan::Plan;
use crate::spec::GateKind;

/// A plan as rules may ask about it. Steps are named by their action.
#[derive(Debug)]
pub(super) struct Graph {
    steps: Vec<Node>,
    /// Who needs a step, and the parts of a group.
    next: Vec<Vec<u32>>,
    parts: Vec<Vec<u32>>,
}

#[derive(Debug)]
struct Node {
    action: Box<str>,
    parent: Option<u32>,
    gates: Vec<GateKind>,
    /// Whether it is done in every case: it has no condition, no list that may be empty, and may not fail.
    certain: bool,
}

impl Graph {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut next = vec![Vec::new(); plan.steps.len()];
        let mut parts = vec![Vec::new(); plan.steps.len()];
        for (i, step) in (0u32..).zip(&plan.steps) {
            step.needs.iter().for_each(|need| next[*need as usize].push(i));
            step.parent.into_iter().for_each(|group| parts[group as usize].push(i));
        }
        let mut steps: Vec<Node> = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            // Parents stand before their children.
            let above = step.parent.is_none_or(|group| steps[group as usize].certain);
            steps.push(Node {
                action: step.action.clone(),
                parent: step.parent,
                gates: step.gates.iter().filter(|gate| !gate.advisory).map(|gate| gate.kind).collect(),
                certain: above && step.when.is_none() && step.for_each.is_none() && !step.optional,
            });
        }
        Self { steps, next, parts }
    }

    fn named(&self, action: &str) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.steps).filter(move |(_, step)| *step.action == *action).map(|(i, _)| i)
    }

    /// Which steps begin only after one of these has ended. Each step and each dependency is looked at once.
    fn behind(&self, from: impl Iterator<Item = u32>) -> Vec<bool> {
        let mut begins_after = vec![false; self.steps.len()];
        let mut ends_after = vec![false; self.steps.len()];
        let mut ended: Vec<u32> = from.collect();
        while let Some(i) = ended.pop() {
            if std::mem::replace(&mut ends_after[i as usize], true) {
                continue;
            }
            // A group ends when everything in it has.
            ended.extend(self.steps[i as usize].parent);
            let mut begins: Vec<u32> = self.next[i as usize].clone();
            while let Some(j) = begins.pop() {
                if !std::mem::replace(&mut begins_after[j as usize], true) {
                    begins.extend(&self.parts[j as usize]);
                    ended.push(j);
                }
            }
        }
        begins_after
    }

    /// Whether some step has this action.
    pub(super) fn does(&self, action: &str) -> bool {
        self.named(action).next().is_some()
    }

    /// Whether some step with the second action begins only after one with the first has ended.
    pub(super) fn reaches(&self, first: &str, second: &str) -> bool {
        let behind = self.behind(self.named(first));
        self.named(second).any(|i| behind[i as usize])
    }

    /// Whether every step with the second action begins only after one with the first was done, whatever its conditions say: steps that
    /// may be left out do not count as the first. True where there is no step with the second.
    pub(super) fn before(&self, first: &str, second: &str) -> bool {
        let behind = self.behind(self.named(first).filter(|i| self.steps[*i as usize].certain));
        self.named(second).all(|i| behind[i as usize])
    }

    /// Whether every step with this action begins only after a binding gate of this kind has passed. True where there is no such step.
    pub(super) fn gated(&self, action: &str, kind: GateKind) -> bool {
        let gates = (0u32..).zip(&self.steps).filter(|(_, step)| step.certain && step.gates.contains(&kind)).map(|(i, _)| i);
        let behind = self.behind(gates);
        self.named(action).all(|i| behind[i as usize])
    }
}
