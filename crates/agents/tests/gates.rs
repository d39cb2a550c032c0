//! Gates that are checked, with real commands in the sandbox, real reports and real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::Place;
use ephor_core::spec::{ErrorClass, GateKind};
use ephor_core::work::{Judgement, Outcome};
use ephor_sdk::agent::Stop;
use ephor_sdk::trial::Trial;
use serde_json::{Value, json};
use std::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A gate of this kind with this check, for a step that reported these metrics.
fn trial(gate: Value, check: Value, metrics: Value) -> Trial {
    let mut item = serde_json::to_value(item()).unwrap();
    item["params"] = check;
    item["subject"] = json!({"gate": gate, "step": "1", "result": {"output": null, "metrics": metrics}});
    Trial::of(serde_json::from_value(item).unwrap())
}

/// A piece of work as core hands it out.
fn item() -> ephor_core::work::WorkItem {
    serde_json::from_value(json!({"task_id": "task_00000000000000000000000000", "work": "gate:1:0", "attempt": 1,
        "lease_ms": 60_000, "namespace": "default", "action": "gate.check", "params": {}, "may_act": true}))
    .unwrap()
}

async fn judge(place: &Place, gate: Value, check: Value) -> Judgement {
    judged(trial(gate, check, json!({})).run(&*place.agent("gate.check")).await)
}

fn judged(outcome: Outcome) -> Judgement {
    match outcome {
        Outcome::Judged(judgement) => judgement,
        other => panic!("{other:?}"),
    }
}

fn rules(judgement: &Judgement) -> Vec<&str> {
    judgement.violations.iter().map(|v| v.rule.as_str()).collect()
}

#[tokio::test]
async fn an_exit_code_says_whether_it_passes() {
    let place = Place::new();
    let style = json!({"kind": "CODE_STYLE"});
    let good = judge(&place, style.clone(), json!({"command": "grep -q tidy text", "files": {"text": "tidy\n"}})).await;
    assert_eq!((good.kind, good.passed, good.score), (GateKind::CodeStyle, true, Some(1.0)));
    assert_eq!((good.evidence[0].what.as_str(), good.evidence[0].exit_code), ("grep -q tidy text", Some(0)));
    let bad = judge(&place, style.clone(), json!({"command": "echo untidy >&2; exit 3"})).await;
    assert_eq!((bad.passed, bad.score, rules(&bad)), (false, Some(0.0), vec!["exit_code"]));
    assert_eq!(bad.violations[0].message, "exit code 3: untidy");
    let told = judge(&place, style.clone(), json!({"command": "exit 3", "exit_codes": [0, 3]})).await;
    assert!(told.passed, "{told:?}");
    let slow = judge(&place, style.clone(), json!({"command": "sleep 9", "timeout": "200ms"})).await;
    assert_eq!((slow.passed, rules(&slow)), (false, vec!["command"]));
    let missing = judge(&place, style, json!({"argv": ["/no/such/linter"]})).await;
    assert_eq!((missing.passed, rules(&missing)), (false, vec!["command"]));
    assert_eq!(fs::read_dir(place.dir.path().join("shell")).unwrap().count(), 0, "nothing is left behind");
}

const LINT: &str = r#"{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "lint", "rules": [{"id": "W1", "helpUri": "https://example.org/W1"}]}},
  "results": [{"ruleId": "W1", "level": "LEVEL", "message": {"text": "a tab"},
    "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": 7}}}]}]}]}"#;

#[tokio::test]
async fn sarif_passes_below_its_bar_and_fails_at_it() {
    let place = Place::new();
    let check = |level: &str| {
        json!({"command": "cat report > out.sarif; exit 1", "exit_codes": [0, 1], "sarif": "out.sarif",
            "files": {"report": LINT.replace("LEVEL", level)}})
    };
    for (gate, level, passed) in [
        (json!({"kind": "CODE_STYLE"}), "warning", true),
        (json!({"kind": "CODE_STYLE"}), "error", false),
        (json!({"kind": "CODE_STYLE", "severity_threshold": "MEDIUM"}), "warning", false),
        (json!({"kind": "SECURITY_SCAN"}), "note", false),
        (json!({"kind": "SECURITY_SCAN", "severity_threshold": "HIGH"}), "warning", true),
    ] {
        let judgement = judge(&place, gate.clone(), check(level)).await;
        assert_eq!(judgement.passed, passed, "{gate} {level}: {judgement:?}");
        let violation = &judgement.violations[0];
        assert_eq!((&*violation.rule, &*violation.place, &*violation.message), ("W1", "a.py:7", "a tab"));
        assert_eq!(judgement.recommendations, ["W1: see https://example.org/W1"]);
        let report = &judgement.evidence[1];
        assert_eq!((report.what.as_str(), report.sha256.as_ref().unwrap().len()), ("SARIF out.sarif", 64));
    }
    let none = judge(&place, json!({"kind": "CODE_STYLE"}), json!({"command": "true", "sarif": "out.sarif"})).await;
    assert_eq!((none.passed, rules(&none)), (false, vec!["report"]), "a report that was not left is no good report");
    let link = json!({"command": "ln -s /etc/hostname out.sarif", "sarif": "out.sarif"});
    assert_eq!(rules(&judge(&place, json!({"kind": "CODE_STYLE"}), link).await), ["report"], "no link leads out");
}

#[tokio::test]
async fn tests_are_read_and_some_may_fail_where_a_score_says_so() {
    let place = Place::new();
    let report = r#"<testsuite><testcase name="a"/><testcase name="b"/><testcase name="c"/>
        <testcase name="d"><failure message="3 is not 4"/></testcase></testsuite>"#;
    let check = json!({"command": "true", "files": {"r.xml": report}, "junit": "r.xml"});
    let strict = judge(&place, json!({"kind": "FUNCTIONAL_TEST"}), check.clone()).await;
    assert_eq!((strict.passed, strict.score), (false, Some(0.75)));
    assert_eq!((&*strict.violations[0].place, &*strict.violations[0].message), ("d", "3 is not 4"));
    assert!(judge(&place, json!({"kind": "FUNCTIONAL_TEST", "threshold": 0.75}), check.clone()).await.passed);
    assert!(!judge(&place, json!({"kind": "FUNCTIONAL_TEST", "threshold": 0.8}), check).await.passed);
    let empty = json!({"files": {"r.xml": "<testsuites/>"}, "junit": "r.xml"});
    assert_eq!(rules(&judge(&place, json!({"kind": "FUNCTIONAL_TEST"}), empty).await), ["test.none"]);
}

#[tokio::test]
async fn figures_are_compared_with_their_thresholds() {
    let place = Place::new();
    let gate = json!({"kind": "PERFORMANCE_TEST", "metric": "ms", "threshold": 20});
    let check = json!({"command": "echo '{\"latency\": {\"p95\": 180}}' > f.json", "json": "f.json", "thresholds": ["latency.p95 <= 200"]});
    let run = async |metrics: Value| judged(trial(gate.clone(), check.clone(), metrics).run(&*place.agent("gate.check")).await);
    let good = run(json!({"ms": 20})).await;
    assert_eq!((good.passed, good.score), (true, Some(1.0)), "{good:?}");
    let slow = run(json!({"ms": 21})).await;
    assert_eq!((slow.passed, slow.score, rules(&slow)), (false, Some(0.5), vec!["threshold"]));
    assert!(!run(json!({})).await.passed, "a figure that is not there does not pass");
    let broken = json!({"command": "echo nonsense > f.json", "json": "f.json", "thresholds": ["a < 1"]});
    assert!(!judge(&place, json!({"kind": "PERFORMANCE_TEST"}), broken).await.passed);
}

#[tokio::test]
async fn dependencies_are_asked_and_private_ones_only_where_they_are_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What only knocks says nothing and closes.
            let _asked = stream.read(&mut [0; 1024]).await;
            let _gone = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        }
    });
    let place = Place::with(|config| {
        config.http.allow_private = false;
        config.gates.reach = vec![format!("127.0.0.1:{port}")];
    });
    let gate = json!({"kind": "INTEGRATION_TEST"});
    let both = json!({"probes": [format!("http://127.0.0.1:{port}/health"), format!("tcp://127.0.0.1:{port}")]});
    let good = judge(&place, gate.clone(), both).await;
    assert_eq!((good.passed, good.score), (true, Some(1.0)), "{good:?}");
    assert!(good.evidence[0].what.ends_with("answered 204 No Content"), "{good:?}");
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let half = json!({"probes": [format!("tcp://127.0.0.1:{port}"), format!("tcp://127.0.0.1:{other}")], "timeout": "2s"});
    let half = judge(&place, gate.clone(), half).await;
    assert_eq!((half.passed, half.score, rules(&half)), (false, Some(0.5), vec!["probe"]));
    assert!(half.violations[0].message.contains("private"), "{half:?}");
    let gone = Place::with(|config| config.gates.reach = vec![format!("127.0.0.1:{other}")]);
    let refused = judge(&gone, gate, json!({"probes": [format!("tcp://127.0.0.1:{other}")]})).await;
    assert!(!refused.passed && refused.violations[0].message.to_lowercase().contains("refused"), "{refused:?}");
    served.abort();
}

#[tokio::test]
async fn results_are_taken_from_the_out_folder_and_secrets_stay_secret() {
    let place = Place::new();
    fs::create_dir_all(place.dir.path().join("out")).unwrap();
    fs::write(place.dir.path().join("out/report.md"), "made").unwrap();
    fs::write(place.dir.path().join("read/rules.txt"), "rules").unwrap();
    let check = json!({"command": "cat report.md lint/rules.txt | grep -q maderules",
        "inputs": {"report.md": "report.md", "lint/rules.txt": "rules.txt"}});
    let judgement = judge(&place, json!({"kind": "CODE_STYLE"}), check).await;
    assert!(judgement.passed, "{judgement:?}");
    let missing = json!({"command": "true", "inputs": {"a": "none.md"}});
    assert_eq!(rules(&judge(&place, json!({"kind": "CODE_STYLE"}), missing).await), ["check"]);
    let outside = json!({"command": "true", "inputs": {"a": "/etc/hostname"}});
    assert!(!judge(&place, json!({"kind": "CODE_STYLE"}), outside).await.passed);
    let leaks = json!({"command": "echo $TOKEN; exit 1", "env": {"TOKEN": "${secrets.TOKEN}"}});
    let told = serde_json::to_string(&judge(&place, json!({"kind": "CODE_STYLE"}), leaks).await).unwrap();
    assert!(told.contains("***") && !told.contains(common::TOKEN), "{told}");
    let in_file = json!({"command": "true", "files": {"a": "${secrets.TOKEN}"}});
    assert!(!judge(&place, json!({"kind": "CODE_STYLE"}), in_file).await.passed);
}

#[tokio::test]
async fn a_check_that_is_told_to_end_judges_nothing() {
    let place = Place::new();
    let trial = trial(json!({"kind": "CODE_STYLE"}), json!({"command": "sleep 60"}), json!({}));
    trial.stop(Stop::Cancelled);
    match trial.run(&*place.agent("gate.check")).await {
        Outcome::Failed(failure) => assert_eq!(failure.class, ErrorClass::Cancelled),
        other => panic!("{other:?}"),
    }
}
