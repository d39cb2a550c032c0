//! Runs of a recurring task: when the next one is born and due, and what becomes of those that were missed or meet another.

use super::world::*;
use crate::event::{EndReason, Event, Letter};
use crate::status::Status;
use crate::time::{Time, WireTime};
use serde_json::{Value, json};

/// A task that comes again every hour, three times in all.
fn recurring(more: Value) -> World {
    let mut request = json!({"title": "x", "recurrence": {"every": "1h", "times": 3}, "external_id": "mine"});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    given(request)
}

#[test]
fn the_next_run_is_born_when_this_one_ends() {
    let mut world = recurring(json!({"deadline": START.plus(ms("30m")).to_string()}));
    world.work_off("work");
    let births = world.births();
    let facts = &births[0].submission.facts;
    assert_eq!((facts.due_at, facts.run, facts.released), (Some(START.plus(ms("1h"))), Some(2), false));
    assert_eq!((facts.deadline, &facts.external_id), (Some(START.plus(ms("90m"))), &None));
    assert_eq!(births[0].submission.text.title, "x");
}

#[test]
fn runs_that_were_missed_are_left_out() {
    let mut world = recurring(json!({}));
    world.pass("3h");
    world.pass("1m");
    world.work_off("work");
    assert_eq!(world.births()[0].submission.facts.due_at, Some(START.plus(ms("4h"))));
}

#[test]
fn a_failed_run_does_not_end_the_series_but_a_cancelled_or_stopped_one_does() {
    let mut world = recurring(json!({"max_retries": 0}));
    let item = world.claim(1, "work");
    world.fail_for_good(&item);
    assert_eq!((world.status(), world.births().len()), (Status::Failed, 1));
    let mut world = recurring(json!({}));
    world.cancel(true).unwrap();
    assert!(world.births().is_empty());
}

#[test]
fn the_last_run_is_the_last() {
    let mut world = recurring(json!({"recurrence": {"every": "1h", "times": 1}}));
    world.work_off("work");
    assert!(world.births().is_empty());
}

#[test]
fn the_next_run_follows_the_last_plan_with_its_own_words_and_without_what_came_of_lists() {
    let mut world = recurring(json!({"plan": {"steps": [{"action": "a"}]}}));
    world.propose(json!({"steps": [{"action": "b", "title": "each", "for_each": "[1, 2]"}, {"action": "c", "title": "after", "depends_on": ["1"]}]})).unwrap();
    world.work_off("b");
    world.work_off("b");
    world.work_off("c");
    let next = &world.births()[0].submission;
    let titles: Vec<&str> = next.text.steps.iter().map(|s| &*s.title).collect();
    assert_eq!((next.facts.plan.as_ref().unwrap().steps.len(), titles), (2, vec!["each", "after"]));
}

/// The due time of the only task that was born.
fn next_due(world: &World) -> Time {
    let births = world.births();
    assert_eq!(births.len(), 1, "{:?}", world.events());
    births[0].submission.facts.due_at.unwrap()
}

/// A task that comes again every hour and was first due in an hour.
fn hourly(overlap: &str, catch_up: &str) -> World {
    let recurrence = json!({"every": "1h", "overlap": overlap, "catch_up": catch_up});
    recurring(json!({"recurrence": recurrence, "due_at": START.plus(ms("1h")).to_string()}))
}

#[test]
fn by_the_calendar_also_the_first_run_waits_for_its_time() {
    let mut world = recurring(json!({"recurrence": {"cron": "30 * * * *", "times": 2}}));
    let due = world.task.facts.due_at.unwrap();
    assert!(due > START && due.since(START) == ms("30m"), "{due}");
    assert_eq!(world.status(), Status::Pending);
    assert_eq!(world.task.next_runs(world.now), [WireTime(due), WireTime(due.plus(ms("1h")))], "two in all");
    world.now = due;
    world.pass("1s");
    world.work_off("work");
    assert_eq!(next_due(&world), due.plus(ms("1h")));
}

#[test]
fn a_run_that_is_due_while_another_goes_on_is_left_out_or_waits_for_it() {
    for (overlap, due) in [("SKIP", "3h"), ("QUEUE", "2h")] {
        let mut world = hourly(overlap, "ONE");
        world.pass("1h");
        let item = world.claim(1, "work");
        assert!(world.births().is_empty());
        world.now = world.now.plus(ms("1h45m"));
        world.succeed(&item);
        assert_eq!(next_due(&world), START.plus(ms(due)), "{overlap}");
    }
}

#[test]
fn runs_that_may_stand_beside_each_other_are_born_when_the_one_before_is_released() {
    let mut world = hourly("ALLOW", "ONE");
    world.pass("1h");
    assert_eq!(next_due(&world), START.plus(ms("2h")));
    assert_eq!(world.births()[0].submission.facts.previous_run, Some(world.task.id));
    world.work_off("work");
    assert!(world.births().is_empty(), "its end gives birth to no second one");
    // One that ends before it was released has not been followed yet.
    let mut early = hourly("ALLOW", "ONE");
    early.overrule(crate::event::OverrideWord::Fail, None).unwrap();
    assert_eq!((early.status(), next_due(&early)), (Status::Failed, START.plus(ms("2h"))));
    // The first one, released in the same breath in which it was submitted.
    let at_once = recurring(json!({"recurrence": {"every": "1h", "overlap": "ALLOW"}}));
    assert_eq!(next_due(&at_once), START.plus(ms("1h")));
}

#[test]
fn a_run_may_take_the_place_of_the_one_before_it() {
    let mut first = hourly("REPLACE", "ONE");
    first.pass("1h");
    let (letters, birth) = (first.mail(), first.births()[0].clone());
    assert!(letters.is_empty(), "there is none before it");
    let mut second = World::born(birth);
    second.pass("2h");
    assert_eq!(second.mail(), [(first.task.id, Letter::Replaced { by: second.task.id })]);
    first.claim(1, "work");
    first.take(Letter::Replaced { by: second.task.id });
    assert_eq!((first.status(), first.task.end().unwrap().reason), (Status::Cancelled, Some(EndReason::Replaced)));
    assert!(first.births().is_empty());
}

#[test]
fn what_was_missed_while_nobody_could_start_it_comes_once_or_each() {
    for (catch_up, due) in [("ONE", "5h"), ("ALL", "2h")] {
        let mut world = hourly("SKIP", catch_up);
        // Nothing wakes it before: the server was down.
        world.now = world.now.plus(ms("4h30m"));
        world.pass("1s");
        world.work_off("work");
        assert_eq!(next_due(&world), START.plus(ms(due)), "{catch_up}");
    }
}

#[test]
fn a_run_that_is_later_than_it_may_be_is_left_out_and_its_deadline_moves_along() {
    let recurrence = json!({"every": "1h", "catch_up_window": "10m"});
    let (due, deadline) = (START.plus(ms("1h")).to_string(), START.plus(ms("10h")).to_string());
    let mut world = recurring(json!({"recurrence": recurrence, "due_at": due, "deadline": deadline, "queue_timeout": "1m"}));
    world.now = world.now.plus(ms("3h30m"));
    world.pass("1s");
    assert_eq!(world.made("RUN_MISSED"), &Event::RunMissed { due_at: START.plus(ms("4h")) });
    assert_eq!((world.status(), world.task.facts.deadline), (Status::Pending, Some(START.plus(ms("13h")))));
    world.pass("30m");
    assert_eq!(world.events().first(), Some(&"RELEASED"));
    // A little late is not too late.
    world.work_off("work");
    assert_eq!((next_due(&world), world.births()[0].submission.facts.run), (START.plus(ms("5h")), Some(2)));
}

#[test]
fn waiting_for_a_later_time_is_no_stall() {
    let mut world = World::new();
    world.policy.stall_watch = true;
    world.policy.stall_strategy = crate::policy::StallStrategy::MarkStalled;
    world.submit(json!({"title": "x", "due_at": START.plus(ms("1h")).to_string()}));
    let changes = crate::command::Changes { due_at: Some(START.plus(ms("9h"))), ..Default::default() };
    world.ann(crate::command::Command::Modify(Box::new(changes))).unwrap();
    world.pass("8h");
    assert_eq!(world.status(), Status::Pending);
    world.pass("1h");
    world.pass("61m");
    assert_eq!(world.status(), Status::Stalled);
}
