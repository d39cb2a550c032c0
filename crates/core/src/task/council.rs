//! The council: words of judges, what a conditional yes depends on, and how a review is told.

use super::decide::{bounded, invalid, somebody_else};
use super::{Decided, Draft, Review, Reviewed, Task};
use crate::command::{Answer, Context, Refusal};
use crate::constitution::{Judged, Ruling, Said};
use crate::event::{ActorKind, Event, Private};
use crate::id::ReviewId;
use crate::planted::{self, Fault};
use crate::review::{Grounds, Marks, Opinion, Question, Tally, Verdict, VoteWord, mean};
use crate::spec::GateSpec;
use crate::time::WireTime;
use crate::view::{ConditionView, JudgeReview, JudgeView, ReviewView, TermsView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most conditions that one review may end with.
const CONDITIONS_MAX: usize = 20;
/// The name under which the constitution's own word stands beside those of judges.
const CONSTITUTION: &str = "constitution";

/// What a judge wants to say.
pub(super) struct Word {
    pub(super) judge: Box<str>,
    pub(super) vote: VoteWord,
    pub(super) confidence: Option<f64>,
    pub(super) reason: String,
    pub(super) opinion: Opinion,
}

/// What a judge said last, in facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeSaid {
    vote: VoteWord,
    weight: u32,
    confidence: Option<f64>,
    marks: Marks,
}

/// What the council's yes depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Condition {
    review: ReviewId,
    gate: GateSpec,
    /// Whether a gate with it let a result through.
    met: bool,
}

impl Task {
    pub(super) fn vote(&self, asked: Option<ReviewId>, word: Word, cx: &Context<'_>) -> Result<Decided, Refusal> {
        let Word { judge, vote, confidence, reason, opinion } = word;
        let Some(review) = self.review.as_ref().filter(|r| asked.is_none_or(|id| id == r.id)) else {
            if let Some(last) = self.reviews.last().filter(|_| planted::is(Fault::VoteAfterVerdict)) {
                let cast = Event::VoteCast { review: last.id, judge, vote, confidence, marks: Box::default() };
                return Ok(Draft::new(cast).into());
            }
            return match self.reviews.is_empty() {
                true => Err(self.not_now("vote on", "no review of it is open")),
                false => Err(Refusal::AlreadySettled { what: "the review" }),
            };
        };
        if review.ballot.solo && cx.actor.kind != ActorKind::Human {
            return Err(Refusal::Forbidden("this review is decided by the operator".into()));
        }
        let judge = if review.ballot.solo { super::next::OPERATOR.into() } else { judge };
        if cx.actor.kind == ActorKind::Ai && cx.actor.id != judge {
            return Err(Refusal::Forbidden("an agent votes in its own name".into()));
        }
        // A word in the name of another counts as theirs; on one's own task it would be one's own.
        if cx.actor.kind == ActorKind::Human && cx.actor.id != judge && !review.ballot.solo {
            somebody_else(cx, "vote in the name of another on")?;
        }
        if self.has_executed(&judge) {
            return Err(Refusal::Forbidden(format!("{judge} has worked on this task and does not judge it")));
        }
        if !review.ballot.judges.iter().any(|j| j.id == judge) {
            return Err(Refusal::Forbidden(format!("{judge} is not among the judges of this review")));
        }
        if confidence.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
            return Err(invalid("confidence", "from 0 to 1"));
        }
        let marks = opinion.marks(vote, &reason).map_err(Refusal::Invalid)?;
        let others = review.said.iter().filter(|(of, _)| **of != judge).map(|(_, said)| said.marks.conditions.len());
        if others.sum::<usize>() + marks.conditions.len() > CONDITIONS_MAX {
            return Err(Refusal::LimitReached { key: "conditions".into(), max: CONDITIONS_MAX as i64 });
        }
        let id = review.id;
        let event = Event::VoteCast { review: id, judge, vote, confidence, marks: Box::new(marks) };
        let grounds = opinion.grounds(bounded(&reason)?);
        let cast = match grounds.evidence.is_empty() && grounds.recommendations.is_empty() {
            true => Draft::because(event, &grounds.reason),
            false => Draft::with(event, Private::Vote(Box::new(grounds))),
        };
        Ok(Decided { drafts: vec![cast], answer: Ok(Answer::Review(id)) })
    }

    /// Takes in a vote.
    pub(super) fn vote_cast(&mut self, judge: &str, vote: VoteWord, confidence: Option<f64>, marks: &Marks) {
        let Some(review) = &mut self.review else { return };
        review.ballot.votes.insert(judge.into(), vote);
        let weight = review.ballot.judges.iter().find(|j| *j.id == *judge).map_or(0, |j| j.weight);
        review.said.insert(judge.into(), JudgeSaid { vote, weight, confidence, marks: marks.clone() });
    }

    /// Takes in a verdict. What a yes depends on becomes gates of the last steps; of a result that is there it is a matter of what follows.
    pub(super) fn review_decided(&mut self, id: ReviewId, verdict: Verdict, tally: Tally, self_decided: bool) {
        let Some(open) = self.review.take() else { return };
        let passed = matches!(verdict, Verdict::Approved | Verdict::ApprovedWithConditions);
        // What the council says to a proposal settles no other question: a verdict before it still has to follow.
        self.review_followed &= open.question == Question::Escalation;
        self.council_says = open.proposal.filter(|_| passed);
        self.result_accepted |= passed && open.question == Question::Result;
        if passed && open.question != Question::Result && !planted::is(Fault::ConditionsForgotten) {
            for gate in conditions_of(&open.said) {
                self.conditions.push(Condition { review: id, gate: gate.clone(), met: false });
            }
            self.bind_conditions();
        }
        self.reviews.push(Reviewed {
            id,
            question: open.question,
            verdict,
            tally,
            self_decided,
            said: open.said,
            rulings: open.rulings,
        });
    }

    /// The last steps have what the council's yes depends on among their gates.
    pub(super) fn bind_conditions(&mut self) {
        if self.conditions.is_empty() {
            return;
        }
        // Also what one step has shown already: another plan ends in other steps.
        for i in self.board.last_steps() {
            for condition in &self.conditions {
                let gates = &mut self.board.steps[i as usize].gates;
                if !gates.contains(&condition.gate) {
                    gates.push(condition.gate.clone());
                }
            }
        }
    }

    /// A gate of a step let its result through: what was asked with it is met.
    pub(super) fn condition_met(&mut self, i: u32, gate: u16) {
        let Some(spec) = self.board.steps[i as usize].gates.get(usize::from(gate)) else { return };
        for condition in self.conditions.iter_mut().filter(|condition| condition.gate == *spec) {
            condition.met = true;
        }
    }

    /// Whether a gate is one that the council's yes depends on.
    pub(super) fn is_condition(&self, gate: &GateSpec) -> bool {
        self.conditions.iter().any(|condition| condition.gate == *gate)
    }

    /// Whether the council's yes depends on something that nobody has found to be so.
    pub(super) fn conditions_open(&self) -> bool {
        self.conditions.iter().any(|condition| !condition.met)
    }

    /// Its reviews by the council, decided ones first.
    pub fn review_views(&self) -> Vec<ReviewView> {
        let decided = self.reviews.iter().map(|r| {
            let followup = matches!(r.verdict, Verdict::Revise | Verdict::Escalated);
            self.review_view(
                r.id,
                r.question,
                (&r.said, &r.rulings),
                ReviewView {
                    verdict: Some(r.verdict),
                    self_decided: r.self_decided,
                    requires_followup: followup,
                    ..bare(r.id, r.question, r.tally)
                },
            )
        });
        let open = self.review.iter().map(|r| {
            let judge = |j: &crate::review::Judge| JudgeView {
                id: j.id.to_string(),
                weight: j.weight,
                veto: j.veto,
                vote: r.ballot.votes.get(&j.id).copied(),
            };
            let terms = TermsView {
                judges: r.ballot.judges.iter().map(judge).collect(),
                required: r.ballot.required,
                quorum: r.ballot.quorum,
                solo: r.ballot.solo,
                deadline: WireTime(r.ballot.deadline),
            };
            let view = ReviewView { terms: Some(terms), ..bare(r.id, r.question, r.ballot.tally()) };
            self.review_view(r.id, r.question, (&r.said, &r.rulings), view)
        });
        decided.chain(open).collect()
    }

    /// With what each judge said, and what follows from it.
    fn review_view(
        &self,
        id: ReviewId,
        question: Question,
        (said, rulings): (&BTreeMap<Box<str>, JudgeSaid>, &[Said]),
        view: ReviewView,
    ) -> ReviewView {
        let words = |judge: &str| self.contents.grounds_of(id, judge).cloned().unwrap_or_default();
        let by_judges = said.iter().map(|(judge, said)| {
            let Grounds { reason, evidence, recommendations } = words(judge);
            JudgeReview {
                judge_id: judge.to_string(),
                verdict: said.vote,
                weight: said.weight,
                advisory: false,
                confidence: said.confidence,
                reasoning: reason,
                evidence,
                recommendations,
                compliance_score: said.marks.compliance_score,
                quality_score: said.marks.quality_score,
            }
        });
        let own = advice(rulings);
        let compliance = mean(said.values().map(|s| (s.weight, s.marks.compliance_score))).or(own.compliance_score);
        let mut judge_reviews: Vec<JudgeReview> = by_judges.collect();
        let mut recommendations: Vec<String> = Vec::new();
        for line in judge_reviews.iter().flat_map(|review| &review.recommendations) {
            if !recommendations.contains(line) {
                recommendations.push(line.clone());
            }
        }
        judge_reviews.push(own);
        let met = |gate: &GateSpec| self.conditions.iter().any(|c| c.review == id && c.gate == *gate && c.met);
        let asked = if view.verdict == Some(Verdict::ApprovedWithConditions) { conditions_of(said) } else { Vec::new() };
        let conditions: Vec<ConditionView> = asked
            .into_iter()
            .map(|gate| ConditionView { gate: gate.clone(), met: question != Question::Result && met(gate) })
            .collect();
        let unmet = conditions.iter().any(|condition| !condition.met);
        ReviewView {
            judge_reviews,
            recommendations,
            compliance_score: compliance,
            quality_score: mean(said.values().map(|s| (s.weight, s.marks.quality_score))),
            requires_followup: view.requires_followup || unmet,
            conditions,
            ..view
        }
    }
}

/// A review of which nothing more is said.
fn bare(id: ReviewId, question: Question, tally: Tally) -> ReviewView {
    ReviewView {
        id,
        question,
        tally,
        verdict: None,
        self_decided: false,
        terms: None,
        judge_reviews: Vec::new(),
        recommendations: Vec::new(),
        conditions: Vec::new(),
        compliance_score: None,
        quality_score: None,
        requires_followup: false,
    }
}

/// What the votes of a review make a yes depend on, each once.
fn conditions_of(said: &BTreeMap<Box<str>, JudgeSaid>) -> Vec<&GateSpec> {
    let mut all: Vec<&GateSpec> = Vec::new();
    for gate in said.values().filter(|said| said.vote == VoteWord::Conditional).flat_map(|said| &said.marks.conditions) {
        if !all.contains(&gate) {
            all.push(gate);
        }
    }
    all
}

/// The constitution's own word beside those of judges. It counts nothing: what it refuses never comes to a vote. Its score is a scale of
/// Ephor's own: 1 where no rule spoke, 0.8 where one warned, 0.5 where one asked for people, 0 where one refuses.
fn advice(rulings: &[Said]) -> JudgeReview {
    let judged = Judged { said: rulings.to_vec(), ..Judged::default() };
    let strictest = rulings.iter().map(|said| said.ruling).max().unwrap_or(Ruling::Allow);
    let (verdict, score) = match strictest {
        Ruling::Allow => (VoteWord::Approve, 1.0),
        Ruling::Warn | Ruling::Transform => (VoteWord::Approve, 0.8),
        Ruling::Escalate => (VoteWord::Abstain, 0.5),
        Ruling::Deny => (VoteWord::Reject, 0.0),
    };
    JudgeReview {
        judge_id: CONSTITUTION.into(),
        verdict,
        weight: 0,
        advisory: true,
        confidence: None,
        reasoning: judged.sentence(),
        evidence: rulings.iter().map(|said| said.rule.to_string()).collect(),
        recommendations: Vec::new(),
        compliance_score: Some(score),
        quality_score: None,
    }
}

impl Review {
    /// A review that opens, of a task about which the constitution has said this.
    pub(super) fn opened(opened: &crate::event::ReviewOpened, rulings: &[Said]) -> Self {
        Self {
            id: opened.review,
            question: opened.question,
            ballot: Task::ballot(opened),
            proposal: opened.proposal,
            said: BTreeMap::new(),
            rulings: rulings.to_vec(),
        }
    }
}
