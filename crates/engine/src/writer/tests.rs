//! The writer alone, on a store in memory, batch by batch.

use super::*;
use crate::clock::SystemEntropy;
use crate::doctor;
use crate::store::memory::MemoryStore;
use crate::store::{Change, Group, NewEvent, PrivateBody};
use ephor_core::agent::Registration;
use ephor_core::event::Event;
use ephor_core::planted::{self, Fault};
use ephor_core::request;
use ephor_core::spec::Request;
use ephor_core::task::Task;
use ephor_core::work::{Heartbeat, Outcome, Success, Then};
use serde_json::json;

mod locked;
mod probation;
mod stalls;
mod turns;

const START: i64 = 1_800_000_000_000;
/// From when on tickets belong to somebody.
const FIRST: Ticket = 1;

struct Desk {
    writer: Writer<MemoryStore>,
    store: MemoryStore,
    now: Time,
    made: u8,
}

fn desk() -> Desk {
    desk_of(Policy::default())
}

fn desk_of(policy: Policy) -> Desk {
    let store = MemoryStore::new();
    let leases = Arc::new(Mutex::new(Leases::default()));
    let policy = Arc::new(policy);
    let now = Time(START);
    let entropy = Box::new(SystemEntropy::default());
    let writer = Writer::start(store.clone(), house_of(policy), entropy, leases, 1 << 20, now, 0).unwrap();
    Desk { writer, store, now, made: 0 }
}

fn house_of(policy: Arc<Policy>) -> Arc<House> {
    Arc::new(House::new(policy))
}

fn ann() -> Actor {
    Actor::human("ann")
}

impl Desk {
    /// One batch; the answers in the order of the jobs.
    fn batch(&mut self, jobs: Vec<Job>) -> Vec<Reply> {
        let mut jobs: Jobs = (FIRST..).zip(jobs).collect();
        let mut replies = self.writer.batch(&mut jobs, self.now, (self.now.0 - START) as u64).unwrap();
        replies.sort_by_key(|(ticket, _)| *ticket);
        replies.into_iter().map(|(_, reply)| reply).collect()
    }

    /// Whatever follows by itself.
    fn follow(&mut self) {
        for _ in 0..1_000 {
            let due = self.store.reader().due(self.now.0, 1_000).unwrap();
            if due.is_empty() && !self.writer.has_more() {
                return;
            }
            let wake = |task| Job::Task { task, command: Command::Wake, actor: Actor::clock() };
            self.batch(due.into_iter().filter_map(StreamId::task).map(wake).collect());
        }
        panic!("it never ends");
    }

    fn submission(&mut self, by: &Actor, request: serde_json::Value) -> (TaskId, Job) {
        self.made += 1;
        let request: Request = serde_json::from_value(request).unwrap();
        let submission = request::check(&request, self.now, &self.writer.policy).unwrap();
        let id = TaskId::new(self.now.0, [self.made; 10]);
        (id, Job::Submit(Box::new(Submit { id, submission, words: None, actor: by.clone(), idempotency: None })))
    }

    fn submit(&mut self, request: serde_json::Value) -> TaskId {
        let (id, job) = self.submission(&ann(), request);
        self.done(job);
        id
    }

    fn done(&mut self, job: Job) -> Done {
        match self.batch(vec![job]).remove(0) {
            Reply::One(Ok(done)) => done,
            other => panic!("{other:?}"),
        }
    }

    fn events(&self, task: TaskId) -> Vec<Event> {
        let stored = self.store.reader().stream_events(task.into(), 0, u32::MAX).unwrap();
        stored.iter().map(|event| serde_json::from_str(&event.data).unwrap()).collect()
    }

    fn task(&self, id: TaskId) -> Task {
        Live::replay(id, &self.store.reader().load(id.into()).unwrap().unwrap()).unwrap().task
    }

    fn status(&self, task: TaskId) -> Status {
        self.store.reader().status(task.into()).unwrap().unwrap()
    }

    fn agent(&mut self, capabilities: &[&str]) -> AgentId {
        self.made += 1;
        let id = AgentId::new(self.now.0, [self.made; 10]);
        let said = Registration {
            name: "worker".into(),
            role: None,
            capabilities: capabilities.iter().map(|c| (*c).into()).collect(),
            external_id: None,
            ..Registration::default()
        };
        self.done(Job::Agent { id, command: AgentCommand::Register(Box::new(said)), actor: ann() });
        id
    }

    fn claim(&mut self, wish: ClaimRequest) -> Vec<WorkItem> {
        match self.batch(vec![Job::Claim(Claim { wish, until: 0, held_first: false })]).remove(0) {
            Reply::Work(Ok(items)) => items,
            other => panic!("{other:?}"),
        }
    }

    fn healthy(&self) {
        let report = doctor::doctor(&*self.store.reader(), self.now).unwrap();
        assert!(report.is_well(), "{:?}", report.findings);
    }
}

fn wish(agent: AgentId, n: u8) -> ClaimRequest {
    ClaimRequest { agent_id: agent, claim_id: ClaimId::new(START, [n; 10]), max: 10, wait_ms: 0, start: true }
}

fn ask(task: TaskId, command: Command) -> Job {
    Job::Task { task, command, actor: ann() }
}

fn cancel(task: TaskId) -> Job {
    ask(task, Command::Cancel { reason: "enough".into(), force: true })
}

fn signal(task: TaskId) -> Job {
    ask(task, Command::Signal { name: "go".into(), payload: json!(1) })
}

#[test]
fn a_task_that_fails_by_its_deadline_still_hears_who_waits_for_it() {
    let mut desk = desk();
    let deadline = desk.now.plus(60_000).to_string();
    let (first, job) = desk.submission(&ann(), json!({"title": "first", "deadline": deadline}));
    desk.done(job);
    let second = desk.submit(json!({"title": "second", "depends_on": [first]}));
    let part = desk.submit(json!({"title": "part", "parent_task_id": first}));
    // Nobody has looked at the letters when the deadline comes.
    desk.now = desk.now.plus(60_001);
    desk.batch(vec![ask(first, Command::Wake)]);
    desk.follow();
    assert_eq!((desk.status(first), desk.status(second), desk.status(part)), (Status::Failed, Status::Failed, Status::Cancelled));
    desk.healthy();
}

/// A task for which so many others wait, none of whom it has heard yet.
fn awaited(desk: &mut Desk, by: usize) -> (TaskId, Vec<TaskId>) {
    let first = desk.submit(json!({"title": "first"}));
    let (_, job) = desk.submission(&ann(), json!({"title": "waits", "depends_on": [first]}));
    let Job::Submit(pattern) = job else { unreachable!("it was made as one") };
    let ids: Vec<TaskId> = (0..by).map(|n| TaskId::new(START + 1 + n as i64, [0; 10])).collect();
    let submit = |id: &TaskId| {
        Job::Submit(Box::new(Submit {
            id: *id,
            submission: pattern.submission.clone(),
            words: None,
            actor: ann(),
            idempotency: None,
        }))
    };
    desk.batch(ids.iter().map(submit).collect());
    (first, ids)
}

fn letters(events: &[Event]) -> usize {
    events.iter().map(|event| if let Event::MailTaken { letters } = event { letters.len() } else { 0 }).sum()
}

#[test]
fn of_thousands_of_letters_none_is_lost_at_the_end_and_none_is_read_twice() {
    let mut desk = desk();
    let (first, waiting) = awaited(&mut desk, 2_500);
    let guide = |text: &str| ask(first, Command::Guide { text: text.into() });
    desk.batch(vec![guide("one"), guide("two"), cancel(first)]);
    assert_eq!(letters(&desk.events(first)), 2_500);
    desk.follow();
    assert!(waiting.iter().all(|task| desk.status(*task) == Status::Failed));
    desk.healthy();
}

#[test]
fn a_task_does_nothing_else_before_it_has_heard_all_that_wait() {
    let mut desk = desk();
    let (first, waiting) = awaited(&mut desk, LETTERS_MAX as usize + 5);
    let refused = desk.batch(vec![cancel(first), cancel(first)]);
    assert_eq!(refused, vec![Reply::One(Err(Refusal::QueueFull)); 2]);
    assert_eq!(letters(&desk.events(first)), LETTERS_MAX as usize);
    desk.done(cancel(first));
    desk.follow();
    assert!(waiting.iter().all(|task| desk.status(*task) == Status::Failed));
}

#[test]
fn nobody_is_told_of_what_a_quarantine_takes_back() {
    let mut desk = desk();
    let [first, other] = ["first", "other"].map(|title| desk.submit(json!({"title": title})));
    planted::plant(Some(Fault::SignalRevives));
    let guide = |task| ask(task, Command::Guide { text: "mind the gap".into() });
    let many = Job::Many(vec![guide(other), guide(first)]);
    let replies = desk.batch(vec![guide(first), many, cancel(first), signal(first), guide(first)]);
    planted::plant(None);
    let corrupt = |reply: &Result<Done, Refusal>| matches!(reply, Err(Refusal::Corrupt { .. }));
    for at in [0, 2, 3, 4] {
        assert!(matches!(&replies[at], Reply::One(answer) if corrupt(answer)), "{:?}", replies[at]);
    }
    assert!(matches!(&replies[1], Reply::Many(answers) if answers[0].is_ok() && corrupt(&answers[1])), "{:?}", replies[1]);
    assert_eq!((desk.events(first).len(), desk.events(other).len()), (1, 2));
    desk.healthy();
}

#[test]
fn who_hangs_together_with_a_task_in_quarantine_asks_again_and_the_writer_rests() {
    let mut desk = desk();
    let first = desk.submit(json!({"title": "first"}));
    let part = desk.submit(json!({"title": "part", "parent_task_id": first}));
    desk.follow();
    planted::plant(Some(Fault::SignalRevives));
    // The parent takes the letter of its part in the batch in which it is spoiled.
    let replies = desk.batch(vec![cancel(part), cancel(first), signal(first)]);
    planted::plant(None);
    assert!(
        matches!(&replies[0], Reply::One(Err(Refusal::Corrupt { task, .. })) if *task == first.to_string()),
        "{:?}",
        replies[0]
    );
    assert_eq!(desk.status(part), Status::Scheduled);
    // Its own request stands alone now, and its letter waits for whoever mends the other.
    desk.done(cancel(part));
    assert!(!desk.writer.has_more());
    assert_eq!(desk.store.reader().mail(first.into(), 10).unwrap().len(), 1);
    desk.healthy();
}

#[test]
fn mail_of_a_task_whose_commit_was_refused_is_taken_later() {
    let mut desk = desk();
    let first = desk.submit(json!({"title": "first"}));
    desk.submit(json!({"title": "second", "depends_on": [first]}));
    assert!(desk.writer.mailbox.contains(&first));
    // Another writer is faster: it writes the next version behind this one's back.
    let mut other = desk.store.clone();
    let made = NewEvent {
        at: START,
        kind: "GUIDED",
        actor: "HUMAN/bob".into(),
        before: Some(Status::Scheduled),
        after: Some(Status::Scheduled),
        schema: 1,
        data: serde_json::to_string(&Event::Guided).unwrap(),
        private: None,
        hash: [0; 32],
    };
    let change = Change {
        stream: first.into(),
        follows: 1,
        events: vec![made],
        row: None,
        mail_taken: Vec::new(),
        blobs: Vec::new(),
        snapshot: None,
    };
    other.commit(vec![Group { changes: vec![change], ..Group::default() }], START).unwrap().remove(0).unwrap();
    assert_eq!(desk.batch(vec![ask(first, Command::Guide { text: "late".into() })]), [Reply::Conflict]);
    desk.follow();
    assert_eq!(letters(&desk.events(first)), 1);
}

#[test]
fn a_draining_agent_hears_of_the_work_it_was_given_but_gets_no_more() {
    let mut desk = desk();
    let agent = desk.agent(&["work"]);
    desk.submit(json!({"title": "x", "action": "work"}));
    let given = desk.claim(wish(agent, 1));
    assert_eq!(given.len(), 1);
    desk.done(Job::Agent { id: agent, command: AgentCommand::Drain, actor: ann() });
    desk.submit(json!({"title": "y", "action": "work"}));
    // The answer got lost on the way.
    assert_eq!(desk.claim(wish(agent, 1)), given);
    assert!(desk.claim(wish(agent, 2)).is_empty());
}

#[test]
fn an_erasure_is_one_commit_and_nothing_is_noted_after_it() {
    let mut desk = desk();
    let task = desk.submit(json!({"title": "secret"}));
    desk.done(cancel(task));
    let tried = desk.store.commits_tried();
    let note = |text: &str| ask(task, Command::Note { text: text.into() });
    let replies = desk.batch(vec![note("well done"), Job::Erase { task, actor: ann() }, note("too late")]);
    assert_eq!(desk.store.commits_tried(), tried + 1);
    assert!(
        matches!(&replies[..], [Reply::One(Ok(_)), Reply::One(Ok(_)), Reply::One(Err(Refusal::NotNow { .. }))]),
        "{replies:?}"
    );
    let gone = |desk: &Desk| -> Vec<bool> {
        let events = desk.store.reader().stream_events(task.into(), 0, 100).unwrap();
        events.iter().filter_map(|e| Some(e.private.as_ref()?.body == PrivateBody::Erased)).collect()
    };
    assert_eq!(gone(&desk), [true, true, true], "the request, the reason, the note before");
    desk.healthy();
    // Asked once more there is nothing left to take.
    desk.done(Job::Erase { task, actor: ann() });
    assert_eq!(gone(&desk), [true, true, true]);
    desk.healthy();
}

#[test]
fn who_submitted_a_recurring_task_judges_none_of_its_runs() {
    let mut desk = desk();
    let agents: Vec<AgentId> = (0..4).map(|_| desk.agent(&["judge", "work"])).collect();
    let author = Actor::agent(agents[0]);
    let request = json!({"title": "daily", "risk": "HIGH", "action": "work", "recurrence": {"every": "1h", "times": 3}});
    let (mut task, job) = desk.submission(&author, request);
    desk.done(job);
    for _run in 0..3 {
        desk.follow();
        let (review, _, ballot) = desk.task(task).open_review().map(|(id, q, b)| (id, q, b.clone())).unwrap();
        let judges: Vec<&str> = ballot.judges.iter().map(|j| &*j.id).collect();
        assert!(!judges.contains(&&*agents[0].to_string()), "{judges:?}");
        for judge in &agents[1..] {
            let vote = ephor_core::review::VoteWord::Approve;
            let command = Command::Vote {
                review: Some(review),
                judge: judge.to_string().into(),
                vote,
                confidence: None,
                reason: String::new(),
                opinion: Box::default(),
            };
            desk.batch(vec![Job::Task { task, command, actor: Actor::agent(*judge) }]);
        }
        let item = desk.claim(wish(agents[1], desk.made)).remove(0);
        let outcome = Box::new(Outcome::Succeeded(Success::default()));
        let report = Command::Report { work: item.work, attempt: item.attempt, outcome, plan: None };
        desk.done(Job::Task { task, command: report, actor: Actor::agent(agents[1]) });
        assert_eq!(desk.status(task), Status::Completed);
        desk.made += 1;
        desk.now = desk.now.plus(3_600_000);
        let newest = desk.store.reader().list(&Default::default(), 1).unwrap().remove(0).stream.task().unwrap();
        task = newest;
    }
    desk.healthy();
}

/// A step that is a task of its own.
fn run(id: &str, request: serde_json::Value) -> serde_json::Value {
    json!({"id": id, "action": "task.run", "params": {"request": request}})
}

#[test]
fn a_child_takes_its_names_and_a_step_whose_name_is_taken_fails_and_says_so() {
    let mut desk = desk();
    let child = |title: &str| json!({"title": title, "external_id": "invoice-7"});
    let plan = json!({"steps": [run("a", child("one")), run("b", child("two"))]});
    let parent = desk.submit(json!({"title": "parent", "plan": plan}));
    desk.follow();
    let task = desk.task(parent);
    let (_, a) = task.step("a").unwrap();
    assert_eq!(a, ephor_core::status::StepStatus::Running);
    assert!(task.contents.errors.values().any(|why| why.contains("exists: task_")), "{:?}", task.contents.errors);
    // Nor may anybody else take the name.
    let (_, job) = desk.submission(&ann(), child("three"));
    assert!(matches!(desk.batch(vec![job]).remove(0), Reply::One(Err(Refusal::NameTaken { .. }))));
    desk.healthy();
}

#[test]
fn a_child_does_not_take_the_name_that_its_parent_takes_in_the_same_breath() {
    let mut desk = desk();
    let plan = json!({"steps": [run("a", json!({"title": "part", "external_id": "x"}))]});
    let parent = desk.submit(json!({"title": "parent", "external_id": "x", "max_retries": 0, "plan": plan}));
    assert_eq!(desk.status(parent), Status::Failed);
    desk.healthy();
}

#[test]
fn a_child_hears_that_what_it_waits_for_has_ended_long_ago() {
    let mut desk = desk();
    let before = desk.submit(json!({"title": "before"}));
    desk.done(cancel(before));
    let nobody = TaskId::new(1, [9; 10]);
    let steps = [
        run("a", json!({"title": "after", "depends_on": [before]})),
        run("b", json!({"title": "never", "depends_on": [nobody]})),
    ];
    let parent = desk.submit(json!({"title": "parent", "max_retries": 0, "plan": {"steps": steps}}));
    desk.follow();
    assert_eq!(desk.status(parent), Status::Failed);
    let errors = desk.task(parent).contents.errors;
    assert!(
        errors.values().any(|why| why.contains("params.request.depends_on: ") && why.contains("does not exist")),
        "{errors:?}"
    );
    desk.healthy();
}

#[test]
fn a_child_that_is_another_try_is_checked_as_a_submission_is() {
    let mut desk = desk();
    let title = |title: &str| json!({"title": title, "action": "work"});
    let over = json!({"title": "over", "action": "work", "subject_ref_id": "7"});
    let [running, foreign, ended] =
        [title("running"), json!({"title": "foreign", "namespace": "other"}), over.clone()].map(|said| desk.submit(said));
    desk.done(cancel(foreign));
    desk.done(cancel(ended));
    let nobody = TaskId::new(1, [9; 10]);
    let try_again = |id: &str, of: TaskId| {
        let mut request = json!({"title": "again", "action": "work", "retry_of": of});
        if of == ended {
            request["subject_ref_id"] = json!("7");
        }
        let mut step = run(id, request);
        step["optional"] = json!(true);
        step
    };
    let steps =
        [try_again("running", running), try_again("foreign", foreign), try_again("nobody", nobody), try_again("good", ended), {
            let mut twice = try_again("twice", ended);
            twice["depends_on"] = json!(["nobody"]);
            twice
        }];
    let parent = desk.submit(json!({"title": "parent", "plan": {"steps": steps}}));
    desk.follow();
    let task = desk.task(parent);
    let why = |step: &str| {
        let path = &task.step(step).unwrap().0.path;
        task.contents.errors.get(&format!("step:{path}")).cloned().unwrap_or_default()
    };
    for (step, part) in [
        ("running", "is SCHEDULED; wait for its end, or cancel it first"),
        ("foreign", "does not exist"),
        ("nobody", "does not exist"),
        ("twice", "was run again already, as task_"),
    ] {
        let why = why(step);
        assert!(why.starts_with("params.request.retry_of: ") && why.contains(part), "{step}: {why}");
    }
    assert_eq!((why("good"), task.step("good").unwrap().1), (String::new(), ephor_core::status::StepStatus::Running));
    // And nobody else may run it again.
    let (_, job) = desk.submission(&ann(), json!({"title": "x", "retry_of": ended}));
    let Reply::One(Err(Refusal::RunAgain { before, existing })) = desk.batch(vec![job]).remove(0) else { panic!("{task:?}") };
    assert_eq!((before, desk.task(existing).facts.retry_of), (ended, Some(ended)));
    desk.healthy();
}

#[test]
fn a_child_hangs_on_nothing_of_another_namespace() {
    let mut desk = desk();
    let foreign = desk.submit(json!({"title": "foreign", "namespace": "other"}));
    let plan = json!({"steps": [run("a", json!({"title": "after", "depends_on": [foreign]}))]});
    let parent = desk.submit(json!({"title": "parent", "max_retries": 0, "plan": plan}));
    assert_eq!(desk.status(parent), Status::Failed);
    let errors = desk.task(parent).contents.errors;
    assert!(errors.values().any(|why| why.starts_with("params.request.depends_on: ")), "{errors:?}");
    desk.healthy();
}

#[test]
fn what_is_refused_because_of_something_unwritten_is_not_answered_by_it() {
    let mut desk = desk();
    let (first, job) = desk.submission(&ann(), json!({"title": "first", "external_id": "x"}));
    let (_, second) = desk.submission(&ann(), json!({"title": "second", "external_id": "x"}));
    let (third, waits) = desk.submission(&ann(), json!({"title": "third", "depends_on": [first]}));
    planted::plant(Some(Fault::SignalRevives));
    let replies = desk.batch(vec![job, second, waits, cancel(first), signal(first)]);
    planted::plant(None);
    assert!(replies.iter().all(|r| matches!(r, Reply::One(Err(Refusal::Corrupt { .. })))), "{replies:?}");
    assert!(desk.store.reader().status(third.into()).unwrap().is_none());
}

#[test]
fn who_waits_hears_of_a_second_gate_under_a_key_where_the_first_was_their_own_work() {
    let mut desk = desk();
    let able = ["work", "gate.integration_test"];
    let (one, two) = (desk.agent(&able), desk.agent(&able));
    let step = json!({"action": "work", "gates": [{"kind": "INTEGRATION_TEST"}]});
    let task = desk.submit(json!({"title": "two", "plan": {"steps": [step, step]}}));
    let single = |agent, n| ClaimRequest { max: 1, ..wish(agent, n) };
    let (first, second) = (desk.claim(single(one, 1)).remove(0), desk.claim(single(two, 2)).remove(0));
    let report = |item: &WorkItem, agent| Job::Task {
        task,
        command: Command::Report {
            work: item.work.clone(),
            attempt: item.attempt,
            outcome: Box::new(Outcome::Succeeded(Success::default())),
            plan: None,
        },
        actor: Actor::agent(agent),
    };
    desk.done(report(&first, one));
    // The only gate is that of what this one did: it waits.
    let waits = Job::Claim(Claim { wish: single(one, 3), until: 60_000, held_first: false });
    assert_eq!(desk.batch(vec![waits]), []);
    let jobs = vec![report(&second, two)];
    let replies = desk.batch(jobs);
    let given = replies.iter().find_map(|reply| if let Reply::Work(Ok(items)) = reply { items.first() } else { None });
    assert!(given.is_some_and(|item| item.work == ephor_core::work::WorkKey::Gate("2".into(), 0)), "{replies:?}");
}
