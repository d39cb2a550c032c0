//! The configuration file: the documented one is read, what it says is in force, and what makes no sense stops the command.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, text};
use serde_json::{Value, json};
use std::process::Command;

/// The whole example of docs/operations.md.
fn documented() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, from) = page.split_once("```yaml configuration\n").expect("the page shows a whole file");
    from.split_once("```").unwrap().0.to_owned()
}

/// What `ephor config list` says of each name: its value, and where it comes from.
fn listed(mut command: Command) -> impl Fn(&str) -> (String, String) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    move |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} is not in {rows:?}"));
        let word = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        (word("value"), word("from"))
    }
}

#[test]
fn the_documented_file_is_read_and_says_every_key() {
    let house = House::new();
    std::fs::write(house.path("documented.yaml"), documented()).unwrap();
    let output = house.run(&["config", "list", "--json", "--config", "documented.yaml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let ours = |row: &&Value| {
        let name = row["name"].as_str().unwrap();
        name.starts_with("policy.") || name.starts_with("monitoring.")
    };
    let missing: Vec<&Value> = rows.iter().filter(ours).filter(|row| row["from"] != "file documented.yaml").collect();
    assert!(missing.is_empty(), "the example leaves out {missing:?}");
    assert!(rows.iter().filter(ours).count() > 20);
}

#[test]
fn a_flag_outranks_the_environment_which_outranks_the_file() {
    let house = House::new();
    std::fs::write(house.path("ephor.yaml"), "limits: {streams: 7, body_max: 2MiB}\npolicy: {lease: 30s}\n").unwrap();
    let said = listed(house.ephor(&["config", "list", "--json"]));
    assert_eq!(said("streams"), ("7".into(), "file ephor.yaml".into()), "the file in this folder is found by itself");
    assert_eq!(said("policy.lease"), ("30s".into(), "file ephor.yaml".into()));
    assert_eq!(said("monitoring.pending_timeout_seconds"), ("3600".into(), "default".into()));
    let mut command = house.ephor(&["config", "list", "--json"]);
    command.env("EPHOR_STREAMS", "9");
    let said = listed(command);
    assert_eq!((said("streams"), said("body_max").0), (("9".into(), "environment".into()), "2MiB".into()));
    std::fs::write(house.path("other.yaml"), "limits: {streams: 3}\n").unwrap();
    let mut command = house.ephor(&["config", "list", "--json", "--config", "other.yaml"]);
    command.env("EPHOR_CONFIG", "missing.yaml");
    let said = listed(command);
    assert_eq!((said("streams").0, said("engine_config")), ("3".into(), ("other.yaml".into(), "flag".into())));
    let server = house.serve("127.0.0.1:0", &["--no-agents", "--body-max", "1KiB"]);
    let long = json!({"title": "x".repeat(2_000)}).to_string();
    let sent = house.run(&["api", "POST", "/api/v1/tasks", "-d", &long, "--server", &server.url, "--json"]);
    assert!(text(&sent.stderr).contains("TOO_LARGE"), "{}", text(&sent.stderr));
}

#[test]
fn what_makes_no_sense_is_told_with_its_line_and_nothing_is_opened() {
    let house = House::new();
    std::fs::write(house.path("ephor.yaml"), "policy:\n  lease: 30s\n  leese: 30s\n").unwrap();
    for args in [&["config", "list"][..], &["serve", "--listen", "127.0.0.1:0"], &["task", "create", "--title", "x"]] {
        let told = house.run(args);
        assert_eq!(told.status.code(), Some(1), "{args:?}");
        let told = text(&told.stderr);
        assert!(told.contains("ephor.yaml") && told.contains("line 3") && told.contains("leese"), "{args:?}: {told}");
    }
    assert!(!house.path("data").exists());
    let missing = house.run(&["config", "list", "--config", "no.yaml"]);
    assert_eq!((missing.status.code(), text(&missing.stderr).contains("no.yaml")), (Some(3), true));
    assert!(house.run(&["version"]).status.success(), "what needs no engine needs no file");
}

#[test]
fn the_policy_of_the_file_is_that_of_the_engine() {
    let house = House::new();
    std::fs::write(house.path("ephor.yaml"), "policy: {max_retries: 2}\n").unwrap();
    let request = json!({"title": "x", "action": "do"});
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let task = house.submit(&server, &request);
    let shown = house.json(&["api", "GET", &format!("/api/v1/tasks/{task}"), "--server", &server.url]);
    assert_eq!(shown["max_retries"], 2, "{shown}");
}

#[test]
fn plan_executions_can_be_switched_off() {
    let house = House::new();
    let status = |server: &common::Server| {
        let asked = house.run(&["api", "GET", "/api/executions", "--server", &server.url, "--json"]);
        (asked.status.code(), text(&asked.stderr).to_owned())
    };
    let on = house.serve("127.0.0.1:0", &["--no-agents"]);
    assert_eq!(status(&on).0, Some(0));
    drop(on);
    for (args, environment) in [(&["--executions", "false"][..], None), (&[][..], Some("false"))] {
        let mut more = vec!["--no-agents"];
        more.extend(args);
        let off = match environment {
            Some(value) => house.serve_with("127.0.0.1:0", &more, &[("PLANEXE_EXECUTION_ENABLED", value)]),
            None => house.serve("127.0.0.1:0", &more),
        };
        let (code, told) = status(&off);
        assert_eq!(code, Some(3), "{told}");
        assert!(told.contains("PLANEXE_EXECUTION_ENABLED=false"), "{told}");
        let health = house.run(&["api", "GET", "/api/v1/tasks", "--server", &off.url]);
        assert!(health.status.success(), "the rest is served");
    }
}

#[test]
fn one_value_is_set_and_the_rest_of_the_file_stays_as_it_was_written() {
    let house = House::new();
    let set = |name: &str, value: &str| {
        let done = house.run(&["config", "set", name, value]);
        (done.status.code(), text(&done.stderr).to_owned())
    };
    let file = || std::fs::read_to_string(house.path("ephor.yaml")).unwrap();
    assert_eq!(set("policy.lease", "30s").0, Some(0), "a file is made where there is none");
    assert_eq!(file(), "policy:\n  lease: 30s\n");
    std::fs::write(house.path("ephor.yaml"), documented().replace("solo: true", "solo: false")).unwrap();
    let before = file();
    assert_eq!(set("policy.review_wait", "2d").0, Some(0));
    let (old, new): (Vec<String>, Vec<String>) =
        (before.lines().map(Into::into).collect(), file().lines().map(Into::into).collect());
    let differ: Vec<_> = old.iter().zip(&new).filter(|(old, new)| old != new).collect();
    assert_eq!((old.len() == new.len(), differ.len()), (true, 1), "{differ:?}");
    assert!(
        differ[0].1.starts_with("  review_wait: 2d") && differ[0].1.ends_with("# how long a review waits for votes"),
        "{differ:?}"
    );
    let get = |name: &str| text(&house.run(&["config", "get", name]).stdout).trim().to_owned();
    assert_eq!((get("policy.review_wait"), get("limits.streams"), get("streams")), ("2d".into(), "1000".into(), "1000".into()));
    let row = house.json(&["config", "get", "policy.review_wait", "--json"]);
    assert_eq!(row["from"], "file ephor.yaml");
    assert_eq!(house.run(&["config", "get", "policy.nothing"]).status.code(), Some(3));
    // What would not be read is not written, and is told as when it is read.
    let before = file();
    for (name, value, why) in [
        ("policy.leese", "30s", "leese"),
        ("policy.lease", "10ms", "500ms"),
        ("monitoring.enabled", "perhaps", "expected a boolean"),
        ("limits.body_max", "much", "64MiB"),
        ("constitution", "missing.yaml", "missing.yaml"),
        ("policy.breaker", "3", "several"),
    ] {
        let (code, told) = set(name, value);
        assert!(code == Some(1) && told.contains(why), "{name}: {told}");
    }
    assert_eq!(file(), before);
    assert!(!house.path("ephor.yaml.new").exists());
}

#[test]
fn the_log_goes_to_the_file_that_is_named_and_holds_nothing_but_json_there() {
    let house = House::new();
    std::fs::write(house.path("ephor.yaml"), "log:\n  file: logs/ephor.log\n").unwrap();
    let server = house.serve("127.0.0.1:0", &["--no-agents", "--log-format", "json"]);
    let task = house.submit(&server, &json!({"title": "x"}));
    drop(server);
    let log = std::fs::read_to_string(house.path("logs/ephor.log")).unwrap();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let says = |text: &str| lines.iter().any(|line| line["message"].as_str().is_some_and(|message| message.contains(text)));
    assert!(says("sign in as the operator") && says("the operator's token is in"), "{log}");
    assert!(lines.iter().any(|line| line["path"] == "/api/v1/tasks" && line["status"] == 201), "{log}");
    assert_eq!(std::fs::read_to_string(house.path("server.log")).unwrap(), "", "nothing is left for standard error");
    assert!(!log.contains(&std::fs::read_to_string(house.path("data/operator.token")).unwrap().trim().to_owned()));
    // The environment outranks the file, and what was there stays.
    std::fs::write(house.path("other.log"), "before\n").unwrap();
    let server = house.serve_with("127.0.0.1:0", &["--no-agents"], &[("EPHOR_LOG_FILE", "other.log")]);
    house.json(&["api", "GET", &format!("/api/v1/tasks/{task}"), "--server", &server.url]);
    drop(server);
    let other = std::fs::read_to_string(house.path("other.log")).unwrap();
    assert!(other.starts_with("before\n") && other.contains("path=\"/api/v1/tasks/{id}\""), "{other}");
    assert!(text(&std::fs::read(house.path("server.log")).unwrap()).contains("sign in as the operator"));
    let wrong = house.run(&["serve", "--listen", "127.0.0.1:0", "--log-file", "data"]);
    assert!(wrong.status.code() == Some(1) && text(&wrong.stderr).contains("data"), "{}", text(&wrong.stderr));
}

/// The lists of S1-134…136, as they are printed.
const WORKERS: &str = r#"workers:
  - id: "gpu-worker-01"
    capabilities: ["gpu", "cuda", "tensorflow"]
    resources:
      cpu_cores: 8
      memory_mb: 32768
      gpu_memory_mb: 16384
    models: ["claude-3-opus", "gpt-4", "stable-diffusion"]

  - id: "cpu-worker-01"
    capabilities: ["cpu", "parallel", "memory-intensive"]
    resources:
      cpu_cores: 32
      memory_mb: 131072
      storage_gb: 1000
    models: ["claude-3-sonnet", "gpt-3.5-turbo"]
"#;

#[test]
fn the_workers_of_the_file_are_known_from_the_start_and_cost_nothing_again() {
    let house = House::new();
    std::fs::write(house.path("ephor.yaml"), WORKERS).unwrap();
    let said = listed(house.ephor(&["config", "list", "--json"]));
    let (value, from) = said("workers.gpu-worker-01");
    assert!(value.contains("tensorflow") && value.contains("gpu_memory_mb 16384") && from == "file ephor.yaml", "{value} {from}");
    let get = |server: &common::Server, path: &str| house.json(&["api", "GET", path, "--server", &server.url]);
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let gpu = get(&server, "/api/v1/agents/gpu-worker-01");
    assert_eq!(gpu["capabilities"], json!(["cuda", "gpu", "tensorflow"]));
    assert_eq!(gpu["resources"], json!({"cpu_cores": 8, "gpu_memory_mb": 16384, "memory_mb": 32768}));
    assert_eq!(gpu["models"], json!(["claude-3-opus", "gpt-4", "stable-diffusion"]));
    assert_eq!(get(&server, "/api/v1/agents/cpu-worker-01")["resources"]["storage_gb"], 1_000);
    let written = get(&server, "/health/ready")["position"].as_u64().unwrap();
    assert!(written >= 2);
    let drained = house.run(&["agent", "drain", "cpu-worker-01", "--server", &server.url]);
    assert!(drained.status.success(), "{}", text(&drained.stderr));
    drop(server);
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    assert_eq!(get(&server, "/health/ready")["position"], written + 1, "only that one was drained");
    assert_eq!(get(&server, "/api/v1/agents/cpu-worker-01")["status"], "DRAINING", "it stays so");
    drop(server);
    std::fs::write(house.path("ephor.yaml"), WORKERS.replace("cpu_cores: 8", "cpu_cores: 16")).unwrap();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let changed = get(&server, "/api/v1/agents/gpu-worker-01");
    assert_eq!((&changed["resources"]["cpu_cores"], &changed["id"]), (&json!(16), &gpu["id"]), "what changed is said anew");
}

#[test]
fn the_log_tells_what_is_not_the_usual_way_and_all_of_it_where_that_is_asked_for() {
    for (level, all) in [("info", false), ("debug", true), ("warn", false)] {
        let house = House::new();
        let server = house.serve_with("127.0.0.1:0", &[], &[("EPHOR_LOG", level)]);
        let steps = json!([{"action": "echo", "params": {"text": "hi"}}]);
        let fine = house.submit(&server, &json!({"title": "x", "plan": {"steps": steps}}));
        let at = ["--server", server.url.as_str()];
        assert!(house.run(&["task", "watch", &fine, "--no-progress", at[0], at[1]]).status.success());
        let odd = house.submit(&server, &json!({"title": "y", "action": "nobody"}));
        assert!(house.run(&["task", "pause", &odd, "--reason", "lunch", at[0], at[1]]).status.success());
        assert!(house.run(&["task", "resume", &odd, at[0], at[1]]).status.success());
        assert!(house.run(&["task", "cancel", &odd, "--reason", "done", at[0], at[1]]).status.success());
        drop(server);
        let log = std::fs::read_to_string(house.path("server.log")).unwrap();
        let moves: Vec<(&str, &str)> = log
            .lines()
            .filter(|line| line.contains(" transition "))
            .map(|line| (line.split_whitespace().nth(1).unwrap(), line.split("to=\"").nth(1).unwrap().split('"').next().unwrap()))
            .collect();
        let of = |told: &str| moves.iter().filter(|(_, to)| *to == told).map(|(level, _)| *level).collect::<Vec<_>>();
        let odd = if level == "warn" { vec![] } else { vec!["INFO"] };
        assert_eq!((of("PAUSED"), of("CANCELLED")), (odd.clone(), odd), "{level}: {log}");
        let usual = if all { vec!["DEBUG"] } else { vec![] };
        assert_eq!((of("COMPLETED"), of("IN_PROGRESS").len()), (usual.clone(), usual.len()), "{level}: {log}");
        // The way back from a hold is the usual way again.
        assert_eq!(of("SCHEDULED").is_empty(), !all, "{level}: {log}");
    }
}

/// The block of docs/operations.md that shows the section `task_execution`.
fn documented_execution() -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md")).unwrap();
    let (_, from) = page.split_once("```yaml configuration task_execution\n").expect("the page shows the section");
    from.split_once("```").unwrap().0.to_owned()
}

#[test]
fn every_key_of_task_execution_is_read_shown_and_in_force() {
    let house = House::new();
    // As it is documented it is what stands by default.
    std::fs::write(house.path("documented.yaml"), documented_execution()).unwrap();
    let documented = listed(house.ephor(&["config", "list", "--json", "--config", "documented.yaml"]));
    let default = listed(house.ephor(&["config", "list", "--json"]));
    let keys = [
        "default_mode",
        "max_concurrent_tasks",
        "default_timeout",
        "quality_gate_timeout",
        "resource_limits.max_cpu_cores",
        "resource_limits.max_memory_mb",
        "resource_limits.max_storage_gb",
        "monitoring.progress_interval",
        "monitoring.metrics_retention",
        "monitoring.alert_thresholds.duration_warning",
        "monitoring.alert_thresholds.memory_warning",
        "monitoring.alert_thresholds.error_rate_warning",
    ];
    for key in keys {
        let name = format!("task_execution.{key}");
        assert_eq!(documented(&name).0, default(&name).0, "{key}");
        assert_eq!((documented(&name).1, default(&name).1), ("file documented.yaml".into(), "default".into()), "{key}");
    }
    // Said otherwise, it is otherwise: a number of the policy under both of its names.
    let said = "task_execution:\n  default_mode: strict\n  max_concurrent_tasks: 3\n  default_timeout: 7m\n  quality_gate_timeout: 8m\n  \
                resource_limits:\n    max_cpu_cores: 2\n    max_memory_mb: 1024\n    max_storage_gb: 5\n  monitoring:\n    \
                progress_interval: 3s\n    metrics_retention: 9d\n    alert_thresholds:\n      duration_warning: 2h\n      \
                memory_warning: 70%\n      error_rate_warning: 2.5%\n";
    std::fs::write(house.path("ephor.yaml"), said).unwrap();
    let shown = listed(house.ephor(&["config", "list", "--json"]));
    for (name, value) in [
        ("task_execution.default_mode", "strict"),
        ("policy.default_mode", "STRICT"),
        ("task_execution.max_concurrent_tasks", "3"),
        ("policy.attempt_timeout", "7m"),
        ("policy.gate_wait", "8m"),
        ("task_execution.resource_limits.max_memory_mb", "1024"),
        ("task_execution.monitoring.metrics_retention", "9d"),
        ("task_execution.monitoring.alert_thresholds.error_rate_warning", "2.5%"),
    ] {
        assert_eq!(shown(name).0, value, "{name}");
    }
    // In force: the mode of a task that does not say, how long is waited, what one task may ask for, and what is watched.
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let task = |id: &str| house.json(&["api", "GET", &format!("/api/v1/tasks/{id}"), "--server", &server.url]);
    let plain = task(&house.submit(&server, &json!({"title": "x", "action": "do"})));
    assert_eq!((plain["execution_mode"].as_str(), plain["autonomy"].as_str()), (Some("STRICT"), Some("ASSISTED")));
    let auto = task(&house.submit(&server, &json!({"title": "x", "action": "do", "execution_mode": "AUTO"})));
    assert_eq!(auto["execution_mode"], "AUTO");
    let asks = json!({"cpu_cores": 3, "memory_mb": 2048, "storage_gb": 6});
    let greedy = json!({"title": "x", "action": "do", "execution_mode": "AUTO", "resource_limits": asks});
    let greedy = task(&house.submit(&server, &greedy))["findings"].to_string();
    for (what, asked, most) in [("cpu_cores", "3", "2"), ("memory_mb", "2048", "1024"), ("storage_gb", "6", "5")] {
        assert!(greedy.contains(&format!("{what} is {asked}; one task may use {most} here")), "{what}: {greedy}");
    }
    let waits = house.json(&["api", "GET", "/api/v1/lifecycle", "--server", &server.url]);
    let waits: Vec<&Value> = waits.as_array().unwrap().iter().filter_map(|stage| stage["waits"].as_array()).flatten().collect();
    let limit = |policy: &str| waits.iter().find(|wait| wait["policy"] == policy).map(|wait| wait["limit"].clone());
    assert_eq!((limit("attempt_timeout"), limit("gate_wait")), (Some(json!("7m")), Some(json!("8m"))), "{waits:?}");
    let figures =
        |window: &str| house.run(&["api", "GET", &format!("/api/v1/admin/metrics?window={window}"), "--server", &server.url]);
    assert!(!figures("10d").status.success());
    let told: Value = serde_json::from_slice(&figures("9d").stdout).unwrap();
    let threshold = |name: &str| {
        told["alerts"].as_array().unwrap().iter().find(|alert| alert["name"] == name).map(|a| a["threshold"].clone())
    };
    for (name, value) in [("duration_warning", "2h"), ("memory_warning", "70%"), ("error_rate_warning", "2.5%")] {
        assert_eq!(threshold(name), Some(json!(value)), "{told}");
    }
}

#[test]
fn a_file_is_checked_by_itself_and_what_is_wrong_is_told_with_its_line() {
    let house = House::new();
    let check = |file: &str| house.run(&["config", "check", file]);
    std::fs::write(house.path("good.yaml"), documented()).unwrap();
    let good = check("good.yaml");
    assert!(good.status.success() && text(&good.stderr).contains("makes sense"), "{}", text(&good.stderr));
    for (wrong, parts) in [
        ("policy:\n  lease: 1ms\n", ["line 2", "policy.lease", "500ms"]),
        ("# x\ntask_execution:\n  monitoring:\n    alert_thresholds: {memory_warning: 180}\n", ["line 4", "180", "80%"]),
        (
            "# x\nworkers:\n  - {id: a, capabilities: [x]}\n  - id: b\n    capabilities: []\n",
            ["line 4", "workers[1]", "capabilities"],
        ),
        ("webhooks: {}\nmail:\n  host: mail.example\n", ["line 2", "mail.from", "missing"]),
        ("telemetry:\n  otlp:\n    endpoint: localhost:4317\n", ["line 3", "telemetry.otlp.endpoint", "http://"]),
        ("\nconstitution: none.yaml\n", ["line 2", "constitution", "none.yaml"]),
        ("policy:\n  by_type:\n    INVOICE:\n      max_retries: 5000\n", ["line 4", "max_retries", "1000"]),
        ("monitoring:\n  enabled: true\n  pending_timeout_seconds: 0\n", ["line 3", "is 0", "31536000"]),
        ("workers:\n  - id: w\n", ["line 2", "capabilities", ""]),
        ("monitoring:\n  check_interval_seconds: x\n", ["line 2", "monitoring.check_interval_seconds: ", "\"x\""]),
        (
            "monitoring:\n  enabled: true\n  escalation_strategy: bogus\n",
            ["line 3", "monitoring.escalation_strategy: ", "log_only"],
        ),
        ("colour: red\n", ["line 1", "colour", "task_execution"]),
    ] {
        std::fs::write(house.path("wrong.yaml"), wrong).unwrap();
        let told = check("wrong.yaml");
        assert_eq!(told.status.code(), Some(1), "{wrong}");
        for part in parts {
            assert!(text(&told.stderr).contains(part), "{part:?} is missing in {}", text(&told.stderr));
        }
    }
    assert_eq!(check("missing.yaml").status.code(), Some(3));
}

#[test]
fn a_running_server_reads_its_file_anew_by_command_and_by_signal_and_a_bad_one_changes_nothing() {
    let house = House::new();
    let write = |said: &str| std::fs::write(house.path("ephor.yaml"), said).unwrap();
    write("policy:\n  max_retries: 2\n");
    let mut server = house.serve("127.0.0.1:0", &["--no-agents", "--log-file", "server.json", "--log-format", "json"]);
    let retries = |server: &common::Server| {
        let task = house.submit(server, &json!({"title": "x", "action": "do"}));
        house.json(&["api", "GET", &format!("/api/v1/tasks/{task}"), "--server", &server.url])["max_retries"].as_u64().unwrap()
    };
    assert_eq!(retries(&server), 2);
    // Nobody without the right to administer.
    let stranger = house.run(&["api", "POST", "/api/v1/config/reload", "-d", "{}", "--server", &server.url]);
    assert!(!stranger.status.success() && text(&stranger.stderr).contains("key"), "{}", text(&stranger.stderr));

    write(
        "policy:\n  max_retries: 3\nlimits:\n  streams: 9\nlog:\n  file: other.log\nworkers:\n  - {id: late, capabilities: [x]}\n",
    );
    let done = house.json(&["config", "reload", "--json"]);
    assert_eq!(done["changed"], json!(["policy.max_retries", "workers.late"]), "{done}");
    assert!(done["file"].as_str().unwrap().ends_with("ephor.yaml"), "{done}");
    assert_eq!(done["needs_restart"], json!(["limits.streams", "log.file"]), "{done}");
    assert_eq!(retries(&server), 3);
    let agents = house.json(&["api", "GET", "/api/v1/agents", "--server", &server.url]);
    assert!(agents.to_string().contains("late"), "{agents}");

    write("policy:\n  max_retries: 9\n  leese: 30s\n");
    let refused = house.run(&["config", "reload"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(text(&refused.stderr).contains("line 3") && text(&refused.stderr).contains("leese"), "{}", text(&refused.stderr));
    assert_eq!(retries(&server), 3);

    let hang_up = |server: &common::Server| {
        let pid = server.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    let log_says = |what: &str| {
        let log = std::fs::read_to_string(house.path("server.json")).unwrap_or_default();
        log.lines().any(|line| line.contains(what))
    };
    let until = |what: &dyn Fn() -> bool| {
        for _ in 0..400 {
            if what() {
                return true;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        false
    };
    // The bad file, by signal: the server goes on, and the log says why.
    let before = std::fs::read_to_string(house.path("server.json")).unwrap().matches("stays as it was").count();
    hang_up(&server);
    let counted = || std::fs::read_to_string(house.path("server.json")).unwrap().matches("stays as it was").count() > before;
    assert!(until(&counted) && log_says("leese"));
    assert_eq!(retries(&server), 3);
    write("policy:\n  max_retries: 4\n");
    hang_up(&server);
    assert!(until(&|| retries(&server) == 4));
    // What is watched, and what binds: also where the file names the same document with another text.
    let law = |rules: &str| {
        let document = format!("constitution: house\narticles:\n  - id: house\n    title: House\n    rules:\n{rules}");
        std::fs::write(house.path("law.yaml"), document).unwrap();
    };
    let figures =
        |window: &str| house.run(&["api", "GET", &format!("/api/v1/admin/metrics?window={window}"), "--server", &server.url]);
    law("      - {at: [admission], when: 'task.title == \"never\"', verdict: DENY, message: never again}\n");
    assert!(!figures("40d").status.success());
    write("policy:\n  max_retries: 4\nconstitution: law.yaml\ntask_execution:\n  monitoring: {metrics_retention: 50d}\n");
    let done = house.json(&["config", "reload", "--json"]);
    assert_eq!(done["changed"], json!(["constitution", "task_execution.monitoring.metrics_retention"]), "{done}");
    assert_eq!(done["needs_restart"], json!([]), "{done}");
    assert!(figures("40d").status.success(), "{}", text(&figures("40d").stderr));
    let submits = |title: &str| {
        let wish = json!({"title": title, "action": "do"}).to_string();
        house.run(&["api", "POST", "/api/v1/tasks", "-d", &wish, "--server", &server.url]).status.success()
    };
    assert!(!submits("never") && submits("now"));
    law("      - {at: [admission], when: 'task.title == \"now\"', verdict: DENY, message: not now}\n");
    assert_eq!(house.json(&["config", "reload", "--json"])["changed"], json!(["constitution"]));
    assert!(submits("never") && !submits("now"));
    // The models of the house stand in the numbers it decides by.
    write("policy:\n  max_retries: 4\nconstitution: law.yaml\nmodels:\n  catalogue: {tiny: {tier: small}}\n");
    let done = house.json(&["config", "reload", "--json"]);
    assert!(done["changed"].as_array().unwrap().contains(&json!("models.catalogue.tiny")), "{done}");
    assert_eq!(done["needs_restart"], json!([]), "{done}");
    // A document that makes no sense changes nothing either.
    law("      - {at: [admission], when: 'task.', verdict: DENY, message: x}\n");
    write("policy:\n  max_retries: 7\nconstitution: law.yaml\n");
    let refused = house.run(&["config", "reload"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("line 3: constitution"), "{}", text(&refused.stderr));
    assert_eq!((submits("now"), retries(&server)), (false, 4));
    // A file that is gone is no wish for the defaults.
    std::fs::remove_file(house.path("ephor.yaml")).unwrap();
    assert_ne!(house.run(&["config", "reload"]).status.code(), Some(0));
    assert_eq!(retries(&server), 4);
    server.kill();
}
