//! `ephor serve`: the engine on the network, until somebody stops it.

use super::failure::{Exit, Failure};
use super::limits::LimitArgs;
use super::{Cx, words};
use crate::config::{Reloaded, Reloader};
use crate::host::{ConfigSource, Serving, Workshop};
use crate::http::POLL_INTERVAL_S;
use crate::logs;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, value_parser};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// The port of the sources (S4-63).
const PORT: u16 = 4000;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen, an address or a name such as localhost:4000; port 0 takes a free one [default: 127.0.0.1:4000, or the port in PORT]
    #[arg(long, env = "EPHOR_LISTEN", value_name = "ADDRESS", value_parser = words::place)]
    listen: Option<SocketAddr>,
    /// A further name to answer to; may be said more than once
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Start with everything held: nothing is handed out until the hold is released or lifted
    #[arg(long, env = "EPHOR_SAFE_MODE", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    safe_mode: bool,
    /// Let no built-in agents work here
    #[arg(long)]
    no_agents: bool,
    /// How many pieces of work the built-in agents do at once
    #[arg(long, value_name = "NUMBER")]
    agents: Option<u32>,
    /// A folder the built-in agents may read; may be said more than once [default: none]
    #[arg(long, value_name = "FOLDER")]
    read: Vec<PathBuf>,
    /// The folder they write below
    #[arg(long, value_name = "FOLDER", default_value = "ephor-out")]
    out: PathBuf,
    /// Whether plan executions are served, at /api/executions and /api/agents
    #[arg(
        long,
        env = "PLANEXE_EXECUTION_ENABLED",
        default_value_t = true,
        action = ArgAction::Set,
        value_parser = BoolishValueParser::new(),
        value_name = "BOOLEAN"
    )]
    executions: bool,
    /// How often agents of executions are to ask for work
    #[arg(
        long,
        env = "PLANEXE_AGENT_POLL_INTERVAL_SECONDS",
        default_value_t = POLL_INTERVAL_S,
        value_parser = value_parser!(u32).range(1..=86_400),
        value_name = "SECONDS"
    )]
    agent_poll_interval: u32,
    /// How the log is written; EPHOR_LOG says how much: `info`, `debug`, `ephor=debug,warn`
    #[arg(long, env = "EPHOR_LOG_FORMAT", value_enum, default_value_t, value_name = "FORM")]
    log_format: logs::Format,
    /// Append the log to this file instead of standard error [default: log.file of the configuration]
    #[arg(long, env = "EPHOR_LOG_FILE", value_name = "FILE")]
    log_file: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(super) async fn run(args: ServeArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let config = cx.config()?;
    let named = cx.globals.config.clone().filter(|file| !file.as_os_str().is_empty());
    let reloader = Arc::new(Reloader::new(named, config.clone()));
    // From now on it is no reason to end.
    let mut hang_up = signal(SignalKind::hangup()).map_err(|error| Failure::file(Path::new("SIGHUP"), &error))?;
    let log_file = args.log_file.filter(|file| !file.as_os_str().is_empty()).or(config.log_file);
    logs::start(args.log_format, log_file.as_deref())
        .map_err(|error| Failure::file(log_file.as_deref().unwrap_or(Path::new("standard error")), &error))?;
    let tell = |cx: &mut Cx<'_>, line: String| match args.log_format {
        logs::Format::Text => cx.say(line),
        // Whoever reads the log as JSON finds nothing else there.
        logs::Format::Json => tracing::info!("{line}"),
    };
    let listen = listening(args.listen)?;
    let workshop = (!args.no_agents).then_some(Workshop {
        agents: Some(args.agents.unwrap_or(config.task_execution.max_concurrent_tasks)),
        read: args.read,
        out: args.out,
        reach: config.reach,
        mail: config.mail,
    });
    let executions_poll_s = args.executions.then_some(args.agent_poll_interval);
    let limits = Some(args.limits.or(config.limits).on(listen));
    let serving = Serving {
        listen,
        hosts: args.allow_host,
        limits,
        workshop,
        executions_poll_s,
        safe_mode: args.safe_mode,
        watch: config.monitoring.watch(),
        hooks: config.hooks,
        telemetry: config.telemetry,
        workers: config.workers,
        config: ConfigSource(Some(reloader)),
    };
    let served = cx.host.serve(&cx.house()?, serving).await?;
    cx.terminal.out.line(format!("listening on http://{}", served.address()));
    tell(cx, format!("sign in as the operator, once, within ten minutes: {}", served.login()));
    tell(cx, format!("browse the interface at http://{}/api-docs", served.address()));
    if args.safe_mode {
        tell(cx, "everything is held: see ephor hold list; go on with ephor hold release, or ephor hold lift".into());
    }
    tell(cx, format!("the operator's token is in {}", served.token_file().display()));
    let why = loop {
        tokio::select! {
            why = served.broken() => break Some(why),
            () = cx.terminal.interrupts.next() => break None,
            Some(()) = hang_up.recv() => {
                // The log says what came of it.
                let _told = served.reload().await;
            }
        }
    };
    tell(cx, "stopping".into());
    served.stop().await;
    match why {
        Some(why) => Err(crate::api::ApiError::new(crate::api::Kind::Failed, "STOPPED", why).into()),
        None => Ok(Exit::Done),
    }
}

/// What became of a configuration that was read anew, in one sentence.
pub(super) fn told(done: &Reloaded) -> String {
    let Reloaded { file: _, changed, needs_restart, refused } = done;
    let part = |before: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("; {before}: {}", names.join(", ")),
    };
    let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") };
    let (later, refused) = (part("after a restart", needs_restart), part("refused", refused));
    format!("the configuration was read anew; in force now: {changed}{later}{refused}")
}

/// Where a server listens that is told this, or nothing.
pub(super) fn listening(said: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    match said {
        Some(listen) => Ok(listen),
        None => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port()?)),
    }
}

/// The port the environment names, or the default.
fn port() -> Result<u16, Failure> {
    match std::env::var("PORT") {
        Ok(text) if !text.is_empty() => text.parse().map_err(|_| Failure::usage(format!("PORT is {text:?}, which is no port"))),
        _ => Ok(PORT),
    }
}
