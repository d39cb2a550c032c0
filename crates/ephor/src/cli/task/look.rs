//! Looking at tasks: lists, one task, its events, its graph, its results, its effects.

use super::{ListArgs, WatchArgs, tell_all};
use crate::api::{Api, ApiError, EventQuery, Kind, TaskFilter};
use crate::cli::failure::{Exit, Failure};
use crate::cli::follow::{self, Until};
use crate::cli::lines::{Names, clock};
use crate::cli::live::Scene;
use crate::cli::style::{Hue, Line, task_mark};
use crate::cli::table::{self, cell, column, maybe, wide};
use crate::cli::{Cx, Output, graph, show, text};
use crate::host::Need;
use ephor_core::id::TaskId;
use ephor_core::status::Status;
use ephor_core::time::WireTime;
use ephor_core::view::{EffectView, EventView, TaskRow, TaskView};
use ephor_core::work::EffectOutcome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long `events --follow` waits in one question.
const WAIT_MS: u64 = 30_000;

pub(super) async fn list(args: ListArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (page, now) = cx
        .with_api(Need::Read, async |cx, api| {
            let parent_task_id = match &args.parent {
                Some(name) => Some(cx.find(api, name).await?),
                None => None,
            };
            let filter = TaskFilter {
                live: !args.all && args.status.is_empty(),
                status: args.status,
                namespace: cx.namespace(),
                task_type: args.task_type,
                owner_id: args.owner,
                source: cx.globals.source.clone(),
                parent_task_id,
                risk: args.risk,
                agent: args.agent,
                q: args.q,
                due_before: args.before,
                without_archived: !args.all,
                oldest_first: args.oldest_first,
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
        wide("DONE"),
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
                maybe(row.progress.map(|part| format!("{:.0} %", 100.0 * part))),
                (Hue::Idle, text::ago(row.created_at.0, now)),
                maybe(row.owner_id.as_ref()),
                cell(&row.title),
            ]
        },
    );
    if matches!(form.0, Output::Table | Output::Wide) {
        if page.items.is_empty() && page.next.is_some() {
            cx.say("none of the newest tasks is one; not all of them were looked at");
        } else if page.items.is_empty() {
            cx.say("no task to show; --all shows those that have ended, ephor task create makes one");
        }
        if let Some(cursor) = &page.next {
            cx.say(format!("more with --after {cursor}"));
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn counts(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let namespace = cx.namespace();
    let counts = cx.with_api(Need::Read, async |_, api| Ok(api.counts(namespace).await?)).await?;
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    if cx.output().is_json() {
        let by_status: BTreeMap<&str, u64> = counts.iter().map(|(status, count)| (status.word(), *count)).collect();
        let told = json!({"namespace": cx.namespace(), "total": total, "by_status": by_status});
        cx.terminal.out.line(if cx.output() == Output::Json { table::json(&told) } else { table::line(&told) });
        return Ok(Exit::Done);
    }
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("STATUS"), column("TASKS")];
    table::list(
        cx.terminal,
        form,
        &counts,
        &columns,
        |(status, _)| status.word().to_owned(),
        |(status, count), _| vec![cell(status), cell(count)],
    );
    if matches!(form.0, Output::Table | Output::Wide) {
        cx.say(format!("{total} in all, archived ones too"));
    }
    Ok(Exit::Done)
}

/// A task as it was.
pub(super) async fn then(task: &str, version: Option<u64>, at: Option<WireTime>, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (task, now) = cx
        .with_api(Need::Read, async |cx, api| Ok((api.task_as_of(cx.find(api, task).await?, version, at).await?, api.now())))
        .await?;
    if matches!(cx.output(), Output::Table | Output::Wide) {
        let (style, columns) = (cx.style(), cx.columns());
        let scene = Scene { task, steps: Vec::new(), waiting: Vec::new() };
        show::task(&scene, true, columns, now, style).into_iter().for_each(|line| cx.terminal.out.line(line));
    } else {
        tell_all(&[task], cx);
    }
    Ok(Exit::Done)
}

pub(super) async fn look(task: &str, verbose: bool, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (scene, now) = cx
        .with_api(Need::Read, async |cx, api| {
            let id = cx.find(api, task).await?;
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

pub(in crate::cli) async fn watch(args: &WatchArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let until = Until {
        blocked: args.until == "blocked",
        failed: args.fail_fast,
        timeout_ms: args.timeout.map(|t| t.ms),
        ..Until::default()
    };
    cx.with_api(Need::Read, async |cx, api| {
        let mut tasks = Vec::with_capacity(args.tasks.len());
        for name in &args.tasks {
            let id = cx.find(api, name).await?;
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
pub(super) fn after_watching(followed: &follow::Followed, cx: &mut Cx<'_>) -> Exit {
    if !cx.output().is_json() {
        let tasks: Vec<TaskView> = followed.scenes.iter().map(|s| s.task.clone()).collect();
        tell_all(&tasks, cx);
    }
    if followed.scenes.iter().any(|s| !s.task.status.is_final()) {
        cx.say("the task goes on without you; ephor task watch @last looks again");
    }
    followed.exit()
}

/// Which events of a task are wanted.
pub(super) struct Wanted {
    /// Only behind this position.
    pub(super) after: u64,
    /// Only of these types; of all where none is named.
    pub(super) types: Vec<String>,
    /// How many at most; 0 leaves it to the engine.
    pub(super) limit: u32,
    /// Whether those to come are waited for.
    pub(super) follow: bool,
}

/// Events of a task from a position on, and the position up to which was looked.
async fn some_events(api: &dyn Api, id: TaskId, wanted: &Wanted, after: u64) -> Result<(Vec<EventView>, u64), ApiError> {
    let Wanted { types, limit, follow, .. } = wanted;
    let mut query = EventQuery { task: Some(id), after, limit: *limit, wait_ms: if *follow { WAIT_MS } else { 0 } };
    let mut some = Vec::new();
    loop {
        let came = api.events(query).await?;
        let more = *limit > 0 && came.len() >= *limit as usize;
        for event in came {
            if *limit > 0 && some.len() >= *limit as usize {
                return Ok((some, query.after));
            }
            query.after = event.position;
            if types.is_empty() || types.contains(&event.kind) {
                some.push(event);
            }
        }
        // Of what is left out there may be much before the next that is wanted.
        if !more || types.is_empty() || (*follow && !some.is_empty()) {
            return Ok((some, query.after));
        }
    }
}

pub(super) async fn events(task: &str, wanted: &Wanted, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (limit, follow) = (wanted.limit, wanted.follow);
    cx.with_api(Need::Read, async |cx, api| {
        let id = cx.find(api, task).await?;
        let mut names = Names::default();
        let mut after = wanted.after;
        loop {
            let (came, looked_at) = tokio::select! {
                biased;
                () = cx.terminal.interrupts.next() => return Ok(Exit::Interrupted),
                came = some_events(api, id, wanted, after) => came?,
            };
            if !cx.output().is_json() {
                names.learn(&api.steps(id).await?);
            }
            tell_events(&came, &mut names, follow, cx);
            let nothing_new = looked_at == after;
            after = looked_at;
            let whole = limit > 0 && came.len() >= limit as usize;
            if whole && !follow && matches!(cx.output(), Output::Table | Output::Wide) {
                let next = EventQuery { task: Some(id), after, limit: 1, wait_ms: 0 };
                if !api.events(next).await?.is_empty() {
                    let what =
                        format!("these are the first {limit}; ephor task events {task} --after {after} shows what follows");
                    cx.say(what);
                }
            }
            let ended = follow && nothing_new && api.task(id).await?.status.is_final();
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
        let line = Line::new()
            .with(Hue::Idle, format!("{:>6}  {}  ", event.position, clock(event.at.0)))
            .plain(format!("{:<20}  ", event.kind))
            .with(Hue::Idle, format!("{:<20}  ", event.actor_id))
            .plain(moved);
        cx.terminal.out.line(line.show(columns, style));
    }
}

pub(super) async fn draw(task: &str, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (plan, steps) = cx
        .with_api(Need::Read, async |cx, api| {
            let id = cx.find(api, task).await?;
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

pub(super) async fn outputs(task: &str, step: Option<&str>, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let mut outputs = cx.with_api(Need::Read, async |cx, api| Ok(api.outputs(cx.find(api, task).await?).await?)).await?;
    if let Some(step) = step {
        outputs.retain(|o| o.step == step || o.name == step);
        let Some(only) = outputs.first() else {
            let error = ApiError::new(Kind::NotFound, "NOT_FOUND", format!("step {step} has no result"));
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

/// Whether an effect was granted; of one that was not, what its agent says.
fn guarded(effect: &EffectView) -> (Hue, String) {
    let said = if effect.description.is_empty() { String::new() } else { format!(": {}", text::inert(&effect.description)) };
    if effect.guarded { cell("yes") } else { (Hue::Block, format!("UNGUARDED{said}")) }
}

pub(super) async fn effects(task: &str, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let effects = cx.with_api(Need::Read, async |cx, api| Ok(api.effects(cx.find(api, task).await?).await?)).await?;
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("EFFECT"),
        column("WORK"),
        column("ATTEMPT"),
        column("ACTION"),
        column("OUTCOME"),
        column("GUARDED"),
        wide("ARGUMENTS"),
    ];
    table::list(
        cx.terminal,
        form,
        &effects,
        &columns,
        |e: &EffectView| e.id.to_string(),
        |e, _| {
            let hue = if e.outcome.is_none_or(|o| o == EffectOutcome::Unknown) { Hue::Block } else { Hue::Plain };
            let outcome = e.outcome.as_ref().map_or("nobody said".into(), show::word_of);
            vec![cell(e.id), cell(&e.work), cell(e.attempt), cell(&e.action), (hue, outcome), guarded(e), cell(&e.args_digest)]
        },
    );
    if effects.is_empty() && matches!(form.0, Output::Table | Output::Wide) {
        cx.say("it had no effect on the outside");
    }
    Ok(Exit::Done)
}
