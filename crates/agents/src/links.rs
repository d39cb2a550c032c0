//! `links.check`: finds relative links and anchors in Markdown files that lead nowhere. Links to the network are not followed.

use crate::blocking::{self, Told};
use crate::confine::{self, Roots};
use crate::walk::{Found, Wanted, walk};
use ephor_core::spec::{GateKind, Risk};
use ephor_core::work::{Failure, Judgement, Outcome, Success, Violation};
use ephor_sdk::agent::{Agent, Job, Running};
use regex::Regex;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// The largest Markdown file looked into, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The most broken links that are named; all are counted.
pub const BROKEN_MAX: usize = 1_000;

/// `links.check {root, include, exclude, max_files}` → `{broken: [{file, line, target, reason}], totals: {files, links,
/// broken}, skipped, truncated}`, with evidence for a FUNCTIONAL_TEST gate. Broken links are a finding, not a failure.
pub struct Links {
    roots: Roots,
}

impl Links {
    pub(crate) fn new(roots: Roots) -> Self {
        Self { roots }
    }

    async fn go(&self, job: Job<'_>) -> Result<Success, Failure> {
        let mut wanted: Wanted = job.params()?;
        if wanted.include.is_empty() {
            wanted.include = vec!["**/*.md".into(), "**/*.markdown".into()];
        }
        let roots = self.roots.clone();
        blocking::run(job, move |told| check(&wanted, &roots, told)).await
    }
}

impl Agent for Links {
    fn actions(&self) -> Vec<String> {
        vec!["links.check".into()]
    }

    fn run<'a>(&'a self, job: Job<'a>) -> Running<'a> {
        Box::pin(async move { Outcome::from(self.go(job).await) })
    }
}

#[derive(Serialize)]
struct Broken {
    file: String,
    line: usize,
    target: String,
    reason: String,
}

fn check(wanted: &Wanted, roots: &Roots, told: &Told) -> Result<Success, Failure> {
    let mut walked = walk(wanted, roots, told)?;
    let mut pages = Pages::default();
    let (mut broken, mut links, mut count) = (Vec::new(), 0, 0);
    for found in &walked.files {
        told.check()?;
        let Some(page) = pages.get(&found.real) else {
            walked.skipped.push(format!("{}: too large or not UTF-8", found.path));
            continue;
        };
        for (line, target) in page.links.clone() {
            links += 1;
            if let Some(reason) = pages.broken(found, &target, roots) {
                count += 1;
                broken.push(Broken { file: found.path.clone(), line, target, reason });
                broken.truncate(BROKEN_MAX);
            }
        }
    }
    let totals = json!({"files": walked.files.len(), "links": links, "broken": count});
    let violations = broken.iter().map(|b| Violation {
        severity: Risk::Medium,
        rule: "links".into(),
        place: format!("{}:{}", b.file, b.line),
        message: format!("{}: {}", b.target, b.reason),
    });
    let evidence = Judgement {
        score: Some(if links == 0 { 1.0 } else { 1.0 - f64::from(count) / f64::from(links) }),
        violations: violations.collect(),
        ..Judgement::of(GateKind::FunctionalTest, count == 0)
    };
    let output = json!({"broken": broken, "totals": totals, "skipped": walked.skipped, "truncated": walked.truncated});
    Ok(Success { output, evidence: vec![evidence], ..Success::default() })
}

/// Pages already read: many links lead to the same few.
#[derive(Default)]
struct Pages(BTreeMap<std::path::PathBuf, Option<Page>>);

impl Pages {
    fn get(&mut self, real: &Path) -> Option<&Page> {
        let page = self.0.entry(real.to_path_buf()).or_insert_with(|| {
            let content = confine::read(real, "", FILE_BYTES_MAX).ok()?;
            Some(Page::read(&String::from_utf8(content).ok()?))
        });
        page.as_ref()
    }

    /// Why a link leads nowhere, if it does.
    fn broken(&mut self, from: &Found, target: &str, roots: &Roots) -> Option<String> {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = unescape(path.split('?').next().unwrap_or(path));
        let real = match path.as_str() {
            "" => from.real.clone(),
            // A leading slash means the root of a site, which only its server knows.
            rooted if rooted.starts_with('/') => return None,
            path => match fs::canonicalize(from.real.parent().unwrap_or(Path::new("/")).join(path)) {
                Ok(real) if !roots.contains(&real) => return Some("leads out of the folders that may be read".into()),
                Ok(real) => real,
                Err(_) => return Some("no such file".into()),
            },
        };
        let markdown = real.extension().is_some_and(|ext| ext == "md" || ext == "markdown");
        if anchor.is_empty() || !markdown {
            return None;
        }
        let anchor = unescape(anchor);
        let known = self.get(&real).is_none_or(|page| page.anchors.contains(&anchor));
        (!known).then(|| format!("no heading #{anchor}"))
    }
}

/// What of a Markdown file matters to links.
#[derive(Default)]
struct Page {
    /// Line numbers from 1, and targets that are not on the network.
    links: Vec<(usize, String)>,
    anchors: BTreeSet<String>,
}

/// `[text](target "title")`, `![alt](<target>)`.
static INLINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\]\(\s*(?:<([^>]*)>|([^\s()]*(?:\([^\s()]*\)[^\s()]*)*))(?:\s+["'(][^)]*)?\s*\)"#).expect("a fixed expression")
});
/// `[name]: target`.
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^ {0,3}\[[^\]^][^\]]*\]:\s*<?([^\s>]+)").expect("a fixed expression"));
static HEADING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$").expect("a fixed expression"));
/// `<a id="x">`, `{#x}`.
static ANCHOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?:\b(?:id|name)\s*=\s*["']([^"']+)["']|\{#([\w-]+)\})"#).expect("a fixed expression"));
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"``[^`]*``|`[^`]*`").expect("a fixed expression"));
/// `https:`, `mailto:` and the like.
static SCHEME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:|//)").expect("a fixed expression"));

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut fence: Option<&str> = None;
        let mut before = "";
        for (line, number) in text.lines().zip(1..) {
            let start = line.trim_start();
            let marks = ["```", "~~~"].into_iter().find(|marks| start.starts_with(marks));
            match (fence, marks) {
                (None, Some(marks)) => fence = Some(marks),
                (Some(open), Some(marks)) if open == marks => fence = None,
                (Some(_), _) => {}
                (None, None) => page.line(line, before, number),
            }
            before = line;
        }
        page
    }

    fn line(&mut self, line: &str, before: &str, number: usize) {
        let underlined = !line.trim().is_empty() && (line.trim_matches('=').is_empty() || line.trim_matches('-').is_empty());
        if let Some(heading) = HEADING.captures(line) {
            self.heading(&heading[1]);
        } else if underlined && !before.trim().is_empty() {
            self.heading(before);
        }
        for anchor in ANCHOR.captures_iter(line) {
            let name = anchor.get(1).or(anchor.get(2)).map_or("", |name| name.as_str());
            self.anchors.insert(name.into());
        }
        let prose = CODE.replace_all(line, "``");
        let inline = INLINE.captures_iter(&prose).filter_map(|link| link.get(1).or(link.get(2)));
        let reference = REFERENCE.captures(&prose).and_then(|link| link.get(1));
        let targets = inline.chain(reference).map(|target| target.as_str());
        let local = targets.filter(|target| !target.is_empty() && !SCHEME.is_match(target));
        self.links.extend(local.map(|target| (number, target.to_string())));
    }

    /// The anchor GitHub and most others give a heading; one that comes again gets a number.
    fn heading(&mut self, text: &str) {
        let plain = LINKED.replace_all(text, "$1").to_lowercase();
        let kept = plain.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (1..).map(|n| format!("{slug}-{n}"));
        let free = std::iter::once(slug.clone()).chain(numbered).find(|anchor| !self.anchors.contains(anchor));
        self.anchors.extend(free);
    }
}

/// A link in a heading counts by its text.
static LINKED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"!?\[([^\]]*)\]\([^)]*\)").expect("a fixed expression"));

/// Undoes `%20` and the like; what is no such thing stays.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ephor_sdk::trial::Trial;

    #[tokio::test]
    async fn links_that_lead_nowhere_are_named_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("docs")).unwrap();
        fs::write(
            dir.path().join("README.md"),
            "# Start here\n\n[ok](docs/a%20b.md#the-end) [gone](docs/none.md) [web](https://example.org)\n\
             `[code](nowhere)` ![img](<logo.svg>) [top](#start-here) [no](#nowhere)\n\n```\n[fenced](nowhere)\n```\n\n[ref]: docs/ref.md\n",
        )
        .unwrap();
        fs::write(dir.path().join("docs/a b.md"), "Title\n=====\n\n## The `end`!\n\n## The end\n\n[up](../README.md#title)\n")
            .unwrap();
        let outcome = Trial::new("links.check", json!({})).run(&Links::new(Roots::new(vec![dir.path().into()]))).await;
        let Outcome::Succeeded(success) = outcome else { panic!("{outcome:?}") };
        let broken = success.output["broken"].as_array().unwrap().iter();
        let broken: Vec<_> = broken.map(|b| format!("{}:{} {}: {}", b["file"], b["line"], b["target"], b["reason"])).collect();
        let broken: Vec<_> = broken.iter().map(|text| text.replace('"', "")).collect();
        assert_eq!(
            broken,
            [
                "README.md:3 docs/none.md: no such file",
                "README.md:4 logo.svg: no such file",
                "README.md:4 #nowhere: no heading #nowhere",
                "README.md:10 docs/ref.md: no such file",
                "docs/a b.md:8 ../README.md#title: no heading #title",
            ]
        );
        assert_eq!(success.output["totals"], json!({"files": 2, "links": 7, "broken": 5}));
        assert!(!success.evidence[0].passed && success.evidence[0].violations.len() == 5);
    }

    #[test]
    fn a_heading_that_comes_again_is_numbered() {
        let page = Page::read("# A b\n# A b\n# A b\n<a id=\"own\"></a>\n");
        assert_eq!(page.anchors.iter().collect::<Vec<_>>(), ["a-b", "a-b-1", "a-b-2", "own"]);
    }
}
