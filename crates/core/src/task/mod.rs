//! The life of a task.
//!
//! `handle` lets time and logic take their course (`next`), does what is asked (`decide`), then lets them follow. Both only propose
//! events; `evolve` alone changes the state, by events alone. So a task is the fold of its events, and replay rebuilds it.
//!
//! - `decide`: what is asked. May refuse; changes nothing.
//! - `next`: what happens by itself. The only place that knows deadlines, tallies and the end.
//! - `evolve`: what has happened. Cannot fail; sees no clock and no policy.
//! - `outbox`: what other tasks hear of it, derived from the event alone.
//! - `impact`: what it would do, for whoever decides about it.
//! - `approval`: what is judged, and who is asked, before a single action is done.
//! - `healing`: what follows failures: retries, analysis, going back, and the limits of all that.
//! - `undo`: undoing what was done before one went back; `escalation`: what is decided about a task that nothing else helps.
//! - `budget`: what it may use, what is set aside, and what follows when that does not suffice.
//! - `models`: another model in the place of one that failed.
//! - `stall`: work that waits too long for an agent, and work that is taken from one.
//! - `questions`: what it asks of people; `ladder`: who else is told when nobody answers.
//! - `standing`: where all that leaves it: its status, what it offers, when to look at it again.

mod amended;
mod approval;
mod budget;
mod claim;
mod council;
mod decide;
mod effects;
mod escalation;
mod evolve;
mod facts;
mod forecast;
mod gates;
mod healing;
mod impact;
mod intervene;
mod ladder;
mod models;
mod modes;
mod next;
mod outbox;
mod questions;
mod reasons;
mod report;
mod shown;
mod stall;
mod standing;
#[cfg(test)]
mod tests;
mod undo;
mod unguarded;
mod waiting;

pub(crate) use budget::check as check_budget;
pub use facts::AGEING_MS;
pub use forecast::{Forecast, Usual};
pub use waiting::Waiting;

use crate::board::{Board, Lease};
use crate::budget::Amount;
use crate::command::{Answer, Command, Context, Handled, Move, Refusal};
use crate::contents::{Contents, StepScope};
use crate::event::{Actor, Allocation, DecisionWord, EndReason, Event, Healed, Private, ReviewOpened, Submitted};
use crate::expr;
use crate::id::{AgentId, EffectId, ReviewId, TaskId};
use crate::plan::Step;
use crate::planted::{self, Fault};
use crate::review::{Ballot, Question, Tally, Verdict};
use crate::spec::{ExecutionMode, OnUnknown, Priority};
use crate::status::{Status, StepStatus};
use crate::time::Time;
use crate::timers::Timers;
use crate::work::{EffectOutcome, WorkKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How many moves one command may lead to before the rest is left to the next wake: nobody else should wait for a task
/// with much to settle.
const MOVES_MAX: usize = 2_000;
/// Where following has no honest end any more.
const MOVES_END: usize = 10 * MOVES_MAX;
/// How many tasks one command may give birth to; the others are born at the next wake.
const BIRTHS_MAX: usize = 1_000;
/// How many late reports are kept as evidence; a lying agent must not fill the log.
const LATE_MAX: u32 = 100;

/// A task: the fold of its events, and the words that came with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// How many events it has.
    pub version: u64,
    /// Where it is, as derived after the last event.
    status: Status,
    /// What it was born with, as changed since. The plan is moved to the board.
    pub facts: Box<Submitted>,
    /// What people and agents wrote.
    pub contents: Contents,
    pub(crate) board: Board,
    firm: Timers,
    soft: Timers,
    born_at: Option<Time>,
    started_at: Option<Time>,
    /// When the last event happened.
    touched_at: Time,
    end: Option<End>,
    released: bool,
    released_at: Option<Time>,
    planned: bool,
    acceptance_owed: bool,
    /// What was found in the words of its plan, where that came later, and what the constitution wants a person to see in it.
    #[serde(default)]
    doubts: Vec<crate::event::Finding>,
    paused: Option<Hold>,
    escalated: Option<crate::event::EscalationReason>,
    cancelling: bool,
    stalled: bool,
    /// When its work has waited too long for an agent; none while it does not wait for one, or that was told already.
    stall_at: Option<Time>,
    stall_told: bool,
    /// The task that looks into why it does not move, while that is so.
    investigation: Option<TaskId>,
    /// The same, where the last event was its answer: it is told.
    looked_into: Option<TaskId>,
    /// Steps that are held up because their agent fell silent, and for how long yet.
    offline: BTreeSet<u32>,
    /// Between two tries of the task.
    retrying: bool,
    retries: u32,
    /// How often failures were dealt with since a person last decided, here and in the tasks above.
    healed: Healed,
    /// What was done and has to be undone before the task is tried again.
    undoing: undo::Undoing,
    plan_version: u32,
    request_version: u32,
    plan_work: Option<Side>,
    analysis: Option<Side>,
    /// Attempts at gates, plans and analyses so far: their fencing token.
    side_attempts: u32,
    /// Those of them that ended with their holder's own word, the last few: a word repeated is no late one.
    answered: BTreeMap<u32, WorkKey>,
    /// The admission review still has to be opened.
    review_owed: bool,
    review: Option<Review>,
    reviews: Vec<Reviewed>,
    /// What follows from the last verdict has followed.
    review_followed: bool,
    /// What the council decided about the escalation, and nobody has carried out yet.
    council_says: Option<DecisionWord>,
    /// It is to be ended by a decision on an escalation.
    liquidated: bool,
    /// Whether the house has given it more resources since anybody else decided.
    house_gave: bool,
    /// What was given to it since it was submitted, as far as it decides who can do its work.
    #[serde(default)]
    allocation: Allocation,
    result_accepted: bool,
    /// What the council's yes depends on.
    #[serde(default)]
    conditions: Vec<council::Condition>,
    dependencies: BTreeSet<TaskId>,
    failed_dependency: bool,
    dependents: BTreeSet<TaskId>,
    /// Steps that are tasks of their own.
    spawned: BTreeMap<u32, TaskId>,
    /// Tasks that the last event left without the step they stood for: they are told to end.
    let_go: Vec<TaskId>,
    /// How often each of them was born.
    births: BTreeMap<Box<str>, u32>,
    /// Free children that have not ended.
    children: BTreeSet<TaskId>,
    /// How those ended that did not complete.
    lost_children: BTreeSet<TaskId>,
    /// Another task said that it should end: the one it is part of, or the run after it.
    called_off: Option<EndReason>,
    /// What people were asked about single steps, by path.
    #[serde(default)]
    approvals: BTreeMap<Box<str>, approval::Approval>,
    /// What it has used so far.
    #[serde(default)]
    spent: Amount,
    /// The account of its budget; none where it has none.
    #[serde(default)]
    purse: Option<Box<budget::Purse>>,
    /// Steps whose model failed, and that take another one before anything else happens.
    #[serde(default)]
    model_failed: BTreeSet<u32>,
    /// The constitution refuses it, and nobody was told yet.
    #[serde(default)]
    outlawed: bool,
    effects: BTreeMap<EffectId, Effect>,
    /// Of each step, the effects of which nobody knows, or not yet, whether they happened.
    open_effects: BTreeMap<Box<str>, BTreeSet<EffectId>>,
    /// Effects whose attempt ended without a word about them.
    dangling: BTreeSet<EffectId>,
    /// Who has worked on its steps: nobody judges what they did themselves.
    executors: BTreeSet<AgentId>,
    /// Signals that wait to be used, by name.
    signals: BTreeMap<Box<str>, u32>,
    /// Steps that wait for a signal, by its name.
    listeners: BTreeMap<Box<str>, BTreeSet<u32>>,
    /// The signal each of them waits for.
    listening: BTreeMap<u32, Box<str>>,
    gaps: BTreeSet<Box<str>>,
    late: u32,
    archived: bool,
    erased: bool,
    /// Since when it has asked what it asks of people; none while it asks nothing.
    asking: Option<Box<questions::Asking>>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// COMPLETED, FAILED, CANCELLED or STOPPED.
    pub status: Status,
    /// Why, unless it completed.
    pub reason: Option<EndReason>,
    /// Whether trying again could help.
    pub recoverable: bool,
    /// When.
    pub at: Time,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hold {
    stop_running: bool,
}

/// Offered work that is no step: a plan, an analysis.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
struct Side {
    lease: Option<Box<Lease>>,
    /// The step whose failure is analysed.
    step: Option<Box<str>>,
    /// How often it failed or was given back.
    #[serde(default)]
    failures: u32,
}

/// An open review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Review {
    id: ReviewId,
    question: Question,
    ballot: Ballot,
    /// The decision that is voted on, where it is about an escalation.
    proposal: Option<DecisionWord>,
    /// What each judge said last.
    #[serde(default)]
    said: BTreeMap<Box<str>, council::JudgeSaid>,
    /// What the constitution had said when it was opened.
    #[serde(default)]
    rulings: Vec<crate::constitution::Said>,
}

/// A decided review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reviewed {
    /// Which one.
    pub id: ReviewId,
    /// What was asked.
    pub question: Question,
    /// What was said.
    pub verdict: Verdict,
    /// How it was counted.
    pub tally: Tally,
    /// Whether the operator decided alone.
    pub self_decided: bool,
    /// What each judge said last.
    #[serde(default)]
    pub said: BTreeMap<Box<str>, council::JudgeSaid>,
    /// What the constitution had said when it was opened.
    #[serde(default)]
    pub rulings: Vec<crate::constitution::Said>,
}

/// An effect on the outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// For which work.
    pub work: WorkKey,
    /// In which attempt it was last granted.
    pub attempt: u32,
    /// What is done.
    pub action: Box<str>,
    /// With what.
    pub args_digest: Box<str>,
    /// What became of it; unknown to anybody while it is missing.
    pub outcome: Option<EffectOutcome>,
    /// What to do when nobody knows.
    pub on_unknown: OnUnknown,
    /// Its place among what its attempt did without asking for a grant; none where it was granted.
    #[serde(default)]
    pub unguarded: Option<u32>,
}

/// What a decision proposes: events, and what is answered.
struct Decided {
    drafts: Vec<Draft>,
    answer: Result<Answer, Refusal>,
}

/// An event about to happen.
struct Draft {
    event: Event,
    private: Option<Private>,
    /// Who did it, where it is not who asked.
    actor: Option<Actor>,
    birth: Option<Box<crate::command::Submission>>,
}

impl Draft {
    fn new(event: Event) -> Self {
        Self { event, private: None, actor: None, birth: None }
    }

    fn with(event: Event, private: Private) -> Self {
        Self { private: Some(private), ..Self::new(event) }
    }

    /// With a reason, unless it is empty.
    fn because(event: Event, reason: &str) -> Self {
        Self { private: (!reason.is_empty()).then(|| Private::Text(reason.to_owned())), ..Self::new(event) }
    }
}

impl From<Vec<Draft>> for Decided {
    fn from(drafts: Vec<Draft>) -> Self {
        Self { drafts, answer: Ok(Answer::Done) }
    }
}

impl From<Draft> for Decided {
    fn from(draft: Draft) -> Self {
        vec![draft].into()
    }
}

impl Task {
    /// A task that has not been born: only `Submit` makes sense.
    pub fn unborn(id: TaskId) -> Self {
        Self {
            id,
            version: 0,
            status: Status::Pending,
            facts: Box::new(blank_facts()),
            contents: Contents::default(),
            board: Board::default(),
            firm: Timers::default(),
            soft: Timers::default(),
            born_at: None,
            started_at: None,
            touched_at: Time::default(),
            end: None,
            released: false,
            released_at: None,
            planned: false,
            acceptance_owed: false,
            doubts: Vec::new(),
            paused: None,
            escalated: None,
            cancelling: false,
            stalled: false,
            stall_at: None,
            stall_told: false,
            investigation: None,
            looked_into: None,
            offline: BTreeSet::new(),
            retrying: false,
            retries: 0,
            healed: Healed::default(),
            undoing: undo::Undoing::default(),
            plan_version: 0,
            request_version: 1,
            plan_work: None,
            analysis: None,
            side_attempts: 0,
            answered: BTreeMap::new(),
            review_owed: false,
            review: None,
            reviews: Vec::new(),
            review_followed: false,
            council_says: None,
            liquidated: false,
            house_gave: false,
            allocation: Allocation::default(),
            result_accepted: false,
            conditions: Vec::new(),
            dependencies: BTreeSet::new(),
            failed_dependency: false,
            dependents: BTreeSet::new(),
            spawned: BTreeMap::new(),
            let_go: Vec::new(),
            births: BTreeMap::new(),
            children: BTreeSet::new(),
            lost_children: BTreeSet::new(),
            called_off: None,
            approvals: BTreeMap::new(),
            spent: Amount::default(),
            purse: None,
            model_failed: BTreeSet::new(),
            outlawed: false,
            effects: BTreeMap::new(),
            open_effects: BTreeMap::new(),
            dangling: BTreeSet::new(),
            executors: BTreeSet::new(),
            signals: BTreeMap::new(),
            listeners: BTreeMap::new(),
            listening: BTreeMap::new(),
            gaps: BTreeSet::new(),
            late: 0,
            archived: false,
            erased: false,
            asking: None,
        }
    }

    /// Lets time and logic take their course, does what is asked, then lets them follow. What was settled stands, and is committed,
    /// even when the command is refused.
    pub fn handle(&mut self, command: Command, cx: &Context<'_>) -> Handled {
        let mut done = Handled { moves: Vec::new(), answer: Ok(Answer::Done), unsettled: false, corrupt: None };
        // What others said is heard before time takes its course: nobody ends without having heard who waits for it.
        let (listens, more) = match &command {
            Command::Take { more, .. } => (self.born_at.is_some() && !planted::is(Fault::MailAfterTime), *more),
            _ => (false, false),
        };
        if !listens {
            self.settle(&mut done, cx);
        }
        match self.decide(command, cx) {
            Ok(decided) => {
                let followed = !decided.drafts.is_empty();
                for draft in decided.drafts {
                    self.apply(draft, cx.actor, cx.now, &mut done);
                }
                done.answer = decided.answer;
                if (followed || listens) && !more {
                    self.settle(&mut done, cx);
                }
            }
            Err(refusal) => done.answer = Err(refusal),
        }
        done
    }

    /// Applies `next` until it has nothing to say, or until it is somebody else's turn: `wake_at` says then that more is to come. What
    /// goes on without end is a fault of the rules, and must not hold up everybody for ever.
    fn settle(&mut self, done: &mut Handled, cx: &Context<'_>) {
        let settler = Actor::settle();
        let (mut moves, mut births) = (0, 0);
        while done.corrupt.is_none() {
            let enough = moves >= MOVES_MAX || births >= BIRTHS_MAX;
            if enough && self.wake_at().is_some_and(|at| at <= cx.now) {
                done.unsettled = true;
                return;
            }
            let Some(draft) = self.next(cx) else { return };
            moves += 1;
            births += usize::from(draft.birth.is_some());
            if moves > MOVES_END {
                done.corrupt = Some(format!("{} and more follow without end at version {}", draft.event.kind(), self.version));
                return;
            }
            self.apply(draft, &settler, cx.now, done);
        }
    }

    /// Makes one event happen, and checks the two witnesses against each other: what the facts say the status is, and what the map
    /// allows.
    fn apply(&mut self, draft: Draft, asker: &Actor, now: Time, done: &mut Handled) {
        if done.corrupt.is_some() {
            return;
        }
        let before = self.status;
        let ended_before = self.end.is_some();
        self.take_in(&draft.event, draft.private.as_ref(), now);
        let legal = before.may_become(self.status) && (!ended_before || draft.event.may_follow_the_end());
        if !legal && self.version > 1 {
            done.corrupt =
                Some(format!("{} would lead from {before} to {} at version {}", draft.event.kind(), self.status, self.version));
        }
        let births = draft.birth.into_iter().map(|s| self.birth(&draft.event, *s)).collect();
        let mut made = Move {
            actor: draft.actor.unwrap_or_else(|| asker.clone()),
            before,
            after: self.status,
            mail: self.mail_after(&draft.event),
            births,
            event: draft.event,
            private: draft.private,
        };
        made.births.extend(self.recurrence_after(&made.event, now));
        done.moves.push(made);
    }

    /// Takes one event into the state and its words into the contents: the whole of replay.
    pub fn take_in(&mut self, event: &Event, private: Option<&Private>, at: Time) {
        self.let_go.clear();
        self.keep_words_before(event, private);
        self.evolve(event, at);
        self.mind_the_budget();
        self.version += 1;
        self.touched_at = at;
        self.status = self.derive();
        self.mind_the_stall(at);
        self.mind_the_investigation(event);
        self.mind_the_offline();
        self.mind_the_session(at);
        self.mind_the_questions(at);
        let board = &self.board;
        let name = |path: &str| match board.find(path) {
            Some(i) => board.steps[i as usize].key.clone().unwrap_or_else(|| path.into()),
            None => path.into(),
        };
        self.contents.absorb(event, private, name);
        // Withdrawn without a word: nothing that was said before explains it.
        if private.is_none() && !self.cancelling && matches!(event, Event::Cancelled { reason: EndReason::Requested }) {
            self.contents.reason = None;
        }
        // What was said about a hold or an escalation goes with it.
        if self.paused.is_none() {
            self.contents.hold = None;
        }
        if self.escalated.is_none() {
            self.contents.escalation = None;
        }
        if let (Event::ParamsChanged { step, .. }, Some(Private::Items(items))) = (event, private)
            && let (Some(i), Some(serde_json::Value::Object(params))) = (board.find(step), items.first())
        {
            self.contents.change_params(i, params.clone());
        }
        // The parts of a list have the words of the step they came from.
        for i in self.contents.steps().len()..board.steps.len() {
            let pattern = board.steps[i].parent.and_then(|p| self.contents.steps().get(p as usize));
            let words = pattern.cloned().unwrap_or_default();
            self.contents.add_step(words);
        }
    }

    /// Where the task is.
    pub fn status(&self) -> Status {
        self.status
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The name a step's result is kept under: its key, else its path.
    pub(crate) fn step_name(&self, i: u32) -> Box<str> {
        let step = &self.board.steps[i as usize];
        step.key.clone().unwrap_or_else(|| step.path.clone())
    }

    /// The step of this path or key.
    pub fn step(&self, name: &str) -> Option<(&Step, StepStatus)> {
        let i = self.board.find(name)?;
        Some((&self.board.steps[i as usize], self.board.cell(i).status))
    }

    /// What a step does, by the word it is claimed under.
    pub fn action_of(&self, work: &WorkKey) -> Option<&str> {
        match work {
            WorkKey::Step(path) => Some(&self.board.steps[self.board.find(path)? as usize].action),
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis | WorkKey::Undo(_) => None,
        }
    }

    /// Every step and group there is.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.board.all().map(|i| &self.board.steps[i as usize])
    }

    fn scope<'a>(&'a self, path: &'a str) -> StepScope<'a> {
        StepScope { task: self, path }
    }

    /// The parameters of a step, references resolved.
    fn params(&self, i: u32) -> Result<serde_json::Map<String, serde_json::Value>, String> {
        match self.contents.params(i) {
            Some(params) if !params.is_empty() => expr::resolve(params, &self.scope(&self.board.steps[i as usize].path)),
            Some(_) | None => Ok(serde_json::Map::new()),
        }
    }

    /// The live lease on a piece of work.
    pub(crate) fn lease(&self, work: &WorkKey) -> Option<&Lease> {
        match work {
            WorkKey::Step(path) => self.board.cell(self.board.find(path)?).lease.as_deref(),
            WorkKey::Gate(path, n) => {
                let open = self.board.gates.get(&self.board.find(path)?)?;
                open.lease.as_deref().filter(|_| open.gate == *n)
            }
            WorkKey::Plan => self.plan_work.as_ref()?.lease.as_deref(),
            WorkKey::Analysis => self.analysis.as_ref()?.lease.as_deref(),
            WorkKey::Undo(path) => self.undoing.lease_on(path),
        }
    }

    /// The key under which a step was offered when it was last handed out, whatever model it asks for since.
    pub fn step_key(&self, work: &WorkKey) -> Option<String> {
        match work {
            WorkKey::Step(path) => {
                let i = self.board.find(path)?;
                let (step, used) = (&self.board.steps[i as usize], &self.board.cell(i).used);
                match self.board.cell(i).attempt > 0 && *used != step.model {
                    true => Some(Step { model: used.clone(), ..step.clone() }.offer_key(self.board.session())),
                    false => Some(step.offer_key(self.board.session())),
                }
            }
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis | WorkKey::Undo(_) => None,
        }
    }

    /// Whether the last word about an attempt was its holder's, and not that it failed; asked of one that has just ended.
    pub fn went_well(&self, work: &WorkKey, attempt: u32) -> bool {
        match work {
            WorkKey::Step(path) => self
                .board
                .find(path)
                .map(|i| self.board.cell(i))
                .is_some_and(|cell| cell.attempt == attempt && cell.reported == Some(true)),
            WorkKey::Gate(..) | WorkKey::Plan | WorkKey::Analysis | WorkKey::Undo(_) => self.answered.get(&attempt) == Some(work),
        }
    }

    /// Every live lease, for the observer that starts anew after a restart.
    pub fn live_leases(&self) -> Vec<LiveLease> {
        if self.end.is_some() {
            return Vec::new();
        }
        let of = |work: WorkKey, lease: &Option<Box<Lease>>| {
            lease.as_ref().map(|l| LiveLease { work, attempt: l.attempt, agent: l.agent, claim: l.claim, lease_ms: l.lease_ms })
        };
        let steps = self
            .board
            .all()
            .filter(|_| self.board.leases > 0)
            .filter_map(|i| of(WorkKey::Step(self.board.steps[i as usize].path.clone()), &self.board.cell(i).lease));
        let gates = self
            .board
            .gates
            .iter()
            .filter_map(|(i, g)| of(WorkKey::Gate(self.board.steps[*i as usize].path.clone(), g.gate), &g.lease));
        let plan = self.plan_work.iter().filter_map(|s| of(WorkKey::Plan, &s.lease));
        let analysis = self.analysis.iter().filter_map(|s| of(WorkKey::Analysis, &s.lease));
        let undo = self.undoing.next().and_then(|undo| of(WorkKey::Undo(undo.path.clone()), &self.undoing.lease));
        steps.chain(gates).chain(plan).chain(analysis).chain(undo).collect()
    }

    /// Whether the holder of this attempt should stop because somebody wants it to.
    pub fn should_stop(&self, work: &WorkKey, attempt: u32) -> bool {
        let held = self.lease(work).is_some_and(|l| l.attempt == attempt);
        held && (self.cancelling || self.paused.as_ref().is_some_and(|p| p.stop_running))
    }

    /// Whether an agent works on it or has worked on it, or is the one that is to do it.
    pub fn is_of(&self, agent: AgentId) -> bool {
        self.executors.contains(&agent) || self.facts.agent == Some(agent)
    }

    /// Whether this attempt holds a live lease.
    pub fn holds(&self, work: &WorkKey, attempt: u32) -> bool {
        self.end.is_none() && self.lease(work).is_some_and(|l| l.attempt == attempt)
    }

    /// The order of claims: rank of the priority, higher first.
    pub fn priority(&self) -> Priority {
        self.facts.priority
    }

    /// How many steps and groups its plan has.
    pub fn size(&self) -> usize {
        self.board.size()
    }

    /// When it was born.
    pub fn born_at(&self) -> Option<Time> {
        self.born_at
    }

    /// When it first began.
    pub fn started_at(&self) -> Option<Time> {
        self.started_at
    }

    /// Reviews that have been decided.
    pub fn reviews(&self) -> &[Reviewed] {
        &self.reviews
    }

    /// The terms and votes of the open review.
    pub fn open_review(&self) -> Option<(ReviewId, Question, &Ballot)> {
        self.review.as_ref().map(|r| (r.id, r.question, &r.ballot))
    }

    /// The effects it had on the outside.
    pub fn effects(&self) -> &BTreeMap<EffectId, Effect> {
        &self.effects
    }

    /// How often it was tried again.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// How often failures were dealt with since a person last decided, here and in the tasks above.
    pub fn healed(&self) -> Healed {
        self.healed
    }

    /// Whether its private parts may be deleted, or were.
    pub fn is_erased(&self) -> bool {
        self.erased
    }

    /// Whether it left the live set.
    pub fn is_archived(&self) -> bool {
        self.archived
    }

    fn ballot(opened: &ReviewOpened) -> Ballot {
        Ballot {
            judges: opened.judges.clone(),
            required: opened.required,
            quorum: opened.quorum,
            solo: opened.solo,
            deadline: opened.deadline,
            votes: BTreeMap::new(),
        }
    }
}

/// A live lease, as the observer of silence needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveLease {
    /// On which work.
    pub work: WorkKey,
    /// The fencing token.
    pub attempt: u32,
    /// Who holds it.
    pub agent: crate::id::AgentId,
    /// The claim it answered.
    pub claim: crate::id::ClaimId,
    /// How long it lasts without a sign of life.
    pub lease_ms: u64,
}

fn blank_facts() -> Submitted {
    Submitted {
        namespace: "default".into(),
        task_type: "general".into(),
        priority: Priority::default(),
        mode: ExecutionMode::default(),
        autonomy: crate::spec::Autonomy::Autonomous,
        autonomy_given: false,
        due_at: None,
        release_at: None,
        deadline: None,
        timeout_ms: None,
        queue_ms: None,
        lease_ms: None,
        on_agent_lost: None,
        agent: None,
        session_ms: None,
        external_id: None,
        source: None,
        owner_type: None,
        owner_id: None,
        subject_ref_type: None,
        subject_ref_id: None,
        parent: None,
        depends_on: Vec::new(),
        retry_of: None,
        related: None,
        plan: None,
        confidence: None,
        acceptance_owed: false,
        model: None,
        complexity: None,
        budget: None,
        models: None,
        allocation: None,
        max_retries: 0,
        retry: None,
        recurrence: None,
        run: None,
        previous_run: None,
        author: None,
        risk: crate::spec::Risk::Low,
        risk_reasons: Vec::new(),
        findings: Vec::new(),
        constitution: None,
        rulings: Vec::new(),
        review_owed: false,
        final_review: false,
        released: false,
        stall_ms: None,
        depth: 0,
        healed: Healed::default(),
    }
}
