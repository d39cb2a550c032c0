//! Reviews, counted a second time.

use super::{Approval, Breach, Rule, Said, Witness};
use ephor_core::event::ReviewOpened;
use ephor_core::id::{AgentId, ReviewId};
use ephor_core::review::{Judge, Question, Tally, Verdict, VoteWord};
use ephor_core::spec::GateSpec;
use std::collections::{BTreeMap, HashMap, HashSet};

/// An open review.
pub(super) struct Open {
    pub(super) id: ReviewId,
    pub(super) question: Question,
    judges: Vec<Judge>,
    required: u32,
    quorum: u32,
    deadline: i64,
    proposal: Option<ephor_core::event::DecisionWord>,
    votes: HashMap<Box<str>, VoteWord>,
    /// What each makes a yes depend on.
    conditions: BTreeMap<Box<str>, Vec<GateSpec>>,
}

impl Open {
    pub(super) fn new(opened: &ReviewOpened) -> Self {
        Self {
            id: opened.review,
            question: opened.question,
            judges: opened.judges.clone(),
            required: opened.required,
            quorum: opened.quorum,
            deadline: opened.deadline.0,
            proposal: opened.proposal,
            votes: HashMap::new(),
            conditions: BTreeMap::new(),
        }
    }

    pub(super) fn vote(&mut self, judge: &str, vote: VoteWord, conditions: &[GateSpec]) -> Option<Breach> {
        let known = self.judges.iter().any(|j| &*j.id == judge);
        self.votes.insert(judge.into(), vote);
        let depends = if vote == VoteWord::Conditional { conditions.to_vec() } else { Vec::new() };
        self.conditions.insert(judge.into(), depends);
        (!known).then(|| Breach { rule: Rule::Undecided, what: format!("{judge} voted, but is no judge of this review") })
    }

    fn weight(&self, of: impl Fn(Option<VoteWord>) -> bool) -> u32 {
        self.judges.iter().filter(|j| of(self.votes.get(&j.id).copied())).map(|j| j.weight).sum()
    }
}

/// The terms of a review: enough votes are asked for, and nobody judges what is theirs.
pub(super) fn opened(opened: &ReviewOpened, author: Option<&str>, doers: &HashSet<AgentId>) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut wrong = |what: String| found.push(Breach { rule: Rule::Undecided, what });
    let weight: u32 = opened.judges.iter().map(|j| j.weight).sum();
    if !opened.solo && (opened.required < 2 || opened.required <= weight / 2 || opened.quorum < 2) {
        wrong(format!("a review asks for {} of {weight} and a quorum of {}", opened.required, opened.quorum));
    }
    for judge in &opened.judges {
        if !opened.solo && author.is_some_and(|a| *a == *judge.id) {
            wrong(format!("{} judges what it submitted", judge.id));
        }
        if doers.iter().any(|d| *judge.id == *d.to_string()) {
            wrong(format!("{} judges what it did", judge.id));
        }
    }
    found
}

impl Witness {
    pub(super) fn decided(&mut self, id: ReviewId, verdict: Verdict, tally: &Tally, said: &Said<'_>) {
        let Some(open) = self.review.take().filter(|open| open.id == id) else {
            return self.breach(Rule::Undecided, "a review was decided that was not open".into());
        };
        let approve = open.weight(|v| matches!(v, Some(VoteWord::Approve | VoteWord::Conditional)));
        let reject = open.weight(|v| v == Some(VoteWord::Reject));
        let silent = open.weight(|v| v.is_none());
        let voted = open.votes.len() as u32;
        let vetoed = open.judges.iter().any(|j| j.veto && open.votes.get(&j.id) == Some(&VoteWord::Reject));
        let yes = !vetoed && approve >= open.required && approve > reject + silent && voted >= open.quorum;
        let passed = matches!(verdict, Verdict::Approved | Verdict::ApprovedWithConditions);
        if passed != yes {
            let what = format!(
                "the verdict is {verdict:?} with {approve} for, {reject} against, {silent} open, {} needed",
                open.required
            );
            self.breach(Rule::Undecided, what);
        }
        if (tally.approve, tally.reject, tally.open, tally.voted) != (approve, reject, silent, voted) {
            self.breach(Rule::Undecided, format!("the tally says {tally:?}, but {approve} are for, {reject} against"));
        }
        if verdict == Verdict::Escalated && said.at < open.deadline {
            self.breach(Rule::Undecided, "a review gave up before its deadline".into());
        }
        if open.question != Question::Escalation {
            self.asked_last = Some(open.question);
        }
        self.council_says = open.proposal.filter(|_| passed);
        let refused = matches!(verdict, Verdict::Rejected | Verdict::Revise);
        if passed && open.question != Question::Result {
            self.steps.depend_on(open.conditions.into_values().flatten());
        }
        match open.question {
            Question::Admission if passed => self.approval = Approval::Given,
            Question::Admission if refused => self.approval = Approval::Refused,
            Question::Result => {
                self.result_accepted |= passed;
                self.result_refused |= refused;
            }
            Question::Admission | Question::Escalation => {}
        }
    }
}
