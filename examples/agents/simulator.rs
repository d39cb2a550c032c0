//! A simulated agent on the SDK: it executes a plan on a running server, plays every task, and checks the event log.
//!
//! ```sh
//! ephor serve
//! cargo run --example simulator
//! ```
//!
//! It writes every event of the execution to `simulator.log`, or to the file that is named, and ends well if each task was done once and
//! in the order of the plan. It works in a namespace of its own, so that it plays nobody's real tasks. `EPHOR_SERVER` and `EPHOR_TOKEN`
//! name another server and who asks. The same in Python: `simulator.py`.

use ephor_core::agent::Registration;
use ephor_core::view::EventView;
use ephor_core::work::{Outcome, Success};
use ephor_sdk::agent::{Agent, Job, Running};
use ephor_sdk::client::{Client, Config, EventFilter};
use ephor_sdk::http::{Http, new_claim_id};
use ephor_sdk::worker::{Options, Worker};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const PLAN: &str = include_str!("prospecting.md");
/// What the plan asks for.
const CAPABILITIES: [&str; 9] = [
    "search_google_maps",
    "manage_csv",
    "analyze_website",
    "make_phone_call",
    "document_findings",
    "draft_document",
    "schedule_calendar_event",
    "build_quote",
    "conduct_interview",
];
/// The only namespace it works for.
const NAMESPACE: &str = "simulator";
/// How long each task takes.
const WORK: Duration = Duration::from_millis(20);

/// Plays whatever it is asked.
struct Player;

impl Agent for Player {
    fn actions(&self) -> Vec<String> {
        CAPABILITIES.map(Into::into).into()
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move {
            let item = job.item();
            println!("{} {}: {}", item.work, item.action, item.title);
            job.progress(0.5, "half way");
            // Real work would look at `job.params()` here, and act on the outside within `job.effect(…)`.
            tokio::time::sleep(WORK).await;
            Outcome::Succeeded(Success { output: json!({"played": item.title}), ..Success::default() })
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::of_environment();
    let client = Client::new(config.clone())?;
    let registration = Registration {
        name: "Larry".into(),
        external_id: Some("simulator_sdk".into()),
        namespace: Some(NAMESPACE.into()),
        capabilities: CAPABILITIES.map(Into::into).into(),
        ..Registration::default()
    };
    let agent = client.register(&registration).await?.id;

    let plan = json!({"plan_id": "prospecting", "agent_id": agent, "plan": PLAN, "namespace": NAMESPACE}).to_string();
    let (_, _, answer) = client.raw("POST", "/api/executions", Some(("application/json", plan.into_bytes()))).await?;
    let execution = serde_json::from_slice::<Value>(&answer)?["id"].as_str().ok_or("an execution has an id")?.to_owned();
    println!("{agent} works on {execution}");

    // Until the execution has ended: claims, signs of life and reports are the worker's business.
    let worker =
        Worker::new(Arc::new(Http::new(config, agent)?), Options::new(agent), [Arc::new(Player) as Arc<dyn Agent>], new_claim_id);
    let watched = client.clone();
    let id = execution.clone();
    worker.run(async move { drop(watched.finished(&id).await) }).await;

    let events = history(&client, &execution).await?;
    let lines = events.iter().map(|event| serde_json::to_string(event).map(|line| line + "\n"));
    let log = std::env::args().nth(1).unwrap_or_else(|| "simulator.log".into());
    std::fs::write(&log, lines.collect::<Result<String, _>>()?)?;
    let planned = client.steps(&execution).await?.into_iter().filter(|step| !step.is_group()).map(|step| step.path);
    let done = events.iter().filter(|event| event.kind == "ATTEMPT_SUCCEEDED").filter_map(EventView::step);
    let (planned, done): (Vec<String>, Vec<String>) = (planned.collect(), done.collect());
    let status = client.task(&execution).await?.status;
    println!("{execution} is {status}: {} of {} tasks done, {} events in {log}", done.len(), planned.len(), events.len());
    match done == planned {
        true => Ok(()),
        false => Err(format!("planned were {planned:?}, done were {done:?}").into()),
    }
}

/// Every event of a task, as it happened.
async fn history(client: &Client, task: &str) -> Result<Vec<EventView>, Box<dyn std::error::Error>> {
    let mut events: Vec<EventView> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.position);
        let page = client.events(&EventFilter { task: Some(task.into()), after, ..EventFilter::default() }).await?;
        if page.items.is_empty() {
            return Ok(events);
        }
        events.extend(page.items);
    }
}
