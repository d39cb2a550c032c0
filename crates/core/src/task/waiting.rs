//! Why a task does not move: what it waits for, since when or until when, and the smallest act that frees it.

use super::Task;
use crate::event::{CheckResult, EscalationReason};
use crate::matching::{Key, who_could, who_else};
use crate::review::Question;
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::WireTime;
use crate::timers::Timer;
pub use crate::view::Waiting;

/// How many things of one kind are told.
const TOLD_MAX: usize = 20;

impl Task {
    /// What the task waits for, most pressing first. Empty only when it has ended.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.waiting_with(&|_| None)
    }

    /// The same where somebody knows the agents: why nobody has come for work that is offered under a key.
    pub fn waiting_with(&self, nobody_came: &dyn Fn(&str) -> Option<Waiting>) -> Vec<Waiting> {
        let mut list = Vec::new();
        if self.end.is_some() {
            return list;
        }
        let id = self.id;
        let say = |reason: &str, what: String| Waiting { reason: reason.into(), what, ..Waiting::default() };
        if self.paused.is_some() {
            let why = self.contents.hold.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
            list.push(Waiting {
                act: Some(format!("ephor task resume {id}")),
                ..say("PAUSED", format!("somebody put a hold on it{why}"))
            });
        }
        if let Some(reason) = self.escalated {
            let why = self.contents.escalation.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
            let what = format!("the council or a person owes a decision ({}){why}", told(reason));
            let act = match (reason, self.undoing.next()) {
                (EscalationReason::CompensationFailed, Some(undo)) => {
                    format!("ephor task override {id} compensated|retry-step --step {} --reason …", undo.path)
                }
                _ => format!("ephor task decide {id} liquidate|modify-scope|allocate-resources{}", self.or_back(reason)),
            };
            let until = self.firm.get(Timer::Escalation).map(WireTime);
            list.push(Waiting { until, act: Some(act), ..say("ESCALATED", what) });
        }
        if self.cancelling {
            list.push(Waiting {
                until: self.firm.get(Timer::CancelForce).map(WireTime),
                ..say("CANCELLING", "its agents were told to end".into())
            });
        }
        if let Some(review) = &self.review {
            let open: Vec<&str> =
                review.ballot.judges.iter().filter(|j| !review.ballot.votes.contains_key(&j.id)).map(|j| &*j.id).collect();
            let question = match review.question {
                Question::Admission => "whether it may start",
                Question::Result => "whether its result is good",
                Question::Escalation => "what should become of it",
            };
            list.push(Waiting {
                until: Some(WireTime(review.ballot.deadline)),
                act: Some(format!("ephor review vote {id} approve|reject --reason …")),
                ..say("REVIEW", format!("votes on {question} are owed by {}", open.join(", ")))
            });
        }
        if self.acceptance_owed {
            let confidence = self.facts.confidence.map(|c| format!(" (confidence {c:.2})")).unwrap_or_default();
            let doubts = self.doubts.iter().filter(|found| found.result == CheckResult::RequiresReview);
            let seen: Vec<String> = doubts.map(|found| format!("{}: {}", found.check, found.reason)).collect();
            let why = match seen.is_empty() {
                true => format!("its plan was read with too little confidence{confidence}"),
                false => format!("somebody has to look at its plan ({})", seen.join("; ")),
            };
            list.push(Waiting {
                act: Some(format!("ephor plan accept {id}")),
                ..say("DECOMPOSITION", format!("{why}; a person has to accept or replace it"))
            });
        }
        if let Some((of, _)) = self.budget_question() {
            let act = format!("ephor task modify {id} --budget {}=…", of.word());
            let what = format!("its budget does not suffice ({}): somebody has to raise it, or cancel the task", of.word());
            list.push(Waiting { act: Some(act), ..say("BUDGET", what) });
        }
        for on in self.dependencies.iter().take(TOLD_MAX) {
            list.push(Waiting {
                act: Some(format!("ephor why {on}")),
                ..say("DEPENDENCY", format!("{on} has to complete first"))
            });
        }
        if !self.released
            && let Some(at) = self.soft.get(Timer::Due)
            // What is only held back until somebody approves of it was asked for no time.
            && self.facts.due_at.is_some_and(|due| due > self.touched_at)
        {
            list.push(Waiting { until: Some(WireTime(at)), ..say("DUE", "it is not due yet".into()) });
        }
        if self.stalled {
            list.push(Waiting {
                act: Some(format!("ephor task resume {id}")),
                ..say("STALLED", "no agent came for too long; it goes on as soon as one does".into())
            });
        }
        if let Some(at) = self.soft.get(Timer::TaskRetry) {
            list.push(Waiting {
                until: Some(WireTime(at)),
                ..say("RETRY", format!("it is tried again, {} times so far", self.retries))
            });
        }
        if let Some(undo) = self.undoing.next() {
            let until = self.firm.get(Timer::UndoTimeout).or(self.soft.get(Timer::UndoRetry)).or(self.soft.get(Timer::UndoQueue));
            let who = match &self.undoing.lease {
                Some(lease) => format!("by {}", lease.agent),
                None => format!("by an agent able to {}", undo.how.capability_key()),
            };
            let what = format!("what step {} did is undone {who}, {} more after it", undo.path, self.undoing.left.len() - 1);
            list.push(Waiting { step: Some(undo.path.to_string()), until: until.map(WireTime), ..say("UNDO", what) });
        }
        self.waiting_steps(&mut list, nobody_came);
        for child in self.children.iter().take(TOLD_MAX) {
            list.push(Waiting {
                act: Some(format!("ephor why {child}")),
                ..say("CHILD", format!("its part {child} has not ended"))
            });
        }
        if list.is_empty() {
            list.push(say("RUNNING", "nothing stands in the way".into()));
        }
        list
    }

    fn waiting_steps(&self, list: &mut Vec<Waiting>, nobody_came: &dyn Fn(&str) -> Option<Waiting>) {
        let id = self.id;
        let path = |i: u32| self.board.steps[i as usize].path.to_string();
        let at = |i: u32, reason: &str, what: String| Waiting {
            reason: reason.into(),
            what,
            step: Some(path(i)),
            ..Waiting::default()
        };
        for (i, reason) in self.board.blocked.iter().take(TOLD_MAX) {
            let mut why = self.contents.errors.get(&format!("step:{}", path(*i))).cloned().unwrap_or_default();
            let act = match reason {
                BlockReason::HumanReview => {
                    let (what, act) = self.effect_to_settle(&path(*i));
                    why = [why, what].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
                    act
                }
                BlockReason::AgentOffline => format!("ephor task reassign {id}"),
                BlockReason::Approval
                | BlockReason::Dependency
                | BlockReason::Decomposition
                | BlockReason::CircuitOpen
                | BlockReason::Budget
                | BlockReason::External => format!("ephor task resume {id}"),
            };
            let until = self.soft.get(Timer::Reassign(*i)).map(WireTime);
            list.push(Waiting { act: Some(act), until, ..at(*i, reason.word(), why) });
        }
        for i in self.board.asked.iter().take(TOLD_MAX) {
            let step = &self.board.steps[*i as usize];
            let Some(open) = self.approvals.get(&step.path) else { continue };
            let until = Some(WireTime(open.until));
            let act = Some(format!("ephor review approve {id} {}", step.path));
            let what = format!("a person has to approve of {} first: {}", step.action, open.why());
            list.push(Waiting { until, act, ..at(*i, "ACTION_APPROVAL", what) });
        }
        for (i, gate) in self.board.gates.iter().take(TOLD_MAX) {
            let spec = &self.board.steps[*i as usize].gates[usize::from(gate.gate)];
            let until = self.soft.get(Timer::Gate(*i)).map(WireTime);
            list.push(match (gate.manual, &gate.lease) {
                (true, _) => {
                    let who = spec.reviewer.as_deref().unwrap_or("a person");
                    let act = Some(format!("ephor review confirm {id} {} --pass|--fail", path(*i)));
                    Waiting { until, act, ..at(*i, "APPROVAL", format!("{who} has to look at its result")) }
                }
                (false, Some(lease)) => {
                    Waiting { until, ..at(*i, "GATE", format!("{} is judged by {}", spec.kind.word(), lease.agent)) }
                }
                (false, None) if self.soft.get(Timer::GateRetry(*i)).is_some() => Waiting {
                    until: self.soft.get(Timer::GateRetry(*i)).map(WireTime),
                    ..at(*i, "RETRY", format!("who should {} gave it back; it is asked for again", spec.capability()))
                },
                (false, None) => Waiting {
                    until,
                    act: Some(who_could(spec.capability())),
                    ..at(*i, "NO_AGENT", format!("no agent able to {} has come for its gate", spec.capability()))
                },
            });
        }
        for (timer, what) in [(Timer::PlanRetry, "plan"), (Timer::AnalysisRetry, "analyse")] {
            if let Some(until) = self.soft.get(timer).map(WireTime) {
                let what = format!("who should {what} gave it back; it is asked for again");
                list.push(Waiting { reason: "RETRY".into(), what, until: Some(until), ..Waiting::default() });
            }
        }
        if self.board.leases == 0 && (self.started_at.is_none() || self.can_be_claimed()) {
            for key in self.open_keys().unwrap_or_default().lines().take(TOLD_MAX) {
                if let Some(known) = nobody_came(key) {
                    list.push(known);
                    continue;
                }
                let Key { words, model, agent, .. } = Key::read(key);
                let with = model.map(|model| format!(" with {model}")).unwrap_or_default();
                let (what, act) = match agent {
                    Some(only) => (
                        format!("it waits for {only} alone to {words}{with}, and that one has not come"),
                        format!("ephor task modify {id} --agent AGENT"),
                    ),
                    None => (format!("no agent able to {words}{with} has come for its work{}", who_else(words)), who_could(key)),
                };
                list.push(Waiting { reason: "NO_AGENT".into(), what, act: Some(act), ..Waiting::default() });
            }
        }
        for i in self.waits_for_budget().take(TOLD_MAX) {
            list.push(at(i, "BUDGET", "it waits for what others have set aside of the budget".into()));
        }
        for i in self.board.all().filter(|_| self.board.is_moving()) {
            if list.len() > 4 * TOLD_MAX {
                return;
            }
            let cell = self.board.cell(i);
            match (&cell.lease, cell.status) {
                (Some(lease), _) => list.push(at(i, "RUNNING", format!("attempt {} is with {}", lease.attempt, lease.agent))),
                (None, StepStatus::Retrying) => {
                    let until = self.soft.get(Timer::StepRetry(i)).map(WireTime);
                    let last = self.step_error(i).map(|why| format!(" ({})", crate::request::one_line(&why))).unwrap_or_default();
                    let attempts = if cell.failures == 1 { "attempt has" } else { "attempts have" };
                    let what = format!("{} {attempts} failed{last}; it is tried again", cell.failures);
                    list.push(Waiting { until, ..at(i, "RETRY", what) });
                }
                (None, StepStatus::Running) => {
                    let until = self.soft.get(Timer::StepWait(i)).map(WireTime);
                    let signal = self.listeners.iter().find(|(_, steps)| steps.contains(&i)).map(|(name, _)| name);
                    list.push(match (signal, self.spawned.get(&i)) {
                        (Some(name), _) => Waiting {
                            until,
                            act: Some(format!("ephor task signal {id} {name}")),
                            ..at(i, "SIGNAL", format!("it waits for the signal {name}"))
                        },
                        (None, Some(child)) => Waiting {
                            act: Some(format!("ephor why {child}")),
                            ..at(i, "CHILD", format!("{child} has not ended"))
                        },
                        (None, None) => Waiting { until, ..at(i, "TIMER", "it waits for a time".into()) },
                    });
                }
                _ => {}
            }
        }
    }

    /// Whether somebody named, or a time, will move it: no live task waits on nobody and nothing (DESIGN §7.7).
    pub fn waits_on_somebody(&self) -> bool {
        self.end.is_some()
            || self.wake_at().is_some()
            || self.can_be_claimed()
            || self.leases() > 0
            || !self.dependencies.is_empty()
            || !self.children.is_empty()
            || !self.spawned.is_empty()
            || !self.listeners.is_empty()
            || matches!(
                self.status,
                Status::Paused | Status::Escalated | Status::Blocked | Status::Stalled | Status::Deliberating
            )
    }
}

/// Why a decision is owed, for people.
pub(super) fn told(reason: EscalationReason) -> &'static str {
    match reason {
        EscalationReason::RetriesSpent => "its retries are spent",
        EscalationReason::ReviewUndecided => "a review of it was not decided",
        EscalationReason::Requested => "somebody asked for it",
        EscalationReason::HumanIntervention => "who analysed its failure asks for a person",
        EscalationReason::NoPlan => "nobody planned it in time",
        EscalationReason::CompensationFailed => "what was done could not be undone",
        EscalationReason::HealingSpent => "its failures were dealt with often enough without a person",
        EscalationReason::Constitution => "the constitution in force refuses it",
    }
}
