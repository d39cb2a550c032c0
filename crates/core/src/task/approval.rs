//! Single actions: what the constitution says before one is handed out, the question to a person, and the answer.
//!
//! It is asked in the claim itself: there the parameters of a step are known, and nothing else grants a lease. Whatever way a step was
//! offered by, it passes here. An answer is bound to a digest of all it is about, derived anew before the step is handed out and before it
//! acts.

use super::decide::{bounded, invalid, somebody_else};
use super::{Decided, Draft, Task};
use crate::agent::Registration;
use crate::board::Offer;
use crate::command::{Approve, Context, Refusal};
use crate::constitution::{About, Act, Judged, Law, Point, Ruling, Said, Transformed, Who};
use crate::event::{ActorKind, ApprovalAsked, ApprovalWord, Event, Failed, Private};
use crate::expr;
use crate::id::AgentId;
use crate::plan::Problem;
use crate::planted::{self, Fault};
use crate::spec::{Autonomy, ErrorClass, Risk};
use crate::time::{Time, WireTime};
use crate::timers::Timer;
use crate::view::ApprovalView;
use crate::work::{EffectRequest, Failure, Success, WorkKey, args_digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The largest parameters somebody may put in place of others, in bytes of JSON.
const PARAMS_MAX: usize = 256 * 1024;

/// A question about one action, and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Approval {
    pub(super) digest: Box<str>,
    pub(super) args_digest: Box<str>,
    pub(super) asked_at: Time,
    pub(super) until: Time,
    pub(super) rulings: Vec<Said>,
    pub(super) risk: Option<Risk>,
    pub(super) answer: Option<ApprovalWord>,
    pub(super) self_decided: bool,
}

impl Approval {
    fn is(&self, word: ApprovalWord) -> bool {
        self.answer == Some(word)
    }

    /// Why a person is asked.
    pub(super) fn why(&self) -> String {
        let risk = self.risk.map(|risk| format!("its risk is {}, and its autonomy ASSISTED", risk.word()));
        let rules = Judged { said: self.rulings.clone(), ..Judged::default() }.sentence();
        [risk.unwrap_or_default(), rules].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

/// What stands before a step that an agent wants.
pub(super) enum Before {
    /// Nothing: what the rules said, and the digest that was approved where a person had to approve.
    Nothing { rulings: Vec<Said>, approved: Option<Box<str>> },
    /// It is not handed out; this happens instead.
    Instead(Draft, &'static str),
    /// It is for others than who asks.
    ForOthers,
}

impl Task {
    /// Whether a step may be handed out with these parameters, or begin by itself where it is no agent's.
    pub(super) fn before_step(&self, i: u32, params: &Map<String, Value>, agent: Option<AgentId>, cx: &Context<'_>) -> Before {
        let rules = cx.policy.law.as_ref().is_some_and(|law| law.speaks_at(Point::Action));
        if !rules && self.facts.autonomy != Autonomy::Assisted {
            return Before::Nothing { rulings: Vec::new(), approved: None };
        }
        let path = self.board.steps[i as usize].path.clone();
        let act = self.as_action(i, params);
        match self.transformed(&act, cx) {
            Ok(None) => {}
            Ok(Some(other)) => {
                let changed = self.with_other_params(i, other);
                return Before::Instead(changed, "the constitution has it done with other parameters, which are judged first");
            }
            Err(said) => {
                let why = Judged { ruling: said.ruling, said: vec![said] }.sentence();
                let refused = self.step_failed(i, ErrorClass::Refused, &format!("the constitution refuses it: {why}"));
                return Before::Instead(refused, "the constitution refuses it");
            }
        }
        let mut judged = self.judge_action(&act, cx);
        if judged.ruling == Ruling::Deny {
            let refused =
                self.step_failed(i, ErrorClass::Refused, &format!("the constitution refuses it: {}", judged.sentence()));
            return Before::Instead(refused, "the constitution refuses it");
        }
        let chosen = agent.map(|agent| self.judge_doer(&act, agent, cx)).unwrap_or_default();
        if chosen.ruling == Ruling::Deny {
            return Before::ForOthers;
        }
        let asks = self.asks(&act, &judged);
        // A question holds what the rules say of the action alone: whoever comes when it is answered may be another agent.
        if asks.is_none() {
            chosen.said.into_iter().for_each(|said| judged.add(said));
        }
        let Some(risk) = asks.filter(|_| !planted::is(Fault::ApprovalSkipped)) else {
            return Before::Nothing { rulings: judged.said, approved: None };
        };
        let (digest, args_digest) = self.digest_of(i, params, cx);
        let same = |known: &Approval| known.digest == digest || planted::is(Fault::ApprovalUnbound);
        match self.approvals.get(&path) {
            Some(known) if known.is(ApprovalWord::Approved) && same(known) => {
                Before::Nothing { rulings: judged.said, approved: Some(digest) }
            }
            Some(known) if known.is(ApprovalWord::Denied) && known.digest == digest => {
                Before::Instead(self.step_failed(i, ErrorClass::Refused, "it was denied before, just as it is"), "it was denied")
            }
            _ => {
                let until = cx.now.plus(cx.policy.approval_wait.ms);
                let asked = ApprovalAsked { step: path, digest, args_digest, until, rulings: judged.said, risk };
                Before::Instead(Draft::new(Event::ApprovalAsked(Box::new(asked))), "a person has to approve of it first")
            }
        }
    }

    /// A step as an action.
    pub(super) fn as_action<'a>(&'a self, i: u32, params: &'a Map<String, Value>) -> Act<'a> {
        let step = &self.board.steps[i as usize];
        Act {
            path: &step.path,
            id: step.key.as_deref(),
            name: &step.action,
            capabilities: &step.capabilities,
            params,
            acts: step.acts,
            model: step.model.as_deref(),
            undoes: false,
        }
    }

    fn judge_action(&self, act: &Act<'_>, cx: &Context<'_>) -> Judged {
        let Some(law) = cx.policy.law.as_ref().filter(|law| law.speaks_at(Point::Action)) else { return Judged::default() };
        law.judge(Point::Action, &About { action: Some(act), ..About::the_task(&self.facts, &self.contents.text, cx.now) })
    }

    /// What the rules say about an agent that would do this.
    fn judge_doer(&self, act: &Act<'_>, agent: AgentId, cx: &Context<'_>) -> Judged {
        let Some(law) = cx.policy.law.as_ref().filter(|law| law.chooses_agents()) else { return Judged::default() };
        let agent = Some(Who { id: agent, said: cx.agents.said(agent) });
        law.judge_who(&About { action: Some(act), agent, ..About::the_task(&self.facts, &self.contents.text, cx.now) })
    }

    /// Why an agent would not be given a step that it asks for, where rules about agents are the reason.
    pub fn not_for(&self, agent: AgentId, said: Option<&Registration>, key: &str, law: &Law, now: Time) -> Option<String> {
        let i = self.board.offers.get(key)?.iter().find_map(|offer| match offer {
            Offer::Step(i) => Some(*i),
            Offer::Gate(_) | Offer::Plan | Offer::Analysis | Offer::Undo => None,
        })?;
        let params = self.params(i).ok()?;
        let act = self.as_action(i, &params);
        let about = About::the_task(&self.facts, &self.contents.text, now);
        let judged = law.judge_who(&About { action: Some(&act), agent: Some(Who { id: agent, said }), ..about });
        (judged.ruling == Ruling::Deny).then(|| judged.sentence())
    }

    /// What the rules have it done with instead.
    fn transformed(&self, act: &Act<'_>, cx: &Context<'_>) -> Result<Option<Transformed>, Said> {
        let Some(law) = cx.policy.law.as_ref() else { return Ok(None) };
        law.transform(&About { action: Some(act), ..About::the_task(&self.facts, &self.contents.text, cx.now) })
    }

    /// A step is done with other parameters. Those that stay are kept as they were written: what they refer to is looked up anew.
    fn with_other_params(&self, i: u32, other: Transformed) -> Draft {
        let params = self.contents.params(i).map(|written| other.over(written)).unwrap_or_default();
        let step = self.board.steps[i as usize].path.clone();
        let event = Event::ParamsChanged { step, findings: Vec::new(), rulings: other.said };
        Draft::with(event, Private::Items(vec![Value::Object(params)]))
    }

    /// Whether a person has to approve first, and for the sake of which risk where it is that. What cannot act is asked about by nobody.
    fn asks(&self, act: &Act<'_>, judged: &Judged) -> Option<Option<Risk>> {
        let risk = self.facts.risk.max(judged.risk());
        let high = self.facts.autonomy == Autonomy::Assisted && act.acts && risk >= Risk::High;
        let asks = judged.ruling == Ruling::Escalate || high;
        (asks && self.may_act()).then_some(Some(risk).filter(|_| high))
    }

    /// What an answer is bound to, and the digest of the parameters alone.
    fn digest_of(&self, i: u32, params: &Map<String, Value>, cx: &Context<'_>) -> (Box<str>, Box<str>) {
        self.digest_under(i, params, cx.policy.law.as_ref().map(|law| law.digest()))
    }

    /// The same under a constitution of this digest.
    fn digest_under(&self, i: u32, params: &Map<String, Value>, law: Option<&str>) -> (Box<str>, Box<str>) {
        let step = &self.board.steps[i as usize];
        let own = self.contents.steps().get(i as usize).map(|words| words.description.as_str());
        let description = own.filter(|own| !own.is_empty()).unwrap_or(&self.contents.text.description);
        let args = args_digest(&Value::Object(params.clone()));
        let text = &self.contents.text;
        let own = self.contents.steps().get(i as usize).map(|words| words.title.as_str());
        let title = own.filter(|own| !own.is_empty()).unwrap_or(&text.title);
        let mut all = json!([
            self.id,
            step.path,
            step.action,
            title,
            description,
            text.requirements,
            step.model,
            self.plan_version,
            law,
            args
        ]);
        if let (Some(terms), Value::Array(all)) = (&self.facts.budget, &mut all) {
            // What it may cost is a part of what is approved.
            all.push(json!(terms.cap));
        }
        (args_digest(&all).into(), args.into())
    }

    /// What an answer about a step would be bound to as the task is now, under a constitution of this digest, and the digest of its
    /// parameters alone; `None` where there is no such step, or a reference among its parameters cannot be followed. For whoever checks
    /// a recorded answer.
    pub fn bound_to(&self, step: &str, law: Option<&str>) -> Option<(Box<str>, Box<str>)> {
        let i = self.board.find(step)?;
        Some(self.digest_under(i, &self.params(i).ok()?, law))
    }

    /// A person's answer.
    pub(super) fn approve(&self, word: Approve, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if cx.actor.kind != ActorKind::Human {
            return Err(Refusal::Forbidden("only a person may approve of what a step is about to do".into()));
        }
        let no_step = || Refusal::NotFound { what: "step", id: word.step.to_string() };
        let i = self.board.find(&word.step).ok_or_else(no_step)?;
        let path = self.board.steps[i as usize].path.clone();
        let open = self.approvals.get(&path).filter(|_| self.board.asked.contains(&i));
        let Some(open) = open.filter(|open| cx.now < open.until) else {
            return Err(match self.approvals.contains_key(&path) {
                true => Refusal::AlreadySettled { what: "the question about this step" },
                false => self.not_now("approve a step of", "nobody asked about this step"),
            });
        };
        if let Some(digest) = word.digest.as_ref().filter(|digest| **digest != open.digest) {
            return Err(invalid("digest", &format!("{digest} is not what is asked about; that is {}", open.digest)));
        }
        if !word.approved {
            if word.reason.trim().is_empty() {
                return Err(invalid("reason", "a no says why"));
            }
            let why = format!("{} denied it: {}", cx.actor.id, bounded(&word.reason)?);
            return Ok(self.answered(path, open, ApprovalWord::Denied, cx.own, &why).into());
        }
        somebody_else(cx, "approve of what is done for")?;
        let wrong = |why: String| invalid("params", &why);
        let params = match &word.params {
            Some(other) => {
                let bytes = serde_json::to_string(other).map_or(0, |text| text.len());
                if bytes > PARAMS_MAX {
                    return Err(wrong(format!("have {bytes} bytes; allowed are {PARAMS_MAX}")));
                }
                expr::resolve(other, &self.scope(&path)).map_err(wrong)?
            }
            None => self.params(i).map_err(wrong)?,
        };
        let judged = self.judge_action(&self.as_action(i, &params), cx);
        if judged.ruling == Ruling::Deny {
            let refuses = judged.said.iter().filter(|said| said.ruling == Ruling::Deny);
            let problems = refuses.map(|said| Problem::new(format!("constitution {}", said.rule), &*said.message));
            return Err(Refusal::Invalid(problems.collect()));
        }
        let (digest, args_digest) = self.digest_of(i, &params, cx);
        if word.params.is_none() && digest != open.digest {
            let until = cx.now.plus(cx.policy.approval_wait.ms);
            let risk = self.asks(&self.as_action(i, &params), &judged).flatten();
            let asked = ApprovalAsked { step: path, digest, args_digest, until, rulings: judged.said, risk };
            let answer =
                Err(Refusal::AlreadySettled { what: "the question: what it is about has changed, and it is asked anew" });
            return Ok(Decided { drafts: vec![Draft::new(Event::ApprovalAsked(Box::new(asked)))], answer });
        }
        let about = Approval { digest, args_digest, ..open.clone() };
        let answered = self.answered(path.clone(), &about, ApprovalWord::Approved, cx.own, bounded(&word.reason)?);
        let findings = word.findings;
        let changed = word.params.map(|params| {
            Draft::with(
                Event::ParamsChanged { step: path, findings, rulings: Vec::new() },
                Private::Items(vec![Value::Object(params)]),
            )
        });
        Ok(changed.into_iter().chain([answered]).collect::<Vec<_>>().into())
    }

    fn answered(&self, step: Box<str>, about: &Approval, answer: ApprovalWord, self_decided: bool, why: &str) -> Draft {
        let (digest, args_digest) = (about.digest.clone(), about.args_digest.clone());
        Draft::because(Event::ApprovalAnswered { step, digest, args_digest, answer, self_decided }, why)
    }

    /// Nobody answered in time: that is no yes.
    pub(super) fn approval_over(&self, i: u32) -> Option<Draft> {
        let path = self.board.steps[i as usize].path.clone();
        let open = self.approvals.get(&path).filter(|_| self.board.asked.contains(&i))?;
        let answer = if planted::is(Fault::DeadlineApproves) { ApprovalWord::Approved } else { ApprovalWord::Expired };
        Some(self.answered(path, open, answer, false, "nobody approved of it in time"))
    }

    /// Whether an effect of a step may be granted: just what was approved, where a person had to approve; and nothing that a person would
    /// have to approve of, where none did.
    pub(super) fn may_act_so(&self, path: &str, wish: &EffectRequest, cx: &Context<'_>) -> Result<(), NotSo> {
        let refused = |why: String| Err(NotSo::Refused(Refusal::NoEffect(why)));
        let rules = cx.policy.law.as_ref().is_some_and(|law| law.speaks_at(Point::Action));
        let Some(i) = self.board.find(path).filter(|_| rules || self.facts.autonomy == Autonomy::Assisted) else { return Ok(()) };
        let step = &self.board.steps[i as usize];
        let params = self.params(i).unwrap_or_default();
        let judged = self.judge_action(&self.as_action(i, &params), cx);
        if judged.ruling == Ruling::Deny {
            return refused(judged.sentence());
        }
        let by = |act: &Act<'_>| {
            let doer = self.lease(&wish.work).map(|lease| self.judge_doer(act, lease.agent, cx));
            doer.filter(|judged| judged.ruling == Ruling::Deny).map(|judged| judged.sentence())
        };
        if let Some(why) = by(&self.as_action(i, &params)) {
            return refused(why);
        }
        // Another document may have it done otherwise than it was handed out.
        match self.transformed(&self.as_action(i, &params), cx) {
            Ok(None) => {}
            Ok(Some(_)) => return Err(NotSo::AskAnew),
            Err(said) => return refused(said.message.into()),
        }
        if self.asks(&self.as_action(i, &params), &judged).is_some() && !planted::is(Fault::ApprovalSkipped) {
            let (digest, args) = self.digest_of(i, &params, cx);
            let approved = self.approvals.get(path).filter(|known| known.is(ApprovalWord::Approved));
            if approved.is_none_or(|known| known.digest != digest) && !planted::is(Fault::ApprovalUnbound) {
                return Err(NotSo::AskAnew);
            }
            if *wish.action != *step.action || *wish.args_digest != *args {
                let why = format!(
                    "approved was {} with the parameters it was given, whose digest is {args}; nothing else",
                    step.action
                );
                return refused(why);
            }
            return Ok(());
        }
        if *wish.action == *step.action && step.acts {
            return Ok(());
        }
        // Another act than the step is called by, or one that it did not say it would do: of its parameters only the digest is known.
        let none = Map::new();
        let params = if *wish.action == *step.action { &params } else { &none };
        let act = Act { name: &wish.action, capabilities: &[], params, acts: true, ..self.as_action(i, params) };
        let judged = self.judge_action(&act, cx);
        if judged.ruling == Ruling::Deny {
            return refused(judged.sentence());
        }
        if let Some(why) = by(&act) {
            return refused(why);
        }
        if !matches!(self.transformed(&act, cx), Ok(None)) {
            let why = format!("the constitution has {} done with other parameters: plan it as a step of its own", wish.action);
            return refused(why);
        }
        match self.asks(&act, &judged) {
            Some(_) => refused(format!(
                "a person has to approve of {} first: plan it as a step of its own that says it acts",
                wish.action
            )),
            None => Ok(()),
        }
    }

    /// What was approved is no longer what would be done: the attempt ends, and the question is asked anew when the step is claimed.
    pub(super) fn ask_anew(&self, work: &WorkKey, attempt: u32, cx: &Context<'_>) -> Decided {
        let failed = Failed {
            work: work.clone(),
            attempt,
            class: ErrorClass::Cancelled,
            retry_at: Some(cx.now),
            retry_after_ms: None,
            used: None,
            unguarded: Vec::new(),
        };
        let why = "what may be done has changed since; it is judged anew, and a person is asked where one has to be";
        Decided {
            drafts: vec![Draft::because(Event::AttemptFailed(Box::new(failed)), why)],
            answer: Err(Refusal::NoEffect(why.into())),
        }
    }

    /// What stands before a compensation: what the constitution refuses, or wants a person for, is not done by itself.
    pub(super) fn before_undo(&self, params: &Map<String, Value>, cx: &Context<'_>) -> Option<String> {
        let undo = self.undoing.next()?;
        let (path, name) = (&*undo.path, &*undo.how.action);
        let act = undoing(path, name, &undo.how.capabilities, params);
        let judged = self.judge_action(&act, cx);
        let asks = self.asks(&act, &judged);
        let stands = match judged.ruling {
            Ruling::Deny => true,
            // It is done as it was planned or by a person's word.
            Ruling::Transform if !matches!(self.transformed(&act, cx), Ok(None)) => true,
            // Whoever had it tried again, being asked, has approved of it.
            Ruling::Escalate | Ruling::Transform | Ruling::Allow | Ruling::Warn => asks.is_some() && !self.undoing.allowed,
        };
        let risk = asks.flatten().map(|risk| format!("its risk is {}, and its autonomy ASSISTED", risk.word()));
        let why = [risk.unwrap_or_default(), judged.sentence()].into_iter().filter(|part| !part.is_empty());
        stands.then(|| format!("what step {path} did is not undone by itself: {}", why.collect::<Vec<_>>().join("; ")))
    }

    /// Whether an effect of a compensation may be granted: what it was planned as, with its parameters where a person had to be asked; of
    /// anything else, what nobody has to be asked about.
    pub(super) fn may_undo_so(&self, wish: &EffectRequest, cx: &Context<'_>) -> Result<(), Refusal> {
        let refused = |why: String| Err(Refusal::NoEffect(why));
        let Some(undo) = self.undoing.next() else { return Ok(()) };
        let (path, name) = (&*undo.path, &*undo.how.action);
        let params = self.undo_params().unwrap_or_default();
        if let Some(why) = self.before_undo(&params, cx) {
            return refused(why);
        }
        let none = Map::new();
        let planned = *wish.action == *name;
        let params = if planned { &params } else { &none };
        let act = undoing(path, &wish.action, if planned { &undo.how.capabilities } else { &[] }, params);
        if let Some(lease) = self.lease(&wish.work) {
            let doer = self.judge_doer(&act, lease.agent, cx);
            if doer.ruling == Ruling::Deny {
                return refused(doer.sentence());
            }
        }
        let judged = self.judge_action(&act, cx);
        let asks = self.asks(&act, &judged).is_some();
        if planned {
            let args = args_digest(&Value::Object(params.clone()));
            return match asks && *wish.args_digest != *args {
                true => refused(format!(
                    "a person had {name} undone with the parameters it was given, whose digest is {args}; nothing else"
                )),
                false => Ok(()),
            };
        }
        if judged.ruling == Ruling::Deny {
            return refused(judged.sentence());
        }
        match asks || !matches!(self.transformed(&act, cx), Ok(None)) {
            true => refused(format!(
                "a person has to approve of {} first: plan it as a step of its own that says it acts",
                wish.action
            )),
            false => Ok(()),
        }
    }

    /// Whether an agent may undo what is undone next.
    pub(super) fn may_undo(&self, params: &Map<String, Value>, agent: AgentId, cx: &Context<'_>) -> bool {
        let Some(undo) = self.undoing.next() else { return true };
        let (path, name) = (&*undo.path, &*undo.how.action);
        let act = undoing(path, name, &undo.how.capabilities, params);
        self.judge_doer(&act, agent, cx).ruling != Ruling::Deny
    }

    /// What the rules say about the result of a step, and who reports it.
    pub(super) fn judge_result(&self, path: &str, success: &Success, doer: AgentId, cx: &Context<'_>) -> Judged {
        let law = cx.policy.law.as_ref().filter(|law| law.speaks_at(Point::Result));
        let Some((law, i)) = law.zip(self.board.find(path)) else { return Judged::default() };
        let params = self.params(i).unwrap_or_default();
        let act = self.as_action(i, &params);
        let about = About::the_task(&self.facts, &self.contents.text, cx.now);
        let agent = Some(Who { id: doer, said: cx.agents.said(doer) });
        law.judge(Point::Result, &About { action: Some(&act), agent, result: Some(success), ..about })
    }

    /// What was asked about a step, as outsiders see it.
    pub(super) fn approval_shown(&self, i: u32) -> Option<ApprovalView> {
        let approval = self.approvals.get(&self.board.steps[i as usize].path)?;
        Some(ApprovalView {
            digest: approval.digest.to_string(),
            params: self.params(i).unwrap_or_default(),
            why: approval.why(),
            rulings: approval.rulings.clone(),
            risk: approval.risk,
            asked_at: WireTime(approval.asked_at),
            until: WireTime(approval.until),
            answer: approval.answer,
            self_decided: approval.self_decided,
        })
    }

    /// Takes in a question.
    pub(super) fn approval_asked(&mut self, asked: &ApprovalAsked, at: Time) {
        self.with_step(&asked.step, |task, i| {
            task.soft.clear(Timer::StepQueue(i));
            task.soft.set(Timer::Approval(i), asked.until);
            task.board.ask(i);
            let approval = Approval {
                digest: asked.digest.clone(),
                args_digest: asked.args_digest.clone(),
                asked_at: at,
                until: asked.until,
                rulings: asked.rulings.clone(),
                risk: asked.risk,
                answer: None,
                self_decided: false,
            };
            task.approvals.insert(asked.step.clone(), approval);
        });
    }

    /// Takes in an answer.
    pub(super) fn approval_answered(&mut self, step: &str, about: (&str, &str), answer: ApprovalWord, own: bool, at: Time) {
        if let Some(approval) = self.approvals.get_mut(step) {
            (approval.digest, approval.args_digest) = (about.0.into(), about.1.into());
            (approval.answer, approval.self_decided) = (Some(answer), own);
        }
        self.with_step(step, |task, i| {
            task.soft.clear(Timer::Approval(i));
            match answer {
                ApprovalWord::Approved => {
                    task.board.approved(i);
                    task.queue_steps(at);
                }
                ApprovalWord::Denied | ApprovalWord::Expired => {
                    let cell = task.board.cell_mut(i);
                    (cell.trouble, cell.troubled_at, cell.retry_after_ms) = (Some(ErrorClass::Refused), Some(at), None);
                    task.fail_step(i, at);
                }
            }
        });
    }
}

/// Why an effect is not granted.
pub(super) enum NotSo {
    /// It may not be.
    Refused(Refusal),
    /// What was approved is no longer what would be done.
    AskAnew,
}

/// The undoing of a step as an action.
fn undoing<'a>(path: &'a str, name: &'a str, capabilities: &'a [Box<str>], params: &'a Map<String, Value>) -> Act<'a> {
    Act { path, id: None, name, capabilities, params, acts: true, model: None, undoes: true }
}

/// A result that the constitution does not let through.
pub(super) fn refused_result(judged: &Judged, success: Success) -> Failure {
    let why = format!("the constitution refuses its result: {}", judged.sentence());
    Failure { usage: success.usage, unguarded: success.unguarded, ..Failure::new(ErrorClass::BadOutput, why) }
}
