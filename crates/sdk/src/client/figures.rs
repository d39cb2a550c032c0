//! Figures about what was done and what stands.

use super::call::Call;
use super::{Client, ClientError};
use ephor_core::figures::Figures;
use ephor_core::time::WireDuration;

impl Client {
    /// Figures over a window of time, a day where none is given, of one namespace where one is named.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached.
    pub async fn figures(&self, namespace: Option<&str>, window: Option<WireDuration>) -> Result<Figures, ClientError> {
        self.fetch(Call::get(["admin", "metrics"]).maybe("namespace", namespace).maybe("window", window)).await
    }
}
