//! Webhooks of a server that is killed in the middle: everything is told at least once, and signed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::House;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TASKS: usize = 40;
/// How often one looks whether all has come, and how long it may take.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 6_000;

/// Hears one message after the other, each a little slowly.
fn receiver() -> (u16, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::<Mutex<Vec<Value>>>::default();
    let kept = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut length, mut signed) = (0, false);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                let line = line.to_ascii_lowercase();
                signed |= line.starts_with("webhook-signature: v1,");
                if let Some(said) = line.strip_prefix("content-length:") {
                    length = said.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            if length == 0 || reader.read_exact(&mut body).is_err() {
                continue;
            }
            assert!(signed);
            std::thread::sleep(Duration::from_millis(5));
            kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            // The server may have been killed meanwhile.
            let _ = reader.into_inner().write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n");
        }
    });
    (port, heard)
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..LOOKS_MAX {
        if is() {
            return;
        }
        std::thread::sleep(LOOK);
    }
    panic!("{what} never came");
}

#[test]
fn everything_is_told_over_a_kill() {
    let house = House::new();
    std::fs::write(house.path("ephor.yaml"), "webhooks:\n  allow_private: true\n").unwrap();
    let (port, heard) = receiver();
    let mut server = house.serve("127.0.0.1:0", &[]);
    let url = format!("http://127.0.0.1:{port}/");
    let made = house.json(&["webhook", "create", "mine", &url, "--event", "task.completed", "--json"]);
    let id = made["id"].as_str().unwrap().to_owned();
    let test = house.json(&["webhook", "test", &id, "--json"]);
    assert_eq!(test[0]["delivered"], true, "{test}");
    let wanted: BTreeSet<String> =
        (0..TASKS).map(|n| house.submit(&server, &json!({"title": format!("t{n}"), "action": "noop"}))).collect();
    let told =
        || heard.lock().unwrap().iter().filter_map(|said| Some(said["data"]["task_id"].as_str()?.to_owned())).collect::<Vec<_>>();
    until("the first messages", || told().len() >= 3);
    server.kill();
    let server = house.serve("127.0.0.1:0", &[]);
    until("every message", || told().into_iter().collect::<BTreeSet<_>>() == wanted);
    let mut highest = 0;
    let mut known = BTreeSet::new();
    for said in heard.lock().unwrap().iter().filter(|said| said["type"] == "task.completed") {
        let position = said["data"]["position"].as_u64().unwrap();
        // What is told anew was told before; what is new is later than all before it.
        assert!(known.contains(&position) || position > highest, "{position} after {highest}");
        known.insert(position);
        highest = highest.max(position);
    }
    let listed = house.json(&["webhook", "list", "--json"]);
    assert_eq!((&listed[0]["state"], listed[0].get("secret")), (&json!("ACTIVE"), None), "{listed}");
    let tries = house.json(&["webhook", "deliveries", &id, "--json", "--limit", "200"]);
    assert!(tries.as_array().unwrap().len() > TASKS, "{tries}");
    drop(server);
}
