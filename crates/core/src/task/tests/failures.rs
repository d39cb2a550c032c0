//! The attempts of a step are spent: the task is tried again, analysed, escalated, decided.

use super::world::*;
use crate::command::{Command, Decision, Refusal};
use crate::event::{Actor, DecisionWord, EndReason, EscalationReason, Event, OverrideWord, TextChanges};
use crate::status::{Status, StepStatus};
use crate::work::{Advice, Outcome, WorkItem, WorkKey};
use serde_json::json;

/// A task of one step that has failed for good as often as `times` says, each time tried again after its wait.
fn failed(times: u32) -> World {
    let mut world = given_steps(json!([{"action": "a"}]));
    for n in 0..times {
        let item = world.claim(1, "a");
        world.fail_for_good(&item);
        if n + 1 < times {
            world.pass("10m");
        }
    }
    world
}

/// A task whose failure is being analysed.
fn analysed() -> (World, WorkItem) {
    let mut world = World::new();
    world.analyst = true;
    world.submit(
        json!({"title": "x", "plan": {"steps": [{"id": "a", "action": "a"}, {"id": "b", "action": "b", "depends_on": ["a"]}]}}),
    );
    world.work_off("a");
    let item = world.claim(1, "b");
    world.fail_for_good(&item);
    let analysis = world.claim(2, "analyse");
    (world, analysis)
}

fn decide(world: &mut World, word: DecisionWord, text: TextChanges) -> Result<crate::command::Answer, Refusal> {
    let text = TextChanges { reason: "so it is".into(), ..text };
    world.ann(Command::Decide(Box::new(Decision { word, text, council: false })))
}

#[test]
fn a_spent_step_is_one_failure_of_the_task_which_is_tried_again_after_a_wait() {
    let mut world = failed(1);
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_FAILED", "TASK_ATTEMPT_FAILED"], Status::Retrying));
    assert!(world.try_claim(1, &["a"]).is_err());
    world.pass("10s");
    assert_eq!((world.events(), world.status(), world.task.retries()), (vec!["RETRIED"], Status::InProgress, 1));
    assert_eq!(world.claim(1, "a").attempt, 2);
}

#[test]
fn after_five_retries_the_task_is_escalated() {
    let world = failed(5);
    assert_eq!((world.status(), world.task.retries()), (Status::Retrying, 4));
    let mut world = failed(6);
    assert_eq!((world.status(), world.task.retries()), (Status::Escalated, 5));
    assert_eq!(
        *world.made("ESCALATED"),
        Event::Escalated { reason: EscalationReason::RetriesSpent, priority: None, limit_at: None }
    );
    assert!(world.try_claim(1, &["a"]).is_err());
}

#[test]
fn without_retries_it_fails_and_says_why() {
    let mut world = given(json!({"title": "x", "max_retries": 0}));
    let item = world.claim(1, "work");
    world.fail_for_good(&item);
    let end = world.task.end().unwrap();
    assert_eq!((world.status(), end.reason, end.recoverable), (Status::Failed, Some(EndReason::StepFailed), true));
    assert_eq!(world.task.contents.reason.as_deref(), Some("step 1 failed: never"));
}

#[test]
fn liquidated_it_is_stopped() {
    let mut world = failed(6);
    decide(&mut world, DecisionWord::Liquidate, TextChanges::default()).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["ESCALATION_DECIDED", "STOPPED"], Status::Stopped));
}

#[test]
fn with_another_scope_it_starts_over_with_its_retries_counted_anew() {
    let mut world = failed(6);
    assert_eq!(decide(&mut world, DecisionWord::ModifyScope, TextChanges::default()).unwrap_err().code(), "VALIDATION_FAILED");
    let text = TextChanges { description: Some("less".into()), ..TextChanges::default() };
    decide(&mut world, DecisionWord::ModifyScope, text).unwrap();
    assert_eq!((world.status(), world.task.retries(), &*world.task.contents.text.description), (Status::InProgress, 0, "less"));
    world.work_off("a");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn with_more_resources_it_starts_over() {
    let mut world = failed(6);
    assert_eq!(
        decide(&mut world, DecisionWord::AllocateResources, TextChanges::default()).unwrap_err().code(),
        "VALIDATION_FAILED"
    );
    let text = TextChanges { resource_limits: json!({"memory_mb": 9}).as_object().cloned(), ..TextChanges::default() };
    decide(&mut world, DecisionWord::AllocateResources, text).unwrap();
    assert_eq!((world.status(), world.task.contents.text.resource_limits["memory_mb"].clone()), (Status::InProgress, json!(9)));
}

#[test]
fn an_agent_does_not_decide_an_escalation() {
    let mut world = failed(6);
    let command =
        Command::Decide(Box::new(Decision { word: DecisionWord::Liquidate, text: TextChanges::default(), council: false }));
    assert_eq!(world.by(&Actor::agent(agent(1)), command).unwrap_err().code(), "FORBIDDEN");
    let calm = decide(&mut given(json!({"title": "x"})), DecisionWord::Liquidate, TextChanges::default());
    assert_eq!(calm.unwrap_err().code(), "ILLEGAL_TRANSITION");
}

#[test]
fn a_person_may_retry_or_skip_the_step_that_is_in_the_way() {
    let mut world = failed(6);
    world.overrule(OverrideWord::RetryStep, Some("1")).unwrap();
    assert_eq!(world.status(), Status::InProgress);
    world.work_off("a");
    assert_eq!(world.status(), Status::Completed);

    let mut world = failed(6);
    world.overrule(OverrideWord::SkipStep, Some("1")).unwrap();
    assert_eq!(*world.made("COMPLETED"), Event::Completed { gaps: vec!["1".into()] });
}

#[test]
fn where_two_steps_are_in_the_way_dealing_with_one_is_not_enough() {
    let mut world = given(json!({"title": "x", "max_retries": 1, "plan": {"steps": [{"action": "a"}, {"action": "a"}]}}));
    for _ in 0..2 {
        let both = [world.claim(1, "a"), world.claim(2, "a")];
        both.iter().for_each(|item| world.fail_for_good(item));
        world.pass("1m");
    }
    assert_eq!(world.status(), Status::Escalated);
    world.overrule(OverrideWord::SkipStep, Some("1")).unwrap();
    assert_eq!(world.status(), Status::Escalated);
    world.overrule(OverrideWord::SkipStep, Some("2")).unwrap();
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_failure_waits_for_the_steps_that_still_run() {
    let mut world = given_steps(json!([{"action": "a"}, {"action": "a"}, {"action": "a"}]));
    let (first, second) = (world.claim(1, "a"), world.claim(2, "a"));
    world.fail_for_good(&first);
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_FAILED"], Status::InProgress));
    assert!(world.try_claim(3, &["a"]).is_err(), "nothing new is begun meanwhile");
    world.succeed(&second);
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_SUCCEEDED", "TASK_ATTEMPT_FAILED"], Status::Retrying));
    world.pass("10s");
    assert_eq!(
        (world.step("1"), world.step("2"), world.step("3")),
        (StepStatus::Ready, StepStatus::Completed, StepStatus::Ready)
    );
}

#[test]
fn an_analyst_is_asked_and_sees_what_failed() {
    let (world, analysis) = analysed();
    assert_eq!((&analysis.work, world.status()), (&WorkKey::Analysis, Status::Retrying));
    assert_eq!((&analysis.subject["step"], &analysis.subject["error"]), (&json!("2"), &json!("never")));
}

#[test]
fn an_analyst_who_says_retry_is_followed_after_the_wait_of_the_policy() {
    let (mut world, analysis) = analysed();
    let advised = Outcome::Advised(Advice::Retry);
    world.report(&analysis, advised.clone()).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["TASK_ATTEMPT_FAILED"], Status::Retrying));
    world.report(&analysis, advised).unwrap();
    assert!(world.events().is_empty(), "a repeated word is no late one");
    world.pass("10s");
    assert_eq!((world.events(), world.status()), (vec!["RETRIED"], Status::InProgress));
}

#[test]
fn an_analyst_may_know_another_way_and_what_is_finished_stays_finished() {
    let (mut world, analysis) = analysed();
    let plan =
        serde_json::from_value(json!({"steps": [{"id": "a", "action": "a"}, {"id": "c", "action": "c", "depends_on": ["a"]}]}))
            .unwrap();
    world.report(&analysis, Outcome::Advised(Advice::AlternativePath(Box::new(plan)))).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["PLANNED", "RETRIED"], Status::InProgress));
    assert_eq!((world.step("a"), world.task.open_keys().unwrap()), (StepStatus::Completed, "c\n".into()));
    world.work_off("c");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn an_analyst_may_ask_for_a_person_and_is_done_with_that() {
    let (mut world, analysis) = analysed();
    world.report(&analysis, Outcome::Advised(Advice::HumanIntervention { reason: "too hard".into() })).unwrap();
    assert_eq!((world.status(), world.task.contents.reason.as_deref()), (Status::Escalated, Some("too hard")));
    assert!(world.task.live_leases().is_empty());
    world.overrule(OverrideWord::RetryStep, Some("b")).unwrap();
    assert_eq!((world.status(), world.task.open_keys().unwrap()), (Status::InProgress, "b\n".into()));
}

#[test]
fn an_analyst_may_see_no_hope() {
    let (mut world, analysis) = analysed();
    world.report(&analysis, Outcome::Advised(Advice::Abort { reason: "hopeless".into() })).unwrap();
    let end = world.task.end().unwrap();
    assert_eq!((end.status, end.reason, end.recoverable), (Status::Stopped, Some(EndReason::Aborted), false));
}

#[test]
fn an_analyst_who_takes_more_than_a_minute_is_not_waited_for() {
    let (mut world, analysis) = analysed();
    world.pass("1m");
    assert_eq!((world.events(), world.status()), (vec!["TASK_ATTEMPT_FAILED"], Status::Retrying));
    assert_eq!(world.report(&analysis, Outcome::Advised(Advice::Retry)).unwrap_err().code(), "STALE_ATTEMPT");
    world.pass("10s");
    assert_eq!(world.status(), Status::InProgress);
}

#[test]
fn an_analyst_who_fails_or_falls_silent_is_replaced() {
    let (mut world, analysis) = analysed();
    world.fail(&analysis);
    world.pass("2s");
    let second = world.claim(3, "analyse");
    assert!(second.attempt > analysis.attempt);
    world.by(&Actor::settle(), Command::LeaseLapsed { work: WorkKey::Analysis, attempt: second.attempt, counter: 0 }).unwrap();
    assert_eq!((world.status(), world.task.open_keys().unwrap()), (Status::Retrying, "analyse\n".into()));
}

#[test]
fn a_persons_new_plan_does_not_offer_a_leased_analysis_again() {
    let (mut world, _) = analysed();
    world.propose(json!({"steps": [{"action": "c"}]})).unwrap();
    assert!(world.try_claim(3, &["analyse"]).is_err());
}
