//! Which dependencies close a circle, found in time linear in steps and dependencies.
//!
//! A step that is a group starts before and ends after everything in it, and a dependency leads from the end of one to the
//! start of another. So every step is two points, *start* and *end*; structure gives arcs that never close a circle by
//! themselves, and a circle is always made by dependencies. Those that lie on one are removed, first of all at the steps
//! that stand first in the source, until what remains can be ordered.

use std::collections::BTreeSet;

/// A plan as points and arcs.
pub(super) struct Graph {
    /// For each point the points it leads to, with the dependency that makes the arc, if one does.
    arcs: Vec<Vec<(usize, Option<usize>)>>,
}

fn start(step: usize) -> usize {
    2 * step
}

fn end(step: usize) -> usize {
    2 * step + 1
}

impl Graph {
    /// A plan of so many steps, numbered from 0, in the order of the source.
    pub(super) fn new(steps: usize) -> Self {
        let mut graph = Self { arcs: vec![Vec::new(); 2 * steps] };
        for step in 0..steps {
            graph.arcs[start(step)].push((end(step), None));
        }
        graph
    }

    /// `child` is part of the group `parent`.
    pub(super) fn contains(&mut self, parent: usize, child: usize) {
        self.arcs[start(parent)].push((start(child), None));
        self.arcs[end(child)].push((end(parent), None));
    }

    /// `later` waits for `earlier` because they stand in that order; such an order is never removed.
    pub(super) fn follows(&mut self, earlier: usize, later: usize) {
        self.arcs[end(earlier)].push((start(later), None));
    }

    /// `waiting` depends on `awaited`, by the dependency numbered `edge`.
    pub(super) fn depends(&mut self, waiting: usize, awaited: usize, edge: usize) {
        self.arcs[end(awaited)].push((start(waiting), Some(edge)));
    }

    /// The dependencies to remove, so that no circle remains.
    pub(super) fn circular(&self) -> BTreeSet<usize> {
        let component = self.components();
        // Only arcs within one component can lie on a circle. How many of them each point still waits for, by kind:
        let mut by_structure = vec![0usize; self.arcs.len()];
        let mut by_edges = vec![0usize; self.arcs.len()];
        let mut edges_into: Vec<Vec<usize>> = vec![Vec::new(); self.arcs.len()];
        for (from, arcs) in self.arcs.iter().enumerate() {
            for (to, edge) in arcs.iter().filter(|(to, _)| component[*to] == component[from]) {
                match edge {
                    None => by_structure[*to] += 1,
                    Some(edge) => {
                        by_edges[*to] += 1;
                        edges_into[*to].push(*edge);
                    }
                }
            }
        }
        let mut removed = BTreeSet::new();
        let mut arrived = vec![false; self.arcs.len()];
        let mut met: BTreeSet<usize> = BTreeSet::new(); // edges whose earlier end has been reached: these are kept
        let mut ready: Vec<usize> = (0..self.arcs.len()).filter(|p| by_structure[*p] == 0 && by_edges[*p] == 0).collect();
        let mut stuck: BTreeSet<usize> = (0..self.arcs.len()).filter(|p| by_structure[*p] == 0 && by_edges[*p] > 0).collect();
        loop {
            while let Some(point) = ready.pop() {
                arrived[point] = true;
                for (to, edge) in self.arcs[point].iter().filter(|(to, _)| component[*to] == component[point]) {
                    match edge {
                        None => by_structure[*to] -= 1,
                        Some(edge) if met.insert(*edge) && !removed.contains(edge) => by_edges[*to] -= 1,
                        Some(_) => {}
                    }
                    if by_structure[*to] == 0 && !arrived[*to] {
                        if by_edges[*to] == 0 {
                            arrived[*to] = true;
                            stuck.remove(to);
                            ready.push(*to);
                        } else {
                            stuck.insert(*to);
                        }
                    }
                }
            }
            // Whoever waits for dependencies alone is a start, and among those on a circle there always is one.
            let Some(point) = stuck.pop_first() else { return removed };
            removed.extend(edges_into[point].iter().filter(|edge| !met.contains(*edge)));
            by_edges[point] = 0;
            arrived[point] = true;
            ready.push(point);
        }
    }

    /// The strongly connected component of each point (Tarjan), without recursion.
    fn components(&self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let n = self.arcs.len();
        let (mut order, mut low, mut component) = (vec![UNSEEN; n], vec![0; n], vec![UNSEEN; n]);
        let (mut open, mut way) = (Vec::new(), Vec::new()); // points without a component yet; the path being walked
        let (mut seen, mut components) = (0, 0);
        for root in 0..n {
            if order[root] == UNSEEN {
                way.push((root, 0));
            }
            while let Some((point, next)) = way.pop() {
                if next == 0 {
                    order[point] = seen;
                    low[point] = seen;
                    seen += 1;
                    open.push(point);
                }
                if let Some((to, _)) = self.arcs[point].get(next) {
                    way.push((point, next + 1));
                    if order[*to] == UNSEEN {
                        way.push((*to, 0));
                    } else if component[*to] == UNSEEN {
                        low[point] = low[point].min(order[*to]);
                    }
                    continue;
                }
                if low[point] == order[point] {
                    while let Some(member) = open.pop() {
                        component[member] = components;
                        if member == point {
                            break;
                        }
                    }
                    components += 1;
                }
                if let Some((above, _)) = way.last() {
                    low[*above] = low[*above].min(low[point]);
                }
            }
        }
        component
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circular(steps: usize, edges: &[(usize, usize)]) -> Vec<usize> {
        let mut graph = Graph::new(steps);
        for (number, (waiting, awaited)) in edges.iter().enumerate() {
            graph.depends(*waiting, *awaited, number);
        }
        graph.circular().into_iter().collect()
    }

    #[test]
    fn only_an_edge_on_a_circle_is_removed() {
        assert!(circular(4, &[(1, 0), (2, 1), (3, 2)]).is_empty());
        // 0 ⇄ 1, and 2 and 3 merely wait for them.
        assert_eq!(circular(4, &[(2, 1), (0, 1), (1, 0), (3, 2)]), [1]);
        assert_eq!(circular(1, &[(0, 0)]), [0]);
    }

    #[test]
    fn a_circle_through_groups_is_seen() {
        // 0 contains 1, 2 contains 3; 1 waits for 3 and the group 2 waits for the group 0.
        let mut graph = Graph::new(4);
        graph.contains(0, 1);
        graph.contains(2, 3);
        graph.depends(1, 3, 0);
        graph.depends(2, 0, 1);
        assert_eq!(graph.circular().into_iter().collect::<Vec<_>>(), [0]);
        // What stands earlier comes first: a step that waits for a later one loses that.
        let mut graph = Graph::new(2);
        graph.follows(0, 1);
        graph.depends(0, 1, 0);
        assert_eq!(graph.circular().len(), 1);
    }

    #[test]
    fn what_remains_has_an_order_and_a_long_circle_costs_little() {
        let n = 50_000;
        let mut edges: Vec<_> = (1..n).map(|i| (i, i - 1)).collect();
        edges.push((0, n - 1));
        edges.extend((2..n).map(|i| (i - 2, i)));
        let removed: BTreeSet<_> = circular(n, &edges).into_iter().collect();
        let kept: Vec<_> = edges.iter().enumerate().filter(|(i, _)| !removed.contains(i)).map(|(_, edge)| *edge).collect();
        assert!(circular(n, &kept).is_empty());
        assert!(kept.len() >= n - 1, "{} kept", kept.len());
    }
}
