//! Work that waits too long for an agent, and work that is taken from one.

use super::world::*;
use crate::command::{Command, Refusal};
use crate::event::{Actor, EndReason, Event, Letter, ReassignCause};
use crate::policy::{OnAgentLost, StallStrategy};
use crate::spec::Priority;
use crate::status::{BlockReason, Status, StepStatus};
use crate::time::WireDuration;
use crate::work::{Outcome, Success, WorkItem, WorkKey};
use serde_json::{Value, json};

fn house(strategy: StallStrategy) -> World {
    let mut world = World::new();
    (world.policy.stall_watch, world.policy.stall_strategy) = (true, strategy);
    world
}

fn stalls(strategy: StallStrategy, request: Value) -> World {
    let mut world = house(strategy);
    world.submit(request);
    world
}

/// Claims without beginning.
fn takes(world: &mut World, n: u8) -> WorkItem {
    let claim = world.wish(n, &["work"], false);
    match world.by(&Actor::agent(agent(n)), Command::Claim(claim)).unwrap() {
        crate::command::Answer::Work(item) => *item,
        other => panic!("{other:?}"),
    }
}

fn lapse(world: &mut World, item: &WorkItem) {
    let (work, attempt) = (item.work.clone(), item.attempt);
    world.by(&Actor::settle(), Command::LeaseLapsed { work, attempt, counter: 0 }).unwrap();
}

fn reassign(world: &mut World, to: Option<u8>) -> Result<crate::command::Answer, Refusal> {
    world.ann(Command::Reassign { agent: to.map(agent), reason: "somebody else".into() })
}

/// What happened while time passed.
fn seen(world: &mut World, duration: &str) -> Vec<&'static str> {
    let before = world.task.version;
    world.pass(duration);
    match world.task.version == before {
        true => Vec::new(),
        false => world.events(),
    }
}

#[test]
fn what_a_hold_or_a_full_limit_keeps_back_misses_no_agent_and_is_counted_anew() {
    let mut world = stalls(StallStrategy::Escalate, json!({"title": "x"}));
    world.held_back = true;
    assert_eq!(seen(&mut world, "61m"), ["STALL_PUT_OFF"]);
    assert!(seen(&mut world, "30m").is_empty());
    world.held_back = false;
    assert_eq!(seen(&mut world, "31m"), ["STALL_ESCALATED"]);
}

#[test]
fn work_stalls_when_it_has_waited_strictly_longer_than_the_limit() {
    let mut world = stalls(StallStrategy::MarkStalled, json!({"title": "x"}));
    assert!(seen(&mut world, "1h").is_empty());
    assert_eq!((seen(&mut world, "1ms"), world.status()), (vec!["STALLED"], Status::Stalled));
}

#[test]
fn a_stall_is_noted_once_and_again_only_when_it_waits_anew() {
    let mut world = stalls(
        StallStrategy::LogOnly,
        json!({"title": "x", "plan": {"steps": [
        {"id": "a", "action": "work"}, {"id": "b", "action": "work", "needs": ["a"]}]}}),
    );
    assert_eq!((seen(&mut world, "61m"), world.status()), (vec!["STALL_NOTED"], Status::Scheduled));
    assert!(seen(&mut world, "100h").is_empty(), "once for each stall");
    let item = world.claim(1, "work");
    assert!(seen(&mut world, "61m").is_empty(), "somebody works on it");
    world.succeed(&item);
    assert_eq!((seen(&mut world, "61m"), world.status()), (vec!["STALL_NOTED"], Status::InProgress));
}

#[test]
fn a_stalled_task_goes_on_with_the_agent_that_comes() {
    let mut world = stalls(StallStrategy::MarkStalled, json!({"title": "x"}));
    world.pass("2h");
    assert_eq!(world.task.waiting()[0].reason, "STALLED");
    let item = world.claim(1, "work");
    assert_eq!((world.events(), world.status()), (vec!["UNSTALLED", "ASSIGNED"], Status::InProgress));
    world.succeed(&item);
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn what_waits_for_anything_else_than_an_agent_never_stalls() {
    let steps = |steps: Value| json!({"title": "x", "plan": {"steps": steps}});
    let gate = json!([{"action": "work", "gates": [{"kind": "MANUAL_REVIEW"}]}]);
    for strategy in [StallStrategy::LogOnly, StallStrategy::MarkStalled, StallStrategy::Reassign, StallStrategy::Escalate] {
        let quiet = |mut world: World, what: &str| {
            let seen = seen(&mut world, "90h");
            assert!(!seen.iter().any(|event| event.starts_with("STALL") || *event == "REASSIGNED"), "{what}: {seen:?}");
            assert_ne!(world.status(), Status::Stalled, "{what}");
        };
        let of = |request: Value| stalls(strategy, request);
        quiet(of(json!({"title": "x", "due_at": START.plus(ms("100h")).to_string()})), "a time to come");
        quiet(of(json!({"title": "x", "depends_on": [other(1)]})), "another task");
        quiet(of(steps(json!([{"action": "wait.signal", "params": {"name": "go"}}]))), "a signal");
        quiet(of(steps(json!([{"action": "wait.for", "params": {"duration": "95h"}}]))), "a time");
        quiet(of(json!({"title": "x", "plan": {"steps": [{"action": "work"}], "confidence": 0.1}})), "a person and a plan");
        let mut world = house(strategy);
        world.judges = judges(&["ann", "bob"]);
        world.policy.review_wait = WireDuration { ms: ms("100d") };
        world.submit(json!({"title": "x", "risk": "HIGH"}));
        quiet(world, "the council");
        let mut world = of(json!({"title": "x"}));
        world.pass("59m");
        world.pause();
        quiet(world, "a hold");
        let mut world = of(json!({"title": "x"}));
        world.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
        quiet(world, "a decision");
        let mut world = house(strategy);
        world.policy.review_wait = WireDuration { ms: ms("100d") };
        world.submit(steps(gate.clone()));
        world.work_off("work");
        quiet(world, "a person and a result");
        let mut world = of(steps(json!([{"action": "work", "timeout": "200h",
            "retry_policy": {"initial": "95h", "max": "95h", "jitter": 0}}])));
        let item = world.claim(1, "work");
        world.fail(&item);
        quiet(world, "its next attempt");
        let mut world = of(steps(json!([{"action": "work", "timeout": "200h"}])));
        world.claim(1, "work");
        quiet(world, "an agent at work");
    }
}

#[test]
fn time_behind_a_hold_does_not_count() {
    let mut world = stalls(StallStrategy::MarkStalled, json!({"title": "x"}));
    world.pass("59m");
    world.pause();
    world.pass("10h");
    world.resume();
    assert!(seen(&mut world, "59m").is_empty());
    assert_eq!(seen(&mut world, "2m"), ["STALLED"]);
}

#[test]
fn work_that_is_kept_for_an_agent_goes_to_anybody_when_that_one_does_not_come() {
    let mut world = stalls(
        StallStrategy::Reassign,
        json!({"title": "x", "agent": agent(1), "plan": {"steps": [
        {"id": "a", "action": "work"}, {"id": "b", "action": "work", "needs": ["a"]},
        {"id": "own", "action": "work", "needs": ["a"], "agent": agent(3)}]}}),
    );
    assert!(world.try_claim(2, &["work"]).is_err());
    assert_eq!(seen(&mut world, "61m"), ["REASSIGNED"]);
    for step in ["a", "b"] {
        let item = world.claim(2, "work");
        world.succeed(&item);
        assert_eq!(world.step(step), StepStatus::Completed, "anybody gets what was kept for that agent");
    }
    assert!(world.try_claim(2, &["work"]).is_err(), "what is kept for another stays with it, as long as that is not too long");
    assert_eq!(seen(&mut world, "61m"), ["REASSIGNED"]);
    world.work_off("work");
    assert_eq!((world.status(), world.task.view().agent), (Status::Completed, None));
}

#[test]
fn work_that_was_claimed_and_never_begun_goes_to_others_and_the_first_hears_that_it_is_late() {
    let mut world = stalls(StallStrategy::Reassign, json!({"title": "x"}));
    let item = takes(&mut world, 1);
    assert_eq!((seen(&mut world, "61m"), world.status()), (vec!["REASSIGNED"], Status::Scheduled));
    let Event::Reassigned(what) = world.made("REASSIGNED") else { panic!() };
    assert_eq!((what.cause, what.steps.len()), (ReassignCause::Stalled, 1));
    let late = world.by(&Actor::agent(agent(1)), Command::Start { work: item.work.clone(), attempt: item.attempt });
    assert_eq!(late.unwrap_err().code(), "STALE_ATTEMPT");
    let again = world.claim(2, "work");
    assert!(again.attempt > item.attempt);
    assert_eq!(world.report(&item, Outcome::Succeeded(Success::default())).unwrap_err().code(), "STALE_ATTEMPT");
    assert_eq!((world.events(), world.status()), (vec!["LATE_REPORT_KEPT"], Status::InProgress));
    world.succeed(&again);
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn what_is_anybodys_already_is_only_noted() {
    let mut world = stalls(StallStrategy::Reassign, json!({"title": "x"}));
    assert_eq!(seen(&mut world, "61m"), ["STALL_NOTED"]);
}

#[test]
fn an_investigation_is_born_once_for_each_stall_and_none_for_an_investigation() {
    let mut world = stalls(StallStrategy::Escalate, json!({"title": "x", "namespace": "billing"}));
    world.pass("61m");
    assert_eq!((world.events(), world.status()), (vec!["STALL_ESCALATED"], Status::Scheduled));
    let Event::StallEscalated { task } = *world.made("STALL_ESCALATED") else { panic!() };
    let births: Vec<_> = world.births().into_iter().cloned().collect();
    let [birth] = births.as_slice() else { panic!("{births:?}") };
    let (facts, text) = (&birth.submission.facts, &birth.submission.text);
    assert_eq!((birth.id, facts.related, &*facts.namespace), (task, Some(world.task.id), "billing"));
    assert_eq!((facts.priority, facts.parent.is_none()), (Priority::High, true));
    assert_eq!(text.description, format!("Investigate stalled task: {}", world.task.id));
    assert_eq!(text.tags, ["escalation", "stalled_task"]);
    let name = facts.external_id.as_deref().unwrap();
    let digits = name.strip_prefix(&format!("escalation_{}_", world.task.id)).unwrap();
    assert!(digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
    let mut other = World::born(birth.clone());
    assert!(seen(&mut world, "100h").is_empty(), "once");
    // Another stall is another cause.
    let item = world.claim(1, "work");
    lapse(&mut world, &item);
    assert_eq!(seen(&mut world, "62m"), ["STALL_ESCALATED"]);
    assert_ne!(world.births()[0].submission.facts.external_id.as_deref(), Some(name));
    other.policy.stall_strategy = StallStrategy::Escalate;
    assert_eq!(seen(&mut other, "61m"), ["STALL_NOTED"]);
    assert_eq!(other.task.view().related_task_id, Some(world.task.id));
}

#[test]
fn an_investigation_ends_when_the_task_it_looks_into_goes_on_or_ends() {
    for ends in [false, true] {
        let mut world = stalls(StallStrategy::Escalate, json!({"title": "x"}));
        world.pass("61m");
        let birth = world.births()[0].clone();
        let mut investigation = World::born(birth.clone());
        let told = |world: &World| {
            world.mail().into_iter().filter(|(to, _)| *to == birth.id).map(|(_, letter)| letter).collect::<Vec<_>>()
        };
        assert!(told(&world).is_empty());
        if ends {
            world.ann(crate::command::Command::Cancel { reason: "no longer needed".into(), force: true }).unwrap();
        } else {
            world.claim(1, "work");
        }
        let letters = told(&world);
        assert_eq!(letters, [Letter::GoesOn { task: world.task.id }]);
        // Who is about another task does not listen.
        let mut other = stalls(StallStrategy::LogOnly, json!({"title": "y"}));
        other.take(letters[0].clone());
        assert_eq!(other.status(), Status::Scheduled);
        investigation.take(letters[0].clone());
        assert_eq!(
            (investigation.status(), investigation.task.end().unwrap().reason),
            (Status::Cancelled, Some(EndReason::Settled))
        );
        // Told once: what happens later is no news to it.
        if !ends {
            let item = world.task.live_leases().remove(0);
            let item = world.task.held_work(&item.work).unwrap();
            world.succeed(&item);
            assert!(told(&world).is_empty());
        }
    }
}

#[test]
fn nobody_looks_where_nothing_is_to_be_watched() {
    let mut world = house(StallStrategy::MarkStalled);
    world.policy.stall_watch = false;
    world.submit(json!({"title": "x"}));
    assert!(seen(&mut world, "1000h").is_empty());
    assert_eq!(world.task.wake_at(), None);
}

/// A task whose agent fell silent, and that waits for a person's word.
fn offline(after: Option<&str>) -> (World, WorkItem) {
    let mut world = World::new();
    world.policy.on_agent_lost = OnAgentLost::Block;
    world.policy.reassign_after = after.map(|time| WireDuration { ms: ms(time) });
    world.submit(json!({"title": "x", "agent": agent(1)}));
    let item = world.claim(1, "work");
    lapse(&mut world, &item);
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::AgentOffline)));
    (world, item)
}

#[test]
fn the_work_of_a_silent_agent_is_reassigned_by_command() {
    let (mut world, item) = offline(None);
    let waiting = world.task.waiting().remove(0);
    let since = format!("its agent fell silent: {} was given up at {}", agent(1), world.now);
    assert_eq!(waiting.what, since, "who, and since when");
    assert_eq!((waiting.reason.as_str(), waiting.act), ("AGENT_OFFLINE", Some(format!("ephor task reassign {}", world.task.id))));
    assert!(seen(&mut world, "1000h").is_empty(), "it waits for a word");
    reassign(&mut world, None).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["REASSIGNED"], Status::InProgress));
    let again = world.claim(2, "work");
    // The word of the one who was silent is kept, and changes nothing.
    assert_eq!(world.report(&item, Outcome::Succeeded(Success::default())).unwrap_err().code(), "STALE_ATTEMPT");
    assert_eq!((world.events(), world.step("1")), (vec!["LATE_REPORT_KEPT"], StepStatus::Running));
    world.succeed(&again);
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn or_to_one_alone() {
    let (mut world, _) = offline(None);
    reassign(&mut world, Some(2)).unwrap();
    assert!(world.try_claim(3, &["work"]).is_err());
    let item = world.claim(2, "work");
    assert_eq!(reassign(&mut world, Some(2)).map(|_| world.events()), Ok(vec!["REASSIGNED"]), "it may begin again");
    assert_eq!(world.report(&item, Outcome::Succeeded(Success::default())).unwrap_err().code(), "STALE_ATTEMPT");
    let refused = reassign(&mut world, Some(2)).unwrap_err();
    assert!(refused.to_string().contains("already"), "{refused}");
}

#[test]
fn or_by_the_house_once_it_has_waited_long_enough() {
    let (mut world, item) = offline(Some("10m"));
    assert_eq!(world.task.waiting()[0].until.map(|at| at.0), world.task.wake_at());
    assert!(seen(&mut world, "9m").is_empty());
    assert_eq!((seen(&mut world, "1m"), world.status()), (vec!["REASSIGNED"], Status::InProgress));
    let Event::Reassigned(what) = world.made("REASSIGNED") else { panic!() };
    assert_eq!((what.cause, what.agents.as_slice()), (ReassignCause::AgentOffline, &[agent(1)][..]));
    assert_eq!(world.report(&item, Outcome::Succeeded(Success::default())).unwrap_err().code(), "STALE_ATTEMPT");
    world.work_off("work");
    assert_eq!(world.status(), Status::Completed);
    // Whoever was quicker leaves nothing to be done.
    let (mut world, _) = offline(Some("10m"));
    world.resume();
    assert!(seen(&mut world, "50m").is_empty());
    let (mut world, _) = offline(Some("10m"));
    world.pause();
    assert!(seen(&mut world, "50m").is_empty(), "not behind a hold");
    world.resume();
    assert_eq!(world.events(), ["RESUMED", "REASSIGNED"]);
}

#[test]
fn work_that_runs_may_be_taken_too_and_what_it_did_outside_is_asked_after() {
    let mut world = given_steps(json!([{"action": "work", "on_unknown": "ask"}]));
    let item = world.claim(1, "work");
    let (work, attempt) = (item.work.clone(), item.attempt);
    let wish = crate::work::EffectRequest {
        task_id: world.task.id,
        work: work.clone(),
        attempt,
        action: "email.send".into(),
        args_digest: "0".repeat(64),
    };
    world.by(&Actor::agent(agent(1)), Command::Effect(wish)).unwrap();
    reassign(&mut world, None).unwrap();
    assert_eq!(world.events(), ["REASSIGNED", "EFFECT_SETTLED"]);
    assert!(!world.task.holds(&work, attempt));
    assert_eq!(world.task.block_reason(), Some(BlockReason::HumanReview), "nobody knows what became of it");
}

#[test]
fn there_has_to_be_something_to_take_and_agents_take_nothing() {
    let mut world = given(json!({"title": "x"}));
    assert!(reassign(&mut world, None).unwrap_err().to_string().contains("nothing of it is with an agent"));
    let taken = world.by(&Actor::agent(agent(1)), Command::Reassign { agent: None, reason: String::new() });
    assert_eq!(taken.unwrap_err().code(), "FORBIDDEN");
    reassign(&mut world, Some(2)).unwrap();
    assert!(world.try_claim(1, &["work"]).is_err());
    let item = world.claim(2, "work");
    world.succeed(&item);
    assert_eq!(reassign(&mut world, None).unwrap_err().code(), "TERMINAL_STATE");
}

#[test]
fn a_dependency_that_ends_begins_the_count() {
    let mut world = stalls(StallStrategy::MarkStalled, json!({"title": "x", "depends_on": [other(1)]}));
    world.pass("50h");
    world.take(Letter::DependencyEnded { dependency: other(1), status: Status::Completed });
    assert_eq!(world.status(), Status::Scheduled);
    assert!(seen(&mut world, "1h").is_empty());
    assert_eq!(seen(&mut world, "1m"), ["STALLED"]);
    assert_eq!(world.task.lease(&WorkKey::Step("1".into())), None);
}
