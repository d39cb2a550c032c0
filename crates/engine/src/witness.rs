//! A second opinion on a task's events. It keeps its own, simpler account of what must hold (DESIGN §7) and knows nothing of how the
//! rules come to their decisions: who holds what, which gates and approvals stand between a step and its end, what may act outside.
//! Doctor asks it about a whole database, the simulation after every step.

use ephor_core::event::{
    Actor, ActorKind, ApprovalWord, Assigned, CheckResult, DecisionWord, EndReason, EscalationReason, Event, Finding,
    OverrideWord, SkipReason, Submitted, Succeeded,
};
use ephor_core::id::{AgentId, EffectId, TaskId};
use ephor_core::review::Question;
use ephor_core::spec::{Autonomy, ErrorClass, ExecutionMode, OnAgentLost, OnUnknown, Risk};
use ephor_core::status::{BlockReason, Status};
use ephor_core::work::{EffectOutcome, WorkKey};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

mod actions;
mod agents;
mod back;
mod budget;
mod council;
mod models;
mod steps;
mod undo;

use council::Open;
pub(crate) use steps::Stage;
use steps::Steps;

/// What must never be (DESIGN §7), and what a database must be beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An acknowledged command is lost.
    Lost,
    /// Two live leases on one step, or a fencing token that does not grow.
    TwoLeases,
    /// A late or foreign word changes state.
    Late,
    /// Something follows an end that may not, or its status changes.
    EndChanged,
    /// A state is reached without its decision.
    Undecided,
    /// What is stored is not what the events say.
    Differs,
    /// An unfinished task waits on nobody and nothing.
    Abandoned,
    /// A gate or approval is skipped.
    Skipped,
    /// An effect where none may be, or one that nobody asks after.
    Effect,
    /// An error is swallowed.
    Swallowed,
    /// The chain of hashes is broken.
    Chain,
    /// Time runs backwards.
    Time,
    /// The storage itself complains.
    Storage,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Against what.
    pub rule: Rule,
    /// What, in one sentence.
    pub what: String,
}

/// A live lease, as the events tell it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) attempt: u32,
    pub(crate) agent: AgentId,
    pub(crate) started: bool,
}

/// Where the approval to start is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Approval {
    #[default]
    NotNeeded,
    Owed,
    Given,
    Refused,
}

#[derive(Clone, Debug)]
struct Acted {
    work: WorkKey,
    outcome: Option<EffectOutcome>,
    /// In which attempt it was last granted.
    attempt: u32,
    /// Whether a person is asked when nobody knows; their word lets the step go on.
    ask: bool,
}

/// Who speaks, as an event tells it.
pub(crate) struct Said<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) at: i64,
}

impl Said<'_> {
    fn is_human(&self) -> bool {
        self.actor.kind == ActorKind::Human
    }

    /// Whether an agent speaks that is not this one.
    fn is_other_agent(&self, agent: AgentId) -> bool {
        self.actor.kind == ActorKind::Ai && *self.actor.id != *agent.to_string()
    }
}

/// The account of one task.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) steps: Steps,
    actions: actions::Actions,
    models: models::Models,
    budget: budget::Budgets,
    pub(crate) leases: HashMap<WorkKey, Held>,
    /// The highest attempt ever of each work.
    tokens: HashMap<WorkKey, u32>,
    author: Option<Box<str>>,
    /// Who does the steps that name nobody.
    agent: Option<AgentId>,
    /// Whether one agent does all of them, and the one that does.
    one_session: bool,
    session: Option<AgentId>,
    /// What the task says about agents that fall silent.
    on_agent_lost: Option<OnAgentLost>,
    doers: HashSet<AgentId>,
    mode: ExecutionMode,
    drafts_only: bool,
    final_review: bool,
    max_retries: u32,
    retries: u32,
    deadline: Option<i64>,
    due_at: Option<i64>,
    /// When it may be released, where that is not its due time.
    release_at: Option<i64>,
    dependencies: BTreeSet<TaskId>,
    dependency_failed: bool,
    acceptance_owed: bool,
    released: bool,
    /// The constitution refuses it, and no decision about that is owed yet.
    outlawed: bool,
    /// Whether what is to be done needs an approval; one that was given is void when that changes.
    needs_approval: bool,
    approval: Approval,
    result_accepted: bool,
    result_refused: bool,
    asked_last: Option<Question>,
    review: Option<Open>,
    paused: bool,
    escalated: Option<EscalationReason>,
    cancelling: bool,
    stalled: bool,
    /// How long its work may wait for an agent.
    stall_ms: Option<u64>,
    /// When it was last seen that somebody worked on it, or that it was let go on.
    touched_at: i64,
    effects: BTreeMap<EffectId, Acted>,
    ended: bool,
    erased: bool,
    /// The override the last event was, if it was one.
    overruled: Option<(OverrideWord, Option<Box<str>>)>,
    /// Where a person went back to, until the task is tried again.
    went_back: Option<Box<str>>,
    /// The decision the last event was, if it was one.
    liquidated: bool,
    /// What the council decided about the escalation.
    council_says: Option<DecisionWord>,
    /// When the house may decide about it.
    house_limit: Option<i64>,
    /// Rules that have seen a high risk.
    risky: BTreeSet<Box<str>>,
    /// Since when the question is open that people were last told of, and how far up the ladder it was.
    raised: Option<(i64, u32)>,
    /// Steps whose work has to be undone before anything is tried again, what comes next first.
    owed: VecDeque<Box<str>>,
    breaches: Vec<Breach>,
}

impl Witness {
    /// Takes in the next event and says what must not be about it.
    pub(crate) fn take(&mut self, event: &Event, said: &Said<'_>, before: Option<Status>, after: Option<Status>) -> Vec<Breach> {
        if self.ended && !event.may_follow_the_end() {
            self.breach(Rule::EndChanged, format!("{} follows the end", event.kind()));
        }
        if let (Some(before), Some(after)) = (before, after) {
            if before.is_final() && before != after {
                self.breach(Rule::EndChanged, format!("{} turns {before} into {after}", event.kind()));
            } else if !before.may_become(after) {
                self.breach(Rule::Undecided, format!("{} leads from {before} to {after}", event.kind()));
            }
        }
        if self.leases.values().any(|held| held.started) || matches!(event, Event::Released | Event::Resumed | Event::Unstalled) {
            self.touched_at = said.at;
        }
        self.hear(event, said);
        let leases = &self.leases;
        self.budget.release(|work| leases.contains_key(work));
        if self.ended {
            self.budget.end();
        }
        if !matches!(event, Event::Overridden { .. }) {
            self.overruled = None;
        }
        if !matches!(event, Event::ParamsChanged { .. }) {
            self.actions.changed = None;
        }
        self.liquidated = matches!(event, Event::EscalationDecided { decision: DecisionWord::Liquidate, .. });
        self.standing(event, after);
        std::mem::take(&mut self.breaches)
    }

    /// What it has used, as the witness counts it; nothing where it has no budget.
    pub(crate) fn spent(&self) -> Option<ephor_core::budget::Amount> {
        self.budget.spent()
    }

    fn breach(&mut self, rule: Rule, what: String) {
        self.breaches.push(Breach { rule, what });
    }

    /// A hold, and a decision that is owed, are seen in the status.
    fn standing(&mut self, event: &Event, after: Option<Status>) {
        let Some(after) = after.filter(|s| !s.is_final()) else { return };
        // Whatever moves a task on is the care that a stall asks for; a hold forgets nothing.
        self.stalled &= matches!(after, Status::Paused | Status::Stalled);
        let wanted = match (self.paused, self.escalated.is_some()) {
            (true, _) => Some(Status::Paused),
            (false, true) => Some(Status::Escalated),
            (false, false) => None,
        };
        if let Some(wanted) = wanted
            && after != wanted
        {
            self.breach(Rule::Undecided, format!("after {} it is {after}, but it should be {wanted}", event.kind()));
        }
    }

    fn hear(&mut self, event: &Event, said: &Said<'_>) {
        match event {
            Event::Submitted(facts) => self.born(facts, said),
            Event::Released => self.release(said.at),
            Event::RunMissed { due_at } => self.postponed(due_at.0),
            Event::Planned(planned) => {
                self.end_lease(&WorkKey::Plan, planned.work.as_ref().filter(|w| **w == WorkKey::Plan).map(|_| said));
                self.leases.retain(|work, _| matches!(work, WorkKey::Plan | WorkKey::Analysis | WorkKey::Undo(_)));
                self.steps.replan(&planned.plan);
                self.actions.replan();
                self.models.forget();
                self.steps_are_given();
                self.acceptance_owed = planned.acceptance_owed;
                let new_risk = self.sees_new_risk(&planned.rulings);
                if planned.review_owed {
                    self.needs_approval = true;
                } else if new_risk && planned.risk >= Risk::High {
                    self.breach(Rule::Undecided, format!("a plan whose risk is {} waits for nobody", planned.risk.word()));
                }
                if asks_for_a_look(&planned.findings) && !planned.acceptance_owed {
                    self.breach(Rule::Undecided, "a plan with suspicious words waits for nobody".into());
                }
                if matches!(self.escalated, Some(EscalationReason::NoPlan | EscalationReason::Constitution)) {
                    self.escalated = None;
                }
                self.ask_again();
            }
            Event::PlanAccepted => self.acceptance_owed = false,
            Event::Assigned(assigned) => self.assigned(assigned, said),
            Event::Started { work, attempt, .. } => {
                self.fenced(work, *attempt, said, "a start");
                if let Some(held) = self.leases.get_mut(work) {
                    held.started = true;
                }
            }
            Event::AttemptSucceeded(done) => {
                self.budget.used(&done.work, done.used);
                self.fenced(&done.work, done.attempt, said, "a result");
                self.leases.remove(&done.work);
                match &done.work {
                    WorkKey::Step(path) => {
                        self.says_what_it_did(path, done);
                        let found = self.steps.succeeded(path, done);
                        self.breaches.extend(found);
                    }
                    WorkKey::Gate(path, gate) => self.steps.reported(path, *gate, done.evidence.first()),
                    WorkKey::Undo(path) => self.undone(path),
                    WorkKey::Plan | WorkKey::Analysis => {}
                }
            }
            Event::AttemptFailed(failed) => {
                self.budget.used(&failed.work, failed.used);
                let unclaimed = failed.class == ErrorClass::BadInput
                    && !self.leases.contains_key(&failed.work)
                    && failed.attempt > self.tokens.get(&failed.work).copied().unwrap_or(0);
                match unclaimed {
                    // Parameters that refer to nothing fail the attempt before it is handed out.
                    true => drop(self.tokens.insert(failed.work.clone(), failed.attempt)),
                    false => self.fenced(&failed.work, failed.attempt, said, "a failure"),
                }
                if failed.class == ErrorClass::AgentLost {
                    self.session_lost(&failed.work);
                }
                self.leases.remove(&failed.work);
                if let WorkKey::Step(path) = &failed.work {
                    if failed.class == ErrorClass::AgentLost {
                        self.lost(path, OnAgentLost::Reoffer, said);
                    }
                    let found = self.steps.failed_attempt(path, failed.class, failed.retry_at.is_some());
                    self.breaches.extend(found);
                }
            }
            Event::StepFailed { step, .. } => {
                if self.leases.contains_key(&WorkKey::Step(step.clone())) {
                    self.breach(Rule::Late, format!("step {step} fails while it is held"));
                }
                self.steps.set(step, Stage::Failed);
            }
            Event::StepSkipped { step, reason } => {
                self.drop_leases_of(step);
                self.steps.set(step, Stage::Skipped);
                if *reason == SkipReason::Overridden {
                    self.nothing_in_the_way();
                }
            }
            Event::ConditionMet { step } => self.steps.condition_met(step),
            Event::Expanded { step, count } => self.steps.expand(step, *count),
            Event::WaitEnded { step, .. } => self.steps.set(step, Stage::Done),
            Event::ChildBorn { step, child, lent } => {
                self.budget.lent(*child, *lent);
                self.steps.child(step, *child);
            }
            Event::StepBlocked { step, attempt, reason, .. } => {
                if *reason == BlockReason::AgentOffline {
                    self.lost(step, OnAgentLost::Block, said);
                }
                let work = WorkKey::Step(step.clone());
                if *reason == BlockReason::AgentOffline {
                    self.session_lost(&work);
                }
                self.fenced(&work, *attempt, said, "a report");
                self.leases.remove(&work);
            }
            Event::BudgetCrossed(crossed) => self.budget.crossed(crossed),
            Event::QuestionRaised(raised) => {
                let before = self.raised.filter(|(since, _)| *since == raised.since.0).map_or(0, |(_, rung)| rung);
                if raised.rung < before || (raised.rung == before && !raised.to.is_empty()) {
                    self.breach(Rule::Undecided, format!("rung {} of the ladder follows rung {before}", raised.rung));
                }
                self.raised = Some((raised.since.0, raised.rung));
            }
            Event::ModelChanged(changed) => self.breaches.extend(self.models.changed(changed)),
            Event::ApprovalAsked(asked) => self.approval_asked(asked),
            Event::ApprovalAnswered { step, digest, answer, .. } => {
                self.approval_answered(step, digest, *answer, said);
                if *answer != ApprovalWord::Approved {
                    self.steps.set(step, Stage::Failed);
                }
            }
            Event::ParamsChanged { step, findings, rulings: _ } => {
                self.actions.changed = Some(step.clone());
                if asks_for_a_look(findings) {
                    self.needs_approval = true;
                    self.ask_again();
                }
            }
            Event::ResultJudged { step, attempt, confirm, .. } => {
                self.fenced(&WorkKey::Step(step.clone()), *attempt, said, "a word about a result");
                if *confirm {
                    self.steps.confirm_one(step);
                }
            }
            Event::GateOpened { step, gate, .. } => {
                let found = self.steps.gate_opened(step, *gate);
                self.breaches.extend(found);
            }
            Event::GateJudged(judged) => {
                self.leases.remove(&WorkKey::Gate(judged.step.clone(), judged.gate));
                let passed_by_person = matches!(&self.overruled, Some((OverrideWord::PassGate, _)));
                let found = self.steps.judged(judged, said.is_human(), passed_by_person);
                self.breaches.extend(found);
            }
            Event::ReviewOpened(opened) => {
                let found = council::opened(opened, self.author.as_deref(), &self.doers);
                self.breaches.extend(found);
                if opened.question == Question::Admission {
                    // A changed scope is asked about anew.
                    self.approval = Approval::Owed;
                }
                self.review = Some(Open::new(opened));
            }
            Event::VoteCast { review, judge, vote, marks, .. } => {
                let found = match self.review.as_mut().filter(|open| open.id == *review) {
                    Some(open) => open.vote(judge, *vote, &marks.conditions),
                    None => Some(Breach { rule: Rule::Undecided, what: format!("{judge} voted when no such review was open") }),
                };
                self.breaches.extend(found);
            }
            Event::ReviewDecided { review, verdict, tally, .. } => self.decided(*review, *verdict, tally, said),
            Event::TaskAttemptFailed { .. } => drop(self.leases.remove(&WorkKey::Analysis)),
            Event::RolledBack { checkpoint, steps, compensations, by_person, .. } => {
                if *by_person {
                    self.back_by_person(checkpoint, said);
                }
                for path in steps {
                    if self.leases.contains_key(&WorkKey::Step(path.clone())) {
                        self.breach(Rule::Late, format!("step {path} is rolled back while it is held"));
                    }
                    self.drop_leases_of(path);
                    self.actions.forget(path);
                }
                self.undo_all(steps, compensations);
                let found = self.steps.rolled_back(checkpoint, steps);
                self.breaches.extend(found);
            }
            Event::Retried { retries } => {
                // What a person went back for is no retry: all is counted anew.
                let anew = self.went_back.take().is_some();
                if *retries != self.retries + u32::from(!anew) || *retries > self.max_retries {
                    self.breach(
                        Rule::Undecided,
                        format!("try {retries} follows {} of {} allowed", self.retries, self.max_retries),
                    );
                }
                self.retries = *retries;
                self.nothing_is_owed("the task is tried again");
                self.try_again();
            }
            Event::Escalated { reason, limit_at, .. } => {
                self.escalated = Some(*reason);
                self.outlawed &= *reason != EscalationReason::Constitution;
                self.house_limit = limit_at.map(|at| at.0);
                if is_about_steps(*reason) {
                    self.leases.remove(&WorkKey::Analysis);
                }
            }
            Event::EscalationDecided { decision, by, allocation, ends } => {
                self.models.given(allocation);
                if self.escalated.is_none() {
                    self.breach(Rule::Undecided, "an escalation was decided that there was not".into());
                }
                // What ends by it waits for nobody's decision any more, and goes nowhere else before.
                if !ends {
                    self.escalated = None;
                }
                if *ends != (*decision == DecisionWord::Liquidate) && *ends {
                    self.breach(Rule::Undecided, format!("it was to end by {decision:?}"));
                }
                self.who_decides(*decision, *by, said);
                if *decision == DecisionWord::ModifyScope {
                    self.ask_again();
                }
                if *decision != DecisionWord::Liquidate {
                    self.retries = 0;
                    if !self.owed.is_empty() {
                        // What has to be undone first is undone first.
                    } else if self.steps.are_laid() {
                        self.try_again();
                    } else {
                        self.leases.remove(&WorkKey::Plan);
                    }
                }
            }
            Event::JudgedAnew(anew) => {
                self.sees_new_risk(&anew.rulings);
                self.outlawed = anew.refused;
                if anew.review_owed {
                    self.needs_approval = true;
                    self.ask_again();
                }
            }
            Event::Paused { .. } => self.paused = true,
            Event::Resumed => self.paused = false,
            Event::CancelRequested { .. } => self.cancelling = true,
            Event::Modified(change) => {
                if change.mode == Some(ExecutionMode::Strict) && self.mode != ExecutionMode::Strict {
                    self.needs_approval = true;
                    self.steps.confirm_each();
                    self.ask_again();
                }
                if let Some(agent) = change.agent {
                    self.steps.hand_over(self.agent.replace(agent), Some(agent));
                }
                self.models.given(&change.allocation);
                if let Some(terms) = &change.budget {
                    if !said.is_human() {
                        self.breach(Rule::Undecided, format!("its budget was changed by {}", said.actor));
                    }
                    self.budget.is(terms);
                }
                let doubtful = asks_for_a_look(&change.findings);
                self.needs_approval |= doubtful;
                if change.text || doubtful {
                    self.ask_again();
                }
                self.mode = change.mode.unwrap_or(self.mode);
                if let Some(autonomy) = change.autonomy {
                    self.drafts_only = autonomy == Autonomy::Suggestion;
                }
                self.deadline = change.deadline.map(|t| t.0).or(self.deadline);
                if change.due_at.is_some() || change.release_at.is_some() {
                    self.due_at = change.due_at.map(|t| t.0).or(self.due_at);
                    self.release_at = change.release_at.map(|t| t.0);
                }
            }
            Event::Overridden { decision, step } => {
                if let (OverrideWord::RetryStep, Some(step)) = (decision, step) {
                    self.actions.forget(step);
                }
                self.overridden(*decision, step.as_deref(), said);
            }
            Event::Stalled => {
                self.has_waited(said);
                self.stalled = true;
            }
            Event::StallNoted | Event::StallPutOff | Event::StallEscalated { .. } => self.has_waited(said),
            Event::Unstalled => self.stalled = false,
            Event::SessionEnded => self.session = None,
            Event::Reassigned(what) => self.reassigned(what, said),
            Event::EffectGranted(granted) => {
                if self.mode == ExecutionMode::DryRun || self.drafts_only {
                    self.breach(Rule::Effect, format!("{} was granted, but nothing may happen outside", granted.action));
                }
                if self.paused || self.cancelling {
                    self.breach(Rule::Effect, format!("{} was granted while the task is held", granted.action));
                }
                self.fenced(&granted.work, granted.attempt, said, "an effect");
                let before = self.effects.get(&granted.effect).map(|e| (e.outcome, e.ask));
                if matches!(before, Some((Some(EffectOutcome::Done), _) | (Some(EffectOutcome::Unknown), true))) {
                    self.breach(Rule::Effect, format!("{} was granted again, but it may have happened", granted.effect));
                }
                let ask = granted.on_unknown == OnUnknown::Ask;
                let acted = Acted { work: granted.work.clone(), outcome: None, attempt: granted.attempt, ask };
                self.effects.insert(granted.effect, acted);
            }
            Event::EffectSettled { effect, outcome } => self.settled(*effect, *outcome, said),
            Event::MailTaken { letters } => letters.iter().for_each(|letter| self.letter(letter)),
            Event::Completed { .. } => {
                self.completed();
                self.end();
            }
            Event::Failed { reason, .. } => {
                if *reason == EndReason::Deadline && self.deadline.is_none_or(|by| said.at < by) {
                    self.breach(Rule::Undecided, "it failed by a deadline that had not come".into());
                }
                if *reason == EndReason::Budget && !self.budget.is_crossed() {
                    self.breach(Rule::Undecided, "it failed for a budget that sufficed".into());
                }
                if *reason == EndReason::ResultRejected && !self.result_refused {
                    self.breach(Rule::Undecided, "its result was refused by nobody".into());
                }
                self.end();
            }
            Event::Cancelled { reason } => {
                if *reason == EndReason::Rejected && self.approval != Approval::Refused {
                    self.breach(Rule::Undecided, "it was refused by nobody".into());
                }
                self.end();
            }
            Event::Stopped { reason } => {
                if *reason == EndReason::Liquidated && !self.liquidated {
                    self.breach(Rule::Undecided, "it was stopped without a decision".into());
                }
                self.end();
            }
            Event::Reoffered { side, .. } => {
                if let Some(work) = side.as_ref().filter(|work| self.leases.contains_key(work)) {
                    self.breach(Rule::Late, format!("{work} is offered again while it is held"));
                }
            }
            Event::PlanRequested { .. }
            | Event::WaitStarted { .. }
            | Event::Unblocked
            | Event::Guided
            | Event::SignalReceived { .. }
            | Event::LateReportKept { .. }
            | Event::Archived => {}
            Event::Erased => self.erased = true,
            Event::ReviewNoted if self.erased => {
                self.breach(Rule::EndChanged, "words were written about it after it was erased".into());
            }
            Event::ReviewNoted => {}
        }
    }

    fn born(&mut self, facts: &Submitted, said: &Said<'_>) {
        facts.budget.iter().for_each(|terms| self.budget.is(terms));
        self.author = Some(facts.author.clone().unwrap_or_else(|| said.actor.id.clone()));
        self.mode = facts.mode;
        self.drafts_only = facts.autonomy == Autonomy::Suggestion;
        self.final_review = facts.final_review;
        self.max_retries = facts.max_retries;
        self.deadline = facts.deadline.map(|t| t.0);
        self.due_at = facts.due_at.map(|t| t.0);
        self.release_at = facts.release_at.map(|t| t.0);
        self.dependencies = facts.depends_on.iter().copied().collect();
        self.acceptance_owed = facts.acceptance_owed;
        self.needs_approval = facts.review_owed;
        self.sees_new_risk(&facts.rulings);
        if asks_for_a_look(&facts.findings) && !facts.review_owed {
            self.breach(Rule::Undecided, "it was submitted with suspicious words and waits for nobody".into());
        }
        self.approval = if facts.review_owed { Approval::Owed } else { Approval::NotNeeded };
        self.agent = facts.agent;
        self.one_session = facts.session_ms.is_some();
        self.on_agent_lost = facts.on_agent_lost;
        (self.stall_ms, self.touched_at) = (facts.stall_ms, said.at);
        self.steps = Steps::new(facts.retry.clone());
        if let Some(plan) = &facts.plan {
            self.steps.replan(plan);
            self.steps_are_given();
        }
        if facts.released {
            self.release(said.at);
        }
    }

    /// Nothing may stand in the way of the release.
    fn release(&mut self, at: i64) {
        self.released = true;
        if matches!(self.approval, Approval::Owed | Approval::Refused) {
            self.breach(Rule::Skipped, "it was released without the approval it needs".into());
        }
        if !self.dependencies.is_empty() || self.dependency_failed {
            self.breach(Rule::Undecided, "it was released before what it depends on had completed".into());
        }
        if self.release_at.or(self.due_at).is_some_and(|due| due > at) {
            self.breach(Rule::Undecided, "it was released before it was due".into());
        }
    }

    /// Only what has not begun waits for another time, and a later one; its deadline moves with it.
    fn postponed(&mut self, due_at: i64) {
        let before = self.due_at.unwrap_or(due_at);
        if self.released || due_at <= before {
            self.breach(Rule::Undecided, format!("a run due at {before} was moved to {due_at}"));
        }
        self.due_at = Some(due_at);
        self.release_at = None;
        self.deadline = self.deadline.map(|deadline| deadline + (due_at - before));
    }

    /// Only `Assigned` grants a lease: everything that stands in its way is looked at here.
    fn assigned(&mut self, assigned: &Assigned, said: &Said<'_>) {
        let work = &assigned.work;
        if said.is_other_agent(assigned.agent) {
            self.breach(Rule::Late, format!("{work} was given to {} on the word of {}", assigned.agent, said.actor));
        }
        if let Some(held) = self.leases.get(work) {
            let what = format!("{work} was given to {} while {} holds attempt {}", assigned.agent, held.agent, held.attempt);
            self.breach(Rule::TwoLeases, what);
        }
        let last = self.tokens.insert(work.clone(), assigned.attempt).unwrap_or(0);
        if assigned.attempt <= last {
            self.breach(Rule::TwoLeases, format!("attempt {} of {work} follows attempt {last}", assigned.attempt));
        }
        let in_the_way = [
            (!self.released, "it is not released"),
            (matches!(self.approval, Approval::Owed | Approval::Refused), "its approval is owed"),
            (self.acceptance_owed, "its plan waits for a person"),
            (self.paused, "it is paused"),
            (self.escalated.is_some(), "a decision about it is owed"),
            (self.cancelling, "it is being cancelled"),
            (self.stalled, "it is stalled"),
            (self.outlawed, "the constitution refuses it"),
            (!self.dependencies.is_empty(), "it depends on others"),
        ];
        for (stands, what) in in_the_way {
            if stands {
                self.breach(Rule::Skipped, format!("{work} was given away although {what}"));
            }
        }
        match work {
            WorkKey::Step(path) => {
                if self.one_session && self.session.is_none() {
                    self.session = Some(assigned.agent);
                }
                let found = self.steps.given(path, assigned.agent, self.session);
                self.breaches.extend(found);
                self.breaches.extend(self.actions.given(path, assigned));
                self.breaches.extend(self.models.used(path, assigned));
                self.breaches.extend(self.budget.given(path, assigned));
                self.doers.insert(assigned.agent);
                self.nothing_is_owed("a step was given away");
            }
            WorkKey::Undo(path) => {
                self.undo_given(path);
                self.doers.insert(assigned.agent);
            }
            WorkKey::Gate(path, gate) => {
                let found = self.steps.gate_given(path, *gate, assigned.agent);
                self.breaches.extend(found);
            }
            WorkKey::Plan | WorkKey::Analysis => {}
        }
        let held = Held { attempt: assigned.attempt, agent: assigned.agent, started: assigned.started };
        self.leases.insert(work.clone(), held);
    }

    /// What names nobody is for the task's own agent, where it has one.
    fn steps_are_given(&mut self) {
        if let Some(agent) = self.agent {
            self.steps.hand_over(None, Some(agent));
        }
    }

    /// The step of an agent that fell silent goes the way its task says.
    fn lost(&mut self, path: &str, then: OnAgentLost, said: &Said<'_>) {
        // An agent may say of itself that it lost another one.
        if said.actor.kind != ActorKind::Ai && self.on_agent_lost.is_some_and(|wanted| wanted != then) {
            self.breach(Rule::Undecided, format!("the agent of step {path} fell silent, and what followed was {then:?}"));
        }
    }

    /// The agent of a session fell silent: another one may begin one.
    fn session_lost(&mut self, work: &WorkKey) {
        let holder = self.leases.get(work).map(|held| held.agent);
        if matches!(work, WorkKey::Step(_)) && holder.is_some() && holder == self.session {
            self.session = None;
        }
    }

    /// A word about an attempt counts only from its holder, and only while it is the live one.
    fn fenced(&mut self, work: &WorkKey, attempt: u32, said: &Said<'_>, what: &str) {
        match self.leases.get(work) {
            Some(held) if held.attempt != attempt => {
                let is = held.attempt;
                self.breach(Rule::Late, format!("{what} of attempt {attempt} counted while {work} is in attempt {is}"));
            }
            Some(held) if said.is_other_agent(held.agent) => {
                let what = format!("{what} of {work} by {} counted, but {} holds it", said.actor, held.agent);
                self.breach(Rule::Late, what);
            }
            Some(_) => {}
            None => self.breach(Rule::Late, format!("{what} of attempt {attempt} counted although nobody holds {work}")),
        }
    }

    /// Ends a lease, by its holder's word where one is given.
    fn end_lease(&mut self, work: &WorkKey, by: Option<&Said<'_>>) {
        match (self.leases.remove(work), by) {
            (None, Some(said)) => self.breach(Rule::Late, format!("{work} was answered by {}, who did not hold it", said.actor)),
            (Some(held), Some(said)) if said.is_other_agent(held.agent) => {
                self.breach(Rule::Late, format!("{work} was answered by {}, but {} held it", said.actor, held.agent));
            }
            (Some(_) | None, _) => {}
        }
    }

    /// A step that is left out takes its gates and its parts along.
    fn drop_leases_of(&mut self, step: &str) {
        let inside = format!("{step}.");
        self.leases.retain(|work, _| match work {
            WorkKey::Step(path) | WorkKey::Gate(path, _) => **path != *step && !path.starts_with(&inside),
            WorkKey::Plan | WorkKey::Analysis | WorkKey::Undo(_) => true,
        });
    }

    fn try_again(&mut self) {
        self.leases.remove(&WorkKey::Analysis);
        self.steps.revive();
    }

    fn overridden(&mut self, decision: OverrideWord, step: Option<&str>, said: &Said<'_>) {
        if !said.is_human() {
            self.breach(Rule::Undecided, format!("{} overruled, but only a person may", said.actor));
        }
        self.overruled = Some((decision, step.map(Into::into)));
        match decision {
            OverrideWord::Approve => {
                if matches!(self.approval, Approval::Owed | Approval::Refused) {
                    self.approval = Approval::Given;
                }
                let undecided = self.escalated == Some(EscalationReason::ReviewUndecided);
                let open = self.review.take_if(|open| open.question != Question::Escalation);
                let asked = open.map(|open| open.question).or(self.asked_last.filter(|_| undecided));
                self.result_accepted |= asked == Some(Question::Result);
                if undecided || matches!(self.escalated, Some(EscalationReason::Requested | EscalationReason::Constitution)) {
                    self.escalated = None;
                }
            }
            OverrideWord::RetryStep | OverrideWord::Compensated if step.is_some_and(|step| self.is_undone_next(step)) => {
                if self.escalated == Some(EscalationReason::CompensationFailed) {
                    self.escalated = None;
                }
                if decision == OverrideWord::Compensated {
                    self.owed.pop_front();
                }
            }
            OverrideWord::Compensated => self.breach(Rule::Undecided, "a step was said to be undone that is not to be".into()),
            OverrideWord::RetryStep => {
                if let Some(step) = step {
                    self.steps.retry(step);
                }
                self.nothing_in_the_way();
            }
            OverrideWord::Rollback => self.overruled_back(step),
            OverrideWord::SkipStep | OverrideWord::Complete | OverrideWord::Fail | OverrideWord::PassGate => {}
        }
    }

    /// A step that was in the way is dealt with; where it was the last one the task goes on.
    fn nothing_in_the_way(&mut self) {
        if self.steps.any_failed() || !self.owed.is_empty() {
            return;
        }
        self.leases.remove(&WorkKey::Analysis);
        if self.escalated.is_some_and(is_about_steps) {
            self.escalated = None;
        }
    }

    /// What was approved is no longer what would be done.
    fn ask_again(&mut self) {
        self.result_accepted = false;
        self.review = None;
        if self.needs_approval {
            self.approval = Approval::Owed;
        }
    }

    /// Whether a rule sees a high risk that has not seen one in this task before.
    fn sees_new_risk(&mut self, rulings: &[ephor_core::constitution::Said]) -> bool {
        let mut new = false;
        for said in rulings.iter().filter(|said| said.risk >= Some(Risk::High)) {
            new |= self.risky.insert(said.rule.clone());
        }
        new
    }

    /// A step that acts on the outside, and works where that is allowed, was granted it or is known to have done it without asking.
    fn says_what_it_did(&mut self, path: &str, done: &Succeeded) {
        if self.mode == ExecutionMode::DryRun || self.drafts_only || !done.unguarded.is_empty() || !self.steps.acts(path) {
            return;
        }
        let of = |acted: &Acted| {
            acted.work == done.work && (acted.attempt == done.attempt || acted.outcome == Some(EffectOutcome::Done))
        };
        if !self.effects.values().any(of) {
            self.breach(Rule::Effect, format!("step {path} acts, worked, was granted nothing, and nobody says so"));
        }
    }

    fn settled(&mut self, effect: EffectId, outcome: EffectOutcome, said: &Said<'_>) {
        let Some(acted) = self.effects.get(&effect) else {
            return self.breach(Rule::Effect, format!("{effect} was settled but never granted"));
        };
        let (work, ask) = (acted.work.clone(), acted.ask);
        if matches!(acted.outcome, Some(EffectOutcome::Done | EffectOutcome::NotDone)) {
            self.breach(Rule::Effect, format!("{effect} was settled twice"));
        }
        match said.actor.kind {
            ActorKind::Ai => match self.leases.get(&work) {
                Some(held) if !said.is_other_agent(held.agent) => {}
                Some(_) | None => {
                    self.breach(Rule::Late, format!("{effect} was settled by {}, who does not hold {work}", said.actor));
                }
            },
            ActorKind::System if self.leases.contains_key(&work) => {
                self.breach(Rule::Effect, format!("{effect} was given up while {work} is held"));
            }
            ActorKind::System | ActorKind::Human => {}
        }
        self.effects.get_mut(&effect).expect("it was found above").outcome = Some(outcome);
        if let WorkKey::Step(path) = &work
            && ask
            && outcome == EffectOutcome::Unknown
        {
            self.steps.held_up(path);
        }
    }

    fn letter(&mut self, letter: &ephor_core::event::Letter) {
        use ephor_core::event::Letter;
        match letter {
            Letter::DependencyEnded { dependency, status } => {
                self.dependency_failed |= self.dependencies.remove(dependency) && *status != Status::Completed;
            }
            Letter::ChildEnded { child, step: Some(step), status, used } => {
                self.budget.child_used(*child, *used);
                self.steps.child_ended(step, *child, *status);
            }
            Letter::ChildEnded { child, step: None, used, .. } => self.budget.child_used(*child, *used),
            Letter::ChildJoined { .. }
            | Letter::DependentJoined { .. }
            | Letter::ParentEnded { .. }
            | Letter::GoesOn { .. }
            | Letter::Replaced { .. } => {}
        }
    }

    fn completed(&mut self) {
        if matches!(self.overruled, Some((OverrideWord::Complete, _))) {
            return;
        }
        for step in self.steps.unfinished() {
            self.breach(Rule::Skipped, format!("it completed before step {step} had"));
        }
        if (self.final_review || self.steps.anything_unmet()) && !self.result_accepted {
            self.breach(Rule::Skipped, "it completed although its result was not accepted".into());
        }
        if self.approval == Approval::Owed || self.approval == Approval::Refused {
            self.breach(Rule::Skipped, "it completed without the approval it needs".into());
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.leases.clear();
        self.review = None;
        self.paused = false;
        self.escalated = None;
    }

    /// Whose task it is.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn author(&self) -> Option<&str> {
        self.author.as_deref()
    }

    /// The tasks it depends on and has not yet heard the end of.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn dependencies(&self) -> &BTreeSet<TaskId> {
        &self.dependencies
    }

    /// What must not be when all that follows from the last command has followed.
    pub(crate) fn at_rest(&self) -> Vec<Breach> {
        if self.ended {
            return Vec::new();
        }
        let unsaid = (self.outlawed && !self.paused)
            .then(|| Breach { rule: Rule::Undecided, what: "the constitution refuses it, and nobody is asked".into() });
        let forgotten = self.effects.iter().filter(|(_, e)| e.outcome.is_none() && !self.leases.contains_key(&e.work));
        forgotten
            .map(|(id, e)| Breach {
                rule: Rule::Effect,
                what: format!("nobody knows about {id} of {} and nobody says so", e.work),
            })
            .chain(unsaid)
            .collect()
    }
}

/// Whether a decision is owed because of steps that failed.
fn is_about_steps(reason: EscalationReason) -> bool {
    match reason {
        EscalationReason::RetriesSpent | EscalationReason::HumanIntervention | EscalationReason::HealingSpent => true,
        EscalationReason::Requested
        | EscalationReason::ReviewUndecided
        | EscalationReason::NoPlan
        | EscalationReason::CompensationFailed
        | EscalationReason::Constitution => false,
    }
}

/// Whether something was found that somebody has to look at.
fn asks_for_a_look(findings: &[Finding]) -> bool {
    findings.iter().any(|found| found.result == CheckResult::RequiresReview)
}
