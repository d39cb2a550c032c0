//! A server that was told of a collector sends it what happened, the last of it when it is told to stop; one that was not sends nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::House;
use ephor_core::id::TaskId;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Every request to a collector: its path and its body.
type Heard = Arc<Mutex<Vec<(String, Value)>>>;

fn collector() -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let kept = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut length, mut path) = (0, String::new());
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                if let Some(rest) = line.strip_prefix("POST ") {
                    path = rest.split(' ').next().unwrap().to_owned();
                }
                if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = said.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            if length == 0 || reader.read_exact(&mut body).is_err() {
                continue;
            }
            kept.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
            // The server may be gone.
            let _ = reader.into_inner().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
        }
    });
    (port, heard)
}

/// Does a task on a server with this environment, and stops it in order: the task.
fn served(house: &House, environment: &[(&str, &str)]) -> String {
    let mut server = house.serve_with("127.0.0.1:0", &[], environment);
    let task = house.submit(&server, &json!({"title": "t", "action": "noop"}));
    assert!(house.run(&["task", "watch", &task, "--timeout", "60s", "--server", &server.url]).status.success());
    assert!(Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap().success());
    server.child.wait().unwrap();
    task
}

#[test]
fn what_happened_is_at_the_collector_once_the_server_has_ended() {
    let (house, (port, heard)) = (House::new(), collector());
    std::fs::write(house.path("ephor.yaml"), format!("telemetry: {{otlp: {{endpoint: 'http://127.0.0.1:{port}'}}}}\n")).unwrap();
    let task = served(&house, &[]);
    let heard = heard.lock().unwrap();
    let paths: Vec<&str> = heard.iter().map(|(path, _)| path.as_str()).collect();
    assert!(paths.contains(&"/v1/traces") && paths.contains(&"/v1/metrics"), "{paths:?}");
    let trace = format!("{:032x}", task.parse::<TaskId>().unwrap().bits());
    let bodies = heard.iter().filter(|(path, _)| path == "/v1/traces").map(|(_, body)| body);
    let spans: Vec<&Value> =
        bodies.flat_map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap()).collect();
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["step noop", "task general"], "{spans:?}");
    assert!(spans.iter().all(|span| span["traceId"] == json!(trace)), "{spans:?}");
}

#[test]
fn the_environment_names_a_collector_too_and_nobody_hears_of_anything_where_none_is_named() {
    let (house, (port, heard)) = (House::new(), collector());
    served(&house, &[]);
    assert!(heard.lock().unwrap().is_empty());
    let endpoint = format!("http://127.0.0.1:{port}/");
    served(&house, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_SERVICE_NAME", "mine")]);
    let heard = heard.lock().unwrap();
    let said = heard.iter().map(|(_, body)| body.to_string()).collect::<String>();
    assert!(said.contains("\"mine\"") && said.contains("resourceSpans") && said.contains("resourceMetrics"), "{said}");
}
