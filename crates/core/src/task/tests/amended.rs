//! What is live when the constitution changes, or when its own words do: judged again before anything else happens.

use super::world::*;
use crate::command::{Changes, Command, Decision, Refusal};
use crate::constitution::Law;
use crate::event::{Actor, DecisionWord, EscalationReason, Event, JudgedAnew, OverrideWord, TextChanges};
use crate::inbox::AskedFor;
use crate::review::Question;
use crate::spec::Risk;
use crate::status::Status;
use crate::work::{EffectRequest, Outcome, args_digest};
use serde_json::json;
use std::sync::Arc;

fn law(rules: &[&str]) -> Arc<Law> {
    let rules: String = rules.iter().map(|rule| format!("      - {{{rule}}}\n")).collect();
    let rules = if rules.is_empty() { String::new() } else { format!("    rules:\n{rules}") };
    Arc::new(Law::read(&format!("constitution: x\narticles:\n  - id: a\n    title: A\n{rules}")).unwrap())
}

const NO_A: &str = r#"at: [plan], when: 'plan.does(["a"])', verdict: DENY, message: nobody does it any more"#;
const LOOK: &str = r#"at: [admission], when: 'task.title.contains("Ship")', verdict: ESCALATE, message: people look first"#;
const RISKY: &str = r#"at: [plan], when: 'plan.does(["a"])', verdict: WARN, message: it is risky, risk: HIGH"#;

/// A task of two steps that was let in under a law without rules.
fn shipping() -> World {
    let mut world = World::new();
    world.policy.law = Some(law(&[]));
    world.judges = judges(&["ann", "bob", "eve"]);
    world.submit(json!({"title": "Ship it", "plan": {"steps": [
        {"id": "one", "action": "a", "acts": true}, {"id": "two", "action": "b", "depends_on": ["one"]},
    ]}}));
    world
}

fn anew(world: &World) -> Vec<JudgedAnew> {
    let moves = world.done.moves.iter();
    moves.filter_map(|made| if let Event::JudgedAnew(anew) = &made.event { Some((**anew).clone()) } else { None }).collect()
}

fn approve_by_council(world: &mut World) {
    for judge in ["ann", "bob"] {
        world.vote(judge, crate::review::VoteWord::Approve).unwrap();
    }
}

#[test]
fn what_another_document_refuses_is_not_handed_out_and_a_decision_is_owed() {
    let mut world = shipping();
    world.policy.law = Some(law(&[NO_A]));
    assert!(world.try_claim(1, &["a"]).is_err());
    assert_eq!(world.task.status(), Status::Escalated);
    let told = anew(&world);
    assert!(told[0].refused && &*told[0].rulings[0].rule == "a.1" && told.len() == 1, "{told:?}");
    let asked = &world.task.questions()[0];
    assert!(asked.why.iter().any(|why| why.contains("nobody does it any more (a.1)")), "{asked:?}");
    assert_eq!(asked.reason, AskedFor::Escalated);
    // Nothing it is asked leads past that; it is said once.
    world.by(&Actor::settle(), Command::Wake).unwrap();
    assert!(anew(&world).is_empty() && world.done.moves.is_empty());
    assert!(world.try_claim(1, &["a"]).is_err());
}

#[test]
fn a_person_may_let_it_go_on_and_another_plan_may_be_better() {
    let mut world = shipping();
    world.policy.law = Some(law(&[NO_A]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    world.overrule(OverrideWord::Approve, None).unwrap();
    assert_eq!(world.task.status(), Status::Scheduled);
    let item = world.claim(1, "a");
    world.report(&item, Outcome::Succeeded(Default::default())).unwrap();
    assert!(world.task.end().is_none(), "{:?}", world.task.status());

    let mut world = shipping();
    world.policy.law = Some(law(&[NO_A]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    let plan = json!({"steps": [{"action": "b"}]});
    world.propose(plan).unwrap();
    assert_eq!(world.task.status(), Status::Scheduled);
    assert!(!anew(&world)[0].refused);
}

#[test]
fn the_house_does_not_let_go_on_by_itself_what_its_constitution_refuses() {
    use crate::policy::{HouseDecision, OnEscalation};
    let mut world = shipping();
    let after = crate::time::WireDuration { ms: 60_000 };
    world.policy.on_escalation = Some(OnEscalation { after, decision: HouseDecision::AllocateResources(Default::default()) });
    world.policy.law = Some(law(&[NO_A]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    assert_eq!(world.task.status(), Status::Escalated);
    world.pass("2m");
    world.by(&Actor::settle(), Command::Wake).unwrap();
    assert!(matches!(world.task.status(), Status::Stopped), "{}", world.task.status());
}

#[test]
fn what_people_now_have_to_look_at_first_is_deliberated_even_while_it_runs() {
    let mut world = shipping();
    let item = world.claim(1, "a");
    world.policy.law = Some(law(&[LOOK]));
    // The running attempt may not act before.
    let wish = EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: "a".into(),
        args_digest: args_digest(&json!({})),
    };
    let refused = world.by(&Actor::agent(agent(1)), Command::Effect(wish.clone()));
    assert!(matches!(refused, Err(Refusal::NoEffect(_))), "{refused:?}");
    assert_eq!(world.task.status(), Status::Deliberating);
    approve_by_council(&mut world);
    assert_eq!(world.task.reviews().last().map(|r| r.question), Some(Question::Admission));
    world.by(&Actor::agent(agent(1)), Command::Effect(wish)).unwrap();
    // What the council has looked at is not asked again, by the same rule of another document either.
    world.policy.law = Some(law(&[LOOK, r#"at: [admission], when: 'task.title == "y"', verdict: DENY, message: no"#]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    assert!(!anew(&world)[0].review_owed);
    assert_eq!(world.task.status(), Status::InProgress);
}

#[test]
fn a_risk_that_is_seen_now_is_the_risk_it_has_and_says_why() {
    let mut world = shipping();
    world.policy.law = Some(law(&[RISKY]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    assert_eq!((world.task.status(), world.task.facts.risk), (Status::Deliberating, Risk::High));
    assert!(world.task.facts.risk_reasons.iter().any(|why| why.contains("it is risky (a.1)")));
    // A milder document later does not make up for what was seen.
    world.policy.law = Some(law(&[]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    assert_eq!(world.task.facts.risk, Risk::High);
}

#[test]
fn what_is_held_is_judged_when_it_goes_on() {
    let mut world = shipping();
    world.pause();
    world.policy.law = Some(law(&[NO_A]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    assert!(world.done.moves.is_empty());
    world.resume();
    assert_eq!(world.task.status(), Status::Escalated);
}

#[test]
fn words_that_are_changed_are_judged_like_those_that_were_submitted() {
    let denied = r#"at: [admission], when: 'task.description.contains("forbidden")', verdict: DENY, message: not that"#;
    let mut world = World::new();
    world.policy.law = Some(law(&[denied]));
    world.submit(json!({"title": "x", "plan": {"steps": [{"action": "a"}]}}));
    let change = |text: &str| {
        let text = TextChanges { description: Some(text.into()), ..TextChanges::default() };
        Command::Modify(Box::new(Changes { text, ..Changes::default() }))
    };
    world.ann(change("all is well")).unwrap();
    assert_eq!((anew(&world).len(), world.task.status()), (1, Status::Scheduled));
    world.ann(change("something forbidden")).unwrap();
    assert_eq!(world.task.escalated, Some(EscalationReason::Constitution));
    // Another scope that is no better is refused again, a better one goes on.
    let scope = |text: &str| {
        let text = TextChanges { description: Some(text.into()), ..TextChanges::default() };
        Command::Decide(Box::new(Decision { word: DecisionWord::ModifyScope, text, council: false }))
    };
    world.ann(scope("still forbidden")).unwrap();
    assert_eq!(world.task.status(), Status::Escalated);
    world.ann(scope("fine")).unwrap();
    assert_eq!(world.task.status(), Status::Scheduled);
    // What one person let go on for what it was then is no leave for what it becomes.
    world.ann(change("forbidden")).unwrap();
    world.overrule(OverrideWord::Approve, None).unwrap();
    assert_eq!(world.task.status(), Status::Scheduled);
    world.ann(change("forbidden, and more of it")).unwrap();
    assert_eq!(world.task.status(), Status::Escalated);
}

#[test]
fn a_document_that_says_the_same_of_it_is_noted_and_nothing_follows() {
    let mut world = shipping();
    let next = law(&[r#"at: [plan], when: 'plan.does(["z"])', verdict: DENY, message: no"#]);
    world.policy.law = Some(next.clone());
    let item = world.claim(1, "a");
    assert_eq!(&*anew(&world)[0].constitution, next.digest());
    assert_eq!(world.task.facts.constitution.as_deref(), Some(next.digest()));
    world.report(&item, Outcome::Succeeded(Default::default())).unwrap();
    assert!(anew(&world).is_empty());
}

#[test]
fn what_the_council_looked_at_is_asked_anew_where_the_condition_is_another() {
    let mut world = shipping();
    world.policy.law = Some(law(&[LOOK]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    approve_by_council(&mut world);
    assert_eq!(world.task.status(), Status::Scheduled);
    // The same rule in the same words, but it looks at something else now.
    let other = LOOK.replace("\"Ship\"", "\"it\"");
    world.policy.law = Some(law(&[&other]));
    world.by(&Actor::settle(), Command::Wake).unwrap();
    assert!(anew(&world)[0].review_owed);
    assert_eq!(world.task.status(), Status::Deliberating);
}
