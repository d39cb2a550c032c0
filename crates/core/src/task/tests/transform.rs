//! Rules that have a step done with other parameters.

use super::world::*;
use crate::constitution::{Law, Ruling, cases};
use crate::event::{ApprovalWord, Event};
use crate::status::{Status, StepStatus};
use crate::work::{EffectRequest, args_digest};
use serde_json::{Value, json};

const LAW: &str = r#"
constitution: x
articles:
  - id: mail
    title: Mails
    rules:
      - {at: [action], when: 'action.name == "send" && action.params.to != "test@example.org"', verdict: TRANSFORM,
         set: {to: '"test@example.org"', meant_for: 'action.params.to', bcc: 'null'}, message: mails go to the test address}
      - {at: [action], when: 'action.name == "loop"', verdict: TRANSFORM, set: {n: 'action.params.n + 1'}, message: more}
      - {at: [action], when: 'action.name == "copy"', verdict: TRANSFORM, set: {b: 'action.params.a'}, message: copied}
      - {at: [action], when: 'action.name == "pay" && action.params.amount > 100', verdict: TRANSFORM, set: {amount: '100'}, message: at most 100}
      - {at: [action], when: 'action.name == "pay" && action.params.amount > 50', verdict: ESCALATE, message: a person looks}
"#;

fn doing(action: &str, params: Value) -> World {
    World::under(LAW, json!({"title": "x", "plan": {"steps": [{"id": "s", "action": action, "params": params, "acts": true}]}}))
}

/// The agent comes until it is given the step, as the writer lets it: a task that moved is asked again.
fn given(world: &mut World, action: &str) -> Option<crate::work::WorkItem> {
    (0..3).find_map(|_| world.try_claim(1, &[action]).ok())
}

#[test]
fn a_step_is_handed_out_with_what_the_rules_make_of_its_parameters_and_that_is_on_record() {
    let mut world = doing("send", json!({"to": "ceo@example.com", "bcc": "all@example.com", "body": "hello ${task.title}"}));
    assert!(world.try_claim(1, &["send"]).is_err());
    let Event::ParamsChanged { rulings, .. } = world.made("PARAMS_CHANGED") else { panic!("{:?}", world.events()) };
    assert_eq!((&*rulings[0].rule, rulings[0].ruling), ("mail.1", Ruling::Transform));
    let item = world.claim(1, "send");
    assert_eq!(
        Value::Object(item.params.clone()),
        json!({"to": "test@example.org", "meant_for": "ceo@example.com", "body": "hello x"})
    );
    let wish = |args: Value| EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: "send".into(),
        args_digest: args_digest(&args),
    };
    let wish = wish(Value::Object(item.params.clone()));
    world.by(&crate::event::Actor::agent(agent(1)), crate::command::Command::Effect(wish)).unwrap();
}

#[test]
fn what_is_as_the_rules_want_it_is_left_alone() {
    let mut world = doing("send", json!({"to": "test@example.org"}));
    world.claim(1, "send");
    assert!(!world.done.moves.iter().any(|made| made.event.kind() == "PARAMS_CHANGED"));
}

#[test]
fn what_never_comes_to_an_end_is_refused() {
    let mut world = doing("loop", json!({"n": 1}));
    assert!(given(&mut world, "loop").is_none());
    assert_eq!(world.task.step("s").unwrap().1, StepStatus::Failed);
    let told = world.task.contents.errors.values().any(|why| why.contains("never come to an end"));
    assert!(told, "{:?}", world.task.contents.errors);
}

#[test]
fn a_text_that_reads_like_a_reference_is_not_made_one() {
    let mut world = World::under(
        LAW,
        json!({"title": "x", "plan": {"steps": [
            {"id": "read", "action": "read"},
            {"id": "s", "action": "copy", "params": {"a": "${steps.read.output}"}, "depends_on": ["read"]},
        ]}}),
    );
    let item = world.claim(1, "read");
    world.succeed_with(&item, json!("${task.payload.secret}"));
    assert!(given(&mut world, "copy").is_none());
    assert_eq!(world.task.step("s").unwrap().1, StepStatus::Failed);
}

#[test]
fn what_was_made_is_judged_again_and_a_person_approves_of_that() {
    let mut world = doing("pay", json!({"amount": 5_000}));
    assert!(given(&mut world, "pay").is_none());
    assert_eq!(world.status(), Status::Blocked);
    let asked = world.task.questions().remove(0);
    assert_eq!(asked.approval.unwrap().params["amount"], 100);
    world.ann(crate::command::Command::Approve(Box::new(word_on("s", true)))).unwrap();
    let Event::ApprovalAnswered { answer, .. } = world.made("APPROVAL_ANSWERED") else { panic!() };
    assert_eq!(*answer, ApprovalWord::Approved);
    assert_eq!(given(&mut world, "pay").unwrap().params["amount"], 100);
}

#[test]
fn other_parameters_by_a_person_are_under_the_rules_too() {
    let mut world = doing("pay", json!({"amount": 60}));
    assert!(given(&mut world, "pay").is_none());
    let mut word = word_on("s", true);
    word.params = json!({"amount": 900}).as_object().cloned();
    world.ann(crate::command::Command::Approve(Box::new(word))).unwrap();
    assert!(given(&mut world, "pay").is_none(), "it was approved of 900, and would be 100: that is asked about anew");
    assert_eq!(world.task.questions()[0].approval.as_ref().unwrap().params["amount"], 100);
}

#[test]
fn a_document_says_what_is_set_and_only_where_that_can_be() {
    let read = |rule: &str| {
        let text = format!("constitution: x\narticles:\n  - id: a\n    title: A\n    rules:\n      - {{{rule}}}\n");
        Law::read(&text).map(drop).map_err(|flaws| flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    read(r#"at: [action], when: 'action.acts', verdict: TRANSFORM, set: {dry: 'true'}, message: m"#).unwrap();
    for (rule, told) in [
        (r#"at: [action], when: 'action.acts', verdict: TRANSFORM, message: m"#, "says in `set`"),
        (r#"at: [plan], when: 'plan.acts', verdict: TRANSFORM, set: {a: '1'}, message: m"#, "`at: [action]` alone"),
        (r#"at: [action], when: 'action.acts', verdict: WARN, set: {a: '1'}, message: m"#, "belongs to the verdict TRANSFORM"),
        (r#"at: [action], when: 'action.acts', verdict: TRANSFORM, set: {a: '1 +'}, message: m"#, "`set.a` is no CEL"),
        (r#"at: [action], when: 'action.acts', verdict: TRANSFORM, set: {a: 'plan.size'}, message: m"#, "`set.a`"),
    ] {
        let why = read(rule).unwrap_err();
        assert!(why.contains(told), "{rule}: {why}");
    }
}

#[test]
fn examples_show_what_comes_of_it() {
    let law = Law::read(LAW).unwrap();
    let file = r#"
- {name: paid, at: action, request: {title: x, action: pay, payload: {amount: 5000}}, expect: ESCALATE, by: [mail.4, mail.5, mail.5]}
- {name: mailed, at: action, request: {title: x, action: send, payload: {to: a@b.example}}, expect: TRANSFORM}
- {name: endless, at: action, request: {title: x, action: loop, payload: {n: 1}}, expect: DENY}
"#;
    for case in cases(file).unwrap() {
        law.test(&case).unwrap_or_else(|why| panic!("{}: {why}", case.name));
    }
}
