//! What only a person or the council decides: votes, confirmations, overrides, escalations. Each needs the permission to decide.

use super::TaskPath;
use super::flat::{Flat, Words};
use super::read::Stamped;
use super::steer::{Nothing, carry_out};
use super::terms::Terms;
use crate::api::{ApiError, Kind};
use crate::http::auth::{Caller, Permission};
use crate::http::body::Body;
use crate::http::errors::Errors;
use crate::http::server::Server;
use axum::extract::{Path, State};
use ephor_core::ask::Ask;
use ephor_core::event::{DecisionWord, OverrideWord, TextChanges};
use ephor_core::id::{EffectId, ReviewId};
use ephor_core::plan::Problem as FieldProblem;
use ephor_core::review::{Condition, VoteWord};
use ephor_core::spec::{PlanSpec, Priority};
use ephor_core::view::TaskView;
use ephor_core::work::EffectOutcome;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(escalate))
        .routes(routes!(decide))
        .routes(routes!(overrule))
        .routes(routes!(vote))
        .routes(routes!(confirm))
        .routes(routes!(approve))
        .routes(routes!(accept_plan))
        .routes(routes!(replace_plan))
        .routes(routes!(settle_effect))
        .routes(routes!(erase))
}

/// The wish for a decision.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Escalate {
    /// Why: it has to say something.
    #[serde(default)]
    pub(super) reason: String,
    /// The priority it is raised to; a lower one than it has changes nothing.
    #[serde(default)]
    pub(super) priority: Option<Priority>,
}

/// Ask the council or a person for a decision
#[utoipa::path(post, path = "/api/v1/tasks/{id}/escalate", tag = "steering", params(("id" = String, Path, description = "The task")),
    request_body = Escalate, responses((status = 200, body = TaskView), Errors))]
async fn escalate(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Escalate { reason, priority }): Body<Escalate>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Escalate { priority, reason }, &terms).await
}

impl Words for Decide {
    const CHANGES: bool = true;
}

/// The decision on an escalation.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Decide {
    /// What is decided.
    decision: DecisionWord,
    /// Why, and the new words that MODIFY_SCOPE and ALLOCATE_RESOURCES need.
    #[serde(default)]
    changes: TextChanges,
    /// Whether the council votes on it instead of your deciding alone.
    #[serde(default)]
    council: bool,
}

/// Decide on an escalated task, or put a decision to the vote of the council
///
/// LIQUIDATE needs a reason. The fields of `changes` may also stand beside the others.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/council-decision", tag = "deciding",
    params(("id" = String, Path, description = "The task")), request_body = Decide, responses((status = 200, body = TaskView), Errors))]
async fn decide(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Flat(Decide { decision, changes, council }): Flat<Decide>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Decide { decision, changes, council }, &terms).await
}

/// An override.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Overrule {
    /// What is done.
    decision: OverrideWord,
    /// The step it is about, by path or name. ROLLBACK: the checkpoint to go back to, by its name or as a step; `checkpoint` says the same.
    #[serde(default, alias = "checkpoint")]
    step: Option<String>,
    /// Why.
    reason: String,
}

/// Overrule a verdict, a gate or a step, or go back to a checkpoint
#[utoipa::path(post, path = "/api/v1/tasks/{id}/override", tag = "deciding", params(("id" = String, Path, description = "The task")),
    request_body = Overrule, responses((status = 200, body = TaskView), Errors))]
async fn overrule(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Overrule { decision, step, reason }): Body<Overrule>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Override { decision, step, reason }, &terms).await
}

/// A judge's word.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Vote {
    /// In which review; the open one where it is missing.
    #[serde(default)]
    review: Option<ReviewId>,
    /// Who; whoever asks where it is missing. Only who may do everything speaks for another judge.
    #[serde(default)]
    judge: Option<String>,
    /// What.
    vote: VoteWord,
    /// How sure, from 0 to 1.
    #[serde(default)]
    confidence: Option<f64>,
    /// Why.
    #[serde(default)]
    reason: String,
    /// What it rests on: up to 20 lines.
    #[serde(default)]
    evidence: Vec<String>,
    /// What would make it better: up to 20 lines.
    #[serde(default)]
    recommendations: Vec<String>,
    /// CONDITIONAL: what the yes depends on, up to 5, in words or as gates; the reason where there is none. Each becomes a gate of the last
    /// steps.
    #[serde(default)]
    conditions: Vec<Condition>,
    /// How well it keeps to the constitution, from 0 to 1.
    #[serde(default)]
    compliance_score: Option<f64>,
    /// How good it is, from 0 to 1.
    #[serde(default)]
    quality_score: Option<f64>,
}

/// Vote in the open review
#[utoipa::path(post, path = "/api/v1/tasks/{id}/vote", tag = "deciding", params(("id" = String, Path, description = "The task")),
    request_body = Vote, responses((status = 200, body = TaskView), Errors))]
async fn vote(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(said): Body<Vote>,
) -> Result<Stamped, ApiError> {
    let judge = &said.judge;
    if judge.as_deref().is_some_and(|judge| *judge != *who.actor().id) && !who.may(Permission::Keys) {
        return Err(ApiError::new(Kind::Forbidden, "FORBIDDEN", format!("{} votes in no other name", who.name))
            .because("a judge votes with a key of its own: ephor key create NAME --role approver --agent AGENT"));
    }
    let Vote { review, judge, vote, confidence, reason, evidence, recommendations, conditions, compliance_score, quality_score } =
        said;
    let ask = Ask::Vote {
        review,
        judge,
        vote,
        confidence,
        reason,
        evidence,
        recommendations,
        conditions,
        compliance_score,
        quality_score,
    };
    carry_out(&server, &who, task, ask, &terms).await
}

/// A person's word on the open gate of a step.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirm {
    /// Which step, by path or name.
    step: String,
    /// Whether its result is good.
    passed: bool,
    /// Why.
    #[serde(default)]
    reason: String,
}

/// Say whether the result of a step is good
#[utoipa::path(post, path = "/api/v1/tasks/{id}/confirm", tag = "deciding", params(("id" = String, Path, description = "The task")),
    request_body = Confirm, responses((status = 200, body = TaskView), Errors))]
async fn confirm(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Confirm { step, passed, reason }): Body<Confirm>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Confirm { step, passed, reason }, &terms).await
}

/// A person's word on what a step is about to do.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Approve {
    /// Which step, by path or name.
    step: String,
    /// Whether it may be done.
    approved: bool,
    /// The digest of what was asked about, as shown with the question: the answer counts for nothing else.
    #[serde(default)]
    digest: Option<String>,
    /// Other parameters to do it with; they are judged by the rules again.
    #[serde(default)]
    params: Option<serde_json::Map<String, serde_json::Value>>,
    /// Why; a no says so.
    #[serde(default)]
    reason: String,
}

/// Say whether a step may be done as it stands, where a person is asked first
#[utoipa::path(post, path = "/api/v1/tasks/{id}/approve", tag = "deciding", params(("id" = String, Path, description = "The task")),
    request_body = Approve, responses((status = 200, body = TaskView), Errors))]
async fn approve(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(Approve { step, approved, digest, params, reason }): Body<Approve>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Approve { step, approved, digest, params, reason }, &terms).await
}

/// Accept a plan that was read with little confidence
#[utoipa::path(post, path = "/api/v1/tasks/{id}/accept-plan", tag = "deciding",
    params(("id" = String, Path, description = "The task")), request_body = Nothing, responses((status = 200, body = TaskView), Errors))]
async fn accept_plan(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(_): Body<Nothing>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::AcceptPlan, &terms).await
}

/// Replace what is not finished of the plan
#[utoipa::path(put, path = "/api/v1/tasks/{id}/plan", tag = "deciding", params(("id" = String, Path, description = "The task")),
    request_body = PlanSpec, responses((status = 200, body = TaskView), Errors))]
async fn replace_plan(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(plan): Body<PlanSpec>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::ReplacePlan { plan: Box::new(plan) }, &terms).await
}

/// What became of an effect.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Settle {
    /// What.
    outcome: EffectOutcome,
}

/// Say what became of an effect of which nobody knew
#[utoipa::path(post, path = "/api/v1/tasks/{id}/effects/{effect}/outcome", tag = "deciding",
    params(("id" = String, Path, description = "The task"), ("effect" = String, Path, description = "The effect")),
    request_body = Settle, responses((status = 200, body = TaskView), Errors))]
async fn settle_effect(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    Path((_, effect)): Path<(String, String)>,
    terms: Terms,
    Body(Settle { outcome }): Body<Settle>,
) -> Result<Stamped, ApiError> {
    let effect: EffectId = effect.parse().map_err(|_| {
        ApiError::invalid("the path could not be read", vec![FieldProblem::new("effect", "the id of an effect: effect_…")])
    })?;
    carry_out(&server, &who, task, Ask::SettleEffect { effect, outcome }, &terms).await
}

/// Delete what was private of an ended task; its chain of events stays whole
#[utoipa::path(post, path = "/api/v1/tasks/{id}/erase", tag = "deciding", params(("id" = String, Path, description = "The task")),
    request_body = Nothing, responses((status = 200, body = TaskView), Errors))]
async fn erase(
    State(server): State<Arc<Server>>,
    Caller(who): Caller,
    TaskPath(task): TaskPath,
    terms: Terms,
    Body(_): Body<Nothing>,
) -> Result<Stamped, ApiError> {
    carry_out(&server, &who, task, Ask::Erase, &terms).await
}
