//! Holds, limits and turns, through the writer.

use super::*;
use ephor_core::flow::{Hold, NewLimit, Release, Running, Scope};
use ephor_core::id::HoldId;
use ephor_core::work::{EffectRequest, Heartbeat, Then};

fn hold(n: u8, scope: Scope) -> NamespaceEvent {
    NamespaceEvent::HoldPlaced(Box::new(Hold {
        id: HoldId::new(1, [n; 10]),
        scope,
        running: Running::Stop,
        reason: "fire".into(),
    }))
}

fn lift(n: u8) -> NamespaceEvent {
    NamespaceEvent::HoldLifted { id: HoldId::new(1, [n; 10]) }
}

fn limit(max: u32, per_s: Option<u64>, by: Option<&str>) -> NamespaceEvent {
    let per = per_s.map(|s| ephor_core::time::WireDuration { ms: s * 1_000 });
    let wish = NewLimit { namespace: None, task_type: None, max, per, by: by.map(Into::into) };
    assert_eq!(wish.problems("l"), []);
    NamespaceEvent::LimitSet(Box::new(wish.limit("l")))
}

impl Desk {
    fn fact(&mut self, event: NamespaceEvent) {
        self.done(Job::Namespace { name: "*".into(), event, actor: ann() });
    }

    fn job(&mut self, customer: &str) -> TaskId {
        self.submit(json!({"title": "t", "action": "work", "payload": {"customer": customer}}))
    }

    /// One piece of work for an agent, if there is one.
    fn one(&mut self, agent: AgentId) -> Option<WorkItem> {
        self.made += 1;
        let n = self.made;
        self.claim(ClaimRequest { max: 1, ..wish(agent, n) }).pop()
    }

    fn finish(&mut self, agent: AgentId, item: &WorkItem) {
        let report = Command::Report {
            work: item.work.clone(),
            attempt: item.attempt,
            outcome: Box::new(Outcome::Succeeded(Success::default())),
            plan: None,
        };
        self.done(Job::Task { task: item.task_id, command: report, actor: Actor::agent(agent) });
    }

    /// The same database, taken over by another process.
    fn restart(self) -> Self {
        let store = self.store.crash();
        let leases = Arc::new(Mutex::new(Leases::default()));
        let (policy, entropy) = (Arc::new(Policy::default()), Box::new(SystemEntropy::default()));
        let mono = (self.now.0 - START) as u64;
        let writer = Writer::start(store.clone(), super::house_of(policy), entropy, leases, 1 << 20, self.now, mono).unwrap();
        Self { writer, store, ..self }
    }
}

#[test]
fn no_more_than_a_limit_says_is_with_agents_at_once_and_the_rest_follows_as_places_come_free() {
    let mut desk = desk();
    let agents = [desk.agent(&["work"]), desk.agent(&["work"]), desk.agent(&["work"])];
    desk.fact(limit(2, None, None));
    let tasks: Vec<TaskId> = (0..5).map(|_| desk.job("a")).collect();
    let mut held: Vec<(AgentId, WorkItem)> = Vec::new();
    let mut done = Vec::new();
    for _ in 0..5 {
        for agent in agents {
            if !held.iter().any(|(holder, _)| *holder == agent)
                && let Some(item) = desk.one(agent)
            {
                held.push((agent, item));
            }
            assert!(held.len() <= 2, "{held:?}");
        }
        let (agent, item) = held.remove(0);
        desk.finish(agent, &item);
        done.push(item.task_id);
    }
    assert_eq!(done, tasks);
    desk.healthy();
}

#[test]
fn an_agent_that_waits_is_woken_when_a_place_comes_free() {
    let mut desk = desk();
    let (one, two) = (desk.agent(&["work"]), desk.agent(&["work"]));
    desk.fact(limit(1, None, None));
    desk.job("a");
    let second = desk.job("a");
    let first = desk.one(one).unwrap();
    let waits = Job::Claim(Claim { wish: wish(two, 9), until: u64::MAX, held_first: false });
    assert_eq!(desk.batch(vec![waits]), []);
    let report = Command::Report {
        work: first.work.clone(),
        attempt: first.attempt,
        outcome: Box::new(Outcome::Succeeded(Success::default())),
        plan: None,
    };
    let replies = desk.batch(vec![Job::Task { task: first.task_id, command: report, actor: Actor::agent(one) }]);
    let given = replies.iter().find_map(|reply| if let Reply::Work(Ok(items)) = reply { items.first() } else { None });
    assert_eq!(given.map(|item| item.task_id), Some(second));
}

#[test]
fn each_customer_has_a_rate_of_its_own() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    desk.fact(limit(2, Some(60), Some("payload.customer")));
    let greedy: Vec<TaskId> = (0..3).map(|_| desk.job("greedy")).collect();
    let other = desk.job("other");
    let mut given: Vec<TaskId> = (0..4).filter_map(|_| desk.one(agent)).map(|item| item.task_id).collect();
    given.sort_unstable();
    let mut wanted = vec![greedy[0], greedy[1], other];
    wanted.sort_unstable();
    assert_eq!(given, wanted);
    desk.now = desk.now.plus(59_999);
    assert_eq!(desk.one(agent), None);
    // Whoever waits hears of it without anything else happening.
    let waits = Job::Claim(Claim { wish: wish(agent, 99), until: u64::MAX, held_first: false });
    assert_eq!(desk.batch(vec![waits]), []);
    assert_eq!(desk.writer.next_deadline(), Some(60_000));
    desk.now = desk.now.plus(1);
    let replies = desk.batch(Vec::new());
    assert!(matches!(&replies[..], [Reply::Work(Ok(items))] if items[0].task_id == greedy[2]), "{replies:?}");
    desk.healthy();
}

#[test]
fn a_restart_knows_what_runs_and_what_has_begun() {
    for event in [limit(1, None, None), limit(1, Some(3_600), Some("payload.customer"))] {
        let mut desk = desk();
        let agent = desk.agent(&["work"]);
        desk.fact(event);
        desk.job("a");
        desk.job("a");
        assert!(desk.one(agent).is_some());
        let mut desk = desk.restart();
        assert_eq!(desk.one(agent), None);
    }
}

#[test]
fn under_a_hold_nothing_is_handed_out_and_nothing_acts_until_it_is_lifted() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    let running = desk.job("a");
    let item = desk.one(agent).unwrap();
    let waiting = desk.job("a");
    desk.fact(hold(1, Scope::default()));
    assert_eq!(desk.one(agent), None);
    let effect = |item: &WorkItem| {
        let (task_id, work, attempt) = (item.task_id, item.work.clone(), item.attempt);
        let wish = EffectRequest { task_id, work, attempt, action: "mail".into(), args_digest: "0".repeat(64) };
        Job::Task { task: task_id, command: Command::Effect(wish), actor: Actor::agent(agent) }
    };
    assert!(matches!(desk.batch(vec![effect(&item)])[..], [Reply::One(Err(Refusal::NoEffect(_)))]));
    let beat = |desk: &Desk| {
        let (task_id, work, attempt) = (item.task_id, item.work.clone(), item.attempt);
        desk.writer.leases().beat(&Heartbeat { task_id, work, attempt, progress: None, message: None }, agent, 0).then
    };
    assert_eq!(beat(&desk), Then::Cancel);
    let mut desk = desk.restart();
    assert_eq!(desk.one(agent), None);
    assert_eq!(beat(&desk), Then::Cancel);
    // New work is taken in all the same.
    let new = desk.job("b");
    desk.fact(lift(1));
    assert_eq!([desk.one(agent).unwrap().task_id, desk.one(agent).unwrap().task_id], [waiting, new]);
    assert_eq!(beat(&desk), Then::Continue);
    assert!(matches!(desk.batch(vec![effect(&item)])[..], [Reply::One(Ok(_))]));
    assert_eq!(desk.status(running), Status::InProgress);
    desk.healthy();
}

#[test]
fn what_is_given_back_under_a_hold_counts_as_no_failure() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    let task = desk.submit(json!({"title": "t", "action": "work", "retry_policy": {"max_attempts": 1}, "max_retries": 0}));
    let item = desk.one(agent).unwrap();
    desk.fact(hold(1, Scope::default()));
    let (work, attempt) = (item.work.clone(), item.attempt);
    let given_back = Command::Report { work, attempt, outcome: Box::new(Outcome::Cancelled), plan: None };
    desk.done(Job::Task { task, command: given_back, actor: Actor::agent(agent) });
    desk.follow();
    assert_eq!(desk.one(agent), None);
    desk.fact(lift(1));
    let again = desk.one(agent).unwrap();
    assert_eq!((again.task_id, again.attempt), (task, item.attempt + 1));
    desk.finish(agent, &again);
    assert_eq!(desk.status(task), Status::Completed);
}

#[test]
fn a_hold_on_an_agent_a_type_or_a_namespace_leaves_the_others_alone() {
    let mut desk = desk();
    let (one, two) = (desk.agent(&["work"]), desk.agent(&["work"]));
    desk.fact(hold(1, Scope { agent: Some(one), ..Scope::default() }));
    desk.fact(hold(2, Scope { task_type: Some("mail".into()), ..Scope::default() }));
    desk.fact(hold(3, Scope { namespace: Some("other".into()), ..Scope::default() }));
    desk.submit(json!({"title": "t", "action": "work", "task_type": "mail"}));
    desk.submit(json!({"title": "t", "action": "work", "namespace": "other"}));
    let free = desk.job("a");
    assert_eq!(desk.one(one), None);
    assert_eq!(desk.one(two).map(|item| item.task_id), Some(free));
    assert_eq!(desk.one(two), None);
    let direct = Command::Claim(command_claim(two));
    let held = desk.submit(json!({"title": "t", "action": "work", "namespace": "other"}));
    let refused = desk.batch(vec![Job::Task { task: held, command: direct, actor: Actor::agent(two) }]);
    assert!(matches!(&refused[..], [Reply::One(Err(Refusal::Held(why)))] if why.contains("namespace other")), "{refused:?}");
}

fn command_claim(agent: AgentId) -> ephor_core::command::Claim {
    ephor_core::command::Claim {
        agent,
        able: ephor_core::matching::Able::of_words([Box::from("work")]),
        closed: [].into(),
        claim: ClaimId::new(START, [77; 10]),
        start: true,
        limits: Vec::new(),
    }
}

#[test]
fn what_is_released_goes_on_at_its_rate() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    desk.fact(hold(1, Scope::default()));
    for _ in 0..3 {
        desk.job("a");
    }
    let rate = Some("2/min".parse().unwrap());
    desk.fact(NamespaceEvent::HoldReleased(Box::new(Release {
        id: HoldId::new(1, [1; 10]),
        namespace: None,
        task_type: None,
        rate,
    })));
    assert_eq!((0..3).filter_map(|_| desk.one(agent)).count(), 2);
    let mut desk = desk.restart();
    assert_eq!(desk.one(agent), None);
    desk.now = desk.now.plus(60_000);
    assert!(desk.one(agent).is_some());
    desk.healthy();
}

#[test]
fn a_place_that_comes_free_is_for_whatever_an_agent_that_asks_can_do() {
    let mut desk = desk();
    let (worker, writer) = (desk.agent(&["work"]), desk.agent(&["write"]));
    desk.fact(limit(1, None, None));
    for action in ["work", "work", "write"] {
        desk.submit(json!({"title": "t", "action": action}));
    }
    let first = desk.one(worker).unwrap();
    assert_eq!((desk.one(worker), desk.one(writer)), (None, None));
    desk.finish(worker, &first);
    assert_eq!(desk.one(writer).map(|item| item.action), Some("write".into()));
    assert_eq!(desk.one(worker), None);
}

#[test]
fn limits_that_cross_keep_nobody_from_what_is_free() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    desk.fact(limit(3, None, None));
    let each = NewLimit { namespace: None, task_type: None, max: 1, per: None, by: Some("payload.customer".into()) };
    desk.fact(NamespaceEvent::LimitSet(Box::new(each.limit("each"))));
    for customer in ["a", "a", "a", "b", "b", "c", "d"] {
        desk.job(customer);
    }
    let mut held = vec![desk.one(agent).unwrap(), desk.one(agent).unwrap(), desk.one(agent).unwrap()];
    assert_eq!(desk.one(agent), None);
    for left in (0..4).rev() {
        let item = held.remove(0);
        desk.finish(agent, &item);
        held.extend(desk.one(agent));
        assert!(held.len() <= 3 && (held.len() == 3 || left < 3), "{left}: {held:?}");
    }
    while !held.is_empty() {
        let item = held.remove(0);
        desk.finish(agent, &item);
        held.extend(desk.one(agent));
    }
    let left = desk.store.reader().open_work(None, 10).unwrap();
    assert_eq!(left, []);
    desk.healthy();
}

#[test]
fn what_was_set_aside_comes_back_when_the_limit_is_gone() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    desk.fact(limit(1, None, None));
    for _ in 0..3 {
        desk.job("a");
    }
    assert_eq!((0..3).filter_map(|_| desk.one(agent)).count(), 1);
    desk.fact(NamespaceEvent::LimitRemoved { namespace: None, name: "l".into() });
    assert_eq!((0..3).filter_map(|_| desk.one(agent)).count(), 2);
}

#[test]
fn a_namespace_with_little_work_is_not_kept_waiting_by_one_with_much() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    for _ in 0..20 {
        desk.job("a");
    }
    desk.now = desk.now.plus(1_000);
    let small = desk.submit(json!({"title": "t", "action": "work", "namespace": "small"}));
    let given: Vec<TaskId> = (0..2).filter_map(|_| desk.one(agent)).map(|item| item.task_id).collect();
    assert!(given.contains(&small));
}

#[test]
fn a_low_priority_is_served_in_the_end_and_a_high_one_first() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    let old = desk.submit(json!({"title": "t", "action": "work", "priority": "LOW"}));
    let normal = desk.submit(json!({"title": "t", "action": "work"}));
    desk.now = desk.now.plus(59 * 60_000);
    let high = desk.submit(json!({"title": "t", "action": "work", "priority": "HIGH"}));
    desk.now = desk.now.plus(62 * 60_000);
    let late = desk.submit(json!({"title": "t", "action": "work", "priority": "HIGH"}));
    let order: Vec<TaskId> = (0..4).filter_map(|_| desk.one(agent)).map(|item| item.task_id).collect();
    assert_eq!(order, [high, normal, old, late]);
}

#[test]
fn what_is_free_is_found_behind_more_held_tasks_than_one_claim_looks_through() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    desk.fact(hold(1, Scope { namespace: Some("held".into()), ..Scope::default() }));
    let row = crate::store::Row {
        namespace: "held".into(),
        status: Some(Status::Scheduled),
        open: Some("work\n".into()),
        task_type: "task".into(),
        ..Default::default()
    };
    let row = Arc::new(row);
    let born = |n: i64| Change {
        stream: TaskId::new(n, [0; 10]).into(),
        follows: 0,
        events: Vec::new(),
        row: Some(row.clone()),
        mail_taken: Vec::new(),
        blobs: Vec::new(),
        snapshot: None,
    };
    let many = (0..45_000).map(|n| Group { changes: vec![born(n)], ..Group::default() }).collect();
    desk.store.clone().commit(many, START).unwrap();
    let free = desk.job("a");
    let mut desk = desk.restart();
    let waits = Job::Claim(Claim { wish: wish(agent, 9), until: u64::MAX, held_first: false });
    assert_eq!(desk.batch(vec![waits]), [], "it goes on in the next batch");
    let found = (0..3).find_map(|_| desk.batch(Vec::new()).pop());
    assert!(matches!(&found, Some(Reply::Work(Ok(items))) if items[0].task_id == free), "{found:?}");
}
