//! Work over HTTP: what the worker says, as calls to a server. A call is tried once; repeating is the worker's part, with the same ids.

use crate::client::{Claim, Client, ClientError, Config, Problem, Reported};
use crate::random;
use crate::transport::{Refused, Transport, TransportError};
use ephor_core::id::{AgentId, ClaimId, EffectId};
use ephor_core::work::{
    ClaimRequest, EffectGrant, EffectOutcome, EffectRequest, Heartbeat, HeartbeatAnswer, Report, ReportAnswer, WorkItem,
};
use std::time::Duration;

/// The most bytes of reports in one call; the server takes a MiB.
const REPORT_BYTES: usize = 768 << 10;

/// A way to a server for the agents that go by one id.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    agent: AgentId,
}

impl Http {
    /// For the agents that go by this id. Each call is made once, however often the configuration says: the worker repeats.
    ///
    /// # Errors
    /// [`ClientError::Setup`] where the configuration makes no sense.
    pub fn new(config: Config, agent: AgentId) -> Result<Self, ClientError> {
        Ok(Self { client: Client::new(Config { tries: 1, ..config })?, agent })
    }
}

/// A new id of a claim. It need not sort by time, only be new.
pub fn new_claim_id() -> ClaimId {
    let [a, b, c, d, e, f] = random::bytes();
    ClaimId::new(i64::from_be_bytes([0, 0, a, b, c, d, e, f]), random::bytes())
}

/// A rule's no is an answer. Everything else is said again: a server that is not there or has no time, and one that does not know
/// this caller (any more), which only a person can mend.
fn split<T>(answer: Result<T, ClientError>) -> Result<Result<T, Refused>, TransportError> {
    let error = match answer {
        Ok(answer) => return Ok(Ok(answer)),
        Err(error) => error,
    };
    match error.problem() {
        Some(problem) if (400..500).contains(&problem.status) && !matches!(problem.status, 401 | 408 | 429) => {
            Ok(Err(no(problem)))
        }
        _ => Err(TransportError(error.to_string())),
    }
}

fn no(problem: &Problem) -> Refused {
    Refused { code: problem.code.clone(), message: problem.to_string() }
}

impl Transport for Http {
    async fn claim(&self, wish: ClaimRequest) -> Result<Result<Vec<WorkItem>, Refused>, TransportError> {
        let ClaimRequest { claim_id, max, wait_ms, start, agent_id } = wish;
        let claim = Claim { claim_id, max, wait: format!("{wait_ms}ms"), start };
        match self.client.claim(agent_id, &claim, Duration::from_millis(wait_ms)).await {
            // A key that is worth nothing any more never will be again. Reports are another matter: they are said on and on.
            Err(ClientError::Refused(problem)) if problem.status == 401 => Ok(Err(no(&problem))),
            answer => split(answer),
        }
    }

    async fn heartbeat(&self, beats: Vec<Heartbeat>) -> Result<Vec<HeartbeatAnswer>, TransportError> {
        self.client.heartbeat(self.agent, &beats).await.map_err(|e| TransportError(e.to_string()))
    }

    async fn report(&self, reports: Vec<Report>) -> Result<Vec<Result<ReportAnswer, Refused>>, TransportError> {
        let mut answers = Vec::with_capacity(reports.len());
        for part in parts(&reports) {
            answers.extend(self.report_part(part).await?);
        }
        Ok(answers)
    }

    async fn effect(&self, wish: EffectRequest) -> Result<Result<EffectGrant, Refused>, TransportError> {
        split(self.client.effect(self.agent, &wish).await)
    }

    async fn effect_outcome(
        &self,
        wish: EffectRequest,
        effect: EffectId,
        outcome: EffectOutcome,
    ) -> Result<Result<(), Refused>, TransportError> {
        split(self.client.effect_outcome(self.agent, &wish, effect, outcome).await)
    }
}

impl Http {
    /// Reports that go in one call. Where the server cannot read them together, each is said alone, so that one that makes no sense
    /// holds up no other.
    async fn report_part(&self, reports: &[Report]) -> Result<Vec<Result<ReportAnswer, Refused>>, TransportError> {
        let refused = match split(self.client.report(self.agent, reports).await)? {
            Ok(answers) => return answers.results.into_iter().map(taken).collect(),
            Err(refused) => refused,
        };
        let [_] = reports else {
            let mut answers = Vec::with_capacity(reports.len());
            for report in reports {
                answers.extend(Box::pin(self.report_part(std::slice::from_ref(report))).await?);
            }
            return Ok(answers);
        };
        // The worker says something smaller instead.
        let code = if refused.code == "TOO_LARGE" { "VALIDATION_FAILED".into() } else { refused.code };
        Ok(vec![Err(Refused { code, ..refused })])
    }
}

/// What became of one report. One that the server had no time for makes the whole call count as lost: all are said again.
fn taken(result: Reported) -> Result<Result<ReportAnswer, Refused>, TransportError> {
    match result {
        Reported::Taken(answer) => Ok(Ok(answer)),
        Reported::Refused { error } => split(Err(ClientError::Refused(error))),
    }
}

/// Reports in parts that a server takes in one call.
fn parts(reports: &[Report]) -> Vec<&[Report]> {
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (i, report) in reports.iter().enumerate() {
        let size = serde_json::to_vec(report).map_or(0, |json| json.len());
        if i > begin && bytes + size > REPORT_BYTES {
            parts.push(&reports[begin..i]);
            (begin, bytes) = (i, 0);
        }
        bytes += size;
    }
    parts.push(&reports[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_core::id::TaskId;
    use ephor_core::work::{Outcome, Success, WorkKey};

    fn report(bytes: usize) -> Report {
        let outcome = Outcome::Succeeded(Success { output: "x".repeat(bytes).into(), ..Success::default() });
        Report { task_id: TaskId::new(0, [0; 10]), work: WorkKey::Plan, attempt: 1, outcome }
    }

    #[test]
    fn reports_go_in_parts_that_a_server_takes_and_none_is_left_out() {
        let reports = [report(10), report(REPORT_BYTES), report(10), report(10)];
        let sizes: Vec<usize> = parts(&reports).iter().map(|p| p.len()).collect();
        assert_eq!(sizes, [1, 1, 2]);
        assert_eq!(parts(&reports[..1]).len(), 1);
    }

    #[test]
    fn ids_of_claims_are_new_and_survive_their_text() {
        let id = new_claim_id();
        assert_ne!(id, new_claim_id());
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
