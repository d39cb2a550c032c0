//! What a task may use: set aside, counted, crossed, lent.

use super::models::with_models;
use super::world::*;
use crate::budget::{Amount, Budget, BudgetOf, OnBudget, Usage};
use crate::command::{Changes, Command, Refusal};
use crate::event::{Actor, EndReason, Event, Letter, ModelCause};
use crate::spec::ErrorClass;
use crate::status::{BlockReason, Status};
use crate::work::{Failure, Outcome, Success, WorkItem};
use serde_json::{Value, json};

fn tokens(n: u64) -> Amount {
    Amount { tokens: n, ..Amount::default() }
}

/// An attempt that worked and used this many tokens.
fn used(n: u64) -> Outcome {
    Outcome::Succeeded(Success { usage: Some(Usage { tokens: n, ..Usage::default() }), ..Success::default() })
}

fn of_tokens(n: u64, steps: Value) -> World {
    given(json!({"title": "x", "budget": {"tokens": n}, "plan": {"steps": steps}}))
}

fn needing(n: u64) -> Value {
    json!({"action": "a", "reserve": {"tokens": n}})
}

fn raise(world: &mut World, budget: Value) -> Result<crate::command::Answer, Refusal> {
    let budget: Option<Budget> = Some(serde_json::from_value(budget).unwrap());
    world.ann(Command::Modify(Box::new(Changes { budget, ..Changes::default() })))
}

fn lapse(world: &mut World, item: &WorkItem) {
    let command = Command::LeaseLapsed { work: item.work.clone(), attempt: item.attempt, counter: 0 };
    world.by(&Actor::settle(), command).unwrap();
}

#[test]
fn what_a_step_needs_is_set_aside_and_what_it_used_is_counted_in_its_place() {
    let mut world = of_tokens(1_000, json!([needing(400), needing(400)]));
    let item = world.claim(1, "a");
    let Event::Assigned(assigned) = world.made("ASSIGNED") else { panic!() };
    assert_eq!(assigned.reserved, Some(tokens(400)));
    let account = world.task.view().budget.unwrap();
    assert_eq!((account.reserved, account.left.tokens), (tokens(400), Some(600)));
    world.report(&item, used(150)).unwrap();
    let account = world.task.view().budget.unwrap();
    assert_eq!((account.used, account.reserved, account.left.tokens), (tokens(150), Amount::default(), Some(850)));
    // Who says nothing has used what was set aside.
    let item = world.claim(1, "a");
    world.succeed(&item);
    assert_eq!((world.task.spent(), world.status()), (tokens(550), Status::Completed));
}

#[test]
fn an_agent_that_falls_silent_has_used_what_was_set_aside_and_one_that_gives_back_nothing() {
    let mut world = of_tokens(1_000, json!([needing(400)]));
    let item = world.claim(1, "a");
    lapse(&mut world, &item);
    assert_eq!(world.task.spent(), tokens(400));
    world.pass("1m");
    let item = world.claim(2, "a");
    world.report(&item, Outcome::Cancelled).unwrap();
    assert_eq!(world.task.spent(), tokens(400));
    world.pass("10m");
    let item = world.claim(2, "a");
    let failure = Failure { usage: Some(Usage { tokens: 30, ..Usage::default() }), ..Failure::new(ErrorClass::Other, "no") };
    world.report(&item, Outcome::Failed(failure)).unwrap();
    assert_eq!((world.task.spent(), world.task.view().budget.unwrap().reserved), (tokens(430), Amount::default()));
}

#[test]
fn a_step_waits_for_what_others_set_aside_and_begins_when_they_used_less() {
    let mut world = of_tokens(1_000, json!([needing(600), needing(600)]));
    let first = world.claim(1, "a");
    assert_eq!(world.task.open_keys(), None, "beside it there is not enough");
    assert!(world.task.waiting().iter().any(|w| w.reason == "BUDGET" && w.step.as_deref() == Some("2")));
    assert_eq!(world.status(), Status::InProgress);
    world.report(&first, used(100)).unwrap();
    assert_eq!(world.claim(2, "a").work, crate::work::WorkKey::Step("2".into()));
}

#[test]
fn a_budget_that_does_not_suffice_asks_a_person_and_goes_on_when_it_is_raised() {
    let mut world = of_tokens(1_000, json!([needing(600), needing(600)]));
    let first = world.claim(1, "a");
    world.report(&first, used(700)).unwrap();
    assert!(world.events().contains(&"BUDGET_CROSSED"), "{:?}", world.events());
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::Budget)));
    assert!(world.try_claim(1, &["a"]).is_err());
    let asked = world.task.questions();
    assert_eq!((asked.len(), asked[0].reason.word()), (1, "BUDGET"));
    assert!(asked[0].acts[0].command.contains("--budget tokens") && asked[0].why[0] == "700 of 1000 are used", "{asked:#?}");
    let resumed = world.ann(Command::Resume { reason: String::new() });
    assert!(resumed.unwrap_err().to_string().contains("raise its budget"));
    let agent = Actor::agent(agent(1));
    let more = Changes { budget: Some(Budget { tokens: Some(9_999), ..Budget::default() }), ..Changes::default() };
    assert!(matches!(world.by(&agent, Command::Modify(Box::new(more))), Err(Refusal::Forbidden(_))));
    raise(&mut world, json!({"tokens": 1_200})).unwrap();
    assert_eq!(world.events(), ["MODIFIED", "BUDGET_CROSSED"], "that is not enough either");
    raise(&mut world, json!({"tokens": 1_300})).unwrap();
    assert_eq!(world.status(), Status::InProgress);
    world.work_off("a");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn where_it_stops_the_task_fails_and_says_why() {
    let steps = json!([needing(600), needing(600)]);
    let mut world = given(
        json!({"title": "x", "budget": {"tokens": 1_000}, "on_budget": "stop", "plan": {"steps": steps, "sequential": true}}),
    );
    let first = world.claim(1, "a");
    world.report(&first, used(500)).unwrap();
    assert_eq!(world.events(), ["ATTEMPT_SUCCEEDED", "BUDGET_CROSSED", "FAILED"]);
    let Event::BudgetCrossed(crossed) = world.made("BUDGET_CROSSED") else { panic!() };
    let told = (crossed.of, crossed.limit, crossed.used, crossed.needed, crossed.then);
    assert_eq!(told, (BudgetOf::Tokens, 1_000, 500, 600, OnBudget::Stop));
    let end = world.task.end().unwrap();
    assert_eq!((end.status, end.reason, end.recoverable), (Status::Failed, Some(EndReason::Budget), true));
}

fn priced() -> Value {
    json!({
        "catalogue": {"p": {"cost_out": 100_000}, "q": {"cost_in": 20_000}, "r": {"cost_in": 1_000}},
        "default": {"primary": "p", "fallbacks": ["q", "r"]},
    })
}

#[test]
fn a_cheaper_model_takes_the_place_of_one_that_costs_more_than_is_left() {
    let step = json!({"action": "model.generate", "reserve": {"tokens": 10_000}});
    let request = json!({"title": "x", "budget": {"cost": 50_000}, "on_budget": "degrade_model", "plan": {"steps": [step, step, step], "sequential": true}});
    let mut world = with_models(priced(), request);
    // Ten thousand tokens of p cost a dollar, of q 20 cents, of r one cent; there are five.
    assert_eq!(world.events(), ["SUBMITTED", "MODEL_CHANGED", "MODEL_CHANGED"]);
    let Event::ModelChanged(changed) = world.made("MODEL_CHANGED") else { panic!() };
    assert_eq!((&*changed.from, &*changed.to, changed.cause), ("q", "r", ModelCause::Budget));
    let item = world.claim(1, "model.generate");
    let Event::Assigned(assigned) = world.made("ASSIGNED") else { panic!() };
    assert_eq!((item.model.as_deref(), assigned.reserved.unwrap().cost), (Some("r"), 10_000));
    world.report(&item, used(45_000)).unwrap();
    assert_eq!(world.task.spent().cost, 45_000, "tokens at the price of the model they were used with");
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::Budget)), "nothing is cheaper");
}

#[test]
fn a_model_is_not_asked_for_nothing_and_what_is_overdrawn_stops_everything() {
    let mut world = given(json!({"title": "x", "budget": {"tokens": 100}, "plan": {"sequential": true, "steps": [
        {"action": "a"}, {"action": "a"}, {"action": "a", "model": "m"}]}}));
    let item = world.claim(1, "a");
    world.report(&item, used(100)).unwrap();
    world.work_off("a");
    assert_eq!(world.task.block_reason(), Some(BlockReason::Budget), "all is used, and a model takes at least one more");
    let mut world = of_tokens(100, json!([{"action": "a"}, {"action": "a"}]));
    let item = world.claim(1, "a");
    world.report(&item, used(101)).unwrap();
    assert_eq!(world.task.block_reason(), Some(BlockReason::Budget));
}

#[test]
fn when_its_time_is_up_nothing_new_begins() {
    let mut world =
        given(json!({"title": "x", "budget": {"wall_time": "10m"}, "plan": {"steps": [{"action": "a"}, {"action": "a"}]}}));
    world.pass("1h");
    assert_eq!(world.status(), Status::Scheduled, "time counts from the first start");
    let item = world.claim(1, "a");
    world.pass("11m");
    assert!(world.try_claim(2, &["a"]).is_err());
    assert_eq!(world.status(), Status::InProgress, "what runs goes on");
    world.succeed(&item);
    assert_eq!((world.status(), world.task.block_reason()), (Status::Blocked, Some(BlockReason::Budget)));
    assert!(raise(&mut world, json!({"wall_time": "10m"})).unwrap_err().to_string().contains("budget.wall_time"));
    raise(&mut world, json!({"wall_time": "1h"})).unwrap();
    world.work_off("a");
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn what_is_done_when_its_time_is_up_is_done() {
    let mut world = given(json!({"title": "x", "budget": {"wall_time": "10m"}, "plan": {"steps": [{"action": "a"}]}}));
    let item = world.claim(1, "a");
    world.pass("11m");
    assert_eq!(world.task.questions().len(), 1);
    world.succeed(&item);
    assert_eq!(world.status(), Status::Completed);
}

#[test]
fn a_child_may_use_no_more_than_its_task_has_left_and_what_it_used_comes_back() {
    let part = json!({"request": {"title": "part", "action": "b", "budget": {"tokens": 5_000, "tool_calls": 3}}});
    let steps = json!([needing(300), {"action": "task.run", "params": part, "needs": ["1"]}, {"action": "a", "needs": ["2"]}]);
    let mut world = of_tokens(1_000, steps);
    let item = world.claim(1, "a");
    world.report(&item, used(300)).unwrap();
    let birth = world.births()[0].clone();
    let terms = birth.submission.facts.budget.as_deref().copied().unwrap();
    assert_eq!(
        (terms.cap.tokens, terms.cap.tool_calls, terms.drawn),
        (Some(700), Some(3), true),
        "it asked for more than there is"
    );
    let account = world.task.view().budget.unwrap();
    assert_eq!((account.lent, account.left.tokens), (tokens(700), Some(0)));
    let mut child = World::born(birth);
    let item = child.claim(2, "b");
    child.report(&item, used(200)).unwrap();
    let (to, letter) = child.mail().remove(0);
    assert_eq!(to, world.task.id);
    assert!(matches!(&letter, Letter::ChildEnded { used: Some(used), .. } if *used == tokens(200)), "{letter:?}");
    world.take(letter);
    let account = world.task.view().budget.unwrap();
    assert_eq!((account.used, account.lent, account.left.tokens), (tokens(500), Amount::default(), Some(500)));
    let more = raise(&mut child, json!({"tokens": 1}));
    assert!(more.is_err(), "it has ended");
}

#[test]
fn a_child_is_lent_what_its_step_sets_aside_and_is_not_raised_by_itself() {
    let child =
        |n: u64| json!({"action": "task.run", "reserve": {"tokens": n}, "params": {"request": {"title": "part", "action": "b"}}});
    let world = of_tokens(1_000, json!([child(600), child(300)]));
    let caps: Vec<_> = world.births().iter().map(|b| b.submission.facts.budget.as_ref().unwrap().cap.tokens).collect();
    assert_eq!(caps, [Some(600), Some(300)]);
    let mut child = World::born(world.births()[0].clone());
    let why = raise(&mut child, json!({"tokens": 700})).unwrap_err().to_string();
    assert!(why.contains(&world.task.id.to_string()), "{why}");
    raise(&mut child, json!({"tokens": 500})).unwrap();
    assert_eq!(child.task.view().budget.unwrap().cap.tokens, Some(500), "less is no harm to anybody");
}

#[test]
fn what_is_lent_to_a_child_that_says_nothing_counts_as_used() {
    let step = json!({"action": "task.run", "reserve": {"tokens": 600}, "params": {"request": {"title": "part", "action": "b"}}});
    let mut world = of_tokens(1_000, json!([step, needing(100)]));
    let child = world.births()[0].id;
    // As an earlier release wrote it.
    world.take(Letter::ChildEnded { child, step: Some("1".into()), status: Status::Completed, used: None });
    assert_eq!(world.task.spent(), tokens(600));
    world.cancel(true).unwrap();
    assert_eq!(world.task.spent(), tokens(600));
    let mut world = of_tokens(
        1_000,
        json!([{"action": "task.run", "reserve": {"tokens": 600}, "params": {"request": {"title": "part", "action": "b"}}}]),
    );
    world.cancel(true).unwrap();
    assert_eq!(world.task.spent(), tokens(600), "whoever goes on may use all of it");
}

#[test]
fn what_is_approved_is_approved_within_a_budget() {
    let mut world = World::under(ASKS, json!({"title": "x", "budget": {"tokens": 100}, "plan": {"steps": [{"action": "a"}]}}));
    assert!(world.try_claim(1, &["a"]).is_err());
    world.ann(Command::Approve(Box::new(word_on("1", true)))).unwrap();
    raise(&mut world, json!({"tokens": 200})).unwrap();
    assert!(world.try_claim(1, &["a"]).is_err(), "more may be spent than was approved");
    assert_eq!(world.events(), ["APPROVAL_ASKED"]);
    world.ann(Command::Approve(Box::new(word_on("1", true)))).unwrap();
    world.claim(1, "a");
}

#[test]
fn the_house_may_have_a_budget_for_those_who_say_none() {
    let mut world = World::new();
    let own = json!({"cap": {"tokens": 50}, "reserve": {"tokens": 20}, "on_crossing": "stop"});
    world.policy.budget = serde_json::from_value(own).unwrap();
    world.submit(json!({"title": "x", "plan": {"steps": [{"action": "model.generate"}, {"action": "a"}]}}));
    world.claim(1, "model.generate");
    let Event::Assigned(assigned) = world.made("ASSIGNED") else { panic!() };
    assert_eq!(assigned.reserved, Some(tokens(20)));
    world.claim(2, "a");
    let Event::Assigned(assigned) = world.made("ASSIGNED") else { panic!() };
    assert_eq!(assigned.reserved, Some(Amount::default()), "what uses no model sets nothing aside unless it says so");
}

#[test]
fn without_a_budget_nothing_is_kept_but_what_was_said() {
    let mut world = given_steps(json!([needing(5), {"action": "a"}]));
    let item = world.claim(1, "a");
    let Event::Assigned(assigned) = world.made("ASSIGNED") else { panic!() };
    assert_eq!(assigned.reserved, None);
    world.report(&item, used(7)).unwrap();
    let Event::AttemptSucceeded(done) = world.made("ATTEMPT_SUCCEEDED") else { panic!() };
    assert_eq!((done.used, done.metrics["tokens"].as_u64()), (Some(tokens(7)), Some(7)), "receipts and figures add that up");
    let view = world.task.view();
    assert_eq!((view.budget, view.usage), (None, tokens(7)));
}

/// Whatever happens, in whatever order: nothing is set aside beyond what there is, nothing set aside is left when nobody holds it, and the
/// end leaves no debt.
#[test]
fn the_account_never_leaks_whatever_happens() {
    for seed in 1..200u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = |n: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % n
        };
        let steps: Vec<Value> = (0..4).map(|_| json!({"action": "a", "reserve": {"tokens": below(60)}, "retry": {"max_attempts": 3, "jitter": 0.0}, "optional": true})).collect();
        let on = ["ask", "stop", "degrade_model"][below(3) as usize];
        let mut world =
            given(json!({"title": "x", "budget": {"tokens": 100}, "on_budget": on, "max_retries": 1, "plan": {"steps": steps}}));
        let mut held: Vec<WorkItem> = Vec::new();
        let mut cap = 100;
        for _ in 0..40 {
            let before = world.task.spent().tokens;
            match below(8) {
                0..3 => {
                    if let Ok(item) = world.try_claim(1, &["a"]) {
                        let account = world.task.view().budget.unwrap();
                        assert!(account.used.tokens + account.reserved.tokens <= cap, "seed {seed}: {account:?}");
                        held.push(item);
                    }
                }
                n @ 3..6 if !held.is_empty() => {
                    let item = held.remove(below(held.len() as u64) as usize);
                    let spent = below(50);
                    let usage = Some(Usage { tokens: spent, ..Usage::default() }).filter(|_| below(3) > 0);
                    let outcome = match n {
                        3 => Outcome::Succeeded(Success { usage, ..Success::default() }),
                        4 => Outcome::Failed(Failure { usage, ..Failure::new(ErrorClass::Other, "no") }),
                        _ => Outcome::Cancelled,
                    };
                    let _late = world.report(&item, outcome);
                }
                6 if !held.is_empty() => {
                    let item = held.remove(0);
                    let command = Command::LeaseLapsed { work: item.work.clone(), attempt: item.attempt, counter: 0 };
                    let _gone = world.by(&Actor::settle(), command);
                }
                7 if below(4) == 0 && world.task.end().is_none() => {
                    cap += below(40);
                    let _same = raise(&mut world, json!({"tokens": cap}));
                }
                _ => world.pass("2s"),
            }
            assert!(world.task.spent().tokens >= before, "seed {seed}: what is used is used");
            let Some(account) = world.task.view().budget else { continue };
            let held_now = world.task.live_leases().len();
            assert!(held_now > 0 || account.reserved.is_nothing(), "seed {seed}: {account:?} with nobody at work");
            let left = cap.saturating_sub(account.used.tokens + account.reserved.tokens);
            assert_eq!(account.left.tokens, Some(left), "seed {seed}");
        }
        if world.task.end().is_none() {
            world.cancel(true).unwrap();
        }
        let account = world.task.view().budget.unwrap();
        assert!(account.reserved.is_nothing() && account.lent.is_nothing(), "seed {seed}: {account:?}");
    }
}
