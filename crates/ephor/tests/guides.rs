//! The guides are walked: what they say is typed, and what they show is what is seen.
//!
//! | block of a page | what is done with it |
//! |---|---|
//! | `KIND file NAME` | written to that file |
//! | `sh serve` | the server of the page is started like this, before anything else is typed, on a port of its own |
//! | `sh walk` | typed line by line, in order, in the folder of the server; each line ends well, or as `# exit N` behind it says |
//! | `text shows` | each line is found, in this order, in what the walk before it showed; `…` stands for anything |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{House, text};
use std::path::{Path, PathBuf};

/// Behind what a walk shows stands this, with its number.
const MARK: &str = "=== walked";
/// How long a page may take, in seconds: what hangs is the mistake of the page.
const PATIENCE_S: &str = "240";

/// A part of a page that is done.
#[derive(Debug, PartialEq)]
enum Part {
    File(String, String),
    Serve(Vec<String>),
    Walk(String),
    Shows(String),
}

fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => {
                let (info, body) = open.take().unwrap();
                match info.split(' ').collect::<Vec<_>>()[..] {
                    [_, "file", name] => parts.push(Part::File(name.to_owned(), body)),
                    ["sh", "serve"] => {
                        let words = body.trim().strip_prefix("ephor serve").expect("it is a server").split_whitespace();
                        parts.push(Part::Serve(words.map(str::to_owned).collect()));
                    }
                    ["sh", "walk"] => parts.push(Part::Walk(body)),
                    ["text", "shows"] => parts.push(Part::Shows(body)),
                    _ => {}
                }
            }
            (Some(info), None) => open = Some((info.to_owned(), String::new())),
            (None, Some((_, body))) => body.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    parts
}

/// What is typed as a script that ends where a line does not end as it should.
fn script(walk: &str) -> String {
    let mut script = String::new();
    for line in walk.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty()) {
        let (typed, code) = line.rsplit_once("# exit ").unwrap_or((line, "0"));
        let told = typed.trim().replace('\'', "'\\''");
        script.push_str(&format!(
            "code=0; {typed}\ncode=$?; if [ $code != {code} ]; then echo '{told}' ended with $code, not {code}; exit 99; fi\n"
        ));
    }
    script
}

/// Whether a line is like one that is shown, in which `…` stands for anything.
fn is_like(shown: &str, line: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, line) = (squeezed(shown), squeezed(line));
    let mut rest = line.as_str();
    let pieces: Vec<&str> = shown.split('…').map(str::trim).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let found = if n == 0 { rest.starts_with(piece).then_some(0) } else { rest.find(piece) };
        let Some(at) = found else { return false };
        rest = &rest[at + piece.len()..];
    }
    let last = pieces.last().copied().unwrap_or_default();
    match pieces.len() {
        1 => rest.is_empty(),
        _ => last.is_empty() || line.ends_with(last),
    }
}

/// Types a page; answers how many lines were typed and how many seen.
fn walked(name: &str) -> (usize, usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let page = std::fs::read_to_string(path).unwrap();
    let parts = parts(&page);
    let house = House::new();
    let mut served = None;
    let (mut typed, mut wanted) = (String::from("exec 2>&1\n"), Vec::new());
    let (mut walks, mut lines) = (0, 0);
    for part in &parts {
        match part {
            Part::File(file, body) => {
                // What is there before the server is there when it starts.
                if served.is_none() {
                    std::fs::write(house.path(file), body).unwrap();
                } else {
                    typed.push_str(&format!("cat > {file} <<'END_OF_FILE'\n{body}END_OF_FILE\n"));
                }
            }
            Part::Serve(args) => {
                assert!(served.is_none(), "{name}: one server is enough");
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                served = Some(house.serve("127.0.0.1:0", &args));
            }
            Part::Walk(walk) => {
                walks += 1;
                lines += walk.lines().count();
                typed.push_str(&script(walk));
                typed.push_str(&format!("echo '{MARK} {walks}'\n"));
            }
            Part::Shows(shown) => wanted.push((walks, shown)),
        }
    }
    let server = served.unwrap_or_else(|| panic!("{name}: who serves?"));
    let program: PathBuf = Path::new(env!("CARGO_BIN_EXE_ephor")).parent().unwrap().into();
    let search = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = house.command("timeout", &[PATIENCE_S, "sh", "-c", &typed]);
    let output = shell.env("PATH", search).env("EPHOR", &server.url).env("NO_COLOR", "1").output().unwrap();
    let told = text(&output.stdout);
    assert!(output.status.success(), "{name}: {:?}\n{told}", output.status);
    let mut seen = 0;
    for (walk, shown) in wanted {
        let before = told.split(&format!("{MARK} {}\n", walk - 1)).last().unwrap();
        let own = before.split(&format!("{MARK} {walk}\n")).next().unwrap();
        let mut found = own.lines();
        for line in shown.lines().filter(|line| !line.trim().is_empty()) {
            assert!(found.any(|told| is_like(line, told)), "{name}: {line:?} is not shown, or not in this place:\n{own}");
            seen += 1;
        }
    }
    (lines, seen)
}

#[test]
fn the_first_hour_of_the_guide_is_as_it_says() {
    let (lines, seen) = walked("guide.md");
    assert!(lines > 10 && seen > 8, "{lines} {seen}");
}

#[test]
fn the_tasks_of_the_page_on_task_design_do_what_it_says() {
    let (lines, seen) = walked("task-design.md");
    assert!(lines > 8 && seen > 5, "{lines} {seen}");
}

#[test]
fn every_symptom_of_the_page_on_troubleshooting_is_had_and_cured() {
    let (lines, seen) = walked("troubleshooting.md");
    assert!(lines > 20 && seen > 10, "{lines} {seen}");
}

/// Pages for looking things up, on which something can be typed as well.
const OTHERS: [&str; 5] = ["agents.md", "api.md", "flow.md", "governance.md", "models.md"];

#[test]
fn what_is_typed_on_other_pages_works_as_well() {
    let walked: Vec<(usize, usize)> = OTHERS.iter().map(|name| walked(name)).collect();
    assert!(walked.iter().all(|(lines, _)| *lines > 2), "{walked:?}");
}

#[test]
fn no_page_with_something_to_type_is_left_out() {
    let guides = ["guide.md", "task-design.md", "troubleshooting.md"];
    // That one has a test of its own, with an office to work in.
    let elsewhere = ["follow-up.md"];
    let known: Vec<&str> = guides.iter().chain(&OTHERS).chain(&elsewhere).copied().collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".md") && std::fs::read_to_string(&path).unwrap().contains("```sh walk") {
            assert!(known.contains(&name.as_str()), "{name}");
        }
    }
}

#[test]
fn a_walk_that_does_not_do_what_is_written_is_noticed() {
    assert!(is_like("a  … z", "a b  c z") && is_like("a …", "a b") && is_like("… z", "y z") && is_like("a b", "a   b"));
    assert!(!is_like("a", "a b") && !is_like("a … z", "a b") && !is_like("b …", "a b"));
    let house = House::new();
    let ends = |walk: &str| house.command("sh", &["-c", &script(walk)]).output().unwrap().status.code();
    assert_eq!(ends("true\nfalse  # exit 1\nsh -c 'exit 5' # exit 5\necho a \\\n  b\n"), Some(0));
    assert_eq!((ends("true\nfalse\n"), ends("true # exit 1\n"), ends("no-such-command\n")), (Some(99), Some(99), Some(99)));
    let page = "```yaml file a.yaml\nx: 1\n```\n\n```sh serve\nephor serve --read .\n```\n\n```sh walk\ntrue\n```\n\n```text shows\nx\n```\n";
    let all = [
        Part::File("a.yaml".into(), "x: 1\n".into()),
        Part::Serve(vec!["--read".into(), ".".into()]),
        Part::Walk("true\n".into()),
        Part::Shows("x\n".into()),
    ];
    assert_eq!(parts(page), all);
}
