//! What the quality gates of a task said.

use crate::cli::failure::{Exit, Failure};
use crate::cli::style::Hue;
use crate::cli::table::{self, cell, column, maybe, wide};
use crate::cli::{Cx, Output, text};
use crate::host::Need;
use ephor_core::quality::{GateResult, GateVerdict};
use ephor_core::work::Violation;

/// How many violations of a gate are told beside it; `--json` has all that are named.
const TOLD_MAX: usize = 10;

pub(super) async fn show(task: &str, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let gates = cx.with_api(Need::Read, async |cx, api| Ok(api.gates(cx.find(api, task).await?).await?)).await?;
    let form = (cx.output(), cx.globals.ascii);
    let columns = [
        column("STATUS"),
        column("STEP"),
        column("GATE"),
        column("SCORE"),
        column("VIOLATIONS"),
        column("BY"),
        wide("JUDGE"),
        wide("AT"),
        column("WHY"),
    ];
    table::list(
        cx.terminal,
        form,
        &gates,
        &columns,
        |gate: &GateResult| format!("{}:{}", gate.step, gate.gate),
        |gate, _| {
            let count = (gate.violation_count > 0).then_some(gate.violation_count);
            vec![
                (hue(gate.status), gate.status.word().to_owned()),
                cell(&gate.step),
                maybe(gate.kind.map(|kind| kind.word())),
                maybe(gate.score.map(|score| format!("{score:.2}"))),
                maybe(count),
                cell(&gate.by),
                maybe(gate.judge),
                maybe(gate.at.map(|at| at.0)),
                cell(text::inert(&gate.why)),
            ]
        },
    );
    if !matches!(form.0, Output::Table | Output::Wide) {
        return Ok(Exit::Done);
    }
    if gates.is_empty() {
        cx.say("its plan has no gates; see docs/gates.md");
    }
    for gate in gates.iter().filter(|gate| !gate.passed) {
        for violation in gate.violations.iter().take(TOLD_MAX) {
            cx.terminal.out.line(format!("  {}: {}", gate.step, told(violation)));
        }
        for hint in &gate.recommendations {
            cx.terminal.out.line(format!("  {}: {}", gate.step, text::inert(hint)));
        }
    }
    Ok(Exit::Done)
}

fn hue(status: GateVerdict) -> Hue {
    match status {
        GateVerdict::Passed => Hue::Done,
        GateVerdict::Failed => Hue::Fail,
        GateVerdict::Warning => Hue::Block,
        GateVerdict::Skipped | GateVerdict::Pending => Hue::Plain,
    }
}

/// A violation in one line.
fn told(violation: &Violation) -> String {
    let parts = [violation.severity.word(), &violation.rule, &violation.place, &violation.message];
    parts.into_iter().filter(|part| !part.is_empty()).map(text::inert).collect::<Vec<_>>().join("  ")
}
