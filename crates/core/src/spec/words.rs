//! Words of closed sets, and what follows from them.

use super::{Autonomy, ExecutionMode, Recurrence};
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

impl ExecutionMode {
    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "AUTO",
            Self::Strict => "STRICT",
            Self::DryRun => "DRY_RUN",
        }
    }

    /// The autonomy of a task that names none.
    pub fn autonomy(self) -> Autonomy {
        match self {
            Self::Strict => Autonomy::Assisted,
            Self::Auto => Autonomy::Autonomous,
            Self::DryRun => Autonomy::Suggestion,
        }
    }
}

impl Autonomy {
    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Suggestion => "SUGGESTION",
            Self::Assisted => "ASSISTED",
            Self::Autonomous => "AUTONOMOUS",
        }
    }
}

/// Whether a task comes once or again and again (S0-09, S0-10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecurrenceKind {
    /// Once.
    #[default]
    OneTime,
    /// Again and again, as its `recurrence` says.
    Recurring,
}

impl RecurrenceKind {
    /// Reads a word in any case, with `-` or a space for `_`.
    pub fn read(word: &str) -> Option<Self> {
        let word = word.trim();
        let is = |own: &str| {
            own.len() == word.len()
                && own
                    .bytes()
                    .zip(word.bytes())
                    .all(|(a, b)| a == b.to_ascii_uppercase() || (a == b'_' && (b == b'-' || b == b' ')))
        };
        if is("ONE_TIME") {
            Some(Self::OneTime)
        } else if is("RECURRING") {
            Some(Self::Recurring)
        } else {
            None
        }
    }
}

/// Reads a recurrence; the word ONE_TIME says that there is none.
pub(super) fn recurrence<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Recurrence>, D::Error> {
    struct Read;
    impl<'de> Visitor<'de> for Read {
        type Value = Option<Recurrence>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`every` or `cron` and what goes with them, or the word ONE_TIME")
        }

        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
            from.deserialize_any(self)
        }

        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Self::Value, E> {
            match RecurrenceKind::read(word) {
                Some(RecurrenceKind::OneTime) => Ok(None),
                Some(RecurrenceKind::Recurring) => {
                    Err(E::custom("RECURRING says not when; write `recurrence: {every: 1d}` or `recurrence: {cron: …}`"))
                }
                None => Err(E::custom(format!("{word:?} is no recurrence; allowed are ONE_TIME, or `every` or `cron`"))),
            }
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
            Recurrence::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    from.deserialize_option(Read)
}

#[cfg(test)]
mod tests {
    use super::super::Request;

    #[test]
    fn a_recurrence_is_read_as_its_terms_or_as_the_word_that_there_is_none() {
        let read = |json: &str| serde_json::from_str::<Request>(json).map(|r| r.recurrence).map_err(|e| e.to_string());
        assert_eq!(read(r#"{"recurrence": "one-time"}"#), Ok(None));
        assert_eq!(read(r#"{"recurrence": null}"#), Ok(None));
        assert_eq!(read(r#"{"recurrence": {"times": 3}}"#).unwrap().unwrap().times, Some(3));
        assert!(read(r#"{"recurrence": "recurring"}"#).unwrap_err().contains("every"));
        assert!(read(r#"{"recurrence": "DAILY"}"#).unwrap_err().contains("ONE_TIME"));
        assert!(read(r#"{"recurrence": {"evry": "1d"}}"#).unwrap_err().contains("evry"));
    }
}
