//! A real server: the agent of the documentation works with it, it ends in good order, its log keeps secrets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How long anything here may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to stop (promise 23).
const STOPS_WITHIN: Duration = Duration::from_secs(10);

struct Server {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// On a free port, with a database of its own; what it logs goes to a file.
    fn start(settings: &[(&str, &str)], args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ephor"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(args).current_dir(folder.path());
        command.env_remove("EPHOR_SERVER").env_remove("EPHOR_DATABASE").env_remove("DATABASE_URL").env_remove("EPHOR_LISTEN");
        command.envs(settings.iter().copied());
        command.stdout(Stdio::piped()).stderr(File::create(folder.path().join("log")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it said {line:?}")).to_owned();
        Self { child, address, folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("data/operator.token")).unwrap()
    }

    /// Asks with curl.
    fn ask(&self, method: &str, path: &str, headers: &[&str], body: &Value) -> Value {
        let output = self.curl(method, path, headers, &body.to_string()).output().expect(NO_CURL);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{method} {path}: {}", told(&output)))
    }

    fn curl(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--request", method]);
        curl.args(["--header", "Content-Type: application/json", "--data-binary", body]);
        for header in headers {
            curl.args(["--header", header]);
        }
        curl.arg(format!("{}{path}", self.address)).stdout(Stdio::piped()).stderr(Stdio::piped());
        curl
    }

    fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Whether it has ended within the time it may take.
    fn has_ended(&mut self, within: Duration) -> Option<i32> {
        until(within, || self.child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const NO_CURL: &str = "curl is needed for this test; .ci/run installs it";

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What `look` finds, looked for until it is there or the time is over.
fn until<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let step = Duration::from_millis(20);
    (0..within.as_millis() / step.as_millis()).find_map(|_| {
        look().or_else(|| {
            std::thread::sleep(step);
            None
        })
    })
}

/// The script of the page about agents.
fn script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/agents.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```sh agent\n").expect("the page has a script");
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_agent_of_the_documentation_does_a_task() {
    let server = Server::start(&[], &["--no-agents"]);
    let task = server.ask("POST", "/api/v1/tasks", &[], &json!({"title": "say hello", "action": "greet"}));
    let file: PathBuf = server.folder.path().join("agent.sh");
    std::fs::write(&file, script()).unwrap();
    assert!(Command::new("curl").arg("--version").output().expect(NO_CURL).status.success());
    let agent = Command::new("sh").arg(&file).env("EPHOR", &server.address).env("WAIT", "0s").env_remove("KEY").output().unwrap();
    assert!(agent.status.success(), "{}", told(&agent));
    let task = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    let shown = server.ask("GET", &task, &[], &json!({}));
    assert_eq!(shown["status"], "COMPLETED", "{shown}\n{}", told(&agent));
    let logs = server.ask("GET", &format!("{task}/logs"), &[], &json!({}));
    assert_eq!(logs[0]["text"], "greeting the world");
}

#[test]
fn a_server_that_is_told_to_stop_lets_everybody_go_in_time() {
    let mut server = Server::start(&[], &[]);
    server.ask("POST", "/api/v1/agents", &[], &json!({"name": "idle", "external_id": "idle", "capabilities": ["nothing"]}));
    // A step of a built-in agent that would go on for long, and a claim that would wait for long.
    let slow = json!({"title": "slow", "plan": {"steps": [{"action": "shell.run", "params": {"command": "sleep 300"}}]}});
    let slow = server.ask("POST", "/api/v1/tasks", &[], &slow);
    let path = format!("/api/v1/tasks/{}", slow["id"].as_str().unwrap());
    let begun = until(PATIENCE, || (server.ask("GET", &path, &[], &json!({}))["status"] != "SCHEDULED").then_some(()));
    assert!(begun.is_some(), "the step did not begin");
    let waiting = server.curl("POST", "/api/v1/agents/idle/work/claim", &[], r#"{"wait": "60s"}"#).spawn().expect(NO_CURL);
    let parked = || (server.ask("GET", "/api/v1/agents/idle", &[], &json!({}))["last_seen_at"].is_string()).then_some(());
    assert!(until(PATIENCE, parked).is_some(), "the claim did not come");

    server.terminate();
    assert_eq!(server.has_ended(STOPS_WITHIN), Some(0), "{}", server.log());
    let answer = waiting.wait_with_output().unwrap();
    assert_eq!(told(&answer), "[]");
    assert!(!server.curl("GET", "/health/live", &[], "").output().unwrap().status.success());
    let checked = Command::new(env!("CARGO_BIN_EXE_ephor")).arg("doctor").current_dir(server.folder.path()).output().unwrap();
    assert!(checked.status.success(), "{}", told(&checked));
}

#[test]
fn secrets_are_in_no_log_whoever_brings_them() {
    const CANARY: &str = "canary7f3a9c21e5";
    for format in ["text", "json"] {
        let mut server = Server::start(
            &[("EPHOR_LOG", "trace"), ("EPHOR_SECRET_TOKEN", "canary7f3a9c21e5-secret")],
            &["--log-format", format],
        );
        let token = server.token();
        let bearer = format!("Authorization: Bearer {token}");
        let key = server.ask("POST", "/api/v1/keys", &[&bearer], &json!({"name": "ci", "roles": ["admin"]}));
        let key = format!("Authorization: Bearer {}", key["key"].as_str().unwrap());
        let headers = [key.as_str(), "Cookie: ephor_session=canary7f3a9c21e5", "X-Api-Key: canary7f3a9c21e5"];
        let mail = "canary7f3a9c21e5@example.org";
        let body = json!({"title": CANARY, "description": mail, "max_retries": 0, "payload": {"passport": CANARY, "phone": "+49 30 7654321"},
            "plan": {"steps": [{"action": "shell.run", "retry_policy": {"max_attempts": 1},
                "params": {"command": "echo canary7f3a9c21e5; echo ${secrets.TOKEN} >&2; exit 3"}}]}});
        let made = server.ask("POST", "/api/v1/tasks", &headers, &body);
        let task = format!("/api/v1/tasks/{}", made["id"].as_str().unwrap_or_else(|| panic!("{made}")));
        let moved = || server.ask("GET", &task, &headers, &json!({}))["status"].as_str().filter(|s| *s == "FAILED").map(drop);
        assert!(until(PATIENCE, moved).is_some(), "{}", server.ask("GET", &task, &headers, &json!({})));
        // Refused, unknown, unreadable: errors tell no more.
        let brought = json!({"title": "x", "payload": {"password": CANARY}});
        let refused = server.ask("POST", "/api/v1/tasks", &headers, &brought);
        assert!(refused["code"] == "VALIDATION_FAILED" && !refused.to_string().contains(CANARY), "{refused}");
        server.ask("POST", "/api/v1/tasks?code=canary7f3a9c21e5", &headers, &json!({"titel": CANARY}));
        server.ask("GET", "/api/v1/me", &["Authorization: Bearer canary7f3a9c21e5"], &json!({}));
        server.ask("GET", "/login?code=canary7f3a9c21e5", &[], &json!({}));
        server.terminate();
        assert_eq!(server.has_ended(STOPS_WITHIN), Some(0));
        let log = server.log();
        for secret in [CANARY, &token, key.trim_start_matches("Authorization: Bearer "), mail, "+49 30 7654321"] {
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{format}: {secret:?} is in the log: {line:?}");
        }
        // What was looked for in is a log.
        let requests = log.lines().filter(|line| line.contains("/api/v1/tasks/{id}") && line.contains("200")).count();
        assert!(requests > 0 && log.contains("transition"), "{log}");
    }
}

#[test]
fn an_address_that_others_reach_takes_a_key_first() {
    let folder = tempfile::tempdir().unwrap();
    let ephor = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ephor"));
        command.args(args).current_dir(folder.path()).env_remove("EPHOR_SERVER").env_remove("EPHOR_DATABASE").output().unwrap()
    };
    let refused = ephor(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(4), "{}", told(&refused));
    assert!(told(&refused).contains("ephor key create"), "{}", told(&refused));
    let made = ephor(&["key", "create", "ci", "--role", "admin", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{}", told(&made)));
    assert!(made["key"].as_str().unwrap().starts_with("ephor_key_"));
    let listed: Value = serde_json::from_slice(&ephor(&["key", "list", "--json"]).stdout).unwrap();
    assert_eq!((&listed[0]["id"], listed[0].get("key")), (&made["id"], None));
    let revoked = ephor(&["key", "revoke", made["id"].as_str().unwrap()]);
    assert!(revoked.status.success() && told(&revoked).contains("revoked"), "{}", told(&revoked));
    assert_eq!(ephor(&["serve", "--listen", "0.0.0.0:0"]).status.code(), Some(4));
}

#[test]
fn a_server_in_safe_mode_lets_go_bit_by_bit_what_the_operator_releases() {
    let server = Server::start(&[], &["--safe-mode", "--no-agents"]);
    let ephor = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ephor"));
        command.args(line.split(' ')).current_dir(server.folder.path());
        let said =
            command.env_remove("EPHOR_SERVER").env_remove("EPHOR_DATABASE").env_remove("EPHOR_NAMESPACE").output().unwrap();
        assert!(said.status.success(), "{line}: {}", told(&said));
        String::from_utf8(said.stdout).unwrap()
    };
    let json = |line: &str| serde_json::from_str::<Value>(&ephor(&format!("{line} --json"))).unwrap();
    let holds = json("hold list");
    assert_eq!(holds[0]["reason"], "started in safe mode", "{holds}");
    let hold = holds[0]["id"].as_str().unwrap();

    let submit = |task_type: &str| {
        let made = server.ask("POST", "/api/v1/tasks", &[], &json!({"title": "t", "action": "work", "task_type": task_type}));
        made["id"].as_str().unwrap().to_owned()
    };
    let (one, two, other) = (submit("mail"), submit("mail"), submit("other"));
    server.ask("POST", "/api/v1/agents", &[], &json!({"name": "w", "external_id": "w", "capabilities": ["work"]}));
    let next = || {
        let given = server.ask("POST", "/api/v1/agents/w/work/claim", &[], &json!({"wait": "0s", "max": 9}));
        given.as_array().unwrap().iter().map(|item| item["task_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(next(), [""; 0]);
    let why = ephor(&format!("why {one}"));
    assert!(why.contains("HOLD") && why.contains(&format!("ephor hold lift {hold}")), "{why}");

    let released = ephor(&format!("hold release {hold} --type mail --rate 1/h"));
    assert!(released.contains("type mail at 1/1h"), "{released}");
    assert_eq!(next(), [one.as_str()]);
    // What is counted is in the memory of the server: whoever reads the database beside it sees holds alone.
    let why = ephor(&format!("why {two} --server {}", server.address));
    assert!(why.contains("LIMIT") && why.contains("rate of its release"), "{why}");

    assert!(ephor("limit set one --max 1").contains("one"));
    ephor(&format!("hold lift {hold}"));
    assert_eq!(json("hold list"), json!([]));
    assert_eq!(next(), [""; 0], "one piece of work is with an agent already");
    let limits = json(&format!("limit list --server {}", server.address));
    assert_eq!((&limits[0]["counted"], &limits[0]["full"]), (&json!(1), &json!(1)), "{limits}");
    ephor("limit remove one");

    let killed = ephor(&format!("kill --task {other} --reason no"));
    assert!(killed.contains("PAUSED"), "{killed}");
    let killed = json("kill --agent w --finish --reason no");
    assert_eq!(killed[0]["running"], "finish", "{killed}");
    assert_eq!(next(), [""; 0]);
    ephor(&format!("hold lift {}", killed[0]["id"].as_str().unwrap()));
    assert_eq!(next(), [two.as_str()]);
}
