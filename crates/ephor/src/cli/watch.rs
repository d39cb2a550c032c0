//! `ephor watch`: some tasks to their end, or everything as it happens.

use super::failure::{Exit, Failure};
use super::lines::Names;
use super::task::{WatchArgs, watch};
use super::{Cx, Output, table, text};
use crate::api::{Api, ApiError, EventQuery, Kind};
use crate::host::Need;
use clap::Args;
use ephor_core::id::TaskId;
use ephor_core::time::WireDuration;
use ephor_core::view::EventView;
use std::collections::HashMap;
use std::time::Duration;

/// How long one question for events waits.
const WAIT_MS: u64 = 10_000;
/// How many tasks are remembered by their names; beyond that those seen so far are asked for again.
const NAMES_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(super) struct AllArgs {
    /// The tasks, to be followed to their end; everything that happens where none is named
    tasks: Vec<String>,
    /// End after this long: 30m
    #[arg(long, value_parser = |text: &str| WireDuration::parse(text))]
    timeout: Option<WireDuration>,
}

pub(super) async fn run(args: AllArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    if !args.tasks.is_empty() {
        return watch(&WatchArgs::of(args.tasks, args.timeout), cx).await;
    }
    cx.with_api(Need::Read, async |cx, api| {
        let after = api.position().await?;
        cx.say("everything from now on; Ctrl-C ends it");
        let all = All { after, names: HashMap::new() }.follow(api, cx);
        match args.timeout {
            None => all.await,
            Some(limit) => tokio::time::timeout(Duration::from_millis(limit.ms), all).await.unwrap_or(Ok(Exit::TimedOut)),
        }
    })
    .await
}

/// Everything that happens.
struct All {
    after: u64,
    names: HashMap<TaskId, (Names, String)>,
}

impl All {
    async fn follow(mut self, api: &dyn Api, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
        let mut lost = 0;
        loop {
            let query = EventQuery { after: self.after, wait_ms: WAIT_MS, ..EventQuery::default() };
            let came = tokio::select! {
                biased;
                () = cx.terminal.interrupts.next() => return Ok(Exit::Done),
                came = api.events(query) => came,
            };
            match came {
                Ok(came) => {
                    if std::mem::take(&mut lost) > 0 {
                        cx.say("connected again");
                    }
                    self.after = came.last().map_or(self.after, |event| event.position);
                    for event in &came {
                        self.tell(event, api, cx).await?;
                    }
                }
                Err(error) if api.is_remote() && matches!(error.kind, Kind::Unreachable | Kind::Busy) => {
                    lost += 1;
                    let pause = ephor_sdk::client::pause(lost);
                    let why = error.why.as_deref().unwrap_or(&error.message);
                    cx.say(format!("reconnecting in {:.1} s: {why}", pause.as_secs_f64()));
                    tokio::select! {
                        biased;
                        () = cx.terminal.interrupts.next() => return Ok(Exit::Done),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
                Err(error) => return Err(error.into()),
            }
            if cx.terminal.out.is_closed() {
                return Ok(Exit::Done);
            }
        }
    }

    async fn tell(&mut self, event: &EventView, api: &dyn Api, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        match cx.output() {
            Output::Json | Output::Ndjson => cx.terminal.out.line(table::line(event)),
            Output::Id => cx.terminal.out.line(event.position.to_string()),
            Output::Table | Output::Wide => {
                let Ok(id) = event.stream.parse::<TaskId>() else {
                    cx.terminal.out.line(format!("{}  {}", text::inert(&event.stream), event.kind));
                    return Ok(());
                };
                self.learn(id, api).await;
                if let Some((names, title)) = self.names.get_mut(&id)
                    && let Some(line) = names.line(event)
                {
                    cx.terminal.out.line(format!("{line}  [{}]", text::inert(title)));
                }
            }
        }
        Ok(())
    }

    /// The names of a task's steps. What cannot be had now is told without.
    async fn learn(&mut self, id: TaskId, api: &dyn Api) {
        if self.names.contains_key(&id) {
            return;
        }
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        let mut names = Names::default();
        names.learn(&api.steps(id).await.unwrap_or_default());
        let title = api.task(id).await.map_or_else(|_| id.to_string(), |task| task.title);
        self.names.insert(id, (names, title));
    }
}
