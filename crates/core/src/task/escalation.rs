//! Decisions about a task that nothing else helps: by a person, by the council, or by the policy of the house when nobody else decides.

use super::decide::invalid;
use super::{Decided, Draft, Task};
use crate::command::{Context, Decision, Refusal};
use crate::event::{
    ActorKind, Allocation, DecidedBy, DecisionWord, EndReason, EscalationReason, Event, Private, ReviewOpened, TextChanges,
};
use crate::id::ReviewId;
use crate::matching::CAPACITIES;
use crate::plan::Problem;
use crate::policy::HouseDecision;
use crate::review::{Electorate, Judge, QUORUM, Question};
use serde_json::{Map, Value};

impl Task {
    /// A decision is owed from now on; where the house has a limit for that, it decides then.
    pub(super) fn escalated(&self, reason: EscalationReason, cx: &Context<'_>) -> Event {
        let limit_at = cx.policy.on_escalation.as_ref().map(|house| cx.now.plus(house.after.ms));
        Event::Escalated { reason, priority: None, limit_at }
    }

    pub(super) fn decide_escalation(&self, decision: Decision, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let judge = cx.judges.iter().any(|j| j.id == cx.actor.id);
        if cx.actor.kind == ActorKind::Ai && !judge {
            return Err(Refusal::Forbidden("an escalation is decided by the council or a person".into()));
        }
        if self.escalated.is_none() {
            return Err(self.not_now("decide an escalation of", "escalate it first"));
        }
        if let Some(limits) = &decision.text.resource_limits {
            let wrong = wrong_sizes(limits);
            if !wrong.is_empty() {
                return Err(Refusal::Invalid(wrong));
            }
        }
        match decision.word {
            DecisionWord::Liquidate if decision.text.reason.trim().is_empty() => {
                return Err(invalid("reason", "LIQUIDATE says why"));
            }
            DecisionWord::ModifyScope if decision.text.description.is_none() && decision.text.requirements.is_none() => {
                return Err(invalid("description", "MODIFY_SCOPE needs a new description or new requirements"));
            }
            DecisionWord::AllocateResources if decision.text.resource_limits.as_ref().is_none_or(|limits| limits.is_empty()) => {
                return Err(invalid("resource_limits", "ALLOCATE_RESOURCES needs the new limits"));
            }
            DecisionWord::AllocateResources if self.escalated == Some(EscalationReason::Constitution) => {
                let allowed = "more resources do not change what the constitution refuses: change its scope or its plan, override, or end it";
                return Err(self.not_now("decide by ALLOCATE_RESOURCES about", allowed));
            }
            DecisionWord::Liquidate | DecisionWord::ModifyScope | DecisionWord::AllocateResources => {}
        }
        // What an agent wants is only a proposal, though it is a judge.
        if decision.council || cx.actor.kind == ActorKind::Ai {
            return self.ask_council(decision, cx);
        }
        let reason = decision.text.reason.clone();
        let decided = decided(decision.word, DecidedBy::Person, decision.text);
        Ok(match decision.word {
            DecisionWord::Liquidate => {
                vec![decided, Draft::because(Event::Stopped { reason: EndReason::Liquidated }, &reason)].into()
            }
            DecisionWord::ModifyScope | DecisionWord::AllocateResources => decided.into(),
        })
    }

    /// Puts a decision to the vote.
    fn ask_council(&self, decision: Decision, cx: &Context<'_>) -> Result<Decided, Refusal> {
        if self.review.is_some() {
            return Err(self.not_now("ask the council about", "a review of it is open; vote on that first"));
        }
        let judges: Vec<Judge> = cx.judges.iter().filter(|j| !self.has_executed(&j.id)).cloned().collect();
        let electorate = Electorate::of(&judges);
        if !electorate.is_able() {
            let why = format!("{}: register agents able to `judge`, or decide it yourself", electorate.missing());
            return Err(Refusal::Forbidden(why));
        }
        let opened = ReviewOpened {
            review: ReviewId::derived(self.id, self.version, 0),
            question: Question::Escalation,
            judges,
            required: electorate.required,
            quorum: QUORUM,
            solo: false,
            deadline: cx.now.plus(cx.policy.review_wait.ms),
            proposal: Some(decision.word),
        };
        let words = Private::Changes(Box::new(decision.text));
        Ok(Draft::with(Event::ReviewOpened(Box::new(opened)), words).into())
    }

    /// What follows from the votes on what should become of it.
    pub(super) fn council_follows(&self, cx: &Context<'_>) -> Option<Draft> {
        if let Some(word) = self.council_says {
            return Some(decided(word, DecidedBy::Council, self.contents.proposal.clone()));
        }
        let review = self.review.as_ref().filter(|r| r.question == Question::Escalation)?;
        self.decided(&review.ballot, review.id, cx.now)
    }

    /// Nobody has decided in time. More resources are given once; then it ends.
    pub(super) fn house_decides(&self, cx: &Context<'_>) -> Draft {
        let by = DecidedBy::Policy;
        let text =
            |resource_limits| TextChanges { reason: "nobody decided in time".into(), resource_limits, ..TextChanges::default() };
        match cx.policy.on_escalation.as_ref().map(|house| &house.decision) {
            Some(HouseDecision::AllocateResources(more)) if !self.house_gave && self.can_go_on() => {
                decided(DecisionWord::AllocateResources, by, text(Some(more.clone())))
            }
            Some(HouseDecision::AllocateResources(_) | HouseDecision::Liquidate) => {
                decided(DecisionWord::Liquidate, by, text(None))
            }
            // The house has no such rule any more: it waits.
            None => Draft::new(Event::Escalated {
                reason: self.escalated.unwrap_or(EscalationReason::Requested),
                priority: None,
                limit_at: None,
            }),
        }
    }

    /// Whether more resources could help: not where votes or a plan are what is missing.
    fn can_go_on(&self) -> bool {
        match self.escalated {
            // The house does not let go on what its own constitution refuses.
            Some(EscalationReason::ReviewUndecided | EscalationReason::NoPlan | EscalationReason::Constitution) | None => false,
            Some(
                EscalationReason::RetriesSpent
                | EscalationReason::Requested
                | EscalationReason::HumanIntervention
                | EscalationReason::CompensationFailed
                | EscalationReason::HealingSpent,
            ) => true,
        }
    }
}

/// Sizes that are none: what the machines of agents are compared by is counted in whole numbers.
fn wrong_sizes(limits: &Map<String, Value>) -> Vec<Problem> {
    let wrong = |name: &&&str| limits.get(**name).is_some_and(|size| size.as_u64().is_none());
    let told = |name: &&str| Problem::new(format!("resource_limits.{name}"), "allowed is a whole number, 0 or more");
    CAPACITIES.iter().filter(wrong).map(told).collect()
}

fn decided(decision: DecisionWord, by: DecidedBy, text: TextChanges) -> Draft {
    let allocation = Allocation::of(&text);
    let ends = decision == DecisionWord::Liquidate;
    Draft::with(Event::EscalationDecided { decision, by, allocation, ends }, Private::Changes(Box::new(text)))
}
