//! Pause, cancel, modify, escalate, override, guide: what people do to a live task.

use super::world::*;
use crate::command::{Changes, Command, Refusal};
use crate::event::{EndReason, Event, OverrideWord, TextChanges};
use crate::spec::{ExecutionMode, Priority};
use crate::status::{Status, StepStatus};
use crate::work::{Outcome, Success};
use serde_json::json;

fn modify(world: &mut World, changes: Changes) -> Result<crate::command::Answer, Refusal> {
    world.ann(Command::Modify(Box::new(changes)))
}

#[test]
fn a_hold_forgets_nothing() {
    let mut world = given(json!({"title": "x", "due_at": START.plus(60_000).to_string()}));
    world.pause();
    assert_eq!((world.status(), world.task.wake_at()), (Status::Paused, None));
    world.pass("1h");
    assert_eq!(world.status(), Status::Paused);
    world.resume();
    assert_eq!((world.events(), world.status()), (vec!["RESUMED", "RELEASED"], Status::Scheduled));
    assert_eq!(world.ann(Command::Resume { reason: String::new() }).unwrap_err().code(), "ILLEGAL_TRANSITION");
}

#[test]
fn a_running_attempt_may_finish_during_a_hold_but_nothing_new_begins() {
    let mut world = given_steps(json!([{"action": "a"}, {"action": "b", "depends_on": ["1"]}]));
    let item = world.claim(1, "a");
    world.pause();
    assert!(!world.task.should_stop(&item.work, item.attempt));
    world.succeed(&item);
    assert_eq!((world.status(), world.task.open_keys()), (Status::Paused, None));
    assert!(world.try_claim(1, &["b"]).is_err());
    world.resume();
    assert_eq!(world.status(), Status::InProgress);
    world.work_off("b");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_hold_may_tell_running_attempts_to_stop_and_costs_them_no_try() {
    let mut world = given_steps(json!([{"action": "a", "retry_policy": {"max_attempts": 1}}]));
    let item = world.claim(1, "a");
    world.ann(Command::Pause { reason: "now".into(), stop_running: true }).unwrap();
    assert!(world.task.should_stop(&item.work, item.attempt));
    world.report(&item, Outcome::Cancelled).unwrap();
    assert_eq!(world.step("1"), StepStatus::Ready);
    world.resume();
    assert_eq!(world.work_off("a").attempt, 2);
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_deadline_passes_during_a_hold_too() {
    let mut world = given(json!({"title": "x", "deadline": START.plus(60_000).to_string()}));
    world.pause();
    world.pass("1m");
    assert_eq!(world.status(), Status::Failed);
}

#[test]
fn what_nobody_works_on_is_cancelled_at_once() {
    let mut world = given(json!({"title": "x"}));
    world.cancel(false).unwrap();
    assert_eq!((world.status(), world.step("1")), (Status::Cancelled, StepStatus::Cancelled));
    assert_eq!(world.task.end().unwrap().reason, Some(EndReason::Requested));
    assert_eq!(world.cancel(false), Err(Refusal::Ended { status: Status::Cancelled }));
}

#[test]
fn agents_are_told_to_end_and_the_last_one_ends_the_task() {
    let mut world = given_steps(json!([{"action": "a"}, {"action": "a"}, {"action": "a"}]));
    let (first, second) = (world.claim(1, "a"), world.claim(2, "a"));
    world.cancel(false).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["CANCEL_REQUESTED"], Status::InProgress));
    assert!(world.task.should_stop(&first.work, first.attempt));
    assert!(world.try_claim(3, &["a"]).is_err());
    assert_eq!(world.cancel(false).unwrap_err().code(), "ILLEGAL_TRANSITION");
    world.report(&first, Outcome::Cancelled).unwrap();
    assert!(world.task.end().is_none());
    world.succeed(&second);
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_SUCCEEDED", "CANCELLED"], Status::Cancelled));
}

#[test]
fn agents_that_do_not_end_within_thirty_seconds_are_not_waited_for() {
    let mut world = given(json!({"title": "x"}));
    world.claim(1, "work");
    world.cancel(false).unwrap();
    world.pass("29s");
    assert!(world.task.end().is_none());
    world.pass("1s");
    assert_eq!(world.task.end().unwrap().reason, Some(EndReason::Forced));
    let mut world = given(json!({"title": "x"}));
    world.claim(1, "work");
    world.cancel(true).unwrap();
    assert_eq!(world.task.end().unwrap().reason, Some(EndReason::Requested));
}

#[test]
fn a_change_names_the_version_it_was_made_for() {
    let mut world = given(json!({"title": "x"}));
    let changes = Changes { expected_version: Some(7), priority: Some(Priority::High), ..Changes::default() };
    assert_eq!(modify(&mut world, changes.clone()), Err(Refusal::VersionConflict { is: 1, expected: 7 }));
    modify(&mut world, Changes { expected_version: Some(1), ..changes }).unwrap();
    assert_eq!(world.task.priority(), Priority::High);
    let Event::Modified(made) = world.made("MODIFIED") else { unreachable!() };
    assert_eq!(made.request_version, 2);
}

#[test]
fn a_change_that_changes_nothing_or_asks_for_the_past_is_refused() {
    let mut world = given(json!({"title": "x"}));
    assert_eq!(modify(&mut world, Changes::default()).unwrap_err().code(), "VALIDATION_FAILED");
    let past = Changes { deadline: Some(START), ..Changes::default() };
    assert_eq!(modify(&mut world, past).unwrap_err().code(), "VALIDATION_FAILED");
    modify(&mut world, Changes { deadline: Some(START.plus(1_000)), ..Changes::default() }).unwrap();
    world.pass("1s");
    assert_eq!(world.status(), Status::Failed);
}

#[test]
fn new_words_reach_the_agent() {
    let mut world = given(json!({"title": "x", "description": "old", "plan_by_agent": true}));
    let text = TextChanges { description: Some("new".into()), ..TextChanges::default() };
    modify(&mut world, Changes { text, ..Changes::default() }).unwrap();
    assert_eq!(world.claim(1, "plan").subject["description"], "new");
}

#[test]
fn a_task_that_becomes_strict_is_reviewed_and_its_steps_are_confirmed() {
    let mut world = World::new();
    world.policy.solo = true;
    world.submit(json!({"title": "x"}));
    modify(&mut world, Changes { mode: Some(ExecutionMode::Strict), ..Changes::default() }).unwrap();
    assert_eq!(world.status(), Status::Deliberating);
    world.vote("operator", crate::review::VoteWord::Approve).unwrap();
    world.work_off("work");
    assert_eq!(world.status(), Status::Blocked);
}

#[test]
fn a_plan_made_for_a_strict_task_is_confirmed_step_by_step_whoever_made_it() {
    let mut world = World::new();
    world.policy.solo = true;
    world.policy.one_step_plan = true;
    world.submit(json!({"title": "x", "execution_mode": "STRICT", "plan_by_agent": true}));
    world.vote("operator", crate::review::VoteWord::Approve).unwrap();
    world.pass("10m");
    world.vote("operator", crate::review::VoteWord::Approve).unwrap();
    world.work_off("work");
    assert_eq!(world.status(), Status::Blocked);
    world.propose(json!({"steps": [{"action": "a"}]})).unwrap();
    world.vote("operator", crate::review::VoteWord::Approve).unwrap();
    world.work_off("a");
    assert_eq!(world.status(), Status::Blocked);
}

#[test]
fn anything_live_can_be_escalated_and_goes_on_after_an_approval() {
    let mut world = given(json!({"title": "x"}));
    world.ann(Command::Escalate { priority: Some(Priority::Critical), reason: "look".into() }).unwrap();
    assert_eq!((world.status(), world.task.priority()), (Status::Escalated, Priority::Critical));
    assert_eq!(world.ann(Command::Escalate { priority: None, reason: "".into() }).unwrap_err().code(), "ILLEGAL_TRANSITION");
    assert!(world.try_claim(1, &["work"]).is_err());
    world.overrule(OverrideWord::Approve, None).unwrap();
    assert_eq!(world.status(), Status::Scheduled);
}

#[test]
fn a_person_may_declare_a_task_complete_or_failed() {
    let mut world = given_steps(json!([{"action": "a"}, {"action": "b"}]));
    world.work_off("a");
    world.overrule(OverrideWord::Complete, None).unwrap();
    assert_eq!(*world.made("COMPLETED"), Event::Completed { gaps: vec!["2".into()] });
    let mut world = given(json!({"title": "x"}));
    world.overrule(OverrideWord::Fail, None).unwrap();
    assert_eq!(world.task.end().unwrap().reason, Some(EndReason::Overridden));
}

#[test]
fn completion_past_a_review_takes_a_decision_on_an_escalation() {
    let mut world = World::new();
    world.policy.solo = true;
    world.submit(json!({"title": "x", "risk": "HIGH"}));
    assert_eq!(world.overrule(OverrideWord::Complete, None).unwrap_err().code(), "ILLEGAL_TRANSITION");
    world.ann(Command::Escalate { priority: None, reason: "it is done already".into() }).unwrap();
    world.overrule(OverrideWord::Complete, None).unwrap();
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn an_override_names_a_step_that_is_there_and_can_be_overruled() {
    let mut world = given_steps(json!([{"action": "a", "optional": true}, {"action": "b", "depends_on": ["1"]}]));
    assert_eq!(world.overrule(OverrideWord::SkipStep, None).unwrap_err().code(), "VALIDATION_FAILED");
    assert_eq!(world.overrule(OverrideWord::SkipStep, Some("ghost")).unwrap_err().code(), "NOT_FOUND");
    assert_eq!(world.overrule(OverrideWord::RetryStep, Some("1")).unwrap_err().code(), "ILLEGAL_TRANSITION");
    let item = world.claim(1, "a");
    world.fail_for_good(&item);
    // What was gone on without is over: what came after it has begun already.
    assert_eq!(world.overrule(OverrideWord::RetryStep, Some("1")).unwrap_err().code(), "ILLEGAL_TRANSITION");
    assert_eq!(world.overrule(OverrideWord::SkipStep, Some("1")).unwrap_err().code(), "ILLEGAL_TRANSITION");
}

#[test]
fn a_skipped_step_is_taken_from_its_holder() {
    let mut world = given_steps(json!([{"action": "a"}, {"action": "b", "depends_on": ["1"]}]));
    let item = world.claim(1, "a");
    world.overrule(OverrideWord::SkipStep, Some("1")).unwrap();
    assert_eq!(world.report(&item, Outcome::Succeeded(Default::default())).unwrap_err().code(), "STALE_ATTEMPT");
    assert_eq!(world.task.open_keys().unwrap(), "b\n");
}

#[test]
fn advice_reaches_every_later_attempt_and_has_an_end() {
    let mut world = given_steps(json!([{"action": "a"}]));
    assert_eq!(world.ann(Command::Guide { text: " ".into() }).unwrap_err().code(), "VALIDATION_FAILED");
    for n in 0..100 {
        world.ann(Command::Guide { text: format!("hint {n}") }).unwrap();
    }
    assert_eq!(world.ann(Command::Guide { text: "more".into() }).unwrap_err().code(), "LIMIT_REACHED");
    assert_eq!(world.claim(1, "a").guidance[99], "hint 99");
}

#[test]
fn a_reason_without_end_is_refused() {
    let mut world = given(json!({"title": "x"}));
    let command = Command::Pause { reason: "x".repeat(20_000), stop_running: false };
    assert_eq!(world.ann(command).unwrap_err().code(), "VALIDATION_FAILED");
}

#[test]
fn after_the_end_little_may_follow() {
    let mut world = given(json!({"title": "x"}));
    assert_eq!(world.ann(Command::Archive).unwrap_err().code(), "ILLEGAL_TRANSITION");
    assert_eq!(world.ann(Command::Erase).unwrap_err().code(), "ILLEGAL_TRANSITION");
    assert_eq!(world.ann(Command::Note { text: "x".into() }).unwrap_err().code(), "ILLEGAL_TRANSITION");
    world.cancel(true).unwrap();
    for (command, kind) in
        [(Command::Note { text: "well".into() }, "REVIEW_NOTED"), (Command::Archive, "ARCHIVED"), (Command::Erase, "ERASED")]
    {
        world.ann(command).unwrap();
        assert_eq!((world.events(), world.status()), (vec![kind], Status::Cancelled));
    }
    assert!(world.task.is_archived() && world.task.is_erased());
    world.ann(Command::Archive).unwrap();
    assert!(world.events().is_empty());
    assert_eq!(world.ann(Command::Guide { text: "x".into() }), Err(Refusal::Ended { status: Status::Cancelled }));
}

#[test]
fn nobodys_words_are_kept_once_a_task_was_erased() {
    let mut world = given(json!({"title": "x"}));
    let item = world.claim(1, "work");
    world.cancel(true).unwrap();
    world.ann(Command::Erase).unwrap();
    let refused = world.ann(Command::Note { text: "about ann".into() }).unwrap_err();
    assert_eq!((refused.code(), world.events().len()), ("ILLEGAL_TRANSITION", 0));
    assert!(refused.to_string().contains("it was erased"), "{refused}");
    // That a report came too late is a fact; what it said is not kept.
    let said = Outcome::Succeeded(Success { output: json!("what ann said"), ..Success::default() });
    assert_eq!(world.report(&item, said).unwrap_err().code(), "STALE_ATTEMPT");
    assert_eq!(world.events(), ["LATE_REPORT_KEPT"]);
    assert!(world.done.moves.iter().all(|made| made.private.is_none()), "{:?}", world.done.moves);
}

#[test]
fn an_escalation_says_why_and_lowers_nothing() {
    let mut world = given(json!({"title": "x", "priority": "CRITICAL"}));
    let escalate = |priority, reason: &str| Command::Escalate { priority, reason: reason.into() };
    assert_eq!(world.ann(escalate(None, " ")).unwrap_err().code(), "VALIDATION_FAILED");
    world.ann(escalate(Some(Priority::Idle), "look")).unwrap();
    assert_eq!((world.status(), world.task.priority()), (Status::Escalated, Priority::Critical));
}

#[test]
fn whoever_lets_a_task_go_on_may_say_why() {
    let mut world = given(json!({"title": "x"}));
    let resume = |reason: &str| Command::Resume { reason: reason.into() };
    // Who says nothing takes nothing back that was said before; the reason of the hold goes with the hold.
    for (reason, kept) in [("fed", "fed"), ("", "fed")] {
        world.ann(Command::Pause { reason: "lunch".into(), stop_running: false }).unwrap();
        assert_eq!(world.task.view().reason.as_deref(), Some("lunch"));
        world.ann(resume(reason)).unwrap();
        assert_eq!(world.task.contents.reason.as_deref(), Some(kept));
    }
}

#[test]
fn a_release_has_an_instant_of_its_own_beside_the_due_time() {
    let due = START.plus(600_000);
    let mut world = given(json!({"title": "x", "due_at": due.to_string(), "scheduled_at": START.plus(60_000).to_string()}));
    assert_eq!(world.status(), Status::Pending);
    world.pass("1m");
    assert_eq!((world.events(), world.status()), (vec!["RELEASED"], Status::Scheduled));
    assert_eq!((world.task.facts.due_at, world.task.view().scheduled_at), (Some(due), Some(crate::time::WireTime(world.now))));

    // One that is due already is held as long as its release says, and does not get ahead by having been due long ago.
    let held = json!({"title": "x", "due_at": "1970-01-01T00:00:00Z", "scheduled_at": START.plus(60_000).to_string()});
    let mut world = given(held);
    assert_eq!((world.status(), world.task.rank() > START.0 - 3_600_000 * 5), (Status::Pending, true));
    world.ann(Command::Modify(Box::new(Changes { release_at: Some(START), ..Changes::default() }))).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["MODIFIED", "RELEASED"], Status::Scheduled));
    assert_eq!(world.task.facts.due_at, Some(crate::time::Time(0)));
}
