//! `ephor lifecycle`: the statuses of a task, the map of legal moves and how long each waits, as data of the rules and of the
//! configuration. Needs no engine.

use super::failure::{Exit, Failure};
use super::style::{Hue, task_mark};
use super::table::{self, cell, column, wide};
use super::{Cx, Output, show};
use ephor_core::lifecycle::{Stage, Wait, lifecycle};

pub(super) fn run(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let stages = lifecycle(&cx.config()?.house());
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("STATUS"), column("KIND"), column("MAY BECOME"), wide("WAITS FOR")];
    table::list(
        cx.terminal,
        form,
        &stages,
        &columns,
        |s| s.status.to_string(),
        |stage, style| {
            let mark = task_mark(stage.status, None, false);
            let next: Vec<String> = stage.may_become.iter().map(ToString::to_string).collect();
            let next = if stage.is_final { (Hue::Idle, "nothing: it has ended".into()) } else { cell(next.join(" ")) };
            let status = (mark.hue, format!("{} {}", mark.icon(style), stage.status));
            vec![status, cell(show::word_of(&stage.kind)), next, cell(waits(stage))]
        },
    );
    if form.0 == Output::Table {
        cx.say("ephor lifecycle --output wide says what each waits for, and how long; --json gives the same for programs");
    }
    Ok(Exit::Done)
}

/// What a status waits for, how long, and what happens then.
fn waits(stage: &Stage) -> String {
    let told = |wait: &Wait| {
        let then = wait.then.map(|then| format!(", then {then}")).unwrap_or_default();
        let limit = wait.limit.map(|limit| format!(" ({limit}{then})")).unwrap_or_default();
        format!("{}{limit}", wait.what)
    };
    stage.waits.iter().map(told).collect::<Vec<_>>().join("; ")
}
