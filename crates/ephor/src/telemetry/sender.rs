//! One request to the collector, and what its answer means.

use crate::config::Otlp;
use ephor_agents::outgoing::{Answered, Outgoing, Trouble};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How much of a collector's words is told, in characters.
const SAID_MAX: usize = 200;

/// Sends to one collector.
pub(super) struct Sender {
    outgoing: Outgoing,
    endpoint: String,
    query: String,
    headers: Vec<(String, String)>,
    timeout: Duration,
    /// The signals of which nothing arrives at present: it is told once in the log, and so is the way back.
    away: Mutex<BTreeMap<&'static str, ()>>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It arrived; so many of what was in it the collector would not have.
    Taken { rejected: u64 },
    /// It may arrive later; perhaps the collector says when.
    Later(Option<Duration>),
    /// It will not have it.
    Never,
}

impl Sender {
    /// To the collector that is named.
    pub(super) fn new(said: &Otlp) -> Result<Self, String> {
        // Whoever may write the configuration may name any address, those of this machine above all.
        let outgoing = Outgoing::new(true).map_err(|why| why.to_string())?;
        let named = said.endpoint.as_deref().unwrap_or_default();
        let (base, query) = named.split_once('?').unwrap_or((named, ""));
        Ok(Self {
            outgoing,
            endpoint: base.trim_end_matches('/').to_owned(),
            query: if query.is_empty() { String::new() } else { format!("?{query}") },
            headers: said.headers.clone(),
            timeout: Duration::from_millis(said.timeout.ms),
            away: Mutex::default(),
        })
    }

    /// Sends a body once.
    pub(super) async fn send(&self, signal: &'static str, body: String) -> Came {
        let mut headers: Vec<(&str, String)> = vec![("content-type", "application/json".into())];
        headers.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let url = format!("{}/v1/{signal}{}", self.endpoint, self.query);
        let (came, why) = judged(self.outgoing.post(&url, &headers, body, self.timeout).await);
        self.tell(signal, &came, &why);
        came
    }

    /// Says in the log what has turned.
    fn tell(&self, signal: &'static str, came: &Came, why: &str) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match came {
            Came::Taken { rejected: 0 } => {
                if away.remove(signal).is_some() {
                    tracing::info!(signal, "telemetry: the collector takes them again");
                }
            }
            Came::Taken { rejected } => {
                tracing::warn!(signal, rejected, %why, "telemetry: the collector would not have all of it")
            }
            Came::Later(_) | Came::Never => {
                if away.insert(signal, ()).is_none() {
                    tracing::warn!(signal, %why, "telemetry: nothing arrives at the collector");
                }
            }
        }
    }
}

/// What an answer means (OTLP/HTTP), and what it said.
fn judged(answer: Result<Answered, Trouble>) -> (Came, String) {
    let Answered { status, retry_after, said } = match answer {
        Ok(answered) => answered,
        // An address that may not be reached today may be another tomorrow: names move.
        Err(Trouble::Refused(why) | Trouble::Lost(why)) => return (Came::Later(None), why),
    };
    let told = || format!("{status} {}", said.chars().filter(|c| !c.is_control()).take(SAID_MAX).collect::<String>());
    match status {
        200..=299 => {
            let Partly { rejected_spans, rejected_data_points, error_message } = partly(&said);
            (Came::Taken { rejected: rejected_spans.max(rejected_data_points) }, error_message.chars().take(SAID_MAX).collect())
        }
        408 | 429 | 502 | 503 | 504 => (Came::Later(retry_after), told()),
        _ => (Came::Never, told()),
    }
}

/// What a collector would not have, although it has taken the request. Numbers come as text, by the JSON mapping of protobuf, or as numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Partly {
    #[serde(deserialize_with = "number")]
    rejected_spans: u64,
    #[serde(deserialize_with = "number")]
    rejected_data_points: u64,
    error_message: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    partial_success: Option<Partly>,
}

fn partly(said: &str) -> Partly {
    serde_json::from_str::<Answer>(said).ok().and_then(|answer| answer.partial_success).unwrap_or_default()
}

fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u64),
        Text(String),
    }
    match Form::deserialize(from)? {
        Form::Number(n) => Ok(n),
        Form::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(status: u16, said: &str) -> Came {
        judged(Ok(Answered { status, retry_after: Some(Duration::from_secs(7)), said: said.into() })).0
    }

    #[test]
    fn an_answer_means_what_the_protocol_says() {
        assert_eq!(came(200, "{}"), Came::Taken { rejected: 0 });
        assert_eq!(came(200, ""), Came::Taken { rejected: 0 });
        let partly = r#"{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}"#;
        assert_eq!(came(200, partly), Came::Taken { rejected: 3 });
        for status in [429, 502, 503, 504] {
            assert_eq!(came(status, ""), Came::Later(Some(Duration::from_secs(7))), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500] {
            assert_eq!(came(status, ""), Came::Never, "{status}");
        }
    }
}
