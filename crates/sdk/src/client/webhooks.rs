//! Webhooks: who is told of what by a call over HTTP.

use super::call::Call;
use super::{Client, ClientError};
use ephor_core::id::WebhookId;
use ephor_core::webhook::{DeliveryView, MadeWebhook, NewWebhook, WebhookView};
use reqwest::Method;

impl Client {
    /// Who is told of what.
    ///
    /// # Errors
    /// The server's no, or that it could not be reached; likewise below.
    pub async fn webhooks(&self) -> Result<Vec<WebhookView>, ClientError> {
        self.fetch(Call::get(["webhooks"])).await
    }

    /// Has somebody told from now on. The secret is in the answer and in no other.
    ///
    /// # Errors
    /// See [`Self::webhooks`].
    pub async fn make_webhook(&self, wish: &NewWebhook) -> Result<MadeWebhook, ClientError> {
        self.fetch(Call::post_once(["webhooks"]).json(wish)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`Self::webhooks`].
    pub async fn webhook(&self, id: WebhookId) -> Result<WebhookView, ClientError> {
        self.fetch(Call::get(["webhooks", &id.to_string()])).await
    }

    /// Pauses one, or lets it go on from where it ended.
    ///
    /// # Errors
    /// See [`Self::webhooks`].
    pub async fn pause_webhook(&self, id: WebhookId, paused: bool) -> Result<WebhookView, ClientError> {
        let act = if paused { "pause" } else { "resume" };
        self.fetch(Call::post_once(["webhooks", &id.to_string(), act])).await
    }

    /// Tells one no more; answers with what it was.
    ///
    /// # Errors
    /// See [`Self::webhooks`].
    pub async fn remove_webhook(&self, id: WebhookId) -> Result<WebhookView, ClientError> {
        self.fetch(Call::new(Method::DELETE, ["webhooks", &id.to_string()])).await
    }

    /// Sends one a message that tells nothing, now.
    ///
    /// # Errors
    /// See [`Self::webhooks`].
    pub async fn test_webhook(&self, id: WebhookId) -> Result<DeliveryView, ClientError> {
        self.fetch(Call::post_once(["webhooks", &id.to_string(), "test"])).await
    }

    /// The last tries of one, the newest first, no more than so many.
    ///
    /// # Errors
    /// See [`Self::webhooks`].
    pub async fn webhook_deliveries(&self, id: WebhookId, limit: u32) -> Result<Vec<DeliveryView>, ClientError> {
        self.fetch(Call::get(["webhooks", &id.to_string(), "deliveries"]).query("limit", limit)).await
    }

    /// Sends again what was told in a try, now.
    ///
    /// # Errors
    /// See [`Self::webhooks`].
    pub async fn redeliver(&self, id: WebhookId, delivery: u64) -> Result<DeliveryView, ClientError> {
        let (id, delivery) = (id.to_string(), delivery.to_string());
        self.fetch(Call::post_once(["webhooks", &id, "deliveries", &delivery, "redeliver"])).await
    }
}
