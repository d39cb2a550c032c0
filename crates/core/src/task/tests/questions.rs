//! What a task asks of people: since when, until when, what follows from silence, and that an answer ends it.

use super::world::*;
use crate::command::Command;
use crate::event::{Actor, EscalationReason};
use crate::inbox::{Asked, AskedFor, Right};
use crate::policy::Rung;
use crate::review::{Question, VoteWord};
use crate::spec::GateKind;
use crate::time::{Time, WireDuration, WireTime};
use crate::work::{Failure, Judgement, Outcome};
use serde_json::json;

/// The only question.
fn only(world: &World) -> Asked {
    let mut asked = world.task.questions();
    assert_eq!(asked.len(), 1, "{asked:#?}");
    asked.remove(0)
}

fn at(text: &str) -> WireTime {
    WireTime(START.plus(ms(text)))
}

#[test]
fn a_review_asks_those_who_have_not_voted() {
    let mut world = World::new();
    world.judges = judges(&["ann", "bob", "cid"]);
    world.submit(json!({"title": "x", "risk": "HIGH", "plan": {"steps": [{"action": "a"}]}}));
    let asked = only(&world);
    assert_eq!((asked.reason, asked.question, asked.may), (AskedFor::Review, Some(Question::Admission), Right::Decide));
    assert_eq!((asked.who, asked.since), (vec!["ann".to_owned(), "bob".into(), "cid".into()], at("0s")));
    assert!(asked.until.is_some() && asked.unanswered.contains("silence approves nothing"), "{}", asked.unanswered);
    world.pass("1m");
    let vote = |judge: &str| Command::Vote {
        review: None,
        judge: judge.into(),
        vote: VoteWord::Approve,
        confidence: None,
        reason: String::new(),
        opinion: Box::default(),
    };
    world.by(&Actor::human("ann"), vote("ann")).unwrap();
    let asked = only(&world);
    assert_eq!((asked.who, asked.since), (vec!["bob".to_owned(), "cid".into()], at("0s")), "it is asked since then");
    world.by(&Actor::human("bob"), vote("bob")).unwrap();
    assert_eq!((world.task.questions(), world.task.asks_since()), (vec![], None));
}

#[test]
fn a_person_is_asked_about_a_result_until_the_limit_of_its_gate() {
    let mut world = given_steps(json!([
        {"action": "a", "gates": [{"kind": "MANUAL_REVIEW", "reviewer": "zoe"}]},
        {"action": "b"},
    ]));
    world.pass("10s");
    let item = world.claim(1, "a");
    world.pass("10s");
    world.succeed(&item);
    let asked = only(&world);
    assert_eq!((asked.reason, asked.step.as_deref(), asked.since), (AskedFor::Approval, Some("1"), at("20s")));
    assert_eq!((asked.who, asked.acts[0].body.clone()), (vec!["zoe".to_owned()], json!({"step": "1", "passed": true})));
    let until = asked.until.unwrap().0;
    assert_eq!(until, START.plus(ms("20s") + world.policy.review_wait.ms));
    // A deadline that comes first is what ends it.
    let mut world = given(json!({"title": "x", "deadline": Time::to_string(&START.plus(ms("1h"))), "plan": {"steps": [
        {"action": "a", "gates": [{"kind": "MANUAL_REVIEW"}]}]}}));
    let item = world.claim(1, "a");
    world.succeed(&item);
    let asked = only(&world);
    assert_eq!((asked.until, asked.unanswered.contains("the task fails")), (Some(at("1h")), true), "{asked:#?}");
}

#[test]
fn questions_come_oldest_first_and_rest_while_the_task_is_held() {
    let mut world = given_steps(json!([
        {"action": "wait.signal", "params": {"name": "paid"}, "timeout": "1h"},
        {"action": "a", "gates": [{"kind": "MANUAL_REVIEW"}]},
    ]));
    let item = world.claim(1, "a");
    world.pass("5m");
    world.succeed(&item);
    world.ann(Command::Escalate { priority: None, reason: "too dear".into() }).unwrap();
    let kinds = |world: &World| world.task.questions().into_iter().map(|asked| asked.reason).collect::<Vec<_>>();
    assert_eq!(kinds(&world)[0], AskedFor::Signal, "{:?}", kinds(&world));
    assert_eq!(kinds(&world).len(), 3);
    assert_eq!(world.task.asks_since(), Some(START));
    let escalated = world.task.questions().into_iter().find(|asked| asked.reason == AskedFor::Escalated).unwrap();
    assert_eq!(escalated.why[1], "too dear");
    world.ann(Command::Pause { reason: "lunch".into(), stop_running: false }).unwrap();
    assert_eq!((kinds(&world), world.task.asks_since()), (vec![], None));
    world.pass("1m");
    world.ann(Command::Resume { reason: String::new() }).unwrap();
    assert_eq!((kinds(&world).len(), world.task.asks_since()), (3, Some(START)), "nothing of it was answered meanwhile");
    world.ann(Command::Cancel { reason: "no".into(), force: true }).unwrap();
    assert_eq!((kinds(&world), world.task.asks_since()), (vec![], None));
}

#[test]
fn what_an_agent_reports_in_the_way_is_asked_in_its_words() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let item = world.claim(1, "a");
    world.pass("1m");
    world.report(&item, Outcome::Blocked { message: "the shop is closed".into() }).unwrap();
    let asked = only(&world);
    assert_eq!((asked.reason, asked.may, asked.since), (AskedFor::External, Right::Steer, at("1m")));
    assert_eq!((asked.why, asked.until), (vec!["the shop is closed".to_owned()], None));
    world.ann(Command::Resume { reason: String::new() }).unwrap();
    assert_eq!(world.task.questions(), []);
}

#[test]
fn a_plan_read_with_little_confidence_says_why() {
    let mut world = World::new();
    world.submit(json!({"title": "x", "plan": {"confidence": 0.4, "confidence_reasons": ["two steps have no verb"], "steps": [{"action": "a"}]}}));
    let asked = only(&world);
    assert_eq!((asked.reason, asked.why), (AskedFor::Decomposition, vec!["two steps have no verb".to_owned()]));
    assert_eq!(asked.acts.iter().map(|act| act.method.as_str()).collect::<Vec<_>>(), ["POST", "PUT"]);
}

#[test]
fn an_escalation_says_what_was_tried_and_what_may_be_decided() {
    let mut world = given(json!({"title": "x", "max_retries": 1, "plan": {"steps": [
            {"id": "book", "action": "a", "checkpoint": "booked"},
            {"action": "b", "needs": ["book"], "retry_policy": {"max_attempts": 1}}]}}));
    let item = world.claim(1, "a");
    world.succeed(&item);
    for _ in 0..2 {
        let item = world.claim(1, "b");
        let failure: Failure = serde_json::from_value(json!({"class": "TIMEOUT", "message": "no answer in 30 s"})).unwrap();
        world.report(&item, Outcome::Failed(failure)).unwrap();
        world.pass("1h");
    }
    let asked = only(&world);
    assert_eq!(asked.reason, AskedFor::Escalated);
    assert_eq!(asked.why[0], super::super::waiting::told(EscalationReason::RetriesSpent), "{asked:#?}");
    assert!(asked.why.iter().any(|why| why == "step 2: no answer in 30 s"), "{:?}", asked.why);
    let decisions: Vec<&str> = asked.acts.iter().filter_map(|act| act.body["decision"].as_str()).collect();
    assert_eq!(decisions, ["MODIFY_SCOPE", "ALLOCATE_RESOURCES", "LIQUIDATE", "ROLLBACK"]);
    assert_eq!(asked.acts[3].body["checkpoint"], "booked");
}

fn ladder(world: &mut World, rungs: &[(&str, &str)]) {
    let rung = |(after, who): &(&str, &str)| Rung { after: WireDuration { ms: ms(after) }, tell: vec![(*who).into()] };
    world.policy.ladder = rungs.iter().map(rung).collect();
}

#[test]
fn a_question_that_stays_open_climbs_the_ladder_and_its_deadline_stays_what_it_is() {
    let mut world = World::new();
    ladder(&mut world, &[("1h", "lead"), ("3h", "head")]);
    world.judges = judges(&["ann", "bob", "cid"]);
    world.submit(json!({"title": "x", "risk": "HIGH", "plan": {"steps": [{"action": "a"}]}}));
    assert_eq!(world.events(), ["SUBMITTED", "REVIEW_OPENED", "QUESTION_RAISED"]);
    let (asked, until) = (only(&world), only(&world).until);
    assert_eq!((asked.raised, world.task.wake_at()), (None, Some(START.plus(ms("1h")))), "nobody is told yet");

    world.pass("1h");
    assert_eq!(world.events(), ["QUESTION_RAISED"]);
    let raised = only(&world).raised.unwrap();
    assert_eq!((raised.rung, raised.told, raised.next_at), (1, vec!["lead".to_owned()], Some(at("3h"))));
    let version = world.task.version;
    world.pass("1h");
    assert_eq!(world.task.version, version, "nobody is told twice");

    world.pass("5h");
    let asked = only(&world);
    let raised = asked.raised.unwrap();
    assert_eq!((raised.rung, raised.told, raised.next_at), (2, vec!["lead".to_owned(), "head".into()], None));
    assert_eq!(asked.until, until, "who is told later has no longer");
    assert_eq!(world.task.wake_at(), until.map(|until| until.0), "nothing else is waited for");
}

#[test]
fn an_answer_ends_it_and_the_next_question_begins_below() {
    let mut world = given_steps(json!([
        {"action": "a", "gates": [{"kind": "MANUAL_REVIEW"}]},
        {"action": "b", "gates": [{"kind": "MANUAL_REVIEW"}]},
    ]));
    ladder(&mut world, &[("1m", "lead")]);
    let item = world.claim(1, "a");
    world.succeed(&item);
    world.pass("90s");
    assert_eq!(only(&world).raised.unwrap().told, ["lead"]);
    let item = world.claim(1, "b");
    world.succeed(&item);
    let confirm = Command::Confirm { step: "1".into(), judgement: Judgement::of(GateKind::ManualReview, true) };
    world.by(&Actor::human("bea"), confirm).unwrap();
    let asked = only(&world);
    assert_eq!((asked.step.as_deref(), asked.raised), (Some("2"), None), "it has been open for no time");
    world.pass("1m");
    assert_eq!(only(&world).raised.unwrap().rung, 1);
}

#[test]
fn a_ladder_that_is_changed_or_taken_away_wakes_nobody_for_nothing() {
    let mut world = World::new();
    ladder(&mut world, &[("1h", "lead")]);
    world.judges = judges(&["ann", "bob", "cid"]);
    world.submit(json!({"title": "x", "risk": "HIGH", "plan": {"steps": [{"action": "a"}]}}));
    ladder(&mut world, &[("2h", "lead")]);
    world.pass("1h");
    assert_eq!((only(&world).raised, world.task.wake_at()), (None, Some(START.plus(ms("2h")))));
    ladder(&mut world, &[]);
    world.pass("1h");
    assert_eq!(only(&world).raised, None);
    assert!(world.task.wake_at() > Some(world.now), "it is not looked at again for the sake of a rung that is gone");
}

#[test]
fn what_rests_under_a_hold_and_what_waits_for_a_signal_is_asked_of_nobody() {
    let mut world = given_steps(json!([{"action": "wait.signal", "params": {"name": "paid"}}]));
    ladder(&mut world, &[("1m", "lead")]);
    world.pass("1h");
    assert_eq!(only(&world).raised, None, "the outside answers that, when it does");

    let mut world = given_steps(json!([{"action": "a", "gates": [{"kind": "MANUAL_REVIEW"}]}]));
    ladder(&mut world, &[("10m", "lead")]);
    let item = world.claim(1, "a");
    world.succeed(&item);
    world.ann(Command::Pause { reason: String::new(), stop_running: false }).unwrap();
    world.pass("15m");
    assert!(!world.events().contains(&"QUESTION_RAISED"));
    world.ann(Command::Resume { reason: String::new() }).unwrap();
    assert_eq!(only(&world).raised.unwrap().rung, 1, "it was open all the while");
}

#[test]
fn a_ladder_that_makes_no_sense_is_told() {
    let mut world = World::new();
    ladder(&mut world, &[("2h", "lead"), ("1h", "")]);
    let told: Vec<String> = world.policy.problems().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("ladder[1].after") && told[1].contains("ladder[1].tell"), "{told:?}");
}

#[test]
fn what_is_left_when_the_question_is_answered_is_not_waited_for_as_if_it_were_one() {
    let mut world = given_steps(json!([
        {"action": "a", "gates": [{"kind": "MANUAL_REVIEW"}]},
        {"action": "wait.signal", "params": {"name": "paid"}},
    ]));
    ladder(&mut world, &[("1m", "lead"), ("2m", "head")]);
    let item = world.claim(1, "a");
    world.succeed(&item);
    world.pass("1m");
    let confirm = Command::Confirm { step: "1".into(), judgement: Judgement::of(GateKind::ManualReview, true) };
    world.by(&Actor::human("bea"), confirm).unwrap();
    assert_eq!(only(&world).reason, AskedFor::Signal);
    assert!(world.task.wake_at().is_none_or(|at| at > START.plus(ms("2m"))), "{:?}", world.task.wake_at());
}
