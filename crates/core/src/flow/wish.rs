//! Holds and limits as they are asked for and shown: wire types, and what is wrong with a wish.

use super::{KEYS, Limit, MAX_MAX, RATE_MAX, Release, Running, Scope, WINDOW_MAX};
use crate::id::HoldId;
use crate::plan::{Problem, is_word};
use crate::time::{WireDuration, WireTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The longest reason of a hold, in characters.
const REASON_MAX: usize = 500;
/// The longest path of a key, in characters.
const BY_MAX: usize = 200;

/// So much in so long a time: `10/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How much at most.
    pub count: u32,
    /// In any span of so many milliseconds.
    pub window_ms: u64,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, WireDuration { ms: self.window_ms })
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate; write it as 10/min, 5/30s or 100/h, of at most {RATE_MAX} in at most 24h");
        let (count, window) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().ok().filter(|n| (1..=RATE_MAX).contains(n)).ok_or_else(wrong)?;
        let window_ms = match window.trim() {
            "s" | "sec" | "second" => 1_000,
            "m" | "min" | "minute" => 60_000,
            "h" | "hour" => 3_600_000,
            "d" | "day" => 86_400_000,
            other => WireDuration::parse(other).map_err(|_| wrong())?.ms,
        };
        if window_ms == 0 || window_ms > WINDOW_MAX {
            return Err(wrong());
        }
        Ok(Self { count, window_ms })
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The wish for a hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// Only what belongs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only tasks of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// Only what this agent does, by its id or its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Has to be true where nothing else is said: everything is held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
    /// What becomes of attempts that run: `stop` or `finish`.
    #[serde(default)]
    pub running: Running,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

impl NewHold {
    /// What is wrong with it, if anything is.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = words(&[("namespace", &self.namespace), ("task_type", &self.task_type)]);
        let named = [self.namespace.is_some(), self.task_type.is_some(), self.agent.is_some()].contains(&true);
        if self.everything == named {
            problems.push(Problem::new("everything", "say what is held: namespace, task_type, agent, or everything: true alone"));
        }
        if self.agent.is_some() && self.task_type.is_some() {
            problems.push(Problem::new("agent", "an agent is held as a whole: leave task_type out"));
        }
        if self.reason.trim().is_empty() || self.reason.chars().count() > REASON_MAX {
            problems.push(Problem::new("reason", format!("say why, in at most {REASON_MAX} characters")));
        }
        problems
    }
}

/// The wish for an exception from a hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRelease {
    /// Only tasks of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only tasks of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// How many pieces of work may begin, in which time: `10/min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "10/1m"))]
    pub rate: Option<Rate>,
}

impl NewRelease {
    /// What is wrong with it, if anything is.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = words(&[("namespace", &self.namespace), ("task_type", &self.task_type)]);
        if *self == Self::default() {
            problems.push(Problem::new(
                "rate",
                "say what goes on: namespace, task_type or rate; lift the hold to let everything go on",
            ));
        }
        problems
    }
}

/// The wish for a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewLimit {
    /// Only tasks of this namespace; of all together where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Only tasks of this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// How many pieces of work.
    pub max: u32,
    /// Where it is given: how many may begin in any span of that length. Else: how many may be in the hands of agents at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<WireDuration>,
    /// What each value of has a count of its own: `payload.customer_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl NewLimit {
    /// What is wrong with it under this name, if anything is.
    pub fn problems(&self, name: &str) -> Vec<Problem> {
        let mut problems = words(&[("namespace", &self.namespace), ("task_type", &self.task_type)]);
        if !is_word(name) {
            problems.push(Problem::new("name", "1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
        }
        let most = if self.per.is_some() { RATE_MAX } else { MAX_MAX };
        if !(1..=most).contains(&self.max) {
            problems.push(Problem::new("max", format!("1 to {most}; a hold lets nothing through")));
        }
        if self.per.is_some_and(|per| per.ms == 0 || per.ms > WINDOW_MAX) {
            problems.push(Problem::new("per", "longer than nothing, and at most 24h"));
        }
        if let Some(by) = self.by.as_deref().filter(|by| !is_key(by)) {
            let known = KEYS.join(", ");
            problems.push(Problem::new("by", format!("{by:?}: payload. and the name of a field in it, or one of {known}")));
        }
        problems
    }

    /// The limit it asks for.
    pub fn limit(&self, name: &str) -> Limit {
        Limit {
            name: name.into(),
            namespace: self.namespace.as_deref().map(Into::into),
            task_type: self.task_type.as_deref().map(Into::into),
            max: self.max,
            window_ms: self.per.map(|per| per.ms),
            by: self.by.as_deref().map(|by| by.strip_prefix("task.").unwrap_or(by).into()),
        }
    }
}

fn words(said: &[(&str, &Option<String>)]) -> Vec<Problem> {
    let wrong = said.iter().filter_map(|(field, word)| Some((field, word.as_deref().filter(|word| !is_word(word))?)));
    wrong.map(|(field, word)| Problem::new(*field, format!("{word:?}: 1 to 128 letters, digits, `_`, `-`, `.`, `:`"))).collect()
}

/// Whether a key can be read by this path.
fn is_key(by: &str) -> bool {
    let path = by.strip_prefix("task.").unwrap_or(by);
    let named = path.strip_prefix("payload.").is_some_and(|rest| rest.split('.').all(|part| !part.is_empty()));
    by.chars().count() <= BY_MAX && (named || KEYS.contains(&path))
}

/// A hold as outsiders see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HoldView {
    /// Its id: it is lifted by this.
    pub id: HoldId,
    /// What it is about; everything where it says nothing.
    pub scope: Scope,
    /// What becomes of attempts that run.
    pub running: Running,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: WireTime,
    /// Who placed it.
    pub by: String,
    /// What goes on although it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<Release>,
}

/// A limit as outsiders see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitView {
    /// By which it is changed and removed.
    pub name: String,
    /// What it says.
    #[serde(flatten)]
    pub limit: NewLimit,
    /// Since when.
    pub since: WireTime,
    /// Who set it.
    pub set_by: String,
    /// How many pieces of work it counts now, all keys together.
    #[serde(default)]
    pub counted: u64,
    /// How many of its counts are full.
    #[serde(default)]
    pub full: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_people_write_them() {
        for (text, count, window_ms) in [("10/min", 10, 60_000), ("5/30s", 5, 30_000), ("1/h", 1, 3_600_000)] {
            assert_eq!(text.parse(), Ok(Rate { count, window_ms }));
            assert_eq!(Rate { count, window_ms }.to_string().parse(), Ok(Rate { count, window_ms }));
        }
        for text in ["", "10", "0/min", "10/", "10/0s", "10/2d", "-1/s", "many/min"] {
            assert!(text.parse::<Rate>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_wish_that_makes_no_sense_says_which_field() {
        let fields = |problems: Vec<Problem>| problems.into_iter().map(|p| p.field).collect::<Vec<_>>();
        assert_eq!(fields(NewHold { reason: "x".into(), ..NewHold::default() }.problems()), ["everything"]);
        let both = NewHold { everything: true, namespace: Some("a".into()), ..NewHold::default() };
        assert_eq!(fields(both.problems()), ["everything", "reason"]);
        assert_eq!(fields(NewRelease::default().problems()), ["rate"]);
        let odd = NewLimit {
            namespace: Some("a b".into()),
            task_type: None,
            max: 0,
            per: Some(WireDuration { ms: 0 }),
            by: Some("params.x".into()),
        };
        assert_eq!(fields(odd.problems("a b")), ["namespace", "name", "max", "per", "by"]);
    }
}
