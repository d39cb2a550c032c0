//! Other tasks: children, parents, dependencies, the next run.

use super::world::*;
use crate::command::{Births, Command, Hindered, Refusal};
use crate::event::{Actor, EndReason, Event, Letter, OverrideWord, Submitted};
use crate::id::TaskId;
use crate::status::{Status, StepStatus};
use serde_json::{Value, json};

/// A task of which one step is a task of its own, and that one's id.
fn with_child(more: Value) -> (World, TaskId) {
    let mut steps = vec![
        json!({"id": "part", "action": "task.run", "params": {"request": {"title": "the part", "payload": "${task.payload.p}"}}}),
    ];
    steps.extend(more.as_array().unwrap().iter().cloned());
    let world = given(json!({"title": "x", "payload": {"p": {"q": 1}}, "max_retries": 1, "plan": {"steps": steps}}));
    let child = world.births()[0].id;
    (world, child)
}

fn ended(child: TaskId, status: Status) -> Letter {
    Letter::ChildEnded { child, step: Some("1".into()), status, used: None }
}

#[test]
fn a_step_may_be_a_task_of_its_own() {
    let (world, child) = with_child(json!([]));
    assert_eq!((world.events(), world.status()), (vec!["SUBMITTED", "CHILD_BORN"], Status::InProgress));
    let birth = world.births()[0];
    let parent = birth.submission.facts.parent.as_ref().unwrap();
    assert_eq!((parent.task, parent.step.as_deref(), birth.submission.facts.depth), (world.task.id, Some("1"), 1));
    assert_eq!(birth.submission.text.payload, json!({"q": 1}));
    assert_eq!(child, TaskId::derived(world.task.id, 1, 0), "deciding again mints the same");
}

#[test]
fn the_result_of_a_child_is_the_output_of_its_step() {
    let (mut world, child) =
        with_child(json!([{"action": "b", "depends_on": ["part"], "params": {"n": "${steps.part.output.output.n}"}}]));
    world.take_with(ended(child, Status::Completed), json!({"n": 9}));
    assert_eq!(world.claim(1, "b").params["n"], 9);
}

#[test]
fn a_child_that_failed_is_a_failure_of_its_step_and_is_born_anew() {
    let (mut world, child) = with_child(json!([]));
    world.take(ended(child, Status::Failed));
    assert_eq!(
        (world.events(), world.step("part"), world.status()),
        (vec!["MAIL_TAKEN", "TASK_ATTEMPT_FAILED"], StepStatus::Failed, Status::Retrying)
    );
    world.pass("10s");
    assert_eq!(world.events(), ["RETRIED", "CHILD_BORN"]);
    let second = world.births()[0].id;
    assert_ne!(second, child);
    // The first one's word comes late and is about nobody.
    world.take(ended(child, Status::Completed));
    assert_eq!(world.step("part"), StepStatus::Running);
    world.take(ended(second, Status::Completed));
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_parent_that_ends_takes_its_children_along() {
    let (mut world, child) = with_child(json!([]));
    world.take(Letter::ChildJoined { child: other(1) });
    world.cancel(true).unwrap();
    let letter = Letter::ParentEnded { parent: world.task.id };
    assert_eq!(world.mail(), [(child, letter.clone()), (other(1), letter)]);
}

#[test]
fn a_child_whose_step_is_skipped_is_told_to_end_and_waited_for() {
    let (mut world, child) = with_child(json!([]));
    world.overrule(OverrideWord::SkipStep, Some("part")).unwrap();
    assert_eq!(
        (world.mail(), world.status()),
        (vec![(child, Letter::ParentEnded { parent: world.task.id })], Status::InProgress)
    );
    world.take(ended(child, Status::Cancelled));
    assert_eq!(*world.made("COMPLETED"), Event::Completed { gaps: vec!["1".into()] });
}

#[test]
fn a_task_declared_complete_takes_its_children_along_too() {
    let (mut world, child) = with_child(json!([]));
    world.overrule(OverrideWord::Complete, None).unwrap();
    assert_eq!(world.mail()[0].0, child);
}

#[test]
fn who_hears_that_the_parent_has_ended_ends() {
    let mut world = given(json!({"title": "x"}));
    world.claim(1, "work");
    world.take(Letter::ParentEnded { parent: other(9) });
    assert_eq!((world.status(), world.task.end().unwrap().reason), (Status::Cancelled, Some(EndReason::ParentEnded)));
}

#[test]
fn a_free_child_is_announced_and_waited_for() {
    let world = given(json!({"title": "x", "parent_task_id": other(9)}));
    assert_eq!(world.mail(), [(other(9), Letter::ChildJoined { child: world.task.id })]);
    let mut world = given(json!({"title": "x"}));
    world.take(Letter::ChildJoined { child: other(1) });
    world.work_off("work");
    assert_eq!(world.status(), Status::InProgress);
    world.take(Letter::ChildEnded { child: other(1), step: None, status: Status::Failed, used: None });
    assert_eq!(*world.made("COMPLETED"), Event::Completed { gaps: vec![other(1).to_string().into()] });
}

#[test]
fn who_ends_tells_the_parent_with_its_result() {
    let mut world = given(json!({"title": "x", "parent_task_id": other(9)}));
    let item = world.claim(1, "work");
    world.succeed_with(&item, json!({"n": 1}));
    let made = world.done.moves.last().unwrap();
    let letter = Letter::ChildEnded { child: world.task.id, step: None, status: Status::Completed, used: None };
    assert_eq!(made.mail, [(other(9), letter, json!({"n": 1}))]);
}

#[test]
fn a_result_that_is_too_large_for_a_letter_stays_at_home() {
    let mut world = given(json!({"title": "x", "parent_task_id": other(9)}));
    let item = world.claim(1, "work");
    world.succeed_with(&item, json!("x".repeat(10_000)));
    assert_eq!(world.done.moves.last().unwrap().mail[0].2, Value::Null);
}

#[test]
fn tasks_give_birth_to_tasks_only_so_deep() {
    let request = serde_json::from_value(json!({"title": "x", "max_retries": 0,
        "plan": {"steps": [{"action": "task.run", "params": {"request": {"title": "y"}}}]}}))
    .unwrap();
    let mut world = World::new();
    let mut submission = crate::request::check(&request, world.now, &world.policy).unwrap();
    submission.facts.depth = crate::task::next::DEPTH_MAX;
    world.ann(crate::command::Command::Submit(Box::new(submission))).unwrap();
    assert_eq!((world.events(), world.births().len()), (vec!["SUBMITTED", "STEP_FAILED", "FAILED"], 0));
}

#[test]
fn more_than_a_thousand_births_are_left_to_the_next_wake() {
    let list: Vec<u32> = (0..700).collect();
    let step = json!({"action": "task.run", "params": {"request": {"title": "y"}}, "for_each": "task.payload.list"});
    let mut world = given(json!({"title": "x", "payload": {"list": list}, "plan": {"steps": [step, step]}}));
    assert_eq!((world.births().len(), world.task.wake_at()), (1_000, Some(START)));
    world.by(&crate::event::Actor::clock(), crate::command::Command::Wake).unwrap();
    assert_eq!((world.births().len(), world.task.wake_at()), (400, None));
}

#[test]
fn a_request_for_a_child_that_makes_no_sense_fails_the_step() {
    let world = given(json!({"title": "x", "max_retries": 0,
        "plan": {"steps": [{"action": "task.run", "params": {"request": {"titel": "y"}}}]}}));
    assert_eq!(world.status(), Status::Failed);
    assert!(world.task.contents.reason.as_ref().unwrap().contains("titel"));
}

#[test]
fn a_task_waits_for_those_it_depends_on() {
    let mut world = given(json!({"title": "x", "depends_on": [other(1), other(2)]}));
    let joined = |n| (other(n), Letter::DependentJoined { dependent: world.task.id });
    assert_eq!((world.mail(), world.status()), (vec![joined(1), joined(2)], Status::Pending));
    world.take(Letter::DependencyEnded { dependency: other(1), status: Status::Completed });
    assert_eq!(world.status(), Status::Pending);
    world.take(Letter::DependencyEnded { dependency: other(2), status: Status::Completed });
    assert_eq!((world.events(), world.status()), (vec!["MAIL_TAKEN", "RELEASED"], Status::Scheduled));
}

#[test]
fn what_had_ended_before_is_not_waited_for() {
    let mut world = World::new();
    world.ended = vec![(other(1), Status::Completed)];
    world.submit(json!({"title": "x", "depends_on": [other(1)]}));
    assert_eq!(world.status(), Status::Scheduled);
    let mut world = World::new();
    world.ended = vec![(other(1), Status::Cancelled)];
    world.submit(json!({"title": "x", "depends_on": [other(1), other(2)]}));
    assert_eq!(world.task.end().unwrap().reason, Some(EndReason::DependencyFailed));
}

#[test]
fn a_dependency_that_fails_fails_who_waits() {
    let mut world = given(json!({"title": "x", "depends_on": [other(1)]}));
    world.take(Letter::DependencyEnded { dependency: other(7), status: Status::Failed });
    assert_eq!(world.status(), Status::Pending, "nobody it waits for");
    world.take(Letter::DependencyEnded { dependency: other(1), status: Status::Stopped });
    assert_eq!((world.status(), world.task.end().unwrap().reason), (Status::Failed, Some(EndReason::DependencyFailed)));
}

#[test]
fn who_waits_hears_how_it_ended() {
    let mut world = given(json!({"title": "x"}));
    world.take(Letter::DependentJoined { dependent: other(3) });
    world.work_off("work");
    let letter = Letter::DependencyEnded { dependency: world.task.id, status: Status::Completed };
    assert_eq!(world.mail(), [(other(3), letter)]);
}

#[test]
fn mail_to_who_has_ended_changes_nothing() {
    let mut world = given(json!({"title": "x"}));
    world.cancel(true).unwrap();
    world.take(Letter::ChildJoined { child: other(1) });
    assert!(world.events().is_empty());
}

#[test]
fn what_others_said_is_heard_before_a_deadline_ends_the_task() {
    let mut world = given(json!({"title": "x", "deadline": START.plus(60_000).to_string()}));
    // Nothing wakes it in between.
    world.now = world.now.plus(60_001);
    world.take(Letter::DependentJoined { dependent: other(1) });
    assert_eq!(world.events(), ["MAIL_TAKEN", "FAILED"]);
    assert_eq!(world.mail(), [(other(1), Letter::DependencyEnded { dependency: world.task.id, status: Status::Failed })]);
}

#[test]
fn nothing_follows_while_more_letters_wait() {
    let mut world = given(json!({"title": "x", "deadline": START.plus(60_000).to_string()}));
    world.now = world.now.plus(60_001);
    let letters = vec![Letter::DependentJoined { dependent: other(1) }];
    world.by(&Actor::settle(), Command::Take { letters, outputs: vec![Value::Null], more: true }).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["MAIL_TAKEN"], Status::Scheduled));
    world.take(Letter::DependentJoined { dependent: other(2) });
    assert_eq!(world.mail().len(), 2);
}

#[derive(Debug)]
struct Taken;

impl Births for Taken {
    fn admit(&self, child: TaskId, _: &Submitted) -> Result<(), Hindered> {
        Err(Hindered { field: "subject_ref_id", why: Refusal::Duplicate { existing: child } })
    }
}

#[test]
fn a_child_that_may_not_be_born_fails_its_step_and_says_why() {
    let mut world = World::new();
    world.births = Box::new(Taken);
    let part = json!({"action": "task.run", "optional": true, "params": {"request": {"title": "the part"}}});
    world.submit(json!({"title": "x", "plan": {"steps": [part, {"action": "a"}]}}));
    assert_eq!((world.events(), world.births().len()), (vec!["SUBMITTED", "STEP_FAILED"], 0));
    let why = &world.task.contents.errors["step:1"];
    assert!(why.starts_with("params.request.subject_ref_id: ") && why.contains("exists: task_"), "{why}");
}
