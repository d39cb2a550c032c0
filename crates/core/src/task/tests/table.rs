//! Every status against every command, kept in `transitions.txt` beside the crate and read in review like code. After a change of the
//! rules: `EPHOR_BLESS=1 cargo test -p ephor-core every_status`, then read the difference.

use super::world::*;
use crate::command::{Answer, Changes, Command, Decision};
use crate::event::{Actor, DecisionWord, Letter, OverrideWord, TextChanges};
use crate::id::{ClaimId, EffectId};
use crate::policy::{OnAgentLost, StallStrategy};
use crate::review::VoteWord;
use crate::spec::{ErrorClass, ExecutionMode, Priority};
use crate::status::Status;
use crate::work::{Advice, EffectOutcome, EffectRequest, Failure, Outcome, Success, WorkKey};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Where a task may be: a name, and a life that leads there.
type Place = (&'static str, fn() -> World);

const PLACES: [Place; 46] = [
    ("unborn", World::new),
    ("pending, due later", || given(json!({"title": "x", "due_at": START.plus(60_000).to_string()}))),
    ("pending, needs another task", || given(json!({"title": "x", "depends_on": [other(1)]}))),
    ("deliberating, before the start", || before(&["ann", "bob", "cid"])),
    ("deliberating, again, lease live", || {
        let mut world = before(&["ann", "bob", "cid"]);
        world.overrule(OverrideWord::Approve, None).unwrap();
        world.claim(1, "work");
        modify_text(&mut world);
        world
    }),
    ("scheduled, step open", || given(json!({"title": "x"}))),
    ("scheduled, plan open", || given(json!({"title": "x", "plan_by_agent": true}))),
    ("assigned, step held", || assigned(json!([{"action": "a"}]), "a")),
    ("in_progress, lease live", || held(json!([{"action": "a"}]))),
    ("in_progress, lease live, another step open", || held(json!([{"action": "a"}, {"action": "b"}]))),
    ("in_progress, plan held", || {
        let mut world = given(json!({"title": "x", "plan_by_agent": true}));
        world.claim(1, "plan");
        world
    }),
    ("in_progress, effect granted", || {
        let mut world = held(json!([{"action": "a"}]));
        grant(&mut world);
        world
    }),
    ("in_progress, between two attempts", || {
        let mut world = held(json!([{"action": "a"}]));
        fail(&mut world, true);
        world
    }),
    ("in_progress, waits for a signal", || given_steps(json!([{"action": "wait.signal", "params": {"name": "go"}}]))),
    ("in_progress, its child lives", || given_steps(json!([{"action": "task.run", "params": {"request": {"title": "y"}}}]))),
    ("in_progress, a free child lives", || {
        let mut world = held(json!([{"action": "a"}]));
        world.take(Letter::ChildJoined { child: other(5) });
        succeed(&mut world);
        world
    }),
    ("in_progress, cancelling", || {
        let mut world = held(json!([{"action": "a"}]));
        world.cancel(false).unwrap();
        world
    }),
    ("review, gate open", gate_open),
    ("review, gate held", || {
        let mut world = gate_open();
        world.claim(2, "gate.code_style");
        world
    }),
    ("review, result before the council", || result_before(&["ann", "bob", "cid"])),
    ("blocked, a person owes a gate", || {
        let mut world = held(json!([{"action": "a", "gates": [{"kind": "MANUAL_REVIEW"}]}]));
        succeed(&mut world);
        world
    }),
    ("blocked, a person is asked about a step", || {
        let mut world = World::under(ASKS, json!({"title": "x", "plan": {"steps": [{"action": "a"}]}}));
        world.try_claim(1, &["a"]).unwrap_err();
        world
    }),
    ("blocked, its agent met something outside", || {
        let mut world = held(json!([{"action": "a"}]));
        report(&mut world, Outcome::Blocked { message: "the door is shut".into() });
        world
    }),
    ("blocked, its agent fell silent", || {
        let mut world = World::new();
        world.policy.on_agent_lost = OnAgentLost::Block;
        world.submit(json!({"title": "x"}));
        world.claim(1, "work");
        lapse(&mut world);
        world
    }),
    ("blocked, an effect is unknown", || {
        let mut world = held(json!([{"action": "a"}]));
        grant(&mut world);
        lapse(&mut world);
        world
    }),
    ("blocked, its plan is doubtful", || given(json!({"title": "x", "plan": {"steps": [{"action": "a"}], "confidence": 0.1}}))),
    ("paused, due later", || paused(given(json!({"title": "x", "due_at": START.plus(60_000).to_string()})))),
    ("paused, step open", || paused(given(json!({"title": "x"})))),
    ("paused, lease live", || paused(held(json!([{"action": "a"}])))),
    ("retrying, waits", || failed(false)),
    ("retrying, analysis open", || failed(true)),
    ("retrying, analysis held", || {
        let mut world = failed(true);
        world.claim(2, "analyse");
        world
    }),
    ("retrying, steps rolled back", rolled_back),
    ("retrying, a compensation open", compensating),
    ("retrying, a compensation held", || {
        let mut world = compensating();
        world.claim(1, "a");
        world
    }),
    ("escalated, a compensation failed", || {
        let mut world = compensating();
        let item = world.claim(1, "a");
        world.fail_for_good(&item);
        world
    }),
    ("escalated, a decision before the council", || {
        let mut world = retries_spent();
        world.judges = judges(&["ann", "bob", "cid"]);
        let decision = Decision { word: DecisionWord::Liquidate, text: words(), council: true };
        world.ann(Command::Decide(Box::new(decision))).unwrap();
        world
    }),
    ("escalated, retries spent", retries_spent),
    ("escalated, asked for, lease live", || {
        let mut world = held(json!([{"action": "a"}]));
        world.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
        world
    }),
    ("escalated, admission undecided", || before(&[])),
    ("stalled", || {
        let mut world = World::new();
        world.policy.stall_watch = true;
        world.policy.stall_strategy = StallStrategy::MarkStalled;
        world.submit(json!({"title": "x"}));
        world.pass("61m");
        world
    }),
    ("completed", || {
        let mut world = held(json!([{"action": "a"}]));
        succeed(&mut world);
        world
    }),
    ("completed, erased", || {
        let mut world = held(json!([{"action": "a"}]));
        succeed(&mut world);
        world.ann(Command::Erase).unwrap();
        world
    }),
    ("failed", || {
        let mut world = held(json!([{"action": "a"}]));
        world.overrule(OverrideWord::Fail, None).unwrap();
        world
    }),
    ("cancelled", || {
        let mut world = given(json!({"title": "x"}));
        world.cancel(true).unwrap();
        world
    }),
    ("stopped", || {
        let mut world = retries_spent();
        decide(&mut world, DecisionWord::Liquidate);
        world
    }),
];

fn before(names: &[&str]) -> World {
    let mut world = World::new();
    world.judges = judges(names);
    world.submit(json!({"title": "x", "risk": "HIGH"}));
    world
}

fn result_before(names: &[&str]) -> World {
    let mut world = World::new();
    world.judges = judges(names);
    world.submit(json!({"title": "x", "final_review": true}));
    world.work_off("work");
    world
}

fn assigned(steps: serde_json::Value, capability: &str) -> World {
    let mut world = given_steps(steps);
    let claim = world.wish(1, &[capability], false);
    world.by(&Actor::agent(agent(1)), Command::Claim(claim)).unwrap();
    world
}

fn held(steps: serde_json::Value) -> World {
    let mut world = given_steps(steps);
    world.claim(1, "a");
    world
}

fn gate_open() -> World {
    let mut world = held(json!([{"action": "a", "gates": [{"kind": "CODE_STYLE"}]}]));
    succeed(&mut world);
    world
}

fn paused(mut world: World) -> World {
    world.pause();
    world
}

/// A task whose only step has failed for good once.
fn failed(analyst: bool) -> World {
    let mut world = held(json!([{"action": "a"}]));
    world.analyst = analyst;
    fail(&mut world, false);
    world
}

/// Two steps in a row; the second has failed for good, and the analyst went back to the first.
fn rolled_back() -> World {
    let mut world = World::new();
    world.analyst = true;
    world.submit(json!({"title": "x", "plan": {"sequential": true, "steps": [{"action": "a"}, {"action": "b"}]}}));
    world.work_off("a");
    let item = world.claim(1, "b");
    world.fail_for_good(&item);
    let analysis = world.claim(2, "analyse");
    let advice = Advice::Rollback { checkpoint: "1".into(), reason: "it went wrong there".into() };
    world.report(&analysis, Outcome::Advised(advice)).unwrap();
    world
}

/// Two steps in a row and a third that failed; the analyst went back to the first, and the second has to be undone.
fn compensating() -> World {
    let mut world = World::new();
    world.analyst = true;
    let undone = json!({"action": "b", "compensation": {"action": "a"}});
    world.submit(json!({"title": "x", "plan": {"sequential": true, "steps": [{"action": "a"}, undone, {"action": "c"}]}}));
    world.work_off("a");
    world.work_off("b");
    let item = world.claim(1, "c");
    world.fail_for_good(&item);
    let analysis = world.claim(2, "analyse");
    let advice = Advice::Rollback { checkpoint: "1".into(), reason: "it went wrong there".into() };
    world.report(&analysis, Outcome::Advised(advice)).unwrap();
    world
}

fn retries_spent() -> World {
    let mut world = given(json!({"title": "x", "max_retries": 1}));
    for _ in 0..2 {
        world.claim(1, "work");
        fail(&mut world, false);
        world.pass("10s");
    }
    world
}

/// The work that is held, else the first attempt at the first step.
fn work(world: &World) -> (WorkKey, u32) {
    world.task.live_leases().first().map_or((WorkKey::Step("1".into()), 1), |l| (l.work.clone(), l.attempt))
}

fn holder(world: &World) -> Actor {
    Actor::agent(world.task.live_leases().first().map_or(agent(1), |l| l.agent))
}

fn reported(world: &World, outcome: Outcome) -> Command {
    let (work, attempt) = work(world);
    let plan = matches!(outcome, Outcome::Proposed(_)).then(|| Box::new(checked(json!({"steps": [{"action": "b"}]}))));
    Command::Report { work, attempt, outcome: Box::new(outcome), plan }
}

fn report(world: &mut World, outcome: Outcome) {
    let command = reported(world, outcome);
    world.by(&holder(world), command).unwrap();
}

fn succeed(world: &mut World) {
    report(world, Outcome::Succeeded(Success::default()));
}

fn fail(world: &mut World, retryable: bool) {
    report(world, Outcome::Failed(Failure { retryable, ..Failure::new(ErrorClass::Other, "no") }));
}

fn lapse(world: &mut World) {
    let (work, attempt) = work(world);
    world.by(&Actor::settle(), Command::LeaseLapsed { work, attempt, counter: 0 }).unwrap();
}

fn grant(world: &mut World) {
    let command = effect(world);
    world.by(&holder(world), command).unwrap();
}

fn effect(world: &World) -> Command {
    let (work, attempt) = work(world);
    let args_digest = "0".repeat(64);
    Command::Effect(EffectRequest { task_id: world.task.id, work, attempt, action: "email.send".into(), args_digest })
}

fn modify_text(world: &mut World) {
    let command = modified(Changes { text: words(), ..Changes::default() });
    world.ann(command).unwrap();
}

fn modified(changes: Changes) -> Command {
    Command::Modify(Box::new(changes))
}

fn words() -> TextChanges {
    TextChanges { reason: "so".into(), description: Some("otherwise".into()), ..TextChanges::default() }
}

fn decided(word: DecisionWord) -> Command {
    Command::Decide(Box::new(Decision { word, text: words(), council: false }))
}

fn decide(world: &mut World, word: DecisionWord) {
    world.ann(decided(word)).unwrap();
}

fn overrule(decision: OverrideWord, step: bool) -> Command {
    Command::Override { decision, step: step.then(|| "1".into()), reason: "I take it upon me".into() }
}

/// What may be asked: by whom, and what besides the command's word tells it apart.
fn asked(world: &World) -> Vec<(&'static str, Actor, Command)> {
    let (held, attempt) = work(world);
    let answer = match &held {
        WorkKey::Step(_) => Outcome::Succeeded(Success::default()),
        WorkKey::Gate(..) => Outcome::Judged(judgement(json!({"kind": "CODE_STYLE", "passed": true}))),
        WorkKey::Plan => Outcome::Proposed(Box::new(serde_json::from_value(json!({"steps": [{"action": "b"}]})).unwrap())),
        WorkKey::Analysis => Outcome::Advised(Advice::Retry),
        WorkKey::Undo(_) => Outcome::Succeeded(Success::default()),
    };
    let mut able: Vec<Box<str>> = ["a", "analyse", "b", "gate.code_style", "plan", "work"].into_iter().map(Into::into).collect();
    able.sort();
    let claim = crate::command::Claim {
        agent: agent(3),
        able: crate::matching::Able::of_words(able),
        closed: [].into(),
        claim: ClaimId::new(9, [9; 10]),
        start: true,
        limits: Vec::new(),
    };
    let request = serde_json::from_value(json!({"title": "x"})).unwrap();
    let submission = crate::request::check(&request, world.now, &world.policy).unwrap();
    let effects = world.task.effects().keys().next().copied().unwrap_or(EffectId::new(9, [9; 10]));
    let letter = |letter: Letter| Command::Take { letters: vec![letter], outputs: vec![json!(null)], more: false };
    let person = ann;
    let doer = || holder(world);
    let no = Outcome::Failed(Failure::new(ErrorClass::Other, "no"));
    let stale = Command::Report { work: held.clone(), attempt: 99, outcome: Box::new(Outcome::Cancelled), plan: None };
    let yes = judgement(json!({"kind": "MANUAL_REVIEW", "passed": true}));
    vec![
        ("", person(), Command::Submit(Box::new(submission))),
        ("", person(), Command::Propose(Box::new(checked(json!({"steps": [{"action": "b"}]}))))),
        ("", person(), Command::AcceptPlan),
        ("", Actor::agent(agent(3)), Command::Claim(claim)),
        ("", doer(), Command::Start { work: held.clone(), attempt }),
        (" success", doer(), reported(world, answer)),
        (" failure", doer(), reported(world, no)),
        (" cancelled", doer(), reported(world, Outcome::Cancelled)),
        (" of another attempt", doer(), stale),
        ("", Actor::settle(), Command::LeaseLapsed { work: held.clone(), attempt, counter: 0 }),
        (" of another counter", Actor::settle(), Command::LeaseLapsed { work: held, attempt, counter: 1 }),
        ("", Actor::clock(), Command::Wake),
        ("", person(), Command::Pause { reason: "wait".into(), stop_running: false }),
        ("", person(), Command::Resume { reason: String::new() }),
        ("", person(), Command::Cancel { reason: "enough".into(), force: false }),
        (" force", person(), Command::Cancel { reason: "enough".into(), force: true }),
        (" priority", person(), modified(Changes { priority: Some(Priority::High), ..Changes::default() })),
        (" description", person(), modified(Changes { text: words(), ..Changes::default() })),
        (" to strict", person(), modified(Changes { mode: Some(ExecutionMode::Strict), ..Changes::default() })),
        ("", person(), Command::Escalate { priority: None, reason: "look".into() }),
        (" liquidate", person(), decided(DecisionWord::Liquidate)),
        (" modify_scope", person(), decided(DecisionWord::ModifyScope)),
        (" complete", person(), overrule(OverrideWord::Complete, false)),
        (" fail", person(), overrule(OverrideWord::Fail, false)),
        (" approve", person(), overrule(OverrideWord::Approve, false)),
        (" skip_step", person(), overrule(OverrideWord::SkipStep, true)),
        (" retry_step", person(), overrule(OverrideWord::RetryStep, true)),
        (" pass_gate", person(), overrule(OverrideWord::PassGate, true)),
        (" rollback", person(), overrule(OverrideWord::Rollback, true)),
        ("", person(), Command::Reassign { agent: None, reason: "somebody else".into() }),
        (" to one", person(), Command::Reassign { agent: Some(agent(7)), reason: String::new() }),
        ("", person(), Command::Guide { text: "mind the gap".into() }),
        ("", person(), Command::Signal { name: "go".into(), payload: json!(1) }),
        (
            "",
            person(),
            Command::Vote {
                review: None,
                judge: "ann".into(),
                vote: VoteWord::Approve,
                confidence: None,
                reason: "so".into(),
                opinion: Box::default(),
            },
        ),
        ("", person(), Command::Confirm { step: "1".into(), judgement: yes }),
        ("", person(), Command::Approve(Box::new(word_on("1", true)))),
        ("", doer(), effect(world)),
        ("", person(), Command::SettleEffect { effect: effects, holder: None, outcome: EffectOutcome::Done }),
        (
            " dependency ended",
            Actor::settle(),
            letter(Letter::DependencyEnded { dependency: other(1), status: Status::Completed }),
        ),
        (" parent ended", Actor::settle(), letter(Letter::ParentEnded { parent: other(9) })),
        ("", person(), Command::Archive),
        ("", person(), Command::Erase),
        ("", person(), Command::Note { text: "well".into() }),
    ]
}

/// The table knows every command; a new one does not compile until it is here.
fn is_known(command: &Command) -> bool {
    match command {
        Command::Submit(_)
        | Command::Propose(_)
        | Command::AcceptPlan
        | Command::Claim(_)
        | Command::Start { .. }
        | Command::Report { .. }
        | Command::LeaseLapsed { .. }
        | Command::Wake
        | Command::Pause { .. }
        | Command::Resume { .. }
        | Command::Cancel { .. }
        | Command::Modify(_)
        | Command::Escalate { .. }
        | Command::Decide(_)
        | Command::Override { .. }
        | Command::Reassign { .. }
        | Command::Guide { .. }
        | Command::Signal { .. }
        | Command::Vote { .. }
        | Command::Confirm { .. }
        | Command::Approve(_)
        | Command::Effect(_)
        | Command::SettleEffect { .. }
        | Command::Take { .. }
        | Command::Archive
        | Command::Erase
        | Command::Note { .. } => true,
    }
}
const COMMANDS: usize = 27;

/// What becomes of a command, in one line.
fn line(world: &mut World, actor: &Actor, command: Command) -> String {
    let answer = world.by(actor, command);
    let events = world.events().join(", ");
    match answer {
        Err(refusal) if events.is_empty() => format!("refused {}: {refusal}", refusal.code()),
        Err(refusal) => format!("refused {}: {refusal}; events {events} -> {}", refusal.code(), world.status()),
        Ok(_) if events.is_empty() => "nothing happens".into(),
        Ok(Answer::Done | Answer::Work(_) | Answer::Effect(_) | Answer::Review(_)) => {
            format!("events {events} -> {}", world.status())
        }
    }
}

#[test]
fn every_status_against_every_command_is_as_written() {
    let mut table = String::from(
        "# Every status against every command: where the task is · what is asked · what becomes of it.\n\
         # Written by the test of task/tests/table.rs; EPHOR_BLESS=1 writes it anew.\n",
    );
    let (mut statuses, mut words) = (BTreeSet::new(), BTreeSet::new());
    for (place, life) in PLACES {
        table.push('\n');
        for n in 0..asked(&life()).len() {
            let mut world = life();
            if world.task.version > 0 {
                let word = world.status().word().to_lowercase();
                assert!(place.starts_with(&word), "{place} is {word}");
                statuses.insert(world.status());
            }
            let (variant, actor, command) = asked(&world).swap_remove(n);
            assert!(is_known(&command));
            let word = command.word();
            words.insert(word);
            let line = line(&mut world, &actor, command);
            writeln!(table, "{place} · {word}{variant} · {line}").unwrap();
        }
    }
    assert_eq!((statuses.len(), words.len()), (Status::ALL.len(), COMMANDS));

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/transitions.txt");
    if std::env::var_os("EPHOR_BLESS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    for (now, then) in table.lines().zip(written.lines()) {
        assert_eq!(now, then, "the rules have changed; EPHOR_BLESS=1 writes transitions.txt anew, then read the difference");
    }
    assert_eq!(table.lines().count(), written.lines().count(), "EPHOR_BLESS=1 writes transitions.txt anew");
}
