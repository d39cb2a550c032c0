mod amending;

use super::*;
use crate::policy::Policy;
use crate::request;
use crate::spec::Risk;
use crate::time::Time;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const HOUSE: &str = include_str!("tests/house.yaml");
const CORPUS: &str = include_str!("tests/corpus.yaml");

fn corpus() -> Vec<Case> {
    cases(CORPUS).unwrap()
}

fn broken(law: &Law) -> Vec<String> {
    corpus().iter().filter_map(|case| law.test(case).err().map(|why| format!("{}: {why}", case.name))).collect()
}

fn under(law: &str) -> Policy {
    Policy { law: Some(Arc::new(Law::read(law).unwrap())), ..Policy::default() }
}

fn submit(policy: &Policy, request: Value) -> Result<crate::command::Submission, String> {
    request::check(&serde_json::from_value(request).unwrap(), Time(0), policy)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn one_rule(at: &str, when: &str) -> String {
    let when = Value::from(when);
    format!(
        "constitution: x\narticles:\n  - id: a\n    title: A\n    rules:\n      - at: [{at}]\n        when: {when}\n        verdict: DENY\n        message: no"
    )
}

#[test]
fn every_case_is_ruled_as_expected_with_three_for_each_ruling_at_each_point() {
    assert_eq!(broken(&Law::read(HOUSE).unwrap()), Vec::<String>::new());
    let mut counted: BTreeMap<_, usize> = BTreeMap::new();
    corpus().iter().for_each(|case| *counted.entry((case.at.unwrap(), case.expect)).or_default() += 1);
    assert!(counted.len() == 16 && counted.values().all(|n| *n >= 3), "{counted:?}");
    assert!(corpus().len() >= 60);
}

#[test]
fn each_of_these_broken_rules_is_caught() {
    let bent = [
        ("> 10000", ">= 10000"),
        ("> 10000", "> 100000"),
        ("> 365", ">= 365"),
        ("days_overdue > 365', verdict: DENY", "days_overdue > 365', verdict: WARN"),
        ("task.source == \"MANUAL\"", "task.source != \"\""),
        ("<= 100'", "< 100'"),
        ("t == \"personal\"", "t.contains(\"personal\")"),
        ("!= \"STRICT\"", "== \"STRICT\""),
        ("task.owner_type == \"AI\" && ", ""),
        ("task.requirements.size() == 0", "task.requirements.size() >= 0"),
        ("[\"SATURDAY\", \"SUNDAY\"]", "[\"SATURDAY\"]"),
        ("&& task.priority == \"LOW\"", ""),
        ("task.namespace == \"closed\"", "task.namespace == \"open\""),
        ("act as head", "head"),
        ("!plan.before(\"approve\", \"email.send\")", "!plan.reaches(\"approve\", \"email.send\")"),
        ("!plan.before(\"approve\", \"email.send\")", "plan.before(\"approve\", \"email.send\")"),
        ("plan.reaches(\"customers.read\", \"http.request\")", "plan.reaches(\"http.request\", \"customers.read\")"),
        ("plan.reaches(\"customers.read\", \"http.request\")", "\"customers.read\" in plan.actions"),
        ("!plan.gated(\"deploy\", \"FUNCTIONAL_TEST\")", "!plan.gated(\"deploy\", \"MANUAL_REVIEW\")"),
        ("plan.size > 4", "plan.size > 5"),
        ("plan.size > 4', verdict: ESCALATE", "plan.size > 4', verdict: WARN"),
        ("has(s.params.command) && ", ""),
        ("plan.steps.all(", "plan.steps.exists("),
        ("s.acts && s.undone_by == \"\"", "s.acts"),
        ("startsWith(\"/etc\")", "contains(\"etc\")"),
        ("action.params.amount > 100", "action.params.amount >= 100"),
        ("action.params.amount > 100', verdict: ESCALATE", "action.params.amount > 100', verdict: WARN"),
        ("action.acts && action.name == \"pay\"", "action.name == \"pay\""),
        ("[\"push\", \"merge\"]", "[\"push\"]"),
        ("task.namespace != \"own\"", "task.namespace != \"\""),
        ("result.output == \"\"", "result.output != \"\""),
        ("result.metrics.score < 0.5", "result.metrics.score <= 0.5"),
        ("has(result.metrics.score) && result.metrics.score < 0.5", "result.metrics.score < 0.5"),
        ("result.output.text.size() > 20", "result.output.text.size() >= 20"),
        ("result.metrics.score >= 0.9", "result.metrics.score > 0.9"),
        (
            "task.task_type == \"INVOICE_FOLLOW_UP\" && task.payload.invoice_amount >",
            "has(task.payload.invoice_amount) && task.payload.invoice_amount >",
        ),
    ];
    for (from, to) in bent {
        let text = HOUSE.replacen(from, to, 1);
        assert_ne!(text, HOUSE, "{from}");
        let law = Law::read(&text).unwrap_or_else(|flaws| panic!("{to}: {flaws:?}"));
        assert_ne!(broken(&law), Vec::<String>::new(), "{from} → {to}");
    }
}

#[test]
fn a_rule_found_by_its_words_says_what_it_would_say_if_it_were_always_asked() {
    // A condition that is not a chain of `&&` is asked each time.
    let plain = HOUSE.replace("when: '", "when: '(true) ? (").replace("', verdict", ") : false', verdict");
    assert_ne!(plain, HOUSE);
    assert_eq!(broken(&Law::read(&plain).unwrap()), Vec::<String>::new());
}

#[test]
fn a_bad_document_is_refused_with_its_line_and_what_is_allowed() {
    for (text, line, part) in [
        (one_rule("admission", "task.titel == ''"), 7, "task.titel; known are acceptance_criteria"),
        (one_rule("admission", "owner.id == ''"), 7, "\"owner\"; known are task, plan, action, agent, result, now"),
        (one_rule("admission", "plan.size > 1"), 7, "which is there at plan alone"),
        (one_rule("plan", "plan.after('a', 'b')"), 7, "known are plan.before"),
        (one_rule("plan", "plan.gated('a', 'NICE')"), 7, "allowed are CODE_STYLE"),
        (one_rule("plan", "plan.before('a')"), 7, "takes two names"),
        (one_rule("plan", "plan.does('a')"), 7, "a list of names"),
        (one_rule("admission", "task.title ="), 7, "no CEL expression"),
        (one_rule("admission", "task.title"), 7, "not true or false"),
        (one_rule("admission", "task.title > 5"), 7, "cannot be judged"),
        (one_rule("admission", "task.tags.exists(a, task.tags.exists(b, task.tags.exists(c, a == b)))"), 7, "loops more than 2"),
        (one_rule("sometime", "true"), 6, "admission"),
        (one_rule("admission", "true").replace("DENY", "MAYBE"), 8, "ALLOW"),
        (one_rule("admission", "true").replace("message: no", "message: ''"), 6, "`message` is empty"),
        (one_rule("admission", "true").replace("title: A", "titel: A"), 4, "titel"),
        (one_rule("admission", "true").replace("id: a", "id: 'a b'"), 3, "letters, digits"),
        ("constitution: x\narticles:\n  - {id: a, title: A}\n  - {id: a, title: B}".into(), 4, "two articles"),
        ("articles: []".into(), 1, "constitution"),
    ] {
        let flaws = Law::read(&text).expect_err(&text);
        let told = flaws.iter().find(|flaw| flaw.message.contains(part)).unwrap_or_else(|| panic!("{part} not in {flaws:?}"));
        assert!(told.line.abs_diff(line) <= 1, "{told} instead of line {line} in\n{text}");
    }
}

#[test]
fn what_is_denied_is_no_task_and_what_is_escalated_waits_for_its_review() {
    let house = under(HOUSE);
    let refused = submit(&house, json!({"title": "x", "namespace": "closed"})).unwrap_err();
    assert_eq!(refused, "constitution people.4: nothing begins here");
    let asked = submit(&house, json!({"title": "x", "tags": ["personal"]})).unwrap().facts;
    assert!(asked.review_owed && !asked.released && asked.rulings[0].rule == "people.1".into());
    let free = submit(&house, json!({"title": "x"})).unwrap().facts;
    assert!(!free.review_owed && free.released && free.rulings.is_empty());
    assert_eq!(free.constitution.as_deref(), house.law.as_ref().map(|law| law.digest()));
}

#[test]
fn the_risk_rises_to_what_rules_see_and_is_explained_and_never_falls() {
    let invoice = |amount: u32, risk: &str| {
        let payload = json!({"invoice_amount": amount, "days_overdue": 1});
        json!({"title": "x", "task_type": "INVOICE_FOLLOW_UP", "payload": payload, "risk": risk})
    };
    let facts = submit(&under(HOUSE), invoice(20_000, "LOW")).unwrap().facts;
    assert_eq!((facts.risk, facts.review_owed), (Risk::High, true));
    assert!(facts.risk_reasons.iter().any(|why| **why == *"HIGH: much money (money.1)"), "{:?}", facts.risk_reasons);
    assert_eq!(submit(&under(HOUSE), invoice(20_000, "CRITICAL")).unwrap().facts.risk, Risk::Critical);
    assert_eq!(submit(&under(HOUSE), invoice(500, "LOW")).unwrap().facts.risk, Risk::Low);
}

#[test]
fn what_could_take_too_long_is_not_let_in_unjudged() {
    let law = one_rule("admission", "task.payload.list.exists(a, task.payload.list.exists(b, a + b < 0))");
    let list: Vec<u32> = (0..400).collect();
    let refused = submit(&under(&law), json!({"title": "x", "payload": {"list": list}})).unwrap_err();
    assert!(refused.contains("could take 160000 turns; allowed are 100000"), "{refused}");
    assert!(submit(&under(&law), json!({"title": "x", "payload": {"list": [1, 2]}})).is_ok());
}

#[test]
fn the_shipped_document_lets_ordinary_work_alone_and_stands_in_the_way_of_what_nobody_wants() {
    let step = |action: &str, params: Value| json!({"title": "x", "plan": {"steps": [{"action": action, "params": params}]}});
    let shipped = Policy::default();
    for plain in [
        json!({"title": "Count the files"}),
        step("shell.run", json!({"command": "cargo test"})),
        step("http.request", json!({"url": "https://example.org/"})),
        step("read_file", json!({"path": "config/settings.yaml"})),
        step("files.write", json!({"path": "docs/security-audit.md"})),
        step("email.send", json!({"to": "ann@example.org"})),
    ] {
        let facts = submit(&shipped, plain.clone()).unwrap().facts;
        assert!(facts.rulings.is_empty() && facts.released, "{plain}: {:?}", facts.rulings);
    }
    let steps: Vec<Value> = (0..1_000).map(|_| json!({"action": "shell.run", "params": {"argv": ["ls", "-l"]}})).collect();
    assert!(submit(&shipped, json!({"title": "large", "plan": {"steps": steps}})).is_ok(), "a large plan can be judged too");
    for bad in [
        step("write_file", json!({"path": "audit_logs/fake_entry.json"})),
        step("files.write", json!({"path": "data/ephor.db"})),
        step("shell.run", json!({"argv": ["rm", "data/ephor.db"]})),
        step("shell.run", json!({"command": "sqlite3 data/ephor.db 'delete from events'"})),
    ] {
        assert!(submit(&shipped, bad.clone()).is_err(), "{bad}");
    }
    let many: Vec<String> = (0..51).map(|n| format!("{n}@example.org")).collect();
    for asked in [step("payment.refund", json!({})), step("email.send", json!({"to": many}))] {
        let facts = submit(&shipped, asked.clone()).unwrap().facts;
        assert!(facts.review_owed && facts.risk == Risk::High, "{asked}");
    }
}

#[test]
fn cases_that_say_too_little_are_refused_by_name() {
    for (text, part) in [
        ("- {name: a, request: {title: x}}", "expect"),
        ("- {name: a, expect: DENY}", "request"),
        ("- {name: a, expect: NO, request: {title: x}}", "ALLOW"),
    ] {
        let flaw = cases(text).unwrap_err();
        assert!(flaw.message.contains(part), "{flaw}");
    }
    let labelled =
        r#"[{"name": "n", "action": "write_file", "context": {"path": "audit_logs/x"}, "expected": "block", "rationale": "r"}]"#;
    assert!(Law::shipped().test(&cases(labelled).unwrap()[0]).is_ok());
    let none = cases("- {name: a, expect: ALLOW, request: {}}").unwrap();
    assert!(matches!(Law::shipped().test(&none[0]), Err(CaseFailed::NoRequest(_))));
}
