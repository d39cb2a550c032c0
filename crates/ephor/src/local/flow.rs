//! Holds and limits in the engine: placed, released, lifted, set and removed. What stands is asked of the engine; where there is none, of
//! the streams.

use super::api::trouble;
use crate::api::{ApiError, Kind};
use ephor_core::event::Actor;
use ephor_core::flow::{
    EVERYWHERE, HOLDS_MAX, Hold, HoldView, LIMITS_MAX, LimitView, NewHold, NewLimit, NewRelease, RELEASES_MAX, Release, Scope,
    Standing,
};
use ephor_core::id::{AgentId, HoldId};
use ephor_core::namespace::NamespaceEvent;
use ephor_core::plan::Problem;
use ephor_engine::{Engine, Idempotency};

/// Places a hold; said again under the same key, it is the hold of then.
pub(crate) async fn place(
    engine: &Engine,
    wish: NewHold,
    actor: Actor,
    idempotency: Option<Idempotency>,
) -> Result<HoldView, ApiError> {
    let problems = wish.problems();
    if !problems.is_empty() {
        return Err(ApiError::invalid("the hold was refused", problems));
    }
    bounded(engine.flow().holds().count(), HOLDS_MAX, "holds")?;
    let agent = wish.agent.as_deref().map(|name| agent_of(engine, name, wish.namespace.as_deref())).transpose()?;
    let scope = Scope { namespace: boxed(wish.namespace), task_type: boxed(wish.task_type), agent };
    let hold = Hold { id: engine.new_hold_id(), scope, running: wish.running, reason: wish.reason.trim().into() };
    let (id, stream) = (hold.id, hold.stream().to_owned());
    let placed = NamespaceEvent::HoldPlaced(Box::new(hold));
    let before = engine.namespace_under(&stream, placed, actor, id.to_string(), idempotency).await;
    let before = before.map_err(|e| trouble(e, None))?.and_then(|of| of.parse::<HoldId>().ok());
    let lifted = |id: HoldId| {
        let what = format!("{id} was placed under this Idempotency-Key, and lifted since");
        ApiError::new(Kind::Conflict, "ALREADY_SETTLED", what).because("choose another key to place a hold anew")
    };
    match before {
        None => Ok(standing(engine, id)?.view()),
        Some(of_then) => engine.flow().hold(of_then).map(Standing::view).ok_or_else(|| lifted(of_then)),
    }
}

/// Lets some of what a hold keeps back go on.
pub(crate) async fn release(
    engine: &Engine,
    id: HoldId,
    wish: NewRelease,
    actor: Actor,
    idempotency: Option<Idempotency>,
) -> Result<HoldView, ApiError> {
    let mut problems = wish.problems();
    let known = standing(engine, id)?;
    if known.hold.scope.agent.is_some() {
        problems.push(Problem::new("id", "what an agent does is held as a whole: lift the hold"));
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid("the release was refused", problems));
    }
    bounded(known.releases.len(), RELEASES_MAX, "releases of one hold")?;
    let NewRelease { namespace, task_type, rate } = wish;
    let release = Release { id, namespace: boxed(namespace), task_type: boxed(task_type), rate };
    let released = NamespaceEvent::HoldReleased(Box::new(release));
    let told = engine.namespace_under(known.hold.stream(), released, actor, id.to_string(), idempotency).await;
    told.map_err(|e| trouble(e, None))?;
    Ok(standing(engine, id)?.view())
}

/// Lifts a hold. Answers what it was.
pub(crate) async fn lift(engine: &Engine, id: HoldId, actor: Actor) -> Result<HoldView, ApiError> {
    let known = standing(engine, id)?;
    tell(engine, known.hold.stream(), NamespaceEvent::HoldLifted { id }, actor).await?;
    Ok(known.view())
}

/// Sets a limit, or changes it.
pub(crate) async fn set(engine: &Engine, name: &str, wish: NewLimit, actor: Actor) -> Result<LimitView, ApiError> {
    let problems = wish.problems(name);
    if !problems.is_empty() {
        return Err(ApiError::invalid("the limit was refused", problems));
    }
    let flow = engine.flow();
    if flow.limit(wish.namespace.as_deref(), name).is_none() {
        bounded(flow.limits().count(), LIMITS_MAX, "limits")?;
    }
    let limit = wish.limit(name);
    let stream = limit.stream().to_owned();
    tell(engine, &stream, NamespaceEvent::LimitSet(Box::new(limit)), actor).await?;
    let found = engine.limits().into_iter().find(|view| view.name == name && view.limit.namespace == wish.namespace);
    found.ok_or_else(|| no_limit(name))
}

/// Removes a limit. Answers what it was.
pub(crate) async fn remove(engine: &Engine, namespace: Option<&str>, name: &str, actor: Actor) -> Result<LimitView, ApiError> {
    let known = engine.limits().into_iter().find(|view| view.name == name && view.limit.namespace.as_deref() == namespace);
    let known = known.ok_or_else(|| no_limit(name))?;
    let event = NamespaceEvent::LimitRemoved { namespace: namespace.map(Into::into), name: name.into() };
    tell(engine, namespace.unwrap_or(EVERYWHERE), event, actor).await?;
    Ok(known)
}

/// Places a hold over everything, unless one stands from an earlier start.
pub(super) async fn safe_mode(engine: &Engine) -> Result<(), ApiError> {
    const REASON: &str = "started in safe mode";
    let stands = |known: &Standing| known.hold.scope.is_everything() && &*known.hold.reason == REASON;
    if !engine.flow().holds().any(stands) {
        let wish = NewHold { everything: true, reason: REASON.into(), ..NewHold::default() };
        place(engine, wish, Actor::human("operator"), None).await?;
    }
    Ok(())
}

/// A hold that stands.
pub(crate) fn standing(engine: &Engine, id: HoldId) -> Result<Standing, ApiError> {
    engine.flow().hold(id).cloned().ok_or_else(|| no_hold(&id))
}

/// There is no such hold.
pub(crate) fn no_hold(id: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no hold {id}")).then("ephor hold list")
}

fn no_limit(name: &str) -> ApiError {
    ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no limit {name:?}")).then("ephor limit list")
}

async fn tell(engine: &Engine, stream: &str, event: NamespaceEvent, actor: Actor) -> Result<(), ApiError> {
    engine.namespace(stream, event, actor).await.map(drop).map_err(|e| trouble(e, None))
}

fn bounded(count: usize, most: usize, what: &str) -> Result<(), ApiError> {
    match count < most {
        true => Ok(()),
        false => Err(ApiError::new(Kind::Busy, "LIMIT_REACHED", format!("there are {most} {what} already"))),
    }
}

/// The agent somebody means, within a namespace where one is said.
fn agent_of(engine: &Engine, name: &str, namespace: Option<&str>) -> Result<AgentId, ApiError> {
    let id = name.parse().ok().or_else(|| engine.agent_named(name));
    let agent = id.and_then(|id| engine.agent_of(id));
    let of = |namespace: &str| {
        agent
            .as_ref()
            .and_then(|agent| agent.registration.as_ref())
            .is_some_and(|said| said.namespace.as_deref() == Some(namespace))
    };
    match &agent {
        Some(agent) if namespace.is_none_or(of) => Ok(agent.id),
        Some(_) | None => Err(ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no agent {name:?}"))),
    }
}

fn boxed(word: Option<String>) -> Option<Box<str>> {
    word.map(Into::into)
}
