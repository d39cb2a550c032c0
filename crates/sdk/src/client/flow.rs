//! Holds and limits: what may be handed out now.

use super::call::Call;
use super::{Client, ClientError};
use ephor_core::flow::{HoldView, LimitView, NewHold, NewLimit, NewRelease};
use ephor_core::id::HoldId;
use reqwest::Method;

impl Client {
    /// Holds that stand, the oldest first.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn holds(&self) -> Result<Vec<HoldView>, ClientError> {
        self.fetch(Call::get(["holds"])).await
    }

    /// Keeps work back.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn place_hold(&self, wish: &NewHold) -> Result<HoldView, ClientError> {
        self.fetch(Call::post(["holds"]).json(wish)).await
    }

    /// Lets some of what a hold keeps back go on.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn release_hold(&self, hold: HoldId, wish: &NewRelease) -> Result<HoldView, ClientError> {
        self.fetch(Call::post(["holds", &hold.to_string(), "release"]).json(wish)).await
    }

    /// Lifts a hold: all it keeps back goes on.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn lift_hold(&self, hold: HoldId) -> Result<HoldView, ClientError> {
        self.fetch(Call::new(Method::DELETE, ["holds", &hold.to_string()])).await
    }

    /// Limits, and how much each counts now.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn limits(&self) -> Result<Vec<LimitView>, ClientError> {
        self.fetch(Call::get(["limits"])).await
    }

    /// Sets a limit, or changes it.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn set_limit(&self, name: &str, wish: &NewLimit) -> Result<LimitView, ClientError> {
        self.fetch(Call::new(Method::PUT, ["limits", name]).json(wish)).await
    }

    /// Removes a limit of a namespace, or of all.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn remove_limit(&self, name: &str, namespace: Option<&str>) -> Result<LimitView, ClientError> {
        self.fetch(Call::new(Method::DELETE, ["limits", name]).maybe("namespace", namespace)).await
    }
}
