//! What people are told: why a task is where it is, what went wrong, when it is expected to be done, what else was done outside.

use super::world::*;
use crate::command::{Changes, Command, Decision};
use crate::event::{Actor, DecisionWord, EndReason, TextChanges};
use crate::spec::{Autonomy, ErrorClass, ExecutionMode};
use crate::status::{BlockReason, Status};
use crate::task::Usual;
use crate::time::Time;
use crate::work::{EffectOutcome, EffectRequest, Failure, Outcome, Success, Unguarded, WorkItem};
use serde_json::{Value, json};

fn waits(world: &World, reason: &str) -> String {
    let all = world.task.waiting();
    all.iter().find(|w| w.reason == reason).unwrap_or_else(|| panic!("{reason} is not among {all:?}")).what.clone()
}

fn pause(world: &mut World, reason: &str) {
    world.ann(Command::Pause { reason: reason.into(), stop_running: false }).unwrap();
}

#[test]
fn a_hold_hides_no_reason_of_the_escalation_and_leaves_none_behind() {
    let mut world = given(json!({"title": "x"}));
    world.ann(Command::Escalate { priority: None, reason: "the bill is wrong".into() }).unwrap();
    pause(&mut world, "lunch");
    assert_eq!(world.task.view().reason.as_deref(), Some("lunch"));
    assert!(waits(&world, "PAUSED").ends_with(": lunch"));
    let owed = "the council or a person owes a decision (somebody asked for it): the bill is wrong";
    assert_eq!(waits(&world, "ESCALATED"), owed);
    world.resume();
    assert_eq!(waits(&world, "ESCALATED"), owed);
    assert_eq!(world.task.view().reason.as_deref(), Some("the bill is wrong"));
}

#[test]
fn a_second_escalation_does_not_speak_with_the_first_ones_words() {
    let mut world = given(json!({"title": "x"}));
    world.ann(Command::Escalate { priority: None, reason: "the bill is wrong".into() }).unwrap();
    let text = TextChanges { description: Some("less".into()), ..TextChanges::default() };
    world.ann(Command::Decide(Box::new(Decision { word: DecisionWord::ModifyScope, text, council: false }))).unwrap();
    world.ann(Command::Escalate { priority: None, reason: "so is the next".into() }).unwrap();
    assert_eq!(waits(&world, "ESCALATED"), "the council or a person owes a decision (somebody asked for it): so is the next");
}

#[test]
fn every_end_says_why_and_a_reason_of_before_is_not_taken_for_it() {
    let mut late = given(json!({"title": "x", "queue_timeout": "10s"}));
    pause(&mut late, "lunch");
    late.resume();
    late.pass("11s");
    let view = late.task.view();
    let error = view.last_error.unwrap();
    assert_eq!(
        (view.end_reason, view.reason.as_deref()),
        (Some(EndReason::QueueTimeout), Some("no agent came for its work in time"))
    );
    assert_eq!((error.step, error.class, error.recoverable), (None, ErrorClass::MissingCapability, true));
    assert_eq!((error.message.as_str(), error.at), ("no agent came for its work in time", view.ended_at));

    let mut withdrawn = given(json!({"title": "x"}));
    withdrawn.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
    withdrawn.ann(Command::Cancel { reason: String::new(), force: true }).unwrap();
    let view = withdrawn.task.view();
    assert_eq!((view.reason.as_deref(), view.last_error), (Some("somebody withdrew it"), None));
}

#[test]
fn why_it_was_cancelled_is_known_after_its_agents_have_ended() {
    let mut world = given(json!({"title": "x", "action": "a"}));
    let item = world.claim(1, "a");
    world.ann(Command::Cancel { reason: "no longer wanted".into(), force: false }).unwrap();
    world.report(&item, Outcome::Cancelled).unwrap();
    assert_eq!((world.status(), world.task.view().reason.as_deref()), (Status::Cancelled, Some("no longer wanted")));
}

#[test]
fn an_error_says_where_when_with_whom_and_of_which_kind() {
    let mut world = given(json!({"title": "x", "action": "a"}));
    let item = world.claim(1, "a");
    world.report(&item, Outcome::Failed(Failure::new(ErrorClass::RateLimit, "later"))).unwrap();
    let error = world.task.view().last_error.unwrap();
    assert_eq!((error.step.as_deref(), error.message.as_str(), error.class), (Some("1"), "later", ErrorClass::RateLimit));
    assert_eq!((error.attempt, error.agent, error.at.map(|at| at.0)), (Some(1), Some(agent(1)), Some(world.now)));
    assert!(error.recoverable);
}

#[test]
fn a_gate_that_says_no_is_told_as_that() {
    let gates = json!([{"kind": "FUNCTIONAL_TEST"}]);
    let mut world = given_steps(json!([{"action": "a", "gates": gates, "retry_policy": {"max_attempts": 1}}]));
    let item = world.claim(1, "a");
    let evidence = vec![judgement(json!({"kind": "FUNCTIONAL_TEST", "passed": false}))];
    world.report(&item, Outcome::Succeeded(Success { evidence, ..Success::default() })).unwrap();
    let error = world.task.view().last_error.unwrap();
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::GateFailed, "FUNCTIONAL_TEST: it did not pass"));
}

#[test]
fn what_failed_or_was_called_off_is_no_progress() {
    let mut failed = given(json!({"title": "x", "max_retries": 0}));
    let item = failed.claim(1, "work");
    failed.fail_for_good(&item);
    assert_eq!((failed.status(), failed.task.view().progress), (Status::Failed, 0.0));
    let mut cancelled = given_steps(json!([{"action": "a"}, {"action": "b"}]));
    cancelled.work_off("a");
    cancelled.cancel(true).unwrap();
    assert_eq!((cancelled.status(), cancelled.task.view().progress), (Status::Cancelled, 0.5));
}

#[test]
fn what_waits_for_an_approval_alone_is_not_said_to_wait_for_its_time() {
    let due = |request: Value| {
        let mut world = World::new();
        world.judges = judges(&["bob", "cid"]);
        world.submit(request);
        assert_eq!(world.status(), Status::Deliberating);
        world.task.waiting().iter().any(|w| w.reason == "DUE")
    };
    assert!(!due(json!({"title": "x", "risk": "HIGH"})));
    assert!(due(json!({"title": "x", "risk": "HIGH", "due_at": "2100-01-01T00:00:00Z"})));
}

#[test]
fn who_could_do_it_is_named_as_what_can_be_done() {
    let act = |request: Value| given(request).task.waiting()[0].act.clone().unwrap();
    assert_eq!(act(json!({"title": "x", "action": "shell.run"})), "ephor agent run --capability shell.run");
    assert_eq!(act(json!({"title": "x"})), "ephor agent register --name NAME --capabilities work --key");
    assert!(waits(&given(json!({"title": "x"})), "NO_AGENT").contains("docs/agents.md"));
}

#[test]
fn a_step_is_shown_with_all_that_its_agent_is_told() {
    let step = json!({"title": "t", "description": "more words", "action": "a", "model": "m/1", "timeout": "7s",
                      "resources": {"memory_mb": 64, "cpu_cores": 2}});
    let mut world = given_steps(json!([step.clone(), {"action": "b", "resources": {"memory_mb": 32}}]));
    let shown = world.task.step_view_of("1").unwrap();
    let planned = world.task.plan_view();
    for (description, model, timeout, resources) in [
        (&shown.description, &shown.model, shown.timeout, &shown.resources),
        (&planned.steps[0].description, &planned.steps[0].model, planned.steps[0].timeout, &planned.steps[0].resources),
    ] {
        assert_eq!((description.as_str(), model.as_deref(), timeout.map(|t| t.ms)), ("more words", Some("m/1"), Some(7_000)));
        assert_eq!(resources["memory_mb"], json!(64));
    }
    let memory = planned.resource_requirements["memory_mb"];
    assert_eq!((memory.total, memory.at_once, memory.largest), (96, 96, 64));
    assert_eq!(world.claim(1, "a").model.as_deref(), Some("m/1"));
}

#[test]
fn a_plan_has_an_id_for_each_of_its_versions_and_a_task_says_who_holds_it() {
    let mut world = given(json!({"title": "x", "action": "a"}));
    let first = world.task.view().execution_plan_id.unwrap();
    assert_eq!(world.task.plan_view().execution_plan_id, Some(first));
    world.propose(json!({"steps": [{"action": "b"}]})).unwrap();
    assert_ne!(world.task.view().execution_plan_id.unwrap(), first);
    assert_eq!(world.task.view().claimed_by, None);
    world.claim(3, "b");
    assert_eq!(world.task.view().claimed_by, Some(agent(3)));
}

#[test]
fn liquidated_it_goes_nowhere_else_before_it_stops() {
    let mut world = given(json!({"title": "x"}));
    world.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
    let text = TextChanges { reason: "nobody needs it".into(), ..TextChanges::default() };
    let decision = Decision { word: DecisionWord::Liquidate, text, council: false };
    world.ann(Command::Decide(Box::new(decision))).unwrap();
    let moves: Vec<_> = world.done.moves.iter().map(|m| (m.before, m.after)).collect();
    assert_eq!(moves, [(Status::Escalated, Status::Escalated), (Status::Escalated, Status::Stopped)]);
    assert_eq!(world.task.view().reason.as_deref(), Some("nobody needs it"));
}

fn mode(world: &mut World, mode: ExecutionMode) -> Autonomy {
    let changes = Changes { mode: Some(mode), ..Changes::default() };
    world.ann(Command::Modify(Box::new(changes))).unwrap();
    world.task.facts.autonomy
}

#[test]
fn the_autonomy_follows_the_mode_unless_somebody_set_it() {
    let mut derived = given(json!({"title": "x"}));
    assert_eq!(mode(&mut derived, ExecutionMode::DryRun), Autonomy::Suggestion);
    assert_eq!(mode(&mut derived, ExecutionMode::Strict), Autonomy::Assisted);
    assert_eq!(mode(&mut derived, ExecutionMode::Auto), Autonomy::Autonomous);
    let mut set = given(json!({"title": "x", "autonomy": "AUTONOMOUS"}));
    assert_eq!(mode(&mut set, ExecutionMode::DryRun), Autonomy::Autonomous);
}

#[test]
fn the_word_for_coming_once_is_no_kind_of_work() {
    let once = given(json!({"title": "x", "task_type": "one-time", "recurrence": "ONE_TIME"})).task.view();
    assert_eq!((once.task_type.as_str(), json!(once.recurrence_kind)), ("general", json!("ONE_TIME")));
    let often = given(json!({"title": "x", "task_type": "RECURRING", "recurrence": {"every": "1h"}})).task.view();
    assert_eq!((often.task_type.as_str(), json!(often.recurrence_kind)), ("general", json!("RECURRING")));
    for (request, field) in [
        (json!({"title": "x", "task_type": "RECURRING"}), "recurrence"),
        (json!({"title": "x", "task_type": "ONE_TIME", "recurrence": {"every": "1h"}}), "task_type"),
    ] {
        let request = serde_json::from_value(request).unwrap();
        let problems = crate::request::check(&request, Time(0), &Default::default()).unwrap_err();
        assert_eq!(problems.iter().map(|p| p.field.as_str()).collect::<Vec<_>>(), [field]);
    }
}

#[test]
fn what_a_house_does_otherwise_for_a_type_counts_where_the_task_says_nothing() {
    let policy: crate::policy::Policy = serde_json::from_value(json!({"by_type": {"invoice": {
        "max_retries": 1, "retry_policy": {"max_attempts": 9}, "stall_after": "7s", "on_agent_lost": "block"}}}))
    .unwrap();
    let facts = |request: Value| {
        let request = serde_json::from_value(request).unwrap();
        crate::request::check(&request, Time(0), &policy).unwrap().facts
    };
    let own = facts(json!({"title": "x", "task_type": "invoice"}));
    assert_eq!((own.max_retries, own.retry.unwrap().max_attempts, own.stall_ms), (1, 9, Some(7_000)));
    assert!(own.on_agent_lost.is_some());
    let said = facts(json!({"title": "x", "task_type": "invoice", "max_retries": 3, "retry_policy": {"max_attempts": 2}}));
    assert_eq!((said.max_retries, said.retry.unwrap().max_attempts), (3, 2));
    let other = facts(json!({"title": "x"}));
    assert_eq!((other.max_retries, other.retry, other.on_agent_lost), (5, None, None));
}

#[test]
fn a_stalled_task_is_dealt_with_as_its_type_is() {
    let mut world = World::new();
    world.policy =
        serde_json::from_value(json!({"by_type": {"invoice": {"stall_after": "7s", "stall_strategy": "mark_stalled"}}})).unwrap();
    world.submit(json!({"title": "x", "task_type": "invoice"}));
    world.pass("8s");
    assert_eq!(world.status(), Status::Stalled);
    world = World::new();
    world.submit(json!({"title": "x"}));
    world.pass("2h");
    assert_eq!(world.status(), Status::Scheduled);
}

fn usual(action: &str) -> Option<Usual> {
    (action == "b").then_some(Usual { median_ms: 5_000, p95_ms: Some(9_000) })
}

fn done_in(world: &World) -> Option<u64> {
    world.task.forecast(world.now, &usual).completion.map(|at| at.since(world.now))
}

#[test]
fn it_is_expected_to_be_done_when_the_longest_way_that_is_left_is() {
    let steps = json!([
        {"id": "a", "action": "a", "estimate": "4s"},
        {"id": "b", "action": "b", "needs": ["a"]},
        {"id": "c", "action": "c", "estimate": "7s", "needs": ["a"]},
        {"id": "w", "action": "wait.for", "params": {"duration": "2s"}, "needs": ["b", "c"]},
    ]);
    let mut world = given_steps(steps);
    assert_eq!(done_in(&world), Some(4_000 + 7_000 + 2_000));
    let item = world.claim(1, "a");
    world.pass("3s");
    assert_eq!(done_in(&world), Some(1_000 + 7_000 + 2_000), "of what runs only the rest counts");
    let step = |world: &World, path: &str| world.task.forecast(world.now, &usual).steps.get(path).map(|at| at.since(world.now));
    assert_eq!((step(&world, "1"), step(&world, "2")), (Some(1_000), Some(6_000)));
    world.pass("2s");
    assert_eq!((done_in(&world), step(&world, "1")), (None, None), "who is late is not expected at once");
    world.succeed(&item);
    assert_eq!(done_in(&world), Some(9_000));
    let item = world.claim(1, "b");
    world.pass("6s");
    assert_eq!(step(&world, "2"), Some(3_000), "later than usual, but not later than 95 of 100");
    world.succeed(&item);
    pause(&mut world, "lunch");
    assert_eq!(done_in(&world), None, "nobody knows when it is resumed");
}

#[test]
fn what_is_not_known_is_not_guessed() {
    for steps in [
        json!([{"action": "a"}]),
        json!([{"action": "b"}, {"action": "wait.signal", "params": {"name": "go"}}]),
        json!([{"action": "b", "gates": [{"kind": "MANUAL_REVIEW"}]}]),
        json!([{"action": "b", "for_each": "task.payload"}]),
    ] {
        assert_eq!(done_in(&given_steps(steps.clone())), None, "{steps}");
    }
    assert_eq!(done_in(&given_steps(json!([{"action": "b"}]))), Some(5_000));
}

fn at_work(acts: bool) -> (World, WorkItem) {
    let mut world = given_steps(json!([{"action": "mail", "acts": acts}]));
    let item = world.claim(1, "mail");
    (world, item)
}

fn unguarded(world: &World) -> Vec<(String, String)> {
    let effects = world.task.effect_views().into_iter().filter(|effect| !effect.guarded);
    effects.map(|effect| (effect.action, effect.description)).collect()
}

#[test]
fn what_an_agent_did_with_credentials_of_its_own_is_among_the_effects() {
    let (mut world, item) = at_work(false);
    let act = |action: &str, description: &str| Unguarded { action: action.into(), description: description.into(), key: None };
    let told = vec![act("email.send", "to ann"), act("email.send", "to bob")];
    world.report(&item, Outcome::Succeeded(Success { unguarded: told, ..Success::default() })).unwrap();
    let mut found = unguarded(&world);
    found.sort();
    assert_eq!(found, [("email.send".into(), "to ann".into()), ("email.send".into(), "to bob".into())]);
    assert_eq!((world.status(), world.task.view().unguarded_effects), (Status::Completed, 2));
}

#[test]
fn an_attempt_that_failed_may_have_acted_as_well() {
    let (mut world, item) = at_work(false);
    let act = Unguarded { action: "email.send".into(), description: "to ann".into(), key: Some("k1".into()) };
    let failure = Failure { unguarded: vec![act], ..Failure::new(ErrorClass::Other, "the line broke") };
    world.report(&item, Outcome::Failed(failure)).unwrap();
    assert_eq!(unguarded(&world), [("email.send".to_owned(), String::new())]);
    let error = world.task.view().last_error.unwrap();
    assert_eq!(error.message, "the line broke; done without asking: email.send (to ann) [k1]");
}

#[test]
fn a_step_that_acts_and_asked_for_nothing_is_marked() {
    let (mut world, item) = at_work(true);
    world.succeed(&item);
    assert_eq!(unguarded(&world), [("mail".to_owned(), String::new())]);
    let (mut world, item) = at_work(false);
    world.succeed(&item);
    assert!(unguarded(&world).is_empty(), "what is not declared to act is not accused");
}

#[test]
fn a_step_that_asked_and_one_that_may_not_act_are_not_marked() {
    let (mut world, item) = at_work(true);
    let wish = EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: "mail".into(),
        args_digest: "0".repeat(64),
    };
    world.by(&Actor::agent(agent(1)), Command::Effect(wish)).unwrap();
    let effect = *world.task.effects().keys().next().unwrap();
    let holder = Some((item.work.clone(), item.attempt));
    let settle = Command::SettleEffect { effect, holder, outcome: EffectOutcome::Done };
    world.by(&Actor::agent(agent(1)), settle).unwrap();
    world.fail(&item);
    world.pass("10s");
    let again = world.claim(1, "mail");
    world.succeed(&again);
    assert!(unguarded(&world).is_empty(), "an earlier attempt had done it under a grant");
    let mut dry =
        given(json!({"title": "x", "execution_mode": "DRY_RUN", "plan": {"steps": [{"action": "mail", "acts": true}]}}));
    dry.work_off("mail");
    assert!(unguarded(&dry).is_empty());
}

#[test]
fn nonsense_about_acts_is_refused_and_the_field_named() {
    let (mut world, item) = at_work(false);
    for told in [
        vec![Unguarded { action: "two words".into(), ..Unguarded::default() }],
        vec![Unguarded { action: "a".into(), ..Unguarded::default() }; 101],
    ] {
        let refusal = world.report(&item, Outcome::Succeeded(Success { unguarded: told, ..Success::default() })).unwrap_err();
        assert!(refusal.to_string().contains("unguarded"), "{refusal}");
    }
    world.succeed(&item);
    assert_eq!((world.status(), world.task.block_reason()), (Status::Completed, None::<BlockReason>));
}
