//! Traces and figures at a collector: a task is one trace, nothing is sent where none is named, and one that fails, hangs or lies does no
//! harm.

use super::house::{House, TOKEN};
use super::receiver::{Receiver, Then};
use crate::config::Otlp;
use crate::telemetry::{Options, Sent, Telemetry};
use ephor_core::constitution::Law;
use ephor_core::policy::Policy;
use ephor_core::time::WireDuration;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LAW: &str = r#"
constitution: A house
articles:
  - id: work
    title: Work
    rules:
      - {at: [action], when: 'action.name == "pay"', verdict: ESCALATE, message: somebody looks first}
"#;

/// Quick, to a collector on this machine.
fn to(port: u16) -> Options {
    let otlp = Otlp {
        endpoint: Some(format!("http://127.0.0.1:{port}/base/?key=secret")),
        metrics_interval: WireDuration { ms: 3_600_000 },
        timeout: WireDuration { ms: 500 },
        headers: vec![("api-key".into(), "k".into())],
        resource: vec![("deployment.environment".into(), "test".into())],
        ..Otlp::default()
    };
    Options {
        otlp,
        linger: Duration::from_millis(5),
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
        behind_max: 100_000,
    }
}

fn traces_alone(port: u16) -> Options {
    let mut options = to(port);
    options.otlp.metrics = false;
    options
}

fn house(options: &Options) -> (House, Telemetry) {
    let law = Some(Arc::new(Law::read(LAW).unwrap()));
    let house = House::observed(Policy { solo: true, law, ..Policy::default() }, Some(options.clone()));
    let telemetry = Telemetry::start(house.server.clone(), options.clone());
    (house, telemetry)
}

/// A span as it arrived, its attributes by name.
#[derive(Clone, Debug)]
struct Span {
    json: Value,
    said: BTreeMap<String, Value>,
}

impl Span {
    fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.text("name")
    }

    fn moments(&self) -> Vec<&str> {
        self.json["events"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect()
    }
}

fn attributes(of: &Value) -> BTreeMap<String, Value> {
    let one = |pair: &Value| {
        let (_, value) = pair["value"].as_object().unwrap().iter().next().unwrap();
        (pair["key"].as_str().unwrap().to_owned(), value.clone())
    };
    of.as_array().unwrap().iter().map(one).collect()
}

/// All spans a collector has got.
fn spans(receiver: &Receiver) -> Vec<Span> {
    let bodies = receiver.heard().into_iter().map(|heard| heard.json());
    let all = bodies.filter(|body| body.get("resourceSpans").is_some()).flat_map(|body| {
        let resource = attributes(&body["resourceSpans"][0]["resource"]["attributes"]);
        assert_eq!((&resource["service.name"], &resource["deployment.environment"]), (&json!("ephor"), &json!("test")));
        body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    });
    all.map(|json| Span { said: attributes(&json["attributes"]), json }).collect()
}

async fn post(house: &House, path: &str, body: Value) -> Value {
    let answer = house.ask("POST", &format!("/api/v1{path}"), Some(TOKEN), Some(body)).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.json);
    answer.json
}

async fn submit(house: &House, request: Value) -> String {
    post(house, "/tasks", request).await["id"].as_str().unwrap().to_owned()
}

async fn claim(house: &House, agent: &str) -> Value {
    let given = post(house, &format!("/agents/{agent}/work/claim"), json!({"max": 1, "wait": "0s"})).await;
    assert!(given[0]["id"].is_string(), "{given}");
    given[0].clone()
}

async fn report(house: &House, agent: &str, item: &Value, outcome: Value) {
    let wid = item["id"].as_str().unwrap();
    post(house, &format!("/work/{wid}/report"), json!({"agent_id": agent, "attempt": item["attempt"], "outcome": outcome})).await;
}

/// A task of one step is done.
async fn simple(house: &House, agent: &str) -> String {
    let task = submit(house, json!({"title": "a title", "action": "work"})).await;
    let item = claim(house, agent).await;
    report(house, agent, &item, json!({"SUCCEEDED": {"output": "an output"}})).await;
    task
}

/// The trace of a task: its id in hexadecimal.
fn trace_of(task: &str) -> String {
    let id: ephor_core::id::TaskId = task.parse().unwrap();
    format!("{:032x}", id.bits())
}

#[tokio::test]
async fn a_task_is_one_trace_across_server_and_agents() {
    let collector = Receiver::open(|_| Then::Answer(200)).await;
    let options = traces_alone(collector.port);
    let (house, telemetry) = house(&options);
    let said = json!({"name": "W", "external_id": "w", "capabilities": ["work", "pay"], "models": ["m-1"]});
    let agent = post(&house, "/agents", said).await["id"].as_str().unwrap().to_owned();
    let steps = json!([
        {"id": "draft", "action": "work", "model": "m-1", "retry_policy": {"max_attempts": 3, "initial": "10ms"}},
        {"id": "pay", "action": "pay", "acts": true, "depends_on": ["draft"], "params": {"amount": 3}},
    ]);
    let task = submit(&house, json!({"title": "a secret title", "task_type": "INVOICE", "plan": {"steps": steps}})).await;

    // The first attempt fails, the second says what its model took.
    let first = claim(&house, &agent).await;
    let failed = json!({"FAILED": {"class": "TIMEOUT", "message": "a secret message", "retryable": true}});
    report(&house, &agent, &first, failed).await;
    let second = loop {
        let given = post(&house, &format!("/agents/{agent}/work/claim"), json!({"max": 1, "wait": "5s"})).await;
        if given[0].is_object() {
            break given[0].clone();
        }
    };
    let metrics =
        json!({"input_tokens": 812, "gen_ai.usage.output_tokens": 95, "gen_ai.response.model": "m-1-2026", "speed": 3.5});
    let done = json!({"SUCCEEDED": {"output": "a secret output", "metrics": metrics, "usage": {"tokens": 907, "cost": 12}}});
    report(&house, &agent, &second, done).await;

    // The next takes a person's word, and acts on the outside.
    post(&house, &format!("/agents/{agent}/work/claim"), json!({"max": 1, "wait": "0s"})).await;
    let ann = house.key(json!({"name": "ann", "roles": ["approver"]})).await;
    let yes = json!({"step": "2", "approved": true, "reason": "a secret reason"});
    let answer = house.ask("POST", &format!("/api/v1/tasks/{task}/approve"), Some(&ann), Some(yes)).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    let third = claim(&house, &agent).await;
    let wid = third["id"].as_str().unwrap();
    let wish = json!({"agent_id": agent, "action": "pay", "args_digest": third["approved_args"]});
    let grant = post(&house, &format!("/work/{wid}/effects"), wish).await;
    let effect = grant["effect_id"].as_str().unwrap();
    post(&house, &format!("/work/{wid}/effects/{effect}/outcome"), json!({"agent_id": agent, "outcome": "DONE"})).await;
    report(&house, &agent, &third, json!({"SUCCEEDED": {"output": null}})).await;
    telemetry.finish().await;

    let all = spans(&collector);
    let names: BTreeSet<&str> = all.iter().map(Span::name).collect();
    assert_eq!(names, BTreeSet::from(["approval", "effect pay", "step pay", "step work", "task INVOICE"]), "{all:#?}");
    assert!(all.iter().all(|span| span.text("traceId") == trace_of(&task)), "one trace, named after the task");
    let ids: BTreeSet<&str> = all.iter().map(|span| span.text("spanId")).collect();
    assert_eq!(ids.len(), all.len(), "each span has a name of its own");
    let of = |name: &str| all.iter().find(|span| span.name() == name).unwrap();
    let root = of("task INVOICE");
    assert!(root.json.get("parentSpanId").is_none() && root.json["status"] == json!({}), "{root:#?}");
    assert_eq!((&root.said["ephor.task.id"], &root.said["ephor.task.status"]), (&json!(task), &json!("COMPLETED")));
    assert!(root.moments().contains(&"status"), "{root:#?}");
    for name in ["step work", "step pay", "approval"] {
        assert_eq!(of(name).text("parentSpanId"), root.text("spanId"), "{name}");
    }
    let pay = of("step pay");
    assert_eq!(of("effect pay").text("parentSpanId"), pay.text("spanId"), "an effect is part of the attempt it was granted for");
    assert_eq!(of("effect pay").said["ephor.outcome"], json!("DONE"));
    assert_eq!(of("approval").said["ephor.outcome"], json!("APPROVED"));

    // Each attempt is a span, and is the one its agent was told of with the work.
    let attempts: Vec<&Span> = all.iter().filter(|span| span.name().starts_with("step ")).collect();
    let told: Vec<String> = [&first, &second, &third].map(|item| item["traceparent"].as_str().unwrap().to_owned()).to_vec();
    let known: Vec<String> =
        attempts.iter().map(|span| format!("00-{}-{}-01", span.text("traceId"), span.text("spanId"))).collect();
    assert_eq!(known, told);
    let [failed, worked, _] = attempts[..] else { panic!("{attempts:#?}") };
    assert_eq!((&failed.json["status"]["code"], &failed.said["error.type"]), (&json!(2), &json!("TIMEOUT")));
    assert_eq!((&failed.said["ephor.attempt"], &worked.said["ephor.attempt"]), (&json!("1"), &json!("2")));
    for (name, value) in [
        ("gen_ai.operation.name", json!("invoke_agent")),
        ("gen_ai.request.model", json!("m-1")),
        ("gen_ai.response.model", json!("m-1-2026")),
        ("gen_ai.usage.input_tokens", json!("812")),
        ("gen_ai.usage.output_tokens", json!("95")),
        ("gen_ai.agent.id", json!(agent)),
        ("gen_ai.agent.name", json!("W")),
        ("ephor.usage.tokens", json!("907")),
        ("ephor.usage.cost_microdollars", json!("12")),
    ] {
        assert_eq!(worked.said.get(name), Some(&value), "{name}: {worked:#?}");
    }
    assert!(!worked.said.contains_key("speed") && !pay.said.contains_key("gen_ai.request.model"), "{worked:#?}");
    for span in &all {
        let (from, to): (u64, u64) =
            (span.text("startTimeUnixNano").parse().unwrap(), span.text("endTimeUnixNano").parse().unwrap());
        assert!(from <= to && from > 1_700_000_000_000_000_000, "{span:#?}");
    }
    let heard = collector.heard();
    assert!(heard.iter().all(|heard| !heard.body.contains("secret") && heard.headers["api-key"] == "k"), "{heard:?}");
    assert!(heard.iter().all(|heard| heard.path == "/base/v1/traces?key=secret"), "{heard:?}");
    let sent = house.server.sent().now();
    assert_eq!(sent, Sent { delivered: all.len() as u64, dropped: 0, skipped: 0 });
}

#[tokio::test]
async fn a_task_that_began_before_the_server_is_told_whole() {
    let collector = Receiver::open(|_| Then::Answer(200)).await;
    let options = traces_alone(collector.port);
    let house = House::observed(Policy::default(), Some(options.clone()));
    let agent = house.agent("w", None).await;
    let task = submit(&house, json!({"title": "x", "action": "work"})).await;
    let item = claim(&house, &agent).await;
    let telemetry = Telemetry::start(house.server.clone(), options);
    report(&house, &agent, &item, json!({"SUCCEEDED": {"output": null}})).await;
    telemetry.finish().await;
    let all = spans(&collector);
    assert_eq!(all.iter().map(Span::name).collect::<Vec<_>>(), ["step work", "task general"], "{all:#?}");
    assert!(all.iter().all(|span| span.text("traceId") == trace_of(&task)));
    assert_eq!(item["traceparent"].as_str().unwrap(), format!("00-{}-{}-01", trace_of(&task), all[0].text("spanId")));
    assert_eq!(all[0].said["ephor.outcome"], json!("SUCCEEDED"));
}

#[tokio::test]
async fn a_child_is_a_trace_of_its_own_that_leads_to_its_parent() {
    let collector = Receiver::open(|_| Then::Answer(200)).await;
    let (house, telemetry) = house(&traces_alone(collector.port));
    let parent = submit(&house, json!({"title": "x", "action": "nobody"})).await;
    let child = submit(&house, json!({"title": "y", "action": "work", "parent_task_id": parent})).await;
    post(&house, &format!("/tasks/{child}/cancel"), json!({"reason": "no longer needed"})).await;
    telemetry.finish().await;
    let all = spans(&collector);
    let root = all.iter().find(|span| span.text("traceId") == trace_of(&child)).unwrap();
    let link = &root.json["links"][0];
    assert_eq!((&link["traceId"], &attributes(&link["attributes"])["ephor.link"]), (&json!(trace_of(&parent)), &json!("parent")));
    assert_eq!(root.said["ephor.task.status"], json!("CANCELLED"));
}

#[tokio::test]
async fn the_figures_are_those_that_prometheus_reads() {
    let collector = Receiver::open(|_| Then::Say("{\"partialSuccess\": {}}")).await;
    let mut options = to(collector.port);
    options.otlp.traces = false;
    let (house, telemetry) = house(&options);
    let agent = house.agent("w", None).await;
    simple(&house, &agent).await;
    telemetry.finish().await;
    let heard = collector.until(1).await;
    assert_eq!((heard.len(), heard[0].path.as_str()), (1, "/base/v1/metrics?key=secret"));
    let body = heard[0].json();
    let metrics = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let names: BTreeSet<String> = metrics.iter().map(|metric| metric["name"].as_str().unwrap().to_owned()).collect();
    let text = house.ask("GET", "/metrics", Some(TOKEN), None).await.json;
    let types = text.as_str().unwrap().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exposed: BTreeSet<String> = types.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, exposed);
    let of = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap();
    let attempts = &of("ephor_attempts_total")["sum"];
    assert_eq!((&attempts["isMonotonic"], &attempts["aggregationTemporality"]), (&json!(true), &json!(2)));
    let worked = attempts["dataPoints"]
        .as_array()
        .unwrap()
        .iter()
        .find(|point| attributes(&point["attributes"])["outcome"] == json!("succeeded"));
    assert_eq!(worked.unwrap()["asInt"], json!("1"));
    let took = &of("ephor_task_duration_seconds")["histogram"]["dataPoints"][0];
    let (bounds, counts) = (took["explicitBounds"].as_array().unwrap(), took["bucketCounts"].as_array().unwrap());
    assert_eq!((counts.len(), &took["count"]), (bounds.len() + 1, &json!("1")), "{took}");
    assert_eq!(of("ephor_task_duration_seconds")["unit"], json!("s"));
    assert_eq!(of("ephor_leases")["gauge"]["dataPoints"][0]["asInt"], json!("0"));
    // Traces are off: agents are not told of any.
    submit(&house, json!({"title": "x", "action": "work"})).await;
    assert_eq!(claim(&house, &agent).await.get("traceparent"), None);
}

#[tokio::test]
async fn nothing_is_sent_and_nobody_is_told_of_a_trace_where_no_collector_is_named() {
    assert!(Options::of(&crate::config::Telemetry::default()).is_none());
    let house = House::observed(Policy::default(), None);
    let agent = house.agent("w", None).await;
    submit(&house, json!({"title": "x", "action": "work"})).await;
    let item = claim(&house, &agent).await;
    assert_eq!(item.get("traceparent"), None);
    report(&house, &agent, &item, json!({"SUCCEEDED": {"output": null}})).await;
    assert_eq!(house.server.sent().now(), Sent::default());
}

#[tokio::test]
async fn a_collector_that_fails_for_a_while_misses_nothing() {
    let collector = Receiver::open(|n| match n {
        0 => Then::Hang,
        1 => Then::Answer(503),
        2 => Then::Later(429),
        _ => Then::Answer(200),
    })
    .await;
    let (house, telemetry) = house(&traces_alone(collector.port));
    let agent = house.agent("w", None).await;
    let first = simple(&house, &agent).await;
    collector.until(4).await;
    let second = simple(&house, &agent).await;
    telemetry.finish().await;
    let heard = spans(&collector);
    for task in [first, second] {
        let roots = heard.iter().filter(|span| span.text("traceId") == trace_of(&task) && span.name() == "task general");
        assert!(roots.count() >= 1, "{task}");
    }
    assert_eq!(house.server.sent().now(), Sent { delivered: 4, dropped: 0, skipped: 0 });
}

#[tokio::test]
async fn what_a_collector_will_not_have_is_counted_and_not_said_again() {
    let collector = Receiver::open(|n| match n {
        0 => Then::Answer(400),
        1 => Then::Redirect("http://127.0.0.1:1/".into()),
        _ => Then::Say(r#"{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too old"}}"#),
    })
    .await;
    let (house, telemetry) = house(&traces_alone(collector.port));
    let agent = house.agent("w", None).await;
    for n in 1..=3 {
        simple(&house, &agent).await;
        collector.until(n).await;
        // What becomes of it is counted once the answer was read.
        let counted = || {
            let sent = house.server.sent().now();
            sent.delivered + sent.dropped
        };
        let (mut turns, wanted) = (0, 2 * n as u64);
        while counted() < wanted {
            turns += 1;
            assert!(turns < 10_000, "{n}: {:?}", house.server.sent().now());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    telemetry.finish().await;
    assert_eq!(house.server.sent().now(), Sent { delivered: 1, dropped: 5, skipped: 0 });
    let text = house.ask("GET", "/metrics", Some(TOKEN), None).await.json;
    for line in ["ephor_telemetry_spans_total{outcome=\"delivered\"} 1", "ephor_telemetry_spans_total{outcome=\"dropped\"} 5"] {
        assert!(text.as_str().unwrap().lines().any(|found| found == line), "{line}");
    }
}

#[tokio::test]
async fn one_that_is_away_too_long_is_given_up_on_and_hears_the_present_once_it_is_back() {
    let away = Arc::new(AtomicBool::new(true));
    let is_away = away.clone();
    let collector =
        Receiver::open(move |_| if is_away.load(Ordering::SeqCst) { Then::Answer(503) } else { Then::Answer(200) }).await;
    let options = Options { behind_max: 10, ..traces_alone(collector.port) };
    let (house, telemetry) = house(&options);
    let agent = house.agent("w", None).await;
    let lost = simple(&house, &agent).await;
    collector.until(1).await;
    // More than is waited with; it is noticed at the next try that fails.
    let mut turns = 0;
    while house.server.sent().now().skipped == 0 {
        turns += 1;
        assert!(turns < 1_000, "{:?}", house.server.sent().now());
        simple(&house, &agent).await;
    }
    let sent = house.server.sent().now();
    assert!(sent.dropped >= 2 && sent.delivered == 0, "{sent:?}");
    away.store(false, Ordering::SeqCst);
    let last = simple(&house, &agent).await;
    while spans(&collector).iter().all(|span| span.text("traceId") != trace_of(&last)) {
        turns += 1;
        assert!(turns < 20_000, "{:?}", house.server.sent().now());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    telemetry.finish().await;
    let taken = house.server.sent().now();
    assert!(taken.delivered >= 2, "{taken:?}");
    assert_ne!(lost, last);
}

#[tokio::test]
async fn one_that_hangs_or_never_stops_talking_holds_up_neither_work_nor_the_end() {
    for then in [Then::Hang, Then::Talk] {
        let collector = Receiver::open(move |_| then.clone()).await;
        let mut options = to(collector.port);
        options.otlp.timeout = WireDuration { ms: 60_000 };
        let (house, telemetry) = house(&options);
        let agent = house.agent("w", None).await;
        for _ in 0..20 {
            simple(&house, &agent).await;
        }
        collector.until(1).await;
        // It comes back although nobody answers: what is left is given up.
        tokio::time::timeout(Duration::from_secs(30), telemetry.finish()).await.expect("the end does not wait for a collector");
        simple(&house, &agent).await;
    }
}
