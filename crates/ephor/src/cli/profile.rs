//! `ephor profile` and `ephor config`: where commands work when nobody says, and why they work there.

use super::failure::{Exit, Failure};
use super::limits::LimitArgs;
use super::serve;
use super::settings::{Origin, Profile, Profiles, Setting};
use super::table::{self, cell, column, maybe};
use super::{Cx, words};
use crate::api::{ApiError, Kind};
use crate::config::{Config, Reloaded};
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    /// Show all profiles
    List,
    /// Use a profile where none is named
    Use {
        /// Its name
        name: String,
    },
    /// Show a profile
    Show {
        /// Its name; the one in use where it is missing
        name: Option<String>,
    },
    /// Set values of a profile, which is made where it is missing
    Set {
        /// Its name
        name: String,
        /// server, database, namespace, token_file or output; without a value it is taken away
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = assignment)]
        values: Vec<(String, String)>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show each setting and where it comes from
    List,
    /// Show one setting
    Get {
        /// Its name, as the list has it: policy.lease
        name: String,
    },
    /// Check a configuration file: what is wrong is told with its line
    Check {
        /// The file; that of `--config`, or ephor.yaml, where it is missing
        file: Option<PathBuf>,
    },
    /// Have a running server read its configuration file anew
    Reload,
    /// Change one value of the configuration of an engine in this folder; comments and everything else in the file stay
    Set {
        /// Its name: policy.lease, limits.streams, log.file
        name: String,
        /// Its value, as it is written in the file
        value: String,
    },
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A profile in a list.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    in_use: bool,
    #[serde(flatten)]
    profile: &'a Profile,
}

pub(super) fn run(command: ProfileCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let file = cx.terminal.config.clone();
    let mut profiles = Profiles::read(file.as_deref())?;
    match command {
        ProfileCommand::List => list(&profiles, cx),
        ProfileCommand::Show { name } => {
            let name = name.or_else(|| cx.settings.profile.value.clone());
            let name = name.ok_or_else(|| Failure::usage("no profile is in use; name one"))?;
            let profile = profiles.named(&name)?;
            match cx.output().is_json() {
                true => cx.terminal.out.line(table::json(&Row { name: &name, in_use: true, profile })),
                false => cx.terminal.out.raw(&toml::to_string_pretty(profile).expect("a profile is plain data")),
            }
        }
        ProfileCommand::Use { name } => {
            profiles.named(&name)?;
            profiles.profile = Some(name);
            save(&profiles, file.as_deref())?;
        }
        ProfileCommand::Set { name, values } => {
            let profile = profiles.profiles.entry(name).or_default();
            for (word, value) in values {
                set(profile, &word, Some(value).filter(|v| !v.is_empty()))?;
            }
            save(&profiles, file.as_deref())?;
        }
    }
    Ok(Exit::Done)
}

fn save(profiles: &Profiles, file: Option<&std::path::Path>) -> Result<(), Failure> {
    let file = file.ok_or_else(|| Failure::usage("neither HOME nor XDG_CONFIG_HOME says where profiles are kept"))?;
    profiles.write(file)
}

fn set(profile: &mut Profile, word: &str, value: Option<String>) -> Result<(), Failure> {
    match word {
        "server" => profile.server = value,
        "database" => profile.database = value,
        "namespace" => profile.namespace = value,
        "token_file" => profile.token_file = value,
        "output" => profile.output = value.map(|v| words::choice(&v)).transpose().map_err(Failure::usage)?,
        "token" => return Err(Failure::usage("a profile holds no secrets; write the token to a file and set token_file=FILE")),
        other => {
            let known = "server, database, namespace, token_file, output";
            return Err(Failure::usage(format!("a profile has no {other}; it has {known}")));
        }
    }
    Ok(())
}

fn list(profiles: &Profiles, cx: &mut Cx<'_>) {
    let in_use = cx.settings.profile.value.clone();
    let is_used = |name: &str| in_use.as_deref() == Some(name);
    let rows: Vec<Row<'_>> =
        profiles.profiles.iter().map(|(name, profile)| Row { name, in_use: is_used(name), profile }).collect();
    let form = (cx.output(), cx.globals.ascii);
    let columns =
        [column("USED"), column("NAME"), column("SERVER"), column("DATABASE"), column("NAMESPACE"), column("TOKEN FILE")];
    table::list(
        cx.terminal,
        form,
        &rows,
        &columns,
        |row| row.name.to_owned(),
        |row, _| {
            let Profile { server, database, namespace, token_file, .. } = row.profile;
            let used = if row.in_use { "*" } else { "" };
            let given = [server, database, namespace, token_file].map(|text| maybe(text.as_ref()));
            [cell(used), cell(row.name)].into_iter().chain(given).collect()
        },
    );
    if rows.is_empty() && !form.0.is_json() {
        cx.say("there is no profile; ephor profile set NAME server=http://127.0.0.1:4000 makes one");
    }
}

/// A setting in a list.
#[derive(Serialize)]
struct Said<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    from: String,
}

pub(super) async fn config(command: &ConfigCommand, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::List => list_config(None, cx),
        ConfigCommand::Get { name } => list_config(Some(name), cx),
        ConfigCommand::Check { file } => {
            let named = file.clone().or_else(|| cx.globals.config.clone().filter(|file| !file.as_os_str().is_empty()));
            let config = match &named {
                Some(file) => Config::read(file)?,
                None => Config::find(None)?,
            };
            cx.say(match &config.file {
                Some(file) => format!("{} makes sense", file.display()),
                None => format!("there is no {}; everything stands as by default", crate::config::FILE),
            });
            Ok(Exit::Done)
        }
        ConfigCommand::Reload => {
            let client = cx.host.server(&cx.place()).await?;
            let done: Reloaded = client.reload_config().await.map_err(crate::remote::told)?;
            match cx.output().is_json() {
                true => cx.terminal.out.line(table::json(&done)),
                false => cx.say(serve::told(&done)),
            }
            Ok(Exit::Done)
        }
        ConfigCommand::Set { name, value } => {
            let named = cx.globals.config.clone().filter(|file| !file.as_os_str().is_empty());
            let file = named.unwrap_or_else(|| crate::config::FILE.into());
            Config::set(&file, name, value)?;
            cx.say(format!(
                "{name} is set in {}; {}",
                file.display(),
                match Config::is_live(name) {
                    true => "a server that runs goes by it after ephor config reload",
                    false => "a server that runs goes by it once it is started again",
                }
            ));
            Ok(Exit::Done)
        }
    }
}

/// Every setting, or the one of this name alone.
fn list_config(only: Option<&String>, cx: &mut Cx<'_>) -> Result<Exit, Failure> {
    let config = cx.config()?;
    let here = LimitArgs::of_environment()?;
    let named = std::env::var("EPHOR_LISTEN").ok().filter(|text| !text.is_empty());
    let listen = named.as_deref().map(words::place).transpose();
    let listen = serve::listening(listen.map_err(|e| Failure::usage(format!("EPHOR_LISTEN: {e}")))?)?;
    let settings = &cx.settings;
    let said = |name, setting: &Setting<String>, default: Option<&str>| Said {
        name,
        value: setting.value.clone().or_else(|| default.map(Into::into)),
        from: setting.origin.to_string(),
    };
    let file = cx.terminal.config.as_ref().map(|file| file.display().to_string());
    let mut rows = vec![
        Said { name: "config", value: file, from: "environment".into() },
        said("profile", &settings.profile, None),
        said("server", &settings.server, None),
        said("database", &settings.database, Some(crate::local::DATABASE)),
        said("namespace", &settings.namespace, Some("default")),
        // That there is one, never which.
        Said {
            name: "token",
            value: settings.token.value.as_ref().map(|_| "(set)".into()),
            from: settings.token.origin.to_string(),
        },
        Said {
            name: "output",
            value: settings.output.value.map(|o| words::name_of(&o)),
            from: settings.output.origin.to_string(),
        },
    ];
    // Those of `ephor serve` on this machine; a flag of its own outranks them.
    let from = |said: bool| if said { Origin::Environment } else { Origin::Default }.to_string();
    let port_said = std::env::var("PORT").is_ok_and(|port| !port.is_empty());
    rows.push(Said { name: "listen", value: Some(listen.to_string()), from: from(named.is_some() || port_said) });
    let in_file = config.file.as_ref().map_or_else(|| Origin::Default.to_string(), |file| format!("file {}", file.display()));
    rows.push(Said {
        name: "engine_config",
        value: config.file.as_ref().map(|file| file.display().to_string()),
        from: match (cx.globals.origins.get("config"), &config.file) {
            (_, None) | (None, _) => Origin::Default.to_string(),
            (Some(origin), Some(_)) => origin.to_string(),
        },
    });
    let said_here = here.rows(listen).into_iter().map(|(_, _, said)| said);
    let server = here.or(config.limits.clone()).rows(listen).into_iter().zip(said_here);
    rows.extend(server.map(|((name, value, said), here)| Said {
        name,
        value: Some(value),
        from: if said && !here { in_file.clone() } else { from(here) },
    }));
    let settings = config.settings();
    rows.extend(settings.iter().map(|setting| Said {
        name: &setting.name,
        value: setting.value.clone(),
        from: if setting.said { in_file.clone() } else { from(false) },
    }));
    if let Some(name) = only {
        // Limits stand in the file under a section of their own.
        let known = name.strip_prefix("limits.").unwrap_or(name);
        rows.retain(|row| row.name == name || row.name == known);
        let Some(row) = rows.first() else {
            let unknown = ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no setting {name:?}"));
            return Err(unknown.then("ephor config list").into());
        };
        match cx.output().is_json() {
            true => cx.terminal.out.line(table::json(row)),
            false => cx.terminal.out.line(row.value.as_deref().unwrap_or_default()),
        }
        return Ok(Exit::Done);
    }
    let form = (cx.output(), cx.globals.ascii);
    let columns = [column("NAME"), column("VALUE"), column("FROM")];
    table::list(
        cx.terminal,
        form,
        &rows,
        &columns,
        |row| row.name.to_owned(),
        |row, _| vec![cell(row.name), maybe(row.value.as_ref()), cell(&row.from)],
    );
    Ok(Exit::Done)
}
