//! What a shell and `man` want to know of the commands, made from the commands themselves.

use super::Cx;
use super::failure::{Exit, Failure};
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct CompletionArgs {
    /// Which shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder the pages are written to
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(super) fn completion(args: &CompletionArgs, mut command: Command, cx: &mut Cx<'_>) -> Exit {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    cx.terminal.out.raw(&String::from_utf8_lossy(&script));
    Exit::Done
}

pub(super) fn man(args: &ManArgs, command: Command, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    std::fs::create_dir_all(&args.out).map_err(|e| Failure::file(&args.out, &e))?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let pages = write(&command, None, &args.out)?;
    cx.say(format!("{pages} pages in {}", args.out.display()));
    Ok(Exit::Done)
}

/// The page of a command and those of its verbs: `ephor-task-create.1`.
fn write(command: &Command, above: Option<&str>, out: &Path) -> Result<u32, Failure> {
    let name = above.map_or_else(|| command.get_name().to_owned(), |above| format!("{above}-{}", command.get_name()));
    let path = out.join(format!("{name}.1"));
    let mut page = Vec::new();
    // clap names pages by a text that lives as long as the program; so many commands there are.
    let shown = command.clone().name(name.clone().leak() as &'static str);
    clap_mangen::Man::new(shown)
        .render(&mut page)
        .and_then(|()| std::fs::write(&path, &page))
        .map_err(|e| Failure::file(&path, &e))?;
    let mut pages = 1;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages += write(verb, Some(&name), out)?;
    }
    Ok(pages)
}
