//! The program as a newcomer runs it: the README's first job on this checkout, and the same command again after the process was
//! killed in the middle.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The program, started in the checkout, with a database and an out folder of its own.
struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ephor"));
        command.args(arguments).arg("--database").arg(format!("sqlite:{}", self.folder.path().join("ephor.db").display()));
        command.current_dir(root()).stdin(Stdio::null()).env("NO_COLOR", "1");
        command
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn run(&self, job: &str) -> Command {
        let mut command = self.command(&["run", job]);
        command.arg("--out").arg(self.out());
        command
    }

    fn events(&self) -> Vec<Value> {
        let output = self.command(&["task", "events", "@last", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let stdout = String::from_utf8(output.stdout).unwrap();
        match serde_json::from_str::<Value>(&stdout) {
            Ok(Value::Array(events)) => events,
            _ => stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_first_job_of_the_readme_reports_on_this_checkout() {
    let program = Program::new();
    let output = program.run("examples/docs-health.yaml").output().unwrap();
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    // It shows what happens: a retry, a timer, branches.
    for word in ["RETRYING", "WAITING", "SKIPPED", "COMPLETED"] {
        assert!(shown.contains(word), "{word} missing in\n{shown}");
    }
    let report = std::fs::read_to_string(program.out().join("report.md")).unwrap();
    let files = report.lines().find(|l| l.starts_with("| Source files")).unwrap_or_else(|| panic!("{report}"));
    let count: u32 = files.split_whitespace().find_map(|w| w.parse().ok()).unwrap();
    assert!(count > 50, "this checkout has more than {count} source files:\n{report}");
    assert!(report.contains("## The longest files") && report.contains(".rs: "), "{report}");
    let kinds: Vec<String> = program.events().iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!((&*kinds[0], &*kinds[kinds.len() - 1]), ("SUBMITTED", "ARCHIVED"), "from submission to archive");
}

/// A job whose last step cannot work: what was done is undone, and then it is done in another way.
const TAKEN_BACK: &str = "
title: Book a seat
max_retries: 3
plan:
  steps:
    - {id: base, action: echo, params: {day: monday}, checkpoint: laid}
    - id: seat
      action: files.write
      depends_on: [base]
      params: {path: seat.txt, content: taken}
      compensation: {action: files.write, params: {path: undone.txt, content: 'gave back ${steps.seat.output.path}'}}
    - id: pay
      action: http.request
      depends_on: [seat]
      params: {url: no address at all}
      alternatives:
        - {on: [BAD_INPUT], title: Pay in cash, action: files.write, params: {path: paid.txt, content: cash}}
";

#[test]
fn what_was_done_is_undone_by_the_built_in_agents_and_told_as_it_happens() {
    let program = Program::new();
    let (job, config) = (program.folder.path().join("seat.yaml"), program.folder.path().join("house.yaml"));
    std::fs::write(&job, TAKEN_BACK).unwrap();
    std::fs::write(&config, "policy: {rollbacks_max: 1, task_retry: {max_attempts: 10, initial: 10ms, max: 10ms}}\n").unwrap();
    let mut run = program.run(job.to_str().unwrap());
    let output = run.arg("--config").arg(&config).output().unwrap();
    let shown = text(&output);
    let undone = std::fs::read_to_string(program.out().join("undone.txt")).unwrap_or_else(|e| panic!("{e}\n{shown}"));
    assert!(undone.starts_with("gave back ") && undone.ends_with("seat.txt"), "{undone}");
    for word in ["UNDOING", "UNDONE", "ROLLED_BACK", "ANALYSING"] {
        assert!(shown.contains(word), "{word} missing in\n{shown}");
    }
    let works: Vec<String> = program
        .events()
        .iter()
        .filter(|event| event["type"] == "ATTEMPT_SUCCEEDED")
        .filter_map(|event| event["data"]["work"].as_str().map(str::to_owned))
        .filter(|work| work != "analysis")
        .collect();
    assert_eq!(works[..4], ["step:1", "step:2", "undo:2", "step:2"], "the checkpoint stays done: {works:?}");
}

/// A job that takes a while: a chain of small steps with a timer between them.
const SLOW: &str = "
title: Slow but steady
max_retries: 0
plan:
  sequential: true
  steps:
    - {id: one, action: files.write, params: {path: one.txt, content: '1'}}
    - {id: rest, action: wait.for, params: {duration: 400ms}}
    - {id: two, action: files.write, params: {path: two.txt, content: '2'}}
    - {id: again, action: wait.for, params: {duration: 400ms}}
    - {id: shell, action: shell.run, params: {command: 'sleep 0.4; echo done'}}
    - {id: three, action: files.write, params: {path: three.txt, content: '3'}}
";

/// Ends a process as an accident would.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_at_any_moment_the_same_command_goes_on_with_nothing_lost_or_doubled() {
    let program = Program::new();
    let job = program.folder.path().join("slow.yaml");
    std::fs::write(&job, SLOW).unwrap();
    let job = job.to_str().unwrap();
    let mut killed_in_the_middle = 0;
    for after_ms in [60, 350, 500, 900] {
        let mut child = program.run(job).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after_ms));
        if child.try_wait().unwrap().is_none() {
            killed_in_the_middle += 1;
            kill(child);
        }
    }
    assert!(killed_in_the_middle > 0, "it always ended before it was killed: the test has proven nothing");
    let output = program.run(job).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));

    let events = program.events();
    let kinds: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|k| **k == "SUBMITTED").count(), 1, "one task, however often the command was given");
    assert_eq!(kinds.iter().filter(|k| **k == "COMPLETED").count(), 1);
    let mut succeeded: BTreeMap<String, u32> = BTreeMap::new();
    for event in events.iter().filter(|e| e["type"] == "ATTEMPT_SUCCEEDED") {
        *succeeded.entry(event["data"]["work"].to_string()).or_default() += 1;
    }
    assert!(succeeded.len() == 4 && succeeded.values().all(|n| *n == 1), "each step once: {succeeded:?}");
    let versions: Vec<u64> = events.iter().map(|e| e["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>());
    for file in ["one.txt", "two.txt", "three.txt"] {
        assert!(program.out().join(file).exists(), "{file}");
    }
    let doctor = program.command(&["doctor"]).output().unwrap();
    assert!(doctor.status.success(), "{}", text(&doctor));
}
