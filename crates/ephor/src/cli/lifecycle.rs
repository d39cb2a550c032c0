//! `ephor lifecycle`: the statuses of a task and the map of legal moves, as data of the rules. Needs no engine.

use super::failure::Exit;
use super::style::{Hue, task_mark};
use super::table::{self, cell, column};
use super::{Cx, Output};
use ephor_core::status::Status;
use serde::Serialize;

/// One status and what may follow it.
#[derive(Serialize)]
struct Stage {
    status: Status,
    #[serde(rename = "final")]
    is_final: bool,
    may_become: &'static [Status],
}

pub(super) fn run(cx: &mut Cx<'_>) -> Exit {
    let stages = Status::ALL.map(|status| Stage { status, is_final: status.is_final(), may_become: status.successors() });
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("STATUS"), column("MAY BECOME")];
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
            vec![(mark.hue, format!("{} {}", mark.icon(style), stage.status)), next]
        },
    );
    if form.0 == Output::Table {
        cx.say("ephor lifecycle --json gives the same for programs");
    }
    Exit::Done
}
