//! The section `mail`: the SMTP server of the house. The environment outranks it, value by value; a password stands in neither.

use super::Setting;
use ephor_agents::email::{Security, Server, check_sender};
use ephor_core::time::WireDuration;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
    host: Option<String>,
    port: Option<u16>,
    security: Option<String>,
    from: Option<String>,
    username: Option<String>,
    timeout: Option<WireDuration>,
    ca_file: Option<PathBuf>,
}

/// How long the server may take where nobody says.
const TIMEOUT_MS: u64 = 30_000;
/// The longest it may be given, in milliseconds: within the lease of a step that is being kept alive, and no longer than SMTP itself waits.
const TIMEOUT_MAX_MS: u64 = 600_000;

/// A value of the environment, unless it is empty.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Written {
    /// The server, where one is named.
    pub(super) fn server(self, env: impl Fn(&str) -> Option<String>) -> Result<Option<Server>, String> {
        let Some(host) = env("EPHOR_MAIL_HOST").or(self.host).filter(|host| !host.is_empty()) else { return Ok(None) };
        let security = match env("EPHOR_MAIL_SECURITY").or(self.security) {
            None => Security::Starttls,
            Some(word) => match word.to_ascii_uppercase().as_str() {
                "STARTTLS" => Security::Starttls,
                "TLS" => Security::Tls,
                "NONE" => Security::None,
                _ => return Err(format!("mail.security is {word:?}; allowed are starttls, tls and none")),
            },
        };
        let port = match env("EPHOR_MAIL_PORT") {
            Some(port) => Some(port.parse().map_err(|_| format!("EPHOR_MAIL_PORT is {port:?}; allowed are 1 to 65535"))?),
            None => self.port,
        };
        let usual = match security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        };
        let from = env("EPHOR_MAIL_FROM").or(self.from).ok_or("mail.from is missing: who mails are from")?;
        check_sender(&from).map_err(|why| format!("mail.from: {why}"))?;
        let username = env("EPHOR_MAIL_USERNAME").or(self.username);
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if username.is_some() && security == Security::None && !here {
            return Err("mail.username: a password is not sent in the clear; set mail.security to starttls or tls".into());
        }
        let timeout_ms = self.timeout.map_or(TIMEOUT_MS, |timeout| timeout.ms);
        if !(1..=TIMEOUT_MAX_MS).contains(&timeout_ms) {
            return Err(format!("mail.timeout is {timeout_ms} ms; allowed are 1ms to 10m"));
        }
        let timeout = Duration::from_millis(timeout_ms);
        Ok(Some(Server { host, port: port.unwrap_or(usual), security, from, username, timeout, ca_file: self.ca_file }))
    }
}

/// Each value, for those who look.
pub(super) fn settings(server: Option<&Server>, said: impl Fn(&str) -> bool) -> Vec<Setting> {
    let word = |security: Security| match security {
        Security::Starttls => "starttls",
        Security::Tls => "tls",
        Security::None => "none",
    };
    let of = |key: &str, value: Option<String>| Setting { name: format!("mail.{key}"), value, said: said(key) };
    vec![
        of("host", server.map(|server| server.host.clone())),
        of("port", server.map(|server| server.port.to_string())),
        of("security", server.map(|server| word(server.security).to_owned())),
        of("from", server.map(|server| server.from.clone())),
        of("username", server.and_then(|server| server.username.clone())),
        of("timeout", server.map(|server| format!("{}ms", server.timeout.as_millis()))),
        of("ca_file", server.and_then(|server| Some(server.ca_file.as_ref()?.display().to_string()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str, env: &[(&str, &str)]) -> Result<Option<Server>, String> {
        let written: Written = serde_saphyr::from_str(yaml).unwrap();
        written.server(|name| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_outranks_the_file_value_by_value() {
        let yaml = "{host: a.example, from: A <a@example.org>, security: tls}";
        let server = read(yaml, &[("EPHOR_MAIL_HOST", "b.example")]).unwrap().unwrap();
        assert_eq!((server.host.as_str(), server.port, server.security), ("b.example", 465, Security::Tls));
        assert_eq!(read("{from: A <a@example.org>}", &[]).unwrap(), None);
        let from_env = [("EPHOR_MAIL_HOST", "c.example"), ("EPHOR_MAIL_FROM", "c@example.org"), ("EPHOR_MAIL_PORT", "2525")];
        let server = read("{}", &from_env).unwrap().unwrap();
        assert_eq!((server.port, server.security), (2525, Security::Starttls));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (yaml, told) in [
            ("{host: a}", "mail.from is missing"),
            ("{host: a, from: nobody}", "is no address"),
            ("{host: a, from: a@example.org, security: rot13}", "starttls, tls and none"),
            ("{host: a, from: a@example.org, security: none, username: u}", "not sent in the clear"),
            ("{host: a, from: a@example.org, timeout: 2h}", "mail.timeout"),
        ] {
            let why = read(yaml, &[]).unwrap_err();
            assert!(why.contains(told), "{yaml}: {why}");
        }
        assert!(read("{host: 127.0.0.1, from: a@example.org, security: none, username: u}", &[]).is_ok());
    }
}
