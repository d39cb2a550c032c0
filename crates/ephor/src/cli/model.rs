//! `ephor model`: which models the house knows, what it says of them, and how attempts with them went. A server counts, so a server is asked.

use super::failure::{Exit, Failure};
use super::style::Hue;
use super::table::{self, Cell, Output, cell, column, maybe, wide};
use super::text::duration;
use super::{Cx, show};
use crate::remote::told;
use clap::{Args, Subcommand};
use ephor_core::breaker::BreakerState;
use ephor_core::models::{ModelRole, ModelView, ModelWork};
use ephor_core::time::WireDuration;

#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// Show the models of the catalogue, of the rules and of the agents, and how attempts with them went
    List {
        #[command(flatten)]
        within: Within,
    },
    /// Show one of them: what the house says of it, which rules name it, what takes its place, what went wrong
    Show {
        /// Its name
        model: String,
        #[command(flatten)]
        within: Within,
    },
}

/// Over how long.
#[derive(Debug, Args)]
pub(super) struct Within {
    /// Over how long attempts are counted, up to how long figures are kept [default: 1d]
    #[arg(long, value_name = "DURATION", value_parser = |text: &str| WireDuration::parse(text))]
    window: Option<WireDuration>,
}

pub(super) async fn run(command: ModelCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let client = cx.host.server(&cx.place()).await?;
    let namespace = cx.globals.namespace.clone();
    match command {
        ModelCommand::List { within } => {
            let found = client.models(namespace.as_deref(), within.window).await.map_err(told)?;
            list(&found.models, cx);
        }
        ModelCommand::Show { model, within } => {
            let found = client.model(&model, namespace.as_deref(), within.window).await.map_err(told)?;
            match cx.output() {
                Output::Json => cx.terminal.out.line(table::json(&found)),
                Output::Ndjson | Output::Id => list(&[found], cx),
                Output::Table | Output::Wide => one(&found, cx),
            }
        }
    }
    Ok(Exit::Done)
}

fn list(all: &[ModelView], cx: &mut Cx<'_>) {
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("MODEL"),
        column("STATE"),
        wide("PROVIDER"),
        column("TIER"),
        wide("CONTEXT"),
        wide("IN"),
        wide("OUT"),
        column("NAMED AS"),
        column("AGENTS"),
        column("WORKED"),
        column("FAILED"),
        column("HALF"),
        column("95%"),
        column("TOKENS"),
        column("COST"),
    ];
    table::list(
        cx.terminal,
        form,
        all,
        &columns,
        |one| one.name.clone(),
        |one, _| {
            let work = &one.work;
            let took = |spread: Option<WireDuration>| maybe(spread.map(|length| duration(length.ms)));
            vec![
                cell(&one.name),
                state(one),
                maybe(one.provider.as_ref()),
                maybe(one.tier.as_ref()),
                maybe(one.context),
                maybe(one.cost_in.map(dollars)),
                maybe(one.cost_out.map(dollars)),
                cell(roles(one)),
                cell(one.agents),
                cell(work.succeeded),
                if work.failed > 0 { (Hue::Fail, work.failed.to_string()) } else { cell(0) },
                took(work.duration.p50),
                took(work.duration.p95),
                maybe((work.told > 0).then_some(work.tokens)),
                maybe((work.told > 0).then(|| dollars(work.cost))),
            ]
        },
    );
    if all.is_empty() && matches!(form.0, Output::Table | Output::Wide) {
        cx.say("no model is known; say which there are in the section models of ephor.yaml");
    }
}

fn state(one: &ModelView) -> Cell {
    let hue = match one.state {
        BreakerState::Closed => Hue::Done,
        BreakerState::HalfOpen => Hue::Block,
        BreakerState::Open => Hue::Fail,
    };
    (hue, show::word_of(&one.state))
}

/// As what rules name it, each once.
fn roles(one: &ModelView) -> String {
    let mut roles: Vec<ModelRole> = one.named_by.iter().map(|by| by.role).collect();
    roles.sort_unstable();
    roles.dedup();
    roles.iter().map(show::word_of).collect::<Vec<_>>().join(", ").to_lowercase()
}

/// Micro-dollars as dollars: as many digits behind the point as it takes, two at least.
fn dollars(micro: u64) -> String {
    let parts = format!("{:06}", micro % 1_000_000);
    let shown = parts.trim_end_matches('0').len().max(2);
    format!("${}.{}", micro / 1_000_000, &parts[..shown])
}

fn one(model: &ModelView, cx: &mut Cx<'_>) {
    let mut lines = vec![("model", model.name.clone()), ("state", show::word_of(&model.state))];
    let mut say = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    say("provider", model.provider.as_ref().map(ToString::to_string));
    say("tier", model.tier.as_ref().map(ToString::to_string));
    say("context", model.context.map(|n| format!("{n} tokens")));
    say("in", model.cost_in.map(|n| format!("{} for 1,000 tokens", dollars(n))));
    say("out", model.cost_out.map(|n| format!("{} for 1,000 tokens", dollars(n))));
    let needs: Vec<String> = model.resources.iter().map(|(name, n)| format!("{n} {name}")).collect();
    say("needs", (!needs.is_empty()).then(|| needs.join(", ")));
    say("agents", Some(model.agents.to_string()));
    for by in &model.named_by {
        let special = if by.task_types.is_empty() { String::new() } else { format!(" for {}", by.task_types.join(", ")) };
        let next = if by.fallbacks.is_empty() { String::new() } else { format!("; then {}", by.fallbacks.join(", ")) };
        let advice = if by.advice { " (advice)" } else { "" };
        let role = show::word_of(&by.role).to_lowercase();
        say("named by", Some(format!("{}{advice}, where {}: {role}{special}{next}", by.rule, by.when)));
    }
    let ModelWork { succeeded, failed, by_class, duration: took, told, tokens, cost, tool_calls, error_rate: _ } = &model.work;
    let classes: Vec<String> = by_class.iter().map(|(class, n)| format!("{n} {class}")).collect();
    let why = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    say("attempts", Some(format!("{succeeded} worked, {failed} failed{why}")));
    let within = took.p50.zip(took.p95);
    say("took", within.map(|(half, most)| format!("half within {}, 95% within {}", duration(half.ms), duration(most.ms))));
    let used = format!("{tokens} tokens, {}, {tool_calls} calls of tools, as {told} attempts said", dollars(*cost));
    say("used", (*told > 0).then_some(used));
    for breaker in &model.breakers {
        let place = breaker.namespace.as_deref().unwrap_or("everywhere");
        let class = show::word_of(&breaker.class);
        say(
            "left alone",
            Some(format!("in {place} until {}: {} tasks failed, {class} at last", breaker.until.0, breaker.failures)),
        );
    }
    for (name, value) in lines {
        cx.terminal.out.line(format!("{name:<10} {}", super::text::inert(&value)));
    }
}

#[cfg(test)]
mod tests {
    use super::dollars;

    #[test]
    fn a_price_has_the_digits_it_takes() {
        let told = [0, 15_000, 1_000_000, 1_230_000, 7, 12_500].map(dollars);
        assert_eq!(told, ["$0.00", "$0.015", "$1.00", "$1.23", "$0.000007", "$0.0125"]);
    }
}
