//! Imports of every form, whole and damaged.

#[path = "../examples/fuzz_plans.rs"]
#[allow(dead_code, reason = "the tests use the parts of the program, not its main")]
mod fuzz_plans;

use ephor::import::{ImportError, Imported, Outcome, Part, STEPS_MAX, Trouble, from_bytes, from_path};
use ephor_core::spec::{Autonomy, ExecutionMode, PlanSpec, Priority, StepSpec};
use std::path::{Path, PathBuf};

fn import(name: &str, text: &str) -> Imported {
    from_bytes(name, text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(name: &str, text: &str) -> ImportError {
    from_bytes(name, text.as_bytes()).expect_err("it is damaged")
}

fn plan(imported: &Imported) -> &PlanSpec {
    imported.requests[0].plan.as_ref().expect("it has a plan")
}

fn part(imported: &Imported) -> &Part {
    &imported.report.parts[0]
}

fn confidence(imported: &Imported) -> f64 {
    let confidence = part(imported).confidence.expect("it is a foreign form");
    let plan = plan(imported);
    assert_eq!((plan.confidence, plan.confidence_reasons.len()), (Some(confidence), part(imported).factors.len()));
    confidence
}

/// The leaves in the order of the plan, with their paths.
fn leaves(steps: &[StepSpec]) -> Vec<(String, &StepSpec)> {
    let mut all = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let path = (index + 1).to_string();
        if step.steps.is_empty() {
            all.push((path, step));
        } else {
            all.extend(leaves(&step.steps).into_iter().map(|(inner, step)| (format!("{path}.{inner}"), step)));
        }
    }
    all
}

/// A sample of the fuzzer by the name of its file.
fn sample(name: &str) -> String {
    let (_, bytes) = fuzz_plans::samples().into_iter().find(|(sample, _)| sample == name).expect("the sample is there");
    String::from_utf8(bytes).expect("samples are text")
}

// Ephor's own form.

#[test]
fn a_request_is_read_in_either_case_and_its_free_json_is_left_alone() {
    let imported = import(
        "r.json",
        r#"{"title":"t","priority":"high","executionMode":"dry-run","maxRetries":2,
            "payload":{"invoiceAmount":{"dueDate":1}},
            "plan":{"sequential":true,"steps":[{"id":7,"dependsOn":[1],"with":{"maxItems":3},"onUnknown":"same-key",
              "retryPolicy":{"maxAttempts":2,"neverOn":["bad-input"]},"gates":[{"kind":"code_style"}]}]}}"#,
    );
    let request = &imported.requests[0];
    assert_eq!((request.priority, request.execution_mode), (Priority::High, Some(ExecutionMode::DryRun)));
    assert_eq!(request.payload, serde_json::json!({"invoiceAmount": {"dueDate": 1}}));
    let step = &plan(&imported).steps[0];
    assert_eq!((step.id.as_deref(), step.depends_on.as_slice()), (Some("7"), &["1".to_owned()][..]));
    assert_eq!((step.params["maxItems"].as_u64(), step.retry_policy.as_ref().map(|p| p.max_attempts)), (Some(3), Some(2)));
    assert_eq!((plan(&imported).confidence, part(&imported).confidence), (None, None), "nothing was guessed");
}

#[test]
fn a_bare_plan_is_named_after_its_file() {
    let imported =
        import("dir/bake bread.yaml", "sequential: true\nsteps:\n  - action: shell.run\n    subtasks:\n      - title: x\n");
    assert_eq!(imported.requests[0].title.as_deref(), Some("bake bread"));
    assert_eq!(plan(&imported).steps[0].steps[0].title.as_deref(), Some("x"));
    assert_eq!(part(&imported).counts.taken, 2);
    let titled = import("p.yaml", "title: Bread\npriority: urgent\nsequential: true\nsteps:\n  - action: x\n");
    assert_eq!((titled.requests[0].title.as_deref(), titled.requests[0].priority), (Some("Bread"), Priority::High));
    assert!(plan(&titled).sequential);
}

#[test]
fn a_printed_call_of_the_sources_is_a_request() {
    let imported = import("call.json", r#"{"type":"LEAD_FOLLOW_UP","mode":"Assisted","ownerType":"AI","subjectRefId":5}"#);
    let request = &imported.requests[0];
    assert_eq!((request.task_type.as_deref(), request.autonomy), (Some("LEAD_FOLLOW_UP"), Some(Autonomy::Assisted)));
}

#[test]
fn an_unknown_field_or_word_is_named_with_its_place_and_what_is_allowed() {
    for (name, text, words) in [
        ("p.yaml", "title: t\nsteps:\n  - id: a\n    titel: x\n", ["steps[0].titel (line 4, column 5)", "`titel`", "`title`"]),
        ("p.yaml", "title: t\npriority: soon\n", ["priority (line 2, column 1)", "`SOON`", "`CRITICAL`"]),
        ("p.json", "{\"title\": \"t\",\n \"maxRetries\": \"two\"}", ["max_retries (line 2, column 2)", "invalid type", "u32"]),
        (
            "p.yaml",
            "title: t\nplan:\n  steps:\n    - steps:\n      - 5\n",
            ["plan.steps[0].steps[0]", "expected an object", "number"],
        ),
        ("p.yaml", "title: t\nmaxRetries: 1\nmax_retries: 2\n", ["max", "given twice", "camelCase"]),
        ("p.yaml", "steps:\n  - id: 1.10\n", ["steps[0].id (line 2, column 5)", "fraction", "quotes"]),
        ("p.yaml", "steps: []\nplan: {}\n", ["p.yaml", "`steps`", "`plan`"]),
        ("p.yaml", "steps: []\ntitel: x\n", ["titel (line 2, column 1)", "`title`", "`final_review`"]),
        ("p.yaml", "steps:\n  - retry: {max_atempts: 1}\n", ["steps[0].retry", "`max_atempts`", "`max_attempts`"]),
    ] {
        let error = refused(name, text).to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

// PlanExe.

#[test]
fn a_breakdown_becomes_nested_groups_with_its_own_ids() {
    let imported = import("run/023-3.json", &sample("023-3.json"));
    let request = &imported.requests[0];
    assert_eq!((request.title.as_deref(), request.external_id.as_deref()), (Some("Bread"), Some("p")));
    assert_eq!(request.acceptance_criteria, ["Final deliverable: Loaf"]);
    let leaves = leaves(&plan(&imported).steps);
    let (path, weigh) = &leaves[0];
    assert_eq!((path.as_str(), weigh.external_id.as_deref(), weigh.id.as_deref()), ("1.1.1", Some("l"), None));
    assert_eq!((weigh.action.as_deref(), weigh.capabilities.as_slice()), (Some("work"), &["work".to_owned()][..]));
    assert_eq!(weigh.params["resources_needed"], serde_json::json!(["Scale"]));
    assert_eq!(weigh.estimate.map(|e| e.to_string()).as_deref(), Some("3d"), "the only leaf has all days of its task");
    assert_eq!(plan(&imported).steps[0].steps[0].depends_on, ["1.2"], "the older form keeps dependencies at the task");
    assert!(!plan(&imported).sequential, "the order of siblings is not applied");
    assert!(imported.report.to_string().contains("days_min -1 means unknown"));
}

#[test]
fn a_run_folder_is_read_whole_and_a_file_finds_what_is_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("023-3-wbs.json", &sample("023-3.json"));
    write("018-5-wbs_level2.json", &sample("018-5.json"));
    write(
        "021-task_dependencies_raw.json",
        r#"{"task_dependency_details":[{"dependent_task_id":"t","depends_on_task_id_list":["u","f","t","gone"],"depends_on_task_explanation_list":[]},
            {"dependent_task_id":"u","depends_on_task_id_list":["t"]},{"dependent_task_id":"lost","depends_on_task_id_list":["t"]}]}"#,
    );
    write(
        "022-2-task_durations.json",
        r#"[{"task_id":"f","days_realistic":4,"days_min":-1,"days_max":9},{"task_id":"t","days_realistic":-1}]"#,
    );
    write("001-2-plan.txt", "Bake a loaf.");
    write("notes.txt", "nothing");
    let before = std::fs::read_dir(folder.path()).unwrap().count();
    let whole = from_path(folder.path()).unwrap();
    let file = from_path(&folder.path().join("023-3-wbs.json")).unwrap();
    assert_eq!(whole.requests, file.requests);
    assert_eq!(whole.requests[0].description.as_deref(), Some("Bake a loaf."));
    let text = whole.report.to_string();
    for word in
        ["gone", "group the step is part of", "wait for itself", "closes a circle", "lost needs t", "given twice", "notes.txt"]
    {
        assert!(text.contains(word), "{word} is missing from\n{text}");
    }
    let leaves = leaves(&plan(&whole).steps);
    assert_eq!(leaves.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["1.1.1", "1.2"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before, "nothing is written into the folder");
}

#[test]
fn tables_and_levels_give_the_same_tree_as_the_breakdown() {
    let titles = |imported: &Imported| {
        leaves(&plan(imported).steps).iter().map(|(p, s)| format!("{p} {}", s.title.clone().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(titles(&import("x.csv", &sample("023-4.csv"))), ["1.1.1 We;igh"]);
    assert_eq!(titles(&import("x.csv", &sample("026-3.csv"))), ["1.1 Mix"]);
    assert_eq!(titles(&import("x.json", &sample("018-5.json"))), ["1.1 Mix", "1.2 Rest"]);
    assert!(confidence(&import("x.csv", &sample("026-3.csv"))) < 0.7, "a tree rebuilt from dates is for a person to look at");
}

#[test]
fn a_part_of_a_run_is_no_plan_and_says_what_it_is() {
    for (text, what) in [
        (r#"{"task_dependency_details":[]}"#, "021"),
        (r#"[{"task_id":"a","days_realistic":1}]"#, "022-2"),
        (r#"{"project_title":"x","final_deliverable":"y"}"#, "018-2"),
        (r#"{"work_available":true,"next_task":{}}"#, "asked for work"),
        (r#"{"task":{},"agent_capabilities":[]}"#, "a question to decompose"),
    ] {
        let error = refused("x.json", text);
        assert_eq!(error.fault.trouble, Trouble::NotAPlan);
        assert!(error.to_string().contains(what), "{error}");
    }
    let error = refused("x.json", r#"{"weather":"fine"}"#);
    assert!(error.fault.trouble == Trouble::Unrecognised && error.to_string().contains("weather. Accepted are"), "{error}");
}

// Plans of phases, outlines.

#[test]
fn phases_run_by_their_dependencies_and_a_reply_states_its_confidence() {
    let imported = import("x.json", &sample("phases.json"));
    let steps = &plan(&imported).steps;
    assert_eq!(steps[0].steps[1].depends_on, ["1.1"]);
    assert_eq!((steps[0].steps[0].estimate.map(|e| e.ms), steps[0].steps[0].sequential), (Some(7_200_000), true));
    assert_eq!(steps[0].steps[0].steps[0].params["min"], 5);
    let reply = import("x.json", &sample("reply.json"));
    assert_eq!((plan(&reply).steps[1].depends_on.as_slice(), part(&reply).factors[0].value), (&["1".to_owned()][..], 0.9));
}

#[test]
fn an_outline_runs_as_it_is_written_and_every_guess_is_reported() {
    let imported = import("x.md", &sample("outline.md"));
    assert_eq!(imported.requests[0].title.as_deref(), Some("Bread"));
    assert_eq!(imported.requests[0].description.as_deref(), Some("a loaf"));
    let leaves = leaves(&plan(&imported).steps);
    let said: Vec<_> = leaves.iter().map(|(path, step)| (path.as_str(), step.capabilities[0].as_str())).collect();
    assert_eq!(said, [("1.1.1", "schedule_calendar_event"), ("1.2", "work"), ("2.1.1", "work")]);
    assert!(plan(&imported).sequential && plan(&imported).steps.iter().all(|step| step.sequential));
    let guesses = part(&imported)
        .items
        .iter()
        .filter(|item| matches!(&item.outcome, Outcome::Changed { what } if what[0].starts_with("capability")));
    assert_eq!(guesses.count(), 3);
    assert_eq!(import("notes", &sample("outline.md")).requests[0].plan, imported.requests[0].plan, "content tells, not the name");
}

#[test]
fn prose_is_read_with_little_confidence() {
    let imported = import("x.md", "# Thoughts\n\n- it rains\n- often\n");
    assert!(confidence(&imported) < 0.5);
}

// Dream.OS.

#[test]
fn a_board_keeps_what_is_open_and_lists_what_is_not() {
    let imported = import("board.json", &sample("board.json"));
    let step = &plan(&imported).steps[0];
    assert_eq!((step.external_id.as_deref(), step.depends_on.len()), (Some("a"), 0));
    assert_eq!(imported.requests[0].priority, Priority::Critical);
    let text = imported.report.to_string();
    for word in ["not taken: already COMPLETED", "a placeholder or malformed time", "it is already COMPLETED", "comments"] {
        assert!(text.contains(word), "{word} is missing from\n{text}");
    }
}

#[test]
fn an_unknown_status_is_kept_and_a_board_with_nothing_open_asks_for_nothing() {
    let imported = import(
        "b.json",
        r#"[{"task_id":"a","title":"x","status":"half way","required_capabilities":["PYTHON"],"priority":"BLOCKED"}]"#,
    );
    let step = &plan(&imported).steps[0];
    assert_eq!(
        (step.capabilities.as_slice(), step.params["source_status"].as_str()),
        (&["python".to_owned()][..], Some("half way"))
    );
    assert_eq!(part(&imported).counts.changed, 1);
    let done = import("b.json", r#"{"task_id":"a","title":"x","status":"CLOSED"}"#);
    assert_eq!((done.requests.len(), part(&done).requested, part(&done).counts.dropped), (0, false, 1));
}

#[test]
fn an_episode_gathers_tasks_from_wherever_it_keeps_them() {
    let imported = import("e.yaml", &sample("episode.yaml"));
    let request = &imported.requests[0];
    assert_eq!((request.title.as_deref(), request.external_id.as_deref()), (Some("Bread"), Some("episode-4")));
    let steps = &plan(&imported).steps;
    assert_eq!(steps[0].description.as_deref(), Some("Mixed"), "a milestone describes the task of its id");
    assert_eq!(
        (steps[1].depends_on.as_slice(), steps[1].params["assigned_agent"].as_str()),
        (&["1".to_owned()][..], Some("Ann"))
    );
    let index = import(
        "i.yaml",
        "episodes:\n- {episode_id: '1', status: Completed}\n- {episode_id: '2', artifacts: ['A-1: first', 'A-1: again', loose]}\n",
    );
    assert_eq!((index.requests.len(), index.report.parts.len(), plan(&index).steps.len()), (1, 2, 2));
}

// Damage and size.

#[test]
fn damage_is_named_with_its_place() {
    let deep = "{\"steps\":[".repeat(10_000);
    let deep_yaml: String = (0..10_000).map(|i| format!("{}a:\n", " ".repeat(i % 300))).collect();
    for (name, bytes, words) in [
        ("empty.yaml", &b""[..], "it is empty"),
        ("latin.yaml", b"title: caf\xe9", "line 1, column 11"),
        ("utf16.json", b"\xff\xfe{\0", "UTF-16"),
        ("nul.json", b"{\"a\"\0", "line 1, column 5: a NUL"),
        ("cut.json", b"{\"wbs_project\": {\"id\":\n \"x", "line 2, column 3: no JSON"),
        ("deep.json", deep.as_bytes(), "nested deeper than 64"),
        ("deep.yaml", deep_yaml.as_bytes(), "line "),
        (
            "type.json",
            br#"{"wbs_project":{"task_children":[{"id":"a","task_children":"none"}]}}"#,
            "wbs_project.task_children[0].task_children: expected a list, found text",
        ),
        ("type.json", br#"{"phases":[5]}"#, "phases[0]: expected an object, found a number"),
        ("type.yaml", b"task_board: 5\n", "task_board: expected a map or a list of tasks"),
        ("none.json", br#"{"wbs_project":{"description":"x"}}"#, "no tasks below"),
        ("words.yaml", b"just words", "not recognised"),
        ("list.json", b"[]", "an empty list"),
    ] {
        let error = from_bytes(name, bytes).expect_err("it is damaged").to_string();
        assert!(error.starts_with(name) && error.contains(words), "{error}");
    }
    let error = from_path(Path::new("/nonexistent/plan.yaml")).unwrap_err();
    assert_eq!(error.fault.trouble, Trouble::Unreadable);
}

#[test]
fn a_plan_of_the_largest_size_is_read_and_a_larger_one_refused() {
    let board = |count: usize| {
        let task = |i: usize| format!(r#"{{"task_id":"t{i}","title":"T","dependencies":["t{}"]}}"#, i.saturating_sub(1));
        format!("[{}]", (0..count).map(task).collect::<Vec<_>>().join(","))
    };
    let imported = import("b.json", &board(STEPS_MAX));
    assert_eq!(part(&imported).counts.dependencies, STEPS_MAX - 1);
    assert_eq!(refused("b.json", &board(STEPS_MAX + 1)).fault.trouble, Trouble::TooLarge);
    let own = |count: usize| format!("steps:\n{}", "- {action: x}\n".repeat(count));
    assert_eq!(plan(&import("p.yaml", &own(20_000))).steps.len(), 20_000);
    let circle = board(50_000).replace("[\"t0\"]", "[\"t49999\"]");
    assert_eq!(part(&import("b.json", &circle)).counts.dropped, 1, "one dependency less opens the circle");
}

#[test]
fn mutations_of_every_form_neither_panic_nor_take_long() {
    let corpus = fuzz_plans::samples();
    for seed in 1..=4 {
        fuzz_plans::run(&corpus, seed, |count| count < 2_000);
    }
}

// Real files, where they are at hand.

fn data() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    data.is_dir().then_some(data)
}

#[test]
fn real_runs_import_whole_and_alike_from_every_form() {
    let Some(data) = data() else { return };
    for (run, leaves_expected, phases, edges) in [
        ("clear_english", 130, 5, 28),
        ("euro_adoption", 124, 6, 13),
        ("heatwave_resilience", 144, 5, 12),
        ("hong_kong_game", 133, 5, 16),
        ("nuuk_clay_workshop", 211, 10, 10),
    ] {
        let folder = data.join("planexe").join(run);
        let whole = from_path(&folder).unwrap();
        assert_eq!((plan(&whole).steps.len(), leaves(&plan(&whole).steps).len()), (phases, leaves_expected), "{run}");
        assert_eq!(part(&whole).counts.dependencies, edges, "{run}");
        assert!(confidence(&whole) >= 0.7, "{run}\n{}", whole.report);
        let ids = |imported: &Imported| {
            leaves(&plan(imported).steps).into_iter().map(|(path, step)| (path, step.external_id.clone())).collect::<Vec<_>>()
        };
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["023-2", "023-3", "023-4", "026-3"].iter().any(|kind| name.starts_with(kind)) {
                assert_eq!(ids(&from_path(&path).unwrap()), ids(&whole), "{run} {name}");
            }
            if ["018-5", "019"].iter().any(|kind| name.starts_with(kind)) {
                assert_eq!(plan(&from_path(&path).unwrap()).steps.len(), phases, "{run} {name}");
            }
        }
    }
}

#[test]
fn real_plans_of_other_kinds_import_with_what_they_hold() {
    let Some(data) = data() else { return };
    for (file, requests, steps, dependencies, sure) in [
        ("planexe_small/find_tv_remote/wbs_project.json", 1, 7, 6, true),
        ("planexe_small/find_tv_remote/wbs_table.csv", 1, 37, 0, false),
        ("planexe_small/solarfarm", 1, 18, 7, false),
        ("planexe_small/solarfarm/solarfarm_wbs_level3.json", 1, 18, 7, false),
        ("planexe_ax/07_post_api_agents_agent_id_decompose.json", 1, 3, 2, true),
        ("planexe_ax/10_plan_object_structured.json", 1, 2, 0, false),
        ("planexe_ax/larry_prospecting_plan.md", 1, 19, 0, true),
        ("dreamos/central_task_boards/task_backlog.json", 1, 12, 1, true),
        ("dreamos/central_task_boards/task_ready_queue.json", 1, 2, 0, true),
        ("dreamos/central_task_boards/working_tasks.json", 1, 1, 0, false),
        ("dreamos/central_task_boards/completed_tasks.json", 0, 0, 0, false),
        ("dreamos/central_task_boards/backlog/REFACTOR-MAILBOX-ASYNC-001.json", 0, 0, 0, false),
        ("dreamos/duplicates/future_tasks.json", 1, 8, 0, true),
        ("dreamos/duplicates/mission_COMPLETE_EPISODE_02.json", 0, 0, 0, false),
        ("dreamos/episodes/dummy_episode.yaml", 1, 2, 0, true),
        ("dreamos/episodes/episode-01.yaml", 0, 0, 0, false),
        ("dreamos/episodes/episode-03.yaml", 1, 7, 0, false),
        ("dreamos/episodes/episode-07.yaml", 1, 8, 0, true),
        ("dreamos/episodes/episode_5.yaml", 1, 5, 0, true),
        ("dreamos/episodes/EPISODE_INDEX.yaml", 3, 5, 0, true),
        ("dreamos_v2/Agent-1_cycle_planner_tasks_2025-12-10.json", 1, 4, 1, true),
    ] {
        let imported = from_path(&data.join(file)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(imported.requests.len(), requests, "{file}");
        if requests > 0 {
            let found = part_with_request(&imported);
            assert_eq!(
                (leaves(&plan(&imported).steps).len(), found.counts.dependencies),
                (steps, dependencies),
                "{file}\n{}",
                imported.report
            );
            assert_eq!(found.confidence.unwrap() >= 0.7, sure, "{file}\n{}", imported.report);
        }
    }
}

fn part_with_request(imported: &Imported) -> &Part {
    imported.report.parts.iter().find(|part| part.requested).expect("one part has a request")
}

#[test]
fn the_prospecting_outline_runs_in_order_with_confidence() {
    let Some(data) = data() else { return };
    let imported = from_path(&data.join("planexe_ax/larry_prospecting_plan.md")).unwrap();
    let paths: Vec<String> = leaves(&plan(&imported).steps).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths[..7], ["1.1.1", "1.1.2", "1.2.1", "1.2.2", "1.2.3", "1.3", "2.1.1"]);
    assert!(confidence(&imported) >= 0.7 && plan(&imported).sequential);
    assert!(leaves(&plan(&imported).steps).iter().all(|(_, step)| step.capabilities != ["work"]));
}

#[test]
fn damaged_copies_of_real_files_end_in_an_error_or_a_report() {
    let Some(data) = data() else { return };
    let files = fuzz_plans::files_in(&data);
    for (name, bytes) in &files {
        for cut in 1..8 {
            fuzz_plans::check(name, &bytes[..bytes.len() * cut / 8]);
        }
        let wide: Vec<u8> = String::from_utf8_lossy(bytes).encode_utf16().flat_map(u16::to_le_bytes).collect();
        let error = from_bytes(name, &wide).unwrap_err();
        assert_eq!(error.fault.trouble, Trouble::Encoding, "{name}");
    }
    fuzz_plans::run(&files, 7, |count| count < 300);
}
