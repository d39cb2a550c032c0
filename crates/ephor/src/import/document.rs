//! From text to one JSON value, whichever of JSON, JSON with comments or YAML it is, within limits.

use super::DEPTH_MAX;
use super::error::{Fault, Trouble};
use super::text::snake;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;
use std::fmt;

/// How many values a document may hold. A plan of 100,000 steps with forty fields each stays below it; a file of 64 MiB made
/// of nothing but brackets, which would need gigabytes once parsed, does not.
const VALUES_MAX: usize = 4_000_000;

/// A document and what it says.
pub(super) struct Document<'a> {
    text: &'a str,
    /// What it says.
    pub(super) value: Value,
    /// Whether comments were removed from its JSON.
    pub(super) had_comments: bool,
}

/// One step on the way to a value.
#[derive(Clone, Debug)]
pub(super) enum Hop {
    Key(String),
    Index(usize),
}

impl<'a> Document<'a> {
    /// Reads JSON; `//` and `/* */` comments are removed where it is none without.
    pub(super) fn json(text: &'a str) -> Result<Self, Fault> {
        let scanned = scan(text)?;
        let parsed = match (serde_json::from_str(text), &scanned.without_comments) {
            (Err(_), Some(clean)) => serde_json::from_str(clean).map(|value| (value, true)),
            (parsed, _) => parsed.map(|value| (value, false)),
        };
        let (value, had_comments) = parsed.map_err(|error| {
            let message = error.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
            Fault::new(Trouble::Syntax, format!("no JSON: {message}")).at_line(error.line() as u64, error.column() as u64)
        })?;
        Self { text, value, had_comments }.without_nul()
    }

    /// Reads YAML 1.2: `yes` and `on` are words, an alias may not multiply what was written.
    pub(super) fn yaml(text: &'a str) -> Result<Self, Fault> {
        let value = from_yaml(text).map_err(|error| {
            let (line, column) = error.location().map_or((1, 0), |at| (at.line(), at.column()));
            let message = error.without_snippet().to_string();
            // The place is said once, in front.
            let message = message.split(" at line ").next().unwrap_or_default().trim_start_matches("error: ");
            match message.strip_prefix("budget breached: ") {
                Some(limit) => Fault::new(Trouble::TooLarge, format!("nested deeper or larger than is read ({limit})")),
                None => Fault::new(Trouble::Syntax, format!("no YAML: {message}")),
            }
            .at_line(line, column)
        })?;
        Self { text, value, had_comments: false }.without_nul()
    }

    /// Line and column of the value `hops` lead to. JSON is YAML almost always, so this finds most of both; it reads the whole
    /// text again and is for error messages only.
    pub(super) fn locate(&self, hops: &[Hop]) -> Option<(u64, u64)> {
        let root: Spanned<Tree> = from_yaml(self.text).ok()?;
        let (mut node, mut at) = (&root, root.referenced);
        for hop in hops {
            (node, at) = match (hop, &node.value) {
                (Hop::Key(key), Tree::Map(entries)) => {
                    let (key, value) = entries.iter().find(|(k, _)| k.value == *key || snake(&k.value) == *key)?;
                    (value, key.referenced)
                }
                (Hop::Index(index), Tree::List(items)) => {
                    let item = items.get(*index)?;
                    (item, item.referenced)
                }
                _ => return None,
            };
        }
        Some((at.line(), at.column()))
    }

    /// PostgreSQL cannot store NUL in text, and nobody means it.
    fn without_nul(self) -> Result<Self, Fault> {
        match find_nul(&self.value) {
            None => Ok(self),
            Some(mut hops) => {
                hops.reverse();
                Err(Fault::field(&path_of(&hops), "the text holds a NUL character"))
            }
        }
    }
}

fn from_yaml<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: VALUES_MAX,
            max_events: 2 * VALUES_MAX,
            max_documents: 1,
        },
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// The path as people write it: `plan.steps[2].title`.
pub(super) fn path_of(hops: &[Hop]) -> String {
    let mut path = String::new();
    for hop in hops {
        match hop {
            Hop::Key(key) if path.is_empty() => path.push_str(key),
            Hop::Key(key) => path.extend([".", key]),
            Hop::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// The way to the first text with a NUL, last hop first.
fn find_nul(value: &Value) -> Option<Vec<Hop>> {
    let within = |hop: Hop, value: &Value| {
        find_nul(value).map(|mut hops| {
            hops.push(hop);
            hops
        })
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
        Value::String(text) => text.contains('\0').then(Vec::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| within(Hop::Index(i), item)),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let hop = || Hop::Key(key.clone());
            if key.contains('\0') { Some(vec![hop()]) } else { within(hop(), value) }
        }),
    }
}

struct Scanned {
    without_comments: Option<String>,
}

/// One pass over JSON before it is parsed: refuses what is nested too deeply or holds too many values, and blanks comments
/// so that lines and columns stay.
fn scan(text: &str) -> Result<Scanned, Fault> {
    let bytes = text.as_bytes();
    let (mut depth, mut values, mut line, mut line_start) = (0usize, 1usize, 1u64, 0usize);
    let mut comments: Vec<std::ops::Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'/' => {
                let end = end_of_comment(bytes, at);
                if end > at {
                    comments.push(at..end);
                    line += newlines(&bytes[at..end], at, &mut line_start);
                    at = end;
                    continue;
                }
            }
            b'\n' => {
                line += 1;
                line_start = at + 1;
            }
            b'[' | b'{' => {
                depth += 1;
                values += 1;
                if depth > DEPTH_MAX {
                    return Err(Fault::new(Trouble::TooLarge, format!("nested deeper than {DEPTH_MAX} levels"))
                        .at_line(line, (at - line_start + 1) as u64));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        at += 1;
    }
    if values > VALUES_MAX {
        return Err(Fault::new(Trouble::TooLarge, format!("more than the {VALUES_MAX} values that are read")));
    }
    let without_comments = (!comments.is_empty()).then(|| blank(text, &comments));
    Ok(Scanned { without_comments })
}

/// The index of the quote that ends the string that starts at `from`, or the last index where none does.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len() - 1
}

/// Where the comment that starts at `from` ends; `from` itself where there is none.
fn end_of_comment(bytes: &[u8], from: usize) -> usize {
    let rest = &bytes[from..];
    if rest.starts_with(b"//") {
        from + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
    } else if rest.starts_with(b"/*") {
        from + rest.windows(2).skip(2).position(|pair| pair == b"*/").map_or(rest.len(), |end| end + 4)
    } else {
        from
    }
}

fn newlines(bytes: &[u8], offset: usize, line_start: &mut usize) -> u64 {
    let mut count = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        *line_start = offset + at + 1;
        count += 1;
    }
    count
}

fn blank(text: &str, comments: &[std::ops::Range<usize>]) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for comment in comments {
        clean.push_str(&text[from..comment.start]);
        clean.extend(text[comment.clone()].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        from = comment.end;
    }
    clean.push_str(&text[from..]);
    clean
}

/// A document with the places of everything in it.
enum Tree {
    Leaf,
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Hop {
        Hop::Key(key.to_owned())
    }

    #[test]
    fn a_value_is_found_again_by_line_and_column() {
        let yaml = "title: t\nsteps:\n  - id: a\n  - id: b\n    titel: x\n";
        let document = Document::yaml(yaml).unwrap();
        assert_eq!(document.locate(&[key("steps"), Hop::Index(1), key("titel")]), Some((5, 5)));
        let json = Document::json("{\"steps\": [\n {\"id\": 1}]}").unwrap();
        assert_eq!(json.locate(&[key("steps"), Hop::Index(0), key("id")]), Some((2, 3)));
    }

    #[test]
    fn comments_are_removed_from_json_and_kept_in_its_strings() {
        let document = Document::json("{\"a\": \"http://x\", // why\n /* or \n not */ \"b\": 2}").unwrap();
        assert!(document.had_comments);
        assert_eq!(document.value, serde_json::json!({"a": "http://x", "b": 2}));
    }

    #[test]
    fn depth_and_nul_are_refused_with_their_place() {
        for (text, words) in [
            ("[".repeat(10_000), "line 1, column 65: nested deeper"),
            ("{\"a\": [\"\\u0000\"]}".to_owned(), "a[0]: the text holds a NUL"),
            ("{\"a\": ".to_owned(), "line 1, column 6: no JSON: EOF"),
        ] {
            let fault = Document::json(&text).err().unwrap().to_string();
            assert!(fault.contains(words), "{fault}");
        }
        for text in ["[".repeat(10_000), "- ".repeat(10_000), "a: b\n---\nc: d\n".to_owned(), "a: [b".to_owned()] {
            let fault = Document::yaml(&text).err().unwrap().to_string();
            assert!(fault.contains("line 1,") || fault.contains("line 2,") || fault.contains("line 3,"), "{fault}");
        }
    }
}
