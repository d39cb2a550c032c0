//! What a server watches of itself, and from where on it says so (S1-129…133).

use ephor_core::time::WireDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The shortest and longest time between two looks.
const INTERVAL_MS: (u64, u64) = (1_000, 3_600_000);
/// The shortest and longest time figures are kept.
const RETENTION_MS: (u64, u64) = (3_600_000, 366 * 86_400_000);

/// How figures are taken, and the thresholds beyond which a server warns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Watch {
    /// How often a server looks at what runs.
    pub progress_interval: WireDuration,
    /// How far back figures reach.
    pub metrics_retention: WireDuration,
    /// Beyond what it warns.
    pub alert_thresholds: Thresholds,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            progress_interval: WireDuration { ms: 10_000 },
            metrics_retention: WireDuration { ms: 30 * 86_400_000 },
            alert_thresholds: Thresholds::default(),
        }
    }
}

impl Watch {
    /// What is wrong with it where it is said in this section, with the name of the key; nothing where all is well.
    pub(super) fn problem(&self, section: &str) -> Option<String> {
        let within = |name: &str, said: WireDuration, (from, to): (u64, u64)| {
            let told = |ms| WireDuration { ms };
            let wrong = || format!("{section}.{name} is {said}; allowed are {} to {}", told(from), told(to));
            (!(from..=to).contains(&said.ms)).then(wrong)
        };
        within("progress_interval", self.progress_interval, INTERVAL_MS)
            .or_else(|| within("metrics_retention", self.metrics_retention, RETENTION_MS))
            .or_else(|| {
                let long = self.alert_thresholds.duration_warning;
                within("alert_thresholds.duration_warning", long, (1_000, RETENTION_MS.1))
            })
    }
}

/// Beyond what a server warns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// How long a task may run, from its first start.
    pub duration_warning: WireDuration,
    /// How much of the machine's memory may be in use.
    pub memory_warning: Percent,
    /// Which part of the attempts of the last hour or two may fail.
    pub error_rate_warning: Percent,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { duration_warning: WireDuration { ms: 3_600_000 }, memory_warning: Percent(80.0), error_rate_warning: Percent(5.0) }
    }
}

/// A part of a whole, from 0 to 100: `80%`, `0.5%`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// From 0 to 1.
    pub fn part(self) -> f64 {
        self.0 / 100.0
    }

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no percentage; write it as 80%");
        let number: f64 = text.trim().trim_end_matches('%').trim_end().parse().map_err(|_| wrong())?;
        if (0.0..=100.0).contains(&number) { Ok(Self(number)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Text(String),
        }
        let text = match Form::deserialize(from)? {
            Form::Number(number) => number.to_string(),
            Form::Text(text) => text,
        };
        Self::read(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_read_as_people_write_them() {
        for (text, part) in [("80%", 0.8), ("5 %", 0.05), ("0.5%", 0.005), ("100", 1.0), ("0", 0.0)] {
            assert_eq!(Percent::read(text).map(Percent::part), Ok(part), "{text}");
        }
        for text in ["", "%", "101%", "-1%", "many", "NaN"] {
            assert!(Percent::read(text).is_err(), "{text:?}");
        }
        assert_eq!(Percent(2.5).to_string(), "2.5%");
    }
}
