//! `ephor schedule`: what a recurrence means, before a task is given one. Needs no engine.

use super::failure::{Exit, Failure};
use super::text::until;
use super::{Cx, table, words};
use clap::{Args, Subcommand};
use ephor_core::recurrence;
use ephor_core::spec::{CatchUp, Overlap, Recurrence};
use ephor_core::time::{Time, WireDuration, WireTime};
use ephor_engine::clock::{Clock, SystemClock};

/// How many times are shown at most.
const COUNT_MAX: u64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// Show when a task would come
    Next {
        #[command(flatten)]
        recurrence: RecurrenceArgs,
        /// From when on; now where it is missing
        #[arg(long, value_parser = words::time)]
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

pub(super) fn run(command: ScheduleCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let ScheduleCommand::Next { recurrence, from, count } = command;
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
