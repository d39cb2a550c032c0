//! What a task asks of people: what, since when, why, what happens when nobody answers, and the acts that do. One place for every kind
//! of question. Whoever adds one says in `has_questions` that it is there, at a cost that does not grow with the plan, and tells it in
//! `questions`. The index of tasks that ask anything follows from `asks_since`.

use super::{Review, Task};
use crate::budget::BudgetOf;
use crate::event::{DecisionWord, EscalationReason, QuestionRaised};
use crate::inbox::{Act, Asked, AskedFor, Right};
use crate::planted::{self, Fault};
use crate::review::Question;
use crate::spec::{ExecutionMode, OnUnknown};
use crate::status::BlockReason;
use crate::time::{Time, WireDuration, WireTime};
use crate::timers::Timer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How much of a result is shown beside a question, in characters.
const SHOWN_MAX: usize = 500;
/// How many questions of one kind are told.
const TOLD_MAX: usize = 20;

/// Since when a task has asked what it asks. Where a step says by itself since when it waits, nothing is kept here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Asking {
    /// Anything at all, without a break.
    since: Time,
    /// For a decision.
    pub(super) escalated: Option<Time>,
    /// For votes.
    pub(super) review: Option<Time>,
    /// For the plan to be accepted.
    pub(super) plan: Option<Time>,
    /// Because no agent came.
    pub(super) stalled: Option<Time>,
    /// For a person's word on the result of a step; those of gates that are closed mean nothing.
    pub(super) gates: BTreeMap<u32, Time>,
    /// How far up the ladder the oldest of its questions is, and who was told.
    #[serde(default)]
    pub(super) raised: Option<Box<QuestionRaised>>,
}

impl Task {
    /// Since when it has asked anything of people without a break; none while it asks nothing, or rests under a hold.
    pub fn asks_since(&self) -> Option<Time> {
        self.asking.as_ref().filter(|_| self.paused.is_none()).map(|asking| asking.since)
    }

    /// Whether there is anything to ask, were it not for a hold.
    fn has_questions(&self) -> bool {
        let approvals = self.board.approvals > 0 && !planted::is(Fault::QuestionForgotten);
        self.end.is_none()
            && !self.cancelling
            && (self.escalated.is_some()
                || self.review.is_some()
                || self.acceptance_owed
                || self.stalled
                || self.budget_asked()
                || approvals
                || !self.board.blocked.is_empty()
                || !self.board.asked.is_empty()
                || !self.listening.is_empty())
    }

    /// Notes since when it asks; called after each event.
    pub(super) fn mind_the_questions(&mut self, at: Time) {
        if !self.has_questions() {
            self.asking = None;
            return;
        }
        let kinds = [self.escalated.is_some(), self.review.is_some(), self.acceptance_owed, self.stalled];
        let asking = self.asking_at(at);
        let kept = [&mut asking.escalated, &mut asking.review, &mut asking.plan, &mut asking.stalled];
        for (kept, open) in kept.into_iter().zip(kinds) {
            *kept = open.then(|| kept.unwrap_or(at));
        }
        self.mind_the_ladder();
    }

    /// A person is asked to look at the result of a step.
    pub(super) fn gate_asks(&mut self, i: u32, at: Time) {
        if self.board.gates.get(&i).is_some_and(|gate| gate.manual) {
            self.asking_at(at).gates.insert(i, at);
        }
    }

    fn asking_at(&mut self, at: Time) -> &mut Asking {
        self.asking.get_or_insert_with(|| Box::new(Asking { since: at, ..Asking::default() }))
    }

    /// What it asks of people now, oldest first.
    pub fn questions(&self) -> Vec<Asked> {
        let mut list = Vec::new();
        if self.end.is_some() || self.cancelling || self.paused.is_some() {
            return list;
        }
        let asking = self.asking.as_deref().cloned().unwrap_or_default();
        let since = |at: Option<Time>| at.unwrap_or(asking.since);
        if let Some(reason) = self.escalated {
            list.push(self.ask_for_a_decision(reason, since(asking.escalated)));
        }
        if let Some(review) = &self.review {
            list.push(self.ask_for_votes(review, since(asking.review)));
        }
        if self.acceptance_owed {
            list.push(self.ask_about_the_plan(since(asking.plan)));
        }
        if self.stalled {
            list.push(self.ask_about_the_stall(since(asking.stalled)));
        }
        if let Some((of, since)) = self.budget_question() {
            list.push(self.ask_about_the_budget(of, since));
        }
        for (i, reason) in self.board.blocked.iter().take(TOLD_MAX) {
            let since = since(self.board.cell(*i).troubled_at);
            list.push(self.ask_about_what_is_blocked(*i, *reason, since));
        }
        list.extend(self.board.asked.iter().take(TOLD_MAX).filter_map(|i| self.ask_about_an_action(*i)));
        for (i, _) in self.board.gates.iter().filter(|(_, gate)| gate.manual).take(TOLD_MAX) {
            list.push(self.ask_about_a_result(*i, since(asking.gates.get(i).copied())));
        }
        for (i, name) in self.listening.iter().take(TOLD_MAX) {
            list.push(self.ask_for_a_signal(*i, name, since(self.board.cell(*i).started_at)));
        }
        for asked in list.iter_mut().filter(|asked| asked.reason != AskedFor::Signal) {
            asked.raised = self.raised(asked.since.0);
        }
        list.sort_by_key(|asked| asked.since);
        list
    }

    /// A question with what is alike in all of them. Where nothing else is said it waits until the task has to have ended.
    fn asked(&self, reason: AskedFor, may: Right, what: String, since: Time) -> Asked {
        let mut asked = Asked {
            task_id: self.id,
            title: self.contents.text.title.clone(),
            namespace: self.facts.namespace.to_string(),
            task_type: self.facts.task_type.to_string(),
            priority: self.facts.priority,
            risk_level: self.facts.risk,
            version: self.version,
            reason,
            question: None,
            step: None,
            action: None,
            approval: None,
            what,
            why: Vec::new(),
            since: WireTime(since),
            until: None,
            unanswered: String::new(),
            may,
            who: Vec::new(),
            raised: None,
            acts: Vec::new(),
        };
        self.limit(&mut asked, None, "it waits until somebody answers");
        asked
    }

    /// Until when a question waits and what happens then: at a time of its own, or when the task has to have ended, whichever is first.
    fn limit(&self, asked: &mut Asked, own: Option<Time>, then: &str) {
        let ends = [Timer::Deadline, Timer::Total].into_iter().filter_map(|timer| self.firm.get(timer)).min();
        let own_first = own.is_some_and(|own| ends.is_none_or(|ends| own <= ends));
        (asked.until, asked.unanswered) = match (own, ends) {
            (Some(own), _) if own_first => (Some(WireTime(own)), then.into()),
            (_, Some(ends)) => (Some(WireTime(ends)), "the task fails, for its time is over then".into()),
            (_, None) => (None, then.into()),
        };
    }

    fn path(&self, i: u32) -> String {
        self.board.steps[i as usize].path.to_string()
    }

    /// A call about this task, and the command line that says the same.
    fn act(&self, label: &str, call: &str, body: Value, command: String) -> Act {
        Act {
            label: label.into(),
            method: "POST".into(),
            path: format!("/api/v1/tasks/{}/{call}", self.id),
            body,
            fill: Vec::new(),
            command,
        }
    }

    fn by_override(&self, label: &str, body: Value, command: &str) -> Act {
        let command = format!("ephor task override {} {command} --reason …", self.id);
        self.act(label, "override", body, command).filled(&["reason"])
    }

    fn another_plan(&self) -> Act {
        let command = format!("ephor plan replace {} FILE", self.id);
        Act { method: "PUT".into(), ..self.act("put another plan in its place", "plan", json!({}), command).filled(&["steps"]) }
    }

    fn go_on(&self, label: &str) -> Act {
        self.act(label, "resume", json!({}), format!("ephor task resume {}", self.id))
    }

    fn to_any_agent(&self, label: &str) -> Act {
        self.act(label, "reassign", json!({}), format!("ephor task reassign {}", self.id))
    }

    fn ask_for_a_decision(&self, reason: EscalationReason, since: Time) -> Asked {
        let id = self.id;
        let mut asked =
            self.asked(AskedFor::Escalated, Right::Decide, "what should become of it has to be decided".into(), since);
        let then = "the house decides: more resources once, if its rule gives some, else the task is STOPPED";
        match self.firm.get(Timer::Escalation) {
            Some(by) => self.limit(&mut asked, Some(by), then),
            None => self.limit(&mut asked, None, "it waits until somebody decides"),
        }
        asked.why.push(super::waiting::told(reason).into());
        asked.why.extend(self.contents.escalation.clone());
        asked.why.extend(self.last_error().map(|error| match error.step {
            Some(step) => format!("step {step}: {}", error.message),
            None => error.message,
        }));
        let stuck = self.undoing.next().filter(|_| reason == EscalationReason::CompensationFailed);
        if let Some(undo) = stuck {
            let step = &undo.path;
            asked.step = Some(step.to_string());
            let body = |decision: &str| json!({"decision": decision, "step": step});
            asked.acts.push(self.by_override(
                "say that it was undone by hand",
                body("COMPENSATED"),
                &format!("compensated --step {step}"),
            ));
            asked.acts.push(self.by_override("try again to undo it", body("RETRY_STEP"), &format!("retry-step --step {step}")));
        }
        match reason {
            EscalationReason::ReviewUndecided => {
                asked.acts.push(self.by_override("approve in spite of the votes", json!({"decision": "APPROVE"}), "approve"));
            }
            EscalationReason::Constitution => {
                asked.acts.push(self.by_override("let it go on in spite of the rule", json!({"decision": "APPROVE"}), "approve"));
                asked.acts.push(self.another_plan());
            }
            EscalationReason::NoPlan => asked.acts.push(self.another_plan()),
            EscalationReason::RetriesSpent
            | EscalationReason::Requested
            | EscalationReason::HumanIntervention
            | EscalationReason::CompensationFailed
            | EscalationReason::HealingSpent => {}
        }
        for (label, word, command, fill) in [
            ("change what is asked for", "MODIFY_SCOPE", "modify-scope --description …", "description"),
            ("give it more", "ALLOCATE_RESOURCES", "allocate-resources --limit NAME=N", "resource_limits"),
            ("end it", "LIQUIDATE", "liquidate --reason …", "reason"),
        ] {
            if word == "ALLOCATE_RESOURCES" && reason == EscalationReason::Constitution {
                continue;
            }
            let command = format!("ephor task decide {id} {command}");
            asked.acts.push(self.act(label, "council-decision", json!({"decision": word}), command).filled(&[fill]));
        }
        for name in self.back_to_choose(reason) {
            let body = json!({"decision": "ROLLBACK", "checkpoint": name});
            asked.acts.push(self.by_override(&format!("go back to {name}"), body, &format!("rollback --to {name}")));
        }
        asked
    }

    fn ask_for_votes(&self, review: &Review, since: Time) -> Asked {
        let (id, ballot) = (self.id, &review.ballot);
        let what = match review.question {
            Question::Admission => "whether it may start",
            Question::Result => "whether its result is good",
            Question::Escalation => "whether what was proposed should become of it",
        };
        let mut asked = self.asked(AskedFor::Review, Right::Decide, format!("votes are owed on {what}"), since);
        asked.question = Some(review.question);
        let then = match review.question {
            Question::Admission | Question::Result => {
                "the votes that are there decide: too few of them escalate it, anything but a majority is a no; silence approves nothing"
            }
            Question::Escalation => "the proposal falls without a majority, and a decision is still owed",
        };
        self.limit(&mut asked, Some(ballot.deadline), then);
        let silent = ballot.judges.iter().filter(|judge| !ballot.votes.contains_key(&judge.id));
        asked.who = silent.map(|judge| judge.id.to_string()).collect();
        match review.question {
            Question::Admission => {
                asked.why.extend(self.facts.risk_reasons.iter().map(ToString::to_string));
                asked.why.extend(self.facts.rulings.iter().map(|said| format!("{}: {}", said.rule, said.message)));
                if self.facts.mode == ExecutionMode::Strict {
                    asked.why.push("in STRICT mode nothing starts without a review".into());
                }
            }
            Question::Result => {
                asked.why.push("its result is reviewed before it counts".into());
                asked.why.extend(self.contents.text.requirements.iter().map(|text| format!("it has to satisfy: {text}")));
                let last = self.board.last_steps().into_iter().rev().take(TOLD_MAX);
                asked.why.extend(last.filter_map(|i| {
                    let result = self.contents.outputs.get(&self.step_name(i))?;
                    Some(format!("step {} found: {}", self.path(i), shortened(&result.output)))
                }));
            }
            Question::Escalation => {
                let proposed = review.proposal.map(|word| format!("proposed is {}", proposal(word)));
                asked.why.extend(proposed);
                asked.why.extend(Some(self.contents.proposal.reason.clone()).filter(|reason| !reason.is_empty()));
            }
        }
        let vote = |label: &str, word: &str, command: &str| {
            let command = format!("ephor review vote {id} {command}");
            self.act(label, "vote", json!({"review": review.id, "vote": word}), command)
        };
        asked.acts = vec![
            vote("approve", "APPROVE", "approve"),
            vote("approve under conditions", "CONDITIONAL", "conditional --reason …").filled(&["reason"]),
            vote("reject", "REJECT", "reject --reason …").filled(&["reason"]),
            vote("abstain", "ABSTAIN", "abstain"),
        ];
        asked
    }

    fn ask_about_the_plan(&self, since: Time) -> Asked {
        let sure = self.facts.confidence.map(|sure| format!(" (confidence {sure:.2})")).unwrap_or_default();
        let what = format!("its plan was read with little confidence{sure} and has to be accepted or replaced");
        let mut asked = self.asked(AskedFor::Decomposition, Right::Decide, what, since);
        asked.why.clone_from(&self.contents.text.confidence_reasons);
        let accept = format!("ephor plan accept {}", self.id);
        asked.acts = vec![self.act("accept the plan", "accept-plan", json!({}), accept), self.another_plan()];
        asked
    }

    fn ask_about_the_stall(&self, since: Time) -> Asked {
        let what = "no agent came for its work for too long".into();
        let mut asked = self.asked(AskedFor::Stalled, Right::Steer, what, since);
        self.limit(&mut asked, None, "it goes on as soon as an agent comes");
        asked.acts = vec![self.go_on("wait for an agent anew"), self.to_any_agent("offer it to any agent")];
        asked
    }

    fn ask_about_the_budget(&self, of: BudgetOf, since: Time) -> Asked {
        let (id, name) = (self.id, of.word());
        let what = format!("its budget of {name} does not suffice for what comes next");
        let mut asked = self.asked(AskedFor::Budget, Right::Decide, what, since);
        if let Some(account) = self.budget_view() {
            let limit = account.cap.of(of).unwrap_or_default();
            let used = account.used.parts().into_iter().find(|(kind, _)| *kind == of).map(|(_, n)| n);
            asked.why.push(match used {
                Some(used) => format!("{used} of {limit} are used"),
                None => format!("its time, {}, is up", WireDuration { ms: limit }),
            });
        }
        let raise = format!("ephor task modify {id} --budget {name}=…");
        let cancel = format!("ephor task cancel {id} --reason …");
        asked.acts = vec![
            self.act("raise the budget", "modify", json!({"budget": {}}), raise).filled(&["budget"]),
            self.act("cancel it", "cancel", json!({}), cancel).filled(&["reason"]),
        ];
        asked
    }

    fn ask_about_what_is_blocked(&self, i: u32, reason: BlockReason, since: Time) -> Asked {
        let path = self.path(i);
        let said = self.contents.errors.get(&format!("step:{path}")).cloned();
        let mut asked = match reason {
            BlockReason::HumanReview => {
                let mut asked = self.asked(AskedFor::HumanReview, Right::Decide, String::new(), since);
                self.limit(&mut asked, None, "the step waits: what may have happened is not done again unasked");
                (asked.what, asked.acts) = self.ask_about_an_effect(&path);
                asked
            }
            BlockReason::AgentOffline => {
                let what = format!("the agent of step {path} fell silent; somebody has to say who goes on");
                let mut asked = self.asked(AskedFor::AgentOffline, Right::Steer, what, since);
                if let Some(by) = self.soft.get(Timer::Reassign(i)) {
                    self.limit(&mut asked, Some(by), "the step is offered to any agent");
                }
                asked.acts = vec![self.to_any_agent("offer it to any agent"), self.go_on("let it go on")];
                asked
            }
            BlockReason::External
            | BlockReason::Approval
            | BlockReason::Dependency
            | BlockReason::Decomposition
            | BlockReason::CircuitOpen
            | BlockReason::Budget => {
                let what = format!("something stands in the way of step {path}");
                let mut asked = self.asked(AskedFor::External, Right::Steer, what, since);
                asked.acts.push(self.go_on("it is out of the way"));
                asked
            }
        };
        asked.why.extend(said);
        asked.step = Some(path);
        asked
    }

    /// What a person is asked about the effects of a step of which nobody knows: one after the other.
    fn ask_about_an_effect(&self, path: &str) -> (String, Vec<Act>) {
        let id = self.id;
        let owed = self.effects_owed(path);
        let Some(first) = owed.first() else {
            return (format!("what became of the effects of step {path} has to be looked into"), Vec::new());
        };
        let more = match owed.len() - 1 {
            0 => String::new(),
            n => format!(", and of {n} more after it"),
        };
        let effect = &self.effects[first];
        let what = format!("nobody knows whether {} of step {path} happened{more}", effect.action);
        debug_assert_eq!(effect.on_unknown, OnUnknown::Ask, "of others nobody is asked");
        let settle = |label: &str, word: &str, command: &str| {
            let command = format!("ephor task effects {id} --settle {first} --outcome {command}");
            self.act(label, &format!("effects/{first}/outcome"), json!({"outcome": word}), command)
        };
        (what, vec![settle("it happened", "DONE", "done"), settle("it did not happen", "NOT_DONE", "not-done")])
    }

    /// What exactly would be done, and the answers that count for just that.
    fn ask_about_an_action(&self, i: u32) -> Option<Asked> {
        let (id, path) = (self.id, self.path(i));
        let view = self.approval_shown(i)?;
        let action = &self.board.steps[i as usize].action;
        let what = format!("step {path} is about to do {action}, and a person has to approve of it first");
        let mut asked = self.asked(AskedFor::ActionApproval, Right::Decide, what, view.asked_at.0);
        let then = match self.facts.max_retries {
            0 => "it is not done, and the task fails",
            _ => "it is not done, and somebody has to decide what becomes of the task",
        };
        self.limit(&mut asked, Some(view.until.0), then);
        asked.why.push(view.why.clone());
        let answer = |label: &str, approved: bool, command: String| {
            self.act(label, "approve", json!({"step": path, "approved": approved, "digest": view.digest}), command)
        };
        let just_so = format!("ephor review approve {id} {path} --digest {}", view.digest);
        let changed = format!("ephor review approve {id} {path} --params JSON");
        asked.acts = vec![
            answer("approve of just this", true, just_so),
            answer("approve of it with other parameters", true, changed).filled(&["params"]),
            answer("deny it", false, format!("ephor review deny {id} {path} --reason …")).filled(&["reason"]),
        ];
        asked.action = Some(action.to_string());
        asked.step = Some(path);
        asked.approval = Some(view);
        Some(asked)
    }

    fn ask_about_a_result(&self, i: u32, since: Time) -> Asked {
        let (id, path) = (self.id, self.path(i));
        let what = format!("somebody has to say whether the result of step {path} is good");
        let mut asked = self.asked(AskedFor::Approval, Right::Decide, what, since);
        self.limit(
            &mut asked,
            self.soft.get(Timer::Gate(i)),
            "the result counts as not good: the step is tried again, or has failed",
        );
        let spec = self.board.gates.get(&i).map(|gate| &self.board.steps[i as usize].gates[usize::from(gate.gate)]);
        asked.who.extend(spec.and_then(|spec| spec.reviewer.as_deref()).map(str::to_owned));
        asked.why.push(match self.facts.mode {
            ExecutionMode::Strict => "in STRICT mode a person confirms each step".into(),
            ExecutionMode::Auto | ExecutionMode::DryRun => "its plan asks for a person's word (MANUAL_REVIEW)".into(),
        });
        // What there is to look at, and by what.
        asked.why.extend(spec.into_iter().flat_map(|spec| &spec.criteria).map(|text| format!("to be looked at: {text}")));
        asked.why.extend(
            self.contents.outputs.get(&self.step_name(i)).map(|result| format!("its result: {}", shortened(&result.output))),
        );
        let confirm = |label: &str, passed: bool, flag: &str| {
            let command = format!("ephor review confirm {id} {path} {flag}");
            self.act(label, "confirm", json!({"step": path, "passed": passed}), command)
        };
        asked.acts = vec![
            confirm("it is good", true, "--pass"),
            confirm("it is not good", false, "--fail --reason …").filled(&["reason"]),
        ];
        asked.step = Some(path);
        asked
    }

    fn ask_for_a_signal(&self, i: u32, name: &str, since: Time) -> Asked {
        let path = self.path(i);
        let what = format!("step {path} waits for the signal {name}");
        let mut asked = self.asked(AskedFor::Signal, Right::Steer, what, since);
        if let Some(by) = self.soft.get(Timer::StepWait(i)) {
            self.limit(&mut asked, Some(by), "the step has failed");
        }
        let command = format!("ephor task signal {} {name}", self.id);
        asked.acts.push(self.act("say that it has happened", &format!("signals/{}", escaped(name)), Value::Null, command));
        asked.step = Some(path);
        asked
    }
}

impl Act {
    /// With what whoever answers has to fill in.
    fn filled(self, fields: &[&str]) -> Self {
        Self { fill: fields.iter().map(|field| (*field).to_owned()).collect(), ..self }
    }
}

/// A result, as far as it fits into a sentence; the whole of it is among the outputs of the task.
fn shortened(result: &Value) -> String {
    let text = match result {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A decision that is voted on, in a few words.
fn proposal(word: DecisionWord) -> &'static str {
    match word {
        DecisionWord::Liquidate => "LIQUIDATE: it ends",
        DecisionWord::ModifyScope => "MODIFY_SCOPE: it goes on with another scope",
        DecisionWord::AllocateResources => "ALLOCATE_RESOURCES: it goes on with more",
    }
}

/// A name as a part of a path.
fn escaped(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
