//! Waits, signals, conditions, lists, groups.

use super::world::*;
use crate::command::Command;
use crate::event::{Event, OverrideWord, SkipReason};
use crate::status::{Status, StepStatus};
use serde_json::json;

#[test]
fn a_wait_for_a_time_holds_no_lease_and_ends_by_the_clock() {
    let mut world = given_steps(json!([{"action": "wait.for", "params": {"duration": "10m"}}]));
    assert_eq!((world.events(), world.status()), (vec!["SUBMITTED", "WAIT_STARTED"], Status::InProgress));
    assert!(world.task.live_leases().is_empty() && world.task.open_keys().is_none());
    world.pass("599s");
    assert_eq!(world.status(), Status::InProgress);
    world.pass("1s");
    assert_eq!((world.events(), world.status()), (vec!["WAIT_ENDED", "COMPLETED"], Status::Completed));
}

#[test]
fn a_wait_until_a_time_that_has_passed_is_over_at_once() {
    let world = given_steps(json!([{"action": "wait.until", "params": {"time": START.to_string()}}]));
    assert_eq!(world.status(), Status::Completed);
    let mut world = given_steps(json!([{"action": "wait.until", "params": {"time": START.plus(5_000).to_string()}}]));
    world.pass("5s");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_signal_ends_the_wait_and_its_payload_is_the_output() {
    let mut world = given_steps(json!([{"id": "w", "action": "wait.signal", "params": {"name": "paid"}}]));
    world.signal("other", json!(1));
    assert_eq!(world.status(), Status::InProgress);
    world.signal("paid", json!({"sum": 7}));
    assert_eq!((world.events(), world.status()), (vec!["SIGNAL_RECEIVED", "WAIT_ENDED", "COMPLETED"], Status::Completed));
    assert_eq!(world.task.result(), json!({"sum": 7}));
}

#[test]
fn a_signal_that_comes_early_is_kept_and_each_is_used_once() {
    let mut world = given_steps(json!([{"action": "a"},
        {"id": "one", "action": "wait.signal", "params": {"name": "go"}, "depends_on": ["1"]},
        {"id": "two", "action": "wait.signal", "params": {"name": "go"}, "depends_on": ["1"]}]));
    world.signal("go", json!("first"));
    world.work_off("a");
    assert_eq!((world.step("one"), world.step("two")), (StepStatus::Completed, StepStatus::Running));
    world.signal("go", json!("second"));
    assert_eq!(world.task.result(), json!({"1": null, "one": "first", "two": "second"}));
}

#[test]
fn a_signal_that_does_not_come_in_time_fails_the_step() {
    let mut world = given_steps(json!([{"action": "wait.signal", "params": {"name": "go"}, "timeout": "5m", "optional": true}]));
    world.pass("5m");
    assert_eq!((world.events(), world.status()), (vec!["STEP_FAILED", "COMPLETED"], Status::Completed));
    let mut world = given(json!({"title": "x", "max_retries": 1,
        "plan": {"steps": [{"action": "wait.signal", "params": {"name": "go"}, "timeout": "5m"}]}}));
    world.pass("5m");
    assert_eq!(world.status(), Status::Retrying);
    // The next try waits again; it is not offered to agents.
    world.pass("10s");
    assert_eq!((world.step("1"), world.task.open_keys()), (StepStatus::Running, None));
    world.pass("5m");
    assert_eq!(world.status(), Status::Escalated);
    world.overrule(OverrideWord::RetryStep, Some("1")).unwrap();
    assert_eq!((world.step("1"), world.task.open_keys()), (StepStatus::Running, None));
    world.signal("go", json!(null));
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn signals_are_bounded_and_named_by_words() {
    let mut world = given(json!({"title": "x"}));
    let nonsense = Command::Signal { name: "a b".into(), payload: json!(null) };
    assert_eq!(world.ann(nonsense).unwrap_err().code(), "VALIDATION_FAILED");
    for n in 0..100 {
        world.signal(&format!("s{n}"), json!(n));
    }
    let more = Command::Signal { name: "one.more".into(), payload: json!(null) };
    assert_eq!(world.ann(more).unwrap_err().code(), "LIMIT_REACHED");
    world.signal("s1", json!(1));
}

#[test]
fn a_condition_decides_whether_a_step_is_done() {
    let mut world = given(json!({"title": "x", "payload": {"n": 3}, "plan": {"steps": [
        {"action": "a", "when": "task.payload.n > 2"},
        {"action": "b", "when": "task.payload.n > 5"},
        {"action": "c", "depends_on": ["2"]}]}}));
    assert_eq!(world.events(), ["SUBMITTED", "CONDITION_MET", "STEP_SKIPPED"]);
    assert_eq!(*world.made("STEP_SKIPPED"), Event::StepSkipped { step: "2".into(), reason: SkipReason::ConditionFalse });
    world.work_off("a");
    world.work_off("c");
    assert_eq!(*world.made("COMPLETED"), Event::Completed { gaps: vec![] });
}

#[test]
fn a_condition_sees_the_output_of_what_went_before() {
    let mut world = given_steps(json!([{"id": "scan", "action": "a"},
        {"action": "b", "depends_on": ["scan"], "when": "steps.scan.output.found > 0"}]));
    let item = world.claim(1, "a");
    world.succeed_with(&item, json!({"found": 0}));
    assert_eq!((world.step("2"), world.status()), (StepStatus::Skipped, Status::Completed));
}

#[test]
fn a_condition_that_makes_no_sense_fails_the_step() {
    let world =
        given(json!({"title": "x", "max_retries": 0, "plan": {"steps": [{"action": "a", "when": "task.payload.ghost > 1"}]}}));
    assert_eq!((world.events(), world.status()), (vec!["SUBMITTED", "STEP_FAILED", "FAILED"], Status::Failed));
}

#[test]
fn a_task_of_which_nothing_was_to_be_done_is_complete() {
    let world = given_steps(json!([{"action": "a", "when": "false"}]));
    assert_eq!((world.events(), world.status()), (vec!["SUBMITTED", "STEP_SKIPPED", "COMPLETED"], Status::Completed));
    let mut world = World::new();
    world.judges = judges(&["ann", "bob"]);
    world.submit(json!({"title": "x", "final_review": true, "plan": {"steps": [{"action": "a", "when": "false"}]}}));
    assert_eq!(world.status(), Status::Review);
}

#[test]
fn a_step_is_done_once_for_each_item_and_the_outputs_are_a_list() {
    let mut world = given(json!({"title": "x", "payload": {"files": ["p", "q"]}, "plan": {"steps": [
        {"id": "each", "action": "a", "for_each": "task.payload.files", "params": {"file": "${item}"}},
        {"action": "b", "depends_on": ["each"], "params": {"all": "${steps.each.output}"}}]}}));
    assert_eq!(world.events(), ["SUBMITTED", "EXPANDED"]);
    let (first, second) = (world.claim(1, "a"), world.claim(2, "a"));
    assert_eq!((&first.work.to_string()[..], &first.params["file"]), ("step:1.1", &json!("p")));
    assert_eq!(second.params["file"], "q");
    world.succeed_with(&second, json!(2));
    world.succeed_with(&first, json!(1));
    assert_eq!(world.claim(1, "b").params["all"], json!([1, 2]));
}

#[test]
fn a_list_of_nothing_is_done_at_once() {
    let mut world = given_steps(json!([{"id": "each", "action": "a", "for_each": "[]"},
        {"action": "b", "depends_on": ["each"], "params": {"all": "${steps.each.output}"}}]));
    let item = world.claim(1, "b");
    assert_eq!(item.params["all"], json!([]));
}

#[test]
fn a_task_of_a_single_list_is_still_known_by_its_name() {
    let mut world = given_steps(json!([{"id": "each", "action": "a", "for_each": "[1]"}]));
    world.work_off("a");
    assert_eq!(world.step("each"), StepStatus::Completed);
}

#[test]
fn what_is_no_list_fails_the_step() {
    let world = given(json!({"title": "x", "max_retries": 0, "plan": {"steps": [{"action": "a", "for_each": "7"}]}}));
    assert_eq!(world.status(), Status::Failed);
}

#[test]
fn a_list_of_waits_waits_for_each() {
    let mut world = given_steps(json!([{"action": "wait.signal", "params": {"name": "go"}, "for_each": "[1, 2]"}]));
    world.signal("go", json!("x"));
    assert_eq!((world.step("1.1"), world.step("1.2")), (StepStatus::Completed, StepStatus::Running));
    world.signal("go", json!("y"));
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn one_item_that_fails_is_tried_again_alone() {
    let mut world = given_steps(json!([{"action": "a", "for_each": "[1, 2]"}]));
    let (first, second) = (world.claim(1, "a"), world.claim(2, "a"));
    world.fail_for_good(&first);
    world.succeed(&second);
    world.pass("10s");
    assert_eq!((world.step("1.1"), world.step("1.2")), (StepStatus::Ready, StepStatus::Completed));
    world.work_off("a");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_group_opens_when_what_it_needs_has_ended() {
    let mut world = given_steps(json!([{"id": "g", "steps": [{"action": "a"}, {"action": "a"}]},
        {"depends_on": ["g"], "sequential": true, "steps": [{"action": "b"}, {"action": "c"}]}]));
    world.work_off("a");
    assert_eq!(world.task.open_keys().unwrap(), "a\n");
    world.work_off("a");
    assert_eq!(world.task.open_keys().unwrap(), "b\n");
    world.work_off("b");
    world.work_off("c");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn who_needs_a_part_of_a_group_that_is_skipped_does_not_wait_for_ever() {
    let mut world = given_steps(json!([{"when": "false", "steps": [{"action": "a"}]}, {"action": "b", "depends_on": ["1.1"]}]));
    world.work_off("b");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_group_that_is_skipped_takes_everything_in_it_along() {
    let mut world = given_steps(json!([{"steps": [
        {"action": "a"}, {"action": "b", "gates": [{"kind": "CODE_STYLE"}]}, {"action": "wait.for", "params": {"duration": "1h"}},
        {"action": "wait.signal", "params": {"name": "go"}}]}, {"action": "c", "depends_on": ["1"]}]));
    world.claim(1, "a");
    world.work_off("b");
    world.overrule(OverrideWord::SkipStep, Some("1")).unwrap();
    assert!(world.task.live_leases().is_empty());
    assert_eq!((world.task.open_keys().unwrap(), world.task.wake_at()), ("c\n".into(), None));
    world.work_off("c");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn more_than_one_command_may_settle_is_left_to_the_next_wake() {
    let steps: Vec<_> = (0..2_500).map(|_| json!({"action": "a", "when": "false"})).collect();
    let mut world = given_steps(json!(steps));
    assert_eq!((world.status(), world.task.wake_at()), (Status::Scheduled, Some(START)));
    world.pass("1s");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn any_number_of_waits_that_end_at_once_is_dealt_with_in_turns() {
    let steps: Vec<_> = (0..2_500).map(|_| json!({"action": "wait.for", "params": {"duration": "1m"}})).collect();
    let mut world = given_steps(json!(steps));
    world.pass("59s");
    world.now = START.plus(60_000);
    world.ann(Command::Wake).unwrap();
    assert_eq!((world.done.moves.len(), world.task.wake_at()), (2_000, Some(world.now)));
    world.pass("1s");
    assert_eq!(world.status(), Status::Completed);
}
