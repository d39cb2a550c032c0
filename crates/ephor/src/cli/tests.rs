//! Command lines from end to end, over tasks in memory.

use super::fake::{Ran, World, ephor};
use super::{ALIAS, Cli, Exit, parse};
use crate::host::Need;
use clap::CommandFactory;
use ephor_core::status::Status;
use std::path::PathBuf;
use std::sync::Arc;

/// A file with a plan, in a folder of its own.
fn job(yaml: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("job.yaml");
    std::fs::write(&path, yaml).unwrap();
    (dir, path)
}

const TWO_STEPS: &str = "
title: Two steps
plan:
  steps:
    - {id: first, title: Try it, action: fail.once, retry_policy: {initial: 1s, jitter: 0}}
    - {id: second, title: Say it, action: echo, needs: [first], params: {text: \"hello ${task.payload.name}\"}}
";

async fn run(world: &Arc<World>, path: &std::path::Path, more: &[&str]) -> Ran {
    let path = path.to_str().unwrap();
    let line: Vec<&str> = ["run", path].iter().chain(more).copied().collect();
    ephor(world, false, &line).await
}

#[tokio::test(start_paused = true)]
async fn how_much_the_built_in_agents_do_at_once_stands_in_the_configuration_and_a_flag_outranks_it() {
    let (dir, path) = job(TWO_STEPS);
    let config = dir.path().join("ephor.yaml");
    std::fs::write(&config, "task_execution:\n  max_concurrent_tasks: 3\n").unwrap();
    for (more, agents) in [(&[][..], 3), (&["--agents", "2"][..], 2)] {
        let world = World::new();
        let line: Vec<&str> = more.iter().copied().chain(["--config", config.to_str().unwrap()]).collect();
        run(&world, &path, &line).await;
        let opened = world.opened.lock().unwrap().clone();
        let told = |need: &Need| matches!(need, Need::Work(work) if work.agents == Some(agents));
        assert!(opened.iter().any(told), "{opened:?}");
    }
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn it_answers_to_its_other_name_and_reads_the_printed_calls() {
    let line = format!(
        "/usr/bin/{ALIAS} task create --description x --mode auto --priority high --requirements secure,scalable,tested --deadline 2024-12-31"
    );
    let args: Vec<std::ffi::OsString> = line.split(' ').map(Into::into).collect();
    assert!(parse(&args).is_ok(), "{:?}", parse(&args));
    for line in ["task watch task_1", "task status task_1 --verbose"] {
        let args: Vec<std::ffi::OsString> = std::iter::once(ALIAS).chain(line.split(' ')).map(Into::into).collect();
        assert!(parse(&args).is_ok(), "{line}");
    }
    let help = parse(&[ALIAS.into(), "task".into(), "--help".into()]).unwrap_err().to_string();
    assert!(help.contains("Usage: agent-agency-cli task"), "{help}");
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_ends_with_2() {
    let world = World::new();
    for line in [
        &["task", "cancel", "@last"][..],
        &["task", "create"],
        &["task", "create", "-d", "x", "--priority", "higher"],
        &["task", "escalate", "x"],
        &["task", "list", "--counts", "--all"],
        &["task", "show", "x", "--version", "1", "--at", "2026-01-01"],
        &["task", "list", "--status", "flying"],
        &["review", "confirm", "x", "1"],
        &["review", "confirm", "x", "1", "--fail"],
        &["review", "vote", "x", "reject"],
        &["task", "list", "--json", "-q"],
        &["task", "effects", "x", "--settle", "effect_00000000000000000000000000"],
        &["fly"],
        &[],
    ] {
        let ran = ephor(&world, false, line).await;
        assert_eq!(ran.exit, Exit::Usage, "{line:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{line:?}");
    }
    assert_eq!(ephor(&world, false, &["--help"]).await.exit, Exit::Done);
    assert_eq!(ephor(&world, false, &["task", "erase", "x"]).await.exit, Exit::Usage, "nobody can be asked");
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_is_told_as_json_where_json_is_wanted() {
    let world = World::new();
    for line in [
        &["--json", "task", "foo"][..],
        &["task", "cancel", "@last", "-o", "json"],
        &["task", "list", "--status", "flying", "--output=ndjson"],
    ] {
        let ran = ephor(&world, false, line).await;
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Usage, ""), "{line:?}");
        let told: serde_json::Value = serde_json::from_str(&ran.err).unwrap_or_else(|e| panic!("{e}: {}", ran.err));
        assert_eq!(told["code"], "USAGE");
        assert!(!told["message"].as_str().unwrap().is_empty() && !told["message"].as_str().unwrap().contains("error:"), "{told}");
    }
    let plain = ephor(&world, false, &["task", "foo"]).await;
    assert!(plain.err.starts_with("error:"), "{}", plain.err);
    assert!(ephor(&world, false, &["--json", "--help"]).await.out.contains("Usage"));
}

#[tokio::test(start_paused = true)]
async fn of_tasks_of_one_name_the_source_decides_and_delete_archives() {
    let world = World::new();
    for source in ["jira", "mail"] {
        let line = ["task", "create", "-d", source, "--external-id", "E-1", "--source", source];
        assert_eq!(ephor(&world, false, &line).await.exit, Exit::Done);
    }
    assert_eq!(ephor(&world, false, &["task", "show", "E-1"]).await.exit, Exit::Error);
    let shown = ephor(&world, false, &["task", "show", "E-1", "--source", "mail"]).await;
    assert!(shown.exit == Exit::Done && shown.out.contains("mail"), "{}{}", shown.out, shown.err);
    let paused = ephor(&world, false, &["task", "--source", "jira", "pause", "E-1"]).await;
    assert!(paused.exit == Exit::Done && paused.out.contains("jira"), "{}{}", paused.out, paused.err);
    let counted = ephor(&world, false, &["task", "list", "--counts"]).await;
    assert!(counted.out.contains("PAUSED") && counted.err.contains("2 in all"), "{}{}", counted.out, counted.err);
    for (verb, more) in [("cancel", &["--reason", "x"][..]), ("delete", &[])] {
        let line: Vec<&str> = ["task", verb, "E-1", "--source", "mail"].iter().chain(more).copied().collect();
        assert_eq!(ephor(&world, false, &line).await.exit, Exit::Done, "{verb}");
    }
    let archived = ephor(&world, false, &["task", "show", "E-1", "--source", "mail", "--json"]).await;
    let archived: serde_json::Value = serde_json::from_str(&archived.out).unwrap();
    assert_eq!((&archived["archived"], &archived["erased"]), (&serde_json::json!(true), &serde_json::Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_to_its_end_with_a_line_for_each_change_of_state() {
    let (world, (_dir, path)) = (World::new(), job(TWO_STEPS));
    let ran = run(&world, &path, &["--param", "name=Ann"]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    for line in [
        "RUNNING     1 Try it",
        "RETRYING    1 Try it  again in 1 s: NOT_FOUND: not there yet",
        "RUNNING     1 Try it  attempt 2",
        "COMPLETED   1 Try it  in ",
        "COMPLETED   2 Say it  in ",
        "COMPLETED   task",
    ] {
        assert!(ran.err.contains(line), "{line} missing in\n{}", ran.err);
    }
    assert!(ran.out.contains("✓ COMPLETED  Two steps") && ran.out.contains("hello Ann"), "{}", ran.out);
    let needs = world.opened.lock().unwrap();
    let [Need::Work(work)] = needs.as_slice() else { panic!("{needs:?}") };
    assert!(work.out.ends_with("ephor-out/job") && work.read.contains(&work.out));
    assert_eq!(*world.closed.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_command_goes_on_with_what_was_killed_and_begins_anew_what_has_ended() {
    let (world, (_dir, path)) = (World::new(), job(TWO_STEPS));
    // Killed while it waits for its second attempt: its future is dropped, nothing is said or closed.
    let killed = tokio::time::timeout(std::time::Duration::from_millis(900), run(&world, &path, &["--param", "name=Ann"])).await;
    assert!(killed.is_err());
    world.kill();
    assert_eq!(world.tasks_known().len(), 1);

    let ran = run(&world, &path, &["--param", "name=Ann"]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    assert!(ran.err.contains("going on with task_"), "{}", ran.err);
    assert_eq!(world.tasks_known().len(), 1);

    assert_eq!(run(&world, &path, &["--param", "name=Ann"]).await.exit, Exit::Done);
    let ids: Vec<_> = world.tasks_known().into_iter().filter_map(|t| t.external_id).collect();
    assert!(ids.len() == 2 && ids[0].ends_with(".1") && ids[1].ends_with(".2"), "{ids:?}");
    // With another parameter it is another job.
    assert_eq!(run(&world, &path, &["--param", "name=Bob"]).await.exit, Exit::Done);
    assert!(world.tasks_known()[2].external_id.as_deref().unwrap().ends_with(".1"));
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_puts_it_on_hold_says_how_to_go_on_and_the_same_command_does() {
    let (world, (_dir, path)) = (World::new(), job(TWO_STEPS));
    *world.interrupt_at.lock().unwrap() = Some(1);
    let ran = run(&world, &path, &["--param", "name=Ann"]).await;
    assert_eq!(ran.exit, Exit::Interrupted);
    assert!(ran.err.contains("to go on: ephor run ") && ran.err.contains("or    ephor task resume task_"), "{}", ran.err);
    assert_eq!(world.tasks_known()[0].status, Status::Paused);
    assert_eq!(*world.closed.lock().unwrap(), 1);
    *world.interrupt_at.lock().unwrap() = None;
    let stopped = ephor(&world, false, &["why", "@last"]).await;
    assert!(stopped.out.contains("interrupted at the terminal"), "{}", stopped.out);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_needs_a_person_or_an_agent_that_is_not_there_ends_with_6_and_the_act() {
    let (world, (_dir, path)) = (World::new(), job("{title: x, plan: {confidence: 0.4, steps: [{action: echo}]}}"));
    let ran = run(&world, &path, &[]).await;
    assert_eq!(ran.exit, Exit::NeedsSomebody, "{}", ran.err);
    assert!(ran.err.contains("next: ephor plan accept task_") && ran.err.contains("then: ephor run "), "{}", ran.err);
    assert_eq!(ephor(&world, false, &["plan", "accept", "@last"]).await.exit, Exit::Done);
    assert_eq!(run(&world, &path, &[]).await.exit, Exit::Done);

    let (_dir, path) = job("{title: y, action: paint.house}");
    let ran = run(&World::new(), &path, &[]).await;
    assert_eq!(ran.exit, Exit::NeedsSomebody, "{}", ran.err);
    assert!(ran.out.contains("no agent able to paint.house"), "{}", ran.out);
}

#[tokio::test(start_paused = true)]
async fn a_job_without_success_ends_with_5_and_shows_what_went_wrong() {
    let (world, (_dir, path)) = (World::new(), job("{title: x, max_retries: 0, action: fail.always}"));
    let ran = run(&world, &path, &[]).await;
    assert_eq!(ran.exit, Exit::NoSuccess, "{}", ran.err);
    assert!(ran.out.contains("✕ FAILED  x") && ran.out.contains("makes no sense"), "{}", ran.out);
}

#[tokio::test(start_paused = true)]
async fn for_programs_a_run_is_its_events_one_a_line() {
    let (world, (_dir, path)) = (World::new(), job(TWO_STEPS));
    let ran = run(&world, &path, &["--json", "--param", "name=Ann"]).await;
    let kinds: Vec<String> =
        ran.out.lines().map(|line| serde_json::from_str::<ephor_core::view::EventView>(line).unwrap().kind).collect();
    assert_eq!((kinds.first().map(String::as_str), kinds.last().map(String::as_str)), (Some("SUBMITTED"), Some("COMPLETED")));
    assert!(ran.err.is_empty(), "{}", ran.err);
}

#[tokio::test(start_paused = true)]
async fn on_a_terminal_a_picture_is_drawn_over_itself_and_taken_away() {
    let (world, (_dir, path)) = (World::new(), job(TWO_STEPS));
    let line = ["run", path.to_str().unwrap(), "--param", "name=Ann"];
    let ran = ephor(&world, true, &line).await;
    assert!(ran.err.contains("Two steps") && ran.err.contains("again in 1 s: not there yet"), "{}", ran.err);
    assert!(ran.err.trim_end().ends_with("\u{1b}[J"), "{:?}", &ran.err[ran.err.len() - 40..]);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_created_listed_steered_and_explained() {
    let world = World::new();
    let other = World::new();
    ephor(&other, false, &["task", "create", "-d", "Hidden \u{202e}words", "--action", "paint"]).await;
    let hidden = ephor(&other, false, &["task", "list"]).await;
    assert!(hidden.out.contains("Hidden words") && !hidden.out.contains('\u{202e}'), "{}", hidden.out);
    let created = ephor(&world, false, &["task", "create", "-d", "Paint the house", "--action", "paint", "-q"]).await;
    let id = created.out.trim().to_owned();
    assert!(id.starts_with("task_"), "{}{}", created.out, created.err);
    let list = ephor(&world, false, &["task", "list"]).await;
    assert!(
        list.out.contains("SCHEDULED") && list.out.contains("Paint the house") && !list.out.contains('\u{202e}'),
        "{}",
        list.out
    );
    assert!(ephor(&world, false, &["task", "pause", &id[..20], "--reason", "lunch"]).await.out.contains("PAUSED"));
    assert!(ephor(&world, false, &["why", &id]).await.out.contains("lunch"));
    assert_eq!(ephor(&world, false, &["task", "watch", &id, "--until", "blocked"]).await.exit, Exit::NeedsSomebody);
    assert_eq!(ephor(&world, false, &["task", "resume", &id]).await.exit, Exit::Done);
    assert_eq!(ephor(&world, false, &["task", "watch", &id, "--timeout", "2s"]).await.exit, Exit::TimedOut);
    assert_eq!(ephor(&world, false, &["task", "cancel", &id, "--reason", "moved out"]).await.exit, Exit::Done);
    let again = ephor(&world, false, &["task", "pause", &id, "--json"]).await;
    assert_eq!(again.exit, Exit::Conflict);
    let told: serde_json::Value = serde_json::from_str(&again.err).unwrap();
    assert_eq!(
        (told["code"].as_str(), told["hint"].as_str()),
        (Some("TERMINAL_STATE"), Some(format!("ephor task show {id}").as_str()))
    );
    assert_eq!(ephor(&world, false, &["task", "show", "task_7zzz"]).await.exit, Exit::NotFound);
    assert_eq!(ephor(&world, false, &["task", "watch", &format!("http://x/tasks/{id}?tab=1")]).await.exit, Exit::NoSuccess);
    assert!(ephor(&world, false, &["task", "list"]).await.out.lines().count() == 1);
    assert!(ephor(&world, false, &["task", "list", "--all", "-o", "id"]).await.out.trim() == id);
    let shown = ephor(&world, false, &["task", "status", &id, "--verbose"]).await;
    assert!(shown.out.contains("moved out") && shown.out.contains("REQUESTED"), "{}", shown.out);
    let events = ephor(&world, false, &["task", "events", &id]).await;
    assert!(events.out.lines().count() >= 4 && events.out.contains("CANCELLED"), "{}", events.out);
}

#[tokio::test(start_paused = true)]
async fn reviews_are_shown_and_voted_in() {
    let world = World::new();
    let line = ["task", "create", "-d", "Sell the house", "--risk", "high", "--action", "noop"];
    assert!(ephor(&world, false, &line).await.out.contains("DELIBERATING"));
    let shown = ephor(&world, false, &["review", "show", "@last"]).await;
    assert!(shown.out.contains("OPEN  ADMISSION"), "{}", shown.out);
    let voted = ephor(&world, false, &["review", "vote", "@last", "approve"]).await;
    assert_eq!(voted.exit, Exit::Done, "{}", voted.err);
}

#[tokio::test(start_paused = true)]
async fn versions_of_a_plan_are_told_by_how_they_differ() {
    let (world, (_dir, path)) = (
        World::new(),
        job("
title: Paint the house
plan:
  steps:
    - {id: mix, action: mix}
    - {id: paint, title: Paint it, action: paint, needs: [mix], timeout: 5m}
    - {id: dry, action: dry, needs: [paint]}
"),
    );
    let made = ephor(&world, false, &["plan", "import", path.to_str().unwrap(), "-q"]).await;
    let id = made.out.trim();
    let first = ephor(&world, false, &["plan", "show", id, "--diff"]).await;
    assert_eq!((first.exit, first.out.trim()), (Exit::Done, "version 1 is the first plan; nothing differs"));
    let (_dir, other) = job("
title: x
plan:
  steps:
    - {id: mix, action: mix}
    - {id: paint, title: Paint it, action: paint, needs: [mix], timeout: 10m}
    - {id: wait, action: wait.for, params: {duration: 1h}, needs: [paint]}
");
    assert_eq!(ephor(&world, false, &["plan", "replace", id, other.to_str().unwrap()]).await.exit, Exit::Done);
    let told = ephor(&world, false, &["plan", "show", id, "--diff", "--ascii"]).await;
    let wanted = "version 2 differs from 1\n  + 3 wait (wait.for)\n  - 3 dry (dry)\n  ~ 2 paint Paint it (paint)\n      timeout: \"5m\" -> \"10m\"\n  1 steps as before\n";
    assert_eq!(told.out, wanted, "{}", told.err);
    let json = ephor(&world, false, &["plan", "show", id, "--diff", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json[0]["added"][0]["key"], &json[0]["to"]), (&serde_json::json!("wait"), &serde_json::json!(2)));
}

#[tokio::test]
async fn a_plan_is_checked_without_an_engine() {
    let (world, (_dir, path)) = (World::new(), job(TWO_STEPS));
    let ran = ephor(&world, false, &["plan", "check", path.to_str().unwrap()]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    assert!(ran.out.contains("2 steps in 2 ranks, at most 1 side by side"), "{}", ran.out);
    let (_dir, wrong) = job("{title: x, plan: {steps: [{id: a, action: x, needs: [b]}, {id: b, action: x, needs: [a]}]}}");
    let ran = ephor(&world, false, &["plan", "check", wrong.to_str().unwrap()]).await;
    assert_eq!(ran.exit, Exit::Error);
    assert!(ran.err.starts_with("error[validation_failed]: x: the plan cannot be carried out as it is\n  "), "{}", ran.err);
    assert_eq!(ephor(&world, false, &["plan", "check", "/nowhere.yaml"]).await.exit, Exit::NotFound);
    assert!(world.opened.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_database_is_looked_after_behind_the_host() {
    let world = World::new();
    let doctor = ephor(&world, false, &["doctor", "--ascii"]).await;
    assert_eq!(doctor.exit, Exit::Error);
    assert!(doctor.out.contains("x  no work has two leases") && doctor.err.contains("1 of 2 checks failed"), "{}", doctor.out);
    assert_eq!(ephor(&world, false, &["audit", "verify"]).await.exit, Exit::Done);
    assert!(ephor(&world, false, &["migrate", "status"]).await.out.contains("0001    store"));
    assert_eq!(ephor(&world, false, &["migrate", "down"]).await.exit, Exit::Usage);
    let map = ephor(&world, false, &["lifecycle", "--json"]).await;
    let map: serde_json::Value = serde_json::from_str(&map.out).unwrap();
    assert_eq!(map.as_array().unwrap().len(), Status::ALL.len());
    let next =
        ["schedule", "next", "--cron", "0 9 * * 1-5", "--time-zone", "Europe/Berlin", "--from", "2026-03-27T08:00:00Z", "--json"];
    let next: serde_json::Value = serde_json::from_str(&ephor(&world, false, &next).await.out).unwrap();
    assert_eq!((next.as_array().unwrap().len(), next[0].as_str()), (5, Some("2026-03-30T07:00:00Z")));
    let wrong = ephor(&world, false, &["schedule", "next", "--cron", "0 25 * * *"]).await;
    assert!(wrong.exit == Exit::Usage && wrong.err.contains("recurrence.cron"), "{}", wrong.err);
    assert_eq!(ephor(&world, false, &["schedule", "next", "--times", "3"]).await.exit, Exit::Usage);
    assert!(ephor(&world, false, &["version"]).await.out.starts_with("ephor "));
}

#[tokio::test(start_paused = true)]
async fn the_inbox_holds_what_a_person_is_asked_for_and_how_to_answer() {
    let world = World::new();
    let empty = ephor(&world, false, &["inbox"]).await;
    assert_eq!((empty.exit, empty.err.as_str()), (Exit::Done, "nothing needs a person\n"));
    let made = ephor(&world, false, &["task", "create", "-d", "Change the keys", "--mode", "strict", "-q"]).await;
    let task = made.out.trim();
    let inbox = ephor(&world, false, &["inbox", "--json"]).await;
    let asked: serde_json::Value = serde_json::from_str(&inbox.out).unwrap();
    assert_eq!((asked[0]["reason"].as_str(), asked[0]["task_id"].as_str()), (Some("REVIEW"), Some(task)));
    assert!(asked[0]["acts"][0]["command"].as_str().unwrap().starts_with(&format!("ephor review vote {task}")), "{asked}");
    assert_eq!(ephor(&world, false, &["inbox", "-q"]).await.out.trim(), task);
    let one = ephor(&world, false, &["inbox", task]).await;
    assert!(one.out.starts_with("REVIEW  Change the keys\n  asked   votes are owed on whether it may start\n"), "{}", one.out);
    assert!(one.out.contains("in STRICT mode nothing starts") && one.out.contains("silence approves nothing"), "{}", one.out);
}

#[tokio::test(start_paused = true)]
async fn everything_is_watched_from_now_on() {
    let world = World::new();
    assert_eq!(ephor(&world, false, &["task", "create", "-d", "before", "--action", "echo"]).await.exit, Exit::Done);
    let watching = ephor(&world, false, &["watch", "--timeout", "30s", "--json"]);
    let (watched, made) =
        tokio::join!(watching, ephor(&world, false, &["task", "create", "-d", "after", "--action", "echo", "-q"]));
    assert_eq!(watched.exit, Exit::TimedOut, "{}", watched.err);
    assert!(watched.out.contains(made.out.trim()), "{}", watched.out);
    assert_eq!(watched.out.matches("SUBMITTED").count(), 1, "{}", watched.out);
}

#[tokio::test]
async fn what_needs_a_server_says_so_where_there_is_none() {
    let world = World::new();
    for line in [&["agent", "list"][..], &["agent", "run"], &["api", "GET", "/health/live"]] {
        let ran = ephor(&world, false, line).await;
        assert_eq!(ran.exit, Exit::Unreachable, "{line:?}: {}", ran.err);
    }
    assert_eq!(ephor(&world, false, &["config", "list"]).await.exit, Exit::Done);
    assert!(ephor(&world, false, &["completion", "zsh"]).await.out.contains("#compdef ephor"));
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_not_tried_again_and_export_writes_no_file_by_the_name_of_a_task() {
    let world = World::new();
    assert_eq!(ephor(&world, false, &["task", "create", "-d", "x"]).await.exit, Exit::Done);
    assert_eq!(ephor(&world, false, &["task", "retry", "@last"]).await.exit, Exit::Usage, "nothing of it has failed");
    assert_eq!(ephor(&world, false, &["task", "cancel", "@last", "--reason", "x"]).await.exit, Exit::Done);
    let late = ephor(&world, false, &["task", "retry", "@last", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&late.err).unwrap();
    assert_eq!((late.exit, &told["code"]), (Exit::Conflict, &serde_json::json!("TERMINAL_STATE")));
    let export = ephor(&world, false, &["task", "export", "@last"]).await;
    assert!(export.exit == Exit::Usage && export.err.contains("ephor task show @last --json"), "{}", export.err);
    assert!(!std::path::Path::new("@last").exists());
}

#[tokio::test(start_paused = true)]
async fn a_list_is_narrowed_by_due_time_and_events_by_their_types() {
    let world = World::new();
    assert_eq!(ephor(&world, false, &["task", "create", "-d", "x", "--due", "2027-01-01"]).await.exit, Exit::Done);
    let shown = ephor(&world, false, &["task", "show", "@last", "--json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["due_at"], "2027-01-01T00:00:00Z");
    assert_eq!(ephor(&world, false, &["task", "list", "--before", "2027-01-02"]).await.exit, Exit::Done);
    assert_eq!(ephor(&world, false, &["task", "pause", "@last"]).await.exit, Exit::Done);
    let paused = ephor(&world, false, &["task", "events", "@last", "--type", "paused", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&paused.out).unwrap();
    assert_eq!((told.as_array().unwrap().len(), &told[0]["type"]), (1, &serde_json::json!("PAUSED")), "{told}");
    // However few of them are asked for at once.
    let paused = ephor(&world, false, &["task", "events", "@last", "--type", "PAUSED", "--limit", "1", "-q"]).await;
    assert_eq!(paused.out.lines().count(), 1, "{}", paused.out);
    assert_eq!(ephor(&world, false, &["task", "events", "@last", "--type", "exploded"]).await.exit, Exit::Usage);
}
