//! Judges the dependency tree by the rules in `tools/audit.json`: licences, sources, crates decided against, versions with known
//! holes, crates that must be there once, and the layers of this workspace. Called by `tools/audit`, which is part of `./check`.
//!
//! `audit METADATA RULES`: the first is what `cargo metadata --format-version 1` prints.
//!
//! Features are united over the whole workspace in that output, so it holds some edges no build has. Where that is in the way, a rule
//! names the crate the edge comes `through`, and why it does not count.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program for the command line")]

use anyhow::{Context, bail};
use serde::Deserialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [metadata, rules] = args.as_slice() else { bail!("usage: audit METADATA RULES") };
    let text = |path: &str| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let tree: Metadata =
        serde_json::from_str(&text(metadata)?).with_context(|| format!("{metadata} is no output of cargo metadata"))?;
    let rules: Rules = serde_json::from_str(&text(rules)?).with_context(|| format!("{rules} holds no rules"))?;
    let found = Audit::new(&tree, &rules)?.run();
    for problem in &found {
        eprintln!("audit: {problem}");
    }
    if !found.is_empty() {
        eprintln!("audit: {} problems in {} crates; the rules are in tools/audit.json", found.len(), tree.packages.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("{} crates: licences, sources, versions and layers are in order", tree.packages.len());
    Ok(ExitCode::SUCCESS)
}

/// `tools/audit.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// Licences that may be in the tree, as SPDX writes them.
    licences: BTreeSet<String>,
    /// Where crates from outside may come from.
    sources: BTreeSet<String>,
    /// Crates decided against.
    forbidden: BTreeMap<String, Forbidden>,
    /// The oldest version of a crate that may be in the tree.
    minimum: BTreeMap<String, Minimum>,
    /// Crates of which two versions would be a mistake.
    once: Vec<String>,
    /// For each crate of the workspace, those of the workspace it may depend on.
    layers: BTreeMap<String, BTreeSet<String>>,
    /// What may not be reached, however far.
    apart: Vec<Apart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forbidden {
    reason: String,
    /// Whether only crates of this workspace may not depend on it.
    #[serde(default)]
    direct: bool,
    /// Crates whose dependency on it does not count, and why.
    #[serde(default)]
    through: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Minimum {
    version: String,
    because: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Apart {
    from: String,
    to: String,
    because: String,
}

/// What of `cargo metadata` matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_root: String,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `dev`, `build`, or nothing for an ordinary one.
    kind: Option<String>,
}

impl Dependency {
    /// Whether it is there outside of tests too.
    fn is_built(&self) -> bool {
        self.dep_kinds.iter().any(|k| k.kind.as_deref() != Some("dev"))
    }
}

/// A tree on its way to be judged.
struct Audit<'a> {
    tree: &'a Metadata,
    rules: &'a Rules,
    packages: BTreeMap<&'a str, &'a Package>,
    nodes: BTreeMap<&'a str, &'a Node>,
}

impl<'a> Audit<'a> {
    fn new(tree: &'a Metadata, rules: &'a Rules) -> anyhow::Result<Self> {
        let packages: BTreeMap<_, _> = tree.packages.iter().map(|p| (p.id.as_str(), p)).collect();
        let nodes: BTreeMap<_, _> = tree.resolve.nodes.iter().map(|n| (n.id.as_str(), n)).collect();
        let ids = tree.resolve.nodes.iter().flat_map(|n| n.deps.iter().map(|d| &d.pkg).chain([&n.id]));
        if let Some(id) = ids.chain(&tree.workspace_members).find(|id| !packages.contains_key(id.as_str())) {
            bail!("cargo metadata names {id} and says nothing about it");
        }
        Ok(Self { tree, rules, packages, nodes })
    }

    /// Everything that is wrong, in the order of the rules.
    fn run(&self) -> Vec<String> {
        let mut found = Vec::new();
        for package in &self.tree.packages {
            found.extend(self.licence(package));
            found.extend(self.source(package));
            found.extend(self.minimum(package));
        }
        self.forbidden(&mut found);
        self.once(&mut found);
        self.layers(&mut found);
        self.apart(&mut found);
        found
    }

    fn licence(&self, package: &Package) -> Option<String> {
        let name = named(package);
        let Some(text) = &package.license else {
            return Some(format!("{name} names no licence; look at its sources, then decide with the reason in the rules"));
        };
        match Licence::parse(text) {
            Err(why) => Some(format!("the licence of {name} cannot be read: {text:?}: {why}")),
            Ok(licence) if licence.is_allowed(&self.rules.licences) => None,
            Ok(_) => Some(format!("the licence of {name} is {text:?}, and that is not covered by the list")),
        }
    }

    fn source(&self, package: &Package) -> Option<String> {
        let name = named(package);
        match &package.source {
            Some(source) if self.rules.sources.contains(source) => None,
            Some(source) => Some(format!("{name} comes from {source}, which is no source on the list")),
            None if std::path::Path::new(&package.manifest_path).starts_with(&self.tree.workspace_root) => None,
            None => Some(format!("{name} comes from a folder outside of the workspace: {}", package.manifest_path)),
        }
    }

    fn minimum(&self, package: &Package) -> Option<String> {
        let minimum = self.rules.minimum.get(&package.name)?;
        (compare_versions(&package.version, &minimum.version) == Ordering::Less)
            .then(|| format!("{} is older than {}: {}", named(package), minimum.version, minimum.because))
    }

    /// Every edge that leads to a crate decided against.
    fn forbidden(&self, found: &mut Vec<String>) {
        for node in &self.tree.resolve.nodes {
            let from = self.packages[node.id.as_str()];
            for dependency in &node.deps {
                let to = self.packages[dependency.pkg.as_str()];
                let Some(rule) = self.rules.forbidden.get(&to.name) else { continue };
                if rule.through.contains_key(&from.name) || rule.direct && !self.tree.workspace_members.contains(&node.id) {
                    continue;
                }
                found.push(format!("{} depends on {}: {}", named(from), named(to), rule.reason));
            }
        }
    }

    fn once(&self, found: &mut Vec<String>) {
        for name in &self.rules.once {
            let versions: Vec<&str> = self.tree.packages.iter().filter(|p| p.name == *name).map(|p| p.version.as_str()).collect();
            if versions.len() > 1 {
                found.push(format!("{name} is in the tree {} times: {}", versions.len(), versions.join(", ")));
            }
        }
    }

    /// Which crates of the workspace lean on which.
    fn layers(&self, found: &mut Vec<String>) {
        for id in &self.tree.workspace_members {
            let package = self.packages[id.as_str()];
            let Some(allowed) = self.rules.layers.get(&package.name) else {
                found.push(format!("{} is a crate of the workspace without a place among the layers", package.name));
                continue;
            };
            let node = self.nodes.get(id.as_str());
            let inside =
                node.iter().flat_map(|n| &n.deps).filter(|d| d.is_built() && self.tree.workspace_members.contains(&d.pkg));
            for name in inside.map(|d| &self.packages[d.pkg.as_str()].name).filter(|name| !allowed.contains(*name)) {
                let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
                found.push(format!("{} may not depend on {name}; it may on: {}", package.name, allowed.join(", ")));
            }
        }
    }

    fn apart(&self, found: &mut Vec<String>) {
        for rule in &self.rules.apart {
            let starts: Vec<&str> = self.tree.packages.iter().filter(|p| p.name == rule.from).map(|p| p.id.as_str()).collect();
            if starts.is_empty() {
                found.push(format!("a rule speaks of {}, which is not in the tree", rule.from));
            }
            for start in starts {
                if let Some(way) = self.way(start, &rule.to) {
                    found.push(format!("{} reaches {}: {}; {}", rule.from, rule.to, way.join(" → "), rule.because));
                }
            }
        }
    }

    /// The shortest way from a crate to one of a name, outside of tests.
    fn way(&self, start: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = std::collections::VecDeque::from([start]);
        while let Some(id) = next.pop_front() {
            if self.packages[id].name == to && id != start {
                let back = std::iter::successors(Some(id), |id| came_from.get(id).copied());
                let mut way: Vec<&str> = back.map(|id| self.packages[id].name.as_str()).collect();
                way.reverse();
                return Some(way);
            }
            let built = self.nodes.get(id).into_iter().flat_map(|n| &n.deps).filter(|d| d.is_built());
            for dependency in built.map(|d| d.pkg.as_str()) {
                if dependency != start && !came_from.contains_key(dependency) {
                    came_from.insert(dependency, id);
                    next.push_back(dependency);
                }
            }
        }
        None
    }
}

fn named(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

/// By number, part by part; a version with a suffix such as `-rc.1` comes before the one without.
fn compare_versions(a: &str, b: &str) -> Ordering {
    fn parts(version: &str) -> (Vec<u64>, bool) {
        let version = version.split('+').next().unwrap_or(version);
        let (numbers, suffix) = version.split_once('-').map_or((version, None), |(n, s)| (n, Some(s)));
        let mut numbers: Vec<u64> = numbers.split('.').map(|n| n.parse().unwrap_or(0)).collect();
        numbers.resize(3, 0);
        (numbers, suffix.is_none())
    }
    parts(a).cmp(&parts(b))
}

/// A licence as SPDX writes it.
#[derive(Debug, PartialEq, Eq)]
enum Licence {
    /// One licence, with its exception where it has one: `Apache-2.0 WITH LLVM-exception`.
    One(String),
    /// Any of these, as the taker likes.
    Any(Vec<Licence>),
    /// All of these at once.
    All(Vec<Licence>),
}

impl Licence {
    /// Reads `MIT OR Apache-2.0`, `(MIT OR Apache-2.0) AND Unicode-3.0`, and the old `MIT/Apache-2.0`, which means OR. WITH binds
    /// closest, then AND, then OR.
    fn parse(text: &str) -> Result<Self, String> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let mut words = spaced.split_whitespace().peekable();
        let licence = Self::any(&mut words)?;
        match words.next() {
            None => Ok(licence),
            Some(word) => Err(format!("{word:?} was not expected")),
        }
    }

    fn any(words: &mut Words<'_>) -> Result<Self, String> {
        Self::several(words, "OR", Self::all, Self::Any)
    }

    fn all(words: &mut Words<'_>) -> Result<Self, String> {
        Self::several(words, "AND", Self::one, Self::All)
    }

    fn several(
        words: &mut Words<'_>,
        between: &str,
        part: fn(&mut Words<'_>) -> Result<Self, String>,
        join: fn(Vec<Self>) -> Self,
    ) -> Result<Self, String> {
        let first = part(words)?;
        let mut parts = vec![first];
        while words.next_if(|word| *word == between).is_some() {
            parts.push(part(words)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
    }

    fn one(words: &mut Words<'_>) -> Result<Self, String> {
        let name = match words.next() {
            Some("(") => {
                let inner = Self::any(words)?;
                return words.next_if_eq(&")").map(|_| inner).ok_or_else(|| "a bracket is not closed".into());
            }
            Some(text) => word(text)?,
            None => return Err("it ends where a licence should stand".into()),
        };
        if words.next_if_eq(&"WITH").is_none() {
            return Ok(Self::One(name.into()));
        }
        let exception = words.next().ok_or("it ends where an exception should stand")?;
        Ok(Self::One(format!("{name} WITH {}", word(exception)?)))
    }

    /// Whether the list covers it.
    fn is_allowed(&self, list: &BTreeSet<String>) -> bool {
        match self {
            Self::One(name) => list.contains(name),
            Self::Any(parts) => parts.iter().any(|p| p.is_allowed(list)),
            Self::All(parts) => parts.iter().all(|p| p.is_allowed(list)),
        }
    }
}

/// What is left to be read.
type Words<'w> = std::iter::Peekable<std::str::SplitWhitespace<'w>>;

/// A word that names a licence or an exception.
fn word(word: &str) -> Result<&str, String> {
    let fits = word.chars().all(|c| c.is_ascii_alphanumeric() || "-.+:".contains(c));
    match fits && !["AND", "OR", "WITH"].contains(&word) {
        true => Ok(word),
        false => Err(format!("{word:?} stands where a name should")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> BTreeSet<String> {
        ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC", "BSD-3-Clause", "Unicode-3.0"].map(String::from).into()
    }

    #[test]
    fn a_licence_is_covered_when_the_taker_can_choose_one_that_is() {
        for (text, allowed) in [
            ("MIT", true),
            ("MIT OR Apache-2.0", true),
            ("MIT/Apache-2.0", true),
            ("Apache-2.0 / MIT", true),
            ("Unlicense OR MIT", true),
            ("MIT OR Apache-2.0 OR LGPL-2.1-or-later", true),
            ("GPL-3.0-only", false),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND CC-BY-4.0", false),
            ("ISC AND (Apache-2.0 OR ISC) AND BSD-3-Clause AND (Apache-2.0 OR ISC OR MIT-0)", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0 WITH Classpath-exception-2.0", false),
            ("GPL-2.0-only WITH Classpath-exception-2.0 OR MIT", true),
            ("((MIT))", true),
            ("mit", false),
        ] {
            assert_eq!(Licence::parse(text).unwrap().is_allowed(&list()), allowed, "{text}");
        }
    }

    #[test]
    fn and_binds_closer_than_or() {
        let one = |name: &str| Licence::One(name.into());
        assert_eq!(
            Licence::parse("A OR B AND C WITH D").unwrap(),
            Licence::Any(vec![one("A"), Licence::All(vec![one("B"), one("C WITH D")])])
        );
        assert!(!Licence::parse("GPL-3.0-only OR MIT AND GPL-3.0-only").unwrap().is_allowed(&list()));
        assert!(Licence::parse("(GPL-3.0-only OR MIT) AND ISC").unwrap().is_allowed(&list()));
    }

    #[test]
    fn what_is_no_licence_is_an_error() {
        for text in
            ["", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT Apache-2.0", "MIT WITH", "MIT AND AND ISC", "()", "see LICENSE, please"]
        {
            assert!(Licence::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (a, b, order) in [
            ("0.10.0", "0.9.9", Ordering::Greater),
            ("1.44.2", "1.44.2", Ordering::Equal),
            ("1.44.2-rc.1", "1.44.2", Ordering::Less),
            ("0.25.18+spec-1.1.0", "0.25.18", Ordering::Equal),
            ("2", "1.9.9", Ordering::Greater),
        ] {
            assert_eq!(compare_versions(a, b), order, "{a} {b}");
        }
    }

    fn tree(edges: &[(&str, &str, Option<&str>)], license: &str) -> Metadata {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(a, b, _)| [*a, *b]).collect();
        let ours = |name: &str| name.starts_with("ephor") || name == "faults";
        let package = |name: &&str| {
            serde_json::json!({"id": name, "name": name, "version": "1.0.0", "license": license,
                "source": (!ours(name)).then_some("registry"), "manifest_path": "/w/Cargo.toml"})
        };
        let node = |name: &&str| {
            let deps = edges.iter().filter(|(from, ..)| from == name);
            let deps = deps.map(|(_, to, kind)| serde_json::json!({"pkg": to, "dep_kinds": [{"kind": kind}]}));
            serde_json::json!({"id": name, "deps": deps.collect::<Vec<_>>()})
        };
        serde_json::from_value(serde_json::json!({
            "packages": names.iter().map(package).collect::<Vec<_>>(),
            "workspace_members": names.iter().filter(|n| ours(n)).collect::<Vec<_>>(),
            "workspace_root": "/w",
            "resolve": {"nodes": names.iter().map(node).collect::<Vec<_>>()},
        }))
        .unwrap()
    }

    fn audit(edges: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        let rules = serde_json::json!({
            "licences": ["MIT"],
            "sources": ["registry"],
            "forbidden": {"ring": {"reason": "no", "through": {"webpki": "never built"}}, "chrono": {"reason": "no", "direct": true}},
            "minimum": {"slab": {"version": "1.0.1", "because": "a hole"}},
            "once": ["slab"],
            "layers": {"ephor": ["ephor-core"], "ephor-core": [], "faults": []},
            "apart": [{"from": "ephor", "to": "faults", "because": "for tests only"}],
        });
        let rules: Rules = serde_json::from_value(rules).unwrap();
        let tree = tree(edges, "MIT");
        Audit::new(&tree, &rules).unwrap().run()
    }

    #[test]
    fn a_tree_in_order_has_no_problems() {
        let edges = [
            ("ephor", "ephor-core", None),
            ("ephor", "faults", Some("dev")),
            ("ephor-core", "cel", None),
            ("cel", "chrono", None),
            ("cel", "webpki", None),
            ("webpki", "ring", None),
        ];
        assert_eq!(audit(&edges), [""; 0]);
    }

    #[test]
    fn each_problem_says_what_and_why() {
        let edges = [
            ("ephor", "ephor-core", None),
            ("ephor-core", "chrono", None),
            ("ephor-core", "ephor", None),
            ("ephor", "tls", None),
            ("tls", "ring", None),
            ("tls", "slab", None),
            ("tls", "faults", Some("build")),
        ];
        let found = audit(&edges);
        assert_eq!(
            found,
            [
                "slab 1.0.0 is older than 1.0.1: a hole",
                "ephor-core 1.0.0 depends on chrono 1.0.0: no",
                "tls 1.0.0 depends on ring 1.0.0: no",
                "ephor-core may not depend on ephor; it may on: ",
                "ephor reaches faults: ephor → tls → faults; for tests only",
            ]
        );
    }
}
