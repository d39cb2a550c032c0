//! What a task would do, over HTTP: as data, and as a page for whoever asks for one.

use super::desk::Desk;
use axum::body::Body;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_report_comes_as_data_or_as_a_page() {
    let desk = Desk::open();
    let step = json!({"action": "mail", "acts": true, "params": {"to": "<ann>"}});
    let task = desk.submit(&json!({"title": "tell *her*", "execution_mode": "DRY_RUN", "plan": {"steps": [step]}})).await;
    let path = format!("{task}/impact");
    let data = desk.get(&path).await.with(200);
    assert_eq!(data.header("content-type"), "application/json");
    let told = data.json();
    assert_eq!((&told["effects"][0]["params"]["to"], &told["effects"][0]["withheld"]), (&json!("<ann>"), &json!(true)), "{told}");
    for (query, accept, page) in [
        ("", "text/markdown", true),
        ("?format=markdown", "*/*", true),
        ("?format=json", "text/markdown", false),
        ("", "application/json", false),
    ] {
        let answer = desk.ask("GET", &format!("{path}{query}"), &[("accept", accept)], Body::empty()).await.with(200);
        assert_eq!(answer.header("content-type").starts_with("text/markdown"), page, "{query} {accept}");
        if page {
            let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
            assert!(text.starts_with("# Impact of “tell \\*her\\*”") && text.contains("&lt;ann&gt;"), "{text}");
        }
    }
    let refused = desk.get(&format!("{path}?format=pdf")).await.with(400).json();
    assert_eq!(refused["errors"][0]["field"], "format", "{refused}");
    let camel = desk.get(&format!("{path}?case=camel")).await.with(200).json();
    assert!(camel["effects"][0]["argsDigest"].is_string(), "{camel}");
}
