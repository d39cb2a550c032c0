//! How much `ephor serve` lets in: flags, the same in the environment, and what stands where nothing is said.

use super::failure::Failure;
use crate::http::Limits;
use clap::{Args, Command, FromArgMatches};
use ephor_core::time::WireDuration;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// Bounds within which a server still works, and works for others too.
const BODY_MAX: u64 = 64 << 20;
const BATCH_MAX: u64 = 1 << 30;
const PAYLOAD_MAX: u64 = 256 << 20;
const CONNECTIONS_MAX: u64 = 1_000_000;
const PATIENCE_MAX_MS: u64 = 600_000;

/// Each has a flag, a name in the environment, a key of the section `limits` of the configuration file, and a default that
/// `ephor config list` shows.
#[derive(Clone, Debug, Default, PartialEq, Args, Deserialize)]
#[command(next_help_heading = "Limits")]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitArgs {
    /// Requests a second of one caller; 0 for no limit [default: none on this machine, elsewhere 100]
    #[arg(long, env = "EPHOR_REQUESTS_PER_SECOND", value_name = "NUMBER")]
    requests_per_second: Option<u32>,
    /// How many of them may come at once [default: 1000]
    #[arg(long, env = "EPHOR_REQUEST_BURST", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(deserialize_with = "from_file::burst")]
    request_burst: Option<u32>,
    /// Long polls one caller may have open [default: 10000 on this machine, elsewhere 100]
    #[arg(long, env = "EPHOR_WAITS_PER_CALLER", value_name = "NUMBER")]
    waits_per_caller: Option<u32>,
    /// Streams that may be open at once [default: 1000]
    #[arg(long, env = "EPHOR_STREAMS", value_name = "NUMBER", value_parser = count)]
    streams: Option<usize>,
    /// Streams one caller may have open [default: 250]
    #[arg(long, env = "EPHOR_STREAMS_PER_CALLER", value_name = "NUMBER", value_parser = count)]
    streams_per_caller: Option<usize>,
    /// Connections there may be; more wait to be taken in [default: 10000]
    #[arg(long, env = "EPHOR_CONNECTIONS", value_name = "NUMBER", value_parser = connections)]
    #[serde(deserialize_with = "from_file::connections")]
    connections: Option<usize>,
    /// How long a client may take for the head of a request, and again for its body [default: 30s]
    #[arg(long, env = "EPHOR_PATIENCE", value_name = "TIME", value_parser = patience)]
    #[serde(deserialize_with = "from_file::patience")]
    patience: Option<Duration>,
    /// The largest body, and the longest line of a batch: 1MiB, 512KiB, 4096 [default: 1MiB]
    #[arg(long, env = "EPHOR_BODY_MAX", value_name = "SIZE", value_parser = |text: &str| size(text, BODY_MAX))]
    #[serde(deserialize_with = "from_file::body")]
    body_max: Option<usize>,
    /// The largest batch [default: 64MiB]
    #[arg(long, env = "EPHOR_BATCH_MAX", value_name = "SIZE", value_parser = |text: &str| size(text, BATCH_MAX))]
    #[serde(deserialize_with = "from_file::batch")]
    batch_max: Option<usize>,
    /// The largest payload; four may be in memory at once [default: 64MiB]
    #[arg(long, env = "EPHOR_PAYLOAD_MAX", value_name = "SIZE", value_parser = |text: &str| size(text, PAYLOAD_MAX))]
    #[serde(deserialize_with = "from_file::payload")]
    payload_max: Option<usize>,
}

impl LimitArgs {
    /// What the environment of this process says.
    pub(super) fn of_environment() -> Result<Self, Failure> {
        let command = Self::augment_args(Command::new("ephor serve"));
        let matches = command.try_get_matches_from(["ephor serve"]);
        matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| Failure::usage(error.to_string()))
    }

    /// These, and what is not said by those.
    pub(super) fn or(&self, those: Self) -> Self {
        let these = self.clone();
        Self {
            requests_per_second: these.requests_per_second.or(those.requests_per_second),
            request_burst: these.request_burst.or(those.request_burst),
            waits_per_caller: these.waits_per_caller.or(those.waits_per_caller),
            streams: these.streams.or(those.streams),
            streams_per_caller: these.streams_per_caller.or(those.streams_per_caller),
            connections: these.connections.or(those.connections),
            patience: these.patience.or(those.patience),
            body_max: these.body_max.or(those.body_max),
            batch_max: these.batch_max.or(those.batch_max),
            payload_max: these.payload_max.or(those.payload_max),
        }
    }

    /// The limits of a server on this address.
    pub(super) fn on(&self, listen: SocketAddr) -> Limits {
        let own = Limits::on(listen);
        Limits {
            requests_per_s: match self.requests_per_second {
                Some(0) => None,
                Some(rate) => Some(rate),
                None => own.requests_per_s,
            },
            burst: self.request_burst.unwrap_or(own.burst),
            waits: self.waits_per_caller.unwrap_or(own.waits),
            streams: self.streams.unwrap_or(own.streams),
            streams_of_one: self.streams_per_caller.unwrap_or(own.streams_of_one),
            connections: self.connections.unwrap_or(own.connections),
            patience: self.patience.unwrap_or(own.patience),
            body_bytes: self.body_max.unwrap_or(own.body_bytes),
            batch_bytes: self.batch_max.unwrap_or(own.batch_bytes),
            payload_bytes: self.payload_max.unwrap_or(own.payload_bytes),
        }
    }

    /// Each with its value on this address, and whether somebody said so.
    pub(crate) fn rows(&self, listen: SocketAddr) -> Vec<(&'static str, String, bool)> {
        let limits = self.on(listen);
        let rate = limits.requests_per_s.map_or_else(|| "no limit".into(), |rate| rate.to_string());
        let patience = WireDuration { ms: u64::try_from(limits.patience.as_millis()).unwrap_or(u64::MAX) };
        vec![
            ("requests_per_second", rate, self.requests_per_second.is_some()),
            ("request_burst", limits.burst.to_string(), self.request_burst.is_some()),
            ("waits_per_caller", limits.waits.to_string(), self.waits_per_caller.is_some()),
            ("streams", limits.streams.to_string(), self.streams.is_some()),
            ("streams_per_caller", limits.streams_of_one.to_string(), self.streams_per_caller.is_some()),
            ("connections", limits.connections.to_string(), self.connections.is_some()),
            ("patience", patience.to_string(), self.patience.is_some()),
            ("body_max", written(limits.body_bytes), self.body_max.is_some()),
            ("batch_max", written(limits.batch_bytes), self.batch_max.is_some()),
            ("payload_max", written(limits.payload_bytes), self.payload_max.is_some()),
        ]
    }
}

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number of bytes: `1MiB`, `512KiB`, `4096`; from 1 up to a bound.
fn size(text: &str, most: u64) -> Result<usize, String> {
    let text = text.trim();
    let ends = |unit: &str| text.len().checked_sub(unit.len()).and_then(|at| text.split_at_checked(at));
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((ends(unit).filter(|(_, u)| u.eq_ignore_ascii_case(unit))?.0, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    let wrong = || format!("from 1 to {}: 1MiB, 512KiB, 4096", written(usize::try_from(most).unwrap_or(usize::MAX)));
    let size = number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(bytes)).filter(|n| (1..=most).contains(n));
    size.and_then(|n| usize::try_from(n).ok()).ok_or_else(wrong)
}

/// A number of bytes in the largest unit that holds it whole.
fn written(bytes: usize) -> String {
    let bytes = bytes as u64;
    let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

fn count(text: &str) -> Result<usize, String> {
    text.trim().parse().map_err(|_| "a number".into())
}

fn connections(text: &str) -> Result<usize, String> {
    count(text).ok().filter(|n| (1..=CONNECTIONS_MAX).contains(&(*n as u64))).ok_or_else(|| format!("1 to {CONNECTIONS_MAX}"))
}

fn patience(text: &str) -> Result<Duration, String> {
    let time: WireDuration = WireDuration::parse(text)?;
    match time.ms {
        100..=PATIENCE_MAX_MS => Ok(Duration::from_millis(time.ms)),
        _ => Err("100ms to 10m".into()),
    }
}

/// The same bounds for values that stand in a file, as numbers or as text.
mod from_file {
    use super::{BATCH_MAX, BODY_MAX, Duration, PAYLOAD_MAX};
    use serde::de::{Deserialize, Deserializer, Error};
    use serde_json::Value;

    fn read<'de, T, D: Deserializer<'de>>(from: D, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, D::Error> {
        let text = match Value::deserialize(from)? {
            Value::Null => return Ok(None),
            Value::String(text) => text,
            other => other.to_string(),
        };
        parse(&text).map(Some).map_err(|allowed| D::Error::custom(format!("{text:?}: {allowed}")))
    }

    pub(super) fn burst<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
        read(from, |text| text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a number from 1".into()))
    }

    pub(super) fn connections<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        read(from, super::connections)
    }

    pub(super) fn patience<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        read(from, super::patience)
    }

    pub(super) fn body<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        read(from, |text| super::size(text, BODY_MAX))
    }

    pub(super) fn batch<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        read(from, |text| super::size(text, BATCH_MAX))
    }

    pub(super) fn payload<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        read(from, |text| super::size(text, PAYLOAD_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units_and_written_in_the_largest_that_fits() {
        for (text, bytes) in [("1MiB", 1 << 20), ("512kib", 512 << 10), (" 4096 ", 4096), ("2 MiB", 2 << 20)] {
            assert_eq!(size(text, BODY_MAX), Ok(bytes), "{text}");
        }
        for wrong in ["", "0", "1MB", "-1", "65MiB", "99999999999GiB", "MiB", "ü"] {
            assert_eq!(size(wrong, BODY_MAX).unwrap_err(), "from 1 to 64MiB: 1MiB, 512KiB, 4096", "{wrong}");
        }
        assert_eq!([written(1 << 20), written(1 << 30), written(1000), written(3 << 10)], ["1MiB", "1GiB", "1000", "3KiB"]);
    }

    #[test]
    fn what_is_said_stands_and_the_rest_is_by_the_address() {
        let here: SocketAddr = ([127, 0, 0, 1], 1).into();
        let elsewhere: SocketAddr = ([192, 0, 2, 1], 1).into();
        assert_eq!(LimitArgs::default().on(here), Limits::on(here));
        let args = LimitArgs { requests_per_second: Some(0), body_max: Some(5), ..LimitArgs::default() };
        assert_eq!(args.on(elsewhere), Limits { requests_per_s: None, body_bytes: 5, ..Limits::on(elsewhere) });
        let said: Vec<_> =
            args.rows(elsewhere).into_iter().filter(|(_, _, said)| *said).map(|(name, value, _)| (name, value)).collect();
        assert_eq!(said, [("requests_per_second", "no limit".into()), ("body_max", "5".into())]);
        assert!(patience("1ms").is_err() && patience("1h").is_err() && patience("5s").is_ok());
    }
}
