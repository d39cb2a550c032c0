//! A span that is over, and what is said about it. Only facts: ids, words of closed sets, numbers, names of actions and types. Nothing that
//! people or agents wrote as text.

use super::ids::{SpanId, TraceId};
use serde_json::{Map, Value};

/// How many moves and words are told within one span.
pub(super) const EVENTS_MAX: usize = 128;
/// How many attributes somebody else may give a span, and how long a text of them may be.
pub(super) const ATTRIBUTES_MAX: usize = 32;
pub(super) const TEXT_MAX: usize = 256;

/// A value said about a span.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Text(Box<str>),
    Whole(i64),
    Real(f64),
    Flag(bool),
}

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Box<str>> for Said {
    fn from(text: Box<str>) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Said {
    fn from(n: u64) -> Self {
        Self::Whole(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Said {
    fn from(n: u32) -> Self {
        Self::Whole(n.into())
    }
}

impl From<bool> for Said {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// What is said about something, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Attributes(pub(super) Vec<(Box<str>, Said)>);

impl Attributes {
    /// One more.
    pub(super) fn with(mut self, name: &str, value: impl Into<Said>) -> Self {
        self.add(name, value);
        self
    }

    pub(super) fn add(&mut self, name: &str, value: impl Into<Said>) {
        self.0.push((name.into(), value.into()));
    }

    pub(super) fn add_some<T: Into<Said>>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// Figures of an attempt that are GenAI attributes: those under their full name, and tokens under the names most libraries use. What is
    /// neither a number, a short text nor a flag is left out.
    pub(super) fn add_gen_ai(&mut self, figures: &Map<String, Value>) {
        for (name, value) in figures.iter().take(ATTRIBUTES_MAX) {
            let name = match name.as_str() {
                "input_tokens" => "gen_ai.usage.input_tokens",
                "output_tokens" => "gen_ai.usage.output_tokens",
                name if name.starts_with("gen_ai.") => name,
                _ => continue,
            };
            let value = match value {
                Value::Bool(flag) => Said::Flag(*flag),
                Value::Number(n) => match n.as_i64() {
                    Some(whole) => Said::Whole(whole),
                    None => Said::Real(n.as_f64().unwrap_or_default()),
                },
                Value::String(text) if text.len() <= TEXT_MAX => Said::Text(text.as_str().into()),
                Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => continue,
            };
            match self.0.iter_mut().find(|(known, _)| **known == *name) {
                Some(known) => known.1 = value,
                None => self.0.push((name.into(), value)),
            }
        }
    }
}

/// Something that happened within a span.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) at: i64,
    pub(super) name: &'static str,
    pub(super) attributes: Attributes,
}

/// Who a span is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It happens within the server.
    Internal,
    /// Somebody else was asked, and may tell spans of their own.
    Client,
}

/// A span that is over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// In milliseconds since the Unix epoch.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) attributes: Attributes,
    pub(super) moments: Vec<Moment>,
    /// How many moments were left out.
    pub(super) left_out: u32,
    /// Spans of other traces it has to do with, each with in which way.
    pub(super) links: Vec<(TraceId, SpanId, &'static str)>,
    /// What went wrong, as a word.
    pub(super) error: Option<Box<str>>,
}
