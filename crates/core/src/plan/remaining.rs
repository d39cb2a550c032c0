//! How long it takes until the steps of a plan are done, from how long each of them still takes.

use super::{Step, outline};

/// When each step or group ends at the earliest, in milliseconds from now, where everything that can runs side by side. `left` says how
/// long each step still takes by itself; what hangs on a step of which that is unknown is unknown too.
pub(crate) fn ends(steps: &[Step], left: &[Option<u64>]) -> Vec<Option<u64>> {
    let graph = outline::graph(steps);
    let mut reached = vec![Some(0u64); steps.len() * 2];
    for node in outline::sorted(&graph) {
        let node = node as usize;
        let i = node / 2;
        if node % 2 == 1 && steps[i].children == 0 {
            reached[node] = reached[node].zip(left.get(i).copied().flatten()).map(|(at, ms)| at.saturating_add(ms));
        }
        for next in graph.after(node) {
            let next = *next as usize;
            reached[next] = reached[next].zip(reached[node]).map(|(one, other)| one.max(other));
        }
    }
    (0..steps.len()).map(|i| reached[2 * i + 1]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Plan;
    use super::*;

    #[test]
    fn the_longer_way_decides_and_what_is_unknown_hides_only_what_hangs_on_it() {
        let json = serde_json::json!({"steps": [
            {"id": "a", "action": "x"},
            {"id": "g", "needs": ["a"], "steps": [{"action": "x"}, {"action": "x"}]},
            {"id": "b", "action": "x", "needs": ["g"]},
            {"id": "c", "action": "x", "needs": ["a"]},
        ]});
        let plan = Plan::check(&serde_json::from_value(json).unwrap()).unwrap().0;
        let known = [Some(1), None, Some(5), Some(2), Some(4), Some(7)];
        assert_eq!(ends(&plan.steps, &known), [Some(1), Some(6), Some(6), Some(3), Some(10), Some(8)]);
        let unknown = [Some(1), None, None, Some(2), Some(4), Some(7)];
        assert_eq!(ends(&plan.steps, &unknown), [Some(1), None, None, Some(3), None, Some(8)]);
    }
}
