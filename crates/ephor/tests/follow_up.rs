//! The follow-ups of the example, on a real server and over a real SMTP conversation: every way a detector's POST can go.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;
#[path = "../../agents/tests/common/smtp.rs"]
mod smtp;

use common::{House, Server, text};
use serde_json::{Value, json};
use smtp::{Does, Smtp};
use std::path::Path;
use std::time::Duration;

/// How long anything here may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The office: the example's folder with its mails going to our server.
struct Office {
    house: House,
    server: Server,
    smtp: Smtp,
}

impl Office {
    fn open(does: Does) -> Self {
        let smtp = Smtp::start(does);
        let house = House::new();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/follow-up");
        std::fs::create_dir(house.path("templates")).unwrap();
        for file in ["ephor.yaml", "constitution.yaml", "templates/invoice.txt", "templates/lead.txt"] {
            let content = std::fs::read_to_string(example.join(file)).unwrap();
            let content = content.replace("port: 2525", &format!("port: {}\n  timeout: 500ms", smtp.port));
            std::fs::write(house.path(file), content).unwrap();
        }
        let server = house.serve("127.0.0.1:0", &["--read", "."]);
        Self { house, server, smtp }
    }

    fn ephor(&self, args: &[&str]) -> std::process::Output {
        // Found by the lock of the database, with the operator's token beside it.
        self.house.run(args)
    }

    fn get(&self, path: &str) -> Value {
        self.house.json(&["api", "GET", path, "--server", &self.server.url])
    }

    /// What a detector says, and what it is answered.
    fn post(&self, body: &Value) -> Result<Value, String> {
        let said = self.ephor(&["api", "POST", "/api/v1/tasks", "-d", &body.to_string()]);
        match said.status.success() {
            true => Ok(serde_json::from_slice(&said.stdout).unwrap()),
            false => Err(format!("{}{}", text(&said.stdout), text(&said.stderr))),
        }
    }

    fn begin(&self, body: &Value) -> String {
        let answer = self.post(body).unwrap();
        assert_eq!(answer["status"], "PENDING", "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    fn until(&self, task: &str, is: impl Fn(&Value) -> bool) -> Value {
        let pause = Duration::from_millis(50);
        let mut waited = Duration::ZERO;
        loop {
            let shown = self.get(&format!("/api/v1/tasks/{task}"));
            if is(&shown) {
                return shown;
            }
            assert!(waited < PATIENCE, "{shown:#}\n{}", std::fs::read_to_string(self.house.path("server.log")).unwrap());
            std::thread::sleep(pause);
            waited += pause;
        }
    }

    fn ends(&self, task: &str, status: &str) -> Value {
        let end = ["COMPLETED", "FAILED", "CANCELLED", "STOPPED"];
        let shown = self.until(task, |shown| end.iter().any(|word| shown["status"] == *word));
        assert_eq!(shown["status"], status, "{shown:#}");
        shown
    }

    fn asked(&self, task: &str) -> Value {
        self.until(task, |shown| shown["status"] == "BLOCKED");
        self.get(&format!("/api/v1/tasks/{task}/inbox"))[0].clone()
    }
}

/// The call a detector of overdue invoices makes.
fn invoice(number: &str, mode: &str, amount: u32, days: u32) -> Value {
    json!({"type": "INVOICE_FOLLOW_UP", "mode": mode, "priority": "HIGH", "ownerType": "AI", "ownerId": "ACTION_AI",
        "subjectRefType": "INVOICE", "subjectRefId": number, "dueAt": "2026-01-05T12:00:00Z", "source": "OVERDUE_INVOICE_DETECTOR",
        "payload": {"customer_name": "ACME Corp", "customer_email": "billing@acme.com", "invoice_number": number,
            "invoice_amount": amount, "currency": "USD", "due_date": "2025-12-20", "days_overdue": days}})
}

/// The call a detector of quiet leads makes.
fn lead(name: &str, mode: &str, value: u32, stage: &str) -> Value {
    json!({"type": "LEAD_FOLLOW_UP", "mode": mode, "subjectRefType": "LEAD", "subjectRefId": name, "source": "LEAD_STALENESS_DETECTOR",
        "payload": {"contact_name": "Lea", "contact_email": "lea@example.org", "company": "Lead Ltd", "lead_value": value,
            "stage": stage, "days_silent": 21}})
}

#[test]
fn a_small_reminder_is_sent_and_the_record_has_the_words_of_its_interface() {
    let office = Office::open(Does::Takes);
    let task = office.begin(&invoice("INV-123", "ASSISTED", 1200, 10));
    office.ends(&task, "COMPLETED");
    let mails = office.smtp.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].from.as_str(), &mails[0].to), ("office@example.com", &vec!["billing@acme.com".to_owned()]));
    assert_eq!(mails[0].header("Subject"), "Invoice INV-123 is overdue");
    assert!(mails[0].data.contains("over 1200 USD was due on 2025-12-20, 10 days ago"), "{}", mails[0].data);
    let effects = office.get(&format!("/api/v1/tasks/{task}/effects"));
    assert_eq!((&effects[0]["action"], &effects[0]["outcome"]), (&json!("email.send"), &json!("DONE")), "{effects:#}");
    assert!(mails[0].header("Message-ID").contains(effects[0]["id"].as_str().unwrap()), "{}", mails[0].data);

    // The duplicate window, and the lock behind the end.
    let again = office.post(&invoice("INV-123", "ASSISTED", 1200, 10)).unwrap_err();
    assert!(again.contains("duplicate_task"), "{again}");
    let other = invoice("INV-123", "SUGGESTION", 1200, 10);
    let other =
        Value::Object(other.as_object().unwrap().clone().into_iter().chain([("source".into(), json!("MANUAL"))]).collect());
    office.begin(&other);
    let update = json!({"newStatus": "CANCELLED", "actorType": "HUMAN", "actorId": "ann"}).to_string();
    let late = office.ephor(&["api", "PATCH", &format!("/api/v1/tasks/{task}"), "-d", &update]);
    let late = format!("{}{}", text(&late.stdout), text(&late.stderr));
    assert!(late.contains("terminal_state") && late.contains("Cannot update task in terminal state"), "{late}");

    let told = office.get(&format!("/api/v1/tasks/{task}/events?form=rows"));
    let words: Vec<&str> = told.as_array().unwrap().iter().map(|event| event["eventType"].as_str().unwrap()).collect();
    for word in ["TASK_CREATED", "TASK_STATUS_CHANGED", "TASK_EXECUTION_STARTED", "TASK_EXECUTION_COMPLETED"] {
        assert!(words.contains(&word), "{word} is missing: {words:?}");
    }
    let first = &told[0];
    for field in ["id", "taskId", "eventType", "newStatus", "actorType", "actorId", "metadata", "createdAt"] {
        assert!(first.get(field).is_some(), "{field} is missing: {first}");
    }
}

#[test]
fn a_suggestion_is_a_draft_that_a_person_is_shown_and_no_mail() {
    let office = Office::open(Does::Takes);
    let task = office.begin(&invoice("INV-1", "SUGGESTION", 90_000, 90));
    let asked = office.asked(&task);
    assert!(asked["what"].as_str().unwrap().contains("result of step 2 is good"), "{asked:#}");
    let outputs = office.get(&format!("/api/v1/tasks/{task}/outputs"));
    let draft = outputs[0]["output"]["text"].as_str().unwrap();
    assert!(draft.starts_with("Dear ACME Corp,") && draft.contains("within seven days"), "{draft}");
    assert!(office.ephor(&["review", "confirm", &task, "2", "--pass"]).status.success());
    office.ends(&task, "COMPLETED");
    assert!(office.smtp.said().is_empty(), "{:?}", office.smtp.said());
    assert_eq!(office.get(&format!("/api/v1/tasks/{task}/effects")), json!([]));
}

#[test]
fn what_the_configuration_calls_high_risk_asks_first_where_it_is_assisted() {
    let office = Office::open(Does::Takes);
    let much = office.begin(&invoice("INV-2", "ASSISTED", 5_000, 10));
    let long = office.begin(&invoice("INV-3", "ASSISTED", 100, 60));
    let large = office.begin(&lead("L-1", "ASSISTED", 20_000, "NEW"));
    let late = office.begin(&lead("L-2", "ASSISTED", 10, "CONTRACT"));
    for task in [&much, &long, &large, &late] {
        let asked = office.asked(task);
        assert_eq!((&asked["action"], &asked["step"]), (&json!("email.send"), &json!("3")), "{asked:#}");
    }
    assert!(office.smtp.said().is_empty());
    assert!(office.ephor(&["review", "approve", &much, "3", "--reason", "he may hear it"]).status.success());
    office.ends(&much, "COMPLETED");
    assert!(office.ephor(&["review", "deny", &long, "3", "--reason", "they have paid"]).status.success());
    let denied = office.ends(&long, "FAILED");
    assert!(denied.to_string().contains("they have paid"), "{denied:#}");
    let to: Vec<Vec<String>> = office.smtp.mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, [["billing@acme.com"]]);
    // Small ones of both types go by themselves.
    let small = office.begin(&lead("L-3", "ASSISTED", 10, "NEW"));
    office.ends(&small, "COMPLETED");
    assert_eq!(office.smtp.mails()[1].header("Subject"), "Shall we go on, Lea?");
}

#[test]
fn what_is_autonomous_acts_by_itself_within_its_guardrails() {
    let office = Office::open(Does::Takes);
    let task = office.begin(&invoice("INV-4", "AUTONOMOUS", 49_999, 70));
    office.ends(&task, "COMPLETED");
    assert_eq!(office.smtp.mails().len(), 1);
    let dear = office.begin(&invoice("INV-5", "AUTONOMOUS", 50_000, 1));
    let asked = office.asked(&dear);
    assert!(asked.to_string().contains("picks up the telephone"), "{asked:#}");
    assert_eq!(office.smtp.mails().len(), 1);
    let mut half = invoice("INV-6", "AUTONOMOUS", 1, 1);
    half["payload"].as_object_mut().unwrap().remove("customer_email");
    let refused = office.post(&half).unwrap_err();
    assert!(refused.contains("complete.1") && refused.contains("are needed"), "{refused}");
    let dry = office.begin(&invoice("INV-7", "DRY_RUN", 10, 1));
    office.asked(&dry);
    assert_eq!(office.smtp.mails().len(), 1, "a dry run sends nothing");
}

#[test]
fn a_mail_that_was_not_taken_fails_its_task_and_one_of_which_nobody_knows_asks_a_person() {
    let office = Office::open(Does::RefusesRecipient);
    let refused = office.begin(&invoice("INV-8", "AUTONOMOUS", 10, 1));
    let failed = office.ends(&refused, "FAILED");
    assert!(failed["last_error"].to_string().contains("nobody of that name"), "{failed:#}");
    let told = office.get(&format!("/api/v1/tasks/{refused}/events?form=rows")).to_string();
    assert!(told.contains("TASK_EXECUTION_FAILED"), "{told}");

    // Busy once, then it takes it.
    office.smtp.now(Does::IsBusy);
    let busy = office.begin(&invoice("INV-9", "AUTONOMOUS", 10, 1));
    office.until(&busy, |_| office.smtp.said().iter().filter(|line| line.starts_with("MAIL")).count() >= 1);
    office.smtp.now(Does::Takes);
    office.ends(&busy, "COMPLETED");

    // It read the mail and broke off: it is not sent a second time before a person has said what became of it.
    office.smtp.now(Does::BreaksOff);
    let unknown = office.begin(&invoice("INV-10", "AUTONOMOUS", 10, 1));
    office.until(&unknown, |shown| shown["status"] == "BLOCKED" && shown["block_reason"] == "HUMAN_REVIEW");
    office.smtp.now(Does::Takes);
    let effects = office.get(&format!("/api/v1/tasks/{unknown}/effects"));
    assert_eq!(effects[0]["outcome"], "UNKNOWN", "{effects:#}");
    let before = office.smtp.mails().len();
    let effect = effects[0]["id"].as_str().unwrap();
    assert!(office.ephor(&["task", "effects", &unknown, "--settle", effect, "--outcome", "done"]).status.success());
    office.ends(&unknown, "COMPLETED");
    assert_eq!(office.smtp.mails().len(), before, "it was there already");
    let cancelled = office.begin(&invoice("INV-11", "SUGGESTION", 10, 1));
    let update = json!({"newStatus": "CANCELLED", "actorType": "HUMAN", "actorId": "ann"}).to_string();
    assert!(office.ephor(&["api", "PATCH", &format!("/api/v1/tasks/{cancelled}"), "-d", &update]).status.success());
    let told = office.get(&format!("/api/v1/tasks/{cancelled}/events?form=rows")).to_string();
    assert!(told.contains("TASK_CANCELLED"), "{told}");
}

#[test]
fn the_rules_of_the_example_say_what_its_cases_expect() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/follow-up");
    let mut tested = House::new().ephor(&["constitution", "test", "cases.yaml", "--constitution", "constitution.yaml"]);
    let tested = tested.current_dir(example).output().unwrap();
    assert!(tested.status.success(), "{}{}", text(&tested.stdout), text(&tested.stderr));
}

#[test]
fn the_commands_of_the_documentation_do_what_it_says() {
    let office = Office::open(Does::Takes);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/follow-up.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = page.split("```sh walk\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() > 5);
    let program = Path::new(env!("CARGO_BIN_EXE_ephor")).parent().unwrap().display().to_string();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap_or_default());
    let script = format!("set -eu\n{}", blocks.concat());
    let mut shell = office.house.command("timeout", &["60", "sh", "-c", &script]);
    let walked = shell.env("EPHOR", &office.server.url).env("PATH", path).output().unwrap();
    let told = format!("{}{}", text(&walked.stdout), text(&walked.stderr));
    assert!(walked.status.success(), "{told}");
    for part in ["DUPLICATE_TASK", "DONE", "email.send", "Dear Lea,", "TASK_EXECUTION_COMPLETED"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let to: Vec<String> = office.smtp.mails().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, ["billing@acme.com", "billing@acme.com"], "two were sent, the draft was not");
}
