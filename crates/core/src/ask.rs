//! What a client asks of a live task, as it goes over the wire. One form for the CLI, the API and the dashboard; agents have their own
//! words in `work`, and what only the engine says (wakes, lapsed leases, mail) has no form here.

use crate::budget::Budget;
use crate::event::{DecisionWord, OverrideWord, TextChanges};
use crate::id::{AgentId, EffectId, ReviewId};
use crate::review::{Condition, VoteWord};
use crate::spec::{ExecutionMode, PlanSpec, Priority};
use crate::time::WireTime;
use crate::work::EffectOutcome;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "ask", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum Ask {
    /// Hold.
    Pause {
        /// Why.
        #[serde(default)]
        reason: String,
        /// Whether running attempts are told to stop; else they may finish.
        #[serde(default)]
        stop_running: bool,
    },
    /// Go on, from a hold or from what an agent reported in the way.
    Resume {
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// End without success.
    Cancel {
        /// Why.
        reason: String,
        /// Without waiting for agents.
        #[serde(default)]
        force: bool,
    },
    /// Change what was submitted.
    Modify(Box<Modification>),
    /// Ask for a decision.
    Escalate {
        /// The priority it is raised to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<Priority>,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// The decision on an escalation.
    Decide {
        /// What is decided.
        decision: DecisionWord,
        /// Why, and the new words that MODIFY_SCOPE and ALLOCATE_RESOURCES need.
        #[serde(default)]
        changes: TextChanges,
        /// Whether the council votes on it instead.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        council: bool,
    },
    /// Overrule.
    Override {
        /// What is done.
        decision: OverrideWord,
        /// The step it is about, by path or name; ROLLBACK: the checkpoint to go back to.
        #[serde(default, alias = "checkpoint", skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// Why.
        reason: String,
    },
    /// Take its work from the agents it is with, was with, or is kept for.
    Reassign {
        /// The only one who gets it; anybody where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<AgentId>,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Keep this in mind.
    Guide {
        /// What.
        text: String,
    },
    /// Something happened outside.
    Signal {
        /// What.
        name: String,
        /// With what.
        #[serde(default)]
        payload: Value,
    },
    /// A judge's word in a review.
    Vote {
        /// In which; the open one where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        review: Option<ReviewId>,
        /// Who; whoever asks where it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judge: Option<String>,
        /// What.
        vote: VoteWord,
        /// How sure, from 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<f64>,
        /// Why.
        #[serde(default)]
        reason: String,
        /// What it rests on: up to 20 lines.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<String>,
        /// What would make it better: up to 20 lines.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        recommendations: Vec<String>,
        /// CONDITIONAL: what the yes depends on, up to 5, in words or as gates; the reason where there is none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        conditions: Vec<Condition>,
        /// How well it keeps to the constitution, from 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compliance_score: Option<f64>,
        /// How good it is, from 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quality_score: Option<f64>,
    },
    /// A person's word on the open gate of a step.
    Confirm {
        /// Which step, by path or name.
        step: String,
        /// Whether its result is good.
        passed: bool,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// A person's word on what a step is about to do.
    Approve {
        /// Which step, by path or name.
        step: String,
        /// Whether it may be done.
        approved: bool,
        /// The digest of what was asked about, as shown with the question: the answer counts for nothing else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        /// Other parameters to do it with; they are judged by the rules again, and may not be what these refuse.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        params: Option<serde_json::Map<String, Value>>,
        /// Why; a no says so.
        #[serde(default)]
        reason: String,
    },
    /// The plan may be carried out although it was read with little confidence.
    AcceptPlan,
    /// Take this plan instead of what is not finished of the present one.
    ReplacePlan {
        /// The plan.
        plan: Box<PlanSpec>,
    },
    /// What became of an effect of which nobody knew.
    SettleEffect {
        /// Which effect.
        effect: EffectId,
        /// What became of it.
        outcome: EffectOutcome,
    },
    /// Leave the live set.
    Archive,
    /// Forget what was private.
    Erase,
    /// A remark after the end.
    Note {
        /// What.
        text: String,
    },
}

/// A change of what was submitted; what is missing stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Modification {
    /// The version of the task the change was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    /// The new priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The new deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<WireTime>,
    /// The new due time; a plain date means the start of that day.
    #[serde(deserialize_with = "crate::time::start", skip_serializing_if = "Option::is_none")]
    pub due_at: Option<WireTime>,
    /// When it is released, whatever its due time; the past means now, a plain date the start of that day.
    #[serde(deserialize_with = "crate::time::start", skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<WireTime>,
    /// The new mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_mode: Option<ExecutionMode>,
    /// The agent that takes over the steps that were for the one before, or for any; what runs goes on where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// What it may use from now on; limits that are missing stay. Only a person may say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The models that open steps are done with from now on, by their type: the `task_type` of a step, its action, `*` for all. What runs
    /// goes on with the one it has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models_by_type: BTreeMap<Box<str>, Box<str>>,
    /// The new words, and why.
    #[serde(skip_serializing_if = "is_default")]
    pub changes: TextChanges,
}

fn is_default(changes: &TextChanges) -> bool {
    *changes == TextChanges::default()
}

#[cfg(feature = "rules")]
mod rules {
    use super::{Ask, Modification};
    use crate::command::{Approve, Changes, Command, Decision};
    use crate::event::Actor;
    use crate::plan::Problem;
    use crate::request::check_plan;
    use crate::review::Opinion;
    use crate::spec::{ExecutionMode, GateKind};
    use crate::work::{Judgement, Violation};

    impl Ask {
        /// The command it stands for, asked by `actor` of a task in this mode. A plan in it is checked.
        pub fn command(self, actor: &Actor, mode: ExecutionMode) -> Result<Command, Vec<Problem>> {
            Ok(match self {
                Self::Pause { reason, stop_running } => Command::Pause { reason, stop_running },
                Self::Resume { reason } => Command::Resume { reason },
                Self::Cancel { reason, force } => Command::Cancel { reason, force },
                Self::Modify(modification) => Command::Modify(Box::new((*modification).into())),
                Self::Escalate { priority, reason } => Command::Escalate { priority, reason },
                Self::Decide { decision, changes, council } => {
                    Command::Decide(Box::new(Decision { word: decision, text: changes, council }))
                }
                Self::Override { decision, step, reason } => Command::Override { decision, step: step.map(Into::into), reason },
                Self::Reassign { agent, reason } => Command::Reassign { agent, reason },
                Self::Guide { text } => Command::Guide { text },
                Self::Signal { name, payload } => Command::Signal { name: name.into(), payload },
                Self::Vote {
                    review,
                    judge,
                    vote,
                    confidence,
                    reason,
                    evidence,
                    recommendations,
                    conditions,
                    compliance_score,
                    quality_score,
                } => {
                    let judge = judge.map_or_else(|| actor.id.clone(), Into::into);
                    let opinion = Opinion { evidence, recommendations, conditions, compliance_score, quality_score };
                    Command::Vote { review, judge, vote, confidence, reason, opinion: Box::new(opinion) }
                }
                Self::Confirm { step, passed, reason } => {
                    Command::Confirm { step: step.into(), judgement: confirmed(passed, reason) }
                }
                Self::Approve { step, approved, digest, params, reason } => {
                    let (step, digest) = (step.into(), digest.map(Into::into));
                    Command::Approve(Box::new(Approve { step, approved, digest, params, reason, findings: Vec::new() }))
                }
                Self::AcceptPlan => Command::AcceptPlan,
                Self::ReplacePlan { plan } => Command::Propose(Box::new(check_plan(&plan, mode)?)),
                Self::SettleEffect { effect, outcome } => Command::SettleEffect { effect, holder: None, outcome },
                Self::Archive => Command::Archive,
                Self::Erase => Command::Erase,
                Self::Note { text } => Command::Note { text },
            })
        }
    }

    impl From<Modification> for Changes {
        fn from(asked: Modification) -> Self {
            Self {
                expected_version: asked.expected_version,
                priority: asked.priority,
                deadline: asked.deadline.map(|at| at.0),
                due_at: asked.due_at.map(|at| at.0),
                release_at: asked.scheduled_at.map(|at| at.0),
                mode: asked.execution_mode,
                agent: asked.agent,
                budget: asked.budget,
                models_by_type: asked.models_by_type,
                text: asked.changes,
                findings: Vec::new(),
            }
        }
    }

    /// A person's word as a judgement: the reason for a no is what was found wrong, for a yes a recommendation.
    fn confirmed(passed: bool, reason: String) -> Judgement {
        let mut judgement = Judgement::of(GateKind::ManualReview, passed);
        match (passed, reason.is_empty()) {
            (_, true) => {}
            (true, false) => judgement.recommendations.push(reason),
            (false, false) => {
                judgement.violations.push(Violation { message: reason, ..Violation::default() });
            }
        }
        judgement
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use serde_json::json;

        fn asked(json: serde_json::Value) -> Result<Command, String> {
            let ask: Ask = serde_json::from_value(json).map_err(|e| e.to_string())?;
            ask.command(&Actor::human("ann"), ExecutionMode::Auto).map_err(|problems| problems[0].to_string())
        }

        #[test]
        fn words_on_the_wire_become_commands() {
            assert!(matches!(asked(json!({"ask": "RESUME"})), Ok(Command::Resume { reason }) if reason.is_empty()));
            let Ok(Command::Vote { judge, .. }) = asked(json!({"ask": "VOTE", "vote": "APPROVE"})) else { panic!() };
            assert_eq!(&*judge, "ann");
            let Ok(Command::Modify(changes)) = asked(json!({"ask": "MODIFY", "priority": "HIGH"})) else { panic!() };
            assert!(changes.priority.is_some());
            assert!(asked(json!({"ask": "CANCEL"})).unwrap_err().contains("reason"));
            assert!(asked(json!({"ask": "PAUSE", "raeson": "x"})).unwrap_err().contains("raeson"));
        }

        #[test]
        fn a_plan_that_replaces_another_is_checked_first() {
            let wrong = asked(json!({"ask": "REPLACE_PLAN", "plan": {"steps": [{"id": "a", "needs": ["ghost"]}]}}));
            assert!(wrong.unwrap_err().contains("ghost"));
        }

        #[test]
        fn the_reason_of_a_no_is_what_was_found_wrong() {
            let Ok(Command::Confirm { judgement, .. }) =
                asked(json!({"ask": "CONFIRM", "step": "1", "passed": false, "reason": "too dark"}))
            else {
                panic!()
            };
            assert_eq!((judgement.passed, judgement.violations[0].message.as_str()), (false, "too dark"));
        }
    }
}
