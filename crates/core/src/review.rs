//! How votes are counted. Arithmetic that anyone can repeat: the terms stand in the event that opens a review, the votes in theirs.

mod opinion;

pub use opinion::{Condition, Grounds, Marks, Opinion, mean};

use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the council is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Question {
    /// May it start?
    Admission,
    /// Is the result good?
    Result,
    /// Is this what should become of an escalated task?
    Escalation,
}

/// Who may vote, and with what weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Judge {
    /// An agent's id or a person's name.
    pub id: Box<str>,
    /// How much the vote counts.
    pub weight: u32,
    /// Whether a REJECT of this judge alone decides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub veto: bool,
}

/// A judge's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VoteWord {
    /// In favour.
    #[serde(alias = "FOR", alias = "PASS")]
    Approve,
    /// Against.
    #[serde(alias = "AGAINST", alias = "FAIL")]
    Reject,
    /// Neither; counts for the quorum only.
    #[serde(alias = "UNCERTAIN")]
    Abstain,
    /// In favour, if the conditions are met.
    Conditional,
}

/// What the council says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Yes.
    Approved,
    /// Yes, if.
    ApprovedWithConditions,
    /// Not like this.
    Revise,
    /// No.
    Rejected,
    /// It cannot say.
    Escalated,
}

/// How the votes stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Tally {
    /// Weight in favour, conditional votes included.
    pub approve: u32,
    /// Of it, weight with conditions.
    pub conditional: u32,
    /// Weight against.
    pub reject: u32,
    /// How many voted.
    pub voted: u32,
    /// Weight that has not spoken.
    pub open: u32,
    /// Whether a veto fell.
    pub vetoed: bool,
}

/// The terms of a review and the votes so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ballot {
    /// Who may vote.
    pub judges: Vec<Judge>,
    /// How much weight in favour it takes.
    pub required: u32,
    /// How many must have voted.
    pub quorum: u32,
    /// Whether the operator may decide alone.
    pub solo: bool,
    /// When it is decided by what is there.
    pub deadline: Time,
    /// The last word of each judge.
    pub votes: BTreeMap<Box<str>, VoteWord>,
}

/// The weight it takes with so much weight eligible: more than half, and never less than two (ORIGINS §1).
pub fn required(weight: u32) -> u32 {
    (weight / 2 + 1).max(2)
}

/// How many judges must have spoken before anything but a veto decides.
pub const QUORUM: u32 = 2;

/// Whether those who may vote can decide anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Electorate {
    /// How many they are.
    pub judges: u32,
    /// What their votes weigh together.
    pub weight: u32,
    /// The weight in favour that it takes.
    pub required: u32,
}

impl Electorate {
    /// Those who may vote.
    pub fn of(judges: &[Judge]) -> Self {
        let weight = judges.iter().map(|judge| judge.weight).sum();
        Self { judges: judges.len() as u32, weight, required: required(weight) }
    }

    /// Whether they could say yes at all: enough of them, with enough weight.
    pub fn is_able(self) -> bool {
        self.judges >= QUORUM && self.weight >= self.required
    }

    /// What is missing where they could not, as a sentence begins.
    pub fn missing(self) -> String {
        match self.judges < QUORUM {
            true => format!("{} of {QUORUM} needed votes could be cast", self.judges),
            false => format!("{} of {} needed votes could be cast", self.weight, self.required),
        }
    }
}

impl Ballot {
    /// Counts the votes.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for judge in &self.judges {
            let Some(vote) = self.votes.get(&judge.id) else {
                tally.open += judge.weight;
                continue;
            };
            tally.voted += 1;
            match vote {
                VoteWord::Approve => tally.approve += judge.weight,
                VoteWord::Conditional => {
                    tally.approve += judge.weight;
                    tally.conditional += judge.weight;
                }
                VoteWord::Reject => {
                    tally.reject += judge.weight;
                    tally.vetoed |= judge.veto;
                }
                VoteWord::Abstain => {}
            }
        }
        tally
    }

    /// The verdict, once there is one: a veto at once, a majority when the quorum has spoken and no open vote can turn it, a no when it
    /// cannot be reached any more. At the deadline a missing quorum escalates and anything else is a no. A tie rejects.
    pub fn verdict(&self, now: Time) -> Option<Verdict> {
        let tally = self.tally();
        if tally.vetoed {
            return Some(Verdict::Rejected);
        }
        let passed = tally.approve >= self.required && tally.approve > tally.reject && tally.voted >= self.quorum;
        let settled = tally.approve > tally.reject + tally.open;
        if passed && settled {
            return Some(if tally.conditional > 0 { Verdict::ApprovedWithConditions } else { Verdict::Approved });
        }
        let hopeless = tally.approve + tally.open < self.required || tally.approve + tally.open <= tally.reject;
        if hopeless && tally.voted >= self.quorum {
            return Some(Verdict::Rejected);
        }
        if now >= self.deadline && crate::planted::is(crate::planted::Fault::DeadlineApproves) {
            return Some(Verdict::Approved);
        }
        if now >= self.deadline {
            return Some(if tally.voted < self.quorum { Verdict::Escalated } else { Verdict::Rejected });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VoteWord::*;

    fn ballot(weights: &[u32], votes: &[(usize, VoteWord)]) -> Ballot {
        let judges: Vec<Judge> =
            weights.iter().enumerate().map(|(i, w)| Judge { id: format!("j{i}").into(), weight: *w, veto: false }).collect();
        let weight = weights.iter().sum();
        Ballot {
            required: required(weight),
            quorum: 2,
            solo: false,
            deadline: Time(100),
            votes: votes.iter().map(|(i, v)| (judges[*i].id.clone(), *v)).collect(),
            judges,
        }
    }

    #[test]
    fn a_majority_that_nothing_can_turn_decides_at_once() {
        assert_eq!(ballot(&[1, 1, 1], &[(0, Approve)]).verdict(Time(0)), None);
        assert_eq!(ballot(&[1, 1, 1], &[(0, Approve), (1, Approve)]).verdict(Time(0)), Some(Verdict::Approved));
        assert_eq!(ballot(&[1, 1, 1], &[(0, Approve), (1, Conditional)]).verdict(Time(0)), Some(Verdict::ApprovedWithConditions));
        assert_eq!(ballot(&[1, 1, 1], &[(0, Reject), (1, Reject)]).verdict(Time(0)), Some(Verdict::Rejected));
    }

    #[test]
    fn a_tie_rejects() {
        assert_eq!(
            ballot(&[1, 1, 1, 1], &[(0, Approve), (1, Approve), (2, Reject), (3, Reject)]).verdict(Time(0)),
            Some(Verdict::Rejected)
        );
    }

    #[test]
    fn a_deadline_never_means_yes() {
        assert_eq!(ballot(&[1, 1, 1], &[]).verdict(Time(100)), Some(Verdict::Escalated));
        assert_eq!(ballot(&[1, 1, 1], &[(0, Approve)]).verdict(Time(100)), Some(Verdict::Escalated));
        assert_eq!(ballot(&[1, 1, 1], &[(0, Approve), (1, Abstain)]).verdict(Time(100)), Some(Verdict::Rejected));
    }

    #[test]
    fn one_approval_is_never_enough() {
        assert_eq!(required(1), 2);
        assert_eq!(ballot(&[1, 1], &[(0, Approve), (1, Abstain)]).verdict(Time(0)), Some(Verdict::Rejected));
    }

    #[test]
    fn a_veto_decides_alone() {
        let mut ballot = ballot(&[1, 1, 1], &[(0, Approve), (1, Approve), (2, Reject)]);
        ballot.judges[2].veto = true;
        assert_eq!(ballot.verdict(Time(0)), Some(Verdict::Rejected));
    }
}
