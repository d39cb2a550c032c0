//! Undoing what was done before the steps are done again: as work, in reverse, and never forgotten.

use super::world::*;
use crate::command::Command;
use crate::event::{Actor, DecisionWord, EscalationReason, Event, OverrideWord, TextChanges};
use crate::status::{Status, StepStatus};
use crate::work::{Advice, EffectOutcome, EffectRequest, Outcome, Success, WorkItem, WorkKey};
use serde_json::{Value, json};

/// A task of these steps that were all done but the last, which failed for good; the analyst went back to the step of this name.
fn gone_back(steps: Value, done: &[(&str, Value)], failing: &str, checkpoint: &str) -> World {
    let mut world = World::new();
    world.analyst = true;
    world.submit(json!({"title": "x", "payload": {"items": ["p", "q"]}, "plan": {"steps": steps}}));
    for (capability, output) in done {
        let item = world.claim(1, capability);
        world.succeed_with(&item, output.clone());
    }
    go_back(&mut world, failing, checkpoint);
    world
}

fn go_back(world: &mut World, failing: &str, checkpoint: &str) {
    let item = world.claim(1, failing);
    world.fail_for_good(&item);
    let analysis = world.claim(9, "analyse");
    let advice = Advice::Rollback { checkpoint: checkpoint.into(), reason: "it went wrong there".into() };
    world.report(&analysis, Outcome::Advised(advice)).unwrap();
}

/// A base, two independent steps that can be undone, and one that fails.
fn steps() -> Value {
    json!([
        {"id": "base", "action": "base", "checkpoint": "laid"},
        {"id": "b", "action": "b", "depends_on": ["base"],
         "compensation": {"action": "unb", "params": {"id": "${steps.b.output.id}", "at": "${steps.base.output}"}}},
        {"id": "c", "action": "c", "depends_on": ["base"],
         "compensation": {"action": "unc", "params": {"b": "${steps.b.output.id}"}, "retry": {"max_attempts": 2, "jitter": 0.0}}},
        {"id": "d", "action": "d", "depends_on": ["b", "c"]},
    ])
}

fn two_done(first: &str, second: &str) -> World {
    let output = |of: &str| json!({"id": format!("{of}-1")});
    gone_back(steps(), &[("base", json!("here")), (first, output(first)), (second, output(second))], "d", "laid")
}

fn undo(world: &mut World, capability: &str) -> WorkItem {
    let item = world.claim(1, capability);
    assert!(matches!(item.work, WorkKey::Undo(_)), "{:?}", item.work);
    item
}

#[test]
fn what_was_done_last_is_undone_first_whatever_the_order_of_the_plan() {
    for (first, second) in [("b", "c"), ("c", "b")] {
        let mut world = two_done(first, second);
        let Event::RolledBack { checkpoint, compensations, .. } = world.made("ROLLED_BACK") else { panic!() };
        let paths: Vec<&str> = compensations.iter().map(|p| &**p).collect();
        assert_eq!((&**checkpoint, paths), ("1", if first == "b" { vec!["3", "2"] } else { vec!["2", "3"] }));
        assert_eq!((world.status(), world.task.open_keys().unwrap()), (Status::Retrying, format!("un{second}\n")));
        let item = undo(&mut world, &format!("un{second}"));
        assert!(world.try_claim(2, &["unb", "unc", "b", "c", "d"]).is_err(), "one after the other, and no step meanwhile");
        world.succeed(&item);
        assert_eq!(world.events(), ["ATTEMPT_SUCCEEDED"]);
        world.pass("10m");
        assert!(world.try_claim(2, &["b", "c", "d"]).is_err(), "the other one is still to be undone");
        let item = undo(&mut world, &format!("un{first}"));
        world.succeed(&item);
        assert_eq!(world.events(), ["ATTEMPT_SUCCEEDED", "TASK_ATTEMPT_FAILED"], "all is undone: now the wait of the policy");
        world.pass("10s");
        assert_eq!((world.events(), world.step("b"), world.step("c")), (vec!["RETRIED"], StepStatus::Ready, StepStatus::Ready));
    }
}

#[test]
fn undoing_sees_the_results_that_are_being_undone_and_nobody_else_does() {
    let mut world = two_done("b", "c");
    assert_eq!(world.task.contents.output("b"), None);
    let item = undo(&mut world, "unc");
    assert_eq!((item.params.clone(), &item.subject["undoes"]), (json!({"b": "b-1"}).as_object().unwrap().clone(), &json!("3")));
    world.succeed(&item);
    let item = undo(&mut world, "unb");
    assert_eq!(item.params, json!({"id": "b-1", "at": "here"}).as_object().unwrap().clone());
    world.succeed(&item);
    world.pass("10s");
    assert!(world.task.contents.undone.is_empty());
}

#[test]
fn what_was_not_done_is_not_undone_and_what_is_done_anew_is_undone_anew() {
    let mut world = gone_back(
        json!([{"id": "a", "action": "a"},
               {"id": "b", "action": "b", "depends_on": ["a"], "compensation": {"action": "unb"}},
               {"id": "c", "action": "c", "depends_on": ["b"], "compensation": {"action": "unc"}}]),
        &[("a", json!(1)), ("b", json!(2))],
        "c",
        "a",
    );
    for round in 0..2 {
        let item = undo(&mut world, "unb");
        world.succeed(&item);
        assert_eq!(world.task.open_keys(), None, "c had done nothing in round {round}");
        world.pass("1m");
        world.work_off("b");
        if round == 0 {
            go_back(&mut world, "c", "a");
        }
    }
}

#[test]
fn the_parts_of_a_list_are_undone_each_with_its_item() {
    let mut world = gone_back(
        json!([{"id": "a", "action": "a"},
               {"id": "l", "action": "l", "depends_on": ["a"], "for_each": "task.payload.items", "params": {"x": "${item}"},
                "compensation": {"action": "unl", "params": {"x": "${item}", "was": "${steps.2.2.output}"}}},
               {"id": "z", "action": "z", "depends_on": ["l"]}]),
        &[("a", json!(1)), ("l", json!("P")), ("l", json!("Q"))],
        "z",
        "a",
    );
    for item in ["q", "p"] {
        let undo = undo(&mut world, "unl");
        assert_eq!((&undo.params["x"], &undo.params["was"]), (&json!(item), &json!("Q")));
        world.succeed(&undo);
    }
    world.pass("10s");
    assert_eq!(world.status(), Status::InProgress);
}

#[test]
fn a_failed_compensation_is_tried_again_and_then_a_person_is_asked_and_nothing_is_lost() {
    let mut world = two_done("b", "c");
    let item = undo(&mut world, "unc");
    world.fail(&item);
    assert!(world.try_claim(1, &["unc"]).is_err(), "it waits first");
    world.pass("1s");
    assert_eq!(*world.made("REOFFERED"), Event::Reoffered { step: "3".into(), undo: true, side: None });
    let item = undo(&mut world, "unc");
    world.fail(&item);
    assert_eq!(world.status(), Status::Escalated);
    let Event::Escalated { reason, .. } = world.made("ESCALATED") else { panic!() };
    assert_eq!(*reason, EscalationReason::CompensationFailed);
    let told = world.task.waiting();
    assert!(told[0].act.as_ref().unwrap().contains("compensated|retry-step --step 3"), "{told:?}");
    world.pass("30h");
    assert!(world.try_claim(1, &["unb", "unc", "b", "c", "d"]).is_err(), "no step is offered before somebody says so");

    // It can be tried again, said to be done by hand, or decided about.
    world.overrule(OverrideWord::RetryStep, Some("c")).unwrap();
    assert_eq!((world.status(), world.task.open_keys().unwrap()), (Status::Retrying, "unc\n".into()));
    let item = undo(&mut world, "unc");
    world.fail_for_good(&item);
    assert_eq!(world.status(), Status::Escalated);
    world.overrule(OverrideWord::Compensated, Some("3")).unwrap();
    assert_eq!((world.status(), world.task.open_keys().unwrap()), (Status::Retrying, "unb\n".into()));
    let item = undo(&mut world, "unb");
    world.fail_for_good(&item);
    let text = TextChanges { resource_limits: json!({"n": 1}).as_object().cloned(), ..TextChanges::default() };
    world
        .ann(Command::Decide(Box::new(crate::command::Decision { word: DecisionWord::AllocateResources, text, council: false })))
        .unwrap();
    let item = undo(&mut world, "unb");
    world.succeed(&item);
    world.pass("10s");
    assert_eq!((world.step("b"), world.step("c")), (StepStatus::Ready, StepStatus::Ready));
}

#[test]
fn a_compensation_for_which_no_agent_comes_or_whose_agent_falls_silent_goes_to_a_person() {
    let mut world = two_done("b", "c");
    world.pass("30m");
    assert_eq!(world.status(), Status::Escalated);
    assert!(world.task.contents.reason.as_ref().unwrap().contains("no agent able to unc"));

    let mut world = two_done("b", "c");
    for _ in 0..2 {
        let item = undo(&mut world, "unc");
        world.by(&Actor::settle(), Command::LeaseLapsed { work: item.work, attempt: item.attempt, counter: 0 }).unwrap();
        world.pass("2s");
    }
    assert_eq!(world.status(), Status::Escalated);
}

#[test]
fn parameters_that_refer_to_nothing_stop_undoing_where_a_person_sees_it() {
    let mut world = gone_back(
        json!([{"id": "a", "action": "a"},
               {"id": "b", "action": "b", "depends_on": ["a"],
                "compensation": {"action": "unb", "params": {"x": "${steps.b.output.id}"}}},
               {"id": "c", "action": "c", "depends_on": ["b"]}]),
        &[("a", json!(1)), ("b", json!(null))],
        "c",
        "a",
    );
    assert_eq!(world.try_claim(1, &["unb"]).unwrap_err().code(), "NO_WORK");
    assert_eq!(world.status(), Status::Escalated);
}

#[test]
fn a_word_said_twice_counts_once_and_a_late_one_not_at_all() {
    let mut world = two_done("b", "c");
    let item = undo(&mut world, "unc");
    let done = Outcome::Succeeded(Success::default());
    world.report(&item, done.clone()).unwrap();
    world.report(&item, done.clone()).unwrap();
    assert!(world.events().is_empty());
    let late = WorkItem { work: WorkKey::Undo("2".into()), ..item };
    assert_eq!(world.report(&late, done).unwrap_err().code(), "STALE_ATTEMPT");
    assert_eq!(world.task.open_keys().unwrap(), "unb\n");
}

#[test]
fn a_hold_and_a_new_plan_leave_what_is_to_be_undone_where_it_is() {
    let mut world = two_done("b", "c");
    world.pause();
    assert!(world.try_claim(1, &["unc"]).is_err());
    world.resume();
    world
        .propose(json!({"steps": [{"id": "base", "action": "base"}, {"id": "e", "action": "e", "depends_on": ["base"]}]}))
        .unwrap();
    assert_eq!(world.task.open_keys().unwrap(), "unc\n", "the old work is undone before the new is begun");
    for capability in ["unc", "unb"] {
        let item = undo(&mut world, capability);
        world.succeed(&item);
    }
    world.pass("10s");
    world.work_off("e");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn undoing_may_act_outside_and_what_is_done_again_is_another_act() {
    let act = |world: &mut World, item: &WorkItem| {
        let wish = EffectRequest {
            task_id: item.task_id,
            work: item.work.clone(),
            attempt: item.attempt,
            action: "send".into(),
            args_digest: "a".repeat(64),
        };
        let holder = Actor::agent(agent(1));
        let granted = world.by(&holder, Command::Effect(wish)).unwrap();
        let crate::command::Answer::Effect(grant) = granted else { panic!("{granted:?}") };
        if !grant.already_done {
            let holder_of = Some((item.work.clone(), item.attempt));
            let command = Command::SettleEffect { effect: grant.effect_id, holder: holder_of, outcome: EffectOutcome::Done };
            world.by(&holder, command).unwrap();
        }
        grant
    };
    let mut world = World::new();
    world.analyst = true;
    world.submit(json!({"title": "x", "plan": {"sequential": true, "steps": [
        {"id": "a", "action": "a"}, {"id": "b", "action": "b", "compensation": {"action": "unb"}}, {"id": "c", "action": "c"}]}}));
    world.work_off("a");
    let b = world.claim(1, "b");
    let first = act(&mut world, &b);
    world.succeed(&b);
    go_back(&mut world, "c", "a");
    let undone = undo(&mut world, "unb");
    let undoing = act(&mut world, &undone);
    assert!(!undoing.already_done && undoing.idempotency_key != first.idempotency_key);
    world.succeed(&undone);
    world.pass("10s");
    let b = world.claim(1, "b");
    let again = act(&mut world, &b);
    assert!(!again.already_done, "it was undone, so it has to be done");
    assert_ne!(again.idempotency_key, first.idempotency_key, "the outside must not take it for the first one");
}

#[test]
fn an_effect_of_undoing_that_nobody_knows_about_is_not_done_again_before_a_person_says_so() {
    let mut world = two_done("b", "c");
    let wish = |item: &WorkItem| EffectRequest {
        task_id: item.task_id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: "send".into(),
        args_digest: "a".repeat(64),
    };
    let item = undo(&mut world, "unc");
    let holder = Actor::agent(agent(1));
    world.by(&holder, Command::Effect(wish(&item))).unwrap();
    world.by(&Actor::settle(), Command::LeaseLapsed { work: item.work.clone(), attempt: item.attempt, counter: 0 }).unwrap();
    assert!(world.events().contains(&"EFFECT_SETTLED"), "{:?}", world.events());
    world.pass("1m");
    let item = undo(&mut world, "unc");
    assert_eq!(world.by(&holder, Command::Effect(wish(&item))).unwrap_err().code(), "EFFECT_REFUSED");
    let effect = *world.task.effects().keys().next().unwrap();
    world.ann(Command::SettleEffect { effect, holder: None, outcome: EffectOutcome::NotDone }).unwrap();
    world.by(&holder, Command::Effect(wish(&item))).unwrap();
}

#[test]
fn what_belongs_to_no_work_cannot_be_undone_and_checkpoints_have_one_name() {
    let problems = |steps: Value| {
        let spec = serde_json::from_value(json!({"steps": steps})).unwrap();
        let found = crate::plan::Plan::check(&spec).unwrap_err();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let wait = json!([{"action": "wait.for", "params": {"duration": "1s"}, "compensation": {"action": "x"}}]);
    assert!(problems(wait).contains("leaves nothing that could be undone"));
    assert!(problems(json!([{"action": "a", "compensation": {"action": "task.run"}}])).contains("the work of an agent"));
    let twice = json!([{"id": "a", "action": "a", "checkpoint": "k"}, {"action": "b", "checkpoint": "k"}, {"action": "c", "checkpoint": "a"}]);
    let told = problems(twice);
    assert!(told.contains("\"k\" also names step 1") && told.contains("\"a\" also names step 1"), "{told}");
}
