//! The receipt of a task over HTTP: the very bytes, for whoever may read the task.

use super::desk::Desk;
use ephor_core::work::Success;
use ephor_engine::receipt::verify;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_over_http_is_checked_without_the_server_whatever_case_is_asked_for() {
    let desk = Desk::open();
    let agent = desk.agent(&["work"]).await;
    let task =
        desk.submit(&json!({"title": "say it", "plan": {"steps": [{"action": "work", "params": {"some_word": 1}}]}})).await;
    let live = desk.get(&format!("{task}/receipt")).await.with(200);
    assert_eq!(verify(&live.bytes, None).found, []);
    let item = desk.claim(agent).await;
    desk.done(agent, &item, Success { output: json!({"a_word": "said"}), ..Success::default() }).await;
    let plain = desk.get(&format!("{task}/receipt")).await.with(200);
    assert_eq!(plain.header("content-type"), "application/json");
    let camel = desk.get(&format!("{task}/receipt?case=camel")).await.with(200);
    assert_eq!(plain.bytes, camel.bytes);
    let verdict = verify(&plain.bytes, None);
    assert_eq!((verdict.found, plain.json()["summary"]["task"]["status"].as_str()), (vec![], Some("COMPLETED")));
    desk.get("/api/v1/tasks/task_00000000000000000000000000/receipt").await.with(404);
}
