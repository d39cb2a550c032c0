//! Requests made from the OpenAPI document: for every operation that stands in it, bodies and parameters after its schemas, whole and
//! broken, with ids that exist and ids that do not. Whatever comes back has to stand in the document too, and nothing may break.
//!
//! The same seed makes the same requests. `EPHOR_GENERATED` says how many rounds there are.

use super::super::documented;
use super::desk::{Desk, TOKEN};
use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many times every operation is asked.
const ROUNDS: usize = 12;

/// Numbers that look random, and are the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Makes values after schemas.
struct Maker<'a> {
    document: &'a Value,
    chance: &'a mut Chance,
    /// Ids that exist, by the beginning they have.
    ids: &'a BTreeMap<&'static str, Vec<String>>,
}

impl Maker<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        // Now and then something else than was asked for.
        if self.chance.one_in(25) {
            return self.nonsense();
        }
        if let Some(name) = schema["$ref"].as_str() {
            let found = self.document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is nowhere"));
            return self.value(&found.clone(), depth + 1);
        }
        if depth > 24 {
            return Value::Null;
        }
        for several in ["oneOf", "anyOf"] {
            if let Some(variants) = schema[several].as_array() {
                let variant = self.chance.pick(variants).clone();
                return self.value(&variant, depth + 1);
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in all.clone() {
                if let Value::Object(fields) = self.value(&part, depth + 1) {
                    whole.extend(fields);
                }
            }
            return Value::Object(whole);
        }
        if let Some(words) = schema["enum"].as_array() {
            return self.chance.pick(words).clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => self.chance.pick(kinds).as_str().unwrap_or("null").to_owned(),
            kind => kind.as_str().unwrap_or("object").to_owned(),
        };
        match kind.as_str() {
            "string" => self.text(schema),
            "integer" => json!(self.chance.below(12)),
            "number" => json!(self.chance.below(100) as f64 / 100.0),
            "boolean" => json!(self.chance.one_in(2)),
            "array" => {
                let n = if depth > 12 { 0 } else { self.chance.below(3) };
                (0..n).map(|_| self.value(&schema["items"], depth + 1)).collect()
            }
            "null" => Value::Null,
            _ => self.object(schema, depth),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut fields = Map::new();
        for (name, form) in schema["properties"].as_object().into_iter().flatten() {
            let wanted = if required.contains(&name.as_str()) { !self.chance.one_in(30) } else { self.chance.one_in(4) };
            if wanted && (depth < 12 || required.contains(&name.as_str())) {
                fields.insert(name.clone(), self.value(form, depth + 1));
            }
        }
        if self.chance.one_in(40) {
            fields.insert("unheard_of".into(), json!(1));
        }
        Value::Object(fields)
    }

    fn text(&mut self, schema: &Value) -> Value {
        let example = schema["examples"][0].as_str().unwrap_or_default();
        if let Some((_, known)) = self.ids.iter().find(|(beginning, _)| example.starts_with(**beginning))
            && !self.chance.one_in(4)
        {
            return json!(self.chance.pick(known));
        }
        if schema["format"] == "date-time" {
            return json!(self.chance.pick(&["2026-01-31T12:00:00Z", "2099-12-31T00:00:00Z", "1970-01-01T00:00:00Z"]));
        }
        match example {
            "" => json!(self.chance.pick(&["a", "x y", "work", "ünï", "", "1", "step:1", "task", "0"])),
            example => json!(example),
        }
    }

    fn nonsense(&mut self) -> Value {
        let some =
            [json!(null), json!(-1), json!(1e18), json!("\u{0}"), json!([]), json!({}), json!(true), json!("💥"), json!([[{}]])];
        self.chance.pick(&some).clone()
    }

    /// A parameter as text.
    fn parameter(&mut self, name: &str, schema: &Value) -> String {
        let known = |maker: &mut Self, kind: &str| maker.ids.get(kind).map(|ids| maker.chance.pick(ids).clone());
        let id = match name {
            "id" | "task" | "task_id" | "parent" if !self.chance.one_in(5) => known(self, "task_"),
            "agent" | "agent_id" if !self.chance.one_in(5) => known(self, "agent_"),
            _ => None,
        };
        match id.map_or_else(|| self.value(schema, 0), Value::String) {
            Value::String(text) => text,
            Value::Null => "x".into(),
            other => other.to_string(),
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The ids of some tasks and agents in various states.
async fn ids(desk: &Desk) -> BTreeMap<&'static str, Vec<String>> {
    let mut tasks = Vec::new();
    for n in 0..6 {
        let task = desk.submit(&json!({"title": format!("t{n}"), "external_id": format!("e{n}"), "max_retries": 0})).await;
        tasks.push(task.rsplit('/').next().unwrap().to_owned());
    }
    let agent = desk.agent(&["work"]).await;
    let item = desk.claim(agent).await;
    desk.done(agent, &item, Default::default()).await;
    desk.claim(agent).await;
    BTreeMap::from([("task_", tasks), ("agent_", vec![agent.to_string()])])
}

/// How long an answer may take that nobody asked to wait for.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_generated_requests_as_the_document_says() {
    let rounds = std::env::var("EPHOR_GENERATED").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let (_, document) = documented().split_for_parts();
    let document = serde_json::to_value(document).unwrap();
    let desk = Desk::open();
    let ids = ids(&desk).await;
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
    for round in 0..rounds {
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let (request, shown) = made(&document, &ids, &mut chance, path, method, operation, round);
                let response = tokio::time::timeout(PATIENCE, desk.begin(request)).await;
                let response = response.unwrap_or_else(|_| panic!("no answer: {shown}"));
                let status = response.status().as_u16();
                *seen.entry(status).or_default() += 1;
                // That a stream begins is enough of it.
                let streams = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
                let mut body = response.into_body().into_data_stream();
                let first = match streams {
                    true => None,
                    false => tokio::time::timeout(PATIENCE, body.next()).await.ok().flatten(),
                };
                let first = first.and_then(Result::ok).unwrap_or_default();
                let told = String::from_utf8_lossy(&first[..first.len().min(600)]).into_owned();
                assert!(operation["responses"].get(status.to_string()).is_some(), "undocumented {status}: {shown}: {told}");
                assert!(status < 500, "{status}: {shown}: {told}");
            }
        }
    }
    // Requests that all fail would prove nothing.
    assert!(seen.get(&200).copied().unwrap_or_default() > rounds, "{seen:?}");
    assert!(seen.keys().any(|status| (400..500).contains(status)), "{seen:?}");
}

/// A request for an operation, and how it reads.
fn made(
    document: &Value,
    ids: &BTreeMap<&'static str, Vec<String>>,
    chance: &mut Chance,
    path: &str,
    method: &str,
    operation: &Value,
    round: usize,
) -> (Request<Body>, String) {
    let mut maker = Maker { document, chance, ids };
    let (mut at, mut query, mut headers) = (path.to_owned(), Vec::new(), Vec::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let required = parameter["required"].as_bool().unwrap_or_default();
        match parameter["in"].as_str().unwrap() {
            "path" => {
                let value = maker.parameter(name, &parameter["schema"]);
                let value = if value.is_empty() { "x".into() } else { value };
                at = at.replace(&format!("{{{name}}}"), &encoded(&value));
            }
            "query" if required || maker.chance.one_in(4) => {
                // Nobody waits here.
                let value = if name == "wait" { "0s".into() } else { maker.parameter(name, &parameter["schema"]) };
                query.push(format!("{name}={}", encoded(&value)));
            }
            "header" if maker.chance.one_in(6) => {
                let value: String = maker.parameter(name, &parameter["schema"]).chars().filter(char::is_ascii_graphic).collect();
                headers.push((name.to_owned(), value));
            }
            _ => {}
        }
    }
    if maker.chance.one_in(20) {
        query.push("unheard=of".into());
    }
    if !query.is_empty() {
        at = format!("{at}?{}", query.join("&"));
    }
    let mut body = String::new();
    if let Some((kind, content)) = operation["requestBody"]["content"].as_object().and_then(|c| c.iter().next()) {
        headers.push(("content-type".into(), kind.clone()));
        let mut value = maker.value(&content["schema"], 0);
        if let Some(fields) = value.as_object_mut()
            && fields.contains_key("wait")
        {
            fields.insert("wait".into(), json!("0s"));
        }
        body = value.to_string();
    }
    if operation["responses"]["200"]["content"]["text/event-stream"].is_object() && maker.chance.one_in(3) {
        headers.push(("accept".into(), "text/event-stream".into()));
    }
    // Every other round as the operator, so that what takes a decision is reached too.
    if round.is_multiple_of(2) {
        headers.push(("authorization".into(), format!("Bearer {TOKEN}")));
    }
    let shown = format!("{} {at} {body}", method.to_uppercase());
    let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(&at).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    (request.body(Body::from(body)).unwrap(), shown)
}
