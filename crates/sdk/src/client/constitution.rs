//! The constitution: what is in force, what was, and what is to be.

use super::call::Call;
use super::{Client, ClientError};
use ephor_core::constitution::{
    AmendmentView, Candidate, ImpactReport, InForce, NewAmendment, NewVote, ReplayReport, VersionHead, VersionView,
};
use ephor_core::id::AmendmentId;
use serde_json::json;

impl Client {
    /// The constitution that is in force.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn constitution(&self) -> Result<InForce, ClientError> {
        self.fetch(Call::get(["constitution"])).await
    }

    /// Every version there was, the one in force last.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn constitution_versions(&self) -> Result<Vec<VersionHead>, ClientError> {
        self.fetch(Call::get(["constitution", "versions"])).await
    }

    /// One version with its words.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn constitution_version(&self, number: u32) -> Result<VersionView, ClientError> {
        self.fetch(Call::get(["constitution", "versions", &number.to_string()])).await
    }

    /// Amendments, the latest first.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn amendments(&self) -> Result<Vec<AmendmentView>, ClientError> {
        self.fetch(Call::get(["constitution", "amendments"])).await
    }

    /// One amendment with its document.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn amendment(&self, id: AmendmentId) -> Result<AmendmentView, ClientError> {
        self.fetch(Call::get(["constitution", "amendments", &id.to_string()])).await
    }

    /// Proposes another document.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn propose_amendment(&self, wish: &NewAmendment) -> Result<AmendmentView, ClientError> {
        self.fetch(Call::post_once(["constitution", "amendments"]).json(wish)).await
    }

    /// Stands behind an amendment.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn sponsor_amendment(&self, id: AmendmentId) -> Result<AmendmentView, ClientError> {
        self.fetch(Call::post_once(["constitution", "amendments", &id.to_string(), "sponsor"]).json(&json!({}))).await
    }

    /// Votes on an amendment.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn vote_on_amendment(&self, id: AmendmentId, vote: &NewVote) -> Result<AmendmentView, ClientError> {
        self.fetch(Call::post_once(["constitution", "amendments", &id.to_string(), "vote"]).json(vote)).await
    }

    /// Takes an amendment back.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn withdraw_amendment(&self, id: AmendmentId, reason: &str) -> Result<AmendmentView, ClientError> {
        let body = json!({"reason": reason});
        self.fetch(Call::post_once(["constitution", "amendments", &id.to_string(), "withdraw"]).json(&body)).await
    }

    /// What a document would change, in words and for live tasks.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn constitution_impact(&self, candidate: &Candidate) -> Result<ImpactReport, ClientError> {
        self.fetch(Call::post_once(["constitution", "impact"]).json(candidate)).await
    }

    /// Which recorded decisions a document would have made otherwise.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn constitution_replay(&self, candidate: &Candidate) -> Result<ReplayReport, ClientError> {
        self.fetch(Call::post_once(["constitution", "replay"]).json(candidate)).await
    }
}
