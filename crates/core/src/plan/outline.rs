//! What the shape of a plan says: order, what may run side by side, the critical path, slack, duration, cycles.

use super::{Problem, Step};
use serde::{Deserialize, Serialize};

/// What follows from the shape of a plan. Steps are named by index; groups are left out of the lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// The steps in an order in which they could be done one by one.
    pub order: Vec<u32>,
    /// Sets of steps that may run side by side: each set needs only earlier ones.
    pub parallel_groups: Vec<Vec<u32>>,
    /// The chain of steps that decides how long the whole takes. Where durations are missing each step counts alike.
    pub critical_path: Vec<u32>,
    /// For each step in `order`, how long it may be late without making the whole later, in milliseconds; only where all
    /// durations are known.
    pub slack_ms: Option<Vec<u64>>,
    /// How long the whole takes when everything that can runs side by side, in milliseconds; only where all durations are known.
    pub estimated_ms: Option<u64>,
}

/// The graph behind a plan: each node has a start (2i) and an end (2i + 1). A step's start comes before its end, a group's start
/// before the starts in it, the ends in it before its end, and the end of what is needed before the start of what needs it.
pub(super) struct Graph {
    after: Vec<Vec<u32>>,
    before: Vec<u32>,
}

impl Graph {
    /// What comes right after a node.
    #[cfg(feature = "rules")]
    pub(super) fn after(&self, node: usize) -> &[u32] {
        &self.after[node]
    }
}

pub(super) fn graph(steps: &[Step]) -> Graph {
    let mut graph = Graph { after: vec![Vec::new(); steps.len() * 2], before: vec![0; steps.len() * 2] };
    let mut edge = |from: u32, to: u32| {
        graph.after[from as usize].push(to);
        graph.before[to as usize] += 1;
    };
    for (i, step) in steps.iter().enumerate() {
        let i = i as u32;
        if step.children == 0 {
            edge(2 * i, 2 * i + 1);
        }
        if let Some(parent) = step.parent {
            edge(2 * parent, 2 * i);
            edge(2 * i + 1, 2 * parent + 1);
        }
        for need in &step.needs {
            edge(2 * need + 1, 2 * i);
        }
    }
    graph
}

/// Kahn's algorithm, stable: nodes that become free at the same time keep the order of the plan.
pub(super) fn sorted(graph: &Graph) -> Vec<u32> {
    let mut before = graph.before.clone();
    let mut free: std::collections::BinaryHeap<std::cmp::Reverse<u32>> =
        before.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| std::cmp::Reverse(i as u32)).collect();
    let mut order = Vec::with_capacity(before.len());
    while let Some(std::cmp::Reverse(node)) = free.pop() {
        order.push(node);
        for next in &graph.after[node as usize] {
            before[*next as usize] -= 1;
            if before[*next as usize] == 0 {
                free.push(std::cmp::Reverse(*next));
            }
        }
    }
    order
}

/// The problem of a plan whose steps wait for each other in a ring: names the ring.
pub(super) fn cycle(steps: &[Step]) -> Option<Problem> {
    let graph = graph(steps);
    let order = sorted(&graph);
    if order.len() == graph.before.len() {
        return None;
    }
    let mut left = vec![true; graph.before.len()];
    for node in order {
        left[node as usize] = false;
    }
    // Every node that is left has one before it that is left too; walking backwards must come round.
    let mut previous = vec![u32::MAX; left.len()];
    for (from, nexts) in graph.after.iter().enumerate().filter(|(from, _)| left[*from]) {
        for next in nexts {
            previous[*next as usize] = from as u32;
        }
    }
    let mut at = left.iter().position(|l| *l).expect("some node is left") as u32;
    let mut seen = vec![false; left.len()];
    while !std::mem::replace(&mut seen[at as usize], true) {
        at = previous[at as usize];
    }
    let name = |node: u32| {
        let step = &steps[node as usize / 2];
        step.key.as_deref().unwrap_or(&step.path).to_owned()
    };
    let mut ring = vec![name(at)];
    let mut node = previous[at as usize];
    while node != at {
        ring.push(name(node));
        node = previous[node as usize];
    }
    ring.push(name(at));
    ring.reverse();
    ring.dedup();
    Some(Problem::new("plan.steps", format!("these steps wait for each other in a cycle: {}", ring.join(" → "))))
}

pub(super) fn outline(steps: &[Step]) -> Outline {
    let graph = graph(steps);
    let order = sorted(&graph);
    let is_step = |i: usize| steps[i].children == 0;
    let known = steps.iter().all(|s| s.children > 0 || s.estimate_ms.is_some());
    let weight = |node: u32| match (node % 2 == 1 && is_step(node as usize / 2), known) {
        (false, _) => 0,
        (true, true) => steps[node as usize / 2].estimate_ms.unwrap_or(0),
        (true, false) => 1,
    };

    // Forwards: when each node is reached at the earliest, over which node, and on which level.
    let mut reached = vec![0u64; graph.after.len()];
    let mut level = vec![0usize; graph.after.len()];
    let mut over = vec![u32::MAX; graph.after.len()];
    for node in &order {
        reached[*node as usize] += weight(*node);
        for next in &graph.after[*node as usize] {
            let next = *next as usize;
            if over[next] == u32::MAX || reached[next] < reached[*node as usize] {
                reached[next] = reached[*node as usize];
                over[next] = *node;
            }
            level[next] = level[next].max(level[*node as usize] + usize::from(weight_step(*node, steps)));
        }
    }
    let end = order.iter().copied().max_by_key(|n| (reached[*n as usize], std::cmp::Reverse(*n)));
    let total = end.map_or(0, |n| reached[n as usize]);

    // Backwards: when each node must be reached at the latest.
    let mut latest = vec![total; graph.after.len()];
    for node in order.iter().rev() {
        for next in &graph.after[*node as usize] {
            let by = latest[*next as usize] - weight(*next);
            latest[*node as usize] = latest[*node as usize].min(by);
        }
    }

    let ends: Vec<u32> = order.iter().filter(|n| *n % 2 == 1 && is_step(**n as usize / 2)).map(|n| n / 2).collect();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for i in &ends {
        let level = level[*i as usize * 2];
        if groups.len() <= level {
            groups.resize(level + 1, Vec::new());
        }
        groups[level].push(*i);
    }
    let mut path: Vec<u32> = std::iter::successors(end, |n| Some(over[*n as usize]).filter(|n| *n != u32::MAX))
        .filter(|n| n % 2 == 1 && is_step(*n as usize / 2))
        .map(|n| n / 2)
        .collect();
    path.reverse();
    let slack = ends.iter().map(|i| latest[*i as usize * 2 + 1] - reached[*i as usize * 2 + 1]).collect();
    Outline {
        order: ends,
        parallel_groups: groups,
        critical_path: path,
        slack_ms: known.then_some(slack),
        estimated_ms: known.then_some(total),
    }
}

/// Whether passing this node means having done a step.
fn weight_step(node: u32, steps: &[Step]) -> bool {
    node % 2 == 1 && steps[node as usize / 2].children == 0
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;

    fn plan(json: serde_json::Value) -> Plan {
        Plan::check(&serde_json::from_value(json).unwrap()).unwrap().0
    }

    #[test]
    fn the_diamond_has_three_levels_and_its_longer_side_is_critical() {
        let plan = plan(serde_json::json!({"steps": [
            {"id": "a", "action": "x", "estimate": "1s"},
            {"id": "b", "action": "x", "estimate": "5s", "depends_on": ["a"]},
            {"id": "c", "action": "x", "estimate": "2s", "depends_on": ["a"]},
            {"id": "d", "action": "x", "estimate": "1s", "depends_on": ["b", "c"]},
        ]}));
        let outline = plan.outline();
        assert_eq!(outline.order, [0, 1, 2, 3]);
        assert_eq!(outline.parallel_groups, [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(outline.critical_path, [0, 1, 3]);
        assert_eq!(outline.slack_ms, Some(vec![0, 0, 3_000, 0]));
        assert_eq!(outline.estimated_ms, Some(7_000));
    }

    #[test]
    fn a_missing_duration_is_never_invented() {
        let plan = plan(serde_json::json!({"steps": [
            {"id": "g", "steps": [{"action": "x", "estimate": "1s"}, {"action": "y"}]},
            {"action": "z", "depends_on": ["g"]},
        ]}));
        let outline = plan.outline();
        assert_eq!((outline.estimated_ms, outline.slack_ms), (None, None));
        assert_eq!(outline.parallel_groups, [vec![1, 2], vec![3]]);
        assert_eq!(outline.critical_path.len(), 2);
    }
}
