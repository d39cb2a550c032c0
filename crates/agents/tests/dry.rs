//! Without the right to act every built-in agent leaves the outside as it is: each of their actions is tried.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{Place, result};
use ephor_core::matching::BUILT_IN;
use ephor_core::spec::ErrorClass;
use ephor_sdk::trial::Trial;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::TcpListener;

/// What an action leaves undone.
enum Then {
    /// The attempt fails: it asked for the right to act, and had none.
    Refused,
    /// It says what it would have written.
    Withheld,
    /// There is nothing about it that acts.
    Harmless,
}

#[tokio::test]
async fn no_built_in_action_touches_the_outside_in_a_dry_run() {
    let place = Place::new();
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    outside.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", outside.local_addr().unwrap());
    std::fs::write(place.dir.path().join("read/page.md"), "[here](other.md)").unwrap();
    let port = outside.local_addr().unwrap().port().to_string();
    let connect = "import socket,sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)";
    let copy = json!({"copy": {"path": "made", "out": "made"}});
    let tried: Vec<(&str, Value, Then)> = vec![
        ("http.request", json!({"method": "POST", "url": url, "body": "x"}), Then::Refused),
        ("http.request", json!({"method": "DELETE", "url": url}), Then::Refused),
        ("shell.run", json!({"argv": ["python3", "-c", connect, port], "network": true}), Then::Refused),
        ("shell.run", json!({"command": "echo x > made", "outputs": copy}), Then::Withheld),
        ("files.write", json!({"path": "made", "content": "x"}), Then::Withheld),
        ("template.render", json!({"template": "x", "out": "made"}), Then::Withheld),
        ("files.read", json!({"path": "page.md"}), Then::Harmless),
        ("files.scan", json!({"path": "."}), Then::Harmless),
        ("links.check", json!({"path": "."}), Then::Harmless),
        ("echo", json!({"text": "x"}), Then::Harmless),
        ("noop", json!({}), Then::Harmless),
        ("analyse", json!({}), Then::Harmless),
    ];
    // Gates are judged, not done: what `gate.check` runs stays in the sandbox, and tests/gates.rs tries it.
    let known: BTreeSet<&str> = tried.iter().map(|(action, ..)| *action).chain(["gate.check"]).collect();
    assert_eq!(known, BTreeSet::from(BUILT_IN), "an action that is new has to be tried here");
    for (action, params, then) in tried {
        let trial = Trial::new(action, params.clone()).dry();
        let outcome = trial.run(&*place.agent(action)).await;
        match then {
            Then::Refused => {
                let failure = result(outcome).unwrap_err();
                assert_eq!(failure.class, ErrorClass::Refused, "{action}: {failure:?}");
                assert_eq!(trial.asked().len(), 1, "{action} asks");
            }
            Then::Withheld => {
                let output = result(outcome).unwrap().output;
                assert!(output.to_string().contains(r#""withheld":true"#), "{action}: {output}");
            }
            Then::Harmless => assert!(trial.asked().is_empty(), "{action}"),
        }
        assert_eq!(trial.outcomes(), [], "{action} did something");
        assert!(!place.dir.path().join("out/made").exists(), "{action} wrote");
        assert!(outside.accept().is_err(), "{action} reached the outside");
    }
}
