//! What a choice means for a plan: which steps ask for which model, and for how large a machine. Pure; called where a request or a later
//! plan is decided, and nowhere else.

use super::catalogue::{Catalogue, Wanted};
use super::{AUTO, Complexity, ModelSelection, ResourceAllocation, is_by_model};
use crate::matching::is_built_in;
use crate::plan::{Does, Plan, Step};

/// From how many steps, or requirements, on there is something to a task, and from how many on much.
const STEPS_MODERATE: usize = 4;
const STEPS_COMPLEX: usize = 13;
const REQUIREMENTS_MODERATE: usize = 3;
const REQUIREMENTS_COMPLEX: usize = 8;
/// The same for how long somebody expects it to take, in milliseconds.
const LASTS_MODERATE_MS: u64 = 3_600_000;
const LASTS_COMPLEX_MS: u64 = 4 * LASTS_MODERATE_MS;

/// What a task says about its models and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) wanted: Wanted<'a>,
    /// The model its steps ask for that name none: a name, or `auto`.
    pub(crate) model: Option<&'a str>,
    /// How much there is to it, where its submitter says so.
    pub(crate) complexity: Option<Complexity>,
}

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) models: Option<Box<ModelSelection>>,
    pub(crate) allocation: Option<Box<ResourceAllocation>>,
}

/// Lets the steps of a plan that leave it open ask for the models the house chooses, and for a machine of the size that was asked for.
/// A plan that asks for neither costs one look at its actions.
pub(crate) fn choose(plan: &mut Plan, asked: &Asked<'_>, house: &Catalogue) -> Chosen {
    let open = plan.steps.iter().any(|step| leaves_open(step, asked.model));
    if !open && asked.complexity.is_none() {
        return Chosen::default();
    }
    let by_name = asked.model.filter(|name| *name != AUTO);
    let selection = if open && by_name.is_none() { house.select(&asked.wanted) } else { None };
    let allocation = allocate(plan, asked, house, selection.as_ref());
    for step in plan.steps.iter_mut().filter(|step| leaves_open(step, asked.model)) {
        let binding = selection.as_ref().filter(|selection| !selection.advice);
        let chosen = binding.map(|selection| selection.for_type(step.task_type.as_deref().unwrap_or(asked.wanted.task_type)));
        step.model_chosen = by_name.is_none() && chosen.is_some();
        step.model = by_name.or(chosen).map(Into::into);
    }
    if !allocation.advice {
        for step in plan.steps.iter_mut().filter(|step| step.does() == Does::Work) {
            for (name, size) in allocation.sizes().into_iter().filter(|(_, size)| *size > 0) {
                step.demands.entry(name.into()).or_insert(size);
            }
            step.timeout_ms.get_or_insert(allocation.execution_timeout.ms);
        }
    }
    Chosen { models: selection.map(Box::new), allocation: Some(Box::new(allocation)) }
}

/// Whether which model a step is done with is for the house to say.
fn leaves_open(step: &Step, model: Option<&str>) -> bool {
    match step.model.as_deref() {
        Some(AUTO) => true,
        Some(_) => false,
        None => step.does() == Does::Work && (is_by_model(&step.action) || (model.is_some() && !is_built_in(&step.action))),
    }
}

/// How large a machine: by how much there is to the task, and by what its models need beside.
fn allocate(plan: &Plan, asked: &Asked<'_>, house: &Catalogue, selection: Option<&ModelSelection>) -> ResourceAllocation {
    let (complexity, why) = match asked.complexity {
        Some(said) => (said, format!("the submitter says {}", said.word())),
        None => found(plan, asked),
    };
    let size = house.complexity.of(complexity);
    let mut reasoning = why;
    let task_type = asked.wanted.task_type;
    let model = asked.model.filter(|name| *name != AUTO).or(selection.map(|selection| selection.for_type(task_type)));
    let needs = model.and_then(|name| house.catalogue.get(name)).map(|known| &known.resources);
    let more = |name: &str| needs.and_then(|needs| needs.get(name)).copied().unwrap_or(0);
    if let Some((model, needs)) = model.zip(needs).filter(|(_, needs)| !needs.is_empty()) {
        let list: Vec<String> = needs.iter().map(|(name, n)| format!("{n} {name}")).collect();
        reasoning.push_str(&format!("; {model} needs {} beside", list.join(", ")));
    }
    let gpu_memory_mb = size.gpu_memory_mb.unwrap_or(0).saturating_add(more("gpu_memory_mb"));
    ResourceAllocation {
        complexity,
        cpu_cores: size.cpu_cores.saturating_add(more("cpu_cores")),
        memory_mb: size.memory_mb.saturating_add(more("memory_mb")),
        gpu_memory_mb: (gpu_memory_mb > 0).then_some(gpu_memory_mb),
        network_bandwidth_mbps: size.network_bandwidth_mbps.saturating_add(more("network_bandwidth_mbps")),
        storage_gb: size.storage_gb.saturating_add(more("storage_gb")),
        execution_timeout: size.execution_timeout,
        reasoning: reasoning.into(),
        // What nobody asked for is an opinion, and keeps no agent from its work.
        advice: asked.complexity.is_none(),
    }
}

/// How much there is to a task, by the fact that says most.
fn found(plan: &Plan, asked: &Asked<'_>) -> (Complexity, String) {
    let steps = plan.steps.iter().filter(|step| step.children == 0).count();
    let requirements = asked.wanted.requirements.len();
    let lasts = plan.steps.iter().filter_map(|step| step.estimate_ms).fold(0, u64::saturating_add);
    let of = |n: u64, moderate: u64, complex: u64| match n {
        n if n >= complex => Complexity::Complex,
        n if n >= moderate => Complexity::Moderate,
        _ => Complexity::Simple,
    };
    let by_steps = of(steps as u64, STEPS_MODERATE as u64, STEPS_COMPLEX as u64);
    let by_requirements = of(requirements as u64, REQUIREMENTS_MODERATE as u64, REQUIREMENTS_COMPLEX as u64);
    let by_time = of(lasts, LASTS_MODERATE_MS, LASTS_COMPLEX_MS);
    let told = [
        (by_time, format!("its steps are expected to take {}", crate::time::WireDuration { ms: lasts })),
        (by_requirements, format!("it has {requirements} requirements")),
        (by_steps, format!("it has {steps} step{}", if steps == 1 { "" } else { "s" })),
    ];
    // Of facts that say the same the last is told: every task has steps.
    let (complexity, why) = told.into_iter().max_by_key(|(complexity, _)| *complexity).expect("there are three");
    (complexity, format!("{}: {why}", complexity.word()))
}
