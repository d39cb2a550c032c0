//! Every way a gate can end, against every way its no can count, beside every state a parallel step can be in.

use super::world::*;
use crate::command::Command;
use crate::event::{Actor, OverrideWord};
use crate::spec::GateKind;
use crate::status::{Status, StepStatus};
use crate::work::{Failure, Judgement, Outcome, Success, WorkItem, WorkKey};
use serde_json::{Value, json};

/// How a gate ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The evidence in the report says yes, or no.
    Evidence(bool),
    /// A metric is within its threshold, or beyond it.
    Metric(bool),
    /// An agent that knows how says yes, or no.
    Agent(bool),
    /// The agent that checks as the gate says does.
    Check(bool),
    /// The check refers to what is not there.
    Unresolved,
    /// A person says yes, or no.
    Person(bool),
    /// Its judge fails, another one says yes.
    Failing,
    /// Its judge falls silent, another one says yes.
    Silent,
    /// Nobody comes in time.
    Nobody,
    /// No person answers in time.
    NoPerson,
    /// A person passes the gate unjudged.
    Overruled,
    /// A person leaves the step out while its gate is open.
    LeftOut,
}

const ENDS: [End; 17] = [
    End::Evidence(true),
    End::Evidence(false),
    End::Metric(true),
    End::Metric(false),
    End::Agent(true),
    End::Agent(false),
    End::Check(true),
    End::Check(false),
    End::Unresolved,
    End::Person(true),
    End::Person(false),
    End::Failing,
    End::Silent,
    End::Nobody,
    End::NoPerson,
    End::Overruled,
    End::LeftOut,
];

/// What a no means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum No {
    /// The step is tried again.
    Again,
    /// Its attempts are spent, and the task cannot go on without it.
    Final,
    /// Its attempts are spent, and the task goes on without it.
    Optional,
    /// It only leaves a note.
    Note,
}

/// What the step beside does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beside {
    Unclaimed,
    Running,
    Judged,
    Done,
    Failed,
}

fn gate(end: End) -> Value {
    match end {
        End::Evidence(_) | End::Agent(_) | End::Failing | End::Silent | End::Nobody | End::Overruled | End::LeftOut => {
            json!({"kind": "CODE_STYLE"})
        }
        End::Metric(_) => json!({"kind": "PERFORMANCE_TEST", "metric": "ms", "threshold": 10}),
        End::Check(_) => json!({"kind": "FUNCTIONAL_TEST", "check": {"command": "echo ${output.n} ${steps.judged.output.n}"}}),
        End::Unresolved => json!({"kind": "FUNCTIONAL_TEST", "check": {"command": "echo ${output.nothing}"}}),
        End::Person(_) | End::NoPerson => json!({"kind": "MANUAL_REVIEW"}),
    }
}

fn given_both(end: End, no: No, beside: Beside) -> World {
    let mut gate = gate(end);
    gate["advisory"] = json!(no == No::Note);
    let attempts = if matches!(no, No::Final | No::Optional) { 1 } else { 3 };
    let mut other = json!({"id": "beside", "action": "b", "timeout": "30d"});
    match beside {
        Beside::Judged => other["gates"] = json!([{"kind": "SECURITY_SCAN"}]),
        // Its failure is no obstacle, or there would be nothing to see of the gate.
        Beside::Failed => {
            other["optional"] = json!(true);
            other["retry_policy"] = json!({"max_attempts": 1});
        }
        Beside::Unclaimed | Beside::Running | Beside::Done => {}
    }
    let steps = json!([
        {"id": "judged", "action": "a", "gates": [gate], "optional": no == No::Optional,
         "retry_policy": {"max_attempts": attempts, "initial": "10s", "jitter": 0}},
        other,
        {"id": "after", "action": "c", "needs": ["judged"]},
    ]);
    let mut world = World::new();
    // Whoever does something beside may take its time: here only gates are waited for.
    world.submit(json!({"title": "x", "max_retries": 0, "heartbeat_timeout": "30d", "plan": {"steps": steps}}));
    if beside != Beside::Unclaimed {
        let item = world.claim(5, "b");
        match beside {
            Beside::Judged | Beside::Done => world.succeed(&item),
            Beside::Failed => world.fail(&item),
            Beside::Running | Beside::Unclaimed => {}
        }
    }
    world
}

/// The step is done, and its gate ends this way.
fn come_to(world: &mut World, end: End) {
    let item = world.claim(1, "a");
    let mut success = Success { output: json!({"n": 3}), ..Success::default() };
    match end {
        End::Evidence(yes) => success.evidence.push(Judgement::of(GateKind::CodeStyle, yes)),
        End::Metric(yes) => drop(success.metrics.insert("ms".into(), json!(if yes { 10 } else { 11 }))),
        // Whoever did it says that it is good. That does not count.
        End::Check(_) | End::Unresolved => success.evidence.push(Judgement::of(GateKind::FunctionalTest, true)),
        End::Person(_) | End::NoPerson => success.evidence.push(Judgement::of(GateKind::ManualReview, true)),
        End::Agent(_) | End::Failing | End::Silent | End::Nobody | End::Overruled | End::LeftOut => {}
    }
    world.report(&item, Outcome::Succeeded(success)).unwrap();
    let say = |world: &mut World, item: &WorkItem, kind, yes| {
        world.report(item, Outcome::Judged(Judgement::of(kind, yes))).unwrap();
    };
    match end {
        End::Evidence(_) | End::Metric(_) => {}
        End::Agent(yes) => {
            assert!(world.try_claim(1, &["gate.code_style"]).is_err(), "the verifier is not the doer");
            let item = world.claim(2, "gate.code_style");
            say(world, &item, GateKind::CodeStyle, yes);
        }
        End::Check(yes) => {
            assert!(world.try_claim(2, &["gate.functional_test"]).is_err(), "it says how it is checked");
            assert!(world.try_claim(1, &["gate.check"]).is_err(), "the verifier is not the doer");
            let item = world.claim(2, "gate.check");
            assert_eq!((&item.params["command"], &*item.action), (&json!("echo 3 3"), "gate.check"));
            say(world, &item, GateKind::FunctionalTest, yes);
        }
        End::Unresolved => assert_eq!(world.try_claim(2, &["gate.check"]).unwrap_err().code(), "NO_WORK"),
        End::Person(yes) => {
            let judgement = Judgement::of(GateKind::ManualReview, yes);
            world.ann(Command::Confirm { step: "1".into(), judgement }).unwrap();
        }
        End::Failing => {
            let item = world.claim(2, "gate.code_style");
            world.report(&item, Outcome::Failed(Failure::new(crate::spec::ErrorClass::Other, "no"))).unwrap();
            world.pass("1m");
            let item = world.claim(2, "gate.code_style");
            say(world, &item, GateKind::CodeStyle, true);
        }
        End::Silent => {
            let item = world.claim(2, "gate.code_style");
            let lapsed = Command::LeaseLapsed { work: item.work.clone(), attempt: item.attempt, counter: 0 };
            world.by(&Actor::settle(), lapsed).unwrap();
            let item = world.claim(3, "gate.code_style");
            say(world, &item, GateKind::CodeStyle, true);
        }
        End::Nobody => world.pass("30m"),
        End::NoPerson => world.pass("24h"),
        End::Overruled => drop(world.overrule(OverrideWord::PassGate, Some("1")).unwrap()),
        End::LeftOut => drop(world.overrule(OverrideWord::SkipStep, Some("1")).unwrap()),
    }
}

/// What the gate's end comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Yes,
    No,
    Skip,
}

fn word(end: End) -> Word {
    match end {
        End::Evidence(yes) | End::Metric(yes) | End::Agent(yes) | End::Check(yes) | End::Person(yes) => {
            if yes {
                Word::Yes
            } else {
                Word::No
            }
        }
        End::Failing | End::Silent | End::Overruled => Word::Yes,
        End::Unresolved | End::Nobody | End::NoPerson => Word::No,
        End::LeftOut => Word::Skip,
    }
}

#[test]
fn every_end_of_a_gate_counts_as_its_policy_says_whatever_is_beside() {
    for end in ENDS {
        for no in [No::Again, No::Final, No::Optional, No::Note] {
            for beside in [Beside::Unclaimed, Beside::Running, Beside::Judged, Beside::Done, Beside::Failed] {
                let case = format!("{end:?}, {no:?}, {beside:?}");
                let mut world = given_both(end, no, beside);
                let before = world.step("beside");
                come_to(&mut world, end);
                let (step, after) = match (word(end), no) {
                    (Word::Yes, _) | (Word::No, No::Note) => (StepStatus::Completed, StepStatus::Ready),
                    (Word::Skip, _) => (StepStatus::Skipped, StepStatus::Ready),
                    (Word::No, No::Optional) => (StepStatus::Failed, StepStatus::Ready),
                    (Word::No, No::Again) => (StepStatus::Retrying, StepStatus::Pending),
                    (Word::No, No::Final) => (StepStatus::Failed, StepStatus::Pending),
                };
                let is_lost = word(end) == Word::No && no == No::Final;
                // The gate beside has a limit of its own, and long waits reach it.
                let waited = matches!(end, End::Nobody | End::NoPerson) && beside == Beside::Judged;
                assert_eq!(world.step("judged"), step, "{case}");
                if is_lost && beside != Beside::Running {
                    assert_eq!(world.status(), Status::Failed, "{case}");
                    continue;
                }
                assert_eq!(world.step("after"), after, "{case}");
                if waited {
                    continue;
                }
                assert_eq!(world.step("beside"), before, "{case}");
                if is_lost {
                    // What somebody works on is let end first.
                    let item = held(&world, "2");
                    world.succeed(&item);
                    assert_eq!(world.status(), Status::Failed, "{case}");
                    continue;
                }
                to_its_end(&mut world, &case, no == No::Note && word(end) == Word::No, step, beside);
            }
        }
    }
}

/// The work somebody holds on a step.
fn held(world: &World, path: &str) -> WorkItem {
    world.task.held_work(&WorkKey::Step(path.into())).unwrap()
}

/// Everything that is left is done; nothing is lost on the way.
fn to_its_end(world: &mut World, case: &str, noted: bool, step: StepStatus, beside: Beside) {
    if step == StepStatus::Retrying {
        world.pass("10s");
        let item = world.claim(1, "a");
        assert_eq!(item.attempt, 2, "{case}");
        assert_eq!(item.last_error.is_some(), !case.starts_with("Person"), "{case}: {item:?}");
        // Passed by a person this time, so that all cases end alike.
        world.succeed(&item);
        world.overrule(OverrideWord::PassGate, Some("1")).unwrap();
    }
    match beside {
        Beside::Unclaimed => drop(world.work_off("b")),
        Beside::Running => {
            let item = held(world, "2");
            world.succeed(&item);
        }
        Beside::Judged => {
            let item = world.claim(6, "gate.security_scan");
            world.report(&item, Outcome::Judged(Judgement::of(GateKind::SecurityScan, true))).unwrap();
        }
        Beside::Done | Beside::Failed => {}
    }
    world.work_off("c");
    assert_eq!(world.status(), Status::Completed, "{case}");
    let gaps = world.task.view().gaps;
    assert_eq!(
        gaps.contains(&"1".to_owned()),
        noted || matches!(step, StepStatus::Failed | StepStatus::Skipped),
        "{case}: {gaps:?}"
    );
}

#[test]
fn what_a_gate_found_is_told_to_whoever_tries_again() {
    let mut world = given_steps(json!([{"action": "a", "retry_policy": {"initial": "10s", "jitter": 0},
        "gates": [{"kind": "CODE_STYLE", "check": {"sarif": "r"}}]}]));
    let first = world.claim(1, "a");
    assert_eq!(first.last_error, None);
    world.succeed(&first);
    let gate = world.claim(2, "gate.check");
    let violation = json!({"severity": "HIGH", "rule": "E501", "place": "a.py:3", "message": "too long"});
    let no = json!({"kind": "CODE_STYLE", "passed": false, "score": 0.8, "violations": [violation]});
    world.report(&gate, Outcome::Judged(judgement(no))).unwrap();
    let told = "CODE_STYLE: E501 at a.py:3: too long";
    assert_eq!(world.task.step_views()[0].error.as_deref(), Some(told));
    assert_eq!(world.task.step_views()[0].gates[0].status, crate::view::GateStatus::Failed);
    world.pass("10s");
    assert_eq!(world.claim(1, "a").last_error.as_deref(), Some(told));
}

#[test]
fn the_words_of_a_check_are_private_and_come_back_with_the_plan() {
    let check = json!({"command": "lint ${output.path}", "sarif": "r.sarif"});
    let world = given_steps(json!([{"id": "s", "action": "a", "gates": [{"kind": "CODE_STYLE", "check": check}]}]));
    let step = world.task.steps().next().unwrap();
    assert_eq!(serde_json::to_value(&step.gates[0]).unwrap(), json!({"kind": "CODE_STYLE", "check": {}}));
    assert_eq!(world.task.contents.steps()[0].gate_checks["0"], check);
}
