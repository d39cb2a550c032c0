//! Failures are dealt with by the agents that Ephor brings along: the rules drive a task, the built-in agents do its work, analyse what
//! fails and undo what was done; only time is played.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use ephor_agents::sandbox::{self, Enforcement, Limits};
use ephor_agents::{Builtin, Config, http, secrets, shell};
use ephor_core::command::{Answer, CheckedPlan, Claim, Command, Context};
use ephor_core::event::{Actor, Event, Private};
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::matching::Able;
use ephor_core::policy::Policy;
use ephor_core::request::check_plan;
use ephor_core::spec::ExecutionMode;
use ephor_core::status::Status;
use ephor_core::task::Task;
use ephor_core::time::Time;
use ephor_core::work::{Advice, Outcome, WorkItem, WorkKey};
use ephor_sdk::trial::Trial;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A task and the agents that work on it.
struct Job {
    task: Task,
    now: Time,
    agents: Builtin,
    events: Vec<Event>,
    /// What was worked on, in order, and what came of it.
    done: Vec<(WorkItem, Outcome)>,
    _dir: tempfile::TempDir,
}

impl Job {
    fn of(request: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_ephor"));
        let agents = Builtin::new(Config {
            read_roots: vec![dir.path().to_owned()],
            out: dir.path().join("out"),
            shell: shell::Config {
                folder: dir.path().join("shell"),
                sandbox: sandbox::Config {
                    launcher: vec![program.clone().into(), "sandbox-exec".into()],
                    enforcement: Enforcement::Required,
                    namespaces: true,
                    readable: vec![program],
                },
                limits: Limits::default(),
            },
            http: http::Config::default(),
            mail: None,
            gates: ephor_agents::gate::Config::default(),
            secrets: secrets::Source { env: |_| None, file: None },
        })
        .unwrap();
        let now = Time(1_700_000_000_000);
        let submission = ephor_core::request::check(&serde_json::from_value(request).unwrap(), now, &Policy::default()).unwrap();
        let task = Task::unborn(TaskId::new(now.0, [9; 10]));
        let mut job = Self { task, now, agents, events: Vec::new(), done: Vec::new(), _dir: dir };
        job.handle(Command::Submit(Box::new(submission)));
        job
    }

    fn handle(&mut self, command: Command) -> Option<Box<WorkItem>> {
        let (actor, policy) = (Actor::human("ann"), Policy::default());
        let cx = Context {
            now: self.now,
            actor: &actor,
            own: false,
            policy: &policy,
            counter: 0,
            judges: &[],
            // The built-in agents are there, and one of them analyses.
            analyst: self.agents.capabilities().iter().any(|c| c == "analyse"),
            ended: &[],
            births: &ephor_core::command::Unhindered,
            agents: &ephor_core::command::Strangers,
            held_back: false,
            told_to_stop: false,
            shut_models: &[],
        };
        let handled = self.task.handle(command, &cx);
        assert_eq!(handled.corrupt, None);
        self.events.extend(handled.moves.into_iter().map(|made| {
            assert!(!matches!(made.private, Some(Private::Outputs(_))));
            made.event
        }));
        match handled.answer.unwrap_or_default() {
            Answer::Work(item) => Some(item),
            Answer::Done | Answer::Effect(_) | Answer::Review(_) => None,
        }
    }

    /// Does what is offered, and lets time pass where nothing is, until it ends or a person has to decide.
    async fn go(mut self) -> Self {
        let (agent, claim) = (AgentId::new(1, [1; 10]), ClaimId::new(1, [1; 10]));
        let capabilities: Vec<Box<str>> = self.agents.capabilities().iter().map(|c| c.as_str().into()).collect();
        while self.task.end().is_none() && self.task.status() != Status::Escalated {
            let wish = Claim {
                agent,
                able: Able::of_words(capabilities.clone()),
                closed: [].into(),
                claim,
                start: true,
                limits: Vec::new(),
            };
            let Some(item) = self.handle(Command::Claim(wish)) else {
                let Some(at) = self.task.wake_at().filter(|at| *at > self.now) else { panic!("{:#?}", self.task.waiting()) };
                self.now = at;
                self.handle(Command::Wake);
                continue;
            };
            let able = self.agents.agents().into_iter().find(|a| a.actions().contains(&item.action)).unwrap();
            let outcome = Trial::of((*item).clone()).run(&*able).await;
            let plan = match &outcome {
                Outcome::Advised(Advice::AlternativePath(spec)) => Some(checked(spec)),
                _ => None,
            };
            let (work, attempt) = (item.work.clone(), item.attempt);
            self.done.push((*item, outcome.clone()));
            self.handle(Command::Report { work, attempt, outcome: Box::new(outcome), plan });
        }
        self
    }

    /// The works of this kind, by text, in the order in which they were done.
    fn works(&self, starts: &str) -> Vec<String> {
        let works = self.done.iter().map(|(item, _)| item.work.to_string());
        works.filter(|work| work.starts_with(starts)).collect()
    }

    fn reason(&self) -> &str {
        self.task.contents.reason.as_deref().unwrap_or_default()
    }
}

fn checked(spec: &ephor_core::spec::PlanSpec) -> Box<CheckedPlan> {
    Box::new(check_plan(spec, ExecutionMode::Auto).unwrap())
}

#[tokio::test]
async fn what_led_to_nonsense_is_undone_in_reverse_and_done_again_until_another_way_is_taken() {
    let job = Job::of(json!({"title": "Book a journey", "plan": {"steps": [
        {"id": "quote", "action": "echo", "params": {"price": 40}, "checkpoint": "quoted"},
        {"id": "seat", "needs": ["quote"], "action": "echo", "params": {"number": 12},
         "compensation": {"action": "echo", "params": {"cancel": "${steps.seat.output.number}"}}},
        {"id": "bed", "needs": ["seat"], "action": "echo", "params": {"room": 7},
         "compensation": {"action": "echo", "params": {"free": "${steps.bed.output.room}"}}},
        {"id": "pay", "needs": ["bed"], "action": "http.request", "params": {"url": "no address at all"},
         "alternatives": [{"on": ["BAD_INPUT"], "title": "Pay by invoice", "action": "echo", "params": {"invoice": true}}]},
    ]}}))
    .go()
    .await;
    assert_eq!(job.task.status(), Status::Completed, "{}", job.reason());
    assert_eq!(job.works("undo:"), ["undo:3", "undo:2", "undo:3", "undo:2"], "twice back, each time in reverse");
    let undone = job.done.iter().find(|(item, _)| item.work == WorkKey::Undo("2".into())).unwrap();
    assert_eq!(undone.0.params["cancel"], json!(12));
    assert_eq!(job.works("step:1"), ["step:1"], "the checkpoint stays done");
    assert_eq!(job.works("step:2").len(), 3);
    assert_eq!(job.task.contents.output("pay"), Some(json!({"invoice": true})));
    let view = job.task.plan_view();
    assert_eq!((view.plan_version, view.changes[0].changed[0].step.key.as_deref()), (2, Some("pay")));
    assert_eq!(view.changes[0].finished, ["1", "2", "3"], "what was done did not run again");
}

#[tokio::test]
async fn what_takes_too_long_is_tried_again_and_then_given_twice_the_time() {
    let job = Job::of(json!({"title": "x", "plan": {"steps": [
        {"action": "shell.run", "timeout": "1h", "params": {"command": "exit 124"}, "retry": {"max_attempts": 1}}]}}));
    let job = job.go().await;
    assert_eq!(job.task.status(), Status::Escalated, "it never works");
    let told: Vec<String> =
        job.task.plan_view().changes.iter().flat_map(|c| &c.changed[0].fields).filter_map(|f| f.is.clone()).collect();
    assert_eq!(told, ["\"2h\"", "\"4h\"", "\"8h\"", "\"16h\""]);
}

#[tokio::test]
async fn want_of_memory_leads_to_a_plan_with_more_of_it_and_the_next_claim_carries_it() {
    let job = Job::of(json!({"title": "x", "max_retries": 2, "plan": {"steps": [
        {"action": "shell.run", "resources": {"memory_mb": 32}, "retry": {"max_attempts": 1},
         "params": {"command": "echo out of memory >&2; exit 1"}}]}}));
    let job = job.go().await;
    let given: Vec<&Value> =
        job.done.iter().filter(|(item, _)| item.action == "shell.run").map(|(item, _)| &item.resources["memory_mb"]).collect();
    assert_eq!(given, [&json!(32), &json!(64), &json!(128)]);
    assert_eq!(job.task.status(), Status::Escalated);
}

#[tokio::test]
async fn a_no_goes_to_a_person_at_once_and_nonsense_from_the_start_ends() {
    let refused = Job::of(json!({"title": "x", "plan": {"steps": [
        {"action": "http.request", "params": {"url": "http://127.0.0.1:1/"}, "retry": {"max_attempts": 5}}]}}));
    let refused = refused.go().await;
    assert_eq!((refused.task.status(), refused.works("step:").len()), (Status::Escalated, 1));
    assert!(refused.reason().contains("REFUSED") && refused.reason().contains("allow what was refused"), "{}", refused.reason());

    let nonsense = Job::of(json!({"title": "x", "action": "http.request", "payload": {"url": "no address at all"}})).go().await;
    assert_eq!((nonsense.task.status(), nonsense.works("step:").len()), (Status::Stopped, 1), "{}", nonsense.reason());
}
