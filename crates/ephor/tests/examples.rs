//! The jobs in `examples/` do what they say: the rules drive them, the built-in agents do the work, and only time is played.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use ephor::import;
use ephor_agents::sandbox::{self, Enforcement, Limits};
use ephor_agents::{Builtin, Config, http, secrets, shell};
use ephor_core::command::{Answer, Claim, Command, Context};
use ephor_core::event::{Actor, Event};
use ephor_core::id::{AgentId, ClaimId, TaskId};
use ephor_core::matching::Able;
use ephor_core::policy::Policy;
use ephor_core::status::{Status, StepStatus};
use ephor_core::task::Task;
use ephor_core::time::Time;
use ephor_core::view::StepView;
use ephor_core::work::WorkItem;
use ephor_sdk::trial::Trial;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A task on its way, and the folders it reads and writes.
struct Job {
    task: Task,
    now: Time,
    agents: Builtin,
    out: PathBuf,
    events: Vec<&'static str>,
    _dir: tempfile::TempDir,
}

impl Job {
    /// An example over a folder of its own, with some of its payload replaced.
    fn begin(example: &str, files: &[(&str, &str)], payload: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (read, out) = (dir.path().join("read"), dir.path().join("out"));
        for (path, content) in files {
            let path = read.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        std::fs::create_dir_all(&read).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_ephor"));
        let agents = Builtin::new(Config {
            read_roots: vec![read, out.clone()],
            out: out.clone(),
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
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example);
        let mut request = import::from_path(&path).unwrap().requests.remove(0);
        let given = request.payload.as_object_mut().unwrap();
        given.extend(payload.as_object().unwrap().clone());
        given.insert("out".into(), json!(out));
        let now = Time(1_700_000_000_000);
        let submission = ephor_core::request::check(&request, now, &Policy::default()).unwrap();
        let task = Task::unborn(TaskId::new(now.0, [9; 10]));
        let mut job = Self { task, now, agents, out, events: Vec::new(), _dir: dir };
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
            analyst: false,
            ended: &[],
            births: &ephor_core::command::Unhindered,
            agents: &ephor_core::command::Strangers,
            held_back: false,
            told_to_stop: false,
            shut_models: &[],
        };
        let handled = self.task.handle(command, &cx);
        assert_eq!(handled.corrupt, None);
        self.events.extend(handled.moves.iter().map(|made| Event::kind(&made.event)));
        match handled.answer {
            Ok(Answer::Work(item)) => Some(item),
            _ => None,
        }
    }

    /// Does what is offered; where nothing is, lets time pass until something has to happen.
    async fn finish(mut self) -> Self {
        let (agent, claim) = (AgentId::new(1, [1; 10]), ClaimId::new(1, [1; 10]));
        let capabilities: Vec<Box<str>> = self.agents.capabilities().iter().map(|c| c.as_str().into()).collect();
        while self.task.end().is_none() {
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
            let (work, attempt) = (item.work.clone(), item.attempt);
            let outcome = Box::new(Trial::of(*item).run(&*able).await);
            self.handle(Command::Report { work, attempt, outcome, plan: None });
        }
        let lost = self.task.step_views().into_iter().find(|s| s.status == StepStatus::Failed);
        assert_eq!(self.task.status(), Status::Completed, "{lost:#?}");
        self
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.out.join(file)).unwrap()
    }

    fn step(&self, key: &str) -> StepView {
        self.task.step_views().into_iter().find(|s| s.key.as_deref() == Some(key)).unwrap()
    }
}

#[tokio::test]
async fn the_first_job_reports_on_the_health_of_the_documentation() {
    let files = [
        ("README.md", "# Hello\n\nSee [the guide](docs/guide.md) and [nothing](docs/none.md).\n\nTODO: say more\n"),
        ("docs/guide.md", "# Guide\n\n[back](../README.md#hello)\n"),
        ("src/main.rs", "fn main() {}\n// FIXME: everything\n\n\n"),
        ("src/lib.rs", "\n"),
    ];
    let job = Job::begin("docs-health.yaml", &files, json!({"long": 3})).finish().await;
    let report = job.read("report.md");
    for line in [
        "| Source files | 2 with 5 lines |",
        "| Pages | 2 with 8 lines |",
        "| Links and anchors inside | 3, of which 1 lead nowhere |",
        "| Unfinished marks | 2 |",
        "| Files over 3 lines | 1 |",
        "## Links that lead nowhere",
        "- README.md:3: `docs/none.md`: no such file",
        "## Unfinished",
        "- src/main.rs:2: // FIXME: everything",
        "- README.md:5: TODO: say more",
        "- src/main.rs: 4 lines, too long",
    ] {
        assert!(report.contains(line), "{line:?} missing in\n{report}");
    }
    // It failed once, was tried again, waited for a timer and left out what did not apply.
    assert!(job.events.contains(&"ATTEMPT_FAILED") && job.events.contains(&"WAIT_ENDED"), "{:?}", job.events);
    assert_eq!(job.step("fetch").attempt, 2);
    assert_eq!((job.step("praise").status, job.step("unrest").status), (StepStatus::Skipped, StepStatus::Skipped));
    let last = job.task.output_views().pop().unwrap();
    assert!(last.output["text"].as_str().unwrap().contains("3 links, 1 lead nowhere"), "{last:?}");
}

#[tokio::test]
async fn a_healthy_folder_is_praised() {
    let job = Job::begin("docs-health.yaml", &[("README.md", "# Hello\n")], json!({})).finish().await;
    let report = job.read("report.md");
    assert!(report.contains("Every link leads somewhere") && !report.contains("## Links"), "{report}");
    assert_eq!(job.step("findings").status, StepStatus::Skipped);
}

#[tokio::test]
async fn release_notes_are_grouped_by_area() {
    let notes = Job::begin("release-notes.yaml", &[], json!({})).finish().await.read("release-notes.md");
    assert!(notes.starts_with("## next\n\n5 changes.\n\n### cli\n\n- show what a task waits for\n"), "{notes}");
    assert!(notes.contains("### store\n\n- admit one engine to a database\n- keep streams in SQLite\n"), "{notes}");
    assert!(notes.contains("### other\n\n- wip"), "{notes}");
}

#[tokio::test]
async fn a_table_becomes_sums_that_make_the_whole() {
    let job = Job::begin("csv-report.yaml", &[], json!({})).finish().await;
    let report = job.read("report.md");
    assert!(report.contains("| tools | 2 | 100.00 |") && report.contains("| **all** | | **430.15** |"), "{report}");
    assert_eq!(job.read("totals.csv"), "books,2,19.75\ntools,2,100.00\ntravel,1,310.40\n");
}

#[tokio::test]
async fn checks_run_side_by_side_and_each_says_what_it_found() {
    let files = [("notes.txt", "fine\nthe the end \n\n\nlast\n")];
    let report = Job::begin("parallel-checks.yaml", &files, json!({"file": "notes.txt"})).finish().await.read("checks.md");
    for line in ["- **spaces at the end of a line**: 1\n  - `2:the the end`", "- tabs: none", "- **the same word twice**: 1"] {
        assert!(report.contains(line), "{line:?} missing in\n{report}");
    }
}

#[test]
fn every_example_is_a_sound_plan() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let paths = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path());
    let plans: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    assert!(plans.len() >= 4, "{plans:?}");
    for path in plans {
        let checked =
            std::process::Command::new(env!("CARGO_BIN_EXE_ephor")).arg("plan").arg("check").arg(&path).output().unwrap();
        assert!(checked.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&checked.stderr));
    }
}
