//! Submitted, released, planned.

use super::world::*;
use crate::command::{Changes, Command, Refusal};
use crate::event::{Actor, CheckResult, Event};
use crate::plan::StepText;
use crate::policy::StallStrategy;
use crate::status::{BlockReason, Status};
use crate::work::{Outcome, WorkKey};
use serde_json::json;

#[test]
fn a_task_of_one_line_offers_its_work_in_the_commit_of_its_birth() {
    let world = given(json!({"description": "count the files"}));
    assert_eq!((world.events(), world.status()), (vec!["SUBMITTED"], Status::Scheduled));
    assert_eq!(world.task.open_keys().unwrap(), "work\n");
}

#[test]
fn what_validation_found_stands_in_the_first_event() {
    let world = given(json!({"title": "x", "deadline": "2001-01-01T00:00:00Z"}));
    let Event::Submitted(facts) = world.made("SUBMITTED") else { unreachable!() };
    assert_eq!((&*facts.findings[0].check, facts.findings[0].result), ("deadline", CheckResult::Warning));
    assert_eq!(world.task.deadline(), None);
}

#[test]
fn a_task_that_was_never_submitted_does_not_exist() {
    let refused = World::new().ann(Command::Resume { reason: String::new() }).unwrap_err();
    assert!(matches!(refused, Refusal::NotFound { what: "task", .. }));
}

#[test]
fn nobody_is_born_twice() {
    let mut world = given(json!({"title": "x"}));
    let again = crate::request::check(&serde_json::from_value(json!({"title": "y"})).unwrap(), world.now, &world.policy).unwrap();
    assert_eq!(world.ann(Command::Submit(Box::new(again))), Err(Refusal::AlreadySettled { what: "the submission" }));
}

#[test]
fn a_task_with_a_due_time_is_pending_until_the_clock_releases_it() {
    let mut world = given(json!({"title": "x", "due_at": START.plus(60_000).to_string()}));
    assert_eq!((world.status(), world.task.wake_at()), (Status::Pending, Some(START.plus(60_000))));
    assert!(matches!(world.try_claim(1, &["work"]), Err(Refusal::NoWork(_))));
    world.pass("59s");
    assert_eq!(world.status(), Status::Pending);
    world.pass("1s");
    assert_eq!((world.events(), world.status()), (vec!["RELEASED"], Status::Scheduled));
    assert_eq!(world.done.moves[0].actor, Actor::clock());
}

#[test]
fn a_due_time_moved_to_the_past_means_now() {
    let mut world = given(json!({"title": "x", "due_at": START.plus(60_000).to_string()}));
    let changes = Changes { due_at: Some(START), ..Changes::default() };
    world.ann(Command::Modify(Box::new(changes))).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["MODIFIED", "RELEASED"], Status::Scheduled));
}

#[test]
fn a_task_not_done_by_its_deadline_has_failed_whatever_is_under_way() {
    let mut world = given(json!({"title": "x", "deadline": START.plus(60_000).to_string()}));
    let item = world.claim(1, "work");
    world.pass("1m");
    assert_eq!((world.events(), world.status()), (vec!["FAILED"], Status::Failed));
    let late = world.report(&item, Outcome::Cancelled).unwrap_err();
    assert_eq!((late.code(), world.events()), ("STALE_ATTEMPT", vec!["LATE_REPORT_KEPT"]));
}

#[test]
fn at_the_very_instant_of_the_deadline_it_has_passed() {
    let mut world = given(json!({"title": "x", "deadline": START.plus(60_000).to_string()}));
    let item = world.claim(1, "work");
    world.now = START.plus(60_000);
    let refused = world.report(&item, Outcome::Succeeded(Default::default())).unwrap_err();
    assert_eq!((refused.code(), world.status()), ("STALE_ATTEMPT", Status::Failed));
}

#[test]
fn the_payload_is_what_the_one_step_is_given_and_is_kept_but_once() {
    let mut world = given(json!({"title": "x", "payload": {"n": 7, "of": "${task.title}"}}));
    assert!(world.task.contents.steps()[0].params.is_empty());
    assert_eq!(json!(world.claim(1, "work").params), json!({"n": 7, "of": "x"}));
    // Whoever brings a plan says there what each step is given.
    let mut world = given(json!({"title": "x", "payload": {"n": 7}, "plan": {"steps": [{"action": "work"}]}}));
    assert!(world.claim(1, "work").params.is_empty());
}

#[test]
fn a_plan_is_asked_of_an_agent_able_to_plan() {
    let mut world = given(json!({"title": "x", "plan_by_agent": true}));
    assert_eq!((world.events(), world.status()), (vec!["SUBMITTED", "PLAN_REQUESTED"], Status::Scheduled));
    let item = world.claim(1, "plan");
    assert_eq!((&item.work, world.status()), (&WorkKey::Plan, Status::InProgress));
    let spec = serde_json::from_value(json!({"steps": [{"action": "a", "title": "first"}]})).unwrap();
    world.report(&item, Outcome::Proposed(Box::new(spec))).unwrap();
    assert_eq!((world.events(), world.task.open_keys().unwrap()), (vec!["PLANNED"], "a\n".into()));
    assert_eq!(world.task.contents.steps(), [StepText { title: "first".into(), ..StepText::default() }]);
}

#[test]
fn a_plan_that_nobody_makes_in_ten_minutes_escalates() {
    let mut world = given(json!({"title": "x", "plan_by_agent": true}));
    world.pass("10m");
    assert_eq!((world.events(), world.status()), (vec!["ESCALATED"], Status::Escalated));
    // A person's plan is the decision that is owed.
    world.propose(json!({"steps": [{"action": "a"}]})).unwrap();
    assert_eq!((world.status(), world.task.open_keys().unwrap()), (Status::Scheduled, "a\n".into()));
}

#[test]
fn a_plan_that_nobody_makes_is_one_step_where_that_is_allowed() {
    let mut world = World::new();
    world.policy.one_step_plan = true;
    world.submit(json!({"title": "x", "plan_by_agent": true}));
    let item = world.claim(1, "plan");
    world.pass("10m");
    assert_eq!((world.events(), world.task.open_keys().unwrap()), (vec!["PLANNED"], "work\n".into()));
    let spec = serde_json::from_value(json!({"steps": [{"action": "a"}]})).unwrap();
    assert_eq!(world.report(&item, Outcome::Proposed(Box::new(spec))).unwrap_err().code(), "STALE_ATTEMPT");
}

#[test]
fn a_plan_read_with_little_confidence_waits_for_a_person() {
    let mut world = given(json!({"title": "x", "plan": {"steps": [{"action": "a"}], "confidence": 0.6}}));
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::Decomposition)));
    assert!(matches!(world.try_claim(1, &["a"]), Err(Refusal::NoWork(_))));
    let by_agent = world.by(&Actor::agent(agent(1)), Command::AcceptPlan).unwrap_err();
    assert_eq!(by_agent.code(), "FORBIDDEN");
    world.ann(Command::AcceptPlan).unwrap();
    assert_eq!(world.status(), Status::Scheduled);
    assert_eq!(world.ann(Command::AcceptPlan), Err(Refusal::AlreadySettled { what: "the plan" }));
}

#[test]
fn a_doubtful_plan_is_answered_by_a_better_one() {
    let mut world = given(json!({"title": "x", "plan": {"steps": [{"action": "a"}], "confidence": 0.6}}));
    world.propose(json!({"steps": [{"action": "b"}], "confidence": 0.1})).unwrap();
    assert_eq!((world.status(), world.task.open_keys().unwrap()), (Status::Scheduled, "b\n".into()));
}

#[test]
fn a_task_that_waits_too_long_stalls_only_where_that_is_the_strategy() {
    for strategy in [StallStrategy::LogOnly, StallStrategy::MarkStalled] {
        let mut world = World::new();
        world.policy.stall_watch = true;
        world.policy.stall_strategy = strategy;
        world.submit(json!({"title": "x"}));
        world.pass("61m");
        let expected = if strategy == StallStrategy::LogOnly { Status::Scheduled } else { Status::Stalled };
        assert_eq!(world.status(), expected);
    }
}

#[test]
fn a_stalled_task_that_somebody_takes_care_of_may_stall_again() {
    let mut world = World::new();
    world.policy.stall_watch = true;
    world.policy.stall_strategy = StallStrategy::MarkStalled;
    world.submit(json!({"title": "x"}));
    world.pass("61m");
    world.resume();
    assert_eq!((world.events(), world.status()), (vec!["UNSTALLED"], Status::Scheduled));
    world.pass("61m");
    assert_eq!(world.status(), Status::Stalled);
    world.resume();
    world.claim(1, "work");
    world.pass("1h");
    assert_eq!(world.status(), Status::InProgress);
}

#[test]
fn waiting_for_its_own_due_time_is_no_stall_and_a_wait_that_runs_is_none_either() {
    let mut world = World::new();
    world.policy.stall_watch = true;
    world.policy.stall_strategy = StallStrategy::MarkStalled;
    world.submit(json!({"title": "x", "due_at": START.plus(ms("5h")).to_string(),
        "plan": {"steps": [{"action": "wait.for", "params": {"duration": "3h"}}]}}));
    world.pass("7h");
    assert_eq!(world.status(), Status::InProgress);
    world.pass("1h");
    assert_eq!(world.status(), Status::Completed);
}
