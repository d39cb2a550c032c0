//! Claimed, started, reported, lapsed.

use super::world::*;
use crate::command::{Answer, Changes, Command, Refusal};
use crate::event::Actor;
use crate::policy::OnAgentLost;
use crate::spec::ErrorClass;
use crate::status::{BlockReason, Status, StepStatus};
use crate::work::{Failure, Outcome, Success, WorkKey};
use serde_json::json;

#[test]
fn work_goes_to_who_can_do_it_in_the_order_of_the_plan() {
    let mut world = given_steps(json!([{"action": "b"}, {"action": "a"}, {"action": "a"}]));
    assert_eq!(world.try_claim(1, &["c"]), Err(Refusal::NoWork("nothing this agent can do is open in this task")));
    assert_eq!(world.claim(1, "a").work, WorkKey::Step("2".into()));
    assert_eq!(world.try_claim(2, &["a", "b"]).unwrap().work, WorkKey::Step("1".into()));
}

#[test]
fn a_step_of_several_capabilities_needs_all_of_them() {
    let mut world = given_steps(json!([{"action": "x", "capabilities": ["a", "b"]}]));
    assert_eq!(world.task.open_keys().unwrap(), "a+b\n");
    assert!(world.try_claim(1, &["a"]).is_err());
    assert_eq!(world.try_claim(1, &["a", "b", "c"]).unwrap().action, "x");
}

#[test]
fn a_pinned_step_goes_to_its_agent_alone() {
    let mut world =
        given_steps(json!([{"action": "a", "agent": agent(2)}, {"action": "x", "capabilities": ["a", "b"], "agent": agent(3)}]));
    assert!(world.try_claim(1, &["a", "b"]).is_err());
    assert_eq!(world.try_claim(2, &["a"]).unwrap().work, WorkKey::Step("1".into()));
    assert_eq!(world.try_claim(3, &["a", "b"]).unwrap().work, WorkKey::Step("2".into()));
}

#[test]
fn a_claim_counts_the_attempt_and_may_start_in_the_same_breath() {
    let mut world = given_steps(json!([{"action": "a", "timeout": "5m", "heartbeat_timeout": "10s"}]));
    let item = world.claim(1, "a");
    assert_eq!((item.attempt, item.lease_ms, item.timeout_ms, item.may_act), (1, 10_000, Some(300_000), true));
    assert_eq!((world.events(), world.status()), (vec!["ASSIGNED"], Status::InProgress));
}

#[test]
fn work_claimed_without_a_start_is_assigned_and_then_started_once() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let claim = world.wish(1, &["a"], false);
    let Ok(Answer::Work(item)) = world.by(&Actor::agent(agent(1)), Command::Claim(claim)) else { unreachable!() };
    assert_eq!((world.status(), world.step("1")), (Status::Assigned, StepStatus::Assigned));
    let start = Command::Start { work: item.work.clone(), attempt: 1 };
    let foreign = world.by(&Actor::agent(agent(2)), start.clone()).unwrap_err();
    assert_eq!(foreign.code(), "STALE_ATTEMPT");
    world.by(&Actor::agent(agent(1)), start.clone()).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["STARTED"], Status::InProgress));
    world.by(&Actor::agent(agent(1)), start).unwrap();
    assert!(world.events().is_empty());
    assert_eq!(world.by(&ann(), Command::Start { work: item.work, attempt: 2 }).unwrap_err().code(), "STALE_ATTEMPT");
}

#[test]
fn a_claim_whose_answer_was_lost_is_answered_again_from_the_lease() {
    let mut world = given_steps(json!([{"action": "a", "params": {"x": 1}}]));
    let item = world.claim(1, "a");
    let lease = &world.task.live_leases()[0];
    assert_eq!((lease.agent, lease.attempt), (agent(1), 1));
    assert_eq!(world.task.held_work(&item.work), Some(item.clone()));
    world.succeed(&item);
    assert_eq!(world.task.held_work(&item.work), None);
}

#[test]
fn an_output_is_kept_and_given_to_the_steps_that_refer_to_it() {
    let mut world = given_steps(json!([
        {"id": "one", "action": "a"},
        {"action": "b", "depends_on": ["one"], "params": {"n": "${steps.one.output.n}", "s": "${steps.1.status}", "t": "key ${secrets.KEY}"}},
    ]));
    assert!(world.try_claim(1, &["b"]).is_err());
    let first = world.claim(1, "a");
    world.succeed_with(&first, json!({"n": 7}));
    let item = world.claim(1, "b");
    assert_eq!(json!(item.params), json!({"n": 7, "s": "COMPLETED", "t": "key ${secrets.KEY}"}));
    world.succeed_with(&item, json!("done"));
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_SUCCEEDED", "COMPLETED"], Status::Completed));
    assert_eq!(world.task.result(), json!({"one": {"n": 7}, "2": "done"}));
}

#[test]
fn parameters_that_refer_to_nothing_fail_the_step_when_it_is_claimed() {
    let mut world = given(
        json!({"title": "x", "max_retries": 0, "plan": {"steps": [{"action": "a", "params": {"x": "${steps.1.output.ghost}"}}]}}),
    );
    assert_eq!(world.try_claim(1, &["a"]), Err(Refusal::NoWork("its parameters refer to nothing")));
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_FAILED", "FAILED"], Status::Failed));
    assert!(world.task.contents.reason.as_ref().unwrap().contains("steps.1.output.ghost"));
}

#[test]
fn an_output_that_is_too_large_is_refused_and_the_lease_stays() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let item = world.claim(1, "a");
    let output = json!("x".repeat(crate::task::report::OUTPUT_MAX));
    let refused = world.report(&item, Outcome::Succeeded(Success { output, ..Success::default() })).unwrap_err();
    assert_eq!(refused.code(), "VALIDATION_FAILED");
    assert!(world.task.holds(&item.work, 1));
}

#[test]
fn a_failed_attempt_is_repeated_after_its_wait() {
    let mut world = given_steps(json!([{"action": "a", "retry_policy": {"initial": "10s", "jitter": 0}}]));
    for (attempt, wait) in [(1, 10), (2, 20)] {
        let item = world.claim(1, "a");
        assert_eq!(item.attempt, attempt);
        world.fail(&item);
        assert_eq!((world.step("1"), world.status()), (StepStatus::Retrying, Status::InProgress));
        assert_eq!(world.task.wake_at(), Some(world.now.plus(wait * 1_000)));
        assert!(world.try_claim(1, &["a"]).is_err());
        world.pass(&format!("{wait}s"));
        assert_eq!(world.events(), ["REOFFERED"]);
    }
    let item = world.claim(1, "a");
    world.fail(&item);
    assert_eq!(world.step("1"), StepStatus::Failed);
}

#[test]
fn the_outside_may_ask_for_more_patience_than_the_policy() {
    let mut world = given_steps(json!([{"action": "a", "retry_policy": {"initial": "1s", "jitter": 0}}]));
    let item = world.claim(1, "a");
    let failure = Failure { retry_after_ms: Some(60_000), ..Failure::new(ErrorClass::RateLimit, "later") };
    world.report(&item, Outcome::Failed(failure)).unwrap();
    assert_eq!(world.task.wake_at(), Some(world.now.plus(60_000)));
}

#[test]
fn what_cannot_get_better_is_not_repeated() {
    for failure in [Failure::final_(ErrorClass::Other, "never"), Failure::new(ErrorClass::Refused, "no")] {
        let mut world = given_steps(json!([{"action": "a", "retry_policy": {"never_on": ["REFUSED"]}}]));
        let item = world.claim(1, "a");
        world.report(&item, Outcome::Failed(failure)).unwrap();
        assert_eq!((world.step("1"), world.status()), (StepStatus::Failed, Status::Retrying));
    }
}

#[test]
fn the_task_goes_on_without_an_optional_step_and_says_so() {
    let mut world = given_steps(json!([{"action": "a", "optional": true}, {"action": "b", "depends_on": ["1"]}]));
    let item = world.claim(1, "a");
    world.fail_for_good(&item);
    world.work_off("b");
    assert_eq!(world.status(), Status::Completed);
    assert_eq!(*world.made("COMPLETED"), crate::event::Event::Completed { gaps: vec!["1".into()] });
}

#[test]
fn a_wrong_attempt_number_changes_nothing_and_is_kept() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let mut item = world.claim(1, "a");
    item.attempt = 2;
    let refused = world.report(&item, Outcome::Succeeded(Success::default())).unwrap_err();
    assert_eq!(refused, Refusal::StaleAttempt { work: item.work, attempt: 2 });
    assert_eq!((world.events(), world.step("1")), (vec!["LATE_REPORT_KEPT"], StepStatus::Running));
}

#[test]
fn an_agent_speaks_for_nobody_else() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let item = world.claim(1, "a");
    let refused = world.report_as(&Actor::agent(agent(2)), &item, Outcome::Succeeded(Success::default())).unwrap_err();
    assert_eq!((refused.code(), world.events()), ("STALE_ATTEMPT", vec!["LATE_REPORT_KEPT"]));
    assert!(world.task.holds(&item.work, item.attempt));
}

#[test]
fn a_liar_does_not_fill_the_log() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let mut item = world.claim(1, "a");
    item.attempt = 9;
    for n in 0..150 {
        let refused = world.report(&item, Outcome::Cancelled).unwrap_err();
        assert_eq!((refused.code(), world.events().len()), ("STALE_ATTEMPT", usize::from(n < 100)));
    }
}

#[test]
fn a_report_whose_answer_was_lost_is_answered_alike() {
    let mut world = given_steps(json!([{"action": "a", "retry_policy": {"initial": "0s"}}, {"action": "b"}]));
    let failed = world.claim(1, "a");
    world.fail(&failed);
    world.fail(&failed);
    assert!(world.events().is_empty());
    let item = world.claim(1, "a");
    world.succeed(&item);
    world.succeed(&item);
    assert!(world.events().is_empty());
    // Another word about the same attempt is no repetition.
    assert_eq!(world.report(&item, Outcome::Cancelled).unwrap_err().code(), "STALE_ATTEMPT");
    let last = world.work_off("b");
    assert_eq!(world.status(), Status::Completed);
    world.succeed(&last);
    assert!(world.events().is_empty());
}

#[test]
fn a_lapsed_lease_counts_as_an_attempt() {
    let mut world = given_steps(json!([{"action": "a", "retry_policy": {"initial": "0s"}}]));
    let item = world.claim(1, "a");
    let lapse = Command::LeaseLapsed { work: item.work.clone(), attempt: 1, counter: 3 };
    // A sign of life since then: the silence is over.
    world.counter = 4;
    assert_eq!(world.by(&Actor::settle(), lapse.clone()), Err(Refusal::AlreadySettled { what: "the lease" }));
    world.counter = 3;
    world.by(&Actor::settle(), lapse.clone()).unwrap();
    assert_eq!(
        (world.events(), world.step("1"), world.status()),
        (vec!["ATTEMPT_FAILED"], StepStatus::Ready, Status::InProgress)
    );
    assert_eq!(world.by(&Actor::settle(), lapse), Err(Refusal::AlreadySettled { what: "the lease" }));
    assert_eq!(world.claim(2, "a").attempt, 2);
    assert_eq!(
        world.report_as(&Actor::agent(agent(1)), &item, Outcome::Succeeded(Success::default())).unwrap_err().code(),
        "STALE_ATTEMPT"
    );
}

#[test]
fn a_task_that_kills_its_agents_cannot_loop() {
    let mut world = given_steps(json!([{"action": "a", "retry_policy": {"initial": "0s"}}]));
    for attempt in 1..=3 {
        world.claim(attempt, "a");
        let lapse = Command::LeaseLapsed { work: WorkKey::Step("1".into()), attempt: attempt.into(), counter: 0 };
        world.by(&Actor::settle(), lapse).unwrap();
    }
    assert_eq!((world.step("1"), world.status()), (StepStatus::Failed, Status::Retrying));
}

#[test]
fn the_work_of_a_silent_agent_waits_for_a_person_where_that_is_the_policy() {
    let mut world = World::new();
    world.policy.on_agent_lost = OnAgentLost::Block;
    world.submit(json!({"title": "x"}));
    let item = world.claim(1, "work");
    world.by(&Actor::settle(), Command::LeaseLapsed { work: item.work.clone(), attempt: 1, counter: 0 }).unwrap();
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::AgentOffline)));
    // Its late word is no repetition of anything it said.
    assert_eq!(world.report(&item, Outcome::Blocked { message: "x".into() }).unwrap_err().code(), "STALE_ATTEMPT");
    world.resume();
    assert_eq!((world.events(), world.status()), (vec!["UNBLOCKED"], Status::InProgress));
    assert_eq!(world.work_off("work").attempt, 2);
}

#[test]
fn an_agent_may_say_that_something_outside_stands_in_the_way() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let item = world.claim(1, "a");
    let blocked = Outcome::Blocked { message: "the door is shut".into() };
    world.report(&item, blocked.clone()).unwrap();
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::External)));
    assert_eq!(world.task.waiting()[0].what, "the door is shut");
    world.report(&item, blocked).unwrap();
    assert!(world.events().is_empty());
    world.resume();
    assert_eq!(world.claim(1, "a").attempt, 2);
}

#[test]
fn each_kind_of_work_is_reported_in_its_own_words() {
    let mut world = given_steps(json!([{"action": "a"}]));
    let item = world.claim(1, "a");
    let judged = Outcome::Judged(judgement(json!({"kind": "CODE_STYLE", "passed": true})));
    assert_eq!(world.report(&item, judged).unwrap_err().code(), "VALIDATION_FAILED");
    let mut world = given(json!({"title": "x", "plan_by_agent": true}));
    let item = world.claim(1, "plan");
    assert_eq!(world.report(&item, Outcome::Succeeded(Success::default())).unwrap_err().code(), "VALIDATION_FAILED");
    assert!(world.task.holds(&item.work, item.attempt));
}

#[test]
fn a_planner_that_fails_or_falls_silent_is_replaced_by_another() {
    let mut world = given(json!({"title": "x", "plan_by_agent": true}));
    let first = world.claim(1, "plan");
    world.fail(&first);
    world.fail(&first);
    assert!(world.events().is_empty());
    world.pass("2s");
    let second = world.claim(2, "plan");
    assert!(second.attempt > first.attempt);
    world.by(&Actor::settle(), Command::LeaseLapsed { work: WorkKey::Plan, attempt: second.attempt, counter: 0 }).unwrap();
    assert!(world.claim(3, "plan").attempt > second.attempt);
}

#[test]
fn strict_mode_gives_one_step_at_a_time_and_waits_for_a_person_between() {
    let mut world = World::new();
    world.judges = judges(&["ann", "bob"]);
    world.submit(json!({"title": "x", "execution_mode": "STRICT", "plan": {"steps": [{"action": "a"}, {"action": "a"}]}}));
    world.vote("ann", crate::review::VoteWord::Approve).unwrap();
    world.vote("bob", crate::review::VoteWord::Approve).unwrap();
    assert_eq!(world.status(), Status::Scheduled);
    let item = world.claim(1, "a");
    assert!(world.try_claim(2, &["a"]).is_err());
    world.succeed(&item);
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::Approval)));
    assert!(world.try_claim(2, &["a"]).is_err());
    let yes = judgement(json!({"kind": "MANUAL_REVIEW", "passed": true}));
    world.ann(Command::Confirm { step: "1".into(), judgement: yes.clone() }).unwrap();
    world.work_off("a");
    world.ann(Command::Confirm { step: "2".into(), judgement: yes }).unwrap();
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_task_may_say_how_long_its_agents_may_be_silent_and_what_follows() {
    let mut world = given(json!({"title": "x", "heartbeat_timeout": "24m", "on_agent_lost": "block",
        "plan": {"steps": [{"id": "a", "action": "work"}, {"id": "b", "action": "work", "heartbeat_timeout": "5s"}]}}));
    let (item, other) = (world.claim(1, "work"), world.claim(2, "work"));
    assert_eq!((item.lease_ms, other.lease_ms), (ms("24m"), ms("5s")));
    world.by(&Actor::settle(), Command::LeaseLapsed { work: item.work.clone(), attempt: 1, counter: 0 }).unwrap();
    assert_eq!(
        (world.events(), world.step("a"), world.step("b")),
        (vec!["STEP_BLOCKED"], StepStatus::Blocked, StepStatus::Running)
    );
    world.succeed(&other);
    let view = world.task.view();
    assert_eq!((view.status, view.block_reason), (Status::Blocked, Some(BlockReason::AgentOffline)));
    assert_eq!((view.on_agent_lost, view.heartbeat_timeout.map(|d| d.ms)), (Some(OnAgentLost::Block), Some(ms("24m"))));
    // The other way round: the house blocks, the task does not.
    let mut world = World::new();
    world.policy.on_agent_lost = OnAgentLost::Block;
    world.submit(json!({"title": "x", "on_agent_lost": "reoffer"}));
    let item = world.claim(1, "work");
    world.by(&Actor::settle(), Command::LeaseLapsed { work: item.work, attempt: 1, counter: 0 }).unwrap();
    assert_eq!((world.events(), world.status()), (vec!["ATTEMPT_FAILED"], Status::InProgress));
}

#[test]
fn a_task_for_one_agent_is_for_nobody_else_until_it_is_handed_over() {
    let mut world = given(json!({"title": "x", "agent": agent(1), "on_agent_lost": "block", "plan": {"steps": [
        {"id": "a", "action": "work"}, {"id": "b", "action": "work", "needs": ["a"]},
        {"id": "own", "action": "work", "agent": agent(3)}]}}));
    assert_eq!(world.try_claim(2, &["work"]).unwrap_err().code(), "NO_WORK");
    let item = world.claim(1, "work");
    world.by(&Actor::settle(), Command::LeaseLapsed { work: item.work, attempt: 1, counter: 0 }).unwrap();
    let takes_over = |n| Command::Modify(Box::new(Changes { agent: Some(agent(n)), ..Changes::default() }));
    world.ann(takes_over(2)).unwrap();
    assert_eq!(world.events(), ["MODIFIED"]);
    world.resume();
    // What is offered already changes hands as well.
    world.ann(takes_over(4)).unwrap();
    for other in [1, 2] {
        assert_eq!(world.try_claim(other, &["work"]).unwrap_err().code(), "NO_WORK");
    }
    for step in ["a", "b"] {
        let item = world.claim(4, "work");
        world.succeed(&item);
        assert_eq!(world.step(step), StepStatus::Completed);
    }
    // What names an agent itself stays with it.
    assert_eq!(world.try_claim(4, &["work"]).unwrap_err().code(), "NO_WORK");
    let item = world.claim(3, "work");
    world.succeed(&item);
    assert_eq!((world.status(), world.task.view().agent), (Status::Completed, Some(agent(4))));
}

#[test]
fn a_new_plan_is_for_the_same_agent() {
    let mut world = given(json!({"title": "x", "agent": agent(1)}));
    world.propose(json!({"steps": [{"id": "new", "action": "work"}]})).unwrap();
    assert_eq!(world.try_claim(2, &["work"]).unwrap_err().code(), "NO_WORK");
    let item = world.claim(1, "work");
    world.succeed(&item);
    assert_eq!(world.status(), Status::Completed);
}
