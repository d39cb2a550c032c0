//! Requests that make no sense, several hundred of them: each is told so, with a 4xx and a problem document, and none breaks anything.

use super::desk::{Desk, TOKEN};
use axum::body::Body;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// A request: method, path, content type, body.
type Sent = (String, String, &'static str, Vec<u8>);

/// Bodies that no JSON interface takes, whatever it is about.
fn bad_bodies() -> Vec<Vec<u8>> {
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n)).into_bytes();
    let mut bodies: Vec<Vec<u8>> = [
        "{",
        "}",
        "[",
        "\"",
        "nul",
        "tru",
        "{\"reason\"",
        "{\"reason\":}",
        "{\"reason\":\"x\",}",
        "{reason:\"x\"}",
        "{'reason':'x'}",
        "{} {}",
        "[]",
        "5",
        "\"text\"",
        "true",
        "{\"reason\":\"\\x\"}",
        "{\"reason\":\"\\ud800\"}",
        "{\"reason\":\"a\tb\"}",
        "{\"reason\":1e999}",
        "{\"reason\":NaN}",
        "{\"reason\":Infinity}",
        "{\"reason\":01}",
        "{\"nobody_knows_this\":1}",
        "{\"__proto__\":{}}",
        "{\"reason\":\"a\",\"reason\":\"b\"}",
        "\u{feff}{}",
        "<xml/>",
        "a=b&c=d",
        "{\"reason\":\"\u{0}\"}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    bodies.extend([
        b"{\"reason\":\"\xff\xfe\"}".to_vec(),
        b"\xff\xff\xff\xff".to_vec(),
        b"{\"reason\":\"\xed\xa0\x80\"}".to_vec(),
        b"\0\0\0\0".to_vec(),
        deep("[", "]", 100_000),
        deep("{\"payload\":", "}", 70),
        deep("{\"a\":[", "]}", 5_000),
        format!("{{\"reason\":\"{}\"}}", "x".repeat(2 << 20)).into_bytes(),
    ]);
    bodies
}

fn cases(task: &str) -> Vec<Sent> {
    let mut cases: Vec<Sent> = Vec::new();
    let mut add = |method: &str, path: String, kind: &'static str, body: Vec<u8>| cases.push((method.into(), path, kind, body));
    let verbs = ["pause", "cancel", "modify", "escalate", "council-decision", "override", "interventions"];
    for body in bad_bodies() {
        for verb in verbs {
            add("POST", format!("{task}/{verb}"), JSON, body.clone());
        }
        add("POST", "/api/v1/tasks".into(), JSON, body.clone());
        add("PATCH", task.into(), JSON, body);
    }
    // Fields of the wrong type.
    let wrong = [json!(5), json!(-1), json!(1e300), json!([]), json!({}), json!("\u{0}"), json!(true), json!([[null]])];
    for field in ["priority", "due_at", "deadline", "plan", "max_retries", "retry_policy", "tags", "execution_mode", "depends_on"]
    {
        for value in wrong.iter().filter(|value| !(value.is_array() && matches!(field, "tags" | "depends_on"))) {
            let of_type = (field == "max_retries" && *value == json!(5))
                || (field == "retry_policy" && (value.is_object() || *value == json!([])));
            if !of_type {
                add("POST", "/api/v1/tasks".into(), JSON, json!({"title": "x", field: value}).to_string().into_bytes());
            }
        }
    }
    for body in [
        json!({"title": "x", "plan": {"steps": []}}),
        json!({"title": "x", "plan": {"steps": [{"id": "a", "needs": ["a"]}]}}),
        json!({"title": "x", "plan": {"steps": [{"id": "a"}, {"id": "a"}]}}),
        json!({"title": "x", "plan": {"steps": [{"when": "1 +"}]}}),
        json!({"title": "x", "max_retries": 99_999_999_999_999_u64}),
        json!({"title": "x", "timeout": "5 parsecs"}),
        json!({"title": "x", "timeout": -5}),
        json!({"title": "x", "external_id": ""}),
        json!({"title": "x", "external_id": "a\u{0}b"}),
        json!({"title": "x", "namespace": "no space"}),
        json!({"title": "x", "parent_task_id": "task_x"}),
        json!({"title": "x", "parent_task_id": "task_01k9zq5v3ze8rt6a0w1m2n3p4q"}),
        json!({"type": "A", "task_type": "B"}),
        json!({"type": 5}),
        json!({"type": "A", "mode": "WILD"}),
        json!({"type": "A", "dueAt": "soon"}),
        json!({"description": "x".repeat(70_000)}),
    ] {
        add("POST", "/api/v1/tasks".into(), JSON, body.to_string().into_bytes());
    }
    for kind in ["", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", NDJSON] {
        add("POST", "/api/v1/tasks".into(), kind, b"{\"title\":\"x\"}".to_vec());
        add("PATCH", task.into(), kind, b"{\"priority\":\"LOW\"}".to_vec());
    }
    add("POST", "/api/v1/tasks/batch".into(), JSON, b"{}".to_vec());
    // Paths and queries.
    for id in
        ["task_", "task_xyz", "no-such", "%00", "%ff", "..", "%2e%2e%2fetc", "task_01k9zq5v3ze8rt6a0w1m2n3p4q", "a%0d%0ab", "💥"]
    {
        let id = id.replace('💥', "%F0%9F%92%A5");
        for side in ["", "/steps", "/result", "/events", "/progress"] {
            add("GET", format!("/api/v1/tasks/{id}{side}"), "", Vec::new());
        }
        add("POST", format!("/api/v1/tasks/{id}/pause"), JSON, b"{}".to_vec());
    }
    let huge = "9".repeat(400);
    for query in [
        "limit=-1",
        "limit=x",
        "limit=4294967296",
        "cursor=%00",
        "cursor=zz",
        "status=%FF",
        "before=yesterday",
        "unknown=1",
        "limit",
    ] {
        add("GET", format!("/api/v1/tasks?{query}"), "", Vec::new());
    }
    add("GET", format!("/api/v1/tasks?limit={huge}"), "", Vec::new());
    for query in ["after=-1", "after=x", "order=up", "limit=1000", "task=no-such", "since=1", "before=x"] {
        add("GET", format!("/api/v1/events?{query}"), "", Vec::new());
    }
    add("GET", format!("/api/v1/events?after={huge}"), "", Vec::new());
    for path in ["/nothing", "/api", "/api/v2/tasks", "/api/v1/tasks/", "/api/v1/nothing", "/api/v1/tasks/x/y/z"] {
        add("GET", path.into(), "", Vec::new());
    }
    for method in ["PUT", "TRACE", "BREW", "OPTIONS"] {
        add(method, "/api/v1/tasks".into(), JSON, b"{}".to_vec());
    }
    add("POST", format!("{task}/signals/no%20word"), JSON, b"{}".to_vec());
    add("POST", format!("{task}/signals/x"), JSON, b"{".to_vec());
    add("POST", format!("{task}/effects/none/outcome"), JSON, b"{\"outcome\":\"DONE\"}".to_vec());
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_requests_that_make_no_sense_are_each_told_so() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x"})).await;
    let cases = cases(&task);
    assert!(cases.len() >= 300, "{}", cases.len());
    let token = format!("Bearer {TOKEN}");
    for (method, path, kind, body) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        let mut headers = vec![("authorization", token.as_str())];
        if !kind.is_empty() {
            headers.push(("content-type", kind));
        }
        let answer = desk.ask(&method, &path, &headers, Body::from(body)).await;
        let place = format!("{method} {path} {kind} {shown}");
        assert!((400..500).contains(&answer.status), "{place}: {} {}", answer.status, String::from_utf8_lossy(&answer.bytes));
        if method == "HEAD" {
            continue;
        }
        assert_eq!(answer.header("content-type"), "application/problem+json", "{place}");
        let problem: Value = answer.json();
        assert_eq!(problem["status"], answer.status, "{place}");
        assert!(!problem["code"].as_str().unwrap().is_empty() && !problem["error"].as_str().unwrap().is_empty(), "{place}");
    }
    // None of it has changed anything.
    assert_eq!(desk.get(&task).await.with(200).json()["version"], 1);
}
