//! Streams: nothing is missed, nothing comes twice, and none of them keeps a server from ending.

use super::desk::Desk;
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a listener hears.
struct Listener {
    body: BodyDataStream,
    rest: String,
}

/// One event of a stream.
#[derive(Debug)]
struct Heard {
    event: String,
    id: u64,
    data: Value,
}

impl Listener {
    async fn to(desk: &Desk, path: &str, last: Option<u64>) -> Self {
        let mut request = Request::builder().uri(path).header("host", "localhost").header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = desk.begin(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), rest: String::new() }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((whole, rest)) = self.rest.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = whole.lines().filter_map(|line| line.split_once(": "));
                    lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
                };
                let heard = Heard {
                    event: field("event"),
                    id: field("id").parse().unwrap(),
                    data: serde_json::from_str(&field("data")).unwrap(),
                };
                self.rest = rest.to_owned();
                return Some(heard);
            }
            let bytes = self.body.next().await?.unwrap();
            self.rest.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_cut_off_a_hundred_times_hears_every_event_exactly_once() {
    const CUTS: u64 = 100;
    let desk = Desk::open();
    let over = AtomicBool::new(false);
    let write = async {
        for n in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let task = desk.submit(&json!({"title": format!("t{n}")})).await;
            desk.send("POST", &format!("{task}/pause"), &json!({})).await.with(200);
        }
    };
    let listen = async {
        let (mut heard, mut last, mut chance) = (Vec::new(), None, 0x2545_f491_4f6c_dd1d_u64);
        for _ in 0..CUTS {
            let mut listener = Listener::to(&desk, "/api/v1/events", last).await;
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            for _ in 0..chance % 7 {
                let event = listener.next().await.unwrap();
                last = Some(event.id);
                if event.event != "tick" {
                    assert_eq!(event.data["position"], event.id);
                    heard.push(event.id);
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        heard
    };
    let (heard, ()) = tokio::join!(listen, write);
    let expected: Vec<u64> = (1..=heard.len() as u64).collect();
    assert_eq!(heard, expected);
    assert!(heard.len() > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_one_task_are_told_from_any_position_and_then_live() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x"})).await;
    desk.submit(&json!({"title": "another"})).await;
    let mut listener = Listener::to(&desk, &format!("{task}/events"), None).await;
    assert_eq!(listener.next().await.unwrap().event, "SUBMITTED");
    desk.submit(&json!({"title": "a third"})).await;
    desk.send("POST", &format!("{task}/pause"), &json!({})).await.with(200);
    let paused = listener.next().await.unwrap();
    assert_eq!((paused.event.as_str(), &paused.data["status_after"]), ("PAUSED", &json!("PAUSED")));
    let mut later = Listener::to(&desk, &format!("{task}/events?type=RESUMED&after=latest"), None).await;
    desk.send("POST", &format!("{task}/resume"), &json!({})).await.with(200);
    assert_eq!(later.next().await.unwrap().event, "RESUMED");
    let wrong = desk.ask("GET", "/api/v1/events", &[("accept", "text/event-stream"), ("last-event-id", "x")], "").await;
    wrong.with(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_until_the_end() {
    let desk = Desk::open();
    let task = desk.submit(&json!({"title": "x", "plan": {"steps": [{"action": "a"}, {"action": "a"}]}})).await;
    let agent = desk.agent(&["a"]).await;
    let mut listener = Listener::to(&desk, &format!("{task}/progress"), None).await;
    let first = listener.next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["progress"]), ("progress", &json!(0.0)));
    let item = desk.claim(agent).await;
    let beat = ephor_core::work::Heartbeat {
        task_id: item.task_id,
        work: item.work.clone(),
        attempt: item.attempt,
        progress: Some(0.5),
        message: Some("half".into()),
    };
    desk.engine.heartbeat(agent, &[beat]);
    // A sign of life is no event, and is told all the same.
    let telling = async |listener: &mut Listener, progress: f64| loop {
        let heard = listener.next().await.unwrap();
        if heard.event == "progress" && heard.data["progress"] == json!(progress) {
            return heard;
        }
    };
    let half = telling(&mut listener, 0.25).await;
    assert_eq!(half.data["step_progress"]["1"]["message"], "half");
    desk.done(agent, &item, Default::default()).await;
    telling(&mut listener, 0.5).await;
    let item = desk.claim(agent).await;
    desk.done(agent, &item, Default::default()).await;
    let end = telling(&mut listener, 1.0).await;
    assert_eq!(end.data["status"], "COMPLETED");
    assert!(listener.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_ticks_and_ends_with_the_server() {
    let desk = Desk::open();
    let mut listener = Listener::to(&desk, "/api/v1/events", None).await;
    let tick = tokio::time::timeout(Duration::from_secs(60), listener.next()).await.unwrap().unwrap();
    assert_eq!(tick.event, "tick");
    assert!(tick.data["now"].is_string());
    desk.stop();
    assert!(tokio::time::timeout(Duration::from_secs(60), listener.next()).await.unwrap().is_none());
}
