//! `ephor agent`: who works for a server, and the built-in agents of this machine as some of them.

use super::failure::{Exit, Failure};
use super::table::{self, cell, column, maybe, wide};
use super::{Cx, Output, show, text};
use crate::api::{ApiError, Kind};
use crate::host::{Lending, Workshop};
use crate::remote::told;
use clap::{Args, Subcommand};
use ephor_core::agent::Registration;
use ephor_core::breaker::BreakerState;
use ephor_core::key::MadeKey;
use ephor_core::matching::{CAPACITIES, Candidate, Key};
use ephor_engine::clock::{Clock, SystemClock};
use ephor_sdk::client::AgentView;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Agents are named by their id or their own name for themselves.
#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Make an agent known, or say anew what it can do
    Register(RegisterArgs),
    /// Show all agents
    List,
    /// Show one agent
    Show {
        /// The agent
        agent: String,
    },
    /// Show who could do what a task offers, and why the others do not get it
    Match {
        /// The task
        task: String,
    },
    /// Make a key for an agent; it is shown this once
    Key {
        /// The agent
        agent: String,
    },
    /// Let the built-in agents of this machine work for a server, until Ctrl-C
    Run(RunArgs),
    /// Give it no more work; what it has it finishes
    Drain {
        /// The agent
        agent: String,
    },
    /// Give it work again
    Resume {
        /// The agent
        agent: String,
    },
    /// Take everything from it, for good
    Revoke {
        /// The agent
        agent: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct RegisterArgs {
    /// Its name, for people
    #[arg(long)]
    name: String,
    /// What it can do
    #[arg(long, value_delimiter = ',', required = true)]
    capabilities: Vec<String>,
    /// What it is there for
    #[arg(long)]
    role: Option<String>,
    /// Its own name for itself, by which it is found again
    #[arg(long)]
    external_id: Option<String>,
    /// The models it has; any where none is named
    #[arg(long = "model", value_delimiter = ',', value_name = "MODEL")]
    models: Vec<String>,
    /// What its machine has, as memory_mb=32768; may be said more than once
    #[arg(long = "resource", value_delimiter = ',', value_name = "NAME=NUMBER", value_parser = resource)]
    resources: Vec<(String, u64)>,
    /// How good or dear it is, a word of the house
    #[arg(long)]
    tier: Option<String>,
    /// How many pieces of work it may hold at once [default: as many as it asks for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    slots: Option<u32>,
    /// Where it can be watched, an address; may be said more than once
    #[arg(long = "monitor", value_name = "URL")]
    monitoring_endpoints: Vec<String>,
    /// Make a key for it as well, which is shown this once: it speaks as this agent alone, and reaches the tasks it works on
    #[arg(long)]
    key: bool,
}

/// A resource and how much there is of it.
fn resource(text: &str) -> Result<(String, u64), String> {
    let told = || format!("{text:?} does not read NAME=NUMBER: one of {}", CAPACITIES.join(", "));
    let (name, number) = text.split_once('=').ok_or_else(told)?;
    Ok((name.to_owned(), number.parse().map_err(|_| told())?))
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Only these actions; all that are built in where none is named
    #[arg(long = "capability", value_delimiter = ',', value_name = "ACTION")]
    capabilities: Vec<String>,
    /// A folder they may read; may be said more than once [default: none]
    #[arg(long, value_name = "FOLDER")]
    read: Vec<PathBuf>,
    /// The folder they write below
    #[arg(long, value_name = "FOLDER", default_value = "ephor-out")]
    out: PathBuf,
    /// How many pieces of work at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    concurrency: Option<u32>,
    /// The name by which the server knows them again [default: ephor@ and the name of this machine]
    #[arg(long, value_name = "NAME")]
    external_id: Option<String>,
}

pub(super) async fn run(command: AgentCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let client = match command {
        AgentCommand::Run(args) => return lend(args, cx).await,
        _ => cx.host.server(&cx.place()).await?,
    };
    match command {
        AgentCommand::Register(args) => {
            let key = args.key;
            if key {
                // Nothing is registered for whoever may make no key.
                client.keys().await.map_err(told)?;
            }
            let agent = client.register(&said(args, cx)).await.map_err(told)?;
            let made = match key {
                true => Some(client.make_agent_key(&agent.id.to_string()).await.map_err(told)?),
                false => None,
            };
            match (made, cx.output()) {
                (None, _) => tell(&agent, cx),
                (Some(made), Output::Json) => cx.terminal.out.line(table::json(&with_key(&agent, &made))),
                (Some(made), Output::Ndjson) => cx.terminal.out.line(table::line(&with_key(&agent, &made))),
                (Some(made), Output::Id | Output::Table | Output::Wide) => {
                    tell(&agent, cx);
                    super::key::tell(&made, cx);
                }
            }
        }
        AgentCommand::Match { task } => candidates(&client.candidates(&task).await.map_err(told)?, cx),
        AgentCommand::Key { agent } => super::key::tell(&client.make_agent_key(&agent).await.map_err(told)?, cx),
        AgentCommand::List => list(&client.agents().await.map_err(told)?, cx),
        AgentCommand::Show { agent } => tell(&client.agent(&agent).await.map_err(told)?, cx),
        AgentCommand::Drain { agent } => tell(&client.drain_agent(&agent).await.map_err(told)?, cx),
        AgentCommand::Resume { agent } => tell(&client.resume_agent(&agent).await.map_err(told)?, cx),
        AgentCommand::Revoke { agent } => {
            cx.confirm(&format!("{agent} will never work again. Revoke it?"))?;
            tell(&client.revoke_agent(&agent).await.map_err(told)?, cx);
        }
        AgentCommand::Run(_) => unreachable!("it is answered above"),
    }
    Ok(Exit::Done)
}

/// What an agent says of itself.
fn said(args: RegisterArgs, cx: &Cx<'_>) -> Registration {
    let RegisterArgs { name, capabilities, role, external_id, models, resources, tier, slots, monitoring_endpoints, key: _ } =
        args;
    let boxed = |words: Vec<String>| words.into_iter().map(Into::into).collect();
    Registration {
        name,
        role,
        capabilities: boxed(capabilities),
        models: boxed(models),
        resources: resources.into_iter().map(|(name, n)| (name.into(), n)).collect(),
        tier,
        slots,
        monitoring_endpoints,
        external_id,
        namespace: cx.namespace().map(Into::into),
        in_process: false,
    }
}

/// An agent and the key that was made for it, as one document.
fn with_key(agent: &AgentView, made: &MadeKey) -> Value {
    let mut all = json!(agent);
    all["key"] = json!(made);
    all
}

fn candidates(all: &[Candidate], cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("WORK"), column("MAY"), column("AGENT"), column("NAME"), column("WHY"), wide("DONE"), wide("FAILED")];
    table::list(
        cx.terminal,
        form,
        all,
        &columns,
        |one| one.agent_id.to_string(),
        |one, _| {
            vec![
                cell(asked(&one.work)),
                cell(if one.may { "yes" } else { "no" }),
                cell(one.agent_id),
                cell(&one.name),
                cell(&one.why),
                cell(one.succeeded),
                cell(one.failed),
            ]
        },
    );
    if all.is_empty() && matches!(form.0, Output::Table | Output::Wide) {
        cx.say("it offers nothing now, or no agent is known; ephor why says what it waits for");
    }
}

/// What work asks for, in words: `modact, memory_mb=100, only agent_…`.
fn asked(key: &str) -> String {
    let key = Key::read(key);
    let words = key.words.split('+').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" and ");
    let demands = key.demands.split(',').filter(|demand| !demand.is_empty()).map(ToOwned::to_owned);
    let model = key.model.map(|model| format!("with {model}"));
    let agent = key.agent.map(|agent| format!("only {agent}"));
    Some(words).into_iter().chain(demands).chain(model).chain(agent).collect::<Vec<_>>().join(", ")
}

fn list(agents: &[AgentView], cx: &mut Cx<'_>) {
    let now = ephor_core::time::Time(SystemClock::default().wall_ms());
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("STATUS"),
        column("LOOKS"),
        column("AGENT"),
        column("NAME"),
        wide("EXTERNAL ID"),
        column("HOLDS"),
        column("SEEN"),
        column("CAN"),
    ];
    table::list(
        cx.terminal,
        form,
        agents,
        &columns,
        |agent| agent.id.to_string(),
        |agent, _| {
            vec![
                cell(format!("{}{}", show::word_of(&agent.status), if agent.hold.is_some() { ", held" } else { "" })),
                maybe(agent.liveness.map(|liveness| liveness.word())),
                cell(agent.id),
                cell(&agent.name),
                maybe(agent.external_id.as_ref()),
                cell(agent.leases.len()),
                maybe(agent.last_seen_at.map(|at| text::ago(at.0, now))),
                cell(agent.capabilities.join(" ")),
            ]
        },
    );
    if agents.is_empty() && matches!(form.0, Output::Table | Output::Wide) {
        cx.say("no agent is known; ephor agent run lends those of this machine");
    }
}

fn tell(agent: &AgentView, cx: &mut Cx<'_>) {
    match cx.output() {
        Output::Json => cx.terminal.out.line(table::json(agent)),
        Output::Ndjson => cx.terminal.out.line(table::line(agent)),
        Output::Id => cx.terminal.out.line(agent.id.to_string()),
        Output::Table | Output::Wide => {
            let inert = |text: &str| text::inert(text);
            let (status, name) = (show::word_of(&agent.status), inert(&agent.name));
            cx.terminal.out.line(format!("{status}  {name}  {}", agent.id));
            agent.role.iter().for_each(|role| cx.terminal.out.line(format!("  role   {}", inert(role))));
            agent.namespace.iter().for_each(|name| cx.terminal.out.line(format!("  in     {}", inert(name))));
            cx.terminal.out.line(format!("  can    {}", inert(&agent.capabilities.join(" "))));
            let of = agent.slots.map(|slots| format!(" of {slots}")).unwrap_or_default();
            cx.terminal.out.line(format!("  holds  {}{of} pieces of work", agent.leases.len()));
            let lately = agent.lately_failed * 100.0;
            cx.terminal
                .out
                .line(format!("  did    {} well, {} failed, {lately:.0} % of the latest", agent.succeeded, agent.failed));
            if agent.breaker != BreakerState::Closed {
                cx.terminal.out.line(format!("  breaker {}, ephor breaker list says why", show::word_of(&agent.breaker)));
            }
            if !agent.models.is_empty() {
                cx.terminal.out.line(format!("  models {}", inert(&agent.models.join(" "))));
            }
            let has: Vec<String> = agent.resources.iter().map(|(name, n)| format!("{name}={n}")).collect();
            if !has.is_empty() {
                cx.terminal.out.line(format!("  has    {}", inert(&has.join(" "))));
            }
            agent.tier.iter().for_each(|tier| cx.terminal.out.line(format!("  tier   {}", inert(tier))));
            if let Some(hold) = &agent.hold {
                let what = format!("  held   {}; go on with ephor hold lift {}", inert(&hold.reason), hold.id);
                cx.terminal.out.line(what);
            }
            for address in &agent.monitoring_endpoints {
                cx.terminal.out.line(format!("  watch  {}", inert(address)));
            }
            if let Some(liveness) = agent.liveness {
                cx.terminal.out.line(format!("  looks  {}", liveness.word()));
            }
            let now = ephor_core::time::Time(SystemClock::default().wall_ms());
            let seen = agent.last_seen_at.map_or("not since the server started".into(), |at| text::ago(at.0, now));
            cx.terminal.out.line(format!("  seen   {seen}"));
            for lease in &agent.leases {
                let word = |field: &str| inert(lease[field].as_str().unwrap_or_default());
                let silent = text::duration(lease["silent_ms"].as_u64().unwrap_or_default());
                cx.terminal.out.line(format!("         {}  {}  silent for {silent}", word("id"), word("liveness")));
            }
            if let Some(left) = agent.probation {
                let what = format!("  its lease lapsed: it gets little at a time until it has done {left} more well");
                cx.terminal.out.line(what);
            }
            let own = agent.external_id.as_deref().map(inert);
            own.iter().for_each(|own| cx.terminal.out.line(format!("  named  {own}")));
        }
    }
}

async fn lend(args: RunArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = machine.trim();
    let external_id = args.external_id.unwrap_or_else(|| format!("ephor@{}", if machine.is_empty() { "here" } else { machine }));
    let absolute = |path: &PathBuf| std::path::absolute(path).map_err(|e| Failure::file(path, &e));
    let out = absolute(&args.out)?;
    let read = args.read.iter().map(absolute).collect::<Result<_, _>>()?;
    let config = cx.config()?;
    let agents = Some(args.concurrency.unwrap_or(config.task_execution.max_concurrent_tasks));
    let lending = Lending {
        name: external_id.clone(),
        external_id,
        capabilities: args.capabilities,
        // A folder of this process: two of them on one machine do not meet.
        work: std::env::temp_dir().join(format!("ephor-agent-{}", std::process::id())),
        workshop: Workshop { agents, read, out, reach: config.reach, mail: config.mail },
    };
    let work = lending.work.clone();
    let mut lent = cx.host.lend(&cx.place(), lending).await?;
    cx.terminal.out.line(lent.agent().to_string());
    cx.say(format!("working as {}: {}", lent.agent(), lent.capabilities().join(", ")));
    let refused = tokio::select! {
        why = lent.refused() => Some(why),
        () = cx.terminal.interrupts.next() => None,
    };
    if refused.is_none() {
        cx.say("draining; Ctrl-C again leaves at once");
    }
    let unreported = lent.drain().await;
    if work.exists()
        && let Err(error) = std::fs::remove_dir_all(&work)
    {
        tracing::warn!(%error, folder = %work.display(), "the folder of shell commands was not removed");
    }
    if let Some(why) = refused {
        return Err(why.into());
    }
    match unreported {
        0 => Ok(Exit::Done),
        n => Err(ApiError::new(Kind::Failed, "UNREPORTED", format!("{n} attempts ended unheard"))
            .because("their leases lapse, and they are offered again")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn what_work_asks_for_is_told_in_words() {
        assert_eq!(asked("modact%memory_mb=100,cpu_cores=2@agent_x"), "modact, memory_mb=100, cpu_cores=2, only agent_x");
        assert_eq!(asked("review+judge#gpt-4"), "review and judge, with gpt-4");
        assert_eq!(asked("echo"), "echo");
    }
}
