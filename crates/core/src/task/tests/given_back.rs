//! Work that comes back undone: by agents that were told to stop, that gave it up by themselves, that can do nothing; and words that come
//! too late.

use super::world::*;
use crate::command::{Command, Decision};
use crate::event::{Actor, DecisionWord, TextChanges};
use crate::spec::ErrorClass;
use crate::status::{Status, StepStatus};
use crate::task::report::GIVEN_BACK_MAX;
use crate::work::{Failure, Outcome, Success, WorkItem};
use serde_json::{Value, json};

/// How long it takes from a report until the work can be claimed again, in milliseconds.
fn wait_after(world: &mut World, item: &WorkItem, capability: &str, outcome: Outcome) -> i64 {
    world.report(item, outcome).unwrap();
    assert!(world.try_claim(1, &[capability]).is_err(), "it is offered again at once");
    let at = world.task.wake_at().expect("it is offered again");
    let waited = at.0 - world.now.0;
    world.pass(&format!("{waited}ms"));
    assert_eq!(world.events(), ["REOFFERED"]);
    waited
}

fn refused() -> Outcome {
    Outcome::Failed(Failure::new(ErrorClass::Other, "I cannot"))
}

#[test]
fn who_gives_work_back_though_nobody_asked_is_asked_again_later_and_in_the_end_never() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let mut waits = Vec::new();
    for _ in 0..GIVEN_BACK_MAX {
        let item = world.claim(1, "a");
        waits.push(wait_after(&mut world, &item, "a", Outcome::Cancelled));
        assert_eq!(world.step("1"), StepStatus::Ready);
    }
    assert!(waits.windows(2).take(5).all(|pair| pair[1] > pair[0] * 3 / 2), "{waits:?}");
    let item = world.claim(1, "a");
    world.report(&item, Outcome::Cancelled).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_FAILED", "TASK_ATTEMPT_FAILED"], Status::Retrying));
}

#[test]
fn who_was_told_to_stop_gives_back_what_is_offered_at_once_and_counts_for_nothing() {
    let mut world = given_steps(json!([{"action": "a"}]));
    for _ in 0..2 * GIVEN_BACK_MAX {
        let item = world.claim(1, "a");
        world.ann(Command::Pause { reason: "wait".into(), stop_running: true }).unwrap();
        world.report(&item, Outcome::Cancelled).unwrap();
        world.resume();
    }
    assert_eq!(world.step("1"), StepStatus::Ready);
}

#[test]
fn plans_gates_and_analyses_that_fail_are_asked_for_again_after_growing_waits() {
    let again = |world: &mut World, who: u8, capability: &str| {
        let item = world.claim(who, capability);
        wait_after(world, &item, capability, refused())
    };
    let mut world = given_steps(json!([{"action": "a", "gates": [{"kind": "FUNCTIONAL_TEST"}]}]));
    world.work_off("a");
    let kind = world.task.open_keys().unwrap().trim().to_owned();
    let waits: Vec<i64> = (0..3).map(|_| again(&mut world, 2, &kind)).collect();
    assert!(waits[1] > waits[0] * 3 / 2 && waits[2] > waits[1] * 3 / 2, "{waits:?}");
    let mut world = World::new();
    world.analyst = true;
    world.submit(json!({"title": "x", "plan": {"steps": [{"action": "a"}]}}));
    let item = world.claim(1, "a");
    world.fail_for_good(&item);
    let waits: Vec<i64> = (0..3).map(|_| again(&mut world, 2, "analyse")).collect();
    assert!(waits[1] > waits[0] * 3 / 2 && waits[2] > waits[1] * 3 / 2, "{waits:?}");
}

#[test]
fn a_word_that_comes_too_late_is_kept_and_changes_nothing_that_is_shown() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let item = world.claim(1, "a");
    world.ann(Command::Pause { reason: "legal hold, do not touch".into(), stop_running: false }).unwrap();
    let before = (world.task.view().reason, world.task.waiting());
    let lie = Success { output: json!({"lie": "resume me please"}), ..Success::default() };
    let late = WorkItem { attempt: item.attempt + 7, ..item };
    world.report_as(&Actor::agent(agent(3)), &late, Outcome::Succeeded(lie)).unwrap_err();
    assert_eq!(world.events(), ["LATE_REPORT_KEPT"]);
    assert_eq!((world.task.view().reason, world.task.waiting()), before);
    assert_eq!(before.0.as_deref(), Some("legal hold, do not touch"));
}

#[test]
fn resources_that_are_given_decide_who_can_do_the_work() {
    let mut world = given_steps(json!([{"action": "a", "resources": {"memory_mb": 100}}, {"action": "b"}]));
    assert_eq!(world.task.open_keys().unwrap(), "a%memory_mb=100\nb\n");
    let give = |world: &mut World, limits: Value| {
        world.ann(Command::Escalate { priority: None, reason: "it is too small".into() }).unwrap();
        let text = TextChanges { resource_limits: limits.as_object().cloned(), ..TextChanges::default() };
        let decision = Decision { word: DecisionWord::AllocateResources, text, council: false };
        world.ann(Command::Decide(Box::new(decision))).unwrap();
    };
    give(&mut world, json!({"memory_mb": 9000, "note": "as much as it takes"}));
    assert_eq!(world.task.open_keys().unwrap(), "a%memory_mb=9000\nb%memory_mb=9000\n");
    give(&mut world, json!({"model": "large/one"}));
    assert_eq!(world.task.open_keys().unwrap(), "a%memory_mb=9000#large/one\nb%memory_mb=9000#large/one\n");
    world.propose(json!({"steps": [{"action": "c"}]})).unwrap();
    assert_eq!(world.task.open_keys().unwrap(), "c%memory_mb=9000#large/one\n", "another plan is for the same task");
}
