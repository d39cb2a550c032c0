//! Going back to a step that is done: what needs it is done again, everything else stays as it is.

use super::world::*;
use crate::command::Refusal;
use crate::event::{Event, Letter, OverrideWord};
use crate::status::{Status, StepStatus};
use crate::work::{Advice, EffectOutcome, EffectRequest, Outcome, WorkItem};
use serde_json::{Value, json};

/// A task of these steps, whose analyst is a person's call away.
fn steps(steps: Value) -> World {
    let mut world = World::new();
    world.analyst = true;
    world.submit(json!({"title": "x", "payload": {"items": [1, 2]}, "plan": {"steps": steps}}));
    world
}

/// The step of this capability fails for good, and an agent looks into it.
fn analysed(world: &mut World, failing: &str) -> WorkItem {
    let item = world.claim(1, failing);
    world.fail_for_good(&item);
    world.claim(9, "analyse")
}

fn advise(world: &mut World, analysis: &WorkItem, checkpoint: &str) -> Result<crate::command::Answer, Refusal> {
    let advice = Advice::Rollback { checkpoint: checkpoint.into(), reason: "it went wrong there".into() };
    world.report(analysis, Outcome::Advised(advice))
}

/// The step of this capability fails, and one goes back.
fn back(world: &mut World, failing: &str, checkpoint: &str) {
    let analysis = analysed(world, failing);
    advise(world, &analysis, checkpoint).unwrap();
}

/// What goes back with the last command.
fn gone_back(world: &World) -> Vec<&str> {
    let Event::RolledBack { steps, .. } = world.made("ROLLED_BACK") else { panic!("no rollback") };
    steps.iter().map(|s| &**s).collect()
}

fn statuses(world: &World) -> Vec<StepStatus> {
    world.task.step_views().into_iter().map(|v| v.status).collect()
}

/// Four steps in a row and one beside them.
fn row() -> World {
    let mut world = steps(json!([
        {"id": "a", "action": "a"},
        {"id": "b", "action": "b", "depends_on": ["a"], "params": {"x": "${steps.a.output}"}},
        {"id": "c", "action": "c", "depends_on": ["b"], "params": {"x": "${steps.b.output}"}},
        {"id": "d", "action": "d", "depends_on": ["c"]},
        {"id": "e", "action": "e"},
    ]));
    for (capability, output) in [("a", 1), ("e", 5), ("b", 2)] {
        let item = world.claim(1, capability);
        world.succeed_with(&item, json!(output));
    }
    world
}

#[test]
fn what_needs_the_checkpoint_is_done_again_after_the_wait_and_nothing_else() {
    use StepStatus::{Completed, Pending, Ready, RolledBack};
    let mut world = row();
    back(&mut world, "c", "a");
    assert_eq!((world.events(), gone_back(&world)), (vec!["ROLLED_BACK", "TASK_ATTEMPT_FAILED"], vec!["2", "3"]));
    assert_eq!((world.status(), world.task.contents.reason.as_deref()), (Status::Retrying, Some("it went wrong there")));
    assert_eq!(statuses(&world), [Completed, RolledBack, RolledBack, Pending, Completed]);
    assert!(world.try_claim(1, &["b", "c"]).is_err());

    world.pass("10s");
    assert_eq!((world.events(), world.status(), world.task.retries()), (vec!["RETRIED"], Status::InProgress, 1));
    assert_eq!(statuses(&world), [Completed, Ready, Pending, Pending, Completed]);
    let again = world.claim(1, "b");
    assert_eq!((again.attempt, &again.params["x"]), (2, &json!(1)));
    world.succeed_with(&again, json!(20));
    let c = world.claim(1, "c");
    assert_eq!((c.attempt, &c.params["x"]), (2, &json!(20)), "its old output feeds nobody");
    world.succeed(&c);
    world.work_off("d");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn the_output_of_what_was_rolled_back_is_gone_at_once() {
    let mut world = row();
    assert_eq!(world.task.contents.output("b"), Some(json!(2)));
    back(&mut world, "c", "a");
    assert_eq!((world.task.contents.output("a"), world.task.contents.output("b")), (Some(json!(1)), None));
}

#[test]
fn a_checkpoint_is_named_by_path_or_key() {
    for name in ["1", "a"] {
        let mut world = row();
        back(&mut world, "c", name);
        assert!(matches!(world.made("ROLLED_BACK"), Event::RolledBack { checkpoint, .. } if &**checkpoint == "1"));
    }
}

#[test]
fn what_failed_elsewhere_is_done_again_as_well() {
    let mut world = row();
    back(&mut world, "c", "e");
    assert_eq!(gone_back(&world), ["3"]);
    world.pass("10s");
    assert_eq!((world.step("b"), world.step("c")), (StepStatus::Completed, StepStatus::Ready));
}

#[test]
fn a_checkpoint_that_is_unknown_or_not_done_is_refused_and_the_answer_names_those_that_are() {
    let mut world = row();
    let analysis = analysed(&mut world, "c");
    for name in ["ghost", "c", "d"] {
        let Err(Refusal::Invalid(problems)) = advise(&mut world, &analysis, name) else { panic!("{name} was taken") };
        let text = problems[0].to_string();
        assert!(text.contains(&format!("{name:?} is no completed step; completed are a, b, e")), "{text}");
        assert!(world.events().is_empty());
    }
    advise(&mut world, &analysis, "b").unwrap();
}

#[test]
fn where_nothing_is_done_there_is_nothing_to_go_back_to() {
    let mut world = steps(json!([{"action": "a"}]));
    let analysis = analysed(&mut world, "a");
    let refusal = advise(&mut world, &analysis, "1").unwrap_err();
    assert!(refusal.to_string().contains("advise RETRY"), "{refusal}");
}

#[test]
fn only_an_analysis_may_go_back() {
    let mut world = row();
    let item = world.claim(1, "c");
    let refusal = advise(&mut world, &item, "a").unwrap_err();
    assert!(refusal.to_string().contains("SUCCEEDED, FAILED, BLOCKED or CANCELLED"), "{refusal}");
    assert!(world.events().is_empty());
}

#[test]
fn it_counts_as_one_retry_and_the_budget_ends_it() {
    let mut world = row();
    for n in 1..=5 {
        back(&mut world, "c", "a");
        world.pass("10m");
        assert_eq!(world.task.retries(), n);
        world.work_off("b");
    }
    let item = world.claim(1, "c");
    world.fail_for_good(&item);
    assert_eq!(world.status(), Status::Escalated);
}

#[test]
fn a_word_said_twice_is_no_late_one_and_goes_back_once() {
    let mut world = row();
    let analysis = analysed(&mut world, "c");
    advise(&mut world, &analysis, "a").unwrap();
    advise(&mut world, &analysis, "a").unwrap();
    assert!(world.events().is_empty());
}

#[test]
fn a_word_about_one_work_is_no_repetition_of_a_word_about_another() {
    let mut world =
        steps(json!([{"id": "a", "action": "a", "gates": [{"kind": "CODE_STYLE"}]}, {"action": "c", "depends_on": ["a"]}]));
    world.work_off("a");
    let gate = world.claim(3, "gate.code_style");
    world.report(&gate, Outcome::Judged(judgement(json!({"kind": "CODE_STYLE", "passed": true})))).unwrap();
    let never = WorkItem { work: crate::work::WorkKey::Analysis, ..gate };
    assert_eq!(advise(&mut world, &never, "a").unwrap_err().code(), "STALE_ATTEMPT");
}

#[test]
fn groups_go_back_with_their_parts_and_a_group_that_holds_the_checkpoint_is_open_again() {
    use StepStatus::{Completed, Pending, Ready, RolledBack};
    let mut world = steps(json!([
        {"id": "g", "steps": [{"id": "a", "action": "a"}, {"id": "b", "action": "b", "depends_on": ["a"]}, {"id": "z", "action": "z"}]},
        {"id": "h", "depends_on": ["g"], "steps": [{"id": "c", "action": "c"}, {"id": "d", "action": "d"}]},
    ]));
    ["a", "b", "z", "c"].into_iter().for_each(|c| drop(world.work_off(c)));
    back(&mut world, "d", "a");
    assert_eq!(gone_back(&world), ["1.2", "2", "2.1", "2.2"]);
    assert_eq!(statuses(&world), [Ready, Completed, RolledBack, Completed, RolledBack, RolledBack, RolledBack]);
    world.pass("10s");
    assert_eq!(statuses(&world), [Ready, Completed, Ready, Completed, Pending, Pending, Pending]);
    ["b", "c", "d"].into_iter().for_each(|c| drop(world.work_off(c)));
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn conditions_and_lists_are_looked_at_anew_and_no_token_is_used_twice() {
    let mut world = steps(json!([
        {"id": "a", "action": "a"},
        {"id": "b", "action": "b", "depends_on": ["a"]},
        {"id": "l", "action": "l", "depends_on": ["b"], "for_each": "steps.b.output"},
        {"id": "w", "action": "w", "depends_on": ["b"], "when": "size(steps.b.output) == 1"},
        {"id": "c", "action": "c", "depends_on": ["l", "w"]},
    ]));
    world.work_off("a");
    let item = world.claim(1, "b");
    world.succeed_with(&item, json!([1, 2, 3]));
    let last = (0..3).map(|_| world.work_off("l")).last().unwrap();
    assert_eq!((world.step("w"), &*last.work.to_string()), (StepStatus::Skipped, "step:3.3"));
    back(&mut world, "c", "a");
    assert_eq!(gone_back(&world), ["2", "3", "4", "5", "3.1", "3.2", "3.3"]);
    assert!(world.task.step("3.1").is_none(), "the parts of a list are laid out anew");
    assert_eq!((world.task.size(), world.task.plan_view().steps.len()), (5, 5));

    world.pass("10s");
    let item = world.claim(1, "b");
    world.succeed_with(&item, json!([7]));
    assert_eq!((world.task.size(), world.step("w")), (6, StepStatus::Ready));
    let part = world.claim(1, "l");
    assert_eq!((part.work.to_string().as_str(), part.attempt), ("step:3.1", 2));
    world.succeed(&part);
    world.work_off("w");
    world.work_off("c");
    assert_eq!(world.status(), Status::Completed);
    assert_eq!(world.task.result()["3.2"], Value::Null);
}

#[test]
fn what_a_person_left_out_stays_so_and_what_was_optional_is_tried_again() {
    let mut world = steps(json!([
        {"id": "a", "action": "a"},
        {"id": "p", "action": "p", "depends_on": ["a"]},
        {"id": "o", "action": "o", "depends_on": ["a"], "optional": true},
        {"id": "c", "action": "c", "depends_on": ["p", "o"]},
    ]));
    world.work_off("a");
    world.overrule(OverrideWord::SkipStep, Some("p")).unwrap();
    let item = world.claim(1, "o");
    world.fail_for_good(&item);
    back(&mut world, "c", "a");
    assert_eq!((gone_back(&world), world.step("p")), (vec!["3", "4"], StepStatus::Skipped));
    world.pass("10s");
    world.work_off("o");
    world.work_off("c");
    assert!(
        matches!(world.made("COMPLETED"), Event::Completed { gaps } if *gaps == ["2".into()]),
        "{:?}",
        world.made("COMPLETED")
    );
}

#[test]
fn gates_judge_anew() {
    let mut world = steps(json!([
        {"id": "a", "action": "a"},
        {"id": "b", "action": "b", "depends_on": ["a"], "gates": [{"kind": "CODE_STYLE"}]},
        {"id": "c", "action": "c", "depends_on": ["b"]},
    ]));
    let pass = |world: &mut World| {
        let gate = world.claim(3, "gate.code_style");
        world.report(&gate, Outcome::Judged(judgement(json!({"kind": "CODE_STYLE", "passed": true})))).unwrap();
    };
    world.work_off("a");
    world.work_off("b");
    pass(&mut world);
    back(&mut world, "c", "a");
    world.pass("10s");
    world.work_off("b");
    assert_eq!(world.step("b"), StepStatus::Checking);
    assert!(world.try_claim(1, &["c"]).is_err());
    pass(&mut world);
    world.work_off("c");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn the_judge_of_a_gate_that_goes_back_is_no_longer_asked() {
    let mut world = steps(json!([
        {"id": "a", "action": "a"},
        {"id": "b", "action": "b", "depends_on": ["a"], "gates": [{"kind": "CODE_STYLE"}]},
        {"id": "c", "action": "c", "depends_on": ["a"]},
    ]));
    world.work_off("a");
    world.work_off("b");
    let analysis = analysed(&mut world, "c");
    let gate = world.claim(3, "gate.code_style");
    advise(&mut world, &analysis, "a").unwrap();
    assert!(world.task.live_leases().is_empty());
    let judged = Outcome::Judged(judgement(json!({"kind": "CODE_STYLE", "passed": true})));
    assert_eq!(world.report(&gate, judged).unwrap_err().code(), "STALE_ATTEMPT");
    assert_eq!(world.step("b"), StepStatus::RolledBack);
}

#[test]
fn an_effect_that_is_done_is_not_done_twice() {
    let mut world = row();
    let wish = |item: &WorkItem| EffectRequest {
        task_id: item.task_id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: "email.send".into(),
        args_digest: "0".repeat(64),
    };
    let ask = |world: &mut World, item: &WorkItem| {
        let actor = crate::event::Actor::agent(agent(1));
        match world.by(&actor, crate::command::Command::Effect(wish(item))).unwrap() {
            crate::command::Answer::Effect(grant) => grant,
            other => panic!("{other:?}"),
        }
    };
    let item = world.claim(1, "c");
    let grant = ask(&mut world, &item);
    let holder = Some((item.work.clone(), item.attempt));
    let settle = crate::command::Command::SettleEffect { effect: grant.effect_id, holder, outcome: EffectOutcome::Done };
    world.by(&crate::event::Actor::agent(agent(1)), settle).unwrap();
    world.succeed(&item);
    back(&mut world, "d", "a");
    world.pass("10s");
    world.work_off("b");
    let again = world.claim(1, "c");
    let known = ask(&mut world, &again);
    assert_eq!((known.effect_id, known.already_done), (grant.effect_id, true));
}

#[test]
fn a_child_that_still_lives_is_told_to_end_and_another_is_born() {
    let mut world = steps(json!([
        {"id": "a", "action": "a"},
        {"id": "t", "action": "task.run", "depends_on": ["a"], "params": {"request": {"title": "y"}}},
        {"id": "c", "action": "c", "depends_on": ["a"]},
    ]));
    world.work_off("a");
    let first = world.births()[0].id;
    back(&mut world, "c", "a");
    assert_eq!(world.mail(), [(first, Letter::ParentEnded { parent: world.task.id })]);
    assert_eq!(world.status(), Status::Retrying);
    world.pass("10s");
    let second = world.births()[0].id;
    assert_ne!(first, second);
    world.take(Letter::ChildEnded { child: first, step: Some("2".into()), status: Status::Cancelled, used: None });
    assert_eq!(world.step("t"), StepStatus::Running);
    world.work_off("c");
    world.take(Letter::ChildEnded { child: second, step: Some("2".into()), status: Status::Completed, used: None });
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn waits_begin_anew() {
    let mut world = steps(json!([
        {"id": "a", "action": "a"},
        {"id": "s", "action": "wait.signal", "depends_on": ["a"], "params": {"name": "go"}},
        {"id": "f", "action": "wait.for", "depends_on": ["a"], "params": {"duration": "1h"}},
        {"id": "c", "action": "c", "depends_on": ["s"]},
    ]));
    world.work_off("a");
    world.signal("go", json!(1));
    back(&mut world, "c", "a");
    assert_eq!(gone_back(&world), ["2", "3", "4"]);
    world.pass("10s");
    assert_eq!((world.step("s"), world.step("f")), (StepStatus::Running, StepStatus::Running));
    world.pass("1h");
    assert_eq!((world.step("s"), world.step("f")), (StepStatus::Running, StepStatus::Completed));
    world.signal("go", json!(2));
    assert_eq!(world.task.contents.output("s"), Some(json!(2)));
}

#[test]
fn another_plan_in_between_does_what_was_rolled_back_again() {
    let mut world = row();
    back(&mut world, "c", "a");
    world.propose(json!({"steps": [{"id": "a", "action": "a"}, {"id": "b", "action": "b", "depends_on": ["a"]}]})).unwrap();
    assert_eq!((world.step("a"), world.step("b")), (StepStatus::Completed, StepStatus::Ready));
    world.pass("10s");
    assert_eq!(world.claim(1, "b").attempt, 2);
}

#[test]
fn a_person_may_leave_out_what_was_rolled_back() {
    let mut world = row();
    back(&mut world, "c", "a");
    world.overrule(OverrideWord::SkipStep, Some("b")).unwrap();
    assert_eq!((world.status(), world.step("c")), (Status::Retrying, StepStatus::RolledBack));
    world.pass("10s");
    assert_eq!((world.step("b"), world.step("c")), (StepStatus::Skipped, StepStatus::Ready));
}

#[test]
fn a_task_that_ends_meanwhile_cancels_what_was_rolled_back() {
    let mut world = row();
    back(&mut world, "c", "a");
    world.cancel(false).unwrap();
    assert_eq!((world.status(), world.step("b")), (Status::Cancelled, StepStatus::Cancelled));
}
