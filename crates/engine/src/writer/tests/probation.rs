//! Agents whose lease lapsed: what they get until they have done some of it well.

use super::*;

fn lapse(desk: &mut Desk, item: &WorkItem) {
    let (work, attempt) = (item.work.clone(), item.attempt);
    let lapse = Command::LeaseLapsed { work, attempt, counter: 0 };
    desk.done(Job::Task { task: item.task_id, command: lapse, actor: Actor::settle() });
}

fn succeed(desk: &mut Desk, agent: AgentId, item: &WorkItem) {
    let outcome = Box::new(Outcome::Succeeded(Success::default()));
    let (work, attempt) = (item.work.clone(), item.attempt);
    let report = Command::Report { work, attempt, outcome, plan: None };
    desk.done(Job::Task { task: item.task_id, command: report, actor: Actor::agent(agent) });
}

fn tasks(desk: &mut Desk, n: usize) {
    for _ in 0..n {
        desk.submit(json!({"title": "x"}));
    }
}

#[test]
fn who_comes_back_from_a_lapse_gets_one_piece_at_a_time_until_one_is_done_well() {
    let mut desk = desk();
    let (agent, other) = (desk.agent(&["work"]), desk.agent(&["work"]));
    tasks(&mut desk, 9);
    let held = desk.claim(ClaimRequest { max: 2, ..wish(agent, 1) });
    assert_eq!((held.len(), desk.writer.leases().probation(agent)), (2, None));
    lapse(&mut desk, &held[0]);
    assert_eq!(desk.writer.leases().probation(agent), Some(1));
    // It still holds the other one: that is what it may hold.
    assert!(desk.claim(wish(agent, 2)).is_empty());
    assert_eq!(desk.claim(ClaimRequest { max: 3, ..wish(other, 3) }).len(), 3, "nobody else is held back");
    lapse(&mut desk, &held[1]);
    let one = desk.claim(wish(agent, 4));
    assert_eq!(one.len(), 1);
    assert!(desk.claim(wish(agent, 5)).is_empty());
    succeed(&mut desk, agent, &one[0]);
    assert_eq!(desk.writer.leases().probation(agent), None);
    assert!(desk.claim(wish(agent, 6)).len() > 1);
    desk.healthy();
}

#[test]
fn two_wishes_in_one_batch_are_no_way_around_it() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    tasks(&mut desk, 5);
    let held = desk.claim(ClaimRequest { max: 1, ..wish(agent, 1) });
    lapse(&mut desk, &held[0]);
    let claim = |n| Job::Claim(Claim { wish: wish(agent, n), until: 0, held_first: false });
    let given: usize = desk
        .batch(vec![claim(2), claim(3)])
        .into_iter()
        .map(|reply| match reply {
            Reply::Work(Ok(items)) => items.len(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(given, 1);
}

#[test]
fn a_wish_that_waits_is_served_as_soon_as_there_is_room_again() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    tasks(&mut desk, 4);
    let held = desk.claim(ClaimRequest { max: 1, ..wish(agent, 1) });
    lapse(&mut desk, &held[0]);
    let one = desk.claim(wish(agent, 2)).remove(0);
    let waits = Job::Claim(Claim { wish: wish(agent, 3), until: 60_000, held_first: false });
    assert!(desk.batch(vec![waits]).is_empty(), "it is parked");
    let outcome = Box::new(Outcome::Succeeded(Success::default()));
    let report = Command::Report { work: one.work, attempt: one.attempt, outcome, plan: None };
    let replies = desk.batch(vec![Job::Task { task: one.task_id, command: report, actor: Actor::agent(agent) }]);
    let given: usize = replies.iter().map(|reply| if let Reply::Work(Ok(items)) = reply { items.len() } else { 0 }).sum();
    assert!(given > 0, "{replies:?}");
}

#[test]
fn the_house_says_how_much_is_enough_or_that_there_is_none_of_it() {
    let strict = Policy { probation_successes: 2, probation_slots: 2, ..Policy::default() };
    let mut desk = desk_of(strict);
    let agent = desk.agent(&["work"]);
    tasks(&mut desk, 9);
    let held = desk.claim(ClaimRequest { max: 1, ..wish(agent, 1) });
    lapse(&mut desk, &held[0]);
    let two = desk.claim(wish(agent, 2));
    assert_eq!(two.len(), 2);
    succeed(&mut desk, agent, &two[0]);
    assert_eq!(desk.writer.leases().probation(agent), Some(1));
    assert_eq!(desk.claim(wish(agent, 3)).len(), 1);
    let mut desk = desk_of(Policy { probation_successes: 0, ..Policy::default() });
    let agent = desk.agent(&["work"]);
    tasks(&mut desk, 5);
    let held = desk.claim(ClaimRequest { max: 1, ..wish(agent, 1) });
    lapse(&mut desk, &held[0]);
    assert!(desk.claim(wish(agent, 2)).len() > 1);
}
