//! What can go wrong between a client and a server: a no with a reason, no answer, an answer that makes no sense.

use ephor_core::plan::Problem as FieldProblem;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Why a call did not do what it was for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// The server said no.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Nothing came back, or not in time; whether the server heard it is not known.
    #[error("{server} could not be reached: {why}")]
    Unreachable {
        /// The server.
        server: String,
        /// What happened.
        why: String,
    },
    /// What came back makes no sense.
    #[error("the answer of {server} could not be read: {why}")]
    Unreadable {
        /// The server.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// The client was set up with something that makes no sense.
    #[error("{0}")]
    Setup(String),
}

impl ClientError {
    /// The server's no, where it is one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::Unreachable { .. } | Self::Unreadable { .. } | Self::Setup(_) => None,
        }
    }

    /// The server's code, where it said no: `ILLEGAL_TRANSITION`.
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|p| p.code.as_str())
    }

    /// Whether the same call may work later: no answer, or a server that has no time or no space just now.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused(problem) => passes(problem.status),
            Self::Unreachable { .. } => true,
            Self::Unreadable { .. } | Self::Setup(_) => false,
        }
    }
}

/// Whether a status says that the request was not carried out and may be later.
pub(crate) fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 502 | 503 | 504 | 507)
}

/// The server's reasons (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// A name for the kind of trouble: `urn:ephor:problem:illegal-transition`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence: what was not done.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, in capitals: `ILLEGAL_TRANSITION`.
    pub code: String,
    /// What stands in the way, and what would be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What can be done next.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// What is wrong with the request, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// How long the server asks to wait before the next try.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// The reasons in an answer; of one that gives none, what its status says.
    pub(crate) fn read(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        let read: Option<Self> = serde_json::from_slice(body).ok().filter(|p: &Self| !p.code.is_empty());
        let problem = read.unwrap_or_else(|| Self {
            title: status.canonical_reason().unwrap_or("the server said no").to_owned(),
            code: format!("HTTP_{}", status.as_u16()),
            ..Self::default()
        });
        Self { status: status.as_u16(), retry_after, ..problem }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.code)?;
        for error in &self.errors {
            write!(f, "; {}: {}", error.field, error.message)?;
        }
        self.detail.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

/// The innermost reason of an error of the network: the others only say that something was not sent.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_reasons_is_told_by_its_status() {
        let problem = Problem::read(StatusCode::BAD_GATEWAY, b"<html>", None);
        assert_eq!((problem.status, problem.code.as_str(), problem.title.as_str()), (502, "HTTP_502", "Bad Gateway"));
        let body = br#"{"code": "VALIDATION_FAILED", "title": "no", "errors": [{"field": "a", "message": "b"}], "more": 1}"#;
        let problem = Problem::read(StatusCode::BAD_REQUEST, body, None);
        assert_eq!(problem.to_string(), "no (VALIDATION_FAILED); a: b");
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let refused = |status| ClientError::Refused(Box::new(Problem { status, ..Problem::default() }));
        for status in [429, 503, 507] {
            assert!(refused(status).may_pass());
        }
        for status in [400, 401, 404, 409, 422, 500] {
            assert!(!refused(status).may_pass());
        }
    }
}
