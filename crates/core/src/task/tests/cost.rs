//! What a step costs does not grow with the plan. Counted, not timed: how often the board is looked at.

use super::world::*;
use crate::command::{Answer, Command, Context};
use crate::event::Actor;
use crate::policy::Policy;
use crate::task::Task;
use crate::work::{EffectRequest, Outcome, Success};
use serde_json::{Value, json};

/// What it takes, at most, to look at a task and to move it on by one claim and one report.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    /// `status` and all that it is derived from, `wake_at`, what is open, whether it waits on somebody.
    look: u64,
    wake: u64,
    claim: u64,
    report: u64,
}

fn task_of(n: usize, sequential: bool, step: &Value) -> Task {
    let mut task = Task::unborn(other(1));
    let steps: Vec<Value> = (0..n)
        .map(|i| {
            let mut step = step.clone();
            if step["action"] == "wait.signal" {
                step["params"]["name"] = json!(format!("s{i}"));
            }
            step
        })
        .collect();
    let request = json!({"title": "x", "plan": {"steps": steps, "sequential": sequential}});
    let submission = crate::request::check(&serde_json::from_value(request).unwrap(), START, &Policy::default()).unwrap();
    ask(&mut task, &ann(), Command::Submit(Box::new(submission)));
    while task.wake_at().is_some_and(|at| at <= START) {
        ask(&mut task, &ann(), Command::Wake);
    }
    task
}

fn ask(task: &mut Task, actor: &Actor, command: Command) -> Option<Answer> {
    let policy = Policy::default();
    let cx = Context {
        now: START,
        actor,
        own: false,
        policy: &policy,
        counter: 0,
        judges: &[],
        analyst: false,
        ended: &[],
        births: &crate::command::Unhindered,
        agents: &crate::command::Strangers,
        held_back: false,
        told_to_stop: false,
        shut_models: &[],
    };
    task.handle(command, &cx).answer.ok()
}

/// Looks taken during an act.
fn counted<T>(task: &mut Task, act: impl FnOnce(&mut Task) -> T) -> (u64, T) {
    task.board.visits.take();
    let found = act(task);
    (task.board.visits.take(), found)
}

/// The middle of a life of `n` steps.
fn cost(n: usize, sequential: bool, step: Value) -> Cost {
    let mut task = task_of(n, sequential, &step);
    let actor = Actor::agent(agent(1));
    let one_more = |task: &mut Task| {
        let mut world = World::new();
        let claim = world.wish(1, &["a"], true);
        let (claimed, answer) = counted(task, |task| ask(task, &actor, Command::Claim(claim)));
        let Some(Answer::Work(item)) = answer else { panic!("there is work") };
        // An effect nobody speaks of again, so that open questions pile up.
        let wish = EffectRequest {
            task_id: task.id,
            work: item.work.clone(),
            attempt: item.attempt,
            action: "email.send".into(),
            args_digest: "0".repeat(64),
        };
        ask(task, &actor, Command::Effect(wish)).unwrap();
        let outcome = Box::new(Outcome::Succeeded(Success::default()));
        let report = Command::Report { work: item.work, attempt: item.attempt, outcome, plan: None };
        (claimed, counted(task, |task| ask(task, &actor, report)).0)
    };
    for _ in 0..n / 2 {
        one_more(&mut task);
    }
    let (look, ()) = counted(&mut task, |task| {
        let _ = (
            task.derive(),
            task.wake_at(),
            task.open_keys(),
            task.block_reason(),
            task.can_be_claimed(),
            task.waits_on_somebody(),
        );
    });
    let (wake, _) = counted(&mut task, |task| ask(task, &ann(), Command::Wake));
    let (claim, report) = one_more(&mut task);
    Cost { look, wake, claim, report }
}

#[test]
fn a_step_costs_the_same_in_a_plan_of_ten_and_of_ten_thousand() {
    for step in [json!({"action": "a"}), json!({"action": "a", "gates": [{"kind": "CODE_STYLE", "advisory": true}]})] {
        for sequential in [true, false] {
            if sequential && step.get("gates").is_some() {
                // Nothing follows a gate that nobody judges.
                continue;
            }
            let small = cost(10, sequential, step.clone());
            let large = cost(10_000, sequential, step.clone());
            assert_eq!(small, large, "sequential {sequential}: {step}");
            assert!(large.look == 0 && large.report < 40, "{large:?}");
        }
    }
}

#[test]
fn a_signal_costs_the_same_whether_ten_wait_or_ten_thousand() {
    let cost = |n| {
        let mut task = task_of(n, false, &json!({"action": "wait.signal", "params": {"name": "x"}}));
        let signal = Command::Signal { name: "s7".into(), payload: json!(1) };
        counted(&mut task, |task| ask(task, &ann(), signal)).0
    };
    assert_eq!(cost(10), cost(10_000));
}

#[test]
fn going_back_costs_what_goes_back_and_not_the_plan() {
    let cost = |n: usize| {
        let mut steps = vec![
            json!({"action": "x"}),
            json!({"action": "y", "depends_on": ["1"]}),
            json!({"action": "z", "depends_on": ["2"]}),
        ];
        steps.extend((0..n).map(|_| json!({"action": "a"})));
        let mut world = World::new();
        world.analyst = true;
        world.submit(json!({"title": "x", "plan": {"steps": steps}}));
        world.work_off("x");
        world.work_off("y");
        let item = world.claim(1, "z");
        world.fail_for_good(&item);
        let analysis = world.claim(2, "analyse");
        let mut task = world.task.clone();
        let advice = crate::work::Advice::Rollback { checkpoint: "1".into(), reason: "so".into() };
        let (work, attempt) = (analysis.work, analysis.attempt);
        let report = Command::Report { work, attempt, outcome: Box::new(Outcome::Advised(advice)), plan: None };
        let back = counted(&mut task, |task| ask(task, &Actor::agent(agent(2)), report)).0;
        (back, counted(&mut task, |task| task.take_in(&crate::event::Event::Retried { retries: 1 }, None, START)).0)
    };
    let large = cost(10_000);
    assert_eq!(cost(10), large);
    assert!(large.0 > 0 && large.0 < 40 && large.1 > 0 && large.1 < 10, "{large:?}");
}
