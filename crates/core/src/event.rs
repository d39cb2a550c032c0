//! Events: what has happened, in past tense. A task is the list of its events.
//!
//! An event holds structure only: ids, dependencies, numbers, digests. What people and agents wrote travels beside it as its
//! `Private` part, which may be erased later without breaking the chain; `evolve` never reads it.
//!
//! Words and fields here are stored for ever. A field may be added with a default; anything else is a new `SCHEMA` number with an
//! upcaster in `read`.

mod words;

use crate::budget::{Amount, BudgetOf, BudgetTerms, OnBudget};
use crate::id::{AgentId, ClaimId, EffectId, ReviewId, TaskId};
use crate::models::{Complexity, ModelSelection, ResourceAllocation};
use crate::plan::{Plan, StepText};
use crate::review::{Grounds, Judge, Marks, Question, Tally, Verdict, VoteWord};
use crate::spec::{Autonomy, ErrorClass, ExecutionMode, OnAgentLost, OnUnknown, Priority, Recurrence, RetryPolicy, Risk};
use crate::status::{BlockReason, Status};
use crate::time::Time;
use crate::work::{EffectOutcome, Judgement, Success, WorkKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The number of the form in which events are written now.
pub const SCHEMA: u16 = 1;

/// What has happened to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Event {
    /// It was accepted.
    Submitted(Box<Submitted>),
    /// It may start: due, dependencies met, review passed.
    Released,
    /// A run of a recurring task was too late to start: it waits for its next time.
    RunMissed {
        /// When it is due now.
        due_at: Time,
    },
    /// It has a plan, or a new one.
    Planned(Box<Planned>),
    /// A person took over a plan that was read with too little confidence.
    PlanAccepted,
    /// An agent able to `plan` is asked.
    PlanRequested {
        /// Until when.
        limit_at: Time,
    },

    /// A piece of work was claimed: the only thing that grants a lease.
    Assigned(Box<Assigned>),
    /// Its holder has begun.
    Started {
        /// Which work.
        work: WorkKey,
        /// Which attempt.
        attempt: u32,
        /// When the attempt is over time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_at: Option<Time>,
    },
    /// An attempt of a step worked.
    AttemptSucceeded(Box<Succeeded>),
    /// An attempt did not work.
    AttemptFailed(Box<Failed>),
    /// The attempts of a step are spent.
    StepFailed {
        /// Which step.
        step: Box<str>,
        /// What kind of trouble it was at last.
        class: ErrorClass,
    },
    /// A step will not be done.
    StepSkipped {
        /// Which step.
        step: Box<str>,
        /// Why.
        reason: SkipReason,
    },
    /// A step's condition was true.
    ConditionMet {
        /// Which step.
        step: Box<str>,
    },
    /// The wait after a failed attempt is over: the work is offered again.
    Reoffered {
        /// Which step; none where it is about the whole task.
        step: Box<str>,
        /// Whether it is not the step, but undoing it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undo: bool,
        /// Which work, where it is neither the step nor undoing it: its gate, a plan, an analysis.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        side: Option<WorkKey>,
    },
    /// A step became one step for each item.
    Expanded {
        /// Which step.
        step: Box<str>,
        /// How many items.
        count: u32,
    },
    /// A step began to wait for a time or a signal.
    WaitStarted {
        /// Which step.
        step: Box<str>,
        /// Until when at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// The signal waited for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<Box<str>>,
    },
    /// A step's wait is over.
    WaitEnded {
        /// Which step.
        step: Box<str>,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<Box<str>>,
    },
    /// A step became a task of its own.
    ChildBorn {
        /// Which step.
        step: Box<str>,
        /// The task.
        child: TaskId,
        /// How much of the budget it was lent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lent: Option<Amount>,
    },
    /// A step or its agent met something that only the outside can remove.
    StepBlocked {
        /// Which step.
        step: Box<str>,
        /// Which attempt it was.
        attempt: u32,
        /// What kind of thing.
        reason: BlockReason,
        /// When others get it, where its agent fell silent and the house does not wait longer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reassign_at: Option<Time>,
    },
    /// Blocked steps may go on.
    Unblocked,
    /// Its budget does not suffice for what comes next.
    BudgetCrossed(Box<BudgetCrossed>),
    /// Steps are done with another model than the house had chosen.
    ModelChanged(Box<ModelChanged>),

    /// A question to people is open for so long that more of them are told, or it is noted when they will be.
    QuestionRaised(Box<QuestionRaised>),
    /// A person is asked whether a step may be done just as it stands. Until there is an answer nobody gets it.
    ApprovalAsked(Box<ApprovalAsked>),
    /// The question has its answer. After a no, or none in time, the step has failed.
    ApprovalAnswered {
        /// Which step.
        step: Box<str>,
        /// What the answer is about; where the parameters were changed with it, no longer what was asked.
        digest: Box<str>,
        /// The digest of the parameters it is about.
        args_digest: Box<str>,
        /// What.
        answer: ApprovalWord,
        /// Whether whoever answered had submitted the task.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        self_decided: bool,
    },
    /// Who approved of a step changed its parameters first, or the constitution has it done with others.
    ParamsChanged {
        /// Which step.
        step: Box<str>,
        /// What was found in them; where one asks for a review, the task is reviewed before it goes on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        findings: Vec<Finding>,
        /// The rules of the constitution that wanted it, where it was not a person.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rulings: Vec<crate::constitution::Said>,
    },
    /// The rules of the constitution said something about a result.
    ResultJudged {
        /// Which step.
        step: Box<str>,
        /// Which attempt.
        attempt: u32,
        /// What they said.
        rulings: Vec<crate::constitution::Said>,
        /// Whether a person has to look at it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        confirm: bool,
    },

    /// Another constitution than the one that judged it last, or other words than those that were judged: it was judged again.
    JudgedAnew(Box<JudgedAnew>),

    /// A gate needs a judge.
    GateOpened {
        /// Which step.
        step: Box<str>,
        /// Which of its gates.
        gate: u16,
        /// Until when.
        limit_at: Time,
    },
    /// A gate was judged.
    GateJudged(Box<GateJudged>),

    /// The council was asked.
    ReviewOpened(Box<ReviewOpened>),
    /// A judge spoke.
    VoteCast {
        /// In which review.
        review: ReviewId,
        /// Who.
        judge: Box<str>,
        /// What.
        vote: VoteWord,
        /// How sure, from 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<f64>,
        /// What else it says in facts: conditions, scores.
        #[serde(default, skip_serializing_if = "Marks::is_empty")]
        marks: Box<Marks>,
    },
    /// A review has its verdict.
    ReviewDecided {
        /// Which review.
        review: ReviewId,
        /// What it says.
        verdict: Verdict,
        /// How it was counted.
        tally: Tally,
        /// Whether the operator decided alone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        self_decided: bool,
    },

    /// All attempts of a step are spent: the task has failed once.
    TaskAttemptFailed {
        /// Which step.
        step: Box<str>,
        /// How often the task has been tried again so far.
        retries: u32,
        /// What follows.
        then: AfterFailure,
    },
    /// The analyst, or a person, went back to a step that is done: what needs it is undone, until the task is tried again.
    RolledBack {
        /// The step that was gone back to; it stays done.
        checkpoint: Box<str>,
        /// The steps and groups to be done again: what needs it and had begun, and what had failed.
        steps: Vec<Box<str>>,
        /// Of them, those whose work is undone first, in this order: what was done last comes first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compensations: Vec<Box<str>>,
        /// How long each of these waits for an agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait_ms: Option<u64>,
        /// Whether a person said so; the analyst where it is missing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_person: bool,
    },
    /// The task is tried again: its failed steps and those that were rolled back are offered anew.
    Retried {
        /// How many times now.
        retries: u32,
    },
    /// The council or a named person owes a decision.
    Escalated {
        /// What for.
        reason: EscalationReason,
        /// The priority it was raised to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<Priority>,
        /// When the house decides if nobody else has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit_at: Option<Time>,
    },
    /// The decision came.
    EscalationDecided {
        /// What was decided.
        decision: DecisionWord,
        /// By whom.
        #[serde(default, skip_serializing_if = "DecidedBy::is_person")]
        by: DecidedBy,
        /// What open steps ask of an agent from now on.
        #[serde(default, skip_serializing_if = "Allocation::is_empty")]
        allocation: Allocation,
        /// Whether the task ends by it: it stays ESCALATED until then. Earlier releases let it go on for one event.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ends: bool,
    },

    /// A hold was put on it.
    Paused {
        /// Whether running attempts were told to stop.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stop_running: bool,
    },
    /// The hold was taken off.
    Resumed,
    /// It is to end; running attempts are told and given time.
    CancelRequested {
        /// When it ends regardless.
        force_at: Time,
    },
    /// It was changed.
    Modified(Box<Modified>),
    /// A person overruled a verdict or a step.
    Overridden {
        /// What was done.
        decision: OverrideWord,
        /// The step it is about; the whole task where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<Box<str>>,
    },
    /// A person said something to be kept in mind.
    Guided,
    /// A signal came.
    SignalReceived {
        /// Its name.
        name: Box<str>,
    },
    /// It waited too long for an agent.
    Stalled,
    /// It waited too long for an agent; that is told, and nothing follows.
    StallNoted,
    /// It has waited too long, but for room under a limit or for the end of a hold: the time is counted anew.
    StallPutOff,
    /// It waited too long for an agent: a task was born that looks into it.
    StallEscalated {
        /// That task.
        task: TaskId,
    },
    /// What was kept for agents, was with them, or was held up because of them, is offered to another or to anybody.
    Reassigned(Box<Reassigned>),
    /// Somebody took care of the stall.
    Unstalled,
    /// The agent that did all the steps has not come for the next: any that is able may.
    SessionEnded,

    /// The right to act on the outside was given.
    EffectGranted(Box<EffectGranted>),
    /// What became of an effect.
    EffectSettled {
        /// Which effect.
        effect: EffectId,
        /// What became of it.
        outcome: EffectOutcome,
    },

    /// Mail of other tasks was taken.
    MailTaken {
        /// The letters, in order of arrival.
        letters: Vec<Letter>,
    },

    /// Done.
    Completed {
        /// Steps that were not done or failed although the whole is complete.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gaps: Vec<Box<str>>,
    },
    /// Ended without success.
    Failed {
        /// Why.
        reason: EndReason,
        /// Whether trying again could help.
        recoverable: bool,
    },
    /// Withdrawn.
    Cancelled {
        /// Why.
        reason: EndReason,
    },
    /// Ended by authority.
    Stopped {
        /// Why.
        reason: EndReason,
    },

    /// A word about an attempt that no longer counted. Changes nothing.
    LateReportKept {
        /// Which work.
        work: WorkKey,
        /// Which attempt it spoke of.
        attempt: u32,
    },
    /// It left the live set.
    Archived,
    /// Its private parts were deleted.
    Erased,
    /// A remark after the end.
    ReviewNoted,
}

impl Event {
    /// Its word on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "SUBMITTED",
            Self::Released => "RELEASED",
            Self::RunMissed { .. } => "RUN_MISSED",
            Self::Planned(_) => "PLANNED",
            Self::PlanAccepted => "PLAN_ACCEPTED",
            Self::PlanRequested { .. } => "PLAN_REQUESTED",
            Self::Assigned(_) => "ASSIGNED",
            Self::Started { .. } => "STARTED",
            Self::AttemptSucceeded(_) => "ATTEMPT_SUCCEEDED",
            Self::AttemptFailed(_) => "ATTEMPT_FAILED",
            Self::StepFailed { .. } => "STEP_FAILED",
            Self::StepSkipped { .. } => "STEP_SKIPPED",
            Self::ConditionMet { .. } => "CONDITION_MET",
            Self::Reoffered { .. } => "REOFFERED",
            Self::Expanded { .. } => "EXPANDED",
            Self::WaitStarted { .. } => "WAIT_STARTED",
            Self::WaitEnded { .. } => "WAIT_ENDED",
            Self::ChildBorn { .. } => "CHILD_BORN",
            Self::StepBlocked { .. } => "STEP_BLOCKED",
            Self::Unblocked => "UNBLOCKED",
            Self::BudgetCrossed(_) => "BUDGET_CROSSED",
            Self::ModelChanged(_) => "MODEL_CHANGED",
            Self::QuestionRaised(_) => "QUESTION_RAISED",
            Self::ApprovalAsked(_) => "APPROVAL_ASKED",
            Self::ApprovalAnswered { .. } => "APPROVAL_ANSWERED",
            Self::ParamsChanged { .. } => "PARAMS_CHANGED",
            Self::ResultJudged { .. } => "RESULT_JUDGED",
            Self::JudgedAnew(_) => "JUDGED_ANEW",
            Self::GateOpened { .. } => "GATE_OPENED",
            Self::GateJudged(_) => "GATE_JUDGED",
            Self::ReviewOpened(_) => "REVIEW_OPENED",
            Self::VoteCast { .. } => "VOTE_CAST",
            Self::ReviewDecided { .. } => "REVIEW_DECIDED",
            Self::TaskAttemptFailed { .. } => "TASK_ATTEMPT_FAILED",
            Self::RolledBack { .. } => "ROLLED_BACK",
            Self::Retried { .. } => "RETRIED",
            Self::Escalated { .. } => "ESCALATED",
            Self::EscalationDecided { .. } => "ESCALATION_DECIDED",
            Self::Paused { .. } => "PAUSED",
            Self::Resumed => "RESUMED",
            Self::CancelRequested { .. } => "CANCEL_REQUESTED",
            Self::Modified(_) => "MODIFIED",
            Self::Overridden { .. } => "OVERRIDDEN",
            Self::Guided => "GUIDED",
            Self::SignalReceived { .. } => "SIGNAL_RECEIVED",
            Self::Stalled => "STALLED",
            Self::StallNoted => "STALL_NOTED",
            Self::StallPutOff => "STALL_PUT_OFF",
            Self::StallEscalated { .. } => "STALL_ESCALATED",
            Self::Reassigned(_) => "REASSIGNED",
            Self::Unstalled => "UNSTALLED",
            Self::SessionEnded => "SESSION_ENDED",
            Self::EffectGranted(_) => "EFFECT_GRANTED",
            Self::EffectSettled { .. } => "EFFECT_SETTLED",
            Self::MailTaken { .. } => "MAIL_TAKEN",
            Self::Completed { .. } => "COMPLETED",
            Self::Failed { .. } => "FAILED",
            Self::Cancelled { .. } => "CANCELLED",
            Self::Stopped { .. } => "STOPPED",
            Self::LateReportKept { .. } => "LATE_REPORT_KEPT",
            Self::Archived => "ARCHIVED",
            Self::Erased => "ERASED",
            Self::ReviewNoted => "REVIEW_NOTED",
        }
    }

    /// Whether it may follow the end of a task.
    pub fn may_follow_the_end(&self) -> bool {
        matches!(self, Self::LateReportKept { .. } | Self::Archived | Self::Erased | Self::ReviewNoted)
    }
}

/// Reads an event as stored, whatever release wrote it.
pub fn read(schema: u16, data: &str) -> Result<Event, String> {
    match schema {
        SCHEMA => serde_json::from_str(data).map_err(|e| e.to_string()).and_then(sound),
        newer => Err(format!("schema {newer} is newer than {SCHEMA}, the newest this release knows")),
    }
}

/// What replay relies on beyond the form of an event: that a plan refers only to steps it has, and that no number asks for more than
/// was ever allowed. Whoever wrote the event made sure of it; a damaged store may not have.
fn sound(event: Event) -> Result<Event, String> {
    let plan = match &event {
        Event::Submitted(facts) => facts.plan.as_ref(),
        Event::Planned(planned) => Some(&planned.plan),
        Event::Expanded { count, .. } if *count as usize > crate::plan::ITEMS_MAX => {
            return Err(format!("{count} items are too many"));
        }
        _ => None,
    };
    match plan {
        Some(plan) if !plan.is_sound() => Err("its plan refers to steps it does not have".into()),
        _ => Ok(event),
    }
}

/// What a task is from its birth on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Submitted {
    /// Where it belongs.
    pub namespace: Box<str>,
    /// The kind of task.
    pub task_type: Box<str>,
    /// Its place among waiting tasks.
    #[serde(default)]
    pub priority: Priority,
    /// How steps are confirmed.
    #[serde(default)]
    pub mode: ExecutionMode,
    /// What may happen outside without a person.
    pub autonomy: Autonomy,
    /// Whether the request said so; else it follows the mode.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub autonomy_given: bool,
    /// When it is due: not to be started before, unless `release_at` says when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// When it is released, where that is not its due time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_at: Option<Time>,
    /// Must have ended by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// How long from first start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How long it may wait for a first agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<u64>,
    /// How long the agent of a step may be silent, for steps that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// What happens to the step of an agent that fell silent; the policy of the house where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_agent_lost: Option<OnAgentLost>,
    /// The agent that does the steps that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Whether one agent does all of them, and how long it may be without work of this task until others may have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_ms: Option<u64>,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Box<str>>,
    /// Who or what made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
    /// The kind of who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_type: Option<Box<str>>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Box<str>>,
    /// The kind of thing it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_ref_type: Option<Box<str>>,
    /// Which thing it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_ref_id: Option<Box<str>>,
    /// The task it is part of, and the step of that task it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Tasks that had not yet completed and must.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    /// The ended task it is another try of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<TaskId>,
    /// The task it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<TaskId>,
    /// How it is done; an agent is asked where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// How sure the reader of the plan was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Whether the plan waits for a person to accept it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acceptance_owed: bool,
    /// The model its steps ask for that name none: a name, or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<str>>,
    /// How much there is to it, where the submitter said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complexity: Option<Complexity>,
    /// What it may use, where that has a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Box<BudgetTerms>>,
    /// Which models the house chose for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Box<ModelSelection>>,
    /// How large a machine its steps are done on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Box<ResourceAllocation>>,
    /// How often the task is tried again.
    pub max_retries: u32,
    /// The retry policy of steps that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Makes it come again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
    /// Which run of a recurring task this is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u32>,
    /// The run before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_run: Option<TaskId>,
    /// Whose task it is, where another task gave birth to it: who submitted that one, and judges neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Box<str>>,
    /// The computed risk.
    #[serde(default)]
    pub risk: Risk,
    /// Which rule found the risk in which fact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risk_reasons: Vec<Box<str>>,
    /// What validation found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The constitution it was judged by: the beginning of the digest of its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constitution: Option<Box<str>>,
    /// What the rules of that constitution said whose condition held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<crate::constitution::Said>,
    /// The terms of the review that has to pass before it starts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review_owed: bool,
    /// Whether the council looks at the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub final_review: bool,
    /// Whether it was released in the same breath.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// How long its work may wait for an agent, in milliseconds; nobody looks where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_ms: Option<u64>,
    /// How deep it is below a task that no task gave birth to.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u16,
    /// How often failures had been dealt with, without a person, in the tasks above it when it was born.
    #[serde(default, skip_serializing_if = "Healed::is_none")]
    pub healed: Healed,
}

/// How often failures were dealt with in a line of tasks born from one another, since a person last decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Healed {
    /// How often a task was tried again, in whatever way.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub times: u32,
    /// Of these, how often one went back to a checkpoint.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub rollbacks: u32,
    /// Of these, how often another plan took the place of the present one.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub plans: u32,
}

impl Healed {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

fn is_zero(n: &u16) -> bool {
    *n == 0
}

/// The task another one is part of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Parent {
    /// Which task.
    pub task: TaskId,
    /// The step it stands for; a free child where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Box<str>>,
    /// How many tasks stood for that step before it.
    #[serde(default, skip_serializing_if = "is_first")]
    pub again: u32,
}

fn is_first(again: &u32) -> bool {
    *again == 0
}

impl Parent {
    /// Its place below that task, where it stands for a step: unique there.
    pub fn place(&self) -> Option<String> {
        let step = self.step.as_ref()?;
        Some(if self.again == 0 { step.to_string() } else { format!("{step}~{}", self.again + 1) })
    }
}

/// What a check at submit found (S1-22…28).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// Which check: `description_check`, `requirements_check`, `security_scan`, `feasibility_assessment`, `resource_requirements`,
    /// `deadline`.
    pub check: Box<str>,
    /// Its result.
    pub result: CheckResult,
    /// Why.
    pub reason: Box<str>,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckResult {
    /// Nothing to say.
    Passed,
    /// Recorded; nothing follows.
    Warning,
    /// The council has to look.
    RequiresReview,
    /// Refused: no task is stored.
    Failed,
}

/// A new plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Planned {
    /// Which version of the plan, from 1.
    pub plan_version: u32,
    /// The plan.
    pub plan: Plan,
    /// How sure its reader was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Whether it waits for a person to accept it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acceptance_owed: bool,
    /// The work it answers, where an agent proposed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkKey>,
    /// Which models the house chose for it; as before where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Box<ModelSelection>>,
    /// How large a machine its steps are done on; as before where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Box<ResourceAllocation>>,
    /// What the rules of the constitution said about it whose condition held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<crate::constitution::Said>,
    /// The risk that they see in it; what is more than the task had is more from now on.
    #[serde(default, skip_serializing_if = "Risk::is_low")]
    pub risk: Risk,
    /// Whether the council has to look at the task again for the sake of that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review_owed: bool,
    /// What was found in its words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// A claim that was granted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Assigned {
    /// Which work.
    pub work: WorkKey,
    /// The fencing token.
    pub attempt: u32,
    /// Who holds it.
    pub agent: AgentId,
    /// The claim it answers.
    pub claim: ClaimId,
    /// How long the lease lasts without a sign of life.
    pub lease_ms: u64,
    /// Whether it began in the same breath.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub started: bool,
    /// When it must have been started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_by: Option<Time>,
    /// When the attempt is over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_at: Option<Time>,
    /// The limits it is counted under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<crate::flow::Place>,
    /// What the rules of the constitution said about it whose condition held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<crate::constitution::Said>,
    /// The digest of what is done, where a person had to approve of it: the same as that of their answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Box<str>>,
    /// The model it is done with, where its step asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<str>>,
    /// What was set aside for it, where the task has a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Amount>,
}

/// A rung of the ladder: who else is told of a question to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuestionRaised {
    /// Since when the oldest question of the task is open.
    pub since: Time,
    /// How many rungs it has passed; 0 where it is only noted when the first comes.
    pub rung: u32,
    /// Who is told now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Box<str>>,
    /// When the next are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}

/// A question to a person about one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalAsked {
    /// Which step.
    pub step: Box<str>,
    /// SHA-256, in hexadecimal, of all that is asked about: task, step, action, description, model, parameters, version of the plan, document
    /// of the constitution.
    pub digest: Box<str>,
    /// SHA-256 of the parameters alone: what an effect has to name.
    pub args_digest: Box<str>,
    /// When it counts as a no.
    pub until: Time,
    /// What the rules of the constitution said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<crate::constitution::Said>,
    /// The risk for the sake of which a task whose autonomy is ASSISTED asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

/// The answer to a question about one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApprovalWord {
    /// Yes, just as it stands.
    Approved,
    /// No.
    Denied,
    /// Nobody answered in time.
    Expired,
}

/// A step's attempt that worked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Succeeded {
    /// Which work.
    pub work: WorkKey,
    /// Which attempt.
    pub attempt: u32,
    /// Figures, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metrics: Map<String, Value>,
    /// What it used, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Amount>,
    /// What gates are judged by, without the words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Judgement>,
    /// What was done on the outside without asking for a grant, by action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unguarded: Vec<Box<str>>,
}

/// An attempt that did not work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failed {
    /// Which work.
    pub work: WorkKey,
    /// Which attempt.
    pub attempt: u32,
    /// What kind of trouble.
    pub class: ErrorClass,
    /// When it is offered again; never where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
    /// The least wait that the outside asked for, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What it used, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Amount>,
    /// What was done on the outside without asking for a grant, by action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unguarded: Vec<Box<str>>,
}

/// A budget that does not suffice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetCrossed {
    /// The step it does not suffice for; none where its time is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Box<str>>,
    /// Of what there is not enough.
    pub of: BudgetOf,
    /// How much there was; times in milliseconds.
    pub limit: u64,
    /// How much of it was used.
    pub used: u64,
    /// How much more would be set aside.
    pub needed: u64,
    /// What follows.
    pub then: OnBudget,
}

/// Another model in the place of one that the house had chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelChanged {
    /// Which steps.
    pub steps: Vec<Box<str>>,
    /// The model they were to be done with.
    pub from: Box<str>,
    /// The model they are done with from now on.
    pub to: Box<str>,
    /// Why.
    pub cause: ModelCause,
    /// How the last attempt failed, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ErrorClass>,
}

/// Why another model is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ModelCause {
    /// Its breaker is open: it failed one task after the other.
    BreakerOpen,
    /// An attempt with it failed in a way that speaks against it.
    Failed,
    /// It costs more than the budget has left.
    Budget,
}

/// Work that was taken from the agents it was kept for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reassigned {
    /// Why.
    pub cause: ReassignCause,
    /// The agents for which nothing is kept any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentId>,
    /// Steps that were with an agent, or held up because of one, and are offered now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Box<str>>,
    /// The only one who gets it; anybody where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// Why work is taken from an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReassignCause {
    /// It waited too long for one.
    Stalled,
    /// Somebody asked for it.
    Requested,
    /// Its agent fell silent, and was waited for long enough.
    AgentOffline,
}

/// Why a step is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SkipReason {
    /// Its condition was false.
    ConditionFalse,
    /// Its attempts were spent and it is optional.
    OptionalFailed,
    /// A person said so.
    Overridden,
}

/// A judged gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GateJudged {
    /// Which step.
    pub step: Box<str>,
    /// Which of its gates.
    pub gate: u16,
    /// Whether it lets the result through.
    pub passed: bool,
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// How many violations there were.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub violations: u32,
    /// By what: `evidence`, `metric`, `agent`, `person`, `limit`, `override`; `check` where it could not be checked at all.
    pub by: Box<str>,
    /// Whether a failure only leaves a note.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
    /// When the step is offered again after a failure; never where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Time>,
}

fn is_zero_u32(n: &u32) -> bool {
    *n == 0
}

/// A review that was opened, with the terms it is counted by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReviewOpened {
    /// Which one.
    pub review: ReviewId,
    /// What is asked.
    pub question: Question,
    /// Who may vote.
    pub judges: Vec<Judge>,
    /// How much weight in favour it takes.
    pub required: u32,
    /// How many must have voted.
    pub quorum: u32,
    /// Whether the operator may decide alone because too few judges exist.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub solo: bool,
    /// When it is decided by what is there; never in favour.
    pub deadline: Time,
    /// The decision that is voted on, where the question is about an escalation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<DecisionWord>,
}

/// What follows when the task has failed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AfterFailure {
    /// It is tried again.
    Retry {
        /// When.
        at: Time,
    },
    /// An agent able to `analyse` is asked what to do.
    Analyse {
        /// Until when.
        limit_at: Time,
    },
    /// The council or a person decides.
    Escalate,
    /// It ends.
    Fail,
}

/// What the constitution that is in force says about a task that is live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JudgedAnew {
    /// Which constitution: the beginning of the digest of its document.
    pub constitution: Box<str>,
    /// What its rules said about the request and the plan whose condition held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rulings: Vec<crate::constitution::Said>,
    /// Whether the council has to look at it for a reason it has not looked at yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review_owed: bool,
    /// Whether it is refused: a decision about it is owed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// Why a decision is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EscalationReason {
    /// All retries are spent.
    RetriesSpent,
    /// Somebody asked for it.
    Requested,
    /// A review could not decide.
    ReviewUndecided,
    /// Nobody made a plan in time.
    NoPlan,
    /// The failure analyst asks for a person.
    HumanIntervention,
    /// What a step did could not be undone.
    CompensationFailed,
    /// Failures were dealt with as often as the house allows without a person.
    HealingSpent,
    /// The constitution that is in force now refuses it.
    Constitution,
}

/// What was decided about an escalated task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DecisionWord {
    /// It ends.
    Liquidate,
    /// It goes on with another scope; retries are counted anew.
    ModifyScope,
    /// It goes on with more; retries are counted anew.
    AllocateResources,
}

/// Who decided about an escalated task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DecidedBy {
    /// A person.
    #[default]
    Person,
    /// The council, by its votes on what somebody had proposed.
    Council,
    /// The policy of the house, because nobody else did in time.
    Policy,
}

impl DecidedBy {
    fn is_person(&self) -> bool {
        *self == Self::Person
    }
}

/// What an override does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OverrideWord {
    /// The task counts as done.
    Complete,
    /// The task ends without success.
    Fail,
    /// The open review counts as passed.
    Approve,
    /// The step is left out.
    SkipStep,
    /// The step is tried again.
    RetryStep,
    /// The open gate of the step counts as passed.
    PassGate,
    /// What the step did was undone by hand.
    Compensated,
    /// One goes back to a step that is done: what needs it is undone, and done again.
    Rollback,
}

/// Resources that were given to a task, as far as they decide which agent can do its work (S0-25). The rest of them is words, and private.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Allocation {
    /// How much of what agents have every open step asks for, in the units of S1-40.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub demands: BTreeMap<Box<str>, u64>,
    /// The model that every open step asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Box<str>>,
    /// The models that open steps ask for, by their type: the `task_type` of a step, its action, `*` for all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models_by_type: BTreeMap<Box<str>, Box<str>>,
}

impl Allocation {
    /// What of the limits that were given says which agent can do the work.
    #[cfg(feature = "rules")]
    pub(crate) fn of(text: &TextChanges) -> Self {
        let Some(limits) = &text.resource_limits else { return Self::default() };
        let is_name = |name: &&str| crate::matching::is_model(name) && *name != crate::models::AUTO;
        let model = limits.get("model").and_then(serde_json::Value::as_str).filter(is_name);
        Self { demands: crate::matching::demands(limits), model: model.map(Into::into), models_by_type: BTreeMap::new() }
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.demands.is_empty() && self.model.is_none() && self.models_by_type.is_empty()
    }

    /// More was given; what is said anew counts.
    #[cfg(feature = "rules")]
    pub(crate) fn add(&mut self, more: &Self) {
        self.demands.extend(more.demands.iter().map(|(name, n)| (name.clone(), *n)));
        if more.model.is_some() {
            // One for all of them: what was said about some before is void.
            self.models_by_type.clear();
        }
        self.model = more.model.clone().or(self.model.take());
        if more.models_by_type.contains_key("*") {
            self.models_by_type.clear();
        }
        self.models_by_type.extend(more.models_by_type.iter().map(|(of, name)| (of.clone(), name.clone())));
    }
}

/// A change of what was submitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Modified {
    /// Which version of the request, from 2.
    pub request_version: u32,
    /// The new priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The new deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The new due time; the past means now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// When it is released from now on, whatever its due time; the past means now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_at: Option<Time>,
    /// The new mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ExecutionMode>,
    /// The autonomy that follows from it, where nobody had set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autonomy: Option<Autonomy>,
    /// The agent that does from now on what the one before was to do, or what any could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Whether title, description, requirements, limits or the constitutional basis changed (their text is private).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub text: bool,
    /// What open steps ask of an agent from now on.
    #[serde(default, skip_serializing_if = "Allocation::is_empty")]
    pub allocation: Allocation,
    /// What it may use from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Box<BudgetTerms>>,
    /// What was found in the new words; where one asks for a review, the task is reviewed before it goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// A granted effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectGranted {
    /// Which effect; the token.
    pub effect: EffectId,
    /// For which work.
    pub work: WorkKey,
    /// In which attempt.
    pub attempt: u32,
    /// What will be done.
    pub action: Box<str>,
    /// With what, as SHA-256 in hexadecimal.
    pub args_digest: Box<str>,
    /// What to do when nobody knows whether it happened.
    pub on_unknown: OnUnknown,
}

/// Why a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EndReason {
    /// A step failed for good and no retry is left.
    StepFailed,
    /// The deadline passed.
    Deadline,
    /// It took longer than it may.
    Timeout,
    /// No agent came in time.
    QueueTimeout,
    /// Somebody withdrew it.
    Requested,
    /// The agents did not answer the wish to cancel in time.
    Forced,
    /// The council refused it.
    Rejected,
    /// A task it needs ended without success.
    DependencyFailed,
    /// The task it is part of ended.
    ParentEnded,
    /// The next run of the recurring task took its place.
    Replaced,
    /// The task it looked into goes on by itself, or has ended.
    Settled,
    /// Ended by a decision on an escalation.
    Liquidated,
    /// Ended by the failure analyst.
    Aborted,
    /// Ended by an override.
    Overridden,
    /// Its result was not accepted.
    ResultRejected,
    /// Its budget did not suffice.
    Budget,
}

/// What one task tells another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Letter {
    /// I am part of you.
    ChildJoined {
        /// Who I am.
        child: TaskId,
    },
    /// I, part of you, have ended.
    ChildEnded {
        /// Who I am.
        child: TaskId,
        /// The step I stood for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<Box<str>>,
        /// How I ended.
        status: Status,
        /// What I have used, with those that were part of me.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used: Option<Amount>,
    },
    /// I wait for you.
    DependentJoined {
        /// Who I am.
        dependent: TaskId,
    },
    /// I, whom you wait for, have ended.
    DependencyEnded {
        /// Who I am.
        dependency: TaskId,
        /// How I ended.
        status: Status,
    },
    /// I, whom you are part of, have ended; so should you.
    ParentEnded {
        /// Who I am.
        parent: TaskId,
    },
    /// I, whom you look into, go on by myself or have ended; so should you end.
    GoesOn {
        /// Who I am.
        task: TaskId,
    },
    /// I, the run after you, take your place.
    Replaced {
        /// Who I am.
        by: TaskId,
    },
}

/// What people and agents wrote, beside an event that holds only structure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Private {
    /// The words of a request. Shared with the task that keeps them: they are never copied on their way to the store.
    #[cfg_attr(feature = "openapi", schema(value_type = RequestText))]
    Request(Arc<RequestText>),
    /// The words of a plan, step by step.
    Plan(Vec<StepText>),
    /// The result of an attempt, in full; shared alike.
    #[cfg_attr(feature = "openapi", schema(value_type = Success))]
    Success(Arc<Success>),
    /// The items a step was expanded into, or the payload of a signal.
    Items(Vec<Value>),
    /// A reason, an error, a remark.
    Text(String),
    /// The words of a vote that says more than why.
    Vote(Box<Grounds>),
    /// The changed words of a request, or of a decision somebody proposes.
    Changes(Box<TextChanges>),
    /// Outputs of children, in the order of the letters.
    Outputs(Vec<Value>),
}

/// The words of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RequestText {
    /// One line.
    pub title: String,
    /// What is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What the result has to satisfy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// When the result counts as accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acceptance_criteria: Vec<String>,
    /// Who is told how it ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stakeholders: Vec<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Why it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constitutional_basis: Option<String>,
    /// Free JSON.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    /// What it may use at most.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub resource_limits: Map<String, Value>,
    /// Why the confidence in the plan is what it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confidence_reasons: Vec<String>,
    /// The words of its plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepText>,
}

/// The changed words of a request; what is missing stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TextChanges {
    /// Why it was changed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The new title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The new description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The new requirements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Vec<String>>,
    /// The new limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<Map<String, Value>>,
    /// The new article it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constitutional_basis: Option<String>,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The kind of actor.
    pub kind: ActorKind,
    /// Which one: an agent's id, a person's name, a part of the system.
    pub id: Box<str>,
}

/// The kind of actor (S4-56).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActorKind {
    /// A part of Ephor.
    #[serde(alias = "system")]
    System,
    /// An agent.
    #[serde(alias = "ai", alias = "agent", alias = "AGENT")]
    Ai,
    /// A person.
    #[serde(alias = "human", alias = "user", alias = "USER")]
    Human,
}

/// The name of somebody on this machine who did not say who they are. No key is called so.
pub const ANONYMOUS: &str = "local";

impl Actor {
    /// Whether it is a person who can be named.
    pub fn is_somebody(&self) -> bool {
        self.kind == ActorKind::Human && *self.id != *ANONYMOUS
    }

    /// What follows by itself, from time and logic.
    pub fn settle() -> Self {
        Self { kind: ActorKind::System, id: "SETTLE".into() }
    }

    /// The loop that wakes what is due.
    pub fn clock() -> Self {
        Self { kind: ActorKind::System, id: "TASK_SCHEDULER".into() }
    }

    /// An agent.
    pub fn agent(id: AgentId) -> Self {
        Self { kind: ActorKind::Ai, id: id.to_string().into() }
    }

    /// A person.
    pub fn human(id: &str) -> Self {
        Self { kind: ActorKind::Human, id: id.into() }
    }

    /// Reads `HUMAN/operator`.
    pub fn read(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once('/')?;
        let kind = match kind {
            "SYSTEM" => ActorKind::System,
            "AI" => ActorKind::Ai,
            "HUMAN" => ActorKind::Human,
            _ => return None,
        };
        Some(Self { kind, id: id.into() })
    }
}

impl ActorKind {
    /// Its word, as it stands before the id.
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "SYSTEM",
            Self::Ai => "AI",
            Self::Human => "HUMAN",
        }
    }
}

/// `HUMAN/operator`.
impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.id)
    }
}
