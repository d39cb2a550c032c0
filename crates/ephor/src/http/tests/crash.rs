//! A request that ends in a panic.

use crate::http::limits::Limits;
use crate::http::{line, listen};
use crate::logs::Masked;
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn breaks() -> &'static str {
    tokio::task::yield_now().await;
    let loose = std::hint::black_box(true);
    assert!(!loose, "the cable is loose, says bob@example.org");
    "never"
}

/// Asks on a connection that stays open; the whole answer, which says how long it is.
async fn ask(connection: &mut TcpStream, path: &str) -> String {
    connection
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-request-id: mine-{}\r\n\r\n", path.len()).as_bytes())
        .await
        .unwrap();
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
            if length.is_some_and(|length| body.len() >= length) {
                return text;
            }
        }
        let mut part = [0; 4096];
        let read = connection.read(&mut part).await.unwrap();
        assert!(read > 0, "the connection ended after {text:?}");
        seen.extend_from_slice(&part[..read]);
    }
}

#[tokio::test]
async fn a_panic_costs_one_answer_and_leaves_one_line_in_the_log() {
    let log = Log::default();
    let writer = Masked({
        let log = log.clone();
        move || log.clone()
    });
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::INFO).with_writer(writer);
    let _guard = tracing::subscriber::set_default(lines.finish());
    let app = Router::new().route("/breaks", get(breaks)).route("/fine", get(async || "fine")).layer(from_fn(line::tell));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(listen::run(listener, app, Limits::on(address), stopping));

    let mut connection = TcpStream::connect(address).await.unwrap();
    let broken = ask(&mut connection, "/breaks").await;
    assert!(broken.starts_with("HTTP/1.1 500 ") && broken.contains("application/problem+json"), "{broken}");
    assert!(broken.contains("x-request-id: mine-7") && broken.contains("under the request mine-7"), "{broken}");
    assert!(broken.contains("INTERNAL") && !broken.contains("cable"), "{broken}");
    let fine = ask(&mut connection, "/fine").await;
    assert!(fine.starts_with("HTTP/1.1 200 ") && fine.ends_with("fine"), "the connection lives: {fine}");
    drop(connection);
    stop.send_replace(true);
    serving.await.unwrap();

    let errors: Vec<Value> = log.lines().into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let told = &errors[0];
    assert_eq!((told["id"].as_str(), told["status"].as_u64()), (Some("mine-7"), Some(500)), "{told:#}");
    assert!(told["panic"].as_str().unwrap().contains("the cable is loose, says ***"), "{told:#}");
    assert!(told["place"].as_str().unwrap().contains("crash.rs"), "{told:#}");
    assert!(told["backtrace"].as_str().unwrap().contains("crash::breaks"), "{told:#}");
}
