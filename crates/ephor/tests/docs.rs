//! What the documentation says is so: its plans are valid, its commands exist, its links lead somewhere, its tables are those of the
//! rules.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use ephor::import;
use ephor_core::policy::Policy;
use ephor_core::request;
use ephor_core::status::Status;
use ephor_core::time::Time;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every page: its name in the checkout, and its text.
fn pages() -> Vec<(String, String)> {
    let root = root();
    let beside = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(PathBuf::from).into_iter();
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    let mut names: Vec<PathBuf> = beside.chain(docs).filter(|name| name.extension().is_some_and(|e| e == "md")).collect();
    names.sort();
    let page = |name: PathBuf| (name.display().to_string(), std::fs::read_to_string(root.join(&name)).unwrap());
    names.into_iter().map(page).collect()
}

/// A fenced block: what stands behind its opening fence, the line it begins at, its text.
struct Block {
    info: String,
    line: usize,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in page.lines().zip(1..) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => open = Some(Block { info: info.trim().to_owned(), line: number + 1, text: String::new() }),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn every_plan_in_the_documentation_can_be_submitted() {
    let mut checked = 0;
    for (page, text) in pages() {
        for block in blocks(&text) {
            let place = format!("{page}:{}", block.line);
            match block.info.as_str() {
                "yaml" | "json" => panic!("{place}: say whether it is a `yaml request`, a `yaml plan` or `yaml part`"),
                "yaml request" | "yaml plan" | "json request" | "json plan" => {}
                _ => continue,
            }
            let ending = block.info.split(' ').next().unwrap();
            let imported = import::from_bytes(&format!("{place}.{ending}"), block.text.as_bytes())
                .unwrap_or_else(|e| panic!("{place}: {e}"));
            assert_eq!(imported.requests.len(), 1, "{place}");
            assert_eq!(imported.requests[0].plan.is_some(), block.text.contains("steps:"), "{place}");
            let problems = request::check(&imported.requests[0], Time::default(), &Policy::default()).err().unwrap_or_default();
            assert!(problems.is_empty(), "{place}: {problems:?}");
            checked += 1;
        }
    }
    assert!(checked >= 5, "only {checked} plans were found");
}

/// A command as the documentation shows it: its noun and verb, and the flags it is given.
fn commands(line: &str) -> Vec<(Vec<String>, Vec<String>)> {
    if !line.starts_with("ephor ") {
        return Vec::new();
    }
    // Side by side stand several commands, or a command and what it does, at least two spaces apart.
    let pieces = line.split("  ").map(str::trim).filter_map(|piece| piece.strip_prefix("ephor "));
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
    let command = |piece: &str| {
        let words = piece.split_whitespace().take_while(is_word).take(2).map(str::to_owned).collect();
        let flags = piece.split_whitespace().filter(|word| word.starts_with("--")).map(str::to_owned).collect();
        (words, flags)
    };
    pieces.map(command).collect()
}

#[test]
fn every_command_in_the_documentation_exists() {
    let mut shown = BTreeSet::new();
    for (_, text) in pages() {
        let quoted = text.split('`').skip(1).step_by(2).filter(|piece| !piece.contains('\n'));
        let fenced: Vec<Block> = blocks(&text).into_iter().filter(|b| b.info.is_empty()).collect();
        shown.extend(quoted.chain(fenced.iter().flat_map(|b| b.text.lines())).flat_map(commands));
    }
    assert!(shown.len() > 20, "only {shown:?} were found");
    for (words, flags) in shown {
        let command = format!("ephor {}", words.join(" "));
        let output = Command::new(env!("CARGO_BIN_EXE_ephor")).args(&words).arg("--help").output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let usage = String::from_utf8(output.stdout).unwrap();
        for flag in flags {
            assert!(usage.contains(&flag), "{command} has no {flag}");
        }
    }
}

#[test]
fn every_command_stands_on_a_line_of_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    assert!(Command::new(env!("CARGO_BIN_EXE_ephor")).args(["man", "--out", out]).output().unwrap().status.success());
    let named = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let names: Vec<String> = std::fs::read_dir(folder.path()).unwrap().map(named).collect();
    let names: Vec<&str> = names.iter().map(|name| name.strip_suffix(".1").unwrap()).collect();
    let page = std::fs::read_to_string(root().join("docs/cli.md")).unwrap();
    // A noun with verbs is no command by itself.
    let is_command = |name: &&str| !names.iter().any(|other| other.starts_with(&format!("{name}-")));
    for name in names.iter().filter(|name| is_command(name)) {
        let row = format!("| `{}` | ", name.replace('-', " "));
        assert!(page.contains(&row), "docs/cli.md has no line {row}");
    }
}

#[test]
fn every_link_in_the_documentation_leads_somewhere() {
    let pages = pages();
    for (page, text) in &pages {
        let folder = root().join(page).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root().join(page) } else { folder.join(path) };
            assert!(target.exists(), "{page}: {link} leads nowhere");
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                let headings = text.lines().filter_map(|l| Some(l.strip_prefix('#')?.trim_start_matches('#').trim()));
                let slug = |h: &str| {
                    h.to_lowercase().replace(|c: char| !(c.is_alphanumeric() || " -_".contains(c)), "").replace(' ', "-")
                };
                assert!(headings.map(slug).any(|s| s == anchor), "{page}: {link} names no heading");
            }
        }
    }
}

/// The table of legal moves as `docs/lifecycle.md` shows it.
fn legal_moves() -> String {
    let mut table = String::from("| from | to |\n|---|---|\n");
    for status in Status::ALL {
        let next: Vec<&str> = status.successors().iter().map(|s| s.word()).collect();
        let next = if next.is_empty() { "nothing: it has ended".to_owned() } else { next.join(", ") };
        table.push_str(&format!("| {status} | {next} |\n"));
    }
    table
}

/// `EPHOR_BLESS=1` writes the table instead of comparing it.
#[test]
fn the_table_of_legal_moves_is_that_of_the_rules() {
    let path = root().join("docs/lifecycle.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- begin: legal moves -->\n", "<!-- end: legal moves -->");
    let (before, rest) = text.split_once(begin).expect("the table has a beginning");
    let (shown, after) = rest.split_once(end).expect("the table has an end");
    if std::env::var_os("EPHOR_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{}{end}{after}", legal_moves())).unwrap();
        return;
    }
    assert_eq!(shown, legal_moves(), "docs/lifecycle.md is behind the rules; EPHOR_BLESS=1 writes it anew");
}

#[test]
fn every_status_and_reason_is_explained() {
    let text = std::fs::read_to_string(root().join("docs/lifecycle.md")).unwrap();
    for status in Status::ALL {
        assert!(text.contains(&format!("| {status} | ")), "{status} is missing");
    }
}

/// Every source file of the workspace, in one text.
fn sources() -> String {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("rs") => text.push_str(&std::fs::read_to_string(path).unwrap()),
                None => folders.push(path),
                Some(_) => {}
            }
        }
    }
    text
}

#[test]
fn every_limit_in_the_documentation_has_its_name_in_the_code() {
    let (text, sources) = (std::fs::read_to_string(root().join("docs/operations.md")).unwrap(), sources());
    let table = text.split_once("## Limits").expect("there is a table of limits").1;
    let table = table.split_once("\n## ").map_or(table, |(table, _)| table);
    let mut checked = 0;
    for row in table.lines().filter(|line| line.starts_with('|')) {
        let (what, names) = row.trim_end_matches('|').rsplit_once('|').unwrap();
        for name in names.split('`').skip(1).step_by(2).filter_map(|name| name.rsplit("::").next()) {
            let known = [format!("const {name}: "), format!("pub {name}: ")].iter().any(|found| sources.contains(found));
            assert!(known || name == "Policy", "{what}: nothing in the code is called {name}");
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} names were found");
}

/// Codes of errors as they stand in a source: where one is made, and where a refusal is given its own.
fn codes_in(source: &str) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let made = regex::Regex::new(r#"ApiError::new\(\s*[\w:]+,\s*"([A-Z_]+)""#).unwrap();
    let refusals = source.split_once("impl Refusal {").map_or("", |(_, rest)| rest);
    let refusals = refusals.split_once("fn code(&self)").map_or("", |(_, rest)| rest.split("\n    }\n").next().unwrap());
    let given = regex::Regex::new(r#"=> "([A-Z_]+)""#).unwrap();
    let all = made.captures_iter(source).chain(given.captures_iter(refusals));
    all.map(|found| found[1].to_owned()).collect()
}

/// Every source of a folder, but those of tests.
fn each_source(folder: PathBuf) -> Vec<String> {
    let (mut all, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("rs") if path.ends_with("fake.rs") || path.ends_with("tests.rs") => {}
                Some("rs") => all.push(std::fs::read_to_string(path).unwrap()),
                None if path.ends_with("tests") => {}
                None => folders.push(path),
                Some(_) => {}
            }
        }
    }
    all
}

#[test]
fn every_code_of_an_error_is_documented_with_its_cause_and_cure() {
    let crates = root().join("crates");
    let all = [crates.join("ephor/src"), crates.join("core/src")].into_iter().flat_map(each_source);
    let made: BTreeSet<String> = all.flat_map(|source| codes_in(&source)).collect();
    for known in ["VALIDATION_FAILED", "TERMINAL_STATE", "STALE_ATTEMPT", "TOO_LARGE", "QUEUE_FULL"] {
        assert!(made.contains(known), "{known} was not found in the sources: {made:?}");
    }
    let page = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let errors = page.split_once("## Errors").unwrap().1.split("\n## ").next().unwrap();
    let is_code = |word: &&str| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let shown: BTreeSet<String> = errors.split('`').skip(1).step_by(2).filter(is_code).map(str::to_owned).collect();
    assert_eq!(made.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new(), "made, and not documented");
    assert_eq!(shown.difference(&made).collect::<Vec<_>>(), Vec::<&String>::new(), "documented, and never made");
    for row in errors.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
    }
}

/// The documents of the page on governance say what its examples expect of them.
#[test]
fn the_constitution_that_is_shown_rules_as_its_cases_expect() {
    let (_, page) = pages().into_iter().find(|(name, _)| name == "docs/governance.md").unwrap();
    let shown = |info: &str| blocks(&page).into_iter().find(|block| block.info == info).unwrap().text;
    let law = ephor_core::constitution::Law::read(&shown("yaml file constitution.yaml")).unwrap();
    let cases = ephor_core::constitution::cases(&shown("yaml file cases.yaml")).unwrap();
    assert!(cases.len() > 1);
    cases.iter().for_each(|case| assert!(law.test(case).is_ok(), "{}: {:?}", case.name, law.test(case)));
}
