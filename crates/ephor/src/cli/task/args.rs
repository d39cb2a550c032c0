//! What the verbs of `ephor task` are given.

use crate::cli::schedule::RecurrenceArgs;
use crate::cli::words;
use clap::Args;
use ephor_core::budget::OnBudget;
use ephor_core::event::TextChanges;
use ephor_core::models::Complexity;
use ephor_core::spec::{Affinity, Autonomy, ExecutionMode, Priority, Risk};
use ephor_core::status::Status;
use ephor_core::time::{WireDuration, WireTime};
use serde_json::Value;

/// How many tasks a list shows where nobody says.
const LIMIT: u32 = 50;

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// What is to be done
    #[arg(long, short, required_unless_present = "title")]
    pub(super) description: Option<String>,
    /// One line for lists
    #[arg(long, short)]
    pub(super) title: Option<String>,
    /// The kind of work
    #[arg(long = "type", value_name = "WORD")]
    pub(super) task_type: Option<String>,
    /// idle, low, normal, high, critical or sovereign
    #[arg(long, value_parser = words::word::<Priority>)]
    pub(super) priority: Option<Priority>,
    /// strict, auto or dry-run
    #[arg(long, value_parser = words::word::<ExecutionMode>)]
    pub(super) mode: Option<ExecutionMode>,
    /// suggestion, assisted or autonomous
    #[arg(long, value_parser = words::word::<Autonomy>)]
    pub(super) autonomy: Option<Autonomy>,
    /// What the result has to satisfy
    #[arg(long, value_delimiter = ',')]
    pub(super) requirements: Vec<String>,
    /// Labels
    #[arg(long, value_delimiter = ',')]
    pub(super) tags: Vec<String>,
    /// Must have ended by: an instant or the end of a day
    #[arg(long, value_parser = words::time)]
    pub(super) deadline: Option<WireTime>,
    /// Do not start before: an instant or the start of a day
    #[arg(long, value_parser = words::start)]
    pub(super) due: Option<WireTime>,
    /// How long it may take: 30m, 2h
    #[arg(long, value_parser = |text: &str| WireDuration::parse(text))]
    pub(super) timeout: Option<WireDuration>,
    /// The risk you see
    #[arg(long, value_parser = words::word::<Risk>)]
    pub(super) risk: Option<Risk>,
    /// What its one step does
    #[arg(long)]
    pub(super) action: Option<String>,
    /// What its agent must be able to do
    #[arg(long, value_delimiter = ',')]
    pub(super) capabilities: Vec<String>,
    /// The model its steps ask for that name none; auto for what the house chooses
    #[arg(long, value_name = "NAME")]
    pub(super) model: Option<String>,
    /// simple, moderate or complex: how large a machine its steps ask for
    #[arg(long, value_parser = words::word::<Complexity>)]
    pub(super) complexity: Option<Complexity>,
    /// What it may use at most: tokens=200000, cost=500000 (micro-dollars), tool_calls=100, wall_time=30m
    #[arg(long = "budget", value_name = "NAME=VALUE", value_parser = words::pair)]
    pub(super) budget: Vec<(String, Value)>,
    /// ask, stop or degrade_model: what follows when that does not suffice
    #[arg(long, value_parser = words::small::<OnBudget>)]
    pub(super) on_budget: Option<OnBudget>,
    /// A value of its payload
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = words::pair)]
    pub(super) params: Vec<(String, Value)>,
    /// Your own name for it
    #[arg(long)]
    pub(super) external_id: Option<String>,
    /// The only agent that does it, by its id or its own name
    #[arg(long, value_name = "AGENT")]
    pub(super) agent: Option<String>,
    /// session: one agent, whichever comes first, does all of it
    #[arg(long, value_parser = words::word::<Affinity>)]
    pub(super) affinity: Option<Affinity>,
    /// How often it is tried again before somebody is asked
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_retries: Option<u32>,
    /// Tasks that have to complete before, by id or your own name
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub(super) depends_on: Vec<String>,
    /// The task it is part of, by id or your own name
    #[arg(long, value_name = "TASK")]
    pub(super) parent: Option<String>,
    /// How long it may wait for its first agent: 30m, 2h
    #[arg(long, value_parser = |text: &str| WireDuration::parse(text))]
    pub(super) queue_timeout: Option<WireDuration>,
    /// Follow it to its end
    #[arg(long, short)]
    pub(super) watch: bool,
    #[command(flatten)]
    pub(super) recurrence: RecurrenceArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Those that have ended or were archived too
    #[arg(long, short)]
    pub(super) all: bool,
    /// Only these
    #[arg(long, value_delimiter = ',', value_parser = words::status)]
    pub(super) status: Vec<Status>,
    /// Only of this type
    #[arg(long = "type", value_name = "WORD")]
    pub(super) task_type: Option<String>,
    /// Only of this owner
    #[arg(long)]
    pub(super) owner: Option<String>,
    /// Only parts of this task
    #[arg(long)]
    pub(super) parent: Option<String>,
    /// Only of these risks
    #[arg(long, value_delimiter = ',', value_parser = words::word::<Risk>)]
    pub(super) risk: Vec<Risk>,
    /// Only those of which this agent holds work now; its id or its own name
    #[arg(long)]
    pub(super) agent: Option<String>,
    /// Only those in whose title, description, type or external id all of these words stand
    #[arg(long, value_name = "WORDS")]
    pub(super) q: Option<String>,
    /// Only due before an instant, or the start of a day; those without a due time are left out
    #[arg(long, value_name = "TIME", value_parser = words::start)]
    pub(super) before: Option<WireTime>,
    /// The oldest first
    #[arg(long)]
    pub(super) oldest_first: bool,
    /// How many there are in each status instead, archived ones too
    #[arg(long, conflicts_with_all = ["all", "status", "task_type", "owner", "parent", "risk", "agent", "q", "before", "oldest_first", "after"])]
    pub(super) counts: bool,
    /// How many at most
    #[arg(long, default_value_t = LIMIT)]
    pub(super) limit: u32,
    /// Where the page before ended
    #[arg(long, value_name = "CURSOR")]
    pub(super) after: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct WatchArgs {
    /// The tasks
    #[arg(required = true)]
    pub(super) tasks: Vec<String>,
    /// done, or blocked: also when nothing moves without a person
    #[arg(long, default_value = "done", value_parser = ["done", "blocked"])]
    pub(super) until: String,
    /// End with the first that ends without success
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// End after this long: 30m
    #[arg(long, value_parser = |text: &str| WireDuration::parse(text))]
    pub(super) timeout: Option<WireDuration>,
    /// Do not show what happens meanwhile
    #[arg(long)]
    pub(super) no_progress: bool,
}

impl WatchArgs {
    /// These tasks to their end.
    pub(in crate::cli) fn of(tasks: Vec<String>, timeout: Option<WireDuration>) -> Self {
        Self { tasks, until: "done".into(), fail_fast: false, timeout, no_progress: false }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ModifyArgs {
    /// The task
    pub(super) task: String,
    /// Only if it is at this version
    #[arg(long, value_name = "VERSION")]
    pub(super) expect: Option<u64>,
    /// The new priority
    #[arg(long, value_parser = words::word::<Priority>)]
    pub(super) priority: Option<Priority>,
    /// The new deadline
    #[arg(long, value_parser = words::time)]
    pub(super) deadline: Option<WireTime>,
    /// The new due time; the past means now, a day its start
    #[arg(long, value_parser = words::start)]
    pub(super) due: Option<WireTime>,
    /// The new mode
    #[arg(long, value_parser = words::word::<ExecutionMode>)]
    pub(super) mode: Option<ExecutionMode>,
    /// The agent that takes over the steps of the one before, by its id or its own name
    #[arg(long, value_name = "AGENT")]
    pub(super) agent: Option<String>,
    /// What it may use from now on: tokens=200000, cost=500000, tool_calls=100, wall_time=30m; other limits stay
    #[arg(long = "budget", value_name = "NAME=VALUE", value_parser = words::pair)]
    pub(super) budget: Vec<(String, Value)>,
    /// The model open steps of a type are done with from now on: gpt-4 for all, Testing=gpt-4 for those of this task_type or action
    #[arg(long = "model", value_name = "[TYPE=]MODEL", value_parser = words::model)]
    pub(super) models: Vec<(Box<str>, Box<str>)>,
    #[command(flatten)]
    pub(super) text: TextArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TextArgs {
    /// Why
    #[arg(long, default_value = "")]
    pub(super) reason: String,
    /// The new title
    #[arg(long)]
    pub(super) title: Option<String>,
    /// The new description
    #[arg(long)]
    pub(super) description: Option<String>,
    /// The new article it rests on
    #[arg(long, value_name = "ARTICLE")]
    pub(super) constitutional_basis: Option<String>,
    /// The new requirements
    #[arg(long, value_delimiter = ',')]
    pub(super) requirements: Option<Vec<String>>,
    /// A new limit: memory_mb=2048
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = words::pair)]
    pub(super) limits: Vec<(String, Value)>,
}

impl From<TextArgs> for TextChanges {
    fn from(args: TextArgs) -> Self {
        let limits = (!args.limits.is_empty()).then(|| words::object(args.limits));
        Self {
            reason: args.reason,
            title: args.title,
            description: args.description,
            requirements: args.requirements,
            resource_limits: limits,
            constitutional_basis: args.constitutional_basis,
        }
    }
}
