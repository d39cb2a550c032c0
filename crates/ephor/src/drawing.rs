//! Where the steps of a plan stand when it is drawn: the same answer for the page, the interface and the terminal. Ranks by longest path,
//! points on the way of long edges, crossings taken out by barycentres, heights by what each node is joined to. The same plan is always
//! drawn alike.

use ephor_core::view::{PlanView, PlannedStep};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// The size of a node and the room between nodes, in pixels of the page.
pub(crate) const NODE: (u32, u32) = (136, 44);
const GAP: (f64, f64) = (44.0, 14.0);
/// How high the bend of an edge is that passes a rank.
const BEND: f64 = 10.0;
/// How many times crossings are looked for, and heights settled.
const SWEEPS: usize = 12;
const SETTLINGS: usize = 6;
/// Where two groups that are joined have more pairs of ends than this, their edges meet in one point between them.
const PAIRS_MAX: usize = 36;
/// With more bends than this in all, edges are drawn straight.
const BENDS_MAX: usize = 20_000;

/// What is drawn of a plan: steps, or the groups at its top, and what joins them.
#[derive(Debug)]
pub(crate) struct Sketch {
    /// Which steps of the plan are drawn, by their place in it.
    pub(crate) drawn: Vec<usize>,
    /// What needs what, by place in `drawn`; a place behind its end is a point where edges meet.
    pub(crate) edges: Vec<(usize, usize)>,
    nodes: usize,
}

impl Sketch {
    /// Of all its steps, or folded into what stands at its top.
    pub(crate) fn of(plan: &PlanView, fold: bool) -> Self {
        let is_drawn = |step: &PlannedStep| if fold { step.parent.is_none() } else { step.children == 0 };
        let drawn: Vec<usize> = (0..plan.steps.len()).filter(|i| is_drawn(&plan.steps[*i])).collect();
        let places: HashMap<&str, usize> = drawn.iter().enumerate().map(|(n, i)| (plan.steps[*i].path.as_str(), n)).collect();
        if fold {
            let top = |path: &str| path.split('.').next().and_then(|top| places.get(top)).copied();
            let joined = plan.steps.iter().flat_map(|step| step.needs.iter().map(|need| (top(need), top(&step.path))));
            let edges = joined.filter_map(|(from, to)| from.zip(to)).filter(|(from, to)| from != to);
            let mut sketch = Self { nodes: drawn.len(), drawn, edges: edges.collect() };
            sketch.edges.sort_unstable();
            sketch.edges.dedup();
            return sketch;
        }
        let mut sketch = Self { nodes: drawn.len(), drawn, edges: Vec::new() };
        let ends = Ends::of(plan, &places);
        for step in &plan.steps {
            let own = places.get(step.path.as_str());
            let starts = own.map_or_else(|| ends.first(&step.path), std::slice::from_ref);
            for need in &step.needs {
                match places.get(need.as_str()) {
                    Some(from) => sketch.join(&[*from], starts),
                    None => sketch.join(ends.last(need), starts),
                }
            }
        }
        sketch.edges.sort_unstable();
        sketch.edges.dedup();
        sketch
    }

    fn join(&mut self, from: &[usize], to: &[usize]) {
        if from.len() * to.len() > PAIRS_MAX {
            let point = self.nodes;
            self.nodes += 1;
            self.edges.extend(from.iter().map(|from| (*from, point)));
            self.edges.extend(to.iter().map(|to| (point, *to)));
        } else {
            self.edges.extend(from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))));
        }
    }

    /// Where everything stands.
    pub(crate) fn lay_out(&self) -> Drawing {
        Drawing::of(self.nodes, self.drawn.len(), &self.edges)
    }
}

/// The steps with which groups begin and end.
struct Ends {
    first: HashMap<String, Vec<usize>>,
    last: HashMap<String, Vec<usize>>,
}

impl Ends {
    fn of(plan: &PlanView, places: &HashMap<&str, usize>) -> Self {
        let (mut first, mut last): (HashMap<String, Vec<usize>>, HashMap<String, Vec<usize>>) = Default::default();
        let by_path: HashMap<&str, &PlannedStep> = plan.steps.iter().map(|s| (s.path.as_str(), s)).collect();
        // Whatever within a group is needed within it is not its end; whatever needs something within it is not its beginning.
        let (mut needed, mut needs) = (HashSet::new(), HashSet::new());
        for step in &plan.steps {
            for need in &step.needs {
                if let Some(of) = by_path.get(need.as_str())
                    && of.parent == step.parent
                {
                    needed.insert(of.path.as_str());
                    needs.insert(step.path.as_str());
                }
            }
        }
        // Groups before their parts, so that from behind parts are known before their groups.
        for step in plan.steps.iter().rev() {
            let Some(parent) = &step.parent else { continue };
            let own = places.get(step.path.as_str()).map(|n| vec![*n]);
            let [mut begin, mut end] = [own.clone(), own].map(Option::unwrap_or_default);
            if step.children > 0 {
                begin = first.get(&step.path).cloned().unwrap_or_default();
                end = last.get(&step.path).cloned().unwrap_or_default();
            }
            if !needs.contains(step.path.as_str()) {
                first.entry(parent.clone()).or_default().extend(begin);
            }
            if !needed.contains(step.path.as_str()) {
                last.entry(parent.clone()).or_default().extend(end);
            }
        }
        Self { first, last }
    }

    fn first(&self, group: &str) -> &[usize] {
        self.first.get(group).map(Vec::as_slice).unwrap_or_default()
    }

    fn last(&self, group: &str) -> &[usize] {
        self.last.get(group).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Where nodes stand and how edges run, in pixels from the upper left corner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Drawing {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The upper left corner of each node that is drawn.
    pub(crate) at: Vec<(u32, u32)>,
    /// The nodes of each rank that are drawn, from top to bottom.
    pub(crate) ranks: Vec<Vec<usize>>,
    /// The points of each edge, from its beginning to its end.
    pub(crate) routes: Vec<Vec<(u32, u32)>>,
}

impl Drawing {
    fn of(nodes: usize, drawn: usize, edges: &[(usize, usize)]) -> Self {
        let mut layers = Layers::new(nodes, drawn, edges);
        layers.uncross();
        let y = layers.settle();
        let top = y.iter().zip(&layers.height).map(|(y, h)| y - h / 2.0).fold(f64::INFINITY, f64::min);
        let top = if top.is_finite() { top } else { 0.0 };
        let x = |node: usize| layers.rank[node] as f64 * (f64::from(NODE.0) + GAP.0);
        let pixel = |value: f64| value.round().max(0.0) as u32;
        let point = |node: usize, right: bool| {
            let wide = f64::from(NODE.0);
            let along = match (node < drawn, right) {
                (true, true) => wide,
                (true, false) => 0.0,
                (false, _) => wide / 2.0,
            };
            (pixel(x(node) + along), pixel(y[node] - top))
        };
        let routes = layers.paths.iter().map(|path| {
            let last = path.len() - 1;
            path.iter().enumerate().map(|(i, node)| point(*node, i < last && i == 0)).collect()
        });
        let routes = routes.collect();
        let at = (0..drawn).map(|n| (pixel(x(n)), pixel(y[n] - top - layers.height[n] / 2.0))).collect();
        let bottom = y.iter().zip(&layers.height).map(|(y, h)| y + h / 2.0 - top).fold(0.0, f64::max);
        let ranks: Vec<Vec<usize>> =
            layers.order.iter().map(|rank| rank.iter().copied().filter(|n| *n < drawn).collect()).collect();
        let wide = layers.order.len() as f64 * (f64::from(NODE.0) + GAP.0) - GAP.0;
        Self { width: pixel(wide), height: pixel(bottom), at, ranks, routes }
    }
}

/// Nodes in ranks, those of long edges among them.
struct Layers {
    rank: Vec<usize>,
    height: Vec<f64>,
    order: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    paths: Vec<Vec<usize>>,
}

impl Layers {
    fn new(nodes: usize, drawn: usize, edges: &[(usize, usize)]) -> Self {
        let mut rank = ranks(nodes, edges);
        let mut height: Vec<f64> = (0..nodes).map(|n| if n < drawn { f64::from(NODE.1) } else { BEND }).collect();
        let long: usize = edges.iter().map(|(from, to)| rank[*to].saturating_sub(rank[*from] + 1)).sum();
        let mut paths = Vec::with_capacity(edges.len());
        for (from, to) in edges {
            let mut path = vec![*from];
            if long <= BENDS_MAX {
                for between in rank[*from] + 1..rank[*to] {
                    path.push(rank.len());
                    rank.push(between);
                    height.push(BEND);
                }
            }
            path.push(*to);
            paths.push(path);
        }
        let (mut before, mut after) = (vec![Vec::new(); rank.len()], vec![Vec::new(); rank.len()]);
        for pair in paths.iter().flat_map(|path| path.windows(2)) {
            let [from, to] = [pair[0], pair[1]];
            if rank[from] < rank[to] {
                after[from].push(to);
                before[to].push(from);
            }
        }
        let mut order = vec![Vec::new(); rank.iter().max().map_or(0, |last| last + 1)];
        for (node, rank) in rank.iter().enumerate() {
            order[*rank].push(node);
        }
        Self { rank, height, order, before, after, paths }
    }

    /// Orders each rank by the middle of what its nodes are joined to, there and back, and keeps the best.
    fn uncross(&mut self) {
        let mut best = (self.crossings(), self.order.clone());
        for sweep in 0..SWEEPS {
            if best.0 == 0 {
                break;
            }
            let down = sweep % 2 == 0;
            let ranks: Vec<usize> =
                if down { (1..self.order.len()).collect() } else { (0..self.order.len().saturating_sub(1)).rev().collect() };
            for rank in ranks {
                let beside = self.places(if down { rank - 1 } else { rank + 1 });
                let joined = if down { &self.before } else { &self.after };
                let own = self.places(rank);
                let middle = |node: &usize| {
                    let of: Vec<f64> = joined[*node].iter().filter_map(|n| beside.get(n).map(|p| *p as f64)).collect();
                    if of.is_empty() { own[node] as f64 } else { of.iter().sum::<f64>() / of.len() as f64 }
                };
                let mut keyed: Vec<(f64, usize)> = self.order[rank].iter().map(|node| (middle(node), *node)).collect();
                // A stable sort: what stands alike keeps its order.
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.order[rank] = keyed.into_iter().map(|(_, node)| node).collect();
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.order.clone());
            }
        }
        self.order = best.1;
    }

    fn places(&self, rank: usize) -> HashMap<usize, usize> {
        self.order[rank].iter().enumerate().map(|(place, node)| (*node, place)).collect()
    }

    /// How many edges cross, between all neighbouring ranks.
    fn crossings(&self) -> u64 {
        let mut all = 0;
        for rank in 1..self.order.len() {
            let places = self.places(rank);
            let mut seen = Fenwick::new(self.order[rank].len());
            let mut total = 0;
            for node in &self.order[rank - 1] {
                let mut ends: Vec<usize> = self.after[*node].iter().filter_map(|n| places.get(n).copied()).collect();
                ends.sort_unstable();
                all += ends.iter().map(|end| total - seen.up_to(*end)).sum::<u64>();
                for end in ends {
                    seen.add(end);
                    total += 1;
                }
            }
        }
        all
    }

    /// The middle of each node: near what it is joined to, in order, and not too close to its neighbours.
    fn settle(&self) -> Vec<f64> {
        let mut y = vec![0.0; self.rank.len()];
        for rank in &self.order {
            let mut at = 0.0;
            for node in rank {
                y[*node] = at + self.height[*node] / 2.0;
                at += self.height[*node] + GAP.1;
            }
        }
        for settling in 0..SETTLINGS {
            let down = settling % 2 == 0;
            let ranks: Vec<usize> = if down { (0..self.order.len()).collect() } else { (0..self.order.len()).rev().collect() };
            for rank in ranks {
                let nodes = &self.order[rank];
                let wish = |node: &usize| {
                    let joined = match (down, self.before[*node].is_empty(), self.after[*node].is_empty()) {
                        (true, false, _) | (false, _, true) => &self.before[*node],
                        (true, true, _) | (false, _, false) => &self.after[*node],
                    };
                    let sum: f64 = joined.iter().map(|n| y[*n]).sum();
                    if joined.is_empty() { y[*node] } else { sum / joined.len() as f64 }
                };
                let wishes: Vec<f64> = nodes.iter().map(wish).collect();
                for (node, at) in nodes.iter().zip(self.apart(nodes, &wishes)) {
                    y[*node] = at;
                }
            }
        }
        y
    }

    /// The places nearest to the wishes that keep order and distance (pool adjacent violators).
    fn apart(&self, nodes: &[usize], wishes: &[f64]) -> Vec<f64> {
        let mut offset = 0.0;
        let mut offsets = Vec::with_capacity(nodes.len());
        for (i, node) in nodes.iter().enumerate() {
            if i > 0 {
                offset += (self.height[nodes[i - 1]] + self.height[*node]) / 2.0 + GAP.1;
            }
            offsets.push(offset);
        }
        // Blocks of nodes that touch: the sum of what they wish for, and how many they are.
        let mut blocks: Vec<(f64, usize)> = Vec::new();
        for (wish, offset) in wishes.iter().zip(&offsets) {
            blocks.push((wish - offset, 1));
            while let [.., (a, n), (b, m)] = blocks[..] {
                if a / n as f64 <= b / m as f64 {
                    break;
                }
                blocks.truncate(blocks.len() - 2);
                blocks.push((a + b, n + m));
            }
        }
        let levels = blocks.into_iter().flat_map(|(sum, n)| std::iter::repeat_n(sum / n as f64, n));
        levels.zip(offsets).map(|(level, offset)| level + offset).collect()
    }
}

/// The rank of each node: behind everything it needs. Where groups that are folded need one another, the first one comes first.
fn ranks(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let (mut rank, mut owed, mut after) = (vec![0; nodes], vec![0_usize; nodes], vec![Vec::new(); nodes]);
    for (from, to) in edges {
        owed[*to] += 1;
        after[*from].push(*to);
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes).filter(|n| owed[*n] == 0).map(Reverse).collect();
    let (mut placed, mut next) = (vec![false; nodes], 0);
    loop {
        let node = match ready.pop() {
            Some(Reverse(node)) => node,
            None => {
                while next < nodes && placed[next] {
                    next += 1;
                }
                if next == nodes {
                    return rank;
                }
                next
            }
        };
        if std::mem::replace(&mut placed[node], true) {
            continue;
        }
        for to in &after[node] {
            if !placed[*to] {
                rank[*to] = rank[*to].max(rank[node] + 1);
                owed[*to] -= 1;
                if owed[*to] == 0 {
                    ready.push(Reverse(*to));
                }
            }
        }
    }
}

/// Counts by place, added up to any place in a few steps.
struct Fenwick(Vec<u64>);

impl Fenwick {
    fn new(places: usize) -> Self {
        Self(vec![0; places + 1])
    }

    fn add(&mut self, place: usize) {
        let mut i = place + 1;
        while i < self.0.len() {
            self.0[i] += 1;
            i += i & i.wrapping_neg();
        }
    }

    /// How many stand at this place or before it.
    fn up_to(&self, place: usize) -> u64 {
        let (mut i, mut sum) = (place + 1, 0);
        while i > 0 {
            sum += self.0[i];
            i &= i - 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(nodes: usize, edges: &[(usize, usize)]) -> Drawing {
        Drawing::of(nodes, nodes, edges)
    }

    #[test]
    fn a_node_stands_behind_everything_it_needs_and_nothing_overlaps() {
        // A thousand steps, each of which needs some of those before it.
        let mut seed = 7_u64;
        let mut edges = Vec::new();
        for to in 1..1_000_usize {
            for _ in 0..2 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                edges.push((to - 1 - (seed >> 33) as usize % to.min(60), to));
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let first = drawing(1_000, &edges);
        for (from, to) in &edges {
            assert!(first.at[*from].0 + NODE.0 < first.at[*to].0, "{from} stands before {to}");
        }
        for rank in &first.ranks {
            for pair in rank.windows(2) {
                assert!(first.at[pair[0]].1 + NODE.1 < first.at[pair[1]].1, "{pair:?} overlap");
            }
        }
        assert!(first.at.iter().all(|(x, y)| x + NODE.0 <= first.width && y + NODE.1 <= first.height));
        assert_eq!(first, drawing(1_000, &edges), "the same plan is drawn alike");
    }

    #[test]
    fn crossings_that_need_not_be_are_taken_out() {
        let layers = |edges: &[(usize, usize)]| {
            let mut layers = Layers::new(6, 6, edges);
            let before = layers.crossings();
            layers.uncross();
            (before, layers.crossings())
        };
        assert_eq!(layers(&[(0, 5), (1, 4), (2, 3)]), (3, 0));
        // Where nothing crosses, everything stays where it was written.
        assert_eq!(drawing(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]).ranks, [vec![0], vec![1, 2], vec![3]]);
    }

    #[test]
    fn an_edge_runs_from_the_right_of_one_to_the_left_of_the_other_past_what_is_between() {
        let drawn = drawing(3, &[(0, 1), (0, 2), (1, 2)]);
        let route = &drawn.routes[1];
        assert_eq!(route.len(), 3, "{route:?}");
        assert_eq!(route[0].0, drawn.at[0].0 + NODE.0);
        assert_eq!(route[2].0, drawn.at[2].0);
        let (x, y) = route[1];
        let (left, top) = drawn.at[1];
        assert!(x > left && x < left + NODE.0 && (y < top || y > top + NODE.1), "{route:?} passes beside {:?}", drawn.at[1]);
    }

    #[test]
    fn what_needs_one_another_is_drawn_all_the_same() {
        assert_eq!(drawing(2, &[(0, 1), (1, 0)]).ranks, [vec![0], vec![1]]);
        assert_eq!(drawing(0, &[]), Drawing { width: 0, height: 0, at: vec![], ranks: vec![], routes: vec![] });
    }
}
