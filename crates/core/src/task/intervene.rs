//! What people do to a live task: resume, cancel, modify, escalate, overrule.

use super::decide::{bounded, invalid, somebody_else};
use super::{Decided, Draft, Task};
use crate::command::{Changes, Context, Refusal};
use crate::event::{
    ActorKind, Allocation, EndReason, EscalationReason, Event, Modified, OverrideWord, Private, SkipReason, TextChanges,
};
use crate::gate::Found;
use crate::review::Question;
use crate::spec::Priority;
use crate::status::{BlockReason, Status, StepStatus};

impl Task {
    pub(super) fn resume(&self, reason: &str) -> Result<Decided, Refusal> {
        let event = if self.paused.is_some() {
            Event::Resumed
        } else if self.board.blocked.values().any(|why| *why != BlockReason::HumanReview) {
            Event::Unblocked
        } else if !self.board.blocked.is_empty() {
            return Err(self.not_now("resume", "say what became of its effects first"));
        } else if !self.board.asked.is_empty() {
            return Err(self.not_now("resume", "approve or deny what its step is about to do"));
        } else if self.budget_asked() {
            return Err(self.not_now("resume", "raise its budget, or cancel it"));
        } else if self.stalled {
            Event::Unstalled
        } else {
            return Err(self.not_now("resume", "it is not held"));
        };
        Ok(match bounded(reason)? {
            "" => Draft::new(event).into(),
            reason => Draft::because(event, reason).into(),
        })
    }

    pub(super) fn cancel(&self, reason: &str, force: bool, cx: &Context<'_>) -> Result<Decided, Refusal> {
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

    pub(super) fn modify(&self, changes: Changes, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if let Some(expected) = changes.expected_version
            && expected != self.version
        {
            return Err(Refusal::VersionConflict { is: self.version, expected });
        }
        let mut changes = changes;
        if let Some(title) = &mut changes.text.title {
            *title = crate::request::one_line(title);
            if title.is_empty() {
                return Err(invalid("title", "it must hold some text"));
            }
        }
        let text = changes.text != TextChanges { reason: changes.text.reason.clone(), ..TextChanges::default() };
        let times = changes.deadline.is_some() || changes.due_at.is_some() || changes.release_at.is_some();
        let facts = [changes.priority.is_some(), times, changes.mode.is_some()];
        self.wants_models(&changes.models_by_type)?;
        let budget = self.rebudgeted(changes.budget, cx)?;
        if !text && !facts.contains(&true) && changes.agent.is_none() && changes.models_by_type.is_empty() && budget.is_none() {
            return Err(invalid(
                "changes",
                "change at least one of priority, deadline, due_at, scheduled_at, execution_mode, agent, budget, models_by_type, title, description, requirements, \
                 resource_limits, constitutional_basis",
            ));
        }
        if changes.deadline.is_some_and(|d| d <= cx.now) {
            return Err(invalid("deadline", "it has to be in the future"));
        }
        let mut findings = changes.findings;
        if let Some(limits) = &changes.text.resource_limits {
            findings.extend(crate::validation::changed_limits(limits, &cx.policy.resource_limits));
        }
        if let Some(mode) = changes.mode {
            findings.extend(self.let_act(mode, cx)?);
        }
        let modified = Modified {
            request_version: self.request_version + 1,
            priority: changes.priority,
            deadline: changes.deadline,
            due_at: changes.due_at,
            release_at: changes.release_at,
            mode: changes.mode,
            autonomy: changes.mode.and_then(|mode| self.autonomy_under(mode)),
            agent: changes.agent,
            text,
            allocation: Allocation { models_by_type: changes.models_by_type, ..Allocation::of(&changes.text) },
            budget,
            findings,
        };
        Ok(Draft::with(Event::Modified(Box::new(modified)), Private::Changes(Box::new(changes.text))).into())
    }

    pub(super) fn escalate(&self, priority: Option<Priority>, reason: &str, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if reason.trim().is_empty() {
            return Err(invalid("reason", "an escalation says why"));
        }
        // It is raised or it stays: what was more pressing before goes on to be.
        let priority = priority.filter(|priority| *priority > self.priority());
        let limit_at = cx.policy.on_escalation.as_ref().map(|house| cx.now.plus(house.after.ms));
        let event = Event::Escalated { reason: EscalationReason::Requested, priority, limit_at };
        Ok(Draft::because(event, bounded(reason)?).into())
    }

    pub(super) fn overrule(
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
        if matches!(decision, OverrideWord::Approve | OverrideWord::PassGate | OverrideWord::Complete) {
            somebody_else(cx, "let pass")?;
        }
        if decision == OverrideWord::Rollback {
            return self.overrule_back(step.as_deref(), reason, cx);
        }
        let may = decision == OverrideWord::Compensated || self.undoing.spent;
        let stuck = step.as_ref().filter(|_| may).and_then(|name| self.undo_stuck(name));
        if decision == OverrideWord::RetryStep && stuck.is_some() {
            somebody_else(cx, "have undone what stands in the way of")?;
        }
        if let (OverrideWord::Compensated | OverrideWord::RetryStep, Some(path)) = (decision, &stuck) {
            return Ok(Draft::because(Event::Overridden { decision, step: Some(path.clone()) }, bounded(reason)?).into());
        }
        let found = match (&step, decision) {
            (Some(name), _) => {
                Some(self.board.find(name).ok_or_else(|| Refusal::NotFound { what: "step", id: name.to_string() })?)
            }
            (None, OverrideWord::SkipStep | OverrideWord::RetryStep | OverrideWord::PassGate | OverrideWord::Compensated) => {
                return Err(invalid("step", "say which step"));
            }
            (None, OverrideWord::Complete | OverrideWord::Fail | OverrideWord::Approve | OverrideWord::Rollback) => None,
        };
        // What is left out shows nobody what its gates ask for.
        if decision == OverrideWord::SkipStep
            && found.is_some_and(|i| self.board.steps[i as usize].gates.iter().any(|gate| !gate.advisory))
        {
            somebody_else(cx, "leave out a step that has gates of")?;
        }
        let path = found.map(|i| self.board.steps[i as usize].path.clone());
        let overridden = Draft::because(Event::Overridden { decision, step: path.clone() }, bounded(reason)?);
        let followed_by = match (decision, found, path) {
            (OverrideWord::Complete, ..) if !self.status.may_become(Status::Completed) => {
                return Err(self.not_now("declare complete", "escalate it first, so that it is a decision"));
            }
            (OverrideWord::Complete, ..) => vec![Draft::new(Event::Completed { gaps: self.unfinished() })],
            (OverrideWord::Fail, ..) => vec![Draft::new(Event::Failed { reason: EndReason::Overridden, recoverable: true })],
            (OverrideWord::Approve, ..) if self.approval_helps() => Vec::new(),
            (OverrideWord::Approve, ..) => {
                return Err(self.not_now("approve", "no review of it is open; decide the escalation, or retry or skip its step"));
            }
            (OverrideWord::SkipStep, Some(i), Some(step)) if !self.board.has_ended(i) => {
                vec![Draft::new(Event::StepSkipped { step, reason: SkipReason::Overridden })]
            }
            (OverrideWord::RetryStep, Some(i), _)
                if matches!(self.board.cell(i).status, StepStatus::Failed | StepStatus::Retrying | StepStatus::Blocked)
                    && !self.board.has_ended(i)
                    && self.board.blocked.get(&i) != Some(&BlockReason::HumanReview)
                    && !self.board.asked.contains(&i) =>
            {
                Vec::new()
            }
            (OverrideWord::PassGate, Some(i), _) if self.board.gates.contains_key(&i) => {
                let gate = self.board.gates.get(&i).map_or(0, |g| g.gate);
                vec![self.judged(i, gate, Found::yes("override"), cx)]
            }
            (OverrideWord::Compensated, ..) => {
                return Err(self.not_now("declare this step undone in", "only what is undone next, and nobody works on, can be"));
            }
            (OverrideWord::SkipStep | OverrideWord::RetryStep | OverrideWord::PassGate | OverrideWord::Rollback, ..) => {
                return Err(
                    self.not_now("overrule this step of", "skip what has not ended, retry what failed, pass a gate that is open")
                );
            }
        };
        Ok(std::iter::once(overridden).chain(followed_by).collect::<Vec<_>>().into())
    }

    /// Whether the council, or somebody who asked for a decision, is what it waits for.
    fn approval_helps(&self) -> bool {
        use EscalationReason::{Constitution, Requested, ReviewUndecided};
        let asked = matches!(self.escalated, Some(ReviewUndecided | Requested | Constitution));
        let open = self.review.as_ref().is_some_and(|r| r.question != Question::Escalation);
        open || self.review_owed || asked
    }

    /// Steps that have not completed, named as gaps of a task that is declared complete.
    fn unfinished(&self) -> Vec<Box<str>> {
        let open = |i: &u32| self.board.kids(*i).is_empty() && self.board.cell(*i).status != StepStatus::Completed;
        self.board.all().filter(open).map(|i| self.board.steps[i as usize].path.clone()).collect()
    }
}
