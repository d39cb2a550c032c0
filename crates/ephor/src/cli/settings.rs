//! Where a command works, and how it says so: flags before the environment before a profile before the defaults.
//!
//! Profiles are kept in `$XDG_CONFIG_HOME/ephor/config.toml`, which holds no secrets: a profile names the file of a token.

use super::failure::Failure;
use super::{Globals, Output};
use crate::api::{ApiError, Kind};
use crate::host::Place;
use crate::local::token;
use clap::ArgMatches;
use clap::parser::ValueSource;
use ephor_sdk::client::Token;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The secret itself, in the environment.
const TOKEN: &str = "EPHOR_TOKEN";

/// Where a value comes from. The later outranks the earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// Nobody said.
    #[default]
    Default,
    /// A profile.
    Profile(String),
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Setting<T> {
    pub(super) value: Option<T>,
    pub(super) origin: Origin,
}

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self { value: None, origin: Origin::Default }
    }
}

/// Everything that can be set, resolved.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) profile: Setting<String>,
    pub(super) server: Setting<String>,
    pub(super) database: Setting<String>,
    pub(super) namespace: Setting<String>,
    pub(super) token: Setting<Token>,
    pub(super) output: Setting<Output>,
}

/// The file of profiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Profiles {
    /// The one that is used where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<String>,
    /// All of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) profiles: BTreeMap<String, Profile>,
}

/// One profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Profile {
    /// A running server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<String>,
    /// A database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) database: Option<String>,
    /// Where tasks belong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    /// The file of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_file: Option<String>,
    /// How data is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<Output>,
}

impl Profiles {
    /// As the file says; none where there is no file.
    pub(super) fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(file) = file else { return Ok(Self::default()) };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file(file, &error)),
        };
        toml::from_str(&text).map_err(|error| {
            let message = format!("{} makes no sense: {}", file.display(), error.message());
            ApiError::new(Kind::Invalid, "CONFIG", message).then("ephor profile list").into()
        })
    }

    /// Writes the file whole, or leaves it as it was.
    pub(super) fn write(&self, file: &Path) -> Result<(), Failure> {
        let text = toml::to_string_pretty(self).expect("profiles are plain data");
        let wrong = |error: std::io::Error| Failure::file(file, &error);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(wrong)?;
        }
        let beside = file.with_extension("toml.new");
        let mut new = std::fs::OpenOptions::new();
        let mut new = new.write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(wrong)?;
        new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).map_err(wrong)?;
        std::fs::rename(&beside, file).map_err(wrong)
    }

    /// The profile of a name.
    pub(super) fn named(&self, name: &str) -> Result<&Profile, Failure> {
        self.profiles.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            let error = ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no profile {name:?}"));
            let error = if known.is_empty() { error } else { error.because(format!("there are {}", known.join(", "))) };
            error.then(format!("ephor profile set {name} server=http://127.0.0.1:4000")).into()
        })
    }
}

/// Where flags that everything understands come from, by their name.
pub(super) fn origins(matches: &ArgMatches) -> BTreeMap<&'static str, Origin> {
    let mut leaf = matches;
    while let Some((_, below)) = leaf.subcommand() {
        leaf = below;
    }
    let origin = |name: &'static str| {
        let from = match leaf.value_source(name) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Environment,
            _ => Origin::Default,
        };
        (name, from)
    };
    ["profile", "server", "database", "namespace", "token_file", "config", "output", "json", "quiet"].map(origin).into()
}

impl Settings {
    /// Puts flags, environment and profile together.
    pub(super) fn resolve(globals: &Globals, profiles: &Profiles) -> Result<Self, Failure> {
        let said = |name: &str| globals.origins.get(name).cloned().unwrap_or_default();
        let profile = match globals.profile.clone().filter(|name| !name.is_empty()) {
            Some(name) => Setting { value: Some(name), origin: said("profile") },
            None => Setting { value: profiles.profile.clone(), origin: Origin::Default },
        };
        let chosen = match &profile.value {
            Some(name) => profiles.named(name)?.clone(),
            None => Profile::default(),
        };
        let from = Origin::Profile(profile.value.clone().unwrap_or_default());
        let text = |given: &Option<String>, name: &str, own: Option<String>| match given.clone().filter(|v| !v.is_empty()) {
            Some(value) => Setting { value: Some(value), origin: said(name) },
            None => own.map_or_else(Setting::default, |value| Setting { value: Some(value), origin: from.clone() }),
        };
        let mut settings = Self {
            server: text(&globals.server, "server", chosen.server),
            database: text(&globals.database, "database", chosen.database),
            namespace: text(&globals.namespace, "namespace", chosen.namespace),
            token: token_of(globals, &said("token_file"), chosen.token_file.as_deref(), &from)?,
            output: output(globals, &said, chosen.output, &from),
            profile,
        };
        if settings.database.value.is_none()
            && let Some(url) = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty())
        {
            settings.database = Setting { value: Some(url), origin: Origin::Environment };
        }
        // A database that was named more plainly than the server is what is meant.
        if settings.database.value.is_some() && settings.database.origin > settings.server.origin {
            settings.server = Setting::default();
        }
        Ok(settings)
    }

    /// Where the engine is.
    pub(super) fn place(&self) -> Place {
        Place {
            database: self.database.value.clone(),
            server: self.server.value.clone(),
            token: self.token.value.clone(),
            namespace: self.namespace.value.clone(),
            policy: None,
        }
    }
}

/// The token: of the file that is named, of the environment, of the profile's file.
fn token_of(globals: &Globals, said: &Origin, own: Option<&str>, from: &Origin) -> Result<Setting<Token>, Failure> {
    let read = |file: &Path, origin: &Origin| -> Result<Setting<Token>, Failure> {
        let secret = token::secret(file).map_err(|error| {
            let setting = match origin {
                Origin::Profile(name) => format!("token_file of the profile {name}"),
                Origin::Environment => "EPHOR_TOKEN_FILE".into(),
                Origin::Flag | Origin::Default => "--token-file".into(),
            };
            ApiError { message: format!("{setting}: {}", error.message), ..error }
        })?;
        Ok(Setting { value: Some(Token::new(secret)), origin: origin.clone() })
    };
    let in_environment = std::env::var(TOKEN).ok().filter(|secret| !secret.trim().is_empty());
    match (&globals.token_file, in_environment, own) {
        (Some(file), None, _) => read(file, said),
        (Some(file), Some(_), _) if *said == Origin::Flag => read(file, said),
        (_, Some(secret), _) => Ok(Setting { value: Some(Token::new(secret)), origin: Origin::Environment }),
        (None, None, Some(file)) => read(Path::new(file), from),
        (None, None, None) => Ok(Setting::default()),
    }
}

/// How data is written.
fn output(globals: &Globals, said: &impl Fn(&str) -> Origin, own: Option<Output>, from: &Origin) -> Setting<Output> {
    let (value, origin) = match (globals.output, globals.json, globals.quiet, own) {
        (Some(output), ..) => (output, said("output")),
        (None, true, ..) => (Output::Json, said("json")),
        (None, false, true, _) => (Output::Id, said("quiet")),
        (None, false, false, Some(own)) => (own, from.clone()),
        (None, false, false, None) => (Output::Table, Origin::Default),
    };
    Setting { value: Some(value), origin }
}

/// Where the file of profiles is, by the environment of this process.
pub(super) fn file_of_process() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = named("XDG_CONFIG_HOME").or_else(|| Some(named("HOME")?.join(".config")))?;
    Some(folder.join("ephor").join("config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles() -> Profiles {
        toml::from_str(
            "profile = \"a\"\n[profiles.a]\nserver = \"http://a\"\nnamespace = \"n\"\n[profiles.b]\ndatabase = \"b.db\"\n",
        )
        .unwrap()
    }

    fn globals(change: impl FnOnce(&mut Globals)) -> Globals {
        let mut globals = Globals::default();
        change(&mut globals);
        globals
    }

    #[test]
    fn a_flag_outranks_a_profile_and_a_named_database_a_profiles_server() {
        let of = |globals: Globals| Settings::resolve(&globals, &profiles()).unwrap();
        let plain = of(Globals::default());
        assert_eq!(plain.server.value.as_deref(), Some("http://a"));
        assert_eq!(plain.server.origin.to_string(), "profile a");
        let flagged = of(globals(|g| {
            g.server = Some("http://b".into());
            g.origins.insert("server", Origin::Flag);
        }));
        assert_eq!((flagged.server.value.as_deref(), flagged.server.origin), (Some("http://b"), Origin::Flag));
        let database = of(globals(|g| {
            g.database = Some("x.db".into());
            g.origins.insert("database", Origin::Flag);
        }));
        assert_eq!((database.server.value, database.database.value.as_deref()), (None, Some("x.db")));
        let other = of(globals(|g| g.profile = Some("b".into())));
        assert_eq!((other.server.value, other.database.value.as_deref()), (None, Some("b.db")));
    }

    #[test]
    fn a_profile_that_is_not_there_is_told_with_those_that_are() {
        let error = Settings::resolve(&globals(|g| g.profile = Some("c".into())), &profiles()).unwrap_err();
        assert_eq!(error.error.why.as_deref(), Some("there are a, b"));
    }

    #[test]
    fn profiles_survive_their_file_which_others_cannot_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ephor/config.toml");
        profiles().write(&file).unwrap();
        assert_eq!(Profiles::read(Some(&file)).unwrap(), profiles());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "colour = 1").unwrap();
        assert!(Profiles::read(Some(&file)).unwrap_err().error.message.contains("colour"));
    }
}
