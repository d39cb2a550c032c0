//! The calls that older documents print, performed as they are printed: method, path, headers, body. They stand in `tests/calls`; only
//! the id in a path is filled in, and the connection goes to wherever this server listens.

#![allow(clippy::unwrap_used)] // A test may panic, its helpers too.

use ephor::http::{Running, ServeOptions, serve};
use ephor_engine::{Engine, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A printed call.
#[derive(Debug, Default)]
struct Call {
    method: String,
    /// With host and port where it is a URL.
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// The words of a command line, quotes and continued lines resolved.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '\\') if letters.next_if_eq(&'\n').is_some() => {}
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The calls of a shell script: every line that begins with `curl`.
fn curls(script: &str) -> Vec<Call> {
    let at = |start: usize| words(&script[start..script[start + 1..].find("\ncurl").map_or(script.len(), |end| start + 1 + end)]);
    let starts = script.match_indices("curl ").map(|(start, _)| start).filter(|s| *s == 0 || script.as_bytes()[s - 1] == b'\n');
    starts.map(|start| curl(at(start))).collect()
}

fn curl(words: Vec<String>) -> Call {
    let mut call = Call { method: "GET".into(), ..Call::default() };
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => call.method = words.next().unwrap(),
            "-H" => {
                let (name, value) = words.next().unwrap().split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
                call.headers.push((name, value));
            }
            "-d" => call.body = words.next().unwrap(),
            // A comment stands behind the call.
            "#" => break,
            _ => call.target = word,
        }
    }
    call
}

/// A call as a raw request.
fn raw(text: &str) -> Call {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let headers = lines.map(|line| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap()).collect();
    // What follows a request without a body is what it is answered.
    let body = if method == "GET" { "" } else { body };
    Call { method: method.into(), target: target.into(), headers, body: body.into() }
}

/// A server, and what was printed performed on it.
struct Desk {
    engine: Engine,
    running: Running,
    _folder: tempfile::TempDir,
}

impl Desk {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(Settings::new(folder.path().join("ephor.db"))).unwrap();
        let operator_token = "ephor_op_0123456789abcdef0123456789abcdef".into();
        let options = ServeOptions::new("127.0.0.1:0".parse().unwrap(), operator_token);
        let running = serve(engine.clone(), options).await.unwrap();
        Self { engine, running, _folder: folder }
    }

    async fn connect(&self, call: &Call, id: &str) -> TcpStream {
        let target = call.target.replace("{task-id}", id).replace("{task_id}", id);
        let (host, path) = match target.strip_prefix("http://") {
            Some(rest) => rest.split_at(rest.find('/').unwrap()),
            None => ("localhost:4000", target.as_str()),
        };
        let mut text = format!("{} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", call.method);
        for (name, value) in &call.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{}", call.body.len(), call.body);
        let mut stream = TcpStream::connect(self.running.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Performs a call; its status, and its body.
    async fn perform(&self, call: &Call, id: &str) -> (u16, String) {
        let mut answer = String::new();
        self.connect(call, id).await.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn json(&self, call: &Call, id: &str) -> (u16, Value) {
        let (status, body) = self.perform(call, id).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
    }

    async fn close(self) {
        self.running.stop().await;
        tokio::task::spawn_blocking(move || self.engine.stop()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_the_invoice_engine_work_as_printed() {
    let desk = Desk::open().await;
    let create = curls(include_str!("calls/create.sh"));
    let (status, accepted) = desk.json(&create[0], "").await;
    assert_eq!((status, &accepted["status"]), (201, &json!("PENDING")), "{accepted}");
    let id = accepted["id"].as_str().unwrap();
    // The same once more within a day is a duplicate.
    let (status, refused) = desk.json(&create[0], "").await;
    assert_eq!((status, &refused["code"]), (400, &json!("DUPLICATE_TASK")), "{refused}");
    assert!(refused["error"].is_string());

    let show = Call { method: "GET".into(), target: "/api/v1/tasks/{task-id}".into(), ..Call::default() };
    let (_, task) = desk.json(&show, id).await;
    assert_eq!((&task["task_type"], &task["autonomy"]), (&json!("INVOICE_FOLLOW_UP"), &json!("ASSISTED")));
    assert_eq!((&task["priority"], &task["owner_id"]), (&json!("HIGH"), &json!("ACTION_AI")));
    assert_eq!(task["payload"]["invoice_amount"], 1200);

    let list = curls(include_str!("calls/list.sh"));
    assert_eq!(list.len(), 4);
    for call in &list {
        let (status, rows) = desk.json(call, "").await;
        assert!(status == 200 && rows.is_array(), "{call:?}: {rows}");
    }
    assert_eq!(desk.json(&list[1], "").await.1[0]["id"], id);
    // Due on the fifth, it is among those due before the tenth.
    let due = desk.json(&list[2], "").await.1;
    assert_eq!((&due[0]["id"], &due[0]["due_at"]), (&json!(id), &json!("2026-01-05T12:00:00Z")), "{due}");

    let patch = curls(include_str!("calls/patch.sh"));
    assert_eq!(patch.len(), 2);
    let (status, scheduled) = desk.json(&patch[0], id).await;
    assert_eq!((status, &scheduled["status"]), (200, &json!("SCHEDULED")), "{scheduled}");
    assert!(scheduled["scheduledAt"].is_string(), "{scheduled}");
    assert_eq!(desk.json(&list[3], "").await.1[0]["id"], id);
    assert_eq!(desk.json(&list[2], "").await.1[0]["id"], id);
    // Only what runs can fail.
    let (status, refused) = desk.json(&patch[1], id).await;
    assert_eq!((status, &refused["code"]), (400, &json!("ILLEGAL_TRANSITION")), "{refused}");
    let body = r#"{"newStatus": "IN_PROGRESS", "actorType": "AI", "actorId": "ACTION_AI_FOLLOW_UP_WORKER"}"#.to_owned();
    let (status, running) = desk.json(&Call { body, ..curls(include_str!("calls/patch.sh")).remove(1) }, id).await;
    assert_eq!((status, &running["status"]), (200, &json!("IN_PROGRESS")), "{running}");
    let (status, failed) = desk.json(&patch[1], id).await;
    assert_eq!((status, &failed["status"]), (200, &json!("FAILED")), "{failed}");
    assert_eq!(failed["lastError"]["message"], "SMTP server unreachable");
    let (status, refused) = desk.json(&patch[0], id).await;
    assert_eq!((status, &refused["error"]), (400, &json!("Cannot update task in terminal state")));

    let look = curls(include_str!("calls/look.sh"));
    assert_eq!(desk.json(&look[0], "").await.1[0]["status"], "FAILED");
    // The page itself, and all that it names.
    let (status, page) = desk.perform(&look[1], "").await;
    assert!(status == 200 && page.contains("<base href=\"/api-docs/\""), "{status} {page}");
    let parts: Vec<&str> =
        ["src=\"", "href=\"./"].iter().flat_map(|at| page.split(at).skip(1)).filter_map(|p| p.split('"').next()).collect();
    assert!(parts.len() >= 5, "{parts:?}");
    for part in parts {
        let target = format!("/api-docs/{}", part.trim_start_matches("./"));
        // A picture is no text: its status is in the first line all the same.
        let call = Call { method: "HEAD".into(), target, ..Call::default() };
        assert_eq!(desk.perform(&call, "").await.0, 200, "{part}");
    }
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_releases_what_is_due_and_nobody_has_to() {
    let desk = Desk::open().await;
    let mut feed = desk.engine.feed(0);
    let (_, accepted) = desk.json(&curls(include_str!("calls/create.sh"))[0], "").await;
    assert_eq!(accepted["status"], "PENDING");
    loop {
        let events = feed.next(10).await.unwrap();
        if let Some(released) = events.iter().find(|event| event.kind == "RELEASED") {
            assert_eq!(released.actor, "SYSTEM/TASK_SCHEDULER");
            break;
        }
    }
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_submission_and_the_progress_stream_work_as_printed() {
    let desk = Desk::open().await;
    let (status, accepted) = desk.json(&raw(include_str!("calls/submit.http")), "").await;
    assert_eq!(status, 201, "{accepted}");
    let id = accepted["task_id"].as_str().unwrap();
    let show = Call { method: "GET".into(), target: "/api/v1/tasks/{task-id}".into(), ..Call::default() };
    let (_, task) = desk.json(&show, id).await;
    assert_eq!((&task["priority"], &task["execution_mode"]), (&json!("HIGH"), &json!("AUTO")));
    // The deadline has passed since: a warning, and no deadline.
    assert_eq!((&task["findings"][0]["result"], &task["deadline"]), (&json!("WARNING"), &Value::Null));
    assert_eq!(task["stakeholders"], json!(["security_team", "backend_team"]));

    let mut stream = desk.connect(&raw(include_str!("calls/progress.http")), id).await;
    let mut heard = String::new();
    while !heard.contains("\"current_step\"") {
        let mut bytes = [0; 4096];
        let n = stream.read(&mut bytes).await.unwrap();
        assert!(n > 0, "{heard}");
        heard += std::str::from_utf8(&bytes[..n]).unwrap();
    }
    assert!(heard.contains("event: progress") && heard.contains(&format!("\"task_id\":\"{id}\"")), "{heard}");
    // An open stream does not keep the server from ending.
    desk.close().await;
    let mut rest = Vec::new();
    let _whether_cut = stream.read_to_end(&mut rest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_the_plan_executions_work_as_printed() {
    let desk = Desk::open().await;
    let [status, work, event] = &curls(include_str!("calls/planexe.sh"))[..] else { panic!("three calls are printed") };
    // Nobody is there yet.
    assert_eq!(desk.json(status, "").await.0, 404);
    let send = |method: &str, path: &str, body: Value| Call {
        method: method.into(),
        target: path.into(),
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: body.to_string(),
    };
    let larry = json!({"agent_id": "agent_larry_001", "name": "Larry the Laptop Lobster", "role": "contractor",
        "capabilities": [{"action": "send_email", "params": ["to", "subject"]}, "make_phone_call"],
        "integration_endpoints": {"email": "gmail_api"}});
    let (code, registered) = desk.json(&send("POST", "/api/agents", larry), "").await;
    assert_eq!((code, &registered["agent_id"]), (201, &json!("agent_larry_001")), "{registered}");
    // Idle.
    assert_eq!(desk.perform(work, "").await.0, 204);
    let plan = json!({"plan_id": "plan_test", "goal": "Win a customer", "phases": [{"phase_id": "phase_1", "name": "First", "tasks": [
        {"task_id": "task_1_1", "title": "Write to Carol", "action": "send_email", "params": {"to": "carol@example.com"}},
        {"task_id": "task_1_2", "title": "Call Carol", "action": "make_phone_call", "prerequisites": ["task_1_1"]}]}]});
    let new = json!({"execution_id": "exec_test_001", "agent_id": "agent_larry_001", "plan": plan});
    let (code, created) = desk.json(&send("POST", "/api/executions", new), "").await;
    assert_eq!(
        (code, &created["execution_id"], &created["status"]),
        (201, &json!("exec_test_001"), &json!("CREATED")),
        "{created}"
    );
    let (code, _) = desk.json(&send("PATCH", "/api/executions/exec_test_001", json!({"status": "RUNNING"})), "").await;
    assert_eq!(code, 200);

    let (code, given) = desk.json(work, "").await;
    assert_eq!(
        (code, &given["next_task"]["task_id"], &given["execution_id"]),
        (200, &json!("task_1_1"), &json!("exec_test_001"))
    );
    assert_eq!((&given["next_task"]["params"]["to"], &given["plan_id"]), (&json!("carol@example.com"), &json!("plan_test")));
    assert_eq!(
        (&given["next_task"]["timeout_hours"], &given["next_task"]["retry_policy"]["max_attempts"]),
        (&json!(24.0), &json!(3))
    );
    let (code, heard) = desk.json(event, "").await;
    assert_eq!(
        (code, &heard["next_task_id"], &heard["next_action"]),
        (201, &json!("task_1_2"), &json!("make_phone_call")),
        "{heard}"
    );
    assert!(heard["event_id"].as_str().unwrap().starts_with("evt_"), "{heard}");
    let (code, shown) = desk.json(status, "").await;
    assert_eq!(
        (code, &shown["status"], &shown["capabilities"]),
        (200, &json!("ACTIVE"), &json!(["make_phone_call", "send_email"]))
    );
    assert!(shown["last_heartbeat"].is_string(), "{shown}");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_round_in_the_documentation_works_as_printed() {
    let page = include_str!("../../../docs/planexe.md");
    let script = page.split("```sh calls\n").nth(1).unwrap().split("```").next().unwrap();
    let desk = Desk::open().await;
    let mut answers = Vec::new();
    for call in curls(script) {
        let (status, answer) = desk.json(&call, "").await;
        assert!((200..300).contains(&status), "{call:?}: {status} {answer}");
        answers.push((status, answer));
    }
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [201, 201, 200, 200, 200, 201, 200, 200, 200, 200, 201, 200, 201]);
    let answer = |n: usize| &answers[n].1;
    assert_eq!((&answer(3)["next_task"]["task_id"], &answer(5)["next_task_id"]), (&json!("task_1_1"), &json!("task_1_2")));
    assert_eq!((&answer(7)[0]["output"], &answer(8)[0]["event_type"]), (&json!({"answered": true}), &json!("task_complete")));
    assert_eq!((&answer(9)[0]["execution_id"], &answer(11)["agent_id"]), (&json!("exec_carol_001"), &json!("agent_moe_001")));
    assert_eq!((&answer(12)["plan_id"], &answer(12)["status"]), (&json!("plan_carol"), &json!("CREATED")));
    desk.close().await;
}
