//! Batches: a line in, a line out.

use super::desk::Desk;
use super::house::{House, TOKEN};
use axum::body::Body;
use axum::http::Request;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use tokio::sync::mpsc;

const BATCH: &str = "/api/v1/tasks/batch";
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn lines(text: &[u8]) -> Vec<Value> {
    text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_answered_in_its_place_and_what_is_wrong_stops_nothing() {
    let desk = Desk::open();
    let mut body = String::new();
    for n in 0..1_000 {
        body += &match n {
            300 => "{\"title\": 5}\n".to_owned(),
            301 => "not JSON\r\n".to_owned(),
            302 => "{\"titel\": \"x\"}\n\n".to_owned(),
            303 => format!("{{\"title\": \"{}\"}}\n", "x".repeat(1 << 20)),
            304 => "{\"title\": \"again\", \"external_id\": \"e0\"}\n".to_owned(),
            305 => "{\"type\": \"INVOICE\", \"mode\": \"ASSISTED\"}\n".to_owned(),
            _ => format!("{{\"title\": \"t{n}\", \"external_id\": \"e{n}\"}}\n"),
        };
    }
    let answer = desk.ask("POST", BATCH, &[NDJSON], body.trim_end().to_owned()).await.with(200);
    let answers = lines(&answer.bytes);
    assert_eq!(answers.len(), 1_000);
    for (n, answer) in answers.iter().enumerate() {
        let code = answer["error"]["code"].as_str();
        match n {
            300..=302 => assert_eq!(code, Some("VALIDATION_FAILED"), "{n}"),
            303 => assert_eq!(code, Some("TOO_LARGE")),
            304 => assert_eq!(code, Some("DUPLICATE_TASK")),
            305 => assert_eq!(answer["status"], "PENDING"),
            _ => assert!(answer["id"].as_str().unwrap().starts_with("task_"), "{n}: {answer}"),
        }
    }
    let task = desk.get("/api/v1/tasks/e999").await.with(200).json();
    assert_eq!(task["id"], answers[999]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_answered_while_more_are_coming() {
    let desk = Desk::open();
    let (send, mut receive) = mpsc::channel::<String>(1);
    let body = stream::poll_fn(move |cx| receive.poll_recv(cx)).map(Ok::<_, Infallible>);
    let request = Request::post(BATCH).header("host", "localhost").header(NDJSON.0, NDJSON.1);
    let response = desk.begin(request.body(Body::from_stream(body)).unwrap()).await;
    let mut answers = response.into_body().into_data_stream();
    for n in 0..3 {
        // A line may come in pieces.
        send.send("{\"title\":".to_owned()).await.unwrap();
        send.send(format!(" \"t{n}\"}}\n")).await.unwrap();
        let answer = lines(&answers.next().await.unwrap().unwrap());
        assert_eq!(answer[0]["status"], "SCHEDULED");
    }
    drop(send);
    assert!(answers.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_said_again_under_its_key_is_answered_the_same_and_goes_on() {
    let desk = Desk::open();
    let line = |n: usize| match n {
        3 => "{\"title\": 5}\n".to_owned(),
        4 => "{\"type\": \"INVOICE\", \"mode\": \"ASSISTED\"}\n".to_owned(),
        _ => format!("{{\"title\": \"t{n}\"}}\n"),
    };
    let batch = |n: usize| (0..n).map(line).collect::<String>();
    let ask = async |key: &str, body: String| {
        lines(&desk.ask("POST", BATCH, &[NDJSON, ("idempotency-key", key)], body).await.with(200).bytes)
    };
    let first = ask("k", batch(400)).await;
    // The connection was lost before the rest was read: said again it goes on behind what was done.
    let again = ask("k", batch(600)).await;
    assert_eq!((first.len(), again.len()), (400, 600));
    for (n, answer) in again.iter().enumerate() {
        match n {
            3 => assert_eq!(answer["error"]["code"], "VALIDATION_FAILED"),
            n if n < 400 => {
                assert_eq!((&answer["id"], &answer["status"]), (&first[n]["id"], &first[n]["status"]), "{n}");
                assert_eq!((&answer["repeated"], &first[n]["repeated"]), (&json!(true), &Value::Null), "{n}");
            }
            _ => assert!(answer["id"].is_string() && answer["repeated"].is_null(), "{n}: {answer}"),
        }
    }
    let all = desk.get("/api/v1/tasks?limit=500").await.with(200);
    assert_eq!(all.json().as_array().unwrap().len(), 500);
    let rest = all.header("link").split_once('>').unwrap().0.trim_start_matches('<');
    assert_eq!(desk.get(rest).await.with(200).json().as_array().unwrap().len(), 99, "none came twice");
    // Another line in the same place is refused there alone, and the same line in another place is another.
    let other = ask("k", format!("{}{}", line(0), line(2))).await;
    assert_eq!((&other[0]["id"], &other[1]["error"]["code"]), (&first[0]["id"], &json!("IDEMPOTENCY_MISMATCH")));
    let shifted = ask("k2", line(0)).await;
    assert_ne!(shifted[0]["id"], first[0]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_another_type_or_too_large_is_refused() {
    let desk = Desk::open();
    desk.send("POST", BATCH, &json!({})).await.with(415);
    desk.ask("POST", BATCH, &[NDJSON, ("content-length", "67108865")], "{}").await.with(413);
    assert!(desk.ask("POST", BATCH, &[NDJSON], "").await.with(200).bytes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_namespace_submits_there_line_by_line_and_nowhere_else() {
    let house = House::new(false);
    let key = house.key(json!({"name": "a", "roles": ["operator"], "namespace": "a"})).await;
    let foreign = house.task("b").await;
    let body = [
        json!({"title": "mine"}),
        json!({"title": "mine too", "namespace": "a"}),
        json!({"title": "theirs", "namespace": "b"}),
        json!({"title": "hangs on theirs", "depends_on": [foreign]}),
        json!({"title": "mine again"}),
    ];
    let body = body.map(|line| line.to_string()).join("\n");
    let request = Request::post(BATCH).header("host", "localhost").header(NDJSON.0, NDJSON.1);
    let request = request.header("authorization", format!("Bearer {key}")).body(Body::from(body)).unwrap();
    let answer = house.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    let answers = lines(answer.json.as_str().unwrap().as_bytes());
    let codes: Vec<Option<&str>> = answers.iter().map(|answer| answer["error"]["code"].as_str()).collect();
    assert_eq!(codes, [None, None, Some("FORBIDDEN"), Some("NOT_FOUND"), None], "{answers:?}");
    for n in [0, 1, 4] {
        let path = format!("/api/v1/tasks/{}", answers[n]["id"].as_str().unwrap());
        assert_eq!(house.ask("GET", &path, Some(TOKEN), None).await.json["namespace"], "a");
    }
    let of_b = house.ask("GET", "/api/v1/tasks?namespace=b", Some(TOKEN), None).await.json;
    assert_eq!(of_b.as_array().unwrap().len(), 1, "{of_b}");
}
