//! Retries by class of error, what the analyst is told, refined plans, and the limits that make healing end.

use super::world::*;
use crate::command::Refusal;
use crate::event::{EscalationReason, Event};
use crate::spec::ErrorClass;
use crate::status::{Status, StepStatus};
use crate::work::{Advice, Failure, Outcome, WorkItem};
use serde_json::{Value, json};

fn fail_with(world: &mut World, item: &WorkItem, class: ErrorClass) {
    world.report(item, Outcome::Failed(Failure::new(class, "no"))).unwrap();
}

/// A task with an analyst about, whose steps are these.
fn with_analyst(steps: Value) -> World {
    let mut world = World::new();
    world.analyst = true;
    world.submit(json!({"title": "x", "plan": {"steps": steps}}));
    world
}

/// The step of this capability fails for good, and the analyst says this.
fn advised(world: &mut World, failing: &str, advice: Advice) -> Result<crate::command::Answer, Refusal> {
    let item = world.claim(1, failing);
    world.fail_for_good(&item);
    let analysis = world.claim(9, "analyse");
    world.report(&analysis, Outcome::Advised(advice))
}

fn plan(steps: Value) -> Advice {
    Advice::AlternativePath(Box::new(serde_json::from_value(json!({"steps": steps})).unwrap()))
}

#[test]
fn each_class_is_repeated_after_its_own_wait_as_often_as_it_may() {
    let retry = json!({"max_attempts": 2, "jitter": 0.0, "never_on": ["BAD_OUTPUT"],
        "by_class": {"RATE_LIMIT": {"max_attempts": 3, "initial": "1m", "multiplier": 1.0}}});
    let steps = json!([{"action": "a", "retry": retry}]);
    let mut world = given_steps(steps.clone());
    for _ in 0..2 {
        let item = world.claim(1, "a");
        fail_with(&mut world, &item, ErrorClass::RateLimit);
        world.pass("59s");
        assert!(world.try_claim(1, &["a"]).is_err());
        world.pass("1s");
    }
    let item = world.claim(1, "a");
    fail_with(&mut world, &item, ErrorClass::Other);
    world.pass("1s");
    let item = world.claim(1, "a");
    fail_with(&mut world, &item, ErrorClass::RateLimit);
    assert_eq!(world.status(), Status::Retrying, "the third refusal for the sake of a rate was one too many");

    let mut world = given_steps(steps);
    let item = world.claim(1, "a");
    fail_with(&mut world, &item, ErrorClass::BadOutput);
    assert_eq!(world.status(), Status::Retrying, "this class is never repeated");
}

#[test]
fn an_attempt_that_takes_too_long_is_repeated_as_its_class_says() {
    let own = json!({"TIMEOUT": {"max_attempts": 2, "initial": "5m"}});
    let mut world = given_steps(json!([{"action": "a", "timeout": "1m", "retry": {"jitter": 0.0, "by_class": own}}]));
    for _ in 0..2 {
        assert_eq!(world.step("1"), StepStatus::Ready);
        world.claim(1, "a");
        world.pass("1m");
        assert_eq!(world.events()[0], "ATTEMPT_FAILED");
        if world.status() != Status::Retrying {
            world.pass("5m");
        }
    }
    assert_eq!(world.status(), Status::Retrying);
    assert_eq!(world.task.step_views()[0].failures, 2);
}

#[test]
fn the_analyst_is_told_all_that_is_known_of_the_failure() {
    let mut world = with_analyst(json!([
        {"id": "a", "action": "a", "checkpoint": "laid"},
        {"id": "b", "action": "b", "depends_on": ["a"], "timeout": "9s", "resources": {"memory_mb": 64},
         "retry": {"max_attempts": 2, "initial": "1s"}, "alternatives": [{"on": ["TIMEOUT"], "action": "c"}]},
    ]));
    world.work_off("a");
    let item = world.claim(1, "b");
    fail_with(&mut world, &item, ErrorClass::Other);
    world.pass("2s");
    let item = world.claim(1, "b");
    let failure = Failure { retry_after_ms: Some(7_000), ..Failure::new(ErrorClass::RateLimit, "slow down") };
    world.report(&item, Outcome::Failed(failure)).unwrap();
    let told = world.claim(9, "analyse").subject;
    let wanted = json!({"step": "2", "id": "b", "action": "b", "class": "RATE_LIMIT", "error": "slow down", "attempt": 2,
        "failures": {"OTHER": 1, "RATE_LIMIT": 1}, "retry_after_ms": 7_000, "timeout_ms": 9_000, "resources": {"memory_mb": 64},
        "alternatives": [{"on": ["TIMEOUT"], "action": "c"}], "checkpoints": [{"name": "laid", "step": "1"}], "retries": 0, "max_retries": 5});
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&told[field], value, "{field}");
    }
    assert_eq!(told["plan"]["steps"][1]["action"], "b");
}

#[test]
fn the_nearest_checkpoint_is_told_first_and_only_what_the_step_needs() {
    let mut world = with_analyst(json!([
        {"id": "g", "sequential": true, "steps": [{"action": "a", "checkpoint": "one"}, {"action": "a", "checkpoint": "two"}]},
        {"id": "far", "action": "a", "checkpoint": "beside"},
        {"id": "c", "action": "a", "depends_on": ["g"], "checkpoint": "three"},
        {"id": "d", "action": "d", "depends_on": ["c"]},
    ]));
    for _ in 0..4 {
        world.work_off("a");
    }
    let item = world.claim(1, "d");
    world.fail_for_good(&item);
    let told = world.claim(9, "analyse").subject;
    let names: Vec<&str> = told["checkpoints"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "three");
    assert!(names.contains(&"one") && names.contains(&"two") && !names.contains(&"beside"), "{names:?}");
}

#[test]
fn one_goes_back_to_the_name_of_a_checkpoint() {
    let mut world = with_analyst(json!([{"action": "a", "checkpoint": "laid"}, {"action": "b", "depends_on": ["1"]}]));
    world.work_off("a");
    advised(&mut world, "b", Advice::Rollback { checkpoint: "laid".into(), reason: "so".into() }).unwrap();
    assert!(matches!(world.made("ROLLED_BACK"), Event::RolledBack { checkpoint, .. } if &**checkpoint == "1"));
}

#[test]
fn an_analyst_may_ask_for_a_longer_wait_but_not_for_ever() {
    let after = |delay_ms| Advice::RetryAfter { delay_ms, reason: "the outside asked for it".into() };
    let mut world = with_analyst(json!([{"action": "a"}]));
    advised(&mut world, "a", after(600_000)).unwrap();
    assert_eq!(world.task.contents.reason.as_deref(), Some("the outside asked for it"));
    world.pass("9m");
    assert_eq!(world.status(), Status::Retrying);
    world.pass("1m");
    assert_eq!(world.status(), Status::InProgress);
    assert!(advised(&mut world, "a", after(25 * 3_600_000)).unwrap_err().to_string().contains("delay_ms"));
}

#[test]
fn a_refined_plan_says_how_it_differs_and_what_is_finished_does_not_run_again() {
    let mut world = with_analyst(json!([
        {"id": "a", "action": "a"},
        {"id": "b", "title": "Slowly", "action": "b", "depends_on": ["a"], "timeout": "5s"},
        {"id": "old", "action": "z", "depends_on": ["b"]},
    ]));
    world.work_off("a");
    let refined = json!([
        {"id": "a", "action": "a"},
        {"id": "b", "title": "Slowly", "action": "b", "depends_on": ["a"], "timeout": "1m"},
        {"id": "new", "action": "c", "depends_on": ["b"]},
    ]);
    advised(&mut world, "b", plan(refined)).unwrap();
    let view = world.task.plan_view();
    let [change] = view.changes.as_slice() else { panic!("{:?}", view.changes) };
    assert_eq!((change.from, change.to, change.by.as_deref()), (1, 2, Some("analysis")));
    assert_eq!((change.added[0].key.as_deref(), change.removed[0].key.as_deref()), (Some("new"), Some("old")));
    let field = &change.changed[0].fields[0];
    let told = (&*field.field, field.was.as_deref(), field.is.as_deref());
    assert_eq!((change.changed[0].step.path.as_str(), told), ("2", ("timeout", Some("\"5s\""), Some("\"1m\""))));
    assert_eq!((change.finished.as_slice(), change.unchanged), (&["1".to_owned()][..], 1));
    assert!(world.try_claim(1, &["a"]).is_err(), "it is done and stays done");
    world.work_off("b");
    world.work_off("c");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn going_back_and_refining_have_their_own_limits_above_which_a_person_is_asked() {
    let back = || Advice::Rollback { checkpoint: "a".into(), reason: "again".into() };
    let steps = json!([{"id": "a", "action": "a"}, {"id": "b", "action": "b", "depends_on": ["a"]}]);
    let mut world = with_analyst(steps.clone());
    world.policy.rollbacks_max = 1;
    world.work_off("a");
    advised(&mut world, "b", back()).unwrap();
    world.pass("1m");
    advised(&mut world, "b", back()).unwrap();
    let spent = Event::Escalated { reason: EscalationReason::HealingSpent, priority: None, limit_at: None };
    assert_eq!((world.made("ESCALATED"), world.step("b")), (&spent, StepStatus::Failed), "it did not go back");

    let mut world = with_analyst(steps.clone());
    world.policy.refined_plans_max = 1;
    world.work_off("a");
    advised(&mut world, "b", plan(steps.clone())).unwrap();
    advised(&mut world, "b", plan(steps)).unwrap();
    assert_eq!((world.made("ESCALATED"), world.task.plan_view().plan_version), (&spent, 2));
}

#[test]
fn healing_ends_along_the_whole_line_of_tasks_born_from_one_another() {
    let mut world = World::new();
    world.policy.healings_max = 3;
    world.submit(json!({"title": "x", "max_retries": 100, "plan": {"steps": [{"action": "task.run", "params": {"request": {"title": "y", "max_retries": 100}}}]}}));
    let mut healed = Vec::new();
    for _ in 0..4 {
        let Event::ChildBorn { child, .. } = *world.made("CHILD_BORN") else { panic!() };
        healed.push(world.births()[0].submission.facts.healed.times);
        world.take(crate::event::Letter::ChildEnded { child, step: Some("1".into()), status: Status::Failed, used: None });
        if world.status() == Status::Escalated {
            break;
        }
        world.pass("10m");
    }
    assert_eq!(healed, [0, 1, 2, 3], "each child is told how often those above it were healed");
    let Event::Escalated { reason, .. } = world.made("ESCALATED") else { panic!() };
    assert_eq!((*reason, world.task.retries()), (EscalationReason::HealingSpent, 3));

    // A child of a task that was healed as often as it may is not healed at all.
    let mut child = World::new();
    child.policy.healings_max = 3;
    let request = serde_json::from_value(json!({"title": "y", "action": "a", "max_retries": 100})).unwrap();
    let mut submission = crate::request::check(&request, child.now, &child.policy).unwrap();
    submission.facts.healed.times = 3;
    child.ann(crate::command::Command::Submit(Box::new(submission))).unwrap();
    let item = child.claim(1, "a");
    child.fail_for_good(&item);
    assert_eq!(child.status(), Status::Escalated);
}
