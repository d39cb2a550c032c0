//! What a server or the way to it says, as trouble of the interfaces.

use crate::api::{ApiError, Kind};
use ephor_sdk::client::{ClientError, Problem};

/// The same trouble, in the words of the interfaces.
pub(crate) fn told(error: ClientError) -> ApiError {
    match error {
        ClientError::Refused(problem) => refused(*problem),
        ClientError::Unreachable { server, why } => {
            ApiError::new(Kind::Unreachable, "UNREACHABLE", format!("{server} could not be reached"))
                .because(why)
                .then("ephor serve")
        }
        ClientError::Unreadable { .. } => {
            ApiError::new(Kind::Failed, "UNREADABLE", error).because("it may be another program, or another release of this one")
        }
        ClientError::Setup(why) => ApiError::new(Kind::Invalid, "VALIDATION_FAILED", why),
    }
}

fn refused(problem: Problem) -> ApiError {
    let kind = kind(problem.status, &problem.code);
    let Problem { title, code, detail, next, errors, .. } = problem;
    let mut next: Vec<String> = next.into_iter().map(crate::hints::to_cli).collect();
    if code == "UNAUTHENTICATED" {
        next.push("--token-file FILE, or the token in EPHOR_TOKEN".into());
    }
    ApiError { kind, code: code.into(), message: title, why: detail, next, problems: errors }
}

/// What kind of trouble a status stands for; where one status stands for several, the code decides.
fn kind(status: u16, code: &str) -> Kind {
    match (status, code) {
        (400, "ILLEGAL_TRANSITION" | "TERMINAL_STATE" | "DUPLICATE_TASK") | (409 | 412 | 422, _) => Kind::Conflict,
        (401 | 403, _) => Kind::Forbidden,
        (404, _) => Kind::NotFound,
        (503, "STOPPED" | "UNAVAILABLE") | (502 | 504, _) => Kind::Unreachable,
        (408 | 429 | 503 | 507, _) => Kind::Busy,
        (500.., _) => Kind::Failed,
        _ => Kind::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::command::Refusal;
    use ephor_core::status::Status;

    #[test]
    fn a_no_over_http_is_the_no_of_the_engine() {
        for refusal in [
            Refusal::Ended { status: Status::Completed },
            Refusal::NotFound { what: "task", id: "x".into() },
            Refusal::Forbidden("no".into()),
            Refusal::QueueFull,
            Refusal::Invalid(Vec::new()),
            Refusal::IdempotencyMismatch,
        ] {
            let here = ApiError::from(refusal);
            let problem = crate::http::problem_of(here.clone());
            let there = told(ClientError::Refused(Box::new(serde_json::from_value(problem).unwrap())));
            assert_eq!(there, here);
        }
    }
}
