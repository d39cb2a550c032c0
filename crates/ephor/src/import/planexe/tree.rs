//! The breakdown as JSON: one tree (023-3, 019), or a file per level (018-2, 018-5, 023-2).

use super::{Outline, Project};
use crate::import::error::Fault;
use crate::import::fields::{Fields, list, object, text, texts};
use crate::import::report::Part;
use ephor_core::spec::StepSpec;
use serde_json::Value;
use std::collections::HashMap;

/// One tree below `wbs_project`.
pub(super) fn read<'a>(value: &'a Value, part: &mut Part) -> Result<Outline<'a>, Fault> {
    let path = "wbs_project";
    let root = object(value.get(path).unwrap_or(&Value::Null), path)?;
    let extra = extra_fields(root, path)?;
    let project = Project {
        id: text(root, &["id"]),
        title: text(root, &["description"]),
        deliverable: extra.and_then(|extra| text(extra, &["final_deliverable"])),
    };
    let mut outline = Outline { project, ..Outline::default() };
    outline.add_children(None, root, path)?;
    part.factor("hierarchy", 1.0, "the source states it as a tree");
    Ok(outline)
}

fn extra_fields<'a>(fields: &'a Fields, path: &str) -> Result<Option<&'a Fields>, Fault> {
    match fields.get("extra_fields") {
        None | Some(Value::Null) => Ok(None),
        Some(extra) => object(extra, &format!("{path}.extra_fields")).map(Some),
    }
}

impl<'a> Outline<'a> {
    fn add_children(&mut self, parent: Option<usize>, fields: &'a Fields, path: &str) -> Result<(), Fault> {
        let path = format!("{path}.task_children");
        for (index, child) in list(fields.get("task_children"), &path)?.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let child = object(child, &path)?;
            let extra = extra_fields(child, &path)?;
            let spec = StepSpec {
                title: text(child, &["description"]),
                description: extra.and_then(|extra| text(extra, &["detailed_description"])),
                ..StepSpec::default()
            };
            let step = self.draft.add(parent, text(child, &["id"]).as_deref(), &path, spec)?;
            if let Some(extra) = extra {
                self.keep_resources(step, extra);
                self.inline.push((step, format!("{path}.extra_fields"), extra));
            }
            self.add_children(Some(step), child, &path)?;
        }
        Ok(())
    }

    fn keep_resources(&mut self, step: usize, fields: &Fields) {
        let resources = texts(fields.get("resources_needed"));
        if !resources.is_empty() {
            self.resources.insert(step, resources);
        }
    }
}

/// A file for each level: the project, its phases with their tasks, and leaves that name their task.
pub(super) fn read_levels<'a>(
    project: Option<&'a Value>,
    tasks: &'a Value,
    leaves: Option<&'a Value>,
    part: &mut Part,
) -> Result<Outline<'a>, Fault> {
    let mut outline = Outline { project: project.map(project_of).unwrap_or_default(), ..Outline::default() };
    let mut leaves_of = Leaves::read(leaves)?;
    for (index, phase) in list(Some(tasks), "level 2")?.iter().enumerate() {
        let path = format!("[{index}]");
        let phase = object(phase, &path)?;
        let phase_step = outline.add_titled(None, phase, "major_phase_title", &path)?;
        let path = format!("{path}.subtasks");
        for (index, task) in list(phase.get("subtasks"), &path)?.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let task = object(task, &path)?;
            let step = outline.add_titled(Some(phase_step), task, "description", &path)?;
            let id = text(task, &["id"]).unwrap_or_default();
            for (path, leaf) in leaves_of.by_task.remove(id.as_str()).unwrap_or_default() {
                outline.add_leaf(step, leaf, &path)?;
            }
        }
    }
    leaves_of.report_orphans(part);
    Ok(outline)
}

fn project_of(value: &Value) -> Project {
    let Some(fields) = value.as_object() else { return Project::default() };
    Project {
        id: text(fields, &["id"]),
        title: text(fields, &["project_title"]),
        deliverable: text(fields, &["final_deliverable"]),
    }
}

impl Outline<'_> {
    fn add_titled(&mut self, parent: Option<usize>, fields: &Fields, title: &str, path: &str) -> Result<usize, Fault> {
        let spec = StepSpec { title: text(fields, &[title]), ..StepSpec::default() };
        self.draft.add(parent, text(fields, &["id"]).as_deref(), path, spec)
    }

    fn add_leaf(&mut self, parent: usize, fields: &Fields, path: &str) -> Result<(), Fault> {
        let spec =
            StepSpec { title: text(fields, &["name"]), description: text(fields, &["description"]), ..StepSpec::default() };
        let step = self.draft.add(Some(parent), text(fields, &["id"]).as_deref(), path, spec)?;
        self.keep_resources(step, fields);
        Ok(())
    }
}

/// The leaves of 023-2 by the task they belong to.
struct Leaves<'a> {
    by_task: HashMap<String, Vec<(String, &'a Fields)>>,
    count: usize,
}

impl<'a> Leaves<'a> {
    fn read(value: Option<&'a Value>) -> Result<Self, Fault> {
        let mut by_task: HashMap<String, Vec<_>> = HashMap::new();
        let items = list(value, "level 3")?;
        for (index, leaf) in items.iter().enumerate() {
            let path = format!("level 3[{index}]");
            let leaf = object(leaf, &path)?;
            by_task.entry(text(leaf, &["parent_id"]).unwrap_or_default()).or_default().push((path, leaf));
        }
        Ok(Self { by_task, count: items.len() })
    }

    /// What is left over names a task that is not there.
    fn report_orphans(self, part: &mut Part) {
        let mut orphans: Vec<_> = self.by_task.into_values().flatten().collect();
        orphans.sort_by(|a, b| a.0.cmp(&b.0));
        for (path, leaf) in &orphans {
            let name = text(leaf, &["name", "id"]).unwrap_or_default();
            part.dropped(path.clone(), name, "no task has the id in its parent_id");
        }
        let found = self.count - orphans.len();
        let (value, why) = match self.count {
            0 => (1.0, "phases and their tasks are stated".to_owned()),
            all => (found as f64 / all as f64, format!("{found} of {all} leaves name a task that is there")),
        };
        part.factor("hierarchy", value, why);
    }
}
