//! Events as an older interface reads them: in its words, an event that moves a task as up to two rows.

use super::desk::Desk;
use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::{Value, json};

/// A task as the older interface makes one, moved through its whole life by PATCH; its path.
async fn lived(desk: &Desk) -> String {
    let body = json!({"type": "INVOICE_FOLLOW_UP", "mode": "ASSISTED", "subjectRefId": "INV-1", "source": "OVERDUE_INVOICE_DETECTOR",
        "dueAt": "2026-01-05T12:00:00Z"});
    let task = desk.submit(&body).await;
    for wish in ["SCHEDULED", "IN_PROGRESS", "COMPLETED"] {
        let body = json!({"newStatus": wish, "actorType": "AI", "actorId": "WORKER"});
        desk.send("PATCH", &task, &body).await.with(200);
    }
    task
}

/// Rows in short: number within the event, word, move.
fn short(rows: &Value) -> Vec<String> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let one = |row: &Value| {
        let (_, n) = row["id"].as_str().unwrap().split_once('.').unwrap();
        format!("{n} {} {} {}", text(row, "eventType"), text(row, "oldStatus"), text(row, "newStatus"))
    };
    rows.as_array().unwrap().iter().map(one).collect()
}

const LIFE: [&str; 7] = [
    "0 TASK_CREATED - PENDING",
    "0 TASK_STATUS_CHANGED PENDING SCHEDULED",
    "0 TASK_STATUS_CHANGED SCHEDULED IN_PROGRESS",
    "1 TASK_EXECUTION_STARTED SCHEDULED IN_PROGRESS",
    "0 TASK_EXECUTION_COMPLETED IN_PROGRESS IN_PROGRESS",
    "0 TASK_STATUS_CHANGED IN_PROGRESS COMPLETED",
    "end",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_life_is_told_in_the_older_words_and_a_move_is_a_row_of_its_own() {
    let desk = Desk::open();
    let task = lived(&desk).await;
    let rows = desk.get(&format!("{task}/events?form=rows")).await.with(200).json();
    assert_eq!(short(&rows), LIFE[..6]);
    let first = &rows[0];
    for field in ["id", "taskId", "eventType", "newStatus", "canonicalStatus", "actorType", "actorId", "createdAt"] {
        assert!(!first[field].is_null(), "{field}: {first}");
    }
    // Where the task comes from stands in each of them, and instants as people write them.
    for row in rows.as_array().unwrap() {
        assert_eq!(row["metadata"]["source"], "OVERDUE_INVOICE_DETECTOR", "{row}");
    }
    assert_eq!(first["metadata"]["dueAt"], "2026-01-05T12:00:00Z", "{first}");
    assert_eq!((&rows[2]["actorType"], &rows[2]["metadata"]["event"]), (&json!("AI"), &json!("ASSIGNED")));
    // The two rows of one event share its position.
    let position = |row: &Value| row["id"].as_str().unwrap().split_once('.').unwrap().0.to_owned();
    assert_eq!(position(&rows[2]), position(&rows[3]));
    let snake = desk.get(&format!("{task}/events?form=rows&case=snake")).await.with(200).json();
    assert_eq!(snake[0]["event_type"], "TASK_CREATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_asked_for_by_their_words_in_either_order_and_page_by_page() {
    let desk = Desk::open();
    let task = lived(&desk).await;
    let moves = desk.get(&format!("{task}/events?eventType=TASK_STATUS_CHANGED&order=desc")).await.with(200).json();
    let expected: Vec<&str> = LIFE.iter().rev().copied().filter(|row| row.contains("STATUS_CHANGED")).collect();
    assert_eq!(short(&moves), expected);
    let mixed = desk.get(&format!("{task}/events?type=TASK_CREATED,ASSIGNED")).await.with(400).json();
    assert_eq!(mixed["errors"][0]["field"], "type");
    // Page by page, without a gap and without a double, and rows of one event on one page.
    for order in ["asc", "desc"] {
        let (mut path, mut all) = (format!("{task}/events?form=rows&limit=1&order={order}"), Vec::new());
        loop {
            let page = desk.get(&path).await.with(200);
            let rows = short(&page.json());
            assert!(rows.len() <= 2, "{rows:?}");
            all.extend(rows);
            match page.header("link").split_once('>') {
                Some((next, _)) => path = next.trim_start_matches('<').to_owned(),
                None => break,
            }
        }
        let mut expected = LIFE[..6].to_vec();
        if order == "desc" {
            expected.reverse();
        }
        assert_eq!(all, expected, "{order}");
    }
}

/// Rows of a stream from the one that was heard last, up to a number of them: the id of each, and what it says.
async fn heard(desk: &Desk, path: &str, last: Option<&str>, most: usize) -> Vec<(String, Value)> {
    let mut request = Request::builder().uri(path).header("host", "localhost").header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = desk.begin(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200);
    let (mut body, mut text, mut rows) = (response.into_body().into_data_stream(), String::new(), Vec::new());
    while rows.len() < most {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
        while let Some((whole, rest)) = text.split_once("\n\n") {
            let field = |name: &str| {
                let mut lines = whole.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
            };
            if field("event") != "tick" {
                rows.push((field("id"), serde_json::from_str(&field("data")).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    rows.truncate(most);
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_cut_off_between_two_rows_of_an_event_hears_the_second() {
    let desk = Desk::open();
    let path = format!("{}/events?form=rows", lived(&desk).await);
    let all = heard(&desk, &path, None, 6).await;
    let told: Value = all.iter().map(|(_, row)| row.clone()).collect();
    assert_eq!(short(&told), LIFE[..6]);
    for (n, (id, row)) in all.iter().enumerate().take(5) {
        assert_eq!(row["id"], json!(id));
        let rest = heard(&desk, &path, Some(id), 5 - n).await;
        assert_eq!(rest, all[n + 1..], "behind {id}");
    }
    let wrong = [("accept", "text/event-stream"), ("last-event-id", "7.x")];
    desk.ask("GET", &path, &wrong, "").await.with(400);
}
