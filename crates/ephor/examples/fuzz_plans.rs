//! Feeds the importer what nobody would write: seeded mutations of plans in every form it reads.
//!
//! `cargo run --release --example fuzz_plans -- SECONDS [SEED] [FOLDER]` runs for so many seconds, over its own samples and, if
//! given, over the files of a folder. A panic ends it, and so does an input that takes too long; either way the seed, and the
//! input in a file beside, tell how to meet it again.

// This program measures time; nothing it finds out depends on the clock.
#![allow(clippy::disallowed_methods)]

use ephor::import::from_bytes;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one input may take. Real plans take milliseconds; what takes longer has met something that grows too fast.
const INPUT_TIME_MAX: Duration = Duration::from_secs(2);

/// A sample of every form, written for this purpose.
const SAMPLES: [(&str, &str); 12] = [
    (
        "own.yaml",
        "title: Bake\npriority: high\nsteps:\n  - id: a\n    action: shell.run\n    with: {command: [true]}\n  - {id: b, needs: [a], retry: {maxAttempts: 2}}\n",
    ),
    (
        "own.json",
        r#"{"description":"Bake","executionMode":"dry-run","plan":{"steps":[{"id":"a","steps":[{"id":"b"}]},{"dependsOn":["a"],"timeout":"5m"}]}}"#,
    ),
    (
        "023-3.json",
        r#"{"wbs_project":{"id":"p","description":"Bread","extra_fields":{"final_deliverable":"Loaf"},"task_children":[{"id":"f","description":"Dough","task_children":[{"id":"t","description":"Mix","extra_fields":{"depends_on_task_ids":["u"],"days_realistic":3,"days_min":-1},"task_children":[{"id":"l","description":"Weigh","extra_fields":{"detailed_description":"Flour","resources_needed":["Scale"]}}]},{"id":"u","description":"Shop"}]}]}}"#,
    ),
    ("023-4.csv", "Level 1;Level 2;Level 3;Level 4;Task ID\nBread;;;;p\n;Dough;;;f\n;;Mix;;t\n;;;\"We;igh\";l\n"),
    (
        "026-3.csv",
        "project_key,project_name,project_description,project_start_date,project_end_date,project_parent\np,Bread,\"Bread\n\nFinal deliverable:\nLoaf\",1/1/2026,1/9/2026,\nf,Dough,,1/1/2026,1/5/2026,p\nl,Mix (1),\"Mix\n\nDescription:\nWell\n\nResources needed:\n• Bowl\",1/1/2026,1/3/2026,f\n",
    ),
    (
        "018-5.json",
        r#"[{"id":"f","major_phase_title":"Dough","subtasks":[{"id":"t","description":"Mix"},{"id":"u","description":"Rest"}]}]"#,
    ),
    (
        "phases.json",
        r#"{"plan_id":"x","goal":"Bread","phase_count":1,"phases":[{"phase_id":"1","name":"Dough","tasks":[{"task_id":"1a","title":"Mix","estimated_hours":2,"subtasks":[{"subtask_id":"1ai","action":"mix","params":{"min":5}}]},{"task_id":"1b","prerequisites":["1a"]}]}],"dependencies":[{"from":"1a","to":"1b","type":"finish_to_start"}]}"#,
    ),
    (
        "reply.json",
        r#"{"task_id":"t","decomposition_confidence":0.9,"decomposed_subtasks":[{"subtask_id":"a","action":"mix"},{"subtask_id":"b","action":"rest","depends_on":["a"]}]}"#,
    ),
    (
        "outline.md",
        "# Bread\n\nGoal: a loaf\n\nPHASE 1: Dough\n├─ Task 1.1: Mix\n│  └─ Subtask 1.1.1: Schedule the baker\n└─ Task 1.2: Rest\n\nPHASE 2: Oven\n- [ ] heat\n  - wait\n",
    ),
    (
        "board.json",
        "[{\"task_id\":\"a\",\"name\":\"Mix\",\"status\":\"PENDING\",\"priority\":1,\"dependencies\":[\"b\"],\"created_at\":\"{{NOW}}\"}, // next\n{\"task_id\":\"b\",\"status\":\"done\",\"estimated_time\":\"2-3 hours\"}]",
    ),
    (
        "episode.yaml",
        "episode: {number: 4, codename: Bread}\nobjectives: [eat]\nmilestones:\n- {id: a, description: Mixed}\ntask_board:\n  a: {owner: me, status: Pending, points: 3}\nagent_assignments:\n  Ann: {task_id: c, title: Rest, dependencies: [a]}\n",
    ),
    (
        "planner.json",
        r#"{"agent_id":"Ann","date":"2026-01-01","pending_tasks":[{"task_id":"a","title":"Mix","priority":"LOW","blocked_by":[{"task_id":"b"}]}],"completed_tasks":[{"task_id":"b","title":"Shop"}]}"#,
    ),
];

/// Pieces that hurt parsers.
const PIECES: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ":",
    "- ",
    ",",
    ";",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "null",
    "-1",
    "1e999",
    "&a *a",
    "\\u0000",
    "│ ",
    "task_children",
    "99999999999999999999",
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, seed) = (number(10), number(1));
    let mut corpus = samples();
    if let Some(folder) = arguments.next() {
        corpus.extend(files_in(Path::new(&folder)));
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    println!("{} samples, {seconds} s, seed {seed}", corpus.len());
    let inputs = run(&corpus, seed, |_| Instant::now() < end);
    println!("{inputs} inputs, no panic, none slower than {INPUT_TIME_MAX:?}");
}

/// The samples, as names and bytes.
pub(crate) fn samples() -> Vec<(String, Vec<u8>)> {
    SAMPLES.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

/// Every file below a folder.
pub(crate) fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            files.push((path.display().to_string(), bytes));
        }
    }
    files.sort();
    files
}

/// Imports mutations of the corpus while `go_on` says so of their count; how many there were.
pub(crate) fn run(corpus: &[(String, Vec<u8>)], seed: u64, go_on: impl Fn(u64) -> bool) -> u64 {
    let mut chance = Chance(seed);
    let mut count = 0;
    while go_on(count) {
        let (name, bytes) = &corpus[chance.below(corpus.len())];
        let mut input = bytes.clone();
        for _ in 0..=chance.below(4) {
            mutate(&mut input, corpus, &mut chance);
        }
        check(name, &input);
        count += 1;
    }
    count
}

/// Imports one input, and panics where that panics or takes too long.
pub(crate) fn check(name: &str, input: &[u8]) {
    let started = Instant::now();
    let outcome = std::panic::catch_unwind(|| {
        // Errors and reports are shown to people: writing them must hold as well.
        match from_bytes(name, input) {
            Ok(imported) => (imported.report.to_string(), serde_json::to_string(&imported.report).is_ok()),
            Err(error) => (error.to_string(), true),
        }
    });
    let took = started.elapsed();
    if outcome.is_err() || took > INPUT_TIME_MAX {
        let kept = std::env::temp_dir().join("ephor-fuzz-input");
        let _ = std::fs::write(&kept, input); // the panic below says what matters
        panic!(
            "{name}: {} after {took:?}; the input is kept in {}",
            if outcome.is_err() { "panic" } else { "slow" },
            kept.display()
        );
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let to = (at + chance.below(64)).min(input.len());
    match chance.below(8) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..to)),
        2 => {
            let piece = PIECES[chance.below(PIECES.len())];
            input.splice(at..at, piece.bytes());
        }
        3 => {
            let piece = PIECES[chance.below(PIECES.len())].repeat(chance.below(500));
            input.splice(at..at, piece.bytes());
        }
        4 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = u8::try_from(chance.below(256)).unwrap_or_default();
            }
        }
        5 => {
            let copy = input[at..to].repeat(1 + chance.below(50));
            input.splice(at..at, copy);
        }
        6 => {
            let (_, other) = &corpus[chance.below(corpus.len())];
            let from = chance.below(other.len() + 1);
            let until = (from + chance.below(256)).min(other.len());
            input.splice(at..to, other[from..until].iter().copied());
        }
        _ => swap_value(input, chance),
    }
}

/// Puts a value of another type behind one of the colons.
fn swap_value(input: &mut Vec<u8>, chance: &mut Chance) {
    let colons: Vec<usize> = input.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at + 1).collect();
    if colons.is_empty() {
        return;
    }
    let at = colons[chance.below(colons.len())];
    let end = input[at..].iter().position(|byte| b",}\n".contains(byte)).map_or(input.len(), |length| at + length);
    let value = [" 7", " null", " []", " {}", " \"text\"", " [[1]]", " true", " -0.5"][chance.below(8)];
    input.splice(at..end, value.bytes());
}

/// Chance that repeats: SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap_or_default()
    }
}
