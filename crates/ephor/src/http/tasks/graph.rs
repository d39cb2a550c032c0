//! A plan as nodes and edges, for whoever draws it.

use ephor_core::status::StepStatus;
use ephor_core::task::Task;
use ephor_core::time::WireDuration;
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
    /// The plan a task follows, with where its steps are.
    pub(super) fn of(task: &Task) -> Self {
        let plan = task.plan_view();
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
        Self {
            nodes: steps.iter().map(node).collect(),
            edges: steps.iter().flat_map(needs).collect(),
            parallel_groups: plan.parallel_groups,
            critical_path: plan.critical_path,
        }
    }
}
