//! What it costs to look at a request before it is queued: what its words hold, and what the constitution says.

use super::now;
use ephor_core::command::Submission;
use ephor_core::constitution::Law;
use ephor_core::policy::Policy;
use ephor_core::request;
use ephor_core::spec::{PlanSpec, Request, StepSpec};
use ephor_core::time::Time;
use ephor_core::validation::{Unknown, validate};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How often each is done, for its median.
const TIMES: usize = 20_000;
/// How many rules the long constitutions have.
const RULES: usize = 100;

/// The median, in microseconds, over so many times; what is made before and thrown away behind is not counted.
fn median<T, U>(mut make: impl FnMut() -> T, mut look: impl FnMut(T) -> U) -> f64 {
    let mut nanoseconds: Vec<u128> = (0..TIMES)
        .map(|_| {
            let made = make();
            let began = now();
            let found = look(made);
            let took = began.elapsed().as_nanos();
            drop(found);
            took
        })
        .collect();
    nanoseconds.sort_unstable();
    nanoseconds[TIMES / 2] as f64 / 1e3
}

/// Requests of about 300 bytes of JSON.
fn requests() -> [(&'static str, Request); 3] {
    let prose = "Read the minutes of the last board meeting, list every decision with its owner and its date, and write a page that \
                 somebody who was not there can act on by Friday.";
    let one = Request {
        title: Some("Decisions of the board".into()),
        description: Some(prose.into()),
        action: Some("noop".into()),
        payload: json!({"meeting": "2026-03-11", "language": "en", "tenant": "acme"}),
        ..Request::default()
    };
    let step = |action: &str, title: &str, acts: bool, params: Value| StepSpec {
        action: Some(action.into()),
        title: Some(title.into()),
        params: params.as_object().cloned().unwrap_or_else(Map::new),
        acts,
        ..StepSpec::default()
    };
    let steps = vec![
        step("read", "Read the minutes", false, json!({"path": "minutes/2026-03-11.md"})),
        step("files.write", "Write the page", false, json!({"path": "out/decisions.md", "text": "to come"})),
        step("email.send", "Send it", true, json!({"to": ["board@example.org"], "subject": "Decisions"})),
    ];
    let planned = Request {
        title: Some("Decisions of the board".into()),
        plan: Some(PlanSpec { steps, sequential: true, ..PlanSpec::default() }),
        ..Request::default()
    };
    [("data in the payload", super::request(1)), ("prose", one), ("three steps that write and send", planned)]
}

/// A constitution of many rules. Those found by a word are about other kinds of work; the others have to be asked each time.
fn long(found_by_a_word: bool) -> Arc<Law> {
    let rules: Vec<Value> = (0..RULES)
        .map(|n| {
            let when = match (found_by_a_word, n % 4) {
                (true, _) => format!("task.task_type == \"kind_{n}\" && task.priority != \"LOW\""),
                (false, 0) => format!("task.title.contains(\"forbidden {n}\")"),
                (false, 1) => format!("size(task.requirements) > {}", n + 10),
                (false, 2) => format!("has(task.payload.amount) && task.payload.amount > {n}000"),
                (false, _) => format!("plan.size > {}", n + 50),
            };
            let at = if when.contains("plan.") { "plan" } else { "admission" };
            json!({"at": [at], "when": when, "verdict": "ESCALATE", "message": format!("rule {n}")})
        })
        .collect();
    let article = json!({"id": "many", "title": "Many", "text": "Many rules.", "rules": rules});
    let text = json!({"constitution": "long", "articles": [article]}).to_string();
    Arc::new(Law::read(&text).expect("a document in order"))
}

fn checked(request: &Request, policy: &Policy) -> Submission {
    request::check(request, Time(0), policy).expect("a request in order")
}

/// (j)
pub(crate) fn looks() {
    let shipped = Policy::default();
    let without = Policy { law: None, ..Policy::default() };
    let law = Law::shipped();
    let laws = [("100 rules found by a word", long(true)), ("100 rules asked each time", long(false))];
    for (name, request) in requests() {
        let bytes = serde_json::to_vec(&request).expect("a request is plain data").len();
        let submission = checked(&request, &without);
        let words = median(|| (), |()| validate(&request, submission.facts.plan.as_ref(), &shipped, &Unknown));
        let bind = |law: &Law| median(|| submission.clone(), |mut it| (law.bind(&mut it, Time(0)), it));
        let all = median(|| (), |()| checked(&request, &shipped));
        let asked = bind(&law);
        println!(
            "(j) {name}, {bytes} bytes: validation {words:.1} µs, shipped constitution {asked:.1} µs, together {:.1} µs; the whole check {all:.1} µs",
            words + asked
        );
        for (which, law) in &laws {
            println!("(j) {name}: {which} {:.1} µs", bind(law));
        }
    }
}
