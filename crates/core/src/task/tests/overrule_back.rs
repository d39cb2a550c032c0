//! A person goes back to a checkpoint: what needs it is undone and done again, counted anew.

use super::world::*;
use crate::command::{Command, Refusal};
use crate::event::{EscalationReason, Event, OverrideWord};
use crate::status::{Status, StepStatus};
use crate::work::{Advice, Outcome};
use serde_json::{Value, json};

/// A base, a step that may be undone, one that may not, and one that fails.
fn steps(undone: bool) -> Value {
    let mut b = json!({"id": "b", "action": "b", "depends_on": ["base"]});
    if undone {
        b["compensation"] = json!({"action": "unb"});
    }
    json!([
        {"id": "base", "action": "base", "checkpoint": "laid"},
        b,
        {"id": "d", "action": "d", "depends_on": ["b"]},
    ])
}

/// All but the last is done; that one failed for good, and nothing is tried any more without a person.
fn spent(undone: bool) -> World {
    let mut world = World::new();
    world.submit(json!({"title": "x", "max_retries": 1, "plan": {"steps": steps(undone)}}));
    for capability in ["base", "b"] {
        world.work_off(capability);
    }
    for _ in 0..2 {
        let item = world.claim(1, "d");
        world.fail_for_good(&item);
        world.pass("1h");
    }
    assert_eq!((world.status(), world.task.retries()), (Status::Escalated, 1));
    world
}

fn back(world: &mut World, to: &str) -> Result<crate::command::Answer, Refusal> {
    world.overrule(OverrideWord::Rollback, Some(to))
}

#[test]
fn what_needs_the_checkpoint_is_done_again_at_once_and_counted_anew() {
    for name in ["laid", "base", "1"] {
        let mut world = spent(false);
        back(&mut world, name).unwrap();
        assert_eq!(world.events(), ["ROLLED_BACK", "OVERRIDDEN"]);
        let Event::RolledBack { checkpoint, steps, by_person: true, .. } = world.made("ROLLED_BACK") else { panic!() };
        assert_eq!((&**checkpoint, steps.iter().map(|s| &**s).collect::<Vec<_>>()), ("1", vec!["2", "3"]));
        assert_eq!((world.status(), world.task.retries()), (Status::InProgress, 0));
        assert_eq!((world.step("base"), world.step("b")), (StepStatus::Completed, StepStatus::Ready));
        world.work_off("b");
        let item = world.claim(1, "d");
        world.fail_for_good(&item);
        assert_eq!(world.status(), Status::Retrying, "it may be tried again as if it had never failed");
        world.pass("1h");
        world.work_off("d");
        assert_eq!(world.status(), Status::Completed);
    }
}

#[test]
fn what_can_be_undone_is_undone_first_and_then_the_task_goes_on_at_once() {
    let mut world = spent(true);
    back(&mut world, "laid").unwrap();
    assert_eq!(world.status(), Status::Retrying);
    assert!(world.try_claim(1, &["b", "d"]).is_err(), "nothing is done before it is undone");
    world.work_off("unb");
    assert!(matches!(world.made("RETRIED"), Event::Retried { retries: 0 }), "a person's word is no retry");
    world.work_off("b");
    world.work_off("d");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_task_that_is_never_tried_again_by_itself_goes_on_where_a_person_went_back() {
    let mut world = World::new();
    world.submit(json!({"title": "x", "max_retries": 0, "plan": {"steps": steps(true)}}));
    world.work_off("base");
    world.work_off("b");
    world.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
    back(&mut world, "laid").unwrap();
    world.work_off("unb");
    assert_eq!((world.status(), world.step("b")), (Status::InProgress, StepStatus::Ready));
}

#[test]
fn what_cannot_be_undone_goes_to_a_person_and_then_on_as_decided() {
    let mut world = spent(true);
    back(&mut world, "laid").unwrap();
    let item = world.claim(1, "unb");
    world.fail_for_good(&item);
    let failed = Event::Escalated { reason: EscalationReason::CompensationFailed, priority: None, limit_at: None };
    assert_eq!(*world.made("ESCALATED"), failed);
    assert_eq!(back(&mut world, "laid").unwrap_err().code(), "ILLEGAL_TRANSITION", "one thing after the other");
    world.overrule(OverrideWord::Compensated, Some("b")).unwrap();
    assert!(matches!(world.made("RETRIED"), Event::Retried { retries: 0 }));
    assert_eq!(world.step("b"), StepStatus::Ready);
}

#[test]
fn the_refusal_names_the_checkpoints_that_are_done() {
    let mut world = spent(false);
    for name in ["ghost", "d"] {
        let Err(Refusal::Invalid(problems)) = back(&mut world, name) else { panic!("{name} was taken") };
        assert_eq!(problems[0].to_string(), format!("checkpoint: {name:?} is no checkpoint that is done; done are laid"));
    }
    let Err(Refusal::Invalid(problems)) = world.overrule(OverrideWord::Rollback, None) else { panic!() };
    assert_eq!(problems[0].field, "checkpoint");
    let agent = crate::event::Actor::agent(agent(1));
    let command = Command::Override { decision: OverrideWord::Rollback, step: Some("laid".into()), reason: "so".into() };
    assert_eq!(world.by(&agent, command).unwrap_err().code(), "FORBIDDEN");
}

#[test]
fn it_takes_a_failure_or_a_decision_that_is_owed_and_nobody_at_work() {
    let mut world = given_steps(steps(false));
    world.work_off("base");
    assert!(back(&mut world, "laid").unwrap_err().to_string().contains("escalate it first"));
    let item = world.claim(1, "b");
    world.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
    assert!(back(&mut world, "laid").unwrap_err().to_string().contains("still work on it"));
    world.succeed(&item);
    back(&mut world, "laid").unwrap();
    assert_eq!((world.status(), world.step("b")), (Status::InProgress, StepStatus::Ready));
}

#[test]
fn the_wait_for_the_next_try_is_over_where_a_person_goes_back() {
    let mut world = World::new();
    world.submit(json!({"title": "x", "plan": {"steps": steps(true)}}));
    world.work_off("base");
    world.work_off("b");
    let item = world.claim(1, "d");
    world.fail_for_good(&item);
    assert_eq!(world.status(), Status::Retrying);
    back(&mut world, "laid").unwrap();
    world.pass("10m");
    assert_eq!(
        (world.status(), world.task.retries()),
        (Status::Retrying, 0),
        "it waits for what is undone, and for nothing else"
    );
    world.work_off("unb");
    assert_eq!((world.status(), world.step("b")), (Status::InProgress, StepStatus::Ready));
}

#[test]
fn a_person_is_faster_than_who_analyses_the_failure() {
    let mut world = World::new();
    world.analyst = true;
    world.submit(json!({"title": "x", "plan": {"steps": steps(false)}}));
    world.work_off("base");
    world.work_off("b");
    let item = world.claim(1, "d");
    world.fail_for_good(&item);
    let analysis = world.claim(9, "analyse");
    back(&mut world, "laid").unwrap();
    assert_eq!(world.step("b"), StepStatus::Ready);
    let late = world.report(&analysis, Outcome::Advised(Advice::Retry));
    assert_eq!(late.unwrap_err().code(), "STALE_ATTEMPT");
}
