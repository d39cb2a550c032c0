//! WebSockets over a real listener: nothing is missed and nothing comes twice, pages of others are refused, and who is slow harms nobody.

use crate::http::limits::Limits;
use crate::http::{Running, ServeOptions, serve};
use ephor_core::policy::Policy;
use ephor_engine::{Engine, Settings};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for a message before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a port of its own.
struct House {
    engine: Engine,
    running: Running,
    _folder: tempfile::TempDir,
}

impl House {
    async fn open(change: impl FnOnce(&mut Limits)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { policy: Policy { solo: true, ..Policy::default() }, ..Settings::new(folder.path().join("ephor.db")) };
        let engine = Engine::open(settings).unwrap();
        let listen: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut limits = Limits { requests_per_s: None, ..Limits::on(listen) };
        change(&mut limits);
        let options = ServeOptions { limits: Some(limits), ..ServeOptions::new(listen, "t".repeat(40)) };
        let running = serve(engine.clone(), options).await.unwrap();
        Self { engine, running, _folder: folder }
    }

    fn address(&self) -> SocketAddr {
        self.running.address
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        // What comes in pieces is put together.
        let whole = match head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            true => body.split("\r\n").skip(1).step_by(2).collect::<String>(),
            false => body.to_owned(),
        };
        serde_json::from_str(&whole).unwrap_or_else(|e| panic!("{e}: {whole}"))
    }

    async fn submit(&self, title: &str) -> String {
        let made = self.ask("POST", "/api/v1/tasks", Some(json!({"title": title, "action": "work"}))).await;
        made["id"].as_str().unwrap().to_owned()
    }

    async fn close(self) {
        self.running.stop().await;
        self.engine.stop();
    }
}

/// What a listener hears.
#[derive(Debug, PartialEq)]
enum Heard {
    Said(Value),
    Closed(u16),
    Gone,
}

/// A line, spoken by hand: what a library hides is seen.
struct Line {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Line {
    /// Opens one; else the status and what was said.
    async fn open(to: SocketAddr, path: &str, more: &str) -> Result<Self, (u16, String)> {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let head = loop {
            if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break String::from_utf8(rest.drain(..end + 4).collect()).unwrap();
            }
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "no answer");
            rest.extend_from_slice(&chunk[..read]);
        };
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status != 101 {
            return Err((status, String::from_utf8_lossy(&rest).into_owned()));
        }
        // What RFC 6455 makes of that key.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Ok(Self { stream, rest })
    }

    async fn of(house: &House, path: &str) -> Self {
        Self::open(house.address(), path, "").await.unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    async fn next(&mut self) -> Heard {
        tokio::time::timeout(PATIENCE, self.frame()).await.expect("something is said in time")
    }

    /// The next that is no tick.
    async fn said(&mut self) -> Value {
        loop {
            match self.next().await {
                Heard::Said(said) if said["type"] == "tick" => {}
                Heard::Said(said) => return said,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn need(&mut self, bytes: usize) -> bool {
        while self.rest.len() < bytes {
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk).await {
                Ok(read) if read > 0 => self.rest.extend_from_slice(&chunk[..read]),
                _ => return false,
            }
        }
        true
    }

    async fn frame(&mut self) -> Heard {
        loop {
            if !self.need(2).await {
                return Heard::Gone;
            }
            let (kind, short) = (self.rest[0] & 0x0f, self.rest[1]);
            assert!(short < 128 && self.rest[0] & 0x80 != 0, "a server masks nothing and sends whole messages");
            let head = match short {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            if !self.need(head).await {
                return Heard::Gone;
            }
            let length = match head {
                2 => usize::from(short),
                _ => self.rest[2..head].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            };
            if !self.need(head + length).await {
                return Heard::Gone;
            }
            let body: Vec<u8> = self.rest.drain(..head + length).skip(head).collect();
            match kind {
                1 => return Heard::Said(serde_json::from_slice(&body).unwrap()),
                8 => return Heard::Closed(u16::from_be_bytes([body[0], body[1]])),
                9 | 10 => {}
                other => panic!("a frame of kind {other}"),
            }
        }
    }
}

#[tokio::test]
async fn events_come_as_they_are_listed_and_go_on_behind_any_of_them() {
    let house = House::open(|_| {}).await;
    house.submit("before").await;
    let mut line = Line::of(&house, "/api/v1/stream").await;
    let hello = line.said().await;
    let from = hello["position"].as_u64().unwrap();
    assert_eq!((&hello["type"], from), (&json!("hello"), house.engine.position()));
    for n in 0..5 {
        house.submit(&n.to_string()).await;
    }
    let listed = house.ask("GET", &format!("/api/v1/events?after={from}&limit=500"), None).await;
    let listed = listed.as_array().unwrap();
    let mut heard = Vec::new();
    while heard.len() < listed.len() {
        heard.push(line.said().await);
    }
    assert_eq!(&heard, listed);
    for cut in 0..heard.len() {
        let position = &heard[cut]["position"];
        let mut again = Line::of(&house, &format!("/api/v1/stream?after={position}")).await;
        assert_eq!(&again.said().await["position"], position);
        for wanted in &heard[cut + 1..] {
            assert_eq!(&again.said().await, wanted);
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_task_is_told_as_it_stands_and_then_what_follows_without_a_gap_and_without_a_double() {
    let house = House::open(|_| {}).await;
    let (task, other) = (house.submit("one").await, house.submit("two").await);
    let mut line = Line::of(&house, &format!("/api/v1/stream?topics=task:{task},progress:{task}")).await;
    assert_eq!(line.said().await["type"], "hello");
    let snapshot = line.said().await;
    assert_eq!(
        (&snapshot["type"], &snapshot["stream"], &snapshot["data"]["title"]),
        (&json!("snapshot"), &json!(task), &json!("one"))
    );
    let mut version = snapshot["data"]["version"].as_u64().unwrap();
    for word in ["pause", "resume", "pause"] {
        house.ask("POST", &format!("/api/v1/tasks/{other}/{word}"), Some(json!({"reason": "x"}))).await;
        house.ask("POST", &format!("/api/v1/tasks/{task}/{word}"), Some(json!({"reason": "x"}))).await;
    }
    let (mut events, mut progress) = (Vec::new(), 0);
    while events.len() < 3 || progress == 0 {
        let said = line.said().await;
        assert_eq!(said["stream"], json!(task), "{said}");
        if said["type"] == "progress" {
            assert_eq!(said["data"]["task_id"], json!(task));
            progress += 1;
            continue;
        }
        version += 1;
        assert_eq!(said["version"], version, "{said}");
        events.push(said["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(events, ["PAUSED", "RESUMED", "PAUSED"]);
    house.close().await;
}

#[tokio::test]
async fn pages_of_others_open_no_line_and_what_makes_no_sense_is_refused() {
    let house = House::open(|limits| limits.streams_of_one = 2).await;
    let task = house.submit("x").await;
    let paths = ["/api/v1/stream".to_owned(), format!("/api/executions/{task}/stream")];
    for path in &paths {
        for (more, wanted) in
            [("origin: http://evil.example\r\n", 403), ("origin: null\r\n", 403), ("origin: http://localhost\r\n", 101)]
        {
            let opened = Line::open(house.address(), path, more).await;
            assert_eq!(opened.map_or_else(|(status, _)| status, |_| 101), wanted, "{path} {more}");
        }
    }
    for wrong in [
        "/api/v1/stream?topics=weather",
        "/api/v1/stream?topics=task:task_1",
        "/api/v1/stream?after=soon",
        "/api/v1/stream?type=TASK_CREATED",
        "/api/executions/nothing/stream",
    ] {
        let refused = Line::open(house.address(), wrong, "").await.err().expect(wrong);
        assert!(matches!(refused.0, 400 | 404), "{wrong}: {refused:?}");
    }
    let no_type = Line::open(house.address(), &format!("{}?type=weather", paths[1]), "").await.err().unwrap();
    assert!(no_type.0 == 400 && no_type.1.contains("\"field\":\"type\""), "{no_type:?}");
    // One caller holds only so many; those above were given back.
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..50 {
        match Line::open(house.address(), "/api/v1/stream", "").await {
            Ok(line) => held.push(line),
            Err((status, _)) => {
                assert_eq!(status, 429);
                refused += 1;
            }
        }
    }
    assert!(!held.is_empty() && held.len() <= 4 && refused > 0, "{} were opened", held.len());
    house.close().await;
}

#[tokio::test]
async fn a_line_gives_signs_of_life_and_ends_with_the_server() {
    let house = House::open(|_| {}).await;
    let mut line = Line::of(&house, "/api/v1/stream").await;
    let position = line.said().await["position"].clone();
    let Heard::Said(tick) = line.next().await else { panic!("a tick") };
    assert_eq!((&tick["type"], &tick["position"]), (&json!("tick"), &position));
    house.close().await;
    assert_eq!(line.next().await, Heard::Closed(1001));
}

#[tokio::test]
async fn who_reads_too_slowly_is_sent_away_and_misses_nothing() {
    let house = House::open(|limits| limits.patience = Duration::from_millis(300)).await;
    let mut line = Line::of(&house, "/api/v1/stream").await;
    // More than both ends of a line hold.
    let long = "x".repeat(200_000);
    for n in 0..100 {
        let request = json!({"title": n.to_string(), "action": "work", "payload": {"long": long}});
        house.ask("POST", "/api/v1/tasks", Some(request)).await;
    }
    let mut last = line.said().await["position"].as_u64().unwrap();
    let mut count = 0;
    loop {
        match line.next().await {
            Heard::Said(said) if said["type"] == "tick" => {}
            Heard::Said(said) => {
                assert_eq!(said["position"], last + 1);
                last += 1;
                count += 1;
                // As slowly as that.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Heard::Closed(code) => {
                assert_eq!(code, 1013);
                break;
            }
            Heard::Gone => break,
        }
        if count == 100 {
            // The machine holds more than is sent here; then nobody was too slow.
            break;
        }
    }
    let mut again = Line::of(&house, &format!("/api/v1/stream?after={last}")).await;
    again.said().await;
    while last < house.engine.position() {
        assert_eq!(again.said().await["position"], last + 1);
        last += 1;
    }
    house.close().await;
}

/// Longer: `WATCHERS=1000 cargo test --release -p ephor --lib many_watch -- --nocapture`.
#[tokio::test]
async fn many_watch_at_once_and_all_hear_the_same() {
    let watchers: usize = std::env::var("WATCHERS").ok().and_then(|count| count.parse().ok()).unwrap_or(100);
    let house = House::open(|limits| (limits.streams, limits.streams_of_one) = (watchers, watchers)).await;
    let mut lines = Vec::new();
    for _ in 0..watchers {
        let mut line = Line::of(&house, "/api/v1/stream").await;
        line.said().await;
        lines.push(line);
    }
    let from = house.engine.position();
    for n in 0..10 {
        house.submit(&n.to_string()).await;
    }
    let to = house.engine.position();
    for mut line in lines {
        for position in from + 1..=to {
            assert_eq!(line.said().await["position"], position);
        }
    }
    house.close().await;
}

#[tokio::test]
async fn an_execution_is_told_with_its_status_and_progress() {
    let house = House::open(|_| {}).await;
    let tasks = json!([{"task_id": "a", "title": "A", "action": "work"},
        {"task_id": "b", "title": "B", "action": "work", "prerequisites": ["a"]}]);
    let plan = json!({"plan_id": "p", "goal": "x", "phases": [{"phase_id": "p1", "name": "First", "tasks": tasks}]});
    let agent = json!({"agent_id": "larry", "name": "larry", "capabilities": ["work"]});
    house.ask("POST", "/api/agents", Some(agent)).await;
    let made = house.ask("POST", "/api/executions", Some(json!({"execution_id": "exec_1", "plan": plan}))).await;
    house.ask("PATCH", "/api/executions/exec_1", Some(json!({"status": "RUNNING"}))).await;
    let id = made["execution_id"].as_str().unwrap().to_owned();
    let path = format!("/api/executions/{id}/stream");
    let mut line = Line::of(&house, &path).await;
    let mut done = Line::of(&house, &format!("{path}?type=task_complete")).await;
    let first = line.said().await;
    assert_eq!((&first["type"], &first["execution_id"]), (&json!("status"), &json!(id)), "{first}");
    assert!(first["timestamp"].is_string() && first["status"].is_string() && first["progress"]["percent"] == 0, "{first}");
    assert_eq!(done.said().await["type"], "status");
    for task in ["a", "b"] {
        let work = house.ask("GET", "/api/agents/larry/work?wait=10s", None).await;
        assert_eq!(work["next_task"]["task_id"], task, "{work}");
        let event = json!({"event_type": "task_complete", "agent_id": "larry", "task_id": task, "status": "success",
            "output_data": {"done": task}});
        house.ask("POST", &format!("/api/executions/{id}/events"), Some(event)).await;
    }
    let mut heard = Vec::new();
    loop {
        match line.next().await {
            Heard::Said(said) => heard.push(said),
            Heard::Closed(code) => {
                assert_eq!(code, 1000, "it ends after the end of the execution");
                break;
            }
            Heard::Gone => panic!("gone"),
        }
    }
    let last = heard.last().unwrap();
    assert_eq!((&last["status"], &last["progress"]["percent"]), (&json!("COMPLETED"), &json!(100)), "{last}");
    let of_type = |word: &str| heard.iter().filter(|said| said["type"] == word).count();
    assert_eq!((of_type("task_started"), of_type("task_complete")), (2, 2), "{heard:?}");
    let mut told = Vec::new();
    while let Heard::Said(said) = done.next().await {
        told.push(said["type"].as_str().unwrap().to_owned());
    }
    told.retain(|word| word != "status");
    assert_eq!(told, ["task_complete", "task_complete"]);
    house.close().await;
}
