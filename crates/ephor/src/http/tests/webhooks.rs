//! Webhooks: who hears what, who cannot be harmed by whom, and that nobody misses anything.

use super::house::{House, TOKEN};
use super::receiver::{Heard, Receiver, Then};
use crate::webhooks::{HookOptions, Webhooks};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const HOOKS: &str = "/api/v1/webhooks";

/// Quick, and allowed to tell receivers on this machine.
fn quick() -> HookOptions {
    HookOptions {
        allow_private: true,
        timeout: Duration::from_millis(500),
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(50),
        ..HookOptions::default()
    }
}

async fn ask(house: &House, method: &str, path: &str, body: Option<Value>) -> Value {
    let answer = house.ask(method, &format!("{HOOKS}{path}"), Some(TOKEN), body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.json);
    answer.json
}

/// Has a receiver told; answers its path and its secret.
async fn hook(house: &House, receiver: &Receiver, more: Value) -> (String, String) {
    let mut wish = json!({"name": format!("r{}", receiver.port), "url": receiver.url()});
    wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = ask(house, "POST", "", Some(wish)).await;
    (format!("/{}", made["id"].as_str().unwrap()), made["secret"].as_str().unwrap().to_owned())
}

/// A task that was cancelled: its id.
async fn cancelled(house: &House, namespace: &str, task_type: &str) -> String {
    let made = json!({"title": "<b>x</b>", "action": "work", "namespace": namespace, "task_type": task_type});
    let made = house.ask("POST", "/api/v1/tasks", Some(TOKEN), Some(made)).await;
    let id = made.json["id"].as_str().unwrap().to_owned();
    let reason = json!({"reason": "a secret reason"});
    assert_eq!(house.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), Some(TOKEN), Some(reason)).await.status, 200);
    id
}

fn on_cancel() -> Value {
    json!({"events": ["task.cancelled"]})
}

/// HMAC-SHA-256 as RFC 2104 writes it down, to compare with.
fn signed(secret: &str, heard: &Heard) -> String {
    let mut key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    key.resize(64, 0);
    let text = format!("{}.{}.{}", heard.id(), heard.headers["webhook-timestamp"], heard.body);
    let padded = |with: u8| key.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([padded(0x36), text.into_bytes()].concat());
    format!("v1,{}", STANDARD.encode(Sha256::digest([padded(0x5c), inner.to_vec()].concat())))
}

#[tokio::test]
async fn a_message_says_what_happened_and_who_said_it() {
    let house = House::hooked(quick());
    let receiver = Receiver::open(|_| Then::Answer(200)).await;
    let (path, secret) = hook(&house, &receiver, on_cancel()).await;
    let task = cancelled(&house, "default", "INVOICE").await;
    let heard = receiver.until(1).await.remove(0);
    let said = heard.json();
    assert_eq!((&said["type"], &said["data"]["task_id"]), (&json!("task.cancelled"), &json!(task)), "{said}");
    assert_eq!((&said["data"]["title"], &said["data"]["task_type"]), (&json!("<b>x</b>"), &json!("INVOICE")));
    assert!(!heard.body.contains("a secret reason"), "{}", heard.body);
    assert_eq!(heard.headers["webhook-signature"], signed(&secret, &heard));
    assert_eq!(heard.headers["content-type"], "application/json");
    let at: i64 = heard.headers["webhook-timestamp"].parse().unwrap();
    assert!((at - house.server.engine().now().0 / 1_000).abs() < 300, "seconds: {at}");

    // The secret was shown once; what could be one in the address is shown to nobody.
    let all = [ask(&house, "GET", "", None).await, ask(&house, "GET", &path, None).await].map(|json| json.to_string()).concat();
    assert!(!all.contains(&secret) && !all.contains("token=abc") && all.contains("/hook"), "{all}");
    let events = house.server.engine().reader().events(0, 1_000, None).unwrap();
    assert!(events.iter().all(|event| !event.data.contains("whsec_")));
}

#[tokio::test]
async fn a_cloud_event_has_what_the_standard_asks_for() {
    let house = House::hooked(quick());
    let receiver = Receiver::open(|_| Then::Answer(204)).await;
    let (_, secret) = hook(&house, &receiver, json!({"events": ["task.cancelled"], "format": "cloudevents"})).await;
    let task = cancelled(&house, "default", "T").await;
    let heard = receiver.until(1).await.remove(0);
    let said = heard.json();
    assert_eq!((&said["specversion"], &said["type"]), (&json!("1.0"), &json!("ephor.task.cancelled")), "{said}");
    assert_eq!((&said["id"], &said["subject"], &said["source"]), (&json!(heard.id()), &json!(task), &json!("/ephor")));
    assert_eq!(heard.headers["content-type"], "application/cloudevents+json");
    assert_eq!(heard.headers["webhook-signature"], signed(&secret, &heard));
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let house = House::hooked(quick());
    let receiver = Receiver::open(|_| Then::Answer(200)).await;
    hook(&house, &receiver, json!({"events": ["task.cancelled"], "task_types": ["A"], "namespace": "one"})).await;
    for (namespace, task_type) in [("one", "B"), ("two", "A"), ("one", "A")] {
        cancelled(&house, namespace, task_type).await;
    }
    let said = receiver.until(1).await;
    // Events are told in order, so what is first is all there was before it.
    assert_eq!((&said[0].json()["data"]["namespace"], &said[0].json()["data"]["task_type"]), (&json!("one"), &json!("A")));
}

#[tokio::test]
async fn what_did_not_arrive_is_tried_again_under_the_same_id_and_in_order() {
    let house = House::hooked(quick());
    let receiver = Receiver::open(|n| if n < 3 { Then::Answer(500) } else { Then::Answer(200) }).await;
    let (path, _) = hook(&house, &receiver, on_cancel()).await;
    let (first, second) = (cancelled(&house, "default", "T").await, cancelled(&house, "default", "T").await);
    let heard = receiver.until(5).await;
    let tasks: Vec<Value> = heard.iter().map(|heard| heard.json()["data"]["task_id"].clone()).collect();
    assert_eq!(tasks, [json!(first), json!(first), json!(first), json!(first), json!(second)]);
    assert!(heard[..4].iter().all(|other| other.id() == heard[0].id()) && heard[4].id() != heard[0].id());
    let tries = until(&house, &format!("{path}/deliveries"), |tries| tries.as_array().is_some_and(|all| all.len() == 5)).await;
    let told: Vec<_> = tries.as_array().unwrap().iter().map(|one| (one["attempt"].clone(), one["delivered"].clone())).collect();
    let wanted = [(1, true), (4, true), (3, false), (2, false), (1, false)];
    assert_eq!(told, wanted.map(|(attempt, arrived)| (json!(attempt), json!(arrived))), "the newest first");
    assert_eq!(tries[4]["status"], 500);
    until(&house, &path, |one| one["state"] == "ACTIVE" && one["failing_since"].is_null()).await;
}

/// Asks until it is so.
async fn until(house: &House, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let told = ask(house, "GET", path, None).await;
            if is(&told) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), wait).await {
        Ok(told) => told,
        Err(_) => panic!("{path} never came to that: {}", ask(house, "GET", path, None).await),
    }
}

#[tokio::test]
async fn one_that_hangs_holds_up_nobody_else() {
    let house = House::hooked(quick());
    let hangs = Receiver::open(|_| Then::Hang).await;
    let quick = Receiver::open(|_| Then::Answer(200)).await;
    let (path, _) = hook(&house, &hangs, on_cancel()).await;
    hook(&house, &quick, on_cancel()).await;
    for _ in 0..20 {
        cancelled(&house, "default", "T").await;
    }
    quick.until(20).await;
    let first = hangs.until(2).await;
    assert_eq!(first[0].id(), first[1].id(), "it never hears the second before the first has arrived");
    let told = until(&house, &path, |one| one["state"] == "FAILING").await;
    assert!(told["why"].as_str().unwrap().contains("in time") && told["next_try_at"].is_string(), "{told}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_an_answer_without_end_is_cut() {
    let house = House::hooked(quick());
    let inside = Receiver::open(|_| Then::Answer(200)).await;
    let to = inside.url();
    let leads = Receiver::open(move |_| Then::Redirect(to.clone())).await;
    let talks = Receiver::open(|_| Then::Talk).await;
    let (path, _) = hook(&house, &leads, on_cancel()).await;
    let (other, _) = hook(&house, &talks, on_cancel()).await;
    let told = ask(&house, "POST", &format!("{path}/test"), None).await;
    assert_eq!((&told["delivered"], &told["status"]), (&json!(false), &json!(302)), "{told}");
    assert!(told["error"].as_str().unwrap().contains("redirects"), "{told}");
    assert!(inside.heard().is_empty());
    let told = ask(&house, "POST", &format!("{other}/test"), None).await;
    assert_eq!((&told["delivered"], &told["event"]), (&json!(true), &json!("webhook.test")), "{told}");
}

#[tokio::test]
async fn no_private_address_is_told_unless_the_house_allows_it() {
    let house = House::hooked(HookOptions { allow_private: false, ..quick() });
    let inside = Receiver::open(|_| Then::Answer(200)).await;
    for url in [
        inside.url(),
        format!("http://[::1]:{}/", inside.port),
        format!("http://2130706433:{}/", inside.port),
        "http://169.254.169.254/latest/meta-data".into(),
        "http://ann:secret@example.org/".into(),
        "file:///etc/passwd".into(),
        "nonsense".into(),
    ] {
        let refused = house.ask("POST", HOOKS, Some(TOKEN), Some(json!({"name": "x", "url": url}))).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json["errors"][0]["field"]),
            (400, &json!("url")),
            "{url}: {}",
            refused.json
        );
        assert!(!refused.json.to_string().contains("secret@"), "{}", refused.json);
    }
    // A name says what it is only when it is looked up.
    let made = ask(&house, "POST", "", Some(json!({"name": "x", "url": format!("http://localhost:{}/", inside.port)}))).await;
    let told = ask(&house, "POST", &format!("/{}/test", made["id"].as_str().unwrap()), None).await;
    assert!(told["error"].as_str().unwrap().contains("private"), "{told}");
    assert!(inside.heard().is_empty());
}

#[tokio::test]
async fn one_that_fails_for_long_or_is_gone_is_switched_off_and_misses_nothing_once_it_is_resumed() {
    for (options, status, why) in
        [(HookOptions { off_after: Duration::ZERO, ..quick() }, 503, "nothing has arrived since"), (quick(), 410, "410")]
    {
        let house = House::hooked(options);
        let receiver = Receiver::open(move |n| Then::Answer(if n == 0 { status } else { 200 })).await;
        let (path, _) = hook(&house, &receiver, on_cancel()).await;
        let first = cancelled(&house, "default", "T").await;
        let told = until(&house, &path, |one| one["state"] == "OFF").await;
        assert!(told["why"].as_str().unwrap().contains(why), "{told}");
        let second = cancelled(&house, "default", "T").await;
        let resumed = ask(&house, "POST", &format!("{path}/resume"), None).await;
        assert_eq!((&resumed["state"], &resumed["why"]), (&json!("ACTIVE"), &Value::Null), "{resumed}");
        let heard = receiver.until(3).await;
        let tasks: Vec<Value> = heard.iter().map(|heard| heard.json()["data"]["task_id"].clone()).collect();
        assert_eq!(tasks, [json!(first), json!(first), json!(second)]);
    }
}

#[tokio::test]
async fn a_message_its_receiver_will_not_have_is_left_out_in_the_end() {
    let house = House::hooked(quick());
    let receiver = Receiver::open(|n| if n < 5 { Then::Answer(400) } else { Then::Answer(200) }).await;
    let (path, _) = hook(&house, &receiver, on_cancel()).await;
    let (refused, next) = (cancelled(&house, "default", "T").await, cancelled(&house, "default", "T").await);
    let heard = receiver.until(6).await;
    assert_eq!(heard[5].json()["data"]["task_id"], json!(next));
    // It is still in the log, and sent again by hand.
    let tries = until(&house, &format!("{path}/deliveries?limit=500"), |tries| tries.as_array().unwrap().len() == 6).await;
    let number = tries[5]["id"].as_u64().unwrap();
    let again = ask(&house, "POST", &format!("{path}/deliveries/{number}/redeliver"), None).await;
    assert_eq!(
        (&again["delivered"], &again["task_id"], &again["message_id"]),
        (&json!(true), &json!(refused), &tries[5]["message_id"])
    );
    assert_eq!(receiver.until(7).await[6].body, heard[0].body);
    let unknown = house.ask("POST", &format!("{HOOKS}{path}/deliveries/9999/redeliver"), Some(TOKEN), None).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn what_happens_during_a_pause_is_told_afterwards_and_nothing_after_the_end() {
    let house = House::hooked(quick());
    let receiver = Receiver::open(|_| Then::Answer(200)).await;
    let (path, _) = hook(&house, &receiver, on_cancel()).await;
    assert_eq!(ask(&house, "POST", &format!("{path}/pause"), None).await["state"], "PAUSED");
    let task = cancelled(&house, "default", "T").await;
    let waits = ask(&house, "GET", &path, None).await;
    assert!(waits["behind"].as_u64().unwrap() > 0 && receiver.heard().is_empty(), "{waits}");
    ask(&house, "POST", &format!("{path}/resume"), None).await;
    assert_eq!(receiver.until(1).await[0].json()["data"]["task_id"], json!(task));
    ask(&house, "DELETE", &path, None).await;
    assert_eq!(house.ask("GET", &format!("{HOOKS}{path}"), Some(TOKEN), None).await.status, 404);
    assert_eq!(ask(&house, "GET", "", None).await, json!([]));
}

#[tokio::test]
async fn nothing_is_missed_and_nothing_comes_out_of_order_when_the_server_starts_anew() {
    let house = House::hooked(quick());
    // Every third try fails.
    let receiver = Receiver::open(|n| if n % 3 == 1 { Then::Answer(503) } else { Then::Answer(200) }).await;
    let (_, secret) = hook(&house, &receiver, json!({"events": ["task.cancelled", "task.blocked", "task.escalated"]})).await;
    let mut wanted = BTreeSet::new();
    let mut hooks = house.server.webhooks().clone();
    for round in 0..4 {
        for _ in 0..5 {
            wanted.insert(cancelled(&house, "default", "T").await);
        }
        receiver.until(round * 5 + 1).await;
        // Cut off in the middle, and another begins where the first one has kept its place.
        hooks.stop();
        hooks = Arc::new(Webhooks::new(house.server.engine().clone(), quick()));
        hooks.start().await.unwrap();
    }
    let mut count = 0;
    loop {
        let heard = receiver.until(count).await;
        let told: BTreeSet<String> = heard.iter().map(|one| one.json()["data"]["task_id"].as_str().unwrap().to_owned()).collect();
        if told == wanted {
            break;
        }
        count = heard.len() + 1;
    }
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut highest = 0;
    for heard in receiver.heard() {
        assert_eq!(heard.headers["webhook-signature"], signed(&secret, &heard));
        let said = heard.json();
        let (task, position) = (said["data"]["task_id"].as_str().unwrap().to_owned(), said["data"]["position"].as_u64().unwrap());
        let before = last.insert(task, position).unwrap_or(0);
        assert!(position >= before, "of one task nothing comes before what was before it");
        // One may hear again what was not kept as told, and nothing beyond that.
        highest = highest.max(position);
    }
    hooks.stop();
}

#[tokio::test]
async fn webhooks_are_for_those_who_may_everything_within_what_they_reach() {
    let house = House::hooked(quick());
    let receiver = Receiver::open(|_| Then::Answer(200)).await;
    let (path, _) = hook(&house, &receiver, json!({"namespace": "b"})).await;
    let admin = house.key(json!({"name": "a", "roles": ["admin"], "namespace": "a"})).await;
    let operator = house.key(json!({"name": "o", "roles": ["operator", "approver"]})).await;
    let wish = json!({"name": "mine", "url": receiver.url()});
    assert_eq!(house.ask("POST", HOOKS, Some(&operator), Some(wish.clone())).await.status, 403);
    assert_eq!(house.ask("POST", HOOKS, None, Some(wish.clone())).await.status, 401, "not even on this machine");
    let made = house.ask("POST", HOOKS, Some(&admin), Some(wish)).await;
    assert_eq!((made.status.as_u16(), &made.json["namespace"]), (201, &json!("a")), "{}", made.json);
    let all = house.ask("GET", HOOKS, Some(&admin), None).await.json;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["name"]), (1, &json!("mine")), "{all}");
    for (method, path) in
        [("GET", path.clone()), ("DELETE", path.clone()), ("POST", format!("{path}/test")), ("GET", format!("{path}/deliveries"))]
    {
        assert_eq!(house.ask(method, &format!("{HOOKS}{path}"), Some(&admin), None).await.status, 404, "{method} {path}");
    }
    for wrong in [
        json!({"name": "mine", "url": receiver.url()}),
        json!({"name": "a b", "url": receiver.url()}),
        json!({"name": "c", "url": receiver.url(), "events": ["webhook.test"]}),
        json!({"name": "c", "url": receiver.url(), "events": ["task.exploded"]}),
        json!({"name": "c", "url": receiver.url(), "task_types": ["a b"]}),
    ] {
        let refused = house.ask("POST", HOOKS, Some(TOKEN), Some(wrong.clone())).await;
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.json);
    }
}
