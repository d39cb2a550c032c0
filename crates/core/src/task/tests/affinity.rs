//! One agent for all the steps of a task, as long as it comes.

use super::world::*;
use crate::command::{Command, Refusal};
use crate::event::Actor;
use crate::status::Status;
use crate::work::WorkKey;
use serde_json::json;

fn three_steps() -> World {
    let steps = json!([{"action": "a"}, {"action": "a"}, {"action": "a", "agent": agent(3)}]);
    given(json!({"title": "x", "affinity": "SESSION", "plan": {"steps": steps}}))
}

#[test]
fn who_gets_the_first_step_gets_the_others_but_not_what_is_for_somebody_else() {
    let mut world = three_steps();
    assert_eq!(world.task.open_keys().unwrap(), format!("a\na@{}\n", agent(3)));
    let first = world.claim(1, "a");
    assert_eq!(world.task.view().session, Some(agent(1)));
    assert_eq!(world.try_claim(2, &["a"]), Err(Refusal::NoWork("nothing this agent can do is open in this task")));
    assert_eq!(world.claim(3, "a").work, WorkKey::Step("3".into()), "it names its agent");
    world.succeed(&first);
    assert!(world.try_claim(2, &["a"]).is_err(), "between two steps as well");
    assert_eq!(world.claim(1, "a").work, WorkKey::Step("2".into()));
}

#[test]
fn whoever_comes_after_an_agent_that_fell_silent_begins_a_session_of_its_own() {
    let mut world = three_steps();
    let first = world.claim(1, "a");
    world.by(&Actor::settle(), Command::LeaseLapsed { work: first.work.clone(), attempt: 1, counter: 0 }).unwrap();
    world.pass("1m");
    let again = world.claim(2, "a");
    assert_eq!((again.work, again.attempt), (first.work, 2));
    assert_eq!(world.task.view().session, Some(agent(2)));
    assert!(world.try_claim(1, &["a"]).is_err());
}

#[test]
fn an_agent_that_does_not_come_for_more_loses_the_others_after_a_while() {
    let mut world = three_steps();
    let first = world.claim(1, "a");
    world.pass("6m");
    assert_eq!(world.task.view().session, Some(agent(1)), "as long as it works it keeps them");
    world.succeed(&first);
    world.pass("4m");
    assert!(world.try_claim(2, &["a"]).is_err());
    let why = world.task.waiting();
    assert!(why.iter().any(|w| w.reason == "NO_AGENT" && w.what.contains(&agent(1).to_string())), "{why:#?}");
    world.pass("1m");
    assert_eq!(world.events(), ["SESSION_ENDED"]);
    assert_eq!(world.claim(2, "a").work, WorkKey::Step("2".into()));
}

#[test]
fn a_step_goes_to_an_agent_that_has_its_model_and_as_much_as_it_needs() {
    let step = json!({"action": "a", "model": "large", "resources": {"memory_mb": 1024, "seconds": 9}});
    let mut world = given_steps(json!([step]));
    assert_eq!(world.task.open_keys().unwrap(), "a%memory_mb=1024#large\n");
    let mut try_with = |models: &[&str], memory: u64| {
        let wish = world.wish(1, &["a"], true);
        let able = crate::matching::Able {
            models: models.iter().map(|m| (*m).into()).collect(),
            resources: [("memory_mb".into(), memory)].into(),
            ..(*wish.able).clone()
        };
        world.by(&Actor::agent(agent(1)), Command::Claim(crate::command::Claim { able: able.into(), ..wish })).is_ok()
    };
    assert!(!try_with(&["small"], 4096));
    assert!(!try_with(&["large"], 512));
    assert!(try_with(&["large", "small"], 1024));
    assert_eq!(world.status(), Status::InProgress);
}

#[test]
fn what_is_shut_is_not_given_and_the_rest_is() {
    let mut world = given_steps(json!([{"action": "a"}, {"action": "b"}]));
    let wish = crate::command::Claim { closed: ["a".into()].into(), ..world.wish(1, &["a", "b"], true) };
    let Ok(crate::command::Answer::Work(item)) = world.by(&Actor::agent(agent(1)), Command::Claim(wish)) else {
        panic!("b is open")
    };
    assert_eq!(item.action, "b");
    let again = crate::command::Claim { closed: ["a".into()].into(), ..world.wish(1, &["a", "b"], true) };
    assert!(world.by(&Actor::agent(agent(1)), Command::Claim(again)).is_err());
}
