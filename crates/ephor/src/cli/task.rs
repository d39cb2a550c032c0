//! `ephor task`: creating tasks, looking at them, steering them.

mod args;
mod export;
mod gates;
mod look;

pub(super) use args::WatchArgs;
pub(super) use look::watch;

use super::failure::{Exit, Failure};
use super::follow::{self, Until};
use super::{Cx, Output, show, table, words};
use crate::api::{Api, ApiError};
use crate::host::Need;
use args::{CreateArgs, ListArgs, ModifyArgs, TextArgs};
use clap::{Args, Subcommand};
use ephor_core::ask::{Ask, Modification};
use ephor_core::command::Refusal;
use ephor_core::event::{CheckResult, DecisionWord, OverrideWord};
use ephor_core::id::{AgentId, EffectId};
use ephor_core::spec::{Priority, Request};
use ephor_core::time::WireTime;
use ephor_core::view::TaskView;
use ephor_core::work::EffectOutcome;
use serde_json::Value;

/// A task is named by its id or a unique beginning of it, by its external id, by the address of its page, or as @last.
#[derive(Debug, Args)]
pub(super) struct TaskArgs {
    /// Where a task comes from: decides between tasks of one external id, narrows a list, and is kept with a task that is created
    #[arg(long, global = true)]
    source: Option<String>,
    #[command(subcommand)]
    command: TaskCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// Submit a task
    Create(Box<CreateArgs>),
    /// Show tasks, newest first; those that have ended only with --all or --status, archived ones only with --all
    List(ListArgs),
    /// Show one task
    #[command(alias = "status")]
    Show {
        /// The task
        task: String,
        /// Show all there is to say
        #[arg(long, short)]
        verbose: bool,
        /// As it was after so many events
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        /// As it was at an instant, or at the end of a day
        #[arg(long, value_name = "TIME", value_parser = words::time, conflicts_with = "version")]
        at: Option<WireTime>,
    },
    /// Follow tasks to their end
    Watch(WatchArgs),
    /// Show what has happened to a task
    Events {
        /// The task
        task: String,
        /// Only events behind this position
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// Only of these types: COMPLETED, ATTEMPT_FAILED
        #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', value_parser = words::event_type)]
        types: Vec<String>,
        /// How many at most
        #[arg(long, default_value_t = 1_000)]
        limit: u32,
        /// Go on as they come, until the task has ended
        #[arg(long, short)]
        follow: bool,
    },
    /// Draw the plan of a task
    Graph {
        /// The task
        task: String,
    },
    /// Show the results of its steps
    Outputs {
        /// The task
        task: String,
        /// Only of this step
        step: Option<String>,
    },
    /// Hold it
    Pause {
        /// The task
        task: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
        /// Tell running attempts to stop; else they may finish
        #[arg(long)]
        stop_running: bool,
    },
    /// Let it go on
    Resume {
        /// The task
        task: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// End it without success
    Cancel {
        /// The task
        task: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Do not wait for its agents
        #[arg(long)]
        force: bool,
    },
    /// Change what was submitted
    Modify(Box<ModifyArgs>),
    /// Ask the council or a person for a decision
    Escalate {
        /// The task
        task: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Raise its priority; a lower one changes nothing
        #[arg(long, value_parser = words::word::<Priority>)]
        priority: Option<Priority>,
    },
    /// Take its work from the agents it is with, was with or is kept for
    Reassign {
        /// The task
        task: String,
        /// The only one who gets it, by its id or its own name; anybody where it is missing
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Decide about an escalated task
    Decide {
        /// The task
        task: String,
        /// liquidate, modify-scope or allocate-resources
        #[arg(value_parser = words::word::<DecisionWord>)]
        decision: DecisionWord,
        /// Let the council vote on it instead of deciding alone
        #[arg(long = "ask-council")]
        council: bool,
        #[command(flatten)]
        text: TextArgs,
    },
    /// Overrule a verdict, a gate or a step, or go back to a checkpoint
    Override {
        /// The task
        task: String,
        /// complete, fail, approve, skip-step, retry-step, pass-gate, compensated or rollback
        #[arg(value_parser = words::word::<OverrideWord>)]
        decision: OverrideWord,
        /// The step it is about
        #[arg(long)]
        step: Option<String>,
        /// For rollback: the checkpoint to go back to, by its name, or a completed step
        #[arg(long, value_name = "CHECKPOINT", conflicts_with = "step")]
        to: Option<String>,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Try a step again that failed, is blocked or waits for its next attempt
    Retry {
        /// The task
        task: String,
        /// The step; the one that failed last where it is missing
        step: Option<String>,
        /// Why
        #[arg(long, default_value = "tried again by hand")]
        reason: String,
    },
    /// Run a task again that has ended, as a new one
    Rerun {
        /// The task
        task: String,
    },
    /// Say something its agents should keep in mind
    Guide {
        /// The task
        task: String,
        /// What
        text: String,
    },
    /// Tell it that something has happened
    Signal {
        /// The task
        task: String,
        /// What has happened
        name: String,
        /// With what: JSON, or text
        #[arg(value_parser = |text: &str| Ok::<_, String>(words::value_of(text)))]
        payload: Option<Value>,
    },
    /// Show what its quality gates said
    Gates {
        /// The task
        task: String,
    },
    /// Show its effects on the outside, or say what became of one
    Effects {
        /// The task
        task: String,
        /// The effect to settle
        #[arg(long, requires = "outcome")]
        settle: Option<EffectId>,
        /// done, not-done or unknown
        #[arg(long, requires = "settle", value_parser = words::word::<EffectOutcome>)]
        outcome: Option<EffectOutcome>,
    },
    /// What it would do, or a dry run of it found: a report in Markdown, or as data with --json
    Impact {
        /// The task
        task: String,
    },
    /// Write tasks as the JSON file that other programs share
    Export(export::ExportArgs),
    /// Take a task that has ended out of the live set
    #[command(alias = "delete")]
    Archive {
        /// The task
        task: String,
    },
    /// Delete what people and agents wrote in a task that has ended; its facts stay, and their chain
    Erase {
        /// The task
        task: String,
    },
}

/// The report, by the rules of this house where no server is asked.
async fn impact(task: &str, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let impact = cx.with_house(Need::Read, async |cx, api| Ok(api.impact(cx.find(api, task).await?).await?)).await?;
    match cx.output().is_json() {
        true => cx.terminal.out.line(table::json(&impact)),
        false => impact.markdown().lines().for_each(|line| cx.terminal.out.line(line)),
    }
    Ok(Exit::Done)
}

pub(super) async fn run(args: TaskArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let TaskArgs { source, command } = args;
    cx.globals.source = source;
    match command {
        TaskCommand::Create(args) => create(*args, cx).await,
        TaskCommand::List(args) if args.counts => look::counts(cx).await,
        TaskCommand::List(args) => look::list(args, cx).await,
        TaskCommand::Show { task, verbose: _, version, at } if version.is_some() || at.is_some() => {
            look::then(&task, version, at, cx).await
        }
        TaskCommand::Show { task, verbose, .. } => look::look(&task, verbose, cx).await,
        TaskCommand::Watch(args) => look::watch(&args, cx).await,
        TaskCommand::Events { task, after, types, limit, follow } => {
            look::events(&task, &look::Wanted { after, types, limit, follow }, cx).await
        }
        TaskCommand::Graph { task } => look::draw(&task, cx).await,
        TaskCommand::Outputs { task, step } => look::outputs(&task, step.as_deref(), cx).await,
        TaskCommand::Pause { task, reason, stop_running } => ask(&task, Ask::Pause { reason, stop_running }, cx).await,
        TaskCommand::Resume { task, reason } => ask(&task, Ask::Resume { reason }, cx).await,
        TaskCommand::Cancel { task, reason, force } => ask(&task, Ask::Cancel { reason, force }, cx).await,
        TaskCommand::Modify(args) => {
            let ModifyArgs { task, expect, priority, deadline, due, mode, agent, budget, models, text } = *args;
            let modification = Modification {
                expected_version: expect,
                priority,
                deadline,
                due_at: due,
                execution_mode: mode,
                budget: words::budget(budget).map_err(Failure::usage)?,
                models_by_type: models.into_iter().collect(),
                changes: text.into(),
                ..Modification::default()
            };
            ask_of_agent(&task, agent, |agent| Ask::Modify(Box::new(Modification { agent, ..modification })), cx).await
        }
        TaskCommand::Escalate { task, reason, priority } => ask(&task, Ask::Escalate { priority, reason }, cx).await,
        TaskCommand::Reassign { task, agent, reason } => {
            ask_of_agent(&task, agent, |agent| Ask::Reassign { agent, reason }, cx).await
        }
        TaskCommand::Decide { task, decision, council, text } => {
            ask(&task, Ask::Decide { decision, changes: text.into(), council }, cx).await
        }
        TaskCommand::Override { task, decision, step, to, reason } => {
            let step = match (decision, to) {
                (OverrideWord::Rollback, to) => to.or(step),
                (_, None) => step,
                (_, Some(_)) => return Err(Failure::usage("--to goes with rollback alone; name a step with --step")),
            };
            ask(&task, Ask::Override { decision, step, reason }, cx).await
        }
        TaskCommand::Retry { task, step, reason } => retry(&task, step, reason, cx).await,
        TaskCommand::Rerun { task } => rerun(&task, cx).await,
        TaskCommand::Guide { task, text } => ask(&task, Ask::Guide { text }, cx).await,
        TaskCommand::Signal { task, name, payload } => {
            ask(&task, Ask::Signal { name, payload: payload.unwrap_or_default() }, cx).await
        }
        TaskCommand::Effects { task, settle: Some(effect), outcome: Some(outcome) } => {
            ask(&task, Ask::SettleEffect { effect, outcome }, cx).await
        }
        TaskCommand::Effects { task, .. } => look::effects(&task, cx).await,
        TaskCommand::Gates { task } => gates::show(&task, cx).await,
        TaskCommand::Impact { task } => impact(&task, cx).await,
        TaskCommand::Export(args) => export::export(&args, cx).await,
        TaskCommand::Archive { task } => ask(&task, Ask::Archive, cx).await,
        TaskCommand::Erase { task } => {
            cx.confirm(&format!("What people and agents wrote in {task} will be gone for good. Erase it?"))?;
            ask(&task, Ask::Erase, cx).await
        }
    }
}

/// Asks something of a task and shows where it is then.
pub(super) async fn ask(task: &str, ask: Ask, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let task = cx.with_api(Need::Decide, async |cx, api| Ok(api.ask(cx.find(api, task).await?, ask).await?)).await?;
    tell_all(&[task], cx);
    Ok(Exit::Done)
}

/// The same where what is asked is about an agent, which may go by its own name.
async fn ask_of_agent(
    task: &str,
    agent: Option<String>,
    about: impl FnOnce(Option<AgentId>) -> Ask,
    cx: &mut Cx<'_>,
) -> Result<Exit, Failure> {
    let asked = async |cx: &mut Cx<'_>, api: &dyn Api| {
        let agent = match &agent {
            Some(name) => Some(api.agent(name).await?),
            None => None,
        };
        Ok(api.ask(cx.find(api, task).await?, about(agent)).await?)
    };
    let task = cx.with_api(Need::Decide, asked).await?;
    tell_all(&[task], cx);
    Ok(Exit::Done)
}

/// Where tasks are after something was asked of them.
pub(super) fn tell_all(tasks: &[TaskView], cx: &mut Cx<'_>) {
    let (style, columns) = (cx.style(), cx.columns());
    for task in tasks {
        let line = match cx.output() {
            Output::Json => table::json(task),
            Output::Ndjson => table::line(task),
            Output::Id => task.id.to_string(),
            Output::Table | Output::Wide => show::answered(task, style).show(columns, style),
        };
        cx.terminal.out.line(line);
    }
}

async fn create(args: CreateArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let params = words::object(args.params);
    let (depends_on, parent, agent) = (args.depends_on, args.parent, args.agent);
    let mut request = Request {
        title: args.title,
        description: args.description,
        task_type: args.task_type,
        priority: args.priority.unwrap_or_default(),
        execution_mode: args.mode,
        autonomy: args.autonomy,
        requirements: args.requirements,
        tags: args.tags,
        due_at: args.due,
        deadline: args.deadline,
        timeout: args.timeout,
        queue_timeout: args.queue_timeout,
        external_id: args.external_id,
        affinity: args.affinity.unwrap_or_default(),
        max_retries: args.max_retries,
        source: Some(cx.globals.source.clone().unwrap_or_else(|| "MANUAL".into())),
        namespace: cx.namespace(),
        payload: if params.is_empty() { Value::Null } else { Value::Object(params) },
        action: args.action,
        capabilities: args.capabilities,
        model: args.model,
        complexity: args.complexity,
        budget: words::budget(args.budget).map_err(Failure::usage)?,
        on_budget: args.on_budget,
        risk: args.risk,
        recurrence: args.recurrence.read()?,
        ..Request::default()
    };
    cx.with_api(Need::Decide, async |cx, api| {
        for name in &depends_on {
            request.depends_on.push(cx.find(api, name).await?);
        }
        if let Some(name) = &parent {
            request.parent_task_id = Some(cx.find(api, name).await?);
        }
        if let Some(name) = &agent {
            request.agent = Some(api.agent(name).await?);
        }
        let task = api.submit(request).await?;
        let id = task.id;
        // What was asked for and is not done, or not yet, is no detail to be looked up.
        for found in task.findings.iter().filter(|found| found.result != CheckResult::Passed) {
            cx.say(format!("{} {}: {}", show::word_of(&found.result), found.check, found.reason));
        }
        // With --watch the standard output belongs to what happens.
        if !args.watch || !cx.output().is_json() {
            tell_all(&[task], cx);
        }
        if !args.watch {
            return Ok(Exit::Done);
        }
        let show = follow::show(cx.terminal, cx.output().is_json(), cx.output() == Output::Id, false);
        let followed = follow::follow(api, &[id], (show, cx.globals.ascii), Until::default(), cx.terminal).await?;
        Ok(look::after_watching(&followed, cx))
    })
    .await
}

async fn retry(task: &str, step: Option<String>, reason: String, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let task = cx
        .with_api(Need::Decide, async |cx, api| {
            let id = cx.find(api, task).await?;
            let step = match step {
                Some(step) => step,
                None => {
                    let shown = api.task(id).await?;
                    if shown.status.is_final() {
                        return Err(ApiError::refused(Refusal::Ended { status: shown.status }, id).into());
                    }
                    let failed = shown.last_error.and_then(|e| e.step);
                    failed.ok_or_else(|| Failure::usage("no step of it has failed; name the step to be tried again"))?
                }
            };
            Ok(api.ask(id, Ask::Override { decision: OverrideWord::RetryStep, step: Some(step), reason }).await?)
        })
        .await?;
    tell_all(&[task], cx);
    Ok(Exit::Done)
}

async fn rerun(task: &str, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let again = cx
        .with_api(Need::Decide, async |cx, api| {
            let id = cx.find(api, task).await?;
            Ok(api.rerun(id).await?)
        })
        .await?;
    tell_all(&[again], cx);
    Ok(Exit::Done)
}
