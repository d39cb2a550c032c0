//! The life of a task as data: its statuses, what may follow which, and how long each waits for what (DESIGN §3).

use crate::policy::{HouseDecision, Policy, StallStrategy};
use crate::status::Status;
use crate::time::WireDuration;
use serde::Serialize;

/// What kind of status it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StatusKind {
    /// It waits for its time, a judge or an agent.
    Waiting,
    /// Somebody works on it.
    Active,
    /// It waits for somebody outside of it.
    Held,
    /// It has ended.
    Final,
}

/// One status, and what may follow it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stage {
    /// The status.
    pub status: Status,
    /// What kind of status it is.
    pub kind: StatusKind,
    /// Whether it is an end.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// What may follow.
    pub may_become: &'static [Status],
    /// What it waits for, how long, and what happens then. What a request, a plan or a step says itself counts instead; a deadline of the
    /// task ends each of them.
    pub waits: Vec<Wait>,
}

/// One thing a status waits for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Wait {
    /// For what.
    #[serde(rename = "for")]
    pub what: &'static str,
    /// How long at most; missing where it waits until it comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<WireDuration>,
    /// The key of the policy that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'static str>,
    /// What happens then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<&'static str>,
}

impl Status {
    /// What kind of status it is.
    pub fn kind(self) -> StatusKind {
        match self {
            Self::Pending | Self::Deliberating | Self::Scheduled | Self::Retrying => StatusKind::Waiting,
            Self::Assigned | Self::InProgress | Self::Review => StatusKind::Active,
            Self::Blocked | Self::Paused | Self::Escalated | Self::Stalled => StatusKind::Held,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Stopped => StatusKind::Final,
        }
    }
}

/// Every status under a policy.
pub fn lifecycle(policy: &Policy) -> Vec<Stage> {
    let stage = |status: Status| Stage {
        status,
        kind: status.kind(),
        is_final: status.is_final(),
        may_become: status.successors(),
        waits: waits(status, policy),
    };
    Status::ALL.into_iter().map(stage).collect()
}

fn waits(status: Status, policy: &Policy) -> Vec<Wait> {
    let until = |what| Wait { what, limit: None, policy: None, then: None };
    let most =
        |what, limit: WireDuration, policy, then| Wait { what, limit: Some(limit), policy: Some(policy), then: Some(then) };
    let agent = || match policy.stall_watch {
        true => {
            let then = match policy.stall_strategy {
                StallStrategy::LogOnly => "it is noted",
                StallStrategy::MarkStalled => "STALLED",
                StallStrategy::Reassign => "its work is offered to anybody",
                StallStrategy::Escalate => "a task that looks into it is born",
            };
            most("an agent that claims its work", policy.stall_after, "stall_after", then)
        }
        false => until("an agent that claims its work"),
    };
    let plan = || {
        let then = if policy.one_step_plan { "one step stands for the plan" } else { "ESCALATED" };
        most("a plan, where an agent is to make it", policy.plan_wait, "plan_wait", then)
    };
    let cancelled = || most("its agents, once it was cancelled", policy.cancel_wait, "cancel_wait", "CANCELLED");
    match status {
        Status::Pending => vec![until("its due time"), until("the tasks it depends on")],
        Status::Deliberating => {
            vec![most("votes", policy.review_wait, "review_wait", "with too few votes ESCALATED, else CANCELLED; never a yes")]
        }
        Status::Scheduled => vec![agent(), plan()],
        Status::Assigned => {
            vec![
                most("a sign of life of its agent", policy.lease, "lease", "after a quarter more the attempt has failed"),
                agent(),
            ]
        }
        Status::InProgress => vec![
            most("a sign of life of its agents", policy.lease, "lease", "after a quarter more the attempt has failed"),
            most("the end of an attempt", policy.attempt_timeout, "attempt_timeout", "the attempt has failed"),
            agent(),
            cancelled(),
        ],
        Status::Review => vec![
            most("the judge of a gate", policy.gate_wait, "gate_wait", "the gate has failed"),
            most(
                "a person at a gate, or votes on its result",
                policy.review_wait,
                "review_wait",
                "the gate has failed; with too few votes ESCALATED, else FAILED",
            ),
        ],
        Status::Blocked => {
            let silent = "the agent that fell silent";
            let offline = policy
                .reassign_after
                .map_or(until(silent), |limit| most(silent, limit, "reassign_after", "its work is offered to anybody"));
            vec![until("a person, a task or whatever its reason names"), offline]
        }
        Status::Paused => vec![until("a person who resumes it")],
        Status::Retrying => vec![
            most("the failure analyst", policy.analysis_wait, "analysis_wait", "the retry policy decides"),
            most("an agent that undoes a step", policy.compensation_wait, "compensation_wait", "ESCALATED"),
            until("the end of its backoff"),
        ],
        Status::Escalated => {
            let who = "the council or a person who decides";
            vec![policy.on_escalation.as_ref().map_or(until(who), |house| {
                let then = match house.decision {
                    HouseDecision::Liquidate => "STOPPED",
                    HouseDecision::AllocateResources(_) => "it goes on with more resources; a second time STOPPED",
                };
                most(who, house.after, "on_escalation", then)
            })]
        }
        Status::Stalled => vec![until("an agent that claims its work, or a person who resumes it")],
        Status::Completed | Status::Failed | Status::Cancelled | Status::Stopped => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_not_ended_waits_for_something_and_the_policy_says_how_long() {
        let policy = Policy { gate_wait: WireDuration { ms: 7_000 }, ..Policy::default() };
        for stage in lifecycle(&policy) {
            assert_eq!(stage.waits.is_empty(), stage.is_final, "{}", stage.status);
            assert_eq!(stage.kind == StatusKind::Final, stage.is_final);
        }
        let review = &lifecycle(&policy)[Status::ALL.iter().position(|s| *s == Status::Review).unwrap()];
        assert_eq!((review.waits[0].limit.unwrap().ms, review.waits[0].policy), (7_000, Some("gate_wait")));
    }

    #[test]
    fn every_key_it_names_is_one_of_the_policy() {
        let house = crate::policy::OnEscalation { after: WireDuration { ms: 1_000 }, decision: HouseDecision::Liquidate };
        let policy = Policy { reassign_after: Some(WireDuration { ms: 1_000 }), on_escalation: Some(house), ..Policy::default() };
        let keys = serde_json::to_value(&policy).unwrap();
        for wait in lifecycle(&policy).iter().flat_map(|stage| &stage.waits) {
            assert!(wait.policy.is_none_or(|key| keys.get(key).is_some()), "{wait:?}");
            assert_eq!((wait.limit.is_some(), wait.then.is_some()), (wait.policy.is_some(), wait.policy.is_some()));
        }
    }
}
