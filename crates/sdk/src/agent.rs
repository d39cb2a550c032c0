//! What an agent is, and what it is given for one piece of work.

use crate::backoff::Backoff;
use crate::lease::Lease;
use crate::transport::{Refused, Transport, TransportError};
use ephor_core::id::EffectId;
use ephor_core::spec::ErrorClass;
use ephor_core::work::{EffectGrant, EffectOutcome, EffectRequest, Failure, Outcome, WorkItem};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;

/// How often a call about an effect is tried: with the waits between them about six seconds, within the shortest sensible
/// lease. Then the attempt fails and may be repeated.
const EFFECT_TRIES_MAX: u32 = 7;

/// The work of an agent on one job, until its end.
pub type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Whoever can do certain actions.
///
/// Several agents share one worker, told apart by the action of the work. A panic is a failure of the attempt, not of the
/// worker. Once [`Job::stopped`] answers, the agent has the worker's grace to undo what can be undone and return; after
/// that its future is dropped, so whatever it started must end with it.
///
/// ```
/// use ephor_core::work::{Outcome, Success};
/// use ephor_sdk::agent::{Agent, Job, Running};
///
/// struct Greeter;
///
/// impl Agent for Greeter {
///     fn actions(&self) -> Vec<String> {
///         vec!["greet".into()]
///     }
///     fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
///         Box::pin(async move {
///             let output = format!("Hello from {}", job.item().namespace).into();
///             Outcome::Succeeded(Success { output, ..Success::default() })
///         })
///     }
/// }
/// ```
pub trait Agent: Send + Sync + 'static {
    /// The actions it can do: `shell.run`, `gate.code_style`, `plan`.
    fn actions(&self) -> Vec<String>;
    /// Does one piece of work.
    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a>;
}

/// Why work was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody wants it to end; the report will say `Cancelled`.
    Cancelled,
    /// The lease belongs to somebody else by now; nothing will be reported.
    Stale,
    /// The attempt took longer than it may.
    TimedOut,
    /// The worker is shutting down and waits no longer.
    Draining,
}

/// One piece of work, as its agent sees it. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    lease: &'a Lease,
    acts: &'a dyn Acts,
}

impl<'a> Job<'a> {
    pub(crate) fn new(lease: &'a Lease, acts: &'a dyn Acts) -> Self {
        Self { lease, acts }
    }

    /// What is to be done, by which attempt, under which lease.
    pub fn item(&self) -> &'a WorkItem {
        &self.lease.item
    }

    /// The parameters in the agent's own shape.
    ///
    /// # Errors
    /// `BadInput`, not to be repeated, naming the field that does not fit.
    pub fn params<P: DeserializeOwned>(&self) -> Result<P, Failure> {
        let params = Value::Object(self.item().params.clone());
        serde_json::from_value(params).map_err(|e| Failure::final_(ErrorClass::BadInput, format!("{}: {e}", self.item().action)))
    }

    /// Says how far the work is (0 to 1) and what it is doing. Only the latest is kept; it travels with the next sign of
    /// life, at most once a second.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        self.lease.progress(fraction, message.into());
    }

    /// What people said should be kept in mind, oldest first, up to now.
    pub fn guidance(&self) -> Vec<String> {
        self.lease.guidance()
    }

    /// Waits until the work is told to end, and says why.
    pub async fn stopped(&self) -> Stop {
        self.lease.stopped().await
    }

    /// Why the work was told to end, if it was.
    pub fn stop(&self) -> Option<Stop> {
        self.lease.told()
    }

    /// Acts on the outside once: asks for the token, acts with it, says what became of it.
    ///
    /// Without a token `act` is never called; where work may not act at all (dry runs, suggestions) not even a granted
    /// token counts. Every right to act is asked for, so that the engine knows what was withheld. If the agent panics or is
    /// dropped while acting, the effect stays without an outcome, which the engine takes as unknown.
    ///
    /// # Errors
    /// `Refused`, not to be repeated, where the engine said no; `External` where it could not be asked; `Cancelled` where the
    /// work was told to end before it acted; else what `act` failed with.
    pub async fn effect<T, F>(
        &self,
        action: &str,
        args: &Value,
        act: impl FnOnce(EffectGrant) -> F,
    ) -> Result<Effected<T>, Failure>
    where
        F: Future<Output = Acted<T>>,
    {
        let WorkItem { task_id, work, attempt, may_act, .. } = self.item().clone();
        let wish = EffectRequest { task_id, work, attempt, action: action.into(), args_digest: args_digest(args) };
        let grant = self.persist(|| self.acts.ask(wish.clone())).await?.map_err(|no| refused(action, &no))?;
        if grant.already_done {
            return Ok(Effected::Before(grant));
        }
        let effect = grant.effect_id;
        let acted = match self.stop() {
            _ if !may_act => {
                let message = format!("{action} was withheld: this work may not act");
                Acted::NotDone(Failure::final_(ErrorClass::Refused, message))
            }
            Some(_) => Acted::NotDone(Failure::new(ErrorClass::Cancelled, "told to end before it acted")),
            None => act(grant).await,
        };
        self.tell(wish, effect, acted.outcome()).await;
        match acted {
            Acted::Done(value) => Ok(Effected::Now(value)),
            Acted::NotDone(failure) | Acted::Unknown(failure) => Err(failure),
        }
    }

    /// Says what became of an effect. What cannot be said is not lost: without an outcome the engine takes it as unknown.
    async fn tell(&self, wish: EffectRequest, effect: EffectId, outcome: EffectOutcome) {
        match self.persist(|| self.acts.tell(wish.clone(), effect, outcome)).await {
            Ok(Ok(())) => {}
            Ok(Err(no)) => tracing::warn!(%effect, ?outcome, %no, "the outcome of an effect was refused"),
            Err(failure) => tracing::warn!(%effect, ?outcome, failure.message, "the outcome of an effect was not delivered"),
        }
    }

    /// Repeats a call until it gets through, a bounded number of times. A lost lease ends it; being told to end does not,
    /// since the outcome of what was done is still owed.
    async fn persist<T, F>(&self, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        let mut backoff = Backoff::default();
        for tries in 1.. {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) if tries == EFFECT_TRIES_MAX || self.stop() == Some(Stop::Stale) => {
                    return Err(Failure::new(ErrorClass::External, error.to_string()));
                }
                Err(_) => tokio::time::sleep(backoff.step()).await,
            }
        }
        unreachable!("the loop ends by its bound")
    }
}

fn refused(action: &str, no: &Refused) -> Failure {
    Failure::final_(ErrorClass::Refused, format!("{action} was not allowed ({}): {}", no.code, no.message))
}

/// What an act on the outside says of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Acted<T> {
    /// It happened.
    Done(T),
    /// It certainly did not happen.
    NotDone(Failure),
    /// It may have happened: the answer was lost.
    Unknown(Failure),
}

impl<T> Acted<T> {
    fn outcome(&self) -> EffectOutcome {
        match self {
            Self::Done(_) => EffectOutcome::Done,
            Self::NotDone(_) => EffectOutcome::NotDone,
            Self::Unknown(_) => EffectOutcome::Unknown,
        }
    }
}

/// An effect that has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Effected<T> {
    /// By this attempt.
    Now(T),
    /// By an earlier attempt; what it got back is not known any more.
    Before(EffectGrant),
}

pub use ephor_core::work::args_digest;

/// What a transport says about an effect, behind a pointer.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Result<T, Refused>, TransportError>> + Send + 'a>>;

/// The part of a transport a job needs, behind a pointer, so that agents need not know which transport it is.
pub(crate) trait Acts: Send + Sync {
    fn ask(&self, wish: EffectRequest) -> Answer<'_, EffectGrant>;
    fn tell(&self, wish: EffectRequest, effect: EffectId, outcome: EffectOutcome) -> Answer<'_, ()>;
}

impl<T: Transport> Acts for T {
    fn ask(&self, wish: EffectRequest) -> Answer<'_, EffectGrant> {
        Box::pin(self.effect(wish))
    }
    fn tell(&self, wish: EffectRequest, effect: EffectId, outcome: EffectOutcome) -> Answer<'_, ()> {
        Box::pin(self.effect_outcome(wish, effect, outcome))
    }
}
