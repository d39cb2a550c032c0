//! `ephor task`: creating tasks, looking at them, steering them.

mod look;

pub(super) use look::watch;

use super::failure::{Exit, Failure};
use super::follow::{self, Until};
use super::schedule::RecurrenceArgs;
use super::{Cx, Output, find, show, table, words};
use crate::host::Need;
use clap::{Args, Subcommand};
use ephor_core::ask::{Ask, Modification};
use ephor_core::event::{DecisionWord, OverrideWord, TextChanges};
use ephor_core::id::{AgentId, EffectId};
use ephor_core::spec::{Affinity, Autonomy, ExecutionMode, Priority, Request, Risk};
use ephor_core::status::Status;
use ephor_core::time::{WireDuration, WireTime};
use ephor_core::view::TaskView;
use ephor_core::work::EffectOutcome;
use serde_json::Value;

/// How many tasks a list shows where nobody says.
const LIMIT: u32 = 50;

/// A task is named by its id or a unique beginning of it, by its external id, by the address of its page, or as @last.
#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// Submit a task
    Create(Box<CreateArgs>),
    /// Show tasks, newest first; those that have ended only with --all or --status
    List(ListArgs),
    /// Show one task
    #[command(alias = "status")]
    Show {
        /// The task
        task: String,
        /// Show all there is to say
        #[arg(long, short)]
        verbose: bool,
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
        #[arg(long, default_value = "")]
        reason: String,
        /// Raise its priority
        #[arg(long, value_parser = words::word::<Priority>)]
        priority: Option<Priority>,
    },
    /// Take its work from the agents it is with, was with or is kept for
    Reassign {
        /// The task
        task: String,
        /// The only one who gets it; anybody where it is missing
        #[arg(long, value_name = "AGENT")]
        agent: Option<AgentId>,
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
    /// Take a task that has ended out of the live set
    Archive {
        /// The task
        task: String,
    },
    /// Delete what was private in a task that has ended; its facts stay, and their chain
    #[command(alias = "erase")]
    Delete {
        /// The task
        task: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What is to be done
    #[arg(long, short, required_unless_present = "title")]
    description: Option<String>,
    /// One line for lists
    #[arg(long, short)]
    title: Option<String>,
    /// The kind of work
    #[arg(long = "type", value_name = "WORD")]
    task_type: Option<String>,
    /// background, low, normal, high, critical or sovereign
    #[arg(long, value_parser = words::word::<Priority>)]
    priority: Option<Priority>,
    /// strict, auto or dry-run
    #[arg(long, value_parser = words::word::<ExecutionMode>)]
    mode: Option<ExecutionMode>,
    /// suggestion, assisted or autonomous
    #[arg(long, value_parser = words::word::<Autonomy>)]
    autonomy: Option<Autonomy>,
    /// What the result has to satisfy
    #[arg(long, value_delimiter = ',')]
    requirements: Vec<String>,
    /// Labels
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// Must have ended by: an instant or a day
    #[arg(long, value_parser = words::time)]
    deadline: Option<WireTime>,
    /// Do not start before
    #[arg(long, value_parser = words::time)]
    due: Option<WireTime>,
    /// How long it may take: 30m, 2h
    #[arg(long, value_parser = |text: &str| WireDuration::parse(text))]
    timeout: Option<WireDuration>,
    /// The risk you see
    #[arg(long, value_parser = words::word::<Risk>)]
    risk: Option<Risk>,
    /// What its one step does
    #[arg(long)]
    action: Option<String>,
    /// What its agent must be able to do
    #[arg(long, value_delimiter = ',')]
    capabilities: Vec<String>,
    /// A value of its payload
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = words::pair)]
    params: Vec<(String, Value)>,
    /// Your own name for it
    #[arg(long)]
    external_id: Option<String>,
    /// The id of the only agent that does it
    #[arg(long, value_name = "AGENT")]
    agent: Option<AgentId>,
    /// session: one agent, whichever comes first, does all of it
    #[arg(long, value_parser = words::word::<Affinity>)]
    affinity: Option<Affinity>,
    /// How often it is tried again before somebody is asked
    #[arg(long, value_name = "NUMBER")]
    max_retries: Option<u32>,
    /// Tasks that have to complete before, by id or your own name
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    depends_on: Vec<String>,
    /// The task it is part of, by id or your own name
    #[arg(long, value_name = "TASK")]
    parent: Option<String>,
    /// How long it may wait for its first agent: 30m, 2h
    #[arg(long, value_parser = |text: &str| WireDuration::parse(text))]
    queue_timeout: Option<WireDuration>,
    /// Follow it to its end
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    recurrence: RecurrenceArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Those that have ended too
    #[arg(long, short)]
    all: bool,
    /// Only these
    #[arg(long, value_delimiter = ',', value_parser = words::status)]
    status: Vec<Status>,
    /// Only of this type
    #[arg(long = "type", value_name = "WORD")]
    task_type: Option<String>,
    /// Only of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Only parts of this task
    #[arg(long)]
    parent: Option<String>,
    /// Only of these risks
    #[arg(long, value_delimiter = ',', value_parser = words::word::<Risk>)]
    risk: Vec<Risk>,
    /// Only those of which this agent holds work now; its id or its own name
    #[arg(long)]
    agent: Option<String>,
    /// Only those in whose title, description, type or external id all of these words stand
    #[arg(long, value_name = "WORDS")]
    q: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = LIMIT)]
    limit: u32,
    /// Where the page before ended
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// The tasks
    #[arg(required = true)]
    tasks: Vec<String>,
    /// done, or blocked: also when nothing moves without a person
    #[arg(long, default_value = "done", value_parser = ["done", "blocked"])]
    until: String,
    /// End with the first that ends without success
    #[arg(long)]
    fail_fast: bool,
    /// End after this long: 30m
    #[arg(long, value_parser = |text: &str| WireDuration::parse(text))]
    timeout: Option<WireDuration>,
    /// Do not show what happens meanwhile
    #[arg(long)]
    no_progress: bool,
}

impl WatchArgs {
    /// These tasks to their end.
    pub(super) fn of(tasks: Vec<String>, timeout: Option<WireDuration>) -> Self {
        Self { tasks, until: "done".into(), fail_fast: false, timeout, no_progress: false }
    }
}

#[derive(Debug, Args)]
pub(super) struct ModifyArgs {
    /// The task
    task: String,
    /// Only if it is at this version
    #[arg(long, value_name = "VERSION")]
    expect: Option<u64>,
    /// The new priority
    #[arg(long, value_parser = words::word::<Priority>)]
    priority: Option<Priority>,
    /// The new deadline
    #[arg(long, value_parser = words::time)]
    deadline: Option<WireTime>,
    /// The new due time; the past means now
    #[arg(long, value_parser = words::time)]
    due: Option<WireTime>,
    /// The new mode
    #[arg(long, value_parser = words::word::<ExecutionMode>)]
    mode: Option<ExecutionMode>,
    /// The id of the agent that takes over the steps of the one before
    #[arg(long, value_name = "AGENT")]
    agent: Option<AgentId>,
    #[command(flatten)]
    text: TextArgs,
}

#[derive(Debug, Args)]
pub(super) struct TextArgs {
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// The new description
    #[arg(long)]
    description: Option<String>,
    /// The new requirements
    #[arg(long, value_delimiter = ',')]
    requirements: Option<Vec<String>>,
    /// A new limit: memory_mb=2048
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = words::pair)]
    limits: Vec<(String, Value)>,
}

impl From<TextArgs> for TextChanges {
    fn from(args: TextArgs) -> Self {
        let limits = (!args.limits.is_empty()).then(|| words::object(args.limits));
        Self { reason: args.reason, description: args.description, requirements: args.requirements, resource_limits: limits }
    }
}

pub(super) async fn run(command: TaskCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        TaskCommand::Create(args) => create(*args, cx).await,
        TaskCommand::List(args) => look::list(args, cx).await,
        TaskCommand::Show { task, verbose } => look::look(&task, verbose, cx).await,
        TaskCommand::Watch(args) => look::watch(&args, cx).await,
        TaskCommand::Events { task, after, limit, follow } => look::events(&task, after, limit, follow, cx).await,
        TaskCommand::Graph { task } => look::draw(&task, cx).await,
        TaskCommand::Outputs { task, step } => look::outputs(&task, step.as_deref(), cx).await,
        TaskCommand::Pause { task, reason, stop_running } => ask(&task, Ask::Pause { reason, stop_running }, cx).await,
        TaskCommand::Resume { task } => ask(&task, Ask::Resume, cx).await,
        TaskCommand::Cancel { task, reason, force } => ask(&task, Ask::Cancel { reason, force }, cx).await,
        TaskCommand::Modify(args) => {
            let ModifyArgs { task, expect, priority, deadline, due, mode, agent, text } = *args;
            let modification = Modification {
                expected_version: expect,
                priority,
                deadline,
                due_at: due,
                execution_mode: mode,
                agent,
                changes: text.into(),
            };
            ask(&task, Ask::Modify(Box::new(modification)), cx).await
        }
        TaskCommand::Escalate { task, reason, priority } => ask(&task, Ask::Escalate { priority, reason }, cx).await,
        TaskCommand::Reassign { task, agent, reason } => ask(&task, Ask::Reassign { agent, reason }, cx).await,
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
        TaskCommand::Archive { task } => ask(&task, Ask::Archive, cx).await,
        TaskCommand::Delete { task } => {
            cx.confirm(&format!("What people and agents wrote in {task} will be gone for good. Delete it?"))?;
            ask(&task, Ask::Erase, cx).await
        }
    }
}

/// Asks something of a task and shows where it is then.
pub(super) async fn ask(task: &str, ask: Ask, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let task = cx.with_api(Need::Decide, async |_, api| Ok(api.ask(find(api, task).await?, ask).await?)).await?;
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
    let (depends_on, parent) = (args.depends_on, args.parent);
    let mut request = Request {
        title: args.title,
        description: args.description,
        task_type: args.task_type,
        priority: args.priority.unwrap_or_default(),
        execution_mode: args.mode.unwrap_or_default(),
        autonomy: args.autonomy,
        requirements: args.requirements,
        tags: args.tags,
        due_at: args.due,
        deadline: args.deadline,
        timeout: args.timeout,
        queue_timeout: args.queue_timeout,
        external_id: args.external_id,
        agent: args.agent,
        affinity: args.affinity.unwrap_or_default(),
        max_retries: args.max_retries,
        source: Some("MANUAL".into()),
        namespace: cx.settings.namespace.value.clone(),
        payload: if params.is_empty() { Value::Null } else { Value::Object(params) },
        action: args.action,
        capabilities: args.capabilities,
        risk: args.risk,
        recurrence: args.recurrence.read()?,
        ..Request::default()
    };
    cx.with_api(Need::Decide, async |cx, api| {
        for name in &depends_on {
            request.depends_on.push(find(api, name).await?);
        }
        if let Some(name) = &parent {
            request.parent_task_id = Some(find(api, name).await?);
        }
        let task = api.submit(request).await?;
        let id = task.id;
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
        .with_api(Need::Decide, async |_, api| {
            let id = find(api, task).await?;
            let step = match step {
                Some(step) => step,
                None => {
                    let failed = api.task(id).await?.last_error.and_then(|e| e.step);
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
        .with_api(Need::Decide, async |_, api| {
            let id = find(api, task).await?;
            Ok(api.rerun(id).await?)
        })
        .await?;
    tell_all(&[again], cx);
    Ok(Exit::Done)
}
