//! Requests against a server on the loopback address.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{Place, TOKEN, result};
use ephor_core::id::EffectId;
use ephor_core::spec::ErrorClass;
use ephor_core::work::{EffectOutcome, EffectProbe, Outcome};
use ephor_sdk::trial::Trial;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers by path, and remembers every request.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, heard.clone()));
            }
        });
        Self { address, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, heard: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !complete(&request) {
        match stream.read(&mut buffer).await {
            Ok(n @ 1..) => request.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap().to_string();
    heard.lock().unwrap().push(request.clone());
    let (head, body) = match path.as_str() {
        "/json" => ("200 OK\r\nContent-Type: application/json", r#"{"a": [1]}"#.to_string()),
        "/echo" => ("200 OK", request),
        "/large" => ("200 OK", "x".repeat(100_000)),
        "/busy" => ("429 Too Many Requests\r\nRetry-After: 7", "slow down".into()),
        "/denied" => ("403 Forbidden", "no".into()),
        "/broken" => ("500 Internal Server Error", "oh".into()),
        "/none" => ("404 Not Found", "".into()),
        "/loop" => ("302 Found\r\nLocation: /loop", "".into()),
        "/moved" => ("302 Found\r\nLocation: /json", "".into()),
        "/away" => ("302 Found\r\nLocation: http://localhost:1/", "".into()),
        "/file" => ("302 Found\r\nLocation: file:///etc/passwd", "".into()),
        "/slow" => return tokio::time::sleep(Duration::from_secs(5)).await,
        other => panic!("{other}"),
    };
    let text = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.ok();
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

#[tokio::test]
async fn an_answer_is_read_as_json_or_text_and_within_its_bound() {
    let (place, server) = (Place::new(), Server::start().await);
    let output = place.run("http.request", json!({"url": server.url("/json")})).await.unwrap().output;
    assert_eq!((&output["status"], &output["body"]), (&json!(200), &json!({"a": [1]})));
    let output = place.run("http.request", json!({"url": server.url("/large"), "max_bytes": 1_000})).await.unwrap().output;
    assert_eq!((&output["bytes"], &output["truncated"]), (&json!(1_000), &json!(true)));
}

#[tokio::test]
async fn every_kind_of_trouble_has_its_class() {
    let (place, server) = (Place::new(), Server::start().await);
    for (path, class, retryable) in [
        ("/denied", ErrorClass::Refused, false),
        ("/broken", ErrorClass::External, true),
        ("/none", ErrorClass::NotFound, true),
        ("/loop", ErrorClass::External, false),
        ("/away", ErrorClass::External, true),
        ("/file", ErrorClass::Refused, false),
        ("/slow", ErrorClass::Timeout, true),
    ] {
        let params = json!({"url": server.url(path), "timeout": "300ms"});
        let failure = place.run("http.request", params).await.unwrap_err();
        assert_eq!((failure.class, failure.retryable), (class, retryable), "{path}: {failure:?}");
    }
    let failure = place.run("http.request", json!({"url": server.url("/busy")})).await.unwrap_err();
    assert_eq!((failure.class, failure.retry_after_ms), (ErrorClass::RateLimit, Some(7_000)));
    let output = place.run("http.request", json!({"url": server.url("/none"), "expect_status": [404]})).await.unwrap().output;
    assert_eq!(output["status"], 404);
}

#[tokio::test]
async fn redirects_are_followed_by_hand_and_counted() {
    let (place, server) = (Place::new(), Server::start().await);
    let output = place.run("http.request", json!({"url": server.url("/moved")})).await.unwrap().output;
    assert_eq!(output["url"], server.url("/json"));
    place.run("http.request", json!({"url": server.url("/loop")})).await.unwrap_err();
    assert_eq!(server.requests().len(), 2 + 6);
}

#[tokio::test]
async fn private_addresses_are_refused_by_number_and_by_name() {
    let (place, server) = (Place::with(|config| config.http.allow_private = false), Server::start().await);
    let port = server.address.rsplit_once(':').unwrap().1;
    for url in [
        server.url("/json"),
        format!("http://localhost:{port}/json"),
        format!("http://0x7f000001:{port}/json"),
        "http://169.254.169.254/latest/meta-data/".into(),
        "ftp://example.org/".into(),
    ] {
        let failure = place.run("http.request", json!({"url": url})).await.unwrap_err();
        assert_eq!((failure.class, failure.retryable), (ErrorClass::Refused, false), "{url}: {failure:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_change_needs_a_token_carries_its_key_and_says_what_became_of_it() {
    let (place, server) = (Place::new(), Server::start().await);
    for (path, outcome) in [
        ("/echo", EffectOutcome::Done),
        ("/busy", EffectOutcome::NotDone),
        ("/broken", EffectOutcome::Unknown),
        ("/slow", EffectOutcome::Unknown),
    ] {
        let params = json!({"method": "POST", "url": server.url(path), "json": {"n": 1}, "timeout": "300ms"});
        let trial = Trial::new("http.request", params);
        trial.run(&*place.agent("http.request")).await;
        assert_eq!((trial.asked().len(), trial.outcomes()), (1, vec![outcome]), "{path}");
    }
    let request = server.requests()[0].to_lowercase();
    assert!(request.contains("\r\nidempotency-key: effect_") && request.ends_with("{\"n\":1}"), "{request}");

    let trial = Trial::new("http.request", json!({"method": "POST", "url": "http://127.0.0.1:1/", "body": "x"}));
    trial.run(&*place.agent("http.request")).await;
    assert_eq!(trial.outcomes(), [EffectOutcome::NotDone], "nobody listens there");
}

#[tokio::test]
async fn what_may_already_have_happened_is_not_sent_again() {
    let (place, server) = (Place::new(), Server::start().await);
    let trial = Trial::new("http.request", json!({"method": "POST", "url": server.url("/echo")}));
    let trial = trial.probing(EffectProbe {
        effect_id: EffectId::new(0, [1; 10]),
        idempotency_key: "key".into(),
        action: "http.request".into(),
        args_digest: "0".repeat(64),
    });
    let outcome = trial.run(&*place.agent("http.request")).await;
    assert!(matches!(outcome, Outcome::Blocked { .. }), "{outcome:?}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_says_what_it_would_have_sent() {
    let (place, server) = (Place::new(), Server::start().await);
    let trial = Trial::new("http.request", json!({"method": "DELETE", "url": server.url("/echo")})).dry();
    let failure = result(trial.run(&*place.agent("http.request")).await).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Refused);
    assert!(failure.message.contains(&format!("would have sent DELETE {}", server.url("/echo"))), "{failure:?}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn secrets_are_sent_and_never_shown() {
    let (place, server) = (Place::new(), Server::start().await);
    let params = json!({"url": server.url("/echo"), "headers": {"Authorization": "Bearer ${secrets.TOKEN}"}});
    let success = place.run("http.request", params).await.unwrap();
    assert!(server.requests()[0].contains(TOKEN));
    assert!(success.output["body"].as_str().unwrap().contains("Bearer ***"), "{success:?}");
    assert!(!format!("{success:?}").contains(TOKEN));
    let failure = place.run("http.request", json!({"url": "http://[${secrets.TOKEN}"})).await.unwrap_err();
    assert!(!failure.message.contains(TOKEN), "{failure:?}");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let place = Place::new();
    for params in [
        json!({}),
        json!({"url": "nowhere"}),
        json!({"url": "http://x/", "method": "P T"}),
        json!({"url": "http://x/", "body": "a", "json": 1}),
        json!({"url": "http://x/", "headers": {"Host": "y"}}),
        json!({"url": "http://x/", "headers": {"X": "a\nb"}}),
    ] {
        let failure = place.run("http.request", params.clone()).await.unwrap_err();
        assert_eq!((failure.class, failure.retryable), (ErrorClass::BadInput, false), "{params}: {failure:?}");
    }
}

#[tokio::test]
async fn a_request_says_of_which_trace_it_is_unless_the_plan_does() {
    let (place, server) = (Place::new(), Server::start().await);
    let agent = place.agent("http.request");
    for (headers, wanted) in [(json!({}), "00-1-2-01"), (json!({"traceparent": "00-3-4-01"}), "00-3-4-01")] {
        let item = json!({"task_id": "task_00000000000000000000000000", "work": "step:1", "attempt": 1, "lease_ms": 60_000,
            "namespace": "default", "action": "http.request", "may_act": true, "traceparent": "00-1-2-01",
            "params": {"url": server.url("/json"), "headers": headers}});
        let ended = Trial::of(serde_json::from_value(item).unwrap()).run(&*agent).await;
        assert!(matches!(ended, Outcome::Succeeded(_)), "{ended:?}");
        let heard = server.requests().pop().unwrap();
        assert!(heard.lines().any(|line| line == format!("traceparent: {wanted}")), "{heard}");
    }
    place.run("http.request", json!({"url": server.url("/json")})).await.unwrap();
    assert!(!server.requests().pop().unwrap().contains("traceparent"), "where nobody traces nothing is said");
}
