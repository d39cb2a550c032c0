//! `ephor hold`, `ephor kill` and `ephor limit`: what may be handed out now.

use super::failure::{Exit, Failure};
use super::table::{self, cell, column, maybe, wide};
use super::{Cx, find};
use crate::host::Need;
use clap::{Args, Subcommand};
use ephor_core::ask::Ask;
use ephor_core::flow::{HoldView, LimitView, NewHold, NewLimit, NewRelease, Rate, Running};
use ephor_core::id::HoldId;
use ephor_core::time::WireDuration;

#[derive(Debug, Subcommand)]
pub(super) enum HoldCommand {
    /// Keep work back: nothing of it is handed out, and nothing acts, until the hold is lifted
    Place(PlaceArgs),
    /// Holds that stand
    List,
    /// Let some of what a hold keeps back go on, at a rate
    Release {
        /// The id of the hold
        hold: HoldId,
        /// Only tasks of this type
        #[arg(long = "type", value_name = "TYPE")]
        task_type: Option<String>,
        /// How many pieces of work may begin in a time: 10/min
        #[arg(long, value_name = "RATE")]
        rate: Option<Rate>,
    },
    /// Lift a hold: all it keeps back goes on
    Lift {
        /// The id of the hold
        hold: HoldId,
    },
}

/// What is held; a namespace is said with --namespace, and only so: the usual one narrows --type alone.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// Everything there is
    #[arg(long, conflicts_with_all = ["task_type", "agent"])]
    all: bool,
    /// Only tasks of this type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "agent")]
    task_type: Option<String>,
    /// Only what this agent does, by its id or its own name
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Let attempts that run go on to their end; else they are told to stop
    #[arg(long)]
    finish: bool,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "held by hand")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// One task: it is paused, and what runs of it is told to stop
    #[arg(long, value_name = "TASK", conflicts_with_all = ["all", "task_type", "agent"])]
    task: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum LimitCommand {
    /// Set a limit, or change it
    Set {
        /// Its name
        name: String,
        /// How many pieces of work: at once, or within --per
        #[arg(long, value_name = "NUMBER")]
        max: u32,
        /// How many may begin in any span of this length, instead of how many may be with agents at once
        #[arg(long, value_name = "DURATION", value_parser = WireDuration::parse)]
        per: Option<WireDuration>,
        /// Only tasks of this type
        #[arg(long = "type", value_name = "TYPE")]
        task_type: Option<String>,
        /// What each value of has a count of its own: payload.customer_id
        #[arg(long, value_name = "FIELD")]
        by: Option<String>,
    },
    /// Limits, and how much each counts now
    List,
    /// Remove a limit
    Remove {
        /// Its name
        name: String,
    },
}

pub(super) async fn hold(command: HoldCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let holds = match command {
        HoldCommand::Place(args) => {
            let wish = args.wish("", cx)?;
            vec![cx.with_api(Need::Decide, async |_, api| Ok(api.place_hold(wish).await?)).await?]
        }
        HoldCommand::List => cx.with_api(Need::Read, async |_, api| Ok(api.holds().await?)).await?,
        HoldCommand::Release { hold, task_type, rate } => {
            let wish = NewRelease { namespace: cx.namespace(), task_type, rate };
            vec![cx.with_api(Need::Decide, async |_, api| Ok(api.release_hold(hold, wish).await?)).await?]
        }
        HoldCommand::Lift { hold } => {
            vec![cx.with_api(Need::Decide, async |_, api| Ok(api.lift_hold(hold).await?)).await?]
        }
    };
    tell_holds(&holds, cx);
    Ok(Exit::Done)
}

pub(super) async fn kill(args: KillArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let Some(name) = args.task else {
        let wish = args.place.wish("--task TASK, ", cx)?;
        let held = cx.with_api(Need::Decide, async |_, api| Ok(api.place_hold(wish).await?)).await?;
        tell_holds(&[held], cx);
        return Ok(Exit::Done);
    };
    cx.leave_usual_namespace();
    let PlaceArgs { finish, reason, .. } = args.place;
    let task = cx
        .with_api(Need::Decide, async |_, api| {
            let id = find(api, &name).await?;
            Ok(api.ask(id, Ask::Pause { reason, stop_running: !finish }).await?)
        })
        .await?;
    cx.terminal.out.line(format!("{} {}", task.id, task.status));
    Ok(Exit::Done)
}

impl PlaceArgs {
    /// What is to be held. A namespace is a target only where this command line names it: the usual one says which tasks of a type are
    /// meant, and no more, so that nothing is stopped because a variable is set. `more` is what else could have been said.
    fn wish(self, more: &str, cx: &mut Cx<'_>) -> Result<NewHold, Failure> {
        if self.all && cx.names_namespace() {
            return Err(Failure::usage("--all is everything, in every namespace: give --all or --namespace"));
        }
        let usual = cx.namespace();
        if self.task_type.is_none() {
            cx.leave_usual_namespace();
        }
        let namespace = cx.namespace().filter(|_| !self.all);
        if !self.all && self.task_type.is_none() && self.agent.is_none() && namespace.is_none() {
            let said = usual.map(|name| format!("; that {name:?} is the usual namespace says nothing here")).unwrap_or_default();
            return Err(Failure::usage(format!("say what: {more}--type TYPE, --agent AGENT, --namespace NAME, or --all{said}")));
        }
        let running = if self.finish { Running::Finish } else { Running::Stop };
        let PlaceArgs { all, task_type, agent, reason, .. } = self;
        Ok(NewHold { namespace, task_type, agent, everything: all, running, reason })
    }
}

pub(super) async fn limit(command: LimitCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let namespace = cx.namespace();
    let limits = match command {
        LimitCommand::Set { name, max, per, task_type, by } => {
            let wish = NewLimit { namespace, task_type, max, per, by };
            vec![cx.with_api(Need::Decide, async |_, api| Ok(api.set_limit(&name, wish).await?)).await?]
        }
        LimitCommand::List => cx.with_api(Need::Read, async |_, api| Ok(api.limits().await?)).await?,
        LimitCommand::Remove { name } => {
            vec![cx.with_api(Need::Decide, async |_, api| Ok(api.remove_limit(&name, namespace).await?)).await?]
        }
    };
    tell_limits(&limits, cx);
    Ok(Exit::Done)
}

fn tell_holds(holds: &[HoldView], cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns =
        [column("HOLD"), column("HOLDS"), column("RUNNING"), column("GOES ON"), column("SINCE"), column("BY"), column("REASON")];
    table::list(
        cx.terminal,
        form,
        holds,
        &columns,
        |hold| hold.id.to_string(),
        |hold, _| {
            vec![
                cell(hold.id),
                cell(&hold.scope),
                cell(super::show::word_of(&hold.running)),
                cell(hold.releases.iter().map(released).collect::<Vec<_>>().join("; ")),
                cell(hold.since.0),
                cell(&hold.by),
                cell(&hold.reason),
            ]
        },
    );
}

fn released(release: &ephor_core::flow::Release) -> String {
    let scope =
        ephor_core::flow::Scope { namespace: release.namespace.clone(), task_type: release.task_type.clone(), agent: None };
    match release.rate {
        Some(rate) => format!("{scope} at {rate}"),
        None => scope.to_string(),
    }
}

fn tell_limits(limits: &[LimitView], cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("LIMIT"),
        column("NAMESPACE"),
        column("TYPE"),
        column("MAX"),
        column("PER"),
        column("BY"),
        column("COUNTED"),
        column("FULL"),
        wide("SINCE"),
    ];
    table::list(
        cx.terminal,
        form,
        limits,
        &columns,
        |limit| limit.name.clone(),
        |limit, _| {
            vec![
                cell(&limit.name),
                cell(limit.limit.namespace.as_deref().unwrap_or("all")),
                cell(limit.limit.task_type.as_deref().unwrap_or("all")),
                cell(limit.limit.max),
                maybe(limit.limit.per),
                maybe(limit.limit.by.as_deref()),
                cell(limit.counted),
                cell(limit.full),
                cell(limit.since.0),
            ]
        },
    );
}
