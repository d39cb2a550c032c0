//! The simulated world: who is in it, how time passes, what goes wrong.

use super::Counts;
use super::actors::Worker;
use super::answers::{Asked, What};
use super::chance::Chance;
use super::observer::Observer;
use super::process::{Hand, Process, SLEPT, Watched};
use super::requests::{GATES, SKILLS};
use crate::clock::Clock;
use crate::intake::{Item, NotTaken};
use crate::leases::Lapsed;
use crate::store::memory::{Fault, MemoryStore};
use crate::store::{Reader, Store, StoreError};
use ephor_core::constitution::Law;
use ephor_core::event::Actor;
use ephor_core::id::{AgentId, TaskId};
use ephor_core::models::catalogue::Catalogue;
use ephor_core::policy::{HouseDecision, OnAgentLost, OnEscalation, Policy, Rung, StallStrategy};
use ephor_core::time::{Time, WireDuration};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// What goes wrong in the world is told as text; the seed finds it again.
pub(super) type Checked = Result<(), String>;

/// How many of the last lines a failure shows.
const LOG_MAX: usize = 60;
/// When the world begins, in milliseconds since the Unix epoch.
const BEGINNING: i64 = 1_800_000_000_000;

/// What nobody does in a town with a law of its own before a person has approved of it: one of the skills.
pub(super) const ASKED: &str = "build";
/// That law.
const TOWN: &str = r#"
constitution: A town
articles:
  - id: town
    title: Town
    rules:
      - {at: [action], when: 'action.name == "build" && !action.undoes', verdict: ESCALATE, message: somebody looks at it first}
      - {at: [action], when: 'action.name == "write" && action.undoes', verdict: ESCALATE, message: not undone by itself}
      - {at: [result], when: 'action.name == "write" && action.path.endsWith("2")', verdict: ESCALATE, message: somebody looks at it}
      - {at: [result], when: 'action.name == "write" && action.path.endsWith("3")', verdict: DENY, message: the third is never good}
      - {at: [result], when: 'action.name == "write"', verdict: WARN, message: told}
"#;

/// The constitutions that another town goes back and forth between.
pub(super) const AMENDED: [&str; 2] = [
    "constitution: A town that changes its mind\narticles:\n  - {id: town, title: Town}\namendments: {debate: 5s, voting: 60s}\n",
    r#"
constitution: A town that has changed its mind
articles:
  - id: town
    title: Town
    rules:
      - {at: [plan], when: 'plan.does(["check"])', verdict: DENY, message: nobody checks any more}
      - {at: [admission], when: 'task.namespace == "other" && task.priority != "LOW"', verdict: ESCALATE, message: people look}
      - {at: [plan], when: 'plan.does(["write"]) && plan.size > 3', verdict: WARN, message: much is written, risk: HIGH}
"#,
];

/// Whether a town has that law.
pub(super) fn asks(policy: &Policy) -> bool {
    policy.law.as_ref().is_some_and(|law| law.document().name == "A town")
}

/// Everything there is.
pub(super) struct World {
    pub(super) step: u32,
    pub(super) chance: Chance,
    pub(super) store: MemoryStore,
    pub(super) reader: Arc<dyn Reader>,
    pub(super) policy: Arc<Policy>,
    pub(super) clock: Arc<Hand>,
    pub(super) process: Process,
    pub(super) observer: Observer,
    pub(super) workers: Vec<Worker>,
    pub(super) asked: Vec<Asked>,
    pub(super) counts: Counts,
    pub(super) log: VecDeque<String>,
    /// Whether nothing goes wrong any more and everybody does their best.
    pub(super) calm: bool,
    /// Whether everything that is said is kept, not only what went wrong.
    pub(super) talkative: bool,
    /// Whether somebody places holds and sets limits.
    pub(super) flowing: bool,
    /// Whether somebody amends the constitution.
    pub(super) amending: bool,
    /// What somebody noticed while acting.
    pub(super) wrong: Option<String>,
    /// Lapses that were seen but not told yet.
    suspects: Vec<Lapsed>,
    /// Keys of requests that may be repeated, and the request each stands for.
    pub(super) keys: Vec<(String, ephor_core::spec::Request)>,
    /// What each of them was answered: the request, the task, until when.
    pub(super) remembered: std::collections::HashMap<String, (String, TaskId, i64)>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let clock = Arc::new(Hand::default());
        clock.wall.store(BEGINNING, Ordering::Relaxed);
        let mut policy = policy(&mut chance);
        // One town in four has a law of its own; which one is no matter of chance, so that the others stay as they are.
        if seed % 4 == 3 {
            policy.law = Some(Arc::new(Law::read(TOWN).expect("the law of the town is one")));
            policy.approval_wait = WireDuration { ms: 120_000 };
            let rung = |ms, who: &str| Rung { after: WireDuration { ms }, tell: vec![who.into()] };
            policy.ladder = vec![rung(20_000, "lead"), rung(60_000, "head")];
        }
        let amending = seed % 4 == 1;
        if amending {
            policy.law = Some(Arc::new(Law::read(AMENDED[0]).expect("the law of the town is one")));
        }
        let policy = Arc::new(policy);
        let flowing = chance.percent(40);
        let store = MemoryStore::new();
        let reader = store.reader();
        let process = Process::start(store.clone(), policy.clone(), clock.clone(), chance.fork()).expect("an empty store opens");
        let mut world = Self {
            step: 0,
            chance,
            observer: Observer::new(reader.clone(), policy.clone()),
            store,
            reader,
            policy,
            clock,
            process,
            workers: Vec::new(),
            asked: Vec::new(),
            counts: Counts::new(),
            log: VecDeque::new(),
            calm: false,
            talkative: false,
            flowing,
            amending,
            wrong: None,
            suspects: Vec::new(),
            keys: Vec::new(),
            remembered: std::collections::HashMap::new(),
        };
        world.populate();
        world
    }

    /// Agents of many kinds; some towns have judges, planners, analysts and some have not.
    fn populate(&mut self) {
        let judges = self.chance.below(6);
        let (plans, analyses) = (self.chance.percent(60), self.chance.percent(50));
        for n in 0..self.chance.between(4, 8) {
            let mut skills: Vec<&str> = SKILLS.iter().chain(&GATES).copied().filter(|_| self.chance.percent(55)).collect();
            for (has, word) in [
                (n < judges, "judge"),
                (plans && self.chance.percent(50), "plan"),
                (analyses && self.chance.percent(50), "analyse"),
            ] {
                if has {
                    skills.push(word);
                }
            }
            if skills.is_empty() {
                skills.push("work");
            }
            let worker = Worker::new(&mut self.chance, n, &skills);
            self.workers.push(worker);
        }
        for i in 0..self.workers.len() {
            self.register(i);
        }
    }

    pub(super) fn say(&mut self, line: String) {
        if self.log.len() == LOG_MAX && !self.talkative {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:>4} {line}", self.step));
    }

    pub(super) fn count(&mut self, branch: &'static str) {
        *self.counts.entry(branch).or_default() += 1;
    }

    pub(super) fn now(&self) -> Time {
        self.process.now()
    }

    pub(super) fn mono(&self) -> u64 {
        self.clock.mono_ms()
    }

    pub(super) fn agent_ids(&self) -> Vec<AgentId> {
        self.workers.iter().map(|w| w.id).collect()
    }

    /// A task somebody knows of: mostly a young one.
    pub(super) fn some_task(&mut self) -> Option<TaskId> {
        let tasks = self.observer.order();
        let len = tasks.len();
        if len > 12 && self.chance.percent(60) {
            return self.chance.pick(&tasks[len - 12..]).copied();
        }
        self.chance.pick(tasks).copied()
    }

    /// The time with faults.
    pub(super) fn live(&mut self, steps: u32) -> Checked {
        for _ in 0..steps {
            self.step += 1;
            self.pass_time();
            for _ in 0..self.chance.between(1, 5) {
                match self.chance.below(100) {
                    0..25 => self.client(),
                    25..75 => self.agent(),
                    _ => self.person(),
                }
            }
            self.trouble();
            self.turn()?;
        }
        Ok(())
    }

    /// One round of everything: the clock's thread, the writer's thread, answers, and a look at all of it.
    pub(super) fn turn(&mut self) -> Checked {
        self.ticker();
        let most = if self.calm { 1_000 } else { self.chance.between(1, 10) as usize };
        let crash = !self.calm && self.chance.percent(2);
        let first = if self.chance.percent(50) { most } else { self.chance.between(1, 4) as usize };
        match self.process.write(most, first) {
            Ok(replies) => {
                self.look()?;
                if crash {
                    self.count("crash before answer");
                    self.say("crash between commit and answer".into());
                    self.die()?;
                } else {
                    for (ticket, reply) in replies {
                        if !self.calm && self.chance.percent(4) {
                            if self.process.lose(ticket) {
                                self.count("answer lost");
                            }
                        } else {
                            self.process.answer(ticket, reply);
                        }
                    }
                }
            }
            Err(error) => self.failed(&error)?,
        }
        self.settle()?;
        self.hear()?;
        self.wrong.take().map_or(Ok(()), Err)
    }

    /// What follows by itself: wakes that are due, mail, work for those who wait.
    fn settle(&mut self) -> Checked {
        if !self.calm && self.chance.percent(25) {
            // The clock's thread is late.
            return Ok(());
        }
        let mut before = Vec::new();
        for round in 0.. {
            let due = self.reader.due(self.now().0, 1_000).map_err(|e| e.to_string())?;
            if due.is_empty() && !self.process.writer.has_more() {
                break;
            }
            if !due.is_empty() && due == before && !self.process.writer.has_more() {
                return Err(format!("waking {} moved nothing", due[0]));
            }
            if round > 200 {
                return Err("what follows by itself never ends".into());
            }
            before.clone_from(&due);
            let wakes = self.process.wakes(due);
            match self.process.batch(wakes) {
                Ok(replies) => {
                    self.look()?;
                    for (ticket, reply) in replies {
                        if matches!(reply, crate::writer::Reply::Full) {
                            before.clear();
                        }
                        self.process.answer(ticket, reply);
                    }
                }
                Err(error) => {
                    self.failed(&error)?;
                    before.clear();
                }
            }
            if self.store.was_full() {
                self.count("disk full");
                before.clear();
            }
        }
        self.observer.nothing_is_due(self.now())?;
        self.observer.all_mail_is_read()?;
        self.observer.nobody_holds_too_much()?;
        self.observer.nobody_waits_beside_work(&self.process.writer, self.now())
    }

    /// The clock's thread. It may be late; a lapse it saw may be told when it holds no longer.
    fn ticker(&mut self) {
        if !self.calm && self.chance.percent(20) {
            return;
        }
        match self.process.watch() {
            Watched::Slept => self.count("observer slept"),
            Watched::Lapsed(found) => self.suspects.extend(found),
        }
        let late = !self.calm && self.chance.percent(30);
        if !late {
            for lapse in std::mem::take(&mut self.suspects) {
                self.process.accuse(lapse);
            }
        }
        if self.chance.percent(10) {
            let _stopped = self.process.intake.push("", Item::Note);
        }
        if self.chance.percent(2) {
            let _stopped = self.process.intake.push("", Item::Sweep);
        }
    }

    /// Time passes, mostly little; a machine may sleep, a wall clock may be set.
    fn pass_time(&mut self) {
        let ms = match self.chance.below(100) {
            0..60 => self.chance.below(1_500),
            60..90 => self.chance.below(SLEPT),
            90..97 => self.chance.below(180_000),
            97..99 => self.chance.below(3_600_000),
            _ => self.chance.below(2 * 86_400_000),
        };
        self.clock.pass(ms);
        if self.chance.percent(4) {
            self.jump();
        }
    }

    fn jump(&mut self) {
        let far = [30_000, 3_600_000, 86_400_000];
        let ms = self.chance.pick(&far).copied().unwrap_or_default();
        let ms = if self.chance.percent(50) { ms } else { -ms };
        self.clock.jump(ms);
        self.count("clock jumped");
        self.say(format!("the wall clock jumps by {ms} ms"));
    }

    /// Lets something go wrong soon, or at once.
    fn trouble(&mut self) {
        let next = self.store.commits_tried() + 1;
        match self.chance.below(100) {
            0 => self.store.plan(next, Fault::FailBefore),
            1..3 => self.store.plan(next, Fault::FailAfter),
            3..5 => self.store.plan(next, Fault::Full),
            5 => {
                self.say("killed".into());
                self.suspects.clear();
                if let Err(what) = self.die() {
                    self.say(what);
                }
            }
            _ => {}
        }
    }

    /// The store failed under the writer: nobody is answered, the process ends.
    fn failed(&mut self, error: &StoreError) -> Checked {
        match error {
            StoreError::Unavailable(why) => {
                let before = self.observer.position();
                self.look()?;
                let written = self.observer.position() > before;
                self.count(if written { "commit unknown but written" } else { "commit failed unwritten" });
                self.say(format!("the store failed: {why}"));
                self.die()
            }
            StoreError::Full(_) => Ok(()),
            other => Err(format!("the writer gave up: {other}")),
        }
    }

    /// The process ends, and another begins.
    pub(super) fn die(&mut self) -> Checked {
        self.suspects.clear();
        if !self.reader.mail_targets(1).map_err(|e| e.to_string())?.is_empty() {
            self.count("mail after crash");
        }
        if self.chance.percent(30) {
            self.jump();
        }
        for _ in 0..10 {
            self.store = self.store.crash();
            self.observer.restarted();
            let entropy = self.chance.fork();
            match Process::start(self.store.clone(), self.policy.clone(), self.clock.clone(), entropy) {
                Ok(process) => {
                    self.process = process;
                    for worker in &mut self.workers {
                        worker.process_ended();
                    }
                    return self.look();
                }
                Err(StoreError::Unavailable(why)) => self.say(format!("the start failed: {why}")),
                Err(other) => return Err(format!("it does not start again: {other}")),
            }
        }
        Err("it does not start again".into())
    }

    /// Looks at everything that was written since the last look.
    pub(super) fn look(&mut self) -> Checked {
        let mono = self.mono();
        if self.talkative {
            let after = self.observer.position();
            for event in self.reader.events(after, 10_000, None).map_err(|e| e.to_string())? {
                let status = event.after.map_or("", |s| s.word());
                self.say(format!(
                    "    {} v{} {} → {status} by {}: {}",
                    event.stream, event.version, event.kind, event.actor, event.data
                ));
            }
        }
        for branch in std::mem::take(&mut self.process.writer.reached) {
            self.count(branch);
        }
        let World { observer, process, store, counts, .. } = self;
        observer.look(&process.writer, store, mono, counts)
    }

    /// Asks for something. Answers whether it was taken in.
    pub(super) fn ask(&mut self, what: What) -> bool {
        let Some((namespace, job)) = self.job(&what) else { return false };
        let (answer, waiting) = oneshot::channel();
        match self.process.intake.push(&namespace, Item::Job(job, Some(answer))) {
            Ok(_) => {
                if self.talkative {
                    self.say(format!("ask: {what:?}"));
                }
                self.asked.push(Asked { what, answer: waiting });
                true
            }
            Err(NotTaken::Full) => {
                self.count("queue full");
                false
            }
            Err(NotTaken::Closed) => false,
        }
    }

    /// A new task's id.
    pub(super) fn task_id(&mut self) -> TaskId {
        TaskId::new(self.now().0, self.chance.bytes())
    }

    /// Some person.
    pub(super) fn somebody(&mut self) -> Actor {
        Actor::human(self.chance.word(&["ann", "bob", "operator"]))
    }
}

fn policy(chance: &mut Chance) -> Policy {
    let seconds = |n: u64| WireDuration { ms: n * 1_000 };
    Policy {
        lease: seconds(10),
        attempt_timeout: seconds(600),
        gate_wait: seconds(60),
        analysis_wait: seconds(20),
        plan_wait: seconds(60),
        one_step_plan: chance.percent(50),
        cancel_wait: seconds(30),
        review_wait: seconds(600),
        max_retries: 2,
        task_retry: ephor_core::spec::RetryPolicy { initial: seconds(2), max_attempts: 1_000, ..Default::default() },
        stall_after: seconds(300),
        stall_strategy: match chance.below(5) {
            0..2 => StallStrategy::MarkStalled,
            2 => StallStrategy::LogOnly,
            3 => StallStrategy::Reassign,
            _ => StallStrategy::Escalate,
        },
        reassign_after: chance.percent(30).then(|| seconds(120)),
        on_agent_lost: if chance.percent(25) { OnAgentLost::Block } else { OnAgentLost::Reoffer },
        duplicate_window: seconds(3_600),
        solo: chance.percent(40),
        healings_max: chance.between(2, 6) as u32,
        rollbacks_max: chance.between(1, 4) as u32,
        compensation_wait: seconds(60),
        on_escalation: chance.percent(30).then(|| OnEscalation {
            after: seconds(120),
            decision: match chance.percent(50) {
                true => HouseDecision::Liquidate,
                false => HouseDecision::AllocateResources([("memory_mb".to_owned(), 99.into())].into_iter().collect()),
            },
        }),
        models: models(),
        ..Policy::default()
    }
}

/// What the house prefers: models that some agents have, and one that only those have who name none.
fn models() -> Arc<Catalogue> {
    let said = serde_json::json!({"default": {"primary": "m1", "fallbacks": ["m2", "m3"]}});
    Arc::new(Catalogue::of_house(serde_json::from_value(said).expect("the house says what makes sense")))
}
