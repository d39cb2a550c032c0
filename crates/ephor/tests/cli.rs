//! The program itself: exit codes, what goes where, and what it needs no engine for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::House;
use serde_json::{Value, json};
use std::process::{Command, Output};

fn ephor(args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ephor"));
    program.args(args).env_remove("EPHOR_SERVER").env_remove("EPHOR_DATABASE").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_version_is_data_and_a_wrong_word_is_usage() {
    let version = ephor(&["version"]);
    assert_eq!((version.status.code(), text(&version.stderr)), (Some(0), ""));
    assert!(text(&version.stdout).starts_with("ephor "));
    let wrong = ephor(&["fly"]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(2), ""));
    assert!(text(&wrong.stderr).contains("fly"));
}

#[test]
fn a_missing_file_is_told_with_its_name_and_ends_with_3() {
    let missing = ephor(&["plan", "check", "no/such/plan.yaml"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing.stderr).starts_with("error[import]: "), "{}", text(&missing.stderr));
    assert!(text(&missing.stderr).contains("plan.yaml"));
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let missing = ephor(&["plan", "check", "no/such/plan.yaml", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&missing.stderr).unwrap();
    assert_eq!(told["code"], "IMPORT");
}

#[test]
fn the_lifecycle_is_shown_without_colours_to_a_pipe() {
    let shown = ephor(&["lifecycle"]);
    assert_eq!(shown.status.code(), Some(0));
    let shown = text(&shown.stdout);
    assert!(shown.contains("IN_PROGRESS") && !shown.contains('\u{1b}'), "{shown}");
    assert!(text(&ephor(&["lifecycle", "--ascii"]).stdout).is_ascii());
}

#[test]
fn a_head_that_was_kept_says_whether_the_log_still_passes_through_it() {
    let house = House::new();
    let create = |title: &str| assert!(house.run(&["task", "create", "--title", title, "--action", "echo"]).status.success());
    create("before");
    let then = house.run(&["audit", "verify", "--json"]);
    assert!(then.status.success(), "{}", text(&then.stderr));
    std::fs::write(house.path("kept"), &then.stdout).unwrap();
    create("after");
    let now = house.json(&["audit", "verify", "--receipt", "kept", "--json"]);
    assert!(now[0]["detail"].as_str().unwrap().contains("through the head that was kept"), "{now}");
    let then: Value = serde_json::from_slice(&then.stdout).unwrap();
    let head = then[0]["detail"].as_str().unwrap().rsplit(' ').next().unwrap();
    assert_eq!(house.run(&["audit", "verify", "--head", head]).status.code(), Some(0));
    // One that the log does not know, as after the end of it was cut off.
    let other = "0".repeat(64);
    let cut = house.run(&["audit", "verify", "--head", &other, "--json"]);
    assert_eq!(cut.status.code(), Some(1), "{}", text(&cut.stdout));
    assert_eq!(house.run(&["audit", "verify", "--head", "abc"]).status.code(), Some(2));
    std::fs::write(house.path("kept"), "nothing").unwrap();
    assert_eq!(house.run(&["audit", "verify", "--receipt", "kept"]).status.code(), Some(2));
}

#[test]
fn the_impact_of_a_dry_run_is_a_page_or_data_by_the_rules_of_the_house() {
    let house = House::new();
    let law = "constitution: x\narticles:\n  - id: a\n    title: A\n    rules:\n      - {at: [action], when: 'action.name == \"echo\"', verdict: ESCALATE, message: somebody looks}\n";
    std::fs::write(house.path("law.yaml"), law).unwrap();
    std::fs::write(house.path("ephor.yaml"), "constitution: law.yaml\n").unwrap();
    let create = ["task", "create", "--title", "Say it", "--action", "echo", "--mode", "dry-run"];
    assert!(house.run(&create).status.success());
    let page = house.run(&["task", "impact", "@last"]);
    let page = text(&page.stdout);
    for part in ["# Impact of “Say it”", "somebody looks", "## Effects withheld", "expected duration unknown"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let told = house.json(&["task", "impact", "@last", "--json"]);
    assert_eq!((&told["approvals"][0]["of"], &told["approvals"][0]["certain"]), (&json!("ACTION"), &json!(true)), "{told}");
}

#[test]
fn a_receipt_is_checked_without_its_database_and_links_to_it() {
    let house = House::new();
    std::fs::write(house.path("job.yaml"), "title: Say it\nplan:\n  steps:\n    - {action: echo, params: {text: hello}}\n")
        .unwrap();
    assert!(house.run(&["run", "job.yaml"]).status.success());
    let written = house.run(&["audit", "export", "@last", "receipt.json"]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let piped = house.run(&["audit", "export", "@last"]).stdout;
    assert_eq!(std::fs::read(house.path("receipt.json")).unwrap(), piped);
    // The database passes through its last commit.
    let through = house.json(&["audit", "verify", "--receipt", "receipt.json", "--json"]);
    assert!(through[0]["detail"].as_str().unwrap().contains("through the head that was kept"), "{through}");
    // Elsewhere, where there is no database.
    let other = House::new();
    std::fs::write(other.path("receipt.json"), &piped).unwrap();
    let checks = other.json(&["audit", "verify", "receipt.json", "--json"]);
    assert!(checks[0]["detail"].as_str().unwrap().contains("which is COMPLETED"), "{checks}");
    assert!(checks.as_array().unwrap().iter().any(|check| check["name"] == "not known from it"), "{checks}");
    let head = checks[0]["detail"].as_str().unwrap().rsplit(' ').next().unwrap();
    assert_eq!(other.run(&["audit", "verify", "receipt.json", "--head", head]).status.code(), Some(0));
    assert_eq!(other.run(&["audit", "verify", "receipt.json", "--head", &"0".repeat(64)]).status.code(), Some(1));
    std::fs::write(other.path("receipt.json"), text(&piped).replacen("HUMAN/operator", "HUMAN/operatoR", 1)).unwrap();
    let changed = other.run(&["audit", "verify", "receipt.json"]);
    assert_eq!(changed.status.code(), Some(1));
    let changed = text(&changed.stdout);
    assert!(changed.contains("summary.") || changed.contains("event 1"), "{changed}");
    assert_eq!(other.run(&["audit", "verify", "missing.json"]).status.code(), Some(3));
}

#[test]
fn the_limits_of_a_server_are_set_and_shown_with_their_units() {
    let house = House::new();
    let shown =
        house.ephor(&["config", "list", "--json"]).env("EPHOR_BODY_MAX", "2MiB").env("EPHOR_PATIENCE", "90s").output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|_| panic!("{}", text(&shown.stderr)));
    let of = |name: &str| {
        let row = shown.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {shown}"));
        (row["value"].as_str().unwrap().to_owned(), row["from"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("body_max"), ("2MiB".into(), "environment".into()));
    assert_eq!(of("patience"), ("1m30s".into(), "environment".into()));
    assert_eq!(of("batch_max"), ("64MiB".into(), "default".into()));
    assert_eq!(of("requests_per_second"), ("no limit".into(), "default".into()));
    let wrong = house.ephor(&["config", "list"]).env("EPHOR_BODY_MAX", "much").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    assert!(text(&wrong.stderr).contains("512KiB"), "{}", text(&wrong.stderr));

    let server = house
        .serve("127.0.0.1:0", &["--no-agents", "--body-max", "1KiB", "--payload-max", "2KiB", "--requests-per-second", "1000"]);
    let task = house.submit(&server, &json!({"title": "x", "action": "do"}));
    let send = |method: &str, path: &str, bytes: usize| {
        let body = json!({"title": "x".repeat(bytes)}).to_string();
        let sent = house.run(&["api", method, path, "-d", &body, "--server", &server.url, "--json"]);
        text(&sent.stderr).to_owned()
    };
    assert!(send("POST", "/api/v1/tasks", 2_000).contains("TOO_LARGE"));
    assert!(send("PUT", &format!("/api/v1/tasks/{task}/payloads"), 1_500).is_empty());
    assert!(send("PUT", &format!("/api/v1/tasks/{task}/payloads"), 3_000).contains("TOO_LARGE"));
}

/// A job whose result a person has to look at.
const LOOKED_AT: &str = "title: looked at
payload: {limit: 3}
plan:
  steps:
    - {id: say, action: echo, params: {text: 'n ${task.payload.limit}'}, gates: [{kind: MANUAL_REVIEW}]}
";

#[test]
fn a_job_that_completed_in_somebodys_hands_is_shown_and_not_done_again() {
    let house = House::new();
    std::fs::write(house.path("job.yaml"), LOOKED_AT).unwrap();
    let first = house.run(&["run", "job.yaml", "--param", "limit=7", "--param", "who=a b", "--out", "my out"]);
    assert_eq!(first.status.code(), Some(6), "{}", text(&first.stderr));
    let said = text(&first.stderr);
    let again = "ephor run job.yaml --param limit=7 --param 'who=a b' --out 'my out'";
    assert!(said.contains(again), "{said}");
    let confirm = said.lines().find_map(|line| line.split_once("ephor review confirm ")).unwrap().1;
    let task = confirm.split(' ').next().unwrap();
    let confirmed = house.run(&["review", "confirm", task, "say", "--pass"]);
    assert!(confirmed.status.success(), "{}", text(&confirmed.stderr));
    let arguments = ["run", "job.yaml", "--param", "limit=7", "--param", "who=a b", "--out", "my out"];
    let second = house.run(&arguments);
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    assert!(text(&second.stderr).contains("has completed") && text(&second.stdout).contains(task));
    let all = |house: &House| text(&house.run(&["task", "list", "--all", "-o", "id"]).stdout).lines().count();
    assert_eq!(all(&house), 1);
    // It is archived now: the same command begins the next run.
    assert_eq!(house.run(&arguments).status.code(), Some(6));
    assert_eq!(all(&house), 2);
}

#[test]
fn an_escalated_task_is_in_the_inbox_however_many_others_are_at_work() {
    let house = House::new();
    let create = |title: &str| house.run(&["task", "create", "--title", title, "-o", "id"]);
    let stuck = create("stuck");
    let stuck = text(&stuck.stdout).trim();
    assert!(house.run(&["task", "escalate", stuck, "--reason", "it is too big"]).status.success());
    create("another");
    let inbox = house.run(&["inbox"]);
    assert!(text(&inbox.stdout).contains(stuck), "{}", text(&inbox.stdout));
    let asked = house.run(&["selftest", "--server", "http://127.0.0.1:1"]);
    assert_eq!(asked.status.code(), Some(2));
}

#[test]
fn why_knows_the_holds_of_a_database_that_nobody_serves() {
    let house = House::new();
    let task = text(&house.run(&["task", "create", "--title", "x", "--type", "invoice", "-o", "id"]).stdout).trim().to_owned();
    let reasons = |house: &House| -> Vec<String> {
        let why = house.json(&["why", &task, "--json"]);
        why.as_array()
            .unwrap()
            .iter()
            .map(|w| format!("{}: {}", w["reason"].as_str().unwrap(), w["what"].as_str().unwrap()))
            .collect()
    };
    let held = house.run(&["hold", "place", "--type", "invoice", "--reason", "the books are closed"]);
    assert!(held.status.success(), "{}", text(&held.stderr));
    let why = reasons(&house);
    assert!(why[0].starts_with("HOLD: ") && why[0].contains("the books are closed"), "{why:?}");
    let hold = house.json(&["hold", "list", "--json"])[0]["id"].as_str().unwrap().to_owned();
    assert!(house.run(&["hold", "lift", &hold]).status.success());
    assert!(reasons(&house).iter().all(|why| !why.starts_with("HOLD")), "{:?}", reasons(&house));
}

/// What a command says in a house whose profile means one namespace and whose environment, where one is given, another.
fn usual(house: &House, environment: Option<&str>, args: &[&str]) -> (Option<i32>, String) {
    let mut command = house.ephor(args);
    if let Some(name) = environment {
        command.env("EPHOR_NAMESPACE", name);
    }
    let output = command.output().unwrap();
    (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

#[test]
fn the_namespace_of_a_profile_is_meant_by_whatever_takes_one_and_is_shown() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &[]);
    let profile = ["profile", "set", "work", &format!("server={}", server.url), "namespace=billing"];
    assert!(house.run(&profile).status.success());
    assert!(house.run(&["profile", "use", "work"]).status.success());
    let token = house.path("data/operator.token");
    let file = ["--token-file", token.to_str().unwrap()];
    for line in [
        &["hold", "place", "--type", "invoice"][..],
        &["kill", "--type", "letter"],
        &["limit", "set", "calls", "--max", "3"],
        &["limit", "remove", "calls"],
        &["key", "create", "ci", "--role", "viewer"],
        &["agent", "register", "--name", "e1", "--capabilities", "x", "--external-id", "e1"],
        &["webhook", "create", "hook", "https://example.org/x"],
        &["top", "--once"],
    ] {
        let line: Vec<&str> = line.iter().chain(&file).copied().collect();
        let (code, said) = usual(&house, None, &line);
        assert!(code == Some(0) && said.contains("billing"), "{line:?}: {code:?} {said}");
    }
    // The environment is plainer than the profile, and a flag than both.
    let key = |name, more: &[&str]| {
        let line: Vec<&str> = ["key", "create", name, "--role", "viewer"].iter().chain(&file).chain(more).copied().collect();
        usual(&house, Some("sales"), &line).1
    };
    assert!(key("second", &[]).contains("of the namespace sales"));
    assert!(key("third", &["--namespace", "law"]).contains("of the namespace law"));
    let holds = house.json(&["hold", "list", "--json"]);
    let scopes: Vec<&Value> = holds.as_array().unwrap().iter().map(|hold| &hold["scope"]["namespace"]).collect();
    assert_eq!(scopes, [&json!("billing"), &json!("billing")], "{holds}");
}

#[test]
fn nothing_is_stopped_because_a_variable_is_set() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &[]);
    let at = ["--server", &server.url];
    let said = |line: &[&str]| {
        let line: Vec<&str> = line.iter().chain(&at).copied().collect();
        usual(&house, Some("billing"), &line)
    };
    for bare in [&["kill"][..], &["hold", "place"]] {
        let (code, told) = said(bare);
        assert!(code == Some(2) && told.contains("--namespace NAME") && told.contains("billing"), "{code:?} {told}");
    }
    let (code, told) = said(&["kill", "--all", "--namespace", "billing"]);
    assert!(code == Some(2) && told.contains("--all or --namespace"), "{code:?} {told}");
    assert_eq!(house.json(&["hold", "list", "--json", at[0], at[1]]), json!([]), "nothing is held");
    // An agent and a task are meant wherever they are.
    assert!(
        house
            .run(&["agent", "register", "--name", "e1", "--capabilities", "x", "--external-id", "e1", at[0], at[1]])
            .status
            .success()
    );
    let (code, told) = said(&["kill", "--agent", "e1"]);
    assert!(code == Some(0) && !told.contains("billing"), "{code:?} {told}");
    house.submit(&server, &json!({"title": "x", "external_id": "INV-1", "namespace": "sales"}));
    let (code, told) = said(&["kill", "--task", "INV-1"]);
    assert!(code == Some(0) && told.contains("PAUSED"), "{code:?} {told}");
    // A type is narrowed, and a namespace stopped where it is named.
    let (code, told) = said(&["kill", "--type", "invoice"]);
    assert!(code == Some(0) && told.contains("billing"), "{code:?} {told}");
    let (code, told) = said(&["kill", "--namespace", "law"]);
    assert!(code == Some(0) && told.contains("law"), "{code:?} {told}");
}

#[test]
fn a_file_that_is_not_there_is_told_with_the_setting_that_names_it() {
    let house = House::new();
    for (environment, flag, setting) in [
        (Some(("EPHOR_TOKEN_FILE", "nope")), None, "EPHOR_TOKEN_FILE: nope"),
        (None, Some(["--token-file", "nope"]), "--token-file: nope"),
        (Some(("EPHOR_CONFIG", "nope")), None, "EPHOR_CONFIG: nope"),
        (None, Some(["--config", "nope"]), "--config: nope"),
    ] {
        let mut command = house.ephor(&["serve", "--listen", "127.0.0.1:0"]);
        command.envs(environment).args(flag.into_iter().flatten());
        let output = command.output().unwrap();
        assert!(!output.status.success() && text(&output.stderr).contains(setting), "{setting}: {}", text(&output.stderr));
    }
}

#[test]
fn what_is_not_done_as_asked_is_said_when_it_is_asked() {
    let house = House::new();
    let create = ["task", "create", "--title", "Say hello to the neighbours", "--action", "echo"];
    let plain = house.run(&create);
    assert!(plain.status.success() && !text(&plain.stderr).contains("deadline"), "{}", text(&plain.stderr));
    let late: Vec<&str> = create.into_iter().chain(["--deadline", "2024-12-31"]).collect();
    let late = house.run(&late);
    assert!(late.status.success() && text(&late.stderr).contains("WARNING deadline: "), "{}", text(&late.stderr));
}
