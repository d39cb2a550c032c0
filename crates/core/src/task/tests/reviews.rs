//! The council.

use super::world::*;
use crate::command::{Changes, Command, Decision, Refusal};
use crate::event::{Actor, DecisionWord, EndReason, EscalationReason, Event, OverrideWord, TextChanges};
use crate::review::{Question, Verdict, VoteWord};
use crate::status::Status;
use serde_json::json;

/// A task of high risk before these judges.
fn before(names: &[&str]) -> World {
    let mut world = World::new();
    world.judges = judges(names);
    world.submit(json!({"title": "x", "risk": "HIGH"}));
    world
}

/// A task whose result is before these judges.
fn result_before(names: &[&str]) -> World {
    let mut world = World::new();
    world.judges = judges(names);
    world.submit(json!({"title": "x", "final_review": true}));
    world.work_off("work");
    world
}

#[test]
fn high_risk_is_reviewed_before_anything_is_offered() {
    let mut world = before(&["ann", "bob", "cid"]);
    assert_eq!((world.events(), world.status()), (vec!["SUBMITTED", "REVIEW_OPENED"], Status::Deliberating));
    assert!(world.try_claim(1, &["work"]).is_err());
    world.vote("ann", VoteWord::Approve).unwrap();
    assert_eq!(world.status(), Status::Deliberating);
    world.vote("bob", VoteWord::Approve).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["VOTE_CAST", "REVIEW_DECIDED", "RELEASED"], Status::Scheduled));
    assert_eq!(world.task.reviews()[0].verdict, Verdict::Approved);
}

#[test]
fn a_judge_may_change_the_vote_while_the_review_is_open() {
    let mut world = before(&["ann", "bob", "cid"]);
    world.vote("ann", VoteWord::Approve).unwrap();
    world.vote("ann", VoteWord::Reject).unwrap();
    world.vote("bob", VoteWord::Approve).unwrap();
    assert_eq!(world.status(), Status::Deliberating, "one against one");
    world.vote("cid", VoteWord::Reject).unwrap();
    assert_eq!((world.status(), world.task.end().unwrap().reason), (Status::Cancelled, Some(EndReason::Rejected)));
}

#[test]
fn a_veto_decides_alone() {
    let mut world = World::new();
    world.judges = judges(&["ann", "bob", "cid"]);
    world.judges[2].veto = true;
    world.submit(json!({"title": "x", "risk": "CRITICAL"}));
    world.vote("cid", VoteWord::Reject).unwrap();
    assert_eq!(world.status(), Status::Cancelled);
}

#[test]
fn conditions_are_a_yes_that_is_told_apart() {
    let mut world = before(&["ann", "bob"]);
    world.vote("ann", VoteWord::Conditional).unwrap();
    world.vote("bob", VoteWord::Approve).unwrap();
    assert_eq!((world.status(), world.task.reviews()[0].verdict), (Status::Scheduled, Verdict::ApprovedWithConditions));
}

#[test]
fn who_is_no_judge_does_not_vote() {
    let mut world = before(&["ann", "bob"]);
    assert_eq!(world.vote("eve", VoteWord::Approve).unwrap_err().code(), "FORBIDDEN");
    let mut calm = given(json!({"title": "x"}));
    assert_eq!(calm.vote("ann", VoteWord::Approve).unwrap_err().code(), "ILLEGAL_TRANSITION");
}

#[test]
fn an_agent_votes_in_its_own_name() {
    let judge = agent(5).to_string();
    let mut world = before(&[&judge, "ann"]);
    let vote = Command::Vote {
        review: None,
        judge: judge.as_str().into(),
        vote: VoteWord::Approve,
        confidence: None,
        reason: "".into(),
        opinion: Box::default(),
    };
    assert_eq!(world.by(&Actor::agent(agent(6)), vote.clone()).unwrap_err().code(), "FORBIDDEN");
    world.by(&Actor::agent(agent(5)), vote).unwrap();
}

#[test]
fn a_vote_after_the_end_of_the_review_is_refused() {
    let mut world = before(&["ann", "bob", "cid"]);
    world.vote("ann", VoteWord::Approve).unwrap();
    world.vote("bob", VoteWord::Approve).unwrap();
    assert_eq!(world.vote("cid", VoteWord::Reject), Err(Refusal::AlreadySettled { what: "the review" }));
    world.cancel(true).unwrap();
    assert_eq!(world.vote("cid", VoteWord::Reject), Err(Refusal::AlreadySettled { what: "the review" }));
}

#[test]
fn a_deadline_never_means_yes() {
    let mut world = before(&["ann", "bob", "cid"]);
    world.vote("ann", VoteWord::Approve).unwrap();
    world.pass("24h");
    assert_eq!((world.events(), world.status()), (vec!["REVIEW_DECIDED", "ESCALATED"], Status::Escalated));
    // At the very instant of the deadline it has expired first.
    let mut world = before(&["ann", "bob"]);
    world.vote("ann", VoteWord::Approve).unwrap();
    world.now = START.plus(ms("24h"));
    assert_eq!(world.vote("bob", VoteWord::Approve), Err(Refusal::AlreadySettled { what: "the review" }));
    assert_ne!(world.status(), Status::Scheduled);
}

#[test]
fn with_too_few_judges_the_review_escalates_at_once_and_says_who_is_missing() {
    let world = before(&["ann"]);
    assert_eq!(world.events(), ["SUBMITTED", "REVIEW_OPENED", "REVIEW_DECIDED", "ESCALATED"]);
    let said = world.done.moves.iter().find(|m| m.event.kind() == "REVIEW_OPENED").unwrap();
    assert!(format!("{:?}", said.private).contains("1 of 2 needed votes"));
}

#[test]
fn where_too_few_judges_are_there_the_operator_decides_alone_if_that_is_allowed() {
    let mut world = World::new();
    world.policy.solo = true;
    world.submit(json!({"title": "x", "risk": "HIGH"}));
    let vote = Command::Vote {
        review: None,
        judge: "x".into(),
        vote: VoteWord::Approve,
        confidence: None,
        reason: "fine".into(),
        opinion: Box::default(),
    };
    assert_eq!(world.by(&Actor::agent(agent(1)), vote.clone()).unwrap_err().code(), "FORBIDDEN");
    world.ann(vote).unwrap();
    assert_eq!((world.status(), world.task.reviews()[0].self_decided), (Status::Scheduled, true));
}

#[test]
fn an_undecided_admission_is_asked_again_after_the_decision() {
    let mut world = before(&["ann", "bob"]);
    world.pass("24h");
    let text = TextChanges { description: Some("less".into()), ..TextChanges::default() };
    world.ann(Command::Decide(Box::new(Decision { word: DecisionWord::ModifyScope, text, council: false }))).unwrap();
    assert_eq!(
        (world.events(), world.status()),
        (vec!["ESCALATION_DECIDED", "JUDGED_ANEW", "REVIEW_OPENED"], Status::Deliberating)
    );
    world.overrule(OverrideWord::Approve, None).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["OVERRIDDEN", "RELEASED"], Status::Scheduled));
}

#[test]
fn a_person_may_overrule_the_council_with_a_reason() {
    let mut world = before(&["ann", "bob"]);
    let approve = Command::Override { decision: OverrideWord::Approve, step: None, reason: " ".into() };
    assert_eq!(world.ann(approve.clone()).unwrap_err().code(), "VALIDATION_FAILED");
    assert_eq!(world.by(&Actor::agent(agent(1)), approve).unwrap_err().code(), "FORBIDDEN");
    world.overrule(OverrideWord::Approve, None).unwrap();
    assert_eq!(world.status(), Status::Scheduled);
    assert_eq!(world.overrule(OverrideWord::Approve, None).unwrap_err().code(), "ILLEGAL_TRANSITION");
}

#[test]
fn a_result_is_reviewed_before_the_task_completes() {
    let mut world = result_before(&["ann", "bob"]);
    assert_eq!((world.status(), world.task.open_review().unwrap().1), (Status::Review, Question::Result));
    world.vote("ann", VoteWord::Approve).unwrap();
    world.vote("bob", VoteWord::Approve).unwrap();
    assert_eq!(world.status(), Status::Completed);
    let mut world = result_before(&["ann", "bob"]);
    world.vote("ann", VoteWord::Reject).unwrap();
    world.vote("bob", VoteWord::Reject).unwrap();
    assert_eq!((world.status(), world.task.end().unwrap().reason), (Status::Failed, Some(EndReason::ResultRejected)));
}

#[test]
fn an_undecided_result_may_be_accepted_by_a_person() {
    let mut world = result_before(&[]);
    assert_eq!(
        *world.made("ESCALATED"),
        Event::Escalated { reason: EscalationReason::ReviewUndecided, priority: None, limit_at: None }
    );
    world.overrule(OverrideWord::Approve, None).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["OVERRIDDEN", "COMPLETED"], Status::Completed));
}

#[test]
fn nobody_judges_what_they_did_themselves() {
    let doer = agent(1).to_string();
    let world = result_before(&[&doer, "ann", "bob"]);
    let (_, _, ballot) = world.task.open_review().unwrap();
    assert!(ballot.judges.iter().all(|j| *j.id != doer));
    assert_eq!(ballot.required, 2);
}

#[test]
fn a_judge_who_has_worked_meanwhile_may_not_vote_any_more() {
    let judge = agent(1).to_string();
    let mut world = before(&[&judge, "ann", "bob"]);
    world.overrule(OverrideWord::Approve, None).unwrap();
    world.judges = judges(&["ann", "bob"]);
    world.claim(1, "work");
    let text = TextChanges { description: Some("more".into()), ..TextChanges::default() };
    world.judges = judges(&[&judge, "ann", "bob"]);
    world.ann(Command::Modify(Box::new(Changes { text, ..Changes::default() }))).unwrap();
    assert_eq!(world.vote(&judge, VoteWord::Approve).unwrap_err().code(), "FORBIDDEN");
}

#[test]
fn what_was_approved_and_then_changed_is_reviewed_again() {
    let mut world = before(&["ann", "bob"]);
    world.overrule(OverrideWord::Approve, None).unwrap();
    let item = world.claim(1, "work");
    let text = TextChanges { description: Some("more".into()), ..TextChanges::default() };
    world.ann(Command::Modify(Box::new(Changes { text, ..Changes::default() }))).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["MODIFIED", "JUDGED_ANEW", "REVIEW_OPENED"], Status::Deliberating));
    world.succeed(&item);
    assert_eq!(world.status(), Status::Deliberating, "the result is kept, but nothing follows from it yet");
    world.vote("ann", VoteWord::Approve).unwrap();
    world.vote("bob", VoteWord::Approve).unwrap();
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_change_during_the_review_throws_the_votes_away() {
    let mut world = before(&["ann", "bob"]);
    world.vote("ann", VoteWord::Approve).unwrap();
    let first = world.task.open_review().unwrap().0;
    world.propose(json!({"steps": [{"action": "b"}]})).unwrap();
    let (second, _, ballot) = world.task.open_review().unwrap();
    assert_ne!(first, second);
    assert!(ballot.votes.is_empty());
}

#[test]
fn a_second_review_that_says_no_ends_a_task_that_has_begun() {
    let mut world = before(&["ann", "bob"]);
    world.overrule(OverrideWord::Approve, None).unwrap();
    world.claim(1, "work");
    let text = TextChanges { description: Some("worse".into()), ..TextChanges::default() };
    world.ann(Command::Modify(Box::new(Changes { text, ..Changes::default() }))).unwrap();
    world.vote("ann", VoteWord::Reject).unwrap();
    world.vote("bob", VoteWord::Reject).unwrap();
    assert_eq!((world.status(), world.task.end().unwrap().reason), (Status::Cancelled, Some(EndReason::Rejected)));
}

#[test]
fn votes_count_while_the_task_is_held_and_their_verdict_takes_effect_afterwards() {
    let mut world = before(&["ann", "bob"]);
    world.pause();
    world.vote("ann", VoteWord::Approve).unwrap();
    world.vote("bob", VoteWord::Approve).unwrap();
    assert_eq!(world.status(), Status::Paused);
    world.resume();
    assert_eq!((world.events(), world.status()), (vec!["RESUMED", "REVIEW_DECIDED", "RELEASED"], Status::Scheduled));
}
