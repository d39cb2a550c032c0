//! The program itself: exit codes, what goes where, and what it needs no engine for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

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
