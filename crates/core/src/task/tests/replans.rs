//! A new plan for a task that has begun.

use super::world::*;
use crate::command::Command;
use crate::event::{Actor, Letter};
use crate::status::{Status, StepStatus};
use crate::work::{Outcome, WorkKey};
use serde_json::json;

#[test]
fn a_plan_is_not_replaced_under_running_steps() {
    let mut world = given_steps(json!([{"action": "a"}]));
    world.claim(1, "a");
    assert_eq!(world.propose(json!({"steps": [{"action": "b"}]})).unwrap_err().code(), "ILLEGAL_TRANSITION");
}

#[test]
fn what_is_finished_stays_finished_with_all_that_is_known_about_it() {
    let mut world = given_steps(json!([{"id": "one", "action": "a"}, {"action": "b"}]));
    let item = world.claim(1, "a");
    world.pass("1m");
    world.succeed_with(&item, json!(7));
    let before = world.task.board.cell(0).clone();
    world
        .propose(json!({"steps": [{"action": "c", "params": {"n": "${steps.one.output}"}}, {"id": "one", "action": "a"}]}))
        .unwrap();
    assert_eq!(world.step("one"), StepStatus::Completed);
    let after = world.task.board.cell(1);
    assert_eq!((after.started_at, after.ended_at, after.doer), (before.started_at, before.ended_at, before.doer));
    assert_eq!(world.claim(1, "c").params["n"], 7);
}

#[test]
fn the_same_name_with_another_action_is_another_step() {
    let mut world = given_steps(json!([{"id": "one", "action": "a"}, {"action": "b"}]));
    world.work_off("a");
    world.propose(json!({"steps": [{"id": "one", "action": "c"}]})).unwrap();
    assert_eq!(world.task.open_keys().unwrap(), "c\n");
}

#[test]
fn no_fencing_token_is_ever_used_twice() {
    let mut world = given_steps(json!([{"action": "a", "retry_policy": {"initial": "0s"}}]));
    let first = world.claim(1, "a");
    world.fail(&first);
    world.propose(json!({"steps": [{"action": "b"}, {"action": "a"}]})).unwrap();
    let second = world.claim(1, "b");
    assert_eq!((second.work.clone(), second.attempt), (WorkKey::Step("1".into()), 2));
    assert_eq!(world.report(&first, Outcome::Succeeded(Default::default())).unwrap_err().code(), "STALE_ATTEMPT");
}

#[test]
fn an_expanded_list_goes_on_where_it_was() {
    let plan = json!({"steps": [{"id": "each", "action": "a", "for_each": "[10, 20, 30]", "params": {"n": "${item}"}}, {"action": "b"}]});
    let mut world = given(json!({"title": "x", "plan": plan}));
    let item = world.claim(1, "a");
    world.succeed_with(&item, json!("ten"));
    world
        .propose(json!({"steps": [
        {"id": "each", "action": "a", "for_each": "[10, 20, 30]", "params": {"n": "${item}", "m": 1}},
        {"action": "c", "depends_on": ["each"], "params": {"all": "${steps.each.output}"}}]}))
        .unwrap();
    assert_eq!((world.step("1.1"), world.step("1.2")), (StepStatus::Completed, StepStatus::Ready));
    for (path, n) in [("1.2", 20), ("1.3", 30)] {
        let item = world.claim(1, "a");
        assert_eq!((&item.work, &item.params["n"], &item.params["m"]), (&WorkKey::Step(path.into()), &json!(n), &json!(1)));
        world.succeed_with(&item, json!(n));
    }
    assert_eq!(world.claim(1, "c").params["all"], json!(["ten", 20, 30]));
}

#[test]
fn a_list_with_a_condition_that_was_met_is_not_expanded_twice() {
    let steps = json!([{"id": "each", "action": "a", "when": "true", "for_each": "[1, 2]"}]);
    let mut world = given_steps(steps.clone());
    world.work_off("a");
    world.propose(json!({"steps": steps})).unwrap();
    world.work_off("a");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_running_child_goes_on_where_the_plan_still_has_its_step() {
    let part = json!({"action": "task.run", "params": {"request": {"title": "y"}}});
    let mut world = given_steps(json!([part, {"action": "a"}]));
    let child = world.births()[0].id;
    world.propose(json!({"steps": [part, {"action": "b"}]})).unwrap();
    assert!(world.births().is_empty() && world.mail().is_empty());
    world.take(Letter::ChildEnded { child, step: Some("1".into()), status: Status::Completed, used: None });
    assert_eq!(world.step("1"), StepStatus::Completed);
}

#[test]
fn a_running_child_of_a_step_that_is_gone_is_told_to_end_and_is_no_gap() {
    let part = json!({"action": "task.run", "params": {"request": {"title": "y"}}});
    let mut world = given_steps(json!([part, {"action": "a"}]));
    let child = world.births()[0].id;
    world.propose(json!({"steps": [{"action": "b"}]})).unwrap();
    assert_eq!(world.mail(), [(child, Letter::ParentEnded { parent: world.task.id })]);
    world.work_off("b");
    assert_eq!(world.status(), Status::InProgress, "it is waited for");
    world.take(Letter::ChildEnded { child, step: Some("1".into()), status: Status::Cancelled, used: None });
    assert_eq!(*world.made("COMPLETED"), crate::event::Event::Completed { gaps: vec![] });
}

#[test]
fn waits_of_the_old_plan_are_forgotten_and_signals_are_not() {
    let mut world = given_steps(json!([{"action": "wait.for", "params": {"duration": "1h"}}, {"action": "a"}]));
    world.signal("go", json!(1));
    world.propose(json!({"steps": [{"action": "wait.signal", "params": {"name": "go"}}, {"action": "b"}]})).unwrap();
    assert_eq!((world.step("1"), world.task.wake_at()), (StepStatus::Completed, None));
}

#[test]
fn a_doubtful_proposal_of_an_agent_waits_for_a_person() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let doubtful = checked(json!({"steps": [{"action": "b"}], "confidence": 0.5}));
    world.by(&Actor::agent(agent(1)), Command::Propose(Box::new(doubtful))).unwrap();
    assert_eq!(world.status(), Status::Blocked);
    world.ann(Command::AcceptPlan).unwrap();
    assert_eq!(world.status(), Status::Scheduled);
}

#[test]
fn a_plan_that_leaves_nothing_to_do_completes_the_task() {
    let mut world = given_steps(json!([{"id": "one", "action": "a"}, {"action": "b"}]));
    world.work_off("a");
    world.propose(json!({"steps": [{"id": "one", "action": "a"}]})).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["PLANNED", "COMPLETED"], Status::Completed));
}

#[test]
fn the_plan_of_a_task_that_failed_may_be_replaced_while_it_waits() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let item = world.claim(1, "a");
    world.fail_for_good(&item);
    world.propose(json!({"steps": [{"action": "b"}]})).unwrap();
    assert_eq!(world.status(), Status::Retrying);
    world.pass("10s");
    assert_eq!((world.status(), world.task.open_keys().unwrap()), (Status::InProgress, "b\n".into()));
}
