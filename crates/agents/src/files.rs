//! `files.scan`, `files.read`, `files.write`: a look at many files, one file in, one file out.

use crate::blocking::{self, Told};
use crate::confine::{self, OutFolder, Roots};
use crate::walk::{Wanted, walk};
use ephor_core::spec::ErrorClass;
use ephor_core::work::{Failure, Outcome, Success};
use ephor_sdk::agent::{Agent, Job, Running};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The largest file `files.read` gives back and `files.scan` looks into, in bytes, unless less is asked for.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What `files.scan` reads in all, in bytes, unless less is asked for.
pub const SCAN_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The most matches of one pattern that are named; all are counted.
pub const MATCHES_MAX: usize = 1_000;

/// How much of a matching line is shown, in characters.
pub const LINE_CHARS_MAX: usize = 200;

/// The most a compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Reads below the read roots, writes below the out folder.
///
/// - `files.scan {root, include, exclude, patterns: {name: regex}, max_files, max_bytes}` → `{files: [{path, bytes, lines,
///   matches: {name: [{line, text}]}}], totals: {files, bytes, lines, matches: {name: n}}, skipped, truncated}`
/// - `files.read {path, format: text|json|lines, max_bytes}` → `{path, bytes, content}`
/// - `files.write {path, content}` → `{path, bytes, sha256}`; content other than text is written as JSON
pub struct Files {
    roots: Roots,
    out: OutFolder,
}

impl Files {
    pub(crate) fn new(roots: Roots, out: OutFolder) -> Self {
        Self { roots, out }
    }

    async fn go(&self, job: Job<'_>) -> Result<Success, Failure> {
        let (roots, out, may_act) = (self.roots.clone(), self.out.clone(), job.item().may_act);
        let output = match job.item().action.as_str() {
            "files.scan" => {
                let params: Scan = job.params()?;
                blocking::run(job, move |told| scan(params, &roots, told)).await?
            }
            "files.read" => {
                let params: Read = job.params()?;
                blocking::run(job, move |_| read(&params, &roots)).await?
            }
            _ => {
                let params: Write = job.params()?;
                blocking::run(job, move |_| write(&params, &out, may_act)).await?
            }
        };
        Ok(Success { output, ..Success::default() })
    }
}

impl Agent for Files {
    fn actions(&self) -> Vec<String> {
        ["files.scan", "files.read", "files.write"].map(String::from).into()
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move { Outcome::from(self.go(job).await) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Scan {
    root: String,
    include: Vec<String>,
    exclude: Vec<String>,
    max_files: usize,
    patterns: BTreeMap<String, String>,
    max_bytes: u64,
}

impl Default for Scan {
    fn default() -> Self {
        let Wanted { root, include, exclude, max_files } = Wanted::default();
        Self { root, include, exclude, max_files, patterns: BTreeMap::new(), max_bytes: SCAN_BYTES_MAX }
    }
}

/// What one file came to.
#[derive(Default, Serialize)]
struct Scanned {
    path: String,
    bytes: u64,
    lines: u64,
    matches: BTreeMap<String, Vec<Match>>,
}

#[derive(Serialize)]
struct Match {
    line: u64,
    text: String,
}

fn scan(params: Scan, roots: &Roots, told: &Told) -> Result<Value, Failure> {
    let patterns = params.patterns.iter().map(|(name, pattern)| Ok((name.as_str(), compile(name, pattern)?)));
    let patterns: Vec<_> = patterns.collect::<Result<_, Failure>>()?;
    let Scan { root, include, exclude, max_files, .. } = params;
    let mut walked = walk(&Wanted { root, include, exclude, max_files }, roots, told)?;
    let mut counted: BTreeMap<&str, usize> = patterns.iter().map(|(name, _)| (*name, 0)).collect();
    let (mut files, mut bytes, mut lines) = (Vec::new(), 0, 0);
    for found in &walked.files {
        told.check()?;
        if bytes >= params.max_bytes.min(SCAN_BYTES_MAX) {
            walked.truncated = true;
            break;
        }
        let text = match confine::read(&found.real, &found.path, FILE_BYTES_MAX).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                walked.skipped.push(format!("{}: not UTF-8", found.path));
                continue;
            }
            Err(failure) => {
                walked.skipped.push(failure.message);
                continue;
            }
        };
        let scanned = look(&found.path, &text, &patterns, &mut counted);
        (bytes, lines) = (bytes + scanned.bytes, lines + scanned.lines);
        files.push(scanned);
    }
    let totals = json!({"files": files.len(), "bytes": bytes, "lines": lines, "matches": counted});
    Ok(json!({"files": files, "totals": totals, "skipped": walked.skipped, "truncated": walked.truncated}))
}

fn compile(name: &str, pattern: &str) -> Result<Regex, Failure> {
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|e| Failure::final_(ErrorClass::BadInput, format!("pattern {name}: {e}")))
}

fn look<'a>(path: &str, text: &str, patterns: &[(&'a str, Regex)], counted: &mut BTreeMap<&'a str, usize>) -> Scanned {
    let mut scanned = Scanned { path: path.into(), bytes: text.len() as u64, ..Scanned::default() };
    for line in text.lines() {
        scanned.lines += 1;
        for (name, _) in patterns.iter().filter(|(_, pattern)| pattern.is_match(line)) {
            let count = counted.entry(name).or_default();
            *count += 1;
            if *count <= MATCHES_MAX {
                let text = line.trim().chars().take(LINE_CHARS_MAX).collect();
                scanned.matches.entry((*name).into()).or_default().push(Match { line: scanned.lines, text });
            }
        }
    }
    scanned
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    path: String,
    #[serde(default)]
    format: Format,
    #[serde(default = "file_bytes")]
    max_bytes: u64,
}

fn file_bytes() -> u64 {
    FILE_BYTES_MAX
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Text,
    Json,
    Lines,
}

fn read(params: &Read, roots: &Roots) -> Result<Value, Failure> {
    let real = roots.resolve(&params.path)?;
    let content = confine::read(&real, &params.path, params.max_bytes.min(FILE_BYTES_MAX))?;
    let bytes = content.len();
    let wrong = |what: String| Failure::final_(ErrorClass::BadInput, format!("{}: {what}", params.path));
    let text = String::from_utf8(content).map_err(|_| wrong("not UTF-8".into()))?;
    let content = match params.format {
        Format::Text => Value::String(text),
        Format::Lines => text.lines().collect(),
        Format::Json => serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?,
    };
    Ok(json!({"path": params.path, "bytes": bytes, "content": content}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    path: String,
    content: Value,
}

fn write(params: &Write, out: &OutFolder, may_act: bool) -> Result<Value, Failure> {
    let content = match &params.content {
        Value::String(text) => text.clone(),
        other => format!("{other:#}\n"),
    };
    Ok(json!(out.write(&params.path, content.as_bytes(), may_act)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_sdk::trial::Trial;
    use std::fs;

    async fn run(dir: &tempfile::TempDir, action: &str, params: Value) -> Outcome {
        let agent = Files::new(Roots::new(vec![dir.path().join("in")]), OutFolder::new(dir.path().join("out")));
        Trial::new(action, params).run(&agent).await
    }

    fn output(outcome: Outcome) -> Value {
        match outcome {
            Outcome::Succeeded(success) => success.output,
            other => panic!("{other:?}"),
        }
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("b.rs", "fn b() {}\n// TODO: b\n"),
            ("a/z.rs", "// TODO: z\n// TODO: zz\n"),
            ("a.rs", "fine\n"),
            ("target/x.rs", "// TODO: never\n"),
            (".git/x.rs", "// TODO: never\n"),
            ("picture.rs", "\0"),
            ("notes.md", "TODO"),
        ] {
            let path = dir.path().join("in").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::write(dir.path().join("in/picture.rs"), [0xff, 0xfe]).unwrap();
        fs::write(dir.path().join("token"), "TODO").unwrap();
        std::os::unix::fs::symlink("../token", dir.path().join("in/link.rs")).unwrap();
        dir
    }

    #[tokio::test]
    async fn a_scan_counts_lines_and_names_matches_in_order() {
        let params = json!({"include": ["**/*.rs"], "patterns": {"todo": "TODO:?\\s*(.*)"}});
        let output = output(run(&folder(), "files.scan", params).await);
        let paths: Vec<_> = output["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["a.rs", "a/z.rs", "b.rs"]);
        assert_eq!(output["totals"], json!({"files": 3, "bytes": 49, "lines": 5, "matches": {"todo": 3}}));
        assert_eq!(output["files"][2]["matches"]["todo"], json!([{"line": 2, "text": "// TODO: b"}]));
        assert_eq!(output["skipped"], json!(["link.rs: leads out", "picture.rs: not UTF-8"]));
    }

    #[tokio::test]
    async fn a_scan_refuses_words_it_does_not_know() {
        assert!(matches!(run(&folder(), "files.scan", json!({"inclued": []})).await, Outcome::Failed(_)));
    }

    #[tokio::test]
    async fn a_scan_says_when_it_did_not_see_everything() {
        let output = output(run(&folder(), "files.scan", json!({"include": ["**/*.rs"], "max_files": 1})).await);
        assert_eq!((&output["totals"]["files"], &output["truncated"]), (&json!(1), &json!(true)));
    }

    #[tokio::test]
    async fn what_is_written_can_be_read_in_three_forms() {
        let dir = folder();
        let written = output(run(&dir, "files.write", json!({"path": "r/x.json", "content": {"a": 1}})).await);
        assert_eq!(written["path"], "r/x.json");
        fs::rename(dir.path().join("out/r/x.json"), dir.path().join("in/x.json")).unwrap();
        let content = async |format| output(run(&dir, "files.read", json!({"path": "x.json", "format": format})).await);
        assert_eq!(content("json").await["content"], json!({"a": 1}));
        assert_eq!(content("lines").await["content"], json!(["{", "  \"a\": 1", "}"]));
        assert_eq!(content("text").await["content"], "{\n  \"a\": 1\n}\n");
    }

    #[tokio::test]
    async fn a_missing_file_may_come_yet_and_a_wrong_one_may_not() {
        let dir = folder();
        for (params, class, retryable) in [
            (json!({"path": "none"}), ErrorClass::NotFound, true),
            (json!({"path": "../token"}), ErrorClass::Refused, false),
            (json!({"path": "b.rs", "max_bytes": 3}), ErrorClass::BadInput, false),
            (json!({"path": "b.rs", "format": "json"}), ErrorClass::BadInput, false),
            (json!({"paht": "b.rs"}), ErrorClass::BadInput, false),
        ] {
            let Outcome::Failed(failure) = run(&dir, "files.read", params.clone()).await else { panic!("{params}") };
            assert_eq!((failure.class, failure.retryable), (class, retryable), "{failure:?}");
        }
    }
}
