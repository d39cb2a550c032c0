//! The two ends of the benchmark: the server as a process of its own, and callers that keep one connection each.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::net::TcpStream;

/// The program, serving a database that is gone when this is dropped.
pub(crate) struct Server {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts the program that was built beside this one.
    pub(crate) async fn start() -> Arc<Self> {
        let folder = tempfile::tempdir().expect("a folder for the database");
        let own = std::env::current_exe().expect("this program has a path");
        let program = own.ancestors().nth(2).expect("examples are one folder below programs").join("ephor");
        let mut process = Command::new(&program)
            .args(["serve", "--no-agents", "--listen", "127.0.0.1:0", "--database"])
            .arg(format!("sqlite:{}", folder.path().join("ephor.db").display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{} does not start ({e}); build it first: cargo build --release", program.display()));
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line).expect("the first line");
        let address = line.trim().rsplit("http://").next().expect("an address").to_owned();
        Arc::new(Self { process, address, _folder: folder })
    }

    /// The position of the last event.
    pub(crate) async fn position(self: &Arc<Self>) -> u64 {
        let mut caller = Caller::new(self).await;
        let text = caller.send(Method::GET, "/health/ready", "application/json", String::new()).await;
        serde_json::from_str::<Value>(&text).expect("JSON")["position"].as_u64().expect("a number")
    }

    /// The processor time it has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        let fields: Vec<&str> = text.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
        let ticks: f64 = [11, 12].iter().map(|n| fields[*n].parse::<f64>().expect("a number")).sum();
        ticks / 100.0 // USER_HZ of Linux
    }

    /// Its memory.
    pub(crate) fn memory_mb(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = text.lines().find(|l| l.starts_with("VmRSS")).expect("a line for memory");
        line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it runs until it is killed");
        self.process.wait().expect("it was killed");
    }
}

/// One connection that is kept.
pub(crate) struct Caller {
    send: SendRequest<Full<Bytes>>,
    host: String,
}

impl Caller {
    pub(crate) async fn new(server: &Arc<Server>) -> Self {
        let socket = TcpStream::connect(&server.address).await.expect("the server listens");
        socket.set_nodelay(true).expect("a socket");
        let (send, connection) = handshake(TokioIo::new(socket)).await.expect("HTTP");
        tokio::spawn(connection);
        Self { send, host: server.address.clone() }
    }

    /// Posts JSON and reads the answer.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Value {
        let text = self.send(Method::POST, path, "application/json", body.to_string()).await;
        serde_json::from_str(&text).expect("an answer in JSON")
    }

    /// Posts lines and answers the lines that came back.
    pub(crate) async fn post_lines(&mut self, path: &str, lines: String) -> String {
        self.send(Method::POST, path, "application/x-ndjson", lines).await
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, kind: &str, body: String) -> String {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("content-type", kind)
            .body(Full::from(body))
            .expect("a request");
        self.send.ready().await.expect("the connection is kept");
        let response = self.send.send_request(request).await.expect("an answer");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a whole answer").to_bytes();
        let text = String::from_utf8(bytes.into()).expect("UTF-8");
        assert!(status.is_success(), "{path}: {status} {text}");
        text
    }
}
