//! How long things may take.

use super::world::*;
use crate::command::{Answer, Command};
use crate::event::{Actor, EndReason};
use crate::status::{Status, StepStatus};
use crate::timers::Timer;
use crate::work::{Outcome, WorkKey};
use serde_json::{Value, json};

fn given_step(more: Value) -> World {
    let mut step = json!({"action": "a", "retry_policy": {"initial": "10s", "jitter": 0}});
    step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    given_steps(json!([step]))
}

#[test]
fn a_task_that_no_agent_comes_for_fails_where_it_says_how_long_it_waits() {
    let mut world = given(json!({"title": "x", "queue_timeout": "5m"}));
    world.pass("5m");
    assert_eq!(world.task.end().unwrap().reason, Some(EndReason::QueueTimeout));
    let mut world = given(json!({"title": "x", "queue_timeout": "5m"}));
    world.claim(1, "work");
    world.pass("5m");
    assert_eq!(world.status(), Status::InProgress);
}

#[test]
fn a_wait_that_runs_is_not_waiting_for_an_agent() {
    let mut world = given(json!({"title": "x", "queue_timeout": "5m",
        "plan": {"steps": [{"action": "wait.for", "params": {"duration": "10m"}}]}}));
    world.pass("10m");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_step_that_no_agent_comes_for_fails() {
    let mut world = given_step(json!({"queue_timeout": "5m"}));
    world.pass("5m");
    assert_eq!((world.events(), world.status()), (vec!["STEP_FAILED", "TASK_ATTEMPT_FAILED"], Status::Retrying));
    // Offered anew, it waits anew.
    world.pass("10s");
    assert_eq!(world.step("1"), StepStatus::Ready);
    world.claim(1, "a");
    world.pass("6m");
    assert_eq!(world.step("1"), StepStatus::Running);
}

#[test]
fn a_step_of_a_task_that_is_not_released_is_not_waiting_for_an_agent() {
    let mut world = given(json!({"title": "x", "due_at": START.plus(ms("1h")).to_string(),
        "plan": {"steps": [{"action": "a", "queue_timeout": "5m"}]}}));
    world.pass("1h");
    assert_eq!(world.status(), Status::Scheduled);
    world.pass("5m");
    assert_eq!(world.step("1"), StepStatus::Failed);
}

#[test]
fn work_that_is_held_and_not_started_is_taken_back() {
    let mut world = given_step(json!({"start_timeout": "30s"}));
    let claim = world.wish(1, &["a"], false);
    let Ok(Answer::Work(item)) = world.by(&Actor::agent(agent(1)), Command::Claim(claim)) else { unreachable!() };
    world.pass("30s");
    assert_eq!((world.events(), world.step("1")), (vec!["ATTEMPT_FAILED"], StepStatus::Retrying));
    let start = Command::Start { work: item.work, attempt: item.attempt };
    assert_eq!(world.by(&Actor::agent(agent(1)), start).unwrap_err().code(), "STALE_ATTEMPT");
}

#[test]
fn an_attempt_that_takes_longer_than_it_may_is_over_and_counts() {
    let mut world = given_step(json!({"timeout": "5m"}));
    let item = world.claim(1, "a");
    world.pass("5m");
    assert_eq!((world.events(), world.step("1")), (vec!["ATTEMPT_FAILED"], StepStatus::Retrying));
    assert_eq!(world.report(&item, Outcome::Cancelled).unwrap_err().code(), "STALE_ATTEMPT", "it said nothing in time");
    world.pass("10s");
    assert_eq!(world.claim(1, "a").attempt, 2);
}

#[test]
fn the_time_of_an_attempt_runs_from_its_start() {
    let mut world = given_step(json!({"timeout": "5m"}));
    let claim = world.wish(1, &["a"], false);
    world.by(&Actor::agent(agent(1)), Command::Claim(claim)).unwrap();
    world.pass("3m");
    world.by(&Actor::agent(agent(1)), Command::Start { work: WorkKey::Step("1".into()), attempt: 1 }).unwrap();
    world.pass("4m");
    assert_eq!(world.step("1"), StepStatus::Running);
    world.pass("1m");
    assert_eq!(world.step("1"), StepStatus::Retrying);
}

#[test]
fn an_attempt_of_a_step_that_does_not_say_may_take_two_hours() {
    let mut world = given_step(json!({}));
    world.claim(1, "a");
    world.pass("119m");
    assert_eq!(world.step("1"), StepStatus::Running);
    world.pass("1m");
    assert_eq!(world.step("1"), StepStatus::Retrying);
}

#[test]
fn the_time_of_the_task_runs_from_its_first_start_and_never_again() {
    let mut world = given(json!({"title": "x", "timeout": "10m"}));
    world.pass("1h");
    assert_eq!(world.status(), Status::Scheduled);
    let item = world.claim(1, "work");
    world.pass("6m");
    world.fail_for_good(&item);
    world.pass("3m");
    world.claim(1, "work");
    world.pass("1m");
    assert_eq!(world.task.end().unwrap().reason, Some(EndReason::Timeout));
}

#[test]
fn a_step_that_ended_leaves_no_clock_behind() {
    let mut world = given_steps(json!([
        {"action": "a", "timeout": "5m", "start_timeout": "1m", "queue_timeout": "5m"}, {"action": "b"}]));
    world.work_off("a");
    for timer in [Timer::StepStart(0), Timer::StepTimeout(0), Timer::StepRetry(0), Timer::StepQueue(0)] {
        assert!(world.task.firm.get(timer).is_none() && world.task.soft.get(timer).is_none(), "{timer:?}");
    }
    assert_eq!(world.task.wake_at(), None);
}
