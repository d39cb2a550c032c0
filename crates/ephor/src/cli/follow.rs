//! Following tasks to their end: the events as they come, and what is shown meanwhile.

use super::failure::{Exit, Failure};
use super::lines::{Names, clock};
use super::live::{Scene, render};
use super::style::Style;
use super::table;
use super::terminal::Terminal;
use crate::api::{Api, ApiError, EventQuery, Kind};
use ephor_core::id::TaskId;
use ephor_core::status::{BlockReason, Status};
use ephor_core::time::Time;
use ephor_core::view::EventView;
use std::collections::HashMap;
use std::time::Duration;

/// How many events are asked for at once.
const EVENTS_MAX: u32 = 1_000;
/// How long one question for events waits. Clocks on the screen move at least this often.
const WAIT_MS: u64 = 500;
/// The shortest time between two pictures: four a second are as many as a person can follow.
const PICTURE: Duration = Duration::from_millis(250);
/// The shortest time between two looks where no picture is drawn: a look goes over every step, and events may come in floods.
const LOOK: Duration = Duration::from_millis(50);
/// How often a line of life is written where nothing happens.
const LIFE_MS: u64 = 30_000;
/// How long nobody must have come before a task counts as waiting for somebody who is not there.
const NOBODY_MS: u64 = 3_000;

/// What is shown meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Nothing.
    Nothing,
    /// A picture, drawn again and again.
    Picture,
    /// A line for each change of state.
    Lines,
    /// Every event as JSON, one a line, on standard output.
    Json,
}

/// When following ends before the tasks have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Until {
    /// When none of them moves without a person.
    pub(super) blocked: bool,
    /// Also when none moves because nobody is there to do the work: in a process that brings its own agents nobody will come.
    pub(super) nobody: bool,
    /// When the first has ended without success.
    pub(super) failed: bool,
    /// After this long.
    pub(super) timeout_ms: Option<u64>,
}

/// Why following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The tasks have ended, or one has and that was enough.
    Finished,
    /// They need somebody.
    Waiting,
    /// The time is over.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
}

/// What was seen last, and why no more.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) ended: Ended,
    pub(super) scenes: Vec<Scene>,
}

impl Followed {
    /// How the command ends.
    pub(super) fn exit(&self) -> Exit {
        let unsuccessful = |s: &Scene| s.task.status.is_final() && s.task.status != Status::Completed;
        match self.ended {
            Ended::Interrupted => Exit::Interrupted,
            Ended::TimedOut => Exit::TimedOut,
            _ if self.scenes.iter().any(unsuccessful) => Exit::NoSuccess,
            Ended::Waiting => Exit::NeedsSomebody,
            Ended::Finished => Exit::Done,
        }
    }
}

/// How to show progress on this terminal.
pub(super) fn show(terminal: &Terminal, is_json: bool, quiet: bool, no_progress: bool) -> Show {
    match () {
        () if is_json => Show::Json,
        () if quiet || no_progress => Show::Nothing,
        () if terminal.err.tty && !terminal.wishes.dumb => Show::Picture,
        () => Show::Lines,
    }
}

/// Follows tasks from their first event.
pub(super) async fn follow(
    api: &dyn Api,
    tasks: &[TaskId],
    (show, ascii): (Show, bool),
    until: Until,
    terminal: &mut Terminal,
) -> Result<Followed, Failure> {
    let view = View::new(show, terminal.wishes.style(terminal.err.tty, ascii), api.now());
    let scenes = scenes(api, tasks).await?;
    let from = api.now();
    let mut following = Following {
        api,
        tasks,
        until,
        view,
        scenes,
        from,
        after: 0,
        untold: Vec::new(),
        nobody_since: None,
        alone: (None, false),
    };
    let mut lost = 0;
    loop {
        let ended = match following.turn(terminal).await {
            Ok(ended) => {
                if std::mem::take(&mut lost) > 0 {
                    following.view.say("connected again", terminal);
                }
                ended
            }
            Err(error) if following.comes_back(&error) => {
                lost += 1;
                following.pause(lost, &error, terminal).await
            }
            Err(error) => {
                following.view.clear(terminal);
                return Err(error.into());
            }
        };
        if let Some(ended) = ended {
            following.view.clear(terminal);
            return Ok(Followed { ended, scenes: following.scenes });
        }
    }
}

/// Tasks that are followed, and how far that has come.
struct Following<'a> {
    api: &'a dyn Api,
    tasks: &'a [TaskId],
    until: Until,
    view: View,
    scenes: Vec<Scene>,
    from: Time,
    /// The position of the last event that was heard.
    after: u64,
    /// Events that were heard and not told yet.
    untold: Vec<EventView>,
    nobody_since: Option<Time>,
    /// Since when all it waits for is somebody who has not come, and whether that was said.
    alone: (Option<Time>, bool),
}

impl Following<'_> {
    /// Shows where things are, and waits for what comes next; or says why following ends. After an error it can be asked again:
    /// nothing is lost and nothing told twice.
    async fn turn(&mut self, terminal: &mut Terminal) -> Result<Option<Ended>, ApiError> {
        self.tell(terminal);
        if let Some(ended) = self.ended() {
            // What happened between the last events and the last look is told too.
            while self.hear(0).await? {
                self.tell(terminal);
            }
            return Ok(Some(ended));
        }
        tokio::select! {
            biased;
            () = terminal.interrupts.next() => return Ok(Some(Ended::Interrupted)),
            heard = self.hear(WAIT_MS) => heard.map(drop)?,
        }
        self.scenes = scenes(self.api, self.tasks).await?;
        self.tell(terminal);
        self.view.life(&self.scenes, self.api.now(), terminal);
        let mut live = self.scenes.iter().filter(|s| !s.task.status.is_final());
        let nobody = self.until.nobody && live.all(|s| needs_a_person(s) || has_nobody(s));
        self.say_who_is_missing(terminal);
        self.nobody_since = nobody.then(|| self.nobody_since.unwrap_or_else(|| self.api.now()));
        tokio::time::sleep(if self.view.show == Show::Picture { PICTURE } else { LOOK }).await;
        Ok(None)
    }

    /// Says once what everything waits for where nobody comes, as following would go on for ever without a word.
    fn say_who_is_missing(&mut self, terminal: &mut Terminal) {
        let now = self.api.now();
        let mut live = self.scenes.iter().filter(|s| !s.task.status.is_final()).peekable();
        // Whoever ends then says so at the end.
        let alone = !self.until.nobody && live.peek().is_some() && live.all(has_nobody);
        let since = if alone { self.alone.0.or(Some(now)) } else { None };
        self.alone.0 = since;
        if self.alone.1 || since.is_none_or(|since| now.since(since) < NOBODY_MS) {
            return;
        }
        self.alone.1 = true;
        let missing = self.scenes.iter().flat_map(|scene| &scene.waiting).find(|w| w.reason == "NO_AGENT");
        if let Some(missing) = missing {
            let act = missing.act.as_ref().map(|act| format!("; {}", super::text::inert(act))).unwrap_or_default();
            let text = format!("it waits: {}{act}", super::text::inert(&missing.what));
            self.view.say(&text, terminal);
        }
    }

    /// Takes in what has happened since. Answers whether anything did.
    async fn hear(&mut self, wait_ms: u64) -> Result<bool, ApiError> {
        let (last, came) = events(self.api, self.tasks, self.after, wait_ms).await?;
        let more = last > self.after;
        self.after = last;
        self.untold.extend(came);
        Ok(more)
    }

    /// Shows what was heard.
    fn tell(&mut self, terminal: &mut Terminal) {
        if !self.untold.is_empty() {
            self.view.events(&std::mem::take(&mut self.untold), &self.scenes, terminal);
        }
        self.view.picture(&self.scenes, self.api.now(), terminal);
    }

    /// Why following ends here, if it does.
    fn ended(&self) -> Option<Ended> {
        let now = self.api.now();
        let waits = |scene: &Scene| needs_a_person(scene) || self.nobody_since.is_some_and(|since| now.since(since) >= NOBODY_MS);
        let live: Vec<&Scene> = self.scenes.iter().filter(|s| !s.task.status.is_final()).collect();
        let lost = || self.scenes.iter().any(|s| s.task.status.is_final() && s.task.status != Status::Completed);
        match () {
            () if live.is_empty() || (self.until.failed && lost()) => Some(Ended::Finished),
            () if self.until.blocked && live.iter().all(|s| waits(s)) => Some(Ended::Waiting),
            () if self.is_over_time() => Some(Ended::TimedOut),
            () => None,
        }
    }

    fn is_over_time(&self) -> bool {
        self.until.timeout_ms.is_some_and(|ms| self.api.now().since(self.from) >= ms)
    }

    /// Whether a server that was there before may be there again.
    fn comes_back(&self, error: &ApiError) -> bool {
        self.api.is_remote() && matches!(error.kind, Kind::Unreachable | Kind::Busy)
    }

    /// Waits for a server that was lost, a little longer each time.
    async fn pause(&mut self, lost: usize, error: &ApiError, terminal: &mut Terminal) -> Option<Ended> {
        let mut pause = ephor_sdk::client::pause(lost);
        if let Some(ms) = self.until.timeout_ms {
            pause = pause.min(Duration::from_millis(ms.saturating_sub(self.api.now().since(self.from))));
        }
        let why = error.why.as_deref().unwrap_or(&error.message);
        self.view.say(&format!("reconnecting in {:.1} s: {}", pause.as_secs_f64(), super::text::inert(why)), terminal);
        tokio::select! {
            biased;
            () = terminal.interrupts.next() => Some(Ended::Interrupted),
            () = tokio::time::sleep(pause) => self.is_over_time().then_some(Ended::TimedOut),
        }
    }
}

/// Events of these tasks after a position, and how far that led; events of other tasks are passed over.
async fn events(api: &dyn Api, tasks: &[TaskId], after: u64, wait_ms: u64) -> Result<(u64, Vec<EventView>), ApiError> {
    let task = if let [only] = tasks { Some(*only) } else { None };
    let mut came = api.events(EventQuery { task, after, limit: EVENTS_MAX, wait_ms }).await?;
    let last = came.last().map_or(after, |event| event.position);
    if task.is_none() {
        let wanted: Vec<String> = tasks.iter().map(ToString::to_string).collect();
        came.retain(|event| wanted.contains(&event.stream));
    }
    Ok((last, came))
}

/// The tasks as they are now.
pub(super) async fn scenes(api: &dyn Api, tasks: &[TaskId]) -> Result<Vec<Scene>, ApiError> {
    let mut scenes = Vec::with_capacity(tasks.len());
    for id in tasks {
        let (task, steps, waiting) = (api.task(*id).await?, api.steps(*id).await?, api.waiting(*id).await?);
        scenes.push(Scene { task, steps, waiting });
    }
    Ok(scenes)
}

/// Whether nothing of it moves without a person.
pub(super) fn needs_a_person(scene: &Scene) -> bool {
    match scene.task.status {
        Status::Deliberating | Status::Paused | Status::Escalated | Status::Stalled => true,
        Status::Blocked => !matches!(scene.task.block_reason, Some(BlockReason::Dependency | BlockReason::CircuitOpen)),
        Status::Pending
        | Status::Scheduled
        | Status::Assigned
        | Status::InProgress
        | Status::Review
        | Status::Retrying
        | Status::Completed
        | Status::Failed
        | Status::Cancelled
        | Status::Stopped => false,
    }
}

/// Whether all it waits for is somebody who has not come: an agent, a signal without a limit, whoever lifts a hold.
fn has_nobody(scene: &Scene) -> bool {
    let outside = |reason: &str| matches!(reason, "NO_AGENT" | "SIGNAL" | "APPROVAL" | "HOLD");
    !scene.waiting.is_empty() && scene.waiting.iter().all(|w| outside(&w.reason) && (w.until.is_none() || w.reason == "APPROVAL"))
}

/// What is on the screen.
struct View {
    show: Show,
    style: Style,
    names: HashMap<TaskId, Names>,
    /// How many lines the last picture took.
    drawn: usize,
    /// When something was last written where lines are.
    told_at: Time,
}

impl View {
    fn new(show: Show, style: Style, now: Time) -> Self {
        Self { show, style, names: HashMap::new(), drawn: 0, told_at: now }
    }

    /// Writes what has happened, where lines are wanted.
    fn events(&mut self, events: &[EventView], scenes: &[Scene], terminal: &mut Terminal) {
        match self.show {
            Show::Json => events.iter().for_each(|event| terminal.out.line(table::line(event))),
            Show::Lines => {
                for scene in scenes.iter().filter(|_| !events.is_empty()) {
                    self.names.entry(scene.task.id).or_default().learn(&scene.steps);
                }
                for event in events {
                    let id = event.stream.parse().ok();
                    let Some(names) = id.and_then(|id: TaskId| self.names.get_mut(&id)) else { continue };
                    if let Some(line) = names.line(event) {
                        self.told_at = event.at.0.max(self.told_at);
                        let title = scenes.iter().find(|s| Some(s.task.id) == id).filter(|_| scenes.len() > 1);
                        let title = title.map(|s| format!("  [{}]", super::text::inert(&s.task.title))).unwrap_or_default();
                        terminal.err.line(format!("{line}{title}"));
                    }
                }
            }
            Show::Picture | Show::Nothing => {}
        }
    }

    /// A word beside what is shown.
    fn say(&mut self, text: &str, terminal: &mut Terminal) {
        self.clear(terminal);
        if self.show != Show::Nothing {
            terminal.err.line(text);
        }
    }

    /// Says that it is still there, where nothing else was said for long.
    fn life(&mut self, scenes: &[Scene], now: Time, terminal: &mut Terminal) {
        if self.show != Show::Lines || now.since(self.told_at) < LIFE_MS {
            return;
        }
        self.told_at = now;
        for scene in scenes.iter().filter(|s| !s.task.status.is_final()) {
            let waits = scene.waiting.first().map(|w| format!(", {}", super::text::inert(&w.what))).unwrap_or_default();
            let percent = (scene.task.progress * 100.0).floor();
            terminal.err.line(format!("{} {:<11} task  {percent} %{waits}", clock(now), scene.task.status.word()));
        }
    }

    /// Draws the picture over the one before.
    fn picture(&mut self, scenes: &[Scene], now: Time, terminal: &mut Terminal) {
        if self.show != Show::Picture {
            return;
        }
        let (columns, lines) = terminal.space();
        // One column and one line less: a full line wraps on some terminals, a full screen scrolls.
        let lines = render(scenes, (columns - 1, lines - 1), now, self.style);
        let mut frame = self.home();
        for line in &lines {
            frame.push_str(&format!("\u{1b}[2K{line}\n"));
        }
        frame.push_str("\u{1b}[J");
        self.drawn = lines.len();
        terminal.err.raw(&frame);
    }

    /// Takes the picture away.
    fn clear(&mut self, terminal: &mut Terminal) {
        if self.drawn > 0 {
            terminal.err.raw(&format!("{}\u{1b}[J", self.home()));
            self.drawn = 0;
        }
    }

    /// Back to the first line of the picture.
    fn home(&self) -> String {
        match self.drawn {
            0 => "\r".into(),
            n => format!("\u{1b}[{n}A\r"),
        }
    }
}
