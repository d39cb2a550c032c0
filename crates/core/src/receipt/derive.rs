//! The summary of a receipt, from its events and nothing else: who writes one and who checks it both ask here.

use super::outside::from_outside;
use super::*;
use crate::constitution::Point;
use crate::event::{Event, Planned, Private, Submitted};
use crate::plan::{Plan, StepText};
use crate::review::{Ballot, Grounds};
use crate::task::Task;
use crate::time::Time;
use std::collections::{HashMap, HashSet};

/// An event that was read.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// As it was stored.
    pub stored: &'a ReceiptEvent,
    /// What it says.
    pub event: Event,
    /// The words that came with it, where they are still there.
    pub words: Option<Private>,
}

/// What follows from the events of a task, from the first one on.
pub fn summary(id: TaskId, known: &[Known<'_>]) -> ReceiptSummary {
    let mut seen = Seen::new(id);
    for known in known {
        seen.take(known);
    }
    seen.whole()
}

/// The votes of a review, counted by its terms: arithmetic that anyone can repeat.
pub fn ballot(review: &ReceiptReview) -> Ballot {
    Ballot {
        judges: review.judges.clone(),
        required: review.required,
        quorum: review.quorum,
        solo: review.solo,
        deadline: review.deadline.0,
        votes: review.votes.iter().map(|vote| (vote.judge.as_str().into(), vote.vote)).collect(),
    }
}

/// What of a receipt is known after some of its events.
struct Seen {
    task: Task,
    submitted_by: String,
    plans: Vec<ReceiptPlan>,
    validation: Vec<ReceiptValidation>,
    constitution: Vec<ReceiptRuling>,
    reviews: Vec<ReceiptReview>,
    approvals: Vec<ReceiptApproval>,
    /// Steps whose parameters were changed with an answer that has not come yet.
    changed: HashSet<Box<str>>,
    interventions: Vec<ReceiptIntervention>,
    granted: HashMap<EffectId, Vec<ReceiptMark>>,
    settled: HashMap<EffectId, ReceiptMark>,
    gates: Vec<ReceiptGate>,
    attempts: Vec<ReceiptAttempt>,
    /// The last attempt at each piece of work, by its place among all.
    running: HashMap<WorkKey, usize>,
    totals: BTreeMap<String, f64>,
    timeline: Vec<ReceiptMoment>,
}

impl Seen {
    fn new(id: TaskId) -> Self {
        Self {
            task: Task::unborn(id),
            submitted_by: String::new(),
            plans: Vec::new(),
            validation: Vec::new(),
            constitution: Vec::new(),
            reviews: Vec::new(),
            approvals: Vec::new(),
            changed: HashSet::new(),
            interventions: Vec::new(),
            granted: HashMap::new(),
            settled: HashMap::new(),
            gates: Vec::new(),
            attempts: Vec::new(),
            running: HashMap::new(),
            totals: BTreeMap::new(),
            timeline: Vec::new(),
        }
    }

    /// The next event.
    fn take(&mut self, known: &Known<'_>) {
        let Known { stored, event, words } = known;
        self.timeline.push(ReceiptMoment {
            event: stored.version,
            at: WireTime(Time(stored.at)),
            actor: stored.actor.clone(),
            kind: stored.kind.clone(),
            status: stored.after,
            words: stored.digest.clone(),
        });
        let words = words.as_ref();
        match event {
            Event::Submitted(facts) => self.submitted(facts, words, stored),
            Event::Planned(planned) => self.planned(planned, words, stored),
            Event::PlanAccepted => {
                if let Some(plan) = self.plans.last_mut() {
                    plan.accepted = Some(mark(stored));
                }
            }
            Event::Expanded { step, count } => {
                if let Some(plan) = self.plans.last_mut() {
                    plan.lists.push(ReceiptList { event: stored.version, step: step.to_string(), count: *count });
                }
            }
            Event::Modified(changed) => self.found("change", &changed.findings, stored),
            Event::Assigned(assigned) => {
                self.ruled(Point::Action, None, Some(&assigned.work), &assigned.rulings, stored);
                self.running.insert(assigned.work.clone(), self.attempts.len());
                self.attempts.push(ReceiptAttempt {
                    work: assigned.work.clone(),
                    attempt: assigned.attempt,
                    agent: assigned.agent,
                    event: stored.version,
                    at: WireTime(Time(stored.at)),
                    approved: assigned.approved.as_deref().map(Into::into),
                    ended: None,
                    class: None,
                    ms: None,
                    metrics: Map::new(),
                });
            }
            Event::AttemptSucceeded(done) => {
                self.unguarded(done.unguarded.len(), stored);
                self.ended(&done.work, done.attempt, None, &done.metrics, stored);
            }
            Event::AttemptFailed(failed) => {
                self.unguarded(failed.unguarded.len(), stored);
                let used = failed.used.iter().flat_map(|used| used.figures());
                let metrics = used.map(|(name, n)| (name.to_owned(), n.into())).collect();
                self.ended(&failed.work, failed.attempt, Some(failed.class), &metrics, stored);
            }
            Event::ResultJudged { step, rulings, .. } => {
                self.ruled(Point::Result, None, Some(&WorkKey::Step(step.clone())), rulings, stored);
            }
            Event::JudgedAnew(anew) => self.constitution.push(ReceiptRuling {
                event: stored.version,
                at: Point::Admission,
                document: Some(anew.constitution.to_string()),
                work: None,
                rulings: anew.rulings.clone(),
            }),
            Event::ApprovalAsked(asked) => self.approvals.push(ReceiptApproval {
                step: asked.step.to_string(),
                asked: mark(stored),
                digest: asked.digest.to_string(),
                args_digest: asked.args_digest.to_string(),
                until: WireTime(asked.until),
                risk: asked.risk,
                rulings: asked.rulings.clone(),
                params_changed: false,
                answer: None,
                answered: None,
                answered_digest: None,
                answered_args_digest: None,
                self_decided: false,
                reason: None,
            }),
            Event::ParamsChanged { step, findings, rulings } => {
                self.found("params", findings, stored);
                if rulings.is_empty() {
                    self.changed.insert(step.clone());
                }
                self.ruled(Point::Action, None, Some(&WorkKey::Step(step.clone())), rulings, stored);
            }
            Event::ApprovalAnswered { step, digest, args_digest, answer, self_decided } => {
                let changed = self.changed.remove(step);
                let open = self.approvals.iter_mut().rev().find(|asked| *asked.step == **step && asked.answer.is_none());
                if let Some(asked) = open {
                    asked.params_changed = changed;
                    asked.answer = Some(*answer);
                    asked.answered = Some(mark(stored));
                    asked.answered_digest = Some(digest.to_string());
                    asked.answered_args_digest = Some(args_digest.to_string());
                    asked.self_decided = *self_decided;
                    asked.reason = reason(words);
                }
            }
            Event::GateJudged(judged) => self.gates.push(ReceiptGate {
                event: stored.version,
                at: WireTime(Time(stored.at)),
                step: judged.step.to_string(),
                gate: judged.gate,
                kind: self.task.step(&judged.step).and_then(|(step, _)| step.gates.get(usize::from(judged.gate))).map(|g| g.kind),
                passed: judged.passed,
                score: judged.score,
                violations: judged.violations,
                by: judged.by.to_string(),
                who: stored.actor.clone(),
                advisory: judged.advisory,
            }),
            Event::ReviewOpened(opened) => self.reviews.push(ReceiptReview {
                id: opened.review,
                question: opened.question,
                event: stored.version,
                judges: opened.judges.clone(),
                required: opened.required,
                quorum: opened.quorum,
                solo: opened.solo,
                deadline: WireTime(opened.deadline),
                proposal: opened.proposal,
                votes: Vec::new(),
                counted: Tally::default(),
                tally: None,
                verdict: None,
                decided: None,
                self_decided: false,
            }),
            Event::VoteCast { review, judge, vote, confidence, marks } => {
                let grounds = match words {
                    Some(Private::Vote(grounds)) => (**grounds).clone(),
                    Some(_) | None => Grounds::default(),
                };
                if let Some(open) = self.review(*review) {
                    open.votes.push(ReceiptVote {
                        event: stored.version,
                        at: WireTime(Time(stored.at)),
                        judge: judge.to_string(),
                        vote: *vote,
                        confidence: *confidence,
                        reason: reason(words),
                        marks: (**marks).clone(),
                        evidence: grounds.evidence,
                        recommendations: grounds.recommendations,
                    });
                }
            }
            Event::ReviewDecided { review, verdict, tally, self_decided } => {
                if let Some(open) = self.review(*review) {
                    open.tally = Some(*tally);
                    open.verdict = Some(*verdict);
                    open.decided = Some(mark(stored));
                    open.self_decided = *self_decided;
                }
            }
            Event::EffectGranted(granted) => self.granted.entry(granted.effect).or_default().push(mark(stored)),
            Event::EffectSettled { effect, .. } => {
                self.settled.insert(*effect, mark(stored));
            }
            Event::Released
            | Event::RunMissed { .. }
            | Event::PlanRequested { .. }
            | Event::Started { .. }
            | Event::StepFailed { .. }
            | Event::StepSkipped { .. }
            | Event::ConditionMet { .. }
            | Event::Reoffered { .. }
            | Event::WaitStarted { .. }
            | Event::WaitEnded { .. }
            | Event::ChildBorn { .. }
            | Event::StepBlocked { .. }
            | Event::Unblocked
            | Event::BudgetCrossed(_)
            | Event::ModelChanged(_)
            | Event::QuestionRaised(_)
            | Event::GateOpened { .. }
            | Event::TaskAttemptFailed { .. }
            | Event::RolledBack { .. }
            | Event::Retried { .. }
            | Event::Escalated { .. }
            | Event::EscalationDecided { .. }
            | Event::Paused { .. }
            | Event::Resumed
            | Event::CancelRequested { .. }
            | Event::Overridden { .. }
            | Event::Guided
            | Event::SignalReceived { .. }
            | Event::Stalled
            | Event::StallNoted
            | Event::StallPutOff
            | Event::StallEscalated { .. }
            | Event::Reassigned(_)
            | Event::Unstalled
            | Event::SessionEnded
            | Event::MailTaken { .. }
            | Event::Completed { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Stopped { .. }
            | Event::LateReportKept { .. }
            | Event::Archived
            | Event::Erased
            | Event::ReviewNoted => {}
        }
        if let Some((decision, step)) = from_outside(event) {
            self.interventions.push(ReceiptIntervention {
                event: stored.version,
                at: WireTime(Time(stored.at)),
                by: stored.actor.clone(),
                what: event.kind().into(),
                decision,
                step,
                reason: reason(words),
            });
        }
        self.task.take_in(event, words, Time(stored.at));
    }

    fn submitted(&mut self, facts: &Submitted, words: Option<&Private>, stored: &ReceiptEvent) {
        self.submitted_by.clone_from(&stored.actor);
        self.found("request", &facts.findings, stored);
        // Named even where no rule spoke: it was asked.
        if facts.constitution.is_some() || !facts.rulings.is_empty() {
            self.constitution.push(ReceiptRuling {
                event: stored.version,
                at: Point::Admission,
                document: facts.constitution.as_deref().map(Into::into),
                work: None,
                rulings: facts.rulings.clone(),
            });
        }
        if let Some(plan) = &facts.plan {
            let texts = match words {
                Some(Private::Request(text)) => text.steps.as_slice(),
                Some(_) | None => &[],
            };
            self.plan(1, plan, texts, facts.confidence, facts.acceptance_owed, stored);
        }
    }

    fn planned(&mut self, planned: &Planned, words: Option<&Private>, stored: &ReceiptEvent) {
        self.found("plan", &planned.findings, stored);
        self.ruled(Point::Plan, None, None, &planned.rulings, stored);
        let texts = match words {
            Some(Private::Plan(texts)) => texts.as_slice(),
            Some(_) | None => &[],
        };
        self.plan(planned.plan_version, &planned.plan, texts, planned.confidence, planned.acceptance_owed, stored);
    }

    fn plan(
        &mut self,
        version: u32,
        plan: &Plan,
        texts: &[StepText],
        confidence: Option<f64>,
        owed: bool,
        stored: &ReceiptEvent,
    ) {
        let path = |i: &u32| plan.steps.get(*i as usize).map_or_else(String::new, |step| step.path.to_string());
        let step = |(i, step): (usize, &crate::plan::Step)| ReceiptStep {
            path: step.path.to_string(),
            key: step.key.as_deref().map(Into::into),
            title: texts.get(i).map(|text| text.title.clone()).unwrap_or_default(),
            action: if step.children > 0 { String::new() } else { step.action.to_string() },
            params: texts.get(i).map(|text| text.params.clone()).unwrap_or_default(),
            needs: step.needs.iter().map(path).collect(),
            gates: step.gates.iter().map(|gate| gate.kind).collect(),
            model: step.model.as_deref().map(Into::into),
            acts: step.acts,
            optional: step.optional,
        };
        self.plans.push(ReceiptPlan {
            version,
            event: stored.version,
            by: stored.actor.clone(),
            confidence,
            acceptance_owed: owed,
            accepted: None,
            steps: plan.steps.iter().enumerate().map(step).collect(),
            lists: Vec::new(),
        });
    }

    fn found(&mut self, of: &str, findings: &[Finding], stored: &ReceiptEvent) {
        if !findings.is_empty() {
            self.validation.push(ReceiptValidation { event: stored.version, of: of.into(), findings: findings.to_vec() });
        }
    }

    fn ruled(&mut self, at: Point, document: Option<String>, work: Option<&WorkKey>, rulings: &[Said], stored: &ReceiptEvent) {
        if !rulings.is_empty() {
            let work = work.map(ToString::to_string);
            self.constitution.push(ReceiptRuling { event: stored.version, at, document, work, rulings: rulings.to_vec() });
        }
    }

    fn review(&mut self, id: ReviewId) -> Option<&mut ReceiptReview> {
        self.reviews.iter_mut().rev().find(|review| review.id == id)
    }

    /// An attempt is over.
    fn ended(
        &mut self,
        work: &WorkKey,
        attempt: u32,
        class: Option<ErrorClass>,
        metrics: &Map<String, Value>,
        stored: &ReceiptEvent,
    ) {
        let last = self.running.remove(work).and_then(|i| self.attempts.get_mut(i)).filter(|last| last.attempt == attempt);
        let Some(last) = last else { return };
        last.ended = Some(if class.is_some() { "FAILED" } else { "SUCCEEDED" }.into());
        last.class = class;
        last.ms = Some(Time(stored.at).since(last.at.0));
        last.metrics.clone_from(metrics);
        for (name, value) in metrics {
            if let Some(figure) = value.as_f64().filter(|figure| adds_up(name) && figure.is_finite()) {
                *self.totals.entry(name.clone()).or_default() += figure;
            }
        }
    }

    /// What an attempt did without asking has the ids the task gives it when it takes in the event.
    fn unguarded(&mut self, acts: usize, stored: &ReceiptEvent) {
        for n in (0..).take(acts) {
            let id = EffectId::derived(self.task.id, self.task.version, n);
            self.granted.entry(id).or_default().push(mark(stored));
        }
    }

    fn whole(mut self) -> ReceiptSummary {
        for review in &mut self.reviews {
            review.counted = ballot(review).tally();
        }
        let (granted, settled) = (&mut self.granted, &mut self.settled);
        let effects = self.task.effects().iter().map(|(id, effect)| ReceiptEffect {
            id: *id,
            right: if effect.unguarded.is_none() { EffectRight::Granted } else { EffectRight::Unguarded },
            work: effect.work.clone(),
            attempt: effect.attempt,
            action: effect.action.to_string(),
            args_digest: effect.args_digest.to_string(),
            granted: granted.remove(id).unwrap_or_default(),
            outcome: effect.outcome,
            settled: settled.remove(id),
        });
        let effects = effects.collect();
        let (task, facts) = (&self.task, &self.task.facts);
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let (started, end) = (task.started_at(), task.end());
        ReceiptSummary {
            task: ReceiptTask {
                id: task.id,
                namespace: facts.namespace.to_string(),
                task_type: facts.task_type.to_string(),
                title: task.contents.text.title.clone(),
                external_id: text(&facts.external_id),
                source: text(&facts.source),
                submitted_by: self.submitted_by,
                author: text(&facts.author),
                execution_mode: facts.mode,
                autonomy: facts.autonomy,
                priority: facts.priority,
                risk: facts.risk,
                risk_reasons: facts.risk_reasons.iter().map(ToString::to_string).collect(),
                status: task.status(),
                end_reason: end.and_then(|end| end.reason),
                created_at: task.born_at().map(WireTime),
                started_at: started.map(WireTime),
                ended_at: end.map(|end| WireTime(end.at)),
                events: task.version,
                erased: task.is_erased(),
            },
            plans: self.plans,
            validation: self.validation,
            constitution: self.constitution,
            reviews: self.reviews,
            approvals: self.approvals,
            interventions: self.interventions,
            effects,
            gates: self.gates,
            usage: ReceiptUsage {
                span_ms: started.zip(end).map(|(from, end)| end.at.since(from)),
                work_ms: self.attempts.iter().filter_map(|attempt| attempt.ms).fold(0, u64::saturating_add),
                totals: self.totals,
                attempts: self.attempts,
            },
            timeline: self.timeline,
        }
    }
}

fn mark(stored: &ReceiptEvent) -> ReceiptMark {
    ReceiptMark { event: stored.version, at: WireTime(Time(stored.at)), by: stored.actor.clone() }
}

/// Why, where words say.
fn reason(words: Option<&Private>) -> Option<String> {
    match words {
        Some(Private::Text(text)) => Some(text.clone()),
        Some(Private::Vote(grounds)) => Some(grounds.reason.clone()).filter(|reason| !reason.is_empty()),
        Some(Private::Changes(changes)) => Some(changes.reason.clone()).filter(|reason| !reason.is_empty()),
        Some(Private::Request(_) | Private::Plan(_) | Private::Success(_) | Private::Items(_) | Private::Outputs(_)) | None => {
            None
        }
    }
}

/// The word of something that has one on the wire.
pub(super) fn word_of<T: Serialize>(value: &T) -> Option<String> {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned))
}

/// Whether figures of this name may be added up.
pub(crate) fn adds_up(name: &str) -> bool {
    name.split('_').any(|word| matches!(word, "cost" | "tokens" | "calls"))
}
