//! What the command line says where something is refused, left out or told in part: in words and commands that work there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, text};
use serde_json::json;

#[test]
fn a_key_is_made_together_with_its_agent_or_neither_is() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let register =
        ["agent", "register", "--name", "Larry", "--external-id", "larry", "--capabilities", "call", "--key", "--json"];
    let refused = house.run(&[&register[..], &["--server", &server.url]].concat());
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("the permission to make and revoke keys"), "{}", text(&refused.stderr));
    assert_eq!(house.json(&["api", "GET", "/api/v1/agents", "--server", &server.url]), json!([]), "nobody was registered");
    // Beside the database the operator's token is found.
    let made = house.json(&register);
    assert_eq!((&made["external_id"], &made["key"]["name"]), (&json!("larry"), &json!("larry")), "one document: {made}");
    assert!(made["key"]["key"].as_str().unwrap().starts_with("ephor_key_"), "{made}");
}

#[test]
fn hints_are_commands_at_the_command_line() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    for (args, hint) in [
        (&["agent", "show", "nobody"][..], "ephor agent list"),
        (&["task", "show", "nothing"], "ephor task list --all"),
        (&["kill"], "--type TYPE, --agent AGENT"),
    ] {
        let told = house.run(&[args, &["--server", &server.url]].concat());
        let told = text(&told.stderr);
        assert!(told.contains(hint) && !told.contains("/api/") && !told.contains("everything: true"), "{args:?}: {told}");
    }
}

#[test]
fn a_list_of_events_that_goes_on_says_so() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let task = house.submit(&server, &json!({"title": "x", "action": "do"}));
    for verb in ["pause", "resume", "pause"] {
        assert!(house.run(&["task", verb, &task, "--server", &server.url]).status.success());
    }
    let part = house.run(&["task", "events", &task, "--limit", "2", "--server", &server.url]);
    let (shown, said) = (text(&part.stdout), text(&part.stderr));
    assert_eq!(shown.lines().count(), 2, "{shown}");
    let next = said.split("--after ").nth(1).unwrap_or_else(|| panic!("{said}")).split(' ').next().unwrap();
    let rest = house.run(&["task", "events", &task, "--after", next, "--limit", "2", "--server", &server.url]);
    assert_eq!((text(&rest.stdout).lines().count(), text(&rest.stderr)), (2, ""), "what follows is all there is");
}

#[test]
fn a_task_is_created_with_all_that_a_request_may_say_of_its_place() {
    let house = House::new();
    let server = house.serve("127.0.0.1:0", &["--no-agents"]);
    let at = ["--server", server.url.as_str()];
    let said = json!({"name": "kk", "external_id": "kk", "capabilities": ["do"]}).to_string();
    let agent = house.json(&["api", "POST", "/api/v1/agents", "-d", &said, at[0], at[1]])["id"].as_str().unwrap().to_owned();
    let first = house.submit(&server, &json!({"title": "first", "action": "do", "external_id": "first"}));
    let whole = house.submit(&server, &json!({"title": "whole", "action": "do", "external_id": "whole"}));
    let made = house.json(
        &[
            &[
                "task",
                "create",
                "--title",
                "x",
                "--action",
                "do",
                "--agent",
                &agent,
                "--affinity",
                "session",
                "--max-retries",
                "2",
            ],
            &["--depends-on", "first", "--parent", &whole, "--queue-timeout", "30m", "--json"][..],
            &at,
        ]
        .concat(),
    );
    assert_eq!((&made["agent"], &made["max_retries"], &made["status"]), (&json!(agent), &json!(2), &json!("PENDING")), "{made}");
    assert_eq!(made["parent_task_id"], json!(whole), "{made}");
    let waits = house.json(&["why", made["id"].as_str().unwrap(), "--json", at[0], at[1]]);
    assert!(waits.to_string().contains(&first), "{waits}");
    let to = house.run(&["task", "override", &whole, "approve", "--to", "x", "--reason", "y", at[0], at[1]]);
    assert!(text(&to.stderr).contains("--to goes with rollback alone"), "{}", text(&to.stderr));
}
