//! Rules about agents: whom the constitution lets do what.

use super::world::*;
use crate::agent::Registration;
use crate::command::{Answer, Command, Refusal};
use crate::constitution::Law;
use crate::event::Actor;
use crate::id::AgentId;
use crate::status::Status;
use crate::work::{EffectRequest, Outcome, Success, args_digest};
use serde_json::{Value, json};

const HUMANS_PAY: &str = "constitution: x
articles:
  - id: money
    title: Money
    rules:
      - at: [action]
        when: action.name == 'pay' && agent.tier != 'trusted'
        verdict: DENY
        message: only who is trusted pays
      - at: [action]
        when: agent.role == 'trainee'
        verdict: WARN
        message: somebody new does it
";

fn known(tier: &str, role: &str) -> Registration {
    let said = json!({"name": "x", "capabilities": ["pay"], "tier": tier, "role": role});
    serde_json::from_value(said).unwrap()
}

fn paying(law: &str) -> World {
    World::under(
        law,
        json!({"title": "x", "plan": {"steps": [
        {"id": "pay", "action": "pay", "acts": true, "params": {"amount": 5}}]}}),
    )
}

#[test]
fn whom_the_rules_do_not_let_do_it_gets_nothing_and_somebody_else_does() {
    let mut world = paying(HUMANS_PAY);
    world.agents.insert(agent(1), known("cheap", ""));
    world.agents.insert(agent(2), known("trusted", "trainee"));
    let version = world.task.version;
    let wish = world.wish(1, &["pay"], true);
    let refused = world.by(&Actor::agent(agent(1)), Command::Claim(wish));
    assert_eq!(refused, Err(Refusal::NoWork("the constitution does not let this agent do it")));
    assert_eq!((world.task.version, world.task.status()), (version, Status::Scheduled), "nothing has happened to the task");
    // One that nobody knows anything of is not trusted either.
    let wish = world.wish(3, &["pay"], true);
    assert!(world.by(&Actor::agent(agent(3)), Command::Claim(wish)).is_err());

    let item = world.claim(2, "pay");
    assert_eq!(item.action, "pay");
    let rulings = world.done.moves.iter().find_map(|m| match &m.event {
        crate::event::Event::Assigned(assigned) => Some(assigned.rulings.clone()),
        _ => None,
    });
    let rules: Vec<Box<str>> = rulings.unwrap().into_iter().map(|said| said.rule).collect();
    assert_eq!(rules, ["money.2".into()], "a warning about who does it is on record");
}

#[test]
fn who_is_trusted_no_more_acts_no_more() {
    let mut world = paying(HUMANS_PAY);
    world.agents.insert(agent(1), known("trusted", ""));
    let item = world.claim(1, "pay");
    let wish = |world: &World, action: &str| {
        Command::Effect(EffectRequest {
            task_id: world.task.id,
            work: item.work.clone(),
            attempt: item.attempt,
            action: action.into(),
            args_digest: args_digest(&json!({"amount": 5})),
        })
    };
    world.agents.insert(agent(1), known("cheap", ""));
    let asked = wish(&world, "pay");
    let Err(Refusal::NoEffect(why)) = world.by(&Actor::agent(agent(1)), asked) else { panic!("it was granted") };
    assert!(why.contains("money.1"), "{why}");
    world.agents.insert(agent(1), known("trusted", ""));
    let asked = wish(&world, "pay");
    assert!(matches!(world.by(&Actor::agent(agent(1)), asked), Ok(Answer::Effect(_))));
}

#[test]
fn an_act_under_another_name_meets_the_same_rules() {
    let mut world = World::under(HUMANS_PAY, json!({"title": "x", "plan": {"steps": [{"id": "look", "action": "look"}]}}));
    world.agents.insert(agent(1), known("cheap", ""));
    let item = world.claim(1, "look");
    let wish = EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: "pay".into(),
        args_digest: args_digest(&json!({})),
    };
    let Err(Refusal::NoEffect(why)) = world.by(&Actor::agent(agent(1)), Command::Effect(wish)) else { panic!("granted") };
    assert!(why.contains("only who is trusted pays"), "{why}");
}

#[test]
fn a_result_may_count_for_one_and_not_for_another() {
    let law = "constitution: x
articles:
  - id: a
    title: A
    rules:
      - at: [result]
        when: agent.models.exists(m, m == 'tiny') && result.output.answer == 42
        verdict: DENY
        message: this model has no right to that answer
";
    for (model, status) in [("tiny", Status::Scheduled), ("large", Status::Completed)] {
        let mut world = World::under(
            law,
            json!({"title": "x", "plan": {"steps": [
            {"action": "pay", "retry": {"initial": "1s"}}]}}),
        );
        let said = json!({"name": "x", "capabilities": ["pay"], "models": [model]});
        world.agents.insert(agent(1), serde_json::from_value(said).unwrap());
        let item = world.claim(1, "pay");
        let success = Success { output: json!({"answer": 42}), ..Success::default() };
        world.report(&item, Outcome::Succeeded(success)).unwrap();
        assert_eq!(world.task.status() == Status::Completed, status == Status::Completed, "{model}: {:?}", world.task.status());
    }
}

#[test]
fn why_an_agent_does_not_get_it_is_told() {
    let world = paying(HUMANS_PAY);
    let law = world.policy.law.clone().unwrap();
    let why = |id: AgentId, said: &Registration| world.task.not_for(id, Some(said), "pay", &law, world.now);
    assert!(why(agent(1), &known("cheap", "")).unwrap().contains("money.1"));
    assert_eq!(why(agent(1), &known("trusted", "trainee")), None, "a warning keeps nobody away");
}

#[test]
fn what_people_answer_is_about_the_action_whoever_does_it() {
    let flaws = |verdict: &str, more: &str| {
        let rule = format!("{{at: [action], when: agent.role == 'x', verdict: {verdict}, message: m{more}}}");
        Law::read(&format!("constitution: x\narticles:\n  - id: a\n    title: A\n    rules:\n      - {rule}\n"))
            .err()
            .unwrap_or_default()
    };
    assert!(flaws("DENY", "").is_empty() && flaws("WARN", "").is_empty());
    for (verdict, more) in [("ESCALATE", ""), ("WARN", ", risk: HIGH"), ("TRANSFORM", ", set: {a: '1'}")] {
        let told = flaws(verdict, more);
        assert!(told.iter().any(|flaw| flaw.message.contains("reads `agent`") && flaw.line == 6), "{verdict}: {told:?}");
    }
    let elsewhere = "constitution: x\narticles:\n  - id: a\n    title: A\n    rules:\n      - {at: [plan], when: agent.role == 'x', verdict: DENY, message: m}\n";
    assert!(
        Law::read(elsewhere).unwrap_err()[0].message.contains("action and result"),
        "no agent is known when a plan is judged"
    );
}

#[test]
fn cases_say_who_does_it() {
    let law = Law::read(HUMANS_PAY).unwrap();
    let request = json!({"title": "x", "plan": {"steps": [{"action": "pay", "acts": true}]}});
    let case = |agent: Value, expect: &str| {
        let mut case = json!({"name": "c", "at": "action", "request": request, "expect": expect});
        if !agent.is_null() {
            case["agent"] = agent;
        }
        let cases = crate::constitution::cases(&json!([case]).to_string()).unwrap();
        law.test(&cases[0]).map(|judged| judged.ruling)
    };
    use crate::constitution::Ruling::{Allow, Deny, Warn};
    assert_eq!(case(json!({"name": "a", "capabilities": ["pay"]}), "DENY"), Ok(Deny));
    assert_eq!(case(json!({"name": "a", "capabilities": ["pay"], "tier": "trusted", "role": "trainee"}), "WARN"), Ok(Warn));
    assert_eq!(case(Value::Null, "ALLOW"), Ok(Allow), "where nobody does it, rules about agents are not asked");
}
