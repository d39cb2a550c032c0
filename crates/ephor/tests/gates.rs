//! Gates from end to end: the shipped example at the command line, and a server whose gates judge what an agent of its own did.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, Server, text};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long anything here may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).display().to_string()
}

/// Asks until an answer is as it should be.
fn until(what: &str, mut ask: impl FnMut() -> Value, is: impl Fn(&Value) -> bool) -> Value {
    let pause = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    loop {
        let answer = ask();
        if is(&answer) {
            return answer;
        }
        assert!(waited < PATIENCE, "{what}: {answer}");
        std::thread::sleep(pause);
        waited += pause;
    }
}

fn of<'a>(gates: &'a Value, kind: &str) -> Vec<&'a Value> {
    gates.as_array().unwrap().iter().filter(|gate| gate["kind"] == kind).collect()
}

#[test]
fn the_example_fails_a_gate_is_done_otherwise_and_passes() {
    let house = House::new();
    let ran = house.run(&["run", &example("gated-notes.yaml"), "--out", "out"]);
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
    assert_eq!(std::fs::read_to_string(house.path("out/notes.md")).unwrap(), "# Notes\n\nOne line.\nAnother one.\n");
    let gates = house.json(&["task", "gates", "@last", "--json"]);
    let style = of(&gates, "CODE_STYLE");
    let verdicts: Vec<&str> = style.iter().map(|gate| gate["status"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["FAILED", "PASSED"], "{gates:#}");
    let violation = json!({"severity": "HIGH", "rule": "space-at-end", "place": "notes.md:3",
        "message": "a space at the end of the line"});
    assert_eq!((&style[0]["violations"], &style[0]["score"]), (&json!([violation]), &json!(0.8)));
    assert_eq!(style[0]["evidence"][1]["what"], "SARIF found.sarif");
    for kind in ["SECURITY_SCAN", "FUNCTIONAL_TEST"] {
        assert_eq!(of(&gates, kind)[0]["status"], "PASSED", "{gates:#}");
    }
    let measured: Vec<&Value> = of(&gates, "PERFORMANCE_TEST").iter().map(|gate| &gate["by"]).collect();
    assert!(measured.contains(&&json!("metric")) && measured.contains(&&json!("agent")), "{gates:#}");
    // In one process as well, whoever did the step is not who judged it.
    let told = house.run(&["task", "events", "@last", "--json"]);
    let given = |work: &str| -> Vec<Value> {
        let events: Vec<Value> = serde_json::from_slice(&told.stdout)
            .unwrap_or_else(|_| text(&told.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect());
        let assigned = events.into_iter().filter(|event| event["type"] == "ASSIGNED" && event["data"]["work"] == work);
        assigned.map(|event| event["data"]["agent"].clone()).collect()
    };
    assert_eq!(given("gate:1:0")[0], style[0]["judge"], "{}", text(&told.stdout));
    assert_ne!(given("step:1")[0], style[0]["judge"]);
    let shown = house.run(&["task", "gates", "@last"]);
    let shown = text(&shown.stdout);
    for line in ["FAILED", "space-at-end", "notes.md:3", "a space at the end of the line"] {
        assert!(shown.contains(line), "{line} is missing in\n{shown}");
    }
}

/// A server with its built-in agents, and one of our own that writes.
struct Desk {
    house: House,
    server: Server,
}

impl Desk {
    fn new() -> Self {
        let house = House::new();
        let server = house.serve("127.0.0.1:0", &[]);
        let desk = Self { house, server };
        desk.post("/api/v1/agents", &json!({"name": "Writer", "external_id": "writer", "capabilities": ["write", "gate.check"]}));
        desk
    }

    fn get(&self, path: &str) -> Value {
        self.house.json(&["api", "GET", path, "--server", &self.server.url])
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.house.json(&["api", "POST", path, "-d", &body.to_string(), "--server", &self.server.url])
    }

    /// The writer gets its next piece of work and answers it.
    fn write(&self, words: &str) -> Value {
        let item = until(
            "work for the writer",
            || {
                let given = self.post("/api/v1/agents/writer/work/claim", &json!({"max": 1, "wait": "20s"}));
                given.get(0).cloned().unwrap_or_default()
            },
            |item| !item.is_null(),
        );
        assert_eq!(item["action"], "write", "the writer may judge, but not what it wrote: {item}");
        let (id, attempt) = (item["id"].as_str().unwrap(), &item["attempt"]);
        let outcome = json!({"SUCCEEDED": {"output": {"text": words},
            "evidence": [{"kind": "CODE_STYLE", "passed": true, "score": 1.0}]}});
        self.post(&format!("/api/v1/work/{id}/report"), &json!({"agent_id": "writer", "attempt": attempt, "outcome": outcome}));
        item
    }
}

const LINT: &str = r#"if grep -q teh page.md; then found='{"ruleId": "typo", "level": "error", "message": {"text": "teh"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "page.md"}, "region": {"startLine": 1}}}]}'; fi
echo '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "lint"}}, "results": ['"$found"']}]}' > found.sarif"#;

#[test]
fn an_agent_is_told_what_its_gate_found_mends_it_and_a_person_has_the_last_word() {
    let desk = Desk::new();
    let gates = json!([
        {"kind": "CODE_STYLE", "check": {"files": {"page.md": "${output.text}"}, "command": LINT, "sarif": "found.sarif"}},
        {"kind": "MANUAL_REVIEW", "reviewer": "ann"},
    ]);
    let steps = json!([{"id": "page", "action": "write", "gates": gates, "retry_policy": {"initial": "5s", "jitter": 0}}]);
    let task = desk.house.submit(&desk.server, &json!({"title": "Write a page", "plan": {"steps": steps}}));
    let path = format!("/api/v1/tasks/{task}");

    // Its own word that all is well does not count.
    let first = desk.write("teh page");
    assert_eq!(first["last_error"], Value::Null);
    let failed = until("a judgement", || desk.get(&format!("{path}/gates")), |gates| gates[0]["status"] == "FAILED");
    assert_eq!((&failed[0]["by"], &failed[0]["violations"][0]["place"]), (&json!("agent"), &json!("page.md:1")));
    assert_eq!(failed[0]["why"], "CODE_STYLE: typo at page.md:1: teh");
    assert!(failed[0]["evidence"][1]["sha256"].as_str().is_some_and(|hex| hex.len() == 64), "{failed:#}");
    let judge = failed[0]["judge"].as_str().unwrap();
    assert_eq!(desk.get(&format!("/api/v1/agents/{judge}"))["external_id"], "builtin.gates");
    let why = desk.house.run(&["why", &task, "--server", &desk.server.url]);
    assert!(text(&why.stdout).contains("typo at page.md:1"), "{}", text(&why.stdout));

    // It hears what was wrong, and mends it.
    let second = desk.write("the page");
    assert_eq!((&second["attempt"], &second["last_error"]), (&json!(2), &json!("CODE_STYLE: typo at page.md:1: teh")));
    let asked = until("a question", || desk.get(&format!("{path}/inbox")), |asked| asked.get(0).is_some());
    assert!(asked[0]["what"].as_str().unwrap().contains("result of step 1 is good"), "{asked:#}");
    let open = desk.get(&format!("{path}/gates"));
    let verdicts: Vec<&Value> = open.as_array().unwrap().iter().map(|gate| &gate["status"]).collect();
    assert_eq!(verdicts, [&json!("FAILED"), &json!("PASSED"), &json!("PENDING")], "{open:#}");
    // Beside the database the operator's token is found.
    let confirmed = desk.house.run(&["review", "confirm", &task, "1", "--pass", "--reason", "well said"]);
    assert!(confirmed.status.success(), "{}", text(&confirmed.stderr));
    let done = desk.get(&path);
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    let report = &desk.get(&format!("{path}/result"))["quality_report"];
    assert_eq!((&report["passed"], &report["gates"][2]["why"]), (&json!(true), &json!("well said")), "{report:#}");
}
