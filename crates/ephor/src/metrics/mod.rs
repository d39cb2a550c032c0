//! The metrics of a server as a table of families, whoever reads them: Prometheus as text, a collector as OTLP. Names and what they mean
//! are told in docs/metrics.md, which a test compares. Labels are words of closed sets, or names of namespaces and types of which no more
//! than so many are told apart; no label is an id.

mod prometheus;
mod table;

pub(crate) use prometheus::text;
pub(crate) use table::families;

use ephor_core::time::WireDuration;
use ephor_engine::figures::{Histogram, Tallies};

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows, from the start of the server.
    Counter,
    /// It stands at something now.
    Gauge,
    /// Durations in seconds, by their classes.
    Histogram,
}

impl Kind {
    /// Its word for Prometheus.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// A whole one.
    Whole(u64),
    /// One that need not be.
    Real(f64),
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        Self::Whole(n)
    }
}

impl From<f64> for Number {
    fn from(n: f64) -> Self {
        Self::Real(n)
    }
}

/// A value under its labels.
pub(crate) type Sample = (Vec<(String, String)>, Number);

/// A metric with its values.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it means, in a few words.
    pub(crate) help: &'static str,
    /// What it does.
    pub(crate) kind: Kind,
    /// Its values; none for a histogram.
    pub(crate) samples: Vec<Sample>,
    /// The durations of a histogram.
    pub(crate) seen: Option<Histogram>,
}

impl Family {
    /// What it is counted in, as OpenTelemetry writes it; nothing where it is a number of things.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        let base = self.name.trim_end_matches("_total");
        let units = [("_seconds", "s"), ("_bytes", "By"), ("_ratio", "1")];
        units.iter().find(|(ending, _)| base.ends_with(ending)).map(|(_, unit)| *unit)
    }
}

/// All of them, in the order they are told.
#[derive(Debug, Default)]
struct Families(Vec<Family>);

impl Families {
    fn add(&mut self, name: &'static str, kind: Kind, help: &'static str) -> &mut Family {
        self.0.push(Family { name, help, kind, samples: Vec::new(), seen: None });
        self.0.last_mut().expect("it was just put there")
    }

    /// One that only grows.
    fn counter(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.add(name, Kind::Counter, help)
    }

    /// One that stands at something now.
    fn gauge(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.add(name, Kind::Gauge, help)
    }

    /// Durations in seconds, by their classes.
    fn histogram(&mut self, name: &'static str, help: &'static str, seen: &Histogram) {
        self.add(name, Kind::Histogram, help).seen = Some(seen.clone());
    }
}

impl Family {
    fn is(&mut self, value: impl Into<Number>) {
        self.samples.push((Vec::new(), value.into()));
    }

    /// A value under labels.
    fn of(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) -> &mut Self {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.push((labels, value.into()));
        self
    }

    fn each(&mut self, label: &str, tallies: &Tallies) {
        for (word, n) in tallies {
            self.of(&[(label, word)], *n);
        }
    }
}

/// Milliseconds as seconds.
pub(crate) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// How long the oldest has waited, in seconds; 0 where nothing waits.
fn waited(oldest: Option<WireDuration>) -> f64 {
    oldest.map_or(0.0, |oldest| seconds(oldest.ms))
}
