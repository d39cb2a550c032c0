//! A small world around one task: a clock that moves when told, agents, judges and people. Whatever a test does through it, what must
//! never happen (DESIGN §7) is checked after every command.

use crate::agent::Registration;
use crate::command::{Agents, Answer, Approve, Births, CheckedPlan, Claim, Command, Context, Handled, Refusal, Unhindered};
use crate::event::{Actor, Event, Letter, Private};
use crate::id::{AgentId, ClaimId, TaskId};
use crate::matching::Able;
use crate::policy::Policy;
use crate::review::{Judge, VoteWord};
use crate::spec::{ErrorClass, ExecutionMode, PlanSpec, Request};
use crate::status::{Status, StepStatus};
use crate::task::Task;
use crate::time::{Time, WireDuration};
use crate::work::{Failure, Judgement, Outcome, Success, WorkItem, WorkKey};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// When every world begins.
pub(super) const START: Time = Time(1_800_000_000_000);

pub(super) struct World {
    pub(super) task: Task,
    pub(super) now: Time,
    pub(super) policy: Policy,
    pub(super) judges: Vec<Judge>,
    pub(super) analyst: bool,
    /// Signs of life given by holders.
    pub(super) counter: u64,
    pub(super) ended: Vec<(TaskId, Status)>,
    pub(super) births: Box<dyn Births>,
    /// What agents say of themselves.
    pub(super) agents: BTreeMap<AgentId, Registration>,
    pub(super) held_back: bool,
    /// Models whose breakers are open.
    pub(super) shut_models: Vec<Box<str>>,
    /// Whether whoever asks has submitted the task.
    pub(super) own: bool,
    /// What the last command led to.
    pub(super) done: Handled,
    /// The task as replay rebuilds it from what a store would have kept.
    replayed: Task,
    /// The same without a word of what people and agents wrote, as after an erasure: the state does not depend on it.
    bare: Task,
    /// The highest attempt handed out of each work.
    attempts: BTreeMap<WorkKey, u32>,
    claims: u8,
}

impl Agents for BTreeMap<AgentId, Registration> {
    fn said(&self, agent: AgentId) -> Option<&Registration> {
        self.get(&agent)
    }
}

/// The n-th agent.
pub(super) fn agent(n: u8) -> AgentId {
    AgentId::new(1_000 + i64::from(n), [n; 10])
}

/// The n-th other task.
pub(super) fn other(n: u8) -> TaskId {
    TaskId::new(2_000 + i64::from(n), [n; 10])
}

/// Judges by name, of weight one.
pub(super) fn judges(names: &[&str]) -> Vec<Judge> {
    names.iter().map(|name| Judge { id: (*name).into(), weight: 1, veto: false }).collect()
}

pub(super) fn ms(text: &str) -> u64 {
    WireDuration::parse(text).unwrap().ms
}

/// A person.
pub(super) fn ann() -> Actor {
    Actor::human("ann")
}

/// A task as submitted, with its steps.
pub(super) fn given(request: Value) -> World {
    let mut world = World::new();
    world.submit(request);
    world
}

/// A task of these steps, without reviews.
pub(super) fn given_steps(steps: Value) -> World {
    given(json!({"title": "x", "plan": {"steps": steps}}))
}

/// A law under which a person is asked about the action `a`.
pub(super) const ASKS: &str = r#"
constitution: x
articles:
  - id: a
    title: A
    rules:
      - {at: [action], when: 'action.name == "a"', verdict: ESCALATE, message: somebody looks first}
"#;

/// A person's answer, with a reason.
pub(super) fn word_on(step: &str, approved: bool) -> Approve {
    Approve { step: step.into(), approved, digest: None, params: None, reason: "looked at".into(), findings: Vec::new() }
}

impl World {
    /// A task that was submitted under this law.
    pub(super) fn under(law: &str, request: Value) -> Self {
        let mut world = Self::new();
        world.policy.law = Some(std::sync::Arc::new(crate::constitution::Law::read(law).unwrap()));
        world.submit(request);
        world
    }

    pub(super) fn new() -> Self {
        let id = TaskId::new(START.0, [7; 10]);
        Self {
            task: Task::unborn(id),
            now: START,
            // Nobody watches how long it waits, unless a test is about that.
            policy: Policy { stall_watch: false, ..Policy::default() },
            judges: Vec::new(),
            analyst: false,
            counter: 0,
            ended: Vec::new(),
            births: Box::new(Unhindered),
            agents: BTreeMap::new(),
            held_back: false,
            shut_models: Vec::new(),
            own: false,
            done: Handled { moves: Vec::new(), answer: Ok(Answer::Done), unsettled: false, corrupt: None },
            replayed: Task::unborn(id),
            bare: Task::unborn(id),
            attempts: BTreeMap::new(),
            claims: 0,
        }
    }

    pub(super) fn submit(&mut self, request: Value) {
        let request: Request = serde_json::from_value(request).unwrap();
        let submission = crate::request::check(&request, self.now, &self.policy).unwrap();
        self.by(&ann(), Command::Submit(Box::new(submission))).unwrap();
    }

    /// A task that another one gave birth to.
    pub(super) fn born(birth: crate::command::Birth) -> Self {
        let unborn = Task::unborn(birth.id);
        let mut world = Self { task: unborn.clone(), replayed: unborn.clone(), bare: unborn, ..Self::new() };
        world.by(&Actor::settle(), Command::Submit(Box::new(birth.submission))).unwrap();
        world
    }

    /// Somebody asks something.
    pub(super) fn by(&mut self, actor: &Actor, command: Command) -> Result<Answer, Refusal> {
        let cx = Context {
            now: self.now,
            actor,
            own: self.own,
            policy: &self.policy,
            counter: self.counter,
            judges: &self.judges,
            analyst: self.analyst,
            ended: &self.ended,
            births: &*self.births,
            agents: &self.agents,
            held_back: self.held_back,
            told_to_stop: false,
            shut_models: &self.shut_models,
        };
        let before = self.task.clone();
        let woken = matches!(command, Command::Wake);
        self.done = self.task.handle(command, &cx);
        self.check(&before, woken);
        self.done.answer.clone()
    }

    /// A person asks something.
    pub(super) fn ann(&mut self, command: Command) -> Result<Answer, Refusal> {
        self.by(&ann(), command)
    }

    /// What must hold after every command.
    fn check(&mut self, before: &Task, woken: bool) {
        assert_eq!(self.done.corrupt, None);
        let mut status = before.status();
        for made in &self.done.moves {
            assert_eq!(made.before, status, "{:?}", made.event);
            assert!(!status.is_final() || made.event.may_follow_the_end(), "{:?} after the end", made.event);
            assert!(status.may_become(made.after) || before.version == 0, "{status} -> {} by {:?}", made.after, made.event);
            status = made.after;
            if let Event::Assigned(a) = &made.event {
                let last = self.attempts.entry(a.work.clone()).or_default();
                assert!(a.attempt > *last, "{} was handed out as attempt {} after {last}", a.work, a.attempt);
                *last = a.attempt;
            }
            // Through the form in which a store keeps it.
            let event: Event = serde_json::from_str(&serde_json::to_string(&made.event).unwrap()).unwrap();
            assert_eq!(event, made.event);
            let text = made.private.as_ref().map(|p| serde_json::to_string(p).unwrap());
            let private: Option<Private> = text.as_deref().map(|t| serde_json::from_str(t).unwrap());
            assert_eq!(private, made.private);
            self.replayed.take_in(&event, private.as_ref(), self.now);
            self.bare.take_in(&event, None, self.now);
        }
        assert_eq!(status, self.task.status());
        assert!(self.task == self.replayed, "replay differs from the live task\n{:#?}\n{:#?}", self.task, self.replayed);

        self.bare.contents.clone_from(&self.task.contents);
        assert!(self.task == self.bare, "the state depends on what is private\n{:#?}\n{:#?}", self.task, self.bare);

        let leases = self.task.live_leases();
        let works: BTreeSet<&WorkKey> = leases.iter().map(|l| &l.work).collect();
        assert_eq!(works.len(), leases.len(), "two leases on one work");
        assert_eq!(leases.len() as u32, self.task.leases());
        assert!(self.task.version == 0 || self.task.waits_on_somebody(), "waits on nobody and nothing: {:#?}", self.task);
        assert!(!self.task.waiting().is_empty() || self.task.end().is_some());
        let questions = self.task.questions();
        assert_eq!(self.task.asks_since().is_some(), !questions.is_empty(), "the index and the inbox agree: {questions:#?}");
        for asked in &questions {
            assert!(asked.since.0 >= self.task.born_at().unwrap_or_default() && asked.since.0 <= self.now, "{asked:#?}");
            assert!(!asked.unanswered.is_empty() && !asked.what.is_empty(), "{asked:#?}");
        }
        if woken && self.done.moves.len() < 1_000 {
            assert!(self.task.wake_at().is_none_or(|at| at > self.now), "would wake at {:?} again: {:#?}", self.now, self.task);
        }
        self.recount();
    }

    /// What the board keeps, counted anew.
    fn recount(&self) {
        let board = &self.task.board;
        let all = 0..board.steps.len() as u32;
        let count = |status| {
            all.clone().filter(|i| board.steps[*i as usize].children == 0 && board.cell(*i).status == status).count() as u32
        };
        let in_lists = |i: &u32| {
            board.steps[*i as usize].for_each.is_some()
                && board.steps[*i as usize].children == 0
                && board.cell(*i).status == StepStatus::Completed
        };
        // An empty list is a group without parts and is not counted.
        let empty = all.clone().filter(in_lists).count() as u32;
        for status in [
            StepStatus::Pending,
            StepStatus::Ready,
            StepStatus::Assigned,
            StepStatus::Running,
            StepStatus::Checking,
            StepStatus::Blocked,
            StepStatus::Retrying,
            StepStatus::Failed,
            StepStatus::RolledBack,
        ] {
            assert_eq!(board.count(status), count(status), "{status}");
        }
        let completed = count(StepStatus::Completed);
        assert!((completed - empty..=completed).contains(&board.count(StepStatus::Completed)));
        if self.task.end().is_some() {
            return;
        }
        self.recount_what_is_waited_for();
        let step_leases = all.clone().filter(|i| board.cell(*i).lease.is_some()).count();
        let gate_leases = board.gates.values().filter(|g| g.lease.is_some()).count();
        assert_eq!(board.leases as usize, step_leases + gate_leases);
        assert_eq!(board.approvals as usize, board.gates.values().filter(|g| g.manual).count());
        let offers: Vec<_> = board.offers.values().flatten().collect();
        let steps = offers.iter().filter(|o| matches!(o, crate::board::Offer::Step(_))).count();
        assert_eq!((board.step_offers as usize, board.side_offers as usize), (steps, offers.len() - steps));
        let ready = all.filter(|i| board.cell(*i).status == StepStatus::Ready && board.steps[*i as usize].children == 0);
        let offered = ready.filter(|i| !board.fresh.contains(i)).count();
        let waiting = self.task.waits_for_budget().count();
        assert_eq!(steps + waiting, offered, "every ready step is offered or fresh, or waits for others to settle");
    }

    /// What each step that waits for others waits for, counted anew; and that everything has ended only when everything has.
    fn recount_what_is_waited_for(&self) {
        let board = &self.task.board;
        let open = |i: &u32| board.cell(*i).status == StepStatus::Ready && !board.fresh.contains(i);
        let mut left = 0;
        for i in board.all() {
            let (step, cell) = (&board.steps[i as usize], board.cell(i));
            let path = &step.path;
            left += u32::from(step.parent.is_none() && !board.has_ended(i));
            if matches!(cell.status, StepStatus::Pending | StepStatus::RolledBack) {
                let needs = step.needs.iter().filter(|need| !board.has_ended(**need)).count();
                let shut = usize::from(step.parent.is_some_and(|group| !open(&group)));
                assert_eq!(cell.unmet() as usize, needs + shut, "what {path} waits for");
                assert!(cell.status == StepStatus::RolledBack || needs + shut > 0, "{path} waits for nothing");
            }
            if !board.kids(i).is_empty() && !board.has_ended(i) {
                assert!(
                    board.kids(i).iter().any(|kid| !board.has_ended(*kid)),
                    "nothing is left in {path}, but it has not ended"
                );
            }
        }
        assert_eq!(board.is_done(), left == 0, "{left} are left");
        let waits = board.count(StepStatus::RolledBack) > 0;
        let taken_care_of = self.task.retrying || self.task.escalated.is_some();
        assert!(!waits || taken_care_of, "rolled back, and nobody tries again: {:#?}", self.task);
    }

    /// Lets time pass; the clock wakes the task whenever it asked for it.
    pub(super) fn pass(&mut self, duration: &str) {
        let until = self.now.plus(ms(duration));
        for _ in 0..10_000 {
            let Some(at) = self.task.wake_at().filter(|at| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = at.max(self.now);
            self.by(&Actor::clock(), Command::Wake).unwrap();
        }
        panic!("the clock does not come to rest: {:#?}", self.task);
    }

    /// The names of what the last command led to.
    pub(super) fn events(&self) -> Vec<&'static str> {
        self.done.moves.iter().map(|m| m.event.kind()).collect()
    }

    pub(super) fn status(&self) -> Status {
        self.task.status()
    }

    pub(super) fn step(&self, name: &str) -> StepStatus {
        self.task.step(name).unwrap().1
    }

    pub(super) fn wish(&mut self, n: u8, capabilities: &[&str], start: bool) -> Claim {
        self.claims = self.claims.wrapping_add(1);
        let mut words: Vec<Box<str>> = capabilities.iter().map(|c| (*c).into()).collect();
        words.sort();
        Claim {
            agent: agent(n),
            able: Able::of_words(words),
            closed: [].into(),
            claim: ClaimId::new(3_000, [self.claims; 10]),
            start,
            limits: Vec::new(),
        }
    }

    pub(super) fn try_claim(&mut self, n: u8, capabilities: &[&str]) -> Result<WorkItem, Refusal> {
        let claim = self.wish(n, capabilities, true);
        match self.by(&Actor::agent(agent(n)), Command::Claim(claim))? {
            Answer::Work(item) => Ok(*item),
            other => panic!("a claim was answered with {other:?}"),
        }
    }

    /// Agent `n` claims and starts.
    pub(super) fn claim(&mut self, n: u8, capability: &str) -> WorkItem {
        self.try_claim(n, &[capability]).unwrap()
    }

    /// The holder of a piece of work says how it ended.
    pub(super) fn report(&mut self, item: &WorkItem, outcome: Outcome) -> Result<Answer, Refusal> {
        let holder = self.task.live_leases().into_iter().find(|l| l.work == item.work).map_or(agent(1), |l| l.agent);
        self.report_as(&Actor::agent(holder), item, outcome)
    }

    pub(super) fn report_as(&mut self, actor: &Actor, item: &WorkItem, outcome: Outcome) -> Result<Answer, Refusal> {
        let spec = match &outcome {
            Outcome::Proposed(spec) | Outcome::Advised(crate::work::Advice::AlternativePath(spec)) => Some(spec),
            _ => None,
        };
        let plan = spec.map(|spec| Box::new(crate::request::check_plan(spec, ExecutionMode::Auto).unwrap()));
        self.by(actor, Command::Report { work: item.work.clone(), attempt: item.attempt, outcome: Box::new(outcome), plan })
    }

    pub(super) fn succeed(&mut self, item: &WorkItem) {
        self.succeed_with(item, json!(null));
    }

    pub(super) fn succeed_with(&mut self, item: &WorkItem, output: Value) {
        self.report(item, Outcome::Succeeded(Success { output, ..Success::default() })).unwrap();
    }

    pub(super) fn fail(&mut self, item: &WorkItem) {
        self.report(item, Outcome::Failed(Failure::new(ErrorClass::Other, "no"))).unwrap();
    }

    /// A failure that ends the step at once.
    pub(super) fn fail_for_good(&mut self, item: &WorkItem) {
        self.report(item, Outcome::Failed(Failure::final_(ErrorClass::Other, "never"))).unwrap();
    }

    /// Claims and succeeds with the next piece of work of this capability.
    pub(super) fn work_off(&mut self, capability: &str) -> WorkItem {
        let item = self.claim(1, capability);
        self.succeed(&item);
        item
    }

    pub(super) fn vote(&mut self, judge: &str, vote: VoteWord) -> Result<Answer, Refusal> {
        let command = Command::Vote {
            review: None,
            judge: judge.into(),
            vote,
            confidence: Some(0.9),
            reason: "so I think".into(),
            opinion: Box::default(),
        };
        self.by(&Actor::human(judge), command)
    }

    pub(super) fn cancel(&mut self, force: bool) -> Result<Answer, Refusal> {
        self.ann(Command::Cancel { reason: "no longer wanted".into(), force })
    }

    pub(super) fn pause(&mut self) {
        self.ann(Command::Pause { reason: "wait".into(), stop_running: false }).unwrap();
    }

    pub(super) fn resume(&mut self) {
        self.ann(Command::Resume { reason: String::new() }).unwrap();
    }

    pub(super) fn overrule(&mut self, decision: crate::event::OverrideWord, step: Option<&str>) -> Result<Answer, Refusal> {
        self.ann(Command::Override { decision, step: step.map(Into::into), reason: "I take it upon me".into() })
    }

    pub(super) fn signal(&mut self, name: &str, payload: Value) {
        self.ann(Command::Signal { name: name.into(), payload }).unwrap();
    }

    pub(super) fn take(&mut self, letter: Letter) {
        self.take_with(letter, Value::Null);
    }

    pub(super) fn take_with(&mut self, letter: Letter, output: Value) {
        self.by(&Actor::settle(), Command::Take { letters: vec![letter], outputs: vec![output], more: false }).unwrap();
    }

    pub(super) fn propose(&mut self, plan: Value) -> Result<Answer, Refusal> {
        self.ann(Command::Propose(Box::new(checked(plan))))
    }

    /// Mail that the last command sent.
    pub(super) fn mail(&self) -> Vec<(TaskId, Letter)> {
        self.done.moves.iter().flat_map(|m| &m.mail).map(|(to, letter, _)| (*to, letter.clone())).collect()
    }

    /// Tasks that the last command gave birth to.
    pub(super) fn births(&self) -> Vec<&crate::command::Birth> {
        self.done.moves.iter().flat_map(|m| &m.births).collect()
    }

    /// The last event of its life that has this name.
    pub(super) fn made(&self, kind: &str) -> &Event {
        let found = self.done.moves.iter().rev().find(|m| m.event.kind() == kind);
        &found.unwrap_or_else(|| panic!("no {kind} in {:?}", self.events())).event
    }
}

/// A plan as the engine would have checked it.
pub(super) fn checked(plan: Value) -> CheckedPlan {
    let spec: PlanSpec = serde_json::from_value(plan).unwrap();
    crate::request::check_plan(&spec, ExecutionMode::Auto).unwrap()
}

/// A judge's word on a gate.
pub(super) fn judgement(json: Value) -> Judgement {
    serde_json::from_value(json).unwrap()
}
