//! Acts on the outside.

use super::world::*;
use crate::command::{Answer, Command, Refusal};
use crate::event::{Actor, OverrideWord};
use crate::id::EffectId;
use crate::status::{BlockReason, Status, StepStatus};
use crate::work::{EffectGrant, EffectOutcome, EffectRequest, Outcome, WorkItem, WorkKey};
use serde_json::{Value, json};

/// One step with this way to deal with unknown effects, claimed.
fn at_work(on_unknown: &str) -> (World, WorkItem) {
    let mut world = given_steps(json!([{"action": "a", "on_unknown": on_unknown, "retry_policy": {"initial": "0s"}}]));
    let item = world.claim(1, "a");
    (world, item)
}

fn ask(world: &mut World, item: &WorkItem, args: u8) -> Result<EffectGrant, Refusal> {
    let wish = EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: "email.send".into(),
        args_digest: format!("{args:064x}"),
    };
    match world.by(&Actor::agent(agent(1)), Command::Effect(wish))? {
        Answer::Effect(grant) => Ok(grant),
        other => panic!("an effect was answered with {other:?}"),
    }
}

fn settle(world: &mut World, effect: EffectId, item: &WorkItem, outcome: EffectOutcome) -> Result<Answer, Refusal> {
    let holder = Some((item.work.clone(), item.attempt));
    world.by(&Actor::agent(agent(1)), Command::SettleEffect { effect, holder, outcome })
}

/// A person's word.
fn say(world: &mut World, effect: EffectId, outcome: EffectOutcome) -> Result<Answer, Refusal> {
    world.ann(Command::SettleEffect { effect, holder: None, outcome })
}

/// The agent falls silent in the middle of it.
fn crash(world: &mut World, item: &WorkItem) {
    let lapse = Command::LeaseLapsed { work: item.work.clone(), attempt: item.attempt, counter: 0 };
    world.by(&Actor::settle(), lapse).unwrap();
}

#[test]
fn the_same_act_asked_for_again_has_the_same_token_and_another_act_another() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    assert_eq!((world.events(), grant.already_done, grant.expires_in_ms), (vec!["EFFECT_GRANTED"], false, 300_000));
    assert_eq!(ask(&mut world, &item, 1), Ok(grant.clone()));
    assert!(world.events().is_empty());
    assert_ne!(ask(&mut world, &item, 2).unwrap().effect_id, grant.effect_id);
}

#[test]
fn what_was_done_by_an_earlier_attempt_need_not_be_done_again() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    settle(&mut world, grant.effect_id, &item, EffectOutcome::Done).unwrap();
    world.fail(&item);
    let second = world.claim(1, "a");
    let again = ask(&mut world, &second, 1).unwrap();
    assert_eq!((again.effect_id, again.already_done), (grant.effect_id, true));
}

#[test]
fn after_a_crash_nobody_knows_and_a_person_is_asked() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    crash(&mut world, &item);
    assert_eq!(world.events(), ["ATTEMPT_FAILED", "EFFECT_SETTLED"]);
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::HumanReview)));
    // Neither going on nor trying again is an answer to the question.
    assert_eq!(world.ann(Command::Resume { reason: String::new() }).unwrap_err().code(), "ILLEGAL_TRANSITION");
    assert_eq!(world.overrule(OverrideWord::RetryStep, Some("1")).unwrap_err().code(), "ILLEGAL_TRANSITION");
    let by_agent = Command::SettleEffect { effect: grant.effect_id, holder: None, outcome: EffectOutcome::NotDone };
    assert_eq!(world.by(&Actor::agent(agent(2)), by_agent).unwrap_err().code(), "FORBIDDEN");
    say(&mut world, grant.effect_id, EffectOutcome::Done).unwrap();
    let second = world.claim(1, "a");
    assert!(ask(&mut world, &second, 1).unwrap().already_done);
}

#[test]
fn an_act_that_did_not_happen_may_be_done_again() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    crash(&mut world, &item);
    say(&mut world, grant.effect_id, EffectOutcome::NotDone).unwrap();
    let second = world.claim(1, "a");
    assert!(!ask(&mut world, &second, 1).unwrap().already_done);
}

#[test]
fn every_unknown_effect_needs_its_answer() {
    let (mut world, item) = at_work("ask");
    let (one, two) = (ask(&mut world, &item, 1).unwrap(), ask(&mut world, &item, 2).unwrap());
    crash(&mut world, &item);
    say(&mut world, one.effect_id, EffectOutcome::Done).unwrap();
    assert_eq!(world.status(), Status::Blocked);
    say(&mut world, two.effect_id, EffectOutcome::NotDone).unwrap();
    assert_eq!(world.status(), Status::InProgress);
}

#[test]
fn an_agent_that_does_not_know_itself_is_not_asked_to_do_it_again() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    settle(&mut world, grant.effect_id, &item, EffectOutcome::Unknown).unwrap();
    assert_eq!(ask(&mut world, &item, 1).unwrap_err().code(), "EFFECT_REFUSED");
    world.fail(&item);
    assert_eq!(world.task.block_reason(), Some(BlockReason::HumanReview));
}

#[test]
fn a_probe_is_handed_to_the_next_attempt() {
    let (mut world, item) = at_work("probe");
    let grant = ask(&mut world, &item, 1).unwrap();
    crash(&mut world, &item);
    let second = world.claim(1, "a");
    assert_eq!(second.probe.as_ref().unwrap().effect_id, grant.effect_id);
    let again = ask(&mut world, &second, 1).unwrap();
    settle(&mut world, again.effect_id, &second, EffectOutcome::Done).unwrap();
    assert_eq!(world.task.held_work(&second.work).unwrap().probe, None);
}

#[test]
fn every_effect_to_be_looked_for_is_handed_over_with_what_it_was_and_settled_by_who_holds_the_work_now() {
    let (mut world, item) = at_work("probe");
    let (one, two) = (ask(&mut world, &item, 1).unwrap(), ask(&mut world, &item, 2).unwrap());
    crash(&mut world, &item);
    let second = world.claim(1, "a");
    assert_eq!(second.probe.as_ref(), second.probes.first());
    let mut told: Vec<(EffectId, &str, &str)> =
        second.probes.iter().map(|p| (p.effect_id, p.action.as_str(), p.args_digest.as_str())).collect();
    told.sort();
    let (first, other) = (format!("{:064x}", 1), format!("{:064x}", 2));
    let mut expected = [(one.effect_id, "email.send", first.as_str()), (two.effect_id, "email.send", other.as_str())];
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(settle(&mut world, one.effect_id, &item, EffectOutcome::Done).unwrap_err().code(), "STALE_ATTEMPT");
    settle(&mut world, one.effect_id, &second, EffectOutcome::Done).unwrap();
    settle(&mut world, two.effect_id, &second, EffectOutcome::NotDone).unwrap();
    assert!(ask(&mut world, &second, 1).unwrap().already_done);
    assert!(!ask(&mut world, &second, 2).unwrap().already_done);
    assert!(world.task.held_work(&second.work).unwrap().probes.is_empty());
}

#[test]
fn a_person_is_told_which_effect_to_settle_and_how() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    ask(&mut world, &item, 2).unwrap();
    crash(&mut world, &item);
    let waits = world.task.waiting();
    let asked = waits.iter().find(|w| w.reason == "HUMAN_REVIEW").unwrap();
    assert!(asked.what.contains("email.send") && asked.what.contains("1 more"), "{}", asked.what);
    let first = *world.task.effects().keys().next().unwrap();
    let act = format!("ephor task effects {} --settle {first} --outcome done|not-done", world.task.id);
    assert_eq!(asked.act.as_deref(), Some(act.as_str()));
    say(&mut world, first, EffectOutcome::Done).unwrap();
    assert!(!world.task.waiting()[0].what.contains("more"));
    assert!(world.task.effects().contains_key(&grant.effect_id));
}

#[test]
fn the_same_key_may_be_used_again_at_once() {
    let (mut world, item) = at_work("same_key");
    let grant = ask(&mut world, &item, 1).unwrap();
    crash(&mut world, &item);
    let second = world.claim(1, "a");
    assert_eq!((second.probe.clone(), ask(&mut world, &second, 1)), (None, Ok(grant)));
}

#[test]
fn no_effect_token_can_exist_in_a_dry_run_or_a_suggestion() {
    for more in [json!({"execution_mode": "DRY_RUN"}), json!({"autonomy": "SUGGESTION"})] {
        let mut request = json!({"title": "x"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut world = given(request);
        let item = world.claim(1, "work");
        assert!(!item.may_act);
        assert_eq!(ask(&mut world, &item, 1).unwrap_err().code(), "EFFECT_REFUSED");
        assert!(world.task.effects().is_empty());
    }
}

#[test]
fn a_stale_or_foreign_attempt_acts_no_more() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    let stale = WorkItem { attempt: 2, ..item.clone() };
    assert_eq!(ask(&mut world, &stale, 1).unwrap_err().code(), "STALE_ATTEMPT");
    assert_eq!(settle(&mut world, grant.effect_id, &stale, EffectOutcome::Done).unwrap_err().code(), "STALE_ATTEMPT");
    let wish = EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: 1,
        action: "x".into(),
        args_digest: "0".repeat(64),
    };
    assert_eq!(world.by(&Actor::agent(agent(2)), Command::Effect(wish)).unwrap_err().code(), "STALE_ATTEMPT");
}

#[test]
fn the_holder_of_another_step_does_not_settle_this_ones_effects() {
    let mut world = given_steps(json!([{"action": "a"}, {"action": "a"}]));
    let (first, second) = (world.claim(1, "a"), world.claim(1, "a"));
    let grant = ask(&mut world, &first, 1).unwrap();
    assert_eq!((first.attempt, second.attempt), (1, 1));
    assert_eq!(settle(&mut world, grant.effect_id, &second, EffectOutcome::Done).unwrap_err().code(), "NOT_FOUND");
}

#[test]
fn nothing_acts_while_the_task_is_held_or_ends() {
    let (mut world, item) = at_work("ask");
    world.pause();
    assert_eq!(ask(&mut world, &item, 1).unwrap_err().code(), "EFFECT_REFUSED");
    world.resume();
    world.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
    assert_eq!(ask(&mut world, &item, 1).unwrap_err().code(), "EFFECT_REFUSED");
    world.overrule(OverrideWord::Approve, None).unwrap();
    world.cancel(false).unwrap();
    assert_eq!(ask(&mut world, &item, 1).unwrap_err().code(), "EFFECT_REFUSED");
}

#[test]
fn only_steps_that_have_begun_act_and_say_with_what() {
    let mut world = given_steps(json!([{"action": "a", "gates": [{"kind": "CODE_STYLE"}]}]));
    let claim = world.wish(1, &["a"], false);
    let Ok(Answer::Work(item)) = world.by(&Actor::agent(agent(1)), Command::Claim(claim)) else { unreachable!() };
    assert_eq!(ask(&mut world, &item, 1).unwrap_err().code(), "ILLEGAL_TRANSITION");
    world.by(&Actor::agent(agent(1)), Command::Start { work: item.work.clone(), attempt: 1 }).unwrap();
    let wish = EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: 1,
        action: "x".into(),
        args_digest: "short".into(),
    };
    assert_eq!(world.by(&Actor::agent(agent(1)), Command::Effect(wish)).unwrap_err().code(), "VALIDATION_FAILED");
    world.succeed(&item);
    let gate = world.claim(2, "gate.code_style");
    let wish = EffectRequest {
        task_id: world.task.id,
        work: gate.work.clone(),
        attempt: gate.attempt,
        action: "x".into(),
        args_digest: "0".repeat(64),
    };
    assert_eq!(world.by(&Actor::agent(agent(2)), Command::Effect(wish)).unwrap_err().code(), "EFFECT_REFUSED");
}

#[test]
fn what_is_settled_stays_settled() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    settle(&mut world, grant.effect_id, &item, EffectOutcome::Done).unwrap();
    settle(&mut world, grant.effect_id, &item, EffectOutcome::Done).unwrap();
    assert!(world.events().is_empty());
    let otherwise = say(&mut world, grant.effect_id, EffectOutcome::NotDone);
    assert_eq!(otherwise, Err(Refusal::AlreadySettled { what: "the effect" }));
    assert_eq!(say(&mut world, EffectId::new(1, [0; 10]), EffectOutcome::Done).unwrap_err().code(), "NOT_FOUND");
}

#[test]
fn success_without_a_word_about_an_effect_leaves_it_unknown_and_disturbs_nothing() {
    let (mut world, item) = at_work("ask");
    ask(&mut world, &item, 1).unwrap();
    world.succeed(&item);
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_SUCCEEDED", "EFFECT_SETTLED", "COMPLETED"], Status::Completed));
    assert_eq!(world.task.effects().values().next().unwrap().outcome, Some(EffectOutcome::Unknown));
}

#[test]
fn a_result_that_is_sent_back_by_a_gate_asks_about_its_effects_first() {
    let gates: Value = json!([{"kind": "CODE_STYLE"}]);
    let mut world = given_steps(json!([{"action": "a", "gates": gates, "retry_policy": {"initial": "0s"}}]));
    let item = world.claim(1, "a");
    ask(&mut world, &item, 1).unwrap();
    let evidence = serde_json::from_value(json!({"evidence": [{"kind": "CODE_STYLE", "passed": false}]})).unwrap();
    world.report(&item, Outcome::Succeeded(evidence)).unwrap();
    assert_eq!((world.step("1"), world.task.block_reason()), (StepStatus::Blocked, Some(BlockReason::HumanReview)));
}

#[test]
fn effects_of_a_step_that_is_skipped_bring_it_not_back() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    world.overrule(OverrideWord::SkipStep, Some("1")).unwrap();
    assert_eq!((world.step("1"), world.status()), (StepStatus::Skipped, Status::Completed));
    assert_eq!(say(&mut world, grant.effect_id, EffectOutcome::Done).unwrap_err().code(), "TERMINAL_STATE");
    assert_eq!(item.work, WorkKey::Step("1".into()));
}

#[test]
fn a_new_plan_does_not_hand_out_a_step_of_whose_effects_nobody_knows() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    crash(&mut world, &item);
    world.propose(json!({"steps": [{"action": "a"}]})).unwrap();
    assert_eq!(world.task.block_reason(), Some(BlockReason::HumanReview));
    say(&mut world, grant.effect_id, EffectOutcome::Done).unwrap();
    assert_eq!(world.claim(1, "a").attempt, 2);
}

#[test]
fn a_step_that_is_free_again_still_has_to_meet_its_condition() {
    for (holds, then) in [(false, StepStatus::Skipped), (true, StepStatus::Ready)] {
        let (mut world, item) = at_work("ask");
        let grant = ask(&mut world, &item, 1).unwrap();
        crash(&mut world, &item);
        world.propose(json!({"steps": [{"action": "b", "when": format!("{holds}")}, {"action": "c"}]})).unwrap();
        assert_eq!(world.step("1"), StepStatus::Blocked);
        say(&mut world, grant.effect_id, EffectOutcome::NotDone).unwrap();
        assert_eq!(world.step("1"), then);
    }
}

#[test]
fn a_list_in_the_place_of_a_step_with_an_unknown_effect_becomes_a_list_once_it_is_known() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    crash(&mut world, &item);
    world.propose(json!({"steps": [{"action": "b", "for_each": "[1, 2]"}]})).unwrap();
    say(&mut world, grant.effect_id, EffectOutcome::Done).unwrap();
    assert_eq!((world.step("1.1"), world.step("1.2")), (StepStatus::Ready, StepStatus::Ready));
}

#[test]
fn a_group_in_the_place_of_a_step_is_not_held_for_its_effects() {
    let (mut world, item) = at_work("ask");
    let grant = ask(&mut world, &item, 1).unwrap();
    crash(&mut world, &item);
    world.propose(json!({"steps": [{"steps": [{"action": "b"}, {"action": "c"}], "sequential": true}]})).unwrap();
    assert_eq!((world.step("1.1"), world.step("1.2")), (StepStatus::Ready, StepStatus::Pending));
    say(&mut world, grant.effect_id, EffectOutcome::Done).unwrap();
    assert_eq!((world.step("1.1"), world.step("1.2")), (StepStatus::Ready, StepStatus::Pending));
}
