//! The command line: nouns and verbs, a file for each noun. Data goes to standard output, everything else to standard error.
//!
//! A command reads its arguments, asks the engine through `Api`, and shows the answer. It decides nothing about tasks. What others
//! wrote is made inert before it is shown (`text::inert`).

mod agent;
mod amend;
mod breaker;
mod constitution;
mod failure;
mod flow;
mod follow;
mod graph;
mod inbox;
mod key;
mod lifecycle;
mod limits;
mod lines;
mod live;
mod maintenance;
mod model;
mod papers;
mod plan;
mod profile;
mod raw;
mod review;
mod run;
mod schedule;
mod serve;
mod settings;
mod show;
mod style;
mod table;
mod task;
mod terminal;
mod text;
mod top;
mod watch;
mod webhook;
mod why;
mod words;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use failure::{Exit, Failure};
pub(crate) use limits::LimitArgs;
pub use live::{Scene, render};
pub use style::Style;
pub use table::Output;
pub use terminal::{Interrupter, Interrupts, Stream, Terminal, Wishes};

use crate::api::{Api, ApiError};
use crate::config::Config;
use crate::host::{Host, Need, Place};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use settings::{Origin, Profiles, Settings};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use style::Hue;

/// The other name this program answers to; its verbs are the same.
const ALIAS: &str = "agent-agency-cli";

/// A governed, durable task engine for AI agents.
#[derive(Debug, Parser)]
#[command(name = "ephor", version, disable_help_subcommand = true, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Everywhere")]
struct Globals {
    /// The database: sqlite:data/ephor.db
    #[arg(long, global = true, env = "EPHOR_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// A running server: http://127.0.0.1:4000
    #[arg(long, global = true, env = "EPHOR_SERVER", hide_env_values = true, value_name = "URL")]
    server: Option<String>,
    /// The settings of this name, made with ephor profile set
    #[arg(long, global = true, env = "EPHOR_PROFILE", hide_env_values = true, value_name = "NAME")]
    profile: Option<String>,
    /// The file of the token that shows a server who asks; or the token itself in EPHOR_TOKEN
    #[arg(long, global = true, env = "EPHOR_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The configuration of an engine in this process [default: ephor.yaml, if it is there]
    #[arg(long, global = true, env = "EPHOR_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where tasks belong
    #[arg(long, global = true, env = "EPHOR_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// How data is written
    #[arg(short, long, global = true, value_enum, value_name = "FORM")]
    output: Option<Output>,
    /// Short for --output json
    #[arg(long, global = true, conflicts_with = "output")]
    json: bool,
    /// Write ids only
    #[arg(short, long, global = true, conflicts_with_all = ["output", "json"])]
    quiet: bool,
    /// Use no characters beyond ASCII
    #[arg(long, global = true)]
    ascii: bool,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    yes: bool,
    /// Where each of these comes from.
    #[arg(skip)]
    origins: BTreeMap<&'static str, Origin>,
    /// The source among whose tasks names are looked for, where a command takes one.
    #[arg(skip)]
    source: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Do the job in a file, or the jobs in a folder, in this process
    Run(run::RunArgs),
    /// Serve a database over HTTP
    Serve(serve::ServeArgs),
    /// Create tasks, look at them, steer them
    Task(task::TaskArgs),
    /// Check, import, show, accept and replace plans
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Vote, confirm results, show reviews
    #[command(subcommand)]
    Review(review::ReviewCommand),
    /// The rules that bind tasks and plans: show, check, try on examples
    #[command(subcommand)]
    Constitution(constitution::ConstitutionCommand),
    /// Tasks that come again, and when one would come
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    /// What needs a person: reviews, escalations, results to look at, plans to accept, effects nobody knows of, signals
    Inbox(inbox::InboxArgs),
    /// Follow tasks to their end, or everything as it happens
    Watch(watch::AllArgs),
    /// How things go: tasks, agents, what waits and what is beyond its threshold
    Top(top::TopArgs),
    /// Register agents, look at them, lend those of this machine
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Which agents, tools and models are left alone because they failed
    #[command(subcommand)]
    Breaker(breaker::BreakerCommand),
    /// Which models are known, and how attempts with them went
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Make keys, list them, take them back
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Tell others over HTTP what happens to tasks
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Keep work back, and let it go on
    #[command(subcommand)]
    Hold(flow::HoldCommand),
    /// Stop at once: a task, or all of an agent, a type, a namespace, or everything
    Kill(flow::KillArgs),
    /// How much is done at once, or begun in a time
    #[command(subcommand)]
    Limit(flow::LimitCommand),
    /// Why a task does not move, and what would free it
    Why(why::WhyArgs),
    /// The statuses of a task, and what may follow which
    Lifecycle,
    /// Check a database for what must never happen
    Doctor,
    /// Check the chain of events, write receipts of tasks and check them
    #[command(subcommand)]
    Audit(maintenance::AuditCommand),
    /// Move a database to another form
    #[command(subcommand)]
    Migrate(maintenance::MigrateCommand),
    /// Check this installation with a short job from end to end
    Selftest,
    /// Send one request to a server
    Api(raw::RawArgs),
    /// Name settings, and choose among them
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Show the settings, check a configuration file, have a server read it anew
    #[command(subcommand)]
    Config(profile::ConfigCommand),
    /// Write what a shell needs to complete commands
    Completion(papers::CompletionArgs),
    /// Write manual pages
    Man(papers::ManArgs),
    /// The version of this program
    Version,
    /// The launcher of the sandbox
    #[command(hide = true)]
    SandboxExec,
}

/// What a command has at hand.
struct Cx<'a> {
    host: &'a dyn Host,
    terminal: &'a mut Terminal,
    globals: Globals,
    settings: Settings,
}

/// Runs a command line, the program's own name first.
pub async fn main(args: impl IntoIterator<Item = OsString>, host: &dyn Host, terminal: &mut Terminal) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(error) => return told_by_clap(&error, wants_json(&args), terminal),
    };
    let settings = Profiles::read(terminal.config.as_deref()).and_then(|profiles| Settings::resolve(&cli.globals, &profiles));
    let (settings, wrong) = match settings {
        Ok(settings) => (settings, None),
        Err(failure) => (Settings::default(), Some(failure)),
    };
    let mut cx = Cx { host, terminal, globals: cli.globals, settings };
    let answer = match wrong {
        Some(failure) if !cli.command.mends_settings() => Err(failure),
        _ => dispatch(cli.command, &mut cx).await,
    };
    match answer {
        Ok(exit) => exit,
        Err(failure) => {
            let (as_json, ascii) = (cx.output().is_json(), cx.globals.ascii);
            failure.tell(cx.terminal, as_json, ascii);
            failure.exit
        }
    }
}

/// Whether this is the launcher of the sandbox starting: it must speak before anything else is set up.
pub fn is_sandbox_exec(args: &[OsString]) -> bool {
    args.get(1).is_some_and(|word| word == "sandbox-exec")
}

fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let called = args.first().and_then(|path| Path::new(path).file_name()).and_then(|name| name.to_str());
    let name = if called == Some(ALIAS) { ALIAS } else { "ephor" };
    let matches = Cli::command().name(name).bin_name(name).try_get_matches_from(args)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.globals.origins = settings::origins(&matches);
    Ok(cli)
}

/// Whether a command line that others are told makes sense here, once what stands for a word of theirs is filled in.
#[cfg(test)]
pub(crate) fn understands(line: &str) -> bool {
    let words = line.split_whitespace().map(|word| match word {
        "NAME=N" => "memory_mb=1",
        "JSON" => "{}",
        "…" => "because",
        other => other,
    });
    parse(&words.map(OsString::from).collect::<Vec<_>>()).is_ok()
}

impl Command {
    /// Whether it is there to mend settings, or needs none.
    fn mends_settings(&self) -> bool {
        matches!(self, Self::Profile(_) | Self::Version | Self::Completion(_) | Self::Man(_) | Self::Lifecycle)
    }
}

/// Whether errors are wanted as JSON by a command line that could not be read.
fn wants_json(args: &[OsString]) -> bool {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--").collect();
    let is_json = |form: &str| matches!(form, "json" | "ndjson");
    let after = |pair: &[&str]| matches!(pair[0], "--output" | "-o") && is_json(pair[1]);
    let joined = |word: &&str| word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o")).is_some_and(is_json);
    words.contains(&"--json") || words.iter().any(joined) || words.windows(2).any(after)
}

/// Help and version are data; anything else clap says is an error of usage.
fn told_by_clap(error: &clap::Error, as_json: bool, terminal: &mut Terminal) -> Exit {
    if as_json && error.use_stderr() {
        let text = error.render().to_string();
        let (what, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let what = what.trim_start_matches("error: ").trim();
        let mut failure = Failure::usage(what);
        // How it is written, and where more is said about it.
        failure.error.next = rest.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        failure.tell(terminal, true, false);
        return failure.exit;
    }
    let (stream, exit) = match error.use_stderr() {
        true => (&mut terminal.err, Exit::Usage),
        false => (&mut terminal.out, Exit::Done),
    };
    let text = error.render();
    let color = terminal.wishes.style(stream.tty, false).color;
    stream.raw(&if color { text.ansi().to_string() } else { text.to_string() });
    exit
}

async fn dispatch(command: Command, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(args, cx).await,
        Command::Serve(args) => serve::run(args, cx).await,
        Command::Task(args) => task::run(args, cx).await,
        Command::Plan(command) => plan::run(command, cx).await,
        Command::Review(command) => review::run(command, cx).await,
        Command::Schedule(command) => schedule::run(command, cx).await,
        Command::Constitution(command) => constitution::run(command, cx).await,
        Command::Inbox(args) => inbox::run(&args, cx).await,
        Command::Watch(args) => watch::run(args, cx).await,
        Command::Top(args) => top::run(args, cx).await,
        Command::Agent(command) => agent::run(command, cx).await,
        Command::Api(args) => raw::run(args, cx).await,
        Command::Profile(command) => profile::run(command, cx),
        Command::Config(command) => profile::config(&command, cx).await,
        Command::Completion(args) => Ok(papers::completion(&args, Cli::command(), cx)),
        Command::Man(args) => papers::man(&args, Cli::command(), cx),
        Command::Breaker(command) => breaker::run(command, cx).await,
        Command::Model(command) => model::run(command, cx).await,
        Command::Key(command) => key::run(command, cx).await,
        Command::Webhook(command) => webhook::run(command, cx).await,
        Command::Hold(command) => flow::hold(command, cx).await,
        Command::Kill(args) => flow::kill(args, cx).await,
        Command::Limit(command) => flow::limit(command, cx).await,
        Command::Why(args) => why::run(&args, cx).await,
        Command::Lifecycle => lifecycle::run(cx),
        Command::Doctor => maintenance::doctor(cx).await,
        Command::Audit(command) => maintenance::audit(command, cx).await,
        Command::Migrate(command) => maintenance::migrate(command, cx).await,
        Command::Selftest => maintenance::selftest(cx).await,
        Command::Version => {
            cx.terminal.out.line(format!("ephor {}", env!("CARGO_PKG_VERSION")));
            Ok(Exit::Done)
        }
        Command::SandboxExec => Err(Failure::usage("sandbox-exec is started by Ephor itself, before anything else")),
    }
}

impl Cx<'_> {
    /// How data is written.
    fn output(&self) -> Output {
        self.settings.output.value.unwrap_or_default()
    }

    /// The looks of standard output.
    fn style(&self) -> Style {
        self.terminal.wishes.style(self.terminal.out.tty, self.globals.ascii)
    }

    /// How wide lines on standard output may be; what is piped is never cut.
    fn columns(&self) -> usize {
        if self.terminal.out.tty { self.terminal.space().0 } else { usize::MAX }
    }

    /// The namespace that is meant: of the flag, else of the environment, else of the profile.
    fn namespace(&self) -> Option<String> {
        self.settings.namespace.value.clone()
    }

    /// Whether this command line itself names the namespace.
    fn names_namespace(&self) -> bool {
        self.settings.namespace.value.is_some() && self.settings.namespace.origin == Origin::Flag
    }

    /// From here on no namespace is meant, unless this command line itself names one.
    fn leave_usual_namespace(&mut self) {
        if !self.names_namespace() {
            self.settings.namespace = settings::Setting::default();
        }
    }

    /// Where the engine is.
    fn place(&self) -> Place {
        self.settings.place()
    }

    /// The configuration of an engine in this process.
    fn config(&self) -> Result<Config, Failure> {
        let named = self.globals.config.as_deref().filter(|file| !file.as_os_str().is_empty());
        let from_environment = self.globals.origins.get("config") == Some(&Origin::Environment);
        let setting = if from_environment { "EPHOR_CONFIG" } else { "--config" };
        // What stands in a file is told with its line; that there is none, with what named it.
        let told = |error: ApiError| match (named, &*error.code) {
            (Some(_), "FILE") => ApiError { message: format!("{setting}: {}", error.message), ..error },
            (Some(_) | None, _) => error,
        };
        Ok(Config::find(named).map_err(told)?)
    }

    /// Where the engine is, with what it decides by where it is opened here.
    fn house(&self) -> Result<Place, Failure> {
        let place = self.place();
        Ok(match &place.server {
            Some(_) => place,
            None => Place { policy: Some(self.config()?.house()), ..place },
        })
    }

    /// Opens the engine for one command and closes it again, however the command ends.
    async fn with_api<T>(
        &mut self,
        need: Need,
        command: impl AsyncFnOnce(&mut Self, &dyn Api) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let place = if need == Need::Read { self.place() } else { self.house()? };
        self.with_place(&place, need, command).await
    }

    /// The same with what a house decides by, also where it is only looked at.
    async fn with_house<T>(
        &mut self,
        need: Need,
        command: impl AsyncFnOnce(&mut Self, &dyn Api) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let place = self.house()?;
        self.with_place(&place, need, command).await
    }

    async fn with_place<T>(
        &mut self,
        place: &Place,
        need: Need,
        command: impl AsyncFnOnce(&mut Self, &dyn Api) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let session = self.host.open(place, need).await?;
        let answer = command(self, session.api()).await;
        session.close().await;
        answer
    }

    /// The task of a name, among those from the source that was named.
    async fn find(&self, api: &dyn Api, name: &str) -> Result<ephor_core::id::TaskId, Failure> {
        find_from(api, name, self.globals.source.as_deref()).await
    }

    /// A word to the person, beside the data.
    fn say(&mut self, text: impl AsRef<str>) {
        let style = self.terminal.wishes.style(self.terminal.err.tty, self.globals.ascii);
        let line = style::Line::new().with(Hue::Plain, style.own(text.as_ref()));
        let shown = line.show(usize::MAX, style);
        self.terminal.err.line(shown);
    }

    /// Asks before something that cannot be undone. Off a terminal nobody can answer: there `--yes` has to say it.
    fn confirm(&mut self, question: &str) -> Result<(), Failure> {
        if self.globals.yes {
            return Ok(());
        }
        if !self.terminal.answers {
            return Err(Failure::usage(format!("{question} Say --yes where nobody can be asked.")));
        }
        self.terminal.err.raw(&format!("{} [y/N] ", text::inert(question)));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer).is_ok();
        match read && matches!(answer.trim(), "y" | "Y" | "yes") {
            true => Ok(()),
            false => Err(Failure::usage("nothing was done")),
        }
    }
}

/// The task of a name, which may also be the address of its page.
async fn find(api: &dyn Api, name: &str) -> Result<ephor_core::id::TaskId, Failure> {
    find_from(api, name, None).await
}

/// The same among tasks from one source, where one is given.
async fn find_from(api: &dyn Api, name: &str, source: Option<&str>) -> Result<ephor_core::id::TaskId, Failure> {
    let name = match name.split_once("/tasks/") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or(rest),
        None => name,
    };
    Ok(api.find_from(name, source).await?)
}
