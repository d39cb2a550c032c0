//! What the interfaces ask of the engine: one trait, which the engine in this process and a client over HTTP both implement. Requests
//! and answers are the wire types of `ephor-core`, so an answer reads the same wherever it comes from.
//!
//! Names become ids once, by [`Api::find`]; everything else takes the id. What is asked of a live task goes through [`Api::ask`].
//! Checking a plan and showing the lifecycle need no engine: they are functions of `ephor-core`.

use ephor_core::ask::Ask;
use ephor_core::command::Refusal;
use ephor_core::constitution::{
    AmendmentView, Candidate, ImpactReport, InForce, NewAmendment, NewVote, ReplayReport, VersionHead, VersionView,
};
use ephor_core::figures::Figures;
use ephor_core::flow::{HoldView, LimitView, NewHold, NewLimit, NewRelease};
use ephor_core::id::{AgentId, AmendmentId, HoldId, KeyId, TaskId};
use ephor_core::impact::Impact;
use ephor_core::inbox::{Asked, InboxFilter, MadeLink, NewLink};
use ephor_core::key::{KeyView, MadeKey, NewKey};
use ephor_core::plan::Problem;
use ephor_core::quality::GateResult;
use ephor_core::spec::Request;
use ephor_core::status::Status;
use ephor_core::time::{Time, WireDuration, WireTime};
use ephor_core::view::{EffectView, EventView, OutputView, PlanView, ReviewView, StepView, TaskRow, TaskView, Waiting};
pub use ephor_sdk::client::{Page, TaskFilter};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::pin::Pin;

/// An answer on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// The engine, as whoever asks sees it: bound to one actor and to what that actor may do.
pub trait Api: Send + Sync {
    /// The engine's clock.
    fn now(&self) -> Time;

    /// Whether it is somewhere else: then the way to it may be lost and found again.
    fn is_remote(&self) -> bool {
        false
    }

    /// The position of the last event.
    fn position(&self) -> Answer<'_, u64>;

    /// The task somebody means: by its id or a unique beginning of it, by its external id, or by `@last`, the newest one. Names are looked
    /// for in the namespace of whoever asks, where they have one.
    fn find<'a>(&'a self, name: &'a str) -> Answer<'a, TaskId> {
        self.find_from(name, None)
    }

    /// The same among tasks from one source, where one is given.
    fn find_from<'a>(&'a self, name: &'a str, source: Option<&'a str>) -> Answer<'a, TaskId>;

    /// Accepts a task, or says why not.
    fn submit(&self, request: Request) -> Answer<'_, TaskView>;

    /// Runs a task again that has ended; answers with the new one.
    fn rerun(&self, task: TaskId) -> Answer<'_, TaskView>;

    /// Asks something of a task; answers with where it is then.
    fn ask(&self, task: TaskId, ask: Ask) -> Answer<'_, TaskView>;

    /// One task.
    fn task(&self, task: TaskId) -> Answer<'_, TaskView>;

    /// Tasks, newest first.
    fn tasks(&self, filter: TaskFilter) -> Answer<'_, Page<TaskRow>>;

    /// How many tasks are in which status, in one namespace where one is named. Archived ones are counted too.
    fn counts(&self, namespace: Option<String>) -> Answer<'_, Vec<(Status, u64)>>;

    /// A task as it was after so many events or, where no number is given, at an instant.
    fn task_as_of(&self, task: TaskId, version: Option<u64>, at: Option<WireTime>) -> Answer<'_, TaskView>;

    /// The agent somebody means, by its id or its own name.
    fn agent<'a>(&'a self, name: &'a str) -> Answer<'a, AgentId>;

    /// The steps and groups of a task as they are now, groups before their parts; telemetry filled in where there is some.
    fn steps(&self, task: TaskId) -> Answer<'_, Vec<StepView>>;

    /// The plan a task follows.
    fn plan(&self, task: TaskId) -> Answer<'_, PlanView>;

    /// The results of its steps, in the order of the plan.
    fn outputs(&self, task: TaskId) -> Answer<'_, Vec<OutputView>>;

    /// Its reviews, decided ones first.
    fn reviews(&self, task: TaskId) -> Answer<'_, Vec<ReviewView>>;

    /// Its effects on the outside.
    fn effects(&self, task: TaskId) -> Answer<'_, Vec<EffectView>>;

    /// What its gates said: each judgement in order, then the gates nobody judged.
    fn gates(&self, task: TaskId) -> Answer<'_, Vec<GateResult>>;

    /// What it waits for, most pressing first.
    fn waiting(&self, task: TaskId) -> Answer<'_, Vec<Waiting>>;

    /// What tasks ask of people: the task that has asked longest first, and of each the oldest question first.
    fn inbox(&self, filter: InboxFilter) -> Answer<'_, Page<Asked>>;

    /// What one task asks of people.
    fn asked(&self, task: TaskId) -> Answer<'_, Vec<Asked>>;

    /// Makes a link that answers one question about one action, once.
    fn make_link(&self, _task: TaskId, _wish: NewLink) -> Answer<'_, MadeLink> {
        let error = ApiError::new(Kind::Invalid, "NOT_SUPPORTED", "a link is answered by a server, and none is asked here")
            .then("ephor serve");
        Box::pin(std::future::ready(Err(error)))
    }

    /// Events after a position, in order. Where there is none yet and `wait_ms` is given, waits that long for the first: asking again
    /// with the last position follows the feed, without a gap and without a double.
    fn events(&self, wanted: EventQuery) -> Answer<'_, Vec<EventView>>;

    /// Figures about what was done and what stands.
    fn figures(&self, _wanted: FiguresQuery) -> Answer<'_, Figures> {
        let error = ApiError::new(Kind::Invalid, "NOT_SUPPORTED", "figures are not taken here");
        Box::pin(std::future::ready(Err(error)))
    }

    /// What a task would do, or a dry run of it found.
    fn impact(&self, _task: TaskId) -> Answer<'_, Impact> {
        let error = ApiError::new(Kind::Invalid, "NOT_SUPPORTED", "the impact of tasks is not told here");
        Box::pin(std::future::ready(Err(error)))
    }

    /// The receipt of a task, as text to be kept byte by byte.
    fn receipt(&self, _task: TaskId) -> Answer<'_, String> {
        let error = ApiError::new(Kind::Invalid, "NOT_SUPPORTED", "receipts are not written here");
        Box::pin(std::future::ready(Err(error)))
    }

    /// Keys, in the order they were made; revoked and expired ones too.
    fn keys(&self) -> Answer<'_, Vec<KeyView>> {
        no_keys()
    }

    /// Makes a key. It is in the answer and nowhere else.
    fn make_key(&self, _wish: NewKey) -> Answer<'_, MadeKey> {
        no_keys()
    }

    /// Takes a key back.
    fn revoke_key(&self, _key: KeyId) -> Answer<'_, KeyView> {
        no_keys()
    }

    /// Holds that stand, the oldest first.
    fn holds(&self) -> Answer<'_, Vec<HoldView>> {
        no_flow()
    }

    /// Keeps work back.
    fn place_hold(&self, _wish: NewHold) -> Answer<'_, HoldView> {
        no_flow()
    }

    /// Lets some of what a hold keeps back go on.
    fn release_hold(&self, _hold: HoldId, _wish: NewRelease) -> Answer<'_, HoldView> {
        no_flow()
    }

    /// Lifts a hold.
    fn lift_hold(&self, _hold: HoldId) -> Answer<'_, HoldView> {
        no_flow()
    }

    /// Limits, and how much each counts now where the engine runs here.
    fn limits(&self) -> Answer<'_, Vec<LimitView>> {
        no_flow()
    }

    /// Sets a limit, or changes it.
    fn set_limit<'a>(&'a self, _name: &'a str, _wish: NewLimit) -> Answer<'a, LimitView> {
        no_flow()
    }

    /// Removes a limit of a namespace, or of all.
    fn remove_limit<'a>(&'a self, _name: &'a str, _namespace: Option<String>) -> Answer<'a, LimitView> {
        no_flow()
    }

    /// The constitution that is in force.
    fn constitution(&self) -> Answer<'_, InForce> {
        no_constitution()
    }

    /// Every version there was, the one in force last.
    fn constitution_versions(&self) -> Answer<'_, Vec<VersionHead>> {
        no_constitution()
    }

    /// One version with its words.
    fn constitution_version(&self, _number: u32) -> Answer<'_, VersionView> {
        no_constitution()
    }

    /// Amendments, the latest first.
    fn amendments(&self) -> Answer<'_, Vec<AmendmentView>> {
        no_constitution()
    }

    /// One amendment with its document.
    fn amendment(&self, _id: AmendmentId) -> Answer<'_, AmendmentView> {
        no_constitution()
    }

    /// Proposes another document.
    fn propose_amendment(&self, _wish: NewAmendment) -> Answer<'_, AmendmentView> {
        no_constitution()
    }

    /// Stands behind an amendment.
    fn sponsor_amendment(&self, _id: AmendmentId) -> Answer<'_, AmendmentView> {
        no_constitution()
    }

    /// Votes on an amendment.
    fn vote_on_amendment(&self, _id: AmendmentId, _vote: NewVote) -> Answer<'_, AmendmentView> {
        no_constitution()
    }

    /// Takes an amendment back.
    fn withdraw_amendment(&self, _id: AmendmentId, _reason: String) -> Answer<'_, AmendmentView> {
        no_constitution()
    }

    /// What a document would change, in words and for live tasks.
    fn constitution_impact(&self, _candidate: Candidate) -> Answer<'_, ImpactReport> {
        no_constitution()
    }

    /// Which recorded decisions a document would have made otherwise.
    fn constitution_replay(&self, _candidate: Candidate) -> Answer<'_, ReplayReport> {
        no_constitution()
    }
}

/// Where nobody looks after keys.
fn no_keys<'a, T: Send + 'a>() -> Answer<'a, T> {
    let error = ApiError::new(Kind::Invalid, "NOT_SUPPORTED", "keys are not looked after here");
    Box::pin(std::future::ready(Err(error)))
}

/// Where nobody looks after holds and limits.
fn no_constitution<'a, T: Send + 'a>() -> Answer<'a, T> {
    Box::pin(async { Err(ApiError::new(Kind::Failed, "UNSUPPORTED", "this engine shows no constitution")) })
}

fn no_flow<'a, T: Send + 'a>() -> Answer<'a, T> {
    let error = ApiError::new(Kind::Invalid, "NOT_SUPPORTED", "holds and limits are not looked after here");
    Box::pin(std::future::ready(Err(error)))
}

/// Which figures are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FiguresQuery {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Over how long; a day where it is missing.
    pub window: Option<WireDuration>,
}

/// Which events are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// Only of this task.
    pub task: Option<TaskId>,
    /// Only with a higher position.
    pub after: u64,
    /// How many at most; 0 leaves it to the engine.
    pub limit: u32,
    /// How long to wait for the first, in milliseconds.
    pub wait_ms: u64,
}

/// Why something was not done, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind of trouble: decides the exit code, and the status over HTTP.
    pub kind: Kind,
    /// Stable, in capitals (DESIGN §2): `ILLEGAL_TRANSITION`.
    pub code: Box<str>,
    /// One sentence: what was not done.
    pub message: String,
    /// What stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What can be done next, as command lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// What is wrong with the request, field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// The request makes no sense as it is.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The caller may not.
    Forbidden,
    /// Not in the state it is in.
    Conflict,
    /// Not now; the same request may work later.
    Busy,
    /// The engine could not be reached.
    Unreachable,
    /// Something broke.
    Failed,
}

impl ApiError {
    /// Trouble with a code of its own.
    pub fn new(kind: Kind, code: &str, message: impl fmt::Display) -> Self {
        Self { kind, code: code.into(), message: message.to_string(), why: None, next: Vec::new(), problems: Vec::new() }
    }

    /// With what stands in the way.
    #[must_use]
    pub fn because(self, why: impl fmt::Display) -> Self {
        Self { why: Some(why.to_string()), ..self }
    }

    /// With something that can be done next.
    #[must_use]
    pub fn then(mut self, next: impl fmt::Display) -> Self {
        self.next.push(next.to_string());
        self
    }

    /// A request with something wrong in it.
    pub fn invalid(message: impl fmt::Display, problems: Vec<Problem>) -> Self {
        Self { problems, ..Self::new(Kind::Invalid, "VALIDATION_FAILED", message) }
    }

    /// A rule's no about a task.
    pub fn refused(refusal: Refusal, task: TaskId) -> Self {
        let failed = refusal == Refusal::Ended { status: Status::Failed };
        let error = Self::from(refusal);
        match error.kind {
            Kind::Conflict if failed => error.then(format!("ephor task rerun {task}")),
            Kind::Conflict => error.then(format!("ephor task show {task}")),
            _ => error,
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let error = |kind| Self::new(kind, refusal.code(), &refusal);
        match &refusal {
            Refusal::NotFound { .. } => error(Kind::NotFound),
            Refusal::NoSuchTask { field, id } => {
                Self { problems: vec![Problem::new(*field, format!("there is no task {id}"))], ..error(Kind::NotFound) }
            }
            Refusal::Invalid(problems) => {
                Self { problems: problems.clone(), ..Self::invalid("the request was refused", Vec::new()) }
            }
            Refusal::NotNow { status, .. } | Refusal::Ended { status } => error(Kind::Conflict).because(allowed_from(*status)),
            Refusal::NoWork(_)
            | Refusal::StaleAttempt { .. }
            | Refusal::AlreadySettled { .. }
            | Refusal::VersionConflict { .. }
            | Refusal::IdempotencyMismatch => error(Kind::Conflict),
            Refusal::Held(_) => error(Kind::Conflict).then("ephor hold list"),
            Refusal::Duplicate { existing } | Refusal::NameTaken { existing } | Refusal::RunAgain { existing, .. } => {
                error(Kind::Conflict).then(format!("ephor task show {existing}"))
            }
            Refusal::LimitReached { .. } | Refusal::QueueFull => error(Kind::Busy),
            Refusal::Forbidden(_) | Refusal::NoEffect(_) => error(Kind::Forbidden),
            Refusal::Corrupt { .. } => error(Kind::Failed).then("ephor doctor"),
        }
    }
}

/// What may follow a status, as one sentence.
fn allowed_from(status: Status) -> String {
    match status.successors() {
        [] => format!("it is {status}, and nothing follows that"),
        some => format!("from {status} it may become {}", some.iter().map(|s| s.word()).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rules_no_says_what_stands_in_the_way_and_what_to_do() {
        let task = TaskId::new(1, [0; 10]);
        let error = ApiError::refused(Refusal::Ended { status: Status::Completed }, task);
        assert_eq!((error.kind, &*error.code), (Kind::Conflict, "TERMINAL_STATE"));
        assert_eq!(error.why.as_deref(), Some("it is COMPLETED, and nothing follows that"));
        assert_eq!(error.next, [format!("ephor task show {task}")]);
    }

    #[test]
    fn what_is_wrong_with_a_request_is_told_field_by_field() {
        let error = ApiError::from(Refusal::Invalid(vec![Problem::new("deadline", "it has to be in the future")]));
        assert_eq!((error.kind, error.problems[0].field.as_str()), (Kind::Invalid, "deadline"));
    }
}
