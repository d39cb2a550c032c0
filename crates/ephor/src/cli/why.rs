//! `ephor why`: what a task waits for, and the smallest act that frees it.

use super::failure::{Exit, Failure};
use super::live::Scene;
use super::{Cx, find, show, table};
use crate::host::Need;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The task: its id or a beginning of it, its external id, or @last
    task: String,
}

pub(super) async fn run(args: &WhyArgs, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let (scene, now) = cx
        .with_api(Need::Read, async |_, api| {
            let id = find(api, &args.task).await?;
            let (task, waiting) = (api.task(id).await?, api.waiting(id).await?);
            Ok((Scene { task, steps: Vec::new(), waiting }, api.now()))
        })
        .await?;
    if cx.output().is_json() {
        cx.terminal.out.line(table::json(&scene.waiting));
        return Ok(Exit::Done);
    }
    let unguarded = scene.task.unguarded_effects;
    if unguarded > 0 {
        cx.say(format!(
            "{unguarded} of its effects are UNGUARDED: nobody asked a grant for them; ephor task effects {}",
            scene.task.id
        ));
    }
    let (style, columns) = (cx.style(), cx.columns());
    cx.terminal.out.line(show::headline(&scene.task, style).show(columns, style));
    let waits = show::waiting(&scene, now, style);
    match (waits.is_empty(), scene.task.status.is_final()) {
        (true, true) => cx.terminal.out.line("  it has ended and waits for nothing"),
        (true, false) => {
            for waits in &scene.waiting {
                let looks = waits.liveness.map(|liveness| format!(" ({})", liveness.word())).unwrap_or_default();
                cx.terminal.out.line(format!("  {}{looks}", super::text::inert(&waits.what)));
            }
        }
        (false, _) => waits.iter().for_each(|line| cx.terminal.out.line(line.show(columns, style))),
    }
    Ok(Exit::Done)
}
