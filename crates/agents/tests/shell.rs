//! Commands in the sandbox, with real processes on a real kernel.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{Place, TOKEN, result};
use ephor_agents::sandbox::Enforcement;
use ephor_core::spec::ErrorClass;
use ephor_core::work::{EffectOutcome, Failure};
use ephor_sdk::agent::Stop;
use ephor_sdk::trial::Trial;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

async fn sh(place: &Place, command: &str) -> Result<Value, Failure> {
    place.run("shell.run", json!({"command": command})).await.map(|success| success.output)
}

/// Whether a process with this argument still lives.
fn lives(argument: &str) -> bool {
    let pids = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("cmdline"));
    let mut lines = pids.filter_map(|path| fs::read(path).ok());
    lines.any(|line| line.split(|byte| *byte == 0).any(|arg| arg == argument.as_bytes()))
}

/// A number of seconds nobody else sleeps: finds the processes of this test again.
fn own_sleep(n: u32) -> String {
    format!("{}.{}", 1_000 + n, std::process::id())
}

#[tokio::test]
async fn a_command_has_an_exit_code_two_outputs_and_a_clean_environment() {
    let place = Place::new();
    let output = sh(&place, "echo out; echo err >&2; env | cut -d= -f1 | grep -v '^_$\\|^PWD$\\|^SHLVL$' | sort").await.unwrap();
    assert_eq!(output["exit_code"], 0);
    assert_eq!(output["stdout"], "out\nHOME\nLANG\nPATH\nTMPDIR\n");
    assert_eq!(output["stderr"], "err\n");
    let failure = sh(&place, "echo broken >&2; exit 3").await.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (ErrorClass::Other, "exit code 3: broken"));
    assert_eq!(sh(&place, "no-such-command").await.unwrap_err().class, ErrorClass::NotFound);
    let missing = place.run("shell.run", json!({"argv": ["/no/such"]})).await.unwrap_err();
    assert_eq!(missing.class, ErrorClass::NotFound);
}

#[tokio::test]
async fn every_attempt_has_a_fresh_folder_that_is_gone_afterwards() {
    let place = Place::new();
    let output = sh(&place, "ls -A; echo x > left; pwd").await.unwrap();
    assert!(!output["stdout"].as_str().unwrap().contains("left"));
    assert!(sh(&place, "ls left").await.is_err());
    sh(&place, "mkdir -p a/b; touch a/b/c; chmod 0 a/b a; exit 1").await.unwrap_err();
    assert_eq!(fs::read_dir(place.dir.path().join("shell")).unwrap().count(), 0);
}

#[tokio::test]
async fn files_go_in_and_come_out() {
    let place = Place::new();
    let params = json!({
        "argv": ["sh", "-c", "cat > copy; cat src/a.txt >> copy; echo kept > result.bin"],
        "stdin": "from stdin\n", "files": {"src/a.txt": "from a file\n"},
        "outputs": {"text": "copy", "kept": {"path": "result.bin", "out": "deep/result.bin"}},
    });
    let output = place.run("shell.run", params).await.unwrap().output;
    assert_eq!(output["files"]["text"], "from stdin\nfrom a file\n");
    assert_eq!(output["files"]["kept"]["path"], "deep/result.bin");
    assert_eq!(fs::read_to_string(place.dir.path().join("out/deep/result.bin")).unwrap(), "kept\n");
}

#[tokio::test]
async fn a_file_outside_can_neither_be_read_nor_written_nor_smuggled_out() {
    let place = Place::new();
    let token = place.dir.path().join("operator.token");
    fs::write(&token, "the operator's token").unwrap();
    let token = token.display();
    for command in [
        format!("cat {token}"),
        "cat ../../../operator.token".into(),
        "cat /etc/shadow".into(),
        "cat ../evidence".into(),
        format!("echo gone > {token}"),
        format!("truncate -s 0 {token}"),
        format!("rm {token}"),
        "echo x > /tmp/ephor-escape".into(),
        format!("echo x > {}/beside", place.dir.path().display()),
        "ls /proc/1/ /root /home /tmp".into(),
    ] {
        let failure = sh(&place, &command).await.expect_err(&command);
        assert!(!failure.message.contains("the operator's token"), "{command}: {failure:?}");
    }
    assert_eq!(fs::read_to_string(place.dir.path().join("operator.token")).unwrap(), "the operator's token");
    let link = json!({"command": format!("ln -s {token} link"), "outputs": {"stolen": "link"}});
    let failure = place.run("shell.run", link).await.unwrap_err();
    assert!(failure.message.contains("leads out"), "{failure:?}");
    let pipe = json!({"command": "mkfifo pipe", "outputs": {"stuck": "pipe"}});
    assert_eq!(place.run("shell.run", pipe).await.unwrap_err().class, ErrorClass::BadOutput);
}

const CONNECT: &str = "import socket,sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2); print('connected')";

#[tokio::test]
async fn the_network_is_closed_unless_the_step_declares_it() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let params = |network| json!({"argv": ["python3", "-c", CONNECT, port], "network": network});

    let output = sh(&place, "true").await.unwrap();
    assert_eq!(output["sandbox"]["network"], "closed", "{output}");
    place.run("shell.run", params(false)).await.unwrap_err();
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err(), "nobody came");

    let trial = Trial::new("shell.run", params(true));
    let output = result(trial.run(&*place.agent("shell.run")).await).unwrap().output;
    assert_eq!((&output["stdout"], &output["sandbox"]["network"]), (&json!("connected\n"), &json!("open")));
    assert_eq!((trial.asked().len(), trial.outcomes()), (1, vec![EffectOutcome::Done]));

    let dry = Trial::new("shell.run", params(true)).dry();
    assert_eq!(result(dry.run(&*place.agent("shell.run")).await).unwrap_err().class, ErrorClass::Refused);
}

#[tokio::test]
async fn without_namespaces_landlock_closes_tcp_and_the_gap_is_noted() {
    let place = Place::with(|config| config.shell.sandbox.namespaces = false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    place.run("shell.run", json!({"argv": ["python3", "-c", CONNECT, port]})).await.unwrap_err();
    assert!(timeout(Duration::ZERO, listener.accept()).await.is_err(), "nobody came");
    let sandbox = sh(&place, "true").await.unwrap()["sandbox"].clone();
    assert_eq!(sandbox["network"], "closed_tcp");
    assert!(sandbox["gaps"].to_string().contains("other protocols are open"), "{sandbox}");

    let seconds = own_sleep(4);
    let params = json!({"command": format!("sleep {seconds} & sleep {seconds}"), "timeout": "300ms"});
    assert_eq!(place.run("shell.run", params).await.unwrap_err().class, ErrorClass::Timeout);
    assert!(!lives(&seconds), "its group ends with it");
}

#[tokio::test]
async fn nothing_outlives_its_timeout_however_far_it_went() {
    let place = Place::new();
    let seconds = own_sleep(1);
    let command =
        format!("(sleep {seconds} &) ; setsid sleep {seconds} & nohup sh -c 'trap \"\" TERM; sleep {seconds}' & sleep {seconds}");
    let begun = Instant::now();
    let params = json!({"command": command, "timeout": "300ms"});
    assert_eq!(place.run("shell.run", params).await.unwrap_err().class, ErrorClass::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(!lives(&seconds));
}

#[tokio::test]
async fn what_is_left_in_the_background_ends_with_the_command() {
    let place = Place::new();
    let seconds = own_sleep(2);
    sh(&place, &format!("setsid sleep {seconds} > /dev/null 2>&1 & true")).await.unwrap();
    assert!(!lives(&seconds));
}

#[tokio::test]
async fn a_command_told_to_end_may_clean_up_first() {
    let place = Place::new();
    let params = json!({"command": "trap 'echo cleaned >&2; exit 1' TERM; echo ready > ready; sleep 1000 & wait"});
    let trial = Trial::new("shell.run", params);
    let agent = place.agent("shell.run");
    let stop = async {
        while !ready(&place) {
            sleep(Duration::from_millis(10)).await;
        }
        trial.stop(Stop::Cancelled);
    };
    let (outcome, ()) = tokio::join!(trial.run(&*agent), stop);
    let failure = result(outcome).unwrap_err();
    assert!(failure.class == ErrorClass::Cancelled && failure.message.contains("cleaned"), "{failure:?}");
}

/// Whether the command of the only attempt wrote its file.
fn ready(place: &Place) -> bool {
    let attempts = fs::read_dir(place.dir.path().join("shell")).into_iter().flatten().flatten();
    attempts.into_iter().any(|attempt| attempt.path().join("work/ready").exists())
}

#[tokio::test]
async fn dropped_work_ends_too() {
    let place = Place::new();
    let seconds = own_sleep(3);
    let trial = Trial::new("shell.run", json!({"command": format!("echo > ready; setsid sleep {seconds}")}));
    let agent = place.agent("shell.run");
    tokio::select! {
        outcome = trial.run(&*agent) => panic!("{outcome:?}"),
        () = async { while !(ready(&place) && lives(&seconds)) { sleep(Duration::from_millis(10)).await } } => {}
    }
    let gone = async {
        while lives(&seconds) {
            sleep(Duration::from_millis(10)).await
        }
    };
    timeout(Duration::from_secs(5), gone).await.unwrap();
}

#[tokio::test]
async fn a_step_ends_with_the_process_that_started_it() {
    let seconds = own_sleep(5);
    let dir = tempfile::tempdir().unwrap(); // the killed process cannot clear up after itself
    let other = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "the_other_process"])
        .envs([("EPHOR_TEST_SECONDS", seconds.as_str()), ("TMPDIR", dir.path().to_str().unwrap())])
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut other = other.unwrap();
    let until = async |wanted| {
        let reached = async {
            while lives(&seconds) != wanted {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), reached).await.unwrap();
    };
    until(true).await;
    other.kill().unwrap(); // SIGKILL: nothing of it runs any more
    other.wait().unwrap();
    until(false).await;
}

#[tokio::test]
#[ignore = "the other half of the test above"]
async fn the_other_process() {
    if let Ok(seconds) = std::env::var("EPHOR_TEST_SECONDS") {
        sh(&Place::new(), &format!("setsid sleep {seconds} & wait")).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_memory_hog_ends_as_out_of_memory() {
    let place = Place::new();
    for program in [
        "x = bytearray(4 << 30)",                                                    // refused at once
        "x = []\nwhile True: x.append(bytearray(1 << 20) + b'x')",                   // creeping up
        "import os\nos.fork(); os.fork()\nx = b'x' * (120 << 20)\nwhile True: pass", // many that are small
    ] {
        let failure = place.run("shell.run", json!({"argv": ["python3", "-c", program]})).await.unwrap_err();
        assert_eq!(failure.class, ErrorClass::OutOfMemory, "{program}: {failure:?}");
    }
}

#[tokio::test]
async fn a_fork_bomb_is_bounded() {
    let place = Place::new();
    let bomb = json!({"command": "f() { f | f & }; f; sleep 60", "limits": {"processes": 50}, "timeout": "3s"});
    let bounded = tokio::time::timeout(Duration::from_secs(30), place.run("shell.run", bomb)).await;
    let failure = bounded.expect("it ends long before the bomb does by itself").unwrap_err();
    // Which limit ends it depends on how fast the machine forks: processes, memory or time.
    let limits = [ErrorClass::Other, ErrorClass::Timeout, ErrorClass::OutOfMemory];
    assert!(limits.contains(&failure.class), "{failure:?}");
}

#[tokio::test]
async fn many_processes_one_after_another_are_no_bomb() {
    let place = Place::new();
    let many =
        json!({"command": "i=0; while [ $i -lt 1000 ]; do /bin/true || exit 1; i=$((i+1)); done", "limits": {"processes": 20}});
    place.run("shell.run", many).await.unwrap();
}

#[tokio::test]
async fn processor_time_and_file_size_are_bounded() {
    let place = Place::new();
    let busy = json!({"command": "exec python3 -c 'while True: pass'", "limits": {"cpu_seconds": 1}});
    assert_eq!(place.run("shell.run", busy).await.unwrap_err().class, ErrorClass::Timeout);
    let large = json!({"command": "exec head -c 3000000 /dev/zero > x", "limits": {"file_mb": 1}});
    let failure = place.run("shell.run", large).await.unwrap_err();
    assert!(failure.message.contains("larger file") || failure.message.contains("too large"), "{failure:?}");
}

#[tokio::test]
async fn a_limit_set_from_outside_is_kept_and_not_an_error() {
    let limited = |config: &mut ephor_agents::Config| {
        let launcher = std::mem::take(&mut config.shell.sandbox.launcher).remove(0);
        let lower = "ulimit -n 64; exec \"$0\"";
        config.shell.sandbox.launcher = vec!["/bin/sh".into(), "-c".into(), lower.into(), launcher];
    };
    assert_eq!(sh(&Place::with(limited), "ulimit -n").await.unwrap()["stdout"], "64\n");
    assert_eq!(sh(&Place::new(), "ulimit -n").await.unwrap()["stdout"], "256\n");
}

#[tokio::test]
async fn endless_output_is_bounded_and_keeps_both_ends() {
    let place = Place::new();
    let output = sh(&place, "echo first; yes | head -c 5000000; echo last").await.unwrap();
    let stdout = output["stdout"].as_str().unwrap();
    assert!(stdout.len() < 70_000 && stdout.starts_with("first") && stdout.ends_with("last\n"), "{}", stdout.len());
    assert_eq!(output["stdout_omitted_bytes"], 5_000_011 - 65_536);
    let failure = place.run("shell.run", json!({"command": "yes", "timeout": "300ms"})).await.unwrap_err();
    assert_eq!(failure.class, ErrorClass::Timeout);
}

#[tokio::test]
async fn secrets_reach_the_command_and_nothing_else() {
    let place = Place::new();
    let params = json!({"command": "echo \"got $KEY\"; cat > in; cat in >&2; cp in left", "stdin": "in ${secrets.TOKEN}",
        "env": {"KEY": "${secrets.TOKEN}"}, "outputs": {"left": "left"}});
    let output = place.run("shell.run", params).await.unwrap().output;
    assert!(!output.to_string().contains(TOKEN), "{output}");
    assert_eq!((&output["stdout"], &output["stderr"]), (&json!("got ***\n"), &json!("in ***")));
    let params = json!({"command": "echo $KEY >&2; exit 1", "env": {"KEY": "${secrets.TOKEN}"}});
    assert_eq!(place.run("shell.run", params).await.unwrap_err().message, "exit code 1: ***");
    let params = json!({"command": "cat > left", "stdin": "${secrets.TOKEN}", "outputs": {"x": {"path": "left", "out": "x"}}});
    assert_eq!(place.run("shell.run", params).await.unwrap_err().class, ErrorClass::BadOutput);
    let refused = sh(&place, "echo ${secrets.TOKEN}").await.unwrap_err();
    assert_eq!((refused.class, refused.retryable), (ErrorClass::BadInput, false));
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let place = Place::new();
    for params in [
        json!({}),
        json!({"command": "true", "argv": ["true"]}),
        json!({"comand": "true"}),
        json!({"command": "true", "env": {"A=B": "x"}}),
    ] {
        let failure = place.run("shell.run", params.clone()).await.unwrap_err();
        assert_eq!((failure.class, failure.retryable), (ErrorClass::BadInput, false), "{params}");
    }
    for params in [json!({"command": "true", "workdir": "../x"}), json!({"command": "true", "files": {"/tmp/x": ""}})] {
        assert_eq!(place.run("shell.run", params).await.unwrap_err().class, ErrorClass::Refused);
    }
}

#[tokio::test]
async fn the_evidence_says_how_well_it_was_kept_apart() {
    let place = Place::with(|config| config.shell.sandbox.enforcement = Enforcement::BestEffort);
    let sandbox = sh(&place, "true").await.unwrap()["sandbox"].clone();
    assert!(sandbox["landlock_abi"].as_u64().unwrap() >= 3, "{sandbox}");
    assert_eq!(sandbox["namespaces"], true);
    assert!(sandbox["gaps"].is_array());
}
