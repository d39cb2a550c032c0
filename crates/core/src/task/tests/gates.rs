//! What a result is judged by.

use super::world::*;
use crate::command::Command;
use crate::event::{Actor, Event, OverrideWord};
use crate::spec::GateKind;
use crate::status::{BlockReason, Status, StepStatus};
use crate::work::{Outcome, Success, WorkKey};
use serde_json::{Value, json};

/// A task of one step with these gates, whose agent has reported success with this evidence.
fn reported(gates: Value, evidence: Value) -> World {
    let mut world = given_steps(json!([{"action": "a", "gates": gates, "retry_policy": {"initial": "10s", "jitter": 0}}]));
    let item = world.claim(1, "a");
    let success: Success = serde_json::from_value(evidence).unwrap();
    world.report(&item, Outcome::Succeeded(success)).unwrap();
    world
}

fn passed(kind: &str, passed: bool) -> Value {
    json!({"evidence": [{"kind": kind, "passed": passed}]})
}

const JUDGED_BY_AGENTS: [GateKind; 5] =
    [GateKind::CodeStyle, GateKind::SecurityScan, GateKind::PerformanceTest, GateKind::FunctionalTest, GateKind::IntegrationTest];

#[test]
fn five_kinds_pass_and_fail_by_the_evidence_in_the_report() {
    for kind in JUDGED_BY_AGENTS {
        let world = reported(json!([{"kind": kind}]), passed(kind.word(), true));
        assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_SUCCEEDED", "GATE_JUDGED", "COMPLETED"], Status::Completed));
        let world = reported(json!([{"kind": kind}]), passed(kind.word(), false));
        assert_eq!((world.events(), world.step("1")), (vec!["ATTEMPT_SUCCEEDED", "GATE_JUDGED"], StepStatus::Retrying));
    }
}

#[test]
fn five_kinds_are_judged_by_an_agent_who_is_not_the_doer() {
    for kind in JUDGED_BY_AGENTS {
        let mut world = reported(json!([{"kind": kind}]), json!({}));
        assert_eq!((world.status(), world.step("1")), (Status::Review, StepStatus::Checking));
        assert!(world.try_claim(1, &[kind.capability()]).is_err(), "the verifier is not the doer");
        let item = world.claim(2, kind.capability());
        assert_eq!((&item.work, world.status()), (&WorkKey::Gate("1".into(), 0), Status::Review));
        let word = Outcome::Judged(judgement(json!({"kind": kind, "passed": true})));
        world.report(&item, word.clone()).unwrap();
        assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_SUCCEEDED", "GATE_JUDGED", "COMPLETED"], Status::Completed));
        world.report(&item, word).unwrap();
        assert!(world.events().is_empty(), "a repeated word is no late one");
    }
}

#[test]
fn a_manual_review_is_decided_by_a_person_alone() {
    let mut world = reported(json!([{"kind": "MANUAL_REVIEW"}]), passed("MANUAL_REVIEW", true));
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::Approval)));
    assert_eq!(world.task.open_keys(), None);
    let yes = Command::Confirm { step: "1".into(), judgement: judgement(json!({"kind": "MANUAL_REVIEW", "passed": true})) };
    assert_eq!(world.by(&Actor::agent(agent(2)), yes.clone()).unwrap_err().code(), "FORBIDDEN");
    world.ann(yes.clone()).unwrap();
    assert_eq!(world.status(), Status::Completed);
    let mut open = reported(json!([{"kind": "CODE_STYLE"}]), json!({}));
    assert_eq!(open.ann(yes).unwrap_err().code(), "ILLEGAL_TRANSITION", "this one is not asked of a person");
}

#[test]
fn a_persons_no_sends_the_step_back() {
    let mut world = reported(json!([{"kind": "MANUAL_REVIEW"}]), json!({}));
    let no = judgement(json!({"kind": "MANUAL_REVIEW", "passed": false}));
    world.ann(Command::Confirm { step: "1".into(), judgement: no }).unwrap();
    assert_eq!((world.step("1"), world.status()), (StepStatus::Retrying, Status::InProgress));
    world.pass("10s");
    assert_eq!(world.claim(2, "a").attempt, 2);
}

#[test]
fn a_gate_that_nobody_judges_in_half_an_hour_has_failed() {
    let mut world = reported(json!([{"kind": "CODE_STYLE"}]), json!({}));
    let item = world.claim(2, "gate.code_style");
    world.pass("30m");
    let Event::GateJudged(judged) = world.made("GATE_JUDGED") else { unreachable!() };
    assert_eq!((judged.passed, &*judged.by), (false, "limit"));
    let late = Outcome::Judged(judgement(json!({"kind": "CODE_STYLE", "passed": true})));
    assert_eq!(world.report(&item, late).unwrap_err().code(), "STALE_ATTEMPT");
    assert_ne!(world.step("1"), StepStatus::Completed);
}

#[test]
fn a_person_has_a_day_and_silence_is_no_yes() {
    let mut world = reported(json!([{"kind": "MANUAL_REVIEW"}]), json!({}));
    world.pass("23h");
    assert_eq!(world.step("1"), StepStatus::Checking);
    world.pass("1h");
    assert_eq!(world.step("1"), StepStatus::Retrying);
}

#[test]
fn an_advisory_gate_leaves_a_note() {
    let world = reported(json!([{"kind": "CODE_STYLE", "advisory": true}]), passed("CODE_STYLE", false));
    assert_eq!(*world.made("COMPLETED"), Event::Completed { gaps: vec!["1".into()] });
}

#[test]
fn several_gates_are_judged_one_after_the_other_and_all_over_again_after_a_no() {
    let gates = json!([{"kind": "FUNCTIONAL_TEST"}, {"kind": "CODE_STYLE"}]);
    let mut world = reported(gates, passed("FUNCTIONAL_TEST", true));
    assert_eq!(world.task.open_keys().unwrap(), "gate.code_style\n");
    let gate = world.claim(2, "gate.code_style");
    assert_eq!(gate.work, WorkKey::Gate("1".into(), 1));
    world.report(&gate, Outcome::Judged(judgement(json!({"kind": "CODE_STYLE", "passed": false})))).unwrap();
    world.pass("10s");
    let item = world.claim(1, "a");
    world.succeed(&item);
    assert_eq!(world.task.open_keys().unwrap(), "gate.functional_test\n", "the first gate has to be passed again");
}

#[test]
fn a_no_counts_as_an_attempt() {
    let mut world = reported(json!([{"kind": "CODE_STYLE"}]), passed("CODE_STYLE", false));
    for wait in ["10s", "20s"] {
        world.pass(wait);
        let item = world.claim(1, "a");
        world.report(&item, Outcome::Succeeded(serde_json::from_value(passed("CODE_STYLE", false)).unwrap())).unwrap();
    }
    assert_eq!((world.step("1"), world.status()), (StepStatus::Failed, Status::Retrying));
}

#[test]
fn success_whose_answer_was_lost_is_answered_alike_though_a_gate_said_no() {
    let mut world = given_steps(json!([{"action": "a", "gates": [{"kind": "CODE_STYLE"}]}]));
    let item = world.claim(1, "a");
    let success = Outcome::Succeeded(serde_json::from_value(passed("CODE_STYLE", false)).unwrap());
    world.report(&item, success.clone()).unwrap();
    assert_eq!(world.step("1"), StepStatus::Retrying);
    world.report(&item, success).unwrap();
    assert!(world.events().is_empty());
}

#[test]
fn a_judge_who_falls_silent_is_replaced_and_a_foreign_word_does_not_count() {
    let mut world = reported(json!([{"kind": "CODE_STYLE"}]), json!({}));
    let first = world.claim(2, "gate.code_style");
    world.by(&Actor::settle(), Command::LeaseLapsed { work: first.work.clone(), attempt: first.attempt, counter: 0 }).unwrap();
    let second = world.claim(3, "gate.code_style");
    assert!(second.attempt > first.attempt);
    let yes = Outcome::Judged(judgement(json!({"kind": "CODE_STYLE", "passed": true})));
    assert_eq!(world.report_as(&Actor::agent(agent(2)), &second, yes.clone()).unwrap_err().code(), "STALE_ATTEMPT");
    world.report(&second, yes).unwrap();
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_person_may_pass_an_open_gate_by_override() {
    let mut world = reported(json!([{"kind": "CODE_STYLE"}]), json!({}));
    world.overrule(OverrideWord::PassGate, Some("1")).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["OVERRIDDEN", "GATE_JUDGED", "COMPLETED"], Status::Completed));
    let mut world = given_steps(json!([{"action": "a"}]));
    assert_eq!(world.overrule(OverrideWord::PassGate, Some("1")).unwrap_err().code(), "ILLEGAL_TRANSITION");
}
