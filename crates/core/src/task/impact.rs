//! The impact report: what a task would do, or a dry run of it found, with what is known now and nothing else.
//!
//! Verdicts are those of the rules in force now, asked about the task as it would be in earnest. Where a rule would have to see what is not
//! there yet (a parameter that an earlier step makes, a result), the report says so instead of a verdict.

use super::{Task, Usual};
use crate::constitution::Judged;
use crate::event::{CheckResult, Submitted};
use crate::impact::{
    DurationSource, Impact, ImpactCost, ImpactDuration, ImpactEffect, ImpactResources, ImpactRisk, ImpactStep, ImpactTask,
};
use crate::plan::{Does, Plan, remaining};
use crate::policy::Policy;
use crate::receipt::derive::adds_up;
use crate::spec::{ExecutionMode, Risk};
use crate::time::{Time, WireDuration, WireTime};
use crate::work::args_digest;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

mod asked;
mod judged;

use judged::Expected;

/// How deep a result is looked through for what its agent withheld.
const LOOK_DEEP: u32 = 4;

/// A step with its parameters, as far as they are known.
struct Known {
    i: u32,
    path: String,
    /// References resolved where all can be; else as written.
    params: Map<String, Value>,
    /// Why not all can be resolved.
    unresolved: Option<String>,
}

impl Task {
    /// The impact report as of now, by the rules and waits of this house.
    pub fn impact(&self, now: Time, policy: &Policy, usual: &dyn Fn(&str) -> Option<Usual>) -> Impact {
        let law = policy.law.as_deref();
        let plan = Plan { steps: self.board.steps.clone() };
        let outline = plan.outline();
        // Parts of a list that was laid out anew leave places behind.
        let there: BTreeSet<u32> = self.board.all().collect();
        let is_step = |i: &u32| there.contains(i) && !self.board.is_group(*i) && self.board.kids(*i).is_empty();
        let order: Vec<u32> = if self.planned { outline.order.iter().copied().filter(is_step).collect() } else { Vec::new() };
        let known: Vec<Known> = order.iter().map(|i| self.known(*i)).collect();
        let earnest = self.in_earnest();
        let Expected { verdicts, judged, may_ask } = self.expected_verdicts(&earnest, &plan, &known, law, now);
        let critical: Vec<u32> = outline.critical_path.iter().copied().filter(is_step).collect();
        let lengths = self.lengths(&there, usual);
        let stage = |i: u32| outline.parallel_groups.iter().position(|set| set.contains(&i)).map_or(0, |n| n as u32 + 1);
        let level = self.facts.risk.max(judged.iter().map(Judged::risk).max().unwrap_or_default());
        Impact {
            steps: known.iter().map(|one| self.impact_step(one, stage(one.i), critical.contains(&one.i), &lengths)).collect(),
            duration: self.impact_duration(&known, &critical, &lengths),
            cost: self.impact_cost(&known),
            resources: self.impact_resources(&known),
            risk: self.impact_risk(level, &known, &judged),
            approvals: self.expected_approvals(&earnest, &known, &verdicts, &may_ask, policy),
            effects: known.iter().filter_map(|one| self.impact_effect(one)).collect(),
            verdicts,
            task: ImpactTask {
                id: self.id,
                title: self.contents.text.title.clone(),
                description: self.contents.text.description.clone(),
                status: self.status,
                version: self.version,
                plan_version: self.plan_version,
                at: WireTime(now),
                execution_mode: self.facts.mode,
                autonomy: self.facts.autonomy,
                withholds: !self.may_act(),
                assumed_mode: earnest.mode,
                assumed_autonomy: earnest.autonomy,
                constitution: law.map(|law| law.digest().to_owned()),
                no_plan: (!self.planned).then(|| "It has no plan yet: an agent able to plan is asked for one.".into()),
            },
        }
    }

    /// What it would be born with if it were run in earnest: a dry run becomes AUTO, with the autonomy that follows where none was given.
    fn in_earnest(&self) -> Submitted {
        let mut facts = Submitted { plan: None, ..(*self.facts).clone() };
        if facts.mode == ExecutionMode::DryRun {
            facts.autonomy = self.autonomy_under(ExecutionMode::Auto).unwrap_or(facts.autonomy);
            facts.mode = ExecutionMode::Auto;
        }
        facts
    }

    fn known(&self, i: u32) -> Known {
        let path = self.path_of(i);
        let raw = self.contents.params(i).cloned().unwrap_or_default();
        // What a list will hold is not known before it is laid out.
        let list = self.board.steps[i as usize].for_each.as_ref().filter(|_| self.board.is_unsettled(i));
        let (params, unresolved) = match (list, self.params(i)) {
            (Some(_), _) => (raw, Some("it is done once for each item of a list that is not laid out yet".into())),
            (None, _) if depends_on_what_is_to_come(self, i) => (raw, Some("a step before it has not been done yet".into())),
            (None, Ok(params)) => (params, None),
            (None, Err(why)) => (raw, Some(why)),
        };
        Known { i, path, params, unresolved }
    }

    /// How long each step takes and who says so, by board index; groups take none of their own.
    fn lengths(&self, there: &BTreeSet<u32>, usual: &dyn Fn(&str) -> Option<Usual>) -> Vec<(Option<u64>, DurationSource)> {
        let of = |i: u32| {
            let step = &self.board.steps[i as usize];
            if !there.contains(&i) || self.board.is_group(i) {
                return (Some(0), DurationSource::Plan);
            }
            if let Some(ms) = step.estimate_ms {
                return (Some(ms), DurationSource::Plan);
            }
            let waits = || {
                let said = self.contents.params(i)?.get("duration")?.as_str()?;
                WireDuration::parse(said).ok().map(|length| length.ms)
            };
            match step.does() {
                _ if step.for_each.is_some() => (None, DurationSource::Unknown),
                Does::Work => match usual(&step.action) {
                    Some(usual) => (Some(usual.median_ms), DurationSource::History),
                    None => (None, DurationSource::Unknown),
                },
                Does::WaitFor => waits().map_or((None, DurationSource::Unknown), |ms| (Some(ms), DurationSource::Plan)),
                Does::WaitUntil | Does::WaitSignal | Does::Task | Does::Group => (None, DurationSource::Unknown),
            }
        };
        (0..self.board.steps.len() as u32).map(of).collect()
    }

    fn impact_step(&self, one: &Known, stage: u32, critical: bool, lengths: &[(Option<u64>, DurationSource)]) -> ImpactStep {
        let (step, cell) = (&self.board.steps[one.i as usize], self.board.cell(one.i));
        let (length, source) = lengths[one.i as usize];
        let view = self.step_view(one.i);
        let output = self.contents.outputs.get(&self.step_name(one.i));
        ImpactStep {
            path: one.path.clone(),
            label: view.label().to_owned(),
            action: step.action.to_string(),
            stage,
            needs: view.needs,
            critical,
            optional: step.optional,
            when: step.when.as_deref().map(Into::into),
            for_each: step.for_each.as_deref().map(Into::into),
            status: cell.status,
            expected: length.map(|ms| WireDuration { ms }),
            expected_by: source,
            took: cell.started_at.zip(cell.ended_at).map(|(from, to)| WireDuration { ms: to.since(from) }),
            model: step.model.as_deref().map(Into::into),
            capabilities: step.capabilities.iter().map(ToString::to_string).collect(),
            gates: step.gates.iter().map(|gate| gate.kind).collect(),
            metrics: output.map(|success| success.metrics.clone()).unwrap_or_default(),
            result: view.output_summary,
            error: view.error,
        }
    }

    fn impact_duration(&self, known: &[Known], critical: &[u32], lengths: &[(Option<u64>, DurationSource)]) -> ImpactDuration {
        let left: Vec<Option<u64>> = lengths.iter().map(|(ms, _)| *ms).collect();
        let ends = remaining::ends(&self.board.steps, &left);
        let whole = known.iter().try_fold(0, |last: u64, one| ends[one.i as usize].map(|end| last.max(end)));
        let took = self.started_at.zip(self.end.as_ref()).map(|(from, end)| WireDuration { ms: end.at.since(from) });
        ImpactDuration {
            expected: whole.filter(|_| !known.is_empty()).map(|ms| WireDuration { ms }),
            unknown: known.iter().filter(|one| left[one.i as usize].is_none()).map(|one| one.path.clone()).collect(),
            critical_path: critical.iter().map(|i| self.path_of(*i)).collect(),
            took,
        }
    }

    fn impact_cost(&self, known: &[Known]) -> ImpactCost {
        let mut cost = ImpactCost::default();
        for one in known {
            let metrics = self.contents.outputs.get(&self.step_name(one.i)).map(|success| &success.metrics);
            let figures = metrics.into_iter().flatten().filter(|(name, _)| adds_up(name));
            let mut any = false;
            for (name, figure) in figures.filter_map(|(name, value)| Some((name, value.as_f64().filter(|f| f.is_finite())?))) {
                any = true;
                *cost.reported.entry(name.clone()).or_default() += figure;
            }
            if !any {
                cost.unknown.push(one.path.clone());
            }
        }
        cost
    }

    fn impact_resources(&self, known: &[Known]) -> ImpactResources {
        let steps = || known.iter().map(|one| &self.board.steps[one.i as usize]);
        let mut capabilities: BTreeSet<String> = BTreeSet::new();
        for step in steps().filter(|step| step.does() == Does::Work) {
            match step.capabilities.is_empty() {
                true => drop(capabilities.insert(step.action.to_string())),
                false => capabilities.extend(step.capabilities.iter().map(ToString::to_string)),
            }
        }
        let models: BTreeSet<String> = steps().filter_map(|step| step.model.as_deref().map(Into::into)).collect();
        ImpactResources {
            requirements: if self.planned { self.plan_view().resource_requirements } else { BTreeMap::new() },
            limits: self.contents.text.resource_limits.clone(),
            capabilities: capabilities.into_iter().collect(),
            models: models.into_iter().collect(),
        }
    }

    fn impact_risk(&self, level: Risk, known: &[Known], judged: &[Judged]) -> ImpactRisk {
        let mut reasons: Vec<String> = self.facts.risk_reasons.iter().map(ToString::to_string).collect();
        for said in judged.iter().flat_map(|judged| &judged.said) {
            let Some(risk) = said.risk.filter(|risk| *risk > Risk::Low) else { continue };
            let why = format!("{}: {} ({})", risk.word(), said.message, said.rule);
            if !reasons.contains(&why) {
                reasons.push(why);
            }
        }
        let findings = self.facts.findings.iter().chain(&self.doubts);
        let acts_for_good = |one: &&Known| {
            let step = &self.board.steps[one.i as usize];
            step.acts && step.compensation.is_none()
        };
        ImpactRisk {
            level,
            reasons,
            findings: findings.filter(|finding| finding.result > CheckResult::Passed).cloned().collect(),
            not_undone: known.iter().filter(acts_for_good).map(|one| one.path.clone()).collect(),
        }
    }

    fn impact_effect(&self, one: &Known) -> Option<ImpactEffect> {
        let step = &self.board.steps[one.i as usize];
        let output = self.contents.outputs.get(&self.step_name(one.i)).map(|success| &success.output);
        let known_by = match step.acts {
            true => "the plan says that it acts",
            false if output.is_some_and(|output| was_withheld(output, LOOK_DEEP)) => "its agent withheld it",
            false => self.acts_by_nature(one)?,
        };
        let digest = one.unresolved.is_none().then(|| args_digest(&Value::Object(one.params.clone())));
        Some(ImpactEffect {
            step: one.path.clone(),
            action: step.action.to_string(),
            params: one.params.clone(),
            args_digest: digest,
            unresolved: one.unresolved.clone(),
            withheld: !self.may_act(),
            known_by: known_by.into(),
        })
    }

    /// Whether an action of the built-in agents changes something outside, by its parameters.
    fn acts_by_nature(&self, one: &Known) -> Option<&'static str> {
        let params = &one.params;
        match &*self.board.steps[one.i as usize].action {
            "http.request" => {
                let method = params.get("method").and_then(Value::as_str).unwrap_or("GET");
                let reads = ["GET", "HEAD"].iter().any(|reads| method.eq_ignore_ascii_case(reads));
                (!reads).then_some("a request of this method changes something")
            }
            "email.send" => Some("a mail leaves the house"),
            "files.write" => Some("a file is written"),
            "template.render" => params.contains_key("out").then_some("a file is written"),
            "shell.run" if params.get("network") == Some(&Value::Bool(true)) => Some("a command has the network"),
            "shell.run" => {
                let wishes = params.get("outputs").and_then(Value::as_object);
                let copies = wishes.is_some_and(|wishes| wishes.values().any(|wish| wish.get("out").is_some()));
                copies.then_some("files are taken out of its folder")
            }
            _ => None,
        }
    }
}

/// Whether parameters of a step refer to a step that has not ended.
fn depends_on_what_is_to_come(task: &Task, i: u32) -> bool {
    let Some(params) = task.contents.params(i) else { return false };
    let text = Value::Object(params.clone()).to_string();
    if !text.contains("${steps.") {
        return false;
    }
    task.board.all().any(|other| {
        let step = &task.board.steps[other as usize];
        let names = [step.key.as_deref(), Some(&*step.path)];
        let named = names.into_iter().flatten().any(|name| text.contains(&format!("${{steps.{name}.")));
        named && !task.board.cell(other).status.is_final()
    })
}

/// Whether a result says that something of it was withheld.
fn was_withheld(value: &Value, deep: u32) -> bool {
    match value {
        Value::Object(fields) if deep > 0 => {
            fields.get("withheld") == Some(&Value::Bool(true)) || fields.values().any(|field| was_withheld(field, deep - 1))
        }
        Value::Array(items) if deep > 0 => items.iter().any(|item| was_withheld(item, deep - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) | Value::Array(_) => false,
    }
}
