//! Models a house knows.

use super::call::Call;
use super::{Client, ClientError};
use ephor_core::models::{ModelView, Models};
use ephor_core::time::WireDuration;

impl Client {
    /// Every model that is known, with how attempts with it went within a window of time, a day where none is given, in one namespace where
    /// one is named.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn models(&self, namespace: Option<&str>, window: Option<WireDuration>) -> Result<Models, ClientError> {
        self.fetch(Call::get(["models"]).maybe("namespace", namespace).maybe("window", window)).await
    }

    /// One of them, by its name.
    ///
    /// # Errors
    /// The server's no, also where it knows no such model, or that it could not be reached.
    pub async fn model(
        &self,
        name: &str,
        namespace: Option<&str>,
        window: Option<WireDuration>,
    ) -> Result<ModelView, ClientError> {
        self.fetch(Call::get(["models", name]).maybe("namespace", namespace).maybe("window", window)).await
    }
}
