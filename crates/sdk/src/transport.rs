//! What carries an agent's words to the engine: a call in one process, or HTTP.

use ephor_core::id::EffectId;
use ephor_core::work::{
    ClaimRequest, EffectGrant, EffectOutcome, EffectRequest, Heartbeat, HeartbeatAnswer, Report, ReportAnswer, WorkItem,
};
use std::future::Future;

/// What carries an agent's words to the engine. Every call answers within a deadline of its own.
pub trait Transport: Send + Sync + 'static {
    /// Asks for work; waits up to `wait_ms` for the first piece. Whoever gets no work at all any more (it was revoked, or nobody knows it) is
    /// refused.
    fn claim(&self, wish: ClaimRequest) -> impl Future<Output = Result<Result<Vec<WorkItem>, Refused>, TransportError>> + Send;
    /// Renews leases; one answer for each sign of life, in order.
    fn heartbeat(&self, beats: Vec<Heartbeat>) -> impl Future<Output = Result<Vec<HeartbeatAnswer>, TransportError>> + Send;
    /// Ends attempts; one answer for each report, in order.
    fn report(
        &self,
        reports: Vec<Report>,
    ) -> impl Future<Output = Result<Vec<Result<ReportAnswer, Refused>>, TransportError>> + Send;
    /// Asks for the right to act on the outside.
    fn effect(&self, wish: EffectRequest) -> impl Future<Output = Result<Result<EffectGrant, Refused>, TransportError>> + Send;
    /// Says what became of an effect.
    fn effect_outcome(
        &self,
        wish: EffectRequest,
        effect: EffectId,
        outcome: EffectOutcome,
    ) -> impl Future<Output = Result<Result<(), Refused>, TransportError>> + Send;
}

/// A rule's no: final, and repeated only with another question.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// Stable, in capitals: `STALE_ATTEMPT`.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// The words did not get through, or no answer came back: say them again, with the same ids.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the engine could not be reached: {0}")]
pub struct TransportError(pub String);
