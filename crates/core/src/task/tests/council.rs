//! What judges say beside their vote: conditions that become gates, grounds and scores; and that nobody lets their own task pass.

use super::world::*;
use crate::command::{Command, Refusal};
use crate::event::OverrideWord;
use crate::review::{Opinion, Question, Verdict, VoteWord};
use crate::spec::GateKind;
use crate::status::{Status, StepStatus};
use crate::view::ReviewView;
use crate::work::Judgement;
use serde_json::{Value, json};

/// A task of high risk with these steps, before three judges.
fn before(steps: Value) -> World {
    let mut world = World::new();
    world.judges = judges(&["ann", "bob", "cid"]);
    world.submit(json!({"title": "x", "risk": "HIGH", "plan": {"steps": steps}}));
    world
}

fn says(world: &mut World, judge: &str, vote: VoteWord, opinion: Value) -> Result<(), Refusal> {
    let opinion: Box<Opinion> = Box::new(serde_json::from_value(opinion).unwrap());
    let judge: Box<str> = judge.into();
    let command = Command::Vote { review: None, judge, vote, confidence: Some(0.9), reason: "so".into(), opinion };
    world.by(&crate::event::Actor::human("somebody"), command).map(drop)
}

fn last(world: &World) -> ReviewView {
    world.task.review_views().pop().unwrap()
}

fn gates(world: &World, step: &str) -> Vec<GateKind> {
    world.task.step(step).unwrap().0.gates.iter().map(|gate| gate.kind).collect()
}

fn person(world: &mut World, step: &str, passed: bool) {
    let judgement = Judgement { passed, ..serde_json::from_value(json!({"kind": "MANUAL_REVIEW", "passed": passed})).unwrap() };
    world.ann(Command::Confirm { step: step.into(), judgement }).unwrap();
}

#[test]
fn what_a_yes_depends_on_becomes_gates_of_the_last_steps() {
    let mut world =
        before(json!([{"id": "a", "action": "a"}, {"id": "b", "action": "b", "depends_on": ["a"]}, {"id": "c", "action": "c"}]));
    let depends = json!({"conditions": ["the table is checked by hand", {"kind": "SECURITY_SCAN"}]});
    says(&mut world, "ann", VoteWord::Conditional, depends.clone()).unwrap();
    says(&mut world, "bob", VoteWord::Conditional, depends).unwrap();
    assert_eq!((world.status(), world.task.reviews()[0].verdict), (Status::Scheduled, Verdict::ApprovedWithConditions));
    let both = vec![GateKind::ManualReview, GateKind::SecurityScan];
    assert_eq!(
        (gates(&world, "a"), gates(&world, "b"), gates(&world, "c")),
        (vec![], both.clone(), both),
        "said twice, asked once"
    );
    let view = last(&world);
    assert_eq!(view.conditions.iter().map(|c| c.met).collect::<Vec<_>>(), [false, false]);
    assert!(view.requires_followup);

    world.work_off("a");
    world.work_off("b");
    assert_eq!(world.task.step("b").unwrap().1, StepStatus::Checking);
    person(&mut world, "b", true);
    let scan = world.claim(7, "gate.security_scan");
    let clean = serde_json::from_value(json!({"kind": "SECURITY_SCAN", "passed": true})).unwrap();
    world.report(&scan, crate::work::Outcome::Judged(clean)).unwrap();
    assert!(last(&world).conditions.iter().all(|condition| condition.met));
    assert!(!last(&world).requires_followup);
}

#[test]
fn a_condition_that_is_not_met_lets_no_result_through() {
    let mut world = before(json!([{"id": "a", "action": "a"}]));
    says(&mut world, "ann", VoteWord::Conditional, json!({})).unwrap();
    says(&mut world, "bob", VoteWord::Approve, json!({})).unwrap();
    assert_eq!(world.task.step("a").unwrap().0.gates[0].criteria, ["so"], "the reason is the condition");
    world.work_off("a");
    person(&mut world, "a", false);
    assert_ne!(world.status(), Status::Completed);
    assert!(!last(&world).conditions[0].met);
}

#[test]
fn another_plan_stands_under_the_same_conditions() {
    let mut world = before(json!([{"id": "a", "action": "a"}]));
    says(&mut world, "ann", VoteWord::Conditional, json!({"conditions": ["by hand"]})).unwrap();
    says(&mut world, "bob", VoteWord::Approve, json!({})).unwrap();
    world.propose(json!({"steps": [{"id": "p", "action": "p"}, {"id": "q", "action": "q", "depends_on": ["p"]}]})).unwrap();
    assert_eq!((gates(&world, "p"), gates(&world, "q")), (vec![], vec![GateKind::ManualReview]));

    // What one step has shown does not stand for the end of another plan.
    let mut world = before(json!([{"id": "a", "action": "a"}, {"id": "b", "action": "b"}]));
    says(&mut world, "ann", VoteWord::Conditional, json!({"conditions": ["by hand"]})).unwrap();
    says(&mut world, "bob", VoteWord::Approve, json!({})).unwrap();
    world.work_off("a");
    person(&mut world, "a", true);
    assert!(last(&world).conditions[0].met);
    world.propose(json!({"steps": [{"id": "a", "action": "a"}, {"id": "z", "action": "z"}]})).unwrap();
    assert_eq!(gates(&world, "z"), vec![GateKind::ManualReview]);
}

#[test]
fn where_no_step_was_left_to_show_it_the_council_sees_the_result() {
    let mut world =
        before(json!([{"id": "a", "action": "a"}, {"id": "b", "action": "b", "depends_on": ["a"], "when": "1 == 2"}]));
    says(&mut world, "ann", VoteWord::Conditional, json!({"conditions": ["by hand"]})).unwrap();
    says(&mut world, "bob", VoteWord::Approve, json!({})).unwrap();
    world.work_off("a");
    assert_eq!(world.task.open_review().map(|(_, question, _)| question), Some(Question::Result));
    for judge in ["ann", "bob"] {
        world.vote(judge, VoteWord::Approve).unwrap();
    }
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn on_a_result_conditions_are_what_is_left_to_follow() {
    let mut world = World::new();
    world.judges = judges(&["ann", "bob"]);
    world.submit(json!({"title": "x", "final_review": true}));
    world.work_off("work");
    says(&mut world, "ann", VoteWord::Conditional, json!({"conditions": ["the sources are named later"]})).unwrap();
    says(&mut world, "bob", VoteWord::Approve, json!({})).unwrap();
    assert_eq!(world.status(), Status::Completed);
    let view = last(&world);
    assert!(view.requires_followup && view.conditions[0].gate.criteria == ["the sources are named later"], "{view:?}");
}

#[test]
fn grounds_and_scores_are_told_by_weight_and_the_last_word_of_a_judge_counts() {
    let mut world = before(json!([{"id": "a", "action": "a"}]));
    let opinion =
        |quality: f64, advice: &str| json!({"evidence": ["the log"], "recommendations": [advice], "quality_score": quality});
    says(&mut world, "ann", VoteWord::Approve, opinion(0.2, "shorter")).unwrap();
    says(&mut world, "ann", VoteWord::Approve, opinion(0.4, "clearer")).unwrap();
    let open = last(&world);
    assert_eq!((open.quality_score, &open.recommendations[..]), (Some(0.4), &["clearer".to_owned()][..]));
    says(&mut world, "bob", VoteWord::Approve, json!({"quality_score": 0.8, "compliance_score": 0.5})).unwrap();
    let done = last(&world);
    let close = |a: Option<f64>, b: f64| a.is_some_and(|a| (a - b).abs() < 1e-9);
    assert!(close(done.quality_score, 0.6) && close(done.compliance_score, 0.5), "{done:?}");
    let ann = done.judge_reviews.iter().find(|review| review.judge_id == "ann").unwrap();
    assert_eq!((&ann.reasoning[..], &ann.evidence[..], ann.confidence), ("so", &["the log".to_owned()][..], Some(0.9)));
    let own = done.judge_reviews.last().unwrap();
    assert!(own.advisory && own.judge_id == "constitution" && own.weight == 0, "{own:?}");
}

#[test]
fn a_vote_with_nonsense_beside_it_changes_nothing() {
    let mut world = before(json!([{"id": "a", "action": "a"}]));
    let refused = says(&mut world, "ann", VoteWord::Approve, json!({"quality_score": 7.0, "conditions": ["x"]})).unwrap_err();
    let Refusal::Invalid(problems) = refused else { panic!("{refused:?}") };
    assert_eq!(problems.iter().map(|p| &*p.field).collect::<Vec<_>>(), ["quality_score", "conditions"]);
    assert_eq!(last(&world).tally.voted, 0);
}

#[test]
fn one_judge_of_weight_two_is_no_council() {
    let mut world = World::new();
    world.judges = judges(&["ann"]);
    world.judges[0].weight = 2;
    world.submit(json!({"title": "x", "risk": "HIGH"}));
    assert_eq!(world.status(), Status::Escalated, "nobody waits a day for a second judge that is not there");
    world.policy.solo = true;
    let mut alone = World::new();
    alone.policy.solo = true;
    alone.judges = world.judges.clone();
    alone.submit(json!({"title": "x", "risk": "HIGH"}));
    assert!(alone.task.open_review().unwrap().2.solo);
}

#[test]
fn nobody_lets_their_own_task_pass_unless_the_house_decides_alone() {
    let refused = |told: Result<crate::command::Answer, Refusal>| told.unwrap_err().code() == "FORBIDDEN";
    let mut world = before(json!([{"id": "a", "action": "a", "gates": [{"kind": "SECURITY_SCAN"}]}]));
    world.own = true;
    assert!(refused(world.overrule(OverrideWord::Approve, None)));
    assert!(refused(world.overrule(OverrideWord::Complete, None)));
    world.own = false;
    world.overrule(OverrideWord::Approve, None).unwrap();
    world.work_off("a");
    world.own = true;
    assert!(refused(world.overrule(OverrideWord::PassGate, Some("a"))));
    world.policy.solo = true;
    world.overrule(OverrideWord::PassGate, Some("a")).unwrap();
    assert_eq!(world.status(), Status::Completed);

    let mut doubted = World::new();
    doubted.submit(json!({"title": "x", "plan": {"steps": [{"action": "a"}], "confidence": 0.1}}));
    doubted.own = true;
    assert!(refused(doubted.ann(Command::AcceptPlan)), "{:?}", doubted.status());
    doubted.own = false;
    doubted.ann(Command::AcceptPlan).unwrap();
}
