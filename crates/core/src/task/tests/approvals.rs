//! Single actions: nothing is done that a person has to approve of first, and nothing else than what they approved.

use super::world::*;
use crate::command::{Answer, Approve, Changes, Command, Refusal};
use crate::constitution::Law;
use crate::event::{Actor, ApprovalWord, OverrideWord, TextChanges};
use crate::inbox::{AskedFor, Right};
use crate::spec::ErrorClass;
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::WireDuration;
use crate::work::{Advice, EffectGrant, EffectRequest, Outcome, Success, WorkItem, args_digest};
use serde_json::{Value, json};
use std::sync::Arc;

fn law(rules: &str) -> String {
    format!("constitution: x\narticles:\n  - id: a\n    title: A\n    rules:\n{rules}")
}

fn rule(at: &str, when: &str, verdict: &str, more: &str) -> String {
    let when = Value::from(when);
    format!("      - {{at: [{at}], when: {when}, verdict: {verdict}, message: why not{more}}}\n")
}

fn steps(steps: Value) -> Value {
    json!({"title": "x", "max_retries": 2, "plan": {"steps": steps}})
}

/// A payment whose amount an earlier step finds out, and that a person is asked about.
fn payment() -> World {
    let mut world = World::under(
        ASKS,
        steps(json!([
            {"id": "find", "action": "find"},
            {"id": "pay", "action": "a", "params": {"amount": "${steps.find.output.amount}"}, "depends_on": ["find"]},
        ])),
    );
    let item = world.claim(1, "find");
    let found = Success { output: json!({"amount": 10}), ..Success::default() };
    world.report(&item, Outcome::Succeeded(found)).unwrap();
    world
}

fn asked(world: &World, step: &str) -> crate::view::ApprovalView {
    world.task.step_view_of(step).unwrap().approval.unwrap()
}

fn answer(world: &mut World, word: Approve) -> Result<Answer, Refusal> {
    world.by(&Actor::human("bea"), Command::Approve(Box::new(word)))
}

fn effect(world: &mut World, item: &WorkItem, action: &str, args: &Value) -> Result<EffectGrant, Refusal> {
    let wish = EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: action.into(),
        args_digest: args_digest(args),
    };
    match world.by(&Actor::agent(agent(1)), Command::Effect(wish))? {
        Answer::Effect(grant) => Ok(grant),
        other => panic!("an effect was answered with {other:?}"),
    }
}

fn modify(world: &mut World, description: &str) {
    let text = TextChanges { description: Some(description.into()), ..TextChanges::default() };
    world.ann(Command::Modify(Box::new(Changes { text, ..Changes::default() }))).unwrap();
}

fn change_law(world: &mut World, text: &str) {
    world.policy.law = Some(Arc::new(Law::read(text).unwrap()));
}

#[test]
fn who_comes_for_it_gets_nothing_before_a_person_has_approved_of_just_that() {
    let mut world = payment();
    assert_eq!(world.try_claim(1, &["a"]).unwrap_err().code(), "NO_WORK");
    assert_eq!(world.events(), ["APPROVAL_ASKED"]);
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::Approval)));
    let question = asked(&world, "pay");
    assert_eq!((question.params["amount"].clone(), question.answer), (json!(10), None));
    assert!(question.why.contains("somebody looks first (a.1)"), "{}", question.why);
    let waiting = world.task.waiting();
    assert!(waiting.iter().any(|w| w.reason == "ACTION_APPROVAL" && w.until.is_some()), "{waiting:?}");
    // Whoever comes, however it is asked for again: nobody gets it.
    assert!(world.try_claim(2, &["a"]).is_err() && world.events().is_empty());
    assert_eq!(world.ann(Command::Resume { reason: String::new() }).unwrap_err().code(), "ILLEGAL_TRANSITION");
    assert_eq!(world.overrule(OverrideWord::RetryStep, Some("pay")).unwrap_err().code(), "ILLEGAL_TRANSITION");
    let reassign = Command::Reassign { agent: Some(agent(3)), reason: "so".into() };
    let _ = world.ann(reassign);
    assert!(world.try_claim(3, &["a"]).is_err(), "nor by giving it to another");
    answer(&mut world, word_on("pay", true)).unwrap();
    assert_eq!(world.events(), ["APPROVAL_ANSWERED"]);
    let item = world.claim(3, "a");
    assert_eq!(item.approved_args, Some(args_digest(&json!({"amount": 10}))));
    assert_eq!(answer(&mut world, word_on("pay", false)).unwrap_err().code(), "ALREADY_SETTLED");
}

#[test]
fn the_inbox_shows_what_would_be_done_and_answers_that_count_for_just_that() {
    let mut world = payment();
    assert!(world.task.questions().is_empty() && world.task.asks_since().is_none());
    world.try_claim(1, &["a"]).unwrap_err();
    let asked = world.task.questions().remove(0);
    assert_eq!((asked.reason, asked.may, asked.step.as_deref()), (AskedFor::ActionApproval, Right::Decide, Some("2")));
    assert_eq!((asked.action.as_deref(), asked.until.is_some()), (Some("a"), true));
    let approval = asked.approval.unwrap();
    assert_eq!(approval.params["amount"], json!(10));
    assert_eq!(asked.acts[0].body, json!({"step": "2", "approved": true, "digest": approval.digest}));
    assert_eq!(asked.acts[2].fill, ["reason"]);
    answer(&mut world, word_on("pay", true)).unwrap();
    assert!(world.task.questions().is_empty() && world.task.asks_since().is_none());
}

#[test]
fn only_a_person_answers_and_nobody_about_what_is_their_own_unless_the_house_decides_alone() {
    let mut world = payment();
    world.try_claim(1, &["a"]).unwrap_err();
    for actor in [Actor::agent(agent(1)), Actor::settle(), Actor::clock()] {
        let by_it = Command::Approve(Box::new(word_on("pay", true)));
        assert_eq!(world.by(&actor, by_it).unwrap_err().code(), "FORBIDDEN", "{actor}");
    }
    world.own = true;
    let own = answer(&mut world, word_on("pay", true)).unwrap_err();
    assert!(own.code() == "FORBIDDEN" && own.to_string().contains("somebody else"), "{own}");
    world.policy.solo = true;
    answer(&mut world, word_on("pay", true)).unwrap();
    assert!(asked(&world, "pay").self_decided);
}

#[test]
fn an_answer_is_bound_to_what_was_shown() {
    let mut world = payment();
    world.try_claim(1, &["a"]).unwrap_err();
    let digest = asked(&world, "pay").digest;
    let other = Approve { digest: Some("0".repeat(64).into()), ..word_on("pay", true) };
    assert!(answer(&mut world, other).unwrap_err().to_string().contains(&digest));
    answer(&mut world, Approve { digest: Some(digest.into()), ..word_on("pay", true) }).unwrap();
}

#[test]
fn what_changed_while_a_person_thought_is_asked_about_anew() {
    let mut world = payment();
    world.try_claim(1, &["a"]).unwrap_err();
    let before = asked(&world, "pay").digest;
    modify(&mut world, "send it to somebody else");
    let late = answer(&mut world, word_on("pay", true)).unwrap_err();
    assert!(late.to_string().contains("has changed"), "{late}");
    assert_eq!(world.events(), ["APPROVAL_ASKED"]);
    assert_ne!(asked(&world, "pay").digest, before);
    answer(&mut world, word_on("pay", true)).unwrap();
    world.claim(1, "a");
}

#[test]
fn what_changed_after_the_answer_is_asked_about_anew() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 3] = [
        ("what is to be done", |world| modify(world, "and twice")),
        ("the document", |world| change_law(world, &ASKS.replace("somebody looks", "Somebody looks"))),
        ("the plan", |world| {
            world.propose(json!({"steps": [{"id": "pay", "action": "a", "params": {"amount": 10}}]})).unwrap();
        }),
    ];
    for (what, change) in changes {
        let mut world = payment();
        world.try_claim(1, &["a"]).unwrap_err();
        answer(&mut world, word_on("pay", true)).unwrap();
        change(&mut world);
        assert!(world.try_claim(1, &["a"]).is_err(), "{what}");
        assert_eq!(world.events().last(), Some(&"APPROVAL_ASKED"), "{what}");
    }
}

#[test]
fn what_changed_while_it_is_being_done_is_not_done() {
    let mut world = payment();
    world.try_claim(1, &["a"]).unwrap_err();
    answer(&mut world, word_on("pay", true)).unwrap();
    let item = world.claim(1, "a");
    change_law(&mut world, &ASKS.replace("somebody looks", "Somebody looks"));
    assert_eq!(effect(&mut world, &item, "a", &json!({"amount": 10})).unwrap_err().code(), "EFFECT_REFUSED");
    assert_eq!(world.events(), ["JUDGED_ANEW", "ATTEMPT_FAILED"]);
    assert!(world.try_claim(1, &["a"]).is_err() && world.events() == ["APPROVAL_ASKED"]);
    answer(&mut world, word_on("pay", true)).unwrap();
    let again = world.claim(1, "a");
    assert!(effect(&mut world, &again, "a", &json!({"amount": 10})).is_ok());
}

#[test]
fn an_effect_is_what_was_approved_to_the_byte() {
    let mut world = payment();
    world.try_claim(1, &["a"]).unwrap_err();
    answer(&mut world, word_on("pay", true)).unwrap();
    let item = world.claim(1, "a");
    let more = effect(&mut world, &item, "a", &json!({"amount": 11})).unwrap_err();
    assert!(more.code() == "EFFECT_REFUSED" && more.to_string().contains(&args_digest(&json!({"amount": 10}))), "{more}");
    assert_eq!(effect(&mut world, &item, "b", &json!({"amount": 10})).unwrap_err().code(), "EFFECT_REFUSED");
    assert!(effect(&mut world, &item, "a", &json!({"amount": 10})).is_ok());
}

#[test]
fn an_act_that_is_not_the_step_passes_the_same_rules() {
    let rules =
        [rule("action", "action.name == \"a\"", "ESCALATE", ""), rule("action", "action.name == \"b\"", "DENY", "")].concat();
    let mut world = World::under(&law(&rules), steps(json!([{"action": "harmless"}])));
    let item = world.claim(1, "harmless");
    for name in ["a", "b"] {
        let refused = effect(&mut world, &item, name, &json!({})).unwrap_err();
        assert_eq!(refused.code(), "EFFECT_REFUSED", "{name}");
    }
    assert!(effect(&mut world, &item, "c", &json!({})).is_ok());
}

#[test]
fn a_no_fails_the_step_and_the_task_and_is_remembered() {
    let mut world = payment();
    world.try_claim(1, &["a"]).unwrap_err();
    let silent = Approve { reason: String::new(), ..word_on("pay", false) };
    assert!(answer(&mut world, silent).unwrap_err().to_string().contains("a no says why"));
    answer(&mut world, word_on("pay", false)).unwrap();
    assert_eq!(world.events(), ["APPROVAL_ANSWERED", "FAILED"]);
    let view = world.task.view();
    assert!(view.recoverable && view.reason.unwrap().contains("bea denied it: looked at"));
    assert_eq!(view.last_error.unwrap().class, ErrorClass::Refused);
}

#[test]
fn without_a_step_that_may_be_missing_the_task_goes_on() {
    let mut world = World::under(ASKS, steps(json!([{"action": "a", "optional": true}, {"action": "b"}])));
    world.try_claim(1, &["a"]).unwrap_err();
    answer(&mut world, word_on("1", false)).unwrap();
    world.work_off("b");
    assert_eq!(world.status(), Status::Completed);
    assert_eq!(world.task.view().gaps, ["1"]);
}

#[test]
fn silence_is_a_no_and_a_person_decides_about_the_rest() {
    let mut world = payment();
    world.policy.approval_wait = WireDuration { ms: 60_000 };
    world.try_claim(1, &["a"]).unwrap_err();
    world.pass("60s");
    assert_eq!(world.status(), Status::Escalated);
    assert_eq!(asked(&world, "pay").answer, Some(ApprovalWord::Expired));
    assert!(answer(&mut world, word_on("pay", true)).is_err(), "it is too late");
    // Tried again, it is asked about again.
    world.overrule(OverrideWord::RetryStep, Some("pay")).unwrap();
    assert!(world.try_claim(1, &["a"]).is_err() && world.events() == ["APPROVAL_ASKED"]);
    answer(&mut world, word_on("pay", true)).unwrap();
    world.work_off("a");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn at_its_deadline_it_has_expired_even_while_the_task_is_held() {
    let mut world = payment();
    world.policy.approval_wait = WireDuration { ms: 60_000 };
    world.try_claim(1, &["a"]).unwrap_err();
    world.pause();
    world.pass("60s");
    assert_eq!(answer(&mut world, word_on("pay", true)).unwrap_err().code(), "ALREADY_SETTLED");
}

#[test]
fn an_answer_may_change_the_parameters_and_these_are_judged_again() {
    let rules = [
        rule("action", "action.name == \"a\"", "ESCALATE", ""),
        rule("action", "action.name == \"a\" && action.params.amount > 100", "DENY", ""),
    ]
    .concat();
    let mut world = World::under(&law(&rules), steps(json!([{"action": "a", "params": {"amount": 50}}])));
    world.try_claim(1, &["a"]).unwrap_err();
    let with = |amount: u32| {
        let params = json!({"amount": amount}).as_object().cloned();
        Approve { params, ..word_on("1", true) }
    };
    let refused = answer(&mut world, with(200)).unwrap_err();
    assert!(refused.to_string().contains("constitution a.2"), "{refused}");
    answer(&mut world, with(20)).unwrap();
    assert_eq!(world.events(), ["PARAMS_CHANGED", "APPROVAL_ANSWERED"]);
    let item = world.claim(1, "a");
    assert_eq!(item.params["amount"], json!(20));
    assert!(effect(&mut world, &item, "a", &json!({"amount": 50})).is_err());
    assert!(effect(&mut world, &item, "a", &json!({"amount": 20})).is_ok());
}

#[test]
fn questions_about_two_steps_are_answered_one_by_one() {
    let mut world = World::under(ASKS, steps(json!([{"action": "a"}, {"action": "a"}])));
    world.try_claim(1, &["a"]).unwrap_err();
    world.try_claim(1, &["a"]).unwrap_err();
    assert_eq!(world.task.waiting().iter().filter(|w| w.reason == "ACTION_APPROVAL").count(), 2);
    answer(&mut world, word_on("2", true)).unwrap();
    assert_eq!(world.claim(1, "a").work.to_string(), "step:2");
    assert_eq!(world.task.step_view_of("1").unwrap().status, StepStatus::Blocked);
}

#[test]
fn what_the_constitution_refuses_fails_before_anybody_gets_it() {
    let rules = rule("action", "action.name == \"a\" && action.params.path.startsWith(\"/etc\")", "DENY", "");
    let mut world = World::under(
        &law(&rules),
        steps(json!([
            {"id": "find", "action": "find"},
            {"action": "a", "params": {"path": "${steps.find.output}"}, "depends_on": ["find"], "optional": true},
            {"action": "a", "params": {"path": "/tmp/x"}, "depends_on": ["find"]},
        ])),
    );
    let item = world.claim(1, "find");
    world.report(&item, Outcome::Succeeded(Success { output: json!("/etc/passwd"), ..Success::default() })).unwrap();
    assert!(world.try_claim(1, &["a"]).is_err());
    assert_eq!(world.events(), ["STEP_FAILED"]);
    world.work_off("a");
    assert_eq!((world.status(), world.task.view().gaps), (Status::Completed, vec!["2".to_owned()]));
}

#[test]
fn what_assists_asks_where_the_risk_is_high_and_acts_by_itself_where_it_is_not() {
    let rules = rule("action", "action.name == \"a\" && action.params.amount > 100", "WARN", ", risk: HIGH");
    let task = |autonomy: &str, amount: u32, acts: bool| {
        let step = json!({"action": "a", "acts": acts, "params": {"amount": amount}});
        World::under(&law(&rules), json!({"title": "x", "autonomy": autonomy, "plan": {"steps": [step]}}))
    };
    for (autonomy, amount, acts, asks) in [
        ("ASSISTED", 200, true, true),
        ("ASSISTED", 50, true, false),
        ("ASSISTED", 200, false, false),
        ("AUTONOMOUS", 200, true, false),
        ("SUGGESTION", 200, true, false),
    ] {
        let mut world = task(autonomy, amount, acts);
        assert_eq!(world.try_claim(1, &["a"]).is_err(), asks, "{autonomy} {amount} {acts}");
    }
    // What the step did not say it does is no way around it.
    let mut world = task("ASSISTED", 200, false);
    let item = world.claim(1, "a");
    assert_eq!(effect(&mut world, &item, "a", &json!({"amount": 200})).unwrap_err().code(), "EFFECT_REFUSED");
}

#[test]
fn in_a_dry_run_nobody_is_asked_and_what_was_said_is_kept() {
    let mut world = World::under(ASKS, json!({"title": "x", "execution_mode": "DRY_RUN", "plan": {"steps": [{"action": "a"}]}}));
    world.claim(1, "a");
    let assigned = world.done.moves.iter().find_map(|m| match &m.event {
        crate::event::Event::Assigned(assigned) => Some(assigned.clone()),
        _ => None,
    });
    assert_eq!(&*assigned.unwrap().rulings[0].rule, "a.1");
}

#[test]
fn what_is_done_again_after_going_back_is_asked_about_again() {
    let mut world = World::under(
        ASKS,
        steps(json!([
            {"id": "start", "action": "s", "checkpoint": "here"},
            {"id": "pay", "action": "a", "depends_on": ["start"]},
            {"id": "end", "action": "e", "depends_on": ["pay"]},
        ])),
    );
    world.analyst = true;
    world.work_off("s");
    world.try_claim(1, &["a"]).unwrap_err();
    answer(&mut world, word_on("pay", true)).unwrap();
    world.work_off("a");
    let item = world.claim(1, "e");
    world.fail_for_good(&item);
    let analysis = world.claim(2, "analyse");
    let back = Advice::Rollback { checkpoint: "here".into(), reason: "again".into() };
    world.report(&analysis, Outcome::Advised(back)).unwrap();
    world.pass("1h");
    assert!(world.try_claim(1, &["a"]).is_err());
    assert!(world.events().contains(&"APPROVAL_ASKED"), "{:?}", world.events());
}

#[test]
fn a_result_is_refused_looked_at_or_told() {
    let rules = [
        rule("result", "action.name == \"a\" && result.output == \"bad\"", "DENY", ""),
        rule("result", "action.name == \"a\" && result.output == \"odd\"", "ESCALATE", ""),
        rule("result", "action.name == \"a\" && result.output == \"long\"", "WARN", ""),
    ]
    .concat();
    let outcome = |output: &str| {
        let mut world = World::under(&law(&rules), steps(json!([{"action": "a", "retry_policy": {"max_attempts": 1}}])));
        let item = world.claim(1, "a");
        world.report(&item, Outcome::Succeeded(Success { output: json!(output), ..Success::default() })).unwrap();
        world
    };
    let refused = outcome("bad");
    assert!(refused.events().starts_with(&["ATTEMPT_FAILED"]), "{:?}", refused.events());
    assert_eq!(refused.task.view().last_error.unwrap().class, ErrorClass::BadOutput);
    let mut odd = outcome("odd");
    assert_eq!(odd.events(), ["RESULT_JUDGED", "ATTEMPT_SUCCEEDED", "GATE_OPENED"]);
    assert_eq!((odd.status(), odd.task.block_reason()), (Status::Blocked, Some(BlockReason::Approval)));
    let yes = judgement(json!({"kind": "MANUAL_REVIEW", "passed": true}));
    odd.ann(Command::Confirm { step: "1".into(), judgement: yes }).unwrap();
    assert_eq!(odd.status(), Status::Completed);
    assert_eq!(outcome("long").events(), ["RESULT_JUDGED", "ATTEMPT_SUCCEEDED", "COMPLETED"]);
    assert_eq!(outcome("good").events(), ["ATTEMPT_SUCCEEDED", "COMPLETED"]);
}

#[test]
fn what_the_constitution_wants_looked_at_is_not_undone_by_itself() {
    let undoes = rule("action", "action.undoes && action.name == \"refund\"", "ESCALATE", "");
    let mut world = World::under(
        &law(&undoes),
        steps(json!([
            {"id": "start", "action": "s", "checkpoint": "here"},
            {"id": "pay", "action": "a", "depends_on": ["start"], "compensation": {"action": "refund"}},
            {"id": "end", "action": "e", "depends_on": ["pay"]},
        ])),
    );
    world.analyst = true;
    world.work_off("s");
    world.work_off("a");
    let item = world.claim(1, "e");
    world.fail_for_good(&item);
    let analysis = world.claim(2, "analyse");
    let back = Advice::Rollback { checkpoint: "here".into(), reason: "again".into() };
    world.report(&analysis, Outcome::Advised(back)).unwrap();
    assert!(world.try_claim(1, &["refund"]).is_err());
    assert_eq!(world.status(), Status::Escalated);
    world.overrule(OverrideWord::RetryStep, Some("pay")).unwrap();
    assert!(world.try_claim(1, &["refund"]).is_ok(), "whoever had it tried again has approved of it");
}
