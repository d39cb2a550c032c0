//! `ephor plan`: checking a plan, bringing it in, looking at it, taking it over, putting another in its place.

use super::failure::{Exit, Failure};
use super::style::{Hue, Line};
use super::table::{self, cell, column, maybe, wide};
use super::{Cx, find, text};
use crate::api::ApiError;
use crate::host::Need;
use crate::import::{self, Imported, Report};
use clap::Subcommand;
use ephor_core::ask::Ask;
use ephor_core::event::CheckResult;
use ephor_core::policy::Policy;
use ephor_core::spec::Request;
use ephor_core::time::Time;
use ephor_core::view::PlanView;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Say what is wrong with a plan, or what follows from its shape
    Check {
        /// A file, or the folder of a plan of another system
        path: PathBuf,
    },
    /// Read a plan, say what became of each item, and submit it
    Import {
        /// A file, or the folder of a plan of another system
        path: PathBuf,
        /// Write the requests instead of submitting them
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the plan a task follows
    Show {
        /// The task
        task: String,
        /// Show how its versions differ instead
        #[arg(long)]
        diff: bool,
    },
    /// Let a plan be carried out that was read with little confidence
    Accept {
        /// The task
        task: String,
    },
    /// Put another plan in the place of what is not finished
    Replace {
        /// The task
        task: String,
        /// The new plan
        path: PathBuf,
    },
}

pub(super) async fn run(command: PlanCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        PlanCommand::Check { path } => check(&path, cx),
        PlanCommand::Import { path, dry_run } => bring_in(&path, dry_run, cx).await,
        PlanCommand::Show { task, diff } => {
            let plan = cx.with_api(Need::Read, async |_, api| Ok(api.plan(find(api, &task).await?).await?)).await?;
            if diff {
                tell_changes(&plan, cx)
            } else {
                tell_plan(&plan, cx)
            }
            Ok(Exit::Done)
        }
        PlanCommand::Accept { task } => super::task::ask(&task, Ask::AcceptPlan, cx).await,
        PlanCommand::Replace { task, path } => {
            let requests = import(&path)?.requests;
            let plan = requests.into_iter().next().and_then(|r| r.plan);
            let plan = plan.ok_or_else(|| Failure::usage(format!("{} holds no plan", path.display())))?;
            super::task::ask(&task, Ask::ReplacePlan { plan: Box::new(plan) }, cx).await
        }
    }
}

/// Reads a file or folder; what cannot be read is an error that names the place.
pub(super) fn import(path: &Path) -> Result<Imported, Failure> {
    import::from_path(path).map_err(|e| {
        let kind = match (e.fault.trouble, path.exists()) {
            (import::Trouble::Unreadable, false) => crate::api::Kind::NotFound,
            _ => crate::api::Kind::Invalid,
        };
        let error = ApiError::new(kind, "IMPORT", &e);
        match e.fault.hint {
            Some(hint) => error.because(hint).into(),
            None => error.into(),
        }
    })
}

/// What became of each item, beside the data.
pub(super) fn tell_report(report: &Report, cx: &mut Cx<'_>) {
    for line in report.to_string().lines() {
        cx.say(line);
    }
}

/// Needs no engine: the rules that check a plan are the same everywhere.
fn check(path: &Path, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let imported = import(path)?;
    let mut plans = Vec::new();
    for request in &imported.requests {
        plans.push(checked(request)?);
    }
    if !cx.output().is_json() {
        tell_report(&imported.report, cx);
    }
    plans.iter().for_each(|plan| tell_plan(plan, cx));
    Ok(Exit::Done)
}

/// The plan of a request as the rules see it.
fn checked(request: &Request) -> Result<PlanView, Failure> {
    let title = request.title.as_deref().or(request.description.as_deref()).unwrap_or("the request");
    let refused = |problems| ApiError::invalid(format!("{title}: the plan cannot be carried out as it is"), problems);
    // The instant matters for deadlines only, and those of a file may well have passed when it is merely checked.
    let submission = ephor_core::request::check(request, Time::default(), &Policy::default()).map_err(refused)?;
    let (confidence, confidence_reasons) = (submission.facts.confidence, submission.text.confidence_reasons.clone());
    let plan = submission.facts.plan.clone().unwrap_or_default();
    let view = PlanView::of(&plan, &submission.text.steps);
    let findings = ephor_core::validation::shown(&submission.facts.findings, Some(&plan));
    Ok(PlanView { confidence, confidence_reasons, acceptance_owed: submission.facts.acceptance_owed, findings, ..view })
}

async fn bring_in(path: &Path, dry_run: bool, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let imported = import(path)?;
    tell_report(&imported.report, cx);
    if dry_run {
        cx.terminal.out.line(table::json(&imported.requests));
        return Ok(Exit::Done);
    }
    let tasks = cx
        .with_api(Need::Decide, async |cx, api| {
            let mut tasks = Vec::with_capacity(imported.requests.len());
            for mut request in imported.requests {
                request.namespace = request.namespace.take().or_else(|| cx.namespace());
                tasks.push(api.submit(request).await?);
            }
            Ok(tasks)
        })
        .await?;
    super::task::tell_all(&tasks, cx);
    Ok(Exit::Done)
}

fn tell_plan(plan: &PlanView, cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    match cx.output() {
        super::Output::Json | super::Output::Ndjson => return cx.terminal.out.line(table::json(plan)),
        super::Output::Id | super::Output::Table | super::Output::Wide => {}
    }
    let columns = [
        column("STEP"),
        column("TITLE"),
        column("DOES"),
        column("NEEDS"),
        wide("NAME"),
        wide("ESTIMATE"),
        wide("SLACK"),
        column("ON THE PATH"),
    ];
    table::list(
        cx.terminal,
        form,
        &plan.steps,
        &columns,
        |step| step.path.clone(),
        |step, style| {
            let critical = plan.critical_path.contains(&step.path);
            let depth = "  ".repeat(step.path.matches('.').count());
            let does = if step.children > 0 { format!("{} steps", step.children) } else { step.action.clone() };
            vec![
                cell(format!("{depth}{}", step.path)),
                (if step.children > 0 { Hue::Strong } else { Hue::Plain }, text::cut(&step.title, 60, style.ellipsis())),
                cell(does),
                cell(step.needs.join(", ")),
                maybe(step.key.as_ref()),
                maybe(step.estimate),
                maybe(step.slack),
                cell(if critical { style.sign("★", "*") } else { "" }),
            ]
        },
    );
    if form.0 == super::Output::Id {
        return;
    }
    let (style, columns) = (cx.style(), cx.columns());
    let leaves = plan.order.len();
    let widest = plan.parallel_groups.iter().map(Vec::len).max().unwrap_or(0);
    let takes = plan.estimated_duration.map(|d| format!(", takes {d}")).unwrap_or_default();
    let mut lines = vec![
        Line::new(),
        Line::new()
            .plain(format!("{leaves} steps in {} ranks, at most {widest} side by side{takes}", plan.parallel_groups.len())),
    ];
    if let Some(confidence) = plan.confidence {
        let owed = if plan.acceptance_owed { ": a person has to accept it" } else { "" };
        lines.push(
            Line::new()
                .with(if plan.acceptance_owed { Hue::Block } else { Hue::Plain }, format!("confidence {confidence:.2}{owed}")),
        );
        lines.extend(plan.confidence_reasons.iter().map(|reason| Line::new().with(Hue::Idle, format!("  {reason}"))));
    }
    for finding in plan.findings.iter().filter(|found| found.result != CheckResult::Passed) {
        let hue = if finding.result == CheckResult::RequiresReview { Hue::Block } else { Hue::Plain };
        let what = format!("{} {}: {}", super::show::word_of(&finding.result), finding.check, finding.reason);
        lines.push(Line::new().with(hue, what));
    }
    lines.iter().for_each(|line| cx.terminal.out.line(line.show(columns, style)));
}

/// How the versions of a plan differ, latest last.
fn tell_changes(plan: &PlanView, cx: &mut Cx<'_>) {
    match cx.output() {
        super::Output::Json => return cx.terminal.out.line(table::json(&plan.changes)),
        super::Output::Ndjson => {
            return plan.changes.iter().for_each(|change| cx.terminal.out.line(table::line(change)));
        }
        super::Output::Id | super::Output::Table | super::Output::Wide => {}
    }
    let (style, columns) = (cx.style(), cx.columns());
    let mut lines = Vec::new();
    if plan.changes.is_empty() {
        lines.push(Line::new().plain(format!("version {} is the first plan; nothing differs", plan.plan_version)));
    }
    for change in &plan.changes {
        let by = change.by.as_deref().map(|by| format!(", by {by}")).unwrap_or_default();
        lines.push(Line::new().with(Hue::Strong, format!("version {} differs from {}{by}", change.to, change.from)));
        for (sign, hue, list) in [("+", Hue::Done, &change.added), ("-", Hue::Fail, &change.removed)] {
            lines.extend(list.iter().map(|step| Line::new().with(hue, format!("  {sign} {}", named(step)))));
        }
        for step in &change.changed {
            lines.push(Line::new().with(Hue::Block, format!("  ~ {}", named(&step.step))));
            for field in &step.fields {
                let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
                let what = format!("      {}: {} {} {}", field.field, value(&field.was), style.sign("→", "->"), value(&field.is));
                lines.push(Line::new().plain(what));
            }
        }
        if !change.finished.is_empty() {
            let what = format!("  = finished, not run again: {}", change.finished.join(", "));
            lines.push(Line::new().with(Hue::Idle, what));
        }
        let rest = if change.left_out > 0 { format!(", {} more not told", change.left_out) } else { String::new() };
        lines.push(Line::new().with(Hue::Idle, format!("  {} steps as before{rest}", change.unchanged)));
    }
    lines.iter().for_each(|line| cx.terminal.out.line(line.show(columns, style)));
}

fn named(step: &ephor_core::plan::difference::NamedStep) -> String {
    let key = step.key.as_deref().map(|key| format!(" {key}")).unwrap_or_default();
    let title = if step.title.is_empty() { String::new() } else { format!(" {}", step.title) };
    let action = if step.action.is_empty() { String::new() } else { format!(" ({})", step.action) };
    format!("{}{key}{title}{action}", step.path)
}
