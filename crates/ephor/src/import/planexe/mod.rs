//! PlanExe: the numbered files of a run folder, of which the work breakdown structure (023-3) is the plan.
//!
//! What contains what comes from the breakdown; what waits for what from the stated dependencies (021) alone. PlanExe's own
//! chart chains siblings instead and ignores 021; both together make circles in real plans. Leaves are work for outside
//! agents: their resources are free text, names of people and things, no capabilities, so every leaf asks for the capability `work`.

mod csv;
mod tree;

use super::draft::{Draft, WORK, order_factor};
use super::error::Fault;
use super::fields::{Fields, scalar, text, texts};
use super::report::Part;
use ephor_core::spec::Request;
use ephor_core::time::WireDuration;
use serde_json::Value;
use std::collections::HashMap;

/// PlanExe writes days, and means whole days of the calendar.
const DAY_MS: f64 = 86_400_000.0;

/// The longest duration that is believed: a thousand years.
const DAYS_MAX: f64 = 365_000.0;

/// Where the breakdown is read from.
pub(super) enum Breakdown<'a> {
    /// 023-3, 019 and the older `wbs_project.json`: one tree.
    Tree(&'a Value),
    /// 018-5 with the phases and tasks, 018-2 with the project, 023-2 with the leaves.
    Levels { project: Option<&'a Value>, tasks: &'a Value, leaves: Option<&'a Value> },
    /// 023-4: a column for each level.
    LevelsCsv(&'a str),
    /// 026-3: the chart as a table.
    ChartCsv(&'a str),
}

/// The files of one run, as far as they are there.
pub(super) struct Run<'a> {
    /// What contains what.
    pub(super) breakdown: Breakdown<'a>,
    /// 021.
    pub(super) dependencies: Option<&'a Value>,
    /// 022-2.
    pub(super) durations: Option<&'a Value>,
    /// 001-2: what the plan was asked for.
    pub(super) prompt: Option<&'a str>,
}

/// The root of a breakdown: it becomes the task, everything below it a step.
#[derive(Default)]
struct Project {
    id: Option<String>,
    title: Option<String>,
    deliverable: Option<String>,
}

/// What a reader of a breakdown hands on.
#[derive(Default)]
struct Outline<'a> {
    project: Project,
    draft: Draft,
    resources: HashMap<usize, Vec<String>>,
    /// Entries as in 021 and 022-2 that stand at the steps themselves, as the older form has them.
    inline: Vec<(usize, String, &'a Fields)>,
    days: HashMap<usize, Days>,
    /// Days between the dates of a chart, for steps without a duration of their own.
    chart_days: HashMap<usize, f64>,
}

/// How many days a phase or a task takes.
#[derive(Clone, Default)]
struct Days {
    realistic: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    risks: Option<String>,
    mitigation: Option<String>,
}

/// Reads a run into a request.
pub(super) fn read(run: &Run<'_>, name: &str, part: &mut Part) -> Result<Request, Fault> {
    let mut outline = match run.breakdown {
        Breakdown::Tree(value) => tree::read(value, part)?,
        Breakdown::Levels { project, tasks, leaves } => tree::read_levels(project, tasks, leaves, part)?,
        Breakdown::LevelsCsv(text) => csv::read_levels(text, part)?,
        Breakdown::ChartCsv(text) => csv::read_chart(text, part)?,
    };
    if outline.draft.len() == 0 {
        return Err(Fault::field("", "the breakdown has no tasks below its project"));
    }
    let (inline_edges, inline_days) = outline.read_inline(part);
    let edges = inline_edges + run.dependencies.map_or(0, |value| outline.read_dependencies(value, part));
    let days = inline_days + run.durations.map_or(0, |value| outline.read_durations(value, part));
    outline.spread_days();
    outline.dress_leaves();
    outline.judge_detail(part);
    note_rules(part, edges, days, !outline.chart_days.is_empty());
    let Outline { project, mut draft, .. } = outline;
    if let Some(id) = &project.id {
        draft.leave_out(id, "it is the plan itself");
    }
    let settled = draft.settle_edges(part);
    order_factor(part, &settled, 0.8, "no dependencies are stated (021 is missing or empty), so everything may run side by side");
    let title = project.title.unwrap_or_else(|| super::text::stem(name).to_owned());
    let plan = draft.finish(part);
    Ok(Request {
        description: run.prompt.map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).or_else(|| Some(title.clone())),
        title: Some(title),
        acceptance_criteria: project.deliverable.map(|d| format!("Final deliverable: {d}")).into_iter().collect(),
        external_id: project.id,
        source: Some("planexe".to_owned()),
        plan: Some(plan),
        ..Request::default()
    })
}

fn note_rules(part: &mut Part, edges: usize, days: usize, charted: bool) {
    part.note(format!(
        "leaves have the action `{WORK}` and ask for the capability `{WORK}`: resources_needed is free text and was kept as a parameter"
    ));
    part.note("the order of siblings was not applied: it contradicts the stated dependencies in real plans");
    if edges == 0 {
        part.note("no stated dependencies were found (021-task_dependencies_raw.json)");
    }
    if charted {
        part.note("where no duration is stated, the estimate is the days between the dates of the chart");
    } else if days == 0 {
        part.note("no durations were found (022-2-task_durations.json), so there are no estimates");
    }
    if days > 0 {
        part.note("estimates are days_realistic at 24 h a day; leaves share the days of their parent evenly");
    }
}

impl<'a> Outline<'a> {
    /// Dependencies and durations that stand at the steps themselves; how many entries of each there were.
    fn read_inline(&mut self, part: &mut Part) -> (usize, usize) {
        let (mut edges, mut days) = (0, 0);
        for (step, path, fields) in std::mem::take(&mut self.inline) {
            for awaited in texts(fields.get("depends_on_task_ids")) {
                self.draft.depend(step, &awaited, &format!("{path}.depends_on_task_ids"));
                edges += 1;
            }
            if fields.contains_key("days_realistic") {
                self.take_days(step, &path, fields, part);
                days += 1;
            }
        }
        (edges, days)
    }

    /// 021; how many dependencies it states. An entry that makes no sense is reported and left.
    fn read_dependencies(&mut self, value: &Value, part: &mut Part) -> usize {
        let entries = value.get("task_dependency_details").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut stated = 0;
        for (index, entry) in entries.iter().enumerate() {
            let place = format!("task_dependency_details[{index}]");
            let waiting = entry.get("dependent_task_id").and_then(scalar);
            let awaited = texts(entry.get("depends_on_task_id_list"));
            stated += awaited.len();
            let Some(waiting) = waiting else {
                part.dropped(place, "dependency", "it has no dependent_task_id");
                continue;
            };
            match self.draft.find(&waiting) {
                Some(step) => awaited.iter().for_each(|awaited| self.draft.depend(step, awaited, &place)),
                None if awaited.is_empty() => {}
                None => {
                    part.dropped(place, format!("{waiting} needs {}", awaited.join(", ")), "nothing here has the dependent's id")
                }
            }
        }
        stated
    }

    /// 022-2; how many durations it holds.
    fn read_durations(&mut self, value: &Value, part: &mut Part) -> usize {
        let entries = value.as_array().map_or(&[][..], Vec::as_slice);
        for (index, entry) in entries.iter().enumerate() {
            let place = format!("durations[{index}]");
            let Some((id, fields)) = text_id(entry) else {
                part.dropped(place, "duration", "it has no task_id");
                continue;
            };
            match self.draft.find(&id) {
                Some(step) if self.days.contains_key(&step) => {
                    part.dropped(place, format!("days of {id}"), "they are given twice")
                }
                Some(step) => self.take_days(step, &place, fields, part),
                None if self.project.id.as_ref() == Some(&id) => part.dropped(place, id, "it is the plan itself"),
                None => part.dropped(place, format!("days of {id}"), "nothing here has that id"),
            }
        }
        entries.len()
    }

    fn take_days(&mut self, step: usize, place: &str, fields: &Fields, part: &mut Part) {
        let mut unusable = Vec::new();
        let mut number = |key: &str| match fields.get(key) {
            None | Some(Value::Null) => None,
            Some(value) => match value.as_f64() {
                Some(days) if (0.0..=DAYS_MAX).contains(&days) => Some(days),
                Some(-1.0) => {
                    unusable.push(format!("{key} -1 means unknown"));
                    None
                }
                _ => {
                    unusable.push(format!("{key} {} is no number of days", super::text::shorten(&value.to_string(), 40)));
                    None
                }
            },
        };
        let (realistic, min, max) = (number("days_realistic"), number("days_min"), number("days_max"));
        if !unusable.is_empty() {
            part.dropped(place, format!("days of {}", self.draft.title(step)), unusable.join(", "));
        }
        let (risks, mitigation) = (text(fields, &["delay_risks"]), text(fields, &["mitigation_strategy"]));
        self.days.insert(step, Days { realistic, min, max, risks, mitigation });
    }

    /// Estimates for steps with days of their own, and for leaves their share of their parent's.
    fn spread_days(&mut self) {
        for step in 0..self.draft.len() {
            let own = self.days.get(&step).cloned();
            let parent = self.draft.parent(step);
            let share = || {
                let parent = parent.filter(|_| self.draft.children(step) == 0)?;
                Some(self.days.get(&parent)?.realistic? / self.draft.children(parent) as f64)
            };
            let charted = self.chart_days.get(&step).copied();
            let days = own.as_ref().and_then(|days| days.realistic).or(charted).or_else(share);
            let spec = self.draft.spec(step);
            spec.estimate = days.map(|days| WireDuration { ms: (days * DAY_MS).round() as u64 });
            if let Some(said) = own.and_then(|days| days.words()) {
                self.draft.describe(step, &said);
            }
        }
    }

    fn dress_leaves(&mut self) {
        let leaves = self.draft.leaves();
        for step in &leaves {
            let resources = self.resources.remove(step).unwrap_or_default();
            let spec = self.draft.spec(*step);
            spec.action = Some(WORK.to_owned());
            spec.capabilities = vec![WORK.to_owned()];
            if !resources.is_empty() {
                spec.params.insert("resources_needed".to_owned(), resources.into());
            }
        }
        for step in self.resources.keys() {
            self.draft.change(*step, "its resources_needed were dropped: a group does no work itself");
        }
    }

    /// How much is said about the work itself.
    fn judge_detail(&mut self, part: &mut Part) {
        let leaves = self.draft.leaves();
        if leaves.iter().all(|step| self.draft.parent(*step).is_none_or(|p| self.draft.parent(p).is_none())) {
            return part.factor("detail", 0.8, "the source ends at tasks; the single actions below them are missing");
        }
        let described = leaves.iter().filter(|step| self.draft.spec(**step).description.is_some()).count();
        let value = 0.85 + 0.15 * described as f64 / leaves.len() as f64;
        part.factor("detail", value, format!("{described} of {} leaves are described beyond their title", leaves.len()));
    }
}

impl Days {
    /// What is known beside the estimate, for people.
    fn words(&self) -> Option<String> {
        let range = match (self.min, self.max) {
            (Some(min), Some(max)) => Some(format!("Expected to take {min} to {max} days.")),
            (Some(min), None) => Some(format!("Expected to take {min} days or more.")),
            (None, Some(max)) => Some(format!("Expected to take {max} days at most.")),
            (None, None) => None,
        };
        let risks = self.risks.as_ref().map(|risks| format!("Delay risks: {risks}"));
        let mitigation = self.mitigation.as_ref().map(|mitigation| format!("Mitigation: {mitigation}"));
        let said: Vec<String> = [range, risks, mitigation].into_iter().flatten().collect();
        if said.is_empty() { None } else { Some(said.join("\n")) }
    }
}

fn text_id(entry: &Value) -> Option<(String, &Fields)> {
    let fields = entry.as_object()?;
    Some((text(fields, &["task_id"])?, fields))
}
