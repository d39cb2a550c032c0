//! A plan as nodes and edges, for whoever draws it.

use crate::drawing::{NODE, Sketch};
use ephor_core::status::StepStatus;
use ephor_core::task::Task;
use ephor_core::time::WireDuration;
use ephor_core::view::StepCounts;
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// A plan, drawn.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GraphView {
    /// Steps and groups.
    nodes: Vec<Node>,
    /// What needs what.
    edges: Vec<Edge>,
    /// Sets of steps that may run side by side; the rank of a step is the index of its set.
    parallel_groups: Vec<Vec<String>>,
    /// The chain of steps that decides how long the whole takes.
    critical_path: Vec<String>,
    /// Where everything stands when it is drawn.
    drawing: DrawingView,
}

/// A drawing of a plan from left to right. Units are pixels, from the upper left corner.
#[derive(Debug, Serialize, ToSchema)]
struct DrawingView {
    /// How wide it is.
    width: u32,
    /// How high it is.
    height: u32,
    /// How wide each node is.
    node_width: u32,
    /// How high each node is.
    node_height: u32,
    /// Whether groups stand for what is in them.
    folded: bool,
    /// What is drawn: steps, or what stands at the top of the plan.
    nodes: Vec<Placed>,
    /// What joins them.
    lines: Vec<Drawn>,
}

/// Where a node stands.
#[derive(Debug, Serialize, ToSchema)]
struct Placed {
    /// The path of its step or group.
    id: String,
    /// Its left edge.
    x: u32,
    /// Its upper edge.
    y: u32,
    /// Of a group that is folded: how many of its steps are in which status.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<StepCounts>,
}

/// A line of a drawing. Where many need many, their lines meet in a point, and a line has one end there.
#[derive(Debug, Serialize, ToSchema)]
struct Drawn {
    /// The node it comes from; missing where that is a point.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The node it leads to; missing where that is a point.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// The points on its way, each with its place from the left and from above.
    points: Vec<(u32, u32)>,
}

/// A step or a group.
#[derive(Debug, Serialize, ToSchema)]
struct Node {
    /// Its path.
    id: String,
    /// What people call it.
    label: String,
    /// The group it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// Where it is.
    status: StepStatus,
    /// Whether it decides how long the whole takes.
    critical: bool,
    /// How late it may be without making the whole later.
    #[serde(skip_serializing_if = "Option::is_none")]
    slack: Option<WireDuration>,
}

/// That one step needs another.
#[derive(Debug, Serialize, ToSchema)]
struct Edge {
    /// What is needed.
    from: String,
    /// What needs it.
    to: String,
}

impl GraphView {
    /// The plan a task follows, with where its steps are; drawn step by step, or by what stands at its top.
    pub(super) fn of(task: &Task, fold: bool) -> Self {
        let plan = task.plan_view();
        let sketch = Sketch::of(&plan, fold);
        let laid = sketch.lay_out();
        let path = |n: usize| sketch.drawn.get(n).map(|i| plan.steps[*i].path.clone());
        let slack: HashMap<&str, Option<WireDuration>> = plan.steps.iter().map(|s| (s.path.as_str(), s.slack)).collect();
        let steps = task.step_views();
        let node = |step: &ephor_core::view::StepView| Node {
            id: step.path.clone(),
            label: step.label().to_owned(),
            parent: step.parent.clone(),
            status: step.status,
            critical: plan.critical_path.contains(&step.path),
            slack: slack.get(step.path.as_str()).copied().flatten(),
        };
        let needs = |step: &ephor_core::view::StepView| {
            let to = step.path.clone();
            step.needs.clone().into_iter().map(move |from| Edge { from, to: to.clone() })
        };
        let top = |path: &str| path.split('.').next().unwrap_or(path).to_owned();
        let mut inside: HashMap<String, Vec<StepStatus>> = HashMap::new();
        for step in steps.iter().filter(|step| fold && !step.is_group() && step.parent.is_some()) {
            inside.entry(top(&step.path)).or_default().push(step.status);
        }
        let placed = laid.at.iter().enumerate().filter_map(|(n, (x, y))| {
            let id = path(n)?;
            let steps = inside.get(&id).map(|statuses| StepCounts::of(statuses.iter().copied()));
            Some(Placed { id, x: *x, y: *y, steps })
        });
        let ends = sketch.edges.iter().zip(laid.routes);
        let lines = ends.map(|((from, to), points)| Drawn { from: path(*from), to: path(*to), points });
        let drawing = DrawingView {
            width: laid.width,
            height: laid.height,
            node_width: NODE.0,
            node_height: NODE.1,
            folded: fold,
            nodes: placed.collect(),
            lines: lines.collect(),
        };
        Self {
            drawing,
            nodes: steps.iter().map(node).collect(),
            edges: steps.iter().flat_map(needs).collect(),
            parallel_groups: plan.parallel_groups,
            critical_path: plan.critical_path,
        }
    }
}
