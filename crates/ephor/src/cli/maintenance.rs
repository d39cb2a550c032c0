//! `ephor doctor`, `audit`, `migrate`, `selftest`: looking after a database and an installation. All of it is done behind `Host`;
//! here it is asked for and shown.

use super::failure::{Exit, Failure};
use super::style::{Hue, step_mark};
use super::table::{self, cell, column};
use super::{Cx, Output};
use crate::host::{Check, Migration, MigrationView};
use clap::Subcommand;
use ephor_core::status::StepStatus;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check that no event was changed, added or taken away
    Verify {
        /// A receipt to check instead of a database
        receipt: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum MigrateCommand {
    /// To the newest form
    Up,
    /// Back
    Down {
        /// By how many steps
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Where it is
    Status,
}

pub(super) async fn doctor(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let checks = cx.host.doctor(&cx.place()).await?;
    Ok(tell(&checks, cx))
}

pub(super) async fn audit(command: AuditCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let AuditCommand::Verify { receipt } = command;
    let checks = cx.host.verify(&cx.place(), receipt.as_deref()).await?;
    Ok(tell(&checks, cx))
}

pub(super) async fn selftest(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let checks = cx.host.selftest().await?;
    Ok(tell(&checks, cx))
}

/// Each check with its outcome; one that failed fails the command.
fn tell(checks: &[Check], cx: &mut Cx<'_>) -> Exit {
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column(""), column("CHECK"), column("DETAIL")];
    table::list(
        cx.terminal,
        form,
        checks,
        &columns,
        |c| c.name.clone(),
        |check, style| {
            let mark = step_mark(if check.passed { StepStatus::Completed } else { StepStatus::Failed }, None);
            vec![(mark.hue, mark.icon(style).to_owned()), cell(&check.name), (Hue::Idle, check.detail.clone())]
        },
    );
    let failed = checks.iter().filter(|c| !c.passed).count();
    if matches!(form.0, Output::Table | Output::Wide) {
        cx.say(match failed {
            0 => format!("all {} checks passed", checks.len()),
            n => format!("{n} of {} checks failed", checks.len()),
        });
    }
    if failed == 0 { Exit::Done } else { Exit::Error }
}

pub(super) async fn migrate(command: MigrateCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let migration = match command {
        MigrateCommand::Up => Migration::Up,
        MigrateCommand::Down { steps } => {
            cx.confirm(&format!("Going back by {steps} may delete what the newer form alone can hold. Go back?"))?;
            Migration::Down(steps)
        }
        MigrateCommand::Status => Migration::Look,
    };
    let all: Vec<MigrationView> = cx.host.migrate(&cx.place(), migration).await?;
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("NUMBER"), column("NAME"), column("APPLIED")];
    table::list(
        cx.terminal,
        form,
        &all,
        &columns,
        |m| m.number.to_string(),
        |m, _| {
            let applied = m.applied_at.map_or_else(|| "no".into(), |at| at.0.to_string());
            vec![cell(format!("{:04}", m.number)), cell(&m.name), cell(applied)]
        },
    );
    Ok(Exit::Done)
}
