//! `ephor task`: creating tasks, looking at them, steering them.

use super::failure::{Exit, Failure};
use super::follow::{self, Until};
use super::lines::{Names, clock};
use super::live::Scene;
use super::style::{Hue, task_mark};
use super::table::{self, cell, column, maybe, wide};
use super::{Cx, Output, find, graph, show, text, words};
use crate::api::{EventQuery, TaskFilter};
use crate::host::Need;
use clap::{Args, Subcommand};
use ephor_core::ask::{Ask, Modification};
use ephor_core::event::{DecisionWord, OverrideWord, TextChanges};
use ephor_core::id::EffectId;
use ephor_core::spec::{Autonomy, ExecutionMode, Priority, Request, Risk};
use ephor_core::status::Status;
use ephor_core::time::{WireDuration, WireTime};
use ephor_core::view::{EffectView, EventView, TaskRow, TaskView};
use ephor_core::work::EffectOutcome;
use serde_json::Value;

/// How many tasks or events a list shows where nobody says.
const LIMIT: u32 = 50;
/// How long `events --follow` waits in one question.
const WAIT_MS: u64 = 30_000;

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
    /// Decide about an escalated task
    Decide {
        /// The task
        task: String,
        /// liquidate, modify-scope or allocate-resources
        #[arg(value_parser = words::word::<DecisionWord>)]
        decision: DecisionWord,
        #[command(flatten)]
        text: TextArgs,
    },
    /// Overrule a verdict, a gate or a step
    Override {
        /// The task
        task: String,
        /// complete, fail, approve, skip-step, retry-step or pass-gate
        #[arg(value_parser = words::word::<OverrideWord>)]
        decision: OverrideWord,
        /// The step it is about
        #[arg(long)]
        step: Option<String>,
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
    /// Follow it to its end
    #[arg(long, short)]
    watch: bool,
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
        TaskCommand::List(args) => list(args, cx).await,
        TaskCommand::Show { task, verbose } => look(&task, verbose, cx).await,
        TaskCommand::Watch(args) => watch(&args, cx).await,
        TaskCommand::Events { task, after, limit, follow } => events(&task, after, limit, follow, cx).await,
        TaskCommand::Graph { task } => draw(&task, cx).await,
        TaskCommand::Outputs { task, step } => outputs(&task, step.as_deref(), cx).await,
        TaskCommand::Pause { task, reason, stop_running } => ask(&task, Ask::Pause { reason, stop_running }, cx).await,
        TaskCommand::Resume { task } => ask(&task, Ask::Resume, cx).await,
        TaskCommand::Cancel { task, reason, force } => ask(&task, Ask::Cancel { reason, force }, cx).await,
        TaskCommand::Modify(args) => {
            let ModifyArgs { task, expect, priority, deadline, due, mode, text } = *args;
            let modification = Modification {
                expected_version: expect,
                priority,
                deadline,
                due_at: due,
                execution_mode: mode,
                changes: text.into(),
            };
            ask(&task, Ask::Modify(Box::new(modification)), cx).await
        }
        TaskCommand::Escalate { task, reason, priority } => ask(&task, Ask::Escalate { priority, reason }, cx).await,
        TaskCommand::Decide { task, decision, text } => ask(&task, Ask::Decide { decision, changes: text.into() }, cx).await,
        TaskCommand::Override { task, decision, step, reason } => ask(&task, Ask::Override { decision, step, reason }, cx).await,
        TaskCommand::Retry { task, step, reason } => retry(&task, step, reason, cx).await,
        TaskCommand::Guide { task, text } => ask(&task, Ask::Guide { text }, cx).await,
        TaskCommand::Signal { task, name, payload } => {
            ask(&task, Ask::Signal { name, payload: payload.unwrap_or_default() }, cx).await
        }
        TaskCommand::Effects { task, settle: Some(effect), outcome: Some(outcome) } => {
            ask(&task, Ask::SettleEffect { effect, outcome }, cx).await
        }
        TaskCommand::Effects { task, .. } => effects(&task, cx).await,
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
    let request = Request {
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
        external_id: args.external_id,
        source: Some("MANUAL".into()),
        namespace: cx.globals.namespace.clone(),
        payload: if params.is_empty() { Value::Null } else { Value::Object(params) },
        action: args.action,
        capabilities: args.capabilities,
        risk: args.risk,
        ..Request::default()
    };
    cx.with_api(Need::Decide, async |cx, api| {
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
        Ok(after_watching(&followed, cx))
    })
    .await
}

async fn list(args: ListArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (page, now) = cx
        .with_api(Need::Read, async |cx, api| {
            let parent_task_id = match &args.parent {
                Some(name) => Some(find(api, name).await?),
                None => None,
            };
            let filter = TaskFilter {
                live: !args.all && args.status.is_empty(),
                status: args.status,
                namespace: cx.globals.namespace.clone(),
                task_type: args.task_type,
                owner_id: args.owner,
                parent_task_id,
                limit: args.limit,
                after: args.after,
                ..TaskFilter::default()
            };
            Ok((api.tasks(filter).await?, api.now()))
        })
        .await?;
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("STATUS"),
        column("TASK"),
        wide("EXTERNAL ID"),
        wide("NAMESPACE"),
        wide("TYPE"),
        column("PRIORITY"),
        column("CREATED"),
        wide("OWNER"),
        column("TITLE"),
    ];
    table::list(
        cx.terminal,
        form,
        &page.items,
        &columns,
        |row: &TaskRow| row.id.to_string(),
        |row, style| {
            let mark = task_mark(row.status, None, false);
            vec![
                (mark.hue, format!("{} {}", mark.icon(style), row.status)),
                cell(row.id),
                maybe(row.external_id.as_ref()),
                cell(&row.namespace),
                cell(&row.task_type),
                cell(show::word_of(&row.priority)),
                (Hue::Idle, text::ago(row.created_at.0, now)),
                maybe(row.owner_id.as_ref()),
                cell(&row.title),
            ]
        },
    );
    if matches!(form.0, Output::Table | Output::Wide) {
        if page.items.is_empty() {
            cx.say("no task to show; --all shows those that have ended, ephor task create makes one");
        }
        if let Some(cursor) = &page.next {
            cx.say(format!("more with --after {cursor}"));
        }
    }
    Ok(Exit::Done)
}

async fn look(task: &str, verbose: bool, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (scene, now) = cx
        .with_api(Need::Read, async |_, api| {
            let id = find(api, task).await?;
            let (task, steps, waiting) = (api.task(id).await?, api.steps(id).await?, api.waiting(id).await?);
            Ok((Scene { task, steps, waiting }, api.now()))
        })
        .await?;
    if matches!(cx.output(), Output::Table | Output::Wide) {
        let (style, columns) = (cx.style(), cx.columns());
        let whole = verbose || cx.output() == Output::Wide;
        show::task(&scene, whole, columns, now, style).into_iter().for_each(|line| cx.terminal.out.line(line));
    } else {
        tell_all(&[scene.task], cx);
    }
    Ok(Exit::Done)
}

async fn watch(args: &WatchArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let until = Until {
        blocked: args.until == "blocked",
        failed: args.fail_fast,
        timeout_ms: args.timeout.map(|t| t.ms),
        ..Until::default()
    };
    cx.with_api(Need::Read, async |cx, api| {
        let mut tasks = Vec::with_capacity(args.tasks.len());
        for name in &args.tasks {
            let id = find(api, name).await?;
            if !tasks.contains(&id) {
                tasks.push(id);
            }
        }
        let show = follow::show(cx.terminal, cx.output().is_json(), cx.output() == Output::Id, args.no_progress);
        let followed = follow::follow(api, &tasks, (show, cx.globals.ascii), until, cx.terminal).await?;
        Ok(after_watching(&followed, cx))
    })
    .await
}

/// Where the tasks are when nobody looks any more.
fn after_watching(followed: &follow::Followed, cx: &mut Cx<'_>) -> Exit {
    if !cx.output().is_json() {
        let tasks: Vec<TaskView> = followed.scenes.iter().map(|s| s.task.clone()).collect();
        tell_all(&tasks, cx);
    }
    if followed.scenes.iter().any(|s| !s.task.status.is_final()) {
        cx.say("the task goes on without you; ephor task watch @last looks again");
    }
    followed.exit()
}

async fn events(task: &str, after: u64, limit: u32, follow: bool, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    cx.with_api(Need::Read, async |cx, api| {
        let id = find(api, task).await?;
        let mut names = Names::default();
        let mut after = after;
        loop {
            let query = EventQuery { task: Some(id), after, limit, wait_ms: if follow { WAIT_MS } else { 0 } };
            let came = tokio::select! {
                biased;
                Some(()) = cx.terminal.interrupts.recv() => return Ok(Exit::Interrupted),
                came = api.events(query) => came?,
            };
            if !cx.output().is_json() {
                names.learn(&api.steps(id).await?);
            }
            tell_events(&came, &mut names, follow, cx);
            after = came.last().map_or(after, |event| event.position);
            let ended = follow && came.is_empty() && api.task(id).await?.status.is_final();
            let over = came.iter().any(|event| event.status_after.is_some_and(Status::is_final));
            if !follow || over || ended || cx.terminal.out.is_closed() {
                return Ok(Exit::Done);
            }
        }
    })
    .await
}

/// Every event: its place, when, who, its word, and, where it moved a step or the task, the line of the move.
fn tell_events(events: &[EventView], names: &mut Names, follow: bool, cx: &mut Cx<'_>) {
    match cx.output() {
        // One that is followed has no end that would close a list.
        Output::Json if !follow => return cx.terminal.out.line(table::json(&events)),
        Output::Json | Output::Ndjson => return events.iter().for_each(|event| cx.terminal.out.line(table::line(event))),
        Output::Id => return events.iter().for_each(|event| cx.terminal.out.line(event.position.to_string())),
        Output::Table | Output::Wide => {}
    }
    let (style, columns) = (cx.style(), cx.columns());
    for event in events {
        let moved = names.line(event);
        // The line begins with the time of day and the word of the state.
        let moved = moved.as_deref().and_then(|line| line.get(9..)).unwrap_or_default();
        let line = super::style::Line::new()
            .with(Hue::Idle, format!("{:>6}  {}  ", event.position, clock(event.at.0)))
            .plain(format!("{:<20}  ", event.kind))
            .with(Hue::Idle, format!("{:<20}  ", event.actor_id))
            .plain(moved);
        cx.terminal.out.line(line.show(columns, style));
    }
}

async fn draw(task: &str, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (plan, steps) = cx
        .with_api(Need::Read, async |_, api| {
            let id = find(api, task).await?;
            Ok((api.plan(id).await?, api.steps(id).await?))
        })
        .await?;
    if cx.output().is_json() {
        cx.terminal.out.line(table::json(&plan));
        return Ok(Exit::Done);
    }
    let statuses = steps.into_iter().map(|s| (s.path, s.status)).collect();
    let lines = graph::draw(&plan, &statuses, cx.columns(), cx.style());
    lines.into_iter().for_each(|line| cx.terminal.out.line(line));
    Ok(Exit::Done)
}

async fn outputs(task: &str, step: Option<&str>, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let mut outputs = cx.with_api(Need::Read, async |_, api| Ok(api.outputs(find(api, task).await?).await?)).await?;
    if let Some(step) = step {
        outputs.retain(|o| o.step == step || o.name == step);
        let Some(only) = outputs.first() else {
            let error = crate::api::ApiError::new(crate::api::Kind::NotFound, "NOT_FOUND", format!("step {step} has no result"));
            return Err(error.then(format!("ephor task outputs {task}")).into());
        };
        // A text is written as it is, so that it can go into a file; to a terminal it goes inert.
        match (&only.output, cx.output().is_json(), cx.terminal.out.tty) {
            (Value::String(text), false, false) => cx.terminal.out.raw(text),
            (Value::String(text), false, true) => text::inert_lines(text).for_each(|line| cx.terminal.out.line(line)),
            (value, ..) => cx.terminal.out.line(table::json(value)),
        }
        return Ok(Exit::Done);
    }
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("STEP"), column("NAME"), column("OUTPUT")];
    table::list(
        cx.terminal,
        form,
        &outputs,
        &columns,
        |o| o.step.clone(),
        |o, style| {
            let value = match &o.output {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            vec![cell(&o.step), cell(&o.name), cell(text::cut(&text::inert(&value), 160, style.ellipsis()))]
        },
    );
    Ok(Exit::Done)
}

async fn retry(task: &str, step: Option<String>, reason: String, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let task = cx
        .with_api(Need::Decide, async |_, api| {
            let id = find(api, task).await?;
            let step = match step {
                Some(step) => step,
                None => {
                    let failed = api.task(id).await?.last_error.map(|e| e.step);
                    failed.ok_or_else(|| Failure::usage("no step of it has failed; name the step to be tried again"))?
                }
            };
            Ok(api.ask(id, Ask::Override { decision: OverrideWord::RetryStep, step: Some(step), reason }).await?)
        })
        .await?;
    tell_all(&[task], cx);
    Ok(Exit::Done)
}

async fn effects(task: &str, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let effects = cx.with_api(Need::Read, async |_, api| Ok(api.effects(find(api, task).await?).await?)).await?;
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("EFFECT"), column("WORK"), column("ATTEMPT"), column("ACTION"), column("OUTCOME"), wide("ARGUMENTS")];
    table::list(
        cx.terminal,
        form,
        &effects,
        &columns,
        |e: &EffectView| e.id.to_string(),
        |e, _| {
            let hue = if e.outcome.is_none_or(|o| o == EffectOutcome::Unknown) { Hue::Block } else { Hue::Plain };
            let outcome = e.outcome.as_ref().map_or("nobody said".into(), show::word_of);
            vec![cell(e.id), cell(&e.work), cell(e.attempt), cell(&e.action), (hue, outcome), cell(&e.args_digest)]
        },
    );
    if effects.is_empty() && matches!(form.0, Output::Table | Output::Wide) {
        cx.say("it had no effect on the outside");
    }
    Ok(Exit::Done)
}
