//! The configuration of a server, read anew.

use super::auth::Caller;
use super::errors::Errors;
use super::server::Server;
use crate::api::{ApiError, Kind};
use crate::config::{Config, Reloaded};
use axum::Json;
use axum::extract::State;
use ephor_engine::EngineError;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(reload))
}

/// Read the configuration file anew
///
/// What may change in flight is in force at once; the answer says what changed, what takes a restart, and what the rules of the house refuse.
/// A file that makes no sense changes nothing, and the answer says why.
#[utoipa::path(post, path = "/api/v1/config/reload", tag = "access", responses((status = 200, body = Reloaded), Errors))]
async fn reload(State(server): State<Arc<Server>>, Caller(who): Caller) -> Result<Json<Reloaded>, ApiError> {
    // The file is that of the whole server.
    if who.namespace.is_some() {
        return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", "the configuration is not that of a namespace"));
    }
    server.reload().await.map(Json)
}

impl Server {
    /// Reads the configuration anew and puts in force what may change in flight.
    pub(crate) async fn reload(&self) -> Result<Reloaded, ApiError> {
        let Some(reloader) = &self.config().0 else {
            let message = "this server was started without a configuration to read anew";
            return Err(ApiError::new(Kind::Invalid, "NOT_SUPPORTED", message));
        };
        let done = reloader.reload(async |config| self.put_in_force(config).await).await;
        match &done {
            Ok(Reloaded { file, changed, needs_restart, refused }) => {
                tracing::info!(file, ?changed, ?needs_restart, ?refused, "the configuration was read anew");
            }
            Err(error) => tracing::error!(why = %error, "the configuration stays as it was"),
        }
        done
    }

    /// Workers that are new or otherwise, the constitution, the numbers to decide by, and what is watched. Answers why the constitution is
    /// refused, where it is.
    async fn put_in_force(&self, config: &Config) -> Result<Option<String>, ApiError> {
        let engine = self.engine();
        for worker in &*config.workers {
            crate::local::introduce(engine, worker).await?;
        }
        let refused = match &config.policy.law {
            Some(law) => match engine.configure(law).await {
                Ok(()) => None,
                Err(EngineError::Refused(refusal)) => Some(refusal.to_string()),
                Err(error) => return Err(crate::local::trouble(error, None)),
            },
            None => None,
        };
        engine.decide_by(&config.house());
        self.tally().rewatch(config.monitoring.watch());
        Ok(refused)
    }
}
