//! Instants and durations as plain numbers, and the texts people write for them.
//!
//! This crate has no clock: every instant comes in with a command. Inside, an instant is milliseconds since the Unix
//! epoch and a duration is milliseconds; on the wire they read `2026-01-31T12:00:00Z` and `30m`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The shortest time that leases and waits of a house may last, in milliseconds (DESIGN §3).
pub(crate) const TIME_MIN_MS: u64 = 500;

/// An instant, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The instant `ms` later; stays at the end of time rather than wrap.
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is, in milliseconds; 0 when it is not after.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Reads RFC 3339; a plain date means the end of that day in UTC (as `--deadline 2024-12-31` does).
    ///
    /// # Errors
    /// What is neither, with how it is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        read(text, |day| day.at(23, 59, 59, 999_000_000))
    }

    /// The same of an instant at which something begins: a plain date means the start of that day in UTC.
    ///
    /// # Errors
    /// What is neither, with how it is written.
    pub fn parse_start(text: &str) -> Result<Self, String> {
        read(text, |day| day.at(0, 0, 0, 0))
    }
}

fn read(text: &str, of_day: impl FnOnce(jiff::civil::Date) -> jiff::civil::DateTime) -> Result<Time, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Time(at.as_millisecond()));
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let at = of_day(day).to_zoned(jiff::tz::TimeZone::UTC);
        return at.map(|z| Time(z.timestamp().as_millisecond())).map_err(|e| e.to_string());
    }
    Err(format!("{text:?} is not a time; write it as 2026-01-31T12:00:00Z or 2026-01-31"))
}

/// Reads an instant at which something begins, for `deserialize_with`: of a plain date its start.
///
/// # Errors
/// What is no instant and no date.
pub fn start<'de, D: Deserializer<'de>>(from: D) -> Result<Option<WireTime>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| Time::parse_start(&text).map(WireTime)).transpose().map_err(serde::de::Error::custom)
}

/// RFC 3339 in UTC.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// An instant as the wire shows it: RFC 3339 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireTime(pub Time);

impl Serialize for WireTime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Time::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A duration as the wire shows it: `500ms`, `10s`, `30m`, `2h`, `30d`, or a plain number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireDuration {
    /// Its length.
    pub ms: u64,
}

/// The units, longest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl WireDuration {
    /// Reads `1h30m`, `500ms`, `2.5s` or a plain number of seconds.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration; write it as 500ms, 10s, 30m, 2h or 30d");
        let mut rest = text.trim();
        if let Ok(seconds) = rest.parse::<f64>() {
            return from_f64(seconds * 1000.0).ok_or_else(wrong);
        }
        let mut total = 0u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            let letters = rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len() - digits);
            let unit = &rest[digits..digits + letters];
            let ms = UNITS.iter().find(|(u, _)| *u == unit).ok_or_else(wrong)?.1;
            total = total.checked_add(from_f64(number * ms as f64).ok_or_else(wrong)?.ms).ok_or_else(wrong)?;
            rest = &rest[digits + letters..];
        }
        if text.trim().is_empty() { Err(wrong()) } else { Ok(Self { ms: total }) }
    }
}

/// A length in milliseconds, if it is one: not negative, not absurd (at most 1,000 years).
fn from_f64(ms: f64) -> Option<WireDuration> {
    (0.0..=31_557_600_000_000.0).contains(&ms).then_some(WireDuration { ms: ms.round() as u64 })
}

impl fmt::Display for WireDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.ms;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, ms) in UNITS {
            if rest >= ms {
                write!(f, "{}{unit}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

impl Serialize for WireDuration {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WireDuration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Seconds(f64),
            Text(String),
        }
        let read = match Form::deserialize(from)? {
            Form::Seconds(s) => from_f64(s * 1000.0).ok_or_else(|| format!("{s} is no duration in seconds")),
            Form::Text(text) => Self::parse(&text),
        };
        read.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_date_ends_a_deadline_with_the_day_and_begins_a_start_with_it() {
        let told = |time: Result<Time, String>| time.unwrap().to_string();
        assert_eq!(told(Time::parse("2024-12-31")), "2024-12-31T23:59:59.999Z");
        assert_eq!(told(Time::parse_start("2024-12-31")), "2024-12-31T00:00:00Z");
        assert_eq!(Time::parse_start("2024-12-31T12:00:00Z"), Time::parse("2024-12-31T12:00:00Z"));
        assert!(Time::parse_start("soon").unwrap_err().contains("2026-01-31"));
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("30m", 1_800_000),
            ("2h", 7_200_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("2.5s", 2_500),
            ("90", 90_000),
        ] {
            assert_eq!(WireDuration::parse(text), Ok(WireDuration { ms }), "{text}");
        }
        for text in ["", "10", "s", "10 parsecs", "-5s", "1e99s", "ten"] {
            assert_eq!(WireDuration::parse(text).is_ok(), text == "10", "{text:?}");
        }
        assert_eq!(WireDuration { ms: 5_400_500 }.to_string(), "1h30m500ms");
    }

    #[test]
    fn a_plain_date_means_the_end_of_that_day() {
        assert_eq!(Time::parse("2024-12-31").unwrap().to_string(), "2024-12-31T23:59:59.999Z");
        assert_eq!(Time::parse("2024-12-31T23:59:59Z").unwrap().to_string(), "2024-12-31T23:59:59Z");
        assert!(Time::parse("tomorrow").is_err());
    }
}
