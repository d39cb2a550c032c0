//! Work that waits too long for an agent, as the writer keeps it: what is born with the event, and who holds what afterwards.

use super::*;
use ephor_core::event::ReassignCause;
use ephor_core::policy::{OnAgentLost, StallStrategy};
use ephor_core::spec::Priority;

/// A little more than an hour, in milliseconds.
const TOO_LONG: u64 = 3_600_001;

fn strategy(stall_strategy: StallStrategy) -> Desk {
    desk_of(Policy { stall_strategy, ..Policy::default() })
}

impl Desk {
    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.follow();
    }
}

#[test]
fn an_investigation_is_born_in_the_commit_of_its_event_and_bears_its_name() {
    let mut desk = strategy(StallStrategy::Escalate);
    let task = desk.submit(json!({"title": "x", "namespace": "billing"}));
    desk.pass(TOO_LONG);
    let Some(Event::StallEscalated { task: investigation }) = desk.events(task).last().cloned() else {
        panic!("{:?}", desk.events(task))
    };
    let born = desk.task(investigation);
    assert_eq!((born.facts.related, born.facts.priority, born.status()), (Some(task), Priority::High, Status::Scheduled));
    let name = born.facts.external_id.clone().unwrap();
    assert!(name.starts_with(&format!("escalation_{task}_")), "{name}");
    // Both in one transaction: nothing of one without the other.
    let reader = desk.store.reader();
    let of = |id: TaskId| reader.stream_events(id.into(), 0, u32::MAX).unwrap();
    let (told, born_at) = (of(task).last().unwrap().position, of(investigation)[0].position);
    assert_eq!(born_at, told + 1);
    // Its name is taken as any other is.
    let (_, again) = desk.submission(&ann(), json!({"title": "y", "namespace": "billing", "external_id": name}));
    assert!(
        matches!(desk.batch(vec![again]).remove(0), Reply::One(Err(Refusal::NameTaken { existing })) if existing == investigation)
    );
    desk.pass(50 * TOO_LONG);
    let kinds: Vec<_> = desk.events(task).iter().map(Event::kind).collect();
    assert_eq!(kinds, ["SUBMITTED", "STALL_ESCALATED"], "once");
    assert_eq!(desk.events(investigation).iter().map(Event::kind).collect::<Vec<_>>(), ["SUBMITTED", "STALL_NOTED"]);
    desk.healthy();
}

#[test]
fn an_investigation_that_is_not_written_is_missed() {
    let mut desk = strategy(StallStrategy::Escalate);
    desk.submit(json!({"title": "x"}));
    planted::plant(Some(Fault::BirthLost));
    desk.pass(TOO_LONG);
    planted::plant(None);
    let report = doctor::doctor(&*desk.store.reader(), desk.now).unwrap();
    assert!(report.findings.iter().any(|finding| finding.what.contains("was born from it")), "{:?}", report.findings);
}

#[test]
fn who_claimed_and_did_not_begin_loses_its_lease_and_another_gets_the_work() {
    let mut desk = strategy(StallStrategy::Reassign);
    let (first, second) = (desk.agent(&["work"]), desk.agent(&["work"]));
    let task = desk.submit(json!({"title": "x"}));
    let item = desk.claim(ClaimRequest { start: false, ..wish(first, 1) }).remove(0);
    desk.pass(TOO_LONG);
    assert!(matches!(desk.events(task).last(), Some(Event::Reassigned(what)) if what.cause == ReassignCause::Stalled));
    assert_eq!(desk.writer.leases().len(), 0);
    let beat = Heartbeat { task_id: task, work: item.work.clone(), attempt: item.attempt, progress: None, message: None };
    assert_eq!(desk.writer.leases().beat(&beat, first, 0).then, Then::Stale);
    let again = desk.claim(wish(second, 2)).remove(0);
    assert!(again.attempt > item.attempt);
    desk.healthy();
}

#[test]
fn a_stalled_task_is_offered_on_and_goes_to_who_comes() {
    let mut desk = strategy(StallStrategy::MarkStalled);
    let task = desk.submit(json!({"title": "x"}));
    desk.pass(TOO_LONG);
    assert_eq!(desk.status(task), Status::Stalled);
    let agent = desk.agent(&["work"]);
    assert_eq!(desk.claim(wish(agent, 1)).len(), 1);
    assert_eq!(desk.status(task), Status::InProgress);
    desk.healthy();
}

#[test]
fn what_is_blocked_because_of_a_silent_agent_goes_to_others_by_command_or_after_its_time() {
    let wait = ephor_core::time::WireDuration { ms: 60_000 };
    for by_itself in [false, true] {
        let policy = Policy { on_agent_lost: OnAgentLost::Block, reassign_after: by_itself.then_some(wait), ..Policy::default() };
        let mut desk = desk_of(policy);
        let (first, second) = (desk.agent(&["work"]), desk.agent(&["work"]));
        let task = desk.submit(json!({"title": "x", "agent": first}));
        let item = desk.claim(wish(first, 1)).remove(0);
        let lapse = Command::LeaseLapsed { work: item.work.clone(), attempt: item.attempt, counter: 0 };
        desk.done(Job::Task { task, command: lapse, actor: Actor::settle() });
        assert_eq!(desk.status(task), Status::Blocked);
        assert!(desk.claim(wish(second, 2)).is_empty());
        match by_itself {
            true => desk.pass(60_000),
            false => drop(desk.done(ask(task, Command::Reassign { agent: None, reason: "away".into() }))),
        }
        let again = desk.claim(wish(second, 3)).remove(0);
        // The word of the first is kept, and changes nothing.
        let late = Command::Report {
            work: item.work,
            attempt: item.attempt,
            outcome: Box::new(Outcome::Succeeded(Success::default())),
            plan: None,
        };
        let answer = desk.batch(vec![Job::Task { task, command: late, actor: Actor::agent(first) }]).remove(0);
        assert!(matches!(answer, Reply::One(Err(Refusal::StaleAttempt { .. }))), "{answer:?}");
        assert!(matches!(desk.events(task).last(), Some(Event::LateReportKept { .. })));
        let done = Command::Report {
            work: again.work,
            attempt: again.attempt,
            outcome: Box::new(Outcome::Succeeded(Success::default())),
            plan: None,
        };
        desk.done(Job::Task { task, command: done, actor: Actor::agent(second) });
        assert_eq!(desk.status(task), Status::Completed);
        desk.healthy();
    }
}
