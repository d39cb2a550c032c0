//! Figures in the words of plan executions: how executions went, how agents are, what goes wrong.

use super::EXECUTION;
use crate::api::ApiError;
use crate::http::auth::Caller;
use crate::http::errors::Errors;
use crate::http::figures::{Wanted, taken};
use crate::http::query::Query;
use crate::http::server::Server;
use axum::Json;
use axum::extract::State;
use ephor_core::figures::{Alert, Figures, Spread};
use ephor_core::time::WireTime;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Figures about executions.
#[derive(Serialize, ToSchema)]
struct Metrics {
    /// When they were taken.
    timestamp: WireTime,
    /// How executions went.
    executions: Executions,
    /// How their tasks went: attempts at steps, of everything.
    tasks: Tasks,
    /// How agents are.
    agents: Agents,
    /// What went wrong.
    errors: ErrorSummary,
    /// What is watched.
    alerts: Vec<Alert>,
}

/// How executions went.
#[derive(Serialize, ToSchema)]
struct Executions {
    /// How many were started.
    started: u64,
    /// How many completed.
    completed: u64,
    /// How many failed.
    failed: u64,
    /// The part that completed of those that completed or failed, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    success_rate: Option<f64>,
    /// How long they took on average, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    average_duration_seconds: Option<f64>,
    /// Within how many seconds 95 of 100 were done.
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_duration_seconds: Option<f64>,
}

/// How tasks went.
#[derive(Serialize, ToSchema)]
struct Tasks {
    /// How many attempts worked.
    completed: u64,
    /// How many did not.
    failed: u64,
    /// How long they took on average, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    average_duration_seconds: Option<f64>,
}

/// How agents are.
#[derive(Serialize, ToSchema)]
struct Agents {
    /// How many are known.
    total: u64,
    /// How they look.
    by_liveness: BTreeMap<String, u64>,
    /// How many tasks they have.
    assigned_tasks: u64,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
struct ErrorSummary {
    /// How many attempts failed.
    total: u64,
    /// The part of all attempts, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    /// By the class of the error.
    by_type: BTreeMap<String, u64>,
}

/// How executions went, how agents are, what goes wrong
#[utoipa::path(get, path = "/api/admin/metrics", tag = "executions", params(Wanted), responses((status = 200, body = Metrics), Errors))]
async fn metrics(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Metrics>, ApiError> {
    let Figures { at, tasks, attempts, agents, alerts, .. } = taken(server, &who, wanted).await?;
    let own = tasks.by_type.into_iter().find(|one| one.task_type == EXECUTION).unwrap_or_default();
    Ok(Json(Metrics {
        timestamp: at,
        executions: Executions {
            started: own.submitted,
            completed: own.completed,
            failed: own.failed,
            success_rate: own.success_rate,
            average_duration_seconds: mean(&own.duration),
            p95_duration_seconds: own.duration.p95.map(|within| within.ms as f64 / 1_000.0),
        },
        tasks: Tasks {
            completed: attempts.succeeded,
            failed: attempts.failed,
            average_duration_seconds: mean(&attempts.duration),
        },
        agents: Agents { total: agents.total, by_liveness: agents.by_liveness, assigned_tasks: agents.leases },
        errors: ErrorSummary { total: attempts.failed, rate: attempts.error_rate, by_type: attempts.by_class },
        alerts,
    }))
}

fn mean(spread: &Spread) -> Option<f64> {
    spread.mean.map(|mean| mean.ms as f64 / 1_000.0)
}
