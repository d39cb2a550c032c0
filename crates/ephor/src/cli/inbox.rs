//! `ephor inbox`: what people are asked, over all tasks or by one of them.

use super::failure::{Exit, Failure};
use super::style::{Hue, Line, Style};
use super::table::{self, cell, column, maybe, wide};
use super::{Cx, Output, text};
use crate::api::{Api, ApiError};
use crate::host::Need;
use clap::Args;
use ephor_core::inbox::{Asked, InboxFilter};
use ephor_core::time::Time;

/// The questions of how many tasks are shown, unless somebody says.
const SHOWN: u32 = 200;
/// Those of how many tasks a page holds.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub(super) struct InboxArgs {
    /// Only what this task asks, with all there is to know for an answer
    task: Option<String>,
    /// The questions of how many tasks at most
    #[arg(long, default_value_t = SHOWN, conflicts_with = "task")]
    limit: u32,
}

pub(super) async fn run(args: &InboxArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (asked, more, now) = cx
        .with_api(Need::Read, async |cx, api| {
            let (asked, more) = match &args.task {
                Some(task) => (api.asked(cx.find(api, task).await?).await?, false),
                None => all(api, cx.namespace(), args.limit).await?,
            };
            Ok((asked, more, api.now()))
        })
        .await?;
    let for_people = matches!(cx.output(), Output::Table | Output::Wide);
    if for_people && args.task.is_some() {
        whole(&asked, now, cx);
    } else {
        rows(&asked, now, cx);
    }
    match (for_people, asked.is_empty(), more) {
        (true, true, _) if args.task.is_some() => cx.say("it asks nothing of people"),
        (true, true, _) => cx.say("nothing needs a person"),
        (true, false, true) => cx.say(format!("more tasks ask something: ephor inbox --limit {}", args.limit.saturating_mul(2))),
        _ => {}
    }
    Ok(Exit::Done)
}

/// What tasks ask, page by page, and whether more tasks ask something.
async fn all(api: &dyn Api, namespace: Option<String>, most: u32) -> Result<(Vec<Asked>, bool), ApiError> {
    let (mut asked, mut left, mut after) = (Vec::new(), most.max(1), None);
    loop {
        let filter = InboxFilter { namespace: namespace.clone(), limit: left.min(PAGE), after };
        let page = api.inbox(filter).await?;
        let mut tasks: Vec<_> = page.items.iter().map(|asked| asked.task_id).collect();
        tasks.dedup();
        left = left.saturating_sub(tasks.len() as u32);
        asked.extend(page.items);
        match page.next {
            None => return Ok((asked, false)),
            Some(_) if left == 0 => return Ok((asked, true)),
            next => after = next,
        }
    }
}

fn rows(asked: &[Asked], now: Time, cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("WHY"),
        column("TASK"),
        column("STEP"),
        column("SINCE"),
        column("UNTIL"),
        wide("RISK"),
        column("TITLE"),
        column("WHAT"),
        column("DO"),
    ];
    table::list(
        cx.terminal,
        form,
        asked,
        &columns,
        |a| a.task_id.to_string(),
        |a, _| {
            vec![
                cell(a.reason.word()),
                cell(a.task_id),
                maybe(a.step.as_ref()),
                cell(text::ago(a.since.0, now)),
                maybe(a.until.map(|at| text::until(at.0, now))),
                cell(a.risk_level.word()),
                cell(&a.title),
                cell(&a.what),
                maybe(a.acts.first().map(|act| &act.command)),
            ]
        },
    );
}

/// Each question with everything a person needs for an answer.
fn whole(asked: &[Asked], now: Time, cx: &mut Cx<'_>) {
    let (style, columns) = (cx.style(), cx.columns());
    let lines: Vec<Line> = asked.iter().flat_map(|asked| told(asked, now, style)).collect();
    lines.iter().for_each(|line| cx.terminal.out.line(line.show(columns, style)));
}

fn told(asked: &Asked, now: Time, style: Style) -> Vec<Line> {
    let head = Line::new().with(Hue::Gov, asked.reason.word()).plain("  ").with(Hue::Strong, &asked.title);
    let mut lines = vec![head];
    let mut fact = |name: &str, value: String| {
        lines.push(Line::new().with(Hue::Idle, format!("  {name}")).to(10).plain(style.own(&value)));
    };
    fact("asked", asked.what.clone());
    if let Some(approval) = &asked.approval {
        fact("does", asked.action.clone().unwrap_or_default());
        for (name, value) in &approval.params {
            fact("with", format!("{name} = {value}"));
        }
    }
    asked.why.iter().for_each(|why| fact("why", why.clone()));
    fact("since", format!("{} ({})", text::ago(asked.since.0, now), asked.since.0));
    match asked.until {
        Some(at) => fact("until", format!("{} ({}), then {}", at.0, text::until(at.0, now), asked.unanswered)),
        None => fact("until", asked.unanswered.clone()),
    }
    if !asked.who.is_empty() {
        fact("who", asked.who.join(", "));
    }
    if let Some(raised) = &asked.raised {
        let next = raised.next_at.map(|at| format!("; the next {}", text::until(at.0, now))).unwrap_or_default();
        fact("told", format!("{}{next}", raised.told.join(", ")));
    }
    for act in &asked.acts {
        fact("do", format!("{}: {}", act.label, act.command));
    }
    lines
}
