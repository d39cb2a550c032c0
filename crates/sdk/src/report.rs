//! How attempts end on the wire: whatever has ended is reported together, until it is heard.

use crate::backoff::Backoff;
use crate::lease::{Lease, Leases};
use crate::transport::{Refused, Transport};
use ephor_core::spec::ErrorClass;
use ephor_core::work::{Failure, Outcome, Report};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The most reports in one call; the rest go with the next.
const BATCH_MAX: usize = 100;

/// The most reports that wait. While the engine cannot be reached, jobs beyond this keep their place in the worker.
pub(crate) const QUEUED_MAX: usize = 1_000;

/// The end of an attempt, before it has been told.
pub(crate) struct Ended {
    pub(crate) lease: Arc<Lease>,
    pub(crate) outcome: Outcome,
}

impl Ended {
    fn report(&self) -> Report {
        let (task_id, work, attempt) = self.lease.key();
        Report { task_id, work, attempt, outcome: self.outcome.clone() }
    }

    /// What is reported instead of an outcome the engine cannot use: otherwise nobody would hear that the attempt is over.
    fn instead(self, no: &Refused) -> Option<Self> {
        let failed = matches!(self.outcome, Outcome::Failed(_));
        if no.code != "VALIDATION_FAILED" || failed {
            return None;
        }
        let outcome = Outcome::Failed(Failure::new(ErrorClass::BadOutput, no.message.clone()));
        Some(Self { outcome, ..self })
    }
}

/// Delivers what ends, until the queue is closed and empty. No timer: what comes in during one call goes with the next.
/// A lease is renewed until its report has been answered.
pub(crate) async fn deliver(transport: &impl Transport, leases: &Leases, mut queue: mpsc::Receiver<Ended>) {
    let mut backoff = Backoff::default();
    let mut waiting = Vec::new();
    while !waiting.is_empty() || queue.recv_many(&mut waiting, BATCH_MAX).await > 0 {
        let reports: Vec<_> = waiting.iter().map(Ended::report).collect();
        match transport.report(reports).await {
            Ok(answers) if answers.len() == waiting.len() => {
                backoff.reset();
                let answered = std::mem::take(&mut waiting).into_iter().zip(answers);
                waiting = answered.filter_map(|(ended, answer)| settle(leases, ended, answer.err())).collect();
            }
            Ok(answers) => {
                tracing::warn!(sent = waiting.len(), answered = answers.len(), "reports and answers do not match");
                tokio::time::sleep(backoff.step()).await;
            }
            Err(error) => {
                tracing::warn!(%error, reports = waiting.len(), "report lost");
                tokio::time::sleep(backoff.step()).await;
            }
        }
    }
}

/// Ends the lease, or gives back what is to be reported in its place.
fn settle(leases: &Leases, ended: Ended, refused: Option<Refused>) -> Option<Ended> {
    let lease = ended.lease.clone();
    let instead = refused.and_then(|no| {
        let (task, work, attempt) = lease.key();
        tracing::warn!(%task, %work, attempt, %no, "report refused");
        ended.instead(&no)
    });
    if instead.is_none() {
        leases.end(&lease);
    }
    instead
}
