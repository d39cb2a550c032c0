//! On which line of a configuration file something is said: what the reader of YAML finds wrong it tells with the line, and so should
//! what is found afterwards.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::fmt;

/// The line, from 1, of each key and each entry of a list, by its path: `policy.lease`, `workers[0].id`. What says nothing has none.
fn lines(text: &str) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    if let Ok(Some(node)) = super::from_yaml::<Option<Node>>(text) {
        collect("", node, &mut lines);
    }
    lines
}

/// Where a key is said; where it is not, the nearest section above it that is.
fn nearest<'a>(lines: &BTreeMap<String, u64>, mut path: &'a str) -> Option<(&'a str, u64)> {
    loop {
        if let Some(line) = lines.get(path) {
            return Some((path, *line));
        }
        path = &path[..path.rfind(['.', '['])?];
    }
}

/// A sentence about a key with the line it is said on, where the sentence begins with the name of a key.
pub(super) fn told(text: &str, why: &str) -> String {
    if why.starts_with("line ") {
        return why.to_owned();
    }
    let name = why.split([' ', ':', ',']).next().unwrap_or_default();
    match nearest(&lines(text), name) {
        Some((_, line)) => format!("line {line}: {why}"),
        None => why.to_owned(),
    }
}

/// A value, as far as it has parts, each with its name and its line.
struct Node(Vec<(String, u64, Node)>);

fn collect(path: &str, node: Node, lines: &mut BTreeMap<String, u64>) {
    for (name, line, below) in node.0 {
        let path = format!("{path}{name}");
        lines.insert(path.trim_start_matches('.').to_owned(), line);
        collect(&path, below, lines);
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Parts)
    }
}

struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut parts = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            parts.push((format!(".{}", key.value), key.referenced.line(), map.next_value()?));
        }
        Ok(Node(parts))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut parts = Vec::new();
        while let Some(entry) = seq.next_element::<Spanned<Node>>()? {
            parts.push((format!("[{}]", parts.len()), entry.referenced.line(), entry.value));
        }
        Ok(Node(parts))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a file\npolicy:\n  lease: 30s\n\n  by_type:\n    INVOICE.NEW:\n      \"max_retries\": 0\nlimits:\n  lease: 3\n\
                        monitoring: {check_interval_seconds: 0}\nworkers:\n  - id: a\n    capabilities: [x]\n  - {id: b}\n";

    #[test]
    fn a_key_is_found_on_its_line_and_one_that_is_missing_on_that_of_its_section() {
        let lines = lines(TEXT);
        for (path, line) in [
            ("policy.lease", Some(3)),
            ("policy.by_type.INVOICE.NEW.max_retries", Some(7)),
            ("limits.lease", Some(9)),
            ("monitoring.check_interval_seconds", Some(10)),
            ("policy.gate_wait", Some(2)),
            ("workers[0].capabilities", Some(13)),
            ("workers[1].id", Some(14)),
            ("mail.from", None),
            ("nonsense", None),
        ] {
            assert_eq!(nearest(&lines, path).map(|(_, line)| line), line, "{path} in {lines:?}");
        }
        assert_eq!(told(TEXT, "policy.lease: is 1ms"), "line 3: policy.lease: is 1ms");
        assert_eq!(told(TEXT, "workers[1], b: no"), "line 14: workers[1], b: no");
        assert_eq!(told(TEXT, "line 2: unknown field"), "line 2: unknown field");
        assert_eq!(told(TEXT, "EPHOR_MAIL_PORT is no port"), "EPHOR_MAIL_PORT is no port");
    }
}
