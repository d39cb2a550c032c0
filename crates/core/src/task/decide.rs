//! What is asked. May refuse; changes nothing. What agents ask and say is in `claim` and `report`, what people do in `intervene`.

use super::council::Word;
use super::{Decided, Draft, LATE_MAX, Task};
use crate::command::{CheckedPlan, Command, Context, Refusal};
use crate::constitution::{Judged, Ruling, Said};
use crate::event::{ActorKind, CheckResult, EndReason, Event, Finding, Parent, Planned, Private};
use crate::gate::{self, Found};
use crate::models::catalogue::Wanted;
use crate::models::choose::{Asked, Chosen, choose};
use crate::plan::{Plan, Problem};
use crate::planted::{self, Fault};
use crate::spec::{GateSpec, Risk};
use crate::status::Status;
use crate::time::Time;
use crate::work::{Judgement, WorkKey};
use serde_json::Value;

/// The most pieces of advice a task keeps; the agent has to read them all.
const GUIDANCE_MAX: usize = 100;
/// The most names of signals a task buffers.
const SIGNAL_NAMES_MAX: usize = 100;
/// How many gates that a plan leaves out are told.
const LOST_MAX: usize = 10;
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
            Command::AcceptPlan => self.accept_plan(cx),
            Command::Claim(claim) => self.claim(&claim, cx),
            Command::Start { work, attempt } => self.start(&work, attempt, cx),
            Command::Report { work, attempt, outcome, plan } => self.report(&work, attempt, *outcome, plan.map(|p| *p), cx),
            Command::LeaseLapsed { work, attempt, counter } => self.lease_lapsed(&work, attempt, counter, cx),
            Command::Wake => Ok(Vec::new().into()),
            Command::Pause { reason, stop_running } => match &self.paused {
                // What was to finish is stopped after all.
                Some(hold) if stop_running && !hold.stop_running => {
                    Ok(Draft::because(Event::Paused { stop_running }, bounded(&reason)?).into())
                }
                Some(_) => Err(self.not_now("pause", "resume or cancel it")),
                None => Ok(Draft::because(Event::Paused { stop_running }, bounded(&reason)?).into()),
            },
            Command::Resume { reason } => self.resume(&reason),
            Command::Cancel { reason, force } => self.cancel(&reason, force, cx),
            Command::Modify(changes) => self.modify(*changes, cx),
            Command::Escalate { priority, reason } => match self.escalated {
                Some(_) => Err(self.not_now("escalate", "decide it")),
                None => Ok(self.escalate(priority, &reason, cx)?),
            },
            Command::Decide(decision) => self.decide_escalation(*decision, cx),
            Command::Override { decision, step, reason } => self.overrule(decision, step, &reason, cx),
            Command::Reassign { agent, reason } => self.reassign(agent, &reason, cx),
            Command::Guide { text } => self.guide(&text),
            Command::Signal { name, payload } => self.signal(name, payload),
            Command::Vote { review, judge, vote, confidence, reason, opinion } => {
                self.vote(review, Word { judge, vote, confidence, reason, opinion: *opinion }, cx)
            }
            Command::Confirm { step, judgement } => self.confirm(&step, &judgement, cx),
            Command::Approve(word) => self.approve(*word, cx),
            Command::Effect(wish) => self.effect(&wish, cx),
            Command::SettleEffect { effect, holder, outcome } => self.settle_effect(effect, holder, outcome, cx),
            Command::Take { letters, outputs, more: _ } => match letters.is_empty() {
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
            Command::Note { .. } if self.erased => {
                Err(self.not_now("note on", "it was erased, and no words about it are kept any more"))
            }
            Command::Note { text } => Ok(Draft::because(Event::ReviewNoted, bounded(&text)?).into()),
            Command::Report { work, attempt, .. } if planted::is(Fault::LateReportApplied) => {
                Ok(Draft::new(Event::Started { work, attempt, timeout_at: None }).into())
            }
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
            Command::Signal { name, payload } if planted::is(Fault::SignalRevives) => self.signal(name, payload),
            Command::Submit(_)
            | Command::Propose(_)
            | Command::AcceptPlan
            | Command::Claim(_)
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Cancel { .. }
            | Command::Modify(_)
            | Command::Escalate { .. }
            | Command::Decide(_)
            | Command::Override { .. }
            | Command::Reassign { .. }
            | Command::Guide { .. }
            | Command::Signal { .. }
            | Command::Confirm { .. }
            | Command::Approve(_)
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
        drafts.push(Draft::with(Event::Submitted(Box::new(facts)), Private::Request(text)));
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
        Ok(self.planned_by(proposed, None, owed, cx)?.into())
    }

    fn accept_plan(&self, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if !self.acceptance_owed {
            return Err(Refusal::AlreadySettled { what: "the plan" });
        }
        if cx.actor.kind != ActorKind::Human {
            return Err(Refusal::Forbidden("only a person may accept a plan that was read with little confidence".into()));
        }
        somebody_else(cx, "accept the plan of")?;
        Ok(Draft::new(Event::PlanAccepted).into())
    }

    fn guide(&self, text: &str) -> Result<Decided, Refusal> {
        if text.trim().is_empty() {
            return Err(invalid("text", "say what should be kept in mind"));
        }
        if self.contents.guidance.len() >= GUIDANCE_MAX {
            return Err(Refusal::LimitReached { key: "guidance".into(), max: GUIDANCE_MAX as i64 });
        }
        Ok(Draft::because(Event::Guided, bounded(text)?).into())
    }

    /// A plan takes the place of what is not finished. The constitution is asked about it first: it may refuse it, or want a person to
    /// accept it; so may what was found in its words.
    pub(super) fn planned_by(
        &self,
        proposed: CheckedPlan,
        work: Option<WorkKey>,
        acceptance_owed: bool,
        cx: &Context<'_>,
    ) -> Result<Draft, Refusal> {
        let mut proposed = proposed;
        let chosen = self.choose_for(&mut proposed.plan, cx);
        let law = cx.policy.law.as_ref();
        let judged = law.map(|law| law.judge_plan(&self.facts, &self.contents.text, &proposed, cx.now)).transpose();
        let judged = judged.map_err(Refusal::Invalid)?.unwrap_or_default();
        let risk = judged.risk();
        let unknown = |said: &Said| !self.facts.rulings.contains(said);
        let review_owed = judged.said.iter().any(|said| said.risk >= Some(Risk::High) && unknown(said));
        let Judged { ruling, said: rulings } = judged;
        let doubtful = crate::validation::doubtful(&proposed.findings) && !planted::is(Fault::DoubtOverlooked);
        let acceptance_owed = acceptance_owed || ruling >= Ruling::Escalate || doubtful;
        // Whoever made the plan need not know in which mode the task runs.
        let mut plan = proposed.plan;
        crate::request::confirm_each_step(&mut plan, self.facts.mode);
        let mut findings = proposed.findings;
        // Whoever asks without a name may be the agent itself.
        if !cx.actor.is_somebody() || work.is_some() {
            findings.extend(self.gates_lost(&plan));
        }
        let acceptance_owed = acceptance_owed || (crate::validation::doubtful(&findings) && !planted::is(Fault::DoubtOverlooked));
        let planned = Planned {
            plan_version: self.plan_version + 1,
            plan,
            confidence: proposed.confidence,
            acceptance_owed,
            work,
            models: chosen.models,
            allocation: chosen.allocation,
            rulings,
            risk,
            review_owed,
            findings,
        };
        Ok(Draft::with(Event::Planned(Box::new(planned)), Private::Plan(proposed.texts)))
    }

    /// What another plan leaves out of what stood before the results of steps that are not finished. Only a person may do without.
    fn gates_lost(&self, plan: &Plan) -> Vec<Finding> {
        let open = self.board.all().filter(|i| self.board.kids(*i).is_empty() && !self.board.has_ended(*i));
        let lost = open.filter_map(|i| {
            let step = &self.board.steps[i as usize];
            // Conditions of the council are put into every plan by themselves.
            let own = |gate: &&GateSpec| !gate.advisory && !self.is_condition(gate);
            let mut gates = step.gates.iter().filter(own).peekable();
            gates.peek()?;
            let after = plan.steps.iter().find(|after| match &step.key {
                Some(key) => after.key.as_ref() == Some(key),
                // What came out of a list is found under the step that made it.
                None => step.path.strip_prefix(&*after.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            });
            let gone = gates.find(|gate| after.is_none_or(|after| !after.gates.contains(gate)))?;
            let reason = format!(
                "the plan leaves out {} of step {}, which nobody but a person may do without",
                gone.kind.word(),
                step.path
            );
            Some(Finding { check: "gates".into(), result: CheckResult::RequiresReview, reason: reason.into() })
        });
        lost.take(LOST_MAX).collect()
    }

    /// Lets a plan that came later ask for the models the house chooses.
    pub(super) fn choose_for(&self, plan: &mut Plan, cx: &Context<'_>) -> Chosen {
        let text = &self.contents.text;
        let asked = Asked {
            wanted: Wanted {
                requirements: &text.requirements,
                words: [&text.title, &text.description],
                task_type: &self.facts.task_type,
            },
            model: self.facts.model.as_deref(),
            complexity: self.facts.complexity,
        };
        choose(plan, &asked, &cx.policy.models)
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

    /// Whether this judge has worked on a step: nobody judges what they did themselves.
    pub(super) fn has_executed(&self, judge: &str) -> bool {
        judge.parse().is_ok_and(|agent| self.executors.contains(&agent))
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
        somebody_else(cx, "confirm the results of")?;
        if let Some(reviewer) = spec.reviewer.as_deref().filter(|name| **name != *cx.actor.id && !cx.policy.solo) {
            let why = format!(
                "{reviewer} is to look at this result; whoever decides in their place overrides the gate (PASS_GATE), with a reason"
            );
            return Err(Refusal::Forbidden(why));
        }
        let found = gate::weigh(spec, judgement);
        // A person says why in a sentence, for a yes as for a no.
        let words = judgement.violations.iter().map(|v| &v.message).chain(&judgement.recommendations);
        let why = words.map(String::as_str).collect::<Vec<_>>().join("; ");
        Ok(self.judged(i, open.gate, Found { by: "person", why, ..found }, cx).into())
    }

    /// A word about an attempt that no longer counts: kept as evidence, never applied.
    pub(super) fn too_late(&self, work: &WorkKey, attempt: u32, outcome: &crate::work::Outcome) -> Decided {
        let refusal = Refusal::StaleAttempt { work: work.clone(), attempt };
        if self.late >= LATE_MAX {
            return Decided { drafts: Vec::new(), answer: Err(refusal) };
        }
        let kept = Event::LateReportKept { work: work.clone(), attempt };
        let kept = match self.erased {
            // That it came is a fact; its words would outlive those that were erased.
            true => Draft::new(kept),
            false => {
                let text: String = serde_json::to_string(outcome).unwrap_or_default().chars().take(4_096).collect();
                Draft::because(kept, &text)
            }
        };
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

/// Whoever submitted a task, or wrote what it does, does not let it past what stands between it and acting: somebody else does, or the house decides alone
/// (DESIGN §4).
pub(super) fn somebody_else(cx: &Context<'_>, what: &str) -> Result<(), Refusal> {
    if !cx.own || cx.policy.solo {
        return Ok(());
    }
    let why = format!(
        "whoever submitted a task, planned it or put it into other words does not {what} it; somebody else has to, or the house decides alone (`policy.solo`)"
    );
    Err(Refusal::Forbidden(why))
}

/// One problem with what was asked.
pub(super) fn invalid(field: &str, message: &str) -> Refusal {
    Refusal::Invalid(vec![Problem::new(field, message)])
}

/// A text of bearable length.
pub(super) fn bounded(text: &str) -> Result<&str, Refusal> {
    if text.len() <= TEXT_MAX {
        Ok(text)
    } else {
        Err(invalid("reason", &format!("has {} bytes; allowed are {TEXT_MAX}", text.len())))
    }
}
