//! The simulated agents of `examples/agents` against a server of its own: each of them runs a whole plan, and three of them run one
//! together while one is killed, one hangs and one lies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, Server, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long anything here may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/agents").canonicalize().unwrap()
}

/// The simulator in Python. It needs python3 and nothing else; where that is missing the tests say so and fail.
fn python(house: &House, server: &Server, args: &[&str]) -> Command {
    let script = examples().join("simulator.py");
    let mut command = house.command("python3", &[]);
    command.arg(script).args(args).env("EPHOR_SERVER", &server.url).env_remove("EPHOR_TOKEN");
    let found = Command::new("python3").arg("--version").output();
    assert!(found.is_ok_and(|output| output.status.success()), "python3 is missing; .ci/run installs it by its package");
    command
}

/// The same on the SDK, built beside this test.
fn rust(house: &House, server: &Server) -> Command {
    let program = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/simulator");
    assert!(program.exists(), "{} was not built; run the tests of the whole package", program.display());
    let mut command = house.command(program, &[]);
    command.env("EPHOR_SERVER", &server.url).env_remove("EPHOR_TOKEN");
    command
}

/// The events that a simulator has written.
fn logged(house: &House, name: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(house.path(name)).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The paths or names of the tasks of the plan, in its order.
fn planned(house: &House, server: &Server, execution: &str) -> Vec<String> {
    let shown = house.json(&["api", "GET", &format!("/api/executions/{execution}"), "--server", &server.url]);
    let tasks = shown["tasks"].as_array().unwrap().iter().filter(|task| task["action"].is_string());
    tasks.map(|task| task["task_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_simulator_in_python_runs_a_whole_plan_in_order() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    // What people want done for real, in the same words, is none of its business.
    let real = house.submit(&server, &json!({"title": "real", "action": "search_google_maps"}));
    let said = finished(python(&house, &server, &["--seconds", "0.01", "--log", "events.log"]));
    let left = house.json(&["api", "GET", &format!("/api/v1/tasks/{real}"), "--server", &server.url]);
    assert_eq!(left["status"], "SCHEDULED", "{left}");
    let elsewhere = python(&house, &server, &["--join", &real]).output().unwrap();
    assert!(!elsewhere.status.success() && text(&elsewhere.stderr).contains("--namespace default"), "{elsewhere:?}");
    assert!(said.contains("is COMPLETED: 14 of 14 tasks done"), "{said}");
    let events = logged(&house, "events.log");
    assert_eq!(events.iter().filter(|event| event["event_type"] == "task_complete").count(), 14);
    assert_eq!(events.last().unwrap()["event_type"], "execution_completed");
}

#[test]
fn the_simulator_on_the_sdk_runs_a_whole_plan_in_order() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let real = house.submit(&server, &json!({"title": "real", "action": "search_google_maps"}));
    let mut simulator = rust(&house, &server);
    simulator.arg("events.log");
    let said = finished(simulator);
    let left = house.json(&["api", "GET", &format!("/api/v1/tasks/{real}"), "--server", &server.url]);
    assert_eq!(left["status"], "SCHEDULED", "it plays nobody's real tasks: {left}");
    assert!(said.contains("is COMPLETED: 14 of 14 tasks done"), "{said}");
    assert_eq!(logged(&house, "events.log").iter().filter(|event| event["type"] == "ATTEMPT_SUCCEEDED").count(), 14);
}

/// Runs a simulator that has to end well; what it said.
fn finished(command: Command) -> String {
    let mut simulator = Simulator::start(command);
    let status = simulator.ended();
    let said: Vec<String> = simulator.lines.iter().collect();
    assert!(status.success(), "it ended with {status}: {said:#?}");
    said.join("\n")
}

/// A simulator at work; killed when it goes out of scope.
struct Simulator {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Simulator {
    /// Works on an execution that somebody else started.
    fn join(house: &House, server: &Server, name: &str, capabilities: &str, seconds: &str) -> Self {
        let log = format!("{name}.log");
        let args =
            ["--join", "exec_bakery", "--agent", name, "--capabilities", capabilities, "--seconds", seconds, "--log", &log];
        Self::start(python(house, server, &args))
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, lines) = channel();
        // Read by a thread of its own: nobody waits for a line without a deadline. It ends with the simulator.
        std::thread::spawn(move || told.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines }
    }

    /// Waits until it says that it has begun a task.
    fn begins(&mut self, action: &str) {
        let begun = format!(" {action}: ");
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("it never began to {action}: {e}"));
            if line.contains(&begun) {
                return;
            }
        }
    }

    /// Waits until it has ended.
    fn ended(&mut self) -> ExitStatus {
        let pause = Duration::from_millis(20);
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(pause);
        }
        panic!("it does not end; it said {:#?}", self.lines.try_iter().collect::<Vec<_>>());
    }

    /// Stops it in the middle, or lets it go on, as the kernel would.
    fn signal(&self, signal: &str) {
        let done = Command::new("sh").args(["-c", &format!("kill {signal} {}", self.child.id())]).status().unwrap();
        assert!(done.success());
    }
}

/// Asks the server as it is; its status, and its answer.
fn ask(house: &House, server: &Server, method: &str, path: &str, body: &Value) -> (bool, Value) {
    let body = body.to_string();
    let args = ["api", method, path, "-d", &body, "--server", &server.url, "--json"];
    let output = house.run(&args);
    let told = if output.status.success() { &output.stdout } else { &output.stderr };
    (output.status.success(), serde_json::from_slice(told).unwrap_or_else(|_| json!(text(told))))
}

#[test]
fn three_agents_complete_a_plan_although_one_is_killed_one_hangs_and_one_lies() {
    const RESEARCH: &str = "search_google_maps,manage_csv,analyze_website";
    const TALK: &str = "make_phone_call,document_findings,schedule_calendar_event,conduct_interview";
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    // Larry's own plan where it is at hand, else the one of the examples.
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/planexe_ax/larry_prospecting_plan.md");
    let outline = std::fs::read_to_string(&own).or_else(|_| std::fs::read_to_string(examples().join("prospecting.md"))).unwrap();
    // Whoever is silent for two seconds and a half is held to be lost, and their task is offered to the others.
    let new = json!({"execution_id": "exec_bakery", "plan_id": "bakery", "plan": outline,
        "heartbeat_timeout": "2s", "on_agent_lost": "reoffer", "namespace": "simulator"});
    let (created, shown) = ask(&house, &server, "POST", "/api/executions", &new);
    assert!(created, "{shown}");
    let shown = house.json(&["api", "GET", "/api/executions/exec_bakery", "--server", &server.url]);
    let actions: BTreeSet<&str> = shown["tasks"].as_array().unwrap().iter().filter_map(|task| task["action"].as_str()).collect();
    let others = |action: &&&str| !RESEARCH.split(',').chain(TALK.split(',')).any(|known| known == **action);
    let write: Vec<&str> = actions.iter().filter(others).copied().collect();
    assert!(!write.is_empty(), "{actions:?}");

    // The researcher is killed in the middle of a task, as by the kernel; one of the same trade comes after it.
    let mut killed = Simulator::join(&house, &server, "researcher", RESEARCH, "600");
    killed.begins("search_google_maps");
    killed.signal("-KILL");
    let mut heir = Simulator::join(&house, &server, "heir", RESEARCH, "0.01");
    let mut writer = Simulator::join(&house, &server, "writer", &write.join(","), "0.01");

    // The talker hangs in the middle of a task: it lives, holds it, and says nothing.
    let mut hanging = Simulator::join(&house, &server, "talker", TALK, "0.4");
    hanging.begins("make_phone_call");
    hanging.signal("-STOP");

    // Somebody lies all the while: says that what it does not hold is done, and that what is done has failed.
    let liar = json!({"agent_id": "liar", "name": "Liar", "capabilities": ["lie"]});
    assert!(ask(&house, &server, "POST", "/api/agents", &liar).0);
    let planned = planned(&house, &server, "exec_bakery");
    assert_eq!(planned.len(), if own.exists() { 19 } else { 14 });
    let lie = |task: &str, kind: &str| {
        let event = json!({"agent_id": "liar", "event_type": kind, "task_id": task, "message": "believe me"});
        let (believed, answer) = ask(&house, &server, "POST", "/api/executions/exec_bakery/events", &event);
        assert!(!believed && answer.to_string().contains("STALE_ATTEMPT"), "{task}: {answer}");
    };
    for task in &planned {
        lie(task, "task_complete");
    }
    lie(&planned[0], "task_error");

    let mut second = Simulator::join(&house, &server, "second-talker", TALK, "0.01");
    // Once its task has gone to another the one that hung wakes up and goes on as if nothing had been.
    second.begins("make_phone_call");
    hanging.signal("-CONT");
    for (name, worker) in [("heir", &mut heir), ("writer", &mut writer), ("talker", &mut hanging), ("second", &mut second)] {
        let ended = worker.ended();
        // Each of them looks at the whole log itself: all done, once, in order.
        assert!(ended.success(), "{name} ended with {ended}");
    }

    let events = logged(&house, "writer.log");
    let of = |kind: &str| events.iter().filter(|event| event["event_type"] == kind).collect::<Vec<_>>();
    let done: Vec<&str> = of("task_complete").iter().map(|event| event["task_id"].as_str().unwrap()).collect();
    assert_eq!(done, planned, "each task exactly once, in the order of the plan");
    assert_eq!(events.last().unwrap()["event_type"], "execution_completed");
    // Two were lost: the first task of the one that was killed, and that of the one that hung.
    let lost: Vec<(&str, u64)> = of("task_error")
        .iter()
        .filter(|event| event["error_type"] == "agent_lost")
        .map(|event| (event["task_id"].as_str().unwrap(), event["attempt"].as_u64().unwrap()))
        .collect();
    assert!(lost.contains(&(&*planned[0], 1)) && lost.iter().any(|(task, _)| *task != planned[0]), "{lost:?}");
    // Every lie is kept as evidence; so is the late word of the one that hung, if it got round to it.
    let evidence = of("late_report_kept");
    assert!(evidence.len() > planned.len(), "{evidence:?}");
    assert!(evidence.iter().filter(|event| event["agent_id"] == "liar").count() == planned.len() + 1);
    // Who did what: nobody who lied or was lost.
    let doers: Vec<&str> = of("task_complete").iter().map(|event| event["agent_id"].as_str().unwrap()).collect();
    assert!(doers.iter().all(|agent| ["heir", "writer", "talker", "second-talker"].contains(agent)), "{doers:?}");
}
