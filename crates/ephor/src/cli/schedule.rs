//! `ephor schedule`: tasks that come again, and what a recurrence means before a task is given one.

use super::failure::{Exit, Failure};
use super::show::word_of;
use super::style::task_mark;
use super::table::{cell, column, maybe, wide};
use super::text::until;
use super::{Cx, Output, table, words};
use crate::api::TaskFilter;
use crate::host::Need;
use clap::{Args, Subcommand};
use ephor_core::recurrence;
use ephor_core::schedule::ScheduleView;
use ephor_core::spec::{CatchUp, Overlap, Recurrence};
use ephor_core::time::{Time, WireDuration, WireTime};
use ephor_engine::clock::{Clock, SystemClock};

/// How many series are listed at most, and how many are looked up at once.
const SERIES_MAX: usize = 1_000;
const PAGE: u32 = 200;
/// How many times are shown at most.
const COUNT_MAX: u64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// Show tasks that come again, each by the run that waits for its time or is under way
    List,
    /// Show when a task would come
    Next {
        #[command(flatten)]
        recurrence: RecurrenceArgs,
        /// From when on: an instant or the start of a day; now where it is missing
        #[arg(long, value_parser = words::start)]
        from: Option<WireTime>,
        /// How many times
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=COUNT_MAX))]
        count: u64,
    },
}

/// When a task comes again.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Coming again")]
pub(super) struct RecurrenceArgs {
    /// By the calendar: minute, hour, day of the month, month, day of the week
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "every")]
    cron: Option<String>,
    /// Whose clock --cron is read by: Europe/Berlin; UTC where it is missing
    #[arg(long, value_name = "ZONE", requires = "cron")]
    time_zone: Option<String>,
    /// At a fixed interval: 30m, 2h
    #[arg(long, value_name = "DURATION", value_parser = |text: &str| WireDuration::parse(text))]
    every: Option<WireDuration>,
    /// How many runs in all
    #[arg(long)]
    times: Option<u32>,
    /// skip, queue, allow or replace: what happens when a run is due while the one before goes on
    #[arg(long, value_parser = words::word::<Overlap>)]
    overlap: Option<Overlap>,
    /// one or all: which of the runs come that were missed
    #[arg(long, value_parser = words::word::<CatchUp>)]
    catch_up: Option<CatchUp>,
    /// How late a run may start
    #[arg(long, value_name = "DURATION", value_parser = |text: &str| WireDuration::parse(text))]
    catch_up_window: Option<WireDuration>,
}

impl RecurrenceArgs {
    /// The recurrence, if one was asked for.
    pub(super) fn read(self) -> Result<Option<Recurrence>, Failure> {
        let Self { cron, time_zone, every, times, overlap, catch_up, catch_up_window } = self;
        if cron.is_none() && every.is_none() {
            let more = times.is_some() || overlap.is_some() || catch_up.is_some() || catch_up_window.is_some();
            return if more { Err(Failure::usage("say when it comes again: --cron or --every")) } else { Ok(None) };
        }
        let (overlap, catch_up) = (overlap.unwrap_or_default(), catch_up.unwrap_or_default());
        Ok(Some(Recurrence { every, cron, time_zone, times, overlap, catch_up, catch_up_window }))
    }
}

pub(super) async fn run(command: ScheduleCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        ScheduleCommand::List => list(cx).await,
        ScheduleCommand::Next { recurrence, from, count } => upcoming(recurrence, from, count, cx),
    }
}

async fn list(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (found, now) = cx
        .with_api(Need::Read, async |cx, api| {
            let mut filter = TaskFilter {
                recurring: true,
                live: true,
                without_archived: true,
                namespace: cx.settings.namespace.value.clone(),
                limit: PAGE,
                ..TaskFilter::default()
            };
            let mut found = Vec::new();
            loop {
                let page = api.tasks(filter.clone()).await?;
                for row in page.items {
                    found.extend(ScheduleView::of(api.task(row.id).await?));
                }
                filter.after = page.next;
                if filter.after.is_none() || found.len() >= SERIES_MAX {
                    return Ok((ScheduleView::heads(found), api.now()));
                }
            }
        })
        .await?;
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("STATUS"),
        column("TASK"),
        wide("NAMESPACE"),
        wide("TYPE"),
        column("COMES"),
        column("RUN"),
        column("NEXT"),
        wide("THEN"),
        column("TITLE"),
    ];
    table::list(
        cx.terminal,
        form,
        &found,
        &columns,
        |one| one.task_id.to_string(),
        |one, style| {
            let due = |at: &WireTime| until(at.0, now);
            let mark = task_mark(one.status, None, false);
            vec![
                (mark.hue, format!("{} {}", mark.icon(style), one.status)),
                cell(one.task_id),
                cell(&one.namespace),
                cell(&one.task_type),
                cell(comes(&one.recurrence)),
                cell(one.run.unwrap_or(1)),
                maybe(one.next_runs.first().map(due)),
                cell(one.next_runs.iter().skip(1).map(due).collect::<Vec<_>>().join(", ")),
                cell(&one.title),
            ]
        },
    );
    if found.is_empty() && matches!(form.0, Output::Table | Output::Wide) {
        cx.say("no task comes again; ephor task create --cron or --every");
    }
    Ok(Exit::Done)
}

/// When it comes, in a few words.
fn comes(recurrence: &Recurrence) -> String {
    let Recurrence { every, cron, time_zone, times, overlap, .. } = recurrence;
    let mut said = match (every, cron) {
        (Some(every), _) => format!("every {every}"),
        (None, Some(cron)) => format!("{cron} {}", time_zone.as_deref().unwrap_or("UTC")),
        (None, None) => String::new(),
    };
    if let Some(times) = times {
        said.push_str(&format!(", {times} times"));
    }
    if *overlap != Overlap::default() {
        said.push_str(&format!(", {}", word_of(overlap).to_lowercase()));
    }
    said
}

fn upcoming(recurrence: RecurrenceArgs, from: Option<WireTime>, count: u64, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let now = Time(SystemClock::default().wall_ms());
    let from = from.map_or(now, |at| at.0);
    let recurrence = recurrence.read()?.ok_or_else(|| Failure::usage("say when it comes again: --cron or --every"))?;
    if let Some(problem) = recurrence::check(&recurrence, from).first() {
        return Err(Failure::usage(problem.to_string()));
    }
    let count = recurrence.times.map_or(count, |times| count.min(times.into()));
    let times = recurrence::upcoming(&recurrence, from, from, count as usize);
    if cx.output().is_json() {
        let times: Vec<WireTime> = times.into_iter().map(WireTime).collect();
        cx.terminal.out.line(table::json(&times));
    } else {
        times.iter().for_each(|at| cx.terminal.out.line(format!("{at}  {}", until(*at, now))));
    }
    Ok(Exit::Done)
}
