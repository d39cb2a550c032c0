//! Events as lines: one for each change of state, with the status word, where nobody watches a terminal and in lists of events.

use super::text::{duration, inert};
use ephor_core::event::ActorKind;
use ephor_core::spec::ErrorClass;
use ephor_core::time::Time;
use ephor_core::view::{EventView, StepView};
use std::collections::HashMap;

/// The names of steps, and when their attempts began: what a line says beyond its event.
#[derive(Debug, Default)]
pub(super) struct Names {
    labels: HashMap<String, String>,
    begun: HashMap<String, Time>,
}

impl Names {
    /// Learns what steps are called.
    pub(super) fn learn(&mut self, steps: &[StepView]) {
        for step in steps {
            self.labels.insert(step.path.clone(), step.label().to_owned());
        }
    }

    fn of(&self, path: &str) -> String {
        match self.labels.get(path) {
            Some(label) if label != path => format!("{path} {label}"),
            _ => path.to_owned(),
        }
    }

    /// The line of an event that changes where a step or the task is; `None` for any other.
    pub(super) fn line(&mut self, event: &EventView) -> Option<String> {
        let step = event.step();
        if let (Some(path), "ASSIGNED" | "STARTED" | "WAIT_STARTED") = (&step, event.kind.as_str()) {
            self.begun.insert(path.clone(), event.at.0);
        }
        let (word, said) = state(event)?;
        let took = step.as_ref().and_then(|path| self.begun.get(path)).map(|from| duration(event.at.0.since(*from)));
        // What is said about the task names a step in its words.
        let step = step.filter(|_| event.kind != "TASK_ATTEMPT_FAILED");
        let subject = step.map_or_else(|| "task".to_owned(), |path| self.of(&path));
        let took = took.filter(|_| matches!(event.kind.as_str(), "ATTEMPT_SUCCEEDED" | "WAIT_ENDED")).map(|t| format!("in {t}"));
        let said: Vec<String> = took.into_iter().chain(said).collect();
        let said = if said.is_empty() { String::new() } else { format!("  {}", said.join(", ")) };
        Some(inert(&format!("{} {word:<11} {subject}{said}", clock(event.at.0))))
    }
}

/// The time of day in UTC.
pub(super) fn clock(at: Time) -> String {
    let text = at.to_string();
    text.get(11..19).map_or(text.clone(), ToOwned::to_owned)
}

/// What an attempt is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Step,
    Undo,
    Gate,
    Plan,
    Analysis,
}

impl Work {
    /// As the event says; a step where it names no work.
    fn of(event: &EventView) -> Self {
        match event.text("work").map(|work| work.split_once(':').map_or(work, |(kind, _)| kind)) {
            Some("undo") => Self::Undo,
            Some("gate") => Self::Gate,
            Some("plan") => Self::Plan,
            Some("analysis") => Self::Analysis,
            Some(_) | None => Self::Step,
        }
    }

    /// The word for its beginning.
    fn begun(self) -> &'static str {
        match self {
            Self::Step => "RUNNING",
            Self::Undo => "UNDOING",
            Self::Gate => "CHECKING",
            Self::Plan => "PLANNING",
            Self::Analysis => "ANALYSING",
        }
    }

    /// The word for its good end.
    fn done(self) -> &'static str {
        match self {
            Self::Step => "COMPLETED",
            Self::Undo => "UNDONE",
            Self::Gate => "CHECKED",
            Self::Plan => "PLANNED",
            Self::Analysis => "ANALYSED",
        }
    }

    /// What it is called where it went wrong; a step is named already.
    fn named(self) -> &'static str {
        match self {
            Self::Step => "",
            Self::Undo => "undoing it: ",
            Self::Gate => "checking it: ",
            Self::Plan => "planning it: ",
            Self::Analysis => "analysing it: ",
        }
    }
}

/// What an event says about where a step or the task is: the word, and more.
fn state(event: &EventView) -> Option<(String, Option<String>)> {
    let words = || event.words().map(ToOwned::to_owned);
    let field = |name: &str| event.text(name).map(ToOwned::to_owned);
    let attempt =
        || event.data.get("attempt").and_then(serde_json::Value::as_u64).filter(|n| *n > 1).map(|n| format!("attempt {n}"));
    let work = Work::of(event);
    let of_step = work == Work::Step;
    let say = |word: &str, said: Option<String>| Some((word.to_owned(), said));
    match event.kind.as_str() {
        "ASSIGNED" if of_step && event.data.get("started") != Some(&true.into()) => say("ASSIGNED", attempt()),
        "ASSIGNED" | "STARTED" => say(work.begun(), attempt()),
        "WAIT_STARTED" => match (field("signal"), event.data.get("until").and_then(serde_json::Value::as_i64)) {
            (Some(signal), _) => say("WAITING", Some(format!("for the signal {signal}"))),
            (None, until) => say("WAITING", until.map(|ms| format!("for {}", duration(Time(ms).since(event.at.0))))),
        },
        "ATTEMPT_SUCCEEDED" => say(work.done(), words()),
        "WAIT_ENDED" => say("COMPLETED", None),
        "ATTEMPT_FAILED" => match event.data.get("retry_at").and_then(serde_json::Value::as_i64) {
            Some(at) => {
                let again = format!("{}again in {}: {}", work.named(), duration(Time(at).since(event.at.0)), why(event));
                say("RETRYING", Some(again))
            }
            None => say("FAILED", Some(format!("{}{}", work.named(), why(event)))),
        },
        "TASK_ATTEMPT_FAILED" => {
            let failed = field("step").filter(|step| !step.is_empty()).map(|step| format!("step {step} failed; "));
            let then = event.data.get("then").cloned().unwrap_or_default();
            let at = then["RETRY"]["at"].as_i64().map(|at| format!("again in {}", duration(Time(at).since(event.at.0))));
            let then = at.or_else(|| then.get("ANALYSE").map(|_| "it is analysed".into()));
            say("RETRYING", Some(format!("{}{}", failed.unwrap_or_default(), then.unwrap_or_default())))
        }
        "OVERRIDDEN" => {
            let said = field("decision").map(|word| word.to_lowercase().replace('_', " "));
            say("OVERRIDDEN", Some([said, words()].into_iter().flatten().collect::<Vec<_>>().join(": ")))
        }
        // It waits on as before; another task is made of that.
        "STALL_ESCALATED" => {
            say("WAITING", Some(format!("no agent has come; {} looks into it", field("task").unwrap_or_default())))
        }
        "REASSIGNED" => say("REASSIGNED", Some(reassigned(event))),
        "LATE_REPORT_KEPT" => say("LATE", Some(late(event))),
        "STEP_FAILED" => say("FAILED", Some(why(event))),
        "STEP_SKIPPED" => say("SKIPPED", field("reason")),
        "ROLLED_BACK" => {
            let n = event.data.get("steps").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
            let to = format!("to {}, {n} to be done again", field("checkpoint").unwrap_or_default());
            say("ROLLED_BACK", Some([Some(to), words()].into_iter().flatten().collect::<Vec<_>>().join(": ")))
        }
        "STEP_BLOCKED" => say("BLOCKED", Some([field("reason"), words()].into_iter().flatten().collect::<Vec<_>>().join(": "))),
        "QUESTION_RAISED" => {
            let to: Vec<&str> = event.data["to"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
            // Where nobody is told yet it is only noted when the first are.
            (!to.is_empty()).then(|| ("ASKED".to_owned(), Some(format!("nobody has answered yet: {} told", to.join(", ")))))
        }
        "APPROVAL_ASKED" => say("ASKED", Some("a person has to approve of it first".into())),
        "APPROVAL_ANSWERED" => {
            let word = field("answer").unwrap_or_default();
            let by = if word == "EXPIRED" { String::new() } else { format!("by {}", event.actor_id) };
            say(&word, Some([Some(by).filter(|by| !by.is_empty()), words()].into_iter().flatten().collect::<Vec<_>>().join(": ")))
        }
        "PARAMS_CHANGED" => {
            // By a rule, where one is named; else by whoever approved.
            let rule = event.data["rulings"][0]["rule"].as_str();
            let by = rule.map_or(event.actor_id.clone(), |rule| format!("rule {rule} of the constitution"));
            say("CHANGED", Some(format!("{by} gave it other parameters")))
        }
        "RESULT_JUDGED" => {
            say("JUDGED", (event.data.get("confirm") == Some(&true.into())).then(|| "a person looks at its result".into()))
        }
        "JUDGED_ANEW" => {
            let holds = |name: &str| event.data.get(name) == Some(&true.into());
            let follows = match (holds("refused"), holds("review_owed")) {
                (true, _) => Some("the constitution in force refuses it"),
                (false, true) => Some("the council looks at it before it goes on"),
                (false, false) => None,
            };
            say("JUDGED", follows.map(str::to_owned))
        }
        "GATE_OPENED" => say("CHECKING", None),
        "GATE_JUDGED" => {
            let passed = event.data.get("passed") == Some(&true.into());
            say("CHECKED", Some(format!("{} by {}", if passed { "passed" } else { "failed" }, field("by").unwrap_or_default())))
        }
        "EXPANDED" => say("EXPANDED", event.data.get("count").map(|n| format!("into {n}"))),
        // The end of a task, and any other move of it, in its own word.
        "COMPLETED" | "FAILED" | "CANCELLED" | "STOPPED" => {
            let reason = [field("reason"), words()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            say(&event.kind, Some(reason).filter(|r| !r.is_empty()))
        }
        _ => {
            let after = event.status_after.filter(|after| event.status_before != Some(*after))?;
            (event.step().is_none()).then(|| (after.word().to_owned(), words()))
        }
    }
}

/// From whom work was taken, to whom it goes, why, and who said so.
fn reassigned(event: &EventView) -> String {
    let agents = event.data.get("agents").and_then(serde_json::Value::as_array);
    let from: Vec<&str> = agents.into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    let from = if from.is_empty() { String::new() } else { format!("from {} ", from.join(", ")) };
    let cause = event.text("cause").map(|word| word.to_lowercase().replace('_', " "));
    let why = event.words().map(ToOwned::to_owned).or(cause).map(|why| format!(": {why}")).unwrap_or_default();
    let by = match event.actor_type {
        ActorKind::System => String::new(),
        ActorKind::Human | ActorKind::Ai => format!(", by {}", event.actor_id),
    };
    format!("{from}to {}{by}{why}", event.text("agent").unwrap_or("anybody"))
}

/// What a report said that came too late, and of whom.
fn late(event: &EventView) -> String {
    // It is kept as it came, cut where it is long: its first word says how the attempt ended.
    let outcome = event.words().map(|words| words.trim_start_matches(['{', '"']).split('"').next().unwrap_or_default());
    let outcome = outcome.filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let said = outcome.map(|word| format!("said {word} ")).unwrap_or_default();
    let attempt = event.data.get("attempt").and_then(serde_json::Value::as_u64).unwrap_or_default();
    format!("{} {said}of attempt {attempt}, which no longer counts: kept, and nothing changed", event.actor_id)
}

/// Why an attempt did not work: its class, and the words of who met it.
fn why(event: &EventView) -> String {
    let class = event.data.get("class").cloned().unwrap_or_default();
    let known = serde_json::from_value::<ErrorClass>(class.clone()).is_ok_and(|c| c != ErrorClass::Other);
    let class = class.as_str().filter(|_| known).map(ToOwned::to_owned);
    let said: Vec<String> = class.into_iter().chain(event.words().map(ToOwned::to_owned)).collect();
    if said.is_empty() { "no reason given".into() } else { said.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(at: &str, kind: &str, data: serde_json::Value, words: Option<&str>) -> EventView {
        let private = words.map_or(json!(null), |text| json!({"text": text}));
        serde_json::from_value(json!({"position": 1, "stream": "task_x", "version": 1, "at": at, "actor_type": "SYSTEM",
            "actor_id": "SETTLE", "type": kind, "data": data, "private": private, "schema": 1}))
        .unwrap()
    }

    #[test]
    fn each_change_of_state_is_one_line_with_its_word() {
        let mut names = Names { labels: HashMap::from([("1.2".into(), "Find links".into())]), ..Names::default() };
        let second = |n: u32| format!("2026-01-02T03:04:{n:02}Z");
        let millis = |n: u32| Time::parse(&second(n)).unwrap().0;
        let mut line = |n, kind, data, words| names.line(&event(&second(n), kind, data, words)).unwrap_or_default();
        let work = "step:1.2";
        assert_eq!(
            line(1, "ASSIGNED", json!({"work": work, "attempt": 1, "started": true}), None),
            "03:04:01 RUNNING     1.2 Find links"
        );
        assert_eq!(
            line(
                2,
                "ATTEMPT_FAILED",
                json!({"work": work, "attempt": 1, "class": "NOT_FOUND", "retry_at": millis(4)}),
                Some("no\nfile")
            ),
            "03:04:02 RETRYING    1.2 Find links  again in 2 s: NOT_FOUND: no file"
        );
        assert_eq!(line(4, "REOFFERED", json!({"step": "1.2"}), None), "");
        assert_eq!(
            line(4, "ASSIGNED", json!({"work": work, "attempt": 2, "started": true}), None),
            "03:04:04 RUNNING     1.2 Find links  attempt 2"
        );
        assert_eq!(
            line(9, "ATTEMPT_SUCCEEDED", json!({"work": work, "attempt": 2}), None),
            "03:04:09 COMPLETED   1.2 Find links  in 5 s"
        );
        for (kind, data, words, told) in [
            ("ASSIGNED", json!({"work": "undo:1.2", "attempt": 1, "started": true}), None, "UNDOING     1.2 Find links"),
            ("ATTEMPT_SUCCEEDED", json!({"work": "undo:1.2", "attempt": 1}), None, "UNDONE      1.2 Find links  in 0 s"),
            ("ATTEMPT_FAILED", json!({"work": "undo:1.2"}), Some("gone"), "FAILED      1.2 Find links  undoing it: gone"),
            ("ASSIGNED", json!({"work": "gate:1.2:0", "started": true}), None, "CHECKING    1.2 Find links"),
            ("ASSIGNED", json!({"work": "analysis", "started": true}), None, "ANALYSING   task"),
            ("STARTED", json!({"work": "plan"}), None, "PLANNING    task"),
            (
                "TASK_ATTEMPT_FAILED",
                json!({"step": "1.2", "retries": 0, "then": {"RETRY": {"at": millis(12)}}}),
                None,
                "RETRYING    task  step 1.2 failed; again in 3 s",
            ),
            (
                "TASK_ATTEMPT_FAILED",
                json!({"step": "1.2", "retries": 0, "then": {"ANALYSE": {"limit_at": 5}}}),
                None,
                "RETRYING    task  step 1.2 failed; it is analysed",
            ),
            (
                "OVERRIDDEN",
                json!({"decision": "SKIP_STEP", "step": "1.2"}),
                Some("no use"),
                "OVERRIDDEN  1.2 Find links  skip step: no use",
            ),
            (
                "QUESTION_RAISED",
                json!({"since": 1, "rung": 1, "to": ["lead", "oncall"]}),
                None,
                "ASKED       task  nobody has answered yet: lead, oncall told",
            ),
            ("STALL_ESCALATED", json!({"task": "task_y"}), None, "WAITING     task  no agent has come; task_y looks into it"),
            (
                "REASSIGNED",
                json!({"cause": "STALLED", "agents": ["agent_a"], "agent": "agent_b"}),
                None,
                "REASSIGNED  task  from agent_a to agent_b: stalled",
            ),
            (
                "LATE_REPORT_KEPT",
                json!({"work": "step:1.2", "attempt": 3}),
                Some("{\"SUCCEEDED\":{\"output\":1}}"),
                "LATE        1.2 Find links  SETTLE said SUCCEEDED of attempt 3, which no longer counts: kept, and nothing changed",
            ),
        ] {
            assert_eq!(line(9, kind, data, words), format!("03:04:09 {told}"));
        }
        let mut asked = event(&second(9), "REASSIGNED", json!({"cause": "REQUESTED"}), Some("she is ill"));
        (asked.actor_type, asked.actor_id) = (ActorKind::Human, "ann".into());
        assert_eq!(Names::default().line(&asked).unwrap(), "03:04:09 REASSIGNED  task  to anybody, by ann: she is ill");
        assert_eq!(
            line(9, "FAILED", json!({"reason": "DEADLINE", "recoverable": true}), None),
            "03:04:09 FAILED      task  DEADLINE"
        );
    }
}
