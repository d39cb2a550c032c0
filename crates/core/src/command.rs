//! Commands: what is asked of a task, in the imperative; and the answers, a rule's no among them.

use crate::agent::Registration;
use crate::budget::Budget;
use crate::event::{Actor, DecisionWord, Finding, Letter, OverrideWord, Submitted, TextChanges};
use crate::event::{Event, Private, RequestText};
use crate::flow::Place;
use crate::id::{AgentId, ClaimId, EffectId, ReviewId, TaskId};
use crate::matching::Able;
use crate::plan::{Plan, Problem, StepText};
use crate::review::{Judge, Opinion, VoteWord};
use crate::spec::{ExecutionMode, Priority};
use crate::status::Status;
use crate::time::Time;
use crate::work::{EffectGrant, EffectOutcome, EffectRequest, Judgement, Outcome, WorkItem, WorkKey};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is asked of a task.
#[derive(Clone, Debug)]
pub enum Command {
    /// Be born.
    Submit(Box<Submission>),
    /// Take this plan instead of what is not finished of the present one.
    Propose(Box<CheckedPlan>),
    /// The plan may be carried out although it was read with little confidence.
    AcceptPlan,
    /// Give work.
    Claim(Claim),
    /// The holder begins.
    Start {
        /// Which work.
        work: WorkKey,
        /// The fencing token.
        attempt: u32,
    },
    /// The attempt has ended.
    Report {
        /// Which work.
        work: WorkKey,
        /// The fencing token.
        attempt: u32,
        /// How it ended.
        outcome: Box<Outcome>,
        /// The plan in the outcome, checked, where there is one.
        plan: Option<Box<CheckedPlan>>,
    },
    /// No sign of life came for too long.
    LeaseLapsed {
        /// Which work.
        work: WorkKey,
        /// Which attempt.
        attempt: u32,
        /// How many signs of life there had been when the silence began.
        counter: u64,
    },
    /// Look at what time has settled.
    Wake,
    /// Hold.
    Pause {
        /// Why.
        reason: String,
        /// Whether running attempts are told to stop; else they may finish.
        stop_running: bool,
    },
    /// Go on, from a hold or from what an agent reported in the way.
    Resume {
        /// Why.
        reason: String,
    },
    /// End without success.
    Cancel {
        /// Why.
        reason: String,
        /// Without waiting for agents.
        force: bool,
    },
    /// Change what was submitted.
    Modify(Box<Changes>),
    /// Ask for a decision.
    Escalate {
        /// The priority it is raised to.
        priority: Option<Priority>,
        /// Why.
        reason: String,
    },
    /// The decision on an escalation.
    Decide(Box<Decision>),
    /// Overrule.
    Override {
        /// What is done.
        decision: OverrideWord,
        /// The step it is about.
        step: Option<Box<str>>,
        /// Why.
        reason: String,
    },
    /// Take its work from the agents it is with, was with, or is kept for.
    Reassign {
        /// The only one who gets it; anybody where it is missing.
        agent: Option<AgentId>,
        /// Why.
        reason: String,
    },
    /// Keep this in mind.
    Guide {
        /// What.
        text: String,
    },
    /// Something happened outside.
    Signal {
        /// What.
        name: Box<str>,
        /// With what.
        payload: Value,
    },
    /// A judge's word.
    Vote {
        /// In which review; the open one where it is missing.
        review: Option<ReviewId>,
        /// Who.
        judge: Box<str>,
        /// What.
        vote: VoteWord,
        /// How sure, from 0 to 1.
        confidence: Option<f64>,
        /// Why.
        reason: String,
        /// What else is said.
        opinion: Box<Opinion>,
    },
    /// A person's word on an open gate.
    Confirm {
        /// Which step.
        step: Box<str>,
        /// What they say.
        judgement: Judgement,
    },
    /// A person's word on what a step is about to do.
    Approve(Box<Approve>),
    /// May I act on the outside?
    Effect(EffectRequest),
    /// What became of an effect.
    SettleEffect {
        /// Which effect.
        effect: EffectId,
        /// In which attempt of which work; a person's word needs none.
        holder: Option<(WorkKey, u32)>,
        /// What became of it.
        outcome: EffectOutcome,
    },
    /// Mail of other tasks.
    Take {
        /// The letters, in order of arrival.
        letters: Vec<Letter>,
        /// For each the output it brings, if any.
        outputs: Vec<Value>,
        /// Whether more of them wait: then nothing follows yet.
        more: bool,
    },
    /// Leave the live set.
    Archive,
    /// Forget what was private.
    Erase,
    /// A remark after the end.
    Note {
        /// What.
        text: String,
    },
}

impl Command {
    /// Its word, for refusals and tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Submit(_) => "submit",
            Self::Propose(_) => "propose",
            Self::AcceptPlan => "accept_plan",
            Self::Claim(_) => "claim",
            Self::Start { .. } => "start",
            Self::Report { .. } => "report",
            Self::LeaseLapsed { .. } => "lease_lapsed",
            Self::Wake => "wake",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Cancel { .. } => "cancel",
            Self::Modify(_) => "modify",
            Self::Escalate { .. } => "escalate",
            Self::Decide(_) => "decide",
            Self::Override { .. } => "override",
            Self::Reassign { .. } => "reassign",
            Self::Guide { .. } => "guide",
            Self::Signal { .. } => "signal",
            Self::Vote { .. } => "vote",
            Self::Confirm { .. } => "confirm",
            Self::Approve(_) => "approve",
            Self::Effect(_) => "effect",
            Self::SettleEffect { .. } => "settle_effect",
            Self::Take { .. } => "take",
            Self::Archive => "archive",
            Self::Erase => "erase",
            Self::Note { .. } => "note",
        }
    }
}

/// A checked request: the birth of a task, but for its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The structure.
    pub facts: Submitted,
    /// The words, which the task will keep.
    pub text: Arc<RequestText>,
}

/// A checked plan and its words.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedPlan {
    /// The structure.
    pub plan: Plan,
    /// The words, step by step.
    pub texts: Vec<StepText>,
    /// How sure its reader was.
    pub confidence: Option<f64>,
    /// What its words hold, where it came alone; those of a request are looked at with it.
    pub findings: Vec<Finding>,
}

/// A wish for work, as a task sees it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who.
    pub agent: AgentId,
    /// What the agent has.
    pub able: Arc<Able>,
    /// Keys under which nothing is given out just now.
    pub closed: Arc<[Box<str>]>,
    /// The claim, repeated when the answer was lost.
    pub claim: ClaimId,
    /// Whether the work begins at once.
    pub start: bool,
    /// The limits it is counted under.
    pub limits: Vec<Place>,
}

/// A change of what was submitted; what is missing stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The version of the task the change was made for.
    pub expected_version: Option<u64>,
    /// The new priority.
    pub priority: Option<Priority>,
    /// The new deadline.
    pub deadline: Option<Time>,
    /// The new due time.
    pub due_at: Option<Time>,
    /// When it is released, whatever its due time.
    pub release_at: Option<Time>,
    /// The new mode.
    pub mode: Option<ExecutionMode>,
    /// The agent that takes over.
    pub agent: Option<AgentId>,
    /// What it may use from now on.
    pub budget: Option<Budget>,
    /// The models that steps are done with from now on, by type of step.
    pub models_by_type: BTreeMap<Box<str>, Box<str>>,
    /// The new words.
    pub text: TextChanges,
    /// What was found in them (`validation::command`).
    pub findings: Vec<Finding>,
}

/// The answer to a question about one action.
#[derive(Clone, Debug, PartialEq)]
pub struct Approve {
    /// Which step.
    pub step: Box<str>,
    /// Whether it may be done.
    pub approved: bool,
    /// What the answer is about, where whoever answers wants it to count for nothing else.
    pub digest: Option<Box<str>>,
    /// The parameters it may be done with instead of those that were asked about.
    pub params: Option<serde_json::Map<String, Value>>,
    /// Why; a no says so.
    pub reason: String,
    /// What was found in the parameters (`validation::command`).
    pub findings: Vec<Finding>,
}

/// What is decided about an escalated task.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What.
    pub word: DecisionWord,
    /// The new words, for MODIFY_SCOPE and ALLOCATE_RESOURCES.
    pub text: TextChanges,
    /// Whether the council is asked instead of deciding alone.
    pub council: bool,
}

/// What a command is answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Answer {
    /// It was done; where the task is now stands in `Handled::status`.
    #[default]
    Done,
    /// Work under a lease.
    Work(Box<WorkItem>),
    /// The right to act.
    Effect(EffectGrant),
    /// The review a vote was counted in.
    Review(ReviewId),
}

/// A rule's no. An answer, not an error: it says what stands in the way and what would be allowed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or the caller may not see it.
    #[error("{what} {id:?} does not exist")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// The name that was given.
        id: String,
    },
    /// A request hangs on to a task that is not there, or that is another's.
    #[error("{field}: there is no task {id}")]
    NoSuchTask {
        /// The field that names it.
        field: &'static str,
        /// The name that was given.
        id: TaskId,
    },
    /// The request makes no sense.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    /// The task is not where this can be asked.
    #[error("cannot {asked} a task that is {status}; {allowed}")]
    NotNow {
        /// What was asked.
        asked: &'static str,
        /// Where the task is.
        status: Status,
        /// What would be allowed.
        allowed: &'static str,
    },
    /// The task has ended (S4-47).
    #[error("Cannot update task in terminal state")]
    Ended {
        /// How.
        status: Status,
    },
    /// Nothing this agent can do is open here.
    #[error("nothing to claim: {0}")]
    NoWork(&'static str),
    /// The attempt is not, or no longer, the live one.
    #[error("attempt {attempt} of {work} is not, or no longer, yours; nothing it says changes anything")]
    StaleAttempt {
        /// Which work.
        work: WorkKey,
        /// Which attempt.
        attempt: u32,
    },
    /// It was decided before.
    #[error("{what} was already decided")]
    AlreadySettled {
        /// What.
        what: &'static str,
    },
    /// The task has changed since.
    #[error("the task is at version {is}, not {expected}")]
    VersionConflict {
        /// Where it is.
        is: u64,
        /// Where the caller thought it was.
        expected: u64,
    },
    /// The same task was submitted before.
    #[error("a task of the same type about the same subject from the same source exists: {existing}")]
    Duplicate {
        /// Which one.
        existing: TaskId,
    },
    /// Of each task that has ended there is one next run.
    #[error("{before} was run again already, as {existing}")]
    RunAgain {
        /// The one that has ended.
        before: TaskId,
        /// Its next run.
        existing: TaskId,
    },
    /// The caller's own name is taken.
    #[error("a task of the same external_id from the same source exists: {existing}")]
    NameTaken {
        /// By which one.
        existing: TaskId,
    },
    /// The key was used for something else.
    #[error("the idempotency key was used with another body")]
    IdempotencyMismatch,
    /// A limit is reached.
    #[error("{key} is at its limit of {max}")]
    LimitReached {
        /// Which limit.
        key: String,
        /// How much is allowed.
        max: i64,
    },
    /// Too much is waiting.
    #[error("too much is waiting to be written; try again shortly")]
    QueueFull,
    /// The caller may not.
    #[error("{0}")]
    Forbidden(String),
    /// A hold is over it.
    #[error("{0}")]
    Held(String),
    /// No effect is allowed here.
    #[error("no outside effect is allowed: {0}")]
    NoEffect(String),
    /// What the store holds about the task cannot be right.
    #[error("{task} is quarantined as corrupt: {why}")]
    Corrupt {
        /// Which task.
        task: String,
        /// What is wrong.
        why: String,
    },
}

impl Refusal {
    /// Stable, in capitals (DESIGN §2).
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } | Self::NoSuchTask { .. } => "NOT_FOUND",
            Self::Invalid(_) => "VALIDATION_FAILED",
            Self::NotNow { .. } => "ILLEGAL_TRANSITION",
            Self::Ended { .. } => "TERMINAL_STATE",
            Self::NoWork(_) => "NO_WORK",
            Self::StaleAttempt { .. } => "STALE_ATTEMPT",
            Self::AlreadySettled { .. } => "ALREADY_SETTLED",
            Self::VersionConflict { .. } => "VERSION_CONFLICT",
            Self::Duplicate { .. } | Self::NameTaken { .. } | Self::RunAgain { .. } => "DUPLICATE_TASK",
            Self::IdempotencyMismatch => "IDEMPOTENCY_MISMATCH",
            Self::LimitReached { .. } => "LIMIT_REACHED",
            Self::QueueFull => "QUEUE_FULL",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::Held(_) => "HELD",
            Self::NoEffect(_) => "EFFECT_REFUSED",
            Self::Corrupt { .. } => "CORRUPT",
        }
    }
}

/// What a task is told about the world when it decides.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The instant, read once for a whole batch; never runs backwards.
    pub now: Time,
    /// Who asks.
    pub actor: &'a Actor,
    /// Whether whoever asks has submitted the task, planned it, or put it into other words.
    pub own: bool,
    /// The numbers to decide by.
    pub policy: &'a crate::policy::Policy,
    /// How many signs of life the holder of the lease in question has given.
    pub counter: u64,
    /// Who may vote; neither the author nor an executor.
    pub judges: &'a [Judge],
    /// Whether an agent able to `analyse` is there.
    pub analyst: bool,
    /// Of the tasks a submission depends on, those that have ended, and how. The others are waited for.
    pub ended: &'a [(TaskId, Status)],
    /// What stands in the way of tasks that are to be born.
    pub births: &'a dyn Births,
    /// What is known of agents.
    pub agents: &'a dyn Agents,
    /// Whether a hold, or a limit that is full, keeps its work back just now: no agent is missing.
    pub held_back: bool,
    /// Whether a hold tells who reports to stop.
    pub told_to_stop: bool,
    /// Models that are not to be used where the task is, because their breakers are open.
    pub shut_models: &'a [Box<str>],
}

/// What others hold and a birth may run into: names, subjects, tasks it is to wait for. Asked where a task is about to give birth, and
/// nowhere else: a task that hears a yes is born in the same commit.
pub trait Births: std::fmt::Debug {
    /// Whether this task may be born; otherwise what stands in the way.
    fn admit(&self, child: TaskId, facts: &Submitted) -> Result<(), Hindered>;
}

/// What agents say of themselves, for rules about them.
pub trait Agents: std::fmt::Debug {
    /// What this one says; nothing where nobody knows it.
    fn said(&self, agent: AgentId) -> Option<&Registration>;
}

/// A world in which no agent has said anything.
#[derive(Clone, Copy, Debug)]
pub struct Strangers;

impl Agents for Strangers {
    fn said(&self, _: AgentId) -> Option<&Registration> {
        None
    }
}

/// Why a task may not be born.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Hindered {
    /// The field of its request that is the reason.
    pub field: &'static str,
    /// What stands in the way.
    pub why: Refusal,
}

/// A world in which nothing stands in the way of a birth.
#[derive(Clone, Copy, Debug)]
pub struct Unhindered;

impl Births for Unhindered {
    fn admit(&self, _: TaskId, _: &Submitted) -> Result<(), Hindered> {
        Ok(())
    }
}

/// One event and all that follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// What happened.
    pub event: Event,
    /// What people or agents wrote about it.
    pub private: Option<Private>,
    /// Who did it.
    pub actor: Actor,
    /// The status before.
    pub before: Status,
    /// The status after.
    pub after: Status,
    /// Tasks born from it.
    pub births: Vec<Birth>,
    /// Mail sent because of it.
    pub mail: Vec<(TaskId, Letter, Value)>,
}

/// A task born from another.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// Its id, derived from where it was decided.
    pub id: TaskId,
    /// What it is.
    pub submission: Submission,
}

/// What became of a command.
#[derive(Clone, Debug)]
pub struct Handled {
    /// What happened, in order; committed even when the command itself was refused.
    pub moves: Vec<Move>,
    /// The answer to who asked.
    pub answer: Result<Answer, Refusal>,
    /// Set when there is more to settle than one commit should hold: wake the task again at once.
    pub unsettled: bool,
    /// Set when a move was none the map allows: nothing may be committed, the task is quarantined.
    pub corrupt: Option<String>,
}
