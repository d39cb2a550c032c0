//! Ways on which a task might act, or count as good, without its decision: each is tried, and none leads anywhere.

use super::world::*;
use crate::command::{Answer, Changes, Command, Decision, Refusal};
use crate::event::{Actor, DecisionWord, EscalationReason, OverrideWord, TextChanges};
use crate::review::{Opinion, VoteWord};
use crate::spec::{Autonomy, ExecutionMode, GateKind, Risk};
use crate::status::{Status, StepStatus};
use crate::work::{Advice, EffectRequest, Judgement, Outcome, Success, WorkItem, args_digest};
use serde_json::{Value, json};

/// Paying is refused, moving money is asked about.
const LAW: &str = "constitution: x
articles:
  - id: money
    title: Money
    rules:
      - {at: [action], when: \"action.name == 'pay'\", verdict: DENY, message: nobody pays}
      - {at: [action], when: \"action.name == 'move'\", verdict: ESCALATE, message: people look at transfers}
      - {at: [action], when: \"action.name == 'refund'\", verdict: WARN, message: money goes back, risk: HIGH}
      - {at: [action], when: \"action.name == 'task.run' || action.name == 'wait.for'\", verdict: DENY, message: not by itself}
      - {at: [plan], when: \"plan.does(['risky'])\", verdict: WARN, message: that is risky, risk: HIGH}
      - {at: [plan], when: \"plan.size < 2 && task.title == 'two steps'\", verdict: DENY, message: at least two steps}
";

fn wish(world: &World, item: &WorkItem, action: &str, args: &Value) -> Command {
    Command::Effect(EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: action.into(),
        args_digest: args_digest(args),
    })
}

fn effect(world: &mut World, item: &WorkItem, action: &str, args: &Value) -> Result<Answer, Refusal> {
    let wish = wish(world, item, action, args);
    world.by(&Actor::agent(agent(1)), wish)
}

/// A task that did something, and goes back on an analyst's advice: what it did is to be undone.
fn undoing(compensation: &str, more: Value) -> World {
    let mut world = World::new();
    world.policy.law = Some(std::sync::Arc::new(crate::constitution::Law::read(LAW).unwrap()));
    world.analyst = true;
    let mut request = json!({"title": "x", "plan": {"steps": [
        {"id": "base", "action": "base", "checkpoint": "laid"},
        {"id": "b", "action": "b", "depends_on": ["base"], "compensation": {"action": compensation, "params": {"n": 1}}},
        {"id": "c", "action": "c", "depends_on": ["b"]},
    ]}});
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    world.submit(request);
    world.work_off("base");
    world.work_off("b");
    let item = world.claim(1, "c");
    world.fail_for_good(&item);
    let analysis = world.claim(9, "analyse");
    let advice = Advice::Rollback { checkpoint: "laid".into(), reason: "it went wrong".into() };
    world.report(&analysis, Outcome::Advised(advice)).unwrap();
    world
}

#[test]
fn under_the_name_of_undoing_nothing_else_is_done() {
    let mut world = undoing("unb", json!({}));
    let item = world.claim(1, "unb");
    for action in ["pay", "move"] {
        let refused = effect(&mut world, &item, action, &json!({}));
        assert!(matches!(refused, Err(Refusal::NoEffect(_))), "{action}: {refused:?}");
    }
    assert!(matches!(effect(&mut world, &item, "unb", &json!({"n": 1})), Ok(Answer::Effect(_))));
}

#[test]
fn what_an_assisted_task_would_ask_about_it_does_not_undo_unasked() {
    let mut world = undoing("refund", json!({"autonomy": "ASSISTED"}));
    assert!(world.try_claim(1, &["refund"]).is_err());
    assert_eq!((world.status(), world.task.escalated), (Status::Escalated, Some(EscalationReason::CompensationFailed)));
    let again = Command::Override { decision: OverrideWord::RetryStep, step: Some("b".into()), reason: "go on".into() };
    world.ann(again).unwrap();
    let item = world.claim(1, "refund");
    let other = effect(&mut world, &item, "refund", &json!({"n": 1_000}));
    assert!(matches!(other, Err(Refusal::NoEffect(_))), "just what was planned: {other:?}");
    assert!(matches!(effect(&mut world, &item, "refund", &json!({"n": 1})), Ok(Answer::Effect(_))));
    assert!(undoing("refund", json!({})).try_claim(1, &["refund"]).is_ok(), "one that acts by itself does");
}

#[test]
fn what_rules_see_in_a_later_plan_waits_for_the_council_as_in_the_first() {
    let mut world = World::new();
    world.policy.law = Some(std::sync::Arc::new(crate::constitution::Law::read(LAW).unwrap()));
    world.judges = judges(&["ann", "bob", "cid"]);
    world.submit(json!({"title": "x", "plan": {"steps": [{"action": "a"}]}}));
    assert_eq!(world.status(), Status::Scheduled);
    let plan = json!({"steps": [{"action": "risky"}]});
    world.propose(plan.clone()).unwrap();
    assert_eq!((world.status(), world.task.facts.risk), (Status::Deliberating, Risk::High));
    assert!(world.try_claim(1, &["risky"]).is_err());
    for judge in ["ann", "bob"] {
        world.vote(judge, VoteWord::Approve).unwrap();
    }
    assert_eq!(world.status(), Status::Scheduled);
    world.propose(plan).unwrap();
    assert_eq!(world.task.review_views().len(), 2, "another plan is another question");
}

#[test]
fn an_agent_does_not_plan_a_gate_away() {
    let gated = json!([{"id": "a", "action": "a", "gates": [{"kind": "MANUAL_REVIEW"}]}]);
    let advised = |plan: Value| {
        let mut world = World::new();
        world.analyst = true;
        world.submit(json!({"title": "x", "plan": {"steps": gated}}));
        let item = world.claim(1, "a");
        world.fail_for_good(&item);
        let analysis = world.claim(9, "analyse");
        let plan = serde_json::from_value(json!({"steps": plan})).unwrap();
        world.report(&analysis, Outcome::Advised(Advice::AlternativePath(Box::new(plan)))).unwrap();
        world
    };
    let without = advised(json!([{"id": "a", "action": "a2"}]));
    assert_eq!(without.status(), Status::Blocked, "a person has to accept that");
    assert!(without.task.doubts.iter().any(|found| found.reason.contains("MANUAL_REVIEW of step 1")));
    let other = advised(json!([{"id": "z", "action": "a2"}]));
    assert_eq!(other.status(), Status::Blocked, "the step is gone with its gate");
    let with = advised(json!([{"id": "a", "action": "a2", "gates": [{"kind": "MANUAL_REVIEW"}]}]));
    assert_ne!(with.status(), Status::Blocked, "the gate is there");

    let mut world = given_steps(gated);
    world.propose(json!({"steps": [{"id": "a", "action": "a2"}]})).unwrap();
    assert_eq!(world.status(), Status::Scheduled, "a person may");
    let mut world = given_steps(json!([{"id": "a", "action": "a", "gates": [{"kind": "MANUAL_REVIEW"}]}]));
    let plan = serde_json::from_value(json!({"steps": [{"id": "a", "action": "a2"}]})).unwrap();
    let plan = crate::request::check_plan(&plan, ExecutionMode::Auto).unwrap();
    world.by(&Actor::human(crate::event::ANONYMOUS), Command::Propose(Box::new(plan))).unwrap();
    assert_eq!(world.status(), Status::Blocked, "whoever does not say who they are may be the agent itself");
}

#[test]
fn a_task_does_no_more_by_a_task_of_its_own() {
    let born = |parent: Value, child: Value| {
        let mut request = json!({"title": "x", "plan": {"steps": [{"action": "task.run", "params": {"request": child}}]}});
        for (name, value) in parent.as_object().unwrap() {
            request[name] = value.clone();
        }
        let mut world = World::new();
        world.policy.solo = true;
        world.judges = Vec::new();
        world.submit(request);
        if world.status() == Status::Deliberating {
            world.vote("operator", VoteWord::Approve).unwrap();
        }
        let births = world.births();
        let facts = &births[0].submission.facts;
        (facts.mode, facts.autonomy, facts.risk)
    };
    let free = json!({"title": "y", "execution_mode": "AUTO", "autonomy": "AUTONOMOUS"});
    assert_eq!(born(json!({}), free.clone()), (ExecutionMode::Auto, Autonomy::Autonomous, Risk::Low));
    let assisted = born(json!({"autonomy": "ASSISTED", "risk": "HIGH"}), free.clone());
    assert_eq!(assisted, (ExecutionMode::Auto, Autonomy::Assisted, Risk::High));
    let strict = born(json!({"execution_mode": "STRICT"}), free);
    assert_eq!(strict.0, ExecutionMode::Strict);
    let careful = born(json!({"autonomy": "ASSISTED"}), json!({"title": "y", "autonomy": "SUGGESTION"}));
    assert_eq!(careful.1, Autonomy::Suggestion, "it may do less");
}

#[test]
fn more_resources_do_not_lift_what_the_constitution_refuses() {
    let mut world = World::under(
        "constitution: old\narticles: [{id: a, title: A}]",
        json!({"title": "x", "plan": {"steps": [{"action": "a"}]}}),
    );
    let law = "constitution: new\narticles:\n  - id: a\n    title: A\n    rules:\n      - {at: [plan], when: \"plan.does(['a'])\", verdict: DENY, message: no}\n";
    world.policy.law = Some(std::sync::Arc::new(crate::constitution::Law::read(law).unwrap()));
    world.ann(Command::Wake).unwrap();
    assert_eq!((world.status(), world.task.escalated), (Status::Escalated, Some(EscalationReason::Constitution)));
    let more = TextChanges { resource_limits: json!({"cpu_cores": 1}).as_object().cloned(), ..TextChanges::default() };
    let decision = Decision { word: DecisionWord::AllocateResources, text: more, council: false };
    let refused = world.ann(Command::Decide(Box::new(decision)));
    assert_eq!(refused.unwrap_err().code(), "ILLEGAL_TRANSITION");
    let offered: Vec<String> = world.task.questions().into_iter().flat_map(|asked| asked.acts).map(|act| act.command).collect();
    assert!(!offered.iter().any(|command| command.contains("allocate-resources")), "{offered:?}");
}

#[test]
fn what_was_reviewed_as_strict_is_not_made_free_without_another_look() {
    let mut world = World::new();
    world.policy.solo = true;
    world.judges = Vec::new();
    world.submit(json!({"title": "x", "execution_mode": "STRICT", "plan": {"steps": [{"action": "a"}]}}));
    world.vote("operator", VoteWord::Approve).unwrap();
    assert_eq!(world.status(), Status::Scheduled);
    world.ann(Command::Modify(Box::new(Changes { mode: Some(ExecutionMode::Auto), ..Changes::default() }))).unwrap();
    assert_eq!(world.status(), Status::Deliberating);
    assert!(world.try_claim(1, &["a"]).is_err());
    world.vote("operator", VoteWord::Approve).unwrap();
    assert!(world.try_claim(1, &["a"]).is_ok());
}

#[test]
fn what_was_approved_is_not_done_in_other_words() {
    let mut world = World::under(LAW, json!({"title": "x", "plan": {"steps": [{"action": "move", "acts": true}]}}));
    assert!(world.try_claim(1, &["move"]).is_err());
    world.by(&Actor::human("bea"), Command::Approve(Box::new(word_on("1", true)))).unwrap();
    let text = TextChanges { requirements: Some(vec!["to mallory instead".into()]), ..TextChanges::default() };
    world.ann(Command::Modify(Box::new(Changes { text, ..Changes::default() }))).unwrap();
    assert!(world.try_claim(1, &["move"]).is_err(), "it is asked about anew");
    assert_eq!(world.step("1"), StepStatus::Blocked);
}

#[test]
fn the_plan_of_one_step_that_the_house_makes_is_judged_like_any_other() {
    let mut world = World::new();
    world.policy.law = Some(std::sync::Arc::new(crate::constitution::Law::read(LAW).unwrap()));
    world.policy.one_step_plan = true;
    world.submit(json!({"title": "two steps", "plan_by_agent": true}));
    world.pass("10m");
    assert_eq!((world.status(), world.task.escalated), (Status::Escalated, Some(EscalationReason::NoPlan)));
    assert!(world.try_claim(1, &["work"]).is_err());
}

#[test]
fn what_no_agent_does_meets_the_rules_about_actions_too() {
    for step in [
        json!({"action": "task.run", "params": {"request": {"title": "y"}}}),
        json!({"action": "wait.for", "params": {"duration": "1s"}}),
    ] {
        let world = World::under(LAW, json!({"title": "x", "max_retries": 0, "plan": {"steps": [step]}}));
        assert!(world.births().is_empty());
        assert_eq!(world.status(), Status::Failed, "{:?}", world.events());
    }
    // Where people are asked, it begins once they have said yes.
    let law = LAW.replace("'wait.for'\", verdict: DENY", "'wait.for'\", verdict: ESCALATE");
    let steps = json!([{"action": "wait.for", "params": {"duration": "1m"}}]);
    let mut world = World::under(&law, json!({"title": "x", "plan": {"steps": steps}}));
    assert_eq!((world.status(), world.step("1")), (Status::Blocked, StepStatus::Blocked));
    world.by(&Actor::human("bea"), Command::Approve(Box::new(word_on("1", true)))).unwrap();
    assert_eq!(world.step("1"), StepStatus::Running);
    world.pass("1m");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn what_the_councils_yes_depends_on_is_not_for_the_doer_to_say() {
    let mut world = World::new();
    world.judges = judges(&["ann", "bob", "cid"]);
    world.submit(json!({"title": "x", "risk": "HIGH", "plan": {"steps": [{"action": "a"}]}}));
    let opinion: Opinion = serde_json::from_value(json!({"conditions": [{"kind": "SECURITY_SCAN"}]})).unwrap();
    for judge in ["ann", "bob"] {
        let vote = Command::Vote {
            review: None,
            judge: judge.into(),
            vote: VoteWord::Conditional,
            confidence: None,
            reason: "if".into(),
            opinion: Box::new(opinion.clone()),
        };
        world.by(&Actor::human(judge), vote).unwrap();
    }
    let item = world.claim(1, "a");
    let evidence = vec![Judgement::of(GateKind::SecurityScan, true)];
    world.report(&item, Outcome::Succeeded(Success { evidence, ..Success::default() })).unwrap();
    assert_eq!(world.status(), Status::Review, "somebody else has to look");
    let gate = world.claim(2, "gate.security_scan");
    world.report(&gate, Outcome::Judged(Judgement::of(GateKind::SecurityScan, true))).unwrap();
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_result_is_confirmed_by_who_is_named_and_not_by_whoever_submitted_it() {
    let gates = json!([{"kind": "MANUAL_REVIEW", "reviewer": "vera"}]);
    let mut world =
        given_steps(json!([{"id": "a", "action": "a", "gates": gates}, {"id": "b", "action": "b", "depends_on": ["a"]}]));
    world.work_off("a");
    let confirm = || Command::Confirm { step: "a".into(), judgement: Judgement::of(GateKind::ManualReview, true) };
    let Err(Refusal::Forbidden(why)) = world.ann(confirm()) else { panic!("ann is not vera") };
    assert!(why.contains("vera"), "{why}");
    world.own = true;
    assert!(matches!(world.by(&Actor::human("vera"), confirm()), Err(Refusal::Forbidden(_))), "not her own task");
    let skip = Command::Override { decision: OverrideWord::SkipStep, step: Some("a".into()), reason: "so".into() };
    assert!(matches!(world.ann(skip), Err(Refusal::Forbidden(_))), "nor does leaving it out pass it");
    world.own = false;
    world.by(&Actor::human("vera"), confirm()).unwrap();
    assert_eq!(world.step("a"), StepStatus::Completed);
}

#[test]
fn nobody_votes_on_their_own_task_in_the_name_of_another() {
    let mut world = World::new();
    world.judges = judges(&["vera", "otto", "cid"]);
    world.submit(json!({"title": "x", "risk": "HIGH", "plan": {"steps": [{"action": "a"}]}}));
    world.own = true;
    let vote = Command::Vote {
        review: None,
        judge: "vera".into(),
        vote: VoteWord::Approve,
        confidence: None,
        reason: String::new(),
        opinion: Box::<Opinion>::default(),
    };
    assert!(matches!(world.ann(vote), Err(Refusal::Forbidden(_))));
}

#[test]
fn what_was_to_finish_under_a_hold_is_stopped_after_all() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let item = world.claim(1, "a");
    world.ann(Command::Pause { reason: String::new(), stop_running: false }).unwrap();
    assert!(!world.task.should_stop(&item.work, item.attempt));
    world.ann(Command::Pause { reason: String::new(), stop_running: true }).unwrap();
    assert!(world.task.should_stop(&item.work, item.attempt));
    let again = world.ann(Command::Pause { reason: String::new(), stop_running: true });
    assert_eq!(again.unwrap_err().code(), "ILLEGAL_TRANSITION");
}

#[test]
fn whoever_looks_at_a_result_is_shown_it_and_by_what_it_is_judged() {
    let gates = json!([{"kind": "MANUAL_REVIEW", "criteria": ["no name is misspelt"]}]);
    let mut world = given_steps(json!([{"id": "a", "action": "a", "gates": gates}]));
    let item = world.claim(1, "a");
    world.succeed_with(&item, json!({"letter": "Dear Ann"}));
    let why = world.task.questions().remove(0).why.join("\n");
    assert!(why.contains("no name is misspelt") && why.contains("Dear Ann"), "{why}");
}

#[test]
fn what_is_reviewed_when_it_is_submitted_is_reviewed_when_it_is_changed_to() {
    let mut world = World::new();
    world.judges = judges(&["ann", "bob", "cid"]);
    world.submit(json!({"title": "x", "plan": {"steps": [{"action": "a"}]}}));
    let limits = |cores: u64| {
        let text = TextChanges { resource_limits: json!({"cpu_cores": cores}).as_object().cloned(), ..TextChanges::default() };
        Command::Modify(Box::new(Changes { text, ..Changes::default() }))
    };
    world.ann(limits(16)).unwrap();
    assert_eq!(world.status(), Status::Scheduled, "within what one task may use");
    world.ann(limits(640)).unwrap();
    assert_eq!(world.status(), Status::Deliberating);
}
