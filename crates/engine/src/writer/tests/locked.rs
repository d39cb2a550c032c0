//! A store that another program keeps locked to those who read: whoever asks hears that, nothing of what was decided stands, and the
//! writer goes on as soon as it can.

use super::*;

/// The same desk with another writer, which has nothing in memory yet.
fn reopened(desk: Desk) -> Desk {
    let (leases, store) = (Arc::new(Mutex::new(Leases::default())), desk.store.crash());
    let entropy = Box::new(SystemEntropy::default());
    let writer =
        Writer::start(store.clone(), super::house_of(desk.writer.policy.clone()), entropy, leases, 1 << 20, desk.now, 0).unwrap();
    Desk { writer, store, ..desk }
}

fn pause() -> Command {
    Command::Pause { reason: "lunch".into(), stop_running: false }
}

#[test]
fn a_batch_that_cannot_be_decided_is_answered_and_nothing_of_it_stands() {
    let mut desk = desk();
    let old = desk.submit(json!({"title": "old", "action": "work"}));
    let agent = desk.agent(&["work"]);
    let mut desk = reopened(desk);
    let (new, submission) = desk.submission(&ann(), json!({"title": "new", "action": "work"}));
    let written = desk.store.reader().position().unwrap();
    desk.store.keep_locked(true);
    let claim = Job::Claim(Claim { wish: wish(agent, 1), until: 0, held_first: false });
    let replies = desk.batch(vec![submission, ask(old, pause()), ask(old, pause()), claim]);
    assert!(replies.len() == 4 && replies.iter().all(|reply| matches!(reply, Reply::Busy)), "{replies:?}");
    assert!(desk.writer.is_hampered());
    assert_eq!(desk.store.reader().position().unwrap(), written);
    desk.store.keep_locked(false);
    assert_eq!(desk.store.reader().status(new.into()).unwrap(), None, "nobody was told that it was born");
    assert_eq!(desk.done(ask(old, pause())).status, Status::Paused);
    assert!(!desk.writer.is_hampered());
    desk.done(ask(old, Command::Resume { reason: String::new() }));
    assert_eq!(desk.claim(wish(agent, 2)).len(), 1);
    desk.healthy();
}

#[test]
fn whoever_waits_for_work_hears_that_it_cannot_be_looked_for() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    let waiting = Job::Claim(Claim { wish: wish(agent, 1), until: 60_000, held_first: false });
    assert!(desk.batch(vec![waiting]).is_empty(), "there is nothing to do");
    let task = desk.submission(&ann(), json!({"title": "x", "action": "work"})).1;
    // What was offered is looked up once more where the queue was read anew.
    desk.writer.forget();
    desk.store.keep_locked(true);
    let mut jobs: Jobs = [(FIRST + 7, task)].into();
    let replies = desk.writer.batch(&mut jobs, desk.now, 0).unwrap();
    assert!(replies.iter().all(|(_, reply)| matches!(reply, Reply::Busy)), "{replies:?}");
    assert!(replies.iter().any(|(ticket, _)| *ticket == FIRST + 7), "{replies:?}");
    desk.store.keep_locked(false);
    let task = desk.submit(json!({"title": "y", "action": "work"}));
    desk.follow();
    let items = desk.claim(wish(agent, 2));
    assert!(items.iter().all(|item| item.task_id == task), "{items:?}");
    desk.healthy();
}

#[test]
fn a_letter_is_not_lost_with_the_batch_that_took_it() {
    let mut desk = desk();
    let request = json!({"title": "child", "action": "work"});
    let child = json!({"title": "parent", "plan": {"steps": [
        {"id": "c", "action": "task.run", "params": {"request": request}}]}});
    let parent = desk.submit(child);
    desk.follow();
    let agent = desk.agent(&["work"]);
    let item = desk.claim(wish(agent, 1)).remove(0);
    let outcome = Box::new(Outcome::Succeeded(Success::default()));
    let report = Command::Report { work: item.work.clone(), attempt: item.attempt, outcome, plan: None };
    desk.batch(vec![Job::Task { task: item.task_id, command: report, actor: Actor::agent(agent) }]);
    desk.store.keep_locked(true);
    for _ in 0..3 {
        desk.batch(Vec::new());
    }
    assert_ne!(desk.status(parent), Status::Completed);
    desk.store.keep_locked(false);
    desk.follow();
    assert_eq!(desk.status(parent), Status::Completed, "{:?}", desk.events(parent));
    desk.healthy();
}
