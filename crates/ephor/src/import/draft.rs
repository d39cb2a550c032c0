//! A plan in the making, shared by the readers of foreign formats: steps in the order of the source, what contains what, who
//! waits for whom by foreign names; in the end numbered, freed of impossible dependencies, and reported.

use super::error::{Fault, Trouble};
use super::graph::Graph;
use super::report::Part;
use super::text::{shorten, words};
use super::{DEPTH_MAX, STEPS_MAX};
use ephor_core::spec::{PlanSpec, StepSpec};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How long a title gets, in characters: it has to fit a line of a list. What is longer moves to the description.
const TITLE_CHARS_MAX: usize = 200;

/// What every step of an outside agent does, and is able to do, where a format names neither.
pub(super) const WORK: &str = "work";

/// A plan in the making.
#[derive(Default)]
pub(super) struct Draft {
    nodes: Vec<Node>,
    by_key: HashMap<String, usize>,
    edges: Vec<Edge>,
    /// Names of things that are not in the plan though others may depend on them, and why they are not.
    absent: BTreeMap<String, Absent>,
    /// Whether each top-level step waits for the one before it.
    pub(super) sequential: bool,
}

struct Node {
    parent: Option<usize>,
    depth: usize,
    key: Option<String>,
    place: String,
    changes: Vec<String>,
    spec: StepSpec,
    children: usize,
}

struct Edge {
    waiting: usize,
    awaited: String,
    place: String,
}

/// Something others may depend on that is not in the plan.
struct Absent {
    why: String,
    /// Whether it is done, so that nobody has to wait for it.
    done: bool,
}

/// How the dependencies of a draft fared; those on what is already done do not count.
pub(super) struct Edges {
    pub(super) kept: usize,
    pub(super) given: usize,
}

impl Draft {
    /// A plan whose top-level steps wait for one another.
    pub(super) fn in_order() -> Self {
        Self { sequential: true, ..Self::default() }
    }

    /// Adds a step under `parent`. `key` is its name in the source, by which others refer to it; of two steps with one name the
    /// first keeps it.
    pub(super) fn add(&mut self, parent: Option<usize>, key: Option<&str>, place: &str, spec: StepSpec) -> Result<usize, Fault> {
        if self.nodes.len() == STEPS_MAX {
            return Err(too_large(place, format!("more than {STEPS_MAX} steps")));
        }
        let depth = parent.map_or(1, |p| self.nodes[p].depth + 1);
        if depth > DEPTH_MAX {
            return Err(too_large(place, format!("steps nested deeper than {DEPTH_MAX} levels")));
        }
        let index = self.nodes.len();
        let place = place.to_owned();
        self.nodes.push(Node { parent, depth, key: None, place, changes: Vec::new(), spec, children: 0 });
        if let Some(parent) = parent {
            self.nodes[parent].children += 1;
        }
        if let Some(key) = key.map(str::trim).filter(|key| !key.is_empty()) {
            self.name(index, key);
        }
        self.tidy_title(index);
        Ok(index)
    }

    fn name(&mut self, index: usize, key: &str) {
        if let Some(first) = self.by_key.get(key) {
            let first = self.nodes[*first].place.clone();
            self.change(index, format!("its id {} belongs to {first} already and was dropped", shorten(key, 60)));
            return;
        }
        self.by_key.insert(key.to_owned(), index);
        self.nodes[index].key = Some(key.to_owned());
        self.nodes[index].spec.external_id = Some(key.to_owned());
    }

    fn tidy_title(&mut self, index: usize) {
        let spec = &mut self.nodes[index].spec;
        let title = words(spec.title.as_deref().unwrap_or_default());
        if title.is_empty() {
            let title = spec.external_id.clone().unwrap_or_else(|| "untitled".to_owned());
            spec.title = Some(shorten(&title, TITLE_CHARS_MAX));
            return self.change(index, "it has no title");
        }
        let short = shorten(&title, TITLE_CHARS_MAX);
        if short == title {
            spec.title = Some(title);
            return;
        }
        spec.title = Some(short);
        let whole = match spec.description.take() {
            Some(description) => format!("{title}\n\n{description}"),
            None => title,
        };
        spec.description = Some(whole);
        self.change(index, "its long title moved to the description");
    }

    /// The step as it stands.
    pub(super) fn spec(&mut self, step: usize) -> &mut StepSpec {
        &mut self.nodes[step].spec
    }

    /// Adds a paragraph to a step's description.
    pub(super) fn describe(&mut self, step: usize, said: &str) {
        let description = self.nodes[step].spec.description.get_or_insert_default();
        if !description.is_empty() {
            description.push_str("\n\n");
        }
        description.push_str(said);
    }

    /// The group a step is part of.
    pub(super) fn parent(&self, step: usize) -> Option<usize> {
        self.nodes[step].parent
    }

    /// Notes something that was changed about a step.
    pub(super) fn change(&mut self, step: usize, what: impl Into<String>) {
        self.nodes[step].changes.push(what.into());
    }

    /// The step with this name in the source.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.by_key.get(key.trim()).copied()
    }

    /// Whether the source has something of this name, in the plan or left out of it.
    pub(super) fn is_known(&self, key: &str) -> bool {
        self.find(key).is_some() || self.absent.contains_key(key.trim())
    }

    /// `waiting` depends on whatever the source calls `awaited`.
    pub(super) fn depend(&mut self, waiting: usize, awaited: &str, place: &str) {
        self.edges.push(Edge { waiting, awaited: awaited.trim().to_owned(), place: place.to_owned() });
    }

    /// `key` is known and not in the plan, because of `why`.
    pub(super) fn leave_out(&mut self, key: &str, why: impl Into<String>) {
        self.absent.insert(key.trim().to_owned(), Absent { why: why.into(), done: false });
    }

    /// `key` is known and not in the plan, because it is done.
    pub(super) fn is_done(&mut self, key: &str, why: impl Into<String>) {
        self.absent.insert(key.trim().to_owned(), Absent { why: why.into(), done: true });
    }

    /// How many steps there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The steps that are no groups, in order.
    pub(super) fn leaves(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|i| self.nodes[*i].children == 0).collect()
    }

    /// The title of a step.
    pub(super) fn title(&self, step: usize) -> &str {
        self.nodes[step].spec.title.as_deref().unwrap_or_default()
    }

    /// How many children a step has.
    pub(super) fn children(&self, step: usize) -> usize {
        self.nodes[step].children
    }

    /// Numbers the steps as a plan does: `1`, `1.1`, `1.2`, `2`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut counts = vec![0usize; self.nodes.len() + 1];
        let mut paths: Vec<String> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let count = &mut counts[node.parent.map_or(0, |p| p + 1)];
            *count += 1;
            paths.push(match node.parent {
                None => count.to_string(),
                Some(parent) => format!("{}.{count}", paths[parent]),
            });
        }
        paths
    }

    /// Drops and reports dependencies that cannot hold: on what is unknown or absent, on the step itself or a group around or a
    /// step inside it, given twice, or part of a circle.
    pub(super) fn settle_edges(&mut self, part: &mut Part) -> Edges {
        let paths = self.paths();
        let mut given = self.edges.len();
        let mut seen = HashSet::new();
        let mut possible = Vec::new();
        for edge in std::mem::take(&mut self.edges) {
            let found = self.by_key.get(&edge.awaited).copied();
            let why_not = match found {
                None => Some(match self.absent.get(&edge.awaited) {
                    Some(absent) => {
                        given -= usize::from(absent.done);
                        absent.why.clone()
                    }
                    None => "nothing here has that id".to_owned(),
                }),
                Some(awaited) if awaited == edge.waiting => Some("a step cannot wait for itself".to_owned()),
                Some(awaited) if self.is_inside(edge.waiting, awaited) => Some("it is the group the step is part of".to_owned()),
                Some(awaited) if self.is_inside(awaited, edge.waiting) => Some("it is a part of the group itself".to_owned()),
                Some(awaited) if !seen.insert((edge.waiting, awaited)) => Some("it is given twice".to_owned()),
                Some(_) => None,
            };
            match (why_not, found) {
                (Some(why), _) => self.drop_edge(part, &edge, &paths, &why),
                (None, found) => possible.push((edge, found.expect("an edge without a target has a reason against it"))),
            }
        }
        let circular = self.circular(&possible);
        for (number, (edge, awaited)) in possible.iter().enumerate() {
            if circular.contains(&number) {
                self.drop_edge(part, edge, &paths, "it closes a circle with other dependencies");
            } else {
                part.counts.dependencies += 1;
                let needed = paths[*awaited].clone();
                self.nodes[edge.waiting].spec.depends_on.push(needed);
            }
        }
        Edges { kept: part.counts.dependencies, given }
    }

    fn drop_edge(&self, part: &mut Part, edge: &Edge, paths: &[String], why: &str) {
        let name = format!("{} needs {}", paths[edge.waiting], shorten(&edge.awaited, 60));
        part.dropped(edge.place.clone(), name, why);
    }

    fn circular(&self, edges: &[(Edge, usize)]) -> std::collections::BTreeSet<usize> {
        let mut graph = Graph::new(self.nodes.len());
        let mut last_child = vec![None; self.nodes.len() + 1];
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(parent) = node.parent {
                graph.contains(parent, index);
            }
            let in_order = node.parent.map_or(self.sequential, |p| self.nodes[p].spec.sequential);
            let elder = last_child[node.parent.map_or(0, |p| p + 1)].replace(index);
            if let (true, Some(elder)) = (in_order, elder) {
                graph.follows(elder, index);
            }
        }
        for (number, (edge, awaited)) in edges.iter().enumerate() {
            graph.depends(edge.waiting, *awaited, number);
        }
        graph.circular()
    }

    fn is_inside(&self, step: usize, group: usize) -> bool {
        let mut above = self.nodes[step].parent;
        while let Some(parent) = above {
            if parent == group {
                return true;
            }
            above = self.nodes[parent].parent;
        }
        false
    }

    /// The finished plan; every step of it stands in the report.
    pub(super) fn finish(self, part: &mut Part) -> PlanSpec {
        let paths = self.paths();
        let parents: Vec<Option<usize>> = self.nodes.iter().map(|node| node.parent).collect();
        let mut specs: Vec<StepSpec> = Vec::with_capacity(self.nodes.len());
        for (node, path) in self.nodes.into_iter().zip(paths) {
            part.step(node.place, path, node.spec.title.clone().unwrap_or_default(), node.changes);
            specs.push(node.spec);
        }
        // Parents stand before their children, so taking from the end completes every group before it is moved itself.
        let mut steps = Vec::new();
        while let Some(mut spec) = specs.pop() {
            spec.steps.reverse();
            match parents[specs.len()] {
                Some(parent) => specs[parent].steps.push(spec),
                None => steps.push(spec),
            }
        }
        steps.reverse();
        PlanSpec { steps, sequential: self.sequential, confidence: part.confidence, confidence_reasons: part.reasons() }
    }
}

fn too_large(place: &str, message: String) -> Fault {
    Fault { trouble: Trouble::TooLarge, ..Fault::field(place, message) }
}

/// The factor for the order of steps: what is stated and holds, weighed against what had to be dropped.
pub(super) fn order_factor(part: &mut Part, edges: &Edges, silent: f64, silence: &str) {
    let Edges { kept, given } = *edges;
    if given == 0 {
        return part.factor("order", silent, silence);
    }
    // A source that contradicts itself may have meant something else, but its hierarchy still stands: never below 0.6.
    let value = (0.9 * kept as f64 / given as f64).max(0.6);
    part.factor(
        "order",
        value,
        format!("{kept} of {given} stated dependencies hold; what they do not order may run side by side"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(title: &str) -> StepSpec {
        StepSpec { title: Some(title.to_owned()), ..StepSpec::default() }
    }

    #[test]
    fn steps_are_numbered_nested_and_freed_of_impossible_edges() {
        let (mut draft, mut part) = (Draft::default(), Part::default());
        let a = draft.add(None, Some("A"), "a", step("first")).unwrap();
        let a1 = draft.add(Some(a), Some("A1"), "a1", step("inner")).unwrap();
        let b = draft.add(None, Some("B"), "b", step("second")).unwrap();
        let again = draft.add(None, Some("B"), "b2", step("")).unwrap();
        draft.is_done("done", "already COMPLETED");
        for (waiting, awaited) in
            [(b, "A1"), (b, "A1"), (a1, "A"), (a, "A1"), (b, "B"), (a1, "B"), (b, "nobody"), (again, "done"), (again, " A ")]
        {
            draft.depend(waiting, awaited, "e");
        }
        let edges = draft.settle_edges(&mut part);
        let plan = draft.finish(&mut part);
        assert_eq!((edges.kept, edges.given, part.counts.dropped), (2, 8, 7));
        assert_eq!(plan.steps[1].depends_on, ["1.1"]);
        assert!(plan.steps[0].steps[0].depends_on.is_empty(), "of a circle, the step that stands first need not wait");
        assert_eq!(plan.steps[2].depends_on, ["1"]);
        assert_eq!((plan.steps[2].external_id.as_deref(), plan.steps[2].title.as_deref()), (None, Some("untitled")));
        let text = format!("{:?}", part.items);
        for why in ["given twice", "group the step is part of", "part of the group itself", "wait for itself", "closes a circle"]
        {
            assert!(text.contains(why), "{why} is missing from {text}");
        }
        assert!(text.contains("nothing here has that id") && text.contains("already COMPLETED"));
    }

    #[test]
    fn a_long_title_moves_to_the_description() {
        let (mut draft, mut part) = (Draft::default(), Part::default());
        draft.add(None, None, "x", step(&"word ".repeat(100))).unwrap();
        let plan = draft.finish(&mut part);
        assert_eq!(plan.steps[0].title.as_ref().unwrap().chars().count(), TITLE_CHARS_MAX + 1);
        assert_eq!(plan.steps[0].description.as_ref().unwrap().len(), 499);
        assert_eq!(part.counts.changed, 1);
    }
}
