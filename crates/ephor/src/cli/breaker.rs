//! `ephor breaker`: which agents, tools and models are left alone because they failed, and trusting them again.

use super::failure::{Exit, Failure};
use super::table::{self, cell, column, maybe};
use super::{Cx, Output, show};
use crate::remote::told;
use clap::{Subcommand, ValueEnum};
use ephor_core::breaker::{BreakerOf, BreakerView};

#[derive(Debug, Subcommand)]
pub(super) enum BreakerCommand {
    /// Show those that are open or half-open
    List,
    /// Trust an agent, a tool or a model again, whatever it did
    Reset {
        /// What it is
        #[arg(value_enum)]
        of: Said,
        /// Which one: an agent, the words of a tool, the name of a model
        name: String,
    },
}

/// Whose breaker, as it is said.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Said {
    /// An agent, by its id or its own name
    Agent,
    /// What steps ask for: an action, or capabilities joined by +
    Tool,
    /// A model
    Model,
}

pub(super) async fn run(command: BreakerCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let client = cx.host.server(&cx.place()).await?;
    let left = match command {
        BreakerCommand::List => client.breakers().await,
        BreakerCommand::Reset { of, name } => {
            let of = match of {
                Said::Agent => BreakerOf::Agent,
                Said::Tool => BreakerOf::Tool,
                Said::Model => BreakerOf::Model,
            };
            client.reset_breaker(of, &name, cx.namespace().as_deref()).await
        }
    };
    list(&left.map_err(told)?, cx);
    Ok(Exit::Done)
}

fn list(all: &[BreakerView], cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns =
        [column("STATE"), column("OF"), column("NAME"), column("NAMESPACE"), column("UNTIL"), column("FAILED"), column("LAST")];
    table::list(
        cx.terminal,
        form,
        all,
        &columns,
        |one| one.name.clone(),
        |one, _| {
            vec![
                cell(show::word_of(&one.state)),
                cell(show::word_of(&one.of)),
                cell(&one.name),
                maybe(one.namespace.as_ref()),
                cell(one.until.0),
                cell(one.failures),
                cell(show::word_of(&one.class)),
            ]
        },
    );
    if all.is_empty() && matches!(form.0, Output::Table | Output::Wide) {
        cx.say("every agent, tool and model is trusted");
    }
}
