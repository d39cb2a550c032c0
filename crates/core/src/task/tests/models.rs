//! Which models a task is done with, as it was decided with its plan.

use super::world::*;
use crate::command::{Approve, Changes, Command, Refusal};
use crate::event::{Event, ModelCause};
use crate::models::catalogue::Catalogue;
use crate::spec::ErrorClass;
use crate::status::Status;
use crate::work::{Failure, Outcome};
use serde_json::{Value, json};
use std::sync::Arc;

/// A world whose house has these models.
pub(super) fn with_models(models: Value, request: Value) -> World {
    let mut world = World::new();
    let written: Catalogue = serde_json::from_value(models).unwrap();
    world.policy.models = Arc::new(Catalogue::of_house(written));
    world.submit(request);
    world
}

fn two() -> Value {
    json!({"default": {"primary": "p", "fallbacks": ["q"], "specialised": {"Testing": "t"}}})
}

#[test]
fn the_choice_stands_in_the_events_and_replay_asks_no_configuration() {
    let mut world = with_models(two(), json!({"title": "x", "action": "model.generate"}));
    // The world replays each event without any configuration; here the configuration changes as well.
    world.policy.models = Catalogue::shipped();
    assert_eq!(world.task.open_keys().unwrap(), "model.generate#p\n");
    let view = world.task.view();
    assert_eq!(&*view.models.unwrap().reasoning, "no rule is about it; the default of the house");
    let step = world.task.step_view_of("1").unwrap();
    assert_eq!((step.model.as_deref(), step.model_chosen), (Some("p"), true));
    let item = world.claim(1, "model.generate");
    assert_eq!((item.model.as_deref(), &*item.models.unwrap().primary_model), (Some("p"), "p"));
}

#[test]
fn a_plan_that_comes_later_is_chosen_for_as_well() {
    let mut world = with_models(two(), json!({"title": "x", "plan_by_agent": true, "complexity": "SIMPLE"}));
    let item = world.claim(1, "plan");
    let plan =
        json!({"steps": [{"action": "model.generate", "task_type": "Testing"}, {"action": "model.generate", "model": "mine"}]});
    world.report(&item, crate::work::Outcome::Proposed(Box::new(serde_json::from_value(plan).unwrap()))).unwrap();
    let models: Vec<_> = world.task.steps().map(|step| step.model.clone().unwrap().to_string()).collect();
    assert_eq!(models, ["t", "mine"]);
    let keys = world.task.open_keys().unwrap();
    assert!(keys.contains("model.generate%cpu_cores=2,memory_mb=4096,"), "the size that was asked for stays: {keys}");
    assert_eq!(&*world.task.view().models.unwrap().primary_model, "p");
    assert_eq!(world.task.view().allocation.unwrap().cpu_cores, 2);
    // Whoever refines it does not take what the house chose for what somebody wrote.
    let spec = world.task.plan_spec();
    assert_eq!((spec.steps[0].model.as_deref(), spec.steps[1].model.as_deref()), (None, Some("mine")));
}

#[test]
fn without_a_word_of_the_house_work_is_offered_as_before() {
    let mut world = given(
        json!({"title": "x", "requirements": ["code"], "plan": {"steps": [{"action": "model.generate"}, {"action": "a"}]}}),
    );
    assert_eq!(world.task.open_keys().unwrap(), "a\nmodel.generate\n");
    let item = world.claim(1, "model.generate");
    let models = item.models.unwrap();
    assert!(item.model.is_none() && models.advice && &*models.primary_model == "claude-3-opus", "{models:?}");
    assert_eq!(world.claim(2, "a").models, None);
    assert!(world.task.view().allocation.unwrap().advice);
    assert_eq!(world.status(), Status::InProgress);
    let plain = given(json!({"title": "x", "requirements": ["code"]}));
    let view = plain.task.view();
    assert_eq!((view.models, view.allocation), (None, None), "what needs no model is told of none");
}

#[test]
fn a_size_that_was_asked_for_reaches_the_agent() {
    let mut world = given(json!({"title": "x", "action": "a", "complexity": "SIMPLE", "resource_limits": {"storage_gb": 3}}));
    let wish = world.wish(1, &["a"], true);
    let mut small = (*wish.able).clone();
    small.resources.insert("memory_mb".into(), 2_048);
    let small = crate::command::Claim { able: small.into(), ..wish.clone() };
    let by = crate::event::Actor::agent(agent(1));
    assert!(world.by(&by, crate::command::Command::Claim(small)).is_err());
    let item = world.claim(1, "a");
    assert_eq!((item.resources["memory_mb"].as_u64(), item.resources["storage_gb"].as_u64()), (Some(4_096), Some(3)));
    assert_eq!(item.timeout_ms, Some(3_600_000));
}

/// An attempt that failed in this way.
fn failed(class: ErrorClass) -> Outcome {
    Outcome::Failed(Failure::new(class, "no"))
}

fn swap(world: &mut World, of: &str, model: &str) -> Result<crate::command::Answer, Refusal> {
    let models_by_type = [(of.into(), model.into())].into();
    world.ann(Command::Modify(Box::new(Changes { models_by_type, ..Changes::default() })))
}

#[test]
fn a_failure_of_the_model_takes_the_next_one_with_its_reason_and_blames_the_one_that_failed() {
    let mut world = with_models(two(), json!({"title": "x", "action": "model.generate"}));
    let item = world.claim(1, "model.generate");
    world.report(&item, failed(ErrorClass::Other)).unwrap();
    assert_eq!(world.events(), ["ATTEMPT_FAILED"], "not every failure speaks against the model");
    world.pass("1m");
    let item = world.claim(1, "model.generate");
    assert_eq!(item.model.as_deref(), Some("p"));
    world.report(&item, failed(ErrorClass::External)).unwrap();
    assert_eq!(world.events(), ["ATTEMPT_FAILED", "MODEL_CHANGED"]);
    let Event::ModelChanged(changed) = world.made("MODEL_CHANGED") else { panic!() };
    let told = (&*changed.from, &*changed.to, changed.cause, changed.class, changed.steps.len());
    assert_eq!(told, ("p", "q", ModelCause::Failed, Some(ErrorClass::External), 1));
    assert_eq!(world.task.step_key(&item.work).unwrap(), "model.generate#p", "the breaker hears of the one that failed");
    world.pass("1m");
    assert_eq!(world.task.open_keys().unwrap(), "model.generate#q\n");
    let item = world.claim(1, "model.generate");
    assert_eq!(item.model.as_deref(), Some("q"));
    let Event::Assigned(assigned) = world.made("ASSIGNED") else { panic!() };
    assert_eq!(assigned.model.as_deref(), Some("q"));
    world.report(&item, failed(ErrorClass::Timeout)).unwrap();
    assert!(!world.events().contains(&"MODEL_CHANGED"), "none is left");
}

#[test]
fn a_model_somebody_named_is_never_changed_by_the_house() {
    let mut world = with_models(
        two(),
        json!({"title": "x", "plan": {"steps": [{"action": "a", "model": "p"}, {"action": "b", "model": "auto"}]}}),
    );
    world.shut_models = vec!["p".into()];
    world.by(&crate::event::Actor::clock(), Command::Wake).unwrap();
    let models: Vec<_> = world.task.steps().map(|step| step.model.clone().unwrap().to_string()).collect();
    assert_eq!(models, ["p", "q"]);
    let item = world.claim(1, "a");
    world.report(&item, failed(ErrorClass::External)).unwrap();
    assert_eq!(world.events(), ["ATTEMPT_FAILED"]);
}

#[test]
fn what_is_offered_for_a_model_whose_breaker_is_open_takes_the_first_that_is_trusted() {
    let steps = json!([{"action": "model.generate"}, {"action": "model.generate"}, {"action": "model.generate", "needs": ["1"]}]);
    let three = json!({"default": {"primary": "p", "fallbacks": ["q", "r"]}});
    let mut world = with_models(three.clone(), json!({"title": "x", "plan": {"steps": steps}}));
    world.shut_models = vec!["p".into(), "q".into()];
    world.by(&crate::event::Actor::clock(), Command::Wake).unwrap();
    assert_eq!(world.events(), ["MODEL_CHANGED"]);
    let Event::ModelChanged(changed) = world.made("MODEL_CHANGED") else { panic!() };
    assert_eq!((&*changed.to, changed.cause, changed.steps.len()), ("r", ModelCause::BreakerOpen, 2));
    world.shut_models.push("r".into());
    world.by(&crate::event::Actor::clock(), Command::Wake).unwrap();
    assert_eq!(world.events(), [] as [&str; 0], "where none may be used it waits for this one");
    world.shut_models.clear();
    world.work_off("model.generate");
    let last = world.task.step("3").unwrap().0.model.clone();
    assert_eq!(last.as_deref(), Some("p"), "what begins later begins with the first choice");
    // One that is born while the breaker is open never asks for it.
    let mut born = World::new();
    born.policy.models = world.policy.models.clone();
    born.shut_models = vec!["p".into()];
    born.submit(json!({"title": "x", "action": "model.generate"}));
    assert_eq!(born.events(), ["SUBMITTED", "MODEL_CHANGED"]);
    assert_eq!(born.task.open_keys().unwrap(), "model.generate#q\n");
}

#[test]
fn a_swap_by_type_counts_for_what_is_open_and_for_what_is_planned_later() {
    let steps = json!([
        {"action": "a", "task_type": "Testing", "model": "m"},
        {"action": "a", "model": "m"},
        {"action": "b"},
        {"action": "a", "model": "m", "needs": ["2"]},
    ]);
    let mut world = given_steps(steps.clone());
    let running = world.claim(1, "a");
    assert_eq!((&running.work, running.model.as_deref()), (&crate::work::WorkKey::Step("1".into()), Some("m")));
    swap(&mut world, "a", "n").unwrap();
    let models =
        |world: &World| world.task.steps().map(|step| step.model.as_deref().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(models(&world), ["n", "n", "-", "n"]);
    swap(&mut world, "Testing", "t").unwrap();
    assert_eq!(models(&world), ["t", "n", "-", "n"], "its own type says more than its action");
    assert_eq!(world.task.held_work(&running.work).unwrap().model.as_deref(), Some("m"), "what runs goes on with what it has");
    assert_eq!(world.task.step_key(&running.work).unwrap(), "a#m");
    world.report(&running, failed(ErrorClass::Other)).unwrap();
    world.pass("1m");
    assert!(world.task.open_keys().unwrap().contains("a#t\n"));
    world.propose(json!({"steps": steps})).unwrap();
    assert_eq!(models(&world), ["t", "n", "-", "n"], "a plan that comes later as well");
    swap(&mut world, "*", "all").unwrap();
    assert_eq!(models(&world), ["all"; 4]);
}

#[test]
fn a_swap_that_makes_no_sense_says_what_would() {
    let mut world = given_steps(json!([{"action": "a"}, {"action": "b", "task_type": "Testing"}]));
    let told = |answer: Result<crate::command::Answer, Refusal>| answer.unwrap_err().to_string();
    let why = told(swap(&mut world, "c", "m"));
    assert!(why.contains("models_by_type.c") && why.contains("Testing, a"), "{why}");
    assert!(told(swap(&mut world, "a", "auto")).contains("models_by_type.a"));
    assert!(told(swap(&mut world, "a", "no name")).contains("no name"));
    world.work_off("a");
    assert!(told(swap(&mut world, "a", "m")).contains("no step of this type is left"), "what is done is not done anew");
}

#[test]
fn a_swap_reopens_the_question_about_what_would_be_done() {
    let mut world = World::under(ASKS, json!({"title": "x", "plan": {"steps": [{"action": "a", "model": "m"}]}}));
    assert!(world.try_claim(1, &["a"]).is_err());
    let digest = |world: &World| world.task.step_view_of("1").unwrap().approval.unwrap().digest;
    let first = digest(&world);
    // Asked, swapped, answered: the answer is about what is no more.
    swap(&mut world, "a", "n").unwrap();
    let answer = |world: &mut World, digest: &str| {
        let word = Approve { digest: Some(digest.into()), ..word_on("1", true) };
        world.ann(Command::Approve(Box::new(word)))
    };
    assert!(matches!(answer(&mut world, &first), Err(Refusal::AlreadySettled { .. })));
    assert_eq!(world.events(), ["APPROVAL_ASKED"]);
    let second = digest(&world);
    assert_ne!(first, second);
    answer(&mut world, &second).unwrap();
    // Approved, swapped, claimed: it is asked about anew before anybody gets it.
    swap(&mut world, "a", "o").unwrap();
    assert!(world.try_claim(1, &["a"]).is_err());
    assert_eq!(world.events(), ["APPROVAL_ASKED"]);
    let third = digest(&world);
    answer(&mut world, &third).unwrap();
    assert_eq!(world.claim(1, "a").model.as_deref(), Some("o"));
}

#[test]
fn a_fallback_is_asked_about_as_well() {
    let mut world = World::new();
    let law = crate::constitution::Law::read(&ASKS.replace("\"a\"", "\"model.generate\"")).unwrap();
    world.policy.law = Some(Arc::new(law));
    world.policy.models = Arc::new(Catalogue::of_house(serde_json::from_value(two()).unwrap()));
    world.submit(json!({"title": "x", "action": "model.generate"}));
    assert!(world.try_claim(1, &["model.generate"]).is_err());
    world.ann(Command::Approve(Box::new(word_on("1", true)))).unwrap();
    let item = world.claim(1, "model.generate");
    world.report(&item, failed(ErrorClass::BadOutput)).unwrap();
    world.pass("1m");
    assert!(world.try_claim(1, &["model.generate"]).is_err(), "nobody has approved of the other model");
    assert_eq!(world.events(), ["APPROVAL_ASKED"]);
}
