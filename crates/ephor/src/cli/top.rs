//! `ephor top`: what is where, what waits, who works and what is beyond its threshold, on one page that draws itself anew; or once, for
//! programs.

mod page;

use super::failure::{Exit, Failure};
use super::style::Style;
use super::terminal::Terminal;
use super::{Cx, table};
use crate::api::{Api, ApiError, FiguresQuery, Kind, TaskFilter};
use crate::host::Need;
use clap::Args;
use ephor_core::figures::Figures;
use ephor_core::inbox::InboxFilter;
use ephor_core::status::Status;
use ephor_core::time::WireDuration;
use page::{Scene, render};
use std::time::Duration;

/// How many tasks under way are looked up for a page, and how many questions to people.
const TASKS: u32 = 20;
const ASKED: u32 = 5;
/// The shortest and longest time between two looks.
const EVERY_MS: (u64, u64) = (500, 60_000);

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// Show it once and end
    #[arg(long)]
    once: bool,
    /// Over how long to count
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = WireDuration::parse)]
    window: WireDuration,
    /// How often to look, from 500ms to 1m
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = every)]
    every: WireDuration,
}

fn every(text: &str) -> Result<WireDuration, String> {
    let said = WireDuration::parse(text)?;
    let (from, to) = EVERY_MS;
    (from..=to).contains(&said.ms).then_some(said).ok_or_else(|| format!("{text:?} is not from 500ms to 1m"))
}

pub(super) async fn run(args: TopArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let query = FiguresQuery { namespace: cx.namespace(), window: Some(args.window) };
    let place = cx.place();
    // A server knows its agents, so it is asked where there is one; else the database is looked at.
    let session = match cx.host.server(&place).await {
        Ok(client) => crate::remote::open(client),
        Err(_) => cx.host.open(&place, Need::Read).await?,
    };
    let api = session.api();
    let ended = match (args.once || cx.output().is_json(), cx.terminal.out.tty && !cx.terminal.wishes.dumb) {
        (false, true) => watch(api, &query, args.every, cx).await,
        _ => once(api, &query, cx).await,
    };
    session.close().await;
    ended
}

async fn once(api: &dyn Api, query: &FiguresQuery, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    if cx.output().is_json() {
        let figures: Figures = api.figures(query.clone()).await?;
        cx.terminal.out.line(table::json(&figures));
        return Ok(Exit::Done);
    }
    let scene = look(api, query).await?;
    let (columns, style) = (cx.columns().min(200), cx.style());
    render(&scene, (columns, usize::MAX), api.now(), style).into_iter().for_each(|line| cx.terminal.out.line(line));
    Ok(Exit::Done)
}

/// Draws the page until Ctrl-C.
async fn watch(api: &dyn Api, query: &FiguresQuery, every: WireDuration, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let style = cx.style();
    let mut screen = Screen::open(cx.terminal);
    let (mut last, mut lost): (Option<Scene>, usize) = (None, 0);
    let ended = loop {
        let pause = match look(api, query).await {
            Ok(scene) => {
                lost = 0;
                screen.draw(&scene, api, style, None, cx.terminal);
                last = Some(scene);
                Duration::from_millis(every.ms)
            }
            Err(error) if api.is_remote() && matches!(error.kind, Kind::Unreachable | Kind::Busy) && last.is_some() => {
                lost += 1;
                let pause = ephor_sdk::client::pause(lost);
                let why = format!("reconnecting in {:.1} s: {}", pause.as_secs_f64(), error.message);
                screen.draw(last.as_ref().expect("there is one"), api, style, Some(&why), cx.terminal);
                pause
            }
            Err(error) => break Err(error.into()),
        };
        tokio::select! {
            biased;
            () = cx.terminal.interrupts.next() => break Ok(Exit::Done),
            () = tokio::time::sleep(pause) => {}
        }
        if cx.terminal.out.is_closed() {
            break Ok(Exit::Done);
        }
    };
    screen.close(cx.terminal);
    ended
}

/// What one page shows.
async fn look(api: &dyn Api, query: &FiguresQuery) -> Result<Scene, ApiError> {
    let live = Status::ALL.into_iter().filter(|status| !status.is_final()).collect();
    let filter = TaskFilter { status: live, namespace: query.namespace.clone(), limit: TASKS, ..TaskFilter::default() };
    let inbox = InboxFilter { namespace: query.namespace.clone(), limit: ASKED, after: None };
    Ok(Scene {
        figures: api.figures(query.clone()).await?,
        tasks: api.tasks(filter).await?.items,
        asked: api.inbox(inbox).await?.items,
    })
}

/// The other screen of a terminal: what was on the first one is there again afterwards.
struct Screen;

impl Screen {
    fn open(terminal: &mut Terminal) -> Self {
        terminal.out.raw("\u{1b}[?1049h\u{1b}[?25l");
        Self
    }

    fn draw(&mut self, scene: &Scene, api: &dyn Api, style: Style, why: Option<&str>, terminal: &mut Terminal) {
        let (columns, lines) = terminal.space();
        let mut frame = String::from("\u{1b}[H");
        let room = lines - 1 - usize::from(why.is_some());
        let own = why.map(|why| super::text::cut(&super::text::inert(why), columns - 1, style.ellipsis()));
        for line in own.into_iter().chain(render(scene, (columns - 1, room), api.now(), style)) {
            frame.push_str(&format!("\u{1b}[2K{line}\n"));
        }
        frame.push_str("\u{1b}[J");
        terminal.out.raw(&frame);
    }

    fn close(self, terminal: &mut Terminal) {
        terminal.out.raw("\u{1b}[?25h\u{1b}[?1049l");
    }
}
