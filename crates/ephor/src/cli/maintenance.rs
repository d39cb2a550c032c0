//! `ephor doctor`, `audit`, `migrate`, `selftest`: looking after a database and an installation. All of it is done behind `Host`;
//! here it is asked for and shown.

use super::failure::{Exit, Failure};
use super::style::{Hue, step_mark};
use super::table::{self, cell, column};
use super::{Cx, Output};
use crate::host::{Check, Migration, MigrationView, Need};
use clap::Subcommand;
use ephor_core::receipt::Receipt;
use ephor_core::status::StepStatus;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Write the receipt of a task: what was planned, decided and done, with the events it follows from
    ///
    /// One document, to be kept byte by byte. `ephor audit verify FILE` checks it without a database.
    Export {
        /// The task
        task: String,
        /// The file to write; standard output where it is missing
        file: Option<PathBuf>,
    },
    /// Check that no event was changed, added or taken away: in a database, or in a receipt without one
    ///
    /// What was cut off at the end is seen with a head that was kept elsewhere: the one this command printed then.
    Verify {
        /// A receipt to check instead of a database
        file: Option<PathBuf>,
        /// A head that was kept: 64 hexadecimal digits
        #[arg(long, value_name = "HASH", value_parser = head, conflicts_with = "receipt")]
        head: Option<Head>,
        /// A file in which such a head stands, for example what this command printed then, or a receipt of a task of this database
        #[arg(long, value_name = "FILE")]
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
    let (file, head, receipt) = match command {
        AuditCommand::Export { task, file } => return export(&task, file.as_deref(), cx).await,
        AuditCommand::Verify { file, head, receipt } => (file, head, receipt),
    };
    let kept = match receipt {
        Some(file) => Some(head_in(&file)?),
        None => head,
    };
    let kept = kept.map(|head| head.0);
    let checks = match file {
        Some(file) => {
            let bytes = std::fs::read(&file).map_err(|error| Failure::file(&file, &error))?;
            cx.host.verify_receipt(bytes, kept).await?
        }
        None => cx.host.verify(&cx.place(), kept).await?,
    };
    Ok(tell(&checks, cx))
}

/// Writes a receipt.
async fn export(task: &str, file: Option<&Path>, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let text = cx
        .with_api(Need::Read, async |cx, api| {
            let task = cx.find(api, task).await?;
            Ok(api.receipt(task).await?)
        })
        .await?;
    let Some(file) = file else {
        cx.terminal.out.raw(&text);
        return Ok(Exit::Done);
    };
    // Beside it first, so that whoever reads it never reads half of it.
    let beside = file.with_extension("json.new");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file)).map_err(|error| Failure::file(file, &error))?;
    cx.say(format!("the receipt is in {}; check it with ephor audit verify {}", file.display(), file.display()));
    Ok(Exit::Done)
}

/// The head of a commit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head([u8; 32]);

fn head(text: &str) -> Result<Head, String> {
    let wrong = || "64 hexadecimal digits, as `ephor audit verify` prints them".to_owned();
    let text = text.trim();
    let mut head = [0; 32];
    // Signs and blanks would be read as numbers too.
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, at) in head.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(Head(head))
}

/// The one head that stands in a file.
fn head_in(file: &Path) -> Result<Head, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file(file, &error))?;
    // A receipt names many hashes; the log has to pass through its last commit, and so through all before it.
    if let Ok(receipt) = serde_json::from_str::<Receipt>(&text)
        && let Some(last) = receipt.commits.last()
    {
        return head(&last.hash).map_err(|why| Failure::usage(format!("{}: its last commit is no head: {why}", file.display())));
    }
    let mut heads: Vec<Head> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(|word| head(word).ok()).collect();
    heads.dedup();
    match heads.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::usage(format!("{} holds no head: 64 hexadecimal digits", file.display()))),
        several => Err(Failure::usage(format!("{} holds {} heads; name one with --head", file.display(), several.len()))),
    }
}

pub(super) async fn selftest(cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    if cx.globals.origins.get("server").is_some_and(|origin| *origin == super::settings::Origin::Flag) {
        return Err(Failure::usage(
            "selftest checks this installation with a database of its own and asks no server; of a server ask GET /health/ready",
        ));
    }
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
