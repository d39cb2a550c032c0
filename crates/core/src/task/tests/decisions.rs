//! What becomes of an escalated task: each decision does what it says, whoever decides.

use super::world::*;
use crate::command::{Command, Decision, Refusal};
use crate::event::{Actor, Allocation, DecidedBy, DecisionWord, Event, OverrideWord, TextChanges};
use crate::policy::{HouseDecision, OnEscalation};
use crate::review::{Judge, VoteWord};
use crate::status::Status;
use crate::time::WireDuration;
use serde_json::{Map, Value, json};

/// A task whose one step has failed for good as often as it may.
fn spent(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    change(&mut world);
    let step = json!({"action": "a", "resources": {"memory_mb": 64, "cpu_cores": 2}});
    world.submit(
        json!({"title": "x", "max_retries": 1, "resource_limits": {"memory_mb": 32, "disk_gb": 5}, "plan": {"steps": [step]}}),
    );
    fail_until_escalated(&mut world);
    world
}

fn fail_until_escalated(world: &mut World) {
    for _ in 0..10 {
        if world.status() == Status::Escalated {
            return;
        }
        let item = world.claim(1, "a");
        world.fail_for_good(&item);
        if world.status() != Status::Escalated {
            world.pass("10m");
        }
    }
    panic!("it is {}", world.status());
}

fn memory(mb: u64) -> TextChanges {
    TextChanges { resource_limits: json!({"memory_mb": mb}).as_object().cloned(), ..TextChanges::default() }
}

fn decide(world: &mut World, actor: &Actor, word: DecisionWord, text: TextChanges, council: bool) -> Result<(), Refusal> {
    let text = TextChanges { reason: "so it is".into(), ..text };
    world.by(actor, Command::Decide(Box::new(Decision { word, text, council }))).map(drop)
}

fn resources(world: &mut World) -> Map<String, Value> {
    world.claim(1, "a").resources
}

#[test]
fn a_claim_carries_what_the_step_may_use() {
    let mut world = World::new();
    let step = json!({"action": "a", "resources": {"memory_mb": 64}});
    world.submit(json!({"title": "x", "resource_limits": {"memory_mb": 32, "disk_gb": 5}, "plan": {"steps": [step]}}));
    assert_eq!(Value::Object(resources(&mut world)), json!({"memory_mb": 64, "disk_gb": 5}));
}

#[test]
fn allocated_resources_reach_the_next_claim_above_those_of_the_step_and_everything_is_counted_anew() {
    let mut world = spent(|_| {});
    decide(&mut world, &ann(), DecisionWord::AllocateResources, memory(512), false).unwrap();
    assert_eq!((world.status(), world.task.retries(), world.task.healed().times), (Status::InProgress, 0, 0));
    assert_eq!(Value::Object(resources(&mut world)), json!({"memory_mb": 512, "cpu_cores": 2, "disk_gb": 5}));
}

#[test]
fn allocating_nothing_is_refused() {
    let mut world = spent(|_| {});
    let none = TextChanges { resource_limits: Some(Map::new()), ..TextChanges::default() };
    let refusal = decide(&mut world, &ann(), DecisionWord::AllocateResources, none, false).unwrap_err();
    assert!(refusal.to_string().contains("resource_limits"), "{refusal}");
}

#[test]
fn another_scope_reaches_the_next_claim_and_liquidation_ends_it() {
    let mut world = spent(|_| {});
    let text = TextChanges { description: Some("less".into()), ..TextChanges::default() };
    decide(&mut world, &ann(), DecisionWord::ModifyScope, text, false).unwrap();
    assert_eq!((&*world.task.contents.text.description, world.task.retries()), ("less", 0));
    fail_until_escalated(&mut world);
    decide(&mut world, &ann(), DecisionWord::Liquidate, TextChanges::default(), false).unwrap();
    assert_eq!(world.status(), Status::Stopped);
}

fn council(world: &mut World) {
    world.judges = judges(&["bob", "cid", "dan"]);
}

#[test]
fn the_council_allocates_by_its_votes() {
    let mut world = spent(council);
    decide(&mut world, &ann(), DecisionWord::AllocateResources, memory(256), true).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["REVIEW_OPENED"], Status::Escalated));
    assert!(world.try_claim(1, &["a"]).is_err(), "a proposal is no decision");
    world.vote("bob", VoteWord::Approve).unwrap();
    assert_eq!(world.status(), Status::Escalated);
    world.vote("cid", VoteWord::Approve).unwrap();
    assert_eq!(world.events(), ["VOTE_CAST", "REVIEW_DECIDED", "ESCALATION_DECIDED"]);
    let allocation = Allocation { demands: [("memory_mb".into(), 256)].into(), ..Allocation::default() };
    let decided =
        Event::EscalationDecided { decision: DecisionWord::AllocateResources, by: DecidedBy::Council, allocation, ends: false };
    assert_eq!((world.made("ESCALATION_DECIDED").clone(), world.status()), (decided, Status::InProgress));
    assert_eq!(resources(&mut world)["memory_mb"], json!(256));
}

#[test]
fn the_council_may_end_it_and_a_judge_that_is_an_agent_only_proposes() {
    let id = agent(7).to_string();
    let mut world = spent(|world| {
        council(world);
        world.judges.push(Judge { id: id.as_str().into(), weight: 1, veto: false });
    });
    decide(&mut world, &Actor::agent(agent(7)), DecisionWord::Liquidate, TextChanges::default(), false).unwrap();
    assert_eq!(world.status(), Status::Escalated);
    for judge in ["bob", "cid", "dan"] {
        world.vote(judge, VoteWord::Approve).unwrap();
    }
    assert_eq!(world.events(), ["VOTE_CAST", "REVIEW_DECIDED", "ESCALATION_DECIDED", "STOPPED"]);
    let other = decide(&mut spent(council), &Actor::agent(agent(8)), DecisionWord::Liquidate, TextChanges::default(), false);
    assert_eq!(other.unwrap_err().code(), "FORBIDDEN", "an agent that is no judge does not even propose");
}

#[test]
fn a_no_of_the_council_and_its_silence_leave_the_decision_to_somebody_else() {
    let mut world = spent(council);
    decide(&mut world, &ann(), DecisionWord::Liquidate, TextChanges::default(), true).unwrap();
    world.vote("bob", VoteWord::Reject).unwrap();
    world.vote("cid", VoteWord::Reject).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["VOTE_CAST", "REVIEW_DECIDED"], Status::Escalated));
    decide(&mut world, &ann(), DecisionWord::Liquidate, TextChanges::default(), true).unwrap();
    world.pass("30h");
    assert_eq!(world.status(), Status::Escalated);
    decide(&mut world, &ann(), DecisionWord::AllocateResources, memory(9), false).unwrap();
    assert_eq!(world.status(), Status::InProgress, "what followed the votes has followed");
}

#[test]
fn a_person_who_decides_meanwhile_makes_the_proposal_void() {
    let mut world = spent(council);
    decide(&mut world, &ann(), DecisionWord::Liquidate, TextChanges::default(), true).unwrap();
    assert_eq!(world.overrule(OverrideWord::Approve, None).unwrap_err().code(), "ILLEGAL_TRANSITION");
    decide(&mut world, &ann(), DecisionWord::AllocateResources, memory(9), false).unwrap();
    assert_eq!(world.vote("bob", VoteWord::Approve).unwrap_err().code(), "ILLEGAL_TRANSITION");
    assert_eq!(world.status(), Status::InProgress);
}

#[test]
fn without_a_council_there_is_nobody_to_ask() {
    let mut world = spent(|_| {});
    let refusal = decide(&mut world, &ann(), DecisionWord::Liquidate, TextChanges::default(), true).unwrap_err();
    assert!(refusal.to_string().contains("0 of 2 needed votes"), "{refusal}");
}

fn house(decision: HouseDecision) -> impl FnOnce(&mut World) {
    move |world| world.policy.on_escalation = Some(OnEscalation { after: WireDuration { ms: 3_600_000 }, decision })
}

#[test]
fn the_house_liquidates_what_nobody_decides_about_in_time() {
    let mut world = spent(house(HouseDecision::Liquidate));
    world.pass("59m");
    assert_eq!(world.status(), Status::Escalated);
    world.pass("1m");
    let decided = Event::EscalationDecided {
        decision: DecisionWord::Liquidate,
        by: DecidedBy::Policy,
        allocation: Allocation::default(),
        ends: true,
    };
    assert_eq!((world.made("ESCALATION_DECIDED").clone(), world.status()), (decided, Status::Stopped));
}

#[test]
fn the_house_gives_more_once_and_then_ends_it() {
    let more = json!({"memory_mb": 1024}).as_object().cloned().unwrap();
    let mut world = spent(house(HouseDecision::AllocateResources(more)));
    world.pass("1h");
    assert_eq!((world.status(), world.task.retries(), world.task.healed().times), (Status::InProgress, 0, 1));
    let item = world.claim(1, "a");
    assert_eq!(item.resources["memory_mb"], json!(1024));
    world.fail_for_good(&item);
    world.pass("10m");
    fail_until_escalated(&mut world);
    world.pass("1h");
    assert_eq!(world.status(), Status::Stopped);
}

#[test]
fn whoever_decides_in_time_leaves_nothing_to_the_house() {
    let mut world = spent(house(HouseDecision::Liquidate));
    decide(&mut world, &ann(), DecisionWord::AllocateResources, memory(9), false).unwrap();
    world.pass("30h");
    assert_eq!(world.status(), Status::InProgress);
}

#[test]
fn what_the_council_says_to_a_proposal_does_not_stand_for_the_approval_to_start() {
    let mut world = World::new();
    council(&mut world);
    world.submit(json!({"title": "x", "risk": "HIGH", "action": "a"}));
    world.ann(Command::Escalate { priority: None, reason: "look".into() }).unwrap();
    // The review of its start ends without a verdict while a person is asked.
    world.pass("30h");
    assert_eq!((world.events(), world.status()), (vec!["REVIEW_DECIDED"], Status::Escalated));
    decide(&mut world, &ann(), DecisionWord::Liquidate, TextChanges::default(), true).unwrap();
    world.pass("30h");
    decide(&mut world, &ann(), DecisionWord::AllocateResources, memory(9), false).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["ESCALATION_DECIDED", "ESCALATED"], Status::Escalated));
    decide(&mut world, &ann(), DecisionWord::AllocateResources, memory(9), false).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["ESCALATION_DECIDED", "REVIEW_OPENED"], Status::Deliberating));
}

#[test]
fn a_liquidation_says_why_and_sizes_are_numbers() {
    let mut world = spent(|_| {});
    let decide = |world: &mut World, word, text| {
        let refused = world.ann(Command::Decide(Box::new(Decision { word, text, council: false }))).unwrap_err();
        refused.to_string()
    };
    assert!(decide(&mut world, DecisionWord::Liquidate, TextChanges::default()).starts_with("reason: "));
    let lots = TextChanges { resource_limits: json!({"memory_mb": "lots"}).as_object().cloned(), ..TextChanges::default() };
    assert!(decide(&mut world, DecisionWord::AllocateResources, lots).starts_with("resource_limits.memory_mb: "));
}
