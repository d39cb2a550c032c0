//! What is asked. May refuse; changes nothing. Words of agents about their attempts are in `report`.

use super::{Decided, Draft, LATE_MAX, Task};
use crate::board::Offer;
use crate::command::{Answer, Changes, CheckedPlan, Claim, Command, Context, Decision, Refusal};
use crate::event::{
    ActorKind, Assigned, DecisionWord, EndReason, EscalationReason, Event, Failed, Modified, OverrideWord, Parent, Planned,
    Private, SkipReason, TextChanges,
};
use crate::gate;
use crate::id::ReviewId;
use crate::plan::Problem;
use crate::review::VoteWord;
use crate::spec::{Autonomy, ErrorClass, ExecutionMode, Priority};
use crate::status::{Status, StepStatus};
use crate::time::Time;
use crate::work::{EffectProbe, Judgement, WorkItem, WorkKey};
use serde_json::Value;
use std::collections::BTreeSet;

/// The most pieces of advice a task keeps; the agent has to read them all.
const GUIDANCE_MAX: usize = 100;
/// The most names of signals a task buffers.
const SIGNAL_NAMES_MAX: usize = 100;
/// The longest reason or advice, in bytes.
const TEXT_MAX: usize = 16 * 1024;

impl Task {
    pub(super) fn decide(&self, command: Command, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if self.born_at.is_none() {
            return match command {
                Command::Submit(submission) => Ok(self.submit(*submission, cx)),
                _ => Err(Refusal::NotFound { what: "task", id: self.id.to_string() }),
            };
        }
        if let Some(end) = &self.end {
            return self.after_the_end(command, end.status);
        }
        match command {
            Command::Submit(_) => Err(Refusal::AlreadySettled { what: "the submission" }),
            Command::Propose(plan) => self.propose(*plan, cx),
            Command::AcceptPlan => match self.acceptance_owed {
                true => Ok(Draft::new(Event::PlanAccepted).into()),
                false => Err(Refusal::AlreadySettled { what: "the plan" }),
            },
            Command::Claim(claim) => self.claim(&claim, cx),
            Command::Start { work, attempt } => self.start(&work, attempt, cx),
            Command::Report { work, attempt, outcome, plan } => self.report(&work, attempt, *outcome, plan.map(|p| *p), cx),
            Command::LeaseLapsed { work, attempt, counter } => self.lease_lapsed(&work, attempt, counter, cx),
            Command::Wake => Ok(Vec::new().into()),
            Command::Pause { reason, stop_running } => match self.paused {
                Some(_) => Err(self.not_now("pause", "resume or cancel it")),
                None => Ok(Draft::because(Event::Paused { stop_running }, bounded(&reason)?).into()),
            },
            Command::Resume => self.resume(),
            Command::Cancel { reason, force } => self.cancel(&reason, force, cx),
            Command::Modify(changes) => self.modify(*changes, cx),
            Command::Escalate { priority, reason } => match self.escalated {
                Some(_) => Err(self.not_now("escalate", "decide it")),
                None => Ok(self.escalate(priority, &reason)?),
            },
            Command::Decide(decision) => self.decide_escalation(*decision),
            Command::Override { decision, step, reason } => self.overrule(decision, step, &reason, cx),
            Command::Guide { text } => match self.contents.guidance.len() < GUIDANCE_MAX {
                true => Ok(Draft::because(Event::Guided, bounded(&text)?).into()),
                false => Err(Refusal::LimitReached { key: "guidance".into(), max: GUIDANCE_MAX as i64 }),
            },
            Command::Signal { name, payload } => self.signal(name, payload),
            Command::Vote { review, judge, vote, confidence, reason } => self.vote(review, judge, vote, confidence, &reason, cx),
            Command::Confirm { step, judgement } => self.confirm(&step, &judgement, cx),
            Command::Effect(wish) => self.effect(&wish, cx),
            Command::SettleEffect { effect, holder, outcome } => self.settle_effect(effect, holder, outcome),
            Command::Take { letters, outputs } => match letters.is_empty() {
                true => Ok(Vec::new().into()),
                false => Ok(Draft::with(Event::MailTaken { letters }, Private::Outputs(outputs)).into()),
            },
            Command::Archive => Err(self.not_now("archive", "cancel it first")),
            Command::Erase => Err(self.not_now("erase", "cancel it first")),
            Command::Note { .. } => Err(self.not_now("note on", "guide it while it is live")),
        }
    }

    /// What may still be said to a task that has ended.
    fn after_the_end(&self, command: Command, status: Status) -> Result<Decided, Refusal> {
        let already = |done: bool, event: Event| if done { Ok(Vec::new().into()) } else { Ok(Draft::new(event).into()) };
        match command {
            Command::Archive => already(self.archived, Event::Archived),
            Command::Erase => already(self.erased, Event::Erased),
            Command::Note { text } => Ok(Draft::because(Event::ReviewNoted, bounded(&text)?).into()),
            Command::Report { work, attempt, outcome, .. } if !self.said_before(&work, attempt, &outcome) => {
                Ok(self.too_late(&work, attempt, &outcome))
            }
            // Answers that got lost are asked for again; so is a wake that crossed the end.
            Command::Report { .. } | Command::Wake | Command::Take { .. } => Ok(Vec::new().into()),
            Command::Start { work, attempt } | Command::LeaseLapsed { work, attempt, .. } => {
                Err(Refusal::StaleAttempt { work, attempt })
            }
            Command::Effect(wish) => Err(Refusal::StaleAttempt { work: wish.work, attempt: wish.attempt }),
            Command::Vote { .. } => Err(Refusal::AlreadySettled { what: "the review" }),
            Command::Submit(_)
            | Command::Propose(_)
            | Command::AcceptPlan
            | Command::Claim(_)
            | Command::Pause { .. }
            | Command::Resume
            | Command::Cancel { .. }
            | Command::Modify(_)
            | Command::Escalate { .. }
            | Command::Decide(_)
            | Command::Override { .. }
            | Command::Guide { .. }
            | Command::Signal { .. }
            | Command::Confirm { .. }
            | Command::SettleEffect { .. } => Err(Refusal::Ended { status }),
        }
    }

    pub(super) fn not_now(&self, asked: &'static str, allowed: &'static str) -> Refusal {
        Refusal::NotNow { asked, status: self.status, allowed }
    }

    fn submit(&self, submission: crate::command::Submission, cx: &Context<'_>) -> Decided {
        let crate::command::Submission { mut facts, text } = submission;
        let mut drafts = Vec::with_capacity(1);
        // Facts about others, as they were when it was decided: tasks that have completed are waited for no more.
        let mut failed = false;
        facts.depends_on.retain(|on| match cx.ended.iter().find(|(id, _)| id == on) {
            Some((_, status)) => {
                failed |= *status != Status::Completed;
                false
            }
            None => true,
        });
        facts.released &= facts.depends_on.is_empty() && !failed;
        drafts.push(Draft::with(Event::Submitted(Box::new(facts)), Private::Request(Box::new(text))));
        if failed {
            drafts.push(Draft::new(Event::Failed { reason: EndReason::DependencyFailed, recoverable: true }));
        }
        drafts.into()
    }

    fn propose(&self, proposed: CheckedPlan, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if self.board.leases > 0 {
            return Err(self.not_now("replace the plan of", "wait until no step runs, or pause it with stop_running"));
        }
        let owed = cx.actor.kind != ActorKind::Human && proposed.confidence.is_some_and(|c| c < cx.policy.confidence_min);
        Ok(self.planned_by(proposed, None, owed).into())
    }

    pub(super) fn planned_by(&self, proposed: CheckedPlan, work: Option<WorkKey>, acceptance_owed: bool) -> Draft {
        let planned = Planned {
            plan_version: self.plan_version + 1,
            plan: proposed.plan,
            confidence: proposed.confidence,
            acceptance_owed,
            work,
        };
        Draft::with(Event::Planned(Box::new(planned)), Private::Plan(proposed.texts))
    }

    /// Grants the best piece of work the agent can do here.
    fn claim(&self, claim: &Claim, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let Some(offer) = self.best_offer(claim) else {
            return Err(Refusal::NoWork("nothing this agent can do is open in this task"));
        };
        let work = self.offered_work(offer);
        let attempt = match offer {
            Offer::Step(i) => self.board.cell(i).attempt + 1,
            Offer::Gate(_) | Offer::Plan | Offer::Analysis => self.side_attempts + 1,
        };
        if let Offer::Step(i) = offer
            && let Err(why) = self.params(i)
        {
            // Parameters that refer to nothing cannot be handed out, and trying again cannot help.
            let failed = Failed { work, attempt, class: ErrorClass::BadInput, retry_at: None };
            return Ok(Decided {
                drafts: vec![Draft::because(Event::AttemptFailed(Box::new(failed)), &why)],
                answer: Err(Refusal::NoWork("its parameters refer to nothing")),
            });
        }
        let step = if let Offer::Step(i) = offer { Some(&self.board.steps[i as usize]) } else { None };
        let limit = step.and_then(|s| s.timeout_ms).unwrap_or(cx.policy.attempt_timeout.ms);
        let assigned = Assigned {
            work: work.clone(),
            attempt,
            agent: claim.agent,
            claim: claim.claim,
            lease_ms: step.and_then(|s| s.lease_ms).unwrap_or(cx.policy.lease.ms),
            started: claim.start,
            start_by: step.and_then(|s| s.start_ms).filter(|_| !claim.start).map(|ms| cx.now.plus(ms)),
            timeout_at: claim.start.then(|| cx.now.plus(limit)),
        };
        let item = self.item(offer, &work, attempt, assigned.lease_ms, Some(limit));
        Ok(Decided { drafts: vec![Draft::new(Event::Assigned(Box::new(assigned)))], answer: Ok(Answer::Work(Box::new(item))) })
    }

    /// The best offer this agent can take. Keys of one capability are looked up; only keys of several are gone through.
    fn best_offer(&self, claim: &Claim) -> Option<Offer> {
        if !self.can_be_claimed() {
            return None;
        }
        let pick = |set: &BTreeSet<Offer>| {
            set.iter()
                .take_while(|o| !matches!(o, Offer::Step(_)))
                .chain(set.iter().find(|o| matches!(o, Offer::Step(_))))
                .copied()
                .find(|o| {
                    // The verifier is not the doer.
                    let doer = if let Offer::Gate(i) = o { self.board.gates.get(i).and_then(|g| g.doer) } else { None };
                    self.is_open(*o) && doer != Some(claim.agent)
                })
        };
        let pinned = format!("@{}", claim.agent);
        let single = claim
            .capabilities
            .iter()
            .flat_map(|c| [self.board.offers.get(&**c), self.board.offers.get(&*format!("{c}{pinned}"))]);
        let several = self.board.offers.iter().filter(|(key, _)| key.contains('+')).filter(|(key, _)| {
            let (words, agent) = key.split_once('@').map_or((&***key, None), |(w, a)| (w, Some(a)));
            agent.is_none_or(|a| a == &pinned[1..])
                && words.split('+').all(|w| claim.capabilities.binary_search_by(|c| (**c).cmp(w)).is_ok())
        });
        single.flatten().chain(several.map(|(_, set)| set)).filter_map(pick).min()
    }

    fn offered_work(&self, offer: Offer) -> WorkKey {
        let path = |i: u32| self.board.steps[i as usize].path.clone();
        match offer {
            Offer::Step(i) => WorkKey::Step(path(i)),
            Offer::Gate(i) => WorkKey::Gate(path(i), self.board.gates.get(&i).map_or(0, |g| g.gate)),
            Offer::Plan => WorkKey::Plan,
            Offer::Analysis => WorkKey::Analysis,
        }
    }

    /// Work under a live lease, again: for a claim whose answer was lost.
    pub fn held_work(&self, work: &WorkKey) -> Option<WorkItem> {
        let lease = self.lease(work)?;
        let offer = match work {
            WorkKey::Step(path) => Offer::Step(self.board.find(path)?),
            WorkKey::Gate(path, _) => Offer::Gate(self.board.find(path)?),
            WorkKey::Plan => Offer::Plan,
            WorkKey::Analysis => Offer::Analysis,
        };
        let limit = lease.timeout_at.map(|at| at.since(lease.since));
        Some(self.item(offer, work, lease.attempt, lease.lease_ms, limit))
    }

    /// What an agent needs to know about a piece of work.
    fn item(&self, offer: Offer, work: &WorkKey, attempt: u32, lease_ms: u64, timeout_ms: Option<u64>) -> WorkItem {
        let text = &self.contents.text;
        let mut item = WorkItem {
            task_id: self.id,
            work: work.clone(),
            attempt,
            lease_ms,
            timeout_ms,
            namespace: self.facts.namespace.to_string(),
            action: String::new(),
            title: text.title.clone(),
            description: text.description.clone(),
            params: Default::default(),
            may_act: self.may_act(),
            probe: None,
            guidance: self.contents.guidance.clone(),
            subject: Value::Null,
        };
        let error = |step: &str| self.contents.errors.get(&format!("step:{step}")).cloned().unwrap_or_default();
        match offer {
            Offer::Step(i) => {
                let step = &self.board.steps[i as usize];
                item.action = step.action.to_string();
                if let Some(words) = self.contents.steps.get(i as usize) {
                    if !words.title.is_empty() {
                        item.title.clone_from(&words.title);
                    }
                    item.description.clone_from(&words.description);
                }
                item.params = self.params(i).unwrap_or_default();
                item.probe = self.probe(work);
            }
            Offer::Gate(i) => {
                let step = &self.board.steps[i as usize];
                let gate = self.board.gates.get(&i).and_then(|g| step.gates.get(usize::from(g.gate)));
                item.action = gate.map_or("gate", |g| g.kind.capability()).to_owned();
                let result = self.contents.outputs.get(&self.step_name(i)).map(|s| &**s);
                item.subject = serde_json::json!({"gate": gate, "step": step.path, "result": result});
            }
            Offer::Plan => {
                item.action = "plan".into();
                item.subject = serde_json::json!({"title": text.title, "description": text.description,
                    "requirements": text.requirements, "payload": text.payload});
            }
            Offer::Analysis => {
                item.action = "analyse".into();
                let step = self.analysis.as_ref().and_then(|a| a.step.clone()).unwrap_or_default();
                item.subject = serde_json::json!({"step": step, "error": error(&step), "retries": self.retries});
            }
        }
        item
    }

    /// Whether outside effects are allowed at all (DESIGN §4, modes).
    pub(super) fn may_act(&self) -> bool {
        self.facts.mode != ExecutionMode::DryRun && self.facts.autonomy != Autonomy::Suggestion
    }

    /// An effect of this work that may or may not have happened and has to be looked for first.
    fn probe(&self, work: &WorkKey) -> Option<EffectProbe> {
        use crate::{spec::OnUnknown, work::EffectOutcome};
        self.effects
            .iter()
            .find(|(_, e)| e.work == *work && e.outcome == Some(EffectOutcome::Unknown) && e.on_unknown == OnUnknown::Probe)
            .map(|(id, _)| EffectProbe { effect_id: *id, idempotency_key: id.to_string() })
    }

    fn resume(&self) -> Result<Decided, Refusal> {
        let event = if self.paused.is_some() {
            Event::Resumed
        } else if !self.board.blocked.is_empty() {
            Event::Unblocked
        } else if self.stalled {
            Event::Unstalled
        } else {
            return Err(self.not_now("resume", "it is not held"));
        };
        Ok(Draft::new(event).into())
    }

    fn cancel(&self, reason: &str, force: bool, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let reason = bounded(reason)?;
        if force {
            return Ok(Draft::because(Event::Cancelled { reason: EndReason::Requested }, reason).into());
        }
        if self.cancelling {
            return Err(self.not_now("cancel again", "wait for its agents to end, or force it"));
        }
        if self.leases() == 0 {
            return Ok(Draft::because(Event::Cancelled { reason: EndReason::Requested }, reason).into());
        }
        let force_at = cx.now.plus(cx.policy.cancel_wait.ms);
        Ok(Draft::because(Event::CancelRequested { force_at }, reason).into())
    }

    fn modify(&self, changes: Changes, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if let Some(expected) = changes.expected_version
            && expected != self.version
        {
            return Err(Refusal::VersionConflict { is: self.version, expected });
        }
        let text = changes.text != TextChanges { reason: changes.text.reason.clone(), ..TextChanges::default() };
        if !text && changes.priority.is_none() && changes.deadline.is_none() && changes.due_at.is_none() && changes.mode.is_none()
        {
            return Err(invalid(
                "changes",
                "change at least one of priority, deadline, due_at, execution_mode, description, requirements, resource_limits",
            ));
        }
        if changes.deadline.is_some_and(|d| d <= cx.now) {
            return Err(invalid("deadline", "it has to be in the future"));
        }
        let modified = Modified {
            request_version: self.request_version + 1,
            priority: changes.priority,
            deadline: changes.deadline,
            due_at: changes.due_at,
            mode: changes.mode,
            text,
        };
        Ok(Draft::with(Event::Modified(Box::new(modified)), Private::Changes(Box::new(changes.text))).into())
    }

    fn escalate(&self, priority: Option<Priority>, reason: &str) -> Result<Decided, Refusal> {
        let event = Event::Escalated { reason: EscalationReason::Requested, priority };
        Ok(Draft::because(event, bounded(reason)?).into())
    }

    fn decide_escalation(&self, decision: Decision) -> Result<Decided, Refusal> {
        if self.escalated.is_none() {
            return Err(self.not_now("decide an escalation of", "escalate it first"));
        }
        let decided =
            Draft::with(Event::EscalationDecided { decision: decision.word }, Private::Changes(Box::new(decision.text.clone())));
        match decision.word {
            DecisionWord::Liquidate => {
                let stopped = Draft::because(Event::Stopped { reason: EndReason::Liquidated }, &decision.text.reason);
                Ok(vec![decided, stopped].into())
            }
            DecisionWord::ModifyScope if decision.text.description.is_none() && decision.text.requirements.is_none() => {
                Err(invalid("description", "MODIFY_SCOPE needs a new description or new requirements"))
            }
            DecisionWord::AllocateResources if decision.text.resource_limits.is_none() => {
                Err(invalid("resource_limits", "ALLOCATE_RESOURCES needs the new limits"))
            }
            DecisionWord::ModifyScope | DecisionWord::AllocateResources => Ok(decided.into()),
        }
    }

    fn overrule(
        &self,
        decision: OverrideWord,
        step: Option<Box<str>>,
        reason: &str,
        cx: &Context<'_>,
    ) -> Result<Decided, Refusal> {
        if cx.actor.kind != ActorKind::Human {
            return Err(Refusal::Forbidden("only a person may overrule".into()));
        }
        if reason.trim().is_empty() {
            return Err(invalid("reason", "an override says why"));
        }
        let found = match (&step, decision) {
            (Some(name), _) => {
                Some(self.board.find(name).ok_or_else(|| Refusal::NotFound { what: "step", id: name.to_string() })?)
            }
            (None, OverrideWord::SkipStep | OverrideWord::RetryStep | OverrideWord::PassGate) => {
                return Err(invalid("step", "say which step"));
            }
            (None, _) => None,
        };
        let path = found.map(|i| self.board.steps[i as usize].path.clone());
        let overridden = Draft::because(Event::Overridden { decision, step: path.clone() }, bounded(reason)?);
        let followed_by = match (decision, found, path) {
            (OverrideWord::Complete, ..) => vec![Draft::new(Event::Completed { gaps: self.unfinished() })],
            (OverrideWord::Fail, ..) => vec![Draft::new(Event::Failed { reason: EndReason::Overridden, recoverable: true })],
            (OverrideWord::Approve, ..) if self.review.is_some() || self.review_owed || self.escalated.is_some() => Vec::new(),
            (OverrideWord::Approve, ..) => return Err(self.not_now("approve", "no review of it is open")),
            (OverrideWord::SkipStep, Some(i), Some(step))
                if !self.board.cell(i).status.is_final() || self.board.failed.contains(&i) =>
            {
                vec![Draft::new(Event::StepSkipped { step, reason: SkipReason::Overridden })]
            }
            (OverrideWord::RetryStep, Some(i), _)
                if matches!(self.board.cell(i).status, StepStatus::Failed | StepStatus::Retrying | StepStatus::Blocked)
                    && self.board.kids(i).is_empty() =>
            {
                Vec::new()
            }
            (OverrideWord::PassGate, Some(i), _) if self.board.gates.contains_key(&i) => {
                let gate = self.board.gates.get(&i).map_or(0, |g| g.gate);
                vec![self.judged(i, gate, true, None, 0, "override", cx)]
            }
            (OverrideWord::SkipStep | OverrideWord::RetryStep | OverrideWord::PassGate, ..) => {
                return Err(
                    self.not_now("overrule this step of", "skip what has not ended, retry what failed, pass a gate that is open")
                );
            }
        };
        Ok(std::iter::once(overridden).chain(followed_by).collect::<Vec<_>>().into())
    }

    /// Steps that have not completed, named as gaps of a task that is declared complete.
    fn unfinished(&self) -> Vec<Box<str>> {
        let open = |i: &u32| self.board.kids(*i).is_empty() && self.board.cell(*i).status != StepStatus::Completed;
        (0..self.board.steps.len() as u32).filter(open).map(|i| self.board.steps[i as usize].path.clone()).collect()
    }

    fn signal(&self, name: Box<str>, payload: Value) -> Result<Decided, Refusal> {
        if !crate::plan::is_word(&name) {
            return Err(invalid("name", "1 to 128 letters, digits, `_`, `-`, `.`, `:`"));
        }
        if self.signals.len() >= SIGNAL_NAMES_MAX && !self.signals.contains_key(&name) {
            return Err(Refusal::LimitReached { key: "signals".into(), max: SIGNAL_NAMES_MAX as i64 });
        }
        if self.signals.get(&name).is_some_and(|n| *n as usize >= crate::contents::SIGNALS_MAX) {
            return Err(Refusal::LimitReached { key: format!("signal {name}"), max: crate::contents::SIGNALS_MAX as i64 });
        }
        Ok(Draft::with(Event::SignalReceived { name }, Private::Items(vec![payload])).into())
    }

    fn vote(
        &self,
        asked: Option<ReviewId>,
        judge: Box<str>,
        vote: VoteWord,
        confidence: Option<f64>,
        reason: &str,
        cx: &Context<'_>,
    ) -> Result<Decided, Refusal> {
        let Some(review) = self.review.as_ref().filter(|r| asked.is_none_or(|id| id == r.id)) else {
            return match self.reviews.is_empty() {
                true => Err(self.not_now("vote on", "no review of it is open")),
                false => Err(Refusal::AlreadySettled { what: "the review" }),
            };
        };
        if review.ballot.solo && cx.actor.kind != ActorKind::Human {
            return Err(Refusal::Forbidden("this review is decided by the operator".into()));
        }
        let judge = if review.ballot.solo { super::next::OPERATOR.into() } else { judge };
        if !review.ballot.judges.iter().any(|j| j.id == judge) {
            return Err(Refusal::Forbidden(format!("{judge} is not among the judges of this review")));
        }
        if confidence.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
            return Err(invalid("confidence", "from 0 to 1"));
        }
        let id = review.id;
        let cast = Draft::because(Event::VoteCast { review: id, judge, vote, confidence }, bounded(reason)?);
        Ok(Decided { drafts: vec![cast], answer: Ok(Answer::Review(id)) })
    }

    /// A person's word on an open gate that asks for one.
    fn confirm(&self, step: &str, judgement: &Judgement, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if cx.actor.kind != ActorKind::Human {
            return Err(Refusal::Forbidden("only a person may confirm".into()));
        }
        let open = self.board.find(step).and_then(|i| Some((i, self.board.gates.get(&i)?)));
        let Some((i, open)) = open.filter(|(_, g)| g.manual) else {
            return Err(self.not_now("confirm a step of", "no gate of this step waits for a person"));
        };
        let spec = &self.board.steps[i as usize].gates[usize::from(open.gate)];
        let found = gate::weigh(spec, judgement);
        Ok(self.judged(i, open.gate, found.passed, found.score, found.violations, "person", cx).into())
    }

    /// A word about an attempt that no longer counts: kept as evidence, never applied.
    pub(super) fn too_late(&self, work: &WorkKey, attempt: u32, outcome: &crate::work::Outcome) -> Decided {
        let refusal = Refusal::StaleAttempt { work: work.clone(), attempt };
        if self.late >= LATE_MAX {
            return Decided { drafts: Vec::new(), answer: Err(refusal) };
        }
        let text: String = serde_json::to_string(outcome).unwrap_or_default().chars().take(4_096).collect();
        let kept = Draft::because(Event::LateReportKept { work: work.clone(), attempt }, &text);
        Decided { drafts: vec![kept], answer: Err(refusal) }
    }

    /// The task this one is part of.
    pub fn parent(&self) -> Option<&Parent> {
        self.facts.parent.as_ref()
    }

    /// When it must have ended.
    pub fn deadline(&self) -> Option<Time> {
        self.facts.deadline
    }
}

/// One problem with what was asked.
pub(super) fn invalid(field: &str, message: &str) -> Refusal {
    Refusal::Invalid(vec![Problem::new(field, message)])
}

/// A text of bearable length.
fn bounded(text: &str) -> Result<&str, Refusal> {
    if text.len() <= TEXT_MAX {
        Ok(text)
    } else {
        Err(invalid("reason", &format!("has {} bytes; allowed are {TEXT_MAX}", text.len())))
    }
}
