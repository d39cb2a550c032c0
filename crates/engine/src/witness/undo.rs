//! What has to be undone, and who decided about an escalation, as the witness sees it.

use super::{Rule, Said, Witness};
use ephor_core::event::{DecidedBy, DecisionWord};

impl Witness {
    /// One went back: all that was done and can be undone is undone, what was done last first.
    pub(super) fn undo_all(&mut self, back: &[Box<str>], told: &[Box<str>]) {
        let owed = self.steps.owed_back(back);
        if owed != told {
            self.breach(Rule::Skipped, format!("{told:?} are to be undone, but it should be {owed:?}"));
        }
        if !owed.is_empty() {
            self.leases.remove(&ephor_core::work::WorkKey::Analysis);
        }
        self.owed.extend(owed);
    }

    pub(super) fn is_undone_next(&self, path: &str) -> bool {
        self.owed.front().is_some_and(|next| **next == *path)
    }

    pub(super) fn undo_given(&mut self, path: &str) {
        if !self.is_undone_next(path) {
            self.breach(Rule::Skipped, format!("undoing step {path} was given away, but next is {:?}", self.owed.front()));
        }
    }

    pub(super) fn undone(&mut self, path: &str) {
        if !self.is_undone_next(path) {
            self.breach(Rule::Skipped, format!("step {path} was undone, but next is {:?}", self.owed.front()));
        }
        self.owed.retain(|owed| **owed != *path);
    }

    pub(super) fn nothing_is_owed(&mut self, what: &str) {
        if !self.owed.is_empty() {
            self.breach(Rule::Skipped, format!("{what} before {:?} were undone", self.owed));
        }
    }

    /// A person goes back only where a failure was dealt with or a decision is owed, and only a person does.
    pub(super) fn back_by_person(&mut self, checkpoint: &str, said: &Said<'_>) {
        if !said.is_human() {
            self.breach(Rule::Undecided, format!("{} went back to {checkpoint} as a person may", said.actor));
        }
        if !self.owed.is_empty() {
            self.breach(Rule::Skipped, format!("a person went back to {checkpoint} before {:?} were undone", self.owed));
        }
        self.went_back = Some(checkpoint.into());
    }

    /// The decision that goes with it. What has to be undone is undone before the task is tried again.
    pub(super) fn overruled_back(&mut self, checkpoint: Option<&str>) {
        if self.went_back.as_deref() != checkpoint {
            self.breach(Rule::Undecided, format!("going back to {checkpoint:?} was decided, but {:?} was done", self.went_back));
        }
        self.escalated = None;
        self.retries = 0;
        self.leases.remove(&ephor_core::work::WorkKey::Analysis);
        if self.owed.is_empty() {
            self.went_back = None;
            self.try_again();
        }
    }

    /// The council decides by its votes, the house not before its time.
    pub(super) fn who_decides(&mut self, decision: DecisionWord, by: DecidedBy, said: &Said<'_>) {
        let voted = self.council_says.take();
        let limit = self.house_limit.take();
        let may = match by {
            DecidedBy::Person => true,
            DecidedBy::Council => voted == Some(decision),
            DecidedBy::Policy => limit.is_some_and(|limit| limit <= said.at) && decision != DecisionWord::ModifyScope,
        };
        if !may {
            self.breach(Rule::Undecided, format!("{decision:?} was decided by {by:?}, which cannot be"));
        }
        if self.review.as_ref().is_some_and(|open| open.question == ephor_core::review::Question::Escalation) {
            self.review = None;
        }
    }
}
