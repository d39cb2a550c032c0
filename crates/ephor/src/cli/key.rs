//! `ephor key`: make keys, list them, take them back. On the database itself, or on a server that is named.

use super::Cx;
use super::failure::{Exit, Failure};
use super::style::Hue;
use super::table::{self, Cell, Output, cell, column, maybe, wide};
use crate::host::Need;
use clap::{Subcommand, ValueEnum};
use ephor_core::id::KeyId;
use ephor_core::key::{KeyView, MadeKey, NewKey, Role};
use ephor_core::time::WireDuration;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key; it is shown this once
    Create {
        /// The name its holder goes by in events
        name: String,
        /// What it is there for; may be said more than once
        #[arg(long, value_enum, required = true, value_name = "ROLE")]
        role: Vec<Said>,
        /// The only agent it may speak as, by id or by its own name
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        /// How long it is worth something [default: for ever]
        #[arg(long, value_name = "DURATION", value_parser = WireDuration::parse)]
        expires_in: Option<WireDuration>,
    },
    /// Keys that were made
    List,
    /// Take a key back
    Revoke {
        /// Its id
        key: KeyId,
    },
}

/// A role, as it is said.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Said {
    /// Looks
    Viewer,
    /// Submits and steers
    Operator,
    /// Decides
    Approver,
    /// Does work
    Agent,
    /// May everything
    Admin,
}

impl From<Said> for Role {
    fn from(said: Said) -> Self {
        match said {
            Said::Viewer => Self::Viewer,
            Said::Operator => Self::Operator,
            Said::Approver => Self::Approver,
            Said::Agent => Self::Agent,
            Said::Admin => Self::Admin,
        }
    }
}

pub(super) async fn run(command: KeyCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        KeyCommand::Create { name, role, agent, expires_in } => {
            let roles = role.into_iter().map(Into::into).collect();
            create(NewKey { name, roles, namespace: cx.namespace(), agent, expires_in }, cx).await
        }
        KeyCommand::List => {
            let keys = cx.with_api(Need::Read, async |_, api| Ok(api.keys().await?)).await?;
            list(&keys, cx);
            Ok(Exit::Done)
        }
        KeyCommand::Revoke { key } => {
            let revoked = cx.with_api(Need::Decide, async |_, api| Ok(api.revoke_key(key).await?)).await?;
            list(&[revoked], cx);
            Ok(Exit::Done)
        }
    }
}

async fn create(wish: NewKey, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let made = cx.with_api(Need::Decide, async |_, api| Ok(api.make_key(wish).await?)).await?;
    tell(&made, cx);
    Ok(Exit::Done)
}

/// Shows a key, this once.
pub(super) fn tell(made: &MadeKey, cx: &mut Cx<'_>) {
    match cx.output() {
        Output::Json | Output::Ndjson => cx.terminal.out.line(serde_json::json!(made).to_string()),
        Output::Id => cx.terminal.out.line(&made.key),
        Output::Table | Output::Wide => {
            cx.terminal.out.line(&made.key);
            let of = match &made.view.namespace {
                Some(namespace) => format!("of the namespace {namespace}"),
                None => "of all namespaces".into(),
            };
            cx.say(format!("the key {:?}, {of}, is {}; keep it, it is not shown again", made.view.name, made.view.id));
        }
    }
}

fn list(keys: &[KeyView], cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns =
        [column("KEY"), column("NAME"), column("ROLES"), column("NAMESPACE"), column("STATE"), wide("AGENT"), wide("CREATED")];
    table::list(
        cx.terminal,
        form,
        keys,
        &columns,
        |key| key.id.to_string(),
        |key, _| {
            let roles: Vec<String> = key.roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
            vec![
                cell(key.id),
                cell(&key.name),
                cell(roles.join(", ")),
                cell(key.namespace.as_deref().unwrap_or("all")),
                state(key),
                maybe(key.agent),
                cell(key.created_at.0),
            ]
        },
    );
}

fn state(key: &KeyView) -> Cell {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => (Hue::Idle, format!("revoked {}", at.0)),
        (None, Some(at)) => cell(format!("until {}", at.0)),
        (None, None) => cell("good"),
    }
}
