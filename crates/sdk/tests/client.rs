//! The client against servers that behave badly: busy, gone, cut off in the middle.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ephor_core::spec::Request;
use ephor_sdk::client::{Client, ClientError, Config, EventFilter};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// What a server was asked.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    headers: HeaderMap,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default()
    }
}

/// A server that answers from a list, in order, and remembers what it was asked.
struct Mock {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Mock {
    async fn answering(answers: impl IntoIterator<Item = Response>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let app = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let body = String::from_utf8(body.to_vec()).unwrap();
            seen.lock().unwrap().push(Asked { line: format!("{method} {uri}"), headers, body });
            let answer = answers.lock().unwrap().pop_front();
            async move { answer.unwrap_or_else(|| StatusCode::IM_A_TEAPOT.into_response()) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn client(&self) -> Client {
        Client::new(Config::new(&self.address).with_token("ephor_secret")).unwrap()
    }
}

fn json(status: u16, body: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], body.to_owned()).into_response()
}

fn busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], "").into_response()
}

fn stream(body: &str) -> Response {
    ([("content-type", "text/event-stream")], body.to_owned()).into_response()
}

const TASK: &str = "task_01j00000000000000000000000";

fn accepted() -> Response {
    json(201, &format!(r#"{{"id": "{TASK}", "task_id": "{TASK}", "status": "SCHEDULED", "version": 1, "news": true}}"#))
}

fn event(position: u64, kind: &str, after: &str) -> String {
    let data = format!(
        r#"{{"position": {position}, "stream": "{TASK}", "version": {position}, "at": "2026-01-01T00:00:00Z", "actor_type": "SYSTEM", "actor_id": "SETTLE", "type": "{kind}", "status_after": "{after}", "schema": 1}}"#
    );
    format!("id: {position}\nevent: {kind}\ndata: {data}\n\n")
}

#[tokio::test]
async fn a_busy_server_is_asked_again_under_the_same_key() {
    let mock = Mock::answering([busy(), busy(), accepted()]).await;
    let request = Request { title: Some("x".into()), ..Request::default() };
    assert_eq!(mock.client().submit(&request).await.unwrap().id.to_string(), TASK);
    let asked = mock.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|a| a.line == "POST /api/v1/tasks" && a.header("authorization") == "Bearer ephor_secret"));
    assert_eq!(asked[0].header("idempotency-key").len(), 32);
    assert!(asked.iter().all(|a| a.header("idempotency-key") == asked[0].header("idempotency-key")));
    assert!(asked.iter().all(|a| a.body == asked[0].body));
}

#[tokio::test]
async fn a_no_is_told_with_its_reasons_and_not_asked_again() {
    let no = r#"{"type": "urn:ephor:problem:terminal-state", "title": "Cannot update task in terminal state", "status": 400,
        "code": "TERMINAL_STATE", "detail": "it is COMPLETED, and nothing follows that", "next": ["ephor task show x"]}"#;
    let mock = Mock::answering([json(400, no)]).await;
    let error = mock.client().pause(TASK, "").await.unwrap_err();
    assert_eq!(error.code(), Some("TERMINAL_STATE"));
    let problem = error.problem().unwrap();
    assert_eq!((problem.next.as_slice(), problem.detail.is_some()), (["ephor task show x".to_owned()].as_slice(), true));
    assert_eq!(mock.asked()[0].line, format!("POST /api/v1/tasks/{TASK}/pause"));
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_a_page_of_something_else_unreadable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(Config { tries: 2, ..Config::new(&address) }).unwrap();
    assert!(matches!(client.task("x").await, Err(ClientError::Unreachable { .. })));
    let mock = Mock::answering([json(200, "<html>")]).await;
    assert!(matches!(mock.client().task("x").await, Err(ClientError::Unreadable { .. })));
}

#[tokio::test]
async fn a_name_is_one_segment_of_the_path_whatever_is_in_it() {
    let mock = Mock::answering([]).await;
    assert!(mock.client().task("a/b?c d").await.is_err());
    assert_eq!(mock.asked()[0].line, "GET /api/v1/tasks/a%2Fb%3Fc%20d");
    assert!(matches!(mock.client().task("..").await, Err(ClientError::Setup(_))));
    assert_eq!(mock.asked().len(), 1);
}

#[tokio::test]
async fn a_batch_has_one_answer_for_each_task_in_order() {
    let lines = format!(
        "{{\"id\": \"{TASK}\", \"status\": \"SCHEDULED\"}}\n{{\"error\": {{\"code\": \"VALIDATION_FAILED\", \"title\": \"no\", \"status\": 400}}}}\n"
    );
    let answer = ([("content-type", "application/x-ndjson")], lines).into_response();
    let mock = Mock::answering([answer]).await;
    let answers = mock.client().submit_many(&[Request::default(), Request::default()]).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().id.to_string(), TASK);
    assert_eq!(answers[1].as_ref().unwrap_err().code, "VALIDATION_FAILED");
    assert_eq!(mock.asked()[0].body.lines().count(), 2);
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_cut_off_without_a_gap_and_without_a_double() {
    // The second connection repeats an event, and the third begins with a tick.
    let first = event(7, "SUBMITTED", "SCHEDULED") + "id: 8\nevent: ASS";
    let second = event(7, "SUBMITTED", "SCHEDULED") + &event(8, "ASSIGNED", "IN_PROGRESS");
    let third =
        "event: tick\ndata: {}\n\n".to_owned() + &event(9, "COMPLETED", "COMPLETED") + &event(10, "ARCHIVED", "COMPLETED");
    let mock = Mock::answering([stream(&first), busy(), stream(&second), stream(&third)]).await;
    let mut events = mock.client().event_stream(EventFilter { task: Some(TASK.into()), after: 6, ..EventFilter::default() });
    let mut seen = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        seen.push((event.position, event.kind));
    }
    assert_eq!(seen, [(7, "SUBMITTED".into()), (8, "ASSIGNED".into()), (9, "COMPLETED".into())]);
    let lines: Vec<String> = mock.asked().into_iter().map(|a| a.line.rsplit('?').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["after=6", "after=7", "after=7", "after=8"]);
}

#[tokio::test]
async fn a_stream_that_is_refused_ends_with_the_reasons() {
    let mock = Mock::answering([json(404, r#"{"code": "NOT_FOUND", "title": "there is no task", "status": 404}"#)]).await;
    let mut events = mock.client().event_stream(EventFilter { task: Some("ghost".into()), ..EventFilter::default() });
    assert_eq!(events.next().await.unwrap_err().code(), Some("NOT_FOUND"));
}
