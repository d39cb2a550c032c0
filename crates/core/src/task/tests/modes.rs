//! What withholds every act, what is handed down to tasks that are born, and what it takes to let a task act after all.

use super::world::*;
use crate::command::{Answer, Changes, Command, Refusal};
use crate::event::{Actor, Event, TextChanges};
use crate::review::VoteWord;
use crate::spec::{Autonomy, ExecutionMode};
use crate::status::Status;
use crate::work::{EffectRequest, WorkItem};
use serde_json::json;

fn to_mode(world: &mut World, mode: ExecutionMode) -> Result<Answer, Refusal> {
    let changes = Changes {
        mode: Some(mode),
        text: TextChanges { reason: "in earnest now".into(), ..TextChanges::default() },
        ..Changes::default()
    };
    world.ann(Command::Modify(Box::new(changes)))
}

fn ask(world: &mut World, item: &WorkItem) -> Result<Answer, Refusal> {
    let wish = EffectRequest {
        task_id: world.task.id,
        work: item.work.clone(),
        attempt: item.attempt,
        action: "x".into(),
        args_digest: "0".repeat(64),
    };
    world.by(&Actor::agent(agent(1)), Command::Effect(wish))
}

#[test]
fn a_task_born_of_a_dry_run_is_one_and_of_a_suggestion_may_act_no_more() {
    for (more, mode, autonomy) in [
        (json!({"execution_mode": "DRY_RUN"}), ExecutionMode::DryRun, Autonomy::Autonomous),
        (json!({"autonomy": "SUGGESTION"}), ExecutionMode::Auto, Autonomy::Suggestion),
        (json!({}), ExecutionMode::Auto, Autonomy::Autonomous),
    ] {
        let child = json!({"title": "child", "execution_mode": "AUTO", "autonomy": "AUTONOMOUS"});
        let mut request = json!({"title": "x", "plan": {"steps": [{"action": "task.run", "params": {"request": child}}]}});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let world = given(request);
        let born = world.births();
        assert_eq!(born.len(), 1, "{more}");
        let facts = &born[0].submission.facts;
        assert_eq!((facts.mode, facts.autonomy), (mode, autonomy), "{more}");
    }
}

#[test]
fn a_dry_run_of_high_risk_is_reviewed_before_another_mode_lets_it_act() {
    let mut world = World::new();
    world.judges = judges(&["j1", "j2", "j3"]);
    world.submit(json!({"title": "x", "execution_mode": "DRY_RUN", "risk": "HIGH"}));
    world.vote("j1", VoteWord::Approve).unwrap();
    world.vote("j2", VoteWord::Approve).unwrap();
    let item = world.claim(1, "work");
    assert_eq!(ask(&mut world, &item).unwrap_err().code(), "EFFECT_REFUSED");
    to_mode(&mut world, ExecutionMode::Auto).unwrap();
    assert_eq!(world.task.status(), Status::Deliberating);
    let Event::Modified(modified) = world.made("MODIFIED") else { panic!("{:?}", world.events()) };
    assert_eq!(&*modified.findings[0].check, "execution_mode");
    assert_eq!(ask(&mut world, &item).unwrap_err().code(), "EFFECT_REFUSED");
    world.vote("j1", VoteWord::Approve).unwrap();
    world.vote("j2", VoteWord::Approve).unwrap();
    assert_eq!(ask(&mut world, &item).map(|_| ()), Ok(()));
}

#[test]
fn a_dry_run_nobody_had_to_look_at_may_become_one_in_earnest() {
    let mut world = given(json!({"title": "x", "execution_mode": "DRY_RUN"}));
    to_mode(&mut world, ExecutionMode::Auto).unwrap();
    assert_eq!(world.task.status(), Status::Scheduled);
}

#[test]
fn the_constitution_is_asked_again_where_a_mode_lets_it_act() {
    let law = r#"
constitution: x
articles:
  - id: a
    title: A
    rules:
      - {at: [admission], when: 'task.execution_mode != "DRY_RUN" && task.title == "never"', verdict: DENY, message: only as a dry run}
      - {at: [plan], when: 'task.execution_mode != "DRY_RUN" && plan.acts', verdict: ESCALATE, message: somebody looks}
"#;
    let mut world = World::under(law, json!({"title": "never", "execution_mode": "DRY_RUN"}));
    assert_eq!(to_mode(&mut world, ExecutionMode::Auto).unwrap_err().code(), "VALIDATION_FAILED");
    assert_eq!(world.task.facts.mode, ExecutionMode::DryRun);
    let steps = json!([{"action": "pay", "acts": true}]);
    let mut world = World::under(law, json!({"title": "x", "execution_mode": "DRY_RUN", "plan": {"steps": steps}}));
    world.policy.solo = true;
    to_mode(&mut world, ExecutionMode::Auto).unwrap();
    assert_eq!(world.task.status(), Status::Deliberating);
}
