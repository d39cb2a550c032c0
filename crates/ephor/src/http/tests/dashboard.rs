//! The dashboard: everybody gets its pages, and nothing in them is run that was not written here.

use super::desk::{Answer, Desk};
use super::house::House;
use crate::http::dashboard::{ASSETS, FILES, PAGES};
use axum::body::Body;
use axum::http::Request;
use flate2::read::GzDecoder;
use std::collections::BTreeSet;
use std::io::Read as _;

#[tokio::test]
async fn a_page_is_given_to_everybody_with_what_keeps_others_out_of_it() {
    for local in [true, false] {
        let house = House::new(local);
        for path in PAGES {
            let answer = house.ask("GET", &path.replace("{id}", "task_1"), None, None).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.json.as_str().unwrap().contains("/ui/app.js"), "{path}");
            let header = |name: &str| answer.headers[name].to_str().unwrap();
            assert!(header("content-type").starts_with("text/html"));
            let policy = header("content-security-policy");
            for part in [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "connect-src 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            ] {
                assert!(policy.split(';').any(|said| said.trim() == part), "{part}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"));
        }
        for (name, kind, text) in FILES {
            let answer = house.ask("GET", &format!("/ui/{name}"), None, None).await;
            assert_eq!((answer.status.as_u16(), answer.json.as_str()), (200, Some(*text)), "{name}");
            assert_eq!(answer.headers["content-type"], *kind);
            assert!(answer.headers.contains_key("content-security-policy"));
        }
    }
}

#[tokio::test]
async fn a_file_that_is_known_already_is_not_sent_again() {
    let house = House::new(true);
    let first = house.ask("GET", "/ui/app.js", None, None).await;
    let tag = first.headers["etag"].clone();
    assert_eq!(first.headers["cache-control"], "no-cache");
    let ask = |tag: &str| {
        let request = Request::builder().uri("/ui/app.js").header("host", "localhost:4000").header("if-none-match", tag);
        house.send(request.body(Body::empty()).unwrap())
    };
    let again = ask(tag.to_str().unwrap()).await;
    assert_eq!((again.status.as_u16(), again.json.as_str()), (304, Some("")));
    assert_eq!(again.headers["etag"], tag);
    assert_eq!(ask("\"another\"").await.status, 200);
    assert_ne!(house.ask("GET", "/ui/api.js", None, None).await.headers["etag"], tag);
}

async fn packed(desk: &Desk, path: &str) -> Answer {
    desk.ask("GET", path, &[("accept-encoding", "gzip, deflate, br")], Body::empty()).await.with(200)
}

fn unpacked(answer: &Answer) -> String {
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("gzip", "accept-encoding"));
    let mut text = String::new();
    GzDecoder::new(&*answer.bytes).read_to_string(&mut text).unwrap();
    text
}

/// The files a page is made of, from its document on: what that names, and what modules import.
fn made_of(first: &str, page: &str) -> BTreeSet<&'static str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![first.to_owned(), page.to_owned()]);
    while let Some(name) = open.pop() {
        let Some((name, _, text)) = FILES.iter().find(|(known, ..)| **known == name) else { continue };
        if !found.insert(*name) {
            continue;
        }
        let below = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        for line in text.lines().filter(|line| line.starts_with("import ")) {
            let from = line.rsplit_once(" from '").unwrap().1.trim_end_matches("';");
            open.push(match from.strip_prefix("../") {
                Some(above) => above.to_owned(),
                None => format!("{below}{}", from.trim_start_matches("./")),
            });
        }
        open.extend(text.split("=\"/ui/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    found
}

#[tokio::test]
async fn the_first_page_and_all_it_is_made_of_is_smaller_than_ninety_kilobytes() {
    let desk = Desk::open();
    let files = made_of("index.html", "pages/overview.js");
    assert!(files.contains("dom.js") && files.contains("pages.css") && files.len() > 12, "{files:?}");
    let (mut sent, mut whole) = (packed(&desk, "/").await.bytes.len(), 0);
    for name in files.iter().filter(|name| **name != "index.html") {
        let answer = packed(&desk, &format!("/ui/{name}")).await;
        let (_, _, text) = FILES.iter().find(|(known, ..)| known == name).unwrap();
        assert_eq!(unpacked(&answer), *text, "{name}");
        sent += answer.bytes.len();
        whole += text.len();
    }
    assert!(sent < 90 << 10, "{sent} bytes of {whole} in {} files", files.len());
    assert!(sent * 2 < whole, "{sent} of {whole}");
}

#[tokio::test]
async fn what_is_kept_packed_is_another_thing_than_what_is_kept_as_it_is() {
    let desk = Desk::open();
    let ask = async |more: &[(&str, &str)]| desk.ask("GET", "/ui/app.js", more, Body::empty()).await;
    let (plain, small) = (ask(&[]).await, packed(&desk, "/ui/app.js").await);
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
    assert_ne!(plain.header("etag"), small.header("etag"));
    let again = ask(&[("accept-encoding", "gzip"), ("if-none-match", small.header("etag"))]).await;
    assert_eq!((again.status, again.header("etag")), (304, small.header("etag")));
    assert_eq!(ask(&[("if-none-match", small.header("etag"))]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_are_packed_for_who_reads_that_and_streams_never_are() {
    let desk = Desk::open();
    for n in 0..20 {
        desk.submit(&serde_json::json!({"title": format!("number {n}"), "action": "work"})).await;
    }
    let (plain, small) = (desk.get("/api/v1/tasks").await.with(200), packed(&desk, "/api/v1/tasks").await);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&unpacked(&small)).unwrap(), plain.json());
    assert!(small.bytes.len() * 3 < plain.bytes.len(), "{} of {}", small.bytes.len(), plain.bytes.len());
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(small.header("content-length"), small.bytes.len().to_string());
    // Renamed first, packed then; a short one is not worth it; the large document of all operations is.
    let camel = unpacked(&packed(&desk, "/api/v1/tasks?case=camel").await);
    assert!(camel.contains("taskType") && !camel.contains("task_type"), "{camel}");
    assert_eq!(packed(&desk, "/api/v1/me").await.header("content-encoding"), "");
    assert!(unpacked(&packed(&desk, "/api-docs/openapi.json").await).contains("\"openapi\""));
    let stream = Request::builder().uri("/api/v1/events?after=0").header("host", "localhost").header("accept-encoding", "gzip");
    let stream = desk.begin(stream.header("accept", "text/event-stream").body(Body::empty()).unwrap()).await;
    assert_eq!((stream.status().as_u16(), stream.headers().get("content-encoding")), (200, None));
    assert!(stream.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    desk.stop();
}

#[tokio::test]
async fn what_is_no_page_is_none() {
    let house = House::new(true);
    for path in ["/ui/none.js", "/ui/../Cargo.toml", "/ui/pages", "/ui/%2e%2e/lib.rs"] {
        let answer = house.ask("GET", path, None, None).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.json);
    }
    assert_eq!(house.ask("GET", "/nowhere", None, None).await.json["code"], "NOT_FOUND");
    for path in ["/", "/tasks", "/ui/app.js"] {
        assert_eq!(house.ask("POST", path, None, None).await.json["code"], "METHOD_NOT_ALLOWED", "{path}");
    }
    // Who may look at nothing is told nothing of what there is.
    assert_eq!(House::new(false).ask("GET", "/nowhere", None, None).await.status, 401);
}

/// What makes markup or script of text, and what asks another host.
const FORBIDDEN: [&str; 17] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "srcdoc",
    "DOMParser",
    "createContextualFragment",
    "eval(",
    "new Function",
    "setTimeout('",
    "javascript:",
    "<style",
    " style=\"",
    "http://",
    "https://",
    "//cdn",
    "import(\"http",
];

#[test]
fn no_file_makes_markup_of_text_or_asks_another_host() {
    for (name, _, text) in FILES {
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{name} has {word:?}");
        }
        // A script between tags, and a handler in an attribute.
        for (at, _) in text.match_indices("<script") {
            assert!(text[at..].starts_with("<script src=\"/ui/") || text[at..].starts_with("<script type=\"module\" src=\"/ui/"));
        }
        if name.ends_with(".html") {
            assert!(!text.split_ascii_whitespace().any(|word| word.starts_with("on") && word.contains("=\"")), "{name}");
        }
    }
    let size: usize = FILES.iter().map(|(_, _, text)| text.len()).sum();
    assert!(size < 300 << 10, "the dashboard has {size} bytes");
}

#[test]
fn every_file_in_the_folder_is_given_out_and_every_page_of_the_script_is_one() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
    let mut found = BTreeSet::new();
    for at in ["", "pages/"] {
        for entry in std::fs::read_dir(folder.join(at)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                found.insert(format!("{at}{}", entry.file_name().to_str().unwrap()));
            }
        }
    }
    let given: BTreeSet<String> = FILES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(given, found);
    let (_, _, script) = FILES.iter().find(|(name, ..)| *name == "app.js").unwrap();
    let told = script.split("{ path: '").skip(1).filter_map(|rest| rest.split('\'').next());
    assert_eq!(told.collect::<BTreeSet<_>>(), PAGES.iter().copied().collect());
    assert!(ASSETS.starts_with("/ui/"));
}

#[test]
fn the_page_that_subscribes_names_everything_one_may_be_told_of() {
    let (_, _, script) = FILES.iter().find(|(name, ..)| *name == "pages/automation.js").unwrap();
    for topic in ephor_core::webhook::Topic::ALL {
        assert!(script.contains(&format!("'{}'", topic.word())), "{}", topic.word());
    }
}

#[tokio::test]
async fn the_constitution_in_force_is_told() {
    let house = House::new(true);
    let told = house.ask("GET", "/api/v1/constitution", None, None).await.json;
    let shipped = ephor_core::constitution::Law::shipped();
    assert_eq!(told["digest"], shipped.digest());
    assert_eq!(told["document"]["articles"].as_array().unwrap().len(), shipped.document().articles.len());
}

#[tokio::test]
async fn a_plan_is_drawn_with_every_step_in_its_place() {
    let house = House::new(true);
    let plan = serde_json::json!({"title": "drawn", "plan": {"steps": [
        {"id": "a", "steps": [{"action": "x"}, {"action": "x"}]},
        {"id": "b", "action": "x", "needs": ["a"]},
    ]}});
    let made = house.ask("POST", "/api/v1/tasks", None, Some(plan)).await.json;
    let at = format!("/api/v1/tasks/{}/graph", made["id"].as_str().unwrap());
    let drawn = house.ask("GET", &at, None, None).await.json["drawing"].clone();
    let x = |n: usize| drawn["nodes"][n]["x"].as_u64().unwrap();
    let ids: Vec<_> = drawn["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1.1", "1.2", "2"], "{drawn}");
    assert!(x(0) == x(1) && x(2) > x(0) + drawn["node_width"].as_u64().unwrap());
    assert_eq!(drawn["lines"].as_array().unwrap().len(), 2);
    let folded = house.ask("GET", &format!("{at}?fold=true"), None, None).await.json["drawing"].clone();
    assert_eq!(
        (folded["nodes"][0]["steps"]["total"].as_u64(), folded["lines"][0]["from"].as_str()),
        (Some(2), Some("1")),
        "{folded}"
    );
    assert_eq!(house.ask("GET", &format!("{at}?wrong=1"), None, None).await.status, 400);
}
