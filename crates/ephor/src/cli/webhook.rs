//! `ephor webhook`: who is told of what over HTTP, and how that went. A server tells, so a server is asked.

use super::failure::{Exit, Failure};
use super::style::Hue;
use super::table::{self, Cell, Output, cell, column, maybe, wide};
use super::{Cx, show};
use crate::remote::told;
use clap::Subcommand;
use ephor_core::id::WebhookId;
use ephor_core::webhook::{DeliveryView, Format, NewWebhook, Topic, WebhookState, WebhookView};

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Have somebody told from now on; the secret that signs the messages is shown this once
    Create {
        /// A name for people
        name: String,
        /// Where messages go: https://…
        url: String,
        /// Of what; may be said more than once [default: task.completed, task.failed, task.blocked, task.escalated, approval.owed]
        #[arg(long = "event", value_name = "EVENT", value_parser = topic)]
        events: Vec<Topic>,
        /// Only of tasks of this type; may be said more than once
        #[arg(long = "type", value_name = "TYPE")]
        task_types: Vec<String>,
        /// As CloudEvents
        #[arg(long)]
        cloudevents: bool,
    },
    /// Who is told of what
    List,
    /// One of them
    Show {
        /// Its id
        webhook: WebhookId,
    },
    /// Tell it nothing for now; what happens meanwhile is told once it goes on
    Pause {
        /// Its id
        webhook: WebhookId,
    },
    /// Go on where it ended: one that was paused, is off, or waits for its next try
    Resume {
        /// Its id
        webhook: WebhookId,
    },
    /// Tell it no more
    Delete {
        /// Its id
        webhook: WebhookId,
    },
    /// The last tries to tell it something
    Deliveries {
        /// Its id
        webhook: WebhookId,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200), value_name = "NUMBER")]
        limit: u32,
    },
    /// Send again what was told in a try, now
    Redeliver {
        /// Its id
        webhook: WebhookId,
        /// The number of the try
        delivery: u64,
    },
    /// Send a message that tells nothing, now
    Test {
        /// Its id
        webhook: WebhookId,
    },
}

fn topic(word: &str) -> Result<Topic, String> {
    let all = || Topic::ALL.map(Topic::word).join(", ");
    Topic::read(word).ok_or_else(|| format!("there is no such event; allowed are {}", all()))
}

pub(super) async fn run(command: WebhookCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let client = cx.host.server(&cx.place()).await?;
    match command {
        WebhookCommand::Create { name, url, events, task_types, cloudevents } => {
            let format = if cloudevents { Format::Cloudevents } else { Format::Standard };
            let namespace = cx.namespace();
            let wish = NewWebhook { name, url, events, task_types, namespace, format };
            let made = client.make_webhook(&wish).await.map_err(told)?;
            match cx.output() {
                Output::Json | Output::Ndjson => cx.terminal.out.line(serde_json::json!(made).to_string()),
                Output::Id => cx.terminal.out.line(made.view.id.to_string()),
                Output::Table | Output::Wide => {
                    cx.terminal.out.line(&made.secret);
                    let of = match &made.view.namespace {
                        Some(namespace) => format!("about the namespace {namespace}"),
                        None => "about all namespaces".into(),
                    };
                    cx.say(format!("{}, {of}, is {}; keep its secret, it is not shown again", made.view.name, made.view.id));
                }
            }
        }
        WebhookCommand::List => list(&client.webhooks().await.map_err(told)?, cx),
        WebhookCommand::Show { webhook } => list(&[client.webhook(webhook).await.map_err(told)?], cx),
        WebhookCommand::Pause { webhook } => list(&[client.pause_webhook(webhook, true).await.map_err(told)?], cx),
        WebhookCommand::Resume { webhook } => list(&[client.pause_webhook(webhook, false).await.map_err(told)?], cx),
        WebhookCommand::Delete { webhook } => {
            client.remove_webhook(webhook).await.map_err(told)?;
            cx.say(format!("{webhook} is told no more"));
        }
        WebhookCommand::Deliveries { webhook, limit } => {
            tries(&client.webhook_deliveries(webhook, limit).await.map_err(told)?, cx);
        }
        WebhookCommand::Redeliver { webhook, delivery } => {
            return Ok(tried(client.redeliver(webhook, delivery).await.map_err(told)?, cx));
        }
        WebhookCommand::Test { webhook } => return Ok(tried(client.test_webhook(webhook).await.map_err(told)?, cx)),
    }
    Ok(Exit::Done)
}

/// Shows one try; the command fails where it did.
fn tried(one: DeliveryView, cx: &mut Cx<'_>) -> Exit {
    let exit = if one.delivered { Exit::Done } else { Exit::Error };
    tries(&[one], cx);
    exit
}

fn list(all: &[WebhookView], cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("WEBHOOK"),
        column("NAME"),
        column("STATE"),
        column("BEHIND"),
        column("URL"),
        wide("EVENTS"),
        wide("TYPES"),
        wide("NAMESPACE"),
        column("WHY"),
    ];
    table::list(
        cx.terminal,
        form,
        all,
        &columns,
        |one| one.id.to_string(),
        |one, _| {
            let events: Vec<&str> = one.events.iter().map(|topic| topic.word()).collect();
            vec![
                cell(one.id),
                cell(&one.name),
                state(one),
                cell(one.behind),
                cell(&one.url),
                cell(events.join(", ")),
                cell(one.task_types.join(", ")),
                cell(one.namespace.as_deref().unwrap_or("all")),
                maybe(one.why.as_ref()),
            ]
        },
    );
    if all.is_empty() && matches!(form.0, Output::Table | Output::Wide) {
        cx.say("nobody is told; ephor webhook create NAME URL");
    }
}

fn state(one: &WebhookView) -> Cell {
    let hue = match one.state {
        WebhookState::Active => Hue::Done,
        WebhookState::Failing => Hue::Block,
        WebhookState::Paused => Hue::Idle,
        WebhookState::Off => Hue::Fail,
    };
    (hue, show::word_of(&one.state))
}

fn tries(all: &[DeliveryView], cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("TRY"),
        column("AT"),
        column("EVENT"),
        column("RESULT"),
        column("STATUS"),
        column("ATTEMPT"),
        column("TASK"),
        wide("MESSAGE"),
        column("WHY"),
    ];
    table::list(
        cx.terminal,
        form,
        all,
        &columns,
        |one| one.id.to_string(),
        |one, _| {
            vec![
                cell(one.id),
                cell(one.at.0),
                cell(one.event.word()),
                if one.delivered { (Hue::Done, "arrived".into()) } else { (Hue::Fail, "failed".into()) },
                maybe(one.status),
                cell(one.attempt),
                maybe(one.task_id),
                cell(&one.message_id),
                maybe(one.error.as_ref()),
            ]
        },
    );
}
